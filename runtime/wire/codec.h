/* codec.h - the four codecs of record batches; for wire/ alone.
 *
 * Each thread keeps its contexts (about 1 MiB once all codecs were used) until it ends: making them
 * anew for every batch costs more than compressing a small one.
 */
#ifndef MR_WIRE_CODEC_H
#define MR_WIRE_CODEC_H

#include "wire/record.h"

/* Replaces the content of `out` with what `in` decompresses to.
 *
 * MR_CORRUPT  not a whole stream of this codec    MR_LIMIT  more than `limit` bytes would come out
 * MR_UNSUPPORTED  no such codec                   MR_MEMORY
 */
mr_code mr_codec_inflate(enum mr_codec codec, struct mr_slice in, struct mr_buf *out, size_t limit,
                         struct mr_err *err);

/* Compresses the tail of `out`, from byte `from` to its end, in place; level as in record.h, others are
 * brought to the nearest that there is. *smaller is false, and the tail as it
 * was, when compression does not pay. */
mr_code mr_codec_deflate_tail(enum mr_codec codec, int32_t level, struct mr_buf *out, size_t from,
                              bool *smaller, struct mr_err *err);

#endif
