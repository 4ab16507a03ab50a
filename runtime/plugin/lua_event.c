/* lua_event.c - the proxies `e` and `m`: one of each, over whatever event is in hand.
 *
 * Nothing is converted until it is asked for: e.status finds the column (by the address of the name, then by
 * its bytes) and pushes one value. e and m exist once a state; outside of a handler they raise.
 */
#include "plugin/lua_inside.h"

#include "base/buf.h"
#include "data/json.h"

#include <string.h>

static struct mr_lua *in_hand(lua_State *L)
{
    struct mr_lua *l = lua_of(L);
    if (!l->b)
        luaL_error(L, "event used outside its handler: keep e:copy() instead");
    return l;
}

static int32_t slot_of(struct mr_lua *l, const char *k, size_t len, bool create)
{
    struct mr_batch *b = l->b;
    struct lua_key *key = &l->key[((uintptr_t)k >> 4 ^ (uintptr_t)k >> 11) & (LUA_KEYS - 1)];
    if (key->p == k && key->slot < (int32_t)b->columns) {
        const struct mr_column *c = &b->column[key->slot];
        if (c->name_len == len && !c->removed && memcmp(c->name, k, len) == 0)
            return key->slot;
    }
    int32_t slot = mr_batch_slot(b, k, len, create);
    if (slot >= 0) {
        key->p = k;
        key->slot = slot;
    }
    return slot;
}

static int event_index(lua_State *L)
{
    struct mr_lua *l = in_hand(L);
    if (lua_type(L, 2) != LUA_TSTRING) {
        lua_pushnil(L);
        return 1;
    }
    size_t len;
    const char *k = lua_tolstring(L, 2, &len);
    int32_t slot = slot_of(l, k, len, false);
    if (slot >= 0) {
        const struct mr_value *v = &l->b->column[slot].v[l->row];
        if (v->tag == MR_STRING) {
            lua_pushlstring(L, v->len ? v->u.s : "", v->len);
            return 1;
        }
        if (v->tag != MR_MISSING) {
            lua_push_value(L, l, v, NULL, slot, 0);
            return 1;
        }
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_METHODS); /* a field of the same name comes first */
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return 1;
}

static int event_newindex(lua_State *L)
{
    struct mr_lua *l = in_hand(L);
    if (lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "a %s cannot be a field's name", luaL_typename(L, 2));
    size_t len;
    const char *k = lua_tolstring(L, 2, &len);
    struct mr_value v;
    lua_pull(L, 3, l->b->arena, &v, 0);
    int32_t slot = slot_of(l, k, len, v.tag != MR_MISSING);
    if (slot < 0) {
        if (v.tag == MR_MISSING)
            return 0;
        return luaL_error(L, "no room for field '%s': a batch has at most %d different fields", k,
                          MR_BATCH_COLUMNS_MAX);
    }
    struct mr_value *was = &l->b->column[slot].v[l->row];
    if (was->tag == MR_LIST || was->tag == MR_OBJECT || was->tag == MR_JSON)
        lua_node_detach(l, NULL, slot, 0);
    if (was->tag == MR_BYTES && v.tag == MR_STRING)
        v.tag = MR_BYTES;
    *was = v;
    mr_batch_touch(l->b, l->row);
    return 0;
}

static int event_len(lua_State *L)
{
    struct mr_lua *l = in_hand(L);
    lua_Integer n = 0;
    for (uint32_t c = 0; c < l->b->columns; c++)
        n += !l->b->column[c].removed && l->b->column[c].v[l->row].tag != MR_MISSING;
    lua_pushinteger(L, n);
    return 1;
}

static int event_next(lua_State *L)
{
    struct mr_lua *l = in_hand(L);
    uint32_t c = 0;
    if (lua_type(L, 2) == LUA_TSTRING) {
        size_t len;
        const char *k = lua_tolstring(L, 2, &len);
        int32_t slot = slot_of(l, k, len, false);
        if (slot < 0)
            return luaL_error(L, "'%s' went away while pairs(e) was at it", k);
        c = (uint32_t)slot + 1;
    }
    for (; c < l->b->columns; c++) {
        const struct mr_column *column = &l->b->column[c];
        if (column->removed || column->v[l->row].tag == MR_MISSING)
            continue;
        lua_pushlstring(L, column->name, column->name_len);
        lua_push_value(L, l, &column->v[l->row], NULL, (int32_t)c, 0);
        return 2;
    }
    lua_pushnil(L);
    return 1;
}

static int event_pairs(lua_State *L)
{
    (void)in_hand(L);
    lua_pushcfunction(L, event_next);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int event_tostring(lua_State *L)
{
    lua_pushliteral(L, "event");
    return 1;
}

bool lua_is_event(lua_State *L, int at)
{
    if (lua_type(L, at) != LUA_TUSERDATA)
        return false;
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_EVENT);
    bool is = lua_rawequal(L, at, -1);
    lua_pop(L, 1);
    return is;
}

