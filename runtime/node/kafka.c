/* kafka.c - the Kafka listener as a whole: made, swept, drained, stopped. */
#include "node/kafka_conn.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

enum { SWEEP_MS = 5000 };

static mr_ms sweep_after(const struct mr_node *n)
{
    mr_ms idle = mr_broker_node_settings(n->broker)->connections_max_idle_ms, frame = n->config.frame_ms;
    mr_ms least = idle >= 0 && idle < frame ? idle : frame;
    return least / 4 < SWEEP_MS ? least / 4 + 1 : SWEEP_MS;
}

static void sweep(void *arg)
{
    struct mr_kafka *k = arg;
    mr_kafka_conns_sweep(k);
    mr_timer_set(k->node->world, &k->sweep, mr_now(k->node->world) + sweep_after(k->node));
}

/* ------------------------------------------------------------------ life */

mr_code mr_kafka_new(struct mr_node *n, const char *listen, const char *advertise, struct mr_kafka **out,
                     struct mr_err *err)
{
    struct mr_kafka *k = mr_alloc(sizeof *k);
    if (!k)
        return mr_fail(err, MR_MEMORY, "no memory for the listener");
    k->node = n;
    mr_fetch_sessions_init(&k->sessions, n->world, MR_FETCH_SESSIONS_MAX, MR_FETCH_PARTS_MAX);
    mr_code rc = mr_kafka_listen(k, listen, advertise, err);
    if (rc) {
        mr_kafka_deafen(k);
        mr_fetch_sessions_fini(&k->sessions);
        mr_free(k);
        return rc;
    }
    k->sweep = (struct mr_timer){.fire = sweep, .arg = k};
    k->waiting_last = &k->waiting;
    mr_timer_set(n->world, &k->sweep, mr_now(n->world) + sweep_after(n));
    *out = k;
    return MR_OK;
}

size_t mr_kafka_busy(const struct mr_kafka *k)
{
    return k ? k->busy + k->rests : 0;
}

void mr_kafka_drain(struct mr_kafka *k)
{
    if (!k)
        return;
    k->draining = true;
    mr_kafka_deafen(k);
    mr_timer_stop(k->node->world, &k->sweep);
    struct mr_kafka_conn *next;
    for (struct mr_kafka_conn *c = k->conns; c; c = next) {
        next = c->next;
        mr_conn_pause(c->net);
        c->reading = true; /* c stays until we are through with it */
        struct mr_request *r;
        do { /* from the front each time: an answer may free its neighbours */
            for (r = c->first; r && !(r->hurry && r->give_up); r = r->next)
                ;
            if (r)
                r->give_up(r);
        } while (r);
        c->reading = false;
        if (c->doomed)
            mr_kafka_conn_close(c);
        else
            mr_kafka_conn_read_on(c); /* what came whole and had to wait is run as the others are answered */
    }
}

void mr_kafka_stop(struct mr_kafka *k)
{
    if (!k)
        return;
    mr_timer_stop(k->node->world, &k->sweep);
    mr_kafka_deafen(k);
    while (k->conns)
        mr_kafka_conn_close(k->conns);
}

void mr_kafka_free(struct mr_kafka *k)
{
    if (!k)
        return;
    mr_assert(k->busy == 0 && !k->conns);
    for (struct mr_request *r = k->kept, *next; r; r = next) {
        next = r->next;
        mr_heap_arena_fini(&r->arena);
        mr_buf_fini(&r->out);
        mr_free(r);
    }
    mr_fetch_sessions_fini(&k->sessions);
    mr_free(k->receive);
    mr_free(k);
}
