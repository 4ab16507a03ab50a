/* fetch_test.c - fetch sessions, zstd for old clients and isolation, over real sockets. */
#include "node/client.h"

enum { PARTITIONS = 3, V_NAMES = 12, V_IDS = 15 };

/* What one fetch asks for; offset -1: the partition is not named. */
struct want {
    int16_t version;
    int32_t session, epoch;
    int64_t offsets[PARTITIONS];
    int32_t forget; /* a partition, -1: none */
    int32_t wait_ms;
    const struct mr_uuid *id;
};

static void ask_fetch(int fd, const struct want *w, struct answer *a, struct mr_fetch_response *out)
{
    struct mr_fetch_request in;
    struct mr_fetch_request_partition p[PARTITIONS];
    struct mr_fetch_request_topic t = {.topic = MR_SLICE("t"), .partitions = p};
    int32_t gone = w->forget;
    struct mr_fetch_request_forgotten_topic f = {
        .topic = MR_SLICE("t"), .partitions = &gone, .partitions_count = 1};
    for (int32_t i = 0; i < PARTITIONS; i++)
        if (w->offsets[i] >= 0)
            p[t.partitions_count++] = (struct mr_fetch_request_partition){.partition = i,
                                                                          .current_leader_epoch = -1,
                                                                          .fetch_offset = w->offsets[i],
                                                                          .last_fetched_epoch = -1,
                                                                          .log_start_offset = -1,
                                                                          .partition_max_bytes = 1 << 20};
    mr_fetch_request_init(&in);
    if (w->id)
        t.topic_id = f.topic_id = *w->id;
    in.max_wait_ms = w->wait_ms;
    in.min_bytes = 1;
    in.session_id = w->session;
    in.session_epoch = w->epoch;
    in.topics = &t;
    in.topics_count = t.partitions_count > 0;
    in.forgotten_topics_data = &f;
    in.forgotten_topics_data_count = w->forget >= 0;
    struct mr_buf frame = frame_of(1, w->version, 6, &in);
    push(fd, frame.p, frame.len);
    mr_buf_fini(&frame);
    receive(fd, 1, w->version, 6, a, out);
}

/* "0:a/0 1!3 2" : partition, its values, its error; in the order of the answer. Top error first: "E70". */
static void expect_fetch(int fd, struct want w, const char *text, int32_t *session)
{
    struct answer a;
    struct mr_fetch_response out;
    char got[1024] = "", values[512];
    size_t at = 0;
    ask_fetch(fd, &w, &a, &out);
    if (out.error_code)
        at += (size_t)snprintf(got, sizeof got, "E%d ", out.error_code);
    for (int32_t i = 0; i < out.responses_count; i++)
        for (int32_t k = 0; k < out.responses[i].partitions_count; k++) {
            const struct mr_fetch_response_partition *p = &out.responses[i].partitions[k];
            at += (size_t)snprintf(got + at, sizeof got - at, "%d", p->partition_index);
            if (p->error_code)
                at += (size_t)snprintf(got + at, sizeof got - at, "!%d", p->error_code);
            values_of(p->records, w.offsets[p->partition_index] < 0 ? 0 : w.offsets[p->partition_index],
                      values, sizeof values);
            at += (size_t)snprintf(got + at, sizeof got - at, "%s%s ", values[0] ? ":" : "", values);
        }
    if (at)
        got[at - 1] = '\0';
    assert_string_equal(got, text);
    if (session)
        *session = out.session_id;
    else
        assert_int_equal(out.session_id, out.error_code || w.epoch <= 0 ? 0 : w.session);
    answer_fini(&a);
}

