/* read.c - finding: by offset, by time. Readers that go on where they stopped need no index: a cursor
 * remembers. */
#include "log/inside.h"

#include "base/assert.h"
#include "base/mem.h"
#include "wire/record.h"

enum { INFLATE_MAX = 16 << 20 }; /* of one batch, while looking for a timestamp */

static void remember(struct mr_log *log, int64_t offset, int64_t segment, int64_t at)
{
    for (int i = 0; i < MR_LOG_CURSORS; i++)
        if (log->cursor[i].offset == offset) {
            log->cursor[i] = (struct cursor){offset, segment, at};
            return;
        }
    log->cursor[log->next_cursor++ % MR_LOG_CURSORS] = (struct cursor){offset, segment, at};
}

static bool recall(struct mr_log *log, int64_t offset, const struct segment *s, int64_t *at)
{
    for (int i = 0; i < MR_LOG_CURSORS; i++)
        if (log->cursor[i].offset == offset && log->cursor[i].segment == s->base && log->cursor[i].at > 0 &&
            log->cursor[i].at < s->size) {
            *at = log->cursor[i].at;
            return true;
        }
    return false;
}

/* Where the batch lies that holds `want` or is the first after it. MR_END: there is none below the end. */
static mr_code locate(struct mr_log *log, int64_t want, struct walk *w, struct batch *b, struct mr_err *err)
{
    struct segment *s = segment_of(log, want);
    mr_code rc;
    if (!s)
        s = log->count ? &log->seg[0] : NULL;
    for (; s && s < log->seg + log->count; s++) {
        *w = (struct walk){.s = s, .expect = -1};
        if (s->size == 0)
            continue;
        if ((rc = segment_open(log, s, err)))
            return rc;
        if (want > s->base && recall(log, want, s, &w->at))
            w->expect = want;
        else if (want > s->base && (rc = segment_floor(log, s, want, &w->at, err)))
            return rc;
        if (w->at == 0)
            w->expect = s->base;
        while ((rc = walk_peek(log, w, b, err)) == MR_OK && batch_end(b) <= want)
            walk_on(w, b);
        if (rc != MR_END)
            return rc;
        if (want >= s->base && want < segment_end(log, s) && !segment_gaps(log, s))
            return mr_fail(err, MR_CORRUPT,
                           "'%s/%020lld.log' ends at byte %lld, before offset %lld: restore it", log->dir,
                           (long long)s->base, (long long)s->size, (long long)want);
    }
    return MR_END;
}

static const struct damage *damage_at(const struct mr_log *log, int64_t want, int64_t *below)
{
    for (uint32_t i = 0; i < log->damages; i++) {
        const struct damage *d = &log->damage[i];
        if (d->from <= want && want < d->to)
            return d;
        if (d->from > want && d->from < *below)
            *below = d->from;
    }
    return NULL;
}

/* How far whole batches reach from w on, below offset `below`, within `most` bytes. */
static int64_t stretch(struct mr_log *log, struct walk *w, const struct batch *first, int64_t below,
                       int64_t most, int64_t *next)
{
    struct segment *s = w->s;
    int64_t begin = w->at, limit = s->size - begin < most ? s->size : begin + most;
    struct batch b = *first;
    struct mr_err ignored;
    if (below >= segment_end(log, s) && limit == s->size) { /* all that is left */
        *next = segment_end(log, s);
        return s->size - begin;
    }
    int64_t at = begin + first->size;
    *next = w->expect = batch_end(first);
    if (limit - at > MR_LOG_WALK) { /* jump by the index, then walk what is left */
        int64_t jump = segment_floor_at(log, s, limit, below);
        if (jump > at) {
            at = jump;
            *next = w->expect = -1; /* not known until a batch is seen */
        }
    }
    for (w->at = at; w->at < limit && walk_peek(log, w, &b, &ignored) == MR_OK; w->at = at) {
        if (at + b.size > limit || batch_end(&b) > below) {
            *next = b.base;
            break;
        }
        at += b.size;
        *next = w->expect = batch_end(&b);
    }
    return at - begin;
}

/* Finds below `upto`; *in: the segment. */
static mr_code find(struct mr_log *log, mr_offset want, int64_t upto, size_t max_bytes,
                    struct mr_log_view *out, struct segment **in, struct mr_err *err)
{
    struct walk w;
    struct batch b;
    int64_t next, begin;
    if (want.v < log->start || want.v > log->end)
        return mr_fail(err, MR_RANGE, "log '%s' has offsets %lld to %lld, not %lld", log->dir,
                       (long long)log->start, (long long)log->end, (long long)want.v);
    if (want.v >= upto)
        return MR_END;
    const struct damage *d = damage_at(log, want.v, &upto);
    if (d)
        return refuse_damage(log, d, err);
    mr_code rc = locate(log, want.v, &w, &b, err);
    if (rc)
        return rc;
    if (batch_end(&b) > upto)
        return MR_END;
    begin = w.at;
    *in = w.s;
    out->file = w.s->log;
    out->at = begin;
    out->len = (size_t)stretch(log, &w, &b, upto,
                               max_bytes > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)max_bytes, &next);
    if (next >= 0)
        remember(log, next, w.s->base, begin + (int64_t)out->len);
    return MR_OK;
}

mr_code mr_log_find(struct mr_log *log, mr_offset want, mr_offset below, size_t max_bytes,
                    struct mr_log_view *out, struct mr_err *err)
{
    struct segment *in = NULL;
    struct mr_err own;
    int64_t most = mr_log_landed(log); /* D2 of direct.c */
    log->read_at = mr_now(log->world);
    mr_code rc = find(log, want, below.v < most ? below.v : most, max_bytes, out, &in, err ? err : &own);
    if (!rc && in)
        direct_ahead(in, out->at, (int64_t)out->len);
    return rc;
}

