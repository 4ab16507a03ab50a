/* inside.h - one log from within: segments, indexes, what is on the way to the disk. For log/ alone.
 *
 * Words.  The *active* segment is the last; only it grows. *Sealed* ones never change. An index
 *         *entry* says at which byte of the segment a batch begins; entries are hints, checked
 *         against the batch they point to. The *recovery point* is an offset and its byte
 *         position, below which everything is synced.
 *
 * Files of a log:
 *   <20 digits>.log        batches back to back; the digits are the offset of the first
 *   <20 digits>.index      8 bytes an entry: offset - base, position (little-endian u32 each)
 *   <20 digits>.timeindex  16 bytes an entry: largest timestamp before the batch, offset - base,
 *                          CRC-32C of these; after the last entry a seal: of all, and the end
 *   recovery               two slots of a sector each, written in turn; the valid one with the
 *                          higher number counts
 *   clean                  the segments as they were at a clean close; gone before anything else
 *                          changes
 *   compact                how far the log is compacted, and a swap that has begun (swap.c)
 *   <20 digits>.log.deleted  dropped, and kept for file.delete.delay.ms
 *   <20 digits>.*.cleaned  what compaction is writing, or what a swap is about to put in place
 */
#ifndef MR_LOG_INSIDE_H
#define MR_LOG_INSIDE_H

#include "log/log.h"
#include "log/pool.h"

enum {
    MR_LOG_HEADER = 61,
    MR_LOG_TAIL = 256,   /* index entries of the active segment kept in memory before they are written */
    MR_LOG_OPEN_MAX = 8, /* sealed segments whose files are open at a time */
    MR_LOG_CURSORS = 8,  /* places where readers are known to go on */
    MR_LOG_DAMAGE_MAX = 16,
    MR_LOG_DROPPED_MAX = 64, /* dropped segments whose files are kept for a while; more go at once */
    MR_LOG_SLOT = 512,
    MR_LOG_NAME = 40, /* bytes of a file's name in the directory */
    MR_LOG_BATCH_MAX = 256 << 20,
    MR_LOG_WALK = 4096 /* bytes read at a time while walking headers */
};

struct batch { /* what the log looks at in a batch's header */
    int64_t base;
    int64_t max_ts; /* INT64_MIN: it has no record left */
    int64_t size;   /* whole, in bytes */
    int64_t producer;
    int32_t last_delta, count;
    int16_t attributes;
    uint32_t crc;
};

struct segment {
    int64_t base, size;
    int64_t max_ts; /* largest timestamp; INT64_MIN: none, or not known yet */
    bool max_known; /* max_ts is right */
    bool dirty;     /* has bytes that are not synced */
    bool suspect;   /* its index was written before a crash, or not at all: put right when somebody looks */
    mr_ns created;  /* wall clock of the first append, or the nearest that is known */
    uint64_t used;  /* for closing the least used */
    bool cold;      /* a part of it went around the page cache: its first reader waits for the disk */
    int64_t ahead;  /* of a cold one: up to here the disk was asked in time */
    struct mr_file *log, *index, *times; /* NULL: not open */
    uint32_t entries;                    /* in the index file, and in the timeindex */
};

struct indexer {    /* entries on their way into the files of one segment */
    int64_t since;  /* bytes since the last entry */
    int64_t max_ts; /* of all batches so far */
    uint32_t count;
    struct {
        int64_t ts;
        uint32_t rel, pos;
    } e[MR_LOG_TAIL];
};

struct damage { /* offsets [from, to) cannot be read */
    int64_t from, to, segment, at;
};

struct cursor {
    int64_t offset, segment, at;
};

struct waiter {
    int64_t target;
    mr_done_fn done;
    void *arg;
};

struct point { /* a recovery point */
    int64_t offset, segment, at;
};

struct run { /* bytes of one segment in chunks (direct.c); first NULL: none */
    int64_t segment, at;
    uint32_t chunks;
    struct chunk *first, *last;
};

