/* compact.c - of each key only the newest record stays: a machine that works in slices.
 *
 * Words.  A *pass* reads headers, keys, then copies. *Dirty* is what lies at or above the clean point; *upto*
 *         is where the pass ends. *Sources* are the segments that become one. The *horizon* of a tombstone or
 *         marker is when it may go: a pass that sees it first stamps it (MR_BATCH_HORIZON).
 *
 *   headers   what transactions did: which were aborted, which are undecided (the pass ends below them), and
 *             the last batch of every producer
 *   keys      dirty records into the key map; when it is full, the pass ends there and another follows
 *   copy      group by group of sources: records that are superseded, aborted, without a key, or deleted long
 *             enough stay behind; then a swap (swap.c) puts the copy in the sources' place
 *
 * Laws:  K1  of every key the newest record below the pass's end stays, with its offset, time and headers;
 *            a tombstone stays until its horizon has passed, and goes only when all older records have gone
 *        K2  batches keep base offset, last offset, sequences, codec and epoch; the last batch of the pass
 *            stays, and the last of each producer that wrote within MR_LOG_PRODUCER_KEEP_MS: without records
 *            when need be, so that duplicates are known and readers come past the gap
 *        K3  a marker stays while a record of its transaction does
 *        K4  sources are closed, synced and below the recovery point: recovery never scans them, and the end
 *            of the log has nothing to do with them
 *        K5  memory: the key map, MR_LOG_COMPACT_PRODUCERS, MR_LOG_COMPACT_ABORTED, and the largest batch
 */
#include "log/compact.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

static void free_producer(void *p)
{
    mr_free(((struct producer *)p)->aborted);
    mr_free(p);
}

/* ---- beginning and giving up */

static void drop_cleaned(struct mr_log *log, struct compact *c)
{
    static const char *const suffixes[] = {".index", ".timeindex", ".log"};
    char path[4096];
    struct mr_err ignored;
    for (int i = 0; i < 3 && c->making; i++) { /* what stays is removed by recovery, or overwritten */
        cleaned_name(log, c->to.base, suffixes[i], path, sizeof path);
        (void)mr_unlink(log->world, path, &ignored);
    }
    c->making = false;
    segment_close(&c->to);
}

static void compact_free(struct mr_log *log)
{
    struct compact *c = log->compact;
    log->compact = NULL;
    segment_close(&c->to);
    mr_file_close(c->file);
    keymap_fini(&c->keys);
    mr_map_fini(&c->producers, free_producer);
    mr_buf_fini(&c->scratch);
    mr_buf_fini(&c->out);
    mr_free(c->bytes);
    mr_free(c->indexer);
    mr_free(c->gone);
    mr_free(c);
}

static void give_up(struct mr_log *log)
{
    if (!log->swapping)
        drop_cleaned(log, log->compact);
    compact_free(log);
}

void compact_close(struct mr_log *log)
{
    if (log->compact)
        give_up(log);
}

static bool is_damaged(const struct mr_log *log, const struct segment *s)
{
    int64_t end = segment_end(log, s);
    for (uint32_t i = 0; i < log->damages; i++)
        if (log->damage[i].from < end && log->damage[i].to > s->base)
            return true;
    return false;
}

/* K4, and old enough. */
static bool may_compact(struct mr_log *log, struct segment *s, int64_t below, mr_ms now)
{
    struct mr_err ignored;
    int64_t end = segment_end(log, s);
    if (s == active_of(log) || s->dirty || end > below || end > log->synced ||
        s->base >= log->durable.segment || s->base >= log->known.segment || is_damaged(log, s))
        return false;
    if (log->config.min_compaction_lag_ms <= 0 || end <= log->compacted.clean)
        return true;
    if (segment_max_ts(log, s, &ignored))
        return false;
    int64_t newest = s->max_ts >= 0 ? s->max_ts : s->created / 1000000;
    return newest <= now - log->config.min_compaction_lag_ms;
}

