/* txn_test.c - transactions told as stories, on a simulated broker whose time is stepped. */
#include "broker/shop.h"

static void what_is_committed_is_seen_and_what_is_aborted_or_open_is_not(void **state)
{
    struct shop s = shop_new(1);
    struct maker k = maker_of(&s, "k");
    (void)state;
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    assert_int_equal(k.epoch, 0);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 0, "a", false), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 1, "b", false), MR_REFUSE_NONE);
    expect_committed(&s, 0, "");
    assert_int_equal(mr_partition_stable(shelf(&s, 0)), 0);
    assert_int_equal(mr_partition_high(shelf(&s, 0)), 2);
    assert_int_equal(make_end(&k, true), MR_REFUSE_NONE);
    settle(&s.m);
    expect_committed(&s, 0, "a/0 a/1");
    expect_committed(&s, 1, "b/0 b/1");
    assert_int_equal(mr_partition_stable(shelf(&s, 0)), 3);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 0, "x", false), MR_REFUSE_NONE);
    assert_int_equal(make_end(&k, false), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 0, "c", false), MR_REFUSE_NONE);
    expect_committed(&s, 0, "a/0 a/1");
    assert_int_equal(make_end(&k, true), MR_REFUSE_NONE);
    settle(&s.m);
    expect_committed(&s, 0, "a/0 a/1 c/0 c/1");
    shop_free(&s);
}

static void readers_of_committed_records_wait_for_the_oldest_open_transaction(void **state)
{
    struct shop s = shop_new(2);
    struct maker a = maker_of(&s, "a"), b = maker_of(&s, "b");
    (void)state;
    assert_int_equal(make_init_until(&a), MR_REFUSE_NONE);
    assert_int_equal(make_init_until(&b), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&a), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&b), MR_REFUSE_NONE);
    assert_int_equal(make_say(&a, 0, "a", false), MR_REFUSE_NONE);
    assert_int_equal(make_say(&b, 0, "b", false), MR_REFUSE_NONE);
    assert_int_equal(make_say(&a, 0, "A", false), MR_REFUSE_NONE);
    assert_int_equal(make_end(&b, true), MR_REFUSE_NONE);
    settle(&s.m);
    expect_committed(&s, 0, "");
    assert_int_equal(make_end(&a, false), MR_REFUSE_NONE);
    settle(&s.m);
    expect_committed(&s, 0, "b/0 b/1");
    shop_free(&s);
}

static void a_newer_producer_fences_the_older_one_and_aborts_what_it_left_open(void **state)
{
    struct shop s = shop_new(3);
    struct maker zombie = maker_of(&s, "k"), heir = maker_of(&s, "k");
    (void)state;
    assert_int_equal(make_init_until(&zombie), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&zombie), MR_REFUSE_NONE);
    assert_int_equal(make_say(&zombie, 0, "z", false), MR_REFUSE_NONE);
    assert_int_equal(make_init(&heir, false), MR_REFUSE_CONCURRENT_TXNS);
    assert_int_equal(make_init_until(&heir), MR_REFUSE_NONE);
    assert_int_equal(heir.producer, zombie.producer);
    assert_true(heir.epoch > zombie.epoch);
    assert_int_equal(make_end(&zombie, true), MR_REFUSE_PRODUCER_FENCED);
    assert_int_equal(make_add_until(&zombie), MR_REFUSE_PRODUCER_FENCED);
    assert_int_equal(make_say(&zombie, 0, "y", true), MR_REFUSE_PRODUCER_EPOCH);
    /* In a partition that has heard of neither, the coordinator is asked. */
    assert_int_equal(make_say(&zombie, 2, "y", false), MR_REFUSE_PRODUCER_EPOCH);
    assert_int_equal(make_add_until(&heir), MR_REFUSE_NONE);
    assert_int_equal(make_say(&heir, 0, "h", false), MR_REFUSE_NONE);
    assert_int_equal(make_end(&heir, true), MR_REFUSE_NONE);
    settle(&s.m);
    expect_committed(&s, 0, "h/0 h/1");
    expect_committed(&s, 2, "");
    shop_free(&s);
}

