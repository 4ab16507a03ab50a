/* value.c - values: deep copies and equality. */
#include "data/batch.h"

#include "data/json.h"

#include <math.h>

enum { DEPTH_MAX = 2 * MR_JSON_DEPTH_MAX }; /* of values that are built, by scripts or by steps */

static bool copy_at(struct mr_arena *a, const struct mr_value *in, struct mr_value *out, int depth)
{
    *out = *in;
    switch (in->tag) {
    case MR_STRING:
    case MR_BYTES:
    case MR_JSON: {
        struct mr_slice s = mr_slice_copy(a, mr_value_text(in));
        out->u.s = s.p;
        return s.p != NULL;
    }
    case MR_LIST:
        if (depth >= DEPTH_MAX)
            return false;
        out->u.list = mr_arena_take(a, (in->len ? in->len : 1) * sizeof *out->u.list);
        if (!out->u.list)
            return false;
        for (uint32_t i = 0; i < in->len; i++)
            if (!copy_at(a, &in->u.list[i], &out->u.list[i], depth + 1))
                return false;
        return true;
    case MR_OBJECT:
        if (depth >= DEPTH_MAX)
            return false;
        out->u.object = mr_arena_take(a, (in->len ? in->len : 1) * sizeof *out->u.object);
        if (!out->u.object)
            return false;
        for (uint32_t i = 0; i < in->len; i++) {
            const struct mr_member *from = &in->u.object[i];
            struct mr_member *to = &out->u.object[i];
            struct mr_slice name = mr_slice_copy(a, (struct mr_slice){from->name, from->name_len});
            *to = (struct mr_member){.name = name.p, .name_len = from->name_len};
            if (!name.p || !copy_at(a, &from->v, &to->v, depth + 1))
                return false;
        }
        return true;
    default:
        return true;
    }
}

bool mr_value_copy(struct mr_arena *a, const struct mr_value *in, struct mr_value *out)
{
    return copy_at(a, in, out, 0);
}

/* Exactly: no integer is rounded on the way. */
static bool int_is_float(int64_t i, double f)
{
    return f >= -9223372036854775808.0 && f < 9223372036854775808.0 && f == floor(f) && (int64_t)f == i;
}

static bool equal_at(struct mr_heap_arena *tmp, const struct mr_value *a, const struct mr_value *b, int depth)
{
    struct mr_value x, y;
    if (depth >= DEPTH_MAX || !mr_value_resolve(&tmp->arena, a, &x) || !mr_value_resolve(&tmp->arena, b, &y))
        return false;
    if (x.tag == MR_INT && y.tag == MR_FLOAT)
        return int_is_float(x.u.i, y.u.f);
    if (x.tag == MR_FLOAT && y.tag == MR_INT)
        return int_is_float(y.u.i, x.u.f);
    if (x.tag != y.tag)
        return false;
    switch (x.tag) {
    case MR_BOOL:
        return x.u.b == y.u.b;
    case MR_INT:
    case MR_TIME:
        return x.u.i == y.u.i;
    case MR_FLOAT:
        return x.u.f == y.u.f;
    case MR_STRING:
    case MR_BYTES:
        return mr_slice_eq(mr_value_text(&x), mr_value_text(&y));
    case MR_LIST:
        if (x.len != y.len)
            return false;
        for (uint32_t i = 0; i < x.len; i++)
            if (!equal_at(tmp, &x.u.list[i], &y.u.list[i], depth + 1))
                return false;
        return true;
    case MR_OBJECT:
        if (x.len != y.len)
            return false;
        for (uint32_t i = 0; i < x.len; i++) {
            const struct mr_member *mx = &x.u.object[i], *my = NULL;
            for (uint32_t k = 0; k < y.len && !my; k++) { /* mostly in the same order */
                const struct mr_member *c = &y.u.object[(i + k) % y.len];
                if (c->name_len == mx->name_len && memcmp(c->name, mx->name, c->name_len) == 0)
                    my = c;
            }
            if (!my || !equal_at(tmp, &mx->v, &my->v, depth + 1))
                return false;
        }
        return true;
    default:
        return true; /* missing, null */
    }
}

bool mr_value_equal(const struct mr_value *a, const struct mr_value *b)
{
    struct mr_heap_arena tmp;
    mr_heap_arena_init(&tmp, 4096, 0, (size_t)1 << 30);
    bool same = equal_at(&tmp, a, b, 0);
    mr_heap_arena_fini(&tmp);
    return same;
}
