/* flow.c - acks and flights: which events are still on their way, and how far a source's position may move.
 *
 * Laws, besides F1 to F3 of flow.h (asserted):
 *   A1  an ack with holds is in its source's list; positions move in the order of reads, whatever the
 *       order of delivery
 *   A2  in + made = out + dropped + dead + replaced + in_flight
 */
#include "pipeline/inside.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdlib.h>

enum { SPARE_MAX = 1024 };

/* ---------------------------------------------------------------- positions */

static void position_free(void *p)
{
    mr_free(p);
}

bool mr_position_put(struct mr_map *m, struct mr_slice key, struct mr_slice pos)
{
    if (pos.len == 0) {
        mr_free(mr_map_remove(m, key));
        return true;
    }
    struct mr_slice *old = mr_map_get(m, key);
    if (old && old->len == pos.len) { /* the usual case: an offset of fixed width */
        memcpy((char *)(old + 1), pos.p, pos.len);
        return true;
    }
    struct mr_slice *fresh = mr_alloc(sizeof *fresh + pos.len);
    if (!fresh)
        return false;
    *fresh = (struct mr_slice){(char *)(fresh + 1), pos.len};
    memcpy((char *)(fresh + 1), pos.p, pos.len);
    void *was = NULL;
    if (!mr_map_put(m, key, fresh, &was)) {
        mr_free(fresh);
        return false;
    }
    mr_free(was);
    return true;
}

/* ---------------------------------------------------------------- acks */

struct mr_ack *mr_ack_new(struct mr_source *s, struct mr_slice key, struct mr_slice pos)
{
    struct mr_pipeline *l = s->part.line;
    struct mr_ack *a = l->spare_acks;
    if (a) {
        l->spare_acks = a->next;
        l->spare_ack_count--;
    } else if (!(a = mr_alloc(sizeof *a))) {
        return NULL;
    }
    char *to = a->text;
    if (key.len + pos.len > sizeof a->text && !(to = mr_alloc(key.len + pos.len))) {
        mr_free(a);
        return NULL;
    }
    a->source = s;
    a->next = NULL;
    a->holds = 1;
    a->placed = key.len || pos.len;
    if (key.len)
        memcpy(to, key.p, key.len);
    if (pos.len)
        memcpy(to + key.len, pos.p, pos.len);
    a->key = (struct mr_slice){to, key.len};
    a->pos = (struct mr_slice){to + key.len, pos.len};
    if (s->last)
        s->last->next = a;
    else
        s->first = a;
    s->last = a;
    s->ack_count++;
    return a;
}

static void ack_free(struct mr_ack *a)
{
    struct mr_pipeline *l = a->source->part.line;
    if (a->key.p != a->text)
        mr_free((void *)(uintptr_t)a->key.p);
    if (l->spare_ack_count >= SPARE_MAX) {
        mr_free(a);
        return;
    }
    a->next = l->spare_acks;
    l->spare_acks = a;
    l->spare_ack_count++;
}

void mr_ack_hold(struct mr_ack *a)
{
    if (a) {
        mr_assert(a->holds > 0); /* A1 */
        a->holds++;
    }
}

void mr_ack_drop(struct mr_ack *a)
{
    if (!a)
        return;
    mr_assert(a->holds > 0); /* A1 */
    if (--a->holds)
        return;
    struct mr_source *s = a->source;
    struct mr_pipeline *l = s->part.line;
    while (s->first && s->first->holds == 0) { /* F1: the run of done ones from the front */
        struct mr_ack *done = s->first;
        s->first = done->next;
        if (!s->first)
            s->last = NULL;
        mr_assert(s->ack_count > 0);
        s->ack_count--;
        if (done->placed) {
            if (!mr_position_put(&s->stored, done->key, done->pos))
                mr_pipeline_fail(l, &s->part,
                                 "no memory for positions, or more than %d inputs (limit 'positions')",
                                 MR_POSITIONS_MAX);
        }
        l->dirty = true; /* also without a position: outputs are flushed */
        ack_free(done);
    }
}

void mr_source_forget(struct mr_source *s)
{
    mr_map_fini(&s->stored, position_free);
    mr_map_fini(&s->seen, position_free);
    mr_map_init(&s->stored, MR_POSITIONS_MAX);
    mr_map_init(&s->seen, MR_POSITIONS_MAX);
}

void mr_source_fini(struct mr_source *s)
{
    struct mr_ack *next;
    for (struct mr_ack *a = s->first; a; a = next) {
        next = a->next;
        if (a->key.p != a->text)
            mr_free((void *)(uintptr_t)a->key.p);
        mr_free(a);
    }
    s->first = s->last = NULL;
    mr_map_fini(&s->stored, position_free);
    mr_map_fini(&s->seen, position_free);
}

