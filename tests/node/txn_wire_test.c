/* txn_wire_test.c - the requests of transactions, one by one over a plain socket. */
#include "node/client.h"

#include "wire/record.h"
#include "world/real.h"

enum {
    PRODUCE = 0,
    FETCH = 1,
    LIST_OFFSETS = 2,
    OFFSET_FETCH = 9,
    CREATE_TOPICS = 19,
    API_VERSIONS = 18,
    INIT = 22,
    ADD_PARTITIONS = 24,
    ADD_OFFSETS = 25,
    END = 26,
    WRITE_MARKERS = 27,
    OFFSET_COMMIT = 28,
    DESCRIBE_PRODUCERS = 61,
    DESCRIBE_TRANSACTIONS = 65,
    LIST_TRANSACTIONS = 66,
};
enum { NONE = 0, UNKNOWN_TOPIC = 3, EPOCH = 47, STATE = 48, MAPPING = 49, TIMEOUT = 50, CONCURRENT = 51 };
enum { NOT_ATTEMPTED = 55, UNSTABLE = 88, FENCED = 90, NOT_FOUND = 105, ABORTABLE = 120, BAD_PATTERN = 128 };

struct who {
    int fd;
    struct mr_slice id;
    int64_t producer;
    int16_t epoch;
};

static void make_topic(int fd, const char *name, int32_t partitions)
{
    struct mr_create_topics_request in;
    struct mr_create_topics_response out;
    struct mr_create_topics_request_topic t;
    struct answer a;
    mr_create_topics_request_init(&in);
    mr_create_topics_request_topic_init(&t);
    t.name = mr_slice_of(name);
    t.num_partitions = partitions;
    t.replication_factor = 1;
    in.topics = &t;
    in.topics_count = 1;
    in.timeout_ms = 1000;
    ask(fd, CREATE_TOPICS, 5, &in, &a, &out);
    assert_int_equal(out.topics[0].error_code, NONE);
    answer_fini(&a);
}

static int16_t init_once(struct who *w, int16_t version, int32_t timeout_ms)
{
    struct mr_init_producer_id_request in;
    struct mr_init_producer_id_response out;
    struct answer a;
    mr_init_producer_id_request_init(&in);
    in.transactional_id = w->id;
    in.transaction_timeout_ms = timeout_ms;
    ask(w->fd, INIT, version, &in, &a, &out);
    if (out.error_code == NONE) {
        w->producer = out.producer_id;
        w->epoch = out.producer_epoch;
    }
    answer_fini(&a);
    return out.error_code;
}

static struct who who_of(int fd, const char *id)
{
    struct who w = {.fd = fd, .id = mr_slice_of(id)};
    int16_t code;
    while ((code = init_once(&w, 4, 60000)) == CONCURRENT)
        ;
    assert_int_equal(code, NONE);
    return w;
}

/* Partitions `from` of topic t; the code of the first. */
static int16_t add(const struct who *w, int16_t version, const char *topic, int32_t partition)
{
    struct mr_add_partitions_to_txn_request in;
    struct mr_add_partitions_to_txn_response out;
    struct mr_add_partitions_to_txn_request_v3_and_below_topic t;
    struct answer a;
    mr_add_partitions_to_txn_request_init(&in);
    t.name = mr_slice_of(topic);
    t.partitions = &partition;
    t.partitions_count = 1;
    in.v3_and_below_transactional_id = w->id;
    in.v3_and_below_producer_id = w->producer;
    in.v3_and_below_producer_epoch = w->epoch;
    in.v3_and_below_topics = &t;
    in.v3_and_below_topics_count = 1;
    ask(w->fd, ADD_PARTITIONS, version, &in, &a, &out);
    int16_t code = out.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code;
    answer_fini(&a);
    return code;
}

static int16_t end(const struct who *w, int16_t version, bool commit)
{
    struct mr_end_txn_request in;
    struct mr_end_txn_response out;
    struct answer a;
    mr_end_txn_request_init(&in);
    in.transactional_id = w->id;
    in.producer_id = w->producer;
    in.producer_epoch = w->epoch;
    in.committed = commit;
    ask(w->fd, END, version, &in, &a, &out);
    answer_fini(&a);
    return out.error_code;
}

