/* expr_test.c - expressions as components get them: native and Lua answer alike, and both answer well.
 *
 * The law: on random expressions and random events the native evaluator and the Lua host, over the same
 * proxies that scripts see, give the same value (integers and floats told apart) or both reject. MR_SEED=n
 * runs one seed.
 */
#include "plugin/stage.h"

#include "data/expr.h"
#include "data/expr_gen.h"

#include <inttypes.h>
#include <math.h>

/* One thread: the thread sanitizer has nothing to find here and takes 10 ms a seed. */
#ifdef __SANITIZE_THREAD__
enum { SEEDS = 1000 };
#else
enum { SEEDS = 20000 };
#endif
enum { ROWS = 8 };

static bool same(const struct mr_value *a, const struct mr_value *b)
{
    bool nested = a->tag == MR_LIST || a->tag == MR_OBJECT || (a->tag == MR_JSON && a->hint >= MR_LIST);
    if (nested)
        return b->tag == MR_LIST || b->tag == MR_OBJECT || b->tag == MR_JSON;
    if (a->tag != b->tag)
        return false;
    switch (a->tag) {
    case MR_BOOL:
        return a->u.b == b->u.b;
    case MR_INT:
        return a->u.i == b->u.i;
    case MR_FLOAT:
        return (a->u.f == b->u.f && signbit(a->u.f) == signbit(b->u.f)) || (isnan(a->u.f) && isnan(b->u.f));
    case MR_STRING:
        return mr_slice_eq(mr_value_text(a), mr_value_text(b));
    default:
        return true;
    }
}

static void show(const struct mr_value *v, char out[256])
{
    struct mr_buf text = {0};
    (void)mr_json_write(&text, v);
    snprintf(out, 256, "tag %d %.*s", v->tag, (int)text.len, text.p ? text.p : "");
    mr_buf_fini(&text);
}

static void run_seed(struct stage *s, uint64_t seed)
{
    struct mr_prng r;
    struct mr_buf text = {0}, lines[ROWS] = {{0}};
    struct mr_err err;
    mr_prng_seed(&r, seed);
    expr_gen(&r, &text, 1 + (int)(seed % 4));
    struct mr_batch *b = mr_batch_take(s->pool);
    assert_non_null(b);
    mr_batch_rows(b, ROWS);
    for (uint32_t i = 0; i < ROWS; i++) {
        event_gen(&r, &lines[i]);
        if (mr_json_read_row(b, i, (struct mr_slice){lines[i].p, lines[i].len}, &err) != MR_OK)
            fail_msg("%s", err.text);
        b->time[i] = i % 2 ? (int64_t)i * 1000 : MR_TIME_NONE;
    }
    struct mr_expr *x = NULL;
    if (mr_expr_new(text.p, text.len, &x, &err) != MR_OK || !mr_expr_native(x))
        fail_msg("seed %" PRIu64 ": '%.*s' is not native: %s", seed, (int)text.len, text.p, err.text);
    struct mr_value native[ROWS], lua[ROWS];
    uint8_t fate[ROWS];
    char reason[ROWS][256];
    mr_expr_eval(&s->host, x, b, native);
    memcpy(fate, b->fate, sizeof fate);
    for (uint32_t i = 0; i < ROWS; i++)
        (void)snprintf(reason[i], sizeof reason[i], "%.*s", MR_SLICE_ARG(mr_batch_reason(b, i)));
    memset(b->fate, MR_KEPT, ROWS);
    mr_lua_expr_eval(&s->host, seed, (struct mr_slice){text.p, text.len}, b, lua);
    for (uint32_t i = 0; i < ROWS; i++) {
        bool agree = fate[i] == b->fate[i] && (fate[i] != MR_KEPT || same(&native[i], &lua[i]));
        if (agree)
            continue;
        char n[256], l[256];
        show(&native[i], n);
        show(&lua[i], l);
        fail_msg("MR_SEED=%" PRIu64 ": '%.*s' of %.*s: native %s %s, Lua %s %.*s", seed, (int)text.len,
                 text.p, (int)lines[i].len, lines[i].p, fate[i] == MR_KEPT ? n : "rejects", reason[i],
                 b->fate[i] == MR_KEPT ? l : "rejects", MR_SLICE_ARG(mr_batch_reason(b, i)));
    }
    mr_expr_free(x);
    mr_batch_free(b);
    for (int i = 0; i < ROWS; i++)
        mr_buf_fini(&lines[i]);
    mr_buf_fini(&text);
}

