/* lua_value.c - values to Lua and back.
 *
 * Integers stay 64-bit integers, floats stay floats (1.0 is not 1), null is the constant `null`, which is
 * neither nil nor false; strings are bytes. A Lua table is a list when it was made by array{} or has items
 * from 1 on and nothing else, an object otherwise; its names are put in order, so that the same table is the
 * same text.
 */
#include "plugin/lua_inside.h"

#include <stdlib.h>

int lua_no_arena(lua_State *L)
{
    luaL_error(L, "a limit was reached: no room for this value in the batch (batch_bytes)");
}

void lua_push_null(lua_State *L)
{
    lua_pushlightuserdata(L, NULL);
}

bool lua_is_null(lua_State *L, int at)
{
    return lua_type(L, at) == LUA_TLIGHTUSERDATA && lua_touserdata(L, at) == NULL;
}

void lua_push_scalar(lua_State *L, const struct mr_value *v)
{
    switch (v->tag) {
    case MR_NULL:
        lua_push_null(L);
        return;
    case MR_BOOL:
        lua_pushboolean(L, v->u.b);
        return;
    case MR_INT:
    case MR_TIME:
        lua_pushinteger(L, v->u.i);
        return;
    case MR_FLOAT:
        lua_pushnumber(L, v->u.f);
        return;
    case MR_STRING:
    case MR_BYTES:
    case MR_JSON:
        lua_pushlstring(L, v->len ? v->u.s : "", v->len);
        return;
    default:
        lua_pushnil(L);
        return;
    }
}

void lua_push_deep(lua_State *L, struct mr_arena *a, const struct mr_value *in, int depth)
{
    struct mr_value v;
    if (depth > LUA_DEPTH_MAX + 40)
        luaL_error(L, "lists and objects nested deeper than %d", LUA_DEPTH_MAX + 40);
    luaL_checkstack(L, 4, "nested too deep");
    if (!mr_value_resolve(a, in, &v))
        lua_no_arena(L);
    if (v.tag == MR_LIST) {
        lua_createtable(L, (int)v.len, 0);
        lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_LIST_MT);
        lua_setmetatable(L, -2);
        for (uint32_t i = 0; i < v.len; i++) {
            lua_push_deep(L, a, &v.u.list[i], depth + 1);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
    } else if (v.tag == MR_OBJECT) {
        lua_createtable(L, 0, (int)v.len);
        for (uint32_t i = 0; i < v.len; i++) {
            lua_pushlstring(L, v.u.object[i].name, v.u.object[i].name_len);
            lua_push_deep(L, a, &v.u.object[i].v, depth + 1);
            lua_rawset(L, -3);
        }
    } else {
        lua_push_scalar(L, &v);
    }
}

static int by_name(const void *x, const void *y)
{
    const struct mr_member *a = x, *b = y;
    uint32_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
    int d = memcmp(a->name, b->name, len);
    return d ? d : (a->name_len > b->name_len) - (a->name_len < b->name_len);
}

