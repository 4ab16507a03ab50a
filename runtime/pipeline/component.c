/* component.c - one source, step or output of a plan: which component it is, its siblings, its options.
 *
 * The options are filled into a self that is thrown away again: an instance of a run gets its own, because
 * compiled expressions belong to one thread.
 */
#include "pipeline/config_inside.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/time.h"
#include "plugin/host.h"
#include "plugin/option.h"

#include <stdlib.h>

enum { SOURCE = 1, STEP = 2, OUTPUT = 4 };

static const struct sibling {
    const char *name;
    int roles;
    const char *unsupported;
} siblings[] = {
    {"id", SOURCE | STEP | OUTPUT, NULL},
    {"if", STEP | OUTPUT, NULL},
    {"else", OUTPUT, NULL},
    {"on_error", STEP | OUTPUT, NULL},
    {"retry", OUTPUT, NULL},
    {"queue", OUTPUT, "write to a topic, and from it to the output in a pipeline of its own"},
    {"batch", OUTPUT, "batches are as large as what came in; see the output's own options"},
    {"workers", OUTPUT, "a pipeline has one lane"},
};
static const char *const role_words[] = {[SOURCE] = "a source", [STEP] = "a step", [OUTPUT] = "an output"};
static const char *const role_places[] = {[SOURCE] = "from", [STEP] = "steps", [OUTPUT] = "to"};

static const struct sibling *sibling_of(struct mr_slice key)
{
    for (size_t i = 0; i < sizeof siblings / sizeof *siblings; i++)
        if (mr_slice_eq(key, mr_slice_of(siblings[i].name)))
            return &siblings[i];
    return NULL;
}

static int role_of(enum mr_kind kind)
{
    return kind == MR_SOURCE ? SOURCE : kind == MR_PROCESSOR ? STEP : OUTPUT;
}

/* ---------------------------------------------------------------- options */

/* The line of the file that line `line` (from 1) of a literal block ("|") stands in, as a node for messages;
 * the node itself when it is no such block. */
static struct mr_node block_line(const struct mr_plan *p, const struct mr_node *n, uint32_t line)
{
    struct mr_node at = *n;
    const char *text = NULL, *end = NULL;
    for (uint32_t i = 0; i < p->out->source_count; i++)
        if (strcmp(p->out->sources[i].name, n->file) == 0 && p->out->sources[i].text.p) {
            text = p->out->sources[i].text.p;
            end = text + p->out->sources[i].text.len;
        }
    for (uint32_t l = 1; text && text < end && l < n->line + line; l++) {
        const char *nl = memchr(text, '\n', (size_t)(end - text));
        if (l == n->line && (text + n->column - 1 >= end || text[n->column - 1] != '|'))
            return at;
        text = nl ? nl + 1 : end;
    }
    if (!text || text >= end)
        return at;
    uint32_t blanks = 0;
    while (text + blanks < end && text[blanks] == ' ')
        blanks++;
    const char *nl = memchr(text, '\n', (size_t)(end - text));
    uint32_t length = (uint32_t)((nl ? nl : end) - text);
    at.line = n->line + line;
    at.column = blanks + 1;
    at.end_column = length > blanks ? length + 1 : blanks + 2;
    return at;
}

/* A complaint of check() about an option; inside of a block it points to the line that is meant. */
static void option_fault(struct mr_plan *p, const struct mr_node *n, const struct mr_err *err)
{
    unsigned line = 0;
    if (n->kind == MR_NODE_SCALAR && n->end_column == 0 && n->text.p &&
        memchr(n->text.p, '\n', n->text.len)) {
        if (err->at > 0 && err->at <= n->text.len) {
            line = 1;
            for (uint32_t i = 0; i < err->at; i++)
                line += n->text.p[i] == '\n';
        } else if (sscanf(err->text, "lua:%u:", &line) != 1) {
            line = 0;
        }
    }
    uint32_t lines = 0; /* "near the end" means its last one */
    for (size_t i = 0; line && i < n->text.len; i++)
        lines += n->text.p[i] == '\n' || i + 1 == n->text.len;
    line = line > lines ? lines : line;
    if (line > 0) {
        struct mr_node at = block_line(p, n, line);
        mr_diag_node(p->diags, &at, 0, NULL, "%s", err->text);
    } else {
        mr_diag_node(p->diags, n, err->at, NULL, "%s", err->text);
    }
}

