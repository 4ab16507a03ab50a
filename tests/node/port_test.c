/* port_test.c - the in-process topics port, from a lane's thread; and who may open a data directory. */
#include "node/client.h"

#include "world/real.h"

static void no_listener(struct mr_node_config *c)
{
    c->listen = NULL;
}

/* The test's thread is the lane: it runs its world until the answer has come. */
struct lane {
    struct mr_world *world;
    struct mr_topics *topics;
    int answers, wanted;
    mr_code rc;
    int64_t base;
    int32_t partitions;
    char why[256], values[4096];
    int64_t end, start;
    bool got;
    int64_t bases[1024];
};

static struct lane lane_new(struct site *s)
{
    struct lane l = {.topics = mr_node_topics(s->node)};
    assert_int_equal(mr_real_new(&l.world, NULL), MR_OK);
    return l;
}

static void came(struct lane *l, mr_code rc, const char *why)
{
    l->rc = rc;
    (void)snprintf(l->why, sizeof l->why, "%s", why);
    if (++l->answers >= l->wanted)
        mr_real_stop(l->world);
}

static void wait_for(struct lane *l, int answers)
{
    l->wanted = answers;
    if (l->answers < answers)
        mr_real_run(l->world);
    assert_true(l->answers >= answers);
    l->answers = 0;
}

static void on_ensured(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why)
{
    struct lane *l = arg;
    l->partitions = info->partitions;
    came(l, rc, why);
}

static void on_produced(void *arg, mr_code rc, int64_t base, const char *why)
{
    struct lane *l = arg;
    l->base = base;
    if (l->answers < 1024)
        l->bases[l->answers] = base;
    came(l, rc, why);
}

static void on_fetched(void *arg, mr_code rc, struct mr_fetched *got, const char *why)
{
    struct lane *l = arg;
    l->got = got != NULL;
    l->values[0] = '\0';
    if (got) {
        l->end = got->end_offset;
        l->start = got->start_offset;
        values_of(got->bytes, 0, l->values, sizeof l->values);
        got->release(got->what);
    }
    came(l, rc, why);
}

static void ensure(struct lane *l, const char *topic, int32_t partitions)
{
    l->topics->ops->ensure(l->topics, l->world, mr_slice_of(topic), partitions, on_ensured, l);
    wait_for(l, 1);
}

static void send_batch(struct lane *l, const char *topic, const char *tag, int count)
{
    l->topics->ops->produce(l->topics, l->world, mr_slice_of(topic), 0,
                            batch_of(tag, count, MR_CODEC_LZ4, -1, -1), on_produced, l);
}

static void fetch(struct lane *l, const char *topic, int64_t offset, mr_ms wait_ms)
{
    l->topics->ops->fetch(l->topics, l->world, mr_slice_of(topic), 0, offset, 1 << 16, wait_ms, on_fetched,
                          l);
}

static void what_a_lane_produces_a_lane_fetches(void **state)
{
    struct site *s = site_new(no_listener);
    struct lane l = lane_new(s);
    (void)state;
    ensure(&l, "t", 0);
    assert_int_equal(l.rc, MR_OK);
    assert_int_equal(l.partitions, 1);
    ensure(&l, "wide", 5);
    assert_int_equal(l.partitions, 5);
    ensure(&l, "wide", 0);
    assert_int_equal(l.partitions, 5);
    send_batch(&l, "t", "a", 2);
    wait_for(&l, 1);
    assert_int_equal(l.rc, MR_OK);
    assert_int_equal(l.base, 0);
    fetch(&l, "t", -2, 0);
    wait_for(&l, 1);
    assert_string_equal(l.values, "a/0 a/1");
    assert_int_equal(l.end, 2);
    fetch(&l, "t", 2, 0);
    wait_for(&l, 1);
    assert_int_equal(l.rc, MR_OK);
    assert_string_equal(l.values, "");
    mr_real_free(l.world);
    site_free(s);
}

static void the_order_of_calls_is_the_order_of_offsets(void **state)
{
    struct site *s = site_new(no_listener);
    struct lane l = lane_new(s);
    (void)state;
    ensure(&l, "t", 0);
    for (int i = 0; i < 500; i++)
        send_batch(&l, "t", "v", 3);
    wait_for(&l, 500);
    for (int i = 0; i < 500; i++)
        assert_int_equal(l.bases[i], 3 * i);
    mr_real_free(l.world);
    site_free(s);
}

static void a_fetch_waits_for_what_comes(void **state)
{
    struct site *s = site_new(no_listener);
    struct lane reader = lane_new(s), writer = lane_new(s);
    (void)state;
    ensure(&writer, "t", 0);
    send_batch(&writer, "t", "old", 1);
    wait_for(&writer, 1);
    fetch(&reader, "t", -1, 600000); /* only what comes */
    ensure(&writer, "t", 0);         /* by its answer the fetch waits */
    send_batch(&writer, "t", "new", 1);
    wait_for(&writer, 1);
    wait_for(&reader, 1);
    assert_int_equal(reader.rc, MR_OK);
    assert_string_equal(reader.values, "new/0");
    fetch(&reader, "t", 2, 1); /* nothing comes within a millisecond */
    wait_for(&reader, 1);
    assert_int_equal(reader.rc, MR_OK);
    assert_true(reader.got);
    assert_string_equal(reader.values, "");
    mr_real_free(reader.world);
    mr_real_free(writer.world);
    site_free(s);
}

