/* stdout.c - the sink `stdout`: events as lines, for people and for pipes.
 *
 * The descriptor is shared with other processes, so it stays as it is, blocking: it is written to in pieces
 * that poll promised room for. A reader that does not read holds a call up for WAIT_MS; events that are not
 * out by then are tried again, and of the one that is half out the rest is kept, to be the first thing
 * written then.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "stdio.h"

enum {
    WAIT_MS = 100, /* longest call while nobody reads */
    AGAIN_MS = 10  /* pause after it */
};

static const char *const formats[] = {"json", "lines", NULL};

struct output {
    int format;
    const struct mr_services *services;
    struct mr_host *host;
    struct mr_buf text;
    struct mr_buf rest; /* of an event that is half out */
    size_t piece;       /* bytes that do not block once poll says so */
    size_t ends[MR_BATCH_ROWS_MAX];
};

static const struct mr_option options[] = {
    {.name = "format",
     .type = MR_OPT_ENUM,
     .at = offsetof(struct output, format),
     .value = "json",
     .choices = formats,
     .main = true,
     .help = "json: one object a line; lines: the field `message` as it is, events without one as JSON"},
    {0},
};

static mr_code open_output(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct output *out = self;
    struct sigaction now;
    (void)err;
    out->services = o->services;
    out->host = o->host;
    struct stat st;
    out->piece = fstat(1, &st) == 0 && S_ISREG(st.st_mode) ? SSIZE_MAX : PIPE_BUF;
    /* A reader that went away (`| head`) is an answer of write, not the end of the process. */
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) {
        now.sa_handler = SIG_IGN;
        (void)sigaction(SIGPIPE, &now, NULL);
    }
    return MR_OK;
}

static int64_t clock_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Writes p[0, len) as far as it gets until `deadline`. *done: bytes that are out. */
static mr_code put(struct output *out, const char *p, size_t len, int64_t deadline, size_t *done,
                   struct mr_err *err)
{
    *done = 0;
    while (*done < len) {
        struct pollfd ready = {.fd = 1, .events = POLLOUT};
        int64_t left = deadline - clock_ms();
        if (poll(&ready, 1, left > 0 ? (int)left : 0) == 0)
            return MR_OK;
        ssize_t n = write(1, p + *done, len - *done < out->piece ? len - *done : out->piece);
        if (n >= 0) {
            *done += (size_t)n;
        } else if (errno == EPIPE) {
            return mr_fail(err, MR_END, "the reader of standard output is gone");
        } else if (errno != EINTR && errno != EAGAIN) {
            int sys = errno;
            mr_fail(err, MR_CANCELLED, "cannot write to standard output: %s", strerror(sys));
            err->sys = sys;
            return MR_CANCELLED; /* what is out cannot be taken back: trying again would tear a line */
        }
    }
    return MR_OK;
}

static mr_code put_rest(struct output *out, int64_t deadline, struct mr_err *err)
{
    size_t done;
    mr_code rc = put(out, out->rest.p, out->rest.len, deadline, &done, err);
    if (done) {
        memmove(out->rest.p, out->rest.p + done, out->rest.len - done);
        out->rest.len -= done;
    }
    return rc;
}

static void close_output(void *self)
{
    struct output *out = self;
    struct mr_err err;
    if (!out->services)
        return;
    if (out->rest.len)
        (void)put_rest(out, clock_ms() + WAIT_MS, &err);
    out->services->buf_free(&out->text);
    out->services->buf_free(&out->rest);
}

static mr_code write_batch(void *self, struct mr_batch *b, uint64_t ticket, struct mr_verdict *verdict,
                           struct mr_err *err)
{
    struct output *out = self;
    int64_t deadline = clock_ms() + WAIT_MS;
    size_t done = 0;
    (void)ticket;
    mr_code rc = put_rest(out, deadline, err);
    out->text.len = 0;
    if (rc == MR_OK && out->rest.len == 0)
        rc = out->services->encode(out->host, formats[out->format], b, &out->text, out->ends, err);
    if (rc == MR_OK && out->rest.len == 0)
        rc = put(out, out->text.p, out->text.len, deadline, &done, err);
    if (rc != MR_OK || (out->rest.len == 0 && done == out->text.len))
        return rc;
    for (uint32_t k = 0; k < b->count; k++) {
        size_t start = k && done ? out->ends[k - 1] : 0;
        if (done == 0 || start >= done) {
            verdict[k] = (struct mr_verdict){
                .kind = MR_VERDICT_RETRY, .after_ms = AGAIN_MS, .reason = "nobody reads standard output"};
        } else if (out->ends[k] > done &&
                   !out->services->buf_put(&out->rest, out->text.p + done, out->ends[k] - done)) {
            return mr_fail(err, MR_MEMORY, "no memory left for a line to standard output");
        }
    }
    return MR_OK;
}

static const char doc[] =
    "Writes each event as one line, when the batch is whole. A reader that is slow slows the pipeline, and "
    "others "
    "of its lane: for more than a look, write to a file or a topic. When the reader goes away (`| head`) the "
    "pipeline ends.\n"
    "\n"
    "```yaml\n"
    "to: { stdout: {} }\n"
    "```\n";

const struct mr_component stdout_component = {
    .size = sizeof(struct mr_component),
    .kind = MR_SINK,
    .name = "stdout",
    .summary = "Write events as lines to standard output.",
    .doc = doc,
    .self_size = sizeof(struct output),
    .options = options,
    .open = open_output,
    .close = close_output,
    .write = write_batch,
};
