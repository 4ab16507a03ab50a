/* lua_budget.c - time and memory: how a call of Lua is kept within them.
 *
 * Time.  No hook is set while a script behaves (a standing count hook makes every instruction take the slow
 * way: up to twice the time). Each thread that runs Lua has one timer on its own processor time; its signal
 * is delivered to that thread. The handler asks whether the state has got on to another event since the last
 *        ticks; if not for a whole budget, it sets a hook on the state, which raises at the next instruction
 * and at every one after that, so a pcall cannot swallow it. Loops in C look at `expired`. A state has one
 *        thread of Lua only: coroutines are not opened, since a hook on one does not stop another.
 *        Processor time, not wall time: a busy machine is not the script's fault, and a script cannot wait.
 *
 * Memory. The allocator counts and says no; Lua then collects, asks again, and raises. Once more in our
 * pcall: who catches that error is raised upon again.
 *
 * The thread sanitizer holds signals back until the thread calls into it, which a loop of Lua never does;
 * under it a standing hook polls instead.
 */
#include "plugin/lua_inside.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/time.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { TICKS = 4, POLL_INSTRUCTIONS = 10000 }; /* a budget is 4 ticks; it may be exceeded by one */

int lua_over_time(lua_State *L)
{
    char budget[32];
    (void)mr_duration_print(lua_of(L)->budget, budget);
    luaL_where(L,
               0); /* from the hook it is the script's function; from a loop in C there is no line here ... */
    if (!*lua_tostring(L, -1))
        luaL_where(L, 1); /* ... but there */
    lua_pushfstring(L, "%stook more than its time budget of %s (option 'budget')", lua_tostring(L, -1),
                    budget);
    return lua_error(L);
}

static void on_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    if (lua_of(L)->expired)
        (void)lua_over_time(L);
}

#ifdef MR_LUA_POLLS

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void lua_poll(struct mr_lua *l)
{
    int64_t now = cpu_ns();
    if (l->calls != l->calls_seen) {
        l->calls_seen = l->calls;
        l->poll_at = now + l->budget * 1000000;
    } else if (now > l->poll_at) {
        l->expired = 1;
    }
}

static void on_poll(lua_State *L, lua_Debug *ar)
{
    lua_poll(lua_of(L));
    if (!lua_of(L)->expired)
        return;
    lua_sethook(L, on_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
    on_hook(L, ar);
}

void lua_watch_begin(struct mr_lua *l)
{
    l->expired = 0;
    l->calls++;
    l->calls_seen = l->calls - 1;
    lua_poll(l);
    lua_sethook(l->L, on_poll, LUA_MASKCOUNT, POLL_INSTRUCTIONS);
}

void lua_watch_end(struct mr_lua *l)
{
    (void)l;
}

#else

/* What the handler sees: everything in it belongs to its own thread. */
struct watchman {
    timer_t timer;
    struct mr_lua *volatile running;
    volatile sig_atomic_t armed;
    mr_ms tick_ms; /* of the timer as it runs now */
    bool made;
};
static _Thread_local struct watchman watchman;
static pthread_key_t at_thread_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool usable;

static int signal_number(void)
{
    return SIGRTMIN + 5;
}

static void start_timer(struct watchman *w, mr_ms tick)
{
    struct itimerspec at = {.it_value = {tick / 1000, (long)(tick % 1000) * 1000000},
                            .it_interval = {tick / 1000, (long)(tick % 1000) * 1000000}};
    w->tick_ms = tick;
    w->armed = timer_settime(w->timer, 0, &at, NULL) == 0;
}

/* Async-signal-safe: touches its own thread's words, timer_settime and lua_sethook (which says that it may be
 * called from a handler that runs on the thread of the state). */
static void on_signal(int number)
{
    (void)number;
    int saved = errno;
    struct watchman *w = &watchman;
    struct mr_lua *l = w->running;
    if (!l) {
        struct itimerspec never = {{0, 0}, {0, 0}};
        if (w->made)
            (void)timer_settime(w->timer, 0, &never, NULL);
        w->armed = 0;
    } else if (l->calls != l->calls_seen) {
        l->calls_seen = l->calls;
        l->idle_ticks = 0;
    } else if (l->idle_ticks < TICKS * (l->tick_ms + w->tick_ms - 1) / w->tick_ms - 1) {
        l->idle_ticks = l->idle_ticks + 1;
    } else {
        l->expired = 1;
        lua_sethook(l->L, on_hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
    }
    errno = saved;
}

static void thread_ends(void *p)
{
    struct watchman *w = p;
    w->running = NULL;
    if (w->made)
        (void)timer_delete(w->timer);
    w->made = false;
}

static void set_up(void)
{
    struct sigaction act;
    memset(&act, 0, sizeof act);
    act.sa_handler = on_signal;
    act.sa_flags = SA_RESTART;
    sigfillset(&act.sa_mask);
    usable =
        sigaction(signal_number(), &act, NULL) == 0 && pthread_key_create(&at_thread_end, thread_ends) == 0;
}

static void make_timer(struct watchman *w)
{
    (void)pthread_once(&once, set_up);
    mr_assert(usable); /* a limit that does not limit is worse than none */
    struct sigevent ev;
    memset(&ev, 0, sizeof ev);
    ev.sigev_notify = SIGEV_THREAD_ID;
    ev.sigev_signo = signal_number();
#ifdef sigev_notify_thread_id
    ev.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
#else
    ev._sigev_un._tid = (pid_t)syscall(SYS_gettid);
#endif
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &ev, &w->timer) != 0)
        mr_assert(timer_create(CLOCK_MONOTONIC, &ev, &w->timer) == 0);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal_number());
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    (void)pthread_setspecific(at_thread_end, w);
    w->made = true;
}

