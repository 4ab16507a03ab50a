/* epoch_test.c - pipelines on the real broker, coordinators and topics port, all in one simulated machine:
 * exactly-once delivery when power fails at any operation, groups, and what stands in the way.
 *
 * What a crash leaves in memory is left there, as a dead process would: leaks are not looked for here.
 */
#include "pipeline/kit.h"

#include "base/buf.h"
#include "base/prng.h"
#include "node/sim_node.h"

#include <stdlib.h>

const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

enum { LINES_MAX = 4, VALUES_MAX = 40000 };

struct house {
    struct kit_plan plan;
    struct mr_sim *sim;
    struct mr_world *world;
    struct sim_node *node;
    struct mr_lane_env env;
    struct mr_pipeline *line[LINES_MAX];
    bool ended[LINES_MAX];
    int code[LINES_MAX];
    unsigned errors, again; /* begins again from the last commit */
    char last_error[1024];
};

static void log_line(void *arg, enum mr_level level, const char *label, const char *text)
{
    struct house *h = arg;
    h->again += strstr(text, "beginning again") != NULL;
    if (level != MR_ERROR)
        return;
    h->errors++;
    (void)snprintf(h->last_error, sizeof h->last_error, "%s: %s", label, text);
}

static void line_ended(void *arg, struct mr_pipeline *line, int exit_code)
{
    struct house *h = arg;
    for (uint32_t i = 0; i < h->plan.config.pipeline_count; i++)
        if (h->line[i] == line) {
            h->ended[i] = true;
            h->code[i] = exit_code;
        }
}

static bool nobody_feeds(void *arg, const struct mr_pipeline *reader, const char *topic)
{
    (void)arg;
    (void)reader;
    (void)topic;
    return false;
}

static void run_for(struct house *h, mr_ms ms)
{
    mr_sim_run_until(h->sim, mr_sim_now(h->sim) + ms);
}

/* MR_OK, or the world went down meanwhile. */
static mr_code node_open(struct house *h)
{
    h->node = sim_node_open(h->world);
    assert_true(h->node || mr_sim_is_down(h->world));
    if (!h->node)
        return MR_IO;
    h->env.topics = sim_node_topics(h->node);
    return MR_OK;
}

static void node_close(struct house *h)
{
    sim_node_drain(h->node);
    run_for(h, 100);
    sim_node_close(h->node);
    run_for(h, 100);
    sim_node_free(h->node);
}

static void lines_start(struct house *h)
{
    struct mr_err err = {0};
    for (uint32_t i = 0; i < h->plan.config.pipeline_count; i++) {
        assert_true(i < LINES_MAX);
        h->ended[i] = false;
        if (mr_pipeline_new(&h->plan.config.pipelines[i], &h->env, &h->line[i], &err))
            fail_msg("%s", err.text);
        mr_pipeline_start(h->line[i]);
    }
}

static void lines_free(struct house *h)
{
    for (uint32_t i = 0; i < LINES_MAX; i++) {
        mr_pipeline_free(h->line[i]);
        h->line[i] = NULL;
    }
}

static void lines_stop(struct house *h)
{
    for (uint32_t i = 0; i < h->plan.config.pipeline_count; i++)
        if (!h->ended[i])
            mr_pipeline_stop(h->line[i], false);
    run_for(h, 2000);
    for (uint32_t i = 0; i < h->plan.config.pipeline_count; i++)
        if (!h->ended[i])
            fail_msg("pipeline %u does not stop: state %d, %u calls out, %u flights; %s", i,
                     h->line[i]->state, h->line[i]->calls_out, h->line[i]->flight_count, h->last_error);
    lines_free(h);
}

static void house_open(struct house *h, const char *yaml, uint64_t seed)
{
    memset(h, 0, sizeof *h);
    kit_reset();
    kit_plan(&h->plan, yaml);
    h->sim = mr_sim_new(seed);
    h->world = mr_sim_node(h->sim, 0);
    h->env = (struct mr_lane_env){
        .world = h->world,
        .data_dir = "data",
        .drain_ms = 30000,
        .log = log_line,
        .fed = nobody_feeds,
        .ended = line_ended,
        .arg = h,
    };
}

static void house_close(struct house *h)
{
    node_close(h);
    mr_sim_free(h->sim);
    kit_plan_fini(&h->plan);
}

