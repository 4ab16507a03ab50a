/* message.c - one reader and one writer for every Kafka message, walking the tables that gen.lua makes.
 *
 * Why tables. 64 APIs make 518 pairs of message and version. Code for each would be megabytes, minutes of
 * compiling, and cold in the processor's cache; the tables are 93 KiB, compile in a tenth of a second, and a
 * broker touches a few of them. Walking them costs 2 to 5 ns a field: a Produce of ten partitions is read in
 * 0.11 us and a Fetch answer of ten written in 0.3 to 0.5 us, next to thousands of records that nobody
 * touches.
 *
 * Laws:
 *   M1  no length is believed before it was compared with the bytes left; an array is allocated only when
 *       the bytes left can hold its elements at their least size
 *   M2  read sets every field of every struct it makes
 *   M3  write leaves `out` as it was when it fails
 */
#include "wire/message.h"

#include "base/assert.h"
#include "base/buf.h"
#include "wire/bytes.h"

enum {
    STRING_BYTES_MAX = 32767,
    PATH_TEXT_MAX = 200,
};

static const char empty[1];

static inline bool within(int8_t from, int8_t to, int version)
{
    return from <= version && version <= to;
}

static const uint16_t sizes[] = {
    [MR_FIELD_BOOL] = sizeof(bool),
    [MR_FIELD_INT8] = 1,
    [MR_FIELD_INT16] = 2,
    [MR_FIELD_INT32] = 4,
    [MR_FIELD_INT64] = 8,
    [MR_FIELD_UINT16] = 2,
    [MR_FIELD_FLOAT64] = 8,
    [MR_FIELD_UUID] = 16,
    [MR_FIELD_STRING] = sizeof(struct mr_slice),
    [MR_FIELD_BYTES] = sizeof(struct mr_slice),
    [MR_FIELD_RECORDS] = sizeof(struct mr_slice),
    [MR_FIELD_STRUCT] = 0,
};

static inline size_t element_size(const struct mr_field *f)
{
    return f->type == MR_FIELD_STRUCT ? f->of->size : sizes[f->type];
}

/* Bytes at least on the wire of one element of array `f`. */
static inline size_t element_least(const struct mr_field *f, int version, bool flexible)
{
    static const uint8_t old[] = {1, 1, 2, 4, 8, 2, 8, 16, 2, 4, 4},
                         compact[] = {1, 1, 2, 4, 8, 2, 8, 16, 1, 1, 1};
    if (f->type == MR_FIELD_STRUCT)
        return f->of->least[version - f->of->min];
    return flexible ? compact[f->type] : old[f->type];
}

/* --- defaults */

static void set_default(const struct mr_field *f, char *m)
{
    void *to = m + f->at;
    void *null = NULL;
    if (f->array) {
        int32_t count = f->null_value ? -1 : 0;
        memcpy(m + f->count_at, &count, sizeof count);
        memcpy(to, &null, sizeof null);
        return;
    }
    switch ((enum mr_field_type)f->type) {
    case MR_FIELD_BOOL:
        *(bool *)to = f->value != 0;
        break;
    case MR_FIELD_INT8:
        *(int8_t *)to = (int8_t)f->value;
        break;
    case MR_FIELD_INT16:
        *(int16_t *)to = (int16_t)f->value;
        break;
    case MR_FIELD_INT32:
        *(int32_t *)to = (int32_t)f->value;
        break;
    case MR_FIELD_INT64:
        *(int64_t *)to = f->value;
        break;
    case MR_FIELD_UINT16:
        *(uint16_t *)to = (uint16_t)f->value;
        break;
    case MR_FIELD_FLOAT64:
        *(double *)to = 0;
        break;
    case MR_FIELD_UUID:
        memset(to, 0, sizeof(struct mr_uuid));
        break;
    case MR_FIELD_STRING:
    case MR_FIELD_BYTES:
    case MR_FIELD_RECORDS:
        *(struct mr_slice *)to = (struct mr_slice){f->null_value ? NULL : empty, 0};
        break;
    case MR_FIELD_STRUCT:
        if (f->pointer)
            memcpy(to, &null, sizeof null);
        else
            mr_message_init(f->of, to);
        break;
    }
}

