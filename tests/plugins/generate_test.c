/* generate_test.c - made-up events: their pace, their sameness, their mix. */
#include "plugins/sink.h"

/* All that comes until there is nothing now, as JSON lines, malloc'ed. */
static char *pull(struct part *p, mr_code *last)
{
    char *all = strdup("");
    for (;;) {
        struct mr_batch *b = mock_batch(p->m);
        *last = p->c->read(p->self, b, &p->err);
        if (*last != MR_OK) {
            mr_batch_free(b);
            return all;
        }
        mock_store(p->m, b->pos_key, b->pos);
        char *text = mock_json(p->m, b);
        all = realloc(all, strlen(all) + strlen(text) + 1);
        strcat(all, text);
        free(text);
        mr_batch_free(b);
    }
}

static size_t lines_in(const char *text)
{
    size_t n = 0;
    while ((text = strchr(text, '\n'))) {
        n++;
        text++;
    }
    return n;
}

static size_t times(const char *text, const char *what)
{
    size_t n = 0;
    while ((text = strstr(text, what))) {
        n++;
        text++;
    }
    return n;
}

static struct part *generate(struct mock *m, const char *options)
{
    return part_new(m, "generate", MR_SOURCE, "generate", "%s", options);
}

static void the_same_seed_makes_the_same_lines(void **state)
{
    (void)state;
    mr_code rc;
    struct mock *m = mock_new();
    char *text[3];
    static const char *const options[] = {"{ rate: 0, count: 500, seed: 7 }",
                                          "{ rate: 0, count: 500, seed: 7 }",
                                          "{ rate: 0, count: 500, seed: 8 }"};
    for (int i = 0; i < 3; i++) {
        mock_forget(m);
        struct part *p = generate(m, options[i]);
        text[i] = pull(p, &rc);
        assert_int_equal(rc, MR_END);
        assert_int_equal(lines_in(text[i]), 500);
        part_free(p);
    }
    assert_string_equal(text[0], text[1]);
    assert_string_not_equal(text[0], text[2]);
    for (int i = 0; i < 3; i++)
        free(text[i]);
    mock_free(m);
}

static void access_lines_have_the_mix_of_a_web_server(void **state)
{
    (void)state;
    mr_code rc;
    struct mock *m = mock_new();
    struct part *p = generate(m, "{ rate: 0, count: 10000 }");
    char *text = pull(p, &rc);
    assert_int_equal(lines_in(text), 10000);
    assert_in_range(times(text, " /healthz "), 400, 600);
    assert_in_range(times(text, "\\\" 304 0 "), 600, 1000);
    assert_in_range(times(text, "\\\" 404 "), 200, 500);
    assert_in_range(times(text, "\\\" 500 "), 20, 90);
    assert_int_equal(times(text, "[10/Oct/2025:13:55:37 +0000]"), 10000);
    free(text);
    part_free(p);
    mock_free(m);
}

static void access_lines_are_read_by_parse_combined(void **state)
{
    (void)state;
    struct mock *m = mock_new();
    struct part *p = generate(m, "{ rate: 0, count: 2000 }");
    struct part *parse = part_new(m, "parse", MR_PROCESSOR, "parse", "combined");
    uint32_t seen = 0;
    for (;;) {
        struct mr_batch *b = mock_batch(m);
        if (p->c->read(p->self, b, &p->err) != MR_OK) {
            mr_batch_free(b);
            break;
        }
        assert_int_equal(parse->c->process(parse->self, b, &parse->err), MR_OK);
        for (uint32_t k = 0; k < b->count; k++) {
            assert_int_equal(b->fate[b->sel[k]], MR_KEPT);
            struct mr_value status = mr_batch_get(b, b->sel[k], "status", 6);
            assert_int_equal(status.tag, MR_INT);
            assert_in_range(status.u.i, 200, 503);
            assert_int_equal(b->time[b->sel[k]], 1760104537000000000);
            seen++;
        }
        mr_batch_free(b);
    }
    assert_int_equal(seen, 2000);
    part_free(p);
    part_free(parse);
    mock_free(m);
}

static void events_come_at_their_rate(void **state)
{
    (void)state;
    mr_code rc;
    struct mock *m = mock_new();
    struct part *p = generate(m, "{ format: counter, rate: 200 }");
    size_t seen = 0;
    mr_ms begin = m->now;
    while (m->now < begin + 10000) { /* as a lane does: called at the timer, never before */
        char *text = pull(p, &rc);
        assert_int_equal(rc, MR_AGAIN);
        seen += lines_in(text);
        free(text);
        assert_true(m->timer > m->now);
        assert_true(m->timer <= m->now + 20);
        m->now = m->timer;
    }
    assert_in_range(seen, 1990, 2002);
    part_free(p);
    mock_free(m);
}