static void produce_to(int fd, int32_t partition, const char *tag, enum mr_codec codec)
{
    struct answer a;
    struct mr_produce_request in;
    struct mr_produce_response out;
    struct mr_buf b = batch_of(tag, 1, codec, -1, -1);
    struct mr_produce_request_partition p = {.index = partition, .records = {b.p, b.len}};
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

static struct mr_uuid topic_id(int fd)
{
    struct answer a;
    struct mr_metadata_request in;
    struct mr_metadata_request_topic t = {.name = MR_SLICE("t")};
    struct mr_metadata_response out;
    mr_metadata_request_init(&in);
    in.topics = &t;
    in.topics_count = 1;
    ask(fd, 3, 12, &in, &a, &out);
    struct mr_uuid id = out.topics[0].topic_id;
    answer_fini(&a);
    t = (struct mr_metadata_request_topic){.name = MR_SLICE(""), .topic_id = id}; /* as Java's Admin asks */
    ask(fd, 3, 12, &in, &a, &out);
    assert_true(mr_slice_eq(out.topics[0].name, MR_SLICE("t")));
    answer_fini(&a);
    return id;
}

#define LONG "cccccccccccccccccccccccccccccccccccccccccccccccc"
#define FULL                                                                                                 \
    {                                                                                                        \
        0, 0, 0                                                                                              \
    }
#define NOTHING                                                                                              \
    {                                                                                                        \
        -1, -1, -1                                                                                           \
    }

static void a_session_tells_only_what_has_changed(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s), other = dial(s);
    int32_t id;
    (void)state;
    assert_int_equal(create_topic(fd, "t", PARTITIONS), 0);
    produce_to(fd, 0, "a", MR_CODEC_NONE);
    expect_fetch(fd, (struct want){V_NAMES, 0, 0, FULL, -1, 0, NULL}, "0:a/0 1 2", &id);
    assert_true(id > 0);
    /* Nothing new is named and nothing has changed; the offset of 0 moves, which is no news for the client.
     */
    expect_fetch(fd, (struct want){V_NAMES, id, 1, {1, -1, -1}, -1, 0, NULL}, "", NULL);
    produce_to(fd, 2, "b", MR_CODEC_NONE);
    expect_fetch(fd, (struct want){V_NAMES, id, 2, NOTHING, -1, 0, NULL}, "2:b/0", NULL);
    /* Not read further: it comes again, and the session may be used from anywhere. */
    expect_fetch(other, (struct want){V_NAMES, id, 3, NOTHING, -1, 0, NULL}, "2:b/0", NULL);
    expect_fetch(fd, (struct want){V_NAMES, id, 4, {-1, -1, 1}, -1, 0, NULL}, "", NULL);
    /* Errors are told every time, and being well again is told once. */
    expect_fetch(fd, (struct want){V_NAMES, id, 5, {-1, 7, -1}, -1, 0, NULL}, "1!1", NULL);
    expect_fetch(fd, (struct want){V_NAMES, id, 6, NOTHING, -1, 0, NULL}, "1!1", NULL);
    expect_fetch(fd, (struct want){V_NAMES, id, 7, {-1, 0, -1}, -1, 0, NULL}, "1", NULL);
    expect_fetch(fd, (struct want){V_NAMES, id, 8, NOTHING, -1, 0, NULL}, "", NULL);
    /* A forgotten one is silent until it is named again. */
    produce_to(fd, 1, "c", MR_CODEC_NONE);
    expect_fetch(fd, (struct want){V_NAMES, id, 9, NOTHING, 1, 0, NULL}, "", NULL);
    expect_fetch(fd, (struct want){V_NAMES, id, 10, {-1, 0, -1}, -1, 0, NULL}, "1:c/0", NULL);
    (void)close(fd);
    (void)close(other);
    site_free(s);
}

static void partitions_that_had_their_turn_are_served_last(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    int32_t id;
    (void)state;
    assert_int_equal(create_topic(fd, "t", PARTITIONS), 0);
    expect_fetch(fd, (struct want){V_NAMES, 0, 0, FULL, -1, 0, NULL}, "0 1 2", &id);
    produce_to(fd, 0, "a", MR_CODEC_NONE);
    expect_fetch(fd, (struct want){V_NAMES, id, 1, NOTHING, -1, 0, NULL}, "0:a/0", NULL);
    produce_to(fd, 1, "b", MR_CODEC_NONE);
    produce_to(fd, 2, "c", MR_CODEC_NONE);
    expect_fetch(fd, (struct want){V_NAMES, id, 2, NOTHING, -1, 0, NULL}, "1:b/0 2:c/0 0:a/0", NULL);
    (void)close(fd);
    site_free(s);
}

