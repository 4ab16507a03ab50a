/* batch_test.c - batches, slots, paths, and what is written of an event that was edited. */
#include "data/event.h"

#include "base/mem.h"

#include <pthread.h>

#define S(text) text, sizeof(text) - 1

static struct mr_batch_pool *pool;

static int setup(void **state)
{
    (void)state;
    pool = mr_batch_pool_new(4, 64 << 20);
    return pool ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    mr_batch_pool_free(pool);
    return 0;
}

static struct mr_value text_value(const char *s)
{
    return mr_value_string(mr_slice_of(s));
}

static void an_untouched_event_leaves_as_it_came(void **state)
{
    (void)state;
    const char *lines[] = {"{ \"a\" : 1.0 , \"b\":\"x\\u0041\",\"c\":[ ],\"d\":1E5 , \"a\":2}"};
    struct mr_batch *b = events_of(pool, lines, 1);
    assert_true(mr_batch_set(b, 0, S("none"), (struct mr_value){0}));
    assert_true(mr_batch_slot(b, S("other"), true) > 0);
    assert_true(mr_batch_set(b, 0, S("other"), (struct mr_value){0}));
    assert_event(b, 0, lines[0]);
    mr_batch_free(b);
}

static void a_touched_event_keeps_the_text_of_its_other_fields(void **state)
{
    (void)state;
    const char *lines[] = {
        "{\"a\":1.0,\"b\":\"x\\u0041\",\"c\":[ ],\"d\":1E5,\"e\":null,\"f\":true,\"g\":12345678901234567890}",
        "{\"a\":1.0,\"b\":\"x\", \"c\":[ ],\"d\":1E5}"};
    struct mr_batch *b = events_of(pool, lines, 2);
    mr_batch_remove(b, S("b"));
    assert_event(b, 0, "{\"a\":1.0,\"c\":[ ],\"d\":1E5,\"e\":null,\"f\":true,\"g\":12345678901234567890}");
    assert_event(b, 1, "{\"a\":1.0,\"c\":[ ],\"d\":1E5}");
    assert_true(mr_batch_set(b, 0, S("env"), text_value("pr\"od")));
    assert_event(b, 0,
                 "{\"a\":1.0,\"c\":[ ],\"d\":1E5,\"e\":null,\"f\":true,\"g\":12345678901234567890,"
                 "\"env\":\"pr\\\"od\"}");
    mr_batch_free(b);
}

static void a_renamed_value_is_not_taken_for_its_old_neighbour(void **state)
{
    (void)state;
    const char *lines[] = {"{\"aa\":\"x\",\"bb\":\"y\",\"cc\":3}"};
    struct mr_batch *b = events_of(pool, lines, 1);
    struct mr_value bb = mr_batch_get(b, 0, S("bb"));
    mr_batch_remove(b, S("bb"));
    assert_true(mr_batch_set(b, 0, S("dd"), bb));
    assert_event(b, 0, "{\"aa\":\"x\",\"cc\":3,\"dd\":\"y\"}");
    struct mr_value part = bb;
    part.len = 0;
    assert_true(mr_batch_set(b, 0, S("ee"), part));
    assert_event(b, 0, "{\"aa\":\"x\",\"cc\":3,\"dd\":\"y\",\"ee\":\"\"}");
    mr_batch_free(b);
}

