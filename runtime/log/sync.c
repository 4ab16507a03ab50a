/* sync.c - group commit: calls that come while a sync runs share the next one.
 *
 * One round makes everything durable that was appended before it began:
 *
 *   idle --waiter--> data: every dirty segment, and the directory when names changed, in parallel
 *        --all done--> [when the round enters a segment that the recovery point on disk has not reached:]
 *                      point: the recovery point is written and synced
 *        --> waiters below the target are answered, `synced` moves, the recovery point is noted (not synced)
 *        --> idle, or the next round when somebody waits
 *
 * Laws:  Y1  `synced` never passes bytes or names that are not durable
 *        Y2  nothing of a segment is answered before the recovery point on disk is in it:
 *            recovery drops what follows a torn segment, and a bit flipped in a sealed one
 *            must not cost acknowledged records behind it
 *        Y3  one failure breaks the log for good (L4); nothing is tried twice
 */
#include "log/inside.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>

static void begin_round(struct mr_log *log);

void log_break(struct mr_log *log, mr_code why)
{
    log->broken = true;
    log->broken_why = why;
}

struct mr_log *give_back(struct token *t)
{
    struct mr_log *log = t->log;
    if (--t->owners == 0)
        mr_free(t);
    return log;
}

/* Answers waiters with a target at or below `upto`; false: a callback closed the log. */
static bool answer(struct mr_log *log, int64_t upto, mr_code rc, int sys)
{
    struct token *t = log->token;
    t->owners++;
    while (t->log && log->waiters && log->waiter[log->first_waiter].target <= upto) {
        struct waiter w = log->waiter[log->first_waiter];
        log->first_waiter = (log->first_waiter + 1) % log->waiter_cap;
        log->waiters--;
        w.done(w.arg, rc, sys);
    }
    return give_back(t) != NULL;
}

static void fail_round(struct mr_log *log)
{
    log->syncing = false;
    log_break(log, MR_IO); /* Y3 */
    (void)answer(log, INT64_MAX, log->sync_rc, log->sync_sys);
}

static void finish_round(struct mr_log *log)
{
    struct mr_err ignored;
    log->syncing = false;
    if (log->target.offset > log->synced ||
        (log->target.offset == log->synced && log->target.segment > log->known.segment)) {
        log->synced = log->target.offset; /* Y1 */
        log->known = log->target;
        /* Not synced: it is right whether or not it reaches the disk, and saves work after a crash. It cannot
         * fail for want of space; should the disk refuse it, the older point stays good. */
        if (log->durable.segment == log->target.segment)
            (void)slot_write(log, log->target, &ignored);
    }
    if (!answer(log, log->synced, MR_OK, 0) || !log->waiters || log->syncing)
        return;
    if (log->broken) /* by what a callback did */
        (void)answer(log, INT64_MAX, log->broken_why, 0);
    else
        begin_round(log);
}

static void point_done(void *arg, mr_code rc, int sys);

static void write_point(struct mr_log *log)
{
    struct mr_err err;
    if ((log->sync_rc = slot_write(log, log->target, &err)) != MR_OK) {
        log->sync_sys = err.sys;
        fail_round(log);
        return;
    }
    log->round_slot = log->slot_number;
    log->token->owners++;
    mr_file_sync_later(log->slots, point_done, log->token);
}

static void point_done(void *arg, mr_code rc, int sys)
{
    struct mr_log *log = give_back(arg);
    if (!log)
        return;
    if (rc) {
        log->sync_rc = rc;
        log->sync_sys = sys;
        fail_round(log);
        return;
    }
    if (log->slot_number != log->round_slot) { /* a trim came between and wrote an older point over it */
        write_point(log);
        return;
    }
    log->durable = log->target;
    finish_round(log);
}

void sync_part_done(void *arg, mr_code rc, int sys)
{
    struct mr_log *log = give_back(arg);
    if (!log)
        return;
    if (rc && !log->sync_rc) {
        log->sync_rc = rc;
        log->sync_sys = sys;
    }
    if (--log->outstanding)
        return;
    if (log->begins && !log->sync_rc)
        log->durable = log->known;
    log->begins = false;
    if (log->sync_rc)
        fail_round(log);
    else if (log->durable.segment != log->target.segment)
        write_point(log); /* Y2 */
    else
        finish_round(log);
}

void log_parent(const struct mr_log *log, char *out, size_t cap)
{
    const char *slash = strrchr(log->dir, '/');
    size_t len = slash == log->dir ? 1 : slash ? (size_t)(slash - log->dir) : 0;
    (void)snprintf(out, cap, "%.*s", len ? (int)len : 1, len ? log->dir : ".");
}

