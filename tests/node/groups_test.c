/* groups_test.c - consumer groups through the listener: every API in every version, members on connections
 * that wait, connections that go, a node that stops and comes back. */
#include "node/client.h"

enum {
    COMMIT = 8,
    FETCH_OFFSETS = 9,
    FIND = 10,
    JOIN = 11,
    BEAT = 12,
    LEAVE = 13,
    SYNC = 14,
    DESCRIBE = 15,
    LIST = 16,
    CREATE_TOPICS = 19,
    DELETE_TOPICS = 20,
    DELETE_GROUPS = 42,
    DELETE_OFFSETS = 47,
    TEXT = 128,
};

static void hurried(struct mr_node_config *c)
{
    (void)mr_node_layer_set(&c->broker.node, MR_SLICE("group.initial.rebalance.delay.ms"), MR_SLICE("20"),
                            NULL);
}

static int16_t at_most(int version, int16_t max)
{
    return version > max ? max : (int16_t)version;
}

static void make_topic(int fd, const char *name, int32_t partitions)
{
    struct mr_create_topics_request in;
    struct mr_create_topics_request_topic t = {
        .name = mr_slice_of(name), .num_partitions = partitions, .replication_factor = 1};
    struct mr_create_topics_response out;
    struct answer a;
    mr_create_topics_request_init(&in);
    in.topics = &t;
    in.topics_count = 1;
    ask(fd, CREATE_TOPICS, 7, &in, &a, &out);
    assert_int_equal(out.topics[0].error_code, 0);
    answer_fini(&a);
}

static void copy(char to[TEXT], struct mr_slice s)
{
    assert_true(s.len < TEXT);
    (void)snprintf(to, TEXT, "%.*s", MR_SLICE_ARG(s));
}

/* ------------------------------------------------------------------ a member */

struct member {
    int fd;
    int version;
    const char *group, *instance;
    char id[TEXT], leader[TEXT], assignment[TEXT];
    int32_t generation;
    int members; /* that it was told as leader */
    char others[4][TEXT];
    bool skips;
};

static struct mr_buf join_frame(const struct member *m, int32_t correlation)
{
    struct mr_join_group_request_protocol protocols[] = {{MR_SLICE("range"), MR_SLICE("meta")},
                                                         {MR_SLICE("sticky"), MR_SLICE("data")}};
    struct mr_join_group_request in;
    mr_join_group_request_init(&in);
    in.group_id = mr_slice_of(m->group);
    in.session_timeout_ms = 10000;
    in.rebalance_timeout_ms = 20000;
    in.member_id = mr_slice_of(m->id);
    in.group_instance_id = mr_slice_of(m->instance);
    in.protocol_type = MR_SLICE("consumer");
    in.protocols = protocols;
    in.protocols_count = 2;
    return frame_of(JOIN, at_most(m->version, 9), correlation, &in);
}

static int joined(struct member *m, int32_t correlation)
{
    struct mr_join_group_response out;
    struct answer a;
    receive(m->fd, JOIN, at_most(m->version, 9), correlation, &a, &out);
    int error = out.error_code;
    if (error == 0 || error == 79)
        copy(m->id, out.member_id);
    if (error == 0) {
        copy(m->leader, out.leader);
        m->generation = out.generation_id;
        m->members = out.members_count;
        m->skips = out.skip_assignment;
        assert_true(mr_slice_eq(out.protocol_name, MR_SLICE("range")));
        if (m->version >= 7)
            assert_true(mr_slice_eq(out.protocol_type, MR_SLICE("consumer")));
        for (int i = 0; i < m->members && i < 4; i++) {
            copy(m->others[i], out.members[i].member_id);
            assert_true(mr_slice_eq(out.members[i].metadata, MR_SLICE("meta")));
        }
    }
    answer_fini(&a);
    return error;
}

static void ask_to_join(struct member *m, int32_t correlation)
{
    struct mr_buf frame = join_frame(m, correlation);
    push(m->fd, frame.p, frame.len);
    mr_buf_fini(&frame);
}

/* With an id first where the version wants that. */
static int join_group(struct member *m)
{
    ask_to_join(m, 1);
    int error = joined(m, 1);
    if (error == 79) {
        assert_true(m->version >= 4);
        ask_to_join(m, 2);
        error = joined(m, 2);
    }
    return error;
}

