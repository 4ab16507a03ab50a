/* broker_raw.c - loads of `bench.py broker` over plain sockets, where a client library would cost more than the
 * broker does.
 *
 *   broker_raw fetch HOST PORT TOPIC PARTITION
 *       all of a partition, thrown away
 *   broker_raw sendfile FILE
 *       what sendfile alone moves over loopback here
 *   broker_raw group HOST PORT GROUP TOPIC PARTITIONS MEMBERS ROUNDS HEARTBEAT_MS
 *       members that join and leave: how long until all have their assignment
 *
 * Prints one line of JSON.
 */
#include "load.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

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

/* ---------------------------------------------------------------- a group of many members */

/* A member as a consumer is one: JoinGroup, the leader deals out the partitions (range), SyncGroup, heartbeats;
 * a heartbeat that is told of a rebalance joins again. One request under way at a time. */
enum { FIND = 10, JOIN = 11, BEAT = 12, LEAVE = 13, SYNC = 14 };
enum { NOT_READY_FIRST = 14, NOT_READY_LAST = 16, UNKNOWN_MEMBER = 25, REBALANCING = 27, NEEDS_ID = 79 };

struct group {
    const char *name, *topic;
    int partitions, count;
    struct member *m;
    struct pollfd *fds;
    char *out;                   /* for a request */
    int64_t beat_ns, asked_last; /* asked_last: when the last JoinGroup was sent */
};

struct member {
    int fd, asked;    /* the API of the request under way; 0: none */
    bool in, settled; /* in the group; has the assignment of `generation` */
    bool dirty;       /* needs to join (again) */
    bool to_sync;
    int32_t generation, first, past; /* partitions from first up to past */
    bool leader;
    int64_t next_beat, retry_at;
    char id[128];
    char *in_buf; /* an answer as it comes */
    size_t got;
    char *dealt; /* the leader's: assignments as SyncGroup wants them */
    size_t dealt_len;
};

enum { ANSWER_MAX = 1 << 20 };

static char *put_text(char *p, const char *s)
{
    size_t n = strlen(s);
    p = put16(p, (int)n);
    memcpy(p, s, n);
    return p + n;
}

static char *start_request(char *out, int api, int version)
{
    char *p = put16(out + 4, api);
    p = put16(p, version);
    p = put32(p, api);
    return put_text(p, "bench");
}

static void send_request(struct member *m, char *out, const char *end, int api)
{
    put32(out, (int32_t)(end - out - 4));
    for (const char *p = out; p < end;) {
        ssize_t n = send(m->fd, p, (size_t)(end - p), 0); /* blocks: answers are small and few */
        if (n <= 0)
            die("group", "a connection is gone");
        p += n;
    }
    m->asked = api;
}

static void join(struct group *g, struct member *m)
{
    char *p = start_request(g->out, JOIN, 5);
    p = put_text(p, g->name);
    p = put32(p, 30000);
    p = put32(p, 60000);
    p = put_text(p, m->id);
    p = put16(p, -1);
    p = put_text(p, "consumer");
    p = put32(p, 1);
    p = put_text(p, "range");
    char *size = p;
    p = put16(p + 4, 0);
    p = put32(p, 1);
    p = put_text(p, g->topic);
    p = put32(p, -1);
    put32(size, (int32_t)(p - size - 4));
    send_request(m, g->out, p, JOIN);
    g->asked_last = now_ns();
    m->dirty = m->settled = m->to_sync = false;
}

static void sync_group(struct group *g, struct member *m)
{
    char *p = start_request(g->out, SYNC, 3);
    p = put_text(p, g->name);
    p = put32(p, m->generation);
    p = put_text(p, m->id);
    p = put16(p, -1);
    if (m->leader) {
        memcpy(p, m->dealt, m->dealt_len);
        p += m->dealt_len;
    } else {
        p = put32(p, 0);
    }
    send_request(m, g->out, p, SYNC);
    m->to_sync = false;
}

static void beat(struct group *g, struct member *m)
{
    char *p = start_request(g->out, BEAT, 3);
    p = put_text(p, g->name);
    p = put32(p, m->generation);
    p = put_text(p, m->id);
    p = put16(p, -1);
    send_request(m, g->out, p, BEAT);
    m->next_beat = now_ns() + g->beat_ns;
}

static void leave(struct group *g, struct member *m)
{
    char *p = start_request(g->out, LEAVE, 1);
    p = put_text(p, g->name);
    p = put_text(p, m->id);
    send_request(m, g->out, p, LEAVE);
    m->in = m->settled = m->dirty = m->to_sync = false;
    m->id[0] = '\0';
}

static const char *text_at(const char *p, size_t *len)
{
    int n = (int16_t)((uint16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]));
    *len = n > 0 ? (size_t)n : 0;
    return p + 2;
}

