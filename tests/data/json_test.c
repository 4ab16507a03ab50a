/* json_test.c - the JSON reader against tables of the grammar's edges, with every kernel of this machine. */
#include "data/event.h"

#include "base/prng.h"
#include "data/json_kernel.h"

#include <math.h>

static const struct {
    const char *text;
    size_t len;
} valid[] = {
#define T(s)                                                                                                 \
    {                                                                                                        \
        s, sizeof(s) - 1                                                                                     \
    }
    T("null"),
    T("true"),
    T("false"),
    T("0"),
    T("-0"),
    T("1"),
    T("-1"),
    T("1.0"),
    T("-0.0"),
    T("1e1"),
    T("1E+1"),
    T("1e-1"),
    T("0e+1"),
    T("123.456e78"),
    T("1e400"),
    T("-1e-400"),
    T("123456789012345678901234567890"),
    T("9223372036854775807"),
    T("-9223372036854775808"),
    T("18446744073709551616"),
    T("0.1"),
    T("-123"),
    T(" 4 "),
    T("\t\n\r 1 \t\n\r"),
    T("\"\""),
    T("\"a\""),
    T("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    T("\"\\u0000\""),
    T("\"\\u0060\\u012a\\u12AB\""),
    T("\"\\uD801\\udc37\""),
    T("\"\\ud83d\\ude39\\ud83d\\udc8d\""),
    T("\"\\\\u0000\""),
    T("\"\\uDBFF\\uDFFF\""),
    T("\"\\uFFFF\""),
    T("\"\x7f\""),
    T("\"a/*b*/c/*d//e\""),
    T("\"\xc3\xa9\""),
    T("\"\xe2\x82\xac\""),
    T("\"\xf0\x9d\x84\x9e\""),
    T("\"\xf4\x8f\xbf\xbf\""),
    T("\"\xef\xbf\xbf\""),
    T("\"\xe2\x80\xa8\""),
    T("\"\xed\x9f\xbf\""),
    T("[]"),
    T("[ ]"),
    T("[[]   ]"),
    T("[\"\"]"),
    T("[1\n]"),
    T(" [1]"),
    T("[1,null,null,null,2]"),
    T("[2] "),
    T("[[],[[]],{}]"),
    T("{}"),
    T("{\"a\":[]}"),
    T("{\"\":0}"),
    T("{\"a\":\"b\",\"a\":\"c\"}"),
    T("{\"a\":\"b\",\"a\":\"b\"}"),
    T("{\"foo\\u0000bar\": 42}"),
    T("{ \"min\": -1.0e+28, \"max\": 1.0e+28 }"),
    T("{\n\"a\": \"b\"\n}"),
    T("{\"x\":[{\"id\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}], \"id\": \"x\"}"),
    T("\xef\xbb\xbf{}"),
    T("[\"0123456789012345678901234567890123456789\\n0123456789012345678901234567890123456789\"]"),
};

