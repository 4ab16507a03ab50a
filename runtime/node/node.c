/* node.c - opens and closes a node: data directory, shard, broker, topics port, listener.
 *
 * opening --thread started--> open --close posted--> draining --nothing under way--> flushing --all on the
 * disk--> finished;   after DRAIN_MS: finished from anywhere
 *
 * Everything is made on the caller's thread, before the shard's thread starts: so a failure is simply
 * returned.
 */
#include "node/node_inside.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"

#include <limits.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    DRAIN_MS = 5000,
    SHARD_STACK = 512 << 10, /* bytes */
    ID_FILE_BYTES = 256,
    FILES_KEPT = 256, /* descriptors: the process's own, and those of pipelines */
    FILES_A_PARTITION = 4,
};

void mr_node_config_init(struct mr_node_config *c)
{
    *c = (struct mr_node_config){
        .connections_max = 10000,
        .frame_bytes_max = (size_t)100 << 20,
        .request_bytes_max = (size_t)256 << 20,
        .fetch_bytes_max = (size_t)55 << 20,
        .frame_ms = 30000,
        .idle_ms = 600000,
    };
    mr_broker_config_init(&c->broker);
    c->broker.recover_ahead = true;
    mr_groups_config_init(&c->groups);
    mr_txns_config_init(&c->txns);
}

void mr_node_tell(const struct mr_node *n, enum mr_level level, const char *format, ...)
{
    char text[MR_ERR_TEXT];
    va_list args;
    if (!n->config.tell)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    n->config.tell(n->config.tell_arg, level, text);
}

static void broker_tells(void *arg, enum mr_level level, const char *text)
{
    mr_node_tell(arg, level, "%s", text);
}

mr_code mr_address_parse(const char *text, struct mr_address *out, struct mr_err *err)
{
    const char *colon = strrchr(text, ':');
    int64_t port = -1;
    if (!colon || !mr_parse_i64(mr_slice_of(colon + 1), &port) || port < 0 || port > 65535)
        return mr_fail(err, MR_BADCONF, "address '%s' is not host:port, such as 127.0.0.1:9092", text);
    const char *host = text;
    size_t len = (size_t)(colon - text);
    if (len >= 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    } else if (memchr(host, ':', len)) {
        return mr_fail(err, MR_BADCONF, "address '%s': write an IPv6 address in brackets, such as [::1]:9092",
                       text);
    }
    if (len >= sizeof out->host)
        return mr_fail(err, MR_BADCONF, "address '%.80s...': host name is too long", text);
    memcpy(out->host, host, len);
    out->host[len] = '\0';
    out->port = (int)port;
    return MR_OK;
}

/* ------------------------------------------------------------------ identity */

static void base64url(const uint8_t in[16], char out[MR_CLUSTER_ID_TEXT + 1])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    for (int i = 0; i < MR_CLUSTER_ID_TEXT; i++) {
        unsigned bit = (unsigned)i * 6, byte = bit / 8;
        unsigned two = (unsigned)in[byte] << 8 | (byte + 1 < 16 ? in[byte + 1] : 0u);
        out[i] = digits[(two >> (10 - bit % 8)) & 63];
    }
    out[MR_CLUSTER_ID_TEXT] = '\0';
}

/* The cluster id names this data directory for ever: drawn once, kept in the file `cluster-id`. */
static mr_code read_identity(struct mr_node *n, struct mr_err *err)
{
    char path[4096];
    struct mr_heap_arena a;
    struct mr_slice text = {0};
    (void)snprintf(path, sizeof path, "%s/cluster-id", n->data_dir);
    mr_heap_arena_init(&a, 4096, 0, 64 << 10);
    mr_code rc = mr_file_slurp(n->world, path, ID_FILE_BYTES, &a.arena, &text, err);
    if (rc == MR_OK && text.len >= MR_CLUSTER_ID_TEXT) {
        memcpy(n->cluster_id, text.p, MR_CLUSTER_ID_TEXT);
    } else if (rc == MR_OK) {
        rc = mr_fail(err, MR_CORRUPT, "'%s' is cut short; restore it, or delete it to get a new cluster id",
                     path);
    } else if (rc == MR_NOTFOUND) {
        uint64_t r[2] = {mr_random(n->world), mr_random(n->world)};
        uint8_t id[16];
        char line[MR_CLUSTER_ID_TEXT + 2];
        memcpy(id, r, sizeof id);
        id[0] &= 0x7f; /* a text that begins with - would look like an option */
        base64url(id, n->cluster_id);
        (void)snprintf(line, sizeof line, "%s\n", n->cluster_id);
        rc = mr_file_replace(n->world, path, mr_slice_of(line), err);
    }
    mr_heap_arena_fini(&a);
    return rc;
}

