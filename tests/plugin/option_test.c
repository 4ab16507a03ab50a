/* option_test.c - option tables: what is filled, and what every mistake is told. */
#include "plugin/stage.h"

enum color { RED, GREEN };
struct all {
    struct mr_slice text, path;
    bool flag;
    int64_t number;
    double ratio;
    mr_ms wait;
    int64_t bytes;
    int color;
    struct mr_strings list, paths;
    struct mr_value any;
    struct mr_expr *expr;
    struct mr_named_exprs exprs;
    struct mr_template *template;
    struct mr_renames renames;
    const char *constant;
};
static const char *const colors[] = {"red", "green", NULL};
static const struct mr_option table[] = {
    {.name = "text",
     .type = MR_OPT_STRING,
     .at = offsetof(struct all, text),
     .main = true,
     .help = "Some text."},
    {.name = "path", .type = MR_OPT_FIELD, .at = offsetof(struct all, path), .help = "A field."},
    {.name = "flag",
     .type = MR_OPT_BOOL,
     .at = offsetof(struct all, flag),
     .value = "true",
     .help = "A flag."},
    {.name = "number",
     .type = MR_OPT_INT,
     .at = offsetof(struct all, number),
     .value = "5",
     .min = 1,
     .max = 10,
     .unit = "events",
     .help = "A number | of things."},
    {.name = "ratio",
     .type = MR_OPT_FLOAT,
     .at = offsetof(struct all, ratio),
     .min = 0,
     .max = 1,
     .help = "A ratio."},
    {.name = "wait",
     .type = MR_OPT_DURATION,
     .at = offsetof(struct all, wait),
     .value = "10s",
     .min = 1000,
     .max = 60000,
     .help = "A time."},
    {.name = "bytes",
     .type = MR_OPT_SIZE,
     .at = offsetof(struct all, bytes),
     .value = "64KiB",
     .min = 1024,
     .max = 1 << 20,
     .help = "A size."},
    {.name = "color",
     .type = MR_OPT_ENUM,
     .at = offsetof(struct all, color),
     .value = "green",
     .choices = colors,
     .help = "A color."},
    {.name = "list",
     .type = MR_OPT_STRINGS,
     .at = offsetof(struct all, list),
     .value = "[a, \"b c\"]",
     .help = "Texts."},
    {.name = "paths", .type = MR_OPT_FIELDS, .at = offsetof(struct all, paths), .help = "Fields."},
    {.name = "any",
     .type = MR_OPT_VALUE,
     .at = offsetof(struct all, any),
     .value = "{}",
     .help = "Anything."},
    {.name = "expr", .type = MR_OPT_EXPR, .at = offsetof(struct all, expr), .help = "An expression."},
    {.name = "exprs", .type = MR_OPT_EXPRS, .at = offsetof(struct all, exprs), .help = "Expressions."},
    {.name = "template",
     .type = MR_OPT_TEMPLATE,
     .at = offsetof(struct all, template),
     .help = "A template."},
    {.name = "renames", .type = MR_OPT_RENAMES, .at = offsetof(struct all, renames), .help = "Renames."},
    {.name = "", .at = offsetof(struct all, constant), .value = "mine"},
    {0},
};
static const struct mr_option needy[] = {
    {.name = "must",
     .type = MR_OPT_STRING,
     .at = 0,
     .required = true,
     .help = "Something needed.",
     .example = "x"},
    {0},
};

/* ---------------------------------------------------------------- trees by hand */

static struct mr_heap_arena arena;
static struct mr_node pool[64];
static size_t used;