/* The second version's: it says with what to go on. */
static int16_t end_second(struct who *w, bool commit)
{
    struct mr_end_txn_request in;
    struct mr_end_txn_response out;
    struct answer a;
    mr_end_txn_request_init(&in);
    in.transactional_id = w->id;
    in.producer_id = w->producer;
    in.producer_epoch = w->epoch;
    in.committed = commit;
    ask(w->fd, END, 5, &in, &a, &out);
    if (out.error_code == NONE) {
        w->producer = out.producer_id;
        w->epoch = out.producer_epoch;
    } else {
        assert_int_equal(out.producer_id, -1);
    }
    answer_fini(&a);
    return out.error_code;
}

static int16_t end_until(const struct who *w, bool commit)
{
    int16_t code;
    while ((code = end(w, 3, commit)) == CONCURRENT)
        ;
    return code;
}

static int16_t add_until(const struct who *w, const char *topic, int32_t partition)
{
    int16_t code;
    while ((code = add(w, 3, topic, partition)) == CONCURRENT)
        ;
    return code;
}

/* Sends it, and does not wait for the answer. */
static void say_on(const struct who *w, int16_t version, const char *topic, int32_t partition,
                   int32_t sequence, int32_t correlation)
{
    struct mr_buf batch = {0};
    struct mr_record_build b;
    struct mr_slice value = MR_SLICE("v");
    struct mr_produce_request in;
    struct mr_produce_request_topic t;
    struct mr_produce_request_partition p;
    mr_record_build_begin(&b, &batch);
    b.attributes = MR_BATCH_TRANSACTIONAL;
    assert_true(mr_record_build_add(&b, 1700000000000, NULL, &value, NULL, 0));
    assert_int_equal(mr_record_build_end(&b, MR_CODEC_NONE, w->producer, w->epoch, sequence, NULL), MR_OK);
    mr_produce_request_init(&in);
    mr_produce_request_topic_init(&t);
    mr_produce_request_partition_init(&p);
    in.transactional_id = w->id;
    in.acks = -1;
    in.timeout_ms = 10000;
    in.topic_data = &t;
    in.topic_data_count = 1;
    t.name = mr_slice_of(topic);
    t.partition_data = &p;
    t.partition_data_count = 1;
    p.index = partition;
    p.records = (struct mr_slice){batch.p, batch.len};
    struct mr_buf frame = frame_of(PRODUCE, version, correlation, &in);
    push(w->fd, frame.p, frame.len);
    mr_buf_fini(&frame);
    mr_buf_fini(&batch);
}

static int16_t said_on(const struct who *w, int16_t version, int32_t correlation)
{
    struct mr_produce_response out;
    struct answer a;
    receive(w->fd, PRODUCE, version, correlation, &a, &out);
    int16_t code = out.responses[0].partition_responses[0].error_code;
    answer_fini(&a);
    return code;
}

static int16_t say(const struct who *w, int16_t version, const char *topic, int32_t partition,
                   int32_t sequence)
{
    say_on(w, version, topic, partition, sequence, 4711);
    return said_on(w, version, 4711);
}

struct seen {
    int64_t high, stable;
    int32_t aborted; /* -1 null */
    int64_t producer, first;
    size_t bytes;
    int16_t code;
};

static struct seen fetch(int fd, const char *topic, int32_t partition, int64_t offset, int8_t isolation)
{
    struct mr_fetch_request in;
    struct mr_fetch_response out;
    struct mr_fetch_request_topic t;
    struct mr_fetch_request_partition p;
    struct answer a;
    mr_fetch_request_init(&in);
    mr_fetch_request_topic_init(&t);
    mr_fetch_request_partition_init(&p);
    in.isolation_level = isolation;
    in.max_bytes = 1 << 20;
    in.session_epoch = -1;
    in.topics = &t;
    in.topics_count = 1;
    t.topic = mr_slice_of(topic);
    t.partitions = &p;
    t.partitions_count = 1;
    p.partition = partition;
    p.fetch_offset = offset;
    p.partition_max_bytes = 1 << 20;
    ask(fd, FETCH, 11, &in, &a, &out);
    const struct mr_fetch_response_partition *o = &out.responses[0].partitions[0];
    struct seen s = {.high = o->high_watermark,
                     .stable = o->last_stable_offset,
                     .aborted = o->aborted_transactions_count,
                     .bytes = o->records.len,
                     .code = o->error_code};
    if (s.aborted > 0) {
        s.producer = o->aborted_transactions[0].producer_id;
        s.first = o->aborted_transactions[0].first_offset;
    }
    answer_fini(&a);
    return s;
}

