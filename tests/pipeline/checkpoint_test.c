/* checkpoint_test.c - what a restart finds: after a crash at any write, after damage, after a change of the
 * plan. */
#include "pipeline/kit.h"

#include <stdlib.h>

static const char yaml[] =
    "pipelines:\n  p:\n    from: { lines: { text: [a], repeat: 12, batch: 2, live: true } }\n"
    "    steps: [ twice ]\n    to: out\n";

/* Of the sink: the events whose write was flushed stay; the others are lost with the power. */
static bool safe[64];
static uint32_t flushed;

static mr_code flush_notes(struct mr_err *err)
{
    (void)err;
    for (; flushed < kit.got_count; flushed++) {
        const char *n = strstr(kit.got[flushed].text, "\"n\":");
        safe[atoi(n + 4)] = true;
    }
    return MR_OK;
}

static unsigned slow_reads;
static mr_code take_all(struct mr_batch *b, uint64_t ticket, struct mr_verdict *v, unsigned nth,
                        struct mr_err *err)
{
    (void)ticket;
    (void)v;
    (void)nth;
    (void)err;
    slow_reads++;
    for (uint32_t i = 0; i < b->count; i++)
        kit_take(b, i);
    return MR_OK;
}

static void nothing_is_lost_when_power_fails_at_any_operation(void **state)
{
    (void)state;
    uint64_t at = 1;
    for (;; at++) {
        struct kit_line k;
        kit_open(&k, yaml, false, "data");
        memset(safe, 0, sizeof safe);
        flushed = 0;
        kit.on_flush = flush_notes;
        kit.on_write = take_all;
        mr_sim_faults(k.world)->crash_at = at;
        kit_start(&k);
        kit_run(&k, 5000);
        bool crashed = mr_sim_is_down(k.world);
        if (crashed) {
            kit_end(&k);
            mr_sim_restart(k.world);
            mr_sim_faults(k.world)->crash_at = 0;
            while (kit.got_count) /* what the sink had not flushed is gone */
                free(kit.got[--kit.got_count].text);
            flushed = 0;
            kit_start(&k);
            kit_run(&k, 5000);
        }
        for (int i = 0; i < 12; i++)
            if (!safe[i])
                fail_msg("event %d is lost: power failed at operation %llu; %s", i, (unsigned long long)at,
                         k.last_log);
        mr_pipeline_stop(k.line, false);
        kit_run(&k, 100);
        assert_true(k.ended);
        kit_close(&k);
        if (!crashed)
            break;
    }
    assert_true(at > 6); /* there were operations to crash at */
}

/* Results as the sink has them for good: window -> hits, and how often. */
static int window_hits[16], window_times[16];

static mr_code flush_windows(struct mr_err *err)
{
    (void)err;
    for (; flushed < kit.got_count; flushed++) {
        int hits = 0, least = 0;
        if (sscanf(kit.got[flushed].text, "{\"hits\":%d,\"least\":%d", &hits, &least) != 2)
            fail_msg("%s", kit.got[flushed].text);
        window_hits[least / 5] = hits;
        window_times[least / 5]++;
    }
    return MR_OK;
}

static void every_window_counts_every_event_when_power_fails_at_any_operation(void **state)
{
    (void)state;
    uint64_t at = 1;
    for (;; at++) {
        struct kit_line k;
        kit_open(&k,
                 "pipelines:\n  p:\n    from: { lines: { text: [a], repeat: 60, batch: 7, live: true } }\n   "
                 " steps:\n"
                 "      - window: { every: 5s, compute: { hits: count(), least: min(n) } }\n    to: out\n",
                 false, "data");
        memset(window_hits, 0, sizeof window_hits);
        memset(window_times, 0, sizeof window_times);
        flushed = 0;
        kit.on_flush = flush_windows;
        mr_sim_faults(k.world)->crash_at = at;
        kit_start(&k);
        kit_run(&k, 200000); /* silence closes the last window */
        bool crashed = mr_sim_is_down(k.world);
        if (crashed) {
            kit_end(&k);
            mr_sim_restart(k.world);
            mr_sim_faults(k.world)->crash_at = 0;
            while (kit.got_count)
                free(kit.got[--kit.got_count].text);
            flushed = 0;
            kit_start(&k);
            kit_run(&k, 200000);
        }
        for (int i = 0; i < 12; i++)
            if (window_hits[i] != 5 || window_times[i] > 2)
                fail_msg("window %d has %d of 5 events, %d times: power failed at operation %llu; %s", i,
                         window_hits[i], window_times[i], (unsigned long long)at, k.last_log);
        mr_pipeline_stop(k.line, false);
        kit_run(&k, 100);
        kit_close(&k);
        if (!crashed)
            break;
    }
    assert_true(at > 6);
}

