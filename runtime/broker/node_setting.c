/* node_setting.c - the table of node settings. One row each; start, change, describe and the pages read it.
 *
 * Rows must keep to what is true: a setting that has no effect here is not in the table. Those that people
 * bring along from Kafka all the same are in `refused`, with what to do instead.
 */
#include "broker/node_setting_inside.h"

#include "base/assert.h"
#include "base/text.h"
#include "broker/setting.h"

#define AT(field) offsetof(struct mr_node_settings, field)
#define INT(name, field, min, max, standard, help)                                                           \
    {                                                                                                        \
        name, NULL, MR_SETTING_INT, true, false, AT(field), min, max, standard, 0, help, NULL, NULL          \
    }
#define LONG(name, field, min, max, standard, help)                                                          \
    {                                                                                                        \
        name, NULL, MR_SETTING_LONG, true, false, AT(field), min, max, standard, 0, help, NULL, NULL         \
    }
#define START(name, field, min, max, standard, help)                                                         \
    {                                                                                                        \
        name, NULL, MR_SETTING_INT, true, true, AT(field), min, max, standard, 0, help, NULL, NULL           \
    }
#define YESNO(name, field, standard, help)                                                                   \
    {                                                                                                        \
        name, NULL, MR_SETTING_BOOL, false, false, AT(field), 0, 1, standard, 0, help, NULL, NULL            \
    }
#define ONLY(name, type, only, why, help)                                                                    \
    {                                                                                                        \
        name, NULL, type, false, true, 0, 0, 0, 0, 0, help, only, why                                        \
    }
#define TOPIC(name, topic)                                                                                   \
    {                                                                                                        \
        name, topic, 0, false, false, 0, 0, 0, 0, 0, NULL, NULL, NULL                                        \
    }

enum { MIB = 1 << 20, MINUTE = 60000, HOUR = 3600000 };

