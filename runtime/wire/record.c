/* record.c - record batches of magic 2.
 *
 *   0 base offset, 8 length, 12 leader epoch, 16 magic, 17 crc, 21 attributes, 23 last offset delta,
 *   27 first timestamp, 35 max timestamp, 43 producer id, 51 producer epoch, 53 base sequence, 57 count, 61
 * records
 *
 * Laws:
 *   R1  what lies before byte 21 is outside of the CRC: the log stamps it without reading the records
 *   R2  no length is believed before it was compared with the bytes that are left
 *   R3  a record is written with one reservation and one pass; its size is computed before
 */
#include "wire/record.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/hash.h"
#include "wire/bytes.h"
#include "wire/codec.h"

enum {
    AT_LENGTH = 8,
    AT_EPOCH = 12,
    AT_MAGIC = 16,
    AT_CRC = 17,
    AT_ATTRIBUTES = 21,
    AT_LAST_DELTA = 23,
    AT_FIRST_TIME = 27,
    AT_MAX_TIME = 35,
    AT_PRODUCER = 43,
    AT_PRODUCER_EPOCH = 51,
    AT_SEQUENCE = 53,
    AT_COUNT = 57,
    LENGTH_MIN = MR_BATCH_HEADER - AT_EPOCH,
    MAGIC = 2,
};

mr_code mr_batch_header_read(struct mr_slice bytes, struct mr_batch_header *out, struct mr_err *err)
{
    const char *p = bytes.p;
    if (bytes.len <= AT_MAGIC)
        return MR_END;
    int32_t length = (int32_t)mr_be32(p + AT_LENGTH);
    if (length < LENGTH_MIN)
        return mr_fail(err, MR_CORRUPT, "record batch: length %d is below %d", length, LENGTH_MIN);
    if (p[AT_MAGIC] != MAGIC)
        return mr_fail(err, MR_CORRUPT, "record batch: magic is %d, only 2 is known", p[AT_MAGIC]);
    if (bytes.len - AT_EPOCH < (size_t)length)
        return MR_END;
    out->base_offset = (int64_t)mr_be64(p);
    out->length = length;
    out->leader_epoch = (int32_t)mr_be32(p + AT_EPOCH);
    out->magic = p[AT_MAGIC];
    out->crc = mr_be32(p + AT_CRC);
    out->attributes = (int16_t)mr_be16(p + AT_ATTRIBUTES);
    out->last_offset_delta = (int32_t)mr_be32(p + AT_LAST_DELTA);
    out->first_timestamp = (int64_t)mr_be64(p + AT_FIRST_TIME);
    out->max_timestamp = (int64_t)mr_be64(p + AT_MAX_TIME);
    out->producer_id = (int64_t)mr_be64(p + AT_PRODUCER);
    out->producer_epoch = (int16_t)mr_be16(p + AT_PRODUCER_EPOCH);
    out->base_sequence = (int32_t)mr_be32(p + AT_SEQUENCE);
    out->count = (int32_t)mr_be32(p + AT_COUNT);
    return MR_OK;
}

/* Bytes of the whole batch that starts here, 0 when it is not whole. */
static size_t batch_size(struct mr_slice batch)
{
    if (batch.len < MR_BATCH_HEADER)
        return 0;
    int32_t length = (int32_t)mr_be32(batch.p + AT_LENGTH);
    if (length < LENGTH_MIN || (size_t)length > batch.len - AT_EPOCH)
        return 0;
    return (size_t)length + AT_EPOCH;
}

bool mr_batch_crc_ok(struct mr_slice batch)
{
    size_t size = batch_size(batch);
    return size != 0 &&
           mr_be32(batch.p + AT_CRC) == mr_crc32c(0, batch.p + AT_ATTRIBUTES, size - AT_ATTRIBUTES);
}

void mr_batch_stamp(char *batch, int64_t base_offset, int32_t leader_epoch)
{
    mr_be64_put(batch, (uint64_t)base_offset);
    mr_be32_put(batch + AT_EPOCH, (uint32_t)leader_epoch);
}

void mr_batch_stamp_max_time(char *batch, mr_ms newest)
{
    size_t size = (size_t)mr_be32(batch + AT_LENGTH) + AT_EPOCH;
    mr_be64_put(batch + AT_MAX_TIME, (uint64_t)newest);
    mr_be32_put(batch + AT_CRC, mr_crc32c(0, batch + AT_ATTRIBUTES, size - AT_ATTRIBUTES));
}

