/* recover.c - what a log believes when it is opened.
 *
 * A clean marker that still fits is believed whole: it names every segment, and nothing was changed since, or
 * the active segment's size would differ (an append), or the marker would be gone (a new or dropped segment:
 * its removal comes first in the same directory).
 *
 * Otherwise everything below the recovery point is believed to be synced, and the rest is read, CRC and all:
 *
 *   whole batch at the expected offset
 *       taken, and written once more: after a sync that failed in an earlier life the cache may
 *       show bytes that the disk does not have
 *   no whole batch, and none behind it
 *       a torn tail: cut; segments after it were never acknowledged (Y2): dropped
 *   no whole batch but sectors of zeros, and one behind it
 *       a write that never reached the disk, while a later one did: power was lost before any sync that
 *       covers either was answered. A torn tail: cut
 *   no whole batch, nothing of it missing, and one behind it
 *       damage: the range is refused, what follows is served
 *   the file ends before the recovery point
 *       damage: what was synced is gone; the log goes on at the recovery point, in a new
 *       segment, so that no offset is used twice
 *
 * Laws:  V1  end never falls below the recovery point (L2)
 *        V2  nothing below the recovery point is cut (L1)
 *        V3  what is taken is durable before the log is used
 */
#include "log/inside.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

enum {
    MAGIC = 0x4d524c47,        /* of a slot, "MRLG" */
    MARKER_MAGIC = 0x4d524c43, /* "MRLC" */
    SLOT_FIXED = 64,
    DAMAGE_BYTES = 24, /* a slot keeps from, to, and segment; the byte is found again by looking */
    MARKER_FIXED = 64,
    MARKER_SEGMENT = 40,
    MARKER_MAX = 64 << 20,
    WINDOW = 1 << 20,
    SECTOR = 512,
    HOLE_MIN = 16 /* fewer zeros prove nothing */
};

/* ---- damage */

void add_damage(struct mr_log *log, struct damage d)
{
    for (uint32_t i = 0; i < log->damages; i++)
        if (log->damage[i].from <= d.from && d.to <= log->damage[i].to)
            return;
    if (log->damages ==
        MR_LOG_DAMAGE_MAX) { /* the list is full: the last range grows over what lies between */
        struct damage *last = &log->damage[MR_LOG_DAMAGE_MAX - 1];
        last->to = d.to > last->to ? d.to : last->to;
        last->from = d.from < last->from ? d.from : last->from;
        return;
    }
    log->damage[log->damages++] = d;
}

mr_code refuse_damage(struct mr_log *log, const struct damage *d, struct mr_err *err)
{
    return mr_fail(
        err, MR_CORRUPT, "'%s/%020lld.log' is damaged at byte %lld: offsets %lld to %lld are lost here; %s",
        log->dir, (long long)d->segment, (long long)d->at, (long long)d->from, (long long)(d->to - 1),
        "fetch them from another replica, or move the start of the log past them");
}

/* ---- the recovery point: two slots, written in turn */

mr_code slot_write(struct mr_log *log, struct point p, struct mr_err *err)
{
    char slot[MR_LOG_SLOT] = {0}, path[4096];
    if (!log->slots) {
        log_path(log, "recovery", path, sizeof path);
        mr_code rc = mr_file_open(log->world, path, MR_FILE_WRITE | MR_FILE_CREATE, &log->slots, err);
        if (rc)
            return rc;
    }
    log->slot_number++;
    put32(slot + 4, MAGIC);
    put64(slot + 8, log->slot_number);
    put64(slot + 16, (uint64_t)log->start);
    put64(slot + 24, (uint64_t)p.offset);
    put64(slot + 32, (uint64_t)p.segment);
    put64(slot + 40, (uint64_t)p.at);
    put32(slot + 48, log->damages);
    for (uint32_t i = 0; i < log->damages; i++) {
        char *to = slot + SLOT_FIXED + i * DAMAGE_BYTES;
        put64(to, (uint64_t)log->damage[i].from);
        put64(to + 8, (uint64_t)log->damage[i].to);
        put32(to + 16, (uint32_t)(log->damage[i].from - log->damage[i].segment));
        put32(to + 20, (uint32_t)log->damage[i].at);
    }
    put32(slot, mr_crc32c(0, slot + 4, MR_LOG_SLOT - 4));
    return mr_file_write(log->slots, slot, sizeof slot, (int64_t)(log->slot_number & 1) * MR_LOG_SLOT, err);
}

