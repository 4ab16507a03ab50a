/* tree.c - scalars, lists and maps with their places; their values; complaints.
 *
 * Values follow YAML 1.2's core schema: a plain scalar is null, a boolean, an integer or a float when it
 * looks like one of those and text otherwise; what stands in quotes is text. `yes`, `no`, `on` and `off` are
 * text.
 */
#include "plugin/tree.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>

struct mr_node *mr_node_get(const struct mr_node *map, const char *key)
{
    if (!map || map->kind != MR_NODE_MAP)
        return NULL;
    struct mr_slice want = mr_slice_of(key);
    for (struct mr_node *n = map->first; n; n = n->next)
        if (mr_slice_eq(n->key, want))
            return n;
    return NULL;
}

static bool is_one_of(struct mr_slice text, const char *const *words)
{
    for (; *words; words++)
        if (mr_slice_eq(text, mr_slice_of(*words)))
            return true;
    return false;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* [-+]?[0-9]+ | 0o[0-7]+ | 0x[0-9a-fA-F]+ ; false also when it does not fit 64 bits */
static bool core_int(struct mr_slice t, int64_t *out)
{
    if (t.len > 2 && t.p[0] == '0' && (t.p[1] == 'x' || t.p[1] == 'o')) {
        uint64_t v = 0;
        unsigned shift = t.p[1] == 'x' ? 4 : 3;
        for (size_t i = 2; i < t.len; i++) {
            char c = t.p[i];
            unsigned d = is_digit(c)              ? (unsigned)(c - '0')
                         : (c >= 'a' && c <= 'f') ? (unsigned)(c - 'a' + 10)
                         : (c >= 'A' && c <= 'F') ? (unsigned)(c - 'A' + 10)
                                                  : 99;
            if (d >= (1U << shift) || v >> (63 - shift))
                return false;
            v = v << shift | d;
        }
        *out = (int64_t)v;
        return true;
    }
    if (t.len > 1 && t.p[0] == '+' && is_digit(t.p[1])) {
        t.p++;
        t.len--;
    }
    /* leading zeros are decimal in YAML 1.2 */
    bool minus = t.len > 1 && t.p[0] == '-';
    size_t i = minus;
    if (i == t.len)
        return false;
    uint64_t v = 0, limit = (uint64_t)INT64_MAX + minus;
    for (; i < t.len; i++) {
        if (!is_digit(t.p[i]))
            return false;
        unsigned d = (unsigned)(t.p[i] - '0');
        if (v > (limit - d) / 10)
            return false;
        v = v * 10 + d;
    }
    *out = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

/* [-+]? ( \.[0-9]+ | [0-9]+(\.[0-9]*)? ) ([eE][-+]?[0-9]+)? | [-+]?\.inf | \.nan */
static bool core_float(struct mr_slice t, double *out)
{
    static const char *const inf[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const nan[] = {".nan", ".NaN", ".NAN", NULL};
    if (is_one_of(t, nan)) {
        *out = (double)__builtin_nanf("");
        return true;
    }
    size_t i = 0;
    if (t.len && (t.p[0] == '+' || t.p[0] == '-'))
        i = 1;
    if (is_one_of((struct mr_slice){t.p + i, t.len - i}, inf)) {
        *out = t.p[0] == '-' ? -__builtin_inf() : __builtin_inf();
        return true;
    }
    size_t whole = i;
    while (i < t.len && is_digit(t.p[i]))
        i++;
    size_t digits = i - whole;
    if (i < t.len && t.p[i] == '.') {
        size_t fraction = ++i;
        while (i < t.len && is_digit(t.p[i]))
            i++;
        if (!digits && i == fraction)
            return false;
    } else if (!digits) {
        return false;
    }
    if (i < t.len && (t.p[i] == 'e' || t.p[i] == 'E')) {
        i++;
        if (i < t.len && (t.p[i] == '+' || t.p[i] == '-'))
            i++;
        size_t exponent = i;
        while (i < t.len && is_digit(t.p[i]))
            i++;
        if (i == exponent)
            return false;
    }
    if (i != t.len)
        return false;
    char text[64];
    if (t.len >= sizeof text)
        return false;
    memcpy(text, t.p, t.len);
    text[t.len] = '\0';
    *out = strtod(text, NULL);
    return true;
}

static bool scalar_value(const struct mr_node *n, struct mr_arena *a, struct mr_value *out)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    int64_t i;
    double f;
    if (n->plain) {
        if (is_one_of(n->text, nulls)) {
            *out = (struct mr_value){.tag = MR_NULL};
            return true;
        }
        if (is_one_of(n->text, trues) || is_one_of(n->text, falses)) {
            *out = mr_value_bool(is_one_of(n->text, trues));
            return true;
        }
        if (core_int(n->text, &i)) {
            *out = mr_value_int(i);
            return true;
        }
        if (core_float(n->text, &f)) {
            *out = mr_value_float(f);
            return true;
        }
    }
    if (n->text.len > UINT32_MAX)
        return false;
    struct mr_slice copy = mr_slice_copy(a, n->text);
    *out = mr_value_string(copy);
    return copy.p != NULL;
}

bool mr_node_value(const struct mr_node *n, struct mr_arena *a, struct mr_value *out)
{
    if (n->kind == MR_NODE_SCALAR)
        return scalar_value(n, a, out);
    uint32_t k = 0;
    if (n->kind == MR_NODE_LIST) {
        struct mr_value *items = mr_arena_take(a, (n->count + 1) * sizeof *items);
        if (!items)
            return false;
        for (const struct mr_node *c = n->first; c; c = c->next)
            if (!mr_node_value(c, a, &items[k++]))
                return false;
        *out = (struct mr_value){.tag = MR_LIST, .len = k, .u.list = items};
        return true;
    }
    struct mr_member *members = mr_arena_take(a, (n->count + 1) * sizeof *members);
    if (!members)
        return false;
    for (const struct mr_node *c = n->first; c; c = c->next, k++) {
        struct mr_slice name = mr_slice_copy(a, c->key);
        members[k] = (struct mr_member){.name = name.p, .name_len = (uint32_t)name.len};
        if (!name.p || !mr_node_value(c, a, &members[k].v))
            return false;
    }
    *out = (struct mr_value){.tag = MR_OBJECT, .len = k, .u.object = members};
    return true;
}

static struct mr_node *node_of(const struct mr_value *v, struct mr_arena *a, uint32_t line, bool top)
{
    struct mr_node *n = mr_arena_take(a, sizeof *n);
    if (!n)
        return NULL;
    *n = (struct mr_node){.plain = true, .line = line, .column = 1};
    char text[40] = "null";
    int len = 4;
    switch (v->tag) {
    case MR_STRING:
    case MR_BYTES:
        n->plain = false;
        /* fall through */
    case MR_JSON: /* only scalars come undecoded here: see decoder_new, which resolves before */
        n->text = mr_slice_copy(a, mr_value_text(v));
        return n->text.p ? n : NULL;
    case MR_LIST:
    case MR_OBJECT: {
        n->kind = v->tag == MR_LIST ? MR_NODE_LIST : MR_NODE_MAP;
        struct mr_node **link = &n->first;
        for (uint32_t i = 0; i < v->len; i++) {
            struct mr_node *c =
                node_of(v->tag == MR_LIST ? &v->u.list[i] : &v->u.object[i].v, a, top ? i + 1 : line, false);
            if (!c)
                return NULL;
            if (v->tag == MR_OBJECT) {
                c->key = (struct mr_slice){v->u.object[i].name, v->u.object[i].name_len};
                c->key_line = c->line;
                c->key_column = 1;
            }
            *link = c;
            link = &c->next;
            n->count++;
        }
        return n;
    }
    case MR_BOOL:
        len = snprintf(text, sizeof text, "%s", v->u.b ? "true" : "false");
        break;
    case MR_INT:
    case MR_TIME:
        len = mr_print_i64(v->u.i, text);
        break;
    case MR_FLOAT:
        len = mr_print_f64(v->u.f, text);
        break;
    default:
        break;
    }
    n->text = mr_slice_copy(a, (struct mr_slice){text, (size_t)len});
    return n->text.p ? n : NULL;
}

struct mr_node *mr_node_of_value(const struct mr_value *v, struct mr_arena *a)
{
    return node_of(v, a, 1, true);
}

/* ---------------------------------------------------------------- complaints */

static void add(struct mr_diags *d, struct mr_diag one, const char *note, const char *format, va_list args)
{
    one.warning ? (void)0 : (void)d->errors++;
    if (d->count == MR_DIAGS_MAX) {
        d->more++;
        return;
    }
    struct mr_diag *v = mr_realloc(d->v, (d->count + 1) * sizeof *v);
    if (!v) {
        d->more++;
        return;
    }
    d->v = v;
    char text[1024];
    int n = vsnprintf(text, sizeof text, format, args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    one.text = mr_strndup(text, len);
    one.note = note && *note ? mr_strndup(note, strlen(note)) : NULL;
    if (!one.length)
        one.length = 1;
    d->v[d->count++] = one;
}

void mr_diag_node(struct mr_diags *d, const struct mr_node *n, uint32_t at, const char *note,
                  const char *format, ...)
{
    struct mr_diag one = {.file = n->file, .line = n->line, .column = n->column, .length = 1};
    if (n->kind == MR_NODE_SCALAR) {
        /* A text over several lines begins somewhere below its first mark: the caret stays there. */
        bool folded = n->text.len && memchr(n->text.p, '\n', n->text.len);
        if (!folded && at)
            one.column += at + (n->file && !n->plain ? 1 : 0);
        else if (n->end_column > n->column)
            one.length = n->end_column - n->column;
    }
    va_list args;
    va_start(args, format);
    add(d, one, note, format, args);
    va_end(args);
}

void mr_diag_key(struct mr_diags *d, const struct mr_node *value, const char *note, const char *format, ...)
{
    struct mr_diag one = {.file = value->file,
                          .line = value->key_line,
                          .column = value->key_column,
                          .length = (uint32_t)value->key.len};
    va_list args;
    va_start(args, format);
    add(d, one, note, format, args);
    va_end(args);
}

void mr_diags_fini(struct mr_diags *d)
{
    for (uint32_t i = 0; i < d->count; i++) {
        mr_free(d->v[i].text);
        mr_free(d->v[i].note);
    }
    mr_free(d->v);
    *d = (struct mr_diags){0};
}
