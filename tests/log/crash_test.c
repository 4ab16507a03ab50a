/* crash_test.c - the laws of the log, with the power going at every single operation of the disk.
 *
 * A seeded story of appends, syncs, retention, trims and restarts is told once to count its operations; then
 * once for each operation with a crash there. After recovery: L1  every record that a sync acknowledged is
 * readable, with its bytes L2  the end is not below what was acknowledged, and new records come behind
 * everything that is readable L3  whatever is readable at an offset is what was appended there Then the story
 * goes on, closes cleanly, and the same must hold again.
 *
 * What L2 means between append and sync: an offset that was handed out but not acknowledged may be handed out
 * again after a crash, for another record, when the first one did not survive. Whoever shows records below
 * `synced` alone never sees that.
 */
#include "log/batches.h"

#include "base/mem.h"
#include "base/prng.h"
#include "log/log.h"
#include "sim/seeds.h"
#include "world/sim.h"

enum { OFFSETS = 4096, STEPS = 28, PAGE = 1 << 18 };

struct story {
    uint64_t seed, crash_at;
    struct mr_sim *sim;
    struct mr_world *w;
    struct mr_log *log;
    struct mr_log_config config;
    struct mr_log_pool *pool; /* half of the stories: appends that go around the page cache */
    struct mr_prng choice;
    uint64_t id[OFFSETS]; /* what was last appended at each offset */
    uint64_t next_id;
    int64_t end, acked, start, trimmed; /* start: the highest that retention may have reached */
    bool damaged;
    char *page;
    const char *wrong;
};

struct sync_call {
    struct story *s;
    int64_t end;
};

static bool differ(struct story *s, const char *what)
{
    if (!s->wrong)
        s->wrong = what;
    return false;
}

static void synced(void *arg, mr_code rc, int sys)
{
    struct sync_call *c = arg;
    (void)sys;
    if (rc == MR_OK && c->end > c->s->acked)
        c->s->acked = c->end;
    mr_free(c);
}

static bool append_some(struct story *s)
{
    struct mr_buf buf = {0};
    mr_offset base;
    struct mr_err err;
    uint64_t first = s->next_id;
    int batches = 1 + (int)mr_prng_below(&s->choice, 3);
    for (int i = 0; i < batches; i++) {
        int32_t count = 1 + (int32_t)mr_prng_below(&s->choice, 4);
        put_batch(&buf, s->next_id, count, mr_prng_below(&s->choice, 700), (int64_t)s->next_id);
        s->next_id += (uint64_t)count;
    }
    mr_code rc = mr_log_append(s->log, buf.p, buf.len, 1, mr_wall(s->w), &base, &err);
    int64_t at = rc ? s->end : base.v;
    if (rc == MR_OK && at != s->end)
        return mr_buf_fini(&buf), differ(s, "append: offsets do not go on where they ended");
    /* A failed one may have reached the disk all the same: recovery may find it. */
    for (uint64_t id = first; id < s->next_id && at < OFFSETS; id++)
        s->id[at++] = id;
    if (rc == MR_OK)
        s->end = at;
    mr_buf_fini(&buf);
    return true;
}

/* Reads [from, upto) and compares. *reached: how far it got. */
static bool check_range(struct story *s, int64_t from, int64_t upto, bool must, const char *what)
{
    struct mr_err err;
    int64_t want = from;
    while (want < upto) {
        size_t got;
        mr_code rc = mr_log_read(s->log, (mr_offset){want}, mr_log_end(s->log), s->page, PAGE, &got, &err);
        if (mr_sim_is_down(s->w))
            return true;
        if (rc != MR_OK) {
            if (must || rc != MR_CORRUPT) {
                print_message("offset %lld: %s\n", (long long)want, err.text);
                return differ(s, what);
            }
            want++; /* a damaged range: refused, as it must be */
            continue;
        }
        for (size_t at = 0; at < got;) {
            struct mr_batch_header head;
            struct mr_record_walk walk;
            struct mr_record r;
            struct mr_buf scratch = {0};
            struct mr_slice rest = {s->page + at, got - at};
            if (mr_batch_header_read(rest, &head, &err))
                return differ(s, "read: not whole batches");
            rest.len = (size_t)head.length + 12;
            if (mr_record_walk_begin(&walk, rest, &scratch, PAGE, &err))
                return differ(s, "read: a batch that cannot be walked");
            while (mr_record_walk_next(&walk, &r, &err) == MR_OK) {
                if (r.offset < want)
                    continue;
                if (r.offset != want)
                    return differ(s, "read: an offset is missing");
                if (id_of(&r) != s->id[want])
                    return differ(s, "L3: another record than was appended here");
                want++;
            }
            mr_buf_fini(&scratch);
            at += rest.len;
        }
    }
    return true;
}

