/* output.c - events to outputs: who gets which, answers per event, trying again, giving up.
 *
 * An output takes the flights in order. What it refuses for the moment holds back what comes after it, so
 * that order is kept and the source slows down; what it refuses for good goes to the error route and the rest
 * goes on.
 *
 * Outputs share the columns of a batch. `sel` is theirs for the length of one write: the batch's own is put
 * back behind it.
 */
#include "pipeline/inside.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum { TICKET_ROWS = 13 }; /* low bits of a ticket: how many events it is for (part.c reads them) */

static void send_free(struct mr_send *s)
{
    mr_free(s->sel);
    mr_free(s);
}

static void send_done(struct mr_send *s)
{
    struct mr_flight *f = s->flight;
    send_free(s);
    mr_flight_drop(f);
}

static void again_fired(void *arg)
{
    struct mr_output *o = arg;
    o->pausing = false;
    if (o->part.open)
        mr_output_pump(o);
    else
        mr_output_open_again(o);
}

static void pause_output(struct mr_output *o, mr_ms wait)
{
    struct mr_world *w = o->part.line->env.world;
    o->pausing = true;
    o->part.again.fire = again_fired;
    o->part.again.arg = o;
    mr_timer_set(w, &o->part.again, mr_now(w) + wait);
}

void mr_output_open_again(struct mr_output *o)
{
    struct mr_pipeline *l = o->part.line;
    struct mr_err err;
    mr_err_clear(&err);
    if (mr_pipeline_over(l))
        return;
    mr_code rc = mr_part_open(&o->part, &err);
    if (rc == MR_OK) {
        if (o->part.told)
            mr_part_log(&o->part, MR_INFO, "open now, after %u attempts", o->part.attempts + 1);
        o->part.told = false;
        o->part.attempts = 0;
        mr_output_pump(o);
        return;
    }
    if (!mr_passing(rc)) {
        mr_pipeline_fail(l, &o->part, "cannot open: %s", err.text);
        return;
    }
    o->part.attempts++;
    if (!o->part.told)
        mr_part_log(&o->part, MR_WARN, "cannot open: %s; trying again until it goes", err.text);
    o->part.told = true;
    pause_output(o, mr_backoff(l->env.world, 100, o->part.attempts));
}

/* The rows of s go to the error route. */
static void give_up(struct mr_output *o, struct mr_send *s, const char *why)
{
    char reason[MR_ERR_TEXT];
    (void)snprintf(reason, sizeof reason, "given up after %u attempts: %s", s->attempts, why);
    for (uint32_t k = 0; k < s->count && !mr_pipeline_over(o->part.line); k++)
        mr_flight_reject(s->flight, s->sel[k], o->part.conf, mr_slice_of(reason), true);
    s->count = 0;
}

/* Applies answers; true: nothing of s is left. wait_ms: how long the rest should wait. */
static bool apply(struct mr_output *o, struct mr_send *s, const struct mr_verdict *v, uint32_t count,
                  mr_ms *wait_ms)
{
    struct mr_pipeline *l = o->part.line;
    const char *why = NULL;
    uint32_t left = 0, hint = 0;
    mr_assert(count == s->count);
    for (uint32_t k = 0; k < count && !mr_pipeline_over(l); k++) {
        uint32_t row = s->sel[k];
        uint8_t kind = v[k].kind;
        const char *reason = v[k].reason;
        if (s->flight->b->fate[row] == MR_REJECTED) { /* services that reject mark the event itself */
            struct mr_batch *b = s->flight->b;
            struct mr_slice text = mr_batch_reason(b, row);
            char *copy = mr_arena_take(b->arena, text.len + 1);
            if (copy) {
                memcpy(copy, text.p ? text.p : "", text.len);
                copy[text.len] = '\0';
            }
            kind = MR_VERDICT_REJECT;
            reason = copy;
            b->fate[row] = MR_KEPT;
        }
        if (kind == MR_VERDICT_REJECT && o->part.conf->on_error == MR_ON_ERROR_RETRY)
            kind = MR_VERDICT_RETRY;
        if (kind == MR_VERDICT_DONE)
            continue;
        if (kind == MR_VERDICT_RETRY) {
            s->sel[left++] = (uint16_t)row;
            why = reason ? reason : why;
            hint = v[k].after_ms > hint ? v[k].after_ms : hint;
        } else {
            mr_flight_reject(s->flight, row, o->part.conf,
                             mr_slice_of(reason ? reason : "the output refused it"), true);
        }
    }
    s->count = left;
    if (!left)
        return true;
    s->attempts++;
    mr_count(&l->n.retries, left);
    if (o->part.conf->retry_max && s->attempts >= o->part.conf->retry_max) {
        give_up(o, s, why ? why : "the output asked to try again");
        return true;
    }
    *wait_ms = hint ? (mr_ms)hint : mr_backoff(l->env.world, o->part.conf->retry_backoff, s->attempts);
    if (!o->part.told)
        mr_part_log(&o->part, MR_WARN, "%u events must be tried again: %s", left,
                    why ? why : "no reason was given");
    o->part.told = true;
    return false;
}

