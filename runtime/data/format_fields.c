/* format_fields.c - taking text from rows and giving them fields; conversion; event time. See the header. */
#include "data/format_fields.h"

#include "base/mem.h"
#include "base/text.h"
#include "base/time.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/* ---------------------------------------------------------------- text */

#if defined(__SSE2__)
static inline __m128i odd16(const char *p)
{
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i odd = _mm_cmplt_epi8(x, _mm_set1_epi8(0x20)); /* signed: control bytes and those from 0x80 up */
    odd = _mm_or_si128(odd, _mm_cmpeq_epi8(x, _mm_set1_epi8('"')));
    return _mm_or_si128(odd, _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
}
#endif

bool mr_plain_long(const char *p, size_t len)
{
#if defined(__SSE2__)
    __m128i odd = odd16(p + len - 16);
    for (size_t i = 0; i + 16 <= len; i += 16)
        odd = _mm_or_si128(odd, odd16(p + i));
    return _mm_movemask_epi8(odd) == 0;
#else
    uint64_t x, odd = 0;
    for (size_t i = 0; i + 8 <= len; i += 8) {
        memcpy(&x, p + i, 8);
        odd |= mr_odd_bytes(x);
    }
    memcpy(&x, p + len - 8, 8);
    return (odd | mr_odd_bytes(x)) == 0;
#endif
}

static const char *tag_name(enum mr_tag tag)
{
    static const char *const names[] = {"missing",  "null",  "a bool", "an int",    "a float",  "a time",
                                        "a string", "bytes", "a list", "an object", "undecoded"};
    return (size_t)tag < sizeof names / sizeof *names ? names[tag] : "unknown";
}

bool mr_text_slow(struct mr_batch *b, struct mr_value *v, uint32_t row, struct mr_slice *text)
{
    struct mr_value out;
    if (v->tag == MR_BYTES) {
        *text = mr_value_text(v);
        return true;
    }
    if (v->tag == MR_JSON && v->hint == MR_STRING) {
        if (!mr_value_resolve(b->arena, v, &out) || out.tag != MR_STRING) {
            mr_batch_reject(b, row, "no room in the batch to decode the text: limit 'batch_bytes'");
            return false;
        }
        *text = mr_value_text(&out);
        return true;
    }
    mr_batch_reject(b, row, "the field to decode is %s, not text",
                    tag_name((enum mr_tag)(v->tag == MR_JSON ? v->hint : v->tag)));
    return false;
}

/* ---------------------------------------------------------------- fixed */

static void reject_all(struct mr_batch *b, const char *why)
{
    for (uint32_t k = 0; k < b->count; k++)
        mr_batch_reject(b, b->sel[k], "%s", why);
}

static void reject_field(struct mr_batch *b, uint32_t row, struct mr_slice name, const char *what,
                         const char *type, struct mr_slice text)
{
    mr_batch_reject(b, row, "field '%.*s' %s%s: '%.*s'", (int)(name.len < 64 ? name.len : 64), name.p, what,
                    type, (int)(text.len < 64 ? text.len : 64), text.p ? text.p : "");
}

static const char no_room[] = "no room in the batch: limit 'batch_bytes'";
static const char no_column[] = "no room in the batch for another field: at most 1024 names, limit "
                                "'batch_bytes'";

static bool is_path(struct mr_slice name)
{
    return memchr(name.p, '.', name.len) != NULL;
}

bool mr_fields_begin(struct mr_fields *f, struct mr_batch *b, int32_t slot, struct mr_slice into,
                     const struct mr_slice *names, uint32_t count, uint32_t usual)
{
    *f = (struct mr_fields){
        .b = b, .into = into, .names = names, .count = count, .usual = usual, .slow = into.len != 0};
    if (slot < 0 || (uint32_t)slot >= b->columns) {
        reject_all(b, "the field to decode is missing");
        return false;
    }
    f->col = (struct mr_value **)mr_arena_take(b->arena, (usual + 1) * sizeof *f->col);
    if (!f->col) {
        reject_all(b, no_room);
        return false;
    }
    for (uint32_t i = 0; i < count; i++)
        f->slow = f->slow || is_path(names[i]);
    for (uint32_t i = 0; i < usual && !f->slow; i++) {
        int32_t at = mr_batch_slot(b, names[i].p, names[i].len, true);
        if (at < 0) {
            reject_all(b, no_column);
            return false;
        }
        f->own = f->own || at == slot;
        f->col[i] = b->column[at].v; /* values stay where they are; only the array of columns moves */
    }
    f->text = b->column[slot].v;
    return true;
}

bool mr_text_replace(struct mr_batch *b, uint32_t row, const struct mr_value *text, struct mr_value *v)
{
    if (v->tag != MR_STRING || v->u.s != text->u.s || v->len != text->len)
        return true;
    struct mr_slice copy = mr_slice_copy(b->arena, mr_value_text(v));
    if (!copy.p) {
        *v = *text;
        mr_batch_reject(b, row, "%s", no_room);
        return false;
    }
    v->u.s = copy.p;
    return true;
}

static bool set_path(struct mr_batch *b, uint32_t row, struct mr_slice path, struct mr_value v)
{
    if (mr_batch_set(b, row, path.p, path.len, v))
        return true;
    mr_batch_reject(b, row,
                    "cannot set '%.*s': it leads through something that is not an object, or a limit was "
                    "reached",
                    MR_SLICE_ARG(path));
    return false;
}

bool mr_fields_put_rare(struct mr_fields *f, uint32_t row, const struct mr_value *v)
{
    struct mr_batch *b = f->b;
    for (int write = 0; write < 2; write++) { /* F1: all columns first */
        for (uint32_t i = f->usual; i < f->count; i++) {
            if (v[i].tag == MR_MISSING)
                continue;
            int32_t at = mr_batch_slot(b, f->names[i].p, f->names[i].len, true);
            if (at < 0) {
                mr_batch_reject(b, row, "%s", no_column);
                return false;
            }
            if (write)
                b->column[at].v[row] = v[i];
        }
    }
    return true;
}

/* One field below an object, or at a path. */
static bool set_below(struct mr_fields *f, uint32_t row, struct mr_slice name, struct mr_value v)
{
    char path[512];
    int len = snprintf(path, sizeof path, "%.*s%s%.*s", MR_SLICE_ARG(f->into), f->into.len ? "." : "",
                       MR_SLICE_ARG(name));
    if (len < 0 || (size_t)len >= sizeof path) {
        mr_batch_reject(f->b, row, "the path of field '%.*s' is too long: at most 511 bytes",
                        MR_SLICE_ARG(name));
        return false;
    }
    return set_path(f->b, row, (struct mr_slice){path, (size_t)len}, v);
}

/* The object at `into`, of all fields that are not paths. */
static bool put_members(struct mr_fields *f, uint32_t row, const struct mr_value *v)
{
    struct mr_arena *a = f->b->arena;
    struct mr_member *m = (struct mr_member *)mr_arena_take(a, (f->count + 1) * sizeof *m);
    uint32_t n = 0;
    for (uint32_t i = 0; m && i < f->count; i++) {
        if (v[i].tag == MR_MISSING || is_path(f->names[i]))
            continue;
        struct mr_slice name = mr_slice_copy(a, f->names[i]); /* the batch may outlive the decoder */
        if (!name.p)
            m = NULL;
        else
            m[n++] = (struct mr_member){name.p, (uint32_t)name.len, 0, v[i]};
    }
    if (!m) {
        mr_batch_reject(f->b, row, "%s", no_room);
        return false;
    }
    return set_path(f->b, row, f->into, (struct mr_value){.tag = MR_OBJECT, .len = n, .u.object = m});
}

void mr_fields_put_slow(struct mr_fields *f, uint32_t row, const struct mr_value *v)
{
    struct mr_value was = f->text[row];
    f->text[row].tag = MR_MISSING;
    bool good = !f->into.len || put_members(f, row, v);
    for (uint32_t i = 0; good && i < f->count; i++) {
        if (v[i].tag == MR_MISSING)
            continue;
        if (is_path(f->names[i])) {
            good = set_below(f, row, f->names[i], v[i]);
        } else if (!f->into.len) {
            int32_t at = mr_batch_slot(f->b, f->names[i].p, f->names[i].len, true);
            struct mr_value x = v[i];
            good = at >= 0;
            if (!good)
                mr_batch_reject(f->b, row, "%s", no_column);
            else if (f->b->column[at].v == f->text)
                good = mr_text_replace(f->b, row, &was, &x);
            if (good)
                f->b->column[at].v[row] = x;
        }
    }
    if (!good)
        f->text[row] = was;
    else
        mr_batch_touch(f->b, row);
}

/* ---------------------------------------------------------------- pairs */

mr_code mr_pairs_open(struct mr_pairs *p, struct mr_err *err)
{
    p->count = p->guesses = 0;
    p->pair = mr_alloc(MR_FORMAT_FIELDS_MAX * sizeof *p->pair);
    p->guess = mr_alloc(MR_FORMAT_FIELDS_MAX * sizeof *p->guess);
    if (!p->pair || !p->guess)
        return mr_fail(err, MR_MEMORY, "no memory for a decoder");
    return MR_OK;
}

void mr_pairs_close(struct mr_pairs *p)
{
    mr_free(p->pair);
    mr_free(p->guess);
    p->pair = NULL;
    p->guess = NULL;
}

void mr_pairs_begin(struct mr_pairs *p)
{
    p->guesses = 0; /* slots are of one batch */
}

static bool find_slots(struct mr_pairs *p, struct mr_batch *b, uint32_t row)
{
    for (uint32_t i = 0; i < p->count; i++) {
        struct mr_slice name = p->pair[i].name;
        if (i < p->guesses) {
            const struct mr_column *c = &b->column[p->guess[i]];
            if (c->name_len == name.len && !c->removed && memcmp(c->name, name.p, name.len) == 0)
                continue;
        }
        int32_t slot = mr_batch_slot(b, name.p, name.len, true);
        if (slot < 0) {
            mr_batch_reject(b, row, "no room in the batch for the field '%.*s': at most %d names",
                            (int)(name.len < 64 ? name.len : 64), name.p, MR_BATCH_COLUMNS_MAX);
            return false;
        }
        p->guess[i] = slot;
        if (i >= p->guesses)
            p->guesses = i + 1;
    }
    return true;
}

static bool put_object(struct mr_pairs *p, struct mr_batch *b, struct mr_value *text, struct mr_slice into,
                       uint32_t row)
{
    struct mr_value was = text[row];
    struct mr_member *m = (struct mr_member *)mr_arena_take(b->arena, (p->count + 1) * sizeof *m);
    uint32_t n = 0;
    for (uint32_t i = 0; m && i < p->count; i++) {
        struct mr_slice name = p->pair[i].name;
        uint32_t at = 0;
        while (at < n && !(m[at].name_len == name.len && memcmp(m[at].name, name.p, name.len) == 0))
            at++;
        if (at == n) { /* names point into the text, or into self: the batch needs its own */
            struct mr_slice own = mr_slice_copy(b->arena, name);
            if (!own.p) {
                m = NULL;
                break;
            }
            m[n++] = (struct mr_member){.name = own.p, .name_len = (uint32_t)own.len};
        }
        m[at].v = p->pair[i].v;
    }
    if (!m) {
        mr_batch_reject(b, row, "%s", no_room);
        return false;
    }
    text[row].tag = MR_MISSING;
    if (set_path(b, row, into, (struct mr_value){.tag = MR_OBJECT, .len = n, .u.object = m}))
        return true;
    text[row] = was;
    return false;
}

void mr_pairs_put(struct mr_pairs *p, struct mr_batch *b, int32_t slot, struct mr_slice into, uint32_t row,
                  mr_ns time)
{
    if (into.len) {
        if (!put_object(p, b, b->column[slot].v, into, row))
            return;
    } else {
        if (!find_slots(p, b, row))
            return;
        struct mr_value *text = &b->column[slot].v[row];
        for (uint32_t i = 0; i < p->count; i++) {
            if (p->guess[i] == slot && !mr_text_replace(b, row, text, &p->pair[i].v))
                return;
        }
        text->tag = MR_MISSING;
        for (uint32_t i = 0; i < p->count; i++) {
            if (p->pair[i].v.tag != MR_MISSING)
                b->column[p->guess[i]].v[row] = p->pair[i].v;
        }
    }
    if (time != MR_TIME_NONE)
        b->time[row] = time;
    mr_batch_touch(b, row);
}

bool mr_pairs_convert(struct mr_pairs *p, struct mr_batch *b, uint32_t row,
                      const struct mr_field_types *types, struct mr_time_field *when, mr_ns now, mr_ns *time)
{
    if (!types->count && !when->field.len)
        return true;
    for (uint32_t i = 0; i < p->count; i++) {
        struct mr_slice name = p->pair[i].name;
        struct mr_value *v = &p->pair[i].v;
        if (v->tag != MR_STRING) /* a word without a value is true, whatever was expected */
            continue;
        struct mr_slice s = mr_value_text(v);
        if (when->field.len && mr_slice_eq(name, when->field) && !mr_time_field_read(when, s, now, time)) {
            reject_field(b, row, name, "is not a time in the format of 'time'", "", s);
            return false;
        }
        enum mr_field_type type = types->count ? mr_field_types_of(types, name) : MR_FIELD_STRING;
        if (!mr_field_convert(type, v)) {
            reject_field(b, row, name, "is not of type ", mr_field_type_name(type), s);
            return false;
        }
    }
    return true;
}

/* ---------------------------------------------------------------- types */

static const char *const type_names[] = {"string", "int", "float", "bool"};

const char *mr_field_type_name(enum mr_field_type type)
{
    return type_names[type];
}

mr_code mr_field_type_parse(struct mr_slice word, enum mr_field_type *out, struct mr_err *err)
{
    for (size_t i = 0; i < sizeof type_names / sizeof *type_names; i++) {
        if (mr_slice_eq(word, mr_slice_of(type_names[i]))) {
            *out = (enum mr_field_type)i;
            return MR_OK;
        }
    }
    return mr_fail(err, MR_BADCONF, "unknown type '%.*s'; use int, float, bool or string",
                   MR_SLICE_ARG(word));
}

mr_code mr_field_types_open(struct mr_field_types *t, const struct mr_value *option, struct mr_err *err)
{
    t->count = 0;
    t->v = NULL;
    if (option->tag == MR_MISSING || option->tag == MR_NULL)
        return MR_OK;
    mr_code rc = MR_OK;
    if (option->tag != MR_OBJECT)
        rc = mr_fail(err, MR_BADCONF, "'types' is %s; write a map such as { status: int }",
                     tag_name((enum mr_tag)option->tag));
    else if (!(t->v = mr_alloc(((size_t)option->len + 1) * sizeof *t->v)))
        rc = mr_fail(err, MR_MEMORY, "no memory for %u field types", option->len);
    for (uint32_t i = 0; !rc && i < option->len; i++) {
        const struct mr_member *m = &option->u.object[i];
        t->v[i].name = (struct mr_slice){m->name, m->name_len};
        if (m->v.tag != MR_STRING)
            rc = mr_fail(err, MR_BADCONF, "the type of '%.*s' is %s; use int, float, bool or string",
                         MR_SLICE_ARG(t->v[i].name), tag_name((enum mr_tag)m->v.tag));
        else if ((rc = mr_field_type_parse(mr_value_text(&m->v), &t->v[i].type, err)))
            mr_wrap(err, "field '%.*s'", MR_SLICE_ARG(t->v[i].name));
        else
            t->count = i + 1;
    }
    if (rc && err)
        err->option = "types";
    return rc;
}

void mr_field_types_close(struct mr_field_types *t)
{
    mr_free(t->v);
    t->v = NULL;
    t->count = 0;
}

enum mr_field_type mr_field_types_of(const struct mr_field_types *t, struct mr_slice name)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (mr_slice_eq(t->v[i].name, name))
            return t->v[i].type;
    }
    return MR_FIELD_STRING;
}

