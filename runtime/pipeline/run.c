/* run.c - lanes: threads with a world each, and the pipelines that live on them.
 *
 * What crosses threads: posted calls, the counters, and `over`, which tells whether a pipeline still writes.
 */
#include "pipeline/run.h"

#include "base/assert.h"
#include "base/mem.h"
#include "pipeline/inside.h"
#include "pipeline/topic.h"
#include "pipeline/window.h"
#include "plugin/lua_host.h"
#include "world/real.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LANES_MAX = 256, DRAIN_MS = 30000 };

struct lane {
    struct mr_run *run;
    struct mr_world *world;
    struct mr_lua *lua;
    pthread_t thread;
    bool started;
    uint32_t left; /* pipelines that have not ended */
};

struct line {
    struct mr_pipeline *pipeline;
    struct lane *lane;
    _Atomic bool over;
    uint8_t *below; /* once: [pipeline] bit: fed by this one, through any number of topics */
};

struct mr_run {
    struct mr_run_options o;
    struct lane *lanes;
    uint32_t lane_count;
    struct line *lines;
    uint32_t line_count;
    _Atomic uint32_t left;
    _Atomic int exit_code;
    _Atomic int stops;
    bool started, joined;
};

/* ---------------------------------------------------------------- telling */

static void to_stderr(void *arg, enum mr_level level, const char *label, const char *text)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    (void)arg;
    struct timespec t;
    struct tm tm;
    char when[32] = "";
    (void)clock_gettime(CLOCK_REALTIME, &t);
    if (gmtime_r(&t.tv_sec, &tm))
        (void)strftime(when, sizeof when, "%H:%M:%S", &tm);
    (void)fprintf(stderr, "%s %s: %s: %s\n", when, names[level], label, text);
}

static void run_log(void *arg, enum mr_level level, const char *label, const char *text)
{
    struct mr_run *r = arg;
    (r->o.log ? r->o.log : to_stderr)(r->o.arg, level, label, text);
}

/* ---------------------------------------------------------------- who feeds whom */

static bool writes(const struct mr_config_pipeline *p, const char *topic)
{
    for (uint32_t i = 0; i < p->to_count; i++)
        if (p->to[i].topic && strcmp(p->to[i].topic, topic) == 0)
            return true;
    return p->may_die && strcmp(p->dead, topic) == 0;
}

static bool feeds(const struct mr_config_pipeline *a, const struct mr_config_pipeline *b)
{
    for (uint32_t i = 0; i < b->from_count; i++)
        if (b->from[i].topic && writes(a, b->from[i].topic))
            return true;
    return false;
}

static bool below(const struct line *l, uint32_t i)
{
    return (l->below[i / 8] >> (i % 8)) & 1;
}

static void find_below(struct mr_run *r)
{
    uint32_t n = r->line_count, *todo = mr_need((n + 1) * sizeof *todo);
    for (uint32_t i = 0; i < n; i++) {
        struct line *l = &r->lines[i];
        uint32_t count = 1;
        l->below = mr_need(n / 8 + 1);
        todo[0] = i;
        while (count) {
            uint32_t at = todo[--count];
            for (uint32_t k = 0; k < n; k++)
                if (!below(l, k) && feeds(&r->o.config->pipelines[at], &r->o.config->pipelines[k])) {
                    l->below[k / 8] |= (uint8_t)(1 << (k % 8));
                    todo[count++] = k;
                }
        }
    }
    mr_free(todo);
}

/* A pipeline that is itself fed by the reader cannot be waited for: the circle would never end. */
static bool run_fed(void *arg, const struct mr_pipeline *reader, const char *topic)
{
    struct mr_run *r = arg;
    uint32_t me = 0;
    while (me < r->line_count && r->lines[me].pipeline != reader)
        me++;
    for (uint32_t i = 0; i < r->line_count; i++)
        if (i != me && writes(&r->o.config->pipelines[i], topic) && !below(&r->lines[me], i) &&
            !atomic_load(&r->lines[i].over))
            return true;
    return false;
}

/* ---------------------------------------------------------------- on the lanes */

static void look_at_feeders(void *arg)
{
    struct lane *lane = arg;
    for (uint32_t i = 0; i < lane->run->line_count; i++)
        if (lane->run->lines[i].lane == lane && !atomic_load(&lane->run->lines[i].over))
            mr_pipeline_feeders_changed(lane->run->lines[i].pipeline);
}

