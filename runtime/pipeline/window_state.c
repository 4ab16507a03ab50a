/* window_state.c - a window step as bytes: open windows with their groups, and how far event time has come.
 *
 *   2 definition:u64 done watermark merged:u8
 *   inputs:u32 (id:u64 max){inputs}
 *   windows:u32 (start groups:u32 (key:text cell{computes}){groups}){windows}
 *   cell: n floating:u8 i f:u64 value     value: tag:u8 then nothing, 8 bytes, or a text
 *   text: length:u32 bytes                numbers are little-endian, i64 unless it says otherwise
 *
 * `definition` is a hash of what makes groups and cells what they are: state of another definition is
 * refused.
 */
#include "pipeline/window_inside.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

static uint64_t definition(const struct window_step *s)
{
    uint64_t h = mr_hash64(&s->every, sizeof s->every, 0);
    for (uint32_t i = 0; i < s->by_count; i++)
        h = mr_hash64(s->by_field[i].name.p, s->by_field[i].name.len, h + 1);
    for (uint32_t i = 0; i < s->compute_count; i++) {
        const struct compute *c = &s->compute[i];
        h = mr_hash64(c->name.p, c->name.len, h + 2 + (uint64_t)c->kind);
        h = c->has_field ? mr_hash64(c->field.name.p, c->field.name.len, h) : h;
    }
    return h;
}

/* ------------------------------------------------------------ writing */

static bool put(struct mr_buf *b, uint64_t v, int bytes)
{
    char t[8];
    for (int i = 0; i < bytes; i++)
        t[i] = (char)(v >> (8 * i));
    return mr_buf_put(b, t, (size_t)bytes);
}

static bool put_text(struct mr_buf *b, const char *p, uint32_t len)
{
    return put(b, len, 4) && mr_buf_put(b, p, len);
}

static bool put_value(struct mr_buf *b, const struct mr_value *v)
{
    if (!put(b, v->tag, 1))
        return false;
    switch (v->tag) {
    case MR_BOOL:
        return put(b, v->u.b, 8);
    case MR_INT:
    case MR_TIME:
    case MR_FLOAT:
        return put(b, (uint64_t)v->u.i, 8); /* the bits, of a float too */
    case MR_STRING:
    case MR_BYTES:
        return put_text(b, v->u.s, v->len);
    default:
        return true;
    }
}

static bool put_cell(struct mr_buf *b, const struct cell *c)
{
    uint64_t f;
    memcpy(&f, &c->f, sizeof f);
    return put(b, (uint64_t)c->n, 8) && put(b, c->floating, 1) && put(b, (uint64_t)c->i, 8) && put(b, f, 8) &&
           put_value(b, &c->v);
}

bool mr_window_save(const struct window_step *s, struct mr_buf *out)
{
    bool ok = put(out, 2, 1) && put(out, definition(s), 8) && put(out, (uint64_t)s->done, 8) &&
              put(out, (uint64_t)s->watermark, 8) && put(out, s->inputs_merged, 1) &&
              put(out, s->input_count, 4);
    for (uint32_t i = 0; ok && i < s->input_count; i++)
        ok = put(out, s->input[i].id, 8) && put(out, (uint64_t)s->input[i].max, 8);
    ok = ok && put(out, s->window_count, 4);
    for (uint32_t i = 0; ok && i < s->window_count; i++) {
        const struct window *w = s->windows[i];
        ok = put(out, (uint64_t)w->start, 8) && put(out, w->count, 4);
        for (uint32_t k = 0; ok && k < w->count; k++) {
            const struct group *g = w->groups[k];
            ok = put_text(out, g->key, g->key_len);
            for (uint32_t c = 0; ok && c < s->compute_count; c++)
                ok = put_cell(out, &g->cell[c]);
        }
    }
    return ok;
}

/* ------------------------------------------------------------ reading */

struct cursor {
    const char *p, *end;
    bool bad;
};

static uint64_t get(struct cursor *c, int bytes)
{
    uint64_t v = 0;
    if (c->end - c->p < bytes) {
        c->bad = true;
        return 0;
    }
    for (int i = 0; i < bytes; i++)
        v |= (uint64_t)(unsigned char)c->p[i] << (8 * i);
    c->p += bytes;
    return v;
}