static void ask_to_sync(struct member *m)
{
    struct mr_sync_group_request in;
    struct mr_sync_group_request_assignment rows[4];
    mr_sync_group_request_init(&in);
    in.group_id = mr_slice_of(m->group);
    in.generation_id = m->generation;
    in.member_id = mr_slice_of(m->id);
    in.group_instance_id = mr_slice_of(m->instance);
    in.protocol_type = MR_SLICE("consumer");
    in.protocol_name = MR_SLICE("range");
    in.assignments = rows;
    in.assignments_count = m->members;
    for (int i = 0; i < m->members; i++)
        rows[i] =
            (struct mr_sync_group_request_assignment){mr_slice_of(m->others[i]), mr_slice_of(m->others[i])};
    struct mr_buf frame = frame_of(SYNC, at_most(m->version, 5), 3, &in);
    push(m->fd, frame.p, frame.len);
    mr_buf_fini(&frame);
}

static int synced(struct member *m)
{
    struct mr_sync_group_response out;
    struct answer a;
    receive(m->fd, SYNC, at_most(m->version, 5), 3, &a, &out);
    int error = out.error_code;
    copy(m->assignment, out.assignment);
    if (!error && m->version >= 5)
        assert_true(mr_slice_eq(out.protocol_type, MR_SLICE("consumer")) &&
                    mr_slice_eq(out.protocol_name, MR_SLICE("range")));
    answer_fini(&a);
    return error;
}

static int beat(struct member *m)
{
    struct mr_heartbeat_request in;
    struct mr_heartbeat_response out;
    struct answer a;
    mr_heartbeat_request_init(&in);
    in.group_id = mr_slice_of(m->group);
    in.generation_id = m->generation;
    in.member_id = mr_slice_of(m->id);
    in.group_instance_id = mr_slice_of(m->instance);
    ask(m->fd, BEAT, at_most(m->version, 4), &in, &a, &out);
    answer_fini(&a);
    return out.error_code;
}

static int leave_group(struct member *m)
{
    struct mr_leave_group_request in;
    struct mr_leave_group_request_member who[2] = {{.member_id = mr_slice_of(m->id)},
                                                   {.member_id = MR_SLICE("stranger")}};
    struct mr_leave_group_response out;
    struct answer a;
    mr_leave_group_request_init(&in);
    in.group_id = mr_slice_of(m->group);
    in.member_id = mr_slice_of(m->id);
    in.members = who;
    in.members_count = 2;
    ask(m->fd, LEAVE, at_most(m->version, 5), &in, &a, &out);
    int error = out.error_code;
    if (m->version >= 3) {
        assert_int_equal(out.members_count, 2);
        assert_int_equal(out.members[1].error_code, 25);
        assert_true(mr_slice_eq(out.members[1].member_id, MR_SLICE("stranger")));
        error = out.members[0].error_code;
    }
    answer_fini(&a);
    return error;
}

/* ------------------------------------------------------------------ offsets */

static struct mr_uuid topic_id(int fd, const char *name)
{
    struct mr_metadata_request in;
    struct mr_metadata_request_topic t = {.name = mr_slice_of(name)};
    struct mr_metadata_response out;
    struct answer a;
    mr_metadata_request_init(&in);
    in.topics = &t;
    in.topics_count = 1;
    ask(fd, 3, 12, &in, &a, &out);
    struct mr_uuid id = out.topics[0].topic_id;
    answer_fini(&a);
    return id;
}

/* Partition 1 of t, and partition 0 of a topic that there is not: -> error of each */
static void commit(struct member *m, int64_t offset, int error[2])
{
    struct mr_offset_commit_request in;
    struct mr_offset_commit_request_partition p[2] = {{1, offset, 3, -1, MR_SLICE("note")},
                                                      {0, offset, -1, -1, {0}}};
    struct mr_offset_commit_request_topic t[2] = {
        {.name = MR_SLICE("t"), .partitions_count = 1, .partitions = &p[0]},
        {.name = MR_SLICE("none"), .topic_id = {{9}}, .partitions_count = 1, .partitions = &p[1]}};
    struct mr_offset_commit_response out;
    struct answer a;
    int16_t version = at_most(m->version < 1 ? 1 : m->version, 10);
    t[0].topic_id = topic_id(m->fd, "t");
    mr_offset_commit_request_init(&in);
    in.group_id = mr_slice_of(m->group);
    in.generation_id_or_member_epoch = m->generation;
    in.member_id = mr_slice_of(m->id);
    in.group_instance_id = mr_slice_of(m->instance);
    in.topics = t;
    in.topics_count = 2;
    ask(m->fd, COMMIT, version, &in, &a, &out);
    assert_int_equal(out.topics_count, 2);
    for (int i = 0; i < 2; i++)
        error[i] = out.topics[i].partitions[0].error_code;
    answer_fini(&a);
}