static int64_t latest(int fd, const char *topic, int8_t isolation)
{
    struct mr_list_offsets_request in;
    struct mr_list_offsets_response out;
    struct mr_list_offsets_request_topic t;
    struct mr_list_offsets_request_partition p;
    struct answer a;
    mr_list_offsets_request_init(&in);
    mr_list_offsets_request_topic_init(&t);
    mr_list_offsets_request_partition_init(&p);
    in.isolation_level = isolation;
    in.topics = &t;
    in.topics_count = 1;
    t.name = mr_slice_of(topic);
    t.partitions = &p;
    t.partitions_count = 1;
    p.timestamp = -1;
    ask(fd, LIST_OFFSETS, 5, &in, &a, &out);
    int64_t offset = out.topics[0].partitions[0].offset;
    answer_fini(&a);
    return offset;
}

static void readers_of_committed_get_what_is_stable_and_the_list_of_what_was_aborted(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    struct who w = who_of(fd, "w");
    (void)state;
    make_topic(fd, "t", 1);
    assert_int_equal(add(&w, 3, "t", 0), NONE);
    assert_int_equal(say(&w, 9, "t", 0, 0), NONE);
    struct seen open = fetch(fd, "t", 0, 0, 1);
    assert_int_equal(open.stable, 0);
    assert_int_equal(open.high, 1);
    assert_int_equal(open.bytes, 0);
    assert_true(fetch(fd, "t", 0, 0, 0).bytes > 0);
    assert_int_equal(latest(fd, "t", 0), 1);
    assert_int_equal(latest(fd, "t", 1), 0);
    assert_int_equal(end(&w, 3, false), NONE);
    while (latest(fd, "t", 1) != 2)
        ;
    struct seen all = fetch(fd, "t", 0, 0, 1);
    assert_int_equal(all.aborted, 1);
    assert_int_equal(all.producer, w.producer);
    assert_int_equal(all.first, 0);
    assert_int_equal(fetch(fd, "t", 0, 0, 0).aborted, -1);
    assert_int_equal(add_until(&w, "t", 0), NONE);
    assert_int_equal(say(&w, 9, "t", 0, 1), NONE);
    assert_int_equal(end(&w, 3, true), NONE);
    while (latest(fd, "t", 1) != 4)
        ;
    assert_int_equal(fetch(fd, "t", 0, 2, 1).aborted, 0);
    (void)close(fd);
    site_free(s);
}

static void each_version_gets_the_codes_that_it_knows(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    struct who w = who_of(fd, "w"), old = w;
    (void)state;
    make_topic(fd, "t", 1);
    assert_int_equal(init_once(&w, 4, 60000), NONE);
    assert_int_equal(w.epoch, old.epoch + 1);
    assert_int_equal(add(&old, 1, "t", 0), EPOCH);
    assert_int_equal(add(&old, 3, "t", 0), FENCED);
    assert_int_equal(end(&old, 1, true), EPOCH);
    assert_int_equal(end(&old, 4, true), FENCED);
    assert_int_equal(say(&w, 9, "t", 0, 0), STATE);
    assert_int_equal(say(&w, 11, "t", 0, 0), ABORTABLE);
    assert_int_equal(say(&old, 11, "t", 0, 0), EPOCH);
    old.producer++;
    assert_int_equal(end(&old, 4, true), MAPPING);
    assert_int_equal(init_once(&w, 4, 0), TIMEOUT);
    assert_int_equal(init_once(&w, 4, 60 * 60000 + 1), TIMEOUT);
    (void)close(fd);
    site_free(s);
}

