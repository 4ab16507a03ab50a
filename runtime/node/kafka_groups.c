/* kafka_groups.c - consumer groups on the wire: FindCoordinator, JoinGroup, SyncGroup, Heartbeat, LeaveGroup,
 * ListGroups, DescribeGroups, DeleteGroups.
 *
 * What they mean is in broker/group.h. JoinGroup and SyncGroup wait for other members, DeleteGroups waits
 * for the disk; a connection that goes meanwhile is forgotten there. A stopping node
 * tells those who wait for others to look for a coordinator again.
 */
#include "node/kafka.h"

#include "base/assert.h"

enum {
    /* Bits by the numbers of operations: read 3, delete 6, describe 8. Nobody is kept from any. */
    GROUP_OPERATIONS = 1 << 3 | 1 << 6 | 1 << 8,
    HOST_BYTES = 80,
    KEY_GROUP = 0,
    KEY_TRANSACTION = 1,
};

static struct mr_groups *groups_of(const struct mr_request *r)
{
    return mr_request_node(r)->groups;
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
        size_t count = mr_kafka_many(in.coordinator_keys_count);
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

void mr_kafka_join_group(struct mr_request *r)
{
    struct mr_join_group_request in;
    char host[HOST_BYTES];
    if (!mr_request_read(r, &in))
        return;
    struct mr_join *j = mr_request_take(r, 1, sizeof *j);
    size_t count = mr_kafka_many(in.protocols_count);
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
        mr_request_wait(r, j, join_drop, join_give_up);
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
    size_t count = mr_kafka_many(in.assignments_count);
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
        mr_request_wait(r, s, sync_drop, sync_give_up);
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
    size_t count = r->head.version >= 3 ? mr_kafka_many(in.members_count) : 0;
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
    size_t count = mr_kafka_many(in.groups_names_count);
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

static bool describe_one(struct mr_request *r, struct mr_slice id, bool asked,
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
        .authorized_operations = asked ? GROUP_OPERATIONS : INT32_MIN,
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
    if (!(out.groups = mr_request_take(r, mr_kafka_many(in.groups_count), sizeof *out.groups)))
        return;
    out.groups_count = (int32_t)mr_kafka_many(in.groups_count);
    for (int32_t i = 0; i < out.groups_count; i++)
        if (!describe_one(r, in.groups[i], in.include_authorized_operations, &out.groups[i]))
            return;
    mr_request_answer(r, &out);
}
