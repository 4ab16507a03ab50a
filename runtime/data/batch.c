/* batch.c - the pool of batches, their columns, pins and reasons.
 *
 * Laws:
 *   B1  for every column the values of rows [0, rows) are initialised, whoever made the column and when
 *   B2  a column that is `removed` is not found by a look-up; creating it again finds it empty
 *   B3  everything that lives as long as the batch is in its arena; what is not (pins) is released once
 *
 * A column takes room for `cap` values at once, but only the rows that exist are ever touched: a batch of one
 * event dirties one cache line a column. So the room stands beside the bytes that a batch may hold: the number
 * of columns bounds it, and what no row touches is no memory. Columns are a little more than a power of two
 * apart, or the values of one row would all compete for the same lines of the first-level cache.
 */
#include "data/batch_inside.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "data/json.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    ARENA_CHUNK = 256 * 1024,
    ARENA_KEEP = 8 * 1024 * 1024,
    COLUMNS_CHUNK = 4,   /* columns */
    LINEAR_COLUMNS = 12, /* up to so many names are compared one by one */
    COLUMN_APART = 128   /* bytes */
};

struct mr_batch_pool {
    pthread_mutex_t lock;
    struct mr_batch_more *free;
    size_t kept, keep, limit;
    size_t out;  /* batches in use */
    bool closed; /* the owner is gone; the last batch takes the pool with it */
};

struct mr_batch_pool *mr_batch_pool_new(size_t keep, size_t batch_limit)
{
    struct mr_batch_pool *p = mr_alloc(sizeof *p);
    if (!p)
        return NULL;
    if (pthread_mutex_init(&p->lock, NULL) != 0) {
        mr_free(p);
        return NULL;
    }
    p->keep = keep;
    p->limit = batch_limit;
    return p;
}

static void batch_destroy(struct mr_batch_more *m)
{
    mr_heap_arena_fini(&m->arena);
    mr_heap_arena_fini(&m->values);
    mr_free(m->pub.sel);
    mr_free(m);
}

static void pool_destroy(struct mr_batch_pool *p)
{
    (void)pthread_mutex_destroy(&p->lock);
    mr_free(p);
}

void mr_batch_pool_free(struct mr_batch_pool *p)
{
    if (!p)
        return;
    (void)pthread_mutex_lock(&p->lock);
    struct mr_batch_more *m = p->free;
    p->free = NULL;
    p->kept = 0;
    p->closed = true;
    bool last = p->out == 0;
    (void)pthread_mutex_unlock(&p->lock);
    while (m) {
        struct mr_batch_more *next = m->next_free;
        batch_destroy(m);
        m = next;
    }
    if (last)
        pool_destroy(p);
}

static struct mr_batch_more *batch_create(struct mr_batch_pool *p)
{
    struct mr_batch_more *m = mr_alloc(sizeof *m);
    if (!m)
        return NULL;
    size_t cap = MR_BATCH_ROWS_MAX;
    struct mr_batch *b = &m->pub;
    /* one block; the widest first, so that all are aligned */
    char *block = mr_alloc(cap * (sizeof(struct mr_value) + sizeof(struct mr_slice) + 2 * sizeof(int64_t) +
                                  sizeof(uint32_t) + 2 * sizeof(uint16_t) + sizeof(uint8_t)));
    if (!block) {
        mr_free(m);
        return NULL;
    }
    /* sel stands first, because its address is the block's */
    b->sel = (void *)block;
    b->key = (void *)(block += cap * sizeof *b->sel);
    b->raw = (void *)(block += cap * sizeof *b->key);
    b->time = (void *)(block += cap * sizeof *b->raw);
    b->offset = (void *)(block += cap * sizeof *b->time);
    m->text_len = (void *)(block += cap * sizeof *b->offset);
    m->order = (void *)(block += cap * sizeof *m->text_len);
    b->fate = (void *)(block + cap * sizeof *m->order);
    b->size = sizeof *b;
    b->cap = (uint32_t)cap;
    b->runtime = m;
    m->pool = p;
    size_t column = cap * sizeof(struct mr_value) + COLUMN_APART;
    mr_heap_arena_init(&m->arena, ARENA_CHUNK, ARENA_KEEP, p->limit);
    mr_heap_arena_init(&m->values, COLUMNS_CHUNK * column, ARENA_KEEP,
                       (MR_BATCH_COLUMNS_MAX + COLUMNS_CHUNK) *
                           column); /* what is kept has an end left over */
    b->arena = &m->arena.arena;
    return m;
}

