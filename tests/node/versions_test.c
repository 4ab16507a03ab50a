/* versions_test.c - what a version adds and takes away, where clients go by it: topics by name and by id, what
 * an empty list means, errors that are told for each thing asked. */
#include "node/client.h"

enum { FETCH = 1, METADATA = 3, DELETE_TOPICS = 20, UNKNOWN = 3, UNKNOWN_ID = 100 };

static struct mr_uuid id_of(int fd, const char *name)
{
    struct answer a;
    struct mr_metadata_request in;
    struct mr_metadata_response out;
    struct mr_metadata_request_topic t = {.name = mr_slice_of(name)};
    mr_metadata_request_init(&in);
    in.topics = &t;
    in.topics_count = 1;
    ask(fd, METADATA, 12, &in, &a, &out);
    struct mr_uuid id = out.topics[0].topic_id;
    assert_int_equal(out.topics[0].error_code, 0);
    answer_fini(&a);
    return id;
}

static void topics_are_found_by_name_in_every_version_and_by_id_in_the_newer(void **state)
{
    static const struct mr_uuid nobodys = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    assert_int_equal(create_topic(fd, "t", 2), 0);
    struct mr_uuid id = id_of(fd, "t");
    for (int16_t v = 0; v <= 13; v++) {
        struct answer a;
        struct mr_metadata_request in;
        struct mr_metadata_response out;
        struct mr_metadata_request_topic t[] = {{.name = MR_SLICE("t")}, {.name = MR_SLICE("absent")}};
        mr_metadata_request_init(&in);
        in.allow_auto_topic_creation = false;
        in.topics = t;
        in.topics_count = v < 4 ? 1 : 2; /* the older ones always make what is not there */
        ask(fd, METADATA, v, &in, &a, &out);
        assert_int_equal(out.topics_count, in.topics_count);
        assert_int_equal(out.topics[0].partitions_count, 2);
        assert_int_equal(out.topics[0].partitions[1].leader_id, 1);
        assert_int_equal(out.brokers[0].port, s->port);
        if (v >= 1)
            assert_int_equal(out.controller_id, 1);
        if (v >= 2)
            assert_int_equal(out.cluster_id.len, 22);
        if (v >= 4)
            assert_int_equal(out.topics[1].error_code, UNKNOWN);
        if (v >= 10)
            assert_memory_equal(out.topics[0].topic_id.b, id.b, sizeof id.b);
        answer_fini(&a);

        in.topics_count = 0; /* all of them, in version 0 */
        ask(fd, METADATA, v, &in, &a, &out);
        assert_int_equal(out.topics_count, v == 0);
        answer_fini(&a);
        if (v >= 1) {
            in.topics_count = -1;
            ask(fd, METADATA, v, &in, &a, &out);
            assert_int_equal(out.topics_count, 1);
            answer_fini(&a);
        }
        if (v >= 12) {
            struct mr_metadata_request_topic ids[] = {{.topic_id = id}, {.topic_id = nobodys}};
            in.topics = ids;
            in.topics_count = 2;
            ask(fd, METADATA, v, &in, &a, &out);
            assert_true(mr_slice_eq(out.topics[0].name, MR_SLICE("t")));
            assert_int_equal(out.topics[0].partitions_count, 2);
            assert_int_equal(out.topics[1].error_code, UNKNOWN_ID);
            assert_null(out.topics[1].name.p);
            assert_memory_equal(out.topics[1].topic_id.b, nobodys.b, sizeof nobodys.b);
            answer_fini(&a);
        }
    }
    (void)close(fd);
    site_free(s);
}

static void a_fetch_of_what_is_not_there_says_so_for_its_partition(void **state)
{
    static const struct mr_uuid nobodys = {{9, 9, 9}};
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    for (int16_t v = 4; v <= 18; v++) {
        struct answer a;
        struct mr_fetch_request in;
        struct mr_fetch_response out;
        struct mr_fetch_request_partition p = {.current_leader_epoch = -1,
                                               .last_fetched_epoch = -1,
                                               .log_start_offset = -1,
                                               .partition_max_bytes = 1 << 20,
                                               .high_watermark = INT64_MAX};
        struct mr_fetch_request_topic t = {
            .topic = MR_SLICE("absent"), .topic_id = nobodys, .partitions_count = 1, .partitions = &p};
        mr_fetch_request_init(&in);
        in.max_wait_ms = 20000; /* nobody waits for what is not there */
        in.min_bytes = 1;
        in.max_bytes = 1 << 20;
        in.topics = &t;
        in.topics_count = 1;
        ask(fd, FETCH, v, &in, &a, &out);
        assert_int_equal(out.error_code, 0);
        assert_int_equal(out.responses_count, 1);
        assert_int_equal(out.responses[0].partitions[0].error_code, v >= 13 ? UNKNOWN_ID : UNKNOWN);
        assert_int_equal(out.responses[0].partitions[0].high_watermark, -1);
        if (v >= 13)
            assert_memory_equal(out.responses[0].topic_id.b, nobodys.b, sizeof nobodys.b);
        answer_fini(&a);
    }
    (void)close(fd);
    site_free(s);
}

