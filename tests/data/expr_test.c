/* expr_test.c - expressions: where they are wrong, what they say of rows that raise, what they pass over. */
#include "data/event.h"

#include "base/mem.h"
#include "data/expr.h"

static struct mr_batch_pool *pool;

static int setup(void **state)
{
    (void)state;
    pool = mr_batch_pool_new(2, 64 << 20);
    return pool ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    mr_batch_pool_free(pool);
    return 0;
}

static struct mr_xtree *parsed(const char *text)
{
    struct mr_xtree *x = NULL;
    struct mr_err err;
    if (mr_xtree_parse(text, strlen(text), &x, &err) != MR_OK)
        fail_msg("'%s': %s", text, err.text);
    return x;
}

static void a_wrong_expression_says_where_and_what(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t at;
        const char *says;
    } rows[] = {
        {"", 0, "a value was expected, the expression ends"},
        {"e.a ==", 6, "a value was expected"},
        {"e.a = 1", 4, "'=' is written '==' here"},
        {"e.a != 1", 4, "'!=' is written '~=' here"},
        {"e.a && e.b", 4, "'&&' is written 'and' here"},
        {"!e.a", 0, "'!' is written 'not' here"},
        {"(e.a", 4, "')' was expected"},
        {"e.a)", 3, "an operator or the end was expected, not ')'"},
        {"e.a e.b", 4, "an operator or the end was expected, not 'e'"},
        {"e.", 2, "a name was expected"},
        {"e.and", 2, "'and' is a word of the language; write [\"and\"]"},
        {"e.a == 'x", 7, "a string that is not closed"},
        {"e.a == 3x", 7, "'3x' is not a number"},
        {"e.a == \"\\q\"", 8, "there is no such escape"},
        {"status > 5", 0, "unknown name 'status'; a field of the event is written 'e.status'"},
        {"nul", 0, "did you mean 'null'?"},
        {"m.partitoin", 2, "did you mean 'm.partition'?"},
        {"e.a > $", 6, "'$' has no meaning here"},
        {"e.s:", 4, "the name of a method was expected"},
        {"e.s:starts", 10, "'(' and arguments was expected"},
        {"e.a --[[x", 6, "a long bracket that is not closed"},
        {"if", 0, "a value was expected, not 'if'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mr_xtree *x = NULL;
        struct mr_err err;
        if (mr_xtree_parse(rows[i].text, strlen(rows[i].text), &x, &err) != MR_BADCONF)
            fail_msg("'%s' is accepted", rows[i].text);
        if (err.at != rows[i].at || !strstr(err.text, rows[i].says))
            fail_msg("'%s': at %u: %s", rows[i].text, err.at, err.text);
    }
}

static void what_only_lua_can_do_is_left_to_it(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "tostring(e.a)",
        "e.s:match('x')",
        "e.s:find('a.c')",
        "e.a & 1",
        "~e.a",
        "{1,2}",
        "function() end",
        "e",
        "e.l[e.i]",
        "e[1]",
        "#e",
        "str.lower(e.s)",
        "e:raw()",
        "e.s:find(e.t)",
        "(e.a or {}).x",
        "re.match(e.s, 'x')",
        "e.a << 2 == null",
        "m",
        "e.s:starts()",
        "tables.users[e.id].name == 'x'",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mr_xtree *x = NULL;
        struct mr_err err;
        if (mr_xtree_parse(rows[i], strlen(rows[i]), &x, &err) != MR_UNSUPPORTED)
            fail_msg("'%s': %s", rows[i], err.text);
    }
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    char text[4096];
    struct mr_xtree *x = NULL;
    struct mr_err err;
    memset(text, '(', 2000);
    assert_int_equal(mr_xtree_parse(text, 2000, &x, &err), MR_BADCONF);
    assert_non_null(strstr(err.text, "nested deeper than 100 levels"));
    size_t n = 0;
    for (int i = 0; i < 500; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "%se.a", i ? "+" : "");
    assert_int_equal(mr_xtree_parse(text, n, &x, &err), MR_BADCONF);
}

