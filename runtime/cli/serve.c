/* serve.c - `millrace serve`: a node for Kafka clients, without pipelines. */
#include "cli/cli.h"

#include "world/real.h"

#include <signal.h>

static void on_signal(void *arg, int signo)
{
    (void)signo;
    mr_real_stop(arg);
}

static int serve_until_told(struct mr_world *w, const struct mr_node_config *config)
{
    struct mr_err err = {0};
    struct mr_node *node = NULL;
    if (mr_real_signal(w, SIGINT, on_signal, w, &err) || mr_real_signal(w, SIGTERM, on_signal, w, &err) ||
        mr_node_open(config, &node, &err)) {
        mr_cli_node_error(&err);
        return err.code == MR_BADCONF ? MR_EXIT_USAGE : MR_EXIT_FAILED;
    }
    mr_cli_say("millrace: serving Kafka clients on %s, data in %s; Ctrl-C drains and ends",
               mr_node_address(node), config->data_dir);
    mr_real_run(w);
    mr_node_close(node);
    mr_cli_say("millrace: closed clean");
    return MR_EXIT_OK;
}

static int serve(const struct mr_verb *v, int argc, char **argv)
{
    const char *data = ".millrace", *listen = "127.0.0.1:9092", *advertise = NULL;
    bool no_create = false;
    size_t count;
    int code;
    struct mr_err err = {0};
    struct mr_world *w = NULL;
    struct mr_node_config config;
    const struct mr_flag flags[] = {
        {"data", "DIR", "data directory, made when missing (.millrace)", NULL, &data},
        {"listen", "HOST:PORT", "for Kafka clients (127.0.0.1:9092); port 0: any free one", NULL, &listen},
        {"advertise", "HOST:PORT", "what clients are told to connect to (as --listen)", NULL, &advertise},
        {"no-create", NULL, "topics are not made when a client asks for one that is not there", &no_create,
         NULL},
        {0},
    };
    mr_cli_hold_signals();
    if (!mr_cli_options(v, flags, argc, argv, NULL, 0, &count, &code))
        return code;
    mr_cli_settle_process();
    mr_node_config_init(&config);
    config.data_dir = data;
    config.listen = listen;
    config.advertise = advertise;
    config.broker.auto_create = !no_create;
    config.tell = mr_cli_tell;
    if (mr_real_new(&w, &err)) {
        mr_cli_error(&err);
        return MR_EXIT_FAILED;
    }
    code = serve_until_told(w, &config);
    mr_cli_hold_signals(); /* it is closed: one that comes now changes nothing */
    mr_real_free(w);
    return code;
}

const struct mr_verb mr_verb_serve = {
    .name = "serve",
    .usage = "serve [--data DIR]",
    .summary = "a durable log for Kafka clients",
    .help =
        "Opens the data directory and answers Kafka clients until Ctrl-C (or SIGTERM), which answers what\n"
        "was accepted and closes clean. acks=all is answered after a group-committed fsync.\n\n"
        "  millrace serve --data /var/lib/millrace --listen 0.0.0.0:9092 --advertise log1.example:9092\n"
        "  kcat -b 127.0.0.1:9092 -L",
    .run = serve,
};