struct found {
    int32_t topics, partition, epoch;
    int64_t offset;
    int error;
    char metadata[TEXT];
};

/* all: every offset of the group; else partitions 0 and 1 of t, of which the last is told */
static struct found fetch(struct member *m, const char *group, bool all)
{
    struct mr_offset_fetch_request in;
    int32_t partitions[2] = {0, 1};
    struct mr_offset_fetch_request_topic t = {MR_SLICE("t"), 2, partitions};
    struct mr_offset_fetch_request_group_topic gt = {MR_SLICE("t"), topic_id(m->fd, "t"), 2, partitions};
    struct mr_offset_fetch_request_group g[2];
    struct mr_offset_fetch_response out;
    struct answer a;
    struct found f = {0};
    int16_t version = at_most(m->version < 1 ? 1 : m->version, 10);
    mr_offset_fetch_request_init(&in);
    in.group_id = mr_slice_of(group);
    in.topics = all ? NULL : &t;
    in.topics_count = all ? -1 : 1;
    for (int i = 0; i < 2; i++) {
        mr_offset_fetch_request_group_init(&g[i]);
        g[i].group_id = i ? mr_slice_of(group) : MR_SLICE("another");
        g[i].topics = all ? NULL : &gt;
        g[i].topics_count = all ? -1 : 1;
    }
    in.groups = g;
    in.groups_count = 2;
    in.require_stable = true;
    ask(m->fd, FETCH_OFFSETS, version, &in, &a, &out);
    if (version >= 8) {
        assert_int_equal(out.groups_count, 2);
        assert_true(mr_slice_eq(out.groups[1].group_id, mr_slice_of(group)));
        f.topics = out.groups[1].topics_count;
        f.error = out.groups[1].error_code;
        if (f.topics) {
            struct mr_offset_fetch_response_group_topic *o = &out.groups[1].topics[0];
            struct mr_offset_fetch_response_group_topic_partition *p =
                &o->partitions[o->partitions_count - 1];
            f.partition = p->partition_index;
            f.offset = p->committed_offset;
            f.epoch = p->committed_leader_epoch;
            copy(f.metadata, p->metadata);
        }
    } else {
        f.topics = out.topics_count;
        f.error = out.error_code;
        if (f.topics) {
            struct mr_offset_fetch_response_partition *p =
                &out.topics[0].partitions[out.topics[0].partitions_count - 1];
            f.partition = p->partition_index;
            f.offset = p->committed_offset;
            f.epoch = version >= 5 ? p->committed_leader_epoch : 3;
            copy(f.metadata, p->metadata);
        }
    }
    answer_fini(&a);
    return f;
}

static void expect_found(struct found f, int64_t offset, const char *metadata)
{
    assert_int_equal(f.error, 0);
    assert_int_equal(f.topics, 1);
    assert_int_equal(f.partition, 1);
    assert_int_equal(f.offset, offset);
    assert_string_equal(f.metadata, metadata);
}

/* ------------------------------------------------------------------ administration */

static void expect_coordinator(const struct site *s, int fd, int version)
{
    struct mr_find_coordinator_request in;
    struct mr_find_coordinator_response out;
    struct mr_slice keys[2] = {MR_SLICE("g"), MR_SLICE("h")};
    struct answer a;
    mr_find_coordinator_request_init(&in);
    in.key = keys[0];
    in.coordinator_keys = keys;
    in.coordinator_keys_count = 2;
    ask(fd, FIND, at_most(version, 6), &in, &a, &out);
    if (version >= 4) {
        assert_int_equal(out.coordinators_count, 2);
        assert_true(mr_slice_eq(out.coordinators[1].key, keys[1]));
        out.error_code = out.coordinators[1].error_code;
        out.port = out.coordinators[1].port;
        out.node_id = out.coordinators[1].node_id;
    }
    assert_int_equal(out.error_code, 0);
    assert_int_equal(out.port, s->port);
    assert_int_equal(out.node_id, MR_NODE_ID);
    answer_fini(&a);
}

