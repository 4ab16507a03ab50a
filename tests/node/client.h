/* client.h - what the node's tests share: a node in a folder of its own, and a client that speaks Kafka over
 * a plain blocking socket, well or badly. */
#ifndef MR_TESTS_NODE_CLIENT_H
#define MR_TESTS_NODE_CLIENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "node/node.h"
#include "wire/message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { ANSWER_SECONDS_MAX = 20, TOLD_BYTES = 1 << 16 };

struct site {
    char dir[64];
    struct mr_node_config config;
    struct mr_node *node;
    int port;
    pthread_mutex_t mutex; /* of told */
    char told[TOLD_BYTES]; /* all lines for people */
};

static inline void site_tell(void *arg, enum mr_level level, const char *text)
{
    struct site *s = arg;
    (void)level;
    (void)pthread_mutex_lock(&s->mutex);
    size_t at = strlen(s->told);
    (void)snprintf(s->told + at, sizeof s->told - at, "%s\n", text);
    (void)pthread_mutex_unlock(&s->mutex);
}

static inline bool site_said(struct site *s, const char *word)
{
    (void)pthread_mutex_lock(&s->mutex);
    bool found = strstr(s->told, word) != NULL;
    (void)pthread_mutex_unlock(&s->mutex);
    return found;
}

static inline void site_open(struct site *s)
{
    struct mr_err err = {0};
    if (mr_node_open(&s->config, &s->node, &err))
        fail_msg("%s", err.text);
    const char *address = mr_node_address(s->node);
    s->port = address ? atoi(strrchr(address, ':') + 1) : 0;
}

static inline void site_close(struct site *s)
{
    mr_node_close(s->node);
    s->node = NULL;
}

/* change, when not NULL, sees the configuration before the node opens. */
static inline struct site *site_new(void (*change)(struct mr_node_config *c))
{
    struct site *s = mr_need(sizeof *s);
    (void)snprintf(s->dir, sizeof s->dir, "/tmp/millrace-node-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    assert_int_equal(pthread_mutex_init(&s->mutex, NULL), 0);
    mr_node_config_init(&s->config);
    s->config.data_dir = s->dir;
    s->config.listen = "127.0.0.1:0";
    s->config.tell = site_tell;
    s->config.tell_arg = s;
    if (change)
        change(&s->config);
    site_open(s);
    return s;
}

static inline void site_free(struct site *s)
{
    char command[128];
    if (s->node)
        site_close(s);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", s->dir);
    assert_int_equal(system(command), 0);
    (void)pthread_mutex_destroy(&s->mutex);
    mr_free(s);
}

/* ------------------------------------------------------------------ sockets */

static inline int dial(const struct site *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s->port)};
    struct timeval limit = {.tv_sec = ANSWER_SECONDS_MAX};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static inline void push(int fd, const void *p, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, (const char *)p + at, len - at, MSG_NOSIGNAL);
        if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
            return; /* the node has closed it: the test sees that when it reads */
        assert_true(n > 0);
        at += (size_t)n;
    }
}

/* Reads exactly len bytes. false: the connection was closed before. Fails when nothing happens for long. */
static inline bool pull(int fd, void *p, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = recv(fd, (char *)p + at, len - at, 0);
        if (n == 0 || (n < 0 && errno == ECONNRESET))
            return false;
        if (n < 0)
            fail_msg("no answer in %d seconds: %s", ANSWER_SECONDS_MAX, strerror(errno));
        at += (size_t)n;
    }
    return true;
}

static inline void expect_closed(int fd)
{
    char byte;
    if (pull(fd, &byte, 1))
        fail_msg("an answer came (first byte %d) where the connection should be closed", byte);
    (void)close(fd);
}

/* ------------------------------------------------------------------ requests */

static inline struct mr_buf frame_of(int16_t key, int16_t version, int32_t correlation, const void *message)
{
    struct mr_buf out = {0};
    struct mr_err err = {0};
    const struct mr_api *api = mr_api_find(key);
    size_t at;
    assert_non_null(api);
    assert_true(mr_frame_begin(&out, &at));
    assert_true(mr_request_header_write(&out, api, version, correlation, MR_SLICE("test")));
    if (mr_message_write(api->request, &out, version, message, NULL, &err))
        fail_msg("%s", err.text);
    mr_frame_end(&out, at, NULL);
    return out;
}

struct answer {
    struct mr_heap_arena arena;
    struct mr_buf bytes;
};

static inline void answer_fini(struct answer *a)
{
    mr_heap_arena_fini(&a->arena);
    mr_buf_fini(&a->bytes);
}

/* The next answer on the connection, which must be the one to `correlation`. */
static inline void receive(int fd, int16_t key, int16_t version, int32_t correlation, struct answer *a,
                           void *message)
{
    uint32_t size;
    struct mr_err err = {0};
    const struct mr_api *api = mr_api_find(key);
    *a = (struct answer){0};
    mr_heap_arena_init(&a->arena, 4096, 0, 64 << 20);
    if (!pull(fd, &size, 4))
        fail_msg("the connection was closed instead of an answer to %s v%d", api->name, version);
    size = ntohl(size);
    assert_true(mr_buf_reserve(&a->bytes, size));
    assert_true(pull(fd, a->bytes.p, size));
    a->bytes.len = size;
    struct mr_slice in = {a->bytes.p, size};
    int32_t got;
    if (mr_response_header_read(&in, api, version, &got, &err) ||
        mr_message_read(api->response, &in, version, &a->arena.arena, message, &err))
        fail_msg("%s v%d: %s", api->name, version, err.text);
    assert_int_equal(got, correlation);
    assert_int_equal(in.len, 0);
}

