/* group.h - the coordinator of consumer groups: members, generations, assignments, committed offsets.
 *
 * A single-threaded machine over its world, on the shard that owns __consumer_offsets. Members speak Kafka's
 * classic group protocol; offsets, storage and administration know nothing of that protocol.
 *
 * Words.  A *generation* counts assignments. A member has *joined* when it is to be in the next generation,
 * and has *synced* when it has asked for its assignment in the present one. A *pending* id was given to a
 * member that has not come back with it. A member that gave an *instance* id is *static*: who comes with the
 * same one takes its place.
 *
 * Laws (group_check asserts them after every step, in every build):
 *   G1  a member id names one member or is pending, not both; an instance id names one member
 *   G2  a generation that is completing or stable has members, one of which is the leader
 *   G3  generations only grow, also across a restart: one is on disk before a member hears of it
 *   G4  an empty group has no members; of a stable group nobody waits for an assignment
 *   G5  who waits for an answer is a member, and the counts of joined and synced are those of the members
 *   G6  each member has a deadline, and a timer that rings by then
 *   G7  the protocol of a completing or stable group is one that all members speak
 *   G8  the budget is the sum of what it counts (asserted when all is freed)
 *   O1  an offset is seen by readers only when it is durable
 *
 * empty --join--> preparing --all joined, or time over; generation on disk--> completing
 *   ^                |  ^                                                        |
 *   '--all left------'  '--join, leave, death--- stable <--leader's sync on disk-'
 */
#ifndef MR_BROKER_GROUP_H
#define MR_BROKER_GROUP_H

#include "broker/broker.h"

enum {
    MR_GROUP_PROTOCOLS_MAX = 100,  /* that one member offers */
    MR_GROUP_ID_BYTES_MAX = 32000, /* of group, member, instance and client ids */
    MR_GROUP_BYTES_MAX =
        24 << 20, /* of all members' metadata, and of their assignments: a group is one record */
    MR_GROUP_RECORD_BYTES_MAX = 64 << 20, /* max.message.bytes of __consumer_offsets */
    MR_GROUPS_BYTES_MAX = 512 << 20,      /* default of bytes_max */
};
#define MR_OFFSETS_TOPIC "__consumer_offsets"

/* Beside the settings of a node (node_setting.h), which are asked of mr_broker_node_settings each time. */
struct mr_groups_config {
    int32_t partitions;  /* of __consumer_offsets when it is made. Kafka has 50, to spread coordinators over a
                       cluster; a single node gains from few, whose commits share their fsyncs: default 4 */
    mr_ms new_member_ms; /* that a first join may wait; default 5 min */
    uint32_t groups_max; /* default 100000 */
    uint32_t offsets_max; /* committed offsets of all groups; default 5 million */
    size_t bytes_max;     /* of what clients make it keep, MR_GROUPS_BYTES_MAX: members with their ids,
                         subscriptions and assignments, ids that were given and not come with, metadata of
                         offsets, and what is on its way to the disk; the last eighth is for
                         members that are there. Beyond it joins are refused with
                         COORDINATOR_NOT_AVAILABLE, assignments with TOO_LARGE, offsets with
                         INVALID_COMMIT_SIZE */
    void (*tell)(void *arg, enum mr_level level, const char *text); /* may be NULL */
    void *tell_arg;
};
void mr_groups_config_init(struct mr_groups_config *c);

struct mr_groups;
struct mr_group;
struct mr_group_member;
struct mr_group_ticket;

/* Begins to read __consumer_offsets, if there is one; meanwhile calls are refused with
 * MR_REFUSE_COORDINATOR_LOADING. The broker must outlive it. */
mr_code mr_groups_open(struct mr_world *w, struct mr_broker *b, const struct mr_groups_config *config,
                       struct mr_groups **out, struct mr_err *err);
/* Forgets whoever waits: callbacks do not come. NULL is fine. */
void mr_groups_close(struct mr_groups *g);

