/* expr_ops.c - what each operator and method does to one pair of values: Lua 5.4's rules (reference manual,
 * 3.4), to the bit and to the words of the errors.
 */
#include "data/expr_inside.h"

#include "base/mem.h"
#include "base/text.h"
#include "data/json.h"

#include <math.h>
#include <stdlib.h>

enum { NUMBER_TEXT = 64 };

static const char *type_name(const struct mr_value *v)
{
    switch (v->tag) {
    case MR_MISSING:
        return "nil";
    case MR_BOOL:
        return "boolean";
    case MR_INT:
    case MR_FLOAT:
    case MR_TIME:
        return "number";
    case MR_STRING:
    case MR_BYTES:
        return "string";
    case MR_NULL:
        return "null";
    case MR_JSON:
        return v->hint == MR_STRING                       ? "string"
               : v->hint == MR_INT || v->hint == MR_FLOAT ? "number"
                                                          : "table";
    default:
        return "table";
    }
}

/* " (field 'x')" when the node is one. */
static const char *who(const struct mr_xnode *n, char out[80])
{
    out[0] = '\0';
    if (n && n->name.len && (n->op == X_FIELD || n->op == X_META || n->op == X_INDEX))
        (void)snprintf(out, 80, " (field '%.*s')", (int)(n->name.len < 60 ? n->name.len : 60), n->name.p);
    return out;
}

__attribute__((format(printf, 2, 3))) static bool raise(struct mr_xfault *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
    return false;
}

bool mr_x_decode(struct mr_arena *arena, const struct mr_value *in, struct mr_value *out)
{
    *out = *in;
    switch (in->tag) {
    case MR_JSON:
        if (mr_json_scalar(in, out))
            return true;
        return in->hint == MR_STRING ? mr_json_resolve(arena, in, out) : true;
    case MR_TIME:
        out->tag = MR_INT;
        return true;
    case MR_BYTES:
        out->tag = MR_STRING;
        out->hint = 0;
        return true;
    default:
        return true;
    }
}

