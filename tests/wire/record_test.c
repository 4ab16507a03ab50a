/* record_test.c - record batches against a vector from outside, a model, and damage of every kind. */
#include "setup.h"

#include <lz4frame.h>
#include <pthread.h>
#include <stdio.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"
#include "base/prng.h"
#include "wire/record.h"

enum { INFLATE_MAX = 1 << 20 };

/* Three records: (t=1700000000000, k1, hello, header h=x), (t+5, null, empty), (t+7, k1, null). */
static const char vector[] =
    "00 00 00 00 00 00 00 00  00 00 00 53  ff ff ff ff  02  97 16 f3 f1  00 00  00 00 00 02"
    "00 00 01 8b cf e5 68 00  00 00 01 8b cf e5 68 07  ff ff ff ff ff ff ff ff  ff ff  ff ff ff ff  00 00 00 "
    "03"
    "22 00 00 00 04 6b 31 0a 68 65 6c 6c 6f 02 02 68 02 78"
    "0c 00 0a 02 01 00 00"
    "10 00 0e 04 04 6b 31 01 00";

static const int64_t t0 = 1700000000000;

static void builds_the_vector_byte_for_byte(void **state)
{
    (void)state;
    struct mr_buf want = {0}, got = {0};
    struct mr_record_build b;
    struct mr_err err;
    struct mr_slice k1 = MR_SLICE("k1"), hello = MR_SLICE("hello"), empty = MR_SLICE("");
    struct mr_header h = {MR_SLICE("h"), MR_SLICE("x"), false};

    from_hex(&want, vector);
    mr_record_build_begin(&b, &got);
    assert_true(mr_record_build_add(&b, t0, &k1, &hello, &h, 1));
    assert_true(mr_record_build_add(&b, t0 + 5, NULL, &empty, NULL, 0));
    assert_true(mr_record_build_add(&b, t0 + 7, &k1, NULL, NULL, 0));
    assert_int_equal(mr_record_build_end(&b, MR_CODEC_NONE, -1, -1, -1, &err), MR_OK);
    assert_bytes(slice_of_buf(&got), slice_of_buf(&want));
    mr_buf_fini(&want);
    mr_buf_fini(&got);
}

static void walks_the_vector(void **state)
{
    (void)state;
    struct mr_buf batch = {0};
    struct mr_record_walk w;
    struct mr_record r;
    struct mr_header h;
    struct mr_err err;

    from_hex(&batch, vector);
    mr_batch_stamp(batch.p, 1000, 7);
    assert_true(mr_batch_crc_ok(slice_of_buf(&batch))); /* the stamp lies outside of the CRC */
    assert_int_equal(mr_record_walk_begin(&w, slice_of_buf(&batch), NULL, 0, &err), MR_OK);
    assert_int_equal(w.head.leader_epoch, 7);
    assert_int_equal(w.head.producer_id, -1);
    assert_int_equal(w.head.max_timestamp, t0 + 7);

    assert_int_equal(mr_record_walk_next(&w, &r, &err), MR_OK);
    assert_int_equal(r.offset, 1000);
    assert_int_equal(r.timestamp, t0);
    assert_bytes(r.key, MR_SLICE("k1"));
    assert_bytes(r.value, MR_SLICE("hello"));
    assert_int_equal(r.header_count, 1);
    assert_true(mr_record_headers(&r.headers, &h));
    assert_bytes(h.name, MR_SLICE("h"));
    assert_bytes(h.value, MR_SLICE("x"));
    assert_false(mr_record_headers(&r.headers, &h));

    assert_int_equal(mr_record_walk_next(&w, &r, &err), MR_OK);
    assert_false(r.has_key);
    assert_true(r.has_value);
    assert_int_equal(r.value.len, 0);

    assert_int_equal(mr_record_walk_next(&w, &r, &err), MR_OK);
    assert_int_equal(r.offset, 1002);
    assert_int_equal(r.timestamp, t0 + 7);
    assert_false(r.has_value);
    assert_int_equal(mr_record_walk_next(&w, &r, &err), MR_END);
    mr_buf_fini(&batch);
}

static void append_time_replaces_every_timestamp_and_mends_the_crc(void **state)
{
    (void)state;
    struct mr_buf batch = {0};
    struct mr_record_walk w;
    struct mr_record r;
    struct mr_err err;

    from_hex(&batch, vector);
    mr_batch_stamp_append_time(batch.p, 42);
    assert_true(mr_batch_crc_ok(slice_of_buf(&batch)));
    assert_int_equal(mr_record_walk_begin(&w, slice_of_buf(&batch), NULL, 0, &err), MR_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mr_record_walk_next(&w, &r, &err), MR_OK);
        assert_int_equal(r.timestamp, 42);
    }
    mr_buf_fini(&batch);
}

