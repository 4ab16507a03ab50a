/* kafka_configs.c - DescribeConfigs: settings of topics, and those of the node itself by Kafka's names. */
#include "node/kafka.h"

#include <inttypes.h>

enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4 };
enum { SOURCE_TOPIC = 1, SOURCE_STATIC = 4, SOURCE_DEFAULT = 5 };
enum { TYPE_BOOL = 1, TYPE_STRING = 2, TYPE_INT = 3, TYPE_LONG = 5, TYPE_LIST = 7 };
enum { ROWS_MAX = 48, VALUE_BYTES = MR_ADDRESS_BYTES * 8 };

static bool asked_for(const struct mr_describe_configs_request_resource *want, const char *name)
{
    if (want->configuration_keys_count < 0)
        return true;
    for (int32_t i = 0; i < want->configuration_keys_count; i++)
        if (mr_slice_eq(want->configuration_keys[i], mr_slice_of(name)))
            return true;
    return false;
}

static bool describe_topic(struct mr_request *r, const struct mr_describe_configs_request *in,
                           const struct mr_describe_configs_request_resource *want, const struct mr_topic *t,
                           struct mr_describe_configs_response_result *out)
{
    struct mr_setting_row row;
    if (!(out->configs = mr_request_take(r, ROWS_MAX, sizeof *out->configs)))
        return false;
    for (size_t i = 0; i < ROWS_MAX && mr_topic_setting(t, i, &row); i++)
        if (asked_for(want, row.name))
            out->configs[out->configs_count++] = (struct mr_describe_configs_response_config){
                .name = mr_slice_of(row.name),
                .value = mr_request_text(r, row.value),
                .config_source = row.given ? SOURCE_TOPIC : SOURCE_DEFAULT,
                .documentation = in->include_documentation ? mr_slice_of(row.help) : (struct mr_slice){0},
            };
    return true;
}

/* ------------------------------------------------------------------ the node's own */

struct node_row {
    const char *name;
    int8_t type;
    const char *help;
    /* The value as it holds in c. */
    void (*write)(const struct mr_node *n, const struct mr_node_config *c, char *out, size_t cap);
};

#define NUMBER(function, value)                                                                              \
    static void function(const struct mr_node *n, const struct mr_node_config *c, char *out, size_t cap)     \
    {                                                                                                        \
        (void)n;                                                                                             \
        (void)c;                                                                                             \
        (void)snprintf(out, cap, "%" PRId64, (int64_t)(value));                                              \
    }
#define TEXT(function, value)                                                                                \
    static void function(const struct mr_node *n, const struct mr_node_config *c, char *out, size_t cap)     \
    {                                                                                                        \
        (void)n;                                                                                             \
        (void)c;                                                                                             \
        (void)snprintf(out, cap, "%s", value);                                                               \
    }

NUMBER(one, 1)
NUMBER(node_id, MR_NODE_ID)
TEXT(log_dirs, n->data_dir)
TEXT(auto_create, c->broker.auto_create ? "true" : "false")
NUMBER(partitions, c->broker.default_partitions)
TEXT(durability, c->broker.durable ? "fsync" : "page_cache")
NUMBER(message_max, c->broker.log.max_batch_bytes)
NUMBER(segment_bytes, c->broker.log.segment_bytes)
NUMBER(roll_ms, c->broker.log.segment_ms)
NUMBER(retention_bytes, c->broker.log.retention_bytes)
NUMBER(retention_ms, c->broker.log.retention_ms)
NUMBER(index_interval, c->broker.log.index_interval_bytes)
TEXT(producer, "producer")
TEXT(delete, "delete")
TEXT(create_time, "CreateTime")
NUMBER(connections, c->connections_max)
NUMBER(idle_ms, c->idle_ms)
NUMBER(frame_bytes, c->frame_bytes_max)
NUMBER(request_bytes, c->request_bytes_max)
NUMBER(fetch_bytes, c->fetch_bytes_max)
NUMBER(fetch_sessions, MR_FETCH_SESSIONS_MAX)
NUMBER(session_min, c->groups.session_min_ms)
NUMBER(session_max, c->groups.session_max_ms)
NUMBER(initial_delay, c->groups.initial_delay_ms)
NUMBER(group_size, c->groups.members_max)
NUMBER(offsets_partitions, c->groups.partitions)
NUMBER(offset_metadata, c->groups.metadata_bytes_max)
NUMBER(offsets_retention, c->groups.retention_ms / 60000)

