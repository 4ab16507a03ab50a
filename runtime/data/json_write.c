/* json_write.c - values and events as JSON text.
 *
 * An event that nobody touched is written as the text it came in. One that was touched is put together from
 * runs: members that stand side by side in the original text, with their own names before them, are copied
 * at once. That is checked byte by byte, so a value that was renamed or moved is never taken for its old
 * neighbour.
 */
#include "data/json.h"

#include "base/buf.h"
#include "base/text.h"
#include "base/time.h"
#include "data/batch_inside.h"
#include "data/json_kernel.h"

#include <math.h>

static inline bool room(struct mr_buf *b, size_t more)
{
    return b->cap - b->len >= more || mr_buf_reserve(b, more);
}

/* The caller has made room. */
static inline void put(struct mr_buf *b, const void *p, size_t len)
{
    memcpy(b->p + b->len, p, len);
    b->len += len;
}

static size_t utf8_len(const unsigned char *p, size_t left) /* 0: not valid here */
{
    size_t n = *p >= 0xc2 && *p <= 0xdf ? 2 : *p >= 0xe0 && *p <= 0xef ? 3 : *p >= 0xf0 && *p <= 0xf4 ? 4 : 0;
    return n && n <= left && mr_utf8_valid((const char *)p, n) ? n : 0;
}

bool mr_json_write_string(struct mr_buf *out, const char *s, size_t len)
{
    const struct mr_json_kernel *k = mr_json_kernel();
    size_t at = 0;
    if (!room(out, len + 16))
        return false;
    out->p[out->len++] = '"';
    for (;;) {
        size_t run = len - at >= 16 ? k->plain(s + at, len - at) : 0;
        if (!run)
            while (at + run < len && (unsigned char)s[at + run] < 0x80 && (unsigned char)s[at + run] >= ' ' &&
                   s[at + run] != '"' && s[at + run] != '\\')
                run++;
        if (!room(out, run + 16))
            return false;
        if (run)
            put(out, s + at, run);
        at += run;
        if (at >= len)
            break;
        unsigned char c = (unsigned char)s[at];
        static const char hex[] = "0123456789abcdef";
        if (c >= 0x80) {
            size_t n = utf8_len((const unsigned char *)s + at, len - at);
            if (n)
                put(out, s + at, n);
            else
                put(out, "\xef\xbf\xbd", 3);
            at += n ? n : 1;
            continue;
        }
        char two = c == '"'    ? '"'
                   : c == '\\' ? '\\'
                   : c == '\b' ? 'b'
                   : c == '\f' ? 'f'
                   : c == '\n' ? 'n'
                   : c == '\r' ? 'r'
                   : c == '\t' ? 't'
                               : '\0';
        if (two) {
            put(out, (char[]){'\\', two}, 2);
        } else {
            put(out, "\\u00", 4);
            put(out, (char[]){hex[c >> 4], hex[c & 15]}, 2);
        }
        at++;
    }
    out->p[out->len++] = '"';
    return true;
}

static bool write_base64(struct mr_buf *out, const char *s, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)s;
    if (!room(out, len / 3 * 4 + 8))
        return false;
    out->p[out->len++] = '"';
    for (; len; p += 3) {
        size_t n = len < 3 ? len : 3;
        uint32_t three = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
        put(out,
            (char[]){digits[three >> 18], digits[three >> 12 & 63], n > 1 ? digits[three >> 6 & 63] : '=',
                     n > 2 ? digits[three & 63] : '='},
            4);
        len -= n;
    }
    out->p[out->len++] = '"';
    return true;
}

static bool write_text(struct mr_buf *out, const struct mr_value *v)
{
    if (!mr_buf_put(out, v->u.s, v->len))
        return false;
    if (v->spare & MR_JSON_LINES) {
        char *p = out->p + out->len - v->len;
        for (uint32_t i = 0; i < v->len; i++)
            if (p[i] == '\n' || p[i] == '\r')
                p[i] = ' ';
    }
    return true;
}

