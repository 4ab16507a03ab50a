/* topic.c - `millrace topic`: list, create, describe, alter, delete, add-partitions. */
#include "cli/kafka.h"

#include <inttypes.h>
#include <stdlib.h>

enum { PARTITIONS_MAX = 100000, REPLICAS_MAX = 100 };

/* ------------------------------------------------------------------ list */

static int by_name(const void *a, const void *b)
{
    const struct rd_kafka_metadata_topic *const *x = a, *const *y = b;
    return strcmp((*x)->topic, (*y)->topic);
}

static bool list_all(const struct mr_kafka *k, bool json)
{
    size_t count = (size_t)k->meta->topic_cnt;
    const struct rd_kafka_metadata_topic **sorted = calloc(count + 1, sizeof *sorted);
    struct mr_table table = {.columns = 3};
    struct mr_jsonl line = {0};
    bool good = sorted != NULL;
    if (good) {
        for (size_t i = 0; i < count; i++)
            sorted[i] = &k->meta->topics[i];
        qsort(sorted, count, sizeof *sorted, by_name);
    }
    if (!json) {
        mr_table_cell(&table, "TOPIC");
        mr_table_cell(&table, "PARTITIONS");
        mr_table_cell(&table, "REPLICAS");
    }
    for (size_t i = 0; good && i < count; i++) {
        const struct rd_kafka_metadata_topic *t = sorted[i];
        int replicas = t->partition_cnt ? t->partitions[0].replica_cnt : 0;
        if (json) {
            mr_jsonl_open(&line, NULL, '{');
            mr_jsonl_text(&line, "topic", t->topic);
            mr_jsonl_int(&line, "partitions", t->partition_cnt);
            mr_jsonl_int(&line, "replicas", replicas);
            mr_jsonl_close(&line, '}');
            good = mr_jsonl_line(&line);
        } else {
            mr_table_cell(&table, "%s", t->topic);
            mr_table_cell(&table, "%d", t->partition_cnt);
            mr_table_cell(&table, "%d", replicas);
        }
    }
    if (!json)
        good = mr_table_end(&table) && good;
    mr_jsonl_fini(&line);
    free(sorted);
    return good;
}

static int list(const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    struct mr_kafka k = {0};
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        MR_KAFKA_COMMON_FLAGS(f), MR_KAFKA_JSON_FLAG(f, "one object a line"), {0}};
    if (!mr_cli_options(v, flags, argc, argv, NULL, 0, &count, &code))
        return code;
    code = mr_kafka_admin(&k, v, &f);
    if (!code && !list_all(&k, f.json))
        code = MR_EXIT_FAILED;
    mr_kafka_close(&k);
    return code;
}

/* ------------------------------------------------------------------ what an admin request did to a topic */

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

/* {"topic":"orders","done":"created"} or "created topic 'orders'" */
static int said(const char *topic, const char *done, bool json)
{
    struct mr_jsonl line = {0};
    bool good;
    if (!json)
        return printf("%s topic '%s'\n", done, topic) < 0 ? MR_EXIT_FAILED : MR_EXIT_OK;
    mr_jsonl_open(&line, NULL, '{');
    mr_jsonl_text(&line, "topic", topic);
    mr_jsonl_text(&line, "done", done);
    mr_jsonl_close(&line, '}');
    good = mr_jsonl_line(&line);
    mr_jsonl_fini(&line);
    return good ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static bool need_name(const struct mr_verb *v, size_t count, size_t want)
{
    if (count == want)
        return true;
    mr_cli_say("millrace %s: %s; usage: millrace %s", v->name, count ? "a word is missing" : "no topic given",
               v->usage);
    return false;
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
    }
    if (t)
        rd_kafka_NewTopic_destroy(t);
    return code;
}

static int create(const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    struct mr_kafka k = {0};
    const char *name, *partitions = "-1", *replicas = "-1", *configs[MR_CLI_MANY_MAX + 1] = {0};
    int64_t p = -1, r = -1;
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        {"partitions", "N", "how many (the broker's default)", NULL, &partitions},
        {"replicas", "N", "on how many brokers (the broker's default)", NULL, &replicas},
        {"config", "KEY=VALUE...", "a setting, such as retention.ms=86400000; may be repeated", NULL,
         configs},
        MR_KAFKA_COMMON_FLAGS(f),
        MR_KAFKA_JSON_FLAG(f, "says what was done as an object"),
        {0},
    };
    if (!mr_cli_options(v, flags, argc, argv, &name, 1, &count, &code))
        return code;
    if (!need_name(v, count, 1) || !mr_kafka_number(v, "--partitions", partitions, -1, PARTITIONS_MAX, &p) ||
        !mr_kafka_number(v, "--replicas", replicas, -1, REPLICAS_MAX, &r))
        return MR_EXIT_USAGE;
    code = mr_kafka_admin(&k, v, &f);
    if (!code)
        code = mr_kafka_create_topic(&k, v, name, p, r, configs);
    if (!code)
        code = said(name, "created", f.json);
    mr_kafka_close(&k);
    return code;
}

