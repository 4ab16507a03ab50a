/* lua_inside.h - what the files of the Lua host share. The one header here that shows Lua's own.
 *
 * lua_budget.c  time and memory      lua_env.c    what a script sees        lua_string.c, lua_pattern.c,
 * lua_event.c   the proxies e and m  lua_load.c   text -> functions         lua_table.c   bounded libraries
 * lua_node.c    lists and objects    lua_scan.c   names a chunk uses        lua_lib.c     the host's library
 * lua_value.c   values <-> Lua       lua_step.c   the step `lua`            lua_file.c    components in Lua
 * lua_batch.c   b and emit           lua_out.c    events made by scripts    lua_program.c a script in its
 * state
 */
#ifndef MR_PLUGIN_LUA_INSIDE_H
#define MR_PLUGIN_LUA_INSIDE_H

#include "base/arena.h"
#include "data/batch.h"
#include "plugin/host.h"
#include "plugin/lua_host.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <signal.h>

/* They raise, which Lua's header cannot say. */
__attribute__((noreturn)) extern int luaL_error(lua_State *L, const char *format, ...);
__attribute__((noreturn)) extern int lua_error(lua_State *L);

#if defined __SANITIZE_THREAD__
#define MR_LUA_POLLS 1
#elif defined __has_feature
#if __has_feature(thread_sanitizer)
#define MR_LUA_POLLS 1
#endif
#endif

enum {
    LUA_STEPS = 4096,      /* steps of a C loop between two looks at the clock */
    LUA_KEYS = 128,        /* field names remembered with their slots; a power of two */
    LUA_NODE_BUCKETS = 64, /* a power of two */
    LUA_DEPTH_MAX = 100,   /* nesting of values that come from Lua */
};
#define LUA_SCRATCH_MAX ((size_t)32 << 20)

enum lua_overrun { LUA_WITHIN = 0, LUA_OVER_TIME, LUA_OVER_MEMORY };

/* Field name -> column, by the address of Lua's string. A hint: the column's name is compared, since an
 * address may be used again by another string. */
struct lua_key {
    const char *p;
    int32_t slot;
};

/* A list or object of the event in hand: see lua_node.c. */
struct lua_node {
    uint64_t serial;         /* of the event; another one: it has passed */
    struct lua_node *parent; /* NULL: a field, or the headers */
    int32_t slot;            /* without a parent: the column, or LUA_SLOT_HEADERS */
    uint32_t cap;            /* owned: places in v */
    uintptr_t key;           /* in its parent: address of the member's name, or index of the item */
    struct mr_value v;       /* MR_LIST or MR_OBJECT */
    bool owned;              /* v is a copy that may be changed */
    bool attached;           /* still where it was found */
    int anchor;              /* its place in LUA_R_ANCHORS */
    struct lua_node *chain;
};
enum { LUA_SLOT_HEADERS = -2 };

struct mr_lua {
    lua_State *L;
    size_t used, cap; /* bytes */
    mr_ms budget;
    mr_ms tick_ms; /* between two looks of the watchman */
    enum lua_overrun over;
    uint64_t rebuilds;

    /* written by the signal handler, on the same thread */
    volatile sig_atomic_t expired;
    volatile sig_atomic_t idle_ticks;
    volatile uint64_t calls; /* grows with every event: that is progress */
    volatile uint64_t calls_seen;
    int64_t poll_at; /* under thread sanitizer: see lua_budget.c */

    struct mr_host *host; /* during a call; NULL: no lane here */
    struct mr_batch *b;   /* the event in hand; NULL: none */
    uint32_t row;
    uint64_t serial;
    struct mr_batch *whole; /* during batch(b, emit) */
    struct lua_key key[LUA_KEYS];
    struct lua_node *node[LUA_NODE_BUCKETS];
    uint64_t node_serial; /* of the event that `node` is about */
    int nodes;

    bool loading;                         /* globals may be made */
    const char *folder;                   /* of `require`; [borrow] */
    const struct mr_strings *env_allowed; /* [borrow] */
    struct mr_heap_arena scratch;         /* of one library call */
    struct mr_buf text;                   /* of one library call */
    struct lua_out *out;                  /* where emit goes, NULL: nowhere */
    int64_t event_number;
    void (*setup)(struct mr_lua *l); /* after a rebuild; may be NULL */
};

