/* checkpoint.c - where a pipeline stands, in one file: positions of its sources, snapshots of its steps.
 *
 * Both are gathered in one moment (F2), then outputs are flushed, then the file is replaced as a whole. It
 * has a checksum; a damaged one is never guessed at: the pipeline refuses to start and says what to do.
 *
 *   "millrace checkpoint 1\n" crc32c:u32 entries...          numbers are little-endian
 *   entry: kind:u8 (1 source, 2 step)  place:text  component:text  count:u32  (key:text value:text){count}
 *   text: length:u32 bytes
 *
 * A place is the id of the part, or its list and number ("from[0]"). What is stored for a source that the
 * plan does not have any more is kept, so that a source taken out and put back goes on where it was; a
 * snapshot of a step that is not there is left out, because nothing could be done with it later.
 */
#include "pipeline/inside.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

#define HEAD "millrace checkpoint 1\n"
enum { HEAD_BYTES = sizeof HEAD - 1, FILE_BYTES_MAX = 1 << 30, KIND_SOURCE = 1, KIND_STEP = 2 };

static const char *place_of(const struct mr_part *p)
{
    return p->host.label + strlen(p->line->conf->name) + 1;
}

/* Where it is kept, for people. */
static const char *where(const struct mr_pipeline *l)
{
    return l->epoch ? "in the pipeline's state topic" : l->checkpoint_path;
}

/* ---------------------------------------------------------------- writing */

static bool put_u32(struct mr_buf *b, uint32_t v)
{
    unsigned char t[4] = {(unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16),
                          (unsigned char)(v >> 24)};
    return mr_buf_put(b, t, 4);
}

static bool put_text(struct mr_buf *b, struct mr_slice s)
{
    return put_u32(b, (uint32_t)s.len) && mr_buf_put(b, s.p, s.len);
}

static bool put_entry(struct mr_buf *b, char kind, const struct mr_part *p, uint32_t count)
{
    return mr_buf_put(b, &kind, 1) && put_text(b, mr_slice_of(place_of(p))) &&
           put_text(b, mr_slice_of(p->c->name)) && put_u32(b, count);
}

static bool put_source(struct mr_buf *b, const struct mr_source *s)
{
    struct mr_slice key;
    void *value;
    if (!put_entry(b, KIND_SOURCE, &s->part, (uint32_t)s->stored.count))
        return false;
    for (size_t i = 0; mr_map_next(&s->stored, &i, &key, &value);)
        if (!put_text(b, key) || !put_text(b, *(const struct mr_slice *)value))
            return false;
    return true;
}

mr_code mr_checkpoint_gather(struct mr_pipeline *l, struct mr_buf *b, struct mr_err *err)
{
    static const char zero[4];
    bool ok = mr_buf_put(b, HEAD, HEAD_BYTES) && mr_buf_put(b, zero, 4);
    for (uint32_t i = 0; ok && i < l->conf->from_count; i++)
        ok = l->sources[i].grouped || put_source(b, &l->sources[i]);
    ok = ok && mr_buf_put(b, l->foreign.p, l->foreign.len);
    for (uint32_t i = 0; ok && i < l->conf->step_count; i++) {
        struct mr_part *p = &l->steps[i].part;
        if (!p->c->snapshot || !p->open)
            continue;
        struct mr_buf state = {0};
        mr_code rc = p->c->snapshot(p->self, &state, err);
        if (rc == MR_OK)
            ok = put_entry(b, KIND_STEP, p, 1) && put_text(b, MR_SLICE("")) &&
                 put_text(b, (struct mr_slice){state.p, state.len});
        mr_buf_fini(&state);
        if (rc != MR_OK) {
            mr_wrap(err, "snapshot of '%s'", p->host.label);
            return rc;
        }
    }
    if (!ok)
        return mr_fail(err, MR_MEMORY, "no memory for a checkpoint");
    uint32_t crc = mr_crc32c(0, b->p + HEAD_BYTES + 4, b->len - HEAD_BYTES - 4);
    for (int i = 0; i < 4; i++)
        b->p[HEAD_BYTES + i] = (char)(crc >> (8 * i));
    return MR_OK;
}