static const struct {
    const char *text;
    size_t len;
    uint32_t at; /* the byte that the message names */
} invalid[] = {
#define N(s, at)                                                                                             \
    {                                                                                                        \
        s, sizeof(s) - 1, at                                                                                 \
    }
    N("", 0),
    N(" ", 1),
    N("nul", 0),
    N("nulL", 0),
    N("True", 0),
    N("tru", 0),
    N("truex", 4),
    N("truth", 0),
    N("fals", 0),
    N("NaN", 0),
    N("Infinity", 0),
    N("-Infinity", 1),
    N("-", 1),
    N("+1", 0),
    N(".5", 0),
    N("-.5", 1),
    N("1.", 2),
    N("1.e1", 2),
    N("1e", 2),
    N("1e+", 3),
    N("1eE2", 2),
    N("01", 1),
    N("-01", 2),
    N("00", 1),
    N("0x1", 1),
    N("1 000", 2),
    N("--1", 1),
    N("1+2", 1),
    N("0.3e", 4),
    N("2.e+3", 2),
    N("9.e", 2),
    N("1a", 1),
    N("-a", 1),
    N("\xef\xbc\x91", 0),
    N("\"", 1),
    N("\"abc", 4),
    N("\"\\", 1),
    N("\"\\\"", 3),
    N("\"\\x00\"", 1),
    N("\"\\a\"", 1),
    N("\"\\u\"", 1),
    N("\"\\u00A\"", 1),
    N("\"\\u00Ag\"", 1),
    N("\"\\U0041\"", 1),
    N("\"\\ud800\"", 1),
    N("\"\\udc00\"", 1),
    N("\"\\ud800\\u0041\"", 1),
    N("\"\\ud800\\ud800\"", 1),
    N("\"\\ud800\\n\"", 1),
    N("\"\\udc00\\ud800\"", 1),
    N("\"\\uD834\\uDd\"", 1),
    N("\"a\0b\"", 2),
    N("\"\n\"", 1),
    N("\"\t\"", 1),
    N("\"\x1f\"", 1),
    N("\"\xff\"", 1),
    N("\"\x80\"", 1),
    N("\"\xc0\xaf\"", 1),
    N("\"\xc3\"", 1),
    N("\"\xe2\x82\"", 1),
    N("\"\xe0\x80\xaf\"", 1),
    N("\"\xed\xa0\x80\"", 1),
    N("\"\xf4\x90\x80\x80\"", 1),
    N("\"\xf0\x80\x80\xaf\"", 1),
    N("\"\xf5\x80\x80\x80\"", 1),
    N("\"\xfc\x83\xbf\xbf\xbf\xbf\"", 1),
    N("'a'", 0),
    N("a", 0),
    N("\"a\"x", 3),
    N("\"a\" \"b\"", 4),
    N("[", 1),
    N("[1", 2),
    N("[1,", 3),
    N("[,1]", 1),
    N("[1,]", 3),
    N("[1,,2]", 3),
    N("[1 2]", 3),
    N("[1:2]", 2),
    N("[\"a\",\n4\n,1,", 11),
    N("[*]", 1),
    N("[1}", 2),
    N("]", 0),
    N("[]]", 2),
    N("[1]x", 3),
    N("[\"x\"]]", 5),
    N("[][]", 2),
    N("[\x0c]", 1),
    N("[\xc2\xa0]", 1),
    N("[\xe2\x81\xa0]", 1),
    N("[\\u000A\"\"]", 1),
    N("[1,\0", 3),
    N("[nul]", 1),
    N("[1e]", 3),
    N("{", 1),
    N("{\"a\"", 4),
    N("{\"a\":", 5),
    N("{\"a\":1", 6),
    N("{\"a\":1,", 7),
    N("{\"a\":1,}", 7),
    N("{,\"a\":1}", 1),
    N("{\"a\" 1}", 5),
    N("{\"a\"::1}", 5),
    N("{:1}", 1),
    N("{a:1}", 1),
    N("{1:1}", 1),
    N("{'a':1}", 1),
    N("{\"a\":1 \"b\":2}", 7),
    N("{\"a\":1,,\"b\":2}", 7),
    N("{\"a\":1]", 6),
    N("{}}", 2),
    N("{\"a\":/*c*/1}", 5),
    N("{\"a\":1}#", 7),
    N("{\"a\":1}//", 7),
    N("{null:null}", 1),
    N("{\"a\":\"a", 7),
    N("{\"a\",1}", 4),
    N("{[1]:2}", 1),
    N("\xef\xbb\xbf", 3),
    N("\xef\xbb{}", 0),
    N("\xfe\xff", 0),
    N("{\"a\":truE}", 5),
    N("{\"a\":\"\\u12\"}", 6),
    N("[\"\xe5\"]", 2),
    N("//x", 0),
    N("<null>", 0),
    N("{}\0", 2),
};

extern const struct mr_json_kernel json_kernel_portable; /* json_portable.c */

static const struct mr_json_kernel *kernels[] = {&json_kernel_portable, &mr_json_kernel_base,
#if defined(__x86_64__)
                                                 &mr_json_kernel_avx2,
#endif
                                                 NULL};

static bool runs_here(const struct mr_json_kernel *k)
{
#if defined(__x86_64__)
    if (k == &mr_json_kernel_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
#endif
    return k != NULL;
}

/* In memory of exactly its size, so that a byte read too much is noticed by the address sanitizer. */
static char *exact(const char *text, size_t len)
{
    char *p = malloc(len ? len : 1);
    assert_non_null(p);
    if (len)
        memcpy(p, text, len);
    return p;
}

static void check_valid(void)
{
    for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++) {
        char *p = exact(valid[i].text, valid[i].len);
        struct mr_value v;
        struct mr_err err;
        if (mr_json_read((struct mr_slice){p, valid[i].len}, &v, &err) != MR_OK)
            fail_msg("refused '%s': %s", valid[i].text, err.text);
        free(p);
    }
}

