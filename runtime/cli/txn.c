/* txn.c - `millrace txn`: ends a transaction that its producer left open.
 *
 * librdkafka 2.0 has no request that lists or describes transactions; those two verbs say so. What it has is
 * a producer's own beginning: whoever starts under a transactional id fences the one before and ends what
 * that one left open. That is what abort does.
 */
#include "cli/kafka.h"

static int cannot(const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    const char *word;
    size_t count;
    int code;
    const struct mr_flag flags[] = {MR_KAFKA_COMMON_FLAGS(f), MR_KAFKA_JSON_FLAG(f, "no difference"), {0}};
    if (!mr_cli_options(v, flags, argc, argv, &word, 1, &count, &code))
        return code;
    mr_cli_say(
        "millrace: error: '%s' is not there: librdkafka %s, which this program is built with, has no such "
        "request\n"
        "  = `millrace txn abort ID` ends an open transaction by its transactional id",
        v->name, rd_kafka_version_str());
    return MR_EXIT_FAILED;
}

static int told(struct mr_kafka *k, const char *id, rd_kafka_error_t *e)
{
    int code = mr_kafka_refused(k, "abort transaction", id, rd_kafka_error_code(e), rd_kafka_error_string(e));
    rd_kafka_error_destroy(e);
    return code;
}

static int abort_one(const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    struct mr_kafka k = {0};
    const char *id;
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        MR_KAFKA_COMMON_FLAGS(f), MR_KAFKA_JSON_FLAG(f, "says what was done as an object"), {0}};
    if (!mr_cli_options(v, flags, argc, argv, &id, 1, &count, &code))
        return code;
    if (count != 1 || !*id) {
        mr_cli_say("millrace %s: no transactional id given; usage: millrace %s", v->name, v->usage);
        return MR_EXIT_USAGE;
    }
    const struct mr_kafka_setting own[] = {{"transactional.id", id}, {0}};
    mr_kafka_catch_signals();
    code = mr_kafka_open(&k, RD_KAFKA_PRODUCER, mr_kafka_conf(v, &f, own), &f);
    if (!code) {
        rd_kafka_error_t *e = rd_kafka_init_transactions(k.rk, k.timeout_ms);
        if (e)
            code = told(&k, id, e);
    }
    if (!code && f.json) {
        struct mr_jsonl j = {0};
        mr_jsonl_open(&j, NULL, '{');
        mr_jsonl_text(&j, "transactional_id", id);
        mr_jsonl_text(&j, "done", "aborted");
        mr_jsonl_close(&j, '}');
        code = mr_jsonl_line(&j) ? MR_EXIT_OK : MR_EXIT_FAILED;
        mr_jsonl_fini(&j);
    } else if (!code) {
        (void)printf("nothing is open under '%s' any more; its producer is fenced\n", id);
    }
    mr_kafka_close(&k);
    return code;
}

static const struct mr_verb subs[] = {
    {"txn list", "txn list", "not with this librdkafka: says so",
     "Would list transactions: see `millrace txn --help`.", cannot},
    {"txn describe", "txn describe ID", "not with this librdkafka: says so",
     "Would describe a transaction: see `millrace txn --help`.", cannot},
    {"txn abort", "txn abort ID", "ends what is open under a transactional id",
     "Ends the transaction that is open under this transactional id: its records are never seen by those who "
     "read\n"
     "what is committed. The producer that has the id is fenced, and fails at its next request; so this is "
     "for\n"
     "one that is gone. An id that never was is not told apart from one with nothing open.\n\n"
     "  millrace txn abort payments-7",
     abort_one},
};

static int txn(const struct mr_verb *v, int argc, char **argv)
{
    return mr_kafka_dispatch(v, subs, sizeof subs / sizeof subs[0], argc, argv);
}

const struct mr_verb mr_kafka_verb_txn = {
    .name = "txn",
    .usage = "txn abort ID",
    .help = "Transactions. list and describe need requests that librdkafka 2.0 does not have.",
    .run = txn,
};