/* ------------------------------------------------------------------ the shard */

static void finish(struct mr_node *n)
{
    if (n->finished)
        return;
    n->finished = true;
    mr_timer_stop(n->world, &n->force);
    mr_kafka_stop(n->kafka);
    mr_port_stop(n->port);
    mr_txns_close(n->txns);
    n->txns = NULL;
    mr_groups_close(n->groups);
    n->groups = NULL;
    mr_broker_close(n->broker); /* answers whoever still waits */
    n->broker = NULL;
    mr_real_stop(n->world);
}

static void force(void *arg)
{
    struct mr_node *n = arg;
    mr_node_tell(n, MR_WARN, "closing with %zu requests unanswered after %d ms",
                 mr_port_busy(n->port) + mr_kafka_busy(n->kafka), DRAIN_MS);
    finish(n);
}

static void finish_posted(void *arg)
{
    finish(arg);
}

static void flushed(void *arg) /* maybe from inside of a log that finish would close */
{
    struct mr_node *n = arg;
    mr_post(n->world, finish_posted, n);
}

static void settle(void *arg)
{
    struct mr_node *n = arg;
    n->settling = false;
    if (n->finished || n->flushing || mr_port_busy(n->port) || mr_kafka_busy(n->kafka))
        return;
    n->flushing = true;
    mr_broker_flush(n->broker, flushed, n);
}

/* Posted: whoever calls may be in the middle of its own lists. */
void mr_node_settle(struct mr_node *n)
{
    if (!n->closing || n->finished || n->settling)
        return;
    n->settling = true;
    mr_post(n->world, settle, n);
}

static void begin_close(void *arg)
{
    struct mr_node *n = arg;
    n->closing = true;
    n->force = (struct mr_timer){.fire = force, .arg = n};
    mr_timer_set(n->world, &n->force, mr_now(n->world) + DRAIN_MS);
    mr_kafka_drain(n->kafka);
    mr_port_drain(n->port);
    mr_node_settle(n);
}

static void *shard(void *arg)
{
    struct mr_node *n = arg;
    (void)pthread_setname_np(pthread_self(), "shard-0");
    mr_real_run(n->world);
    return NULL;
}

static mr_code start_thread(struct mr_node *n, struct mr_err *err)
{
    pthread_attr_t attr;
    sigset_t all, before;
    int sys = pthread_attr_init(&attr);
    if (sys == 0) {
        (void)pthread_attr_setstacksize(&attr, SHARD_STACK);
        /* Signals are the business of the thread that asked for them. */
        sigfillset(&all);
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        sys = pthread_create(&n->thread, &attr, shard, n);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void)pthread_attr_destroy(&attr);
    }
    return sys ? mr_fail(err, MR_IO, "cannot start the shard's thread: %s", strerror(sys)) : MR_OK;
}

/* ------------------------------------------------------------------ settings */

static void say(struct mr_node_layer *l, const char *name, int64_t value, int64_t usual)
{
    size_t n;
    char text[24];
    if (value == usual)
        return;
    n = (size_t)mr_print_i64(value, text);
    (void)mr_node_layer_set(l, mr_slice_of(name), (struct mr_slice){text, n}, NULL);
}

/* What the caller's structs say otherwise than the program does is as if it had been set by name. A value
 * that has no place among the settings is left to the struct. */
static void settle_settings(struct mr_node *n)
{
    struct mr_node_config usual, *c = &n->config;
    struct mr_node_layer *l = &c->broker.node;
    const struct mr_groups_config *g = &c->groups, *ug = &usual.groups;
    const struct mr_txns_config *t = &c->txns, *ut = &usual.txns;
    mr_node_config_init(&usual);
    say(l, "max.connections", c->connections_max, usual.connections_max);
    say(l, "socket.request.max.bytes", (int64_t)c->frame_bytes_max, (int64_t)usual.frame_bytes_max);
    say(l, "queued.max.request.bytes", (int64_t)c->request_bytes_max, (int64_t)usual.request_bytes_max);
    say(l, "fetch.max.bytes", (int64_t)c->fetch_bytes_max, (int64_t)usual.fetch_bytes_max);
    say(l, "connections.max.idle.ms", c->idle_ms, usual.idle_ms);
    say(l, "offsets.topic.num.partitions", g->partitions, ug->partitions);
    say(l, "transaction.state.log.num.partitions", t->partitions, ut->partitions);
}