static void check_options(struct mr_plan *p, const struct mr_config_component *c, const struct mr_node *place)
{
    const struct mr_component *k = c->component;
    char what[160];
    (void)snprintf(what, sizeof what, "%s '%s'",
                   k->kind == MR_SOURCE      ? "source"
                   : k->kind == MR_PROCESSOR ? "step"
                                             : "output",
                   k->name);
    void *self = mr_alloc(k->self_size ? k->self_size : 1);
    if (!self) {
        p->no_memory = true;
        return;
    }
    struct mr_owned *owned = NULL;
    bool filled = mr_options_fill(k->options, what, c->options, place, self, &p->a->arena, &owned, p->diags);
    if (filled && k->check && !(p->flags & MR_CONFIG_NO_CHECK)) {
        struct mr_host host = {.ops = &mr_host_idle, .label = c->label};
        struct mr_open open = {.size = sizeof open, .services = mr_services(), .host = &host};
        struct mr_err err;
        mr_err_clear(&err);
        if (k->check(self, &open, &err) != MR_OK) {
            const struct mr_node *at =
                err.option ? mr_options_node(k->options, c->options, err.option) : NULL;
            if (at)
                option_fault(p, at, &err);
            else
                mr_diag_key(p->diags, place, NULL, "%s: %s", what, err.text);
        }
    }
    mr_options_fini(owned);
    mr_free(self);
}

const struct mr_node *mr_plan_option(const struct mr_config_component *c, const char *name)
{
    if (!c->component || !c->options)
        return NULL;
    const struct mr_node *n = mr_options_node(c->component->options, c->options, name);
    return n && n->kind == MR_NODE_SCALAR ? n : NULL;
}

/* An option `id` of the component's own, as `window` has, names the part as well as the sibling does. */
static const struct mr_node *own_id(const struct mr_config_component *c)
{
    for (const struct mr_option *o = c->component->options; o && o->name; o++)
        if (strcmp(o->name, "id") == 0 && !o->main)
            return mr_plan_option(c, "id");
    return NULL;
}

/* ---------------------------------------------------------------- which component */

static void unknown_component(struct mr_plan *p, enum mr_kind kind, const struct mr_node *at, bool key,
                              struct mr_slice name)
{
    static const enum mr_kind kinds[] = {MR_SOURCE, MR_PROCESSOR, MR_SINK};
    const char *names[512];
    size_t count = 0;
    char list[1024], note[1300];
    size_t len = 0;
    list[0] = '\0';
    int role = role_of(kind);
    for (size_t i = 0; i < mr_catalog_count(p->catalog) && count < sizeof names / sizeof *names; i++) {
        const struct mr_catalog_entry *e = mr_catalog_at(p->catalog, i);
        if (e->component->kind != kind)
            continue;
        names[count++] = e->component->name;
        int n = snprintf(list + len, sizeof list - len, "%s%s", len ? ", " : "", e->component->name);
        len += n > 0 && (size_t)n < sizeof list - len ? (size_t)n : 0;
    }
    const char *near = mr_nearest(name, names, count);
    if (near)
        (void)snprintf(note, sizeof note, "did you mean '%s'? there are: %s", near, list);
    else
        (void)snprintf(note, sizeof note, "there are: %s", list);
    for (size_t i = 0; i < 3; i++)
        if (kinds[i] != kind && mr_catalog_find(p->catalog, kinds[i], name.p, name.len))
            (void)snprintf(note, sizeof note, "'%.*s' is %s: it goes under '%s'", MR_SLICE_ARG(name),
                           role_words[role_of(kinds[i])], role_places[role_of(kinds[i])]);
    int shown = (int)(name.len < 80 ? name.len : 80);
    if (key)
        mr_diag_key(p->diags, at, note, "there is no %s '%.*s'", role_words[role] + (role == OUTPUT ? 3 : 2),
                    shown, name.p);
    else
        mr_diag_node(p->diags, at, 0, note, "there is no %s '%.*s'",
                     role_words[role] + (role == OUTPUT ? 3 : 2), shown, name.p);
}