/* --- a model: records made from a seed, made again to compare */

struct made {
    char key[40], value[300], name[20];
    struct mr_slice k, v;
    bool has_key, has_value;
    struct mr_header headers[3];
    uint32_t header_count;
    int64_t timestamp;
};

static void make(struct mr_prng *r, struct made *m)
{
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < sizeof m->key; i++)
        m->key[i] = (char)('a' + mr_prng_below(r, 4));
    for (size_t i = 0; i < sizeof m->value; i++)
        m->value[i] = (char)('a' + mr_prng_below(r, 4));
    m->k = (struct mr_slice){m->key, (size_t)mr_prng_below(r, sizeof m->key)};
    m->v = (struct mr_slice){m->value, (size_t)mr_prng_below(r, sizeof m->value)};
    m->has_key = mr_prng_below(r, 4) != 0;
    m->has_value = mr_prng_below(r, 8) != 0;
    m->header_count = (uint32_t)mr_prng_below(r, 4);
    for (uint32_t i = 0; i < m->header_count; i++) {
        m->headers[i].name = (struct mr_slice){m->key, (size_t)mr_prng_below(r, 20)};
        m->headers[i].null_value = mr_prng_below(r, 3) == 0;
        if (!m->headers[i].null_value)
            m->headers[i].value = (struct mr_slice){m->value, (size_t)mr_prng_below(r, 200)};
    }
    m->timestamp = t0 + (int64_t)mr_prng_below(r, 100000) - 50000;
    if (mr_prng_below(r, 50) == 0)
        m->timestamp = (int64_t)mr_prng_next(r); /* any 64 bits survive, also when a delta wraps */
}

static void build(uint64_t seed, uint32_t count, enum mr_codec codec, struct mr_buf *out)
{
    struct mr_record_build b;
    struct mr_prng r;
    struct made m;
    struct mr_err err;
    mr_prng_seed(&r, seed);
    mr_record_build_begin(&b, out);
    for (uint32_t i = 0; i < count; i++) {
        make(&r, &m);
        assert_true(mr_record_build_add(&b, m.timestamp, m.has_key ? &m.k : NULL, m.has_value ? &m.v : NULL,
                                        m.headers, m.header_count));
    }
    assert_int_equal(mr_record_build_end(&b, codec, 9, 2, 77, &err), MR_OK);
}

static void compare(uint64_t seed, uint32_t count, struct mr_slice batch)
{
    struct mr_record_walk w;
    struct mr_record rec;
    struct mr_buf scratch = {0};
    struct mr_prng r;
    struct made m;
    struct mr_err err;
    mr_prng_seed(&r, seed);
    assert_true(mr_batch_crc_ok(batch));
    assert_int_equal(mr_record_walk_begin(&w, batch, &scratch, INFLATE_MAX, &err), MR_OK);
    assert_int_equal(w.head.count, count);
    assert_int_equal(w.head.base_sequence, 77);
    for (uint32_t i = 0; i < count; i++) {
        make(&r, &m);
        assert_int_equal(mr_record_walk_next(&w, &rec, &err), MR_OK);
        assert_int_equal(rec.offset, i);
        assert_true(rec.timestamp == m.timestamp);
        assert_int_equal(rec.has_key, m.has_key);
        assert_int_equal(rec.has_value, m.has_value);
        if (m.has_key)
            assert_bytes(rec.key, m.k);
        if (m.has_value)
            assert_bytes(rec.value, m.v);
        assert_int_equal(rec.header_count, m.header_count);
        for (uint32_t k = 0; k < m.header_count; k++) {
            struct mr_header h;
            assert_true(mr_record_headers(&rec.headers, &h));
            assert_bytes(h.name, m.headers[k].name);
            assert_int_equal(h.null_value, m.headers[k].null_value);
            assert_bytes(h.value, m.headers[k].value);
        }
    }
    assert_int_equal(mr_record_walk_next(&w, &rec, &err), MR_END);
    mr_buf_fini(&scratch);
}

static void what_every_codec_packs_is_walked_again(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 63, 64, 65, 700};
    for (int codec = MR_CODEC_NONE; codec <= MR_CODEC_ZSTD; codec++) {
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            struct mr_buf out = {0};
            assert_true(mr_buf_puts(&out, "before")); /* a batch begins anywhere in its buffer */
            build(i + 1, counts[i], (enum mr_codec)codec, &out);
            struct mr_slice batch = {out.p + 6, out.len - 6};
            if (counts[i] > 60)
                assert_int_equal(batch.p[22] & MR_BATCH_CODEC, codec);
            compare(i + 1, counts[i], batch);
            mr_buf_fini(&out);
        }
    }
}

