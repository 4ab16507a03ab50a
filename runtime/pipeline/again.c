/* again.c - a pipeline with exactly-once delivery whose transaction cannot go on begins again, from the last
 * commit: all that it has in hand is thrown away, as a crash would, and it starts as it did the first time.
 */
#include "pipeline/inside.h"

#include "base/assert.h"
#include "base/buf.h"

#include <stdio.h>

static void start(void *arg)
{
    mr_pipeline_start(arg);
}

void mr_pipeline_again(struct mr_pipeline *l, const struct mr_part *part, const char *format, ...)
{
    char text[900];
    if (mr_pipeline_over(l))
        return;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (l->stopping) { /* it would not get to where it was */
        mr_pipeline_fail(l, part, "%s; what was not committed is read again when it starts", text);
        return;
    }
    if (!l->again_told) {
        char whole[1024];
        (void)snprintf(whole, sizeof whole, "%s; beginning again from what was committed", text);
        l->env.log(l->env.arg, MR_WARN, part ? part->host.label : l->conf->name, whole);
    }
    l->again_told = true;
    l->begins_again = true;
    l->state = MR_LINE_CLOSING; /* parts close in a later turn: some of them may be on the stack now */
    atomic_store_explicit(&l->n.state, MR_RUN_OPENING, memory_order_relaxed);
    mr_count(&l->n.errors, 1);
    l->settling = false;
    mr_pipeline_poke(l);
}

void mr_pipeline_rewind(struct mr_pipeline *l)
{
    struct mr_world *w = l->env.world;
    struct mr_err err;
    mr_err_clear(&err);
    mr_assert(l->begins_again && l->calls_out == 0);
    for (uint32_t i = 0; i < l->conf->to_count; i++)
        mr_output_drop(&l->outputs[i]);
    while (l->flights)
        mr_flight_free(l->flights);
    mr_count(&l->n.replaced, l->n.in_flight); /* those that are read again stand for them */
    mr_count(&l->n.in_flight, -l->n.in_flight);
    for (uint32_t i = 0; i < l->conf->from_count; i++) {
        struct mr_source *s = &l->sources[i];
        mr_source_fini(s);
        mr_source_forget(s);
        s->ack_count = 0;
        s->ready = s->ended = false;
    }
    mr_dead_free(l->dead);
    l->dead = NULL;
    mr_epoch_free(l->epoch);
    l->epoch = NULL;
    l->foreign.len = 0;
    l->live_bytes = 0;
    l->finish_at = l->turn_at = 0;
    l->dirty = l->last_waits = l->begins_again = false;
    l->checkpoint.fire = NULL;
    l->state = MR_LINE_OPENING;
    if (mr_dead_new(l, &err) != MR_OK || mr_epoch_new(l, &err) != MR_OK) {
        mr_pipeline_fail(l, NULL, "%s", err.text);
        return;
    }
    l->restart.fire = start;
    l->restart.arg = l;
    mr_timer_set(w, &l->restart, mr_now(w) + mr_backoff(w, 100, ++l->restarts));
}

void mr_pipeline_goes_on(struct mr_pipeline *l)
{
    if (l->again_told)
        l->env.log(l->env.arg, MR_INFO, l->conf->name, "goes on");
    l->again_told = false;
    l->restarts = 0;
}