void lua_event_object(lua_State *L, struct mr_lua *l, struct mr_value *out)
{
    (void)in_hand(L);
    struct mr_batch *b = l->b;
    struct mr_member *m = mr_arena_take(b->arena, (b->columns + 1) * sizeof *m);
    if (!m)
        lua_no_arena(L);
    uint32_t n = 0;
    for (uint32_t c = 0; c < b->columns; c++) {
        const struct mr_column *column = &b->column[c];
        if (column->removed || column->v[l->row].tag == MR_MISSING)
            continue;
        m[n] = (struct mr_member){.name = column->name, .name_len = column->name_len};
        if (!mr_value_copy(b->arena, &column->v[l->row], &m[n++].v))
            lua_no_arena(L);
    }
    *out = (struct mr_value){.tag = MR_OBJECT, .len = n, .u.object = m};
}

void lua_event_fill(lua_State *L, int at, struct mr_batch *b, uint32_t row)
{
    struct mr_value v;
    if (lua_type(L, at) != LUA_TTABLE && !lua_is_node(L, at) && !lua_is_event(L, at))
        luaL_error(L, "an event is a table of fields, not a %s", luaL_typename(L, at));
    lua_pull(L, at, b->arena, &v, 0);
    if (v.tag != MR_OBJECT && v.len > 0)
        luaL_error(L, "an event is a table of fields, not a list");
    for (uint32_t i = 0; v.tag == MR_OBJECT && i < v.len; i++) {
        const struct mr_member *m = &v.u.object[i];
        if (m->v.tag == MR_MISSING)
            continue;
        int32_t slot = mr_batch_slot(b, m->name, m->name_len, true);
        if (slot < 0)
            luaL_error(L, "no room for field '%s': a batch has at most %d different fields", m->name,
                       MR_BATCH_COLUMNS_MAX);
        b->column[slot].v[row] = m->v;
    }
}

/* ---------------------------------------------------------------- methods of e */

static struct mr_lua *method(lua_State *L, const char *name)
{
    if (!lua_is_event(L, 1))
        luaL_error(L, "write e:%s(...), with a colon", name);
    return in_hand(L);
}

/* e:table(), e:copy(): a table of the event's own, for keeping */
static int event_table(lua_State *L)
{
    struct mr_lua *l = method(L, "copy");
    lua_createtable(L, 0, (int)l->b->columns);
    for (uint32_t c = 0; c < l->b->columns; c++) {
        const struct mr_column *column = &l->b->column[c];
        if (column->removed || column->v[l->row].tag == MR_MISSING)
            continue;
        lua_pushlstring(L, column->name, column->name_len);
        lua_push_deep(L, l->b->arena, &column->v[l->row], 0);
        lua_rawset(L, -3);
    }
    return 1;
}

/* e:raw(): the JSON text the event came as; of one that differs from it, the text that it would be now */
static int event_raw(lua_State *L)
{
    struct mr_lua *l = method(L, "raw");
    l->text.len = 0;
    if (!mr_json_write_row(&l->text, l->b, l->row))
        return luaL_error(L, "no memory for the text of an event");
    lua_pushlstring(L, l->text.len ? l->text.p : "", l->text.len);
    return 1;
}

static struct mr_value by_path(lua_State *L, const char *name)
{
    struct mr_lua *l = method(L, name);
    size_t len;
    const char *path = luaL_checklstring(L, 2, &len);
    return mr_batch_get(l->b, l->row, path, len);
}

/* e:get("a.b[0]"): a list or object comes as a table of its own */
static int event_get(lua_State *L)
{
    struct mr_value v = by_path(L, "get");
    lua_push_deep(L, lua_of(L)->b->arena, &v, 0);
    return 1;
}

static int event_has(lua_State *L)
{
    lua_pushboolean(L, by_path(L, "has").tag != MR_MISSING);
    return 1;
}

static int event_drop(lua_State *L)
{
    struct mr_lua *l = method(L, "drop");
    mr_batch_drop(l->b, l->row);
    return 0;
}

static int event_reject(lua_State *L)
{
    struct mr_lua *l = method(L, "reject");
    mr_batch_reject(l->b, l->row, "%s", luaL_checkstring(L, 2));
    return 0;
}

/* ---------------------------------------------------------------- m */

static const char *const meta_names[] = {"key",    "ts",      "topic",  "partition",
                                         "offset", "headers", "source", NULL};
enum { M_KEY, M_TS, M_TOPIC, M_PARTITION, M_OFFSET, M_HEADERS, M_SOURCE, M_NONE };

static int meta_name(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TSTRING)
        return M_NONE;
    const char *k = lua_tostring(L, 2);
    for (int i = 0; i < M_NONE; i++)
        if (strcmp(k, meta_names[i]) == 0)
            return i;
    return M_NONE;
}