/* Power is gone, or the process is: what it had in memory is gone, the rest starts again. */
static void start_again(struct house *h)
{
    lines_free(h);
    if (h->node)
        sim_node_abandon(h->node);
    h->node = NULL;
    mr_sim_restart(h->world);
    h->errors = 0; /* what failed as the power did may have said so */
}

/* ------------------------------------------------------------------ what a topic holds */

struct got {
    char why[256];
    bool come;
    mr_code rc;
    struct mr_buf bytes;
    int64_t end;
};

static void on_fetched(void *arg, mr_code rc, struct mr_fetched *got, const char *why)
{
    struct got *g = arg;
    (void)snprintf(g->why, sizeof g->why, "%s", why);
    g->come = true;
    g->rc = rc;
    g->bytes.len = 0;
    if (got) {
        assert_true(mr_buf_put(&g->bytes, got->bytes.p, got->bytes.len));
        g->end = got->end_offset;
        got->release(got->what);
    }
}

/* each(arg, key, value) for what readers see, partition by partition. */
static void each_value(struct house *h, const char *topic, int32_t partitions,
                       void (*each)(void *arg, const struct mr_record *r), void *arg)
{
    struct got g = {0};
    struct mr_buf scratch = {0};
    for (int32_t p = 0; p < partitions; p++)
        for (int64_t at = -2; at < g.end || at == -2;) {
            g.come = false;
            g.end = 0;
            h->env.topics->ops->fetch(h->env.topics, h->world, mr_slice_of(topic), p, at, 1 << 20, 0,
                                      on_fetched, &g);
            while (!g.come)
                run_for(h, 1);
            if (g.rc == MR_NOTFOUND)
                break;
            if (g.rc != MR_OK)
                fail_msg("%s", g.why);
            struct mr_slice rest = {g.bytes.p, g.bytes.len};
            at = at == -2 ? 0 : at;
            while (rest.len) {
                struct mr_batch_header head;
                struct mr_record_walk walk;
                struct mr_record r;
                assert_int_equal(mr_batch_header_read(rest, &head, NULL), MR_OK);
                struct mr_slice batch = {rest.p, (size_t)head.length + 12};
                assert_int_equal(mr_record_walk_begin(&walk, batch, &scratch, 1 << 24, NULL), MR_OK);
                while (!(head.attributes & MR_BATCH_CONTROL) && mr_record_walk_next(&walk, &r, NULL) == MR_OK)
                    if (r.offset >= at)
                        each(arg, &r);
                at = head.base_offset + head.last_offset_delta + 1;
                rest = (struct mr_slice){rest.p + batch.len, rest.len - batch.len};
            }
        }
    mr_buf_fini(&g.bytes);
    mr_buf_fini(&scratch);
}

static int times[VALUES_MAX], values_count;

static int number_in(const struct mr_record *r, const char *name)
{
    char text[512], want[32];
    (void)snprintf(text, sizeof text, "%.*s", MR_SLICE_ARG(r->value));
    (void)snprintf(want, sizeof want, "\"%s\":", name);
    const char *at = strstr(text, want);
    assert_non_null(at);
    return atoi(at + strlen(want));
}

static void note(void *arg, const struct mr_record *r)
{
    int n = number_in(r, arg);
    assert_true(n >= 0 && n < VALUES_MAX);
    times[n]++;
    values_count++;
}

/* Each of 0 to count - 1 is there once as field `name`; else the text says which is not. */
static const char *once_each(struct house *h, const char *topic, int32_t partitions, const char *name,
                             int count)
{
    static char text[128];
    memset(times, 0, sizeof times);
    values_count = 0;
    each_value(h, topic, partitions, note, (void *)(uintptr_t)name);
    for (int i = 0; i < VALUES_MAX; i++)
        if (times[i] != (i < count)) {
            (void)snprintf(text, sizeof text, "%s %d of topic '%s' is there %d times", name, i, topic,
                           times[i]);
            return text;
        }
    return "";
}

/* ------------------------------------------------------------------ power fails */

