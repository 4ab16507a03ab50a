/* log.h - one partition on disk: segments of record batches, sparse indexes, recovery, retention.
 *
 * A single-threaded machine over its world. Bytes are Kafka's record batches (magic 2), several batches may
 * come in one append.
 *
 * Words.  *start* the first offset there is; *end* one past the last appended; *synced* one past
 *         the last that survives losing power. start <= synced <= end.
 *
 * Laws:   L1  acknowledged (synced, when the topic asks for it) is readable after any crash
 *         L2  an offset is never used for two different records, once it is below `synced`.
 *             Between append and sync it is only promised: a crash may lose the record, and the
 *             offset is then given to another. Who shows records below `synced` alone never
 *             shows two records at one offset.
 *         L3  nothing is read that was not appended
 *         L4  a failed sync is final: the log refuses writes until it is opened anew and recovered
 */
#ifndef MR_LOG_LOG_H
#define MR_LOG_LOG_H

#include "world/world.h"

typedef struct {
    int64_t v;
} mr_offset;

struct mr_log;

struct mr_log_pool; /* pool.h */

struct mr_log_config {
    int64_t segment_bytes;        /* roll a segment beyond this; default 1 GiB, at least 4 KiB */
    mr_ms segment_ms;             /* roll an older one; default 7 days */
    int64_t index_interval_bytes; /* default 4096 */
    int64_t retention_bytes;      /* -1: no limit */
    mr_ms retention_ms;           /* -1: no limit */
    int64_t max_batch_bytes;      /* larger appends are refused with MR_LIMIT; default 1 MiB + 12 */
    mr_ms segment_jitter_ms;      /* taken from segment_ms, at most; another amount for each segment */
    int64_t segment_index_bytes; /* roll when the offset index would be larger; default 10 MiB; 0: no limit */
    bool retain;                 /* retention drops old segments; default true */
    bool compact;                /* closed segments are compacted by key; default false */
    mr_ms min_compaction_lag_ms; /* what is younger is not compacted; default 0 */
    mr_ms max_compaction_lag_ms; /* what is older is compacted whatever the ratio; default: never */
    mr_ms delete_retention_ms;   /* how long tombstones and markers stay; default a day */
    mr_ms file_delete_delay_ms;  /* how long the file of a dropped segment stays, renamed; default 0 */
    double min_dirty_ratio;      /* of bytes not yet compacted to all; default 0.5 */
    /* [borrow] until the log is closed; for logs whose readers see synced records alone: large appends that
     * nobody is about to read go around the page cache (mr_log_landed). NULL: never */
    struct mr_log_pool *pool;
    int64_t direct_bytes;      /* what is large: an append, or all that a sync covered; default 64 KiB */
    int64_t compact_map_bytes; /* memory for keys; more keys take more passes; at least 1 KiB */
};
enum {
    MR_LOG_COMPACT_MAP = 16 << 20,      /* bytes for keys: some 390,000 of them a pass */
    MR_LOG_COMPACT_PRODUCERS = 100000,  /* producer ids that one pass tells apart; more take more passes */
    MR_LOG_COMPACT_ABORTED = 65536,     /* aborted transactions that one pass takes */
    MR_LOG_COMPACT_RETRY_MS = 60000,    /* after a failure, or when transactions hold it up */
    MR_LOG_PRODUCER_KEEP_MS = 86400000, /* the last batch of a producer stays as long, without its records */
};
void mr_log_config_init(struct mr_log_config *c); /* the defaults above; retention 7 days, no size limit */

/* Opens or makes the directory's log. After a clean close reads only the marker; else recovers: scans from
 * the last recovery point, cuts a torn tail. MR_CORRUPT: a damaged batch in the middle; err names file and
 * byte; the log opens all the same and refuses to serve the damaged range (see mr_log_read). */
mr_code mr_log_open(struct mr_world *w, const char *dir, const struct mr_log_config *config,
                    struct mr_log **out, struct mr_err *err);
/* Writes the clean marker when everything is synced. Waiting mr_log_sync calls get MR_CANCELLED. */
void mr_log_close(struct mr_log *log);
/* Lets go of it without a word on the disk: as a crash would leave it. Waiting calls get MR_CANCELLED. */
void mr_log_abandon(struct mr_log *log);
/* Everything is on the disk, and nothing is on its way there: closing waits for nothing. */
bool mr_log_settled(const struct mr_log *log);
/* Closes all of its files and gives back what only writing needs: both come back with the next call that
 * needs them. For a log that nobody has used for a while. false: not settled, or compacting; nothing changed. */
bool mr_log_rest(struct mr_log *log);
void mr_log_configure(struct mr_log *log, const struct mr_log_config *config); /* takes effect at once */