static bool check_all(struct story *s)
{
    int64_t start = mr_log_start(s->log).v, end = mr_log_end(s->log).v;
    if (start < s->trimmed)
        return differ(s, "a trim was forgotten");
    if (end < s->acked)
        return differ(s, "L2: the end fell below what was acknowledged");
    if (mr_log_synced(s->log).v > end || start > mr_log_synced(s->log).v)
        return differ(s, "start <= synced <= end does not hold");
    if (start > s->acked && start > s->start)
        return differ(s, "L1: the start passed records that nobody dropped");
    return check_range(s, start, s->acked < end ? s->acked : end, true,
                       "L1: an acknowledged record cannot be read") &&
           check_range(s, start, end, !s->damaged, "a record that was kept cannot be read");
}

/* What a view leads to is in the file. After it the log is one that is read, for a while. */
static bool check_view(struct story *s)
{
    struct mr_log_view v = {0};
    struct mr_err err;
    size_t got = 0;
    int64_t at = mr_log_start(s->log).v;
    while (mr_log_find(s->log, (mr_offset){at}, mr_log_end(s->log), PAGE, &v, &err) == MR_OK) {
        if (mr_file_read(v.file, s->page, v.len, v.at, &got, &err))
            return true; /* the disk is gone */
        struct mr_batch_header head;
        for (size_t i = 0; i < v.len; i += (size_t)head.length + 12) {
            struct mr_slice rest = {s->page + i, got - i};
            if (got != v.len || mr_batch_header_read(rest, &head, &err) || !mr_batch_crc_ok(rest))
                return differ(s, "a view leads to what is not in the file");
            at = head.base_offset + head.last_offset_delta + 1;
        }
    }
    return true;
}

static mr_code open_log(struct story *s)
{
    struct mr_err err = {0};
    mr_code rc = mr_log_open(s->w, "d/t-0", &s->config, &s->log, &err);
    if (mr_sim_is_down(s->w) || rc == MR_OK)
        return rc;
    if (rc == MR_CORRUPT && s->log) {
        s->damaged = true;
        return MR_OK;
    }
    differ(s, "the log does not open");
    return rc;
}

static bool step(struct story *s)
{
    struct mr_err err;
    uint64_t dice = mr_prng_below(&s->choice, 20);
    if (dice < 10)
        return append_some(s);
    if (dice < 14) {
        struct sync_call *c = mr_need(sizeof *c);
        *c = (struct sync_call){s, mr_log_end(s->log).v};
        mr_log_sync(s->log, synced, c);
        for (uint64_t n = mr_prng_below(&s->choice, 6); n > 0 && !mr_sim_is_down(s->w); n--)
            (void)mr_sim_step(s->sim);
        return true;
    }
    if (dice == 14) {
        if (mr_prng_below(&s->choice, 3) == 0)
            return check_view(s);
        if (mr_prng_below(&s->choice, 3) == 0) {
            (void)mr_log_rest(s->log); /* whenever it may */
            return true;
        }
        (void)mr_sim_settle(s->sim, 1000);
        return true;
    }
    if (dice == 15) {
        int64_t most = mr_log_synced(s->log).v; /* what retention may drop */
        if (most > s->start)
            s->start = most;
        (void)mr_log_retain(s->log, mr_wall(s->w), &err);
        return true;
    }
    if (dice == 16) {
        int64_t from = mr_log_start(s->log).v, to = mr_log_synced(s->log).v;
        int64_t start = from + (int64_t)mr_prng_below(&s->choice, (uint64_t)(to - from) + 1);
        if (start > s->start)
            s->start = start;
        if (mr_log_trim(s->log, (mr_offset){start}, &err) == MR_OK && start > s->trimmed)
            s->trimmed = start;
        return true;
    }
    if (dice == 17) {
        mr_log_close(s->log);
        s->log = NULL;
        if (mr_sim_is_down(s->w))
            return true;
        if (mr_prng_below(&s->choice, 4) == 0) { /* the process dies without a word */
            mr_sim_kill(s->w);
            mr_sim_restart(s->w);
        }
        return open_log(s) != MR_OK || mr_sim_is_down(s->w) || check_all(s);
    }
    return check_all(s);
}

