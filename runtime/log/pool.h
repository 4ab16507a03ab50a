/* pool.h - memory for appends that go to the disk around the page cache: chunks of one size, shared by the logs
 * of a world, bounded.
 *
 * A single-threaded machine. Memory comes in slabs of large pages, for the disk reads it where it lies. Slabs that
 * nobody needed for MR_LOG_POOL_REST_MS are given back, so that a load in full swing touches no new memory, and a node at
 * rest holds none.
 */
#ifndef MR_LOG_POOL_H
#define MR_LOG_POOL_H

#include "log/log.h"

enum {
    MR_LOG_CHUNK = 256 << 10, /* bytes of a chunk; a multiple of MR_FILE_BLOCK, as is its address */
    MR_LOG_SLAB_CHUNKS = 8,   /* chunks in a slab of 2 MiB */
    MR_LOG_POOL_SLABS = 32,   /* 64 MiB at most; when they are in use, appends go by the page cache */
    MR_LOG_POOL_REST_MS = 1000
};

struct chunk {
    struct chunk *next; /* the owner's */
    char *bytes;
    size_t used;
};

struct chunk *pool_take(struct mr_log_pool *pool); /* NULL: the bound is reached, or no memory */
void pool_give(struct mr_log_pool *pool, struct chunk *c);

#endif
