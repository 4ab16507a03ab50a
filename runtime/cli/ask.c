/* ask.c - one request, one answer.
 *
 * Laws:  a connection has at most one request under way; another answer than its own ends it
 *        no wait is longer than --timeout, and Ctrl-C ends it
 *        SASL, when it is set, comes before every request but ApiVersions
 */
#include "cli/ask.h"

#include "base/arena.h"
#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SLICE_MS = 100, /* how long a wait may keep Ctrl-C waiting */
    AGAIN_MS = 100, /* between two questions for what is not there yet */
    KEYS_MAX = 128, /* of requests that are looked at */
    ERROR_NO_COORDINATOR = 15,
    ERROR_NOT_COORDINATOR = 16,
};

struct link {
    int32_t node;
    struct mr_ask_pipe pipe;
    int32_t correlation;
    bool negotiated;
    int16_t min[KEYS_MAX], max[KEYS_MAX]; /* max -1: not served */
};

struct mr_ask {
    struct mr_heap_arena arena;
    struct mr_buf out;
    struct link **links;
    size_t count;
    bool security_read;
    struct mr_ask_security security;
};

/* ------------------------------------------------------------------ waiting */

bool mr_ask_wait(int fd, short wants, int64_t until_ms, struct mr_err *err)
{
    for (;;) {
        struct pollfd p = {.fd = fd, .events = wants};
        int64_t left = until_ms - mr_kafka_now_ms();
        if (mr_kafka_stopped)
            return mr_fail(err, MR_CANCELLED, "interrupted") == MR_OK;
        if (left <= 0)
            return mr_fail(err, MR_TIMEOUT, "no answer in time; give it longer with --timeout") == MR_OK;
        int n = poll(&p, 1, (int)(left < SLICE_MS ? left : SLICE_MS));
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return mr_fail(err, MR_IO, "%s", strerror(errno)) == MR_OK;
    }
}

bool mr_ask_again(int16_t error, int64_t until_ms)
{
    struct mr_err err = {0};
    if (error != MR_ASK_LOADING && error != ERROR_NO_COORDINATOR && error != ERROR_NOT_COORDINATOR)
        return false;
    int64_t now = mr_kafka_now_ms();
    if (now >= until_ms)
        return false;
    int64_t nap = now + AGAIN_MS < until_ms ? now + AGAIN_MS : until_ms;
    (void)mr_ask_wait(-1, 0, nap, &err); /* no descriptor: it sleeps */
    return !mr_kafka_stopped;
}

/* ------------------------------------------------------------------ memory */

static struct mr_ask *ask_of(struct mr_kafka *k)
{
    if (!k->ask && (k->ask = calloc(1, sizeof *k->ask)))
        mr_heap_arena_init(&k->ask->arena, 64 << 10, 0, MR_ASK_ARENA_MAX);
    return k->ask;
}

void *mr_ask_take(struct mr_kafka *k, size_t count, size_t size)
{
    struct mr_ask *a = ask_of(k);
    void *p = a && count < MR_ASK_ARENA_MAX / (size ? size : 1)
                  ? mr_arena_take(&a->arena.arena, count * size + 1)
                  : NULL;
    if (!p) {
        mr_cli_say("millrace: error: the answers need more than %d MiB", MR_ASK_ARENA_MAX >> 20);
        exit(MR_EXIT_FAILED);
    }
    memset(p, 0, count * size + 1);
    return p;
}

struct mr_arena *mr_ask_arena(struct mr_kafka *k)
{
    return &k->ask->arena.arena;
}

char *mr_ask_text(struct mr_kafka *k, struct mr_slice s)
{
    char *text = mr_ask_take(k, s.len + 1, 1);
    if (s.len)
        memcpy(text, s.p, s.len);
    return text;
}

/* ------------------------------------------------------------------ bytes */

static bool write_all(struct link *l, const char *p, size_t len, int64_t until_ms, struct mr_err *err)
{
    while (len) {
        short wants = 0;
        ssize_t n = mr_ask_pipe_write(&l->pipe, p, len, &wants, err);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        } else if (!wants || !mr_ask_wait(l->pipe.fd, wants, until_ms, err)) {
            return false;
        }
    }
    return true;
}

