/* decode.c - what Kafka keeps in its own topics, as JSON.
 *
 * Keys and values begin with an int16. Of a key it says what is kept: 0 and 1 a committed offset,
 * 2 a classic group, from 3 on the state of newer groups, whose keys all name the group first and
 * whose values stay bytes. Of a value it is the version of the struct that follows. The structs
 * stand as tables in wire/schema, so one walk over those tables prints any of them.
 */
#include "cli/print.h"

#include "base/buf.h"
#include "wire/message.h"

#define OFFSETS_TOPIC "__consumer_offsets"
#define TXN_TOPIC     "__transaction_state"

bool mr_decode_is_kafkas(const char *topic)
{
    return !strcmp(topic, OFFSETS_TOPIC) || !strcmp(topic, TXN_TOPIC);
}

/* The leading int16; -1: there is none. */
static int16_t take_int16(struct mr_slice *s)
{
    if (s->len < 2)
        return -1;
    int16_t n = (int16_t)((unsigned char)s->p[0] << 8 | (unsigned char)s->p[1]);
    s->p += 2;
    s->len -= 2;
    return n;
}

/* ------------------------------------------------------------------ any message */

struct walk {
    struct mr_jsonl *j;
    struct mr_heap_arena *arena;
    int16_t version;
};

static void put_struct(const struct walk *w, const char *name, const struct mr_shape *shape, const char *p);

/* Subscriptions and assignments of classic members are messages themselves. */
static void put_bytes(const struct walk *w, const char *name, struct mr_slice bytes)
{
    const struct mr_shape *shape = !strcmp(name, "subscription") ? &mr_consumer_subscription_shape
                                   : !strcmp(name, "assignment") ? &mr_consumer_assignment_shape
                                                                 : NULL;
    struct mr_slice in = bytes;
    struct mr_err err = {0};
    int16_t version = take_int16(&in);
    void *inner = shape && version >= 0 ? mr_arena_take(&w->arena->arena, shape->size) : NULL;
    if (inner) {
        struct walk deeper = {w->j, w->arena, version > shape->max ? shape->max : version};
        if (!mr_message_read(shape, &in, deeper.version, &w->arena->arena, inner, &err)) {
            put_struct(&deeper, name, shape, inner);
            return;
        }
    }
    mr_jsonl_bytes(w->j, name, bytes.p, bytes.len);
}

static void put_one(const struct walk *w, const char *name, const struct mr_field *f, const char *p)
{
    struct mr_slice s;
    const char *inner;
    switch ((enum mr_field_type)f->type) {
    case MR_FIELD_BOOL:
        mr_jsonl_bool(w->j, name, *(const bool *)p);
        break;
    case MR_FIELD_INT8:
        mr_jsonl_int(w->j, name, *(const int8_t *)p);
        break;
    case MR_FIELD_INT16:
        mr_jsonl_int(w->j, name, *(const int16_t *)(const void *)p);
        break;
    case MR_FIELD_UINT16:
        mr_jsonl_int(w->j, name, *(const uint16_t *)(const void *)p);
        break;
    case MR_FIELD_INT32:
        mr_jsonl_int(w->j, name, *(const int32_t *)(const void *)p);
        break;
    case MR_FIELD_INT64:
        mr_jsonl_int(w->j, name, *(const int64_t *)(const void *)p);
        break;
    case MR_FIELD_STRING:
        memcpy(&s, p, sizeof s);
        mr_jsonl_bytes(w->j, name, s.p, s.len);
        break;
    case MR_FIELD_BYTES:
    case MR_FIELD_RECORDS:
        memcpy(&s, p, sizeof s);
        put_bytes(w, name, s);
        break;
    case MR_FIELD_STRUCT:
        inner = p;
        if (f->pointer)
            memcpy(&inner, p, sizeof inner);
        if (inner)
            put_struct(w, name, f->of, inner);
        else
            mr_jsonl_null(w->j, name);
        break;
    case MR_FIELD_UUID:
    case MR_FIELD_FLOAT64: /* none is kept there that a person would look for */
        break;
    }
}

static size_t size_of(const struct mr_field *f)
{
    switch ((enum mr_field_type)f->type) {
    case MR_FIELD_BOOL:
        return sizeof(bool);
    case MR_FIELD_INT8:
        return 1;
    case MR_FIELD_INT16:
    case MR_FIELD_UINT16:
        return 2;
    case MR_FIELD_INT32:
        return 4;
    case MR_FIELD_INT64:
    case MR_FIELD_FLOAT64:
        return 8;
    case MR_FIELD_UUID:
        return sizeof(struct mr_uuid);
    case MR_FIELD_STRUCT:
        return f->of->size;
    case MR_FIELD_STRING:
    case MR_FIELD_BYTES:
    case MR_FIELD_RECORDS:
        break;
    }
    return sizeof(struct mr_slice);
}

