/* sink.h - a sink or a step in a test: events from JSON in, verdicts or JSON lines out. */
#ifndef TESTS_PLUGINS_SINK_H
#define TESTS_PLUGINS_SINK_H

#include <stdarg.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

#include "plugins/mock_host.h"

static struct mr_verdict verdicts[MR_BATCH_ROWS_MAX]; /* of the last sink_write */

/* Writes and gives the batch back. Reasons of verdicts are gone afterwards: reject_reason has the last one.
 */
static char reject_reason[1024];

static inline mr_code sink_write(struct part *p, struct mr_batch *b)
{
    memset(verdicts, 0, sizeof verdicts);
    mr_err_clear(&p->err);
    reject_reason[0] = '\0';
    mr_code rc = p->c->write(p->self, b, 1, verdicts, &p->err);
    for (uint32_t k = 0; k < b->count; k++) {
        if (verdicts[k].reason)
            (void)snprintf(reject_reason, sizeof reject_reason, "%s", verdicts[k].reason);
    }
    mr_batch_free(b);
    return rc;
}

#define EVENTS(m, ...) mock_events(m, (const char *const[]){__VA_ARGS__, NULL})

static inline struct part *part_new(struct mock *m, const char *plugin, enum mr_kind kind, const char *name,
                                    const char *format, ...)
{
    char yaml[2048];
    struct part *p = malloc(sizeof *p);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(yaml, sizeof yaml, format, args);
    va_end(args);
    if (!part_make(p, m, plugin, kind, name, yaml))
        fail_msg("%s%s", p->diags, p->err.text);
    if (part_open(p) != MR_OK)
        fail_msg("%s", p->err.text);
    return p;
}

static inline void part_free(struct part *p)
{
    part_close(p);
    free(p);
}

/* The file's text is `want`. */
static inline void assert_file(const char *path, const char *want)
{
    size_t len;
    char *text = slurp(path, &len);
    if (!text)
        fail_msg("'%s' is not there", path);
    assert_string_equal(text, want);
    assert_int_equal(len, strlen(want));
    free(text);
}

#endif
