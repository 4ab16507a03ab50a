/* group_inside.h - what the files of the group coordinator share; for group*.c alone.
 *
 * group.c         the table of groups, administration, laws
 * group_member.c  members: made, found, dying; votes
 * group_classic.c Kafka's classic protocol: join, sync, heartbeat, leave
 * group_offsets.c commits, deletes, expiry
 * group_store.c   the topic __consumer_offsets: written, and read at start
 */
#ifndef MR_BROKER_GROUP_INSIDE_H
#define MR_BROKER_GROUP_INSIDE_H

#include "base/buf.h"
#include "broker/group.h"
#include "broker/offsets.h"
#include "broker/offsets_record.h"
#include "broker/replay.h"

struct mr_group_member {
    struct mr_group *group;
    struct mr_group_member *next, **link;                 /* in order of coming */
    struct mr_slice id, instance, client_id, client_host; /* ours */
    mr_ms session_ms, rebalance_ms;
    struct mr_group_protocol *protocols; /* one block with their bytes */
    size_t protocol_count, protocol_bytes;
    struct mr_slice assignment, proposed; /* ours; proposed: of the leader, not durable yet */
    struct mr_slice former;               /* the id it had before it was replaced */
    mr_ms deadline;
    struct mr_timer timer; /* rings at the deadline or before it */
    bool fresh;            /* has never heard the answer to a join */
    bool joined, synced;
    struct mr_join *join; /* who waits; NULL: nobody */
    struct mr_sync *sync;
};

struct mr_pending {
    struct mr_group *group;
    struct mr_slice id; /* ours */
    struct mr_timer timer;
};

struct mr_vote {
    char *name;
    uint32_t members; /* that speak it */
    uint32_t got;     /* votes, while they are counted */
};

struct mr_group {
    struct mr_groups *groups;
    struct mr_slice id;
    int32_t partition; /* of __consumer_offsets */
    enum mr_group_state state;
    int32_t generation;
    char *protocol_type; /* NULL: never had members */
    char *protocol;      /* chosen; NULL while there is none */
    int64_t state_ms;    /* wall clock, when the state was entered */

    struct mr_group_member *first, **last, *leader;
    uint32_t count, joined, unsynced;
    struct mr_map by_id, by_instance, pending;
    struct mr_vote *votes;
    uint32_t vote_count, vote_room;
    size_t bytes; /* of protocols of all members */

    struct mr_timer timer;  /* preparing: until joins close; completing, stable: until all must have synced */
    bool initial, newcomer; /* preparing from empty: waits for more members, and one has come */
    mr_ms initial_left;
    struct mr_group_ticket *storing; /* of the generation or of its assignments */
    bool stale;                      /* members changed while the generation was stored */

    struct mr_offsets offsets;
    uint32_t tickets;       /* on their way */
    struct mr_slice loaded; /* while reading: the newest record of the group */
};

struct mr_groups {
    struct mr_world *world;
    struct mr_broker *broker;
    struct mr_groups_config config;
    struct mr_map groups;
    uint64_t offsets; /* of all groups */
    size_t bytes;     /* of the budget: see bytes_max */
    bool full;        /* it was told that the budget is used up */
    struct mr_timer expiry;
    size_t expiry_at; /* how far the walk over all groups has come */
    struct mr_group_ticket *tickets;
    struct mr_group_member_view *scratch; /* of answers to leaders */
    size_t scratch_room;
    struct mr_replay replay; /* of __consumer_offsets; its clock is that of all ages */
};

/* Settings that may change at any time: looked up when used, never kept. */
static inline const struct mr_node_settings *mr_groups_settings(const struct mr_groups *g)
{
    return mr_broker_node_settings(g->broker);
}

__attribute__((format(printf, 3, 4))) void mr_groups_tell(const struct mr_groups *g, enum mr_level level,
                                                          const char *format, ...);

/* --- group.c */
/* Finds, or with `make` makes. NULL: *why says (NONE: there is no such group). */
struct mr_group *mr_group_find(struct mr_groups *g, struct mr_slice id, bool make, enum mr_refusal *why);
struct mr_group *mr_group_at(struct mr_groups *g, struct mr_slice id,
                             bool make);         /* also while loading; NULL: none */
void mr_group_free(struct mr_group *g);          /* and out of the table */
bool mr_group_is_idle(const struct mr_group *g); /* nothing to remember */
void mr_group_state_set(struct mr_group *g, enum mr_group_state s);
void mr_group_check(const struct mr_group *g); /* the laws */
/* Texts that are kept, counted in the budget. p NULL: no memory; never NULL else. */
struct mr_slice mr_group_copy(struct mr_groups *g, struct mr_slice s);
void mr_group_drop(struct mr_groups *g, struct mr_slice *s);
/* Whether the budget (bytes_max) has so many bytes left; when it has not, that is told. The last eighth is
 * for members that are there: what is new must not keep them from going on. */
bool mr_groups_room(struct mr_groups *g, size_t more, bool is_there);
/* ms since 1970, by the clock of ages: see replay.h */
static inline int64_t mr_groups_time(const struct mr_groups *g)
{
    return mr_replay_now(&g->replay);
}

/* --- group_member.c */
struct mr_member_wants {
    struct mr_slice id, instance, client_id, client_host;
    mr_ms session_ms, rebalance_ms;
    const struct mr_group_protocol *protocols;
    size_t protocol_count;
};
/* NULL: no memory, nothing changed. */
struct mr_group_member *mr_group_member_add(struct mr_group *g, const struct mr_member_wants *w);
void mr_group_member_remove(struct mr_group_member *m, enum mr_refusal why); /* answers it when it waits */
bool mr_group_member_offer(struct mr_group_member *m, const struct mr_group_protocol *p, size_t count);
bool mr_group_member_rename(struct mr_group_member *m, struct mr_slice id);
/* Whether that is what it offers already. */
bool mr_group_member_offers(const struct mr_group_member *m, const struct mr_group_protocol *p, size_t count);
const struct mr_group_protocol *mr_group_member_speaks(const struct mr_group_member *m,
                                                       struct mr_slice protocol);
