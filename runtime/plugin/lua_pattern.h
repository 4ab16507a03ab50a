/* lua_pattern.h - string.find and its kin, with a bound: see lua_pattern.c. */
#ifndef MR_PLUGIN_LUA_PATTERN_H
#define MR_PLUGIN_LUA_PATTERN_H

#include <lua.h>

int lua_string_find(lua_State *L);
int lua_string_match(lua_State *L);
int lua_string_gmatch(lua_State *L);
int lua_string_gsub(lua_State *L);

#endif
