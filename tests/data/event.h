/* event.h - batches for tests: events from JSON lines, and back. */
#ifndef MR_TESTS_DATA_EVENT_H
#define MR_TESTS_DATA_EVENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "data/batch.h"
#include "data/json.h"

#include <stdlib.h>

/* A batch of its own pool with these events; fails the test when one is not JSON. */
static inline struct mr_batch *events_of(struct mr_batch_pool *pool, const char *const *lines, uint32_t n)
{
    struct mr_batch *b = mr_batch_take(pool);
    assert_non_null(b);
    mr_batch_rows(b, n);
    for (uint32_t i = 0; i < n; i++) {
        struct mr_err err;
        if (mr_json_read_row(b, i, mr_slice_of(lines[i]), &err) != MR_OK)
            fail_msg("'%s': %s", lines[i], err.text);
    }
    return b;
}

/* The event as text; free() it. */
static inline char *event_text(const struct mr_batch *b, uint32_t row)
{
    struct mr_buf out = {0};
    assert_true(mr_json_write_row(&out, b, row));
    char *text = malloc(out.len + 1);
    assert_non_null(text);
    memcpy(text, out.p, out.len);
    text[out.len] = '\0';
    mr_buf_fini(&out);
    return text;
}

static inline void assert_event(const struct mr_batch *b, uint32_t row, const char *want)
{
    char *text = event_text(b, row);
    assert_string_equal(text, want);
    free(text);
}

#endif