static bool write_at(struct mr_buf *out, const struct mr_value *v, int depth)
{
    char text[48];
    int n = 0;
    switch (v->tag) {
    case MR_BOOL:
        return v->u.b ? mr_buf_put(out, "true", 4) : mr_buf_put(out, "false", 5);
    case MR_INT:
        n = mr_print_i64(v->u.i, text);
        return mr_buf_put(out, text, (size_t)n);
    case MR_FLOAT:
        if (!isfinite(v->u.f))
            return mr_buf_put(out, "null", 4);
        n = mr_print_f64(v->u.f, text);
        return mr_buf_put(out, text, (size_t)n);
    case MR_TIME:
        text[0] = '"';
        n = mr_rfc3339_print(v->u.i, text + 1);
        text[n + 1] = '"';
        return mr_buf_put(out, text, (size_t)n + 2);
    case MR_STRING:
        if (v->hint != MR_HINT_PLAIN)
            return mr_json_write_string(out, v->u.s, v->len);
        if (!room(out, (size_t)v->len + 2))
            return false;
        out->p[out->len++] = '"';
        put(out, v->u.s, v->len);
        out->p[out->len++] = '"';
        return true;
    case MR_BYTES:
        return write_base64(out, v->u.s, v->len);
    case MR_JSON:
        return write_text(out, v);
    case MR_LIST:
        if (depth >= 2 * MR_JSON_DEPTH_MAX || !mr_buf_put(out, "[", 1))
            return false;
        for (uint32_t i = 0; i < v->len; i++)
            if ((i && !mr_buf_put(out, ",", 1)) || !write_at(out, &v->u.list[i], depth + 1))
                return false;
        return mr_buf_put(out, "]", 1);
    case MR_OBJECT: {
        if (depth >= 2 * MR_JSON_DEPTH_MAX || !mr_buf_put(out, "{", 1))
            return false;
        bool first = true;
        for (uint32_t i = 0; i < v->len; i++) {
            const struct mr_member *m = &v->u.object[i];
            if (m->v.tag == MR_MISSING)
                continue;
            if ((!first && !mr_buf_put(out, ",", 1)) || !mr_json_write_string(out, m->name, m->name_len) ||
                !mr_buf_put(out, ":", 1) || !write_at(out, &m->v, depth + 1))
                return false;
            first = false;
        }
        return mr_buf_put(out, "}", 1);
    }
    default: /* null, and a missing item of a list */
        return mr_buf_put(out, "null", 4);
    }
}

bool mr_json_write(struct mr_buf *out, const struct mr_value *v)
{
    return write_at(out, v, 0);
}

/* The value as it stands in the event's text [from, to), with its quotes; len 0 when it does not stand there.
 * p: where it would have to begin, NULL: anywhere. */
static inline struct mr_slice original(const struct mr_value *v, const char *p, const char *from,
                                       const char *to)
{
    const struct mr_slice no = {NULL, 0};
    struct mr_slice s;
    switch (v->tag) {
    case MR_STRING:
        if (v->hint != MR_HINT_PLAIN)
            return no;
        s = (struct mr_slice){v->u.s - 1, (size_t)v->len + 2};
        if (p ? s.p != p : s.p < from || s.p >= to)
            return no;
        /* a part of a string, cut out by somebody, has no quotes around it */
        return (size_t)(to - s.p) > s.len && s.p[0] == '"' && s.p[s.len - 1] == '"' ? s : no;
    case MR_JSON:
        s = mr_value_text(v);
        return p ? (s.p == p ? s : no) : s.p >= from && s.p < to ? s : no;
    case MR_BOOL:
        s = v->u.b ? MR_SLICE("true") : MR_SLICE("false");
        break;
    case MR_NULL:
        s = MR_SLICE("null");
        break;
    default:
        return no;
    }
    if (!p || (size_t)(to - p) <= s.len || memcmp(p, s.p, s.len) != 0)
        return no;
    return (struct mr_slice){p, s.len};
}

/* An event in the writing. */
struct writer {
    struct mr_buf *out;
    const struct mr_batch *b;
    uint32_t row;
    const char *text, *text_end;
    const char *run, *run_end; /* bytes of the text that are still to be copied */
    const char *at;            /* the text behind the last member written; NULL: not known */
    bool first;
    bool foreign;  /* a member was written that the text may not have */
    bool confused; /* ... and after it another: they may not have stood in this order */
};

static bool flush(struct writer *w)
{
    bool good = !w->run || mr_buf_put(w->out, w->run, (size_t)(w->run_end - w->run));
    w->run = NULL;
    return good;
}

/* Is this shape's text at p, within the event's? */
static inline bool name_at(const struct writer *w, const char *p, const struct mr_shape *s)
{
    size_t left = (size_t)(w->text_end - p);
    if (left < s->len)
        return false;
    if (left >= 16 && s->len <= 16) { /* most names: two loads that overlap */
        uint64_t a, b, c, d, mask = s->len >= 8 ? UINT64_MAX : ((uint64_t)1 << (8 * s->len)) - 1;
        memcpy(&a, p, 8);
        memcpy(&b, s->quoted, 8);
        if (mask != UINT64_MAX)
            return ((a ^ b) & mask) == 0; /* the first bytes are the low ones */
        memcpy(&c, p + s->len - 8, 8);
        memcpy(&d, s->quoted + s->len - 8, 8);
        return a == b && c == d;
    }
    return memcmp(p, s->quoted, s->len) == 0;
}

