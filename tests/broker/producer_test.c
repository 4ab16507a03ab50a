/* producer_test.c - idempotent producers: the laws D1 to D3, and snapshots. */
#include "broker/mill.h"

static struct mr_batch_header head(int64_t id, int16_t epoch, int32_t first, int32_t count, int64_t base)
{
    return (struct mr_batch_header){.producer_id = id,
                                    .producer_epoch = epoch,
                                    .base_sequence = first,
                                    .last_offset_delta = count - 1,
                                    .count = count,
                                    .base_offset = base};
}

static enum mr_refusal ask(const struct mr_producers *t, struct mr_batch_header h, int64_t *duplicate)
{
    int64_t end, base;
    enum mr_refusal r = mr_producers_check(t, &h, &base, &end);
    if (duplicate)
        *duplicate = base;
    if (base >= 0)
        assert_int_equal(end, base + h.count);
    return r;
}

static void note(struct mr_producers *t, struct mr_batch_header h, int64_t now)
{
    assert_true(mr_producers_note(t, &h, now));
}

static void sequences_follow_each_other(void **state)
{
    struct mr_producers t;
    (void)state;
    mr_producers_init(&t);
    note(&t, head(7, 0, 0, 10, 100), 0);
    assert_int_equal(ask(&t, head(7, 0, 10, 1, 0), NULL), MR_REFUSE_NONE);
    assert_int_equal(ask(&t, head(7, 0, 11, 1, 0), NULL), MR_REFUSE_SEQUENCE);
    assert_int_equal(ask(&t, head(7, 0, 9, 1, 0), NULL), MR_REFUSE_SEQUENCE);
    assert_int_equal(ask(&t, head(8, 0, 5, 1, 0), NULL), MR_REFUSE_NONE); /* nothing known of 8 */
    mr_producers_fini(&t);
}

static void the_last_five_batches_are_known_again_and_no_more(void **state)
{
    struct mr_producers t;
    int64_t base;
    (void)state;
    mr_producers_init(&t);
    for (int i = 0; i < 7; i++)
        note(&t, head(1, 0, 10 * i, 10, 1000 + 10 * i), i);
    for (int i = 2; i < 7; i++) {
        assert_int_equal(ask(&t, head(1, 0, 10 * i, 10, 0), &base), MR_REFUSE_NONE);
        assert_int_equal(base, 1000 + 10 * i);
    }
    assert_int_equal(ask(&t, head(1, 0, 10, 10, 0), &base), MR_REFUSE_SEQUENCE);
    assert_int_equal(ask(&t, head(1, 0, 60, 9, 0), &base), MR_REFUSE_SEQUENCE); /* same first, other last */
    mr_producers_fini(&t);
}

static void after_the_largest_sequence_comes_zero(void **state)
{
    struct mr_producers t;
    int64_t base;
    (void)state;
    mr_producers_init(&t);
    note(&t, head(1, 0, INT32_MAX - 1, 4, 50), 0); /* 2147483646, 2147483647, 0, 1 */
    assert_int_equal(ask(&t, head(1, 0, 2, 1, 0), &base), MR_REFUSE_NONE);
    assert_int_equal(base, -1);
    assert_int_equal(ask(&t, head(1, 0, INT32_MAX - 1, 4, 0), &base), MR_REFUSE_NONE);
    assert_int_equal(base, 50);
    mr_producers_fini(&t);
}

static void a_newer_epoch_begins_at_zero_and_fences_the_older(void **state)
{
    struct mr_producers t;
    (void)state;
    mr_producers_init(&t);
    note(&t, head(1, 3, 0, 1, 0), 0);
    assert_int_equal(ask(&t, head(1, 4, 1, 1, 0), NULL), MR_REFUSE_SEQUENCE);
    assert_int_equal(ask(&t, head(1, 4, 0, 1, 0), NULL), MR_REFUSE_NONE);
    note(&t, head(1, 4, 0, 1, 1), 0);
    assert_int_equal(ask(&t, head(1, 3, 1, 1, 0), NULL), MR_REFUSE_PRODUCER_EPOCH);
    assert_int_equal(ask(&t, head(1, 4, 1, 1, 0), NULL), MR_REFUSE_NONE);
    mr_producers_fini(&t);
}

static void a_producer_that_is_silent_for_a_day_is_forgotten(void **state)
{
    struct mr_producers t;
    (void)state;
    mr_producers_init(&t);
    note(&t, head(1, 0, 0, 1, 0), 1000);
    int64_t now = 1000, end = 1001 + MR_PRODUCER_SILENT_MS;
    for (; now < end - MR_PRODUCER_LOOK_MS_MAX; now += MR_PRODUCER_LOOK_MS_MAX)
        mr_producers_expire(&t, now);
    note(&t, head(2, 0, 0, 1, 1), now);
    mr_producers_expire(&t, end - 1);
    assert_int_equal(mr_producers_count(&t), 2);
    mr_producers_expire(&t, end);
    assert_int_equal(mr_producers_count(&t), 1);
    assert_int_equal(ask(&t, head(1, 0, 77, 1, 0), NULL), MR_REFUSE_NONE);
    assert_int_equal(ask(&t, head(2, 0, 77, 1, 0), NULL), MR_REFUSE_SEQUENCE);
    mr_producers_fini(&t);
}

enum { HOUR = 3600000, YEAR = 365 };

/* Hours of looks, each at the time that the clock shows; returns what it shows then. */
static int64_t hours(struct mr_producers *t, int64_t now, int count)
{
    for (int i = 0; i < count; i++) {
        now += HOUR;
        mr_producers_expire(t, now);
    }
    return now;
}

