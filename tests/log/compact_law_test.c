/* compact_law_test.c - compaction, one rule at a time: what stays, what goes, when, and at what cost. */
#include "log/batches.h"

#include "base/mem.h"
#include "log/log.h"
#include "world/sim.h"

#include <stdio.h>

enum { PAGE = 1 << 18, DAY = 86400000 };

struct bench {
    struct mr_sim *sim;
    struct mr_world *w;
    struct mr_log *log;
    struct mr_log_config config;
    mr_ms now;
    struct mr_buf text;
    char page[PAGE];
};

static void open_log(struct bench *b)
{
    struct mr_err err = {0};
    if (mr_log_open(b->w, "d", &b->config, &b->log, &err))
        fail_msg("%s", err.text);
}

static struct bench *bench_new(uint64_t seed)
{
    struct bench *b = mr_need(sizeof *b);
    b->sim = mr_sim_new(seed);
    b->w = mr_sim_node(b->sim, 0);
    b->now = mr_wall(b->w) / 1000000;
    mr_log_config_init(&b->config);
    b->config.segment_bytes = 4096;
    b->config.segment_ms = -1;
    b->config.retain = false;
    b->config.compact = true;
    b->config.min_dirty_ratio = 0;
    b->config.index_interval_bytes = 1;
    b->config.delete_retention_ms = 1000;
    open_log(b);
    return b;
}

static void bench_free(struct bench *b)
{
    mr_log_close(b->log);
    mr_sim_free(b->sim);
    mr_buf_fini(&b->text);
    mr_free(b);
}

static void reopen(struct bench *b, bool clean)
{
    if (!clean)
        mr_sim_crash(b->w);
    mr_log_close(b->log);
    if (!clean)
        mr_sim_restart(b->w);
    open_log(b);
}

struct like { /* of a batch */
    enum mr_codec codec;
    int16_t attributes;
    int64_t producer;
    int32_t sequence;
};
static const struct like plain = {.producer = -1, .sequence = -1};

/* "a=1 b=2 c": three records, c is a tombstone; "=9" has no key. Times count up from `now`. */
static int64_t put_like(struct bench *b, const char *text, struct like like)
{
    struct mr_buf buf = {0};
    struct mr_record_build build;
    struct mr_err err = {0};
    struct mr_header header = {.name = MR_SLICE("h"), .value = MR_SLICE("v")};
    mr_offset base;
    mr_record_build_begin(&build, &buf);
    build.attributes = like.attributes;
    for (int i = 0; *text; i++) {
        size_t len = strcspn(text, " ");
        const char *is = memchr(text, '=', len);
        struct mr_slice key = {text, is ? (size_t)(is - text) : len}, value = {0};
        if (is)
            value = (struct mr_slice){is + 1, len - key.len - 1};
        assert_true(
            mr_record_build_add(&build, b->now + i, key.len ? &key : NULL, is ? &value : NULL, &header, 1));
        text += len;
        text += *text == ' ';
    }
    assert_int_equal(mr_record_build_end(&build, like.codec, like.producer, 3, like.sequence, &err), MR_OK);
    if (mr_log_append(b->log, buf.p, buf.len, 7, (mr_ns)b->now * 1000000, &base, &err))
        fail_msg("%s", err.text);
    mr_buf_fini(&buf);
    return base.v;
}

static int64_t put(struct bench *b, const char *text)
{
    return put_like(b, text, plain);
}

static void mark(struct bench *b, int64_t producer, bool commit)
{
    struct mr_buf buf = {0};
    struct mr_err err = {0};
    mr_offset base;
    struct mr_marker m = {.commit = commit};
    assert_int_equal(mr_marker_build(&buf, &m, producer, 3, b->now, &err), MR_OK);
    assert_int_equal(mr_log_append(b->log, buf.p, buf.len, 7, (mr_ns)b->now * 1000000, &base, &err), MR_OK);
    mr_buf_fini(&buf);
}

static void on_sync(void *arg, mr_code rc, int sys)
{
    (void)sys;
    *(mr_code *)arg = rc;
}

