/* services.c - struct mr_services: one table for all components.
 *
 * Fields, expressions, formats and buffers are answered from data/; what depends on the lane goes to
 * host->ops.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "data/batch.h"
#include "data/expr.h"
#include "data/format.h"
#include "data/json.h"
#include "data/template.h"
#include "plugin/host.h"
#include "plugin/option.h"

enum { LOG_TEXT_MAX = 2048, REASON_MAX = 512 };

static bool resolve(struct mr_batch *b, const struct mr_value *in, struct mr_value *out)
{
    return mr_value_resolve(b->arena, in, out);
}

__attribute__((format(printf, 3, 4))) static void reject(struct mr_batch *b, uint32_t row, const char *format,
                                                         ...)
{
    char text[REASON_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mr_batch_reject(b, row, "%s", text);
}

static struct mr_batch *batch_new(struct mr_host *h, struct mr_batch *from)
{
    return h->ops->batch_new(h, from);
}

static void emit(struct mr_host *h, struct mr_batch *b)
{
    h->ops->emit(h, b);
}

static mr_ns now(struct mr_host *h)
{
    return h->ops->now(h);
}

static mr_ms monotonic(struct mr_host *h)
{
    return h->ops->monotonic(h);
}

static void wake(struct mr_host *h)
{
    h->ops->wake(h);
}

static mr_code watch(struct mr_host *h, int fd, struct mr_err *err)
{
    return h->ops->watch(h, fd, err);
}

static void unwatch(struct mr_host *h, int fd)
{
    h->ops->unwatch(h, fd);
}

static void timer(struct mr_host *h, mr_ms at)
{
    h->ops->timer(h, at);
}

static bool once(struct mr_host *h)
{
    return h->ops->once(h);
}

__attribute__((format(printf, 3, 4))) static void log_text(struct mr_host *h, enum mr_level level,
                                                           const char *format, ...)
{
    char text[LOG_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    h->ops->log(h, level, text);
}

static void count(struct mr_host *h, const char *metric, int64_t delta)
{
    h->ops->count(h, metric, delta);
}

static void written(struct mr_host *h, uint64_t ticket, const struct mr_verdict *verdict)
{
    h->ops->written(h, ticket, verdict);
}

/* ---------------------------------------------------------------- decoders */

enum { DECODER_CHUNK = 4096, DECODER_BYTES_MAX = 16 << 20 };

struct mr_decoder {
    const struct mr_format *format;
    void *self;
    bool open;
    struct mr_heap_arena arena; /* what the options point to */
    struct mr_owned *owned;
};

static void decoder_free(struct mr_decoder *d)
{
    if (!d)
        return;
    if (d->open && d->format->close)
        d->format->close(d->self);
    mr_options_fini(d->owned);
    mr_heap_arena_fini(&d->arena);
    mr_free(d->self);
    mr_free(d);
}

static mr_code unknown_format(const char *format, size_t len, struct mr_err *err)
{
    enum { FORMATS_MAX = 64 };
    const char *names[FORMATS_MAX];
    size_t n = 0;
    char all[256] = "";
    for (const struct mr_format *const *f = mr_formats(); *f && n < FORMATS_MAX; f++) {
        names[n++] = (*f)->name;
        size_t at = strlen(all);
        snprintf(all + at, sizeof all - at, "%s%s", at ? ", " : "", (*f)->name);
    }
    const char *near = mr_nearest((struct mr_slice){format, len}, names, n);
    if (near)
        return mr_fail(err, MR_BADCONF, "no format '%.*s'; did you mean '%s'? formats: %s", (int)len, format,
                       near, all);
    return mr_fail(err, MR_BADCONF, "no format '%.*s'; formats: %s", (int)len, format, all);
}

/* The static name of option `name` in the table: err->option must outlive the call. */
static const char *static_name(const struct mr_option *table, struct mr_slice name)
{
    for (const struct mr_option *o = table; o && o->name; o++)
        if (mr_slice_eq(mr_slice_of(o->name), name))
            return o->name;
    return NULL;
}

static const char *main_name(const struct mr_option *table)
{
    for (const struct mr_option *o = table; o && o->name; o++)
        if (o->main)
            return o->name;
    return NULL;
}

/* Options come as values here, so a complaint's line is the number of the option: see mr_node_of_value. */
static void tell(const struct mr_diags *diags, const struct mr_format *format, const struct mr_node *n,
                 struct mr_err *err)
{
    const struct mr_diag *d = diags->count ? &diags->v[0] : NULL;
    (void)mr_fail(err, MR_BADCONF, "%s%s%s", d && d->text ? d->text : "options are not valid",
                  d && d->note ? "; " : "", d && d->note ? d->note : "");
    if (!err || !d || !n)
        return;
    err->at = d->column ? d->column - 1 : 0;
    if (n->kind != MR_NODE_MAP) {
        err->option = main_name(format->options);
        return;
    }
    uint32_t line = 1;
    for (const struct mr_node *c = n->first; c; c = c->next, line++)
        if (line == d->line)
            err->option = static_name(format->options, c->key);
}

