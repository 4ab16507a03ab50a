/* lua_file.c - components written in Lua: a file that returns a table.
 *
 *   return {
 *     abi = 1, kind = "source" | "processor" | "sink", name = "ticker", summary = "One sentence.",
 *     options = { every = { type = "duration", default = "1s", help = "..." }, ... },
 *     open  = function(cfg, positions) end,    -- positions: what read gave as the last place, by key
 *     read  = function() end,    -- source: {events}, place [, key]; nil: nothing now; false: the end
 *     poll  = "1s",              -- source: how soon to ask again after "nothing now"
 *     each  = function(e, m) end,         -- processor, as in scripts; or batch = function(b, emit)
 *     tick  = function(emit) end, every = "10s", finish = function(emit) end,
 *     write = function(b) end,   -- sink: e:reject(reason) for one; error(...) to be asked again
 *     flush = function() end, close = function() end,
 *   }
 *
 * The file is run once when it is loaded, for its table; each instance has a state of its own.
 */
#include "plugin/lua_inside.h"

#include "base/mem.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

enum { OPTIONS_MAX = 64, CHOICES_MAX = 64 };

struct mr_lua_file {
    char *path, *chunk, *folder, *text;
    size_t len;
    struct mr_heap_arena arena; /* names, options */
    struct mr_component component;
    mr_ms every, poll;
};

/* What every instance begins with; the values of its options follow, each in a place of SLOT bytes. */
struct instance {
    const struct mr_lua_file *file;
    const struct mr_services *services;
    struct mr_host *host;
    struct lua_program program;
    int read, write, flush, closing, finish;
    bool ready;
};
enum { SLOT = 32 };

_Static_assert(sizeof(struct mr_value) <= SLOT && sizeof(struct mr_strings) <= SLOT,
               "an option's value fits");

/* ---------------------------------------------------------------- the table of options */

static const struct {
    const char *name;
    enum mr_option_type type;
} types[] = {{"string", MR_OPT_STRING}, {"bool", MR_OPT_BOOL},         {"int", MR_OPT_INT},
             {"float", MR_OPT_FLOAT},   {"duration", MR_OPT_DURATION}, {"size", MR_OPT_SIZE},
             {"enum", MR_OPT_ENUM},     {"strings", MR_OPT_STRINGS},   {"value", MR_OPT_VALUE},
             {"field", MR_OPT_FIELD},   {"fields", MR_OPT_FIELDS},     {NULL, MR_OPT_STRING}};

static const char *keep(lua_State *L, struct mr_lua_file *f, int at)
{
    struct mr_slice s;
    s.p = lua_tolstring(L, at, &s.len);
    char *p = mr_arena_take(&f->arena.arena, s.len + 1);
    if (!p)
        lua_no_arena(L);
    memcpy(p, s.p, s.len + 1);
    return p;
}

static const char *text_of(lua_State *L, struct mr_lua_file *f, int table, const char *name, bool needed)
{
    const char *out = NULL;
    int t = lua_getfield(L, table, name);
    if (t == LUA_TSTRING)
        out = keep(L, f, -1);
    else if (t != LUA_TNIL || needed)
        luaL_error(L, "'%s' is %s: it must be a text", name,
                   t == LUA_TNIL ? "missing" : luaL_typename(L, -1));
    lua_pop(L, 1);
    return out;
}

static bool flag_of(lua_State *L, int table, const char *name)
{
    lua_getfield(L, table, name);
    bool is = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return is;
}

static mr_ms duration_of(lua_State *L, int table, const char *name, mr_ms otherwise)
{
    mr_ms out = otherwise;
    struct mr_err err;
    if (lua_getfield(L, table, name) != LUA_TNIL) {
        struct mr_slice s;
        s.p = lua_tolstring(L, -1, &s.len);
        if (!s.p || mr_duration_parse(s, &out, &err) != MR_OK || out <= 0)
            luaL_error(L, "'%s' is not a duration such as \"10s\"", name);
    }
    lua_pop(L, 1);
    return out;
}

