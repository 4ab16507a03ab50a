/* test.c - `millrace test`: the tests that stand in the YAML, on a virtual clock. */
#include "cli/cli.h"

#include "pipeline/run.h"

static int test(const struct mr_verb *v, int argc, char **argv)
{
    const char *files[MR_CLI_FILES_MAX], *plugins = NULL, *only = NULL;
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        {"only", "NAME", "this test alone", NULL, &only},
        {"plugins", "DIR", "further plugins (*.so)", NULL, &plugins},
        {0},
    };
    if (!mr_cli_options(v, flags, argc, argv, files, MR_CLI_FILES_MAX, &count, &code))
        return code;
    if (!mr_cli_need_files(v, count))
        return MR_EXIT_USAGE;
    struct mr_cli_plan plan;
    code = mr_cli_plan_load(&plan, plugins, files, count, 0);
    if (plan.diags.count)
        mr_diags_print(&plan.diags, plan.config.sources, plan.config.source_count, stderr,
                       mr_cli_color(stderr));
    if (code == MR_EXIT_OK && plan.config.test_count == 0) {
        mr_cli_say("millrace test: no `tests:` in %s%s", files[0], count > 1 ? " and the others" : "");
        code = MR_EXIT_USAGE;
    }
    if (code == MR_EXIT_OK)
        code = mr_test_run(&plan.config, plan.catalog, only, stdout, mr_cli_color(stdout)) ? MR_EXIT_FAILED
                                                                                           : MR_EXIT_OK;
    mr_cli_plan_fini(&plan);
    return code;
}

const struct mr_verb mr_verb_test = {
    .name = "test",
    .usage = "test FILE...",
    .summary = "runs the tests that stand beside pipelines, on a virtual clock",
    .help = "Runs each entry of `tests:`: events in, time to advance, events out. Sources and outputs are\n"
            "replaced; nothing is read from or written to the outside. Exit code 1 when one fails.\n\n"
            "  tests:\n"
            "    - name: errors are kept\n"
            "      pipeline: errors\n"
            "      in:\n"
            "        - '10.1.2.3 - - [10/Oct/2025:13:55:38 +0000] \"GET /x HTTP/1.1\" 500 5 \"-\" \"-\"'\n"
            "      out: [ { path: /x, status: 500 } ]",
    .run = test,
};