static bool read_all(struct link *l, char *p, size_t len, int64_t until_ms, struct mr_err *err)
{
    while (len) {
        short wants = 0;
        ssize_t n = mr_ask_pipe_read(&l->pipe, p, len, &wants, err);
        if (n > 0) {
            p += n;
            len -= (size_t)n;
        } else if (n == 0) {
            return mr_fail(err, MR_GONE,
                           "the broker closed the connection; it may want --set security.protocol=...") ==
                   MR_OK;
        } else if (!wants || !mr_ask_wait(l->pipe.fd, wants, until_ms, err)) {
            return false;
        }
    }
    return true;
}

/* One exchange. The frame of the answer is kept in the arena. */
static bool exchange(struct mr_ask *a, struct link *l, const struct mr_api *api, int16_t version,
                     const void *request, void *response, int64_t until_ms, struct mr_err *err)
{
    unsigned char size[4];
    size_t at;
    int32_t number = ++l->correlation, got = 0;
    a->out.len = 0;
    if (!mr_frame_begin(&a->out, &at) ||
        !mr_request_header_write(&a->out, api, version, number, MR_SLICE("millrace")))
        return mr_fail(err, MR_MEMORY, "no memory for a request") == MR_OK;
    if (mr_message_write(api->request, &a->out, version, request, NULL, err))
        return false;
    mr_frame_end(&a->out, at, NULL);
    if (!write_all(l, a->out.p, a->out.len, until_ms, err) ||
        !read_all(l, (char *)size, sizeof size, until_ms, err))
        return false;
    size_t len = (size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3];
    char *frame = len <= MR_ASK_FRAME_MAX ? mr_arena_take(&a->arena.arena, len + 1) : NULL;
    if (!frame)
        return mr_fail(err, MR_LIMIT, "an answer of %zu bytes is more than is taken", len) == MR_OK;
    if (!read_all(l, frame, len, until_ms, err))
        return false;
    struct mr_slice in = {frame, len};
    if (mr_response_header_read(&in, api, version, &got, err))
        return false;
    if (got != number)
        return mr_fail(err, MR_BADDATA, "the answer has number %" PRId32 ", asked was %" PRId32, got,
                       number) == MR_OK;
    return mr_message_read(api->response, &in, version, &a->arena.arena, response, err) == MR_OK;
}

/* ------------------------------------------------------------------ connections */

static void link_close(struct link *l)
{
    mr_secure_end(l->pipe.secure);
    if (l->pipe.fd >= 0)
        (void)close(l->pipe.fd);
    l->pipe = (struct mr_ask_pipe){.fd = -1};
    l->negotiated = false;
}

static bool try_address(struct link *l, const struct addrinfo *to, int64_t until_ms, struct mr_err *err)
{
    int on = 1, why = 0;
    socklen_t len = sizeof why;
    l->pipe.fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (l->pipe.fd < 0)
        return mr_fail(err, MR_IO, "%s", strerror(errno)) == MR_OK;
    (void)setsockopt(l->pipe.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(l->pipe.fd, to->ai_addr, to->ai_addrlen) == 0)
        return true;
    if (errno != EINPROGRESS)
        return mr_fail(err, MR_IO, "%s", strerror(errno)) == MR_OK;
    if (!mr_ask_wait(l->pipe.fd, POLLOUT, until_ms, err))
        return false;
    if (getsockopt(l->pipe.fd, SOL_SOCKET, SO_ERROR, &why, &len) == 0 && why == 0)
        return true;
    return mr_fail(err, MR_IO, "%s", strerror(why)) == MR_OK;
}

static bool link_connect(struct link *l, const char *host, int port, int64_t until_ms, struct mr_err *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    char service[16];
    (void)snprintf(service, sizeof service, "%d", port);
    int rc = getaddrinfo(host, service, &hints, &list);
    if (rc)
        return mr_fail(err, MR_NOTFOUND, "the name is not known: %s", gai_strerror(rc)) == MR_OK;
    bool good = false;
    for (struct addrinfo *to = list; to && !good; to = to->ai_next) {
        good = try_address(l, to, until_ms, err);
        if (!good)
            link_close(l);
    }
    freeaddrinfo(list);
    return good;
}

static bool negotiate(struct mr_ask *a, struct link *l, int64_t until_ms, struct mr_err *err)
{
    /* version 0 has all that is needed, and every broker answers it */
    struct mr_api_versions_request request;
    struct mr_api_versions_response response;
    mr_api_versions_request_init(&request);
    if (!exchange(a, l, mr_api_find(MR_ASK_API_VERSIONS), 0, &request, &response, until_ms, err))
        return false;
    if (response.error_code)
        return mr_fail(err, MR_BADDATA, "ApiVersions was answered by error %d", response.error_code) == MR_OK;
    for (int i = 0; i < KEYS_MAX; i++)
        l->max[i] = -1;
    for (int32_t i = 0; i < response.api_keys_count; i++) {
        int16_t key = response.api_keys[i].api_key;
        if (key >= 0 && key < KEYS_MAX) {
            l->min[key] = response.api_keys[i].min_version;
            l->max[key] = response.api_keys[i].max_version;
        }
    }
    l->negotiated = true;
    return true;
}

