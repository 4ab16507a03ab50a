/* lua_table.c - the table library, with a bound: every loop looks at the clock.
 *
 * All functions go through metamethods, so that they work on the lists of an event: table.insert(e.tags,
 * "x").
 */
#include "plugin/lua_inside.h"

static void every(lua_State *L, lua_Unsigned i)
{
    if ((i & (LUA_STEPS - 1)) == LUA_STEPS - 1)
        lua_look(L);
}

/* A table, or something that behaves as one. */
static lua_Integer length(lua_State *L, int at)
{
    if (lua_type(L, at) != LUA_TTABLE && lua_type(L, at) != LUA_TUSERDATA)
        luaL_checktype(L, at, LUA_TTABLE);
    return luaL_len(L, at);
}

static int table_insert(lua_State *L)
{
    lua_Integer end = length(L, 1) + 1, at = end;
    int args = lua_gettop(L);
    if (args == 3) {
        at = luaL_checkinteger(L, 2);
        luaL_argcheck(L, at >= 1 && at <= end, 2, "position out of bounds");
        for (lua_Integer i = end; i > at; i--) {
            lua_geti(L, 1, i - 1);
            lua_seti(L, 1, i);
            every(L, (lua_Unsigned)i);
        }
    } else if (args != 2) {
        return luaL_error(L, "wrong number of arguments to 'insert'");
    }
    lua_settop(L, args);
    lua_seti(L, 1, at);
    return 0;
}

static int table_remove(lua_State *L)
{
    lua_Integer n = length(L, 1), at = luaL_optinteger(L, 2, n);
    if (lua_gettop(L) > 1 && !(n == 0 && at == 0))
        luaL_argcheck(L, at >= 1 && at <= n + 1, 2, "position out of bounds");
    lua_settop(L, 1);
    lua_geti(L, 1, at);
    for (; at < n; at++) {
        lua_geti(L, 1, at + 1);
        lua_seti(L, 1, at);
        every(L, (lua_Unsigned)at);
    }
    lua_pushnil(L);
    lua_seti(L, 1, at);
    return 1;
}

static int table_concat(lua_State *L)
{
    lua_Integer n = length(L, 1);
    size_t sep_len;
    const char *sep = luaL_optlstring(L, 2, "", &sep_len);
    lua_Integer i = luaL_optinteger(L, 3, 1), last = luaL_optinteger(L, 4, n);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (lua_Unsigned k = 0; i <= last; i++, k++) {
        every(L, k);
        if (lua_geti(L, 1, i) != LUA_TSTRING && !lua_isnumber(L, -1))
            return luaL_error(L, "invalid value (at index %I) in table for 'concat': a %s", i,
                              luaL_typename(L, -1));
        luaL_addvalue(&b);
        if (i == last)
            break; /* last may be the largest integer */
        luaL_addlstring(&b, sep, sep_len);
    }
    luaL_pushresult(&b);
    return 1;
}

static int table_unpack(lua_State *L)
{
    lua_Integer i = luaL_optinteger(L, 2, 1),
                last = lua_isnoneornil(L, 3) ? length(L, 1) : luaL_checkinteger(L, 3);
    if (i > last)
        return 0;
    lua_Unsigned n = (lua_Unsigned)last - (lua_Unsigned)i;
    if (n >= 1000000 || !lua_checkstack(L, (int)n + 1))
        return luaL_error(L, "too many results to unpack");
    for (lua_Unsigned k = 0; k <= n; k++) {
        every(L, k);
        lua_geti(L, 1, i + (lua_Integer)k);
    }
    return (int)n + 1;
}

static int table_pack(lua_State *L)
{
    int n = lua_gettop(L);
    lua_createtable(L, n, 1);
    lua_insert(L, 1);
    for (int i = n; i >= 1; i--)
        lua_seti(L, 1, i);
    lua_pushinteger(L, n);
    lua_setfield(L, 1, "n");
    return 1;
}

static int table_move(lua_State *L)
{
    (void)length(L, 1);
    lua_Integer from = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3), to = luaL_checkinteger(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    (void)length(L, target);
    if (last >= from) {
        luaL_argcheck(L, from > 0 || last < LUA_MAXINTEGER + from, 3, "too many elements to move");
        luaL_argcheck(L, to <= LUA_MAXINTEGER - (last - from), 4, "destination wrap around");
        lua_Integer n = last - from;
        bool up = to > last || to <= from || (target != 1 && !lua_compare(L, 1, target, LUA_OPEQ));
        for (lua_Integer k = 0; k <= n; k++) {
            lua_Integer i = up ? k : n - k;
            lua_geti(L, 1, from + i);
            lua_seti(L, target, to + i);
            every(L, (lua_Unsigned)k);
        }
    }
    lua_pushvalue(L, target);
    return 1;
}

/* Heap sort: the same bound whatever the order and whatever the comparison answers. */
static bool before(lua_State *L, int a, int b)
{
    if (lua_isnil(L, 2))
        return lua_compare(L, a, b, LUA_OPLT);
    a = lua_absindex(L, a);
    b = lua_absindex(L, b);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, a);
    lua_pushvalue(L, b);
    lua_call(L, 2, 1);
    bool is = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is;
}

/* The value on top of the stack goes down from place i of a heap of n. */
static void sift(lua_State *L, lua_Integer i, lua_Integer n, lua_Unsigned *steps)
{
    for (lua_Integer child; (child = 2 * i) <= n; i = child) {
        every(L, (*steps)++);
        lua_geti(L, 1, child);
        if (child < n) {
            lua_geti(L, 1, child + 1);
            if (before(L, -2, -1)) {
                lua_remove(L, -2);
                child++;
            } else {
                lua_pop(L, 1);
            }
        }
        if (!before(L, -2, -1)) {
            lua_pop(L, 1);
            break;
        }
        lua_seti(L, 1, i);
    }
    lua_seti(L, 1, i);
}

static int table_sort(lua_State *L)
{
    lua_Integer n = length(L, 1);
    lua_Unsigned steps = 0;
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    for (lua_Integer i = n / 2; i >= 1; i--) {
        lua_geti(L, 1, i);
        sift(L, i, n, &steps);
    }
    for (lua_Integer i = n; i > 1; i--) {
        lua_geti(L, 1, i);
        lua_geti(L, 1, 1);
        lua_seti(L, 1, i);
        sift(L, 1, i - 1, &steps);
    }
    return 0;
}

void lua_table_open(lua_State *L)
{
    static const luaL_Reg ours[] = {{"insert", table_insert}, {"remove", table_remove},
                                    {"concat", table_concat}, {"unpack", table_unpack},
                                    {"pack", table_pack},     {"move", table_move},
                                    {"sort", table_sort},     {NULL, NULL}};
    luaL_newlib(L, ours);
    lua_freeze(L, "table");
    lua_setfield(L, -2, "table");
}
