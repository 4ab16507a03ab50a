/* format_web_test.c - combined and common. */
#include "data/format_case.h"

#define LINE_TIME "[17/May/2015:10:05:03 +0200]"
#define WANT_TIME "\"time\":\"17/May/2015:10:05:03 +0200\""
#define UTC       "2015-05-17T08:05:03Z"

static struct format_case cases[] = {
    {"a combined line gives eleven fields and the event time in UTC", "combined", NULL,
     "192.0.2.7 - ann " LINE_TIME " \"GET /a?b=c HTTP/1.1\" 200 512 \"http://x/\" \"curl/7.88\"",
     "{\"client\":\"192.0.2.7\",\"ident\":\"-\",\"user\":\"ann\"," WANT_TIME
     ",\"method\":\"GET\",\"path\":\"/a?b=c\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":512,"
     "\"referer\":\"http://x/\",\"agent\":\"curl/7.88\"}",
     UTC, NULL, 0},
    {"a common line has no referer and no agent", "common", NULL,
     "::1 - - " LINE_TIME " \"GET / HTTP/1.0\" 304 7",
     "{\"client\":\"::1\",\"ident\":\"-\",\"user\":\"-\"," WANT_TIME
     ",\"method\":\"GET\",\"path\":\"/\",\"protocol\":\"HTTP/1.0\",\"status\":304,\"bytes\":7}",
     UTC, NULL, 0},
    {"bytes of - leave the field out", "common", NULL, "::1 - - " LINE_TIME " \"GET / HTTP/1.0\" 304 -",
     "{\"client\":\"::1\",\"ident\":\"-\",\"user\":\"-\"," WANT_TIME
     ",\"method\":\"GET\",\"path\":\"/\",\"protocol\":\"HTTP/1.0\",\"status\":304}",
     UTC, NULL, 0},
    {"an escaped quote does not end the agent", "combined", NULL,
     "h - - " LINE_TIME " \"GET / HTTP/1.1\" 200 1 \"-\" \"a \\\"b\\\" \\\\\"",
     "{\"client\":\"h\",\"ident\":\"-\",\"user\":\"-\"," WANT_TIME
     ",\"method\":\"GET\",\"path\":\"/\",\"protocol\":\"HTTP/"
     "1.1\",\"status\":200,\"bytes\":1,\"referer\":\"-\","
     "\"agent\":\"a \\\\\\\"b\\\\\\\" \\\\\\\\\"}",
     UTC, NULL, 0},
    {"a user may hold blanks and brackets", "common", NULL,
     "h - John [the] Doe " LINE_TIME " \"GET / HTTP/1.1\" 200 1",
     "{\"client\":\"h\",\"ident\":\"-\",\"user\":\"John [the] Doe\"," WANT_TIME
     ",\"method\":\"GET\",\"path\":\"/\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":1}",
     UTC, NULL, 0},
    {"a quote in the user is escaped on the way out", "common", NULL,
     "h - a\"b " LINE_TIME " \"GET / HTTP/1.1\" 200 1",
     "{\"client\":\"h\",\"ident\":\"-\",\"user\":\"a\\\"b\"," WANT_TIME
     ",\"method\":\"GET\",\"path\":\"/\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":1}",
     UTC, NULL, 0},
    {"a TLS handshake is a request without method", "common", NULL,
     "h - - " LINE_TIME " \"\\x16\\x03\\x01 a b\" 400 0",
     "{\"client\":\"h\",\"ident\":\"-\",\"user\":\"-\"," WANT_TIME
     ",\"status\":400,\"bytes\":0,\"request\":\"\\\\x16\\\\x03\\\\x01 a b\"}",
     UTC, NULL, 0},
    {"a request of - is a request without method", "combined", NULL,
     "h - - " LINE_TIME " \"-\" 408 - \"-\" \"-\"",
     "{\"client\":\"h\",\"ident\":\"-\",\"user\":\"-\"," WANT_TIME
     ",\"status\":408,\"referer\":\"-\",\"agent\":\"-\",\"request\":\"-\"}",
     UTC, NULL, 0},
    {"an HTTP/0.9 request is a request without method", "common", NULL, "h - - " LINE_TIME " \"GET /\" 200 5",
     "{\"client\":\"h\",\"ident\":\"-\",\"user\":\"-\"," WANT_TIME
     ",\"status\":200,\"bytes\":5,\"request\":\"GET /\"}",
     UTC, NULL, 0},
    {"a path may hold blanks before HTTP/", "common", NULL,
     "h - - " LINE_TIME " \"GET /a b  c HTTP/1.1\" 200 5",
     "{\"client\":\"h\",\"ident\":\"-\",\"user\":\"-\"," WANT_TIME
     ",\"method\":\"GET\",\"path\":\"/a b  c\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":5}",
     UTC, NULL, 0},
    {"four words without HTTP/ are a request", "common", NULL, "h - - " LINE_TIME " \"GET /a b c\" 200 5",
     "{\"client\":\"h\",\"ident\":\"-\",\"user\":\"-\"," WANT_TIME
     ",\"status\":200,\"bytes\":5,\"request\":\"GET /a b c\"}",
     UTC, NULL, 0},
    {"what follows the agent is kept as rest", "combined", NULL,
     "h - - " LINE_TIME " \"GET / HTTP/1.1\" 200 5 \"-\" \"x\" 0.003 \"up\"",
     "{\"client\":\"h\",\"ident\":\"-\",\"user\":\"-\"," WANT_TIME
     ",\"method\":\"GET\",\"path\":\"/\",\"protocol\":\"HTTP/"
     "1.1\",\"status\":200,\"bytes\":5,\"referer\":\"-\","
     "\"agent\":\"x\",\"rest\":\"0.003 \\\"up\\\"\"}",
     UTC, NULL, 0},
    {"a carriage return at the end is not part of the line", "common", NULL,
     "h - - " LINE_TIME " \"GET / HTTP/1.1\" 200 5\r",
     "{\"client\":\"h\",\"ident\":\"-\",\"user\":\"-\"," WANT_TIME
     ",\"method\":\"GET\",\"path\":\"/\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":5}",
     UTC, NULL, 0},
    {"bytes that are not UTF-8 leave as U+FFFD", "common", NULL,
     "h - - " LINE_TIME " \"GET /\xff HTTP/1.1\" 200 5",
     "{\"client\":\"h\",\"ident\":\"-\",\"user\":\"-\"," WANT_TIME
     ",\"method\":\"GET\",\"path\":\"/\xef\xbf\xbd\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":5}",
     UTC, NULL, 0},
    {"a zone west of Greenwich is added", "common", NULL,
     "h - - [31/Dec/1999:23:59:60 -0330] \"GET / HTTP/1.1\" 200 5",
     "{\"client\":\"h\",\"ident\":\"-\",\"user\":\"-\",\"time\":\"31/Dec/1999:23:59:60 -0330\","
     "\"method\":\"GET\",\"path\":\"/\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":5}",
     "2000-01-01T03:30:00Z", NULL, 0},
    {"a combined decoder tells a common line which format it is", "combined", NULL,
     "h - - " LINE_TIME " \"GET / HTTP/1.1\" 200 5", "!the format is 'common'", NULL, NULL, 0},
    {"an empty text is rejected", "combined", NULL, "", "!byte 0: not an access log line; expected client",
     NULL, NULL, 0},
    {"the 31st of February is rejected at its byte", "common", NULL,
     "h - - [31/Feb/2015:10:05:03 +0000] \"GET / HTTP/1.1\" 200 5", "!byte 7: ", NULL, NULL, 0},
    {"a number beyond 64 bits is rejected at its byte", "common", NULL,
     "h - - " LINE_TIME " \"GET / HTTP/1.1\" 200 9223372036854775808", "!byte 56: ", NULL, NULL, 0},
    {"the largest number of 64 bits is read", "common", NULL,
     "h - - " LINE_TIME " \"GET / HTTP/1.1\" 200 9223372036854775807",
     "{\"client\":\"h\",\"ident\":\"-\",\"user\":\"-\"," WANT_TIME
     ",\"method\":\"GET\",\"path\":\"/\",\"protocol\":\"HTTP/"
     "1.1\",\"status\":200,\"bytes\":9223372036854775807}",
     UTC, NULL, 0},
    {"a request without an end is rejected", "common", NULL, "h - - " LINE_TIME " \"GET / HTTP/1.1\\\" 200 5",
     "!a quote that ends the request", NULL, NULL, 0},
    {"text right behind the agent is rejected", "combined", NULL,
     "h - - " LINE_TIME " \"GET / HTTP/1.1\" 200 5 \"-\" \"x\"y", "!a blank or the end", NULL, NULL, 0},
};
CASES(cases)

