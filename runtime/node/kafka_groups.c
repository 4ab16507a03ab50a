/* kafka_groups.c - consumer groups on the wire: FindCoordinator, JoinGroup, SyncGroup, Heartbeat, LeaveGroup,
 * OffsetCommit, OffsetFetch, OffsetDelete, ListGroups, DescribeGroups, DeleteGroups.
 *
 * What they mean is in broker/group.h. JoinGroup and SyncGroup wait for other members, the ones that change
 * the offsets topic wait for the disk; a connection that goes meanwhile is forgotten there. A stopping node
 * tells those who wait for others to look for a coordinator again.
 */
#include "node/kafka.h"

#include "base/assert.h"

enum {
    HOST_BYTES = 80,
    KEY_GROUP = 0,
    KEY_TRANSACTION = 1,
    NO_OFFSET = -1,
    NO_EPOCH = -1,
};

static struct mr_groups *groups_of(const struct mr_request *r)
{
    return mr_request_node(r)->groups;
}

static size_t many(int32_t count)
{
    return count > 0 ? (size_t)count : 0;
}

static struct mr_slice not_null(struct mr_slice s)
{
    return s.p ? s : MR_SLICE("");
}

/* "127.0.0.1:4711" as Java prints addresses, which is what tools expect: "/127.0.0.1". */
static struct mr_slice client_host(const struct mr_request *r, char out[HOST_BYTES])
{
    const char *peer = mr_request_peer(r), *colon = strrchr(peer, ':');
    size_t n = colon ? (size_t)(colon - peer) : strlen(peer);
    if (n >= 2 && peer[0] == '[' && peer[n - 1] == ']') {
        peer++;
        n -= 2;
    }
    int len = snprintf(out, HOST_BYTES, "/%.*s", (int)n, peer);
    return (struct mr_slice){out, len < HOST_BYTES ? (size_t)len : HOST_BYTES - 1};
}

/* ------------------------------------------------------------------ FindCoordinator */

static void find_one(struct mr_request *r, struct mr_slice key, int8_t type,
                     struct mr_find_coordinator_response_coordinator *out)
{
    struct mr_err err = {0};
    enum mr_refusal why;
    if (type == KEY_GROUP)
        why = mr_groups_prepare(groups_of(r), &err) ? MR_REFUSE_COORDINATOR_NOT_AVAILABLE : MR_REFUSE_NONE;
    else if (type == KEY_TRANSACTION)
        why = mr_txns_prepare(mr_request_node(r)->txns, &err) ? MR_REFUSE_COORDINATOR_NOT_AVAILABLE
                                                              : MR_REFUSE_NONE;
    else
        why = MR_REFUSE_INVALID_REQUEST;
    *out = (struct mr_find_coordinator_response_coordinator){
        .key = key,
        .node_id = why ? -1 : MR_NODE_ID,
        .host = why ? MR_SLICE("") : mr_slice_of(mr_request_shown(r)->host),
        .port = why ? -1 : mr_request_shown(r)->port,
        .error_code = (int16_t)why,
        .error_message =
            why ? mr_request_text(r, err.code ? err.text : mr_refusal_text(why)) : (struct mr_slice){0},
    };
}

void mr_kafka_find_coordinator(struct mr_request *r)
{
    struct mr_find_coordinator_request in;
    struct mr_find_coordinator_response out;
    struct mr_find_coordinator_response_coordinator one;
    if (!mr_request_read(r, &in))
        return;
    mr_find_coordinator_response_init(&out);
    if (r->head.version >= 4) {
        size_t count = many(in.coordinator_keys_count);
        if (!(out.coordinators = mr_request_take(r, count, sizeof *out.coordinators)))
            return;
        out.coordinators_count = (int32_t)count;
        for (size_t i = 0; i < count; i++)
            find_one(r, in.coordinator_keys[i], in.key_type, &out.coordinators[i]);
    } else {
        find_one(r, in.key, r->head.version >= 1 ? in.key_type : KEY_GROUP, &one);
        out.error_code = one.error_code;
        out.error_message = one.error_message;
        out.node_id = one.node_id;
        out.host = one.host;
        out.port = one.port;
    }
    mr_request_answer(r, &out);
}

/* ------------------------------------------------------------------ JoinGroup */

