/* log_test.c - what a log does on a disk that behaves: stories, one each. */
#include "log/batches.h"

#include "base/mem.h"
#include "log/log.h"
#include "world/sim.h"

enum { READ_MAX = 1 << 20 };

struct bench {
    struct mr_sim *sim;
    struct mr_world *w;
    struct mr_log *log;
    struct mr_log_config config;
    uint64_t next_id;
    char *page;
};

static struct mr_err err;

static int setup(void **state)
{
    struct bench *b = mr_need(sizeof *b);
    b->sim = mr_sim_new(1);
    b->w = mr_sim_node(b->sim, 0);
    b->page = mr_need(READ_MAX);
    mr_log_config_init(&b->config);
    b->config.segment_bytes = 4096;
    b->config.index_interval_bytes = 256;
    b->config.retention_ms = -1;
    assert_int_equal(mr_log_open(b->w, "data/t-0", &b->config, &b->log, &err), MR_OK);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    mr_log_close(b->log);
    mr_sim_free(b->sim);
    mr_free(b->page);
    mr_free(b);
    return 0;
}

static int64_t append_at(struct bench *b, int32_t count, size_t pad, int64_t ts)
{
    struct mr_buf buf = {0};
    mr_offset base = {-1};
    put_batch(&buf, b->next_id, count, pad, ts);
    assert_int_equal(mr_log_append(b->log, buf.p, buf.len, 7, ts * 1000000, &base, &err), MR_OK);
    b->next_id += (uint64_t)count;
    mr_buf_fini(&buf);
    return base.v;
}

static int64_t append(struct bench *b, int32_t count, size_t pad)
{
    return append_at(b, count, pad, 1000 + (int64_t)b->next_id);
}

struct answer {
    int called;
    mr_code rc;
};
static void note(void *arg, mr_code rc, int sys)
{
    struct answer *a = arg;
    (void)sys;
    a->called++;
    a->rc = rc;
}

static void sync_all(struct bench *b)
{
    struct answer a = {0};
    mr_log_sync(b->log, note, &a);
    assert_int_equal(a.called, 0); /* never from inside the call */
    assert_true(mr_sim_settle(b->sim, 1000));
    assert_int_equal(a.called, 1);
    assert_int_equal(a.rc, MR_OK);
}

static void reopen(struct bench *b)
{
    mr_log_close(b->log);
    b->log = NULL;
    assert_int_equal(mr_log_open(b->w, "data/t-0", &b->config, &b->log, &err), MR_OK);
}

/* Every record from `from` on, in order, each with the number it was given; ids equal offsets in these tests.
 */
static int64_t read_all(struct bench *b, int64_t from)
{
    int64_t want = from, end = mr_log_end(b->log).v;
    while (want < end) {
        size_t got;
        assert_int_equal(
            mr_log_read(b->log, (mr_offset){want}, (mr_offset){end}, b->page, READ_MAX, &got, &err), MR_OK);
        for (size_t at = 0; at < got;) {
            struct mr_batch_header head;
            struct mr_record_walk walk;
            struct mr_record r;
            struct mr_buf scratch = {0};
            struct mr_slice rest = {b->page + at, got - at};
            assert_int_equal(mr_batch_header_read(rest, &head, &err), MR_OK);
            assert_int_equal(head.leader_epoch, 7);
            rest.len = (size_t)head.length + 12;
            assert_int_equal(mr_record_walk_begin(&walk, rest, &scratch, 1 << 20, &err), MR_OK);
            while (mr_record_walk_next(&walk, &r, &err) == MR_OK) {
                if (r.offset < want)
                    continue;
                assert_int_equal(r.offset, want);
                assert_int_equal(id_of(&r), (uint64_t)want);
                want++;
            }
            mr_buf_fini(&scratch);
            at += rest.len;
        }
    }
    return want - from;
}