static const char chain[] = "pipelines:\n"
                            "  first:\n"
                            "    from: { lines: { text: "
                            "[aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa], repeat: 1200, batch: 40, "
                            "live: true } }\n"
                            "    to: { topic: { name: a, key: \"{{ n }}\" } }\n"
                            "    delivery: exactly_once\n"
                            "    commit_every: 10ms\n"
                            "    pipeline_bytes: 64KiB\n"
                            "  second:\n"
                            "    from: { topic: { name: a, group: g } }\n"
                            "    to: { topic: b }\n"
                            "    delivery: exactly_once\n"
                            "    commit_every: 15ms\n"
                            "  third:\n"
                            "    from: { topic: b }\n"
                            "    steps:\n"
                            "      - window: { every: 100s, compute: { hits: count(), least: min(n) } }\n"
                            "      - set: { w: e.least // 100 }\n"
                            "    to: { topic: c }\n"
                            "    delivery: exactly_once\n"
                            "    commit_every: 10ms\n";

/* Runs the chain with crashes at these operations (0: no more), then to its end. Operations of the whole
 * run. */
static uint64_t run_chain(uint64_t seed, const uint64_t *crash, size_t crashes, bool power)
{
    struct house h;
    house_open(&h, chain, seed);
    /* All or nothing of what was not synced: how single sectors tear is the log's own tests' business. */
    mr_sim_faults(h.world)->keep_all = seed % 2;
    mr_sim_faults(h.world)->lose_all = seed % 2 == 0;
    for (size_t i = 0;; i++) {
        mr_sim_faults(h.world)->crash_at = i < crashes && power ? crash[i] : 0;
        if (node_open(&h) == MR_OK)
            lines_start(&h);
        if (i < crashes && !power) {
            run_for(&h, (mr_ms)crash[i]);
            mr_sim_kill(h.world);
        }
        run_for(&h, 200000); /* silence closes the last window */
        if (!mr_sim_is_down(h.world))
            break;
        start_again(&h);
    }
    mr_sim_faults(h.world)->crash_at = 0; /* the last one may have been beyond the end */
    uint64_t operations = mr_sim_counts(h.world)->operations;
    const char *wrong[3] = {once_each(&h, "a", 1, "n", 1200), once_each(&h, "b", 1, "n", 1200),
                            once_each(&h, "c", 1, "w", 12)};
    for (size_t i = 0; i < 3; i++)
        if (*wrong[i])
            fail_msg("%s: seed %llu, %s at %llu, %llu; %s", wrong[i], (unsigned long long)seed,
                     power ? "power failed" : "killed", crashes ? (unsigned long long)crash[0] : 0,
                     crashes > 1 ? (unsigned long long)crash[1] : 0, h.last_error);
    if (h.errors)
        fail_msg("seed %llu, operations %llu, %llu: %s", (unsigned long long)seed,
                 crashes ? (unsigned long long)crash[0] : 0, crashes > 1 ? (unsigned long long)crash[1] : 0,
                 h.last_error);
    lines_stop(&h);
    house_close(&h);
    return operations;
}

static void nothing_is_missing_or_twice_when_power_fails_at_any_operation(void **state)
{
    (void)state;
    const char *runs_text = getenv("MR_SEEDS"), *seed_text = getenv("MR_SEED");
    uint64_t all = run_chain(1, NULL, 0, true), seed = seed_text ? strtoull(seed_text, NULL, 10) : 17;
    assert_true(all > 200);
    int runs = runs_text ? atoi(runs_text) : 250;
    for (int i = 0; i < runs; i++, seed++) {
        struct mr_prng rng;
        mr_prng_seed(&rng, seed);
        uint64_t crash[2] = {1 + mr_prng_below(&rng, all), 1 + mr_prng_below(&rng, all)};
        (void)run_chain(seed, crash, 1 + (i & 1), true);
    }
}

static void nothing_is_missing_or_twice_when_the_process_is_killed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct mr_prng rng;
        mr_prng_seed(&rng, seed);
        uint64_t kill[2] = {1 + mr_prng_below(&rng, 400), 1 + mr_prng_below(&rng, 400)};
        (void)run_chain(seed, kill, 2, false);
    }
}

/* ------------------------------------------------------------------ one pipeline at a time */

#define COPY                                                                                                 \
    "pipelines:\n  p:\n    from: { lines: { text: [a], repeat: 50, batch: 5, live: true } }\n"               \
    "    to: { topic: t }\n    delivery: exactly_once\n    commit_every: 10ms\n"

static void on_txn(void *arg, mr_code rc, struct mr_topic_txn *x, const char *why)
{
    (void)why;
    assert_int_equal(rc, MR_OK);
    *(struct mr_topic_txn **)arg = x;
}

