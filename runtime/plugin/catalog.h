/* catalog.h - every component there is: built in, from shared objects, from Lua files.
 *
 * Made at start, read-only afterwards: any thread may look things up.
 */
#ifndef MR_PLUGIN_CATALOG_H
#define MR_PLUGIN_CATALOG_H

#include <millrace/plugin.h>

struct mr_catalog;

struct mr_catalog_entry {
    const struct mr_component *component;
    const char *plugin, *version; /* "millrace" for what is built in */
    const char *path;             /* of the .so or .lua; NULL: built in */
};

mr_code mr_catalog_new(struct mr_catalog **out, struct mr_err *err); /* holds the built-in `lua` step */
void mr_catalog_free(struct mr_catalog *c);
mr_code mr_catalog_add(struct mr_catalog *c, const struct mr_component *component, struct mr_err *err);
/* Loads one shared object. MR_BADABI: wrong abi or size, no entry; the message says what to rebuild and
 * nothing of it stays loaded. Names given twice: MR_EXISTS, says by whom. */
mr_code mr_catalog_load(struct mr_catalog *c, const char *path, struct mr_err *err);
/* Loads every *.so of a directory; a missing directory is fine. Each refusal is told to `told` and the rest
 * goes on. */
void mr_catalog_load_dir(struct mr_catalog *c, const char *dir,
                         void (*told)(void *arg, const struct mr_err *err), void *arg);
/* A .lua file that returns a component table becomes a component; one that does not (a transform) is MR_END.
 */
mr_code mr_catalog_load_lua(struct mr_catalog *c, const char *path, struct mr_err *err);
const struct mr_catalog_entry *mr_catalog_find(const struct mr_catalog *c, enum mr_kind kind,
                                               const char *name, size_t len);
size_t mr_catalog_count(const struct mr_catalog *c);
const struct mr_catalog_entry *mr_catalog_at(const struct mr_catalog *c, size_t i); /* sorted by kind, name */
/* The conformance test behind `millrace plugins --check`: prints findings into out; true when it conforms. */
bool mr_catalog_check(const char *path, struct mr_buf *out);

#endif
