/* lua_pattern_test.c - our string and table functions against the standard library's, on random arguments.
 *
 * MR_SEED=n runs one seed.
 */
#include "plugin/stage.h"

#include "base/prng.h"
#include "plugin/lua_inside.h"

#include <inttypes.h>

enum { SEEDS = 20000 };

static const char *const pattern_parts[] = {"a",  "b",  ".",  "%a", "%d",   "%w",  "[ab]",  "[^a]", "[a-c]",
                                            "x*", "a*", "a-", "b+", "c?",   ".-",  ".*",    "(",    ")",
                                            "()", "%1", "^",  "$",  "%b()", "%f[", "%f[a]", "[%a]", "[]]",
                                            "%",  "[",  "%s", "%S", "-",    "]",   "%.",    "[a-]", "[%w_]"};
static const char *const subject_parts[] = {"a",  "b",  "c", "x", "1", " ", "(", ")",
                                            "ab", "aa", "",  ".", "-", "]", "_"};
static const char *const replacements[] = {"", "<%0>", "%1", "%%", "%2x", "z%", "%1%1"};

static void random_text(struct mr_prng *r, const char *const *parts, size_t count, int most, char out[128])
{
    int n = (int)mr_prng_below(r, (uint64_t)most);
    out[0] = '\0';
    for (int i = 0; i < n; i++)
        strcat(out, parts[mr_prng_below(r, count)]);
}

/* Everything that f(...) gives, as text; an error is "error" */
static int as_text(lua_State *L, int base)
{
    luaL_Buffer b;
    int n = lua_gettop(L);
    luaL_buffinit(L, &b);
    for (int i = base; i <= n; i++) {
        (void)luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
        luaL_addchar(&b, '|');
    }
    luaL_pushresult(&b);
    return 1;
}

struct question {
    const char *function;
    const char *s, *p, *r;
    long init;
};

static int ask(lua_State *L)
{
    const struct question *q = lua_touserdata(L, 1);
    lua_settop(L, 0);
    if (*(void **)lua_getextraspace(L)) { /* a state of ours */
        lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_STRING);
    } else {
        lua_getglobal(L, "string");
    }
    lua_getfield(L, 1, q->function);
    lua_remove(L, 1);
    lua_pushstring(L, q->s);
    lua_pushstring(L, q->p);
    if (strcmp(q->function, "gsub") == 0)
        lua_pushstring(L, q->r);
    else
        lua_pushinteger(L, q->init);
    if (strcmp(q->function, "gmatch") != 0) {
        lua_call(L, 3, LUA_MULTRET);
        return as_text(L, 1);
    }
    lua_call(L, 3, 1);
    for (int n = 0; n < 40; n++) {
        int top = lua_gettop(L);
        lua_pushvalue(L, 1);
        lua_call(L, 0, LUA_MULTRET);
        if (lua_gettop(L) == top || lua_isnil(L, top + 1))
            break;
        luaL_checkstack(L, 40, NULL);
    }
    return as_text(L, 2);
}

static bool answer(lua_State *L, struct question *q, char out[2048])
{
    lua_settop(L, 0);
    lua_pushcfunction(L, ask);
    lua_pushlightuserdata(L, q);
    bool good = lua_pcall(L, 1, 1, 0) == LUA_OK;
    snprintf(out, 2048, "%s", good ? lua_tostring(L, -1) : "error");
    return good;
}

static void patterns_mean_what_the_standard_library_means(void **state)
{
    (void)state;
    static const char *const functions[] = {"find", "match", "gmatch", "gsub"};
    struct mr_lua *ours = NULL;
    struct mr_err err;
    assert_int_equal(mr_lua_new(MR_LUA_MEMORY, 10000, &ours, &err), MR_OK);
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    *(void **)lua_getextraspace(L) = NULL;
    luaL_openlibs(L);
    const char *one = getenv("MR_SEED");
    uint64_t from = one ? strtoull(one, NULL, 10) : 1, to = one ? from + 1 : SEEDS + 1;
    int good = 0;
    for (uint64_t seed = from; seed < to; seed++) {
        struct mr_prng r;
        char s[128], p[128], want[2048], got[2048];
        mr_prng_seed(&r, seed);
        random_text(&r, subject_parts, sizeof subject_parts / sizeof *subject_parts, 12, s);
        random_text(&r, pattern_parts, sizeof pattern_parts / sizeof *pattern_parts, 6, p);
        struct question q = {functions[mr_prng_below(&r, 4)], s, p,
                             replacements[mr_prng_below(&r, sizeof replacements / sizeof *replacements)],
                             (long)mr_prng_below(&r, 8) - 3};
        good += answer(L, &q, want);
        (void)answer(ours->L, &q, got);
        if (strcmp(want, got) != 0)
            fail_msg("MR_SEED=%" PRIu64 ": %s('%s', '%s', '%s' or %ld): standard '%s', ours '%s'", seed,
                     q.function, s, p, q.r, q.init, want, got);
    }
    assert_true(one || good > SEEDS / 2); /* not only errors were compared */
    lua_close(L);
    mr_lua_free(ours);
}

