/* json.c - the public reader: picks the kernel, tells faults, and keeps an event's text to one line. */
#include "data/json.h"

#include "data/batch_inside.h"
#include "data/json_kernel.h"

#include <stdatomic.h>

static _Atomic(const struct mr_json_kernel *) chosen;

void mr_json_kernel_use(const struct mr_json_kernel *k)
{
    atomic_store_explicit(&chosen, k, memory_order_relaxed);
}

const struct mr_json_kernel *mr_json_kernel(void)
{
    const struct mr_json_kernel *k = atomic_load_explicit(&chosen, memory_order_relaxed);
    if (k)
        return k;
    k = &mr_json_kernel_base;
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2"))
        k = &mr_json_kernel_avx2;
#endif
    mr_json_kernel_use(k);
    return k;
}

static mr_code tell(struct mr_slice text, const struct mr_json_fault *f, struct mr_err *err)
{
    size_t at = text.p && f->at ? (size_t)(f->at - text.p) : 0;
    mr_code code = f->limit ? MR_LIMIT : MR_BADDATA;
    if (!text.p || at >= text.len)
        mr_fail(err, code, "json: byte %zu, the end: %s", at, f->why);
    else if (text.p[at] > ' ' && text.p[at] < 0x7f)
        mr_fail(err, code, "json: byte %zu, '%c': %s", at, text.p[at], f->why);
    else
        mr_fail(err, code, "json: byte %zu, 0x%02x: %s", at, (unsigned char)text.p[at], f->why);
    if (err)
        err->at = (uint32_t)at;
    return code;
}

mr_code mr_json_read(struct mr_slice text, struct mr_value *out, struct mr_err *err)
{
    struct mr_json_fault f = {0};
    if (!mr_json_kernel()->read(text, out, &f))
        return tell(text, &f, err);
    return MR_OK;
}

mr_code mr_json_read_row(struct mr_batch *b, uint32_t row, struct mr_slice text, struct mr_err *err)
{
    const struct mr_json_kernel *k = mr_json_kernel();
    struct mr_batch_more *m = mr_batch_more_of(b);
    struct mr_json_fault f = {0};
    struct mr_slice body;
    bool lines = false;
    m->text_len[row] = 0;
    b->raw[row].len = 0;
    if (!k->read_row(b, row, text, &body, &lines, &f)) {
        k->forget(b, row, text);
        return tell(text, &f, err);
    }
    if (lines) { /* a pretty-printed object: an event is one line, so its breaks become blanks */
        struct mr_slice copy = mr_slice_copy(b->arena, body);
        char *p = (char *)(uintptr_t)copy.p; /* ours */
        for (size_t i = 0; i < copy.len; i++)
            if (p[i] == '\n' || p[i] == '\r')
                p[i] = ' ';
        if (!p || !k->read_row(b, row, copy, &body, &lines, &f)) {
            k->forget(b, row, text);
            return p ? tell(copy, &f, err) : mr_fail(err, MR_LIMIT, "json: 'batch_bytes' was reached");
        }
    }
    b->raw[row] = body;
    m->text_len[row] = (uint32_t)body.len;
    return MR_OK;
}

void mr_json_row_merged(struct mr_batch *b, uint32_t row)
{
    mr_batch_touch(b, row);
    mr_batch_more_of(b)->order[row] = 0;
}
