/* config.c - files to a plan: the grammar of the top level, of pipelines and of tests.
 *
 * A map that is wrong somewhere is still read to its end, so that one look shows every mistake.
 */
#include "pipeline/config_inside.h"

#include "base/assert.h"
#include "base/text.h"
#include "base/time.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---------------------------------------------------------------- small things */

void *mr_plan_take(struct mr_plan *p, size_t bytes)
{
    void *m = mr_arena_take(&p->a->arena, bytes);
    if (!m) {
        p->no_memory = true;
        static _Thread_local max_align_t scrap[4096 / sizeof(max_align_t)];
        mr_assert(bytes <= sizeof scrap); /* lists are bounded by MR_CONFIG_COMPONENTS_MAX and taken first */
        m = scrap;
    }
    return memset(m, 0, bytes);
}

const char *mr_plan_text(struct mr_plan *p, struct mr_slice s)
{
    if (s.len > 2048)
        s.len = 2048;
    char *t = mr_plan_take(p, s.len + 1);
    if (s.len)
        memcpy(t, s.p, s.len);
    return t;
}

const char *mr_plan_printf(struct mr_plan *p, const char *format, ...)
{
    char text[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return mr_plan_text(p, mr_slice_of(text));
}

void mr_plan_as_warning(struct mr_plan *p, uint32_t before)
{
    struct mr_diags *d = p->diags;
    if (d->count == before) /* beyond MR_DIAGS_MAX: counted as one more */
        return;
    d->v[d->count - 1].warning = true;
    if (d->errors)
        d->errors--;
}

void mr_plan_keys(struct mr_plan *p, const struct mr_node *map, const struct mr_plan_key *known, size_t count,
                  const char *what)
{
    const char *names[32];
    size_t usable = 0;
    char list[512];
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        if (!known[i].unsupported && usable < COUNT(names)) {
            names[usable++] = known[i].name;
            int n = snprintf(list + len, sizeof list - len, "%s%s", len ? ", " : "", known[i].name);
            len += n > 0 && (size_t)n < sizeof list - len ? (size_t)n : 0;
        }
    for (const struct mr_node *c = map->first; c; c = c->next) {
        size_t i = 0;
        while (i < count && !mr_slice_eq(c->key, mr_slice_of(known[i].name)))
            i++;
        if (i < count && !known[i].unsupported)
            continue;
        if (i < count) {
            mr_diag_key(p->diags, c, known[i].unsupported, "'%s' is not supported in this version",
                        known[i].name);
            continue;
        }
        const char *near = mr_nearest(c->key, names, usable);
        char note[600];
        if (near)
            (void)snprintf(note, sizeof note, "did you mean '%s'? keys: %s", near, list);
        else
            (void)snprintf(note, sizeof note, "keys: %s", list);
        mr_diag_key(p->diags, c, note, "unknown key '%.*s' in %s", (int)(c->key.len < 80 ? c->key.len : 80),
                    c->key.p, what);
    }
}

bool mr_plan_bool(struct mr_plan *p, const struct mr_node *n, bool *out)
{
    bool yes = n->kind == MR_NODE_SCALAR && mr_slice_eq(n->text, MR_SLICE("true"));
    bool no = n->kind == MR_NODE_SCALAR && mr_slice_eq(n->text, MR_SLICE("false"));
    if (yes || no)
        *out = yes;
    else
        mr_diag_node(p->diags, n, 0, NULL, "'%.*s' must be true or false", MR_SLICE_ARG(n->key));
    return yes || no;
}

bool mr_plan_int(struct mr_plan *p, const struct mr_node *n, int64_t min, int64_t max, int64_t *out)
{
    int64_t v = 0;
    if (n->kind == MR_NODE_SCALAR && mr_parse_i64(n->text, &v) && v >= min && v <= max) {
        *out = v;
        return true;
    }
    mr_diag_node(p->diags, n, 0, NULL, "'%.*s' must be a whole number from %lld to %lld",
                 MR_SLICE_ARG(n->key), (long long)min, (long long)max);
    return false;
}

bool mr_plan_duration(struct mr_plan *p, const struct mr_node *n, mr_ms *out)
{
    struct mr_err err;
    mr_err_clear(&err);
    if (n->kind != MR_NODE_SCALAR) {
        mr_diag_node(p->diags, n, 0, "write 250ms, 10s, 5m, 1h or 7d", "'%.*s' must be a duration",
                     MR_SLICE_ARG(n->key));
        return false;
    }
    if (mr_duration_parse(n->text, out, &err) == MR_OK)
        return true;
    mr_diag_node(p->diags, n, 0, NULL, "'%.*s': %s", MR_SLICE_ARG(n->key), err.text);
    return false;
}

bool mr_plan_on_error(struct mr_plan *p, const struct mr_node *n, bool output, enum mr_on_error *out)
{
    static const char *const names[] = {"dead", "drop", "keep", "fail", "retry"};
    for (size_t i = 0; n->kind == MR_NODE_SCALAR && i < COUNT(names); i++)
        if (mr_slice_eq(n->text, mr_slice_of(names[i]))) {
            if (i == MR_ON_ERROR_RETRY && !output)
                mr_diag_node(p->diags, n, 0, "set it at an output; here: dead, drop, keep or fail",
                             "'on_error: retry' is for outputs: a step would fail again in the same way");
            if (i == MR_ON_ERROR_KEEP && output)
                mr_diag_node(p->diags, n, 0, "here: dead, drop, fail or retry",
                             "'on_error: keep' is for steps: there is nothing after an output");
            *out = (enum mr_on_error)i;
            return true;
        }
    const char *near = n->kind == MR_NODE_SCALAR ? mr_nearest(n->text, names, COUNT(names)) : NULL;
    char note[80];
    (void)snprintf(note, sizeof note, "did you mean '%s'?", near ? near : "");
    mr_diag_node(p->diags, n, 0, near ? note : NULL, "'on_error' must be dead, drop, keep, fail or retry");
    return false;
}

/* ---------------------------------------------------------------- pipelines */

static const struct mr_plan_key pipeline_keys[] = {
    {"from", NULL},
    {"steps", NULL},
    {"to", NULL},
    {"on_error", NULL},
    {"delivery", NULL},
    {"commit_every", NULL},
    {"unmatched", NULL},
    {"pipeline_bytes", NULL},
    {"description", NULL},
    {"workers", "a pipeline has one lane; split it by topic for more"},
    {"order_by", "a pipeline keeps the order of its source as it is"},
};

static uint32_t component_list(struct mr_plan *p, const struct mr_config_pipeline *line,
                               const struct mr_node *n, enum mr_kind kind, struct mr_config_component **out)
{
    const struct mr_node *first = n;
    uint32_t count = 1, k = 0;
    if (n->kind == MR_NODE_LIST) {
        first = n->first;
        count = n->count;
    }
    if (count == 0 && kind != MR_PROCESSOR)
        mr_diag_node(p->diags, n, 0, NULL, "'%.*s' is empty: at least one is needed", MR_SLICE_ARG(n->key));
    if (count > MR_CONFIG_COMPONENTS_MAX) {
        mr_diag_node(p->diags, n, 0, "split the pipeline with a topic",
                     "more than %d entries in '%.*s' (limit 'config_components')", MR_CONFIG_COMPONENTS_MAX,
                     MR_SLICE_ARG(n->key));
        count = MR_CONFIG_COMPONENTS_MAX;
    }
    *out = NULL;
    if (count == 0)
        return 0;
    struct mr_config_component *v = mr_arena_take(&p->a->arena, count * sizeof *v);
    if (!v) {
        p->no_memory = true;
        return 0;
    }
    memset(v, 0, count * sizeof *v);
    for (const struct mr_node *c = first; c && k < count; c = n->kind == MR_NODE_LIST ? c->next : NULL, k++)
        mr_plan_component(p, line, kind, k, c, &v[k]);
    *out = v;
    return k;
}

static bool good_name(struct mr_slice s)
{
    if (s.len == 0 || s.len > 200 || mr_slice_eq(s, MR_SLICE(".")) || mr_slice_eq(s, MR_SLICE("..")))
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
              c == '_' || c == '-'))
            return false;
    }
    return true;
}

