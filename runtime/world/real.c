/* real.c - the loop: timers, posted calls, watches and signals over libuv.
 *
 * Laws:  R1  posted calls run in the order of posting
 *        R2  an alarm is in the heap at index timer->runtime - 1, or timer->runtime is NULL
 *        R3  the libuv timer is set for the heap's earliest alarm, so that an idle world sleeps
 */
#include "world/real_inside.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define WORKERS "8" /* of the process, unless UV_THREADPOOL_SIZE says otherwise */

static mr_ms real_now(struct mr_world *w)
{
    struct timespec t;
    (void)w;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (mr_ms)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static mr_ns real_wall(struct mr_world *w)
{
    struct timespec t;
    (void)w;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (mr_ns)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint64_t real_random(struct mr_world *w)
{
    uint64_t v = 0;
    ssize_t n;
    (void)w;
    do
        n = getrandom(&v, sizeof v, 0);
    while (n < 0 && errno == EINTR);
    mr_assert(n == (ssize_t)sizeof v);
    return v;
}

/* ---- timers: a binary heap */

static bool is_before(const struct alarm *a, const struct alarm *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void settle(struct real *r, size_t i, struct alarm a)
{
    r->heap[i] = a;
    a.timer->runtime = (void *)(uintptr_t)(i + 1); /* R2 */
}

static void sift(struct real *r, size_t i, struct alarm a)
{
    for (; i > 0 && is_before(&a, &r->heap[(i - 1) / 2]); i = (i - 1) / 2)
        settle(r, i, r->heap[(i - 1) / 2]);
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < r->alarms && is_before(&r->heap[child + 1], &r->heap[child]))
            child++;
        if (child >= r->alarms || !is_before(&r->heap[child], &a))
            break;
        settle(r, i, r->heap[child]);
        i = child;
    }
    settle(r, i, a);
}

static void take_out(struct real *r, size_t i)
{
    mr_assert(i < r->alarms);
    r->heap[i].timer->runtime = NULL;
    struct alarm last = r->heap[--r->alarms];
    if (i < r->alarms)
        sift(r, i, last);
}

static void on_tick(uv_timer_t *tick);

static void set_tick(struct real *r)
{
    mr_ms at = r->alarms ? r->heap[0].at : MR_NEVER;
    if (at == r->tick_at)
        return;
    r->tick_at = at;
    if (at == MR_NEVER) {
        (void)uv_timer_stop(&r->tick);
        return;
    }
    mr_ms now = real_now(&r->world);
    uv_update_time(&r->loop);
    (void)uv_timer_start(&r->tick, on_tick, at > now ? (uint64_t)(at - now) : 0, 0);
}

static void on_tick(uv_timer_t *tick)
{
    struct real *r = (struct real *)((char *)tick - offsetof(struct real, tick));
    mr_ms now = real_now(&r->world);
    uint64_t order = r->order; /* what is set while we fire waits for the next turn */
    r->tick_at = MR_NEVER;
    while (r->alarms && r->heap[0].at <= now && r->heap[0].order < order) {
        struct mr_timer *t = r->heap[0].timer;
        take_out(r, 0);
        t->fire(t->arg);
    }
    set_tick(r); /* R3 */
}

static void real_timer_set(struct mr_world *w, struct mr_timer *t, mr_ms at)
{
    struct real *r = mr_real_of(w);
    t->at = at;
    struct alarm a = {.at = at, .order = r->order++, .timer = t};
    if (t->runtime) {
        size_t i = (size_t)(uintptr_t)t->runtime - 1;
        mr_assert(i < r->alarms && r->heap[i].timer == t); /* R2 */
        sift(r, i, a);
    } else {
        if (r->alarms == r->heap_cap) {
            size_t cap = r->heap_cap ? r->heap_cap * 2 : 64;
            struct alarm *heap = mr_realloc(r->heap, cap * sizeof *heap);
            mr_assert(heap); /* a timer that cannot be set would be a promise broken in silence */
            r->heap = heap;
            r->heap_cap = cap;
        }
        r->alarms++;
        sift(r, r->alarms - 1, a);
    }
    set_tick(r);
}

static void real_timer_stop(struct mr_world *w, struct mr_timer *t)
{
    struct real *r = mr_real_of(w);
    if (!t->runtime)
        return;
    size_t i = (size_t)(uintptr_t)t->runtime - 1;
    mr_assert(i < r->alarms && r->heap[i].timer == t); /* R2 */
    take_out(r, i);
    set_tick(r);
}

/* ---- posted calls */

static void real_post(struct mr_world *w, void (*fn)(void *arg), void *arg)
{
    struct real *r = mr_real_of(w);
    (void)pthread_mutex_lock(&r->lock);
    if (r->queued == r->queue_cap) {
        size_t cap = r->queue_cap ? r->queue_cap * 2 : 64;
        struct posted *queue = mr_realloc(r->queue, cap * sizeof *queue);
        mr_assert(queue); /* a call that is lost would hang whoever waits for it */
        r->queue = queue;
        r->queue_cap = cap;
    }
    bool first = r->queued == 0;
    r->queue[r->queued++] = (struct posted){fn, arg};
    (void)pthread_mutex_unlock(&r->lock);
    if (first)
        (void)uv_async_send(&r->wake);
}

static void on_wake(uv_async_t *wake)
{
    struct real *r = (struct real *)((char *)wake - offsetof(struct real, wake));
    (void)pthread_mutex_lock(&r->lock);
    struct posted *run = r->queue;
    size_t count = r->queued, cap = r->queue_cap;
    r->queue = r->running;
    r->queue_cap = r->running_cap;
    r->queued = 0;
    r->running = run;
    r->running_cap = cap;
    (void)pthread_mutex_unlock(&r->lock);
    for (size_t i = 0; i < count; i++) /* R1 */
        run[i].fn(run[i].arg);
}

static const struct mr_world_ops ops = {
    .now = real_now,
    .wall = real_wall,
    .random = real_random,
    .timer_set = real_timer_set,
    .timer_stop = real_timer_stop,
    .post = real_post,
    .open = mr_real_open,
    .close = mr_real_close,
    .pread = mr_real_pread,
    .pwrite = mr_real_pwrite,
    .truncate = mr_real_truncate,
    .size = mr_real_size,
    .sync = mr_real_sync,
    .sync_later = mr_real_sync_later,
    .fd = mr_real_fd,
    .stat = mr_real_stat,
    .rename = mr_real_rename,
    .unlink = mr_real_unlink,
    .mkdir = mr_real_mkdir,
    .rmdir = mr_real_rmdir,
    .dir_sync = mr_real_dir_sync,
    .list = mr_real_list,
    .dir_sync_later = mr_real_dir_sync_later,
    .hold = mr_real_hold,
    .work = mr_real_work,
    .flush_later = mr_real_flush_later,
    .files = mr_real_files,
    .write_later = mr_real_write_later,
    .write_wait = mr_real_write_wait,
    .ahead = mr_real_ahead,
    .flush = mr_real_flush,
};

struct real *mr_real_of(struct mr_world *w)
{
    mr_assert(w->ops == &ops);
    return (struct real *)w;
}

/* libuv starts its workers with the first work and asks the environment how many. They wait for the disk
 * most of the time: syncs must not queue behind logs that are recovered. */
static void settle_workers(void)
{
    (void)setenv("UV_THREADPOOL_SIZE", WORKERS, 0);
}

mr_code mr_real_new(struct mr_world **out, struct mr_err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, settle_workers);
    struct real *r = mr_alloc(sizeof *r);
    int sys;
    if (!r)
        return mr_fail(err, MR_MEMORY, "no memory for an event loop");
    r->world.ops = &ops;
    r->tick_at = MR_NEVER;
    if ((sys = uv_loop_init(&r->loop)) != 0) {
        mr_free(r);
        return mr_real_fail(err, -sys, "make", "an event loop");
    }
    if ((sys = uv_async_init(&r->loop, &r->wake, on_wake)) != 0) {
        (void)uv_loop_close(&r->loop);
        mr_free(r);
        return mr_real_fail(err, -sys, "make", "a wake-up descriptor");
    }
    (void)uv_timer_init(&r->loop, &r->tick);
    (void)pthread_mutex_init(&r->lock, NULL);
    *out = &r->world;
    return MR_OK;
}

