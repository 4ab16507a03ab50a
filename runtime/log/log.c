/* log.c - opening, appending, retention, trimming; the laws L1 to L4 are in log.h.
 *
 * The file of a batch never changes once written, so readers and sends may go on while the log appends.
 * Appending is one pwrite to the active segment and no allocation; index entries collect in memory and go out
 * 256 at a time.
 */
#include "log/inside.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

enum { DIR_MAX = 3900, SEGMENT_MIN = 4096 };

void mr_log_config_init(struct mr_log_config *c)
{
    *c = (struct mr_log_config){.segment_bytes = INT64_C(1) << 30,
                                .segment_ms = INT64_C(7) * 86400 * 1000,
                                .index_interval_bytes = 4096,
                                .retention_bytes = -1,
                                .retention_ms = INT64_C(7) * 86400 * 1000,
                                .max_batch_bytes = (1 << 20) + 12,
                                .segment_index_bytes = 10 << 20,
                                .direct_bytes = 64 << 10,
                                .retain = true,
                                .max_compaction_lag_ms = INT64_MAX,
                                .delete_retention_ms = INT64_C(86400) * 1000,
                                .min_dirty_ratio = 0.5,
                                .compact_map_bytes = MR_LOG_COMPACT_MAP};
}

void mr_log_configure(struct mr_log *log, const struct mr_log_config *config)
{
    struct mr_err ignored; /* what is held stays until the next round */
    log->config = *config;
    if (config->pool)
        log->pool = config->pool;
    else if (!log->broken)
        (void)direct_spill(log, &ignored);
    if (log->config.segment_bytes < SEGMENT_MIN)
        log->config.segment_bytes = SEGMENT_MIN;
    if (log->config.segment_bytes > INT64_C(2) << 30)
        log->config.segment_bytes = INT64_C(2) << 30; /* positions in an index have 32 bits */
    if (log->config.index_interval_bytes < 1)
        log->config.index_interval_bytes = 1;
    if (log->config.max_batch_bytes > MR_LOG_BATCH_MAX)
        log->config.max_batch_bytes = MR_LOG_BATCH_MAX;
}

static void forget_log(struct mr_log *log)
{
    for (size_t i = 0; i < log->count; i++)
        segment_close(&log->seg[i]);
    direct_close(log);
    mr_file_close(log->slots);
    mr_free(log->seg);
    mr_free(log->indexer);
    mr_free(log->waiter);
    mr_free(log->dir);
    mr_free(log);
}

/* What lies below the start is of no concern any more. */
static void prune_damage(struct mr_log *log)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < log->damages; i++)
        if (log->damage[i].to > log->start)
            log->damage[kept++] = log->damage[i];
    log->damages = kept;
}

mr_code mr_log_open(struct mr_world *w, const char *dir, const struct mr_log_config *config,
                    struct mr_log **out, struct mr_err *err)
{
    struct mr_err own;
    struct mr_stat st;
    size_t len = strlen(dir);
    if (!err)
        err = &own;
    if (len == 0 || len > DIR_MAX)
        return mr_fail(err, MR_LIMIT, "the directory of a log has 1 to %d bytes, not %zu", DIR_MAX, len);
    struct mr_log *log = mr_alloc(sizeof *log);
    if (log) {
        log->world = w;
        log->dir = mr_strndup(dir, len);
        log->token = mr_alloc(sizeof *log->token);
    }
    if (!log || !log->dir || !log->token) {
        if (log) {
            mr_free(log->token);
            forget_log(log);
        }
        return mr_fail(err, MR_MEMORY, "no memory for log '%s'", dir);
    }
    log->token->log = log;
    log->token->owners = 1;
    log->durable.segment = -1;
    log->read_at = -1;
    mr_log_configure(log, config);
    mr_code rc = mr_stat_path(w, dir, &st, err);
    if (rc == MR_NOTFOUND) {
        char parent[4096];
        log_parent(log, parent, sizeof parent);
        if (!(rc = mr_mkdir_all(w, parent, err)))
            rc = mr_mkdir(w, dir, err);
        log->fresh = !rc;
    }
    if (!rc)
        rc = recover(log, err);
    if (rc && !log->recovered) {
        mr_wrap(err, "cannot open log '%s'", dir);
        mr_free(log->token);
        forget_log(log);
        return rc;
    }
    prune_damage(log);
    mr_assert(log->start <= log->synced && log->synced <= log->end);
    *out = log;
    return rc;
}

bool mr_log_settled(const struct mr_log *log)
{
    bool unused = log->count == 0 && log->durable.segment < 0; /* nothing to lose */
    return !log->broken && !log->syncing && log->synced == log->end && (!log->names_dirty || unused);
}