/* A bound is written as the option's value is: 10, "10s", "4MiB" */
static int64_t bound_of(lua_State *L, int table, const char *name, enum mr_option_type type)
{
    int64_t out = 0;
    struct mr_err err;
    int t = lua_getfield(L, table, name);
    if (t == LUA_TSTRING) {
        struct mr_slice s;
        s.p = lua_tolstring(L, -1, &s.len);
        mr_code rc = type == MR_OPT_SIZE ? mr_size_parse(s, &out, &err) : mr_duration_parse(s, &out, &err);
        if (rc)
            luaL_error(L, "'%s': %s", name, err.text);
    } else if (t == LUA_TNUMBER) {
        out = (int64_t)lua_tonumber(L, -1);
    } else if (t != LUA_TNIL) {
        luaL_error(L, "'%s' is a %s: it must be a number", name, luaL_typename(L, -1));
    }
    lua_pop(L, 1);
    return out;
}

/* The default as a person would write it. */
static const char *default_of(lua_State *L, struct mr_lua_file *f, int table)
{
    const char *out = NULL;
    int t = lua_getfield(L, table, "default");
    if (t == LUA_TBOOLEAN)
        out = lua_toboolean(L, -1) ? "true" : "false";
    else if (t == LUA_TSTRING || t == LUA_TNUMBER)
        out = keep(L, f, -1);
    else if (t != LUA_TNIL)
        luaL_error(L, "'default' is a %s: write it as text, as in YAML", luaL_typename(L, -1));
    lua_pop(L, 1);
    return out;
}

static const char *const *choices_of(lua_State *L, struct mr_lua_file *f, int table)
{
    const char **out = NULL;
    if (lua_getfield(L, table, "choices") == LUA_TTABLE) {
        lua_Unsigned n = lua_rawlen(L, -1);
        if (n == 0 || n > CHOICES_MAX)
            luaL_error(L, "'choices' has %d entries: 1 to %d are fine", (int)n, CHOICES_MAX);
        out = mr_arena_take(&f->arena.arena, ((size_t)n + 1) * sizeof *out);
        if (!out)
            lua_no_arena(L);
        for (lua_Unsigned i = 0; i < n; i++) {
            if (lua_rawgeti(L, -1, (lua_Integer)i + 1) != LUA_TSTRING)
                luaL_error(L, "'choices' must be texts");
            out[i] = keep(L, f, -1);
            lua_pop(L, 1);
        }
        out[n] = NULL;
    }
    lua_pop(L, 1);
    return out;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct mr_option *)a)->name, ((const struct mr_option *)b)->name);
}

static void one_option(lua_State *L, struct mr_lua_file *f, struct mr_option *o, size_t place)
{
    int t = lua_gettop(L);
    const char *type = text_of(L, f, t, "type", true);
    size_t i = 0;
    while (types[i].name && strcmp(types[i].name, type) != 0)
        i++;
    if (!types[i].name)
        luaL_error(
            L,
            "option '%s' has type '%s': types are string, bool, int, float, duration, size, enum, strings, "
            "value, field, fields",
            o->name, type);
    o->type = types[i].type;
    o->at = (uint32_t)(sizeof(struct instance) + place * SLOT);
    o->unit = text_of(L, f, t, "unit", false);
    o->help = text_of(L, f, t, "help", true);
    o->example = text_of(L, f, t, "example", false);
    o->value = default_of(L, f, t);
    o->min = bound_of(L, t, "min", o->type);
    o->max = bound_of(L, t, "max", o->type);
    o->choices = choices_of(L, f, t);
    o->required = flag_of(L, t, "required");
    o->main = flag_of(L, t, "main");
    o->secret = flag_of(L, t, "secret");
    if (o->type == MR_OPT_ENUM && !o->choices)
        luaL_error(L, "option '%s' is an enum without choices", o->name);
}

/* Sorted by name, since a Lua table has no order; behind them the constant by which an instance finds its
 * file. */
