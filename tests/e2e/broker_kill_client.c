/* broker_kill_client.c BOOTSTRAP - produces, by an idempotent and by a transactional producer, and consumes in a group,
 * through librdkafka, while somebody ends the broker again and again. When standard input ends it finishes and compares
 * what it was told with what the topics hold: "ok NAME" or "not ok NAME" and why; the exit code follows.
 */
#include <librdkafka/rdkafka.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PARTITIONS = 3,
    RECORDS_MAX = 4 << 20,
    IN_FLIGHT_MAX = 200,
    TXN_RECORDS = 12,
    TXNS_MAX = 200000,
    WAIT_MS = 60000
};
enum { TXN_UNSEEN = 0, TXN_COMMITTED, TXN_ABORTED };

struct told {
    int32_t partition;
    int64_t offset;
};

static const char *where;
static atomic_bool stopping;
static struct told told[RECORDS_MAX]; /* of each number: where its delivery report put it */
static uint8_t seen[RECORDS_MAX];
static uint32_t produced, reported;
static uint8_t outcome[TXNS_MAX], txn_seen[TXNS_MAX];
static uint32_t txns;
static int failures;

static void check(const char *name, bool truth, const char *format, ...)
{
    printf("%s %s\n", truth ? "ok" : "not ok", name);
    if (!truth) {
        va_list more;
        va_start(more, format);
        printf("    ");
        vprintf(format, more);
        printf("\n");
        va_end(more);
        failures++;
    }
    fflush(stdout);
}

static void die(const char *what, const char *why)
{
    check(what, false, "%s", why);
    exit(1);
}

/* Errors of the connection are what this is about; librdkafka goes on by itself. */
static void error_cb(rd_kafka_t *k, int err, const char *why, void *arg)
{
    (void)k, (void)arg;
    if (err == RD_KAFKA_RESP_ERR__FATAL)
        die("no producer is given up", why);
}

static void quiet(const rd_kafka_t *k, int level, const char *fac, const char *text)
{
    (void)k, (void)level, (void)fac, (void)text;
}

static void delivered(rd_kafka_t *k, const rd_kafka_message_t *m, void *arg)
{
    (void)k, (void)arg;
    if (m->err)
        die("every record is taken", rd_kafka_err2str(m->err));
    uint32_t n;
    memcpy(&n, m->payload, sizeof n);
    told[n] = (struct told){m->partition, m->offset};
    reported++;
}

static rd_kafka_t *client(rd_kafka_type_t type, const char *const *pairs, bool reports)
{
    char why[512];
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    const char *const common[] = {"bootstrap.servers", where, "reconnect.backoff.max.ms", "100", NULL};
    const char *const *const lists[] = {common, pairs};
    for (int i = 0; i < 2; i++)
        for (const char *const *of = lists[i]; *of; of += 2)
            if (rd_kafka_conf_set(c, of[0], of[1], why, sizeof why))
                die("settings of the client", why);
    rd_kafka_conf_set_error_cb(c, error_cb);
    rd_kafka_conf_set_log_cb(c, quiet);
    if (reports)
        rd_kafka_conf_set_dr_msg_cb(c, delivered);
    rd_kafka_t *k = rd_kafka_new(type, c, why, sizeof why);
    if (!k)
        die("a client", why);
    return k;
}

static void *idempotent(void *arg)
{
    (void)arg;
    const char *const pairs[] = {
        "enable.idempotence", "true", "message.timeout.ms", "0", "linger.ms", "1", NULL};
    rd_kafka_t *k = client(RD_KAFKA_PRODUCER, pairs, true);
    rd_kafka_topic_t *plain = rd_kafka_topic_new(k, "plain", NULL);
    while (!stopping && produced < RECORDS_MAX) {
        uint32_t n = produced;
        if (n - reported < IN_FLIGHT_MAX &&
            !rd_kafka_produce(plain, (int32_t)(n % PARTITIONS), RD_KAFKA_MSG_F_COPY, &n, sizeof n, NULL, 0,
                              NULL))
            produced++;
        else
            rd_kafka_poll(k, 1);
        rd_kafka_poll(k, 0);
    }
    check("what was produced is delivered in the end", !rd_kafka_flush(k, WAIT_MS), "%d are not",
          rd_kafka_outq_len(k));
    rd_kafka_topic_destroy(plain);
    rd_kafka_destroy(k);
    return NULL;
}