struct mr_batch *mr_batch_take(struct mr_batch_pool *p)
{
    (void)pthread_mutex_lock(&p->lock);
    struct mr_batch_more *m = p->free;
    if (m) {
        p->free = m->next_free;
        p->kept--;
    }
    p->out++;
    (void)pthread_mutex_unlock(&p->lock);
    if (!m)
        m = batch_create(p);
    if (!m) {
        (void)pthread_mutex_lock(&p->lock);
        p->out--;
        (void)pthread_mutex_unlock(&p->lock);
        return NULL;
    }
    m->next_free = NULL;
    m->pub.partition = -1;
    return &m->pub;
}

void mr_batch_free(struct mr_batch *b)
{
    if (!b)
        return;
    struct mr_batch_more *m = mr_batch_more_of(b);
    struct mr_batch_pool *p = m->pool;
    while (m->pins) {
        struct mr_batch_pin *pin = m->pins;
        m->pins = pin->next;
        pin->release(pin->what);
    }
    mr_heap_arena_reset(&m->arena);
    mr_heap_arena_reset(&m->values);
    b->rows = b->count = b->columns = 0;
    b->column = NULL;
    b->headers = NULL;
    b->source = b->pos_key = b->pos = (struct mr_slice){NULL, 0};
    m->reason = NULL;
    m->shape = NULL;
    m->first = NULL;
    m->index = NULL;
    m->index_size = m->columns_cap = m->last = m->shapes_nested = 0;

    (void)pthread_mutex_lock(&p->lock);
    p->out--;
    bool keep = !p->closed && p->kept < p->keep;
    if (keep) {
        m->next_free = p->free;
        p->free = m;
        p->kept++;
    }
    bool last = p->closed && p->out == 0;
    (void)pthread_mutex_unlock(&p->lock);
    if (!keep)
        batch_destroy(m);
    if (last)
        pool_destroy(p);
}

size_t mr_batch_bytes(const struct mr_batch *b)
{
    const struct mr_batch_more *m = mr_batch_more_of(b);
    size_t row = (1 + (size_t)b->columns) * sizeof(struct mr_value) + sizeof(struct mr_slice) +
                 2 * sizeof(int64_t) + 9;
    return m->arena.held - (size_t)(m->arena.arena.end - m->arena.arena.at) + row * b->rows;
}

void mr_batch_rows(struct mr_batch *b, uint32_t rows)
{
    struct mr_batch_more *m = mr_batch_more_of(b);
    mr_assert(rows <= b->cap);
    uint32_t from = b->rows;
    if (rows > from) {
        uint32_t more = rows - from;
        memset(b->fate + from, MR_KEPT, more);
        memset(b->key + from, 0, more * sizeof *b->key);
        memset(b->raw + from, 0, more * sizeof *b->raw);
        memset(m->text_len + from, 0, more * sizeof *m->text_len);
        for (uint32_t r = from; r < rows; r++) {
            b->time[r] = MR_TIME_NONE;
            b->offset[r] = -1;
        }
        if (b->headers)
            memset(b->headers + from, 0, more * sizeof *b->headers);
        if (m->reason)
            memset(m->reason + from, 0, more * sizeof *m->reason);
        for (uint32_t c = 0; c < b->columns; c++)
            memset(b->column[c].v + from, 0, more * sizeof(struct mr_value)); /* B1 */
    }
    b->rows = rows;
    b->count = rows;
    for (uint32_t r = 0; r < rows; r++)
        b->sel[r] = (uint16_t)r;
}