static const struct mr_node_setting rows[] = {
    YESNO("auto.create.topics.enable", auto_create_topics_enable, true,
          "A topic is made when a client asks for one that is not there."),
    ONLY("broker.id", MR_SETTING_INT, "1", "a node has the number 1", "The number of this node."),
    TOPIC("compression.gzip.level", "compression.gzip.level"),
    TOPIC("compression.lz4.level", "compression.lz4.level"),
    TOPIC("compression.type", "compression.type"),
    TOPIC("compression.zstd.level", "compression.zstd.level"),
    LONG("connections.max.idle.ms", connections_max_idle_ms, -1, INT64_MAX / 2, 10 * MINUTE,
         "A connection that says nothing for longer is closed; -1: none is."),
    ONLY("default.replication.factor", MR_SETTING_INT, "1", "a partition has one replica: this is one node",
         "Replicas of a topic that is made without a number."),
    YESNO("delete.topic.enable", delete_topic_enable, true, "Whether clients may delete topics."),
    TOPIC("durability", "durability"),
    INT("fetch.max.bytes", fetch_max_bytes, 1024, INT32_MAX, 55 * MIB,
        "Largest answer to a fetch; one batch is sent whole all the same."),
    INT("group.initial.rebalance.delay.ms", group_initial_rebalance_delay_ms, 0, INT32_MAX, 3000,
        "That an empty group waits for more members."),
    INT("group.max.session.timeout.ms", group_max_session_timeout_ms, 1, INT32_MAX, 30 * MINUTE,
        "Longest session timeout that a member may ask for."),
    INT("group.max.size", group_max_size, 1, INT32_MAX, 10000, "Members of a group."),
    INT("group.min.session.timeout.ms", group_min_session_timeout_ms, 1, INT32_MAX, 6000,
        "Shortest session timeout that a member may ask for."),
    ONLY("log.cleaner.enable", MR_SETTING_BOOL, "true", "compaction always runs",
         "Whether compacted topics are compacted."),
    TOPIC("log.cleaner.delete.retention.ms", "delete.retention.ms"),
    TOPIC("log.cleaner.max.compaction.lag.ms", "max.compaction.lag.ms"),
    TOPIC("log.cleaner.min.cleanable.ratio", "min.cleanable.dirty.ratio"),
    TOPIC("log.cleaner.min.compaction.lag.ms", "min.compaction.lag.ms"),
    TOPIC("log.cleanup.policy", "cleanup.policy"),
    TOPIC("log.flush.interval.messages", "flush.messages"),
    TOPIC("log.flush.interval.ms", "flush.ms"),
    TOPIC("log.index.interval.bytes", "index.interval.bytes"),
    TOPIC("log.index.size.max.bytes", "segment.index.bytes"),
    TOPIC("log.message.timestamp.after.max.ms", "message.timestamp.after.max.ms"),
    TOPIC("log.message.timestamp.before.max.ms", "message.timestamp.before.max.ms"),
    TOPIC("log.message.timestamp.type", "message.timestamp.type"),
    TOPIC("log.preallocate", "preallocate"),
    TOPIC("log.retention.bytes", "retention.bytes"),
    LONG("log.retention.check.interval.ms", log_retention_check_interval_ms, 1, INT64_MAX / 2, MINUTE,
         "Between two looks for segments that are too old or too many, and for what is to be compacted."),
    START("log.retention.hours", log_retention_hours, -1, INT32_MAX, MR_NODE_UNSET,
          "log.retention.ms in hours; it holds when neither that nor log.retention.minutes is given."),
    START("log.retention.minutes", log_retention_minutes, -1, INT32_MAX, MR_NODE_UNSET,
          "log.retention.ms in minutes; it holds when that is not given."),
    TOPIC("log.retention.ms", "retention.ms"),
    START("log.roll.hours", log_roll_hours, 1, INT32_MAX, MR_NODE_UNSET,
          "log.roll.ms in hours; it holds when that is not given."),
    START("log.roll.jitter.hours", log_roll_jitter_hours, 0, INT32_MAX, MR_NODE_UNSET,
          "log.roll.jitter.ms in hours; it holds when that is not given."),
    TOPIC("log.roll.jitter.ms", "segment.jitter.ms"),
    TOPIC("log.roll.ms", "segment.ms"),
    TOPIC("log.segment.bytes", "segment.bytes"),
    TOPIC("log.segment.delete.delay.ms", "file.delete.delay.ms"),
    INT("max.connections", max_connections, 0, INT32_MAX, 10000, "Further ones are closed at once."),
    INT("max.connections.per.ip", max_connections_per_ip, 0, INT32_MAX, INT32_MAX,
        "Further ones from the same address are closed at once."),
    INT("max.request.partition.size.limit", max_request_partition_size_limit, 1, INT32_MAX, 2000,
        "Partitions in one answer to DescribeTopicPartitions."),
    TOPIC("message.max.bytes", "max.message.bytes"),
    TOPIC("min.insync.replicas", "min.insync.replicas"),
    ONLY("node.id", MR_SETTING_INT, "1", "a node has the number 1", "The number of this node."),
    INT("num.partitions", num_partitions, 1, MR_TOPIC_PARTITIONS_MAX, 1,
        "Partitions of a topic that is made without a number."),
    INT("offset.metadata.max.bytes", offset_metadata_max_bytes, 0, MIB, 4096,
        "Largest metadata that may come with a committed offset."),
    LONG("offsets.retention.check.interval.ms", offsets_retention_check_interval_ms, 1, INT64_MAX / 2,
         10 * MINUTE, "Between two looks for offsets that nobody uses."),
    {"offsets.retention.minutes", NULL, MR_SETTING_INT, true, false, AT(offsets_retention_ms), 1, INT32_MAX,
     7 * 24 * 60, MINUTE, "Offsets of a group that nobody uses are kept for so long.", NULL, NULL},
    START("offsets.topic.num.partitions", offsets_topic_num_partitions, 1, MR_TOPIC_PARTITIONS_MAX, 4,
          "Partitions of __consumer_offsets when it is made."),
    ONLY("offsets.topic.replication.factor", MR_SETTING_INT, "1",
         "a partition has one replica: this is one node", "Replicas of __consumer_offsets."),
    ONLY("process.roles", MR_SETTING_LIST, "broker,controller", "a node is both", "What this node does."),
    LONG("queued.max.request.bytes", queued_max_request_bytes, 1 << 16, INT64_MAX / 2, 256 * MIB,
         "Of all requests in hand and of answers that wait; beyond it connections are not read."),
    INT("socket.request.max.bytes", socket_request_max_bytes, 1024, 1 << 30, 100 * MIB,
        "Largest request; a longer one closes its connection."),
    INT("transaction.abort.timed.out.transaction.cleanup.interval.ms",
        transaction_abort_timed_out_transaction_cleanup_interval_ms, 1, INT32_MAX, 1000,
        "Between two looks for transactions whose time is over."),
    INT("transaction.max.timeout.ms", transaction_max_timeout_ms, 1, INT32_MAX, HOUR,
        "Longest timeout that a transactional producer may ask for; Flink's sink asks for this."),
    INT("transaction.remove.expired.transaction.cleanup.interval.ms",
        transaction_remove_expired_transaction_cleanup_interval_ms, 1, INT32_MAX, HOUR,
        "Between two looks for transactional ids that nobody uses."),
    ONLY("transaction.state.log.min.isr", MR_SETTING_INT, "1",
         "a partition has one replica: this is one node", "Replicas that __transaction_state needs."),
    START("transaction.state.log.num.partitions", transaction_state_log_num_partitions, 1,
          MR_TOPIC_PARTITIONS_MAX, 4, "Partitions of __transaction_state when it is made."),
    ONLY("transaction.state.log.replication.factor", MR_SETTING_INT, "1",
         "a partition has one replica: this is one node", "Replicas of __transaction_state."),
    START("transaction.version", transaction_version, 1, 2, 1,
          "Kafka's feature of that name. With 2 clients add partitions by writing to them, and each end of a "
          "transaction raises the epoch."),
    INT("transactional.id.expiration.ms", transactional_id_expiration_ms, 1, INT32_MAX, INT32_C(604800000),
        "A transactional id that nobody uses is forgotten after so long."),
    TOPIC("unclean.leader.election.enable", "unclean.leader.election.enable"),
};
enum { ROWS = sizeof rows / sizeof rows[0] };
_Static_assert((int)ROWS <= (int)MR_NODE_SETTINGS_MAX, "a layer has no room for more");

