/* broker_test.c - topics on disk, their settings, producer ids; with stops, kills and losses of power. */
#include "broker/mill.h"

static char told[8][MR_ERR_TEXT];
static int told_count;

static void tell(void *arg, enum mr_level level, const char *text)
{
    (void)arg;
    (void)level;
    (void)snprintf(told[told_count++ % 8], MR_ERR_TEXT, "%s", text);
}

static struct mr_broker *open_broker(struct mill *m)
{
    struct mr_broker_config c;
    struct mr_broker *b = NULL;
    struct mr_err err = {0};
    mr_broker_config_init(&c);
    c.tell = tell;
    told_count = 0;
    if (mr_broker_open(m->world, "d", &c, &b, &err))
        fail_msg("%s", err.text);
    return b;
}

static enum mr_refusal create(struct mr_broker *b, const char *name, int32_t partitions, const char *setting,
                              const char *value)
{
    struct mr_err err = {0};
    struct mr_setting s = {mr_slice_of(setting), mr_slice_of(value)};
    enum mr_refusal r =
        mr_broker_create(b, mr_slice_of(name), partitions, &s, setting ? 1 : 0, false, NULL, &err);
    if (r)
        assert_true(err.text[0] != '\0');
    return r;
}

static void produce_to(struct mill *m, struct mr_broker *b, const char *topic, int32_t partition,
                       const char *tag)
{
    enum mr_refusal why;
    struct mr_err err = {0};
    struct sent s;
    struct mr_partition *p =
        mr_broker_partition(b, mr_broker_topic(b, mr_slice_of(topic)), partition, &why, &err);
    if (!p)
        fail_msg("%s", err.text);
    produce(p, &s, -1, batch_of(tag, 1, MR_CODEC_NONE, -1, -1, -1));
    settle(m);
    assert_int_equal(s.pr.refusal, MR_REFUSE_NONE);
}

static void expect_in(struct mr_broker *b, const char *topic, int32_t partition, const char *want)
{
    enum mr_refusal why;
    struct mr_partition *p =
        mr_broker_partition(b, mr_broker_topic(b, mr_slice_of(topic)), partition, &why, NULL);
    assert_non_null(p);
    expect_values(p, 0, want);
}

static void names(struct mr_broker *b, char out[256])
{
    out[0] = '\0';
    for (size_t i = 0; i < mr_broker_topic_count(b); i++) {
        const struct mr_topic *t = mr_broker_topic_at(b, i);
        size_t at = strlen(out);
        (void)snprintf(out + at, 256 - at, "%s%s:%d", at ? " " : "", t->name, t->partitions);
    }
}

static void expect_topics(struct mr_broker *b, const char *want)
{
    char got[256];
    names(b, got);
    assert_string_equal(got, want);
}