void mr_message_init(const struct mr_shape *shape, void *out)
{
    for (uint16_t i = 0; i < shape->count; i++)
        set_default(&shape->fields[i], out);
}

static bool is_default(const struct mr_field *f, const char *m)
{
    const void *at = m + f->at;
    if (f->array) {
        int32_t count;
        memcpy(&count, m + f->count_at, sizeof count);
        return count == (f->null_value ? -1 : 0);
    }
    switch ((enum mr_field_type)f->type) {
    case MR_FIELD_BOOL:
        return *(const bool *)at == (f->value != 0);
    case MR_FIELD_INT8:
        return *(const int8_t *)at == f->value;
    case MR_FIELD_INT16:
        return *(const int16_t *)at == f->value;
    case MR_FIELD_INT32:
        return *(const int32_t *)at == f->value;
    case MR_FIELD_INT64:
        return *(const int64_t *)at == f->value;
    case MR_FIELD_UINT16:
        return *(const uint16_t *)at == f->value;
    case MR_FIELD_FLOAT64: {
        uint64_t bits; /* -0.0 is not the default */
        memcpy(&bits, at, sizeof bits);
        return bits == 0;
    }
    case MR_FIELD_UUID: {
        static const struct mr_uuid none;
        return memcmp(at, &none, sizeof none) == 0;
    }
    case MR_FIELD_STRING:
    case MR_FIELD_BYTES:
    case MR_FIELD_RECORDS: {
        const struct mr_slice *s = at;
        bool null = s->p == NULL && f->null_to >= f->null_from;
        return s->len == 0 && null == f->null_value;
    }
    case MR_FIELD_STRUCT:
        mr_assert(!f->pointer); /* gen.lua lets no tagged struct be null */
        for (uint16_t i = 0; i < f->of->count; i++)
            if (!is_default(&f->of->fields[i], at))
                return false;
        return true;
    }
    return false;
}

/* --- where we are, for complaints */

struct level { /* one struct deep in a message */
    const struct level *up;
    const struct mr_field *field; /* of the struct above, NULL at the top */
    int32_t index;                /* in its array, else -1 */
};

static size_t path_put(char *text, size_t len, const struct level *l)
{
    if (l->up)
        len = path_put(text, len, l->up);
    if (!l->field || len >= PATH_TEXT_MAX)
        return len;
    int n = l->index >= 0 ? snprintf(text + len, PATH_TEXT_MAX - len, "%s[%d].", l->field->name, l->index)
                          : snprintf(text + len, PATH_TEXT_MAX - len, "%s.", l->field->name);
    len += n > 0 ? (size_t)n : 0;
    return len < PATH_TEXT_MAX ? len : PATH_TEXT_MAX - 1;
}

static __attribute__((cold, noinline)) mr_code complain(struct mr_err *err, mr_code code,
                                                        const struct mr_shape *root, int version,
                                                        const struct level *l, const struct mr_field *f,
                                                        size_t at, const char *what)
{
    char path[PATH_TEXT_MAX + 1];
    path[path_put(path, 0, l)] = '\0';
    return mr_fail(err, code, "%s v%d: field '%s%s' at byte %zu: %s", root->name, version, path,
                   f ? f->name : "tagged fields", at, what);
}

static mr_code check_version(const struct mr_shape *shape, int16_t version, struct mr_err *err)
{
    if (version < shape->min || version > shape->max)
        return mr_fail(err, MR_UNSUPPORTED, "%s: version %d is not among %d to %d", shape->name, version,
                       shape->min, shape->max);
    return MR_OK;
}

/* --- reading */

