/* topics_port.c - the topics port onto the broker of this process (pipeline/topics.h).
 *
 * A *call* is made on a lane's thread, posted to the shard, carried out there, and posted back to the lane's
 * world, where it ends. Produced bytes move along and are appended from where they are; fetched bytes are
 * read once into a pooled buffer that the lane gives back from any thread.
 *
 *   lane --post--> shard: run --(wait: for the disk, for more to read, for time)--> settle --post--> lane:
 * deliver
 *
 * Laws:  C1 a call is in the list of the shard from run until settle, and is settled once
 *        C2 when it is settled nobody else holds it: not parked, no timer, no produce on its way
 */
#include "node/port_inside.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

#include <stdatomic.h>

enum {
    ATTRIBUTES_AT = 22,         /* low byte, in a batch */
    POOLED_MAX = 16,            /* buffers kept for the next fetch */
    POOLED_BYTES_MAX = 4 << 20, /* larger ones are freed at once */
    BUFFER_STEP = 64 << 10,
    FETCH_BYTES_MAX = 64 << 20, /* asked for in one call */
};

/* ------------------------------------------------------------------ buffers */

struct pool {
    pthread_mutex_t mutex;
    struct buffer *free;
    unsigned pooled;
    atomic_uint holds; /* buffers that are out, and the port */
};

struct buffer {
    struct mr_fetched fetched; /* first */
    struct pool *pool;
    struct buffer *next;
    size_t cap;
    char bytes[];
};

static void pool_let_go(struct pool *pool)
{
    if (atomic_fetch_sub(&pool->holds, 1) != 1)
        return;
    for (struct buffer *b = pool->free, *next; b; b = next) {
        next = b->next;
        mr_free(b);
    }
    (void)pthread_mutex_destroy(&pool->mutex);
    mr_free(pool);
}