static void topics_survive_a_stop_and_a_loss_of_power(void **state)
{
    struct mill m = mill_new(1);
    uint8_t id[16];
    (void)state;
    mr_sim_faults(m.world)->lose_all = true;
    struct mr_broker *b = open_broker(&m);
    assert_int_equal(create(b, "orders", 3, "retention.ms", "5000"), MR_REFUSE_NONE);
    assert_int_equal(create(b, "a.b_c-d", -1, NULL, NULL), MR_REFUSE_NONE);
    memcpy(id, mr_broker_topic(b, MR_SLICE("orders"))->id, 16);
    produce_to(&m, b, "orders", 2, "x");
    mr_broker_close(b);
    b = open_broker(&m);
    expect_topics(b, "a.b_c-d:1 orders:3");
    produce_to(&m, b, "orders", 2, "y");
    mr_sim_crash(m.world);
    mr_broker_close(b);
    mr_sim_restart(m.world);
    b = open_broker(&m);
    expect_topics(b, "a.b_c-d:1 orders:3");
    expect_in(b, "orders", 2, "x/0 y/0");
    const struct mr_topic *t = mr_broker_topic_by_id(b, id);
    assert_non_null(t);
    assert_string_equal(t->name, "orders");
    assert_int_equal(t->config.log.retention_ms, 5000);
    if (told_count)
        fail_msg("told: %s", told[0]);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static struct name_row {
    const char *name;
    enum mr_refusal want;
} name_rows[] = {
    {"ok", MR_REFUSE_NONE},           {"A.b_C-9", MR_REFUSE_NONE},
    {"..a", MR_REFUSE_NONE},          {"", MR_REFUSE_INVALID_TOPIC},
    {".", MR_REFUSE_INVALID_TOPIC},   {"..", MR_REFUSE_INVALID_TOPIC},
    {"a/b", MR_REFUSE_INVALID_TOPIC}, {"../up", MR_REFUSE_INVALID_TOPIC},
    {"a b", MR_REFUSE_INVALID_TOPIC}, {"caf\xc3\xa9", MR_REFUSE_INVALID_TOPIC},
};

static void topic_names_follow_kafkas_rules(void **state)
{
    char name[300];
    struct mr_err err;
    (void)state;
    for (size_t i = 0; i < sizeof name_rows / sizeof name_rows[0]; i++)
        if (mr_topic_name_check(mr_slice_of(name_rows[i].name), &err) != name_rows[i].want)
            fail_msg("topic name '%s' should be answered with %d", name_rows[i].name, name_rows[i].want);
    memset(name, 'x', sizeof name);
    assert_int_equal(mr_topic_name_check((struct mr_slice){name, 249}, &err), MR_REFUSE_NONE);
    assert_int_equal(mr_topic_name_check((struct mr_slice){name, 250}, &err), MR_REFUSE_INVALID_TOPIC);
    assert_int_equal(mr_topic_name_check((struct mr_slice){"a\0b", 3}, &err), MR_REFUSE_INVALID_TOPIC);
}

static void the_longest_topic_name_can_be_made_and_found_again(void **state)
{
    struct mill m = mill_new(2);
    char name[250];
    (void)state;
    memset(name, 'n', 249);
    name[249] = '\0';
    struct mr_broker *b = open_broker(&m);
    assert_int_equal(create(b, name, 1, NULL, NULL), MR_REFUSE_NONE);
    produce_to(&m, b, name, 0, "v");
    mr_broker_close(b);
    b = open_broker(&m);
    expect_in(b, name, 0, "v/0");
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void wrong_topics_are_refused_with_kafkas_codes(void **state)
{
    struct mill m = mill_new(3);
    struct mr_broker *b = open_broker(&m);
    (void)state;
    assert_int_equal(create(b, "t", 1, NULL, NULL), MR_REFUSE_NONE);
    assert_int_equal(create(b, "t", 1, NULL, NULL), MR_REFUSE_TOPIC_EXISTS);
    assert_int_equal(create(b, "u", 0, NULL, NULL), MR_REFUSE_INVALID_PARTITIONS);
    assert_int_equal(create(b, "u", MR_TOPIC_PARTITIONS_MAX + 1, NULL, NULL), MR_REFUSE_INVALID_PARTITIONS);
    assert_int_equal(create(b, "u", 10000, NULL, NULL), MR_REFUSE_POLICY); /* partitions_max of the node */
    assert_int_equal(create(b, "u", 1, "retention.mss", "1"), MR_REFUSE_INVALID_CONFIG);
    assert_int_equal(create(b, "u", 1, "retention.ms", "soon"), MR_REFUSE_INVALID_CONFIG);
    assert_int_equal(create(b, "u", 1, "cleanup.policy", "shrink"), MR_REFUSE_INVALID_CONFIG);
    assert_int_equal(create(b, "u", 1, "min.insync.replicas", "0"), MR_REFUSE_INVALID_CONFIG);
    expect_topics(b, "t:1");
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void checking_alone_makes_nothing(void **state)
{
    struct mill m = mill_new(4);
    struct mr_broker *b = open_broker(&m);
    struct mr_err err;
    (void)state;
    assert_int_equal(mr_broker_create(b, MR_SLICE("t"), 1, NULL, 0, true, NULL, &err), MR_REFUSE_NONE);
    expect_topics(b, "");
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void describe_says_what_was_given_and_what_holds(void **state)
{
    struct mill m = mill_new(5);
    struct mr_broker *b = open_broker(&m);
    struct mr_setting_row row;
    int given = 0, seen = 0;
    (void)state;
    assert_int_equal(create(b, "t", 1, "durability", "page_cache"), MR_REFUSE_NONE);
    const struct mr_topic *t = mr_broker_topic(b, MR_SLICE("t"));
    assert_false(t->config.durable);
    for (size_t i = 0; mr_topic_setting(t, i, &row); i++) {
        given += row.given;
        if (!strcmp(row.name, "durability")) {
            seen++;
            assert_true(row.given);
            assert_string_equal(row.value, "page_cache");
        }
        if (!strcmp(row.name, "segment.bytes")) {
            seen++;
            assert_false(row.given);
            assert_string_equal(row.value, "1073741824");
        }
    }
    assert_int_equal(given, 1);
    assert_int_equal(seen, 2);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static enum mr_refusal alter(struct mr_broker *b, const char *setting, const char *value, bool replace)
{
    struct mr_err err = {0};
    struct mr_setting s = {mr_slice_of(setting), mr_slice_of(value)};
    return mr_broker_alter(b, MR_SLICE("t"), &s, 1, replace, false, &err);
}

static void settings_change_at_once_and_stay_changed(void **state)
{
    struct mill m = mill_new(13);
    struct mr_broker *b = open_broker(&m);
    struct sent s;
    enum mr_refusal why;
    (void)state;
    assert_int_equal(create(b, "t", 1, "segment.bytes", "5000"), MR_REFUSE_NONE);
    const struct mr_topic *t = mr_broker_topic(b, MR_SLICE("t"));
    struct mr_partition *p = mr_broker_partition(b, t, 0, &why, NULL);
    assert_int_equal(alter(b, "durability", "page_cache", false), MR_REFUSE_NONE);
    produce(p, &s, -1, batch_of("a", 2, MR_CODEC_NONE, -1, -1, -1));
    assert_true(s.settled);
    assert_int_equal(mr_partition_high(p), 2);
    assert_int_equal(alter(b, "durability", "fsync", false), MR_REFUSE_NONE);
    produce(p, &s, -1, batch_of("b", 1, MR_CODEC_NONE, -1, -1, -1));
    assert_false(s.settled);
    assert_int_equal(mr_partition_high(p), 2); /* what was seen stays seen */
    settle(&m);
    assert_true(s.settled);
    assert_int_equal(alter(b, "max.message.bytes", "70", false), MR_REFUSE_NONE);
    produce(p, &s, -1, batch_of("c", 9, MR_CODEC_NONE, -1, -1, -1));
    assert_int_equal(s.pr.refusal, MR_REFUSE_TOO_LARGE);
    assert_int_equal(alter(b, "max.message.bytes", "many", false), MR_REFUSE_INVALID_CONFIG);
    assert_int_equal(alter(b, "no.such", NULL, false), MR_REFUSE_INVALID_CONFIG);
    mr_broker_close(b);
    b = open_broker(&m);
    t = mr_broker_topic(b, MR_SLICE("t"));
    assert_int_equal(t->config.log.max_batch_bytes, 70);
    assert_int_equal(t->config.log.segment_bytes, 5000);
    assert_int_equal(alter(b, "max.message.bytes", NULL, false), MR_REFUSE_NONE);
    assert_int_equal(t->config.log.max_batch_bytes, 1048588);
    assert_int_equal(alter(b, "retention.ms", "7", true), MR_REFUSE_NONE);
    assert_int_equal(t->config.log.segment_bytes, 1 << 30); /* not named: back to the default */
    assert_int_equal(t->config.log.retention_ms, 7);
    mr_sim_faults(m.world)->fail_sync = 1; /* a change that cannot be kept did not happen */
    assert_int_equal(alter(b, "retention.ms", "8", false), MR_REFUSE_STORAGE);
    assert_int_equal(t->config.log.retention_ms, 7);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void a_topic_grows_and_keeps_what_it_has(void **state)
{
    struct mill m = mill_new(14);
    struct mr_broker *b = open_broker(&m);
    struct mr_err err;
    (void)state;
    assert_int_equal(create(b, "t", 2, NULL, NULL), MR_REFUSE_NONE);
    produce_to(&m, b, "t", 1, "a");
    assert_int_equal(mr_broker_grow(b, MR_SLICE("t"), 2, false, &err), MR_REFUSE_INVALID_PARTITIONS);
    assert_int_equal(create(b, "u", 1, NULL, NULL), MR_REFUSE_NONE); /* with it there would be one too many */
    assert_int_equal(mr_broker_grow(b, MR_SLICE("t"), 10000, false, &err), MR_REFUSE_POLICY);
    assert_int_equal(mr_broker_delete(b, MR_SLICE("u"), &err), MR_REFUSE_NONE);
    assert_int_equal(mr_broker_grow(b, MR_SLICE("t"), 4, true, &err), MR_REFUSE_NONE);
    expect_topics(b, "t:2");
    assert_int_equal(mr_broker_grow(b, MR_SLICE("t"), 4, false, &err), MR_REFUSE_NONE);
    produce_to(&m, b, "t", 3, "b");
    mr_broker_close(b);
    b = open_broker(&m);
    expect_topics(b, "t:4");
    expect_in(b, "t", 1, "a/0");
    expect_in(b, "t", 3, "b/0");
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void a_deleted_topic_is_gone_and_its_successor_is_empty(void **state)
{
    struct mill m = mill_new(6);
    struct mr_broker *b = open_broker(&m);
    struct mr_err err;
    uint8_t id[16];
    (void)state;
    assert_int_equal(create(b, "t", 2, NULL, NULL), MR_REFUSE_NONE);
    memcpy(id, mr_broker_topic(b, MR_SLICE("t"))->id, 16);
    produce_to(&m, b, "t", 0, "old");
    mr_broker_close(b);
    b = open_broker(&m); /* partition 0 exists on disk but is not open, partition 1 is neither */
    assert_int_equal(mr_broker_delete(b, MR_SLICE("t"), &err), MR_REFUSE_NONE);
    assert_int_equal(mr_broker_delete(b, MR_SLICE("t"), &err), MR_REFUSE_UNKNOWN_TOPIC);
    assert_null(mr_broker_topic_by_id(b, id));
    assert_int_equal(create(b, "t", 1, NULL, NULL), MR_REFUSE_NONE);
    assert_memory_not_equal(mr_broker_topic(b, MR_SLICE("t"))->id, id, 16);
    expect_in(b, "t", 0, "");
    produce_to(&m, b, "t", 0, "new");
    expect_in(b, "t", 0, "new/0");
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

/* Creating and deleting, cut short at every operation: afterwards the topic is there whole, or gone whole. */
static void crash_at_any_operation(bool keep_all)
{
    int crashes = 0;
    for (uint64_t k = 1; k < 40; k++) { /* delete and create take about 18 operations */
        struct mill m = mill_new(k);
        mr_sim_faults(m.world)->keep_all = keep_all;
        struct mr_err err;
        struct mr_broker *b = open_broker(&m);
        assert_int_equal(create(b, "stays", 1, NULL, NULL), MR_REFUSE_NONE);
        produce_to(&m, b, "stays", 0, "s");
        assert_int_equal(create(b, "goes", 2, NULL, NULL), MR_REFUSE_NONE);
        produce_to(&m, b, "goes", 1, "g");
        mr_sim_faults(m.world)->crash_at = k;
        bool deleted = mr_broker_delete(b, MR_SLICE("goes"), &err) == MR_REFUSE_NONE;
        bool created = create(b, "comes", 1, NULL, NULL) == MR_REFUSE_NONE;
        bool crashed = mr_sim_is_down(m.world);
        if (!crashed)
            mr_sim_crash(m.world);
        mr_broker_close(b);
        mr_sim_faults(m.world)->crash_at = 0;
        mr_sim_restart(m.world);
        b = open_broker(&m);
        expect_in(b, "stays", 0, "s/0");
        if (mr_broker_topic(b, MR_SLICE("goes"))) {
            assert_false(deleted && !crashed);
            expect_in(b, "goes", 1, "g/0");
        }
        if (created)
            assert_non_null(mr_broker_topic(b, MR_SLICE("comes")));
        /* whatever happened, the name can be used again */
        if (!mr_broker_topic(b, MR_SLICE("goes")))
            assert_int_equal(create(b, "goes", 2, NULL, NULL), MR_REFUSE_NONE);
        mr_broker_close(b);
        mr_sim_free(m.sim);
        crashes += crashed;
    }
    assert_in_range(crashes, 10, 30);
}

static void a_crash_at_any_operation_leaves_topics_whole_or_gone(void **state)
{
    (void)state;
    crash_at_any_operation(false);
    crash_at_any_operation(true); /* as kill -9 would: what was done halfway stays done halfway */
}

static void a_damaged_topic_file_stops_the_start_with_its_name(void **state)
{
    struct mill m = mill_new(8);
    struct mr_broker_config c;
    struct mr_err err = {0};
    char path[128] = "d/topics/";
    (void)state;
    struct mr_broker *b = open_broker(&m);
    assert_int_equal(create(b, "t", 1, NULL, NULL), MR_REFUSE_NONE);
    const uint8_t *id = mr_broker_topic(b, MR_SLICE("t"))->id;
    for (int i = 0; i < 16; i++)
        (void)snprintf(path + strlen(path), 3, "%02x", id[i]);
    (void)strcat(path, ".topic");
    mr_broker_close(b);
    assert_true(mr_sim_flip(m.world, path, 20, 2));
    mr_broker_config_init(&c);
    assert_int_equal(mr_broker_open(m.world, "d", &c, &b, &err), MR_CORRUPT);
    assert_non_null(strstr(err.text, path));
    mr_sim_free(m.sim);
}

static void data_without_its_topic_is_reported_and_never_adopted(void **state)
{
    struct mill m = mill_new(9);
    (void)state;
    assert_int_equal(mr_mkdir_all(m.world, "d/topics/lost-0", NULL), MR_OK);
    struct mr_broker *b = open_broker(&m);
    assert_int_equal(told_count, 1);
    assert_non_null(strstr(told[0], "lost-0"));
    assert_int_equal(create(b, "lost", 1, NULL, NULL), MR_REFUSE_TOPIC_EXISTS);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void producer_ids_are_never_given_twice(void **state)
{
    struct mill m = mill_new(10);
    int64_t last = -1, id;
    struct mr_err err;
    (void)state;
    mr_sim_faults(m.world)->lose_all = true;
    for (int life = 0; life < 4; life++) {
        struct mr_broker *b = open_broker(&m);
        for (int i = 0; i < 700; i++) {
            assert_int_equal(mr_broker_producer_id(b, &id, &err), MR_OK);
            assert_true(id > last);
            last = id;
        }
        if (life % 2)
            mr_sim_crash(m.world);
        mr_broker_close(b);
        if (life % 2)
            mr_sim_restart(m.world);
    }
    mr_sim_free(m.sim);
}

static void no_producer_id_without_a_durable_block(void **state)
{
    struct mill m = mill_new(11);
    int64_t id;
    struct mr_err err;
    (void)state;
    struct mr_broker *b = open_broker(&m);
    mr_sim_faults(m.world)->fail_sync = 1;
    assert_int_equal(mr_broker_producer_id(b, &id, &err), MR_IO);
    assert_int_equal(mr_broker_producer_id(b, &id, &err), MR_OK);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void retention_reaches_partitions_that_nobody_uses(void **state)
{
    struct mill m = mill_new(12);
    enum mr_refusal why;
    (void)state;
    struct mr_broker *b = open_broker(&m);
    assert_int_equal(create(b, "t", 1, "retention.bytes", "0"), MR_REFUSE_NONE);
    assert_int_equal(create(b, "keep", 1, NULL, NULL), MR_REFUSE_NONE);
    produce_to(&m, b, "t", 0, "a");
    produce_to(&m, b, "keep", 0, "k");
    mr_broker_close(b);
    mr_sim_wall_jump(m.world, (mr_ns)8 * 24 * 3600 * 1000000000); /* segments are old enough to roll */
    b = open_broker(&m);
    mr_sim_run_until(m.sim, mr_sim_now(m.sim) + 130000); /* two ticks */
    struct mr_partition *p = mr_broker_partition(b, mr_broker_topic(b, MR_SLICE("t")), 0, &why, NULL);
    assert_non_null(p);
    assert_int_equal(mr_partition_start(p), 1);
    assert_int_equal(mr_partition_high(p), 1);
    produce_to(&m, b, "t", 0, "b");
    assert_int_equal(mr_partition_end(p), 2); /* offsets go on */
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

/* Opening and creating, then producing, each with the n-th allocation failing. Between the two all is well:
 * the log makes what it needs for its first sync. False: n was beyond the last one. */
static bool one_allocation_fails(uint64_t n)
{
    struct mill m = mill_new(20);
    struct mr_broker_config c;
    struct mr_broker *b = NULL;
    struct mr_err err = {0};
    enum mr_refusal why;
    int acked = 0;
    bool felt = true;
    struct mr_buf batch[3] = {batch_of("a", 1, MR_CODEC_NONE, 3, 0, 0),
                              batch_of("b", 1, MR_CODEC_LZ4, 4, 0, 0),
                              batch_of("c", 1, MR_CODEC_NONE, 4, 0, 1)};
    mr_broker_config_init(&c);
    mr_alloc_fail_at(n);
    if (mr_broker_open(m.world, "d", &c, &b, &err) == MR_OK) {
        (void)mr_broker_create(b, MR_SLICE("t"), 2, NULL, 0, false, NULL, &err);
        const struct mr_topic *t = mr_broker_topic(b, MR_SLICE("t"));
        struct mr_partition *p = t ? mr_broker_partition(b, t, 0, &why, &err) : NULL;
        mr_alloc_fail_at(0);
        felt = !p;
        for (int i = 0; p && i < 3; i++) {
            struct sent s = {.pr = {.acks = -1, .done = on_sent}};
            if (i == 1)
                mr_alloc_fail_at(n);
            if (mr_partition_produce(p, batch[i].p, batch[i].len, &s.pr))
                s.settled = true;
            settle(&m);
            if (!s.settled)
                fail_msg("allocation %llu failed and a producer waits for ever", (unsigned long long)n);
            felt = felt || s.pr.refusal;
            if (s.pr.refusal)
                break;
            acked++;
        }
        mr_broker_close(b);
    }
    mr_alloc_fail_at(0);
    for (int i = 0; i < 3; i++)
        mr_buf_fini(&batch[i]);
    b = open_broker(&m);
    if (acked) {
        struct mr_partition *p = mr_broker_partition(b, mr_broker_topic(b, MR_SLICE("t")), 0, &why, &err);
        struct mr_buf got = values_from(p, 0);
        static const char *const want[] = {"", "a/0", "a/0 b/0", "a/0 b/0 c/0"};
        assert_int_equal(strncmp(got.p, want[acked], strlen(want[acked])), 0); /* refused ones may be there */
        mr_buf_fini(&got);
    }
    mr_broker_close(b);
    mr_sim_free(m.sim);
    return felt;
}

static void any_single_failed_allocation_is_survived(void **state)
{
    int failures = 0;
    (void)state;
    for (uint64_t n = 1; n < 120; n++)
        failures += one_allocation_fails(n);
    assert_in_range(failures, 10, 118); /* many were felt, and in the end all went well */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_survive_a_stop_and_a_loss_of_power),
        cmocka_unit_test(topic_names_follow_kafkas_rules),
        cmocka_unit_test(the_longest_topic_name_can_be_made_and_found_again),
        cmocka_unit_test(wrong_topics_are_refused_with_kafkas_codes),
        cmocka_unit_test(checking_alone_makes_nothing),
        cmocka_unit_test(describe_says_what_was_given_and_what_holds),
        cmocka_unit_test(settings_change_at_once_and_stay_changed),
        cmocka_unit_test(a_topic_grows_and_keeps_what_it_has),
        cmocka_unit_test(a_deleted_topic_is_gone_and_its_successor_is_empty),
        cmocka_unit_test(a_crash_at_any_operation_leaves_topics_whole_or_gone),
        cmocka_unit_test(a_damaged_topic_file_stops_the_start_with_its_name),
        cmocka_unit_test(data_without_its_topic_is_reported_and_never_adopted),
        cmocka_unit_test(producer_ids_are_never_given_twice),
        cmocka_unit_test(no_producer_id_without_a_durable_block),
        cmocka_unit_test(any_single_failed_allocation_is_survived),
        cmocka_unit_test(retention_reaches_partitions_that_nobody_uses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