struct reader {
    const uint8_t *p, *end, *start;
    struct mr_arena *arena;
    const struct mr_shape *root;
    struct mr_err *err;
    int version;
    bool flexible;
};

static mr_code read_fail(const struct reader *r, const struct level *l, const struct mr_field *f,
                         mr_code code, const char *what)
{
    return complain(r->err, code, r->root, r->version, l, f, (size_t)(r->p - r->start), what);
}

#define BAD(what) read_fail(r, l, f, MR_BADDATA, what)

/* A length or count as `wide` bytes or compact; -1 is null, less is refused. */
static inline bool read_length(struct reader *r, int wide, int64_t *out)
{
    if (r->flexible) {
        uint32_t v;
        if (!mr_uvarint32(&r->p, r->end, &v))
            return false;
        *out = (int64_t)v - 1;
        return true;
    }
    if (r->end - r->p < wide)
        return false;
    *out = wide == 2 ? (int64_t)(int16_t)mr_be16(r->p) : (int64_t)(int32_t)mr_be32(r->p);
    r->p += wide;
    return *out >= -1;
}

static mr_code read_slice(struct reader *r, const struct level *l, const struct mr_field *f, bool may_be_null,
                          struct mr_slice *out)
{
    int64_t len;
    if (!read_length(r, f->type == MR_FIELD_STRING ? 2 : 4, &len))
        return BAD("its length is cut short or negative");
    if (len < 0) {
        if (!may_be_null)
            return BAD("null is not allowed");
        *out = (struct mr_slice){NULL, 0};
        return MR_OK;
    }
    if (len > r->end - r->p) /* M1 */
        return BAD("it is longer than the bytes left");
    if (f->type == MR_FIELD_STRING && len > STRING_BYTES_MAX)
        return BAD("a string may have 32767 bytes at most");
    *out = (struct mr_slice){(const char *)r->p, (size_t)len};
    r->p += len;
    return MR_OK;
}

static mr_code read_struct(struct reader *r, const struct level *l, const struct mr_shape *shape, char *out);

/* One value, or one element of an array. */
static inline mr_code read_value(struct reader *r, const struct level *l, const struct mr_field *f,
                                 bool may_be_null, void *to)
{
    const uint8_t *p = r->p;
    size_t left = (size_t)(r->end - p);
    if (f->type <= MR_FIELD_UUID) {
        size_t size = sizes[f->type];
        if (left < size)
            return BAD("the message ends within it");
        r->p += size;
    }
    switch ((enum mr_field_type)f->type) {
    case MR_FIELD_BOOL:
        *(bool *)to = *p != 0;
        return MR_OK;
    case MR_FIELD_INT8:
        *(int8_t *)to = (int8_t)*p;
        return MR_OK;
    case MR_FIELD_INT16:
    case MR_FIELD_UINT16:
        *(uint16_t *)to = mr_be16(p);
        return MR_OK;
    case MR_FIELD_INT32:
        *(uint32_t *)to = mr_be32(p);
        return MR_OK;
    case MR_FIELD_INT64:
    case MR_FIELD_FLOAT64: {
        uint64_t bits = mr_be64(p);
        memcpy(to, &bits, sizeof bits);
        return MR_OK;
    }
    case MR_FIELD_UUID:
        memcpy(to, p, sizeof(struct mr_uuid));
        return MR_OK;
    case MR_FIELD_STRING:
    case MR_FIELD_BYTES:
    case MR_FIELD_RECORDS:
        return read_slice(r, l, f, may_be_null, to);
    case MR_FIELD_STRUCT:
        return read_struct(r, l, f->of, to);
    }
    return BAD("its type is not known");
}