static void a_transaction_that_is_open_for_too_long_is_aborted_and_its_producer_fenced(void **state)
{
    struct shop s = shop_new(4);
    struct maker k = maker_of(&s, "k");
    (void)state;
    k.timeout_ms = 30000;
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 0, "late", false), MR_REFUSE_NONE);
    pass(&s, 28000);
    assert_int_equal(mr_partition_stable(shelf(&s, 0)), 0);
    pass(&s, 5000);
    assert_int_equal(mr_partition_stable(shelf(&s, 0)), 3);
    expect_committed(&s, 0, "");
    assert_int_equal(make_end(&k, true), MR_REFUSE_PRODUCER_FENCED);
    assert_int_equal(make_say(&k, 0, "later", true), MR_REFUSE_PRODUCER_EPOCH);
    shop_free(&s);
}

static void time_goes_on_for_an_open_transaction_while_the_broker_is_away(void **state)
{
    struct shop s = shop_new(5);
    struct maker k = maker_of(&s, "k");
    (void)state;
    k.timeout_ms = 30000;
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 0, "late", false), MR_REFUSE_NONE);
    mr_sim_crash(s.m.world);
    pass(&s, 20000);
    shop_again(&s);
    assert_int_equal(mr_partition_stable(shelf(&s, 0)), 0);
    pass(&s, 12000);
    assert_int_equal(mr_partition_stable(shelf(&s, 0)), 3);
    expect_committed(&s, 0, "");
    shop_free(&s);
}

static void to_end_a_transaction_twice_the_same_way_is_fine_and_the_other_way_is_not(void **state)
{
    struct shop s = shop_new(6);
    struct maker k = maker_of(&s, "k");
    (void)state;
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_end(&k, true), MR_REFUSE_TXN_STATE); /* nothing was begun */
    assert_int_equal(make_end(&k, false), MR_REFUSE_TXN_STATE);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_end(&k, true), MR_REFUSE_NONE);
    assert_int_equal(make_end_until(&k, true), MR_REFUSE_NONE);
    assert_int_equal(make_end(&k, false), MR_REFUSE_TXN_STATE);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_end(&k, false), MR_REFUSE_NONE);
    assert_int_equal(make_end_until(&k, false), MR_REFUSE_NONE);
    assert_int_equal(make_end(&k, true), MR_REFUSE_TXN_STATE);
    shop_free(&s);
}

static void the_next_transaction_begins_at_once_after_an_end_was_answered(void **state)
{
    struct shop s = shop_new(19);
    struct maker k = maker_of(&s, "k");
    struct mr_txn_at parts[PARTITIONS];
    (void)state;
    for (int32_t i = 0; i < PARTITIONS; i++)
        parts[i] = (struct mr_txn_at){MR_SLICE("t"), i};
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(make_add(&k, parts, PARTITIONS), MR_REFUSE_NONE);
        assert_int_equal(make_say(&k, i % PARTITIONS, "a", false), MR_REFUSE_NONE);
        assert_int_equal(make_end(&k, i % 3 != 0), MR_REFUSE_NONE);
    }
    shop_free(&s);
}

static void who_went_while_its_transaction_completes_is_not_told(void **state)
{
    struct shop s = shop_new(20);
    struct maker k = maker_of(&s, "k");
    (void)state;
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 0, "a", false), MR_REFUSE_NONE);
    for (mr_ms after = 0; after < 40; after++) {
        struct asked a = asking(&k);
        a.done = mr_txns_end(s.txns, &a.c, true);
        pass(&s, after);
        bool told = a.done;
        mr_txns_forget(&a.c);
        pass(&s, 1000);
        assert_int_equal(a.done, told);
        assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    }
    shop_free(&s);
}

