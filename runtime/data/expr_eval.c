/* expr_eval.c - a tree over the chosen rows of a batch, a chunk of rows at a time, node by node.
 *
 * Words.  A *chunk* is up to MR_X_CHUNK rows, given by their numbers. A *level* is a set of buffers for one
 *         chunk; a node leaves its result in its caller's and works in its own.
 *
 * Laws:
 *   E1  the right side of `and` and `or` is evaluated for the rows that reach it, and for no others
 *   E2  a row that raises is rejected with its first reason, and nothing further is evaluated for it
 *   E3  values that nobody decodes stay text: comparing a number costs its digits, and no memory
 */
#include "data/expr_inside.h"

#include "base/text.h"
#include "data/batch.h"
#include "data/json.h"

struct run {
    struct mr_xtree *tree;
    struct mr_batch *b;
};

static void eval(const struct run *r, const struct mr_xnode *n, const uint16_t *rows, uint32_t count,
                 struct mr_value *out, uint32_t level);

static struct mr_value *values_at(const struct run *r, uint32_t level)
{
    return r->tree->values + (size_t)level * MR_X_CHUNK;
}

static uint16_t *rows_at(const struct run *r, uint32_t level)
{
    return r->tree->rows + (size_t)level * MR_X_CHUNK;
}

static uint16_t *places_at(const struct run *r, uint32_t level)
{
    return r->tree->places + (size_t)level * MR_X_CHUNK;
}

static uint8_t *truths_at(const struct run *r, uint32_t level)
{
    return r->tree->truths + (size_t)level * MR_X_CHUNK;
}

static __attribute__((noinline, cold)) void raised(const struct run *r, uint16_t row,
                                                   const struct mr_xfault *f)
{
    if (r->b->fate[row] == MR_KEPT) /* E2 */
        mr_batch_reject(r->b, row, "%s", f->text);
}

/* In place. false: raised. */
static inline bool decode(const struct run *r, uint16_t row, struct mr_value *v)
{
    if (v->tag == MR_MISSING || v->tag == MR_BOOL || v->tag == MR_INT || v->tag == MR_FLOAT ||
        v->tag == MR_STRING)
        return true;
    if (v->tag == MR_X_RAISED)
        return false;
    struct mr_value in = *v;
    if (mr_x_decode(r->b->arena, &in, v))
        return true;
    raised(r, row, &(struct mr_xfault){"'batch_bytes' was reached"});
    return false;
}

/* ---------------------------------------------------------------- leaves */

static void eval_field(const struct run *r, const struct mr_xnode *n, const uint16_t *rows, uint32_t count,
                       struct mr_value *out)
{
    if (n->slot < 0) {
        memset(out, 0, count * sizeof *out);
        return;
    }
    const struct mr_value *v = r->b->column[n->slot].v;
    for (uint32_t k = 0; k < count; k++)
        out[k] = v[rows[k]];
}

static struct mr_value meta_value(const struct mr_batch *b, enum mr_x_meta what, uint16_t row)
{
    const struct mr_value nil = {0};
    switch (what) {
    case META_KEY:
        return b->key[row];
    case META_TS:
        return b->time[row] == MR_TIME_NONE ? nil : mr_value_int(b->time[row]);
    case META_TOPIC:
        return b->partition >= 0 ? mr_value_string(b->source) : nil;
    case META_PARTITION:
        return b->partition >= 0 ? mr_value_int(b->partition) : nil;
    case META_OFFSET:
        return b->offset[row] >= 0 ? mr_value_int(b->offset[row]) : nil;
    case META_SOURCE:
        return b->source.len ? mr_value_string(b->source) : nil;
    case META_HEADERS:
        break;
    }
    if (b->headers && b->headers[row].tag != MR_MISSING)
        return b->headers[row];
    return (struct mr_value){.tag = MR_OBJECT}; /* no headers: none of them has a value */
}

/* ---------------------------------------------------------------- operators */

