/* dead.c - the error route: refused events as records of the topic <pipeline>.dead.
 *
 * The value is the text that the event came as, where it still is that (a line, a JSON object), else its
 * JSON; headers say pipeline, step, where (file:line), reason and time. The reads that the events came from
 * are held until the records are as durable as the topic promises: a position never passes a dead letter that
 * was lost.
 */
#include "pipeline/inside.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/time.h"
#include "data/json.h"

#include <stdio.h>

enum { DEAD_BATCH_BYTES = 256 * 1024 };

struct letters { /* one record batch */
    struct letters *next;
    struct mr_buf bytes;
    struct mr_ack **acks;
    uint32_t ack_count, ack_cap;
};

struct mr_dead {
    struct mr_pipeline *line;
    struct mr_slice topic;
    struct letters *open; /* being built */
    struct mr_record_build build;
    struct letters *first, *last; /* complete, oldest first; the first one may be at the port */
    struct mr_buf value;
    bool ready;   /* the topic is there */
    bool calling; /* the port has a call of ours */
    bool told;
    uint32_t attempts;
    struct mr_timer again;
};

static void pump(struct mr_dead *d);

static void letters_free(struct letters *x)
{
    if (!x)
        return;
    mr_buf_fini(&x->bytes);
    mr_free(x->acks);
    mr_free(x);
}

mr_code mr_dead_new(struct mr_pipeline *l, struct mr_err *err)
{
    struct mr_dead *d = mr_alloc(sizeof *d);
    if (!d)
        return mr_fail(err, MR_MEMORY, "no memory for the error route");
    d->line = l;
    d->topic = mr_slice_of(l->conf->dead);
    l->dead = d;
    return MR_OK;
}

void mr_dead_free(struct mr_dead *d)
{
    if (!d)
        return;
    mr_timer_stop(d->line->env.world, &d->again);
    letters_free(d->open);
    while (d->first) {
        struct letters *x = d->first;
        d->first = x->next;
        letters_free(x);
    }
    mr_buf_fini(&d->value);
    mr_free(d);
}

bool mr_dead_idle(const struct mr_dead *d)
{
    return !d->open && !d->first;
}

static bool hold(struct letters *x, struct mr_ack *a)
{
    if (x->ack_count && x->acks[x->ack_count - 1] == a)
        return true;
    if (x->ack_count == x->ack_cap) {
        uint32_t cap = x->ack_cap ? x->ack_cap * 2 : 8;
        struct mr_ack **more = mr_realloc(x->acks, cap * sizeof(*more));
        if (!more)
            return false;
        x->acks = more;
        x->ack_cap = cap;
    }
    mr_ack_hold(a);
    x->acks[x->ack_count++] = a;
    return true;
}

/* The text of an event that has nothing but its `message`; p NULL: it has more. */
static struct mr_slice only_message(const struct mr_batch *b, uint32_t row)
{
    struct mr_slice text = {NULL, 0};
    for (uint32_t c = 0; c < b->columns; c++) {
        const struct mr_column *col = &b->column[c];
        if (col->removed || col->v[row].tag == MR_MISSING)
            continue;
        if (col->name_len != 7 || memcmp(col->name, "message", 7) != 0 || col->v[row].tag != MR_STRING)
            return (struct mr_slice){NULL, 0};
        text = mr_value_text(&col->v[row]);
    }
    return text;
}

static bool add_record(struct mr_dead *d, struct mr_flight *f, uint32_t row,
                       const struct mr_config_component *conf, struct mr_slice reason)
{
    const struct mr_batch *b = f->b;
    struct mr_pipeline *l = d->line;
    mr_ns now = mr_wall(l->env.world);
    char where[1024], when[40];
    (void)snprintf(where, sizeof where, "%s:%u", conf->file, conf->line);
    (void)mr_rfc3339_print(now, when);
    struct mr_header headers[] = {
        {.name = MR_SLICE("pipeline"), .value = mr_slice_of(l->conf->name)},
        {.name = MR_SLICE("step"), .value = mr_slice_of(conf->label)},
        {.name = MR_SLICE("where"), .value = mr_slice_of(where)},
        {.name = MR_SLICE("reason"), .value = reason},
        {.name = MR_SLICE("time"), .value = mr_slice_of(when)},
    };
    struct mr_slice value = only_message(b, row), key = {NULL, 0};
    if (!value.p) {
        d->value.len = 0;
        if (!mr_json_write_row(&d->value, b, row))
            return false;
        value = (struct mr_slice){d->value.p, d->value.len};
    }
    const struct mr_value *k = &b->key[row];
    bool has_key = k->tag == MR_STRING || k->tag == MR_BYTES;
    if (has_key)
        key = mr_value_text(k);
    int64_t ms = (b->time[row] == MR_TIME_NONE ? now : b->time[row]) / 1000000;
    return mr_record_build_add(&d->build, ms, has_key ? &key : NULL, &value, headers,
                               sizeof headers / sizeof *headers);
}