/* The leader's work: members in the order of the answer, each a run of partitions. */
static void deal(struct group *g, struct member *m, const char *p)
{
    int32_t members = be32(p);
    p += 4;
    char *to = put32(m->dealt, members);
    for (int32_t i = 0; i < members; i++) {
        size_t len;
        const char *id = text_at(p, &len);
        p = id + len;
        p = text_at(p, &(size_t){0}); /* group.instance.id: never given here */
        int32_t first = (int32_t)((int64_t)g->partitions * i / members),
                past = (int32_t)((int64_t)g->partitions * (i + 1) / members);
        p += 4 + be32(p);
        to = put16(to, (int)len);
        memcpy(to, id, len);
        to += len;
        char *size = to;
        to = put16(to + 4, 0);
        to = put32(to, 1);
        to = put_text(to, g->topic);
        to = put32(to, past - first);
        for (int32_t k = first; k < past; k++)
            to = put32(to, k);
        to = put32(to, -1);
        put32(size, (int32_t)(to - size - 4));
        if (to - m->dealt > ANSWER_MAX - 4096)
            die("group", "the assignments are too long for this program");
    }
    m->dealt_len = (size_t)(to - m->dealt);
}

static void joined(struct group *g, struct member *m, const char *p)
{
    size_t len, leader_len;
    m->generation = be32(p);
    p = text_at(p + 4, &len); /* "range" */
    const char *leader = text_at(p + len, &leader_len);
    const char *id = text_at(leader + leader_len, &len);
    if (len >= sizeof m->id)
        die("group", "a member id is too long");
    memcpy(m->id, id, len);
    m->id[len] = '\0';
    m->leader = len == leader_len && !memcmp(id, leader, len);
    if (m->leader)
        deal(g, m, id + len);
    m->to_sync = true;
}

static void got_id(struct member *m, const char *p)
{
    size_t len;
    p = text_at(p + 4, &len);
    p = text_at(p + len, &len);
    p = text_at(p + len, &len);
    memcpy(m->id, p, len < sizeof m->id ? len : 0);
    m->id[len < sizeof m->id ? len : 0] = '\0';
}

/* What member `m` was given: the topic's name and a run of partitions. */
static void assigned(struct group *g, struct member *m, const char *p)
{
    int32_t size = be32(p);
    p += 4;
    m->first = m->past = 0;
    if (size > 0) {
        int32_t n = be32(p + 2 + 4 + 2 + strlen(g->topic));
        const char *v = p + 2 + 4 + 2 + strlen(g->topic) + 4;
        if (n > 0) {
            m->first = be32(v);
            m->past = be32(v + (size_t)(n - 1) * 4) + 1;
            if (m->past - m->first != n)
                die("group", "an assignment has a gap");
        }
    }
    m->settled = true;
    m->next_beat = now_ns() + g->beat_ns;
}

static void on_answer(struct group *g, struct member *m, const char *p)
{
    int api = m->asked;
    m->asked = 0;
    p += 4 + 4; /* correlation, throttle */
    int error = (int16_t)((uint16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]));
    p += 2;
    if (!m->in)
        return;
    if (error == 0) {
        if (api == JOIN)
            joined(g, m, p);
        else if (api == SYNC)
            assigned(g, m, p);
        return;
    }
    m->dirty = true;
    m->settled = false;
    if (api == JOIN && error == NEEDS_ID)
        got_id(m, p);
    else if (error == UNKNOWN_MEMBER)
        m->id[0] = '\0';
    else if (error >= NOT_READY_FIRST && error <= NOT_READY_LAST)
        m->retry_at = now_ns() + 20000000;
}