/* ------------------------------------------------------------------ describe */

static void ids(char *out, size_t cap, const int32_t *list_of, int count)
{
    size_t at = 0;
    out[0] = '\0';
    for (int i = 0; i < count && at < cap; i++)
        at += (size_t)snprintf(out + at, cap - at, "%s%" PRId32, i ? "," : "", list_of[i]);
}

static const rd_kafka_metadata_partition_t *partition_of(const struct rd_kafka_metadata_topic *t, int32_t id)
{
    for (int i = 0; i < t->partition_cnt; i++)
        if (t->partitions[i].id == id)
            return &t->partitions[i];
    return &t->partitions[0];
}

static bool describe_text(const struct rd_kafka_metadata_topic *t,
                          const rd_kafka_topic_partition_list_t *first,
                          const rd_kafka_topic_partition_list_t *next)
{
    static const char *const head[] = {"PARTITION", "LEADER", "REPLICAS", "IN SYNC",
                                       "FIRST",     "NEXT",   "RECORDS"};
    struct mr_table table = {.columns = sizeof head / sizeof head[0]};
    for (size_t i = 0; i < table.columns; i++)
        mr_table_cell(&table, "%s", head[i]);
    for (int i = 0; i < first->cnt; i++) {
        const rd_kafka_metadata_partition_t *p = partition_of(t, first->elems[i].partition);
        char replicas[128], isrs[128];
        int64_t from = first->elems[i].offset, to = next->elems[i].offset;
        ids(replicas, sizeof replicas, p->replicas, p->replica_cnt);
        ids(isrs, sizeof isrs, p->isrs, p->isr_cnt);
        mr_table_cell(&table, "%" PRId32, p->id);
        mr_table_cell(&table, "%" PRId32, p->leader);
        mr_table_cell(&table, "%s", replicas);
        mr_table_cell(&table, "%s", isrs);
        mr_table_cell(&table, "%" PRId64, from);
        mr_table_cell(&table, "%" PRId64, to);
        mr_table_cell(&table, "%" PRId64, to - from);
    }
    return mr_table_end(&table);
}

static void json_ids(struct mr_jsonl *j, const char *name, const int32_t *list_of, int count)
{
    mr_jsonl_open(j, name, '[');
    for (int i = 0; i < count; i++)
        mr_jsonl_int(j, NULL, list_of[i]);
    mr_jsonl_close(j, ']');
}

static bool describe_json(const struct rd_kafka_metadata_topic *t,
                          const rd_kafka_topic_partition_list_t *first,
                          const rd_kafka_topic_partition_list_t *next)
{
    struct mr_jsonl j = {0};
    mr_jsonl_open(&j, NULL, '{');
    mr_jsonl_text(&j, "topic", t->topic);
    mr_jsonl_open(&j, "partitions", '[');
    for (int i = 0; i < first->cnt; i++) {
        const rd_kafka_metadata_partition_t *p = partition_of(t, first->elems[i].partition);
        mr_jsonl_open(&j, NULL, '{');
        mr_jsonl_int(&j, "partition", p->id);
        mr_jsonl_int(&j, "leader", p->leader);
        json_ids(&j, "replicas", p->replicas, p->replica_cnt);
        json_ids(&j, "in_sync", p->isrs, p->isr_cnt);
        mr_jsonl_int(&j, "first", first->elems[i].offset);
        mr_jsonl_int(&j, "next", next->elems[i].offset);
        mr_jsonl_close(&j, '}');
    }
    mr_jsonl_close(&j, ']');
    mr_jsonl_close(&j, '}');
    bool good = mr_jsonl_line(&j);
    mr_jsonl_fini(&j);
    return good;
}

