/* template.c - "text {{ path | format }}", cut into pieces once and put together per event. */
#include "data/template.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/time.h"
#include "data/batch.h"
#include "data/json.h"

enum { PIECES_MAX = 64, FORMAT_TEXT_MAX = 256, NUMBER_TEXT = 48 };

enum kind { TEXT, FIELD, TIME, KEY, TOPIC, PARTITION, OFFSET, SOURCE, HEADER };

struct piece {
    enum kind kind;
    struct mr_slice text; /* TEXT: itself; else the path as written, for errors; HEADER: the header's name */
    struct mr_slice format;   /* strftime, len 0: none */
    struct mr_slice fallback; /* of `default`; p NULL: none */
    struct mr_path *path;     /* FIELD */
};

struct mr_template {
    char *copy; /* of the text, into which the pieces point */
    struct piece *pieces;
    uint32_t count;
};

static mr_code bad(struct mr_err *err, size_t at, const char *why)
{
    mr_fail(err, MR_BADCONF, "template: byte %zu: %s", at, why);
    if (err)
        err->at = (uint32_t)at;
    return MR_BADCONF;
}

static struct mr_slice trim(struct mr_slice s)
{
    while (s.len && (*s.p == ' ' || *s.p == '\t')) {
        s.p++;
        s.len--;
    }
    while (s.len && (s.p[s.len - 1] == ' ' || s.p[s.len - 1] == '\t'))
        s.len--;
    return s;
}

static bool begins(struct mr_slice s, const char *word)
{
    size_t n = strlen(word);
    return s.len >= n && memcmp(s.p, word, n) == 0;
}

/* `format` or `default "x"` behind a bar. */
static mr_code read_filter(const char *text, struct mr_slice s, struct piece *p, struct mr_err *err)
{
    size_t at = (size_t)(s.p - text);
    s = trim(s);
    if (begins(s, "default")) {
        struct mr_slice v = trim((struct mr_slice){s.p + 7, s.len - 7});
        if (v.len < 2 || (*v.p != '"' && *v.p != '\'') || v.p[v.len - 1] != *v.p)
            return bad(err, at, "default is followed by a text in quotes: default \"x\"");
        p->fallback = (struct mr_slice){v.p + 1, v.len - 2};
        return MR_OK;
    }
    if (!memchr(s.p, '%', s.len))
        return bad(err, at, "behind '|' stands a time format such as %Y-%m-%d, or default \"x\"");
    char out[FORMAT_TEXT_MAX];
    if (s.len > FORMAT_TEXT_MAX / 4 || mr_time_print(0, s.p, s.len, out, sizeof out) < 0)
        return bad(err, at, "the time format is too long or has an unknown conversion");
    p->format = s;
    return MR_OK;
}

static mr_code read_place(const char *text, struct mr_slice s, struct piece *p, struct mr_err *err)
{
    static const struct {
        const char *name;
        enum kind kind;
    } metas[] = {{"ts", TIME},
                 {"m.ts", TIME},
                 {"m.key", KEY},
                 {"m.topic", TOPIC},
                 {"m.partition", PARTITION},
                 {"m.offset", OFFSET},
                 {"m.source", SOURCE}};
    size_t at = (size_t)(s.p - text);
    p->text = s;
    for (size_t i = 0; i < sizeof metas / sizeof metas[0]; i++)
        if (mr_slice_eq(s, mr_slice_of(metas[i].name))) {
            p->kind = metas[i].kind;
            return MR_OK;
        }
    if (begins(s, "m.headers.") && s.len > 10) {
        p->kind = HEADER;
        p->text = (struct mr_slice){s.p + 10, s.len - 10};
        return MR_OK;
    }
    if (begins(s, "m."))
        return bad(err, at,
                   "of metadata there are m.key, m.ts, m.topic, m.partition, m.offset, m.source and "
                   "m.headers.<name>; a field named m is [\"m\"]");
    p->kind = FIELD;
    mr_code code = mr_path_parse(s.p, s.len, &p->path, err);
    if (code == MR_BADCONF && err) {
        uint32_t inside = err->at;
        mr_wrap(err, "template: byte %zu", at);
        err->at = (uint32_t)at + inside;
    }
    return code;
}