static const struct mr_option *options_of(lua_State *L, struct mr_lua_file *f, int table, size_t *count)
{
    struct mr_option *o = mr_arena_take(&f->arena.arena, (OPTIONS_MAX + 2) * sizeof *o);
    if (!o)
        lua_no_arena(L);
    memset(o, 0, (OPTIONS_MAX + 2) * sizeof *o);
    size_t n = 0;
    int t = lua_getfield(L, table, "options");
    if (t != LUA_TNIL && t != LUA_TTABLE)
        luaL_error(L, "'options' is a %s: it must be a table", luaL_typename(L, -1));
    if (t == LUA_TTABLE) {
        int all = lua_gettop(L);
        for (lua_pushnil(L); lua_next(L, all); lua_pop(L, 1)) {
            if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TTABLE)
                luaL_error(L, "'options' is a table of name = { type = ..., help = ... }");
            if (n == OPTIONS_MAX)
                luaL_error(L, "more than %d options", OPTIONS_MAX);
            o[n].name = keep(L, f, -2);
            one_option(L, f, &o[n], n);
            n++;
        }
    }
    lua_pop(L, 1);
    qsort(o, n, sizeof *o, by_name);
    o[n].name = "";
    o[n].at = offsetof(struct instance, file);
    o[n].value = (const char *)f;
    *count = n;
    return o;
}

/* ---------------------------------------------------------------- instances */

static struct mr_lua *state_of(struct instance *s)
{
    return s->program.l;
}

/* cfg: what the options hold, as a table */
static void push_config(lua_State *L, const struct instance *s)
{
    struct mr_lua *l = lua_of(L);
    const char *self = (const char *)s;
    lua_newtable(L);
    for (const struct mr_option *o = s->file->component.options; o->name; o++) {
        if (!o->name[0])
            continue;
        const char *at = self + o->at;
        struct mr_value v = {.tag = MR_MISSING};
        struct mr_slice text;
        struct mr_strings list;
        int chosen;
        switch (o->type) {
        case MR_OPT_STRING:
        case MR_OPT_FIELD:
            memcpy(&text, at, sizeof text);
            if (text.p)
                v = mr_value_string(text);
            break;
        case MR_OPT_BOOL: {
            bool b;
            memcpy(&b, at, sizeof b);
            v = mr_value_bool(b);
            break;
        }
        case MR_OPT_FLOAT:
            v.tag = MR_FLOAT;
            memcpy(&v.u.f, at, sizeof v.u.f);
            break;
        case MR_OPT_ENUM:
            memcpy(&chosen, at, sizeof chosen);
            v = mr_value_string(mr_slice_of(o->choices[chosen]));
            break;
        case MR_OPT_STRINGS:
        case MR_OPT_FIELDS:
            memcpy(&list, at, sizeof list);
            v = (struct mr_value){.tag = MR_LIST, .len = list.count};
            v.u.list = mr_arena_take(&l->scratch.arena, (list.count + 1) * sizeof *v.u.list);
            if (!v.u.list)
                lua_no_arena(L);
            for (uint32_t i = 0; i < list.count; i++)
                v.u.list[i] = mr_value_string(list.v[i]);
            break;
        case MR_OPT_VALUE:
            memcpy(&v, at, sizeof v);
            break;
        default:
            v.tag = MR_INT; /* int, duration in milliseconds, size in bytes */
            memcpy(&v.u.i, at, sizeof v.u.i);
            break;
        }
        lua_push_deep(L, &l->scratch.arena, &v, 0);
        lua_setfield(L, -2, o->name);
    }
    mr_heap_arena_reset(&l->scratch);
}

