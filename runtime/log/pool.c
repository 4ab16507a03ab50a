/* pool.c - see pool.h. */
#include "log/pool.h"

#include "base/assert.h"
#include "base/mem.h"

struct slab {
    char *bytes;   /* NULL: not there */
    uint32_t busy; /* a bit for each chunk that is out */
    struct chunk chunk[MR_LOG_SLAB_CHUNKS];
};

struct mr_log_pool {
    struct slab slab[MR_LOG_POOL_SLABS];
    uint32_t slabs; /* that are there */
    size_t out;     /* chunks */
    bool closing;
};

enum { ALL = (1 << MR_LOG_SLAB_CHUNKS) - 1, SLAB = MR_LOG_CHUNK * MR_LOG_SLAB_CHUNKS };
_Static_assert(SLAB % MR_PAGES_BYTES == 0, "a slab is whole large pages");

struct mr_log_pool *mr_log_pool_new(void)
{
    return mr_alloc(sizeof(struct mr_log_pool));
}

static void slab_drop(struct mr_log_pool *pool, struct slab *s)
{
    mr_assert(!s->busy);
    mr_free_pages(s->bytes, SLAB);
    s->bytes = NULL;
    pool->slabs--;
}

static void end(struct mr_log_pool *pool)
{
    for (int i = 0; i < MR_LOG_POOL_SLABS; i++)
        if (pool->slab[i].bytes)
            slab_drop(pool, &pool->slab[i]);
    mr_free(pool);
}

void mr_log_pool_free(struct mr_log_pool *pool)
{
    if (!pool)
        return;
    pool->closing = true;
    if (pool->out == 0)
        end(pool);
}

struct chunk *pool_take(struct mr_log_pool *pool)
{
    struct slab *s = NULL;
    for (int i = 0; i < MR_LOG_POOL_SLABS; i++) { /* the first that has room: the others fall idle */
        struct slab *here = &pool->slab[i];
        if (here->bytes && here->busy != ALL) {
            s = here;
            break;
        }
        if (!here->bytes && !s)
            s = here;
    }
    if (!s)
        return NULL;
    if (!s->bytes) {
        if (!(s->bytes = mr_alloc_pages(SLAB)))
            return NULL;
        pool->slabs++;
    }
    int i = 0;
    while (s->busy >> i & 1)
        i++;
    s->busy |= UINT32_C(1) << i;
    pool->out++;
    s->chunk[i] = (struct chunk){.bytes = s->bytes + (size_t)i * MR_LOG_CHUNK};
    return &s->chunk[i];
}

void pool_give(struct mr_log_pool *pool, struct chunk *c)
{
    for (int i = 0; i < MR_LOG_POOL_SLABS; i++) {
        struct slab *s = &pool->slab[i];
        if (c < s->chunk || c >= s->chunk + MR_LOG_SLAB_CHUNKS)
            continue;
        uint32_t bit = UINT32_C(1) << (c - s->chunk);
        mr_assert(s->busy & bit);
        s->busy &= ~bit;
        if (!s->busy && pool->slabs > MR_LOG_POOL_KEEP)
            slab_drop(pool, s);
        break;
    }
    mr_assert(pool->out > 0);
    if (--pool->out == 0 && pool->closing)
        end(pool);
}
