/* expr.c - expressions as options hold them: a literal, a native tree, or Lua. */
#include "data/expr.h"
#include "base/mem.h"
#include "data/batch.h"
#include "plugin/host.h"
#include "plugin/lua_host.h"

#include <stdatomic.h>

enum shape { CONSTANT, NATIVE, LUA };

struct mr_expr {
    enum shape shape;
    struct mr_value constant;
    struct mr_xtree *tree; /* NATIVE */
    char *text;            /* LUA, and of a constant text */
    size_t len;
    uint64_t id; /* LUA: under which states know it; never used twice */
};

mr_code mr_expr_new(const char *text, size_t len, struct mr_expr **out, struct mr_err *err)
{
    static _Atomic uint64_t ids = 1;
    struct mr_xtree *tree = NULL;
    mr_code rc = mr_xtree_parse(text, len, &tree, err);
    bool lua = rc == MR_UNSUPPORTED;
    if (lua)
        rc = mr_lua_expr_check(text, len, err);
    if (rc)
        return rc;
    struct mr_expr *x = mr_alloc(sizeof *x);
    if (x) {
        x->shape = lua ? LUA : NATIVE;
        x->tree = tree;
    }
    if (x && lua) {
        x->text = mr_strndup(text, len);
        x->len = len;
        x->id = atomic_fetch_add(&ids, 1);
    }
    if (!x || (lua && !x->text)) {
        mr_free(x);
        if (tree)
            mr_xtree_free(tree);
        return mr_fail(err, MR_MEMORY, "no memory for an expression");
    }
    *out = x;
    return MR_OK;
}

struct mr_expr *mr_expr_constant(const struct mr_value *v)
{
    struct mr_expr *x = mr_alloc(sizeof *x);
    if (!x)
        return NULL;
    x->constant = *v;
    if (v->tag == MR_STRING || v->tag == MR_BYTES) {
        x->text = mr_strndup(v->u.s, v->len);
        if (!x->text) {
            mr_free(x);
            return NULL;
        }
        x->constant.u.s = x->text;
    }
    return x;
}

void mr_expr_free(struct mr_expr *x)
{
    if (!x)
        return;
    if (x->tree)
        mr_xtree_free(x->tree);
    mr_free(x->text);
    mr_free(x);
}

bool mr_expr_native(const struct mr_expr *x)
{
    return x->shape != LUA;
}

static bool truth_of(const struct mr_value *v)
{
    return v->tag != MR_MISSING && (v->tag != MR_BOOL || v->u.b); /* as in Lua: null is true */
}

void mr_expr_test(struct mr_host *h, struct mr_expr *x, struct mr_batch *b, uint8_t *truth)
{
    switch (x->shape) {
    case NATIVE:
        mr_xtree_test(x->tree, b, truth);
        return;
    case LUA: {
        struct mr_value *out = mr_arena_take(b->arena, b->rows * sizeof *out);
        if (!out) {
            for (uint32_t k = 0; k < b->count; k++) {
                truth[b->sel[k]] = 0;
                mr_batch_reject(b, b->sel[k], "a limit was reached: no room for an expression (batch_bytes)");
            }
            return;
        }
        mr_lua_expr_eval(h, x->id, (struct mr_slice){x->text, x->len}, b, out);
        for (uint32_t k = 0; k < b->count; k++)
            truth[b->sel[k]] = truth_of(&out[b->sel[k]]);
        return;
    }
    default:
        for (uint32_t k = 0; k < b->count; k++)
            truth[b->sel[k]] = truth_of(&x->constant);
    }
}

/* A constant's text is copied once a batch: batches in flight outlive their component. */
void mr_expr_eval(struct mr_host *h, struct mr_expr *x, struct mr_batch *b, struct mr_value *out)
{
    struct mr_value v = x->constant;
    switch (x->shape) {
    case NATIVE:
        mr_xtree_eval(x->tree, b, out);
        return;
    case LUA:
        mr_lua_expr_eval(h, x->id, (struct mr_slice){x->text, x->len}, b, out);
        return;
    default:
        if (x->text) {
            struct mr_slice copy = mr_slice_copy(b->arena, mr_value_text(&v));
            if (!copy.p)
                v = (struct mr_value){.tag = MR_MISSING};
            v.u.s = copy.p;
        }
        for (uint32_t k = 0; k < b->count; k++)
            out[b->sel[k]] = v;
    }
}
