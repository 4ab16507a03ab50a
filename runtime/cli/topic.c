/* topic.c - `millrace topic`: list, create, alter, delete, add-partitions. describe is in
 * topic_describe.c. */
#include "cli/configs.h"

#include <poll.h>
#include <stdlib.h>

enum { PARTITIONS_MAX = 100000, REPLICAS_MAX = 100, NAP_MS = 20 };

/* ------------------------------------------------------------------ list */

static int by_name(const void *a, const void *b)
{
    const struct rd_kafka_metadata_topic *const *x = a, *const *y = b;
    return strcmp((*x)->topic, (*y)->topic);
}

static int run_list(struct mr_kafka_call *c)
{
    static const struct mr_rows_column columns[] = {
        {"TOPIC", "topic"}, {"PARTITIONS", "partitions"}, {"REPLICAS", "replicas"}, {0}};
    const struct rd_kafka_metadata *meta = c->k.meta;
    size_t count = (size_t)meta->topic_cnt;
    const struct rd_kafka_metadata_topic **sorted = calloc(count + 1, sizeof *sorted);
    struct mr_rows rows;
    if (!sorted)
        return MR_EXIT_FAILED;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &meta->topics[i];
    qsort(sorted, count, sizeof *sorted, by_name);
    mr_rows_open(&rows, c->f.json, columns);
    for (size_t i = 0; i < count; i++) {
        mr_rows_text(&rows, sorted[i]->topic);
        mr_rows_int(&rows, sorted[i]->partition_cnt);
        mr_rows_int(&rows, sorted[i]->partition_cnt ? sorted[i]->partitions[0].replica_cnt : 0);
    }
    free(sorted);
    return mr_rows_close(&rows) ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static int list(const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {NULL, 0, 0, NULL, run_list};
    return mr_kafka_plain(v, &course, "one object a line", argc, argv);
}

/* ------------------------------------------------------------------ answers */

static int told_topics(struct mr_kafka *k, const rd_kafka_topic_result_t **results, size_t count,
                       const char *what)
{
    int code = count ? MR_EXIT_OK : MR_EXIT_FAILED;
    for (size_t i = 0; i < count; i++)
        if (rd_kafka_topic_result_error(results[i]))
            code = mr_kafka_refused(k, what, rd_kafka_topic_result_name(results[i]),
                                    rd_kafka_topic_result_error(results[i]),
                                    rd_kafka_topic_result_error_string(results[i]));
    return code;
}

/* Brokers of a cluster learn of a change a moment after the answer to it: waits until this one
 * has, so that what comes next finds it. partitions 0: the topic is to be gone. */
static int until_known(struct mr_kafka *k, const char *name, int64_t partitions)
{
    int64_t end = mr_kafka_now_ms() + k->timeout_ms;
    for (;;) {
        int code = mr_kafka_refresh(k);
        const struct rd_kafka_metadata_topic *t = code ? NULL : mr_kafka_topic_quiet(k, name);
        bool known = partitions ? t && t->partition_cnt >= partitions : !t;
        if (code || known || mr_kafka_stopped || mr_kafka_now_ms() >= end)
            return code;
        (void)poll(NULL, 0, NAP_MS);
    }
}

/* ------------------------------------------------------------------ create */

int mr_kafka_create_topic(struct mr_kafka *k, const struct mr_verb *v, const char *name, int64_t partitions,
                          int64_t replicas, const char *const *configs)
{
    char text[256];
    int code = MR_EXIT_USAGE;
    rd_kafka_NewTopic_t *t = rd_kafka_NewTopic_new(name, (int)partitions, (int)replicas, text, sizeof text);
    bool good = t != NULL;
    if (!t)
        mr_cli_say("millrace %s: '%s' cannot be a topic: %s", v->name, name, text);
    for (size_t i = 0; good && configs[i]; i++) {
        char key[256];
        const char *value;
        good = mr_kafka_pair(v, "setting", configs[i], key, sizeof key, &value) &&
               rd_kafka_NewTopic_set_config(t, key, value) == RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    if (good) {
        size_t count;
        rd_kafka_AdminOptions_t *o = mr_kafka_admin_options(k, RD_KAFKA_ADMIN_OP_CREATETOPICS);
        rd_kafka_CreateTopics(k->rk, &t, 1, o, k->queue);
        rd_kafka_event_t *e = mr_kafka_answer(k, "create topic", name);
        code = MR_EXIT_FAILED;
        if (e) {
            const rd_kafka_topic_result_t **results =
                rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(e), &count);
            code = told_topics(k, results, count, "create topic");
            rd_kafka_event_destroy(e);
        }
        rd_kafka_AdminOptions_destroy(o);
        if (!code)
            code = until_known(k, name, 1);
    }
    if (t)
        rd_kafka_NewTopic_destroy(t);
    return code;
}

struct creating {
    struct mr_kafka_call c; /* first */
    const char *partitions, *replicas, *configs[MR_CLI_MANY_MAX + 1];
    bool if_missing;
    int64_t p, r;
};

static int check_create(struct mr_kafka_call *c)
{
    struct creating *n = (struct creating *)c;
    return mr_kafka_number(c->v, "--partitions", n->partitions, -1, PARTITIONS_MAX, &n->p) &&
                   mr_kafka_number(c->v, "--replicas", n->replicas, -1, REPLICAS_MAX, &n->r)
               ? MR_EXIT_OK
               : MR_EXIT_USAGE;
}

static int run_create(struct mr_kafka_call *c)
{
    const struct creating *n = (const struct creating *)c;
    if (n->if_missing && mr_kafka_topic_quiet(&c->k, c->words[0]))
        return mr_kafka_said(c, "topic", c->words[0], "kept");
    int code = mr_kafka_create_topic(&c->k, c->v, c->words[0], n->p, n->r, n->configs);
    return code ? code : mr_kafka_said(c, "topic", c->words[0], "created");
}

static int create(const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {"no topic given", 1, 1, check_create, run_create};
    struct creating n = {.c = {.v = v, .f = MR_KAFKA_FLAGS}, .partitions = "-1", .replicas = "-1"};
    const struct mr_flag flags[] = {
        {"partitions", "N", "how many (the broker's default)", NULL, &n.partitions},
        {"replicas", "N", "on how many brokers (the broker's default)", NULL, &n.replicas},
        {"config", "KEY=VALUE...", "a setting, such as retention.ms=86400000; may be repeated", NULL,
         n.configs},
        {"if-missing", NULL, "when it is there already, that is fine too", &n.if_missing, NULL},
        MR_KAFKA_COMMON_FLAGS(n.c.f),
        MR_KAFKA_JSON_FLAG(n.c.f, "says what was done as an object"),
        {0},
    };
    return mr_kafka_run(&n.c, &course, flags, argc, argv);
}

/* ------------------------------------------------------------------ alter */

struct altering {
    struct mr_kafka_call c; /* first */
    const char *set[MR_CLI_MANY_MAX + 1], *unset[MR_CLI_MANY_MAX + 1];
};

static int check_alter(struct mr_kafka_call *c)
{
    const struct altering *a = (const struct altering *)c;
    if (a->set[0] || a->unset[0])
        return MR_EXIT_OK;
    mr_cli_say("millrace %s: nothing to change; usage: millrace %s", c->v->name, c->v->usage);
    return MR_EXIT_USAGE;
}

static int run_alter(struct mr_kafka_call *c)
{
    const struct altering *a = (const struct altering *)c;
    const struct mr_configs_change change = {.set = a->set, .unset = a->unset};
    return mr_configs_alter(c, MR_CONFIGS_TOPIC, c->words[0], &change);
}

static int alter(const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {"no topic given", 1, 1, check_alter, run_alter};
    struct altering a = {.c = {.v = v, .f = MR_KAFKA_FLAGS}};
    const struct mr_flag flags[] = {
        {"config", "KEY=VALUE...", "a setting; may be repeated", NULL, a.set},
        {"delete", "KEY...", "back to the default; may be repeated", NULL, a.unset},
        MR_KAFKA_COMMON_FLAGS(a.c.f),
        MR_KAFKA_JSON_FLAG(a.c.f, "says what was done as an object"),
        {0},
    };
    return mr_kafka_run(&a.c, &course, flags, argc, argv);
}

/* ------------------------------------------------------------------ delete, add-partitions */

static int delete_one(struct mr_kafka *k, const char *name)
{
    size_t count;
    int code = MR_EXIT_FAILED;
    if (!mr_kafka_topic(k, name))
        return MR_EXIT_FAILED;
    rd_kafka_DeleteTopic_t *d = rd_kafka_DeleteTopic_new(name);
    rd_kafka_AdminOptions_t *o = mr_kafka_admin_options(k, RD_KAFKA_ADMIN_OP_DELETETOPICS);
    rd_kafka_DeleteTopics(k->rk, &d, 1, o, k->queue);
    rd_kafka_event_t *e = mr_kafka_answer(k, "delete topic", name);
    if (e) {
        const rd_kafka_topic_result_t **results =
            rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(e), &count);
        code = told_topics(k, results, count, "delete topic");
        rd_kafka_event_destroy(e);
    }
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_DeleteTopic_destroy(d);
    return code ? code : until_known(k, name, 0);
}

