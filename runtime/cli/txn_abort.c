/* txn_abort.c - what is open in partitions, and ending it.
 *
 * Two ways end a transaction. By its id: whoever starts as the producer of an id fences the one
 * before and ends what that one left open (InitProducerId). A hanging one has no id that would
 * help: its abort is written into the partition itself (WriteTxnMarkers). That is refused while a
 * coordinator has the transaction, because the coordinator would end it too, and perhaps commit
 * it.
 */
#include "cli/txn.h"

#include "base/text.h"

#include <inttypes.h>

enum { TXN_TIMEOUT_MS = 60000, ERROR_CONCURRENT = 51 };

typedef struct mr_describe_producers_response_active_producer active;
typedef struct mr_describe_producers_response_partition at_leader;

/* ------------------------------------------------------------------ producers of partitions */

/* The producers of one partition, asked of its leader; NULL: told. */
static const at_leader *producers_of(struct mr_kafka *k, const char *topic,
                                     const rd_kafka_metadata_partition_t *p)
{
    struct mr_describe_producers_request_topic one;
    struct mr_describe_producers_request request;
    struct mr_describe_producers_response response;
    const at_leader *got = NULL;
    char name[300];
    int32_t id = p->id;
    (void)snprintf(name, sizeof name, "%s:%" PRId32, topic, id);
    if (p->leader < 0) {
        (void)mr_kafka_refused(k, "ask for the producers of", name, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
                               NULL);
        return NULL;
    }
    mr_describe_producers_request_init(&request);
    mr_describe_producers_request_topic_init(&one);
    one.name = mr_slice_of(topic);
    one.partition_indexes = &id;
    one.partition_indexes_count = 1;
    request.topics = &one;
    request.topics_count = 1;
    if (!mr_ask(k, p->leader, MR_ASK_DESCRIBE_PRODUCERS, &request, &response))
        return NULL;
    if (response.topics_count == 1 && response.topics[0].partitions_count == 1)
        got = &response.topics[0].partitions[0];
    if (got && !got->error_code)
        return got;
    (void)mr_kafka_refused(k, "ask for the producers of", name,
                           got ? (rd_kafka_resp_err_t)got->error_code : RD_KAFKA_RESP_ERR__BAD_MSG,
                           got && got->error_message.len ? mr_ask_text(k, got->error_message) : NULL);
    return NULL;
}

/* "orders" or "orders:3". partition: [out] -1: all of them. NULL: told. */
static const struct rd_kafka_metadata_topic *topic_of(struct mr_kafka *k, const char *word,
                                                      int64_t *partition)
{
    const struct rd_kafka_metadata_topic *t;
    const char *colon = strrchr(word, ':');
    *partition = -1;
    if (!colon || !mr_parse_i64(mr_slice_of(colon + 1), partition) || *partition < 0) {
        *partition = -1;
        return mr_kafka_topic(k, word);
    }
    t = mr_kafka_topic(k, mr_ask_text(k, (struct mr_slice){word, (size_t)(colon - word)}));
    return t && mr_kafka_has_partition(t, *partition) ? t : NULL;
}

static int run_producers(struct mr_kafka_call *c)
{
    static const struct mr_rows_column columns[] = {{NULL, "topic"},
                                                    {"PARTITION", "partition"},
                                                    {"PRODUCER", "producer_id"},
                                                    {"EPOCH", "producer_epoch"},
                                                    {"LAST SEQUENCE", "last_sequence"},
                                                    {"LAST WRITE", "last_write"},
                                                    {NULL, "coordinator_epoch"},
                                                    {"OPEN FROM", "open_from"},
                                                    {0}};
    int64_t only;
    struct mr_rows rows;
    bool good = true;
    struct mr_kafka *k = &c->k;
    const struct rd_kafka_metadata_topic *t = topic_of(k, c->words[0], &only);
    if (!t)
        return MR_EXIT_FAILED;
    mr_rows_open(&rows, c->f.json, columns);
    for (int i = 0; good && i < t->partition_cnt; i++) {
        if (only >= 0 && t->partitions[i].id != only)
            continue;
        const at_leader *p = producers_of(k, t->topic, &t->partitions[i]);
        good = p != NULL;
        for (int32_t n = 0; good && n < p->active_producers_count; n++) {
            const active *a = &p->active_producers[n];
            mr_rows_text(&rows, t->topic);
            mr_rows_int(&rows, t->partitions[i].id);
            mr_rows_int(&rows, a->producer_id);
            mr_rows_int(&rows, a->producer_epoch);
            mr_rows_known(&rows, a->last_sequence);
            mr_rows_time(&rows, a->last_timestamp);
            mr_rows_known(&rows, a->coordinator_epoch);
            mr_rows_known(&rows, a->current_txn_start_offset);
        }
    }
    return mr_rows_close(&rows) && good ? MR_EXIT_OK : MR_EXIT_FAILED;
}