static void offsets_count_records_from_zero(void **state)
{
    struct bench *b = *state;
    assert_int_equal(append(b, 3, 0), 0);
    assert_int_equal(append(b, 2, 0), 3);
    assert_int_equal(mr_log_end(b->log).v, 5);
    assert_int_equal(mr_log_synced(b->log).v, 0);
    assert_int_equal(read_all(b, 0), 5);
}

static void several_batches_in_one_append_are_one_write(void **state)
{
    struct bench *b = *state;
    struct mr_buf buf = {0};
    mr_offset base;
    append(b, 1, 0);
    put_batch(&buf, 1, 4, 10, 1);
    put_batch(&buf, 5, 1, 10, 2);
    put_batch(&buf, 6, 2, 10, 3);
    uint64_t writes = mr_sim_counts(b->w)->writes;
    assert_int_equal(mr_log_append(b->log, buf.p, buf.len, 7, 0, &base, &err), MR_OK);
    assert_int_equal(mr_sim_counts(b->w)->writes, writes + 1);
    assert_int_equal(base.v, 1);
    assert_int_equal(read_all(b, 0), 8);
    mr_buf_fini(&buf);
}

static void appending_takes_no_memory(void **state)
{
    struct bench *b = *state;
    struct mr_buf buf = {0};
    mr_offset base;
    put_batch(&buf, 1, 1, 10, 1);
    append(b, 1, 0);
    mr_alloc_fail_at(1);
    mr_code rc = mr_log_append(b->log, buf.p, buf.len, 7, 0, &base, &err);
    mr_alloc_fail_at(0);
    assert_int_equal(rc, MR_OK);
    mr_buf_fini(&buf);
}

static void reading_spans_segments(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 60; i++)
        append(b, 1 + i % 3, 300);
    assert_true(mr_log_bytes(b->log) > 4 * 4096);
    assert_int_equal(read_all(b, 0), (int64_t)b->next_id);
    for (int64_t from = 0; from < (int64_t)b->next_id; from += 7)
        assert_int_equal(read_all(b, from), (int64_t)b->next_id - from);
}

static void a_view_holds_whole_batches_below_the_bound(void **state)
{
    struct bench *b = *state;
    struct mr_log_view v;
    for (int i = 0; i < 10; i++)
        append(b, 2, 50);
    assert_int_equal(mr_log_find(b->log, (mr_offset){5}, (mr_offset){9}, 1 << 20, &v, &err), MR_OK);
    char bytes[4096];
    size_t got;
    assert_int_equal(mr_file_read(v.file, bytes, v.len, v.at, &got, &err), MR_OK);
    struct mr_batch_header h;
    int64_t last = -1;
    for (size_t at = 0; at < got; at += (size_t)h.length + 12) {
        assert_int_equal(mr_batch_header_read((struct mr_slice){bytes + at, got - at}, &h, &err), MR_OK);
        if (at == 0)
            assert_int_equal(h.base_offset, 4);
        last = h.base_offset + h.last_offset_delta;
    }
    assert_int_equal(last, 7); /* the batch 8..9 does not end below 9 */
    assert_int_equal(mr_log_find(b->log, (mr_offset){8}, (mr_offset){9}, 1 << 20, &v, &err), MR_END);
    assert_int_equal(mr_log_find(b->log, (mr_offset){21}, (mr_offset){99}, 1, &v, &err), MR_RANGE);
    assert_int_equal(mr_log_find(b->log, (mr_offset){20}, (mr_offset){99}, 1, &v, &err), MR_END);
    size_t whole = v.len;
    assert_int_equal(mr_log_find(b->log, (mr_offset){0}, (mr_offset){20}, 1, &v, &err), MR_OK);
    assert_true(v.len > 1 && v.len <= whole); /* at least one batch, whatever max_bytes says */
}

