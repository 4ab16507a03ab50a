/* seeds.h - which seeds a test of laws runs: MR_SEED=n runs that one, MR_SEEDS=n runs 0 to n. */
#ifndef TESTS_SIM_SEEDS_H
#define TESTS_SIM_SEEDS_H

#include <stdint.h>
#include <stdlib.h>

static inline uint64_t mr_seed_start(void)
{
    const char *one = getenv("MR_SEED");
    return one ? strtoull(one, NULL, 10) : 0;
}

static inline uint64_t mr_seed_end(uint64_t usual)
{
    const char *one = getenv("MR_SEED"), *many = getenv("MR_SEEDS");
    return one ? strtoull(one, NULL, 10) + 1 : many ? strtoull(many, NULL, 10) : usual;
}

#endif