void mr_batch_stamp_producer(char *batch, int64_t producer_id, int16_t producer_epoch, int32_t base_sequence,
                             bool transactional)
{
    size_t size = (size_t)mr_be32(batch + AT_LENGTH) + AT_EPOCH;
    uint16_t attributes = mr_be16(batch + AT_ATTRIBUTES) & (uint16_t)~MR_BATCH_TRANSACTIONAL;
    mr_be16_put(batch + AT_ATTRIBUTES, attributes | (transactional ? MR_BATCH_TRANSACTIONAL : 0));
    mr_be64_put(batch + AT_PRODUCER, (uint64_t)producer_id);
    mr_be16_put(batch + AT_PRODUCER_EPOCH, (uint16_t)producer_epoch);
    mr_be32_put(batch + AT_SEQUENCE, (uint32_t)base_sequence);
    mr_be32_put(batch + AT_CRC, mr_crc32c(0, batch + AT_ATTRIBUTES, size - AT_ATTRIBUTES));
}

void mr_batch_stamp_append_time(char *batch, mr_ms now)
{
    mr_be16_put(batch + AT_ATTRIBUTES, mr_be16(batch + AT_ATTRIBUTES) | MR_BATCH_APPEND_TIME);
    mr_batch_stamp_max_time(batch, now);
}

/* --- walking */

mr_code mr_record_walk_begin(struct mr_record_walk *walk, struct mr_slice batch, struct mr_buf *scratch,
                             size_t inflate_max, struct mr_err *err)
{
    struct mr_batch_header *h = &walk->head;
    mr_code rc = mr_batch_header_read(batch, h, err);
    if (rc)
        return rc;
    if (h->count < 0 || h->last_offset_delta < 0)
        return mr_fail(err, MR_CORRUPT, "record batch at offset %lld: %d records up to offset delta %d",
                       (long long)h->base_offset, h->count, h->last_offset_delta);
    walk->left = h->count;
    walk->rest = (struct mr_slice){batch.p + MR_BATCH_HEADER, (size_t)h->length - LENGTH_MIN};
    int codec = h->attributes & MR_BATCH_CODEC;
    if (codec == MR_CODEC_NONE)
        return MR_OK;
    mr_assert(scratch != NULL);
    rc = mr_codec_inflate((enum mr_codec)codec, walk->rest, scratch, inflate_max, err);
    if (rc) {
        mr_wrap(err, "record batch at offset %lld", (long long)h->base_offset);
        return rc;
    }
    walk->rest = (struct mr_slice){scratch->len ? scratch->p : batch.p, scratch->len}; /* never NULL */
    return MR_OK;
}

static inline bool take_varint(const uint8_t **p, const uint8_t *end, int32_t *out)
{
    uint32_t v;
    if (!mr_uvarint32(p, end, &v))
        return false;
    *out = (int32_t)mr_unzigzag(v);
    return true;
}

/* A varint length (-1: null) and its bytes. */
static inline bool take_bytes(const uint8_t **p, const uint8_t *end, struct mr_slice *out, bool *present)
{
    int32_t len;
    if (!take_varint(p, end, &len) || len < -1)
        return false;
    *present = len >= 0;
    if (len < 0) {
        *out = (struct mr_slice){NULL, 0};
        return true;
    }
    if ((size_t)(end - *p) < (size_t)len) /* R2 */
        return false;
    *out = (struct mr_slice){(const char *)*p, (size_t)len};
    *p += len;
    return true;
}

bool mr_record_headers(struct mr_slice *rest, struct mr_header *out)
{
    const uint8_t *p = (const uint8_t *)rest->p, *end = p + rest->len;
    bool name = false, value = false;
    if (rest->len == 0 || !take_bytes(&p, end, &out->name, &name) || !name ||
        !take_bytes(&p, end, &out->value, &value))
        return false;
    out->null_value = !value;
    *rest = (struct mr_slice){(const char *)p, (size_t)(end - p)};
    return true;
}

static __attribute__((cold, noinline)) mr_code bad_record(const struct mr_record_walk *w, const char *what,
                                                          struct mr_err *err)
{
    return mr_fail(err, MR_CORRUPT, "record batch at offset %lld: record %d of %d: %s",
                   (long long)w->head.base_offset, w->head.count - w->left, w->head.count, what);
}