/* Every handle on its own in the heap has its owner in handle->data; those inside struct real have NULL. */
static void on_handle_closed(uv_handle_t *handle)
{
    mr_free(handle->data);
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, on_handle_closed);
}

void mr_real_free(struct mr_world *w)
{
    struct real *r = mr_real_of(w);
    uv_walk(&r->loop, close_handle, NULL);
    while (uv_run(&r->loop, UV_RUN_DEFAULT) != 0) /* workers end, closed callbacks come */
        ;
    mr_assert(uv_loop_close(&r->loop) == 0);
    (void)pthread_mutex_destroy(&r->lock);
    mr_free(r->queue);
    mr_free(r->running);
    mr_free(r->heap);
    mr_free(r);
}

void mr_real_run(struct mr_world *w)
{
    (void)uv_run(&mr_real_of(w)->loop, UV_RUN_DEFAULT);
}

static void stop(void *arg)
{
    uv_stop(&((struct real *)arg)->loop);
}

void mr_real_stop(struct mr_world *w)
{
    real_post(w, stop, mr_real_of(w)); /* behind what was posted before */
}

/* ---- watches and signals */

struct mr_watch {
    uv_poll_t poll;
    void (*ready)(void *arg);
    void *arg;
};

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct mr_watch *watch = poll->data;
    (void)status, (void)events; /* also on an error of the descriptor: the owner's read will meet it */
    watch->ready(watch->arg);
}