static void every_pair_of_bounds_gives_the_longest_view(void **state)
{
    struct bench *b = *state;
    b->config.segment_bytes = 1 << 20;
    mr_log_configure(b->log, &b->config);
    for (int i = 0; i < 120; i++)
        append(b, 1, (size_t)(i * 37 % 200));
    int64_t at[121], end = 0;
    struct mr_log_view v;
    for (int i = 0; i < 120; i++) {
        assert_int_equal(mr_log_find(b->log, (mr_offset){i}, (mr_offset){i + 1}, 1, &v, &err), MR_OK);
        at[i] = v.at;
        end = v.at + (int64_t)v.len;
    }
    at[120] = end;
    for (int i = 0; i < 120; i += 3)
        for (int below = i + 1; below <= 120; below += 5)
            for (size_t max = 1; max < 40000; max = max * 3 + 17) {
                assert_int_equal(mr_log_find(b->log, (mr_offset){i}, (mr_offset){below}, max, &v, &err),
                                 MR_OK);
                int last = i + 1;
                while (last < below && at[last + 1] - at[i] <= (int64_t)max)
                    last++;
                assert_int_equal(v.at, at[i]);
                assert_int_equal(v.len, at[last] - at[i]);
            }
}

static void waiting_syncs_share_one(void **state)
{
    struct bench *b = *state;
    struct answer a[20] = {0};
    append(b, 1, 0);
    sync_all(b);
    uint64_t syncs = mr_sim_counts(b->w)->syncs;
    for (int i = 0; i < 20; i++) {
        append(b, 1, 0);
        mr_log_sync(b->log, note, &a[i]);
    }
    assert_true(mr_sim_settle(b->sim, 1000));
    for (int i = 0; i < 20; i++)
        assert_int_equal(a[i].called, 1);
    assert_int_equal(mr_sim_counts(b->w)->syncs, syncs + 2); /* the first alone, the other 19 together */
    assert_int_equal(mr_log_synced(b->log).v, 21);
}

static void a_clean_open_reads_the_marker_alone(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 60; i++)
        append(b, 1, 300);
    sync_all(b);
    mr_log_close(b->log);
    uint64_t reads = mr_sim_counts(b->w)->reads, operations = mr_sim_counts(b->w)->operations;
    assert_int_equal(mr_log_open(b->w, "data/t-0", &b->config, &b->log, &err), MR_OK);
    assert_true(mr_sim_counts(b->w)->reads <= reads + 2);
    assert_int_equal(mr_sim_counts(b->w)->operations, operations);
    assert_int_equal(mr_log_end(b->log).v, 60);
    assert_int_equal(mr_log_synced(b->log).v, 60);
    assert_int_equal(read_all(b, 0), 60);
    append(b, 1, 300);
    reopen(b);
    assert_int_equal(read_all(b, 0), 61);
}

static void retention_by_bytes_keeps_the_newest(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 60; i++)
        append(b, 1, 300);
    sync_all(b);
    b->config.retention_bytes = 8192;
    mr_log_configure(b->log, &b->config);
    assert_int_equal(mr_log_retain(b->log, mr_wall(b->w), &err), MR_OK);
    assert_in_range(mr_log_bytes(b->log), 8192, 8192 + 4096);
    int64_t start = mr_log_start(b->log).v;
    assert_true(start > 0);
    assert_int_equal(read_all(b, start), 60 - start);
    struct mr_log_view v;
    assert_int_equal(mr_log_find(b->log, (mr_offset){start - 1}, (mr_offset){60}, 1, &v, &err), MR_RANGE);
    reopen(b);
    assert_int_equal(mr_log_start(b->log).v, start);
}

static void retention_never_drops_what_is_not_synced(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 60; i++)
        append(b, 1, 300);
    b->config.retention_bytes = 0;
    mr_log_configure(b->log, &b->config);
    assert_int_equal(mr_log_retain(b->log, mr_wall(b->w), &err), MR_OK);
    assert_int_equal(mr_log_start(b->log).v, 0);
}

