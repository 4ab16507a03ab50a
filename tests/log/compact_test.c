/* compact_test.c - the laws of compaction, with the power going at every single operation of the disk.
 *
 * A seeded story of keyed appends, tombstones, transactions, syncs, trims, restarts and slices of compaction
 * is told once to count its operations; then once for each operation with a crash there. After recovery:
 *   C1  of every key the newest decided record is there, at its offset, with its bytes; or it is a tombstone,
 *       and then no older record of the key is without it
 *   C2  whatever is readable at an offset is what was appended there; offsets ascend
 *   C3  a record of a transaction is never without its marker
 *   C4  what is undecided, or not yet compacted, is there as a whole
 *   C5  the end is not below what was acknowledged, and never moves back
 * Then the story goes on, and at its end a last pass leaves one record a key.
 */
#include "log/batches.h"

#include "base/mem.h"
#include "base/prng.h"
#include "log/log.h"
#include "sim/seeds.h"
#include "world/sim.h"

#include <stdio.h>

enum { OFFSETS = 4096, STEPS = 70, PAGE = 1 << 18, KEYS = 40, PRODUCERS = 3 };

struct past { /* what was appended at an offset */
    uint64_t id;
    int key; /* -1: a marker */
    bool tombstone, read, commit;
    bool lost;      /* unacknowledged, and refused as damaged after a crash */
    int producer;   /* of a transaction; -1: none */
    int64_t marker; /* offset of the marker that decided it; -1: undecided */
};

struct story {
    uint64_t seed;
    struct mr_sim *sim;
    struct mr_world *w;
    struct mr_log *log;
    struct mr_log_config config;
    struct mr_prng choice;
    struct past past[OFFSETS];
    bool open[PRODUCERS];
    int32_t sequence[PRODUCERS];
    uint64_t next_id;
    int64_t end, acked, start;
    mr_ns now;
    uint64_t passes, removed;
    bool damaged;
    char *page;
    const char *wrong;
};

static bool differ(struct story *s, const char *what)
{
    if (!s->wrong)
        s->wrong = what;
    return false;
}

struct sync_call {
    struct story *s;
    int64_t end;
};

static void synced(void *arg, mr_code rc, int sys)
{
    struct sync_call *c = arg;
    (void)sys;
    if (rc == MR_OK && !c->s->damaged && c->end > c->s->acked)
        c->s->acked = c->end;
    mr_free(c);
}

static void ask_sync(struct story *s)
{
    struct sync_call *c = mr_need(sizeof *c);
    *c = (struct sync_call){s, mr_log_end(s->log).v};
    mr_log_sync(s->log, synced, c);
}

static bool append(struct story *s, struct mr_buf *buf, int count)
{
    mr_offset base;
    struct mr_err err;
    mr_code rc = mr_log_append(s->log, buf->p, buf->len, 1, s->now, &base, &err);
    mr_buf_fini(buf);
    if (rc == MR_OK && base.v != s->end)
        return differ(s, "append: offsets do not go on where they ended");
    if (rc == MR_OK)
        s->end += count;
    return true;
}

