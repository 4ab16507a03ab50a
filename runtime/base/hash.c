/* hash.c - CRC-32C three ways, XXH3, Kafka's murmur2.
 *
 * CRC-32C by instruction runs at one 8-byte word a cycle but waits three cycles for each result, so three
 * stretches of the input run side by side. Their remainders are joined by shifting the first ones over the
 * length of those that follow: a linear map, kept as four tables of 256 words a length.
 */
#include "base/hash.h"

#include <xxhash.h>

enum { POLY = (int)0x82f63b78u, LONG = 4096, SHORT = 256 };

static uint32_t table[8][256];       /* slicing by 8 */
static uint32_t shift_long[4][256];  /* over LONG zero bytes */
static uint32_t shift_short[4][256]; /* over SHORT zero bytes */

static uint32_t crc_table(uint32_t crc, const unsigned char *p, size_t len)
{
    while (len && ((uintptr_t)p & 7)) {
        crc = table[0][(crc ^ *p++) & 255] ^ (crc >> 8);
        len--;
    }
    for (; len >= 8; p += 8, len -= 8) {
        uint32_t lo =
            crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = table[7][lo & 255] ^ table[6][(lo >> 8) & 255] ^ table[5][(lo >> 16) & 255] ^
              table[4][lo >> 24] ^ table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    while (len--)
        crc = table[0][(crc ^ *p++) & 255] ^ (crc >> 8);
    return crc;
}

static uint32_t (*crc_best)(uint32_t crc, const unsigned char *p, size_t len) = crc_table;

#if defined __x86_64__ || (defined __aarch64__ && defined __linux__)
#define HAVE_INSTRUCTION 1
static inline uint32_t shift(uint32_t t[4][256], uint32_t crc)
{
    return t[0][crc & 255] ^ t[1][(crc >> 8) & 255] ^ t[2][(crc >> 16) & 255] ^ t[3][crc >> 24];
}
static inline uint64_t word(const unsigned char *p)
{
    uint64_t w;
    memcpy(&w, p, 8);
    return w;
}
#if defined __x86_64__
#include <nmmintrin.h>
#define TARGET      __attribute__((target("sse4.2")))
#define STEP8(c, w) ((uint32_t)_mm_crc32_u64((c), (w)))
#define STEP1(c, b) _mm_crc32_u8((c), (b))
#else
#include <arm_acle.h>
#include <sys/auxv.h>
#define TARGET      __attribute__((target("+crc")))
#define STEP8(c, w) __crc32cd((c), (w))
#define STEP1(c, b) __crc32cb((c), (b))
#endif

/* Three runs of `lane` bytes side by side, as often as there are three; `by` moves a checksum over a lane. */
TARGET static inline __attribute__((always_inline)) uint32_t
three(uint32_t crc, const unsigned char **at, size_t *left, size_t lane, uint32_t by[4][256])
{
    const unsigned char *p = *at;
    size_t len = *left;
    for (; len >= 3 * lane; p += 3 * lane, len -= 3 * lane) {
        uint32_t a = crc, b = 0, c = 0;
        for (size_t i = 0; i < lane; i += 8) {
            a = STEP8(a, word(p + i));
            b = STEP8(b, word(p + lane + i));
            c = STEP8(c, word(p + 2 * lane + i));
        }
        crc = shift(by, shift(by, a) ^ b) ^ c;
    }
    *at = p;
    *left = len;
    return crc;
}

TARGET static uint32_t crc_instruction(uint32_t crc, const unsigned char *p, size_t len)
{
    crc = three(crc, &p, &len, LONG, shift_long);
    crc = three(crc, &p, &len, SHORT, shift_short);
    for (; len >= 8; p += 8, len -= 8)
        crc = STEP8(crc, word(p));
    while (len--)
        crc = STEP1(crc, *p++);
    return crc;
}
#endif

static void make_shift(uint32_t t[4][256], size_t zeros)
{
    uint32_t bit[32]; /* where each single bit goes */
    for (int i = 0; i < 32; i++) {
        uint32_t crc = UINT32_C(1) << i;
        for (size_t n = 0; n < zeros; n++)
            crc = table[0][crc & 255] ^ (crc >> 8);
        bit[i] = crc;
    }
    for (int k = 0; k < 4; k++)
        for (uint32_t v = 0; v < 256; v++) {
            uint32_t sum = 0;
            for (int i = 0; i < 8; i++)
                if (v >> i & 1)
                    sum ^= bit[k * 8 + i];
            t[k][v] = sum;
        }
}

/* Before main, so that no call pays for a check. About 0.4 ms. */
__attribute__((constructor)) static void make_tables(void)
{
    for (uint32_t v = 0; v < 256; v++) {
        uint32_t crc = v;
        for (int i = 0; i < 8; i++)
            crc = (crc >> 1) ^ (crc & 1 ? (uint32_t)POLY : 0);
        table[0][v] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (uint32_t v = 0; v < 256; v++)
            table[k][v] = table[0][table[k - 1][v] & 255] ^ (table[k - 1][v] >> 8);
    make_shift(shift_long, LONG);
    make_shift(shift_short, SHORT);
#if defined __x86_64__
    if (__builtin_cpu_supports("sse4.2"))
        crc_best = crc_instruction;
#elif defined HAVE_INSTRUCTION
    if (getauxval(AT_HWCAP) & (1ul << 7)) /* HWCAP_CRC32 */
        crc_best = crc_instruction;
#endif
}

uint32_t mr_crc32c(uint32_t crc, const void *p, size_t len)
{
    return ~crc_best(~crc, p, len);
}

uint32_t mr_crc32c_portable(uint32_t crc, const void *p, size_t len)
{
    return ~crc_table(~crc, p, len);
}

uint64_t mr_hash64(const void *p, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(len ? p : "", len, seed);
}

uint32_t mr_murmur2(const void *key, size_t len)
{
    const uint32_t m = 0x5bd1e995u;
    const unsigned char *p = key;
    uint32_t h = 0x9747b28cu ^ (uint32_t)len;
    for (; len >= 4; p += 4, len -= 4) {
        uint32_t k = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        k *= m;
        k ^= k >> 24;
        k *= m;
        h = (h * m) ^ k;
    }
    if (len == 3)
        h ^= (uint32_t)p[2] << 16;
    if (len >= 2)
        h ^= (uint32_t)p[1] << 8;
    if (len >= 1)
        h = (h ^ p[0]) * m;
    h ^= h >> 13;
    h *= m;
    return h ^ (h >> 15);
}