enum { COMMIT_EVERY_MS = 200, COMMIT_EVERY_MS_MIN = 10, COMMIT_EVERY_MS_MAX = 30000 };

static void delivery(struct mr_plan *p, const struct mr_node *n, struct mr_config_pipeline *out)
{
    static const char *const ways[] = {"at_least_once", "exactly_once"};
    const struct mr_node *c;
    if ((c = mr_node_get(n, "delivery"))) {
        out->delivery = c;
        out->exactly_once = c->kind == MR_NODE_SCALAR && mr_slice_eq(c->text, MR_SLICE("exactly_once"));
        if (!out->exactly_once &&
            !(c->kind == MR_NODE_SCALAR && mr_slice_eq(c->text, MR_SLICE("at_least_once")))) {
            const char *near = c->kind == MR_NODE_SCALAR ? mr_nearest(c->text, ways, COUNT(ways)) : NULL;
            mr_diag_node(p->diags, c, 0, near ? mr_plan_printf(p, "did you mean '%s'?", near) : NULL,
                         "'delivery' must be at_least_once or exactly_once");
        }
    }
    out->commit_every = COMMIT_EVERY_MS;
    if (!(c = mr_node_get(n, "commit_every")))
        return;
    if (mr_plan_duration(p, c, &out->commit_every) &&
        (out->commit_every < COMMIT_EVERY_MS_MIN || out->commit_every > COMMIT_EVERY_MS_MAX))
        mr_diag_node(p->diags, c, 0, NULL, "'commit_every' must be from 10ms to 30s");
    if (!out->exactly_once)
        mr_diag_key(p->diags, c, "leave it out, or add 'delivery: exactly_once'",
                    "'commit_every' is for exactly_once: it says how often transactions are committed");
}

