/* batches.h - record batches for tests of the log: every record carries a number that is never used again. */
#ifndef TESTS_LOG_BATCHES_H
#define TESTS_LOG_BATCHES_H

#include "base/buf.h"
#include "wire/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Appends one batch of `count` records to `out`; record i has value "id + i" (8 bytes) and `pad` bytes more.
 */
static inline void put_batch(struct mr_buf *out, uint64_t id, int32_t count, size_t pad, int64_t timestamp)
{
    struct mr_record_build b;
    struct mr_err err;
    char value[8 + 65536];
    memset(value, 'x', sizeof value);
    mr_record_build_begin(&b, out);
    for (int32_t i = 0; i < count; i++) {
        uint64_t v = id + (uint64_t)i;
        memcpy(value, &v, sizeof v);
        struct mr_slice s = {value, 8 + pad};
        assert_true(mr_record_build_add(&b, timestamp + i, NULL, &s, NULL, 0));
    }
    assert_int_equal(mr_record_build_end(&b, MR_CODEC_NONE, -1, -1, -1, &err), MR_OK);
}

static inline uint64_t id_of(const struct mr_record *r)
{
    uint64_t v = 0;
    assert_true(r->value.len >= 8);
    memcpy(&v, r->value.p, 8);
    return v;
}

#endif