void mr_batch_compact(struct mr_batch *b)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < b->count; k++) {
        uint16_t row = b->sel[k];
        b->sel[n] = row;
        n += b->fate[row] == MR_KEPT;
    }
    b->count = n;
}

bool mr_batch_pin(struct mr_batch *b, void (*release)(void *), void *what)
{
    struct mr_batch_more *m = mr_batch_more_of(b);
    struct mr_batch_pin *pin = mr_arena_take(b->arena, sizeof *pin);
    if (!pin)
        return false;
    *pin = (struct mr_batch_pin){m->pins, release, what};
    m->pins = pin;
    return true;
}

void mr_batch_reject(struct mr_batch *b, uint32_t row, const char *format, ...)
{
    struct mr_batch_more *m = mr_batch_more_of(b);
    b->fate[row] = MR_REJECTED;
    if (!m->reason) {
        m->reason = mr_arena_take(b->arena, b->cap * sizeof *m->reason);
        if (!m->reason)
            return;
        memset(m->reason, 0, b->rows * sizeof *m->reason);
    }
    char text[MR_ERR_TEXT];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    m->reason[row] = mr_slice_copy(b->arena, (struct mr_slice){text, len});
}

struct mr_slice mr_batch_reason(const struct mr_batch *b, uint32_t row)
{
    const struct mr_batch_more *m = mr_batch_more_of(b);
    if (b->fate[row] != MR_REJECTED)
        return (struct mr_slice){NULL, 0};
    if (!m->reason || !m->reason[row].p)
        return MR_SLICE("rejected; 'batch_bytes' left no room for the reason");
    return m->reason[row];
}

/* ---------------------------------------------------------------- columns */

static uint64_t name_hash(const char *name, size_t len)
{
    return mr_hash64(name, len, 0x6d696c6c72616365u);
}

static void index_put(struct mr_batch_more *m, uint32_t slot)
{
    const struct mr_column *c = &m->pub.column[slot];
    uint32_t at = (uint32_t)name_hash(c->name, c->name_len) & (m->index_size - 1);
    while (m->index[at])
        at = (at + 1) & (m->index_size - 1);
    m->index[at] = (uint16_t)(slot + 1);
}

static bool grow_columns(struct mr_batch_more *m)
{
    struct mr_batch *b = &m->pub;
    uint32_t cap = m->columns_cap ? m->columns_cap * 2 : 16;
    struct mr_column *column = mr_arena_take(b->arena, cap * sizeof *column);
    struct mr_shape **shape = mr_arena_take(b->arena, cap * sizeof *shape);
    uint16_t *index = NULL;
    uint32_t index_size = cap * 4;
    if (cap > 16) {
        index = mr_arena_take(b->arena, index_size * sizeof *index);
        if (!index)
            return false;
        memset(index, 0, index_size * sizeof *index);
    }
    if (!column || !shape)
        return false;
    if (b->columns) {
        memcpy(column, b->column, b->columns * sizeof *column);
        memcpy(shape, m->shape, b->columns * sizeof *shape);
    }
    b->column = column;
    m->shape = shape;
    m->columns_cap = cap;
    m->index = index;
    m->index_size = index ? index_size : 0;
    if (index)
        for (uint32_t i = 0; i < b->columns; i++)
            index_put(m, i);
    return true;
}

static struct mr_shape *shape_new(struct mr_arena *a, const char *quoted, size_t len, int32_t slot)
{
    struct mr_shape *s = mr_arena_take(a, sizeof *s + len + MR_SHAPE_PAD);
    if (!s)
        return NULL;
    char *text = (char *)(s + 1);
    memcpy(text, quoted, len);
    memset(text + len, 0, MR_SHAPE_PAD);
    *s = (struct mr_shape){.quoted = text, .len = (uint32_t)len, .slot = slot};
    return s;
}