/* What stands between "{{" and "}}". Bars within quotes do not divide. */
static mr_code read_piece(const char *text, struct mr_slice s, struct piece *p, struct mr_err *err)
{
    const char *end = s.p + s.len, *from = s.p;
    bool first = true;
    char quote = '\0';
    for (const char *q = s.p; q <= end; q++) {
        if (q < end && quote) {
            if (*q == quote)
                quote = '\0';
            continue;
        }
        if (q < end && (*q == '"' || *q == '\'')) {
            quote = *q;
            continue;
        }
        if (q < end && *q != '|')
            continue;
        struct mr_slice part = {from, (size_t)(q - from)};
        mr_code code = first ? read_place(text, trim(part), p, err) : read_filter(text, part, p, err);
        if (code)
            return code;
        first = false;
        from = q + 1;
    }
    return quote ? bad(err, (size_t)(s.p - text), "a quote that is not closed") : MR_OK;
}

/* The "}}" that closes; quotes may hold one. */
static const char *closing(const char *p, const char *end)
{
    char quote = '\0';
    for (; p + 1 < end; p++) {
        if (quote)
            quote = *p == quote ? '\0' : quote;
        else if (*p == '"' || *p == '\'')
            quote = *p;
        else if (p[0] == '}' && p[1] == '}')
            return p;
    }
    return NULL;
}

static mr_code cut(struct mr_template *t, size_t len, struct mr_err *err)
{
    const char *p = t->copy, *end = p + len;
    while (p < end) {
        if (t->count == PIECES_MAX)
            return bad(err, (size_t)(p - t->copy), "more than 64 pieces");
        struct piece *piece = &t->pieces[t->count++];
        const char *open = memmem(p, (size_t)(end - p), "{{", 2);
        if (open != p) { /* text up to there */
            piece->text = (struct mr_slice){p, (size_t)((open ? open : end) - p)};
            p = open ? open : end;
            continue;
        }
        if (end - open >= 4 && memcmp(open, "{{{{", 4) == 0) { /* one "{{" stands for two */
            piece->text = (struct mr_slice){open, 2};
            p = open + 4;
            continue;
        }
        const char *shut = closing(open + 2, end);
        if (!shut)
            return bad(err, (size_t)(open - t->copy),
                       "'{{' that is not closed by '}}'; a literal one is '{{{{'");
        mr_code code =
            read_piece(t->copy, (struct mr_slice){open + 2, (size_t)(shut - open - 2)}, piece, err);
        if (code)
            return code;
        p = shut + 2;
    }
    return MR_OK;
}

mr_code mr_template_parse(const char *text, size_t len, struct mr_template **out, struct mr_err *err)
{
    *out = NULL;
    mr_err_clear(err);
    struct mr_template *t = mr_alloc(sizeof *t);
    if (t) {
        t->copy = mr_strndup(text ? text : "", len);
        t->pieces = mr_alloc(PIECES_MAX * sizeof *t->pieces);
    }
    mr_code code =
        t && t->copy && t->pieces ? cut(t, len, err) : mr_fail(err, MR_MEMORY, "template: no memory");
    if (code)
        mr_template_free(t);
    else
        *out = t;
    return code;
}

void mr_template_free(struct mr_template *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->count; i++)
        mr_path_free(t->pieces[i].path);
    mr_free(t->pieces);
    mr_free(t->copy);
    mr_free(t);
}

bool mr_template_is_constant(const struct mr_template *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (t->pieces[i].kind != TEXT)
            return false;
    return true;
}

static struct mr_value header_value(const struct mr_batch *b, uint32_t row, struct mr_slice name)
{
    struct mr_value none = {0};
    if (!b->headers)
        return none;
    const struct mr_value *h = &b->headers[row];
    if (h->tag == MR_JSON && h->hint == MR_OBJECT)
        return mr_json_member(h, name.p, name.len);
    for (uint32_t i = 0; h->tag == MR_OBJECT && i < h->len; i++) {
        const struct mr_member *m = &h->u.object[i];
        if (mr_slice_eq((struct mr_slice){m->name, m->name_len}, name))
            return m->v;
    }
    return none;
}

static struct mr_value value_of(const struct piece *p, struct mr_batch *b, uint32_t row)
{
    struct mr_value none = {0};
    switch (p->kind) {
    case FIELD:
        return mr_path_get(p->path, b, row);
    case TIME:
        return b->time[row] == MR_TIME_NONE ? none : (struct mr_value){.tag = MR_TIME, .u.i = b->time[row]};
    case KEY:
        return b->key[row];
    case TOPIC:
        return b->partition >= 0 ? mr_value_string(b->source) : none;
    case PARTITION:
        return b->partition >= 0 ? mr_value_int(b->partition) : none;
    case OFFSET:
        return b->offset[row] >= 0 ? mr_value_int(b->offset[row]) : none;
    case SOURCE:
        return b->source.len ? mr_value_string(b->source) : none;
    case HEADER:
        return header_value(b, row, p->text);
    case TEXT:
        break;
    }
    return none;
}

