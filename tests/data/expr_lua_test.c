/* expr_lua_test.c - native evaluation against Lua itself, on random expressions and events.
 *
 * Both must give the same value, integer or float alike, or both must fail. MR_SEED=n runs one seed.
 */
#include "data/event.h"

#include "data/expr.h"
#include "data/expr_gen.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <inttypes.h>
#include <math.h>

enum { SEEDS = 20000, ROWS = 8 };

static int string_test(lua_State *L)
{
    size_t n, w;
    const char *s = luaL_checklstring(L, 1, &n), *what = luaL_checklstring(L, 2, &w);
    int kind = (int)lua_tointeger(L, lua_upvalueindex(1));
    bool yes = kind == 0   ? n >= w && memcmp(s, what, w) == 0
               : kind == 1 ? n >= w && memcmp(s + n - w, what, w) == 0
                           : memmem(s, n, what, w) != NULL;
    lua_pushboolean(L, yes);
    return 1;
}

static void push(lua_State *L, struct mr_arena *a, const struct mr_value *in)
{
    struct mr_value v;
    assert_true(mr_value_resolve(a, in, &v));
    luaL_checkstack(L, 8, NULL);
    switch (v.tag) {
    case MR_NULL:
        lua_pushlightuserdata(L, NULL);
        break;
    case MR_BOOL:
        lua_pushboolean(L, v.u.b);
        break;
    case MR_INT:
        lua_pushinteger(L, v.u.i);
        break;
    case MR_FLOAT:
        lua_pushnumber(L, v.u.f);
        break;
    case MR_STRING:
        lua_pushlstring(L, v.u.s, v.len);
        break;
    case MR_LIST:
        lua_newtable(L);
        for (uint32_t i = 0; i < v.len; i++) {
            push(L, a, &v.u.list[i]);
            lua_rawseti(L, -2, i + 1);
        }
        break;
    case MR_OBJECT:
        lua_newtable(L);
        for (uint32_t i = 0; i < v.len; i++) {
            lua_pushlstring(L, v.u.object[i].name, v.u.object[i].name_len);
            push(L, a, &v.u.object[i].v);
            lua_rawset(L, -3);
        }
        break;
    default:
        lua_pushnil(L);
    }
}

static bool same(lua_State *L, const struct mr_value *v)
{
    switch (lua_type(L, -1)) {
    case LUA_TNIL:
        return v->tag == MR_MISSING;
    case LUA_TLIGHTUSERDATA:
        return v->tag == MR_NULL;
    case LUA_TBOOLEAN:
        return v->tag == MR_BOOL && v->u.b == lua_toboolean(L, -1);
    case LUA_TNUMBER:
        if (lua_isinteger(L, -1))
            return v->tag == MR_INT && v->u.i == lua_tointeger(L, -1);
        return v->tag == MR_FLOAT &&
               (v->u.f == lua_tonumber(L, -1) || (isnan(v->u.f) && isnan(lua_tonumber(L, -1)))) &&
               signbit(v->u.f) == signbit(lua_tonumber(L, -1));
    case LUA_TSTRING: {
        size_t n;
        const char *s = lua_tolstring(L, -1, &n);
        return v->tag == MR_STRING && mr_slice_eq(mr_value_text(v), (struct mr_slice){s, n});
    }
    default:
        return v->tag == MR_LIST || v->tag == MR_OBJECT || v->tag == MR_JSON;
    }
}

