/* format_pairs_test.c - logfmt, csv, json and raw. */
#include "data/format_case.h"

static struct format_case cases[] = {
    {"logfmt: pairs, quoted values and words", "logfmt", NULL,
     "level=info msg=\"a b\" ms=12 retried empty= q=\"\"",
     "{\"level\":\"info\",\"msg\":\"a b\",\"ms\":\"12\",\"retried\":true,\"empty\":\"\",\"q\":\"\"}", NULL,
     NULL, 0},
    {"logfmt: escapes of JSON are undone", "logfmt", NULL,
     "a=\"\\\"x\\\" \\\\ \\n\\t\\r\\b\\f\\/ \\u00e9 \\ud83d\\ude00 \\ud83d \\q \\u12\"",
     "{\"a\":\"\\\"x\\\" \\\\ \\n\\t\\r\\b\\f/ \xc3\xa9 \xf0\x9f\x98\x80 \xef\xbf\xbd \\\\q \\\\u12\"}", NULL,
     NULL, 0},
    {"logfmt: = and quotes within a bare value are text", "logfmt", NULL, "a=b=c d=x\"y\"",
     "{\"a\":\"b=c\",\"d\":\"x\\\"y\\\"\"}", NULL, NULL, 0},
    {"logfmt: of a name given twice the last wins", "logfmt", NULL, "a=1 b=2 a=3",
     "{\"a\":\"3\",\"b\":\"2\"}", NULL, NULL, 0},
    {"logfmt: types and time", "logfmt",
     "{\"types\":{\"n\":\"int\",\"x\":\"float\",\"none\":\"int\"},\"time\":{\"field\":\"ts\",\"format\":"
     "\"rfc3339\"}}",
     "ts=2026-01-02T03:04:05Z n=7 x=1e3 none=-", "{\"ts\":\"2026-01-02T03:04:05Z\",\"n\":7,\"x\":1000.0}",
     "2026-01-02T03:04:05Z", NULL, 0},
    {"logfmt: a value not of its type is rejected", "logfmt", "{\"types\":{\"n\":\"int\"}}", "n=x1",
     "!field 'n' is not of type int: 'x1'", NULL, NULL, 0},
    {"logfmt: words without any pair are rejected", "logfmt", NULL, "just some words", "!no name=value", NULL,
     NULL, 0},
    {"logfmt: an empty text is rejected", "logfmt", NULL, "", "!no name=value", NULL, NULL, 0},
    {"logfmt: a quote that does not end is rejected", "logfmt", NULL, "a=1 b=\"x\\\"",
     "!byte 6: the quoted value of 'b'", NULL, NULL, 0},
    {"logfmt: text right behind a quoted value is rejected", "logfmt", NULL, "b=\"x\"y=1",
     "!byte 5: expected a blank", NULL, NULL, 0},
    {"logfmt: = without a name is rejected", "logfmt", NULL, "a=1 =2", "!byte 4: expected a name, not '='",
     NULL, NULL, 0},
    {"logfmt: blanks of all kinds separate", "logfmt", NULL, "  a=1\tb=2 \n c=3\r",
     "{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}", NULL, NULL, 0},
    {"logfmt: the text field itself may be among the names", "logfmt", NULL, "message=hi n=1",
     "{\"message\":\"hi\",\"n\":\"1\"}", NULL, NULL, 0},

