/* kafka.c - the Kafka listener: connections, frames, and answers in the order of their requests.
 *
 * All connections of the shard receive into one buffer. A frame that came whole is read where it lies; only a
 * frame that came in part gets memory of its own, which grows as bytes arrive, so that a length alone costs
 * nothing and an idle connection holds a few hundred bytes.
 *
 * Laws:  K1 answers leave in the order of their requests, each once
 *        K2 a frame longer than frame_bytes_max, or of no length, closes its connection before memory is
 * taken K3 what one connection sends never disturbs another K4 a request outlives its connection until
 * nothing is on its way for it: no wait, no send
 */
#include "node/kafka.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

#include <unistd.h>

enum {
    SIZE_BYTES = 4,
    FRAME_FIRST = 4096,    /* memory for a frame that begins to come in part, bytes */
    FRAME_STEP = 64 << 10, /* of a frame that came in part must follow within frame_ms, bytes */
    ANSWERS_MAX = 1 << 20, /* bytes of answers that wait in a connection; it is not read beyond */
    SWEEP_MS = 5000,
    PEER_BYTES = 64,
    PARTS_MAX = MR_NET_PARTS_MAX,
};

struct mr_kafka_conn {
    struct mr_kafka *kafka;
    const struct mr_kafka_listener *listener; /* that it came in through */
    struct mr_conn *net;                      /* NULL: closed */
    struct mr_kafka_conn *next, **link;
    struct mr_request *first, **last; /* in order of arrival; the first one is answered next */
    struct mr_request *sending;       /* answered, but not all of it is in the socket yet */
    uint32_t in_hand;
    bool reading; /* inside of on_bytes: closing waits until it is out */
    bool doomed;  /* to be closed */
    bool paused;
    bool flushing;
    struct mr_kafka_conn *wait_next, **wait_link; /* those that wait for memory; link NULL: it does not */
    mr_ms heard;                                  /* or answered */
    mr_ms took;                                   /* when the socket last took a byte of what waits */
    size_t unsent;                                /* bytes that waited then */
    mr_ms grew;                                   /* when a frame in part last came on */
    size_t mark;                                  /* bytes of it then */
    size_t held;                                  /* bytes of answers that wait for earlier ones */
    char *rest; /* whole requests, and maybe a part, that came while it was held up */
    size_t rest_at, rest_len;
    char *frame;             /* a frame that came in part: its size field and what there is of it */
    size_t have, room, want; /* bytes; want 0: the size is not known yet */
    char early[SIZE_BYTES];  /* the size field while it is not whole, without memory */
    char peer[PEER_BYTES];
};

static void conn_close(struct mr_kafka_conn *c);
static void flush(struct mr_kafka_conn *c);
static bool rest_run(struct mr_kafka_conn *c);

/* ------------------------------------------------------------------ requests */

static struct mr_request *request_new(struct mr_kafka_conn *c) /* NULL: no memory */
{
    struct mr_kafka *k = c->kafka;
    struct mr_request *r = k->kept;
    if (r) {
        k->kept = r->next;
        k->kept_count--;
        r->next = NULL;
    } else if (!(r = mr_alloc(sizeof *r))) {
        return NULL;
    } else {
        mr_heap_arena_init(&r->arena, 4096, 64 << 10, MR_KAFKA_ARENA_BYTES);
    }
    r->kafka = k;
    r->conn = c;
    *c->last = r;
    c->last = &r->next;
    c->in_hand++;
    k->busy++;
    return r;
}

/* Back to where it was when new, but for the memory that is worth keeping. */
static void request_free(struct mr_request *r)
{
    struct mr_kafka *k = r->kafka;
    mr_assert(r->sends == 0 && r->pending == 0 && !r->timer.runtime); /* K4 */
    for (uint32_t i = 0; i < r->file_count; i++)
        mr_file_close(r->files[i].file);
    if (r->sending_link) {
        *r->sending_link = r->sending;
        if (r->sending)
            r->sending->sending_link = r->sending_link;
    }
    mr_heap_arena_reset(&r->arena);
    struct mr_heap_arena arena = r->arena;
    struct mr_buf out = r->out;
    out.len = 0;
    if (out.cap > FRAME_STEP)
        mr_buf_fini(&out);
    *r = (struct mr_request){.arena = arena, .out = out};
    k->busy--;
    if (k->kept_count < MR_KAFKA_REQUESTS_KEPT) {
        r->next = k->kept;
        k->kept = r;
        k->kept_count++;
    } else {
        mr_heap_arena_fini(&r->arena);
        mr_buf_fini(&r->out);
        mr_free(r);
    }
}

