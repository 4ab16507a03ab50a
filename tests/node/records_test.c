/* records_test.c - Produce, Fetch, ListOffsets and topics over real sockets. */
#include "node/client.h"

static void what_is_produced_is_fetched_from_any_offset_in_every_version(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    int64_t base;
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    for (int codec = 0; codec <= MR_CODEC_ZSTD; codec++) {
        char tag[16];
        (void)snprintf(tag, sizeof tag, "c%d", codec);
        assert_int_equal(produce(fd, "t", batch_of(tag, 2, (enum mr_codec)codec, -1, -1), &base), 0);
        assert_int_equal(base, 2 * codec);
    }
    expect_fetched(fd, "t", 0, "c0/0 c0/1 c1/0 c1/1 c2/0 c2/1 c3/0 c3/1 c4/0 c4/1");
    expect_fetched(fd, "t", 7, "c3/1 c4/0 c4/1"); /* in the middle of a batch */
    expect_fetched(fd, "t", 10, "");
    for (int16_t v = 3; v <= 12; v++) {
        struct answer a;
        struct mr_produce_response out;
        struct mr_buf b = batch_of("v", 1, MR_CODEC_NONE, -1, -1);
        struct mr_buf frame = produce_frame("t", v, -1, v, (struct mr_slice){b.p, b.len});
        push(fd, frame.p, frame.len);
        receive(fd, 0, v, v, &a, &out);
        assert_int_equal(out.responses[0].partition_responses[0].error_code, 0);
        assert_int_equal(out.responses[0].partition_responses[0].base_offset, 10 + v - 3);
        answer_fini(&a);
        mr_buf_fini(&b);
        mr_buf_fini(&frame);
    }
    for (int16_t v = 4; v <= 12; v++) {
        struct answer a;
        struct mr_fetch_response out;
        char got[256];
        struct mr_buf frame = fetch_frame("t", v, 18, 0, 1, v);
        push(fd, frame.p, frame.len);
        receive(fd, 1, v, v, &a, &out);
        const struct mr_fetch_response_partition *p = &out.responses[0].partitions[0];
        assert_int_equal(p->error_code, 0);
        assert_int_equal(p->high_watermark, 20);
        values_of(p->records, 18, got, sizeof got);
        assert_string_equal(got, "v/0 v/0");
        answer_fini(&a);
        mr_buf_fini(&frame);
    }
    (void)close(fd);
    site_free(s);
}

static void a_waiting_fetch_is_woken_by_a_produce(void **state)
{
    struct site *s = site_new(NULL);
    int reader = dial(s), writer = dial(s);
    struct answer a;
    struct mr_fetch_response out;
    char got[64];
    (void)state;
    assert_int_equal(create_topic(writer, "t", 1), 0);
    struct mr_buf frame = fetch_frame("t", 12, 0, 60000, 1, 4);
    push(reader, frame.p, frame.len);
    mr_buf_fini(&frame);
    assert_int_equal(produce(writer, "t", batch_of("late", 1, MR_CODEC_NONE, -1, -1), NULL), 0);
    receive(reader, 1, 12, 4, &a, &out); /* fails after 20 s, long before the fetch gives up */
    values_of(out.responses[0].partitions[0].records, 0, got, sizeof got);
    assert_string_equal(got, "late/0");
    answer_fini(&a);
    (void)close(reader);
    (void)close(writer);
    site_free(s);
}

static void a_fetch_that_waits_for_more_bytes_answers_when_there_are_enough(void **state)
{
    struct site *s = site_new(NULL);
    int reader = dial(s), writer = dial(s);
    struct answer a;
    struct mr_fetch_response out;
    char got[4096], byte;
    (void)state;
    assert_int_equal(create_topic(writer, "t", 1), 0);
    struct mr_buf frame = fetch_frame("t", 12, 0, 60000, 200, 4);
    push(reader, frame.p, frame.len);
    mr_buf_fini(&frame);
    assert_int_equal(produce(writer, "t", batch_of("a", 1, MR_CODEC_NONE, -1, -1), NULL), 0);
    expect_fetched(writer, "t", 0, "a/0");                 /* so it is visible ... */
    assert_true(recv(reader, &byte, 1, MSG_DONTWAIT) < 0); /* ... but too little for the other */
    assert_int_equal(produce(writer, "t", batch_of("b", 20, MR_CODEC_NONE, -1, -1), NULL), 0);
    receive(reader, 1, 12, 4, &a, &out);
    values_of(out.responses[0].partitions[0].records, 0, got, sizeof got);
    assert_int_equal(strncmp(got, "a/0 b/0 b/1", 11), 0);
    answer_fini(&a);
    (void)close(reader);
    (void)close(writer);
    site_free(s);
}

