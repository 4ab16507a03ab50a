/* kafka_frames.c - bytes to frames: where they are received, what a frame that came in part may hold.
 *
 * All connections of the shard receive into one buffer. A frame that came whole is read where it lies; only a
 * frame that came in part gets memory of its own, which grows as bytes arrive, so that a length alone costs
 * nothing and an idle connection holds a few hundred bytes.
 */
#include "node/kafka_conn.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

enum { FRAME_FIRST = 4096 /* memory for a frame that begins to come in part, bytes */ };

/* A person's mistake shows in the first four bytes. */
static const char *guess(const char *size)
{
    if (!memcmp(size, "GET ", 4) || !memcmp(size, "POST", 4) || !memcmp(size, "HEAD", 4))
        return " (HTTP? this is the Kafka port)";
    if (size[0] == 0x16 && size[1] == 0x03)
        return " (TLS? this listener is plain)";
    return "";
}

/* K2. false: the connection is doomed. */
static bool frame_size(struct mr_kafka_conn *c, const char *size, size_t *out)
{
    int32_t n = (int32_t)mr_kafka_be32(size);
    size_t max = (size_t)mr_broker_node_settings(c->kafka->node->broker)->socket_request_max_bytes;
    if (n > 0 && (size_t)n <= max) {
        *out = (size_t)n;
        return true;
    }
    mr_node_tell(c->kafka->node, MR_WARN,
                 "kafka: connection from %s closed: frame of %d bytes, allowed are 1 to %zu%s", c->peer, n,
                 max, guess(size));
    c->doomed = true;
    return false;
}

/* ------------------------------------------------------------------ memory for frames that came in part */

static size_t bytes_max(const struct mr_kafka *k)
{
    return (size_t)mr_broker_node_settings(k->node->broker)->queued_max_request_bytes;
}

bool mr_kafka_over(const struct mr_kafka *k)
{
    return k->bytes >= bytes_max(k);
}

static void wait_end(struct mr_kafka_conn *c)
{
    if (!c->wait_link)
        return;
    *c->wait_link = c->wait_next;
    if (c->wait_next)
        c->wait_next->wait_link = c->wait_link;
    else
        c->kafka->waiting_last = c->wait_link;
    c->wait_next = NULL;
    c->wait_link = NULL;
}

static void wait_begin(struct mr_kafka_conn *c)
{
    struct mr_kafka *k = c->kafka;
    c->paused = true;
    if (c->wait_link)
        return; /* an answer that went out made it try again */
    if (!k->waiting)
        mr_node_tell(k->node, MR_WARN,
                     "kafka: requests of all connections hold %zu of %zu bytes "
                     "(queued.max.request.bytes): those with large requests, such as %s, have to wait",
                     k->bytes, bytes_max(k), c->peer);
    c->wait_link = k->waiting_last;
    *c->wait_link = c;
    k->waiting_last = &c->wait_next;
}

/* Posted: there may be memory again. The first one that finds none goes on all the same, or waits again. */
static void wait_over(void *arg)
{
    struct mr_kafka *k = arg;
    k->waking = false;
    struct mr_kafka_conn *c = k->waiting;
    while (c && mr_kafka_conn_held_up(c))
        c = c->wait_next; /* it could make nothing of it; it asks again when its answers are out */
    if (!c || k->draining || (k->favoured && mr_kafka_over(k)))
        return;
    wait_end(c);
    if (mr_kafka_over(k))
        k->favoured = c;
    c->grew = mr_now(k->node->world); /* that it did not was not its fault */
    mr_kafka_conn_read_on(c);
    if (k->waiting && !k->waking) {
        k->waking = true;
        mr_post(k->node->world, wait_over, k);
    }
}

void mr_kafka_charge(struct mr_kafka *k, size_t bytes)
{
    k->bytes += bytes;
}

void mr_kafka_give_back(struct mr_kafka *k, size_t bytes)
{
    k->bytes -= bytes;
    if (k->waiting && !k->waking) {
        k->waking = true;
        mr_post(k->node->world, wait_over, k);
    }
}

static void out_of_memory(struct mr_kafka_conn *c)
{
    mr_node_tell(c->kafka->node, MR_WARN,
                 "kafka: connection from %s closed: no memory for a request of %zu bytes", c->peer, c->want);
    c->doomed = true;
}

/* Room for `need` bytes of the frame at least, and more while there is enough for all. */
static bool frame_grow(struct mr_kafka_conn *c, size_t need)
{
    struct mr_kafka *k = c->kafka;
    size_t room = mr_kafka_over(k) ? need : need * 2 > FRAME_FIRST ? need * 2 : FRAME_FIRST;
    if (room < c->usual && !mr_kafka_over(k))
        room = c->usual; /* who has sent as much before is believed to do it again */
    if (room > c->want + MR_KAFKA_SIZE_BYTES)
        room = c->want + MR_KAFKA_SIZE_BYTES;
    char *p = mr_realloc(c->frame, room);
    if (!p) {
        out_of_memory(c);
        return false;
    }
    if (!c->frame) {
        c->grew = mr_now(k->node->world);
        c->mark = need;
    }
    mr_kafka_charge(k, room - c->room);
    c->frame = p;
    c->room = room;
    return true;
}

/* A frame goes on that is not whole. Beyond the limit one connection at a time may, so that there is an end;
 * the others wait. Small ones always may: they may be what others wait for. */
static bool frame_may_grow(struct mr_kafka_conn *c)
{
    struct mr_kafka *k = c->kafka;
    if (k->favoured == c || !mr_kafka_over(k) || c->want + MR_KAFKA_SIZE_BYTES <= FRAME_FIRST)
        return true;
    if (k->favoured)
        return false;
    wait_end(c);
    k->favoured = c;
    return true;
}

