/* option.h - option tables: from a tree into a component's self, with every mistake named.
 *
 * Pointers put into self live in `a`; expressions, templates and such are remembered in `owned` and freed
 * by mr_options_fini.
 */
#ifndef MR_PLUGIN_OPTION_H
#define MR_PLUGIN_OPTION_H

#include "plugin/tree.h"
#include <millrace/plugin.h>

struct mr_owned; /* things made for options that must be freed; NULL is empty */

/* An option whose name is empty is the component's own constant: it is shown and parsed nowhere; its `value`,
 * a pointer, is stored in self as it is. (How a component written in Lua finds its script.)
 */

/* Fills self (zeroed, self_size bytes). `n` is a map of options, or a scalar or list for the main option, or
 * NULL for none. Says everything that is wrong: unknown option (nearest name, all names), wrong type, missing
 * unit, out of bounds, missing required, bad choice, bad expression or template (caret inside). true when
 * nothing was wrong. what  "step 'window'": how messages call the component;  where: node to blame for what
 * is missing */
bool mr_options_fill(const struct mr_option *table, const char *what, const struct mr_node *n,
                     const struct mr_node *where, void *self, struct mr_arena *a, struct mr_owned **owned,
                     struct mr_diags *diags);
void mr_options_fini(struct mr_owned *owned);
/* The node that option `name` came from (for err->option of check): n itself when it was the main option. */
const struct mr_node *mr_options_node(const struct mr_option *table, const struct mr_node *n,
                                      const char *name);

/* A bound of the option as people write it: "1024", "500ms", "4KiB". */
void mr_option_bound(const struct mr_option *o, int64_t v, char out[40]);

/* The table as Markdown rows (reference pages), as --help text, as JSON Schema properties. */
bool mr_options_markdown(const struct mr_option *table, struct mr_buf *out);
bool mr_options_help(const struct mr_option *table, struct mr_buf *out);

#endif