static void join_done(struct mr_join *j)
{
    struct mr_request *r = j->arg;
    struct mr_join_group_response out;
    mr_join_group_response_init(&out);
    out.error_code = (int16_t)j->refusal;
    out.generation_id = j->generation;
    out.protocol_type = j->out_type;
    out.protocol_name = j->out_protocol;
    out.leader = not_null(j->leader);
    out.member_id = not_null(j->out_member);
    out.skip_assignment = j->skip_assignment;
    out.members_count = (int32_t)j->member_count;
    if (!(out.members = mr_request_take(r, j->member_count, sizeof *out.members)))
        return;
    for (size_t i = 0; i < j->member_count; i++)
        out.members[i] = (struct mr_join_group_response_member){
            .member_id = j->members[i].id,
            .group_instance_id = j->members[i].instance,
            .metadata = j->members[i].metadata,
        };
    mr_request_answer(r, &out);
}

static void join_drop(struct mr_request *r)
{
    mr_groups_forget_join(r->state);
}

static void join_give_up(struct mr_request *r)
{
    struct mr_join *j = r->state;
    struct mr_join gone = {.refusal = MR_REFUSE_COORDINATOR_NOT_AVAILABLE, .generation = -1, .arg = r};
    mr_groups_forget_join(j);
    join_done(&gone);
}

/* From here on the request waits; what drops it or gives it up is known. */
static void wait_for(struct mr_request *r, void *state, void (*drop)(struct mr_request *r),
                     void (*give_up)(struct mr_request *r))
{
    r->state = state;
    r->drop = drop;
    r->give_up = give_up;
    r->hurry = give_up != NULL;
}

void mr_kafka_join_group(struct mr_request *r)
{
    struct mr_join_group_request in;
    char host[HOST_BYTES];
    if (!mr_request_read(r, &in))
        return;
    struct mr_join *j = mr_request_take(r, 1, sizeof *j);
    size_t count = many(in.protocols_count);
    struct mr_group_protocol *protocols = j ? mr_request_take(r, count, sizeof *protocols) : NULL;
    if (!protocols)
        return;
    for (size_t i = 0; i < count; i++)
        protocols[i] = (struct mr_group_protocol){in.protocols[i].name, in.protocols[i].metadata};
    *j = (struct mr_join){
        .group = in.group_id,
        .member = in.member_id,
        .instance = in.group_instance_id,
        .protocol_type = in.protocol_type,
        .client_id = not_null(r->head.client_id),
        .client_host = client_host(r, host),
        .protocols = protocols,
        .protocol_count = count,
        .session_ms = in.session_timeout_ms,
        .rebalance_ms = in.rebalance_timeout_ms >= 0 ? in.rebalance_timeout_ms : in.session_timeout_ms,
        .needs_id = r->head.version >= 4,
        .skips = r->head.version >= 9,
        .done = join_done,
        .arg = r,
    };
    if (mr_groups_join(groups_of(r), j))
        join_done(j);
    else
        wait_for(r, j, join_drop, join_give_up);
}

/* ------------------------------------------------------------------ SyncGroup */

static void sync_done(struct mr_sync *s)
{
    struct mr_sync_group_response out;
    mr_sync_group_response_init(&out);
    out.error_code = (int16_t)s->refusal;
    out.protocol_type = s->out_type;
    out.protocol_name = s->out_protocol;
    out.assignment = not_null(s->assignment);
    mr_request_answer(s->arg, &out);
}

static void sync_drop(struct mr_request *r)
{
    mr_groups_forget_sync(r->state);
}

static void sync_give_up(struct mr_request *r)
{
    struct mr_sync gone = {.refusal = MR_REFUSE_COORDINATOR_NOT_AVAILABLE, .arg = r};
    mr_groups_forget_sync(r->state);
    sync_done(&gone);
}

void mr_kafka_sync_group(struct mr_request *r)
{
    struct mr_sync_group_request in;
    if (!mr_request_read(r, &in))
        return;
    struct mr_sync *s = mr_request_take(r, 1, sizeof *s);
    size_t count = many(in.assignments_count);
    struct mr_group_assignment *rows = s ? mr_request_take(r, count, sizeof *rows) : NULL;
    if (!rows)
        return;
    for (size_t i = 0; i < count; i++)
        rows[i] = (struct mr_group_assignment){in.assignments[i].member_id, in.assignments[i].assignment};
    *s = (struct mr_sync){
        .group = in.group_id,
        .member = in.member_id,
        .instance = in.group_instance_id,
        .generation = in.generation_id,
        .protocol_type = in.protocol_type,
        .protocol = in.protocol_name,
        .assignments = rows,
        .assignment_count = count,
        .done = sync_done,
        .arg = r,
    };
    if (mr_groups_sync(groups_of(r), s))
        sync_done(s);
    else
        wait_for(r, s, sync_drop, sync_give_up);
}

