/* lua_host.h - Lua in millrace: states with limits, and what the rest of the runtime may ask of them.
 *
 * Words.  A *state* is one Lua 5.4 world: its heap, its scripts, their globals. An *overrun* is a call that
 * took more time or memory than its state allows.
 *
 * Laws
 *   L1  a state belongs to one thread at a time
 *   L2  an overrun ends the call it happened in, and nothing that the script does (pcall, metamethods) keeps
 *       it going; the state is thrown away and built again before the next call
 *   L3  what a script can reach is the allow-list of lua_env.c: no files, no processes, no code from bytes
 *   L4  no hook is set while nothing is overdue: the time budget costs nothing until it is exceeded
 */
#ifndef MR_PLUGIN_LUA_HOST_H
#define MR_PLUGIN_LUA_HOST_H

#include <millrace/plugin.h>

enum { MR_LUA_BUDGET_MS = 100 };
#define MR_LUA_MEMORY ((size_t)64 << 20)

struct mr_lua;
struct mr_host;

/* One state.   memory  bytes its heap may hold;  budget  processor time that one event, or one call of tick,
 * init and the like, may take. MR_MEMORY. */
mr_code mr_lua_new(size_t memory, mr_ms budget, struct mr_lua **out, struct mr_err *err);
void mr_lua_free(struct mr_lua *l);               /* NULL is fine. Thread: the owner, or after it has ended */
size_t mr_lua_bytes(const struct mr_lua *l);      /* what the heap holds now */
uint64_t mr_lua_rebuilds(const struct mr_lua *l); /* how often an overrun cost the state */

/* The built-in processor `lua`. */
extern const struct mr_component mr_lua_step;

/* ---- expressions (expr.c). `id` names one compiled expression in whatever state it meets. */
mr_code mr_lua_expr_check(const char *text, size_t len, struct mr_err *err);
/* out[row] for every chosen and kept row; failures reject their row. */
void mr_lua_expr_eval(struct mr_host *h, uint64_t id, struct mr_slice text, struct mr_batch *b,
                      struct mr_value *out);

/* ---- components written in Lua (catalog.c). MR_END: the file is a transform, not a component. */
struct mr_lua_file;
mr_code mr_lua_file_load(const char *path, struct mr_lua_file **out, struct mr_err *err);
void mr_lua_file_free(struct mr_lua_file *f);
const struct mr_component *mr_lua_file_component(const struct mr_lua_file *f);

#endif
