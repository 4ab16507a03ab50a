/* expr_fuzz.c - any bytes as an expression: refused with a place, left to Lua, or evaluated without harm. */
#include "data/batch.h"
#include "data/expr.h"
#include "data/json.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mr_batch_pool *pool;
    static const char first[] = "{\"i\":1,\"f\":2.5,\"s\":\"a\\nb\",\"n\":null,\"l\":[1,\"x\"],"
                                "\"o\":{\"p\":\"10\",\"q\":{\"r\":-1}}}";
    static const char *const lines[] = {first, "{\"i\":\"7\",\"s\":\"abc\",\"o\":null}", "{}"};
    if (!pool)
        pool = mr_batch_pool_new(1, 64 << 20);
    struct mr_xtree *x = NULL;
    struct mr_err err;
    mr_code code = mr_xtree_parse((const char *)data, size, &x, &err);
    if (code == MR_BADCONF && (err.at > size || err.text[0] == '\0'))
        abort();
    if (code != MR_OK)
        return 0;
    struct mr_batch *b = mr_batch_take(pool);
    struct mr_value out[3];
    uint8_t truth[3];
    if (!b)
        abort();
    mr_batch_rows(b, 3);
    for (uint32_t i = 0; i < 3; i++)
        if (mr_json_read_row(b, i, mr_slice_of(lines[i]), &err) != MR_OK)
            abort();
    mr_xtree_eval(x, b, out);
    for (uint32_t i = 0; i < 3; i++)
        if (b->fate[i] != MR_KEPT && mr_batch_reason(b, i).len == 0)
            abort();
    uint8_t fate[3];
    memcpy(fate, b->fate, sizeof fate);
    memset(b->fate, MR_KEPT, sizeof fate);
    mr_xtree_test(x, b, truth);
    for (uint32_t i = 0; i < 3; i++) {
        bool yes = out[i].tag != MR_MISSING && !(out[i].tag == MR_BOOL && !out[i].u.b);
        if (fate[i] != b->fate[i] || (fate[i] == MR_KEPT && truth[i] != yes))
            abort();
    }
    mr_xtree_free(x);
    mr_batch_free(b);
    return 0;
}