static void read_some(struct group *g, struct member *m)
{
    ssize_t n = recv(m->fd, m->in_buf + m->got, ANSWER_MAX - m->got, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        die("group", "the broker closed a connection");
    if (n < 0)
        return;
    m->got += (size_t)n;
    if (m->got >= 4 && m->got >= 4 + (size_t)be32(m->in_buf)) {
        m->got = 0; /* one answer at a time */
        on_answer(g, m, m->in_buf + 4);
    }
}

/* All that are in have an assignment of one generation, and every partition is given once. */
static bool all_settled(const struct group *g, int in)
{
    int32_t generation = -1, given = 0;
    int64_t sum = 0;
    for (int i = 0; i < g->count; i++) {
        const struct member *m = &g->m[i];
        if (!m->in)
            continue;
        in--;
        if (!m->settled || (generation >= 0 && m->generation != generation))
            return false;
        generation = m->generation;
        given += m->past - m->first;
        sum += (int64_t)(m->first + m->past - 1) * (m->past - m->first) / 2;
    }
    return in == 0 && given == g->partitions && sum == (int64_t)g->partitions * (g->partitions - 1) / 2;
}

/* What each member has to say, and what is answered within a millisecond. */
static void turn(struct group *g)
{
    int64_t now = now_ns();
    for (int i = 0; i < g->count; i++) {
        struct member *m = &g->m[i];
        if (m->in && !m->asked && now >= m->retry_at) {
            if (m->dirty)
                join(g, m);
            else if (m->to_sync)
                sync_group(g, m);
            else if (m->settled && now >= m->next_beat)
                beat(g, m);
        }
        g->fds[i] = (struct pollfd){.fd = m->asked ? m->fd : -1, .events = POLLIN};
    }
    if (poll(g->fds, (nfds_t)g->count, 1) < 0)
        die("poll", "failed");
    for (int i = 0; i < g->count; i++)
        if (g->fds[i].revents)
            read_some(g, &g->m[i]);
}

/* ns since `start` when all `in` members have their part. */
static int64_t until_settled(struct group *g, int in, int64_t start)
{
    while (!all_settled(g, in)) {
        turn(g);
        if (now_ns() - start > 60000000000)
            die("group", "the members have no assignment after a minute");
    }
    return now_ns() - start;
}

/* Only heartbeats, long enough that each member's next one falls anywhere. */
static void rest(struct group *g)
{
    for (int64_t end = now_ns() + 300000000 + now_ns() % 100000000; now_ns() < end;)
        turn(g);
}

/* The first question about a group also makes the broker's topic of offsets. */
static void find_coordinator(struct group *g, struct member *m)
{
    for (int i = 0; i < 600; i++) {
        char *p = start_request(g->out, FIND, 1);
        p = put_text(p, g->name);
        *p++ = 0;
        send_request(m, g->out, p, FIND);
        get(m->fd, m->in_buf, 4);
        get(m->fd, m->in_buf + 4, (size_t)be32(m->in_buf));
        m->asked = 0;
        if (m->in_buf[12] == 0 && m->in_buf[13] == 0)
            return;
        nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
    die("group", "there is no coordinator");
}

static int group(char **a)
{
    struct group g = {.name = a[2], .topic = a[3], .partitions = atoi(a[4]), .count = atoi(a[5])};
    int rounds = atoi(a[6]);
    g.beat_ns = atol(a[7]) * 1000000;
    g.m = need(calloc((size_t)g.count, sizeof *g.m));
    g.fds = need(calloc((size_t)g.count, sizeof *g.fds));
    g.out = need(malloc(ANSWER_MAX + 4096));
    for (int i = 0; i < g.count; i++) {
        g.m[i].fd = dial(a[0], a[1]);
        g.m[i].in_buf = need(malloc(ANSWER_MAX));
        g.m[i].dealt = need(malloc(ANSWER_MAX));
    }
    find_coordinator(&g, &g.m[0]);
    int64_t start = now_ns();
    for (int i = 0; i < g.count; i++) {
        g.m[i].in = true;
        join(&g, &g.m[i]);
    }
    int64_t took = until_settled(&g, g.count, start);
    printf("{\"form\": %.4f, \"generation\": %d", (double)took / 1e9, g.m[0].generation);
    struct hist *left = need(calloc(1, sizeof *left)), *came = need(calloc(1, sizeof *came)),
                *own = need(calloc(1, sizeof *own)); /* since the last member asked */
    for (int r = 0; r < rounds; r++) {
        struct member *m = &g.m[r % g.count]; /* the leader among them */
        rest(&g);
        start = now_ns();
        leave(&g, m);
        hist_add(left, until_settled(&g, g.count - 1, start));
        hist_add(own, now_ns() - g.asked_last);
        rest(&g);
        start = now_ns();
        m->in = m->dirty = true;
        hist_add(came, until_settled(&g, g.count, start));
        hist_add(own, now_ns() - g.asked_last);
    }
    printf(", \"leave\": %.4f, \"leave_max\": %.4f, \"join\": %.4f, \"join_max\": %.4f, \"own\": %.4f, "
           "\"own_max\": %.4f}\n",
           hist_at(left, 0.5) / 1e3, (double)left->max / 1e9, hist_at(came, 0.5) / 1e3,
           (double)came->max / 1e9, hist_at(own, 0.5) / 1e3, (double)own->max / 1e9);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int args;
        int (*run)(char **args);
    } modes[] = {{"fetch", 4, fetch}, {"sendfile", 1, send_file}, {"group", 8, group}};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (argc == modes[i].args + 2 && !strcmp(argv[1], modes[i].name))
            return modes[i].run(argv + 2);
    fprintf(stderr, "usage: see the head of broker_raw.c\n");
    return 2;
}
