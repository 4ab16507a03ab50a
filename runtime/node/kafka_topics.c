/* kafka_topics.c - Metadata, DescribeCluster, ApiVersions: what clients ask before and beside records. */
#include "node/kafka.h"

#include "base/buf.h"

enum { LEADER_EPOCH = 0 };

/* ------------------------------------------------------------------ ApiVersions */

static void versions_of(const struct mr_request *r, const struct mr_handler *h,
                        struct mr_api_versions_response_api_key *out)
{
    *out = (struct mr_api_versions_response_api_key){h->key, h->advertised_min,
                                                     mr_handler_max(h, mr_request_node(r))};
}

/* Before version 4 clients cannot read a feature whose least level is 0. */
static bool features(struct mr_request *r, struct mr_api_versions_response *out)
{
    struct mr_slice name = MR_SLICE("transaction.version");
    if (!mr_kafka_txn_v2(mr_request_node(r)))
        return true;
    out->finalized_features_epoch = 0;
    if (!(out->supported_features = mr_request_take(r, 1, sizeof *out->supported_features)) ||
        !(out->finalized_features = mr_request_take(r, 1, sizeof *out->finalized_features)))
        return false;
    out->supported_features[0] = (struct mr_api_versions_response_supported_feature){name, 0, 2};
    out->supported_features_count = r->head.version >= 4;
    out->finalized_features[0] = (struct mr_api_versions_response_finalized_feature){name, 2, 2};
    out->finalized_features_count = 1;
    return true;
}

void mr_kafka_api_versions(struct mr_request *r)
{
    struct mr_api_versions_request in;
    struct mr_api_versions_response out;
    size_t count;
    const struct mr_handler *all = mr_handlers(&count);
    if (!mr_request_read(r, &in))
        return;
    mr_api_versions_response_init(&out);
    if (!(out.api_keys = mr_request_take(r, count, sizeof *out.api_keys)))
        return;
    out.api_keys_count = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        versions_of(r, &all[i], &out.api_keys[i]);
    if (!features(r, &out))
        return;
    mr_request_answer(r, &out);
}

/* A client newer than we are must get an answer that it can read: version 0, with our range in it. */
void mr_kafka_api_versions_refuse(struct mr_request *r)
{
    struct mr_api_versions_response out;
    struct mr_api_versions_response_api_key own;
    mr_api_versions_response_init(&out);
    versions_of(r, mr_handler_find(18), &own);
    out.error_code = MR_REFUSE_VERSION;
    out.api_keys = &own;
    out.api_keys_count = 1;
    r->head.api = mr_api_find(18);
    r->head.version = 0;
    mr_request_answer(r, &out);
}

/* ------------------------------------------------------------------ Metadata, DescribeCluster */

static bool describe_topic(struct mr_request *r, const struct mr_topic *t,
                           struct mr_metadata_response_topic *out)
{
    static int32_t self[] = {MR_NODE_ID};
    *out = (struct mr_metadata_response_topic){
        .name = mr_slice_of(t->name),
        .is_internal = t->internal,
        .partitions_count = t->partitions,
        .partitions = mr_request_take(r, (size_t)t->partitions, sizeof *out->partitions),
        .topic_authorized_operations = INT32_MIN,
    };
    if (!out->partitions)
        return false;
    memcpy(out->topic_id.b, t->id, sizeof out->topic_id.b);
    for (int32_t i = 0; i < t->partitions; i++)
        out->partitions[i] = (struct mr_metadata_response_partition){
            .partition_index = i,
            .leader_id = MR_NODE_ID,
            .leader_epoch = LEADER_EPOCH,
            .replica_nodes_count = 1,
            .replica_nodes = self,
            .isr_nodes_count = 1,
            .isr_nodes = self,
        };
    return true;
}

/* They are made as their coordinators want them. */
static enum mr_refusal make_coordinators(struct mr_request *r, const struct mr_metadata_request *in,
                                         struct mr_slice name, const struct mr_topic **t, struct mr_err *err)
{
    struct mr_node *n = mr_request_node(r);
    if (!in->allow_auto_topic_creation)
        return MR_REFUSE_UNKNOWN_TOPIC;
    enum mr_refusal why = mr_slice_eq(name, MR_SLICE(MR_OFFSETS_TOPIC)) ? mr_groups_prepare(n->groups, err)
                                                                        : mr_txns_prepare(n->txns, err);
    if (!why)
        *t = mr_broker_topic(n->broker, name);
    return why ? why : *t ? MR_REFUSE_NONE : MR_REFUSE_UNKNOWN_TOPIC;
}

