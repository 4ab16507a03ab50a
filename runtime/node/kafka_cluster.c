/* kafka_cluster.c - what tools ask of a cluster, told of one node: DescribeTopicPartitions, DescribeLogDirs,
 * DescribeQuorum, ListConfigResources, ElectLeaders, AlterPartitionReassignments, ListPartitionReassignments.
 *
 * Every partition has its one replica here, which leads; there is nothing to elect, and nowhere to move to.
 */
#include "node/kafka.h"

#include <stdlib.h>
#include <sys/statvfs.h>

enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4 };
enum { RESOURCE_LOGGER = 8, RESOURCE_METRICS = 16, RESOURCE_GROUP = 32 };

static int32_t self[] = {MR_NODE_ID};

static int32_t none_below(int32_t count)
{
    return count > 0 ? count : 0;
}

/* NULL text: no error. */
static struct mr_slice text_of(enum mr_refusal why)
{
    return why ? mr_slice_of(mr_refusal_text(why)) : (struct mr_slice){0};
}

static enum mr_refusal known(const struct mr_topic *t, int32_t partition)
{
    return t && partition >= 0 && partition < t->partitions ? MR_REFUSE_NONE : MR_REFUSE_UNKNOWN_TOPIC;
}

/* ------------------------------------------------------------------ DescribeTopicPartitions */

struct page {
    struct mr_describe_topic_partitions_response out;
    struct mr_describe_topic_partitions_response_next_cursor next;
    int32_t left; /* partitions that still fit */
};