/* Oldest first, and it stops at the first that stays: a hole in the middle of a log is not retention. */
static void retention_by_time_stops_at_the_first_segment_that_stays(void **state)
{
    struct bench *b = *state;
    b->config.retention_ms = 5000;
    b->config.segment_ms = -1;
    mr_log_configure(b->log, &b->config);
    for (int i = 0; i < 40; i++) { /* the third batch is from the future, as its producer says */
        struct mr_buf buf = {0};
        mr_offset base;
        put_batch(&buf, (uint64_t)i, 1, 1000, i == 2 ? 900000 : 1000 + i);
        assert_int_equal(mr_log_append(b->log, buf.p, buf.len, 1, (mr_ns)1000 * 1000000, &base, &err), MR_OK);
        mr_buf_fini(&buf);
    }
    sync_all(b);
    assert_int_equal(mr_log_retain(b->log, (mr_ns)500000 * 1000000, &err), MR_OK);
    assert_int_equal(mr_log_start(b->log).v, 0);
    assert_int_equal(mr_log_retain(b->log, (mr_ns)905000 * 1000000, &err), MR_OK);
    assert_int_equal(mr_log_start(b->log).v, 0); /* exactly at its age it stays */
    assert_int_equal(mr_log_retain(b->log, (mr_ns)905001 * 1000000, &err), MR_OK);
    assert_int_equal(mr_log_start(b->log).v, 40);
}

static void retention_by_time_rolls_what_is_due(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 30; i++)
        append_at(b, 1, 300, 1000 * i);
    sync_all(b);
    b->config.retention_ms = 5000;
    mr_log_configure(b->log, &b->config);
    assert_int_equal(mr_log_retain(b->log, (mr_ns)20000 * 1000000, &err), MR_OK);
    int64_t start = mr_log_start(b->log).v;
    assert_in_range(start, 1, 15); /* records from 15 s on are younger than 5 s, and live with older ones */
    assert_int_equal(mr_log_retain(b->log, (mr_ns)90000 * 1000000, &err), MR_OK);
    sync_all(b);
    assert_int_equal(mr_log_retain(b->log, (mr_ns)90000 * 1000000, &err), MR_OK);
    assert_int_equal(mr_log_start(b->log).v, 30);
    assert_int_equal(mr_log_end(b->log).v, 30);
    assert_int_equal(mr_log_bytes(b->log), 0);
    reopen(b);
    assert_int_equal(mr_log_end(b->log).v, 30);
    b->next_id = 30;
    assert_int_equal(append(b, 1, 0), 30);
}

static void trimming_survives_a_crash(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 60; i++)
        append(b, 1, 300);
    assert_int_equal(mr_log_trim(b->log, (mr_offset){25}, &err), MR_RANGE); /* not synced yet */
    sync_all(b);
    assert_int_equal(mr_log_trim(b->log, (mr_offset){25}, &err), MR_OK);
    assert_int_equal(mr_log_start(b->log).v, 25);
    mr_sim_crash(b->w);
    mr_log_close(b->log);
    mr_sim_restart(b->w);
    assert_int_equal(mr_log_open(b->w, "data/t-0", &b->config, &b->log, &err), MR_OK);
    assert_int_equal(mr_log_start(b->log).v, 25);
    assert_int_equal(read_all(b, 25), 35);
}

static void too_large_a_batch_is_refused_and_changes_nothing(void **state)
{
    struct bench *b = *state;
    struct mr_buf buf = {0};
    mr_offset base;
    b->config.max_batch_bytes = 200;
    mr_log_configure(b->log, &b->config);
    put_batch(&buf, 0, 1, 500, 1);
    assert_int_equal(mr_log_append(b->log, buf.p, buf.len, 7, 0, &base, &err), MR_LIMIT);
    assert_int_equal(mr_log_append(b->log, buf.p, 60, 7, 0, &base, &err), MR_BADDATA);
    assert_int_equal(mr_log_end(b->log).v, 0);
    mr_buf_fini(&buf);
}

