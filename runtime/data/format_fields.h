/* format_fields.h - what the decoders share: taking a row's text, giving it fields, types, event time.
 *
 * Words. *Fixed* formats know their field names at open and find their columns once per batch; in *pairs*
 *        formats each line brings its own names, and the columns of the line before are the guess.
 * Laws:
 *   F1  a row is written whole or not at all: values are gathered first, then put (but for names that are
 *       paths: one that leads through something that is not an object is found when others are written)
 *   F2  MR_HINT_PLAIN is set only on text that JSON can carry as it stands
 *   F3  nothing beyond the last byte of a text is read
 */
#ifndef MR_DATA_FORMAT_FIELDS_H
#define MR_DATA_FORMAT_FIELDS_H

#include "data/batch.h"
#include "data/format.h"

enum { MR_FORMAT_FIELDS_MAX = 1024 }; /* fields of one line; as many as a batch has columns */

extern const struct mr_format mr_format_json, mr_format_combined, mr_format_common, mr_format_regex,
    mr_format_grok, mr_format_logfmt, mr_format_csv, mr_format_syslog, mr_format_raw;

/* ---------------------------------------------------------------- text */

bool mr_plain_long(const char *p, size_t len); /* len >= 16 */

static inline uint64_t mr_odd_bytes(uint64_t x) /* not 0: some byte of eight is not plain */
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    uint64_t quote = x ^ (ones * '"'), slash = x ^ (ones * '\\');
    uint64_t low = (x - ones * 0x20) & ~x;
    return (low | x | ((quote - ones) & ~quote) | ((slash - ones) & ~slash)) & high;
}

/* Nothing that JSON must escape, and all of it ASCII: 8 or 16 bytes at a time. */
static inline bool mr_plain(const char *p, size_t len)
{
    uint64_t a = 0x2020202020202020u, b;
    if (len >= 16)
        return mr_plain_long(p, len);
    if (len >= 8) {
        memcpy(&a, p, 8);
        memcpy(&b, p + len - 8, 8);
        return (mr_odd_bytes(a) | mr_odd_bytes(b)) == 0;
    }
    if (len >= 4) {
        uint32_t head, tail;
        memcpy(&head, p, 4);
        memcpy(&tail, p + len - 4, 4);
        return mr_odd_bytes((uint64_t)head << 32 | tail) == 0;
    }
    for (size_t i = 0; i < len; i++)
        a = a << 8 | (unsigned char)p[i];
    return mr_odd_bytes(a) == 0;
}

/* Made in one register and stored whole: a value stored in pieces and then copied whole makes the processor
 * wait for the pieces to land (logfmt: 200 ns a line with pieces, 163 without; combined does not care). */
static inline struct mr_value mr_text_value(const char *p, size_t len, bool plain)
{
#if defined(__x86_64__)
    typedef uint64_t mr_halves __attribute__((vector_size(16)));
    const mr_halves halves = {MR_STRING | (plain ? (uint64_t)MR_HINT_PLAIN << 8 : 0) | (uint64_t)len << 32,
                              (uint64_t)(uintptr_t)p};
    struct mr_value v;
    memcpy(&v, &halves, sizeof v);
    return v;
#else
    return (struct mr_value){
        .tag = MR_STRING, .hint = plain ? MR_HINT_PLAIN : 0, .len = (uint32_t)len, .u.s = p};
#endif
}
static inline struct mr_value mr_text_value_of(const char *p, size_t len)
{
    return mr_text_value(p, len, mr_plain(p, len));
}

bool mr_text_slow(struct mr_batch *b, struct mr_value *v, uint32_t row, struct mr_slice *text);

/* The text of one row, without a carriage return at its end. false: the row has been rejected. */
static inline bool mr_text_take(struct mr_batch *b, struct mr_value *column, uint32_t row,
                                struct mr_slice *text)
{
    struct mr_value *v = &column[row];
    if (v->tag == MR_STRING)
        *text = mr_value_text(v);
    else if (!mr_text_slow(b, v, row, text))
        return false;
    if (text->len == 0)
        text->p = ""; /* no arithmetic on NULL further on */
    else if (text->p[text->len - 1] == '\r')
        text->len--;
    return true;
}

/* ---------------------------------------------------------------- fixed */

struct mr_fields {
    struct mr_batch *b;
    struct mr_slice into;
    const struct mr_slice *names; /* [borrow] as long as the decode call */
    uint32_t count, usual; /* the first `usual` names have their columns from the start, the others when
                              a value comes */
    bool slow;             /* under `into`, or some names are paths */
    bool own;              /* one of the usual names is that of the text itself */
    struct mr_value *text; /* the column that is decoded */
    struct mr_value **col; /* [usual], [arena]; NULL for a path */
};

/* false: every chosen row has been rejected (no such text field, or a limit). */
bool mr_fields_begin(struct mr_fields *f, struct mr_batch *b, int32_t slot, struct mr_slice into,
                     const struct mr_slice *names, uint32_t count, uint32_t usual);
void mr_fields_put_slow(struct mr_fields *f, uint32_t row, const struct mr_value *v);
/* Before a value takes the text's own place: whoever compares must see that it is another (format.h). */
bool mr_text_replace(struct mr_batch *b, uint32_t row, const struct mr_value *text, struct mr_value *v);
bool mr_fields_put_rare(struct mr_fields *f, uint32_t row, const struct mr_value *v);