static void native_and_lua_answer_alike(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s);
    const char *one = getenv("MR_SEED");
    uint64_t from = one ? strtoull(one, NULL, 10) : 1, to = one ? from + 1 : SEEDS + 1;
    for (uint64_t seed = from; seed < to; seed++) {
        if (seed % 2000 == 0) { /* states keep what they compiled */
            mr_lua_free(s.lua);
            s.lua = NULL;
        }
        run_seed(&s, seed);
    }
    stage_close(&s);
}

static void what_is_not_native_runs_in_lua(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s);
    static const struct {
        const char *text, *want;
    } rows[] = {
        {"net.is_private(e.ip)", "true"},
        {"e.path:match('^/api/(%w+)')", "\"orders\""},
        {"math.max(e.a, e.b)", "3"},
        {"tostring(e.a) .. ':' .. #e.list", "\"1:2\""},
        {"(function() local s = 0 for _, v in ipairs(e.list) do s = s + v end return s end)()", "30"},
        {"e.list", "[10,20]"},
        {"time.floor(1760104510000000000, '1h') -- a comment", "1760101200000000000"},
    };
    const char *in = "{\"ip\":\"10.0.0.1\",\"path\":\"/api/orders\",\"a\":1,\"b\":3,\"list\":[10,20]}";
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mr_expr *x = NULL;
        struct mr_err err;
        struct mr_value out[1];
        struct mr_buf text = {0};
        if (mr_expr_new(rows[i].text, strlen(rows[i].text), &x, &err) != MR_OK)
            fail_msg("%s: %s", rows[i].text, err.text);
        struct mr_batch *b = events_of(s.pool, &in, 1);
        mr_services()->eval(&s.host, x, b, out);
        if (b->fate[0] != MR_KEPT)
            fail_msg("%s: %.*s", rows[i].text, MR_SLICE_ARG(mr_batch_reason(b, 0)));
        assert_true(mr_json_write(&text, &out[0]) && mr_buf_put(&text, "", 1));
        assert_string_equal(text.p, rows[i].want);
        mr_buf_fini(&text);
        mr_batch_free(b);
        mr_expr_free(x);
    }
    stage_close(&s);
}

static void a_failing_expression_rejects_its_event_alone(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s);
    const char *in[] = {"{\"a\":1}", "{\"a\":\"x\"}", "{\"a\":3}"};
    struct mr_expr *x = NULL;
    struct mr_err err;
    struct mr_batch *b = events_of(s.pool, in, 3);
    uint8_t truth[3];
    assert_int_equal(mr_expr_new("math.abs(e.a) > 0", 17, &x, &err), MR_OK);
    assert_false(mr_expr_native(x));
    mr_services()->test(&s.host, x, b, truth);
    assert_int_equal(truth[0], 1);
    assert_int_equal(truth[2], 1);
    assert_int_equal(b->fate[1], MR_REJECTED);
    assert_non_null(strstr(mr_batch_reason(b, 1).p, "number expected, got string"));
    mr_batch_free(b);
    mr_expr_free(x);
    stage_close(&s);
}

static void wrong_expressions_are_pointed_at(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
        uint32_t at;
    } rows[] = {
        {"nett.is_private(e.ip)", "'nett'", 0},  {"e.a == math.flor(1) + foo(2)", "'foo'", 22},
        {"string.rep(e.a, 2", "", 17},           {"string.rep(e.a) string.rep(e.b)", "", 16},
        {"(function() x = 1 end)()", "'x'", 12},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mr_expr *x = NULL;
        struct mr_err err;
        if (mr_expr_new(rows[i].text, strlen(rows[i].text), &x, &err) != MR_BADCONF)
            fail_msg("accepted: %s", rows[i].text);
        if (!strstr(err.text, rows[i].says) || err.at != rows[i].at)
            fail_msg("%s: at %u: %s", rows[i].text, err.at, err.text);
    }
}

static void constants_are_themselves(void **state)
{
    (void)state;
    struct stage s;
    stage_open(&s);
    const char *in[] = {"{}", "{}"};
    struct mr_value v = text_value("word"), out[2];
    struct mr_batch *b = events_of(s.pool, in, 2);
    struct mr_expr *x = mr_expr_constant(&v);
    assert_non_null(x);
    assert_true(mr_expr_native(x));
    mr_services()->eval(&s.host, x, b, out);
    mr_expr_free(x); /* the batch outlives it */
    assert_true(mr_slice_eq(mr_value_text(&out[1]), MR_SLICE("word")));
    mr_batch_free(b);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(native_and_lua_answer_alike),
        cmocka_unit_test(what_is_not_native_runs_in_lua),
        cmocka_unit_test(a_failing_expression_rejects_its_event_alone),
        cmocka_unit_test(wrong_expressions_are_pointed_at),
        cmocka_unit_test(constants_are_themselves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
