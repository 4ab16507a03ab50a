/* compact.h - what the files of compaction share. For log/ alone.
 *
 * compact.c       the machine: what is due, headers, keys, groups of sources, the swap
 * compact_copy.c  what becomes of each batch
 */
#ifndef MR_LOG_COMPACT_H
#define MR_LOG_COMPACT_H

#include "base/map.h"
#include "log/inside.h"
#include "log/keymap.h"
#include "wire/record.h"

enum {
    COMPACT_WINDOW = 1 << 18,        /* read and written at a time */
    COMPACT_INFLATE_MAX = 128 << 20, /* of one batch; a larger one stays as it is */
    COMPACT_HEADER_COST = 4096       /* of the budget, at most, for a header that is looked at */
};

enum phase { HEADERS, KEYS, COPY, COPIED, SLOTS, INTEND, NAMES, SOURCES, CLEAR, FINISH, STATE, STATED };

struct range { /* an aborted transaction: records in [first, marker) */
    int64_t first, marker;
};

struct producer {
    int64_t last_data; /* base of its last data batch; -1: none that matters */
    int64_t open;      /* first offset of its open transaction; -1: none */
    bool has_data;     /* the copy has a record of the transaction that the next marker ends */
    struct range *aborted;
    uint32_t count, cap, next;
};

struct compact {
    enum phase phase, then;
    bool waiting, blind; /* blind: older records may hide in a batch: no tombstone goes */
    mr_code rc;          /* of what was waited for */
    int sys;
    mr_ms now;
    int64_t first;      /* base of the log's first segment: when it goes, the pass does */
    int64_t from, upto; /* dirty offsets */
    int64_t copy_end;   /* where the last source ends */
    int64_t aborted;    /* ranges, of all producers */
    mr_ms horizon;      /* the largest that stays; -1 */
    struct keymap keys;
    struct mr_map producers;

    int64_t segment, at, expect; /* where the phase stands */
    char *bytes;                 /* what was read */
    size_t have, cap;
    int64_t have_at;
    struct mr_buf scratch, out; /* inflated records; batches not yet written */

    struct segment to; /* what is being written; its files have .cleaned names */
    struct indexer *indexer;
    bool making, changed;
    int64_t sources_end;
    size_t sources;
    int64_t *gone; /* bases of sources whose files must go */
    size_t gone_count;

    struct compacted want;
    struct mr_file *file; /* of the state that is being written */
    struct mr_compact_counts counts;
};

/* A batch of a source into the copy. `last`: the last one of the pass. */
mr_code copy_batch(struct mr_log *log, struct compact *c, const struct batch *b, const char *bytes, bool last,
                   struct mr_err *err);
mr_code copy_flush(struct compact *c, struct mr_err *err);
/* Does it belong to an aborted transaction? Asked in the order of offsets. */
bool copy_is_aborted(struct compact *c, const struct batch *b);
bool copy_marker_of(const char *bytes, const struct batch *b, struct mr_marker *out); /* false: none */
mr_code compact_no_memory(const struct mr_log *log, struct mr_err *err);

static inline struct mr_slice producer_key(const int64_t *id)
{
    return (struct mr_slice){(const char *)id, sizeof *id};
}

#endif