static void calls_that_do_not_fit_are_refused_by_name(void **state)
{
    struct shop s = shop_new(7);
    struct maker k = maker_of(&s, "k"), stranger = maker_of(&s, "nobody"), none = maker_of(&s, "");
    (void)state;
    k.timeout_ms = 0;
    assert_int_equal(make_init(&k, false), MR_REFUSE_TXN_TIMEOUT);
    k.timeout_ms = 3600001;
    assert_int_equal(make_init(&k, false), MR_REFUSE_TXN_TIMEOUT);
    k.timeout_ms = 3600000;
    assert_int_equal(make_init(&none, false), MR_REFUSE_INVALID_REQUEST);
    assert_int_equal(make_init(&k, false), MR_REFUSE_NONE);
    assert_int_equal(make_end(&stranger, true), MR_REFUSE_PRODUCER_MAPPING);
    struct maker other = k;
    other.producer++;
    assert_int_equal(make_add_until(&other), MR_REFUSE_PRODUCER_MAPPING);
    other = k;
    other.epoch++;
    assert_int_equal(make_add_until(&other), MR_REFUSE_PRODUCER_FENCED);
    assert_int_equal(make_init(&other, true), MR_REFUSE_PRODUCER_FENCED);
    struct mr_txn_view v;
    assert_int_equal(mr_txns_view(s.txns, MR_SLICE("nobody"), &v), MR_REFUSE_TXN_ID_NOT_FOUND);
    assert_int_equal(mr_txns_view(s.txns, MR_SLICE("k"), &v), MR_REFUSE_NONE);
    assert_int_equal(v.state, MR_TXN_EMPTY);
    assert_int_equal(v.producer, k.producer);
    shop_free(&s);
}

static void who_names_its_epoch_gets_the_next_one_and_gets_it_again_when_the_answer_was_lost(void **state)
{
    struct shop s = shop_new(8);
    struct maker k = maker_of(&s, "k");
    (void)state;
    assert_int_equal(make_init(&k, false), MR_REFUSE_NONE);
    struct maker lost = k;
    assert_int_equal(make_init(&lost, true), MR_REFUSE_NONE);
    assert_int_equal(lost.epoch, k.epoch + 1);
    mr_sim_crash(s.m.world);
    shop_again(&s); /* also across a restart */
    struct maker twice = k;
    assert_int_equal(make_init(&twice, true), MR_REFUSE_NONE);
    assert_int_equal(twice.epoch, lost.epoch);
    assert_int_equal(make_add_until(&twice), MR_REFUSE_NONE);
    assert_int_equal(make_end_until(&twice, true), MR_REFUSE_NONE);
    settle(&s.m);
    assert_int_equal(make_init(&k, true), MR_REFUSE_PRODUCER_FENCED); /* it is in use now */
    shop_free(&s);
}

static void a_transaction_that_is_left_is_aborted_for_who_names_its_epoch_and_comes_again(void **state)
{
    struct shop s = shop_new(9);
    struct maker k = maker_of(&s, "k");
    (void)state;
    assert_int_equal(make_init(&k, false), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 0, "x", false), MR_REFUSE_NONE);
    int16_t before = k.epoch;
    assert_int_equal(make_init(&k, true), MR_REFUSE_CONCURRENT_TXNS);
    settle(&s.m);
    assert_int_equal(make_init(&k, true), MR_REFUSE_NONE);
    assert_int_equal(k.epoch, before + 1);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 0, "y", false), MR_REFUSE_NONE);
    assert_int_equal(make_end(&k, true), MR_REFUSE_NONE);
    settle(&s.m);
    expect_committed(&s, 0, "y/0 y/1");
    shop_free(&s);
}