static void pipeline(struct mr_plan *p, const struct mr_node *n, struct mr_config_pipeline *out)
{
    out->name = mr_plan_text(p, n->key);
    out->node = n;
    out->bytes = 8 << 20;
    out->on_error = MR_ON_ERROR_DEAD;
    out->dead = mr_plan_printf(p, "%s.dead", out->name);
    if (!good_name(n->key))
        mr_diag_key(p->diags, n, "letters, digits, '.', '_' and '-', at most 200",
                    "'%s' is not a name for a pipeline", out->name);
    for (uint32_t i = 0; i < p->out->pipeline_count; i++) {
        const struct mr_config_pipeline *other = &p->out->pipelines[i];
        if (other != out && other->name && strcmp(other->name, out->name) == 0)
            mr_diag_key(p->diags, n, "give one of them another name", "pipeline '%s' is there already: %s:%u",
                        out->name, other->node->file, other->node->key_line);
    }
    if (n->kind != MR_NODE_MAP) {
        mr_diag_node(p->diags, n, 0, "give it 'from:', 'steps:' and 'to:'", "pipeline '%s' must be a map",
                     out->name);
        return;
    }
    mr_plan_keys(p, n, pipeline_keys, COUNT(pipeline_keys), "a pipeline");
    const struct mr_node *c;
    if ((c = mr_node_get(n, "on_error"))) {
        (void)mr_plan_on_error(p, c, true, &out->on_error);
        if (out->on_error == MR_ON_ERROR_RETRY)
            mr_diag_node(p->diags, c, 0, "set it at an output", "'on_error: retry' is for outputs alone");
    }
    delivery(p, n, out);
    if ((c = mr_node_get(n, "unmatched"))) {
        out->unmatched_drop = c->kind == MR_NODE_SCALAR && mr_slice_eq(c->text, MR_SLICE("drop"));
        if (!out->unmatched_drop)
            mr_diag_node(p->diags, c, 0, NULL, "'unmatched' can only be 'drop'");
    }
    if ((c = mr_node_get(n, "pipeline_bytes"))) {
        struct mr_err err;
        mr_err_clear(&err);
        if (c->kind != MR_NODE_SCALAR || mr_size_parse(c->text, &out->bytes, &err) != MR_OK ||
            out->bytes < 64 << 10)
            mr_diag_node(p->diags, c, 0, "write 16MiB; at least 64KiB", "'pipeline_bytes' must be a size%s%s",
                         err.text[0] ? ": " : "", err.text);
    }
    if (!(c = mr_node_get(n, "from")))
        mr_diag_key(p->diags, n, "add 'from:' with a source", "pipeline '%s' has no 'from'", out->name);
    else
        out->from_count = component_list(p, out, c, MR_SOURCE, &out->from);
    if ((c = mr_node_get(n, "steps")))
        out->step_count = component_list(p, out, c, MR_PROCESSOR, &out->steps);
    if (!(c = mr_node_get(n, "to")))
        mr_diag_key(p->diags, n, "add 'to:' with an output, such as 'to: { stdout: json }'",
                    "pipeline '%s' has no 'to'", out->name);
    else
        out->to_count = component_list(p, out, c, MR_SINK, &out->to);
}

