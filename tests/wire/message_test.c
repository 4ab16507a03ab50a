/* message_test.c - every message in every version, filled from a seed, written, read and compared; cut at
 * every byte; and the vectors that came from elsewhere. */
#include "setup.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/mem.h"
#include "base/prng.h"
#include "wire/message.h"

/* --- filling and comparing messages of any shape */

struct filler {
    struct mr_prng r;
    struct mr_arena *arena;
    int version;
    int fullness; /* elements of an array at most */
};

static char letters[400];

static bool within(int from, int to, int version)
{
    return from <= version && version <= to;
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
        return 16;
    case MR_FIELD_STRING:
    case MR_FIELD_BYTES:
    case MR_FIELD_RECORDS:
        return sizeof(struct mr_slice);
    case MR_FIELD_STRUCT:
        return f->of->size;
    }
    return 0;
}

static void fill(struct filler *fl, const struct mr_shape *shape, char *m);

static void fill_value(struct filler *fl, const struct mr_field *f, bool may_be_null, void *to)
{
    uint64_t bits = mr_prng_next(&fl->r);
    switch ((enum mr_field_type)f->type) {
    case MR_FIELD_BOOL:
        *(bool *)to = bits & 1;
        break;
    case MR_FIELD_INT8:
    case MR_FIELD_INT16:
    case MR_FIELD_INT32:
    case MR_FIELD_INT64:
    case MR_FIELD_UINT16:
    case MR_FIELD_UUID:
        memset(to, 0, size_of(f));
        memcpy(to, &bits, size_of(f) < 8 ? size_of(f) : 8);
        break;
    case MR_FIELD_FLOAT64:
        *(double *)to = (double)(int64_t)bits / 1024;
        break;
    case MR_FIELD_STRING:
    case MR_FIELD_BYTES:
    case MR_FIELD_RECORDS: {
        size_t len = (size_t)mr_prng_below(&fl->r, bits & 7 ? 12 : sizeof letters);
        *(struct mr_slice *)to =
            (struct mr_slice){letters + mr_prng_below(&fl->r, sizeof letters - len), len};
        if (may_be_null && mr_prng_below(&fl->r, 4) == 0)
            *(struct mr_slice *)to = (struct mr_slice){NULL, 0};
        break;
    }
    case MR_FIELD_STRUCT:
        fill(fl, f->of, to);
        break;
    }
}

static void fill_field(struct filler *fl, const struct mr_field *f, char *m)
{
    bool may_be_null = within(f->null_from, f->null_to, fl->version);
    if (f->array) {
        int32_t count = (int32_t)mr_prng_below(&fl->r, (uint64_t)fl->fullness + 1);
        char *items = NULL;
        if (may_be_null && mr_prng_below(&fl->r, 4) == 0)
            count = -1;
        if (count > 0) {
            items = mr_arena_take(fl->arena, (size_t)count * size_of(f));
            assert_non_null(items);
            for (int32_t i = 0; i < count; i++)
                fill_value(fl, f, false, items + (size_t)i * size_of(f));
        }
        memcpy(m + f->count_at, &count, sizeof count);
        memcpy(m + f->at, &items, sizeof items);
    } else if (f->pointer) {
        char *made = NULL;
        if (!may_be_null || mr_prng_below(&fl->r, 4) != 0) {
            made = mr_arena_take(fl->arena, f->of->size);
            assert_non_null(made);
            fill(fl, f->of, made);
        }
        memcpy(m + f->at, &made, sizeof made);
    } else {
        fill_value(fl, f, may_be_null, m + f->at);
    }
}

static void fill(struct filler *fl, const struct mr_shape *shape, char *m)
{
    mr_message_init(shape, m);
    for (uint16_t i = 0; i < shape->count; i++) {
        const struct mr_field *f = &shape->fields[i];
        if (!within(f->from, f->to, fl->version) || (f->tag >= 0 && mr_prng_below(&fl->r, 2) == 0))
            continue;
        fill_field(fl, f, m);
    }
}

static void assert_same(const struct mr_shape *shape, const char *a, const char *b);

