/* partition_inside.h - what the files of a partition share; for partition*.c alone.
 *
 * partition.c          appending, reading, waiting, life
 * partition_rebuild.c  what it knows of producers and transactions: noted, kept on disk, rebuilt from the log
 */
#ifndef MR_BROKER_PARTITION_INSIDE_H
#define MR_BROKER_PARTITION_INSIDE_H

#include "broker/partition.h"

enum { MR_PARTITION_PATH_BYTES = 4096 };

/* What a sync comes back to: made with the partition, so that asking for a sync cannot fail for want of
 * memory. Outlives the partition when a sync is on its way: then `p` is NULL. */
struct sync_ticket {
    struct mr_partition *p;
};

struct mr_partition {
    struct mr_world *world;
    struct mr_partition_config config;
    struct mr_log *log;
    struct mr_log_pool *pool; /* NULL: none is lent */
    struct mr_producers producers;
    struct mr_txn_log txns;
    struct sync_ticket *ticket;
    bool syncing; /* a sync is on its way and holds the ticket too */
    struct mr_produce *waiting, **waiting_end;
    struct mr_parked *parked, **parked_end;
    int64_t high;
    int64_t lent;   /* high watermark when the topic became durable, or where retention put it: P2 is not for
                       it */
    int64_t stable; /* last stable offset */
    int64_t snapshot_at;   /* log offset of the newest snapshot on disk; -1 none */
    struct mr_timer flush; /* not durable: flush_ms after an append */
    bool flush_armed, compacting;
    mr_code broken; /* MR_OK, or why a sync failed: no more writes (L4 of the log) */
    char *dir;
};

/* One batch is in the log: what must be known of it. `marker` NULL: data. false: no memory. */
bool mr_partition_note(struct mr_partition *p, const struct mr_batch_header *h,
                       const struct mr_marker *marker, int64_t now_ms);
/* The file `producers`; false: its path is too long. */
bool mr_partition_snapshot_path(const struct mr_partition *p, char out[MR_PARTITION_PATH_BYTES]);
mr_code mr_partition_snapshot_save(struct mr_partition *p, struct mr_err *err);
void mr_partition_snapshot_load(struct mr_partition *p);
/* From the snapshot to the end of the log. */
mr_code mr_partition_rebuild(struct mr_partition *p, struct mr_err *err);

#endif