static void a_partition_that_does_not_exist_keeps_the_others_from_being_added(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    struct who w = who_of(fd, "w"), x = who_of(fd, "x");
    struct mr_add_partitions_to_txn_request in;
    struct mr_add_partitions_to_txn_response out;
    int32_t good[] = {0}, bad[] = {0, 7};
    struct mr_add_partitions_to_txn_request_topic topics[] = {
        {.name = MR_SLICE("t"), .partitions = bad, .partitions_count = 2},
        {.name = MR_SLICE("t"), .partitions = good, .partitions_count = 1},
    };
    struct mr_add_partitions_to_txn_request_transaction txns[3];
    struct answer a;
    (void)state;
    make_topic(fd, "t", 1);
    mr_add_partitions_to_txn_request_init(&in);
    for (int i = 0; i < 3; i++) {
        const struct who *from = i == 1 ? &x : &w;
        txns[i] = (struct mr_add_partitions_to_txn_request_transaction){.transactional_id = from->id,
                                                                        .producer_id = from->producer,
                                                                        .producer_epoch = from->epoch,
                                                                        .verify_only = i == 2,
                                                                        .topics = &topics[i != 0],
                                                                        .topics_count = 1};
    }
    in.transactions = txns;
    in.transactions_count = 3;
    ask(fd, ADD_PARTITIONS, 4, &in, &a, &out);
    assert_int_equal(out.results_by_transaction_count, 3);
    const struct mr_add_partitions_to_txn_response_topic_result *r =
        out.results_by_transaction[0].topic_results;
    assert_int_equal(r[0].results_by_partition[0].partition_error_code, NOT_ATTEMPTED);
    assert_int_equal(r[0].results_by_partition[1].partition_error_code, UNKNOWN_TOPIC);
    r = out.results_by_transaction[1].topic_results;
    assert_int_equal(r[0].results_by_partition[0].partition_error_code, NONE);
    r = out.results_by_transaction[2].topic_results;
    assert_int_equal(r[0].results_by_partition[0].partition_error_code, STATE);
    answer_fini(&a);
    (void)close(fd);
    site_free(s);
}

static int16_t commit_offset(const struct who *w, int16_t version, int64_t offset)
{
    struct mr_txn_offset_commit_request in;
    struct mr_txn_offset_commit_response out;
    struct mr_txn_offset_commit_request_topic t;
    struct mr_txn_offset_commit_request_partition p;
    struct answer a;
    mr_txn_offset_commit_request_init(&in);
    mr_txn_offset_commit_request_topic_init(&t);
    mr_txn_offset_commit_request_partition_init(&p);
    in.transactional_id = w->id;
    in.group_id = MR_SLICE("g");
    in.producer_id = w->producer;
    in.producer_epoch = w->epoch;
    in.topics = &t;
    in.topics_count = 1;
    t.name = MR_SLICE("t");
    t.partitions = &p;
    t.partitions_count = 1;
    p.committed_offset = offset;
    ask(w->fd, OFFSET_COMMIT, version, &in, &a, &out);
    int16_t code = out.topics[0].partitions[0].error_code;
    answer_fini(&a);
    return code;
}

static int16_t add_offsets(const struct who *w)
{
    struct mr_add_offsets_to_txn_request in;
    struct mr_add_offsets_to_txn_response out;
    struct answer a;
    mr_add_offsets_to_txn_request_init(&in);
    in.transactional_id = w->id;
    in.producer_id = w->producer;
    in.producer_epoch = w->epoch;
    in.group_id = MR_SLICE("g");
    ask(w->fd, ADD_OFFSETS, 3, &in, &a, &out);
    answer_fini(&a);
    return out.error_code;
}

