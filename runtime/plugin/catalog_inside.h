/* catalog_inside.h - what the files of the catalog share. */
#ifndef MR_PLUGIN_CATALOG_INSIDE_H
#define MR_PLUGIN_CATALOG_INSIDE_H

#include <millrace/plugin.h>

/* What a component must have before anyone calls it. MR_BADABI says what is missing. */
mr_code mr_component_sane(const struct mr_component *c, const char *path, struct mr_err *err);

#endif
