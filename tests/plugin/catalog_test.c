/* catalog_test.c - plugins from outside: built here with nothing but a compiler and the public headers. */
#include "plugin/stage.h"

#include "plugin/catalog.h"

#include <sys/stat.h>
#include <unistd.h>

static char folder[256];

static const char *so(const char *name)
{
    static char path[2][512];
    static int turn;
    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s.so", folder, name);
    return path[turn];
}

/* cc -shared -fPIC -I runtime/include: no library of ours, no flags of ours */
static void build(const char *source, const char *flag, const char *name)
{
    char command[2048];
    snprintf(command, sizeof command,
             "cc -shared -fPIC -I %s/runtime/include %s%s %s/tests/plugin/outside/%s -o %s",
             getenv("MR_SOURCE_DIR"), flag ? "-D" : "", flag ? flag : "", getenv("MR_SOURCE_DIR"), source,
             so(name));
    if (system(command) != 0)
        fail_msg("%s", command);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/mr-catalog-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    char command[512];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static struct mr_catalog *catalog(void)
{
    struct mr_catalog *c = NULL;
    struct mr_err err;
    if (mr_catalog_new(&c, &err) != MR_OK)
        fail_msg("%s", err.text);
    return c;
}

static void a_plugin_of_one_file_keeps_one_event_in_n(void **state)
{
    (void)state;
    struct mr_catalog *c = catalog();
    struct mr_err err;
    build("sample.c", NULL, "sample");
    if (mr_catalog_load(c, so("sample"), &err) != MR_OK)
        fail_msg("%s", err.text);
    const struct mr_catalog_entry *e = mr_catalog_find(c, MR_PROCESSOR, "keep_every", 10);
    assert_non_null(e);
    assert_string_equal(e->plugin, "sample");
    assert_string_equal(e->version, "1.0");
    struct stage s;
    struct player p;
    stage_open(&s);
    struct given g[] = {{"every", mr_value_int(3)}};
    assert_int_equal(player_open(&p, &s, e->component, g, 1), MR_OK);
    const char *in[] = {"{}", "{}", "{}", "{}", "{}"};
    struct mr_batch *b = events_of(s.pool, in, 5);
    assert_int_equal(p.c->process(p.self, b, &err), MR_OK);
    mr_batch_compact(b);
    assert_int_equal(b->count, 2);
    assert_int_equal(b->sel[1], 3);
    mr_batch_free(b);
    player_close(&p);
    stage_close(&s);
    mr_catalog_free(c);
}

static void refused(const char *flag, mr_code want, const char *says)
{
    struct mr_catalog *c = catalog();
    size_t before = mr_catalog_count(c);
    struct mr_err err;
    build("broken.c", flag, "broken");
    mr_code rc = mr_catalog_load(c, so("broken"), &err);
    if (rc != want || !strstr(err.text, says) || (want != MR_EXISTS && !strstr(err.text, "broken.so")))
        fail_msg("%s: %d: %s", flag, rc, err.text);
    assert_int_equal(mr_catalog_count(c), before);
    mr_catalog_free(c);
}

static void the_door_refuses_politely(void **state)
{
    (void)state;
    refused("WRONG_ABI", MR_BADABI, "was built for ABI 2, this millrace has ABI 1: rebuild it");
    refused("WRONG_SIZE", MR_BADABI, "struct mr_plugin of 4 bytes");
    refused("TOO_SMALL", MR_BADABI, "struct mr_component of 16 bytes");
    refused("NO_SYMBOL", MR_BADABI, "has no mr_plugin_entry");
    refused("BAD_KIND", MR_BADABI, "is of kind 9");
    refused("NO_CALLBACK", MR_BADABI, "sink 'broken' has no write");
    refused("TAKEN_NAME", MR_EXISTS, "processor 'lua' is there already, from plugin 'millrace'");
}

static void an_older_build_lacks_what_came_later(void **state)
{
    (void)state;
    struct mr_catalog *c = catalog();
    struct mr_err err;
    build("broken.c", "OLD_MINOR", "old");
    if (mr_catalog_load(c, so("old"), &err) != MR_OK)
        fail_msg("%s", err.text);
    const struct mr_catalog_entry *e = mr_catalog_find(c, MR_PROCESSOR, "broken", 6);
    assert_non_null(e);
    assert_null(e->component->snapshot);
    assert_null(e->component->restore);
    assert_int_equal(e->component->size, sizeof(struct mr_component));
    mr_catalog_free(c);
}

static void a_cut_off_file_is_refused_wherever_it_ends(void **state)
{
    (void)state;
    build("sample.c", NULL, "whole");
    struct stat st;
    assert_int_equal(stat(so("whole"), &st), 0);
    for (off_t len = 0; len < st.st_size; len += len < 4096 ? 61 : 997) {
        char command[1024];
        struct mr_err err;
        struct mr_catalog *c = catalog();
        snprintf(command, sizeof command, "cp '%s' '%s'", so("whole"), so("cut"));
        assert_int_equal(system(command), 0);
        assert_int_equal(truncate(so("cut"), len), 0);
        mr_code rc = mr_catalog_load(c, so("cut"), &err);
        /* what comes after the loaded parts (section names, symbols for debuggers) is not needed */
        if (rc != MR_OK && rc != MR_BADABI)
            fail_msg("at %lld: %d %s", (long long)len, rc, err.text);
        if (len < st.st_size / 2)
            assert_int_equal(rc, MR_BADABI);
        mr_catalog_free(c);
    }
}

static void what_is_no_shared_object_is_refused(void **state)
{
    (void)state;
    struct mr_catalog *c = catalog();
    struct mr_err err;
    assert_int_equal(mr_catalog_load(c, "/nowhere/x.so", &err), MR_NOTFOUND);
    assert_int_equal(mr_catalog_load(c, folder, &err), MR_BADABI);
    FILE *f = fopen(so("text"), "w");
    assert_non_null(f);
    assert_true(fputs("#!/bin/sh\n", f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(mr_catalog_load(c, so("text"), &err), MR_BADABI);
    assert_non_null(strstr(err.text, "is not a shared object"));
    mr_catalog_free(c);
}

static void count_told(void *arg, const struct mr_err *err)
{
    assert_true(err->text[0]);
    ++*(int *)arg;
}

static void one_bad_plugin_does_not_keep_the_others_out(void **state)
{
    (void)state;
    char command[600];
    struct mr_catalog *c = catalog();
    int told = 0;
    snprintf(command, sizeof command, "rm -f '%s'/*.so", folder);
    assert_int_equal(system(command), 0);
    build("broken.c", "WRONG_ABI", "a_bad");
    build("sample.c", NULL, "b_good");
    build("broken.c", "NO_SYMBOL", "c_bad");
    mr_catalog_load_dir(c, folder, count_told, &told);
    assert_int_equal(told, 2);
    assert_non_null(mr_catalog_find(c, MR_PROCESSOR, "keep_every", 10));
    mr_catalog_load_dir(c, "/nowhere/at/all", count_told, &told);
    assert_int_equal(told, 2);
    mr_catalog_load_dir(c, folder, count_told, &told); /* everything is there already */
    assert_int_equal(told, 5);
    mr_catalog_free(c);
}

static void the_list_is_sorted_by_kind_and_name(void **state)
{
    (void)state;
    static const struct mr_component some[] = {
        {.size = sizeof *some, .kind = MR_SINK, .name = "b"},
        {.size = sizeof *some, .kind = MR_SOURCE, .name = "c"},
        {.size = sizeof *some, .kind = MR_SINK, .name = "a"},
        {.size = sizeof *some, .kind = MR_SINK, .name = "ab"},
        {.size = sizeof *some, .kind = MR_PROCESSOR, .name = "b"},
    };
    struct mr_catalog *c = catalog();
    struct mr_err err;
    for (size_t i = 0; i < sizeof some / sizeof *some; i++)
        assert_int_equal(mr_catalog_add(c, &some[i], &err), MR_OK);
    assert_int_equal(mr_catalog_add(c, &some[0], &err), MR_EXISTS);
    static const char *const want[] = {"c", "b", "lua", "a", "ab", "b"};
    assert_int_equal(mr_catalog_count(c), 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(mr_catalog_at(c, i)->component->name, want[i]);
    assert_null(mr_catalog_at(c, 6));
    assert_null(mr_catalog_find(c, MR_SOURCE, "b", 1));
    mr_catalog_free(c);
}

static void the_check_passes_the_sample_and_finds_what_is_wrong(void **state)
{
    (void)state;
    struct mr_buf out = {0};
    build("sample.c", NULL, "fine");
    if (!mr_catalog_check(so("fine"), &out))
        fail_msg("%.*s", (int)out.len, out.p);
    out.len = 0;
    build("broken.c", "BAD_OPTIONS", "bad");
    assert_false(mr_catalog_check(so("bad"), &out));
    assert_true(mr_buf_put(&out, "", 1));
    static const char *const finds[] = {"full stop",
                                        "option 'Bad-Name': use a-z",
                                        "option 'a' has no help",
                                        "option 'far' lies outside of self",
                                        "option 'pick' is a choice without",
                                        "share bytes of self"};
    for (size_t i = 0; i < sizeof finds / sizeof *finds; i++)
        if (!strstr(out.p, finds[i]))
            fail_msg("'%s' was not found: %s", finds[i], out.p);
    out.len = 0;
    assert_false(mr_catalog_check("/nowhere/x.so", &out));
    mr_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plugin_of_one_file_keeps_one_event_in_n),
        cmocka_unit_test(the_door_refuses_politely),
        cmocka_unit_test(an_older_build_lacks_what_came_later),
        cmocka_unit_test(a_cut_off_file_is_refused_wherever_it_ends),
        cmocka_unit_test(what_is_no_shared_object_is_refused),
        cmocka_unit_test(one_bad_plugin_does_not_keep_the_others_out),
        cmocka_unit_test(the_list_is_sorted_by_kind_and_name),
        cmocka_unit_test(the_check_passes_the_sample_and_finds_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