static inline void ask(int fd, int16_t key, int16_t version, const void *in, struct answer *a, void *out)
{
    struct mr_buf frame = frame_of(key, version, 77, in);
    push(fd, frame.p, frame.len);
    mr_buf_fini(&frame);
    receive(fd, key, version, 77, a, out);
}

/* ------------------------------------------------------------------ records */

static inline struct mr_buf batch_of(const char *tag, int count, enum mr_codec codec, int64_t producer,
                                     int32_t sequence)
{
    struct mr_buf out = {0};
    struct mr_record_build b;
    mr_record_build_begin(&b, &out);
    for (int i = 0; i < count; i++) {
        char text[64];
        int n = snprintf(text, sizeof text, "%s/%d", tag, i);
        struct mr_slice value = {text, (size_t)n};
        assert_true(mr_record_build_add(&b, 1700000000000 + i, NULL, &value, NULL, 0));
    }
    assert_int_equal(mr_record_build_end(&b, codec, producer, producer < 0 ? -1 : 0, sequence, NULL), MR_OK);
    return out;
}

static inline struct mr_buf produce_frame(const char *topic, int16_t version, int16_t acks,
                                          int32_t correlation, struct mr_slice records)
{
    struct mr_produce_request in;
    struct mr_produce_request_topic t = {.name = mr_slice_of(topic), .partition_data_count = 1};
    struct mr_produce_request_partition p = {.index = 0, .records = records};
    t.partition_data = &p;
    mr_produce_request_init(&in);
    in.acks = acks;
    in.timeout_ms = 10000;
    in.topic_data = &t;
    in.topic_data_count = 1;
    return frame_of(0, version, correlation, &in);
}

/* error code; *base is the offset */
static inline int produce(int fd, const char *topic, struct mr_buf batch, int64_t *base)
{
    struct answer a;
    struct mr_produce_response out;
    struct mr_buf frame = produce_frame(topic, 9, -1, 5, (struct mr_slice){batch.p, batch.len});
    mr_buf_fini(&batch);
    push(fd, frame.p, frame.len);
    mr_buf_fini(&frame);
    receive(fd, 0, 9, 5, &a, &out);
    assert_int_equal(out.responses_count, 1);
    assert_int_equal(out.responses[0].partition_responses_count, 1);
    int error = out.responses[0].partition_responses[0].error_code;
    if (base)
        *base = out.responses[0].partition_responses[0].base_offset;
    answer_fini(&a);
    return error;
}

static inline struct mr_buf fetch_frame(const char *topic, int16_t version, int64_t offset, int32_t wait_ms,
                                        int32_t min_bytes, int32_t correlation)
{
    struct mr_fetch_request in;
    struct mr_fetch_request_topic t = {.topic = mr_slice_of(topic), .partitions_count = 1};
    struct mr_fetch_request_partition p = {.current_leader_epoch = -1,
                                           .fetch_offset = offset,
                                           .last_fetched_epoch = -1,
                                           .log_start_offset = -1,
                                           .partition_max_bytes = 1 << 20,
                                           .high_watermark = INT64_MAX};
    t.partitions = &p;
    mr_fetch_request_init(&in);
    in.max_wait_ms = wait_ms;
    in.min_bytes = min_bytes;
    in.max_bytes = 1 << 20;
    in.topics = &t;
    in.topics_count = 1;
    return frame_of(1, version, correlation, &in);
}

/* The values of a fetched partition, joined by blanks. */
static inline void values_of(struct mr_slice records, int64_t from, char *out, size_t cap)
{
    struct mr_buf scratch = {0};
    struct mr_err err = {0};
    size_t at = 0;
    out[0] = '\0';
    while (records.len) {
        struct mr_record_walk walk;
        struct mr_record r;
        if (mr_record_walk_begin(&walk, records, &scratch, 1 << 24, &err))
            fail_msg("%s", err.text);
        while (mr_record_walk_next(&walk, &r, &err) == MR_OK)
            if (r.offset >= from)
                at += (size_t)snprintf(out + at, cap - at, "%s%.*s", at ? " " : "", MR_SLICE_ARG(r.value));
        scratch.len = 0;
        size_t len = (size_t)walk.head.length + 12;
        records = (struct mr_slice){records.p + len, records.len - len};
    }
    mr_buf_fini(&scratch);
}

static inline void expect_fetched(int fd, const char *topic, int64_t offset, const char *want)
{
    char got[4096];
    struct answer a;
    struct mr_fetch_response out;
    struct mr_buf frame = fetch_frame(topic, 12, offset, 0, 1, 9);
    push(fd, frame.p, frame.len);
    mr_buf_fini(&frame);
    receive(fd, 1, 12, 9, &a, &out);
    assert_int_equal(out.responses_count, 1);
    assert_int_equal(out.responses[0].partitions[0].error_code, 0);
    values_of(out.responses[0].partitions[0].records, offset, got, sizeof got);
    assert_string_equal(got, want);
    answer_fini(&a);
}

static inline int create_topic(int fd, const char *name, int32_t partitions)
{
    struct answer a;
    struct mr_create_topics_request in;
    struct mr_create_topics_request_topic t = {
        .name = mr_slice_of(name), .num_partitions = partitions, .replication_factor = -1};
    struct mr_create_topics_response out;
    mr_create_topics_request_init(&in);
    in.topics = &t;
    in.topics_count = 1;
    ask(fd, 19, 7, &in, &a, &out);
    assert_int_equal(out.topics_count, 1);
    int error = out.topics[0].error_code;
    answer_fini(&a);
    return error;
}

#endif
