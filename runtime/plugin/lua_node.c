/* lua_node.c - lists and objects of the event in hand, as Lua sees them.
 *
 * A node is a view of a list or object where it stands. Reading copies nothing: an undecoded object is
 * decoded one level into the arena and the event keeps its text. The first write makes copies of it and of
 * what it stands in, one level each, and puts them into the event.
 *
 * Laws
 *   N1  one place, one node: asking twice gives the same, so that what one name writes the other one reads
 *   N2  an owned node stands in an owned node
 *   N3  a node that was replaced or removed is detached: it keeps what it had and changes nothing
 *   N4  a node of another event is refused
 */
#include "plugin/lua_inside.h"

#include "base/assert.h"

enum { ANCHORS_KEPT = 256 };

static unsigned bucket(const struct lua_node *parent, int32_t slot, uintptr_t key)
{
    uintptr_t h = ((uintptr_t)parent >> 4) * 31 + (uintptr_t)(uint32_t)slot * 17 + key + (key >> 5);
    return (unsigned)(h & (LUA_NODE_BUCKETS - 1));
}

static void fresh(lua_State *L, struct mr_lua *l)
{
    if (l->node_serial == l->serial)
        return;
    if (l->nodes > ANCHORS_KEPT) { /* else the next events' nodes take the places of the last one's */
        lua_newtable(L);
        lua_rawseti(L, LUA_REGISTRYINDEX, LUA_R_ANCHORS);
    }
    memset(l->node, 0, sizeof l->node);
    l->node_serial = l->serial;
    l->nodes = 0;
}

struct lua_node *lua_is_node(lua_State *L, int at)
{
    if (lua_type(L, at) != LUA_TUSERDATA || !lua_getmetatable(L, at))
        return NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_NODE_MT);
    bool is = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    if (!is)
        return NULL;
    struct lua_node *n = lua_touserdata(L, at);
    if (n->serial != lua_of(L)->serial) /* N4 */
        luaL_error(L, "event used outside its handler: keep e:copy() instead");
    return n;
}

void lua_push_value(lua_State *L, struct mr_lua *l, const struct mr_value *in, struct lua_node *parent,
                    int32_t slot, uintptr_t key)
{
    struct mr_value v = *in;
    if (v.tag == MR_JSON && !mr_value_resolve(l->b->arena, in, &v))
        lua_no_arena(L);
    if (v.tag != MR_LIST && v.tag != MR_OBJECT) {
        lua_push_scalar(L, &v);
        return;
    }
    fresh(L, l);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_ANCHORS);
    unsigned at = bucket(parent, slot, key);
    for (struct lua_node *n = l->node[at]; n; n = n->chain) { /* N1 */
        if (n->parent == parent && n->slot == slot && n->key == key) {
            lua_rawgeti(L, -1, n->anchor);
            lua_remove(L, -2);
            return;
        }
    }
    struct lua_node *n = lua_newuserdatauv(L, sizeof *n, 0);
    *n = (struct lua_node){.serial = l->serial,
                           .parent = parent,
                           .slot = slot,
                           .key = key,
                           .v = v,
                           .attached = true,
                           .anchor = ++l->nodes,
                           .chain = l->node[at]};
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_NODE_MT);
    lua_setmetatable(L, -2);
    /* held until the next event: parents are pointed to */
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, n->anchor);
    l->node[at] = n;
    lua_remove(L, -2);
}

void lua_node_detach(struct mr_lua *l, struct lua_node *parent, int32_t slot, uintptr_t key)
{
    if (l->node_serial != l->serial || l->nodes == 0)
        return;
    for (struct lua_node **link = &l->node[bucket(parent, slot, key)]; *link; link = &(*link)->chain) {
        struct lua_node *n = *link;
        if (n->parent == parent && n->slot == slot && n->key == key) {
            n->attached = false; /* N3; it stays in the anchors */
            *link = n->chain;
            return;
        }
    }
}

static uint32_t item_of(const struct lua_node *n, uintptr_t key)
{
    if (n->v.tag == MR_LIST)
        return (uint32_t)key;
    for (uint32_t i = 0; i < n->v.len; i++)
        if ((uintptr_t)n->v.u.object[i].name == key)
            return i;
    return UINT32_MAX;
}

static void own(lua_State *L, struct mr_lua *l, struct lua_node *n, uint32_t more);