static int16_t offset(int fd, bool stable, int64_t *out_offset)
{
    struct mr_offset_fetch_request in;
    struct mr_offset_fetch_response out;
    struct mr_offset_fetch_request_topic t;
    int32_t partition = 0;
    struct answer a;
    mr_offset_fetch_request_init(&in);
    mr_offset_fetch_request_topic_init(&t);
    in.group_id = MR_SLICE("g");
    in.require_stable = stable;
    in.topics = &t;
    in.topics_count = 1;
    t.name = MR_SLICE("t");
    t.partition_indexes = &partition;
    t.partition_indexes_count = 1;
    ask(fd, OFFSET_FETCH, 7, &in, &a, &out);
    int16_t code = out.topics[0].partitions[0].error_code;
    *out_offset = out.topics[0].partitions[0].committed_offset;
    answer_fini(&a);
    return code;
}

static void offsets_of_a_transaction_are_unstable_until_it_is_decided(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    struct who w = who_of(fd, "w");
    int64_t at;
    (void)state;
    make_topic(fd, "t", 1);
    assert_int_equal(commit_offset(&w, 3, 5), STATE); /* AddOffsetsToTxn is missing */
    assert_int_equal(add_offsets(&w), NONE);
    assert_int_equal(commit_offset(&w, 3, 5), NONE);
    assert_int_equal(offset(fd, false, &at), NONE);
    assert_int_equal(at, -1);
    assert_int_equal(offset(fd, true, &at), UNSTABLE);
    assert_int_equal(end(&w, 3, true), NONE);
    while (offset(fd, true, &at) == UNSTABLE)
        ;
    assert_int_equal(at, 5);
    while (add_offsets(&w) == CONCURRENT)
        ;
    assert_int_equal(commit_offset(&w, 3, 9), NONE);
    assert_int_equal(end_until(&w, false), NONE);
    while (offset(fd, true, &at) == UNSTABLE)
        ;
    assert_int_equal(at, 5);
    site_close(s);
    site_open(s);
    (void)close(fd);
    fd = dial(s);
    while (offset(fd, true, &at) != NONE)
        ; /* it is being read */
    assert_int_equal(at, 5);
    (void)close(fd);
    site_free(s);
}

/* Of w, x1, x22: a whole id must match. */
static void list_by_pattern(int fd)
{
    static const struct {
        const char *pattern;
        int16_t code, count;
    } cases[] = {{NULL, NONE, 3},          {"", NONE, 3},          {"x[0-9]+", NONE, 2},
                 {"x[0-9]", NONE, 1},      {"w|x1", NONE, 2},      {".", NONE, 1},
                 {"no", NONE, 0},          {"(x", BAD_PATTERN, 0}, {")(", BAD_PATTERN, 0},
                 {"(.)\\1|x(2)+", NONE, 1}};
    struct who x1 = who_of(fd, "x1"), x22 = who_of(fd, "x22");
    assert_true(x1.producer >= 0 && x22.producer >= 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mr_list_transactions_request in;
        struct mr_list_transactions_response out;
        struct answer a;
        mr_list_transactions_request_init(&in);
        in.transactional_id_pattern = mr_slice_of(cases[i].pattern);
        ask(fd, LIST_TRANSACTIONS, 2, &in, &a, &out);
        assert_int_equal(out.error_code, cases[i].code);
        assert_int_equal(out.transaction_states_count, cases[i].count);
        answer_fini(&a);
    }
}