/* ---------------------------------------------------------------- tests */

static const struct mr_plan_key test_keys[] = {
    {"name", NULL}, {"pipeline", NULL}, {"in", NULL},      {"advance", NULL},
    {"out", NULL},  {"no_out", NULL},   {"dropped", NULL}, {"dead", NULL},
};

static const struct mr_node *list_of(struct mr_plan *p, const struct mr_node *map, const char *name)
{
    const struct mr_node *n = mr_node_get(map, name);
    if (n && n->kind != MR_NODE_LIST) {
        mr_diag_node(p->diags, n, 0, "write '- ...' lines below it", "'%s' must be a list of events", name);
        return NULL;
    }
    for (const struct mr_node *c = n ? n->first : NULL; c; c = c->next)
        if (c->kind == MR_NODE_LIST)
            mr_diag_node(p->diags, c, 0, NULL, "an event is a map of fields, or a text");
    return n;
}

static void test(struct mr_plan *p, const struct mr_node *n, struct mr_config_test *out)
{
    out->node = n;
    out->file = n->file;
    out->line = n->line;
    out->column = n->column;
    out->dropped = out->dead = -1;
    out->name = "";
    if (n->kind != MR_NODE_MAP) {
        mr_diag_node(p->diags, n, 0, "give it 'name:', 'pipeline:', 'in:' and 'out:'",
                     "a test must be a map");
        return;
    }
    mr_plan_keys(p, n, test_keys, COUNT(test_keys), "a test");
    const struct mr_node *c = mr_node_get(n, "name");
    if (!c || c->kind != MR_NODE_SCALAR || !c->text.len)
        mr_diag_node(p->diags, c ? c : n, 0, "say what should be true", "a test needs a 'name'");
    else
        out->name = mr_plan_text(p, c->text);
    if (!(c = mr_node_get(n, "pipeline")) || c->kind != MR_NODE_SCALAR) {
        mr_diag_node(p->diags, c ? c : n, 0, NULL, "a test needs the name of its 'pipeline'");
    } else {
        const char *names[MR_CONFIG_PIPELINES_MAX];
        for (uint32_t i = 0; i < p->out->pipeline_count; i++) {
            names[i] = p->out->pipelines[i].name;
            if (mr_slice_eq(c->text, mr_slice_of(names[i])))
                out->pipeline = &p->out->pipelines[i];
        }
        if (!out->pipeline) {
            const char *near = mr_nearest(c->text, names, p->out->pipeline_count);
            mr_diag_node(p->diags, c, 0, near ? mr_plan_printf(p, "did you mean '%s'?", near) : NULL,
                         "there is no pipeline '%.*s'", MR_SLICE_ARG(c->text));
        }
    }
    out->in = list_of(p, n, "in");
    out->out = list_of(p, n, "out");
    if ((c = mr_node_get(n, "advance")))
        (void)mr_plan_duration(p, c, &out->advance);
    if ((c = mr_node_get(n, "no_out")))
        (void)mr_plan_bool(p, c, &out->no_out);
    if ((c = mr_node_get(n, "dropped")))
        (void)mr_plan_int(p, c, 0, INT32_MAX, &out->dropped);
    if ((c = mr_node_get(n, "dead")))
        (void)mr_plan_int(p, c, 0, INT32_MAX, &out->dead);
    if (!mr_node_get(n, "out") && !out->no_out && out->dropped < 0 && out->dead < 0)
        mr_diag_node(p->diags, n, 0, "add 'out:', 'no_out: true', 'dropped:' or 'dead:'",
                     "this test expects nothing, so it cannot fail");
    if (out->out && out->out->count && out->no_out)
        mr_diag_key(p->diags, out->out, NULL, "'out' and 'no_out: true' contradict each other");
}