static void check_invalid(void)
{
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        char *p = exact(invalid[i].text, invalid[i].len);
        struct mr_value v;
        struct mr_err err;
        if (mr_json_read((struct mr_slice){p, invalid[i].len}, &v, &err) != MR_BADDATA)
            fail_msg("accepted '%s'", invalid[i].text);
        if (err.at != invalid[i].at)
            fail_msg("'%s': at %u, not %u: %s", invalid[i].text, err.at, invalid[i].at, err.text);
        free(p);
    }
}

static void every_kernel_accepts_what_is_json(void **state)
{
    (void)state;
    for (const struct mr_json_kernel **k = kernels; *k; k++)
        if (runs_here(*k)) {
            mr_json_kernel_use(*k);
            check_valid();
        }
    mr_json_kernel_use(NULL);
}

static void every_kernel_refuses_what_is_not_and_says_where(void **state)
{
    (void)state;
    for (const struct mr_json_kernel **k = kernels; *k; k++)
        if (runs_here(*k)) {
            mr_json_kernel_use(*k);
            check_invalid();
        }
    mr_json_kernel_use(NULL);
}

static void depth_ends_at_128(void **state)
{
    (void)state;
    char text[20001];
    struct mr_value v;
    struct mr_err err;
    for (int deep = 126; deep <= 10000; deep = deep < 130 ? deep + 1 : deep + 9870) {
        memset(text, '[', (size_t)deep);
        memset(text + deep, ']', (size_t)deep);
        mr_code code = mr_json_read((struct mr_slice){text, (size_t)deep * 2}, &v, &err);
        assert_int_equal(code, deep <= MR_JSON_DEPTH_MAX ? MR_OK : MR_BADDATA);
        if (code)
            assert_non_null(strstr(err.text, "nested deeper than 128 levels"));
    }
}

static void numbers_keep_their_kind(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int tag;
        int64_t i;
        double f;
    } rows[] = {
        {"0", MR_INT, 0, 0},
        {"9223372036854775807", MR_INT, INT64_MAX, 0},
        {"-9223372036854775808", MR_INT, INT64_MIN, 0},
        {"9223372036854775808", MR_FLOAT, 0, 9223372036854775808.0},
        {"-9223372036854775809", MR_FLOAT, 0, -9223372036854775808.0},
        {"1.0", MR_FLOAT, 0, 1.0},
        {"1E5", MR_FLOAT, 0, 100000.0},
        {"1e400", MR_FLOAT, 0, (double)INFINITY},
        {"-1e400", MR_FLOAT, 0, -(double)INFINITY},
        {"-0", MR_FLOAT, 0, -0.0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mr_value v, out;
        assert_int_equal(mr_json_read(mr_slice_of(rows[i].text), &v, NULL), MR_OK);
        assert_int_equal(v.tag, MR_JSON);
        assert_true(mr_json_resolve(NULL, &v, &out));
        assert_int_equal(v.hint, rows[i].tag);
        assert_int_equal(out.tag, rows[i].tag);
        if (out.tag == MR_INT)
            assert_int_equal(out.u.i, rows[i].i);
        else if (memcmp(&out.u.f, &rows[i].f, sizeof(double)) != 0)
            fail_msg("'%s' is %.17g", rows[i].text, out.u.f);
    }
}

static void strings_are_escaped_and_repaired(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        size_t len;
        const char *out;
    } rows[] = {
        {"", 0, "\"\""},
        {"a\"b\\c", 5, "\"a\\\"b\\\\c\""},
        {"\b\f\n\r\t\x01\x1f\0", 8, "\"\\b\\f\\n\\r\\t\\u0001\\u001f\\u0000\""},
        {"\x7f/", 2, "\"\x7f/\""},
        {"\xc3\xa9\xf0\x9d\x84\x9e", 6, "\"\xc3\xa9\xf0\x9d\x84\x9e\""},
        {"a\xff\xc3", 3, "\"a\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"0123456789012345678901234567890123456789\n0123456789012345", 57,
         "\"0123456789012345678901234567890123456789\\n0123456789012345\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mr_buf out = {0};
        assert_true(mr_json_write_string(&out, rows[i].in, rows[i].len));
        assert_true(mr_slice_eq((struct mr_slice){out.p, out.len}, mr_slice_of(rows[i].out)));
        mr_buf_fini(&out);
    }
}