/* What the file `compact` says. */
struct compacted {
    int64_t clean;      /* offset below which no key has two records */
    int64_t gaps_below; /* segments with a smaller base may have gaps between batches */
    mr_ms horizon;      /* when all tombstones and markers below `clean` may have gone; -1: there are none */
    int64_t base, upto, size; /* a swap: segments of [base, upto) become one of `size` bytes; base -1: none */
};

/* Callbacks from workers hold this rather than the log, which may be closed before they come. */
struct token {
    struct mr_log *log;
    uint32_t owners;
};

struct mr_log {
    struct mr_world *world;
    struct mr_log_config config;
    char *dir;
    struct segment *seg; /* ascending; the last is active */
    size_t count, cap;
    int64_t start, end, synced, bytes;
    uint64_t clock; /* for segment.used */
    bool broken, names_dirty, recovered;
    bool fresh;   /* new: the name of its directory and its first recovery point are not durable either */
    bool marked;  /* there is a clean marker */
    bool lingers; /* it may come back with a crash: its removal is not known to be durable */
    mr_code broken_why;
    struct indexer *indexer; /* of the active segment; NULL before the first append */
    struct cursor cursor[MR_LOG_CURSORS];
    uint32_t next_cursor;
    struct damage damage[MR_LOG_DAMAGE_MAX];
    uint32_t damages;

    struct mr_file *slots;
    uint64_t slot_number;
    struct point durable;  /* the recovery point that is known to be on the disk */
    struct point known;    /* where `synced` is */
    int64_t durable_start; /* the start that is known to be on the disk: retention moves it only in memory */
    uint64_t round_slot;   /* the slot that the running round wrote */

    struct token *token;
    struct waiter *waiter; /* a ring */
    size_t waiters, first_waiter, waiter_cap;
    bool syncing;
    bool begins; /* the running round also makes the first recovery point durable, where the log began */
    uint32_t outstanding;
    mr_code sync_rc;
    int sync_sys;
    struct point target;
    struct mr_timer soon;

    struct mr_log_pool *pool; /* where chunks come from and go back to; NULL: never had one */
    struct run held;          /* appended, and not in the file */
    struct flight *flying;    /* what a worker writes; NULL: nothing */
    struct mr_timer retry;
    int64_t gathered; /* bytes since the last round began */
    mr_ms read_at;    /* the last look-up by a reader; -1: none yet */
    bool hot;         /* the last round was large */
    bool full;        /* the disk has no room for what is flying */

    struct compacted compacted;
    struct compact *compact; /* NULL: no compaction is running */
    bool swapping;           /* a swap may be on the disk: sources must stay, and no clean marker */
    bool compact_again;      /* the last pass had no room for all keys */
    mr_ns compact_after;     /* wall clock; not before, since the last one failed or found nothing */
    struct mr_compact_counts counts;

    struct { /* segments that retention dropped, whose files stay for a while as <base>.log.deleted */
        int64_t base;
        mr_ms until; /* monotonic */
    } dropped[MR_LOG_DROPPED_MAX];
    uint32_t dropped_count;
};

static inline uint32_t get32be(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[0] << 24 | (uint32_t)u[1] << 16 | (uint32_t)u[2] << 8 | u[3];
}
static inline uint64_t get64be(const char *p)
{
    return (uint64_t)get32be(p) << 32 | get32be(p + 4);
}
static inline void put32be(char *p, uint32_t v)
{
    for (int i = 3; i >= 0; i--, v >>= 8)
        p[i] = (char)(v & 255);
}
static inline void put64be(char *p, uint64_t v)
{
    put32be(p, (uint32_t)(v >> 32));
    put32be(p + 4, (uint32_t)v);
}
static inline void put32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++, v >>= 8)
        p[i] = (char)(v & 255);
}
static inline uint32_t get32(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;
    return (uint32_t)u[3] << 24 | (uint32_t)u[2] << 16 | (uint32_t)u[1] << 8 | u[0];
}
static inline void put64(char *p, uint64_t v)
{
    put32(p, (uint32_t)v);
    put32(p + 4, (uint32_t)(v >> 32));
}
static inline uint64_t get64(const char *p)
{
    return (uint64_t)get32(p + 4) << 32 | get32(p);
}

