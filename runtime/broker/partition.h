/* partition.h - one partition: its log, what readers see of it, and who waits for it.
 *
 * A single-threaded machine over its world.
 *
 * Words.  *high watermark*: one past the last record that readers see. A topic is *durable* when it promises
 *         fsync (the default), else it lives by the page cache. *Last stable offset*: below it, all that
 *         belongs to a transaction is decided (txn_log.h).
 *
 * Laws (partition_check asserts them after every change):
 *   P1  start <= high watermark <= end, and the high watermark never goes back
 *   P2  of a durable topic readers see only what is synced: nothing that losing power could take back
 *   P3  a produce with acks -1 is answered well only when the high watermark has passed it
 *   P4  a batch of an idempotent producer is appended at most once
 *   P5  start <= last stable offset <= high watermark, and the last stable offset never goes back
 *   P6  a transaction opens only with a batch that its coordinator has agreed to (`verified`)
 */
#ifndef MR_BROKER_PARTITION_H
#define MR_BROKER_PARTITION_H

#include "broker/producer.h"
#include "broker/refusal.h"
#include "broker/txn_log.h"
#include "log/log.h"

enum {
    MR_PRODUCE_WHY = 160,
    MR_INFLATE_MAX = 64 << 20, /* bytes that one compressed batch may grow to while it is checked */
};

struct mr_partition_config {
    struct mr_log_config log;
    bool durable;         /* fsync before readers and acks=-1 see it */
    bool log_append_time; /* the broker's clock instead of the producer's */
    bool unclean;         /* a replica that is behind may lead rather than none */
    int64_t compression;  /* 0: batches stay as producers made them; else 1 + enum mr_codec */
    int64_t gzip_level, lz4_level, zstd_level; /* of batches that are compressed anew */
    mr_ms before_max_ms;    /* records with older timestamps are refused; INT64_MAX: none are */
    mr_ms after_max_ms;     /* the same of timestamps in the future */
    int64_t flush_messages; /* not durable: synced when so many records are not; 0: never */
    mr_ms flush_ms;         /* not durable: synced this long after an append; INT64_MAX: at the tick */
    int64_t min_in_sync;    /* acks -1 is refused when fewer replicas are in sync; there is one */
};

/* One append on its way. The caller's memory, zeroed; after mr_partition_produce said false it must stay
 * until done or mr_partition_forget. */
struct mr_produce {
    /* in */
    int16_t acks;       /* -1, 0, 1 */
    bool trusted;       /* made by this process: several batches allowed, records are not walked again */
    bool transactional; /* it came with a transactional id: its batches may belong to a transaction */
    bool verified;      /* its coordinator knows the transaction and this partition in it (P6) */
    void (*done)(struct mr_produce *pr); /* never from inside of mr_partition_produce */
    void *arg;
    /* out */
    enum mr_refusal refusal;
    mr_code code;        /* why storage refused: MR_NOSPACE, MR_IO, MR_CORRUPT, MR_CANCELLED; else MR_OK */
    int64_t base_offset; /* -1 on refusal */
    int64_t append_time; /* ms; -1 unless the topic uses the broker's clock */
    char why[MR_PRODUCE_WHY];
    /* the partition's */
    int64_t until;
    struct mr_produce *next, **link;
    struct mr_partition *at;
};

/* Somebody who wants to know when there is more to read. The caller's memory. */
struct mr_parked {
    int64_t offset;                      /* wake when the high watermark is above; not below it when parked */
    bool stable;                         /* the same of the last stable offset instead */
    bool gone;                           /* out: the partition is closing; do not park again */
    void (*wake)(struct mr_parked *who); /* no longer parked by then; may park again */
    void *arg;
    struct mr_parked *next, **link;
    struct mr_partition *at;
};

struct mr_partition;

/* Opens or makes the log and rebuilds what it must know of producers (see producer.h). A damaged log opens
 * all the same: `err` then holds the story and the code is MR_OK with err->code MR_CORRUPT. */
mr_code mr_partition_open(struct mr_world *w, const char *dir, const struct mr_partition_config *config,
                          struct mr_partition **out, struct mr_err *err);
/* The same in two steps: `load` may run in a worker, and `begin` follows on the partition's own thread before
 * anything else is asked of it. */
mr_code mr_partition_load(struct mr_world *w, const char *dir, const struct mr_partition_config *config,
                          struct mr_partition **out, struct mr_err *err);
void mr_partition_begin(struct mr_partition *p);
/* Nobody waits for it, all is on the disk and decided: closing it is quick, and opening it again is too. */
bool mr_partition_idle(const struct mr_partition *p);
/* Closes its files; they come back by themselves. Whoever is parked stays. false: it is being written. */
bool mr_partition_rest(struct mr_partition *p);
/* Wall clock, ms, before which mr_partition_tick has nothing to do if nobody writes; 0: not known. */
int64_t mr_partition_retain_due(const struct mr_partition *p);
/* Memory for large appends of a durable topic: see log.h. [borrow] until the partition is closed. */
void mr_partition_lend(struct mr_partition *p, struct mr_log_pool *pool);
/* done once all that is appended is on the disk, also of topics that wait for none. false: it is already, or
 * never will be (a sync failed); done is not called. */