static void a_row_that_raises_is_rejected_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } rows[] = {
        {"e.latency > 0.5", "attempt to compare number with nil (field 'latency')"},
        {"e.latency < 0.5", "attempt to compare nil with number (field 'latency')"},
        {"e.s < 1", "attempt to compare string with number (field 's')"},
        {"e.latency < e.nope", "attempt to compare two nil values (field 'latency')"},
        {"e.http.path == 'x'", "attempt to index a nil value (field 'http')"},
        {"e.n.x", "attempt to index a null value (field 'n')"},
        {"e.i.x", "attempt to index a number value (field 'i')"},
        {"e.i // 0", "attempt to perform 'n//0'"},
        {"e.i % 0", "attempt to perform 'n%%0'"},
        {"1 // 0", "attempt to perform 'n//0'"},
        {"e.s + 1", "attempt to perform arithmetic on a string value (field 's')"},
        {"1 + e.nope", "attempt to perform arithmetic on a nil value (field 'nope')"},
        {"-e.n", "attempt to perform arithmetic on a null value (field 'n')"},
        {"e.s .. e.nope", "attempt to concatenate a nil value (field 'nope')"},
        {"#e.i", "attempt to get length of a number value (field 'i')"},
        {"e.nope:starts('x')", "attempt to index a nil value (field 'nope')"},
        {"e.s:starts(nil)", "bad argument #1 to 'starts' (string expected, got no value)"},
        {"e.s:sub(1.5)", "bad argument #1 to 'sub' (number has no integer representation)"},
        {"e.l:len()", "attempt to call a nil value (method 'len')"},
    };
    const char *lines[] = {"{\"s\":\"x\",\"i\":7,\"n\":null,\"l\":[1]}", "{\"latency\":1}"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mr_batch *b = events_of(pool, lines, 1);
        struct mr_xtree *x = parsed(rows[i].text);
        uint8_t truth = 9;
        mr_xtree_test(x, b, &truth);
        assert_int_equal(truth, 0);
        assert_int_equal(b->fate[0], MR_REJECTED);
        struct mr_slice reason = mr_batch_reason(b, 0);
        if (!mr_slice_eq(reason, mr_slice_of(rows[i].reason)))
            fail_msg("'%s': %.*s", rows[i].text, MR_SLICE_ARG(reason));
        mr_xtree_free(x);
        mr_batch_free(b);
    }
}

static void the_right_side_is_evaluated_only_where_it_is_reached(void **state)
{
    (void)state;
    const char *lines[] = {"{\"a\":true,\"b\":1}", "{\"a\":false}", "{\"a\":true}"};
    struct mr_batch *b = events_of(pool, lines, 3);
    struct mr_xtree *x = parsed("e.a and e.b + 1 > 1");
    uint8_t truth[3];
    mr_xtree_test(x, b, truth);
    assert_int_equal(truth[0], 1);
    assert_int_equal(truth[1], 0);
    assert_int_equal(truth[2], 0);
    assert_int_equal(b->fate[1], MR_KEPT);
    assert_int_equal(b->fate[2], MR_REJECTED);
    mr_xtree_free(x);
    x = parsed("not (e.a and e.b)");
    mr_xtree_test(x, b, truth); /* a row that is rejected already is true of nothing */
    assert_int_equal(truth[1], 1);
    assert_int_equal(truth[2], 0);
    mr_xtree_free(x);
    mr_batch_free(b);
}

static void rows_not_chosen_are_not_looked_at(void **state)
{
    (void)state;
    enum { N = 1000 };
    struct mr_batch *b = mr_batch_take(pool);
    char lines[N][32];
    mr_batch_rows(b, N);
    for (uint32_t i = 0; i < N; i++) {
        int n = snprintf(lines[i], sizeof lines[i], i % 3 ? "{\"a\":%u}" : "{\"b\":%u}", i);
        assert_int_equal(mr_json_read_row(b, i, (struct mr_slice){lines[i], (size_t)n}, NULL), MR_OK);
        if (i % 3 == 0)
            mr_batch_drop(b, i);
    }
    struct mr_xtree *x = parsed("e.a * 2");
    static struct mr_value out[N];
    mr_xtree_eval(x, b, out);
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(b->fate[i], i % 3 ? MR_KEPT : MR_DROPPED);
        assert_int_equal(out[i].tag, i % 3 ? MR_INT : MR_MISSING);
        if (i % 3)
            assert_int_equal(out[i].u.i, i * 2);
    }
    mr_batch_compact(b);
    mr_xtree_eval(x, b, out);
    assert_int_equal(out[999 - 1].u.i, 998 * 2);
    mr_xtree_free(x);
    mr_batch_free(b);
}

static void results_outlive_the_expression(void **state)
{
    (void)state;
    const char *lines[] = {"{}"};
    struct mr_batch *b = events_of(pool, lines, 1);
    struct mr_xtree *x = parsed("e.name or 'no' .. 'body'");
    struct mr_value out;
    mr_xtree_eval(x, b, &out);
    mr_xtree_free(x);
    assert_true(mr_slice_eq(mr_value_text(&out), MR_SLICE("nobody")));
    mr_batch_free(b);
}