/* ---------------------------------------------------------------- files */

static const struct mr_plan_key top_keys[] = {
    {"pipelines", NULL},
    {"tests", NULL},
    {"broker", NULL},
    {"tables", "join with a window, or look values up in a Lua step"},
    {"templates", "repeat the component, or use an anchor"},
    {"include", "give several files on the command line"},
};

static bool read_file(struct mr_plan *p, struct mr_config_file *f)
{
    struct mr_node top = {.kind = MR_NODE_SCALAR, .file = f->name, .line = 1, .column = 1, .end_column = 2};
    FILE *in = fopen(f->name, "rbe");
    if (!in) {
        mr_diag_node(p->diags, &top, 0, NULL, "cannot read '%s': %s", f->name, strerror(errno));
        return false;
    }
    size_t cap = MR_CONFIG_FILE_BYTES_MAX + 1, len = 0, got;
    char *heap = malloc(cap);
    errno = 0;
    while (heap && len < cap && (got = fread(heap + len, 1, cap - len, in)) > 0)
        len += got;
    bool bad = ferror(in) != 0;
    int why = errno;
    (void)fclose(in);
    struct mr_slice copy = {NULL, 0};
    if (heap && !bad)
        copy = mr_slice_copy(&p->a->arena, (struct mr_slice){heap, len});
    free(heap);
    if (bad)
        mr_diag_node(p->diags, &top, 0, NULL, "cannot read '%s': %s", f->name, strerror(why));
    else if (!copy.p)
        p->no_memory = true;
    f->text = copy;
    return copy.p != NULL;
}

static void top_level(struct mr_plan *p, const struct mr_node *root)
{
    if (root->kind != MR_NODE_MAP) {
        mr_diag_node(p->diags, root, 0, "begin with 'pipelines:'", "a file must be a map");
        return;
    }
    mr_plan_keys(p, root, top_keys, COUNT(top_keys), "the file");
    const struct mr_node *b = mr_node_get(root, "broker");
    if (b && (b->kind != MR_NODE_SCALAR || !mr_slice_eq(b->text, MR_SLICE("embedded"))))
        mr_diag_node(p->diags, b, 0, "write 'broker: embedded', or leave it out",
                     "'broker' must be 'embedded': other brokers are not supported in this version");
}