static void assert_same_value(const struct mr_field *f, const char *a, const char *b)
{
    if (f->type == MR_FIELD_STRUCT) {
        assert_same(f->of, a, b);
    } else if (size_of(f) == sizeof(struct mr_slice) && f->type >= MR_FIELD_STRING) {
        struct mr_slice x, y;
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        if (!mr_slice_eq(x, y) || (x.p == NULL) != (y.p == NULL))
            fail_msg("field '%s' differs", f->name);
    } else if (memcmp(a, b, size_of(f)) != 0) {
        fail_msg("field '%s' differs", f->name);
    }
}

static void assert_same(const struct mr_shape *shape, const char *a, const char *b)
{
    for (uint16_t i = 0; i < shape->count; i++) {
        const struct mr_field *f = &shape->fields[i];
        const char *x = a + f->at, *y = b + f->at;
        int32_t count = 1;
        if (f->array) {
            int32_t other;
            memcpy(&count, a + f->count_at, sizeof count);
            memcpy(&other, b + f->count_at, sizeof other);
            if (count != other)
                fail_msg("%s: '%s' has %d elements, then %d", shape->name, f->name, count, other);
        }
        if (f->array || f->pointer) {
            memcpy(&x, a + f->at, sizeof x);
            memcpy(&y, b + f->at, sizeof y);
            if (f->pointer && (x == NULL) != (y == NULL))
                fail_msg("%s: '%s' is null only once", shape->name, f->name);
            if (f->pointer && !x)
                count = 0;
        }
        for (int32_t k = 0; k < count; k++)
            assert_same_value(f, x + (size_t)k * size_of(f), y + (size_t)k * size_of(f));
    }
}

/* --- every message, every version */

typedef void (*check)(const struct mr_shape *shape, int16_t version, struct mr_heap_arena *arena, void *m,
                      uint64_t seed);

static void for_each(check fn, uint64_t seeds, int fullness)
{
    struct mr_heap_arena arena;
    mr_heap_arena_init(&arena, 1 << 16, 1 << 20, 64 << 20);
    for (size_t i = 0; i < mr_messages_count; i++) {
        const struct mr_shape *shape = mr_messages[i];
        for (int v = shape->min; v <= shape->max; v++) {
            for (uint64_t seed = 0; seed < seeds; seed++) {
                struct filler fl = {.arena = &arena.arena, .version = v, .fullness = fullness};
                mr_prng_seed(&fl.r, seed * 1000003 + i * 257 + (uint64_t)v);
                mr_heap_arena_reset(&arena);
                void *m = mr_arena_take(&arena.arena, shape->size);
                assert_non_null(m);
                fill(&fl, shape, m);
                fn(shape, (int16_t)v, &arena, m, seed);
            }
        }
    }
    mr_heap_arena_fini(&arena);
}

static struct mr_buf write_of(const struct mr_shape *shape, int16_t version, const void *m)
{
    struct mr_buf out = {0};
    struct mr_err err;
    if (mr_message_write(shape, &out, version, m, NULL, &err) != MR_OK)
        fail_msg("%s", err.text);
    return out;
}

static void round_trip(const struct mr_shape *shape, int16_t version, struct mr_heap_arena *arena, void *m,
                       uint64_t seed)
{
    struct mr_err err;
    struct mr_buf once = write_of(shape, version, m);
    struct mr_slice in = {once.p, once.len};
    void *back = mr_arena_take(&arena->arena, shape->size);
    memset(back, 0xa5, shape->size); /* read sets every field */
    if (mr_message_read(shape, &in, version, &arena->arena, back, &err) != MR_OK)
        fail_msg("seed %d: %s", (int)seed, err.text);
    assert_int_equal(in.len, 0);
    assert_same(shape, m, back);
    struct mr_buf twice = write_of(shape, version, back);
    assert_bytes(slice_of_buf(&twice), slice_of_buf(&once));
    if (once.len < shape->least[version - shape->min])
        fail_msg("%s v%d: %zu bytes are fewer than its least", shape->name, version, once.len);
    mr_buf_fini(&once);
    mr_buf_fini(&twice);
}

static void every_message_of_every_version_survives_the_wire(void **state)
{
    (void)state;
    for_each(round_trip, 12, 4);
}