static void metadata_has_its_values(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int tag;
        int64_t i;
    } rows[] = {
        {"m.ts", MR_INT, 5},
        {"m.offset", MR_INT, 70},
        {"m.partition", MR_INT, 3},
        {"m.topic == 'orders' and m.source == 'orders'", MR_BOOL, 1},
        {"m.key:len()", MR_INT, 2},
        {"m.headers.h == 'v'", MR_BOOL, 1},
        {"m.headers.none", MR_MISSING, 0},
        {"m[\"ts\"]", MR_INT, 5},
    };
    const char *lines[] = {"{}"};
    struct mr_batch *b = events_of(pool, lines, 1);
    struct mr_member h = {.name = "h", .name_len = 1, .v = mr_value_string(MR_SLICE("v"))};
    struct mr_value headers = {.tag = MR_OBJECT, .len = 1, .u.object = &h};
    b->time[0] = 5;
    b->offset[0] = 70;
    b->partition = 3;
    b->source = MR_SLICE("orders");
    b->key[0] = mr_value_string(MR_SLICE("k1"));
    b->headers = &headers;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mr_xtree *x = parsed(rows[i].text);
        struct mr_value out;
        mr_xtree_eval(x, b, &out);
        assert_int_equal(out.tag, rows[i].tag);
        if (out.tag == MR_INT)
            assert_int_equal(out.u.i, rows[i].i);
        if (out.tag == MR_BOOL)
            assert_true(out.u.b);
        mr_xtree_free(x);
    }
    b->headers = NULL;
    mr_batch_free(b);
}

static void null_is_a_value_and_true(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool yes;
    } rows[] = {
        {"e.n", true},           {"e.n == null", true},        {"e.n == nil", false},
        {"e.none == nil", true}, {"e.none == null", false},    {"not e.n", false},
        {"e.n ~= false", true},  {"(e.n or 1) == null", true},
    };
    const char *lines[] = {"{\"n\":null}"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mr_batch *b = events_of(pool, lines, 1);
        struct mr_xtree *x = parsed(rows[i].text);
        uint8_t truth;
        mr_xtree_test(x, b, &truth);
        if (truth != rows[i].yes)
            fail_msg("'%s' is %d", rows[i].text, truth);
        mr_xtree_free(x);
        mr_batch_free(b);
    }
}

/* Parse, evaluate and test, with the n-th allocation failing. */
static bool evaluate_with(uint64_t n)
{
    static const char text[] = "e.s:upper() .. 'x' .. e.t == \"ABCxa\\nb\" and #e.l > 1";
    const char *lines[] = {"{\"s\":\"abc\",\"t\":\"a\\nb\",\"l\":[1,2]}"};
    struct mr_batch_pool *p = mr_batch_pool_new(1, 1 << 22);
    struct mr_batch *b = events_of(p, lines, 1);
    struct mr_xtree *x = NULL;
    struct mr_err err;
    struct mr_value out;
    bool good = false;
    mr_alloc_fail_at(n);
    mr_code code = mr_xtree_parse(text, sizeof text - 1, &x, &err);
    assert_true(code == MR_OK || code == MR_MEMORY);
    if (code == MR_OK) {
        mr_xtree_eval(x, b, &out);
        good = b->fate[0] == MR_KEPT;
        if (good)
            assert_true(out.tag == MR_BOOL && out.u.b);
        else
            assert_true(mr_slice_eq(mr_batch_reason(b, 0), MR_SLICE("'batch_bytes' was reached")));
    }
    mr_alloc_fail_at(0);
    mr_xtree_free(x);
    mr_batch_free(b);
    mr_batch_pool_free(p);
    return good;
}

static void a_failing_allocation_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    assert_true(evaluate_with(0));
    uint64_t n = 1;
    while (!evaluate_with(n))
        n++;
    assert_in_range(n, 5, 100);
}

static void a_batch_without_room_rejects_rather_than_lies(void **state)
{
    (void)state;
    struct mr_batch_pool *p = mr_batch_pool_new(1, 1 << 20);
    const char *lines[] = {"{\"s\":\"0123456789012345678901234567890123456789\"}"};
    struct mr_batch *b = events_of(p, lines, 1);
    struct mr_xtree *x = parsed("e.s .. e.s .. 'y'");
    struct mr_value out;
    while (mr_arena_take(b->arena, 4096))
        ;
    while (mr_arena_take(b->arena, 16))
        ;
    mr_xtree_eval(x, b, &out);
    assert_int_equal(out.tag, MR_MISSING);
    assert_int_equal(b->fate[0], MR_REJECTED);
    assert_true(mr_batch_reason(b, 0).len > 0);
    mr_xtree_free(x);
    mr_batch_free(b);
    mr_batch_pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_expression_says_where_and_what),
        cmocka_unit_test(what_only_lua_can_do_is_left_to_it),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(a_row_that_raises_is_rejected_with_the_reason),
        cmocka_unit_test(the_right_side_is_evaluated_only_where_it_is_reached),
        cmocka_unit_test(rows_not_chosen_are_not_looked_at),
        cmocka_unit_test(results_outlive_the_expression),
        cmocka_unit_test(metadata_has_its_values),
        cmocka_unit_test(null_is_a_value_and_true),
        cmocka_unit_test(a_failing_allocation_is_told_and_leaks_nothing),
        cmocka_unit_test(a_batch_without_room_rejects_rather_than_lies),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