/* From Kafka's list, without a use here. */
static const struct {
    const char *name, *why;
} refused[] = {
    {"advertised.listeners", "it is given with the listeners: 'advertise' in the node's file, --advertise"},
    {"authorizer.class.name", "everybody who can connect may do everything; bind an address that fits"},
    {"auto.leader.rebalance.enable", "a partition has one replica, which leads"},
    {"background.threads", "one thread serves all connections"},
    {"controller.listener.names", "there is no controller apart"},
    {"controller.quorum.bootstrap.servers", "there is no controller apart"},
    {"controller.quorum.voters", "there is no controller apart"},
    {"follower.replication.throttled.rate", "a partition has one replica"},
    {"inter.broker.listener.name", "there is one node"},
    {"leader.replication.throttled.rate", "a partition has one replica"},
    {"listener.security.protocol.map", "a listener is plain text: TLS and SASL are not served"},
    {"listeners", "it is given at start: 'listeners' in the node's file, --listen"},
    {"log.dir", "it is given at start: 'data' in the node's file, --data"},
    {"log.dirs", "it is given at start: 'data' in the node's file, --data; there is one"},
    {"num.io.threads", "one thread serves all connections"},
    {"num.network.threads", "one thread serves all connections"},
    {"num.recovery.threads.per.data.dir", "what a crash left is recovered by as many as there are"},
    {"num.replica.fetchers", "a partition has one replica"},
    {"replica.alter.log.dirs.io.max.bytes.per.second", "a partition stays in its folder"},
    {"replica.lag.time.max.ms", "a partition has one replica"},
    {"sasl.enabled.mechanisms", "SASL is not served"},
    {"socket.receive.buffer.bytes", "the system sizes the buffers of sockets"},
    {"socket.send.buffer.bytes", "the system sizes the buffers of sockets"},
    {"ssl.keystore.location", "TLS is not served"},
    {"zookeeper.connect", "a node needs no ZooKeeper"},
};

