/* kafka_request.c - one request from its frame to its answer: what handlers are given. */
#include "node/kafka_conn.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

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

/* K5. What it holds by now counts. */
static void charge(struct mr_request *r)
{
    size_t holds = r->arena.held + r->out.cap;
    if (holds > r->charged)
        mr_kafka_charge(r->kafka, holds - r->charged);
    else
        mr_kafka_give_back(r->kafka, r->charged - holds);
    r->charged = holds;
}

/* Back to where it was when new, but for the memory that is worth keeping. */
void mr_kafka_request_free(struct mr_request *r)
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
    for (struct mr_kafka_running *i = k->running; i; i = i->outer)
        if (i->request == r)
            i->request = NULL;
    size_t charged = r->charged;
    mr_heap_arena_reset(&r->arena);
    struct mr_heap_arena arena = r->arena;
    struct mr_buf out = r->out;
    out.len = 0;
    if (out.cap > MR_KAFKA_FRAME_STEP)
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
    mr_kafka_give_back(k, charged);
}

static void needs_drop(struct mr_request *r)
{
    if (r->adding && !r->added)
        mr_txns_forget(r->adding);
    for (struct mr_request_need *need = r->needs; need; need = need->next)
        mr_broker_await_not(&need->wait);
    r->needs = NULL;
}

static void stop_waiting(struct mr_request *r)
{
    needs_drop(r);
    mr_request_changes_drop(r);
    mr_timer_stop(mr_request_node(r)->world, &r->timer);
    if (r->drop)
        r->drop(r);
    r->drop = NULL;
    r->give_up = NULL;
    r->pending = 0;
}

/* The connection is gone: whoever waits for it waits no more. */
void mr_kafka_request_abandon(struct mr_request *r)
{
    r->conn = NULL;
    r->next = NULL;
    stop_waiting(r);
    if (r->sends == 0)
        mr_kafka_request_free(r);
}

static void answered(struct mr_request *r)
{
    mr_assert(!r->answered); /* K1 */
    mr_request_changes_drop(r);
    mr_timer_stop(mr_request_node(r)->world, &r->timer);
    r->drop = NULL;
    r->give_up = NULL;
    r->pending = 0;
    r->answered = true;
    if (r->conn) {
        if (r->conn->first != r && r->file_count == 0)
            mr_heap_arena_reset(&r->arena); /* it waits for its turn as bytes alone */
        charge(r);
        r->conn->held += r->out.len;
        mr_kafka_conn_flush(r->conn);
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
    mr_kafka_conn_close(c);
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

const struct mr_kafka_listener *mr_request_listener(const struct mr_request *r)
{
    return r->conn ? r->conn->listener : &r->kafka->listeners[0];
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

/* ------------------------------------------------------------------ running */

static void give_up(void *arg)
{
    struct mr_request *r = arg;
    if (r->give_up)
        r->give_up(r);
}

static void run_handler(const struct mr_handler *h, struct mr_request *r)
{
    struct mr_kafka *k = r->kafka;
    struct mr_kafka_running here = {.request = r, .outer = k->running};
    k->running = &here;
    h->run(r);
    k->running = here.outer;
    if (!here.request)
        return;
    charge(r); /* it waits, or its answer does */
    if (k->draining && r->hurry && r->give_up)
        r->give_up(r);
}

static void one_need_met(struct mr_request *r)
{
    struct mr_kafka_conn *c = r->conn;
    mr_assert(r->pending > 0);
    if (--r->pending || !c)
        return;
    r->needs = NULL;
    r->body = r->whole;
    c->awaiting = false;
    c->reading = true; /* it stays until we are through with it */
    run_handler(mr_handler_find(r->head.key), r);
    c->reading = false;
    if (c->doomed)
        mr_kafka_conn_close(c);
    else
        mr_kafka_conn_read_on(c);
}

static void need_met(struct mr_open_wait *w)
{
    one_need_met(w->arg);
}

static void add_met(struct mr_txn_call *call)
{
    struct mr_request *r = call->arg;
    r->added = true;
    one_need_met(r);
}

void mr_request_add(struct mr_request *r, struct mr_slice id, int64_t producer, int16_t epoch,
                    const struct mr_txn_at *parts, size_t count)
{
    struct mr_txn_call *call = mr_request_take(r, 1, sizeof *call);
    if (!call) /* closed */
        return;
    *call = (struct mr_txn_call){.id = id, .producer = producer, .epoch = epoch, .done = add_met, .arg = r};
    r->adding = call;
    r->added = mr_txns_add(mr_request_node(r)->txns, call, parts, count);
    r->pending += !r->added;
}

void mr_request_need(struct mr_request *r, const struct mr_topic *t, int32_t partition)
{
    struct mr_broker *b = mr_request_node(r)->broker;
    if (!t || mr_broker_partition_open(b, t, partition))
        return;
    struct mr_request_need *need = mr_request_take(r, 1, sizeof *need);
    if (!need) /* closed */
        return;
    need->wait = (struct mr_open_wait){.done = need_met, .arg = r};
    if (mr_broker_await(b, t, partition, &need->wait))
        return;
    need->next = r->needs;
    r->needs = need;
    r->pending++;
}

bool mr_request_waits(struct mr_request *r)
{
    if (!r->needs && (!r->adding || r->added))
        return false;
    r->whole = mr_slice_copy(&r->arena.arena, r->whole);
    if (!r->whole.p)
        mr_request_close(r, "%s v%d: larger than %d bytes, and its partitions are not ready",
                         r->head.api->name, r->head.version, MR_KAFKA_ARENA_BYTES);
    else if (r->conn)
        r->conn->awaiting = true;
    return true;
}

void mr_kafka_run(struct mr_kafka_conn *c, struct mr_slice frame)
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
    r->whole = r->body;
    const struct mr_handler *h = mr_handler_find(r->head.key);
    if (h && r->head.version >= h->min && r->head.version <= mr_handler_max(h, mr_request_node(r)))
        run_handler(h, r);
    else if (h && r->head.key == 18)
        mr_kafka_api_versions_refuse(r);
    else
        mr_request_close(r, "%s v%d is not served", r->head.api->name, r->head.version);
}