/* How far a pass may go; 0: none is due. */
static int64_t due(struct mr_log *log, int64_t below, mr_ms now)
{
    const struct mr_log_config *cf = &log->config;
    int64_t clean = 0, dirty = 0, upto = 0, oldest = INT64_MAX;
    for (size_t i = 0; i + 1 < log->count; i++) {
        struct segment *s = &log->seg[i];
        if (!may_compact(log, s, below, now))
            break;
        upto = segment_end(log, s);
        if (upto <= log->compacted.clean) {
            clean += s->size;
        } else {
            dirty += s->size;
            if (s->created / 1000000 < oldest)
                oldest = s->created / 1000000;
        }
    }
    bool late = cf->max_compaction_lag_ms < now && oldest < now - cf->max_compaction_lag_ms;
    bool horizon = log->compacted.horizon >= 0 && now >= log->compacted.horizon;
    if (dirty == 0)
        return horizon && clean > 0 ? upto : 0;
    return horizon || late || log->compact_again ||
                   (double)dirty >= cf->min_dirty_ratio * (double)(clean + dirty)
               ? upto
               : 0;
}

static mr_code begin(struct mr_log *log, int64_t upto, mr_ms now, struct mr_err *err)
{
    struct compact *c = mr_alloc(sizeof *c);
    if (!c)
        return compact_no_memory(log, err);
    log->compact = c;
    mr_map_init(&c->producers, MR_LOG_COMPACT_PRODUCERS);
    c->now = now;
    c->first = log->seg[0].base;
    c->from = log->compacted.clean > c->first ? log->compacted.clean : c->first;
    c->upto = upto;
    c->horizon = -1;
    c->segment = c->first;
    c->expect = -1;
    c->indexer = mr_alloc(sizeof *c->indexer);
    if (!c->indexer ||
        !keymap_init(&c->keys, log->config.compact_map_bytes, mr_random(log->world), mr_random(log->world)))
        return compact_no_memory(log, err);
    log->compact_again = false;
    return MR_OK;
}

/* ---- reading */

static mr_code corrupt(struct mr_log *log, const struct segment *s, int64_t at, struct mr_err *err)
{
    return mr_fail(
        err, MR_CORRUPT,
        "'%s/%020lld.log' is damaged at byte %lld: the log is not compacted; restore it from a replica",
        log->dir, (long long)s->base, (long long)at);
}

/* `want` bytes at c->at, fewer at the end of the segment; NULL: err. */
static const char *look(struct mr_log *log, struct compact *c, struct segment *s, size_t want, size_t *got,
                        struct mr_err *err)
{
    int64_t there = s->size - c->at;
    if ((int64_t)want > there)
        want = there > 0 ? (size_t)there : 0;
    *got = want;
    if (c->at < c->have_at || c->at + (int64_t)want > c->have_at + (int64_t)c->have) {
        size_t load = want > COMPACT_WINDOW ? want : COMPACT_WINDOW;
        if (load > c->cap) {
            char *bytes = mr_realloc(c->bytes, load);
            if (!bytes) {
                (void)compact_no_memory(log, err);
                return NULL;
            }
            c->bytes = bytes;
            c->cap = load;
        }
        c->have = 0;
        c->have_at = c->at;
        if ((int64_t)load > there)
            load = (size_t)there;
        if (direct_read(log, s, c->bytes, load, c->at, &c->have, err))
            return NULL;
        c->counts.read += c->have;
        if (*got > c->have)
            *got = c->have;
    }
    return c->bytes + (c->at - c->have_at);
}

static void stand(struct compact *c, int64_t segment, int64_t at)
{
    c->segment = segment;
    c->at = at;
    c->expect = -1;
    c->have = 0;
}

/* The batch at c->at, all of it, checked. MR_END: none is left in the segment. */
static mr_code batch_here(struct mr_log *log, struct compact *c, struct segment *s, struct batch *b,
                          const char **bytes, struct mr_err *err)
{
    size_t got;
    if (c->at >= s->size)
        return MR_END;
    const char *p = look(log, c, s, MR_LOG_HEADER, &got, err);
    if (!p)
        return err->code;
    if (got < MR_LOG_HEADER || !batch_read(p, b) || b->base < s->base || b->size > s->size - c->at ||
        batch_end(b) > segment_end(log, s) || (c->expect >= 0 && b->base < c->expect))
        return corrupt(log, s, c->at, err);
    p = look(log, c, s, (size_t)b->size, &got, err);
    if (!p)
        return err->code;
    if ((int64_t)got != b->size || !batch_crc_ok(p, b))
        return corrupt(log, s, c->at, err);
    *bytes = p;
    return MR_OK;
}