static void tools_see_transactions_and_can_end_one_that_hangs(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    struct who w = who_of(fd, "w");
    struct answer a;
    (void)state;
    make_topic(fd, "t", 2);
    assert_int_equal(add(&w, 3, "t", 1), NONE);
    assert_int_equal(say(&w, 9, "t", 1, 0), NONE);

    struct mr_slice ids[] = {MR_SLICE("w"), MR_SLICE("nobody")};
    struct mr_describe_transactions_request din = {.transactional_ids = ids, .transactional_ids_count = 2};
    struct mr_describe_transactions_response dout;
    ask(fd, DESCRIBE_TRANSACTIONS, 0, &din, &a, &dout);
    assert_int_equal(dout.transaction_states_count, 2);
    assert_true(mr_slice_eq(dout.transaction_states[0].transaction_state, MR_SLICE("Ongoing")));
    assert_int_equal(dout.transaction_states[0].producer_id, w.producer);
    assert_int_equal(dout.transaction_states[0].topics_count, 1);
    assert_int_equal(dout.transaction_states[0].topics[0].partitions[0], 1);
    assert_int_equal(dout.transaction_states[1].error_code, NOT_FOUND);
    answer_fini(&a);

    struct mr_slice states[] = {MR_SLICE("Ongoing"), MR_SLICE("Sleeping")};
    int64_t producers[] = {w.producer, 12345};
    struct mr_list_transactions_request lin;
    struct mr_list_transactions_response lout;
    mr_list_transactions_request_init(&lin);
    lin.state_filters = states;
    lin.state_filters_count = 2;
    for (int i = 0; i < 2; i++) {
        lin.producer_id_filters = &producers[i];
        lin.producer_id_filters_count = 1;
        ask(fd, LIST_TRANSACTIONS, 1, &lin, &a, &lout);
        assert_int_equal(lout.transaction_states_count, i == 0);
        assert_int_equal(lout.unknown_state_filters_count, 1);
        answer_fini(&a);
    }

    list_by_pattern(fd);

    int32_t both[] = {1, 2};
    struct mr_describe_producers_request_topic pt = {
        .name = MR_SLICE("t"), .partition_indexes = both, .partition_indexes_count = 2};
    struct mr_describe_producers_request pin = {.topics = &pt, .topics_count = 1};
    struct mr_describe_producers_response pout;
    ask(fd, DESCRIBE_PRODUCERS, 0, &pin, &a, &pout);
    const struct mr_describe_producers_response_partition *p = pout.topics[0].partitions;
    assert_int_equal(p[0].active_producers_count, 1);
    assert_int_equal(p[0].active_producers[0].producer_id, w.producer);
    assert_int_equal(p[0].active_producers[0].current_txn_start_offset, 0);
    assert_int_equal(p[0].active_producers[0].last_sequence, 0);
    assert_int_equal(p[1].error_code, UNKNOWN_TOPIC);
    answer_fini(&a);

    struct mr_write_txn_markers_request_topic mt = {
        .name = MR_SLICE("t"), .partition_indexes = both, .partition_indexes_count = 2};
    struct mr_write_txn_markers_request_marker m;
    struct mr_write_txn_markers_request min = {.markers = &m, .markers_count = 1};
    struct mr_write_txn_markers_response mout;
    mr_write_txn_markers_request_marker_init(&m);
    m.producer_id = w.producer;
    m.producer_epoch = w.epoch;
    m.topics = &mt;
    m.topics_count = 1;
    ask(fd, WRITE_MARKERS, 1, &min, &a, &mout);
    assert_int_equal(mout.markers[0].topics[0].partitions[0].error_code, NONE);
    assert_int_equal(mout.markers[0].topics[0].partitions[1].error_code, UNKNOWN_TOPIC);
    answer_fini(&a);
    struct seen now = fetch(fd, "t", 1, 0, 1);
    assert_int_equal(now.stable, 2);
    assert_int_equal(now.aborted, 1);
    (void)close(fd);
    site_free(s);
}

/* ------------------------------------------------------------------ the second version */

static void offered(int fd, int16_t *end_max, int16_t *commit_max, int *level)
{
    struct mr_api_versions_request in;
    struct mr_api_versions_response out;
    struct answer a;
    mr_api_versions_request_init(&in);
    in.client_software_name = in.client_software_version = MR_SLICE("test");
    ask(fd, API_VERSIONS, 4, &in, &a, &out);
    for (int32_t i = 0; i < out.api_keys_count; i++) {
        if (out.api_keys[i].api_key == END)
            *end_max = out.api_keys[i].max_version;
        if (out.api_keys[i].api_key == OFFSET_COMMIT)
            *commit_max = out.api_keys[i].max_version;
    }
    *level = out.finalized_features_count;
    if (out.finalized_features_count) {
        assert_true(mr_slice_eq(out.finalized_features[0].name, MR_SLICE("transaction.version")));
        *level = out.finalized_features[0].max_version_level;
        assert_true(out.finalized_features_epoch >= 0);
        assert_int_equal(out.supported_features_count, 1);
    }
    answer_fini(&a);
}