/* Registry slots with fixed numbers: arrays are the fastest of all look-ups. */
enum {
    LUA_R_EVENT = 3, /* 1 and 2 are Lua's own */
    LUA_R_META,
    LUA_R_EVENT_MT,
    LUA_R_META_MT,
    LUA_R_NODE_MT,
    LUA_R_LIST_MT,
    LUA_R_OBJECT_MT,
    LUA_R_ANCHORS, /* the nodes of the event in hand */
    LUA_R_ENV,     /* the table that every script's globals start from */
    LUA_R_EXPRS,   /* id -> function */
    LUA_R_MODULES, /* name -> what require gave */
    LUA_R_METRICS,
    LUA_R_STRING, /* the string library */
    LUA_R_EMIT,
    LUA_R_METHODS,
    LUA_R_BATCH, /* the proxy b */
    LUA_R_LAST,
};

static inline struct mr_lua *lua_of(lua_State *L)
{
    return *(struct mr_lua **)lua_getextraspace(L);
}

/* ---- lua_budget.c */
void lua_watch_begin(struct mr_lua *l); /* the thread starts to run this state */
void lua_watch_end(struct mr_lua *l);
int lua_over_time(lua_State *L); /* raises */
void lua_poll(struct mr_lua *l);
static inline void lua_look(lua_State *L) /* in loops of C: raises when time is over */
{
    struct mr_lua *l = lua_of(L);
#ifdef MR_LUA_POLLS
    lua_poll(l);
#endif
    if (l->expired)
        (void)lua_over_time(L);
}
/* pcall with the limits of the state around it: MR_OK, or MR_BADDATA (the script raised), MR_TIMEOUT,
 * MR_LIMIT (overruns; the state is broken until lua_rebuild) with the text in err. The stack is as after
 * lua_pcall, but for the message, which is taken off. */
mr_code lua_run(struct mr_lua *l, int args, int results, struct mr_err *err);
mr_code lua_rebuild(struct mr_lua *l, struct mr_err *err); /* an empty state of the same limits */

/* ---- lua_env.c */
void lua_env_open(lua_State *L); /* raises on memory; makes everything in the registry */
void lua_env_push(lua_State *L); /* a new table of globals for one script */
bool lua_env_knows(lua_State *L, const char *name);
const char *lua_env_nearest(lua_State *L, const char *name); /* NULL: none; good until the next call */
void lua_freeze(lua_State *L, const char *name); /* the table on top becomes a read-only face of itself */
int lua_library(lua_State *L); /* pushes nothing; sets json, time, ... in the table on top */

/* ---- libraries; each sets its functions in the table on top of the stack */
void lua_string_open(lua_State *L);
void lua_table_open(lua_State *L);
void lua_lib_open(lua_State *L); /* the table is the environment: json, time, net, ... */
void lua_codec_open(lua_State *L);
void lua_re_open(lua_State *L);

/* ---- lua_value.c */
void lua_push_scalar(lua_State *L, const struct mr_value *v); /* not LIST, OBJECT, JSON */
void lua_push_deep(lua_State *L, struct mr_arena *a, const struct mr_value *v, int depth); /* as tables */
/* Lua -> value, bytes copied into `a`. Raises when it cannot be a value. */
void lua_pull(lua_State *L, int at, struct mr_arena *a, struct mr_value *out, int depth);
void lua_push_null(lua_State *L);
bool lua_is_null(lua_State *L, int at);
__attribute__((noreturn)) int lua_no_arena(lua_State *L); /* raises */

/* ---- lua_event.c, lua_node.c */
void lua_event_open(lua_State *L);
void lua_node_open(lua_State *L);
static inline void lua_event_set(struct mr_lua *l, struct mr_batch *b, uint32_t row)
{
    l->b = b;
    l->row = row;
    l->serial++;
    l->calls++;
}
static inline void lua_event_end(struct mr_lua *l)
{
    l->b = NULL;
    l->serial++;
}
void lua_batch_open(lua_State *L); /* b and emit */
bool lua_is_event(lua_State *L, int at);
struct lua_node *lua_is_node(lua_State *L, int at); /* NULL: not; raises when it is of another event */
/* v as Lua: scalars themselves, lists and objects as nodes */
void lua_push_value(lua_State *L, struct mr_lua *l, const struct mr_value *v, struct lua_node *parent,
                    int32_t slot, uintptr_t key);
