/* kafka_conn.c - connections: they come, their answers leave in order, they go. */
#include "node/kafka_conn.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

#include <unistd.h>

enum {
    ANSWERS_MAX = 1 << 20, /* bytes of answers that wait in a connection; it is not read beyond */
    ANSWERS_SHORT = 64 << 10,
    PARTS_MAX = MR_NET_PARTS_MAX,
};

/* ------------------------------------------------------------------ answers leave */

/* When memory is short, by the second: whoever has answers of that size waiting makes no more of them. */
bool mr_kafka_conn_held_up(const struct mr_kafka_conn *c)
{
    size_t most = mr_kafka_over(c->kafka) ? ANSWERS_SHORT : ANSWERS_MAX;
    return c->awaiting || c->in_hand >= MR_KAFKA_IN_HAND_MAX || c->held + mr_conn_queued(c->net) > most;
}

void mr_kafka_conn_read_on(struct mr_kafka_conn *c)
{
    if (!c->paused || c->reading || c->doomed || !c->net || mr_kafka_conn_held_up(c))
        return;
    if (c->rest && !mr_kafka_rest_run(c)) /* also while draining: it was accepted */
        return;
    if (c->kafka->draining)
        return;
    c->paused = false;
    mr_conn_resume(c->net);
}

static void sent(void *arg, mr_code rc, int sys)
{
    struct mr_request *r = arg;
    (void)sys; /* of a broken connection `closed` tells */
    mr_assert(r->sends > 0);
    if (--r->sends == 0) {
        struct mr_node *n = mr_request_node(r);
        struct mr_kafka_conn *c = r->conn;
        if (c) {
            mr_assert(c->in_hand > 0);
            c->in_hand--;
            c->heard = mr_now(n->world);
            if (rc == MR_OK)
                mr_kafka_conn_read_on(c);
        }
        mr_kafka_request_free(r);
        mr_node_settle(n);
    }
}

/* Bytes and file ranges by turns: the holes of the answer say where. */
static mr_code send_answer(struct mr_kafka_conn *c, struct mr_request *r)
{
    struct mr_part parts[PARTS_MAX];
    size_t count = 0, at = 0;
    mr_code rc = MR_OK;
    for (uint32_t i = 0; i <= r->holes.count && (rc == MR_OK || rc == MR_PENDING); i++) {
        size_t to = i < r->holes.count ? r->holes.v[i].at : r->out.len;
        if (to > at)
            parts[count++] = (struct mr_part){.bytes = {r->out.p + at, to - at}};
        at = to;
        if (i < r->holes.count)
            parts[count++] =
                (struct mr_part){.file = r->files[i].file, .at = r->files[i].at, .len = r->holes.v[i].len};
        if (i == r->holes.count || count + 2 > PARTS_MAX) {
            rc = mr_conn_send(c->net, parts, count, sent, r);
            if (rc == MR_PENDING)
                r->sends++;
            count = 0;
        }
    }
    return rc;
}

void mr_kafka_conn_flush(struct mr_kafka_conn *c)
{
    if (c->flushing)
        return; /* the loop below goes on with what has become ready meanwhile */
    c->flushing = true;
    while (c->net && !c->doomed && c->first && c->first->answered) {
        struct mr_request *r = c->first;
        c->first = r->next;
        if (!c->first)
            c->last = &c->first;
        r->next = NULL;
        c->held -= r->out.len;
        c->heard = mr_now(c->kafka->node->world);
        mr_code rc = r->silent ? MR_OK : send_answer(c, r);
        if (rc == MR_LIMIT) {
            mr_node_tell(c->kafka->node, MR_WARN,
                         "kafka: connection from %s closed: it does not read its answers (%zu bytes wait)",
                         c->peer, mr_conn_queued(c->net));
            c->doomed = true;
        }
        if (r->sends == 0) {
            mr_assert(c->in_hand > 0);
            c->in_hand--;
            mr_kafka_request_free(r);
            continue;
        }
        r->sending = c->sending;
        r->sending_link = &c->sending;
        if (r->sending)
            r->sending->sending_link = &r->sending;
        c->sending = r;
    }
    c->flushing = false;
    mr_node_settle(c->kafka->node);
    if (c->doomed)
        mr_kafka_conn_close(c); /* or later, when it is being read */
    else
        mr_kafka_conn_read_on(c);
}

/* ------------------------------------------------------------------ connections */

static void conn_free(struct mr_kafka_conn *c)
{
    struct mr_kafka *k = c->kafka;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    k->conn_count--;
    mr_kafka_frame_fini(c);
    mr_free(c);
}

void mr_kafka_conn_close(struct mr_kafka_conn *c)
{
    c->doomed = true;
    if (c->reading || c->flushing)
        return;
    struct mr_kafka *k = c->kafka;
    struct mr_conn *net = c->net;
    c->net = NULL;
    while (c->first) {
        struct mr_request *r = c->first;
        c->first = r->next;
        mr_kafka_request_abandon(r); /* those that are being sent are no longer in this list */
    }
    while (c->sending) {
        struct mr_request *r = c->sending;
        c->sending = r->sending;
        r->sending = NULL;
        r->sending_link = NULL;
        r->conn = NULL;
    }
    mr_conn_close(net);
    conn_free(c);
    mr_node_settle(k->node);
}