static void cut(const struct mr_shape *shape, int16_t version, struct mr_heap_arena *arena, void *m,
                uint64_t seed)
{
    struct mr_buf whole = write_of(shape, version, m);
    void *back = mr_arena_take(&arena->arena, shape->size);
    (void)seed;
    for (size_t len = 0; len < whole.len; len++) {
        struct mr_err err;
        char *p = malloc(len ? len : 1); /* its own block, so that asan sees the end */
        assert_non_null(p);
        memcpy(p, whole.p, len);
        struct mr_slice in = {p, len};
        if (mr_message_read(shape, &in, version, &arena->arena, back, &err) != MR_BADDATA)
            fail_msg("%s v%d is whole after %zu of %zu bytes", shape->name, version, len, whole.len);
        assert_non_null(strstr(err.text, shape->name));
        assert_non_null(strstr(err.text, "at byte"));
        free(p);
    }
    mr_buf_fini(&whole);
}

static void every_message_cut_at_any_byte_is_refused(void **state)
{
    (void)state;
    for_each(cut, 2, 2);
}

static void rewrite(const struct mr_shape *shape, int16_t version, struct mr_heap_arena *arena, void *m,
                    uint64_t seed)
{
    struct mr_buf bytes = write_of(shape, version, m), again = {0};
    struct mr_prng r;
    void *back = mr_arena_take(&arena->arena, shape->size);
    mr_prng_seed(&r, seed);
    for (int i = 0; i < 40 && bytes.len > 0; i++) {
        struct mr_err err;
        size_t at = (size_t)mr_prng_below(&r, bytes.len);
        char was = bytes.p[at];
        bytes.p[at] = (char)mr_prng_next(&r);
        struct mr_slice in = {bytes.p, bytes.len};
        mr_code rc = mr_message_read(shape, &in, version, &arena->arena, back, &err);
        assert_true(rc == MR_OK || rc == MR_BADDATA);
        again.len = 0;
        if (rc == MR_OK) /* what was read can be said again */
            assert_int_equal(mr_message_write(shape, &again, version, back, NULL, &err), MR_OK);
        bytes.p[at] = was;
    }
    mr_buf_fini(&bytes);
    mr_buf_fini(&again);
}

static void a_changed_byte_does_no_harm(void **state)
{
    (void)state;
    for_each(rewrite, 2, 3);
}

/* Every tagged-field section of a flexible message begins with its count; a message at its least has one at
 * its very end, the top level's. */