/* The rows whose left side does not decide. Returns how many; their numbers and places are at `level`. */
static uint32_t undecided(const struct run *r, bool wanted, const uint16_t *rows, uint32_t count,
                          const struct mr_value *left, uint32_t level)
{
    uint16_t *some = rows_at(r, level), *places = places_at(r, level);
    uint32_t n = 0;
    for (uint32_t k = 0; k < count; k++) {
        some[n] = rows[k];
        places[n] = (uint16_t)k;
        n += left[k].tag != MR_X_RAISED && mr_x_true(&left[k]) == wanted;
    }
    return n;
}

static void eval_logic(const struct run *r, const struct mr_xnode *n, const uint16_t *rows, uint32_t count,
                       struct mr_value *out, uint32_t level)
{
    eval(r, n->a, rows, count, out, level + 1);
    uint32_t some = undecided(r, n->op == X_AND, rows, count, out, level); /* E1 */
    if (!some)
        return;
    struct mr_value *right = values_at(r, level);
    eval(r, n->b, rows_at(r, level), some, right, level + 1);
    const uint16_t *places = places_at(r, level);
    for (uint32_t k = 0; k < some; k++)
        out[places[k]] = right[k];
}

static bool apply(const struct run *r, const struct mr_xnode *n, struct mr_value *a, const struct mr_value *b,
                  struct mr_xfault *f)
{
    bool yes;
    struct mr_value v;
    switch (n->op) {
    case X_NOT:
        *a = mr_value_bool(!mr_x_true(a));
        return true;
    case X_NEG:
        return mr_x_negate(a, &v, n, f) && (*a = v, true);
    case X_LEN:
        return mr_x_length(a, &v, n, f) && (*a = v, true);
    case X_INDEX:
        return mr_x_index(a, n, &v, f) && (*a = v, true);
    case X_EQ:
    case X_NE:
        *a = mr_value_bool(mr_x_equal(a, b) == (n->op == X_EQ));
        return true;
    case X_LT:
    case X_LE:
    case X_GT:
    case X_GE:
        return mr_x_order(n->op, a, b, &yes, n, f) && (*a = mr_value_bool(yes), true);
    case X_CONCAT:
        return mr_x_concat(r->b->arena, a, b, &v, n, f) && (*a = v, true);
    default:
        return mr_x_arith(n->op, a, b, &v, n, f) && (*a = v, true);
    }
}

static void eval_unary(const struct run *r, const struct mr_xnode *n, const uint16_t *rows, uint32_t count,
                       struct mr_value *out, uint32_t level)
{
    eval(r, n->a, rows, count, out, level + 1);
    for (uint32_t k = 0; k < count; k++) {
        struct mr_xfault f;
        if (!decode(r, rows[k], &out[k])) {
            out[k].tag = MR_X_RAISED;
        } else if (!apply(r, n, &out[k], NULL, &f)) {
            raised(r, rows[k], &f);
            out[k].tag = MR_X_RAISED;
        }
    }
}

static void eval_binary(const struct run *r, const struct mr_xnode *n, const uint16_t *rows, uint32_t count,
                        struct mr_value *out, uint32_t level)
{
    struct mr_value *right = values_at(r, level);
    eval(r, n->a, rows, count, out, level + 1);
    eval(r, n->b, rows, count, right, level + 1);
    for (uint32_t k = 0; k < count; k++) {
        struct mr_xfault f;
        if (!decode(r, rows[k], &out[k]) || !decode(r, rows[k], &right[k])) {
            out[k].tag = MR_X_RAISED;
        } else if (!apply(r, n, &out[k], &right[k], &f)) {
            raised(r, rows[k], &f);
            out[k].tag = MR_X_RAISED;
        }
    }
}