static void stop_waiting(struct mr_request *r)
{
    mr_timer_stop(mr_request_node(r)->world, &r->timer);
    if (r->drop)
        r->drop(r);
    r->drop = NULL;
    r->give_up = NULL;
    r->pending = 0;
}

/* The connection is gone: whoever waits for it waits no more. */
static void request_abandon(struct mr_request *r)
{
    r->conn = NULL;
    r->next = NULL;
    stop_waiting(r);
    if (r->sends == 0)
        request_free(r);
}

static void answered(struct mr_request *r)
{
    mr_assert(!r->answered); /* K1 */
    mr_timer_stop(mr_request_node(r)->world, &r->timer);
    r->drop = NULL;
    r->give_up = NULL;
    r->pending = 0;
    r->answered = true;
    if (r->conn) {
        r->conn->held += r->out.len;
        flush(r->conn);
    }
}

void mr_request_answer(struct mr_request *r, const void *message)
{
    struct mr_err err = {0};
    size_t at;
    const struct mr_api *api = r->head.api;
    mr_code rc = MR_MEMORY;
    if (mr_frame_begin(&r->out, &at) &&
        mr_response_header_write(&r->out, api, r->head.version, r->head.correlation_id))
        rc = mr_message_write(api->response, &r->out, r->head.version, message, &r->holes, &err);
    if (rc) {
        mr_request_close(r, "answer to %s v%d cannot be written: %s", api->name, r->head.version,
                         err.code ? err.text : mr_code_text(rc));
        return;
    }
    mr_frame_end(&r->out, at, &r->holes);
    answered(r);
}

void mr_request_silent(struct mr_request *r)
{
    r->silent = true;
    answered(r);
}

void mr_request_close(struct mr_request *r, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct mr_kafka_conn *c = r->conn;
    if (!c || c->doomed)
        return;
    mr_node_tell(mr_request_node(r), MR_WARN, "kafka: connection from %s closed: %s", c->peer, text);
    conn_close(c);
}

bool mr_request_keep(struct mr_request *r)
{
    r->body = mr_slice_copy(&r->arena.arena, r->body);
    if (!r->body.p)
        mr_request_close(r, "%s v%d: larger than %d bytes", r->head.api->name, r->head.version,
                         MR_KAFKA_ARENA_BYTES);
    return r->body.p != NULL;
}

void *mr_request_take(struct mr_request *r, size_t count, size_t size)
{
    size_t bytes;
    void *p = NULL;
    if (!__builtin_mul_overflow(count, size, &bytes))
        p = mr_arena_take(&r->arena.arena, bytes ? bytes : 1);
    if (p)
        memset(p, 0, bytes ? bytes : 1);
    else
        mr_request_close(r, "%s v%d: its answer needs more than %d bytes of arrays", r->head.api->name,
                         r->head.version, MR_KAFKA_ARENA_BYTES);
    return p;
}

struct mr_slice mr_request_text(struct mr_request *r, const char *text)
{
    return mr_slice_copy(&r->arena.arena, mr_slice_of(text));
}

mr_ms mr_request_until(const struct mr_request *r, int64_t ms)
{
    ms = ms < 0 ? 0 : ms > MR_KAFKA_WAIT_MS_MAX ? MR_KAFKA_WAIT_MS_MAX : ms;
    return mr_now(mr_request_node(r)->world) + ms;
}

const struct mr_address *mr_request_shown(const struct mr_request *r)
{
    return r->conn ? &r->conn->listener->shown : &r->kafka->listeners[0].shown;
}

const char *mr_request_peer(const struct mr_request *r)
{
    return r->conn ? r->conn->peer : "";
}

bool mr_request_read(struct mr_request *r, void *message)
{
    struct mr_err err = {0};
    if (mr_message_read(r->head.api->request, &r->body, r->head.version, &r->arena.arena, message, &err) ==
        MR_OK)
        return true;
    mr_request_close(r, "%s", err.text);
    return false;
}

