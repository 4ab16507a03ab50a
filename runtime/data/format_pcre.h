/* format_pcre.h - matching lines with PCRE2 patterns and making fields of named groups: regex and grok.
 *
 * Limits, by name: `match_limit` steps a pattern and line (an option); 1 MiB of stack for compiled patterns;
 * 32 MiB of heap where there is no compiler for the processor; 64 patterns; 512 named groups.
 */
#ifndef MR_DATA_FORMAT_PCRE_H
#define MR_DATA_FORMAT_PCRE_H

#include "data/format_fields.h"

enum {
    MR_PATTERNS_MAX = 64,
    MR_GROUPS_MAX = 512,
    MR_JIT_STACK_MAX = 1 << 20, /* bytes */
    MR_MATCH_HEAP_KB = 32 * 1024,
};

/* The options `utf` and `match_limit`: fields of those names in `self`. */
#define MR_PATTERN_OPTIONS(self)                                                                             \
    {.name = "utf",                                                                                          \
     .type = MR_OPT_BOOL,                                                                                    \
     .at = offsetof(self, utf),                                                                              \
     .value = "false",                                                                                       \
     .help = "match characters instead of bytes; costs time, and bytes that are not UTF-8 match nothing"},   \
    {                                                                                                        \
        .name = "match_limit", .type = MR_OPT_INT, .at = offsetof(self, match_limit), .unit = "steps",       \
        .value = "1000000", .min = 100, .max = 100000000,                                                    \
        .help = "how much work one pattern may do on one text before the event is rejected"                  \
    }

struct mr_matcher; /* one pattern; defined in format_pcre.c, the one file that sees PCRE2 */

struct mr_patterns {
    struct mr_matcher *matcher; /* [count], tried in order */
    uint32_t count;
    struct mr_slice *name; /* [names] of fields, over all patterns */
    enum mr_field_type *type;
    uint32_t names;
    struct mr_value *row; /* [names] of the line in hand */
    int32_t time;         /* which name is the event time, -1 */
    void *context, *stack;
    int64_t match_limit;
    struct mr_field_types types;
    struct mr_time_field when;
};

/* A group of the pattern and the field it stands for; regex: the same name. */
struct mr_group_name {
    struct mr_slice group, field;
    enum mr_field_type type;
};

mr_code mr_patterns_open(struct mr_patterns *p, int64_t match_limit, const struct mr_value *types,
                         const struct mr_value *time, struct mr_err *err);
/* Compiles one more. `named`: fields of groups that do not bear their field's name (grok), else NULL.
 * MR_BADCONF: *at is the byte of `text` where PCRE2 stopped. */
mr_code mr_patterns_add(struct mr_patterns *p, struct mr_slice text, bool utf, bool named_only,
                        const struct mr_group_name *named, uint32_t named_count, size_t *at,
                        struct mr_err *err);
/* Puts "pattern N" in front when it is one of several; points err to byte `at` of the option `pattern`. */
void mr_patterns_blame(struct mr_err *err, uint32_t index, uint32_t count, size_t at);
/* When all have been added: checks `types` and `time` against the fields there are. */
mr_code mr_patterns_ready(struct mr_patterns *p, struct mr_err *err);
void mr_patterns_decode(struct mr_patterns *p, struct mr_batch *b, int32_t slot, struct mr_slice into,
                        mr_ns now);
void mr_patterns_close(struct mr_patterns *p);

#endif