static struct mr_node *node(enum mr_node_kind kind, const char *text, bool plain)
{
    struct mr_node *n = &pool[used++];
    assert_true(used < 64);
    *n = (struct mr_node){
        .kind = kind, .plain = plain, .file = "x.yaml", .line = (uint32_t)used, .column = 10};
    if (text)
        n->text = mr_slice_of(text);
    n->end_column = text ? 10 + (uint32_t)strlen(text) + (plain ? 0 : 2) : 0;
    return n;
}
static struct mr_node *plain(const char *text)
{
    return node(MR_NODE_SCALAR, text, true);
}
static struct mr_node *quoted(const char *text)
{
    return node(MR_NODE_SCALAR, text, false);
}
static struct mr_node *add(struct mr_node *to, const char *key, struct mr_node *n)
{
    struct mr_node **link = &to->first;
    while (*link)
        link = &(*link)->next;
    *link = n;
    to->count++;
    if (key) {
        n->key = mr_slice_of(key);
        n->key_line = n->line;
        n->key_column = 3;
    }
    return to;
}
static struct mr_node *map(void)
{
    return node(MR_NODE_MAP, NULL, true);
}
static struct mr_node *list(void)
{
    return node(MR_NODE_LIST, NULL, true);
}

static struct all self;
static struct mr_owned *owned;
static struct mr_diags diags;

static bool fill(const struct mr_option *t, struct mr_node *n)
{
    memset(&self, 0, sizeof self);
    mr_diags_fini(&diags);
    mr_options_fini(owned);
    owned = NULL;
    return mr_options_fill(t, "step 'test'", n, n ? n : &pool[0], &self, &arena.arena, &owned, &diags);
}

static int set_up(void **state)
{
    (void)state;
    mr_heap_arena_init(&arena, 4096, 0, 1 << 24);
    used = 0;
    return 0;
}
static int tear_down(void **state)
{
    (void)state;
    mr_diags_fini(&diags);
    mr_options_fini(owned);
    owned = NULL;
    mr_heap_arena_fini(&arena);
    return 0;
}

static void defaults_are_read_as_a_person_would_write_them(void **state)
{
    (void)state;
    assert_true(fill(table, NULL));
    assert_true(self.flag);
    assert_int_equal(self.number, 5);
    assert_int_equal(self.wait, 10000);
    assert_int_equal(self.bytes, 65536);
    assert_int_equal(self.color, GREEN);
    assert_int_equal(self.list.count, 2);
    assert_true(mr_slice_eq(self.list.v[1], MR_SLICE("b c")));
    assert_int_equal(self.any.tag, MR_OBJECT);
    assert_null(self.text.p);
    assert_null(self.template);
    assert_string_equal(self.constant, "mine");
}

static void every_type_is_filled(void **state)
{
    (void)state;
    struct mr_node *n = map();
    add(n, "text", plain("123"));
    add(n, "path", plain("http.path"));
    add(n, "flag", plain("false"));
    add(n, "number", plain("7"));
    add(n, "ratio", plain("0.25"));
    add(n, "wait", plain("1m"));
    add(n, "bytes", plain("2KiB"));
    add(n, "color", plain("red"));
    add(n, "list", plain("one"));
    add(n, "paths", add(list(), NULL, plain("a.b")));
    add(n, "any", add(add(add(list(), NULL, plain("1")), NULL, quoted("1")), NULL, plain("~")));
    add(n, "expr", plain("e.a > 1"));
    add(n, "exprs", add(add(map(), "x.y", plain("e.a")), "z", plain("5")));
    add(n, "template", quoted("{{ a }}-b"));
    add(n, "renames", add(map(), "old", plain("new.er")));
    if (!fill(table, n))
        fail_msg("%s", diags.v[0].text);
    assert_true(mr_slice_eq(self.text, MR_SLICE("123")));
    assert_true(mr_slice_eq(self.path, MR_SLICE("http.path")));
    assert_false(self.flag);
    assert_int_equal(self.number, 7);
    assert_true(self.ratio == 0.25);
    assert_int_equal(self.wait, 60000);
    assert_int_equal(self.bytes, 2048);
    assert_int_equal(self.color, RED);
    assert_int_equal(self.list.count, 1);
    assert_int_equal(self.paths.count, 1);
    assert_int_equal(self.any.u.list[0].tag, MR_INT);
    assert_int_equal(self.any.u.list[1].tag, MR_STRING);
    assert_int_equal(self.any.u.list[2].tag, MR_NULL);
    assert_true(mr_expr_native(self.expr));
    assert_int_equal(self.exprs.count, 2);
    assert_true(mr_slice_eq(self.exprs.v[0].name, MR_SLICE("x.y")));
    assert_non_null(self.template);
    assert_true(mr_slice_eq(self.renames.v[0].to, MR_SLICE("new.er")));
}