bool mr_log_rest(struct mr_log *log)
{
    struct segment *active = active_of(log);
    if (!mr_log_settled(log) || log->compact || log->waiters || log->held.first || log->flying)
        return false;
    for (size_t i = 0; i < log->count; i++)
        if (log->seg[i].dirty)
            return false;
    if (active && log->indexer && !active->suspect) {
        segment_flush_index(log, active, log->indexer);
        active->max_ts = log->indexer->max_ts;
    }
    for (size_t i = 0; i < log->count; i++)
        segment_close(&log->seg[i]);
    mr_file_close(log->slots);
    log->slots = NULL;
    mr_free(log->indexer);
    log->indexer = NULL;
    mr_free(log->waiter);
    log->waiter = NULL;
    log->waiter_cap = log->first_waiter = 0;
    return true;
}

static void sweep(struct mr_log *log, bool all);

void mr_log_close(struct mr_log *log)
{
    struct mr_err ignored;
    if (!log)
        return;
    compact_close(log);
    sweep(log, true);
    sync_close(log);
    if (!log->broken && !log->swapping && !log->marked && log->synced == log->end) {
        struct segment *active = active_of(log);
        if (active && log->indexer && !active->suspect) {
            segment_flush_index(log, active, log->indexer);
            active->max_ts = log->indexer->max_ts;
        }
        (void)marker_write(log, &ignored); /* without it the next open recovers */
    }
    forget_log(log);
}

/* ---- rolling by time and by the size of the index */

bool log_roll_due(const struct mr_log *log, const struct segment *active, mr_ns now)
{
    const struct mr_log_config *c = &log->config;
    mr_ms age = now > active->created ? (now - active->created) / 1000000 : 0, most = c->segment_ms;
    int64_t pending = log->indexer ? log->indexer->count : 0;
    if (c->segment_index_bytes > 0 && ((int64_t)active->entries + pending + 1) * 8 > c->segment_index_bytes)
        return true;
    if (most >= 0 && c->segment_jitter_ms > 0) { /* its own for each segment, so that not all roll at once */
        mr_ms jitter = c->segment_jitter_ms < most ? c->segment_jitter_ms : most;
        most -=
            (mr_ms)(mr_hash64(&active->base, sizeof active->base, strlen(log->dir)) % ((uint64_t)jitter + 1));
    }
    if (c->compact && (most < 0 || c->max_compaction_lag_ms < most))
        most = c->max_compaction_lag_ms; /* what must be compacted must not lie in the active segment */
    return most >= 0 && now > active->created && age >= most;
}

/* ---- appending */

static mr_code refuse_broken(struct mr_log *log, struct mr_err *err)
{
    return mr_fail(
        err, MR_CORRUPT,
        "log '%s' takes no more writes since a write or sync of it failed: restart to recover it (%s)",
        log->dir, mr_code_text(log->broken_why)); /* L4 */
}

mr_code mr_log_append(struct mr_log *log, char *bytes, size_t len, int32_t leader_epoch, mr_ns append_ns,
                      mr_offset *base, struct mr_err *err)
{
    struct mr_err own;
    int64_t end = log->end;
    mr_code rc;
    if (!err)
        err = &own;
    if (log->broken)
        return refuse_broken(log, err);
    if (log->full)
        return mr_fail(err, MR_NOSPACE, "log '%s': the disk is full; what was appended last waits for room",
                       log->dir);
    if (len == 0 || len > MR_LOG_BATCH_MAX)
        return mr_fail(err, MR_LIMIT, "an append of %zu bytes: 1 to %d are allowed", len, MR_LOG_BATCH_MAX);
    for (size_t at = 0; at < len;) {
        struct batch b;
        if (len - at < MR_LOG_HEADER || (put64be(bytes + at, (uint64_t)end), !batch_read(bytes + at, &b)) ||
            b.size > (int64_t)(len - at))
            return mr_fail(err, MR_BADDATA, "log '%s': no whole record batch at byte %zu of the append",
                           log->dir, at);
        if (b.size > log->config.max_batch_bytes)
            return mr_fail(err, MR_LIMIT,
                           "log '%s': a batch of %lld bytes is larger than max.message.bytes, %lld", log->dir,
                           (long long)b.size, (long long)log->config.max_batch_bytes);
        put32be(bytes + at + 12, (uint32_t)leader_epoch);
        end = batch_end(&b);
        at += (size_t)b.size;
    }
    struct segment *s = active_of(log);
    if (!s || (s->size > 0 && (s->size + (int64_t)len > log->config.segment_bytes ||
                               end - s->base > INT32_MAX || log_roll_due(log, s, append_ns)))) {
        if ((rc = log_roll(log, append_ns, err)))
            return rc;
        s = active_of(log);
    } else if (log->marked && (rc = marker_drop(log, err))) {
        return rc;
    }
    if ((rc = segment_open(log, s, err)))
        return rc;
    if (!log->indexer && !s->suspect) { /* first append after a clean open */
        if (!(log->indexer = mr_alloc(sizeof *log->indexer)))
            return mr_fail(err, MR_MEMORY, "no memory for the index of log '%s'", log->dir);
        log->indexer->max_ts = s->max_ts;
        log->indexer->since = log->config.index_interval_bytes;
    }
    bool held = direct_wanted(log, len) && direct_append(log, s, bytes, len);
    if (!held && (rc = direct_spill(log, err)))
        return rc;
    if (!held && (rc = mr_file_write(s->log, bytes, len, s->size, err))) {
        struct mr_err again;
        if (mr_file_truncate(s->log, s->size, &again))
            log_break(log, rc); /* a torn batch that cannot be cut off: nothing may follow it */
        else
            s->dirty |= s->size > 0;
        return rc;
    }
    if (!s->suspect)
        for (size_t at = 0; at < len;) {
            struct batch b;
            mr_assert(batch_read(bytes + at, &b));
            segment_note(log, s, log->indexer, &b, s->size + (int64_t)at);
            at += (size_t)b.size;
        }
    if (s->size == 0)
        s->created = append_ns;
    s->size += (int64_t)len;
    s->dirty = true;
    log->bytes += (int64_t)len;
    log->gathered += (int64_t)len;
    base->v = log->end; /* L2: end only grows */
    log->end = end;
    return MR_OK;
}

