/* main.c - finds the verb. */
#include "cli/cli.h"

static const struct mr_verb *const verbs[] = {
    &mr_verb_run,     &mr_verb_serve,   &mr_verb_lint,  &mr_verb_test,    &mr_verb_plugins, &mr_verb_topic,
    &mr_verb_produce, &mr_verb_consume, &mr_verb_group, &mr_verb_configs, &mr_verb_txn,     &mr_verb_version,
};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

static void help(FILE *to)
{
    (void)fputs("millrace: a durable log and stream processing in one program\n\n", to);
    for (size_t i = 0; i < VERBS; i++)
        (void)fprintf(to, "  millrace %-28s %s\n", verbs[i]->usage, verbs[i]->summary);
    (void)fputs(
        "\nA first result, from a log file:\n\n"
        "  cat > job.yaml <<'END'\n"
        "  pipelines:\n"
        "    errors:\n"
        "      from: { file: { paths: [ \"access*.log\" ], start: head } }\n"
        "      steps:\n"
        "        - parse: combined\n"
        "        - keep: e.status >= 500\n"
        "      to: { stdout: {} }\n"
        "  END\n"
        "  millrace run --once job.yaml\n\n"
        "`millrace VERB --help` tells the rest; `millrace plugins` lists what pipelines are made of.\n",
        to);
}

int main(int argc, char **argv)
{
    const char *names[VERBS + 1];
    if (argc < 2) {
        help(stderr);
        return MR_EXIT_USAGE;
    }
    const char *given = argv[1];
    char *asked[] = {"--help"}; /* `millrace help run` is `millrace run --help` */
    int rest = argc - 2;
    char **words = argv + 2;
    if (!strcmp(given, "help") && argc > 2) {
        given = argv[2];
        rest = 1;
        words = asked;
    } else if (!strcmp(given, "--help") || !strcmp(given, "-h") || !strcmp(given, "help")) {
        help(stdout);
        return MR_EXIT_OK;
    }
    if (!strcmp(given, "--version") || !strcmp(given, "-V"))
        given = "version";
    for (size_t i = 0; i < VERBS; i++) {
        names[i] = verbs[i]->name;
        if (!strcmp(given, verbs[i]->name))
            return verbs[i]->run(verbs[i], rest, words);
    }
    names[VERBS] = "help";
    return mr_cli_unknown("verb", given, names, VERBS + 1, "millrace --help");
}