static void unknown(const struct mr_shape *shape, int16_t version, struct mr_heap_arena *arena, void *m,
                    uint64_t seed)
{
    struct mr_err err;
    if (version < shape->flexible)
        return;
    (void)seed;
    mr_message_init(shape, m);
    struct mr_buf out = write_of(shape, version, m);
    assert_int_equal(out.p[out.len - 1], 0);
    out.len--;
    from_hex(&out, "02 64 03 61 62 63 ff 7f 00"); /* tag 100: "abc"; tag 16383: nothing */
    struct mr_slice in = {out.p, out.len};
    void *back = mr_arena_take(&arena->arena, shape->size);
    if (mr_message_read(shape, &in, version, &arena->arena, back, &err) != MR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(in.len, 0);
    assert_same(shape, m, back);
    out.p[out.len - 8] = 0x7f; /* beyond the end */
    in = (struct mr_slice){out.p, out.len - 8};
    assert_int_equal(mr_message_read(shape, &in, version, &arena->arena, back, &err), MR_BADDATA);
    mr_buf_fini(&out);
}

static void unknown_tagged_fields_are_skipped(void **state)
{
    (void)state;
    for_each(unknown, 1, 0);
}

static void versions_beyond_the_range_are_not_supported(void **state)
{
    (void)state;
    for (size_t i = 0; i < mr_apis_count; i++) {
        const struct mr_shape *shape = mr_apis[i].request;
        struct mr_buf out = {0};
        struct mr_slice in = MR_SLICE("\0\0\0\0");
        struct mr_err err;
        char m[1024] = {0};
        assert_true(shape->size <= sizeof m);
        assert_int_equal(mr_message_write(shape, &out, (int16_t)(shape->max + 1), m, NULL, &err),
                         MR_UNSUPPORTED);
        assert_int_equal(mr_message_read(shape, &in, (int16_t)(shape->min - 1), NULL, m, &err),
                         MR_UNSUPPORTED);
        assert_int_equal(in.len, 4);
        assert_true(mr_api_find(mr_apis[i].key) == &mr_apis[i]);
    }
    assert_null(mr_api_find(4));
    assert_null(mr_api_find(-1));
    assert_null(mr_api_find(INT16_MAX));
}

/* --- vectors */

static void api_versions_request_is_the_vector(void **state)
{
    (void)state;
    struct mr_buf want = {0}, out = {0};
    struct mr_api_versions_request m;
    struct mr_request_header head;
    struct mr_err err;
    size_t at;
    from_hex(&want,
             "00 00 00 19  00 12 00 03 00 00 00 07 00 02 6d 65 00  07 63 2d 74 65 73 74 04 31 2e 30 00");

    mr_api_versions_request_init(&m);
    m.client_software_name = MR_SLICE("c-test");
    m.client_software_version = MR_SLICE("1.0");
    assert_true(mr_frame_begin(&out, &at));
    assert_true(mr_request_header_write(&out, mr_api_find(MR_API_API_VERSIONS), 3, 7, MR_SLICE("me")));
    assert_int_equal(mr_api_versions_request_write(&out, 3, &m, &err), MR_OK);
    mr_frame_end(&out, at, NULL);
    assert_bytes(slice_of_buf(&out), slice_of_buf(&want));

    struct mr_slice in = {want.p + 4, want.len - 4};
    assert_int_equal(mr_request_header_read(&in, &head, &err), MR_OK);
    assert_int_equal(head.correlation_id, 7);
    assert_bytes(head.client_id, MR_SLICE("me"));
    assert_int_equal(mr_api_versions_request_read(&in, head.version, NULL, &m, &err), MR_OK);
    assert_bytes(m.client_software_name, MR_SLICE("c-test"));
    assert_bytes(m.client_software_version, MR_SLICE("1.0"));
    assert_int_equal(m.node_id, -1); /* not in version 3 */
    assert_null(m.cluster_id.p);
    mr_buf_fini(&want);
    mr_buf_fini(&out);
}

static void api_versions_answers_are_the_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *hex;
        int16_t version, error, max;
    } rows[] = {
        {"00 00 00 13  00 00 00 07  00 00  02  00 12 00 00 00 04 00  00 00 00 00  00", 3, 0, 4},
        {"00 00 00 10  00 00 00 07  00 23  00 00 00 01  00 12 00 00 00 05", 0, 35, 5},
    };
    for (size_t i = 0; i < 2; i++) {
        struct mr_buf want = {0}, out = {0};
        struct mr_api_versions_response m;
        struct mr_api_versions_response_api_key key;
        struct mr_err err;
        size_t at;
        const struct mr_api *api = mr_api_find(MR_API_API_VERSIONS);
        from_hex(&want, rows[i].hex);
        mr_message_init(&mr_api_versions_response_shape, &m);
        key = (struct mr_api_versions_response_api_key){.api_key = 18, .max_version = rows[i].max};
        m.error_code = rows[i].error;
        m.api_keys = &key;
        m.api_keys_count = 1;
        assert_true(mr_frame_begin(&out, &at));
        assert_true(mr_response_header_write(&out, api, rows[i].version, 7));
        assert_int_equal(mr_api_versions_response_write(&out, rows[i].version, &m, &err), MR_OK);
        mr_frame_end(&out, at, NULL);
        assert_bytes(slice_of_buf(&out), slice_of_buf(&want));
        int32_t correlation_id;
        struct mr_slice in = {out.p + 4, out.len - 4};
        assert_int_equal(mr_response_header_read(&in, api, rows[i].version, &correlation_id, &err), MR_OK);
        assert_int_equal(correlation_id, 7);
        assert_int_equal(in.len, want.len - 8);
        mr_buf_fini(&want);
        mr_buf_fini(&out);
    }
}

/* --- headers */

