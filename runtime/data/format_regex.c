/* format_regex.c - named groups of PCRE2 patterns become fields. The work is in format_pcre.c. */
#include "data/format_pcre.h"

struct regex {
    struct mr_strings pattern;
    struct mr_value types_option, time_option;
    int64_t match_limit;
    bool utf;
    struct mr_patterns patterns;
};

static const struct mr_option options[] = {
    {.name = "pattern",
     .type = MR_OPT_STRINGS,
     .at = offsetof(struct regex, pattern),
     .required = true,
     .main = true,
     .help = "a PCRE2 pattern with named groups `(?<name>...)`, or a list of which the first that matches "
             "counts",
     .example = "'^(?<level>\\w+) (?<text>.*)$'"},
    MR_FORMAT_TYPES_OPTION(struct regex),
    MR_FORMAT_TIME_OPTION(struct regex),
    MR_PATTERN_OPTIONS(struct regex),
    {0},
};

static mr_code regex_open(void *self, struct mr_err *err)
{
    struct regex *r = self;
    mr_code rc = mr_patterns_open(&r->patterns, r->match_limit ? r->match_limit : 1000000, &r->types_option,
                                  &r->time_option, err);
    if (!rc && r->pattern.count == 0) {
        rc = mr_fail(err, MR_BADCONF, "'pattern' is empty; write at least one pattern");
        if (err)
            err->option = "pattern";
    }
    for (uint32_t i = 0; !rc && i < r->pattern.count; i++) {
        size_t at = 0;
        rc = mr_patterns_add(&r->patterns, r->pattern.v[i], r->utf, false, NULL, 0, &at, err);
        if (rc)
            mr_patterns_blame(err, i, r->pattern.count, at);
    }
    if (!rc && r->patterns.names == 0) {
        rc = mr_fail(err, MR_BADCONF,
                     "the pattern has no named group, so no field would come of it; write "
                     "(?<name>...)");
        if (err)
            err->option = "pattern";
    }
    return rc ? rc : mr_patterns_ready(&r->patterns, err);
}

static void regex_close(void *self)
{
    mr_patterns_close(&((struct regex *)self)->patterns);
}

static void regex_decode(void *self, struct mr_batch *b, int32_t slot, struct mr_slice into, mr_ns now)
{
    mr_patterns_decode(&((struct regex *)self)->patterns, b, slot, into, now);
}

const struct mr_format mr_format_regex = {
    .name = "regex",
    .summary = "PCRE2 patterns: each named group is a field.",
    .doc =
        "The patterns are tried in order and the first that matches counts. They match anywhere in the text "
        "unless anchored with `^` and `$`. Each named group that took part becomes a string field, in the "
        "order of the pattern; a group that took no part leaves its field out. Unnamed groups are for "
        "grouping and references only. Patterns are compiled to machine code.\n"
        "\n"
        "Text is matched as bytes; with `utf: true` as characters. A carriage return at the end of the text "
        "is not part of it.\n"
        "\n"
        "Rejected: text that no pattern matches, a field that does not fit its type or the time format, and "
        "text on which a pattern reaches `match_limit`, 1 MiB of stack or 32 MiB of heap. At most 64 "
        "patterns and 512 different names.\n"
        "\n"
        "```\n"
        "regex: { pattern: '^(?<verb>\\w+) took (?<ms>\\d+)', types: { ms: int } }\n"
        "in   GET took 12 ms\n"
        "out  {\"verb\":\"GET\",\"ms\":12}\n"
        "```\n",
    .options = options,
    .self_size = sizeof(struct regex),
    .open = regex_open,
    .close = regex_close,
    .decode = regex_decode,
};