static bool seal(struct mr_dead *d)
{
    struct letters *x = d->open;
    struct mr_err err;
    if (!x)
        return true;
    d->open = NULL;
    if (d->last)
        d->last->next = x;
    else
        d->first = x;
    d->last = x;
    if (mr_record_build_end(&d->build, MR_CODEC_NONE, -1, -1, -1, &err) != MR_OK) {
        mr_pipeline_fail(d->line, NULL, "cannot build dead letters: %s", err.text);
        return false;
    }
    d->line->live_bytes += x->bytes.len;
    return true;
}

bool mr_dead_add(struct mr_dead *d, struct mr_flight *f, uint32_t row, const struct mr_config_component *conf,
                 struct mr_slice reason)
{
    if (!d->open) {
        if (!(d->open = mr_alloc(sizeof *d->open)))
            return false;
        mr_record_build_begin(&d->build, &d->open->bytes);
    }
    for (uint32_t i = 0; i < f->hold_count; i++)
        if (!hold(d->open, f->holds[i]))
            return false;
    if (!add_record(d, f, row, conf, reason))
        return false;
    if (d->open->bytes.len >= DEAD_BATCH_BYTES && !seal(d))
        return true;           /* failed, and said so */
    mr_pipeline_poke(d->line); /* the end of a turn flushes */
    return true;
}

void mr_dead_flush(struct mr_dead *d)
{
    if (d->open && d->build.count > 0 && seal(d))
        pump(d);
    else if (d->first)
        pump(d);
}

/* ---------------------------------------------------------------- the port */

static void again_fired(void *arg)
{
    struct mr_dead *d = arg;
    d->again.fire = NULL;
    pump(d);
}

static void trouble(struct mr_dead *d, mr_code rc, const char *why)
{
    struct mr_pipeline *l = d->line;
    if (!mr_passing(rc) && rc != MR_NOTFOUND && rc != MR_CANCELLED) {
        mr_pipeline_fail(l, NULL, "cannot write to the dead-letter topic '%.*s': %s", MR_SLICE_ARG(d->topic),
                         why ? why : mr_code_text(rc));
        return;
    }
    d->attempts++;
    if (!d->told) {
        char text[512];
        (void)snprintf(text, sizeof text,
                       "cannot write to the dead-letter topic '%.*s': %s; trying again until it goes",
                       MR_SLICE_ARG(d->topic), why ? why : mr_code_text(rc));
        l->env.log(l->env.arg, MR_WARN, l->conf->name, text);
    }
    d->told = true;
    d->again.fire = again_fired;
    d->again.arg = d;
    mr_timer_set(l->env.world, &d->again, mr_now(l->env.world) + mr_backoff(l->env.world, 100, d->attempts));
}

static void produced(void *arg, mr_code rc, int64_t base_offset, const char *why)
{
    struct mr_dead *d = arg;
    struct mr_pipeline *l = d->line;
    (void)base_offset;
    l->calls_out--;
    d->calling = false;
    if (mr_pipeline_over(l)) {
        mr_pipeline_poke(l);
        return;
    }
    if (rc == MR_OK) {
        struct letters *x = d->first;
        d->first = x->next;
        if (!d->first)
            d->last = NULL;
        d->attempts = 0;
        d->told = false;
        l->live_bytes -= x->bytes.len;
        for (uint32_t i = 0; i < x->ack_count; i++)
            mr_ack_drop(x->acks[i]);
        letters_free(x);
        pump(d);
    } else {
        if (rc == MR_NOTFOUND)
            d->ready = false;
        trouble(d, rc, why);
    }
    mr_pipeline_poke(l);
}

static void ensured(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why)
{
    struct mr_dead *d = arg;
    struct mr_pipeline *l = d->line;
    (void)info;
    l->calls_out--;
    d->calling = false;
    if (mr_pipeline_over(l)) {
        mr_pipeline_poke(l);
        return;
    }
    d->ready = rc == MR_OK;
    if (d->ready)
        pump(d);
    else
        trouble(d, rc, why);
}

static void pump(struct mr_dead *d)
{
    struct mr_pipeline *l = d->line;
    if (!d->first || d->calling || d->again.fire || mr_pipeline_over(l) ||
        (l->epoch && mr_epoch_holds(l->epoch)))
        return;
    struct mr_topics *t = l->env.topics;
    if (!d->ready) {
        d->calling = true;
        l->calls_out++;
        t->ops->ensure(t, l->env.world, d->topic, 0, ensured, d);
        return;
    }
    struct mr_buf copy = {0}; /* the port takes the bytes; ours stay for another attempt */
    if (!mr_buf_put(&copy, d->first->bytes.p, d->first->bytes.len)) {
        trouble(d, MR_GONE, "no memory");
        return;
    }
    d->calling = true;
    l->calls_out++;
    if (l->epoch)
        mr_epoch_produce(l->epoch, d->topic, 0, copy, produced, d);
    else
        t->ops->produce(t, l->env.world, d->topic, 0, copy, produced, d);
}