static int function_of(lua_State *L, int table, const char *name)
{
    int t = lua_getfield(L, table, name);
    if (t == LUA_TNIL) {
        lua_pop(L, 1);
        return LUA_NOREF;
    }
    if (t != LUA_TFUNCTION)
        luaL_error(L, "'%s' is a %s: it must be a function", name, luaL_typename(L, -1));
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

struct opening {
    struct instance *s;
    const struct mr_open *o;
};

static int open_protected(lua_State *L)
{
    const struct opening *k = lua_touserdata(L, 1);
    struct instance *s = k->s;
    struct lua_program *p = &s->program;
    lua_rawgeti(L, LUA_REGISTRYINDEX, p->table); /* 2 */
    s->read = function_of(L, 2, "read");
    s->write = function_of(L, 2, "write");
    s->flush = function_of(L, 2, "flush");
    s->closing = function_of(L, 2, "close");
    s->finish = function_of(L, 2, "finish");
    p->each = function_of(L, 2, "each");
    p->batch = function_of(L, 2, "batch");
    p->tick = function_of(L, 2, "tick");
    if (lua_getfield(L, 2, "open") == LUA_TNIL)
        return 0;
    push_config(L, s);
    lua_newtable(L);
    for (uint32_t i = 0; k->o && i < k->o->position_count; i++) {
        const struct mr_position *at = &k->o->positions[i];
        lua_pushlstring(L, at->key.len ? at->key.p : "", at->key.len);
        lua_pushlstring(L, at->pos.len ? at->pos.p : "", at->pos.len);
        lua_rawset(L, -3);
    }
    lua_call(L, 2, 0);
    return 0;
}

/* The state, the file's table, and open(cfg, positions). */
static mr_code start(struct instance *s, const struct mr_open *o, struct mr_err *err)
{
    struct opening k = {s, o};
    mr_code rc = lua_program_load(&s->program, s->host, err);
    if (rc)
        return rc;
    struct mr_lua *l = state_of(s);
    l->host = s->host;
    lua_pushcfunction(l->L, open_protected);
    lua_pushlightuserdata(l->L, &k);
    rc = lua_run(l, 1, 0, err);
    l->host = NULL;
    s->ready = rc == MR_OK;
    return rc;
}

static mr_code instance_open(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct instance *s = self;
    const struct mr_lua_file *f = s->file;
    s->services = o->services;
    s->host = o->host;
    mr_code rc = mr_lua_new(MR_LUA_MEMORY, MR_LUA_BUDGET_MS, &s->program.l, err);
    if (rc)
        return rc;
    s->program.text = f->text;
    s->program.len = f->len;
    s->program.chunk = f->chunk;
    s->program.component = true;
    s->program.l->folder = f->folder;
    rc = start(s, o, err);
    if (rc) {
        /* a source or sink that says no is asked again; what cannot be right is the end */
        rc = rc == MR_BADDATA && f->component.kind != MR_PROCESSOR ? MR_IO : MR_BADCONF;
        if (err)
            err->code = rc;
        return rc;
    }
    if (f->component.kind == MR_PROCESSOR && f->every)
        s->services->timer(s->host, s->services->monotonic(s->host) + f->every);
    return MR_OK;
}

static int call_plain(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, lua_tointeger(L, 1));
    lua_call(L, 0, 0);
    return 0;
}

static mr_code call(struct instance *s, int function, struct mr_err *err)
{
    struct mr_lua *l = state_of(s);
    if (function == LUA_NOREF)
        return MR_OK;
    l->host = s->host;
    lua_pushcfunction(l->L, call_plain);
    lua_pushinteger(l->L, function);
    mr_code rc = lua_run(l, 1, 0, err);
    l->host = NULL;
    return rc;
}

static void instance_close(void *self)
{
    struct instance *s = self;
    struct mr_err err;
    if (s->ready && s->program.l && s->program.l->over == LUA_WITHIN && call(s, s->closing, &err) != MR_OK)
        s->services->log(s->host, MR_ERROR, "%s: in close: %s", s->host->label ? s->host->label : "lua",
                         err.text);
    mr_lua_free(s->program.l);
    s->program = (struct lua_program){.each = LUA_NOREF};
    s->ready = false;
}

/* After a failure: a new state when the old one is broken, opened without positions: what was given out since
 * the start is the runtime's, and a source that counts would begin again, so a source is opened anew instead.
 */
