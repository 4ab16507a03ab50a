/* host.c - the host of a component that does not run: no batch, no events, no descriptors, and an hour that
 * stands still, so that what a check says does not depend on when it is made.
 */
#include "plugin/host.h"

static struct mr_batch *no_batch(struct mr_host *h, struct mr_batch *from)
{
    (void)h;
    (void)from;
    return NULL;
}

static void no_emit(struct mr_host *h, struct mr_batch *b)
{
    (void)h;
    (void)b;
}

static mr_ns still_now(struct mr_host *h)
{
    (void)h;
    return 1760104510000000000;
}

static mr_ms still_monotonic(struct mr_host *h)
{
    (void)h;
    return 1000;
}

static void no_wake(struct mr_host *h)
{
    (void)h;
}

static mr_code no_watch(struct mr_host *h, int fd, struct mr_err *err)
{
    (void)h;
    (void)fd;
    (void)err;
    return MR_OK;
}

static void no_unwatch(struct mr_host *h, int fd)
{
    (void)h;
    (void)fd;
}

static void no_timer(struct mr_host *h, mr_ms at)
{
    (void)h;
    (void)at;
}

static bool once(struct mr_host *h)
{
    (void)h;
    return true;
}

static void no_log(struct mr_host *h, enum mr_level level, const char *text)
{
    (void)h;
    (void)level;
    (void)text;
}

static void no_count(struct mr_host *h, const char *metric, int64_t delta)
{
    (void)h;
    (void)metric;
    (void)delta;
}

static void no_written(struct mr_host *h, uint64_t ticket, const struct mr_verdict *verdict)
{
    (void)h;
    (void)ticket;
    (void)verdict;
}

const struct mr_host_ops mr_host_idle = {
    .batch_new = no_batch,
    .emit = no_emit,
    .now = still_now,
    .monotonic = still_monotonic,
    .wake = no_wake,
    .watch = no_watch,
    .unwatch = no_unwatch,
    .timer = no_timer,
    .once = once,
    .log = no_log,
    .count = no_count,
    .written = no_written,
};