static void buffer_release(void *what) /* any thread */
{
    struct buffer *b = what;
    struct pool *pool = b->pool;
    (void)pthread_mutex_lock(&pool->mutex);
    bool keep = pool->pooled < POOLED_MAX && b->cap <= POOLED_BYTES_MAX;
    if (keep) {
        b->next = pool->free;
        pool->free = b;
        pool->pooled++;
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    if (!keep)
        mr_free(b);
    pool_let_go(pool);
}

static struct buffer *buffer_take(struct pool *pool, size_t bytes) /* NULL: no memory */
{
    struct buffer *b = NULL, **at;
    (void)pthread_mutex_lock(&pool->mutex);
    for (at = &pool->free; *at && (*at)->cap < bytes; at = &(*at)->next)
        ;
    if ((b = *at)) {
        *at = b->next;
        pool->pooled--;
    }
    (void)pthread_mutex_unlock(&pool->mutex);
    if (!b) {
        size_t cap = (bytes + BUFFER_STEP) / BUFFER_STEP * BUFFER_STEP;
        if (!(b = mr_realloc(NULL, sizeof *b + cap))) /* not zeroed: it is about to be filled */
            return NULL;
        b->cap = cap;
        b->pool = pool;
    }
    b->next = NULL;
    b->fetched = (struct mr_fetched){.release = buffer_release, .what = b};
    atomic_fetch_add(&pool->holds, 1);
    return b;
}

/* ------------------------------------------------------------------ calls */

enum kind { ENSURE, ENSURE_COMPACTED, PRODUCE, FETCH };

struct call {
    struct mr_port *port;
    struct mr_world *home; /* of the lane */
    struct call *next, **link;
    enum kind kind;
    int32_t partition; /* ENSURE: how many */
    void *arg;
    union {
        void (*ensured)(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why);
        void (*produced)(void *arg, mr_code rc, int64_t base_offset, const char *why);
        void (*fetched)(void *arg, mr_code rc, struct mr_fetched *got, const char *why);
    } done;
    struct mr_change change; /* ENSURE */
    /* PRODUCE */
    struct mr_buf bytes;
    struct mr_produce produce;
    /* FETCH */
    int64_t offset;
    size_t max_bytes;
    mr_ms wait_ms, until;
    struct mr_parked parked;
    struct mr_open_wait opening; /* PRODUCE too: of its partition */
    struct mr_timer timer;
    struct buffer *got;
    /* the answer */
    mr_code rc;
    struct mr_topic_info info;
    char why[256];
    size_t topic_len;
    char topic[MR_TOPIC_NAME_MAX + 1];
};

static struct mr_slice topic_of(const struct call *c)
{
    return (struct mr_slice){c->topic, c->topic_len};
}

static void deliver(void *arg) /* on the lane */
{
    struct call *c = arg;
    const char *why = c->why[0] ? c->why : mr_code_text(c->rc);
    switch (c->kind) {
    case ENSURE:
    case ENSURE_COMPACTED:
        c->done.ensured(c->arg, c->rc, &c->info, why);
        break;
    case PRODUCE:
        c->done.produced(c->arg, c->rc, c->produce.base_offset, why);
        break;
    case FETCH:
        c->done.fetched(c->arg, c->rc, c->got ? &c->got->fetched : NULL, why);
        break;
    }
    mr_buf_fini(&c->bytes);
    mr_free(c);
}

static void settle(struct call *c, mr_code rc, const char *why)
{
    struct mr_node *n = c->port->node;
    mr_assert(c->link);           /* C1 */
    mr_assert(!c->parked.link);   /* C2 */
    mr_assert(!c->timer.runtime); /* C2 */
    mr_assert(!c->produce.link);  /* C2 */
    c->rc = rc;
    if (rc)
        (void)snprintf(c->why, sizeof c->why, "topic '%.100s': %.140s", c->topic,
                       why ? why : mr_code_text(rc));
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->link = NULL;
    c->port->busy--;
    mr_post(c->home, deliver, c);
    mr_node_settle(n);
}

mr_code mr_port_code(enum mr_refusal refusal, mr_code code)
{
    switch (refusal) {
    case MR_REFUSE_NONE:
        return MR_OK;
    case MR_REFUSE_UNKNOWN_TOPIC:
        return MR_NOTFOUND;
    case MR_REFUSE_TOO_LARGE:
    case MR_REFUSE_LIST_TOO_LARGE:
    case MR_REFUSE_POLICY:
        return MR_LIMIT;
    case MR_REFUSE_OFFSET_OUT_OF_RANGE:
        return MR_RANGE;
    case MR_REFUSE_INVALID_TOPIC:
    case MR_REFUSE_INVALID_PARTITIONS:
    case MR_REFUSE_INVALID_CONFIG:
        return MR_BADCONF;
    case MR_REFUSE_TOPIC_EXISTS:
        return MR_EXISTS;
    case MR_REFUSE_STORAGE:
        return code ? code : MR_IO;
    default:
        return MR_CORRUPT;
    }
}

/* ------------------------------------------------------------------ on the shard */

static struct mr_partition *partition_of(struct call *c, enum mr_refusal *why, struct mr_err *err)
{
    struct mr_broker *b = c->port->node->broker;
    return mr_broker_partition(b, mr_broker_topic(b, topic_of(c)), c->partition, why, err);
}

static void ensured(struct mr_change *change)
{
    struct call *c = change->arg;
    const struct mr_topic *t = change->topic;
    if (change->refusal == MR_REFUSE_TOPIC_EXISTS) { /* somebody else was faster */
        t = mr_broker_topic(c->port->node->broker, topic_of(c));
        change->refusal = t ? MR_REFUSE_NONE : MR_REFUSE_TOPIC_EXISTS;
    }
    c->info.partitions = t ? t->partitions : 0;
    settle(c, mr_port_code(change->refusal, change->err.code), change->err.text);
}

static void run_ensure(struct call *c)
{
    static const struct mr_setting compacted[] = {
        {{"cleanup.policy", 14}, {"compact", 7}},
        {{"retention.ms", 12}, {"-1", 2}},
        {{"retention.bytes", 15}, {"-1", 2}},
        {{"segment.bytes", 13}, {"16777216", 8}}, /* only closed segments are compacted */
        {{"durability", 10}, {"fsync", 5}},
    };
    struct mr_broker *b = c->port->node->broker;
    const struct mr_topic *t = mr_broker_topic(b, topic_of(c));
    if (t) {
        c->info.partitions = t->partitions;
        settle(c, MR_OK, NULL);
        return;
    }
    c->change = (struct mr_change){
        .kind = MR_CHANGE_CREATE,
        .name = topic_of(c),
        .partitions = c->partition > 0 ? c->partition : -1,
        .settings = compacted,
        .setting_count = c->kind == ENSURE_COMPACTED ? sizeof compacted / sizeof *compacted : 0,
        .done = ensured,
        .arg = c,
    };
    mr_broker_submit(b, &c->change);
}

static void produced(struct mr_produce *pr)
{
    struct call *c = pr->arg;
    settle(c, mr_port_code(pr->refusal, pr->code), pr->why);
}

static void run_produce(struct call *c)
{
    struct mr_err err = {0};
    enum mr_refusal why = MR_REFUSE_NONE;
    struct mr_partition *p = partition_of(c, &why, &err);
    c->produce =
        (struct mr_produce){.acks = -1, .trusted = true, .done = produced, .arg = c, .base_offset = -1};
    if (!p) {
        settle(c, mr_port_code(why, err.code), err.text);
        return;
    }
    if (mr_partition_produce(p, c->bytes.p, c->bytes.len, &c->produce))
        produced(&c->produce);
}

static void stop_waiting(struct call *c)
{
    mr_broker_await_not(&c->opening);
    mr_partition_unpark(&c->parked);
    mr_timer_stop(c->port->node->world, &c->timer);
}

static void woken(struct mr_parked *who);
static void timed_out(void *arg);

/* Pipelines see what is committed: batches of aborted transactions become control batches, which take up
 * offsets but are no events. Their CRC no longer holds; nobody looks at it here. false: no memory. */
static bool hide_aborted(struct mr_partition *p, int64_t from, char *bytes, size_t len)
{
    int64_t stable = mr_partition_stable(p);
    size_t count = mr_partition_aborted(p, from, stable, NULL, 0);
    struct mr_txn_aborted *all = count ? mr_alloc(count * sizeof *all) : NULL;
    struct mr_batch_header h;
    if (count && !all)
        return false;
    (void)mr_partition_aborted(p, from, stable, all, count);
    for (size_t at = 0; count && at < len; at += (size_t)h.length + 12) {
        if (mr_batch_header_read((struct mr_slice){bytes + at, len - at}, &h, NULL))
            break;
        for (size_t i = 0; i < count && (h.attributes & MR_BATCH_TRANSACTIONAL); i++)
            if (all[i].producer == h.producer_id && all[i].first <= h.base_offset &&
                h.base_offset < all[i].marker)
                bytes[at + ATTRIBUTES_AT] |= MR_BATCH_CONTROL;
    }
    mr_free(all);
    return true;
}

/* Reads what there is. A wait only begins when there is nothing. */
static void run_fetch(struct call *c)
{
    struct mr_node *n = c->port->node;
    struct mr_err err = {0};
    enum mr_refusal r = MR_REFUSE_NONE;
    struct mr_log_view view = {0};
    struct mr_partition *p = partition_of(c, &r, &err);
    if (p) {
        if (c->offset == -1)
            c->offset = mr_partition_stable(p);
        else if (c->offset == -2)
            c->offset = mr_partition_start(p);
        r = mr_partition_find_below(p, c->offset, mr_partition_stable(p), c->max_bytes, &view, &err);
    }
    mr_ms now = mr_now(n->world);
    if (p && !r && view.len == 0 && now < c->until && !n->closing) {
        int64_t stable = mr_partition_stable(p);
        c->parked.offset = c->offset > stable ? c->offset : stable;
        c->parked.stable = true;
        c->parked.wake = woken;
        c->parked.arg = c;
        c->timer.fire = timed_out;
        c->timer.arg = c;
        mr_partition_park(p, &c->parked);
        mr_timer_set(n->world, &c->timer, c->until);
        return;
    }
    size_t got = 0;
    if (p && (c->got = buffer_take(c->port->pool, view.len))) {
        if (view.len) {
            mr_code rc = mr_file_read(view.file, c->got->bytes, view.len, view.at, &got, &err);
            if (rc || got < view.len || !hide_aborted(p, c->offset, c->got->bytes, got))
                r = MR_REFUSE_STORAGE;
        }
        c->got->fetched.bytes = (struct mr_slice){c->got->bytes, r ? 0 : got};
        c->got->fetched.start_offset = mr_partition_start(p);
        c->got->fetched.end_offset = mr_partition_stable(p);
    } else if (p) {
        r = MR_REFUSE_STORAGE;
        (void)mr_fail(&err, MR_MEMORY, "no memory to read %zu bytes", view.len);
    }
    mr_code rc = mr_port_code(r, err.code);
    if (rc && rc != MR_RANGE && c->got) { /* only a range error needs to say where to go on */
        buffer_release(c->got);
        c->got = NULL;
    }
    settle(c, rc, err.text);
}

static void woken(struct mr_parked *who)
{
    struct call *c = who->arg;
    stop_waiting(c);
    if (who->gone)
        settle(c, MR_CANCELLED, "it is closing");
    else
        run_fetch(c);
}

static void timed_out(void *arg)
{
    struct call *c = arg;
    stop_waiting(c);
    c->until = 0;
    run_fetch(c);
}

static void ready(struct mr_open_wait *w)
{
    struct call *c = w->arg;
    if (c->kind == PRODUCE)
        run_produce(c);
    else
        run_fetch(c);
}

static void run(void *arg)
{
    struct call *c = arg;
    struct mr_port *port = c->port;
    c->next = port->calls;
    c->link = &port->calls;
    if (c->next)
        c->next->link = &c->next;
    port->calls = c;
    port->busy++;
    if (port->node->closing) {
        settle(c, MR_CANCELLED, "the node is stopping");
        return;
    }
    switch (c->kind) {
    case ENSURE:
    case ENSURE_COMPACTED:
        run_ensure(c);
        break;
    case PRODUCE:
    case FETCH:
        c->until = c->wait_ms > 0 ? mr_now(port->node->world) + c->wait_ms : 0;
        c->opening = (struct mr_open_wait){.done = ready, .arg = c};
        if (mr_broker_await(port->node->broker, mr_broker_topic(port->node->broker, topic_of(c)),
                            c->partition, &c->opening))
            ready(&c->opening);
        break;
    }
}

/* ------------------------------------------------------------------ on a lane */

static struct call *call_new(struct mr_topics *t, struct mr_world *w, enum kind kind, struct mr_slice topic,
                             int32_t partition, void *arg)
{
    struct call *c = mr_need(sizeof *c); /* about a kilobyte; there is nobody to tell */
    c->port = (struct mr_port *)(void *)t;
    c->home = w;
    c->kind = kind;
    c->partition = partition;
    c->arg = arg;
    c->topic_len = topic.len <= MR_TOPIC_NAME_MAX ? topic.len : 0; /* no topic has the empty name */
    if (c->topic_len)
        memcpy(c->topic, topic.p, c->topic_len);
    c->produce.base_offset = -1;
    return c;
}

static void
port_ensure(struct mr_topics *t, struct mr_world *w, struct mr_slice topic, int32_t partitions,
            void (*done)(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why), void *arg)
{
    struct call *c = call_new(t, w, ENSURE, topic, partitions, arg);
    c->done.ensured = done;
    mr_post(c->port->node->world, run, c);
}

static void
port_ensure_compacted(struct mr_topics *t, struct mr_world *w, struct mr_slice topic, int32_t partitions,
                      void (*done)(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why),
                      void *arg)
{
    struct call *c = call_new(t, w, ENSURE_COMPACTED, topic, partitions, arg);
    c->done.ensured = done;
    mr_post(c->port->node->world, run, c);
}

static void port_produce(struct mr_topics *t, struct mr_world *w, struct mr_slice topic, int32_t partition,
                         struct mr_buf bytes,
                         void (*done)(void *arg, mr_code rc, int64_t base_offset, const char *why), void *arg)
{
    struct call *c = call_new(t, w, PRODUCE, topic, partition, arg);
    c->done.produced = done;
    c->bytes = bytes;
    mr_post(c->port->node->world, run, c);
}

static void port_fetch(struct mr_topics *t, struct mr_world *w, struct mr_slice topic, int32_t partition,
                       int64_t offset, size_t max_bytes, mr_ms wait_ms,
                       void (*done)(void *arg, mr_code rc, struct mr_fetched *got, const char *why),
                       void *arg)
{
    struct call *c = call_new(t, w, FETCH, topic, partition, arg);
    c->done.fetched = done;
    c->offset = offset;
    c->max_bytes = max_bytes < FETCH_BYTES_MAX ? max_bytes : FETCH_BYTES_MAX;
    c->wait_ms = wait_ms;
    mr_post(c->port->node->world, run, c);
}

static const struct mr_topics_ops ops = {
    .ensure = port_ensure,
    .produce = port_produce,
    .fetch = port_fetch,
    .ensure_compacted = port_ensure_compacted,
    .join = mr_port_join,
    .commit = mr_port_commit,
    .release = mr_port_release,
    .leave = mr_port_leave,
    .txn_open = mr_port_txn_open,
    .txn_produce = mr_port_txn_produce,
    .txn_offsets = mr_port_txn_offsets,
    .txn_end = mr_port_txn_end,
    .txn_close = mr_port_txn_close,
};

/* ------------------------------------------------------------------ life */

mr_code mr_port_new(struct mr_node *n, struct mr_port **out, struct mr_err *err)
{
    struct mr_port *p = mr_alloc(sizeof *p);
    struct pool *pool = mr_alloc(sizeof *pool);
    if (!p || !pool || pthread_mutex_init(&pool->mutex, NULL) != 0) {
        mr_free(p);
        mr_free(pool);
        return mr_fail(err, MR_MEMORY, "no memory for the topics port");
    }
    atomic_init(&pool->holds, 1);
    p->topics.ops = &ops;
    p->node = n;
    p->pool = pool;
    *out = p;
    return MR_OK;
}

void mr_port_free(struct mr_port *p)
{
    if (!p)
        return;
    mr_assert(p->busy == 0);
    mr_assert(!p->members);
    mr_port_txns_free(p);
    pool_let_go(p->pool);
    mr_free(p);
}

struct mr_topics *mr_port_topics(struct mr_port *p)
{
    return &p->topics;
}

size_t mr_port_busy(const struct mr_port *p)
{
    return p ? p->busy : 0;
}

void mr_port_drain(struct mr_port *p)
{
    struct call *next;
    for (struct call *c = p->calls; c; c = next) {
        next = c->next;
        if (c->kind == FETCH) {
            stop_waiting(c);
            settle(c, MR_CANCELLED, "the node is stopping");
        }
    }
    mr_port_members_drain(p);
    mr_port_txns_drain(p);
}

void mr_port_stop(struct mr_port *p)
{
    if (!p)
        return;
    mr_port_members_stop(p);
    mr_port_txns_stop(p);
}
