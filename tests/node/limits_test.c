/* limits_test.c - what one connection may hold: memory for requests and answers, and time. */
#include "node/client.h"

#include "node/kafka.h"

#include <sys/resource.h>

enum { LARGE = 900000, STALLED = 1000 };

/* A produce request of one record of `bytes` bytes. */
static struct mr_buf large_frame(const char *topic, size_t bytes, int32_t correlation)
{
    struct mr_buf batch = {0};
    struct mr_record_build b;
    char *value = mr_need(bytes);
    struct mr_slice v = {value, bytes};
    mr_record_build_begin(&b, &batch);
    assert_true(mr_record_build_add(&b, 0, NULL, &v, NULL, 0));
    assert_int_equal(mr_record_build_end(&b, MR_CODEC_NONE, -1, -1, -1, NULL), MR_OK);
    struct mr_buf frame = produce_frame(topic, 9, -1, correlation, (struct mr_slice){batch.p, batch.len});
    mr_buf_fini(&batch);
    mr_free(value);
    return frame;
}

static void expect_produced(int fd, int32_t correlation)
{
    struct answer a;
    struct mr_produce_response out;
    receive(fd, 0, 9, correlation, &a, &out);
    assert_int_equal(out.responses[0].partition_responses[0].error_code, 0);
    answer_fini(&a);
}

static void little_memory(struct mr_node_config *c)
{
    c->request_bytes_max = 2 << 20;
}

struct pusher {
    pthread_t thread;
    int fd;
    struct mr_buf frame;
};

static void *push_all(void *arg)
{
    struct pusher *p = arg;
    push(p->fd, p->frame.p, p->frame.len);
    return NULL;
}

static void connections_wait_for_memory_and_each_is_served(void **state)
{
    enum { HOLDERS = 2, COUNT = 8 };
    struct site *s = site_new(little_memory);
    int other = dial(s);
    struct pusher all[COUNT];
    (void)state;
    assert_int_equal(create_topic(other, "t", 1), 0);
    assert_int_equal(create_topic(other, "u", 1), 0);
    for (int i = 0; i < COUNT; i++)
        all[i] = (struct pusher){.fd = dial(s), .frame = large_frame("t", LARGE, i)};
    for (int i = 0; i < HOLDERS; i++) /* all but the last byte: nearly all that there is */
        push(all[i].fd, all[i].frame.p, all[i].frame.len - 1);
    for (int i = 0; i < 50; i++) /* turns of the node's loop: it has read them by then */
        assert_int_equal(produce(other, "u", batch_of("x", 1, MR_CODEC_NONE, -1, -1), NULL), 0);
    for (int i = HOLDERS; i < COUNT; i++)
        assert_int_equal(pthread_create(&all[i].thread, NULL, push_all, &all[i]), 0);
    for (int i = HOLDERS; i < COUNT; i++) {
        assert_int_equal(produce(other, "u", batch_of("x", 1, MR_CODEC_NONE, -1, -1), NULL), 0);
        expect_produced(all[i].fd, i);
        assert_int_equal(pthread_join(all[i].thread, NULL), 0);
    }
    assert_true(site_said(s, "queued.max.request.bytes"));
    for (int i = 0; i < HOLDERS; i++) {
        push(all[i].fd, all[i].frame.p + all[i].frame.len - 1, 1);
        expect_produced(all[i].fd, i);
    }
    for (int i = 0; i < COUNT; i++) {
        mr_buf_fini(&all[i].frame);
        (void)close(all[i].fd);
    }
    assert_false(site_said(s, "closed"));
    (void)close(other);
    site_free(s);
}

static void short_times(struct mr_node_config *c)
{
    c->frame_ms = 100;
    c->idle_ms = 400;
    c->request_bytes_max = 1 << 20;
}

static void who_says_nothing_is_closed_but_not_who_waits_for_an_answer(void **state)
{
    struct site *s = site_new(short_times);
    int waiting = dial(s), idle = dial(s);
    struct answer a;
    struct mr_fetch_response out;
    (void)state;
    assert_int_equal(create_topic(waiting, "t", 1), 0);
    struct mr_buf frame = fetch_frame("t", 12, 0, 1200, 1, 3);
    push(waiting, frame.p, frame.len);
    expect_closed(idle);
    receive(waiting, 1, 12, 3, &a, &out); /* after three times as long */
    answer_fini(&a);
    expect_closed(waiting);
    mr_buf_fini(&frame);
    site_free(s);
}

static void a_request_that_does_not_come_on_closes_its_connection(void **state)
{
    struct site *s = site_new(short_times);
    static const size_t parts[] = {1, 3, 4, 20};
    (void)state;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        int fd = dial(s);
        struct mr_buf frame = fetch_frame("t", 12, 0, 0, 1, 3);
        push(fd, frame.p, parts[i]);
        expect_closed(fd);
        mr_buf_fini(&frame);
    }
    assert_true(site_said(s, "has not come in time"));
    site_free(s);
}

