/* recode.h - batches in the codec that a topic asks for. Pure but for memory. For broker/ alone. */
#ifndef MR_BROKER_RECODE_H
#define MR_BROKER_RECODE_H

#include "wire/record.h"

/* Puts the batches, made anew with `codec` (level as in record.h) where they have another, at the end of `out`: records, times,
 * producer, sequences and attributes stay. Control batches stay as they are. A batch that `codec` would make
 * larger is not compressed. MR_LIMIT: one is larger than max_batch_bytes now. */
mr_code mr_recode(struct mr_slice batches, enum mr_codec codec, int32_t level, int64_t max_batch_bytes,
                  struct mr_buf *out, struct mr_err *err);

#endif