static int compare_slices(struct mr_slice a, struct mr_slice b)
{
    int order = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int by_name(const void *a, const void *b)
{
    const struct mr_slice *x = a, *y = b;
    return compare_slices(*x, *y);
}

/* From partition `from` on. false: the page is full, or the connection was closed. */
static bool page_topic(struct mr_request *r, struct page *p, struct mr_slice name, int32_t from)
{
    const struct mr_topic *t = mr_broker_topic(mr_request_node(r)->broker, name);
    if (p->left == 0) {
        p->next.topic_name = name;
        p->next.partition_index = from;
        p->out.next_cursor = &p->next;
        return false;
    }
    struct mr_describe_topic_partitions_response_topic *o = &p->out.topics[p->out.topics_count++];
    *o = (struct mr_describe_topic_partitions_response_topic){
        .error_code = (int16_t)(t ? MR_REFUSE_NONE : MR_REFUSE_UNKNOWN_TOPIC),
        .name = name,
        .topic_authorized_operations = INT32_MIN,
    };
    if (!t)
        return true;
    memcpy(o->topic_id.b, t->id, sizeof o->topic_id.b);
    o->is_internal = t->internal;
    from = from < t->partitions ? from : t->partitions;
    o->partitions_count = t->partitions - from < p->left ? t->partitions - from : p->left;
    if (!(o->partitions = mr_request_take(r, (size_t)o->partitions_count, sizeof *o->partitions)))
        return false;
    for (int32_t i = 0; i < o->partitions_count; i++)
        o->partitions[i] = (struct mr_describe_topic_partitions_response_partition){
            .partition_index = from + i,
            .leader_id = MR_NODE_ID,
            .leader_epoch = MR_KAFKA_LEADER_EPOCH,
            .replica_nodes_count = 1,
            .replica_nodes = self,
            .isr_nodes_count = 1,
            .isr_nodes = self,
            /* Empty, not null: Apache's Java client from 3.7 on reads them without looking. */
            .eligible_leader_replicas_count = 0,
            .last_known_elr_count = 0,
        };
    p->left -= o->partitions_count;
    if (from + o->partitions_count == t->partitions)
        return true;
    p->next.topic_name = name;
    p->next.partition_index = from + o->partitions_count;
    p->out.next_cursor = &p->next;
    return false;
}

void mr_kafka_describe_topic_partitions(struct mr_request *r)
{
    const struct mr_broker *b = mr_request_node(r)->broker;
    struct mr_describe_topic_partitions_request in;
    struct page p = {0};
    if (!mr_request_read(r, &in))
        return;
    bool all = in.topics_count <= 0;
    size_t count = all ? mr_broker_topic_count(b) : (size_t)in.topics_count, n = 0;
    struct mr_slice *names = mr_request_take(r, count, sizeof *names);
    mr_describe_topic_partitions_response_init(&p.out);
    if (!names || !(p.out.topics = mr_request_take(r, count, sizeof *p.out.topics)))
        return;
    for (size_t i = 0; i < count; i++)
        names[n++] = all ? mr_slice_of(mr_broker_topic_at(b, i)->name) : in.topics[i].name;
    qsort(names, count, sizeof *names, by_name); /* a cursor needs an order */
    int64_t most = mr_broker_node_settings(b)->max_request_partition_size_limit;
    p.left = in.response_partition_limit < most ? in.response_partition_limit : (int32_t)most;
    bool wrong = p.left <= 0 || (in.cursor && in.cursor->partition_index < 0);
    for (size_t i = 0; i < count; i++) {
        int order = in.cursor ? compare_slices(names[i], in.cursor->topic_name) : 1;
        if ((order < 0 && !wrong) || (i && !by_name(&names[i - 1], &names[i])))
            continue; /* before the cursor, or named twice */
        if (wrong)
            p.out.topics[p.out.topics_count++] = (struct mr_describe_topic_partitions_response_topic){
                .error_code = MR_REFUSE_INVALID_REQUEST,
                .name = names[i],
                .topic_authorized_operations = INT32_MIN};
        else if (!page_topic(r, &p, names[i], order == 0 ? in.cursor->partition_index : 0))
            break;
    }
    mr_request_answer(r, &p.out); /* nothing when it was closed */
}

/* ------------------------------------------------------------------ DescribeLogDirs */

static bool dir_topic(struct mr_request *r, struct mr_describe_log_dirs_response_result *dir,
                      const struct mr_topic *t, const struct mr_describe_log_dirs_request_topic *want)
{
    struct mr_describe_log_dirs_response_topic *o = &dir->topics[dir->topics_count];
    int32_t count = want ? none_below(want->partitions_count) : t->partitions;
    *o = (struct mr_describe_log_dirs_response_topic){.name = mr_slice_of(t->name)};
    if (!(o->partitions = mr_request_take(r, (size_t)count, sizeof *o->partitions)))
        return false;
    for (int32_t i = 0; i < count; i++) {
        int32_t index = want ? want->partitions[i] : i;
        if (!known(t, index))
            o->partitions[o->partitions_count++] = (struct mr_describe_log_dirs_response_partition){
                .partition_index = index,
                .partition_size = mr_broker_partition_bytes(mr_request_node(r)->broker, t, index)};
    }
    dir->topics_count += o->partitions_count > 0;
    return true;
}

void mr_kafka_describe_log_dirs(struct mr_request *r)
{
    struct mr_node *n = mr_request_node(r);
    struct mr_describe_log_dirs_request in;
    struct mr_describe_log_dirs_response out;
    struct mr_describe_log_dirs_response_result dir = {.total_bytes = -1, .usable_bytes = -1};
    struct statvfs disk;
    char path[sizeof n->data_dir + 16];
    if (!mr_request_read(r, &in))
        return;
    mr_describe_log_dirs_response_init(&out);
    (void)snprintf(path, sizeof path, "%s/topics", n->data_dir);
    char *whole = realpath(path, NULL);
    dir.log_dir = mr_request_text(r, whole ? whole : path);
    free(whole);
    if (statvfs(n->data_dir, &disk) == 0) {
        dir.total_bytes = (int64_t)disk.f_blocks * (int64_t)disk.f_frsize;
        dir.usable_bytes = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    }
    bool all = in.topics_count < 0;
    size_t count = all ? mr_broker_topic_count(n->broker) : (size_t)in.topics_count;
    if (!(dir.topics = mr_request_take(r, count, sizeof *dir.topics)))
        return;
    for (size_t i = 0; i < count; i++) {
        const struct mr_topic *t =
            all ? mr_broker_topic_at(n->broker, i) : mr_broker_topic(n->broker, in.topics[i].topic);
        if (t && !dir_topic(r, &dir, t, all ? NULL : &in.topics[i]))
            return;
    }
    out.results = &dir;
    out.results_count = 1;
    mr_request_answer(r, &out);
}

/* ------------------------------------------------------------------ DescribeQuorum */

/* There is no quorum: this node alone decides, as a quorum of one would. */
void mr_kafka_describe_quorum(struct mr_request *r)
{
    struct mr_describe_quorum_request in;
    struct mr_describe_quorum_response out;
    struct mr_describe_quorum_response_current_voter voter = {
        .replica_id = MR_NODE_ID, .last_fetch_timestamp = -1, .last_caught_up_timestamp = -1};
    struct mr_describe_quorum_response_listener listener = {0};
    struct mr_describe_quorum_response_node node = {
        .node_id = MR_NODE_ID, .listeners_count = 1, .listeners = &listener};
    if (!mr_request_read(r, &in))
        return;
    mr_describe_quorum_response_init(&out);
    const struct mr_address *at = mr_request_shown(r);
    listener.name = mr_slice_of(mr_request_listener(r)->name);
    listener.host = mr_slice_of(at->host);
    listener.port = (uint16_t)at->port;
    out.nodes = &node;
    out.nodes_count = 1;
    out.topics_count = none_below(in.topics_count);
    if (!(out.topics = mr_request_take(r, (size_t)out.topics_count, sizeof *out.topics)))
        return;
    for (int32_t i = 0; i < out.topics_count; i++) {
        struct mr_describe_quorum_response_topic *o = &out.topics[i];
        bool metadata = mr_slice_eq(in.topics[i].topic_name, mr_slice_of("__cluster_metadata"));
        o->topic_name = in.topics[i].topic_name;
        o->partitions_count = none_below(in.topics[i].partitions_count);
        if (!(o->partitions = mr_request_take(r, (size_t)o->partitions_count, sizeof *o->partitions)))
            return;
        for (int32_t k = 0; k < o->partitions_count; k++) {
            int32_t index = in.topics[i].partitions[k].partition_index;
            enum mr_refusal why = metadata && index == 0 ? MR_REFUSE_NONE : MR_REFUSE_UNKNOWN_TOPIC;
            o->partitions[k] = (struct mr_describe_quorum_response_partition){
                .partition_index = index,
                .error_code = (int16_t)why,
                .error_message = text_of(why),
                .leader_id = why ? -1 : MR_NODE_ID,
                .leader_epoch = why ? -1 : MR_KAFKA_LEADER_EPOCH,
                .high_watermark = why ? -1 : 0,
                .current_voters = &voter,
                .current_voters_count = !why,
            };
        }
    }
    mr_request_answer(r, &out);
}

/* ------------------------------------------------------------------ ListConfigResources */

void mr_kafka_list_config_resources(struct mr_request *r)
{
    const struct mr_broker *b = mr_request_node(r)->broker;
    struct mr_list_config_resources_request in;
    struct mr_list_config_resources_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_list_config_resources_response_init(&out);
    bool all = in.resource_types_count <= 0, topics = all, broker = all;
    for (int32_t i = 0; i < in.resource_types_count; i++) {
        int8_t type = in.resource_types[i];
        topics |= type == RESOURCE_TOPIC;
        broker |= type == RESOURCE_BROKER;
        if (type != RESOURCE_TOPIC && type != RESOURCE_BROKER && type != RESOURCE_LOGGER &&
            type != RESOURCE_METRICS && type != RESOURCE_GROUP)
            out.error_code = MR_REFUSE_VERSION;
    }
    if (r->head.version == 0) /* that one knows client metrics alone, of which there are none */
        topics = broker = false;
    size_t count = topics ? mr_broker_topic_count(b) : 0;
    if (!(out.config_resources = mr_request_take(r, count + 1, sizeof *out.config_resources)))
        return;
    for (size_t i = 0; i < count && !out.error_code; i++)
        out.config_resources[out.config_resources_count++] =
            (struct mr_list_config_resources_response_config_resource){
                mr_slice_of(mr_broker_topic_at(b, i)->name), RESOURCE_TOPIC};
    if (broker && !out.error_code) {
        char id[16];
        (void)snprintf(id, sizeof id, "%d", MR_NODE_ID);
        out.config_resources[out.config_resources_count++] =
            (struct mr_list_config_resources_response_config_resource){mr_request_text(r, id),
                                                                       RESOURCE_BROKER};
    }
    mr_request_answer(r, &out);
}

/* ------------------------------------------------------------------ leaders and replicas */

void mr_kafka_elect_leaders(struct mr_request *r)
{
    struct mr_elect_leaders_request in;
    struct mr_elect_leaders_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_elect_leaders_response_init(&out);
    if (in.election_type < 0 || in.election_type > 1)
        out.error_code = MR_REFUSE_INVALID_REQUEST;
    /* All of them: those that need an election are answered, and that is none. */
    int32_t count = out.error_code ? 0 : none_below(in.topic_partitions_count);
    if (!(out.replica_election_results =
              mr_request_take(r, (size_t)count, sizeof *out.replica_election_results)))
        return;
    out.replica_election_results_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct mr_elect_leaders_response_replica_election_result *o = &out.replica_election_results[i];
        const struct mr_elect_leaders_request_topic_partition *want = &in.topic_partitions[i];
        const struct mr_topic *t = mr_broker_topic(mr_request_node(r)->broker, want->topic);
        o->topic = want->topic;
        o->partition_result_count = none_below(want->partitions_count);
        if (!(o->partition_result =
                  mr_request_take(r, (size_t)o->partition_result_count, sizeof *o->partition_result)))
            return;
        for (int32_t k = 0; k < o->partition_result_count; k++) {
            enum mr_refusal why = known(t, want->partitions[k]);
            why = why ? why : MR_REFUSE_ELECTION_NOT_NEEDED;
            o->partition_result[k] = (struct mr_elect_leaders_response_partition_result){
                want->partitions[k], (int16_t)why, text_of(why)};
        }
    }
    mr_request_answer(r, &out);
}