void mr_request_hold(struct mr_request *r, const struct mr_log_view *view)
{
    r->files[r->file_count++] = (struct mr_held_file){.file = mr_file_hold(view->file), .at = view->at};
}

const struct mr_topic *mr_request_topic(const struct mr_request *r, struct mr_slice name,
                                        const struct mr_uuid *id, bool by_id, enum mr_refusal *why)
{
    const struct mr_broker *b = mr_request_node(r)->broker;
    const struct mr_topic *t = by_id ? mr_broker_topic_by_id(b, id->b) : mr_broker_topic(b, name);
    *why = t ? MR_REFUSE_NONE : by_id ? MR_REFUSE_UNKNOWN_TOPIC_ID : MR_REFUSE_UNKNOWN_TOPIC;
    return t;
}

/* ------------------------------------------------------------------ answers leave */

/* It has enough to do, or does not take its answers: it is not listened to until that is better. */
static bool held_up(const struct mr_kafka_conn *c)
{
    return c->in_hand >= MR_KAFKA_IN_HAND_MAX || c->held + mr_conn_queued(c->net) > ANSWERS_MAX;
}

/* The connection may be gone afterwards. */
static void read_on(struct mr_kafka_conn *c)
{
    if (!c->paused || c->reading || c->doomed || !c->net || c->kafka->draining || held_up(c))
        return;
    if (c->rest && !rest_run(c))
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
                read_on(c);
        }
        request_free(r);
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

static void flush(struct mr_kafka_conn *c)
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
            request_free(r);
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
        conn_close(c); /* or later, when it is being read */
    else
        read_on(c);
}

/* ------------------------------------------------------------------ frames come in */

static void give_up(void *arg)
{
    struct mr_request *r = arg;
    if (r->give_up)
        r->give_up(r);
}

static void run_request(struct mr_kafka_conn *c, struct mr_slice frame)
{
    struct mr_err err = {0};
    struct mr_request *r = request_new(c);
    if (!r) {
        mr_node_tell(c->kafka->node, MR_WARN, "kafka: connection from %s closed: no memory for a request",
                     c->peer);
        c->doomed = true;
        return;
    }
    r->timer.fire = give_up;
    r->timer.arg = r;
    r->body = frame;
    mr_code rc = mr_request_header_read(&r->body, &r->head, &err);
    if (rc == MR_UNSUPPORTED && r->head.key == 18) {
        mr_kafka_api_versions_refuse(r);
        return;
    }
    if (rc) {
        mr_request_close(r, "%s", err.text);
        return;
    }
    const struct mr_handler *h = mr_handler_find(r->head.key);
    if (h && r->head.version >= h->min && r->head.version <= h->max)
        h->run(r);
    else if (h && r->head.key == 18)
        mr_kafka_api_versions_refuse(r);
    else
        mr_request_close(r, "%s v%d is not served", r->head.api->name, r->head.version);
}

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
    size_t max = c->kafka->node->config.frame_bytes_max;
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

static bool over(const struct mr_kafka *k)
{
    return k->bytes >= k->node->config.request_bytes_max;
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
                     "kafka: requests of all connections hold %zu of %zu bytes (request_bytes_max): those "
                     "with large requests, such as %s, have to wait",
                     k->bytes, k->node->config.request_bytes_max, c->peer);
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
    if (!c || k->draining || (k->favoured && over(k)))
        return;
    wait_end(c);
    if (over(k))
        k->favoured = c;
    c->grew = mr_now(k->node->world); /* that it did not was not its fault */
    read_on(c);
    if (k->waiting) {
        k->waking = true;
        mr_post(k->node->world, wait_over, k);
    }
}

static void give_back(struct mr_kafka *k, size_t bytes)
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
    size_t room = over(k) ? need : need * 2 > FRAME_FIRST ? need * 2 : FRAME_FIRST;
    if (room > c->want + SIZE_BYTES)
        room = c->want + SIZE_BYTES;
    char *p = mr_realloc(c->frame, room);
    if (!p) {
        out_of_memory(c);
        return false;
    }
    if (!c->frame) {
        c->grew = mr_now(k->node->world);
        c->mark = need;
    }
    k->bytes += room - c->room;
    c->frame = p;
    c->room = room;
    return true;
}

