/* lua_string.c - the string library: bounded patterns, rep, and the methods of expressions. */
#include "plugin/lua_inside.h"
#include "plugin/lua_pattern.h"

#include <string.h>

static int string_rep(lua_State *L)
{
    size_t len, sep_len = 0;
    const char *s = luaL_checklstring(L, 1, &len);
    lua_Integer n = luaL_checkinteger(L, 2);
    const char *sep = luaL_optlstring(L, 3, "", &sep_len);
    if (n <= 0 || len + sep_len == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    size_t cap = lua_of(L)->cap;
    if ((lua_Unsigned)n > cap / (len + sep_len))
        return luaL_error(L, "the text of string.rep would be larger than the script's memory limit");
    luaL_Buffer b;
    size_t total = (size_t)n * len + ((size_t)n - 1) * sep_len;
    char *p = luaL_buffinitsize(L, &b, total);
    /* the first piece, then what is there twice as often, and so on */
    size_t done = 0, piece = len + sep_len;
    while (done < total) {
        size_t want;
        if (done == 0) {
            memcpy(p, s, len);
            if (n > 1)
                memcpy(p + len, sep, sep_len);
            want = n > 1 ? piece : len;
        } else {
            want = total - done < done ? total - done : done;
            memcpy(p + done, p, want);
        }
        done += want;
    }
    luaL_pushresultsize(&b, total);
    return 1;
}

static int string_starts(lua_State *L)
{
    size_t len, want;
    const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &want);
    lua_pushboolean(L, want <= len && memcmp(s, p, want) == 0);
    return 1;
}

static int string_ends(lua_State *L)
{
    size_t len, want;
    const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &want);
    lua_pushboolean(L, want <= len && memcmp(s + len - want, p, want) == 0);
    return 1;
}

static int string_contains(lua_State *L)
{
    size_t len, want;
    const char *s = luaL_checklstring(L, 1, &len), *p = luaL_checklstring(L, 2, &want);
    lua_pushboolean(L, want == 0 || memmem(s, len, p, want) != NULL);
    return 1;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int str_trim(lua_State *L)
{
    size_t len, i = 0;
    const char *s = luaL_checklstring(L, 1, &len);
    while (i < len && is_blank(s[i]))
        i++;
    while (len > i && is_blank(s[len - 1]))
        len--;
    lua_pushlstring(L, s + i, len - i);
    return 1;
}

/* str.split(s, sep [, most]): plain text; at most `most` pieces */
static int str_split(lua_State *L)
{
    size_t len, sep_len;
    const char *s = luaL_checklstring(L, 1, &len), *sep = luaL_checklstring(L, 2, &sep_len);
    lua_Integer most = luaL_optinteger(L, 3, LUA_MAXINTEGER), n = 0;
    luaL_argcheck(L, sep_len > 0, 2, "an empty separator splits nothing");
    lua_newtable(L);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_R_LIST_MT);
    lua_setmetatable(L, -2);
    const char *end = s + len;
    for (;;) {
        const char *hit = n + 1 < most ? memmem(s, (size_t)(end - s), sep, sep_len) : NULL;
        lua_pushlstring(L, s, (size_t)((hit ? hit : end) - s));
        lua_rawseti(L, -2, ++n);
        if (!hit)
            return 1;
        s = hit + sep_len;
        if ((n & (LUA_STEPS - 1)) == 0)
            lua_look(L);
    }
}

/* Stack: the standard library's table below, ours on top. */
static void take(lua_State *L, const char *const *names)
{
    for (; *names; names++) {
        lua_getfield(L, -2, *names);
        lua_setfield(L, -2, *names);
    }
}

void lua_string_open(lua_State *L)
{
    static const char *const kept[] = {"byte",    "char", "format", "len", "lower",
                                       "reverse", "sub",  "upper",  NULL};
    static const luaL_Reg ours[] = {
        {"find", lua_string_find}, {"match", lua_string_match},   {"gmatch", lua_string_gmatch},
        {"gsub", lua_string_gsub}, {"rep", string_rep},           {"starts", string_starts},
        {"ends", string_ends},     {"contains", string_contains}, {NULL, NULL}};
    static const luaL_Reg str[] = {{"split", str_split},          {"trim", str_trim},
                                   {"starts", string_starts},     {"ends", string_ends},
                                   {"contains", string_contains}, {NULL, NULL}};
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
    luaL_newlib(L, ours);
    take(L, kept);
    /* strings' methods come from our table, and nobody can reach the metatable (("").rep = ... is refused) */
    lua_pushliteral(L, "");
    (void)lua_getmetatable(L, -1);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_R_STRING);
    lua_freeze(L, "string");
    lua_setfield(L, -3, "string");
    luaL_newlib(L, str);
    lua_getfield(L, -2, "lower");
    lua_setfield(L, -2, "lower");
    lua_getfield(L, -2, "upper");
    lua_setfield(L, -2, "upper");
    lua_freeze(L, "str");
    lua_setfield(L, -3, "str");
    lua_pop(L, 1); /* the standard one */
}