static inline bool write_member(struct writer *w, uint32_t c)
{
    const struct mr_value *v = &w->b->column[c].v[w->row];
    if (v->tag == MR_MISSING || w->b->column[c].removed)
        return true;
    const struct mr_shape *s = mr_batch_more_of(w->b)->shape[c];
    struct mr_slice o = {NULL, 0};
    const char *here = NULL; /* its value in the text, should the text go on with this member */
    if (w->at && w->text_end - w->at > 1 && (*w->at == ',' || *w->at == '{') && name_at(w, w->at + 1, s))
        here = w->at + 1 + s->len;
    if (w->run) {
        if (here)
            o = original(v, here, w->text, w->text_end);
        if (o.len) {
            w->at = w->run_end = o.p + o.len;
            return true;
        }
        if (!flush(w))
            return false;
    }
    if (!room(w->out, (size_t)s->len + 1))
        return false;
    if (!w->first)
        w->out->p[w->out->len++] = ',';
    w->first = false;
    put(w->out, s->quoted, s->len);
    w->confused |= w->foreign;
    o = original(v, NULL, w->text, w->text_end);
    if (o.len) {
        w->run = o.p;
        w->at = w->run_end = o.p + o.len;
        return true;
    }
    if (here) {
        while (*here == ' ' || *here == '\t')
            here++;
        w->at = mr_json_kernel()->skip(here, w->text_end);
    } else {
        w->foreign = true;
    }
    return write_at(w->out, v, 0);
}

/* The members that the text has in its order, then the others. The slow way: every name is looked up. */
static bool write_in_order(struct writer *w)
{
    const struct mr_json_kernel *k = mr_json_kernel();
    struct mr_batch *b = &mr_batch_more_of(w->b)->pub; /* the same; looking names up remembers the last */
    uint8_t done[MR_BATCH_COLUMNS_MAX] = {0};
    const char *p = w->text + 1;
    for (;;) {
        while (*p == ' ' || *p == '\t' || *p == ',')
            p++;
        if (*p == '}')
            break;
        const char *q = k->skip(p, w->text_end);
        struct mr_value name = {.tag = MR_JSON, .hint = MR_STRING, .len = (uint32_t)(q - p), .u.s = p}, plain;
        if (!memchr(p, '\\', name.len))
            plain = mr_value_string((struct mr_slice){p + 1, name.len - 2});
        else if (!mr_json_resolve(b->arena, &name, &plain))
            return false;
        int32_t slot = mr_batch_slot(b, plain.u.s, plain.len, false);
        if (slot >= 0 && !done[slot]) {
            done[slot] = 1;
            if (!write_member(w, (uint32_t)slot))
                return false;
        }
        for (p = q; *p == ' ' || *p == '\t' || *p == ':';)
            p++;
        p = k->skip(p, w->text_end);
    }
    for (uint32_t c = 0; c < b->columns; c++)
        if (!done[c] && !write_member(w, c))
            return false;
    return true;
}

static bool write_touched(struct mr_buf *out, const struct mr_batch *b, uint32_t row)
{
    const struct mr_batch_more *m = mr_batch_more_of(b);
    uint32_t len = b->raw ? m->text_len[row] : 0;
    uint16_t order = len ? m->order[row] : 0;
    size_t start = out->len;
    const char *text = len ? b->raw[row].p : NULL, *end = len ? text + len : NULL;
    const struct writer begun = {
        .out = out, .b = b, .row = row, .text = text, .text_end = end, .at = text, .first = true};
    struct writer w = begun;
    if (!room(out, (size_t)len + 64))
        return false;
    out->p[out->len++] = '{';
    bool good = true;
    if (order != MR_ORDER_OTHER)
        for (uint32_t c = 0; good && c < b->columns; c++)
            good = write_member(&w, c);
    if (good && (order == MR_ORDER_OTHER || (order == MR_ORDER_RISING && w.confused))) {
        out->len = start + 1;
        w = begun;
        good = write_in_order(&w);
    }
    return good && flush(&w) && mr_buf_put(out, "}", 1);
}

bool mr_json_write_row(struct mr_buf *out, const struct mr_batch *b, uint32_t row)
{
    if (b->raw && b->raw[row].len)
        return mr_buf_put(out, b->raw[row].p, b->raw[row].len);
    return write_touched(out, b, row);
}

bool mr_json_write_rows(struct mr_buf *out, const struct mr_batch *b, size_t *ends)
{
    for (uint32_t k = 0; k < b->count; k++) {
        if (!mr_json_write_row(out, b, b->sel[k]) || !room(out, 1))
            return false;
        out->p[out->len++] = '\n';
        if (ends)
            ends[k] = out->len;
    }
    return true;
}