mr_offset mr_log_start(const struct mr_log *log)
{
    return (mr_offset){log->start};
}
mr_offset mr_log_end(const struct mr_log *log)
{
    return (mr_offset){log->end};
}
mr_offset mr_log_synced(const struct mr_log *log)
{
    return (mr_offset){log->synced};
}
int64_t mr_log_bytes(const struct mr_log *log)
{
    return log->bytes;
}

/* ---- letting go */

static void dropped_path(const struct mr_log *log, int64_t base, char *out, size_t cap)
{
    char name[MR_LOG_NAME];
    (void)snprintf(name, sizeof name, "%020lld.log.deleted", (long long)base);
    log_path(log, name, out, cap);
}

/* Files whose time is over; `all` at the end. What cannot be removed is tried again, at last by recovery. */
static void sweep(struct mr_log *log, bool all)
{
    char path[4096];
    struct mr_err ignored;
    mr_ms now = mr_now(log->world);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < log->dropped_count; i++) {
        dropped_path(log, log->dropped[i].base, path, sizeof path);
        mr_code rc = MR_OK;
        if (all || log->dropped[i].until <= now)
            rc = mr_unlink(log->world, path, &ignored);
        else
            rc = MR_AGAIN;
        if (rc && rc != MR_NOTFOUND)
            log->dropped[kept++] = log->dropped[i];
    }
    log->dropped_count = kept;
}

/* Its log gets another name for a while, or goes. */
static mr_code put_away(struct mr_log *log, struct segment *s, struct mr_err *err)
{
    char from[4096], to[4096];
    mr_ms now = mr_now(log->world), delay = log->config.file_delete_delay_ms;
    if (delay <= 0 || log->dropped_count == MR_LOG_DROPPED_MAX)
        return segment_unlink(log, s, err);
    segment_close(s);
    log_name(log, s, ".log", from, sizeof from);
    dropped_path(log, s->base, to, sizeof to);
    mr_code rc = swap_unlink(log, s->base, false, err);
    if (rc || (rc = mr_rename(log->world, from, to, err)))
        return rc;
    log->names_dirty = true;
    log->dropped[log->dropped_count].base = s->base;
    log->dropped[log->dropped_count++].until = delay < INT64_MAX - now ? now + delay : INT64_MAX;
    return MR_OK;
}

/* The oldest segment goes. Its successor must exist. */
static mr_code drop_first(struct mr_log *log, struct mr_err *err)
{
    struct segment *s = &log->seg[0];
    mr_assert(log->count > 1);
    if (s[1].base > log->start)
        log->start = s[1].base;
    mr_code rc = put_away(log, s, err);
    if (rc)
        return rc;
    log->bytes -= s->size;
    log->count--;
    memmove(log->seg, log->seg + 1, log->count * sizeof *s);
    prune_damage(log);
    return MR_OK;
}

/* Only what is synced goes: a segment that a round is waiting for stays. */
static bool may_drop(const struct mr_log *log)
{
    return log->count > 1 && log->seg[1].base <= log->synced && !log->swapping;
}