static int run_delete(struct mr_kafka_call *c)
{
    return mr_kafka_each(c, delete_one, "topic", "deleted");
}

static int delete (const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {"no topic given", 1, MR_CLI_MANY_MAX, NULL, run_delete};
    return mr_kafka_plain(v, &course, "says what was done as an object", argc, argv);
}

static int add_some(struct mr_kafka *k, const char *name, int64_t total)
{
    char text[256];
    size_t count;
    int code = MR_EXIT_FAILED;
    const struct rd_kafka_metadata_topic *t = mr_kafka_topic(k, name);
    if (!t)
        return MR_EXIT_FAILED;
    if (t->partition_cnt >= total) {
        mr_cli_say(
            "millrace: error: topic '%s' has %d partitions already; N counts all of them, and none can be "
            "taken away",
            name, t->partition_cnt);
        return MR_EXIT_FAILED;
    }
    rd_kafka_NewPartitions_t *n = rd_kafka_NewPartitions_new(name, (size_t)total, text, sizeof text);
    if (!n) {
        mr_cli_say("millrace: error: cannot add partitions to '%s': %s", name, text);
        return MR_EXIT_FAILED;
    }
    rd_kafka_AdminOptions_t *o = mr_kafka_admin_options(k, RD_KAFKA_ADMIN_OP_CREATEPARTITIONS);
    rd_kafka_CreatePartitions(k->rk, &n, 1, o, k->queue);
    rd_kafka_event_t *e = mr_kafka_answer(k, "add partitions to", name);
    if (e) {
        const rd_kafka_topic_result_t **results =
            rd_kafka_CreatePartitions_result_topics(rd_kafka_event_CreatePartitions_result(e), &count);
        code = told_topics(k, results, count, "add partitions to");
        rd_kafka_event_destroy(e);
    }
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_NewPartitions_destroy(n);
    return code ? code : until_known(k, name, total);
}