static void sync_log(struct bench *b)
{
    mr_code rc = MR_PENDING;
    mr_log_sync(b->log, on_sync, &rc);
    assert_true(mr_sim_settle(b->sim, 1000));
    assert_int_equal(rc, MR_OK);
}

/* The segment in use is closed; there is another, empty one. */
static void roll(struct bench *b)
{
    struct mr_err err = {0};
    struct mr_log_config c = b->config;
    c.segment_ms = 0;
    sync_log(b);
    mr_log_configure(b->log, &c);
    b->now++;
    assert_int_equal(mr_log_retain(b->log, (mr_ns)b->now * 1000000, &err), MR_OK);
    mr_log_configure(b->log, &b->config);
}

static mr_code slice(struct bench *b, int64_t below, int64_t budget, bool *more, struct mr_err *err)
{
    mr_code rc = mr_log_compact(b->log, (mr_offset){below}, (mr_ns)b->now * 1000000, budget, more, err);
    (void)mr_sim_settle(b->sim, 1000);
    return rc;
}

static mr_code compact_below(struct bench *b, int64_t below, struct mr_err *err)
{
    bool more = true;
    mr_code rc = MR_OK;
    for (int i = 0; more && !rc && i < 10000; i++)
        rc = slice(b, below, 2000, &more, err);
    assert_true(rc || !more);
    return rc;
}

static void compact(struct bench *b)
{
    struct mr_err err = {0};
    if (compact_below(b, mr_log_end(b->log).v, &err))
        fail_msg("%s", err.text);
}

/* All there is: "0:a=1 2:c"; markers as "5:+" and "6:-"; a batch without records as "7:()". */
static const char *all(struct bench *b)
{
    struct mr_err err = {0};
    struct mr_buf scratch = {0};
    int64_t want = mr_log_start(b->log).v, end = mr_log_end(b->log).v;
    b->text.len = 0;
    while (want < end) {
        size_t got;
        mr_code rc = mr_log_read(b->log, (mr_offset){want}, (mr_offset){end}, b->page, PAGE, &got, &err);
        if (rc == MR_END)
            break;
        if (rc)
            fail_msg("%s", err.text);
        for (size_t at = 0; at < got;) {
            struct mr_record_walk walk;
            struct mr_record r;
            struct mr_marker m;
            const char *gap = b->text.len ? " " : "";
            assert_int_equal(
                mr_record_walk_begin(&walk, (struct mr_slice){b->page + at, got - at}, &scratch, PAGE, &err),
                MR_OK);
            if (walk.head.count == 0)
                assert_true(mr_buf_printf(&b->text, "%s%lld:()", gap, (long long)walk.head.base_offset));
            while (mr_record_walk_next(&walk, &r, &err) == MR_OK) {
                gap = b->text.len ? " " : "";
                if (walk.head.attributes & MR_BATCH_CONTROL) {
                    assert_int_equal(mr_marker_read(&r, &m), MR_OK);
                    assert_true(
                        mr_buf_printf(&b->text, "%s%lld:%c", gap, (long long)r.offset, m.commit ? '+' : '-'));
                } else {
                    assert_true(mr_buf_printf(&b->text, "%s%lld:%.*s%s%.*s", gap, (long long)r.offset,
                                              MR_SLICE_ARG(r.key), r.has_value ? "=" : "",
                                              MR_SLICE_ARG(r.value)));
                }
            }
            want = walk.head.base_offset + walk.head.last_offset_delta + 1;
            at += (size_t)walk.head.length + 12;
        }
    }
    mr_buf_fini(&scratch);
    assert_true(mr_buf_put(&b->text, "", 1));
    return b->text.p;
}