static void line_ended(void *arg, struct mr_pipeline *p, int exit_code)
{
    struct mr_run *r = arg;
    struct line *l = NULL;
    for (uint32_t i = 0; i < r->line_count; i++)
        if (r->lines[i].pipeline == p)
            l = &r->lines[i];
    mr_assert(l && l->lane->left > 0);
    atomic_store(&l->over, true);
    int was = atomic_load(&r->exit_code); /* 1 before 3 before 0 */
    while (exit_code && was != 1 &&
           !atomic_compare_exchange_weak(&r->exit_code, &was, exit_code == 1 ? 1 : 3))
        ;
    struct lane *lane = l->lane;
    bool lane_over = --lane->left == 0;
    if (atomic_fetch_sub(&r->left, 1) == 1) {
        if (r->o.done)
            r->o.done(r->o.arg, atomic_load(&r->exit_code));
    } else if (r->o.once) {
        for (uint32_t i = 0; i < r->lane_count; i++)
            mr_post(r->lanes[i].world, look_at_feeders, &r->lanes[i]);
    }
    if (lane_over)
        mr_real_stop(lane->world);
}

static void lane_start(void *arg)
{
    struct lane *lane = arg;
    for (uint32_t i = 0; i < lane->run->line_count; i++)
        if (lane->run->lines[i].lane == lane)
            mr_pipeline_start(lane->run->lines[i].pipeline);
}

static void stop_lines(struct lane *lane, bool force)
{
    for (uint32_t i = 0; i < lane->run->line_count; i++)
        if (lane->run->lines[i].lane == lane && !atomic_load(&lane->run->lines[i].over))
            mr_pipeline_stop(lane->run->lines[i].pipeline, force);
}

static void lane_stop(void *arg)
{
    stop_lines(arg, false);
}

static void lane_force(void *arg)
{
    stop_lines(arg, true);
}

static void *lane_main(void *arg)
{
    struct lane *lane = arg;
    mr_real_run(lane->world);
    return NULL;
}

/* ---------------------------------------------------------------- run.h */

mr_code mr_pipeline_components(struct mr_catalog *c, struct mr_err *err)
{
    mr_code rc = mr_catalog_add(c, &mr_topic_source_component, err);
    if (rc == MR_OK)
        rc = mr_catalog_add(c, &mr_topic_sink_component, err);
    if (rc == MR_OK)
        rc = mr_catalog_add(c, &mr_window_component, err);
    return rc;
}

static mr_code make_lines(struct mr_run *r, struct mr_err *err)
{
    const struct mr_config *conf = r->o.config;
    for (uint32_t i = 0; i < conf->pipeline_count; i++) {
        const struct mr_config_pipeline *p = &conf->pipelines[i];
        bool needs = p->may_die;
        for (uint32_t k = 0; k < p->from_count; k++)
            needs |= p->from[k].topic != NULL;
        for (uint32_t k = 0; k < p->to_count; k++)
            needs |= p->to[k].topic != NULL;
        if (needs && !r->o.topics)
            return mr_fail(err, MR_BADCONF, "pipeline '%s' uses topics and there is no broker in this run",
                           p->name);
        struct lane *lane = &r->lanes[i % r->lane_count];
        struct mr_lane_env env = {
            .world = lane->world,
            .topics = r->o.topics,
            .data_dir = r->o.data_dir,
            .once = r->o.once,
            .drain_ms = r->o.drain_ms > 0 ? r->o.drain_ms : DRAIN_MS,
            .lua = &lane->lua,
            .watch = mr_real_watch,
            .unwatch = mr_real_unwatch,
            .log = run_log,
            .fed = run_fed,
            .ended = line_ended,
            .arg = r,
        };
        mr_code rc = mr_pipeline_new(p, &env, &r->lines[i].pipeline, err);
        if (rc != MR_OK)
            return rc;
        r->lines[i].lane = lane;
        lane->left++;
    }
    return MR_OK;
}

