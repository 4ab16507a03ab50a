/* kit.c - see kit.h. */
#include "pipeline/kit.h"

#include "base/buf.h"
#include "data/json.h"
#include "pipeline/flow.h"
#include "plugin/host.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct kit_script kit;

/* ---------------------------------------------------------------- source lines */

struct lines {
    struct mr_strings text;
    int64_t batch, repeat, broken;
    bool live, nowhere;
    struct mr_host *host;
    const struct mr_services *svc;
    uint64_t at;
};
static const struct mr_option lines_options[] = {
    {.name = "text",
     .type = MR_OPT_STRINGS,
     .at = offsetof(struct lines, text),
     .main = true,
     .required = true,
     .help = "The lines."},
    {.name = "batch",
     .type = MR_OPT_INT,
     .at = offsetof(struct lines, batch),
     .value = "1",
     .min = 1,
     .max = 4096,
     .help = "Events a read."},
    {.name = "repeat",
     .type = MR_OPT_INT,
     .at = offsetof(struct lines, repeat),
     .value = "1",
     .min = 1,
     .max = 1000000,
     .help = "How often."},
    {.name = "broken",
     .type = MR_OPT_INT,
     .at = offsetof(struct lines, broken),
     .value = "0",
     .min = 0,
     .max = 100,
     .help = "Reads that fail first."},
    {.name = "live", .type = MR_OPT_BOOL, .at = offsetof(struct lines, live), .help = "Never ends."},
    {.name = "nowhere",
     .type = MR_OPT_BOOL,
     .at = offsetof(struct lines, nowhere),
     .help = "Has no positions."},
    {0},
};

static mr_code lines_open(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct lines *s = self;
    (void)err;
    s->host = o->host;
    s->svc = o->services;
    for (uint32_t i = 0; i < o->position_count; i++)
        if (mr_slice_eq(o->positions[i].key, MR_SLICE("lines"))) {
            char text[32] = "";
            memcpy(text, o->positions[i].pos.p, o->positions[i].pos.len < 31 ? o->positions[i].pos.len : 31);
            s->at = strtoull(text, NULL, 10);
        }
    return MR_OK;
}

static mr_code lines_read(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct lines *s = self;
    uint64_t total = (uint64_t)s->repeat * s->text.count, n = (uint64_t)s->batch;
    if (kit.reads++ < (unsigned)s->broken)
        return mr_fail(err, MR_IO, "the reader is broken");
    if (s->at >= total)
        return s->live ? MR_AGAIN : MR_END;
    if (n > total - s->at)
        n = total - s->at;
    s->svc->rows(b, (uint32_t)n);
    int32_t m = s->svc->slot(b, "message", 7, true), c = s->svc->slot(b, "n", 1, true);
    for (uint32_t r = 0; r < n; r++, s->at++) {
        b->column[m].v[r] = mr_value_string(s->text.v[s->at % s->text.count]);
        b->column[c].v[r] = mr_value_int((int64_t)s->at);
        b->offset[r] = (int64_t)s->at;
        b->time[r] = (int64_t)s->at * 1000000000;
    }
    char pos[32];
    (void)snprintf(pos, sizeof pos, "%llu", (unsigned long long)s->at);
    b->source = MR_SLICE("lines");
    if (s->nowhere)
        return MR_OK;
    b->pos_key = MR_SLICE("lines");
    b->pos = mr_slice_copy(b->arena, mr_slice_of(pos));
    return MR_OK;
}

/* ---------------------------------------------------------------- steps */

struct cond {
    struct mr_expr *x;
    struct mr_host *host;
    const struct mr_services *svc;
};
static const struct mr_option drop_options[] = {
    {.name = "if_true",
     .type = MR_OPT_EXPR,
     .at = offsetof(struct cond, x),
     .main = true,
     .required = true,
     .help = "Which."},
    {0},
};
static mr_code cond_open(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct cond *s = self;
    (void)err;
    s->host = o->host;
    s->svc = o->services;
    return MR_OK;
}
static mr_code drop_process(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct cond *s = self;
    uint8_t truth[MR_BATCH_ROWS_MAX];
    (void)err;
    s->svc->test(s->host, s->x, b, truth);
    for (uint32_t k = 0; k < b->count; k++)
        if (b->fate[b->sel[k]] == MR_KEPT && truth[b->sel[k]])
            mr_batch_drop(b, b->sel[k]);
    return MR_OK;
}

