/* lint_test.c - broken files, each with the place of its mistake; hostile YAML; how complaints are printed.
 */
#include "pipeline/kit.h"

#include "base/buf.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static const struct row {
    const char *file;
    uint32_t line, column;
    const char *says;
    bool warning;
} rows[] = {
#include "pipeline/lint_rows.h"
};

struct loaded {
    struct mr_heap_arena a;
    struct mr_catalog *catalog;
    struct mr_config config;
    struct mr_diags diags;
    mr_code rc;
};

static void load(struct loaded *l, const char *name, const char *text, size_t len)
{
    memset(l, 0, sizeof *l);
    mr_heap_arena_init(&l->a, 16 * 1024, 0, MR_CONFIG_ARENA_BYTES);
    l->catalog = kit_catalog();
    struct mr_config_file f = {name, {text, len}};
    l->rc = mr_config_load(&f, 1, l->catalog, 0, &l->a, &l->diags, &l->config);
}

static void unload(struct loaded *l)
{
    mr_diags_fini(&l->diags);
    mr_heap_arena_fini(&l->a);
    mr_catalog_free(l->catalog);
}

static void print(const struct loaded *l, char *out, size_t cap)
{
    FILE *to = fmemopen(out, cap, "w");
    mr_diags_print(&l->diags, l->config.sources, l->config.source_count, to, false);
    (void)fclose(to);
}

static const char *dir(void)
{
    static char path[4096];
    const char *top = getenv("MR_SOURCE_DIR");
    (void)snprintf(path, sizeof path, "%s/tests/pipeline/lint", top ? top : ".");
    return path;
}

static void each_mistake_is_found_at_its_place(void **state)
{
    const struct row *row = *state;
    struct loaded l;
    char path[4200], text[16384] = "";
    (void)snprintf(path, sizeof path, "%s/%s.yaml", dir(), row->file);
    load(&l, path, NULL, 0);
    print(&l, text, sizeof text);
    bool found = false;
    uint32_t expected = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expected += strcmp(rows[i].file, row->file) == 0;
    for (uint32_t i = 0; i < l.diags.count; i++) {
        const struct mr_diag *d = &l.diags.v[i];
        found |= d->line == row->line && d->column == row->column && d->warning == row->warning &&
                 strstr(d->text, row->says);
    }
    if (!found)
        fail_msg("expected %u:%u '%s', got\n%s", row->line, row->column, row->says, text);
    if (l.diags.count != expected)
        fail_msg("expected %u complaints, got\n%s", expected, text);
    assert_int_equal(l.rc, row->warning ? MR_OK : MR_BADCONF);
    unload(&l);
}

static void every_file_of_the_folder_is_in_the_table(void **state)
{
    (void)state;
    DIR *d = opendir(dir());
    assert_non_null(d);
    unsigned files = 0;
    for (struct dirent *e; (e = readdir(d));) {
        char *dot = strrchr(e->d_name, '.');
        if (!dot || strcmp(dot, ".yaml") != 0)
            continue;
        *dot = '\0';
        bool known = false;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            known |= strcmp(rows[i].file, e->d_name) == 0;
        if (!known)
            fail_msg("lint/%s.yaml is in no row", e->d_name);
        files++;
    }
    closedir(d);
    assert_true(files >= 40);
}

static void complaints_show_the_line_and_the_way_out(void **state)
{
    static const char yaml[] =
        "pipelines:\n  p:\n    from: { lines: [a] }\n    steps:\n      - dropp: true\n    to: out\n";
    struct loaded l;
    char text[4096] = "";
    (void)state;
    load(&l, "x.yaml", yaml, sizeof yaml - 1);
    print(&l, text, sizeof text);
    assert_string_equal(text,
                        "x.yaml:5:9: error: there is no step 'dropp'\n"
                        "    5 |       - dropp: true\n"
                        "      |         ^~~~~\n"
                        "      = did you mean 'drop'? there are: bad, drop, grow, lua, pattern, refuse, "
                        "remove, set, tail, twice, window\n"
                        "1 error, 0 warnings\n");
    unload(&l);
}