static void a_waiting_fetch_of_a_session_is_woken_for_a_partition_that_it_did_not_name(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s), writer = dial(s);
    int32_t id;
    struct answer a;
    struct mr_fetch_request in;
    struct mr_fetch_response out;
    (void)state;
    assert_int_equal(create_topic(fd, "t", PARTITIONS), 0);
    expect_fetch(fd, (struct want){V_NAMES, 0, 0, FULL, -1, 0, NULL}, "0 1 2", &id);
    mr_fetch_request_init(&in);
    in.max_wait_ms = 60000;
    in.min_bytes = 1;
    in.session_id = id;
    in.session_epoch = 1;
    struct mr_buf frame = frame_of(1, V_NAMES, 8, &in);
    push(fd, frame.p, frame.len);
    produce_to(writer, 1, "a", MR_CODEC_NONE);
    receive(fd, 1, V_NAMES, 8, &a, &out);
    assert_int_equal(out.responses_count, 1);
    assert_int_equal(out.responses[0].partitions_count, 1);
    assert_int_equal(out.responses[0].partitions[0].partition_index, 1);
    assert_true(out.responses[0].partitions[0].records.len > 0);
    mr_buf_fini(&frame);
    answer_fini(&a);
    (void)close(fd);
    (void)close(writer);
    site_free(s);
}

/* The session is used, closed and left by its connection while a fetch of it waits: none disturbs another. */
static void a_session_may_be_taken_over_while_its_fetch_waits(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s), other = dial(s);
    int32_t id;
    struct answer a;
    struct mr_fetch_request in;
    struct mr_fetch_response out;
    (void)state;
    assert_int_equal(create_topic(fd, "t", PARTITIONS), 0);
    expect_fetch(fd, (struct want){V_NAMES, 0, 0, FULL, -1, 0, NULL}, "0 1 2", &id);
    mr_fetch_request_init(&in);
    in.max_wait_ms = 60000;
    in.min_bytes = 1;
    in.session_id = id;
    in.session_epoch = 1;
    struct mr_buf frame = frame_of(1, V_NAMES, 8, &in);
    push(fd, frame.p, frame.len);
    /* Refused, and so on, until the one above is being served. */
    for (int i = 0; i < 1000; i++) {
        struct want w = {V_NAMES, id, 2, NOTHING, 0, 0, NULL};
        ask_fetch(other, &w, &a, &out);
        int error = out.error_code;
        answer_fini(&a);
        if (error == 0)
            break;
        assert_int_equal(error, 71);
        assert_true(i < 999);
    }
    expect_fetch(other, (struct want){V_NAMES, id, -1, NOTHING, -1, 0, NULL}, "", NULL); /* closes it */
    produce_to(other, 0, "a", MR_CODEC_NONE); /* forgotten by the session, not by the fetch that waits */
    receive(fd, 1, V_NAMES, 8, &a, &out);
    assert_int_equal(out.responses_count, 1);
    assert_int_equal(out.responses[0].partitions[0].partition_index, 0);
    answer_fini(&a);
    /* One more waits, and its connection goes. */
    expect_fetch(fd, (struct want){V_NAMES, 0, 0, {1, 0, 0}, -1, 0, NULL}, "0 1 2", &id);
    in.session_id = id;
    mr_buf_fini(&frame);
    frame = frame_of(1, V_NAMES, 8, &in);
    push(fd, frame.p, frame.len);
    (void)close(fd);
    for (int i = 0; i < 1000; i++) {
        struct want w = {V_NAMES, id, 2, NOTHING, -1, 0, NULL};
        ask_fetch(other, &w, &a, &out);
        int error = out.error_code;
        answer_fini(&a);
        if (error == 0)
            break;
        assert_true(i < 999);
    }
    mr_buf_fini(&frame);
    (void)close(other);
    site_free(s);
}

