/* shop.h - what the tests of transactions share: a broker with its coordinators in a simulated world, a
 * producer that speaks to them as clients do, and a reader of what is committed. */
#ifndef MR_TESTS_BROKER_SHOP_H
#define MR_TESTS_BROKER_SHOP_H

#include "broker/mill.h"
#include "broker/txn.h"

enum { PARTITIONS = 3, TRIES = 40, WAIT_MS = 3000 };
enum { NO_ANSWER = -100 }; /* beside the refusals: the power is gone, or nothing came for WAIT_MS */

struct shop {
    struct mill m;
    struct mr_broker *broker;
    struct mr_groups *groups;
    struct mr_txns *txns;
    struct mr_txns_config config;
    void (*groups_tell)(void *arg, enum mr_level level, const char *text);
    void *groups_tell_arg;
    bool raises; /* makers speak the second version: each end raises the epoch */
};

static inline void shop_open(struct shop *s)
{
    struct mr_broker_config bc;
    struct mr_groups_config gc;
    struct mr_err err = {0};
    mr_broker_config_init(&bc);
    mr_groups_config_init(&gc);
    gc.tell = s->groups_tell;
    gc.tell_arg = s->groups_tell_arg;
    if (mr_broker_open(s->m.world, "d", &bc, &s->broker, &err) ||
        mr_groups_open(s->m.world, s->broker, &gc, &s->groups, &err) ||
        mr_txns_open(s->m.world, s->broker, s->groups, &s->config, &s->txns, &err))
        fail_msg("%s", err.text);
}

static inline void shop_close(struct shop *s)
{
    mr_txns_close(s->txns);
    mr_groups_close(s->groups);
    mr_broker_close(s->broker);
    s->txns = NULL;
    s->groups = NULL;
    s->broker = NULL;
}

static inline struct shop shop_new(uint64_t seed)
{
    struct shop s = {.m = mill_new(seed)};
    struct mr_err err = {0};
    mr_txns_config_init(&s.config);
    shop_open(&s);
    if (mr_broker_create(s.broker, MR_SLICE("t"), PARTITIONS, NULL, 0, false, NULL, &err) ||
        mr_groups_prepare(s.groups, &err) || mr_txns_prepare(s.txns, &err))
        fail_msg("%s", err.text);
    settle(&s.m);
    return s;
}

static inline void shop_free(struct shop *s)
{
    shop_close(s);
    mr_sim_free(s->m.sim);
}

/* The power comes back. */
static inline void shop_again(struct shop *s)
{
    shop_close(s);
    mr_sim_restart(s->m.world);
    shop_open(s);
    settle(&s->m);
}

static inline void pass(struct shop *s, mr_ms ms)
{
    mr_sim_run_until(s->m.sim, mr_sim_now(s->m.sim) + ms);
}

/* NULL: the disk refuses. */
static inline struct mr_partition *shelf_try(struct shop *s, int32_t partition, struct mr_err *err)
{
    enum mr_refusal why;
    return mr_broker_partition(s->broker, mr_broker_topic(s->broker, MR_SLICE("t")), partition, &why, err);
}

static inline struct mr_partition *shelf(struct shop *s, int32_t partition)
{
    struct mr_err err = {0};
    struct mr_partition *p = shelf_try(s, partition, &err);
    for (int i = 0; !p && err.code == MR_AGAIN && i < 200; i++) { /* a worker recovers it */
        pass(s, 5);
        p = shelf_try(s, partition, &err);
    }
    if (!p)
        fail_msg("%s", err.text);
    return p;
}

/* ------------------------------------------------------------------ the producer */

struct maker {
    struct shop *shop;
    struct mr_slice id;
    int64_t producer;
    int16_t epoch;
    int32_t sequence[PARTITIONS];
    int64_t timeout_ms;
};

static inline struct maker maker_of(struct shop *s, const char *id)
{
    return (struct maker){.shop = s, .id = mr_slice_of(id), .producer = -1, .epoch = -1, .timeout_ms = 60000};
}

