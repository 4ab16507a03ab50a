/* topics.h - the topics port: all that pipelines know of topics. node/ fills it in.
 *
 * Calls come from any lane thread; each callback is posted to the world given with the call and runs there.
 * Bytes are record batches (wire/record.h). The words are Kafka's, so that the same port can stand on a
 * client library and any cluster that speaks Kafka's protocol.
 *
 * Words.  A *member* reads for a consumer group: the group's partitions are shared among its members, and
 *         offsets are committed to it. A *transaction* is what one transactional id produces, and which
 *         offsets it commits, all seen or none. An *id* has one user: who opens it fences the one before.
 *
 * A member's life, as it is told to its lane:
 *   join --> assigned --> revoked --release--> assigned --> ... --leave--> left
 *                 '------> lost  ------------> assigned --> ...
 * Laws for who fills it in:
 *   M1  between revoked and release the partitions are still the member's, and it may commit
 *   M2  after lost they are somebody else's: a commit for them answers MR_FENCED
 *   M3  assigned tells offsets in which no transaction is undecided any more
 *   T1  what was produced and committed in a transaction is seen when its end answered MR_OK, or soon after;
 *       of one that was aborted nothing is ever seen
 *   T2  after MR_FENCED nothing that was not committed by then will be
 */
#ifndef MR_PIPELINE_TOPICS_H
#define MR_PIPELINE_TOPICS_H

#include "wire/record.h"
#include "world/world.h"

struct mr_topics;
struct mr_topic_member;
struct mr_topic_txn;

struct mr_topic_info {
    int32_t partitions;
};
/* A pinned, read-only answer of a fetch. */
struct mr_fetched {
    struct mr_slice bytes; /* whole batches; the first may begin before the offset asked for */
    int64_t end_offset;    /* the partition's end as readers see it (last stable offset) */
    int64_t start_offset;
    void (*release)(void *what); /* any thread, once */
    void *what;
};

struct mr_topic_offset {
    struct mr_slice topic;
    int32_t partition;
    int64_t offset; /* the next to be read; -1: none is committed */
};

enum {
    MR_TOPIC_SESSION_MS = 10000,   /* a member that is not heard of for so long is lost; Kafka's name:
                                      session.timeout.ms */
    MR_TOPIC_REBALANCE_MS = 60000, /* within which a member must release what is revoked
                                      (rebalance.timeout.ms) */
};

/* A membership. Slices [borrow] for the call. */
struct mr_topic_member_config {
    struct mr_slice group;
    struct mr_slice client;   /* client.id: who it is, for people */
    struct mr_slice instance; /* group.instance.id: who comes with the same one takes its place at once, as
                                 after a crash; empty: none */
    const struct mr_slice *topics;
    size_t topic_count;
    /* All partitions that are its own from now on, and where the group stands in each. Slices [borrow]. */
    void (*assigned)(void *arg, const struct mr_topic_offset *parts, size_t count);
    /* All of them are wanted back: read no more, settle what is under way or give it up, commit, release. */
    void (*revoked)(void *arg);
    /* They are gone: nothing of them may be committed. MR_GONE: the port joins again by itself. Any other
     * code: it will not, and only leave is left; MR_CANCELLED: the node stops. */
    void (*lost)(void *arg, mr_code rc, const char *why);
    void *arg;
};

