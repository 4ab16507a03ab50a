/* partition_rebuild.c - what a partition knows of producers and transactions, and how that outlives it.
 *
 * A snapshot as of some offset lies beside the log; the log from there on says the rest. A snapshot that is
 * damaged, or absent, costs a scan of the whole log and nothing else.
 */
#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "broker/partition_inside.h"

#include <stdlib.h>

enum {
    SCAN_STEP = 1 << 20,           /* bytes of log looked at in one go when rebuilding */
    SNAPSHOT_BYTES_MAX = 64 << 20, /* of the producer snapshot */
    MARKER_BYTES = 256             /* at most: a marker's batch, with room for what later versions add */
};

bool mr_partition_note(struct mr_partition *p, const struct mr_batch_header *h,
                       const struct mr_marker *marker, int64_t now_ms)
{
    if (marker) {
        mr_txn_log_end(&p->txns, h->producer_id, marker->commit, h->base_offset);
        return mr_producers_end(&p->producers, h, marker->coordinator_epoch, now_ms);
    }
    if (h->attributes & MR_BATCH_CONTROL)
        return true; /* of another kind, which does not concern us */
    bool opens =
        (h->attributes & MR_BATCH_TRANSACTIONAL) && mr_producers_open(&p->producers, h->producer_id) < 0;
    if (!mr_producers_note(&p->producers, h, now_ms))
        return false;
    if (opens)
        mr_txn_log_open(&p->txns, h->producer_id, h->base_offset);
    return true;
}

/* The header of the batch `at` bytes into a view. `head` has MR_BATCH_HEADER bytes. */
static mr_code read_header(const struct mr_log_view *view, size_t at, char *head, struct mr_batch_header *h,
                           struct mr_err *err)
{
    size_t got = 0;
    mr_code rc = mr_file_read(view->file, head, MR_BATCH_HEADER, view->at + (int64_t)at, &got, err);
    if (rc)
        return rc;
    if (got < MR_BATCH_HEADER)
        return mr_fail(err, MR_CORRUPT, "batch header at byte %lld is cut short",
                       (long long)view->at + (long long)at);
    /* The log knows the batch to be whole, and only its header is looked at: so claim all of it. */
    rc = mr_batch_header_read((struct mr_slice){head, view->len - at}, h, err);
    return rc == MR_END ? mr_fail(err, MR_CORRUPT, "batch at byte %lld goes beyond its segment",
                                  (long long)view->at + (long long)at)
                        : rc;
}

mr_code mr_partition_view_end(const struct mr_log_view *view, int64_t *end, struct mr_err *err)
{
    char head[MR_BATCH_HEADER];
    struct mr_batch_header h;
    for (size_t done = 0; done < view->len; done += (size_t)h.length + 12) {
        mr_code rc = read_header(view, done, head, &h, err);
        if (rc)
            return rc;
        *end = h.base_offset + h.last_offset_delta + 1;
    }
    return MR_OK;
}

/* ------------------------------------------------------------------ snapshots */

bool mr_partition_snapshot_path(const struct mr_partition *p, char out[MR_PARTITION_PATH_BYTES])
{
    int n = snprintf(out, MR_PARTITION_PATH_BYTES, "%s/producers", p->dir);
    return n > 0 && n < MR_PARTITION_PATH_BYTES;
}

mr_code mr_partition_snapshot_save(struct mr_partition *p, struct mr_err *err)
{
    char path[MR_PARTITION_PATH_BYTES];
    struct mr_buf bytes = {0};
    int64_t at = mr_log_end(p->log).v;
    /* Only of what is safe: offsets that a crash takes back are given again to other records. */
    if (at == p->snapshot_at || mr_log_synced(p->log).v < at || !mr_partition_snapshot_path(p, path))
        return MR_OK;
    mr_code rc = mr_txn_log_save(&p->txns, &bytes) && mr_producers_save(&p->producers, at, &bytes)
                     ? mr_file_replace_unsynced(p->world, path, (struct mr_slice){bytes.p, bytes.len}, err)
                     : mr_fail(err, MR_MEMORY, "no memory for the producer snapshot '%s'", path);
    if (rc == MR_OK)
        p->snapshot_at = at;
    mr_buf_fini(&bytes);
    return rc;
}

static int by_first(const void *a, const void *b)
{
    const struct mr_producer_view *x = a, *y = b;
    return x->open < y->open ? -1 : x->open > y->open;
}

/* What is open stands with the producers; here it lies in the order of the log. */
static mr_code open_loaded(struct mr_partition *p)
{
    struct mr_producer_view v, *all = NULL;
    size_t count = 0, n = 0;
    for (size_t i = 0; mr_producers_next(&p->producers, &i, &v);)
        count += v.open >= 0;
    if (count > MR_TXN_OPEN_MAX)
        return MR_CORRUPT;
    if (count && !(all = mr_alloc(count * sizeof *all)))
        return MR_MEMORY;
    for (size_t i = 0; mr_producers_next(&p->producers, &i, &v);)
        if (v.open >= 0) {
            mr_assert(all && n < count);
            all[n++] = v;
        }
    if (n)
        qsort(all, n, sizeof *all, by_first);
    mr_code rc = MR_OK;
    for (size_t i = 0; i < n && rc == MR_OK; i++) {
        if (i && all[i - 1].open == all[i].open)
            rc = MR_CORRUPT;
        else if (!mr_txn_log_reserve(&p->txns))
            rc = MR_MEMORY;
        else
            mr_txn_log_open(&p->txns, all[i].id, all[i].open);
    }
    mr_free(all);
    return rc;
}

