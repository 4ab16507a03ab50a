/* producer.h - what a partition remembers of idempotent producers.
 *
 * Words.  A *producer* is a producer id; its *sequence* counts records in this partition, after 2147483647
 *         comes 0. The last MR_PRODUCER_BATCHES batches are remembered.
 *
 * Laws:   D1 a batch whose first and last sequence are remembered is a duplicate: it gets its first offset
 *            again and is not appended
 *         D2 otherwise a batch is taken only when it follows the last one (same epoch), starts at 0 (newer
 *            epoch), or when nothing is known of the producer
 *         D3 an older epoch is refused
 * Pure but for memory; rebuilt from the log by calling mr_producers_note for each batch in order.
 */
#ifndef MR_BROKER_PRODUCER_H
#define MR_BROKER_PRODUCER_H

#include "base/map.h"
#include "broker/refusal.h"
#include "wire/record.h"

enum {
    MR_PRODUCER_BATCHES = 5,          /* Kafka clients keep at most five in flight */
    MR_PRODUCERS_MAX = 100000,        /* of one partition; the one silent for longest is forgotten first */
    MR_PRODUCER_SILENT_MS = 86400000, /* forgotten after a day without a batch */
};

struct mr_producers {
    struct mr_map map; /* producer id (8 bytes) -> struct producer */
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
void mr_producers_expire(struct mr_producers *t, int64_t now_ms);

/* A snapshot: all of the table as of log offset `at`, with a checksum. */
bool mr_producers_save(const struct mr_producers *t, int64_t at, struct mr_buf *out);
/* MR_CORRUPT: not a whole snapshot; the table is empty then. */
mr_code mr_producers_load(struct mr_producers *t, struct mr_slice bytes, int64_t *at, struct mr_err *err);

#endif
