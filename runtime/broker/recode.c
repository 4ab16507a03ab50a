/* recode.c - see recode.h. */
#include "broker/recode.h"

#include "base/buf.h"
#include "broker/partition.h"

static mr_code recode_one(struct mr_slice batch, enum mr_codec codec, int32_t level, struct mr_buf *scratch,
                          struct mr_buf *out, struct mr_err *err)
{
    struct mr_record_walk walk;
    struct mr_record_build build;
    struct mr_record r;
    size_t start = out->len;
    scratch->len = 0;
    mr_code rc = mr_record_walk_begin(&walk, batch, scratch, MR_INFLATE_MAX, err);
    if (rc)
        return rc;
    const struct mr_batch_header *h = &walk.head;
    mr_record_build_begin(&build, out);
    build.level = level;
    build.attributes = (int16_t)(h->attributes & ~MR_BATCH_CODEC);
    build.first_timestamp = h->first_timestamp; /* with MR_BATCH_HORIZON */
    while (!(rc = mr_record_walk_next(&walk, &r, err)))
        if (!mr_record_build_keep(&build, (int32_t)(r.offset - h->base_offset), &r))
            return mr_fail(err, MR_MEMORY, "no memory to compress a batch of %zu bytes anew", batch.len);
    if (rc != MR_END)
        return rc;
    build.last_delta = h->last_offset_delta;
    rc = mr_record_build_end(&build, codec, h->producer_id, h->producer_epoch, h->base_sequence, err);
    if (!rc)
        mr_batch_stamp(out->p + start, h->base_offset, h->leader_epoch);
    return rc;
}

mr_code mr_recode(struct mr_slice batches, enum mr_codec codec, int32_t level, int64_t max_batch_bytes,
                  struct mr_buf *out, struct mr_err *err)
{
    struct mr_buf scratch = {0};
    mr_code rc = MR_OK;
    for (size_t at = 0; !rc && at < batches.len;) {
        struct mr_batch_header h;
        struct mr_slice rest = {batches.p + at, batches.len - at};
        if ((rc = mr_batch_header_read(rest, &h, err)))
            break;
        rest.len = (size_t)h.length + 12;
        at += rest.len;
        size_t start = out->len;
        bool same = (h.attributes & MR_BATCH_CODEC) == (int)codec || (h.attributes & MR_BATCH_CONTROL);
        if (!same)
            rc = recode_one(rest, codec, level, &scratch, out, err);
        else if (!mr_buf_put(out, rest.p, rest.len))
            rc = mr_fail(err, MR_MEMORY, "no memory to compress a batch of %zu bytes anew", rest.len);
        if (!rc && (int64_t)(out->len - start) > max_batch_bytes)
            rc = mr_fail(err, MR_LIMIT,
                         "batch of %zu bytes, compressed anew, is larger than max.message.bytes (%lld)",
                         out->len - start, (long long)max_batch_bytes);
    }
    mr_buf_fini(&scratch);
    return rc;
}