struct set {
    struct mr_named_exprs x;
    struct mr_host *host;
    const struct mr_services *svc;
};
static const struct mr_option set_options[] = {
    {.name = "fields",
     .type = MR_OPT_EXPRS,
     .at = offsetof(struct set, x),
     .main = true,
     .required = true,
     .help = "What."},
    {0},
};
static mr_code set_open(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct set *s = self;
    (void)err;
    s->host = o->host;
    s->svc = o->services;
    return MR_OK;
}
static mr_code set_process(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct set *s = self;
    struct mr_value out[MR_BATCH_ROWS_MAX];
    (void)err;
    for (uint32_t i = 0; i < s->x.count; i++) {
        s->svc->eval(s->host, s->x.v[i].expr, b, out);
        for (uint32_t k = 0; k < b->count; k++)
            if (b->fate[b->sel[k]] == MR_KEPT)
                (void)s->svc->set(b, b->sel[k], s->x.v[i].name.p, s->x.v[i].name.len, out[b->sel[k]]);
    }
    return MR_OK;
}

struct text_step {
    struct mr_slice text;
    const struct mr_services *svc;
    struct mr_host *host;
    uint64_t seen;
    struct mr_ack *acks[4096];
    uint32_t ack_count;
};
static const struct mr_option text_options[] = {
    {.name = "text",
     .type = MR_OPT_STRING,
     .at = offsetof(struct text_step, text),
     .main = true,
     .help = "Which."},
    {0},
};
static mr_code text_open(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct text_step *s = self;
    (void)err;
    s->svc = o->services;
    s->host = o->host;
    return MR_OK;
}
static mr_code remove_process(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct text_step *s = self;
    (void)err;
    s->svc->remove(b, s->text.p, s->text.len);
    return MR_OK;
}
static mr_code refuse_process(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct text_step *s = self;
    (void)err;
    for (uint32_t k = 0; k < b->count; k++) {
        struct mr_value v = s->svc->get(b, b->sel[k], "message", 7);
        if (v.tag == MR_STRING && mr_slice_eq(mr_value_text(&v), s->text))
            s->svc->reject(b, b->sel[k], "refused '%.*s'", MR_SLICE_ARG(s->text));
    }
    return MR_OK;
}
static mr_code twice_process(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct text_step *s = self;
    struct mr_batch *copy = s->svc->batch_new(s->host, b);
    if (!copy)
        return mr_fail(err, MR_LIMIT, "no room");
    for (uint32_t k = 0; k < b->count; k++)
        if (!mr_batch_copy_row(copy, b, b->sel[k]))
            return mr_fail(err, MR_LIMIT, "no room");
    s->svc->emit(s->host, copy);
    return MR_OK;
}
static mr_code tail_process(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct text_step *s = self;
    (void)err;
    struct mr_ack *a = mr_flow_ack(b);
    mr_ack_hold(a);
    s->acks[s->ack_count++] = a;
    for (uint32_t k = 0; k < b->count; k++)
        b->fate[b->sel[k]] = MR_REPLACED;
    s->seen += b->count;
    return MR_OK;
}
static mr_code tail_finish(void *self, struct mr_err *err)
{
    struct text_step *s = self;
    struct mr_batch *b = s->svc->batch_new(s->host, NULL);
    if (!b)
        return mr_fail(err, MR_LIMIT, "no room");
    s->svc->rows(b, 1);
    (void)s->svc->set(b, 0, "message", 7, mr_value_string(MR_SLICE("tail")));
    (void)s->svc->set(b, 0, "seen", 4, mr_value_int((int64_t)s->seen));
    for (uint32_t i = 0; i < s->ack_count; i++)
        assert_true(mr_flow_attach(b, s->acks[i]));
    s->ack_count = 0;
    s->svc->emit(s->host, b);
    return MR_OK;
}
static mr_code tail_snapshot(void *self, struct mr_buf *out, struct mr_err *err)
{
    struct text_step *s = self;
    (void)err;
    char text[32];
    (void)snprintf(text, sizeof text, "%u", s->ack_count);
    return mr_buf_puts(out, text) ? MR_OK : MR_MEMORY;
}
static mr_code tail_restore(void *self, struct mr_slice saved, struct mr_err *err)
{
    (void)self;
    return saved.len ? MR_OK : mr_fail(err, MR_CORRUPT, "no state");
}
static mr_code pattern_check(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct text_step *s = self;
    (void)o;
    const char *at = s->text.len ? memchr(s->text.p, '(', s->text.len) : NULL;
    if (!at)
        return MR_OK;
    mr_fail(err, MR_BADCONF, "this group is never closed");
    err->option = "text";
    err->at = (uint32_t)(at - s->text.p);
    return MR_BADCONF;
}
static mr_code keep_process(void *self, struct mr_batch *b, struct mr_err *err)
{
    (void)self;
    (void)b;
    (void)err;
    return MR_OK;
}
static mr_code bad_process(void *self, struct mr_batch *b, struct mr_err *err)
{
    (void)self;
    (void)b;
    return mr_fail(err, MR_LIMIT, "the step is at its limit");
}

