/* lua_pattern.c - Lua's patterns with a bound: string.find, match, gmatch, gsub.
 *
 * The same language as the standard library's (classes, sets, captures, %b, %f, back references, * + - ?),
 * written anew so that every step is counted: a pattern that goes exponential is stopped with its script, at
 * the time budget, where the standard one would run for days without a single instruction of Lua. Tests hold
 * it against the standard library on random patterns.
 */
#include "plugin/lua_pattern.h"
#include "base/assert.h"
#include "plugin/lua_inside.h"

#include <ctype.h>
#include <string.h>

enum { CAPTURES_MAX = 32, DEPTH_MAX = 200 };

struct capture {
    const char *start;
    ptrdiff_t len; /* OPEN, PLACE, or bytes */
};
enum { OPEN = -1, PLACE = -2 };

struct match {
    lua_State *L;
    const char *src, *src_end, *pat_end;
    int captures, depth;
    unsigned steps;
    struct capture capture[CAPTURES_MAX];
};

static void step(struct match *m)
{
    if ((++m->steps & (LUA_STEPS - 1)) == 0)
        lua_look(m->L);
}

static bool in_class(unsigned char c, unsigned char class)
{
    bool in;
    switch (tolower(class)) {
    case 'a':
        in = isalpha(c);
        break;
    case 'c':
        in = iscntrl(c);
        break;
    case 'd':
        in = isdigit(c);
        break;
    case 'g':
        in = isgraph(c);
        break;
    case 'l':
        in = islower(c);
        break;
    case 'p':
        in = ispunct(c);
        break;
    case 's':
        in = isspace(c);
        break;
    case 'u':
        in = isupper(c);
        break;
    case 'w':
        in = isalnum(c);
        break;
    case 'x':
        in = isxdigit(c);
        break;
    default:
        return c == class;
    }
    return isupper(class) ? !in : in;
}

/* The end of one item of the pattern that begins at p: a character, %x, or a set. */
static const char *item_end(struct match *m, const char *p)
{
    char c = *p++;
    if (c == '%') {
        if (p == m->pat_end)
            luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 1;
    }
    if (c != '[')
        return p;
    if (p < m->pat_end && *p == '^')
        p++;
    bool first = true; /* a ']' that comes first stands for itself */
    for (;; first = false) {
        if (p == m->pat_end)
            luaL_error(m->L, "malformed pattern (missing ']')");
        if (*p == ']' && !first)
            return p + 1;
        if (*p++ == '%') {
            if (p == m->pat_end)
                luaL_error(m->L, "malformed pattern (missing ']')");
            p++;
        }
    }
}

/* c against the set that begins at p ('[') and whose ']' is at end - 1 */
static bool in_set(unsigned char c, const char *p, const char *end)
{
    const char *last = end - 1;
    bool sense = true;
    p++;
    if (*p == '^') {
        sense = false;
        p++;
    }
    while (p < last) {
        if (*p == '%') {
            if (in_class(c, (unsigned char)p[1]))
                return sense;
            p += 2;
        } else if (p + 2 < last && p[1] == '-') {
            if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
                return sense;
            p += 3;
        } else {
            if ((unsigned char)*p == c)
                return sense;
            p++;
        }
    }
    return !sense;
}

static bool fits(struct match *m, const char *s, const char *p, const char *end)
{
    if (s >= m->src_end)
        return false;
    unsigned char c = (unsigned char)*s;
    switch (*p) {
    case '.':
        return true;
    case '%':
        return in_class(c, (unsigned char)p[1]);
    case '[':
        return in_set(c, p, end);
    default:
        return (unsigned char)*p == c;
    }
}

static const char *run(struct match *m, const char *s, const char *p);

static const char *open_capture(struct match *m, const char *s, const char *p, ptrdiff_t what)
{
    if (m->captures == CAPTURES_MAX)
        luaL_error(m->L, "too many captures");
    m->capture[m->captures++] = (struct capture){s, what};
    const char *r = run(m, s, p);
    if (!r)
        m->captures--;
    return r;
}

static const char *close_capture(struct match *m, const char *s, const char *p)
{
    int i = m->captures - 1;
    while (i >= 0 && m->capture[i].len != OPEN)
        i--;
    if (i < 0)
        luaL_error(m->L, "invalid pattern capture");
    m->capture[i].len = s - m->capture[i].start;
    const char *r = run(m, s, p);
    if (!r)
        m->capture[i].len = OPEN;
    return r;
}

static const char *balanced(struct match *m, const char *s, const char *p)
{
    if (m->pat_end - p < 2)
        luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (s >= m->src_end || *s != p[0])
        return NULL;
    int open = 1;
    while (++s < m->src_end) {
        step(m);
        if (*s == p[1]) {
            if (--open == 0)
                return s + 1;
        } else if (*s == p[0]) {
            open++;
        }
    }
    return NULL;
}