static bool bool_of(struct mr_slice s, bool *out)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"true", true}, {"false", false}, {"1", true},    {"0", false},
                 {"yes", true},  {"no", false},    {"on", true},   {"off", false},
                 {"True", true}, {"False", false}, {"TRUE", true}, {"FALSE", false}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (mr_slice_eq(s, mr_slice_of(words[i].word))) {
            *out = words[i].value;
            return true;
        }
    }
    return false;
}

bool mr_field_convert(enum mr_field_type type, struct mr_value *v)
{
    if (type == MR_FIELD_STRING || v->tag != MR_STRING)
        return true;
    struct mr_slice s = mr_value_text(v);
    if (s.len == 0 || (s.len == 1 && s.p[0] == '-')) {
        v->tag = MR_MISSING;
        return true;
    }
    struct mr_value out = {.tag = MR_MISSING};
    bool good = false;
    if (type == MR_FIELD_INT) {
        out.tag = MR_INT;
        good = mr_parse_i64(s, &out.u.i);
    } else if (type == MR_FIELD_FLOAT) {
        out.tag = MR_FLOAT;
        good = mr_parse_f64(s, &out.u.f);
    } else {
        bool b = false;
        good = bool_of(s, &b);
        out = mr_value_bool(b);
    }
    if (good)
        *v = out;
    return good;
}

