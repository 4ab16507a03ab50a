/* lua_lib.c - the library for scripts: json, time, net, log, metric, os, print, env.
 *
 * Nothing here waits, opens or sends. Time comes from the host, so that it is virtual in tests.
 */
#include "plugin/lua_inside.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/time.h"
#include "data/json.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---------------------------------------------------------------- json */

static int json_decode(lua_State *L)
{
    struct mr_lua *l = lua_of(L);
    struct mr_slice text;
    struct mr_value v;
    struct mr_err err;
    text.p = luaL_checklstring(L, 1, &text.len);
    mr_heap_arena_reset(&l->scratch);
    if (mr_json_read(text, &v, &err) != MR_OK)
        return luaL_error(L, "json.decode: %s", err.text);
    lua_push_deep(L, &l->scratch.arena, &v, 0);
    mr_heap_arena_reset(&l->scratch);
    return 1;
}

static int json_encode(lua_State *L)
{
    struct mr_lua *l = lua_of(L);
    struct mr_value v;
    luaL_checkany(L, 1);
    mr_heap_arena_reset(&l->scratch);
    lua_pull(L, 1, &l->scratch.arena, &v, 0);
    if (v.tag == MR_MISSING)
        v.tag = MR_NULL;
    l->text.len = 0;
    if (!mr_json_write(&l->text, &v))
        return luaL_error(L, "json.encode: no memory for the text");
    mr_heap_arena_reset(&l->scratch);
    lua_pushlstring(L, l->text.len ? l->text.p : "", l->text.len);
    return 1;
}

/* ---------------------------------------------------------------- time */

