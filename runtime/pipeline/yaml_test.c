/* yaml_test.c - the `tests:` of a plan: events in, events out, a clock that only moves when told to.
 *
 * A test runs the pipeline's own steps and conditions in a simulated world; its sources are replaced by one
 * that gives the events of `in`, its outputs by ones that write down what they get, topics by a port that
 * keeps dead letters. An event that goes to several outputs counts once: where an output has no `if`, only
 * the first such output is looked at.
 */
#include "pipeline/run.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/time.h"
#include "data/json.h"
#include "pipeline/inside.h"
#include "plugin/lua_host.h"
#include "world/sim.h"

#include <stdlib.h>

enum { ROWS_MAX = 100000, SETTLE_MS = 50, DRAIN_MS = 60000 };

struct caught {
    struct caught *next;
    struct mr_value value; /* an object */
    mr_ns time;
};

struct bench { /* one test while it runs */
    const struct mr_config_test *test;
    const struct mr_config_pipeline *conf; /* the one as written */
    struct mr_heap_arena a;
    const struct mr_node *at; /* next event to give */
    struct caught *first, **last;
    uint32_t count, dead, messages;
    const char *message[8]; /* errors and reasons, for the report */
    bool ended, full;
    int exit_code;
    struct mr_topics port;
};

static void note(struct bench *t, const char *format, const char *what, struct mr_slice text)
{
    char line[1024];
    (void)snprintf(line, sizeof line, format, what, MR_SLICE_ARG(text));
    if (t->messages < sizeof t->message / sizeof *t->message) {
        struct mr_slice copy =
            mr_slice_copy(&t->a.arena, (struct mr_slice){line, strlen(line) + 1}); /* with its NUL */
        if (copy.p)
            t->message[t->messages++] = copy.p;
    }
}

static struct bench *bench_of(const struct mr_host *h)
{
    return ((const struct mr_part *)h)->line->env.test;
}

/* ---------------------------------------------------------------- events in */

struct feed {
    struct mr_host *host;
};

static mr_code feed_open(void *self, const struct mr_open *o, struct mr_err *err)
{
    (void)err;
    ((struct feed *)self)->host = o->host;
    return MR_OK;
}

/* What a record of a topic with JSON values would be: the text is decoded. */
static bool reads_json(const struct mr_config_pipeline *p)
{
    if (!p->from_count || !p->from[0].topic)
        return false;
    const struct mr_node *codec = p->from[0].options ? mr_node_get(p->from[0].options, "codec") : NULL;
    return !codec || mr_slice_eq(codec->text, MR_SLICE("json"));
}

static bool put_text(struct bench *t, struct mr_batch *b, uint32_t row, struct mr_slice text)
{
    struct mr_err err;
    mr_err_clear(&err);
    if (reads_json(t->conf)) {
        if (mr_json_read_row(b, row, text, &err) == MR_OK)
            return true;
        mr_batch_reject(b, row, "not a JSON object: %s", err.text);
    }
    int32_t slot = mr_batch_slot(b, "message", 7, true);
    if (slot >= 0)
        b->column[slot].v[row] = mr_value_string(text);
    return slot >= 0;
}

static bool put_map(struct mr_batch *b, uint32_t row, const struct mr_node *n)
{
    for (const struct mr_node *c = n->first; c; c = c->next) {
        struct mr_value v;
        if (!mr_node_value(c, b->arena, &v))
            return false;
        if (mr_slice_eq(c->key, MR_SLICE("ts")) && c->kind == MR_NODE_SCALAR) {
            mr_ns ts;
            if (mr_rfc3339_parse(c->text, &ts)) {
                b->time[row] = ts;
                continue;
            }
        }
        int32_t slot = mr_batch_slot(b, c->key.p, c->key.len, true);
        if (slot < 0)
            return false;
        b->column[slot].v[row] = v;
    }
    return true;
}