static bool append_data(struct story *s)
{
    struct mr_buf buf = {0};
    struct mr_record_build b;
    struct mr_err err;
    int count = 1 + (int)mr_prng_below(&s->choice, 5);
    int producer = (int)mr_prng_below(&s->choice, 8) - 5;
    if (producer < 0)
        producer = -1;
    mr_record_build_begin(&b, &buf);
    if (producer >= 0)
        b.attributes = MR_BATCH_TRANSACTIONAL;
    for (int i = 0; i < count; i++) {
        char key[16], value[256];
        struct past *p = &s->past[s->end + i];
        *p = (struct past){.id = s->next_id++,
                           .key = (int)mr_prng_below(&s->choice, KEYS),
                           .tombstone = mr_prng_below(&s->choice, 5) == 0,
                           .producer = producer >= 0 ? producer : -1,
                           .marker = -1};
        memset(value, 'x', sizeof value);
        memcpy(value, &p->id, sizeof p->id);
        int n = snprintf(key, sizeof key, "key-%d", p->key);
        struct mr_slice k = {key, (size_t)n}, v = {value, 8 + mr_prng_below(&s->choice, 200)};
        assert_true(mr_record_build_add(&b, s->now / 1000000 + i, &k, p->tombstone ? NULL : &v, NULL, 0));
    }
    static const enum mr_codec codecs[] = {MR_CODEC_NONE, MR_CODEC_NONE, MR_CODEC_LZ4,
                                           MR_CODEC_ZSTD, MR_CODEC_GZIP, MR_CODEC_SNAPPY};
    int32_t sequence = producer >= 0 ? s->sequence[producer] : -1;
    assert_int_equal(
        mr_record_build_end(&b, codecs[mr_prng_below(&s->choice, 6)], producer, 0, sequence, &err), MR_OK);
    if (producer >= 0) {
        s->open[producer] = true;
        s->sequence[producer] += count;
    }
    return append(s, &buf, count);
}

static bool append_marker(struct story *s)
{
    struct mr_buf buf = {0};
    struct mr_err err;
    int producer = (int)mr_prng_below(&s->choice, PRODUCERS);
    struct mr_marker m = {.commit = mr_prng_below(&s->choice, 2) == 0};
    if (!s->open[producer])
        return true;
    s->open[producer] = false;
    assert_int_equal(mr_marker_build(&buf, &m, producer, 0, s->now / 1000000, &err), MR_OK);
    for (int64_t o = 0; o < s->end; o++)
        if (s->past[o].producer == producer && s->past[o].marker < 0 && s->past[o].key >= 0) {
            s->past[o].marker = s->end;
            s->past[o].commit = m.commit;
        }
    s->past[s->end] = (struct past){.key = -1, .producer = producer, .marker = -1, .commit = m.commit};
    return append(s, &buf, 1);
}

static bool read_all(struct story *s)
{
    struct mr_err err;
    int64_t want = mr_log_start(s->log).v, end = mr_log_end(s->log).v;
    for (int64_t o = 0; o < OFFSETS; o++)
        s->past[o].read = s->past[o].lost = false;
    while (want < end) {
        size_t got;
        mr_code rc = mr_log_read(s->log, (mr_offset){want}, (mr_offset){end}, s->page, PAGE, &got, &err);
        if (mr_sim_is_down(s->w))
            return true;
        if (rc == MR_CORRUPT && s->damaged && want >= s->acked) {
            s->past[want++].lost = true;
            continue;
        }
        if (rc == MR_END)
            return differ(s, "readers do not come past a gap at the end");
        if (rc) {
            print_message("offset %lld: %s\n", (long long)want, err.text);
            return differ(s, "a log of good batches cannot be read");
        }
        for (size_t at = 0; at < got;) {
            struct mr_record_walk walk;
            struct mr_record r;
            struct mr_buf scratch = {0};
            struct mr_slice rest = {s->page + at, got - at};
            if (mr_record_walk_begin(&walk, rest, &scratch, PAGE, &err))
                return differ(s, "a batch cannot be walked");
            int64_t after = walk.head.base_offset + walk.head.last_offset_delta + 1;
            if (after <= want)
                return mr_buf_fini(&scratch), differ(s, "C2: offsets do not ascend");
            while (mr_record_walk_next(&walk, &r, &err) == MR_OK) {
                char key[16];
                struct past *p = &s->past[r.offset];
                p->read = true;
                if (p->key < 0) {
                    struct mr_marker m;
                    if (mr_marker_read(&r, &m) || m.commit != p->commit ||
                        walk.head.producer_id != p->producer)
                        return mr_buf_fini(&scratch), differ(s, "C2: another marker than was appended here");
                    continue;
                }
                int n = snprintf(key, sizeof key, "key-%d", p->key);
                if (!mr_slice_eq(r.key, (struct mr_slice){key, (size_t)n}) || r.has_value == p->tombstone ||
                    (r.has_value && id_of(&r) != p->id) || walk.head.producer_id != p->producer)
                    return mr_buf_fini(&scratch), differ(s, "C2: another record than was appended here");
            }
            mr_buf_fini(&scratch);
            want = after;
            at += (size_t)walk.head.length + 12;
        }
    }
    return true;
}

