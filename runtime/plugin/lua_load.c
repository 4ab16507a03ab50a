/* lua_load.c - from text to functions: compiling, checking names, require. */
#include "plugin/lua_inside.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { SCRIPT_BYTES_MAX = 4 << 20, DEFINED_MAX = 256, NAME_MAX_ = 64 };

struct reading {
    struct mr_slice part[3];
    int next;
};

static const char *read_part(lua_State *L, void *arg, size_t *len)
{
    (void)L;
    struct reading *r = arg;
    while (r->next < 3 && r->part[r->next].len == 0)
        r->next++;
    if (r->next == 3) {
        *len = 0;
        return NULL;
    }
    *len = r->part[r->next].len;
    return r->part[r->next++].p;
}

/* Text only: bytecode is code without a check ("t"). Protected: lua_load itself raises only for memory. */
static int load_text(lua_State *L, const char *before, struct mr_slice text, const char *after,
                     const char *chunk)
{
    struct reading r = {{mr_slice_of(before), text, mr_slice_of(after)}, 0};
    return lua_load(L, read_part, &r, chunk, "t");
}

/* ---------------------------------------------------------------- names */

struct check {
    lua_State *L;
    char defined[DEFINED_MAX][NAME_MAX_];
    const char *names[DEFINED_MAX];
    size_t count;
    bool handlers; /* it defines each, batch, tick, init or close */
    bool body;
    const char *chunk;
    struct mr_err *err;
    bool failed;
};

static bool is_handler(const char *name)
{
    static const char *const all[] = {"init", "each", "batch", "tick", "close", NULL};
    for (size_t i = 0; all[i]; i++)
        if (strcmp(all[i], name) == 0)
            return true;
    return false;
}

static bool note_definition(void *arg, const struct lua_use *use)
{
    struct check *c = arg;
    if (!use->write || !use->in_main)
        return true;
    c->handlers |= is_handler(use->name);
    if (c->count < DEFINED_MAX && strlen(use->name) < NAME_MAX_) {
        snprintf(c->defined[c->count], NAME_MAX_, "%s", use->name);
        c->names[c->count] = c->defined[c->count];
        c->count++;
    }
    return true;
}

static bool is_defined(const struct check *c, const char *name)
{
    for (size_t i = 0; !c->body && i < c->count; i++)
        if (strcmp(c->defined[i], name) == 0)
            return true;
    return false;
}

static const char *plain_chunk(const char *chunk)
{
    return *chunk == '@' || *chunk == '=' ? chunk + 1 : chunk;
}

static bool check_use(void *arg, const struct lua_use *use)
{
    struct check *c = arg;
    if (is_defined(c, use->name) || (!use->write && lua_env_knows(c->L, use->name)))
        return true;
    if (use->write && lua_env_knows(c->L, use->name) && use->in_main && !c->body)
        return true;
    c->failed = true;
    if (use->write) {
        mr_fail(c->err, MR_BADCONF, "%s:%d: '%s' is a new global: write 'local %s'%s", plain_chunk(c->chunk),
                use->line, use->name, use->name,
                c->body ? "" : ", or give it a first value outside of functions");
        return false;
    }
    const char *near = lua_env_nearest(c->L, use->name);
    if (near)
        mr_fail(c->err, MR_BADCONF, "%s:%d: '%s' is not defined; did you mean '%s'?", plain_chunk(c->chunk),
                use->line, use->name, near);
    else
        mr_fail(c->err, MR_BADCONF, "%s:%d: '%s' is not defined", plain_chunk(c->chunk), use->line,
                use->name);
    return false;
}

struct compiling {
    struct mr_slice text;
    const char *chunk;
    bool component;
    enum lua_shape *shape;
    struct mr_err *err;
    mr_code rc;
};

/* Protected; leaves one function. */
static int compile_protected(lua_State *L)
{
    struct compiling *k = lua_touserdata(L, 1);
    struct check *c = lua_newuserdatauv(L, sizeof *c, 0);
    memset(c, 0, sizeof *c);
    c->L = L;
    c->err = k->err;
    c->chunk = k->chunk;
    int rc = load_text(L, "", k->text, "", k->chunk);
    if (rc == LUA_OK)
        (void)lua_scan(L, note_definition, c);
    *k->shape = k->component ? LUA_COMPONENT : c->handlers ? LUA_SCRIPT : LUA_BODY;
    if (*k->shape == LUA_BODY) {
        lua_pop(L, 1);
        c->body = true;
        rc = load_text(L, "local e,m=...; ", k->text, "", k->chunk);
    }
    if (rc == LUA_ERRMEM)
        return lua_error(L);
    if (rc != LUA_OK) {
        k->rc = mr_fail(k->err, MR_BADCONF, "%s", lua_tostring(L, -1));
        return 0;
    }
    (void)lua_scan(L, check_use, c);
    k->rc = c->failed ? MR_BADCONF : MR_OK;
    return k->rc ? 0 : 1;
}

