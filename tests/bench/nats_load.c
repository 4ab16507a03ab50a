/* nats_load.c - the load of `bench.py broker` against nats-server's JetStream, by its text protocol over sockets:
 * publishing with an acknowledgement for each record, many under way at once, and consumers.
 *
 *   nats_load publish HOST PORT STREAMS SECONDS BYTES WINDOW
 *       as fast as acknowledgements come; streams take turns, as partitions would
 *   nats_load latency HOST PORT STREAMS RATE WARM_S SECONDS BYTES WINDOW SERVER_PID
 *       at a steady pace, from publishing to the consumer's having the record, in one process
 *   nats_load consume HOST PORT STREAM RECORDS
 *       records from the stream's beginning by a pull consumer, thrown away
 *
 * Streams b0, b1, ... are made anew by the first two, in files. Prints one line of JSON.
 */
#include "load.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { BUFFER = 4 << 20, OUT = 64 << 10, NAP_NS = 100000, STREAMS_MAX = 64 };

/* A connection whose messages are read by a thread of its own. */
struct link {
    int fd;
    char *in;
    size_t at, end;
    void (*on_message)(struct link *l, const char *subject, const char *body, size_t len);
    void *arg;
};

static void say(int fd, const char *text, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, text + at, len - at, MSG_NOSIGNAL);
        if (n <= 0)
            die("send", "the server closed the connection");
        at += (size_t)n;
    }
}

/* More of what comes; false: the connection was shut. */
static bool more(struct link *l)
{
    if (l->at > 0) {
        memmove(l->in, l->in + l->at, l->end - l->at);
        l->end -= l->at;
        l->at = 0;
    }
    if (l->end == BUFFER)
        die("recv", "a message is larger than the buffer");
    ssize_t n = recv(l->fd, l->in + l->end, BUFFER - l->end, 0);
    if (n <= 0)
        return false;
    l->end += (size_t)n;
    return true;
}

/* One line or message that is there; false: it is not there as a whole. */
static bool one(struct link *l)
{
    char *line = l->in + l->at, *end = memchr(line, '\n', l->end - l->at);
    if (!end)
        return false;
    size_t took = (size_t)(end - line) + 1;
    if (!strncmp(line, "MSG ", 4)) {
        char *size = end - 1; /* after it \r */
        while (size[-1] != ' ')
            size--;
        size_t len = strtoul(size, NULL, 10);
        if (l->end - l->at < took + len + 2)
            return false;
        l->at += took + len + 2;
        l->on_message(l, line + 4, end + 1, len);
        return true;
    }
    l->at += took;
    if (!strncmp(line, "PING", 4))
        say(l->fd, "PONG\r\n", 6);
    else if (!strncmp(line, "-ERR", 4)) {
        *end = '\0';
        die("the server says", line);
    }
    return true;
}

static void *read_on(void *arg)
{
    struct link *l = arg;
    do {
        while (l->at < l->end && one(l))
            continue;
    } while (more(l));
    return NULL;
}

static void open_link(struct link *l, const char *host, const char *port)
{
    static const char hello[] =
        "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"c\",\"version\":\"1\"}\r\n"
        "SUB answer%d.* 1\r\n";
    char out[sizeof hello + 16];
    l->fd = dial(host, port);
    l->in = need(malloc(BUFFER));
    say(l->fd, out, (size_t)snprintf(out, sizeof out, hello, l->fd));
}

/* ---------------------------------------------------------------- JetStream's own requests */

struct answer {
    bool there;
    char text[4096];
};

static void keep_answer(struct link *l, const char *subject, const char *body, size_t len)
{
    struct answer *a = l->arg;
    (void)subject;
    a->there = true;
    (void)snprintf(a->text, sizeof a->text, "%.*s", (int)len, body);
}

