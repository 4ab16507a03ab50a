/* txn_habit_test.c - how stream engines use transactions: a sink that commits what an earlier process wrote,
 * probes for what it left open, and readers' positions inside of transactions, fenced by group generations. */
#include "broker/moved.h"
#include "broker/shop.h"

enum { MINUTE = 60000 };

/* ------------------------------------------------------------------ a sink with checkpoints */

static struct maker sink(struct shop *s, const char *id)
{
    struct maker k = maker_of(s, id);
    k.timeout_ms = 60 * MINUTE; /* as it asks for by default */
    return k;
}

/* Begun and written, not ended. */
static struct maker left_open(struct shop *s, const char *id, const char *tag)
{
    struct maker k = sink(s, id);
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 0, tag, false), MR_REFUSE_NONE);
    return k;
}

static void what_was_written_before_a_crash_is_committed_by_who_has_saved_id_and_epoch(void **state)
{
    (void)state;
    struct shop s = shop_new(1);
    struct maker before = left_open(&s, "job-0-1", "a");
    pass(&s, 50 * MINUTE);
    mr_sim_crash(s.m.world);
    shop_again(&s);
    struct maker after = sink(&s, "job-0-1"); /* no init: that would abort */
    after.producer = before.producer;
    after.epoch = before.epoch;
    assert_int_equal(make_end_until(&after, true), MR_REFUSE_NONE);
    pass(&s, 2500); /* decided; partitions that are being recovered get their markers with a later tick */
    expect_committed(&s, 0, "a/0 a/1");
    /* writer and committer may both come, and again after the next crash */
    assert_int_equal(make_end_until(&before, true), MR_REFUSE_NONE);
    mr_sim_crash(s.m.world);
    shop_again(&s);
    assert_int_equal(make_end_until(&after, true), MR_REFUSE_NONE);
    assert_int_equal(make_end_until(&after, false), MR_REFUSE_TXN_STATE);
    expect_committed(&s, 0, "a/0 a/1");
    shop_free(&s);
}

static void a_commit_that_comes_after_the_transactions_time_is_told_that_it_is_lost(void **state)
{
    (void)state;
    struct shop s = shop_new(2);
    struct maker k = left_open(&s, "job-0-1", "a");
    pass(&s, 61 * MINUTE);
    assert_int_equal(make_end_until(&k, true), MR_REFUSE_PRODUCER_FENCED);
    expect_committed(&s, 0, "");
    shop_free(&s);
}

static void probing_ends_at_the_first_id_that_comes_back_with_epoch_zero(void **state)
{
    (void)state;
    enum { LEFT = 5, MORE = 3 };
    struct shop s = shop_new(3);
    char id[32];
    for (int i = 1; i <= LEFT; i++) {
        (void)snprintf(id, sizeof id, "job-0-%d", i);
        (void)left_open(&s, id, id);
    }
    mr_sim_crash(s.m.world);
    shop_again(&s);
    int probed = 0;
    for (int i = 1; i <= LEFT + MORE; i++, probed++) {
        (void)snprintf(id, sizeof id, "job-0-%d", i);
        struct maker k = sink(&s, id);
        assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
        if (k.epoch == 0)
            break;
    }
    assert_int_equal(probed, LEFT);
    settle(&s.m);
    assert_int_equal(mr_partition_stable(shelf(&s, 0)), mr_partition_end(shelf(&s, 0)));
    expect_committed(&s, 0, "");
    shop_free(&s);
}

static void thousands_of_ids_of_one_use_each_are_cheap_and_known_after_a_restart(void **state)
{
    (void)state;
    enum { IDS = 3000 };
    struct shop s = shop_new(4);
    struct mr_txn_view v;
    char id[32];
    for (int i = 0; i < IDS; i++) {
        (void)snprintf(id, sizeof id, "job-0-%d", i);
        struct maker k = sink(&s, id);
        assert_int_equal(make_init(&k, false), MR_REFUSE_NONE);
        assert_int_equal(k.epoch, 0);
    }
    mr_sim_crash(s.m.world);
    shop_again(&s);
    assert_int_equal(mr_txns_count(s.txns), IDS);
    pass(&s, 6 * 24 * 60 * (mr_ms)MINUTE);
    for (int i = 0; i < IDS; i += 100) {
        (void)snprintf(id, sizeof id, "job-0-%d", i);
        assert_int_equal(mr_txns_view(s.txns, mr_slice_of(id), &v), MR_REFUSE_NONE);
    }
    pass(&s, 2 * 24 * 60 * (mr_ms)MINUTE);
    assert_int_equal(mr_txns_count(s.txns), 0);
    shop_free(&s);
}

