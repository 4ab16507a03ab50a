/* format_case.h - one line in, one event out, as a row of a table; each row is a test with its own name.
 *
 * Each case is decoded whole, under an object, and cut off behind each of its bytes; the laws of formats.h
 * are checked every time, on a copy that ends where its memory ends, so that reading further is found.
 */
#ifndef MR_TESTS_DATA_FORMAT_CASE_H
#define MR_TESTS_DATA_FORMAT_CASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "data/formats.h"

struct format_case {
    const char *name, *format, *options, *in;
    const char *want; /* the event as JSON; "!reason" when it is rejected for something with this in it */
    const char *time; /* event time in RFC 3339; NULL: none */
    const char *now;  /* wall clock; NULL: 2026-03-01T00:00:00Z */
    size_t in_len;    /* 0: strlen(in) */
};

static inline mr_ns case_now(const struct format_case *c)
{
    mr_ns now;
    assert_true(mr_rfc3339_parse(mr_slice_of(c->now ? c->now : "2026-03-01T00:00:00Z"), &now));
    return now;
}

static inline struct mr_batch *case_decode(struct decoder *d, struct mr_batch_pool *pool,
                                           struct mr_slice text, const char *into, mr_ns now)
{
    struct mr_batch *b = texts_of(pool, &text, 1);
    d->format->decode(d->self, b, mr_batch_slot(b, "message", 7, false), mr_slice_of(into), now);
    check_row(b, 0, text);
    return b;
}

static inline void case_check(const struct format_case *c, struct mr_batch *b, bool into)
{
    char want[8192];
    if (c->want[0] == '!') {
        struct mr_slice why = mr_batch_reason(b, 0);
        if (b->fate[0] != MR_REJECTED || !memmem(why.p, why.len, c->want + 1, strlen(c->want) - 1))
            fail_msg("not rejected with '%s' but with '%.*s'", c->want + 1, MR_SLICE_ARG(why));
        return;
    }
    if (b->fate[0] != MR_KEPT)
        fail_msg("rejected: %.*s", MR_SLICE_ARG(mr_batch_reason(b, 0)));
    struct mr_buf out = {0};
    assert_true(mr_json_write_row(&out, b, 0) && mr_buf_put(&out, "", 1));
    (void)snprintf(want, sizeof want, into ? "{\"x\":{\"y\":%s}}" : "%s", c->want);
    /* a field `message` has the place of the text, which was there first; and paths make objects later */
    if (into || strstr(want, "\"message\":")) {
        struct mr_value got, expected;
        struct mr_err err;
        assert_int_equal(mr_json_read(mr_slice_of(out.p), &got, &err), MR_OK);
        assert_int_equal(mr_json_read(mr_slice_of(want), &expected, &err), MR_OK);
        resolve_deep(b->arena, &got);
        resolve_deep(b->arena, &expected);
        if (!mr_value_equal(&got, &expected))
            fail_msg("%s\n instead of %s", out.p, want);
    } else {
        assert_string_equal(out.p, want);
    }
    mr_buf_fini(&out);
    char time[40] = "none";
    if (b->time[0] != MR_TIME_NONE)
        (void)mr_rfc3339_print(b->time[0], time);
    assert_string_equal(time, c->time ? c->time : "none");
}

static inline void case_run(void **state)
{
    const struct format_case *c = *state;
    struct decoder d;
    struct mr_err err;
    struct mr_batch_pool *pool = mr_batch_pool_new(2, (size_t)1 << 26);
    size_t len = c->in_len ? c->in_len : strlen(c->in);
    if (decoder_open(&d, c->format, c->options, &err))
        fail_msg("%s", err.text);
    for (int into = 0; into < 2; into++) {
        struct mr_batch *b =
            case_decode(&d, pool, (struct mr_slice){c->in, len}, into ? "x.y" : NULL, case_now(c));
        case_check(c, b, into);
        mr_batch_free(b);
    }
    for (size_t n = 0; n <= len; n++) {
        char *copy = malloc(n ? n : 1);
        assert_non_null(copy);
        memcpy(copy, c->in, n);
        struct mr_batch *b = case_decode(&d, pool, (struct mr_slice){copy, n}, NULL, case_now(c));
        if (n == len)
            case_check(c, b, false);
        mr_batch_free(b);
        free(copy);
    }
    decoder_close(&d);
    mr_batch_pool_free(pool);
}

#define CASES(table)                                                                                         \
    static struct CMUnitTest table##_tests[sizeof table / sizeof *table];                                    \
    static void table##_make(void)                                                                           \
    {                                                                                                        \
        for (size_t i = 0; i < sizeof table / sizeof *table; i++)                                            \
            table##_tests[i] = (struct CMUnitTest){table[i].name, case_run, NULL, NULL, &table[i]};          \
    }

#endif
