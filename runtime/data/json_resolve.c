/* json_resolve.c - one level of checked JSON text becomes a value; single members are found without that.
 *
 * Everything here trusts its text: the reader has checked it to the last byte.
 */
#include "data/json.h"

#include "base/assert.h"
#include "base/hash.h"
#include "base/text.h"
#include "data/json_kernel.h"

#include <math.h>

enum { SMALL = 32 /* items gathered before memory is taken for exactly so many */ };

static const char *blanks(const char *p)
{
    while (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')
        p++;
    return p;
}

static unsigned hex4(const char *p)
{
    unsigned code = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)p[i];
        code = code * 16 + (c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return code;
}

static int put_utf8(unsigned code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 63));
        out[2] = (char)(0x80 | (code & 63));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 63));
    out[2] = (char)(0x80 | (code >> 6 & 63));
    out[3] = (char)(0x80 | (code & 63));
    return 4;
}

/* The character written at *p, one byte or one escape; moves *p behind it. */
static int next_char(const char **p, char out[4])
{
    const char *s = *p;
    if (*s != '\\') {
        out[0] = *s;
        *p = s + 1;
        return 1;
    }
    *p = s + 2;
    switch (s[1]) {
    case 'b':
        out[0] = '\b';
        return 1;
    case 'f':
        out[0] = '\f';
        return 1;
    case 'n':
        out[0] = '\n';
        return 1;
    case 'r':
        out[0] = '\r';
        return 1;
    case 't':
        out[0] = '\t';
        return 1;
    case 'u': {
        unsigned code = hex4(s + 2);
        *p = s + 6;
        if (code >= 0xd800 && code <= 0xdbff) {
            code = 0x10000 + ((code - 0xd800) << 10) + (hex4(s + 8) - 0xdc00);
            *p = s + 12;
        }
        return put_utf8(code, out);
    }
    default:
        out[0] = s[1];
        return 1;
    }
}

/* [p, end) between the quotes. */
static bool unescape(struct mr_arena *a, const char *p, const char *end, struct mr_slice *out)
{
    char *to = mr_arena_take(a, (size_t)(end - p) + 4);
    if (!to)
        return false;
    out->p = to;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t run = (size_t)((slash ? slash : end) - p);
        memcpy(to, p, run);
        to += run;
        p += run;
        if (slash)
            to += next_char(&p, to);
    }
    out->len = (size_t)(to - out->p);
    return true;
}

/* The value at p; returns the place behind it. */
static const char *value_at(const struct mr_json_kernel *k, const char *p, const char *end, uint16_t lines,
                            struct mr_value *v)
{
    const char *q = k->skip(p, end);
    uint32_t len = (uint32_t)(q - p);
    switch (*p) {
    case '"':
        if (memchr(p, '\\', len))
            *v = (struct mr_value){.tag = MR_JSON, .hint = MR_STRING, .len = len, .u.s = p};
        else
            *v = (struct mr_value){.tag = MR_STRING, .hint = MR_HINT_PLAIN, .len = len - 2, .u.s = p + 1};
        break;
    case '{':
    case '[':
        *v = (struct mr_value){
            .tag = MR_JSON, .hint = *p == '{' ? MR_OBJECT : MR_LIST, .spare = lines, .len = len, .u.s = p};
        break;
    case 't':
    case 'f':
        *v = (struct mr_value){.tag = MR_BOOL, .u.b = *p == 't'};
        break;
    case 'n':
        *v = (struct mr_value){.tag = MR_NULL};
        break;
    default: {
        bool whole = !(len > 1 && p[0] == '-' && p[1] == '0');
        for (uint32_t i = 0; whole && i < len; i++)
            whole = p[i] != '.' && p[i] != 'e' && p[i] != 'E';
        int64_t i;
        if (whole && len > 18)
            whole = mr_parse_i64((struct mr_slice){p, len}, &i);
        *v = (struct mr_value){.tag = MR_JSON, .hint = whole ? MR_INT : MR_FLOAT, .len = len, .u.s = p};
    }
    }
    return q;
}