static mr_code grow_process(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct text_step *s = self;
    (void)err;
    s->svc->rows(b, b->rows + 3);
    return MR_OK;
}

/* ---------------------------------------------------------------- source feed: a descriptor, or another
 * thread */

struct fd_source {
    int64_t fd;
    bool thread;
    struct mr_host *host;
    const struct mr_services *svc;
    pthread_t waker;
    _Atomic int64_t ready, taken;
    bool started;
};
static const struct mr_option fd_options[] = {
    {.name = "fd",
     .type = MR_OPT_INT,
     .at = offsetof(struct fd_source, fd),
     .main = true,
     .value = "0",
     .min = 0,
     .max = 100000,
     .help = "Descriptor."},
    {.name = "thread",
     .type = MR_OPT_BOOL,
     .at = offsetof(struct fd_source, thread),
     .help = "Woken by a thread."},
    {0},
};
static void *waker(void *arg)
{
    struct fd_source *s = arg;
    for (int i = 0; i < 1000; i++) {
        atomic_fetch_add(&s->ready, 1);
        s->svc->wake(s->host);
    }
    return NULL;
}
static mr_code fd_open(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct fd_source *s = self;
    s->host = o->host;
    s->svc = o->services;
    if (!s->thread)
        return s->svc->watch(s->host, (int)s->fd, err);
    s->started = pthread_create(&s->waker, NULL, waker, s) == 0;
    return s->started ? MR_OK : MR_LIMIT;
}
static void fd_close(void *self)
{
    struct fd_source *s = self;
    if (s->started)
        (void)pthread_join(s->waker, NULL);
    s->started = false;
}
static mr_code fd_read(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct fd_source *s = self;
    char *text = mr_arena_take(b->arena, 64);
    kit.reads++;
    ssize_t n = 1;
    if (s->thread) {
        if (atomic_load(&s->taken) == 1000)
            return MR_END;
        if (atomic_load(&s->taken) == atomic_load(&s->ready))
            return MR_AGAIN;
        atomic_fetch_add(&s->taken, 1);
        text[0] = 'x';
    } else {
        n = read((int)s->fd, text, 64);
    }
    if (n == 0)
        return MR_END;
    if (n < 0)
        return errno == EAGAIN ? MR_AGAIN : mr_fail(err, MR_IO, "read failed");
    s->svc->rows(b, 1);
    int32_t slot = s->svc->slot(b, "message", 7, true); /* moves b->column */
    b->column[slot].v[0] = mr_value_string((struct mr_slice){text, (size_t)n});
    return MR_OK;
}

/* ---------------------------------------------------------------- sinks */

struct out {
    struct mr_slice name;
    struct mr_host *host;
};
static const struct mr_option out_options[] = {
    {.name = "name",
     .type = MR_OPT_STRING,
     .at = offsetof(struct out, name),
     .main = true,
     .help = "Its name."},
    {0},
};

void kit_reset(void)
{
    for (uint32_t i = 0; i < kit.got_count; i++)
        free(kit.got[i].text);
    struct kit_got *got = kit.got ? kit.got : calloc(KIT_ROWS_MAX, sizeof *got);
    memset(&kit, 0, sizeof kit);
    kit.got = got;
}

void kit_take(struct mr_batch *b, uint32_t k)
{
    struct mr_buf text = {0};
    uint32_t row = b->sel[k];
    assert_true(kit.got_count < KIT_ROWS_MAX);
    struct kit_got *g = &kit.got[kit.got_count++];
    assert_true(mr_json_write_row(&text, b, row) && mr_buf_put(&text, "", 1));
    g->text = strdup(text.p);
    mr_buf_fini(&text);
    struct mr_value v = mr_batch_get(b, row, "message", 7);
    (void)snprintf(g->message, sizeof g->message, "%.*s", v.tag == MR_STRING ? (int)v.len : 0, v.u.s);
}