static void step_on(struct compact *c, const struct batch *b)
{
    c->at += b->size;
    c->expect = batch_end(b);
}

/* ---- headers: transactions and producers */

static mr_code producer_of(struct mr_log *log, struct compact *c, int64_t id, struct producer **out,
                           struct mr_err *err)
{
    struct producer *p = mr_map_get(&c->producers, producer_key(&id));
    if (!p) {
        if (c->producers.count >= MR_LOG_COMPACT_PRODUCERS)
            return MR_END;
        if (!(p = mr_alloc(sizeof *p)))
            return compact_no_memory(log, err);
        p->last_data = p->open = -1;
        if (!mr_map_put(&c->producers, producer_key(&id), p, NULL)) {
            mr_free(p);
            return compact_no_memory(log, err);
        }
    }
    *out = p;
    return MR_OK;
}

/* MR_END: the limits of a pass are reached. */
static mr_code note_header(struct mr_log *log, struct compact *c, struct segment *s, const struct batch *b,
                           struct mr_err *err)
{
    struct producer *p = NULL;
    struct mr_marker marker;
    const char *bytes = NULL;
    struct batch whole;
    mr_code rc;
    bool recent = b->count == 0 || b->max_ts > c->now - MR_LOG_PRODUCER_KEEP_MS;
    bool open = (b->attributes & MR_BATCH_TRANSACTIONAL) != 0;
    if (b->producer < 0 || (!recent && !open))
        return MR_OK;
    if ((rc = producer_of(log, c, b->producer, &p, err)))
        return rc;
    mr_assert(p);
    if (!(b->attributes & MR_BATCH_CONTROL)) {
        p->last_data = b->base;
        if (open && p->open < 0)
            p->open = b->base;
        return MR_OK;
    }
    if ((rc = batch_here(log, c, s, &whole, &bytes, err)))
        return rc;
    if (!copy_marker_of(bytes, b, &marker))
        return MR_OK;
    if (!marker.commit && p->open >= 0) {
        if (c->aborted == MR_LOG_COMPACT_ABORTED)
            return MR_END;
        if (p->count == p->cap) {
            uint32_t cap = p->cap ? p->cap * 2 : 4;
            struct range *more = mr_realloc(p->aborted, cap * sizeof *more);
            if (!more)
                return compact_no_memory(log, err);
            p->aborted = more;
            p->cap = cap;
        }
        p->aborted[p->count++] = (struct range){p->open, b->base};
        c->aborted++;
    }
    p->open = -1;
    return MR_OK;
}

static void rewind_aborted(struct compact *c)
{
    struct mr_slice key;
    void *p;
    for (size_t i = 0; mr_map_next(&c->producers, &i, &key, &p);)
        ((struct producer *)p)->next = 0;
}

static mr_code headers_done(struct mr_log *log, struct compact *c, struct mr_err *err)
{
    struct mr_slice key;
    void *p;
    for (size_t i = 0; mr_map_next(&c->producers, &i, &key, &p);) {
        int64_t open = ((struct producer *)p)->open;
        if (open >= 0 && open < c->upto)
            c->upto = open; /* undecided */
    }
    bool horizon = log->compacted.horizon >= 0 && c->now >= log->compacted.horizon;
    if (c->upto < c->from || (c->upto == c->from && !horizon)) {
        log->compact_after = (mr_ns)(c->now + MR_LOG_COMPACT_RETRY_MS) * 1000000;
        give_up(log);
        return MR_OK;
    }
    rewind_aborted(c);
    c->phase = KEYS;
    struct segment *s = segment_of(log, c->from);
    mr_assert(s != NULL);
    stand(c, s->base, 0);
    return c->from > s->base ? segment_floor(log, s, c->from, &c->at, err) : MR_OK;
}