static int version_at(const struct link *l, int16_t key)
{
    const struct mr_api *api = mr_api_find(key);
    if (!api || key >= KEYS_MAX || l->max[key] < 0)
        return -1;
    int most = api->max_stable < l->max[key] ? api->max_stable : l->max[key];
    int least = api->min > l->min[key] ? api->min : l->min[key];
    return most < least ? -1 : most;
}

static bool authenticate(struct mr_ask *a, struct link *l, int64_t until_ms, struct mr_err *err)
{
    struct mr_sasl x = {.s = &a->security};
    struct mr_sasl_handshake_request hello;
    struct mr_sasl_handshake_response answer;
    struct mr_slice challenge = {0};
    struct mr_buf token = {0};
    bool done = false, good;
    mr_sasl_handshake_request_init(&hello);
    hello.mechanism = mr_slice_of(a->security.sasl);
    good = exchange(a, l, mr_api_find(MR_ASK_SASL_HANDSHAKE), 1, &hello, &answer, until_ms, err);
    if (good && answer.error_code)
        return mr_fail(err, MR_BADCONF, "the broker does not take the SASL mechanism '%s'",
                       a->security.sasl) == MR_OK;
    while (good && !done) {
        struct mr_sasl_authenticate_request step;
        struct mr_sasl_authenticate_response back;
        token.len = 0;
        mr_sasl_authenticate_request_init(&step);
        int version = version_at(l, MR_ASK_SASL_AUTHENTICATE);
        good = mr_sasl_next(&x, challenge, &token, &done, err);
        if (!good || token.len == 0)
            break;
        step.auth_bytes = (struct mr_slice){token.p, token.len};
        good = exchange(a, l, mr_api_find(MR_ASK_SASL_AUTHENTICATE), (int16_t)(version < 0 ? 0 : version),
                        &step, &back, until_ms, err);
        if (good && back.error_code)
            good = mr_fail(err, MR_BADCONF, "%.*s; see sasl.username and sasl.password",
                           MR_SLICE_ARG(back.error_message)) == MR_OK;
        challenge = good ? back.auth_bytes : challenge;
    }
    mr_buf_fini(&token);
    return good;
}

static const struct rd_kafka_metadata_broker *broker_of(const struct mr_kafka *k, int32_t node)
{
    for (int i = 0; i < k->meta->broker_cnt; i++)
        if (k->meta->brokers[i].id == node)
            return &k->meta->brokers[i];
    return NULL;
}

static struct link *link_new(struct mr_ask *a, int32_t node)
{
    struct link **more =
        a->count < MR_ASK_BROKERS_MAX ? realloc(a->links, (a->count + 1) * sizeof(struct link *)) : NULL;
    struct link *l = more ? calloc(1, sizeof *l) : NULL;
    if (more)
        a->links = more;
    if (!l)
        return NULL;
    *l = (struct link){.node = node, .pipe = {.fd = -1}};
    a->links[a->count++] = l;
    return l;
}

/* A connection that has negotiated; NULL: err says why. */
static struct link *link_to(struct mr_kafka *k, int32_t node, int64_t until_ms, struct mr_err *err)
{
    struct mr_ask *a = k->ask;
    struct link *l = NULL;
    const struct rd_kafka_metadata_broker *b = broker_of(k, node);
    for (size_t i = 0; i < a->count; i++)
        if (a->links[i]->node == node)
            l = a->links[i];
    if (l && l->negotiated)
        return l;
    if (!b) {
        (void)mr_fail(err, MR_NOTFOUND, "it is not among the brokers");
        return NULL;
    }
    l = l ? l : link_new(a, node);
    if (!l) {
        (void)mr_fail(err, MR_LIMIT, "more than %d brokers", MR_ASK_BROKERS_MAX);
        return NULL;
    }
    if (link_connect(l, b->host, b->port, until_ms, err) &&
        (!a->security.tls || mr_secure_start(k, &l->pipe, b->host, until_ms, err)) &&
        negotiate(a, l, until_ms, err) && (!a->security.sasl[0] || authenticate(a, l, until_ms, err)))
        return l;
    mr_wrap(err, "%s:%d", b->host, b->port);
    link_close(l);
    return NULL;
}