static mr_code out_open(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct out *s = self;
    s->host = o->host;
    kit.host = o->host;
    kit.opens++;
    return kit.on_open ? kit.on_open(kit.opens, err) : MR_OK;
}
static mr_code out_write(void *self, struct mr_batch *b, uint64_t ticket, struct mr_verdict *v,
                         struct mr_err *err)
{
    struct out *s = self;
    struct mr_pipeline *l = ((struct mr_part *)s->host)->line;
    if (l->live_bytes > kit.live_bytes_most)
        kit.live_bytes_most = l->live_bytes;
    kit.writes++;
    if (kit.on_write) {
        mr_code rc = kit.on_write(b, ticket, v, kit.writes, err);
        if (rc == MR_PENDING) {
            kit.ticket[kit.ticket_count] = ticket;
            kit.ticket_rows[kit.ticket_count++] = b->count;
        }
        return rc;
    }
    for (uint32_t k = 0; k < b->count; k++)
        kit_take(b, k);
    return MR_OK;
}
static mr_code out_flush(void *self, struct mr_err *err)
{
    (void)self;
    kit.flushes++;
    return kit.on_flush ? kit.on_flush(err) : MR_OK;
}
static void out_close(void *self)
{
    (void)self;
    kit.closes++;
}

struct file_sink {
    struct mr_template *path;
};
static const struct mr_option file_options[] = {
    {.name = "path",
     .type = MR_OPT_TEMPLATE,
     .at = offsetof(struct file_sink, path),
     .main = true,
     .required = true,
     .help = "Where."},
    {0},
};
static mr_code file_write(void *self, struct mr_batch *b, uint64_t ticket, struct mr_verdict *v,
                          struct mr_err *err)
{
    (void)self;
    (void)b;
    (void)ticket;
    (void)v;
    (void)err;
    return MR_OK;
}

#define COMPONENT(kind_, name_, type, table)                                                                 \
    .size = sizeof(struct mr_component), .kind = kind_, .name = name_, .summary = "A part of tests.",        \
    .doc = "For tests.", .self_size = sizeof(type), .options = table
static const struct mr_component lines = {COMPONENT(MR_SOURCE, "lines", struct lines, lines_options),
                                          .open = lines_open, .read = lines_read, .traits = MR_REPLAYS};
static const struct mr_component drop = {COMPONENT(MR_PROCESSOR, "drop", struct cond, drop_options),
                                         .open = cond_open, .process = drop_process};
static const struct mr_component set = {COMPONENT(MR_PROCESSOR, "set", struct set, set_options),
                                        .open = set_open, .process = set_process};
static const struct mr_component remove_ = {COMPONENT(MR_PROCESSOR, "remove", struct text_step, text_options),
                                            .open = text_open, .process = remove_process};
static const struct mr_component refuse = {COMPONENT(MR_PROCESSOR, "refuse", struct text_step, text_options),
                                           .open = text_open, .process = refuse_process};
static const struct mr_component twice = {COMPONENT(MR_PROCESSOR, "twice", struct text_step, text_options),
                                          .open = text_open, .process = twice_process};
static const struct mr_component tail = {COMPONENT(MR_PROCESSOR, "tail", struct text_step, text_options),
                                         .open = text_open,
                                         .process = tail_process,
                                         .finish = tail_finish,
                                         .snapshot = tail_snapshot,
                                         .restore = tail_restore};
static const struct mr_component pattern = {
    COMPONENT(MR_PROCESSOR, "pattern", struct text_step, text_options), .check = pattern_check,
    .open = text_open, .process = keep_process};
static const struct mr_component bad = {COMPONENT(MR_PROCESSOR, "bad", struct text_step, text_options),
                                        .open = text_open, .process = bad_process};
static const struct mr_component grow = {COMPONENT(MR_PROCESSOR, "grow", struct text_step, text_options),
                                         .open = text_open, .process = grow_process};
static const struct mr_component feed = {COMPONENT(MR_SOURCE, "feed", struct fd_source, fd_options),
                                         .open = fd_open, .close = fd_close, .read = fd_read};
static const struct mr_component out = {COMPONENT(MR_SINK, "out", struct out, out_options), .open = out_open,
                                        .write = out_write, .flush = out_flush, .close = out_close};
