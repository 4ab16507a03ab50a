/* run_test.c - whole runs on real lanes: several pipelines, joined by topics, from start to end. */
#include "pipeline/kit.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct result {
    pthread_mutex_t lock;
    unsigned errors, done;
    int code;
};

static void note(void *arg, enum mr_level level, const char *label, const char *text)
{
    struct result *r = arg;
    (void)label;
    (void)text;
    pthread_mutex_lock(&r->lock);
    r->errors += level == MR_ERROR;
    pthread_mutex_unlock(&r->lock);
}

static void done(void *arg, int code)
{
    struct result *r = arg;
    pthread_mutex_lock(&r->lock);
    r->done++;
    r->code = code;
    pthread_mutex_unlock(&r->lock);
}

static struct mr_run *start(struct kit_plan *plan, struct kit_port *port, struct result *r, bool once,
                            const char *dir)
{
    struct mr_run *run = NULL;
    struct mr_err err;
    mr_err_clear(&err);
    memset(r, 0, sizeof *r);
    (void)pthread_mutex_init(&r->lock, NULL);
    struct mr_run_options o = {
        .config = &plan->config,
        .catalog = plan->catalog,
        .topics = port ? &port->port : NULL,
        .data_dir = dir,
        .once = once,
        .lanes = 3,
        .log = note,
        .done = done,
        .arg = r,
    };
    if (mr_run_new(&o, &run, &err) != MR_OK || mr_run_start(run, &err) != MR_OK)
        fail_msg("%s", err.text);
    return run;
}

static void pipelines_joined_by_topics_end_one_after_the_other(void **state)
{
    struct kit_plan plan;
    struct kit_port port;
    struct result r;
    struct mr_run_counts n;
    (void)state;
    kit_plan(
        &plan,
        "pipelines:\n  c:\n    from: { topic: u }\n    to: { topic: v }\n"
        "  a:\n    from: { lines: { text: [x, y], batch: 10, repeat: 10000 } }\n    to: { topic: t }\n"
        "  b:\n    from: { topic: t }\n    steps: [ { drop: e.message == 'y' } ]\n    to: { topic: u }\n");
    kit_port_init(&port);
    port.default_partitions = 3;
    struct mr_run *run = start(&plan, &port, &r, true, NULL);
    assert_int_equal(mr_run_wait(run), 0);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.errors, 0);
    assert_string_equal(mr_run_name(run, 0), "c");
    mr_run_counts(run, 0, &n);
    assert_int_equal(n.in, 10000);
    assert_int_equal(n.out, 10000);
    assert_int_equal(n.state, MR_RUN_ENDED);
    mr_run_counts(run, 2, &n);
    assert_int_equal(n.in, 20000);
    assert_int_equal(n.dropped, 10000);
    mr_run_free(run);
    kit_port_fini(&port);
    kit_plan_fini(&plan);
}

static void a_circle_of_pipelines_ends_too(void **state)
{
    struct kit_plan plan;
    struct kit_port port;
    struct result r;
    (void)state;
    kit_plan(&plan,
             "pipelines:\n  a:\n    from: { topic: t }\n    steps: [ { drop: true } ]\n    to: { topic: u }\n"
             "  b:\n    from: { topic: u }\n    to: { topic: t }\n");
    kit_port_init(&port);
    kit_topic_add(&port, "t", 0, NULL, "{}");
    struct mr_run *run = start(&plan, &port, &r, true, NULL);
    assert_int_equal(mr_run_wait(run), 0);
    mr_run_free(run);
    kit_port_fini(&port);
    kit_plan_fini(&plan);
}

static void a_stop_from_another_thread_drains_and_ends_well(void **state)
{
    struct kit_plan plan;
    struct kit_port port;
    struct result r;
    struct mr_run_counts n = {0};
    (void)state;
    kit_plan(&plan, "pipelines:\n  a:\n    from: { lines: { text: [x], batch: 100, repeat: 1000000, live: "
                    "true } }\n    to: { topic: t }\n"
                    "  b:\n    from: { topic: t }\n    to: { topic: u }\n");
    kit_port_init(&port);
    struct mr_run *run = start(&plan, &port, &r, false, NULL);
    while (n.out < 1000)
        mr_run_counts(run, 1, &n);
    mr_run_stop(run);
    assert_int_equal(mr_run_wait(run), 0);
    for (uint32_t i = 0; i < mr_run_count(run); i++) {
        mr_run_counts(run, i, &n);
        assert_int_equal(n.in_flight, 0);
        assert_int_equal(n.in, n.out);
    }
    mr_run_free(run);
    kit_port_fini(&port);
    kit_plan_fini(&plan);
}

static void one_failed_pipeline_gives_code_1_and_the_others_go_on(void **state)
{
    struct kit_plan plan;
    struct kit_port port;
    struct result r;
    struct mr_run_counts n;
    (void)state;
    kit_plan(
        &plan,
        "pipelines:\n  a:\n    from: { lines: { text: [x], repeat: 100 } }\n    to: { topic: t }\n"
        "  b:\n    from: { lines: { text: [x], repeat: 100 } }\n    steps: [ bad ]\n    to: { topic: t }\n");
    kit_port_init(&port);
    struct mr_run *run = start(&plan, &port, &r, true, NULL);
    assert_int_equal(mr_run_wait(run), 1);
    assert_int_equal(r.code, 1);
    assert_int_equal(r.errors, 1);
    mr_run_counts(run, 0, &n);
    assert_int_equal(n.out, 100);
    mr_run_counts(run, 1, &n);
    assert_int_equal(n.state, MR_RUN_FAILED);
    mr_run_free(run);
    kit_port_fini(&port);
    kit_plan_fini(&plan);
}