static mr_code do_headers(struct mr_log *log, struct compact *c, int64_t *budget, struct mr_err *err)
{
    struct walk w = {.s = segment_named(log, c->segment), .at = c->at, .expect = c->expect};
    struct batch b = {0};
    mr_code rc = MR_OK;
    mr_assert(w.s != NULL);
    if (w.at == 0)
        w.expect = w.s->base;
    for (; *budget > 0; *budget -= b.size < COMPACT_HEADER_COST ? b.size : COMPACT_HEADER_COST) {
        if ((rc = walk_peek(log, &w, &b, err)))
            break;
        c->at = w.at;
        c->expect = -1;
        rc = note_header(log, c, w.s, &b, err);
        if (rc == MR_END) { /* K5 */
            c->upto = b.base;
            return headers_done(log, c, err);
        }
        if (rc)
            return rc;
        walk_on(&w, &b);
    }
    c->at = w.at;
    c->expect = w.expect;
    if (rc != MR_END)
        return rc;
    *budget -= COMPACT_HEADER_COST;
    if (segment_end(log, w.s) >= c->upto)
        return headers_done(log, c, err);
    stand(c, w.s[1].base, 0);
    return MR_OK;
}

/* ---- keys */

static mr_code keys_done(struct mr_log *log, struct compact *c, int64_t end)
{
    if (end < c->upto)
        log->compact_again = true;
    c->upto = end;
    c->phase = COPY;
    rewind_aborted(c);
    c->sources = 0;
    c->sources_end = c->first;
    c->copy_end = c->first;
    for (size_t i = 0; i + 1 < log->count && log->seg[i].base < end; i++)
        c->copy_end = segment_end(log, &log->seg[i]);
    return MR_OK;
}

/* *full: the first offset whose key has no room. */
static mr_code take_keys(struct compact *c, const struct batch *b, const char *bytes, int64_t *full,
                         struct mr_err *err)
{
    struct mr_record_walk walk;
    struct mr_record r;
    *full = -1;
    c->scratch.len = 0;
    mr_code rc = mr_record_walk_begin(&walk, (struct mr_slice){bytes, (size_t)b->size}, &c->scratch,
                                      COMPACT_INFLATE_MAX, err);
    while (!rc && !(rc = mr_record_walk_next(&walk, &r, err)))
        if (r.offset >= c->from && r.offset < c->upto && r.has_key &&
            !keymap_put(&c->keys, r.key, r.offset)) {
            *full = r.offset;
            return MR_OK;
        }
    if (rc == MR_MEMORY)
        return rc;
    if (rc != MR_END)
        c->blind = true;
    return MR_OK;
}

static mr_code do_keys(struct mr_log *log, struct compact *c, int64_t *budget, struct mr_err *err)
{
    struct segment *s = segment_named(log, c->segment);
    struct batch b = {0};
    const char *bytes = NULL;
    mr_code rc;
    if (c->from >= c->upto)
        return keys_done(log, c, c->upto);
    mr_assert(s != NULL);
    if ((rc = segment_open(log, s, err)))
        return rc;
    for (; *budget > 0; *budget -= b.size) {
        rc = batch_here(log, c, s, &b, &bytes, err);
        if (rc == MR_END) {
            if (segment_end(log, s) >= c->upto)
                return keys_done(log, c, c->upto);
            s++;
            stand(c, s->base, 0);
            return MR_OK;
        }
        if (rc)
            return rc;
        if (b.base >= c->upto)
            return keys_done(log, c, c->upto);
        if (!(b.attributes & MR_BATCH_CONTROL) && b.count > 0 && batch_end(&b) > c->from &&
            !copy_is_aborted(c, &b)) {
            int64_t full;
            if ((rc = take_keys(c, &b, bytes, &full, err)))
                return rc;
            if (full >= 0)
                return keys_done(log, c, full);
        }
        step_on(c, &b);
    }
    return MR_OK;
}

/* ---- copy */

static mr_code open_cleaned(struct mr_log *log, struct compact *c, const char *suffix, struct mr_file **out,
                            struct mr_err *err)
{
    char path[4096];
    cleaned_name(log, c->to.base, suffix, path, sizeof path);
    return mr_file_open(log->world, path, MR_FILE_WRITE | MR_FILE_CREATE | MR_FILE_TRUNC, out, err);
}