static mr_code mend(void *arg, struct mr_err *err)
{
    struct instance *s = arg;
    if (s->program.l->over == LUA_WITHIN)
        return MR_OK;
    mr_code rc = lua_rebuild(s->program.l, err);
    return rc ? rc : start(s, NULL, err);
}

/* ---------------------------------------------------------------- source */

struct reading {
    struct instance *s;
    struct mr_batch *b;
    mr_code rc;
};

static struct mr_slice keep_slice(lua_State *L, struct mr_batch *b, int at)
{
    struct mr_slice s;
    s.p = lua_tolstring(L, at, &s.len);
    s = mr_slice_copy(b->arena, s);
    if (!s.p)
        lua_no_arena(L);
    return s;
}

static int read_protected(lua_State *L)
{
    struct reading *r = lua_touserdata(L, 1);
    struct mr_batch *b = r->b;
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->s->read);
    lua_call(L, 0, 3); /* 2: events, 3: place, 4: key */
    if (lua_isnil(L, 2)) {
        r->rc = MR_AGAIN;
        return 0;
    }
    if (lua_isboolean(L, 2) && !lua_toboolean(L, 2)) {
        r->rc = MR_END;
        return 0;
    }
    if (!lua_istable(L, 2))
        return luaL_error(
            L, "read gave a %s: give a list of events, nil when there is none now, false at the end",
            luaL_typename(L, 2));
    lua_Unsigned n = lua_rawlen(L, 2);
    if (n > b->cap)
        return luaL_error(L, "read gave %d events: at most %d at a time", (int)n, (int)b->cap);
    if (n == 0) {
        r->rc = MR_AGAIN;
        return 0;
    }
    mr_batch_rows(b, (uint32_t)n);
    for (lua_Unsigned i = 0; i < n; i++) {
        lua_rawgeti(L, 2, (lua_Integer)i + 1);
        lua_event_fill(L, -1, b, (uint32_t)i);
        lua_pop(L, 1);
    }
    if (!lua_isnoneornil(L, 3)) {
        if (lua_type(L, 3) != LUA_TSTRING && lua_type(L, 3) != LUA_TNUMBER)
            return luaL_error(L, "a place is a text or a number, not a %s", luaL_typename(L, 3));
        b->pos = keep_slice(L, b, 3);
        if (lua_isnoneornil(L, 4)) {
            lua_pushstring(L, r->s->file->component.name);
            lua_replace(L, 4);
        }
        b->pos_key = keep_slice(L, b, 4);
    }
    b->source = mr_slice_of(r->s->file->component.name);
    return 0;
}

static mr_code instance_read(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct instance *s = self;
    struct mr_lua *l = state_of(s);
    struct reading r = {s, b, MR_OK};
    l->host = s->host;
    lua_pushcfunction(l->L, read_protected);
    lua_pushlightuserdata(l->L, &r);
    mr_code rc = lua_run(l, 1, 0, err);
    l->host = NULL;
    if (rc) {
        mr_batch_rows(b, 0);
        if (s->host->label)
            mr_wrap(err, "%s", s->host->label);
        if (err)
            err->code = MR_IO;
        return MR_IO; /* opened again, from its last place */
    }
    if (r.rc == MR_AGAIN)
        s->services->timer(s->host, s->services->monotonic(s->host) + s->file->poll);
    return r.rc;
}

/* ---------------------------------------------------------------- sink */

static int write_protected(lua_State *L)
{
    struct instance *s = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->write);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_BATCH);
    lua_call(L, 1, 0);
    return 0;
}

