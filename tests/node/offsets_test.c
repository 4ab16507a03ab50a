/* offsets_test.c - the end of a partition as clients ask for it: ListOffsets and DeleteRecords just after a
 * produce that did not wait for the disk. Over a socket, on a real disk.
 */
#include "node/client.h"

enum { ROUNDS = 100 };

static void produce_with_acks_1(int fd, const char *tag, int count)
{
    struct answer a;
    struct mr_produce_response out;
    struct mr_buf b = batch_of(tag, count, MR_CODEC_NONE, -1, -1);
    struct mr_buf frame = produce_frame("t", 9, 1, 5, (struct mr_slice){b.p, b.len});
    push(fd, frame.p, frame.len);
    receive(fd, 0, 9, 5, &a, &out);
    assert_int_equal(out.responses[0].partition_responses[0].error_code, 0);
    answer_fini(&a);
    mr_buf_fini(&frame);
    mr_buf_fini(&b);
}

static int64_t end_of(int fd, int8_t isolation)
{
    struct mr_list_offsets_request in;
    struct mr_list_offsets_response out;
    struct mr_list_offsets_request_partition p = {.current_leader_epoch = -1, .timestamp = -1};
    struct mr_list_offsets_request_topic t = {.name = MR_SLICE("t"), .partitions_count = 1, .partitions = &p};
    struct answer a;
    mr_list_offsets_request_init(&in);
    in.isolation_level = isolation;
    in.topics = &t;
    in.topics_count = 1;
    ask(fd, 2, 7, &in, &a, &out);
    assert_int_equal(out.topics[0].partitions[0].error_code, 0);
    int64_t end = out.topics[0].partitions[0].offset;
    answer_fini(&a);
    return end;
}

static int delete_upto(int fd, int64_t offset, int64_t *low)
{
    struct mr_delete_records_request in;
    struct mr_delete_records_response out;
    struct mr_delete_records_request_partition p = {.offset = offset};
    struct mr_delete_records_request_topic t = {
        .name = MR_SLICE("t"), .partitions_count = 1, .partitions = &p};
    struct answer a;
    mr_delete_records_request_init(&in);
    in.timeout_ms = 10000;
    in.topics = &t;
    in.topics_count = 1;
    ask(fd, 21, 2, &in, &a, &out);
    int error = out.topics[0].partitions[0].error_code;
    *low = out.topics[0].partitions[0].low_watermark;
    answer_fini(&a);
    return error;
}

static void the_end_that_is_listed_has_what_this_client_produced_before(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    for (int i = 1; i <= ROUNDS; i++) {
        produce_with_acks_1(fd, "a", 3);
        assert_int_equal(end_of(fd, (int8_t)(i & 1)), 3 * i);
    }
    (void)close(fd);
    site_free(s);
}

static void records_are_deleted_up_to_what_was_just_produced(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    int64_t low;
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    for (int i = 1; i <= ROUNDS; i++) {
        produce_with_acks_1(fd, "a", 2);
        assert_int_equal(delete_upto(fd, i & 1 ? 2 * i : -1, &low), 0);
        assert_int_equal(low, 2 * i);
    }
    assert_int_equal(delete_upto(fd, 2 * ROUNDS + 1, &low),
                     1); /* OFFSET_OUT_OF_RANGE: there is no such record */
    assert_int_equal(low, -1);
    (void)close(fd);
    site_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_that_is_listed_has_what_this_client_produced_before),
        cmocka_unit_test(records_are_deleted_up_to_what_was_just_produced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