struct asked {
    struct mr_txn_call c; /* first */
    bool done;
};

static inline void on_asked(struct mr_txn_call *c)
{
    ((struct asked *)(void *)c)->done = true;
}

static inline int await(struct shop *s, struct asked *a)
{
    for (int ms = 0; !a->done && ms < WAIT_MS && !mr_sim_is_down(s->m.world); ms += 5)
        pass(s, 5);
    if (!a->done)
        mr_txns_forget(&a->c);
    return a->done && !mr_sim_is_down(s->m.world) ? (int)a->c.refusal : NO_ANSWER;
}

static inline struct asked asking(const struct maker *k)
{
    return (struct asked){.c = {.id = k->id,
                                .producer = k->producer,
                                .epoch = k->epoch,
                                .timeout_ms = k->timeout_ms,
                                .done = on_asked}};
}

static inline bool again_later(int why)
{
    return why == MR_REFUSE_CONCURRENT_TXNS || why == MR_REFUSE_COORDINATOR_LOADING ||
           why == MR_REFUSE_COORDINATOR_NOT_AVAILABLE;
}

/* Each asks once; *_until asks again for as long as that is what clients do. */
static inline int make_init(struct maker *k, bool named)
{
    struct asked a = asking(k);
    if (!named) {
        a.c.producer = -1;
        a.c.epoch = -1;
    }
    a.done = mr_txns_init_producer(k->shop->txns, &a.c);
    int why = await(k->shop, &a);
    if (why == MR_REFUSE_NONE) {
        k->producer = a.c.out_producer;
        k->epoch = a.c.out_epoch;
        memset(k->sequence, 0, sizeof k->sequence);
    }
    return why;
}

static inline int make_add(struct maker *k, const struct mr_txn_at *parts, size_t count)
{
    struct asked a = asking(k);
    a.done = mr_txns_add(k->shop->txns, &a.c, parts, count);
    return await(k->shop, &a);
}

static inline int make_end(struct maker *k, bool commit)
{
    struct asked a = asking(k);
    a.c.raises = k->shop->raises;
    a.done = mr_txns_end(k->shop->txns, &a.c, commit);
    int why = await(k->shop, &a);
    if (why == MR_REFUSE_NONE && a.c.raises) {
        k->producer = a.c.out_producer;
        k->epoch = a.c.out_epoch;
        memset(k->sequence, 0, sizeof k->sequence);
    }
    return why;
}

#define UNTIL(call)                                                                                          \
    __extension__({                                                                                          \
        int why_ = (call);                                                                                   \
        for (int try_ = 0; again_later(why_) && try_ < TRIES; try_++) {                                      \
            pass(k->shop, 50);                                                                               \
            why_ = (call);                                                                                   \
        }                                                                                                    \
        why_;                                                                                                \
    })

static inline int make_init_until(struct maker *k)
{
    return UNTIL(make_init(k, false));
}
static inline int make_end_until(struct maker *k, bool commit)
{
    return UNTIL(make_end(k, commit));
}
/* All partitions of t. */
static inline int make_add_until(struct maker *k)
{
    struct mr_txn_at parts[PARTITIONS];
    for (int32_t i = 0; i < PARTITIONS; i++)
        parts[i] = (struct mr_txn_at){MR_SLICE("t"), i};
    return UNTIL(make_add(k, parts, PARTITIONS));
}