/* Commits or aborts until the broker has said which it was. */
static uint8_t settle(rd_kafka_t *k, bool commit)
{
    for (;;) {
        rd_kafka_error_t *e =
            commit ? rd_kafka_commit_transaction(k, 5000) : rd_kafka_abort_transaction(k, 5000);
        if (!e)
            return commit ? TXN_COMMITTED : TXN_ABORTED;
        bool again = rd_kafka_error_is_retriable(e), abort = rd_kafka_error_txn_requires_abort(e);
        if (!again && !abort)
            die(commit ? "transactions commit" : "transactions abort", rd_kafka_error_string(e));
        if (abort)
            commit = false;
        rd_kafka_error_destroy(e);
    }
}

static void *transactional(void *arg)
{
    (void)arg;
    const char *const pairs[] = {
        "transactional.id", "kill", "message.timeout.ms", "60000", "linger.ms", "0", NULL};
    rd_kafka_t *k = client(RD_KAFKA_PRODUCER, pairs, false);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(k, "txn", NULL);
    rd_kafka_error_t *e;
    while ((e = rd_kafka_init_transactions(k, 5000))) {
        if (!rd_kafka_error_is_retriable(e))
            die("transactions begin", rd_kafka_error_string(e));
        rd_kafka_error_destroy(e);
    }
    while (!stopping && txns < TXNS_MAX) {
        if ((e = rd_kafka_begin_transaction(k)))
            die("a transaction begins", rd_kafka_error_string(e));
        for (uint32_t i = 0; i < TXN_RECORDS; i++) {
            uint32_t value[2] = {txns, i};
            rd_kafka_resp_err_t why = RD_KAFKA_RESP_ERR_NO_ERROR;
            if (rd_kafka_produce(topic, (int32_t)(i % PARTITIONS), RD_KAFKA_MSG_F_COPY, value, sizeof value,
                                 NULL, 0, NULL))
                why = rd_kafka_last_error();
            if (why &&
                why != RD_KAFKA_RESP_ERR__STATE) /* the transaction is to be aborted: settle() hears of it */
                die("a record is taken", rd_kafka_err2str(why));
            rd_kafka_poll(k, 0);
        }
        /* librdkafka 2.0 takes an abort before its partitions are registered for a fatal error when the broker
         * has told it to come again with them, as any broker may */
        rd_kafka_flush(k, WAIT_MS);
        outcome[txns] = settle(k, txns % 5 != 3);
        txns++;
    }
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(k);
    return NULL;
}

/* A member of a group that commits what it has read: what was committed never goes back. */
static void *grouped(void *arg)
{
    (void)arg;
    const char *const pairs[] = {"group.id",
                                 "readers",
                                 "enable.auto.commit",
                                 "false",
                                 "auto.offset.reset",
                                 "earliest",
                                 "session.timeout.ms",
                                 "10000",
                                 "fetch.wait.max.ms",
                                 "50",
                                 NULL};
    int64_t committed[PARTITIONS] = {0};
    uint32_t commits = 0;
    while (!stopping) { /* a fresh member now and then, which starts from what is committed */
        rd_kafka_t *k = client(RD_KAFKA_CONSUMER, pairs, false);
        rd_kafka_poll_set_consumer(k);
        rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
        rd_kafka_topic_partition_list_add(topics, "plain", RD_KAFKA_PARTITION_UA);
        rd_kafka_subscribe(k, topics);
        rd_kafka_topic_partition_list_destroy(topics);
        bool first[PARTITIONS] = {true, true, true};
        for (uint32_t got = 0; got < 20000 && !stopping;) {
            rd_kafka_message_t *m = rd_kafka_consumer_poll(k, 100);
            if (!m)
                continue;
            if (!m->err) {
                if (first[m->partition] && m->offset < committed[m->partition])
                    check("a member starts from what is committed", false,
                          "partition %d: %lld, committed %lld", m->partition, (long long)m->offset,
                          (long long)committed[m->partition]);
                first[m->partition] = false;
                if (++got % 500 == 0 && !rd_kafka_commit_message(k, m, 0)) {
                    committed[m->partition] = m->offset + 1;
                    commits++;
                }
            }
            rd_kafka_message_destroy(m);
        }
        rd_kafka_consumer_close(k);
        rd_kafka_destroy(k);
    }
    check("the group commits", commits > 0, "no commit came through");
    return NULL;
}

