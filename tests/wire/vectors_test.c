/* vectors_test.c - what another implementation encoded (vectors.txt, made by vectors.py) means the same to
 * us, field by field and by name, and is what we write ourselves. */
#include "setup.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/hash.h"
#include "wire/message.h"
#include "wire/record.h"

struct vector {
    char kind[16], name[64];
    int version, tags;
    struct mr_buf bytes;
    uint32_t crc;
};

/* Reads vectors.txt line by line; false at its end. */
static bool next_vector(FILE *f, struct vector *v)
{
    static char line[1 << 16], hex[1 << 16];
    while (fgets(line, sizeof line, f)) {
        if (line[0] == '#')
            continue;
        memset(v->name, 0, sizeof v->name);
        v->bytes.len = 0;
        assert_int_equal(sscanf(line, "%15s", v->kind), 1);
        int words = strcmp(v->kind, "batch") == 0
                        ? sscanf(line, "batch %d %d %65535s %x", &v->version, &v->tags, hex, &v->crc)
                        : sscanf(line, "message %63s %d %d %65535s %x", v->name, &v->version, &v->tags, hex,
                                 &v->crc) -
                              1;
        assert_int_equal(words, 4);
        if (hex[0] != '-')
            from_hex(&v->bytes, hex);
        return true;
    }
    return false;
}

static FILE *open_vectors(void)
{
    char path[4096];
    const char *root = getenv("MR_SOURCE_DIR");
    (void)snprintf(path, sizeof path, "%s/tests/wire/vectors.txt", root ? root : ".");
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("cannot read '%s': set MR_SOURCE_DIR", path);
    return f;
}

/* --- what a message means, as text */

static void tell(struct mr_buf *out, const struct mr_shape *shape, int version, bool tags, const char *m);

static void tell_value(struct mr_buf *out, const struct mr_field *f, int version, bool tags, const char *at)
{
    struct mr_slice s;
    double d;
    bool ok = true;
    switch ((enum mr_field_type)f->type) {
    case MR_FIELD_BOOL:
        ok = mr_buf_printf(out, "%d", *(const bool *)at);
        break;
    case MR_FIELD_INT8:
        ok = mr_buf_printf(out, "%d", *(const int8_t *)at);
        break;
    case MR_FIELD_INT16:
        ok = mr_buf_printf(out, "%d", *(const int16_t *)(const void *)at);
        break;
    case MR_FIELD_INT32:
        ok = mr_buf_printf(out, "%d", *(const int32_t *)(const void *)at);
        break;
    case MR_FIELD_INT64:
        ok = mr_buf_printf(out, "%lld", (long long)*(const int64_t *)(const void *)at);
        break;
    case MR_FIELD_UINT16:
        ok = mr_buf_printf(out, "%u", *(const uint16_t *)(const void *)at);
        break;
    case MR_FIELD_FLOAT64:
        memcpy(&d, at, sizeof d);
        ok = mr_buf_printf(out, "%.6f", d);
        break;
    case MR_FIELD_UUID:
        for (int i = 0; i < 16 && ok; i++)
            ok = mr_buf_printf(out, "%02x", (unsigned char)at[i]);
        break;
    case MR_FIELD_STRING:
    case MR_FIELD_BYTES:
    case MR_FIELD_RECORDS:
        memcpy(&s, at, sizeof s);
        ok = s.p ? mr_buf_put(out, s.p, s.len) : mr_buf_puts(out, "null");
        break;
    case MR_FIELD_STRUCT:
        tell(out, f->of, version, tags, at);
        break;
    }
    assert_true(ok);
}

static void tell(struct mr_buf *out, const struct mr_shape *shape, int version, bool tags, const char *m)
{
    static const size_t sizes[] = {sizeof(bool), 1, 2, 4, 8, 2, 8, 16, 16, 16, 16};
    const char *before = "";
    assert_true(mr_buf_puts(out, "{"));
    for (uint16_t i = 0; i < shape->count; i++) {
        const struct mr_field *f = &shape->fields[i];
        const char *at = m + f->at;
        int32_t count = 1;
        if (version < f->from || version > f->to || (f->tag >= 0 && !tags))
            continue;
        assert_true(mr_buf_puts(out, before));
        for (const char *c = f->name; *c; c++)
            assert_true(*c == '_' || mr_buf_put(out, c, 1));
        assert_true(mr_buf_puts(out, "="));
        before = ";";
        if (f->array)
            memcpy(&count, m + f->count_at, sizeof count);
        if (f->array || f->pointer)
            memcpy(&at, m + f->at, sizeof at);
        if (count < 0 || (f->pointer && !at)) {
            assert_true(mr_buf_puts(out, "null"));
            continue;
        }
        size_t size = f->type == MR_FIELD_STRUCT ? f->of->size : sizes[f->type];
        assert_true(!f->array || mr_buf_puts(out, "["));
        for (int32_t k = 0; k < count; k++) {
            assert_true(k == 0 || mr_buf_puts(out, ","));
            tell_value(out, f, version, tags, at + (size_t)k * size);
        }
        assert_true(!f->array || mr_buf_puts(out, "]"));
    }
    assert_true(mr_buf_puts(out, "}"));
}