static void went_well(struct mr_output *o)
{
    if (o->part.told)
        mr_part_log(&o->part, MR_INFO, "goes on");
    o->part.told = false;
}

static void put_first(struct mr_output *o, struct mr_send *s)
{
    s->next = o->first;
    o->first = s;
    if (!o->last)
        o->last = s;
}

static struct mr_send *take_first(struct mr_output *o)
{
    struct mr_send *s = o->first;
    o->first = s->next;
    if (!o->first)
        o->last = NULL;
    return s;
}

/* A whole batch could not be written. */
static void whole_failed(struct mr_output *o, struct mr_send *s, const struct mr_err *err)
{
    struct mr_pipeline *l = o->part.line;
    s->attempts++;
    mr_count(&l->n.retries, s->count);
    if (o->part.conf->retry_max && s->attempts >= o->part.conf->retry_max) {
        give_up(o, s, err->text);
        send_done(s);
        return;
    }
    if (!o->part.told)
        mr_part_log(&o->part, MR_WARN, "cannot write: %s; trying again until it goes", err->text);
    o->part.told = true;
    put_first(o, s);
    pause_output(o, mr_backoff(l->env.world, o->part.conf->retry_backoff, s->attempts));
}

static void write_one(struct mr_output *o, struct mr_send *s)
{
    struct mr_pipeline *l = o->part.line;
    struct mr_batch *b = s->flight->b;
    struct mr_err err;
    mr_err_clear(&err);
    memset(o->verdict, 0, s->count * sizeof *o->verdict);
    s->ticket = (++o->next_ticket << TICKET_ROWS) | s->count;
    uint16_t *sel = b->sel;
    uint32_t count = b->count;
    b->sel = s->sel;
    b->count = s->count;
    mr_code rc = o->part.c->write(o->part.self, b, s->ticket, o->verdict, &err);
    b->sel = sel;
    b->count = count;
    if (mr_passing(rc)) {
        whole_failed(o, s, &err);
        return;
    }
    if (rc == MR_PENDING) {
        s->next = o->pending;
        o->pending = s;
        o->pending_count++;
        return;
    }
    if (rc == MR_END) { /* nobody wants more, as of a pipe whose reader has left: no failure */
        put_first(o, s);
        mr_part_log(&o->part, MR_INFO, "%s; the pipeline ends",
                    err.text[0] ? err.text : "the reader has gone");
        mr_pipeline_stop(l, true);
        l->exit_code = 0;
        return;
    }
    if (rc != MR_OK) {
        put_first(o, s); /* freed with the output */
        mr_pipeline_fail(l, &o->part, "cannot write: %s", err.text[0] ? err.text : mr_code_text(rc));
        return;
    }
    mr_ms wait = 0;
    if (apply(o, s, o->verdict, s->count, &wait)) {
        went_well(o);
        send_done(s);
    } else {
        put_first(o, s);
        pause_output(o, wait);
    }
}

void mr_output_pump(struct mr_output *o)
{
    if (o->pumping || (o->part.line->epoch && mr_epoch_holds(o->part.line->epoch)))
        return;
    o->pumping = true;
    while (o->first && !o->pausing && o->part.open && o->pending_count < MR_SENDS_MAX &&
           !mr_pipeline_over(o->part.line))
        write_one(o, take_first(o));
    o->pumping = false;
}