static void a_good_plan_has_no_complaints(void **state)
{
    static const char yaml[] = "# all there is\n"
                               "broker: embedded\n"
                               "pipelines:\n"
                               "  one:\n"
                               "    description: the first\n"
                               "    from:\n"
                               "      - lines: { text: [a, b], batch: 2 }\n"
                               "        id: in\n"
                               "      - topic: { name: t, start: latest, codec: raw }\n"
                               "    steps:\n"
                               "      - drop: e.n == 3\n"
                               "        if: e.message ~= 'x'\n"
                               "        on_error: drop\n"
                               "      - window: { every: 1m, by: [a], compute: { n: count() } }\n"
                               "    to:\n"
                               "      - out: a\n"
                               "        if: e.n > 1\n"
                               "        retry: { max: 10, backoff: 50ms }\n"
                               "      - topic: { name: u, key: \"{{ a }}\", compression: zstd }\n"
                               "        else: true\n"
                               "        on_error: retry\n"
                               "    on_error: dead\n"
                               "    delivery: at_least_once\n"
                               "    pipeline_bytes: 32MiB\n"
                               "tests:\n"
                               "  - name: t\n"
                               "    pipeline: one\n"
                               "    in: [ x, { a: 1 } ]\n"
                               "    advance: 2m\n"
                               "    out: [ { n: 1 } ]\n"
                               "    dropped: 1\n"
                               "    dead: 0\n";
    struct loaded l;
    char text[4096] = "";
    (void)state;
    load(&l, "x.yaml", yaml, sizeof yaml - 1);
    print(&l, text, sizeof text);
    assert_string_equal(text, "");
    assert_int_equal(l.rc, MR_OK);
    const struct mr_config_pipeline *p = &l.config.pipelines[0];
    assert_string_equal(p->from[0].label, "one/in");
    assert_string_equal(p->from[1].label, "one/from[1]");
    assert_string_equal(p->from[1].topic, "t");
    assert_string_equal(p->to[1].topic, "u");
    assert_int_equal(p->to[0].retry_max, 10);
    assert_int_equal(p->to[0].retry_backoff, 50);
    assert_int_equal(p->to[1].on_error, MR_ON_ERROR_RETRY);
    assert_int_equal(p->bytes, 32 << 20);
    unload(&l);
}

/* ---------------------------------------------------------------- hostile YAML */

static void refused(const char *text, size_t len, const char *says)
{
    struct loaded l;
    char out[16384] = "";
    load(&l, "h.yaml", text, len);
    print(&l, out, sizeof out);
    if (l.rc != MR_BADCONF || !strstr(out, says))
        fail_msg("expected '%s', got %s", says, out);
    unload(&l);
}

static void aliases_of_aliases_stop_at_a_limit(void **state)
{
    struct mr_buf y = {0};
    (void)state;
    (void)mr_buf_puts(&y, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 12; i++) {
        (void)mr_buf_printf(&y, "a%d: &a%d [", i, i);
        for (int k = 0; k < 10; k++)
            (void)mr_buf_printf(&y, "%s*a%d", k ? ", " : "", i - 1);
        (void)mr_buf_puts(&y, "]\n");
    }
    refused(y.p, y.len, "limit 'config_nodes'");
    mr_buf_fini(&y);
}

static void depth_and_size_stop_at_limits(void **state)
{
    struct mr_buf y = {0};
    (void)state;
    for (int i = 0; i < 100; i++)
        (void)mr_buf_puts(&y, "[");
    refused(y.p, y.len, "limit 'config_depth'");
    y.len = 0;
    for (int i = 0; i < 60000; i++)
        (void)mr_buf_puts(&y, "[");
    refused(y.p, y.len, "limit 'config_depth'");
    y.len = 0;
    while (y.len <= 4 << 20)
        (void)mr_buf_puts(&y, "# 0123456789012345678901234567890123456789012345678901234567890123456789\n");
    refused(y.p, y.len, "limit 'config_file_bytes'");
    y.len = 0;
    for (int i = 0; i < 110000; i++)
        (void)mr_buf_puts(&y, "- x\n");
    refused(y.p, y.len, "limit 'config_nodes'");
    mr_buf_fini(&y);
}

static void what_is_not_utf8_is_refused_with_its_line(void **state)
{
    (void)state;
    refused("a: 1\nb: \xff\xfe\n", 11, "h.yaml:2:1: error: this line is not UTF-8");
    refused("\xff\xfe"
            "a\0:\0",
            6, "UTF-8");
    refused("a: \"\\0\"\n", 8, "NUL");
}

