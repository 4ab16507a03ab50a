/* place.c - "end", "1200", "-100", a time, a duration. */
#include "cli/place.h"

#include "base/text.h"
#include "base/time.h"

/* "2025-10-10": its midnight, UTC. */
static bool is_day(const char *text, mr_ns *out)
{
    enum { DAY = sizeof "2025-10-10" - 1 };
    char whole[DAY + sizeof "T00:00:00Z"];
    if (strlen(text) != DAY)
        return false;
    (void)snprintf(whole, sizeof whole, "%sT00:00:00Z", text);
    return mr_rfc3339_parse(mr_slice_of(whole), out);
}

mr_code mr_place_parse(const char *text, bool shift, struct mr_place *out, struct mr_err *err)
{
    static const char *const words[] = {"beginning", "end"};
    struct mr_slice all = mr_slice_of(text);
    int64_t n = 0;
    mr_ns t;
    if (!strcmp(text, "beginning") || !strcmp(text, "start")) {
        *out = (struct mr_place){MR_PLACE_BEGINNING, 0};
    } else if (!strcmp(text, "end")) {
        *out = (struct mr_place){MR_PLACE_END, 0};
    } else if (shift && !strncmp(text, "shift:", 6)) {
        const char *digits = text + 6 + (text[6] == '+');
        if (!mr_parse_i64(mr_slice_of(digits), &n) || n == INT64_MIN)
            return mr_fail(err, MR_BADCONF, "'%s' is no shift: shift:-100 goes back, shift:100 goes on",
                           text);
        *out = (struct mr_place){MR_PLACE_SHIFT, n};
    } else if (text[0] == '@' && mr_parse_i64(mr_slice_of(text + 1), &n) && n >= 0) {
        *out = (struct mr_place){MR_PLACE_TIME, n};
    } else if (mr_parse_i64(all, &n) && n != INT64_MIN) {
        *out = n < 0 || text[0] == '-' ? (struct mr_place){MR_PLACE_LAST, -n}
                                       : (struct mr_place){MR_PLACE_OFFSET, n};
    } else if (mr_rfc3339_parse(all, &t) || is_day(text, &t)) {
        *out = (struct mr_place){MR_PLACE_TIME, t / 1000000};
        if (*text && out->n < 0)
            return mr_fail(err, MR_BADCONF, "'%s' is before 1970, where no record is", text);
    } else if (*text && mr_duration_parse(all, &n, NULL) == MR_OK) {
        *out = (struct mr_place){MR_PLACE_AGO, n};
    } else {
        const char *near = mr_nearest(all, words, 2);
        if (near)
            return mr_fail(err, MR_BADCONF, "unknown place '%s'; did you mean '%s'?", text, near);
        return mr_fail(err, MR_BADCONF,
                       "unknown place '%s': beginning, end, an offset (1200), the last ones (-100), a time "
                       "(2025-10-10T13:55:10Z, 2025-10-10, @1760104510000), so long ago (2h30m)%s",
                       text, shift ? ", from where the group is (shift:-100)" : "");
    }
    return MR_OK;
}
