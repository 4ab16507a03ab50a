/* txn_client_test.c - transactions as librdkafka's transactional producer and its consumers see them. */
#include "node/client.h"

#include <librdkafka/rdkafka.h>

enum { WAIT_MS = 15000, BROKERS_BYTES = 32, TEXT_BYTES = 1 << 14 };

static void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        fail_msg("%s: %s", name, why);
}

static rd_kafka_t *client(const struct site *s, rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char brokers[BROKERS_BYTES], why[256];
    (void)snprintf(brokers, sizeof brokers, "127.0.0.1:%d", s->port);
    set(conf, "bootstrap.servers", brokers);
    set(conf, "log_level", "0");
    rd_kafka_t *k = rd_kafka_new(type, conf, why, sizeof why);
    if (!k)
        fail_msg("%s", why);
    return k;
}

static void ok(rd_kafka_error_t *e)
{
    if (e)
        fail_msg("%s", rd_kafka_error_string(e));
}

static rd_kafka_t *producer(const struct site *s, const char *id)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "transactional.id", id);
    set(conf, "transaction.timeout.ms", "20000");
    set(conf, "linger.ms", "0");
    rd_kafka_t *k = client(s, RD_KAFKA_PRODUCER, conf);
    ok(rd_kafka_init_transactions(k, WAIT_MS));
    return k;
}

static void say(rd_kafka_t *k, const char *topic, int32_t partition, const char *text)
{
    rd_kafka_topic_t *t = rd_kafka_topic_new(k, topic, NULL);
    assert_non_null(t);
    assert_int_equal(rd_kafka_produce(t, partition, RD_KAFKA_MSG_F_COPY, (void *)(uintptr_t)text,
                                      strlen(text), NULL, 0, NULL),
                     0);
    rd_kafka_topic_destroy(t);
}

static void make_topic(rd_kafka_t *k, const char *name, int partitions)
{
    char why[256];
    rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(name, partitions, 1, why, sizeof why);
    rd_kafka_queue_t *q = rd_kafka_queue_new(k);
    rd_kafka_CreateTopics(k, &t, 1, NULL, q);
    rd_kafka_event_t *ev = rd_kafka_queue_poll(q, WAIT_MS);
    assert_non_null(ev);
    assert_int_equal(rd_kafka_event_error(ev), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(ev);
    rd_kafka_queue_destroy(q);
    rd_kafka_NewTopic_destroy(t);
}

static rd_kafka_t *consumer(const struct site *s, const char *isolation, const char *group)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "isolation.level", isolation);
    set(conf, "enable.partition.eof", "true");
    set(conf, "group.id", group);
    set(conf, "enable.auto.commit", "false");
    set(conf, "auto.offset.reset", "earliest");
    rd_kafka_t *k = client(s, RD_KAFKA_CONSUMER, conf);
    assert_int_equal(rd_kafka_poll_set_consumer(k), RD_KAFKA_RESP_ERR_NO_ERROR);
    return k;
}

/* All values of a topic as that isolation sees them, from each partition to its end: "a b|c". */
static void expect(const struct site *s, const char *isolation, const char *topic, int partitions,
                   const char *want)
{
    char got[TEXT_BYTES] = "";
    rd_kafka_t *k = consumer(s, isolation, "looking");
    for (int32_t p = 0; p < partitions; p++) {
        rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
        assert_int_equal(rd_kafka_assign(k, list), RD_KAFKA_RESP_ERR_NO_ERROR);
        rd_kafka_topic_partition_list_destroy(list);
        bool end = false, first = true;
        if (p)
            strcat(got, "|");
        while (!end) {
            rd_kafka_message_t *m = rd_kafka_consumer_poll(k, WAIT_MS);
            if (!m)
                fail_msg("nothing came; so far: %s", got);
            if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                end = true;
            } else {
                assert_int_equal(m->err, RD_KAFKA_RESP_ERR_NO_ERROR);
                size_t at = strlen(got);
                (void)snprintf(got + at, sizeof got - at, "%s%.*s", first ? "" : " ", (int)m->len,
                               (const char *)m->payload);
                first = false;
            }
            rd_kafka_message_destroy(m);
        }
    }
    rd_kafka_consumer_close(k);
    rd_kafka_destroy(k);
    assert_string_equal(got, want);
}

