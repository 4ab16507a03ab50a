/* configs.c - `millrace configs`: settings of topics and brokers.
 *
 * librdkafka 2.0 has the older request alone, which replaces all settings of a topic at once. So alter reads
 * what is set, changes that, and writes all of it back: who alters the same topic in the same moment may be
 * overwritten. What a broker keeps secret cannot be read, so such a topic is refused.
 */
#include "cli/kafka.h"

#include "base/text.h"

#include <stdlib.h>

/* ------------------------------------------------------------------ reading */

/* The answer, its one resource and that one's entries; NULL: told. [move] the event */
static rd_kafka_event_t *ask(struct mr_kafka *k, rd_kafka_ResourceType_t type, const char *name,
                             const rd_kafka_ConfigEntry_t ***entries, size_t *count)
{
    rd_kafka_ConfigResource_t *r = rd_kafka_ConfigResource_new(type, name);
    rd_kafka_AdminOptions_t *o = mr_kafka_admin_options(k, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    size_t resources = 0;
    rd_kafka_DescribeConfigs(k->rk, &r, 1, o, k->queue);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_ConfigResource_destroy(r);
    rd_kafka_event_t *e = mr_kafka_answer(k, "read the settings of", name);
    if (!e)
        return NULL;
    const rd_kafka_ConfigResource_t **list =
        rd_kafka_DescribeConfigs_result_resources(rd_kafka_event_DescribeConfigs_result(e), &resources);
    if (resources == 1 && !rd_kafka_ConfigResource_error(list[0])) {
        *entries = rd_kafka_ConfigResource_configs(list[0], count);
        return e;
    }
    (void)mr_kafka_refused(k, "read the settings of", name,
                           resources ? rd_kafka_ConfigResource_error(list[0]) : RD_KAFKA_RESP_ERR__BAD_MSG,
                           resources ? rd_kafka_ConfigResource_error_string(list[0]) : NULL);
    rd_kafka_event_destroy(e);
    return NULL;
}

static int by_name(const void *a, const void *b)
{
    const rd_kafka_ConfigEntry_t *const *x = a, *const *y = b;
    return strcmp(rd_kafka_ConfigEntry_name(*x), rd_kafka_ConfigEntry_name(*y));
}

static bool print_text(const rd_kafka_ConfigEntry_t **entries, size_t count)
{
    struct mr_table table = {.columns = 3};
    mr_table_cell(&table, "SETTING");
    mr_table_cell(&table, "VALUE");
    mr_table_cell(&table, "FROM");
    for (size_t i = 0; i < count; i++) {
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        mr_table_cell(&table, "%s", rd_kafka_ConfigEntry_name(entries[i]));
        mr_table_cell(&table, "%s", value ? (*value ? value : "\"\"") : "-");
        mr_table_cell(&table, "%s", rd_kafka_ConfigSource_name(rd_kafka_ConfigEntry_source(entries[i])));
    }
    return mr_table_end(&table);
}

static bool print_json(const rd_kafka_ConfigEntry_t **entries, size_t count)
{
    struct mr_jsonl j = {0};
    bool good = true;
    for (size_t i = 0; good && i < count; i++) {
        mr_jsonl_open(&j, NULL, '{');
        mr_jsonl_text(&j, "name", rd_kafka_ConfigEntry_name(entries[i]));
        mr_jsonl_text(&j, "value", rd_kafka_ConfigEntry_value(entries[i]));
        mr_jsonl_text(&j, "from", rd_kafka_ConfigSource_name(rd_kafka_ConfigEntry_source(entries[i])));
        mr_jsonl_bool(&j, "read_only", rd_kafka_ConfigEntry_is_read_only(entries[i]) == 1);
        mr_jsonl_bool(&j, "sensitive", rd_kafka_ConfigEntry_is_sensitive(entries[i]) == 1);
        mr_jsonl_close(&j, '}');
        good = mr_jsonl_line(&j);
    }
    mr_jsonl_fini(&j);
    return good;
}

static int describe_one(struct mr_kafka *k, rd_kafka_ResourceType_t type, const char *name, bool json)
{
    const rd_kafka_ConfigEntry_t **entries;
    size_t count = 0;
    if (type == RD_KAFKA_RESOURCE_TOPIC && !mr_kafka_topic(k, name))
        return MR_EXIT_FAILED;
    rd_kafka_event_t *e = ask(k, type, name, &entries, &count);
    if (!e)
        return MR_EXIT_FAILED;
    const rd_kafka_ConfigEntry_t **sorted = calloc(count + 1, sizeof *sorted);
    bool good = sorted != NULL;
    if (good) {
        memcpy(sorted, entries, count * sizeof *sorted);
        qsort(sorted, count, sizeof *sorted, by_name);
        good = json ? print_json(sorted, count) : print_text(sorted, count);
    }
    free(sorted);
    rd_kafka_event_destroy(e);
    return good ? MR_EXIT_OK : MR_EXIT_FAILED;
}

/* ------------------------------------------------------------------ changing */

static bool among(const rd_kafka_ConfigEntry_t **entries, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(rd_kafka_ConfigEntry_name(entries[i]), name))
            return true;
    const char **names = calloc(count + 1, sizeof *names);
    for (size_t i = 0; names && i < count; i++)
        names[i] = rd_kafka_ConfigEntry_name(entries[i]);
    (void)mr_cli_unknown("setting", name, names, names ? count : 0, "millrace configs describe topic NAME");
    free(names);
    return false;
}