static void describe(int fd, int version, const char *group, const char *state, int members)
{
    struct mr_describe_groups_request in;
    struct mr_describe_groups_response out;
    struct mr_slice names[2] = {mr_slice_of(group), MR_SLICE("unknown")};
    struct answer a;
    mr_describe_groups_request_init(&in);
    in.groups = names;
    in.groups_count = 2;
    in.include_authorized_operations = members > 0;
    ask(fd, DESCRIBE, at_most(version, 6), &in, &a, &out);
    assert_int_equal(out.groups_count, 2);
    const struct mr_describe_groups_response_group *g = &out.groups[0];
    assert_int_equal(g->error_code, 0);
    assert_true(mr_slice_eq(g->group_state, mr_slice_of(state)));
    assert_int_equal(g->members_count, members);
    if (!strcmp(state, "Stable")) {
        assert_true(mr_slice_eq(g->protocol_type, MR_SLICE("consumer")));
        assert_true(mr_slice_eq(g->protocol_data, MR_SLICE("range")));
        assert_true(mr_slice_eq(g->members[0].client_id, MR_SLICE("test")));
        assert_true(mr_slice_eq(g->members[0].client_host, MR_SLICE("/127.0.0.1")));
        assert_true(mr_slice_eq(g->members[0].member_metadata, MR_SLICE("meta")));
        assert_true(mr_slice_eq(g->members[0].member_assignment, g->members[0].member_id));
    }
    if (version >= 3) /* read, delete, describe */
        assert_int_equal(g->authorized_operations, members > 0 ? 1 << 3 | 1 << 6 | 1 << 8 : INT32_MIN);
    assert_int_equal(out.groups[1].error_code, version >= 6 ? 69 : 0);
    assert_true(mr_slice_eq(out.groups[1].group_state, MR_SLICE("Dead")));
    answer_fini(&a);
}

static int list(int fd, int version, const char *state)
{
    struct mr_list_groups_request in;
    struct mr_list_groups_response out;
    struct mr_slice filter = mr_slice_of(state), type = MR_SLICE("Classic");
    struct answer a;
    mr_list_groups_request_init(&in);
    in.states_filter = &filter;
    in.states_filter_count = version >= 4 ? 1 : 0;
    in.types_filter = &type;
    in.types_filter_count = version >= 5 ? 1 : 0;
    ask(fd, LIST, at_most(version, 5), &in, &a, &out);
    assert_int_equal(out.error_code, 0);
    if (out.groups_count && version >= 4)
        assert_true(mr_slice_eq(out.groups[0].group_state, filter));
    int count = out.groups_count;
    answer_fini(&a);
    return count;
}

static int delete_group(int fd, int version, const char *group)
{
    struct mr_delete_groups_request in;
    struct mr_delete_groups_response out;
    struct mr_slice names[2] = {mr_slice_of(group), MR_SLICE("unknown")};
    struct answer a;
    mr_delete_groups_request_init(&in);
    in.groups_names = names;
    in.groups_names_count = 2;
    ask(fd, DELETE_GROUPS, at_most(version, 3), &in, &a, &out);
    assert_int_equal(out.results_count, 2);
    assert_int_equal(out.results[1].error_code, 69);
    int error = out.results[0].error_code;
    answer_fini(&a);
    return error;
}

static int delete_offset(int fd, const char *group)
{
    struct mr_offset_delete_request in;
    struct mr_offset_delete_request_partition p = {1};
    struct mr_offset_delete_request_topic t = {MR_SLICE("t"), 1, &p};
    struct mr_offset_delete_response out;
    struct answer a;
    mr_offset_delete_request_init(&in);
    in.group_id = mr_slice_of(group);
    in.topics = &t;
    in.topics_count = 1;
    ask(fd, DELETE_OFFSETS, 0, &in, &a, &out);
    int error = out.error_code ? out.error_code : out.topics[0].partitions[0].error_code;
    answer_fini(&a);
    return error;
}

/* ------------------------------------------------------------------ tests */