/* Lines of every length around the ends of maps and vectors, mapped and not: the same fields. */
static void length_of_a_line_changes_nothing(void **state)
{
    (void)state;
    struct decoder d;
    struct mr_err err;
    struct mr_batch_pool *pool = mr_batch_pool_new(2, (size_t)1 << 26);
    assert_int_equal(decoder_open(&d, "combined", NULL, &err), MR_OK);
    for (size_t path = 1; path < 2300; path += path < 300 || path > 1880 ? 1 : 37) {
        static const char head[] = "h - u " LINE_TIME " \"GET ", tail[] = " HTTP/1.1\" 200 17 \"r\" \"a b\"";
        size_t n = sizeof head - 1 + path + sizeof tail - 1;
        char *text = malloc(n);
        assert_non_null(text);
        memcpy(text, head, sizeof head - 1);
        memset(text + sizeof head - 1, 'p', path);
        memcpy(text + n - (sizeof tail - 1), tail, sizeof tail - 1);
        struct mr_batch *b = case_decode(&d, pool, (struct mr_slice){text, n}, NULL, 0);
        struct mr_value p = mr_batch_get(b, 0, "path", 4), a = mr_batch_get(b, 0, "agent", 5),
                        s = mr_batch_get(b, 0, "bytes", 5);
        assert_int_equal(b->fate[0], MR_KEPT);
        assert_int_equal(p.len, path);
        assert_int_equal(p.hint, MR_HINT_PLAIN);
        assert_int_equal(s.u.i, 17);
        assert_true(mr_slice_eq(mr_value_text(&a), MR_SLICE("a b")));
        mr_batch_free(b);
        free(text);
    }
    decoder_close(&d);
    mr_batch_pool_free(pool);
}