/* ---------------------------------------------------------------- event time */

bool mr_offset_parse(struct mr_slice s, mr_ns *out)
{
    if (s.len == 1 && (s.p[0] == 'Z' || s.p[0] == 'z')) {
        *out = 0;
        return true;
    }
    if ((s.len != 5 && s.len != 6) || (s.p[0] != '+' && s.p[0] != '-') || (s.len == 6 && s.p[3] != ':'))
        return false;
    const char *m = s.p + s.len - 2;
    const char d[4] = {s.p[1], s.p[2], m[0], m[1]};
    for (int i = 0; i < 4; i++) {
        if (d[i] < '0' || d[i] > '9')
            return false;
    }
    int hours = (d[0] - '0') * 10 + (d[1] - '0'), minutes = (d[2] - '0') * 10 + (d[3] - '0');
    if (hours > 23 || minutes > 59)
        return false;
    mr_ns ns = (mr_ns)(hours * 60 + minutes) * 60 * 1000000000;
    *out = s.p[0] == '-' ? -ns : ns;
    return true;
}

static bool format_has(const char *format, const char *conversions)
{
    for (; *format; format++) {
        if (format[0] != '%' || !format[1])
            continue;
        if (strchr(conversions, format[1]))
            return true;
        format++;
    }
    return false;
}