static void an_event_keeps_its_own_order_whatever_its_neighbours_have(void **state)
{
    (void)state;
    const char *lines[] = {
        "{\"a\":1,\"b\":true,\"c\":3}",
        "{\"c\":1,\"b\":false,\"a\":\"x\"}",
        "{\"env\":1}",
        "{\"c\": 1, \"\\u0061\": 2, \"c\": 3}",
        "{\"b\":null,\"x\":0}",
        "{\"a\":1,\"c\":2,\"x\":5}",
    };
    struct mr_batch *b = events_of(pool, lines, 6);
    for (uint32_t r = 0; r < 6; r++) {
        assert_true(mr_batch_set(b, r, S("env"), text_value("p")));
        assert_true(mr_batch_set(b, r, S("b"), mr_value_int(9)));
    }
    assert_event(b, 0, "{\"a\":1,\"b\":9,\"c\":3,\"env\":\"p\"}");
    assert_event(b, 1, "{\"c\":1,\"b\":9,\"a\":\"x\",\"env\":\"p\"}");
    assert_event(b, 2, "{\"env\":\"p\",\"b\":9}");
    assert_event(b, 3, "{\"c\":3,\"a\":2,\"b\":9,\"env\":\"p\"}");
    assert_event(b, 4, "{\"b\":9,\"x\":0,\"env\":\"p\"}");
    assert_event(b, 5, "{\"a\":1,\"c\":2,\"x\":5,\"b\":9,\"env\":\"p\"}");
    struct mr_batch *to = mr_batch_take(pool);
    for (uint32_t r = 6; r > 0; r--)
        assert_true(mr_batch_copy_row(to, b, r - 1));
    assert_event(to, 4, "{\"c\":1,\"b\":9,\"a\":\"x\",\"env\":\"p\"}");
    assert_event(to, 0, "{\"a\":1,\"c\":2,\"x\":5,\"b\":9,\"env\":\"p\"}");
    mr_batch_free(to);
    mr_batch_free(b);
}

static void a_removed_field_comes_back_empty(void **state)
{
    (void)state;
    const char *lines[] = {"{\"a\":1,\"b\":2}", "{\"a\":3,\"b\":4}"};
    struct mr_batch *b = events_of(pool, lines, 2);
    mr_batch_remove(b, S("a"));
    assert_int_equal(mr_batch_slot(b, S("a"), false), -1);
    assert_int_equal(mr_batch_get(b, 1, S("a")).tag, MR_MISSING);
    assert_true(mr_batch_set(b, 0, S("a"), mr_value_int(9)));
    assert_event(b, 0, "{\"a\":9,\"b\":2}");
    assert_event(b, 1, "{\"b\":4}");
    mr_batch_free(b);
}

static void rows_added_later_are_empty_in_every_column(void **state)
{
    (void)state;
    const char *lines[] = {"{\"a\":1,\"b\":2}"};
    struct mr_batch *b = events_of(pool, lines, 1);
    mr_batch_rows(b, 3);
    assert_int_equal(mr_batch_get(b, 2, S("b")).tag, MR_MISSING);
    assert_event(b, 2, "{}");
    int32_t slot = mr_batch_slot(b, S("c"), true);
    for (uint32_t r = 0; r < 3; r++)
        assert_int_equal(b->column[slot].v[r].tag, MR_MISSING);
    mr_batch_free(b);
}

static void a_reused_batch_remembers_nothing(void **state)
{
    (void)state;
    const char *lines[] = {"{\"a\":1}", "{\"a\":2}"};
    struct mr_batch *b = events_of(pool, lines, 2);
    b->partition = 7;
    mr_batch_reject(b, 1, "no good: %d", 5);
    assert_true(mr_slice_eq(mr_batch_reason(b, 1), MR_SLICE("no good: 5")));
    mr_batch_compact(b);
    assert_int_equal(b->count, 1);
    mr_batch_free(b);
    struct mr_batch *again = mr_batch_take(pool);
    assert_ptr_equal(again, b);
    assert_int_equal(again->partition, -1);
    assert_int_equal(again->columns, 0);
    mr_batch_rows(again, 2);
    assert_int_equal(again->fate[1], MR_KEPT);
    assert_int_equal(mr_batch_slot(again, S("a"), false), -1);
    mr_batch_free(again);
}

static int released;
static void release(void *what)
{
    released += *(int *)what;
}

