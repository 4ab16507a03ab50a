/* txn.c - `millrace txn`: transactions that are open, who has them, and ending those that were
 * left.
 *
 * Words.  An *open* transaction of a partition is one whose producer has written there and not
 *         ended it: readers of what is committed wait at its first offset. It *hangs* when no
 *         coordinator knows of it any more, so that nobody will ever end it.
 *
 * Ending them is in txn_abort.c.
 */
#include "cli/txn.h"

#include "base/text.h"
#include "base/time.h"

#include <inttypes.h>
#include <strings.h>
#include <time.h>

enum { ERROR_NO_ID = 105 };

static const char *const states[] = {"Empty",          "Ongoing",       "PrepareCommit",     "PrepareAbort",
                                     "CompleteCommit", "CompleteAbort", "PrepareEpochFence", "Dead"};
enum { STATES = sizeof states / sizeof states[0] };

typedef struct mr_list_transactions_response_transaction_state listed;

/* ------------------------------------------------------------------ list */

struct listing {
    struct mr_kafka_call c; /* first */
    const char *state[MR_CLI_MANY_MAX + 1], *producer[MR_CLI_MANY_MAX + 1], *longer;
    struct mr_list_transactions_request request;
};

static int check_list(struct mr_kafka_call *c)
{
    struct listing *l = (struct listing *)c;
    static struct mr_slice wanted[MR_CLI_MANY_MAX];
    static int64_t ids[MR_CLI_MANY_MAX];
    struct mr_err err = {0};
    mr_list_transactions_request_init(&l->request);
    l->request.state_filters = wanted;
    l->request.producer_id_filters = ids;
    for (size_t i = 0; l->state[i]; i++) {
        size_t k = 0;
        while (k < STATES && strcasecmp(states[k], l->state[i]) != 0)
            k++;
        if (k == STATES)
            return mr_cli_unknown("state", l->state[i], states, STATES, "millrace txn list --help");
        wanted[l->request.state_filters_count++] = mr_slice_of(states[k]);
    }
    for (size_t i = 0; l->producer[i]; i++)
        if (!mr_kafka_number(c->v, "--producer", l->producer[i], 0, INT64_MAX,
                             &ids[l->request.producer_id_filters_count++]))
            return MR_EXIT_USAGE;
    if (l->longer && mr_duration_parse(mr_slice_of(l->longer), &l->request.duration_filter, &err)) {
        mr_cli_say("millrace %s: --longer: %s", c->v->name, err.text);
        return MR_EXIT_USAGE;
    }
    return MR_EXIT_OK;
}

bool mr_txn_list(struct mr_kafka *k, int32_t node, const struct mr_list_transactions_request *request,
                 struct mr_list_transactions_response *response)
{
    char name[32];
    if (!mr_ask(k, node, MR_ASK_LIST_TRANSACTIONS, request, response))
        return false;
    if (!response->error_code)
        return true;
    (void)snprintf(name, sizeof name, "%" PRId32, node);
    (void)mr_kafka_refused(k, "list the transactions of broker", name,
                           (rd_kafka_resp_err_t)response->error_code, NULL);
    return false;
}