static void a_clean_restart_reads_nothing_twice(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, yaml, false, "data");
    kit_start(&k);
    kit_run(&k, 100);
    mr_pipeline_stop(k.line, false);
    kit_run(&k, 100);
    assert_int_equal(k.line->n.in, 12);
    kit_end(&k);
    kit_start(&k);
    kit_run(&k, 100);
    assert_int_equal(k.line->n.in, 0);
    mr_pipeline_stop(k.line, false);
    kit_run(&k, 100);
    kit_close(&k);
}

static void one_that_is_killed_again_and_again_gets_on(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, yaml, false, "data");
    for (int i = 0; i < 2; i++) {
        kit_start(&k);
        kit_run(&k, 200);
        assert_int_equal(k.line->n.in, i ? 0 : 12);
        mr_sim_kill(k.world);
        kit_end(&k);
        mr_sim_restart(k.world);
    }
    kit_close(&k);
}

static void a_damaged_checkpoint_refuses_to_start_and_says_what_to_do(void **state)
{
    (void)state;
    for (int64_t byte = 0;; byte++) {
        struct kit_line k;
        kit_open(&k, yaml, false, "data");
        kit_start(&k);
        kit_run(&k, 100);
        mr_pipeline_stop(k.line, false);
        kit_run(&k, 100);
        kit_end(&k);
        bool there = mr_sim_flip(k.world, "data/pipelines/p/checkpoint", byte, (int)(byte % 8));
        if (there) {
            kit_start(&k);
            kit_run(&k, 100);
            if (!k.ended || k.exit_code != 1 || !strstr(k.last_log, "data/pipelines/p/checkpoint") ||
                !strstr(k.last_log, "move it away"))
                fail_msg("byte %lld flipped: %s", (long long)byte, k.last_log);
            assert_int_equal(k.line->n.in, 0);
        }
        kit_close(&k);
        if (!there)
            break;
    }
}

static void positions_of_a_source_that_went_away_are_kept(void **state)
{
    struct kit_line k;
    struct kit_plan one, two;
    (void)state;
    kit_open(&k, yaml, false, "data");
    kit_plan(&one, "pipelines:\n  p:\n    from:\n      - lines: { text: [a], repeat: 3, live: true }\n       "
                   " id: x\n    to: out\n");
    kit_plan(&two, "pipelines:\n  p:\n    from:\n      - lines: { text: [a], repeat: 4, live: true }\n       "
                   " id: y\n    to: out\n");
    struct mr_config was = k.plan.config;
    const int expected[] = {3, 4, 0, 0};
    for (int i = 0; i < 4; i++) {
        k.plan.config = i % 2 ? two.config : one.config;
        kit_start(&k);
        kit_run(&k, 100);
        assert_int_equal(k.line->n.in, expected[i]);
        mr_pipeline_stop(k.line, false);
        kit_run(&k, 100);
        kit_end(&k);
    }
    k.plan.config = was;
    kit_plan_fini(&one);
    kit_plan_fini(&two);
    kit_close(&k);
}

static void snapshots_come_back_to_their_step(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: { text: [a], live: true } }\n    steps: [ tail ]\n    to: "
             "out\n",
             false, "data");
    for (int i = 0; i < 2; i++) { /* `tail` refuses to be restored from nothing */
        kit_start(&k);
        kit_run(&k, 2000);
        assert_false(k.ended);
        k.line->dirty = true;
        mr_pipeline_stop(k.line, false);
        kit_run(&k, 100);
        assert_int_equal(k.exit_code, 0);
        kit_end(&k);
    }
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_when_power_fails_at_any_operation),
        cmocka_unit_test(every_window_counts_every_event_when_power_fails_at_any_operation),
        cmocka_unit_test(a_clean_restart_reads_nothing_twice),
        cmocka_unit_test(one_that_is_killed_again_and_again_gets_on),
        cmocka_unit_test(a_damaged_checkpoint_refuses_to_start_and_says_what_to_do),
        cmocka_unit_test(positions_of_a_source_that_went_away_are_kept),
        cmocka_unit_test(snapshots_come_back_to_their_step),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