struct mr_topics_ops {
    /* Finds or makes a topic; done(arg, rc, info, why). partitions 0: the default (1). `why` [borrow] text.
     */
    void (*ensure)(struct mr_topics *t, struct mr_world *w, struct mr_slice topic, int32_t partitions,
                   void (*done)(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why),
                   void *arg);
    /* Appends batches; done once they are as durable as the topic promises. `bytes` [move], freed by the port
     * with mr_buf_fini. Order of calls from one lane to one partition is kept. Codes: MR_NOTFOUND,
     * MR_NOSPACE, MR_IO, MR_LIMIT, MR_CORRUPT, MR_GONE (try again). */
    void (*produce)(struct mr_topics *t, struct mr_world *w, struct mr_slice topic, int32_t partition,
                    struct mr_buf bytes,
                    void (*done)(void *arg, mr_code rc, int64_t base_offset, const char *why), void *arg);
    /* Batches from `offset` on, at most about max_bytes, at least one batch; waits up to wait_ms for the
     * first. No bytes: nothing came. offset -2: from the start, -1: only what comes. MR_RANGE: start_offset
     * says where to go on. Of transactions only what is committed is data: the rest is control batches. */
    void (*fetch)(struct mr_topics *t, struct mr_world *w, struct mr_slice topic, int32_t partition,
                  int64_t offset, size_t max_bytes, mr_ms wait_ms,
                  void (*done)(void *arg, mr_code rc, struct mr_fetched *got, const char *why), void *arg);
    /* As ensure, of a topic that keeps the newest record of each key for ever. */
    void (*ensure_compacted)(
        struct mr_topics *t, struct mr_world *w, struct mr_slice topic, int32_t partitions,
        void (*done)(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why), void *arg);

    /* --- members. All calls with a member, and its callbacks, are of the thread of `w`.
     *
     * join answers at once; assigned follows. The topics must exist. Heartbeats are the port's. */
    struct mr_topic_member *(*join)(struct mr_topics *t, struct mr_world *w,
                                    const struct mr_topic_member_config *config);
    /* Commits offsets of partitions that are the member's; slices [copy]. MR_FENCED: they are not. MR_LIMIT,
     * MR_NOTFOUND: never; MR_GONE: try again. */
    void (*commit)(struct mr_topic_member *m, const struct mr_topic_offset *offsets, size_t count,
                   void (*done)(void *arg, mr_code rc, const char *why), void *arg);
    void (*release)(struct mr_topic_member *m); /* after revoked; late is fine */
    /* The last call with it: no callback of the member's comes any more, and its partitions go to others.
     * Commits under way are answered before left(arg). */
    void (*leave)(struct mr_topic_member *m, void (*left)(void *arg), void *arg);

    /* --- transactions. All calls with one are of the thread of `w`, and are answered in their order as far
     * as they go to one partition.
     *
     * Opens an id: fences whoever has it, and aborts what that one had open. A transaction that is open for
     * longer than timeout_ms is aborted, and its user fenced. MR_BADCONF: id or timeout. */
    void (*txn_open)(struct mr_topics *t, struct mr_world *w, struct mr_slice id, mr_ms timeout_ms,
                     void (*done)(void *arg, mr_code rc, struct mr_topic_txn *x, const char *why), void *arg);
    /* As produce, in the transaction; the first one begins it. After MR_NOSPACE, MR_LIMIT and MR_NOTFOUND
     * nothing was appended and the transaction may go on; after any other code it can only be aborted.
     * MR_FENCED: the id has another user, or the transaction took too long. */
    void (*txn_produce)(struct mr_topic_txn *x, struct mr_slice topic, int32_t partition, struct mr_buf bytes,
                        void (*done)(void *arg, mr_code rc, int64_t base_offset, const char *why), void *arg);
    /* Commits offsets of a member's partitions in the transaction; slices [copy]. MR_FENCED: they are not
     * its own any more, or as above. */
    void (*txn_offsets)(struct mr_topic_txn *x, struct mr_topic_member *m,
                        const struct mr_topic_offset *offsets, size_t count,
                        void (*done)(void *arg, mr_code rc, const char *why), void *arg);
    /* Once all calls before it are answered. MR_OK: decided for ever. Another code of a commit: not known; who
     * opens the id again sees what became of it. */
    void (*txn_end)(struct mr_topic_txn *x, bool commit, void (*done)(void *arg, mr_code rc, const char *why),
                    void *arg);
    /* The last call with it: what is open is aborted. Calls under way are answered. */
    void (*txn_close)(struct mr_topic_txn *x);
};

struct mr_topics {
    const struct mr_topics_ops *ops;
};

#endif