void mr_kafka_alter_partition_reassignments(struct mr_request *r)
{
    struct mr_alter_partition_reassignments_request in;
    struct mr_alter_partition_reassignments_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_alter_partition_reassignments_response_init(&out);
    out.allow_replication_factor_change = in.allow_replication_factor_change;
    int32_t count = none_below(in.topics_count);
    if (!(out.responses = mr_request_take(r, (size_t)count, sizeof *out.responses)))
        return;
    out.responses_count = count;
    for (int32_t i = 0; i < count; i++) {
        struct mr_alter_partition_reassignments_response_topic *o = &out.responses[i];
        const struct mr_alter_partition_reassignments_request_topic *want = &in.topics[i];
        const struct mr_topic *t = mr_broker_topic(mr_request_node(r)->broker, want->name);
        o->name = want->name;
        o->partitions_count = none_below(want->partitions_count);
        if (!(o->partitions = mr_request_take(r, (size_t)o->partitions_count, sizeof *o->partitions)))
            return;
        for (int32_t k = 0; k < o->partitions_count; k++) {
            const struct mr_alter_partition_reassignments_request_partition *p = &want->partitions[k];
            enum mr_refusal why = known(t, p->partition_index);
            bool here = p->replicas_count == 1 && p->replicas[0] == MR_NODE_ID; /* where it is already */
            if (!why && p->replicas_count < 0)
                why = MR_REFUSE_NO_REASSIGNMENT;
            else if (!why && !here)
                why = MR_REFUSE_INVALID_ASSIGNMENT;
            o->partitions[k] = (struct mr_alter_partition_reassignments_response_partition){
                p->partition_index, (int16_t)why, text_of(why)};
        }
    }
    mr_request_answer(r, &out);
}

/* None is ever under way. */
void mr_kafka_list_partition_reassignments(struct mr_request *r)
{
    struct mr_list_partition_reassignments_request in;
    struct mr_list_partition_reassignments_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_list_partition_reassignments_response_init(&out);
    mr_request_answer(r, &out);
}