void mr_output_answer(struct mr_output *o, uint64_t ticket, const struct mr_verdict *verdict, uint32_t count)
{
    struct mr_send **at = &o->pending;
    while (*at && (*at)->ticket != ticket)
        at = &(*at)->next;
    struct mr_send *s = *at;
    if (!s || mr_pipeline_over(o->part.line)) /* answered twice, or too late */
        return;
    *at = s->next;
    o->pending_count--;
    mr_ms wait = 0;
    if (apply(o, s, verdict, count, &wait)) {
        went_well(o);
        send_done(s);
    } else {
        put_first(o, s);
        pause_output(o, wait);
    }
    mr_output_pump(o);
    mr_pipeline_poke(o->part.line);
}

static void give(struct mr_output *o, struct mr_flight *f, const uint16_t *sel, uint32_t count)
{
    struct mr_send *s = mr_alloc(sizeof *s);
    uint16_t *mine = mr_alloc(count * sizeof *mine);
    if (!s || !mine) {
        mr_free(s);
        mr_free(mine);
        mr_pipeline_fail(o->part.line, &o->part, "no memory for an output's queue");
        return;
    }
    memcpy(mine, sel, count * sizeof *mine);
    *s = (struct mr_send){.flight = f, .sel = mine, .count = count};
    f->waiting++;
    if (o->last)
        o->last->next = s;
    else
        o->first = s;
    o->last = s;
}

/* First match wins among the outputs with `if` and `else`. */
static void route(struct mr_pipeline *l, struct mr_flight *f)
{
    struct mr_batch *b = f->b;
    uint16_t left[MR_BATCH_ROWS_MAX], hit[MR_BATCH_ROWS_MAX];
    uint8_t truth[MR_BATCH_ROWS_MAX];
    uint32_t count = b->count, i;
    memcpy(left, b->sel, count * sizeof *left);
    for (i = 0; i < l->conf->to_count && count; i++) {
        struct mr_output *o = &l->outputs[i];
        if (!o->part.when && !o->part.conf->otherwise)
            continue;
        uint32_t hits = 0, rest = 0;
        if (o->part.conf->otherwise) {
            memcpy(hit, left, count * sizeof *hit);
            hits = count;
        } else {
            uint16_t *sel = b->sel;
            uint32_t all = b->count;
            b->sel = left;
            b->count = count;
            mr_services()->test(&o->part.host, o->part.when, b, truth);
            b->sel = sel;
            b->count = all;
            for (uint32_t k = 0; k < count; k++) {
                uint16_t row = left[k];
                if (b->fate[row] != MR_KEPT)
                    continue; /* its condition failed: settled below, and in no output */
                if (truth[row])
                    hit[hits++] = row;
                else
                    left[rest++] = row;
            }
            mr_flight_settle(f, o->part.conf);
            if (mr_pipeline_over(l))
                return;
        }
        count = rest;
        if (hits)
            give(o, f, hit, hits);
    }
    if (!l->unconditional && count) {
        for (uint32_t k = 0; k < count; k++)
            b->fate[left[k]] = MR_DROPPED;
        if (l->conf->to_count)
            mr_flight_settle(f, &l->conf->to[0]);
    }
}

void mr_outputs_take(struct mr_pipeline *l, struct mr_flight *f)
{
    struct mr_batch *b = f->b;
    if (l->conditional)
        route(l, f);
    for (uint32_t i = 0; i < l->conf->to_count && b->count && !mr_pipeline_over(l); i++) {
        struct mr_output *o = &l->outputs[i];
        if (!o->part.when && !o->part.conf->otherwise)
            give(o, f, b->sel, b->count);
    }
    for (uint32_t i = 0; i < l->conf->to_count && !mr_pipeline_over(l); i++)
        mr_output_pump(&l->outputs[i]);
}

void mr_output_drop(struct mr_output *o)
{
    struct mr_send *next;
    for (struct mr_send *s = o->first; s; s = next) {
        next = s->next;
        send_free(s);
    }
    for (struct mr_send *s = o->pending; s; s = next) {
        next = s->next;
        send_free(s);
    }
    o->first = o->last = o->pending = NULL;
    o->pending_count = 0;
    o->pausing = false;
}

void mr_output_fini(struct mr_output *o)
{
    mr_output_drop(o);
    mr_free(o->verdict);
}
