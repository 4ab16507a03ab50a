/* codec.c - gzip, snappy, lz4 and zstd, each bounded on its way out.
 *
 * Words.  A *bench* holds a thread's contexts. The *limit* is the most bytes a stream may become; one byte
 *         of room beyond it tells "exactly the limit" from "more".
 *
 * Snappy comes in two framings: a raw block (librdkafka), or the chunks of xerial's stream (Java), told
 * apart by a magic. We write raw blocks, which all known readers take.
 * LZ4 frames are written with independent blocks, as Java's reader demands.
 */
#include "wire/codec.h"

#include <lz4frame.h>
#include <pthread.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "wire/bytes.h"

enum {
    ZSTD_LEVEL = 3,
    LZ4_LEVEL = 9,      /* Kafka's number for the fast way; others are thorough */
    LZ4_LEVEL_MAX = 12, /* that there is */
    GZIP_WINDOW = 15 + 16,
    INFLATE_STEP_MIN = 16 * 1024,
    ZSTD_KEEP_MAX = 16 << 20, /* bytes: a frame may ask for a window of 128 MiB; nobody keeps that for it */
};

struct bench {
    z_stream inflate, deflate;
    bool inflate_on, deflate_on;
    int deflate_level; /* that `deflate` was made with */
    ZSTD_DCtx *zstd_in;
    ZSTD_CCtx *zstd_out;
    LZ4F_dctx *lz4_in;
};

static pthread_key_t bench_key;
static pthread_once_t bench_once = PTHREAD_ONCE_INIT;
static bool bench_key_made;

static void bench_free(void *p)
{
    struct bench *b = p;
    if (b->inflate_on)
        (void)inflateEnd(&b->inflate);
    if (b->deflate_on)
        (void)deflateEnd(&b->deflate);
    (void)ZSTD_freeDCtx(b->zstd_in);
    (void)ZSTD_freeCCtx(b->zstd_out);
    if (b->lz4_in)
        (void)LZ4F_freeDecompressionContext(b->lz4_in);
    mr_free(b);
}

static void bench_make_key(void)
{
    bench_key_made = pthread_key_create(&bench_key, bench_free) == 0;
}

static struct bench *bench_of_thread(void)
{
    if (pthread_once(&bench_once, bench_make_key) != 0 || !bench_key_made)
        return NULL;
    struct bench *b = pthread_getspecific(bench_key);
    if (b)
        return b;
    b = mr_alloc(sizeof *b);
    if (b && pthread_setspecific(bench_key, b) != 0) {
        mr_free(b);
        b = NULL;
    }
    return b;
}

static mr_code no_memory(struct mr_err *err, const char *codec)
{
    return mr_fail(err, MR_MEMORY, "no memory for the %s codec", codec);
}

static mr_code damaged(struct mr_err *err, const char *codec, const char *why)
{
    return mr_fail(err, MR_CORRUPT, "compressed records are not valid %s: %s", codec, why);
}

static mr_code too_much(struct mr_err *err, size_t limit)
{
    return mr_fail(err, MR_LIMIT, "compressed records would become more than inflate_max, %zu bytes", limit);
}

/* Room for more output: *room bytes at out->p + out->len, at least one. */
static mr_code make_room(struct mr_buf *out, size_t limit, size_t *room, struct mr_err *err)
{
    if (out->len > limit)
        return too_much(err, limit);
    size_t most = limit + 1 - out->len;
    if (out->cap == out->len) {
        size_t more = out->len > INFLATE_STEP_MIN ? out->len : INFLATE_STEP_MIN;
        if (!mr_buf_reserve(out, more < most ? more : most))
            return mr_fail(err, MR_MEMORY, "no memory for %zu bytes of decompressed records",
                           out->len + more);
    }
    *room = out->cap - out->len < most ? out->cap - out->len : most;
    return MR_OK;
}