static bool slot_read(const char *slot, struct mr_log *log, struct point *p)
{
    if (get32(slot) != mr_crc32c(0, slot + 4, MR_LOG_SLOT - 4) || get32(slot + 4) != MAGIC ||
        get64(slot + 8) < log->slot_number || get32(slot + 48) > MR_LOG_DAMAGE_MAX)
        return false;
    int64_t start = (int64_t)get64(slot + 16);
    struct point point = {(int64_t)get64(slot + 24), (int64_t)get64(slot + 32), (int64_t)get64(slot + 40)};
    if (start < 0 || point.offset < start || point.segment < 0 || point.segment > point.offset ||
        point.at < 0)
        return false;
    log->slot_number = get64(slot + 8);
    log->start = start;
    *p = point;
    log->damages = 0;
    for (uint32_t i = 0; i < get32(slot + 48); i++) {
        const char *from = slot + SLOT_FIXED + i * DAMAGE_BYTES;
        struct damage d = {(int64_t)get64(from), (int64_t)get64(from + 8), 0, get32(from + 20)};
        d.segment = d.from - get32(from + 16);
        add_damage(log, d);
    }
    return true;
}

/* Makes the recovery file when there is none; *known: a recovery point was there. */
static mr_code slots_open(struct mr_log *log, struct point *p, bool *known, struct mr_err *err)
{
    char path[4096], both[2 * MR_LOG_SLOT] = {0};
    size_t got = 0;
    *known = false;
    log_path(log, "recovery", path, sizeof path);
    mr_code rc = mr_file_open(log->world, path, MR_FILE_WRITE | MR_FILE_CREATE, &log->slots, err);
    if (!rc)
        rc = mr_file_read(log->slots, both, sizeof both, 0, &got, err);
    if (rc)
        return rc;
    for (int i = 0; i < 2; i++)
        *known |= slot_read(both + i * MR_LOG_SLOT, log, p);
    return MR_OK;
}

static mr_code slots_sync(struct mr_log *log, struct point p, struct mr_err *err)
{
    mr_code rc = slot_write(log, p, err);
    if (!rc)
        rc = slot_write(log, p, err); /* both, so that one flipped bit later does not send us back */
    if (!rc)
        rc = mr_file_sync(log->slots, err);
    if (!rc) {
        log->durable = p;
        log->durable_start = log->start;
    }
    return rc;
}

/* ---- the clean marker */

mr_code marker_write(struct mr_log *log, struct mr_err *err)
{
    char path[4096];
    size_t len = MARKER_FIXED + log->count * MARKER_SEGMENT + log->damages * sizeof(struct damage);
    char *bytes = mr_alloc(len);
    if (!bytes)
        return mr_fail(err, MR_MEMORY, "no memory for the clean marker of '%s'", log->dir);
    put32(bytes + 4, MARKER_MAGIC);
    put64(bytes + 8, log->slot_number);
    put64(bytes + 16, (uint64_t)log->start);
    put64(bytes + 24, (uint64_t)log->end);
    put64(bytes + 32, log->count);
    put32(bytes + 40, log->damages);
    put64(bytes + 48, (uint64_t)log->durable.segment);
    for (size_t i = 0; i < log->count; i++) {
        char *to = bytes + MARKER_FIXED + i * MARKER_SEGMENT;
        const struct segment *s = &log->seg[i];
        put64(to, (uint64_t)s->base);
        put64(to + 8, (uint64_t)s->size);
        put64(to + 16, (uint64_t)s->max_ts);
        put64(to + 24, (uint64_t)s->created);
        put32(to + 32, s->entries);
        put32(to + 36, (s->max_known ? 1u : 0u) | (s->suspect ? 2u : 0u));
    }
    if (log->damages)
        memcpy(bytes + MARKER_FIXED + log->count * MARKER_SEGMENT, log->damage,
               log->damages * sizeof(struct damage));
    put32(bytes, mr_crc32c(0, bytes + 4, len - 4));
    log_path(log, "clean", path, sizeof path);
    /* Not synced: all that it speaks of is, and who does not find it whole recovers. */
    mr_code rc = mr_file_replace_unsynced(log->world, path, (struct mr_slice){bytes, len}, err);
    mr_free(bytes);
    log->marked = !rc;
    log->lingers = true;
    return rc;
}

/* Before anything changes that the marker speaks of. */
mr_code marker_drop(struct mr_log *log, struct mr_err *err)
{
    char path[4096];
    if (!log->marked)
        return MR_OK;
    log_path(log, "clean", path, sizeof path);
    mr_code rc = mr_unlink(log->world, path, err);
    if (rc && rc != MR_NOTFOUND)
        return rc;
    log->marked = false;
    log->names_dirty = true;
    return MR_OK;
}