static void when_the_epochs_of_a_producer_id_run_out_it_gets_another_one(void **state)
{
    struct shop s = shop_new(10);
    struct maker k = maker_of(&s, "k");
    int64_t first;
    (void)state;
    assert_int_equal(make_init(&k, false), MR_REFUSE_NONE);
    first = k.producer;
    for (int epoch = 1; epoch <= 32766; epoch++) {
        assert_int_equal(make_init(&k, false), MR_REFUSE_NONE);
        assert_int_equal(k.epoch, epoch);
        assert_int_equal(k.producer, first);
    }
    struct maker old = k, lost = k;
    assert_int_equal(make_init(&k, true), MR_REFUSE_NONE);
    assert_int_equal(k.epoch, 0);
    assert_int_not_equal(k.producer, first);
    assert_int_equal(make_init(&lost, true), MR_REFUSE_NONE); /* the answer was lost */
    assert_int_equal(lost.producer, k.producer);
    assert_int_equal(make_end(&old, true), MR_REFUSE_PRODUCER_MAPPING);
    shop_free(&s);
}

static void ids_that_nobody_uses_are_forgotten_and_others_are_not(void **state)
{
    struct shop s = shop_new(11);
    struct maker idle = maker_of(&s, "idle"), busy = maker_of(&s, "busy");
    struct mr_txn_view v;
    (void)state;
    assert_int_equal(make_init(&idle, false), MR_REFUSE_NONE);
    assert_int_equal(make_init(&busy, false), MR_REFUSE_NONE);
    for (int day = 0; day < 8; day++) {
        assert_int_equal(make_add_until(&busy), MR_REFUSE_NONE);
        assert_int_equal(make_end_until(&busy, true), MR_REFUSE_NONE);
        assert_int_equal(mr_txns_view(s.txns, MR_SLICE("idle"), &v), MR_REFUSE_NONE);
        pass(&s, (mr_ms)(day == 6 ? 26 : 23) * 3600 * 1000);
        if (day == 7)
            break;
    }
    assert_int_equal(mr_txns_view(s.txns, MR_SLICE("idle"), &v), MR_REFUSE_TXN_ID_NOT_FOUND);
    assert_int_equal(mr_txns_view(s.txns, MR_SLICE("busy"), &v), MR_REFUSE_NONE);
    mr_sim_crash(s.m.world);
    shop_again(&s);
    assert_int_equal(mr_txns_view(s.txns, MR_SLICE("idle"), &v), MR_REFUSE_TXN_ID_NOT_FOUND);
    assert_int_equal(mr_txns_count(s.txns), 1);
    shop_free(&s);
}

static void a_partition_takes_no_batch_of_a_transaction_that_it_is_not_part_of(void **state)
{
    struct shop s = shop_new(12);
    struct maker k = maker_of(&s, "k");
    struct mr_txn_at only = {MR_SLICE("t"), 0};
    (void)state;
    assert_int_equal(make_init(&k, false), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 0, "early", false), MR_REFUSE_TXN_STATE);
    assert_int_equal(make_add(&k, &only, 1), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 0, "a", false), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 1, "b", false), MR_REFUSE_TXN_STATE);
    assert_int_equal(make_end_until(&k, true), MR_REFUSE_NONE);
    settle(&s.m);
    assert_int_equal(make_say(&k, 0, "late", false), MR_REFUSE_TXN_STATE);
    expect_committed(&s, 0, "a/0 a/1");
    assert_int_equal(mr_partition_end(shelf(&s, 1)), 0);
    shop_free(&s);
}

static void a_batch_that_is_sent_again_after_the_commit_is_a_duplicate_and_opens_nothing(void **state)
{
    struct shop s = shop_new(13);
    struct maker k = maker_of(&s, "k");
    (void)state;
    assert_int_equal(make_init(&k, false), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 0, "a", false), MR_REFUSE_NONE);
    assert_int_equal(make_end_until(&k, true), MR_REFUSE_NONE);
    settle(&s.m);
    int64_t end = mr_partition_end(shelf(&s, 0));
    k.sequence[0] = 0;
    assert_int_equal(make_say(&k, 0, "a", false), MR_REFUSE_NONE);
    assert_int_equal(mr_partition_end(shelf(&s, 0)), end);
    assert_int_equal(mr_partition_stable(shelf(&s, 0)), end);
    shop_free(&s);
}

