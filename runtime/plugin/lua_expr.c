/* lua_expr.c - expressions that are beyond the native forms, in Lua: `return (text)` over the same e and m.
 */
#include "plugin/lua_inside.h"

#include <string.h>

struct text_parts {
    struct mr_slice part[3];
    int next;
};

static const char *next_part(lua_State *L, void *arg, size_t *len)
{
    (void)L;
    struct text_parts *t = arg;
    if (t->next == 3) {
        *len = 0;
        return NULL;
    }
    *len = t->part[t->next].len;
    return t->part[t->next++].p;
}

static int load(lua_State *L, struct mr_slice text)
{
    /* The bracket: one expression and no statements; the new line: a comment at the end is fine. */
    struct text_parts t = {{MR_SLICE("local e,m=...; return ("), text, MR_SLICE("\n)")}, 0};
    return lua_load(L, next_part, &t, "=expression", "t");
}

/* ---------------------------------------------------------------- checking, without a lane */

struct checking {
    struct mr_slice text;
    struct mr_err *err;
    mr_code rc;
    lua_State *L;
};

/* "...near 'x'": where x stands last, since what came before it was fine. */
static uint32_t place(const char *message, struct mr_slice text)
{
    const char *near = strstr(message, "near ");
    if (!near || strstr(message, "near <eof>") || strstr(message, "near ')'"))
        return (uint32_t)text.len;
    const char *token = near + 6, *end = strrchr(token, '\'');
    size_t len = end ? (size_t)(end - token) : 0;
    for (size_t i = text.len; len && i-- > 0;)
        if (i + len <= text.len && memcmp(text.p + i, token, len) == 0)
            return (uint32_t)i;
    return 0;
}

static bool note_use(void *arg, const struct lua_use *use)
{
    struct checking *c = arg;
    if (!use->write && lua_env_knows(c->L, use->name))
        return true;
    const char *near = lua_env_nearest(c->L, use->name);
    c->rc = near ? mr_fail(c->err, MR_BADCONF, "'%s' is not defined; did you mean '%s'?", use->name, near)
                 : mr_fail(c->err, MR_BADCONF, "'%s' is not defined: fields are e.%s", use->name, use->name);
    size_t len = strlen(use->name);
    for (size_t i = 0; c->err && i + len <= c->text.len; i++) {
        bool begins = i == 0 || !(c->text.p[i - 1] == '.' || c->text.p[i - 1] == '_');
        if (begins && memcmp(c->text.p + i, use->name, len) == 0) {
            c->err->at = (uint32_t)i;
            break;
        }
    }
    return false;
}

static int check_protected(lua_State *L)
{
    struct checking *c = lua_touserdata(L, 1);
    c->L = L;
    int rc = load(L, c->text);
    if (rc == LUA_ERRMEM)
        return lua_error(L);
    if (rc != LUA_OK) {
        const char *text = lua_tostring(L, -1), *colon = strstr(text, ": ");
        c->rc = mr_fail(c->err, MR_BADCONF, "not an expression: %s", colon ? colon + 2 : text);
        if (c->err)
            c->err->at = place(text, c->text);
        return 0;
    }
    (void)lua_scan(L, note_use, c);
    return 0;
}

mr_code mr_lua_expr_check(const char *text, size_t len, struct mr_err *err)
{
    struct mr_lua *l = NULL;
    mr_err_clear(err);
    mr_code rc = mr_lua_new(MR_LUA_MEMORY, MR_LUA_BUDGET_MS, &l, err);
    if (rc)
        return rc;
    struct checking c = {.text = {text, len}, .err = err};
    if (len && text[0] == '\033') {
        rc = mr_fail(err, MR_BADCONF, "bytecode is refused");
    } else {
        lua_pushcfunction(l->L, check_protected);
        lua_pushlightuserdata(l->L, &c);
        rc = lua_run(l, 1, 0, err);
    }
    mr_lua_free(l);
    return rc ? rc : c.rc;
}

/* ---------------------------------------------------------------- running */

struct job {
    uint64_t id;
    struct mr_slice text;
    struct mr_batch *b;
    uint32_t k;
    struct mr_value *out;
};

static int run_rows(lua_State *L)
{
    struct job *j = lua_touserdata(L, 1);
    struct mr_lua *l = lua_of(L);
    struct mr_batch *b = j->b;
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_EXPRS);
    if (lua_rawgeti(L, 2, (lua_Integer)j->id) != LUA_TFUNCTION) { /* first use here, or the state is new */
        lua_pop(L, 1);
        if (load(L, j->text) != LUA_OK)
            return lua_error(L);
        lua_env_push(L);
        (void)lua_setupvalue(L, -2, 1);
        lua_pushvalue(L, -1);
        lua_rawseti(L, 2, (lua_Integer)j->id);
    }
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_EVENT);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_META);
    for (; j->k < b->count; j->k++) {
        uint32_t row = b->sel[j->k];
        if (b->fate[row] != MR_KEPT)
            continue;
        lua_event_set(l, b, row);
        lua_pushvalue(L, 3);
        lua_pushvalue(L, 4);
        lua_pushvalue(L, 5);
        lua_call(L, 2, 1);
        lua_pull(L, -1, b->arena, &j->out[row], 0);
        lua_settop(L, 5);
    }
    return 0;
}

void mr_lua_expr_eval(struct mr_host *h, uint64_t id, struct mr_slice text, struct mr_batch *b,
                      struct mr_value *out)
{
    struct mr_err why;
    struct job j = {.id = id, .text = text, .b = b, .out = out};
    for (uint32_t k = 0; k < b->count; k++)
        out[b->sel[k]] = (struct mr_value){.tag = MR_MISSING};
    while (j.k < b->count) {
        mr_code rc = MR_OK;
        mr_err_clear(&why);
        if (!h->lua)
            rc = mr_fail(&why, MR_UNSUPPORTED, "this expression needs Lua, which is not here");
        else if (!*h->lua)
            rc = mr_lua_new(MR_LUA_MEMORY, MR_LUA_BUDGET_MS, h->lua, &why);
        else if ((*h->lua)->over != LUA_WITHIN)
            rc = lua_rebuild(*h->lua, &why);
        if (!rc) {
            struct mr_lua *l = *h->lua;
            l->host = h;
            lua_pushcfunction(l->L, run_rows);
            lua_pushlightuserdata(l->L, &j);
            rc = lua_run(l, 1, 0, &why);
            lua_event_end(l);
            l->host = NULL;
        }
        if (!rc)
            return;
        uint32_t row = b->sel[j.k++];
        if (b->fate[row] != MR_KEPT)
            continue;
        lua_blame(h, b, row, &why);
        mr_batch_reject(b, row, "%s", why.text);
        out[row] = (struct mr_value){.tag = MR_MISSING};
    }
}
