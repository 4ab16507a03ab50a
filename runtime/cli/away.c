/* away.c - the verbs that speak Kafka's protocol, as the main program knows them: by name.
 *
 * They are a program of their own, millrace-kafka: librdkafka and what it pulls in (TLS, SASL) would cost
 * `millrace run` and `millrace serve` time to start and memory for nothing (docs/guide-cli.md has the
 * figures).
 */
#include "cli/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORDS_MAX = 4096 };

/* Beside the program first (a build), then where a package puts it. */
static bool find_program(char path[PATH_MAX + 64])
{
    static const char *const places[] = {"millrace-kafka", "../libexec/millrace/millrace-kafka",
                                         "../lib/millrace/millrace-kafka"};
    char exe[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0)
        return false;
    exe[n] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        (void)snprintf(path, PATH_MAX + 64, "%s/%s", exe, places[i]);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

static int away(const struct mr_verb *v, int argc, char **argv)
{
    char path[PATH_MAX + 64], program[] = "millrace-kafka";
    char *words[WORDS_MAX + 3];
    if (argc > WORDS_MAX) {
        mr_cli_say("millrace %s: more than %d words on the command line", v->name, WORDS_MAX);
        return MR_EXIT_USAGE;
    }
    if (!find_program(path)) {
        mr_cli_say("millrace: error: '%s' needs the program millrace-kafka, which is not beside this one\n"
                   "  = put it there, or build it: ./dev build",
                   v->name);
        return MR_EXIT_FAILED;
    }
    words[0] = program;
    words[1] = (char[16]){0};
    (void)snprintf(words[1], 16, "%s", v->name);
    for (int i = 0; i < argc; i++)
        words[2 + i] = argv[i];
    words[2 + argc] = NULL;
    (void)execv(path, words);
    mr_cli_say("millrace: error: cannot start '%s': %s", path, strerror(errno));
    return MR_EXIT_FAILED;
}

const struct mr_verb mr_verb_topic = {.name = "topic",
                                      .usage = "topic list|create|...",
                                      .summary = "topics: list, create, describe, alter, delete",
                                      .run = away};
const struct mr_verb mr_verb_produce = {.name = "produce",
                                        .usage = "produce TOPIC [FILE...]",
                                        .summary = "lines or JSON into a topic",
                                        .run = away};
const struct mr_verb mr_verb_consume = {.name = "consume",
                                        .usage = "consume TOPIC",
                                        .summary = "the records of a topic on standard output",
                                        .run = away};
const struct mr_verb mr_verb_group = {.name = "group",
                                      .usage = "group list|describe|...",
                                      .summary = "consumer groups: lag, reset, delete",
                                      .run = away};
const struct mr_verb mr_verb_configs = {.name = "configs",
                                        .usage = "configs describe|alter",
                                        .summary = "settings of topics and brokers",
                                        .run = away};
const struct mr_verb mr_verb_txn = {.name = "txn",
                                    .usage = "txn list|abort|...",
                                    .summary = "transactions: what is open, and ending it",
                                    .run = away};
