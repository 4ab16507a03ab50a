/* steps_test.c - the steps parse, keep, drop, set, remove and rename, and the sink drop. */
#include "plugins/sink.h"

/* One step over a batch: what comes out as JSON lines, and why what does not. */
static struct row {
    const char *name, *plugin, *step, *options, *in[6], *want, *reason;
} rows[] = {
    {"keep keeps what is true",
     "filter",
     "keep",
     "e.n > 1",
     {"{\"n\":1}", "{\"n\":2}", "{\"n\":3}"},
     "{\"n\":2}\n{\"n\":3}\n",
     NULL},
    {"drop drops what is true", "filter", "drop", "e.n > 1", {"{\"n\":1}", "{\"n\":2}"}, "{\"n\":1}\n", NULL},
    {"nil and false are not true, null and zero are",
     "filter",
     "keep",
     "e.n",
     {"{\"m\":1}", "{\"n\":null}", "{\"n\":false}", "{\"n\":0}"},
     "{\"n\":null}\n{\"n\":0}\n",
     NULL},
    {"keep rejects what cannot be computed",
     "filter",
     "keep",
     "e.n < 2",
     {"{\"n\":\"x\"}", "{\"n\":1}"},
     "{\"n\":1}\n",
     "compare"},
    {"drop rejects what cannot be computed",
     "filter",
     "drop",
     "e.path:starts(\"/healthz\")",
     {"{\"p\":1}", "{\"path\":\"/healthz\"}", "{\"path\":\"/\"}"},
     "{\"path\":\"/\"}\n",
     "path"},
    {"set computes, and takes constants as they are",
     "fields",
     "set",
     "{ slow: e.latency > 0.5, env: \"'prod'\", version: 2, ok: true, none: null }",
     {"{\"latency\":0.75}"},
     "{\"latency\":0.75,\"slow\":true,\"env\":\"prod\",\"version\":2,\"ok\":true,\"none\":null}\n",
     NULL},
    {"set sees what it has set before",
     "fields",
     "set",
     "{ b: e.a + 1, c: e.b * 10 }",
     {"{\"a\":1}"},
     "{\"a\":1,\"b\":2,\"c\":20}\n",
     NULL},
    {"set reaches into objects and makes them",
     "fields",
     "set",
     "{ http.status: 200, a.b: e.a.c }",
     {"{\"a\":{\"c\":1}}"},
     "{\"a\":{\"c\":1,\"b\":1},\"http\":{\"status\":200}}\n",
     NULL},
    {"set with nil takes a field away",
     "fields",
     "set",
     "{ a: e.none }",
     {"{\"a\":1,\"b\":2}"},
     "{\"b\":2}\n",
     NULL},
    {"set replaces a value of another kind",
     "fields",
     "set",
     "{ a: \"'x'\" }",
     {"{\"a\":{\"b\":1}}"},
     "{\"a\":\"x\"}\n",
     NULL},
    {"set rejects an event whose path leads through a text",
     "fields",
     "set",
     "{ a.b: 1 }",
     {"{\"a\":\"text\"}", "{\"a\":{}}"},
     "{\"a\":{\"b\":1}}\n",
     "'a.b'"},
    {"set rejects an event whose expression fails",
     "fields",
     "set",
     "{ b: e.a + 1 }",
     {"{\"a\":{}}", "{\"a\":1}"},
     "{\"a\":1,\"b\":2}\n",
     "a"},
    {"remove takes one field away",
     "fields",
     "remove",
     "a",
     {"{\"a\":1,\"b\":2}", "{\"b\":3}"},
     "{\"b\":2}\n{\"b\":3}\n",
     NULL},
    {"remove takes several away, also inside objects",
     "fields",
     "remove",
     "[a, h.x, none.y]",
     {"{\"a\":1,\"h\":{\"x\":1,\"y\":2}}"},
     "{\"h\":{\"y\":2}}\n",
     NULL},
    {"rename gives a field another name",
     "fields",
     "rename",
     "{ a: c }",
     {"{\"a\":1,\"b\":2}"},
     "{\"b\":2,\"c\":1}\n",
     NULL},
    {"rename leaves events without the field alone",
     "fields",
     "rename",
     "{ a: c }",
     {"{\"c\":1}", "{\"a\":2,\"c\":3}"},
     "{\"c\":1}\n{\"c\":2}\n",
     NULL},
    {"rename moves into and out of objects",
     "fields",
     "rename",
     "{ a: a.b, h.x: y }",
     {"{\"a\":1,\"h\":{\"x\":2}}"},
     "{\"h\":{},\"a\":{\"b\":1},\"y\":2}\n",
     NULL},
    {"rename follows the written order",
     "fields",
     "rename",
     "{ a: b, b: c }",
     {"{\"a\":1}"},
     "{\"c\":1}\n",
     NULL},
    {"parse reads a named format and takes the text away",
     "parse",
     "parse",
     "logfmt",
     {"{\"message\":\"a=1 b=x\"}"},
     "{\"a\":\"1\",\"b\":\"x\"}\n",
     NULL},
    {"parse keeps the text when told so",
     "parse",
     "parse",
     "{ format: logfmt, keep_original: true }",
     {"{\"message\":\"a=x\"}"},
     "{\"message\":\"a=x\",\"a\":\"x\"}\n",
     NULL},
    {"parse rejects what does not fit",
     "parse",
     "parse",
     "json",
     {"{\"message\":\"{\\\"a\\\":1}\"}", "{\"message\":\"{oops\"}"},
     "{\"a\":1}\n",
     "json: byte 1"},
    {"parse reads a regex given as a text",
     "parse",
     "parse",
     "{ regex: '^(?<who>\\w+) took (?<ms>\\d+)ms$' }",
     {"{\"message\":\"ann took 12ms\"}"},
     "{\"who\":\"ann\",\"ms\":\"12\"}\n",
     NULL},
    {"parse reads csv with its columns",
     "parse",
     "parse",
     "{ csv: { columns: [id, name] } }",
     {"{\"message\":\"1,\\\"a, b\\\"\"}"},
     "{\"id\":\"1\",\"name\":\"a, b\"}\n",
     NULL},
    {"parse reads another field, into an object",
     "parse",
     "parse",
     "{ format: logfmt, from: text, into: kv }",
     {"{\"text\":\"a=x\",\"m\":1}"},
     "{\"m\":1,\"kv\":{\"a\":\"x\"}}\n",
     NULL},
    {"parse reads a field inside an object",
     "parse",
     "parse",
     "{ format: logfmt, from: in.text }",
     {"{\"in\":{\"text\":\"a=x\",\"k\":1}}"},
     "{\"in\":{\"k\":1},\"a\":\"x\"}\n",
     NULL},
    {"parse keeps a field of the text's own name",
     "parse",
     "parse",
     "json",
     {"{\"message\":\"{\\\"message\\\":\\\"inner\\\",\\\"a\\\":1}\"}"},
     "{\"message\":\"inner\",\"a\":1}\n",
     NULL},
    {"parse rejects events without the field", "parse", "parse", "json", {"{\"a\":1}"}, "", "'message'"},
};