static bool marker_parse(struct mr_log *log, const char *bytes, size_t len)
{
    if (len < MARKER_FIXED || get32(bytes + 4) != MARKER_MAGIC ||
        get32(bytes) != mr_crc32c(0, bytes + 4, len - 4))
        return false;
    uint64_t count = get64(bytes + 32), damages = get32(bytes + 40);
    if (damages > MR_LOG_DAMAGE_MAX || count > len / MARKER_SEGMENT ||
        len != MARKER_FIXED + count * MARKER_SEGMENT + damages * sizeof(struct damage))
        return false;
    log->seg = mr_alloc((count ? count : 1) * sizeof *log->seg);
    if (!log->seg)
        return false;
    log->cap = count ? count : 1;
    log->slot_number = get64(bytes + 8);
    log->start = (int64_t)get64(bytes + 16);
    log->end = (int64_t)get64(bytes + 24);
    log->durable.segment = (int64_t)get64(bytes + 48);
    bool fine = log->start >= 0 && log->start <= log->end;
    for (size_t i = 0; i < count && fine; i++) {
        const char *from = bytes + MARKER_FIXED + i * MARKER_SEGMENT;
        struct segment *s = &log->seg[i];
        *s = (struct segment){.base = (int64_t)get64(from),
                              .size = (int64_t)get64(from + 8),
                              .max_ts = (int64_t)get64(from + 16),
                              .created = (mr_ns)get64(from + 24),
                              .entries = get32(from + 32),
                              .max_known = (get32(from + 36) & 1) != 0,
                              .suspect = (get32(from + 36) & 2) != 0};
        fine = s->base >= (i ? s[-1].base + 1 : 0) && s->base <= log->end && s->size >= 0;
        log->bytes += s->size;
    }
    log->count = count;
    log->damages = (uint32_t)damages;
    if (damages)
        memcpy(log->damage, bytes + MARKER_FIXED + count * MARKER_SEGMENT, damages * sizeof(struct damage));
    return fine;
}

static void forget(struct mr_log *log)
{
    for (size_t i = 0; i < log->count; i++)
        segment_close(&log->seg[i]);
    mr_free(log->seg);
    log->seg = NULL;
    log->count = log->cap = log->damages = 0;
    log->start = log->end = log->bytes = 0;
    log->slot_number = 0;
    log->durable = (struct point){0, -1, 0};
}

/* *fits: the log is open. Otherwise *p may still be better than the recovery file's point. */
static mr_code marker_read(struct mr_log *log, bool *fits, struct point *p, struct mr_err *err)
{
    char path[4096], small[1024], *bytes = small;
    struct mr_file *f;
    struct mr_stat st = {0};
    int64_t size = 0;
    size_t got = 0;
    *fits = false;
    log_path(log, "clean", path, sizeof path);
    mr_code rc = mr_file_open(log->world, path, MR_FILE_READ, &f, err);
    if (rc)
        return rc == MR_NOTFOUND ? MR_OK : rc;
    log->marked = log->lingers = true;
    rc = mr_file_read(f, small, sizeof small, 0, &got, err);
    if (!rc && got == sizeof small && !(rc = mr_file_size(f, &size, err)) && size > (int64_t)got &&
        size <= MARKER_MAX) {
        bytes = mr_alloc((size_t)size);
        rc = bytes ? mr_file_read(f, bytes, (size_t)size, 0, &got, err)
                   : mr_fail(err, MR_MEMORY, "no memory for '%s'", path);
    }
    mr_file_close(f);
    if (!rc && marker_parse(log, bytes, got)) {
        struct segment *active = active_of(log);
        if (active) {
            log_name(log, active, ".log", path, sizeof path);
            rc = mr_stat_path(log->world, path, &st, err);
            *p = (struct point){log->end, active->base, active->size};
            *fits = !rc && st.size == active->size;
            rc = rc == MR_NOTFOUND ? MR_OK : rc;
        } else {
            *p = (struct point){log->end, log->end, 0};
            *fits = true;
        }
    }
    if (bytes != small)
        mr_free(bytes);
    if (!*fits)
        forget(log);
    return rc;
}

/* ---- listing */

