/* txn_law_test.c - the laws of transactions, whatever goes wrong: power lost at every operation of the disk,
 * allocations that fail, many producers at once.
 *
 * A producer writes the number of each transaction into every partition and commits it as an offset too. The
 * ledger knows what it asked for and what it was answered:
 *   A  what is seen was asked to be committed, at any time
 *   B  what was answered as committed is seen, in all partitions; what was not answered in all or in none
 *   C  what was seen once is seen for ever, in the same order
 *   D  the offset is that of the last transaction that is seen
 *   E  nothing stays undecided
 */
#include "broker/shop.h"

#include "sim/seeds.h"

enum { ROUNDS = 6, STORM_ROUNDS = 40, ROUNDS_MAX = 64 };

enum fate { UNBORN, OPEN, ASKED, COMMITTED, ABORTED };

struct ledger {
    enum fate fate[ROUNDS_MAX];
    int count;
    struct mr_buf seen[PARTITIONS]; /* C */
};

static void ledger_fini(struct ledger *l)
{
    for (int32_t i = 0; i < PARTITIONS; i++)
        mr_buf_fini(&l->seen[i]);
}

/* Which transactions does this text show? Each record once, both records of a batch or none, in order. */
static void parse(const char *text, bool shown[ROUNDS_MAX])
{
    int last = -1;
    memset(shown, 0, ROUNDS_MAX * sizeof *shown);
    while (*text) {
        int round, part, used = 0;
        if (sscanf(text, "%d/%d%n", &round, &part, &used) != 2 || round < 0 || round >= ROUNDS_MAX)
            fail_msg("not a record of ours: '%s'", text);
        if (part == 0) {
            assert_true(round > last);
            last = round;
        } else {
            assert_int_equal(round, last);
            assert_false(shown[round]);
            shown[round] = true;
        }
        text += used;
        text += *text == ' ';
    }
    assert_true(last < 0 || shown[last]);
}

/* A and C, now. */
static void look(struct shop *s, struct ledger *l)
{
    bool shown[ROUNDS_MAX];
    if (mr_sim_is_down(s->m.world))
        return;
    uint64_t left = mr_alloc_fail_left();
    mr_alloc_fail_at(0);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        struct mr_partition *p = shelf_try(s, i, NULL);
        if (!p)
            continue; /* the disk does not let us look now */
        struct mr_buf now = committed_values(p);
        size_t before = l->seen[i].len ? l->seen[i].len - 1 : 0;
        if (now.len - 1 < before || memcmp(now.p, l->seen[i].p ? l->seen[i].p : "", before) != 0)
            fail_msg("partition %d showed '%s' and now '%s'", i, l->seen[i].p, now.p);
        parse(now.p, shown);
        for (int k = 0; k < l->count; k++)
            if (shown[k] && l->fate[k] != ASKED && l->fate[k] != COMMITTED)
                fail_msg("transaction %d is seen in partition %d, but its fate is %d", k, i, l->fate[k]);
        mr_buf_fini(&l->seen[i]);
        l->seen[i] = now;
    }
    mr_alloc_fail_at(left);
}

static int64_t offset_of(struct shop *s)
{
    struct mr_committed c;
    return mr_groups_committed(s->groups, MR_SLICE("g"), MR_SLICE("t"), 0, &c) ? c.offset : -1;
}

/* B, D and E, when all is quiet. */
static void judge(struct shop *s, struct ledger *l)
{
    bool first[ROUNDS_MAX], shown[ROUNDS_MAX];
    int64_t last = -1;
    look(s, l);
    parse(l->seen[0].p, first);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        parse(l->seen[i].p, shown);
        assert_int_equal(mr_partition_stable(shelf(s, i)), mr_partition_end(shelf(s, i))); /* E */
        for (int k = 0; k < l->count; k++) {
            if (shown[k] != first[k])
                fail_msg("transaction %d is in one partition and not in another", k);
            if (l->fate[k] == COMMITTED && !shown[k])
                fail_msg("transaction %d was committed and is not seen", k);
        }
    }
    for (int k = 0; k < l->count; k++)
        if (first[k])
            last = k;
    assert_int_equal(offset_of(s), last); /* D */
}

