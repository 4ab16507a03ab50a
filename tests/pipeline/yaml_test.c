/* yaml_test.c - tests that people write in YAML: they pass when true, and say what differs when not. */
#include "pipeline/kit.h"

#include <stdlib.h>

#define PIPES                                                                                                \
    "pipelines:\n"                                                                                           \
    "  p:\n"                                                                                                 \
    "    from: { lines: [never, read] }\n"                                                                   \
    "    steps:\n"                                                                                           \
    "      - drop: e.message == 'ping'\n"                                                                    \
    "      - refuse: bad\n"                                                                                  \
    "      - set: { big: e.size > 100 }\n"                                                                   \
    "        if: e.size ~= nil\n"                                                                            \
    "    to: [ out, out ]\n"                                                                                 \
    "  w:\n"                                                                                                 \
    "    from: { topic: t }\n"                                                                               \
    "    steps:\n"                                                                                           \
    "      - window: { every: 1m, wait: 30s, by: [status], compute: { hits: count(), bytes: sum(bytes) } "   \
    "}\n"                                                                                                    \
    "    to:\n"                                                                                              \
    "      - topic: u\n"                                                                                     \
    "        if: e.hits > 1\n"                                                                               \
    "      - topic: v\n"                                                                                     \
    "        else: true\n"                                                                                   \
    "tests:\n"

static uint32_t run(const char *tests, char *out, size_t cap)
{
    struct kit_plan plan;
    char yaml[8192];
    (void)snprintf(yaml, sizeof yaml, "%s%s", PIPES, tests);
    kit_reset();
    kit_plan(&plan, yaml);
    memset(out, 0, cap);
    FILE *to = fmemopen(out, cap, "w");
    uint32_t failed = mr_test_run(&plan.config, plan.catalog, NULL, to, false);
    (void)fclose(to);
    assert_int_equal(kit.opens, 0); /* no real output was opened, */
    assert_int_equal(kit.reads, 0); /* and no source */
    kit_plan_fini(&plan);
    return failed;
}

static void passes(const char *tests)
{
    char out[8192];
    if (run(tests, out, sizeof out) != 0)
        fail_msg("%s", out);
}

static void fails(const char *tests, const char *want)
{
    char out[8192];
    assert_int_equal(run(tests, out, sizeof out), 1);
    if (strcmp(out, want) != 0)
        fail_msg("expected\n%s\ngot\n%s", want, out);
}

static void true_tests_pass(void **state)
{
    (void)state;
    passes("  - name: pings vanish, others pass once though there are two outputs\n    pipeline: p\n"
           "    in: [ ping, hello, { message: ping }, { size: 5 } ]\n"
           "    out: [ hello, { size: 5, big: false } ]\n    dropped: 2\n"
           "  - name: nothing comes of nothing\n    pipeline: p\n    no_out: true\n"
           "  - name: errors are expected\n    pipeline: p\n    in: [ bad ]\n    dead: 1\n    no_out: true\n"
           "  - name: whole text\n    pipeline: p\n    in: [ { a: { b: [1, 2.5, null, \"x\"] } } ]\n"
           "    out: [ '{\"a\":{\"b\":[1,2.5,null,\"x\"]}}' ]\n"
           "  - name: subset of an object\n    pipeline: p\n    in: [ { a: { b: 1, c: 2 } } ]\n    out: [ { "
           "a: { c: 2 } } ]\n");
}

static void the_clock_moves_only_when_told_to(void **state)
{
    (void)state;
    passes("  - name: a window closes after its time\n    pipeline: w\n"
           "    in:\n      - { ts: 2025-10-10T13:55:10Z, status: 200, bytes: 5 }\n"
           "      - '{\"status\":200,\"bytes\":9}'\n"
           "    advance: 3m\n    dead: 1\n"
           "    out: [ { status: 200, hits: 1, bytes: 5, window: { start: 2025-10-10T13:55:00Z } } ]\n"
           "  - name: it is open until then\n    pipeline: w\n"
           "    in: [ { ts: 2025-10-10T13:55:10Z, status: 200, bytes: 5 } ]\n    no_out: true\n"
           "  - name: both outputs are looked at\n    pipeline: w\n"
           "    in: [ { ts: 2025-10-10T13:55:10Z, status: 200 }, { ts: 2025-10-10T13:55:50Z, status: 200 }, "
           "{ ts: 2025-10-10T13:55:50Z, status: 500 } ]\n"
           "    advance: 3m\n    out: [ { status: 200, hits: 2 }, { status: 500, hits: 1 } ]\n");
}

static void a_false_test_says_what_differs(void **state)
{
    (void)state;
    fails("  - name: wrong\n    pipeline: p\n    in: [ a, b, { x: 1 } ]\n    out: [ a, { x: 1 }, { x: 1 }, c "
          "]\n",
          "FAIL wrong  (test.yaml:20)\n"
          "  event 2\n"
          "    expected: {\"x\":1}\n"
          "    got:      {\"message\":\"b\"}\n"
          "  event 4\n"
          "    expected: \"c\"\n"
          "    got:      nothing more\n"
          "1 test, 1 failed\n");
    fails("  - name: too many\n    pipeline: p\n    in: [ a ]\n    no_out: true\n",
          "FAIL too many  (test.yaml:20)\n"
          "  event 1\n"
          "    expected: nothing more\n"
          "    got:      {\"message\":\"a\"}\n"
          "1 test, 1 failed\n");
    fails("  - name: unexpected error\n    pipeline: p\n    in: [ bad ]\n    no_out: true\n",
          "FAIL unexpected error  (test.yaml:20)\n"
          "  to the error route: expected 0, got 1\n"
          "  to the error route: refused 'bad'\n"
          "1 test, 1 failed\n");
    fails("  - name: dropped\n    pipeline: p\n    in: [ ping ]\n    dropped: 2\n",
          "FAIL dropped  (test.yaml:20)\n"
          "  dropped: expected 2, got 1\n"
          "1 test, 1 failed\n");
    fails("  - name: types matter\n    pipeline: p\n    in: [ { x: 1 } ]\n    out: [ { x: \"1\" } ]\n",
          "FAIL types matter  (test.yaml:20)\n"
          "  event 1\n"
          "    expected: {\"x\":\"1\"}\n"
          "    got:      {\"x\":1}\n"
          "1 test, 1 failed\n");
}

static void one_test_can_be_chosen_by_name(void **state)
{
    struct kit_plan plan;
    char out[2048] = "";
    (void)state;
    kit_reset();
    kit_plan(&plan, PIPES "  - { name: a, pipeline: p, in: [x], no_out: true }\n  - { name: b, pipeline: p, "
                          "in: [x], out: [x] }\n");
    FILE *to = fmemopen(out, sizeof out, "w");
    assert_int_equal(mr_test_run(&plan.config, plan.catalog, "b", to, false), 0);
    assert_int_equal(mr_test_run(&plan.config, plan.catalog, "c", to, false), 1);
    (void)fclose(to);
    assert_string_equal(out, "ok   b\n1 test, 0 failed\nthere is no test named 'c'\n");
    kit_plan_fini(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(true_tests_pass),
        cmocka_unit_test(the_clock_moves_only_when_told_to),
        cmocka_unit_test(a_false_test_says_what_differs),
        cmocka_unit_test(one_test_can_be_chosen_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
