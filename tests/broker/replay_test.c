/* replay_test.c - the coordinators' own topics at start: disks that fail for a while, clocks that jump. */
#include "broker/moved.h"
#include "broker/shop.h"

#include "broker/replay.h"

enum { HOUR = 3600 * 1000, DAY = 24 * HOUR };

/* An offset of a group without members. */
static enum mr_refusal move(struct shop *s, const char *group, int64_t offset)
{
    struct moved m = moved_to(group, offset, MR_SLICE(""));
    return moved_send(&s->m, s->groups, &m);
}

/* -1: none; -2: refused. */
static int64_t offset_of(struct shop *s, const char *group)
{
    struct mr_committed c;
    if (mr_groups_fetch_check(s->groups, mr_slice_of(group)))
        return -2;
    return mr_groups_committed(s->groups, mr_slice_of(group), MR_SLICE("t"), 0, &c) ? c.offset : -1;
}

static void tell(void *arg, enum mr_level level, const char *text)
{
    (void)level;
    assert_true(mr_buf_printf(arg, "%s\n", text));
}

/* A shop with an offset of group g and a transactional id k, closed. */
static struct shop stocked(uint64_t seed, struct mr_buf *told)
{
    struct shop s = shop_new(seed);
    struct maker k = maker_of(&s, "k");
    assert_int_equal(move(&s, "g", 7), MR_REFUSE_NONE);
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    shop_close(&s);
    s.config.tell = tell;
    s.config.tell_arg = told;
    s.groups_tell = tell;
    s.groups_tell_arg = told;
    return s;
}

static bool both_there(struct shop *s)
{
    struct mr_txn_view v;
    return offset_of(s, "g") == 7 && mr_txns_view(s->txns, MR_SLICE("k"), &v) == MR_REFUSE_NONE;
}

static void whatever_the_disk_fails_once_at_start_the_coordinators_come_to_know_all(void **state)
{
    (void)state;
    int refused = 0;
    for (int kind = 0; kind < 3; kind++)
        for (uint64_t at = 1;; at++) {
            struct mr_buf told = {0};
            struct shop s = stocked(at, &told);
            struct mr_sim_faults *f = mr_sim_faults(s.m.world);
            uint64_t *fault = kind == 0 ? &f->fail_read : kind == 1 ? &f->fail_name : &f->fail_write;
            shop_open(&s);
            *fault = at;
            pass(&s, 500);
            bool met = *fault == 0;
            *fault = 0;
            if (!both_there(&s)) {
                assert_non_null(told.p);
                refused++;
                assert_false(mr_groups_loading(s.groups) || mr_txns_loading(s.txns));
                pass(&s, MR_REPLAY_AGAIN_MS + 500);
                assert_true(both_there(&s));
                assert_true(mr_buf_put(&told, "", 1));
                assert_non_null(strstr(told.p, "are available again"));
            }
            shop_free(&s);
            mr_buf_fini(&told);
            if (!met)
                break; /* it does no more than that at start */
        }
    assert_true(refused > 2);
}

struct reader {
    struct shop *shop;
    int refusals, records, forgotten; /* refusals: of the first record, still to come */
    mr_ms tried[16];
    int tries;
    bool ready;
    struct mr_buf told;
};

static mr_code take(void *owner, int32_t partition, const struct mr_batch_header *h,
                    const struct mr_record *r, struct mr_err *err)
{
    struct reader *me = owner;
    (void)partition;
    (void)h;
    if (r->offset == 0)
        me->tried[me->tries++] = mr_sim_now(me->shop->m.sim);
    me->records++;
    return r->offset == 1 && me->refusals-- > 0 ? mr_fail(err, MR_MEMORY, "no memory") : MR_OK;
}

static void ready(void *owner, int32_t partition)
{
    ((struct reader *)owner)->ready |= partition >= 0;
}

static void forget(void *owner, int32_t partition)
{
    struct reader *me = owner;
    me->forgotten += partition >= 0;
    me->records = 0;
}

