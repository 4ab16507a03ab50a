/* json_scan.h - finding bytes in JSON text, WIDTH at a time; compiled once for each kind of processor.
 *
 * A *stop* is a byte that ends a run of plain string text: a quote, a backslash, a control character, or
 * anything beyond ASCII. No load goes beyond the text: near its end the last WIDTH bytes are taken and the
 * part already seen is shifted out.
 */
#ifndef MR_DATA_JSON_SCAN_H
#define MR_DATA_JSON_SCAN_H

#include <stdint.h>
#include <string.h>

#if defined(MR_JSON_PORTABLE) /* tests: what a processor of another family gets */
#undef __AVX2__
#undef __SSE2__
#endif

#if defined(__AVX2__)
#include <immintrin.h>
enum { WIDTH = 32 };

static inline uint32_t stops(const char *p) /* bit i: p[i] is a stop */
{
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i hit = _mm256_or_si256(_mm256_cmpeq_epi8(x, _mm256_set1_epi8('"')),
                                  _mm256_cmpeq_epi8(x, _mm256_set1_epi8('\\')));
    /* signed: below a blank are the control characters and all bytes from 0x80 */
    hit = _mm256_or_si256(hit, _mm256_cmpgt_epi8(_mm256_set1_epi8(' '), x));
    return (uint32_t)_mm256_movemask_epi8(hit);
}

static inline uint32_t equals(const char *p, const char *q) /* bit i: p[i] == q[i] */
{
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)p);
    __m256i y = _mm256_loadu_si256((const __m256i *)(const void *)q);
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(x, y));
}

static inline uint32_t either(const char *p, char a, char b, char c) /* bit i: p[i] is one of them */
{
    __m256i x = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return (uint32_t)_mm256_movemask_epi8(_mm256_or_si256(
        _mm256_or_si256(_mm256_cmpeq_epi8(x, _mm256_set1_epi8(a)), _mm256_cmpeq_epi8(x, _mm256_set1_epi8(b))),
        _mm256_cmpeq_epi8(x, _mm256_set1_epi8(c))));
}
#elif defined(__SSE2__)
#include <emmintrin.h>
enum { WIDTH = 16 };

static inline uint32_t stops(const char *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i hit = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')), _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
    hit = _mm_or_si128(hit, _mm_cmplt_epi8(x, _mm_set1_epi8(' ')));
    return (uint32_t)_mm_movemask_epi8(hit);
}

static inline uint32_t equals(const char *p, const char *q)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i y = _mm_loadu_si128((const __m128i *)(const void *)q);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(x, y));
}

static inline uint32_t either(const char *p, char a, char b, char c)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    return (uint32_t)_mm_movemask_epi8(
        _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(a)), _mm_cmpeq_epi8(x, _mm_set1_epi8(b))),
                     _mm_cmpeq_epi8(x, _mm_set1_epi8(c))));
}
#else
enum { WIDTH = 8 };

static inline uint32_t stops(const char *p)
{
    uint32_t mask = 0;
    for (int i = 0; i < WIDTH; i++) {
        unsigned char c = (unsigned char)p[i];
        mask |= (uint32_t)(c == '"' || c == '\\' || c < ' ' || c >= 0x80) << i;
    }
    return mask;
}

static inline uint32_t equals(const char *p, const char *q)
{
    uint32_t mask = 0;
    for (int i = 0; i < WIDTH; i++)
        mask |= (uint32_t)(p[i] == q[i]) << i;
    return mask;
}

static inline uint32_t either(const char *p, char a, char b, char c)
{
    uint32_t mask = 0;
    for (int i = 0; i < WIDTH; i++)
        mask |= (uint32_t)(p[i] == a || p[i] == b || p[i] == c) << i;
    return mask;
}
#endif

static inline const char *next_stop_slow(const char *p, const char *end)
{
    for (; p < end; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"' || c == '\\' || c < ' ' || c >= 0x80)
            break;
    }
    return p;
}

/* The first stop from p on; `end` when there is none. begin: where loads may start. */
static inline const char *next_stop(const char *begin, const char *p, const char *end)
{
    for (; end - p >= WIDTH; p += WIDTH) {
        uint32_t mask = stops(p);
        if (mask)
            return p + __builtin_ctz(mask);
    }
    if (end - begin < WIDTH)
        return next_stop_slow(p, end);
    uint32_t left = (uint32_t)(end - p), mask = left ? stops(end - WIDTH) >> ((uint32_t)WIDTH - left) : 0;
    return mask ? p + __builtin_ctz(mask) : end;
}

/* Is the text at p the `len` bytes of `want`, behind which 32 bytes may be read? */
static inline int same_text(const char *p, const char *end, const char *want, uint32_t len)
{
    if (end - p < 32 || len > 32)
        return (uint32_t)(end - p) >= len && end - p >= 0 && memcmp(p, want, len) == 0;
#if defined(__AVX2__)
    uint32_t differ = ~equals(p, want);
    return len == 32 ? !differ : !(differ & (((uint32_t)1 << len) - 1));
#elif defined(__SSE2__)
    uint64_t differ = ~(equals(p, want) | (uint64_t)equals(p + 16, want + 16) << 16);
    return !(differ & (((uint64_t)1 << len) - 1));
#else
    return memcmp(p, want, len) == 0;
#endif
}

#endif
