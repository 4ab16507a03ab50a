/* lua_scan.c - which globals a chunk reads and writes, found without running it.
 *
 * The compiled chunk is dumped into memory in Lua's own binary form (5.4: see ldump.c's order of fields) and
 * its instructions on _ENV are looked for. Names that come into being in other ways (a local _ENV, more than
 * 256 constants in one function) are caught when the script runs.
 */
#include "plugin/lua_inside.h"

#include "base/buf.h"

#include <string.h>

enum { OP_GETTABUP = 11, OP_SETTABUP = 15, ABSLINE = -0x80, DEPTH_MAX = 200 };

struct scan {
    const uint8_t *p, *end;
    bool bad, stopped;
    bool (*told)(void *arg, const struct lua_use *use);
    void *arg;
};

static int keep(lua_State *L, const void *p, size_t len, void *out)
{
    (void)L;
    return mr_buf_put(out, p, len) ? 0 : 1;
}

static uint8_t byte(struct scan *s)
{
    if (s->p >= s->end) {
        s->bad = true;
        return 0;
    }
    return *s->p++;
}

static size_t number(struct scan *s)
{
    size_t x = 0;
    for (int i = 0; i < 10; i++) {
        uint8_t b = byte(s);
        x = x << 7 | (b & 0x7f);
        if (b & 0x80)
            return x;
    }
    s->bad = true;
    return 0;
}

static const uint8_t *skip(struct scan *s, size_t len)
{
    const uint8_t *at = s->p;
    if (len > (size_t)(s->end - s->p)) {
        s->bad = true;
        return s->end;
    }
    s->p += len;
    return at;
}

static struct mr_slice text(struct scan *s)
{
    size_t size = number(s);
    if (size == 0)
        return (struct mr_slice){NULL, 0};
    const uint8_t *p = skip(s, size - 1);
    return (struct mr_slice){(const char *)p, s->bad ? 0 : size - 1};
}

/* n-th constant of the constants that begin at `at`; not a string: NULL */
static struct mr_slice constant(const struct scan *whole, const uint8_t *at, size_t n)
{
    struct scan s = {at, whole->end, false, false, NULL, NULL};
    size_t count = number(&s);
    for (size_t i = 0; i < count && !s.bad; i++) {
        uint8_t tag = byte(&s);
        struct mr_slice t = {NULL, 0};
        if (tag == LUA_TNUMBER || tag == (LUA_TNUMBER | 16))
            (void)skip(&s, 8);
        else if (tag == LUA_TSTRING || tag == (LUA_TSTRING | 16))
            t = text(&s);
        if (i == n)
            return t;
    }
    return (struct mr_slice){NULL, 0};
}

static int line_of(const uint8_t *info, size_t count, const uint8_t *absolute, const struct scan *whole,
                   int defined, size_t pc)
{
    int line = defined;
    for (size_t i = 0; i <= pc && i < count; i++) {
        int8_t delta;
        memcpy(&delta, &info[i], 1);
        if (delta != ABSLINE) {
            line += delta;
            continue;
        }
        struct scan s = {absolute, whole->end, false, false, NULL, NULL};
        size_t n = number(&s);
        for (size_t k = 0; k < n && !s.bad; k++) {
            size_t at = number(&s);
            int there = (int)number(&s);
            if (at == i)
                line = there;
        }
    }
    return line;
}

static void function(struct scan *s, int depth)
{
    if (depth > DEPTH_MAX) {
        s->bad = true;
        return;
    }
    (void)text(s);
    int defined = (int)number(s);
    (void)number(s);
    (void)skip(s, 3);
    size_t code_count = number(s);
    if (code_count > (size_t)(s->end - s->p) / 4) {
        s->bad = true;
        return;
    }
    const uint8_t *code = skip(s, code_count * 4);
    const uint8_t *constants = s->p;
    size_t n = number(s);
    for (size_t i = 0; i < n && !s->bad; i++) {
        uint8_t tag = byte(s);
        if (tag == LUA_TNUMBER || tag == (LUA_TNUMBER | 16))
            (void)skip(s, 8);
        else if (tag == LUA_TSTRING || tag == (LUA_TSTRING | 16))
            (void)text(s);
    }
    n = number(s);
    (void)skip(s, n * 3);
    n = number(s);
    for (size_t i = 0; i < n && !s->bad; i++)
        function(s, depth + 1);
    size_t lines = number(s);
    const uint8_t *info = skip(s, lines);
    const uint8_t *absolute = s->p;
    n = number(s);
    for (size_t i = 0; i < n && !s->bad; i++) {
        (void)number(s);
        (void)number(s);
    }
    n = number(s);
    for (size_t i = 0; i < n && !s->bad; i++) {
        (void)text(s);
        (void)number(s);
        (void)number(s);
    }
    n = number(s);
    bool is_env[256] = {false};
    for (size_t i = 0; i < n && !s->bad; i++) {
        struct mr_slice name = text(s);
        if (i < 256)
            is_env[i] = mr_slice_eq(name, MR_SLICE("_ENV"));
    }
    for (size_t pc = 0; pc < code_count && !s->bad && !s->stopped; pc++) {
        uint32_t i;
        memcpy(&i, code + pc * 4, 4);
        unsigned op = i & 0x7f, a = i >> 7 & 0xff, b = i >> 16 & 0xff, c = i >> 24 & 0xff;
        bool write = op == OP_SETTABUP;
        if (!(op == OP_GETTABUP && is_env[b]) && !(write && is_env[a]))
            continue;
        struct mr_slice name = constant(s, constants, write ? b : c);
        char copy[128];
        if (!name.p || name.len >= sizeof copy)
            continue;
        memcpy(copy, name.p, name.len);
        copy[name.len] = '\0';
        struct lua_use use = {copy, line_of(info, lines, absolute, s, defined, pc), write, depth == 0};
        if (s->told && !s->told(s->arg, &use))
            s->stopped = true;
    }
}

bool lua_scan(lua_State *L, bool (*told)(void *arg, const struct lua_use *use), void *arg)
{
    struct mr_buf dump = {NULL, 0, 0};
    bool ok = lua_dump(L, keep, &dump, 0) == 0;
    if (ok) {
        struct scan s = {
            (const uint8_t *)dump.p, (const uint8_t *)dump.p + dump.len, false, false, told, arg};
        (void)skip(&s, 4 + 1 + 1 + 6 + 3 + sizeof(lua_Integer) + sizeof(lua_Number) + 1);
        function(&s, 0);
        ok = !s.bad;
    }
    mr_buf_fini(&dump);
    return ok;
}