static void a_pin_is_released_once_when_the_batch_goes(void **state)
{
    (void)state;
    static int one = 1, ten = 10;
    struct mr_batch *b = mr_batch_take(pool);
    assert_true(mr_batch_pin(b, release, &one));
    assert_true(mr_batch_pin(b, release, &ten));
    released = 0;
    mr_batch_free(b);
    assert_int_equal(released, 11);
}

static void a_batch_may_outlive_its_pool(void **state)
{
    (void)state;
    struct mr_batch_pool *p = mr_batch_pool_new(2, 1 << 20);
    struct mr_batch *b = mr_batch_take(p);
    mr_batch_rows(b, 1);
    int32_t first = mr_batch_slot(b, "a", 1, true);
    b->column[first].v[0] = mr_value_int(1);
    mr_batch_pool_free(p);
    mr_batch_rows(b, 2); /* it is as good as before */
    int32_t second = mr_batch_slot(b, "b", 1, true);
    b->column[second].v[1] = mr_value_int(2);
    assert_int_equal(mr_batch_get(b, 0, "a", 1).u.i, 1);
    assert_int_equal(mr_batch_get(b, 1, "b", 1).u.i, 2);
    mr_batch_free(b);
}

static void many_columns_are_found_and_one_too_many_is_refused(void **state)
{
    (void)state;
    struct mr_batch_pool *p = mr_batch_pool_new(0, 256 << 20);
    struct mr_batch *b = mr_batch_take(p);
    char name[16];
    mr_batch_rows(b, 1);
    for (int i = 0; i < MR_BATCH_COLUMNS_MAX; i++) {
        int n = snprintf(name, sizeof name, "f%d", i);
        assert_int_equal(mr_batch_slot(b, name, (size_t)n, true), i);
    }
    assert_int_equal(mr_batch_slot(b, S("more"), true), -1);
    for (int i = MR_BATCH_COLUMNS_MAX - 1; i >= 0; i--) {
        int n = snprintf(name, sizeof name, "f%d", i);
        assert_int_equal(mr_batch_slot(b, name, (size_t)n, false), i);
    }
    struct mr_err err;
    assert_int_equal(mr_json_read_row(b, 0, MR_SLICE("{\"f1\":1,\"other\":2}"), &err), MR_LIMIT);
    assert_int_equal(mr_batch_get(b, 0, S("f1")).tag, MR_MISSING);
    mr_batch_free(b);
    mr_batch_pool_free(p);
}

static void paths_lead_into_text_and_into_values(void **state)
{
    (void)state;
    const char *lines[] = {
        "{\"http\":{\"path\":\"/a\",\"n\":[1,{\"x-y\":2.5},[]],\"\\u0061b\":3},\"s\":\"t\\n\"}"};
    struct mr_batch *b = events_of(pool, lines, 1);
    assert_true(mr_slice_eq((struct mr_slice){mr_batch_get(b, 0, S("http.path")).u.s, 2}, MR_SLICE("/a")));
    assert_int_equal(mr_batch_get(b, 0, S("http.n[0]")).u.i, 1);
    assert_true(mr_batch_get(b, 0, S("http.n[1][\"x-y\"]")).u.f == 2.5);
    assert_int_equal(mr_batch_get(b, 0, S("http.n[2]")).tag, MR_LIST);
    assert_int_equal(mr_batch_get(b, 0, S("http.n[3]")).tag, MR_MISSING);
    assert_int_equal(mr_batch_get(b, 0, S("http.ab")).u.i, 3);
    assert_int_equal(mr_batch_get(b, 0, S("http.path.deeper")).tag, MR_MISSING);
    assert_true(mr_batch_set(b, 0, S("http.n[1].z"), mr_value_int(7)));
    assert_true(mr_batch_set(b, 0, S("http.path"), (struct mr_value){0}));
    assert_true(mr_batch_set(b, 0, S("new.deep.er"), mr_value_bool(true)));
    assert_false(mr_batch_set(b, 0, S("s.x"), mr_value_int(1)));
    assert_event(b, 0,
                 "{\"http\":{\"n\":[1,{\"x-y\":2.5,\"z\":7},[]],\"ab\":3},\"s\":\"t\\n\",\"new\":{\"deep\":{"
                 "\"er\":true}}}");
    mr_batch_free(b);
}