static const char *back_reference(struct match *m, const char *s, char digit)
{
    int i = digit - '1';
    if (i < 0 || i >= m->captures || m->capture[i].len == OPEN)
        luaL_error(m->L, "invalid capture index %%%d", i + 1);
    ptrdiff_t len = m->capture[i].len;
    if (len < 0 /* a place has no text */ || m->src_end - s < len ||
        memcmp(m->capture[i].start, s, (size_t)len) != 0)
        return NULL;
    return s + len;
}

static const char *greedy(struct match *m, const char *s, const char *p, const char *end)
{
    ptrdiff_t n = 0;
    while (fits(m, s + n, p, end)) {
        n++;
        step(m);
    }
    for (; n >= 0; n--) {
        const char *r = run(m, s + n, end + 1);
        if (r)
            return r;
    }
    return NULL;
}

static const char *lazy(struct match *m, const char *s, const char *p, const char *end)
{
    for (;; s++) {
        const char *r = run(m, s, end + 1);
        if (r)
            return r;
        if (!fits(m, s, p, end))
            return NULL;
    }
}

static const char *run_inside(struct match *m, const char *s, const char *p)
{
    while (p < m->pat_end) {
        step(m);
        if (*p == '(')
            return p + 1 < m->pat_end && p[1] == ')' ? open_capture(m, s, p + 2, PLACE)
                                                     : open_capture(m, s, p + 1, OPEN);
        if (*p == ')')
            return close_capture(m, s, p + 1);
        if (*p == '$' && p + 1 == m->pat_end)
            return s == m->src_end ? s : NULL;
        if (*p == '%' && p + 1 < m->pat_end) {
            if (p[1] == 'b') {
                s = balanced(m, s, p + 2);
                if (!s)
                    return NULL;
                p += 4;
                continue;
            }
            if (p[1] == 'f') {
                p += 2;
                if (p >= m->pat_end || *p != '[')
                    luaL_error(m->L, "missing '[' after '%%f' in pattern");
                const char *end = item_end(m, p);
                unsigned char before = s == m->src ? 0 : (unsigned char)s[-1];
                unsigned char here = s == m->src_end ? 0 : (unsigned char)*s;
                if (in_set(before, p, end) || !in_set(here, p, end))
                    return NULL;
                p = end;
                continue;
            }
            if (isdigit((unsigned char)p[1])) {
                s = back_reference(m, s, p[1]);
                if (!s)
                    return NULL;
                p += 2;
                continue;
            }
        }
        const char *end = item_end(m, p);
        char suffix = end < m->pat_end ? *end : '\0';
        if (suffix == '*')
            return greedy(m, s, p, end);
        if (suffix == '+')
            return fits(m, s, p, end) ? greedy(m, s + 1, p, end) : NULL;
        if (suffix == '-')
            return lazy(m, s, p, end);
        if (suffix == '?') {
            const char *r = fits(m, s, p, end) ? run(m, s + 1, end + 1) : NULL;
            if (r)
                return r;
            p = end + 1;
            continue;
        }
        if (!fits(m, s, p, end))
            return NULL;
        s++;
        p = end;
    }
    return s;
}

static const char *run(struct match *m, const char *s, const char *p)
{
    if (++m->depth > DEPTH_MAX)
        luaL_error(m->L, "pattern too complex");
    const char *r = run_inside(m, s, p);
    m->depth--;
    return r;
}

/* ---------------------------------------------------------------- results */

static void push_capture(struct match *m, int i, const char *s, const char *e)
{
    if (i >= m->captures) {
        if (i != 0)
            luaL_error(m->L, "invalid capture index %%%d", i + 1);
        lua_pushlstring(m->L, s, (size_t)(e - s)); /* no captures: the whole match */
        return;
    }
    const struct capture *c = &m->capture[i];
    if (c->len == OPEN)
        luaL_error(m->L, "unfinished capture");
    if (c->len == PLACE)
        lua_pushinteger(m->L, c->start - m->src + 1);
    else
        lua_pushlstring(m->L, c->start, (size_t)c->len);
}

static int push_captures(struct match *m, const char *s, const char *e, bool whole)
{
    int n = m->captures == 0 && whole ? 1 : m->captures;
    luaL_checkstack(m->L, n + 1, "too many captures");
    for (int i = 0; i < n; i++)
        push_capture(m, i, s, e);
    return n;
}

static void begin(struct match *m, lua_State *L, const char *s, size_t len, const char *p, size_t pat_len)
{
    m->L = L;
    m->src = s;
    m->src_end = s + len;
    m->pat_end = p + pat_len;
    m->steps = 0;
}

static void again(struct match *m)
{
    m->captures = 0;
    m->depth = 0;
}

/* Place to start from, from 0; negative counts from the end. */
static size_t start_at(lua_Integer i, size_t len)
{
    if (i > 0)
        return (size_t)i - 1;
    if (i == 0 || i < -(lua_Integer)len)
        return 0;
    return len - (size_t)(-i);
}

static bool is_plain(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i] && strchr("^$*+?.([%-", p[i]))
            return false;
    return true;
}

