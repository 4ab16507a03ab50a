/* compact_copy.c - what becomes of each batch of a source: it stays, loses records, or goes (K1 to K3 in
 * compact.c). */
#include "log/compact.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

mr_code compact_no_memory(const struct mr_log *log, struct mr_err *err)
{
    return mr_fail(err, MR_MEMORY, "no memory to compact log '%s'", log->dir);
}

bool copy_marker_of(const char *bytes, const struct batch *b, struct mr_marker *out)
{
    struct mr_record_walk walk;
    struct mr_record r;
    return (b->attributes & MR_BATCH_CODEC) == 0 &&
           mr_record_walk_begin(&walk, (struct mr_slice){bytes, (size_t)b->size}, NULL, 0, NULL) == MR_OK &&
           mr_record_walk_next(&walk, &r, NULL) == MR_OK && mr_marker_read(&r, out) == MR_OK;
}

bool copy_is_aborted(struct compact *c, const struct batch *b)
{
    struct producer *p =
        b->attributes & MR_BATCH_TRANSACTIONAL ? mr_map_get(&c->producers, producer_key(&b->producer)) : NULL;
    if (!p)
        return false;
    while (p->next < p->count && p->aborted[p->next].marker < b->base)
        p->next++;
    return p->next < p->count && p->aborted[p->next].first <= b->base;
}

mr_code copy_flush(struct compact *c, struct mr_err *err)
{
    int64_t written = c->to.size - (int64_t)c->out.len;
    mr_code rc = c->out.len ? mr_file_write(c->to.log, c->out.p, c->out.len, written, err) : MR_OK;
    c->counts.written += c->out.len;
    c->out.len = 0;
    return rc;
}

/* What was put at the end of `out` from `start` on is a batch of the copy now. */
static mr_code accept(struct mr_log *log, struct compact *c, size_t start, struct mr_err *err)
{
    struct batch b;
    mr_assert(c->out.len - start >= MR_LOG_HEADER && batch_read(c->out.p + start, &b));
    mr_assert(b.size == (int64_t)(c->out.len - start));
    segment_note(log, &c->to, c->indexer, &b, c->to.size);
    c->to.size += b.size;
    return c->out.len >= COMPACT_WINDOW ? copy_flush(c, err) : MR_OK;
}

static mr_code copy_whole(struct mr_log *log, struct compact *c, const struct batch *b, const char *bytes,
                          struct mr_err *err)
{
    size_t start = c->out.len;
    if (!mr_buf_put(&c->out, bytes, (size_t)b->size))
        return compact_no_memory(log, err);
    if (b->attributes & MR_BATCH_HORIZON) {
        int64_t horizon = (int64_t)get64be(bytes + 27);
        c->horizon = horizon > c->horizon ? horizon : c->horizon;
    }
    return accept(log, c, start, err);
}

/* K2: a batch without records says which offsets and sequences there were. */
static mr_code copy_empty(struct mr_log *log, struct compact *c, const struct batch *b, const char *bytes,
                          struct mr_err *err)
{
    size_t start = c->out.len;
    c->changed = true;
    if (!mr_buf_put(&c->out, bytes, MR_LOG_HEADER))
        return compact_no_memory(log, err);
    char *p = c->out.p + start;
    put32be(p + 8, MR_LOG_HEADER - 12);
    p[21] = p[22] = 0;
    memcpy(p + 27, p + 35, 8); /* both times: when its producer was heard last */
    if (b->attributes & MR_BATCH_CONTROL) {
        put64be(p + 43, UINT64_MAX);
        p[51] = p[52] = (char)0xff;
        put32be(p + 53, UINT32_MAX);
    }
    put32be(p + 57, 0);
    put32be(p + 17, mr_crc32c(0, p + 21, MR_LOG_HEADER - 21));
    return accept(log, c, start, err);
}

struct sift { /* what is to become of a batch's records */
    uint32_t kept, lost;
    bool stamp; /* it has tombstones without a horizon */
    bool past;  /* its horizon is over */
};

static bool keeps(const struct mr_log *log, const struct compact *c, const struct mr_record *r, bool past)
{
    if (r->offset >= c->upto)
        return true;
    return r->offset >= log->start && r->has_key && keymap_get(&c->keys, r->key) <= r->offset &&
           (r->has_value || !past);
}

