/* window.c - tumbling event-time windows: groups of events of the same stretch of time, counted and summed.
 *
 * Words.  A *window* is the half-open stretch [start, start + every) that holds an event's time, counted
 *         from 1970. The *watermark* is how far event time has come: the smallest of the inputs' largest
 *         event times, less `wait`. An input (one file, one partition) that was silent for `idle` is not
 *         waited for, and when all are silent event time goes on with the clock. A window is *closed* when
 *         the watermark has reached its end; its results are emitted once. An event of a closed window is
 *         *late*.
 *
 * Laws:   W1 every event is in exactly one window's result, late, or rejected
 *         W2 a source's position stays before every event of a window until that window's result is
 *            delivered (the window holds their acks)
 *         W3 after a restart no window that was delivered is emitted a second time from a part of its
 *            events: `done`, the end up to which all closed windows are delivered, is stored with the
 *            positions (F2 of flow.h)
 *         W4 under exactly-once delivery no acks are held: snapshots hold everything, and no event comes
 *            again
 *
 * Per-input watermarks with idleness are those of the Dataflow model (Akidau et al., VLDB 2015) as Flink
 * words them.
 */
#include "pipeline/window_inside.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

static const char *const agg_names[] = {"count", "sum", "min", "max", "avg", "first", "last"};

enum { LATE_DROP, LATE_DEAD };
static const char *const late_choices[] = {"drop", "dead", NULL};

static const struct mr_option options[] = {
    {.name = "id",
     .type = MR_OPT_STRING,
     .at = offsetof(struct window_step, id),
     .help = "Name of this window in metrics and in stored state; keep it when you move the step."},
    {.name = "every",
     .type = MR_OPT_DURATION,
     .at = offsetof(struct window_step, every),
     .required = true,
     .min = 1,
     .max = 366LL * 86400000,
     .help = "Length of a window; windows are counted from 1970-01-01T00:00:00Z.",
     .example = "1m"},
    {.name = "wait",
     .type = MR_OPT_DURATION,
     .at = offsetof(struct window_step, wait),
     .value = "0s",
     .min = 0,
     .max = 366LL * 86400000,
     .help = "How much later than the newest event time an event may still arrive.",
     .example = "10s"},
    {.name = "by",
     .type = MR_OPT_FIELDS,
     .at = offsetof(struct window_step, by),
     .help = "Fields whose values make a group; none: one group a window.",
     .example = "[status]"},
    {.name = "compute",
     .type = MR_OPT_VALUE,
     .at = offsetof(struct window_step, compute_option),
     .required = true,
     .help = "Result fields: a map of name to count(), count(f), sum(f), min(f), max(f), avg(f), first(f) or "
             "last(f).",
     .example = "{ hits: count(), bytes: sum(bytes) }"},
    {.name = "late",
     .type = MR_OPT_ENUM,
     .at = offsetof(struct window_step, late),
     .value = "drop",
     .choices = late_choices,
     .help =
         "What becomes of an event whose window is closed: drop (counted) or dead (the way of on_error)."},
    {.name = "idle",
     .type = MR_OPT_DURATION,
     .at = offsetof(struct window_step, idle),
     .value = "1m",
     .min = 1,
     .max = 366LL * 86400000,
     .help =
         "An input silent for so long is not waited for; when all are, event time goes on with the clock."},
    {.name = "max_groups",
     .type = MR_OPT_INT,
     .at = offsetof(struct window_step, max_groups),
     .unit = "groups",
     .value = "1000000",
     .min = 1,
     .max = 1LL << 32,
     .help = "Most groups in all open windows; more events are rejected."},
    {.name = "memory",
     .type = MR_OPT_SIZE,
     .at = offsetof(struct window_step, memory),
     .value = "256MiB",
     .min = 65536,
     .max = 1LL << 40,
     .help = "Most memory of all open windows; events beyond it are rejected."},
    {0},
};

/* ------------------------------------------------------------ configuration */

static mr_code field_init(struct field *f, struct mr_slice name, const char *option, struct mr_err *err)
{
    mr_code rc = mr_path_parse(name.p, name.len, &f->path, err);
    if (rc) {
        if (err)
            err->option = option;
        return rc;
    }
    f->name = name;
    f->plain = name.len > 0;
    for (size_t i = 0; i < name.len; i++)
        if (name.p[i] == '.' || name.p[i] == '[')
            f->plain = false;
    return MR_OK;
}