/* A frame goes on that is not whole. Beyond the limit one connection at a time may, so that there is an end;
 * the others wait. */
static bool frame_may_grow(struct mr_kafka_conn *c)
{
    struct mr_kafka *k = c->kafka;
    if (k->favoured == c || !over(k))
        return true;
    if (k->favoured)
        return false;
    k->favoured = c;
    return true;
}

static void frame_drop(struct mr_kafka_conn *c)
{
    if (c->kafka->favoured == c)
        c->kafka->favoured = NULL;
    give_back(c->kafka, c->room);
    mr_free(c->frame);
    c->frame = NULL;
    c->have = c->room = c->want = 0;
}

static void *on_room(void *arg, size_t *len)
{
    struct mr_kafka_conn *c = arg;
    struct mr_kafka *k = c->kafka;
    if (c->doomed || k->draining || held_up(c)) {
        c->paused = true;
        return NULL;
    }
    if (c->want) { /* into the frame, and not beyond it */
        if (c->have == c->room) {
            if (!frame_may_grow(c)) {
                wait_begin(c);
                return NULL;
            }
            if (!frame_grow(c, c->have + (over(k) ? FRAME_STEP : 1))) {
                conn_close(c);
                return NULL;
            }
        }
        *len = c->room - c->have;
        return c->frame + c->have;
    }
    *len = over(k) ? FRAME_FIRST : MR_KAFKA_RECEIVE_BYTES; /* small requests go on whatever the others hold */
    return k->receive;
}

static void rest_drop(struct mr_kafka_conn *c)
{
    give_back(c->kafka, c->rest_len);
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
    c->kafka->bytes += len;
    c->paused = true;
    mr_conn_pause(c->net);
}

/* Whole frames in p are run where they lie; the rest is taken along. Bytes that were taken: fewer than len
 * when it is held up in between. */
static size_t frames(struct mr_kafka_conn *c, char *p, size_t len)
{
    size_t at = 0;
    if (c->have) { /* a size field that came in pieces */
        while (c->have < SIZE_BYTES && at < len)
            c->early[c->have++] = p[at++];
        if (c->have < SIZE_BYTES || !frame_size(c, c->early, &c->want))
            return len;
        if (len - at >= c->want) {
            size_t want = c->want;
            c->have = c->want = 0;
            run_request(c, (struct mr_slice){p + at, want});
            at += want;
        } else {
            size_t rest = len - at;
            if (!frame_grow(c, SIZE_BYTES + rest))
                return len;
            memcpy(c->frame + SIZE_BYTES, p + at, rest);
            c->have = SIZE_BYTES + rest;
            return len;
        }
    }
    while (!c->doomed && at < len) {
        size_t left = len - at, size;
        if (held_up(c))
            return at;
        if (left < SIZE_BYTES) {
            memcpy(c->early, p + at, left);
            c->have = left;
            return len;
        }
        if (!frame_size(c, p + at, &size))
            return len;
        if (left - SIZE_BYTES < size) {
            c->want = size;
            if (!frame_grow(c, left))
                return len;
            memcpy(c->frame, p + at, left);
            c->have = left;
            return len;
        }
        run_request(c, (struct mr_slice){p + at + SIZE_BYTES, size});
        at += SIZE_BYTES + size;
    }
    return len;
}

/* true: all of it was taken, and the connection may be read again; otherwise it may be gone. */
static bool rest_run(struct mr_kafka_conn *c)
{
    c->reading = true;
    c->rest_at += frames(c, c->rest + c->rest_at, c->rest_len - c->rest_at);
    c->reading = false;
    if (c->doomed) {
        conn_close(c);
        return false;
    }
    if (c->rest_at == c->rest_len)
        rest_drop(c);
    return !held_up(c);
}

