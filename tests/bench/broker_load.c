/* broker_load.c - the load of `bench.py broker` through librdkafka: the same client against any broker that
 * speaks Kafka's protocol.
 *
 *   broker_load produce HOST:PORT TOPIC SECONDS BYTES ACKS
 *       as fast as it goes, linger.ms 5
 *   broker_load fill HOST:PORT TOPIC RECORDS BYTES
 *       so many records
 *   broker_load latency HOST:PORT TOPIC PARTITIONS RATE WARM_S SECONDS BYTES ACKS LINGER_MS BROKER_PID
 *       at a steady pace, from produce() to the consumer's having the record, in one process; at RATE 0 as fast
 *       as it goes, and `rate` is then what was read a second
 *
 * Prints one line of JSON. What needs no librdkafka is in broker_raw.c.
 */
#include "load.h"

#include <librdkafka/rdkafka.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

static atomic_long delivered, failed;

static void on_delivery(rd_kafka_t *k, const rd_kafka_message_t *m, void *arg)
{
    (void)k;
    (void)arg;
    if (m->err)
        atomic_fetch_add(&failed, 1);
    else
        atomic_fetch_add(&delivered, 1);
}

static void set(rd_kafka_conf_t *c, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(c, name, value, why, sizeof why) != RD_KAFKA_CONF_OK)
        die(name, why);
}

static rd_kafka_t *producer(const char *broker, const char *acks, const char *linger, const char *queue)
{
    char why[256];
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    set(c, "bootstrap.servers", broker);
    set(c, "acks", acks);
    set(c, "linger.ms", linger);
    set(c, "queue.buffering.max.messages", queue);
    set(c, "batch.num.messages", "100000");
    rd_kafka_conf_set_dr_msg_cb(c, on_delivery);
    rd_kafka_t *k = rd_kafka_new(RD_KAFKA_PRODUCER, c, why, sizeof why);
    if (!k)
        die("producer", why);
    return k;
}

/* `records`, or as many as go in `seconds`. */
static int produce_all(const char *broker, const char *topic, long records, double seconds, size_t bytes,
                       const char *acks)
{
    rd_kafka_t *k = producer(broker, acks, "5", "300000");
    rd_kafka_topic_t *t = rd_kafka_topic_new(k, topic, NULL);
    char *payload = malloc(bytes);
    for (size_t i = 0; i < bytes; i++)
        payload[i] = (char)('a' + (i * 7919 + i / 13) % 26);
    double start = now_s(), cpu = cpu_s();
    for (long i = 0; records ? i < records : (i & 1023) || now_s() - start < seconds; i++) {
        while (rd_kafka_produce(t, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, payload, bytes, NULL, 0,
                                NULL) == -1)
            rd_kafka_poll(k, 5);
        if ((i & 1023) == 0)
            rd_kafka_poll(k, 0);
    }
    rd_kafka_flush(k, 120000);
    double took = now_s() - start;
    printf("{\"records\": %ld, \"failed\": %ld, \"seconds\": %.3f, \"rate\": %.0f, \"client_cpu\": %.2f}\n",
           atomic_load(&delivered), atomic_load(&failed), took, (double)atomic_load(&delivered) / took,
           cpu_s() - cpu);
    free(payload);
    rd_kafka_topic_destroy(t);
    rd_kafka_destroy(k);
    return 0;
}

static int produce(char **a)
{
    return produce_all(a[0], a[1], 0, atof(a[2]), (size_t)atol(a[3]), a[4]);
}

static int fill(char **a)
{
    return produce_all(a[0], a[1], atol(a[2]), 0, (size_t)atol(a[3]), "1");
}

/* What a record of the latency load begins with. */
struct mark {
    int64_t sent; /* ns, just before produce() */
    uint32_t run; /* 0: not of this run */
    int32_t kind;
    int64_t number; /* counts over all partitions */
};
enum { NAP_NS = 100000 }; /* between two looks at the clock while paced */
enum { PROBE = 1, WARM = 2, COUNTED = 3 };

struct reader {
    rd_kafka_t *k;
    uint32_t run;
    int partitions;
    int64_t *last; /* number seen last in each partition */
    bool *ready;
    struct hist latency;
    atomic_long read, ready_count;
    long disordered;
    atomic_bool stop;
};

/* One record, as an application gets it. */
static void on_record(struct reader *r, const rd_kafka_message_t *m, int64_t t)
{
    struct mark mark;
    if (m->err || m->len < sizeof mark || m->partition >= r->partitions)
        return;
    memcpy(&mark, m->payload, sizeof mark);
    if (mark.run != r->run)
        return;
    if (!r->ready[m->partition]) {
        r->ready[m->partition] = true;
        atomic_fetch_add(&r->ready_count, 1);
    }
    if (mark.kind == PROBE)
        return;
    if (mark.number <= r->last[m->partition])
        r->disordered++;
    r->last[m->partition] = mark.number;
    if (mark.kind == COUNTED)
        hist_add(&r->latency, t - mark.sent);
    atomic_fetch_add(&r->read, 1);
}

static void *read_all(void *arg)
{
    struct reader *r = arg;
    while (!atomic_load(&r->stop)) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(r->k, 100);
        if (!m)
            continue;
        on_record(r, m, now_ns());
        rd_kafka_message_destroy(m);
    }
    return NULL;
}