static void a_scalar_alone_is_the_main_option(void **state)
{
    (void)state;
    assert_true(fill(table, plain("hello")));
    assert_true(mr_slice_eq(self.text, MR_SLICE("hello")));
    struct mr_node *n = plain("hello");
    assert_ptr_equal(mr_options_node(table, n, "text"), n);
    assert_null(mr_options_node(table, n, "flag"));
    assert_true(fill(table, plain("")));
    assert_null(self.text.p);
}

static void a_map_is_the_main_option_where_that_takes_a_map(void **state)
{
    (void)state;
    static const struct mr_option set[] = {
        {.name = "fields", .type = MR_OPT_EXPRS, .at = 0, .main = true, .required = true},
        {.name = "deep", .type = MR_OPT_BOOL, .at = 64},
        {0}};
    struct mr_node *bare = add(map(), "slow", plain("e.latency > 0.5"));
    assert_true(fill(set, bare));
    assert_int_equal(((struct mr_named_exprs *)(void *)&self)->count, 1);
    assert_ptr_equal(mr_options_node(set, bare, "fields"), bare);
    struct mr_node *full = add(add(map(), "fields", add(map(), "a", plain("1"))), "deep", plain("true"));
    assert_true(fill(set, full));
    assert_ptr_equal(mr_options_node(set, full, "deep"), full->first->next);
}

static void mistakes(const struct mr_option *t, struct mr_node *n, const char *text, const char *note,
                     uint32_t column)
{
    assert_false(fill(t, n));
    assert_int_equal(diags.count, 1);
    const struct mr_diag *d = &diags.v[0];
    if (!strstr(d->text, text) || (note && (!d->note || !strstr(d->note, note))))
        fail_msg("'%s' / '%s' is not in: %s / %s", text, note ? note : "", d->text, d->note ? d->note : "");
    if (d->column != column)
        fail_msg("%s: at column %u, expected %u", d->text, d->column, column);
    assert_string_equal(d->file, "x.yaml");
}

static void every_mistake_says_where_what_and_the_way_out(void **state)
{
    (void)state;
    used = 0;
#define MISTAKE(key, value, text, note, column)                                                              \
    do {                                                                                                     \
        used = 0;                                                                                            \
        mistakes(table, add(map(), key, value), text, note, column);                                         \
    } while (0)
    MISTAKE("colr", plain("red"), "unknown option 'colr' of step 'test'",
            "did you mean 'color'? options: text, path", 3);
    MISTAKE("number", plain("many"), "option 'number' of step 'test' takes a whole number, not 'many'", NULL,
            10);
    MISTAKE("number", plain("1.5"), "takes a whole number, not '1.5'", NULL, 10);
    MISTAKE("number", plain("11"), "is '11': it must be from 1 to 10 events", NULL, 10);
    MISTAKE("number", add(list(), NULL, plain("1")), "takes a whole number, not a list", NULL, 10);
    MISTAKE("number", plain("~"), "has no value: give it a whole number", NULL, 10);
    MISTAKE("ratio", plain("1.5"), "it must be from 0 to 1", NULL, 10);
    MISTAKE("ratio", plain(".nan"), "it must be from 0 to 1", NULL, 10);
    MISTAKE("wait", plain("10"), "a bare number needs its unit: write 10s", NULL, 10);
    MISTAKE("wait", plain("2h"), "is '2h': it must be from 1s to 1m", NULL, 10);
    MISTAKE("wait", plain("soon"), "is 'soon': ", NULL, 10);
    MISTAKE("bytes", plain("3"), "it must be from 1KiB to 1MiB", NULL, 10);
    MISTAKE("flag", plain("yes"), "is 'yes': write true or false", NULL, 10);
    MISTAKE("color", plain("gren"), "cannot be 'gren'", "did you mean 'green'? choices: red, green", 10);
    MISTAKE("path", plain("a..b"), "'a..b' is not the path of a field", NULL, 12);
    MISTAKE("expr", quoted("e.a == = 1"), "option 'expr' of step 'test': ", NULL, 18);
    MISTAKE("expr", plain("nett.mask(e.a)"), "nett", NULL, 10);
    MISTAKE("template", quoted("x {{ a "), "option 'template' of step 'test': ", NULL, 13);
    MISTAKE("renames", plain("a"), "takes a map of old path: new path, not a scalar", NULL, 10);
    MISTAKE("exprs", add(list(), NULL, plain("a")), "takes a map of field: expression, not a list", NULL, 10);
    used = 0;
    mistakes(needy, map(), "step 'test' needs option 'must': Something needed; such as x", NULL, 10);
    used = 0;
    mistakes(needy, plain("x"), "step 'test' takes a map of options, not a scalar", NULL, 10);
}

