/* lint.c - `millrace lint`: every mistake of pipelines, before they run. */
#include "cli/cli.h"

#include "base/buf.h"

static void json_text(FILE *to, const char *text)
{
    (void)fputc('"', to);
    for (; text && *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            (void)fprintf(to, "\\%c", c);
        else if (c < 0x20)
            (void)fprintf(to, "\\u%04x", c);
        else
            (void)fputc(c, to);
    }
    (void)fputc('"', to);
}

/* One object a line, as editors like it. */
static void print_json(const struct mr_diags *d)
{
    for (uint32_t i = 0; i < d->count; i++) {
        const struct mr_diag *g = &d->v[i];
        (void)fputs("{\"file\":", stdout);
        json_text(stdout, g->file);
        (void)printf(",\"line\":%u,\"column\":%u,\"length\":%u,\"severity\":\"%s\",\"text\":", g->line,
                     g->column, g->length, g->warning ? "warning" : "error");
        json_text(stdout, g->text);
        if (g->note) {
            (void)fputs(",\"note\":", stdout);
            json_text(stdout, g->note);
        }
        (void)fputs("}\n", stdout);
    }
}

static int lint(const struct mr_verb *v, int argc, char **argv)
{
    const char *files[MR_CLI_FILES_MAX], *plugins = NULL;
    bool json = false;
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        {"json", NULL, "one JSON object a complaint, on standard output", &json, NULL},
        {"plugins", "DIR", "further plugins (*.so)", NULL, &plugins},
        {0},
    };
    if (!mr_cli_options(v, flags, argc, argv, files, MR_CLI_FILES_MAX, &count, &code))
        return code;
    if (!mr_cli_need_files(v, count))
        return MR_EXIT_USAGE;
    struct mr_cli_plan plan;
    code = mr_cli_plan_load(&plan, plugins, files, count, 0);
    if (json)
        print_json(&plan.diags);
    else if (plan.diags.count)
        mr_diags_print(&plan.diags, plan.config.sources, plan.config.source_count, stderr,
                       mr_cli_color(stderr));
    if (!json && code == MR_EXIT_OK)
        (void)printf("%u pipeline%s well written\n", plan.config.pipeline_count,
                     plan.config.pipeline_count == 1 ? " is" : "s are");
    mr_cli_plan_fini(&plan);
    return code;
}

const struct mr_verb mr_verb_lint = {
    .name = "lint",
    .usage = "lint FILE...",
    .summary = "says everything that is wrong with pipelines, with line and column",
    .help = "Reads pipelines and checks them whole: structure, options, expressions, patterns, scripts.\n"
            "Nothing is run, read or written. Exit code 2 when there are errors.",
    .run = lint,
};