static bool has_mt(lua_State *L, int at, int ref)
{
    if (!lua_getmetatable(L, at))
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

static void pull_table(lua_State *L, int at, struct mr_arena *a, struct mr_value *out, int depth)
{
    luaL_checkstack(L, 6, "nested too deep");
    bool list = has_mt(L, at, LUA_R_LIST_MT), object = !list && has_mt(L, at, LUA_R_OBJECT_MT);
    lua_Unsigned n = lua_rawlen(L, at);
    if (!list && !object && n > 0) {
        /* items from 1 on and nothing else: then the name after the last one is the end */
        lua_Unsigned names = 0;
        for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1))
            if (++names > n)
                break;
        if (names > n)
            lua_pop(L, 2);
        list = names == n;
    }
    if (list) {
        struct mr_value *items = mr_arena_take(a, ((size_t)n + 1) * sizeof *items);
        if (!items || n > UINT32_MAX)
            lua_no_arena(L);
        for (lua_Unsigned i = 0; i < n; i++) {
            if ((i & (LUA_STEPS - 1)) == LUA_STEPS - 1)
                lua_look(L);
            lua_rawgeti(L, at, (lua_Integer)i + 1);
            lua_pull(L, -1, a, &items[i], depth + 1);
            if (items[i].tag == MR_MISSING)
                items[i].tag = MR_NULL; /* a hole */
            lua_pop(L, 1);
        }
        *out = (struct mr_value){.tag = MR_LIST, .len = (uint32_t)n, .u.list = items};
        return;
    }
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1))
        count++;
    struct mr_member *m = mr_arena_take(a, (count + 1) * sizeof *m);
    if (!m || count > UINT32_MAX)
        lua_no_arena(L);
    size_t k = 0;
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
        char number[32];
        struct mr_slice name;
        if (lua_type(L, -2) == LUA_TSTRING) {
            name.p = lua_tolstring(L, -2, &name.len);
        } else if (lua_isinteger(L, -2)) { /* no lua_tolstring: it would change the key under lua_next */
            name = (struct mr_slice){
                number, (size_t)snprintf(number, sizeof number, LUA_INTEGER_FMT, lua_tointeger(L, -2))};
        } else {
            luaL_error(L, "a %s cannot be a field's name", luaL_typename(L, -2));
            return;
        }
        struct mr_slice copy = mr_slice_copy(a, name);
        if (!copy.p)
            lua_no_arena(L);
        m[k] = (struct mr_member){.name = copy.p, .name_len = (uint32_t)copy.len};
        lua_pull(L, -1, a, &m[k].v, depth + 1);
        k++;
        if ((k & (LUA_STEPS - 1)) == 0)
            lua_look(L);
    }
    qsort(m, k, sizeof *m, by_name);
    size_t kept = 0;
    for (size_t i = 0; i < k; i++) /* {[1]=x, ["1"]=y} */
        if (kept == 0 || by_name(&m[kept - 1], &m[i]) != 0)
            m[kept++] = m[i];
    *out = (struct mr_value){.tag = MR_OBJECT, .len = (uint32_t)kept, .u.object = m};
}

void lua_pull(lua_State *L, int at, struct mr_arena *a, struct mr_value *out, int depth)
{
    struct mr_slice s;
    if (depth > LUA_DEPTH_MAX)
        luaL_error(L, "a table nested deeper than %d (or one that holds itself) cannot be a value",
                   LUA_DEPTH_MAX);
    at = lua_absindex(L, at);
    switch (lua_type(L, at)) {
    case LUA_TNIL:
        *out = (struct mr_value){.tag = MR_MISSING};
        return;
    case LUA_TBOOLEAN:
        *out = mr_value_bool(lua_toboolean(L, at));
        return;
    case LUA_TNUMBER:
        *out =
            lua_isinteger(L, at) ? mr_value_int(lua_tointeger(L, at)) : mr_value_float(lua_tonumber(L, at));
        return;
    case LUA_TSTRING:
        s.p = lua_tolstring(L, at, &s.len);
        s = mr_slice_copy(a, s);
        if (!s.p)
            lua_no_arena(L);
        *out = mr_value_string(s);
        return;
    case LUA_TTABLE:
        pull_table(L, at, a, out, depth);
        return;
    case LUA_TLIGHTUSERDATA:
        *out = (struct mr_value){.tag = MR_NULL};
        return;
    case LUA_TUSERDATA: {
        struct mr_lua *l = lua_of(L);
        struct lua_node *n = lua_is_node(L, at);
        if (n) {
            lua_node_share(l, L, n, a, out);
            return;
        }
        if (lua_is_event(L, at)) {
            lua_event_object(L, l, out);
            return;
        }
        break;
    }
    default:
        break;
    }
    luaL_error(L, "a %s cannot be the value of a field", luaL_typename(L, at));
}