static struct mr_slice trimmed(struct mr_slice s)
{
    while (s.len && (s.p[0] == ' ' || s.p[0] == '\t'))
        s.p++, s.len--;
    while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static mr_code compute_init(struct compute *c, struct mr_slice name, const struct mr_value *v,
                            struct mr_err *err)
{
    if (v->tag != MR_STRING)
        goto bad;
    struct mr_slice text = trimmed(mr_value_text(v));
    const char *open = text.len ? memchr(text.p, '(', text.len) : NULL;
    if (!open || text.p[text.len - 1] != ')')
        goto bad;
    struct mr_slice fn = trimmed((struct mr_slice){text.p, (size_t)(open - text.p)});
    struct mr_slice arg = trimmed((struct mr_slice){open + 1, (size_t)(text.p + text.len - 1 - (open + 1))});
    c->name = name;
    for (size_t i = 0; i < sizeof agg_names / sizeof agg_names[0]; i++) {
        if (!mr_slice_eq(fn, mr_slice_of(agg_names[i])))
            continue;
        c->kind = (enum agg_kind)i;
        c->has_field = arg.len > 0;
        if (!c->has_field && c->kind != AGG_COUNT) {
            mr_fail(err, MR_BADCONF, "'%.*s': %s needs a field: write %s(bytes)", MR_SLICE_ARG(name),
                    agg_names[i], agg_names[i]);
            if (err)
                err->option = "compute";
            return MR_BADCONF;
        }
        /* "e.bytes" means the same as "bytes" */
        if (arg.len > 2 && arg.p[0] == 'e' && arg.p[1] == '.')
            arg.p += 2, arg.len -= 2;
        return c->has_field ? field_init(&c->field, arg, "compute", err) : MR_OK;
    }
bad:
    mr_fail(err, MR_BADCONF,
            "'%.*s' is not an aggregate: write count(), count(f), sum(f), min(f), max(f), avg(f), first(f) "
            "or last(f)",
            MR_SLICE_ARG(name));
    if (err)
        err->option = "compute";
    return MR_BADCONF;
}

static mr_code configure(struct window_step *s, struct mr_err *err)
{
    mr_code rc;
    if (s->ready)
        return MR_OK;
    if (s->by.count > MR_WINDOW_BY_MAX || s->compute_option.len > MR_WINDOW_COMPUTE_MAX) {
        mr_fail(err, MR_BADCONF, "at most %d fields in 'by' and %d in 'compute'", MR_WINDOW_BY_MAX,
                MR_WINDOW_COMPUTE_MAX);
        if (err)
            err->option = s->by.count > MR_WINDOW_BY_MAX ? "by" : "compute";
        return MR_BADCONF;
    }
    if (s->compute_option.tag != MR_OBJECT || s->compute_option.len == 0) {
        mr_fail(err, MR_BADCONF,
                "'compute' is a map of result names to aggregates: compute: { hits: count() }");
        if (err)
            err->option = "compute";
        return MR_BADCONF;
    }
    for (uint32_t i = 0; i < s->by.count; i++, s->by_count++)
        if ((rc = field_init(&s->by_field[i], s->by.v[i], "by", err)))
            return rc;
    for (uint32_t i = 0; i < s->compute_option.len; i++, s->compute_count++) {
        const struct mr_member *m = &s->compute_option.u.object[i];
        if ((rc = compute_init(&s->compute[i], (struct mr_slice){m->name, m->name_len}, &m->v, err)))
            return rc;
        for (uint32_t k = 0; k < s->by_count; k++)
            if (mr_slice_eq(s->compute[i].name, s->by_field[k].name)) {
                mr_fail(err, MR_BADCONF, "'%.*s' is both in 'by' and in 'compute': choose another name",
                        MR_SLICE_ARG(s->compute[i].name));
                if (err)
                    err->option = "compute";
                return MR_BADCONF;
            }
    }
    s->ready = true;
    return MR_OK;
}

static void unconfigure(struct window_step *s)
{
    for (uint32_t i = 0; i < MR_WINDOW_BY_MAX; i++)
        mr_path_free(s->by_field[i].path), s->by_field[i].path = NULL;
    for (uint32_t i = 0; i < MR_WINDOW_COMPUTE_MAX; i++)
        mr_path_free(s->compute[i].field.path), s->compute[i].field.path = NULL;
    s->by_count = s->compute_count = 0;
    s->ready = false;
}

static mr_code check(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct window_step *s = self;
    (void)o;
    mr_code rc = configure(s, err);
    unconfigure(s);
    return rc;
}

static mr_code open_step(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct window_step *s = self;
    s->svc = o->services;
    s->host = o->host;
    s->watermark = s->done = MR_TIME_NONE;
    s->closing_end = &s->closing;
    s->whole = mr_flow_whole(o->host);
    return configure(s, err);
}

static void on_late(struct window_step *s, struct mr_batch *b, uint32_t row)
{
    s->svc->count(s->host, "late", 1);
    if (s->late == LATE_DROP)
        mr_batch_drop(b, row);
    else
        s->svc->reject(b, row, "late: its window of %lld ms is closed", (long long)s->every);
}

static bool window_hold(struct window *w, struct mr_ack *ack)
{
    if (!ack || (w->ack_count && w->acks[w->ack_count - 1] == ack))
        return true;
    if (w->ack_count == w->ack_cap) {
        uint32_t cap = w->ack_cap ? w->ack_cap * 2 : 16;
        struct mr_ack **more = mr_realloc(w->acks, cap * sizeof *more);
        if (!more)
            return false;
        w->acks = more;
        w->ack_cap = cap;
    }
    mr_ack_hold(ack);
    w->acks[w->ack_count++] = ack;
    return true;
}

/* seen: the watermark as of this event, from what came before it; so that what is late does not depend on
 * batches. */
static void add_event(struct window_step *s, struct mr_batch *b, uint32_t row, struct mr_ack *ack, mr_ns seen)
{
    mr_ns t = b->time[row], start;
    uint32_t key_len = 0;
    const char *why = NULL;
    struct mr_value *v = s->in_hand;
    if (t == MR_TIME_NONE) {
        s->svc->reject(b, row, "no event time: set one with a 'time' option of the step that parses");
        return;
    }
    start = mr_window_start(s, t);
    mr_ns end = start + s->every * 1000000;
    if (end <= seen || end <= s->watermark || end <= s->done) { /* MR_TIME_NONE is before all */
        on_late(s, b, row);
        return;
    }
    if (!mr_window_key(s, b, row, &key_len, &why)) {
        s->svc->reject(b, row, "cannot group by this event: %s", why);
        return;
    }
    for (uint32_t i = 0; i < s->compute_count; i++)
        if (s->compute[i].has_field)
            v[i] = mr_window_value(&s->compute[i].field, b, row);
    struct window *w = mr_window_at(s, start);
    struct group *g = w ? mr_window_group(s, w, s->scratch ? s->scratch : "", key_len, &why) : NULL;
    if (!g || !window_hold(w, ack)) {
        s->svc->reject(b, row, "the window's limit '%s' is reached: raise it, or group by less",
                       w ? why : "memory");
        return;
    }
    for (uint32_t i = 0; i < s->compute_count; i++) {
        const struct compute *c = &s->compute[i];
        if (c->has_field && (why = mr_window_unfit(c, &g->cell[i], &v[i]))) {
            s->svc->reject(b, row, "%s(%.*s): '%.*s' %s", agg_names[c->kind], MR_SLICE_ARG(c->field.name),
                           MR_SLICE_ARG(c->field.name), why);
            return;
        }
    }
    for (uint32_t i = 0; i < s->compute_count; i++)
        if (!mr_window_add(s, &s->compute[i], &g->cell[i], &v[i])) {
            s->svc->reject(b, row, "the window's limit 'memory' is reached: raise it, or group by less");
            return;
        }
    b->fate[row] = MR_REPLACED; /* W1: its window's result stands for it */
}

/* ------------------------------------------------------------ closing */

static void closing_free(struct closing *c, bool delivered)
{
    for (uint32_t i = 0; i < c->ack_count; i++)
        if (delivered)
            mr_ack_drop(c->acks[i]);
    mr_free(c->acks);
    mr_free(c);
}

/* Oldest first, so that `done` never passes a window that is still on its way (W3). */
static void closings_settle(struct window_step *s)
{
    while (s->closing && s->closing->waiting == 0) {
        struct closing *c = s->closing;
        s->closing = c->next;
        if (!s->closing)
            s->closing_end = &s->closing;
        if (s->done == MR_TIME_NONE || c->end > s->done)
            s->done = c->end;
        closing_free(c, true);
    }
}

static void result_delivered(void *arg)
{
    struct closing *c = arg;
    mr_assert(c->waiting > 0);
    c->waiting--;
    closings_settle(c->step);
}

static mr_code result_row(struct window_step *s, const struct window *w, const struct group *g,
                          struct mr_batch *b, uint32_t row)
{
    mr_ns end = w->start + s->every * 1000000;
    mr_window_unkey(s, g, b, row);
    for (uint32_t i = 0; i < s->compute_count; i++) {
        int32_t slot = mr_batch_slot(b, s->compute[i].name.p, s->compute[i].name.len, true);
        if (slot < 0)
            return MR_LIMIT;
        b->column[slot].v[row] = mr_window_result(&s->compute[i], &g->cell[i], b->arena);
    }
    int32_t slot = mr_batch_slot(b, "window", 6, true);
    struct mr_member *m = mr_arena_take(b->arena, 2 * sizeof *m);
    if (slot < 0 || !m)
        return MR_LIMIT;
    m[0] = (struct mr_member){.name = "start", .name_len = 5, .v = {.tag = MR_TIME, .u.i = w->start}};
    m[1] = (struct mr_member){.name = "end", .name_len = 3, .v = {.tag = MR_TIME, .u.i = end}};
    b->column[slot].v[row] = (struct mr_value){.tag = MR_OBJECT, .len = 2, .u.object = m};
    b->time[row] = end - 1000000;
    return MR_OK;
}

static mr_code window_close(struct window_step *s, struct window *w, struct mr_err *err)
{
    struct closing *c = mr_alloc(sizeof *c);
    if (!c)
        return mr_fail(err, MR_MEMORY, "no memory to close a window");
    c->step = s;
    c->end = w->start + s->every * 1000000;
    c->acks = w->acks;
    c->ack_count = w->ack_count;
    c->waiting = 1; /* our own, until all batches are emitted */
    w->acks = NULL;
    *s->closing_end = c;
    s->closing_end = &c->next;
    for (uint32_t first = 0; first < w->count;) {
        struct mr_batch *b = s->svc->batch_new(s->host, NULL);
        if (!b)
            return mr_fail(err, MR_LIMIT, "no room for a window's results: raise the pipeline's 'memory'");
        uint32_t n = w->count - first < b->cap ? w->count - first : b->cap;
        s->svc->rows(b, n);
        b->source = MR_SLICE("window");
        for (uint32_t i = 0; i < n; i++)
            if (result_row(s, w, w->groups[first + i], b, i) != MR_OK)
                return mr_fail(err, MR_LIMIT, "a window's results do not fit into a batch ('batch_bytes')");
        c->waiting++;
        mr_flow_on_delivered(b, result_delivered, c);
        s->svc->emit(s->host, b);
        first += n;
    }
    s->svc->count(s->host, "windows_closed", 1);
    mr_window_free(s, w);
    result_delivered(c);
    return MR_OK;
}

/* Closes every window that ends at or before `until`. */
static mr_code close_until(struct window_step *s, mr_ns until, struct mr_err *err)
{
    mr_code rc = MR_OK;
    uint32_t n = 0;
    while (n < s->window_count && s->windows[n]->start + s->every * 1000000 <= until)
        n++;
    if (n) {
        s->last = NULL;
        for (uint32_t i = 0; i < n && !rc; i++) {
            mr_ns end = s->windows[i]->start + s->every * 1000000;
            if ((rc = window_close(s, s->windows[i], err)))
                return rc; /* the pipeline stops; close() frees what is left */
            s->windows[i] = NULL;
            if (s->watermark == MR_TIME_NONE || s->watermark < end)
                s->watermark = end;
        }
        memmove(s->windows, s->windows + n, (s->window_count - n) * sizeof(struct window *));
        s->window_count -= n;
    }
    return rc;
}

/* How far event time has come. *seen: the same by events alone, without the clock's help; behind it an event
 * is late even when its window never was. Closing by the clock makes late only what belongs to the windows it
 * closed, so that a source that pauses and then goes on where it stopped loses nothing. */
static mr_ns event_time(struct window_step *s, mr_ms now, mr_ns *seen)
{
    mr_ns least = MR_NEVER, most = MR_TIME_NONE;
    mr_ms heard = 0;
    for (uint32_t i = 0; i < s->input_count; i++) {
        const struct input *in = &s->input[i];
        if (in->max == MR_TIME_NONE)
            continue; /* it had no event with a time yet */
        if (most == MR_TIME_NONE || in->max > most) {
            most = in->max;
            heard = in->heard_at;
        }
        if (now - in->heard_at < s->idle && in->max < least)
            least = in->max;
    }
    *seen = least != MR_NEVER ? least : most;
    if (least != MR_NEVER || most == MR_TIME_NONE)
        return *seen;
    return most + (now - heard) * 1000000; /* all are silent */
}

static void set_timer(struct window_step *s, mr_ms now)
{
    if (s->window_count == 0) {
        s->svc->timer(s->host, MR_NEVER);
        return;
    }
    /* The first window closes by the clock when everything stays silent from now on. */
    mr_ns close_at = s->windows[0]->start + (s->every + s->wait) * 1000000, seen,
          at = event_time(s, now, &seen);
    mr_ms in = at >= close_at ? 1 : (close_at - at) / 1000000 + 1;
    s->svc->timer(s->host, now + (in > s->idle ? in : s->idle));
}

static mr_code advance(struct window_step *s, struct mr_err *err)
{
    mr_ms now = s->svc->monotonic(s->host);
    mr_ns seen, t = event_time(s, now, &seen);
    mr_code rc = MR_OK;
    if (t != MR_TIME_NONE) {
        rc = close_until(s, t - s->wait * 1000000, err);
        if (s->watermark == MR_TIME_NONE || s->watermark < seen - s->wait * 1000000)
            s->watermark = seen - s->wait * 1000000;
    }
    set_timer(s, now);
    return rc;
}

static struct input *input_of(struct window_step *s, const struct mr_batch *b)
{
    uint64_t id = s->inputs_merged ? 0 : mr_hash64(b->source.p, b->source.len, (uint64_t)b->partition + 1);
    for (uint32_t i = 0; i < s->input_count; i++)
        if (s->input[i].id == id)
            return &s->input[i];
    if (s->input_count == MR_WINDOW_INPUTS_MAX) { /* too many to follow: one for all from here on */
        s->inputs_merged = true;
        s->input_count = 1;
        s->input[0].id = 0;
        return &s->input[0];
    }
    struct input *in = &s->input[s->input_count++];
    *in = (struct input){.id = id, .max = MR_TIME_NONE};
    return in;
}

/* ------------------------------------------------------------ callbacks */

/* The smallest of the other inputs that are waited for; MR_NEVER: there is none. */
static mr_ns others(const struct window_step *s, const struct input *in, mr_ms now)
{
    mr_ns least = MR_NEVER;
    for (uint32_t i = 0; i < s->input_count; i++)
        if (&s->input[i] != in && s->input[i].max != MR_TIME_NONE && now - s->input[i].heard_at < s->idle &&
            s->input[i].max < least)
            least = s->input[i].max;
    return least;
}

static mr_code process(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct window_step *s = self;
    struct mr_ack *ack = s->whole ? NULL : mr_flow_ack(b); /* W4 */
    mr_ms now = s->svc->monotonic(s->host);
    struct input *in = input_of(s, b);
    mr_ns least = others(s, in, now), newest = in->max;
    for (uint32_t i = 0; i < s->by_count; i++)
        s->by_field[i].slot = mr_batch_slot(b, s->by_field[i].name.p, s->by_field[i].name.len, false);
    for (uint32_t i = 0; i < s->compute_count; i++)
        if (s->compute[i].has_field)
            s->compute[i].field.slot =
                mr_batch_slot(b, s->compute[i].field.name.p, s->compute[i].field.name.len, false);
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t row = b->sel[k];
        mr_ns seen = newest < least ? newest : least;
        add_event(s, b, row, ack, seen == MR_TIME_NONE ? seen : seen - s->wait * 1000000);
        if (b->time[row] > newest)
            newest = b->time[row];
    }
    if (newest != MR_TIME_NONE) {
        in->heard_at = now;
        in->max = newest;
    }
    return advance(s, err);
}

