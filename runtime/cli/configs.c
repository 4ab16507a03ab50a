/* configs.c - `millrace configs`: settings of topics, brokers and groups.
 *
 * Law:  alter names what is to change and nothing else (IncrementalAlterConfigs), so that two who
 *       alter the same topic in the same moment do not take each other's changes away.
 */
#include "cli/configs.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>

typedef struct mr_describe_configs_response_config entry;

static const struct kind {
    const char *name;
    int8_t type;
} kinds[] = {{"topic", MR_CONFIGS_TOPIC}, {"broker", MR_CONFIGS_BROKER}, {"group", MR_CONFIGS_GROUP}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static const char *kind_name(int8_t type)
{
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].type == type)
            return kinds[i].name;
    return "resource";
}

/* ------------------------------------------------------------------ reading */

/* Whom to ask: a broker about itself, anyone about the rest. false: told. */
static bool node_of(struct mr_kafka *k, int8_t type, const char *name, int32_t *node)
{
    int64_t id = 0;
    *node = MR_ASK_ANYONE;
    if (type != MR_CONFIGS_BROKER || !*name)
        return true;
    for (int i = 0; mr_parse_i64(mr_slice_of(name), &id) && i < k->meta->broker_cnt; i++)
        if (k->meta->brokers[i].id == id) {
            *node = k->meta->brokers[i].id;
            return true;
        }
    mr_cli_say(
        "millrace: error: no broker '%s' at %s\n  = brokers are named by number; `default` is what holds "
        "for all of them. There is:",
        name, k->broker);
    for (int i = 0; i < k->meta->broker_cnt; i++)
        mr_cli_say("    %" PRId32 " at %s:%d", k->meta->brokers[i].id, k->meta->brokers[i].host,
                   k->meta->brokers[i].port);
    return false;
}

const mr_configs *mr_configs_read(struct mr_kafka *k, int8_t type, const char *name)
{
    struct mr_describe_configs_request_resource one;
    struct mr_describe_configs_request request;
    struct mr_describe_configs_response response;
    int32_t node;
    mr_describe_configs_request_init(&request);
    mr_describe_configs_request_resource_init(&one);
    one.resource_type = type;
    one.resource_name = mr_slice_of(name);
    one.configuration_keys_count = -1; /* all */
    request.resources = &one;
    request.resources_count = 1;
    if (!node_of(k, type, name, &node) || !mr_ask(k, node, MR_ASK_DESCRIBE_CONFIGS, &request, &response))
        return NULL;
    const mr_configs *got = response.results_count == 1 ? &response.results[0] : NULL;
    if (got && !got->error_code)
        return got;
    (void)mr_kafka_refused(k, "read the settings of", name,
                           got ? (rd_kafka_resp_err_t)got->error_code : RD_KAFKA_RESP_ERR__BAD_MSG,
                           got && got->error_message.len ? mr_ask_text(k, got->error_message) : NULL);
    return NULL;
}

const char *mr_configs_value(struct mr_kafka *k, const mr_configs *all, const char *name)
{
    for (int32_t i = 0; all && i < all->configs_count; i++)
        if (mr_slice_eq(all->configs[i].name, mr_slice_of(name)) && all->configs[i].value.p)
            return mr_ask_text(k, all->configs[i].value);
    return NULL;
}

static const char *source_name(const entry *e)
{
    static const char *const names[] = {"UNKNOWN_CONFIG",
                                        "DYNAMIC_TOPIC_CONFIG",
                                        "DYNAMIC_BROKER_CONFIG",
                                        "DYNAMIC_DEFAULT_BROKER_CONFIG",
                                        "STATIC_BROKER_CONFIG",
                                        "DEFAULT_CONFIG",
                                        "DYNAMIC_BROKER_LOGGER_CONFIG",
                                        "CLIENT_METRICS_CONFIG",
                                        "GROUP_CONFIG"};
    bool known = e->config_source >= 0 && (size_t)e->config_source < sizeof names / sizeof names[0];
    return names[known ? e->config_source : 0];
}

/* ------------------------------------------------------------------ words of the command line */

/* "topic orders", "broker 1", "broker default"; 0, or the exit code. */
static int kind_of(const struct mr_kafka_call *c, int8_t *type, const char **name)
{
    const char *names[KINDS];
    for (size_t i = 0; i < KINDS; i++) {
        names[i] = kinds[i].name;
        if (strcmp(c->words[0], names[i]) != 0)
            continue;
        *type = kinds[i].type;
        *name = c->words[1];
        if (*type == MR_CONFIGS_BROKER && !strcmp(*name, "default"))
            *name = "";
        return MR_EXIT_OK;
    }
    return mr_cli_unknown("kind of resource", c->words[0], names, KINDS, "millrace configs --help");
}

/* ------------------------------------------------------------------ describe */

struct describing {
    struct mr_kafka_call c; /* first */
    bool changed;
    int8_t type;
    const char *name;
};