static void ids_beyond_their_budget_are_refused_and_those_that_are_known_go_on(void **state)
{
    (void)state;
    struct shop s = shop_new(5);
    shop_close(&s);
    s.config.bytes_max = 4000;
    s.config.parts_max = 2 * PARTITIONS;
    shop_open(&s);
    settle(&s.m);
    char id[32];
    struct maker first = sink(&s, "first"), k = first;
    assert_int_equal(make_init_until(&first), MR_REFUSE_NONE);
    int known = 1;
    for (int why = MR_REFUSE_NONE; known < 200 && !why; known += !why) {
        (void)snprintf(id, sizeof id, "k%d", known);
        k = sink(&s, id);
        why = make_init(&k, false);
        assert_true(!why || why == MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
    }
    assert_in_range(known, 10, 100);
    assert_int_equal(mr_txns_count(s.txns), known);
    assert_int_equal(make_init_until(&first), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&first), MR_REFUSE_NONE);
    struct maker second = sink(&s, "k1"), third = sink(&s, "k2");
    assert_int_equal(make_init_until(&second), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&second), MR_REFUSE_NONE);
    assert_int_equal(make_init_until(&third), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&third), MR_REFUSE_POLICY); /* parts_max */
    assert_int_equal(make_end_until(&first, true), MR_REFUSE_NONE);
    settle(&s.m);
    assert_int_equal(make_add_until(&third), MR_REFUSE_NONE);
    shop_free(&s);
}

/* ------------------------------------------------------------------ positions inside of transactions */

struct reader {
    struct mr_join join; /* first */
    char id[80];
    int32_t generation;
    bool joined;
};

static void on_join(struct mr_join *j)
{
    struct reader *r = (struct reader *)(void *)j;
    r->joined = j->refusal == MR_REFUSE_NONE;
    r->generation = j->generation;
    (void)snprintf(r->id, sizeof r->id, "%.*s", MR_SLICE_ARG(j->out_member));
}

static void join(struct shop *s, struct reader *r, const char *instance)
{
    static const struct mr_group_protocol offer = {{"stream", 6}, {"", 0}};
    r->joined = false;
    r->join = (struct mr_join){
        .group = MR_SLICE("g"),
        .member = mr_slice_of(r->id),
        .instance = mr_slice_of(instance),
        .protocol_type = MR_SLICE("consumer"),
        .client_id = MR_SLICE("c"),
        .client_host = MR_SLICE("/10.0.0.1"),
        .protocols = &offer,
        .protocol_count = 1,
        .session_ms = 30 * MINUTE,
        .rebalance_ms = MINUTE,
        .done = on_join,
    };
    if (mr_groups_join(s->groups, &r->join))
        on_join(&r->join);
}

static void on_sync(struct mr_sync *y)
{
    *(bool *)y->arg = y->refusal == MR_REFUSE_NONE;
}

static void sync_leader(struct shop *s, const struct reader *r, const char *instance)
{
    bool done = false;
    struct mr_sync y = {.group = MR_SLICE("g"),
                        .member = mr_slice_of(r->id),
                        .instance = mr_slice_of(instance),
                        .generation = r->generation,
                        .done = on_sync,
                        .arg = &done};
    if (mr_groups_sync(s->groups, &y))
        on_sync(&y);
    settle(&s->m);
    assert_true(done);
}

static int32_t offsets_part(struct shop *s)
{
    int32_t partition;
    struct mr_err err = {0};
    assert_int_equal(mr_groups_partition(s->groups, MR_SLICE("g"), &partition, &err), MR_REFUSE_NONE);
    return partition;
}

static void begin(struct maker *k)
{
    struct mr_txn_at at = {MR_SLICE(MR_OFFSETS_TOPIC), offsets_part(k->shop)};
    assert_int_equal(UNTIL(make_add(k, &at, 1)), MR_REFUSE_NONE);
}

/* An offset in the transaction of k, as that member. */
static enum mr_refusal move_as(struct maker *k, int64_t offset, const char *member, const char *instance,
                               int32_t generation)
{
    struct moved m = moved_to("g", offset, MR_SLICE(""));
    m.c.transactional = true;
    m.c.producer = k->producer;
    m.c.producer_epoch = k->epoch;
    m.c.member = mr_slice_of(member);
    m.c.instance = mr_slice_of(instance);
    m.c.generation = generation;
    return moved_send(&k->shop->m, k->shop->groups, &m);
}

static int64_t position(struct shop *s)
{
    struct mr_committed c;
    return mr_groups_committed(s->groups, MR_SLICE("g"), MR_SLICE("t"), 0, &c) ? c.offset : -1;
}

static bool unstable(struct shop *s)
{
    return mr_groups_unstable(s->groups, MR_SLICE("g"), MR_SLICE("t"), 0);
}