static void put_field(const struct walk *w, const struct mr_field *f, const char *base)
{
    const char *list;
    int32_t count;
    if (!f->array) {
        put_one(w, f->name, f, base + f->at);
        return;
    }
    memcpy(&count, base + f->count_at, sizeof count);
    memcpy(&list, base + f->at, sizeof list);
    if (count < 0) {
        mr_jsonl_null(w->j, f->name);
        return;
    }
    mr_jsonl_open(w->j, f->name, '[');
    for (int32_t i = 0; i < count; i++)
        put_one(w, NULL, f, list + (size_t)i * size_of(f));
    mr_jsonl_close(w->j, ']');
}

static void put_fields(const struct walk *w, const struct mr_shape *shape, const char *p)
{
    for (uint16_t i = 0; i < shape->count; i++)
        if (shape->fields[i].from <= w->version && w->version <= shape->fields[i].to)
            put_field(w, &shape->fields[i], p);
}

static void put_struct(const struct walk *w, const char *name, const struct mr_shape *shape, const char *p)
{
    mr_jsonl_open(w->j, name, '{');
    put_fields(w, shape, p);
    mr_jsonl_close(w->j, '}');
}

/* ------------------------------------------------------------------ keys and values */

/* One object: what goes before, then the message. 0: it is not understood. */
static int put_message(struct mr_heap_arena *a, const struct mr_shape *shape, int16_t version,
                       struct mr_slice in, const char *kind, struct mr_buf *out)
{
    static const char *const states[] = {"Empty",        "Ongoing",          "PrepareCommit",
                                         "PrepareAbort", "CompleteCommit",   "CompleteAbort",
                                         "Dead",         "PrepareEpochFence"};
    struct mr_jsonl j = {0};
    struct mr_err err = {0};
    void *message =
        version >= shape->min && version <= shape->max ? mr_arena_take(&a->arena, shape->size) : NULL;
    if (!message || mr_message_read(shape, &in, version, &a->arena, message, &err))
        return 0;
    struct walk w = {&j, a, version};
    mr_jsonl_open(&j, NULL, '{');
    if (kind)
        mr_jsonl_text(&j, "kind", kind);
    if (shape == &mr_stored_txn_value_shape) {
        int8_t status = ((const struct mr_stored_txn_value *)message)->status;
        bool known = status >= 0 && (size_t)status < sizeof states / sizeof states[0];
        mr_jsonl_text(&j, "state", known ? states[status] : NULL);
    }
    put_fields(&w, shape, message);
    mr_jsonl_close(&j, '}');
    bool good = !j.failed && mr_buf_put(out, j.text.p, j.text.len);
    mr_jsonl_fini(&j);
    return good ? 1 : -1;
}

/* {"kind":"consumer_group_metadata","group":"billing"} */
static int put_newer_key(int16_t type, struct mr_slice in, struct mr_buf *out)
{
    static const char *const kinds[] = {
        "consumer_group",        "consumer_group_partitions",       "consumer_group_member",
        "consumer_group_target", "consumer_group_target_of_member", "consumer_group_assignment_of_member"};
    enum { FIRST = 3, COUNT = sizeof kinds / sizeof kinds[0] };
    struct mr_jsonl j = {0};
    int16_t len = take_int16(&in);
    if (type < FIRST || len < 0 || (size_t)len > in.len)
        return 0;
    mr_jsonl_open(&j, NULL, '{');
    mr_jsonl_text(&j, "kind", type < FIRST + COUNT ? kinds[type - FIRST] : "newer_group");
    mr_jsonl_int(&j, "type", type);
    mr_jsonl_bytes(&j, "group", in.p, (size_t)len);
    mr_jsonl_close(&j, '}');
    bool good = !j.failed && mr_buf_put(out, j.text.p, j.text.len);
    mr_jsonl_fini(&j);
    return good ? 1 : -1;
}

int mr_decode_key(struct mr_heap_arena *a, const char *topic, struct mr_slice key, struct mr_buf *out)
{
    int16_t type = take_int16(&key);
    if (!strcmp(topic, TXN_TOPIC))
        return type == 0 ? put_message(a, &mr_stored_txn_key_shape, type, key, "transaction", out) : 0;
    if (type == 0 || type == 1)
        return put_message(a, &mr_stored_offset_key_shape, type, key, "offset", out);
    if (type == 2)
        return put_message(a, &mr_stored_group_key_shape, type, key, "group", out);
    return put_newer_key(type, key, out);
}

int mr_decode_value(struct mr_heap_arena *a, const char *topic, struct mr_slice key, struct mr_slice value,
                    struct mr_buf *out)
{
    int16_t type = take_int16(&key), version = take_int16(&value);
    const struct mr_shape *shape = !strcmp(topic, TXN_TOPIC) ? &mr_stored_txn_value_shape
                                   : type == 2               ? &mr_stored_group_value_shape
                                                             : &mr_stored_offset_value_shape;
    if (type < 0 || type > 2)
        return 0;
    return put_message(a, shape, version, value, NULL, out);
}