/* ------------------------------------------------------------------ Heartbeat, LeaveGroup */

void mr_kafka_heartbeat(struct mr_request *r)
{
    struct mr_heartbeat_request in;
    struct mr_heartbeat_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_heartbeat_response_init(&out);
    out.error_code = (int16_t)mr_groups_heartbeat(groups_of(r), in.group_id, in.generation_id, in.member_id,
                                                  in.group_instance_id);
    mr_request_answer(r, &out);
}

void mr_kafka_leave_group(struct mr_request *r)
{
    struct mr_leave_group_request in;
    struct mr_leave_group_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_leave_group_response_init(&out);
    size_t count = r->head.version >= 3 ? many(in.members_count) : 0;
    if (!(out.members = mr_request_take(r, count, sizeof *out.members)))
        return;
    enum mr_refusal why = mr_groups_leave_check(groups_of(r), in.group_id);
    out.members_count = why ? 0 : (int32_t)count;
    if (!why && r->head.version < 3)
        why = mr_groups_leave(groups_of(r), in.group_id, in.member_id, (struct mr_slice){0});
    for (int32_t i = 0; i < out.members_count; i++) {
        const struct mr_leave_group_request_member *m = &in.members[i];
        out.members[i] = (struct mr_leave_group_response_member){
            .member_id = m->member_id,
            .group_instance_id = m->group_instance_id,
            .error_code =
                (int16_t)mr_groups_leave(groups_of(r), in.group_id, m->member_id, m->group_instance_id),
        };
    }
    out.error_code = (int16_t)why;
    mr_request_answer(r, &out);
}

/* ------------------------------------------------------------------ OffsetCommit */

struct commit_state {
    struct mr_commit commit; /* first */
    struct mr_offset_commit_response out;
};

static void commit_done(struct mr_commit *c)
{
    struct commit_state *s = (struct commit_state *)(void *)c;
    size_t row = 0;
    for (int32_t i = 0; i < s->out.topics_count; i++)
        for (int32_t k = 0; k < s->out.topics[i].partitions_count; k++)
            s->out.topics[i].partitions[k].error_code = (int16_t)c->rows[row++].refusal;
    mr_assert(row == c->row_count);
    mr_request_answer(c->arg, &s->out);
}

static void commit_drop(struct mr_request *r)
{
    mr_groups_forget_commit(r->state);
}

static bool commit_rows(struct mr_request *r, const struct mr_offset_commit_request *in,
                        struct commit_state *s)
{
    size_t total = 0, row = 0;
    for (int32_t i = 0; i < in->topics_count; i++)
        total += many(in->topics[i].partitions_count);
    s->out.topics_count = (int32_t)many(in->topics_count);
    s->commit.row_count = total;
    if (!(s->out.topics = mr_request_take(r, many(in->topics_count), sizeof *s->out.topics)) ||
        !(s->commit.rows = mr_request_take(r, total, sizeof *s->commit.rows)))
        return false;
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct mr_offset_commit_request_topic *t = &in->topics[i];
        struct mr_offset_commit_response_topic *o = &s->out.topics[i];
        enum mr_refusal unknown;
        const struct mr_topic *topic =
            mr_request_topic(r, t->name, &t->topic_id, r->head.version >= 10, &unknown);
        size_t count = many(t->partitions_count);
        *o = (struct mr_offset_commit_response_topic){
            .name = t->name,
            .topic_id = t->topic_id,
            .partitions_count = (int32_t)count,
            .partitions = mr_request_take(r, count, sizeof *o->partitions),
        };
        if (!o->partitions)
            return false;
        /* The topic may go while the commit is on its way. */
        struct mr_slice name = topic && r->head.version >= 10 ? mr_request_text(r, topic->name) : t->name;
        for (size_t k = 0; k < count; k++) {
            const struct mr_offset_commit_request_partition *p = &t->partitions[k];
            bool known = topic && p->partition_index >= 0 && p->partition_index < topic->partitions;
            o->partitions[k].partition_index = p->partition_index;
            s->commit.rows[row++] = (struct mr_commit_row){
                .topic = name,
                .partition = p->partition_index,
                .leader_epoch = p->committed_leader_epoch,
                .offset = p->committed_offset,
                .metadata = p->committed_metadata,
                .refusal = known   ? MR_REFUSE_NONE
                           : topic ? MR_REFUSE_UNKNOWN_TOPIC
                                   : unknown,
            };
        }
    }
    return true;
}