static void second(struct mr_node_config *c)
{
    assert_int_equal(mr_node_layer_set(&c->broker.node, MR_SLICE("transaction.version"), MR_SLICE("2"), NULL),
                     0);
}

static void the_second_version_is_offered_when_it_is_asked_for(void **state)
{
    (void)state;
    for (int on = 0; on < 2; on++) {
        struct site *s = site_new(on ? second : NULL);
        int fd = dial(s), level;
        int16_t end_max = -1, commit_max = -1;
        offered(fd, &end_max, &commit_max, &level);
        assert_int_equal(level, on ? 2 : 0);
        assert_int_equal(end_max, on ? 5 : 4);
        assert_int_equal(commit_max, on ? 5 : 4);
        make_topic(fd, "t", 1);
        struct who w = who_of(fd, "w");
        assert_int_equal(say(&w, 11, "t", 0, 0), ABORTABLE);
        assert_int_equal(say(&w, 12, "t", 0, 0), on ? NONE : ABORTABLE);
        (void)close(fd);
        site_free(s);
    }
}

static void in_the_second_version_writing_adds_and_each_end_raises_the_epoch(void **state)
{
    (void)state;
    enum { PIPED = 5 };
    struct site *s = site_new(second);
    int fd = dial(s);
    struct who w = who_of(fd, "w"), late;
    int64_t at;
    make_topic(fd, "t", 3);
    for (int round = 0; round < 6; round++) {
        bool commit = round % 2 == 0;
        for (int i = 0; i < PIPED; i++) /* all on their way at once: the first one adds the partition */
            say_on(&w, 12, "t", round % 3, i, 100 + i);
        for (int i = 0; i < PIPED; i++)
            assert_int_equal(said_on(&w, 12, 100 + i), NONE);
        assert_int_equal(commit_offset(&w, 5, round), NONE);
        assert_int_equal(offset(fd, true, &at), UNSTABLE);
        late = w;
        assert_int_equal(end_second(&w, commit), NONE);
        assert_int_equal(w.epoch, late.epoch + 1);
        assert_int_equal(say(&late, 12, "t", round % 3, PIPED), EPOCH);
        assert_int_equal(say(&late, 12, "t", (round + 1) % 3, 0), EPOCH);
        assert_int_equal(commit_offset(&late, 5, 77), FENCED);
        struct who again = late;
        assert_int_equal(end_second(&again, commit), NONE);
        assert_int_equal(again.epoch, w.epoch);
        assert_int_equal(end_second(&late, !commit), STATE);
        while (offset(fd, true, &at) == UNSTABLE)
            ;
        assert_int_equal(at, round - !commit);
    }
    struct seen seen = fetch(fd, "t", 0, 0, 1); /* rounds 0 and 3 */
    assert_int_equal(seen.aborted, 1);
    assert_int_equal(seen.stable, 2 * PIPED + 2);
    (void)close(fd);
    site_free(s);
}

static void who_goes_while_its_partition_is_added_disturbs_nobody(void **state)
{
    (void)state;
    struct site *s = site_new(second);
    int fd = dial(s);
    make_topic(fd, "t", 1);
    for (int i = 0; i < 20; i++) {
        int other = dial(s);
        struct who w = who_of(other, "w");
        say_on(&w, 12, "t", 0, 0, 100);
        (void)close(other);
    }
    struct who w = who_of(fd, "w");
    int16_t code;
    while ((code = say(&w, 12, "t", 0, 0)) == CONCURRENT)
        ;
    assert_int_equal(code, NONE);
    assert_int_equal(end_second(&w, true), NONE);
    (void)close(fd);
    site_free(s);
}