/* Two records "<tag>/0 <tag>/1", as the node does it. `force`: whatever the coordinator says. */
static inline int make_say(struct maker *k, int32_t partition, const char *tag, bool force)
{
    struct mr_partition *p = shelf_try(k->shop, partition, NULL);
    if (!p)
        return NO_ANSWER;
    uint64_t left = mr_alloc_fail_left(); /* what the test itself needs it gets */
    mr_alloc_fail_at(0);
    struct mr_buf b = batch_of(tag, 2, MR_CODEC_NONE, k->producer, k->epoch, k->sequence[partition]);
    mr_alloc_fail_at(left);
    b.p[22] |= MR_BATCH_TRANSACTIONAL;
    seal(&b);
    struct sent s = {.pr = {.acks = -1, .transactional = true, .done = on_sent}};
    s.pr.verified = force || mr_txns_verify(k->shop->txns, k->id, k->producer, k->epoch, MR_SLICE("t"),
                                            partition) == MR_REFUSE_NONE;
    s.settled = mr_partition_produce(p, b.p, b.len, &s.pr);
    mr_buf_fini(&b);
    for (int ms = 0; !s.settled && ms < WAIT_MS && !mr_sim_is_down(k->shop->m.world); ms += 5)
        pass(k->shop, 5);
    if (!s.settled) {
        mr_partition_forget(&s.pr);
        return NO_ANSWER;
    }
    if (s.pr.refusal == MR_REFUSE_NONE)
        k->sequence[partition] += 2;
    return mr_sim_is_down(k->shop->m.world) ? NO_ANSWER : (int)s.pr.refusal;
}

/* ------------------------------------------------------------------ the reader */

enum { PASSED_MAX = 256 };

/* All that a read_committed client delivers, joined by blanks. It does as clients do: from a listed
 * transaction's first offset until its producer's abort marker nothing is delivered. [give] mr_buf_fini */
static inline struct mr_buf committed_values(struct mr_partition *p)
{
    struct mr_buf text = {0}, scratch = {0};
    struct mr_err err = {0};
    int64_t offset = mr_partition_start(p), stable = mr_partition_stable(p);
    while (offset < stable) {
        struct mr_txn_aborted listed[PASSED_MAX];
        struct mr_log_view view;
        int64_t end = offset;
        size_t got;
        if (mr_partition_find_below(p, offset, stable, 300, &view, &err) || view.len == 0 ||
            mr_partition_view_end(&view, &end, &err))
            fail_msg("nothing at offset %lld below %lld: %s", (long long)offset, (long long)stable, err.text);
        size_t count = mr_partition_aborted(p, offset, end, listed, PASSED_MAX);
        assert_true(count <= PASSED_MAX);
        char *bytes = mr_need(view.len);
        assert_int_equal(mr_file_read(view.file, bytes, view.len, view.at, &got, &err), MR_OK);
        for (size_t at = 0; at < got;) {
            struct mr_record_walk walk;
            struct mr_record r;
            struct mr_marker marker;
            bool skip = false;
            assert_int_equal(
                mr_record_walk_begin(&walk, (struct mr_slice){bytes + at, got - at}, &scratch, 1 << 20, &err),
                MR_OK);
            bool control = (walk.head.attributes & MR_BATCH_CONTROL) != 0;
            for (size_t i = 0; i < count; i++)
                skip |= (walk.head.attributes & MR_BATCH_TRANSACTIONAL) &&
                        listed[i].producer == walk.head.producer_id &&
                        listed[i].first <= walk.head.base_offset;
            while (mr_record_walk_next(&walk, &r, &err) == MR_OK) {
                if (control && mr_marker_read(&r, &marker) == MR_OK && !marker.commit)
                    for (size_t i = 0; i < count; i++) /* the oldest of that producer is over */
                        if (listed[i].producer == walk.head.producer_id &&
                            listed[i].first <= walk.head.base_offset) {
                            memmove(listed + i, listed + i + 1, (--count - i) * sizeof *listed);
                            break;
                        }
                if (!control && !skip && r.offset >= offset)
                    assert_true(mr_buf_printf(&text, "%s%.*s", text.len ? " " : "", MR_SLICE_ARG(r.value)));
            }
            scratch.len = 0;
            at += (size_t)walk.head.length + 12;
        }
        offset = end;
        mr_free(bytes);
    }
    mr_buf_fini(&scratch);
    assert_true(mr_buf_put(&text, "", 1));
    return text;
}

static inline void expect_committed(struct shop *s, int32_t partition, const char *want)
{
    struct mr_buf got = committed_values(shelf(s, partition));
    assert_string_equal(got.p, want);
    mr_buf_fini(&got);
}

#endif