/* What n became goes where n stands. */
static void put_back(lua_State *L, struct mr_lua *l, struct lua_node *n)
{
    if (!n->attached)
        return;
    if (n->parent) {
        own(L, l, n->parent, 0); /* N2 */
        uint32_t i = item_of(n->parent, n->key);
        if (i >= n->parent->v.len)
            return;
        if (n->parent->v.tag == MR_LIST)
            n->parent->v.u.list[i] = n->v;
        else
            n->parent->v.u.object[i].v = n->v;
    } else if (n->slot == LUA_SLOT_HEADERS) {
        l->b->headers[l->row] = n->v;
    } else {
        l->b->column[n->slot].v[l->row] = n->v;
        mr_batch_touch(l->b, l->row);
    }
}

static void own(lua_State *L, struct mr_lua *l, struct lua_node *n, uint32_t more)
{
    if (n->owned && n->v.len + more <= n->cap)
        return;
    uint32_t cap = n->v.len + more + (n->v.len + more) / 2 + 2;
    bool list = n->v.tag == MR_LIST;
    size_t each = list ? sizeof(struct mr_value) : sizeof(struct mr_member);
    void *copy = mr_arena_take(l->b->arena, cap * each);
    if (!copy)
        lua_no_arena(L);
    if (n->v.len)
        memcpy(copy, list ? (void *)n->v.u.list : (void *)n->v.u.object, n->v.len * each);
    if (list)
        n->v.u.list = copy;
    else
        n->v.u.object = copy;
    n->cap = cap;
    n->owned = true;
    put_back(L, l, n);
}

/* The value of a node for another place. What may still be written through a node is copied whole. */
void lua_node_share(struct mr_lua *l, lua_State *L, struct lua_node *n, struct mr_arena *a,
                    struct mr_value *out)
{
    if (!n->owned && l->b && a == l->b->arena)
        *out = n->v;
    else if (!mr_value_copy(a, &n->v, out))
        lua_no_arena(L);
}

static struct lua_node *self(lua_State *L)
{
    struct lua_node *n = lua_touserdata(L, 1);
    if (n->serial != lua_of(L)->serial) /* N4 */
        luaL_error(L, "event used outside its handler: keep e:copy() instead");
    return n;
}

static uint32_t find(const struct lua_node *n, const char *k, size_t len)
{
    for (uint32_t i = 0; i < n->v.len; i++)
        if (n->v.u.object[i].name_len == len && memcmp(n->v.u.object[i].name, k, len) == 0)
            return i;
    return UINT32_MAX;
}

static uintptr_t key_at(const struct lua_node *n, uint32_t i)
{
    return n->v.tag == MR_LIST ? i : (uintptr_t)n->v.u.object[i].name;
}

/* Index of what is asked for at stack place 2; UINT32_MAX: none */
static uint32_t asked(lua_State *L, const struct lua_node *n)
{
    if (n->v.tag == MR_LIST) {
        int is;
        lua_Integer i = lua_tointegerx(L, 2, &is);
        return is && lua_type(L, 2) == LUA_TNUMBER && i >= 1 && i <= (lua_Integer)n->v.len ? (uint32_t)(i - 1)
                                                                                           : UINT32_MAX;
    }
    if (lua_type(L, 2) != LUA_TSTRING)
        return UINT32_MAX;
    size_t len;
    const char *k = lua_tolstring(L, 2, &len);
    return find(n, k, len);
}

static const struct mr_value *value_at(const struct lua_node *n, uint32_t i)
{
    return n->v.tag == MR_LIST ? &n->v.u.list[i] : &n->v.u.object[i].v;
}

static int node_index(lua_State *L)
{
    struct lua_node *n = self(L);
    uint32_t i = asked(L, n);
    if (i == UINT32_MAX)
        lua_pushnil(L);
    else
        lua_push_value(L, lua_of(L), value_at(n, i), n, 0, key_at(n, i));
    return 1;
}

static void remove_item(lua_State *L, struct mr_lua *l, struct lua_node *n, uint32_t i)
{
    own(L, l, n, 0);
    lua_node_detach(l, n, 0, key_at(n, i));
    if (n->v.tag == MR_LIST) {
        if (i + 1 == n->v.len)
            n->v.len--;
        else
            n->v.u.list[i] = (struct mr_value){.tag = MR_NULL}; /* a hole in a list is null */
    } else {
        memmove(&n->v.u.object[i], &n->v.u.object[i + 1], (n->v.len - i - 1) * sizeof *n->v.u.object);
        n->v.len--;
    }
    put_back(L, l, n);
}

