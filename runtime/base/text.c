/* text.c - UTF-8 and near words. */
#include "base/text.h"

#if defined __SSE2__
#include <emmintrin.h>
#endif

/* How many bytes from p on are ASCII, at least as far as whole blocks go. */
static inline size_t ascii_run(const unsigned char *p, size_t len)
{
    size_t i = 0;
#if defined __SSE2__
    for (; len - i >= 64; i += 64) {
        __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(p + i + 16));
        __m128i c = _mm_loadu_si128((const __m128i *)(const void *)(p + i + 32));
        __m128i d = _mm_loadu_si128((const __m128i *)(const void *)(p + i + 48));
        if (_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d))))
            break;
    }
    for (; len - i >= 16; i += 16) {
        int mask = _mm_movemask_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + i)));
        if (mask)
            return i + (size_t)__builtin_ctz((unsigned)mask);
    }
#endif
    for (; len - i >= 8; i += 8) {
        uint64_t w;
        memcpy(&w, p + i, 8);
        if (w & UINT64_C(0x8080808080808080))
            break;
    }
    while (i < len && p[i] < 0x80)
        i++;
    return i;
}

static inline bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

bool mr_utf8_valid(const char *text, size_t len)
{
    const unsigned char *p = (const unsigned char *)text;
    for (size_t i = 0; i < len;) {
        unsigned char c = p[i];
        if (c < 0x80) {
            i += ascii_run(p + i, len - i);
        } else if (c < 0xe0) { /* 80..bf is a tail alone, c0 and c1 are overlong */
            if (c < 0xc2 || len - i < 2 || !is_tail(p[i + 1]))
                return false;
            i += 2;
        } else if (c < 0xf0) {
            if (len - i < 3 || !is_tail(p[i + 1]) || !is_tail(p[i + 2]))
                return false;
            if ((c == 0xe0 && p[i + 1] < 0xa0) || (c == 0xed && p[i + 1] > 0x9f)) /* overlong, surrogate */
                return false;
            i += 3;
        } else {
            if (c > 0xf4 || len - i < 4 || !is_tail(p[i + 1]) || !is_tail(p[i + 2]) || !is_tail(p[i + 3]))
                return false;
            if ((c == 0xf0 && p[i + 1] < 0x90) || (c == 0xf4 && p[i + 1] > 0x8f)) /* overlong, > 10ffff */
                return false;
            i += 4;
        }
    }
    return true;
}

enum { WORD_MAX = 64 };

/* Optimal string alignment: insert, delete, replace, swap neighbours. */
static unsigned distance(struct mr_slice a, struct mr_slice b)
{
    unsigned row[3][WORD_MAX + 1];
    for (unsigned j = 0; j <= b.len; j++)
        row[0][j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *now = row[i % 3], *up = row[(i + 2) % 3], *upup = row[(i + 1) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned best = up[j - 1] + (a.p[i - 1] != b.p[j - 1]);
            if (up[j] + 1 < best)
                best = up[j] + 1;
            if (now[j - 1] + 1 < best)
                best = now[j - 1] + 1;
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
                upup[j - 2] + 1 < best)
                best = upup[j - 2] + 1;
            now[j] = best;
        }
    }
    return row[a.len % 3][b.len];
}

const char *mr_nearest(struct mr_slice word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    unsigned best_distance = (unsigned)(word.len / 3) + 1; /* one slip in three letters is still the word */
    if (word.len == 0 || word.len > WORD_MAX)
        return NULL;
    if (best_distance > 3)
        best_distance = 3;
    for (size_t i = 0; i < count; i++) {
        struct mr_slice c = mr_slice_of(candidates[i]);
        if (c.len == 0 || c.len > WORD_MAX)
            continue;
        unsigned d = distance(word, c);
        if (d >= c.len || d > best_distance || (best && d == best_distance))
            continue;
        best = candidates[i];
        best_distance = d;
    }
    return best;
}