static bool is_named(const char *const *list, const char *name)
{
    size_t len = strlen(name);
    for (; *list; list++)
        if (!strncmp(*list, name, len) && ((*list)[len] == '\0' || (*list)[len] == '='))
            return true;
    return false;
}

/* What is set now and stays, then what is new. false: told. */
static bool fill(rd_kafka_ConfigResource_t *r, const struct mr_verb *v,
                 const rd_kafka_ConfigEntry_t **entries, size_t count, const char *const *set,
                 const char *const *unset)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = rd_kafka_ConfigEntry_name(entries[i]),
                   *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (rd_kafka_ConfigEntry_source(entries[i]) != RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG ||
            is_named(set, name) || is_named(unset, name))
            continue;
        if (!value) {
            mr_cli_say(
                "millrace: error: '%s' is set and the broker keeps its value secret: it would be lost\n"
                "  = give it again with --config %s=...",
                name, name);
            return false;
        }
        (void)rd_kafka_ConfigResource_set_config(r, name, value);
    }
    for (size_t i = 0; unset[i]; i++)
        if (!among(entries, count, unset[i]))
            return false;
    for (size_t i = 0; set[i]; i++) {
        char name[256];
        const char *value;
        if (!mr_kafka_pair(v, "setting", set[i], name, sizeof name, &value) || !among(entries, count, name))
            return false;
        (void)rd_kafka_ConfigResource_set_config(r, name, value);
    }
    return true;
}

static int change(struct mr_kafka *k, rd_kafka_ConfigResource_t *r, const char *name)
{
    int code = MR_EXIT_FAILED;
    size_t count = 0;
    rd_kafka_AdminOptions_t *o = mr_kafka_admin_options(k, RD_KAFKA_ADMIN_OP_ALTERCONFIGS);
    rd_kafka_AlterConfigs(k->rk, &r, 1, o, k->queue);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_event_t *e = mr_kafka_answer(k, "alter the settings of", name);
    if (!e)
        return code;
    const rd_kafka_ConfigResource_t **list =
        rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(e), &count);
    if (count == 1 && !rd_kafka_ConfigResource_error(list[0]))
        code = MR_EXIT_OK;
    else
        (void)mr_kafka_refused(k, "alter the settings of", name,
                               count ? rd_kafka_ConfigResource_error(list[0]) : RD_KAFKA_RESP_ERR__BAD_MSG,
                               count ? rd_kafka_ConfigResource_error_string(list[0]) : NULL);
    rd_kafka_event_destroy(e);
    return code;
}

int mr_kafka_alter_configs(const struct mr_verb *v, const struct mr_kafka_flags *f, const char *name,
                           const char *const *set, const char *const *unset)
{
    struct mr_kafka k = {0};
    const rd_kafka_ConfigEntry_t **entries;
    size_t count = 0;
    if (!set[0] && !unset[0]) {
        mr_cli_say("millrace %s: nothing to change; usage: millrace %s", v->name, v->usage);
        return MR_EXIT_USAGE;
    }
    int code = mr_kafka_admin(&k, v, f);
    if (!code && !mr_kafka_topic(&k, name))
        code = MR_EXIT_FAILED;
    rd_kafka_event_t *e = code ? NULL : ask(&k, RD_KAFKA_RESOURCE_TOPIC, name, &entries, &count);
    if (e) {
        rd_kafka_ConfigResource_t *r = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name);
        code = fill(r, v, entries, count, set, unset) ? change(&k, r, name) : MR_EXIT_USAGE;
        rd_kafka_ConfigResource_destroy(r);
        rd_kafka_event_destroy(e);
        if (!code && f->json) {
            struct mr_jsonl j = {0};
            mr_jsonl_open(&j, NULL, '{');
            mr_jsonl_text(&j, "topic", name);
            mr_jsonl_text(&j, "done", "altered");
            mr_jsonl_close(&j, '}');
            code = mr_jsonl_line(&j) ? MR_EXIT_OK : MR_EXIT_FAILED;
            mr_jsonl_fini(&j);
        } else if (!code) {
            (void)printf("altered topic '%s'\n", name);
        }
    } else if (!code) {
        code = MR_EXIT_FAILED;
    }
    mr_kafka_close(&k);
    return code;
}