static bool check_all(struct story *s)
{
    int64_t start = mr_log_start(s->log).v, end = mr_log_end(s->log).v, clean = mr_log_clean(s->log);
    int64_t newest[KEYS], last_read[KEYS];
    if (end < s->acked)
        return differ(s, "C5: the end fell below what was acknowledged");
    if (start > s->start)
        return differ(s, "the start passed what nobody trimmed");
    if (clean > mr_log_synced(s->log).v)
        return differ(s, "the clean point is beyond what is synced");
    if (!read_all(s) || mr_sim_is_down(s->w))
        return !s->wrong;
    for (int k = 0; k < KEYS; k++)
        newest[k] = last_read[k] = -1;
    for (int64_t o = start; o < end; o++) {
        const struct past *p = &s->past[o];
        if (p->key < 0 || p->lost)
            continue;
        bool decided = p->producer < 0 || (p->marker >= 0 && p->marker < end && !s->past[p->marker].lost);
        if ((!decided || o >= clean) && !p->read && o >= mr_log_synced(s->log).v)
            return differ(s, "C4: an undecided or unsynced record is gone");
        if (!decided && !p->read)
            return differ(s, "C4: an undecided record is gone");
        if (p->read && p->producer >= 0 && decided && !s->past[p->marker].read)
            return differ(s, "C3: a record of a transaction is without its marker");
        if (p->producer >= 0 && (!decided || !p->commit))
            continue;
        newest[p->key] = o;
        if (p->read)
            last_read[p->key] = o;
    }
    for (int k = 0; k < KEYS; k++) {
        if (newest[k] < 0 || last_read[k] == newest[k])
            continue;
        if (last_read[k] >= 0 || !s->past[newest[k]].tombstone) {
            print_message("key %d: newest at %lld, there is %lld\n", k, (long long)newest[k],
                          (long long)last_read[k]);
            return differ(s, "C1: the newest record of a key is gone, or a deleted key is back");
        }
    }
    return true;
}

static bool open_log(struct story *s)
{
    struct mr_err err = {0};
    mr_code rc = mr_log_open(s->w, "d/t-0", &s->config, &s->log, &err);
    if (mr_sim_is_down(s->w))
        return false;
    if (rc == MR_CORRUPT && s->log) {
        s->damaged = true;
        return true;
    }
    if (rc) {
        print_message("%s\n", err.text);
        return differ(s, "the log does not open");
    }
    return true;
}

static void close_log(struct story *s)
{
    if (s->log) {
        s->passes += mr_log_compact_counts(s->log)->passes;
        s->removed += mr_log_compact_counts(s->log)->removed;
    }
    mr_log_close(s->log);
    s->log = NULL;
}

/* Slices, with events of the world in between; to the end of the pass when `all`. */
static bool compact(struct story *s, int slices, bool all)
{
    struct mr_err err = {0};
    bool more = true;
    for (int i = 0; (i < slices || all) && more && !mr_sim_is_down(s->w); i++) {
        mr_code rc =
            mr_log_compact(s->log, mr_log_synced(s->log), s->now,
                           1 + (int64_t)mr_prng_below(&s->choice, all ? 1 << 20 : 3000), &more, &err);
        if (mr_sim_is_down(s->w))
            return true;
        if (rc) {
            print_message("%s\n", err.text);
            return differ(s, "compaction fails on a disk without faults");
        }
        if (i > 100000)
            return differ(s, "a pass does not end");
        if (all)
            (void)mr_sim_step(s->sim);
        else if (mr_prng_below(&s->choice, 2))
            (void)mr_sim_step(s->sim);
    }
    return true;
}