static void a_header_we_cannot_serve_still_says_who_asks(void **state)
{
    (void)state;
    struct mr_buf b = {0};
    struct mr_request_header head;
    struct mr_err err;
    from_hex(&b, "00 12 00 63 00 00 00 2a 00 01 78 00");
    struct mr_slice in = slice_of_buf(&b);
    assert_int_equal(mr_request_header_read(&in, &head, &err), MR_UNSUPPORTED);
    assert_int_equal(head.key, MR_API_API_VERSIONS);
    assert_int_equal(head.version, 99);
    assert_int_equal(head.correlation_id, 42);
    assert_non_null(head.api);
    b.p[1] = 4; /* LeaderAndIsr, gone */
    in = slice_of_buf(&b);
    assert_int_equal(mr_request_header_read(&in, &head, &err), MR_UNSUPPORTED);
    assert_null(head.api);
    mr_buf_fini(&b);
}

static void a_header_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct mr_buf b = {0};
    from_hex(&b, "00 03 00 09 00 00 00 2a 00 02 78 79 01 05 01 00"); /* metadata v9 with a tagged field */
    for (size_t len = 0; len <= b.len; len++) {
        struct mr_request_header head;
        struct mr_err err;
        char *p = malloc(len ? len : 1);
        assert_non_null(p);
        memcpy(p, b.p, len);
        struct mr_slice in = {p, len};
        assert_int_equal(mr_request_header_read(&in, &head, &err), len == b.len ? MR_OK : MR_BADDATA);
        free(p);
    }
    mr_buf_fini(&b);
}

static void the_response_header_of_flexible_versions_has_tags(void **state)
{
    (void)state;
    struct mr_buf b = {0};
    assert_true(mr_response_header_write(&b, mr_api_find(MR_API_METADATA), 8, 1));
    assert_int_equal(b.len, 4);
    assert_true(mr_response_header_write(&b, mr_api_find(MR_API_METADATA), 9, 1));
    assert_int_equal(b.len, 9);
    assert_true(mr_response_header_write(&b, mr_api_find(MR_API_API_VERSIONS), 3, 1));
    assert_int_equal(b.len, 13);
    mr_buf_fini(&b);
}

/* --- limits and holes */

static void a_count_that_cannot_be_takes_no_memory(void **state)
{
    (void)state;
    struct mr_heap_arena arena;
    struct mr_metadata_request m;
    struct mr_err err;
    mr_heap_arena_init(&arena, 4096, 4096, 8192);
    struct mr_slice in = MR_SLICE("\x7f\xff\xff\xff\0\1a");
    assert_int_equal(mr_metadata_request_read(&in, 1, &arena.arena, &m, &err), MR_BADDATA);
    assert_non_null(strstr(err.text, "metadata_request v1: field 'topics' at byte 4"));
    assert_int_equal(arena.held, 0);
    mr_heap_arena_fini(&arena);
}

static void a_full_arena_is_a_limit(void **state)
{
    (void)state;
    struct mr_heap_arena arena;
    struct mr_metadata_request m;
    struct mr_buf b = {0};
    struct mr_err err;
    mr_heap_arena_init(&arena, 4096, 4096, 8192);
    from_hex(&b, "00 00 08 00");
    for (int i = 0; i < 2048; i++)
        from_hex(&b, "00 00");
    struct mr_slice in = slice_of_buf(&b);
    assert_int_equal(mr_metadata_request_read(&in, 1, &arena.arena, &m, &err), MR_LIMIT);
    mr_heap_arena_fini(&arena);
    mr_buf_fini(&b);
}

static void an_error_names_the_element(void **state)
{
    (void)state;
    struct mr_heap_arena arena;
    struct mr_metadata_request m;
    struct mr_err err;
    mr_heap_arena_init(&arena, 4096, 4096, 8192);
    struct mr_slice in = MR_SLICE("\0\0\0\2\0\1a\0\7b");
    assert_int_equal(mr_metadata_request_read(&in, 1, &arena.arena, &m, &err), MR_BADDATA);
    assert_non_null(strstr(err.text, "field 'topics[1].name' at byte 9"));
    mr_heap_arena_fini(&arena);
}

