/* direct_test.c - the laws D1 to D5 of appends that go around the page cache, one story each. */
#include "log/batches.h"

#include "base/mem.h"
#include "log/log.h"
#include "log/pool.h"
#include "world/sim.h"

enum { READ_MAX = 80 << 20, QUIET_MS = 5000 };

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
    b->config.retention_ms = -1;
    b->config.max_batch_bytes = 8 << 20;
    b->config.pool = mr_log_pool_new(b->w);
    assert_non_null(b->config.pool);
    assert_int_equal(mr_log_open(b->w, "data/t-0", &b->config, &b->log, &err), MR_OK);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    mr_log_close(b->log);
    mr_log_pool_free(b->config.pool);
    mr_sim_free(b->sim); /* answers what was in the air: the last chunk takes the pool along */
    mr_free(b->page);
    mr_free(b);
    return 0;
}

static mr_code try_append(struct bench *b, int32_t count, size_t pad)
{
    struct mr_buf buf = {0};
    mr_offset base = {-1};
    put_batch(&buf, b->next_id, count, pad, 1000);
    mr_code rc = mr_log_append(b->log, buf.p, buf.len, 7, 1000000000, &base, &err);
    if (!rc)
        b->next_id += (uint64_t)count;
    mr_buf_fini(&buf);
    return rc;
}

static void append(struct bench *b, int32_t count, size_t pad)
{
    assert_int_equal(try_append(b, count, pad), MR_OK);
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
    assert_true(mr_sim_settle(b->sim, 1000));
    assert_int_equal(a.called, 1);
    assert_int_equal(a.rc, MR_OK);
}

static int64_t file_size(struct bench *b, const char *path)
{
    struct mr_stat st = {0};
    assert_int_equal(mr_stat_path(b->w, path, &st, &err), MR_OK);
    return st.size;
}

/* All records are there, in order, with their bytes. */
static void expect_all(struct bench *b)
{
    int64_t want = mr_log_start(b->log).v;
    while (want < mr_log_end(b->log).v) {
        size_t got;
        assert_int_equal(
            mr_log_read(b->log, (mr_offset){want}, mr_log_end(b->log), b->page, READ_MAX, &got, &err), MR_OK);
        for (size_t at = 0; at < got;) {
            struct mr_record_walk walk;
            struct mr_record r;
            assert_int_equal(
                mr_record_walk_begin(&walk, (struct mr_slice){b->page + at, got - at}, NULL, 0, &err), MR_OK);
            while (mr_record_walk_next(&walk, &r, &err) == MR_OK) {
                assert_int_equal(r.offset, want);
                assert_int_equal(id_of(&r), want);
                want++;
            }
            at += (size_t)walk.head.length + 12;
        }
    }
    assert_int_equal(want, b->next_id);
}

static const char FIRST[] = "data/t-0/00000000000000000000.log";

static void a_large_append_reaches_the_file_with_its_sync_and_is_read_all_the_same(void **state)
{
    struct bench *b = *state;
    append(b, 3, 100);
    assert_int_equal(mr_log_landed(b->log), 3); /* a small one is in the file at once */
    append(b, 2, 50000);
    int64_t small = file_size(b, FIRST);
    assert_true(small < 1000);
    assert_int_equal(mr_log_landed(b->log), 0);
    expect_all(b);
    struct answer a = {0};
    mr_log_sync(b->log, note, &a);
    append(b, 2, 60000); /* while it flies */
    append(b, 1, 10);
    assert_int_equal(file_size(b, FIRST), small);
    expect_all(b);
    assert_true(mr_sim_settle(b->sim, 1000));
    assert_int_equal(a.called, 1);
    assert_int_equal(mr_log_synced(b->log).v, 5);
    expect_all(b);
    sync_all(b);
    assert_int_equal(mr_log_landed(b->log), 8);
    assert_int_equal(file_size(b, FIRST), mr_log_bytes(b->log));
    expect_all(b);
}