static void a_byte_order_mark_is_passed_over(void **state)
{
    static const char yaml[] = "\xef\xbb\xbfpipelines:\n  p:\n    from: { lines: [a] }\n    to: out\n";
    struct loaded l;
    (void)state;
    load(&l, "x.yaml", yaml, sizeof yaml - 1);
    assert_int_equal(l.rc, MR_OK);
    unload(&l);
}

static void a_big_map_finds_its_twin(void **state)
{
    struct mr_buf y = {0};
    (void)state;
    (void)mr_buf_puts(&y, "broker:\n");
    for (int i = 0; i < 40000; i++)
        (void)mr_buf_printf(&y, " k%d: 1\n", i);
    (void)mr_buf_puts(&y, " k17: 2\n");
    refused(y.p, y.len, "'k17' is given twice; the first is in line 19");
    mr_buf_fini(&y);
}

static void more_mistakes_than_fit_are_counted(void **state)
{
    struct mr_buf y = {0};
    (void)state;
    for (int i = 0; i < 300; i++)
        (void)mr_buf_printf(&y, "k%d: 1\n", i);
    struct loaded l;
    load(&l, "x.yaml", y.p, y.len);
    assert_int_equal(l.diags.count, MR_DIAGS_MAX);
    assert_int_equal(l.diags.count + l.diags.more, 300);
    assert_int_equal(l.rc, MR_BADCONF);
    unload(&l);
    mr_buf_fini(&y);
}

static void no_failed_allocation_ends_the_process(void **state)
{
    static const char yaml[] =
        "pipelines:\n  p:\n    from: { topic: { name: t, codec: logfmt } }\n    steps:\n      - drop: e.n == "
        "3\n"
        "        if: e.message ~= 'x'\n      - window: { every: 1m, by: [a], compute: { n: count() } }\n"
        "    to: { topic: { name: u, key: \"{{ a }}\" } }\n  q: { from: { linez: 1 }, to: out, x: 1 }\n";
    (void)state;
    bool failed = true;
    struct mr_catalog *catalog = kit_catalog();
    for (uint64_t n = 1; failed; n++) {
        struct mr_heap_arena a;
        struct mr_diags d = {0};
        struct mr_config c;
        mr_heap_arena_init(&a, 256, 0, 16 << 20);
        struct mr_config_file f = {"x.yaml", {yaml, sizeof yaml - 1}};
        mr_alloc_fail_at(n);
        assert_int_not_equal(mr_config_load(&f, 1, catalog, 0, &a, &d, &c), MR_OK);
        mr_alloc_fail_at(0);
        failed = d.count != 2 || d.more; /* all went well: the two mistakes are there */
        assert_true(n < 100000);
        mr_diags_fini(&d);
        mr_heap_arena_fini(&a);
    }
    mr_catalog_free(catalog);
}

/* ---------------------------------------------------------------- substitution */