static bool auto_created(struct mr_request_change *c)
{
    struct mr_node *n = mr_request_node(c->request);
    const struct mr_topic *t = c->change.topic;
    if (!t && c->change.refusal == MR_REFUSE_TOPIC_EXISTS) /* somebody else was faster */
        t = mr_broker_topic(n->broker, c->change.name);
    if (t)
        return describe_topic(c->request, t, c->row);
    mr_node_tell(n, MR_WARN, "kafka: topic '%.*s' cannot be made for a client: %s",
                 MR_SLICE_ARG(c->change.name), c->change.err.text);
    return true;
}

/* Is a topic asked for that may have to be made? Then the request waits, and its names must stay. */
static bool may_create(const struct mr_request *r, const struct mr_metadata_request *in)
{
    struct mr_broker *b = mr_request_node(r)->broker;
    bool missing = false;
    for (int32_t i = 0; in->allow_auto_topic_creation && !missing && i < in->topics_count; i++)
        missing = in->topics[i].name.p && !mr_broker_topic(b, in->topics[i].name);
    return missing && mr_broker_node_settings(b)->auto_create_topics_enable;
}

static bool answer_topic(struct mr_request *r, const struct mr_metadata_request *in,
                         const struct mr_metadata_request_topic *want, struct mr_metadata_response_topic *out)
{
    struct mr_node *n = mr_request_node(r);
    enum mr_refusal why;
    struct mr_err err = {0};
    static const struct mr_uuid none;
    /* A client that asks by id may leave the name empty instead of null. */
    bool by_id = !want->name.p || (!want->name.len && memcmp(want->topic_id.b, none.b, sizeof none.b) != 0);
    const struct mr_topic *t = mr_request_topic(r, want->name, &want->topic_id, by_id, &why);
    if (!t && !by_id) {
        enum mr_refusal bad = mr_topic_name_check(want->name, &err);
        if (bad)
            why = bad;
        else if (mr_kafka_is_coordinators(want->name))
            why = make_coordinators(r, in, want->name, &t, &err);
        else if (in->allow_auto_topic_creation &&
                 mr_broker_node_settings(n->broker)->auto_create_topics_enable) {
            struct mr_request_change *c =
                mr_request_change(r, MR_CHANGE_CREATE, want->name, &out->error_code, NULL);
            if (!c)
                return false;
            c->change.partitions = -1;
            c->more = auto_created;
            c->row = out;
            mr_request_submit(c);
        }
    }
    if (t)
        return describe_topic(r, t, out);
    *out = (struct mr_metadata_response_topic){
        .error_code = (int16_t)why,
        .name = want->name,
        .topic_id = want->topic_id,
        .topic_authorized_operations = INT32_MIN,
    };
    return true;
}

void mr_kafka_metadata(struct mr_request *r)
{
    struct mr_node *n = mr_request_node(r);
    struct mr_metadata_request in;
    struct mr_metadata_response *out = mr_request_take(r, 1, sizeof *out);
    struct mr_metadata_response_broker *self = mr_request_take(r, 1, sizeof *self);
    if (!out || !self || !mr_request_read(r, &in))
        return;
    if (may_create(r, &in)) {
        r->body = r->whole;
        if (!mr_request_keep(r) || !mr_request_read(r, &in))
            return;
    }
    *self = (struct mr_metadata_response_broker){.node_id = MR_NODE_ID,
                                                 .host = mr_slice_of(mr_request_shown(r)->host),
                                                 .port = mr_request_shown(r)->port};
    mr_metadata_response_init(out);
    out->brokers = self;
    out->brokers_count = 1;
    out->cluster_id = mr_slice_of(n->cluster_id);
    out->controller_id = MR_NODE_ID;
    bool all = in.topics_count < 0 || (r->head.version == 0 && in.topics_count == 0);
    size_t count = all ? mr_broker_topic_count(n->broker) : (size_t)in.topics_count;
    if (!(out->topics = mr_request_take(r, count, sizeof *out->topics)))
        return;
    out->topics_count = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        if (!(all ? describe_topic(r, mr_broker_topic_at(n->broker, i), &out->topics[i])
                  : answer_topic(r, &in, &in.topics[i], &out->topics[i])))
            return;
    mr_request_changes_answer(r, out);
}