/* The next sources, from c->sources_end on, and files for what they become. MR_END: there are none. */
static mr_code begin_group(struct mr_log *log, struct compact *c, struct mr_err *err)
{
    struct segment *s = segment_named(log, c->sources_end);
    mr_assert(s != NULL);
    int64_t size = 0;
    size_t n = 0;
    for (; &s[n] < active_of(log) && s[n].base < c->upto; n++) {
        if (n > 0 &&
            (size + s[n].size > log->config.segment_bytes || segment_end(log, &s[n]) - s->base > INT32_MAX))
            break;
        size += s[n].size;
    }
    if (n == 0)
        return MR_END;
    c->sources = n;
    c->sources_end = segment_end(log, &s[n - 1]);
    c->changed = n > 1;
    c->to = (struct segment){.base = s->base, .max_ts = INT64_MIN, .created = s[n - 1].created};
    *c->indexer = (struct indexer){.max_ts = INT64_MIN};
    c->making = true;
    stand(c, s->base, 0);
    mr_code rc = open_cleaned(log, c, ".log", &c->to.log, err);
    if (!rc)
        rc = open_cleaned(log, c, ".index", &c->to.index, err);
    if (!rc)
        rc = open_cleaned(log, c, ".timeindex", &c->to.times, err);
    return rc;
}

static void landed(void *arg, mr_code rc, int sys)
{
    struct mr_log *log = give_back(arg);
    if (!log || !log->compact)
        return;
    log->compact->waiting = false;
    log->compact->rc = rc;
    log->compact->sys = sys;
}

static void wait_file(struct mr_log *log, struct compact *c, struct mr_file *f)
{
    c->waiting = true;
    log->token->owners++;
    mr_file_sync_later(f, landed, log->token);
}

static void wait_names(struct mr_log *log, struct compact *c)
{
    c->waiting = true;
    log->token->owners++;
    mr_dir_sync_later(log->world, log->dir, landed, log->token);
}

static mr_code group_done(struct mr_log *log, struct compact *c, struct mr_err *err)
{
    mr_code rc = copy_flush(c, err);
    if (rc)
        return rc;
    if (!c->changed) {
        drop_cleaned(log, c);
        c->sources = 0;
        return MR_OK;
    }
    segment_seal_at(log, &c->to, c->indexer, c->sources_end);
    c->phase = COPIED;
    wait_file(log, c, c->to.log);
    return MR_OK;
}

static mr_code do_copy(struct mr_log *log, struct compact *c, int64_t *budget, struct mr_err *err)
{
    struct batch b = {0};
    const char *bytes = NULL;
    mr_code rc;
    if (c->sources == 0) {
        rc = begin_group(log, c, err);
        if (rc == MR_END) {
            c->phase = FINISH;
            return MR_OK;
        }
        if (rc)
            return rc;
        *budget -= COMPACT_HEADER_COST;
    }
    struct segment *s = segment_named(log, c->segment);
    mr_assert(s != NULL);
    if ((rc = segment_open(log, s, err)))
        return rc;
    for (; *budget > 0; *budget -= b.size) {
        rc = batch_here(log, c, s, &b, &bytes, err);
        if (rc == MR_END) {
            if (segment_end(log, s) >= c->sources_end)
                return group_done(log, c, err);
            s++;
            stand(c, s->base, 0);
            return MR_OK;
        }
        if (rc)
            return rc;
        bool last = c->at + b.size == s->size && segment_end(log, s) == c->copy_end;
        if ((rc = copy_batch(log, c, &b, bytes, last, err)))
            return rc;
        step_on(c, &b);
    }
    return MR_OK;
}

/* ---- the swap; from INTEND on nothing is given up but tried again */

/* Writes the state c->want, then goes on with `then`. */
static mr_code write_state(struct mr_log *log, struct compact *c, enum phase then, struct mr_err *err)
{
    char path[4096], state[MR_LOG_STATE];
    state_put(&c->want, state);
    log_path(log, "compact.cleaned", path, sizeof path);
    mr_code rc =
        mr_file_open(log->world, path, MR_FILE_WRITE | MR_FILE_CREATE | MR_FILE_TRUNC, &c->file, err);
    if (!rc)
        rc = mr_file_write(c->file, state, sizeof state, 0, err);
    if (rc) {
        mr_file_close(c->file);
        c->file = NULL;
        return rc;
    }
    c->then = then;
    c->phase = STATE;
    wait_file(log, c, c->file);
    return MR_OK;
}