/* Order of members is the columns' order: compare as sets of lines with sorted members. */
static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_members(char *line, char *out)
{
    char *part[64], copy[2048];
    int count = 0, depth = 0;
    bool quoted = false;
    size_t len = strlen(line);
    (void)snprintf(copy, sizeof copy, "%.*s", (int)(len >= 2 ? len - 2 : 0), line + 1);
    part[count++] = copy;
    for (char *at = copy; *at; at++) {
        if (*at == '\\')
            at++;
        else if (*at == '"')
            quoted = !quoted;
        else if (!quoted && (*at == '{' || *at == '['))
            depth++;
        else if (!quoted && (*at == '}' || *at == ']'))
            depth--;
        else if (!quoted && depth == 0 && *at == ',') {
            *at = '\0';
            part[count++] = at + 1;
        }
    }
    qsort(part, (size_t)count, sizeof *part, by_text);
    size_t n = 0;
    for (int i = 0; i < count; i++)
        n += (size_t)sprintf(out + n, "%s%s", i ? "," : "", part[i]);
}

static void assert_same_events(const char *got, const char *want)
{
    char g[8192], w[8192], sorted_g[2048], sorted_w[2048], *save_g = NULL, *save_w = NULL;
    (void)snprintf(g, sizeof g, "%s", got);
    (void)snprintf(w, sizeof w, "%s", want);
    char *a = strtok_r(g, "\n", &save_g), *b = strtok_r(w, "\n", &save_w);
    while (a && b) {
        sort_members(a, sorted_g);
        sort_members(b, sorted_w);
        assert_string_equal(sorted_g, sorted_w);
        a = strtok_r(NULL, "\n", &save_g);
        b = strtok_r(NULL, "\n", &save_w);
    }
    if (a || b)
        fail_msg("got:\n%swant:\n%s", got, want);
}

static void step(void **state)
{
    const struct row *row = *state;
    struct mock *m = mock_new();
    struct part *p = part_new(m, row->plugin, MR_PROCESSOR, row->step, "%s", row->options);
    for (int life = 0; life < 2; life++) { /* twice: nothing of a batch stays behind */
        struct mr_batch *b = mock_events(m, row->in);
        assert_int_equal(p->c->process(p->self, b, &p->err), MR_OK);
        const char *reason = NULL;
        for (uint32_t r = 0; r < b->rows; r++) {
            if (b->fate[r] == MR_REJECTED) {
                static char text[1024];
                (void)snprintf(text, sizeof text, "%.*s", MR_SLICE_ARG(mr_batch_reason(b, r)));
                reason = text;
            }
        }
        char *got = mock_json(m, b);
        assert_same_events(got, row->want);
        free(got);
        if (!row->reason != !reason || (reason && !strstr(reason, row->reason)))
            fail_msg("reason '%s', wanted '%s'", reason ? reason : "none",
                     row->reason ? row->reason : "none");
        mr_batch_free(b);
    }
    part_free(p);
    mock_free(m);
}