static bool step(struct story *s)
{
    struct mr_err err;
    uint64_t dice = mr_prng_below(&s->choice, 32);
    s->now += (mr_ns)mr_prng_below(&s->choice, 400) * 1000000;
    if (dice < 13)
        return append_data(s);
    if (dice < 16)
        return append_marker(s);
    if (dice < 20) {
        ask_sync(s);
        for (uint64_t n = mr_prng_below(&s->choice, 6); n > 0 && !mr_sim_is_down(s->w); n--)
            (void)mr_sim_step(s->sim);
        return true;
    }
    if (dice == 20) {
        (void)mr_sim_settle(s->sim, 1000);
        return true;
    }
    if (dice == 28 || (s->config.retain && dice == 27)) {
        if (s->config.retain && mr_log_synced(s->log).v > s->start)
            s->start = mr_log_synced(s->log).v; /* what retention may drop */
        (void)mr_log_retain(s->log, s->now, &err);
        return true;
    }
    if (dice < 28)
        return compact(s, 1 + (int)mr_prng_below(&s->choice, 25), mr_prng_below(&s->choice, 3) == 0);
    if (dice == 29 && mr_prng_below(&s->choice, 3) == 0) {
        int64_t from = mr_log_start(s->log).v, to = mr_log_synced(s->log).v;
        int64_t start = from + (int64_t)mr_prng_below(&s->choice, (uint64_t)(to - from) / 4 + 1);
        if (start > s->start)
            s->start = start;
        (void)mr_log_trim(s->log, (mr_offset){start}, &err);
        return true;
    }
    if (dice == 30) {
        close_log(s);
        if (mr_sim_is_down(s->w))
            return true;
        return !open_log(s) || check_all(s);
    }
    return check_all(s);
}

static void begin(struct story *s, uint64_t seed, uint64_t crash_at)
{
    char *page = s->page;
    memset(s, 0, sizeof *s);
    s->page = page;
    s->seed = seed;
    s->sim = mr_sim_new(seed);
    s->w = mr_sim_node(s->sim, 0);
    mr_sim_faults(s->w)->crash_at = crash_at;
    mr_sim_faults(s->w)->keep_all = seed % 7 == 5;
    mr_sim_faults(s->w)->lose_all = seed % 7 == 6;
    mr_prng_seed(&s->choice, seed * 37 + 11);
    s->now = mr_wall(s->w);
    mr_log_config_init(&s->config);
    s->config.segment_bytes = 4096;
    s->config.index_interval_bytes = seed % 2 ? 1 : 1000;
    s->config.retain = seed % 6 == 4; /* compact,delete */
    s->config.retention_ms = -1;
    s->config.retention_bytes = 3000;
    s->config.file_delete_delay_ms = seed % 12 == 4 ? 20 : 0;
    s->config.compact = true;
    s->config.min_dirty_ratio = seed % 3 ? 0.1 : 0.5;
    s->config.delete_retention_ms = seed % 5 ? 2000 : 0;
    s->config.compact_map_bytes = seed % 4 ? 1 << 20 : 1; /* the least: 24 keys a pass */
    s->config.segment_ms = seed % 2 ? 3000 : -1;
}

static void tell(struct story *s)
{
    if (!open_log(s))
        return;
    for (int i = 0; i < STEPS && !s->wrong && !mr_sim_is_down(s->w) && s->end < OFFSETS - 64; i++)
        (void)step(s);
}