static void
committed_transactions_are_seen_whole_and_aborted_ones_by_nobody_who_asks_for_committed(void **state)
{
    struct site *s = site_new(NULL);
    rd_kafka_t *k = producer(s, "one");
    (void)state;
    make_topic(k, "t", 2);
    ok(rd_kafka_begin_transaction(k));
    say(k, "t", 0, "a");
    say(k, "t", 1, "b");
    ok(rd_kafka_commit_transaction(k, WAIT_MS));
    ok(rd_kafka_begin_transaction(k));
    say(k, "t", 0, "x");
    say(k, "t", 1, "y");
    assert_int_equal(rd_kafka_flush(k, WAIT_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
    expect(s, "read_committed", "t", 2, "a|b");
    expect(s, "read_uncommitted", "t", 2, "a x|b y");
    ok(rd_kafka_abort_transaction(k, WAIT_MS));
    ok(rd_kafka_begin_transaction(k));
    say(k, "t", 0, "c");
    ok(rd_kafka_commit_transaction(k, WAIT_MS));
    rd_kafka_destroy(k);
    expect(s, "read_committed", "t", 2, "a c|b");
    expect(s, "read_uncommitted", "t", 2, "a x c|b y");
    site_close(s);
    site_open(s);
    expect(s, "read_committed", "t", 2, "a c|b");
    site_free(s);
}

static void a_second_producer_with_the_same_id_fences_the_first_and_aborts_what_it_left(void **state)
{
    struct site *s = site_new(NULL);
    rd_kafka_t *zombie = producer(s, "same");
    (void)state;
    make_topic(zombie, "t", 1);
    ok(rd_kafka_begin_transaction(zombie));
    say(zombie, "t", 0, "lost");
    assert_int_equal(rd_kafka_flush(zombie, WAIT_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_t *heir = producer(s, "same");
    ok(rd_kafka_begin_transaction(heir));
    say(heir, "t", 0, "kept");
    ok(rd_kafka_commit_transaction(heir, WAIT_MS));
    rd_kafka_error_t *e = rd_kafka_commit_transaction(zombie, WAIT_MS);
    assert_non_null(e);
    assert_true(rd_kafka_error_is_fatal(e));
    rd_kafka_error_destroy(e);
    rd_kafka_destroy(zombie);
    rd_kafka_destroy(heir);
    expect(s, "read_committed", "t", 1, "kept");
    site_free(s);
}

static int64_t committed(const struct site *s, const char *group)
{
    rd_kafka_t *k = consumer(s, "read_committed", group);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "in", 0);
    assert_int_equal(rd_kafka_committed(k, list, WAIT_MS), RD_KAFKA_RESP_ERR_NO_ERROR);
    int64_t offset = list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(k);
    rd_kafka_destroy(k);
    return offset;
}

static void offsets_inside_of_a_transaction_hold_when_it_commits_and_not_when_it_aborts(void **state)
{
    struct site *s = site_new(NULL);
    rd_kafka_t *k = producer(s, "mover");
    (void)state;
    make_topic(k, "in", 1);
    make_topic(k, "out", 1);
    rd_kafka_t *reader = consumer(s, "read_committed", "movers");
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, "in", 0);
    for (int round = 0; round < 3; round++) {
        bool commit = round != 1;
        rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(reader);
        ok(rd_kafka_begin_transaction(k));
        say(k, "out", 0, commit ? "moved" : "dropped");
        list->elems[0].offset = 10 * (round + 1);
        ok(rd_kafka_send_offsets_to_transaction(k, list, group, WAIT_MS));
        rd_kafka_consumer_group_metadata_destroy(group);
        ok(commit ? rd_kafka_commit_transaction(k, WAIT_MS) : rd_kafka_abort_transaction(k, WAIT_MS));
        assert_int_equal(committed(s, "movers"), round == 2 ? 30 : 10);
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(reader);
    rd_kafka_destroy(reader);
    rd_kafka_destroy(k);
    expect(s, "read_committed", "out", 1, "moved moved");
    site_close(s);
    site_open(s);
    assert_int_equal(committed(s, "movers"), 30);
    site_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            committed_transactions_are_seen_whole_and_aborted_ones_by_nobody_who_asks_for_committed),
        cmocka_unit_test(a_second_producer_with_the_same_id_fences_the_first_and_aborts_what_it_left),
        cmocka_unit_test(offsets_inside_of_a_transaction_hold_when_it_commits_and_not_when_it_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