/* Configurations that are refused, and what they say. */
static struct refusal {
    const char *name, *plugin, *step, *options, *says, *option;
} refusals[] = {
    {"keep needs a condition", "filter", "keep", "{}", "when", NULL},
    {"a condition must be an expression", "filter", "keep", "'e.a >'", "1:", NULL},
    {"set needs fields", "fields", "set", "{}", "fields", NULL},
    {"set refuses a broken expression", "fields", "set", "{ a: 'e.' }", "1:", NULL},
    {"parse needs a format", "parse", "parse", "{}", "which format", "format"},
    {"parse knows its formats", "parse", "parse", "combine", "did you mean 'combined'", "format"},
    {"parse takes one format", "parse", "parse", "{ format: json, logfmt: {} }", "two formats", "logfmt"},
    {"parse refuses a broken pattern", "parse", "parse", "{ regex: '(' }", "", "regex"},
    {"parse refuses an unknown option of a format", "parse", "parse", "{ csv: { colums: [a] } }", "columns",
     "csv"},
    {"parse refuses an unknown option", "parse", "parse", "{ format: json, form: x }", "from", NULL},
};

static void refused(void **state)
{
    const struct refusal *row = *state;
    struct mock *m = mock_new();
    struct part p;
    assert_false(part_make(&p, m, row->plugin, MR_PROCESSOR, row->step, row->options));
    char said[6000];
    (void)snprintf(said, sizeof said, "%s%s", p.diags, p.err.text);
    if (!*said || !strstr(said, row->says))
        fail_msg("'%s' does not say '%s'", said, row->says);
    if (row->option) {
        assert_non_null(p.err.option);
        assert_string_equal(p.err.option, row->option);
    }
    part_close(&p);
    mock_free(m);
}

static void the_drop_sink_takes_everything(void **state)
{
    (void)state;
    struct mock *m = mock_new();
    struct part *p = part_new(m, "drop", MR_SINK, "drop", "{}");
    assert_int_equal(sink_write(p, EVENTS(m, "{\"a\":1}", "{\"a\":2}")), MR_OK);
    assert_int_equal(verdicts[0].kind, MR_VERDICT_DONE);
    assert_int_equal(verdicts[1].kind, MR_VERDICT_DONE);
    part_free(p);
    mock_free(m);
}

static void untouched_events_leave_as_they_came(void **state)
{
    (void)state;
    static const char *const in[] = {"{ \"a\" : 1.0e0 , \"b\":\"\\u0041\" }", NULL};
    struct mock *m = mock_new();
    struct part *keep = part_new(m, "filter", MR_PROCESSOR, "keep", "e.a == 1");
    struct part *remove = part_new(m, "fields", MR_PROCESSOR, "remove", "[ none, no.such ]");
    struct part *rename = part_new(m, "fields", MR_PROCESSOR, "rename", "{ none: other }");
    struct mr_batch *b = mock_events(m, in);
    assert_int_equal(keep->c->process(keep->self, b, &keep->err), MR_OK);
    assert_int_equal(remove->c->process(remove->self, b, &remove->err), MR_OK);
    assert_int_equal(rename->c->process(rename->self, b, &rename->err), MR_OK);
    char *got = mock_json(m, b);
    assert_string_equal(got, "{ \"a\" : 1.0e0 , \"b\":\"\\u0041\" }\n");
    free(got);
    mr_batch_free(b);
    part_free(keep);
    part_free(remove);
    part_free(rename);
    mock_free(m);
}

int main(void)
{
    enum { ROWS = sizeof rows / sizeof *rows, REFUSALS = sizeof refusals / sizeof *refusals };
    struct CMUnitTest steps[ROWS], refuse[REFUSALS];
    const struct CMUnitTest more[] = {
        cmocka_unit_test(the_drop_sink_takes_everything),
        cmocka_unit_test(untouched_events_leave_as_they_came),
    };
    for (size_t i = 0; i < ROWS; i++)
        steps[i] = (struct CMUnitTest){.name = rows[i].name, .test_func = step, .initial_state = &rows[i]};
    for (size_t i = 0; i < REFUSALS; i++)
        refuse[i] = (struct CMUnitTest){
            .name = refusals[i].name, .test_func = refused, .initial_state = &refusals[i]};
    int failed = cmocka_run_group_tests_name("steps", steps, NULL, NULL);
    failed += cmocka_run_group_tests_name("refusals", refuse, NULL, NULL);
    return failed + cmocka_run_group_tests_name("more", more, NULL, NULL);
}