void lua_node_detach(struct mr_lua *l, struct lua_node *parent, int32_t slot, uintptr_t key);
void lua_node_share(struct mr_lua *l, lua_State *L, struct lua_node *n, struct mr_arena *a,
                    struct mr_value *out);
void lua_event_object(lua_State *L, struct mr_lua *l, struct mr_value *out); /* the event as one object */
/* A Lua table, node or event as the fields of a new row. Raises. */
void lua_event_fill(lua_State *L, int at, struct mr_batch *b, uint32_t row);

/* ---- lua_scan.c: which globals a chunk uses */
struct lua_use {
    const char *name; /* [static for the call] */
    int line;
    bool write, in_main;
};
/* Of the function on top of the stack; calls `told` for each use until it returns false. */
bool lua_scan(lua_State *L, bool (*told)(void *arg, const struct lua_use *use), void *arg);

/* ---- lua_load.c */
enum lua_shape {
    LUA_BODY,      /* the chunk is the body of each(e, m) */
    LUA_SCRIPT,    /* it defines init, each, batch, tick, close */
    LUA_COMPONENT, /* it returns a table */
};
/* Compiles and checks names, without running anything. On MR_OK the function is on the stack. */
mr_code lua_compile(struct mr_lua *l, struct mr_slice text, const char *chunk, bool component,
                    enum lua_shape *shape, struct mr_err *err);
mr_code lua_read_script(const char *path, char **text, size_t *len, struct mr_err *err);
int lua_require(lua_State *L);
/* May the text be a component, which returns a table? Not, when it defines handlers or speaks of e and m as
 * the body of each does. True also for what does not compile: running it will tell. */
bool lua_may_be_component(struct mr_lua *l, struct mr_slice text, const char *chunk);

/* ---- lua_program.c: a script in its state, loaded again after an overrun */
struct lua_program {
    struct mr_lua *l;
    char *text; /* what is loaded */
    size_t len;
    const char *chunk; /* "@file" or "=lua"; [borrow] */
    bool component;
    struct mr_value config; /* init(cfg), or a component's options; [borrow] what it points to */
    enum lua_shape shape;
    int each, batch, tick, close; /* references; LUA_NOREF: not there */
    int table;                    /* of a component */
};
/* Compiles, runs the chunk once and calls init. */
mr_code lua_program_load(struct lua_program *p, struct mr_host *host, struct mr_err *err);
/* After a failed lua_run: a new state when the old one was overrun. MR_OK: go on. */
mr_code lua_program_mend(struct lua_program *p, struct mr_host *host, struct mr_err *err);
/* "label: text (event SOURCE:OFFSET)" */
void lua_blame(const struct mr_host *host, const struct mr_batch *b, uint32_t row, struct mr_err *err);

/* ---- lua_step.c: each or batch over the events; an event that fails is rejected, then `mend` is asked to
 * make the state good again; its error ends the step. */
mr_code lua_step_process(struct lua_program *p, const struct mr_services *services, struct mr_host *host,
                         struct mr_batch *b, mr_code (*mend)(void *arg, struct mr_err *err), void *arg,
                         struct mr_err *err);
void lua_step_emitting(struct lua_program *p, const struct mr_services *services, struct mr_host *host,
                       int function,
                       const char *name); /* function(emit); its error is told. Mend afterwards. */

/* ---- lua_out.c: events that scripts make */
struct lua_out {
    const struct mr_services *services;
    struct mr_host *host;
    struct mr_batch *from; /* whose acknowledgement waits for them; NULL */
    struct mr_batch *b;    /* being filled; NULL */
    uint32_t used;         /* its rows that hold an event */
    bool flushed;
};
void lua_emit_value(lua_State *L, struct lua_out *o, int at); /* one event; raises */
bool lua_emit_row(struct lua_out *o, struct mr_batch *from, uint32_t row);
void lua_out_flush(struct lua_out *o);

#endif
