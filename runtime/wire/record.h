/* record.h - record batches (Kafka's magic 2): build, check, walk. Pure. The layout is drawn in record.c.
 *
 * Offsets inside a batch are relative; mr_log patches the base offset in place (outside of the CRC).
 */
#ifndef MR_WIRE_RECORD_H
#define MR_WIRE_RECORD_H

#include <millrace/plugin.h>

enum { MR_BATCH_HEADER = 61 }; /* bytes */
enum mr_codec { MR_CODEC_NONE, MR_CODEC_GZIP, MR_CODEC_SNAPPY, MR_CODEC_LZ4, MR_CODEC_ZSTD };
enum { MR_CODEC_LEVEL_USUAL = INT32_MIN }; /* gzip has -1 and 1 to 9, lz4 1 to 17, zstd -131072 to 22 */

struct mr_batch_header {
    int64_t base_offset;
    int32_t length; /* bytes after this field; whole batch is length + 12 */
    int32_t leader_epoch;
    int8_t magic;
    uint32_t crc;
    int16_t attributes; /* bits 0-2 codec, 3 log append time, 4 transactional, 5 control */
    int32_t last_offset_delta;
    int64_t first_timestamp, max_timestamp; /* ms */
    int64_t producer_id;
    int16_t producer_epoch;
    int32_t base_sequence;
    int32_t count;
};

struct mr_header {
    struct mr_slice name, value;
    bool null_value;
};
struct mr_record {
    int64_t offset;    /* absolute */
    int64_t timestamp; /* ms */
    struct mr_slice key, value;
    bool has_key, has_value; /* false: null */
    uint32_t header_count;
    struct mr_slice headers; /* encoded; walk with mr_record_headers */
};

/* Bits of `attributes`. */
enum {
    MR_BATCH_CODEC = 7,
    MR_BATCH_APPEND_TIME = 1 << 3, /* every record has the batch's max_timestamp */
    MR_BATCH_TRANSACTIONAL = 1 << 4,
    MR_BATCH_CONTROL = 1 << 5, /* a transaction marker, not data */
    MR_BATCH_HORIZON = 1 << 6, /* first_timestamp says when its tombstones or its marker may go */
};

/* Reads the header. MR_END: fewer bytes than a whole batch (not an error while streaming). MR_CORRUPT:
 * lengths that cannot be, magic other than 2. Does not look at the CRC. */
mr_code mr_batch_header_read(struct mr_slice bytes, struct mr_batch_header *out, struct mr_err *err);
/* CRC-32C over attributes to end. */
bool mr_batch_crc_ok(struct mr_slice batch);

/* Stamps what lies outside of the CRC, in place. `batch` has at least MR_BATCH_HEADER bytes. */
void mr_batch_stamp(char *batch, int64_t base_offset, int32_t leader_epoch);
/* Turns a whole batch into one of append time `now`, in place, and does its CRC again. */
void mr_batch_stamp_append_time(char *batch, mr_ms now);
/* Says what the newest timestamp of its records is, in place, and does its CRC again. */
void mr_batch_stamp_max_time(char *batch, mr_ms newest);

/* Makes a whole batch one of this producer, in place, and does its CRC again. */
void mr_batch_stamp_producer(char *batch, int64_t producer_id, int16_t producer_epoch, int32_t base_sequence,
                             bool transactional);

/* Walks the records of one whole batch (longer `batch`: what follows it is left alone). `scratch` is replaced
 * by the decompressed records when there is a codec (else it may be NULL): at most `inflate_max` bytes,
 * MR_LIMIT beyond (a decompression bomb). Records are views [borrow] into bytes or scratch. Does not look at
 * the CRC. MR_END: the batch is not whole. MR_CORRUPT, MR_UNSUPPORTED (no such codec), MR_MEMORY. */
struct mr_record_walk {
    struct mr_batch_header head;
    struct mr_slice rest;
    int32_t left;
};
mr_code mr_record_walk_begin(struct mr_record_walk *walk, struct mr_slice batch, struct mr_buf *scratch,
                             size_t inflate_max, struct mr_err *err);
/* MR_END after the last record; MR_CORRUPT names the record. A record whose offset lies outside of its batch,
 * bytes left behind the last record and a null header name are corrupt. Cost: one pass over the lengths. */
mr_code mr_record_walk_next(struct mr_record_walk *walk, struct mr_record *out, struct mr_err *err);
/* The same pass over all that is left of a walk, for who only has to know that it is well-formed. false: it is
 * not, or its offsets are not 0, 1, 2 ..., or the time is that of the append: walk it to learn more. */
struct mr_record_sum {
    int64_t oldest, newest; /* timestamps; of no record: INT64_MAX, INT64_MIN */
    bool keyless;           /* there is a record without a key */
};
bool mr_record_walk_sum(const struct mr_record_walk *walk, struct mr_record_sum *out);
/* Walks headers: start with *rest = record.headers; false at the end. Already checked by walk_next. */
bool mr_record_headers(struct mr_slice *rest, struct mr_header *out);

/* Builds one batch at the end of `out`. add: false when memory ran out (the record is then not in). end
 * patches lengths, CRC, counts and compresses; a batch that a codec would make larger stays as it is. Base
 * offset is 0 and leader epoch -1: mr_batch_stamp. Cost of add: one copy. */
struct mr_record_build {
    struct mr_buf *out;
    size_t start;
    int64_t first_timestamp, max_timestamp;
    int32_t count;
    int32_t level;      /* of the codec; set after begin, which makes it MR_CODEC_LEVEL_USUAL */
    int32_t last_delta; /* offset of the last record, relative to the base */
    int16_t attributes; /* set after begin: MR_BATCH_TRANSACTIONAL, MR_BATCH_CONTROL, and with
                         * MR_BATCH_HORIZON first_timestamp as well, to what it is to be */
};
void mr_record_build_begin(struct mr_record_build *b, struct mr_buf *out);
bool mr_record_build_add(struct mr_record_build *b, int64_t timestamp_ms,
                         const struct mr_slice *key /* NULL: null */, const struct mr_slice *value,
                         const struct mr_header *headers, uint32_t header_count);
/* The same at an offset of the caller's choice, larger than the last one's (compaction leaves gaps);
 * `headers` as a walk gave them. */
bool mr_record_build_keep(struct mr_record_build *b, int32_t offset_delta, const struct mr_record *record);
/* Size of what `out` holds of this batch so far, before compression. */
static inline size_t mr_record_build_size(const struct mr_record_build *b)
{
    return b->out->len - b->start;
}
/* producer_id -1: none. When it fails, or the batch has no record (MR_BADDATA), `out` is as it was at begin.
 */
mr_code mr_record_build_end(struct mr_record_build *b, enum mr_codec codec, int64_t producer_id,
                            int16_t producer_epoch, int32_t base_sequence, struct mr_err *err);

/* Transaction markers: a batch of one record that says how a producer's transaction ended. */
struct mr_marker {
    bool commit; /* else abort */
    int32_t coordinator_epoch;
};
mr_code mr_marker_build(struct mr_buf *out, const struct mr_marker *marker, int64_t producer_id,
                        int16_t producer_epoch, mr_ms now, struct mr_err *err);
/* Of a record from a batch with MR_BATCH_CONTROL. MR_END: another kind of control record, to be skipped. */
mr_code mr_marker_read(const struct mr_record *record, struct mr_marker *out);

#endif