/* Times of a batch do not depend on the line before. */
static void minute_that_is_kept_never_answers_for_another(void **state)
{
    (void)state;
    static const char *const lines[][2] = {
        {"h - - [17/May/2015:10:05:03 +0000] \"-\" 200 1", "2015-05-17T10:05:03Z"},
        {"h - - [17/May/2015:10:05:59 +0000] \"-\" 200 1", "2015-05-17T10:05:59Z"},
        {"h - - [17/May/2015:10:05:59 +0100] \"-\" 200 1", "2015-05-17T09:05:59Z"},
        {"h - - [17/May/2015:10:05:5x +0100] \"-\" 200 1", NULL},
        {"h - - [17/May/2015:10:05:00 +0100] \"-\" 200 1", "2015-05-17T09:05:00Z"},
        {"h - - [17/Jun/2015:10:05:00 +0100] \"-\" 200 1", "2015-06-17T09:05:00Z"},
    };
    struct mr_slice text[6];
    for (int i = 0; i < 6; i++)
        text[i] = mr_slice_of(lines[i][0]);
    struct decoder d;
    struct mr_err err;
    struct mr_batch_pool *pool = mr_batch_pool_new(2, (size_t)1 << 26);
    assert_int_equal(decoder_open(&d, "common", NULL, &err), MR_OK);
    struct mr_batch *b = texts_of(pool, text, 6);
    d.format->decode(d.self, b, 0, (struct mr_slice){NULL, 0}, 0);
    for (uint32_t i = 0; i < 6; i++) {
        char got[40];
        if (!lines[i][1]) {
            assert_int_equal(b->fate[i], MR_REJECTED);
            continue;
        }
        (void)mr_rfc3339_print(b->time[i], got);
        assert_string_equal(got, lines[i][1]);
    }
    mr_batch_free(b);
    decoder_close(&d);
    mr_batch_pool_free(pool);
}

/* A field that is not text, and one that is not there. */
static void only_text_is_decoded(void **state)
{
    (void)state;
    for (const struct mr_format *const *f = mr_formats(); *f; f++) {
        struct decoder d;
        struct mr_err err;
        bool pattern = strcmp((*f)->name, "regex") == 0 || strcmp((*f)->name, "grok") == 0;
        struct mr_batch_pool *pool = mr_batch_pool_new(2, (size_t)1 << 26);
        assert_int_equal(decoder_open(&d, (*f)->name, pattern ? "{\"pattern\":\"(?<a>.)\"}" : NULL, &err),
                         MR_OK);
        struct mr_slice text = MR_SLICE("x");
        struct mr_batch *b = texts_of(pool, &text, 1);
        b->column[0].v[0] = mr_value_int(4);
        d.format->decode(d.self, b, 0, (struct mr_slice){NULL, 0}, 0);
        assert_int_equal(b->fate[0], MR_REJECTED);
        assert_non_null(memmem(mr_batch_reason(b, 0).p, mr_batch_reason(b, 0).len, "an int, not text", 16));
        mr_batch_free(b);
        b = texts_of(pool, &text, 1);
        d.format->decode(d.self, b, -1, (struct mr_slice){NULL, 0}, 0);
        assert_int_equal(b->fate[0], MR_REJECTED);
        mr_batch_free(b);
        decoder_close(&d);
        mr_batch_pool_free(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(length_of_a_line_changes_nothing),
        cmocka_unit_test(minute_that_is_kept_never_answers_for_another),
        cmocka_unit_test(only_text_is_decoded),
    };
    cases_make();
    int failed =
        _cmocka_run_group_tests("access log lines", cases_tests, sizeof cases / sizeof *cases, NULL, NULL);
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
