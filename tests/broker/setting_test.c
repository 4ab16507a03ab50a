/* setting_test.c - every topic setting by its name: its bounds, its default, and what it does to a topic that
 * is in use, without a restart. */
#include "broker/mill.h"

#include "base/arena.h"

static struct mr_broker *open_with(struct mill *m, mr_ms tick_ms)
{
    struct mr_broker_config c;
    struct mr_broker *b = NULL;
    struct mr_err err = {0};
    mr_broker_config_init(&c);
    c.tick_ms = tick_ms;
    if (mr_broker_open(m->world, "d", &c, &b, &err))
        fail_msg("%s", err.text);
    return b;
}

static struct mr_partition *topic(struct mr_broker *b, const char *name)
{
    struct mr_err err = {0};
    enum mr_refusal why;
    const struct mr_topic *t = mr_broker_topic(b, mr_slice_of(name));
    if (!t && mr_broker_create(b, mr_slice_of(name), 1, NULL, 0, false, &t, &err))
        fail_msg("%s", err.text);
    return mr_broker_partition(b, t, 0, &why, NULL);
}

static enum mr_refusal set(struct mr_broker *b, const char *name, const char *value, struct mr_err *err)
{
    struct mr_setting s = {mr_slice_of(name), mr_slice_of(value)};
    return mr_broker_alter(b, MR_SLICE("t"), &s, 1, false, false, err);
}

static void must_set(struct mr_broker *b, const char *name, const char *value)
{
    struct mr_err err = {0};
    if (set(b, name, value, &err))
        fail_msg("%s=%s: %s", name, value, err.text);
}

static const char *value_of(struct mr_broker *b, const char *name, struct mr_setting_row *row)
{
    const struct mr_topic *t = mr_broker_topic(b, MR_SLICE("t"));
    for (size_t i = 0; mr_topic_setting(t, i, row); i++)
        if (strcmp(row->name, name) == 0)
            return row->value;
    fail_msg("no setting %s", name);
    return NULL;
}

/* One batch, one record a pair; value NULL: a tombstone; key NULL: none. */
static struct mr_buf keyed(const char *key, const char *value, size_t pad, int64_t timestamp,
                           enum mr_codec codec)
{
    static char big[70000];
    struct mr_buf out = {0};
    struct mr_record_build b;
    struct mr_err err = {0};
    memset(big, '.', sizeof big);
    if (value)
        memcpy(big, value, strlen(value));
    struct mr_slice k = mr_slice_of(key), v = {big, value ? strlen(value) + pad : 0};
    mr_record_build_begin(&b, &out);
    assert_true(mr_record_build_add(&b, timestamp, key ? &k : NULL, value ? &v : NULL, NULL, 0));
    assert_int_equal(mr_record_build_end(&b, codec, -1, -1, -1, &err), MR_OK);
    return out;
}

static enum mr_refusal put(struct mill *m, struct mr_partition *p, struct mr_buf batch)
{
    struct sent s;
    produce(p, &s, -1, batch);
    settle(m);
    return s.pr.refusal;
}

static int64_t now_ms(struct mill *m)
{
    return mr_wall(m->world) / 1000000;
}

/* Records that readers see, and the codec of the first batch. */
static int count_records(struct mr_partition *p, enum mr_codec *codec)
{
    struct mr_buf scratch = {0};
    struct mr_err err = {0};
    int64_t offset = mr_partition_start(p);
    int n = 0;
    while (offset < mr_partition_high(p)) {
        struct mr_log_view view;
        size_t got;
        assert_int_equal(mr_partition_find(p, offset, 1 << 20, &view, &err), MR_REFUSE_NONE);
        assert_true(view.len > 0);
        char *bytes = mr_need(view.len);
        assert_int_equal(mr_file_read(view.file, bytes, view.len, view.at, &got, &err), MR_OK);
        for (size_t at = 0; at < got;) {
            struct mr_record_walk walk;
            struct mr_record r;
            assert_int_equal(
                mr_record_walk_begin(&walk, (struct mr_slice){bytes + at, got - at}, &scratch, 1 << 20, &err),
                MR_OK);
            if (codec && offset == mr_partition_start(p))
                *codec = (enum mr_codec)(walk.head.attributes & MR_BATCH_CODEC);
            while (mr_record_walk_next(&walk, &r, &err) == MR_OK)
                n++;
            offset = walk.head.base_offset + walk.head.last_offset_delta + 1;
            at += (size_t)walk.head.length + 12;
        }
        mr_free(bytes);
    }
    mr_buf_fini(&scratch);
    return n;
}

