/* broker_load.c - the load of `bench.py broker`: the same client against any broker that speaks Kafka's protocol.
 *
 *   broker_load produce HOST:PORT TOPIC RECORDS BYTES ACKS          as fast as librdkafka goes
 *   broker_load latency HOST:PORT TOPIC RATE SECONDS BYTES ACKS     paced; from produce to its being consumed
 *   broker_load fetch HOST PORT TOPIC PARTITION                     all of it, by a raw socket that throws it away
 *   broker_load sendfile FILE                                       what sendfile alone moves over loopback here
 *
 * Prints one line of JSON. A client of its own for fetch, since librdkafka's parsing is dearer than a broker's sending.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <librdkafka/rdkafka.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what, const char *why)
{
    fprintf(stderr, "broker_load: %s: %s\n", what, why);
    exit(1);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* ---------------------------------------------------------------- librdkafka */

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

static rd_kafka_t *producer(const char *broker, const char *acks, const char *linger)
{
    char why[256];
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    set(c, "bootstrap.servers", broker);
    set(c, "acks", acks);
    set(c, "linger.ms", linger);
    set(c, "queue.buffering.max.messages", "1000000");
    set(c, "batch.num.messages", "100000");
    rd_kafka_conf_set_dr_msg_cb(c, on_delivery);
    rd_kafka_t *k = rd_kafka_new(RD_KAFKA_PRODUCER, c, why, sizeof why);
    if (!k)
        die("producer", why);
    return k;
}

