/* expr.c - expressions as options hold them: a literal, a native tree, or Lua. */
#include "data/expr.h"
#include "base/mem.h"
#include "plugin/host.h"

struct mr_expr {
    struct mr_value constant; /* when there is neither tree nor text; its text is `text` */
    struct mr_xtree *tree;    /* native */
    char *text;
};

mr_code mr_expr_new(const char *text, size_t len, struct mr_expr **out, struct mr_err *err)
{
    struct mr_xtree *tree = NULL;
    mr_code rc = mr_xtree_parse(text, len, &tree, err);
    if (rc == MR_UNSUPPORTED)
        return mr_fail(err, MR_BADCONF, "'%.*s' is beyond native expressions", (int)len, text);
    if (rc)
        return rc;
    struct mr_expr *x = mr_alloc(sizeof *x);
    if (!x) {
        mr_xtree_free(tree);
        return mr_fail(err, MR_MEMORY, "no memory for an expression");
    }
    x->tree = tree;
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
    return x->tree || !x->text || x->constant.tag != MR_MISSING;
}

static bool truth_of(const struct mr_value *v)
{
    return !(v->tag == MR_MISSING || v->tag == MR_NULL || (v->tag == MR_BOOL && !v->u.b));
}

void mr_expr_test(struct mr_host *h, struct mr_expr *x, struct mr_batch *b, uint8_t *truth)
{
    (void)h;
    if (x->tree) {
        mr_xtree_test(x->tree, b, truth);
        return;
    }
    for (uint32_t k = 0; k < b->count; k++)
        truth[b->sel[k]] = truth_of(&x->constant);
}

/* A constant's text outlives the batch: an expression is freed with its component, batches in flight are not
 * waited for; so text is copied once a batch. */
void mr_expr_eval(struct mr_host *h, struct mr_expr *x, struct mr_batch *b, struct mr_value *out)
{
    (void)h;
    if (x->tree) {
        mr_xtree_eval(x->tree, b, out);
        return;
    }
    struct mr_value v = x->constant;
    if (x->text) {
        struct mr_slice copy = mr_slice_copy(b->arena, mr_value_text(&v));
        if (!copy.p)
            v = (struct mr_value){.tag = MR_MISSING};
        v.u.s = copy.p;
    }
    for (uint32_t k = 0; k < b->count; k++)
        out[b->sel[k]] = v;
}