static void topics_without_a_broker_are_refused_at_the_start(void **state)
{
    struct kit_plan plan;
    struct mr_run *run = NULL;
    struct mr_err err;
    (void)state;
    kit_plan(&plan, "pipelines:\n  a:\n    from: { topic: t }\n    on_error: drop\n    to: out\n");
    struct mr_run_options o = {.config = &plan.config, .catalog = plan.catalog};
    assert_int_equal(mr_run_new(&o, &run, &err), MR_BADCONF);
    assert_non_null(strstr(err.text, "'a'"));
    kit_plan_fini(&plan);
}

static mr_code pend(struct mr_batch *b, uint64_t ticket, struct mr_verdict *v, unsigned nth,
                    struct mr_err *err)
{
    (void)b;
    (void)ticket;
    (void)v;
    (void)nth;
    (void)err;
    return MR_PENDING;
}

static void wait_for(struct mr_run *run, int64_t in, int64_t out)
{
    struct mr_run_counts n = {0};
    struct timespec pause = {0, 1000000};
    for (int i = 0; i < 20000 && (n.in < in || n.out < out); i++) {
        (void)nanosleep(&pause, NULL); /* for another thread, which takes what time it takes */
        mr_run_counts(run, 0, &n);
    }
    assert_true(n.in >= in && n.out >= out);
}

static void a_watched_descriptor_wakes_its_source_and_a_full_pipeline_does_not_spin(void **state)
{
    struct kit_plan plan;
    struct result r;
    char yaml[256];
    int fd[2];
    (void)state;
    kit_reset();
    assert_int_equal(pipe2(fd, O_NONBLOCK | O_CLOEXEC), 0);
    (void)snprintf(yaml, sizeof yaml,
                   "pipelines:\n  a:\n    on_error: drop\n    from: { feed: %d }\n    to: out\n", fd[0]);
    kit_plan(&plan, yaml);
    kit.on_write = pend;
    struct mr_run *run = start(&plan, NULL, &r, false, NULL);
    char block[64] = {0};
    for (int i = 0; i < MR_FLIGHTS_MAX + 100; i++) { /* more than may be on their way */
        assert_int_equal(write(fd[1], block, sizeof block), sizeof block);
        if (i % 64 == 0 && i < MR_FLIGHTS_MAX)
            wait_for(run, i + 1, 0);
    }
    wait_for(run, MR_FLIGHTS_MAX, 0);
    unsigned reads = kit.reads;
    struct timespec pause = {0, 50000000};
    (void)nanosleep(&pause, NULL);
    assert_true(kit.reads - reads < 3); /* the descriptor is readable all the time */
    struct mr_run_counts n;
    mr_run_counts(run, 0, &n);
    assert_int_equal(n.in, MR_FLIGHTS_MAX);
    mr_run_stop(run);
    mr_run_stop(run); /* a second time: by force */
    assert_int_equal(mr_run_wait(run), 3);
    mr_run_free(run);
    (void)close(fd[0]);
    (void)close(fd[1]);
    kit_plan_fini(&plan);
}

static void wake_ups_from_another_thread_are_not_lost(void **state)
{
    struct kit_plan plan;
    struct result r;
    (void)state;
    for (int i = 0; i < 20; i++) {
        kit_plan(&plan, "pipelines:\n  a:\n    on_error: drop\n    from: { feed: { thread: true } }\n    to: "
                        "{ file: x }\n");
        struct mr_run *run = start(&plan, NULL, &r, false, NULL);
        assert_int_equal(mr_run_wait(run), 0); /* would wait for ever */
        struct mr_run_counts n;
        mr_run_counts(run, 0, &n);
        assert_int_equal(n.out, 1000);
        mr_run_free(run);
        kit_plan_fini(&plan);
    }
}

static void positions_survive_on_a_real_disk(void **state)
{
    struct kit_plan plan;
    struct result r;
    struct mr_run_counts n;
    char dir[] = "/tmp/millrace-run-XXXXXX", command[64];
    (void)state;
    assert_non_null(mkdtemp(dir));
    kit_plan(&plan, "pipelines:\n  a:\n    on_error: drop\n    from: { lines: { text: [x], repeat: 5000, "
                    "batch: 7 } }\n    to: { file: x }\n");
    for (int i = 0; i < 2; i++) {
        struct mr_run *run = start(&plan, NULL, &r, true, dir);
        assert_int_equal(mr_run_wait(run), 0);
        mr_run_counts(run, 0, &n);
        assert_int_equal(n.in, i ? 0 : 5000);
        mr_run_free(run);
    }
    (void)snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
    kit_plan_fini(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipelines_joined_by_topics_end_one_after_the_other),
        cmocka_unit_test(a_circle_of_pipelines_ends_too),
        cmocka_unit_test(a_stop_from_another_thread_drains_and_ends_well),
        cmocka_unit_test(one_failed_pipeline_gives_code_1_and_the_others_go_on),
        cmocka_unit_test(a_watched_descriptor_wakes_its_source_and_a_full_pipeline_does_not_spin),
        cmocka_unit_test(wake_ups_from_another_thread_are_not_lost),
        cmocka_unit_test(positions_survive_on_a_real_disk),
        cmocka_unit_test(topics_without_a_broker_are_refused_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