int mr_txn_producers(const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {"no topic given", 1, 1, NULL, run_producers};
    return mr_kafka_plain(v, &course, "one object a line", argc, argv);
}

/* ------------------------------------------------------------------ who has it */

static bool holds(const mr_txn *t, const char *topic, int32_t partition)
{
    static const char *const open[] = {"Ongoing", "PrepareCommit", "PrepareAbort", "PrepareEpochFence"};
    bool busy = false;
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        busy = busy || mr_slice_eq(t->transaction_state, mr_slice_of(open[i]));
    for (int32_t i = 0; busy && i < t->topics_count; i++)
        for (int32_t p = 0; p < t->topics[i].partitions_count; p++)
            if (t->topics[i].partitions[p] == partition &&
                mr_slice_eq(t->topics[i].topic, mr_slice_of(topic)))
                return true;
    return false;
}

/* The transactional id whose open transaction includes this partition; "": there is none, it
 * hangs. NULL: told.
 */
static const char *holder_of(struct mr_kafka *k, const char *topic, int32_t partition, int64_t producer)
{
    struct mr_list_transactions_request request;
    mr_list_transactions_request_init(&request);
    request.producer_id_filters = &producer;
    request.producer_id_filters_count = 1;
    for (int b = 0; b < k->meta->broker_cnt; b++) {
        struct mr_list_transactions_response all;
        if (!mr_txn_list(k, k->meta->brokers[b].id, &request, &all))
            return NULL;
        for (int32_t i = 0; i < all.transaction_states_count; i++) {
            int32_t coordinator;
            const char *id = mr_ask_text(k, all.transaction_states[i].transactional_id);
            const mr_txn *t = mr_txn_describe(k, id, &coordinator);
            if (!t)
                return NULL;
            if (holds(t, topic, partition))
                return id;
        }
    }
    return "";
}

/* ------------------------------------------------------------------ hanging */

static bool look_at(struct mr_kafka *k, const struct rd_kafka_metadata_topic *t, int64_t only,
                    struct mr_rows *rows)
{
    for (int i = 0; i < t->partition_cnt && !mr_kafka_stopped; i++) {
        if (only >= 0 && t->partitions[i].id != only)
            continue;
        const at_leader *p = producers_of(k, t->topic, &t->partitions[i]);
        for (int32_t n = 0; p && n < p->active_producers_count; n++) {
            const active *a = &p->active_producers[n];
            const char *id = a->current_txn_start_offset < 0
                                 ? "ended"
                                 : holder_of(k, t->topic, t->partitions[i].id, a->producer_id);
            if (!id)
                return false;
            if (*id)
                continue;
            mr_rows_text(rows, t->topic);
            mr_rows_int(rows, t->partitions[i].id);
            mr_rows_int(rows, a->producer_id);
            mr_rows_int(rows, a->producer_epoch);
            mr_rows_time(rows, a->last_timestamp);
            mr_rows_int(rows, a->current_txn_start_offset);
        }
        if (!p)
            return false;
    }
    return true;
}