static void a_codec_that_does_not_pay_is_left_out(void **state)
{
    (void)state;
    struct mr_slice v = MR_SLICE("q");
    for (int codec = MR_CODEC_GZIP; codec <= MR_CODEC_ZSTD; codec++) {
        struct mr_buf out = {0};
        struct mr_record_build b;
        struct mr_err err;
        mr_record_build_begin(&b, &out);
        assert_true(mr_record_build_add(&b, 1, NULL, &v, NULL, 0));
        assert_int_equal(mr_record_build_end(&b, (enum mr_codec)codec, -1, -1, -1, &err), MR_OK);
        assert_int_equal(out.p[22], MR_CODEC_NONE);
        assert_true(mr_batch_crc_ok(slice_of_buf(&out)));
        mr_buf_fini(&out);
    }
}

static void noise_goes_through_every_codec(void **state)
{
    (void)state;
    enum { BYTES = 300000 };
    char *noise = malloc(BYTES);
    struct mr_prng r;
    assert_non_null(noise);
    mr_prng_seed(&r, 1);
    for (size_t i = 0; i < BYTES; i++)
        noise[i] = (char)mr_prng_next(&r);
    for (int codec = MR_CODEC_NONE; codec <= MR_CODEC_ZSTD; codec++) {
        struct mr_buf out = {0}, scratch = {0};
        struct mr_slice v = {noise, BYTES};
        struct mr_record_build b;
        struct mr_record_walk w;
        struct mr_record rec;
        struct mr_err err;
        mr_record_build_begin(&b, &out);
        assert_true(mr_record_build_add(&b, 1, NULL, &v, NULL, 0));
        assert_true(mr_record_build_add(&b, 1, NULL, &v, NULL, 0)); /* only a far-sighted codec gains */
        assert_int_equal(mr_record_build_end(&b, (enum mr_codec)codec, -1, -1, -1, &err), MR_OK);
        assert_int_equal(mr_record_walk_begin(&w, slice_of_buf(&out), &scratch, INFLATE_MAX, &err), MR_OK);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(mr_record_walk_next(&w, &rec, &err), MR_OK);
            assert_bytes(rec.value, v);
        }
        mr_buf_fini(&out);
        mr_buf_fini(&scratch);
    }
    free(noise);
}

static void compaction_keeps_offsets_and_headers(void **state)
{
    (void)state;
    struct mr_buf from = {0}, to = {0};
    struct mr_record_walk w;
    struct mr_record r;
    struct mr_record_build b;
    struct mr_err err;
    from_hex(&from, vector);
    assert_int_equal(mr_record_walk_begin(&w, slice_of_buf(&from), NULL, 0, &err), MR_OK);
    mr_record_build_begin(&b, &to);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mr_record_walk_next(&w, &r, &err), MR_OK);
        if (i != 1)
            assert_true(mr_record_build_keep(&b, (int32_t)r.offset, &r));
    }
    assert_int_equal(mr_record_build_end(&b, MR_CODEC_NONE, -1, -1, -1, &err), MR_OK);
    assert_int_equal(mr_record_walk_begin(&w, slice_of_buf(&to), NULL, 0, &err), MR_OK);
    assert_int_equal(w.head.last_offset_delta, 2);
    assert_int_equal(w.head.count, 2);
    assert_int_equal(mr_record_walk_next(&w, &r, &err), MR_OK);
    assert_int_equal(r.header_count, 1);
    assert_int_equal(mr_record_walk_next(&w, &r, &err), MR_OK);
    assert_int_equal(r.offset, 2);
    mr_buf_fini(&from);
    mr_buf_fini(&to);
}