static void a_plain_batch_of_a_producer_with_an_open_transaction_is_refused(void **state)
{
    struct shop s = shop_new(14);
    struct maker k = maker_of(&s, "k");
    struct sent plain;
    (void)state;
    assert_int_equal(make_init(&k, false), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 0, "a", false), MR_REFUSE_NONE);
    produce(shelf(&s, 0), &plain, -1, batch_of("p", 1, MR_CODEC_NONE, k.producer, k.epoch, 2));
    assert_true(plain.settled);
    assert_int_equal(plain.pr.refusal, MR_REFUSE_TXN_STATE);
    shop_free(&s);
}

static void a_marker_of_an_older_epoch_or_coordinator_is_refused(void **state)
{
    struct shop s = shop_new(15);
    struct mr_partition *p = shelf(&s, 0);
    struct mr_marker marker = {.commit = true, .coordinator_epoch = 5};
    struct mr_produce pr = {.done = on_sent};
    struct sent w = {.pr = pr};
    (void)state;
    w.settled = mr_partition_mark(p, &marker, 77, 3, &w.pr);
    settle(&s.m);
    assert_true(w.settled && w.pr.refusal == MR_REFUSE_NONE);
    assert_true(mr_partition_mark(p, &marker, 77, 2, &w.pr));
    assert_int_equal(w.pr.refusal, MR_REFUSE_PRODUCER_EPOCH);
    marker.coordinator_epoch = 4;
    assert_true(mr_partition_mark(p, &marker, 77, 3, &w.pr));
    assert_int_equal(w.pr.refusal, MR_REFUSE_COORDINATOR_FENCED);
    assert_int_equal(mr_partition_end(p), 1);
    shop_free(&s);
}

static void what_was_aborted_is_known_after_a_restart_from_the_snapshot_or_without_it(void **state)
{
    struct shop s = shop_new(16);
    struct maker k = maker_of(&s, "k");
    (void)state;
    assert_int_equal(make_init(&k, false), MR_REFUSE_NONE);
    for (int i = 0; i < 6; i++) {
        char tag[16];
        (void)snprintf(tag, sizeof tag, "r%d", i);
        assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
        assert_int_equal(make_say(&k, 0, tag, false), MR_REFUSE_NONE);
        assert_int_equal(make_end_until(&k, i % 3 == 0), MR_REFUSE_NONE);
        settle(&s.m);
    }
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 0, "open", false), MR_REFUSE_NONE);
    const char *want = "r0/0 r0/1 r3/0 r3/1";
    expect_committed(&s, 0, want);
    int64_t stable = mr_partition_stable(shelf(&s, 0));
    for (int round = 0; round < 3; round++) {
        shop_close(&s); /* writes the snapshot */
        struct mr_stat st;
        assert_int_equal(mr_stat_path(s.m.world, "d/topics/t-0/producers", &st, NULL), MR_OK);
        if (round == 1)
            assert_true(mr_sim_flip(s.m.world, "d/topics/t-0/producers", 20, 3));
        if (round == 2)
            assert_true(mr_sim_flip(s.m.world, "d/topics/t-0/producers", st.size - 5, 1));
        shop_open(&s);
        settle(&s.m);
        expect_committed(&s, 0, want);
        assert_int_equal(mr_partition_stable(shelf(&s, 0)), stable);
    }
    shop_free(&s);
}