static void a_slow_rate_sleeps_until_the_next_event(void **state)
{
    (void)state;
    mr_code rc;
    struct mock *m = mock_new();
    struct part *p = generate(m, "{ format: counter, rate: 2 }");
    mr_ms begin = m->now;
    for (int i = 0; i < 6; i++) {
        free(pull(p, &rc));
        assert_int_equal(m->timer, begin + 500 * (i + 1));
        m->now = m->timer;
    }
    part_free(p);
    p = generate(m, "{ format: counter, interval: 1m }");
    char *text = pull(p, &rc);
    assert_int_equal(lines_in(text), 1);
    assert_int_equal(m->timer, m->now + 60000);
    m->now += 59999;
    free(text);
    text = pull(p, &rc);
    assert_int_equal(lines_in(text), 0);
    free(text);
    m->now++;
    text = pull(p, &rc);
    assert_int_equal(lines_in(text), 1);
    free(text);
    part_free(p);
    mock_free(m);
}

static void a_stall_is_not_made_up_for_by_a_flood(void **state)
{
    (void)state;
    mr_code rc;
    struct mock *m = mock_new();
    struct part *p = generate(m, "{ format: counter, rate: 100000 }");
    free(pull(p, &rc));
    m->now += 3600000;
    char *text = pull(p, &rc);
    assert_in_range(lines_in(text), 1, 42000);
    free(text);
    part_free(p);
    mock_free(m);
}

static void a_restart_goes_on_where_it_was(void **state)
{
    (void)state;
    mr_code rc;
    struct mock *m = mock_new();
    struct part *p = generate(m, "{ format: counter, interval: 1s, count: 5 }");
    m->now += 2000;
    char *first = pull(p, &rc);
    assert_string_equal(first, "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n");
    part_free(p);
    p = generate(m, "{ format: counter, interval: 1s, count: 5 }");
    m->now += 60000;
    char *second = pull(p, &rc);
    assert_string_equal(second, "{\"n\":3}\n{\"n\":4}\n");
    assert_int_equal(rc, MR_END);
    free(first);
    free(second);
    part_free(p);
    mock_free(m);
}

static void fields_and_a_template_are_computed_from_the_event(void **state)
{
    (void)state;
    mr_code rc;
    struct mock *m = mock_new();
    struct part *p = generate(
        m,
        "{ format: counter, rate: 0, count: 3, fields: { user.id: e.n % 2 }, template: 'hi {{ user.id }}' }");
    char *text = pull(p, &rc);
    assert_string_equal(text, "{\"n\":0,\"user\":{\"id\":0},\"message\":\"hi 0\"}\n"
                              "{\"n\":1,\"user\":{\"id\":1},\"message\":\"hi 1\"}\n"
                              "{\"n\":2,\"user\":{\"id\":0},\"message\":\"hi 0\"}\n");
    free(text);
    part_free(p);
    mock_forget(m);
    p = generate(m, "{ format: json, rate: 0, count: 4 }");
    text = pull(p, &rc);
    assert_int_equal(lines_in(text), 4);
    assert_int_equal(times(text, "\"latency\":0."), 4);
    assert_int_equal(times(text, "\"client\":\"10."), 4);
    free(text);
    part_free(p);
    mock_free(m);
}

static void a_run_that_ends_needs_a_count(void **state)
{
    (void)state;
    struct mock *m = mock_new();
    struct part p;
    m->once = true;
    assert_true(part_make(&p, m, "generate", MR_SOURCE, "generate", NULL));
    assert_int_equal(part_open(&p), MR_BADCONF);
    assert_string_equal(p.err.option, "count");
    part_close(&p);
    mock_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_seed_makes_the_same_lines),
        cmocka_unit_test(access_lines_have_the_mix_of_a_web_server),
        cmocka_unit_test(access_lines_are_read_by_parse_combined),
        cmocka_unit_test(events_come_at_their_rate),
        cmocka_unit_test(a_slow_rate_sleeps_until_the_next_event),
        cmocka_unit_test(a_stall_is_not_made_up_for_by_a_flood),
        cmocka_unit_test(a_restart_goes_on_where_it_was),
        cmocka_unit_test(fields_and_a_template_are_computed_from_the_event),
        cmocka_unit_test(a_run_that_ends_needs_a_count),
    };
    return cmocka_run_group_tests_name("generate", tests, NULL, NULL);
}
