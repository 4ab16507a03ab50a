/* scripts_test.c - components and transforms written in Lua: the ones in scripts/, and what a wrong one is
 * told. */
#include "plugin/stage.h"

#include "plugin/catalog.h"

#include <unistd.h>

static struct stage stage;
static struct player player;
static struct mr_catalog *catalog;

static const char *script(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/scripts/%s", getenv("MR_SOURCE_DIR"), name);
    return path;
}

static const struct mr_component *load(const char *file, enum mr_kind kind, const char *name)
{
    struct mr_err err;
    stage_open(&stage);
    assert_int_equal(mr_catalog_new(&catalog, &err), MR_OK);
    if (mr_catalog_load_lua(catalog, script(file), &err) != MR_OK)
        fail_msg("%s", err.text);
    const struct mr_catalog_entry *e = mr_catalog_find(catalog, kind, name, strlen(name));
    assert_non_null(e);
    return e->component;
}

static void end(void)
{
    player_close(&player);
    stage_close(&stage);
    mr_catalog_free(catalog);
    catalog = NULL;
}

static void mask_ip_masks_addresses_where_they_are(void **state)
{
    (void)state;
    struct mr_err err;
    const char *in[] = {"{\"client\":\"10.1.2.3\",\"n\":1}", "{\"client\":\"2001:db8:1:2::3\"}", "{\"n\":3}",
                        "{\"client\":\"somebody\"}"};
    stage_open(&stage);
    struct given g[] = {{"code", text_value(script("mask_ip.lua"))}};
    if (player_open(&player, &stage, &mr_lua_step, g, 1) != MR_OK)
        fail_msg("%s", player.err.text);
    struct mr_batch *b = events_of(stage.pool, in, 4);
    assert_int_equal(player.c->process(player.self, b, &err), MR_OK);
    assert_event(b, 0, "{\"client\":\"10.1.2.0\",\"n\":1}");
    assert_event(b, 1, "{\"client\":\"2001:db8:1::\"}");
    assert_event(b, 2, "{\"n\":3}");
    assert_int_equal(b->fate[3], MR_REJECTED);
    assert_non_null(strstr(mr_batch_reason(b, 3).p, "mask_ip.lua:"));
    mr_batch_free(b);
    player_close(&player);

    struct mr_member with[] = {{.name = "field", .name_len = 5, .v = text_value("source.ip")},
                               {.name = "v4", .name_len = 2, .v = mr_value_int(8)}};
    struct given nested[] = {{"script", text_value(script("mask_ip.lua"))},
                             {"with", {.tag = MR_OBJECT, .len = 2, .u.object = with}}};
    const char *deep = "{\"source\":{\"ip\":\"10.1.2.3\",\"port\":1}}";
    assert_int_equal(player_open(&player, &stage, &mr_lua_step, nested, 2), MR_OK);
    b = events_of(stage.pool, &deep, 1);
    assert_int_equal(player.c->process(player.self, b, &err), MR_OK);
    assert_event(b, 0, "{\"source\":{\"ip\":\"10.0.0.0\",\"port\":1}}");
    mr_batch_free(b);
    player_close(&player);
    stage_close(&stage);
}

