/* tail.h - one file that is being read: who it is, how far we are, and its lines into a batch.
 *
 * Words.  The *head* is the beginning of the file, at most TAIL_HEAD_MAX bytes, of which we keep length and
 *         hash. *partial* counts bytes behind `offset` that were looked at and hold no newline yet.
 *         A line that is *skipped* was too long: the rest of it, to its newline, is passed over.
 *
 * Laws:   T1  every byte before `offset` is in an event that was handed out, or was passed over and counted
 *         T2  the head speaks of bytes before `offset` only, and grows until TAIL_HEAD_MAX
 *         T3  (device, inode) is the same file only while head and `offset <= size` hold
 *
 * Nothing of a file's text is kept between batches: what is incomplete is read again, from the page cache.
 */
#ifndef FILE_TAIL_H
#define FILE_TAIL_H

#include <millrace/plugin.h>
#include <sys/stat.h>

enum {
    TAIL_HEAD_MAX = 1024,          /* bytes */
    TAIL_POSITION_MAX = 4096 + 160 /* bytes of a stored position */
};

enum tail_over_long { TAIL_TRUNCATE, TAIL_SPLIT, TAIL_DROP };

struct tail_rules {
    int64_t max_line; /* bytes */
    int64_t chunk;    /* bytes of a usual read */
    int over_long;    /* enum tail_over_long */
    bool crlf;        /* a '\r' before the newline is no part of the line */
};

struct tail {
    uint64_t dev, ino;
    int fd; /* -1: not open */
    char *path;
    int64_t offset;  /* of the first line not yet handed out */
    int64_t partial; /* see above */
    int64_t size;    /* as last seen */
    bool skip;       /* passing over the rest of a line */
    bool ended;      /* the last event had no newline yet: one that comes first now belongs to it */
    bool verify;     /* look at the head before the next bytes are believed */
    uint32_t head_len;
    uint64_t head_hash;
    uint32_t line_bytes; /* mean of the last batch, with newline; 0: not known */

    /* the source's */
    int wd;           /* of inotify, -1 none */
    bool seen;        /* by the scan that runs */
    bool ready;       /* in the queue of files with something to read */
    bool failing;     /* the last read failed, and that was told */
    bool announce;    /* its position is news to the host, though no event came with it */
    mr_ms gone_at;    /* no pattern names it since then; MR_NEVER: one does */
    mr_ms partial_at; /* when `partial` last grew */
    int64_t mtime;    /* ns, when it was opened */
    struct tail *next, *next_ready;
};

/* What a read of tail_fill came upon, for counters. */
struct tail_news {
    uint32_t over_long;
    bool truncated; /* size fell below offset: it is read from its beginning */
    bool rewritten; /* another head under the same inode: likewise */
    int64_t unread; /* bytes that were there before a truncation and are lost, as far as is known */
    bool more;      /* something is left to read at once */
};

/* One line in a block. */
struct tail_span {
    uint32_t start, len;
};

void tail_fini(struct tail *t);
/* Hash of the file's first `len` bytes; false when there are fewer or they cannot be read. */
bool tail_head(int fd, uint32_t len, uint64_t *hash);
bool tail_is_same(struct tail *t); /* the head is still the one we know */
/* Goes to the end: behind the last newline, so that a line being written comes whole. */
mr_code tail_to_end(struct tail *t, struct mr_err *err);

/* Reads one block and makes its lines the events of the empty batch `b`.
 *   flush  an incomplete last line is complete now
 *   spans  scratch for b->cap lines
 * MR_OK: b has rows. MR_AGAIN: none (news->more says whether to come back at once). MR_IO: see err.
 */
mr_code tail_fill(struct tail *t, const struct tail_rules *rules, const struct mr_services *services,
                  struct mr_batch *b, bool flush, struct tail_span *spans, struct tail_news *news,
                  struct mr_err *err);

/* "dev:ino", and "1 offset head_len head_hash flags path": the words between host and source. */
struct mr_slice tail_key(const struct tail *t, char *out, size_t size);
struct mr_slice tail_position(const struct tail *t, char *out, size_t size);
/* Reads both back. false: not a position of ours. path is malloc'ed, fd -1. */
bool tail_parse(struct mr_slice key, struct mr_slice pos, struct tail *out);

#endif