/* Reads MR_LOG_HEADER bytes. false: no header of a batch. Says nothing about the CRC. */
static inline bool batch_read(const char *p, struct batch *out)
{
    int64_t length = (int32_t)get32be(p + 8);
    out->base = (int64_t)get64be(p);
    out->size = length + 12;
    out->crc = get32be(p + 17);
    out->attributes = (int16_t)(get32be(p + 21) >> 16);
    out->last_delta = (int32_t)get32be(p + 23);
    out->producer = (int64_t)get64be(p + 43);
    out->count = (int32_t)get32be(p + 57);
    out->max_ts = out->count ? (int64_t)get64be(p + 35) : INT64_MIN;
    return p[16] == 2 && out->size >= MR_LOG_HEADER && out->size <= MR_LOG_BATCH_MAX &&
           out->last_delta >= 0 && out->base >= 0 && out->base <= INT64_MAX - (INT64_C(1) << 32);
}
static inline int64_t batch_end(const struct batch *b)
{
    return b->base + b->last_delta + 1;
}
bool batch_crc_ok(const char *bytes, const struct batch *b); /* of the whole batch */

static inline struct segment *active_of(struct mr_log *log)
{
    return log->count ? &log->seg[log->count - 1] : NULL;
}

/* segment.c */
void log_name(const struct mr_log *log, const struct segment *s, const char *suffix, char *out, size_t cap);
void log_path(const struct mr_log *log, const char *name, char *out, size_t cap);
size_t log_path_max(const struct mr_log *log); /* bytes that any path of the log needs */
mr_code segment_open(struct mr_log *log, struct segment *s,
                     struct mr_err *err); /* its .log, when it is not */
mr_code segment_open_index(struct mr_log *log, struct segment *s, struct mr_err *err);
void segment_close(struct segment *s);
mr_code segment_add(struct mr_log *log, int64_t base, mr_ns created,
                    struct mr_err *err);                                           /* a new active one */
mr_code segment_unlink(struct mr_log *log, struct segment *s, struct mr_err *err); /* closes first */
void segment_note(struct mr_log *log, struct segment *s, struct indexer *x, const struct batch *b,
                  int64_t at);
void segment_note_force(struct mr_log *log, struct segment *s, struct indexer *x, const struct batch *b,
                        int64_t at);
void segment_flush_index(struct mr_log *log, struct segment *s, struct indexer *x);
void segment_seal(struct mr_log *log, struct segment *s, struct indexer *x); /* last entry: end and max_ts */
void segment_seal_at(struct mr_log *log, struct segment *s, struct indexer *x, int64_t end);
static inline bool segment_gaps(const struct mr_log *log, const struct segment *s)
{
    return s->base < log->compacted.gaps_below;
}
mr_code segment_rebuild(struct mr_log *log, struct segment *s, bool anew, struct mr_err *err);
int64_t segment_end(const struct mr_log *log, const struct segment *s);
struct segment *segment_of(struct mr_log *log, int64_t offset);  /* last with base <= offset, NULL: none */
struct segment *segment_named(struct mr_log *log, int64_t base); /* NULL: gone */
/* Position of a batch at or before `offset` whose header is as it should be. */
mr_code segment_floor(struct mr_log *log, struct segment *s, int64_t offset, int64_t *at, struct mr_err *err);
/* A position at or before `most`, where a batch begins with base <= below; hint -1: none better than 0 */
int64_t segment_floor_at(struct mr_log *log, struct segment *s, int64_t most, int64_t below);
/* A batch before which all timestamps are below ms. */
mr_code segment_floor_time(struct mr_log *log, struct segment *s, int64_t ms, int64_t *offset,
                           struct mr_err *err);