/* The one that may go beyond the limit stalls: it goes, and the next has its turn. */
static void a_stalled_request_does_not_keep_others_from_memory_for_long(void **state)
{
    struct site *s = site_new(short_times);
    int stalled[3], good = dial(s);
    (void)state;
    assert_int_equal(create_topic(good, "t", 1), 0);
    struct mr_buf frame = large_frame("t", LARGE, 1);
    for (int i = 0; i < 3; i++) {
        stalled[i] = dial(s);
        push(stalled[i], frame.p, frame.len - 5);
    }
    (void)close(good);
    good = dial(s);
    push(good, frame.p, frame.len);
    expect_produced(good, 1);
    for (int i = 0; i < 3; i++)
        expect_closed(stalled[i]);
    mr_buf_fini(&frame);
    (void)close(good);
    site_free(s);
}

static void a_thousand_stalled_connections_disturb_nobody_and_go(void **state)
{
    struct rlimit files;
    struct site *s = site_new(short_times);
    int *fds = mr_need(STALLED * sizeof *fds);
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
    int good = dial(s);
    assert_int_equal(create_topic(good, "t", 1), 0);
    struct mr_buf frame = large_frame("t", LARGE, 1);
    for (int i = 0; i < STALLED; i++) {
        fds[i] = dial(s);
        push(fds[i], frame.p, (size_t)(i % 3 ? i % 300 : 9000));
        if (i % 50 == 0)
            assert_int_equal(produce(good, "t", batch_of("x", 1, MR_CODEC_NONE, -1, -1), NULL), 0);
    }
    for (int i = 0; i < STALLED; i++)
        expect_closed(fds[i]);
    good = dial(s);
    push(good, frame.p, frame.len);
    expect_produced(good, 1);
    mr_buf_fini(&frame);
    mr_free(fds);
    (void)close(good);
    site_free(s);
}

/* Thousands of small requests with large answers, and not one of them read. */
static void who_does_not_read_is_not_listened_to_and_loses_nothing(void **state)
{
    enum { REQUESTS = 3000, PARTITIONS = 1000 };
    struct site *s = site_new(NULL);
    int slow = dial(s), good = dial(s);
    struct rusage before, after;
    struct mr_buf all = {0};
    struct mr_metadata_request in;
    (void)state;
    assert_int_equal(create_topic(good, "t", PARTITIONS), 0);
    assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
    mr_metadata_request_init(&in);
    in.topics_count = -1;
    for (int i = 0; i < REQUESTS; i++) {
        struct mr_buf frame = frame_of(3, 9, i, &in);
        assert_true(mr_buf_put(&all, frame.p, frame.len));
        mr_buf_fini(&frame);
    }
    push(slow, all.p, all.len);
    for (int i = 0; i < 50; i++) /* all that the node will take of them by itself, it has taken by then */
        assert_int_equal(produce(good, "t", batch_of("x", 1, MR_CODEC_NONE, -1, -1), NULL), 0);
    assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
    assert_true(after.ru_maxrss - before.ru_maxrss < 16 << 10); /* KiB; the answers are some 80 MB */
    for (int i = 0; i < REQUESTS; i++) {
        struct answer a;
        struct mr_metadata_response out;
        receive(slow, 3, 9, i, &a, &out);
        assert_int_equal(out.topics[0].partitions_count, PARTITIONS);
        answer_fini(&a);
    }
    mr_buf_fini(&all);
    (void)close(slow);
    (void)close(good);
    site_free(s);
}

struct sample {
    struct site *site;
    size_t bytes;
    bool taken;
};
static pthread_mutex_t sample_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t sample_taken = PTHREAD_COND_INITIALIZER;

static void take_sample(void *arg)
{
    struct sample *p = arg;
    (void)pthread_mutex_lock(&sample_mutex);
    p->bytes = p->site->node->kafka->bytes;
    p->taken = true;
    (void)pthread_cond_signal(&sample_taken);
    (void)pthread_mutex_unlock(&sample_mutex);
}

/* What requests and answers hold, asked of the loop that they belong to. */
static size_t bytes_held(struct site *s)
{
    struct sample p = {.site = s};
    mr_post(s->node->world, take_sample, &p);
    (void)pthread_mutex_lock(&sample_mutex);
    while (!p.taken)
        (void)pthread_cond_wait(&sample_taken, &sample_mutex);
    (void)pthread_mutex_unlock(&sample_mutex);
    return p.bytes;
}

