/* format_logfmt.c - name=value name="quoted value" word
 *
 * Cost: 163 ns for 11 pairs in 317 bytes, 9 of them quoted (2026-11, tests/bench/format_bench.c).
 * Law: a name is any run of bytes but blanks, '=' and '"'; everything else follows from that.
 */
#include "data/format_fields.h"

struct logfmt {
    struct mr_value types_option, time_option;
    struct mr_field_types types;
    struct mr_time_field when;
    struct mr_pairs pairs;
};

static const struct mr_option options[] = {
    MR_FORMAT_TYPES_OPTION(struct logfmt),
    MR_FORMAT_TIME_OPTION(struct logfmt),
    {0},
};

static mr_code logfmt_open(void *self, struct mr_err *err)
{
    struct logfmt *l = self;
    mr_code rc;
    if ((rc = mr_field_types_open(&l->types, &l->types_option, err)) ||
        (rc = mr_time_field_open(&l->when, &l->time_option, err)))
        return rc;
    return mr_pairs_open(&l->pairs, err);
}

static void logfmt_close(void *self)
{
    struct logfmt *l = self;
    mr_field_types_close(&l->types);
    mr_time_field_close(&l->when);
    mr_pairs_close(&l->pairs);
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool hex_4(const char *p, const char *end, uint32_t *out)
{
    *out = 0;
    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i];
        uint32_t d = (unsigned)c - '0' < 10           ? c - (uint32_t)'0'
                     : (unsigned)(c | 0x20) - 'a' < 6 ? (uint32_t)(c | 0x20) - 'a' + 10
                                                      : 16;
        if (d == 16)
            return false;
        *out = *out << 4 | d;
    }
    return true;
}

static char *put_utf8(char *o, uint32_t c)
{
    if (c < 0x80) {
        *o++ = (char)c;
    } else if (c < 0x800) {
        *o++ = (char)(0xc0 | c >> 6);
        *o++ = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        *o++ = (char)(0xe0 | c >> 12);
        *o++ = (char)(0x80 | (c >> 6 & 0x3f));
        *o++ = (char)(0x80 | (c & 0x3f));
    } else {
        *o++ = (char)(0xf0 | c >> 18);
        *o++ = (char)(0x80 | (c >> 12 & 0x3f));
        *o++ = (char)(0x80 | (c >> 6 & 0x3f));
        *o++ = (char)(0x80 | (c & 0x3f));
    }
    return o;
}

/* \uXXXX behind `p`, pairs of surrogates together; a lone surrogate becomes U+FFFD. NULL: not four digits. */
static const char *unicode(const char *p, const char *end, char **o)
{
    uint32_t c, low;
    if (!hex_4(p, end, &c))
        return NULL;
    p += 4;
    if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' && hex_4(p + 2, end, &low) &&
        low >= 0xdc00 && low < 0xe000) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        p += 6;
    } else if (c >= 0xd800 && c < 0xe000) {
        c = 0xfffd;
    }
    *o = put_utf8(*o, c);
    return p;
}

/* Escapes only ever shrink. An escape that is not known stays as it is. */
static bool unescape(struct mr_arena *a, struct mr_slice s, struct mr_value *out)
{
    char *start = (char *)mr_arena_take(a, s.len), *o = start;
    if (!start)
        return false;
    const char *p = s.p, *end = s.p + s.len;
    while (p < end) {
        if (*p != '\\' || p + 1 == end) {
            *o++ = *p++;
            continue;
        }
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        const char *known = p[1] ? strchr(from, p[1]) : NULL;
        const char *next = p[1] == 'u' ? unicode(p + 2, end, &o) : NULL;
        if (next) {
            p = next;
        } else if (known) {
            *o++ = to[known - from];
            p += 2;
        } else {
            *o++ = *p++;
            *o++ = *p++;
        }
    }
    *out = mr_text_value_of(start, (size_t)(o - start));
    return true;
}

/* The quote that ends the value begun before `p`; NULL: none. */
static const char *end_quote(const char *p, const char *end, bool *escaped)
{
    const char *from = p;
    *escaped = false;
    for (;;) {
        const char *q = p < end ? memchr(p, '"', (size_t)(end - p)) : NULL;
        if (!q)
            return NULL;
        const char *s = q;
        while (s > from && s[-1] == '\\')
            s--;
        if ((q - s) % 2 == 0) {
            *escaped = *escaped || memchr(from, '\\', (size_t)(q - from));
            return q;
        }
        *escaped = true;
        p = q + 1;
    }
}

