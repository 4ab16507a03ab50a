/* record_fuzz.c - any bytes are walked as record batches, one after the other, without harm; what walks is
 * built again from its records and must say the same. */
#include "base/assert.h"
#include "base/buf.h"
#include "wire/record.h"

enum { INFLATE_MAX = 1 << 18 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(struct mr_slice was, struct mr_slice now)
{
    struct mr_record_walk a, b;
    struct mr_record x, y;
    struct mr_buf scratch = {0};
    mr_assert(mr_record_walk_begin(&a, was, &scratch, INFLATE_MAX, NULL) == MR_OK);
    mr_assert(mr_record_walk_begin(&b, now, NULL, 0, NULL) == MR_OK);
    while (mr_record_walk_next(&b, &y, NULL) == MR_OK) {
        mr_assert(mr_record_walk_next(&a, &x, NULL) == MR_OK);
        mr_assert(x.has_key == y.has_key && x.has_value == y.has_value && x.timestamp == y.timestamp);
        mr_assert(mr_slice_eq(x.key, y.key) && mr_slice_eq(x.value, y.value));
        mr_assert(x.header_count == y.header_count && mr_slice_eq(x.headers, y.headers));
    }
    mr_assert(a.left == 0);
    mr_buf_fini(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_slice rest = {(const char *)data, size};
    struct mr_buf scratch = {0}, again = {0};
    struct mr_batch_header head;
    struct mr_err err;
    while (mr_batch_header_read(rest, &head, &err) == MR_OK) {
        struct mr_slice batch = {rest.p, (size_t)head.length + 12};
        struct mr_record_walk walk;
        struct mr_record r;
        struct mr_record_build build;
        (void)mr_batch_crc_ok(batch);
        again.len = 0;
        mr_record_build_begin(&build, &again);
        mr_code rc = mr_record_walk_begin(&walk, batch, &scratch, INFLATE_MAX, &err);
        struct mr_record_sum sum, want = {INT64_MAX, INT64_MIN, false};
        bool fine = rc == MR_OK && mr_record_walk_sum(&walk, &sum);
        bool plain = !(head.attributes & MR_BATCH_APPEND_TIME) && head.last_offset_delta == head.count - 1;
        for (int64_t next = head.base_offset;
             rc == MR_OK && (rc = mr_record_walk_next(&walk, &r, &err)) == MR_OK; next++) {
            mr_assert(mr_record_build_keep(&build, build.last_delta + 1, &r));
            plain = plain && r.offset == next;
            want.oldest = r.timestamp < want.oldest ? r.timestamp : want.oldest;
            want.newest = r.timestamp > want.newest ? r.timestamp : want.newest;
            want.keyless |= !r.has_key;
        }
        mr_assert(fine == (plain && rc == MR_END)); /* the quick pass and the slow one agree */
        mr_assert(!fine ||
                  (sum.oldest == want.oldest && sum.newest == want.newest && sum.keyless == want.keyless));
        if (rc == MR_END && build.count > 0) {
            mr_assert(mr_record_build_end(&build, MR_CODEC_NONE, -1, -1, -1, &err) == MR_OK);
            check_again(batch, (struct mr_slice){again.p, again.len});
        }
        rest.p += batch.len;
        rest.len -= batch.len;
    }
    mr_buf_fini(&scratch);
    mr_buf_fini(&again);
    return 0;
}