mr_code mr_real_watch(struct mr_world *w, int fd, void (*ready)(void *arg), void *arg, struct mr_watch **out,
                      struct mr_err *err)
{
    struct real *r = mr_real_of(w);
    struct mr_watch *watch = mr_alloc(sizeof *watch);
    int sys;
    if (!watch)
        return mr_fail(err, MR_MEMORY, "no memory to watch descriptor %d", fd);
    watch->ready = ready;
    watch->arg = arg;
    if ((sys = uv_poll_init(&r->loop, &watch->poll, fd)) != 0) {
        mr_free(watch);
        return mr_real_fail(err, -sys, "watch", "a descriptor that is no socket, pipe or terminal");
    }
    watch->poll.data = watch;
    if ((sys = uv_poll_start(&watch->poll, UV_READABLE, on_readable)) != 0) {
        uv_close((uv_handle_t *)&watch->poll, on_handle_closed);
        return mr_real_fail(err, -sys, "watch", "a descriptor");
    }
    *out = watch;
    return MR_OK;
}

void mr_real_unwatch(struct mr_watch *watch)
{
    if (watch)
        uv_close((uv_handle_t *)&watch->poll, on_handle_closed);
}

struct signal_watch {
    uv_signal_t signal;
    void (*fn)(void *arg, int signo);
    void *arg;
};

static void on_signal(uv_signal_t *signal, int signo)
{
    struct signal_watch *s = signal->data;
    s->fn(s->arg, signo);
}

mr_code mr_real_signal(struct mr_world *w, int signo, void (*fn)(void *arg, int signo), void *arg,
                       struct mr_err *err)
{
    struct real *r = mr_real_of(w);
    struct signal_watch *s = mr_alloc(sizeof *s);
    int sys;
    if (!s)
        return mr_fail(err, MR_MEMORY, "no memory to watch signal %d", signo);
    s->fn = fn;
    s->arg = arg;
    (void)uv_signal_init(&r->loop, &s->signal);
    s->signal.data = s;
    if ((sys = uv_signal_start(&s->signal, on_signal, signo)) != 0) {
        uv_close((uv_handle_t *)&s->signal, on_handle_closed);
        return mr_real_fail(err, -sys, "watch", "a signal");
    }
    sigset_t now; /* who blocked it from the start of main on gets what came meanwhile */
    (void)sigemptyset(&now);
    (void)sigaddset(&now, signo);
    (void)pthread_sigmask(SIG_UNBLOCK, &now, NULL);
    return MR_OK;
}