static int run_list(struct mr_kafka_call *c)
{
    static const struct mr_rows_column columns[] = {{"ID", "transactional_id"},
                                                    {"STATE", "state"},
                                                    {"PRODUCER", "producer_id"},
                                                    {"COORDINATOR", "coordinator"},
                                                    {0}};
    struct listing *l = (struct listing *)c;
    struct mr_kafka *k = &c->k;
    struct mr_rows rows;
    bool good = true;
    mr_rows_open(&rows, c->f.json, columns);
    for (int b = 0; good && b < k->meta->broker_cnt; b++) {
        int32_t node = k->meta->brokers[b].id;
        struct mr_list_transactions_response response;
        int version = l->longer ? mr_ask_version(k, node, MR_ASK_LIST_TRANSACTIONS) : 1;
        if (version == 0) {
            mr_cli_say("millrace: error: broker %" PRId32
                       " cannot select by duration: it is too old for --longer",
                       node);
            good = false;
        }
        good = good && version >= 0 && mr_txn_list(k, node, &l->request, &response);
        for (int32_t i = 0; good && i < response.transaction_states_count; i++) {
            const listed *t = &response.transaction_states[i];
            mr_rows_text(&rows, mr_ask_text(k, t->transactional_id));
            mr_rows_text(&rows, mr_ask_text(k, t->transaction_state));
            mr_rows_int(&rows, t->producer_id);
            mr_rows_int(&rows, node);
        }
    }
    return mr_rows_close(&rows) && good ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static int list(const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {NULL, 0, 0, check_list, run_list};
    struct listing l = {.c = {.v = v, .f = MR_KAFKA_FLAGS}};
    const struct mr_flag flags[] = {
        {"state", "STATE...", "those in this state alone (Ongoing, ...); may be repeated", NULL, l.state},
        {"producer", "N...", "those of this producer's number; may be repeated", NULL, l.producer},
        {"longer", "DURATION", "those that are open for longer", NULL, &l.longer},
        MR_KAFKA_COMMON_FLAGS(l.c.f),
        MR_KAFKA_JSON_FLAG(l.c.f, "one object a line"),
        {0},
    };
    return mr_kafka_run(&l.c, &course, flags, argc, argv);
}

/* ------------------------------------------------------------------ describe */

/* "no such id", with the nearest that there is. */
static void tell_unknown(struct mr_kafka *k, const char *id)
{
    struct mr_list_transactions_request request;
    const char *near = NULL;
    mr_list_transactions_request_init(&request);
    for (int b = 0; !near && b < k->meta->broker_cnt; b++) {
        struct mr_list_transactions_response all;
        if (!mr_txn_list(k, k->meta->brokers[b].id, &request, &all))
            break;
        size_t count = (size_t)(all.transaction_states_count > 0 ? all.transaction_states_count : 0);
        const char **names = mr_ask_take(k, count, sizeof *names);
        for (size_t i = 0; i < count; i++)
            names[i] = mr_ask_text(k, all.transaction_states[i].transactional_id);
        near = mr_nearest(mr_slice_of(id), names, count);
    }
    if (near)
        mr_cli_say("millrace: error: no transactional id '%s' at %s; did you mean '%s'?", id, k->broker,
                   near);
    else
        mr_cli_say(
            "millrace: error: no transactional id '%s' at %s\n  = `millrace txn list` shows what is there",
            id, k->broker);
}

const mr_txn *mr_txn_describe(struct mr_kafka *k, const char *id, int32_t *coordinator)
{
    int64_t until_ms = mr_kafka_now_ms() + k->timeout_ms;
    struct mr_slice name = mr_slice_of(id);
    struct mr_describe_transactions_request request;
    struct mr_describe_transactions_response *response = mr_ask_take(k, 1, sizeof *response);
    int16_t error;
    mr_describe_transactions_request_init(&request);
    request.transactional_ids = &name;
    request.transactional_ids_count = 1;
    do {
        *coordinator = mr_ask_coordinator(k, MR_ASK_TXN, id);
        if (*coordinator < 0 || !mr_ask(k, *coordinator, MR_ASK_DESCRIBE_TRANSACTIONS, &request, response))
            return NULL;
        error = response->transaction_states_count == 1 ? response->transaction_states[0].error_code
                                                        : (int16_t)RD_KAFKA_RESP_ERR_UNKNOWN;
    } while (mr_ask_again(error, until_ms));
    if (!error)
        return &response->transaction_states[0];
    if (error == ERROR_NO_ID)
        tell_unknown(k, id);
    else
        (void)mr_kafka_refused(k, "describe transactional id", id, (rd_kafka_resp_err_t)error, NULL);
    return NULL;
}

static int64_t wall_now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void describe_text(struct mr_kafka *k, const mr_txn *t, int32_t coordinator)
{
    char text[40], open[40];
    (void)printf("transactional id %.*s: %.*s\n", MR_SLICE_ARG(t->transactional_id),
                 MR_SLICE_ARG(t->transaction_state));
    (void)printf("  producer     %" PRId64 ", epoch %d\n", t->producer_id, t->producer_epoch);
    (void)printf("  coordinator  broker %" PRId32 "\n", coordinator);
    (void)mr_duration_print(t->transaction_timeout_ms, text);
    (void)printf("  timeout      %s\n", text);
    if (t->transaction_start_time_ms >= 0) {
        int64_t age = wall_now_ms() - t->transaction_start_time_ms;
        (void)mr_rfc3339_print(t->transaction_start_time_ms * 1000000, text);
        (void)mr_duration_print(age > 0 ? age - age % 1000 : 0, open);
        (void)printf("  began        %s, %s ago\n", text, open);
    }
    for (int32_t i = 0; i < t->topics_count; i++)
        for (int32_t p = 0; p < t->topics[i].partitions_count; p++)
            (void)printf("  writes to    %s partition %" PRId32 "\n", mr_ask_text(k, t->topics[i].topic),
                         t->topics[i].partitions[p]);
}

static bool describe_json(struct mr_kafka *k, const mr_txn *t, int32_t coordinator)
{
    struct mr_jsonl j = {0};
    mr_jsonl_open(&j, NULL, '{');
    mr_jsonl_text(&j, "transactional_id", mr_ask_text(k, t->transactional_id));
    mr_jsonl_text(&j, "state", mr_ask_text(k, t->transaction_state));
    mr_jsonl_int(&j, "producer_id", t->producer_id);
    mr_jsonl_int(&j, "producer_epoch", t->producer_epoch);
    mr_jsonl_int(&j, "coordinator", coordinator);
    mr_jsonl_int(&j, "timeout_ms", t->transaction_timeout_ms);
    mr_jsonl_known(&j, "began", t->transaction_start_time_ms);
    mr_jsonl_open(&j, "partitions", '[');
    for (int32_t i = 0; i < t->topics_count; i++)
        for (int32_t p = 0; p < t->topics[i].partitions_count; p++) {
            mr_jsonl_open(&j, NULL, '{');
            mr_jsonl_text(&j, "topic", mr_ask_text(k, t->topics[i].topic));
            mr_jsonl_int(&j, "partition", t->topics[i].partitions[p]);
            mr_jsonl_close(&j, '}');
        }
    mr_jsonl_close(&j, ']');
    return mr_jsonl_end(&j);
}

static int run_describe(struct mr_kafka_call *c)
{
    int32_t coordinator;
    const mr_txn *t = mr_txn_describe(&c->k, c->words[0], &coordinator);
    if (!t)
        return MR_EXIT_FAILED;
    if (!c->f.json)
        describe_text(&c->k, t, coordinator);
    else if (!describe_json(&c->k, t, coordinator))
        return MR_EXIT_FAILED;
    return MR_EXIT_OK;
}

static int describe(const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {"no transactional id given", 1, 1, NULL, run_describe};
    return mr_kafka_plain(v, &course, "one object", argc, argv);
}

/* ------------------------------------------------------------------ the verbs */

static const struct mr_verb subs[] = {
    {"txn list", "txn list", "transactional ids and what state each is in",
     "Lists the transactional ids that the cluster knows, of every coordinator.\n\n"
     "  millrace txn list --state Ongoing\n"
     "  millrace txn list --longer 15m --json | jq -r .transactional_id",
     list},
    {"txn describe", "txn describe ID", "one transactional id: producer, timeout, partitions",
     "Tells the state of a transactional id, who has it, since when a transaction is open and where it has "
     "written.\n\n"
     "  millrace txn describe payments-7",
     describe},
    {"txn producers", "txn producers TOPIC[:PARTITION]", "who writes to a partition, and what is open there",
     "Tells of each partition which producers have written lately. OPEN FROM is the first offset of a "
     "transaction\n"
     "that is open: who reads what is committed waits there.\n\n"
     "  millrace txn producers orders\n"
     "  millrace txn producers orders:3 --json",
     mr_txn_producers},
    {"txn hanging", "txn hanging [TOPIC[:PARTITION]]", "open transactions that nobody will end",
     "Looks for transactions that are open in a partition and that no coordinator knows of any more: they "
     "hold "
     "back\n"
     "readers for ever. Without a topic it looks through all of them. One that is just beginning or ending "
     "may be\n"
     "told for a moment: look twice.\n\n"
     "  millrace txn hanging\n"
     "  millrace txn abort --partition orders:3 --from 1234",
     mr_txn_hanging},
    {"txn abort", "txn abort ID | --partition TOPIC:N --from OFFSET", "ends a transaction that was left open",
     "Ends the transaction that is open under a transactional id: its records are never seen by those who "
     "read "
     "what is\n"
     "committed. The producer that has the id is fenced and fails at its next request; so this is for one "
     "that is "
     "gone.\n"
     "With --partition and --from (see `millrace txn hanging`) it ends a transaction that no coordinator "
     "knows of, "
     "in\n"
     "that partition.\n\n"
     "  millrace txn abort payments-7\n"
     "  millrace txn abort --partition orders:3 --from 1234",
     mr_txn_abort},
};

static int txn(const struct mr_verb *v, int argc, char **argv)
{
    return mr_kafka_dispatch(v, subs, sizeof subs / sizeof subs[0], argc, argv);
}

const struct mr_verb mr_kafka_verb_txn = {
    .name = "txn",
    .usage = "txn list|describe|producers|hanging|abort",
    .help = "Transactions: which there are, what they hold open, and ending those whose producer is gone.",
    .run = txn,
};