/* ------------------------------------------------------------------ open and close */

/* What is half open, from the caller's thread. */
static void dispose(struct mr_node *n)
{
    mr_kafka_stop(n->kafka);
    mr_txns_close(n->txns);
    mr_groups_close(n->groups);
    mr_broker_close(n->broker);
    if (n->world)
        mr_real_free(n->world);
    mr_kafka_free(n->kafka);
    mr_port_free(n->port);
    if (n->lock >= 0)
        (void)close(n->lock);
    mr_free(n);
}

/* The offsets of groups go with the topic. */
static void topic_deleted(void *arg, struct mr_slice name)
{
    struct mr_node *n = arg;
    if (n->groups)
        mr_groups_topic_deleted(n->groups, name);
}

static mr_code open_parts(struct mr_node *n, const struct mr_node_config *c, struct mr_err *err)
{
    mr_code rc;
    if ((rc = mr_real_new(&n->world, err)) || (rc = mr_mkdir_all(n->world, n->data_dir, err)) ||
        (rc = mr_data_lock(n->data_dir, &n->lock, err)) || (rc = read_identity(n, err)))
        return rc;
    settle_settings(n);
    n->config.broker.tell = broker_tells;
    n->config.broker.tell_arg = n;
    n->config.groups.tell = broker_tells;
    n->config.groups.tell_arg = n;
    n->config.txns.tell = broker_tells;
    n->config.txns.tell_arg = n;
    if ((rc = mr_broker_open(n->world, n->data_dir, &n->config.broker, &n->broker, err)) ||
        (rc = mr_groups_open(n->world, n->broker, &n->config.groups, &n->groups, err)) ||
        (rc = mr_txns_open(n->world, n->broker, n->groups, &n->config.txns, &n->txns, err)) ||
        (rc = mr_port_new(n, &n->port, err)))
        return rc;
    mr_broker_on_deleted(n->broker, topic_deleted, n);
    if (c->listen && (rc = mr_kafka_new(n, c->listen, c->advertise, &n->kafka, err)))
        return rc;
    return start_thread(n, err);
}

/* Descriptors are for connections first, then for what a process needs anyway; partitions share the rest. */
static void share_files(struct mr_node *n)
{
    struct rlimit files;
    struct mr_broker_config *b = &n->config.broker;
    if (b->files_max || getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur == RLIM_INFINITY)
        return;
    uint64_t all = files.rlim_cur < INT32_MAX ? files.rlim_cur : INT32_MAX;
    uint64_t taken = n->config.connections_max + (uint64_t)FILES_KEPT;
    b->files_max = (uint32_t)(all > 2 * taken ? all - taken : all / 2);
    if (!b->partitions_open_max)
        b->partitions_open_max = b->files_max / FILES_A_PARTITION;
}

mr_code mr_node_open(const struct mr_node_config *config, struct mr_node **out, struct mr_err *err)
{
    struct mr_node *n = mr_alloc(sizeof *n);
    if (!n)
        return mr_fail(err, MR_MEMORY, "no memory for the node");
    n->lock = -1;
    n->config = *config;
    if (strlen(config->data_dir) >= sizeof n->data_dir) {
        mr_free(n);
        return mr_fail(err, MR_LIMIT, "data directory '%.80s...' has too long a path", config->data_dir);
    }
    (void)snprintf(n->data_dir, sizeof n->data_dir, "%s", config->data_dir);
    share_files(n);
    mr_code rc = open_parts(n, config, err);
    if (rc) {
        dispose(n);
        return rc;
    }
    n->config.data_dir = n->config.listen = n->config.advertise = NULL; /* [borrow] has ended */
    *out = n;
    return MR_OK;
}

void mr_node_close(struct mr_node *n)
{
    if (!n)
        return;
    mr_post(n->world, begin_close, n);
    int sys = pthread_join(n->thread, NULL);
    mr_assert(sys == 0);
    mr_assert(n->finished);
    dispose(n);
}

struct mr_topics *mr_node_topics(struct mr_node *n)
{
    return mr_port_topics(n->port);
}

const char *mr_node_address(const struct mr_node *n)
{
    return n->kafka ? n->address : NULL;
}