/* The pairs of one line. false: rejected. */
static bool split(struct logfmt *l, struct mr_batch *b, uint32_t row, struct mr_slice text)
{
    const char *p = text.p, *end = text.p + text.len;
    bool equals = false;
    l->pairs.count = 0;
    for (;;) {
        while (p < end && is_blank(*p))
            p++;
        if (p == end)
            break;
        struct mr_pair pair = {.name = {p, 0}, .v = mr_value_bool(true)};
        while (p < end && *p != '=' && *p != '"' && !is_blank(*p))
            p++;
        pair.name.len = (size_t)(p - pair.name.p);
        if (pair.name.len == 0 || (p < end && *p == '"')) {
            mr_batch_reject(b, row, "byte %zu: expected a name, not '%c'", (size_t)(p - text.p), *p);
            return false;
        }
        if (p < end && *p == '=') {
            equals = true;
            p++;
            if (p < end && *p == '"') {
                bool escaped;
                const char *q = end_quote(p + 1, end, &escaped);
                if (!q) {
                    mr_batch_reject(b, row, "byte %zu: the quoted value of '%.*s' does not end",
                                    (size_t)(p - text.p), (int)(pair.name.len < 64 ? pair.name.len : 64),
                                    pair.name.p);
                    return false;
                }
                struct mr_slice s = {p + 1, (size_t)(q - p) - 1};
                if (!escaped) {
                    pair.v = mr_text_value_of(s.p, s.len);
                } else if (!unescape(b->arena, s, &pair.v)) {
                    mr_batch_reject(b, row, "no room in the batch: limit 'batch_bytes'");
                    return false;
                }
                p = q + 1;
                if (p < end && !is_blank(*p)) {
                    mr_batch_reject(b, row, "byte %zu: expected a blank after a quoted value",
                                    (size_t)(p - text.p));
                    return false;
                }
            } else {
                const char *from = p;
                while (p < end && !is_blank(*p))
                    p++;
                pair.v = mr_text_value_of(from, (size_t)(p - from));
            }
        }
        if (l->pairs.count == MR_FORMAT_FIELDS_MAX) {
            mr_batch_reject(b, row, "more than %d pairs in one text", MR_FORMAT_FIELDS_MAX);
            return false;
        }
        l->pairs.pair[l->pairs.count++] = pair;
    }
    if (!equals) {
        mr_batch_reject(b, row, "no name=value in the text");
        return false;
    }
    return true;
}

static void logfmt_decode(void *self, struct mr_batch *b, int32_t slot, struct mr_slice into, mr_ns now)
{
    struct logfmt *l = self;
    struct mr_fields f; /* for its checks */
    if (!mr_fields_begin(&f, b, slot, into, NULL, 0, 0))
        return;
    mr_pairs_begin(&l->pairs);
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t row = b->sel[k];
        struct mr_slice text;
        mr_ns time = MR_TIME_NONE;
        if (mr_text_take(b, f.text, row, &text) && split(l, b, row, text) &&
            mr_pairs_convert(&l->pairs, b, row, &l->types, &l->when, now, &time)) {
            mr_pairs_put(&l->pairs, b, slot, into, row, time);
        }
    }
}

const struct mr_format mr_format_logfmt = {
    .name = "logfmt",
    .summary = "name=value pairs, as many services of Go and Heroku write them.",
    .doc =
        "Each `name=value` becomes a field; a word without `=` becomes `true`. A value is a string (see "
        "`types`) and ends at a blank, or stands in double quotes with the escapes of JSON; an unknown "
        "escape "
        "stays as it is, a lone surrogate becomes U+FFFD. `name=` is an empty string. Of a name given twice "
        "the last wins. Blanks are space, tab, newline and carriage return.\n"
        "\n"
        "Rejected: a text without any `=`, a quote that does not end or is not followed by a blank, `=` "
        "without a name, a quote in a name, more than 1024 pairs, a value that does not fit its type or the "
        "time format.\n"
        "\n"
        "```\n"
        "in   level=info msg=\"took \\\"long\\\"\" ms=12 retried\n"
        "out  {\"level\":\"info\",\"msg\":\"took \\\"long\\\"\",\"ms\":\"12\",\"retried\":true}\n"
        "```\n",
    .options = options,
    .self_size = sizeof(struct logfmt),
    .open = logfmt_open,
    .close = logfmt_close,
    .decode = logfmt_decode,
};