void mr_kafka_describe_cluster(struct mr_request *r)
{
    struct mr_node *n = mr_request_node(r);
    struct mr_describe_cluster_request in;
    struct mr_describe_cluster_response out;
    struct mr_describe_cluster_response_broker self = {.broker_id = MR_NODE_ID,
                                                       .host = mr_slice_of(mr_request_shown(r)->host),
                                                       .port = mr_request_shown(r)->port};
    if (!mr_request_read(r, &in))
        return;
    mr_describe_cluster_response_init(&out);
    out.endpoint_type = 1;
    if (r->head.version >= 1 && in.endpoint_type != 1) {
        out.error_code = in.endpoint_type == 2 ? MR_REFUSE_ENDPOINT_MISMATCH : MR_REFUSE_ENDPOINT_UNKNOWN;
        out.error_message = mr_slice_of(mr_refusal_text((enum mr_refusal)out.error_code));
        mr_request_answer(r, &out);
        return;
    }
    out.cluster_id = mr_slice_of(n->cluster_id);
    out.controller_id = MR_NODE_ID;
    out.brokers = &self;
    out.brokers_count = 1;
    mr_request_answer(r, &out);
}

/* ------------------------------------------------------------------ the table */

/* Produce is advertised from 0: older librdkafka takes a higher one for a broker without compression. */
static const struct mr_handler handlers[] = {
    {0, 3, 13, 0, mr_kafka_produce},
    {1, 4, 18, 4, mr_kafka_fetch},
    {2, 1, 11, 1, mr_kafka_list_offsets},
    {3, 0, 13, 0, mr_kafka_metadata},
    {8, 1, 10, 1, mr_kafka_offset_commit},
    {9, 1, 10, 1, mr_kafka_offset_fetch},
    {10, 0, 6, 0, mr_kafka_find_coordinator},
    {11, 0, 9, 0, mr_kafka_join_group},
    {12, 0, 4, 0, mr_kafka_heartbeat},
    {13, 0, 5, 0, mr_kafka_leave_group},
    {14, 0, 5, 0, mr_kafka_sync_group},
    {15, 0, 6, 0, mr_kafka_describe_groups},
    {16, 0, 5, 0, mr_kafka_list_groups},
    {18, 0, 4, 0, mr_kafka_api_versions},
    {19, 2, 7, 2, mr_kafka_create_topics},
    {20, 1, 6, 1, mr_kafka_delete_topics},
    {21, 0, 2, 0, mr_kafka_delete_records},
    {22, 0, 5, 0, mr_kafka_init_producer_id},
    {23, 0, 4, 0, mr_kafka_offset_for_leader_epoch},
    {24, 0, 5, 0, mr_kafka_add_partitions_to_txn},
    {25, 0, 4, 0, mr_kafka_add_offsets_to_txn},
    {26, 0, 5, 0, mr_kafka_end_txn}, /* 5: see mr_handler_max */
    {27, 1, 2, 1, mr_kafka_write_txn_markers},
    {28, 0, 5, 0, mr_kafka_txn_offset_commit}, /* so here */
    {32, 1, 4, 1, mr_kafka_describe_configs},
    {33, 0, 2, 0, mr_kafka_alter_configs},
    {35, 1, 5, 1, mr_kafka_describe_log_dirs},
    {37, 0, 3, 0, mr_kafka_create_partitions},
    {42, 0, 3, 0, mr_kafka_delete_groups},
    {43, 0, 2, 0, mr_kafka_elect_leaders},
    {44, 0, 1, 0, mr_kafka_incremental_alter_configs},
    {45, 0, 1, 0, mr_kafka_alter_partition_reassignments},
    {46, 0, 0, 0, mr_kafka_list_partition_reassignments},
    {47, 0, 0, 0, mr_kafka_offset_delete},
    {55, 0, 2, 0, mr_kafka_describe_quorum},
    {60, 0, 2, 0, mr_kafka_describe_cluster},
    {61, 0, 0, 0, mr_kafka_describe_producers},
    {65, 0, 0, 0, mr_kafka_describe_transactions},
    {66, 0, 2, 0, mr_kafka_list_transactions},
    {74, 0, 1, 0, mr_kafka_list_config_resources},
    {75, 0, 0, 0, mr_kafka_describe_topic_partitions},
};

const struct mr_handler *mr_handlers(size_t *count)
{
    *count = sizeof handlers / sizeof handlers[0];
    return handlers;
}

bool mr_kafka_txn_v2(const struct mr_node *n)
{
    return mr_broker_node_settings(n->broker)->transaction_version >= 2;
}

int16_t mr_handler_max(const struct mr_handler *h, const struct mr_node *n)
{
    bool second = h->run == mr_kafka_end_txn || h->run == mr_kafka_txn_offset_commit;
    return second && !mr_kafka_txn_v2(n) ? 4 : h->max;
}

const struct mr_handler *mr_handler_find(int16_t key)
{
    for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
        if (handlers[i].key == key)
            return &handlers[i];
    return NULL;
}