static void eval_method(const struct run *r, const struct mr_xnode *n, const uint16_t *rows, uint32_t count,
                        struct mr_value *out, uint32_t level)
{
    eval(r, n->a, rows, count, out, level + n->arg_count + 1);
    for (uint32_t i = 0; i < n->arg_count; i++)
        eval(r, n->arg[i], rows, count, values_at(r, level + i), level + n->arg_count + 1);
    for (uint32_t k = 0; k < count; k++) {
        struct mr_value args[3] = {0}, v;
        struct mr_xfault f;
        bool good = decode(r, rows[k], &out[k]);
        for (uint32_t i = 0; good && i < n->arg_count; i++) {
            args[i] = values_at(r, level + i)[k];
            good = decode(r, rows[k], &args[i]);
        }
        if (good && !mr_x_method(r->b->arena, n, &out[k], args, &v, &f)) {
            raised(r, rows[k], &f);
            good = false;
        }
        if (good)
            out[k] = v;
        else
            out[k].tag = MR_X_RAISED;
    }
}

/* out[k] of rows[k]; a row that raised has the tag MR_X_RAISED. */
static void eval(const struct run *r, const struct mr_xnode *n, const uint16_t *rows, uint32_t count,
                 struct mr_value *out, uint32_t level)
{
    switch (n->op) {
    case X_CONST:
        for (uint32_t k = 0; k < count; k++)
            out[k] = n->lent;
        break;
    case X_FIELD:
        eval_field(r, n, rows, count, out);
        break;
    case X_META:
        for (uint32_t k = 0; k < count; k++)
            out[k] = meta_value(r->b, n->what, rows[k]);
        break;
    case X_AND:
    case X_OR:
        eval_logic(r, n, rows, count, out, level);
        break;
    case X_METHOD:
        eval_method(r, n, rows, count, out, level);
        break;
    case X_NOT:
    case X_NEG:
    case X_LEN:
    case X_INDEX:
        eval_unary(r, n, rows, count, out, level);
        break;
    default:
        eval_binary(r, n, rows, count, out, level);
    }
}

/* ---------------------------------------------------------------- truth alone */

/* The values of a node without copying, when it is a field: v[row], else v[k]. */
struct operand {
    const struct mr_value *v;
    bool by_row;
};

static const struct mr_value none = {0};

static struct operand operand_of(const struct run *r, const struct mr_xnode *n, const uint16_t *rows,
                                 uint32_t count, uint32_t level)
{
    if (n->op == X_FIELD && n->slot >= 0)
        return (struct operand){r->b->column[n->slot].v, true};
    struct mr_value *v = values_at(r, level);
    eval(r, n, rows, count, v, level + 1);
    return (struct operand){v, false};
}

static inline const struct mr_value *pick(struct operand o, const uint16_t *rows, uint32_t k)
{
    return &o.v[o.by_row ? rows[k] : k];
}

static bool order_true(enum mr_x_op op, int c)
{
    switch (op) {
    case X_EQ:
        return c == 0;
    case X_NE:
        return c != 0;
    case X_LT:
        return c < 0;
    case X_LE:
        return c <= 0;
    case X_GT:
        return c == 1;
    default:
        return c == 0 || c == 1;
    }
}

/* The slow way for one row, with all of the rules. `field` is left of the constant unless `turned`. */
static __attribute__((noinline)) uint8_t compare_one(const struct run *r, const struct mr_xnode *n,
                                                     uint16_t row, struct mr_value v, bool turned)
{
    struct mr_xfault f;
    struct mr_value c = turned ? n->a->v : n->b->v;
    if (!decode(r, row, &v) || !decode(r, row, &c))
        return 0;
    struct mr_value *a = turned ? &c : &v;
    if (!apply(r, n, a, turned ? &v : &c, &f)) {
        raised(r, row, &f);
        return 0;
    }
    return a->u.b;
}

/* Small decimal integers, the usual numbers of events, without a call. */
static inline bool quick_int(const struct mr_value *v, int64_t *out)
{
    if (v->tag == MR_INT) {
        *out = v->u.i;
        return true;
    }
    if (v->tag != MR_JSON || v->hint != MR_INT || v->len > 18)
        return false;
    const char *p = v->u.s, *end = p + v->len;
    bool negative = *p == '-';
    int64_t i = 0;
    for (p += negative; p < end; p++)
        i = i * 10 + (*p - '0');
    *out = negative ? -i : i;
    return true;
}