static mr_code inflate_gzip(struct mr_slice in, struct mr_buf *out, size_t limit, struct mr_err *err)
{
    struct bench *b = bench_of_thread();
    if (!b)
        return no_memory(err, "gzip");
    if (!b->inflate_on) {
        if (inflateInit2(&b->inflate, GZIP_WINDOW) != Z_OK)
            return no_memory(err, "gzip");
        b->inflate_on = true;
    } else if (inflateReset(&b->inflate) != Z_OK) {
        return no_memory(err, "gzip");
    }
    z_stream *z = &b->inflate;
    z->next_in = (z_const Bytef *)(uintptr_t)in.p;
    z->avail_in = (uInt)in.len;
    for (;;) {
        size_t room = 0;
        mr_code rc = make_room(out, limit, &room, err);
        if (rc)
            return rc;
        z->next_out = (Bytef *)out->p + out->len;
        z->avail_out = (uInt)room;
        int got = inflate(z, Z_NO_FLUSH);
        out->len += room - z->avail_out;
        if (got == Z_STREAM_END) {
            if (z->avail_in == 0)
                return out->len > limit ? too_much(err, limit) : MR_OK;
            if (inflateReset(z) != Z_OK) /* gzip members may follow one another */
                return no_memory(err, "gzip");
        } else if (got == Z_MEM_ERROR) {
            return no_memory(err, "gzip");
        } else if (got != Z_OK && !(got == Z_BUF_ERROR && z->avail_out == 0)) {
            return damaged(err, "gzip", z->msg ? z->msg : "the stream ends early");
        } else if (z->avail_in == 0 && z->avail_out != 0) {
            return damaged(err, "gzip", "the stream ends early");
        }
    }
}

static const char xerial_magic[8] = {(char)0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0};
enum { XERIAL_HEADER = 16 }; /* magic, version, lowest compatible version */

static mr_code inflate_snappy_block(struct mr_slice in, struct mr_buf *out, size_t limit, struct mr_err *err)
{
    size_t len = 0;
    if (snappy_uncompressed_length(in.p, in.len, &len) != SNAPPY_OK)
        return damaged(err, "snappy", "a block has no length");
    if (len > limit - out->len)
        return too_much(err, limit);
    if (len / 32 > in.len) /* the densest copy makes 64 bytes out of 3 */
        return damaged(err, "snappy", "a block claims more bytes than it can hold");
    if (!mr_buf_reserve(out, len + 1))
        return mr_fail(err, MR_MEMORY, "no memory for %zu bytes of decompressed records", len);
    if (snappy_uncompress(in.p, in.len, out->p + out->len, &len) != SNAPPY_OK)
        return damaged(err, "snappy", "a block does not decompress");
    out->len += len;
    return MR_OK;
}

static mr_code inflate_snappy(struct mr_slice in, struct mr_buf *out, size_t limit, struct mr_err *err)
{
    if (in.len < XERIAL_HEADER || memcmp(in.p, xerial_magic, sizeof xerial_magic) != 0)
        return inflate_snappy_block(in, out, limit, err);
    in.p += XERIAL_HEADER;
    in.len -= XERIAL_HEADER;
    while (in.len > 0) {
        if (in.len < 4)
            return damaged(err, "snappy", "a chunk has no length");
        size_t chunk = mr_be32(in.p);
        if (chunk > in.len - 4)
            return damaged(err, "snappy", "a chunk reaches beyond the end");
        mr_code rc = inflate_snappy_block((struct mr_slice){in.p + 4, chunk}, out, limit, err);
        if (rc)
            return rc;
        in.p += 4 + chunk;
        in.len -= 4 + chunk;
    }
    return MR_OK;
}

