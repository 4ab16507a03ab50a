/* kafka_main.c - millrace-kafka: the verbs that speak Kafka's protocol. `millrace VERB` becomes this program.
 */
#include "cli/kafka.h"

#include <poll.h>
#include <unistd.h>

static const struct mr_verb *const verbs[] = {
    &mr_kafka_verb_topic, &mr_kafka_verb_produce, &mr_kafka_verb_consume,
    &mr_kafka_verb_group, &mr_kafka_verb_configs, &mr_kafka_verb_txn,
};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

/* What was printed has to be out before the exit code says so. A reader that has had enough is no failure. */
static int flushed(int code)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    bool good = fflush(stdout) == 0 && !ferror(stdout);
    if (good || (poll(&out, 1, 0) > 0 && out.revents & (POLLERR | POLLHUP)))
        return code;
    mr_cli_say("millrace: error: cannot write to standard output");
    return code ? code : MR_EXIT_FAILED;
}

int main(int argc, char **argv)
{
    const char *names[VERBS];
    (void)signal(SIGPIPE, SIG_IGN); /* `millrace consume ... | head` is told by write */
    for (size_t i = 0; i < VERBS; i++) {
        names[i] = verbs[i]->name;
        if (argc > 1 && !strcmp(argv[1], names[i]))
            return flushed(verbs[i]->run(verbs[i], argc - 2, argv + 2));
    }
    if (argc < 2) {
        mr_cli_say("millrace-kafka is started by millrace: see `millrace --help`");
        return MR_EXIT_USAGE;
    }
    return mr_cli_unknown("verb", argv[1], names, VERBS, "millrace --help");
}