static bool resolve_deep(struct mr_arena *a, const struct mr_value *in, struct mr_value *out, int depth)
{
    if (depth > MR_JSON_DEPTH_MAX || !mr_value_resolve(a, in, out))
        return false;
    if (out->tag == MR_LIST) {
        struct mr_value *v = mr_arena_take(a, (out->len + 1) * sizeof *v);
        if (!v)
            return false;
        for (uint32_t i = 0; i < out->len; i++)
            if (!resolve_deep(a, &out->u.list[i], &v[i], depth + 1))
                return false;
        out->u.list = v;
    } else if (out->tag == MR_OBJECT) {
        struct mr_member *m = mr_arena_take(a, (out->len + 1) * sizeof *m);
        if (!m)
            return false;
        for (uint32_t i = 0; i < out->len; i++) {
            m[i] = out->u.object[i];
            if (!resolve_deep(a, &out->u.object[i].v, &m[i].v, depth + 1))
                return false;
        }
        out->u.object = m;
    }
    return true;
}

static mr_code decoder_new(const char *format, size_t len, const struct mr_value *options,
                           struct mr_decoder **out, struct mr_err *err)
{
    mr_err_clear(err);
    const struct mr_format *f = mr_format_find(format, len);
    if (!f)
        return unknown_format(format, len, err);
    struct mr_decoder *d = mr_alloc(sizeof *d);
    if (!d)
        return mr_fail(err, MR_MEMORY, "no memory for a decoder");
    mr_heap_arena_init(&d->arena, DECODER_CHUNK, 0, DECODER_BYTES_MAX);
    d->format = f;
    d->self = mr_alloc(f->self_size ? f->self_size : 1);
    struct mr_node *n = NULL;
    struct mr_diags diags = {0};
    mr_code rc = d->self ? MR_OK : mr_fail(err, MR_MEMORY, "no memory for a decoder");
    if (!rc && options && options->tag != MR_MISSING && options->tag != MR_NULL) {
        struct mr_value whole;
        if (!resolve_deep(&d->arena.arena, options, &whole, 0) ||
            !(n = mr_node_of_value(&whole, &d->arena.arena)))
            rc = mr_fail(err, MR_LIMIT, "options of format '%s' are larger than %d bytes", f->name,
                         DECODER_BYTES_MAX);
    }
    if (!rc) {
        char what[64];
        snprintf(what, sizeof what, "format '%s'", f->name);
        if (!mr_options_fill(f->options, what, n, n, d->self, &d->arena.arena, &d->owned, &diags)) {
            rc = MR_BADCONF;
            tell(&diags, f, n, err);
        }
    }
    mr_diags_fini(&diags);
    if (!rc) {
        d->open = true; /* close is content with a half-open one */
        rc = f->open ? f->open(d->self, err) : MR_OK;
    }
    if (rc) {
        decoder_free(d);
        return rc;
    }
    *out = d;
    return MR_OK;
}

static void decode(struct mr_decoder *d, struct mr_host *h, struct mr_batch *b, int32_t slot,
                   struct mr_slice into)
{
    d->format->decode(d->self, b, slot, into, h->ops->now(h));
}

/* The field `message` when it is text, else the event as JSON. */
static bool put_line(struct mr_buf *out, struct mr_batch *b, uint32_t row, int32_t slot)
{
    if (slot >= 0 && !b->column[slot].removed) {
        struct mr_value v = b->column[slot].v[row];
        if (v.tag == MR_JSON && v.hint == MR_STRING && !mr_value_resolve(b->arena, &v, &v))
            return false;
        if (v.tag == MR_STRING || v.tag == MR_BYTES)
            return mr_buf_put(out, v.u.s, v.len);
    }
    return mr_json_write_row(out, b, row);
}

static mr_code encode(struct mr_host *h, const char *format, struct mr_batch *b, struct mr_buf *out,
                      size_t *ends, struct mr_err *err)
{
    (void)h;
    bool ok = true;
    if (strcmp(format, "json") == 0) {
        ok = mr_json_write_rows(out, b, ends);
    } else if (strcmp(format, "lines") == 0) {
        int32_t slot = mr_batch_slot(b, "message", 7, false);
        for (uint32_t k = 0; ok && k < b->count; k++) {
            ok = put_line(out, b, b->sel[k], slot) && mr_buf_put(out, "\n", 1);
            if (ends)
                ends[k] = out->len;
        }
    } else {
        return mr_fail(err, MR_BADCONF, "no format '%s' to write; formats: json, lines", format);
    }
    return ok ? MR_OK : mr_fail(err, MR_LIMIT, "a batch as text is larger than 1 GiB, or there is no memory");
}

static const struct mr_services services = {
    .size = sizeof(struct mr_services),
    .slot = mr_batch_slot,
    .resolve = resolve,
    .get = mr_batch_get,
    .set = mr_batch_set,
    .remove = mr_batch_remove,
    .rows = mr_batch_rows,
    .reject = reject,
    .pin = mr_batch_pin,
    .batch_new = batch_new,
    .emit = emit,
    .now = now,
    .monotonic = monotonic,
    .wake = wake,
    .watch = watch,
    .unwatch = unwatch,
    .timer = timer,
    .once = once,
    .log = log_text,
    .count = count,
    .test = mr_expr_test,
    .eval = mr_expr_eval,
    .render = mr_template_render,
    .decoder_new = decoder_new,
    .decode = decode,
    .decoder_free = decoder_free,
    .encode = encode,
    .buf_free = mr_buf_fini,
    .written = written,
    .buf_put = mr_buf_put,
    .template_is_constant = mr_template_is_constant,
};

const struct mr_services *mr_services(void)
{
    return &services;
}