static void a_marker_says_how_the_transaction_ended(void **state)
{
    (void)state;
    for (int commit = 0; commit < 2; commit++) {
        struct mr_buf out = {0};
        struct mr_marker marker = {commit != 0, 12}, back;
        struct mr_record_walk w;
        struct mr_record r;
        struct mr_err err;
        assert_int_equal(mr_marker_build(&out, &marker, 5, 6, t0, &err), MR_OK);
        assert_int_equal(mr_record_walk_begin(&w, slice_of_buf(&out), NULL, 0, &err), MR_OK);
        assert_int_equal(w.head.attributes, 0x30);
        assert_int_equal(w.head.producer_id, 5);
        assert_int_equal(w.head.producer_epoch, 6);
        assert_int_equal(w.head.base_sequence, -1);
        assert_int_equal(mr_record_walk_next(&w, &r, &err), MR_OK);
        assert_bytes(r.key, commit ? MR_SLICE("\0\0\0\1") : MR_SLICE("\0\0\0\0"));
        assert_bytes(r.value, MR_SLICE("\0\0\0\0\0\x0c"));
        assert_int_equal(mr_marker_read(&r, &back), MR_OK);
        assert_int_equal(back.commit, commit);
        assert_int_equal(back.coordinator_epoch, 12);
        r.key = MR_SLICE("\0\0\0\2"); /* a change of leader */
        assert_int_equal(mr_marker_read(&r, &back), MR_END);
        r.key = MR_SLICE("\0\0\0");
        assert_int_equal(mr_marker_read(&r, &back), MR_END);
        mr_buf_fini(&out);
    }
}

static void an_empty_batch_is_refused_and_leaves_nothing(void **state)
{
    (void)state;
    struct mr_buf out = {0};
    struct mr_record_build b;
    struct mr_err err;
    assert_true(mr_buf_puts(&out, "x"));
    mr_record_build_begin(&b, &out);
    assert_int_equal(mr_record_build_end(&b, MR_CODEC_NONE, -1, -1, -1, &err), MR_BADDATA);
    assert_int_equal(out.len, 1);
    mr_buf_fini(&out);
}

/* Each thread has codec contexts of its own, and gives them back when it ends (asan would see a leak). */
static void *pack_and_walk(void *arg)
{
    for (uint64_t seed = 0; seed < 10; seed++) {
        for (int codec = MR_CODEC_GZIP; codec <= MR_CODEC_ZSTD; codec++) {
            struct mr_buf out = {0};
            build(seed + *(uint64_t *)arg, 50, (enum mr_codec)codec, &out);
            compare(seed + *(uint64_t *)arg, 50, slice_of_buf(&out));
            mr_buf_fini(&out);
        }
    }
    return NULL;
}

static void threads_pack_at_the_same_time(void **state)
{
    (void)state;
    pthread_t threads[3];
    uint64_t seeds[3] = {100, 200, 300};
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, pack_and_walk, &seeds[i]), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* Makes the n-th allocation fail, for every n, until all succeed: nothing leaks, nothing half made stays. */
static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct mr_slice value =
        MR_SLICE("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    for (int codec = MR_CODEC_NONE; codec <= MR_CODEC_ZSTD; codec++) {
        bool done = false;
        int refused = 0;
        for (uint64_t n = 1; !done; n++) {
            struct mr_buf out = {0}, scratch = {0};
            struct mr_record_build b;
            struct mr_record_walk w;
            struct mr_err err;
            assert_true(mr_buf_puts(&out, "kept"));
            mr_record_build_begin(&b, &out);
            mr_alloc_fail_at(n);
            uint32_t added = 0;
            for (int i = 0; i < 40; i++)
                added += mr_record_build_add(&b, i, NULL, &value, NULL, 0);
            mr_code rc = mr_record_build_end(&b, (enum mr_codec)codec, -1, -1, -1, &err);
            if (rc == MR_OK) {
                struct mr_slice batch = {out.p + 4, out.len - 4};
                assert_true(mr_batch_crc_ok(batch));
                rc = mr_record_walk_begin(&w, batch, &scratch, INFLATE_MAX, &err);
                if (rc == MR_OK)
                    assert_int_equal(w.head.count, added); /* a record that was refused is not in */
            } else {
                assert_int_equal(out.len, 4);
            }
            assert_true(rc == MR_OK || rc == MR_MEMORY);
            mr_alloc_fail_at(0);
            done = rc == MR_OK && added == 40;
            refused += !done;
            mr_buf_fini(&out);
            mr_buf_fini(&scratch);
        }
        assert_true(refused > 0);
    }
}

/* --- damage */

/* Walks to the end; counts the records. */
static mr_code walk_all(struct mr_slice batch, size_t inflate_max, int32_t *count, struct mr_err *err)
{
    struct mr_record_walk w;
    struct mr_record r;
    struct mr_buf scratch = {0};
    *count = 0;
    mr_code rc = mr_record_walk_begin(&w, batch, &scratch, inflate_max, err);
    while (rc == MR_OK && (rc = mr_record_walk_next(&w, &r, err)) == MR_OK)
        ++*count;
    mr_buf_fini(&scratch);
    return rc;
}