/* Appends whole batches, checked by the caller (CRC, magic); patches base offsets and leader epoch in place.
 *   bytes     [borrow] one or more batches back to back, changed in place
 *   append_ns wall clock now; used where max timestamps are unknown and for segment age
 *   base      [out] offset given to the first record
 * MR_LIMIT a batch is too large; MR_NOSPACE, MR_IO nothing was appended (a torn write is cut off again);
 * MR_CORRUPT the log is broken (L4). Blocks for the page cache only. Cost: one pwrite a segment. */
mr_code mr_log_append(struct mr_log *log, char *bytes, size_t len, int32_t leader_epoch, mr_ns append_ns,
                      mr_offset *base, struct mr_err *err);
/* Calls done(arg, rc, errno) once everything appended so far is synced. Calls that wait share one fsync. */
void mr_log_sync(struct mr_log *log, mr_done_fn done, void *arg);

/* Offset below which records are in the file: a process that dies does not lose them, and views lead to them.
 * At least `synced`. */
int64_t mr_log_landed(const struct mr_log *log);

/* Memory that the logs of one world share: see pool.h. NULL: no memory. It is freed when the last chunk has come
 * back from the disk, which may be after its logs are closed. */
struct mr_log_pool *mr_log_pool_new(struct mr_world *w);
void mr_log_pool_free(struct mr_log_pool *pool); /* before its world; NULL is fine */

mr_offset mr_log_start(const struct mr_log *log);
mr_offset mr_log_end(const struct mr_log *log);
mr_offset mr_log_synced(const struct mr_log *log);
int64_t mr_log_bytes(const struct mr_log *log);

/* Where the batch that holds `want` (or the first after it) lies, for pread or sendfile.
 * *file [borrow] valid until the next call on this log (mr_file_hold keeps it longer); *len bytes of whole
 * batches that end below `below`, at most max_bytes but at least one batch. MR_END: want >= below. MR_RANGE:
 * outside [start, end]. MR_CORRUPT: the damaged range. */
struct mr_log_view {
    struct mr_file *file;
    int64_t at;
    size_t len;
};
mr_code mr_log_find(struct mr_log *log, mr_offset want, mr_offset below, size_t max_bytes,
                    struct mr_log_view *out, struct mr_err *err);
/* find + pread into `to` (cap >= the batch, else MR_LIMIT with *got the size needed). */
mr_code mr_log_read(struct mr_log *log, mr_offset want, mr_offset below, void *to, size_t cap, size_t *got,
                    struct mr_err *err);
/* The first record with timestamp >= ms; *offset -1 when there is none. */
mr_code mr_log_find_time(struct mr_log *log, int64_t ms, mr_offset *offset, int64_t *timestamp,
                         struct mr_err *err);
/* The record with the largest timestamp. */
mr_code mr_log_find_max_time(struct mr_log *log, mr_offset *offset, int64_t *timestamp, struct mr_err *err);

mr_code mr_log_retain(struct mr_log *log, mr_ns now,
                      struct mr_err *err); /* drops old segments; roll by time */
/* Wall clock, ms, before which mr_log_retain has nothing to do, if nothing is appended; 0: not known, and
 * INT64_MAX: never. Settings that change, change it. */
int64_t mr_log_retain_due(const struct mr_log *log);
/* One slice of compaction: begins one when it is due, goes on with the one that runs.
 *   below   nothing at or above it is looked at: records that readers do not see yet
 *   budget  bytes to read, about; the slice ends with the batch that passes it
 *   *more   there is work left: call again soon. Syncs of data run in workers, and a call that comes
 *           meanwhile does nothing; a slice itself waits for the page cache and for names only.
 * Whoever holds a file of the log goes on reading the bytes that it had.
 * MR_CORRUPT: a batch is damaged, nothing was changed; MR_NOSPACE, MR_IO: given up, tried again later. */
mr_code mr_log_compact(struct mr_log *log, mr_offset below, mr_ns now, int64_t budget, bool *more,
                       struct mr_err *err);
struct mr_compact_counts {
    uint64_t passes;        /* that came to their end */
    uint64_t removed;       /* records */
    uint64_t read, written; /* bytes */
};
const struct mr_compact_counts *mr_log_compact_counts(const struct mr_log *log);
int64_t mr_log_clean(const struct mr_log *log); /* offset below which no key has two records */

mr_code mr_log_trim(struct mr_log *log, mr_offset start, struct mr_err *err); /* DeleteRecords */
mr_code mr_log_remove(struct mr_log *log, struct mr_err *err); /* closes and deletes everything */

#endif