static void a_bad_path_says_where(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t at;
    } bad[] = {{"", 0},    {"a..b", 2}, {"a[", 2}, {"a[1", 3},  {"a[x]", 2},
               {"[0]", 0}, {"a b", 1},  {"a.", 2}, {"[\"a]", 4}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct mr_path *p = NULL;
        struct mr_err err;
        assert_int_equal(mr_path_parse(bad[i].text, strlen(bad[i].text), &p, &err), MR_BADCONF);
        if (err.at != bad[i].at)
            fail_msg("'%s': at %u, not %u: %s", bad[i].text, err.at, bad[i].at, err.text);
    }
}

static void a_copied_row_is_the_same_and_independent(void **state)
{
    (void)state;
    const char *lines[] = {"{\"a\":1,\"b\":\"x\",\"c\":{\"d\":[1,2]}}"};
    char line[64];
    (void)snprintf(line, sizeof line, "%s", lines[0]);
    const char *borrowed[] = {line};
    struct mr_batch *from = events_of(pool, borrowed, 1), *to = mr_batch_take(pool);
    from->time[0] = 5;
    from->key[0] = text_value("k");
    assert_true(mr_batch_copy_row(to, from, 0));
    assert_true(mr_batch_set(from, 0, S("b"), mr_value_float(1.0)));
    assert_true(mr_batch_copy_row(to, from, 0));
    mr_batch_free(from);
    memset(line, 'z', sizeof line);
    assert_int_equal(to->count, 2);
    assert_int_equal(to->time[0], 5);
    assert_event(to, 0, lines[0]);
    assert_event(to, 1, "{\"a\":1,\"b\":1.0,\"c\":{\"d\":[1,2]}}");
    mr_batch_free(to);
}

/* Read, edit and write one event, with the n-th allocation failing. */
static bool edit_with(uint64_t n)
{
    bool good = false;
    mr_alloc_fail_at(n);
    struct mr_batch_pool *p = mr_batch_pool_new(1, 1 << 22);
    struct mr_batch *b = p ? mr_batch_take(p) : NULL;
    struct mr_buf out = {0};
    if (b) {
        mr_batch_rows(b, 1);
        struct mr_err err;
        mr_code code = mr_json_read_row(
            b, 0, MR_SLICE("{\"a\":\"\\u0041\",\"\\u0062\":{\"c\":[1,2]},\n\"d\":\"0123456789\"}"), &err);
        assert_true(code == MR_OK || code == MR_LIMIT);
        if (code == MR_OK && mr_batch_set(b, 0, S("b.c[1]"), mr_value_float(0.5)) &&
            mr_json_write_row(&out, b, 0)) {
            assert_true(
                mr_slice_eq((struct mr_slice){out.p, out.len},
                            MR_SLICE("{\"a\":\"\\u0041\",\"b\":{\"c\":[1,0.5]},\"d\":\"0123456789\"}")));
            good = true;
        }
    }
    mr_alloc_fail_at(0);
    mr_buf_fini(&out);
    mr_batch_free(b);
    mr_batch_pool_free(p);
    return good;
}

static void any_failing_allocation_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    assert_true(edit_with(0));
    uint64_t n = 1;
    while (!edit_with(n))
        n++;
    assert_in_range(n, 5, 100);
}

static void *free_it(void *batch)
{
    mr_batch_free(batch);
    return NULL;
}

static void batches_may_be_freed_on_any_thread(void **state)
{
    (void)state;
    const char *lines[] = {"{\"a\":1}"};
    for (int i = 0; i < 200; i++) {
        struct mr_batch *b = events_of(pool, lines, 1);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, free_it, b), 0);
        struct mr_batch *other = events_of(pool, lines, 1);
        assert_ptr_not_equal(other, NULL);
        mr_batch_free(other);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
}

