/* format_csv.c - one line of separated values, RFC 4180 quoting.
 *
 * Lines come one by one, so a quoted value that runs over a line's end cannot be put together here: it is
 * rejected where a text ends before the quote does. A text that holds the newline itself is fine.
 *
 * Cost: 131 ns for 11 values in 246 bytes, 9 of them quoted (2026-11, tests/bench/format_bench.c).
 */
#include "data/format_fields.h"

#include "base/mem.h"
#include "base/text.h"

struct csv {
    struct mr_strings columns;
    struct mr_slice delimiter;
    bool strict, trim;
    struct mr_value types_option, time_option;
    struct mr_field_types types;
    struct mr_time_field when;
    struct mr_pairs pairs;
    char split;
    char (*numbered)[8]; /* "c1" to "c1024", for values beyond the named columns */
};

static const struct mr_option options[] = {
    {.name = "columns",
     .type = MR_OPT_STRINGS,
     .at = offsetof(struct csv, columns),
     .main = true,
     .help = "names of the values, in order; an empty name leaves a value out; without names they are c1, "
             "c2, ...",
     .example = "[ id, name, price ]"},
    {.name = "delimiter",
     .type = MR_OPT_STRING,
     .at = offsetof(struct csv, delimiter),
     .value = "\",\"",
     .help = "one byte between values, or `tab`",
     .example = "tab"},
    {.name = "strict",
     .type = MR_OPT_BOOL,
     .at = offsetof(struct csv, strict),
     .value = "true",
     .help =
         "reject a line that has not as many values as there are columns; else values that lack are left out "
         "and others are named by their number"},
    {.name = "trim",
     .type = MR_OPT_BOOL,
     .at = offsetof(struct csv, trim),
     .value = "false",
     .help = "take blanks off both ends of values that are not quoted"},
    MR_FORMAT_TYPES_OPTION(struct csv),
    MR_FORMAT_TIME_OPTION(struct csv),
    {0},
};