static void on_name(void *arg, const char *name)
{
    struct mr_log *log = arg;
    int64_t base = 0;
    if (strlen(name) != 24 || strcmp(name + 20, ".log") != 0)
        return;
    for (int i = 0; i < 20; i++) {
        if (name[i] < '0' || name[i] > '9' || __builtin_mul_overflow(base, 10, &base) ||
            __builtin_add_overflow(base, name[i] - '0', &base))
            return;
    }
    if (log->count == log->cap) {
        size_t cap = log->cap ? log->cap * 2 : 16;
        struct segment *seg = mr_realloc(log->seg, cap * sizeof *seg);
        if (!seg) {
            log->broken = true; /* told by list_segments */
            return;
        }
        log->seg = seg;
        log->cap = cap;
    }
    size_t i = log->count++;
    for (; i > 0 && log->seg[i - 1].base > base; i--)
        log->seg[i] = log->seg[i - 1];
    log->seg[i] = (struct segment){.base = base, .max_ts = INT64_MIN, .suspect = true};
}

static mr_code list_segments(struct mr_log *log, struct mr_err *err)
{
    char path[4096];
    mr_code rc = mr_dir_list(log->world, log->dir, on_name, log, err);
    if (log->broken) {
        log->broken = false;
        return mr_fail(err, MR_MEMORY, "no memory for the segments of '%s'", log->dir);
    }
    for (size_t i = 0; i < log->count && !rc; i++) {
        struct mr_stat st;
        log_name(log, &log->seg[i], ".log", path, sizeof path);
        if ((rc = mr_stat_path(log->world, path, &st, err)) == MR_OK) {
            log->seg[i].size = st.size;
            log->seg[i].created = st.modified;
        }
    }
    return rc;
}

/* ---- scanning */

struct scan {
    struct mr_log *log;
    struct segment *s;
    char *bytes;
    int64_t at; /* of bytes[0] */
    size_t have, cap;
};

/* At least `want` bytes from `at` on, fewer only at the end of the file; NULL: err. */
static const char *look(struct scan *c, int64_t at, size_t want, size_t *got, struct mr_err *err)
{
    int64_t there = c->s->size - at;
    if (there < (int64_t)want)
        want = there > 0 ? (size_t)there : 0;
    if (at < c->at || at + (int64_t)want > c->at + (int64_t)c->have) {
        size_t load = want > WINDOW ? want : WINDOW;
        if (load > c->cap) {
            char *bytes = mr_realloc(c->bytes, load);
            if (!bytes) {
                (void)mr_fail(err, MR_MEMORY, "no memory to recover '%s'", c->log->dir);
                return NULL;
            }
            c->bytes = bytes;
            c->cap = load;
        }
        c->have = 0;
        c->at = at;
        if ((int64_t)load > there)
            load = there > 0 ? (size_t)there : 0;
        if (mr_file_read(c->s->log, c->bytes, load, at, &c->have, err))
            return NULL;
        if (want > c->have)
            want = c->have;
    }
    *got = want;
    return c->bytes + (at - c->at);
}

/* 1: a whole, right batch at `at`; 0: none; -1: err. */
static int batch_at(struct scan *c, int64_t at, struct batch *b, const char **bytes, struct mr_err *err)
{
    size_t got;
    const char *p = look(c, at, MR_LOG_HEADER, &got, err);
    if (!p)
        return -1;
    if (got < MR_LOG_HEADER || !batch_read(p, b) || b->size > c->s->size - at)
        return 0;
    p = look(c, at, (size_t)b->size, &got, err);
    if (!p)
        return -1;
    *bytes = p;
    return (int64_t)got == b->size && batch_crc_ok(p, b);
}

/* The next right batch behind `at`, with an offset beyond `offset`. */
static int search_batch(struct scan *c, int64_t at, int64_t offset, struct batch *b, int64_t *found,
                        struct mr_err *err)
{
    const char *bytes;
    for (at++; at + MR_LOG_HEADER <= c->s->size; at++) {
        size_t got;
        const char *p = look(c, at, MR_LOG_HEADER, &got, err);
        if (!p)
            return -1;
        if (got < MR_LOG_HEADER || p[16] != 2 || !batch_read(p, b) || b->base <= offset ||
            b->base - offset > UINT32_MAX || b->size > c->s->size - at)
            continue;
        int is = batch_at(c, at, b, &bytes, err);
        if (is) {
            *found = at;
            return is;
        }
    }
    return 0;
}

/* Is a part of [at, to) missing? The disk takes or leaves whole sectors; one that was never written reads as zeros.
 * 1: yes; 0: no; -1: err. A flipped bit leaves no such hole. Records of zeros alone can look like one: then, and with
 * a flip on top, and a crash within the same few bytes, this errs on the side of going on. */