void mr_kafka_offset_commit(struct mr_request *r)
{
    struct mr_offset_commit_request in;
    if (!mr_request_keep(r) || !mr_request_read(r, &in))
        return;
    struct commit_state *s = mr_request_take(r, 1, sizeof *s);
    if (!s)
        return;
    mr_offset_commit_response_init(&s->out);
    s->commit = (struct mr_commit){
        .group = in.group_id,
        .member = in.member_id,
        .instance = in.group_instance_id,
        .generation = in.generation_id_or_member_epoch,
        .retention_ms = in.retention_time_ms,
        .names_missing = r->head.version >= 9,
        .done = commit_done,
        .arg = r,
    };
    if (!commit_rows(r, &in, s))
        return;
    if (mr_groups_commit(groups_of(r), &s->commit))
        commit_done(&s->commit);
    else
        wait_for(r, s, commit_drop, NULL);
}

/* ------------------------------------------------------------------ OffsetFetch */

/* One partition. No offset is no error: -1. */
static void fetch_one(struct mr_request *r, struct mr_slice group, struct mr_slice topic, int32_t partition,
                      bool stable, enum mr_refusal why,
                      struct mr_offset_fetch_response_group_topic_partition *out)
{
    if (!why && stable && mr_groups_unstable(groups_of(r), group, topic, partition))
        why = MR_REFUSE_UNSTABLE_OFFSET;
    struct mr_committed c = {.offset = NO_OFFSET, .leader_epoch = NO_EPOCH, .metadata = MR_SLICE("")};
    if (!why)
        (void)mr_groups_committed(groups_of(r), group, topic, partition, &c);
    *out = (struct mr_offset_fetch_response_group_topic_partition){
        .partition_index = partition,
        .committed_offset = c.offset,
        .committed_leader_epoch = c.leader_epoch,
        .metadata = c.metadata,
        .error_code = (int16_t)why,
    };
}

static bool fetch_named(struct mr_request *r, const struct mr_offset_fetch_request_group *in, bool stable,
                        enum mr_refusal why, struct mr_offset_fetch_response_group *out)
{
    if (!(out->topics = mr_request_take(r, many(in->topics_count), sizeof *out->topics)))
        return false;
    out->topics_count = (int32_t)many(in->topics_count);
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct mr_offset_fetch_request_group_topic *t = &in->topics[i];
        struct mr_offset_fetch_response_group_topic *o = &out->topics[i];
        size_t count = many(t->partition_indexes_count);
        struct mr_slice name = t->name;
        enum mr_refusal unknown = MR_REFUSE_NONE;
        if (r->head.version >= 10) {
            const struct mr_topic *topic = mr_request_topic(r, name, &t->topic_id, true, &unknown);
            name = topic ? mr_slice_of(topic->name) : MR_SLICE("");
        }
        *o = (struct mr_offset_fetch_response_group_topic){
            .name = t->name,
            .topic_id = t->topic_id,
            .partitions_count = (int32_t)count,
            .partitions = mr_request_take(r, count, sizeof *o->partitions),
        };
        if (!o->partitions)
            return false;
        for (size_t k = 0; k < count; k++)
            fetch_one(r, in->group_id, name, t->partition_indexes[k], stable, why ? why : unknown,
                      &o->partitions[k]);
    }
    return true;
}