static mr_code time_field_read_option(struct mr_time_field *t, const struct mr_value *option,
                                      struct mr_slice *format, struct mr_slice *offset, struct mr_err *err)
{
    if (option->tag != MR_OBJECT)
        return mr_fail(err, MR_BADCONF, "'time' is %s; write a map such as { field: ts, format: rfc3339 }",
                       tag_name((enum mr_tag)option->tag));
    for (uint32_t i = 0; i < option->len; i++) {
        const struct mr_member *m = &option->u.object[i];
        struct mr_slice name = {m->name, m->name_len};
        struct mr_slice *to = mr_slice_eq(name, MR_SLICE("field"))    ? &t->field
                              : mr_slice_eq(name, MR_SLICE("format")) ? format
                              : mr_slice_eq(name, MR_SLICE("offset")) ? offset
                                                                      : NULL;
        if (!to) {
            static const char *const known[] = {"field", "format", "offset"};
            const char *near = mr_nearest(name, known, 3);
            return mr_fail(err, MR_BADCONF, "unknown key '%.*s' of 'time'; %s%s%s", MR_SLICE_ARG(name),
                           near ? "did you mean '" : "it has field, format and offset", near ? near : "",
                           near ? "'?" : "");
        }
        if (m->v.tag != MR_STRING)
            return mr_fail(err, MR_BADCONF, "'%.*s' of 'time' is %s, not a string; put it in quotes",
                           MR_SLICE_ARG(name), tag_name((enum mr_tag)m->v.tag));
        *to = mr_value_text(&m->v);
    }
    if (!t->field.len || !format->len)
        return mr_fail(err, MR_BADCONF, "'time' needs 'field' and 'format'");
    return MR_OK;
}

