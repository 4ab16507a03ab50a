/* check_test.c - what is refused before it is appended, and with which of Kafka's codes. */
#include "broker/mill.h"

static const struct mr_check usual = {.max_batch_bytes = 1 << 20, .segment_bytes = 1 << 30, .records = true};

static enum mr_refusal check(const struct mr_check *c, struct mr_buf batch)
{
    struct mr_buf scratch = {0};
    struct mr_err err = {0};
    /* exactly as long as it is, so that a read beyond it shows under the address sanitizer */
    char *bytes = mr_need(batch.len + 1);
    if (batch.len)
        memcpy(bytes, batch.p, batch.len);
    enum mr_refusal r = mr_check_batches(c, (struct mr_slice){bytes, batch.len}, &scratch, &err);
    if (r)
        assert_true(err.text[0] != '\0');
    mr_free(bytes);
    mr_buf_fini(&scratch);
    mr_buf_fini(&batch);
    return r;
}

static void a_good_batch_of_each_codec_is_taken(void **state)
{
    (void)state;
    for (int codec = MR_CODEC_NONE; codec <= MR_CODEC_ZSTD; codec++)
        assert_int_equal(check(&usual, batch_of("v", 100, (enum mr_codec)codec, -1, -1, -1)), MR_REFUSE_NONE);
}

/* One byte of a good batch set to another value; sealed: the checksum is made right again. */
static struct row {
    const char *name;
    size_t at;
    uint8_t value;
    bool sealed;
    enum mr_refusal want;
} rows[] = {
    {"a base offset other than 0 is refused", 7, 1, false, MR_REFUSE_INVALID_RECORD},
    {"an old magic is refused", 16, 1, false, MR_REFUSE_INVALID_RECORD},
    {"a newer magic is refused", 16, 3, false, MR_REFUSE_INVALID_RECORD},
    {"a wrong checksum is refused", 17, 0xaa, false, MR_REFUSE_CORRUPT},
    {"a changed value is found by the checksum", 70, 0xff, false, MR_REFUSE_CORRUPT},
    {"a length beyond what came is refused", 11, 0xff, false, MR_REFUSE_CORRUPT},
    {"a length below the header is refused", 11, 10, false, MR_REFUSE_CORRUPT},
    {"an unknown codec is refused", 22, 5, true, MR_REFUSE_COMPRESSION},
    {"the broker's timestamp type is refused", 22, 8, true, MR_REFUSE_INVALID_TIMESTAMP},
    {"a transactional batch is refused", 22, 16, true, MR_REFUSE_INVALID_RECORD},
    {"a control batch is refused", 22, 32, true, MR_REFUSE_INVALID_RECORD},
    {"a negative last offset delta is refused", 23, 0x80, true, MR_REFUSE_INVALID_RECORD},
    {"a last offset delta that does not fit the count is refused", 26, 9, true, MR_REFUSE_INVALID_RECORD},
    {"a producer id without a sequence is refused", 43, 0x00, true, MR_REFUSE_INVALID_RECORD},
    {"a count that does not fit the delta is refused", 60, 4, true, MR_REFUSE_INVALID_RECORD},
    {"a record length beyond the batch is refused", 61, 0x7e, true, MR_REFUSE_CORRUPT},
};

static void one_byte(void **state)
{
    const struct row *row = *state;
    struct mr_buf b = batch_of("value", 3, MR_CODEC_NONE, -1, -1, -1);
    assert_true(row->at < b.len && (uint8_t)b.p[row->at] != row->value);
    b.p[row->at] = (char)row->value;
    if (row->sealed)
        seal(&b);
    assert_int_equal(check(&usual, b), row->want);
}

static void nothing_at_all_is_refused(void **state)
{
    (void)state;
    assert_int_equal(check(&usual, (struct mr_buf){0}), MR_REFUSE_INVALID_RECORD);
}

static void every_shorter_batch_is_refused(void **state)
{
    (void)state;
    struct mr_buf whole = batch_of("v", 2, MR_CODEC_NONE, -1, -1, -1);
    for (size_t len = 1; len < whole.len; len++) {
        struct mr_buf part = {0};
        assert_true(mr_buf_put(&part, whole.p, len));
        assert_int_equal(check(&usual, part), MR_REFUSE_CORRUPT);
    }
    mr_buf_fini(&whole);
}

static void two_batches_are_one_too_many_for_a_client(void **state)
{
    (void)state;
    struct mr_check own = usual;
    own.many = true;
    for (int many = 0; many < 2; many++) {
        struct mr_buf two = batch_of("a", 1, MR_CODEC_NONE, -1, -1, -1);
        struct mr_buf b = batch_of("b", 1, MR_CODEC_NONE, -1, -1, -1);
        assert_true(mr_buf_put(&two, b.p, b.len));
        mr_buf_fini(&b);
        assert_int_equal(check(many ? &own : &usual, two), many ? MR_REFUSE_NONE : MR_REFUSE_INVALID_RECORD);
    }
}

static void size_limits_have_their_own_codes(void **state)
{
    (void)state;
    struct mr_check small = usual;
    small.max_batch_bytes = 70;
    assert_int_equal(check(&small, batch_of("v", 9, MR_CODEC_NONE, -1, -1, -1)), MR_REFUSE_TOO_LARGE);
    small = usual;
    small.segment_bytes = 70;
    assert_int_equal(check(&small, batch_of("v", 9, MR_CODEC_NONE, -1, -1, -1)), MR_REFUSE_LIST_TOO_LARGE);
}

static void records_that_do_not_decompress_are_refused(void **state)
{
    (void)state;
    for (int codec = MR_CODEC_GZIP; codec <= MR_CODEC_ZSTD; codec++) {
        struct mr_buf b = batch_of("v", 3, MR_CODEC_NONE, -1, -1, -1);
        b.p[22] = (char)codec; /* says so, but is not */
        seal(&b);
        assert_int_equal(check(&usual, b), MR_REFUSE_CORRUPT);
    }
}

int main(void)
{
    struct CMUnitTest tests[64] = {
        cmocka_unit_test(a_good_batch_of_each_codec_is_taken),
        cmocka_unit_test(nothing_at_all_is_refused),
        cmocka_unit_test(every_shorter_batch_is_refused),
        cmocka_unit_test(two_batches_are_one_too_many_for_a_client),
        cmocka_unit_test(size_limits_have_their_own_codes),
        cmocka_unit_test(records_that_do_not_decompress_are_refused),
    };
    size_t count = 6;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        tests[count++] =
            (struct CMUnitTest){.name = rows[i].name, .test_func = one_byte, .initial_state = &rows[i]};
    return _cmocka_run_group_tests("check", tests, count, NULL, NULL);
}
