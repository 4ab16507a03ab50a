/* tail.c - see tail.h. */
#include "tail.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SCAN_PIECES_MAX = 16, /* blocks of a line without end looked at in one call, so that others get a turn */
    END_LOOK_BACK = 64 << 10 /* bytes before the end in which the last newline is searched */
};

/* FNV-1a: a head is 1 KiB at most and this can go on where it stopped. */
static const uint64_t hash_start = 0xcbf29ce484222325u;
static uint64_t hash_more(uint64_t h, const unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

static ssize_t read_at(int fd, void *out, size_t len, int64_t at)
{
    size_t have = 0;
    while (have < len) {
        ssize_t n = pread(fd, (char *)out + have, len - have, at + (int64_t)have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

static mr_code no_block(const struct tail *t, struct mr_err *err)
{
    return mr_fail(err, MR_LIMIT, "cannot read '%s': the batch has no room for a block", t->path);
}

static mr_code no_read(const struct tail *t, struct mr_err *err)
{
    int sys = errno;
    mr_fail(err, MR_IO, "cannot read '%s' at byte %" PRId64 ": %s", t->path, t->offset, strerror(sys));
    if (err)
        err->sys = sys;
    return MR_IO;
}

void tail_fini(struct tail *t)
{
    if (t->fd >= 0)
        (void)close(t->fd);
    t->fd = -1;
    free(t->path);
    t->path = NULL;
}

bool tail_head(int fd, uint32_t len, uint64_t *hash)
{
    unsigned char head[TAIL_HEAD_MAX];
    if (len > sizeof head || read_at(fd, head, len, 0) != (ssize_t)len)
        return false;
    *hash = hash_more(hash_start, head, len);
    return true;
}

bool tail_is_same(struct tail *t)
{
    uint64_t hash;
    return t->head_len == 0 || (tail_head(t->fd, t->head_len, &hash) && hash == t->head_hash);
}

static void grow_head(struct tail *t) /* T2 */
{
    if (t->head_len == TAIL_HEAD_MAX || t->offset <= t->head_len)
        return;
    uint32_t len = t->offset > TAIL_HEAD_MAX ? TAIL_HEAD_MAX : (uint32_t)t->offset;
    unsigned char bytes[TAIL_HEAD_MAX];
    ssize_t n = read_at(t->fd, bytes, len - t->head_len, t->head_len);
    if (n != (ssize_t)(len - t->head_len))
        return; /* cut short under our hands: the next fill sees it */
    t->head_hash = hash_more(t->head_len ? t->head_hash : hash_start, bytes, (size_t)n);
    t->head_len = len;
}

static void restart(struct tail *t)
{
    t->offset = t->partial = 0;
    t->skip = t->ended = t->verify = false;
    t->head_len = 0;
    t->line_bytes = 0;
}

mr_code tail_to_end(struct tail *t, struct mr_err *err)
{
    char *bytes = malloc(END_LOOK_BACK);
    if (!bytes)
        return mr_fail(err, MR_MEMORY, "no memory left to read '%s'", t->path);
    int64_t from = t->size > END_LOOK_BACK ? t->size - END_LOOK_BACK : 0;
    ssize_t n = read_at(t->fd, bytes, (size_t)(t->size - from), from);
    if (n < 0) {
        free(bytes);
        return no_read(t, err);
    }
    const char *last = memrchr(bytes, '\n', (size_t)n);
    t->offset = last ? from + (last - bytes) + 1 : from == 0 ? 0 : t->size;
    free(bytes);
    grow_head(t);
    return MR_OK;
}

/* ---------------------------------------------------------------- lines */

struct fill {
    struct tail *t;
    const struct tail_rules *rules;
    struct tail_span *spans;
    uint32_t rows, cap;
    struct tail_news *news;
};

/* As many pieces of max_line bytes of [*at, end) as there are rows for; the last may be shorter. */
static bool split(struct fill *f, uint32_t *at, uint32_t end)
{
    uint32_t piece = (uint32_t)f->rules->max_line;
    for (; *at < end; f->rows++) {
        if (f->rows == f->cap)
            return false;
        uint32_t len = end - *at < piece ? end - *at : piece;
        f->spans[f->rows] = (struct tail_span){*at, len};
        *at += len;
    }
    return true;
}

/* One whole line [*at, end) of the block; the newline is at `end`. Moves *at behind what was taken; false:
 * no row is left for the rest. */
static bool add_line(struct fill *f, const char *block, uint32_t *at, uint32_t end)
{
    uint32_t start = *at, stop = end;
    if (f->rows == f->cap)
        return false;
    if (f->rules->crlf && stop > start && block[stop - 1] == '\r')
        stop--;
    if (stop - start > f->rules->max_line) {
        if (f->rules->over_long == TAIL_SPLIT && !split(f, at, stop))
            return false;
        if (f->rules->over_long == TAIL_TRUNCATE)
            f->spans[f->rows++] = (struct tail_span){start, (uint32_t)f->rules->max_line};
        f->news->over_long++;
    } else {
        f->spans[f->rows++] = (struct tail_span){start, stop - start};
    }
    *at = end + 1;
    return true;
}

/* What a block holds behind its last newline. Moves *at; *passing: the rest of the line is passed over. */
static void add_rest(struct fill *f, const char *block, uint32_t *at, uint32_t have, bool no_room, bool flush,
                     bool *passing, bool *ended)
{
    uint32_t rest = have - *at, piece = (uint32_t)f->rules->max_line;
    bool maybe_crlf = f->rules->crlf && rest == piece + 1 && block[have - 1] == '\r' && !flush;
    if (rest == 0 || piece == 0 || f->rows == f->cap) /* nothing is there; max_line is at least 1 */
        return;
    if ((rest > piece && !maybe_crlf) || no_room) {
        f->news->over_long++;
        if (piece > rest)
            piece = rest;
        if (f->rules->over_long == TAIL_SPLIT) {
            (void)split(f, at, *at + rest / piece * piece);
            return;
        }
        *passing = true;
        if (f->rules->over_long == TAIL_TRUNCATE)
            f->spans[f->rows++] = (struct tail_span){*at, piece};
        *at += piece;
    } else if (flush) {
        f->spans[f->rows++] = (struct tail_span){*at, rest};
        *at = have;
        *ended = true;
    }
}

/* Passes over the rest of a line. MR_OK: behind its newline; MR_AGAIN: not there yet. */
static mr_code pass_over(struct fill *f, char *scratch, size_t scratch_len, struct mr_err *err)
{
    struct tail *t = f->t;
    for (int piece = 0; piece < SCAN_PIECES_MAX && t->offset < t->size; piece++) {
        ssize_t n = read_at(t->fd, scratch, scratch_len, t->offset);
        if (n < 0) {
            return no_read(t, err);
        }
        if (n == 0)
            break;
        const char *newline = memchr(scratch, '\n', (size_t)n);
        t->offset += newline ? newline - scratch + 1 : n;
        if (newline) {
            t->skip = false;
            return MR_OK;
        }
    }
    f->news->more = t->offset < t->size;
    return MR_AGAIN;
}

/* A line longer than a block: looks at what came behind `partial` only, and keeps none of it. Returns how
 * many bytes from `offset` to read as one block: the line with its newline, or a little more than max_line;
 * 0: neither yet; -1: see errno. */
static int64_t measure_long(struct fill *f, char *scratch, size_t scratch_len)
{
    struct tail *t = f->t;
    for (int piece = 0; piece < SCAN_PIECES_MAX; piece++) {
        if (t->partial > f->rules->max_line + 1) /* + 1: the '\r' that may be its last byte */
            return f->rules->max_line + 2;
        ssize_t n = read_at(t->fd, scratch, scratch_len, t->offset + t->partial);
        if (n <= 0)
            return n;
        const char *newline = memchr(scratch, '\n', (size_t)n);
        t->partial += newline ? newline - scratch : n;
        if (newline)
            return t->partial > f->rules->max_line + 1 ? f->rules->max_line + 2 : t->partial + 1;
    }
    f->news->more = true;
    return 0;
}

/* Has the file become another one behind our back? T3 */
static void look_again(struct tail *t, const struct stat *st, struct tail_news *news)
{
    if (st->st_size < t->offset) {
        news->truncated = true;
        news->unread = t->size > t->offset ? t->size - t->offset : 0;
        restart(t);
    } else if (t->verify && !tail_is_same(t)) {
        news->rewritten = true;
        restart(t);
    }
    if (st->st_size < t->offset + t->partial)
        t->partial = 0;
    t->verify = false;
    t->size = st->st_size;
}

static bool hand_out(struct fill *f, const struct mr_services *services, struct mr_batch *b,
                     const char *block, int64_t base)
{
    services->rows(b, f->rows);
    int32_t slot = services->slot(b, "message", 7, true);
    if (slot < 0)
        return false;
    struct mr_value *v = b->column[slot].v;
    for (uint32_t row = 0; row < f->rows; row++) {
        struct tail_span s = f->spans[row];
        v[row] = (struct mr_value){.tag = MR_STRING, .len = s.len, .u.s = block + s.start};
        b->offset[row] = base + s.start;
    }
    return true;
}

/* The arena may hold less than we would like: then a line counts as over-long earlier. */
static char *take_block(struct mr_batch *b, size_t *len)
{
    for (; *len >= 4096 || *len == 1; *len /= 2) {
        char *p = mr_arena_take(b->arena, *len);
        if (p)
            return p;
    }
    return mr_arena_take(b->arena, *len ? *len : 1);
}

mr_code tail_fill(struct tail *t, const struct tail_rules *rules, const struct mr_services *services,
                  struct mr_batch *b, bool flush, struct tail_span *spans, struct tail_news *news,
                  struct mr_err *err)
{
    struct fill f = {.t = t, .rules = rules, .spans = spans, .cap = b->cap, .news = news};
    struct stat st;
    *news = (struct tail_news){0};
    if (fstat(t->fd, &st) != 0) {
        return no_read(t, err);
    }
    look_again(t, &st, news);
    int64_t left = t->size - t->offset;
    if (left == 0 || (left == t->partial && !flush))
        return MR_AGAIN;

    /* how much: a block, what is there, and not many more lines than a batch holds */
    bool is_long = t->partial >= rules->chunk;
    int64_t want = rules->chunk;
    if (t->line_bytes && !is_long && want > (int64_t)t->line_bytes * b->cap + t->partial + 4096)
        want = (int64_t)t->line_bytes * b->cap + t->partial + 4096;
    if (want > left && !is_long && !t->skip)
        want = left;
    size_t room = (size_t)want;
    char *block = take_block(b, &room);
    if (!block)
        return no_block(t, err);
    if (t->skip) {
        mr_code rc = pass_over(&f, block, room, err);
        news->more = news->more || (rc == MR_OK && t->offset < t->size);
        return rc == MR_OK ? MR_AGAIN : rc;
    }
    if (is_long) {
        want = measure_long(&f, block, room);
        if (want < 0)
            return no_read(t, err);
        if (want == 0) {
            if (news->more || !flush || t->offset + t->partial < t->size)
                return MR_AGAIN;
            want = t->partial;
        }
        if ((size_t)want > room) {
            room = (size_t)want;
            if (!(block = take_block(b, &room)))
                return no_block(t, err);
        }
        if (room > (size_t)want)
            room = (size_t)want;
    }

    ssize_t n = read_at(t->fd, block, room, t->offset);
    if (n < 0)
        return no_read(t, err);
    uint32_t have = (uint32_t)n, at = 0;
    if (t->ended && have) { /* the newline of a line that was handed out before it came */
        if (block[0] == '\n')
            at = 1;
        else if (rules->crlf && have > 1 && block[0] == '\r' && block[1] == '\n')
            at = 2;
    }
    bool full = false, passing = false, ended = false;
    while (at < have && !full) {
        const char *newline = memchr(block + at, '\n', have - at);
        if (!newline)
            break;
        full = !add_line(&f, block, &at, (uint32_t)(newline - block));
    }
    if (!full && at < have) {
        bool at_end = t->offset + have >= t->size;
        add_rest(&f, block, &at, have, at == 0 && !at_end && (int64_t)room < want, flush && at_end, &passing,
                 &ended);
        full = f.rows == f.cap;
    }

    if (f.rows && !hand_out(&f, services, b, block, t->offset))
        return no_block(t, err);
    if (at > 0)
        t->ended = ended;
    t->offset += at;
    t->partial = full || passing ? 0 : have - at;
    t->skip = passing;
    if (f.rows)
        t->line_bytes = at / f.rows + 1;
    grow_head(t);
    news->more = have > 0 && t->offset + t->partial < t->size; /* nothing read: cut short this very moment */
    return f.rows ? MR_OK : MR_AGAIN;
}

/* ---------------------------------------------------------------- positions */

struct mr_slice tail_key(const struct tail *t, char *out, size_t size)
{
    int n = snprintf(out, size, "%" PRIx64 ":%" PRIx64, t->dev, t->ino);
    return (struct mr_slice){out, n > 0 && (size_t)n < size ? (size_t)n : 0};
}

struct mr_slice tail_position(const struct tail *t, char *out, size_t size)
{
    int n = snprintf(out, size, "1 %" PRId64 " %" PRIu32 " %016" PRIx64 " %d %s", t->offset, t->head_len,
                     t->head_len ? t->head_hash : 0, (t->skip ? 1 : 0) | (t->ended ? 2 : 0), t->path);
    return (struct mr_slice){out, n > 0 && (size_t)n < size ? (size_t)n : 0};
}

bool tail_parse(struct mr_slice key, struct mr_slice pos, struct tail *out)
{
    char k[64], text[TAIL_POSITION_MAX];
    int at = 0, flags = 0;
    *out = (struct tail){.fd = -1, .wd = -1, .gone_at = MR_NEVER, .partial_at = MR_NEVER};
    if (key.len >= sizeof k || pos.len >= sizeof text)
        return false;
    memcpy(k, key.p, key.len);
    k[key.len] = '\0';
    memcpy(text, pos.p, pos.len);
    text[pos.len] = '\0';
    if (sscanf(k, "%" SCNx64 ":%" SCNx64, &out->dev, &out->ino) != 2)
        return false;
    if (sscanf(text, "1 %" SCNd64 " %" SCNu32 " %" SCNx64 " %d %n", &out->offset, &out->head_len,
               &out->head_hash, &flags, &at) != 4 ||
        at == 0 || out->offset < 0 || out->head_len > TAIL_HEAD_MAX || (int64_t)out->head_len > out->offset)
        return false;
    out->skip = flags & 1;
    out->ended = flags & 2;
    out->path = strdup(text + at);
    return out->path != NULL;
}