static void a_log_that_is_read_goes_by_the_page_cache_until_it_was_quiet(void **state)
{
    struct bench *b = *state;
    struct mr_log_view view;
    append(b, 2, 50000);
    sync_all(b);
    assert_int_equal(mr_log_find(b->log, (mr_offset){0}, mr_log_synced(b->log), 100, &view, &err), MR_OK);
    append(b, 2, 50000);
    assert_int_equal(mr_log_landed(b->log), 4);
    assert_int_equal(file_size(b, FIRST), mr_log_bytes(b->log));
    sync_all(b);
    mr_sim_run_until(b->sim, mr_sim_now(b->sim) + QUIET_MS);
    append(b, 2, 50000);
    assert_int_equal(mr_log_landed(b->log), 4);
    expect_all(b);
}

static void the_first_reader_of_a_cold_segment_has_the_disk_asked_in_time_and_once(void **state)
{
    struct bench *b = *state;
    struct mr_log_view view;
    for (int i = 0; i < 100; i++)
        append(b, 2, 50000);
    sync_all(b);
    for (int pass = 0; pass < 2; pass++)
        for (int64_t at = 0; at < 200; at += 20) {
            assert_int_equal(
                mr_log_find(b->log, (mr_offset){at}, mr_log_synced(b->log), 1 << 20, &view, &err), MR_OK);
            int64_t asked = mr_sim_counts(b->w)->ahead, next = view.at + (int64_t)view.len + (1 << 20);
            assert_true(asked >= (next < mr_log_bytes(b->log) ? next : mr_log_bytes(b->log)));
        }
    assert_int_equal(mr_sim_counts(b->w)->ahead, mr_log_bytes(b->log));
    append(b, 1, 50000); /* goes by the page cache: nothing to ask for, except that nobody can tell */
    sync_all(b);
    assert_int_equal(mr_log_find(b->log, (mr_offset){200}, mr_log_synced(b->log), 1 << 20, &view, &err),
                     MR_OK);
    assert_int_equal(mr_sim_counts(b->w)->ahead, mr_log_bytes(b->log));
}

static void a_view_does_not_lead_to_what_is_not_in_the_file(void **state)
{
    struct bench *b = *state;
    struct mr_log_view view;
    append(b, 2, 50000);
    assert_int_equal(mr_log_find(b->log, (mr_offset){0}, mr_log_end(b->log), 100, &view, &err), MR_END);
    sync_all(b);
    assert_int_equal(mr_log_find(b->log, (mr_offset){0}, mr_log_end(b->log), 1 << 20, &view, &err), MR_OK);
    assert_int_equal(view.len, mr_log_bytes(b->log));
}

static void a_full_disk_keeps_what_flies_and_refuses_more_until_there_is_room(void **state)
{
    struct bench *b = *state;
    struct answer a = {0};
    append(b, 2, 50000);
    mr_sim_faults(b->w)->capacity = 50000;
    mr_log_sync(b->log, note, &a);
    mr_sim_run_until(b->sim, mr_sim_now(b->sim) + 1000);
    assert_int_equal(a.called, 0);
    assert_int_equal(try_append(b, 1, 10), MR_NOSPACE);
    expect_all(b);
    mr_sim_faults(b->w)->capacity = 0;
    assert_true(mr_sim_settle(b->sim, 1000));
    assert_int_equal(a.called, 1);
    assert_int_equal(a.rc, MR_OK);
    append(b, 1, 10);
    sync_all(b);
    expect_all(b);
}

static void a_log_closed_on_a_full_disk_comes_back_without_what_was_not_acknowledged(void **state)
{
    struct bench *b = *state;
    struct answer a = {0};
    append(b, 1, 10);
    sync_all(b);
    append(b, 2, 50000);
    mr_sim_faults(b->w)->capacity = 20000;
    mr_log_sync(b->log, note, &a);
    mr_sim_run_until(b->sim, mr_sim_now(b->sim) + 1000);
    mr_log_close(b->log);
    b->log = NULL;
    assert_int_equal(a.rc, MR_CANCELLED);
    mr_sim_faults(b->w)->capacity = 0;
    assert_int_equal(mr_log_open(b->w, "data/t-0", &b->config, &b->log, &err), MR_OK);
    assert_int_equal(mr_log_end(b->log).v, 1);
    b->next_id = 1;
    expect_all(b);
}