/* What a checkpoint says, once the outputs have made durable what it speaks of. */
static mr_code prepare(struct mr_pipeline *l, struct mr_buf *b, struct mr_err *err)
{
    mr_code rc = MR_OK;
    int64_t ends = l->n.out + l->n.dropped + l->n.dead + l->n.replaced + l->n.in_flight;
    mr_assert(l->n.in + l->n.made == ends); /* A2 */
    if (l->checkpoint_path)
        rc = mr_checkpoint_gather(l, b, err);
    for (uint32_t i = 0; rc == MR_OK && i < l->conf->to_count; i++) {
        struct mr_part *p = &l->outputs[i].part;
        if (!p->c->flush || !p->open)
            continue;
        rc = p->c->flush(p->self, err);
        if (rc != MR_OK)
            mr_wrap(err, "cannot flush '%s'", p->host.label);
    }
    return rc;
}

static void stored(struct mr_pipeline *l)
{
    atomic_store_explicit(&l->n.acked_at, mr_now(l->env.world), memory_order_relaxed);
}

mr_code mr_checkpoint_store(struct mr_pipeline *l, struct mr_err *err)
{
    struct mr_buf b = {0};
    mr_assert(!l->storing);
    mr_code rc = prepare(l, &b, err);
    if (rc == MR_OK && l->checkpoint_path)
        rc = mr_file_replace(l->env.world, l->checkpoint_path, (struct mr_slice){b.p, b.len}, err);
    mr_buf_fini(&b);
    if (rc == MR_OK) {
        l->dirty = false;
        stored(l);
    }
    return rc;
}

static void on_stored(void *arg, mr_code rc, int sys)
{
    struct mr_pipeline *l = arg;
    struct mr_err err;
    mr_err_clear(&err);
    l->storing = NULL;
    l->calls_out--;
    if (rc == MR_OK)
        stored(l);
    else {
        l->dirty = true;
        (void)mr_fail(&err, rc, "cannot replace '%s': %s", l->checkpoint_path,
                      sys ? strerror(sys) : mr_code_text(rc));
    }
    mr_pipeline_stored(l, rc, &err);
}

mr_code mr_checkpoint_begin(struct mr_pipeline *l, struct mr_err *err)
{
    struct mr_buf b = {0};
    mr_assert(!l->storing);
    mr_code rc = prepare(l, &b, err);
    if (rc == MR_OK) {
        l->dirty = false;
        if (l->checkpoint_path) {
            l->calls_out++;
            l->storing = mr_file_replace_later(l->env.world, l->checkpoint_path,
                                               (struct mr_slice){b.p, b.len}, on_stored, l);
            rc = MR_PENDING;
        } else {
            stored(l);
        }
    }
    mr_buf_fini(&b);
    return rc;
}

/* ---------------------------------------------------------------- reading */

struct cursor {
    const char *p, *end;
    bool bad;
};

static uint32_t get_u32(struct cursor *c)
{
    if (c->end - c->p < 4) {
        c->bad = true;
        return 0;
    }
    const unsigned char *u = (const unsigned char *)c->p;
    c->p += 4;
    return (uint32_t)u[0] | (uint32_t)u[1] << 8 | (uint32_t)u[2] << 16 | (uint32_t)u[3] << 24;
}

static struct mr_slice get_text(struct cursor *c)
{
    uint32_t len = get_u32(c);
    if (c->bad || (size_t)(c->end - c->p) < len) {
        c->bad = true;
        return (struct mr_slice){NULL, 0};
    }
    struct mr_slice s = {c->p, len};
    c->p += len;
    return s;
}

static struct mr_part *part_at(struct mr_pipeline *l, char kind, struct mr_slice place, struct mr_slice name)
{
    uint32_t count = kind == KIND_SOURCE ? l->conf->from_count : l->conf->step_count;
    for (uint32_t i = 0; i < count; i++) {
        struct mr_part *p = kind == KIND_SOURCE ? &l->sources[i].part : &l->steps[i].part;
        if (mr_slice_eq(place, mr_slice_of(place_of(p))) && mr_slice_eq(name, mr_slice_of(p->c->name)))
            return p;
    }
    return NULL;
}