static void a_partition_that_cannot_be_read_is_tried_again_later_and_later_and_told_once(void **state)
{
    (void)state;
    static const mr_ms want[] = {0, 1000, 3000, 7000, 15000, 31000, 63000, 123000, 183000};
    struct shop s = shop_new(3);
    struct reader me = {.shop = &s, .refusals = 8};
    struct mr_replay r = {0};
    struct mr_err err = {0};
    for (int i = 0; i < 3; i++)
        assert_int_equal(move(&s, "g", i), MR_REFUSE_NONE);
    struct mr_replay_config c = {
        .topic = MR_SLICE(MR_OFFSETS_TOPIC),
        .batch_bytes_max = 1 << 20,
        .holds = "things",
        .away_max_ms = HOUR,
        .owner = &me,
        .record = take,
        .ready = ready,
        .forget = forget,
        .tell = tell,
        .tell_arg = &me.told,
    };
    int32_t mine = mr_groups_partition_of(MR_SLICE("g"), 4);
    mr_ms begin = mr_sim_now(s.m.sim);
    assert_int_equal(mr_replay_begin(&r, s.m.world, s.broker, &c, &err), MR_OK);
    assert_int_equal(mr_replay_check(&r, mine), MR_REFUSE_COORDINATOR_LOADING);
    pass(&s, 500);
    assert_int_equal(mr_replay_check(&r, mine), MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(mr_replay_check(&r, (mine + 1) % 4), MR_REFUSE_NONE);
    assert_false(mr_replay_loading(&r));
    pass(&s, 200000);
    assert_int_equal(mr_replay_check(&r, mine), MR_REFUSE_NONE);
    assert_int_equal(me.tries, sizeof want / sizeof want[0]);
    for (int i = 0; i < me.tries; i++)
        assert_int_equal(me.tried[i] - begin, want[i]);
    assert_int_equal(me.forgotten, 8);
    assert_int_equal(me.records, 3); /* L2: what was read before it failed is not counted twice */
    assert_true(mr_buf_put(&me.told, "", 1));
    char story[256];
    (void)snprintf(
        story, sizeof story,
        "__consumer_offsets-%d cannot be read at offset 1, its things stay unavailable: no memory; "
        "it is tried again\n__consumer_offsets-%d could be read, its things are available again\n",
        mine, mine);
    assert_string_equal(me.told.p, story);
    mr_replay_end(&r);
    mr_buf_fini(&me.told);
    shop_free(&s);
}

static void a_partition_that_was_damaged_serves_again_once_it_is_whole(void **state)
{
    (void)state;
    struct mr_buf told = {0};
    struct shop s = stocked(1, &told);
    char path[128];
    (void)snprintf(path, sizeof path, "d/topics/__consumer_offsets-%d/00000000000000000000.log",
                   mr_groups_partition_of(MR_SLICE("g"), 4));
    shop_open(&s);
    for (int32_t i = 0; i < 4; i++) { /* opened, so that nothing but the topic's reader meets the damage */
        enum mr_refusal why;
        struct mr_err err = {0};
        assert_non_null(mr_broker_partition(s.broker, mr_broker_topic(s.broker, MR_SLICE(MR_OFFSETS_TOPIC)),
                                            i, &why, &err));
    }
    assert_true(mr_sim_flip(s.m.world, path, 80, 3));
    pass(&s, 5000);
    assert_int_equal(offset_of(&s, "g"), -2);
    assert_true(mr_buf_put(&told, "", 1));
    assert_non_null(strstr(told.p, "restore the partition from a copy"));
    assert_int_equal(move(&s, "g", 8), MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(move(&s, "a", 9), MR_REFUSE_NONE); /* of another partition */
    pass(&s, MR_REPLAY_AGAIN_MS_MAX);
    assert_int_equal(offset_of(&s, "g"), -2);
    assert_true(mr_sim_flip(s.m.world, path, 80, 3));
    pass(&s, MR_REPLAY_AGAIN_MS_MAX);
    assert_int_equal(offset_of(&s, "g"), 7);
    assert_int_equal(move(&s, "g", 8), MR_REFUSE_NONE);
    shop_free(&s);
    mr_buf_fini(&told);
}

/* ------------------------------------------------------------------ clocks */

static void jump(struct shop *s, int64_t by_ms)
{
    mr_sim_wall_jump(s->m.world, by_ms * 1000000);
}

static void a_jump_of_the_wall_clock_expires_no_offset_and_no_id(void **state)
{
    (void)state;
    static const int64_t days[] = {4000, -4000, 8, -8};
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++)
        for (int away = 0; away < 2; away++) { /* while the node runs, and between two runs */
            struct shop s = shop_new(i + 1);
            struct maker k = maker_of(&s, "k");
            struct mr_txn_view v;
            jump(&s, (int64_t)20000 * DAY); /* room for a way back */
            shop_close(&s);
            shop_open(&s);
            settle(&s.m);
            assert_int_equal(move(&s, "g", 7), MR_REFUSE_NONE);
            assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
            pass(&s, 2 * (mr_ms)DAY);
            assert_int_equal(move(&s, "h", 1), MR_REFUSE_NONE);
            if (away) {
                shop_close(&s);
                jump(&s, days[i] * DAY);
                shop_open(&s);
            } else {
                jump(&s, days[i] * DAY);
            }
            pass(&s, 4 * (mr_ms)DAY);
            assert_int_equal(offset_of(&s, "g"), 7); /* six of seven days old */
            assert_int_equal(mr_txns_view(s.txns, MR_SLICE("k"), &v), MR_REFUSE_NONE);
            assert_int_equal(offset_of(&s, "h"), 1);
            pass(&s, (mr_ms)DAY + 30 * 60 * 1000 + (away ? 2 * (mr_ms)DAY : 0) + 2 * HOUR);
            assert_int_equal(offset_of(&s, "g"), -1); /* but time goes on */
            assert_int_equal(mr_txns_view(s.txns, MR_SLICE("k"), &v), MR_REFUSE_TXN_ID_NOT_FOUND);
            shop_free(&s);
        }
}

static void a_clock_that_jumped_and_was_put_right_again_expires_nothing(void **state)
{
    (void)state;
    struct shop s = shop_new(9);
    assert_int_equal(move(&s, "before", 1), MR_REFUSE_NONE);
    jump(&s, (int64_t)4000 * DAY);
    assert_int_equal(move(&s, "within", 2), MR_REFUSE_NONE);
    pass(&s, HOUR);
    for (int i = 0; i < 3; i++) { /* restarted in the wrong time, and again */
        shop_close(&s);
        shop_open(&s);
        pass(&s, HOUR);
        assert_int_equal(move(&s, "within", 2), MR_REFUSE_NONE);
    }
    shop_close(&s);
    jump(&s, -(int64_t)4000 * DAY);
    shop_open(&s);
    pass(&s, HOUR);
    assert_int_equal(offset_of(&s, "before"), 1);
    assert_int_equal(offset_of(&s, "within"), 2);
    shop_free(&s);
}

static void sessions_and_transactions_do_not_look_at_the_wall_clock(void **state)
{
    (void)state;
    struct shop s = shop_new(4);
    struct maker k = maker_of(&s, "k");
    struct mr_txn_view v;
    k.timeout_ms = 60000;
    jump(&s, (int64_t)20000 * DAY);
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    for (int i = 0; i < 4; i++) {
        jump(&s, (i % 2 ? -1 : 1) * (int64_t)(i + 1) * 1000 * DAY);
        pass(&s, 12000);
        assert_int_equal(mr_txns_view(s.txns, k.id, &v), MR_REFUSE_NONE);
        assert_int_equal(v.state, MR_TXN_ONGOING);
    }
    pass(&s, 14000);
    assert_int_equal(mr_txns_view(s.txns, k.id, &v), MR_REFUSE_NONE);
    assert_int_equal(v.state, MR_TXN_COMPLETE_ABORT);
    shop_free(&s);
}

static void a_clock_that_jumped_between_two_runs_aborts_no_transaction(void **state)
{
    (void)state;
    static const int64_t days[] = {4000, -4000, 30, -30};
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        struct shop s = shop_new(i + 1);
        struct mr_txn_view v;
        shop_close(&s);
        jump(&s, (int64_t)20000 * DAY);
        shop_open(&s);
        settle(&s.m);
        for (int k = 0; k < 6; k++) { /* in more than one partition of the topic */
            char id[24];
            (void)snprintf(id, sizeof id, "k%d", k);
            struct maker m = maker_of(&s, id);
            assert_int_equal(make_init_until(&m), MR_REFUSE_NONE);
            assert_int_equal(make_add_until(&m), MR_REFUSE_NONE);
        }
        shop_close(&s);
        jump(&s, days[i] * DAY);
        shop_open(&s);
        pass(&s, 50000);
        for (size_t at = 0; mr_txns_next(s.txns, &at, &v);)
            assert_int_equal(v.state, MR_TXN_ONGOING);
        pass(&s, 15000);
        int aborted = 0;
        for (size_t at = 0; mr_txns_next(s.txns, &at, &v);)
            aborted += v.state == MR_TXN_COMPLETE_ABORT;
        assert_int_equal(aborted, 6);
        shop_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_the_disk_fails_once_at_start_the_coordinators_come_to_know_all),
        cmocka_unit_test(a_partition_that_cannot_be_read_is_tried_again_later_and_later_and_told_once),
        cmocka_unit_test(a_partition_that_was_damaged_serves_again_once_it_is_whole),
        cmocka_unit_test(a_jump_of_the_wall_clock_expires_no_offset_and_no_id),
        cmocka_unit_test(a_clock_that_jumped_and_was_put_right_again_expires_nothing),
        cmocka_unit_test(a_clock_that_jumped_between_two_runs_aborts_no_transaction),
        cmocka_unit_test(sessions_and_transactions_do_not_look_at_the_wall_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
