/* port_inside.h - what the files of the in-process topics port share: topics_port.c (topics, records),
 * port_group.c (members of groups), port_txn.c (transactions). All is the shard's unless it says otherwise. */
#ifndef MR_NODE_PORT_INSIDE_H
#define MR_NODE_PORT_INSIDE_H

#include "base/mem.h"
#include "node/node_inside.h"

enum {
    MR_PORT_WHY = 256,
    MR_PORT_SOON_MS = 2,      /* until something that is refused for the moment is tried again */
    MR_PORT_TRIES_MS = 60000, /* that it is tried for, then MR_GONE */
};

struct mr_port {
    struct mr_topics topics; /* first */
    struct mr_node *node;
    struct pool *pool;
    struct call *calls; /* under way on the shard */
    size_t busy;        /* calls of all kinds that are not settled */
    struct mr_topic_member *members;
    struct commit_call *commits; /* under way */
    struct mr_topic_txn *txns;
};

mr_code mr_port_code(enum mr_refusal refusal, mr_code code);

static inline struct mr_slice mr_port_kept(struct mr_slice s) /* [heap] with a NUL behind it */
{
    char *p = mr_need(s.len + 1);
    if (s.len)
        memcpy(p, s.p, s.len);
    return (struct mr_slice){p, s.len};
}

/* --- port_group.c. A lane's thread: */
struct mr_topic_member *mr_port_join(struct mr_topics *t, struct mr_world *w,
                                     const struct mr_topic_member_config *config);
void mr_port_commit(struct mr_topic_member *m, const struct mr_topic_offset *offsets, size_t count,
                    void (*done)(void *arg, mr_code rc, const char *why), void *arg);
void mr_port_release(struct mr_topic_member *m);
void mr_port_leave(struct mr_topic_member *m, void (*left)(void *arg), void *arg);
/* The member as the lane knows it: with the generation of what it was assigned last. */
struct mr_port_identity {
    struct mr_slice group; /* [borrow] as long as the member */
    int32_t generation;    /* -1: it has nothing */
};
struct mr_port_identity mr_port_identity(const struct mr_topic_member *m);
/* The shard: rows of a commit, in one allocation with their texts. NULL: no memory. */
struct mr_commit_row *mr_port_rows(const struct mr_topic_offset *offsets, size_t count);
void mr_port_members_drain(struct mr_port *p);
void mr_port_members_stop(struct mr_port *p);
/* The id it has at the coordinator now; empty: none. */
struct mr_slice mr_port_member_id(const struct mr_topic_member *m);
struct mr_slice mr_port_member_instance(const struct mr_topic_member *m);

/* --- port_txn.c. A lane's thread: */
void mr_port_txn_open(struct mr_topics *t, struct mr_world *w, struct mr_slice id, mr_ms timeout_ms,
                      void (*done)(void *arg, mr_code rc, struct mr_topic_txn *x, const char *why),
                      void *arg);
void mr_port_txn_produce(struct mr_topic_txn *x, struct mr_slice topic, int32_t partition,
                         struct mr_buf bytes,
                         void (*done)(void *arg, mr_code rc, int64_t base_offset, const char *why),
                         void *arg);
void mr_port_txn_offsets(struct mr_topic_txn *x, struct mr_topic_member *m,
                         const struct mr_topic_offset *offsets, size_t count,
                         void (*done)(void *arg, mr_code rc, const char *why), void *arg);
void mr_port_txn_end(struct mr_topic_txn *x, bool commit,
                     void (*done)(void *arg, mr_code rc, const char *why), void *arg);
void mr_port_txn_close(struct mr_topic_txn *x);
/* The shard: */
void mr_port_txns_drain(struct mr_port *p);
void mr_port_txns_stop(struct mr_port *p);
void mr_port_txns_free(struct mr_port *p);

#endif