/* A snapshot from a future that was lost with the power is worth nothing. */
void mr_partition_snapshot_load(struct mr_partition *p)
{
    char path[MR_PARTITION_PATH_BYTES];
    struct mr_heap_arena arena;
    struct mr_slice bytes;
    struct mr_err err;
    int64_t at = -1;
    if (!mr_partition_snapshot_path(p, path))
        return;
    mr_heap_arena_init(&arena, 64 << 10, 0, SNAPSHOT_BYTES_MAX + (1 << 20));
    mr_code rc = mr_file_slurp(p->world, path, SNAPSHOT_BYTES_MAX, &arena.arena, &bytes, &err);
    if (rc == MR_OK)
        rc = mr_txn_log_load(&p->txns, &bytes, &err);
    if (rc == MR_OK)
        rc = mr_producers_load(&p->producers, bytes, &at, &err);
    if (rc == MR_OK && at > mr_log_end(p->log).v)
        rc = MR_CORRUPT;
    if (rc == MR_OK)
        rc = open_loaded(p);
    mr_heap_arena_fini(&arena);
    if (rc == MR_OK) {
        p->snapshot_at = at;
        return;
    }
    mr_txn_log_fini(&p->txns);
    mr_producers_fini(&p->producers);
    mr_producers_init(&p->producers);
    if (rc != MR_NOTFOUND)
        (void)mr_unlink(p->world, path, NULL); /* the log has all of it: rebuilt by the scan */
}

/* ------------------------------------------------------------------ the log again */

/* Of a control batch also the record counts. *is_marker false: another kind. */
static mr_code read_marker(const struct mr_log_view *view, size_t at, const struct mr_batch_header *h,
                           struct mr_marker *marker, bool *is_marker, struct mr_err *err)
{
    char bytes[MARKER_BYTES];
    struct mr_record_walk walk;
    struct mr_record record;
    size_t len = (size_t)h->length + 12, got = 0;
    *is_marker = false;
    if (len > sizeof bytes)
        return MR_OK;
    mr_code rc = mr_file_read(view->file, bytes, len, view->at + (int64_t)at, &got, err);
    if (rc == MR_OK && got < len)
        rc = mr_fail(err, MR_CORRUPT, "control batch at offset %lld is cut short", (long long)h->base_offset);
    if (rc == MR_OK)
        rc = mr_record_walk_begin(&walk, (struct mr_slice){bytes, len}, NULL, 0, err);
    if (rc == MR_OK)
        rc = mr_record_walk_next(&walk, &record, err);
    if (rc == MR_OK) {
        rc = mr_marker_read(&record, marker);
        *is_marker = rc == MR_OK;
        if (rc == MR_END)
            rc = MR_OK;
    }
    return rc;
}

/* Notes each batch in one stretch of a segment. */
static mr_code scan_view(struct mr_partition *p, const struct mr_log_view *view, int64_t *next,
                         struct mr_err *err)
{
    char head[MR_BATCH_HEADER];
    struct mr_batch_header h;
    for (size_t done = 0; done < view->len; done += (size_t)h.length + 12) {
        struct mr_marker marker;
        bool is_marker = false;
        mr_code rc = read_header(view, done, head, &h, err);
        if (rc)
            return rc;
        if (h.base_offset < *next)
            continue;
        if (h.attributes & MR_BATCH_CONTROL)
            rc = read_marker(view, done, &h, &marker, &is_marker, err);
        if (rc)
            return rc;
        if ((h.attributes & MR_BATCH_TRANSACTIONAL) && !mr_txn_log_reserve(&p->txns))
            return mr_fail(err, MR_MEMORY, "no memory to rebuild the transactions");
        if (!mr_partition_note(p, &h, is_marker ? &marker : NULL, h.max_timestamp))
            return mr_fail(err, MR_MEMORY, "no memory to rebuild the producers");
        *next = h.base_offset + h.last_offset_delta + 1;
    }
    return MR_OK;
}

/* The damaged range begins at `from`: where does it end? -1: not before the log does. */
static int64_t beyond_damage(struct mr_partition *p, int64_t from, int64_t end)
{
    int64_t bad = from, good = end;
    struct mr_log_view view;
    while (good - bad > 1) {
        int64_t mid = bad + (good - bad) / 2;
        if (mr_log_find(p->log, (mr_offset){mid}, (mr_offset){end}, 1, &view, NULL) == MR_OK)
            good = mid;
        else
            bad = mid;
    }
    return good < end ? good : -1;
}

/* A damaged range is passed over: a transaction whose marker is lost with it stays open, and is to be ended
 * by a person (WriteTxnMarkers); that way nobody reads what was not decided. */
mr_code mr_partition_rebuild(struct mr_partition *p, struct mr_err *err)
{
    int64_t next = p->snapshot_at, start = mr_log_start(p->log).v, end = mr_log_end(p->log).v;
    mr_code damage = MR_OK;
    if (next < start)
        next = start;
    while (next >= 0 && next < end) {
        struct mr_log_view view;
        struct mr_err why = {0};
        int64_t before = next;
        mr_code rc = mr_log_find(p->log, (mr_offset){next}, (mr_offset){end}, SCAN_STEP, &view, &why);
        if (rc == MR_END)
            break;
        if (rc == MR_OK)
            rc = scan_view(p, &view, &next, &why);
        if (rc == MR_OK &&
            next == before) /* only batches that were known already: cannot be, but must not spin */
            rc = mr_fail(&why, MR_CORRUPT, "log '%s' does not go on at offset %lld", p->dir, (long long)next);
        if (rc && damage == MR_OK) {
            damage = rc;
            if (err)
                *err = why;
        }
        if (rc == MR_CORRUPT)
            next = beyond_damage(p, next, end);
        else if (rc)
            break;
    }
    return damage;
}