static void answers_keep_their_order_when_the_first_one_waits(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    struct answer a;
    struct mr_fetch_response fetched;
    struct mr_produce_response produced;
    char got[64];
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    struct mr_buf one = fetch_frame("t", 12, 0, 60000, 1, 1);
    struct mr_buf b = batch_of("x", 1, MR_CODEC_NONE, -1, -1);
    struct mr_buf two = produce_frame("t", 9, -1, 2, (struct mr_slice){b.p, b.len});
    assert_true(mr_buf_put(&one, two.p, two.len));
    push(fd, one.p, one.len); /* the fetch waits for the produce behind it */
    receive(fd, 1, 12, 1, &a, &fetched);
    values_of(fetched.responses[0].partitions[0].records, 0, got, sizeof got);
    assert_string_equal(got, "x/0");
    answer_fini(&a);
    receive(fd, 0, 9, 2, &a, &produced);
    assert_int_equal(produced.responses[0].partition_responses[0].error_code, 0);
    answer_fini(&a);
    mr_buf_fini(&one);
    mr_buf_fini(&two);
    mr_buf_fini(&b);
    (void)close(fd);
    site_free(s);
}

static void acks_0_is_not_answered_and_a_refusal_closes(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    struct mr_buf b = batch_of("q", 1, MR_CODEC_NONE, -1, -1);
    struct mr_buf frame = produce_frame("t", 9, 0, 2, (struct mr_slice){b.p, b.len});
    push(fd, frame.p, frame.len);
    assert_int_equal(produce(fd, "t", batch_of("r", 1, MR_CODEC_NONE, -1, -1), NULL),
                     0); /* the next answer */
    expect_fetched(fd, "t", 0, "q/0 r/0");
    frame.p[frame.len - 5] = (char)(frame.p[frame.len - 5] ^ 1); /* the last record's bytes */
    push(fd, frame.p, frame.len);
    expect_closed(fd);
    assert_true(site_said(s, "acks=0"));
    mr_buf_fini(&b);
    mr_buf_fini(&frame);
    site_free(s);
}

static void wrong_produces_get_kafkas_codes_and_change_nothing(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    int64_t base;
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    assert_int_equal(produce(fd, "absent", batch_of("x", 1, MR_CODEC_NONE, -1, -1), &base), 3);
    assert_int_equal(base, -1);
    struct mr_buf bad = batch_of("x", 1, MR_CODEC_NONE, -1, -1);
    bad.p[bad.len - 2] = (char)(bad.p[bad.len - 2] ^ 1);
    assert_int_equal(produce(fd, "t", bad, &base), 2);
    assert_int_equal(produce(fd, "t", (struct mr_buf){0}, &base), 87);
    assert_int_equal(produce(fd, "t", batch_of("a", 1, MR_CODEC_NONE, 50, 0), &base), 0);
    assert_int_equal(produce(fd, "t", batch_of("a", 1, MR_CODEC_NONE, 50, 0), &base), 0);
    assert_int_equal(base, 0); /* a repeat */
    assert_int_equal(produce(fd, "t", batch_of("c", 1, MR_CODEC_NONE, 50, 2), &base), 45);
    struct mr_buf big = {0};
    struct mr_record_build b;
    char *mib = mr_need(2 << 20);
    struct mr_slice value = {mib, 2 << 20};
    mr_record_build_begin(&b, &big);
    assert_true(mr_record_build_add(&b, 0, NULL, &value, NULL, 0));
    assert_int_equal(mr_record_build_end(&b, MR_CODEC_NONE, -1, -1, -1, NULL), MR_OK);
    assert_int_equal(produce(fd, "t", big, &base), 10);
    mr_free(mib);
    expect_fetched(fd, "t", 0, "a/0");
    (void)close(fd);
    site_free(s);
}

