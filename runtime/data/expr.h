/* expr.h - expressions over an event `e` and its metadata `m`, in Lua's syntax with Lua's meaning.
 *
 * The common forms are evaluated natively, column by column; what is not native is handed to the Lua host
 * (plugin/lua_expr.h), with the same answers: a property test holds the two against each other.
 *
 * Native: literals (nil true false numbers strings), e.a.b["c"][1], e["x-y"], m.key m.ts m.topic m.partition
 * m.offset m.source m.headers.x, parentheses, and or not, == ~= < <= > >=, + - * / // % ^ unary -, .. , #,
 * and the methods of strings :starts(s) :ends(s) :contains(s) :lower() :upper() :len() :sub(i[,j]) :find(s,
 * i, true). Lists count from 1 in expressions, as in Lua. `null` is JSON's null: equal to itself alone and,
 * as any Lua value but nil and false, true in tests; a field that is not there is nil. Two lists or objects
 * are never equal. Times are integers (nanoseconds). m.topic is nil for events that came from no topic;
 * m.headers without headers has no fields, rather than being nil. A string method called as a field (e.s.len)
 * is nil. Bounds: 64 KiB of text, 100 levels. A tree is used by one thread at a time: it has the buffers.
 *
 * Cost (tests/bench/data_bench.c, 2026-11, one core of an AMD EPYC, ns an event): e.level == "debug" 3;
 * e.msg:starts("index") 6; e.http.status >= 500, in undecoded text, 48; e.service .. "/" .. e.host 45.
 */
#ifndef MR_DATA_EXPR_H
#define MR_DATA_EXPR_H

#include <millrace/plugin.h>

struct mr_xtree; /* a parsed expression */

/* MR_OK: native. MR_UNSUPPORTED: valid words so far as seen, but for Lua (calls of other functions, ...).
 * MR_BADCONF: not an expression; err->at is the byte, the text says what was expected, and for a name other
 * than e, m and the known globals which was probably meant. */
mr_code mr_xtree_parse(const char *text, size_t len, struct mr_xtree **out, struct mr_err *err);
void mr_xtree_free(struct mr_xtree *x);
/* out[row] for every chosen row, values in the batch's arena, numbers and strings decoded, lists and objects
 * perhaps still MR_JSON; an event whose evaluation fails (as Lua would
 * raise an error) is rejected with the reason. Rows already not MR_KEPT are passed over. */
void mr_xtree_eval(struct mr_xtree *x, struct mr_batch *b, struct mr_value *out);
/* Truth as in Lua: nil (missing) and false are false, everything else is true, null too. truth[row] is 0 for
 * rows that are rejected or were not MR_KEPT. */
void mr_xtree_test(struct mr_xtree *x, struct mr_batch *b, uint8_t *truth);

#endif
