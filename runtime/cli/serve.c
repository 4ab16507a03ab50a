/* serve.c - `millrace serve`: a node for Kafka clients, without pipelines. */
#include "cli/node_file.h"

#include "broker/node_book.h"
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

/* ------------------------------------------------------------------ settings */

/* "name=value" of --set. 0, or the exit code. */
static int set_all(const char *const *given, struct mr_node_layer *layer)
{
    for (; *given; given++) {
        const char *equals = strchr(*given, '=');
        struct mr_err err = {0};
        if (!equals) {
            mr_cli_say("millrace serve: '--set %s' is not NAME=VALUE, such as num.partitions=3", *given);
            return MR_EXIT_USAGE;
        }
        if (mr_node_layer_set(layer, (struct mr_slice){*given, (size_t)(equals - *given)},
                              mr_slice_of(equals + 1), &err)) {
            mr_cli_say("millrace serve: --set: %s", err.text);
            return MR_EXIT_USAGE;
        }
    }
    return MR_EXIT_OK;
}

static int list_settings(void)
{
    struct mr_node_row n;
    struct mr_setting_row t;
    (void)printf("# Settings of a node\n\n"
                 "| name | default | allowed | |\n|---|---|---|---|\n");
    for (size_t i = 0; mr_node_setting_standard(i, &n); i++)
        (void)printf("| `%s` | %s | %s | %s%s%s%s%s |\n", n.name,
                     n.by[MR_NODE_STANDARD].unset ? "none" : n.value, n.allowed,
                     n.topic ? "What topics have as `" : "", n.topic ? n.topic : "",
                     n.topic ? "` that do not say it." : "", n.topic ? "" : n.help,
                     n.read_only ? " At start only." : "");
    (void)printf("\n# Settings of a topic\n\n"
                 "| name | default | allowed | |\n|---|---|---|---|\n");
    for (size_t i = 0; mr_topic_setting_standard(i, &t); i++)
        (void)printf("| `%s` | %s | %s | %s |\n", t.name, t.value[0] ? t.value : "empty", t.allowed, t.help);
    return MR_EXIT_OK;
}

/* ------------------------------------------------------------------ the verb */

static int serve(const struct mr_verb *v, int argc, char **argv)
{
    const char *file = NULL, *data = NULL, *listen = NULL, *advertise = NULL;
    const char *set[MR_CLI_MANY_MAX + 1] = {0};
    bool no_create = false, list = false, check = false;
    size_t count;
    int code;
    struct mr_err err = {0};
    struct mr_world *w = NULL;
    struct mr_node_config config;
    struct mr_cli_node_file from = {0};
    const struct mr_flag flags[] = {
        {"config", "FILE", "a node's file, YAML; also -c FILE. Options go before what it says", NULL, &file},
        {"data", "DIR", "data directory, made when missing (.millrace)", NULL, &data},
        {"listen", "[NAME://]HOST:PORT",
         "for Kafka clients (127.0.0.1:9092); several by commas; port 0: any free one", NULL, &listen},
        {"advertise", "[NAME://]HOST:PORT", "what clients are told to connect to (as --listen)", NULL,
         &advertise},
        {"set", "NAME=VALUE...", "a setting of the node; again for more", NULL, set},
        {"settings", NULL, "lists all settings, and ends", &list, NULL},
        {"check", NULL, "reads the file and the options, and ends", &check, NULL},
        {"no-create", NULL, "topics are not made when a client asks for one that is not there", &no_create,
         NULL},
        {0},
    };
    static char config_flag[] = "--config";
    for (int i = 0; i < argc; i++)
        if (!strcmp(argv[i], "-c"))
            argv[i] = config_flag;
    mr_cli_hold_signals();
    if (!mr_cli_options(v, flags, argc, argv, NULL, 0, &count, &code))
        return code;
    if (list)
        return list_settings();
    mr_cli_settle_process();
    mr_node_config_init(&config);
    if ((file && (code = mr_cli_node_file_load(file, &from, &config.broker.node))) ||
        (code = set_all(set, &config.broker.node)) || check) {
        mr_cli_node_file_fini(&from);
        return code;
    }
    config.data_dir = data ? data : from.data ? from.data : ".millrace";
    config.listen = listen ? listen : from.listen ? from.listen : "127.0.0.1:9092";
    config.advertise = advertise ? advertise : listen ? NULL : from.advertise;
    config.broker.auto_create = !no_create;
    config.tell = mr_cli_tell;
    if (mr_real_new(&w, &err)) {
        mr_cli_error(&err);
        code = MR_EXIT_FAILED;
    } else {
        code = serve_until_told(w, &config);
        mr_cli_hold_signals(); /* it is closed: one that comes now changes nothing */
        mr_real_free(w);
    }
    mr_cli_node_file_fini(&from);
    return code;
}

const struct mr_verb mr_verb_serve = {
    .name = "serve",
    .usage = "serve [-c FILE] [--data DIR]",
    .summary = "a durable log for Kafka clients",
    .help =
        "Opens the data directory and answers Kafka clients until Ctrl-C (or SIGTERM), which answers what\n"
        "was accepted and closes clean. acks=all is answered after a group-committed fsync.\n\n"
        "  millrace serve --data /var/lib/millrace --listen 0.0.0.0:9092 --advertise log1.example:9092\n"
        "  millrace serve --listen INSIDE://127.0.0.1:9092,OUTSIDE://0.0.0.0:9093 \\\n"
        "      --advertise OUTSIDE://log1.example:9093 --set num.partitions=3\n"
        "  kcat -b 127.0.0.1:9092 -L\n\n"
        "A node's file says the same once and for all:\n\n"
        "  data: /var/lib/millrace\n"
        "  listeners:\n"
        "    - { name: INSIDE, bind: 127.0.0.1:9092 }\n"
        "    - { name: OUTSIDE, bind: 0.0.0.0:9093, advertise: log1.example:9093 }\n"
        "  settings:\n"
        "    num.partitions: 3\n"
        "    log.retention.hours: 48",
    .run = serve,
};