static const struct mr_component file = {COMPONENT(MR_SINK, "file", struct file_sink, file_options),
                                         .write = file_write};
const struct mr_component *const kit_components[] = {&grow,  &feed, &lines,   &drop, &set, &remove_, &refuse,
                                                     &twice, &tail, &pattern, &bad,  &out, &file,    NULL};

struct mr_catalog *kit_catalog(void)
{
    struct mr_catalog *c = NULL;
    struct mr_err err;
    mr_err_clear(&err);
    if (mr_catalog_new(&c, &err) != MR_OK || mr_pipeline_components(c, &err) != MR_OK)
        fail_msg("%s", err.text);
    for (size_t i = 0; kit_components[i]; i++)
        if (mr_catalog_add(c, kit_components[i], &err) != MR_OK)
            fail_msg("%s", err.text);
    return c;
}

/* ---------------------------------------------------------------- plans and lines */

void kit_plan(struct kit_plan *p, const char *yaml)
{
    memset(p, 0, sizeof *p);
    p->catalog = kit_catalog();
    mr_heap_arena_init(&p->a, 16 * 1024, 0, MR_CONFIG_ARENA_BYTES);
    struct mr_config_file file_ = {"test.yaml", mr_slice_of(yaml)};
    if (mr_config_load(&file_, 1, p->catalog, 0, &p->a, &p->diags, &p->config) != MR_OK) {
        mr_diags_print(&p->diags, p->config.sources, p->config.source_count, stderr, false);
        fail_msg("the plan is not valid");
    }
}

void kit_plan_fini(struct kit_plan *p)
{
    mr_diags_fini(&p->diags);
    mr_heap_arena_fini(&p->a);
    mr_catalog_free(p->catalog);
}

static void line_log(void *arg, enum mr_level level, const char *label, const char *text)
{
    struct kit_line *k = arg;
    if (level < MR_WARN)
        return;
    k->errors += level == MR_ERROR;
    k->warnings += level == MR_WARN;
    (void)snprintf(k->last_log, sizeof k->last_log, "%s: %s", label, text);
}

static void line_ended(void *arg, struct mr_pipeline *line, int exit_code)
{
    struct kit_line *k = arg;
    (void)line;
    assert_false(k->ended);
    k->ended = true;
    k->exit_code = exit_code;
}

static bool line_fed(void *arg, const struct mr_pipeline *reader, const char *topic)
{
    struct kit_line *k = arg;
    return k->fed && k->fed(arg, reader, topic);
}

void kit_open(struct kit_line *k, const char *yaml, bool once, const char *data_dir)
{
    memset(k, 0, sizeof *k);
    kit_reset();
    kit_plan(&k->plan, yaml);
    k->sim = mr_sim_new(7);
    k->world = mr_sim_node(k->sim, 0);
    kit_port_init(&k->port);
    k->env = (struct mr_lane_env){
        .world = k->world,
        .topics = &k->port.port,
        .data_dir = data_dir,
        .once = once,
        .drain_ms = 30000,
        .log = line_log,
        .fed = line_fed,
        .ended = line_ended,
        .arg = k,
    };
}

void kit_start(struct kit_line *k)
{
    struct mr_err err;
    mr_err_clear(&err);
    k->ended = false;
    k->exit_code = -1;
    if (mr_pipeline_new(&k->plan.config.pipelines[0], &k->env, &k->line, &err) != MR_OK)
        fail_msg("%s", err.text);
    mr_pipeline_start(k->line);
}

void kit_run(struct kit_line *k, mr_ms ms)
{
    mr_sim_run_until(k->sim, mr_sim_now(k->sim) + ms);
}

void kit_law(const struct kit_line *k)
{
    const struct mr_counters *n = &k->line->n;
    assert_int_equal(n->in + n->made, n->out + n->dropped + n->dead + n->replaced + n->in_flight);
}

void kit_end(struct kit_line *k)
{
    if (k->line)
        kit_law(k);
    mr_pipeline_free(k->line);
    k->line = NULL;
}

void kit_close(struct kit_line *k)
{
    kit_end(k);
    kit_port_fini(&k->port);
    mr_sim_free(k->sim);
    kit_plan_fini(&k->plan);
    kit_reset();
}

const char *kit_messages(void)
{
    static char text[8192];
    size_t len = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < kit.got_count && len < sizeof text - 80; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s", i ? " " : "", kit.got[i].message);
    return text;
}