static mr_code read_array(struct reader *r, const struct level *l, const struct mr_field *f, bool may_be_null,
                          char *m)
{
    int64_t length;
    void *items = NULL;
    if (!read_length(r, 4, &length))
        return BAD("its count is cut short or negative");
    if (length < 0 && !may_be_null)
        return BAD("null is not allowed");
    size_t size = element_size(f);
    if (length > 0) {
        if ((uint64_t)length > (size_t)(r->end - r->p) / element_least(f, r->version, r->flexible)) /* M1 */
            return BAD("it counts more elements than the bytes left can hold");
        items = mr_arena_take(r->arena, (size_t)length * size);
        if (!items)
            return read_fail(r, l, f, MR_LIMIT, "the request's arena is full");
    }
    int32_t count = (int32_t)length;
    memcpy(m + f->count_at, &count, sizeof count);
    memcpy(m + f->at, &items, sizeof items);
    struct level deeper = {l, f, 0};
    for (; deeper.index < count; deeper.index++) {
        mr_code rc = read_value(r, &deeper, f, false, (char *)items + (size_t)deeper.index * size);
        if (rc)
            return rc;
    }
    return MR_OK;
}

static mr_code read_nullable_struct(struct reader *r, const struct level *l, const struct mr_field *f,
                                    bool may_be_null, char *m)
{
    void *made = NULL;
    if (may_be_null) {
        if (r->p == r->end)
            return BAD("the message ends before it");
        if ((int8_t)*r->p++ < 0) {
            memcpy(m + f->at, &made, sizeof made);
            return MR_OK;
        }
    }
    made = mr_arena_take(r->arena, f->of->size);
    if (!made)
        return read_fail(r, l, f, MR_LIMIT, "the request's arena is full");
    memcpy(m + f->at, &made, sizeof made);
    struct level deeper = {l, f, -1};
    return read_struct(r, &deeper, f->of, made);
}

static inline mr_code read_field(struct reader *r, const struct level *l, const struct mr_field *f, char *m)
{
    bool may_be_null = within(f->null_from, f->null_to, r->version);
    if (f->array)
        return read_array(r, l, f, may_be_null, m);
    if (f->pointer)
        return read_nullable_struct(r, l, f, may_be_null, m);
    if (f->type == MR_FIELD_STRUCT) {
        struct level deeper = {l, f, -1};
        return read_struct(r, &deeper, f->of, m + f->at);
    }
    return read_value(r, l, f, may_be_null, m + f->at);
}

static mr_code read_tagged(struct reader *r, const struct level *l, const struct mr_shape *shape, char *m)
{
    const struct mr_field *f = NULL;
    uint32_t count, tag = 0;
    if (!mr_uvarint32(&r->p, r->end, &count))
        return BAD("their count is cut short");
    for (uint32_t i = 0; i < count; i++) {
        uint32_t was = tag, size;
        f = NULL;
        if (!mr_uvarint32(&r->p, r->end, &tag) || !mr_uvarint32(&r->p, r->end, &size))
            return BAD("a tag or a size is cut short");
        if (i > 0 && tag <= was)
            return BAD("tags do not rise");
        if (size > (size_t)(r->end - r->p))
            return BAD("one is longer than the bytes left");
        for (uint16_t k = shape->tagged_at; k < shape->count; k++)
            if ((uint32_t)shape->fields[k].tag == tag)
                f = &shape->fields[k];
        const uint8_t *end = r->end, *field_end = r->p + size;
        if (f && within(f->from, f->to, r->version)) {
            r->end = field_end;
            mr_code rc = read_field(r, l, f, m);
            if (rc)
                return rc;
            if (r->p != field_end)
                return BAD("bytes are left behind it within its size");
            r->end = end;
        }
        r->p = field_end;
    }
    return MR_OK;
}

static mr_code read_struct(struct reader *r, const struct level *l, const struct mr_shape *shape, char *out)
{
    const struct mr_field *f = shape->fields, *tagged = f + shape->tagged_at, *end = f + shape->count;
    for (; f < tagged; f++) {
        if (within(f->from, f->to, r->version)) {
            mr_code rc = read_field(r, l, f, out);
            if (rc)
                return rc;
        } else {
            set_default(f, out); /* M2 */
        }
    }
    for (; f < end; f++)
        set_default(f, out);
    return r->flexible ? read_tagged(r, l, shape, out) : MR_OK;
}