/* ---------------------------------------------------------------- flow.h */

struct mr_ack *mr_flow_ack(struct mr_batch *b)
{
    const struct mr_flight *f = b->flow;
    return f ? f->ack : NULL;
}

bool mr_flow_attach(struct mr_batch *b, struct mr_ack *a)
{
    struct mr_flight *f = b->flow;
    if (!a)
        return true;
    if (!f)
        return false;
    if (f->hold_count == f->hold_cap) {
        uint32_t cap = f->hold_cap * 2;
        bool heap = f->holds != f->inline_holds;
        struct mr_ack **more = mr_realloc(heap ? f->holds : NULL, cap * sizeof(*more));
        if (!more)
            return false;
        if (!heap)
            memcpy(more, f->inline_holds, sizeof f->inline_holds);
        f->holds = more;
        f->hold_cap = cap;
    }
    f->holds[f->hold_count++] = a;
    return true;
}

void mr_flow_on_delivered(struct mr_batch *b, void (*done)(void *arg), void *arg)
{
    struct mr_flight *f = b->flow;
    mr_assert(f);
    struct mr_delivered *d = mr_need(sizeof *d);
    *d = (struct mr_delivered){f->delivered, done, arg};
    f->delivered = d;
}

bool mr_flow_whole(const struct mr_host *h)
{
    return ((const struct mr_part *)h)->line->epoch != NULL;
}

/* ---------------------------------------------------------------- flights */

struct mr_flight *mr_flight_new(struct mr_pipeline *l, struct mr_batch *b)
{
    struct mr_flight *f = l->spare_flights;
    if (f) {
        l->spare_flights = f->next;
        l->spare_flight_count--;
    } else if (!(f = mr_alloc(sizeof *f))) {
        return NULL;
    }
    f->line = l;
    f->b = b;
    f->bytes = f->pinned = 0;
    f->ack = NULL;
    f->holds = f->inline_holds;
    f->hold_cap = sizeof f->inline_holds / sizeof *f->inline_holds;
    f->hold_count = 0;
    f->delivered = NULL;
    f->waiting = 1;
    f->alive = 0;
    f->emitted = false;
    f->gone_used = false;
    f->prev = NULL;
    f->next = l->flights;
    if (l->flights)
        l->flights->prev = f;
    l->flights = f;
    l->flight_count++;
    b->flow = f;
    return f;
}

void mr_flight_bytes(struct mr_flight *f)
{
    struct mr_pipeline *l = f->line;
    size_t now = mr_batch_bytes(f->b) + f->pinned;
    l->live_bytes = l->live_bytes - f->bytes + now;
    f->bytes = now;
    atomic_store_explicit(&l->n.bytes, (int64_t)l->live_bytes, memory_order_relaxed);
}

static void flight_release(struct mr_flight *f)
{
    struct mr_pipeline *l = f->line;
    if (f->prev)
        f->prev->next = f->next;
    else
        l->flights = f->next;
    if (f->next)
        f->next->prev = f->prev;
    l->flight_count--;
    l->live_bytes -= f->bytes;
    atomic_store_explicit(&l->n.bytes, (int64_t)l->live_bytes, memory_order_relaxed);
    while (f->delivered) {
        struct mr_delivered *d = f->delivered;
        f->delivered = d->next;
        mr_free(d);
    }
    if (f->holds != f->inline_holds)
        mr_free(f->holds);
    f->b->flow = NULL;
    mr_batch_free(f->b);
    if (l->spare_flight_count >= SPARE_MAX) {
        mr_free(f);
        return;
    }
    f->next = l->spare_flights;
    l->spare_flights = f;
    l->spare_flight_count++;
}

void mr_flight_free(struct mr_flight *f)
{
    flight_release(f); /* the holds stay: what was not delivered is read again next time */
}

void mr_flight_drop(struct mr_flight *f)
{
    struct mr_pipeline *l = f->line;
    mr_assert(f->waiting > 0);
    if (--f->waiting)
        return;
    mr_count(&l->n.out, f->alive);
    mr_count(&l->n.in_flight, -(int64_t)f->alive);
    l->dirty |= f->alive > 0;
    for (struct mr_delivered *d = f->delivered; d; d = d->next) /* F2: before the holds go */
        d->done(d->arg);
    for (uint32_t i = 0; i < f->hold_count; i++)
        mr_ack_drop(f->holds[i]);
    flight_release(f);
    mr_pipeline_poke(l);
}

/* ---------------------------------------------------------------- what is not kept */