static struct mr_slice no_room(struct mr_err *err)
{
    mr_fail(err, MR_LIMIT, "template: 'batch_bytes' was reached");
    return (struct mr_slice){NULL, 0};
}

static struct mr_slice format_time(const struct piece *p, const struct mr_value *v, struct mr_batch *b,
                                   struct mr_err *err)
{
    mr_ns t = v->u.i;
    char out[FORMAT_TEXT_MAX];
    if (v->tag == MR_STRING && !mr_rfc3339_parse(mr_value_text(v), &t)) {
        mr_fail(err, MR_BADDATA, "template: '%.*s' of '%.*s' is not a time", MR_SLICE_ARG(mr_value_text(v)),
                MR_SLICE_ARG(p->text));
        return (struct mr_slice){NULL, 0};
    }
    if (v->tag != MR_TIME && v->tag != MR_INT && v->tag != MR_STRING) {
        mr_fail(err, MR_BADDATA, "template: '%.*s' is not a time", MR_SLICE_ARG(p->text));
        return (struct mr_slice){NULL, 0};
    }
    int n = mr_time_print(t, p->format.p, p->format.len, out, sizeof out);
    struct mr_slice s = mr_slice_copy(b->arena, (struct mr_slice){out, n < 0 ? 0 : (size_t)n});
    return s.p ? s : no_room(err);
}

/* One piece as text; strings are not copied. */
static struct mr_slice piece_text(const struct piece *p, struct mr_batch *b, uint32_t row, struct mr_err *err)
{
    if (p->kind == TEXT)
        return p->text;
    struct mr_value in = value_of(p, b, row), v;
    if (!mr_value_resolve(b->arena, &in, &v))
        return no_room(err);
    if (v.tag == MR_MISSING || v.tag == MR_NULL) {
        if (p->fallback.p)
            return p->fallback;
        mr_fail(err, MR_NOTFOUND,
                "template: the event has no '%s%.*s'; give a text for that: | default \"x\"",
                p->kind == HEADER ? "m.headers." : "", MR_SLICE_ARG(p->text));
        return (struct mr_slice){NULL, 0};
    }
    if (p->format.len)
        return format_time(p, &v, b, err);
    char small[NUMBER_TEXT];
    int n = 0;
    switch (v.tag) {
    case MR_STRING:
    case MR_BYTES:
        return (struct mr_slice){v.len ? v.u.s : "", v.len};
    case MR_BOOL:
        return v.u.b ? MR_SLICE("true") : MR_SLICE("false");
    case MR_INT:
        n = mr_print_i64(v.u.i, small);
        break;
    case MR_FLOAT:
        n = mr_print_f64(v.u.f, small);
        break;
    case MR_TIME:
        n = mr_rfc3339_print(v.u.i, small);
        break;
    default: { /* lists and objects: as JSON */
        struct mr_buf json = {0};
        struct mr_slice s = {NULL, 0};
        if (mr_json_write(&json, &in))
            s = mr_slice_copy(b->arena, (struct mr_slice){json.p, json.len});
        mr_buf_fini(&json);
        return s.p ? s : no_room(err);
    }
    }
    struct mr_slice s = mr_slice_copy(b->arena, (struct mr_slice){small, (size_t)n});
    return s.p ? s : no_room(err);
}

struct mr_slice mr_template_render(struct mr_template *t, struct mr_batch *b, uint32_t row,
                                   struct mr_err *err)
{
    if (t->count == 0)
        return MR_SLICE("");
    if (t->count == 1)
        return piece_text(&t->pieces[0], b, row, err);
    struct mr_slice parts[PIECES_MAX];
    size_t len = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        parts[i] = piece_text(&t->pieces[i], b, row, err);
        if (!parts[i].p)
            return parts[i];
        len += parts[i].len;
    }
    char *out = mr_arena_take(b->arena, len ? len : 1);
    if (!out)
        return no_room(err);
    size_t at = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (parts[i].len)
            memcpy(out + at, parts[i].p, parts[i].len);
        at += parts[i].len;
    }
    return (struct mr_slice){out, len};
}