static struct link *link_to_anyone(struct mr_kafka *k, int64_t until_ms, struct mr_err *err)
{
    for (size_t i = 0; i < k->ask->count; i++)
        if (k->ask->links[i]->negotiated)
            return k->ask->links[i];
    for (int i = 0; i < k->meta->broker_cnt && !mr_kafka_stopped; i++) {
        struct link *l = link_to(k, k->meta->brokers[i].id, until_ms, err);
        if (l)
            return l;
    }
    if (k->meta->broker_cnt == 0)
        (void)mr_fail(err, MR_NOTFOUND, "the cluster names no broker");
    return NULL;
}

static struct link *find_link(struct mr_kafka *k, int32_t node, int16_t key, struct mr_err *err)
{
    int64_t until_ms = mr_kafka_now_ms() + k->timeout_ms;
    struct mr_ask *a = ask_of(k);
    if (!a || (!a->security_read && !mr_ask_security_read(k, &a->security)))
        return NULL;
    a->security_read = true;
    struct link *l =
        node == MR_ASK_ANYONE ? link_to_anyone(k, until_ms, err) : link_to(k, node, until_ms, err);
    if (!l && node == MR_ASK_ANYONE)
        mr_cli_say("millrace: error: cannot ask a broker for '%s': %s", mr_api_find(key)->name, err->text);
    else if (!l)
        mr_cli_say("millrace: error: cannot ask broker %" PRId32 " for '%s': %s", node,
                   mr_api_find(key)->name, err->text);
    return l;
}

/* ------------------------------------------------------------------ asking */

int mr_ask_version(struct mr_kafka *k, int32_t node, int16_t key)
{
    struct mr_err err = {0};
    struct link *l = find_link(k, node, key, &err);
    return l ? version_at(l, key) : -2;
}

bool mr_ask(struct mr_kafka *k, int32_t node, int16_t key, const void *request, void *response)
{
    struct mr_err err = {0};
    const struct mr_api *api = mr_api_find(key);
    struct link *l = find_link(k, node, key, &err);
    if (!l)
        return false;
    int version = version_at(l, key);
    if (version < 0) {
        mr_cli_say("millrace: error: broker %" PRId32 " does not serve the request '%s'\n"
                   "  = it is older than this verb, or of another make; a newer broker may be asked with "
                   "--broker",
                   l->node, api->name);
        return false;
    }
    if (exchange(k->ask, l, api, (int16_t)version, request, response, mr_kafka_now_ms() + k->timeout_ms,
                 &err))
        return true;
    link_close(l); /* what comes next there may be the rest of this answer */
    mr_cli_say("millrace: error: broker %" PRId32 " was asked for '%s': %s", l->node, api->name, err.text);
    return false;
}

int32_t mr_ask_coordinator(struct mr_kafka *k, int8_t type, const char *key)
{
    int64_t until_ms = mr_kafka_now_ms() + k->timeout_ms;
    struct mr_find_coordinator_request request;
    struct mr_find_coordinator_response response;
    struct mr_slice name = mr_slice_of(key);
    int16_t error;
    int32_t node;
    mr_find_coordinator_request_init(&request);
    request.key = name;
    request.key_type = type;
    request.coordinator_keys = &name;
    request.coordinator_keys_count = 1;
    do {
        if (!mr_ask(k, MR_ASK_ANYONE, MR_ASK_FIND_COORDINATOR, &request, &response))
            return -1;
        bool listed = response.coordinators_count > 0;
        error = listed ? response.coordinators[0].error_code : response.error_code;
        node = listed ? response.coordinators[0].node_id : response.node_id;
    } while (error && mr_ask_again(error, until_ms));
    if (!error)
        return node;
    (void)mr_kafka_refused(
        k, type == MR_ASK_TXN ? "find the coordinator of transactional id" : "find the coordinator of group",
        key, (rd_kafka_resp_err_t)error, NULL);
    return -1;
}

void mr_kafka_close_ask(struct mr_kafka *k)
{
    struct mr_ask *a = k->ask;
    if (!a)
        return;
    for (size_t i = 0; i < a->count; i++) {
        link_close(a->links[i]);
        free(a->links[i]);
    }
    free(a->links);
    mr_buf_fini(&a->out);
    mr_heap_arena_fini(&a->arena);
    free(a);
    k->ask = NULL;
}