static int has_hole(struct scan *c, int64_t at, int64_t to, struct mr_err *err)
{
    while (at < to) {
        int64_t end = (at / SECTOR + 1) * SECTOR;
        size_t got, i = 0;
        if (end > to)
            end = to;
        const char *p = look(c, at, (size_t)(end - at), &got, err);
        if (!p)
            return -1;
        while (i < got && p[i] == 0)
            i++;
        if (got >= HOLE_MIN && i == got)
            return 1;
        at = end;
    }
    return 0;
}

/* Takes what is good in one segment from byte `at` on, where `*offset` is expected; moves *offset. *cut: the
 * byte from which on there is nothing, -1: it is whole. */
static mr_code scan_segment(struct scan *c, int64_t at, int64_t *offset, bool *changed, int64_t *cut,
                            struct mr_err *err)
{
    struct mr_log *log = c->log;
    *cut = -1;
    while (at < c->s->size) {
        struct batch b;
        const char *bytes;
        int is = batch_at(c, at, &b, &bytes, err);
        if (is < 0)
            return err->code;
        if (is && (b.base == *offset || (b.base > *offset && segment_gaps(log, c->s)))) {
            mr_code rc = mr_file_write(c->s->log, bytes, (size_t)b.size, at, err);
            if (rc)
                return rc;
            *changed = true;
            at += b.size;
            *offset = batch_end(&b);
            continue;
        }
        int64_t found = at;
        is = search_batch(c, at, *offset, &b, &found, err);
        if (is > 0) {
            int hole = has_hole(c, at, found, err);
            is = hole < 0 ? -1 : !hole;
        }
        if (is < 0)
            return err->code;
        if (!is) {
            *cut = at;
            return MR_OK;
        }
        add_damage(log, (struct damage){*offset, b.base, c->s->base, at});
        *offset = b.base;
        at = found;
    }
    return MR_OK;
}

static mr_code drop_after(struct mr_log *log, size_t keep, struct mr_err *err)
{
    while (log->count > keep) {
        mr_code rc = segment_unlink(log, &log->seg[log->count - 1], err);
        if (rc)
            return rc;
        log->count--;
    }
    return MR_OK;
}

/* Where whole batches end in a segment that is shorter than its recovery point. */
static void find_end(struct mr_log *log, struct segment *s, int64_t *offset, int64_t *at)
{
    struct walk w = {.s = s, .expect = s->base};
    struct batch b;
    struct mr_err ignored;
    *offset = s->base;
    *at = 0;
    while (walk_peek(log, &w, &b, &ignored) == MR_OK) {
        walk_on(&w, &b);
        *offset = batch_end(&b);
        *at = w.at;
    }
}

static mr_code take_segments(struct mr_log *log, struct point p, bool known, bool *changed,
                             struct mr_err *err)
{
    struct scan c = {.log = log};
    mr_code rc = MR_OK;
    size_t i = 0;
    int64_t offset, at = 0;
    if (known) {
        while (i < log->count && log->seg[i].base < p.segment)
            i++;
        offset = p.offset;
        at = p.at;
        if (i == log->count || log->seg[i].base != p.segment) {
            bool retained = i == 0 && log->count && log->seg[0].base >= offset;
            if (retained) /* dropped with all before it, after its successor had been made: goes on there */
                offset = log->seg[0].base;
            else if (p.at > 0) /* the segment of the recovery point is lost */
                add_damage(log, (struct damage){p.segment, p.offset, p.segment, 0});
            at = 0;
            if (i < log->count && log->seg[i].base != offset) { /* what follows was not acknowledged (Y2) */
                *changed = true;
                rc = drop_after(log, i, err);
            }
        } else if (log->seg[i].size < p.at) {
            struct segment *s = &log->seg[i];
            int64_t from, end;
            if ((rc = segment_open(log, s, err)))
                return rc;
            log->end = p.offset;
            find_end(log, s, &from, &end);
            if (from < p.offset)
                add_damage(log, (struct damage){from, p.offset, s->base, end});
            s->size = end;
            s->suspect = true;
            *changed = true;
            i++; /* sealed as it is; the log goes on at the recovery point (V1) */
            at = 0;
            rc = drop_after(log, i, err);
        }
    } else {
        offset = log->count ? log->seg[0].base : 0;
    }
    size_t count = log->count;
    for (; i < count && !rc; i++) {
        struct segment *s = &log->seg[i];
        int64_t cut;
        if (i > 0 && s->base > offset && segment_gaps(log, &s[-1]))
            offset = s->base;               /* compaction took the last batches of the one before */
        if (s->base != offset && at == 0) { /* Y2 */
            rc = drop_after(log, i, err);
            *changed = true;
            break;
        }
        log->count = i + 1; /* it is the active one while it is looked at */
        log->end = offset;
        c.s = s;
        c.have = 0;
        rc = segment_open(log, s, err);
        if (!rc && (s->size != at || i + 1 != count) &&
            !(rc = scan_segment(&c, at, &offset, changed, &cut, err))) {
            log->end = offset;
            if (cut >= 0) {
                *changed = true;
                rc = mr_file_truncate(s->log, cut, err);
                s->size = cut;
            }
            s->dirty = true;
            if (!rc && cut >= 0 && i + 1 < count && log->seg[i + 1].base != offset) { /* Y2 */
                log->count = count;
                rc = drop_after(log, i + 1, err);
                count = i + 1;
            }
        }
        log->count = count;
        at = 0;
    }
    mr_free(c.bytes);
    log->end = offset;
    return rc;
}