static void a_batch_cut_anywhere_is_not_whole_and_never_overread(void **state)
{
    (void)state;
    struct mr_buf out = {0};
    struct mr_err err;
    int32_t count;
    build(3, 20, MR_CODEC_NONE, &out);
    for (size_t len = 0; len < out.len; len++) {
        char *cut = malloc(len ? len : 1); /* its own block, so that asan sees the end */
        assert_non_null(cut);
        memcpy(cut, out.p, len);
        struct mr_slice batch = {cut, len};
        assert_false(mr_batch_crc_ok(batch));
        assert_int_equal(walk_all(batch, INFLATE_MAX, &count, &err), MR_END);
        if (len >
            MR_BATCH_HEADER) { /* a length that fits the cut, so that the records themselves end early */
            uint32_t length = __builtin_bswap32((uint32_t)(len - 12));
            memcpy(cut + 8, &length, sizeof length);
            assert_int_equal(walk_all(batch, INFLATE_MAX, &count, &err), MR_CORRUPT);
            assert_true(count < 20);
        }
        free(cut);
    }
    mr_buf_fini(&out);
}

static void every_flipped_bit_is_seen_by_the_crc(void **state)
{
    (void)state;
    struct mr_buf out = {0};
    build(4, 3, MR_CODEC_LZ4, &out);
    assert_true(mr_batch_crc_ok(slice_of_buf(&out)));
    for (size_t bit = 17 * 8; bit < out.len * 8; bit++) {
        out.p[bit / 8] = (char)(out.p[bit / 8] ^ (1 << bit % 8));
        assert_false(mr_batch_crc_ok(slice_of_buf(&out)));
        out.p[bit / 8] = (char)(out.p[bit / 8] ^ (1 << bit % 8));
    }
    mr_buf_fini(&out);
}

static void flipped_bits_behind_the_crc_are_walked_without_harm(void **state)
{
    (void)state;
    for (int codec = MR_CODEC_NONE; codec <= MR_CODEC_ZSTD; codec++) {
        struct mr_buf out = {0};
        struct mr_err err;
        int32_t count, refused = 0;
        build(5, 70, (enum mr_codec)codec, &out);
        for (size_t bit = 21 * 8; bit < out.len * 8; bit += 7) {
            out.p[bit / 8] = (char)(out.p[bit / 8] ^ (1 << bit % 8));
            mr_code rc = walk_all(slice_of_buf(&out), INFLATE_MAX, &count, &err);
            assert_true(rc == MR_END || rc == MR_CORRUPT || rc == MR_LIMIT || rc == MR_UNSUPPORTED);
            refused += rc != MR_END;
            out.p[bit / 8] = (char)(out.p[bit / 8] ^ (1 << bit % 8));
        }
        assert_true(refused > 0);
        mr_buf_fini(&out);
    }
}

/* A batch around a payload that somebody else compressed. */
static void wrap(struct mr_buf *out, int codec, struct mr_slice payload, int32_t count)
{
    struct mr_buf head = {0};
    from_hex(&head, vector);
    uint32_t length = __builtin_bswap32((uint32_t)(payload.len + 49));
    uint32_t records = __builtin_bswap32((uint32_t)count), last = __builtin_bswap32((uint32_t)(count - 1));
    memcpy(head.p + 8, &length, 4);
    memcpy(head.p + 23, &last, 4);
    memcpy(head.p + 57, &records, 4);
    head.p[22] = (char)codec;
    assert_true(mr_buf_put(out, head.p, MR_BATCH_HEADER));
    assert_true(mr_buf_put(out, payload.p, payload.len));
    mr_buf_fini(&head);
}

enum { BOMB = 8 << 20 };

