/* check.h - may these bytes be appended? Pure. */
#ifndef MR_BROKER_CHECK_H
#define MR_BROKER_CHECK_H

#include "broker/refusal.h"
#include "wire/record.h"

struct mr_check {
    int64_t max_batch_bytes;
    int64_t segment_bytes;
    bool many;                /* several batches; else exactly one */
    bool records;             /* walk the records too; scratch is used for what is compressed */
    bool transactional;       /* batches of transactions are taken */
    bool keyed;               /* records without a key are refused; walks them */
    int64_t earliest, latest; /* timestamps, ms; 0: no limit; -1 is always taken */
    int64_t *newest;          /* [out] the newest timestamp of the records walked; NULL: not asked */
    bool stamp;               /* the broker's clock: timestamps of the producer do not matter */
};

/* Checks whole batches back to back, in Kafka's order. On refusal err says why. */
enum mr_refusal mr_check_batches(const struct mr_check *c, struct mr_slice bytes, struct mr_buf *scratch,
                                 struct mr_err *err);

#endif