static void every_version_of_every_api_serves_a_group_from_birth_to_death(void **state)
{
    (void)state;
    struct site *s = site_new(hurried);
    int fd = dial(s);
    make_topic(fd, "t", 2);
    for (int version = 0; version <= 10; version++) {
        struct member m = {.fd = fd, .version = version, .group = "g"};
        int error[2];
        expect_coordinator(s, fd, version);
        assert_int_equal(join_group(&m), 0);
        assert_int_equal(m.generation, 1);
        assert_int_equal(m.members, 1);
        assert_string_equal(m.leader, m.id);
        describe(fd, version, "g", "CompletingRebalance", 1);
        ask_to_sync(&m);
        assert_int_equal(synced(&m), 0);
        assert_string_equal(m.assignment, m.id);
        assert_int_equal(beat(&m), 0);
        commit(&m, 40 + version, error);
        assert_int_equal(error[0], 0);
        assert_int_equal(error[1], version >= 10 ? 100 : 3);
        expect_found(fetch(&m, "g", false), 40 + version, "note");
        if (version >= 2)
            expect_found(fetch(&m, "g", true), 40 + version, "note");
        struct found none = fetch(&m, "nobody", false);
        assert_true(none.error == 0 && none.offset == -1 && !none.metadata[0]);
        describe(fd, version, "g", "Stable", 1);
        assert_int_equal(list(fd, version, "Stable"), 1);
        assert_int_equal(list(fd, version, "Empty"), version >= 4 ? 0 : 1);
        assert_int_equal(delete_group(fd, version, "g"), 68);
        assert_int_equal(delete_offset(fd, "g"), 86); /* what it is subscribed to cannot be read: to all */
        assert_int_equal(leave_group(&m), 0);
        assert_int_equal(beat(&m), 25);
        describe(fd, version, "g", "Empty", 0);
        assert_int_equal(delete_offset(fd, "g"), 0);
        assert_int_equal(fetch(&m, "g", false).offset, -1);
        assert_int_equal(delete_group(fd, version, "g"), 0);
        assert_int_equal(list(fd, version, "Empty"), 0);
        assert_int_equal(delete_group(fd, version, "g"), 69);
        assert_int_equal(delete_offset(fd, "g"), 69);
        commit(&m, 1, error);
        assert_int_equal(error[0], version >= 9 ? 69 : 22);
    }
    (void)close(fd);
    site_free(s);
}

static void a_coordinator_of_transactions_is_named_and_one_of_shares_refused(void **state)
{
    (void)state;
    struct site *s = site_new(NULL);
    int fd = dial(s);
    for (int8_t type = 1; type <= 2; type++) {
        struct mr_find_coordinator_request in;
        struct mr_find_coordinator_response out;
        struct answer a;
        mr_find_coordinator_request_init(&in);
        in.key = MR_SLICE("k");
        in.key_type = type;
        ask(fd, FIND, 3, &in, &a, &out);
        assert_int_equal(out.error_code, type == 1 ? 0 : 42);
        assert_int_equal(out.node_id, type == 1 ? MR_NODE_ID : -1);
        assert_int_equal(out.error_message.len > 0, type == 2);
        answer_fini(&a);
    }
    (void)close(fd);
    site_free(s);
}

/* Two members of one generation, stable. */
static void two(struct site *s, struct member m[2])
{
    for (int i = 0; i < 2; i++) {
        m[i] = (struct member){.fd = dial(s), .version = 3, .group = "g"};
        ask_to_join(&m[i], 1);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(joined(&m[i], 1), 0);
    int leads = strcmp(m[0].leader, m[0].id) ? 1 : 0;
    assert_int_equal(m[leads].members + m[!leads].members, 2);
    ask_to_sync(&m[!leads]); /* waits for the leader's */
    assert_int_equal(beat(&m[leads]), 0);
    ask_to_sync(&m[leads]);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(synced(&m[i]), 0);
        assert_string_equal(m[i].assignment, m[i].id);
    }
}

static void members_wait_for_one_another_on_their_connections(void **state)
{
    (void)state;
    struct site *s = site_new(hurried);
    struct member m[2];
    two(s, m);
    ask_to_join(&m[0], 8); /* a follower hears at once; the leader starts a rebalance */
    ask_to_join(&m[1], 8);
    for (int i = 0; i < 2; i++)
        assert_int_equal(joined(&m[i], 8), 0);
    assert_true(m[0].generation == 2 || m[1].generation == 2);
    for (int i = 0; i < 2; i++)
        (void)close(m[i].fd);
    site_free(s);
}