/* A format without conversions, or with one that nobody knows, would refuse every text. */
static mr_code time_format_check(struct mr_slice format, struct mr_err *err)
{
    char known[] = "%Y", text[64];
    bool any = false;
    for (size_t i = 0; i < format.len; i++) {
        if (format.p[i] != '%')
            continue;
        known[1] = ++i < format.len ? format.p[i] : ' ';
        if (mr_time_print(0, known, 2, text, sizeof text) < 0)
            return mr_fail(
                err, MR_BADCONF,
                "'time': '%%%c' in its format is unknown; use %%Y %%m %%d %%H %%M %%S %%b %%z and such",
                known[1]);
        any = any || known[1] != '%';
    }
    return any ? MR_OK
               : mr_fail(
                     err, MR_BADCONF,
                     "'time': its format '%.*s' is neither rfc3339, unix or unix_ms nor has it a conversion "
                     "such as %%Y",
                     MR_SLICE_ARG(format));
}

mr_code mr_time_field_open(struct mr_time_field *t, const struct mr_value *option, struct mr_err *err)
{
    *t = (struct mr_time_field){.has_year = true};
    if (option->tag == MR_MISSING || option->tag == MR_NULL)
        return MR_OK;
    struct mr_slice format = {NULL, 0}, offset = {NULL, 0};
    mr_code rc = time_field_read_option(t, option, &format, &offset, err);
    if (!rc && offset.len && !mr_offset_parse(offset, &t->offset))
        rc = mr_fail(err, MR_BADCONF, "'%.*s' is no offset from UTC; write it like +02:00",
                     MR_SLICE_ARG(offset));
    bool named = mr_slice_eq(format, MR_SLICE("rfc3339")) || mr_slice_eq(format, MR_SLICE("unix")) ||
                 mr_slice_eq(format, MR_SLICE("unix_ms"));
    if (!rc && !named)
        rc = time_format_check(format, err);
    if (rc) {
        if (err)
            err->option = "time";
        return rc;
    }
    if (mr_slice_eq(format, MR_SLICE("rfc3339"))) {
        t->kind = MR_TIME_RFC3339;
    } else if (mr_slice_eq(format, MR_SLICE("unix"))) {
        t->kind = MR_TIME_UNIX;
    } else if (mr_slice_eq(format, MR_SLICE("unix_ms"))) {
        t->kind = MR_TIME_UNIX_MS;
    } else {
        t->kind = MR_TIME_FORMAT;
        if (!(t->format = mr_strndup(format.p, format.len)))
            return mr_fail(err, MR_MEMORY, "no memory for a time format");
        t->has_year = format_has(t->format, "YyDFsc");
        if (format_has(t->format, "zZs"))
            t->offset = 0; /* the text says its own */
    }
    if (t->kind != MR_TIME_FORMAT)
        t->offset = 0;
    return MR_OK;
}