mr_code mr_run_new(const struct mr_run_options *o, struct mr_run **out, struct mr_err *err)
{
    uint32_t n = o->config->pipeline_count;
    if (n == 0)
        return mr_fail(err, MR_BADCONF, "there is no pipeline to run");
    struct mr_run *r = mr_need(sizeof *r);
    r->o = *o;
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    uint32_t lanes = o->lanes ? o->lanes : cores > 0 ? (uint32_t)cores : 1;
    lanes = lanes < n ? lanes : n;
    lanes = lanes < LANES_MAX ? lanes : LANES_MAX;
    r->lanes = mr_need(lanes * sizeof *r->lanes);
    r->lines = mr_need(n * sizeof *r->lines);
    r->line_count = n;
    atomic_init(&r->left, n);
    mr_code rc = MR_OK;
    for (uint32_t i = 0; i < lanes && rc == MR_OK; i++) {
        r->lanes[i].run = r;
        rc = mr_real_new(&r->lanes[i].world, err);
        r->lane_count += rc == MR_OK;
    }
    if (rc == MR_OK)
        rc = make_lines(r, err);
    if (rc != MR_OK) {
        mr_run_free(r);
        return rc;
    }
    find_below(r);
    *out = r;
    return MR_OK;
}

mr_code mr_run_start(struct mr_run *r, struct mr_err *err)
{
    mr_assert(!r->started);
    for (uint32_t i = 0; i < r->lane_count; i++) {
        struct lane *lane = &r->lanes[i];
        mr_post(lane->world, lane_start, lane);
        int e = pthread_create(&lane->thread, NULL, lane_main, lane);
        if (e != 0) { /* the lanes that run already are stopped again */
            for (uint32_t k = 0; k < i; k++)
                mr_post(r->lanes[k].world, lane_force, &r->lanes[k]);
            for (uint32_t k = 0; k < i; k++)
                (void)pthread_join(r->lanes[k].thread, NULL);
            return mr_fail(err, MR_LIMIT, "cannot start a thread for a lane: %s", strerror(e));
        }
        lane->started = true;
    }
    r->started = true;
    return MR_OK;
}

void mr_run_stop(struct mr_run *r)
{
    bool again = atomic_fetch_add(&r->stops, 1) > 0;
    for (uint32_t i = 0; i < r->lane_count; i++)
        mr_post(r->lanes[i].world, again ? lane_force : lane_stop, &r->lanes[i]);
}

void mr_run_force(struct mr_run *r)
{
    atomic_fetch_add(&r->stops, 1);
    for (uint32_t i = 0; i < r->lane_count; i++)
        mr_post(r->lanes[i].world, lane_force, &r->lanes[i]);
}

int mr_run_wait(struct mr_run *r)
{
    for (uint32_t i = 0; i < r->lane_count && !r->joined; i++)
        if (r->lanes[i].started)
            (void)pthread_join(r->lanes[i].thread, NULL);
    r->joined = true;
    return atomic_load(&r->exit_code);
}

void mr_run_free(struct mr_run *r)
{
    if (!r)
        return;
    for (uint32_t i = 0; i < r->line_count; i++) {
        mr_pipeline_free(r->lines[i].pipeline);
        mr_free(r->lines[i].below);
    }
    for (uint32_t i = 0; i < r->lane_count; i++) {
        mr_lua_free(r->lanes[i].lua);
        mr_real_free(r->lanes[i].world);
    }
    mr_free(r->lanes);
    mr_free(r->lines);
    mr_free(r);
}

uint32_t mr_run_count(const struct mr_run *r)
{
    return r->line_count;
}

const char *mr_run_name(const struct mr_run *r, uint32_t i)
{
    return r->o.config->pipelines[i].name;
}

void mr_run_counts(const struct mr_run *r, uint32_t i, struct mr_run_counts *out)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    mr_pipeline_counts(r->lines[i].pipeline, out, (mr_ms)t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

static void part_metrics(const struct mr_part *p,
                         void (*each)(void *arg, const char *label, const char *metric, int64_t value),
                         void *arg)
{
    for (size_t i = 0; i < MR_METRICS_MAX; i++) {
        const char *name = atomic_load_explicit(&p->metrics[i].name, memory_order_acquire);
        if (name)
            each(arg, p->host.label, name, atomic_load_explicit(&p->metrics[i].value, memory_order_relaxed));
    }
}

void mr_run_metrics(const struct mr_run *r, uint32_t i,
                    void (*each)(void *arg, const char *label, const char *metric, int64_t value), void *arg)
{
    const struct mr_pipeline *l = r->lines[i].pipeline;
    for (uint32_t k = 0; k < l->conf->from_count; k++)
        part_metrics(&l->sources[k].part, each, arg);
    for (uint32_t k = 0; k < l->conf->step_count; k++)
        part_metrics(&l->steps[k].part, each, arg);
    for (uint32_t k = 0; k < l->conf->to_count; k++)
        part_metrics(&l->outputs[k].part, each, arg);
}