mr_code mr_record_walk_next(struct mr_record_walk *walk, struct mr_record *out, struct mr_err *err)
{
    const uint8_t *p = (const uint8_t *)walk->rest.p, *end = p + walk->rest.len;
    if (walk->left == 0) {
        if (walk->rest.len != 0)
            return bad_record(walk, "bytes are left behind the last record", err);
        return MR_END;
    }
    int32_t size, delta, headers;
    uint64_t time;
    if (!take_varint(&p, end, &size) || size < 0 || (size_t)(end - p) < (size_t)size)
        return bad_record(walk, "its length reaches beyond the batch", err);
    end = p + size;
    if (p == end)
        return bad_record(walk, "it is empty", err);
    p++; /* attributes, unused */
    if (!mr_uvarint64(&p, end, &time) || !take_varint(&p, end, &delta))
        return bad_record(walk, "it ends within its timestamp or offset", err);
    if (delta < 0 || delta > walk->head.last_offset_delta)
        return bad_record(walk, "its offset lies outside of the batch", err);
    if (!take_bytes(&p, end, &out->key, &out->has_key))
        return bad_record(walk, "its key reaches beyond it", err);
    if (!take_bytes(&p, end, &out->value, &out->has_value))
        return bad_record(walk, "its value reaches beyond it", err);
    if (!take_varint(&p, end, &headers) || headers < 0)
        return bad_record(walk, "it has no header count", err);
    out->headers = (struct mr_slice){(const char *)p, (size_t)(end - p)};
    out->header_count = (uint32_t)headers;
    if (headers != 0) {
        struct mr_slice rest = out->headers;
        struct mr_header header;
        for (int32_t i = 0; i < headers; i++)
            if (!mr_record_headers(&rest, &header))
                return bad_record(walk, "a header reaches beyond it", err);
        p = (const uint8_t *)rest.p;
    }
    if (p != end)
        return bad_record(walk, "bytes are left behind its headers", err);
    out->offset = (int64_t)((uint64_t)walk->head.base_offset + (uint64_t)delta);
    out->timestamp = walk->head.attributes & MR_BATCH_APPEND_TIME
                         ? walk->head.max_timestamp
                         : (int64_t)((uint64_t)walk->head.first_timestamp + (uint64_t)mr_unzigzag(time));
    walk->rest.len -= (size_t)(end - (const uint8_t *)walk->rest.p);
    walk->rest.p = (const char *)end;
    walk->left--;
    return MR_OK;
}

static inline bool skip_bytes(const uint8_t **p, const uint8_t *end, bool *null)
{
    uint32_t len; /* zigzag: twice the length, or 1 for null */
    if (!mr_uvarint32(p, end, &len))
        return false;
    *null = len == 1;
    if (len & 1)
        return len == 1;
    if ((size_t)(end - *p) < len / 2) /* R2 */
        return false;
    *p += len / 2;
    return true;
}

static bool skip_headers(const uint8_t **p, const uint8_t *end)
{
    uint32_t count;
    if (!mr_uvarint32(p, end, &count) || (count & 1))
        return false;
    struct mr_slice rest = {(const char *)*p, (size_t)(end - *p)};
    struct mr_header header;
    for (count /= 2; count; count--)
        if (!mr_record_headers(&rest, &header))
            return false;
    *p = (const uint8_t *)rest.p;
    return true;
}

bool mr_record_walk_sum(const struct mr_record_walk *walk, struct mr_record_sum *out)
{
    const uint8_t *p = (const uint8_t *)walk->rest.p, *all = p + walk->rest.len;
    int64_t least = INT64_MAX, most = INT64_MIN;
    uint32_t at = 2 * (uint32_t)(walk->head.count - walk->left); /* zigzag of the offset */
    out->keyless = false;
    if ((walk->head.attributes & MR_BATCH_APPEND_TIME) ||
        walk->head.last_offset_delta != walk->head.count - 1)
        return false;
    for (int32_t left = walk->left; left; left--, at += 2) {
        uint32_t size, delta;
        uint64_t time;
        bool keyless, null;
        if (!mr_uvarint32(&p, all, &size) || (size & 1) || size < 2 || (size_t)(all - p) < size / 2)
            return false;
        const uint8_t *end = p + size / 2;
        p++; /* attributes, unused */
        if (!mr_uvarint64(&p, end, &time) || !mr_uvarint32(&p, end, &delta) || delta != at ||
            !skip_bytes(&p, end, &keyless) || !skip_bytes(&p, end, &null))
            return false;
        if (end - p == 1 && *p == 0) /* no headers */
            p = end;
        else if (!skip_headers(&p, end) || p != end)
            return false;
        int64_t t = (int64_t)((uint64_t)walk->head.first_timestamp + (uint64_t)mr_unzigzag(time));
        least = t < least ? t : least;
        most = t > most ? t : most;
        out->keyless |= keyless;
    }
    out->oldest = least;
    out->newest = most;
    return p == all;
}