mr_code segment_max_ts(struct mr_log *log, struct segment *s, struct mr_err *err); /* makes max_known true */

struct walk { /* over the headers of one segment */
    struct segment *s;
    int64_t at, have_at;
    /* Base offset that the batch at `at` must have; -1: not known. Only where compaction went may it be
     * larger. */
    int64_t expect;
    size_t have;
    char bytes[MR_LOG_WALK];
};
/* The header at w->at. MR_END at the segment's end, MR_CORRUPT naming file and byte. */
mr_code walk_peek(struct mr_log *log, struct walk *w, struct batch *out, struct mr_err *err);

static inline void walk_on(struct walk *w, const struct batch *b)
{
    w->at += b->size;
    w->expect = batch_end(b);
}

/* recover.c */
mr_code recover(struct mr_log *log, struct mr_err *err);
mr_code slot_write(struct mr_log *log, struct point p, struct mr_err *err); /* not synced */
mr_code marker_write(struct mr_log *log, struct mr_err *err);
mr_code marker_drop(struct mr_log *log, struct mr_err *err);
void add_damage(struct mr_log *log, struct damage d);
mr_code refuse_damage(struct mr_log *log, const struct damage *d, struct mr_err *err);

/* compact.c */
void compact_close(struct mr_log *log); /* gives up; what a swap has begun is for the next open */

/* swap.c */
enum { MR_LOG_STATE = 64 }; /* bytes of the file `compact` */
void state_put(const struct compacted *c, char out[MR_LOG_STATE]);
/* What is known of compaction; finishes a swap that a crash cut short. */
mr_code swap_open(struct mr_log *log, struct mr_err *err);
mr_code swap_tidy(struct mr_log *log, struct mr_err *err); /* removes what a crash left of a compaction */
void cleaned_name(const struct mr_log *log, int64_t base, const char *suffix, char *out, size_t cap);
mr_code swap_names(struct mr_log *log, int64_t base, struct mr_err *err);
mr_code swap_unlink(struct mr_log *log, int64_t base, bool with_log, struct mr_err *err);

/* direct.c */
/* Reads like mr_file_read, what is on its way to the disk included. Its log is open. */
mr_code direct_read(struct mr_log *log, const struct segment *s, void *to, size_t len, int64_t at,
                    size_t *got, struct mr_err *err);
bool direct_wanted(struct mr_log *log, size_t len); /* an append of so many bytes should be held */
/* Holds it; bytes [borrow] for the call. false: no room, nothing changed. */
bool direct_append(struct mr_log *log, struct segment *s, const char *bytes, size_t len);
bool direct_holds(const struct mr_log *log, const struct segment *s);
mr_code direct_spill(struct mr_log *log, struct mr_err *err); /* what is held goes into the file, unsynced */
void direct_ahead(struct segment *s, int64_t at, int64_t len);
void direct_fly(struct mr_log *log, struct segment *s); /* what it holds; sync_part_done follows */
void direct_wait(struct mr_log *log);                   /* until what flies is in the file, or failed */
void direct_close(struct mr_log *log);                  /* forgets what is held */

/* sync.c */
void sync_part_done(void *arg, mr_code rc, int sys); /* one of those that a round waits for; arg: the token */
/* The directory that the log's directory lies in. */
void log_parent(const struct mr_log *log, char *out, size_t cap);
struct mr_log *give_back(struct token *t); /* NULL: the log is closed */
void sync_close(struct mr_log *log);
void log_break(struct mr_log *log, mr_code why);
mr_code log_roll(struct mr_log *log, mr_ns now, struct mr_err *err);
/* log.c */
bool log_roll_due(const struct mr_log *log, const struct segment *active, mr_ns now);

#endif