static struct mr_buf bomb_of(int codec)
{
    struct mr_buf b = {0};
    char *zeros = calloc(1, BOMB);
    assert_non_null(zeros);
    assert_true(mr_buf_reserve(&b, BOMB + 4096));
    if (codec == MR_CODEC_GZIP) {
        z_stream z = {0};
        assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
        z.next_in = (Bytef *)zeros;
        z.avail_in = BOMB;
        z.next_out = (Bytef *)b.p;
        z.avail_out = (uInt)b.cap;
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        b.len = z.total_out;
        (void)deflateEnd(&z);
    } else if (codec == MR_CODEC_LZ4) {
        b.len = LZ4F_compressFrame(b.p, b.cap, zeros, BOMB, NULL);
        assert_false(LZ4F_isError(b.len));
    } else if (codec == MR_CODEC_ZSTD) {
        ZSTD_CCtx *c = ZSTD_createCCtx(); /* streamed: no content size to warn of it */
        assert_non_null(c);
        assert_false(
            ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, 27))); /* as level 22 asks for */
        ZSTD_inBuffer in = {zeros, BOMB, 0};
        ZSTD_outBuffer to = {b.p, b.cap, 0};
        assert_false(ZSTD_isError(ZSTD_compressStream2(c, &to, &in, ZSTD_e_continue)));
        assert_int_equal(ZSTD_compressStream2(c, &to, &in, ZSTD_e_end), 0);
        b.len = to.pos;
        (void)ZSTD_freeCCtx(c);
    } else {
        /* xerial chunks, each a raw block that becomes 60 KiB */
        char block[3 + 2 + 3 * 960];
        size_t n = 0;
        block[n++] = (char)0x80, block[n++] = (char)0xe0, block[n++] = 0x03; /* 61440 */
        block[n++] = 0, block[n++] = 'z';                                    /* a literal of one byte */
        for (int left = 61440 - 1; left > 0;) {
            int take = left < 64 ? left : 64;
            block[n++] = (char)((take - 1) << 2 | 2), block[n++] = 1, block[n++] = 0; /* copy from 1 back */
            left -= take;
        }
        from_hex(&b, "82 53 4e 41 50 50 59 00 00 00 00 01 00 00 00 01");
        for (int i = 0; i < 100; i++) {
            uint32_t len = __builtin_bswap32((uint32_t)n);
            assert_true(mr_buf_put(&b, &len, 4));
            assert_true(mr_buf_put(&b, block, n));
        }
    }
    free(zeros);
    return b;
}

static void a_bomb_stops_at_the_limit(void **state)
{
    (void)state;
    for (int codec = MR_CODEC_GZIP; codec <= MR_CODEC_ZSTD; codec++) {
        struct mr_buf bomb = bomb_of(codec), batch = {0}, scratch = {0};
        struct mr_record_walk w;
        struct mr_err err;
        wrap(&batch, codec, slice_of_buf(&bomb), 1);
        assert_int_equal(mr_record_walk_begin(&w, slice_of_buf(&batch), &scratch, 100000, &err), MR_LIMIT);
        assert_non_null(strstr(err.text, "inflate_max"));
        assert_true(scratch.cap < 400000);
        assert_int_equal(mr_record_walk_begin(&w, slice_of_buf(&batch), &scratch, BOMB, &err), MR_OK);
        mr_buf_fini(&bomb);
        mr_buf_fini(&batch);
        mr_buf_fini(&scratch);
    }
}

static void exactly_the_limit_is_allowed(void **state)
{
    (void)state;
    for (int codec = MR_CODEC_GZIP; codec <= MR_CODEC_ZSTD; codec++) {
        struct mr_buf out = {0}, scratch = {0};
        struct mr_record_walk w;
        struct mr_err err;
        build(6, 300, (enum mr_codec)codec, &out);
        assert_int_equal(mr_record_walk_begin(&w, slice_of_buf(&out), &scratch, INFLATE_MAX, &err), MR_OK);
        size_t size = scratch.len;
        assert_int_equal(mr_record_walk_begin(&w, slice_of_buf(&out), &scratch, size, &err), MR_OK);
        assert_int_equal(mr_record_walk_begin(&w, slice_of_buf(&out), &scratch, size - 1, &err), MR_LIMIT);
        mr_buf_fini(&out);
        mr_buf_fini(&scratch);
    }
}

static void both_framings_of_snappy_are_read(void **state)
{
    (void)state;
    /* one record (value "aaaaaaaaaa") of 17 bytes, as a raw block, then cut into two xerial chunks */
    static const char *const payloads[] = {
        "11 40 20 00 00 00 01 14 61 61 61 61 61 61 61 61 61 61 00",
        "82 53 4e 41 50 50 59 00 00 00 00 01 00 00 00 01"
        "00 00 00 0a 08 1c 20 00 00 00 01 14 61 61"
        "00 00 00 0b 09 20 61 61 61 61 61 61 61 61 00",
    };
    for (int i = 0; i < 2; i++) {
        struct mr_buf payload = {0}, batch = {0}, scratch = {0};
        struct mr_record_walk w;
        struct mr_record r;
        struct mr_err err;
        from_hex(&payload, payloads[i]);
        wrap(&batch, MR_CODEC_SNAPPY, slice_of_buf(&payload), 1);
        assert_int_equal(mr_record_walk_begin(&w, slice_of_buf(&batch), &scratch, 1000, &err), MR_OK);
        assert_int_equal(mr_record_walk_next(&w, &r, &err), MR_OK);
        assert_bytes(r.value, MR_SLICE("aaaaaaaaaa"));
        assert_int_equal(mr_record_walk_next(&w, &r, &err), MR_END);
        mr_buf_fini(&payload);
        mr_buf_fini(&batch);
        mr_buf_fini(&scratch);
    }
}