static void test_compare(const struct run *r, const struct mr_xnode *n, const uint16_t *rows, uint32_t count,
                         uint8_t *truth, uint32_t level)
{
    bool turned = n->b->op != X_CONST;
    const struct mr_value c = turned ? n->a->v : n->b->v;
    struct operand o = operand_of(r, turned ? n->b : n->a, rows, count, level);
    if (c.tag == MR_STRING && (n->op == X_EQ || n->op == X_NE)) {
        uint8_t differ = n->op == X_NE;
        for (uint32_t k = 0; k < count; k++) {
            const struct mr_value *v = pick(o, rows, k);
            if (v->tag == MR_STRING)
                truth[k] = (v->len == c.len && (c.len == 0 || memcmp(v->u.s, c.u.s, c.len) == 0)) ^ differ;
            else
                truth[k] = compare_one(r, n, rows[k], *v, turned);
        }
        return;
    }
    if (c.tag == MR_INT) {
        for (uint32_t k = 0; k < count; k++) {
            const struct mr_value *v = pick(o, rows, k);
            int64_t i;
            if (quick_int(v, &i))
                truth[k] = order_true(n->op, turned ? (c.u.i > i) - (c.u.i < i) : (i > c.u.i) - (i < c.u.i));
            else
                truth[k] = compare_one(r, n, rows[k], *v, turned);
        }
        return;
    }
    for (uint32_t k = 0; k < count; k++) {
        struct mr_value v = *pick(o, rows, k);
        if (c.tag == MR_FLOAT && (v.tag == MR_FLOAT || (v.tag == MR_JSON && mr_json_scalar(&v, &v))))
            truth[k] = order_true(n->op, turned ? mr_x_compare(&c, &v) : mr_x_compare(&v, &c));
        else
            truth[k] = compare_one(r, n, rows[k], v, turned);
    }
}

static void test_text(const struct run *r, const struct mr_xnode *n, const uint16_t *rows, uint32_t count,
                      uint8_t *truth, uint32_t level)
{
    struct operand o = operand_of(r, n->a, rows, count, level);
    struct mr_value args[3] = {n->arg[0]->v};
    for (uint32_t k = 0; k < count; k++) {
        struct mr_value v = *pick(o, rows, k), out;
        struct mr_xfault f;
        truth[k] = 0;
        if (n->what == DO_STARTS && v.tag == MR_STRING) {
            truth[k] =
                v.len >= args[0].len && (args[0].len == 0 || memcmp(v.u.s, args[0].u.s, args[0].len) == 0);
        } else if (decode(r, rows[k], &v)) {
            if (mr_x_method(r->b->arena, n, &v, args, &out, &f))
                truth[k] = out.u.b;
            else
                raised(r, rows[k], &f);
        }
    }
}

static void test(const struct run *r, const struct mr_xnode *n, const uint16_t *rows, uint32_t count,
                 uint8_t *truth, uint32_t level)
{
    switch (n->op) {
    case X_AND:
    case X_OR: {
        uint16_t *some = rows_at(r, level), *places = places_at(r, level);
        uint8_t wanted = n->op == X_AND;
        uint32_t left = 0;
        test(r, n->a, rows, count, truth, level + 1);
        for (uint32_t k = 0; k < count; k++) { /* E1 */
            some[left] = rows[k];
            places[left] = (uint16_t)k;
            left += truth[k] == wanted && r->b->fate[rows[k]] == MR_KEPT;
        }
        if (left) {
            uint8_t *right = truths_at(r, level);
            test(r, n->b, some, left, right, level + 1);
            for (uint32_t k = 0; k < left; k++)
                truth[places[k]] = right[k];
        }
        return;
    }
    case X_NOT:
        test(r, n->a, rows, count, truth, level + 1);
        for (uint32_t k = 0; k < count; k++)
            truth[k] = !truth[k] && r->b->fate[rows[k]] == MR_KEPT;
        return;
    case X_EQ:
    case X_NE:
    case X_LT:
    case X_LE:
    case X_GT:
    case X_GE:
        if (n->a->op == X_CONST || n->b->op == X_CONST) {
            test_compare(r, n, rows, count, truth, level);
            return;
        }
        break;
    case X_METHOD:
        if ((n->what == DO_STARTS || n->what == DO_ENDS || n->what == DO_CONTAINS) &&
            n->arg[0]->op == X_CONST && n->arg[0]->v.tag == MR_STRING) {
            test_text(r, n, rows, count, truth, level);
            return;
        }
        break;
    default:
        break;
    }
    struct mr_value *v = values_at(r, level);
    eval(r, n, rows, count, v, level + 1);
    for (uint32_t k = 0; k < count; k++)
        truth[k] = v[k].tag != MR_X_RAISED && mr_x_true(&v[k]);
}

