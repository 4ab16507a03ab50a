/* lua_step.c - the built-in processor `lua`: a script over events.
 *
 * The whole batch runs inside one protected call; an event that raises is rejected and the call is begun
 * again behind it. Events that a script replaces go into batches of their own; since those travel ahead of
 * the batch in hand, every event of it is then moved there too, so that the order stays.
 */
#include "plugin/lua_inside.h"

#include "base/mem.h"

#include <string.h>

struct step {
    struct mr_slice code, script;
    struct mr_value with;
    mr_ms every, budget;
    int64_t memory;
    struct mr_strings env;
    /* after open */
    const struct mr_services *services;
    struct mr_host *host;
    struct lua_program program;
    char chunk[300], folder[256];
};

static const struct mr_option options[] = {
    {.name = "code",
     .type = MR_OPT_STRING,
     .at = offsetof(struct step, code),
     .main = true,
     .help =
         "Lua that is run for each event, with the event as e and its metadata as m; or the path of a script "
         "that ends in .lua.",
     .example = "e.client = net.mask(e.client, 24)"},
    {.name = "script",
     .type = MR_OPT_STRING,
     .at = offsetof(struct step, script),
     .help = "Path of a script.",
     .example = "scripts/mask_ip.lua"},
    {.name = "with",
     .type = MR_OPT_VALUE,
     .at = offsetof(struct step, with),
     .help = "Given to init(cfg) as a table.",
     .example = "{ bits: 24 }"},
    {.name = "every",
     .type = MR_OPT_DURATION,
     .at = offsetof(struct step, every),
     .min = 0,
     .max = (int64_t)365 * 24 * 3600 * 1000,
     .help = "How often tick(emit) is called; never when not given.",
     .example = "10s"},
    {.name = "memory",
     .type = MR_OPT_SIZE,
     .at = offsetof(struct step, memory),
     .value = "64MiB",
     .min = 1 << 20,
     .max = (int64_t)4 << 30,
     .help =
         "What the script's values may take; beyond it the event in hand is rejected and the script starts "
         "anew."},
    {.name = "budget",
     .type = MR_OPT_DURATION,
     .at = offsetof(struct step, budget),
     .value = "100ms",
     .min = 1,
     .max = 60000,
     .help = "Processor time that one event, or one call of batch, tick or init, may take; beyond it the "
             "event is "
             "rejected and the script starts anew."},
    {.name = "env",
     .type = MR_OPT_STRINGS,
     .at = offsetof(struct step, env),
     .help = "Environment variables that the script may read as env.NAME.",
     .example = "[REGION]"},
    {0},
};

/* ---------------------------------------------------------------- loading */

static bool is_script(struct mr_slice s)
{
    if (s.len < 5 || memcmp(s.p + s.len - 4, ".lua", 4) != 0)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] == ' ' || s.p[i] == '\n' || s.p[i] == '\t')
            return false;
    return true;
}

static mr_code find_text(struct step *s, struct mr_err *err)
{
    struct lua_program *p = &s->program;
    struct mr_slice path = s->script.len        ? s->script
                           : is_script(s->code) ? s->code
                                                : (struct mr_slice){NULL, 0};
    if (s->script.len && s->code.len) {
        mr_fail(err, MR_BADCONF, "give 'code' or 'script', not both");
        if (err)
            err->option = "code";
        return MR_BADCONF;
    }
    if (!path.len) {
        if (!s->code.len)
            return mr_fail(err, MR_BADCONF, "there is no Lua: write 'lua: scripts/x.lua' or 'lua: e.x = 1'");
        p->text = mr_strndup(s->code.p, s->code.len);
        p->len = s->code.len;
        p->chunk = "=lua";
        p->l->folder = "scripts";
        return p->text ? MR_OK : mr_fail(err, MR_MEMORY, "no memory for a script");
    }
    if (path.len >= sizeof s->folder) {
        mr_fail(err, MR_BADCONF, "the path of the script is longer than %zu bytes", sizeof s->folder - 1);
        return MR_BADCONF;
    }
    snprintf(s->chunk, sizeof s->chunk, "@%.*s", MR_SLICE_ARG(path));
    snprintf(s->folder, sizeof s->folder, "%.*s", MR_SLICE_ARG(path));
    char *slash = strrchr(s->folder, '/');
    if (slash)
        *slash = '\0';
    else
        snprintf(s->folder, sizeof s->folder, ".");
    p->chunk = s->chunk;
    p->l->folder = s->folder;
    mr_code rc = lua_read_script(s->chunk + 1, &p->text, &p->len, err);
    if (rc && err)
        err->option = s->script.len ? "script" : "code";
    return rc;
}

/* Of an inline text: where the line that the message names begins. */
static void point(const struct step *s, struct mr_err *err)
{
    int line;
    if (!err || s->program.chunk == NULL)
        return;
    err->option = s->script.len ? "script" : "code";
    if (strcmp(s->program.chunk, "=lua") != 0 || sscanf(err->text, "lua:%d:", &line) != 1)
        return;
    for (size_t i = 0; i < s->code.len && line > 1; i++) {
        line -= s->code.p[i] == '\n';
        err->at = (uint32_t)i + 1;
    }
}