    {"csv: values without names are numbered", "csv", NULL, "a,,c", "{\"c1\":\"a\",\"c2\":\"\",\"c3\":\"c\"}",
     NULL, NULL, 0},
    {"csv: quotes, doubled quotes, delimiters and newlines within", "csv",
     "{\"columns\":[\"id\",\"t\",\"p\",\"q\"]}", "7,\"Smith, \"\"Jo\"\"\",\"a\nb\",\"\"",
     "{\"id\":\"7\",\"t\":\"Smith, \\\"Jo\\\"\",\"p\":\"a\\nb\",\"q\":\"\"}", NULL, NULL, 0},
    {"csv: a value of quotes alone", "csv", NULL, "\"\"\"\",\"\"\"\"\"\"",
     "{\"c1\":\"\\\"\",\"c2\":\"\\\"\\\"\"}", NULL, NULL, 0},
    {"csv: a quote within a bare value is text", "csv", NULL, "a\"b\",c",
     "{\"c1\":\"a\\\"b\\\"\",\"c2\":\"c\"}", NULL, NULL, 0},
    {"csv: tabs", "csv", "{\"delimiter\":\"tab\"}", "a\tb, c\t", "{\"c1\":\"a\",\"c2\":\"b, c\",\"c3\":\"\"}",
     NULL, NULL, 0},
    {"csv: semicolons, types and a column without a name", "csv",
     "{\"delimiter\":\";\",\"columns\":[\"n\",\"\",\"f\"],\"types\":{\"n\":\"int\",\"f\":\"float\"}}", "7;x;",
     "{\"n\":7}", NULL, NULL, 0},
    {"csv: trim takes blanks off what is not quoted", "csv", "{\"trim\":true}", " a ,\t\" b \" , c",
     "{\"c1\":\"a\","
     "\"c2\":\" b \",\"c3\":\"c\"}",
     NULL, NULL, 0},
    {"csv: too few values are rejected", "csv", "{\"columns\":[\"a\",\"b\"]}", "1",
     "!1 values, but 2 columns", NULL, NULL, 0},
    {"csv: too many values are numbered when it is not strict", "csv",
     "{\"columns\":[\"a\"],\"strict\":false}", "1,2", "{\"a\":\"1\",\"c2\":\"2\"}", NULL, NULL, 0},
    {"csv: values that lack are left out when it is not strict", "csv",
     "{\"columns\":[\"a\",\"b\"],\"strict\":false}", "1", "{\"a\":\"1\"}", NULL, NULL, 0},
    {"csv: a quoted value that does not end is rejected", "csv", NULL, "a,\"b\"\"",
     "!byte 2: the quoted value does not end", NULL, NULL, 0},
    {"csv: text right behind a quoted value is rejected", "csv", NULL, "\"a\"b,c",
     "!byte 3: expected the delimiter", NULL, NULL, 0},
    {"csv: an empty text is rejected", "csv", NULL, "\r", "!the text is empty", NULL, NULL, 0},
    {"csv: a column sets the event time", "csv",
     "{\"columns\":[\"t\",\"v\"],\"time\":{\"field\":\"t\",\"format\":\"unix_ms\"}}", "1700000000123,x",
     "{\"t\":\"1700000000123\",\"v\":\"x\"}", "2023-11-14T22:13:20.123Z", NULL, 0},

    {"json: the members become fields, numbers to the last digit", "json", NULL,
     "{\"a\":1.50,\"b\":{\"c\":[1,2]},\"message\":null,\"n\":123456789012345678901234567890}",
     "{\"a\":1.50,\"b\":{\"c\":[1,2]},\"message\":null,\"n\":123456789012345678901234567890}", NULL, NULL, 0},
    {"json: what is not an object is rejected", "json", NULL, "[1]", "!", NULL, NULL, 0},
    {"json: an empty text is rejected", "json", NULL, "", "!", NULL, NULL, 0},
    {"raw: the text as it is, to its last byte", "raw", "{\"field\":\"line\"}", "a \"b\" \\ \r",
     "{\"line\":\"a \\\"b\\\" \\\\ \\r\"}", NULL, NULL, 0},
    {"raw: the text may stay where it is", "raw", NULL, "", "{\"message\":\"\"}", NULL, NULL, 0},
};
CASES(cases)

static struct mr_batch *decode_lines(struct decoder *d, struct mr_batch_pool *pool, const char *const *line,
                                     uint32_t n)
{
    struct mr_slice text[8];
    for (uint32_t i = 0; i < n; i++)
        text[i] = mr_slice_of(line[i]);
    struct mr_batch *b = texts_of(pool, text, n);
    d->format->decode(d->self, b, 0, (struct mr_slice){NULL, 0}, 0);
    return b;
}