/* Only before the link's thread runs. */
static void ask(struct link *l, const char *what, const char *name, const char *json, bool may_fail)
{
    struct answer a = {0};
    char out[1024];
    int n = snprintf(out, sizeof out, "PUB $JS.API.%s.%s answer%d.api %zu\r\n%s\r\n", what, name, l->fd,
                     strlen(json), json);
    l->on_message = keep_answer;
    l->arg = &a;
    say(l->fd, out, (size_t)n);
    while (!a.there)
        if (!one(l) && !more(l))
            die("recv", "the server closed the connection");
    if (!may_fail && strstr(a.text, "\"error\""))
        die(what, a.text);
}

static void make_streams(struct link *l, int streams)
{
    for (int i = 0; i < streams; i++) {
        char name[32], json[256];
        (void)snprintf(name, sizeof name, "b%d", i);
        (void)snprintf(json, sizeof json,
                       "{\"name\":\"%s\",\"subjects\":[\"%s\"],\"storage\":\"file\",\"retention\":\"limits\","
                       "\"num_replicas\":1}",
                       name, name);
        ask(l, "STREAM.DELETE", name, "", true);
        ask(l, "STREAM.CREATE", name, json, false);
    }
}

/* Messages of `stream` come to `l` as messages of their own subject. */
static void push_consumer(struct link *l, int stream, const char *from)
{
    char name[32], text[256];
    (void)snprintf(name, sizeof name, "b%d", stream);
    (void)snprintf(text, sizeof text, "SUB to.%s.%s %d\r\n", name, from, 2 + stream);
    say(l->fd, text, strlen(text));
    (void)snprintf(text, sizeof text,
                   "{\"stream_name\":\"%s\",\"config\":{\"deliver_subject\":\"to.%s.%s\",\"deliver_policy\":"
                   "\"%s\",\"ack_policy\":\"none\",\"replay_policy\":\"instant\"}}",
                   name, name, from, from);
    ask(l, "CONSUMER.CREATE", name, text, false);
}

/* ---------------------------------------------------------------- publishing */

static atomic_long acked, refused;

static void on_ack(struct link *l, const char *subject, const char *body, size_t len)
{
    (void)l;
    (void)subject;
    if (memmem(body, len, "\"error\"", 7))
        atomic_fetch_add(&refused, 1);
    atomic_fetch_add_explicit(&acked, 1, memory_order_release);
}

struct out {
    int fd;
    size_t len;
    char bytes[OUT + (64 << 10)];
};

static void flush(struct out *o)
{
    say(o->fd, o->bytes, o->len);
    o->len = 0;
}

/* Waits while `window` records are not acknowledged. */
static void publish(struct out *o, long number, long window, int stream, const char *payload, size_t bytes)
{
    while (number - atomic_load_explicit(&acked, memory_order_acquire) >= window) {
        if (o->len)
            flush(o);
        nanosleep(&(struct timespec){0, 20000}, NULL);
    }
    o->len += (size_t)sprintf(o->bytes + o->len, "PUB b%d answer%d.p %zu\r\n", stream, o->fd, bytes);
    memcpy(o->bytes + o->len, payload, bytes);
    memcpy(o->bytes + o->len + bytes, "\r\n", 2);
    o->len += bytes + 2;
    if (o->len >= OUT)
        flush(o);
}

static void await_acks(long n)
{
    for (double end = now_s() + 60; atomic_load(&acked) < n;) {
        if (now_s() > end)
            die("publish", "acknowledgements are missing after a minute");
        nanosleep(&(struct timespec){0, 100000}, NULL);
    }
}