/* Walks the entries: kind 1 into positions, kind 2 into steps that are open. */
static mr_code walk(struct mr_pipeline *l, struct mr_slice file, char want, struct mr_err *err)
{
    struct cursor c = {file.p, file.p + file.len, false};
    while (c.p < c.end && !c.bad) {
        const char *from = c.p;
        char kind = *c.p++;
        struct mr_slice place = get_text(&c), name = get_text(&c);
        uint32_t count = get_u32(&c);
        struct mr_part *p = kind == want ? part_at(l, kind, place, name) : NULL;
        for (uint32_t i = 0; i < count && !c.bad; i++) {
            struct mr_slice key = get_text(&c), value = get_text(&c);
            if (!p || c.bad)
                continue;
            if (kind == KIND_SOURCE) {
                struct mr_source *s = (struct mr_source *)p;
                if (!mr_position_put(&s->stored, key, value) || !mr_position_put(&s->seen, key, value))
                    return mr_fail(err, MR_MEMORY, "no memory for the positions of '%s'", p->host.label);
            } else if (p->c->restore) {
                mr_code rc = p->c->restore(p->self, value, err);
                if (rc != MR_OK) {
                    mr_wrap(err, "cannot restore '%s' from '%s'", p->host.label, where(l));
                    return rc;
                }
            }
        }
        if (c.bad)
            break;
        if (kind == want && want == KIND_SOURCE && !p && !mr_buf_put(&l->foreign, from, (size_t)(c.p - from)))
            return mr_fail(err, MR_MEMORY, "no memory for stored positions");
        if (kind == want && want == KIND_STEP && !p) {
            char text[256];
            (void)snprintf(text, sizeof text,
                           "the stored state of '%.*s' belongs to no step of the plan; it is left out",
                           (int)(place.len < 100 ? place.len : 100), place.p);
            l->env.log(l->env.arg, MR_WARN, l->conf->name, text);
        }
    }
    if (c.bad)
        return mr_fail(err, MR_CORRUPT, "checkpoint '%s' is damaged inside", where(l));
    return MR_OK;
}

mr_code mr_checkpoint_take(struct mr_pipeline *l, struct mr_slice file, bool steps, struct mr_err *err)
{
    uint32_t crc = 0;
    if (!file.len)
        return MR_OK; /* a first start */
    bool good = file.len >= HEAD_BYTES + 4 && memcmp(file.p, HEAD, HEAD_BYTES) == 0;
    for (int i = 0; good && i < 4; i++)
        crc |= (uint32_t)(unsigned char)file.p[HEAD_BYTES + i] << (8 * i);
    if (!good || crc != mr_crc32c(0, file.p + HEAD_BYTES + 4, file.len - HEAD_BYTES - 4))
        return mr_fail(err, MR_CORRUPT,
                       "checkpoint '%s' is damaged (%zu bytes, %s); move it away to start over from the "
                       "beginning of the sources, or put a copy back",
                       where(l), file.len, good ? "its checksum differs" : "it does not begin as one");
    return walk(l, (struct mr_slice){file.p + HEAD_BYTES + 4, file.len - HEAD_BYTES - 4},
                steps ? KIND_STEP : KIND_SOURCE, err);
}

mr_code mr_checkpoint_file(struct mr_pipeline *l, struct mr_buf *out, struct mr_err *err)
{
    if (!l->checkpoint_path)
        return MR_OK;
    struct mr_heap_arena a;
    struct mr_slice file;
    mr_heap_arena_init(&a, 64 * 1024, 0, (size_t)FILE_BYTES_MAX + (1 << 20));
    mr_code rc = mr_file_slurp(l->env.world, l->checkpoint_path, FILE_BYTES_MAX, &a.arena, &file, err);
    if (rc == MR_NOTFOUND) { /* a first start */
        mr_err_clear(err);
        rc = MR_OK;
    } else if (rc == MR_OK && !mr_buf_put(out, file.p, file.len)) {
        rc = mr_fail(err, MR_MEMORY, "no memory to read '%s'", l->checkpoint_path);
    }
    mr_heap_arena_fini(&a);
    return rc;
}

mr_code mr_checkpoint_forget(struct mr_pipeline *l, struct mr_err *err)
{
    char dir[4096];
    (void)snprintf(dir, sizeof dir, "%s/pipelines/%s", l->env.data_dir, l->conf->name);
    mr_code rc = mr_unlink(l->env.world, l->checkpoint_path, err);
    return rc == MR_OK ? mr_dir_sync(l->env.world, dir, err) : rc;
}

static mr_code load(struct mr_pipeline *l, bool steps, struct mr_err *err)
{
    struct mr_buf file = {0};
    mr_code rc = mr_checkpoint_file(l, &file, err);
    if (rc == MR_OK)
        rc = mr_checkpoint_take(l, (struct mr_slice){file.p, file.len}, steps, err);
    mr_buf_fini(&file);
    return rc;
}

mr_code mr_checkpoint_load(struct mr_pipeline *l, struct mr_err *err)
{
    return load(l, false, err);
}

mr_code mr_checkpoint_restore(struct mr_pipeline *l, struct mr_err *err)
{
    return load(l, true, err);
}