static const char *env(void *arg, const char *name)
{
    (void)arg;
    if (strcmp(name, "A") == 0)
        return "va: [#";
    if (strcmp(name, "NEST") == 0)
        return "${A}";
    return strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static const struct swap {
    const char *name, *text, *want;
} swaps[] = {
    {"a value is put in and cannot change the document", "x${A}y", "xva: [#y"},
    {"what comes in is not looked at again", "${NEST}", "${A}"},
    {"a default is for what is not set", "${B:-d e}", "d e"},
    {"a default is for what is empty too", "${EMPTY:-d}", "d"},
    {"a default may be empty", "[${B:-}]", "[]"},
    {"what is set wins over its default", "${A:-d}", "va: [#"},
    {"two dollars are a literal one", "$${A} ${EMPTY}", "${A} "},
    {"several in one scalar", "${B:-1}${B:-2}", "12"},
    {"a dollar alone is nothing special", "^a$ $x {A}", "^a$ $x {A}"},
};

static void substitution(void **state)
{
    const struct swap *s = *state;
    struct mr_heap_arena a;
    struct mr_diags d = {0};
    mr_heap_arena_init(&a, 4096, 0, 1 << 20);
    struct mr_node n = {
        .kind = MR_NODE_SCALAR, .file = "x", .line = 1, .column = 1, .text = mr_slice_of(s->text)};
    mr_substitute(&n, env, NULL, &a, &d);
    assert_int_equal(d.errors, 0);
    assert_int_equal(n.text.len, strlen(s->want));
    assert_memory_equal(n.text.p, s->want, n.text.len);
    assert_false(n.secret);
    mr_diags_fini(&d);
    mr_heap_arena_fini(&a);
}

static void a_secret_file_is_put_in_and_never_printed(void **state)
{
    char path[] = "/tmp/millrace-secret-XXXXXX", yaml[512], text[4096] = "";
    struct loaded l;
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "hunter/2\n", 9) == 9);
    (void)close(fd);
    (void)snprintf(yaml, sizeof yaml, "pipelines:\n  p:\n    from: { topic: \"${file:%s}\" }\n    to: out\n",
                   path);
    load(&l, "x.yaml", yaml, strlen(yaml));
    print(&l, text, sizeof text);
    (void)unlink(path);
    assert_int_equal(l.rc, MR_BADCONF); /* a topic cannot have that name */
    assert_non_null(strstr(text, "(secret)"));
    assert_null(strstr(text, "hunter"));
    unload(&l);
}

static void files_of_one_plan_are_read_together(void **state)
{
    struct mr_heap_arena a;
    struct mr_diags d = {0};
    struct mr_config c;
    struct mr_catalog *catalog = kit_catalog();
    (void)state;
    mr_heap_arena_init(&a, 4096, 0, 16 << 20);
    const struct mr_config_file f[] = {
        {"a.yaml", MR_SLICE("pipelines:\n  p: { from: { lines: [a] }, to: out }\n")},
        {"b.yaml", MR_SLICE("tests:\n  - { name: x, pipeline: p, no_out: true }\n")},
        {"c.yaml", MR_SLICE("pipelines:\n  p: { from: { lines: [a] }, to: out }\n")},
    };
    assert_int_equal(mr_config_load(f, 2, catalog, 0, &a, &d, &c), MR_OK);
    assert_int_equal(c.test_count, 1);
    assert_int_equal(mr_config_load(f, 3, catalog, 0, &a, &d, &c), MR_BADCONF);
    assert_int_equal(d.count, 1);
    assert_non_null(strstr(d.v[0].text, "a.yaml:2"));
    mr_diags_fini(&d);
    mr_heap_arena_fini(&a);
    mr_catalog_free(catalog);
}

int main(void)
{
    enum { N = sizeof rows / sizeof *rows, S = sizeof swaps / sizeof *swaps };
    static struct CMUnitTest tests[N + S + 32];
    size_t n = 0;
    for (size_t i = 0; i < N; i++)
        tests[n++] = (struct CMUnitTest){rows[i].file, each_mistake_is_found_at_its_place, NULL, NULL,
                                         (void *)(uintptr_t)&rows[i]};
    for (size_t i = 0; i < S; i++)
        tests[n++] =
            (struct CMUnitTest){swaps[i].name, substitution, NULL, NULL, (void *)(uintptr_t)&swaps[i]};
    const struct CMUnitTest more[] = {
        cmocka_unit_test(every_file_of_the_folder_is_in_the_table),
        cmocka_unit_test(complaints_show_the_line_and_the_way_out),
        cmocka_unit_test(a_good_plan_has_no_complaints),
        cmocka_unit_test(aliases_of_aliases_stop_at_a_limit),
        cmocka_unit_test(depth_and_size_stop_at_limits),
        cmocka_unit_test(what_is_not_utf8_is_refused_with_its_line),
        cmocka_unit_test(a_byte_order_mark_is_passed_over),
        cmocka_unit_test(a_big_map_finds_its_twin),
        cmocka_unit_test(more_mistakes_than_fit_are_counted),
        cmocka_unit_test(no_failed_allocation_ends_the_process),
        cmocka_unit_test(a_secret_file_is_put_in_and_never_printed),
        cmocka_unit_test(files_of_one_plan_are_read_together),
    };
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        tests[n++] = more[i];
    return _cmocka_run_group_tests("lint", tests, n, NULL, NULL);
}