static void heartbeat_counts_on_after_a_restart_and_ends(void **state)
{
    (void)state;
    struct mr_err err;
    const struct mr_component *c = load("heartbeat.lua", MR_SOURCE, "heartbeat");
    struct given g[] = {{"every", text_value("2s")}, {"count", mr_value_int(3)}};
    assert_int_equal(player_open(&player, &stage, c, g, 2), MR_OK);
    struct mr_batch *b = mr_batch_take(stage.pool);
    assert_int_equal(c->read(player.self, b, &err), MR_OK);
    assert_event(b, 0, "{\"n\":1,\"name\":\"beat\",\"ts\":\"2025-10-10T13:55:10Z\"}");
    assert_true(mr_slice_eq(b->pos_key, MR_SLICE("heartbeat")));
    assert_true(mr_slice_eq(b->pos, MR_SLICE("1")));
    mr_batch_free(b);
    b = mr_batch_take(stage.pool);
    stage.mono = 7000;
    assert_int_equal(c->read(player.self, b, &err), MR_AGAIN);
    assert_int_equal(stage.timer, 7100); /* poll */
    stage.now += 2000000000;
    assert_int_equal(c->read(player.self, b, &err), MR_OK);
    assert_int_equal(mr_batch_get(b, 0, "n", 1).u.i, 2);
    mr_batch_free(b);

    /* a new instance with the stored place */
    c->close(player.self);
    struct mr_position at[] = {{MR_SLICE("heartbeat"), MR_SLICE("2")}};
    player.open.positions = at;
    player.open.position_count = 1;
    assert_int_equal(c->open(player.self, &player.open, &err), MR_OK);
    b = mr_batch_take(stage.pool);
    assert_int_equal(c->read(player.self, b, &err), MR_OK);
    assert_int_equal(mr_batch_get(b, 0, "n", 1).u.i, 3);
    mr_batch_free(b);
    b = mr_batch_take(stage.pool);
    assert_int_equal(c->read(player.self, b, &err), MR_END);
    mr_batch_free(b);
    end();
}

static void changed_lets_news_through_and_forgets_the_oldest(void **state)
{
    (void)state;
    struct mr_err err;
    const struct mr_component *c = load("changed.lua", MR_PROCESSOR, "changed");
    struct mr_value key[] = {text_value("host")}, fields[] = {text_value("state")};
    struct given g[] = {{"key", {.tag = MR_LIST, .len = 1, .u.list = key}},
                        {"fields", {.tag = MR_LIST, .len = 1, .u.list = fields}},
                        {"most", mr_value_int(2)}};
    assert_int_equal(player_open(&player, &stage, c, g, 3), MR_OK);
    const char *in[] = {"{\"host\":\"a\",\"state\":1}",
                        "{\"host\":\"a\",\"state\":1}",
                        "{\"host\":\"b\",\"state\":1}",
                        "{\"host\":\"a\",\"state\":2}",
                        "{\"host\":\"c\"}",
                        "{\"host\":\"b\",\"state\":1}",
                        "{\"host\":\"a\",\"state\":2}"};
    static const uint8_t want[] = {MR_KEPT, MR_DROPPED, MR_KEPT, MR_KEPT, MR_KEPT, MR_DROPPED, MR_KEPT};
    struct mr_batch *b = events_of(stage.pool, in, 7);
    assert_int_equal(c->process(player.self, b, &err), MR_OK);
    for (int i = 0; i < 7; i++)
        if (b->fate[i] != want[i])
            fail_msg("event %d: %d %.*s", i, b->fate[i], MR_SLICE_ARG(mr_batch_reason(b, (uint32_t)i)));
    mr_batch_free(b);
    end();
}

static void tell_logs_counts_and_rejects_what_it_cannot_count(void **state)
{
    (void)state;
    struct mr_err err;
    const struct mr_component *c = load("tell.lua", MR_SINK, "tell");
    struct given g[] = {{"level", text_value("warn")}, {"by", text_value("kind")}};
    assert_int_equal(player_open(&player, &stage, c, g, 2), MR_OK);
    const char *in[] = {"{\"kind\":\"A b\"}", "{\"n\":2}", "{\"kind\":\"c\"}"};
    struct mr_batch *b = events_of(stage.pool, in, 3);
    struct mr_verdict verdict[3] = {{0}};
    assert_int_equal(c->write(player.self, b, 1, verdict, &err), MR_OK);
    assert_int_equal(verdict[0].kind, MR_VERDICT_DONE);
    assert_int_equal(verdict[1].kind, MR_VERDICT_REJECT);
    assert_string_equal(verdict[1].reason, "no field 'kind' to count by");
    assert_int_equal(verdict[2].kind, MR_VERDICT_DONE);
    assert_told(&stage, "warn: {\"kind\":\"A b\"}\nwarn: {\"kind\":\"c\"}\n");
    assert_memory_equal(stage.counted.p, "told_a_b +1\ntold_c +1\n", 22);
    mr_batch_free(b);
    end();
}