/* Gives the row its fields, v[i] to names[i]; MR_MISSING leaves what is there. `usual` as in begin: a
 * constant lets the compiler unroll. */
static inline void mr_fields_put(struct mr_fields *f, uint32_t row, struct mr_value *v, uint32_t usual)
{
    if (f->slow) {
        mr_fields_put_slow(f, row, v);
        return;
    }
    if (f->own) {
        for (uint32_t i = 0; i < usual; i++) {
            if (f->col[i] == f->text && !mr_text_replace(f->b, row, &f->text[row], &v[i]))
                return;
        }
    }
    for (uint32_t i = usual; i < f->count; i++) {
        if (v[i].tag != MR_MISSING) {
            if (!mr_fields_put_rare(f, row, v))
                return;
            break;
        }
    }
    f->text[row].tag = MR_MISSING;
    for (uint32_t i = 0; i < usual; i++) {
        if (v[i].tag != MR_MISSING)
            f->col[i][row] = v[i];
    }
    mr_batch_touch(f->b, row);
}

/* ---------------------------------------------------------------- pairs */

struct mr_pair {
    struct mr_slice name;
    struct mr_value v;
};
struct mr_pairs {
    struct mr_pair *pair; /* [MR_FORMAT_FIELDS_MAX] of the line in hand */
    int32_t *guess;       /* [MR_FORMAT_FIELDS_MAX] slots of the line before */
    uint32_t count, guesses;
};
mr_code mr_pairs_open(struct mr_pairs *p, struct mr_err *err);
void mr_pairs_close(struct mr_pairs *p);
/* ---------------------------------------------------------------- options `types` and `time` */

enum mr_field_type { MR_FIELD_STRING, MR_FIELD_INT, MR_FIELD_FLOAT, MR_FIELD_BOOL };

/* The option `types`: a map of field -> int, float, bool, string. */
struct mr_field_types {
    uint32_t count;
    struct {
        struct mr_slice name; /* [borrow] from the options */
        enum mr_field_type type;
    } * v;
};
mr_code mr_field_type_parse(struct mr_slice word, enum mr_field_type *out, struct mr_err *err);
const char *mr_field_type_name(enum mr_field_type type);
mr_code mr_field_types_open(struct mr_field_types *t, const struct mr_value *option, struct mr_err *err);
void mr_field_types_close(struct mr_field_types *t);
enum mr_field_type mr_field_types_of(const struct mr_field_types *t, struct mr_slice name);
/* Text to its type, in place. Empty text and "-" become MR_MISSING: 0 would be a lie. false: not of it. */
bool mr_field_convert(enum mr_field_type type, struct mr_value *v);

/* The option `time`: { field: ts, format: "%d/%b/%Y:%H:%M:%S %z", offset: "+02:00" }. */
struct mr_time_field {
    struct mr_slice field; /* [borrow] from the options; len 0: no event time */
    char *format;          /* for mr_time_parse; NULL for the kinds that have a name */
    enum { MR_TIME_FORMAT, MR_TIME_RFC3339, MR_TIME_UNIX, MR_TIME_UNIX_MS } kind;
    bool has_year;
    mr_ns offset; /* taken off times that do not say theirs */
    char seen[64];
    uint32_t seen_len;       /* 0: nothing seen */
    mr_ns seen_ns, seen_now; /* without a year the answer hangs on now too */
};
mr_code mr_time_field_open(struct mr_time_field *t, const struct mr_value *option, struct mr_err *err);
void mr_time_field_close(struct mr_time_field *t);
bool mr_time_field_read(struct mr_time_field *t, struct mr_slice text, mr_ns now, mr_ns *out);
/* "+02:00", "-0730", "Z" in nanoseconds. */
bool mr_offset_parse(struct mr_slice text, mr_ns *out);

/* ---------------------------------------------------------------- pairs with both of these */

void mr_pairs_begin(struct mr_pairs *p); /* once per batch */
/* Values to their types, the event time into *time. false: the row has been rejected. */
bool mr_pairs_convert(struct mr_pairs *p, struct mr_batch *b, uint32_t row,
                      const struct mr_field_types *types, struct mr_time_field *when, mr_ns now, mr_ns *time);
/* Of a name given twice the last wins. Rejects the row at a limit. time: MR_TIME_NONE leaves it as it is. */
void mr_pairs_put(struct mr_pairs *p, struct mr_batch *b, int32_t slot, struct mr_slice into, uint32_t row,
                  mr_ns time);

#define MR_FORMAT_TYPES_OPTION(self)                                                                         \
    {                                                                                                        \
        .name = "types", .type = MR_OPT_VALUE, .at = offsetof(self, types_option),                           \
        .help = "fields to convert: a map of field to `int`, `float`, `bool` or `string`; text that is "     \
                "empty or `-` leaves the field out, other text that does not fit rejects the event",         \
        .example = "{ status: int, seconds: float }"                                                         \
    }
#define MR_FORMAT_TIME_OPTION(self)                                                                          \
    {                                                                                                        \
        .name = "time", .type = MR_OPT_VALUE, .at = offsetof(self, time_option),                             \
        .help = "where the event time stands: `field`, `format` (strptime's conversions, or `rfc3339`, "     \
                "`unix`, `unix_ms`) and `offset`, used when the text has none (UTC without it); a format "   \
                "without a year takes the year that is nearest to now",                                      \
        .example = "{ field: ts, format: \"%d/%b/%Y:%H:%M:%S %z\" }"                                         \
    }

#endif