static mr_code name_state(struct mr_log *log, struct compact *c, struct mr_err *err)
{
    char from[4096], to[4096];
    mr_code rc = marker_drop(log, err);
    if (rc)
        return rc;
    log_path(log, "compact.cleaned", from, sizeof from);
    log_path(log, "compact", to, sizeof to);
    if (c->want.base >= 0 && !log->swapping) { /* retention may have been faster */
        struct segment *s = segment_named(log, c->to.base);
        if (!s || s + c->sources >= log->seg + log->count || s[c->sources].base != c->sources_end) {
            give_up(log);
            return MR_OK;
        }
        log->swapping = true;
    }
    if ((rc = mr_rename(log->world, from, to, err)))
        return rc;
    mr_file_close(c->file);
    c->file = NULL;
    log->compacted = c->want;
    c->phase = STATED;
    wait_names(log, c);
    return MR_OK;
}

/* S2 and step 3 of a swap; in memory at the same time. */
static mr_code do_names(struct mr_log *log, struct compact *c, struct mr_err *err)
{
    struct segment *s = segment_named(log, c->to.base);
    mr_assert(s && s + c->sources < log->seg + log->count && s[c->sources].base == c->sources_end);
    if (!c->gone && c->sources > 1 && !(c->gone = mr_alloc((c->sources - 1) * sizeof *c->gone)))
        return compact_no_memory(log, err);
    segment_close(&c->to);
    mr_code rc = swap_names(log, c->to.base, err);
    if (rc)
        return rc;
    c->making = false;
    for (size_t i = 0; i < c->sources; i++) {
        if (i > 0)
            c->gone[c->gone_count++] = s[i].base;
        log->bytes -= s[i].size;
        segment_close(&s[i]);
    }
    *s = (struct segment){.base = c->to.base,
                          .size = c->to.size,
                          .max_ts = c->indexer->max_ts,
                          .max_known = true,
                          .created = c->to.created};
    log->bytes += s->size;
    size_t behind = (size_t)(log->seg + log->count - (s + c->sources));
    memmove(s + 1, s + c->sources, behind * sizeof *s);
    log->count -= c->sources - 1;
    for (int i = 0; i < MR_LOG_CURSORS; i++)
        if (log->cursor[i].segment >= c->to.base && log->cursor[i].segment < c->sources_end)
            log->cursor[i] = (struct cursor){-1, -1, 0};
    c->phase = SOURCES;
    return MR_OK;
}

static mr_code do_sources(struct mr_log *log, struct compact *c, struct mr_err *err)
{
    for (; c->gone_count > 0; c->gone_count--) {
        mr_code rc = swap_unlink(log, c->gone[c->gone_count - 1], true, err);
        if (rc)
            return rc;
    }
    mr_free(c->gone);
    c->gone = NULL;
    c->phase = CLEAR;
    wait_names(log, c);
    return MR_OK;
}

static mr_code advance(struct mr_log *log, struct compact *c, int64_t *budget, struct mr_err *err)
{
    mr_code rc;
    switch (c->phase) {
    case HEADERS:
        return do_headers(log, c, budget, err);
    case KEYS:
        return do_keys(log, c, budget, err);
    case COPY:
        return do_copy(log, c, budget, err);
    case COPIED: /* the copy is on the disk */
        if (log->syncing) {
            *budget = 0;
            return MR_OK;
        }
        /* Both recovery points must be beyond the sources, also the older one. */
        for (int slot = 0; slot < 2; slot++)
            if ((rc = slot_write(log, log->known, err)))
                return rc;
        c->phase = INTEND;
        wait_file(log, c, log->slots);
        return MR_OK;
    case INTEND:
        c->want = log->compacted;
        c->want.base = c->to.base;
        c->want.upto = c->sources_end;
        c->want.size = c->to.size;
        if (c->want.gaps_below < c->sources_end)
            c->want.gaps_below = c->sources_end; /* S3 */
        return write_state(log, c, NAMES, err);
    case NAMES:
        return do_names(log, c, err);
    case SOURCES:
        return do_sources(log, c, err);
    case CLEAR:
        c->want = log->compacted;
        c->want.base = -1;
        c->sources = 0;
        return write_state(log, c, COPY, err);
    case FINISH:
        if (log->compacted.clean == c->upto && log->compacted.horizon == c->horizon) {
            c->phase = STATED;
            c->then = SLOTS;
            return MR_OK;
        }
        c->want = log->compacted;
        c->want.clean = c->upto;
        c->want.horizon = c->horizon;
        return write_state(log, c, SLOTS, err);
    case STATE:
        return name_state(log, c, err);
    case STATED:
        if (c->then == COPY)
            log->swapping = false;
        if (c->then == SLOTS) { /* all is done */
            log->counts.passes++;
            give_up(log);
            return MR_OK;
        }
        c->phase = c->then;
        return MR_OK;
    case SLOTS:
        break;
    }
    mr_assert(false);
    return MR_OK;
}