static mr_code feed_read(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct bench *t = bench_of(((struct feed *)self)->host);
    uint32_t n = 0;
    if (!t->at)
        return MR_AGAIN;
    for (const struct mr_node *c = t->at; c && n < b->cap; c = c->next)
        n++;
    mr_batch_rows(b, n);
    b->source = MR_SLICE("test");
    for (uint32_t row = 0; row < n; row++, t->at = t->at->next) {
        b->offset[row] = row;
        if (!(t->at->kind == MR_NODE_MAP ? put_map(b, row, t->at) : put_text(t, b, row, t->at->text)))
            return mr_fail(err, MR_LIMIT, "an event of the test does not fit a batch");
    }
    return MR_OK;
}

/* ---------------------------------------------------------------- events out */

static mr_code catch_write(void *self, struct mr_batch *b, uint64_t ticket, struct mr_verdict *verdict,
                           struct mr_err *err)
{
    struct mr_part *p = (struct mr_part *)((struct feed *)self)->host;
    struct bench *t = p->line->env.test;
    (void)ticket;
    (void)verdict;
    for (uint32_t i = 0; i < p->index && p->line->unconditional; i++)
        if (!p->line->outputs[i].part.when && !p->line->outputs[i].part.conf->otherwise)
            return MR_OK; /* an output before this one has them */
    if (p->line->unconditional && (p->when || p->conf->otherwise))
        return MR_OK; /* so has one behind it */
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t row = b->sel[k], n = 0;
        struct caught *c = mr_arena_take(&t->a.arena, sizeof *c);
        struct mr_member *m = mr_arena_take(&t->a.arena, (b->columns + 1) * sizeof *m);
        if (!c || !m || t->count >= ROWS_MAX) {
            t->full = true;
            return mr_fail(err, MR_LIMIT, "more than %d events came out (limit 'test_events')", ROWS_MAX);
        }
        for (uint32_t i = 0; i < b->columns; i++) {
            const struct mr_column *col = &b->column[i];
            if (col->removed || col->v[row].tag == MR_MISSING)
                continue;
            struct mr_slice name = mr_slice_copy(&t->a.arena, (struct mr_slice){col->name, col->name_len});
            m[n] = (struct mr_member){.name = name.p, .name_len = (uint32_t)name.len};
            if (!name.p || !mr_value_copy(&t->a.arena, &col->v[row], &m[n].v))
                return mr_fail(err, MR_MEMORY, "no memory to keep what came out");
            n++;
        }
        *c = (struct caught){.value = {.tag = MR_OBJECT, .len = n, .u.object = m}, .time = b->time[row]};
        *t->last = c;
        t->last = &c->next;
        t->count++;
    }
    return MR_OK;
}

static const struct mr_option no_options[] = {{0}};
static const struct mr_component feed = {
    .size = sizeof feed,
    .kind = MR_SOURCE,
    .name = "test",
    .self_size = sizeof(struct feed),
    .options = no_options,
    .open = feed_open,
    .read = feed_read,
};
static const struct mr_component catcher = {
    .size = sizeof catcher,
    .kind = MR_SINK,
    .name = "test",
    .self_size = sizeof(struct feed),
    .options = no_options,
    .open = feed_open,
    .write = catch_write,
};

/* ---------------------------------------------------------------- dead letters */

struct reply {
    void (*ensured)(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why);
    void (*produced)(void *arg, mr_code rc, int64_t base_offset, const char *why);
    void *arg;
};

static void reply_now(void *arg)
{
    struct reply *r = arg;
    static const struct mr_topic_info info = {1};
    if (r->ensured)
        r->ensured(r->arg, MR_OK, &info, NULL);
    else
        r->produced(r->arg, MR_OK, 0, NULL);
    mr_free(r);
}