static struct mr_slice get_text(struct cursor *c)
{
    uint32_t len = (uint32_t)get(c, 4);
    if (c->bad || (size_t)(c->end - c->p) < len) {
        c->bad = true;
        return (struct mr_slice){NULL, 0};
    }
    struct mr_slice s = {c->p, len};
    c->p += len;
    return s;
}

static bool get_value(struct window_step *s, struct cursor *c, struct mr_value *v)
{
    *v = (struct mr_value){.tag = (uint8_t)get(c, 1)};
    switch (v->tag) {
    case MR_BOOL:
        v->u.b = get(c, 8) != 0;
        return true;
    case MR_INT:
    case MR_TIME:
    case MR_FLOAT:
        v->u.i = (int64_t)get(c, 8);
        return true;
    case MR_STRING:
    case MR_BYTES: {
        struct mr_slice text = get_text(c);
        char *mine = c->bad ? NULL : mr_strndup(text.p, text.len);
        if (!mine) {
            v->tag = MR_MISSING; /* nothing to be freed */
            return c->bad;
        }
        v->u.s = mine;
        v->len = (uint32_t)text.len;
        s->bytes += v->len;
        return true;
    }
    case MR_MISSING:
    case MR_NULL:
        return true;
    default:
        v->tag = MR_MISSING;
        c->bad = true;
        return true;
    }
}

/* false: a limit, named. */
static bool get_group(struct window_step *s, struct cursor *c, struct window *w, const char **limit)
{
    struct mr_slice key = get_text(c);
    if (c->bad)
        return true;
    struct group *g = mr_window_group(s, w, key.p, (uint32_t)key.len, limit);
    if (!g)
        return false;
    for (uint32_t i = 0; i < s->compute_count && !c->bad; i++) {
        struct cell *cell = &g->cell[i];
        cell->n = (int64_t)get(c, 8);
        cell->floating = get(c, 1) != 0;
        cell->i = (int64_t)get(c, 8);
        uint64_t f = get(c, 8);
        memcpy(&cell->f, &f, sizeof f);
        *limit = "memory";
        if (!get_value(s, c, &cell->v))
            return false;
    }
    return true;
}

mr_code mr_window_load(struct window_step *s, struct mr_slice saved, struct mr_err *err)
{
    struct cursor c = {saved.p + 1, saved.p + saved.len, false};
    const char *limit = "memory";
    bool room = true;
    if (get(&c, 8) != definition(s))
        return mr_fail(
            err, MR_BADCONF,
            "the stored state is of a window with another 'every', 'by' or 'compute'; give the step "
            "a new 'id' to begin with empty windows, or put it back as it was");
    s->done = (mr_ns)get(&c, 8);
    s->watermark = (mr_ns)get(&c, 8);
    s->inputs_merged = get(&c, 1) != 0;
    uint32_t inputs = (uint32_t)get(&c, 4);
    c.bad |= inputs > MR_WINDOW_INPUTS_MAX;
    mr_ms now = s->svc->monotonic(s->host);
    for (uint32_t i = 0; i < inputs && !c.bad; i++) {
        struct input *in = &s->input[s->input_count++];
        in->id = get(&c, 8);
        in->max = (mr_ns)get(&c, 8);
        in->heard_at = now; /* it has its `idle` from here */
    }
    uint32_t windows = (uint32_t)get(&c, 4);
    for (uint32_t i = 0; i < windows && !c.bad && room; i++) {
        struct window *w = mr_window_at(s, (mr_ns)get(&c, 8));
        uint32_t groups = (uint32_t)get(&c, 4);
        room = w != NULL;
        for (uint32_t k = 0; k < groups && !c.bad && room; k++)
            room = get_group(s, &c, w, &limit);
    }
    if (!room)
        return mr_fail(err, MR_LIMIT, "the stored windows are beyond the limit '%s': raise it", limit);
    if (c.bad || c.p != c.end)
        return mr_fail(err, MR_CORRUPT, "the stored windows are damaged at byte %zu of %zu",
                       (size_t)(c.p - saved.p), saved.len);
    return MR_OK;
}