static void begin(struct story *s, uint64_t seed, uint64_t crash_at)
{
    char *page = s->page;
    memset(s, 0, sizeof *s);
    s->page = page;
    s->seed = seed;
    s->crash_at = crash_at;
    s->sim = mr_sim_new(seed);
    s->w = mr_sim_node(s->sim, 0);
    mr_sim_faults(s->w)->crash_at = crash_at;
    mr_sim_faults(s->w)->keep_all = seed % 7 == 5;
    mr_sim_faults(s->w)->lose_all = seed % 7 == 6;
    mr_prng_seed(&s->choice, seed * 31 + 7);
    mr_log_config_init(&s->config);
    s->config.segment_bytes = seed % 3 == 0 ? 1 << 20 : 4096;
    s->config.index_interval_bytes = seed % 2 ? 1 : 1000;
    s->config.retention_bytes = 12000;
    s->config.retention_ms = -1;
    s->config.segment_ms = -1;
    s->pool = mr_log_pool_new(s->w);
    assert_non_null(s->pool);
    s->config.pool = seed / 3 % 2 ? s->pool : NULL;
    s->config.direct_bytes = seed % 5 ? 1 : 1500; /* now this way, now that */
    s->config.file_delete_delay_ms = seed % 4 == 1 ? 20 : 0;
}

static void tell(struct story *s)
{
    if (open_log(s) != MR_OK)
        return;
    for (int i = 0; i < STEPS && !s->wrong && !mr_sim_is_down(s->w) && s->end < OFFSETS - 64; i++)
        (void)step(s);
}

/* After the crash: what is there now is the truth for what lies above the acknowledged. */
static void go_on(struct story *s)
{
    mr_log_close(s->log);
    s->log = NULL;
    mr_sim_restart(s->w);
    mr_sim_faults(s->w)->crash_at = 0;
    if (open_log(s) != MR_OK || !check_all(s))
        return;
    s->end = mr_log_end(s->log).v;
    for (int i = 0; i < 4 && !s->wrong; i++)
        (void)append_some(s);
    struct sync_call *c = mr_need(sizeof *c);
    *c = (struct sync_call){s, mr_log_end(s->log).v};
    mr_log_sync(s->log, synced, c);
    if (!mr_sim_settle(s->sim, 1000) || s->acked != s->end) {
        differ(s, "after recovery a sync does not succeed");
        return;
    }
    bool damaged = s->damaged;
    for (int i = 0; i < 2 && !s->wrong;
         i++) { /* once more unclean, once clean; damage that is known stays known */
        /* what was acknowledged before the damage was checked above; from here on damage may lie below acked
         */
        if (damaged) {
            (void)check_range(s, mr_log_start(s->log).v, s->end, false, "after recovery: unreadable");
        } else if (!check_all(s)) {
            return;
        }
        if (i == 0)
            mr_sim_crash(s->w);
        mr_log_close(s->log);
        s->log = NULL;
        if (i == 0)
            mr_sim_restart(s->w);
        if (open_log(s) != MR_OK)
            return;
        if (s->damaged && !damaged)
            differ(s, "damage appeared where all was synced");
        if (mr_log_end(s->log).v != s->end)
            differ(s, "the end moved over a restart");
    }
}