static void
port_ensure(struct mr_topics *t, struct mr_world *w, struct mr_slice topic, int32_t partitions,
            void (*done)(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why), void *arg)
{
    (void)t;
    (void)topic;
    (void)partitions;
    struct reply *r = mr_need(sizeof *r);
    *r = (struct reply){.ensured = done, .arg = arg};
    mr_post(w, reply_now, r);
}

static void port_produce(struct mr_topics *port, struct mr_world *w, struct mr_slice topic, int32_t partition,
                         struct mr_buf bytes,
                         void (*done)(void *arg, mr_code rc, int64_t base_offset, const char *why), void *arg)
{
    struct bench *t = (struct bench *)((char *)port - offsetof(struct bench, port));
    struct mr_record_walk walk;
    struct mr_record rec;
    struct mr_err err;
    struct mr_buf scratch = {0};
    (void)topic;
    (void)partition;
    mr_err_clear(&err);
    if (mr_record_walk_begin(&walk, (struct mr_slice){bytes.p, bytes.len}, &scratch, MR_BUF_MAX, &err) ==
        MR_OK)
        while (mr_record_walk_next(&walk, &rec, &err) == MR_OK) {
            struct mr_slice rest = rec.headers;
            struct mr_header h;
            t->dead++;
            while (mr_record_headers(&rest, &h))
                if (mr_slice_eq(h.name, MR_SLICE("reason")))
                    note(t, "%s: %.*s", "to the error route", h.value);
        }
    mr_buf_fini(&scratch);
    mr_buf_fini(&bytes);
    struct reply *r = mr_need(sizeof *r);
    *r = (struct reply){.produced = done, .arg = arg};
    mr_post(w, reply_now, r);
}

static const struct mr_topics_ops port_ops = {.ensure = port_ensure, .produce = port_produce};

/* ---------------------------------------------------------------- comparing */

static bool subset(struct bench *t, const struct mr_value *want, const struct mr_value *got_in)
{
    struct mr_value got;
    if (!mr_value_resolve(&t->a.arena, got_in, &got))
        return false;
    if (got.tag == MR_TIME && want->tag == MR_STRING) {
        mr_ns ns;
        return mr_rfc3339_parse(mr_value_text(want), &ns) && ns == got.u.i;
    }
    if (want->tag == MR_OBJECT) {
        if (got.tag != MR_OBJECT)
            return false;
        for (uint32_t i = 0; i < want->len; i++) {
            const struct mr_member *w = &want->u.object[i];
            uint32_t k = 0;
            while (k < got.len && !(got.u.object[k].name_len == w->name_len &&
                                    memcmp(got.u.object[k].name, w->name, w->name_len) == 0))
                k++;
            if (k == got.len || !subset(t, &w->v, &got.u.object[k].v))
                return false;
        }
        return true;
    }
    if (want->tag == MR_LIST) {
        if (got.tag != MR_LIST || got.len != want->len)
            return false;
        for (uint32_t i = 0; i < want->len; i++)
            if (!subset(t, &want->u.list[i], &got.u.list[i]))
                return false;
        return true;
    }
    return mr_value_equal(want, &got);
}

static bool has_member(const struct mr_value *v, const char *name)
{
    for (uint32_t i = 0; i < v->len; i++)
        if (v->u.object[i].name_len == strlen(name) && memcmp(v->u.object[i].name, name, strlen(name)) == 0)
            return true;
    return false;
}