static void all_mistakes_are_told_at_once(void **state)
{
    (void)state;
    struct mr_node *n = map();
    add(n, "number", plain("x"));
    add(n, "wiat", plain("1s"));
    add(n, "flag", plain("on"));
    assert_false(fill(table, n));
    assert_int_equal(diags.count, 3);
    assert_int_equal(diags.errors, 3);
}

static void a_secret_is_never_printed(void **state)
{
    (void)state;
    static const struct mr_option secrets[] = {
        {.name = "a", .type = MR_OPT_INT, .at = 0, .secret = true, .min = 1, .max = 2},
        {.name = "b", .type = MR_OPT_DURATION, .at = 8},
        {0}};
    struct mr_node *n = map(), *b = plain("hunter2");
    b->secret = true;
    add(n, "a", plain("777333"));
    add(n, "b", b);
    assert_false(fill(secrets, n));
    assert_int_equal(diags.count, 2);
    for (uint32_t i = 0; i < 2; i++)
        if (strstr(diags.v[i].text, "777333") || strstr(diags.v[i].text, "hunter2"))
            fail_msg("%s", diags.v[i].text);
}

static void the_diagnostics_are_bounded(void **state)
{
    (void)state;
    struct mr_node n = {.file = "x", .line = 1, .column = 1};
    for (int i = 0; i < MR_DIAGS_MAX + 7; i++)
        mr_diag_node(&diags, &n, 0, NULL, "number %d", i);
    assert_int_equal(diags.count, MR_DIAGS_MAX);
    assert_int_equal(diags.more, 7);
    assert_int_equal(diags.errors, MR_DIAGS_MAX + 7);
}

static void scalars_follow_the_core_schema(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t tag;
        int64_t i;
        double f;
    } rows[] = {{"", MR_NULL, 0, 0},
                {"null", MR_NULL, 0, 0},
                {"~", MR_NULL, 0, 0},
                {"true", MR_BOOL, 1, 0},
                {"False", MR_BOOL, 0, 0},
                {"yes", MR_STRING, 0, 0},
                {"off", MR_STRING, 0, 0},
                {"12", MR_INT, 12, 0},
                {"-012", MR_INT, -12, 0},
                {"+3", MR_INT, 3, 0},
                {"0x1F", MR_INT, 31, 0},
                {"0o17", MR_INT, 15, 0},
                {"1.", MR_FLOAT, 0, 1},
                {".5", MR_FLOAT, 0, 0.5},
                {"-1e3", MR_FLOAT, 0, -1000},
                {"1e", MR_STRING, 0, 0},
                {"1_000", MR_STRING, 0, 0},
                {".inf", MR_FLOAT, 0, __builtin_inf()},
                {"9223372036854775807", MR_INT, INT64_MAX, 0},
                {"-9223372036854775808", MR_INT, INT64_MIN, 0},
                {"9223372036854775808", MR_FLOAT, 0, 9223372036854775808.0},
                {"12:30", MR_STRING, 0, 0},
                {"0x", MR_STRING, 0, 0},
                {"-", MR_STRING, 0, 0},
                {".", MR_STRING, 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct mr_value v;
        used = 0;
        assert_true(mr_node_value(plain(rows[i].text), &arena.arena, &v));
        bool same = v.tag == rows[i].tag && (v.tag != MR_BOOL || v.u.b == (rows[i].i != 0)) &&
                    (v.tag != MR_INT || v.u.i == rows[i].i) && (v.tag != MR_FLOAT || v.u.f == rows[i].f);
        if (!same)
            fail_msg("'%s' is of tag %d", rows[i].text, v.tag);
        assert_true(mr_node_value(quoted(rows[i].text), &arena.arena, &v));
        assert_int_equal(v.tag, MR_STRING);
    }
}