void lua_poll(struct mr_lua *l)
{
    (void)l;
}

/* The timer is left running between calls and stops itself when it finds nobody at home: so a call costs no
 * system call, only a busy thread is ticked. */
void lua_watch_begin(struct mr_lua *l)
{
    struct watchman *w = &watchman;
    if (!w->made)
        make_timer(w);
    mr_assert(!w->running); /* L1 */
    l->expired = 0;
    l->idle_ticks = 0;
    l->calls++;
    w->running = l;
    if (!w->armed || w->tick_ms > l->tick_ms)
        start_timer(w, l->tick_ms);
}

void lua_watch_end(struct mr_lua *l)
{
    (void)l;
    watchman.running = NULL;
}

#endif

/* ---------------------------------------------------------------- memory */

static void *counted(void *arg, void *p, size_t was, size_t want)
{
    struct mr_lua *l = arg;
    if (!p)
        was = 0; /* then it tells the kind of thing */
    if (want == 0) {
        mr_free(p);
        l->used -= was;
        return NULL;
    }
    if (want > was && want - was > l->cap - l->used)
        return NULL;
    void *q = mr_realloc(p, want);
    if (!q)
        return want <= was ? p : NULL; /* Lua counts on it that shrinking works */
    l->used = l->used - was + want;
    return q;
}

static int on_panic(lua_State *L)
{
    (void)fprintf(stderr, "lua outside of a protected call: %s\n", lua_tostring(L, -1));
    mr_assert(false && "lua called outside of lua_run");
    return 0;
}

static int open_protected(lua_State *L)
{
    lua_env_open(L);
    return 0;
}

static mr_code make(struct mr_lua *l, struct mr_err *err)
{
    l->used = 0;
    l->over = LUA_WITHIN;
    l->L = lua_newstate(counted, l);
    if (!l->L)
        return mr_fail(err, MR_MEMORY, "no memory for a Lua state");
    *(struct mr_lua **)lua_getextraspace(l->L) = l;
    lua_atpanic(l->L, on_panic);
    lua_pushcfunction(l->L, open_protected);
    int rc = lua_pcall(l->L, 0, 0, 0);
    if (rc != LUA_OK) {
        (void)mr_fail(err, rc == LUA_ERRMEM ? MR_LIMIT : MR_BADDATA, "cannot start Lua: %s",
                      lua_tostring(l->L, -1));
        lua_close(l->L);
        l->L = NULL;
        return rc == LUA_ERRMEM ? MR_LIMIT : MR_BADDATA;
    }
    return MR_OK;
}

