/* map.c - linear probing over a power of two, tombstones for what was removed.
 *
 * Laws:  M1  at least a quarter of the entries is free, so a probe ends
 *        M2  an entry never moves except when the table is rebuilt, which only put does: removing while
 *            iterating is safe
 */
#include "base/map.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/mem.h"

struct mr_map_entry {
    char *key; /* NULL: free; TOMB: removed */
    size_t len;
    uint64_t hash;
    void *value;
};

static char tomb;
#define TOMB (&tomb)

static uint64_t process_seed = UINT64_C(0x6d696c6c72616365);

void mr_map_seed(uint64_t seed)
{
    process_seed = seed;
}

void mr_map_init(struct mr_map *m, size_t limit)
{
    *m = (struct mr_map){.limit = limit ? limit : (size_t)1 << 24, .seed = process_seed};
}

void mr_map_fini(struct mr_map *m, void (*free_value)(void *))
{
    for (size_t i = 0; i < m->cap; i++) {
        struct mr_map_entry *e = &m->entries[i];
        if (!e->key || e->key == TOMB)
            continue;
        if (free_value)
            free_value(e->value);
        mr_free(e->key);
    }
    mr_free(m->entries);
    m->entries = NULL;
    m->count = m->cap = m->used = 0;
}

static struct mr_map_entry *find(const struct mr_map *m, struct mr_slice key, uint64_t hash)
{
    if (m->cap == 0)
        return NULL;
    for (size_t i = (size_t)hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct mr_map_entry *e = &m->entries[i];
        if (!e->key)
            return NULL; /* M1: comes */
        if (e->hash == hash && e->len == key.len && e->key != TOMB &&
            (key.len == 0 || memcmp(e->key, key.p, key.len) == 0))
            return e;
    }
}

void *mr_map_get(const struct mr_map *m, struct mr_slice key)
{
    if (m->count == 0)
        return NULL;
    struct mr_map_entry *e = find(m, key, mr_hash64(key.p, key.len, m->seed));
    return e ? e->value : NULL;
}

static bool rebuild(struct mr_map *m, size_t cap)
{
    struct mr_map_entry *entries = mr_alloc(cap * sizeof *entries);
    if (!entries)
        return false;
    for (size_t i = 0; i < m->cap; i++) {
        struct mr_map_entry *e = &m->entries[i];
        if (!e->key || e->key == TOMB)
            continue;
        size_t at = (size_t)e->hash & (cap - 1);
        while (entries[at].key)
            at = (at + 1) & (cap - 1);
        entries[at] = *e;
    }
    mr_free(m->entries);
    m->entries = entries;
    m->cap = cap;
    m->used = m->count;
    return true;
}

bool mr_map_put(struct mr_map *m, struct mr_slice key, void *value, void **was)
{
    uint64_t hash = mr_hash64(key.p, key.len, m->seed);
    struct mr_map_entry *e = find(m, key, hash);
    if (was)
        *was = e ? e->value : NULL;
    if (e) {
        e->value = value;
        return true;
    }
    if (m->count >= m->limit)
        return false;
    if ((m->used + 1) * 4 > m->cap * 3) {
        size_t cap = m->cap ? m->cap : 16;
        while ((m->count + 1) * 2 > cap)
            cap *= 2;
        if (!rebuild(m, cap))
            return false;
    }
    char *copy = mr_strndup(key.p, key.len);
    if (!copy)
        return false;
    size_t at = (size_t)hash & (m->cap - 1);
    while (m->entries[at].key && m->entries[at].key != TOMB)
        at = (at + 1) & (m->cap - 1);
    if (!m->entries[at].key)
        m->used++;
    m->entries[at] = (struct mr_map_entry){.key = copy, .len = key.len, .hash = hash, .value = value};
    m->count++;
    mr_assert(m->used * 4 <= m->cap * 3); /* M1 */
    return true;
}

void *mr_map_remove(struct mr_map *m, struct mr_slice key)
{
    struct mr_map_entry *e = m->count ? find(m, key, mr_hash64(key.p, key.len, m->seed)) : NULL;
    if (!e)
        return NULL;
    void *value = e->value;
    mr_free(e->key);
    *e = (struct mr_map_entry){.key = TOMB};
    m->count--;
    return value;
}

bool mr_map_next(const struct mr_map *m, size_t *i, struct mr_slice *key, void **value)
{
    for (; *i < m->cap; (*i)++) {
        const struct mr_map_entry *e = &m->entries[*i];
        if (!e->key || e->key == TOMB)
            continue;
        if (key)
            *key = (struct mr_slice){e->key, e->len};
        if (value)
            *value = e->value;
        (*i)++;
        return true;
    }
    return false;
}
