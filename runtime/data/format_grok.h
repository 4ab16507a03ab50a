/* format_grok.h - the library of named patterns, and turning %{NAME:field:type} into one PCRE2 pattern. */
#ifndef MR_DATA_FORMAT_GROK_H
#define MR_DATA_FORMAT_GROK_H

#include "data/format_pcre.h"

enum {
    MR_GROK_DEPTH_MAX = 16,        /* patterns within patterns */
    MR_GROK_TEXT_MAX = 128 * 1024, /* bytes of a pattern when all names are written out */
};

struct mr_grok_pattern {
    const char *name, *pattern;
};
extern const struct mr_grok_pattern mr_grok_library[]; /* ends with { NULL, NULL }; by topic, see the page */

#endif