static void assert_text(struct mr_batch *b, uint32_t row, const char *want)
{
    struct mr_buf out = {0};
    assert_true(mr_json_write_row(&out, b, row) && mr_buf_put(&out, "", 1));
    assert_string_equal(out.p, want);
    mr_buf_fini(&out);
}

/* The guess of the line before must not put a value under another name. */
static void lines_of_a_batch_may_have_different_names_in_any_order(void **state)
{
    (void)state;
    static const char *const lines[] = {"a=1 b=2 c=3", "c=1 a=2 b=3",     "b=1 a=2",
                                        "a=1",         "a=1 b=2 c=3 d=4", "ab=1 b=2"};
    struct decoder d;
    struct mr_err err;
    struct mr_batch_pool *pool = mr_batch_pool_new(2, (size_t)1 << 26);
    assert_int_equal(decoder_open(&d, "logfmt", NULL, &err), MR_OK);
    for (int batch = 0; batch < 2; batch++) { /* slots of one batch mean nothing in the next */
        struct mr_batch *b = decode_lines(&d, pool, lines + batch, 5);
        for (uint32_t i = 0; i < 5; i++) {
            for (const char *p = lines[(uint32_t)batch + i]; *p; p += strcspn(p, " "), p += *p == ' ') {
                size_t name = strcspn(p, "="), value = strcspn(p + name + 1, " ");
                struct mr_value v = mr_batch_get(b, i, p, name);
                assert_true(v.tag == MR_STRING &&
                            mr_slice_eq(mr_value_text(&v), (struct mr_slice){p + name + 1, value}));
                p += name + 1;
            }
        }
        mr_batch_free(b);
    }
    decoder_close(&d);
    mr_batch_pool_free(pool);
}

/* An event that was more than its text is not that text afterwards; one that was not, is. */
static void json_text_stands_for_the_event_only_when_it_is_all_of_it(void **state)
{
    (void)state;
    static const char *const line = " {\"a\" : 1} ";
    struct decoder d;
    struct mr_err err;
    struct mr_batch_pool *pool = mr_batch_pool_new(2, (size_t)1 << 26);
    assert_int_equal(decoder_open(&d, "json", NULL, &err), MR_OK);
    struct mr_batch *b = decode_lines(&d, pool, &line, 1);
    struct mr_value a = mr_batch_get(b, 0, "a", 1);
    assert_int_equal(a.u.i, 1);
    mr_batch_free(b);

    struct mr_slice text = mr_slice_of(line);
    b = texts_of(pool, &text, 1);
    assert_true(mr_batch_set(b, 0, "host", 4, mr_value_string(MR_SLICE("h"))));
    d.format->decode(d.self, b, 0, (struct mr_slice){NULL, 0}, 0);
    assert_text(b, 0, "{\"host\":\"h\",\"a\":1}");
    mr_batch_free(b);
    decoder_close(&d);
    mr_batch_pool_free(pool);
}

/* `into` a path through something that is no object: rejected, and the text is still there. */
static void fields_that_cannot_be_placed_reject_the_event_whole(void **state)
{
    (void)state;
    static const char *const formats[][2] = {
        {"logfmt", "a=1"}, {"csv", "a"}, {"json", "{\"a\":1}"}, {"raw", "a"}, {"syslog", "a"}};
    struct mr_batch_pool *pool = mr_batch_pool_new(2, (size_t)1 << 26);
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct decoder d;
        struct mr_err err;
        struct mr_slice text = mr_slice_of(formats[i][1]);
        assert_int_equal(decoder_open(&d, formats[i][0], NULL, &err), MR_OK);
        struct mr_batch *b = texts_of(pool, &text, 1);
        assert_true(mr_batch_set(b, 0, "n", 1, mr_value_int(1)));
        d.format->decode(d.self, b, 0, MR_SLICE("n.x"), 0);
        assert_int_equal(b->fate[0], MR_REJECTED);
        struct mr_value v = mr_batch_get(b, 0, "message", 7);
        assert_true(v.tag == MR_STRING && mr_slice_eq(mr_value_text(&v), text));
        mr_batch_free(b);
        decoder_close(&d);
    }
    mr_batch_pool_free(pool);
}