static void keep_with_error(struct mr_flight *f, uint32_t row, struct mr_slice reason)
{
    struct mr_batch *b = f->b;
    if (!b->headers) {
        b->headers = mr_arena_take(b->arena, b->cap * sizeof *b->headers);
        if (b->headers)
            memset(b->headers, 0, b->cap * sizeof *b->headers);
    }
    uint32_t had = b->headers && b->headers[row].tag == MR_OBJECT ? b->headers[row].len : 0;
    struct mr_member *m = b->headers ? mr_arena_take(b->arena, (had + 1) * sizeof *m) : NULL;
    struct mr_slice text = mr_slice_copy(b->arena, reason);
    if (!m || !text.p)
        return; /* the batch is full to its limit; the event goes on without the note */
    uint32_t n = 0;
    for (uint32_t i = 0; i < had; i++) {
        const struct mr_member *old = &b->headers[row].u.object[i];
        if (old->name_len != 5 || memcmp(old->name, "error", 5) != 0)
            m[n++] = *old;
    }
    m[n++] = (struct mr_member){.name = "error", .name_len = 5, .v = mr_value_string(text)};
    b->headers[row] = (struct mr_value){.tag = MR_OBJECT, .len = n, .u.object = m};
}

static void event_gone(struct mr_flight *f, _Atomic int64_t *counter)
{
    mr_assert(f->alive > 0); /* A2 */
    f->alive--;
    mr_count(counter, 1);
    mr_count(&f->line->n.in_flight, -1);
}

/* Once a run: who looks on sees why, and where to find the others. */
static void tell_first_dead(struct mr_pipeline *l, const struct mr_config_component *conf,
                            struct mr_slice reason)
{
    char text[700];
    if (l->dead_told)
        return;
    l->dead_told = true;
    size_t label = strlen(conf->label); /* reasons of Lua begin with it */
    if (reason.len > label + 2 && !memcmp(reason.p, conf->label, label) && !memcmp(reason.p + label, ": ", 2))
        reason = (struct mr_slice){reason.p + label + 2, reason.len - label - 2};
    (void)snprintf(text, sizeof text, "an event was refused: %.*s; it goes to the topic '%s', as others will",
                   (int)(reason.len < 400 ? reason.len : 400), reason.p ? reason.p : "", l->conf->dead);
    l->env.log(l->env.arg, MR_INFO, conf->label, text);
}

void mr_flight_reject(struct mr_flight *f, uint32_t row, const struct mr_config_component *conf,
                      struct mr_slice reason, bool counted)
{
    struct mr_pipeline *l = f->line;
    enum mr_on_error way = conf->on_error;
    mr_count(&l->n.errors, 1);
    if (counted) { /* several outputs may refuse one event: it is gone once, each refusal goes its way */
        if (!f->gone_used) {
            memset(f->gone, 0, sizeof f->gone);
            f->gone_used = true;
        }
        counted = (f->gone[row / 64] >> (row % 64)) & 1;
        f->gone[row / 64] |= (uint64_t)1 << (row % 64);
    }
    switch (way) {
    case MR_ON_ERROR_KEEP:
        keep_with_error(f, row, reason);
        f->b->fate[row] = MR_KEPT;
        return;
    case MR_ON_ERROR_DROP:
        if (!counted)
            event_gone(f, &l->n.dropped);
        return;
    case MR_ON_ERROR_FAIL:
        mr_pipeline_fail(l, NULL, "%s:%u: an event was refused and 'on_error' is 'fail': %.*s", conf->file,
                         conf->line, MR_SLICE_ARG(reason));
        return;
    case MR_ON_ERROR_DEAD:
    case MR_ON_ERROR_RETRY: /* an output that has given up */
        break;
    }
    tell_first_dead(l, conf, reason);
    if (!mr_dead_add(l->dead, f, row, conf, reason))
        mr_pipeline_fail(l, NULL, "%s:%u: no memory for a dead letter", conf->file, conf->line);
    else if (!counted)
        event_gone(f, &l->n.dead);
}

void mr_flight_settle(struct mr_flight *f, const struct mr_config_component *conf)
{
    struct mr_batch *b = f->b;
    struct mr_pipeline *l = f->line;
    bool holes = false;
    for (uint32_t k = 0; k < b->count && !mr_pipeline_over(l); k++) {
        uint32_t row = b->sel[k];
        switch (b->fate[row]) {
        case MR_KEPT:
            continue;
        case MR_DROPPED:
            event_gone(f, &l->n.dropped);
            break;
        case MR_REPLACED:
            event_gone(f, &l->n.replaced);
            break;
        default: {
            char reason[MR_ERR_TEXT]; /* a copy: the dead letter may need the batch's arena */
            struct mr_slice why = mr_batch_reason(b, row);
            size_t len = why.len < sizeof reason ? why.len : sizeof reason;
            if (len)
                memcpy(reason, why.p, len);
            mr_flight_reject(f, row, conf, (struct mr_slice){reason, len}, false);
            break;
        }
        }
        holes = true;
    }
    if (holes)
        mr_batch_compact(b);
}