static int node_newindex(lua_State *L)
{
    struct lua_node *n = self(L);
    struct mr_lua *l = lua_of(L);
    if (n->attached && n->slot == LUA_SLOT_HEADERS && !n->parent && lua_type(L, 2) != LUA_TSTRING)
        return luaL_error(L, "a header's name is a text");
    uint32_t i = asked(L, n);
    if (lua_isnil(L, 3)) {
        if (i != UINT32_MAX)
            remove_item(L, l, n, i);
        return 0;
    }
    struct mr_value v;
    if (i != UINT32_MAX) {
        lua_pull(L, 3, l->b->arena, &v, 0);
        own(L, l, n, 0);
        lua_node_detach(l, n, 0, key_at(n, i));
        struct mr_value *was = n->v.tag == MR_LIST ? &n->v.u.list[i] : &n->v.u.object[i].v;
        if (was->tag == MR_BYTES && v.tag == MR_STRING)
            v.tag = MR_BYTES;
        *was = v;
        put_back(L, l, n);
        return 0;
    }
    if (n->v.tag == MR_LIST) {
        lua_Integer at = lua_type(L, 2) == LUA_TNUMBER ? lua_tointeger(L, 2) : 0;
        if (at != (lua_Integer)n->v.len + 1)
            return luaL_error(L, "a list of %d items has no place %s: the next one is %d", (int)n->v.len,
                              luaL_tolstring(L, 2, NULL), (int)n->v.len + 1);
        lua_pull(L, 3, l->b->arena, &v, 0);
        own(L, l, n, 1);
        n->v.u.list[n->v.len++] = v;
    } else {
        if (lua_type(L, 2) != LUA_TSTRING)
            return luaL_error(L, "a %s cannot be a field's name", luaL_typename(L, 2));
        struct mr_slice name;
        name.p = lua_tolstring(L, 2, &name.len);
        name = mr_slice_copy(l->b->arena, name);
        if (!name.p)
            return lua_no_arena(L);
        lua_pull(L, 3, l->b->arena, &v, 0);
        own(L, l, n, 1);
        n->v.u.object[n->v.len++] =
            (struct mr_member){.name = name.p, .name_len = (uint32_t)name.len, .v = v};
    }
    put_back(L, l, n);
    return 0;
}

static int node_len(lua_State *L)
{
    lua_pushinteger(L, self(L)->v.len);
    return 1;
}

static int node_next(lua_State *L)
{
    struct lua_node *n = self(L);
    uint32_t i = 0;
    if (!lua_isnil(L, 2)) {
        i = asked(L, n);
        /* the field in hand was taken away: what followed has its place */
        i = i == UINT32_MAX ? (uint32_t)lua_tointeger(L, lua_upvalueindex(1)) : i + 1;
    }
    lua_settop(L, 2);
    if (i >= n->v.len) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, i);
    lua_copy(L, -1, lua_upvalueindex(1));
    lua_pop(L, 1);
    if (n->v.tag == MR_LIST)
        lua_pushinteger(L, (lua_Integer)i + 1);
    else
        lua_pushlstring(L, n->v.u.object[i].name, n->v.u.object[i].name_len);
    lua_push_value(L, lua_of(L), value_at(n, i), n, 0, key_at(n, i));
    return 2;
}

static int node_pairs(lua_State *L)
{
    (void)self(L);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, node_next, 1);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int node_tostring(lua_State *L)
{
    struct lua_node *n = self(L);
    lua_pushfstring(L, n->v.tag == MR_LIST ? "list of %d" : "object of %d", (int)n->v.len);
    return 1;
}

void lua_node_open(lua_State *L)
{
    static const luaL_Reg meta[] = {{"__index", node_index},       {"__newindex", node_newindex},
                                    {"__len", node_len},           {"__pairs", node_pairs},
                                    {"__tostring", node_tostring}, {NULL, NULL}};
    luaL_newlib(L, meta);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pushliteral(L, "event");
    lua_setfield(L, -2, "__name");
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_R_NODE_MT);
    lua_newtable(L);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_R_ANCHORS);
}