static void start_reader(struct reader *r, const char *broker, const char *topic)
{
    char why[256];
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    set(c, "bootstrap.servers", broker);
    set(c, "group.id", "broker-load");
    set(c, "enable.auto.commit", "false");
    /* At its default of 100,000 records, a tenth of a second here, it stops fetching for a second. */
    set(c, "queued.min.messages", "5000000");
    set(c, "queued.max.messages.kbytes", "1048576");
    r->k = rd_kafka_new(RD_KAFKA_CONSUMER, c, why, sizeof why);
    if (!r->k)
        die("consumer", why);
    rd_kafka_poll_set_consumer(r->k);
    rd_kafka_topic_partition_list_t *parts = rd_kafka_topic_partition_list_new(r->partitions);
    for (int i = 0; i < r->partitions; i++)
        rd_kafka_topic_partition_list_add(parts, topic, i)->offset = RD_KAFKA_OFFSET_END;
    rd_kafka_assign(r->k, parts);
    rd_kafka_topic_partition_list_destroy(parts);
}

/* Records at a steady pace, each one read back by the same process. Latency is from just before produce() to
 * the consumer's having it. `late` is how far behind its pace produce() was called: it is the client's. */
static int latency(char **a)
{
    const char *topic = a[1];
    int partitions = atoi(a[2]);
    double rate = atof(a[3]), warm = atof(a[4]), seconds = atof(a[5]);
    size_t bytes = (size_t)atol(a[6]);
    long pid = atol(a[9]);
    struct reader *r = need(calloc(1, sizeof *r));
    struct hist *late = need(calloc(1, sizeof *late));
    struct mark mark = {.run = (uint32_t)now_ns() | 1, .kind = PROBE};
    if (bytes < sizeof mark)
        die(a[6], "a record of the latency load has at least 24 bytes");
    r->partitions = partitions;
    r->run = mark.run;
    r->last = need(calloc((size_t)partitions, sizeof *r->last));
    r->ready = need(calloc((size_t)partitions, sizeof *r->ready));
    start_reader(r, a[0], topic);
    pthread_t thread;
    pthread_create(&thread, NULL, read_all, r);
    rd_kafka_t *k = producer(a[0], a[7], a[8], "1000000");
    rd_kafka_topic_t *t = rd_kafka_topic_new(k, topic, NULL);
    char *payload = need(calloc(1, bytes));
    /* Until the reader stands at the end of every partition: it gets what comes from then on. */
    for (double end = now_s() + 30; now_s() < end && atomic_load(&r->ready_count) < partitions;) {
        memcpy(payload, &mark, sizeof mark);
        for (int p = 0; p < partitions; p++)
            rd_kafka_produce(t, p, RD_KAFKA_MSG_F_COPY, payload, bytes, NULL, 0, NULL);
        rd_kafka_flush(k, 10000);
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    }
    if (atomic_load(&r->ready_count) < partitions)
        die(topic, "the reader does not get the records of every partition");
    long n_warm = (long)(rate * warm), n = rate > 0 ? n_warm + (long)(rate * seconds) : LONG_MAX, i = 0;
    double cpu = 0, broker = 0, client_s = 0;
    int64_t start = now_ns();
    for (; i < n; i++) {
        int64_t due = rate > 0 ? start + (int64_t)((double)i * 1e9 / rate) : 0;
        if (rate <= 0 && (i & 255) == 0 && now_ns() - start > (int64_t)(seconds * 1e9))
            break;
        while ((mark.sent = now_ns()) < due) {
            rd_kafka_poll(k, 0);
            nanosleep(&(struct timespec){0, NAP_NS}, NULL);
        }
        if (i == n_warm)
            cpu = cpu_s(), broker = cpu_of(pid), client_s = now_s();
        mark.kind = i < n_warm ? WARM : COUNTED;
        mark.number = i + 1;
        memcpy(payload, &mark, sizeof mark);
        while (rd_kafka_produce(t, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, payload, bytes, NULL, 0,
                                NULL) == -1)
            rd_kafka_poll(k, 1);
        if (i >= n_warm)
            hist_add(late, mark.sent - due);
        if ((i & 63) == 0)
            rd_kafka_poll(k, 0);
    }
    n = i;
    if (rate > 0) {
        client_s = now_s() - client_s;
        cpu = cpu_s() - cpu;
        broker = cpu_of(pid) - broker;
    }
    rd_kafka_flush(k, 30000);
    for (double end = now_s() + 20; now_s() < end && atomic_load(&r->read) < n;)
        rd_kafka_poll(k, 5);
    if (rate <= 0) {
        client_s = now_s() - client_s;
        cpu = cpu_s() - cpu;
        broker = cpu_of(pid) - broker;
    }
    atomic_store(&r->stop, true);
    pthread_join(thread, NULL);
    printf(
        "{\"sent\": %ld, \"delivered\": %ld, \"failed\": %ld, \"read\": %ld, \"disordered\": %ld, \"rate\": "
        "%.0f, "
        "\"p50\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f, \"late_p99\": %.3f, "
        "\"client_cpu\": %.2f, \"broker_cpu\": %.2f}\n",
        n, atomic_load(&delivered), atomic_load(&failed), atomic_load(&r->read), r->disordered,
        (double)(n - n_warm) / client_s, hist_at(&r->latency, 0.5), hist_at(&r->latency, 0.99),
        hist_at(&r->latency, 0.999), (double)r->latency.max / 1e6, hist_at(late, 0.99), cpu / client_s,
        broker / client_s);
    rd_kafka_consumer_close(r->k);
    rd_kafka_destroy(r->k);
    rd_kafka_topic_destroy(t);
    rd_kafka_destroy(k);
    free(payload);
    free(late);
    free(r->last);
    free(r->ready);
    free(r);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 7 && !strcmp(argv[1], "produce"))
        return produce(argv + 2);
    if (argc == 6 && !strcmp(argv[1], "fill"))
        return fill(argv + 2);
    if (argc == 12 && !strcmp(argv[1], "latency"))
        return latency(argv + 2);
    fprintf(stderr, "usage: see the head of broker_load.c\n");
    return 2;
}
