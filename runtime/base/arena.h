/* arena.h - arenas that take their memory from the heap in chunks and keep it between uses.
 *
 * A heap arena starts with `struct mr_arena`, so its address is what mr_arena_take wants. `reset` gives
 * everything back at once but keeps the first chunk (grown to what was needed, up to `keep`), so that a
 * reused arena soon stops calling malloc and touching new pages.
 */
#ifndef MR_BASE_ARENA_H
#define MR_BASE_ARENA_H

#include <millrace/types.h>

struct mr_heap_arena {
    struct mr_arena arena; /* first */
    void *chunks;          /* newest first */
    size_t held, limit;    /* bytes from the heap, and the most there may be */
    size_t keep;           /* bytes kept across reset */
    size_t chunk;          /* bytes of a usual chunk */
};

/*   chunk  bytes of a usual chunk;  limit  bytes: mr_arena_take answers NULL beyond it */
void mr_heap_arena_init(struct mr_heap_arena *a, size_t chunk, size_t keep, size_t limit);
void mr_heap_arena_reset(struct mr_heap_arena *a); /* everything taken from it is gone */
void mr_heap_arena_fini(struct mr_heap_arena *a);  /* content with a zeroed one */

#endif