struct growing {
    struct mr_kafka_call c; /* first */
    int64_t total;
};

static int check_add(struct mr_kafka_call *c)
{
    struct growing *g = (struct growing *)c;
    return mr_kafka_number(c->v, "N", c->words[1], 1, PARTITIONS_MAX, &g->total) ? MR_EXIT_OK : MR_EXIT_USAGE;
}

static int run_add(struct mr_kafka_call *c)
{
    int code = add_some(&c->k, c->words[0], ((const struct growing *)c)->total);
    return code ? code : mr_kafka_said(c, "topic", c->words[0], "grew");
}

static int add_partitions(const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {"no topic given", 2, 2, check_add, run_add};
    struct growing g = {.c = {.v = v, .f = MR_KAFKA_FLAGS}};
    const struct mr_flag flags[] = {
        MR_KAFKA_COMMON_FLAGS(g.c.f), MR_KAFKA_JSON_FLAG(g.c.f, "says what was done as an object"), {0}};
    return mr_kafka_run(&g.c, &course, flags, argc, argv);
}

/* ------------------------------------------------------------------ the verbs */

static const struct mr_verb subs[] = {
    {"topic list", "topic list", "names, partitions, replicas",
     "Lists the topics by name.\n\n  millrace topic list --json | jq -r .topic", list},
    {"topic create", "topic create NAME [--partitions N]", "makes a topic",
     "Makes a topic. What is not said is the broker's default.\n\n"
     "  millrace topic create orders --partitions 6 --config retention.ms=86400000\n"
     "  millrace topic create orders --if-missing",
     create},
    {"topic describe", "topic describe NAME", "its partitions, their offsets and sizes; how durable it is",
     "Tells of each partition where it is and which offsets it has: FIRST is the oldest record, NEXT the "
     "one\n"
     "that is written next. RECORDS counts offsets; after compaction there are fewer. SIZE is what its "
     "leader has "
     "on\n"
     "the disk. Durability is what an answer to acks=all means here: that the record is on the disk, or that "
     "it is "
     "in the\n"
     "memory of the machines and a loss of power may take it back.\n\n"
     "  millrace topic describe orders\n"
     "  millrace topic describe orders --json | jq -r .durability",
     mr_topic_describe},
    {"topic alter", "topic alter NAME --config KEY=VALUE...", "changes settings",
     "Changes settings and leaves the others as they are; `millrace configs describe topic NAME` lists "
     "them.\n\n"
     "  millrace topic alter orders --config retention.ms=3600000 --delete segment.bytes",
     alter},
    {"topic delete", "topic delete NAME...", "deletes topics with their records",
     "Deletes topics and every record in them. There is no way back.\n\n  millrace topic delete orders",
     delete},
    {"topic add-partitions", "topic add-partitions NAME N", "lets a topic grow to N partitions",
     "Lets a topic grow to N partitions in all. Records that are there stay where they are: keys may go to\n"
     "another partition from now on.\n\n  millrace topic add-partitions orders 12",
     add_partitions},
};

static int topic(const struct mr_verb *v, int argc, char **argv)
{
    return mr_kafka_dispatch(v, subs, sizeof subs / sizeof subs[0], argc, argv);
}

const struct mr_verb mr_kafka_verb_topic = {
    .name = "topic",
    .usage = "topic list|create|describe|alter|delete|add-partitions",
    .help = "Topics of a broker that speaks Kafka's protocol: `millrace serve`, Apache Kafka and others.",
    .run = topic,
};