/* Few bytes each, and many of them: what waits for all of them together is bounded too. */
static void answers_that_nobody_takes_are_counted_over_all_connections(void **state)
{
    enum { CONNECTIONS = 12, REQUESTS = 120, TIMES = 16 };
    struct site *s = site_new(little_memory);
    int fds[CONNECTIONS], good = dial(s);
    struct mr_buf all = {0};
    struct mr_describe_configs_request in;
    struct mr_describe_configs_request_resource t[TIMES];
    (void)state;
    assert_int_equal(create_topic(good, "t", 1), 0);
    for (int i = 0; i < TIMES; i++)
        t[i] = (struct mr_describe_configs_request_resource){2, MR_SLICE("t"), -1, NULL};
    mr_describe_configs_request_init(&in);
    in.include_documentation = true; /* some 60 KB of it */
    in.resources = t;
    in.resources_count = TIMES;
    for (int i = 0; i < REQUESTS; i++) {
        struct mr_buf frame = frame_of(32, 4, i, &in);
        assert_true(mr_buf_put(&all, frame.p, frame.len));
        mr_buf_fini(&frame);
    }
    for (int k = 0; k < CONNECTIONS; k++) {
        int little = 64 << 10;
        fds[k] = dial(s);
        assert_int_equal(setsockopt(fds[k], SOL_SOCKET, SO_RCVBUF, &little, sizeof little), 0);
        push(fds[k], all.p, all.len);
    }
    for (int i = 0; i < 50; i++)
        assert_int_equal(produce(good, "t", batch_of("x", 1, MR_CODEC_NONE, -1, -1), NULL), 0);
    /* One alone may have 1 MiB waiting; all have 2 MiB, and then 64 KiB and an answer with its arrays each. */
    size_t held = bytes_held(s);
    assert_true(held > 1 << 20);
    assert_true(held < (2 << 20) + CONNECTIONS * (256 << 10));
    for (int i = 0; i < REQUESTS; i++)
        for (int k = 0; k < CONNECTIONS; k++) {
            struct answer a;
            struct mr_describe_configs_response out;
            receive(fds[k], 32, 4, i, &a, &out);
            assert_int_equal(out.results_count, TIMES);
            if (i == 0 && k == 0)
                assert_true(a.bytes.len > 40000);
            answer_fini(&a);
        }
    for (int k = 0; k < CONNECTIONS; k++)
        (void)close(fds[k]);
    mr_buf_fini(&all);
    (void)close(good);
    site_free(s);
}

/* More than a connection may have in hand, and the node closes: what came in is answered all the same. */
static void what_was_accepted_is_answered_before_a_node_closes(void **state)
{
    enum { REQUESTS = 3 * 64 };
    struct site *s = site_new(NULL);
    int fd = dial(s);
    struct mr_buf all = {0};
    struct mr_buf batch = batch_of("a", 1, MR_CODEC_NONE, -1, -1);
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    for (int i = 0; i < REQUESTS; i++) {
        struct mr_buf frame = produce_frame("t", 9, -1, i, (struct mr_slice){batch.p, batch.len});
        assert_true(mr_buf_put(&all, frame.p, frame.len));
        mr_buf_fini(&frame);
    }
    assert_true(all.len < 60000); /* the node gets it in one piece */
    push(fd, all.p, all.len);
    expect_produced(fd, 0);
    site_close(s);
    for (int i = 1; i < REQUESTS; i++)
        expect_produced(fd, i);
    expect_closed(fd);
    site_open(s);
    fd = dial(s);
    int64_t base;
    assert_int_equal(produce(fd, "t", batch, &base), 0);
    assert_int_equal(base, REQUESTS);
    (void)close(fd);
    mr_buf_fini(&all);
    site_free(s);
}

static void one_address_may_have_three(struct mr_node_config *c)
{
    assert_int_equal(
        mr_node_layer_set(&c->broker.node, MR_SLICE("max.connections.per.ip"), MR_SLICE("3"), NULL), 0);
}

static void connections_of_one_address_have_a_limit_of_their_own(void **state)
{
    struct site *s = site_new(one_address_may_have_three);
    int fds[3];
    (void)state;
    for (int i = 0; i < 3; i++) {
        fds[i] = dial(s);
        (void)create_topic(fds[i], "t", 1);
    }
    expect_closed(dial(s));
    assert_true(site_said(s, "max.connections.per.ip"));
    for (int i = 0; i < 3; i++)
        (void)close(fds[i]);
    site_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_wait_for_memory_and_each_is_served),
        cmocka_unit_test(who_says_nothing_is_closed_but_not_who_waits_for_an_answer),
        cmocka_unit_test(a_request_that_does_not_come_on_closes_its_connection),
        cmocka_unit_test(a_stalled_request_does_not_keep_others_from_memory_for_long),
        cmocka_unit_test(a_thousand_stalled_connections_disturb_nobody_and_go),
        cmocka_unit_test(who_does_not_read_is_not_listened_to_and_loses_nothing),
        cmocka_unit_test(answers_that_nobody_takes_are_counted_over_all_connections),
        cmocka_unit_test(what_was_accepted_is_answered_before_a_node_closes),
        cmocka_unit_test(connections_of_one_address_have_a_limit_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