static void refusals_say_what_and_where(void **state)
{
    struct site *s = site_new(no_listener);
    struct lane l = lane_new(s);
    (void)state;
    ensure(&l, "no good", 0);
    assert_int_equal(l.rc, MR_BADCONF);
    assert_non_null(strstr(l.why, "no good"));
    send_batch(&l, "absent", "a", 1);
    wait_for(&l, 1);
    assert_int_equal(l.rc, MR_NOTFOUND);
    assert_int_equal(l.base, -1);
    fetch(&l, "absent", 0, 0);
    wait_for(&l, 1);
    assert_int_equal(l.rc, MR_NOTFOUND);
    assert_false(l.got);
    ensure(&l, "t", 0);
    fetch(&l, "t", 9, 0);
    wait_for(&l, 1);
    assert_int_equal(l.rc, MR_RANGE);
    assert_true(l.got); /* start_offset says where to go on */
    assert_int_equal(l.start, 0);
    l.topics->ops->produce(l.topics, l.world, MR_SLICE("t"), 0, (struct mr_buf){0}, on_produced, &l);
    wait_for(&l, 1);
    assert_int_equal(l.rc, MR_CORRUPT);
    mr_real_free(l.world);
    site_free(s);
}

static void who_waits_is_answered_when_the_node_closes(void **state)
{
    struct site *s = site_new(no_listener);
    struct lane l = lane_new(s);
    (void)state;
    ensure(&l, "t", 0);
    fetch(&l, "t", 0, 600000);
    site_close(s);
    wait_for(&l, 1);
    assert_int_equal(l.rc, MR_CANCELLED);
    mr_real_free(l.world);
    site_free(s);
}

struct keeper {
    struct lane *lane;
    struct mr_fetched *got;
};

static void on_kept(void *arg, mr_code rc, struct mr_fetched *got, const char *why)
{
    struct keeper *k = arg;
    k->got = got;
    came(k->lane, rc, why);
}

static void a_fetched_buffer_may_outlive_the_node(void **state)
{
    struct site *s = site_new(no_listener);
    struct lane l = lane_new(s);
    struct keeper k = {.lane = &l};
    char values[64];
    (void)state;
    ensure(&l, "t", 0);
    send_batch(&l, "t", "a", 1);
    wait_for(&l, 1);
    l.topics->ops->fetch(l.topics, l.world, MR_SLICE("t"), 0, 0, 1000, 0, on_kept, &k);
    wait_for(&l, 1);
    site_close(s);
    values_of(k.got->bytes, 0, values, sizeof values);
    assert_string_equal(values, "a/0");
    k.got->release(k.got->what);
    mr_real_free(l.world);
    site_free(s);
}

static void a_data_directory_is_opened_once_and_the_message_names_the_process(void **state)
{
    struct site *s = site_new(no_listener);
    struct mr_node *second = NULL;
    struct mr_err err = {0};
    char pid[32];
    (void)state;
    assert_int_equal(mr_node_open(&s->config, &second, &err), MR_EXISTS);
    (void)snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(err.text, pid));
    assert_non_null(strstr(err.text, s->dir));
    site_close(s);
    site_open(s);
    site_free(s);
}

static void wrong_addresses_are_refused_with_a_reason(void **state)
{
    static const char *const wrong[] = {
        "", "9092", "localhost", "localhost:", "localhost:x", "localhost:99999", "::1:9092"};
    struct site *s = site_new(no_listener);
    (void)state;
    site_close(s);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct mr_err err = {0};
        s->config.listen = wrong[i];
        assert_int_equal(mr_node_open(&s->config, &s->node, &err), MR_BADCONF);
        assert_non_null(strstr(err.text, wrong[i]));
        assert_null(s->node);
    }
    site_free(s);
}

static void a_port_that_is_taken_is_refused_with_a_reason(void **state)
{
    struct site *s = site_new(NULL), *t = site_new(no_listener);
    struct mr_err err = {0};
    char address[32];
    (void)state;
    site_close(t);
    (void)snprintf(address, sizeof address, "127.0.0.1:%d", s->port);
    t->config.listen = address;
    assert_int_equal(mr_node_open(&t->config, &t->node, &err), MR_EXISTS);
    assert_non_null(strstr(err.text, address));
    t->node = NULL;
    site_free(s);
    site_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_lane_produces_a_lane_fetches),
        cmocka_unit_test(the_order_of_calls_is_the_order_of_offsets),
        cmocka_unit_test(a_fetch_waits_for_what_comes),
        cmocka_unit_test(refusals_say_what_and_where),
        cmocka_unit_test(who_waits_is_answered_when_the_node_closes),
        cmocka_unit_test(a_fetched_buffer_may_outlive_the_node),
        cmocka_unit_test(a_data_directory_is_opened_once_and_the_message_names_the_process),
        cmocka_unit_test(wrong_addresses_are_refused_with_a_reason),
        cmocka_unit_test(a_port_that_is_taken_is_refused_with_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