/* What the crash took never was: transactions are open again, offsets are free. */
static void take_stock(struct story *s)
{
    s->end = mr_log_end(s->log).v;
    if (!s->damaged && mr_log_synced(s->log).v > s->acked)
        s->acked = mr_log_synced(s->log).v;
    for (int p = 0; p < PRODUCERS; p++)
        s->open[p] = false;
    for (int64_t o = 0; o < OFFSETS; o++) {
        struct past *p = &s->past[o];
        if (o >= s->end) {
            *p = (struct past){.key = -1, .producer = -1, .marker = -1};
            continue;
        }
        if (p->marker >= s->end || (p->marker >= 0 && s->past[p->marker].lost))
            p->marker = -1;
        if (p->key >= 0 && p->producer >= 0 && p->marker < 0 && o >= mr_log_start(s->log).v)
            s->open[p->producer] = true;
    }
}

/* Ends all transactions, compacts until nothing is left to do, and counts. */
static void bring_to_rest(struct story *s)
{
    struct mr_err err;
    s->config.min_dirty_ratio = 0;
    s->config.retain = false;
    s->config.segment_ms = 1;
    mr_log_configure(s->log, &s->config);
    for (int i = 0; i < 60 && !s->wrong; i++)
        (void)append_marker(s);
    for (int i = 0; i < 8 && !s->wrong; i++) {
        s->now += INT64_C(100000) * 1000000;
        (void)mr_log_retain(s->log, s->now, &err);
        if (i < 2)
            (void)append_data(s); /* so that there is an active segment */
        for (int k = 0; k < 60 && i < 2; k++)
            (void)append_marker(s);
        ask_sync(s);
        (void)mr_sim_settle(s->sim, 1000);
        (void)compact(s, 0, true);
        (void)mr_sim_settle(s->sim, 1000);
    }
    if (s->wrong || !check_all(s))
        return;
    int64_t clean = mr_log_clean(s->log), seen[KEYS];
    if (clean == 0 && mr_log_end(s->log).v > 200 && !s->damaged)
        differ(s, "nothing was ever compacted");
    memset(seen, 0, sizeof seen);
    for (int64_t o = mr_log_start(s->log).v; o < clean && !s->wrong; o++) {
        struct past *p = &s->past[o];
        if (!p->read)
            continue;
        if (p->key >= 0 && seen[p->key]++)
            differ(s, "a key has two records below the clean point");
        if (p->key >= 0 && p->tombstone)
            differ(s, "a tombstone outlived its horizon");
        if (p->key >= 0 && p->producer >= 0 && !p->commit)
            differ(s, "an aborted record was kept");
    }
}

static void go_on(struct story *s)
{
    close_log(s);
    mr_sim_restart(s->w);
    mr_sim_faults(s->w)->crash_at = 0;
    if (!open_log(s))
        return;
    if (!check_all(s))
        return;
    take_stock(s);
    for (int i = 0; i < 6 && !s->wrong; i++)
        (void)step(s);
    if (!s->wrong && check_all(s))
        bring_to_rest(s);
}

static void finish(struct story *s)
{
    close_log(s);
    mr_sim_free(s->sim);
}

static void a_crash_at_any_operation_leaves_the_newest_of_every_key(void **state)
{
    struct story *s = mr_need(sizeof *s);
    uint64_t runs = 0, passes = 0, removed = 0;
    (void)state;
    s->page = mr_need(PAGE);
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(40); seed++) {
        begin(s, seed, 0);
        tell(s);
        uint64_t operations = mr_sim_counts(s->w)->operations;
        if (!s->wrong)
            bring_to_rest(s);
        if (s->wrong)
            fail_msg("without a crash: %s: rerun with MR_SEED=%llu", s->wrong, (unsigned long long)seed);
        finish(s);
        passes += s->passes;
        removed += s->removed;
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
            runs++;
            finish(s);
        }
    }
    print_message("%llu crashes; without one %llu passes removed %llu records\n", (unsigned long long)runs,
                  (unsigned long long)passes, (unsigned long long)removed);
    assert_true(passes > 0 && removed > 0);
    mr_free(s->page);
    mr_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_at_any_operation_leaves_the_newest_of_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