/* Makes __consumer_offsets if need be. Blocks for two fsyncs the first time. */
enum mr_refusal mr_groups_prepare(struct mr_groups *g, struct mr_err *err);
int32_t mr_groups_partition_of(struct mr_slice group, int32_t partitions); /* as Kafka maps them */
/* Which partition of __consumer_offsets holds that group: what a transaction adds before it commits offsets.
 * Makes the topic if need be. INVALID_GROUP_ID, COORDINATOR_NOT_AVAILABLE. */
enum mr_refusal mr_groups_partition(struct mr_groups *g, struct mr_slice group, int32_t *out,
                                    struct mr_err *err);
bool mr_groups_loading(const struct mr_groups *g); /* some of the topic was never read */
/* A topic is gone: so are the offsets in it. */
void mr_groups_topic_deleted(struct mr_groups *g, struct mr_slice topic);

/* --- membership
 *
 * Slices of requests are borrowed for the call; those of answers until `done` returns. The structs are the
 * caller's, zeroed; a call that returns false keeps its struct until done or forget. done is never called
 * from inside of the call itself. In `instance`, p NULL is none. */
struct mr_group_protocol {
    struct mr_slice name, metadata;
};
struct mr_group_member_view {
    struct mr_slice id, instance, client_id, client_host, metadata, assignment;
};

struct mr_join {
    struct mr_slice group, member, instance, protocol_type, client_id, client_host;
    const struct mr_group_protocol *protocols; /* the one preferred first */
    size_t protocol_count;
    mr_ms session_ms, rebalance_ms;
    bool needs_id; /* a dynamic member gets an id first, and joins with it (v4+) */
    bool skips;    /* knows skip_assignment (v9+) */
    void (*done)(struct mr_join *j);
    void *arg;
    /* out */
    enum mr_refusal refusal;
    int32_t generation;                                         /* -1 on refusal */
    struct mr_slice out_type, out_protocol, leader, out_member; /* out_member also with MEMBER_ID_REQUIRED */
    bool skip_assignment;
    const struct mr_group_member_view *members; /* of the leader alone */
    size_t member_count;
    /* the coordinator's */
    struct mr_group_member *at;
    bool calling, settled;
};
bool mr_groups_join(struct mr_groups *g, struct mr_join *j); /* true: settled; false: done follows */
void mr_groups_forget_join(struct mr_join *j);               /* nobody listens any more; idle is fine */

struct mr_group_assignment {
    struct mr_slice member, assignment;
};
struct mr_sync {
    struct mr_slice group, member, instance;
    int32_t generation;
    struct mr_slice protocol_type, protocol; /* p NULL: not given */
    const struct mr_group_assignment *assignments;
    size_t assignment_count;
    void (*done)(struct mr_sync *s);
    void *arg;
    /* out */
    enum mr_refusal refusal;
    struct mr_slice out_type, out_protocol, assignment;
    /* the coordinator's */
    struct mr_group_member *at;
    bool calling, settled;
};
bool mr_groups_sync(struct mr_groups *g, struct mr_sync *s);
void mr_groups_forget_sync(struct mr_sync *s);

enum mr_refusal mr_groups_heartbeat(struct mr_groups *g, struct mr_slice group, int32_t generation,
                                    struct mr_slice member, struct mr_slice instance);
/* One member. `member` empty: the one with that instance. leave_check: whether leaving is possible at all. */
enum mr_refusal mr_groups_leave_check(struct mr_groups *g, struct mr_slice group);
enum mr_refusal mr_groups_leave(struct mr_groups *g, struct mr_slice group, struct mr_slice member,
                                struct mr_slice instance);