static void null_where_none_may_be_is_refused_both_ways(void **state)
{
    (void)state;
    struct mr_buf out = {0};
    struct mr_metadata_request m;
    struct mr_err err;
    struct mr_slice in = MR_SLICE("\xff\xff\xff\xff");
    assert_int_equal(mr_metadata_request_read(&in, 0, NULL, &m, &err), MR_BADDATA);
    assert_int_equal(mr_metadata_request_read(&in, 1, NULL, &m, &err), MR_OK);
    assert_int_equal(m.topics_count, -1);
    assert_int_equal(mr_metadata_request_write(&out, 0, &m, &err), MR_BADDATA);
    assert_int_equal(out.len, 0);
    assert_int_equal(mr_metadata_request_write(&out, 1, &m, &err), MR_OK);
    assert_int_equal(out.len, 4);
    mr_buf_fini(&out);
}

static void a_string_too_long_is_refused_and_nothing_is_left(void **state)
{
    (void)state;
    struct mr_buf out = {0};
    struct mr_find_coordinator_request m;
    struct mr_err err;
    char *text = calloc(1, 32768);
    assert_non_null(text);
    mr_find_coordinator_request_init(&m);
    m.key = (struct mr_slice){text, 32768};
    assert_true(mr_buf_puts(&out, "kept"));
    assert_int_equal(mr_find_coordinator_request_write(&out, 0, &m, &err), MR_BADDATA);
    assert_int_equal(mr_find_coordinator_request_write(&out, 3, &m, &err), MR_BADDATA);
    assert_int_equal(out.len, 4);
    m.key.len--;
    assert_int_equal(mr_find_coordinator_request_write(&out, 0, &m, &err), MR_OK);
    mr_buf_fini(&out);
    free(text);
}

/* A fetch answer with holes, its holes then filled, is the answer that was written whole. */
static void holes_are_where_the_records_belong(void **state)
{
    (void)state;
    for (int16_t version = 4; version <= 18; version++) {
        struct mr_slice records[3] = {MR_SLICE("first records"), {NULL, 0}, {letters, 300}};
        struct mr_fetch_response m;
        struct mr_fetch_response_topic topic;
        struct mr_fetch_response_partition parts[3];
        struct mr_buf whole = {0}, holey = {0}, filled = {0};
        struct mr_hole room[2];
        struct mr_holes holes = {.v = room, .max = 2};
        struct mr_err err;
        size_t at;
        mr_fetch_response_init(&m);
        memset(&topic, 0, sizeof topic);
        m.responses = &topic;
        m.responses_count = 1;
        topic.partitions = parts;
        topic.partitions_count = 3;
        for (int i = 0; i < 3; i++) {
            memset(&parts[i], 0, sizeof parts[i]);
            parts[i].partition_index = i;
            parts[i].records = records[i];
        }
        assert_true(mr_frame_begin(&whole, &at));
        assert_int_equal(mr_fetch_response_write(&whole, version, &m, &err), MR_OK);
        mr_frame_end(&whole, at, NULL);

        for (int i = 0; i < 3; i++)
            parts[i].records.p = NULL;
        assert_int_equal(mr_fetch_response_write(&holey, version, &m, &err),
                         MR_BADDATA); /* nobody to take them */
        assert_true(mr_frame_begin(&holey, &at));
        assert_int_equal(mr_message_write(&mr_fetch_response_shape, &holey, version, &m, &holes, &err),
                         MR_OK);
        mr_frame_end(&holey, at, &holes);
        assert_int_equal(holes.count, 2);
        assert_int_equal(holes.bytes, 313);
        assert_ptr_equal(holes.v[1].field, &parts[2].records);
        size_t from = 0;
        for (uint32_t i = 0; i < holes.count; i++) {
            assert_true(mr_buf_put(&filled, holey.p + from, holes.v[i].at - from));
            assert_true(mr_buf_put(&filled, records[i * 2].p, holes.v[i].len));
            from = holes.v[i].at;
        }
        assert_true(mr_buf_put(&filled, holey.p + from, holey.len - from));
        assert_bytes(slice_of_buf(&filled), slice_of_buf(&whole));

        holes = (struct mr_holes){.v = room, .max = 1};
        assert_int_equal(mr_message_write(&mr_fetch_response_shape, &holey, version, &m, &holes, &err),
                         MR_LIMIT);
        assert_int_equal(holes.count, 0);
        mr_buf_fini(&whole);
        mr_buf_fini(&holey);
        mr_buf_fini(&filled);
    }
}