static void who_takes_its_id_stops_a_pipeline_and_it_says_so(void **state)
{
    struct house h;
    struct mr_topic_txn *mine = NULL;
    (void)state;
    house_open(&h, COPY, 3);
    assert_int_equal(node_open(&h), MR_OK);
    lines_start(&h);
    run_for(&h, 500);
    assert_string_equal(once_each(&h, "t", 1, "n", 50), "");
    h.env.topics->ops->txn_open(h.env.topics, h.world, MR_SLICE("millrace-p"), 60000, on_txn, &mine);
    run_for(&h, 100);
    assert_non_null(mine);
    h.line[0]->dirty = true; /* something to commit */
    mr_pipeline_poke(h.line[0]);
    run_for(&h, 500);
    assert_true(h.ended[0]);
    assert_int_equal(h.code[0], 1);
    assert_non_null(strstr(h.last_error, "running twice"));
    lines_free(&h);
    h.env.topics->ops->txn_close(mine);
    run_for(&h, 100);
    house_close(&h);
}

static void what_a_failed_pipeline_wrote_last_is_not_seen(void **state)
{
    struct house h;
    (void)state;
    house_open(&h,
               "pipelines:\n  p:\n    from: { lines: { text: [a, a, a, b], batch: 1, live: true } }\n"
               "    steps:\n      - refuse: b\n        on_error: fail\n"
               "    to: { topic: t }\n    delivery: exactly_once\n    commit_every: 1s\n",
               4);
    assert_int_equal(node_open(&h), MR_OK);
    lines_start(&h);
    run_for(&h, 500);
    assert_true(h.ended[0]);
    assert_int_equal(h.code[0], 1);
    lines_free(&h);
    assert_string_equal(once_each(&h, "t", 1, "n", 0), "");
    house_close(&h);
}

static void a_source_without_positions_is_refused_when_it_shows(void **state)
{
    struct house h;
    (void)state;
    house_open(&h,
               "pipelines:\n  p:\n    from: { lines: { text: [a], nowhere: true } }\n"
               "    to: { topic: t }\n    delivery: exactly_once\n",
               5);
    assert_int_equal(node_open(&h), MR_OK);
    lines_start(&h);
    run_for(&h, 500);
    assert_true(h.ended[0]);
    assert_non_null(strstr(h.last_error, "without a position"));
    lines_free(&h);
    house_close(&h);
}

static void change_plan(struct house *h, const char *yaml)
{
    kit_plan_fini(&h->plan);
    kit_plan(&h->plan, yaml);
}

static void a_pipeline_that_was_at_least_once_goes_on_where_it_stood(void **state)
{
    struct house h;
    (void)state;
    house_open(&h,
               "pipelines:\n  p:\n    from: { lines: { text: [a], repeat: 20, batch: 5, live: true } }\n"
               "    to: { topic: t }\n",
               6);
    assert_int_equal(node_open(&h), MR_OK);
    lines_start(&h);
    run_for(&h, 500);
    lines_stop(&h);
    assert_string_equal(once_each(&h, "t", 1, "n", 20), "");
    change_plan(&h, COPY);
    struct mr_stat st;
    assert_int_equal(mr_stat_path(h.world, "data/pipelines/p/checkpoint", &st, NULL), MR_OK);
    lines_start(&h);
    run_for(&h, 500);
    assert_string_equal(once_each(&h, "t", 1, "n", 50), "");
    assert_int_equal(mr_stat_path(h.world, "data/pipelines/p/checkpoint", &st, NULL), MR_NOTFOUND);
    lines_stop(&h);
    lines_start(&h); /* and again, from the topic */
    run_for(&h, 500);
    assert_string_equal(once_each(&h, "t", 1, "n", 50), "");
    lines_stop(&h);
    house_close(&h);
}

static void a_state_of_many_chunks_comes_back_whole_and_shrinks(void **state)
{
    struct house h;
    (void)state;
    house_open(&h,
               "pipelines:\n  p:\n    from: { lines: { text: [a], repeat: 20000, batch: 500, live: true } }\n"
               "    steps:\n      - window: { every: 20000s, by: [n], compute: { hits: count(), text: "
               "last(message) } }\n"
               "    to: { topic: t }\n    delivery: exactly_once\n    commit_every: 10ms\n",
               7);
    assert_int_equal(node_open(&h), MR_OK);
    lines_start(&h);
    run_for(&h, 3000);
    mr_sim_kill(h.world);
    start_again(&h);
    assert_int_equal(node_open(&h), MR_OK);
    lines_start(&h);
    run_for(&h, 200000);                  /* silence closes the window */
    assert_int_equal(h.line[0]->n.in, 0); /* all were in the state */
    assert_string_equal(once_each(&h, "t", 1, "n", 20000), "");
    lines_stop(&h);
    lines_start(&h); /* now the state is one small chunk; older ones are gone */
    run_for(&h, 500);
    assert_false(h.ended[0]);
    assert_string_equal(once_each(&h, "t", 1, "n", 20000), "");
    lines_stop(&h);
    house_close(&h);
}