static void finish(struct story *s)
{
    mr_log_close(s->log);
    mr_log_pool_free(s->pool);
    mr_sim_free(s->sim);
}

static void a_crash_at_any_operation_loses_nothing_acknowledged(void **state)
{
    struct story *s = mr_need(sizeof *s);
    uint64_t runs = 0, damaged = 0;
    (void)state;
    s->page = mr_need(PAGE);
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(60); seed++) {
        begin(s, seed, 0);
        tell(s);
        uint64_t operations = mr_sim_counts(s->w)->operations;
        if (s->wrong)
            fail_msg("without a crash: %s: rerun with MR_SEED=%llu", s->wrong, (unsigned long long)seed);
        finish(s);
        for (uint64_t k = 1; k <= operations; k++) {
            begin(s, seed, k);
            tell(s);
            if (!s->wrong) {
                if (!mr_sim_is_down(s->w))
                    fail_msg("the story differs from its first telling: rerun with MR_SEED=%llu",
                             (unsigned long long)seed);
                go_on(s);
            }
            if (s->wrong)
                fail_msg("crash at operation %llu: %s: rerun with MR_SEED=%llu", (unsigned long long)k,
                         s->wrong, (unsigned long long)seed);
            damaged += s->damaged;
            runs++;
            finish(s);
        }
    }
    print_message("%llu crashes, %llu left a refused range of unacknowledged records\n",
                  (unsigned long long)runs, (unsigned long long)damaged);
    mr_free(s->page);
    mr_free(s);
}

/* The same with single failures instead of a crash: write, sync, name, read; then a crash at the end. */
static void a_single_failure_loses_nothing_acknowledged(void **state)
{
    struct story *s = mr_need(sizeof *s);
    (void)state;
    s->page = mr_need(PAGE);
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(25); seed++)
        for (int kind = 0; kind < 3; kind++)
            for (uint64_t k = 1; k <= 12; k++) {
                begin(s, seed, 0);
                struct mr_sim_faults *f = mr_sim_faults(s->w);
                if (open_log(s) != MR_OK)
                    fail_msg("the log does not open");
                *(kind == 0 ? &f->fail_write : kind == 1 ? &f->fail_sync : &f->fail_name) = k;
                for (int i = 0; i < STEPS && !s->wrong && s->log; i++) {
                    uint64_t dice = mr_prng_below(&s->choice, 3);
                    if (dice < 2) {
                        (void)append_some(s);
                    } else {
                        struct sync_call *c = mr_need(sizeof *c);
                        *c = (struct sync_call){s, mr_log_end(s->log).v};
                        mr_log_sync(s->log, synced, c);
                        (void)mr_sim_settle(s->sim, 1000);
                    }
                }
                f->fail_write = f->fail_sync = f->fail_name = 0;
                if (!s->wrong) {
                    if (k % 2) { /* first a restart of the process alone: what it takes must be durable */
                        mr_sim_kill(s->w);
                        mr_log_close(s->log);
                        s->log = NULL;
                        mr_sim_restart(s->w);
                        if (open_log(s) == MR_OK && check_all(s)) {
                            s->end = mr_log_end(s->log).v;
                            if (mr_log_synced(s->log).v > s->acked)
                                s->acked = mr_log_synced(s->log).v;
                        }
                    }
                    mr_sim_crash(s->w);
                    go_on(s);
                }
                if (s->wrong)
                    fail_msg("kind %d, %llu: %s: rerun with MR_SEED=%llu", kind, (unsigned long long)k,
                             s->wrong, (unsigned long long)seed);
                finish(s);
            }
    mr_free(s->page);
    mr_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_at_any_operation_loses_nothing_acknowledged),
        cmocka_unit_test(a_single_failure_loses_nothing_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