/* ------------------------------------------------------------------ the verbs */

static bool kind_of(const struct mr_verb *v, const char *const *words, size_t count,
                    rd_kafka_ResourceType_t *type)
{
    static const char *const kinds[] = {"topic", "broker"};
    if (count < 2) {
        mr_cli_say("millrace %s: %s is missing; usage: millrace %s", v->name,
                   count ? "a name" : "topic or broker", v->usage);
        return false;
    }
    *type = !strcmp(words[0], "topic") ? RD_KAFKA_RESOURCE_TOPIC : RD_KAFKA_RESOURCE_BROKER;
    if (*type == RD_KAFKA_RESOURCE_TOPIC || !strcmp(words[0], "broker"))
        return true;
    (void)mr_cli_unknown("kind of resource", words[0], kinds, 2, "millrace configs --help");
    return false;
}

static int describe(const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    struct mr_kafka k = {0};
    const char *words[2];
    rd_kafka_ResourceType_t type;
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        MR_KAFKA_COMMON_FLAGS(f), MR_KAFKA_JSON_FLAG(f, "one object a line"), {0}};
    if (!mr_cli_options(v, flags, argc, argv, words, 2, &count, &code))
        return code;
    if (!kind_of(v, words, count, &type))
        return MR_EXIT_USAGE;
    code = mr_kafka_admin(&k, v, &f);
    if (!code)
        code = describe_one(&k, type, words[1], f.json);
    mr_kafka_close(&k);
    return code;
}

static int alter(const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    const char *words[2 + MR_CLI_MANY_MAX + 1] = {0}, *unset[MR_CLI_MANY_MAX + 1] = {0};
    rd_kafka_ResourceType_t type;
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        {"delete", "KEY...", "back to the default; may be repeated", NULL, unset},
        MR_KAFKA_COMMON_FLAGS(f),
        MR_KAFKA_JSON_FLAG(f, "says what was done as an object"),
        {0},
    };
    if (!mr_cli_options(v, flags, argc, argv, words, 2 + MR_CLI_MANY_MAX, &count, &code))
        return code;
    if (!kind_of(v, words, count, &type))
        return MR_EXIT_USAGE;
    if (type != RD_KAFKA_RESOURCE_TOPIC) {
        mr_cli_say("millrace %s: brokers cannot be altered from here: the request that this librdkafka has "
                   "would take "
                   "away the secrets among their settings",
                   v->name);
        return MR_EXIT_USAGE;
    }
    return mr_kafka_alter_configs(v, &f, words[1], words + 2, unset);
}

static const struct mr_verb subs[] = {
    {"configs describe", "configs describe topic|broker NAME", "lists settings and where each comes from",
     "Lists the settings of a topic, or of a broker by its number.\n\n"
     "  millrace configs describe topic orders\n  millrace configs describe broker 1 --json",
     describe},
    {"configs alter", "configs alter topic NAME KEY=VALUE...", "changes settings of a topic",
     "Changes settings and leaves the others as they are. Who alters the same topic in the same moment may "
     "be\n"
     "overwritten: settings are read, changed and written back.\n\n"
     "  millrace configs alter topic orders retention.ms=3600000\n"
     "  millrace configs alter topic orders --delete retention.ms",
     alter},
};

static int configs(const struct mr_verb *v, int argc, char **argv)
{
    return mr_kafka_dispatch(v, subs, sizeof subs / sizeof subs[0], argc, argv);
}

const struct mr_verb mr_kafka_verb_configs = {
    .name = "configs",
    .usage = "configs describe|alter",
    .help = "Settings of topics and brokers, by Kafka's names for them.",
    .run = configs,
};