static mr_code is_old(struct mr_log *log, struct segment *s, mr_ns now, bool *old, struct mr_err *err)
{
    mr_code rc = segment_max_ts(log, s, err);
    int64_t newest = s->max_ts >= 0 ? s->max_ts : s->created / 1000000;
    *old = !rc && s->size > 0 && newest < now / 1000000 - log->config.retention_ms;
    return rc;
}

mr_code mr_log_retain(struct mr_log *log, mr_ns now, struct mr_err *err)
{
    struct mr_err own;
    struct segment *active = active_of(log);
    bool old = false;
    mr_code rc = MR_OK;
    if (!err)
        err = &own;
    if (log->broken)
        return refuse_broken(log, err);
    sweep(log, false);
    if (!active)
        return MR_OK;
    bool by_time = log->config.retain && log->config.retention_ms >= 0;
    bool by_size = log->config.retain && log->config.retention_bytes >= 0;
    if (by_time)
        rc = is_old(log, active, now, &old, err);
    if (!rc && active->size > 0 && (old || log_roll_due(log, active, now)))
        rc = log_roll(log, now, err);
    while (!rc && may_drop(log)) {
        old = log->seg[1].base <= log->start; /* a trim that came while a swap went on */
        if (!old && by_time && (rc = is_old(log, &log->seg[0], now, &old, err)))
            return rc;
        /* What compaction left empty must not keep what comes after it. */
        old |= (by_time || by_size) && log->seg[0].size == 0;
        if (!old && !(by_size && log->bytes - log->seg[0].size >= log->config.retention_bytes))
            break;
        if (!(rc = marker_drop(log, err)))
            rc = drop_first(log, err);
    }
    return rc;
}

int64_t mr_log_retain_due(const struct mr_log *log)
{
    const struct segment *s = log->seg;
    if (log->config.compact || log->dropped_count)
        return 0; /* that is not for retention alone to say */
    if (log->count == 0 || !log->config.retain || log->config.retention_ms < 0)
        return INT64_MAX;
    bool active = log->count == 1;
    if (!s->max_known && !active)
        return 0;
    int64_t newest = active && log->indexer ? log->indexer->max_ts : s->max_ts;
    newest = newest >= 0 ? newest : s->created / 1000000;
    return newest < INT64_MAX - log->config.retention_ms ? newest + log->config.retention_ms : INT64_MAX;
}

mr_code mr_log_trim(struct mr_log *log, mr_offset start, struct mr_err *err)
{
    struct mr_err own;
    if (!err)
        err = &own;
    if (log->broken)
        return refuse_broken(log, err);
    if (start.v > log->synced)
        return mr_fail(err, MR_RANGE,
                       "log '%s' ends at offset %lld as far as it is synced: cannot begin at %lld", log->dir,
                       (long long)log->synced, (long long)start.v);
    if (start.v <= log->durable_start)
        return MR_OK;
    mr_code rc = marker_drop(log, err);
    if (!rc &&
        log->lingers) /* a trim changes no size: the old marker would be believed, should it come back */
        rc = mr_dir_sync(log->world, log->dir, err);
    if (rc)
        return rc;
    log->lingers = false;
    if (start.v > log->start)
        log->start = start.v;
    struct point p = log->known; /* at or above the start, as it must be */
    if (!(rc = slot_write(log, p, err)))
        rc = mr_file_sync(log->slots, err);
    if (rc) {
        log_break(log, rc);
        return rc;
    }
    log->durable = p;
    log->durable_start = log->start;
    while (!rc && may_drop(log) && log->seg[1].base <= log->start)
        rc = drop_first(log, err);
    prune_damage(log);
    return rc;
}

static void on_entry(void *arg, const char *name)
{
    (void)mr_buf_put(arg, name,
                     strlen(name) + 1); /* without memory the directory is not empty, which rmdir says */
}

void mr_log_abandon(struct mr_log *log)
{
    compact_close(log);
    log_break(log, MR_CANCELLED);
    sync_close(log);
    forget_log(log);
}

mr_code mr_log_remove(struct mr_log *log, struct mr_err *err)
{
    struct mr_err own;
    struct mr_buf names = {0};
    char path[4096 + MR_LOG_NAME + 2], dir[4096];
    struct mr_world *w = log->world;
    if (!err)
        err = &own;
    (void)snprintf(dir, sizeof dir, "%s", log->dir);
    mr_log_abandon(log);
    mr_code rc = mr_dir_list(w, dir, on_entry, &names, err);
    for (size_t at = 0; at < names.len && !rc; at += strlen(names.p + at) + 1) {
        (void)snprintf(path, sizeof path, "%s/%.*s", dir, MR_LOG_NAME, names.p + at);
        rc = mr_unlink(w, path, err);
    }
    mr_buf_fini(&names);
    return rc ? rc : mr_rmdir(w, dir, err);
}