static bool matches(struct bench *t, const struct mr_node *want, const struct caught *c)
{
    if (want->kind == MR_NODE_SCALAR) { /* the event's message, or its whole text */
        struct mr_buf text = {0};
        bool same =
            mr_json_write(&text, &c->value) && mr_slice_eq((struct mr_slice){text.p, text.len}, want->text);
        mr_buf_fini(&text);
        for (uint32_t i = 0; i < c->value.len && !same; i++) {
            const struct mr_member *m = &c->value.u.object[i];
            same = m->name_len == 7 && memcmp(m->name, "message", 7) == 0 && m->v.tag == MR_STRING &&
                   mr_slice_eq(mr_value_text(&m->v), want->text);
        }
        return same;
    }
    for (const struct mr_node *n = want->first; n; n = n->next) {
        struct mr_value v, one = {.tag = MR_OBJECT, .len = 1};
        struct mr_member m = {.name = n->key.p, .name_len = (uint32_t)n->key.len};
        mr_ns ts;
        if (mr_slice_eq(n->key, MR_SLICE("ts")) && !has_member(&c->value, "ts") &&
            n->kind == MR_NODE_SCALAR && mr_rfc3339_parse(n->text, &ts)) {
            if (ts != c->time)
                return false;
            continue;
        }
        if (!mr_node_value(n, &t->a.arena, &v))
            return false;
        m.v = v;
        one.u.object = &m;
        if (!subset(t, &one, &c->value))
            return false;
    }
    return true;
}

static void print_value(FILE *to, const char *word, const struct mr_value *v)
{
    struct mr_buf text = {0};
    if (mr_json_write(&text, v))
        (void)fprintf(to, "    %s %.*s\n", word, (int)(text.len < 2000 ? text.len : 2000), text.p);
    mr_buf_fini(&text);
}

static void print_want(struct bench *t, FILE *to, const struct mr_node *n)
{
    struct mr_value v;
    if (mr_node_value(n, &t->a.arena, &v))
        print_value(to, "expected:", &v);
}

/* Says what differs; false: something does. */
static bool compare(struct bench *t, const struct mr_pipeline *l, FILE *to)
{
    bool ok = true;
    const struct mr_config_test *test = t->test;
    const struct caught *c = t->first;
    uint32_t index = 1;
    if (test->out || test->no_out) {
        for (const struct mr_node *n = test->out ? test->out->first : NULL; n || c; index++) {
            if (!n || !c || !matches(t, n, c)) {
                (void)fprintf(to, "  event %u\n", index);
                if (n)
                    print_want(t, to, n);
                else
                    (void)fprintf(to, "    expected: nothing more\n");
                if (c)
                    print_value(to, "got:     ", &c->value);
                else
                    (void)fprintf(to, "    got:      nothing more\n");
                ok = false;
            }
            n = n ? n->next : NULL;
            c = c ? c->next : NULL;
            if (index > 20 && !ok) {
                (void)fprintf(to, "  and so on\n");
                break;
            }
        }
    }
    if (test->dropped >= 0 && l->n.dropped != test->dropped) {
        (void)fprintf(to, "  dropped: expected %lld, got %lld\n", (long long)test->dropped,
                      (long long)l->n.dropped);
        ok = false;
    }
    int64_t dead = test->dead >= 0 ? test->dead : 0; /* a dead letter that nobody expected is a failure */
    if (l->n.dead != dead) {
        (void)fprintf(to, "  to the error route: expected %lld, got %lld\n", (long long)dead,
                      (long long)l->n.dead);
        ok = false;
    }
    if (t->exit_code != 0 || !t->ended) {
        (void)fprintf(to, "  the pipeline %s\n", t->ended ? "failed" : "did not end");
        ok = false;
    }
    for (uint32_t i = 0; i < t->messages && !ok; i++)
        (void)fprintf(to, "  %s\n", t->message[i]);
    return ok;
}

/* ---------------------------------------------------------------- running */

static void bench_log(void *arg, enum mr_level level, const char *label, const char *text)
{
    if (level >= MR_WARN)
        note(arg, "%s: %.*s", label, mr_slice_of(text));
}

static void bench_ended(void *arg, struct mr_pipeline *line, int exit_code)
{
    struct bench *t = arg;
    (void)line;
    t->ended = true;
    t->exit_code = exit_code;
}