static void a_window_defined_anew_refuses_its_old_state_and_says_what_to_do(void **state)
{
    static const char yaml[] = "pipelines:\n  p:\n    from: { lines: { text: [a], repeat: 5, live: true } }\n"
                               "    steps:\n      - window: { every: %s, compute: { hits: count() } }\n"
                               "    to: { topic: t }\n    delivery: exactly_once\n    commit_every: 10ms\n";
    struct house h;
    char text[512];
    (void)state;
    (void)snprintf(text, sizeof text, yaml, "100s");
    house_open(&h, text, 8);
    assert_int_equal(node_open(&h), MR_OK);
    lines_start(&h);
    run_for(&h, 500);
    lines_stop(&h);
    (void)snprintf(text, sizeof text, yaml, "50s");
    change_plan(&h, text);
    lines_start(&h);
    run_for(&h, 500);
    assert_true(h.ended[0]);
    assert_non_null(strstr(h.last_error, "new 'id'"));
    lines_free(&h);
    house_close(&h);
}

/* Also for longer than a transaction may be open. */
static void a_full_disk_is_waited_for_and_nothing_comes_twice(void **state)
{
    static const mr_ms full[] = {500, 5000, 200000};
    (void)state;
    for (size_t i = 0; i < sizeof full / sizeof *full; i++)
        for (mr_ms at = 20; at < 120; at += 9) {
            struct house h;
            house_open(
                &h,
                "pipelines:\n  p:\n    from: { lines: { text: [a], repeat: 3000, batch: 50, live: true } }\n"
                "    steps:\n      - twice: x\n"
                "      - window: { every: 100s, by: [message], compute: { hits: count(), least: min(n) } }\n"
                "      - set: { w: e.least // 100 }\n"
                "    to: { topic: t }\n    delivery: exactly_once\n    commit_every: 10ms\n"
                "    pipeline_bytes: 64KiB\n",
                (uint64_t)at);
            assert_int_equal(node_open(&h), MR_OK);
            lines_start(&h);
            run_for(&h, at);
            mr_sim_faults(h.world)->capacity = 1;
            run_for(&h, full[i]);
            assert_false(h.ended[0]);
            mr_sim_faults(h.world)->capacity = 0;
            run_for(&h, 400000);
            assert_string_equal(once_each(&h, "t", 1, "w", 30), "");
            assert_int_equal(h.errors, 0);
            assert_int_equal(h.line[0]->n.in + h.line[0]->n.made,
                             h.line[0]->n.out + h.line[0]->n.dropped + h.line[0]->n.dead +
                                 h.line[0]->n.replaced + h.line[0]->n.in_flight);
            lines_stop(&h);
            house_close(&h);
        }
}

static void who_is_stopped_while_it_begins_again_ends(void **state)
{
    struct house h;
    (void)state;
    house_open(&h,
               "pipelines:\n  p:\n    from: { lines: { text: [a], repeat: 3000, batch: 50, live: true } }\n"
               "    to: { topic: t }\n    delivery: exactly_once\n    commit_every: 10ms\n"
               "    pipeline_bytes: 64KiB\n",
               13);
    assert_int_equal(node_open(&h), MR_OK);
    lines_start(&h);
    run_for(&h, 60);
    mr_sim_faults(h.world)->capacity = 1;
    run_for(&h, 100000);
    assert_false(h.ended[0]);
    assert_true(h.line[0]->restarts > 0);
    mr_pipeline_stop(h.line[0], false);
    mr_sim_faults(h.world)->capacity = 0;
    run_for(&h, 70000);
    assert_true(h.ended[0]);
    lines_free(&h);
    lines_start(&h);
    run_for(&h, 100000);
    assert_string_equal(once_each(&h, "t", 1, "n", 3000), "");
    lines_stop(&h);
    house_close(&h);
}