/* e:reject in a sink is the sink's answer for that event; the batch itself is not the sink's to change. */
static mr_code instance_write(void *self, struct mr_batch *b, uint64_t ticket, struct mr_verdict *verdict,
                              struct mr_err *err)
{
    struct instance *s = self;
    struct mr_lua *l = state_of(s);
    (void)ticket;
    l->host = s->host;
    l->whole = b;
    lua_pushcfunction(l->L, write_protected);
    lua_pushlightuserdata(l->L, s);
    mr_code rc = lua_run(l, 1, 0, err);
    lua_event_end(l);
    l->whole = NULL;
    l->host = NULL;
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t row = b->sel[k];
        if (b->fate[row] == MR_REJECTED && !rc) {
            struct mr_slice why = mr_batch_reason(b, row);
            char *text = mr_arena_take(b->arena, why.len + 1);
            if (text) {
                memcpy(text, why.p, why.len);
                text[why.len] = '\0';
            }
            verdict[k].kind = MR_VERDICT_REJECT;
            verdict[k].reason = text ? text : "rejected by the sink";
        }
        b->fate[row] = MR_KEPT;
    }
    if (!rc)
        return MR_OK;
    struct mr_err more;
    if (mend(s, &more) != MR_OK)
        s->ready = false;
    if (err)
        err->code = MR_IO;
    if (s->host->label)
        mr_wrap(err, "%s", s->host->label);
    return MR_IO; /* nothing of it counts as written */
}

static mr_code instance_flush(void *self, struct mr_err *err)
{
    struct instance *s = self;
    mr_code rc = call(s, s->flush, err);
    if (rc && err)
        err->code = MR_IO;
    return rc ? MR_IO : MR_OK;
}

/* ---------------------------------------------------------------- processor: see lua_step.c */

static mr_code instance_process(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct instance *s = self;
    return lua_step_process(&s->program, s->services, s->host, b, mend, s, err);
}

static mr_code instance_timer(void *self, struct mr_err *err)
{
    struct instance *s = self;
    lua_step_emitting(&s->program, s->services, s->host, s->program.tick, "tick");
    s->services->timer(s->host, s->services->monotonic(s->host) + s->file->every);
    return mend(s, err);
}

static mr_code instance_finish(void *self, struct mr_err *err)
{
    struct instance *s = self;
    lua_step_emitting(&s->program, s->services, s->host, s->finish, "finish");
    return mend(s, err);
}

/* ---------------------------------------------------------------- files */

struct loading {
    struct mr_lua_file *f;
    int table;
};

static bool is_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return n > 0 && !name[n] && !(name[0] >= '0' && name[0] <= '9');
}

static bool has(lua_State *L, const char *name)
{
    bool is = lua_getfield(L, 2, name) == LUA_TFUNCTION;
    lua_pop(L, 1);
    return is;
}

static int describe(lua_State *L)
{
    struct loading *k = lua_touserdata(L, 1);
    struct mr_lua_file *f = k->f;
    struct mr_component *c = &f->component;
    lua_rawgeti(L, LUA_REGISTRYINDEX, k->table); /* 2 */
    lua_getfield(L, 2, "abi");
    if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) != MR_ABI)
        return luaL_error(L, "abi is %s, this millrace has %d: write 'abi = %d' and look at what has changed",
                          luaL_tolstring(L, -1, NULL), MR_ABI, MR_ABI);
    const char *kind = text_of(L, f, 2, "kind", true);
    c->size = sizeof *c;
    c->kind = strcmp(kind, "source") == 0      ? MR_SOURCE
              : strcmp(kind, "processor") == 0 ? MR_PROCESSOR
              : strcmp(kind, "sink") == 0      ? MR_SINK
                                               : (enum mr_kind)0;
    if (!c->kind)
        return luaL_error(L, "kind is '%s': it must be source, processor or sink", kind);
    c->name = text_of(L, f, 2, "name", true);
    if (!is_name(c->name))
        return luaL_error(L, "name '%s': use a-z, 0-9 and _", c->name);
    c->summary = text_of(L, f, 2, "summary", true);
    c->doc = text_of(L, f, 2, "doc", false);
    size_t count;
    c->options = options_of(L, f, 2, &count);
    c->self_size = sizeof(struct instance) + (count + 1) * SLOT;
    f->every = duration_of(L, 2, "every", 0);
    f->poll = duration_of(L, 2, "poll", 1000);
    c->open = instance_open;
    c->close = instance_close;
    const char *lacks = NULL;
    if (c->kind == MR_SOURCE) {
        lacks = has(L, "read") ? NULL : "read";
        c->read = instance_read;
        c->traits = MR_REPLAYS; /* if it gives positions; the pipeline looks */
    } else if (c->kind == MR_SINK) {
        lacks = has(L, "write") ? NULL : "write";
        c->write = instance_write;
        c->flush = has(L, "flush") ? instance_flush : NULL;
    } else {
        lacks = has(L, "each") || has(L, "batch") ? NULL : "each (or batch)";
        c->process = instance_process;
        c->on_timer = has(L, "tick") && f->every ? instance_timer : NULL;
        c->finish = has(L, "finish") ? instance_finish : NULL;
        if (!c->on_timer)
            f->every = 0;
    }
    if (lacks)
        return luaL_error(L, "a %s needs a function '%s'", kind, lacks);
    return 0;
}