static void begin_round(struct mr_log *log)
{
    struct segment *active = active_of(log);
    struct segment *fly = NULL;
    struct mr_file *files[64];
    char parent[4096];
    uint32_t count = 0;
    bool names = log->names_dirty, fresh = log->fresh, slots = fresh && log->slots;
    mr_assert(!log->syncing && !log->broken);
    log->sync_rc = MR_OK;
    log->sync_sys = 0;
    log->hot = log->gathered >= log->config.direct_bytes;
    log->gathered = 0;
    log->target = (struct point){log->end, active ? active->base : log->end, active ? active->size : 0};
    for (size_t i = 0; i < log->count; i++) {
        struct segment *s = &log->seg[i];
        mr_assert(s);
        if (!s->dirty)
            continue;
        if (count == sizeof files / sizeof files[0]) { /* the rest goes with the next round */
            log->target = (struct point){s->base, s->base, 0};
            break;
        }
        s->dirty = false; /* a failure ends the log, so it is never needed again */
        if (direct_holds(log, s))
            fly = s;
        else
            files[count++] = s->log;
    }
    log->names_dirty = log->fresh = false;
    log->syncing = true;
    log->begins = slots;
    log->outstanding = count + names + fresh + slots + (fly != NULL);
    if (log->outstanding == 0) { /* all is durable already, waiters included */
        log->syncing = false;
        mr_assert(log->synced == log->end);
        (void)answer(log, log->synced, MR_OK, 0);
        return;
    }
    struct token *t = log->token;
    t->owners += log->outstanding - (fly != NULL);
    if (fly)
        direct_fly(log, fly);
    for (uint32_t i = 0; i < count; i++)
        mr_file_sync_later(files[i], sync_part_done, t);
    if (names)
        mr_dir_sync_later(log->world, log->dir, sync_part_done, t);
    if (fresh) {
        log_parent(log, parent, sizeof parent);
        mr_dir_sync_later(log->world, parent, sync_part_done, t);
    }
    if (slots) /* they say where the log began, as written when it was opened */
        mr_file_sync_later(log->slots, sync_part_done, t);
}

static void on_soon(void *arg)
{
    struct mr_log *log = arg;
    if (log->broken)
        (void)answer(log, INT64_MAX, log->broken_why, 0);
    else if (!log->syncing && log->waiters)
        begin_round(log);
}

void mr_log_sync(struct mr_log *log, mr_done_fn done, void *arg)
{
    if (log->waiters == log->waiter_cap) {
        size_t cap = log->waiter_cap ? log->waiter_cap * 2 : 16;
        struct waiter *ring = mr_need(cap * sizeof *ring); /* an answer is owed */
        for (size_t i = 0; i < log->waiters; i++)
            ring[i] = log->waiter[(log->first_waiter + i) % log->waiter_cap];
        mr_free(log->waiter);
        log->waiter = ring;
        log->waiter_cap = cap;
        log->first_waiter = 0;
    }
    log->waiter[(log->first_waiter + log->waiters) % log->waiter_cap] = (struct waiter){log->end, done, arg};
    log->waiters++;
    if (log->syncing)
        return; /* the next round takes it along */
    if (log->broken || (log->synced == log->end && !log->names_dirty)) {
        log->soon.fire = on_soon;
        log->soon.arg = log;
        mr_timer_set(log->world, &log->soon, mr_now(log->world));
        return;
    }
    begin_round(log);
}

/* Before the log goes: everything durable that can be, callers told, callbacks to come cut off. */
void sync_close(struct mr_log *log)
{
    struct mr_err err;
    char parent[4096];
    mr_timer_stop(log->world, &log->soon);
    direct_wait(log);
    mr_code spilled = log->broken ? MR_OK : direct_spill(log, &err);
    if (spilled && !log->syncing)
        log_break(log, spilled);
    if (mr_log_settled(log)) {
        ;                      /* nothing to do, or nothing that is worth it */
    } else if (log->syncing) { /* whether it succeeds will not be seen: the next life recovers */
        log_break(log, MR_CANCELLED);
    } else if (!log->broken && (log->synced < log->end || log->names_dirty)) {
        mr_code rc = MR_OK;
        for (size_t i = 0; i < log->count && !rc; i++)
            if (log->seg[i].dirty)
                rc = mr_file_sync(log->seg[i].log, &err);
        if (!rc)
            rc = mr_dir_sync(log->world, log->dir, &err);
        log_parent(log, parent, sizeof parent);
        if (!rc && log->fresh)
            rc = mr_dir_sync(log->world, parent, &err);
        struct segment *active = active_of(log);
        log->target = (struct point){log->end, active ? active->base : log->end, active ? active->size : 0};
        if (!rc && log->durable.segment != log->target.segment && !(rc = slot_write(log, log->target, &err)))
            rc = mr_file_sync(log->slots, &err); /* Y2, and retention in the next life counts on it */
        if (rc) {
            log_break(log, rc);
        } else {
            log->synced = log->end;
            log->durable.segment = log->target.segment;
        }
    }
    (void)answer(log, INT64_MAX, MR_CANCELLED, 0);
    log->token->log = NULL;
    (void)give_back(log->token);
    mr_free(log->waiter);
    log->waiter = NULL;
}

mr_code log_roll(struct mr_log *log, mr_ns now, struct mr_err *err)
{
    struct segment *old = active_of(log);
    mr_code rc = marker_drop(log, err);
    if (!rc)
        rc = direct_spill(log, err); /* only the active segment has a run */
    if (rc)
        return rc;
    if (old) { /* its files stay open while it is dirty: the next round needs them */
        if ((rc = segment_open(log, old, err)))
            return rc;
        if (log->indexer && !old->suspect)
            segment_seal(log, old, log->indexer);
        else
            old->suspect = true;
    }
    return segment_add(log, log->end, now, err);
}
