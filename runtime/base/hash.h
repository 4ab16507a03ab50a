/* hash.h - checksums and hashes. CRC-32C uses the processor's instruction where there is one. */
#ifndef MR_BASE_HASH_H
#define MR_BASE_HASH_H

#include <millrace/types.h>

/* CRC-32C (Castagnoli, RFC 3720 B.4) of `p` continued from `crc` (0 to begin). */
uint32_t mr_crc32c(uint32_t crc, const void *p, size_t len);
/* The same by tables, whatever the processor has: for tests to compare with. */
uint32_t mr_crc32c_portable(uint32_t crc, const void *p, size_t len);
/* XXH3 64 bits. Seeded where keys come from outside. */
uint64_t mr_hash64(const void *p, size_t len, uint64_t seed);
/* Kafka's default partitioner: 32-bit murmur2 with seed 0x9747b28c; & 0x7fffffff before the modulo. */
uint32_t mr_murmur2(const void *p, size_t len);

#endif
