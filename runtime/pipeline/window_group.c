/* window_group.c - the groups of a window: their keys as bytes, and one cell for each aggregate.
 *
 * All memory is counted in s->bytes and bounded by the options `memory` and `max_groups`. Lookups are one
 * hash and mostly one probe; the window used last is found without a search.
 */
#include "pipeline/window_inside.h"

#include "base/hash.h"
#include "base/mem.h"

#include <math.h>

/* ------------------------------------------------------------ windows and groups */

static size_t group_bytes(const struct window_step *s, uint32_t key_len)
{
    return sizeof(struct group) + s->compute_count * sizeof(struct cell) + key_len;
}

void mr_window_free(struct window_step *s, struct window *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        struct group *g = w->groups[i];
        for (uint32_t k = 0; k < s->compute_count; k++)
            if (g->cell[k].v.tag == MR_STRING || g->cell[k].v.tag == MR_BYTES) {
                s->bytes -= g->cell[k].v.len;
                mr_free((void *)(uintptr_t)g->cell[k].v.u.s);
            }
        s->bytes -= (int64_t)group_bytes(s, g->key_len);
        mr_free(g);
    }
    s->groups -= w->count;
    mr_free(w->groups);
    mr_free(w->table);
    mr_free(w->acks); /* NULL once a closing has them */
    mr_free(w);
}

mr_ns mr_window_start(const struct window_step *s, mr_ns t)
{
    mr_ns len = s->every * 1000000, into = t % len;
    return t - (into < 0 ? into + len : into);
}

/* The open window that starts at `start`, made when there is none. NULL: no memory. */
struct window *mr_window_at(struct window_step *s, mr_ns start)
{
    uint32_t lo = 0, hi = s->window_count;
    if (s->last && s->last->start == start)
        return s->last;
    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (s->windows[mid]->start < start)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < s->window_count && s->windows[lo]->start == start)
        return s->last = s->windows[lo];
    if (s->window_count == s->window_cap) {
        uint32_t cap = s->window_cap ? s->window_cap * 2 : 16;
        struct window **more = mr_realloc(s->windows, cap * sizeof *more);
        if (!more)
            return NULL;
        s->windows = more;
        s->window_cap = cap;
    }
    struct window *w = mr_alloc(sizeof *w);
    if (!w)
        return NULL;
    w->start = start;
    memmove(&s->windows[lo + 1], &s->windows[lo], (s->window_count - lo) * sizeof(struct window *));
    s->windows[lo] = w;
    s->window_count++;
    return s->last = w;
}

static bool table_grow(struct window *w)
{
    uint32_t size = w->table_size ? w->table_size * 2 : 64;
    uint32_t *table = mr_alloc(size * sizeof *table);
    if (!table)
        return false;
    for (uint32_t i = 0; i < w->count; i++) {
        uint32_t at = (uint32_t)w->groups[i]->hash & (size - 1);
        while (table[at])
            at = (at + 1) & (size - 1);
        table[at] = i + 1;
    }
    mr_free(w->table);
    w->table = table;
    w->table_size = size;
    return true;
}

/* The group of an encoded key; NULL: a limit, named in *limit. */
struct group *mr_window_group(struct window_step *s, struct window *w, const char *key, uint32_t len,
                              const char **limit)
{
    uint64_t hash = mr_hash64(key, len, 0);
    if (w->table_size) {
        uint32_t at = (uint32_t)hash & (w->table_size - 1);
        for (; w->table[at]; at = (at + 1) & (w->table_size - 1)) {
            struct group *g = w->groups[w->table[at] - 1];
            if (g->hash == hash && g->key_len == len && memcmp(g->key, key, len) == 0)
                return g;
        }
    }
    size_t bytes = group_bytes(s, len);
    *limit = s->groups >= s->max_groups ? "max_groups" : "memory";
    if (s->groups >= s->max_groups || s->bytes + (int64_t)bytes > s->memory)
        return NULL;
    if ((w->count + 1) * 2 > w->table_size && !table_grow(w))
        return NULL;
    if (w->count == w->cap) {
        uint32_t cap = w->cap ? w->cap * 2 : 16;
        struct group **more = mr_realloc(w->groups, cap * sizeof *more);
        if (!more)
            return NULL;
        w->groups = more;
        w->cap = cap;
    }
    struct group *g = mr_alloc(bytes);
    if (!g)
        return NULL;
    g->hash = hash;
    g->key = (char *)g + sizeof *g + s->compute_count * sizeof(struct cell);
    g->key_len = len;
    memcpy(g->key, key, len);
    uint32_t at = (uint32_t)hash & (w->table_size - 1);
    while (w->table[at])
        at = (at + 1) & (w->table_size - 1);
    w->table[at] = w->count + 1;
    w->groups[w->count++] = g;
    s->groups++;
    s->bytes += (int64_t)bytes;
    return g;
}