static void frame_drop(struct mr_kafka_conn *c)
{
    if (c->kafka->favoured == c)
        c->kafka->favoured = NULL;
    mr_kafka_give_back(c->kafka, c->room);
    mr_free(c->frame);
    c->frame = NULL;
    c->have = c->room = c->want = 0;
}

void *mr_kafka_frame_room(void *arg, size_t *len)
{
    struct mr_kafka_conn *c = arg;
    struct mr_kafka *k = c->kafka;
    if (c->doomed || k->draining || mr_kafka_conn_held_up(c)) {
        c->paused = true;
        return NULL;
    }
    if (c->want) { /* into the frame, and not beyond it */
        if (c->have == c->room) {
            if (!frame_may_grow(c)) {
                wait_begin(c);
                return NULL;
            }
            if (!frame_grow(c, c->have + (mr_kafka_over(k) ? MR_KAFKA_FRAME_STEP : 1))) {
                mr_kafka_conn_close(c);
                return NULL;
            }
        }
        *len = c->room - c->have;
        return c->frame + c->have;
    }
    /* Small requests go on whatever the others hold. Of one large frame after the other only the beginning
     * comes this way, for it is copied. */
    *len = mr_kafka_over(k) || c->usual > MR_KAFKA_RECEIVE_BYTES ? FRAME_FIRST : MR_KAFKA_RECEIVE_BYTES;
    return k->receive;
}

static void rest_drop(struct mr_kafka_conn *c)
{
    c->kafka->rests -= c->rest != NULL;
    mr_kafka_give_back(c->kafka, c->rest_len);
    mr_free(c->rest);
    c->rest = NULL;
    c->rest_at = c->rest_len = 0;
}

/* What came after the requests that it is held up with is for later. */
static void rest_keep(struct mr_kafka_conn *c, const char *p, size_t len)
{
    if (!(c->rest = mr_realloc(NULL, len))) {
        out_of_memory(c);
        return;
    }
    memcpy(c->rest, p, len);
    c->rest_at = 0;
    c->rest_len = len;
    mr_kafka_charge(c->kafka, len);
    c->kafka->rests++;
    c->paused = true;
    mr_conn_pause(c->net);
}

/* Whole frames in p are run where they lie; the rest is taken along. Bytes that were taken: fewer than len
 * when it is held up in between. */
static size_t frames(struct mr_kafka_conn *c, char *p, size_t len)
{
    size_t at = 0;
    if (c->have) { /* a size field that came in pieces */
        while (c->have < MR_KAFKA_SIZE_BYTES && at < len)
            c->early[c->have++] = p[at++];
        if (c->have < MR_KAFKA_SIZE_BYTES || !frame_size(c, c->early, &c->want))
            return len;
        if (len - at >= c->want) {
            size_t want = c->want;
            c->have = c->want = 0;
            mr_kafka_run(c, (struct mr_slice){p + at, want});
            at += want;
        } else {
            size_t rest = len - at;
            if (!frame_grow(c, MR_KAFKA_SIZE_BYTES + rest))
                return len;
            memcpy(c->frame + MR_KAFKA_SIZE_BYTES, p + at, rest);
            c->have = MR_KAFKA_SIZE_BYTES + rest;
            return len;
        }
    }
    while (!c->doomed && at < len) {
        size_t left = len - at, size;
        if (mr_kafka_conn_held_up(c))
            return at;
        if (left < MR_KAFKA_SIZE_BYTES) {
            memcpy(c->early, p + at, left);
            c->have = left;
            return len;
        }
        if (!frame_size(c, p + at, &size))
            return len;
        if (left - MR_KAFKA_SIZE_BYTES < size) {
            c->want = size;
            if (!frame_grow(c, left))
                return len;
            memcpy(c->frame, p + at, left);
            c->have = left;
            return len;
        }
        mr_kafka_run(c, (struct mr_slice){p + at + MR_KAFKA_SIZE_BYTES, size});
        c->usual = 0;
        at += MR_KAFKA_SIZE_BYTES + size;
    }
    return len;
}

bool mr_kafka_rest_run(struct mr_kafka_conn *c)
{
    c->reading = true;
    c->rest_at += frames(c, c->rest + c->rest_at, c->rest_len - c->rest_at);
    c->reading = false;
    if (c->doomed) {
        mr_kafka_conn_close(c);
        return false;
    }
    if (c->rest_at == c->rest_len) {
        rest_drop(c);
        mr_node_settle(c->kafka->node);
    }
    return !mr_kafka_conn_held_up(c);
}

void mr_kafka_frame_bytes(void *arg, size_t len)
{
    struct mr_kafka_conn *c = arg;
    c->heard = mr_now(c->kafka->node->world);
    c->reading = true;
    if (!c->doomed && c->want) {
        c->have += len;
        mr_assert(c->have <= c->want + MR_KAFKA_SIZE_BYTES);
        if (c->have >= c->mark + MR_KAFKA_FRAME_STEP) {
            c->mark = c->have;
            c->grew = c->heard;
        }
        if (c->have == c->want + MR_KAFKA_SIZE_BYTES) {
            mr_kafka_run(c, (struct mr_slice){c->frame + MR_KAFKA_SIZE_BYTES, c->want});
            c->usual = c->have;
            frame_drop(c);
        }
    } else if (!c->doomed) {
        size_t taken = frames(c, c->kafka->receive, len);
        if (taken < len && !c->doomed)
            rest_keep(c, c->kafka->receive + taken, len - taken);
    }
    c->reading = false;
    if (c->doomed)
        mr_kafka_conn_close(c);
}

void mr_kafka_frame_fini(struct mr_kafka_conn *c)
{
    wait_end(c);
    frame_drop(c);
    rest_drop(c);
}