static int describe_one(struct mr_kafka *k, const char *name, bool json)
{
    const struct rd_kafka_metadata_topic *t = mr_kafka_topic(k, name);
    if (!t)
        return MR_EXIT_FAILED;
    rd_kafka_topic_partition_list_t *first = mr_kafka_partitions(t), *next = mr_kafka_partitions(t);
    bool good = mr_kafka_offsets(k, first, MR_KAFKA_FIRST) && mr_kafka_offsets(k, next, MR_KAFKA_NEXT);
    rd_kafka_topic_partition_list_sort(first, NULL, NULL);
    rd_kafka_topic_partition_list_sort(next, NULL, NULL);
    good = good && (json ? describe_json(t, first, next) : describe_text(t, first, next));
    rd_kafka_topic_partition_list_destroy(first);
    rd_kafka_topic_partition_list_destroy(next);
    return good ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static int describe(const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    struct mr_kafka k = {0};
    const char *name;
    size_t count;
    int code;
    const struct mr_flag flags[] = {MR_KAFKA_COMMON_FLAGS(f), MR_KAFKA_JSON_FLAG(f, "one object"), {0}};
    if (!mr_cli_options(v, flags, argc, argv, &name, 1, &count, &code))
        return code;
    if (!need_name(v, count, 1))
        return MR_EXIT_USAGE;
    code = mr_kafka_admin(&k, v, &f);
    if (!code)
        code = describe_one(&k, name, f.json);
    mr_kafka_close(&k);
    return code;
}

/* ------------------------------------------------------------------ alter: the same as configs alter topic
 */

static int alter(const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    const char *name, *set[MR_CLI_MANY_MAX + 1] = {0}, *unset[MR_CLI_MANY_MAX + 1] = {0};
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        {"config", "KEY=VALUE...", "a setting; may be repeated", NULL, set},
        {"delete", "KEY...", "back to the default; may be repeated", NULL, unset},
        MR_KAFKA_COMMON_FLAGS(f),
        MR_KAFKA_JSON_FLAG(f, "says what was done as an object"),
        {0},
    };
    if (!mr_cli_options(v, flags, argc, argv, &name, 1, &count, &code))
        return code;
    if (!need_name(v, count, 1))
        return MR_EXIT_USAGE;
    return mr_kafka_alter_configs(v, &f, name, set, unset);
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
    return code;
}

static int delete (const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    struct mr_kafka k = {0};
    const char *name;
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        MR_KAFKA_COMMON_FLAGS(f), MR_KAFKA_JSON_FLAG(f, "says what was done as an object"), {0}};
    if (!mr_cli_options(v, flags, argc, argv, &name, 1, &count, &code))
        return code;
    if (!need_name(v, count, 1))
        return MR_EXIT_USAGE;
    code = mr_kafka_admin(&k, v, &f);
    if (!code)
        code = delete_one(&k, name);
    if (!code)
        code = said(name, "deleted", f.json);
    mr_kafka_close(&k);
    return code;
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
    return code;
}

static int add_partitions(const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    struct mr_kafka k = {0};
    const char *words[2];
    int64_t total = 0;
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        MR_KAFKA_COMMON_FLAGS(f), MR_KAFKA_JSON_FLAG(f, "says what was done as an object"), {0}};
    if (!mr_cli_options(v, flags, argc, argv, words, 2, &count, &code))
        return code;
    if (!need_name(v, count, 2) || !mr_kafka_number(v, "N", words[1], 1, PARTITIONS_MAX, &total))
        return MR_EXIT_USAGE;
    code = mr_kafka_admin(&k, v, &f);
    if (!code)
        code = add_some(&k, words[0], total);
    if (!code)
        code = said(words[0], "grew", f.json);
    mr_kafka_close(&k);
    return code;
}

/* ------------------------------------------------------------------ the verbs */

static const struct mr_verb subs[] = {
    {"topic list", "topic list", "names, partitions, replicas",
     "Lists the topics by name.\n\n  millrace topic list --json | jq -r .topic", list},
    {"topic create", "topic create NAME [--partitions N]", "makes a topic",
     "Makes a topic. What is not said is the broker's default.\n\n"
     "  millrace topic create orders --partitions 6 --config retention.ms=86400000",
     create},
    {"topic describe", "topic describe NAME", "its partitions: leader, first and next offset",
     "Tells of each partition where it is and which offsets it has: FIRST is the oldest record, NEXT the "
     "one\n"
     "that is written next. RECORDS counts offsets; after compaction there are fewer.\n\n"
     "  millrace topic describe orders",
     describe},
    {"topic alter", "topic alter NAME --config KEY=VALUE...", "changes settings",
     "Changes settings and leaves the others as they are; `millrace configs describe topic NAME` lists "
     "them.\n\n"
     "  millrace topic alter orders --config retention.ms=3600000 --delete segment.bytes",
     alter},
    {"topic delete", "topic delete NAME", "deletes a topic with its records",
     "Deletes a topic and every record in it. There is no way back.\n\n  millrace topic delete orders",
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
