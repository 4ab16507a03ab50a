/* formats.h - decoders for tests: opened from options in JSON, fed with one line, checked for their laws. */
#ifndef MR_TESTS_DATA_FORMATS_H
#define MR_TESTS_DATA_FORMATS_H

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/time.h"
#include "data/batch.h"
#include "data/format.h"
#include "data/json.h"

#include <stdlib.h>

struct decoder {
    const struct mr_format *format;
    void *self;
    struct mr_heap_arena mem; /* of the options */
};

static inline void resolve_deep(struct mr_arena *a, struct mr_value *v)
{
    struct mr_value out;
    mr_assert(mr_value_resolve(a, v, &out));
    *v = out;
    for (uint32_t i = 0; v->tag == MR_LIST && i < v->len; i++)
        resolve_deep(a, &v->u.list[i]);
    for (uint32_t i = 0; v->tag == MR_OBJECT && i < v->len; i++)
        resolve_deep(a, &v->u.object[i].v);
}

static inline void fill_option(struct decoder *d, const struct mr_option *o, const struct mr_value *v)
{
    void *to = (char *)d->self + o->at;
    if (o->type == MR_OPT_BOOL) {
        *(bool *)to = v->u.b;
    } else if (o->type == MR_OPT_INT) {
        *(int64_t *)to = v->u.i;
    } else if (o->type == MR_OPT_STRING) {
        *(struct mr_slice *)to = mr_value_text(v);
    } else if (o->type == MR_OPT_VALUE) {
        *(struct mr_value *)to = *v;
    } else if (o->type == MR_OPT_ENUM) {
        int i = 0;
        while (o->choices[i] && !mr_slice_eq(mr_slice_of(o->choices[i]), mr_value_text(v)))
            i++;
        mr_assert(o->choices[i]);
        *(int *)to = i;
    } else {
        mr_assert(o->type == MR_OPT_STRINGS); /* formats use no other types */
        uint32_t n = v->tag == MR_LIST ? v->len : 1;
        struct mr_slice *s = (struct mr_slice *)mr_arena_take(&d->mem.arena, (n + 1) * sizeof *s);
        mr_assert(s);
        for (uint32_t i = 0; i < n; i++)
            s[i] = mr_value_text(v->tag == MR_LIST ? &v->u.list[i] : v);
        *(struct mr_strings *)to = (struct mr_strings){n, s};
    }
}

static inline void fill_default(struct decoder *d, const struct mr_option *o)
{
    struct mr_value v;
    if (!o->value)
        return;
    struct mr_slice text = mr_slice_of(o->value);
    if (text.len >= 2 && text.p[0] == '"')
        text = (struct mr_slice){text.p + 1, text.len - 2};
    if (o->type == MR_OPT_BOOL)
        v = mr_value_bool(mr_slice_eq(text, MR_SLICE("true")));
    else if (o->type == MR_OPT_INT) {
        v = mr_value_int(0);
        mr_assert(mr_parse_i64(text, &v.u.i));
    } else
        v = mr_value_string(text);
    fill_option(d, o, &v);
}

/* options: a JSON object, NULL for none. An option that the table does not have ends the test. */
static inline mr_code decoder_open(struct decoder *d, const char *format, const char *options,
                                   struct mr_err *err)
{
    mr_err_clear(err);
    d->format = mr_format_find(format, strlen(format));
    mr_assert(d->format);
    mr_heap_arena_init(&d->mem, 4096, 0, 1 << 24);
    d->self = mr_need(d->format->self_size);
    for (const struct mr_option *o = d->format->options; o->name; o++)
        fill_default(d, o);
    if (options) {
        struct mr_value v;
        mr_assert(mr_json_read(mr_slice_copy(&d->mem.arena, mr_slice_of(options)), &v, err) == MR_OK);
        resolve_deep(&d->mem.arena, &v);
        mr_assert(v.tag == MR_OBJECT);
        for (uint32_t i = 0; i < v.len; i++) {
            const struct mr_option *o = d->format->options;
            while (o->name && !mr_slice_eq(mr_slice_of(o->name),
                                           (struct mr_slice){v.u.object[i].name, v.u.object[i].name_len}))
                o++;
            mr_assert(o->name);
            fill_option(d, o, &v.u.object[i].v);
        }
    }
    return d->format->open ? d->format->open(d->self, err) : MR_OK;
}

static inline void decoder_close(struct decoder *d)
{
    if (d->format->close)
        d->format->close(d->self);
    mr_free(d->self);
    mr_heap_arena_fini(&d->mem);
}

/* A batch with the texts in the field "message". */
static inline struct mr_batch *texts_of(struct mr_batch_pool *pool, const struct mr_slice *text, uint32_t n)
{
    struct mr_batch *b = mr_batch_take(pool);
    mr_assert(b);
    mr_batch_rows(b, n);
    int32_t slot = mr_batch_slot(b, "message", 7, true);
    mr_assert(slot >= 0);
    for (uint32_t i = 0; i < n; i++)
        b->column[slot].v[i] = mr_value_string(text[i]);
    return b;
}

/* What MR_HINT_PLAIN promises, byte by byte. */
static inline void check_value(const struct mr_value *v)
{
    if (v->tag == MR_STRING && v->hint == MR_HINT_PLAIN) {
        mr_assert(mr_utf8_valid(v->u.s, v->len));
        for (uint32_t i = 0; i < v->len; i++)
            mr_assert((unsigned char)v->u.s[i] >= 0x20 && v->u.s[i] != '"' && v->u.s[i] != '\\');
    }
    volatile unsigned char sum = 0; /* every byte can be read */
    for (uint32_t i = 0; v->tag == MR_STRING && i < v->len; i++)
        sum = (unsigned char)(sum + (unsigned char)v->u.s[i]);
    for (uint32_t i = 0; v->tag == MR_LIST && i < v->len; i++)
        check_value(&v->u.list[i]);
    for (uint32_t i = 0; v->tag == MR_OBJECT && i < v->len; i++) {
        check_value(&v->u.object[i].v);
        for (uint32_t k = 0; k < i; k++)
            mr_assert(!mr_slice_eq((struct mr_slice){v->u.object[i].name, v->u.object[i].name_len},
                                   (struct mr_slice){v->u.object[k].name, v->u.object[k].name_len}));
    }
}

/* The laws of every decoder, of one decoded or rejected row; `text` is what was decoded. */
static inline void check_row(struct mr_batch *b, uint32_t row, struct mr_slice text)
{
    bool rejected = b->fate[row] == MR_REJECTED;
    uint32_t fields = 0;
    for (uint32_t i = 0; i < b->columns; i++) {
        const struct mr_value *v = &b->column[i].v[row];
        fields += v->tag != MR_MISSING;
        check_value(v);
    }
    if (rejected) { /* nothing has changed, and there is a reason */
        struct mr_value v = mr_batch_get(b, row, "message", 7);
        mr_assert(v.tag == MR_STRING && mr_slice_eq(mr_value_text(&v), text));
        mr_assert(fields == 1);
        mr_assert(mr_batch_reason(b, row).len > 0);
        mr_assert(b->time[row] == MR_TIME_NONE);
    }
    struct mr_buf out = {0}; /* whatever came of it can be written, and is JSON */
    mr_assert(mr_json_write_row(&out, b, row));
    struct mr_value v;
    struct mr_err err;
    mr_assert(mr_json_read((struct mr_slice){out.p, out.len}, &v, &err) == MR_OK);
    mr_buf_fini(&out);
}

#endif