static void a_connection_that_goes_while_it_waits_disturbs_nobody(void **state)
{
    (void)state;
    struct site *s = site_new(hurried);
    struct member m[2], c = {.version = 3, .group = "g"};
    two(s, m);
    for (int i = 0; i < 20; i++) { /* joins and goes, in the middle of it */
        c.fd = dial(s);
        ask_to_join(&c, 1);
        (void)close(c.fd);
    }
    while (beat(&m[0]) == 0)
        ; /* its joins have arrived */
    assert_int_equal(leave_group(&m[1]), 0);
    assert_int_equal(beat(&m[0]), 27);
    for (int i = 0; i < 2; i++)
        (void)close(m[i].fd);
    site_free(s);
}

static void a_node_that_stops_answers_who_waits(void **state)
{
    (void)state;
    struct site *s = site_new(NULL); /* with three seconds to wait in */
    struct member m = {.fd = dial(s), .version = 3, .group = "g"},
                  n = {.fd = dial(s), .version = 3, .group = "g"};
    ask_to_join(&m, 1);
    expect_coordinator(
        s, n.fd, 1); /* the join has arrived: connections are read in order of arrival, and this is later */
    while (list(n.fd, 3, "") == 0)
        ;
    site_close(s);
    assert_int_equal(joined(&m, 1), 15);
    expect_closed(m.fd);
    (void)close(n.fd);
    site_free(s);
}

static void members_and_offsets_are_there_when_the_node_comes_back(void **state)
{
    (void)state;
    struct site *s = site_new(hurried);
    struct member m[2];
    int error[2], fd = dial(s);
    make_topic(fd, "t", 2);
    (void)close(fd);
    two(s, m);
    commit(&m[0], 77, error);
    assert_int_equal(error[0], 0);
    for (int i = 0; i < 2; i++)
        (void)close(m[i].fd);
    site_close(s);
    site_open(s);
    for (int i = 0; i < 2; i++) {
        m[i].fd = dial(s);
        int why;
        while ((why = beat(&m[i])) == 14)
            ; /* still reading */
        assert_int_equal(why, 0);
        expect_found(fetch(&m[i], "g", true), 77, "note");
    }
    commit(&m[1], 78, error);
    assert_int_equal(error[0], 0);
    m[1].members = 0;
    ask_to_sync(&m[1]);
    assert_int_equal(synced(&m[1]), 0);
    assert_string_equal(m[1].assignment, m[1].id);
    for (int i = 0; i < 2; i++)
        (void)close(m[i].fd);
    site_free(s);
}

static void with_a_deleted_topic_go_its_offsets(void **state)
{
    (void)state;
    struct site *s = site_new(hurried);
    struct member m = {.fd = dial(s), .version = 7, .group = "simple", .generation = -1};
    struct mr_delete_topics_request in;
    struct mr_delete_topics_response out;
    struct mr_slice name = MR_SLICE("t");
    struct answer a;
    int error[2];
    make_topic(m.fd, "t", 2);
    commit(&m, 5, error); /* nobody's member */
    assert_int_equal(error[0], 0);
    expect_found(fetch(&m, "simple", true), 5, "note");
    mr_delete_topics_request_init(&in);
    in.topic_names = &name;
    in.topic_names_count = 1;
    ask(m.fd, DELETE_TOPICS, 5, &in, &a, &out);
    assert_int_equal(out.responses[0].error_code, 0);
    answer_fini(&a);
    make_topic(m.fd, "t", 2);
    int looks = 0;
    while (fetch(&m, "simple", true).topics && looks < 10000) /* the removal is on its way to the disk */
        looks++;
    assert_true(looks < 10000);
    assert_int_equal(fetch(&m, "simple", false).offset, -1);
    (void)close(m.fd);
    site_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_version_of_every_api_serves_a_group_from_birth_to_death),
        cmocka_unit_test(a_coordinator_of_transactions_is_named_and_one_of_shares_refused),
        cmocka_unit_test(members_wait_for_one_another_on_their_connections),
        cmocka_unit_test(a_connection_that_goes_while_it_waits_disturbs_nobody),
        cmocka_unit_test(a_node_that_stops_answers_who_waits),
        cmocka_unit_test(members_and_offsets_are_there_when_the_node_comes_back),
        cmocka_unit_test(with_a_deleted_topic_go_its_offsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
