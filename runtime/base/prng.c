/* prng.c - xoshiro256** of Blackman and Vigna, public domain algorithm; seeded by splitmix64. */
#include "base/prng.h"

#include "base/assert.h"

void mr_prng_seed(struct mr_prng *r, uint64_t seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t z = (seed += UINT64_C(0x9e3779b97f4a7c15));
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        r->s[i] = z ^ (z >> 31);
    }
}

static inline uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t mr_prng_next(struct mr_prng *r)
{
    uint64_t *s = r->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t mr_prng_below(struct mr_prng *r, uint64_t bound)
{
    mr_assert(bound > 0);
    uint64_t skip = (0 - bound) % bound; /* 2^64 mod bound: the part that would be uneven */
    for (;;) {
        uint64_t x = mr_prng_next(r);
        if (x >= skip)
            return x % bound;
    }
}