static void the_check_passes_every_component_in_scripts(void **state)
{
    (void)state;
    static const char *const files[] = {"heartbeat.lua", "changed.lua", "tell.lua"};
    for (size_t i = 0; i < 3; i++) {
        struct mr_buf out = {0};
        if (!mr_catalog_check(script(files[i]), &out))
            fail_msg("%.*s", (int)out.len, out.p);
        mr_buf_fini(&out);
    }
}

/* ---------------------------------------------------------------- files of our own */

static mr_code load_text(const char *text, struct mr_err *err)
{
    char path[] = "/tmp/mr-script-XXXXXX.lua";
    int fd = mkstemps(path, 4);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
    struct mr_catalog *c = NULL;
    assert_int_equal(mr_catalog_new(&c, err), MR_OK);
    mr_code rc = mr_catalog_load_lua(c, path, err);
    mr_catalog_free(c);
    assert_int_equal(unlink(path), 0);
    return rc;
}

static void a_transform_is_no_component(void **state)
{
    (void)state;
    struct mr_err err;
    assert_int_equal(mr_catalog_new(&catalog, &err), MR_OK);
    assert_int_equal(mr_catalog_load_lua(catalog, script("mask_ip.lua"), &err), MR_END);
    mr_catalog_free(catalog);
    assert_int_equal(load_text("e.x = 1", &err), MR_END);
    assert_int_equal(load_text("function each(e, m) end", &err), MR_END);
    assert_int_equal(load_text("local x = 1", &err), MR_END);
}

static void wrong_components_are_told_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"return { abi = 2, kind = 'sink' }", "abi is 2, this millrace has 1"},
        {"return { abi = 1, kind = 'filter' }", "kind is 'filter': it must be source, processor or sink"},
        {"return { abi = 1, kind = 'sink', name = 'Bad Name' }", "name 'Bad Name': use a-z"},
        {"return { abi = 1, kind = 'sink', name = 'x' }", "'summary' is missing"},
        {"return { abi = 1, kind = 'sink', name = 'x', summary = 'S.' }", "a sink needs a function 'write'"},
        {"return { abi = 1, kind = 'source', name = 'x', summary = 'S.', write = print }",
         "needs a function 'read'"},
        {"return { abi = 1, kind = 'sink', name = 'x', summary = 'S.', options = { a = { type = 'number' } } "
         "}",
         "option 'a' has type 'number'"},
        {"return { abi = 1, kind = 'sink', name = 'x', summary = 'S.', options = { a = { type = 'int' } } }",
         "'help' is missing"},
        {"return { abi = 1, kind = 'sink', name = 'x', summary = 'S.', poll = 5, write = print }",
         "'poll' is not a duration"},
        {"return { abi = 1, = }", "unexpected symbol"},
        {"return { abi = 1, name = nam }", "'nam' is not defined"},
        {"while true do end return {}", "time budget"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mr_err err;
        mr_code rc = load_text(rows[i].text, &err);
        if (rc != MR_BADCONF || !strstr(err.text, rows[i].says) || !strstr(err.text, "/tmp/mr-script-"))
            fail_msg("%s: %d: %s", rows[i].text, rc, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mask_ip_masks_addresses_where_they_are),
        cmocka_unit_test(heartbeat_counts_on_after_a_restart_and_ends),
        cmocka_unit_test(changed_lets_news_through_and_forgets_the_oldest),
        cmocka_unit_test(tell_logs_counts_and_rejects_what_it_cannot_count),
        cmocka_unit_test(the_check_passes_every_component_in_scripts),
        cmocka_unit_test(a_transform_is_no_component),
        cmocka_unit_test(wrong_components_are_told_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