static void wrong_sessions_are_refused_and_the_client_starts_over(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    int32_t id, next;
    (void)state;
    assert_int_equal(create_topic(fd, "t", PARTITIONS), 0);
    struct mr_uuid topic = topic_id(fd);
    expect_fetch(fd, (struct want){V_NAMES, 0, -1, FULL, -1, 0, NULL}, "0 1 2", NULL); /* wants none */
    expect_fetch(fd, (struct want){V_NAMES, 0, 0, NOTHING, -1, 0, NULL}, "", NULL);    /* of nothing */
    expect_fetch(fd, (struct want){V_NAMES, 12345, 1, NOTHING, -1, 0, NULL}, "E70", NULL);
    expect_fetch(fd, (struct want){V_NAMES, 0, 1, NOTHING, -1, 0, NULL}, "E70", NULL);
    expect_fetch(fd, (struct want){V_NAMES, 0, 0, FULL, -1, 0, NULL}, "0 1 2", &id);
    expect_fetch(fd, (struct want){V_NAMES, id, 2, NOTHING, -1, 0, NULL}, "E71", NULL);
    expect_fetch(fd, (struct want){V_NAMES, id, -2, NOTHING, -1, 0, NULL}, "E71", NULL);
    expect_fetch(fd, (struct want){V_IDS, id, 1, NOTHING, -1, 0, &topic}, "E106", NULL);
    expect_fetch(fd, (struct want){V_NAMES, id, 1, NOTHING, -1, 0, NULL}, "", NULL); /* it still stands */
    expect_fetch(fd, (struct want){V_NAMES, id, 1, NOTHING, -1, 0, NULL}, "E71", NULL);
    expect_fetch(fd, (struct want){V_IDS, id, 0, FULL, -1, 0, &topic}, "0 1 2", &next); /* instead of it */
    assert_int_not_equal(next, id);
    expect_fetch(fd, (struct want){V_NAMES, id, 2, NOTHING, -1, 0, NULL}, "E70", NULL);
    expect_fetch(fd, (struct want){V_NAMES, next, 1, NOTHING, -1, 0, NULL}, "E106", NULL);
    expect_fetch(fd, (struct want){V_IDS, next, 1, NOTHING, 0, 0, &topic}, "", NULL);
    expect_fetch(fd, (struct want){V_IDS, next, 2, NOTHING, 1, 0, &topic}, "", NULL);
    /* With the last partition the session goes. */
    expect_fetch(fd, (struct want){V_IDS, next, 3, NOTHING, 2, 0, &topic}, "", &id);
    assert_int_equal(id, 0);
    expect_fetch(fd, (struct want){V_IDS, next, 4, NOTHING, -1, 0, &topic}, "E70", NULL);
    (void)close(fd);
    site_free(s);
}

static void clients_that_do_not_know_zstd_are_told_so(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    assert_int_equal(create_topic(fd, "t", PARTITIONS), 0);
    produce_to(fd, 0, "a", MR_CODEC_GZIP);
    produce_to(fd, 0, "b", MR_CODEC_NONE);
    produce_to(fd, 0, LONG, MR_CODEC_ZSTD); /* smaller with it, so that it is kept so */
    produce_to(fd, 0, "d", MR_CODEC_NONE);
    for (int16_t v = 4; v <= 12; v++) {
        bool knows = v >= 10;
        expect_fetch(fd, (struct want){v, 0, -1, {0, -1, -1}, -1, 0, NULL},
                     knows ? "0:a/0 b/0 " LONG "/0 d/0" : "0:a/0 b/0", NULL);
        expect_fetch(fd, (struct want){v, 0, -1, {2, -1, -1}, -1, 0, NULL},
                     knows ? "0:" LONG "/0 d/0" : "0!76", NULL);
        expect_fetch(fd, (struct want){v, 0, -1, {3, -1, -1}, -1, 0, NULL}, "0:d/0", NULL);
    }
    (void)close(fd);
    site_free(s);
}

static void readers_of_what_is_decided_get_their_lists(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    produce_to(fd, 0, "a", MR_CODEC_NONE);
    for (int8_t isolation = 0; isolation <= 1; isolation++) {
        struct answer a;
        struct mr_fetch_request in;
        struct mr_fetch_request_partition p = {.current_leader_epoch = -1, .partition_max_bytes = 1 << 20};
        struct mr_fetch_request_topic t = {.topic = MR_SLICE("t"), .partitions_count = 1, .partitions = &p};
        struct mr_fetch_response out;
        mr_fetch_request_init(&in);
        in.isolation_level = isolation;
        in.topics = &t;
        in.topics_count = 1;
        ask(fd, 1, V_NAMES, &in, &a, &out);
        const struct mr_fetch_response_partition *o = &out.responses[0].partitions[0];
        assert_int_equal(o->last_stable_offset, 1);
        assert_int_equal(o->aborted_transactions_count, isolation ? 0 : -1);
        assert_true(o->records.len > 0);
        answer_fini(&a);
    }
    (void)close(fd);
    site_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_tells_only_what_has_changed),
        cmocka_unit_test(partitions_that_had_their_turn_are_served_last),
        cmocka_unit_test(a_waiting_fetch_of_a_session_is_woken_for_a_partition_that_it_did_not_name),
        cmocka_unit_test(a_session_may_be_taken_over_while_its_fetch_waits),
        cmocka_unit_test(wrong_sessions_are_refused_and_the_client_starts_over),
        cmocka_unit_test(clients_that_do_not_know_zstd_are_told_so),
        cmocka_unit_test(readers_of_what_is_decided_get_their_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
