/* arena.c - chunks from the heap, newest first; see arena.h. */
#include "base/arena.h"

#include "base/mem.h"

struct chunk {
    struct chunk *older;
    size_t bytes; /* of data */
    _Alignas(16) char data[];
};

static void *more(struct mr_arena *arena, size_t bytes)
{
    struct mr_heap_arena *a = (struct mr_heap_arena *)arena;
    size_t want = (bytes + 15) & ~(size_t)15;
    if (want < bytes || want > a->limit - a->held)
        return NULL;
    size_t size = a->chunk > want ? a->chunk : want;
    if (size > a->limit - a->held)
        size = (a->limit - a->held) & ~(size_t)15;
    if (size < want)
        return NULL;
    struct chunk *c = mr_realloc(NULL, sizeof *c + size);
    if (!c)
        return NULL;
    c->bytes = size;
    a->held += size;
    struct chunk *newest = a->chunks;
    if (newest && size == want && (size_t)(arena->end - arena->at) > 0 && want > a->chunk) {
        /* a large piece of its own: what is left of the present chunk stays in use */
        c->older = newest->older;
        newest->older = c;
        return c->data;
    }
    c->older = newest;
    a->chunks = c;
    arena->at = c->data + want;
    arena->end = c->data + size;
    return c->data;
}

void mr_heap_arena_init(struct mr_heap_arena *a, size_t chunk, size_t keep, size_t limit)
{
    *a = (struct mr_heap_arena){.limit = limit, .keep = keep, .chunk = chunk < 256 ? 256 : chunk};
    a->arena.more = more;
}

void mr_heap_arena_reset(struct mr_heap_arena *a)
{
    struct chunk *c = a->chunks;
    size_t held = a->held;
    if (!c)
        return;
    if (c->older == NULL && c->bytes <= a->keep) { /* the usual case: one chunk, kept */
        a->arena.at = c->data;
        a->arena.end = c->data + c->bytes;
        return;
    }
    mr_heap_arena_fini(a);
    /* the next use probably needs as much as this one: one chunk of that size, so it settles */
    size_t size = held < a->keep ? held : a->keep;
    size &= ~(size_t)15;
    if (size == 0 || size > a->limit)
        return;
    c = mr_realloc(NULL, sizeof *c + size);
    if (!c)
        return;
    c->older = NULL;
    c->bytes = size;
    a->chunks = c;
    a->held = size;
    a->arena.at = c->data;
    a->arena.end = c->data + size;
}

void mr_heap_arena_fini(struct mr_heap_arena *a)
{
    for (struct chunk *c = a->chunks; c;) {
        struct chunk *older = c->older;
        mr_free(c);
        c = older;
    }
    a->chunks = NULL;
    a->held = 0;
    a->arena.at = a->arena.end = NULL;
}