/* Lua that is run in both worlds; each gives a text. */
static void tables_and_strings_mean_what_the_standard_library_means(void **state)
{
    (void)state;
    static const char *const programs[] = {
        "local t = {5, 2, 8, 1, 9, 2} table.sort(t) return table.concat(t, ',')",
        "local t = {} for i = 1, 500 do t[i] = (i * 7919) % 503 end table.sort(t, function(a, b) return a > "
        "b end) "
        "return table.concat(t, ' ', 3, 200)",
        "local t = {'b', 'a', 'c'} table.sort(t) return table.concat(t)",
        "local t = {1, 2, 3} table.insert(t, 2, 'x') table.insert(t, 'y') return table.concat(t, ',') .. #t",
        "local t = {1, 2, 3} return tostring(table.remove(t, 1)) .. tostring(table.remove(t)) .. #t .. "
        "tostring(table.remove({}))",
        "local t = {1, 2, 3, 4} table.move(t, 2, 4, 1) return table.concat(t, ',')",
        "local t = {1, 2, 3, 4} table.move(t, 1, 3, 2) return table.concat(t, ',')",
        "return table.concat(table.move({1, 2, 3}, 1, 3, 2, {9}), ',')",
        "return select('#', table.unpack({1, nil, 3}, 1, 3)) .. select(2, table.unpack({4, 5}))",
        "local t = table.pack(1, nil, 3) return t.n .. tostring(t[2]) .. t[3]",
        "return ('ab'):rep(3) .. ('ab'):rep(3, '-') .. ('x'):rep(0) .. ('x'):rep(-1) .. ('x'):rep(1, 'y') .. "
        "#('abc'):rep(1000, ', ')",
        "return (('hello world'):gsub('o', {o = '0'})) .. (('abc'):gsub('%w', function(c) if c == 'b' then "
        "return 'X' end end))",
        "return table.concat({}, ',') .. table.concat({1, 2.5, 'x'}, '')",
        "return tostring(pcall(table.insert, {1}, 5, 'x')) .. tostring(pcall(table.concat, {{}}))",
    };
    struct stage s;
    stage_open(&s);
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    luaL_openlibs(L);
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        char expr[1024];
        struct mr_expr *x = NULL;
        struct mr_err err;
        struct mr_value out[1];
        const char *in = "{}";
        if (luaL_dostring(L, programs[i]) != LUA_OK)
            fail_msg("%s: %s", programs[i], lua_tostring(L, -1));
        snprintf(expr, sizeof expr, "(function() %s end)()", programs[i]);
        if (mr_expr_new(expr, strlen(expr), &x, &err) != MR_OK)
            fail_msg("%s: %s", programs[i], err.text);
        struct mr_batch *b = events_of(s.pool, &in, 1);
        mr_services()->eval(&s.host, x, b, out);
        char got[8192];
        snprintf(got, sizeof got, "%.*s", b->fate[0] == MR_KEPT ? (int)out[0].len : 0, out[0].u.s);
        if (strcmp(got, lua_tostring(L, -1)) != 0)
            fail_msg("%s: standard '%s', ours '%s' %.*s", programs[i], lua_tostring(L, -1), got,
                     MR_SLICE_ARG(mr_batch_reason(b, 0)));
        lua_settop(L, 0);
        mr_batch_free(b);
        mr_expr_free(x);
    }
    lua_close(L);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_mean_what_the_standard_library_means),
        cmocka_unit_test(tables_and_strings_mean_what_the_standard_library_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