static void structs_inside_begin_with_their_defaults(void **state)
{
    (void)state;
    struct mr_fetch_response_partition p;
    memset(&p, 0xa5, sizeof p);
    mr_fetch_response_partition_init(&p);
    assert_int_equal(p.error_code, 0);
    assert_int_equal(p.current_leader.leader_id, -1);
    assert_int_equal(p.preferred_read_replica, -1);
    assert_int_equal(p.aborted_transactions_count, 0);

    /* so that none of them is on the wire: an empty section of tagged fields ends the partition */
    struct mr_buf out = {0};
    struct mr_fetch_response m;
    struct mr_fetch_response_topic topic;
    struct mr_err err;
    mr_fetch_response_init(&m);
    mr_fetch_response_topic_init(&topic);
    m.responses = &topic;
    m.responses_count = 1;
    topic.partitions = &p;
    topic.partitions_count = 1;
    assert_int_equal(mr_fetch_response_write(&out, 12, &m, &err), MR_OK);
    assert_memory_equal(out.p + out.len - 4, "\1\0\0\0",
                        4); /* no records; partition, topic and top: no tags */
    mr_buf_fini(&out);
}

static void any_allocation_may_fail(void **state)
{
    (void)state;
    struct mr_heap_arena arena;
    const struct mr_shape *shape = &mr_fetch_response_shape;
    struct filler fl = {.version = 18, .fullness = 6};
    struct mr_fetch_response m;
    bool done = false;
    int refused = 0;
    mr_heap_arena_init(&arena, 1 << 16, 1 << 16, 1 << 20);
    fl.arena = &arena.arena;
    mr_prng_seed(&fl.r, 5);
    fill(&fl, shape, (char *)&m);
    for (uint64_t n = 1; !done; n++) {
        struct mr_buf out = {0};
        struct mr_err err;
        assert_true(mr_buf_puts(&out, "kept"));
        mr_alloc_fail_at(n);
        mr_code rc = mr_fetch_response_write(&out, 18, &m, &err);
        mr_alloc_fail_at(0);
        done = rc == MR_OK;
        if (!done) {
            assert_int_equal(rc, MR_MEMORY);
            assert_int_equal(out.len, 4);
            refused++;
        }
        mr_buf_fini(&out);
    }
    assert_true(refused > 0);
    mr_heap_arena_fini(&arena);
}

int main(void)
{
    for (size_t i = 0; i < sizeof letters; i++)
        letters[i] = (char)('a' + i % 26);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_of_every_version_survives_the_wire),
        cmocka_unit_test(every_message_cut_at_any_byte_is_refused),
        cmocka_unit_test(a_changed_byte_does_no_harm),
        cmocka_unit_test(unknown_tagged_fields_are_skipped),
        cmocka_unit_test(versions_beyond_the_range_are_not_supported),
        cmocka_unit_test(api_versions_request_is_the_vector),
        cmocka_unit_test(api_versions_answers_are_the_vectors),
        cmocka_unit_test(a_header_we_cannot_serve_still_says_who_asks),
        cmocka_unit_test(a_header_cut_anywhere_is_refused),
        cmocka_unit_test(the_response_header_of_flexible_versions_has_tags),
        cmocka_unit_test(a_count_that_cannot_be_takes_no_memory),
        cmocka_unit_test(a_full_arena_is_a_limit),
        cmocka_unit_test(an_error_names_the_element),
        cmocka_unit_test(null_where_none_may_be_is_refused_both_ways),
        cmocka_unit_test(a_string_too_long_is_refused_and_nothing_is_left),
        cmocka_unit_test(structs_inside_begin_with_their_defaults),
        cmocka_unit_test(any_allocation_may_fail),
        cmocka_unit_test(holes_are_where_the_records_belong),
    };
    return cmocka_run_group_tests_name("message", tests, NULL, NULL);
}