static void each_root(struct mr_plan *p, struct mr_node **roots, size_t count)
{
    uint32_t pipelines = 0, tests = 0;
    for (size_t i = 0; i < count; i++) {
        const struct mr_node *l = roots[i] ? mr_node_get(roots[i], "pipelines") : NULL;
        const struct mr_node *t = roots[i] ? mr_node_get(roots[i], "tests") : NULL;
        if (l && l->kind != MR_NODE_MAP)
            mr_diag_node(p->diags, l, 0, "write 'name:' below it for each pipeline",
                         "'pipelines' must be a map of names");
        else if (l)
            pipelines += l->count;
        if (t && t->kind != MR_NODE_LIST)
            mr_diag_node(p->diags, t, 0, "write '- name: ...' below it for each test",
                         "'tests' must be a list");
        else if (t)
            tests += t->count;
    }
    if (pipelines > MR_CONFIG_PIPELINES_MAX) {
        struct mr_node top = {.file = p->out->sources[0].name, .line = 1, .column = 1, .end_column = 2};
        mr_diag_node(p->diags, &top, 0, NULL, "more than %d pipelines (limit 'config_pipelines')",
                     MR_CONFIG_PIPELINES_MAX);
        return;
    }
    struct mr_config *out = p->out;
    out->pipelines = mr_arena_take(&p->a->arena, (pipelines + 1) * sizeof *out->pipelines);
    out->tests = mr_arena_take(&p->a->arena, (tests + 1) * sizeof *out->tests);
    if (!out->pipelines || !out->tests) {
        p->no_memory = true;
        return;
    }
    memset(out->pipelines, 0, (pipelines + 1) * sizeof *out->pipelines);
    memset(out->tests, 0, (tests + 1) * sizeof *out->tests);
    for (size_t i = 0; i < count; i++) {
        const struct mr_node *l = roots[i] ? mr_node_get(roots[i], "pipelines") : NULL;
        for (const struct mr_node *c = l && l->kind == MR_NODE_MAP ? l->first : NULL; c; c = c->next)
            pipeline(p, c, &out->pipelines[out->pipeline_count++]);
    }
    for (size_t i = 0; i < count; i++) {
        const struct mr_node *t = roots[i] ? mr_node_get(roots[i], "tests") : NULL;
        for (const struct mr_node *c = t && t->kind == MR_NODE_LIST ? t->first : NULL; c; c = c->next)
            test(p, c, &out->tests[out->test_count++]);
    }
    if (pipelines == 0 && p->diags->errors == 0) {
        struct mr_node top = {.file = out->sources[0].name, .line = 1, .column = 1, .end_column = 2};
        mr_diag_node(p->diags, &top, 0, "add 'pipelines:'", "there is no pipeline in it");
    }
}

mr_code mr_config_load(const struct mr_config_file *files, size_t count, const struct mr_catalog *catalog,
                       unsigned flags, struct mr_heap_arena *a, struct mr_diags *diags, struct mr_config *out)
{
    struct mr_plan p = {.catalog = catalog, .flags = flags, .a = a, .diags = diags, .out = out};
    memset(out, 0, sizeof *out);
    out->broker = "embedded";
    uint32_t before = diags->errors;
    mr_assert(count > 0 && count < 65536);
    out->sources = mr_arena_take(&a->arena, count * sizeof *out->sources);
    struct mr_node **roots = mr_arena_take(&a->arena, count * sizeof(*roots));
    if (!out->sources || !roots)
        return MR_MEMORY;
    memcpy(out->sources, files, count * sizeof *files);
    out->source_count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        roots[i] = NULL;
        struct mr_config_file *f = &out->sources[i];
        if (!f->text.p && !read_file(&p, f))
            continue;
        roots[i] = mr_yaml_read(f->name, f->text, a, diags);
        if (!roots[i])
            continue;
        mr_substitute(roots[i], NULL, NULL, a, diags);
        top_level(&p, roots[i]);
    }
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any |= roots[i] != NULL;
    if (any)
        each_root(&p, roots, count);
    if (any && out->pipelines)
        mr_plan_cross(&p);
    if (p.no_memory) {
        struct mr_node top = {.file = out->sources[0].name, .line = 1, .column = 1, .end_column = 2};
        mr_diag_node(diags, &top, 0, NULL, "no memory left for this plan (limit 'config_memory')");
    }
    return diags->errors == before && !p.no_memory ? MR_OK : MR_BADCONF;
}