static void a_full_disk_refuses_and_heals(void **state)
{
    struct bench *b = *state;
    struct mr_buf buf = {0};
    mr_offset base;
    for (int i = 0; i < 20; i++)
        append(b, 1, 300);
    mr_sim_faults(b->w)->capacity = mr_log_bytes(b->log) + 3000;
    int64_t end;
    for (;;) {
        buf.len = 0;
        put_batch(&buf, b->next_id, 1, 300, 5);
        end = mr_log_end(b->log).v;
        mr_code rc = mr_log_append(b->log, buf.p, buf.len, 7, 0, &base, &err);
        if (rc) {
            assert_int_equal(rc, MR_NOSPACE);
            break;
        }
        b->next_id++;
        assert_true(end < 100);
    }
    assert_int_equal(mr_log_end(b->log).v, end);
    assert_int_equal(read_all(b, 0), end);
    sync_all(b);
    mr_sim_faults(b->w)->capacity = 0;
    assert_int_equal(append(b, 1, 300), end);
    sync_all(b);
    reopen(b);
    assert_int_equal(read_all(b, 0), end + 1);
    mr_buf_fini(&buf);
}

static void a_failed_sync_is_final_until_recovery(void **state)
{
    struct bench *b = *state;
    struct answer a = {0}, late = {0};
    struct mr_buf buf = {0};
    mr_offset base;
    append(b, 5, 100);
    sync_all(b);
    append(b, 5, 100);
    mr_sim_faults(b->w)->fail_sync = 1;
    mr_log_sync(b->log, note, &a);
    assert_true(mr_sim_settle(b->sim, 100));
    assert_int_equal(a.rc, MR_IO);
    assert_int_equal(mr_log_synced(b->log).v, 5);
    put_batch(&buf, 10, 1, 0, 1);
    assert_int_equal(mr_log_append(b->log, buf.p, buf.len, 7, 0, &base, &err), MR_CORRUPT);
    mr_log_sync(b->log, note, &late);
    assert_true(mr_sim_settle(b->sim, 100));
    assert_int_equal(late.called, 1);
    assert_int_not_equal(late.rc, MR_OK);
    /* Opened anew, the cache shows all ten records, though the disk may lack some: what recovery takes must
     * be durable. */
    reopen(b);
    int64_t end = mr_log_synced(b->log).v;
    assert_in_range(end, 5, 10);
    mr_sim_faults(b->w)->lose_all = true;
    mr_sim_crash(b->w);
    mr_log_close(b->log);
    mr_sim_restart(b->w);
    assert_int_equal(mr_log_open(b->w, "data/t-0", &b->config, &b->log, &err), MR_OK);
    assert_int_equal(mr_log_end(b->log).v, end);
    assert_int_equal(read_all(b, 0), end);
    mr_buf_fini(&buf);
}

struct breaker {
    struct bench *b;
    int called;
};

static void break_the_log(void *arg, mr_code rc, int sys)
{
    struct breaker *k = arg;
    struct mr_err trouble = {0};
    (void)sys;
    k->called++;
    assert_int_equal(rc, MR_OK);
    mr_sim_faults(k->b->w)->fail_sync = 1;
    assert_int_equal(mr_log_trim(k->b->log, (mr_offset){1}, &trouble), MR_IO);
}

static void a_callback_that_breaks_the_log_leaves_nobody_waiting(void **state)
{
    struct bench *b = *state;
    struct breaker k = {.b = b};
    struct answer a = {0};
    append(b, 2, 0);
    mr_log_sync(b->log, break_the_log, &k);
    append(b, 1, 0);
    mr_log_sync(b->log, note, &a); /* the next round's */
    assert_true(mr_sim_settle(b->sim, 1000));
    assert_int_equal(k.called, 1);
    assert_int_equal(a.called, 1);
    assert_int_not_equal(a.rc, MR_OK);
}