/* The page of each format shows one line in and the event out: that is what happens. */
static void example_of_every_page_is_true(void **state)
{
    (void)state;
    for (const struct mr_format *const *f = mr_formats(); *f; f++) {
        const char *name = (*f)->name;
        const char *options =
            strcmp(name, "regex") == 0
                ? "{\"pattern\":\"^(?<verb>\\\\w+) took (?<ms>\\\\d+)\",\"types\":{\"ms\":\"int\"}}"
            : strcmp(name, "grok") == 0
                ? "{\"pattern\":\"%{IP:client} %{WORD:verb} %{NUMBER:seconds:float}\"}"
            : strcmp(name, "csv") == 0
                ? "{\"columns\":[\"id\",\"name\",\"price\"],\"types\":{\"price\":\"float\"}}"
                : NULL;
        const char *in = strstr((*f)->doc, "\nin   "), *out = strstr((*f)->doc, "\nout  ");
        if (!in || !out)
            fail_msg("the page of %s has no example", name);
        char want[2048];
        struct mr_slice text = {in + 6, strcspn(in + 6, "\n")};
        (void)snprintf(want, sizeof want, "%.*s", (int)strcspn(out + 6, "\n"), out + 6);
        struct decoder d;
        struct mr_err err;
        struct mr_batch_pool *pool = mr_batch_pool_new(2, (size_t)1 << 26);
        assert_int_equal(decoder_open(&d, name, options, &err), MR_OK);
        struct mr_batch *b = case_decode(&d, pool, text, NULL, 1772323200000000000);
        assert_text(b, 0, want);
        mr_batch_free(b);
        decoder_close(&d);
        mr_batch_pool_free(pool);
        for (const struct mr_option *o = (*f)->options; o->name; o++)
            assert_true(o->help && strlen(o->help) > 10);
        assert_int_equal((*f)->summary[strlen((*f)->summary) - 1], '.');
    }
}

/* Who takes the text away afterwards by comparing values must not take the new field away. */
static void field_in_the_place_of_the_text_is_never_the_text_itself(void **state)
{
    (void)state;
    static const char *const kinds[][2] = {
        {"raw", NULL},
        {"syslog", NULL},
        {"csv", "{\"columns\":[\"message\"]}"},
        {"regex", "{\"pattern\":\"^(?<message>.*)$\"}"},
        {"grok", "{\"pattern\":\"^%{GREEDYDATA:message}%{DATA:a.b}$\"}"},
    };
    static const char *const lines[] = {"plain", "with \\ and \xff"};
    struct mr_batch_pool *pool = mr_batch_pool_new(2, (size_t)1 << 26);
    for (size_t i = 0; i < 2 * sizeof kinds / sizeof *kinds; i++) {
        struct decoder d;
        struct mr_err err;
        struct mr_slice text = mr_slice_of(lines[i % 2]);
        assert_int_equal(decoder_open(&d, kinds[i / 2][0], kinds[i / 2][1], &err), MR_OK);
        struct mr_batch *b = case_decode(&d, pool, text, NULL, 0);
        struct mr_value v = mr_batch_get(b, 0, "message", 7);
        assert_true(v.tag == MR_STRING && mr_slice_eq(mr_value_text(&v), text));
        assert_ptr_not_equal(v.u.s, text.p);
        mr_batch_free(b);
        decoder_close(&d);
    }
    mr_batch_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(field_in_the_place_of_the_text_is_never_the_text_itself),
        cmocka_unit_test(example_of_every_page_is_true),
        cmocka_unit_test(lines_of_a_batch_may_have_different_names_in_any_order),
        cmocka_unit_test(json_text_stands_for_the_event_only_when_it_is_all_of_it),
        cmocka_unit_test(fields_that_cannot_be_placed_reject_the_event_whole),
    };
    cases_make();
    int failed = _cmocka_run_group_tests("pairs", cases_tests, sizeof cases / sizeof *cases, NULL, NULL);
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
