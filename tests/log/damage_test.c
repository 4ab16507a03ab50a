/* damage_test.c - flipped bits and cut files, in every file of a log, after a clean close and after a kill.
 *
 * Whatever is hurt: the log opens (or says which file cannot be read), and no record is given out that is not
 * the one that was appended at its offset (L3). What does not hold records (indexes, marker, recovery point)
 * costs no record at all.
 */
#include "log/batches.h"

#include "base/mem.h"
#include "log/log.h"
#include "world/sim.h"

enum { RECORDS = 200, PAGE = 1 << 18 };

static struct mr_err err;
static char page[PAGE];

struct bench {
    struct mr_sim *sim;
    struct mr_world *w;
    struct mr_log *log;
    struct mr_log_config config;
};

static void nothing(void *arg, mr_code rc, int sys)
{
    (void)sys;
    *(mr_code *)arg = rc;
}

static void build(struct bench *b, bool clean, int64_t segment_bytes)
{
    mr_code rc = MR_IO;
    struct mr_buf buf = {0};
    b->sim = mr_sim_new(3);
    b->w = mr_sim_node(b->sim, 0);
    mr_log_config_init(&b->config);
    b->config.segment_bytes = segment_bytes;
    b->config.index_interval_bytes = 200;
    assert_int_equal(mr_log_open(b->w, "t", &b->config, &b->log, &err), MR_OK);
    for (uint64_t id = 0; id < RECORDS; id += 2) {
        mr_offset base;
        buf.len = 0;
        put_batch(&buf, id, 2, id % 90, 5000 + (int64_t)id);
        assert_int_equal(mr_log_append(b->log, buf.p, buf.len, 1, 0, &base, &err), MR_OK);
    }
    mr_buf_fini(&buf);
    mr_log_sync(b->log, nothing, &rc);
    assert_true(mr_sim_settle(b->sim, 100));
    assert_int_equal(rc, MR_OK);
    if (!clean)
        mr_sim_kill(b->w);
    mr_log_close(b->log);
    b->log = NULL;
    if (!clean)
        mr_sim_restart(b->w);
}

static mr_code reopen(struct bench *b)
{
    b->log = NULL;
    mr_code rc = mr_log_open(b->w, "t", &b->config, &b->log, &err);
    assert_true(rc == MR_OK || (rc == MR_CORRUPT && err.text[0]));
    return rc;
}

/* How many records can be read; none may be wrong. */
static int readable(struct bench *b)
{
    int count = 0;
    int64_t end = mr_log_end(b->log).v;
    assert_int_equal(end, RECORDS); /* all was synced: the end never falls */
    for (int64_t want = mr_log_start(b->log).v; want < end;) {
        size_t got;
        mr_code rc = mr_log_read(b->log, (mr_offset){want}, (mr_offset){end}, page, PAGE, &got, &err);
        if (rc != MR_OK) {
            if (rc != MR_CORRUPT)
                fail_msg("offset %lld: %d %s", (long long)want, rc, err.text);
            assert_non_null(strstr(err.text, "t/0"));
            want++;
            continue;
        }
        for (size_t at = 0; at < got;) {
            struct mr_batch_header head;
            struct mr_record_walk walk;
            struct mr_record r;
            struct mr_buf scratch = {0};
            struct mr_slice rest = {page + at, got - at};
            assert_int_equal(mr_batch_header_read(rest, &head, &err), MR_OK);
            rest.len = (size_t)head.length + 12;
            assert_int_equal(mr_record_walk_begin(&walk, rest, &scratch, PAGE, &err), MR_OK);
            while (mr_record_walk_next(&walk, &r, &err) == MR_OK) {
                if (r.offset < want)
                    continue;
                assert_int_equal(r.offset, want);
                assert_int_equal(id_of(&r), want); /* L3 */
                count++;
                want++;
            }
            mr_buf_fini(&scratch);
            at += rest.len;
        }
    }
    return count;
}

struct names {
    char name[64][32];
    int count;
};
static void add_name(void *arg, const char *name)
{
    struct names *n = arg;
    assert_true(n->count < 64);
    (void)snprintf(n->name[n->count++], 32, "%s", name);
}