static void run_seed(lua_State *L, struct mr_batch_pool *pool, uint64_t seed)
{
    struct mr_prng r;
    struct mr_buf text = {0}, source = {0}, lines[ROWS] = {{0}};
    mr_prng_seed(&r, seed);
    expr_gen(&r, &text, 1 + (int)(seed % 4));
    struct mr_batch *b = mr_batch_take(pool);
    mr_batch_rows(b, ROWS);
    struct mr_err err;
    for (uint32_t i = 0; i < ROWS; i++) {
        event_gen(&r, &lines[i]);
        if (mr_json_read_row(b, i, (struct mr_slice){lines[i].p, lines[i].len}, &err) != MR_OK)
            fail_msg("%s", err.text);
        b->time[i] = i % 2 ? (int64_t)i * 1000 : MR_TIME_NONE;
    }
    struct mr_xtree *x = NULL;
    if (mr_xtree_parse(text.p, text.len, &x, &err) != MR_OK)
        fail_msg("seed %" PRIu64 ": '%.*s': %s", seed, (int)text.len, text.p, err.text);
    struct mr_value out[ROWS];
    uint8_t truth[ROWS], fate[ROWS];
    mr_xtree_eval(x, b, out);
    memcpy(fate, b->fate, sizeof fate);
    char reason[ROWS][256];
    for (uint32_t i = 0; i < ROWS; i++)
        (void)snprintf(reason[i], sizeof reason[i], "%.*s", MR_SLICE_ARG(mr_batch_reason(b, i)));
    memset(b->fate, MR_KEPT, ROWS);
    mr_xtree_test(x, b, truth);
    assert_memory_equal(fate, b->fate, sizeof fate);

    gen_put(&source, "local e, m, null = ... return (");
    (void)mr_buf_put(&source, text.p, text.len);
    gen_put(&source, ")");
    if (luaL_loadbuffer(L, source.p, source.len, "x") != LUA_OK)
        fail_msg("seed %" PRIu64 ": %s", seed, lua_tostring(L, -1));
    for (uint32_t i = 0; i < ROWS; i++) {
        struct mr_value whole;
        assert_int_equal(mr_json_read((struct mr_slice){lines[i].p, lines[i].len}, &whole, NULL), MR_OK);
        lua_pushvalue(L, -1);
        push(L, b->arena, &whole);
        lua_newtable(L);
        lua_newtable(L);
        lua_setfield(L, -2, "headers");
        if (b->time[i] != MR_TIME_NONE) {
            lua_pushinteger(L, b->time[i]);
            lua_setfield(L, -2, "ts");
        }
        lua_pushlightuserdata(L, NULL);
        bool good = lua_pcall(L, 3, 1, 0) == LUA_OK;
        if (good != (fate[i] == MR_KEPT) || (good && (!same(L, &out[i]) || truth[i] != lua_toboolean(L, -1))))
            fail_msg("seed %" PRIu64 ": '%.*s' of %.*s: Lua %s %s, native %s tag %d int %" PRId64
                     " float %.17g truth %d",
                     seed, (int)text.len, text.p, (int)lines[i].len, lines[i].p, good ? "gives" : "raises",
                     luaL_tolstring(L, -1, NULL), reason[i], out[i].tag,
                     out[i].tag == MR_INT ? out[i].u.i : 0, out[i].tag == MR_FLOAT ? out[i].u.f : 0.0,
                     truth[i]);
        if (!good && truth[i])
            fail_msg("seed %" PRIu64 ": a row that raised is true", seed);
        lua_pop(L, 1);
    }
    lua_settop(L, 0);
    mr_xtree_free(x);
    mr_batch_free(b);
    for (int i = 0; i < ROWS; i++)
        mr_buf_fini(&lines[i]);
    mr_buf_fini(&text);
    mr_buf_fini(&source);
}

static void native_evaluation_is_lua(void **state)
{
    (void)state;
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    lua_getglobal(L, "string");
    static const char *const names[] = {"starts", "ends", "contains"};
    for (int i = 0; i < 3; i++) {
        lua_pushinteger(L, i);
        lua_pushcclosure(L, string_test, 1);
        lua_setfield(L, -2, names[i]);
    }
    lua_settop(L, 0);
    struct mr_batch_pool *pool = mr_batch_pool_new(1, 16 << 20);
    const char *one = getenv("MR_SEED");
    uint64_t from = one ? strtoull(one, NULL, 10) : 1, to = one ? from + 1 : SEEDS;
    for (uint64_t seed = from; seed < to; seed++)
        run_seed(L, pool, seed);
    mr_batch_pool_free(pool);
    lua_close(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(native_evaluation_is_lua)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