static void on_bytes(void *arg, size_t len)
{
    struct mr_kafka_conn *c = arg;
    c->heard = mr_now(c->kafka->node->world);
    c->reading = true;
    if (!c->doomed && c->want) {
        c->have += len;
        mr_assert(c->have <= c->want + SIZE_BYTES);
        if (c->have >= c->mark + FRAME_STEP) {
            c->mark = c->have;
            c->grew = c->heard;
        }
        if (c->have == c->want + SIZE_BYTES) {
            run_request(c, (struct mr_slice){c->frame + SIZE_BYTES, c->want});
            frame_drop(c);
        }
    } else if (!c->doomed) {
        size_t taken = frames(c, c->kafka->receive, len);
        if (taken < len && !c->doomed)
            rest_keep(c, c->kafka->receive + taken, len - taken);
    }
    c->reading = false;
    if (c->doomed)
        conn_close(c);
}

/* ------------------------------------------------------------------ connections */

static void conn_free(struct mr_kafka_conn *c)
{
    struct mr_kafka *k = c->kafka;
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    k->conn_count--;
    wait_end(c);
    frame_drop(c);
    rest_drop(c);
    mr_free(c);
}

/* Now, or when the callback that it is in has come back. */
static void conn_close(struct mr_kafka_conn *c)
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
        request_abandon(r); /* those that are being sent are no longer in this list */
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
    conn_close(arg);
}

static const struct mr_conn_events events = {.room = on_room, .bytes = on_bytes, .closed = on_closed};

void mr_kafka_accept(void *arg, int fd, const char *peer)
{
    struct mr_kafka_listener *l = arg;
    struct mr_kafka *k = l->kafka;
    struct mr_node *n = k->node;
    struct mr_err err = {0};
    if (!k->receive)
        k->receive = mr_realloc(NULL, MR_KAFKA_RECEIVE_BYTES); /* pages come as they are used */
    struct mr_kafka_conn *c = NULL;
    if (k->conn_count < n->config.connections_max && k->receive)
        c = mr_alloc(sizeof *c);
    if (!c) {
        mr_node_tell(n, MR_WARN, "kafka: connection from %s refused: there are %u (connections_max is %u)",
                     peer, k->conn_count, n->config.connections_max);
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
    const struct mr_node_config *config = &c->kafka->node->config;
    size_t unsent = mr_conn_queued(c->net);
    if (unsent != c->unsent)
        c->took = now;
    c->unsent = unsent;
    if (unsent && now - c->took > config->idle_ms)
        return "it has not read its answers for too long";
    /* A favoured one has all others wait: it has no excuse. */
    bool answerable = !c->paused || c->kafka->favoured == c;
    if ((c->want || c->have) && answerable && now - (c->want ? c->grew : c->heard) > config->frame_ms)
        return "the rest of a request has not come in time";
    return c->in_hand == 0 && !c->paused && now - c->heard > config->idle_ms ? "" : NULL;
}

static mr_ms sweep_after(const struct mr_node_config *config)
{
    mr_ms least = config->idle_ms < config->frame_ms ? config->idle_ms : config->frame_ms;
    return least / 4 < SWEEP_MS ? least / 4 + 1 : SWEEP_MS;
}

static void sweep(void *arg)
{
    struct mr_kafka *k = arg;
    struct mr_world *w = k->node->world;
    mr_ms now = mr_now(w);
    for (struct mr_kafka_conn *c = k->conns, *next; c; c = next) {
        next = c->next;
        const char *why = overdue(c, now);
        if (why && *why)
            mr_node_tell(k->node, MR_WARN, "kafka: connection from %s closed: %s", c->peer, why);
        if (why)
            conn_close(c);
    }
    if (k->favoured && k->waiting && now - k->favoured->grew > k->node->config.frame_ms / 8) {
        k->favoured = NULL; /* it makes nothing of it */
        give_back(k, 0);
    }
    mr_timer_set(w, &k->sweep, now + sweep_after(&k->node->config));
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
    mr_timer_set(n->world, &k->sweep, mr_now(n->world) + sweep_after(&n->config));
    *out = k;
    return MR_OK;
}

size_t mr_kafka_busy(const struct mr_kafka *k)
{
    return k ? k->busy : 0;
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
            conn_close(c);
    }
}

void mr_kafka_stop(struct mr_kafka *k)
{
    if (!k)
        return;
    mr_timer_stop(k->node->world, &k->sweep);
    mr_kafka_deafen(k);
    while (k->conns)
        conn_close(k->conns);
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
