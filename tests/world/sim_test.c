/* sim_test.c - the simulated world keeps its own promises, W1 to W5 and determinism. */
#include "base/mem.h"
#include "sim/seeds.h"
#include "world/sim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct mr_err err;

static struct mr_file *make(struct mr_world *w, const char *path)
{
    struct mr_file *f = NULL;
    assert_int_equal(mr_file_open(w, path, MR_FILE_WRITE | MR_FILE_CREATE, &f, &err), MR_OK);
    return f;
}

static void power_cycle(struct mr_world *w)
{
    mr_sim_crash(w);
    mr_sim_restart(w);
}

static void what_was_synced_survives_and_the_rest_may_not(void **state)
{
    int lost = 0, kept = 0, torn = 0;
    (void)state;
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(300); seed++) {
        struct mr_sim *s = mr_sim_new(seed);
        struct mr_world *w = mr_sim_node(s, 0);
        char bytes[4000], back[4000];
        size_t got;
        memset(bytes, 'a', sizeof bytes);
        struct mr_file *f = make(w, "x");
        assert_int_equal(mr_file_write(f, bytes, 1000, 0, &err), MR_OK);
        assert_int_equal(mr_file_sync(f, &err), MR_OK);
        assert_int_equal(mr_dir_sync(w, ".", &err), MR_OK);
        memset(bytes, 'b', sizeof bytes);
        assert_int_equal(mr_file_write(f, bytes, 3000, 1000, &err), MR_OK);
        mr_file_close(f);
        power_cycle(w);
        f = make(w, "x");
        assert_int_equal(mr_file_read(f, back, sizeof back, 0, &got, &err), MR_OK);
        assert_true(got >= 1000);
        for (int i = 0; i < 1000; i++) /* W1 */
            assert_int_equal(back[i], 'a');
        size_t new = 0;
        for (size_t i = 1000; i < got; i++)
            new += back[i] == 'b';
        lost += new == 0;
        kept += new == 3000;
        torn += new > 0 && new < 3000;
        mr_file_close(f);
        mr_sim_free(s);
    }
    if (mr_seed_end(300) - mr_seed_start() > 100)
        assert_true(lost > 20 && kept > 20 && torn > 20);
}

static void names_survive_as_a_prefix_and_renames_whole(void **state)
{
    int seen[5] = {0};
    (void)state;
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(200); seed++) {
        struct mr_sim *s = mr_sim_new(seed);
        struct mr_world *w = mr_sim_node(s, 0);
        struct mr_stat st;
        struct mr_file *f = make(w, "old");
        assert_int_equal(mr_file_write(f, "1", 1, 0, &err), MR_OK);
        assert_int_equal(mr_file_sync(f, &err), MR_OK);
        mr_file_close(f);
        assert_int_equal(mr_dir_sync(w, ".", &err), MR_OK);
        mr_file_close(make(w, "a"));
        f = make(w, "b");
        assert_int_equal(mr_file_write(f, "22", 2, 0, &err), MR_OK);
        assert_int_equal(mr_file_sync(f, &err), MR_OK);
        mr_file_close(f);
        assert_int_equal(mr_rename(w, "b", "old", &err), MR_OK);
        power_cycle(w);
        bool a = mr_stat_path(w, "a", &st, &err) == MR_OK, b = mr_stat_path(w, "b", &st, &err) == MR_OK;
        assert_int_equal(mr_stat_path(w, "old", &st, &err), MR_OK);
        bool moved = st.size == 2;
        assert_true(moved || st.size == 1);
        if (moved)
            assert_true(a && !b); /* W3, W5 */
        if (b)
            assert_true(a);
        seen[moved ? 3 : b ? 2 : a ? 1 : 0]++;
        mr_sim_free(s);
    }
    if (mr_seed_end(200) - mr_seed_start() > 100)
        for (int i = 0; i < 4; i++)
            assert_true(seen[i] > 10);
}

static void bytes_of_a_failed_sync_look_written_and_may_be_gone(void **state)
{
    int gone = 0;
    (void)state;
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(100); seed++) {
        struct mr_sim *s = mr_sim_new(seed);
        struct mr_world *w = mr_sim_node(s, 0);
        char back[4];
        size_t got;
        struct mr_file *f = make(w, "x");
        assert_int_equal(mr_dir_sync(w, ".", &err), MR_OK);
        assert_int_equal(mr_file_write(f, "abcd", 4, 0, &err), MR_OK);
        mr_sim_faults(w)->fail_sync = 1;
        assert_int_equal(mr_file_sync(f, &err), MR_IO);
        assert_int_equal(mr_file_read(f, back, 4, 0, &got, &err), MR_OK);
        assert_memory_equal(back, "abcd", 4);
        assert_int_equal(mr_file_sync(f, &err), MR_OK); /* W4: says so, and brings nothing back */
        mr_file_close(f);
        power_cycle(w);
        struct mr_stat st;
        assert_int_equal(mr_stat_path(w, "x", &st, &err), MR_OK);
        gone += st.size == 0;
        mr_sim_free(s);
    }
    if (mr_seed_end(100) - mr_seed_start() > 50)
        assert_in_range(gone, 20, 80);
}