/* --- building */

void mr_record_build_begin(struct mr_record_build *b, struct mr_buf *out)
{
    *b = (struct mr_record_build){
        .out = out, .start = out->len, .level = MR_CODEC_LEVEL_USUAL, .last_delta = -1};
}

static inline size_t bytes_size(bool present, size_t len)
{
    return present ? mr_uvarint_size(mr_zigzag((int64_t)len)) + len : 1;
}

static inline uint8_t *bytes_put(uint8_t *p, bool present, struct mr_slice bytes)
{
    if (!present) {
        *p++ = 1; /* -1, zigzag */
        return p;
    }
    p = mr_uvarint_put(p, mr_zigzag((int64_t)bytes.len));
    if (bytes.len)
        memcpy(p, bytes.p, bytes.len);
    return p + bytes.len;
}

struct body {
    int64_t timestamp;
    struct mr_slice key, value;
    bool has_key, has_value;
    uint32_t header_count;
    const struct mr_header *headers; /* or, when NULL, */
    struct mr_slice encoded;         /* headers as they are on the wire */
};

static inline bool add(struct mr_record_build *b, int32_t offset_delta, const struct body *body)
{
    mr_assert(offset_delta > b->last_delta);
    if (body->key.len > MR_BUF_MAX || body->value.len > MR_BUF_MAX || b->count == INT32_MAX)
        return false;
    bool set = b->count > 0 || (b->attributes & MR_BATCH_HORIZON); /* the first timestamp */
    int64_t first = set ? b->first_timestamp : body->timestamp;
    uint64_t time = mr_zigzag((int64_t)((uint64_t)body->timestamp - (uint64_t)first));
    uint64_t delta = mr_zigzag(offset_delta);
    size_t size = 1 + mr_uvarint_size(time) + mr_uvarint_size(delta) +
                  bytes_size(body->has_key, body->key.len) + bytes_size(body->has_value, body->value.len) +
                  mr_uvarint_size(mr_zigzag(body->header_count)) + body->encoded.len;
    if (body->headers)
        for (uint32_t i = 0; i < body->header_count; i++) {
            const struct mr_header *h = &body->headers[i];
            if (h->name.len > MR_BUF_MAX || h->value.len > MR_BUF_MAX)
                return false;
            size += bytes_size(true, h->name.len) + bytes_size(!h->null_value, h->value.len);
        }
    size_t need = mr_uvarint_size(mr_zigzag((int64_t)size)) + size;
    if (b->count == 0)
        need += MR_BATCH_HEADER;
    struct mr_buf *out = b->out;
    if (out->cap - out->len < need && !mr_buf_reserve(out, need)) /* R3; false beyond MR_BUF_MAX */
        return false;

    uint8_t *p = (uint8_t *)out->p + out->len;
    if (b->count == 0) {
        p += MR_BATCH_HEADER;
        b->first_timestamp = first;
        b->max_timestamp = body->timestamp;
    }
    p = mr_uvarint_put(p, mr_zigzag((int64_t)size));
    *p++ = 0; /* attributes */
    p = mr_uvarint_put(p, time);
    p = mr_uvarint_put(p, delta);
    p = bytes_put(p, body->has_key, body->key);
    p = bytes_put(p, body->has_value, body->value);
    p = mr_uvarint_put(p, mr_zigzag(body->header_count));
    if (body->headers) {
        for (uint32_t i = 0; i < body->header_count; i++) {
            p = bytes_put(p, true, body->headers[i].name);
            p = bytes_put(p, !body->headers[i].null_value, body->headers[i].value);
        }
    } else if (body->encoded.len) {
        memcpy(p, body->encoded.p, body->encoded.len);
        p += body->encoded.len;
    }
    out->len = (size_t)((char *)p - out->p);
    if (body->timestamp > b->max_timestamp)
        b->max_timestamp = body->timestamp;
    b->last_delta = offset_delta;
    b->count++;
    return true;
}

bool mr_record_build_add(struct mr_record_build *b, int64_t timestamp_ms, const struct mr_slice *key,
                         const struct mr_slice *value, const struct mr_header *headers, uint32_t header_count)
{
    struct body body = {.timestamp = timestamp_ms,
                        .has_key = key != NULL,
                        .has_value = value != NULL,
                        .header_count = header_count,
                        .headers = headers};
    if (key)
        body.key = *key;
    if (value)
        body.value = *value;
    return b->last_delta != INT32_MAX && add(b, b->last_delta + 1, &body);
}