static void end(void *self)
{
    struct step *s = self;
    mr_lua_free(s->program.l);
    mr_free(s->program.text);
    s->program = (struct lua_program){.each = LUA_NOREF};
}

static mr_code begin(struct step *s, struct mr_err *err)
{
    mr_code rc = mr_lua_new((size_t)s->memory, s->budget, &s->program.l, err);
    if (!rc) {
        s->program.l->env_allowed = &s->env;
        s->program.config = s->with;
        rc = find_text(s, err);
    }
    return rc;
}

static mr_code step_check(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct step *s = self;
    (void)o;
    mr_code rc = begin(s, err);
    if (!rc) {
        rc = lua_compile(s->program.l, (struct mr_slice){s->program.text, s->program.len}, s->program.chunk,
                         false, &s->program.shape, err);
        if (rc)
            point(s, err);
    }
    end(s);
    return rc;
}

static void arm(struct step *s)
{
    if (s->every > 0 && s->program.tick != LUA_NOREF)
        s->services->timer(s->host, s->services->monotonic(s->host) + s->every);
}

static mr_code step_open(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct step *s = self;
    s->services = o->services;
    s->host = o->host;
    mr_code rc = begin(s, err);
    if (!rc) {
        rc = lua_program_load(&s->program, s->host, err);
        if (rc) {
            point(s, err);
            rc = MR_BADCONF;
            if (err)
                err->code = rc;
        }
    }
    if (!rc)
        arm(s);
    return rc;
}

/* ---------------------------------------------------------------- events */

struct job {
    const struct lua_program *p;
    struct mr_host *host;
    struct mr_batch *b;
    uint32_t k;
    bool moving;             /* kept events are moved into the batches of new ones */
    struct mr_batch *before; /* where the events made before the one in hand end */
    uint32_t before_used;
    struct lua_out out;
};

static void no_room(lua_State *L)
{
    luaL_error(L, "no room for another event: the pipeline's byte limit is reached");
}

static void move(lua_State *L, struct job *j, uint32_t row)
{
    if (!lua_emit_row(&j->out, j->b, row))
        no_room(L);
    j->b->fate[row] = MR_REPLACED;
}

static void replace(lua_State *L, struct job *j, uint32_t row, int at)
{
    at = lua_absindex(L, at);
    if (!j->moving) {
        for (uint32_t i = 0; i < j->k; i++)
            if (j->b->fate[j->b->sel[i]] == MR_KEPT)
                move(L, j, j->b->sel[i]);
        j->moving = true;
    }
    j->before = j->out.b;
    j->before_used = j->out.used;
    lua_Unsigned n = lua_rawlen(L, at);
    if (n == 0) {
        lua_pushnil(L);
        if (lua_next(L, at)) { /* fields: one event */
            lua_pop(L, 2);
            lua_emit_value(L, &j->out, at);
        }
    }
    for (lua_Unsigned i = 1; i <= n; i++) {
        lua_rawgeti(L, at, (lua_Integer)i);
        lua_emit_value(L, &j->out, -1);
        lua_pop(L, 1);
        if ((i & (LUA_STEPS - 1)) == 0)
            lua_look(L);
    }
    j->b->fate[row] = MR_REPLACED;
}

/* What each(e, m) gave back, in the two places on top. */
static void decide(lua_State *L, struct job *j, uint32_t row)
{
    switch (lua_type(L, -2)) {
    case LUA_TNIL:
        if (!lua_isnil(L, -1))
            mr_batch_reject(j->b, row, "%s: %s", j->host->label ? j->host->label : "lua",
                            luaL_tolstring(L, -1, NULL));
        return;
    case LUA_TBOOLEAN:
        if (!lua_toboolean(L, -2))
            mr_batch_drop(j->b, row);
        return;
    case LUA_TTABLE:
        replace(L, j, row, -2);
        return;
    default:
        if (!lua_is_event(L, -2))
            luaL_error(L,
                       "each returned a %s: return nothing to keep the event, false to drop it, a list of "
                       "events, or nil and a reason",
                       luaL_typename(L, -2));
    }
}

static int run_each(lua_State *L)
{
    struct job *j = lua_touserdata(L, 1);
    struct mr_lua *l = lua_of(L);
    struct mr_batch *b = j->b;
    lua_rawgeti(L, LUA_REGISTRYINDEX, j->p->each);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_EVENT);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_META);
    for (; j->k < b->count; j->k++) {
        uint32_t row = b->sel[j->k];
        if (b->fate[row] != MR_KEPT)
            continue;
        j->before = NULL;
        lua_event_set(l, b, row);
        lua_pushvalue(L, 2);
        lua_pushvalue(L, 3);
        lua_pushvalue(L, 4);
        lua_call(L, 2, 2);
        if (!lua_isnil(L, -1) || !lua_isnil(L, -2))
            decide(L, j, row);
        if (j->moving && b->fate[row] == MR_KEPT)
            move(L, j, row);
        lua_settop(L, 4);
    }
    return 0;
}