static void positions_in_a_transaction_are_fenced_by_member_and_generation_in_every_state(void **state)
{
    (void)state;
    struct shop s = shop_new(6);
    struct maker k = maker_of(&s, "stream-1");
    struct reader a = {0}, b = {0};
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    join(&s, &a, NULL);
    pass(&s, 10000);
    assert_true(a.joined);
    begin(&k);
    assert_int_equal(move_as(&k, 1, a.id, NULL, a.generation), MR_REFUSE_NONE); /* completing */
    sync_leader(&s, &a, NULL);
    assert_int_equal(move_as(&k, 2, a.id, NULL, a.generation), MR_REFUSE_NONE); /* stable */
    assert_int_equal(move_as(&k, 3, a.id, NULL, a.generation + 1), MR_REFUSE_ILLEGAL_GENERATION);
    assert_int_equal(move_as(&k, 3, "a stranger", NULL, a.generation), MR_REFUSE_UNKNOWN_MEMBER);
    assert_int_equal(move_as(&k, 3, a.id, "no such instance", a.generation), MR_REFUSE_UNKNOWN_MEMBER);
    join(&s, &b, NULL);
    assert_int_equal(move_as(&k, 4, a.id, NULL, a.generation), MR_REFUSE_NONE); /* preparing */
    int32_t old = a.generation;
    join(&s, &a, NULL);
    settle(&s.m);
    assert_int_equal(a.generation, old + 1);
    assert_int_equal(move_as(&k, 5, a.id, NULL, old), MR_REFUSE_ILLEGAL_GENERATION); /* a zombie */
    assert_int_equal(move_as(&k, 6, "", NULL, -1),
                     MR_REFUSE_NONE); /* before members were named: the epoch fences */
    assert_int_equal(position(&s), -1);
    assert_true(unstable(&s));
    assert_int_equal(make_end_until(&k, true), MR_REFUSE_NONE);
    settle(&s.m);
    assert_false(unstable(&s));
    assert_int_equal(position(&s), 6);
    shop_free(&s);
}

static void a_static_member_that_was_replaced_cannot_move_its_position_in_a_transaction(void **state)
{
    (void)state;
    struct shop s = shop_new(7);
    struct maker k = maker_of(&s, "stream-1");
    struct reader a = {0}, a2 = {0};
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    join(&s, &a, "i");
    pass(&s, 10000);
    sync_leader(&s, &a, "i");
    join(&s, &a2, "i");
    settle(&s.m);
    assert_true(a2.joined);
    begin(&k);
    assert_int_equal(move_as(&k, 1, a.id, "i", a.generation), MR_REFUSE_FENCED_INSTANCE);
    assert_int_equal(move_as(&k, 2, a2.id, "i", a2.generation), MR_REFUSE_NONE);
    shop_free(&s);
}

static void an_aborted_transaction_leaves_the_position_where_it_was(void **state)
{
    (void)state;
    struct shop s = shop_new(8);
    struct maker k = maker_of(&s, "stream-1");
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    for (int round = 0; round < 4; round++) {
        begin(&k);
        assert_int_equal(move_as(&k, round, "", NULL, -1), MR_REFUSE_NONE);
        mr_sim_crash(s.m.world); /* what is held is held again after a crash */
        shop_again(&s);
        assert_true(unstable(&s));
        assert_int_equal(make_end_until(&k, round % 2 == 0), MR_REFUSE_NONE);
        settle(&s.m);
        assert_false(unstable(&s));
        assert_int_equal(position(&s), round / 2 * 2);
    }
    shop_free(&s);
}

static void on_deleted(struct mr_group_delete *d)
{
    *(bool *)d->arg = true;
}

static void what_a_transaction_holds_goes_with_its_group_and_its_topic(void **state)
{
    (void)state;
    for (int of_topic = 0; of_topic < 2; of_topic++) {
        struct shop s = shop_new(9);
        struct maker k = maker_of(&s, "stream-1");
        assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
        begin(&k);
        assert_int_equal(move_as(&k, 7, "", NULL, -1), MR_REFUSE_NONE);
        if (of_topic) {
            assert_int_equal(mr_broker_delete(s.broker, MR_SLICE("t"), NULL), MR_REFUSE_NONE);
            mr_groups_topic_deleted(s.groups, MR_SLICE("t"));
        } else {
            bool done = false;
            struct mr_group_delete d = {.group = MR_SLICE("g"), .done = on_deleted, .arg = &done};
            done = mr_groups_delete(s.groups, &d);
            settle(&s.m);
            assert_true(done);
            assert_int_equal(d.refusal, MR_REFUSE_NONE);
        }
        assert_int_equal(make_end_until(&k, true), MR_REFUSE_NONE);
        settle(&s.m);
        assert_int_equal(position(&s), -1);
        mr_sim_crash(s.m.world);
        shop_again(&s);
        assert_int_equal(position(&s), -1);
        shop_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_before_a_crash_is_committed_by_who_has_saved_id_and_epoch),
        cmocka_unit_test(a_commit_that_comes_after_the_transactions_time_is_told_that_it_is_lost),
        cmocka_unit_test(probing_ends_at_the_first_id_that_comes_back_with_epoch_zero),
        cmocka_unit_test(thousands_of_ids_of_one_use_each_are_cheap_and_known_after_a_restart),
        cmocka_unit_test(ids_beyond_their_budget_are_refused_and_those_that_are_known_go_on),
        cmocka_unit_test(positions_in_a_transaction_are_fenced_by_member_and_generation_in_every_state),
        cmocka_unit_test(a_static_member_that_was_replaced_cannot_move_its_position_in_a_transaction),
        cmocka_unit_test(an_aborted_transaction_leaves_the_position_where_it_was),
        cmocka_unit_test(what_a_transaction_holds_goes_with_its_group_and_its_topic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