static void on_closed(void *arg, mr_code why, int sys)
{
    (void)why;
    (void)sys;
    mr_kafka_conn_close(arg);
}

static const struct mr_conn_events events = {
    .room = mr_kafka_frame_room, .bytes = mr_kafka_frame_bytes, .closed = on_closed};

/* "127.0.0.1:4711", "[::1]:4711": up to the port. */
static size_t host_of(const char *peer)
{
    const char *colon = strrchr(peer, ':');
    return colon ? (size_t)(colon - peer) : strlen(peer);
}

/* Only asked for when there is such a limit. */
static int64_t count_from(const struct mr_kafka *k, const char *peer)
{
    int64_t n = 0;
    size_t len = host_of(peer);
    for (const struct mr_kafka_conn *c = k->conns; c; c = c->next)
        n += host_of(c->peer) == len && memcmp(c->peer, peer, len) == 0;
    return n;
}

/* false: one too many; it was told. */
static bool may_come(const struct mr_kafka *k, const char *peer)
{
    const struct mr_node_settings *s = mr_broker_node_settings(k->node->broker);
    if (k->conn_count >= s->max_connections) {
        mr_node_tell(k->node, MR_WARN,
                     "kafka: connection from %s refused: there are %u (max.connections is %lld)", peer,
                     k->conn_count, (long long)s->max_connections);
        return false;
    }
    if (s->max_connections_per_ip < k->conn_count + INT64_C(1) &&
        count_from(k, peer) >= s->max_connections_per_ip) {
        mr_node_tell(k->node, MR_WARN,
                     "kafka: connection from %s refused: there are %lld from there already "
                     "(max.connections.per.ip)",
                     peer, (long long)s->max_connections_per_ip);
        return false;
    }
    return true;
}

void mr_kafka_accept(void *arg, int fd, const char *peer)
{
    struct mr_kafka_listener *l = arg;
    struct mr_kafka *k = l->kafka;
    struct mr_node *n = k->node;
    struct mr_err err = {0};
    struct mr_kafka_conn *c = NULL;
    if (may_come(k, peer)) {
        if (!k->receive)
            k->receive = mr_realloc(NULL, MR_KAFKA_RECEIVE_BYTES); /* pages come as they are used */
        c = k->receive ? mr_alloc(sizeof *c) : NULL;
        if (!c)
            mr_node_tell(n, MR_WARN, "kafka: connection from %s refused: no memory for it", peer);
    }
    if (!c) {
        (void)close(fd); /* after it was told: who sees the one finds the other */
        return;
    }
    c->kafka = k;
    c->listener = l;
    c->last = &c->first;
    c->heard = mr_now(n->world);
    (void)snprintf(c->peer, sizeof c->peer, "%s", peer);
    c->next = k->conns;
    c->link = &k->conns;
    if (c->next)
        c->next->link = &c->next;
    k->conns = c;
    k->conn_count++;
    if (mr_conn_new(n->world, fd, &events, c, &c->net, &err)) {
        mr_node_tell(n, MR_WARN, "kafka: connection from %s refused: %s", peer, err.text);
        conn_free(c);
    }
}

/* NULL: it may stay. */
static const char *overdue(struct mr_kafka_conn *c, mr_ms now)
{
    mr_ms frame_ms = c->kafka->node->config.frame_ms;
    mr_ms idle_ms = mr_broker_node_settings(c->kafka->node->broker)->connections_max_idle_ms;
    size_t unsent = mr_conn_queued(c->net);
    if (unsent != c->unsent)
        c->took = now;
    c->unsent = unsent;
    if (idle_ms >= 0 && unsent && now - c->took > idle_ms)
        return "it has not read its answers for too long";
    /* A favoured one has all others wait: it has no excuse. */
    bool answerable = !c->paused || c->kafka->favoured == c;
    if ((c->want || c->have) && answerable && now - (c->want ? c->grew : c->heard) > frame_ms)
        return "the rest of a request has not come in time";
    return idle_ms >= 0 && c->in_hand == 0 && !c->paused && now - c->heard > idle_ms ? "" : NULL;
}

void mr_kafka_conns_sweep(struct mr_kafka *k)
{
    mr_ms now = mr_now(k->node->world);
    for (struct mr_kafka_conn *c = k->conns, *next; c; c = next) {
        next = c->next;
        const char *why = overdue(c, now);
        if (why && *why)
            mr_node_tell(k->node, MR_WARN, "kafka: connection from %s closed: %s", c->peer, why);
        if (why)
            mr_kafka_conn_close(c);
    }
    if (k->favoured && k->waiting && now - k->favoured->grew > k->node->config.frame_ms / 8) {
        k->favoured = NULL; /* it makes nothing of it */
        mr_kafka_give_back(k, 0);
    }
}