mr_code mr_message_read(const struct mr_shape *shape, struct mr_slice *in, int16_t version,
                        struct mr_arena *arena, void *out, struct mr_err *err)
{
    const uint8_t *p = (const uint8_t *)(in->p ? in->p : empty);
    struct reader r = {p, p + in->len, p, arena, shape, err, version, version >= shape->flexible};
    const struct level top = {NULL, NULL, -1};
    mr_code rc = check_version(shape, version, err);
    if (rc || (rc = read_struct(&r, &top, shape, out)))
        return rc;
    *in = (struct mr_slice){(const char *)r.p, (size_t)(r.end - r.p)};
    return MR_OK;
}

/* --- writing */

struct writer {
    struct mr_buf *out;
    struct mr_holes *holes;
    const struct mr_shape *root;
    struct mr_err *err;
    size_t start;
    int version;
    bool flexible;
};

static mr_code write_fail(const struct writer *w, const struct level *l, const struct mr_field *f,
                          mr_code code, const char *what)
{
    return complain(w->err, code, w->root, w->version, l, f, w->out->len - w->start, what);
}

/* Room for `bytes` more, NULL with no memory. The caller then adds to out->len what it used. */
static inline uint8_t *room(struct writer *w, size_t bytes)
{
    if (w->out->cap - w->out->len < bytes && !mr_buf_reserve(w->out, bytes))
        return NULL;
    return (uint8_t *)w->out->p + w->out->len;
}

static inline void put_length(struct writer *w, uint8_t *p, int wide, int64_t length) /* expects room */
{
    uint8_t *end = p + wide;
    if (w->flexible)
        end = mr_uvarint_put(p, (uint64_t)(length + 1));
    else if (wide == 2)
        mr_be16_put(p, (uint16_t)length);
    else
        mr_be32_put(p, (uint32_t)length);
    w->out->len += (size_t)(end - p);
}

static mr_code no_memory(const struct writer *w, const struct level *l, const struct mr_field *f)
{
    return write_fail(w, l, f, MR_MEMORY, "no memory, or more than 1 GiB");
}

static mr_code write_hole(struct writer *w, const struct level *l, const struct mr_field *f,
                          const struct mr_slice *s)
{
    struct mr_holes *holes = w->holes;
    if (!holes || f->type != MR_FIELD_RECORDS)
        return write_fail(w, l, f, MR_BADDATA, "it has a length but no bytes");
    if (holes->count == holes->max)
        return write_fail(w, l, f, MR_LIMIT, "more holes than the caller has room for");
    uint8_t *p = room(w, MR_UVARINT32_BYTES);
    if (!p)
        return no_memory(w, l, f);
    put_length(w, p, 4, (int64_t)s->len);
    holes->v[holes->count++] = (struct mr_hole){w->out->len, s->len, s};
    holes->bytes += s->len;
    return MR_OK;
}

static mr_code write_slice(struct writer *w, const struct level *l, const struct mr_field *f,
                           bool may_be_null, const struct mr_slice *s)
{
    if (s->len > (f->type == MR_FIELD_STRING ? (size_t)STRING_BYTES_MAX : (size_t)INT32_MAX - 1))
        return write_fail(w, l, f, MR_BADDATA, "it is too long (a string may have 32767 bytes)");
    if (s->p == NULL && s->len > 0)
        return write_hole(w, l, f, s);
    uint8_t *p = room(w, MR_UVARINT32_BYTES + s->len);
    if (!p)
        return no_memory(w, l, f);
    bool null = s->p == NULL && may_be_null;
    put_length(w, p, f->type == MR_FIELD_STRING ? 2 : 4, null ? -1 : (int64_t)s->len);
    if (s->len > 0)
        memcpy(w->out->p + w->out->len, s->p, s->len);
    w->out->len += s->len;
    return MR_OK;
}