void mr_group_member_alive(struct mr_group_member *m, mr_ms for_ms);
struct mr_group_member *mr_group_member_get(const struct mr_group *g, struct mr_slice id);
bool mr_group_fits(const struct mr_group *g, const struct mr_join *j); /* type and protocols */
const char *mr_group_choose(const struct mr_group *g);                 /* by votes; NULL: no members */
struct mr_slice mr_group_pending_add(struct mr_group *g, struct mr_slice id,
                                     mr_ms for_ms);                   /* ours; p NULL: no memory */
bool mr_group_pending_remove(struct mr_group *g, struct mr_slice id); /* false: none */
void mr_group_member_view(const struct mr_group_member *m, struct mr_slice protocol,
                          struct mr_group_member_view *out);

/* --- group_classic.c */
void mr_group_member_died(struct mr_group_member *m); /* its session is over */
void mr_group_pending_died(struct mr_group *g);
void mr_group_join_answer(struct mr_join *j, enum mr_refusal why);
void mr_group_sync_answer(struct mr_sync *s, enum mr_refusal why);
void mr_group_stored_generation(struct mr_group *g, bool ok);
void mr_group_stored_assignment(struct mr_group *g, int32_t generation, bool ok);
void mr_group_stored_replacement(struct mr_group *g, struct mr_slice member, bool ok);
void mr_group_loaded(struct mr_group *g); /* members are there: their clocks start */
enum mr_refusal mr_group_member_check(struct mr_group *g, struct mr_slice member, struct mr_slice instance,
                                      struct mr_group_member **out);

/* --- group_store.c */
enum mr_ticket_kind {
    MR_TICKET_GENERATION,
    MR_TICKET_ASSIGNMENT,
    MR_TICKET_REPLACEMENT,
    MR_TICKET_EMPTY,
    MR_TICKET_OFFSETS,     /* set or removed */
    MR_TICKET_DELETE,      /* the group */
    MR_TICKET_TXN_OFFSETS, /* set when a transaction commits: txn_offsets.c */
};
struct mr_ticket_row {
    struct mr_slice topic, metadata; /* in the ticket's block */
    struct mr_offset_entry entry;
    bool remove;
    size_t from; /* row of the commit or delete */
};
/* One append to the topic on its way; what it changes is changed when it is durable. */
struct mr_group_ticket {
    struct mr_produce produce;
    struct mr_groups *groups;
    struct mr_group *group;
    struct mr_group_ticket *next, **link;
    enum mr_ticket_kind kind;
    int32_t generation;
    struct mr_slice member; /* [ours] of a replacement */
    struct mr_commit *commit;
    struct mr_group_delete *delete;
    struct mr_ticket_row *rows; /* a block of its own */
    size_t row_count, row_bytes;
    int64_t producer; /* of TXN_OFFSETS */
    int16_t producer_epoch;
    bool held;    /* durable, and the transaction is not decided */
    bool calling; /* inside of the call that made it */
    bool finished, ok;
};
struct mr_group_ticket *mr_group_ticket_new(struct mr_group *g,
                                            enum mr_ticket_kind kind); /* NULL: no memory */
void mr_group_ticket_free(struct mr_group_ticket *t);
/* Appends the batch and returns; the ticket settles itself now or later. `batch` is freed. */
void mr_group_ticket_send(struct mr_group_ticket *t, struct mr_buf *batch);
/* The group as it is, or will be: with `generation` and `protocol`; `leader` NULL: no assignments yet. */
bool mr_group_store(struct mr_group *g, enum mr_ticket_kind kind, int32_t generation, const char *protocol,
                    const struct mr_group_member *leader, bool proposed, struct mr_slice member);
mr_code mr_groups_load(struct mr_groups *g, struct mr_err *err); /* begins to read the topic */

/* --- group_offsets.c */
bool mr_group_ticket_rows(struct mr_group_ticket *t, const struct mr_ticket_row *rows, size_t count);
void mr_group_offsets_apply(struct mr_group_ticket *t); /* its rows hold from now on */
void mr_group_offsets_settled(struct mr_group_ticket *t, bool ok);
void mr_group_delete_settled(struct mr_group_ticket *t, bool ok);
void mr_groups_expire(void *groups); /* timer */
void mr_group_topic_deleted(struct mr_group *g, struct mr_slice topic);
/* The only doors to a group's offsets: what they count and weigh is kept. */
bool mr_group_offset_set(struct mr_group *g, struct mr_slice topic, const struct mr_offset_entry *entry,
                         struct mr_slice metadata); /* false: no memory, nothing changed */
void mr_group_offset_remove(struct mr_group *g, struct mr_slice topic, int32_t partition);

/* --- txn_offsets.c */
void mr_group_txn_settled(struct mr_group_ticket *t, bool ok);
void mr_group_txn_decided(struct mr_groups *g, int32_t partition, int64_t producer, bool commit);
/* While reading: an offset inside of a transaction. false: no memory. */
bool mr_group_hold_loaded(struct mr_group *g, int64_t producer, struct mr_slice topic,
                          const struct mr_offset_entry *entry, struct mr_slice metadata);
void mr_group_held_drop(struct mr_group *g);

#endif