/* ---------------------------------------------------------------- a batch */

static struct run begin(struct mr_xtree *x, struct mr_batch *b)
{
    for (struct mr_xnode *n = x->fields; n; n = n->next_field)
        n->slot = mr_batch_slot(b, n->name.p, n->name.len, false);
    return (struct run){x, b};
}

/* The next chunk of rows that are still kept, from *k on; at level 0 of the buffers. */
static uint32_t next_chunk(const struct run *r, uint32_t *k, uint16_t *rows)
{
    uint32_t n = 0;
    for (; *k < r->b->count && n < MR_X_CHUNK; (*k)++) {
        rows[n] = r->b->sel[*k];
        n += r->b->fate[rows[n]] == MR_KEPT;
    }
    return n;
}

void mr_xtree_test(struct mr_xtree *x, struct mr_batch *b, uint8_t *truth)
{
    struct run r = begin(x, b);
    uint16_t rows[MR_X_CHUNK] = {0};
    uint8_t out[MR_X_CHUNK];
    for (uint32_t k = 0; k < b->count; k++)
        truth[b->sel[k]] = 0;
    for (uint32_t k = 0, n; (n = next_chunk(&r, &k, rows)) > 0;) {
        test(&r, x->root, rows, n, out, 0);
        for (uint32_t i = 0; i < n; i++)
            truth[rows[i]] = out[i] && b->fate[rows[i]] == MR_KEPT;
    }
}

/* What comes out of an evaluation outlives the tree: its texts are put into the batch first. */
static bool lend_texts(struct mr_xtree *x, struct mr_batch *b)
{
    for (struct mr_xnode *n = x->texts; n; n = n->next_text) {
        struct mr_slice s = mr_slice_copy(b->arena, mr_value_text(&n->v));
        n->lent = n->v;
        n->lent.u.s = s.p;
        if (!s.p)
            return false;
    }
    return true;
}

static void take_texts_back(struct mr_xtree *x)
{
    for (struct mr_xnode *n = x->texts; n; n = n->next_text)
        n->lent = n->v;
}

void mr_xtree_eval(struct mr_xtree *x, struct mr_batch *b, struct mr_value *out)
{
    struct run r = begin(x, b);
    uint16_t rows[MR_X_CHUNK] = {0};
    struct mr_value v[MR_X_CHUNK];
    bool lent = lend_texts(x, b);
    for (uint32_t k = 0; k < b->count; k++)
        out[b->sel[k]] = none;
    for (uint32_t k = 0, n; (n = next_chunk(&r, &k, rows)) > 0;) {
        if (lent)
            eval(&r, x->root, rows, n, v, 0);
        for (uint32_t i = 0; i < n; i++) {
            if (!lent)
                raised(&r, rows[i], &(struct mr_xfault){"'batch_bytes' was reached"});
            else if (v[i].tag != MR_X_RAISED && decode(&r, rows[i], &v[i]))
                out[rows[i]] = v[i];
        }
    }
    take_texts_back(x);
}