static void topics_are_deleted_by_name_or_by_id_and_not_by_both(void **state)
{
    static const struct mr_uuid nobodys = {{7}};
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    for (int16_t v = 1; v <= 6; v++) {
        struct answer a;
        struct mr_delete_topics_request in;
        struct mr_delete_topics_response out;
        struct mr_slice names[] = {MR_SLICE("t"), MR_SLICE("absent"), MR_SLICE("u"), MR_SLICE("u")};
        assert_int_equal(create_topic(fd, "t", 1), 0);
        assert_int_equal(create_topic(fd, "u", 1), 0);
        struct mr_uuid t = id_of(fd, "t"), u = id_of(fd, "u");
        struct mr_delete_topics_request_topic by[] = {
            {.topic_id = t}, {.topic_id = nobodys}, {MR_SLICE("u"), u}, {.name = MR_SLICE("u")}};
        static const int names_get[] = {0, UNKNOWN, 42, 42}, ids_get[] = {0, UNKNOWN_ID, 42, 42};
        mr_delete_topics_request_init(&in);
        in.topic_names = names;
        in.topic_names_count = 4;
        in.topics = by;
        in.topics_count = 4;
        ask(fd, DELETE_TOPICS, v, &in, &a, &out);
        assert_int_equal(out.responses_count, 4);
        for (int i = 0; i < 4; i++)
            assert_int_equal(out.responses[i].error_code, v >= 6 ? ids_get[i] : names_get[i]);
        answer_fini(&a);
        in.topic_names = &names[2];
        in.topics = &by[3];
        in.topic_names_count = in.topics_count = 1;
        ask(fd, DELETE_TOPICS, v, &in, &a, &out);
        assert_int_equal(out.responses[0].error_code, 0);
        answer_fini(&a);
    }
    (void)close(fd);
    site_free(s);
}

static void epochs_are_told_in_every_version_also_after_a_restart(void **state)
{
    struct site *s = site_new(NULL);
    (void)state;
    int fd = dial(s);
    assert_int_equal(create_topic(fd, "t", 1), 0);
    assert_int_equal(produce(fd, "t", batch_of("a", 3, MR_CODEC_NONE, -1, -1), NULL), 0);
    for (int round = 0; round < 2; round++) {
        for (int16_t v = 0; v <= 4; v++) {
            struct answer a;
            struct mr_offset_for_leader_epoch_request in;
            struct mr_offset_for_leader_epoch_response out;
            struct mr_offset_for_leader_epoch_request_partition p[] = {
                {.partition = 0, .current_leader_epoch = -1, .leader_epoch = 0},
                {.partition = 0, .current_leader_epoch = -1, .leader_epoch = 5},
                {.partition = 0, .current_leader_epoch = 9, .leader_epoch = 0},
                {.partition = 7, .current_leader_epoch = -1, .leader_epoch = 0}};
            struct mr_offset_for_leader_epoch_request_topic t = {
                .topic = MR_SLICE("t"), .partitions_count = 4, .partitions = p};
            static const int errors[] = {0, 0, 75, UNKNOWN}, ends[] = {3, -1, -1, -1};
            mr_offset_for_leader_epoch_request_init(&in);
            in.topics = &t;
            in.topics_count = 1;
            ask(fd, 23, v, &in, &a, &out);
            for (int i = 0; i < 4; i++) {
                const struct mr_offset_for_leader_epoch_response_partition *got =
                    &out.topics[0].partitions[i];
                bool fenced = i == 2 && v >= 2; /* v2 brought the epoch that a client believes in */
                assert_int_equal(got->error_code, i == 2 && !fenced ? 0 : errors[i]);
                assert_int_equal(got->end_offset, i == 2 && !fenced ? 3 : ends[i]);
                assert_int_equal(got->leader_epoch, v >= 1 && got->end_offset == 3 ? 0 : -1);
            }
            answer_fini(&a);
        }
        (void)close(fd);
        site_close(s);
        site_open(s);
        fd = dial(s);
    }
    (void)close(fd);
    site_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_are_found_by_name_in_every_version_and_by_id_in_the_newer),
        cmocka_unit_test(a_fetch_of_what_is_not_there_says_so_for_its_partition),
        cmocka_unit_test(topics_are_deleted_by_name_or_by_id_and_not_by_both),
        cmocka_unit_test(epochs_are_told_in_every_version_also_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