/* Found by the fuzzer: nothing was decompressed, so there was no memory to walk in. */
static void a_stream_that_holds_nothing_holds_no_record(void **state)
{
    (void)state;
    for (int32_t count = 1; count < 3; count++) {
        struct mr_buf payload = {0}, batch = {0};
        struct mr_err err;
        int32_t walked;
        from_hex(&payload, "82 53 4e 41 50 50 59 00 00 00 00 01 00 00 00 01");
        wrap(&batch, MR_CODEC_SNAPPY, slice_of_buf(&payload), count);
        assert_int_equal(walk_all(slice_of_buf(&batch), INFLATE_MAX, &walked, &err), MR_CORRUPT);
        assert_int_equal(walked, 0);
        mr_buf_fini(&payload);
        mr_buf_fini(&batch);
    }
}

static void lz4_frames_have_independent_blocks(void **state)
{
    (void)state;
    struct mr_buf out = {0};
    build(7, 700, MR_CODEC_LZ4, &out);
    assert_memory_equal(out.p + MR_BATCH_HEADER, "\x04\x22\x4d\x18", 4);
    assert_int_equal(out.p[MR_BATCH_HEADER + 4] & 0x20, 0x20); /* Java's reader refuses linked blocks */
    mr_buf_fini(&out);
}

static struct lie {
    const char *name;
    size_t at;
    const char *hex; /* put over the vector */
    mr_code want;
    const char *said;
} lies[] = {
    {"a length below the header is corrupt", 8, "00 00 00 30", MR_CORRUPT, "length 48"},
    {"a negative length is corrupt", 8, "ff ff ff ff", MR_CORRUPT, "length -1"},
    {"a length beyond the bytes is not whole", 8, "00 00 00 54", MR_END, ""},
    {"magic 1 is corrupt", 16, "01", MR_CORRUPT, "magic is 1"},
    {"a negative count is corrupt", 57, "ff ff ff ff", MR_CORRUPT, "-1 records"},
    {"one record too many is corrupt", 57, "00 00 00 04", MR_CORRUPT, "record 3 of 4"},
    {"one record too few is corrupt", 57, "00 00 00 02", MR_CORRUPT, "behind the last record"},
    {"codec 5 is not supported", 22, "05", MR_UNSUPPORTED, "number 5"},
    {"an offset outside of the batch is corrupt", 23, "00 00 00 01", MR_CORRUPT, "outside of the batch"},
    {"a record of negative length is corrupt", 61, "21", MR_CORRUPT, "record 0 of 3"},
    {"a key of length -2 is corrupt", 65, "03", MR_CORRUPT, "key"},
    {"a value beyond its record is corrupt", 68, "70", MR_CORRUPT, "value"},
    {"a header without name is corrupt", 75, "01", MR_CORRUPT, "header"},
    {"a negative header count is corrupt", 74, "01", MR_CORRUPT, "header count"},
    {"bytes behind the headers are corrupt", 74, "00", MR_CORRUPT, "behind its headers"},
    {"a varint that never ends is corrupt", 61, "ff ff ff ff ff ff", MR_CORRUPT, "length"},
};

static void lies_are_told_apart(void **state)
{
    const struct lie *lie = *state;
    struct mr_buf batch = {0}, over = {0};
    struct mr_err err = {0};
    int32_t count;
    from_hex(&batch, vector);
    from_hex(&over, lie->hex);
    memcpy(batch.p + lie->at, over.p, over.len);
    assert_int_equal(walk_all(slice_of_buf(&batch), INFLATE_MAX, &count, &err), lie->want);
    assert_non_null(strstr(err.text, lie->said));
    mr_buf_fini(&batch);
    mr_buf_fini(&over);
}