/* ------------------------------------------------------------------ groups */

static void on_ensured(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why)
{
    (void)info;
    (void)why;
    assert_int_equal(rc, MR_OK);
    *(bool *)arg = true;
}

static void make_topic(struct house *h, const char *name, int32_t partitions)
{
    bool done = false;
    h->env.topics->ops->ensure(h->env.topics, h->world, mr_slice_of(name), partitions, on_ensured, &done);
    run_for(h, 100);
    assert_true(done);
}

#define SHARE(delivery)                                                                                      \
    "pipelines:\n"                                                                                           \
    "  feed:\n    from: { lines: { text: [a], repeat: 6000, batch: 20, live: true } }\n"                     \
    "    to: { topic: { name: t, key: \"{{ n }}\" } }\n    pipeline_bytes: 64KiB\n"                          \
    "  left:\n    from: { topic: { name: t, group: g } }\n    to: { topic: both }\n" delivery                \
    "  right:\n    from: { topic: { name: t, group: g } }\n    to: { topic: both }\n" delivery

/* One member leaves in the middle and comes back; each time the partitions go round. */
static void share(const char *yaml, uint64_t seed)
{
    struct house h;
    struct mr_err err = {0};
    house_open(&h, yaml, seed);
    assert_int_equal(node_open(&h), MR_OK);
    make_topic(&h, "t", 4);
    lines_start(&h);
    int64_t right = 0;
    for (int round = 0; round < 4; round++) {
        run_for(&h, 40 + (mr_ms)seed * 7);
        mr_pipeline_stop(h.line[2], false);
        for (int i = 0; i < 5000 && !h.ended[2]; i++)
            run_for(&h, 1);
        assert_true(h.ended[2]);
        right += h.line[2]->n.in;
        mr_pipeline_free(h.line[2]);
        h.ended[2] = false;
        run_for(&h, 400);
        assert_int_equal(mr_pipeline_new(&h.plan.config.pipelines[2], &h.env, &h.line[2], &err), MR_OK);
        mr_pipeline_start(h.line[2]);
    }
    run_for(&h, 10000);
    right += h.line[2]->n.in;
    assert_string_equal(once_each(&h, "t", 4, "n", 6000), "");
    assert_string_equal(once_each(&h, "both", 1, "n", 6000), ""); /* clean: also at least once */
    assert_true(h.line[1]->n.in > 0);
    assert_int_equal(h.line[1]->n.in + right, 6000);
    assert_true(h.line[1]->n.lag <= 0 && h.line[2]->n.lag <= 0);
    lines_stop(&h);
    assert_int_equal(h.errors, 0);
    house_close(&h);
}

static void members_come_and_go_and_every_event_is_read_by_one_of_them(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        share(SHARE(""), seed);
        share(SHARE("    delivery: exactly_once\n    commit_every: 20ms\n"), seed);
    }
}

/* Thrown out of the group, again and again, in the middle of whatever it does. */
static void a_member_that_is_thrown_out_comes_back_and_exactly_once_stays_so(void **state)
{
    unsigned again = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct house h;
        struct mr_prng rng;
        mr_prng_seed(&rng, seed);
        house_open(&h,
                   SHARE("    delivery: exactly_once\n    commit_every: 20ms\n    pipeline_bytes: 64KiB\n"),
                   seed);
        assert_int_equal(node_open(&h), MR_OK);
        make_topic(&h, "t", 4);
        lines_start(&h);
        for (int i = 0; i < 12; i++) {
            run_for(&h, (mr_ms)mr_prng_below(&rng, 120));
            sim_node_kick(h.node, "g", mr_prng_below(&rng, 2) ? "left/from[0]" : "right/from[0]");
        }
        run_for(&h, 30000);
        assert_string_equal(once_each(&h, "t", 4, "n", 6000), "");
        const char *wrong = once_each(&h, "both", 1, "n", 6000);
        if (*wrong || h.errors)
            fail_msg("%s; seed %llu; %s", wrong, (unsigned long long)seed, h.last_error);
        again += h.again;
        lines_stop(&h);
        house_close(&h);
    }
    assert_true(again > 0); /* some were hit where it hurts */
}