static void closing_cancels_whoever_waits(void **state)
{
    struct bench *b = *state;
    struct answer a[2] = {0};
    append(b, 1, 0);
    mr_log_sync(b->log, note, &a[0]);
    append(b, 1, 0);
    mr_log_sync(b->log, note, &a[1]);
    reopen(b);
    assert_int_equal(a[0].rc, MR_CANCELLED);
    assert_int_equal(a[1].rc, MR_CANCELLED);
    assert_true(mr_sim_settle(b->sim, 100)); /* the sync that was running comes to nobody */
    assert_int_equal(a[0].called + a[1].called, 2);
    assert_int_equal(read_all(b, 0), 2);
}

static void time_is_found_to_the_record(void **state)
{
    struct bench *b = *state;
    mr_offset offset;
    int64_t ts;
    for (int i = 0; i < 100; i++)
        append_at(b, 3, 100, 10000 + i * 10); /* records at +0, +1, +2 */
    for (int round = 0; round < 2; round++) {
        for (int64_t ms = 9990; ms < 10992; ms++) {
            int64_t want = -1;
            for (int i = 0; i < 100 && want < 0; i++)
                for (int k = 0; k < 3 && want < 0; k++)
                    if (10000 + i * 10 + k >= ms)
                        want = i * 3 + k;
            assert_int_equal(mr_log_find_time(b->log, ms, &offset, &ts, &err), MR_OK);
            assert_int_equal(offset.v, want);
            if (want >= 0)
                assert_true(ts >= ms);
        }
        assert_int_equal(mr_log_find_time(b->log, 10993, &offset, &ts, &err), MR_OK);
        assert_int_equal(offset.v, -1);
        assert_int_equal(mr_log_find_max_time(b->log, &offset, &ts, &err), MR_OK);
        assert_int_equal(offset.v, 299);
        assert_int_equal(ts, 10992);
        sync_all(b);
        reopen(b);
    }
}

static void the_largest_time_need_not_be_the_last(void **state)
{
    struct bench *b = *state;
    mr_offset offset;
    int64_t ts;
    for (int i = 0; i < 40; i++)
        append_at(b, 1, 300, i == 17 ? 99999 : i);
    assert_int_equal(mr_log_find_max_time(b->log, &offset, &ts, &err), MR_OK);
    assert_int_equal(offset.v, 17);
    assert_int_equal(ts, 99999);
    assert_int_equal(mr_log_find_time(b->log, 50, &offset, &ts, &err), MR_OK);
    assert_int_equal(offset.v, 17);
}

static void an_old_segment_is_rolled_by_time(void **state)
{
    struct bench *b = *state;
    b->config.segment_ms = 1000;
    mr_log_configure(b->log, &b->config);
    append_at(b, 1, 0, 5000);
    append_at(b, 1, 0, 5900);
    struct mr_stat st;
    assert_int_equal(mr_stat_path(b->w, "data/t-0/00000000000000000002.log", &st, &err), MR_NOTFOUND);
    append_at(b, 1, 0, 6100);
    assert_int_equal(mr_stat_path(b->w, "data/t-0/00000000000000000002.log", &st, &err), MR_OK);
    assert_int_equal(read_all(b, 0), 3);
}

static void removing_leaves_nothing(void **state)
{
    struct bench *b = *state;
    struct mr_stat st;
    for (int i = 0; i < 30; i++)
        append(b, 1, 300);
    assert_int_equal(mr_log_remove(b->log, &err), MR_OK);
    b->log = NULL;
    assert_int_equal(mr_stat_path(b->w, "data/t-0", &st, &err), MR_NOTFOUND);
    assert_int_equal(mr_stat_path(b->w, "data", &st, &err), MR_OK);
}

static void opening_tells_when_there_is_no_memory(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 20; i++)
        append(b, 1, 300);
    mr_log_close(b->log);
    b->log = NULL;
    for (uint64_t n = 1;; n++) {
        mr_alloc_fail_at(n);
        mr_code rc = mr_log_open(b->w, "data/t-0", &b->config, &b->log, &err);
        mr_alloc_fail_at(0);
        if (rc == MR_OK)
            break;
        assert_int_equal(rc, MR_MEMORY);
        assert_true(n < 100);
    }
    assert_int_equal(read_all(b, 0), 20);
}

