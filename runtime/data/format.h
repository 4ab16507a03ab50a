/* format.h - decoders: a text field of each event into fields. One file a family under data/.
 *
 * Names: json, combined, common, regex, grok, logfmt, csv, syslog, raw. Each has its option table; the
 * `parse` step, the codec of sources and the reference pages read the same ones.
 */
#ifndef MR_DATA_FORMAT_H
#define MR_DATA_FORMAT_H

#include <millrace/plugin.h>

struct mr_format {
    const char *name, *summary, *doc;
    /* Options as a table for docs and lint; only STRING, BOOL, INT, ENUM, STRINGS, VALUE, DURATION are used
     * here. */
    const struct mr_option *options;
    size_t self_size;
    mr_code (*open)(void *self, struct mr_err *err); /* self filled from the options, which stay as long as
                                                        self; compiles patterns. NULL: nothing to do */
    void (*close)(void *self);                       /* also after an open that failed; NULL: nothing to do */
    /* Decode the text of column `slot` for every chosen row. `now`: wall clock, for formats without a year.
     * Fields go to top-level columns, or into a new object at the path `into` (p NULL or len 0: top level).
     * A decoded row has given its text away: the column `slot` is MR_MISSING there, unless the format has a
     * field of that name (`message` of syslog), which then stands in its place, never at the same address. So
     * nobody removes the column afterwards; who wants to keep the text copies the column's values before the
     * call, puts them back where the column is MR_MISSING, and calls mr_batch_touch there (json leaves b->raw
     * set). Rows that do not fit: mr_batch_reject with the byte and the reason, their text and fields as they
     * were. Event time is set by combined, common, syslog, and by an option `time`. Values are views into the
     * text where it can be: the text must live as long as the batch. Thread: the owner of self and batch. */
    void (*decode)(void *self, struct mr_batch *b, int32_t slot, struct mr_slice into, mr_ns now);
};

const struct mr_format *const *mr_formats(void); /* NULL-terminated */
const struct mr_format *mr_format_find(const char *name, size_t len);

#endif