static bool fetch_all(struct mr_request *r, const struct mr_offset_fetch_request_group *in, bool stable,
                      struct mr_offset_fetch_response_group *out)
{
    size_t count = mr_groups_committed_count(groups_of(r), in->group_id);
    struct mr_offset_fetch_response_group_topic_partition *p = mr_request_take(r, count, sizeof *p);
    if (!p || !(out->topics = mr_request_take(r, count, sizeof *out->topics)))
        return false;
    struct mr_committed_walk walk = {0};
    struct mr_committed c;
    for (struct mr_slice last = {0}; mr_groups_committed_next(groups_of(r), in->group_id, &walk, &c); p++) {
        enum mr_refusal unknown;
        const struct mr_topic *topic = mr_request_topic(r, c.topic, NULL, false, &unknown);
        if (r->head.version >= 10 && !topic)
            continue; /* it has no id any more */
        if (c.topic.p != last.p) {
            struct mr_offset_fetch_response_group_topic *o = &out->topics[out->topics_count++];
            *o = (struct mr_offset_fetch_response_group_topic){.name = c.topic, .partitions = p};
            if (topic)
                memcpy(o->topic_id.b, topic->id, sizeof o->topic_id.b);
            last = c.topic;
        }
        out->topics[out->topics_count - 1].partitions_count++;
        fetch_one(r, in->group_id, c.topic, c.partition, stable, MR_REFUSE_NONE, p);
    }
    return true;
}

static bool fetch_group(struct mr_request *r, const struct mr_offset_fetch_request_group *in, bool stable,
                        struct mr_offset_fetch_response_group *out)
{
    enum mr_refusal why = mr_groups_fetch_check(groups_of(r), in->group_id);
    bool each = r->head.version == 1; /* it has no error of the group */
    out->group_id = in->group_id;
    out->error_code = each ? 0 : (int16_t)why;
    if (in->topics_count >= 0)
        return (why && !each) || fetch_named(r, in, stable, why, out);
    return why || fetch_all(r, in, stable, out);
}

/* Up to version 7 a request is about one group; the shapes differ in their names alone. */
static bool fetch_single(struct mr_request *r, const struct mr_offset_fetch_request *in,
                         struct mr_offset_fetch_response *out)
{
    struct mr_offset_fetch_request_group want = {.group_id = in->group_id, .topics_count = in->topics_count};
    struct mr_offset_fetch_response_group got = {0};
    if (!(want.topics = mr_request_take(r, many(in->topics_count), sizeof *want.topics)))
        return false;
    for (int32_t i = 0; i < in->topics_count; i++)
        want.topics[i] = (struct mr_offset_fetch_request_group_topic){
            .name = in->topics[i].name,
            .partition_indexes_count = in->topics[i].partition_indexes_count,
            .partition_indexes = in->topics[i].partition_indexes,
        };
    if (!fetch_group(r, &want, in->require_stable, &got) ||
        !(out->topics = mr_request_take(r, (size_t)got.topics_count, sizeof *out->topics)))
        return false;
    out->error_code = got.error_code;
    out->topics_count = got.topics_count;
    for (int32_t i = 0; i < got.topics_count; i++) {
        const struct mr_offset_fetch_response_group_topic *t = &got.topics[i];
        struct mr_offset_fetch_response_topic *o = &out->topics[i];
        o->name = t->name;
        o->partitions_count = t->partitions_count;
        if (!(o->partitions = mr_request_take(r, (size_t)t->partitions_count, sizeof *o->partitions)))
            return false;
        for (int32_t k = 0; k < t->partitions_count; k++)
            o->partitions[k] = (struct mr_offset_fetch_response_partition){
                .partition_index = t->partitions[k].partition_index,
                .committed_offset = t->partitions[k].committed_offset,
                .committed_leader_epoch = t->partitions[k].committed_leader_epoch,
                .metadata = t->partitions[k].metadata,
                .error_code = t->partitions[k].error_code,
            };
    }
    return true;
}

/* require_stable asks not to see offsets that a transaction may still take back: none are, so far. */
void mr_kafka_offset_fetch(struct mr_request *r)
{
    struct mr_offset_fetch_request in;
    struct mr_offset_fetch_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_offset_fetch_response_init(&out);
    if (r->head.version < 8) {
        if (!fetch_single(r, &in, &out))
            return;
    } else {
        size_t count = many(in.groups_count);
        if (!(out.groups = mr_request_take(r, count, sizeof *out.groups)))
            return;
        out.groups_count = (int32_t)count;
        for (size_t i = 0; i < count; i++)
            if (!fetch_group(r, &in.groups[i], in.require_stable, &out.groups[i]))
                return;
    }
    mr_request_answer(r, &out);
}

/* ------------------------------------------------------------------ OffsetDelete */

