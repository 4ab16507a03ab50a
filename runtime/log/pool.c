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
    struct mr_world *world;
    struct mr_timer rest;
    uint32_t idle;   /* slabs that are there and not in use */
    uint32_t spared; /* the least of that since the timer was set: nobody needed them */
    size_t out;      /* chunks */
    bool resting;    /* the timer is set */
    bool closing;
};

enum { ALL = (1 << MR_LOG_SLAB_CHUNKS) - 1, SLAB = MR_LOG_CHUNK * MR_LOG_SLAB_CHUNKS };
_Static_assert(SLAB % MR_PAGES_BYTES == 0, "a slab is whole large pages");

struct mr_log_pool *mr_log_pool_new(struct mr_world *w)
{
    struct mr_log_pool *pool = mr_alloc(sizeof *pool);
    if (pool)
        pool->world = w;
    return pool;
}

/* The last ones: the first are taken first. */
static void drop_idle(struct mr_log_pool *pool, uint32_t count)
{
    for (int i = MR_LOG_POOL_SLABS - 1; i >= 0 && count; i--) {
        struct slab *s = &pool->slab[i];
        if (!s->bytes || s->busy)
            continue;
        mr_free_pages(s->bytes, SLAB);
        s->bytes = NULL;
        pool->idle--;
        count--;
    }
}

static void rest(void *arg)
{
    struct mr_log_pool *pool = arg;
    drop_idle(pool, pool->spared);
    pool->spared = pool->idle;
    pool->resting = pool->idle > 0;
    if (pool->resting)
        mr_timer_set(pool->world, &pool->rest, mr_now(pool->world) + MR_LOG_POOL_REST_MS);
}

static void end(struct mr_log_pool *pool)
{
    drop_idle(pool, MR_LOG_POOL_SLABS);
    mr_free(pool);
}

void mr_log_pool_free(struct mr_log_pool *pool)
{
    if (!pool)
        return;
    pool->closing = true;
    mr_timer_stop(pool->world, &pool->rest);
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
    } else if (!s->busy) {
        pool->idle--;
        if (pool->spared > pool->idle)
            pool->spared = pool->idle;
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
        pool->idle += !s->busy;
        break;
    }
    if (!pool->resting && !pool->closing) {
        pool->resting = true;
        pool->spared = 0;
        pool->rest.fire = rest;
        pool->rest.arg = pool;
        mr_timer_set(pool->world, &pool->rest, mr_now(pool->world) + MR_LOG_POOL_REST_MS);
    }
    mr_assert(pool->out > 0);
    if (--pool->out == 0 && pool->closing)
        end(pool);
}