mr_code mr_log_read(struct mr_log *log, mr_offset want, mr_offset below, void *to, size_t cap, size_t *got,
                    struct mr_err *err)
{
    struct mr_log_view v = {0};
    struct mr_err own;
    if (!err)
        err = &own;
    *got = 0;
    struct segment *in = NULL;
    mr_code rc = find(log, want, below.v < log->end ? below.v : log->end, cap, &v, &in, err);
    if (rc)
        return rc;
    mr_assert(v.file && in);
    if (v.len > cap) {
        *got = v.len;
        return mr_fail(err, MR_LIMIT, "the batch at offset %lld has %zu bytes, the buffer %zu",
                       (long long)want.v, v.len, cap);
    }
    if ((rc = direct_read(log, in, to, v.len, v.at, got, err)))
        return rc;
    const char *p = to;
    struct segment *of = segment_of(log, want.v);
    bool gaps = of && segment_gaps(log, of);
    int64_t expect = -1;
    for (size_t at = 0; at < v.len;) { /* L3: what does not check is not given out */
        struct batch b;
        if (*got - at < MR_LOG_HEADER || !batch_read(p + at, &b) || b.size > (int64_t)(*got - at) ||
            !batch_crc_ok(p + at, &b) ||
            (expect >= 0 ? b.base < expect || (b.base > expect && !gaps) : b.base > want.v && !gaps)) {
            if (at > 0) { /* what is good first; the next read meets the damage */
                *got = at;
                return MR_OK;
            }
            *got = 0;
            return mr_fail(err, MR_CORRUPT,
                           "'%s/%020lld.log' is damaged at byte %lld: the checksum of the batch differs",
                           log->dir, (long long)(of ? of->base : 0), (long long)v.at);
        }
        expect = batch_end(&b);
        at += (size_t)b.size;
    }
    return MR_OK;
}

/* ---- by time */

static mr_code search_batch(struct mr_log *log, struct walk *w, const struct batch *b, int64_t ms,
                            int64_t from, int64_t *offset, int64_t *timestamp, struct mr_err *err)
{
    struct mr_record_walk walk;
    struct mr_record r;
    struct mr_buf scratch = {0};
    size_t got;
    if ((b->attributes & 8) && b->count &&
        !segment_gaps(log, w->s)) { /* all records have the time of the append */
        *offset = b->base > from ? b->base : from;
        *timestamp = b->max_ts;
        return MR_OK;
    }
    char *bytes = mr_realloc(NULL, (size_t)b->size);
    if (!bytes)
        return mr_fail(err, MR_MEMORY, "no memory for a batch of %lld bytes", (long long)b->size);
    mr_code rc = direct_read(log, w->s, bytes, (size_t)b->size, w->at, &got, err);
    if (!rc && (got != (size_t)b->size || !batch_crc_ok(bytes, b)))
        rc = mr_fail(err, MR_CORRUPT,
                     "'%s/%020lld.log' is damaged at byte %lld: the checksum of the batch differs", log->dir,
                     (long long)w->s->base, (long long)w->at);
    if (!rc)
        rc = mr_record_walk_begin(&walk, (struct mr_slice){bytes, got}, &scratch, INFLATE_MAX, err);
    while (!rc && !(rc = mr_record_walk_next(&walk, &r, err)))
        if (r.timestamp >= ms && r.offset >= from) {
            *offset = r.offset;
            *timestamp = r.timestamp;
            break;
        }
    mr_free(scratch.p);
    mr_free(bytes);
    return rc; /* MR_END: none in here */
}

mr_code mr_log_find_time(struct mr_log *log, int64_t ms, mr_offset *offset, int64_t *timestamp,
                         struct mr_err *err)
{
    struct walk w;
    struct batch b;
    struct mr_err own;
    mr_code rc;
    if (!err)
        err = &own;
    offset->v = -1;
    *timestamp = -1;
    for (size_t i = 0; i < log->count; i++) {
        struct segment *s = &log->seg[i];
        int64_t from, end = segment_end(log, s);
        if (end <= log->start || s->size == 0)
            continue;
        if ((rc = segment_max_ts(log, s, err)))
            return rc;
        if (s->max_ts < ms)
            continue;
        if ((rc = segment_floor_time(log, s, ms, &from, err)))
            return rc;
        if (from < log->start)
            from = log->start;
        const struct damage *d = damage_at(log, from, &end);
        if (d)
            from = d->to;
        if (from >= log->end || (rc = locate(log, from, &w, &b, err)) == MR_END)
            continue;
        for (; !rc && w.s == s; walk_on(&w, &b), rc = walk_peek(log, &w, &b, err)) {
            if (b.max_ts < ms)
                continue;
            rc = search_batch(log, &w, &b, ms, from, &offset->v, timestamp, err);
            if (rc != MR_END)
                return rc;
        }
        if (rc && rc != MR_END)
            return rc;
    }
    return MR_OK;
}

mr_code mr_log_find_max_time(struct mr_log *log, mr_offset *offset, int64_t *timestamp, struct mr_err *err)
{
    int64_t max = INT64_MIN;
    struct mr_err own;
    if (!err)
        err = &own;
    offset->v = -1;
    *timestamp = -1;
    for (size_t i = 0; i < log->count; i++) {
        struct segment *s = &log->seg[i];
        if (segment_end(log, s) <= log->start || s->size == 0)
            continue;
        mr_code rc = segment_max_ts(log, s, err);
        if (rc)
            return rc;
        if (s->max_ts > max)
            max = s->max_ts;
    }
    return max == INT64_MIN ? MR_OK : mr_log_find_time(log, max, offset, timestamp, err);
}