/* ---------------------------------------------------------------- text to numbers */

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static bool read_integer(const char *p, const char *end, int64_t *out)
{
    bool negative = false;
    uint64_t v = 0;
    if (p < end && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    if (end - p > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
        for (p += 2; p < end; p++) {
            int d = hex_digit(*p);
            if (d < 0)
                return false;
            v = v * 16 + (uint64_t)d; /* wraps, as in Lua */
        }
    } else {
        if (p == end)
            return false;
        for (; p < end; p++) {
            unsigned d = (unsigned)(unsigned char)*p - '0';
            if (d > 9 || v > ((uint64_t)INT64_MAX + negative - d) / 10)
                return false;
            v = v * 10 + d;
        }
    }
    *out = (int64_t)(negative ? 0 - v : v);
    return true;
}

bool mr_x_number(struct mr_slice text, struct mr_value *out)
{
    const char *p = text.p, *end = text.p + text.len;
    while (p < end && is_blank(*p))
        p++;
    while (p < end && is_blank(end[-1]))
        end--;
    if (p == end)
        return false;
    int64_t i;
    double f;
    if (read_integer(p, end, &i)) {
        *out = mr_value_int(i);
        return true;
    }
    struct mr_slice s = {p, (size_t)(end - p)};
    if (mr_parse_f64(s, &f)) {
        *out = mr_value_float(f);
        return true;
    }
    for (const char *q = p; q < end; q++) /* of what strtod knows: no inf, no nan */
        if (*q == 'n' || *q == 'N' || *q == '\0' || is_blank(*q))
            return false;
    char small[NUMBER_TEXT * 4], *copy = s.len < sizeof small ? small : mr_strndup(p, s.len);
    if (!copy)
        return false;
    if (copy == small) {
        memcpy(small, p, s.len);
        small[s.len] = '\0';
    }
    char *stop = NULL;
    f = strtod(copy, &stop);
    bool good = stop == copy + s.len;
    if (copy != small)
        mr_free(copy);
    if (good)
        *out = mr_value_float(f);
    return good;
}

/* For arithmetic: numbers, and strings that are numbers. */
static bool to_number(const struct mr_value *v, struct mr_value *out)
{
    if (v->tag == MR_INT || v->tag == MR_FLOAT) {
        *out = *v;
        return true;
    }
    return v->tag == MR_STRING && mr_x_number(mr_value_text(v), out);
}

static int number_text(const struct mr_value *v, char out[NUMBER_TEXT])
{
    if (v->tag == MR_INT)
        return mr_print_i64(v->u.i, out);
    int n = snprintf(out, NUMBER_TEXT, "%.14g", v->u.f);
    if (out[strspn(out, "-0123456789")] == '\0') { /* looks like an integer */
        memcpy(out + n, ".0", 3);
        n += 2;
    }
    return n;
}

/* ---------------------------------------------------------------- arithmetic */

static double as_float(const struct mr_value *v)
{
    return v->tag == MR_INT ? (double)v->u.i : v->u.f;
}

static bool int_arith(enum mr_x_op op, int64_t x, int64_t y, struct mr_value *out, struct mr_xfault *f)
{
    uint64_t a = (uint64_t)x, b = (uint64_t)y;
    switch (op) {
    case X_ADD:
        *out = mr_value_int((int64_t)(a + b));
        return true;
    case X_SUB:
        *out = mr_value_int((int64_t)(a - b));
        return true;
    case X_MUL:
        *out = mr_value_int((int64_t)(a * b));
        return true;
    case X_IDIV:
        if (y == 0)
            return raise(f, "attempt to perform 'n//0'");
        if (y == -1) /* the smallest integer has no opposite */
            *out = mr_value_int((int64_t)(0 - a));
        else
            *out = mr_value_int(x / y - (x % y != 0 && (x ^ y) < 0));
        return true;
    default: /* X_MOD */
        if (y == 0)
            return raise(f, "attempt to perform 'n%%%%0'");
        if (y == -1) {
            *out = mr_value_int(0);
        } else {
            int64_t m = x % y;
            *out = mr_value_int(m != 0 && (m ^ y) < 0 ? m + y : m);
        }
        return true;
    }
}

static double float_arith(enum mr_x_op op, double a, double b)
{
    switch (op) {
    case X_ADD:
        return a + b;
    case X_SUB:
        return a - b;
    case X_MUL:
        return a * b;
    case X_DIV:
        return a / b;
    case X_IDIV:
        return floor(a / b);
    case X_POW:
        return b == 2 ? a * a : pow(a, b);
    default: { /* X_MOD: the sign of the divisor */
        double m = fmod(a, b);
        if (m > 0 ? b < 0 : (m < 0 && b > 0))
            m += b;
        return m;
    }
    }
}

bool mr_x_arith(enum mr_x_op op, const struct mr_value *a, const struct mr_value *b, struct mr_value *out,
                const struct mr_xnode *node, struct mr_xfault *f)
{
    struct mr_value x, y;
    bool left = to_number(a, &x);
    if (!left || !to_number(b, &y)) {
        /* Lua blames the second operand if it is the first that is a number, or a string that might be one */
        bool second = left || (a->tag == MR_STRING && !to_number(b, &y) && b->tag != MR_STRING);
        char place[80];
        return raise(f, "attempt to perform arithmetic on a %s value%s", type_name(second ? b : a),
                     who(node ? (second ? node->b : node->a) : NULL, place));
    }
    if (x.tag == MR_INT && y.tag == MR_INT && op != X_DIV && op != X_POW)
        return int_arith(op, x.u.i, y.u.i, out, f);
    *out = mr_value_float(float_arith(op, as_float(&x), as_float(&y)));
    return true;
}

bool mr_x_negate(const struct mr_value *a, struct mr_value *out, const struct mr_xnode *node,
                 struct mr_xfault *f)
{
    struct mr_value x;
    char place[80];
    if (!to_number(a, &x))
        return raise(f, "attempt to perform arithmetic on a %s value%s", type_name(a),
                     who(node ? node->a : NULL, place));
    *out = x.tag == MR_INT ? mr_value_int((int64_t)(0 - (uint64_t)x.u.i)) : mr_value_float(-x.u.f);
    return true;
}

/* ---------------------------------------------------------------- comparing */

static int compare_int_float(int64_t i, double f)
{
    if (isnan(f))
        return 2;
    if (f >= 9223372036854775808.0)
        return -1;
    if (f < -9223372036854775808.0)
        return 1;
    double whole = floor(f);
    int64_t w = (int64_t)whole;
    return i < w ? -1 : i > w ? 1 : f > whole ? -1 : 0;
}

int mr_x_compare(const struct mr_value *a, const struct mr_value *b)
{
    if (a->tag == MR_INT && b->tag == MR_INT)
        return (a->u.i > b->u.i) - (a->u.i < b->u.i);
    if (a->tag == MR_INT)
        return compare_int_float(a->u.i, b->u.f);
    if (b->tag == MR_INT) {
        int c = compare_int_float(b->u.i, a->u.f);
        return c == 2 ? 2 : -c;
    }
    return a->u.f < b->u.f ? -1 : a->u.f > b->u.f ? 1 : a->u.f == b->u.f ? 0 : 2;
}

static bool is_number(const struct mr_value *v)
{
    return v->tag == MR_INT || v->tag == MR_FLOAT;
}

static int compare_text(const struct mr_value *a, const struct mr_value *b)
{
    uint32_t n = a->len < b->len ? a->len : b->len;
    int c = n ? memcmp(a->u.s, b->u.s, n) : 0;
    return c ? (c > 0) - (c < 0) : (a->len > b->len) - (a->len < b->len);
}

bool mr_x_order(enum mr_x_op op, const struct mr_value *a, const struct mr_value *b, bool *out,
                const struct mr_xnode *node, struct mr_xfault *f)
{
    int c;
    if (is_number(a) && is_number(b)) {
        c = mr_x_compare(a, b);
    } else if (a->tag == MR_STRING && b->tag == MR_STRING) {
        c = compare_text(a, b);
    } else {
        /* a > b is b < a, and its error is told that way round */
        bool turned = op == X_GT || op == X_GE;
        const char *first = type_name(turned ? b : a), *second = type_name(turned ? a : b);
        const struct mr_xnode *field = NULL;
        if (node) { /* the side that can never be compared, else the one that is not written there */
            bool fine = is_number(a) || a->tag == MR_STRING,
                 both = fine && (is_number(b) || b->tag == MR_STRING);
            field = both ? (node->a->op == X_CONST ? node->b : node->a) : fine ? node->b : node->a;
        }
        char place[80];
        if (strcmp(first, second) == 0)
            return raise(f, "attempt to compare two %s values%s", first, who(field, place));
        return raise(f, "attempt to compare %s with %s%s", first, second, who(field, place));
    }
    if (c == 2)
        *out = false;
    else
        *out = op == X_LT ? c < 0 : op == X_LE ? c <= 0 : op == X_GT ? c > 0 : c >= 0;
    return true;
}

bool mr_x_equal(const struct mr_value *a, const struct mr_value *b)
{
    if (is_number(a) && is_number(b))
        return mr_x_compare(a, b) == 0;
    if (a->tag != b->tag)
        return false;
    switch (a->tag) {
    case MR_BOOL:
        return a->u.b == b->u.b;
    case MR_STRING:
        return a->len == b->len && (a->len == 0 || memcmp(a->u.s, b->u.s, a->len) == 0);
    case MR_MISSING:
    case MR_NULL:
        return true;
    default:
        return false; /* two tables are the same only when they are one */
    }
}

/* ---------------------------------------------------------------- strings, lists */

/* The text of a string or number, in `small` if need be. */
static bool to_text(const struct mr_value *v, char small[NUMBER_TEXT], struct mr_slice *out)
{
    if (v->tag == MR_STRING) {
        *out = mr_value_text(v);
        return true;
    }
    if (!is_number(v))
        return false;
    *out = (struct mr_slice){small, (size_t)number_text(v, small)};
    return true;
}

bool mr_x_concat(struct mr_arena *arena, const struct mr_value *a, const struct mr_value *b,
                 struct mr_value *out, const struct mr_xnode *node, struct mr_xfault *f)
{
    char left[NUMBER_TEXT], right[NUMBER_TEXT], place[80];
    struct mr_slice x, y;
    bool good = to_text(a, left, &x);
    if (!good || !to_text(b, right, &y))
        return raise(f, "attempt to concatenate a %s value%s", type_name(good ? b : a),
                     who(node ? (good ? node->b : node->a) : NULL, place));
    char *p = mr_arena_take(arena, x.len + y.len + 1);
    if (!p || x.len + y.len > UINT32_MAX)
        return raise(f, "'batch_bytes' was reached");
    if (x.len)
        memcpy(p, x.p, x.len);
    if (y.len)
        memcpy(p + x.len, y.p, y.len);
    *out = mr_value_string((struct mr_slice){p, x.len + y.len});
    if ((a->tag != MR_STRING || a->hint == MR_HINT_PLAIN) &&
        (b->tag != MR_STRING || b->hint == MR_HINT_PLAIN))
        out->hint = MR_HINT_PLAIN;
    return true;
}

bool mr_x_length(const struct mr_value *a, struct mr_value *out, const struct mr_xnode *node,
                 struct mr_xfault *f)
{
    char place[80];
    if (a->tag == MR_STRING || a->tag == MR_LIST)
        *out = mr_value_int(a->len);
    else if (a->tag == MR_JSON && a->hint == MR_LIST)
        *out = mr_value_int(mr_json_count(a));
    else if (a->tag == MR_OBJECT || a->tag == MR_JSON)
        *out = mr_value_int(0); /* no items, only names */
    else
        return raise(f, "attempt to get length of a %s value%s", type_name(a), who(node->a, place));
    return true;
}

bool mr_x_index(const struct mr_value *a, const struct mr_xnode *node, struct mr_value *out,
                struct mr_xfault *f)
{
    const struct mr_value *key = &node->v;
    char place[80];
    *out = (struct mr_value){0};
    switch (a->tag) {
    case MR_JSON:
        if (a->hint == MR_OBJECT && key->tag == MR_STRING)
            *out = mr_json_member(a, key->u.s, key->len);
        else if (a->hint == MR_LIST && key->tag == MR_INT && key->u.i >= 1)
            *out = mr_json_item(a, (uint64_t)key->u.i - 1);
        return true;
    case MR_OBJECT:
        for (uint32_t i = 0; key->tag == MR_STRING && i < a->len; i++)
            if (a->u.object[i].name_len == key->len && memcmp(a->u.object[i].name, key->u.s, key->len) == 0) {
                *out = a->u.object[i].v;
                break;
            }
        return true;
    case MR_LIST:
        if (key->tag == MR_INT && key->u.i >= 1 && (uint64_t)key->u.i <= a->len)
            *out = a->u.list[key->u.i - 1];
        return true;
    case MR_STRING:
        return true; /* strings have methods, not fields */
    default:
        return raise(f, "attempt to index a %s value%s", type_name(a), who(node->a, place));
    }
}

static bool to_integer(const struct mr_value *v, int64_t *out)
{
    struct mr_value n;
    if (!to_number(v, &n))
        return false;
    if (n.tag == MR_FLOAT) {
        if (!(n.u.f >= -9223372036854775808.0 && n.u.f < 9223372036854775808.0) || floor(n.u.f) != n.u.f)
            return false;
        n.u.i = (int64_t)n.u.f;
    }
    *out = n.u.i;
    return true;
}

static bool bad_argument(struct mr_xfault *f, const struct mr_xnode *node, int arg, const char *want,
                         const struct mr_value *got)
{
    if (strcmp(want, "number") == 0 && is_number(got))
        return raise(f, "bad argument #%d to '%.*s' (number has no integer representation)", arg,
                     (int)node->name.len, node->name.p);
    return raise(f, "bad argument #%d to '%.*s' (%s expected, got %s)", arg, (int)node->name.len,
                 node->name.p, want, got->tag == MR_MISSING ? "no value" : type_name(got));
}

static bool change_case(struct mr_arena *arena, const struct mr_value *self, char from, struct mr_value *out,
                        struct mr_xfault *f)
{
    char *p = mr_arena_take(arena, (size_t)self->len + 1);
    if (!p)
        return raise(f, "'batch_bytes' was reached");
    for (uint32_t i = 0; i < self->len; i++) {
        char c = self->u.s[i];
        p[i] = (unsigned char)(c - from) < 26 ? (char)(c ^ 0x20) : c;
    }
    *out = *self;
    out->u.s = p;
    return true;
}

/* Lua's rules for positions: from 1, negative from the end. */
static void sub(const struct mr_value *self, int64_t from, int64_t to, struct mr_value *out)
{
    int64_t len = self->len;
    if (from < 0)
        from = from < -len ? 1 : len + from + 1;
    else if (from == 0)
        from = 1;
    if (to > len)
        to = len;
    else if (to < 0)
        to = to < -len ? 0 : len + to + 1;
    if (from > to)
        *out = mr_value_string((struct mr_slice){"", 0});
    else
        *out = mr_value_string((struct mr_slice){self->u.s + from - 1, (size_t)(to - from + 1)});
    /* a character of several bytes may have been cut: only a writer can tell, so no hint */
}

static void find(const struct mr_value *self, struct mr_slice what, int64_t init, struct mr_value *out)
{
    int64_t len = self->len;
    if (init < 0)
        init = init < -len ? 1 : len + init + 1;
    else if (init == 0)
        init = 1;
    *out = (struct mr_value){0};
    if (init > len + 1)
        return;
    const char *from = self->u.s + init - 1;
    const char *hit = what.len == 0 ? from : memmem(from, (size_t)(len - init + 1), what.p, what.len);
    if (hit)
        *out = mr_value_int(hit - self->u.s + 1);
}

bool mr_x_method(struct mr_arena *arena, const struct mr_xnode *node, const struct mr_value *self,
                 const struct mr_value *args, struct mr_value *out, struct mr_xfault *f)
{
    char small[NUMBER_TEXT], place[80];
    struct mr_slice what = {NULL, 0};
    int64_t i = 1, j = -1;
    if (self->tag != MR_STRING) {
        if (strcmp(type_name(self), "table") == 0)
            return raise(f, "attempt to call a nil value (method '%.*s')", (int)node->name.len, node->name.p);
        return raise(f, "attempt to index a %s value%s", type_name(self), who(node->a, place));
    }
    switch (node->what) {
    case DO_LEN:
        *out = mr_value_int(self->len);
        return true;
    case DO_LOWER:
        return change_case(arena, self, 'A', out, f);
    case DO_UPPER:
        return change_case(arena, self, 'a', out, f);
    case DO_SUB:
        if (!to_integer(&args[0], &i))
            return bad_argument(f, node, 1, "number", &args[0]);
        if (args[1].tag != MR_MISSING && !to_integer(&args[1], &j))
            return bad_argument(f, node, 2, "number", &args[1]);
        sub(self, i, j, out);
        return true;
    default:
        break;
    }
    if (!to_text(&args[0], small, &what))
        return bad_argument(f, node, 1, "string", &args[0]);
    switch (node->what) {
    case DO_STARTS:
        *out = mr_value_bool(self->len >= what.len &&
                             (what.len == 0 || memcmp(self->u.s, what.p, what.len) == 0));
        return true;
    case DO_ENDS:
        *out =
            mr_value_bool(self->len >= what.len &&
                          (what.len == 0 || memcmp(self->u.s + self->len - what.len, what.p, what.len) == 0));
        return true;
    case DO_CONTAINS:
        *out = mr_value_bool(what.len == 0 ||
                             (self->len && memmem(self->u.s, self->len, what.p, what.len) != NULL));
        return true;
    default: /* DO_FIND */
        if (args[1].tag != MR_MISSING && !to_integer(&args[1], &i))
            return bad_argument(f, node, 2, "number", &args[1]);
        find(self, what, i, out);
        return true;
    }
}