struct mr_shape *mr_batch_shape_nested(struct mr_batch *b, const char *quoted, size_t len)
{
    struct mr_batch_more *m = mr_batch_more_of(b);
    if (m->shapes_nested >= MR_SHAPES_NESTED_MAX || len > 256)
        return NULL;
    m->shapes_nested++;
    return shape_new(b->arena, quoted, len, -1);
}

static int32_t column_add(struct mr_batch *b, const char *name, size_t len)
{
    struct mr_batch_more *m = mr_batch_more_of(b);
    if (b->columns >= MR_BATCH_COLUMNS_MAX || len > UINT32_MAX / 8)
        return -1;
    if (b->columns == m->columns_cap && !grow_columns(m))
        return -1;
    struct mr_buf quoted = {0};
    struct mr_shape *shape = NULL;
    if (mr_json_write_string(&quoted, name, len) && mr_buf_put(&quoted, ":", 1))
        shape = shape_new(b->arena, quoted.p, quoted.len, (int32_t)b->columns);
    mr_buf_fini(&quoted);
    struct mr_slice copy = mr_slice_copy(b->arena, (struct mr_slice){name, len});
    struct mr_value *v = mr_arena_take(&m->values.arena, b->cap * sizeof *v + COLUMN_APART);
    if (!shape || !copy.p || !v)
        return -1;
    memset(v, 0, b->rows * sizeof *v); /* B1 */
    uint32_t slot = b->columns++;
    b->column[slot] = (struct mr_column){.name = copy.p, .name_len = (uint32_t)len, .v = v};
    m->shape[slot] = shape;
    if (m->index)
        index_put(m, slot);
    return (int32_t)slot;
}

static inline bool column_is(const struct mr_column *c, const char *name, size_t len)
{
    return c->name_len == len && memcmp(c->name, name, len) == 0;
}

static int32_t column_find(const struct mr_batch *b, const char *name, size_t len)
{
    struct mr_batch_more *m = mr_batch_more_of(b);
    uint32_t n = b->columns;
    if (n == 0)
        return -1;
    if (column_is(&b->column[m->last], name, len)) /* the same field, row after row */
        return (int32_t)m->last;
    uint32_t next = m->last + 1 < n ? m->last + 1 : 0;
    if (column_is(&b->column[next], name, len)) /* the fields of a row, one after the other */
        return (int32_t)(m->last = next);
    if (m->index && n > LINEAR_COLUMNS) {
        uint32_t at = (uint32_t)name_hash(name, len) & (m->index_size - 1);
        for (uint16_t slot; (slot = m->index[at]) != 0; at = (at + 1) & (m->index_size - 1))
            if (column_is(&b->column[slot - 1], name, len))
                return (int32_t)(m->last = slot - 1u);
        return -1;
    }
    for (uint32_t i = 0; i < n; i++)
        if (column_is(&b->column[i], name, len))
            return (int32_t)(m->last = i);
    return -1;
}

void mr_batch_revive(struct mr_batch *b, uint32_t slot)
{
    struct mr_column *c = &b->column[slot];
    memset(c->v, 0, b->rows * sizeof *c->v); /* B2 */
    c->removed = 0;
}

int32_t mr_batch_slot(struct mr_batch *b, const char *name, size_t len, bool create)
{
    if (!name)
        name = "";
    int32_t slot = column_find(b, name, len);
    if (slot >= 0 && b->column[slot].removed) {
        if (!create)
            return -1;
        mr_batch_revive(b, (uint32_t)slot);
    }
    if (slot < 0 && create)
        slot = column_add(b, name, len);
    return slot;
}