mr_code lua_compile(struct mr_lua *l, struct mr_slice text, const char *chunk, bool component,
                    enum lua_shape *shape, struct mr_err *err)
{
    struct compiling k = {text, chunk, component, shape, err, MR_OK};
    if (text.len && text.p[0] == '\033')
        return mr_fail(err, MR_BADCONF, "%s is compiled Lua: give the source, bytecode is refused",
                       plain_chunk(chunk));
    lua_pushcfunction(l->L, compile_protected);
    lua_pushlightuserdata(l->L, &k);
    mr_code rc = lua_run(l, 1, LUA_MULTRET, err);
    return rc ? rc : k.rc;
}

static bool looks_like_transform(void *arg, const struct lua_use *use)
{
    bool *transform = arg;
    if (use->write ? use->in_main && is_handler(use->name)
                   : strcmp(use->name, "e") == 0 || strcmp(use->name, "m") == 0)
        *transform = true;
    return true;
}

struct asking {
    struct mr_slice text;
    const char *chunk;
    bool transform;
};

static int ask_protected(lua_State *L)
{
    struct asking *k = lua_touserdata(L, 1);
    if (load_text(L, "", k->text, "", k->chunk) == LUA_OK)
        (void)lua_scan(L, looks_like_transform, &k->transform);
    return 0;
}

bool lua_may_be_component(struct mr_lua *l, struct mr_slice text, const char *chunk)
{
    struct asking k = {text, chunk, false};
    lua_pushcfunction(l->L, ask_protected);
    lua_pushlightuserdata(l->L, &k);
    return lua_run(l, 1, 0, NULL) == MR_OK && !k.transform;
}

mr_code lua_read_script(const char *path, char **text, size_t *len, struct mr_err *err)
{
    FILE *f = fopen(path, "rbe");
    if (!f) {
        int why = errno;
        mr_code rc = mr_fail(err, why == ENOENT ? MR_NOTFOUND : MR_IO, "cannot read script '%s': %s", path,
                             strerror(why));
        if (err)
            err->sys = why;
        return rc;
    }
    mr_code rc = MR_OK;
    char *p = mr_alloc(SCRIPT_BYTES_MAX + 1);
    size_t n = p ? fread(p, 1, SCRIPT_BYTES_MAX + 1, f) : 0;
    if (!p)
        rc = mr_fail(err, MR_MEMORY, "no memory for script '%s'", path);
    else if (ferror(f))
        rc = mr_fail(err, MR_IO, "cannot read script '%s': %s", path, strerror(errno));
    else if (n > SCRIPT_BYTES_MAX)
        rc = mr_fail(err, MR_LIMIT, "script '%s' is larger than %d MiB", path, SCRIPT_BYTES_MAX >> 20);
    (void)fclose(f);
    char *fit = rc ? NULL : mr_realloc(p, n + 1);
    if (rc) {
        mr_free(p);
        return rc;
    }
    *text = fit ? fit : p;
    (*text)[n] = '\0';
    *len = n;
    return MR_OK;
}

/* require "name": name.lua of the scripts' folder, once a state. Names are letters, digits, _ - and / between
 * them.
 */
int lua_require(lua_State *L)
{
    struct mr_lua *l = lua_of(L);
    const char *name = luaL_checkstring(L, 1);
    for (const char *p = name; *p; p++) {
        bool fine = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                    *p == '_' || *p == '-' || (*p == '/' && p > name && p[1] && p[1] != '/');
        if (!fine)
            return luaL_error(L, "require '%s': a name of letters, digits, _ and -, in the scripts' folder",
                              name);
    }
    lua_settop(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_MODULES);
    lua_pushvalue(L, 1);
    if (lua_rawget(L, 2) != LUA_TNIL)
        return 1;
    const char *path = lua_pushfstring(L, "%s/%s.lua", l->folder ? l->folder : "scripts", name);
    const char *chunk = lua_pushfstring(L, "@%s", path);
    char *text = NULL;
    size_t len = 0;
    struct mr_err err;
    if (lua_read_script(path, &text, &len, &err) != MR_OK)
        return luaL_error(L, "require '%s': %s", name, err.text);
    int rc = load_text(L, "", (struct mr_slice){text, len}, "", chunk);
    mr_free(text);
    if (rc != LUA_OK)
        return lua_error(L);
    lua_env_push(L);
    (void)lua_setupvalue(L, -2, 1);
    bool was = l->loading;
    l->loading = true;
    lua_call(L, 0, 1);
    l->loading = was;
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_pushboolean(L, true);
    }
    lua_pushvalue(L, 1);
    lua_pushvalue(L, -2);
    lua_rawset(L, 2);
    return 1;
}