struct move {
    struct mr_commit c; /* first */
    bool done;
};
static void on_moved(struct mr_commit *c)
{
    ((struct move *)(void *)c)->done = true;
}

static int move_once(struct maker *k, int64_t offset)
{
    struct mr_commit_row row = {.topic = MR_SLICE("t"),
                                .partition = 0,
                                .leader_epoch = -1,
                                .offset = offset,
                                .metadata = MR_SLICE("")};
    struct move m = {.c = {.group = MR_SLICE("g"),
                           .generation = -1,
                           .retention_ms = -1,
                           .rows = &row,
                           .row_count = 1,
                           .transactional = true,
                           .producer = k->producer,
                           .producer_epoch = k->epoch,
                           .done = on_moved}};
    struct shop *s = k->shop;
    m.done = mr_groups_commit(s->groups, &m.c);
    for (int ms = 0; !m.done && ms < WAIT_MS && !mr_sim_is_down(s->m.world); ms += 5)
        pass(s, 5);
    if (!m.done)
        mr_groups_forget_commit(&m.c);
    return m.done && !mr_sim_is_down(s->m.world) ? (int)row.refusal : NO_ANSWER;
}

static int add_offsets_once(struct maker *k)
{
    const struct mr_topic *t = mr_broker_topic(k->shop->broker, MR_SLICE(MR_OFFSETS_TOPIC));
    struct mr_txn_at at = {MR_SLICE(MR_OFFSETS_TOPIC), mr_groups_partition_of(MR_SLICE("g"), t->partitions)};
    return make_add(k, &at, 1);
}

/* One transaction. false: it did not get to its end (power, refusal); what is known stands in the ledger. */
static bool transact(struct maker *k, struct ledger *l, bool commit)
{
    char tag[16];
    int round = l->count++;
    l->fate[round] = OPEN;
    (void)snprintf(tag, sizeof tag, "%d", round);
    if (make_add_until(k))
        return false;
    for (int32_t i = 0; i < PARTITIONS; i++)
        if (make_say(k, (i + round) % PARTITIONS, tag, false))
            return false;
    if (UNTIL(add_offsets_once(k)) || UNTIL(move_once(k, round)))
        return false;
    if (!mr_sim_is_down(k->shop->m.world))
        look(k->shop, l);
    if (commit)
        l->fate[round] = ASKED;
    if (make_end_until(k, commit))
        return false;
    l->fate[round] = commit ? COMMITTED : ABORTED;
    return true;
}

static bool commits(int round)
{
    return round % 3 != 1;
}

/* Goes on until `rounds` are done: after a loss of power as a new producer of the same id. */
static void story(struct shop *s, struct ledger *l, int rounds)
{
    struct maker k = maker_of(s, "k");
    bool ready = false;
    for (int tries = 0; l->count < rounds; tries++) {
        assert_true(tries < 4 * ROUNDS_MAX);
        if (mr_sim_is_down(s->m.world)) {
            shop_again(s);
            look(s, l);
            ready = false;
        }
        if (!ready) {
            k = maker_of(s, "k");
            ready = make_init_until(&k) == MR_REFUSE_NONE;
            continue;
        }
        if (!transact(&k, l, commits(l->count)))
            ready = false;
    }
    pass(s, 100000); /* longer than any transaction may take */
    if (mr_sim_is_down(s->m.world)) {
        shop_again(s);
        pass(s, 100000);
    }
    judge(s, l);
}

