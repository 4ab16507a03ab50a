/* map.h - bytes to pointer, open addressing, insertion-ordered iteration not promised.
 *
 * Keys are copied. Thread: one at a time. Cost: O(1), one probe mostly. Bound: `limit` entries.
 */
#ifndef MR_BASE_MAP_H
#define MR_BASE_MAP_H

#include <millrace/types.h>

struct mr_map_entry;
struct mr_map {
    struct mr_map_entry *entries;
    size_t count, cap, used, limit;
    uint64_t seed;
};

/* Mixed into the hash of every map made afterwards: set once at start, from randomness, where keys come from
 * outside. Without it iteration is the same in every run, which the simulator needs. */
void mr_map_seed(uint64_t seed);

void mr_map_init(struct mr_map *m, size_t limit);               /* limit 0: 1 << 24 entries */
void mr_map_fini(struct mr_map *m, void (*free_value)(void *)); /* free_value may be NULL */
void *mr_map_get(const struct mr_map *m, struct mr_slice key);  /* NULL: absent */
/* Puts or replaces; the former value comes back in *was when not NULL. false: limit or no memory. */
bool mr_map_put(struct mr_map *m, struct mr_slice key, void *value, void **was);
void *mr_map_remove(struct mr_map *m, struct mr_slice key); /* the value, NULL: absent */
/* for (size_t i = 0; mr_map_next(m, &i, &key, &value);) - removing the entry in hand is allowed */
bool mr_map_next(const struct mr_map *m, size_t *i, struct mr_slice *key, void **value);

#endif