static void a_log_is_made_written_and_closed_without_waiting_for_the_disk(void **state)
{
    struct bench *b = *state;
    uint64_t before = mr_sim_counts(b->w)->waited;
    struct mr_log *log = NULL;
    assert_int_equal(mr_log_open(b->w, "data/t-1", &b->config, &log, &err), MR_OK);
    mr_log_close(log); /* never written */
    append(b, 3, 100);
    sync_all(b);
    for (int i = 0; i < 4; i++) { /* the last segment is another one */
        append(b, 5, 300);
        sync_all(b);
    }
    assert_true(mr_log_settled(b->log));
    reopen(b);
    assert_int_equal(mr_sim_counts(b->w)->waited, before);
    mr_sim_faults(b->w)->lose_all = true; /* the marker too, which nobody synced */
    mr_log_close(b->log);
    mr_sim_crash(b->w);
    mr_sim_restart(b->w);
    assert_int_equal(mr_log_open(b->w, "data/t-0", &b->config, &b->log, &err), MR_OK);
    assert_int_equal(mr_log_end(b->log).v, 23);
    assert_int_equal(read_all(b, 0), 23);
}

static void a_log_at_rest_has_no_file_open_and_goes_on_where_it_was(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 12; i++)
        append(b, 3, 300);
    assert_false(mr_log_rest(b->log)); /* not synced */
    sync_all(b);
    assert_int_equal(read_all(b, 0), 36);
    assert_true(mr_files_open(b->w) > 3);
    assert_true(mr_log_rest(b->log));
    assert_int_equal(mr_files_open(b->w), 0);
    assert_int_equal(read_all(b, 0), 36);
    assert_true(mr_log_rest(b->log));
    assert_int_equal(append(b, 2, 100), 36);
    sync_all(b);
    assert_true(mr_log_rest(b->log));
    mr_offset offset;
    int64_t ts;
    assert_int_equal(mr_log_find_time(b->log, 1000 + 36, &offset, &ts, &err), MR_OK);
    assert_int_equal(offset.v, 36);
    reopen(b);
    assert_int_equal(read_all(b, 0), 38);
    mr_sim_kill(b->w);
    mr_log_close(b->log);
    mr_sim_restart(b->w);
    assert_int_equal(mr_log_open(b->w, "data/t-0", &b->config, &b->log, &err), MR_OK);
    assert_int_equal(read_all(b, 0), 38);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(offsets_count_records_from_zero),
        T(several_batches_in_one_append_are_one_write),
        T(appending_takes_no_memory),
        T(reading_spans_segments),
        T(a_view_holds_whole_batches_below_the_bound),
        T(every_pair_of_bounds_gives_the_longest_view),
        T(waiting_syncs_share_one),
        T(a_clean_open_reads_the_marker_alone),
        T(retention_by_bytes_keeps_the_newest),
        T(retention_never_drops_what_is_not_synced),
        T(retention_by_time_stops_at_the_first_segment_that_stays),
        T(retention_by_time_rolls_what_is_due),
        T(trimming_survives_a_crash),
        T(too_large_a_batch_is_refused_and_changes_nothing),
        T(a_full_disk_refuses_and_heals),
        T(a_failed_sync_is_final_until_recovery),
        T(a_callback_that_breaks_the_log_leaves_nobody_waiting),
        T(closing_cancels_whoever_waits),
        T(time_is_found_to_the_record),
        T(the_largest_time_need_not_be_the_last),
        T(an_old_segment_is_rolled_by_time),
        T(removing_leaves_nothing),
        T(opening_tells_when_there_is_no_memory),
        T(a_log_is_made_written_and_closed_without_waiting_for_the_disk),
        T(a_log_at_rest_has_no_file_open_and_goes_on_where_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