static void power_lost_at_any_operation(bool raises)
{
    struct shop calm = shop_new(1);
    struct ledger l = {0};
    uint64_t before = mr_sim_counts(calm.m.world)->operations;
    calm.raises = raises;
    story(&calm, &l, ROUNDS);
    uint64_t operations = mr_sim_counts(calm.m.world)->operations - before;
    ledger_fini(&l);
    shop_free(&calm);
    assert_true(operations > 40);
    for (uint64_t at = 1; at <= operations; at++)
        for (int mood = 0; mood < 3;
             mood++) { /* the disk keeps some, all, or nothing of what was not synced */
            struct shop s = shop_new(at * 3 + (uint64_t)mood);
            struct ledger ledger = {0};
            s.raises = raises;
            mr_sim_faults(s.m.world)->keep_all = mood == 1;
            mr_sim_faults(s.m.world)->lose_all = mood == 2;
            mr_sim_faults(s.m.world)->crash_at = at;
            story(&s, &ledger, ROUNDS);
            ledger_fini(&ledger);
            shop_free(&s);
        }
}

static void power_lost_at_any_operation_breaks_no_law(void **state)
{
    (void)state;
    power_lost_at_any_operation(false);
}

static void power_lost_at_any_operation_breaks_no_law_of_the_second_version(void **state)
{
    (void)state;
    power_lost_at_any_operation(true);
}

static void power_lost_again_and_again_breaks_no_law(void **state)
{
    (void)state;
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(20); seed++) {
        struct shop s = shop_new(1000 + seed);
        struct ledger l = {0};
        struct maker k = maker_of(&s, "k");
        bool ready = false;
        while (l.count < STORM_ROUNDS) {
            if (mr_sim_is_down(s.m.world)) {
                shop_again(&s);
                ready = false;
            }
            if (mr_sim_random(s.m.sim, 3) == 0)
                mr_sim_faults(s.m.world)->crash_at = 1 + mr_sim_random(s.m.sim, 60);
            if (mr_sim_random(s.m.sim, 10) == 0)
                mr_sim_faults(s.m.world)->fail_write = 1 + mr_sim_random(s.m.sim, 20);
            if (mr_sim_random(s.m.sim, 6) == 0) { /* a clean restart */
                shop_close(&s);
                if (mr_sim_is_down(s.m.world))
                    mr_sim_restart(s.m.world);
                shop_open(&s);
                settle(&s.m);
                ready = false;
            }
            if (mr_sim_is_down(s.m.world))
                continue;
            if (!ready) {
                k = maker_of(&s, "k");
                ready = make_init_until(&k) == MR_REFUSE_NONE;
            } else if (!transact(&k, &l, mr_sim_random(s.m.sim, 3) != 0)) {
                ready = false;
            }
        }
        if (mr_sim_is_down(s.m.world))
            shop_again(&s);
        *mr_sim_faults(s.m.world) = (struct mr_sim_faults){.sync_ms_max = 10};
        shop_close(&s); /* what could not be opened for a fault is opened now */
        shop_open(&s);
        pass(&s, 100000);
        judge(&s, &l);
        ledger_fini(&l);
        shop_free(&s);
    }
}

static void an_allocation_that_fails_breaks_no_law(void **state)
{
    (void)state;
    for (uint64_t at = 1; at < 700; at++) {
        struct shop s = shop_new(5000 + at);
        struct ledger l = {0};
        story(&s, &l, 1);
        mr_alloc_fail_at(at);
        struct maker k = maker_of(&s, "k");
        bool ready = false;
        while (l.count < 4) {
            if (!ready)
                ready = make_init_until(&k) == MR_REFUSE_NONE;
            else if (!transact(&k, &l, commits(l.count)))
                ready = false;
        }
        uint64_t left = mr_alloc_fail_left();
        mr_alloc_fail_at(0);
        pass(&s, 100000);
        judge(&s, &l);
        ledger_fini(&l);
        shop_free(&s);
        if (left)
            return; /* the story needs no more than that */
    }
    fail_msg("the story needs more allocations than are looked at");
}

/* ------------------------------------------------------------------ the log's own table, against a model */

enum { MODEL_PRODUCERS = 6, MODEL_STEPS = 400 };

struct model_txn {
    int64_t producer, first, marker; /* marker -1: open */
    bool commit;
};