static void a_group_goes_on_from_what_it_committed_and_loses_nothing_in_a_crash(void **state)
{
    static const char yaml[] = "pipelines:\n"
                               "  feed:\n    from: { lines: { text: [a], repeat: 500, batch: 5, live: true } "
                               "}\n    to: { topic: t }\n"
                               "  read:\n    from: { topic: { name: t, group: g } }\n    to: { topic: u }\n";
    (void)state;
    for (mr_ms at = 20; at < 2500; at += 150) {
        struct house h;
        house_open(&h, yaml, (uint64_t)at);
        assert_int_equal(node_open(&h), MR_OK);
        lines_start(&h);
        run_for(&h, at);
        mr_sim_kill(h.world);
        start_again(&h);
        assert_int_equal(node_open(&h), MR_OK);
        mr_ms before = mr_sim_now(h.sim);
        lines_start(&h);
        run_for(&h, 3000); /* well below the time after which a dead member is missed */
        assert_true(mr_sim_now(h.sim) - before < MR_TOPIC_SESSION_MS);
        memset(times, 0, sizeof times);
        each_value(&h, "u", 1, note, (void *)(uintptr_t) "n");
        for (int i = 0; i < 500; i++)
            assert_true(times[i] > 0);
        if (at > 2000) /* it was committed by then: nothing came again */
            assert_int_equal(h.line[1]->n.in, 0);
        lines_stop(&h);
        house_close(&h);
    }
}

static void a_pipeline_that_gets_a_group_goes_on_where_it_stood(void **state)
{
    static const char feed[] =
        "  feed:\n    from: { lines: { text: [a], repeat: %d, live: true } }\n    to: { "
        "topic: t }\n";
    static const char read[] = "  read:\n    from: { topic: { name: t%s } }\n    to: { topic: u }\n";
    struct house h;
    char yaml[600], one[200], two[200];
    (void)state;
    for (int round = 0; round < 3; round++) {
        (void)snprintf(one, sizeof one, feed, 10 * (round + 1));
        (void)snprintf(two, sizeof two, read, round ? ", group: g" : "");
        (void)snprintf(yaml, sizeof yaml, "pipelines:\n%s%s", one, two);
        if (round == 0) {
            house_open(&h, yaml, 11);
            assert_int_equal(node_open(&h), MR_OK);
        } else {
            change_plan(&h, yaml);
        }
        lines_start(&h);
        run_for(&h, 3000);
        lines_stop(&h);
        assert_string_equal(once_each(&h, "u", 1, "n", 10 * (round + 1)), "");
    }
    house_close(&h);
}

static void start_committed_reads_nothing_that_the_group_has_not_said(void **state)
{
    struct house h;
    (void)state;
    house_open(&h,
               "pipelines:\n  p:\n    from: { topic: { name: t, group: new, start: committed } }\n"
               "    to: { topic: u }\n",
               12);
    assert_int_equal(node_open(&h), MR_OK);
    lines_start(&h);
    run_for(&h, 2000);
    assert_true(h.ended[0]);
    assert_int_equal(h.code[0], 1);
    assert_non_null(strstr(h.last_error, "'new' has committed nothing"));
    lines_free(&h);
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_missing_or_twice_when_power_fails_at_any_operation),
        cmocka_unit_test(nothing_is_missing_or_twice_when_the_process_is_killed),
        cmocka_unit_test(who_takes_its_id_stops_a_pipeline_and_it_says_so),
        cmocka_unit_test(what_a_failed_pipeline_wrote_last_is_not_seen),
        cmocka_unit_test(a_source_without_positions_is_refused_when_it_shows),
        cmocka_unit_test(a_pipeline_that_was_at_least_once_goes_on_where_it_stood),
        cmocka_unit_test(a_state_of_many_chunks_comes_back_whole_and_shrinks),
        cmocka_unit_test(a_window_defined_anew_refuses_its_old_state_and_says_what_to_do),
        cmocka_unit_test(a_full_disk_is_waited_for_and_nothing_comes_twice),
        cmocka_unit_test(who_is_stopped_while_it_begins_again_ends),
        cmocka_unit_test(members_come_and_go_and_every_event_is_read_by_one_of_them),
        cmocka_unit_test(a_member_that_is_thrown_out_comes_back_and_exactly_once_stays_so),
        cmocka_unit_test(a_group_goes_on_from_what_it_committed_and_loses_nothing_in_a_crash),
        cmocka_unit_test(a_pipeline_that_gets_a_group_goes_on_where_it_stood),
        cmocka_unit_test(start_committed_reads_nothing_that_the_group_has_not_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