static mr_ns now_of(lua_State *L)
{
    struct mr_lua *l = lua_of(L);
    if (l->host && l->host->ops && l->host->ops->now)
        return l->host->ops->now(l->host);
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (mr_ns)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int time_now(lua_State *L)
{
    lua_pushinteger(L, now_of(L));
    return 1;
}

/* time.parse(text [, format]): nanoseconds since 1970, or nil and why */
static int time_parse(lua_State *L)
{
    struct mr_slice text;
    mr_ns t;
    struct mr_civil today;
    text.p = luaL_checklstring(L, 1, &text.len);
    const char *format = luaL_optstring(L, 2, NULL);
    mr_civil_of_ns(now_of(L), &today);
    bool ok = format ? mr_time_parse(text, format, today.year, &t) : mr_rfc3339_parse(text, &t);
    if (ok) {
        lua_pushinteger(L, t);
        return 1;
    }
    lua_pushnil(L);
    lua_pushfstring(L, "'%s' is not a time of the form %s", text.p, format ? format : "2025-10-10T13:55:10Z");
    return 2;
}

static int time_format(lua_State *L)
{
    mr_ns t = luaL_checkinteger(L, 1);
    size_t len;
    const char *format = luaL_optlstring(L, 2, NULL, &len);
    char text[512];
    int n = format ? mr_time_print(t, format, len, text, sizeof text) : mr_rfc3339_print(t, text);
    if (n < 0)
        return luaL_error(L, "time.format: '%s' is no format, or its text is longer than 512 bytes", format);
    lua_pushlstring(L, text, (size_t)n);
    return 1;
}

/* time.floor(ts, "1m"): the beginning of the minute that ts is in */
static int time_floor(lua_State *L)
{
    lua_Integer t = luaL_checkinteger(L, 1);
    struct mr_slice text;
    struct mr_err err;
    mr_ms ms;
    text.p = luaL_checklstring(L, 2, &text.len);
    if (mr_duration_parse(text, &ms, &err) != MR_OK)
        return luaL_error(L, "time.floor: %s", err.text);
    if (ms <= 0 || ms > INT64_MAX / 1000000)
        return luaL_error(L, "time.floor: '%s' is no step", text.p);
    lua_Integer step = ms * 1000000, rest = t % step;
    if (rest < 0)
        rest += step;
    lua_pushinteger(L, t < INT64_MIN + rest ? INT64_MIN : t - rest);
    return 1;
}

/* ---------------------------------------------------------------- net */

struct address {
    uint8_t b[16];
    int bits; /* 32 or 128 */
};

static bool parse_address(struct mr_slice text, struct address *out)
{
    char copy[INET6_ADDRSTRLEN];
    if (text.len >= sizeof copy || memchr(text.p, '\0', text.len))
        return false;
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    out->bits = strchr(copy, ':') ? 128 : 32;
    return inet_pton(out->bits == 32 ? AF_INET : AF_INET6, copy, out->b) == 1;
}

static void check_address(lua_State *L, int at, const char *who, struct address *out)
{
    struct mr_slice text;
    text.p = luaL_checklstring(L, at, &text.len);
    if (!parse_address(text, out))
        luaL_error(L, "%s: '%s' is not an IPv4 or IPv6 address", who, text.p);
}

static void cut(struct address *a, int bits)
{
    for (int i = 0; i < a->bits / 8; i++) {
        int left = bits - i * 8;
        if (left < 8)
            a->b[i] = (uint8_t)(left <= 0 ? 0 : a->b[i] & (0xff << (8 - left)));
    }
}

/* net.mask(ip, bits): the network's address. nil stays nil; what is no address is an error: it is not let
 * through unmasked, nor lost. */
static int net_mask(lua_State *L)
{
    struct address a;
    char text[INET6_ADDRSTRLEN];
    if (lua_isnil(L, 1)) {
        lua_pushnil(L);
        return 1;
    }
    check_address(L, 1, "net.mask", &a);
    lua_Integer bits = luaL_checkinteger(L, 2);
    if (bits < 0 || bits > a.bits)
        return luaL_error(L, "net.mask: %I bits of an address of %d", bits, a.bits);
    cut(&a, (int)bits);
    if (a.bits ==
        32) { /* inet_ntop goes through printf: ten times dearer, and this is in every access log's way */
        char *p = text;
        for (int i = 0; i < 4; i++) {
            if (i)
                *p++ = '.';
            if (a.b[i] >= 100)
                *p++ = (char)('0' + a.b[i] / 100);
            if (a.b[i] >= 10)
                *p++ = (char)('0' + a.b[i] / 10 % 10);
            *p++ = (char)('0' + a.b[i] % 10);
        }
        lua_pushlstring(L, text, (size_t)(p - text));
    } else {
        (void)inet_ntop(AF_INET6, a.b, text, sizeof text);
        lua_pushstring(L, text);
    }
    return 1;
}

static bool inside(const struct address *a, const char *cidr, size_t len, lua_State *L, const char *who)
{
    const char *slash = memchr(cidr, '/', len);
    struct address net, cutoff = *a;
    int64_t bits = -1;
    if (slash) {
        bits = 0;
        for (const char *p = slash + 1; p < cidr + len; p++)
            bits = *p >= '0' && *p <= '9' && bits < 1000 ? bits * 10 + (*p - '0') : 1000;
        if (slash + 1 == cidr + len)
            bits = 1000;
    }
    if (!parse_address((struct mr_slice){cidr, slash ? (size_t)(slash - cidr) : len}, &net) ||
        bits > net.bits)
        luaL_error(L, "%s: '%s' is not a network such as 10.0.0.0/8", who, cidr);
    if (bits < 0)
        bits = net.bits;
    if (net.bits != a->bits)
        return false;
    cut(&net, (int)bits);
    cut(&cutoff, (int)bits);
    return memcmp(net.b, cutoff.b, (size_t)a->bits / 8) == 0;
}

static int net_in_cidr(lua_State *L)
{
    struct address a;
    size_t len;
    check_address(L, 1, "net.in_cidr", &a);
    const char *cidr = luaL_checklstring(L, 2, &len);
    lua_pushboolean(L, inside(&a, cidr, len, L, "net.in_cidr"));
    return 1;
}

/* Not reachable from the open Internet: RFC 1918, loopback, link-local, shared (RFC 6598), unique local. */
static int net_is_private(lua_State *L)
{
    static const char *const nets[] = {
        "10.0.0.0/8",    "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "169.254.0.0/16",
        "100.64.0.0/10", "::1/128",       "fc00::/7",       "fe80::/10",   NULL};
    struct address a;
    bool is = false;
    check_address(L, 1, "net.is_private", &a);
    for (size_t i = 0; nets[i] && !is; i++)
        is = inside(&a, nets[i], strlen(nets[i]), L, "net.is_private");
    lua_pushboolean(L, is);
    return 1;
}

/* ---------------------------------------------------------------- telling */

static void tell(lua_State *L, enum mr_level level, const char *text)
{
    struct mr_lua *l = lua_of(L);
    if (l->host && l->host->ops && l->host->ops->log)
        l->host->ops->log(l->host, level, text);
}

static int log_at(lua_State *L, enum mr_level level)
{
    tell(L, level, luaL_tolstring(L, 1, NULL));
    return 0;
}
static int log_debug(lua_State *L)
{
    return log_at(L, MR_DEBUG);
}
static int log_info(lua_State *L)
{
    return log_at(L, MR_INFO);
}
static int log_warn(lua_State *L)
{
    return log_at(L, MR_WARN);
}
static int log_error(lua_State *L)
{
    return log_at(L, MR_ERROR);
}

static int base_print(lua_State *L)
{
    int n = lua_gettop(L);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            luaL_addchar(&b, '\t');
        (void)luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    tell(L, MR_INFO, lua_tostring(L, -1));
    return 0;
}

/* Names of metrics live for ever: the host keeps their addresses. */
enum { METRICS_MAX = 1024, METRIC_NAME_MAX = 64 };
static char *metric_names[METRICS_MAX];
static size_t metric_count;
static pthread_mutex_t metric_lock = PTHREAD_MUTEX_INITIALIZER;

static const char *intern_metric(const char *name)
{
    const char *found = NULL;
    (void)pthread_mutex_lock(&metric_lock);
    for (size_t i = 0; i < metric_count && !found; i++)
        if (strcmp(metric_names[i], name) == 0)
            found = metric_names[i];
    if (!found && metric_count < METRICS_MAX) {
        char *copy = mr_strndup(name, strlen(name));
        if (copy)
            found = metric_names[metric_count++] = copy;
    }
    (void)pthread_mutex_unlock(&metric_lock);
    return found;
}

/* metric.count(name [, n]) */
static int metric_count_(lua_State *L)
{
    struct mr_lua *l = lua_of(L);
    const char *name = luaL_checkstring(L, 1);
    lua_Integer n = luaL_optinteger(L, 2, 1);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_METRICS);
    lua_pushvalue(L, 1);
    const char *kept;
    if (lua_rawget(L, -2) == LUA_TLIGHTUSERDATA) {
        kept = lua_touserdata(L, -1);
    } else {
        size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
        if (name[len] || len == 0 || len > METRIC_NAME_MAX || (name[0] >= '0' && name[0] <= '9'))
            return luaL_error(L, "metric '%s': a name is at most %d of a-z, 0-9 and _", name,
                              METRIC_NAME_MAX);
        kept = intern_metric(name);
        if (!kept)
            return luaL_error(L, "metric '%s': more than %d different names", name, METRICS_MAX);
        lua_pushvalue(L, 1);
        lua_pushlightuserdata(L, (void *)(uintptr_t)kept);
        lua_rawset(L, -4);
    }
    if (l->host && l->host->ops && l->host->ops->count)
        l->host->ops->count(l->host, kept, n);
    return 0;
}

