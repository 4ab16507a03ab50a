/* producer.h - what a partition remembers of idempotent and transactional producers.
 *
 * Words.  A *producer* is a producer id; its *sequence* counts records in this partition, after 2147483647
 *         comes 0. The last MR_PRODUCER_BATCHES batches are remembered. Its transaction is *open* from its
 *         first transactional batch to its marker.
 *
 * Laws:   D1 a batch whose first and last sequence are remembered is a duplicate: it gets its first offset
 *            again and is not appended
 *         D2 otherwise a batch is taken only when it follows the last one (same epoch), starts at 0 (newer
 *            epoch), or when nothing is known of the producer
 *         D3 an older epoch is refused
 *         D4 while a transaction is open its producer appends only to it, with the same epoch, and is not
 *            forgotten
 * Pure but for memory; rebuilt from the log by calling mr_producers_note for each batch, and mr_producers_end
 * for each marker, in order.
 */
#ifndef MR_BROKER_PRODUCER_H
#define MR_BROKER_PRODUCER_H

#include "base/map.h"
#include "broker/refusal.h"
#include "wire/record.h"

enum {
    MR_PRODUCER_BATCHES = 5,           /* Kafka clients keep at most five in flight */
    MR_PRODUCERS_MAX = 100000,         /* of one partition; the one silent for longest is forgotten first */
    MR_PRODUCER_SILENT_MS = 86400000,  /* forgotten after a day without a batch */
    MR_PRODUCER_LOOK_MS_MAX = 3600000, /* a clock that moved by more since the last look has jumped */
};

struct mr_producers {
    struct mr_map map; /* producer id (8 bytes) -> struct producer */
    int64_t looked_ms; /* the last look for silent ones, by the wall clock; 0: none yet */
};

void mr_producers_init(struct mr_producers *t);
void mr_producers_fini(struct mr_producers *t);
size_t mr_producers_count(const struct mr_producers *t);

/* May this batch be appended? MR_REFUSE_NONE with *duplicate >= 0: do not append, answer with that offset
 * and *duplicate_end (one past its last record). Batches without a producer id always may. */
enum mr_refusal mr_producers_check(const struct mr_producers *t, const struct mr_batch_header *h,
                                   int64_t *duplicate, int64_t *duplicate_end);
/* It was appended at h->base_offset. false: no memory (nothing is remembered of the batch). */
bool mr_producers_note(struct mr_producers *t, const struct mr_batch_header *h, int64_t now_ms);
/* Memory for the batch's producer: note and end cannot fail after it. false: no memory, or all of
 * MR_PRODUCERS_MAX have open transactions. */
bool mr_producers_reserve(struct mr_producers *t, const struct mr_batch_header *h, int64_t now_ms);

/* Transactions. */
int64_t mr_producers_open(const struct mr_producers *t, int64_t id); /* first offset of the open one; -1 */
/* May a marker of that epoch and coordinator be appended? An older epoch or coordinator may not. */
enum mr_refusal mr_producers_end_check(const struct mr_producers *t, int64_t id, int16_t epoch,
                                       int32_t coordinator_epoch);
/* A marker was appended (h: its batch). What was open is no longer; a newer epoch begins at sequence 0. */
bool mr_producers_end(struct mr_producers *t, const struct mr_batch_header *h, int32_t coordinator_epoch,
                      int64_t now_ms);
struct mr_producer_view {
    int64_t id, heard_ms;
    int64_t open;                             /* first offset of the open transaction; -1 none */
    int32_t last_sequence, coordinator_epoch; /* -1 none */
    int16_t epoch;
};
/* All of them, start with *i 0; false at the end. */
bool mr_producers_next(const struct mr_producers *t, size_t *i, struct mr_producer_view *out);

/* Forgets who was silent for too long. Called at least every MR_PRODUCER_LOOK_MS_MAX: a clock that has moved
 * by more has jumped (or the machine slept), and nobody is forgotten for that. Cost: a walk or two. */
void mr_producers_expire(struct mr_producers *t, int64_t now_ms);

/* A snapshot: all of the table as of log offset `at`, with a checksum. */
bool mr_producers_save(const struct mr_producers *t, int64_t at, struct mr_buf *out);
/* MR_CORRUPT: not a whole snapshot; the table is empty then. */
mr_code mr_producers_load(struct mr_producers *t, struct mr_slice bytes, int64_t *at, struct mr_err *err);

#endif