static const struct mr_shape *shape_named(const char *name)
{
    for (size_t i = 0; i < mr_messages_count; i++)
        if (strcmp(mr_messages[i]->name, name) == 0)
            return mr_messages[i];
    fail_msg("no message is named '%s'", name);
    return NULL;
}

static void messages_mean_what_another_implementation_says(void **state)
{
    (void)state;
    FILE *f = open_vectors();
    struct vector v = {0};
    struct mr_heap_arena arena;
    struct mr_buf said = {0}, again = {0};
    int checked = 0;
    mr_heap_arena_init(&arena, 1 << 16, 1 << 16, 1 << 20);
    while (next_vector(f, &v)) {
        if (strcmp(v.kind, "message") != 0)
            continue;
        const struct mr_shape *shape = shape_named(v.name);
        struct mr_slice in = slice_of_buf(&v.bytes);
        struct mr_err err;
        mr_heap_arena_reset(&arena);
        char *m = mr_arena_take(&arena.arena, shape->size);
        assert_non_null(m);
        if (mr_message_read(shape, &in, (int16_t)v.version, &arena.arena, m, &err) != MR_OK)
            fail_msg("%s", err.text);
        if (in.len != 0)
            fail_msg("%s v%d: %zu bytes are left", v.name, v.version, in.len);
        said.len = again.len = 0;
        tell(&said, shape, v.version, v.tags != 0, m);
        if (mr_crc32c(0, said.p, said.len) != v.crc)
            fail_msg("%s v%d means something else: %.*s", v.name, v.version, (int)said.len, said.p);
        if (mr_message_write(shape, &again, (int16_t)v.version, m, NULL, &err) != MR_OK)
            fail_msg("%s", err.text);
        if (!mr_slice_eq(slice_of_buf(&again), slice_of_buf(&v.bytes)))
            fail_msg("%s v%d: we write it in another way", v.name, v.version);
        checked++;
    }
    assert_true(checked > 700);
    (void)fclose(f);
    mr_heap_arena_fini(&arena);
    mr_buf_fini(&v.bytes);
    mr_buf_fini(&said);
    mr_buf_fini(&again);
}

static void tell_record(struct mr_buf *out, struct mr_record *r)
{
    struct mr_slice null = MR_SLICE("null"), key = r->has_key ? r->key : null;
    struct mr_slice value = r->has_value ? r->value : null;
    struct mr_header h;
    assert_true(mr_buf_printf(out, "%s%lld@%lld %.*s=%.*s ", out->len ? "\n" : "", (long long)r->offset,
                              (long long)r->timestamp, MR_SLICE_ARG(key), MR_SLICE_ARG(value)));
    for (uint32_t i = 0; mr_record_headers(&r->headers, &h); i++)
        assert_true(
            mr_buf_printf(out, "%s%.*s:%.*s", i ? "," : "", MR_SLICE_ARG(h.name), MR_SLICE_ARG(h.value)));
}

static void batches_of_every_codec_mean_what_another_implementation_says(void **state)
{
    (void)state;
    FILE *f = open_vectors();
    struct vector v = {0};
    struct mr_buf said = {0}, scratch = {0};
    int codecs = 0;
    while (next_vector(f, &v)) {
        if (strcmp(v.kind, "batch") != 0)
            continue;
        struct mr_record_walk w;
        struct mr_record r;
        struct mr_err err;
        mr_code rc;
        said.len = 0;
        assert_true(mr_batch_crc_ok(slice_of_buf(&v.bytes)));
        if (mr_record_walk_begin(&w, slice_of_buf(&v.bytes), &scratch, 1 << 20, &err) != MR_OK)
            fail_msg("%s", err.text);
        assert_int_equal(w.head.attributes & MR_BATCH_CODEC, v.version);
        assert_int_equal(w.head.count, v.tags);
        assert_int_equal(w.head.producer_id, 77);
        assert_int_equal(w.head.producer_epoch, 3);
        assert_int_equal(w.head.base_sequence, 5);
        while ((rc = mr_record_walk_next(&w, &r, &err)) == MR_OK)
            tell_record(&said, &r);
        assert_int_equal(rc, MR_END);
        if (mr_crc32c(0, said.p, said.len) != v.crc)
            fail_msg("codec %d holds something else: %.*s", v.version, (int)said.len, said.p);
        codecs |= 1 << v.version;
    }
    assert_int_equal(codecs, 31);
    (void)fclose(f);
    mr_buf_fini(&v.bytes);
    mr_buf_fini(&said);
    mr_buf_fini(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_mean_what_another_implementation_says),
        cmocka_unit_test(batches_of_every_codec_mean_what_another_implementation_says),
    };
    return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