static mr_code inflate_lz4(struct mr_slice in, struct mr_buf *out, size_t limit, struct mr_err *err)
{
    struct bench *b = bench_of_thread();
    if (!b || (!b->lz4_in && LZ4F_isError(LZ4F_createDecompressionContext(&b->lz4_in, LZ4F_VERSION))))
        return no_memory(err, "lz4");
    LZ4F_resetDecompressionContext(b->lz4_in);
    size_t hint = 1; /* 0: a frame is complete */
    while (in.len > 0 || hint != 0) {
        size_t room = 0, used = in.len;
        mr_code rc = make_room(out, limit, &room, err);
        if (rc)
            return rc;
        hint = LZ4F_decompress(b->lz4_in, out->p + out->len, &room, in.p, &used, NULL);
        if (LZ4F_isError(hint))
            return damaged(err, "lz4", LZ4F_getErrorName(hint));
        if (hint != 0 && used == 0 && room == 0)
            return damaged(err, "lz4", "the frame ends early");
        out->len += room;
        in.p += used;
        in.len -= used;
    }
    return out->len > limit ? too_much(err, limit) : MR_OK;
}

static mr_code inflate_zstd_frames(ZSTD_DCtx *zstd, struct mr_slice in, struct mr_buf *out, size_t limit,
                                   struct mr_err *err)
{
    unsigned long long size = ZSTD_getFrameContentSize(in.p, in.len);
    if (size != ZSTD_CONTENTSIZE_UNKNOWN && size != ZSTD_CONTENTSIZE_ERROR) {
        if (size > limit)
            return too_much(err, limit);
        /* a claim is believed up to a point, the rest has to come */
        size_t want = (size_t)size < in.len * 64 ? (size_t)size : in.len * 64;
        if (!mr_buf_reserve(out, want + 1))
            return mr_fail(err, MR_MEMORY, "no memory for %zu bytes of decompressed records", want);
    }
    ZSTD_inBuffer from = {in.p, in.len, 0};
    size_t hint = 1; /* 0: a frame is complete */
    while (from.pos < from.size || hint != 0) {
        size_t room = 0, was = from.pos;
        mr_code rc = make_room(out, limit, &room, err);
        if (rc)
            return rc;
        ZSTD_outBuffer to = {out->p + out->len, room, 0};
        hint = ZSTD_decompressStream(zstd, &to, &from);
        if (ZSTD_isError(hint))
            return damaged(err, "zstd", ZSTD_getErrorName(hint));
        if (hint != 0 && to.pos == 0 && from.pos == was)
            return damaged(err, "zstd", "the frame ends early");
        out->len += to.pos;
    }
    return out->len > limit ? too_much(err, limit) : MR_OK;
}

static mr_code inflate_zstd(struct mr_slice in, struct mr_buf *out, size_t limit, struct mr_err *err)
{
    struct bench *b = bench_of_thread();
    if (!b || (!b->zstd_in && !(b->zstd_in = ZSTD_createDCtx())))
        return no_memory(err, "zstd");
    (void)ZSTD_DCtx_reset(b->zstd_in, ZSTD_reset_session_only);
    mr_code rc = inflate_zstd_frames(b->zstd_in, in, out, limit, err);
    if (ZSTD_sizeof_DCtx(b->zstd_in) > ZSTD_KEEP_MAX) {
        (void)ZSTD_freeDCtx(b->zstd_in);
        b->zstd_in = NULL;
    }
    return rc;
}

mr_code mr_codec_inflate(enum mr_codec codec, struct mr_slice in, struct mr_buf *out, size_t limit,
                         struct mr_err *err)
{
    if (limit > MR_BUF_MAX / 2)
        limit = MR_BUF_MAX / 2;
    out->len = 0;
    if (in.len == 0)
        return damaged(err, "anything", "there are no bytes");
    switch (codec) {
    case MR_CODEC_GZIP:
        return inflate_gzip(in, out, limit, err);
    case MR_CODEC_SNAPPY:
        return inflate_snappy(in, out, limit, err);
    case MR_CODEC_LZ4:
        return inflate_lz4(in, out, limit, err);
    case MR_CODEC_ZSTD:
        return inflate_zstd(in, out, limit, err);
    case MR_CODEC_NONE:
        break;
    }
    return mr_fail(err, MR_UNSUPPORTED, "no codec has the number %d; 1 to 4 are known", (int)codec);
}