mr_code mr_lua_new(size_t memory, mr_ms budget, struct mr_lua **out, struct mr_err *err)
{
    struct mr_lua *l = mr_alloc(sizeof *l);
    if (!l)
        return mr_fail(err, MR_MEMORY, "no memory for a Lua state");
    l->cap = memory;
    l->budget = budget > 0 ? budget : 1;
    l->tick_ms = l->budget / TICKS > 0 ? l->budget / TICKS : 1;
    mr_heap_arena_init(&l->scratch, 4096, 64 << 10, LUA_SCRATCH_MAX);
    mr_code rc = make(l, err);
    if (rc) {
        mr_lua_free(l);
        return rc;
    }
    *out = l;
    return MR_OK;
}

static void forget(struct mr_lua *l)
{
    memset(l->key, 0, sizeof l->key);
    memset(l->node, 0, sizeof l->node);
    l->nodes = 0;
    l->b = NULL;
    l->serial++;
}

void mr_lua_free(struct mr_lua *l)
{
    if (!l)
        return;
    if (l->L) {
        lua_sethook(l->L, NULL, 0, 0);
        lua_close(l->L);
    }
    mr_heap_arena_fini(&l->scratch);
    mr_buf_fini(&l->text);
    mr_free(l);
}

size_t mr_lua_bytes(const struct mr_lua *l)
{
    return l->used;
}

uint64_t mr_lua_rebuilds(const struct mr_lua *l)
{
    return l->rebuilds;
}

mr_code lua_rebuild(struct mr_lua *l, struct mr_err *err)
{
    if (l->L) {
        lua_sethook(l->L, NULL, 0, 0);
        lua_close(l->L);
        l->L = NULL;
    }
    forget(l);
    mr_heap_arena_reset(&l->scratch);
    mr_buf_fini(&l->text);
    l->rebuilds++;
    return make(l, err);
}

/* Lua knows null as a userdata; everything else of ours has a name. */
static void say_null(char *text)
{
    const struct mr_slice null = MR_SLICE("null"), userdata = MR_SLICE("userdata");
    char *from = strstr(text, "attempt to ");
    if (!from)
        return;
    char *end = strstr(from, " ("); /* what it is called in the script stands behind */
    if (!end)
        end = from + strlen(from);
    for (char *at; (at = strstr(from, userdata.p)) && at < end; end -= userdata.len - null.len) {
        memcpy(at, null.p, null.len);
        memmove(at + null.len, at + userdata.len, strlen(at + userdata.len) + 1);
    }
}

mr_code lua_run(struct mr_lua *l, int args, int results, struct mr_err *err)
{
    lua_State *L = l->L;
    lua_watch_begin(l);
    int rc = lua_pcall(L, args, results, 0);
    lua_watch_end(l);
    if (l->expired)
        l->over = LUA_OVER_TIME;
    else if (rc == LUA_ERRMEM)
        l->over = LUA_OVER_MEMORY;
    if (rc == LUA_OK && l->over == LUA_WITHIN)
        return MR_OK;
    if (rc == LUA_OK) { /* it came to its end in the very moment: the state has its hook all the same */
        lua_sethook(L, NULL, 0, 0);
        l->over = LUA_WITHIN;
        return MR_OK;
    }
    lua_sethook(L, NULL, 0, 0);
    char size[32];
    (void)mr_size_print((int64_t)l->cap, size);
    mr_code code = l->over == LUA_OVER_TIME ? MR_TIMEOUT : l->over == LUA_OVER_MEMORY ? MR_LIMIT : MR_BADDATA;
    size_t len;
    if (l->over == LUA_OVER_MEMORY) {
        (void)mr_fail(err, code, "needs more than its memory limit of %s (option 'memory')", size);
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        const char *text = lua_tolstring(L, -1, &len);
        (void)mr_fail(err, code, "%.*s", len > MR_ERR_TEXT ? MR_ERR_TEXT : (int)len, text);
        if (err)
            say_null(err->text);
    } else {
        (void)mr_fail(err, code, "error raised with a %s, where a text is expected",
                      lua_typename(L, lua_type(L, -1)));
    }
    lua_pop(L, 1);
    return code;
}