static void every_setting_keeps_to_its_bounds(void **state)
{
    static const struct {
        const char *name, *good, *other, *bad;
        int type;
    } cases[] = {
        {"cleanup.policy", "compact,delete", "", "compress", 7},
        {"compression.gzip.level", "9", "-1", "10", 3},
        {"compression.lz4.level", "17", "1", "0", 3},
        {"compression.type", "zstd", "uncompressed", "brotli", 2},
        {"compression.zstd.level", "-131072", "22", "23", 3},
        {"delete.retention.ms", "0", "9223372036854775807", "-1", 5},
        {"durability", "page_cache", "fsync", "none", 2},
        {"file.delete.delay.ms", "0", "60000", "-1", 5},
        {"flush.messages", "1", "10", "0", 5},
        {"flush.ms", "0", "10", "-1", 5},
        {"follower.replication.throttled.replicas", "", "", "0:1", 7},
        {"index.interval.bytes", "0", "2147483647", "2147483648", 3},
        {"leader.replication.throttled.replicas", "", "", "*", 7},
        {"local.retention.bytes", "-2", "-2", "5", 5},
        {"local.retention.ms", "-2", "-2", "5", 5},
        {"max.compaction.lag.ms", "1", "9223372036854775807", "0", 5},
        {"max.message.bytes", "0", "268435456", "268435457", 3},
        {"message.timestamp.after.max.ms", "0", "9223372036854775807", "-1", 5},
        {"message.timestamp.before.max.ms", "0", "9223372036854775807", "soon", 5},
        {"message.timestamp.type", "LogAppendTime", "CreateTime", "createtime", 2},
        {"min.cleanable.dirty.ratio", "0.25", "1.0", "1.1", 6},
        {"min.compaction.lag.ms", "1", "0", "-1", 5},
        {"min.insync.replicas", "2", "1", "0", 3},
        {"preallocate", "false", "false", "true", 1},
        {"remote.log.copy.disable", "false", "false", "true", 1},
        {"remote.log.delete.on.disable", "false", "false", "true", 1},
        {"remote.storage.enable", "false", "false", "true", 1},
        {"retention.bytes", "-1", "1", "-2", 5},
        {"retention.ms", "-1", "1", "-2", 5},
        {"segment.bytes", "4096", "2147483647", "4095", 3},
        {"segment.index.bytes", "64", "10485760", "63", 3},
        {"segment.jitter.ms", "0", "9223372036854775807", "-1", 5},
        {"segment.ms", "1", "9223372036854775807", "0", 5},
        {"unclean.leader.election.enable", "true", "false", "maybe", 1},
    };
    struct mill m = mill_new(1);
    struct mr_broker *b = open_with(&m, 0);
    struct mr_setting_row row;
    size_t rows = 0;
    (void)state;
    (void)topic(b, "t");
    const struct mr_topic *t = mr_broker_topic(b, MR_SLICE("t"));
    while (mr_topic_setting(t, rows, &row))
        rows++;
    assert_int_equal(rows, sizeof cases / sizeof cases[0]);
    for (size_t i = 0; i < rows; i++) {
        struct mr_err err = {0};
        char standard[MR_TOPIC_SETTING_MAX];
        (void)snprintf(standard, sizeof standard, "%s", value_of(b, cases[i].name, &row));
        assert_string_equal(row.standard, standard);
        assert_false(row.given || row.sensitive);
        assert_int_equal(row.type, cases[i].type);
        assert_true(strlen(row.help) > 20);
        for (int k = 0; k < 2; k++) {
            const char *v = k ? cases[i].other : cases[i].good;
            must_set(b, cases[i].name, v);
            assert_string_equal(value_of(b, cases[i].name, &row), v);
            assert_true(row.given);
            assert_string_equal(row.standard, standard);
        }
        assert_int_equal(set(b, cases[i].name, cases[i].bad, &err), MR_REFUSE_INVALID_CONFIG);
        assert_non_null(strstr(err.text, cases[i].name)); /* what was refused */
        assert_non_null(strstr(err.text, cases[i].bad));
        assert_string_equal(value_of(b, cases[i].name, &row), cases[i].other);
        must_set(b, cases[i].name, cases[i].good);
    }
    mr_broker_close(b); /* and all of them come back */
    b = open_with(&m, 0);
    for (size_t i = 0; i < rows; i++) {
        assert_string_equal(value_of(b, cases[i].name, &row), cases[i].good);
        assert_true(row.given);
        must_set(b, cases[i].name, NULL);
        assert_string_equal(value_of(b, cases[i].name, &row), row.standard);
        assert_false(row.given);
    }
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void what_is_not_known_gets_the_nearest_name(void **state)
{
    struct mill m = mill_new(2);
    struct mr_broker *b = open_with(&m, 0);
    struct mr_err err = {0};
    (void)state;
    (void)topic(b, "t");
    assert_int_equal(set(b, "cleanup.polcy", "delete", &err), MR_REFUSE_INVALID_CONFIG);
    assert_non_null(strstr(err.text, "'cleanup.policy'"));
    must_set(b, "min.compaction.lag.ms", "100");
    assert_int_equal(set(b, "max.compaction.lag.ms", "99", &err), MR_REFUSE_INVALID_CONFIG);
    assert_non_null(strstr(err.text, "min.compaction.lag.ms"));
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void operations_change_lists_word_by_word_and_all_or_none(void **state)
{
    struct mill m = mill_new(3);
    struct mr_broker *b = open_with(&m, 0);
    struct mr_err err = {0};
    struct mr_setting_row row;
    (void)state;
    (void)topic(b, "t");
    struct mr_setting_change add[] = {{MR_SLICE("cleanup.policy"), MR_SLICE("compact"), MR_SETTING_APPEND},
                                      {MR_SLICE("retention.ms"), MR_SLICE("5"), MR_SETTING_SET}};
    assert_int_equal(mr_broker_change(b, MR_SLICE("t"), add, 2, true, &err), MR_REFUSE_NONE);
    assert_string_equal(value_of(b, "cleanup.policy", &row), "delete"); /* it was only asked */
    assert_int_equal(mr_broker_change(b, MR_SLICE("t"), add, 2, false, &err), MR_REFUSE_NONE);
    assert_string_equal(value_of(b, "cleanup.policy", &row), "compact,delete");
    assert_string_equal(value_of(b, "retention.ms", &row), "5");
    struct mr_setting_change take[] = {{MR_SLICE("cleanup.policy"), MR_SLICE("delete"), MR_SETTING_SUBTRACT},
                                       {MR_SLICE("retention.ms"), {0}, MR_SETTING_DELETE}};
    assert_int_equal(mr_broker_change(b, MR_SLICE("t"), take, 2, false, &err), MR_REFUSE_NONE);
    assert_string_equal(value_of(b, "cleanup.policy", &row), "compact");
    assert_string_equal(value_of(b, "retention.ms", &row), row.standard);
    struct mr_setting_change half[] = {{MR_SLICE("retention.ms"), MR_SLICE("6"), MR_SETTING_SET},
                                       {MR_SLICE("segment.ms"), MR_SLICE("7"), MR_SETTING_APPEND}};
    assert_int_equal(mr_broker_change(b, MR_SLICE("t"), half, 2, false, &err), MR_REFUSE_INVALID_CONFIG);
    assert_non_null(strstr(err.text, "no list"));
    assert_string_equal(value_of(b, "retention.ms", &row), row.standard);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void a_compacted_topic_takes_no_record_without_a_key(void **state)
{
    struct mill m = mill_new(4);
    struct mr_broker *b = open_with(&m, 0);
    struct sent s;
    (void)state;
    struct mr_partition *p = topic(b, "t");
    assert_int_equal(put(&m, p, keyed(NULL, "a", 0, now_ms(&m), MR_CODEC_NONE)), MR_REFUSE_NONE);
    must_set(b, "cleanup.policy", "compact");
    produce(p, &s, -1, keyed(NULL, "a", 0, now_ms(&m), MR_CODEC_LZ4));
    assert_true(s.settled);
    assert_int_equal(s.pr.refusal, MR_REFUSE_INVALID_RECORD);
    assert_non_null(strstr(s.pr.why, "key"));
    struct mr_buf own = keyed(NULL, "a", 0, now_ms(&m), MR_CODEC_NONE); /* nor from inside */
    s = (struct sent){.pr = {.acks = -1, .trusted = true, .done = on_sent}};
    assert_true(mr_partition_produce(p, own.p, own.len, &s.pr));
    assert_int_equal(s.pr.refusal, MR_REFUSE_INVALID_RECORD);
    mr_buf_fini(&own);
    assert_int_equal(put(&m, p, keyed("k", "a", 0, now_ms(&m), MR_CODEC_LZ4)), MR_REFUSE_NONE);
    assert_int_equal(put(&m, p, keyed("", NULL, 0, now_ms(&m), MR_CODEC_NONE)), MR_REFUSE_NONE);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void timestamps_are_held_to_their_limits(void **state)
{
    struct mill m = mill_new(5);
    struct mr_broker *b = open_with(&m, 0);
    (void)state;
    struct mr_partition *p = topic(b, "t");
    int64_t now = now_ms(&m);
    assert_int_equal(put(&m, p, keyed("k", "a", 0, now + 3500000, MR_CODEC_NONE)), MR_REFUSE_NONE);
    assert_int_equal(put(&m, p, keyed("k", "a", 0, now + 3700000, MR_CODEC_NONE)),
                     MR_REFUSE_INVALID_TIMESTAMP);
    assert_int_equal(put(&m, p, keyed("k", "a", 0, 1, MR_CODEC_NONE)), MR_REFUSE_NONE);
    must_set(b, "message.timestamp.after.max.ms", "9223372036854775807");
    assert_int_equal(put(&m, p, keyed("k", "a", 0, now + 3700000, MR_CODEC_NONE)), MR_REFUSE_NONE);
    must_set(b, "message.timestamp.before.max.ms", "60000");
    now = now_ms(&m);
    assert_int_equal(put(&m, p, keyed("k", "a", 0, now - 61000, MR_CODEC_NONE)), MR_REFUSE_INVALID_TIMESTAMP);
    assert_int_equal(put(&m, p, keyed("k", "a", 0, now - 50000, MR_CODEC_NONE)), MR_REFUSE_NONE);
    assert_int_equal(put(&m, p, keyed("k", "a", 0, -1, MR_CODEC_NONE)), MR_REFUSE_NONE); /* it has none */
    must_set(b, "message.timestamp.type", "LogAppendTime");
    assert_int_equal(put(&m, p, keyed("k", "a", 0, 1, MR_CODEC_NONE)), MR_REFUSE_NONE);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void a_topic_compresses_anew_what_comes_in_another_codec(void **state)
{
    static const char *const names[] = {"uncompressed", "gzip", "snappy", "lz4", "zstd"};
    struct mill m = mill_new(6);
    struct mr_broker *b = open_with(&m, 0);
    (void)state;
    for (int in = 0; in < 5; in++)
        for (int out = 0; out < 5; out++) {
            enum mr_codec codec = MR_CODEC_NONE;
            struct mr_partition *p = topic(b, "t");
            must_set(b, "compression.type", names[out]);
            struct mr_buf batch = keyed("k", "a", 5000, 1000, (enum mr_codec)in);
            assert_int_equal(put(&m, p, batch), MR_REFUSE_NONE);
            assert_int_equal(count_records(p, &codec), 1);
            assert_int_equal(codec, out);
            assert_true(out == 0 ? mr_partition_bytes(p) > 5000 : mr_partition_bytes(p) < 500);
            assert_int_equal(mr_broker_delete(b, MR_SLICE("t"), NULL), MR_REFUSE_NONE);
        }
    struct mr_partition *p = topic(b, "t"); /* the limit is for what is stored */
    must_set(b, "max.message.bytes", "1000");
    must_set(b, "compression.type", "uncompressed");
    assert_int_equal(put(&m, p, keyed("k", "a", 5000, 1000, MR_CODEC_ZSTD)), MR_REFUSE_TOO_LARGE);
    must_set(b, "compression.type", "producer");
    assert_int_equal(put(&m, p, keyed("k", "a", 5000, 1000, MR_CODEC_ZSTD)), MR_REFUSE_NONE);
    /* an idempotent batch keeps its producer and sequence, so that a repetition is known */
    must_set(b, "compression.type", "gzip");
    struct sent s;
    produce(p, &s, -1, batch_of("x", 9, MR_CODEC_NONE, 7, 0, 0));
    settle(&m);
    assert_int_equal(s.pr.refusal, MR_REFUSE_NONE);
    int64_t base = s.pr.base_offset, end = mr_partition_end(p);
    produce(p, &s, -1, batch_of("x", 9, MR_CODEC_NONE, 7, 0, 0));
    settle(&m);
    assert_int_equal(s.pr.base_offset, base);
    assert_int_equal(mr_partition_end(p), end);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

/* Bytes that a batch of words takes at that level. */
static int64_t stored_at(struct mill *m, struct mr_broker *b, const char *codec, const char *level)
{
    static const char *const words[] = {"mill ", "race ", "water ", "wheel ", "stone ", "sluice ", "weir "};
    char name[40], text[30000];
    struct mr_slice v = {text, 0};
    uint32_t x = 1;
    while (v.len < sizeof text - 8) {
        x = x * 1664525u + 1013904223u;
        const char *w = words[(x >> 24) % 7];
        memcpy(text + v.len, w, strlen(w));
        v.len += strlen(w);
    }
    struct mr_buf batch = {0};
    struct mr_record_build build;
    struct mr_err err = {0};
    mr_record_build_begin(&build, &batch);
    assert_true(mr_record_build_add(&build, 1000, NULL, &v, NULL, 0));
    assert_int_equal(mr_record_build_end(&build, MR_CODEC_NONE, -1, -1, -1, &err), MR_OK);
    struct mr_partition *p = topic(b, "t");
    (void)snprintf(name, sizeof name, "compression.%s.level", codec);
    must_set(b, "compression.type", codec);
    must_set(b, name, level);
    assert_int_equal(put(m, p, batch), MR_REFUSE_NONE);
    assert_int_equal(count_records(p, NULL), 1);
    int64_t bytes = mr_partition_bytes(p);
    assert_int_equal(mr_broker_delete(b, MR_SLICE("t"), NULL), MR_REFUSE_NONE);
    return bytes;
}

static void the_level_says_how_thoroughly_a_topic_compresses(void **state)
{
    static const struct {
        const char *codec, *little, *much;
    } rows[] = {{"gzip", "1", "9"}, {"lz4", "9", "12"}, {"zstd", "-50", "19"}};
    struct mill m = mill_new(16);
    struct mr_broker *b = open_with(&m, 0);
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        int64_t little = stored_at(&m, b, rows[i].codec, rows[i].little);
        int64_t much = stored_at(&m, b, rows[i].codec, rows[i].much);
        if (much >= little * 95 / 100)
            fail_msg("%s: %lld bytes at level %s, %lld at %s", rows[i].codec, (long long)little,
                     rows[i].little, (long long)much, rows[i].much);
        assert_int_equal(stored_at(&m, b, rows[i].codec, rows[i].little), little); /* and back again */
    }
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void a_limit_of_nothing_is_a_limit(void **state)
{
    struct mill m = mill_new(17);
    struct mr_broker *b = open_with(&m, 0);
    (void)state;
    struct mr_partition *p = topic(b, "t");
    must_set(b, "message.timestamp.before.max.ms", "0");
    must_set(b, "message.timestamp.after.max.ms", "0");
    int64_t now = now_ms(&m);
    assert_int_equal(put(&m, p, keyed("k", "a", 0, now - 1, MR_CODEC_NONE)), MR_REFUSE_INVALID_TIMESTAMP);
    now = now_ms(&m);
    assert_int_equal(put(&m, p, keyed("k", "a", 0, now + 2, MR_CODEC_NONE)), MR_REFUSE_INVALID_TIMESTAMP);
    now = now_ms(&m);
    assert_int_equal(put(&m, p, keyed("k", "a", 0, now, MR_CODEC_NONE)), MR_REFUSE_NONE);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void acks_of_all_need_the_replicas_that_the_topic_asks_for(void **state)
{
    struct mill m = mill_new(7);
    struct mr_broker *b = open_with(&m, 0);
    struct sent s;
    (void)state;
    struct mr_partition *p = topic(b, "t");
    must_set(b, "min.insync.replicas", "2");
    produce(p, &s, -1, keyed("k", "a", 0, -1, MR_CODEC_NONE));
    assert_true(s.settled);
    assert_int_equal(s.pr.refusal, MR_REFUSE_NOT_ENOUGH_REPLICAS);
    assert_int_equal(mr_partition_end(p), 0);
    produce(p, &s, 1, keyed("k", "a", 0, -1, MR_CODEC_NONE));
    assert_int_equal(s.pr.refusal, MR_REFUSE_NONE);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

/* How many records of a page_cache topic a loss of power takes back. */
static void flush_settings_say_what_a_loss_of_power_may_take(void **state)
{
    for (int way = 0; way < 4; way++) {
        struct mill m = mill_new(8 + (uint64_t)way);
        struct mr_broker *b = open_with(&m, 0);
        struct sent s;
        (void)state;
        struct mr_partition *p = topic(b, "t");
        must_set(b, "durability", "page_cache");
        if (way == 1)
            must_set(b, "flush.messages", "4");
        if (way == 2)
            must_set(b, "flush.ms", "500");
        if (way == 3)
            must_set(b, "flush.ms", "0");
        mr_sim_faults(m.world)->lose_all = true;
        for (int i = 0; i < 4; i++) {
            produce(p, &s, -1, keyed("k", "a", 0, -1, MR_CODEC_NONE));
            assert_true(s.settled);
        }
        mr_sim_run_until(m.sim, mr_sim_now(m.sim) + 400);
        if (way == 2) {
            mr_sim_run_until(m.sim, mr_sim_now(m.sim) + 200);
            produce(p, &s, -1, keyed("k", "a", 0, -1, MR_CODEC_NONE)); /* this one came too late */
        }
        mr_sim_crash(m.world);
        mr_broker_close(b);
        mr_sim_restart(m.world);
        b = open_with(&m, 0);
        p = topic(b, "t");
        assert_int_equal(mr_partition_end(p), way == 0 ? 0 : 4);
        mr_broker_close(b);
        mr_sim_free(m.sim);
    }
}

static int files_with(struct mill *m, const char *end);

static void segments_end_by_size_age_and_index(void **state)
{
    static const char *const ways[][2] = {
        {"segment.bytes", "4096"}, {"segment.ms", "1000"}, {"segment.index.bytes", "64"}};
    (void)state;
    for (int way = 0; way < 3; way++) {
        struct mill m = mill_new(11 + (uint64_t)way);
        struct mr_broker *b = open_with(&m, 0);
        struct mr_partition *p = topic(b, "t");
        must_set(b, "index.interval.bytes", "1");
        for (int i = 0; i < 12; i++)
            assert_int_equal(put(&m, p, keyed("k", "a", 1000, -1, MR_CODEC_NONE)), MR_REFUSE_NONE);
        assert_int_equal(files_with(&m, ".log"), 1);
        must_set(b, ways[way][0], ways[way][1]); /* from now on, for the segment in use too */
        for (int i = 0; i < 12; i++)
            assert_int_equal(put(&m, p, keyed("k", "a", 1000, -1, MR_CODEC_NONE)), MR_REFUSE_NONE);
        int files = files_with(&m, ".log");
        assert_in_range(files, way == 1 ? 12 : 2, way == 1 ? 13 : 6);
        mr_broker_close(b);
        mr_sim_free(m.sim);
    }
}

static void jitter_ends_segments_early_but_never_late(void **state)
{
    struct mill m = mill_new(15);
    struct mr_broker *b = open_with(&m, 0);
    struct mr_partition *p = topic(b, "t");
    (void)state;
    must_set(b, "segment.ms", "20000");
    for (int i = 0; i < 60; i++) /* a second each */
        assert_int_equal(put(&m, p, keyed("k", "a", 0, -1, MR_CODEC_NONE)), MR_REFUSE_NONE);
    int without = files_with(&m, ".log");
    assert_int_equal(without, 3);
    must_set(b, "segment.jitter.ms", "19000");
    for (int i = 0; i < 60; i++)
        assert_int_equal(put(&m, p, keyed("k", "a", 0, -1, MR_CODEC_NONE)), MR_REFUSE_NONE);
    assert_true(files_with(&m, ".log") - without > 3);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

struct counting {
    const char *end;
    int n;
};

static void count_name(void *arg, const char *name)
{
    struct counting *c = arg;
    size_t n = strlen(name), e = strlen(c->end);
    c->n += n >= e && strcmp(name + n - e, c->end) == 0;
}

static int files_with(struct mill *m, const char *end)
{
    struct counting c = {end, 0};
    assert_int_equal(mr_dir_list(m->world, "d/topics/t-0", count_name, &c, NULL), MR_OK);
    return c.n;
}

static void retention_follows_a_change_and_files_go_after_their_delay(void **state)
{
    struct mill m = mill_new(16);
    struct mr_broker *b = open_with(&m, 1000);
    struct mr_partition *p = topic(b, "t");
    (void)state;
    must_set(b, "segment.bytes", "4096");
    must_set(b, "file.delete.delay.ms", "5000");
    for (int i = 0; i < 20; i++)
        assert_int_equal(put(&m, p, keyed("k", "a", 1000, now_ms(&m), MR_CODEC_NONE)), MR_REFUSE_NONE);
    assert_int_equal(mr_partition_start(p), 0);
    must_set(b, "retention.bytes", "9000");
    mr_sim_run_until(m.sim, mr_sim_now(m.sim) + 2000);
    assert_true(mr_partition_start(p) > 0);
    assert_in_range(mr_partition_bytes(p), 9000, 9000 + 4096);
    assert_true(files_with(&m, ".deleted") > 0);
    mr_sim_run_until(m.sim, mr_sim_now(m.sim) + 6000);
    assert_int_equal(files_with(&m, ".deleted"), 0);
    int64_t start = mr_partition_start(p);
    must_set(b, "retention.bytes", "-1");
    must_set(b, "file.delete.delay.ms", "0");
    must_set(b, "retention.ms", "1000");
    mr_sim_run_until(m.sim, mr_sim_now(m.sim) + 3000);
    assert_true(mr_partition_start(p) > start);
    assert_int_equal(mr_partition_start(p), mr_partition_end(p)); /* the segment in use went too */
    assert_int_equal(files_with(&m, ".deleted"), 0);
    assert_int_equal(put(&m, p, keyed("k", "a", 0, now_ms(&m), MR_CODEC_NONE)), MR_REFUSE_NONE);
    must_set(b, "cleanup.policy", "");
    mr_sim_run_until(m.sim, mr_sim_now(m.sim) + 10000);
    assert_int_equal(count_records(p, NULL), 1); /* without a policy all stays */
    must_set(b, "cleanup.policy", "compact");
    mr_sim_run_until(m.sim, mr_sim_now(m.sim) + 10000);
    assert_int_equal(count_records(p, NULL), 1);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void the_broker_compacts_in_the_background_once_the_policy_says_so(void **state)
{
    struct mill m = mill_new(17);
    struct mr_broker *b = open_with(&m, 1000);
    struct mr_partition *p = topic(b, "t");
    char key[16];
    (void)state;
    must_set(b, "segment.bytes", "4096");
    for (int i = 0; i < 200; i++) {
        (void)snprintf(key, sizeof key, "key-%d", i % 5);
        assert_int_equal(put(&m, p, keyed(key, "v", 100, now_ms(&m), MR_CODEC_NONE)), MR_REFUSE_NONE);
    }
    assert_int_equal(count_records(p, NULL), 200);
    must_set(b, "cleanup.policy", "compact");
    mr_sim_run_until(m.sim, mr_sim_now(m.sim) + 5000);
    int left = count_records(p, NULL);
    assert_in_range(left, 5, 5 + 40); /* what is in the segment in use was not looked at */
    assert_true(mr_partition_compact_counts(p)->passes >= 1);
    assert_int_equal(mr_partition_end(p), 200);
    must_set(b, "max.compaction.lag.ms", "1000"); /* closes the segment in use */
    must_set(b, "delete.retention.ms", "0");
    for (int i = 0; i < 5; i++) {
        (void)snprintf(key, sizeof key, "key-%d", i);
        assert_int_equal(put(&m, p, keyed(key, NULL, 0, now_ms(&m), MR_CODEC_NONE)), MR_REFUSE_NONE);
    }
    mr_sim_run_until(m.sim, mr_sim_now(m.sim) + 20000);
    assert_int_equal(count_records(p, NULL), 0); /* all keys are deleted */
    assert_int_equal(mr_partition_end(p), 205);
    mr_broker_close(b);
    b = open_with(&m, 1000);
    p = topic(b, "t");
    assert_int_equal(mr_partition_end(p), 205);
    assert_int_equal(count_records(p, NULL), 0);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void a_change_is_there_as_a_whole_or_not_at_all_whatever_crashes(void **state)
{
    (void)state;
    for (uint64_t k = 1; k < 40; k++) {
        struct mill m = mill_new(100 + k);
        struct mr_broker *b = open_with(&m, 0);
        struct mr_setting_row row;
        struct mr_err err;
        (void)topic(b, "t");
        struct mr_setting two[] = {{MR_SLICE("retention.ms"), MR_SLICE("77")},
                                   {MR_SLICE("cleanup.policy"), MR_SLICE("compact")}};
        mr_sim_faults(m.world)->crash_at = k;
        enum mr_refusal r = mr_broker_alter(b, MR_SLICE("t"), two, 2, false, false, &err);
        bool down = mr_sim_is_down(m.world);
        if (!down)
            mr_sim_crash(m.world);
        mr_broker_close(b);
        mr_sim_restart(m.world);
        mr_sim_faults(m.world)->crash_at = 0;
        b = open_with(&m, 0);
        bool changed = strcmp(value_of(b, "retention.ms", &row), "77") == 0;
        assert_string_equal(value_of(b, "cleanup.policy", &row), changed ? "compact" : "delete");
        if (r == MR_REFUSE_NONE)
            assert_true(changed); /* what was promised stands */
        mr_broker_close(b);
        mr_sim_free(m.sim);
        if (!down) {
            assert_true(k > 3);
            return; /* all operations of the change have been the last one once */
        }
    }
    fail_msg("a change takes more than 40 operations");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_keeps_to_its_bounds),
        cmocka_unit_test(a_change_is_there_as_a_whole_or_not_at_all_whatever_crashes),
        cmocka_unit_test(what_is_not_known_gets_the_nearest_name),
        cmocka_unit_test(operations_change_lists_word_by_word_and_all_or_none),
        cmocka_unit_test(a_compacted_topic_takes_no_record_without_a_key),
        cmocka_unit_test(timestamps_are_held_to_their_limits),
        cmocka_unit_test(a_topic_compresses_anew_what_comes_in_another_codec),
        cmocka_unit_test(the_level_says_how_thoroughly_a_topic_compresses),
        cmocka_unit_test(a_limit_of_nothing_is_a_limit),
        cmocka_unit_test(acks_of_all_need_the_replicas_that_the_topic_asks_for),
        cmocka_unit_test(flush_settings_say_what_a_loss_of_power_may_take),
        cmocka_unit_test(segments_end_by_size_age_and_index),
        cmocka_unit_test(jitter_ends_segments_early_but_never_late),
        cmocka_unit_test(retention_follows_a_change_and_files_go_after_their_delay),
        cmocka_unit_test(the_broker_compacts_in_the_background_once_the_policy_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