static mr_code write_struct(struct writer *w, const struct level *l, const struct mr_shape *shape,
                            const char *m);

static inline mr_code write_value(struct writer *w, const struct level *l, const struct mr_field *f,
                                  bool may_be_null, const void *from)
{
    uint8_t *p = NULL;
    if (f->type <= MR_FIELD_UUID) {
        size_t size = sizes[f->type];
        if (!(p = room(w, size)))
            return no_memory(w, l, f);
        w->out->len += size;
    }
    switch ((enum mr_field_type)f->type) {
    case MR_FIELD_BOOL:
        *p = *(const bool *)from ? 1 : 0;
        return MR_OK;
    case MR_FIELD_INT8:
        *p = *(const uint8_t *)from;
        return MR_OK;
    case MR_FIELD_INT16:
    case MR_FIELD_UINT16:
        mr_be16_put(p, *(const uint16_t *)from);
        return MR_OK;
    case MR_FIELD_INT32:
        mr_be32_put(p, *(const uint32_t *)from);
        return MR_OK;
    case MR_FIELD_INT64:
    case MR_FIELD_FLOAT64: {
        uint64_t bits;
        memcpy(&bits, from, sizeof bits);
        mr_be64_put(p, bits);
        return MR_OK;
    }
    case MR_FIELD_UUID:
        memcpy(p, from, sizeof(struct mr_uuid));
        return MR_OK;
    case MR_FIELD_STRING:
    case MR_FIELD_BYTES:
    case MR_FIELD_RECORDS:
        return write_slice(w, l, f, may_be_null, from);
    case MR_FIELD_STRUCT:
        return write_struct(w, l, f->of, from);
    }
    return write_fail(w, l, f, MR_BADDATA, "its type is not known");
}

static mr_code write_array(struct writer *w, const struct level *l, const struct mr_field *f,
                           bool may_be_null, const char *m)
{
    int32_t count;
    const char *items;
    memcpy(&count, m + f->count_at, sizeof count);
    memcpy(&items, m + f->at, sizeof items);
    if (count < -1 || (count < 0 && !may_be_null))
        return write_fail(w, l, f, MR_BADDATA, "null is not allowed");
    uint8_t *p = room(w, MR_UVARINT32_BYTES);
    if (!p)
        return no_memory(w, l, f);
    put_length(w, p, 4, count);
    size_t size = element_size(f);
    struct level deeper = {l, f, 0};
    for (; deeper.index < count; deeper.index++) {
        mr_code rc = write_value(w, &deeper, f, false, items + (size_t)deeper.index * size);
        if (rc)
            return rc;
    }
    return MR_OK;
}

static mr_code write_nullable_struct(struct writer *w, const struct level *l, const struct mr_field *f,
                                     bool may_be_null, const char *m)
{
    const char *made;
    memcpy(&made, m + f->at, sizeof made);
    if (!made && !may_be_null)
        return write_fail(w, l, f, MR_BADDATA, "null is not allowed");
    if (may_be_null) {
        uint8_t *p = room(w, 1);
        if (!p)
            return no_memory(w, l, f);
        *p = made ? 1 : 0xff;
        w->out->len++;
        if (!made)
            return MR_OK;
    }
    struct level deeper = {l, f, -1};
    return write_struct(w, &deeper, f->of, made);
}

static inline mr_code write_field(struct writer *w, const struct level *l, const struct mr_field *f,
                                  const char *m)
{
    bool may_be_null = within(f->null_from, f->null_to, w->version);
    if (f->array)
        return write_array(w, l, f, may_be_null, m);
    if (f->pointer)
        return write_nullable_struct(w, l, f, may_be_null, m);
    if (f->type == MR_FIELD_STRUCT) {
        struct level deeper = {l, f, -1};
        return write_struct(w, &deeper, f->of, m + f->at);
    }
    return write_value(w, l, f, may_be_null, m + f->at);
}

