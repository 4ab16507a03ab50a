/* stdout.c - the sink `stdout`: events as lines, for people and for pipes. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "stdio.h"

static const char *const formats[] = {"json", "lines", NULL};

struct output {
    int format;
    const struct mr_services *services;
    struct mr_host *host;
    struct mr_buf text;
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
    /* A reader that went away (`| head`) is an answer of write, not the end of the process. */
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) {
        now.sa_handler = SIG_IGN;
        (void)sigaction(SIGPIPE, &now, NULL);
    }
    return MR_OK;
}

static void close_output(void *self)
{
    struct output *out = self;
    if (out->services)
        out->services->buf_free(&out->text);
}

static mr_code write_batch(void *self, struct mr_batch *b, uint64_t ticket, struct mr_verdict *verdict,
                           struct mr_err *err)
{
    struct output *out = self;
    (void)ticket, (void)verdict;
    out->text.len = 0;
    mr_code rc = out->services->encode(out->host, formats[out->format], b, &out->text, NULL, err);
    for (size_t at = 0; rc == MR_OK && at < out->text.len;) {
        ssize_t n = write(1, out->text.p + at, out->text.len - at);
        if (n >= 0) {
            at += (size_t)n;
        } else if (errno == EAGAIN) {
            struct pollfd p = {.fd = 1, .events = POLLOUT};
            (void)poll(&p, 1, 1000);
        } else if (errno == EPIPE) {
            rc = mr_fail(err, MR_END, "the reader of standard output is gone");
        } else if (errno != EINTR) {
            int sys = errno;
            /* Part of it is out, and cannot be taken back: trying again would tear a line. */
            rc = at == 0 ? MR_IO : MR_CANCELLED;
            mr_fail(err, rc, "cannot write to standard output: %s", strerror(sys));
            err->sys = sys;
        }
    }
    return rc;
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