static int run_batch(lua_State *L)
{
    struct job *j = lua_touserdata(L, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, j->p->batch);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_BATCH);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_EMIT);
    lua_call(L, 2, 0);
    return 0;
}

/* One protected call over the events from j->k on. MR_OK: all done. Otherwise the one in hand (or, of
 * batch(), all) has been rejected, and j->k is behind it. */
static mr_code run(struct job *j)
{
    const struct lua_program *p = j->p;
    struct mr_lua *l = p->l;
    struct mr_batch *b = j->b;
    struct mr_err why;
    bool each = p->each != LUA_NOREF;
    l->host = j->host;
    l->out = each ? NULL : &j->out;
    l->whole = each ? NULL : b;
    lua_pushcfunction(l->L, each ? run_each : run_batch);
    lua_pushlightuserdata(l->L, j);
    mr_code got = lua_run(l, 1, 0, &why);
    uint32_t row = l->b == b ? l->row : 0;
    lua_event_end(l);
    l->whole = NULL;
    l->host = NULL;
    l->out = NULL;
    if (!got)
        return MR_OK;
    if (each) {
        row = b->sel[j->k++];
        if (j->before && j->before == j->out.b) /* what it had made goes with it */
            j->out.used = j->before_used;
        j->moving = j->moving && (j->out.b || j->out.flushed);
        lua_blame(j->host, b, row, &why);
        mr_batch_reject(b, row, "%s", why.text);
        return got;
    }
    lua_blame(j->host, b, row, &why);
    for (uint32_t k = 0; k < b->count; k++)
        if (b->fate[b->sel[k]] == MR_KEPT)
            mr_batch_reject(b, b->sel[k], "%s", why.text);
    j->k = b->count;
    return got;
}

mr_code lua_step_process(struct lua_program *p, const struct mr_services *services, struct mr_host *host,
                         struct mr_batch *b, mr_code (*mend)(void *arg, struct mr_err *err), void *arg,
                         struct mr_err *err)
{
    struct job j = {.p = p, .host = host, .b = b, .out = {.services = services, .host = host, .from = b}};
    mr_code rc = MR_OK;
    if (p->each == LUA_NOREF && p->batch == LUA_NOREF)
        return MR_OK;
    while (!rc && j.k < b->count && run(&j) != MR_OK)
        rc = mend(arg, err);
    lua_out_flush(&j.out);
    return rc;
}

static mr_code mend_step(void *arg, struct mr_err *err)
{
    struct step *s = arg;
    return lua_program_mend(&s->program, s->host, err);
}

static mr_code process(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct step *s = self;
    return lua_step_process(&s->program, s->services, s->host, b, mend_step, s, err);
}

static int run_emitting(lua_State *L)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, lua_tointeger(L, 1));
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_EMIT);
    lua_call(L, 1, 0);
    return 0;
}

/* An error is told and the rest goes on, since no event is at fault. */
void lua_step_emitting(struct lua_program *p, const struct mr_services *services, struct mr_host *host,
                       int function, const char *name)
{
    if (function == LUA_NOREF)
        return;
    struct lua_out out = {.services = services, .host = host};
    struct mr_lua *l = p->l;
    struct mr_err why;
    l->host = host;
    l->out = &out;
    lua_pushcfunction(l->L, run_emitting);
    lua_pushinteger(l->L, function);
    mr_code got = lua_run(l, 1, 0, &why);
    l->host = NULL;
    l->out = NULL;
    lua_out_flush(&out);
    if (!got)
        return;
    services->log(host, MR_ERROR, "%s: in %s: %s", host->label ? host->label : "lua", name, why.text);
    services->count(host, "lua_errors", 1);
}

static mr_code on_timer(void *self, struct mr_err *err)
{
    struct step *s = self;
    lua_step_emitting(&s->program, s->services, s->host, s->program.tick, "tick");
    arm(s);
    return mend_step(s, err);
}

static mr_code finish(void *self, struct mr_err *err)
{
    struct step *s = self;
    lua_step_emitting(&s->program, s->services, s->host, s->program.close, "close");
    return mend_step(s, err);
}

const struct mr_component mr_lua_step = {
    .size = sizeof(struct mr_component),
    .kind = MR_PROCESSOR,
    .name = "lua",
    .summary = "Run Lua over each event.",
    .doc =
        "The event is `e`, its metadata `m`. Nothing returned keeps the event, `false` drops it, a list of "
        "tables puts several in its place, `nil, reason` rejects it. A script may define `init(cfg)`, "
        "`each(e, m)` or `batch(b, emit)`, `tick(emit)` and `close(emit)`; text that defines none of them is "
        "the body of `each`.\n\n```yaml\n- lua: e.client = net.mask(e.client, 24)\n- lua: { script: "
        "scripts/mask_ip.lua, with: { field: client } }\n```\n",
    .self_size = sizeof(struct step),
    .options = options,
    .check = step_check,
    .open = step_open,
    .close = end,
    .process = process,
    .on_timer = on_timer,
    .finish = finish,
};