static mr_code write_tagged(struct writer *w, const struct level *l, const struct mr_shape *shape,
                            const char *m)
{
    struct mr_buf *out = w->out;
    uint32_t count = 0;
    for (uint16_t i = shape->tagged_at; i < shape->count; i++)
        count += within(shape->fields[i].from, shape->fields[i].to, w->version) &&
                 !is_default(&shape->fields[i], m);
    uint8_t *p = room(w, MR_UVARINT32_BYTES);
    if (!p)
        return no_memory(w, l, NULL);
    out->len += (size_t)(mr_uvarint_put(p, count) - p);
    for (uint16_t i = shape->tagged_at; count > 0 && i < shape->count; i++) {
        const struct mr_field *f = &shape->fields[i];
        if (!within(f->from, f->to, w->version) || is_default(f, m))
            continue;
        if (!(p = room(w, MR_UVARINT32_BYTES)))
            return no_memory(w, l, f);
        uint32_t tag = (uint32_t)f->tag;
        out->len += (size_t)(mr_uvarint_put(p, tag) - p);
        size_t before = out->len;
        mr_code rc = write_field(w, l, f, m);
        if (rc)
            return rc;
        size_t size = out->len - before, wide = mr_uvarint_size(size); /* its size goes in front of it */
        if (!room(w, wide))
            return no_memory(w, l, f);
        memmove(out->p + before + wide, out->p + before, size);
        (void)mr_uvarint_put((uint8_t *)out->p + before, size);
        out->len += wide;
    }
    return MR_OK;
}

static mr_code write_struct(struct writer *w, const struct level *l, const struct mr_shape *shape,
                            const char *m)
{
    const struct mr_field *f = shape->fields, *tagged = f + shape->tagged_at;
    for (; f < tagged; f++) {
        if (!within(f->from, f->to, w->version))
            continue;
        mr_code rc = write_field(w, l, f, m);
        if (rc)
            return rc;
    }
    return w->flexible ? write_tagged(w, l, shape, m) : MR_OK;
}

mr_code mr_message_write(const struct mr_shape *shape, struct mr_buf *out, int16_t version,
                         const void *message, struct mr_holes *holes, struct mr_err *err)
{
    struct writer w = {out, holes, shape, err, out->len, version, version >= shape->flexible};
    const struct level top = {NULL, NULL, -1};
    struct mr_holes was = holes ? *holes : (struct mr_holes){0};
    mr_code rc = check_version(shape, version, err);
    if (rc == MR_OK && (rc = write_struct(&w, &top, shape, message)) != MR_OK) { /* M3 */
        out->len = w.start;
        if (holes)
            *holes = was;
    }
    return rc;
}

/* --- frames and headers */

enum { FRAME_SIZE_BYTES = 4, KEY_API_VERSIONS = 18 };

bool mr_frame_begin(struct mr_buf *out, size_t *at)
{
    *at = out->len;
    if (!mr_buf_reserve(out, FRAME_SIZE_BYTES))
        return false;
    mr_be32_put(out->p + out->len, 0);
    out->len += FRAME_SIZE_BYTES;
    return true;
}

void mr_frame_end(struct mr_buf *out, size_t at, const struct mr_holes *holes)
{
    size_t size = out->len - at - FRAME_SIZE_BYTES + (holes ? holes->bytes : 0);
    mr_assert(size <= INT32_MAX);
    mr_be32_put(out->p + at, (uint32_t)size);
}

/* The tagged fields of a header: none are known, all are skipped. */
static bool skip_tagged(const uint8_t **p, const uint8_t *end)
{
    uint32_t count, tag, size;
    if (!mr_uvarint32(p, end, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!mr_uvarint32(p, end, &tag) || !mr_uvarint32(p, end, &size) || size > (size_t)(end - *p))
            return false;
        *p += size;
    }
    return true;
}

