/* prng.h - seeded pseudo-random numbers (xoshiro256**, seeded by splitmix64); not for secrets. */
#ifndef MR_BASE_PRNG_H
#define MR_BASE_PRNG_H

#include <millrace/types.h>

struct mr_prng {
    uint64_t s[4];
};
void mr_prng_seed(struct mr_prng *r, uint64_t seed);
uint64_t mr_prng_next(struct mr_prng *r);
uint64_t mr_prng_below(struct mr_prng *r, uint64_t bound); /* uniform in [0, bound); bound > 0 */

#endif
