/* segment.c - one segment's files: names, the sparse indexes, walking from batch to batch.
 *
 * Entries are hints: a look-up believes one only after it has read, at the position the entry names, the
 * header of a batch with the offset the entry names. So a damaged, cut or missing index costs time and a
 * rebuild, never a wrong answer. Timestamps have nothing in the log's reach to be checked against cheaply, so
 * they carry a CRC.
 */
#include "log/inside.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

enum { ENTRY = 8, TIME_ENTRY = 16, REBUILD_CHUNK = 1 << 18 };

bool batch_crc_ok(const char *bytes, const struct batch *b)
{
    return mr_crc32c(0, bytes + 21, (size_t)b->size - 21) == b->crc;
}

size_t log_path_max(const struct mr_log *log)
{
    return strlen(log->dir) + MR_LOG_NAME + 2;
}

void log_path(const struct mr_log *log, const char *name, char *out, size_t cap)
{
    int n = snprintf(out, cap, "%s/%s", log->dir, name);
    mr_assert(n > 0 && (size_t)n < cap); /* mr_log_open bounds the directory's name */
}

void log_name(const struct mr_log *log, const struct segment *s, const char *suffix, char *out, size_t cap)
{
    char name[MR_LOG_NAME];
    (void)snprintf(name, sizeof name, "%020lld%s", (long long)s->base, suffix);
    log_path(log, name, out, cap);
}

int64_t segment_end(const struct mr_log *log, const struct segment *s)
{
    return s == &log->seg[log->count - 1] ? log->end : s[1].base;
}