static void retry(struct mr_plan *p, const struct mr_node *n, struct mr_config_component *out)
{
    static const struct mr_plan_key keys[] = {{"max", NULL}, {"backoff", NULL}};
    if (n->kind != MR_NODE_MAP) {
        mr_diag_node(p->diags, n, 0, "write { max: 10, backoff: 100ms }", "'retry' must be a map");
        return;
    }
    mr_plan_keys(p, n, keys, 2, "'retry'");
    const struct mr_node *c;
    if ((c = mr_node_get(n, "max")))
        (void)mr_plan_int(p, c, 0, 1000000, &out->retry_max);
    if ((c = mr_node_get(n, "backoff")) && mr_plan_duration(p, c, &out->retry_backoff) &&
        (out->retry_backoff < 1 || out->retry_backoff > 30000))
        mr_diag_node(p->diags, c, 0, NULL, "'backoff' must be from 1ms to 30s");
}

static void condition(struct mr_plan *p, const struct mr_node *n, struct mr_config_component *out)
{
    if (n->kind != MR_NODE_SCALAR || n->text.len == 0) {
        mr_diag_node(p->diags, n, 0, "write an expression such as: e.status >= 500",
                     "'if' must be an expression");
        return;
    }
    struct mr_err err;
    mr_err_clear(&err);
    struct mr_expr *x = NULL;
    if (mr_expr_new(n->text.p, n->text.len, &x, &err) != MR_OK)
        mr_diag_node(p->diags, n, err.at, NULL, "in 'if': %s", err.text);
    mr_expr_free(x);
    out->when = n;
}

static void the_siblings(struct mr_plan *p, int role, const struct mr_node *n,
                         struct mr_config_component *out)
{
    const struct mr_node *c;
    if ((role & (STEP | OUTPUT)) && (c = mr_node_get(n, "if")))
        condition(p, c, out);
    if (role == OUTPUT && (c = mr_node_get(n, "else"))) {
        if (mr_plan_bool(p, c, &out->otherwise) && !out->otherwise)
            mr_diag_node(p->diags, c, 0, "leave it out", "'else: false' says nothing");
        if (out->when)
            mr_diag_key(p->diags, c, "'else' takes what no 'if' before it took",
                        "'if' and 'else' contradict each other");
    }
    if ((role & (STEP | OUTPUT)) && (c = mr_node_get(n, "on_error")))
        (void)mr_plan_on_error(p, c, role == OUTPUT, &out->on_error);
    if (role == OUTPUT && (c = mr_node_get(n, "retry")))
        retry(p, c, out);
}