static bool run_in(struct bench *t, struct mr_sim *sim, FILE *to, bool *passed)
{
    struct mr_config_pipeline conf = *t->conf;
    struct mr_config_component from = {.component = &feed, .label = "test/in", .on_error = conf.on_error};
    struct mr_config_component *outs = mr_arena_take(&t->a.arena, (conf.to_count + 1) * sizeof *outs);
    struct mr_lua *lua = NULL;
    struct mr_pipeline *l = NULL;
    struct mr_err err;
    mr_err_clear(&err);
    if (!outs)
        return false;
    from.node = t->test->node;
    from.file = t->test->file;
    from.line = t->test->line;
    for (uint32_t i = 0; i < conf.to_count; i++) {
        outs[i] = conf.to[i];
        outs[i].component = &catcher;
        outs[i].options = NULL;
    }
    conf.from = &from;
    conf.from_count = 1;
    conf.to = outs;
    t->port.ops = &port_ops;
    struct mr_lane_env env = {
        .world = mr_sim_node(sim, 0),
        .topics = &t->port,
        .drain_ms = DRAIN_MS,
        .lua = &lua,
        .log = bench_log,
        .ended = bench_ended,
        .arg = t,
        .test = t,
    };
    if (mr_pipeline_new(&conf, &env, &l, &err) != MR_OK) {
        (void)fprintf(to, "  cannot set up: %s\n", err.text);
        return true;
    }
    mr_pipeline_start(l);
    mr_sim_run_until(sim, mr_sim_now(sim) + SETTLE_MS);
    mr_sim_run_until(sim, mr_sim_now(sim) + t->test->advance);
    mr_sim_run_until(sim, mr_sim_now(sim) + (t->test->advance ? SETTLE_MS : 0));
    mr_pipeline_stop(l, false);
    mr_sim_run_until(sim, mr_sim_now(sim) + 2 * (mr_ms)DRAIN_MS);
    *passed = compare(t, l, to);
    mr_pipeline_free(l);
    mr_lua_free(lua);
    return true;
}

static bool run_one(const struct mr_config_test *test, FILE *to, bool color)
{
    struct bench *t = mr_need(sizeof *t);
    struct mr_sim *sim = mr_sim_new(1);
    bool passed = false;
    char *report = NULL;
    size_t report_len = 0;
    FILE *memory = open_memstream(&report, &report_len);
    t->test = test;
    t->conf = test->pipeline;
    t->at = test->in ? test->in->first : NULL;
    t->last = &t->first;
    mr_heap_arena_init(&t->a, 64 * 1024, 0, MR_CONFIG_ARENA_BYTES);
    if (!sim || !memory || !run_in(t, sim, memory, &passed))
        (void)fprintf(to, "no memory for a test\n");
    if (memory)
        (void)fclose(memory);
    const char *tint = !color ? "" : passed ? "\033[32m" : "\033[31m", *off = color ? "\033[0m" : "";
    (void)fprintf(to, "%s%s%s %s", tint, passed ? "ok  " : "FAIL", off, test->name);
    if (!passed)
        (void)fprintf(to, "  (%s:%u)", test->file, test->line);
    (void)fputc('\n', to);
    if (!passed && report)
        (void)fwrite(report, 1, report_len, to);
    free(report);
    mr_sim_free(sim);
    mr_heap_arena_fini(&t->a);
    mr_free(t);
    return passed;
}

uint32_t mr_test_run(const struct mr_config *config, const struct mr_catalog *catalog, const char *only,
                     FILE *to, bool color)
{
    uint32_t failed = 0, ran = 0;
    (void)catalog; /* the plan has the components already */
    for (uint32_t i = 0; i < config->test_count; i++) {
        const struct mr_config_test *test = &config->tests[i];
        if (only && strcmp(only, test->name) != 0)
            continue;
        ran++;
        failed += !run_one(test, to, color);
    }
    if (only && !ran) {
        (void)fprintf(to, "there is no test named '%s'\n", only);
        return 1;
    }
    (void)fprintf(to, "%u test%s, %u failed\n", ran, ran == 1 ? "" : "s", failed);
    return failed;
}