/* Reads a topic from its beginning to its end as a reader of committed records sees it. */
static void read_all(const char *topic, void (*take)(const rd_kafka_message_t *m))
{
    const char *const pairs[] = {"group.id",
                                 "none",
                                 "enable.auto.commit",
                                 "false",
                                 "isolation.level",
                                 "read_committed",
                                 "enable.partition.eof",
                                 "true",
                                 NULL};
    rd_kafka_t *k = client(RD_KAFKA_CONSUMER, pairs, false);
    rd_kafka_poll_set_consumer(k);
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int32_t p = 0; p < PARTITIONS; p++)
        rd_kafka_topic_partition_list_add(all, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(k, all);
    rd_kafka_topic_partition_list_destroy(all);
    int ends = 0, idle = 0;
    while (ends < PARTITIONS && idle < WAIT_MS / 1000) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(k, 1000);
        idle = m ? 0 : idle + 1;
        if (m && m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
            ends++;
        else if (m && !m->err)
            take(m);
        if (m)
            rd_kafka_message_destroy(m);
    }
    check("a topic is read to its end", ends == PARTITIONS, "%s: %d of %d partitions", topic, ends,
          PARTITIONS);
    rd_kafka_consumer_close(k);
    rd_kafka_destroy(k);
}

static uint32_t misplaced, twice, foreign;

static void take_plain(const rd_kafka_message_t *m)
{
    uint32_t n;
    memcpy(&n, m->payload, sizeof n);
    if (m->len != sizeof n || n >= produced) {
        foreign++;
        return;
    }
    twice += seen[n];
    seen[n] = 1;
    misplaced += told[n].partition != m->partition || told[n].offset != m->offset;
}

static void take_txn(const rd_kafka_message_t *m)
{
    uint32_t v[2];
    memcpy(v, m->payload, sizeof v);
    if (v[0] >= txns)
        foreign++;
    else
        txn_seen[v[0]]++;
}

int main(int argc, char **argv)
{
    pthread_t t[3];
    void *(*const run[3])(void *) = {idempotent, transactional, grouped};
    char c;
    if (argc != 2)
        return 2;
    where = argv[1];
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, run[i], NULL);
    while (read(0, &c, 1) > 0)
        ;
    stopping = true;
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);

    read_all("plain", take_plain);
    uint32_t missing = 0, partly = 0, risen = 0, committed = 0;
    for (uint32_t n = 0; n < produced; n++)
        missing += !seen[n];
    check("records were produced", produced > 1000, "%u", produced);
    check("no acknowledged record is missing", missing == 0, "%u of %u", missing, produced);
    check("no record is there twice", twice == 0, "%u of %u", twice, produced);
    check("every record is where its report said", misplaced == 0, "%u of %u", misplaced, produced);
    check("no record is there that nobody sent", foreign == 0, "%u", foreign);

    foreign = 0;
    read_all("txn", take_txn);
    for (uint32_t i = 0; i < txns; i++) {
        committed += outcome[i] == TXN_COMMITTED;
        partly += outcome[i] == TXN_COMMITTED && txn_seen[i] != TXN_RECORDS;
        risen += outcome[i] != TXN_COMMITTED && txn_seen[i] != 0;
    }
    check("transactions were committed", committed > 10, "%u", committed);
    check("every committed transaction is whole and there once", partly == 0, "%u of %u", partly, committed);
    check("nothing of an aborted transaction is read", risen == 0, "%u of %u", risen, txns - committed);
    check("no transaction is there that nobody sent", foreign == 0, "%u", foreign);
    fprintf(stderr, "%u records, %u transactions committed, %u aborted\n", produced, committed,
            txns - committed);
    return failures ? 1 : 0;
}