static void add_counts(struct mr_log *log, struct compact *c)
{
    log->counts.read += c->counts.read;
    log->counts.written += c->counts.written;
    log->counts.removed += c->counts.removed;
    c->counts = (struct mr_compact_counts){0};
}

/* What was waited for has failed. */
static mr_code landed_badly(struct mr_log *log, struct compact *c, struct mr_err *err)
{
    mr_code rc = c->rc;
    c->rc = MR_OK;
    (void)mr_fail(err, rc, "log '%s': a sync failed while it was compacted", log->dir);
    err->sys = c->sys;
    if (log->swapping || c->phase == INTEND)
        log_break(log, rc); /* what is on the disk is in doubt: the next open looks */
    return rc;
}

static void nobody(void *arg, mr_code rc, int sys)
{
    (void)arg;
    (void)rc; /* a failure breaks the log, which whoever writes next is told */
    (void)sys;
}

/* The recovery point stays in a segment that was closed by its age until something is appended: K4 would
 * keep its records from compaction for as long. */
static bool move_point(struct mr_log *log)
{
    struct segment *active = active_of(log);
    if (active->size > 0 || !log->names_dirty || log->synced < log->end || log->syncing)
        return false;
    mr_log_sync(log, nobody, NULL);
    return true;
}

mr_code mr_log_compact(struct mr_log *log, mr_offset below, mr_ns now, int64_t budget, bool *more,
                       struct mr_err *err)
{
    struct mr_err own;
    mr_code rc = MR_OK;
    if (!err)
        err = &own;
    *more = false;
    if (log->broken)
        return MR_OK; /* whoever writes is told */
    if (!log->compact) {
        if (!log->config.compact || log->count < 2 || now < log->compact_after)
            return MR_OK;
        if (move_point(log)) {
            *more = true;
            return MR_OK;
        }
        int64_t upto = due(log, below.v, now / 1000000);
        if (upto == 0)
            return MR_OK;
        rc = begin(log, upto, now / 1000000, err);
    }
    struct compact *c = log->compact;
    if (c && c->waiting) {
        *more = true;
        return MR_OK;
    }
    if (c && c->rc)
        rc = landed_badly(log, c, err);
    bool stale = c && c->phase <= COPIED && (log->seg[0].base != c->first || !log->config.compact);
    if (!rc && stale) { /* retention was faster, or it is not wanted any more */
        give_up(log);
        *more = log->config.compact;
        return MR_OK;
    }
    while (!rc && log->compact && !c->waiting && budget > 0) {
        rc = advance(log, c, &budget, err);
        if (log->compact)
            add_counts(log, c);
        budget -= 64; /* steps that read nothing are not free */
    }
    if (rc && log->compact && !log->swapping)
        give_up(log);
    if (rc)
        log->compact_after = now + (mr_ns)MR_LOG_COMPACT_RETRY_MS * 1000000;
    *more = (log->compact || log->compact_again) && !rc;
    return rc;
}

const struct mr_compact_counts *mr_log_compact_counts(const struct mr_log *log)
{
    return &log->counts;
}

int64_t mr_log_clean(const struct mr_log *log)
{
    return log->compacted.clean;
}