static struct mr_batch_header head_of(struct bench *b, int64_t offset)
{
    struct mr_batch_header h;
    struct mr_err err;
    size_t got;
    assert_int_equal(mr_log_read(b->log, (mr_offset){offset}, mr_log_end(b->log), b->page, PAGE, &got, &err),
                     MR_OK);
    assert_int_equal(mr_batch_header_read((struct mr_slice){b->page, got}, &h, &err), MR_OK);
    return h;
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

static int files_with(struct bench *b, const char *end)
{
    struct counting c = {end, 0};
    assert_int_equal(mr_dir_list(b->w, "d", count_name, &c, NULL), MR_OK);
    return c.n;
}

/* ------------------------------------------------------------------ what stays */

static void of_every_key_the_newest_record_stays_with_its_offset(void **state)
{
    struct bench *b = bench_new(1);
    (void)state;
    put(b, "a=1 b=1 a=2");
    put(b, "c=1 =9 b=2");
    put(b, "a=3 d=1");
    roll(b);
    compact(b);
    assert_string_equal(all(b), "3:c=1 5:b=2 6:a=3 7:d=1");
    assert_int_equal(mr_log_end(b->log).v, 8);
    assert_int_equal(mr_log_clean(b->log), 8);
    put(b, "c=2"); /* in the segment in use: nothing is looked at there */
    compact(b);
    assert_string_equal(all(b), "3:c=1 5:b=2 6:a=3 7:d=1 8:c=2");
    for (int i = 0; i < 2; i++) {
        reopen(b, i == 0);
        assert_string_equal(all(b), "3:c=1 5:b=2 6:a=3 7:d=1 8:c=2");
        assert_int_equal(mr_log_clean(b->log), 8);
    }
    bench_free(b);
}

static void a_batch_keeps_offsets_codec_times_headers_and_sequences(void **state)
{
    (void)state;
    for (int codec = MR_CODEC_NONE; codec <= MR_CODEC_ZSTD; codec++)
        for (int stamped = 0; stamped < 2; stamped++) {
            struct bench *b = bench_new(2);
            struct mr_record_walk walk;
            struct mr_record r;
            struct mr_buf scratch = {0};
            struct mr_err err;
            struct mr_slice rest;
            struct mr_header h;
            size_t got;
            int16_t bits = stamped ? MR_BATCH_APPEND_TIME : 0;
            char text[900] = "a=1 b=1 gone a=2 a=3 x=";
            memset(text + strlen(text), 'y', 800);
            mr_ms then = b->now;
            put_like(b, text, (struct like){(enum mr_codec)codec, bits, 77, 5});
            struct mr_batch_header was = head_of(b, 0);
            put(b, "a=4");
            roll(b);
            compact(b);
            struct mr_batch_header is = head_of(b, 0);
            assert_int_equal(is.count, 3);
            assert_int_equal(is.base_offset, 0);
            assert_int_equal(is.last_offset_delta, 5);
            assert_int_equal(is.leader_epoch, 7);
            assert_int_equal(is.producer_id, 77);
            assert_int_equal(is.producer_epoch, 3);
            assert_int_equal(is.base_sequence, 5);
            assert_int_equal(is.max_timestamp, was.max_timestamp);
            assert_int_equal(is.attributes & ~MR_BATCH_HORIZON, codec | bits);
            assert_true(is.attributes & MR_BATCH_HORIZON); /* the tombstone has one */
            assert_int_equal(mr_log_read(b->log, (mr_offset){0}, (mr_offset){6}, b->page, PAGE, &got, &err),
                             MR_OK);
            assert_int_equal(
                mr_record_walk_begin(&walk, (struct mr_slice){b->page, got}, &scratch, PAGE, &err), MR_OK);
            for (int i = 0; i < 3; i++) {
                static const int64_t offsets[] = {1, 2, 5};
                assert_int_equal(mr_record_walk_next(&walk, &r, &err), MR_OK);
                assert_int_equal(r.offset, offsets[i]);
                assert_int_equal(r.timestamp, stamped ? was.max_timestamp : then + offsets[i]);
                rest = r.headers;
                assert_int_equal(r.header_count, 1);
                assert_true(mr_record_headers(&rest, &h) && mr_slice_eq(h.value, MR_SLICE("v")));
            }
            mr_buf_fini(&scratch);
            bench_free(b);
        }
}

static void a_deleted_key_is_remembered_for_its_time_and_stays_deleted(void **state)
{
    struct bench *b = bench_new(3);
    (void)state;
    put(b, "a=1 b=1");
    put(b, "a");
    put(b, "z=1");
    roll(b);
    compact(b);
    assert_string_equal(all(b), "1:b=1 2:a 3:z=1");
    b->now += 900;
    put(b, "z=2");
    roll(b);
    compact(b);
    assert_string_equal(all(b), "1:b=1 2:a 4:z=2"); /* 1000 ms from when it was first seen */
    b->config.delete_retention_ms = DAY;            /* what was promised stands */
    b->now += 101;
    compact(b); /* nothing new: the horizon alone is reason enough */
    assert_string_equal(all(b), "1:b=1 4:z=2");
    reopen(b, true);
    compact(b);
    assert_string_equal(all(b), "1:b=1 4:z=2");
    bench_free(b);
}

static void readers_come_past_a_gap_at_the_end(void **state)
{
    struct bench *b = bench_new(4);
    struct mr_log_view view;
    struct mr_err err;
    (void)state;
    put(b, "a=1");
    put(b, "a");
    roll(b);
    compact(b);
    assert_string_equal(all(b), "1:a");
    b->now += 2000;
    compact(b);
    assert_string_equal(all(b), "1:()"); /* the segment in use is empty: this says that 2 comes next */
    assert_int_equal(mr_log_find(b->log, (mr_offset){0}, (mr_offset){2}, 1, &view, &err), MR_OK);
    assert_int_equal(mr_log_find(b->log, (mr_offset){1}, (mr_offset){2}, 1, &view, &err), MR_OK);
    put(b, "b=1");
    roll(b);
    compact(b);
    assert_string_equal(all(b), "2:b=1");
    for (int64_t o = 0; o < 3; o++) {
        assert_int_equal(mr_log_find(b->log, (mr_offset){o}, (mr_offset){3}, 1, &view, &err), MR_OK);
        assert_int_equal(mr_log_find(b->log, (mr_offset){o}, (mr_offset){2}, 1, &view, &err), MR_END);
    }
    bench_free(b);
}

static void the_last_batch_of_a_producer_stays_a_day_without_its_records(void **state)
{
    struct bench *b = bench_new(5);
    (void)state;
    put_like(b, "a=1 a=2", (struct like){.producer = 5, .sequence = 0});
    put_like(b, "a=3 a=4", (struct like){.producer = 5, .sequence = 2});
    put_like(b, "b=1", (struct like){.producer = 6, .sequence = 0});
    put(b, "a=5 b=2");
    roll(b);
    compact(b);
    assert_string_equal(all(b), "2:() 4:() 5:a=5 6:b=2");
    struct mr_batch_header h = head_of(b, 2);
    assert_int_equal(h.producer_id, 5);
    assert_int_equal(h.base_sequence, 2);
    assert_int_equal(h.last_offset_delta, 1);
    b->now += DAY + 1;
    put(b, "c=1");
    roll(b);
    compact(b);
    assert_string_equal(all(b), "5:a=5 6:b=2 7:c=1");
    bench_free(b);
}

/* ------------------------------------------------------------------ transactions */

static void aborted_records_go_and_markers_once_nothing_needs_them(void **state)
{
    struct bench *b = bench_new(6);
    struct like t5 = {.attributes = MR_BATCH_TRANSACTIONAL, .producer = 5, .sequence = -1}, t6 = t5;
    (void)state;
    t6.producer = 6;
    put(b, "a=1 b=1");
    put_like(b, "a=no c=no", t5); /* 2 3 */
    put_like(b, "b=2", t6);       /* 4 */
    mark(b, 5, false);            /* 5 */
    mark(b, 6, true);             /* 6 */
    put_like(b, "a=2", t5);       /* 7: the same producer, another transaction */
    mark(b, 5, true);             /* 8 */
    put(b, "z=1");
    roll(b);
    compact(b);
    assert_string_equal(all(b), "4:b=2 5:- 6:+ 7:a=2 8:+ 9:z=1");
    b->now += 1001;
    compact(b);
    assert_string_equal(all(b), "4:b=2 6:+ 7:a=2 8:+ 9:z=1"); /* nothing is left of the aborted one */
    put(b, "a=3 b=3");
    roll(b);
    compact(b);
    assert_string_equal(all(b), "6:+ 8:+ 9:z=1 10:a=3 11:b=3"); /* from now on their time runs */
    b->now += 1001;
    compact(b);
    assert_string_equal(all(b), "9:z=1 10:a=3 11:b=3");
    bench_free(b);
}

static void what_is_undecided_ends_the_pass(void **state)
{
    struct bench *b = bench_new(7);
    struct like t5 = {.attributes = MR_BATCH_TRANSACTIONAL, .producer = 5, .sequence = -1};
    (void)state;
    put(b, "a=1 a=2");
    put_like(b, "a=3", t5);
    put(b, "b=1 b=2");
    roll(b);
    compact(b);
    assert_string_equal(all(b), "1:a=2 2:a=3 3:b=1 4:b=2");
    assert_int_equal(mr_log_clean(b->log), 2);
    put(b, "y=1");
    mark(b, 5, false);
    roll(b);
    b->now += MR_LOG_COMPACT_RETRY_MS;
    compact(b);
    assert_string_equal(all(b), "1:a=2 4:b=2 5:y=1 6:-");
    bench_free(b);
}

/* ------------------------------------------------------------------ when */

static void a_pass_waits_for_lags_and_the_ratio(void **state)
{
    struct bench *b = bench_new(8);
    struct mr_err err = {0};
    (void)state;
    b->config.min_compaction_lag_ms = 5000;
    mr_log_configure(b->log, &b->config);
    put(b, "a=1 a=2");
    roll(b);
    compact(b);
    assert_string_equal(all(b), "0:a=1 1:a=2"); /* too young */
    b->now += 5001;
    assert_int_equal(compact_below(b, 1, &err), MR_OK); /* readers have not seen all of it */
    assert_string_equal(all(b), "0:a=1 1:a=2");
    compact(b);
    assert_string_equal(all(b), "1:a=2");
    b->config.min_compaction_lag_ms = 0;
    b->config.min_dirty_ratio = 0.9;
    mr_log_configure(b->log, &b->config);
    put(b, "a=3");
    roll(b);
    compact(b);
    assert_string_equal(all(b), "1:a=2 2:a=3"); /* half is dirty */
    b->config.max_compaction_lag_ms = 1000;
    mr_log_configure(b->log, &b->config);
    compact(b);
    assert_string_equal(all(b), "1:a=2 2:a=3");
    b->now += 1001;
    compact(b);
    assert_string_equal(all(b), "2:a=3");
    put(b, "a=4");
    sync_log(b);
    b->now += 1001;
    assert_int_equal(mr_log_retain(b->log, (mr_ns)b->now * 1000000, &err), MR_OK); /* closes what is in use */
    compact(b);
    assert_string_equal(all(b), "3:a=4");
    b->config.compact = false;
    b->config.max_compaction_lag_ms = INT64_MAX;
    mr_log_configure(b->log, &b->config);
    put(b, "a=5");
    roll(b);
    compact(b);
    assert_string_equal(all(b), "3:a=4 4:a=5");
    bench_free(b);
}

static void fill(struct bench *b, int batches, int keys)
{
    char text[256];
    for (int i = 0; i < batches; i++) {
        (void)snprintf(text, sizeof text, "key-%d=%d-%0*d", i % keys, i, 150, 0);
        put(b, text);
    }
}

static int records(struct bench *b)
{
    int n = 0;
    for (const char *p = all(b); *p; p++)
        n += *p == '=';
    return n;
}

static void more_keys_than_fit_take_more_passes_and_segments_become_one(void **state)
{
    struct bench *b = bench_new(9);
    (void)state;
    b->config.compact_map_bytes = 1; /* the least: 24 keys */
    mr_log_configure(b->log, &b->config);
    fill(b, 400, 100);
    roll(b);
    int files = files_with(b, ".log");
    compact(b);
    assert_int_equal(records(b), 100);
    assert_true(mr_log_compact_counts(b->log)->passes >= 4);
    assert_int_equal(mr_log_compact_counts(b->log)->removed, 300);
    assert_true(files_with(b, ".log") < files / 2);
    assert_int_equal(files_with(b, ".cleaned"), 0);
    assert_int_equal(files_with(b, ".index"), files_with(b, ".log"));
    assert_int_equal(files_with(b, ".timeindex"), files_with(b, ".log"));
    bench_free(b);
}

static void a_slice_reads_no_more_than_it_was_given(void **state)
{
    struct bench *b = bench_new(10);
    const struct mr_compact_counts *c = mr_log_compact_counts(b->log);
    struct mr_err err;
    bool more = true;
    int slices = 0;
    (void)state;
    b->config.segment_bytes = 1 << 20;
    mr_log_configure(b->log, &b->config);
    for (int i = 0; i < 60; i++) {
        char text[20000];
        (void)snprintf(text, sizeof text, "key-%d=%0*d", i % 7, 19000, i);
        put(b, text);
    }
    roll(b);
    for (; more; slices++) {
        uint64_t read = c->read, written = c->written;
        assert_int_equal(slice(b, mr_log_end(b->log).v, 20000, &more, &err), MR_OK);
        assert_true(c->read - read <= 2 << 18); /* two windows */
        assert_true(c->written - written <= 2 << 18);
    }
    assert_true(slices > 60);
    assert_int_equal(records(b), 7);
    bench_free(b);
}

/* ------------------------------------------------------------------ living with gaps */

static void times_are_found_across_gaps(void **state)
{
    struct bench *b = bench_new(11);
    struct mr_err err;
    mr_offset at;
    int64_t ts;
    (void)state;
    for (int i = 0; i < 300; i++) {
        char text[200];
        b->now += 10;
        (void)snprintf(text, sizeof text, "key-%d=%0*d", i % 10 ? i % 10 : 1000 + i, 100, i);
        put(b, text);
    }
    roll(b);
    compact(b);
    for (int k = 0; k < 2; k++) {
        mr_ms first = head_of(b, 0).first_timestamp;
        for (int i = 0; i < 280; i += 7) { /* every tenth stayed */
            assert_int_equal(mr_log_find_time(b->log, first + i * 10, &at, &ts, &err), MR_OK);
            assert_int_equal(at.v, (i + 9) / 10 * 10);
            assert_int_equal(ts, first + (i + 9) / 10 * 100);
        }
        assert_int_equal(mr_log_find_max_time(b->log, &at, &ts, &err), MR_OK);
        assert_int_equal(at.v, 299);
        reopen(b, false);
    }
    bench_free(b);
}

static void a_held_file_keeps_the_bytes_that_it_had(void **state)
{
    struct bench *b = bench_new(12);
    struct mr_log_view view;
    struct mr_err err;
    size_t got;
    static char before[8192], after[8192];
    (void)state;
    fill(b, 60, 3);
    roll(b);
    assert_int_equal(mr_log_find(b->log, (mr_offset){0}, (mr_offset){60}, 4000, &view, &err), MR_OK);
    struct mr_file *f = mr_file_hold(view.file);
    assert_int_equal(mr_file_read(f, before, view.len, view.at, &got, &err), MR_OK);
    compact(b);
    assert_int_equal(records(b), 3);
    assert_int_equal(mr_file_read(f, after, view.len, view.at, &got, &err), MR_OK);
    assert_int_equal(got, view.len);
    assert_memory_equal(before, after, got);
    mr_file_close(f);
    bench_free(b);
}

static void a_trim_and_retention_go_together_with_compaction(void **state)
{
    struct bench *b = bench_new(13);
    struct mr_err err = {0};
    bool more = true;
    (void)state;
    fill(b, 100, 50);
    roll(b);
    for (int i = 0; i < 200 && more; i++) {
        assert_int_equal(slice(b, 100, 300, &more, &err), MR_OK);
        if (i == 20)
            assert_int_equal(mr_log_trim(b->log, (mr_offset){60}, &err),
                             MR_OK); /* the pass has lost its sources */
    }
    compact(b);
    assert_int_equal(records(b), 40);
    assert_int_equal(mr_log_start(b->log).v, 60);
    b->config.retain = true;
    b->config.retention_ms = 1000;
    mr_log_configure(b->log, &b->config);
    b->now += 5000;
    put(b, "new=1");
    sync_log(b);
    assert_int_equal(mr_log_retain(b->log, (mr_ns)b->now * 1000000, &err), MR_OK);
    assert_int_equal(records(b), 1);
    bench_free(b);
}

static void what_compaction_left_empty_does_not_keep_the_rest_from_retention(void **state)
{
    struct bench *b = bench_new(17);
    struct mr_err err = {0};
    (void)state;
    fill(b, 60, 1);
    roll(b);
    compact(b);
    assert_int_equal(records(b), 1);
    assert_true(files_with(b, ".log") > 2); /* sources that were full are not merged: some are empty now */
    b->config.retain = true;
    b->config.retention_ms = 1000;
    mr_log_configure(b->log, &b->config);
    b->now += 5000;
    assert_int_equal(mr_log_retain(b->log, (mr_ns)b->now * 1000000, &err), MR_OK);
    assert_int_equal(mr_log_start(b->log).v, 60);
    assert_int_equal(files_with(b, ".log"), 1);
    bench_free(b);
}

static void readers_that_go_on_where_they_stopped_are_not_led_astray(void **state)
{
    struct bench *b = bench_new(18);
    struct mr_log_view view;
    struct mr_batch_header h;
    struct mr_err err;
    size_t got;
    (void)state;
    fill(b, 120, 30);
    roll(b);
    for (int64_t o = 0; o < 90; o += 11) /* they are remembered by offset and byte */
        assert_int_equal(mr_log_find(b->log, (mr_offset){o}, (mr_offset){120}, 1, &view, &err), MR_OK);
    compact(b);
    for (int64_t o = 0; o < 120; o++) {
        assert_int_equal(mr_log_find(b->log, (mr_offset){o}, (mr_offset){120}, 1, &view, &err), MR_OK);
        assert_int_equal(mr_file_read(view.file, b->page, view.len, view.at, &got, &err), MR_OK);
        assert_int_equal(mr_batch_header_read((struct mr_slice){b->page, got}, &h, &err), MR_OK);
        assert_int_equal(h.base_offset, o < 90 ? 90 : o);
    }
    bench_free(b);
}

/* ------------------------------------------------------------------ things that go wrong */

static void a_failure_loses_nothing_and_is_tried_again(void **state)
{
    (void)state;
    for (int kind = 0; kind < 5; kind++)
        for (uint64_t k = 1; k <= 30; k++) {
            struct bench *b = bench_new(100 + k);
            struct mr_sim_faults *f = mr_sim_faults(b->w);
            struct mr_err err = {0};
            b->config.compact_map_bytes = k % 2 ? 1 : 1 << 20;
            mr_log_configure(b->log, &b->config);
            fill(b, 120, 30);
            roll(b);
            bool more = true;
            (void)slice(b, 120, 100, &more, &err);
            if (kind < 4)
                *(kind == 0   ? &f->fail_write
                  : kind == 1 ? &f->fail_sync
                  : kind == 2 ? &f->fail_name
                              : &f->fail_read) = k;
            else
                f->capacity = (int64_t)(26000 + k * 300);
            mr_code rc = compact_below(b, 120, &err);
            if (rc)
                assert_true(err.text[0] != '\0');
            f->fail_write = f->fail_sync = f->fail_name = f->fail_read = 0;
            f->capacity = 0;
            int left = records(b);
            assert_in_range(left, 30, 120);
            b->now += MR_LOG_COMPACT_RETRY_MS;
            (void)compact_below(b, 120, &err);
            if (k % 3 == 0 || (kind == 1 && rc)) { /* a failed sync may have broken it: a restart recovers */
                reopen(b, k % 2);
                assert_int_equal(mr_log_end(b->log).v, 120);
                assert_in_range(records(b), 30, left);
            }
            compact(b);
            assert_int_equal(records(b), 30);
            assert_int_equal(mr_log_end(b->log).v, 120);
            bench_free(b);
        }
}

static void a_damaged_batch_stops_compaction_before_it_changes_anything(void **state)
{
    struct bench *b = bench_new(14);
    struct mr_err err = {0};
    (void)state;
    fill(b, 60, 3);
    roll(b);
    assert_true(mr_sim_flip(b->w, "d/00000000000000000000.log", 700, 3));
    assert_int_equal(compact_below(b, 60, &err), MR_CORRUPT);
    assert_non_null(strstr(err.text, "00000000000000000000.log"));
    assert_int_equal(files_with(b, ".cleaned"), 0);
    assert_true(mr_sim_flip(b->w, "d/00000000000000000000.log", 700, 3));
    assert_int_equal(records(b), 60);
    bool more = true;
    assert_int_equal(slice(b, 60, 1 << 20, &more, &err), MR_OK);
    assert_false(more); /* not at once again */
    b->now += MR_LOG_COMPACT_RETRY_MS + 1;
    compact(b);
    assert_int_equal(records(b), 3);
    bench_free(b);
}

static void a_log_with_gaps_is_recovered_when_its_small_files_are_lost(void **state)
{
    static const char *const lost[] = {"d/recovery", "d/compact", "d/clean"};
    (void)state;
    for (int way = 1; way < 16; way++) {
        struct bench *b = bench_new(15);
        struct mr_err err = {0};
        fill(b, 100, 9);
        roll(b);
        compact(b);
        put(b, "tail=1");
        sync_log(b);
        mr_log_close(b->log);
        for (int i = 0; i < 3; i++)
            if ((way >> i) & 1) {
                if (way & 8) { /* damaged: both of the slots */
                    (void)mr_sim_flip(b->w, lost[i], 9, 2);
                    (void)mr_sim_flip(b->w, lost[i], 521, 2);
                } else if (i != 1) { /* without `compact` gaps are damage, which is what it says */
                    (void)mr_unlink(b->w, lost[i], &err);
                }
            }
        open_log(b);
        assert_int_equal(records(b), 10);
        assert_int_equal(mr_log_end(b->log).v, 101);
        bench_free(b);
    }
}

static void a_gap_where_nothing_was_compacted_is_damage(void **state)
{
    struct bench *b = bench_new(16);
    struct mr_err err = {0};
    size_t got;
    (void)state;
    b->config.compact = false;
    mr_log_configure(b->log, &b->config);
    put(b, "a=1");
    int64_t second = put(b, "b=1");
    struct mr_log_view view;
    put(b, "c=1 c=1 c=1 c=1 c=1 c=1 c=1 c=1 c=1 c=1 c=1 c=1 c=1 c=1 c=1 c=1 c=1 c=1 c=1 c=1");
    sync_log(b);
    struct mr_batch_header h = head_of(b, 0);
    /* bit 4 of the second batch's base offset: 17 instead of 1 */
    assert_true(mr_sim_flip(b->w, "d/00000000000000000000.log", h.length + 12 + 7, 4));
    assert_int_equal(mr_log_read(b->log, (mr_offset){second}, (mr_offset){22}, b->page, PAGE, &got, &err),
                     MR_CORRUPT);
    assert_int_equal(mr_log_find(b->log, (mr_offset){second}, (mr_offset){22}, 1, &view, &err), MR_CORRUPT);
    bench_free(b);
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
    const struct CMUnitTest tests[] = {
        T(of_every_key_the_newest_record_stays_with_its_offset),
        T(a_batch_keeps_offsets_codec_times_headers_and_sequences),
        T(a_deleted_key_is_remembered_for_its_time_and_stays_deleted),
        T(readers_come_past_a_gap_at_the_end),
        T(the_last_batch_of_a_producer_stays_a_day_without_its_records),
        T(aborted_records_go_and_markers_once_nothing_needs_them),
        T(what_is_undecided_ends_the_pass),
        T(a_pass_waits_for_lags_and_the_ratio),
        T(more_keys_than_fit_take_more_passes_and_segments_become_one),
        T(a_slice_reads_no_more_than_it_was_given),
        T(times_are_found_across_gaps),
        T(a_held_file_keeps_the_bytes_that_it_had),
        T(a_trim_and_retention_go_together_with_compaction),
        T(what_compaction_left_empty_does_not_keep_the_rest_from_retention),
        T(readers_that_go_on_where_they_stopped_are_not_led_astray),
        T(a_failure_loses_nothing_and_is_tried_again),
        T(a_damaged_batch_stops_compaction_before_it_changes_anything),
        T(a_log_with_gaps_is_recovered_when_its_small_files_are_lost),
        T(a_gap_where_nothing_was_compacted_is_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