static mr_code on_timer(void *self, struct mr_err *err)
{
    return advance(self, err);
}

static mr_code finish(void *self, struct mr_err *err)
{
    return close_until(self, MR_NEVER, err);
}

/* What W3 needs: the one number, 8 bytes little-endian behind a version byte. */
static mr_code snapshot(void *self, struct mr_buf *out, struct mr_err *err)
{
    const struct window_step *s = self;
    char bytes[9] = {1};
    if (s->whole) {
        mr_assert(!s->closing); /* nothing is on its way then */
        return mr_window_save(s, out) ? MR_OK : mr_fail(err, MR_MEMORY, "no memory for a window's snapshot");
    }
    for (int i = 0; i < 8; i++)
        bytes[1 + i] = (char)((uint64_t)s->done >> (8 * i));
    if (!s->svc->buf_put(out, bytes, sizeof bytes))
        return mr_fail(err, MR_MEMORY, "no memory for a window's snapshot");
    return MR_OK;
}

static mr_code restore(void *self, struct mr_slice saved, struct mr_err *err)
{
    struct window_step *s = self;
    uint64_t v = 0;
    if (saved.len == 0)
        return MR_OK;
    if (saved.p[0] == 2) {
        mr_code rc = mr_window_load(s, saved, err);
        if (rc == MR_OK)
            set_timer(s, s->svc->monotonic(s->host));
        return rc;
    }
    if (saved.len != 9 || saved.p[0] != 1)
        return mr_fail(err, MR_CORRUPT,
                       "a window's stored state has %zu bytes, not 9: it is of another version", saved.len);
    for (int i = 0; i < 8; i++)
        v |= (uint64_t)(uint8_t)saved.p[1 + i] << (8 * i);
    s->done = (mr_ns)v;
    return MR_OK;
}