mr_code mr_request_header_read(struct mr_slice *in, struct mr_request_header *out, struct mr_err *err)
{
    const uint8_t *p = (const uint8_t *)in->p, *end = p + in->len;
    *out = (struct mr_request_header){0};
    if (in->len < 8)
        return mr_fail(err, MR_BADDATA, "request header: %zu bytes, 8 at least were expected", in->len);
    out->key = (int16_t)mr_be16(p);
    out->version = (int16_t)mr_be16(p + 2);
    out->correlation_id = (int32_t)mr_be32(p + 4);
    out->api = mr_api_find(out->key);
    p += 8;
    if (end - p >= 2) { /* not compact in any version */
        int16_t len = (int16_t)mr_be16(p);
        if (len < -1 || len > end - p - 2)
            return mr_fail(err, MR_BADDATA, "request header: client id of %d bytes, %zu are left", len,
                           (size_t)(end - p - 2));
        p += 2;
        if (len >= 0) {
            out->client_id = (struct mr_slice){(const char *)p, (size_t)len};
            p += len;
        }
    } else if (out->api) {
        return mr_fail(err, MR_BADDATA, "request header: it ends before the client id");
    }
    if (!out->api)
        return mr_fail(err, MR_UNSUPPORTED, "request header: no api has the key %d", out->key);
    if (out->version < out->api->min || out->version > out->api->max)
        return mr_fail(err, MR_UNSUPPORTED, "request header: %s has versions %d to %d, not %d",
                       out->api->name, out->api->min, out->api->max, out->version);
    if (out->version >= out->api->flexible && !skip_tagged(&p, end))
        return mr_fail(err, MR_BADDATA, "request header: its tagged fields are cut short");
    *in = (struct mr_slice){(const char *)p, (size_t)(end - p)};
    return MR_OK;
}

bool mr_request_header_write(struct mr_buf *out, const struct mr_api *api, int16_t version,
                             int32_t correlation_id, struct mr_slice client_id)
{
    if (client_id.len > STRING_BYTES_MAX || !mr_buf_reserve(out, 11 + client_id.len))
        return false;
    uint8_t *p = (uint8_t *)out->p + out->len;
    mr_be16_put(p, (uint16_t)api->key);
    mr_be16_put(p + 2, (uint16_t)version);
    mr_be32_put(p + 4, (uint32_t)correlation_id);
    mr_be16_put(p + 8, client_id.p ? (uint16_t)client_id.len : UINT16_MAX);
    p += 10;
    if (client_id.p) {
        memcpy(p, client_id.p, client_id.len);
        p += client_id.len;
    }
    if (version >= api->flexible)
        *p++ = 0; /* no tagged fields */
    out->len = (size_t)((char *)p - out->p);
    return true;
}

static bool response_header_flexible(const struct mr_api *api, int16_t version)
{
    return version >= api->flexible && api->key != KEY_API_VERSIONS;
}

mr_code mr_response_header_read(struct mr_slice *in, const struct mr_api *api, int16_t version,
                                int32_t *correlation_id, struct mr_err *err)
{
    const uint8_t *p = (const uint8_t *)in->p, *end = p + in->len;
    if (in->len < 4)
        return mr_fail(err, MR_BADDATA, "response header: %zu bytes, 4 at least were expected", in->len);
    *correlation_id = (int32_t)mr_be32(p);
    p += 4;
    if (response_header_flexible(api, version) && !skip_tagged(&p, end))
        return mr_fail(err, MR_BADDATA, "response header of %s: its tagged fields are cut short", api->name);
    *in = (struct mr_slice){(const char *)p, (size_t)(end - p)};
    return MR_OK;
}

bool mr_response_header_write(struct mr_buf *out, const struct mr_api *api, int16_t version,
                              int32_t correlation_id)
{
    if (!mr_buf_reserve(out, 5))
        return false;
    mr_be32_put(out->p + out->len, (uint32_t)correlation_id);
    out->len += 4;
    if (response_header_flexible(api, version))
        out->p[out->len++] = 0;
    return true;
}
