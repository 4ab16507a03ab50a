/* check.c - what is checked before a batch is appended. The order is Kafka's, so that clients see the code
 * they expect when several things are wrong at once. */
#include "broker/check.h"

#include "broker/partition.h"

enum { ATTRIBUTE_CODEC = 7, ATTRIBUTE_APPEND_TIME = 8, ATTRIBUTE_TRANSACTIONAL = 16, ATTRIBUTE_CONTROL = 32 };

static enum mr_refusal refuse(enum mr_refusal r, struct mr_err *err, const char *why)
{
    (void)mr_fail(err, MR_BADDATA, "%s", why);
    return r;
}

/* What the topic's settings ask of a record. */
static enum mr_refusal check_record(const struct mr_check *c, const struct mr_record *r, int32_t n,
                                    struct mr_err *err)
{
    enum mr_refusal why = MR_REFUSE_NONE;
    if (c->keyed && !r->has_key) {
        (void)mr_fail(err, MR_BADDATA, "record %d has no key, which a compacted topic needs", n);
        why = MR_REFUSE_INVALID_RECORD;
    } else if (r->timestamp != -1 && ((c->latest > 0 && r->timestamp > c->latest) ||
                                      (c->earliest > 0 && r->timestamp < c->earliest))) {
        (void)mr_fail(err, MR_BADDATA, "record %d has timestamp %lld, outside of %lld to %lld", n,
                      (long long)r->timestamp, (long long)c->earliest, (long long)c->latest);
        why = MR_REFUSE_INVALID_TIMESTAMP;
    }
    return why;
}

static enum mr_refusal check_records(const struct mr_check *c, const struct mr_batch_header *h,
                                     struct mr_slice batch, struct mr_buf *scratch, struct mr_err *err)
{
    struct mr_record_walk walk;
    struct mr_record record;
    scratch->len = 0;
    mr_code rc = mr_record_walk_begin(&walk, batch, scratch, MR_INFLATE_MAX, err);
    struct mr_record_sum sum;
    /* Nearly always all is well: who is not sure of that looks record by record, to say what is wrong. */
    if (rc == MR_OK && h->count > 0 && mr_record_walk_sum(&walk, &sum) && !(c->keyed && sum.keyless) &&
        (c->latest <= 0 || sum.newest <= c->latest) && (c->earliest <= 0 || sum.oldest >= c->earliest)) {
        if (c->newest)
            *c->newest = sum.newest;
        return MR_REFUSE_NONE;
    }
    int32_t n = 0;
    while (rc == MR_OK && (rc = mr_record_walk_next(&walk, &record, err)) == MR_OK) {
        if (record.offset != h->base_offset + n)
            return refuse(MR_REFUSE_INVALID_RECORD, err, "offsets inside of the batch are not 0, 1, 2 ...");
        enum mr_refusal why = check_record(c, &record, n, err);
        if (why)
            return why;
        if (c->newest && (n == 0 || record.timestamp > *c->newest))
            *c->newest = record.timestamp;
        n++;
    }
    if (rc == MR_END)
        return n == h->count ? MR_REFUSE_NONE
                             : refuse(MR_REFUSE_INVALID_RECORD, err, "fewer records than the batch declares");
    return rc == MR_LIMIT ? MR_REFUSE_TOO_LARGE : rc == MR_MEMORY ? MR_REFUSE_STORAGE : MR_REFUSE_CORRUPT;
}

static enum mr_refusal check_one(const struct mr_check *c, const struct mr_batch_header *h,
                                 struct mr_slice batch, struct mr_buf *scratch, struct mr_err *err)
{
    if (h->base_offset != 0)
        return refuse(MR_REFUSE_INVALID_RECORD, err, "base offset of a produced batch is not 0");
    if ((int64_t)batch.len > c->max_batch_bytes) {
        (void)mr_fail(err, MR_LIMIT, "batch of %zu bytes is larger than max.message.bytes (%lld)", batch.len,
                      (long long)c->max_batch_bytes);
        return MR_REFUSE_TOO_LARGE;
    }
    if (!mr_batch_crc_ok(batch))
        return refuse(MR_REFUSE_CORRUPT, err, "batch does not match its CRC-32C");
    if (h->last_offset_delta < 0 || h->count <= 0 || h->count - 1 != h->last_offset_delta)
        return refuse(MR_REFUSE_INVALID_RECORD, err, "record count and last offset delta do not agree");
    bool transactional = (h->attributes & ATTRIBUTE_TRANSACTIONAL) != 0;
    if (h->attributes & ATTRIBUTE_CONTROL)
        return refuse(MR_REFUSE_INVALID_RECORD, err, "control batches are not taken from clients");
    if (transactional && (!c->transactional || h->producer_id < 0))
        return refuse(MR_REFUSE_INVALID_RECORD, err,
                      "transactional batch without a transactional id or without a producer id");
    if (h->producer_id >= 0 &&
        ((h->base_sequence < 0 && !(transactional && c->many)) || h->producer_epoch < 0))
        return refuse(MR_REFUSE_INVALID_RECORD, err, "producer id without sequence or epoch");
    if ((h->attributes & ATTRIBUTE_CODEC) > MR_CODEC_ZSTD)
        return refuse(MR_REFUSE_COMPRESSION, err, "codec of the batch is not known");
    if (c->records || c->keyed) {
        enum mr_refusal r = check_records(c, h, batch, scratch, err);
        if (r)
            return r;
    }
    if ((h->attributes & ATTRIBUTE_APPEND_TIME) && !c->stamp)
        return refuse(MR_REFUSE_INVALID_TIMESTAMP, err, "timestamp type is the broker's to set");
    if ((int64_t)batch.len > c->segment_bytes)
        return refuse(MR_REFUSE_LIST_TOO_LARGE, err, "batch is larger than segment.bytes");
    return MR_REFUSE_NONE;
}

enum mr_refusal mr_check_batches(const struct mr_check *c, struct mr_slice bytes, struct mr_buf *scratch,
                                 struct mr_err *err)
{
    if (bytes.len == 0)
        return refuse(MR_REFUSE_INVALID_RECORD, err, "no batch");
    for (size_t at = 0; at < bytes.len;) {
        struct mr_slice rest = {bytes.p + at, bytes.len - at};
        struct mr_batch_header h;
        mr_code rc;
        /* The magic comes first: what is older or newer than 2 has another header altogether. */
        if (rest.len >= 17 && rest.p[16] != 2)
            return refuse(MR_REFUSE_INVALID_RECORD, err, "record format is not magic 2");
        if ((rc = mr_batch_header_read(rest, &h, err)) == MR_END)
            return refuse(MR_REFUSE_CORRUPT, err, "batch is cut short");
        if (rc)
            return MR_REFUSE_CORRUPT;
        size_t len = (size_t)h.length + 12;
        if (!c->many && len != bytes.len)
            return refuse(MR_REFUSE_INVALID_RECORD, err, "more than one batch for a partition");
        enum mr_refusal r = check_one(c, &h, (struct mr_slice){rest.p, len}, scratch, err);
        if (r)
            return r;
        at += len;
    }
    return MR_REFUSE_NONE;
}