static void a_jump_of_the_clock_forgets_nobody_and_time_goes_on_behind_it(void **state)
{
    (void)state;
    static const int64_t jumps[] = {(int64_t)10 * YEAR * 24 * HOUR, -(int64_t)10 * YEAR * 24 * HOUR,
                                    30 * HOUR, -30 * HOUR};
    for (size_t i = 0; i < sizeof jumps / sizeof jumps[0]; i++) {
        struct mr_producers t;
        int64_t now = 1790000000000;
        mr_producers_init(&t);
        note(&t, head(1, 0, 0, 1, 0), now);
        now = hours(&t, now, 12) + jumps[i];
        note(&t, head(2, 0, 0, 1, 1), now + 60000); /* heard behind the jump, before the next look */
        now = hours(&t, now, 11);
        assert_int_equal(mr_producers_count(&t), 2);
        if (jumps[i] > 0) { /* who was heard before a jump back begins anew with it */
            now = hours(&t, now, 3);
            assert_int_equal(mr_producers_count(&t), 1);
            assert_int_equal(ask(&t, head(2, 0, 77, 1, 0), NULL), MR_REFUSE_SEQUENCE);
        }
        now = hours(&t, now, 15);
        assert_int_equal(mr_producers_count(&t), 0);
        mr_producers_fini(&t);
    }
}

static void a_clock_that_jumped_between_two_runs_forgets_nobody(void **state)
{
    (void)state;
    struct mr_producers t, u;
    struct mr_buf bytes = {0};
    struct mr_err err;
    int64_t at, now = 1790000000000;
    mr_producers_init(&t);
    note(&t, head(1, 0, 0, 1, 0), now - 23 * (int64_t)HOUR);
    note(&t, head(2, 0, 0, 1, 1), now);
    assert_true(mr_producers_save(&t, 2, &bytes));
    for (int direction = -1; direction <= 1; direction += 2) {
        int64_t then = now + direction * (int64_t)YEAR * 24 * HOUR;
        mr_producers_init(&u);
        assert_int_equal(mr_producers_load(&u, (struct mr_slice){bytes.p, bytes.len}, &at, &err), MR_OK);
        mr_producers_expire(&u, then);
        assert_int_equal(mr_producers_count(&u), 2);
        if (direction > 0) { /* ages are what they were */
            mr_producers_expire(&u, then + HOUR);
            mr_producers_expire(&u, then + HOUR + 1);
            assert_int_equal(mr_producers_count(&u), 1);
        }
        mr_producers_fini(&u);
    }
    mr_buf_fini(&bytes);
    mr_producers_fini(&t);
}

static void a_snapshot_says_the_same_and_any_flipped_bit_is_found(void **state)
{
    struct mr_producers t, u;
    struct mr_buf bytes = {0};
    struct mr_err err;
    int64_t at = 0, base;
    (void)state;
    mr_producers_init(&t);
    for (int i = 0; i < 3; i++)
        note(&t, head(100 + i, 2, 0, 5, 10 * i), i);
    assert_true(mr_producers_save(&t, 30, &bytes));
    mr_producers_init(&u);
    assert_int_equal(mr_producers_load(&u, (struct mr_slice){bytes.p, bytes.len}, &at, &err), MR_OK);
    assert_int_equal(at, 30);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ask(&u, head(100 + i, 2, 0, 5, 0), &base), MR_REFUSE_NONE);
        assert_int_equal(base, 10 * i);
    }
    mr_producers_fini(&u);
    for (size_t i = 0; i < bytes.len; i++) {
        bytes.p[i] = (char)(bytes.p[i] ^ 0x10);
        mr_producers_init(&u);
        assert_int_equal(mr_producers_load(&u, (struct mr_slice){bytes.p, bytes.len}, &at, &err), MR_CORRUPT);
        mr_producers_fini(&u);
        bytes.p[i] = (char)(bytes.p[i] ^ 0x10);
    }
    for (size_t len = 0; len < bytes.len; len++) {
        mr_producers_init(&u);
        assert_int_equal(mr_producers_load(&u, (struct mr_slice){bytes.p, len}, &at, &err), MR_CORRUPT);
        mr_producers_fini(&u);
    }
    mr_buf_fini(&bytes);
    mr_producers_fini(&t);
}

static void the_table_is_bounded_and_the_most_silent_goes_first(void **state)
{
    struct mr_producers t;
    (void)state;
    mr_producers_init(&t);
    for (int i = 0; i < MR_PRODUCERS_MAX; i++)
        note(&t, head(i, 0, 0, 1, i), i == 500 ? -1 : i);
    note(&t, head(MR_PRODUCERS_MAX, 0, 0, 1, 0), MR_PRODUCERS_MAX);
    assert_int_equal(mr_producers_count(&t), MR_PRODUCERS_MAX);
    assert_int_equal(ask(&t, head(500, 0, 9, 1, 0), NULL), MR_REFUSE_NONE);
    assert_int_equal(ask(&t, head(501, 0, 9, 1, 0), NULL), MR_REFUSE_SEQUENCE);
    mr_producers_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sequences_follow_each_other),
        cmocka_unit_test(the_last_five_batches_are_known_again_and_no_more),
        cmocka_unit_test(after_the_largest_sequence_comes_zero),
        cmocka_unit_test(a_newer_epoch_begins_at_zero_and_fences_the_older),
        cmocka_unit_test(a_producer_that_is_silent_for_a_day_is_forgotten),
        cmocka_unit_test(a_jump_of_the_clock_forgets_nobody_and_time_goes_on_behind_it),
        cmocka_unit_test(a_clock_that_jumped_between_two_runs_forgets_nobody),
        cmocka_unit_test(a_snapshot_says_the_same_and_any_flipped_bit_is_found),
        cmocka_unit_test(the_table_is_bounded_and_the_most_silent_goes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
