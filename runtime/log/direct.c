/* direct.c - large appends that nobody is about to read: they wait in memory for the next round of syncs and go to
 * the disk in one piece, around the page cache.
 *
 * Why: what a page costs in the page cache (to get it, to find room for it on the disk, to mark it, to write it
 * back) is several times what the disk's own work costs, and more than all else that is done for a record. Only
 * readers repay it. So: a log that was read within QUIET_MS, one whose rounds are small, one whose readers see
 * unsynced records (no pool in its configuration), and any append when the pool is empty, go by the page cache.
 *
 * A *run* is bytes of the active segment in chunks: *held* until the next round, then *flying* while a worker
 * writes and syncs them. It begins at a block, so its first bytes may be in the file already; they are the same.
 *
 * Laws:  D1  a producer is not answered (but with acks=0) while its records lie in a run: a process that dies
 *            takes no answered record along
 *        D2  bytes of a run are read from the run, not from the file, by whoever reads unsynced bytes
 *        D3  a flight writes its whole blocks around the page cache and its last, partial block through it;
 *            whatever else is written while it flies lies in or behind that last block
 *        D4  closing waits for a flight: whoever opens the log next reads, cuts and writes the same file
 *        D5  a full disk is no failed sync: the flight stays and is tried again, and appends are refused
 */
#include "log/inside.h"

#include "base/assert.h"
#include "base/mem.h"

enum {
    QUIET_MS = 5000, /* since the last reader */
    AHEAD = 4 << 20, /* bytes that the disk is asked for before a reader needs them */
    RETRY_MS = 200,  /* on a full disk */
    PARTS_MAX = MR_LOG_POOL_SLABS * MR_LOG_SLAB_CHUNKS
};

struct flight {
    struct run run;
    struct token *token;
    struct mr_log_pool *pool;
    struct mr_file *file; /* [held] */
    bool grounded;        /* on a full disk: the timer will try again */
};

static void run_drop(struct run *r, struct mr_log_pool *pool)
{
    while (r->first) {
        struct chunk *c = r->first;
        r->first = c->next;
        pool_give(pool, c);
    }
    *r = (struct run){0};
}

static void copy_from(const struct run *r, char *to, size_t len, int64_t at)
{
    int64_t from = r->at;
    for (const struct chunk *c = r->first; c; from += (int64_t)c->used, c = c->next) {
        int64_t a = at > from ? at : from, b = at + (int64_t)len, end = from + (int64_t)c->used;
        if (b > end)
            b = end;
        if (a < b)
            memcpy(to + (a - at), c->bytes + (a - from), (size_t)(b - a));
    }
}

mr_code direct_read(struct mr_log *log, const struct segment *s, void *to, size_t len, int64_t at,
                    size_t *got, struct mr_err *err)
{
    const struct run *held = direct_holds(log, s) ? &log->held : NULL;
    const struct run *flying = log->flying && log->flying->run.segment == s->base ? &log->flying->run : NULL;
    mr_code rc = mr_file_read(s->log, to, len, at, got, err);
    if (rc || (!held && !flying))
        return rc;
    if (flying)
        copy_from(flying, to, len, at);
    if (held)
        copy_from(held, to, len, at);
    int64_t there = s->size > at ? s->size - at : 0; /* the file may not reach as far yet */
    *got = (int64_t)len < there ? len : (size_t)there;
    return MR_OK;
}

int64_t mr_log_landed(const struct mr_log *log)
{
    return log->held.first || log->flying ? log->synced : log->end;
}

bool direct_holds(const struct mr_log *log, const struct segment *s)
{
    return log->held.first && log->held.segment == s->base;
}

bool direct_wanted(struct mr_log *log, size_t len)
{
    if (log->held.first)
        return true; /* what follows a run cannot be in the file before it */
    if (!log->config.pool || (!log->hot && (int64_t)len < log->config.direct_bytes))
        return false;
    mr_ms now = mr_now(log->world);
    return log->read_at < 0 || now - log->read_at >= QUIET_MS;
}

static bool take_chunks(struct mr_log_pool *pool, size_t need, struct run *out)
{
    for (; need; need--) {
        struct chunk *c = pool_take(pool);
        if (!c) {
            run_drop(out, pool);
            return false;
        }
        *(out->last ? &out->last->next : &out->first) = c;
        out->last = c;
        out->chunks++;
    }
    return true;
}

static void put(struct run *r, struct chunk *c, const char *bytes, size_t len)
{
    while (len) {
        size_t take = MR_LOG_CHUNK - c->used < len ? MR_LOG_CHUNK - c->used : len;
        memcpy(c->bytes + c->used, bytes, take);
        c->used += take;
        bytes += take;
        len -= take;
        if (len)
            c = c->next;
    }
    mr_assert(c == r->last);
}