struct forget_state {
    struct mr_group_delete work; /* first */
    struct mr_offset_delete_response out;
};

static void forget_done(struct mr_group_delete *d)
{
    struct forget_state *s = (struct forget_state *)(void *)d;
    size_t row = 0;
    s->out.error_code = (int16_t)d->refusal;
    if (d->refusal)
        s->out.topics_count = 0;
    for (int32_t i = 0; i < s->out.topics_count; i++)
        for (int32_t k = 0; k < s->out.topics[i].partitions_count; k++)
            s->out.topics[i].partitions[k].error_code = (int16_t)d->rows[row++].refusal;
    mr_request_answer(d->arg, &s->out);
}

static void delete_drop(struct mr_request *r)
{
    mr_groups_forget_delete(r->state);
}

static bool forget_rows(struct mr_request *r, const struct mr_offset_delete_request *in,
                        struct forget_state *s)
{
    size_t total = 0, row = 0;
    for (int32_t i = 0; i < in->topics_count; i++)
        total += many(in->topics[i].partitions_count);
    s->work.row_count = total;
    s->out.topics_count = (int32_t)many(in->topics_count);
    if (!(s->work.rows = mr_request_take(r, total, sizeof *s->work.rows)) ||
        !(s->out.topics = mr_request_take(r, many(in->topics_count), sizeof *s->out.topics)))
        return false;
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct mr_offset_delete_request_topic *t = &in->topics[i];
        struct mr_offset_delete_response_topic *o = &s->out.topics[i];
        enum mr_refusal unknown;
        const struct mr_topic *topic = mr_request_topic(r, t->name, NULL, false, &unknown);
        size_t count = many(t->partitions_count);
        *o = (struct mr_offset_delete_response_topic){
            .name = t->name,
            .partitions_count = (int32_t)count,
            .partitions = mr_request_take(r, count, sizeof *o->partitions),
        };
        if (!o->partitions)
            return false;
        for (size_t k = 0; k < count; k++) {
            int32_t p = t->partitions[k].partition_index;
            o->partitions[k].partition_index = p;
            s->work.rows[row++] = (struct mr_commit_row){
                .topic = t->name,
                .partition = p,
                .refusal =
                    topic && p >= 0 && p < topic->partitions ? MR_REFUSE_NONE : MR_REFUSE_UNKNOWN_TOPIC,
            };
        }
    }
    return true;
}

void mr_kafka_offset_delete(struct mr_request *r)
{
    struct mr_offset_delete_request in;
    if (!mr_request_keep(r) || !mr_request_read(r, &in))
        return;
    struct forget_state *s = mr_request_take(r, 1, sizeof *s);
    if (!s)
        return;
    mr_offset_delete_response_init(&s->out);
    s->work = (struct mr_group_delete){.group = in.group_id, .done = forget_done, .arg = r};
    if (!forget_rows(r, &in, s))
        return;
    if (mr_groups_delete(groups_of(r), &s->work))
        forget_done(&s->work);
    else
        wait_for(r, s, delete_drop, NULL);
}

/* ------------------------------------------------------------------ DeleteGroups */

struct delete_state {
    struct mr_delete_groups_response out;
    struct mr_group_delete *work;
};

static void deletes_finish(struct mr_request *r)
{
    struct delete_state *s = r->state;
    for (int32_t i = 0; i < s->out.results_count; i++) {
        enum mr_refusal why = s->work[i].refusal;
        s->out.results[i].error_code = (int16_t)why;
        if (why)
            s->out.results[i].error_message = mr_slice_of(mr_refusal_text(why));
    }
    mr_request_answer(r, &s->out);
}

static void deletes_one_done(struct mr_group_delete *d)
{
    struct mr_request *r = d->arg;
    mr_assert(r->pending > 0);
    if (--r->pending == 0)
        deletes_finish(r);
}

static void deletes_drop(struct mr_request *r)
{
    struct delete_state *s = r->state;
    for (int32_t i = 0; i < s->out.results_count; i++)
        mr_groups_forget_delete(&s->work[i]);
}