static void a_reader_that_waits_is_woken_by_the_commit(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s), reader = dial(s);
    struct who w = who_of(fd, "w");
    (void)state;
    make_topic(fd, "t", 1);
    assert_int_equal(add(&w, 3, "t", 0), NONE);
    assert_int_equal(say(&w, 9, "t", 0, 0), NONE);
    struct mr_fetch_request in;
    struct mr_fetch_response out;
    struct mr_fetch_request_topic t;
    struct mr_fetch_request_partition p;
    struct answer a;
    mr_fetch_request_init(&in);
    mr_fetch_request_topic_init(&t);
    mr_fetch_request_partition_init(&p);
    in.isolation_level = 1;
    in.max_wait_ms = 15000;
    in.min_bytes = 1;
    in.max_bytes = 1 << 20;
    in.session_epoch = -1;
    in.topics = &t;
    in.topics_count = 1;
    t.topic = MR_SLICE("t");
    t.partitions = &p;
    t.partitions_count = 1;
    p.partition_max_bytes = 1 << 20;
    struct mr_buf frame = frame_of(FETCH, 11, 77, &in);
    push(reader, frame.p, frame.len);
    mr_buf_fini(&frame);
    assert_int_equal(end(&w, 3, true), NONE);
    receive(reader, FETCH, 11, 77, &a, &out);
    assert_true(out.responses[0].partitions[0].records.len > 0);
    assert_int_equal(out.responses[0].partitions[0].last_stable_offset, 2);
    answer_fini(&a);
    (void)close(fd);
    (void)close(reader);
    site_free(s);
}

struct lane {
    struct mr_world *world;
    int64_t events, end;
};

static void on_fetched(void *arg, mr_code rc, struct mr_fetched *got, const char *why)
{
    struct lane *l = arg;
    if (rc)
        fail_msg("%s", why);
    l->events = 0;
    l->end = got->end_offset;
    for (size_t at = 0; at < got->bytes.len;) {
        struct mr_batch_header h;
        struct mr_slice rest = {got->bytes.p + at, got->bytes.len - at};
        assert_int_equal(mr_batch_header_read(rest, &h, NULL), MR_OK);
        if (!(h.attributes & MR_BATCH_CONTROL))
            l->events += h.count;
        at += (size_t)h.length + 12;
    }
    got->release(got->what);
    mr_real_stop(l->world);
}

static void pipelines_read_what_is_committed_and_nothing_else(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    struct who w = who_of(fd, "w");
    struct mr_topics *topics = mr_node_topics(s->node);
    (void)state;
    make_topic(fd, "t", 1);
    int64_t events[] = {0, 1, 1, 2}; /* while open; then committed, aborted, committed */
    for (int32_t i = 0; i < 4; i++) {
        if (i) {
            assert_int_equal(end_until(&w, i != 2), NONE);
            while (latest(fd, "t", 1) != 2 * i)
                ;
        }
        struct lane l = {0};
        assert_int_equal(mr_real_new(&l.world, NULL), MR_OK);
        assert_int_equal(add_until(&w, "t", 0), NONE);
        assert_int_equal(say(&w, 9, "t", 0, i), NONE);
        topics->ops->fetch(topics, l.world, MR_SLICE("t"), 0, 0, 1 << 16, 0, on_fetched, &l);
        mr_real_run(l.world);
        assert_int_equal(l.events, events[i]);
        assert_int_equal(l.end, 2 * i);
        mr_real_free(l.world);
    }
    (void)close(fd);
    site_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_of_committed_get_what_is_stable_and_the_list_of_what_was_aborted),
        cmocka_unit_test(each_version_gets_the_codes_that_it_knows),
        cmocka_unit_test(a_partition_that_does_not_exist_keeps_the_others_from_being_added),
        cmocka_unit_test(offsets_of_a_transaction_are_unstable_until_it_is_decided),
        cmocka_unit_test(tools_see_transactions_and_can_end_one_that_hangs),
        cmocka_unit_test(pipelines_read_what_is_committed_and_nothing_else),
        cmocka_unit_test(the_second_version_is_offered_when_it_is_asked_for),
        cmocka_unit_test(in_the_second_version_writing_adds_and_each_end_raises_the_epoch),
        cmocka_unit_test(who_goes_while_its_partition_is_added_disturbs_nobody),
        cmocka_unit_test(a_reader_that_waits_is_woken_by_the_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