static void close_step(void *self)
{
    struct window_step *s = self;
    for (uint32_t i = 0; i < s->window_count; i++)
        if (s->windows[i])
            mr_window_free(s, s->windows[i]);
    mr_free(s->windows);
    mr_free(s->scratch);
    while (s->closing) {
        struct closing *c = s->closing;
        s->closing = c->next;
        closing_free(c, false);
    }
    unconfigure(s);
    s->windows = NULL;
    s->scratch = NULL;
    s->window_count = s->window_cap = 0;
}

const struct mr_component mr_window_component = {
    .size = sizeof(struct mr_component),
    .kind = MR_PROCESSOR,
    .name = "window",
    .summary = "Group events of the same stretch of event time and compute over each group.",
    .doc =
        "A window covers `[start, start + every)` of event time, counted from 1970 in UTC. It closes when "
        "event time\n"
        "has come `wait` past its end, and then emits one event a group: the fields of `by`, the results of\n"
        "`compute`, and `window.start` and `window.end`. Results come once, in the order in which groups "
        "first appeared.\n"
        "\n"
        "Event time is followed for each input (file, partition) by itself and the slowest one counts; one "
        "that is silent\n"
        "for `idle` is not waited for. When all are silent, event time goes on with the clock, so that the "
        "last window\n"
        "closes too; a window behind another one needs a longer `idle` than it. A run with `--once` closes "
        "all windows at the end of its input.\n"
        "\n"
        "`count(f)` and the others pass over events that lack the field or have null there. `sum` stays a "
        "64-bit integer\n"
        "until it overflows or meets a float. A value of the wrong type sends its event the way of "
        "`on_error`.\n"
        "\n"
        "Positions of sources stay before the events of open windows until the results are delivered: after "
        "a crash they\n"
        "are read again, and windows delivered before are not emitted a second time.\n"
        "\n"
        "```yaml\n"
        "- window: { id: per_status, every: 1m, wait: 10s, by: [status], compute: { hits: count(), bytes: "
        "sum(bytes) } }\n"
        "```\n",
    .self_size = sizeof(struct window_step),
    .options = options,
    .check = check,
    .open = open_step,
    .close = close_step,
    .process = process,
    .on_timer = on_timer,
    .finish = finish,
    .snapshot = snapshot,
    .restore = restore,
};
