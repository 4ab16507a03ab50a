/* stdin.c - the source `stdin`: lines until the end of input.
 *
 * A block is read straight behind what the last one left over, in the arena of the batch; only that rest is
 * copied. The descriptor keeps its flags, which other processes share: it is read when poll says that a
 * read does not wait.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "stdio.h"

struct input {
    int64_t max_line, read_chunk;
    bool crlf;

    const struct mr_services *services;
    struct mr_host *host;
    bool watched, ended;
    char *rest; /* bytes read that no event has yet */
    size_t rest_len, rest_cap;
    bool rest_has_lines; /* more than one incomplete line */
    bool skip;           /* passing over the rest of a line that was too long */
    int64_t offset;      /* of rest's first byte */
    struct span {
        uint32_t start, len;
    } spans[MR_BATCH_ROWS_MAX];
};

static const struct mr_option options[] = {
    {.name = "max_line",
     .type = MR_OPT_SIZE,
     .at = offsetof(struct input, max_line),
     .value = "1MiB",
     .min = 1,
     .max = 256 << 20,
     .help = "longest line, without its newline; of a longer one the beginning is kept"},
    {.name = "crlf",
     .type = MR_OPT_BOOL,
     .at = offsetof(struct input, crlf),
     .value = "true",
     .help = "a carriage return before the newline is no part of the line"},
    {.name = "read_chunk",
     .type = MR_OPT_SIZE,
     .at = offsetof(struct input, read_chunk),
     .value = "64KiB",
     .min = 4096,
     .max = 16 << 20,
     .help = "most that is read at a time"},
    {0},
};

static mr_code open_input(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct input *in = self;
    struct stat st;
    in->services = o->services;
    in->host = o->host;
    if (fstat(0, &st) != 0) {
        mr_fail(err, MR_NOTFOUND, "standard input is closed");
        err->sys = errno;
        return MR_NOTFOUND;
    }
    if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
        return MR_OK; /* always ready, and epoll refuses it */
    struct pollfd p = {.fd = 0, .events = POLLIN};
    mr_code rc = o->services->watch(o->host, 0, err);
    if (rc != MR_OK && S_ISCHR(st.st_mode) && poll(&p, 1, 0) == 1) {
        mr_err_clear(err); /* such as /dev/null: always ready, and epoll refuses it */
        return MR_OK;
    }
    in->watched = rc == MR_OK;
    return rc;
}

static void close_input(void *self)
{
    struct input *in = self;
    if (in->watched)
        in->services->unwatch(in->host, 0);
    free(in->rest);
}

static bool keep_rest(struct input *in, const char *p, size_t len)
{
    if (len > in->rest_cap) {
        char *more = realloc(in->rest, len);
        if (!more)
            return false;
        in->rest = more;
        in->rest_cap = len;
    }
    if (len)
        memcpy(in->rest, p, len);
    in->rest_len = len;
    return true;
}

/* Cuts block[0, have) into spans; returns how many bytes they use up. */
static size_t cut(struct input *in, const char *block, size_t have, uint32_t cap, uint32_t *rows)
{
    size_t at = 0;
    *rows = 0;
    in->rest_has_lines = false;
    while (at < have) {
        const char *newline = memchr(block + at, '\n', have - at);
        size_t stop = newline ? (size_t)(newline - block) : have, end = stop;
        bool over = false;
        if (in->skip) {
            in->skip = !newline;
            at = newline ? stop + 1 : have;
            continue;
        }
        if (newline && in->crlf && end > at && block[end - 1] == '\r')
            end--;
        if (!newline && !in->ended && (int64_t)(end - at) <= in->max_line + 1)
            break; /* + 1: the '\r' that may be its last byte */
        if (*rows == cap) {
            in->rest_has_lines = true;
            break;
        }
        if ((int64_t)(end - at) > in->max_line) {
            over = true;
            end = at + (size_t)in->max_line;
            in->services->count(in->host, "over_long_lines", 1);
        }
        in->spans[(*rows)++] = (struct span){(uint32_t)at, (uint32_t)(end - at)};
        in->skip = over && !newline;
        at = newline ? stop + 1 : have;
    }
    return at;
}

static mr_code read_input(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct input *in = self;
    size_t room = in->rest_len + (size_t)in->read_chunk, have = in->rest_len;
    char *block = mr_arena_take(b->arena, room);
    if (!block)
        return mr_fail(err, MR_LIMIT, "the batch has no room for a line of %zu bytes", in->rest_len);
    if (in->rest_len)
        memcpy(block, in->rest, in->rest_len);
    if (!in->ended && !in->rest_has_lines) {
        struct pollfd p = {.fd = 0, .events = POLLIN};
        if (in->watched && poll(&p, 1, 0) != 1)
            return MR_AGAIN;
        ssize_t n = read(0, block + have, room - have);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (errno == EINTR || !in->watched)
                in->services->wake(in->host);
            return MR_AGAIN;
        }
        if (n < 0) {
            int sys = errno;
            mr_fail(err, MR_IO, "cannot read standard input: %s", strerror(sys));
            err->sys = sys;
            return MR_IO;
        }
        in->ended = n == 0;
        have += (size_t)n;
    }
    uint32_t rows;
    size_t used = cut(in, block, have, b->cap, &rows);
    int64_t base = in->offset;
    if (!keep_rest(in, block + used, have - used))
        return mr_fail(err, MR_MEMORY, "no memory left for a line of %zu bytes", have - used);
    in->offset += (int64_t)used;
    if (rows == 0) {
        if (in->ended)
            return MR_END;
        in->services->wake(in->host);
        return MR_AGAIN;
    }
    in->services->rows(b, rows);
    int32_t slot = in->services->slot(b, "message", 7, true);
    if (slot < 0)
        return mr_fail(err, MR_LIMIT, "the batch has no room for a column");
    for (uint32_t row = 0; row < rows; row++) {
        b->column[slot].v[row] =
            mr_value_string((struct mr_slice){block + in->spans[row].start, in->spans[row].len});
        b->offset[row] = base + in->spans[row].start;
    }
    b->source = MR_SLICE("stdin");
    return MR_OK;
}

static const char doc[] =
    "Each line becomes an event with the field `message`; `m.source` is `stdin`. The end of input ends the "
    "pipeline. A last line without newline is an event; bytes are kept as they are. There are no positions: "
    "what "
    "was read and not yet delivered when the process was killed is gone, as with any pipe.\n"
    "\n"
    "```yaml\n"
    "from: { stdin: {} }\n"
    "```\n";

const struct mr_component stdin_component = {
    .size = sizeof(struct mr_component),
    .kind = MR_SOURCE,
    .name = "stdin",
    .summary = "Read lines from standard input, to its end.",
    .doc = doc,
    .self_size = sizeof(struct input),
    .options = options,
    .open = open_input,
    .close = close_input,
    .read = read_input,
};