/* ------------------------------------------------------------ one event */

struct mr_value mr_window_value(const struct field *f, struct mr_batch *b, uint32_t row)
{
    if (!f->plain)
        return mr_path_get(f->path, b, row);
    if (f->slot < 0)
        return (struct mr_value){0};
    struct mr_value v = b->column[f->slot].v[row];
    if (v.tag == MR_JSON && !mr_value_resolve(b->arena, &v, &v))
        v = (struct mr_value){0};
    return v;
}

static bool scratch_room(struct window_step *s, size_t need)
{
    if (need <= s->scratch_cap)
        return true;
    char *more = mr_realloc(s->scratch, need * 2);
    if (!more)
        return false;
    s->scratch = more;
    s->scratch_cap = need * 2;
    return true;
}

/* The by-values as bytes: a tag, then 8 bytes, or a length and the text. 1 and 1.0 are one group. */
bool mr_window_key(struct window_step *s, struct mr_batch *b, uint32_t row, uint32_t *len, const char **why)
{
    size_t at = 0;
    for (uint32_t i = 0; i < s->by_count; i++) {
        struct mr_value v = mr_window_value(&s->by_field[i], b, row);
        *why = "memory";
        if (!scratch_room(s, at + 16 + (v.tag == MR_STRING || v.tag == MR_BYTES ? v.len : 0)))
            return false;
        if (v.tag == MR_FLOAT && v.u.f == floor(v.u.f) && fabs(v.u.f) < 9e18)
            v = mr_value_int((int64_t)v.u.f);
        s->scratch[at++] = (char)v.tag;
        switch (v.tag) {
        case MR_MISSING:
        case MR_NULL:
            break;
        case MR_BOOL:
            s->scratch[at++] = v.u.b;
            break;
        case MR_INT:
        case MR_TIME:
        case MR_FLOAT:
            memcpy(s->scratch + at, &v.u, 8);
            at += 8;
            break;
        case MR_STRING:
        case MR_BYTES:
            memcpy(s->scratch + at, &v.len, 4);
            if (v.len)
                memcpy(s->scratch + at + 4, v.u.s, v.len);
            at += 4 + v.len;
            break;
        default:
            *why = "a list or an object cannot be a group";
            return false;
        }
    }
    *len = (uint32_t)at;
    return true;
}

void mr_window_unkey(const struct window_step *s, const struct group *g, struct mr_batch *b, uint32_t row)
{
    const char *p = g->key;
    for (uint32_t i = 0; i < s->by_count; i++) {
        struct mr_value v = {.tag = (uint8_t)*p++};
        switch (v.tag) {
        case MR_BOOL:
            v.u.b = *p++;
            break;
        case MR_INT:
        case MR_TIME:
        case MR_FLOAT:
            memcpy(&v.u, p, 8);
            p += 8;
            break;
        case MR_STRING:
        case MR_BYTES:
            memcpy(&v.len, p, 4);
            v.u.s = mr_slice_copy(b->arena, (struct mr_slice){p + 4, v.len}).p;
            if (!v.u.s)
                v = (struct mr_value){0};
            p += 4 + v.len;
            break;
        default:
            break;
        }
        if (v.tag != MR_MISSING)
            (void)mr_path_set(s->by_field[i].path, b, row, v);
    }
}

static int compare(const struct mr_value *a,
                   const struct mr_value *b) /* of the same kind: numbers or strings */
{
    if (a->tag == MR_STRING) {
        size_t n = a->len < b->len ? a->len : b->len;
        int c = n ? memcmp(a->u.s, b->u.s, n) : 0;
        return c ? c : (a->len > b->len) - (a->len < b->len);
    }
    if (a->tag != MR_FLOAT && b->tag != MR_FLOAT)
        return (a->u.i > b->u.i) - (a->u.i < b->u.i);
    double x = a->tag == MR_FLOAT ? a->u.f : (double)a->u.i, y = b->tag == MR_FLOAT ? b->u.f : (double)b->u.i;
    return (x > y) - (x < y);
}