static int check_describe(struct mr_kafka_call *c)
{
    struct describing *d = (struct describing *)c;
    return kind_of(c, &d->type, &d->name);
}

static int by_name(const void *a, const void *b)
{
    const entry *const *x = a, *const *y = b;
    size_t n = (*x)->name.len < (*y)->name.len ? (*x)->name.len : (*y)->name.len;
    int order = memcmp((*x)->name.p, (*y)->name.p, n);
    return order ? order : ((*x)->name.len > (*y)->name.len) - ((*x)->name.len < (*y)->name.len);
}

static int run_describe(struct mr_kafka_call *c)
{
    static const struct mr_rows_column columns[] = {{"SETTING", "name"}, {"VALUE", "value"},
                                                    {"FROM", "from"},    {NULL, "read_only"},
                                                    {NULL, "sensitive"}, {0}};
    struct describing *d = (struct describing *)c;
    struct mr_kafka *k = &c->k;
    struct mr_rows rows;
    if (d->type == MR_CONFIGS_TOPIC && !mr_kafka_topic(k, d->name))
        return MR_EXIT_FAILED;
    const mr_configs *all = mr_configs_read(k, d->type, d->name);
    if (!all)
        return MR_EXIT_FAILED;
    size_t count = all->configs_count > 0 ? (size_t)all->configs_count : 0;
    const entry **sorted = mr_ask_take(k, count, sizeof *sorted);
    for (size_t i = 0; i < count; i++)
        sorted[i] = &all->configs[i];
    qsort(sorted, count, sizeof *sorted, by_name);
    mr_rows_open(&rows, c->f.json, columns);
    for (size_t i = 0; i < count; i++) {
        const entry *e = sorted[i];
        if (d->changed && e->config_source == MR_CONFIGS_DEFAULT)
            continue;
        bool empty = !c->f.json && e->value.p && e->value.len == 0;
        mr_rows_text(&rows, mr_ask_text(k, e->name));
        mr_rows_text(&rows, empty ? "\"\"" : e->value.p ? mr_ask_text(k, e->value) : NULL);
        mr_rows_text(&rows, source_name(e));
        mr_rows_bool(&rows, e->read_only);
        mr_rows_bool(&rows, e->is_sensitive);
    }
    return mr_rows_close(&rows) ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static int describe(const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {"topic, broker or group is missing", 2, 2, check_describe,
                                                  run_describe};
    struct describing d = {.c = {.v = v, .f = MR_KAFKA_FLAGS}};
    const struct mr_flag flags[] = {
        {"changed", NULL, "those alone that somebody has set", &d.changed, NULL},
        MR_KAFKA_COMMON_FLAGS(d.c.f),
        MR_KAFKA_JSON_FLAG(d.c.f, "one object a line"),
        {0},
    };
    return mr_kafka_run(&d.c, &course, flags, argc, argv);
}

/* ------------------------------------------------------------------ changing */

typedef struct mr_incremental_alter_configs_request_config change_of;

struct changes {
    change_of *list;
    int32_t count;
    const mr_configs *known;
};

/* Is there such a setting? An empty list of a broker knows none: the broker judges then. */
static bool among(struct mr_kafka *k, const struct changes *ch, const char *name)
{
    size_t count = ch->known->configs_count > 0 ? (size_t)ch->known->configs_count : 0;
    const char **names = mr_ask_take(k, count, sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] = mr_ask_text(k, ch->known->configs[i].name);
        if (!strcmp(names[i], name))
            return true;
    }
    if (count)
        (void)mr_cli_unknown("setting", name, names, count, "millrace configs describe topic NAME");
    return count == 0;
}

/* operation: 0 set, 1 delete, 2 append, 3 subtract. false: told. */
static bool add(struct mr_kafka_call *c, struct changes *ch, const char *const *list, int8_t operation)
{
    for (; list && *list; list++) {
        char name[256];
        const char *value = NULL;
        if (operation == 1)
            (void)snprintf(name, sizeof name, "%s", *list);
        else if (!mr_kafka_pair(c->v, "setting", *list, name, sizeof name, &value))
            return false;
        if (!among(&c->k, ch, name))
            return false;
        change_of *one = &ch->list[ch->count++];
        mr_incremental_alter_configs_request_config_init(one);
        one->name = mr_slice_of(mr_ask_text(&c->k, mr_slice_of(name)));
        one->value = mr_slice_of(value);
        one->config_operation = operation;
    }
    return true;
}