static void find_key(struct mr_plan *p, int role, const struct mr_node *n, const struct mr_node **found)
{
    const struct mr_node *key = NULL;
    for (const struct mr_node *c = n->first; c; c = c->next) {
        const struct sibling *s = sibling_of(c->key);
        if (s && s->unsupported)
            mr_diag_key(p->diags, c, s->unsupported, "'%s' is not supported in this version", s->name);
        else if (s && !(s->roles & role))
            mr_diag_key(p->diags, c, NULL, "'%s' cannot stand at %s", s->name, role_words[role]);
        else if (!s && key) {
            const char *names[sizeof siblings / sizeof *siblings];
            size_t count = 0;
            for (size_t i = 0; i < sizeof siblings / sizeof *siblings; i++)
                if (siblings[i].roles & role && !siblings[i].unsupported)
                    names[count++] = siblings[i].name;
            /* the name of an option beside its component is an indentation gone wrong, mostly */
            const char *near = mr_nearest(c->key, names, count);
            mr_diag_key(p->diags, c,
                        near ? mr_plan_printf(p, "did you mean '%s'?", near)
                             : "give it a '- ' of its own; an option is indented below its component",
                        "'%.*s' beside '%.*s': one component each", (int)(c->key.len < 80 ? c->key.len : 80),
                        c->key.p, (int)(key->key.len < 80 ? key->key.len : 80), key->key.p);
        } else if (!s) {
            key = c;
        }
    }
    *found = key;
}

void mr_plan_component(struct mr_plan *p, const struct mr_config_pipeline *line, enum mr_kind kind,
                       uint32_t index, const struct mr_node *n, struct mr_config_component *out)
{
    int role = role_of(kind);
    const struct mr_node *key = NULL, *id = NULL;
    struct mr_slice name = {NULL, 0};
    out->node = n;
    out->file = n->file;
    out->line = n->line;
    out->column = n->column;
    out->on_error = line->on_error;
    if (role == OUTPUT && out->on_error == MR_ON_ERROR_KEEP)
        out->on_error = MR_ON_ERROR_DEAD; /* there is nothing after an output to keep it for */
    out->retry_backoff = 100;
    out->label = mr_plan_printf(p, "%s/%s[%u]", line->name, role_places[role], index);
    if (n->kind == MR_NODE_SCALAR && n->text.len) {
        name = n->text; /* `to: stdout`: the component as it is by default */
    } else if (n->kind != MR_NODE_MAP) {
        mr_diag_node(p->diags, n, 0, "write 'name: options'",
                     "%s must be a map with the name of its component", role_words[role]);
        return;
    } else {
        find_key(p, role, n, &key);
        if (key)
            name = key->key;
    }
    if ((id = n->kind == MR_NODE_MAP ? mr_node_get(n, "id") : NULL)) {
        if (id->kind != MR_NODE_SCALAR || id->text.len == 0 || id->text.len > 200 ||
            memchr(id->text.p, '/', id->text.len)) {
            mr_diag_node(p->diags, id, 0, NULL, "'id' must be a word without '/'");
        } else {
            out->id = mr_plan_text(p, id->text);
            out->label = mr_plan_printf(p, "%s/%s", line->name, out->id);
        }
    }
    if (n->kind == MR_NODE_MAP)
        the_siblings(p, role, n, out);
    if (!name.len) {
        mr_diag_node(p->diags, n, 0, NULL, "%s needs a component beside its '%.*s'", role_words[role],
                     MR_SLICE_ARG(n->first ? n->first->key : MR_SLICE("{}")));
        return;
    }
    const struct mr_catalog_entry *e = mr_catalog_find(p->catalog, kind, name.p, name.len);
    if (!e) {
        unknown_component(p, kind, key ? key : n, key != NULL, name);
        return;
    }
    out->component = e->component;
    if (key && !(key->kind == MR_NODE_SCALAR && key->plain && key->text.len == 0))
        out->options = key; /* `stdin:` with nothing behind it has no options */
    if (key) {
        out->line = key->key_line;
        out->column = key->key_column;
    }
    check_options(p, out, key ? key : n);
    id = own_id(out);
    if (id && !out->id && id->text.len && id->text.len <= 200 && !memchr(id->text.p, '/', id->text.len)) {
        out->id = mr_plan_text(p, id->text);
        out->label = mr_plan_printf(p, "%s/%s", line->name, out->id);
    }
    if (strcmp(out->component->name, "topic") == 0) {
        const struct mr_node *t = mr_plan_option(out, "name");
        if (t)
            out->topic = mr_plan_text(p, t->text);
    }
}