static int run_hanging(struct mr_kafka_call *c)
{
    static const struct mr_rows_column columns[] = {{"TOPIC", "topic"},
                                                    {"PARTITION", "partition"},
                                                    {"PRODUCER", "producer_id"},
                                                    {"EPOCH", "producer_epoch"},
                                                    {"LAST WRITE", "last_write"},
                                                    {"OPEN FROM", "open_from"},
                                                    {0}};
    struct mr_kafka *k = &c->k;
    struct mr_kafka_progress progress;
    struct mr_rows rows;
    int64_t only = -1;
    const struct rd_kafka_metadata_topic *one = c->count ? topic_of(k, c->words[0], &only) : NULL;
    bool good = one || !c->count;
    uint64_t seen = 0;
    if (!good)
        return MR_EXIT_FAILED;
    mr_rows_open(&rows, c->f.json, columns);
    mr_kafka_progress_start(&progress);
    for (int i = 0; good && i < (one ? 1 : k->meta->topic_cnt) && !mr_kafka_stopped; i++) {
        const struct rd_kafka_metadata_topic *t = one ? one : &k->meta->topics[i];
        good = look_at(k, t, only, &rows);
        seen += (uint64_t)t->partition_cnt;
        mr_kafka_progress_count(&progress, "looked at", seen, "partitions");
    }
    mr_kafka_progress_end(&progress);
    return mr_rows_close(&rows) && good && !mr_kafka_stopped ? MR_EXIT_OK : MR_EXIT_FAILED;
}

int mr_txn_hanging(const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {"", 0, 1, NULL, run_hanging};
    return mr_kafka_plain(v, &course, "one object a line", argc, argv);
}

/* ------------------------------------------------------------------ abort */

struct aborting {
    struct mr_kafka_call c; /* first */
    const char *partition, *from;
    int64_t offset;
};

static int check_abort(struct mr_kafka_call *c)
{
    struct aborting *a = (struct aborting *)c;
    if (c->count == 1 && *c->words[0] && !a->partition && !a->from)
        return MR_EXIT_OK;
    if (c->count == 0 && a->partition && a->from && strchr(a->partition, ':'))
        return mr_kafka_number(c->v, "--from", a->from, 0, INT64_MAX, &a->offset) ? MR_EXIT_OK
                                                                                  : MR_EXIT_USAGE;
    mr_cli_say("millrace %s: %s; usage: millrace %s", c->v->name,
               c->count                  ? "an id, or --partition with --from: one of the two"
               : a->partition && a->from ? "--partition is written TOPIC:N"
               : a->partition            ? "--from is missing; `millrace txn hanging` tells it"
               : a->from                 ? "--partition is missing"
                                         : "no transactional id given",
               c->v->usage);
    return MR_EXIT_USAGE;
}

/* Begins as the producer of that id, which ends what is open; the coordinator says "concurrent"
 * until it has.
 */
static int abort_id(struct mr_kafka_call *c, const char *id)
{
    struct mr_kafka *k = &c->k;
    int64_t until_ms = mr_kafka_now_ms() + k->timeout_ms;
    int32_t coordinator;
    struct mr_init_producer_id_request request;
    struct mr_init_producer_id_response response;
    const mr_txn *t = mr_txn_describe(k, id, &coordinator);
    if (!t)
        return MR_EXIT_FAILED;
    bool open = !mr_slice_eq(t->transaction_state, MR_SLICE("Empty")) &&
                strncmp(mr_ask_text(k, t->transaction_state), "Complete", 8) != 0;
    mr_init_producer_id_request_init(&request);
    request.transactional_id = mr_slice_of(id);
    request.transaction_timeout_ms =
        t->transaction_timeout_ms > 0 ? t->transaction_timeout_ms : TXN_TIMEOUT_MS;
    do {
        if (!mr_ask(k, coordinator, MR_ASK_INIT_PRODUCER_ID, &request, &response))
            return MR_EXIT_FAILED;
    } while (response.error_code &&
             mr_ask_again(response.error_code == ERROR_CONCURRENT ? MR_ASK_LOADING : response.error_code,
                          until_ms));
    if (response.error_code == ERROR_CONCURRENT) {
        mr_cli_say(
            "millrace: error: the transaction of '%s' is being ended, but not all partitions have answered "
            "yet\n  = `millrace txn describe %s` shows its state; a longer --timeout waits for it",
            id, id);
        return MR_EXIT_FAILED;
    }
    if (response.error_code)
        return mr_kafka_refused(k, "abort the transaction of", id, (rd_kafka_resp_err_t)response.error_code,
                                NULL);
    if (c->f.json)
        return mr_kafka_said(c, "transactional_id", id, open ? "aborted" : "fenced");
    (void)printf(open ? "aborted the transaction of '%s'; its producer is fenced\n"
                      : "nothing was open under '%s'; its producer is fenced\n",
                 id);
    return MR_EXIT_OK;
}