/* The deflaters write at most `cap` bytes to `to`, answer how many, 0 for "no memory". */
static bool deflate_gzip_begin(struct bench *b, int32_t level)
{
    level = level < 1 ? Z_DEFAULT_COMPRESSION : level > 9 ? 9 : level;
    if (b->deflate_on && b->deflate_level == level)
        return deflateReset(&b->deflate) == Z_OK;
    if (b->deflate_on)
        (void)deflateEnd(&b->deflate);
    b->deflate = (z_stream){0};
    b->deflate_level = level;
    b->deflate_on = deflateInit2(&b->deflate, level, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    return b->deflate_on;
}

static size_t deflate_gzip(z_stream *z, const char *in, size_t len, char *to, size_t cap)
{
    z->next_in = (z_const Bytef *)(uintptr_t)in;
    z->avail_in = (uInt)len;
    z->next_out = (Bytef *)to;
    z->avail_out = (uInt)cap;
    return deflate(z, Z_FINISH) == Z_STREAM_END ? cap - z->avail_out : 0;
}

static size_t deflate_lz4(const char *in, size_t len, char *to, size_t cap, const LZ4F_preferences_t *prefs)
{
    size_t got = LZ4F_compressFrame(to, cap, in, len, prefs);
    return LZ4F_isError(got) ? 0 : got;
}

static size_t deflate_zstd(struct bench *b, int32_t level, const char *in, size_t len, char *to, size_t cap)
{
    if (!b->zstd_out && !(b->zstd_out = ZSTD_createCCtx()))
        return 0;
    size_t got =
        ZSTD_compressCCtx(b->zstd_out, to, cap, in, len, level == MR_CODEC_LEVEL_USUAL ? ZSTD_LEVEL : level);
    return ZSTD_isError(got) ? 0 : got;
}

mr_code mr_codec_deflate_tail(enum mr_codec codec, int32_t level, struct mr_buf *out, size_t from,
                              bool *smaller, struct mr_err *err)
{
    const LZ4F_preferences_t lz4 = {
        .frameInfo = {.blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent},
        .compressionLevel = level == MR_CODEC_LEVEL_USUAL || level == LZ4_LEVEL ? 0
                            : level > LZ4_LEVEL_MAX                             ? LZ4_LEVEL_MAX
                                                                                : level};
    size_t len = out->len - from, cap = 0, got = 0;
    struct bench *b = bench_of_thread();
    *smaller = false;
    if (!b)
        return no_memory(err, "record");
    switch (codec) {
    case MR_CODEC_GZIP:
        if (!deflate_gzip_begin(b, level))
            return no_memory(err, "gzip");
        cap = deflateBound(&b->deflate, len);
        break;
    case MR_CODEC_SNAPPY:
        cap = snappy_max_compressed_length(len);
        break;
    case MR_CODEC_LZ4:
        cap = LZ4F_compressFrameBound(len, &lz4);
        break;
    case MR_CODEC_ZSTD:
        cap = ZSTD_compressBound(len);
        break;
    case MR_CODEC_NONE:
    default:
        return mr_fail(err, MR_UNSUPPORTED, "no codec has the number %d; 1 to 4 are known", (int)codec);
    }
    if (!mr_buf_reserve(out, cap))
        return no_memory(err, "record");
    const char *in = out->p + from;
    char *to = out->p + out->len;
    if (codec == MR_CODEC_GZIP)
        got = deflate_gzip(&b->deflate, in, len, to, cap);
    else if (codec == MR_CODEC_SNAPPY)
        got = snappy_compress(in, len, to, &cap) == SNAPPY_OK ? cap : 0;
    else if (codec == MR_CODEC_LZ4)
        got = deflate_lz4(in, len, to, cap, &lz4);
    else
        got = deflate_zstd(b, level, in, len, to, cap);
    if (got == 0)
        return no_memory(err, "record");
    if (got >= len)
        return MR_OK;
    memcpy(out->p + from, to, got);
    out->len = from + got;
    *smaller = true;
    return MR_OK;
}
