/* topic_describe.c - `millrace topic describe`: partitions, offsets, sizes, and what an
 * acknowledgement means.
 *
 * Durability.  millrace has a setting of that name: "fsync" answers acks=all when the record is
 *              on the disk, "page_cache" when it is in memory. Where there is none (Apache
 *              Kafka), flush.messages=1 is the same as fsync, and anything else is the page cache
 *              of as many brokers as min.insync.replicas says.
 */
#include "cli/configs.h"

#include "base/text.h"
#include "base/time.h"

#include <inttypes.h>
#include <stdlib.h>

struct picture {
    const struct rd_kafka_metadata_topic *t;
    rd_kafka_topic_partition_list_t *first, *next; /* the same partitions in the same order */
    int64_t *bytes;                                /* of each, at its leader; -1: not known */
    const mr_configs *settings;                    /* NULL: not known, told */
    bool fsync;
    int64_t flush_ms, flush_messages, min_in_sync; /* -1: not set, or for ever */
};

/* ------------------------------------------------------------------ durability */

static int64_t number_of(struct mr_kafka *k, const struct picture *p, const char *name)
{
    int64_t n;
    const char *text = mr_configs_value(k, p->settings, name);
    return text && mr_parse_i64(mr_slice_of(text), &n) && n != INT64_MAX ? n : -1;
}

static void judge(struct mr_kafka *k, struct picture *p)
{
    const char *own = mr_configs_value(k, p->settings, "durability");
    p->flush_ms = number_of(k, p, "flush.ms");
    p->flush_messages = number_of(k, p, "flush.messages");
    p->min_in_sync = number_of(k, p, "min.insync.replicas");
    p->fsync = own ? !strcmp(own, "fsync") : p->flush_messages == 1;
}

static void tell_durability(const struct picture *p)
{
    char often[96] = "", age[32];
    int replicas = p->t->partition_cnt ? p->t->partitions[0].replica_cnt : 0;
    if (!p->settings) {
        (void)printf("durability: not known: the settings cannot be read\n");
        return;
    }
    if (p->fsync) {
        (void)printf("durability: fsync: acks=all is answered when the record is on the disk\n");
        return;
    }
    if (p->flush_ms >= 0) {
        (void)mr_duration_print(p->flush_ms, age);
        (void)snprintf(often, sizeof often, "; synced every %s", age);
    }
    if (p->flush_messages >= 0) {
        size_t at = strlen(often);
        (void)snprintf(often + at, sizeof often - at, "%s every %" PRId64 " records",
                       at ? " and" : "; synced", p->flush_messages);
    }
    (void)printf(
        "durability: page cache: acks=all is answered when the record is in memory%s; a loss of power may "
        "take it back%s\n",
        p->min_in_sync > 1 ? " of the replicas" : "", often);
    if (p->min_in_sync >= 0)
        (void)printf("            %d replica%s, at least %" PRId64 " in sync to be written to\n", replicas,
                     replicas == 1 ? "" : "s", p->min_in_sync);
}

/* ------------------------------------------------------------------ sizes */

static void take_sizes(struct picture *p, int32_t broker,
                       const struct mr_describe_log_dirs_response_result *dir)
{
    for (int32_t t = 0; t < dir->topics_count; t++)
        for (int32_t i = 0; i < dir->topics[t].partitions_count; i++) {
            const struct mr_describe_log_dirs_response_partition *d = &dir->topics[t].partitions[i];
            for (int n = 0; n < p->t->partition_cnt; n++)
                if (p->t->partitions[n].id == d->partition_index && p->t->partitions[n].leader == broker &&
                    !d->is_future_key)
                    p->bytes[n] = d->partition_size;
        }
}

/* Who may not be asked leaves "-" behind: sizes are not what this verb is for. false: told. */
static bool ask_sizes(struct mr_kafka *k, struct picture *p)
{
    struct mr_describe_log_dirs_request_topic one;
    struct mr_describe_log_dirs_request request;
    int count = p->t->partition_cnt;
    int32_t *ids = mr_ask_take(k, (size_t)count, sizeof *ids);
    p->bytes = mr_ask_take(k, (size_t)count, sizeof *p->bytes);
    for (int i = 0; i < count; i++) {
        ids[i] = p->t->partitions[i].id;
        p->bytes[i] = -1;
    }
    mr_describe_log_dirs_request_init(&request);
    mr_describe_log_dirs_request_topic_init(&one);
    one.topic = mr_slice_of(p->t->topic);
    one.partitions = ids;
    one.partitions_count = count;
    request.topics = &one;
    request.topics_count = 1;
    for (int b = 0; b < k->meta->broker_cnt; b++) {
        struct mr_describe_log_dirs_response response;
        int32_t node = k->meta->brokers[b].id;
        bool leads = false;
        for (int i = 0; i < count; i++)
            leads = leads || p->t->partitions[i].leader == node;
        int version = leads ? mr_ask_version(k, node, MR_ASK_DESCRIBE_LOG_DIRS) : -1;
        if (version == -1)
            continue;
        if (version < 0 || !mr_ask(k, node, MR_ASK_DESCRIBE_LOG_DIRS, &request, &response))
            return false;
        for (int32_t i = 0; !response.error_code && i < response.results_count; i++)
            take_sizes(p, node, &response.results[i]);
    }
    return true;
}

/* ------------------------------------------------------------------ printing */