static bool write_marker(struct mr_kafka *k, const char *topic, const rd_kafka_metadata_partition_t *p,
                         const active *a)
{
    struct mr_write_txn_markers_request_topic where;
    struct mr_write_txn_markers_request_marker marker;
    struct mr_write_txn_markers_request request;
    struct mr_write_txn_markers_response response;
    char name[300];
    int32_t id = p->id;
    int16_t error = (int16_t)RD_KAFKA_RESP_ERR_UNKNOWN;
    (void)snprintf(name, sizeof name, "%s:%" PRId32, topic, id);
    mr_write_txn_markers_request_init(&request);
    mr_write_txn_markers_request_marker_init(&marker);
    mr_write_txn_markers_request_topic_init(&where);
    where.name = mr_slice_of(topic);
    where.partition_indexes = &id;
    where.partition_indexes_count = 1;
    marker.producer_id = a->producer_id;
    marker.producer_epoch = (int16_t)a->producer_epoch;
    marker.coordinator_epoch = a->coordinator_epoch < 0 ? 0 : a->coordinator_epoch; /* -1: no marker yet */
    marker.topics = &where;
    marker.topics_count = 1;
    request.markers = &marker;
    request.markers_count = 1;
    if (!mr_ask(k, p->leader, MR_ASK_WRITE_TXN_MARKERS, &request, &response))
        return false;
    if (response.markers_count == 1 && response.markers[0].topics_count == 1 &&
        response.markers[0].topics[0].partitions_count == 1)
        error = response.markers[0].topics[0].partitions[0].error_code;
    if (error)
        (void)mr_kafka_refused(k, "abort what is open in", name, (rd_kafka_resp_err_t)error, NULL);
    return error == 0;
}

static int abort_hanging(struct mr_kafka_call *c, const char *word, int64_t from)
{
    struct mr_kafka *k = &c->k;
    int64_t only = -1;
    const struct rd_kafka_metadata_topic *t = topic_of(k, word, &only);
    const rd_kafka_metadata_partition_t *p = NULL;
    const active *a = NULL;
    for (int i = 0; t && i < t->partition_cnt; i++)
        if (t->partitions[i].id == only)
            p = &t->partitions[i];
    const at_leader *leader = p ? producers_of(k, t->topic, p) : NULL;
    if (!leader)
        return MR_EXIT_FAILED;
    for (int32_t i = 0; i < leader->active_producers_count; i++)
        if (leader->active_producers[i].current_txn_start_offset == from)
            a = &leader->active_producers[i];
    if (!a) {
        mr_cli_say("millrace: error: no transaction is open from offset %" PRId64 " of '%s'\n"
                   "  = `millrace txn producers %s` shows what is open",
                   from, word, word);
        return MR_EXIT_FAILED;
    }
    const char *holder = holder_of(k, t->topic, p->id, a->producer_id);
    if (holder && *holder)
        mr_cli_say("millrace: error: this transaction does not hang: transactional id '%s' has it, and its "
                   "coordinator ends it\n  = `millrace txn abort %s` makes it",
                   holder, holder);
    if (!holder || *holder || !write_marker(k, t->topic, p, a))
        return MR_EXIT_FAILED;
    return mr_kafka_said(c, "partition", word, "aborted");
}

static int run_abort(struct mr_kafka_call *c)
{
    const struct aborting *a = (const struct aborting *)c;
    return a->partition ? abort_hanging(c, a->partition, a->offset) : abort_id(c, c->words[0]);
}

int mr_txn_abort(const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {"", 0, 1, check_abort, run_abort};
    struct aborting a = {.c = {.v = v, .f = MR_KAFKA_FLAGS}};
    const struct mr_flag flags[] = {
        {"partition", "TOPIC:N", "where a transaction hangs", NULL, &a.partition},
        {"from", "OFFSET", "its first offset there", NULL, &a.from},
        MR_KAFKA_COMMON_FLAGS(a.c.f),
        MR_KAFKA_JSON_FLAG(a.c.f, "says what was done as an object"),
        {0},
    };
    return mr_kafka_run(&a.c, &course, flags, argc, argv);
}