static bool is_number(const struct mr_value *v)
{
    return v->tag == MR_INT || v->tag == MR_FLOAT;
}

/* Could this value go into this aggregate? NULL: yes. */
const char *mr_window_unfit(const struct compute *c, const struct cell *cell, const struct mr_value *v)
{
    if (v->tag == MR_MISSING || v->tag == MR_NULL || c->kind == AGG_COUNT)
        return NULL;
    switch (c->kind) {
    case AGG_SUM:
    case AGG_AVG:
        return is_number(v) ? NULL : "is not a number";
    case AGG_MIN:
    case AGG_MAX:
        if (!is_number(v) && v->tag != MR_STRING && v->tag != MR_TIME)
            return "is neither a number, a time nor a string";
        if (cell && cell->n && (is_number(v) ? !is_number(&cell->v) : v->tag != cell->v.tag))
            return "is of another type than the values before it";
        return NULL;
    default:
        return v->tag == MR_LIST || v->tag == MR_OBJECT ? "is a list or an object" : NULL;
    }
}

static bool keep_value(struct window_step *s, struct cell *cell, const struct mr_value *v)
{
    struct mr_value mine = *v;
    if (v->tag == MR_STRING || v->tag == MR_BYTES) {
        if (s->bytes + v->len > s->memory)
            return false;
        mine.u.s = mr_strndup(v->u.s ? v->u.s : "", v->len);
        if (!mine.u.s)
            return false;
        s->bytes += v->len;
    }
    if (cell->v.tag == MR_STRING || cell->v.tag == MR_BYTES) {
        s->bytes -= cell->v.len;
        mr_free((void *)(uintptr_t)cell->v.u.s);
    }
    cell->v = mine;
    return true;
}

static void cell_add_number(struct cell *cell, const struct mr_value *v)
{
    if (!cell->floating && v->tag == MR_INT) {
        int64_t sum;
        if (!__builtin_add_overflow(cell->i, v->u.i, &sum)) {
            cell->i = sum;
            return;
        }
    }
    if (!cell->floating) {
        cell->floating = true;
        cell->f = (double)cell->i;
    }
    cell->f += v->tag == MR_INT ? (double)v->u.i : v->u.f;
}

bool mr_window_add(struct window_step *s, const struct compute *c, struct cell *cell,
                   const struct mr_value *v)
{
    if (c->has_field && (v->tag == MR_MISSING || v->tag == MR_NULL))
        return true;
    switch (c->kind) {
    case AGG_COUNT:
        break;
    case AGG_SUM:
    case AGG_AVG:
        cell_add_number(cell, v);
        break;
    case AGG_MIN:
        if ((cell->n == 0 || compare(v, &cell->v) < 0) && !keep_value(s, cell, v))
            return false;
        break;
    case AGG_MAX:
        if ((cell->n == 0 || compare(v, &cell->v) > 0) && !keep_value(s, cell, v))
            return false;
        break;
    case AGG_FIRST:
        if (cell->n == 0 && !keep_value(s, cell, v))
            return false;
        break;
    case AGG_LAST:
        if (!keep_value(s, cell, v))
            return false;
        break;
    }
    cell->n++;
    return true;
}

struct mr_value mr_window_result(const struct compute *c, const struct cell *cell, struct mr_arena *a)
{
    struct mr_value v = cell->v;
    switch (c->kind) {
    case AGG_COUNT:
        return mr_value_int(cell->n);
    case AGG_SUM:
        return cell->floating ? mr_value_float(cell->f) : mr_value_int(cell->i);
    case AGG_AVG:
        if (cell->n == 0)
            return (struct mr_value){.tag = MR_NULL};
        return mr_value_float((cell->floating ? cell->f : (double)cell->i) / (double)cell->n);
    default:
        if (cell->n == 0)
            return (struct mr_value){.tag = MR_NULL};
        if (v.tag == MR_STRING || v.tag == MR_BYTES) {
            v.u.s = mr_slice_copy(a, mr_value_text(&cell->v)).p;
            if (!v.u.s)
                return (struct mr_value){.tag = MR_NULL};
        }
        return v;
    }
}