static bool make_headers(struct mr_batch *b)
{
    if (b->headers)
        return true;
    struct mr_value *h = mr_arena_take(b->arena, b->cap * sizeof *h);
    if (!h)
        return false;
    memset(h, 0, b->cap * sizeof *h);
    b->headers = h;
    return true;
}

static int meta_index(lua_State *L)
{
    struct mr_lua *l = in_hand(L);
    struct mr_batch *b = l->b;
    switch (meta_name(L)) {
    case M_KEY:
        lua_push_value(L, l, &b->key[l->row], NULL, -3, 0);
        return 1;
    case M_TS:
        if (b->time[l->row] == MR_TIME_NONE)
            lua_pushnil(L);
        else
            lua_pushinteger(L, b->time[l->row]);
        return 1;
    case M_PARTITION:
        if (b->partition < 0)
            lua_pushnil(L);
        else
            lua_pushinteger(L, b->partition);
        return 1;
    case M_OFFSET:
        if (b->offset[l->row] < 0)
            lua_pushnil(L);
        else
            lua_pushinteger(L, b->offset[l->row]);
        return 1;
    case M_TOPIC:
        if (b->partition < 0) { /* only a topic has partitions */
            lua_pushnil(L);
            return 1;
        }
        /* fall through */
    case M_SOURCE:
        if (b->source.len)
            lua_pushlstring(L, b->source.p, b->source.len);
        else
            lua_pushnil(L);
        return 1;
    case M_HEADERS: {
        /* always there, so that m.headers.x can be written: kept only once something is in it */
        static const struct mr_value none = {.tag = MR_OBJECT};
        if (!make_headers(b))
            return lua_no_arena(L);
        const struct mr_value *v = &b->headers[l->row];
        lua_push_value(L, l, v->tag == MR_MISSING ? &none : v, NULL, LUA_SLOT_HEADERS, 0);
        return 1;
    }
    default:
        return luaL_error(L, "m has no '%s': it has key, ts, topic, partition, offset, headers, source",
                          luaL_tolstring(L, 2, NULL));
    }
}

static int meta_newindex(lua_State *L)
{
    struct mr_lua *l = in_hand(L);
    struct mr_batch *b = l->b;
    struct mr_value v;
    int name = meta_name(L);
    switch (name) {
    case M_KEY:
        lua_pull(L, 3, b->arena, &v, 0);
        b->key[l->row] = v;
        return 0;
    case M_TS:
        if (lua_isnil(L, 3))
            b->time[l->row] = MR_TIME_NONE;
        else if (lua_isinteger(L, 3))
            b->time[l->row] = lua_tointeger(L, 3);
        else
            return luaL_error(L, "m.ts is a whole number of nanoseconds since 1970, not a %s",
                              luaL_typename(L, 3));
        return 0;
    case M_HEADERS:
        if (!make_headers(b))
            return lua_no_arena(L);
        lua_pull(L, 3, b->arena, &v, 0);
        if (v.tag == MR_LIST && v.len == 0)
            v = (struct mr_value){.tag = MR_OBJECT};
        if (v.tag != MR_OBJECT && v.tag != MR_MISSING)
            return luaL_error(L, "m.headers is a table of names, not a %s", luaL_typename(L, 3));
        lua_node_detach(l, NULL, LUA_SLOT_HEADERS, 0);
        b->headers[l->row] = v;
        return 0;
    case M_NONE:
        return luaL_error(L, "m has no '%s': it has key, ts, topic, partition, offset, headers, source",
                          luaL_tolstring(L, 2, NULL));
    default:
        return luaL_error(L, "m.%s cannot be changed: key, ts and headers can", meta_names[name]);
    }
}

static int meta_tostring(lua_State *L)
{
    lua_pushliteral(L, "metadata");
    return 1;
}

static void proxy(lua_State *L, const luaL_Reg *functions, int meta, int place)
{
    (void)lua_newuserdatauv(L, 1, 0);
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pushliteral(L, "event");
    lua_setfield(L, -2, "__name");
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, meta);
    lua_setmetatable(L, -2);
    lua_rawseti(L, LUA_REGISTRYINDEX, place);
}

void lua_event_open(lua_State *L)
{
    static const luaL_Reg event[] = {{"__index", event_index},       {"__newindex", event_newindex},
                                     {"__len", event_len},           {"__pairs", event_pairs},
                                     {"__tostring", event_tostring}, {NULL, NULL}};
    static const luaL_Reg meta[] = {
        {"__index", meta_index}, {"__newindex", meta_newindex}, {"__tostring", meta_tostring}, {NULL, NULL}};
    static const luaL_Reg methods[] = {{"table", event_table},   {"copy", event_table}, {"raw", event_raw},
                                       {"get", event_get},       {"has", event_has},    {"drop", event_drop},
                                       {"reject", event_reject}, {NULL, NULL}};
    proxy(L, event, LUA_R_EVENT_MT, LUA_R_EVENT);
    proxy(L, meta, LUA_R_META_MT, LUA_R_META);
    luaL_newlib(L, methods);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_R_METHODS);
}