static void other_values_have_their_text(void **state)
{
    (void)state;
    static const struct {
        struct mr_value v;
        const char *text;
    } rows[] = {
        {{.tag = MR_FLOAT, .u.f = 1.0}, "1.0"},
        {{.tag = MR_FLOAT, .u.f = (double)INFINITY}, "null"},
        {{.tag = MR_INT, .u.i = INT64_MIN}, "-9223372036854775808"},
        {{.tag = MR_TIME, .u.i = 1500000000}, "\"1970-01-01T00:00:01.500Z\""},
        {{.tag = MR_BYTES, .len = 4, .u.s = "\xff\x00\x01z"}, "\"/wABeg==\""},
        {{.tag = MR_BYTES, .len = 3, .u.s = "abc"}, "\"YWJj\""},
        {{.tag = MR_BYTES, .len = 2, .u.s = "ab"}, "\"YWI=\""},
        {{.tag = MR_NULL}, "null"},
        {{.tag = MR_LIST}, "[]"},
        {{.tag = MR_OBJECT}, "{}"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mr_buf out = {0};
        assert_true(mr_json_write(&out, &rows[i].v));
        if (!mr_slice_eq((struct mr_slice){out.p, out.len}, mr_slice_of(rows[i].text)))
            fail_msg("%.*s, not %s", (int)out.len, out.p, rows[i].text);
        mr_buf_fini(&out);
    }
}

static void an_event_is_one_line(void **state)
{
    (void)state;
    struct mr_batch_pool *pool = mr_batch_pool_new(1, 1 << 22);
    const char *lines[] = {"\n{\n \"a\": [1,\n2],\r\n\"b\": \"x\\ny\"\n}\n"};
    struct mr_batch *b = events_of(pool, lines, 1);
    assert_event(b, 0, "{  \"a\": [1, 2],  \"b\": \"x\\ny\" }");
    mr_batch_touch(b, 0);
    assert_event(b, 0, "{\"a\":[1, 2],\"b\":\"x\\ny\"}");
    struct mr_value v;
    assert_int_equal(mr_json_read(MR_SLICE("{\"k\":[1,\n2]}"), &v, NULL), MR_OK);
    assert_true(mr_batch_set(b, 0, "a", 1, v));
    assert_event(b, 0, "{\"a\":{\"k\":[1, 2]},\"b\":\"x\\ny\"}");
    mr_batch_free(b);
    mr_batch_pool_free(pool);
}

static void events_of_many_shapes_share_a_batch(void **state)
{
    (void)state;
    struct mr_batch_pool *pool = mr_batch_pool_new(1, 1 << 22);
    const char *lines[] = {
        "{\"a\":1,\"b\":{\"x\":1,\"y\":2},\"c\":3}",
        "{\"a\":1,\"c\":3,\"b\":{\"y\":2,\"x\":1}}",
        "{\"b\":{\"z\":[{\"p\":1,\"q\":2},{\"p\":1}]},\"a\":\"aa\"}",
        "{}",
        "{\"a\" : 1,\"b\" :{\"x\" :1}}",
        "{\"\\u0061\":1,\"a-very-long-name-beyond-the-width-of-any-register\":2}",
        "{\"c\":{\"x\":{\"y\":{}}},\"a-very-long-name-beyond-the-width-of-any-register\":2,\"a\":null}",
    };
    uint32_t n = sizeof lines / sizeof lines[0];
    for (const struct mr_json_kernel **k = kernels; *k; k++) {
        if (!runs_here(*k))
            continue;
        mr_json_kernel_use(*k);
        struct mr_batch *b = mr_batch_take(pool);
        mr_batch_rows(b, n * 3);
        for (uint32_t r = 0; r < n * 3; r++) {
            size_t len = strlen(lines[r % n]);
            char *p = exact(lines[r % n], len);
            struct mr_err err;
            assert_true(mr_batch_pin(b, free, p));
            assert_int_equal(mr_json_read_row(b, r, (struct mr_slice){p, len}, &err), MR_OK);
        }
        for (uint32_t r = 0; r < n * 3; r++) {
            assert_event(b, r, lines[r % n]);
            mr_batch_touch(b, r);
            char *text = event_text(b, r);
            struct mr_value was, is;
            assert_int_equal(mr_json_read(mr_slice_of(lines[r % n]), &was, NULL), MR_OK);
            assert_int_equal(mr_json_read(mr_slice_of(text), &is, NULL), MR_OK);
            if (!mr_value_equal(&was, &is))
                fail_msg("%s became %s", lines[r % n], text);
            free(text);
        }
        mr_batch_free(b);
    }
    mr_json_kernel_use(NULL);
    mr_batch_pool_free(pool);
}

static void a_member_is_found_in_text_as_in_its_value(void **state)
{
    (void)state;
    struct mr_batch_pool *pool = mr_batch_pool_new(1, 1 << 22);
    const char *lines[] = {
        "{\"o\":{\"a\":1,\"b\":{\"c\":2,\"d\":[{\"e\":3}]},\"f\":\"g\"}}",
        "{\"o\":{\"a\":1,\"b\":{\"c\":2,\"c\":5},\"a\":6}}",
        "{\"o\":{\"a\":1,\"b\":{\"c\":2,\"d\":[{\"e\":3,\"e\":7}]},\"f\":\"g\"}}",
        "{\"o\":{\"a\":1,\"b\":{\"c\":2},\"\\u0061\":8}}",
        "{\"o\":{\"a\\\"\":1,\"a\":\"b\",\"a\":9 , \"b\" : {} }}",
        "{\"o\":{\"a\":1,\"b\":{\"c\":2,\"d\":[{\"e\":3}]},\"f\":\"g\"}}",
    };
    static const char *const names[] = {"a", "b", "f", "c", "a\"", "", "a\":\"b", "a\":1,\"b"};
    uint32_t n = sizeof lines / sizeof lines[0];
    for (const struct mr_json_kernel **k = kernels; *k; k++) {
        if (!runs_here(*k))
            continue;
        mr_json_kernel_use(*k);
        struct mr_batch *b = mr_batch_take(pool);
        mr_batch_rows(b, n * 2);
        for (uint32_t r = 0; r < n * 2; r++) {
            size_t len = strlen(lines[r % n]);
            char *p = exact(lines[r % n], len);
            assert_true(mr_batch_pin(b, free, p));
            assert_int_equal(mr_json_read_row(b, r, (struct mr_slice){p, len}, NULL), MR_OK);
            struct mr_value text = b->column[0].v[r], o;
            assert_true(mr_json_resolve(b->arena, &text, &o));
            for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                struct mr_value want = {0}, got = mr_json_member(&text, names[i], strlen(names[i]));
                for (uint32_t m = 0; m < o.len; m++)
                    if (mr_slice_eq((struct mr_slice){o.u.object[m].name, o.u.object[m].name_len},
                                    mr_slice_of(names[i])))
                        want = o.u.object[m].v;
                if (!mr_value_equal(&want, &got))
                    fail_msg("'%s' of %s", names[i], lines[r % n]);
            }
            struct mr_value c = mr_batch_get(b, r, "o.b.c", 5), e = mr_batch_get(b, r, "o.b.d[0].e", 10);
            assert_int_equal(c.u.i, r % n == 1 ? 5 : r % n == 4 ? 0 : 2);
            assert_int_equal(e.u.i, r % n == 2 ? 7 : r % n == 0 || r % n == 5 ? 3 : 0);
        }
        mr_batch_free(b);
    }
    mr_json_kernel_use(NULL);
    mr_batch_pool_free(pool);
}