bool mr_partition_flush(struct mr_partition *p, mr_done_fn done, void *arg);
bool mr_partition_flushed(const struct mr_partition *p); /* there is nothing to flush, or never will be */
/* Answers whoever waits with MR_CANCELLED, wakes the parked, closes the log: clean when it was flushed. */
void mr_partition_close(struct mr_partition *p);
/* The same, and nothing is written: as a crash would leave it. For what is about to be deleted, or was never
 * begun. NULL is fine. */
void mr_partition_discard(struct mr_partition *p);
/* The same, and deletes everything. */
mr_code mr_partition_remove(struct mr_partition *p, struct mr_err *err);
void mr_partition_configure(struct mr_partition *p, const struct mr_partition_config *config);

/* Checks and appends. bytes [borrow, changed in place]. true: settled, pr says how, done is not called;
 * false: done follows. Cost: one CRC, one walk over the records (not when trusted), one write. */
bool mr_partition_produce(struct mr_partition *p, char *bytes, size_t len, struct mr_produce *pr);
void mr_partition_forget(struct mr_produce *pr); /* done will not be called; idle is fine */

/* Appends a marker: the producer's transaction here, if it has one open, is decided. Like
 * mr_partition_produce with acks -1. Refusals: PRODUCER_EPOCH, COORDINATOR_FENCED (somebody newer was here),
 * STORAGE. A marker that says again what was said does no harm. */
bool mr_partition_mark(struct mr_partition *p, const struct mr_marker *marker, int64_t producer_id,
                       int16_t epoch, struct mr_produce *pr);

void mr_partition_park(struct mr_partition *p, struct mr_parked *who);
void mr_partition_unpark(struct mr_parked *who); /* not parked is fine */

int64_t mr_partition_start(const struct mr_partition *p);
int64_t mr_partition_high(const struct mr_partition *p);   /* high watermark */
int64_t mr_partition_stable(const struct mr_partition *p); /* last stable offset */
int64_t mr_partition_end(const struct mr_partition *p);
int64_t mr_partition_bytes(const struct mr_partition *p);

/* Where the batches from `offset` on lie, below the high watermark. view->len 0: nothing yet. At least one
 * batch otherwise, however large. */
enum mr_refusal mr_partition_find(struct mr_partition *p, int64_t offset, size_t max_bytes,
                                  struct mr_log_view *view, struct mr_err *err);
/* The same below `below`, which is at most the high watermark: such as the last stable offset. */
enum mr_refusal mr_partition_find_below(struct mr_partition *p, int64_t offset, int64_t below,
                                        size_t max_bytes, struct mr_log_view *view, struct mr_err *err);
/* One past the last record in a view that this partition has just given. Reads every batch header in it. */
mr_code mr_partition_view_end(const struct mr_log_view *view, int64_t *end, struct mr_err *err);
/* Aborted transactions with records in [from, below): see mr_txn_log_aborted. */
size_t mr_partition_aborted(const struct mr_partition *p, int64_t from, int64_t below,
                            struct mr_txn_aborted *out, size_t room);
bool mr_partition_producer_next(const struct mr_partition *p, size_t *i, struct mr_producer_view *out);
/* Kafka's special timestamps (-1 latest, -2 earliest, -3 largest timestamp, -4 earliest local) or ms. None:
 * *offset -1. MR_REFUSE_VERSION: a special timestamp that is not served. */
enum mr_refusal mr_partition_list(struct mr_partition *p, int64_t timestamp, int64_t *offset,
                                  int64_t *found_timestamp, struct mr_err *err);
/* The same as readers see it who see what is below `below`. */
enum mr_refusal mr_partition_list_below(struct mr_partition *p, int64_t timestamp, int64_t below,
                                        int64_t *offset, int64_t *found_timestamp, struct mr_err *err);
/* Drops what lies before `offset`; -1: all that readers see. *start is where the log begins then. */
enum mr_refusal mr_partition_trim(struct mr_partition *p, int64_t offset, int64_t *start, struct mr_err *err);
/* Retention, age of segments, producers that fell silent, and a snapshot of the rest now and then. */
void mr_partition_tick(struct mr_partition *p, struct mr_err *err);
/* A slice of compaction (mr_log_compact). true: there is more to do, soon. */
bool mr_partition_compact(struct mr_partition *p, int64_t budget, struct mr_err *err);
bool mr_partition_compacting(const struct mr_partition *p); /* between two slices of a pass */
const struct mr_compact_counts *mr_partition_compact_counts(const struct mr_partition *p);

#endif