void mr_lua_file_free(struct mr_lua_file *f)
{
    if (!f)
        return;
    mr_free(f->path);
    mr_free(f->chunk);
    mr_free(f->folder);
    mr_free(f->text);
    mr_heap_arena_fini(&f->arena);
    mr_free(f);
}

static bool name_file(struct mr_lua_file *f, const char *path)
{
    const char *slash = strrchr(path, '/');
    size_t len = strlen(path);
    f->path = mr_strndup(path, len);
    f->folder = slash ? mr_strndup(path, (size_t)(slash - path)) : mr_strndup(".", 1);
    f->chunk = mr_alloc(len + 2);
    if (f->chunk)
        snprintf(f->chunk, len + 2, "@%s", path);
    return f->path && f->folder && f->chunk;
}

/* Is the file a transform? One that defines handlers, or is a body, is not run here. */
mr_code mr_lua_file_load(const char *path, struct mr_lua_file **out, struct mr_err *err)
{
    struct mr_lua_file *f = mr_alloc(sizeof *f);
    struct mr_lua *l = NULL;
    mr_code rc = MR_OK;
    if (!f || !name_file(f, path))
        rc = mr_fail(err, MR_MEMORY, "no memory for '%s'", path);
    if (f)
        mr_heap_arena_init(&f->arena, 4096, 0, 4 << 20);
    if (!rc)
        rc = lua_read_script(path, &f->text, &f->len, err);
    if (!rc)
        rc = mr_lua_new(MR_LUA_MEMORY, MR_LUA_BUDGET_MS, &l, err);
    if (!rc && !lua_may_be_component(l, (struct mr_slice){f->text, f->len}, f->chunk))
        rc = mr_fail(err, MR_END, "'%s' is a transform: use it as 'lua: %s'", path, path);
    if (!rc) {
        struct lua_program p = {.l = l, .text = f->text, .len = f->len, .chunk = f->chunk, .component = true};
        l->folder = f->folder;
        rc = lua_program_load(&p, NULL, err);
        if (!rc && p.table == LUA_NOREF)
            rc = mr_fail(err, MR_END, "'%s' is a transform: use it as 'lua: %s'", path, path);
        if (!rc) {
            struct loading k = {f, p.table};
            lua_pushcfunction(l->L, describe);
            lua_pushlightuserdata(l->L, &k);
            rc = lua_run(l, 1, 0, err);
        }
        if (rc && rc != MR_END && err && !strstr(err->text, path))
            mr_wrap(err, "%s", path);
        if (rc == MR_BADDATA || rc == MR_TIMEOUT) {
            rc = MR_BADCONF;
            if (err)
                err->code = rc;
        }
    }
    mr_lua_free(l);
    if (rc) {
        mr_lua_file_free(f);
        return rc;
    }
    *out = f;
    return MR_OK;
}

const struct mr_component *mr_lua_file_component(const struct mr_lua_file *f)
{
    return &f->component;
}