static bool send_changes(struct mr_kafka *k, int8_t type, const char *name, struct changes *ch, bool dry_run)
{
    struct mr_incremental_alter_configs_request_resource one;
    struct mr_incremental_alter_configs_request request;
    struct mr_incremental_alter_configs_response response;
    int32_t node;
    mr_incremental_alter_configs_request_init(&request);
    mr_incremental_alter_configs_request_resource_init(&one);
    one.resource_type = type;
    one.resource_name = mr_slice_of(name);
    one.configs = ch->list;
    one.configs_count = ch->count;
    request.resources = &one;
    request.resources_count = 1;
    request.validate_only = dry_run;
    if (!node_of(k, type, name, &node) ||
        !mr_ask(k, node, MR_ASK_INCREMENTAL_ALTER_CONFIGS, &request, &response))
        return false;
    const struct mr_incremental_alter_configs_response_topic *got =
        response.responses_count == 1 ? &response.responses[0] : NULL;
    if (got && !got->error_code)
        return true;
    (void)mr_kafka_refused(k, "alter the settings of", name,
                           got ? (rd_kafka_resp_err_t)got->error_code : RD_KAFKA_RESP_ERR__BAD_MSG,
                           got && got->error_message.len ? mr_ask_text(k, got->error_message) : NULL);
    return false;
}

int mr_configs_alter(struct mr_kafka_call *c, int8_t type, const char *name,
                     const struct mr_configs_change *change)
{
    struct mr_kafka *k = &c->k;
    struct changes ch = {0};
    if (type == MR_CONFIGS_TOPIC && !mr_kafka_topic(k, name))
        return MR_EXIT_FAILED;
    ch.known = mr_configs_read(k, type, name);
    if (!ch.known)
        return MR_EXIT_FAILED;
    ch.list = mr_ask_take(k, 4 * MR_CLI_MANY_MAX, sizeof *ch.list);
    if (!add(c, &ch, change->set, 0) || !add(c, &ch, change->unset, 1) || !add(c, &ch, change->append, 2) ||
        !add(c, &ch, change->subtract, 3))
        return MR_EXIT_USAGE;
    if (!send_changes(k, type, name, &ch, change->dry_run))
        return MR_EXIT_FAILED;
    return mr_kafka_said(c, kind_name(type), *name ? name : "default",
                         change->dry_run ? "could alter" : "altered");
}

struct altering {
    struct mr_kafka_call c; /* first */
    const char *unset[MR_CLI_MANY_MAX + 1], *append[MR_CLI_MANY_MAX + 1], *subtract[MR_CLI_MANY_MAX + 1];
    bool dry_run;
    int8_t type;
    const char *name;
};

static int check_alter(struct mr_kafka_call *c)
{
    struct altering *a = (struct altering *)c;
    int code = kind_of(c, &a->type, &a->name);
    if (code || c->count > 2 || a->unset[0] || a->append[0] || a->subtract[0])
        return code;
    mr_cli_say("millrace %s: nothing to change; usage: millrace %s", c->v->name, c->v->usage);
    return MR_EXIT_USAGE;
}

static int run_alter(struct mr_kafka_call *c)
{
    const struct altering *a = (const struct altering *)c;
    const struct mr_configs_change change = {c->words + 2, a->unset, a->append, a->subtract, a->dry_run};
    return mr_configs_alter(c, a->type, a->name, &change);
}

static int alter(const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {"topic, broker or group is missing", 2, MR_CLI_MANY_MAX,
                                                  check_alter, run_alter};
    struct altering a = {.c = {.v = v, .f = MR_KAFKA_FLAGS}};
    const struct mr_flag flags[] = {
        {"delete", "KEY...", "back to the default; may be repeated", NULL, a.unset},
        {"append", "KEY=VALUE...", "one more in a list; may be repeated", NULL, a.append},
        {"subtract", "KEY=VALUE...", "one less in a list; may be repeated", NULL, a.subtract},
        {"dry-run", NULL, "lets the broker judge, and changes nothing", &a.dry_run, NULL},
        MR_KAFKA_COMMON_FLAGS(a.c.f),
        MR_KAFKA_JSON_FLAG(a.c.f, "says what was done as an object"),
        {0},
    };
    return mr_kafka_run(&a.c, &course, flags, argc, argv);
}

/* ------------------------------------------------------------------ the verbs */

static const struct mr_verb subs[] = {
    {"configs describe", "configs describe topic|broker|group NAME",
     "lists settings and where each comes from",
     "Lists the settings of a topic, of a broker by its number (`default`: what holds for all brokers), or "
     "of a "
     "group.\n\n"
     "  millrace configs describe topic orders --changed\n  millrace configs describe broker 1 --json",
     describe},
    {"configs alter", "configs alter topic|broker|group NAME KEY=VALUE...", "changes settings",
     "Changes the settings that are named and leaves the others as they are.\n\n"
     "  millrace configs alter topic orders retention.ms=3600000\n"
     "  millrace configs alter topic orders --delete retention.ms\n"
     "  millrace configs alter topic orders --append cleanup.policy=compact --dry-run\n"
     "  millrace configs alter broker default message.max.bytes=2000000",
     alter},
};

static int configs(const struct mr_verb *v, int argc, char **argv)
{
    return mr_kafka_dispatch(v, subs, sizeof subs / sizeof subs[0], argc, argv);
}

const struct mr_verb mr_kafka_verb_configs = {
    .name = "configs",
    .usage = "configs describe|alter",
    .help = "Settings of topics, brokers and groups, by Kafka's names for them.",
    .run = configs,
};