static void bytes_grow_with_what_is_held(void **state)
{
    (void)state;
    struct mr_batch *b = mr_batch_take(pool);
    size_t empty = mr_batch_bytes(b);
    mr_batch_rows(b, 1);
    size_t one = mr_batch_bytes(b);
    assert_true(one > empty && one < 65536);
    assert_non_null(mr_arena_take(b->arena, 1 << 20));
    assert_in_range(mr_batch_bytes(b), 1 << 20, (1 << 20) + 65536);
    mr_batch_free(b);
}

static void a_batch_has_room_for_every_column_beside_its_bytes(void **state)
{
    (void)state;
    struct mr_batch_pool *small = mr_batch_pool_new(1, 1 << 20);
    for (int round = 0; round < 3; round++) { /* the later ones in what the first has left */
        struct mr_batch *b = mr_batch_take(small);
        char name[16];
        mr_batch_rows(b, 1);
        for (int i = 0; i < MR_BATCH_COLUMNS_MAX; i++) {
            int32_t slot = mr_batch_slot(b, name, (size_t)snprintf(name, sizeof name, "f%d", i), true);
            assert_int_equal(slot, i);
            b->column[slot].v[b->cap - 1] = mr_value_int(i);
        }
        assert_int_equal(mr_batch_slot(b, "more", 4, true), -1);
        for (int i = 0; i < MR_BATCH_COLUMNS_MAX; i++)
            assert_int_equal(b->column[i].v[b->cap - 1].u.i, i);
        assert_in_range(mr_batch_bytes(b), MR_BATCH_COLUMNS_MAX * sizeof(struct mr_value), 1 << 20);
        mr_batch_free(b);
    }
    mr_batch_pool_free(small);
}

static void equality_is_by_value(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"1", "1.0", true},
        {"9007199254740993", "9007199254740992.0", false},
        {"\"\\u0041\"", "\"A\"", true},
        {"{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1}", true},
        {"{\"a\":1}", "{\"a\":1,\"b\":null}", false},
        {"{\"a\":1,\"a\":2}", "{\"a\":2}", true},
        {"[]", "{}", false},
        {"null", "false", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mr_value a, b;
        assert_int_equal(mr_json_read(mr_slice_of(rows[i].a), &a, NULL), MR_OK);
        assert_int_equal(mr_json_read(mr_slice_of(rows[i].b), &b, NULL), MR_OK);
        if (mr_value_equal(&a, &b) != rows[i].same)
            fail_msg("%s and %s", rows[i].a, rows[i].b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_untouched_event_leaves_as_it_came),
        cmocka_unit_test(a_touched_event_keeps_the_text_of_its_other_fields),
        cmocka_unit_test(a_renamed_value_is_not_taken_for_its_old_neighbour),
        cmocka_unit_test(an_event_keeps_its_own_order_whatever_its_neighbours_have),
        cmocka_unit_test(a_removed_field_comes_back_empty),
        cmocka_unit_test(rows_added_later_are_empty_in_every_column),
        cmocka_unit_test(a_reused_batch_remembers_nothing),
        cmocka_unit_test(a_pin_is_released_once_when_the_batch_goes),
        cmocka_unit_test(a_batch_may_outlive_its_pool),
        cmocka_unit_test(many_columns_are_found_and_one_too_many_is_refused),
        cmocka_unit_test(paths_lead_into_text_and_into_values),
        cmocka_unit_test(a_bad_path_says_where),
        cmocka_unit_test(a_copied_row_is_the_same_and_independent),
        cmocka_unit_test(any_failing_allocation_is_told_and_leaks_nothing),
        cmocka_unit_test(batches_may_be_freed_on_any_thread),
        cmocka_unit_test(bytes_grow_with_what_is_held),
        cmocka_unit_test(a_batch_has_room_for_every_column_beside_its_bytes),
        cmocka_unit_test(equality_is_by_value),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