static void hurt_everywhere(bool clean, bool cut)
{
    struct names names = {0};
    struct bench b;
    build(&b, clean, 4096);
    assert_int_equal(mr_dir_list(b.w, "t", add_name, &names, &err), MR_OK);
    mr_sim_free(b.sim);
    assert_true(names.count >= 10);
    for (int i = 0; i < names.count; i++) {
        char path[64];
        struct mr_stat st;
        (void)snprintf(path, sizeof path, "t/%s", names.name[i]);
        bool holds_records = strstr(path, ".log") != NULL;
        build(&b, clean, 4096);
        assert_int_equal(mr_stat_path(b.w, path, &st, &err), MR_OK);
        mr_sim_free(b.sim);
        for (int64_t at = 0; at < st.size; at += at < 130 ? 1 : 37) {
            build(&b, clean, 4096);
            if (cut) {
                struct mr_file *f;
                assert_int_equal(mr_file_open(b.w, path, MR_FILE_WRITE, &f, &err), MR_OK);
                assert_int_equal(mr_file_truncate(f, at, &err), MR_OK);
                mr_file_close(f);
            } else {
                assert_true(mr_sim_flip(b.w, path, at, (int)(at % 8)));
            }
            (void)reopen(&b);
            if (!b.log)
                fail_msg("'%s' hurt at %lld: the log does not open: %s", path, (long long)at, err.text);
            int count = readable(&b);
            if (!holds_records && count != RECORDS)
                fail_msg("'%s' hurt at %lld: only %d records can be read", path, (long long)at, count);
            if (holds_records && !cut && count < RECORDS - 80)
                fail_msg("'%s' flipped at %lld: only %d records can be read", path, (long long)at, count);
            mr_offset offset;
            int64_t ts;
            mr_code rc = mr_log_find_time(b.log, 5000 + 150, &offset, &ts, &err);
            if (!holds_records) {
                assert_int_equal(rc, MR_OK);
                assert_int_equal(offset.v, 150);
            }
            mr_log_close(b.log);
            (void)reopen(&b); /* and what was put right stays right */
            assert_non_null(b.log);
            assert_true(readable(&b) >= count);
            mr_log_close(b.log);
            mr_sim_free(b.sim);
        }
    }
}

static void any_bit_flipped_after_a_clean_close_gives_no_wrong_record(void **state)
{
    (void)state;
    hurt_everywhere(true, false);
}
static void any_bit_flipped_after_a_kill_gives_no_wrong_record(void **state)
{
    (void)state;
    hurt_everywhere(false, false);
}
static void any_file_cut_after_a_clean_close_gives_no_wrong_record(void **state)
{
    (void)state;
    hurt_everywhere(true, true);
}
static void any_file_cut_after_a_kill_gives_no_wrong_record(void **state)
{
    (void)state;
    hurt_everywhere(false, true);
}

static void a_missing_index_is_made_again(void **state)
{
    static const char *const suffixes[] = {".index", ".timeindex"};
    (void)state;
    for (int clean = 0; clean < 2; clean++)
        for (int i = 0; i < 2; i++) {
            struct bench b;
            char path[64];
            build(&b, clean, 1 << 20);
            (void)snprintf(path, sizeof path, "t/%020d%s", 0, suffixes[i]);
            assert_int_equal(mr_unlink(b.w, path, &err), MR_OK);
            assert_int_equal(reopen(&b), MR_OK);
            assert_int_equal(readable(&b), RECORDS);
            mr_log_close(b.log);
            mr_sim_free(b.sim);
        }
}

/* Found by the fuzzer: damage that begins where the file ends was stepped over for ever. */
static void a_segment_that_ends_early_can_be_looked_up(void **state)
{
    struct bench b;
    struct mr_file *f;
    size_t got;
    (void)state;
    build(&b, false, 1 << 20);
    assert_int_equal(mr_file_open(b.w, "t/00000000000000000000.log", MR_FILE_WRITE, &f, &err), MR_OK);
    assert_int_equal(mr_file_truncate(f, 4000, &err), MR_OK);
    mr_file_close(f);
    assert_int_equal(reopen(&b), MR_CORRUPT);
    assert_int_equal(mr_log_read(b.log, (mr_offset){7}, (mr_offset){RECORDS}, page, PAGE, &got, &err), MR_OK);
    assert_in_range(readable(&b), 20, 100);
    mr_log_close(b.log);
    mr_sim_free(b.sim);
}

