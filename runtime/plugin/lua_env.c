/* lua_env.c - what a script sees: an allow-list.
 *
 * Every script gets a table of globals of its own, filled from one model; the libraries in it are read-only
 * faces. There is no io, package, debug, coroutine, load, loadstring, dofile, collectgarbage, rawset or _G;
 * os is three functions; require reads the scripts' folder. Reading a name that nobody defined is an error,
 * and so is defining one while events run: both are typing mistakes far more often than wishes.
 */
#include "plugin/lua_inside.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 256 };

/* ---------------------------------------------------------------- read-only faces */

static int frozen_write(lua_State *L)
{
    return luaL_error(L, "'%s' cannot be changed", lua_tostring(L, lua_upvalueindex(1)));
}

static int frozen_pairs(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(2)); /* next */
    lua_pushvalue(L, lua_upvalueindex(1)); /* a copy for walking */
    lua_pushnil(L);
    return 3;
}

void lua_freeze(lua_State *L, const char *name)
{
    lua_newtable(L); /* real face */
    lua_newtable(L); /* real face meta */
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, name);
    lua_pushcclosure(L, frozen_write, 1);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_newtable(L);
    for (lua_pushnil(L); lua_next(L, -5);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
    lua_getglobal(L, "next");
    lua_pushcclosure(L, frozen_pairs, 2);
    lua_setfield(L, -2, "__pairs");
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
}

/* ---------------------------------------------------------------- names */

struct names {
    const char *v[NAMES_MAX];
    size_t count;
};

static void collect(lua_State *L, int at, struct names *n)
{
    at = lua_absindex(L, at);
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1))
        if (lua_type(L, -2) == LUA_TSTRING && n->count < NAMES_MAX)
            n->v[n->count++] = lua_tostring(L, -2);
}

bool lua_env_knows(lua_State *L, const char *name)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_ENV);
    lua_pushstring(L, name);
    bool known = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 2);
    return known;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static const char *nearest_in(lua_State *L, int at, const char *name)
{
    struct names n = {.count = 0};
    collect(L, at, &n);
    qsort(n.v, n.count, sizeof *n.v, by_bytes); /* of two as near the same one always */
    return mr_nearest(mr_slice_of(name), n.v, n.count);
}

const char *lua_env_nearest(lua_State *L, const char *name)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_ENV);
    const char *near = nearest_in(L, -1, name);
    lua_pop(L, 1);
    return near;
}

static int global_read(lua_State *L)
{
    const char *name = luaL_tolstring(L, 2, NULL);
    const char *near = nearest_in(L, 1, name);
    if (near)
        return luaL_error(L, "'%s' is not defined; did you mean '%s'?", name, near);
    return luaL_error(L, "'%s' is not defined", name);
}

static int global_write(lua_State *L)
{
    if (!lua_of(L)->loading)
        return luaL_error(
            L, "'%s' is a new global: write 'local %s', or give it a first value outside of functions",
            luaL_tolstring(L, 2, NULL), luaL_tolstring(L, 2, NULL));
    lua_rawset(L, 1);
    return 0;
}

void lua_env_push(lua_State *L)
{
    lua_newtable(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_ENV);
    for (lua_pushnil(L); lua_next(L, -2);) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -5);
    }
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushcfunction(L, global_read);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, global_write);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

/* ---------------------------------------------------------------- base functions of our own */

/* An overrun is not an error that a script may catch (L2). */
static int guarded(lua_State *L, int status, int base)
{
    struct mr_lua *l = lua_of(L);
    if (l->expired)
        return lua_over_time(L);
    if (status == LUA_ERRMEM || l->over == LUA_OVER_MEMORY) {
        l->over = LUA_OVER_MEMORY;
        return luaL_error(L, "not enough memory");
    }
    lua_pushboolean(L, status == LUA_OK);
    lua_insert(L, base);
    return lua_gettop(L) - base + 1;
}

static int base_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    return guarded(L, lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0), 1);
}

