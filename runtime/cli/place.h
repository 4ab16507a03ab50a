/* place.h - a place in a topic as a person writes it. Pure. */
#ifndef MR_CLI_PLACE_H
#define MR_CLI_PLACE_H

#include <millrace/types.h>

enum mr_place_kind {
    MR_PLACE_BEGINNING, /* "beginning" */
    MR_PLACE_END,       /* "end" */
    MR_PLACE_OFFSET,    /* "1200" */
    MR_PLACE_LAST,      /* "-100": so many before the end */
    MR_PLACE_TIME,      /* "2025-10-10T13:55:10Z", "@1760104510000": the first record at or after it */
    MR_PLACE_AGO,       /* "2h30m": so long before now */
    MR_PLACE_SHIFT,     /* "shift:-10": from where the group is */
};
struct mr_place {
    enum mr_place_kind kind;
    int64_t n; /* an offset, a count, ms since 1970, ms */
};

/* MR_BADCONF: err says what may stand there. shift: is "shift:" allowed here? */
mr_code mr_place_parse(const char *text, bool shift, struct mr_place *out, struct mr_err *err);

#endif