bool direct_append(struct mr_log *log, struct segment *s, const char *bytes, size_t len)
{
    struct mr_log_pool *pool = log->config.pool;
    struct run *r = &log->held, more = {0};
    struct mr_err ignored;
    /* The block in which a run begins may be in the file in part; it is written again as it was. */
    size_t before = r->first ? 0 : (size_t)(s->size % MR_FILE_BLOCK), got = 0;
    size_t room = r->last ? MR_LOG_CHUNK - r->last->used : 0, want = before + len;
    if (!pool || (want > room && !take_chunks(pool, (want - room + MR_LOG_CHUNK - 1) / MR_LOG_CHUNK, &more)))
        return false;
    mr_assert(r->first ? r->last != NULL : more.first != NULL);
    if (before &&
        (direct_read(log, s, more.first->bytes, before, s->size - (int64_t)before, &got, &ignored) ||
         got != before)) {
        run_drop(&more, pool);
        return false;
    }
    struct chunk *c = r->last;
    if (!r->first) {
        more.first->used = before;
        more.segment = s->base;
        more.at = s->size - (int64_t)before;
        c = more.first;
        *r = more;
    } else if (more.first) {
        r->last->next = more.first;
        r->last = more.last;
        r->chunks += more.chunks;
    }
    put(r, c, bytes, len);
    return true;
}

mr_code direct_spill(struct mr_log *log, struct mr_err *err)
{
    struct segment *s = active_of(log);
    int64_t at = log->held.at;
    if (!log->held.first)
        return MR_OK;
    mr_assert(s && s->base == log->held.segment);
    for (const struct chunk *c = log->held.first; c; at += (int64_t)c->used, c = c->next) {
        mr_code rc = mr_file_write(s->log, c->bytes, c->used, at, err); /* D3 */
        if (rc)
            return rc; /* nothing is lost: the run stays, and what was written of it is right */
    }
    s->dirty = true;
    run_drop(&log->held, log->pool);
    return MR_OK;
}

/* ---- flying */

static void flight_free(struct flight *f)
{
    run_drop(&f->run, f->pool);
    mr_file_close(f->file);
    mr_free(f);
}

static void take_off(struct flight *f);

static void try_again(void *arg)
{
    struct mr_log *log = arg;
    mr_assert(log->flying && log->flying->grounded);
    take_off(log->flying);
}

static void landed(void *arg, mr_code rc, int sys)
{
    struct flight *f = arg;
    struct token *t = f->token;
    struct mr_log *log = t->log;
    if (log && rc == MR_NOSPACE) { /* D5 */
        (void)give_back(t);
        f->grounded = log->full = true;
        log->retry.fire = try_again;
        log->retry.arg = log;
        mr_timer_set(log->world, &log->retry, mr_now(log->world) + RETRY_MS);
        return;
    }
    if (log) {
        log->full = false;
        log->flying = NULL;
    }
    flight_free(f);
    sync_part_done(t, rc, sys);
}

static void take_off(struct flight *f)
{
    struct mr_slice part[PARTS_MAX];
    size_t count = 0;
    for (const struct chunk *c = f->run.first; c; c = c->next)
        part[count++] = (struct mr_slice){c->bytes, c->used};
    f->grounded = false;
    f->token->owners++;
    mr_file_write_later(f->file, part, count, f->run.at, landed, f);
}

/* A reader has got [at, at + len) of it: what it will ask for next is on its way when it does. Once for a segment:
 * who comes later finds it in the page cache, or has the kernel read ahead as usual. */
void direct_ahead(struct segment *s, int64_t at, int64_t len)
{
    int64_t from = at > s->ahead ? at : s->ahead,
            to = at + len + AHEAD < s->size ? at + len + AHEAD : s->size;
    if (!s->cold || to <= from)
        return;
    mr_file_ahead(s->log, from, to - from);
    s->ahead = to;
}

void direct_fly(struct mr_log *log, struct segment *s)
{
    s->cold = true;
    mr_assert(direct_holds(log, s) && !log->flying && log->held.chunks <= PARTS_MAX);
    struct flight *f = mr_need(sizeof *f); /* a round must end */
    *f = (struct flight){
        .run = log->held, .token = log->token, .pool = log->pool, .file = mr_file_hold(s->log)};
    log->held = (struct run){0};
    log->flying = f;
    take_off(f);
}

void direct_wait(struct mr_log *log)
{
    if (log->flying)
        mr_file_write_wait(log->flying->file);
}

void direct_close(struct mr_log *log)
{
    mr_timer_stop(log->world, &log->retry);
    if (log->flying && log->flying->grounded)
        flight_free(log->flying); /* else it is freed when its answer comes */
    log->flying = NULL;
    run_drop(&log->held, log->pool);
}