static int publish_all(char **a)
{
    int streams = atoi(a[2]);
    double seconds = atof(a[3]);
    long n = 0, window = atol(a[5]);
    size_t bytes = (size_t)atol(a[4]);
    struct link l = {0};
    struct out *o = need(calloc(1, sizeof *o));
    char *payload = need(malloc(bytes));
    if (bytes > 60 << 10 || streams > STREAMS_MAX)
        die("publish", "records are of at most 60 KB, in at most 64 streams");
    for (size_t i = 0; i < bytes; i++)
        payload[i] = (char)('a' + (i * 7919 + i / 13) % 26);
    open_link(&l, a[0], a[1]);
    make_streams(&l, streams);
    l.on_message = on_ack;
    o->fd = l.fd;
    pthread_t thread;
    pthread_create(&thread, NULL, read_on, &l);
    double start = now_s(), cpu = cpu_s();
    for (; n % 64 || now_s() - start < seconds; n++)
        publish(o, n, window, (int)(n % streams), payload, bytes);
    flush(o);
    await_acks(n);
    double took = now_s() - start;
    printf("{\"records\": %ld, \"failed\": %ld, \"seconds\": %.3f, \"rate\": %.0f, \"client_cpu\": %.2f}\n",
           atomic_load(&acked), atomic_load(&refused), took, (double)n / took, cpu_s() - cpu);
    shutdown(l.fd, SHUT_RDWR);
    pthread_join(thread, NULL);
    free(o);
    free(payload);
    free(l.in);
    return 0;
}

/* ---------------------------------------------------------------- latency */

struct mark {
    int64_t sent; /* ns, just before it is written */
    int64_t number;
    int64_t counted;
};

struct reader {
    struct hist latency;
    int64_t last[STREAMS_MAX];
    atomic_long read;
    long disordered;
};

static void on_record(struct link *l, const char *subject, const char *body, size_t len)
{
    struct reader *r = l->arg;
    struct mark mark;
    int stream = atoi(subject + 1); /* b7 */
    if (len < sizeof mark || subject[0] != 'b' || stream >= STREAMS_MAX)
        return;
    int64_t t = now_ns();
    memcpy(&mark, body, sizeof mark);
    r->disordered += mark.number <= r->last[stream];
    r->last[stream] = mark.number;
    if (mark.counted)
        hist_add(&r->latency, t - mark.sent);
    atomic_fetch_add(&r->read, 1);
}

static int latency(char **a)
{
    int streams = atoi(a[2]);
    double rate = atof(a[3]), warm = atof(a[4]), seconds = atof(a[5]);
    size_t bytes = (size_t)atol(a[6]);
    long window = atol(a[7]), pid = atol(a[8]);
    struct link pub = {0}, sub = {0};
    struct out *o = need(calloc(1, sizeof *o));
    struct reader *r = need(calloc(1, sizeof *r));
    struct hist *late = need(calloc(1, sizeof *late));
    struct mark mark = {0};
    char *payload = need(calloc(1, bytes));
    if (bytes < sizeof mark || bytes > 60 << 10 || streams > STREAMS_MAX)
        die("latency", "records are of 24 bytes to 60 KB, in at most 64 streams");
    open_link(&pub, a[0], a[1]);
    open_link(&sub, a[0], a[1]);
    make_streams(&pub, streams);
    for (int i = 0; i < streams; i++)
        push_consumer(&sub, i, "all");
    pub.on_message = on_ack;
    sub.on_message = on_record;
    sub.arg = r;
    o->fd = pub.fd;
    pthread_t acks, records;
    pthread_create(&acks, NULL, read_on, &pub);
    pthread_create(&records, NULL, read_on, &sub);
    long n_warm = (long)(rate * warm), n = n_warm + (long)(rate * seconds);
    double cpu = 0, server = 0, took = 0;
    int64_t start = now_ns();
    for (long i = 0; i < n; i++) {
        int64_t due = start + (int64_t)((double)i * 1e9 / rate);
        while ((mark.sent = now_ns()) < due) {
            if (o->len)
                flush(o);
            nanosleep(&(struct timespec){0, NAP_NS}, NULL);
        }
        if (i == n_warm)
            cpu = cpu_s(), server = cpu_of(pid), took = now_s();
        mark.number = i + 1;
        mark.counted = i >= n_warm;
        memcpy(payload, &mark, sizeof mark);
        publish(o, i, window, (int)(i % streams), payload, bytes);
        if (i >= n_warm)
            hist_add(late, mark.sent - due);
    }
    flush(o);
    took = now_s() - took;
    cpu = cpu_s() - cpu;
    server = cpu_of(pid) - server;
    await_acks(n);
    for (int i = 0; i < 500 && atomic_load(&r->read) < n; i++)
        nanosleep(&(struct timespec){0, 20000000}, NULL);
    shutdown(pub.fd, SHUT_RDWR);
    shutdown(sub.fd, SHUT_RDWR);
    pthread_join(acks, NULL);
    pthread_join(records, NULL);
    printf(
        "{\"sent\": %ld, \"delivered\": %ld, \"failed\": %ld, \"read\": %ld, \"disordered\": %ld, \"rate\": "
        "%.0f, \"p50\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f, \"late_p99\": %.3f, "
        "\"client_cpu\": %.2f, \"broker_cpu\": %.2f}\n",
        n, atomic_load(&acked), atomic_load(&refused), atomic_load(&r->read), r->disordered,
        (double)(n - n_warm) / took, hist_at(&r->latency, 0.5), hist_at(&r->latency, 0.99),
        hist_at(&r->latency, 0.999), (double)r->latency.max / 1e6, hist_at(late, 0.99), cpu / took,
        server / took);
    free(o);
    free(r);
    free(late);
    free(payload);
    free(pub.in);
    free(sub.in);
    return 0;
}