/* A handler of the script's runs inside of the hook that ends an overrun, where no hook can reach it. */
static int handled(lua_State *L)
{
    if (lua_of(L)->expired)
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int base_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    int args = lua_gettop(L) - 2;
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, handled, 1);
    lua_replace(L, 2);
    lua_pushvalue(L, 1);
    lua_insert(L, 3); /* f handler f args */
    return guarded(L, lua_pcall(L, args, LUA_MULTRET, 2), 3);
}

static int base_setmetatable(lua_State *L)
{
    int t = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, t == LUA_TNIL || t == LUA_TTABLE, 2, "nil or table");
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    if (t == LUA_TTABLE) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "a metatable cannot have __gc here: it would run at any time");
        lua_pushliteral(L, "__close");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "a metatable cannot have __close here");
    }
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

/* array{...}, object{...}: a table that knows what it is, also when it is empty */
static int make(lua_State *L, lua_Integer metatable)
{
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
        lua_replace(L, 1);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_rawgeti(L, LUA_REGISTRYINDEX, metatable);
    lua_setmetatable(L, 1);
    return 1;
}

static int make_list(lua_State *L)
{
    return make(L, LUA_R_LIST_MT);
}

static int make_object(lua_State *L)
{
    return make(L, LUA_R_OBJECT_MT);
}

static int null_tostring(lua_State *L)
{
    lua_pushliteral(L, "null");
    return 1;
}

/* ---------------------------------------------------------------- opening */

static void copy_names(lua_State *L, int from, int to, const char *const *names)
{
    for (; *names; names++) {
        lua_getfield(L, from, *names);
        lua_setfield(L, to, *names);
    }
}

void lua_env_open(lua_State *L)
{
    static const char *const base[] = {"assert",   "error",    "getmetatable", "ipairs",   "next",
                                       "pairs",    "rawequal", "rawget",       "rawlen",   "select",
                                       "tonumber", "tostring", "type",         "_VERSION", NULL};
    static const luaL_Reg ours[] = {
        {"pcall", base_pcall}, {"xpcall", base_xpcall}, {"setmetatable", base_setmetatable},
        {"array", make_list},  {"object", make_object}, {"require", lua_require},
        {NULL, NULL}};
    lua_createtable(L, LUA_R_LAST, 0); /* room for the registry's fixed places */
    lua_pop(L, 1);
    for (int i = LUA_R_EVENT; i < LUA_R_LAST; i++) {
        lua_pushboolean(L, false);
        lua_rawseti(L, LUA_REGISTRYINDEX, i);
    }
    luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
    lua_newtable(L);
    int real = lua_gettop(L) - 1, env = real + 1;
    copy_names(L, real, env, base);
    luaL_setfuncs(L, ours, 0);
    lua_push_null(L);
    lua_setfield(L, env, "null");

    luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 0);
    lua_freeze(L, "math");
    lua_setfield(L, env, "math");
    luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 0);
    lua_freeze(L, "utf8");
    lua_setfield(L, env, "utf8");
    lua_string_open(L);
    lua_table_open(L);
    lua_lib_open(L);
    lua_codec_open(L);
    lua_re_open(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_R_ENV);

    static const luaL_Reg none[] = {{NULL, NULL}};
    for (int i = LUA_R_LIST_MT; i <= LUA_R_OBJECT_MT; i++) {
        luaL_newlib(L, none);
        lua_pushboolean(L, false);
        lua_setfield(L, -2, "__metatable");
        lua_rawseti(L, LUA_REGISTRYINDEX, i);
    }
    lua_push_null(L);
    lua_newtable(L);
    lua_pushcfunction(L, null_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "null");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
    for (int i = LUA_R_EXPRS; i <= LUA_R_METRICS; i++) {
        lua_newtable(L);
        lua_rawseti(L, LUA_REGISTRYINDEX, i);
    }
    lua_event_open(L);
    lua_node_open(L);
    lua_batch_open(L);
    lua_settop(L, 0);
}