/* ------------------------------------------------------------------ rows */

size_t mr_node_setting_count(void)
{
    return ROWS;
}

const struct mr_node_setting *mr_node_setting_at(size_t i)
{
    mr_assert(i < ROWS);
    return &rows[i];
}

static const char *why_unused(struct mr_slice name)
{
    for (size_t k = 0; k < sizeof refused / sizeof refused[0]; k++)
        if (mr_slice_eq(name, mr_slice_of(refused[k].name)))
            return refused[k].why;
    return NULL;
}

bool mr_node_setting_unused(struct mr_slice name)
{
    return why_unused(name) != NULL;
}

enum mr_refusal mr_node_setting_find(struct mr_slice name, size_t *i, struct mr_err *err)
{
    const char *names[ROWS];
    for (*i = 0; *i < ROWS; (*i)++) {
        if (mr_slice_eq(name, mr_slice_of(rows[*i].name)))
            return MR_REFUSE_NONE;
        names[*i] = rows[*i].name;
    }
    const char *why = why_unused(name);
    if (why) {
        (void)mr_fail(err, MR_BADCONF, "node setting '%.*s' cannot be set: %s", MR_SLICE_ARG(name), why);
        return MR_REFUSE_INVALID_CONFIG;
    }
    const char *near = mr_nearest(name, names, ROWS);
    (void)mr_fail(err, MR_BADCONF, "unknown node setting '%.*s'%s%s%s", MR_SLICE_ARG(name),
                  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return MR_REFUSE_INVALID_CONFIG;
}

static enum mr_refusal bad(const struct mr_node_setting *row, struct mr_slice value, struct mr_err *err,
                           const char *must)
{
    (void)mr_fail(err, MR_BADCONF, "node setting '%s' is '%.*s': %s", row->name, MR_SLICE_ARG(value), must);
    return MR_REFUSE_INVALID_CONFIG;
}

enum mr_refusal mr_node_setting_put(struct mr_node_settings *s, size_t i, struct mr_slice value,
                                    struct mr_err *err)
{
    const struct mr_node_setting *row = mr_node_setting_at(i);
    if (row->topic) {
        uint64_t given = 0;
        struct mr_setting as = {mr_slice_of(row->topic), value};
        enum mr_refusal r = mr_setting_apply(&as, &s->topic, &given, err);
        if (r)
            mr_wrap(err, "node setting '%s'", row->name);
        return r;
    }
    if (row->only)
        return mr_slice_eq(value, mr_slice_of(row->only)) ? MR_REFUSE_NONE : bad(row, value, err, row->why);
    if (!row->number) {
        bool yes = mr_slice_eq(value, MR_SLICE("true"));
        if (!yes && !mr_slice_eq(value, MR_SLICE("false")))
            return bad(row, value, err, "must be 'true' or 'false'");
        memcpy((char *)s + row->at, &yes, sizeof yes);
        return MR_REFUSE_NONE;
    }
    int64_t v;
    if (!mr_parse_i64(value, &v) || v < row->min || v > row->max) {
        char must[96];
        (void)snprintf(must, sizeof must, "must be a number from %lld to %lld", (long long)row->min,
                       (long long)row->max);
        return bad(row, value, err, must);
    }
    v *= row->scale ? row->scale : 1;
    memcpy((char *)s + row->at, &v, sizeof v);
    return MR_REFUSE_NONE;
}

void mr_node_setting_copy(size_t i, const struct mr_node_settings *from, struct mr_node_settings *to)
{
    const struct mr_node_setting *row = mr_node_setting_at(i);
    if (row->topic)
        mr_setting_copy(row->topic, &from->topic, &to->topic);
    else if (!row->only)
        memcpy((char *)to + row->at, (const char *)from + row->at,
               row->number ? sizeof(int64_t) : sizeof(bool));
}

bool mr_node_setting_print(size_t i, const struct mr_node_settings *s, char out[MR_TOPIC_SETTING_MAX])
{
    const struct mr_node_setting *row = mr_node_setting_at(i);
    struct mr_setting_row topic;
    out[0] = '\0';
    if (row->topic) {
        mr_assert(mr_setting_row_of(row->topic, &s->topic, &topic));
        memcpy(out, topic.value, sizeof topic.value);
        return true;
    }
    if (row->only) {
        (void)snprintf(out, MR_TOPIC_SETTING_MAX, "%s", row->only);
        return true;
    }
    if (!row->number) {
        bool yes;
        memcpy(&yes, (const char *)s + row->at, sizeof yes);
        (void)snprintf(out, MR_TOPIC_SETTING_MAX, "%s", yes ? "true" : "false");
        return true;
    }
    int64_t v;
    memcpy(&v, (const char *)s + row->at, sizeof v);
    if (v == MR_NODE_UNSET)
        return false;
    (void)snprintf(out, MR_TOPIC_SETTING_MAX, "%lld", (long long)(v / (row->scale ? row->scale : 1)));
    return true;
}

void mr_node_setting_allowed(size_t i, char out[MR_TOPIC_SETTING_MAX])
{
    const struct mr_node_setting *row = mr_node_setting_at(i);
    struct mr_setting_row topic;
    struct mr_node_settings s = {0};
    if (row->topic) {
        mr_setting_defaults(&s.topic);
        mr_assert(mr_setting_row_of(row->topic, &s.topic, &topic));
        memcpy(out, topic.allowed, sizeof topic.allowed);
    } else if (row->only) {
        (void)snprintf(out, MR_TOPIC_SETTING_MAX, "%s", row->only);
    } else if (row->number) {
        mr_setting_range(row->min, row->max, out);
    } else {
        (void)snprintf(out, MR_TOPIC_SETTING_MAX, "true, false");
    }
}

enum mr_refusal mr_node_setting_agree(const struct mr_node_settings *s, struct mr_err *err)
{
    enum mr_refusal r = mr_setting_agree(&s->topic, err);
    if (r || s->group_min_session_timeout_ms <= s->group_max_session_timeout_ms)
        return r;
    (void)mr_fail(err, MR_BADCONF,
                  "node setting 'group.min.session.timeout.ms' is %lld: must not be above "
                  "'group.max.session.timeout.ms', %lld",
                  (long long)s->group_min_session_timeout_ms, (long long)s->group_max_session_timeout_ms);
    return MR_REFUSE_INVALID_CONFIG;
}

/* ------------------------------------------------------------------ whole */

void mr_node_settings_init(struct mr_node_settings *s)
{
    struct mr_broker_config usual;
    memset(s, 0, sizeof *s);
    mr_broker_config_init(&usual);
    s->topic = (struct mr_partition_config){.log = usual.log, .durable = usual.durable};
    mr_setting_defaults(&s->topic);
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].topic || rows[i].only)
            continue;
        int64_t v = rows[i].standard * (rows[i].scale ? rows[i].scale : 1);
        bool yes = v != 0;
        memcpy((char *)s + rows[i].at, rows[i].number ? (void *)&v : (void *)&yes,
               rows[i].number ? sizeof v : sizeof yes);
    }
}

enum mr_refusal mr_node_layer_set(struct mr_node_layer *l, struct mr_slice name, struct mr_slice value,
                                  struct mr_err *err)
{
    size_t i;
    enum mr_refusal r = mr_node_setting_find(name, &i, err);
    if (!r && !(r = mr_node_setting_put(&l->says, i, value, err)))
        l->given[i] = true;
    return r;
}

bool mr_node_setting_known(struct mr_slice name)
{
    size_t i;
    return mr_node_setting_find(name, &i, NULL) == MR_REFUSE_NONE;
}
