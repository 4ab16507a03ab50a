/* batch_inside.h - what the files of this folder know about a batch that nobody else does.
 *
 * Words.  A *shape* is a name seen at one place of the events' JSON, as the text `"name":`, with a guess of
 *         what comes next: the reader compares the text with the guess instead of looking the name up.
 *         Top-level shapes belong to columns; the ones of nested objects have no slot.
 */
#ifndef MR_DATA_BATCH_INSIDE_H
#define MR_DATA_BATCH_INSIDE_H

#include "data/batch.h"

enum {
    MR_SHAPE_PAD = 32,          /* readable bytes behind a shape's text */
    MR_SHAPES_NESTED_MAX = 256, /* nested shapes a batch; beyond it names are just read */
    MR_ORDER_RISING = 0xfffe,   /* in the order of the columns, of which some may be missing */
    MR_ORDER_OTHER = 0xffff     /* in another order; any smaller number n: exactly columns 0 to n - 1 */
};

struct mr_shape {
    const char *quoted;    /* "name": with the name as JSON writes it; at least MR_SHAPE_PAD bytes readable */
    uint32_t len;          /* bytes of quoted */
    int32_t slot;          /* -1: nested */
    bool twin;             /* nested: the same name came before it in its object */
    struct mr_shape *next; /* the member that followed the last time, NULL unknown */
    struct mr_shape *child; /* the first member inside, when the value was an object */
};

struct mr_batch_pin {
    struct mr_batch_pin *next;
    void (*release)(void *);
    void *what;
};

struct mr_batch_more {
    struct mr_batch pub; /* first */
    struct mr_heap_arena arena;
    struct mr_heap_arena values; /* of the columns */
    struct mr_batch_pool *pool;
    struct mr_batch_more *next_free;
    struct mr_batch_pin *pins;
    struct mr_slice *reason; /* [row], NULL as long as nothing was rejected */
    uint32_t *text_len;      /* [row] length of the JSON text at raw[row].p, also after a touch; 0: none */
    uint16_t *order; /* [row] how the members of that text lie: a number of columns, or MR_ORDER_... */
    struct mr_shape **shape; /* [column] */
    struct mr_shape *first;  /* the member that an event began with the last time */
    uint16_t *index;         /* slots by hash, once there are many columns */
    uint32_t index_size;     /* a power of two */
    uint32_t columns_cap;
    uint32_t last; /* slot found last */
    uint32_t shapes_nested;
};

static inline struct mr_batch_more *mr_batch_more_of(const struct mr_batch *b)
{
    return (struct mr_batch_more *)b->runtime;
}

/* Puts a removed column back, empty. */
void mr_batch_revive(struct mr_batch *b, uint32_t slot);
/* A shape of its own for a nested name. NULL: enough of them, or no memory. */
struct mr_shape *mr_batch_shape_nested(struct mr_batch *b, const char *quoted, size_t len);

#endif
