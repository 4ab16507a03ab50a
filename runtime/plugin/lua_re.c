/* lua_re.c - re.match, re.find, re.gsub: PCRE2 for scripts, patterns compiled once a state. */
#include "plugin/lua_inside.h"

#include "data/regex.h"

#include <ctype.h>

enum { PATTERNS_MAX = 256, PLACES = 2 * (MR_REGEX_GROUPS_MAX + 1) };

static int regex_gc(lua_State *L)
{
    struct mr_regex **r = lua_touserdata(L, 1);
    mr_regex_free(*r);
    *r = NULL;
    return 0;
}

/* upvalue 1: { pattern -> regex, how many }; upvalue 2: the metatable that frees */
static struct mr_regex *pattern_at(lua_State *L, int at)
{
    struct mr_slice text;
    struct mr_err err;
    text.p = luaL_checklstring(L, at, &text.len);
    lua_rawgeti(L, lua_upvalueindex(1), 1);
    lua_pushvalue(L, at);
    if (lua_rawget(L, -2) == LUA_TUSERDATA) {
        struct mr_regex *r = *(struct mr_regex **)lua_touserdata(L, -1);
        lua_pop(L, 2);
        return r;
    }
    lua_pop(L, 1);
    lua_rawgeti(L, lua_upvalueindex(1), 2);
    lua_Integer count = lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (count >= PATTERNS_MAX) { /* patterns made from data: begin anew */
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_rawseti(L, lua_upvalueindex(1), 1);
        count = 0;
    }
    struct mr_regex **r = lua_newuserdatauv(L, sizeof *r, 0);
    *r = NULL;
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_setmetatable(L, -2);
    if (mr_regex_new(text, r, &err) != MR_OK)
        luaL_error(L, "%s", err.text);
    lua_pushvalue(L, at);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
    lua_pushinteger(L, count + 1);
    lua_rawseti(L, lua_upvalueindex(1), 2);
    struct mr_regex *made = *r;
    lua_pop(L, 2); /* the table holds it */
    return made;
}

static bool match(lua_State *L, struct mr_regex *r, struct mr_slice text, size_t from, size_t *at)
{
    struct mr_err err;
    mr_code rc = mr_regex_match(r, text, from, at, &err);
    lua_look(L);
    if (rc == MR_LIMIT)
        luaL_error(L, "%s", err.text);
    return rc == MR_OK;
}

static void push_group(lua_State *L, struct mr_slice text, const size_t *at, uint32_t i)
{
    if (at[2 * i] == SIZE_MAX)
        lua_pushnil(L);
    else
        lua_pushlstring(L, text.p + at[2 * i], at[2 * i + 1] - at[2 * i]);
}

static size_t start_of(lua_State *L, int at, size_t len)
{
    lua_Integer i = luaL_optinteger(L, at, 1);
    if (i > 0)
        return (size_t)i - 1;
    return i == 0 || (lua_Unsigned)-i > len ? 0 : len - (size_t)-i;
}

static int find_or_match(lua_State *L, bool find)
{
    struct mr_slice text;
    size_t at[PLACES];
    text.p = luaL_checklstring(L, 1, &text.len);
    struct mr_regex *r = pattern_at(L, 2);
    if (!match(L, r, text, start_of(L, 3, text.len), at)) {
        lua_pushnil(L);
        return 1;
    }
    uint32_t groups = mr_regex_groups(r);
    luaL_checkstack(L, (int)groups + 3, "too many groups");
    int n = 0;
    if (find) {
        lua_pushinteger(L, (lua_Integer)at[0] + 1);
        lua_pushinteger(L, (lua_Integer)at[1]);
        n = 2;
    }
    for (uint32_t i = groups || find ? 1 : 0; i <= groups; i++, n++)
        push_group(L, text, at, i);
    return n;
}

static int re_find(lua_State *L)
{
    return find_or_match(L, true);
}

static int re_match(lua_State *L)
{
    return find_or_match(L, false);
}

/* The text at 3 with %0 to %9 */
static void add_text(lua_State *L, luaL_Buffer *b, struct mr_slice text, const size_t *at, uint32_t groups)
{
    size_t len;
    const char *p = lua_tolstring(L, 3, &len);
    for (size_t i = 0; i < len; i++) {
        if (p[i] != '%') {
            luaL_addchar(b, p[i]);
            continue;
        }
        char c = ++i < len ? p[i] : '\0';
        uint32_t group = (uint32_t)(unsigned char)c - '0';
        if (c == '%')
            luaL_addchar(b, '%');
        else if (!isdigit((unsigned char)c) || group > groups)
            luaL_error(L, "re.gsub: '%%%c' in the replacement: groups are %%0 to %%%d", c, (int)groups);
        else if (at[2 * group] != SIZE_MAX)
            luaL_addlstring(b, text.p + at[2 * group], at[2 * group + 1] - at[2 * group]);
    }
}

static int re_gsub(lua_State *L)
{
    struct mr_slice text;
    size_t at[PLACES], done = 0, from = 0;
    text.p = luaL_checklstring(L, 1, &text.len);
    struct mr_regex *r = pattern_at(L, 2);
    int type = lua_type(L, 3);
    luaL_argexpected(L, type == LUA_TSTRING || type == LUA_TTABLE || type == LUA_TFUNCTION, 3,
                     "string/function/table");
    lua_Integer most = luaL_optinteger(L, 4, LUA_MAXINTEGER), n = 0;
    uint32_t groups = mr_regex_groups(r);
    luaL_Buffer b;
    lua_settop(L, 4);
    luaL_checkstack(L, (int)groups + 8, "too many groups");
    luaL_buffinit(L, &b);
    while (n < most && match(L, r, text, from, at)) {
        n++;
        luaL_addlstring(&b, text.p + done, at[0] - done);
        if (type == LUA_TSTRING) {
            add_text(L, &b, text, at, groups);
        } else {
            if (type == LUA_TTABLE) {
                push_group(L, text, at, groups ? 1 : 0);
                lua_gettable(L, 3);
            } else {
                lua_pushvalue(L, 3);
                for (uint32_t i = groups ? 1 : 0; i <= groups; i++)
                    push_group(L, text, at, i);
                lua_call(L, groups ? (int)groups : 1, 1);
            }
            if (!lua_toboolean(L, -1)) {
                lua_pop(L, 1);
                push_group(L, text, at, 0);
            } else if (!lua_isstring(L, -1)) {
                return luaL_error(L, "re.gsub: a %s cannot be put in", luaL_typename(L, -1));
            }
            luaL_addvalue(&b);
        }
        done = at[1];
        from = at[1] > at[0] || at[1] > from ? at[1] : from;
        if (at[0] == at[1]) { /* nothing was matched: one byte further */
            if (done >= text.len)
                break;
            luaL_addchar(&b, text.p[done]);
            from = ++done;
        }
    }
    if (done < text.len)
        luaL_addlstring(&b, text.p + done, text.len - done);
    luaL_pushresult(&b);
    lua_pushinteger(L, n);
    return 2;
}

void lua_re_open(lua_State *L)
{
    static const luaL_Reg re[] = {{"match", re_match}, {"find", re_find}, {"gsub", re_gsub}, {NULL, NULL}};
    luaL_newlibtable(L, re);
    lua_createtable(L, 2, 0); /* { patterns, how many } */
    lua_newtable(L);
    lua_rawseti(L, -2, 1);
    lua_newtable(L);
    lua_pushcfunction(L, regex_gc);
    lua_setfield(L, -2, "__gc");
    luaL_setfuncs(L, re, 2);
    lua_freeze(L, "re");
    lua_setfield(L, -2, "re");
}