/* --- offsets */
struct mr_commit_row {
    struct mr_slice topic;
    int32_t partition, leader_epoch;
    int64_t offset;
    struct mr_slice metadata;
    enum mr_refusal refusal; /* in: rows that are refused already are left alone */
};
struct mr_commit {
    struct mr_slice group, member, instance;
    int32_t generation;         /* -1 with no member: not a member's commit */
    mr_ms retention_ms;         /* -1: the coordinator's */
    bool names_missing;         /* an unknown group is GROUP_NOT_FOUND (v9+), else ILLEGAL_GENERATION */
    struct mr_commit_row *rows; /* [borrow] until settled */
    size_t row_count;
    bool transactional; /* part of a transaction that the coordinator has verified: seen when it commits */
    int64_t producer;   /* of the transaction */
    int16_t producer_epoch;
    void (*done)(struct mr_commit *c);
    void *arg;
    struct mr_group_ticket *ticket; /* the coordinator's */
};
/* Each row says how it went. true: settled. Visible to readers when settled, not before. */
bool mr_groups_commit(struct mr_groups *g, struct mr_commit *c);
void mr_groups_forget_commit(struct mr_commit *c); /* it is done all the same */

/* The marker of a producer's transaction lies in that partition of __consumer_offsets: what it committed
 * there holds, or is dropped. */
void mr_groups_transaction_ended(struct mr_groups *g, int32_t partition, int64_t producer, bool commit);
/* Whether an undecided transaction holds an offset for this partition. Cost: a walk over what is under way.
 */
bool mr_groups_unstable(struct mr_groups *g, struct mr_slice group, struct mr_slice topic, int32_t partition);

enum mr_refusal mr_groups_fetch_check(struct mr_groups *g, struct mr_slice group);
struct mr_committed {
    struct mr_slice topic;
    int32_t partition, leader_epoch;
    int64_t offset;
    struct mr_slice metadata;
};
bool mr_groups_committed(struct mr_groups *g, struct mr_slice group, struct mr_slice topic, int32_t partition,
                         struct mr_committed *out); /* false: none */
struct mr_committed_walk {
    uint32_t topic, entry;
};
/* All of a group, by topic and partition: start with a zeroed walk; false at the end. */
bool mr_groups_committed_next(struct mr_groups *g, struct mr_slice group, struct mr_committed_walk *walk,
                              struct mr_committed *out);
size_t mr_groups_committed_count(struct mr_groups *g, struct mr_slice group);

/* --- administration */
enum mr_group_state {
    MR_GROUP_EMPTY,
    MR_GROUP_PREPARING,
    MR_GROUP_COMPLETING,
    MR_GROUP_STABLE,
    MR_GROUP_DEAD
};
const char *mr_group_state_name(enum mr_group_state s); /* Kafka's */

struct mr_group_view {
    struct mr_slice id, protocol_type, protocol;
    enum mr_group_state state;
    int32_t generation;
    uint32_t members;
};
/* All groups, start with *i 0; false at the end. Nothing may change meanwhile. */
bool mr_groups_next(const struct mr_groups *g, size_t *i, struct mr_group_view *out);
size_t mr_groups_count(const struct mr_groups *g);
enum mr_refusal mr_groups_view(const struct mr_groups *g, struct mr_slice group, struct mr_group_view *out);
/* [borrow] until the next call that changes something. Returns how many. */
size_t mr_groups_members(const struct mr_groups *g, struct mr_slice group, struct mr_group_member_view *out,
                         size_t room);

/* Deleting: a group that is empty, or offsets in it. */
struct mr_group_delete {
    struct mr_slice group;
    struct mr_commit_row
        *rows; /* NULL: the whole group; else topic and partition of each; they say how it went */
    size_t row_count;
    void (*done)(struct mr_group_delete *d);
    void *arg;
    enum mr_refusal refusal;
    struct mr_group_ticket *ticket;
};
bool mr_groups_delete(struct mr_groups *g, struct mr_group_delete *d); /* true: settled */
void mr_groups_forget_delete(struct mr_group_delete *d);

#endif