static void what_the_pool_has_no_room_for_goes_by_the_page_cache_behind_what_was_held(void **state)
{
    struct bench *b = *state;
    int most = MR_LOG_POOL_SLABS * MR_LOG_SLAB_CHUNKS * (MR_LOG_CHUNK / (64 << 10)) / 100;
    for (int i = 0; i < most; i++)
        append(b, 100, 65528);
    assert_int_equal(mr_log_landed(b->log), 0);
    append(b, 100, 65528);
    assert_int_equal(mr_log_landed(b->log), b->next_id); /* all of it */
    assert_int_equal(file_size(b, FIRST), mr_log_bytes(b->log));
    append(b, 2, 65528); /* there is room again */
    assert_int_equal(mr_log_landed(b->log), 0);
    expect_all(b);
    sync_all(b);
    assert_int_equal(file_size(b, FIRST), mr_log_bytes(b->log));
    expect_all(b);
}

static void a_roll_and_a_close_put_what_is_held_into_the_file(void **state)
{
    struct bench *b = *state;
    struct answer a = {0};
    b->config.segment_bytes = 250000;
    mr_log_configure(b->log, &b->config);
    append(b, 2, 50000);
    mr_log_sync(b->log, note, &a); /* flies while the segment is sealed */
    append(b, 2, 50000);
    append(b, 2, 50000); /* rolls */
    append(b, 2, 50000);
    assert_int_equal(file_size(b, FIRST) / 1000, 200);
    expect_all(b);
    mr_log_close(b->log);
    b->log = NULL;
    assert_int_equal(a.rc, MR_CANCELLED);
    assert_true(mr_sim_settle(b->sim, 1000));
    assert_int_equal(mr_log_open(b->w, "data/t-0", &b->config, &b->log, &err), MR_OK);
    assert_int_equal(mr_log_end(b->log).v, 8);
    expect_all(b);
}

static void a_log_whose_pool_is_taken_away_has_everything_in_its_file(void **state)
{
    struct bench *b = *state;
    struct mr_log_config without = b->config;
    without.pool = NULL;
    append(b, 2, 50000);
    assert_int_equal(mr_log_landed(b->log), 0);
    mr_log_configure(b->log, &without);
    assert_int_equal(mr_log_landed(b->log), 2);
    append(b, 2, 50000);
    assert_int_equal(mr_log_landed(b->log), 4);
    assert_int_equal(file_size(b, FIRST), mr_log_bytes(b->log));
}

static void the_pool_is_bounded_and_takes_chunks_back(void **state)
{
    enum { ALL = MR_LOG_POOL_SLABS * MR_LOG_SLAB_CHUNKS };
    struct bench *b = *state;
    struct mr_log_pool *pool = mr_log_pool_new(b->w);
    struct chunk *c[ALL];
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < ALL; i++) {
            c[i] = pool_take(pool);
            assert_non_null(c[i]);
            assert_int_equal((uintptr_t)c[i]->bytes % MR_FILE_BLOCK, 0);
            assert_int_equal(c[i]->used, 0);
            memset(c[i]->bytes, i, MR_LOG_CHUNK);
            c[i]->used = 1;
        }
        assert_null(pool_take(pool));
        for (int i = 0; i < ALL; i++) {
            assert_int_equal((unsigned char)c[i]->bytes[MR_LOG_CHUNK - 1], i & 255);
            if (i > 0 || round == 0)
                pool_give(pool, c[i]);
        }
    }
    mr_log_pool_free(pool); /* goes with its last chunk */
    pool_give(pool, c[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_large_append_reaches_the_file_with_its_sync_and_is_read_all_the_same, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_that_is_read_goes_by_the_page_cache_until_it_was_quiet, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            the_first_reader_of_a_cold_segment_has_the_disk_asked_in_time_and_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_view_does_not_lead_to_what_is_not_in_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_keeps_what_flies_and_refuses_more_until_there_is_room,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_log_closed_on_a_full_disk_comes_back_without_what_was_not_acknowledged, setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_the_pool_has_no_room_for_goes_by_the_page_cache_behind_what_was_held, setup, teardown),
        cmocka_unit_test_setup_teardown(a_roll_and_a_close_put_what_is_held_into_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(a_log_whose_pool_is_taken_away_has_everything_in_its_file, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_pool_is_bounded_and_takes_chunks_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