static bool resolve_list(struct mr_arena *a, const struct mr_value *in, struct mr_value *out)
{
    const struct mr_json_kernel *k = mr_json_kernel();
    const char *end = in->u.s + in->len, *p = blanks(in->u.s + 1);
    struct mr_value small[SMALL], *items = small;
    uint32_t n = 0, cap = SMALL;
    while (*p != ']') {
        if (n == cap) { /* doubling in an arena: at most as much again is lost */
            struct mr_value *more = mr_arena_take(a, (size_t)cap * 2 * sizeof *more);
            if (!more)
                return false;
            memcpy(more, items, n * sizeof *more);
            items = more;
            cap *= 2;
        }
        p = blanks(value_at(k, p, end, in->spare, &items[n++]));
        if (*p == ',')
            p = blanks(p + 1);
    }
    if (items == small) {
        items = mr_arena_take(a, (n ? n : 1) * sizeof *items);
        if (!items)
            return false;
        memcpy(items, small, n * sizeof *items);
    }
    *out = (struct mr_value){.tag = MR_LIST, .len = n, .u.list = items};
    return true;
}

/* Of members with one name the last value wins, at the place of the first. */
static bool merge_twins(struct mr_arena *a, struct mr_member *m, uint32_t *count)
{
    uint32_t n = *count, kept = 0, size = 0;
    uint32_t *table = NULL;
    if (n > SMALL) { /* comparing all with all would be slow for an enemy's objects */
        for (size = 64; size < n * 2; size *= 2)
            ;
        table = mr_arena_take(a, size * sizeof *table);
        if (!table)
            return false;
        memset(table, 0, size * sizeof *table);
    }
    for (uint32_t i = 0; i < n; i++) {
        uint32_t twin = UINT32_MAX;
        if (table) {
            uint32_t at = (uint32_t)mr_hash64(m[i].name, m[i].name_len, 0x6a736f6e) & (size - 1);
            for (; table[at]; at = (at + 1) & (size - 1)) {
                const struct mr_member *o = &m[table[at] - 1];
                if (o->name_len == m[i].name_len && memcmp(o->name, m[i].name, o->name_len) == 0) {
                    twin = table[at] - 1;
                    break;
                }
            }
            if (twin == UINT32_MAX)
                table[at] = kept + 1;
        } else {
            for (uint32_t o = 0; o < kept && twin == UINT32_MAX; o++)
                if (m[o].name_len == m[i].name_len && memcmp(m[o].name, m[i].name, m[o].name_len) == 0)
                    twin = o;
        }
        if (twin != UINT32_MAX)
            m[twin].v = m[i].v;
        else
            m[kept++] = m[i];
    }
    *count = kept;
    return true;
}

static bool resolve_object(struct mr_arena *a, const struct mr_value *in, struct mr_value *out)
{
    const struct mr_json_kernel *k = mr_json_kernel();
    const char *end = in->u.s + in->len, *p = blanks(in->u.s + 1);
    struct mr_member small[SMALL], *members = small;
    uint32_t n = 0, cap = SMALL;
    while (*p != '}') {
        if (n == cap) {
            struct mr_member *more = mr_arena_take(a, (size_t)cap * 2 * sizeof *more);
            if (!more)
                return false;
            memcpy(more, members, n * sizeof *more);
            members = more;
            cap *= 2;
        }
        struct mr_member *m = &members[n++];
        const char *q = k->skip(p, end);
        struct mr_slice name = {p + 1, (size_t)(q - p - 2)};
        if (memchr(name.p, '\\', name.len) && !unescape(a, p + 1, q - 1, &name))
            return false;
        *m = (struct mr_member){.name = name.p, .name_len = (uint32_t)name.len};
        p = blanks(blanks(q) + 1); /* the colon */
        p = blanks(value_at(k, p, end, in->spare, &m->v));
        if (*p == ',')
            p = blanks(p + 1);
    }
    if (!merge_twins(a, members, &n))
        return false;
    if (members == small) {
        members = mr_arena_take(a, (n ? n : 1) * sizeof *members);
        if (!members)
            return false;
        memcpy(members, small, n * sizeof *members);
    }
    *out = (struct mr_value){.tag = MR_OBJECT, .len = n, .u.object = members};
    return true;
}