static void a_full_disk_takes_a_part_and_heals(void **state)
{
    struct mr_sim *s = mr_sim_new(1);
    struct mr_world *w = mr_sim_node(s, 0);
    struct mr_file *f = make(w, "x");
    struct mr_stat st;
    char bytes[1000] = {0};
    (void)state;
    mr_sim_faults(w)->capacity = 1500;
    assert_int_equal(mr_file_write(f, bytes, 1000, 0, &err), MR_OK);
    assert_int_equal(mr_file_write(f, bytes, 1000, 1000, &err), MR_NOSPACE);
    assert_int_equal(mr_stat_path(w, "x", &st, &err), MR_OK);
    assert_int_equal(st.size, 1500);
    assert_int_equal(mr_file_write(f, bytes, 1000, 100, &err), MR_OK); /* in place */
    mr_sim_faults(w)->capacity = 0;
    assert_int_equal(mr_file_write(f, bytes, 1000, 1000, &err), MR_OK);
    mr_file_close(f);
    mr_sim_free(s);
}

static void a_kill_loses_nothing_written(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct mr_sim *s = mr_sim_new(seed);
        struct mr_world *w = mr_sim_node(s, 0);
        struct mr_stat st;
        struct mr_file *f = make(w, "x");
        assert_int_equal(mr_file_write(f, "abc", 3, 0, &err), MR_OK);
        mr_sim_kill(w);
        assert_int_equal(mr_file_write(f, "abc", 3, 3, &err), MR_IO);
        mr_file_close(f);
        mr_sim_restart(w);
        assert_int_equal(mr_stat_path(w, "x", &st, &err), MR_OK);
        assert_int_equal(st.size, 3);
        mr_sim_free(s);
    }
}

/* ---- the scheduler */

struct busy {
    struct mr_world *w;
    struct mr_timer t;
    struct mr_file *f;
    int left, answers;
    mr_code last;
};

static void on_synced(void *arg, mr_code rc, int sys)
{
    struct busy *b = arg;
    (void)sys;
    b->answers++;
    b->last = rc;
}
static void on_timer(void *arg)
{
    struct busy *b = arg;
    if (b->left-- == 0)
        return;
    if (mr_file_write(b->f, "x", 1, b->left, &err) == MR_OK)
        mr_file_sync_later(b->f, on_synced, b);
    mr_timer_set(b->w, &b->t, mr_now(b->w) + (mr_ms)(mr_random(b->w) % 20));
}

static uint64_t run(uint64_t seed)
{
    struct mr_sim *s = mr_sim_new(seed);
    struct busy b[3] = {0};
    for (uint32_t i = 0; i < 3; i++) {
        b[i].w = mr_sim_node(s, i);
        b[i].left = 50;
        b[i].f = make(b[i].w, "f");
        b[i].t.fire = on_timer;
        b[i].t.arg = &b[i];
        mr_timer_set(b[i].w, &b[i].t, 1000 + (mr_ms)i);
    }
    mr_sim_run_until(s, 1200);
    assert_int_equal(mr_sim_now(s), 1200);
    mr_sim_crash(b[1].w);
    assert_true(mr_sim_settle(s, 10000));
    assert_int_equal(b[0].answers, 50);
    int before = b[1].answers;
    assert_true(before < 50);
    mr_file_close(b[1].f);
    mr_sim_restart(b[1].w);
    if (b[1].answers > before)
        assert_int_equal(b[1].last, MR_CANCELLED);
    mr_file_close(b[0].f);
    mr_file_close(b[2].f);
    uint64_t digest = mr_sim_digest(s);
    mr_sim_free(s);
    return digest;
}

static void a_seed_replays_bit_for_bit(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        assert_true(run(seed) == run(seed));
        assert_true(run(seed) != run(seed + 1));
    }
}

struct worker {
    struct mr_world *w;
    int runs, answers;
    mr_code rc;
};

static void write_in_worker(void *arg)
{
    struct worker *k = arg;
    struct mr_file *f = make(k->w, "made");
    k->runs++;
    k->rc = mr_file_write(f, "bytes", 5, 0, &err);
    if (!k->rc)
        k->rc = mr_file_sync(f, &err);
    mr_file_close(f);
}

static void worked(void *arg, mr_code rc, int sys)
{
    struct worker *k = arg;
    (void)sys;
    k->answers++;
    k->rc = k->rc ? k->rc : rc;
}

static void work_is_an_event_that_nobody_waits_for(void **state)
{
    struct mr_sim *s = mr_sim_new(1);
    struct worker k = {.w = mr_sim_node(s, 0)};
    (void)state;
    mr_work(k.w, write_in_worker, worked, &k);
    assert_int_equal(k.runs + k.answers, 0);
    assert_true(mr_sim_settle(s, 100));
    assert_true(k.runs == 1 && k.answers == 1 && k.rc == MR_OK);
    assert_int_equal(mr_sim_counts(k.w)->syncs, 1);
    assert_int_equal(mr_sim_counts(k.w)->waited, 0);
    assert_int_equal(mr_files_open(k.w), 0);
    k = (struct worker){.w = k.w};
    mr_work(k.w, write_in_worker, worked, &k);
    mr_sim_crash(k.w);
    assert_true(mr_sim_settle(s, 100));
    assert_int_equal(k.runs + k.answers, 0);
    mr_sim_restart(k.w);
    assert_true(k.runs == 0 && k.answers == 1 && k.rc == MR_CANCELLED);
    mr_sim_free(s);
}