static const rd_kafka_metadata_partition_t *partition_of(const struct picture *p, int32_t id)
{
    for (int i = 0; i < p->t->partition_cnt; i++)
        if (p->t->partitions[i].id == id)
            return &p->t->partitions[i];
    return &p->t->partitions[0];
}

static void ids_cell(struct mr_table *table, const int32_t *list, int count)
{
    char text[256];
    size_t at = 0;
    text[0] = '\0';
    for (int i = 0; i < count && at < sizeof text; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%" PRId32, i ? "," : "", list[i]);
    mr_table_cell(table, "%s", text);
}

static int64_t bytes_of(const struct picture *p, int32_t id)
{
    for (int i = 0; i < p->t->partition_cnt; i++)
        if (p->t->partitions[i].id == id)
            return p->bytes[i];
    return -1;
}

static void size_cell(struct mr_table *table, int64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double n = (double)bytes;
    size_t unit = 0;
    for (; n >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        n /= 1024;
    if (bytes < 0)
        mr_table_cell(table, "-");
    else
        mr_table_cell(table, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
}

static bool describe_text(const struct picture *p)
{
    static const char *const head[] = {"PARTITION", "LEADER", "REPLICAS", "IN SYNC",
                                       "FIRST",     "NEXT",   "RECORDS",  "SIZE"};
    struct mr_table table = {.columns = sizeof head / sizeof head[0]};
    (void)printf("topic %s: %d partition%s\n", p->t->topic, p->t->partition_cnt,
                 p->t->partition_cnt == 1 ? "" : "s");
    tell_durability(p);
    for (size_t i = 0; i < table.columns; i++)
        mr_table_cell(&table, "%s", head[i]);
    for (int i = 0; i < p->first->cnt; i++) {
        const rd_kafka_metadata_partition_t *m = partition_of(p, p->first->elems[i].partition);
        int64_t from = p->first->elems[i].offset, to = p->next->elems[i].offset;
        mr_table_cell(&table, "%" PRId32, m->id);
        mr_table_cell(&table, "%" PRId32, m->leader);
        ids_cell(&table, m->replicas, m->replica_cnt);
        ids_cell(&table, m->isrs, m->isr_cnt);
        mr_table_cell(&table, "%" PRId64, from);
        mr_table_cell(&table, "%" PRId64, to);
        mr_table_cell(&table, "%" PRId64, to - from);
        size_cell(&table, bytes_of(p, m->id));
    }
    return mr_table_end(&table);
}

static void json_ids(struct mr_jsonl *j, const char *name, const int32_t *list, int count)
{
    mr_jsonl_open(j, name, '[');
    for (int i = 0; i < count; i++)
        mr_jsonl_int(j, NULL, list[i]);
    mr_jsonl_close(j, ']');
}

static bool describe_json(const struct picture *p)
{
    struct mr_jsonl j = {0};
    mr_jsonl_open(&j, NULL, '{');
    mr_jsonl_text(&j, "topic", p->t->topic);
    mr_jsonl_text(&j, "durability", !p->settings ? NULL : p->fsync ? "fsync" : "page_cache");
    mr_jsonl_known(&j, "flush_ms", p->flush_ms);
    mr_jsonl_known(&j, "flush_messages", p->flush_messages);
    mr_jsonl_known(&j, "min_in_sync", p->min_in_sync);
    mr_jsonl_open(&j, "partitions", '[');
    for (int i = 0; i < p->first->cnt; i++) {
        const rd_kafka_metadata_partition_t *m = partition_of(p, p->first->elems[i].partition);
        mr_jsonl_open(&j, NULL, '{');
        mr_jsonl_int(&j, "partition", m->id);
        mr_jsonl_int(&j, "leader", m->leader);
        json_ids(&j, "replicas", m->replicas, m->replica_cnt);
        json_ids(&j, "in_sync", m->isrs, m->isr_cnt);
        mr_jsonl_int(&j, "first", p->first->elems[i].offset);
        mr_jsonl_int(&j, "next", p->next->elems[i].offset);
        mr_jsonl_known(&j, "bytes", bytes_of(p, m->id));
        mr_jsonl_close(&j, '}');
    }
    mr_jsonl_close(&j, ']');
    return mr_jsonl_end(&j);
}

/* ------------------------------------------------------------------ the verb */

static int run_describe(struct mr_kafka_call *c)
{
    struct mr_kafka *k = &c->k;
    struct picture p = {.t = mr_kafka_topic(k, c->words[0])};
    if (!p.t)
        return MR_EXIT_FAILED;
    p.first = mr_kafka_partitions(p.t);
    p.next = mr_kafka_partitions(p.t);
    p.settings = mr_configs_read(k, MR_CONFIGS_TOPIC, p.t->topic);
    judge(k, &p);
    bool good = mr_kafka_offsets(k, p.first, MR_KAFKA_FIRST) && mr_kafka_offsets(k, p.next, MR_KAFKA_NEXT);
    rd_kafka_topic_partition_list_sort(p.first, NULL, NULL);
    rd_kafka_topic_partition_list_sort(p.next, NULL, NULL);
    good = good && ask_sizes(k, &p) && (c->f.json ? describe_json(&p) : describe_text(&p)) && p.settings;
    rd_kafka_topic_partition_list_destroy(p.first);
    rd_kafka_topic_partition_list_destroy(p.next);
    return good ? MR_EXIT_OK : MR_EXIT_FAILED;
}

int mr_topic_describe(const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {"no topic given", 1, 1, NULL, run_describe};
    return mr_kafka_plain(v, &course, "one object", argc, argv);
}
