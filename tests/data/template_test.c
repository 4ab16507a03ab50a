/* template_test.c - templates, rendered and refused. */
#include "data/event.h"

#include "base/mem.h"
#include "data/template.h"

static struct mr_batch_pool *pool;

static int setup(void **state)
{
    (void)state;
    pool = mr_batch_pool_new(2, 64 << 20);
    return pool ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    mr_batch_pool_free(pool);
    return 0;
}

static const char line[] =
    "{\"s\":\"text\",\"esc\":\"a\\nb\",\"i\":7,\"f\":1.0,\"b\":true,\"n\":null,\"l\":[1, 2],"
    "\"o\":{\"p\":\"q\",\"t\":\"2025-01-02T03:04:05Z\"},\"x-y\":2,\"m\":3,\"empty\":\"\"}";

static void pieces_are_put_together(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want; /* NULL: fails */
        const char *says;
    } rows[] = {
        {"", "", NULL},
        {"plain } text", "plain } text", NULL},
        {"{{s}}", "text", NULL},
        {"<{{ s }}/{{i}}>", "<text/7>", NULL},
        {"{{ esc }}", "a\nb", NULL},
        {"{{ f }} {{ b }} {{ l }} {{ o.p }}", "1.0 true [1,2] q", NULL},
        {"{{ l[1] }}{{ [\"x-y\"] }}{{ [\"m\"] }}", "223", NULL},
        {"{{ empty }}", "", NULL},
        {"{{{{ s }}", "{{ s }}", NULL},
        {"{{ none | default \"a | }} b\" }}!", "a | }} b!", NULL},
        {"{{ none | default '' }}", "", NULL},
        {"{{ n | default \"x\" }}", "x", NULL},
        {"{{ s | default \"x\" }}", "text", NULL},
        {"{{ ts }}", "1970-01-01T00:00:01.500Z", NULL},
        {"{{ m.ts | %Y-%m-%d }}.log", "1970-01-01.log", NULL},
        {"{{ o.t | %H }}", "03", NULL},
        {"{{ m.key }}/{{ m.offset }}", "k/9", NULL},
        {"{{ m.headers.h }}", "v", NULL},
        {"{{ m.topic | default \"no\" }}", "no", NULL},
        {"{{ none }}", NULL, "template: the event has no 'none'"},
        {"a{{ o.none }}", NULL, "template: the event has no 'o.none'"},
        {"{{ m.headers.z }}", NULL, "the event has no 'm.headers.z'"},
        {"{{ s | %Y }}", NULL, "template: 'text' of 's' is not a time"},
        {"{{ l | %Y }}", NULL, "template: 'l' is not a time"},
    };
    const char *lines[] = {line};
    struct mr_batch *b = events_of(pool, lines, 1);
    struct mr_member h = {.name = "h", .name_len = 1, .v = mr_value_string(MR_SLICE("v"))};
    struct mr_value headers = {.tag = MR_OBJECT, .len = 1, .u.object = &h};
    b->headers = &headers;
    b->time[0] = 1500000000;
    b->offset[0] = 9;
    b->key[0] = mr_value_string(MR_SLICE("k"));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mr_template *t = NULL;
        struct mr_err err;
        if (mr_template_parse(rows[i].text, strlen(rows[i].text), &t, &err) != MR_OK)
            fail_msg("'%s': %s", rows[i].text, err.text);
        struct mr_slice got = mr_template_render(t, b, 0, &err);
        if (rows[i].want) {
            if (!got.p || !mr_slice_eq(got, mr_slice_of(rows[i].want)))
                fail_msg("'%s': '%.*s'", rows[i].text, MR_SLICE_ARG(got));
        } else {
            assert_null(got.p);
            if (!strstr(err.text, rows[i].says))
                fail_msg("'%s': %s", rows[i].text, err.text);
        }
        mr_template_free(t);
    }
    b->headers = NULL;
    mr_batch_free(b);
}

static void a_bad_template_says_where(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t at;
    } rows[] = {
        {"ab{{ s", 2},          {"{{ s | upper }}", 6},     {"{{ }}", 3},         {"x{{ a..b }}", 6},
        {"{{ m.nothing }}", 3}, {"{{ s | default x }}", 6}, {"{{ ts | %Q }}", 7},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mr_template *t = NULL;
        struct mr_err err;
        if (mr_template_parse(rows[i].text, strlen(rows[i].text), &t, &err) != MR_BADCONF)
            fail_msg("'%s' is accepted", rows[i].text);
        if (err.at != rows[i].at)
            fail_msg("'%s': at %u: %s", rows[i].text, err.at, err.text);
    }
}

static void a_single_field_is_not_copied(void **state)
{
    (void)state;
    const char *lines[] = {line};
    struct mr_batch *b = events_of(pool, lines, 1);
    struct mr_template *t = NULL;
    assert_int_equal(mr_template_parse("{{ s }}", 7, &t, NULL), MR_OK);
    assert_false(mr_template_is_constant(t));
    assert_ptr_equal(mr_template_render(t, b, 0, NULL).p, line + 6);
    mr_template_free(t);
    assert_int_equal(mr_template_parse("con{{{{stant", 12, &t, NULL), MR_OK);
    assert_true(mr_template_is_constant(t));
    mr_template_free(t);
    mr_batch_free(b);
}

/* Parse and render, with the n-th allocation failing. */
static bool render_with(uint64_t n)
{
    static const char text[] = "{{ o }}-{{ s }}-{{ i }}-{{ esc }}";
    const char *lines[] = {line};
    struct mr_batch *b = events_of(pool, lines, 1);
    struct mr_template *t = NULL;
    struct mr_err err;
    bool good = false;
    mr_alloc_fail_at(n);
    mr_code code = mr_template_parse(text, sizeof text - 1, &t, &err);
    assert_true(code == MR_OK || code == MR_MEMORY);
    if (code == MR_OK) {
        struct mr_slice s = mr_template_render(t, b, 0, &err);
        good = s.p != NULL;
        if (good)
            assert_true(mr_slice_eq(s, MR_SLICE("{\"p\":\"q\",\"t\":\"2025-01-02T03:04:05Z\"}-text-7-a\nb")));
        else
            assert_int_equal(err.code, MR_LIMIT);
    }
    mr_alloc_fail_at(0);
    mr_template_free(t);
    mr_batch_free(b);
    return good;
}

static void a_failing_allocation_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    assert_true(render_with(0));
    uint64_t n = 1;
    while (!render_with(n))
        n++;
    assert_in_range(n, 4, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_put_together),
        cmocka_unit_test(a_bad_template_says_where),
        cmocka_unit_test(a_single_field_is_not_copied),
        cmocka_unit_test(a_failing_allocation_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