static void a_flush_keeps_all_that_was_written_before_it(void **state)
{
    (void)state;
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(50); seed++) {
        struct mr_sim *s = mr_sim_new(seed);
        struct worker k = {.w = mr_sim_node(s, 0)};
        struct mr_file *f[3];
        char path[16], back[600];
        size_t got;
        assert_int_equal(mr_mkdir(k.w, "d", &err), MR_OK);
        for (int i = 0; i < 3; i++) {
            (void)snprintf(path, sizeof path, i ? "d/%d" : "%d", i);
            f[i] = make(k.w, path);
            memset(back, 'a' + i, sizeof back);
            assert_int_equal(mr_file_write(f[i], back, sizeof back, 0, &err), MR_OK);
        }
        mr_disk_flush_later(k.w, "d", worked, &k);
        assert_int_equal(k.answers, 0);
        assert_true(mr_sim_settle(s, 100));
        assert_true(k.answers == 1 && k.rc == MR_OK);
        for (int i = 0; i < 3; i++)
            mr_file_close(f[i]);
        power_cycle(k.w);
        for (int i = 0; i < 3; i++) {
            (void)snprintf(path, sizeof path, i ? "d/%d" : "%d", i);
            assert_int_equal(mr_file_open(k.w, path, MR_FILE_READ, &f[i], &err), MR_OK);
            assert_int_equal(mr_file_read(f[i], back, sizeof back, 0, &got, &err), MR_OK);
            assert_int_equal(got, sizeof back);
            assert_int_equal(back[599], 'a' + i);
            mr_file_close(f[i]);
        }
        mr_sim_free(s);
    }
}

/* ---- writes that come with a sync */

static void a_write_with_a_sync_is_seen_when_it_is_done_and_then_survives(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct mr_sim *s = mr_sim_new(seed);
        struct mr_world *w = mr_sim_node(s, 0);
        struct busy b = {.w = w, .f = make(w, "f")};
        char block[MR_FILE_BLOCK], read[8];
        size_t got;
        memset(block, 'a', sizeof block);
        struct mr_slice parts[2] = {{block, sizeof block}, {"tail", 4}};
        assert_int_equal(mr_dir_sync(w, ".", &err), MR_OK);
        mr_file_write_later(b.f, parts, 2, 0, on_synced, &b);
        assert_int_equal(mr_file_read(b.f, read, 8, 0, &got, &err), MR_OK);
        assert_int_equal(got, 0); /* the worker has not been there yet */
        assert_true(mr_sim_settle(s, 100));
        assert_int_equal(b.answers, 1);
        assert_int_equal(b.last, MR_OK);
        mr_file_close(b.f);
        mr_sim_faults(w)->lose_all = true;
        mr_sim_crash(w);
        mr_sim_restart(w);
        assert_int_equal(mr_file_open(w, "f", MR_FILE_WRITE, &b.f, &err), MR_OK);
        assert_int_equal(mr_file_read(b.f, read, 8, MR_FILE_BLOCK - 4, &got, &err), MR_OK);
        assert_int_equal(got, 8);
        assert_memory_equal(read, "aaaatail", 8);
        mr_sim_faults(w)->capacity = MR_FILE_BLOCK + 100;
        mr_file_write_later(b.f, parts, 1, MR_FILE_BLOCK, on_synced, &b);
        assert_true(mr_sim_settle(s, 100));
        assert_int_equal(b.last, MR_NOSPACE);
        mr_sim_faults(w)->capacity = 0;
        mr_file_write_later(b.f, parts, 1, MR_FILE_BLOCK, on_synced, &b);
        mr_sim_crash(w); /* it is answered all the same */
        mr_file_close(b.f);
        mr_sim_restart(w);
        assert_int_equal(b.answers, 3);
        assert_int_equal(b.last, MR_CANCELLED);
        mr_sim_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_synced_survives_and_the_rest_may_not),
        cmocka_unit_test(names_survive_as_a_prefix_and_renames_whole),
        cmocka_unit_test(bytes_of_a_failed_sync_look_written_and_may_be_gone),
        cmocka_unit_test(a_full_disk_takes_a_part_and_heals),
        cmocka_unit_test(a_kill_loses_nothing_written),
        cmocka_unit_test(a_seed_replays_bit_for_bit),
        cmocka_unit_test(work_is_an_event_that_nobody_waits_for),
        cmocka_unit_test(a_flush_keeps_all_that_was_written_before_it),
        cmocka_unit_test(a_write_with_a_sync_is_seen_when_it_is_done_and_then_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