static int list(int fd, const char *topic, int64_t timestamp, int16_t version, int64_t *offset)
{
    struct answer a;
    struct mr_list_offsets_request in;
    struct mr_list_offsets_response out;
    struct mr_list_offsets_request_topic t = {.name = mr_slice_of(topic), .partitions_count = 1};
    struct mr_list_offsets_request_partition p = {.current_leader_epoch = -1, .timestamp = timestamp};
    t.partitions = &p;
    mr_list_offsets_request_init(&in);
    in.topics = &t;
    in.topics_count = 1;
    ask(fd, 2, version, &in, &a, &out);
    int error = out.topics[0].partitions[0].error_code;
    *offset = out.topics[0].partitions[0].offset;
    answer_fini(&a);
    return error;
}

static void offsets_are_listed_by_time_and_by_kafkas_special_times(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    int64_t offset;
    (void)state;
    char path[128];
    assert_int_equal(create_topic(fd, "t", 1), 0);
    for (int64_t time = -5; time <= 0;
         time++) { /* nothing is there yet, and nothing is made for being asked */
        assert_int_equal(list(fd, "t", time, 9, &offset), 0);
        assert_int_equal(offset, time == -1 || time == -2 || time == -4 ? 0 : -1);
    }
    (void)snprintf(path, sizeof path, "%s/topics/t-0", s->dir);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(produce(fd, "t", batch_of("a", 5, MR_CODEC_NONE, -1, -1), NULL), 0);
    static const struct {
        int64_t time, offset;
    } rows[] = {{-1, 5}, {-2, 0}, {-3, 4}, {-4, 0}, {0, 0}, {1700000000003, 3}, {1700000000005, -1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(list(fd, "t", rows[i].time, 8, &offset), 0);
        assert_int_equal(offset, rows[i].offset);
    }
    assert_int_equal(list(fd, "t", -3, 6, &offset), 35); /* not in that version */
    for (int64_t time = -6; time <= -5; time++) {        /* nothing lies elsewhere */
        assert_int_equal(list(fd, "t", time, time == -6 ? 10 : 8, &offset), 35);
        assert_int_equal(list(fd, "t", time, time == -6 ? 11 : 9, &offset), 0);
        assert_int_equal(offset, -1);
    }
    assert_int_equal(list(fd, "t", -7, 11, &offset), 35);
    struct answer a;
    struct mr_list_offsets_request in;
    struct mr_list_offsets_request_partition p[3] = {{.current_leader_epoch = -1, .timestamp = -1},
                                                     {.partition_index = 5, .timestamp = -1},
                                                     {.current_leader_epoch = -1, .timestamp = -2}};
    struct mr_list_offsets_request_topic t = {.name = MR_SLICE("t"), .partitions_count = 3, .partitions = p};
    struct mr_list_offsets_response out;
    mr_list_offsets_request_init(&in);
    in.topics = &t;
    in.topics_count = 1;
    ask(fd, 2, 8, &in, &a, &out);
    assert_int_equal(out.topics[0].partitions[0].error_code, 42); /* the same partition twice */
    assert_int_equal(out.topics[0].partitions[1].error_code, 3);
    assert_int_equal(out.topics[0].partitions[2].error_code, 42);
    answer_fini(&a);
    assert_int_equal(list(fd, "absent", -1, 6, &offset), 3);
    (void)close(fd);
    site_free(s);
}

static int fetch_error(int fd, const char *topic, int64_t offset)
{
    struct answer a;
    struct mr_fetch_response out;
    struct mr_buf frame = fetch_frame(topic, 12, offset, 60000, 1, 4);
    push(fd, frame.p, frame.len);
    mr_buf_fini(&frame);
    receive(fd, 1, 12, 4, &a, &out);
    int error = out.responses[0].partitions[0].error_code;
    answer_fini(&a);
    return error;
}

static void wrong_fetches_are_answered_at_once(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    assert_int_equal(fetch_error(fd, "t", 1), 1);
    assert_int_equal(fetch_error(fd, "t", -7), 1);
    assert_int_equal(fetch_error(fd, "absent", 0), 3);
    (void)close(fd);
    site_free(s);
}

static void deleting_a_topic_answers_who_waits_on_it(void **state)
{
    struct site *s = site_new(NULL);
    int reader = dial(s), fd = dial(s);
    struct answer a;
    struct mr_fetch_response out;
    struct mr_delete_topics_request in;
    struct mr_delete_topics_response deleted;
    struct mr_delete_topics_request_topic t = {.name = MR_SLICE("t")};
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    assert_int_equal(produce(fd, "t", batch_of("a", 1, MR_CODEC_NONE, -1, -1), NULL), 0);
    struct mr_buf frame = fetch_frame("t", 12, 1, 60000, 1, 4);
    push(reader, frame.p, frame.len);
    mr_buf_fini(&frame);
    expect_fetched(fd, "t", 0, "a/0");
    mr_delete_topics_request_init(&in);
    in.topics = &t;
    in.topics_count = 1;
    ask(fd, 20, 6, &in, &a, &deleted);
    assert_int_equal(deleted.responses[0].error_code, 0);
    answer_fini(&a);
    receive(reader, 1, 12, 4, &a, &out);
    assert_int_equal(out.responses[0].partitions[0].error_code, 3);
    answer_fini(&a);
    (void)close(reader);
    (void)close(fd);
    site_free(s);
}

static void what_was_acknowledged_is_there_after_a_restart(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    assert_int_equal(produce(fd, "t", batch_of("a", 3, MR_CODEC_ZSTD, 7, 0), NULL), 0);
    (void)close(fd);
    site_close(s);
    site_open(s);
    fd = dial(s);
    expect_fetched(fd, "t", 0, "a/0 a/1 a/2");
    assert_int_equal(produce(fd, "t", batch_of("b", 1, MR_CODEC_NONE, 7, 3), NULL), 0);
    expect_fetched(fd, "t", 2, "a/2 b/0");
    (void)close(fd);
    site_free(s);
}

static void a_closing_node_answers_what_it_has_accepted(void **state)
{
    enum { COUNT = 40 };
    struct site *s = site_new(NULL);
    int fd = dial(s), reader = dial(s);
    struct answer a;
    struct mr_fetch_response fetched;
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    struct mr_buf wait = fetch_frame("t", 12, 0, 60000, 1 << 20, 1);
    push(reader, wait.p, wait.len);
    mr_buf_fini(&wait);
    struct mr_buf all = {0};
    for (int i = 0; i < COUNT; i++) {
        struct mr_buf b = batch_of("v", 1, MR_CODEC_NONE, -1, -1);
        struct mr_buf frame = produce_frame("t", 9, -1, i, (struct mr_slice){b.p, b.len});
        assert_true(mr_buf_put(&all, frame.p, frame.len));
        mr_buf_fini(&frame);
        mr_buf_fini(&b);
    }
    push(fd, all.p, all.len);
    mr_buf_fini(&all);
    struct mr_produce_response out;
    receive(fd, 0, 9, 0, &a, &out); /* it has begun to read */
    answer_fini(&a);
    site_close(s);
    for (int i = 1; i < COUNT; i++) { /* all came in one packet */
        receive(fd, 0, 9, i, &a, &out);
        assert_int_equal(out.responses[0].partition_responses[0].error_code, 0);
        assert_int_equal(out.responses[0].partition_responses[0].base_offset, i);
        answer_fini(&a);
    }
    expect_closed(fd);
    receive(reader, 1, 12, 1, &a, &fetched); /* with what there is */
    answer_fini(&a);
    expect_closed(reader);
    site_free(s);
}

static void a_parked_fetch_is_answered_when_the_node_closes(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    struct answer a;
    struct mr_fetch_response out;
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    struct mr_buf frame = fetch_frame("t", 12, 0, 60000, 1, 1);
    push(fd, frame.p, frame.len);
    mr_buf_fini(&frame);
    int other = dial(s);
    assert_int_equal(produce(other, "absent", batch_of("x", 1, MR_CODEC_NONE, -1, -1), NULL), 3);
    site_close(s);
    receive(fd, 1, 12, 1, &a, &out);
    assert_int_equal(out.responses[0].partitions[0].error_code, 0);
    answer_fini(&a);
    expect_closed(fd);
    (void)close(other);
    site_free(s);
}

/* Two partitions of one batch of about 100,000 bytes each; what fits into `max_bytes`? */
static void a_fetch_keeps_to_its_size_but_always_moves_on(void **state)
{
    static const struct {
        int32_t max_bytes, partition_max_bytes;
        int with_records;
    } rows[] = {{1 << 20, 1 << 20, 2}, {150000, 1 << 20, 1}, {10, 1 << 20, 1}, {1 << 20, 10, 1}, {0, 0, 1}};
    struct site *s = site_new(NULL);
    int fd = dial(s);
    char *bytes = mr_need(100000);
    struct mr_slice value = {bytes, 100000};
    (void)state;
    assert_int_equal(create_topic(fd, "t", 2), 0);
    for (int32_t i = 0; i < 2; i++) {
        struct mr_buf b = {0};
        struct mr_record_build build;
        struct answer a;
        struct mr_produce_request in;
        struct mr_produce_response out;
        mr_record_build_begin(&build, &b);
        assert_true(mr_record_build_add(&build, 0, NULL, &value, NULL, 0));
        assert_int_equal(mr_record_build_end(&build, MR_CODEC_NONE, -1, -1, -1, NULL), MR_OK);
        struct mr_produce_request_partition p = {.index = i, .records = {b.p, b.len}};
        struct mr_produce_request_topic t = {
            .name = MR_SLICE("t"), .partition_data_count = 1, .partition_data = &p};
        mr_produce_request_init(&in);
        in.acks = -1;
        in.timeout_ms = 10000;
        in.topic_data = &t;
        in.topic_data_count = 1;
        ask(fd, 0, 9, &in, &a, &out);
        assert_int_equal(out.responses[0].partition_responses[0].error_code, 0);
        answer_fini(&a);
        mr_buf_fini(&b);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mr_fetch_request in;
        struct mr_fetch_response out;
        struct answer a;
        struct mr_fetch_request_partition p[2] = {
            {.current_leader_epoch = -1, .partition_max_bytes = rows[i].partition_max_bytes}, {0}};
        p[1] = p[0];
        p[1].partition = 1;
        struct mr_fetch_request_topic t = {.topic = MR_SLICE("t"), .partitions_count = 2, .partitions = p};
        mr_fetch_request_init(&in);
        in.max_bytes = rows[i].max_bytes;
        in.topics = &t;
        in.topics_count = 1;
        ask(fd, 1, 12, &in, &a, &out);
        int with = 0;
        for (int k = 0; k < 2; k++) {
            assert_int_equal(out.responses[0].partitions[k].error_code, 0);
            with += out.responses[0].partitions[k].records.len > 0;
        }
        assert_int_equal(with, rows[i].with_records);
        answer_fini(&a);
    }
    mr_free(bytes);
    (void)close(fd);
    site_free(s);
}

static void clients_that_leave_in_the_middle_disturb_nobody(void **state)
{
    struct site *s = site_new(NULL);
    int good = dial(s);
    (void)state;
    assert_int_equal(create_topic(good, "t", 1), 0);
    for (int i = 0; i < 50; i++) {
        int fd = dial(s);
        struct mr_buf b = batch_of("x", 1, MR_CODEC_NONE, -1, -1);
        struct mr_buf frame = i % 2 ? fetch_frame("t", 12, 1000, 60000, 1, 1)
                                    : produce_frame("t", 9, -1, 1, (struct mr_slice){b.p, b.len});
        struct linger now = {.l_onoff = 1, .l_linger = 0};
        push(fd, frame.p, i % 3 == 2 ? frame.len - 7 : frame.len);
        if (i % 4 < 2) /* reset instead of an end */
            assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
        (void)close(fd);
        mr_buf_fini(&b);
        mr_buf_fini(&frame);
        assert_int_equal(produce(good, "t", batch_of("g", 1, MR_CODEC_NONE, -1, -1), NULL), 0);
    }
    (void)close(good);
    site_free(s);
}

static void a_client_that_does_not_read_is_held_up_and_others_are_not(void **state)
{
    enum { COUNT = 200 };
    struct site *s = site_new(NULL);
    int slow = dial(s), good = dial(s);
    struct mr_buf big = {0};
    struct mr_record_build b;
    char *value = mr_need(900000);
    struct mr_slice v = {value, 900000};
    (void)state;
    assert_int_equal(create_topic(good, "t", 1), 0);
    mr_record_build_begin(&b, &big);
    assert_true(mr_record_build_add(&b, 0, NULL, &v, NULL, 0));
    assert_int_equal(mr_record_build_end(&b, MR_CODEC_NONE, -1, -1, -1, NULL), MR_OK);
    assert_int_equal(produce(good, "t", big, NULL), 0);
    for (int i = 0; i < COUNT; i++) { /* 180 MB asked for */
        struct mr_buf frame = fetch_frame("t", 12, 0, 0, 1, i);
        push(slow, frame.p, frame.len);
        mr_buf_fini(&frame);
    }
    for (int i = 0; i < 20; i++)
        assert_int_equal(produce(good, "t", batch_of("g", 1, MR_CODEC_NONE, -1, -1), NULL), 0);
    for (int i = 0; i < COUNT; i++) { /* now it reads: nothing is missing */
        struct answer a;
        struct mr_fetch_response out;
        receive(slow, 1, 12, i, &a, &out);
        assert_true(out.responses[0].partitions[0].records.len > 900000);
        answer_fini(&a);
    }
    mr_free(value);
    (void)close(slow);
    (void)close(good);
    site_free(s);
}

static void metadata_makes_topics_only_when_asked_to(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    for (int make = 0; make < 2; make++) {
        struct answer a;
        struct mr_metadata_request in;
        struct mr_metadata_response out;
        struct mr_metadata_request_topic t = {.name = MR_SLICE("new")};
        mr_metadata_request_init(&in);
        in.topics = &t;
        in.topics_count = 1;
        in.allow_auto_topic_creation = make;
        ask(fd, 3, 9, &in, &a, &out);
        assert_int_equal(out.topics[0].error_code, make ? 0 : 3);
        assert_int_equal(out.topics[0].partitions_count, make ? 1 : 0);
        assert_int_equal(out.brokers_count, 1);
        assert_int_equal(out.brokers[0].port, s->port);
        answer_fini(&a);
    }
    (void)close(fd);
    site_free(s);
}

static void every_served_version_of_every_api_answers_its_default_request(void **state)
{
    static const struct {
        int16_t key, min, max;
    } served[] = {{1, 4, 18}, {2, 1, 11}, {3, 0, 13}, {18, 0, 4}, {19, 2, 7}, {20, 1, 6},
                  {21, 0, 2}, {33, 0, 2}, {37, 0, 3}, {44, 0, 1}, {22, 0, 5}, {23, 0, 4},
                  {32, 1, 4}, {60, 0, 2}, {0, 3, 13}, {35, 1, 5}, {43, 0, 2}, {45, 0, 1},
                  {46, 0, 0}, {55, 0, 2}, {74, 0, 1}, {75, 0, 0}};
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    for (size_t i = 0; i < sizeof served / sizeof served[0]; i++)
        for (int16_t v = served[i].min; v <= served[i].max; v++) {
            const struct mr_api *api = mr_api_find(served[i].key);
            struct answer a;
            void *in = mr_need(api->request->size), *out = mr_need(api->response->size);
            mr_message_init(api->request, in);
            if (served[i].key == 0)
                ((struct mr_produce_request *)in)->acks = 1;
            ask(fd, served[i].key, v, in, &a, out);
            answer_fini(&a);
            mr_free(in);
            mr_free(out);
        }
    (void)close(fd);
    site_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_produced_is_fetched_from_any_offset_in_every_version),
        cmocka_unit_test(a_waiting_fetch_is_woken_by_a_produce),
        cmocka_unit_test(a_fetch_that_waits_for_more_bytes_answers_when_there_are_enough),
        cmocka_unit_test(answers_keep_their_order_when_the_first_one_waits),
        cmocka_unit_test(acks_0_is_not_answered_and_a_refusal_closes),
        cmocka_unit_test(wrong_produces_get_kafkas_codes_and_change_nothing),
        cmocka_unit_test(offsets_are_listed_by_time_and_by_kafkas_special_times),
        cmocka_unit_test(wrong_fetches_are_answered_at_once),
        cmocka_unit_test(deleting_a_topic_answers_who_waits_on_it),
        cmocka_unit_test(what_was_acknowledged_is_there_after_a_restart),
        cmocka_unit_test(a_closing_node_answers_what_it_has_accepted),
        cmocka_unit_test(a_parked_fetch_is_answered_when_the_node_closes),
        cmocka_unit_test(a_fetch_keeps_to_its_size_but_always_moves_on),
        cmocka_unit_test(clients_that_leave_in_the_middle_disturb_nobody),
        cmocka_unit_test(a_client_that_does_not_read_is_held_up_and_others_are_not),
        cmocka_unit_test(metadata_makes_topics_only_when_asked_to),
        cmocka_unit_test(every_served_version_of_every_api_answers_its_default_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