/* Batches as they are to be, at the end of `out`. */
static mr_code rebuild(struct mr_log *log, struct compact *c, const struct batch *b, const char *bytes,
                       const struct mr_record_walk *begun, const struct sift *sift, struct mr_err *err)
{
    struct mr_record_walk walk = *begun;
    struct mr_record_build build;
    struct mr_record r;
    const struct mr_batch_header *h = &walk.head;
    size_t start = c->out.len;
    mr_code rc;
    mr_record_build_begin(&build, &c->out);
    build.attributes = (int16_t)(b->attributes & ~MR_BATCH_CODEC);
    if (sift->stamp && !(b->attributes & MR_BATCH_HORIZON)) {
        build.attributes |= MR_BATCH_HORIZON;
        build.first_timestamp = c->now + log->config.delete_retention_ms;
    } else if (b->attributes & MR_BATCH_HORIZON) {
        build.first_timestamp = h->first_timestamp;
    }
    while (!(rc = mr_record_walk_next(&walk, &r, err)))
        if (((b->attributes & MR_BATCH_CONTROL) || keeps(log, c, &r, sift->past)) &&
            !mr_record_build_keep(&build, (int32_t)(r.offset - b->base), &r))
            return compact_no_memory(log, err);
    if (rc != MR_END)
        return rc;
    build.last_delta = b->last_delta; /* K2 */
    if ((rc = mr_record_build_end(&build, (enum mr_codec)(b->attributes & MR_BATCH_CODEC), h->producer_id,
                                  h->producer_epoch, h->base_sequence, err)))
        return rc;
    mr_batch_stamp(c->out.p + start, b->base, h->leader_epoch);
    if ((build.attributes & MR_BATCH_HORIZON) && build.first_timestamp > c->horizon)
        c->horizon = build.first_timestamp;
    (void)bytes;
    c->changed = true;
    return accept(log, c, start, err);
}

/* Nothing of it stays but perhaps the header. */
static mr_code leave_out(struct mr_log *log, struct compact *c, const struct batch *b, const char *bytes,
                         bool last, struct mr_err *err)
{
    struct producer *p = b->producer >= 0 ? mr_map_get(&c->producers, producer_key(&b->producer)) : NULL;
    bool wanted = p && p->last_data == b->base && (int32_t)get32be(bytes + 53) >= 0 &&
                  (int64_t)get64be(bytes + 35) > c->now - MR_LOG_PRODUCER_KEEP_MS;
    if (!last && !wanted) {
        c->changed = true;
        return MR_OK;
    }
    if (b->count == 0)
        return copy_whole(log, c, b, bytes, err);
    return copy_empty(log, c, b, bytes, err);
}

static mr_code copy_marker(struct mr_log *log, struct compact *c, const struct batch *b, const char *bytes,
                           bool last, struct mr_err *err)
{
    struct mr_record_walk walk;
    struct mr_marker marker;
    struct producer *p = mr_map_get(&c->producers, producer_key(&b->producer));
    if (!copy_marker_of(bytes, b, &marker))
        return copy_whole(log, c, b, bytes, err);
    bool data = !p || p->has_data || c->blind;
    if (p)
        p->has_data = false;
    if (data) /* K3 */
        return copy_whole(log, c, b, bytes, err);
    mr_code rc = mr_record_walk_begin(&walk, (struct mr_slice){bytes, (size_t)b->size}, &c->scratch, 0, err);
    if (rc)
        return rc;
    if (!(b->attributes & MR_BATCH_HORIZON))
        return rebuild(log, c, b, bytes, &walk, &(struct sift){.stamp = true}, err);
    if (walk.head.first_timestamp > c->now)
        return copy_whole(log, c, b, bytes, err);
    c->counts.removed++;
    return leave_out(log, c, b, bytes, last, err);
}

mr_code copy_batch(struct mr_log *log, struct compact *c, const struct batch *b, const char *bytes, bool last,
                   struct mr_err *err)
{
    struct mr_record_walk walk, begun;
    struct mr_record r;
    bool open = (b->attributes & MR_BATCH_TRANSACTIONAL) != 0;
    struct producer *p = open ? mr_map_get(&c->producers, producer_key(&b->producer)) : NULL;
    if (b->base >= c->upto) {
        if (p && !(b->attributes & MR_BATCH_CONTROL))
            p->has_data = true;
        return copy_whole(log, c, b, bytes, err);
    }
    if (b->attributes & MR_BATCH_CONTROL)
        return copy_marker(log, c, b, bytes, last, err);
    if (b->count == 0)
        return leave_out(log, c, b, bytes, last, err);
    if (copy_is_aborted(c, b)) {
        c->counts.removed += (uint64_t)b->count;
        return leave_out(log, c, b, bytes, last, err);
    }
    c->scratch.len = 0;
    mr_code rc = mr_record_walk_begin(&begun, (struct mr_slice){bytes, (size_t)b->size}, &c->scratch,
                                      COMPACT_INFLATE_MAX, err);
    struct sift sift = {.past = (b->attributes & MR_BATCH_HORIZON) && !c->blind &&
                                (int64_t)get64be(bytes + 27) <= c->now};
    walk = begun;
    while (!rc && !(rc = mr_record_walk_next(&walk, &r, err))) {
        if (!keeps(log, c, &r, sift.past)) {
            sift.lost++;
            continue;
        }
        sift.kept++;
        sift.stamp |= !r.has_value && r.offset < c->upto && !(b->attributes & MR_BATCH_HORIZON);
    }
    if (rc == MR_MEMORY)
        return rc;
    if (p && (rc != MR_END || sift.kept))
        p->has_data = true;
    if (rc != MR_END) { /* nobody can read its records; it stays as it is */
        c->blind = true;
        mr_err_clear(err);
        return copy_whole(log, c, b, bytes, err);
    }
    c->counts.removed += sift.lost;
    if (sift.kept == 0)
        return leave_out(log, c, b, bytes, last, err);
    if (sift.lost == 0 && !sift.stamp)
        return copy_whole(log, c, b, bytes, err);
    return rebuild(log, c, b, bytes, &begun, &sift, err);
}