static void a_deleted_topic_does_not_keep_a_transaction_from_completing(void **state)
{
    struct shop s = shop_new(17);
    struct maker k = maker_of(&s, "k");
    struct mr_err err = {0};
    struct mr_txn_view v;
    (void)state;
    assert_int_equal(make_init(&k, false), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    assert_int_equal(make_say(&k, 0, "a", false), MR_REFUSE_NONE);
    assert_int_equal(mr_broker_delete(s.broker, MR_SLICE("t"), &err), MR_REFUSE_NONE);
    assert_int_equal(make_end(&k, true), MR_REFUSE_NONE);
    settle(&s.m);
    assert_int_equal(mr_txns_view(s.txns, MR_SLICE("k"), &v), MR_REFUSE_NONE);
    assert_int_equal(v.state, MR_TXN_COMPLETE_COMMIT);
    shop_free(&s);
}

static void a_decision_that_cannot_be_carried_out_now_is_carried_out_later(void **state)
{
    struct shop s = shop_new(18);
    struct maker k = maker_of(&s, "k");
    (void)state;
    assert_int_equal(make_init(&k, false), MR_REFUSE_NONE);
    assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
    for (int32_t i = 0; i < PARTITIONS; i++)
        assert_int_equal(make_say(&k, i, "a", false), MR_REFUSE_NONE);
    struct asked a = asking(&k);
    a.done = mr_txns_end(s.txns, &a.c, true);
    assert_false(a.done);
    mr_sim_faults(s.m.world)->capacity = 1; /* the decision is in the log already, the markers find no room */
    assert_int_equal(await(&s, &a), MR_REFUSE_NONE);
    pass(&s, 5000);
    expect_committed(&s, 0, "");
    assert_int_equal(make_add_until(&k), MR_REFUSE_CONCURRENT_TXNS);
    mr_sim_faults(s.m.world)->capacity = 0;
    pass(&s, 3000);
    for (int32_t i = 0; i < PARTITIONS; i++)
        expect_committed(&s, i, "a/0 a/1");
    shop_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_committed_is_seen_and_what_is_aborted_or_open_is_not),
        cmocka_unit_test(readers_of_committed_records_wait_for_the_oldest_open_transaction),
        cmocka_unit_test(a_newer_producer_fences_the_older_one_and_aborts_what_it_left_open),
        cmocka_unit_test(a_transaction_that_is_open_for_too_long_is_aborted_and_its_producer_fenced),
        cmocka_unit_test(time_goes_on_for_an_open_transaction_while_the_broker_is_away),
        cmocka_unit_test(to_end_a_transaction_twice_the_same_way_is_fine_and_the_other_way_is_not),
        cmocka_unit_test(the_next_transaction_begins_at_once_after_an_end_was_answered),
        cmocka_unit_test(who_went_while_its_transaction_completes_is_not_told),
        cmocka_unit_test(calls_that_do_not_fit_are_refused_by_name),
        cmocka_unit_test(who_names_its_epoch_gets_the_next_one_and_gets_it_again_when_the_answer_was_lost),
        cmocka_unit_test(a_transaction_that_is_left_is_aborted_for_who_names_its_epoch_and_comes_again),
        cmocka_unit_test(when_the_epochs_of_a_producer_id_run_out_it_gets_another_one),
        cmocka_unit_test(ids_that_nobody_uses_are_forgotten_and_others_are_not),
        cmocka_unit_test(a_partition_takes_no_batch_of_a_transaction_that_it_is_not_part_of),
        cmocka_unit_test(a_batch_that_is_sent_again_after_the_commit_is_a_duplicate_and_opens_nothing),
        cmocka_unit_test(a_plain_batch_of_a_producer_with_an_open_transaction_is_refused),
        cmocka_unit_test(a_marker_of_an_older_epoch_or_coordinator_is_refused),
        cmocka_unit_test(what_was_aborted_is_known_after_a_restart_from_the_snapshot_or_without_it),
        cmocka_unit_test(a_deleted_topic_does_not_keep_a_transaction_from_completing),
        cmocka_unit_test(a_decision_that_cannot_be_carried_out_now_is_carried_out_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