/* What one kernel makes of a text, as text. */
static void answer(const struct mr_json_kernel *k, struct mr_batch_pool *pool, struct mr_slice text,
                   struct mr_buf *out)
{
    struct mr_err err = {0};
    mr_json_kernel_use(k);
    struct mr_batch *b = mr_batch_take(pool);
    mr_batch_rows(b, 2);
    out->len = 0;
    for (uint32_t row = 0; row < 2; row++) { /* the second time names are guessed */
        mr_code code = mr_json_read_row(b, row, text, &err);
        assert_true(mr_buf_printf(out, "%d %u %s|", (int)code, code ? err.at : 0, code ? err.text : ""));
        mr_batch_touch(b, row);
        assert_true(mr_json_write_row(out, b, row));
        for (uint32_t c = 0; c < b->columns; c++) {
            struct mr_value v;
            assert_true(mr_json_resolve(b->arena, &b->column[c].v[row], &v));
            assert_true(mr_json_write(out, &v));
        }
    }
    mr_batch_free(b);
    mr_json_kernel_use(NULL);
}

static void all_kernels_give_the_same_answer(void **state)
{
    (void)state;
    static const char sample[] = "{\"ts\":\"2026-03-01T00:00:00.000Z\",\"msg\":\"caf\\u00e9 \\\"x\\\" "
                                 "\xc3\xa9\",\"http\":{\"method\":\"GET\","
                                 "\"path\":\"/store/basket/page/"
                                 "event?q=event+press&page=30\",\"status\":404,\"dur_ms\":41.4,\"n\":null},"
                                 "\"user\":{\"id\":417,\"tier\":\"free\"},\"tags\":[\"checkout\",{\"a\":1},{"
                                 "\"a\":2}],\"retry\":false,\"big\":-12e30}";
    static const char bytes[] = "{}[]:,\"\\ \n0123-.eEtrufalsn/\x00\x1f\x7f\x80\xc2\xe0\xed\xf0\xff";
    struct mr_batch_pool *pool = mr_batch_pool_new(1, 1 << 22);
    struct mr_buf want = {0}, got = {0};
    struct mr_prng r;
    mr_prng_seed(&r, 14);
    uint32_t good = 0;
    for (int i = 0; i < 20000; i++) {
        char text[sizeof sample];
        size_t len = sizeof sample - 1;
        memcpy(text, sample, sizeof sample);
        for (uint64_t n = mr_prng_below(&r, 3); n > 0; n--) {
            size_t at = mr_prng_below(&r, len);
            if (mr_prng_below(&r, 3) == 0)
                memmove(text + at, text + at + 1, --len - at);
            else
                text[at] = bytes[mr_prng_below(&r, sizeof bytes - 1)];
        }
        if (mr_prng_below(&r, 8) == 0)
            len = mr_prng_below(&r, len + 1);
        char *p = exact(text, len);
        answer(&json_kernel_portable, pool, (struct mr_slice){p, len}, &want);
        good += want.p[0] == '0';
        for (const struct mr_json_kernel **k = kernels + 1; *k; k++) {
            if (!runs_here(*k))
                continue;
            answer(*k, pool, (struct mr_slice){p, len}, &got);
            if (!mr_slice_eq((struct mr_slice){want.p, want.len}, (struct mr_slice){got.p, got.len}))
                fail_msg("'%.*s': %s says %.*s", (int)len, p, (*k)->name, (int)got.len, got.p);
        }
        free(p);
    }
    assert_in_range(good, 5000, 19000);
    mr_buf_fini(&want);
    mr_buf_fini(&got);
    mr_batch_pool_free(pool);
}