struct segment *segment_of(struct mr_log *log, int64_t offset)
{
    size_t low = 0, high = log->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (log->seg[mid].base <= offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low ? &log->seg[low - 1] : NULL;
}

struct segment *segment_named(struct mr_log *log, int64_t base)
{
    struct segment *s = segment_of(log, base);
    return s && s->base == base ? s : NULL;
}

void segment_close(struct segment *s)
{
    mr_file_close(s->log);
    mr_file_close(s->index);
    mr_file_close(s->times);
    s->log = s->index = s->times = NULL;
}

static void close_least_used(struct mr_log *log, const struct segment *but)
{
    struct segment *least = NULL;
    uint32_t open = 0;
    for (size_t i = 0; i + 1 < log->count; i++) {
        struct segment *s = &log->seg[i];
        if (!s->log || s->dirty || s == but)
            continue;
        open++;
        if (!least || s->used < least->used)
            least = s;
    }
    if (open >= MR_LOG_OPEN_MAX)
        segment_close(least);
}

mr_code segment_open(struct mr_log *log, struct segment *s, struct mr_err *err)
{
    char path[4096];
    int64_t size;
    s->used = ++log->clock;
    if (s->log)
        return MR_OK;
    close_least_used(log, s);
    log_name(log, s, ".log", path, sizeof path);
    mr_code rc = mr_file_open(log->world, path, MR_FILE_WRITE, &s->log, err);
    if (!rc)
        rc = mr_file_size(s->log, &size, err);
    if (!rc && size < s->size) {
        mr_file_close(s->log);
        s->log = NULL;
        return mr_fail(err, MR_CORRUPT, "'%s' has %lld bytes but had %lld when it was synced: restore it",
                       path, (long long)size, (long long)s->size);
    }
    if (rc == MR_NOTFOUND)
        rc = mr_fail(err, MR_CORRUPT, "'%s' is missing: restore it", path);
    if (rc)
        segment_close(s);
    return rc;
}

static mr_code open_one(struct mr_log *log, const struct segment *s, const char *suffix, struct mr_file **out,
                        struct mr_err *err)
{
    char path[4096];
    if (*out)
        return MR_OK;
    log_name(log, s, suffix, path, sizeof path);
    return mr_file_open(log->world, path, MR_FILE_WRITE | MR_FILE_CREATE, out, err);
}

static mr_code open_pair(struct mr_log *log, struct segment *s, struct mr_err *err)
{
    mr_code rc = open_one(log, s, ".index", &s->index, err);
    return rc ? rc : open_one(log, s, ".timeindex", &s->times, err);
}

mr_code segment_open_index(struct mr_log *log, struct segment *s, struct mr_err *err)
{
    int64_t size = 0, times = 0;
    if (s->suspect)
        return segment_rebuild(log, s, false, err);
    if (s->index && s->times)
        return MR_OK;
    mr_code rc = open_pair(log, s, err);
    if (rc || s == active_of(log))
        return rc; /* its entries are counted as they are written */
    if ((rc = mr_file_size(s->index, &size, err)) || (rc = mr_file_size(s->times, &times, err)))
        return rc;
    s->entries = (uint32_t)(size / ENTRY); /* the timeindex has the seal besides */
    return times / TIME_ENTRY == (int64_t)s->entries + 1 ? MR_OK : segment_rebuild(log, s, true, err);
}

mr_code segment_add(struct mr_log *log, int64_t base, mr_ns created, struct mr_err *err)
{
    char path[4096];
    if (log->count == log->cap) {
        size_t cap = log->cap ? log->cap * 2 : 4;
        struct segment *seg = mr_realloc(log->seg, cap * sizeof *seg);
        if (!seg)
            return mr_fail(err, MR_MEMORY, "no memory for another segment of log '%s'", log->dir);
        log->seg = seg;
        log->cap = cap;
    }
    if (!log->indexer && !(log->indexer = mr_alloc(sizeof *log->indexer)))
        return mr_fail(err, MR_MEMORY, "no memory for the index of log '%s'", log->dir);
    struct segment s = {
        .base = base, .max_ts = INT64_MIN, .max_known = true, .created = created, .used = ++log->clock};
    log_name(log, &s, ".log", path, sizeof path);
    /* What lies there under this name never held an acknowledged record: an append that failed, a roll that a
     * crash undid. */
    mr_code rc = mr_file_open(log->world, path, MR_FILE_WRITE | MR_FILE_CREATE | MR_FILE_TRUNC, &s.log, err);
    if (rc)
        return rc;
    log->names_dirty = true;
    *log->indexer = (struct indexer){.max_ts = INT64_MIN};
    log->seg[log->count++] = s;
    struct segment *active = active_of(log);
    struct mr_err ignored; /* without index files look-ups walk; they are tried again at the next flush */
    char index[4096];
    log_name(log, active, ".index", index, sizeof index);
    (void)mr_file_open(log->world, index, MR_FILE_WRITE | MR_FILE_CREATE | MR_FILE_TRUNC, &active->index,
                       &ignored);
    log_name(log, active, ".timeindex", index, sizeof index);
    (void)mr_file_open(log->world, index, MR_FILE_WRITE | MR_FILE_CREATE | MR_FILE_TRUNC, &active->times,
                       &ignored);
    return MR_OK;
}

mr_code segment_unlink(struct mr_log *log, struct segment *s, struct mr_err *err)
{
    static const char *const suffixes[] = {".index", ".timeindex", ".log"};
    char path[4096];
    segment_close(s);
    for (int i = 0; i < 3; i++) { /* the log last: what is left of the others is overwritten */
        log_name(log, s, suffixes[i], path, sizeof path);
        mr_code rc = mr_unlink(log->world, path, err);
        if (rc && rc != MR_NOTFOUND)
            return rc;
    }
    mr_err_clear(err);
    log->names_dirty = true;
    return MR_OK;
}

/* ---- writing entries */

void segment_flush_index(struct mr_log *log, struct segment *s, struct indexer *x)
{
    char entries[MR_LOG_TAIL * ENTRY], times[MR_LOG_TAIL * TIME_ENTRY];
    struct mr_err ignored;
    for (uint32_t i = 0; i < x->count; i++) {
        put32(entries + i * ENTRY, x->e[i].rel);
        put32(entries + i * ENTRY + 4, x->e[i].pos);
        put64(times + i * TIME_ENTRY, (uint64_t)x->e[i].ts);
        put32(times + i * TIME_ENTRY + 8, x->e[i].rel);
        put32(times + i * TIME_ENTRY + 12, mr_crc32c((uint32_t)s->base, times + i * TIME_ENTRY, 12));
    }
    /* Entries that cannot be written are left out: look-ups then walk further. The disk may be full, and an
     * index is no reason to refuse an append. */
    if (x->count && open_pair(log, s, &ignored) == MR_OK &&
        mr_file_write(s->index, entries, (size_t)x->count * ENTRY, (int64_t)s->entries * ENTRY, &ignored) ==
            MR_OK &&
        mr_file_write(s->times, times, (size_t)x->count * TIME_ENTRY, (int64_t)s->entries * TIME_ENTRY,
                      &ignored) == MR_OK)
        s->entries += x->count;
    x->count = 0;
}

void segment_note_force(struct mr_log *log, struct segment *s, struct indexer *x, const struct batch *b,
                        int64_t at)
{
    if (b->base > s->base && at > 0 && at <= UINT32_MAX && b->base - s->base <= UINT32_MAX) {
        if (x->count == MR_LOG_TAIL)
            segment_flush_index(log, s, x);
        x->e[x->count].ts = x->max_ts;
        x->e[x->count].rel = (uint32_t)(b->base - s->base);
        x->e[x->count].pos = (uint32_t)at;
        x->count++;
        x->since = 0;
    }
    x->since += b->size;
    if (b->max_ts > x->max_ts)
        x->max_ts = b->max_ts;
}

void segment_note(struct mr_log *log, struct segment *s, struct indexer *x, const struct batch *b, int64_t at)
{
    if (x->since >= log->config.index_interval_bytes) {
        segment_note_force(log, s, x, b, at);
        return;
    }
    x->since += b->size;
    if (b->max_ts > x->max_ts)
        x->max_ts = b->max_ts;
}

/* The timeindex of a sealed segment ends with one entry more: the largest timestamp of all, and the end. */
void segment_seal(struct mr_log *log, struct segment *s, struct indexer *x)
{
    segment_seal_at(log, s, x, segment_end(log, s));
}

void segment_seal_at(struct mr_log *log, struct segment *s, struct indexer *x, int64_t end)
{
    char seal[TIME_ENTRY];
    struct mr_err ignored;
    int64_t rel = end - s->base;
    segment_flush_index(log, s, x);
    s->max_ts = x->max_ts;
    s->max_known = true;
    if (rel > UINT32_MAX || open_pair(log, s, &ignored))
        return; /* found missing when it is looked for, and rebuilt */
    mr_assert(s->times);
    put64(seal, (uint64_t)s->max_ts);
    put32(seal + 8, (uint32_t)rel);
    put32(seal + 12, mr_crc32c((uint32_t)s->base, seal, 12));
    (void)mr_file_write(s->times, seal, sizeof seal, (int64_t)s->entries * TIME_ENTRY, &ignored);
}

/* ---- walking */

mr_code walk_peek(struct mr_log *log, struct walk *w, struct batch *out, struct mr_err *err)
{
    char path[4096];
    if (w->at >= w->s->size)
        return MR_END;
    if (w->at < w->have_at || w->at + MR_LOG_HEADER > w->have_at + (int64_t)w->have) {
        size_t want = sizeof w->bytes;
        mr_code rc = segment_open(log, w->s, err);
        if (!rc)
            rc = direct_read(log, w->s, w->bytes, want, w->at, &w->have, err);
        if (rc) {
            w->have = 0;
            return rc;
        }
        w->have_at = w->at;
    }
    if (w->at + MR_LOG_HEADER <= w->have_at + (int64_t)w->have &&
        batch_read(w->bytes + (w->at - w->have_at), out) && out->base >= w->s->base &&
        w->at + out->size <= w->s->size && batch_end(out) <= segment_end(log, w->s) &&
        (w->expect < 0 || out->base == w->expect || /* the CRC does not cover the base offset */
         (out->base > w->expect && segment_gaps(log, w->s))))
        return MR_OK;
    log_name(log, w->s, ".log", path, sizeof path);
    return mr_fail(err, MR_CORRUPT, "'%s' is damaged at byte %lld: no batch begins there", path,
                   (long long)w->at);
}

/* ---- looking up */

static mr_code entry_at(struct mr_log *log, struct segment *s, uint32_t i, uint32_t *rel, uint32_t *pos,
                        struct mr_err *err)
{
    char bytes[ENTRY];
    size_t got;
    if (i >= s->entries) {
        *rel = log->indexer->e[i - s->entries].rel;
        *pos = log->indexer->e[i - s->entries].pos;
        return MR_OK;
    }
    mr_code rc = mr_file_read(s->index, bytes, ENTRY, (int64_t)i * ENTRY, &got, err);
    if (rc)
        return rc;
    if (got != ENTRY)
        return mr_fail(err, MR_CORRUPT, "an index of log '%s' is cut", log->dir);
    *rel = get32(bytes);
    *pos = get32(bytes + 4);
    return MR_OK;
}

static uint32_t entry_count(struct mr_log *log, const struct segment *s)
{
    return s->entries + (s == active_of(log) && log->indexer ? log->indexer->count : 0);
}

/* The last entry with rel <= most_rel and pos <= most_pos; 0, 0 when there is none. */
static mr_code search(struct mr_log *log, struct segment *s, int64_t most_rel, int64_t most_pos,
                      uint32_t *rel, uint32_t *pos, struct mr_err *err)
{
    uint32_t low = 0, high = entry_count(log, s);
    *rel = *pos = 0;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2, r, p;
        mr_code rc = entry_at(log, s, mid, &r, &p, err);
        if (rc)
            return rc;
        if (r <= most_rel && p <= most_pos) {
            *rel = r;
            *pos = p;
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return MR_OK;
}

static bool leads_to(struct mr_log *log, struct segment *s, uint32_t rel, uint32_t pos)
{
    struct walk w = {.s = s, .at = pos, .expect = s->base + rel};
    struct batch b;
    struct mr_err ignored;
    if (pos == 0)
        return rel == 0;
    return walk_peek(log, &w, &b, &ignored) == MR_OK && b.base == s->base + rel;
}

mr_code segment_floor(struct mr_log *log, struct segment *s, int64_t offset, int64_t *at, struct mr_err *err)
{
    uint32_t rel, pos;
    mr_code rc = segment_open(log, s, err);
    if (rc)
        return rc;
    for (int i = 0; i < 2; i++) {
        rc = segment_open_index(log, s, err);
        if (!rc)
            rc = search(log, s, offset - s->base, s->size, &rel, &pos, err);
        if (!rc && leads_to(log, s, rel, pos)) {
            *at = pos;
            return MR_OK;
        }
        if ((rc && rc != MR_CORRUPT) || segment_rebuild(log, s, true, err))
            break;
    }
    *at = 0; /* no index, say on a full disk: from the segment's beginning */
    mr_err_clear(err);
    return MR_OK;
}

int64_t segment_floor_at(struct mr_log *log, struct segment *s, int64_t most, int64_t below)
{
    uint32_t rel, pos;
    struct mr_err ignored;
    if (segment_open_index(log, s, &ignored) || search(log, s, below - s->base, most, &rel, &pos, &ignored) ||
        !leads_to(log, s, rel, pos))
        return 0;
    return pos;
}

static bool time_at(struct mr_log *log, struct segment *s, uint32_t i, int64_t *ts, uint32_t *rel)
{
    char bytes[TIME_ENTRY];
    struct mr_err ignored;
    size_t got;
    if (s == active_of(log) && i >= s->entries) {
        *ts = log->indexer->e[i - s->entries].ts;
        *rel = log->indexer->e[i - s->entries].rel;
        return true;
    }
    if (mr_file_read(s->times, bytes, TIME_ENTRY, (int64_t)i * TIME_ENTRY, &got, &ignored) ||
        got != TIME_ENTRY || get32(bytes + 12) != mr_crc32c((uint32_t)s->base, bytes, 12))
        return false;
    *ts = (int64_t)get64(bytes);
    *rel = get32(bytes + 8);
    return true;
}

/* How many entries, counted from the first, can be kept of files that a crash may have left half written:
 * they ascend, and the last of them is right in both files. */
static uint32_t good_prefix(struct mr_log *log, struct segment *s, int64_t *at, int64_t *max_ts)
{
    char chunk[ENTRY * 512];
    int64_t size, times, rel = 0, pos = 0;
    uint32_t count = 0, most;
    struct mr_err ignored;
    size_t got;
    if (mr_file_size(s->index, &size, &ignored) || mr_file_size(s->times, &times, &ignored))
        return 0;
    most = (uint32_t)(size / ENTRY < times / TIME_ENTRY ? size / ENTRY : times / TIME_ENTRY);
    for (bool fine = true; fine && count < most;) {
        size_t want = (most - count < 512 ? most - count : 512) * (size_t)ENTRY;
        if (mr_file_read(s->index, chunk, want, (int64_t)count * ENTRY, &got, &ignored) || got != want)
            return 0;
        for (size_t k = 0; k < got && fine; k += ENTRY) {
            int64_t r = get32(chunk + k), p = get32(chunk + k + 4);
            fine = r > rel && p > pos && p < s->size;
            rel = r;
            pos = p;
            count += fine;
        }
    }
    s->entries = count;
    for (int tries = 0; s->entries && tries < 16; tries++, s->entries--) {
        uint32_t r, p, tr;
        if (!entry_at(log, s, s->entries - 1, &r, &p, &ignored) &&
            time_at(log, s, s->entries - 1, max_ts, &tr) && tr == r && leads_to(log, s, r, p)) {
            *at = p;
            return s->entries;
        }
    }
    return s->entries = 0;
}

/* On from what is good in its files, or anew from the log's headers. Damage that is known is skipped, any
 * other ends the index there. */
mr_code segment_rebuild(struct mr_log *log, struct segment *s, bool anew, struct mr_err *err)
{
    bool is_active = s == active_of(log);
    if (is_active && !log->indexer)
        log->indexer = mr_alloc(sizeof *log->indexer);
    struct indexer *x = is_active ? log->indexer : mr_alloc(sizeof *x);
    struct walk *w = mr_alloc(sizeof *w);
    struct batch b;
    mr_code rc = MR_MEMORY;
    if (!x || !w) {
        (void)mr_fail(err, MR_MEMORY, "no memory to rebuild an index of log '%s'", log->dir);
    } else if (!(rc = segment_open(log, s, err)) && !(rc = open_pair(log, s, err))) {
        *x = (struct indexer){.max_ts = INT64_MIN};
        s->entries = 0;
        w->s = s;
        w->expect = s->base;
        if (!anew && good_prefix(log, s, &w->at, &x->max_ts) == 0)
            x->max_ts = INT64_MIN;
        else if (!anew)
            w->expect = -1; /* looked at already */
        bool force = false;
        rc = mr_file_truncate(s->index, (int64_t)s->entries * ENTRY, err);
        if (!rc)
            rc = mr_file_truncate(s->times, (int64_t)s->entries * TIME_ENTRY, err);
        while (!rc) {
            const struct damage *skip = NULL;
            for (uint32_t i = 0; i < log->damages && w->at < s->size; i++)
                if (log->damage[i].segment == s->base && log->damage[i].at == w->at)
                    skip = &log->damage[i];
            if (skip) { /* on to the first batch behind it */
                int64_t at = -1;
                w->expect = skip->to;
                for (w->at++; w->at < s->size && at < 0; w->at++)
                    if (walk_peek(log, w, &b, NULL) == MR_OK)
                        at = w->at;
                w->at = at < 0 ? s->size : at;
                force = true;
                continue;
            }
            if ((rc = walk_peek(log, w, &b, err)) != MR_OK)
                break;
            if (force)
                segment_note_force(log, s, x, &b, w->at);
            else
                segment_note(log, s, x, &b, w->at);
            force = false;
            walk_on(w, &b);
        }
        if (rc == MR_END || rc == MR_CORRUPT)
            rc = MR_OK; /* whoever comes to the damaged place is told there */
        s->suspect = rc != MR_OK;
        if (is_active)
            s->max_ts = x->max_ts;
        else if (!rc)
            segment_seal(log, s, x);
    }
    if (!is_active)
        mr_free(x);
    mr_free(w);
    return rc;
}

mr_code segment_floor_time(struct mr_log *log, struct segment *s, int64_t ms, int64_t *offset,
                           struct mr_err *err)
{
    for (int try = 0; try < 2; try++) {
        if (segment_open_index(log, s, err))
            break;
        uint32_t low = 0, high = entry_count(log, s), best = 0;
        bool fine = true;
        while (low < high && fine) {
            uint32_t mid = low + (high - low) / 2, rel;
            int64_t ts;
            fine = time_at(log, s, mid, &ts, &rel);
            if (fine && ts < ms) {
                best = rel;
                low = mid + 1;
            } else {
                high = mid;
            }
        }
        if (fine) {
            *offset = s->base + best;
            return MR_OK;
        }
        if (segment_rebuild(log, s, true, err))
            break;
    }
    *offset = s->base;
    mr_err_clear(err);
    return MR_OK;
}

mr_code segment_max_ts(struct mr_log *log, struct segment *s, struct mr_err *err)
{
    int64_t ts;
    uint32_t rel;
    mr_code rc = MR_OK;
    mr_assert(s);
    if (s == active_of(log)) {
        if (s->suspect)
            rc = segment_rebuild(log, s, false, err);
        if (!rc && log->indexer)
            s->max_ts = log->indexer->max_ts;
        return rc;
    }
    if (s->max_known)
        return MR_OK;
    rc = segment_open_index(log, s, err);
    if (!rc && !s->max_known) { /* a rebuild knows */
        if (!time_at(log, s, s->entries, &ts, &rel) || s->base + rel != segment_end(log, s))
            rc = segment_rebuild(log, s, true, err);
        else
            s->max_ts = ts;
    }
    s->max_known = !rc;
    return rc;
}