mr_code recover(struct mr_log *log, struct mr_err *err)
{
    struct point p = {0, -1, 0}, q = p;
    bool fits, known, changed = false;
    mr_code rc = swap_open(log, err); /* first: it changes what there is */
    if (rc || (rc = marker_read(log, &fits, &q, err)))
        return rc;
    if (fits) {
        log->synced = log->end;
        log->known = q;
        log->durable_start = log->start;
        log->recovered = true;
        log->fresh = log->names_dirty = log->durable.segment < 0; /* closed before its first round */
        return MR_OK;
    }
    if ((rc = swap_tidy(log, err)) || (rc = slots_open(log, &p, &known, err)) ||
        (rc = list_segments(log, err)))
        return rc;
    log->durable_start = log->start;
    log->durable = known ? p : (struct point){0, -1, 0};
    if (q.segment >= 0 && (!known || q.offset > p.offset)) { /* a marker that speaks of more than is there */
        p = q;
        known = true;
    }
    bool fresh = !known || (p.offset == 0 && p.at == 0); /* no round has ended: its names may be lost */
    bool empty = fresh && !log->count;
    if (log->marked && (rc = marker_drop(log, err)))
        return rc;
    uint32_t damages = log->damages;
    if ((rc = take_segments(log, p, known, &changed, err)))
        return rc;
    if (log->count && log->start < log->seg[0].base)
        log->start = log->seg[0].base; /* retention was faster than the slot */
    if (log->end < log->start)
        log->end = log->start;                 /* only when the recovery file is all that is left */
    mr_assert(!known || log->end >= p.offset); /* V1 */
    /* The next append must not go into a segment that ends early. */
    bool damaged = log->damages > damages;
    for (size_t i = 0; i < log->count; i++)
        if (!rc && log->seg[i].dirty && (rc = mr_file_sync(log->seg[i].log, err)) == MR_OK)
            log->seg[i].dirty = false;
    if (!rc && damaged && (!log->count || log->damage[log->damages - 1].to == log->end))
        rc = segment_add(log, log->end, mr_wall(log->world), err);
    if (!rc && !empty && (changed || fresh || log->names_dirty))
        rc = mr_dir_sync(log->world, log->dir, err);
    if (!rc && !empty && fresh) {
        char parent[4096];
        log_parent(log, parent, sizeof parent);
        rc = mr_dir_sync(log->world, parent, err);
    }
    if (rc)
        return rc;
    log->names_dirty = log->fresh = empty; /* waits for no disk: its first round makes its names durable */
    struct segment *active = active_of(log);
    struct point now = {log->end, active ? active->base : log->end, active ? active->size : 0};
    if (!empty && (changed || fresh || damaged || now.offset != log->durable.offset))
        rc = slots_sync(log, now, err); /* V3 */
    if (empty) { /* takes the room that rounds must not find missing; counts as nothing */
        log->durable.segment = -1;
        if (!(rc = slot_write(log, now, err)))
            rc = slot_write(log, now, err);
    }
    for (size_t i = 0; i < log->count; i++)
        log->bytes += log->seg[i].size;
    log->synced = log->end;
    log->known = now;
    log->recovered = !rc;
    if (!rc && damaged)
        return refuse_damage(log, &log->damage[damages], err);
    return rc;
}
