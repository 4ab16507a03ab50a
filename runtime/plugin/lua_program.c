/* lua_program.c - a script in its state: loaded, and loaded again when an overrun has cost the state. */
#include "plugin/lua_inside.h"

#include "base/mem.h"

#include <string.h>

/* A function of the table at 1 by name; not there: LUA_NOREF. */
static int reference(lua_State *L, int table, const char *name)
{
    lua_pushstring(L, name);
    if (lua_rawget(L, table) == LUA_TNIL) {
        lua_pop(L, 1);
        return LUA_NOREF;
    }
    if (!lua_isfunction(L, -1))
        luaL_error(L, "'%s' is a %s: it must be a function", name, luaL_typename(L, -1));
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Stack: program, the compiled function. */
static int load_protected(lua_State *L)
{
    struct lua_program *p = lua_touserdata(L, 1);
    struct mr_lua *l = lua_of(L);
    lua_env_push(L); /* 3 */
    lua_pushvalue(L, 3);
    (void)lua_setupvalue(L, 2, 1);
    if (p->shape == LUA_BODY) {
        lua_pushvalue(L, 2);
        p->each = luaL_ref(L, LUA_REGISTRYINDEX);
        return 0;
    }
    l->loading = true;
    lua_pushvalue(L, 2);
    lua_call(L, 0, 1); /* 4: what it returns */
    l->loading = false;
    if (p->shape == LUA_COMPONENT) {
        if (!lua_istable(L, 4))
            return 0;
        lua_pushvalue(L, 4);
        p->table = luaL_ref(L, LUA_REGISTRYINDEX);
        return 0;
    }
    p->each = reference(L, 3, "each");
    p->batch = reference(L, 3, "batch");
    p->tick = reference(L, 3, "tick");
    p->close = reference(L, 3, "close");
    if (p->each != LUA_NOREF && p->batch != LUA_NOREF)
        return luaL_error(L, "it defines both each and batch: one of them gets the events");
    lua_pushliteral(L, "init");
    if (lua_rawget(L, 3) != LUA_TNIL) {
        if (p->config.tag == MR_MISSING || p->config.tag == MR_NULL)
            lua_newtable(L);
        else
            lua_push_deep(L, &l->scratch.arena, &p->config, 0);
        lua_call(L, 1, 0);
    }
    return 0;
}

mr_code lua_program_load(struct lua_program *p, struct mr_host *host, struct mr_err *err)
{
    struct mr_lua *l = p->l;
    p->each = p->batch = p->tick = p->close = p->table = LUA_NOREF;
    l->host = host;
    mr_code rc = lua_compile(l, (struct mr_slice){p->text, p->len}, p->chunk, p->component, &p->shape, err);
    if (!rc) {
        lua_pushcfunction(l->L, load_protected);
        lua_insert(l->L, -2);
        lua_pushlightuserdata(l->L, p);
        lua_insert(l->L, -2);
        rc = lua_run(l, 2, 0, err);
        l->loading = false;
    }
    lua_settop(l->L, 0);
    l->host = NULL;
    return rc;
}

mr_code lua_program_mend(struct lua_program *p, struct mr_host *host, struct mr_err *err)
{
    if (p->l->over == LUA_WITHIN)
        return MR_OK;
    mr_code rc = lua_rebuild(p->l, err);
    if (!rc)
        rc = lua_program_load(p, host, err);
    if (rc)
        mr_wrap(err, "cannot start the script again after it was stopped");
    return rc;
}

void lua_blame(const struct mr_host *host, const struct mr_batch *b, uint32_t row, struct mr_err *err)
{
    if (b) {
        char where[160];
        struct mr_slice source = b->source;
        if (source.len > 100)
            source.len = 100;
        int n = b->offset[row] >= 0
                    ? snprintf(where, sizeof where, " (event %.*s%s%lld)", MR_SLICE_ARG(source),
                               source.len ? ":" : "at ", (long long)b->offset[row])
                    : snprintf(where, sizeof where, " (event %u of a batch%s%.*s)", row,
                               source.len ? " from " : "", MR_SLICE_ARG(source));
        size_t len = strlen(err->text), room = sizeof err->text - 1, more = n > 0 ? (size_t)n : 0;
        if (len + more > room)
            len = room - more;
        memcpy(err->text + len, where, more + 1);
    }
    if (host && host->label)
        mr_wrap(err, "%s", host->label);
}