/* A batch in the middle that was never confirmed as synced is damaged, and good ones follow. */
static void damage_in_the_middle_is_refused_by_name_and_the_rest_served(void **state)
{
    struct bench b;
    size_t got;
    (void)state;
    build(&b, false, 1 << 20);
    /* Both slots of the recovery point gone: everything is looked at again. */
    assert_true(mr_sim_flip(b.w, "t/recovery", 100, 1));
    assert_true(mr_sim_flip(b.w, "t/recovery", 512 + 100, 1));
    assert_true(mr_sim_flip(b.w, "t/00000000000000000000.log", 5000, 3));
    assert_int_equal(reopen(&b), MR_CORRUPT);
    assert_non_null(b.log);
    assert_non_null(strstr(err.text, "t/00000000000000000000.log' is damaged at byte "));
    assert_int_equal(readable(&b), RECORDS - 2);
    for (int round = 0; round < 2;
         round++) { /* known after a clean close and after a kill, and stays refused */
        int refused = 0;
        for (int64_t i = 0; i < RECORDS; i++)
            refused += mr_log_read(b.log, (mr_offset){i}, (mr_offset){RECORDS}, page, PAGE, &got, &err) ==
                       MR_CORRUPT;
        assert_int_equal(refused, 2);
        if (round == 1)
            mr_sim_kill(b.w);
        mr_log_close(b.log);
        if (round == 1)
            mr_sim_restart(b.w);
        assert_int_equal(reopen(&b), MR_OK);
    }
    mr_log_close(b.log);
    mr_sim_free(b.sim);
}

/* Power was lost: of two batches that nobody had an answer for, the disk took the second alone. */
static void a_write_that_never_came_is_cut_with_all_behind_it(void **state)
{
    struct bench b;
    struct mr_buf buf = {0};
    struct mr_file *f;
    mr_offset base;
    char zeros[2000] = {0};
    (void)state;
    build(&b, true, 1 << 20);
    assert_int_equal(reopen(&b), MR_OK);
    int64_t synced = mr_log_bytes(b.log);
    put_batch(&buf, RECORDS, 2, sizeof zeros, 9000);
    assert_int_equal(mr_log_append(b.log, buf.p, buf.len, 1, 0, &base, &err), MR_OK);
    size_t first = buf.len;
    buf.len = 0;
    put_batch(&buf, RECORDS + 2, 2, 40, 9001);
    assert_int_equal(mr_log_append(b.log, buf.p, buf.len, 1, 0, &base, &err), MR_OK);
    assert_int_equal(mr_file_open(b.w, "t/00000000000000000000.log", MR_FILE_WRITE, &f, &err), MR_OK);
    assert_true(first > sizeof zeros);
    assert_int_equal(mr_file_write(f, zeros, sizeof zeros, synced, &err), MR_OK);
    mr_file_close(f);
    mr_sim_kill(b.w);
    mr_log_close(b.log);
    mr_sim_restart(b.w);
    assert_int_equal(reopen(&b), MR_OK);
    assert_int_equal(mr_log_end(b.log).v, RECORDS);
    assert_int_equal(mr_log_bytes(b.log), synced);
    assert_int_equal(readable(&b), RECORDS);
    mr_log_close(b.log);
    mr_sim_free(b.sim);
    mr_buf_fini(&buf);
}

static void an_unreadable_disk_is_an_error_not_a_loss(void **state)
{
    (void)state;
    for (uint64_t n = 1; n < 12; n++) {
        struct bench b;
        build(&b, n % 2, 4096);
        mr_sim_faults(b.w)->fail_read = n;
        mr_code rc = mr_log_open(b.w, "t", &b.config, &b.log, &err);
        if (rc == MR_OK) {
            size_t got;
            rc = mr_log_read(b.log, (mr_offset){100}, (mr_offset){RECORDS}, page, PAGE, &got, &err);
            assert_true(rc == MR_OK || rc == MR_IO);
        } else {
            assert_int_equal(rc, MR_IO);
            mr_sim_faults(b.w)->fail_read = 0;
            assert_int_equal(reopen(&b), MR_OK);
        }
        mr_sim_faults(b.w)->fail_read = 0;
        assert_int_equal(readable(&b), RECORDS);
        mr_log_close(b.log);
        mr_sim_free(b.sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_bit_flipped_after_a_clean_close_gives_no_wrong_record),
        cmocka_unit_test(any_bit_flipped_after_a_kill_gives_no_wrong_record),
        cmocka_unit_test(any_file_cut_after_a_clean_close_gives_no_wrong_record),
        cmocka_unit_test(any_file_cut_after_a_kill_gives_no_wrong_record),
        cmocka_unit_test(a_missing_index_is_made_again),
        cmocka_unit_test(a_segment_that_ends_early_can_be_looked_up),
        cmocka_unit_test(damage_in_the_middle_is_refused_by_name_and_the_rest_served),
        cmocka_unit_test(a_write_that_never_came_is_cut_with_all_behind_it),
        cmocka_unit_test(an_unreadable_disk_is_an_error_not_a_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
