/* reader.h - a `file` source in a test: pulled by hand, its lines collected. */
#ifndef TESTS_PLUGINS_READER_H
#define TESTS_PLUGINS_READER_H

#include <stdarg.h>
#include <stdlib.h>

#include <setjmp.h>

#include <cmocka.h>

#include "plugins/mock_host.h"

struct line {
    char *text, *source;
    size_t len;
    int64_t offset;
};

struct reader {
    struct mock *m;
    struct part part;
    bool open;
    char *yaml;
    struct line *lines;
    size_t count, cap;
    uint32_t batches;
    struct mr_batch *unacked[256]; /* read and not delivered, oldest first */
    uint32_t unacked_count;
    bool hold; /* deliver by hand, with reader_ack */
};

static inline void reader_ack(struct reader *r, uint32_t batches)
{
    assert_true(batches <= r->unacked_count);
    for (uint32_t i = 0; i < batches; i++) {
        struct mr_batch *b = r->unacked[i];
        if (b->pos_key.len)
            mock_store(r->m, b->pos_key, b->pos);
        mr_batch_free(b);
    }
    memmove(r->unacked, r->unacked + batches, (r->unacked_count - batches) * sizeof *r->unacked);
    r->unacked_count -= batches;
}

/* One call of read. Takes the lines out of what comes. */
static inline mr_code reader_read(struct reader *r)
{
    struct mr_batch *b = mock_batch(r->m);
    mr_err_clear(&r->part.err);
    mr_code rc = r->part.c->read(r->part.self, b, &r->part.err);
    if (rc != MR_OK) {
        assert_int_equal(b->rows, 0);
        mr_batch_free(b);
        return rc;
    }
    assert_true(b->rows > 0 || b->pos_key.len > 0);
    int32_t slot = b->rows ? mr_batch_slot(b, "message", 7, false) : 0;
    assert_true(slot >= 0);
    for (uint32_t k = 0; k < b->count; k++) {
        struct mr_value v = b->column[slot].v[b->sel[k]];
        assert_int_equal(v.tag, MR_STRING);
        if (r->count == r->cap) {
            r->cap = r->cap ? r->cap * 2 : 64;
            r->lines = realloc(r->lines, r->cap * sizeof *r->lines);
        }
        struct line *l = &r->lines[r->count++];
        *l = (struct line){.len = v.len, .offset = b->offset[b->sel[k]]};
        l->text = malloc(v.len + 1u);
        memcpy(l->text, v.u.s, v.len);
        l->text[v.len] = '\0';
        l->source = strndup(b->source.p, b->source.len);
    }
    r->batches++;
    assert_true(r->unacked_count < 256);
    r->unacked[r->unacked_count++] = b;
    if (!r->hold)
        reader_ack(r, r->unacked_count);
    return MR_OK;
}

/* Reads until there is nothing now (MR_AGAIN without a wake-up), the end, or a failure. */
static inline mr_code reader_pull(struct reader *r)
{
    for (int i = 0; i < 100000; i++) {
        r->m->woken = false;
        mr_code rc = reader_read(r);
        if (rc != MR_OK && !(rc == MR_AGAIN && r->m->woken))
            return rc;
    }
    fail_msg("the source does not come to rest");
    return MR_LIMIT;
}

static inline mr_code reader_open(struct reader *r)
{
    if (!part_make(&r->part, r->m, "file", MR_SOURCE, "file", r->yaml))
        fail_msg("%s%s", r->part.diags, r->part.err.text);
    r->open = true;
    return part_open(&r->part);
}

static inline struct reader *reader_new(const char *format, ...)
{
    struct reader *r = calloc(1, sizeof *r);
    char yaml[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(yaml, sizeof yaml, format, args);
    va_end(args);
    r->m = mock_new();
    r->yaml = strdup(yaml);
    return r;
}

static inline void reader_forget_lines(struct reader *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free(r->lines[i].text);
        free(r->lines[i].source);
    }
    r->count = 0;
}

/* Ends the instance; what was not acknowledged is lost to it, as after kill -9. */
static inline void reader_stop(struct reader *r)
{
    for (uint32_t i = 0; i < r->unacked_count; i++)
        mr_batch_free(r->unacked[i]);
    r->unacked_count = 0;
    if (r->open)
        part_close(&r->part);
    r->open = false;
    for (int i = 0; i < MOCK_WATCHES; i++)
        assert_int_equal(r->m->watched[i], -1);
}

static inline void reader_free(struct reader *r)
{
    reader_stop(r);
    reader_forget_lines(r);
    mock_free(r->m);
    free(r->lines);
    free(r->yaml);
    free(r);
}

/* The lines read so far, joined with '|', and forgotten. [static] */
static inline const char *reader_take(struct reader *r)
{
    static char all[65536];
    size_t at = 0;
    all[0] = '\0';
    for (size_t i = 0; i < r->count; i++) {
        int n = snprintf(all + at, sizeof all - at, "%s%s", i ? "|" : "", r->lines[i].text);
        at += (size_t)n;
        assert_true(at < sizeof all);
    }
    reader_forget_lines(r);
    return all;
}

#endif