/* ---------------------------------------------------------------- os, env */

static lua_Integer seconds_now(lua_State *L)
{
    mr_ns t = now_of(L);
    return t / 1000000000 - (t % 1000000000 < 0);
}

/* Lua's own function, with the arguments that are on the stack. */
static int lua_own(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static int os_time(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_pushinteger(L, seconds_now(L));
        return 1;
    }
    lua_settop(L, 1);
    return lua_own(L);
}

static int os_date(lua_State *L)
{
    lua_settop(L, 2);
    if (lua_isnil(L, 1)) {
        lua_pushliteral(L, "%c");
        lua_replace(L, 1);
    }
    if (lua_isnil(L, 2)) {
        lua_pushinteger(L, seconds_now(L));
        lua_replace(L, 2);
    }
    return lua_own(L);
}

/* env.NAME: only what the option `env` lists */
static int env_index(lua_State *L)
{
    struct mr_lua *l = lua_of(L);
    const char *name = luaL_checkstring(L, 2);
    for (uint32_t i = 0; l->env_allowed && i < l->env_allowed->count; i++) {
        if (!mr_slice_eq(l->env_allowed->v[i], mr_slice_of(name)))
            continue;
        lua_pushstring(L, getenv(name));
        return 1;
    }
    return luaL_error(L, "env.%s is not allowed: list it in option 'env'", name);
}

static int env_newindex(lua_State *L)
{
    return luaL_error(L, "env cannot be changed");
}

static void library(lua_State *L, const char *name, const luaL_Reg *functions)
{
    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    lua_freeze(L, name);
    lua_setfield(L, -2, name);
}

void lua_lib_open(lua_State *L)
{
    static const luaL_Reg json[] = {{"decode", json_decode}, {"encode", json_encode}, {NULL, NULL}};
    static const luaL_Reg time_[] = {{"now", time_now},
                                     {"parse", time_parse},
                                     {"format", time_format},
                                     {"floor", time_floor},
                                     {NULL, NULL}};
    static const luaL_Reg net[] = {
        {"mask", net_mask}, {"in_cidr", net_in_cidr}, {"is_private", net_is_private}, {NULL, NULL}};
    static const luaL_Reg log_[] = {
        {"debug", log_debug}, {"info", log_info}, {"warn", log_warn}, {"error", log_error}, {NULL, NULL}};
    static const luaL_Reg metric[] = {{"count", metric_count_}, {NULL, NULL}};
    library(L, "json", json);
    library(L, "time", time_);
    library(L, "net", net);
    library(L, "log", log_);
    library(L, "metric", metric);
    lua_pushcfunction(L, base_print);
    lua_setfield(L, -2, "print");

    luaL_requiref(L, LUA_OSLIBNAME, luaopen_os, 0);
    lua_newtable(L);
    lua_getfield(L, -2, "time");
    lua_pushcclosure(L, os_time, 1);
    lua_setfield(L, -2, "time");
    lua_getfield(L, -2, "date");
    lua_pushcclosure(L, os_date, 1);
    lua_setfield(L, -2, "date");
    lua_getfield(L, -2, "clock");
    lua_setfield(L, -2, "clock");
    lua_freeze(L, "os");
    lua_setfield(L, -3, "os");
    lua_pop(L, 1);

    static const luaL_Reg env[] = {{"__index", env_index}, {"__newindex", env_newindex}, {NULL, NULL}};
    lua_newtable(L);
    luaL_newlib(L, env);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "env");
}