/* ---------------------------------------------------------------- consuming */

struct count {
    long records, bytes;
};

static void count_record(struct link *l, const char *subject, const char *body, size_t len)
{
    struct count *c = l->arg;
    (void)subject;
    (void)body;
    c->records++;
    c->bytes += (long)len;
}

enum { BATCH = 5000 }; /* asked for at once; two are under way */

static void pull(struct link *l, const char *stream, long records)
{
    char out[256], json[64];
    int n = snprintf(json, sizeof json, "{\"batch\":%ld}", records);
    n = snprintf(out, sizeof out, "PUB $JS.API.CONSUMER.MSG.NEXT.b%s.c answer%d.m %d\r\n%s\r\n", stream,
                 l->fd, n, json);
    say(l->fd, out, (size_t)n);
}

static int consume(char **a)
{
    long n = atol(a[3]), asked = 0;
    struct link l = {0};
    struct count c = {0};
    char name[32], json[256];
    open_link(&l, a[0], a[1]);
    (void)snprintf(name, sizeof name, "b%s.c", a[2]);
    (void)snprintf(json, sizeof json,
                   "{\"stream_name\":\"b%s\",\"config\":{\"durable_name\":\"c\",\"deliver_policy\":\"all\","
                   "\"ack_policy\":\"none\",\"replay_policy\":\"instant\"}}",
                   a[2]);
    double start = now_s(), cpu = cpu_s();
    ask(&l, "CONSUMER.DURABLE.CREATE", name, json, false);
    l.on_message = count_record;
    l.arg = &c;
    while (c.records < n) {
        for (; asked < n && asked - c.records <= BATCH; asked += BATCH)
            pull(&l, a[2], n - asked < BATCH ? n - asked : BATCH);
        if (!one(&l) && !more(&l))
            die("consume", "the server closed the connection");
    }
    double took = now_s() - start;
    printf("{\"records\": %ld, \"bytes\": %ld, \"seconds\": %.3f, \"mb_s\": %.0f, \"client_cpu\": %.2f}\n",
           c.records, c.bytes, took, (double)c.bytes / took / 1e6, cpu_s() - cpu);
    close(l.fd);
    free(l.in);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int args;
        int (*run)(char **args);
    } modes[] = {{"publish", 6, publish_all}, {"latency", 9, latency}, {"consume", 4, consume}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (argc == modes[i].args + 2 && !strcmp(argv[1], modes[i].name))
            return modes[i].run(argv + 2);
    fprintf(stderr, "usage: see the head of nats_load.c\n");
    return 2;
}