static int find_or_match(lua_State *L, bool find)
{
    size_t len, pat_len;
    const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &pat_len);
    size_t at = start_at(luaL_optinteger(L, 3, 1), len);
    if (at > len) {
        lua_pushnil(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || is_plain(p, pat_len))) {
        const char *hit = pat_len == 0 ? s + at : memmem(s + at, len - at, p, pat_len);
        if (!hit) {
            lua_pushnil(L);
            return 1;
        }
        lua_pushinteger(L, hit - s + 1);
        lua_pushinteger(L, hit - s + (lua_Integer)pat_len);
        return 2;
    }
    struct match m;
    bool anchor = pat_len > 0 && *p == '^';
    begin(&m, L, s, len, p, pat_len);
    for (const char *from = s + at; from <= m.src_end; from++) {
        again(&m);
        const char *end = run(&m, from, p + anchor);
        if (end && find) {
            lua_pushinteger(L, from - s + 1);
            lua_pushinteger(L, end - s);
            return push_captures(&m, NULL, NULL, false) + 2;
        }
        if (end)
            return push_captures(&m, from, end, true);
        if (anchor)
            break;
        step(&m);
    }
    lua_pushnil(L);
    return 1;
}

int lua_string_find(lua_State *L)
{
    return find_or_match(L, true);
}

int lua_string_match(lua_State *L)
{
    return find_or_match(L, false);
}

/* upvalues: subject, pattern, place to go on from, end of the last match (-1: none) */
static int gmatch_next(lua_State *L)
{
    size_t len, pat_len;
    const char *s = lua_tolstring(L, lua_upvalueindex(1), &len);
    const char *p = lua_tolstring(L, lua_upvalueindex(2), &pat_len);
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(4));
    struct match m;
    begin(&m, L, s, len, p, pat_len);
    for (const char *from = s + lua_tointeger(L, lua_upvalueindex(3)); from <= m.src_end; from++) {
        again(&m);
        const char *end = run(&m, from, p);
        if (end && end - s != last) {
            lua_pushinteger(L, end - s);
            lua_copy(L, -1, lua_upvalueindex(3));
            lua_replace(L, lua_upvalueindex(4));
            return push_captures(&m, from, end, true);
        }
        step(&m);
    }
    return 0;
}

int lua_string_gmatch(lua_State *L)
{
    size_t len;
    (void)luaL_checklstring(L, 1, &len);
    (void)luaL_checkstring(L, 2);
    size_t at = start_at(luaL_optinteger(L, 3, 1), len);
    lua_settop(L, 2);
    lua_pushinteger(L, (lua_Integer)(at > len ? len + 1 : at));
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

static void add_text(struct match *m, luaL_Buffer *b, const char *s, const char *e)
{
    size_t len;
    const char *r = lua_tolstring(m->L, 3, &len);
    for (size_t i = 0; i < len; i++) {
        if (r[i] != '%') {
            luaL_addchar(b, r[i]);
            continue;
        }
        char c = ++i < len ? r[i] : '\0';
        if (c == '%' && i < len) {
            luaL_addchar(b, '%');
        } else if (c == '0') {
            luaL_addlstring(b, s, (size_t)(e - s));
        } else if (isdigit((unsigned char)c)) {
            push_capture(m, c - '1', s, e);
            (void)luaL_tolstring(m->L, -1, NULL);
            lua_remove(m->L, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(m->L, "invalid use of '%%' in replacement string");
        }
    }
}

/* Returns true when something else was put in. */
static bool add_replacement(struct match *m, luaL_Buffer *b, const char *s, const char *e, int type)
{
    lua_State *L = m->L;
    if (type == LUA_TFUNCTION) {
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(m, s, e, true), 1);
    } else if (type == LUA_TTABLE) {
        push_capture(m, 0, s, e);
        lua_gettable(L, 3);
    } else {
        add_text(m, b, s, e);
        return true;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(b, s, (size_t)(e - s));
        return false;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(b);
    return true;
}

int lua_string_gsub(lua_State *L)
{
    size_t len, pat_len;
    const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &pat_len);
    int type = lua_type(L, 3);
    luaL_argexpected(
        L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
        "string/function/table");
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)len + 1), n = 0;
    bool anchor = pat_len > 0 && *p == '^', changed = false;
    struct match m = {0};
    luaL_Buffer b;
    mr_assert(s && p); /* luaL_checklstring raises instead */
    if (type == LUA_TNUMBER)
        (void)lua_tolstring(L, 3, NULL);
    luaL_buffinit(L, &b);
    begin(&m, L, s, len, p, pat_len);
    const char *from = s, *last = NULL;
    while (n < most) {
        again(&m);
        const char *end = run(&m, from, p + anchor);
        if (end && end != last) {
            n++;
            changed |= add_replacement(&m, &b, from, end, type);
            from = last = end;
        } else if (from < m.src_end) {
            luaL_addchar(&b, *from++);
        } else {
            break;
        }
        if (anchor)
            break;
        step(&m);
    }
    if (!changed) {
        lua_pushvalue(L, 1);
    } else {
        luaL_addlstring(&b, from, (size_t)(m.src_end - from));
        luaL_pushresult(&b);
    }
    lua_pushinteger(L, n);
    return 2;
}