static void a_refused_text_leaves_nothing_in_the_row(void **state)
{
    (void)state;
    struct mr_batch_pool *pool = mr_batch_pool_new(1, 1 << 22);
    struct mr_batch *b = mr_batch_take(pool);
    struct mr_err err;
    mr_batch_rows(b, 1);
    assert_int_equal(mr_json_read_row(b, 0, MR_SLICE("{\"a\":1,\"b\":2,}"), &err), MR_BADDATA);
    assert_event(b, 0, "{}");
    assert_true(mr_batch_set(b, 0, "host", 4, mr_value_int(1)));
    assert_int_equal(mr_json_read_row(b, 0, MR_SLICE("{\"a\":1,\"b\":truE}"), &err), MR_BADDATA);
    assert_event(b, 0, "{\"host\":1}");
    assert_int_equal(mr_json_read_row(b, 0, MR_SLICE("[1]"), &err), MR_BADDATA);
    assert_string_equal(err.text, "json: byte 0, '[': an object was expected");
    mr_batch_free(b);
    mr_batch_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_accepts_what_is_json),
        cmocka_unit_test(every_kernel_refuses_what_is_not_and_says_where),
        cmocka_unit_test(depth_ends_at_128),
        cmocka_unit_test(numbers_keep_their_kind),
        cmocka_unit_test(strings_are_escaped_and_repaired),
        cmocka_unit_test(other_values_have_their_text),
        cmocka_unit_test(an_event_is_one_line),
        cmocka_unit_test(events_of_many_shapes_share_a_batch),
        cmocka_unit_test(a_member_is_found_in_text_as_in_its_value),
        cmocka_unit_test(all_kernels_give_the_same_answer),
        cmocka_unit_test(a_refused_text_leaves_nothing_in_the_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