/* The quick pass says yes exactly when the slow one does and offsets are 0, 1, 2 ...; and what it adds up is right. */
static void both_passes_agree(struct mr_slice batch)
{
    struct mr_record_walk w;
    struct mr_record r;
    struct mr_record_sum sum, want = {INT64_MAX, INT64_MIN, false};
    struct mr_err err;
    mr_code rc = mr_record_walk_begin(&w, batch, NULL, 0, &err);
    if (rc)
        return;
    bool fine = mr_record_walk_sum(&w, &sum);
    bool plain = !(w.head.attributes & MR_BATCH_APPEND_TIME) && w.head.last_offset_delta == w.head.count - 1;
    for (int64_t next = w.head.base_offset; (rc = mr_record_walk_next(&w, &r, &err)) == MR_OK; next++) {
        plain = plain && r.offset == next;
        want.oldest = r.timestamp < want.oldest ? r.timestamp : want.oldest;
        want.newest = r.timestamp > want.newest ? r.timestamp : want.newest;
        want.keyless |= !r.has_key;
    }
    assert_int_equal(fine, plain && rc == MR_END);
    if (fine) {
        assert_int_equal(sum.oldest, want.oldest);
        assert_int_equal(sum.newest, want.newest);
        assert_int_equal(sum.keyless, want.keyless);
    }
}

static void the_quick_pass_agrees_with_the_slow_one_also_on_damage(void **state)
{
    struct mr_prng random;
    static char bytes[40000];
    (void)state;
    memset(bytes, 'v', sizeof bytes);
    mr_prng_seed(&random, 7);
    for (int round = 0; round < 200; round++) {
        struct mr_buf out = {0};
        struct mr_record_build b;
        struct mr_err err;
        mr_record_build_begin(&b, &out);
        int count =
            1 + (int)mr_prng_below(&random, round % 10 ? 12 : 9000); /* offsets of one to three bytes */
        for (int i = 0; i < count; i++) {
            struct mr_slice key = {bytes, mr_prng_below(&random, 90)};
            struct mr_slice value = {bytes, mr_prng_below(&random, count < 20 ? 20000 : 90)};
            struct mr_header h = {MR_SLICE("h"), MR_SLICE("x"), false};
            uint64_t dice = mr_prng_below(&random, 8);
            assert_true(mr_record_build_add(&b, t0 + (int64_t)mr_prng_below(&random, 1 << 20) - (1 << 19),
                                            dice & 1 ? &key : NULL, dice & 2 ? &value : NULL, &h,
                                            dice & 4 ? 1 : 0));
        }
        assert_int_equal(mr_record_build_end(&b, MR_CODEC_NONE, -1, -1, -1, &err), MR_OK);
        both_passes_agree(slice_of_buf(&out));
        for (int flips = count < 20 ? 200 : 5; flips; flips--) {
            size_t at =
                23 + (size_t)mr_prng_below(&random, (out.len < 400 ? out.len : 400) - 23); /* not the codec */
            char was = out.p[at];
            out.p[at] = (char)(was ^ (1 << mr_prng_below(&random, 8)));
            both_passes_agree(slice_of_buf(&out));
            out.p[at] = was;
        }
        mr_buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_the_vector_byte_for_byte),
        cmocka_unit_test(walks_the_vector),
        cmocka_unit_test(append_time_replaces_every_timestamp_and_mends_the_crc),
        cmocka_unit_test(what_every_codec_packs_is_walked_again),
        cmocka_unit_test(a_codec_that_does_not_pay_is_left_out),
        cmocka_unit_test(noise_goes_through_every_codec),
        cmocka_unit_test(compaction_keeps_offsets_and_headers),
        cmocka_unit_test(threads_pack_at_the_same_time),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(a_marker_says_how_the_transaction_ended),
        cmocka_unit_test(an_empty_batch_is_refused_and_leaves_nothing),
        cmocka_unit_test(a_batch_cut_anywhere_is_not_whole_and_never_overread),
        cmocka_unit_test(every_flipped_bit_is_seen_by_the_crc),
        cmocka_unit_test(flipped_bits_behind_the_crc_are_walked_without_harm),
        cmocka_unit_test(the_quick_pass_agrees_with_the_slow_one_also_on_damage),
        cmocka_unit_test(a_bomb_stops_at_the_limit),
        cmocka_unit_test(exactly_the_limit_is_allowed),
        cmocka_unit_test(both_framings_of_snappy_are_read),
        cmocka_unit_test(a_stream_that_holds_nothing_holds_no_record),
        cmocka_unit_test(lz4_frames_have_independent_blocks),
    };
    struct CMUnitTest rows[sizeof lies / sizeof *lies];
    for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
        rows[i] = (struct CMUnitTest){lies[i].name, lies_are_told_apart, NULL, NULL, &lies[i]};
    int failed = cmocka_run_group_tests_name("record", tests, NULL, NULL);
    failed += cmocka_run_group_tests_name("record lies", rows, NULL, NULL);
    return failed;
}