/* "PLAINTEXT://host:port,..." */
static void add_listener(char *out, size_t cap, const char *host, int port)
{
    size_t len = strlen(out);
    (void)snprintf(out + len, cap - len, strchr(host, ':') ? "%sPLAINTEXT://[%s]:%d" : "%sPLAINTEXT://%s:%d",
                   len ? "," : "", host, port);
}

static void advertised(const struct mr_node *n, const struct mr_node_config *c, char *out, size_t cap)
{
    (void)c;
    out[0] = '\0';
    for (uint32_t i = 0; i < n->kafka->listener_count; i++)
        add_listener(out, cap, n->kafka->listeners[i].shown.host, n->kafka->listeners[i].shown.port);
}

static void listeners(const struct mr_node *n, const struct mr_node_config *c, char *out, size_t cap)
{
    (void)c;
    out[0] = '\0';
    for (const char *p = n->address; *p;) {
        size_t len = strcspn(p, ","), at = strlen(out);
        (void)snprintf(out + at, cap - at, "%sPLAINTEXT://%.*s", at ? "," : "", (int)len, p);
        p += len + (p[len] == ',');
    }
}

static const struct node_row rows[] = {
    {"advertised.listeners", TYPE_STRING, "What clients are told to connect to.", advertised},
    {"auto.create.topics.enable", TYPE_BOOL, "Topics are made when a client asks for one.", auto_create},
    {"broker.id", TYPE_INT, "The number of this node.", node_id},
    {"compression.type", TYPE_STRING, "Batches stay as producers made them.", producer},
    {"connections.max.idle.ms", TYPE_LONG, "Connections that say nothing for longer are closed.", idle_ms},
    {"default.replication.factor", TYPE_INT, "Replicas of topics made without a number.", one},
    {"durability", TYPE_STRING, "What topics promise that say nothing: fsync or page_cache.", durability},
    {"fetch.max.bytes", TYPE_INT, "Largest answer to a fetch.", fetch_bytes},
    {"group.initial.rebalance.delay.ms", TYPE_INT, "That an empty group waits for more members.",
     initial_delay},
    {"group.max.session.timeout.ms", TYPE_INT, "Longest session timeout of a member.", session_max},
    {"group.max.size", TYPE_INT, "Members of a group.", group_size},
    {"group.min.session.timeout.ms", TYPE_INT, "Shortest session timeout of a member.", session_min},
    {"listeners", TYPE_STRING, "Where this node listens.", listeners},
    {"log.cleanup.policy", TYPE_LIST, "What happens to old segments.", delete},
    {"log.dirs", TYPE_STRING, "The data directory.", log_dirs},
    {"log.index.interval.bytes", TYPE_INT, "Bytes between two entries of the offset index.", index_interval},
    {"log.message.timestamp.type", TYPE_STRING, "Whose clock stamps the records.", create_time},
    {"log.retention.bytes", TYPE_LONG, "Oldest segments go while a partition is larger; -1: no limit.",
     retention_bytes},
    {"log.retention.ms", TYPE_LONG, "Segments go when their newest record is older; -1: no limit.",
     retention_ms},
    {"log.roll.ms", TYPE_LONG, "A new segment begins beyond this age.", roll_ms},
    {"log.segment.bytes", TYPE_INT, "A new segment begins beyond this size.", segment_bytes},
    {"max.connections", TYPE_INT, "Further ones are closed at once.", connections},
    {"max.incremental.fetch.session.cache.slots", TYPE_INT, "Fetch sessions that are kept.", fetch_sessions},
    {"message.max.bytes", TYPE_INT, "Largest batch that is taken, as compressed.", message_max},
    {"min.insync.replicas", TYPE_INT, "Replicas that acks=all waits for.", one},
    {"node.id", TYPE_INT, "The number of this node.", node_id},
    {"num.partitions", TYPE_INT, "Partitions of topics made without a number.", partitions},
    {"offset.metadata.max.bytes", TYPE_INT, "Metadata of a committed offset.", offset_metadata},
    {"offsets.retention.minutes", TYPE_INT, "Offsets of a group that nobody uses are kept for so long.",
     offsets_retention},
    {"offsets.topic.num.partitions", TYPE_INT, "Partitions of __consumer_offsets when it is made.",
     offsets_partitions},
    {"queued.max.request.bytes", TYPE_LONG, "Requests in hand; beyond it connections are not read.",
     request_bytes},
    {"socket.request.max.bytes", TYPE_INT, "Largest request; a longer one closes its connection.",
     frame_bytes},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static bool describe_node(struct mr_request *r, const struct mr_describe_configs_request *in,
                          const struct mr_describe_configs_request_resource *want,
                          struct mr_describe_configs_response_result *out)
{
    const struct mr_node *n = mr_request_node(r);
    struct mr_node_config usual;
    char value[VALUE_BYTES], other[VALUE_BYTES];
    mr_node_config_init(&usual);
    if (!(out->configs = mr_request_take(r, ROWS, sizeof *out->configs)))
        return false;
    for (size_t i = 0; i < ROWS; i++) {
        if (!asked_for(want, rows[i].name))
            continue;
        rows[i].write(n, &n->config, value, sizeof value);
        rows[i].write(n, &usual, other, sizeof other);
        out->configs[out->configs_count++] = (struct mr_describe_configs_response_config){
            .name = mr_slice_of(rows[i].name),
            .value = mr_request_text(r, value),
            .read_only = true,
            .config_source = strcmp(value, other) ? SOURCE_STATIC : SOURCE_DEFAULT,
            .config_type = rows[i].type,
            .documentation = in->include_documentation ? mr_slice_of(rows[i].help) : (struct mr_slice){0},
        };
    }
    return true;
}

void mr_kafka_describe_configs(struct mr_request *r)
{
    struct mr_describe_configs_request in;
    struct mr_describe_configs_response out;
    char id[16];
    if (!mr_request_read(r, &in))
        return;
    (void)snprintf(id, sizeof id, "%d", MR_NODE_ID);
    mr_describe_configs_response_init(&out);
    size_t count = in.resources_count > 0 ? (size_t)in.resources_count : 0;
    if (!(out.results = mr_request_take(r, count, sizeof *out.results)))
        return;
    out.results_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        const struct mr_describe_configs_request_resource *want = &in.resources[i];
        struct mr_describe_configs_response_result *o = &out.results[i];
        o->resource_type = want->resource_type;
        o->resource_name = want->resource_name;
        if (want->resource_type == RESOURCE_BROKER && mr_slice_eq(want->resource_name, mr_slice_of(id))) {
            if (!describe_node(r, &in, want, o))
                return;
        } else if (want->resource_type == RESOURCE_BROKER && want->resource_name.len) {
            o->error_code = MR_REFUSE_INVALID_REQUEST;
            o->error_message = MR_SLICE("no such broker: this is one node, ask for 1");
        }
        if (want->resource_type != RESOURCE_TOPIC)
            continue; /* nothing is set for others, nor for all brokers at once: an empty list is the truth */
        const struct mr_topic *t = mr_broker_topic(mr_request_node(r)->broker, want->resource_name);
        if (!t) {
            o->error_code = MR_REFUSE_UNKNOWN_TOPIC;
            o->error_message = mr_slice_of(mr_refusal_text(MR_REFUSE_UNKNOWN_TOPIC));
        } else if (!describe_topic(r, &in, want, t, o)) {
            return;
        }
    }
    mr_request_answer(r, &out);
}