/* Too large for a double is infinite, as in Lua and JavaScript; the text of an untouched event stays. */
static double float_of(struct mr_slice text)
{
    double f = 0;
    if (!mr_parse_f64(text, &f))
        f = *text.p == '-' ? -HUGE_VAL : HUGE_VAL;
    return f;
}

bool mr_json_scalar(const struct mr_value *in, struct mr_value *out)
{
    if (in->hint == MR_INT) {
        int64_t i = 0;
        bool fits = mr_parse_i64(mr_value_text(in), &i);
        mr_assert(fits);
        *out = mr_value_int(i);
        return true;
    }
    if (in->hint == MR_FLOAT) {
        *out = mr_value_float(float_of(mr_value_text(in))); /* in and out may be the same */
        return true;
    }
    return false;
}

bool mr_json_resolve(struct mr_arena *a, const struct mr_value *in, struct mr_value *out)
{
    if (in->tag != MR_JSON) {
        *out = *in;
        return true;
    }
    switch (in->hint) {
    case MR_LIST:
        return resolve_list(a, in, out);
    case MR_OBJECT:
        return resolve_object(a, in, out);
    case MR_STRING: {
        struct mr_slice s;
        if (!unescape(a, in->u.s + 1, in->u.s + in->len - 1, &s))
            return false;
        *out = (struct mr_value){.tag = MR_STRING, .len = (uint32_t)s.len, .u.s = s.p};
        return true;
    }
    default:
        return mr_json_scalar(in, out);
    }
}

bool mr_json_name_is(const char *p, const char *end, const char *name, size_t len)
{
    if ((size_t)(end - p) == len && memcmp(p, name, len) == 0)
        return memchr(p, '\\', len) == NULL;
    if ((size_t)(end - p) <= len || !memchr(p, '\\', (size_t)(end - p)))
        return false;
    while (p < end) {
        char ch[4];
        size_t n = (size_t)next_char(&p, ch);
        if (n > len || memcmp(ch, name, n) != 0)
            return false;
        name += n;
        len -= n;
    }
    return len == 0;
}

struct mr_value mr_json_member(const struct mr_value *object, const char *name, size_t len)
{
    const struct mr_json_kernel *k = mr_json_kernel();
    struct mr_value found = {0};
    const char *end = object->u.s + object->len;
    const char *p = k->member(object->u.s, end, name ? name : "", len, object->spare & MR_JSON_UNIQUE);
    if (p)
        (void)value_at(k, p, end, object->spare, &found);
    return found;
}

struct mr_value mr_json_item(const struct mr_value *list, uint64_t index)
{
    const struct mr_json_kernel *k = mr_json_kernel();
    struct mr_value found = {0};
    const char *end = list->u.s + list->len, *p = blanks(list->u.s + 1);
    for (; *p != ']'; index--) {
        if (index == 0) {
            (void)value_at(k, p, end, list->spare, &found);
            break;
        }
        p = blanks(k->skip(p, end));
        if (*p == ',')
            p = blanks(p + 1);
    }
    return found;
}

uint32_t mr_json_count(const struct mr_value *list)
{
    const struct mr_json_kernel *k = mr_json_kernel();
    const char *end = list->u.s + list->len, *p = blanks(list->u.s + 1);
    uint32_t n = 0;
    while (*p != ']') {
        n++;
        p = blanks(k->skip(p, end));
        if (*p == ',')
            p = blanks(p + 1);
    }
    return n;
}