static int produce(char **a)
{
    const char *topic = a[1];
    long n = atol(a[2]);
    size_t bytes = (size_t)atol(a[3]);
    rd_kafka_t *k = producer(a[0], a[4], "5");
    rd_kafka_topic_t *t = rd_kafka_topic_new(k, topic, NULL);
    char *payload = malloc(bytes);
    for (size_t i = 0; i < bytes; i++)
        payload[i] = (char)('a' + (i * 7919 + i / 13) % 26);
    double start = now_s(), cpu = cpu_s();
    for (long i = 0; i < n; i++) {
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

struct reader {
    rd_kafka_t *k;
    double *latency;
    _Atomic size_t count;
    size_t cap;
    atomic_bool stop, ready;
};

static void *read_all(void *arg)
{
    struct reader *r = arg;
    while (!atomic_load(&r->stop)) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(r->k, 100);
        double t = now_s(), sent;
        if (!m)
            continue;
        if (!m->err && m->len >= sizeof sent) {
            memcpy(&sent, m->payload, sizeof sent);
            if (sent < 0)
                atomic_store(&r->ready, true); /* the probe */
            else if (r->count < r->cap) {
                r->latency[r->count] = (t - sent) * 1e3;
                r->count++;
            }
        }
        rd_kafka_message_destroy(m);
    }
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int latency(char **a)
{
    const char *topic = a[1];
    double rate = atof(a[2]), seconds = atof(a[3]);
    size_t bytes = (size_t)atol(a[4]);
    char why[256];
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    set(c, "bootstrap.servers", a[0]);
    set(c, "group.id", "broker-load");
    set(c, "enable.auto.commit", "false");
    set(c, "fetch.wait.max.ms", "100");
    set(c, "fetch.min.bytes", "1");
    struct reader r = {.cap = (size_t)(rate * seconds * 1.2) + 1000};
    r.latency = malloc(r.cap * sizeof *r.latency);
    r.k = rd_kafka_new(RD_KAFKA_CONSUMER, c, why, sizeof why);
    if (!r.k)
        die("consumer", why);
    rd_kafka_poll_set_consumer(r.k);
    rd_kafka_topic_partition_list_t *parts = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(parts, topic, 0)->offset = RD_KAFKA_OFFSET_END;
    rd_kafka_assign(r.k, parts);
    pthread_t thread;
    pthread_create(&thread, NULL, read_all, &r);
    rd_kafka_t *k = producer(a[0], a[5], "0");
    rd_kafka_topic_t *t = rd_kafka_topic_new(k, topic, NULL);
    char *payload = calloc(1, bytes > 8 ? bytes : 8);
    double probe = -1;
    memcpy(payload, &probe, sizeof probe);
    for (int i = 0; i < 300 && !atomic_load(&r.ready); i++) { /* until the reader stands at the end */
        rd_kafka_produce(t, 0, RD_KAFKA_MSG_F_COPY, payload, bytes, NULL, 0, NULL);
        rd_kafka_poll(k, 100);
    }
    double start = now_s();
    long n = (long)(rate * seconds);
    for (long i = 0; i < n; i++) {
        double due = start + (double)i / rate, t0;
        while ((t0 = now_s()) < due)
            if (due - t0 > 0.0002) {
                struct timespec nap = {0, 50000};
                nanosleep(&nap, NULL);
            }
        memcpy(payload, &due, sizeof due); /* from when it was due: a stall counts for all it held up */
        while (rd_kafka_produce(t, 0, RD_KAFKA_MSG_F_COPY, payload, bytes, NULL, 0, NULL) == -1)
            rd_kafka_poll(k, 1);
        if ((i & 63) == 0)
            rd_kafka_poll(k, 0);
    }
    rd_kafka_flush(k, 30000);
    for (int i = 0; i < 500 && r.count < (size_t)n; i++)
        rd_kafka_poll(k, 20);
    atomic_store(&r.stop, true);
    pthread_join(thread, NULL);
    qsort(r.latency, r.count, sizeof *r.latency, by_size);
#define Q(x) (r.count ? r.latency[(size_t)((double)(r.count - 1) * (x))] : -1)
    printf("{\"sent\": %ld, \"read\": %zu, \"p50\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f}\n", n,
           r.count, Q(0.5), Q(0.99), Q(0.999), Q(1.0));
    rd_kafka_consumer_close(r.k);
    rd_kafka_destroy(r.k);
    rd_kafka_topic_destroy(t);
    rd_kafka_destroy(k);
    free(payload);
    free(r.latency);
    return 0;
}

/* ---------------------------------------------------------------- raw fetch */

static int dial(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        die(host, "not found");
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        die(host, "no connection");
    freeaddrinfo(found);
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void get(int fd, void *to, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = recv(fd, (char *)to + at, len - at, 0);
        if (n <= 0)
            die("recv", "the broker closed the connection");
        at += (size_t)n;
    }
}

static char *put16(char *p, int v)
{
    uint16_t x = htobe16((uint16_t)v);
    memcpy(p, &x, 2);
    return p + 2;
}
static char *put32(char *p, int32_t v)
{
    uint32_t x = htobe32((uint32_t)v);
    memcpy(p, &x, 4);
    return p + 4;
}
static char *put64(char *p, int64_t v)
{
    uint64_t x = htobe64((uint64_t)v);
    memcpy(p, &x, 8);
    return p + 8;
}
static int64_t be64(const char *p)
{
    uint64_t x;
    memcpy(&x, p, 8);
    return (int64_t)be64toh(x);
}
static int32_t be32(const char *p)
{
    uint32_t x;
    memcpy(&x, p, 4);
    return (int32_t)be32toh(x);
}

enum { FETCH_BYTES = 8 << 20 };

static int fetch(char **a)
{
    const char *topic = a[2];
    int partition = atoi(a[3]);
    int fd = dial(a[0], a[1]);
    char *in = malloc((size_t)FETCH_BYTES + (16 << 20)), out[512];
    size_t name = strlen(topic);
    int64_t offset = 0, total = 0;
    double start = now_s(), cpu = cpu_s();
    for (;;) {
        char *p = out + 4;
        p = put16(p, 1); /* Fetch, version 11 */
        p = put16(p, 11);
        p = put32(p, 1);
        p = put16(p, 2);
        memcpy(p, "bl", 2);
        p = put32(p + 2, -1); /* replica */
        p = put32(p, 10);     /* wait, ms */
        p = put32(p, 1);
        p = put32(p, FETCH_BYTES);
        *p++ = 0;
        p = put32(p, 0); /* no session */
        p = put32(p, -1);
        p = put32(p, 1);
        p = put16(p, (int)name);
        memcpy(p, topic, name);
        p = put32(p + name, 1);
        p = put32(p, partition);
        p = put32(p, -1);
        p = put64(p, offset);
        p = put64(p, -1);
        p = put32(p, FETCH_BYTES);
        p = put32(p, 0);
        p = put16(p, 0);
        put32(out, (int32_t)(p - out - 4));
        if (send(fd, out, (size_t)(p - out), 0) < 0)
            die("send", "failed");
        get(fd, in, 4);
        int32_t size = be32(in);
        if (size <= 0 || size > FETCH_BYTES + (8 << 20))
            die("fetch", "an answer of a strange size");
        get(fd, in, (size_t)size);
        const char *q = in + 4 + 4 + 2 + 4 + 4 + 2 + name + 4; /* up to the partition's number */
        int error = (int)(int16_t)((uint16_t)((uint8_t)q[4] << 8 | (uint8_t)q[5]));
        int64_t end = be64(q + 6);
        if (error)
            die("fetch", "the partition has an error");
        q += 4 + 2 + 8 + 8 + 8;
        int32_t aborted = be32(q);
        q += 4 + (aborted > 0 ? aborted * 16 : 0) + 4;
        int32_t len = be32(q);
        q += 4;
        for (const char *b = q; b + 61 <= q + len;) { /* from batch to batch: where to go on */
            int64_t base = be64(b);
            int32_t batch = be32(b + 8);
            if (b + 12 + batch > q + len)
                break;
            offset = base + be32(b + 23) + 1;
            b += 12 + batch;
        }
        total += len;
        if (offset >= end || len == 0)
            break;
    }
    double took = now_s() - start;
    printf("{\"bytes\": %lld, \"records\": %lld, \"seconds\": %.3f, \"mb_s\": %.0f, \"client_cpu\": %.2f}\n",
           (long long)total, (long long)offset, took, (double)total / took / 1e6, cpu_s() - cpu);
    free(in);
    return 0;
}

static void *drain(void *arg)
{
    int fd = *(int *)arg;
    char *buf = malloc(1 << 20);
    while (recv(fd, buf, 1 << 20, 0) > 0)
        continue;
    free(buf);
    return NULL;
}

static int send_file(char **a)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0), f = open(a[0], O_RDONLY);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    struct stat st;
    if (f < 0 || fstat(f, &st) != 0)
        die(a[0], "cannot be read");
    if (bind(listener, (struct sockaddr *)&at, sizeof at) != 0 || listen(listener, 1) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &len) != 0)
        die("listen", "failed");
    int to = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(to, (struct sockaddr *)&at, sizeof at) != 0)
        die("connect", "failed");
    int from = accept(listener, NULL, NULL);
    pthread_t thread;
    pthread_create(&thread, NULL, drain, &from);
    double start = now_s();
    off_t offset = 0;
    while (offset < st.st_size)
        if (sendfile(to, f, &offset, 8 << 20) <= 0)
            die("sendfile", "failed");
    shutdown(to, SHUT_WR);
    pthread_join(thread, NULL);
    double took = now_s() - start;
    printf("{\"bytes\": %lld, \"seconds\": %.3f, \"mb_s\": %.0f}\n", (long long)st.st_size, took,
           (double)st.st_size / took / 1e6);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int args;
        int (*run)(char **args);
    } modes[] = {
        {"produce", 5, produce}, {"latency", 6, latency}, {"fetch", 4, fetch}, {"sendfile", 1, send_file}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (argc == modes[i].args + 2 && !strcmp(argv[1], modes[i].name))
            return modes[i].run(argv + 2);
    fprintf(stderr, "usage: see the head of broker_load.c\n");
    return 2;
}