void mr_time_field_close(struct mr_time_field *t)
{
    mr_free(t->format);
    t->format = NULL;
}

static mr_ns distance(mr_ns a, mr_ns b)
{
    uint64_t d = a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
    return d > INT64_MAX ? INT64_MAX : (mr_ns)d;
}

static bool parse_nearest_year(const char *format, struct mr_slice text, mr_ns now, mr_ns *out)
{
    struct mr_civil c;
    mr_civil_of_ns(now, &c);
    bool found = false;
    for (int32_t year = c.year - 1; year <= c.year + 1; year++) {
        mr_ns t;
        if (!mr_time_parse(text, format, year, &t)) /* 29 February is not in every year */
            continue;
        if (!found || distance(t, now) < distance(*out, now))
            *out = t;
        found = true;
    }
    return found;
}

static bool parse_unix(struct mr_slice s, int64_t unit, mr_ns *out)
{
    int64_t whole = 0, part = 0, scale = unit;
    struct mr_slice head = s;
    const char *dot = s.len ? memchr(s.p, '.', s.len) : NULL;
    if (dot) {
        head.len = (size_t)(dot - s.p);
        if (dot + 1 == s.p + s.len)
            return false;
        for (const char *p = dot + 1; p < s.p + s.len; p++) {
            if (*p < '0' || *p > '9')
                return false;
            scale /= 10;
            part += (*p - '0') * scale;
        }
    }
    if (!mr_parse_i64(head, &whole) || __builtin_mul_overflow(whole, unit, &whole))
        return false;
    return !__builtin_add_overflow(whole, s.p[0] == '-' ? -part : part, out);
}

bool mr_time_field_read(struct mr_time_field *t, struct mr_slice text, mr_ns now, mr_ns *out)
{
    /* lines that follow each other often carry the same second */
    if (t->seen_len && t->seen_len == text.len && (t->has_year || t->seen_now == now) &&
        memcmp(t->seen, text.p, text.len) == 0) {
        *out = t->seen_ns;
        return true;
    }
    mr_ns ns = 0;
    bool good = false;
    switch (t->kind) {
    case MR_TIME_RFC3339:
        good = mr_rfc3339_parse(text, &ns);
        break;
    case MR_TIME_UNIX:
        good = parse_unix(text, 1000000000, &ns);
        break;
    case MR_TIME_UNIX_MS:
        good = parse_unix(text, 1000000, &ns);
        break;
    case MR_TIME_FORMAT:
        /* the year is sought where the writer's clock stands */
        good = t->has_year ? mr_time_parse(text, t->format, 1970, &ns)
                           : parse_nearest_year(t->format, text, now + t->offset, &ns);
        break;
    }
    if (!good || __builtin_sub_overflow(ns, t->offset, &ns))
        return false;
    *out = ns;
    if (text.len && text.len <= sizeof t->seen) {
        memcpy(t->seen, text.p, text.len);
        t->seen_len = (uint32_t)text.len;
        t->seen_ns = ns;
        t->seen_now = now;
    }
    return true;
}
