/* lua_batch.c - `b` of batch(b, emit), and `emit` itself. */
#include "plugin/lua_inside.h"

static struct mr_lua *in_hand(lua_State *L)
{
    struct mr_lua *l = lua_of(L);
    if (!l->whole)
        luaL_error(L, "batch used outside its handler");
    return l;
}

/* upvalue: how many events have been seen */
static int next_event(lua_State *L)
{
    struct mr_lua *l = in_hand(L);
    struct mr_batch *b = l->whole;
    uint32_t k = (uint32_t)lua_tointeger(L, lua_upvalueindex(1));
    while (k < b->count && b->fate[b->sel[k]] != MR_KEPT)
        k++;
    if (k >= b->count) {
        lua_event_end(l);
        lua_pushnil(L);
        return 1;
    }
    lua_event_set(l, b, b->sel[k]);
    lua_pushinteger(L, (lua_Integer)k + 1);
    lua_replace(L, lua_upvalueindex(1));
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_EVENT);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_META);
    return 2;
}

static int batch_events(lua_State *L)
{
    (void)in_hand(L);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_event, 1);
    return 1;
}

static int batch_len(lua_State *L)
{
    lua_pushinteger(L, in_hand(L)->whole->count);
    return 1;
}

static int emit(lua_State *L)
{
    luaL_checkany(L, 1);
    if (!lua_isnoneornil(L, 2))
        return luaL_error(L, "emit takes one event: outputs are chosen with 'if' in the pipeline");
    lua_emit_value(L, lua_of(L)->out, 1);
    return 0;
}

void lua_batch_open(lua_State *L)
{
    static const luaL_Reg methods[] = {{"events", batch_events}, {NULL, NULL}};
    (void)lua_newuserdatauv(L, 1, 0);
    lua_newtable(L);
    luaL_newlib(L, methods);
    lua_freeze(L, "batch");
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, batch_len);
    lua_setfield(L, -2, "__len");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_R_BATCH);
    lua_pushcfunction(L, emit);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_R_EMIT);
}
