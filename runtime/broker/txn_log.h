/* txn_log.h - what a partition knows of transactions in its log: which are open, and which were aborted.
 *
 * Words.  A transaction of a producer is *open* in a partition from its first batch there to its *marker*.
 *         *Decided*: the marker is in the log. The *last stable offset* is where undecided records begin:
 *         below it readers see only what is decided.
 *
 * Laws:   T1 a producer has at most one open transaction in a partition
 *         T2 the last stable offset is not beyond the high watermark, nor beyond the first record of a
 *            transaction that is open or whose marker readers do not see yet
 *         T3 aborted transactions lie in the order of their markers
 * Pure but for memory; rebuilt from the log by opening and ending each transaction in order.
 */
#ifndef MR_BROKER_TXN_LOG_H
#define MR_BROKER_TXN_LOG_H

#include <millrace/plugin.h>

enum {
    MR_TXN_OPEN_MAX = 10000,      /* open transactions of one partition */
    MR_TXN_ABORTED_MAX = 1000000, /* aborted ones that one partition remembers: 32 bytes each */
};

struct mr_txn_open {
    int64_t producer, first; /* first: offset */
};
struct mr_txn_ended { /* offsets */
    int64_t first, marker;
};
struct mr_txn_aborted {
    int64_t producer;
    int64_t first, marker; /* offsets of its first record here and of its marker */
    int64_t stable;        /* what the last stable offset was to be after it: all aborted later begin there
                              or above */
};

struct mr_txn_log {                 /* zeroed is empty */
    struct mr_txn_open *open;       /* by first */
    struct mr_txn_ended *ended;     /* decided, but the marker is not below the high watermark; by marker */
    struct mr_txn_aborted *aborted; /* T3 */
    size_t open_count, open_room, ended_count, ended_room, aborted_count, aborted_room;
};

void mr_txn_log_fini(struct mr_txn_log *t);
void mr_txn_log_check(const struct mr_txn_log *t); /* asserts the laws. Cost: a walk over the open ones */

/* Whether one more may be opened (limits). */
bool mr_txn_log_may_open(const struct mr_txn_log *t);
/* Memory for one more open and for the end of all that are open: open and end cannot fail after it. */
bool mr_txn_log_reserve(struct mr_txn_log *t);
/* `first` is above all that were opened before. */
void mr_txn_log_open(struct mr_txn_log *t, int64_t producer, int64_t first);
/* Its marker lies at offset `marker`. Nothing happens when it has none open. */
void mr_txn_log_end(struct mr_txn_log *t, int64_t producer, bool commit, int64_t marker);
/* Readers see all below `high` now: markers below it decide. */
void mr_txn_log_seen(struct mr_txn_log *t, int64_t high);
int64_t mr_txn_log_stable(const struct mr_txn_log *t, int64_t high);
/* The log begins at `start` now: forgets aborted transactions that ended below. */
void mr_txn_log_trim(struct mr_txn_log *t, int64_t start);

/* Aborted transactions with records or a marker in [from, below): up to `room` of them into out (NULL with
 * room 0 is fine). Returns how many there are. */
size_t mr_txn_log_aborted(const struct mr_txn_log *t, int64_t from, int64_t below, struct mr_txn_aborted *out,
                          size_t room);

/* Only the aborted ones: what is open stands with the producers (producer.h). */
bool mr_txn_log_save(const struct mr_txn_log *t, struct mr_buf *out); /* with a count and a checksum */
/* Moves *in behind what save wrote. MR_CORRUPT: it is not whole, or breaks T3; t has no aborted ones then. */
mr_code mr_txn_log_load(struct mr_txn_log *t, struct mr_slice *in, struct mr_err *err);

#endif