bool mr_record_build_keep(struct mr_record_build *b, int32_t offset_delta, const struct mr_record *record)
{
    struct body body = {.timestamp = record->timestamp,
                        .key = record->key,
                        .value = record->value,
                        .has_key = record->has_key,
                        .has_value = record->has_value,
                        .header_count = record->header_count,
                        .encoded = record->headers};
    return add(b, offset_delta, &body);
}

mr_code mr_record_build_end(struct mr_record_build *b, enum mr_codec codec, int64_t producer_id,
                            int16_t producer_epoch, int32_t base_sequence, struct mr_err *err)
{
    struct mr_buf *out = b->out;
    int16_t attributes = b->attributes;
    if (b->count == 0)
        return mr_fail(err, MR_BADDATA, "a record batch needs at least one record");
    if (codec != MR_CODEC_NONE) {
        bool smaller = false;
        mr_code rc = mr_codec_deflate_tail(codec, b->level, out, b->start + MR_BATCH_HEADER, &smaller, err);
        if (rc) {
            out->len = b->start;
            return rc;
        }
        if (smaller)
            attributes = (int16_t)(attributes | (int16_t)codec);
    }
    char *p = out->p + b->start;
    size_t size = out->len - b->start;
    mr_batch_stamp(p, 0, -1);
    mr_be32_put(p + AT_LENGTH, (uint32_t)(size - AT_EPOCH));
    p[AT_MAGIC] = MAGIC;
    mr_be16_put(p + AT_ATTRIBUTES, (uint16_t)attributes);
    mr_be32_put(p + AT_LAST_DELTA, (uint32_t)b->last_delta);
    mr_be64_put(p + AT_FIRST_TIME, (uint64_t)b->first_timestamp);
    mr_be64_put(p + AT_MAX_TIME, (uint64_t)b->max_timestamp);
    mr_be64_put(p + AT_PRODUCER, (uint64_t)producer_id);
    mr_be16_put(p + AT_PRODUCER_EPOCH, (uint16_t)producer_epoch);
    mr_be32_put(p + AT_SEQUENCE, (uint32_t)base_sequence);
    mr_be32_put(p + AT_COUNT, (uint32_t)b->count);
    mr_be32_put(p + AT_CRC, mr_crc32c(0, p + AT_ATTRIBUTES, size - AT_ATTRIBUTES));
    return MR_OK;
}

/* --- markers: key is version and type, value version and coordinator epoch */

enum { MARKER_ABORT = 0, MARKER_COMMIT = 1, MARKER_KEY_BYTES = 4, MARKER_VALUE_BYTES = 6 };

mr_code mr_marker_build(struct mr_buf *out, const struct mr_marker *marker, int64_t producer_id,
                        int16_t producer_epoch, mr_ms now, struct mr_err *err)
{
    char key[MARKER_KEY_BYTES] = {0}, value[MARKER_VALUE_BYTES] = {0};
    struct mr_slice k = {key, sizeof key}, v = {value, sizeof value};
    struct mr_record_build b;
    mr_be16_put(key + 2, marker->commit ? MARKER_COMMIT : MARKER_ABORT);
    mr_be32_put(value + 2, (uint32_t)marker->coordinator_epoch);
    mr_record_build_begin(&b, out);
    b.attributes = MR_BATCH_TRANSACTIONAL | MR_BATCH_CONTROL;
    if (!mr_record_build_add(&b, now, &k, &v, NULL, 0))
        return mr_fail(err, MR_MEMORY, "no memory for a transaction marker");
    return mr_record_build_end(&b, MR_CODEC_NONE, producer_id, producer_epoch, -1, err);
}

mr_code mr_marker_read(const struct mr_record *record, struct mr_marker *out)
{
    if (record->key.len < MARKER_KEY_BYTES || record->value.len < MARKER_VALUE_BYTES)
        return MR_END;
    int16_t version = (int16_t)mr_be16(record->key.p), type = (int16_t)mr_be16(record->key.p + 2);
    if (version < 0 || (type != MARKER_ABORT && type != MARKER_COMMIT))
        return MR_END;
    out->commit = type == MARKER_COMMIT;
    out->coordinator_epoch = (int32_t)mr_be32(record->value.p + 2);
    return MR_OK;
}