static void a_decoder_is_made_from_values_and_its_mistakes_come_back(void **state)
{
    (void)state;
    struct mr_decoder *d = NULL;
    struct mr_err err;
    const struct mr_services *s = mr_services();
    assert_int_equal(s->decoder_new("jsn", 3, NULL, &d, &err), MR_BADCONF);
    assert_non_null(strstr(err.text, "did you mean 'json'"));
    struct mr_value pattern = text_value("^(?<a>x");
    if (s->decoder_new("regex", 5, &pattern, &d, &err) == MR_OK)
        fail_msg("a pattern that does not end was accepted");
    assert_non_null(err.option);
    struct mr_member m[] = {{.name = "patern", .name_len = 6, .v = text_value("x")}};
    struct mr_value map_ = {.tag = MR_OBJECT, .len = 1, .u.object = m};
    assert_int_equal(s->decoder_new("regex", 5, &map_, &d, &err), MR_BADCONF);
    assert_non_null(strstr(err.text, "unknown option 'patern'"));
    pattern = text_value("^(?<a>[0-9]+) (?<b>.*)$");
    if (s->decoder_new("regex", 5, &pattern, &d, &err) != MR_OK)
        fail_msg("%s", err.text);
    struct stage stage;
    stage_open(&stage);
    const char *in[] = {"{\"message\":\"12 hello\"}", "{\"message\":\"no\"}"};
    struct mr_batch *b = events_of(stage.pool, in, 2);
    s->decode(d, &stage.host, b, s->slot(b, "message", 7, false), (struct mr_slice){NULL, 0});
    assert_true(mr_slice_eq((struct mr_slice){s->get(b, 0, "b", 1).u.s, 5}, MR_SLICE("hello")));
    assert_int_equal(b->fate[1], MR_REJECTED);
    mr_batch_free(b);
    stage_close(&stage);
    s->decoder_free(d);
    s->decoder_free(NULL);
}

static void tables_read_well(void **state)
{
    (void)state;
    struct mr_buf out = {0};
    assert_true(mr_options_markdown(table, &out) && mr_buf_put(&out, "", 1));
    assert_non_null(strstr(out.p, "| `number` | integer, 1 to 10 events | `5` | A number \\| of things. |"));
    assert_non_null(strstr(out.p, "| `wait` | duration, 1s to 1m | `10s` |"));
    assert_non_null(strstr(out.p, "| `text` (main) | text |  |"));
    assert_null(strstr(out.p, "mine"));
    out.len = 0;
    assert_true(mr_options_help(needy, &out) && mr_buf_put(&out, "", 1));
    assert_non_null(strstr(out.p, "must"));
    assert_non_null(strstr(out.p, "required"));
    mr_buf_fini(&out);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_read_as_a_person_would_write_them),
        TEST(every_type_is_filled),
        TEST(a_scalar_alone_is_the_main_option),
        TEST(a_map_is_the_main_option_where_that_takes_a_map),
        TEST(every_mistake_says_where_what_and_the_way_out),
        TEST(all_mistakes_are_told_at_once),
        TEST(a_secret_is_never_printed),
        TEST(the_diagnostics_are_bounded),
        TEST(scalars_follow_the_core_schema),
        TEST(a_decoder_is_made_from_values_and_its_mistakes_come_back),
        TEST(tables_read_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