void mr_batch_remove(struct mr_batch *b, const char *name, size_t len)
{
    int32_t slot = mr_batch_slot(b, name, len, false);
    if (slot < 0)
        return;
    struct mr_column *c = &b->column[slot];
    c->removed = 1;
    for (uint32_t r = 0; r < b->rows; r++)
        if (c->v[r].tag != MR_MISSING)
            b->raw[r].len = 0;
}

bool mr_value_resolve(struct mr_arena *a, const struct mr_value *in, struct mr_value *out)
{
    if (in->tag != MR_JSON) {
        *out = *in;
        return true;
    }
    return mr_json_resolve(a, in, out);
}

/* ---------------------------------------------------------------- rows */

/* A value that points into the text [from, from + len) is moved to the same place of the text's copy. */
static bool copy_rebased(struct mr_arena *a, const struct mr_value *in, struct mr_slice text, const char *to,
                         struct mr_value *out)
{
    bool bytes = in->tag == MR_STRING || in->tag == MR_BYTES || in->tag == MR_JSON;
    if (bytes && to && in->u.s >= text.p && in->u.s + in->len <= text.p + text.len) {
        *out = *in;
        out->u.s = to + (in->u.s - text.p);
        return true;
    }
    return mr_value_copy(a, in, out);
}

static bool copy_headers(struct mr_batch *to, const struct mr_value *in, uint32_t row)
{
    if (in->tag == MR_MISSING)
        return true;
    if (!to->headers) {
        struct mr_value *h = mr_arena_take(to->arena, to->cap * sizeof *h);
        if (!h)
            return false;
        memset(h, 0, to->rows * sizeof *h);
        to->headers = h;
    }
    return mr_value_copy(to->arena, in, &to->headers[row]);
}

bool mr_batch_copy_row(struct mr_batch *to, struct mr_batch *from, uint32_t row)
{
    struct mr_batch_more *m = mr_batch_more_of(to), *f = mr_batch_more_of(from);
    if (to->rows >= to->cap)
        return false;
    uint32_t count = to->count, new_row = to->rows;
    uint16_t *sel = to->sel;
    for (uint32_t c = 0; c < to->columns; c++)
        memset(&to->column[c].v[new_row], 0, sizeof(struct mr_value)); /* B1 */
    to->key[new_row] = (struct mr_value){0};
    if (to->headers)
        to->headers[new_row] = (struct mr_value){0};
    if (m->reason)
        m->reason[new_row] = (struct mr_slice){NULL, 0};
    to->fate[new_row] = MR_KEPT;
    to->time[new_row] = from->time[row];
    to->offset[new_row] = from->offset[row];
    to->raw[new_row] = (struct mr_slice){NULL, 0};
    m->text_len[new_row] = 0;
    to->rows++;

    struct mr_slice text = {from->raw[row].p, f->text_len[row]};
    struct mr_slice copy = {NULL, 0};
    bool good = true;
    if (text.len) {
        copy = mr_slice_copy(to->arena, text);
        good = copy.p != NULL;
    }
    for (uint32_t c = 0; good && c < from->columns; c++) {
        const struct mr_column *in = &from->column[c];
        if (in->removed || in->v[row].tag == MR_MISSING)
            continue;
        int32_t slot = mr_batch_slot(to, in->name, in->name_len, true);
        good = slot >= 0 && copy_rebased(to->arena, &in->v[row], text, copy.p, &to->column[slot].v[new_row]);
    }
    good = good && mr_value_copy(to->arena, &from->key[row], &to->key[new_row]) &&
           (!from->headers || copy_headers(to, &from->headers[row], new_row));
    if (!good) {
        to->rows = new_row;
        return false;
    }
    if (copy.p) {
        to->raw[new_row] = (struct mr_slice){copy.p, from->raw[row].len};
        m->text_len[new_row] = (uint32_t)text.len;
        m->order[new_row] = MR_ORDER_OTHER; /* the columns here have an order of their own */
    }
    sel[count] = (uint16_t)new_row;
    to->count = count + 1;
    return true;
}