static void compare(const struct mr_txn_log *t, const struct model_txn *v, size_t count, int64_t high,
                    int64_t end)
{
    int64_t stable = high;
    for (size_t i = 0; i < count; i++)
        if ((v[i].marker < 0 || v[i].marker >= high) && v[i].first < stable)
            stable = v[i].first;
    assert_int_equal(mr_txn_log_stable(t, high), stable);
    for (int64_t from = 0; from <= end; from += 7)
        for (int64_t below = from + 1; below <= end; below += 13) {
            struct mr_txn_aborted got[MODEL_STEPS];
            size_t n = mr_txn_log_aborted(t, from, below, got, MODEL_STEPS), want = 0;
            for (size_t i = 0; i < count; i++) {
                if (v[i].commit || v[i].marker < from || v[i].first >= below)
                    continue;
                bool found = false;
                for (size_t k = 0; k < n; k++)
                    found |= got[k].producer == v[i].producer && got[k].first == v[i].first;
                assert_true(found);
                want++;
            }
            assert_int_equal(n, want);
        }
}

static void the_table_of_transactions_agrees_with_a_list(void **state)
{
    (void)state;
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(15); seed++) {
        struct mr_sim *sim = mr_sim_new(seed);
        struct mr_txn_log t = {0};
        struct model_txn v[MODEL_STEPS];
        int open[MODEL_PRODUCERS];
        size_t count = 0;
        int64_t end = 0, high = 0;
        memset(open, -1, sizeof open);
        for (int step = 0; step < MODEL_STEPS; step++) {
            size_t who = (size_t)mr_sim_random(sim, MODEL_PRODUCERS);
            assert_true(mr_txn_log_reserve(&t));
            if (open[who] < 0) {
                open[who] = (int)count;
                v[count++] = (struct model_txn){(int64_t)who, end, -1, false};
                mr_txn_log_open(&t, (int64_t)who, end);
                end += 1 + (int64_t)mr_sim_random(sim, 3);
            } else if (mr_sim_random(sim, 2)) {
                struct model_txn *m = &v[open[who]];
                m->marker = end++;
                m->commit = mr_sim_random(sim, 2) != 0;
                mr_txn_log_end(&t, (int64_t)who, m->commit, m->marker);
                open[who] = -1;
            }
            high += (int64_t)mr_sim_random(sim, (uint64_t)(end - high) + 1);
            mr_txn_log_seen(&t, high);
            mr_txn_log_check(&t);
            if (step % 40 == 0) {
                struct mr_buf bytes = {0};
                struct mr_txn_log again = {0};
                struct mr_err err = {0};
                compare(&t, v, count, high, end);
                assert_true(mr_txn_log_save(&t, &bytes));
                struct mr_slice in = {bytes.p, bytes.len};
                assert_int_equal(mr_txn_log_load(&again, &in, &err), MR_OK);
                assert_int_equal(in.len, 0);
                assert_int_equal(again.aborted_count, t.aborted_count);
                if (t.aborted_count)
                    assert_memory_equal(again.aborted, t.aborted, t.aborted_count * sizeof *t.aborted);
                mr_txn_log_fini(&again);
                for (size_t at = 0; at < bytes.len; at += 5) { /* any byte */
                    bytes.p[at] ^= 0x10;
                    in = (struct mr_slice){bytes.p, bytes.len};
                    assert_int_equal(mr_txn_log_load(&again, &in, &err), MR_CORRUPT);
                    mr_txn_log_fini(&again);
                    bytes.p[at] ^= 0x10;
                }
                mr_buf_fini(&bytes);
            }
        }
        mr_txn_log_fini(&t);
        mr_sim_free(sim);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_of_transactions_agrees_with_a_list),
        cmocka_unit_test(power_lost_at_any_operation_breaks_no_law),
        cmocka_unit_test(power_lost_at_any_operation_breaks_no_law_of_the_second_version),
        cmocka_unit_test(power_lost_again_and_again_breaks_no_law),
        cmocka_unit_test(an_allocation_that_fails_breaks_no_law),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