void mr_kafka_delete_groups(struct mr_request *r)
{
    struct mr_delete_groups_request in;
    if (!mr_request_keep(r) || !mr_request_read(r, &in))
        return;
    size_t count = many(in.groups_names_count);
    struct delete_state *s = mr_request_take(r, 1, sizeof *s);
    if (!s || !(s->work = mr_request_take(r, count, sizeof *s->work)))
        return;
    mr_delete_groups_response_init(&s->out);
    if (!(s->out.results = mr_request_take(r, count, sizeof *s->out.results)))
        return;
    s->out.results_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        s->out.results[i].group_id = in.groups_names[i];
        s->work[i] =
            (struct mr_group_delete){.group = in.groups_names[i], .done = deletes_one_done, .arg = r};
        if (!mr_groups_delete(groups_of(r), &s->work[i]))
            r->pending++;
    }
    r->state = s;
    if (r->pending)
        r->drop = deletes_drop;
    else
        deletes_finish(r);
}

/* ------------------------------------------------------------------ ListGroups, DescribeGroups */

static bool in_list(const struct mr_slice *list, int32_t count, const char *name)
{
    bool found = count <= 0;
    for (int32_t i = 0; i < count && !found; i++)
        found = list[i].len == strlen(name) && strncasecmp(list[i].p, name, list[i].len) == 0;
    return found;
}

void mr_kafka_list_groups(struct mr_request *r)
{
    struct mr_list_groups_request in;
    struct mr_list_groups_response out;
    struct mr_group_view g;
    if (!mr_request_read(r, &in))
        return;
    mr_list_groups_response_init(&out);
    if (mr_groups_loading(groups_of(r)))
        out.error_code = MR_REFUSE_COORDINATOR_LOADING;
    size_t count = out.error_code ? 0 : mr_groups_count(groups_of(r));
    if (!(out.groups = mr_request_take(r, count, sizeof *out.groups)))
        return;
    for (size_t i = 0; count && mr_groups_next(groups_of(r), &i, &g);) {
        const char *state = mr_group_state_name(g.state);
        if (in_list(in.states_filter, in.states_filter_count, state) &&
            in_list(in.types_filter, in.types_filter_count, "classic"))
            out.groups[out.groups_count++] = (struct mr_list_groups_response_group){
                .group_id = g.id,
                .protocol_type = g.protocol_type,
                .group_state = mr_slice_of(state),
                .group_type = MR_SLICE("classic"),
            };
    }
    mr_request_answer(r, &out);
}

static bool describe_one(struct mr_request *r, struct mr_slice id,
                         struct mr_describe_groups_response_group *out)
{
    struct mr_group_view g = {
        .state = MR_GROUP_DEAD, .protocol_type = MR_SLICE(""), .protocol = MR_SLICE("")};
    enum mr_refusal why = mr_groups_view(groups_of(r), id, &g);
    struct mr_group_member_view *members = mr_request_take(r, g.members, sizeof *members);
    if (why == MR_REFUSE_GROUP_NOT_FOUND && r->head.version < 6)
        why = MR_REFUSE_NONE; /* it is told by its state */
    *out = (struct mr_describe_groups_response_group){
        .error_code = (int16_t)why,
        .error_message = why ? mr_slice_of(mr_refusal_text(why)) : (struct mr_slice){0},
        .group_id = id,
        .group_state = mr_slice_of(mr_group_state_name(g.state)),
        .protocol_type = g.protocol_type,
        .protocol_data = g.protocol,
        .members = mr_request_take(r, g.members, sizeof *out->members),
        .authorized_operations = INT32_MIN,
    };
    if (!members || !out->members)
        return false;
    out->members_count = (int32_t)mr_groups_members(groups_of(r), id, members, g.members);
    for (int32_t i = 0; i < out->members_count; i++)
        out->members[i] = (struct mr_describe_groups_response_member){
            .member_id = members[i].id,
            .group_instance_id = members[i].instance,
            .client_id = members[i].client_id,
            .client_host = members[i].client_host,
            .member_metadata = members[i].metadata,
            .member_assignment = not_null(members[i].assignment),
        };
    return true;
}

void mr_kafka_describe_groups(struct mr_request *r)
{
    struct mr_describe_groups_request in;
    struct mr_describe_groups_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_describe_groups_response_init(&out);
    if (!(out.groups = mr_request_take(r, many(in.groups_count), sizeof *out.groups)))
        return;
    out.groups_count = (int32_t)many(in.groups_count);
    for (int32_t i = 0; i < out.groups_count; i++)
        if (!describe_one(r, in.groups[i], &out.groups[i]))
            return;
    mr_request_answer(r, &out);
}
