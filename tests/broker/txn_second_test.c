/* txn_second_test.c - the second version of transactions, where each end raises the epoch. */
#include "broker/shop.h"

static struct shop second_new(uint64_t seed)
{
    struct shop s = shop_new(seed);
    s.raises = true;
    return s;
}

static void written(struct maker *k, const char *tag)
{
    assert_int_equal(make_add_until(k), MR_REFUSE_NONE);
    assert_int_equal(make_say(k, 0, tag, false), MR_REFUSE_NONE);
}

static void each_end_raises_the_epoch_and_what_came_late_is_refused(void **state)
{
    (void)state;
    struct shop s = second_new(1);
    struct maker k = maker_of(&s, "k");
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    for (int i = 0; i < 4; i++) {
        char tag[24];
        struct maker late = k;
        (void)snprintf(tag, sizeof tag, "%d", i);
        written(&k, tag);
        late.sequence[0] = k.sequence[0];
        assert_int_equal(make_end(&k, i % 2 == 0), MR_REFUSE_NONE);
        assert_int_equal(k.producer, late.producer);
        assert_int_equal(k.epoch, late.epoch + 1);
        assert_int_equal(make_say(&late, 0, "late", true), MR_REFUSE_PRODUCER_EPOCH);
        assert_int_equal(make_add_until(&late), MR_REFUSE_PRODUCER_FENCED);
    }
    settle(&s.m);
    expect_committed(&s, 0, "0/0 0/1 2/0 2/1");
    shop_free(&s);
}

static void an_end_whose_answer_was_lost_is_answered_the_same_again(void **state)
{
    (void)state;
    for (int crash = 0; crash < 2; crash++) {
        struct shop s = second_new(2);
        struct maker k = maker_of(&s, "k");
        assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
        written(&k, "a");
        struct maker again = k, other = k;
        assert_int_equal(make_end(&k, true), MR_REFUSE_NONE);
        if (crash) {
            mr_sim_crash(s.m.world);
            shop_again(&s);
            pass(&s, 2500);
        }
        assert_int_equal(make_end_until(&other, false), MR_REFUSE_TXN_STATE);
        assert_int_equal(make_end_until(&again, true), MR_REFUSE_NONE);
        assert_int_equal(again.epoch, k.epoch);
        struct maker once = k;
        assert_int_equal(make_end(&once, true), MR_REFUSE_TXN_STATE); /* there is none to commit */
        written(&k, "b");
        assert_int_equal(make_end_until(&other, true), MR_REFUSE_PRODUCER_FENCED); /* long ago */
        assert_int_equal(make_end(&k, true), MR_REFUSE_NONE);
        settle(&s.m);
        expect_committed(&s, 0, "a/0 a/1 b/0 b/1");
        shop_free(&s);
    }
}

static void an_abort_without_a_transaction_fences_what_is_on_its_way(void **state)
{
    (void)state;
    struct shop s = second_new(3);
    struct maker k = maker_of(&s, "k");
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    for (int i = 0; i < 3; i++) { /* empty, complete abort, complete commit */
        struct maker late = k;
        assert_int_equal(make_end(&k, false), MR_REFUSE_NONE);
        assert_int_equal(k.epoch, late.epoch + 1);
        assert_int_equal(make_add_until(&late), MR_REFUSE_PRODUCER_FENCED);
        if (i == 1) {
            written(&k, "a");
            assert_int_equal(make_end(&k, true), MR_REFUSE_NONE);
        }
    }
    settle(&s.m);
    expect_committed(&s, 0, "a/0 a/1");
    shop_free(&s);
}

static void when_an_end_uses_up_the_epochs_the_next_transaction_has_another_producer_id(void **state)
{
    (void)state;
    struct shop s = second_new(4);
    struct maker k = maker_of(&s, "k");
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    while (k.epoch < INT16_MAX - 1) {
        int16_t before = k.epoch;
        assert_int_equal(make_end(&k, false), MR_REFUSE_NONE);
        assert_int_equal(k.epoch, before + 1);
    }
    struct maker last = k;
    written(&k, "a");
    assert_int_equal(make_end_until(&k, true), MR_REFUSE_NONE);
    assert_true(k.producer != last.producer);
    assert_int_equal(k.epoch, 0);
    assert_int_equal(make_end_until(&last, true), MR_REFUSE_NONE); /* the answer was lost */
    assert_int_equal(last.producer, k.producer);
    assert_int_equal(last.epoch, 0);
    written(&k, "b");
    mr_sim_crash(s.m.world);
    shop_again(&s);
    assert_int_equal(make_end_until(&k, true), MR_REFUSE_NONE);
    assert_int_equal(k.epoch, 1);
    pass(&s, 2500);
    expect_committed(&s, 0, "a/0 a/1 b/0 b/1");
    shop_free(&s);
}

static void the_first_version_goes_on_under_an_id_that_spoke_the_second(void **state)
{
    (void)state;
    struct shop s = second_new(5);
    struct maker k = maker_of(&s, "k");
    assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
    written(&k, "a");
    assert_int_equal(make_end(&k, true), MR_REFUSE_NONE);
    s.raises = false;
    int16_t epoch = k.epoch;
    written(&k, "b");
    assert_int_equal(make_end(&k, true), MR_REFUSE_NONE);
    assert_int_equal(make_end_until(&k, true), MR_REFUSE_NONE);
    assert_int_equal(k.epoch, epoch);
    settle(&s.m);
    expect_committed(&s, 0, "a/0 a/1 b/0 b/1");
    shop_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_end_raises_the_epoch_and_what_came_late_is_refused),
        cmocka_unit_test(an_end_whose_answer_was_lost_is_answered_the_same_again),
        cmocka_unit_test(an_abort_without_a_transaction_fences_what_is_on_its_way),
        cmocka_unit_test(when_an_end_uses_up_the_epochs_the_next_transaction_has_another_producer_id),
        cmocka_unit_test(the_first_version_goes_on_under_an_id_that_spoke_the_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