/* A name in `types` or `time` that no column has is a slip of the pen. */
static mr_code check_column(const struct csv *c, struct mr_slice name, const char *option, struct mr_err *err)
{
    enum { NEAR_MAX = 64 };
    char text[NEAR_MAX][64];
    const char *known[NEAR_MAX];
    size_t n = 0;
    for (uint32_t i = 0; i < c->columns.count; i++) {
        if (mr_slice_eq(c->columns.v[i], name))
            return MR_OK;
        if (n < NEAR_MAX && c->columns.v[i].len < sizeof text[0]) {
            (void)snprintf(text[n], sizeof text[n], "%.*s", MR_SLICE_ARG(c->columns.v[i]));
            known[n] = text[n];
            n++;
        }
    }
    const char *near = mr_nearest(name, known, n);
    mr_code rc = mr_fail(err, MR_BADCONF, "no column is named '%.*s'%s%s%s", MR_SLICE_ARG(name),
                         near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    if (err)
        err->option = option;
    return rc;
}

static mr_code check_columns(const struct csv *c, struct mr_err *err)
{
    mr_code rc = MR_OK;
    if (!c->columns.count || !c->strict)
        return rc;
    for (uint32_t i = 0; !rc && i < c->types.count; i++)
        rc = check_column(c, c->types.v[i].name, "types", err);
    if (!rc && c->when.field.len)
        rc = check_column(c, c->when.field, "time", err);
    return rc;
}

static mr_code csv_open(void *self, struct mr_err *err)
{
    struct csv *c = self;
    mr_code rc;
    struct mr_slice d = c->delimiter;
    if (d.len == 0)
        c->split = ',';
    else if (d.len == 1 && d.p[0] != '"' && d.p[0] != '\n' && d.p[0] != '\r')
        c->split = d.p[0];
    else if (mr_slice_eq(d, MR_SLICE("tab")) || mr_slice_eq(d, MR_SLICE("\\t")))
        c->split = '\t';
    else {
        rc = mr_fail(err, MR_BADCONF, "'%.*s' is no delimiter; use one byte other than a quote, or tab",
                     MR_SLICE_ARG(d));
        if (err)
            err->option = "delimiter";
        return rc;
    }
    if (c->columns.count > MR_FORMAT_FIELDS_MAX) {
        rc = mr_fail(err, MR_LIMIT, "more than %d columns", MR_FORMAT_FIELDS_MAX);
        if (err)
            err->option = "columns";
        return rc;
    }
    if ((rc = mr_field_types_open(&c->types, &c->types_option, err)) ||
        (rc = mr_time_field_open(&c->when, &c->time_option, err)) || (rc = check_columns(c, err)) ||
        (rc = mr_pairs_open(&c->pairs, err)))
        return rc;
    c->numbered = mr_alloc(MR_FORMAT_FIELDS_MAX * sizeof *c->numbered);
    if (!c->numbered)
        return mr_fail(err, MR_MEMORY, "no memory for a decoder");
    for (int i = 0; i < MR_FORMAT_FIELDS_MAX; i++)
        (void)snprintf(c->numbered[i], sizeof c->numbered[i], "c%d", (i + 1) % 10000);
    return MR_OK;
}

static void csv_close(void *self)
{
    struct csv *c = self;
    mr_field_types_close(&c->types);
    mr_time_field_close(&c->when);
    mr_pairs_close(&c->pairs);
    mr_free(c->numbered);
    c->numbered = NULL;
}

/* A quoted value; *p is behind its first quote and comes to be behind its last. false: rejected. */
static bool quoted(struct mr_batch *b, uint32_t row, struct mr_slice text, const char **p,
                   struct mr_value *out)
{
    const char *from = *p, *end = text.p + text.len, *q = from;
    size_t doubled = 0;
    for (;;) {
        q = q < end ? memchr(q, '"', (size_t)(end - q)) : NULL;
        if (!q) {
            mr_batch_reject(b, row, "byte %zu: the quoted value does not end in this text",
                            (size_t)(from - text.p) - 1);
            return false;
        }
        if (q + 1 == end || q[1] != '"')
            break;
        doubled++;
        q += 2;
    }
    *p = q + 1;
    size_t len = (size_t)(q - from);
    if (!doubled) {
        *out = mr_text_value_of(from, len);
        return true;
    }
    char *copy = (char *)mr_arena_take(b->arena, len - doubled), *o = copy;
    if (!copy) {
        mr_batch_reject(b, row, "no room in the batch: limit 'batch_bytes'");
        return false;
    }
    for (const char *s = from; s < q;) {
        const char *next = memchr(s, '"', (size_t)(q - s));
        size_t run = next ? (size_t)(next - s) + 1 : (size_t)(q - s); /* with the first quote of two */
        memcpy(o, s, run);
        o += run;
        s += run + (next ? 1 : 0);
    }
    *out = mr_text_value(copy, len - doubled, false);
    return true;
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct mr_slice trimmed(const char *p, const char *end)
{
    while (p < end && is_blank(*p))
        p++;
    while (end > p && is_blank(end[-1]))
        end--;
    return (struct mr_slice){p, (size_t)(end - p)};
}

static bool split(struct csv *c, struct mr_batch *b, uint32_t row, struct mr_slice text)
{
    const char *p = text.p, *end = text.p + text.len;
    uint32_t n = 0; /* values seen; pairs.count leaves out those without a name */
    c->pairs.count = 0;
    for (;;) {
        struct mr_value v;
        const char *at = p;
        while (c->trim && at < end && is_blank(*at) && *at != c->split)
            at++;
        if (at < end && *at == '"') {
            p = at + 1;
            if (!quoted(b, row, text, &p, &v))
                return false;
            while (c->trim && p < end && is_blank(*p) && *p != c->split)
                p++;
            if (p < end && *p != c->split) {
                mr_batch_reject(b, row, "byte %zu: expected the delimiter after a quoted value",
                                (size_t)(p - text.p));
                return false;
            }
        } else {
            const char *q = p < end ? memchr(p, c->split, (size_t)(end - p)) : NULL;
            q = q ? q : end;
            struct mr_slice s = c->trim ? trimmed(p, q) : (struct mr_slice){p, (size_t)(q - p)};
            v = mr_text_value_of(s.p, s.len);
            p = q;
        }
        if (n == MR_FORMAT_FIELDS_MAX) {
            mr_batch_reject(b, row, "more than %d values in one text", MR_FORMAT_FIELDS_MAX);
            return false;
        }
        struct mr_slice name = n < c->columns.count ? c->columns.v[n] : mr_slice_of(c->numbered[n]);
        if (name.len)
            c->pairs.pair[c->pairs.count++] = (struct mr_pair){name, v};
        n++;
        if (p == end)
            break;
        p++;
    }
    if (c->strict && c->columns.count && n != c->columns.count) {
        mr_batch_reject(b, row, "%u values, but %u columns", n, c->columns.count);
        return false;
    }
    return true;
}

static void csv_decode(void *self, struct mr_batch *b, int32_t slot, struct mr_slice into, mr_ns now)
{
    struct csv *c = self;
    struct mr_fields f; /* for its checks */
    if (!mr_fields_begin(&f, b, slot, into, NULL, 0, 0))
        return;
    mr_pairs_begin(&c->pairs);
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t row = b->sel[k];
        struct mr_slice text;
        mr_ns time = MR_TIME_NONE;
        if (!mr_text_take(b, f.text, row, &text))
            continue;
        if (!text.len) {
            mr_batch_reject(b, row, "the text is empty");
            continue;
        }
        if (split(c, b, row, text) && mr_pairs_convert(&c->pairs, b, row, &c->types, &c->when, now, &time))
            mr_pairs_put(&c->pairs, b, slot, into, row, time);
    }
}

const struct mr_format mr_format_csv = {
    .name = "csv",
    .summary = "Values with a delimiter between them; quoted as in RFC 4180.",
    .doc =
        "Each value becomes a field named by `columns`, or `c1`, `c2`, ... where there are no names. Values "
        "are strings (see `types`). A value that begins with `\"` ends at the next `\"` that is not doubled; "
        "within it a doubled quote stands for one, and delimiters and newlines are text. A quote elsewhere "
        "is "
        "a byte like any other. Tab-separated values: `delimiter: tab`.\n"
        "\n"
        "A line is one event: the first line of a file, when it names the columns, is an event too; drop it "
        "with a condition.\n"
        "\n"
        "Rejected: an empty text, a quoted value that does not end in the text or is not followed by a "
        "delimiter, a number of values that differs from the columns (unless `strict: false`), more than "
        "1024 "
        "values, a value that does not fit its type or the time format.\n"
        "\n"
        "```\n"
        "csv: { columns: [id, name, price], types: { price: float } }\n"
        "in   7,\"Smith, \"\"Jo\"\"\",2.5\n"
        "out  {\"id\":\"7\",\"name\":\"Smith, \\\"Jo\\\"\",\"price\":2.5}\n"
        "```\n",
    .options = options,
    .self_size = sizeof(struct csv),
    .open = csv_open,
    .close = csv_close,
    .decode = csv_decode,
};
