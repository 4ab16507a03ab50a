/* txn.h - the coordinator of transactions: who may write under a transactional id, and how that ends.
 *
 * A single-threaded machine over its world, on the shard that owns __transaction_state.
 *
 * Words.  A *transactional id* names a producer across its restarts; to it belong a producer id and an
 *         *epoch*, which grows with each restart: who comes with an older one is *fenced*. A transaction is
 *         *completing* from the record that decides it (prepare) until markers lie in all of its partitions.
 *
 * Laws (txn_check asserts C1 to C4 after every step, in every build):
 *   C1  nothing is answered, and no marker is sent, before what it rests on is durable in __transaction_state
 *   C2  the epoch of a producer id never goes back; a producer id belongs to one transactional id
 *   C3  what was decided stays decided: a prepared transaction completes the same way, also after a crash
 *   C4  only an ongoing or completing transaction has partitions, and each once
 *   C5  an ongoing transaction is aborted when its time is over, and its producer fenced
 *   C6  an end that raises leaves behind an epoch that is newer than all that its transaction wrote
 *
 *   empty --add--> ongoing --end--> prepare commit --all marked--> complete commit --add--> ongoing
 *                     '--end, time over, fenced--> prepare abort --all marked--> complete abort --add-->
 */
#ifndef MR_BROKER_TXN_H
#define MR_BROKER_TXN_H

#include "broker/group.h"

#define MR_TXNS_TOPIC "__transaction_state"

enum {
    MR_TXN_ID_BYTES_MAX = 1024,
    MR_TXN_PARTITIONS_MAX = 10000, /* of one transaction */
    MR_TXN_RECORD_BYTES_MAX = 8 << 20,
    MR_TXNS_BYTES_MAX = 2000 << 20,
    MR_TXNS_PARTS_MAX = 1000000,
};

struct mr_txns_config { /* see mr_groups_config */
    int32_t partitions; /* of __transaction_state when it is made; default 4 (see mr_groups_config) */
    uint32_t ids_max;   /* default 10 million */
    /* Of all ids in memory, default MR_TXNS_BYTES_MAX; a new id beyond it is refused with
     * COORDINATOR_NOT_AVAILABLE. */
    size_t bytes_max;
    uint64_t parts_max; /* partitions of all transactions that are under way, MR_TXNS_PARTS_MAX; more are
                           refused with POLICY */
    void (*tell)(void *arg, enum mr_level level, const char *text); /* may be NULL */
    void *tell_arg;
};
void mr_txns_config_init(struct mr_txns_config *c);

struct mr_txns;
struct mr_txn;

/* Begins to read __transaction_state, if there is one, and then completes what was prepared; meanwhile calls
 * are refused with MR_REFUSE_COORDINATOR_LOADING. Broker and groups must outlive it; groups may be NULL. */
mr_code mr_txns_open(struct mr_world *w, struct mr_broker *b, struct mr_groups *groups,
                     const struct mr_txns_config *config, struct mr_txns **out, struct mr_err *err);
/* Forgets whoever waits: callbacks do not come. NULL is fine. */
void mr_txns_close(struct mr_txns *t);
/* Makes __transaction_state if need be. Blocks for two fsyncs the first time. */
enum mr_refusal mr_txns_prepare(struct mr_txns *t, struct mr_err *err);
int32_t mr_txns_partition_of(struct mr_slice id, int32_t partitions); /* as Kafka maps ids of ASCII */
bool mr_txns_loading(const struct mr_txns *t);

/* --- for producers
 *
 * The struct is the caller's, zeroed but for the inputs; slices are borrowed for the call. true: settled;
 * false: it must stay until done or forget. done is never called from inside of the call itself.
 *
 * Refusals of all: COORDINATOR_LOADING, COORDINATOR_NOT_AVAILABLE, INVALID_REQUEST (no id, or too long),
 * CONCURRENT_TXNS (try again: something is being written or completed), PRODUCER_MAPPING (another producer
 * id), PRODUCER_FENCED (another epoch). */
struct mr_txn_call {
    struct mr_slice id;
    int64_t producer; /* -1: none (only of init) */
    int16_t epoch;
    int64_t timeout_ms; /* of init */
    bool raises;        /* of end: it raises the epoch (transaction.version 2), and says with what to go on */
    void (*done)(struct mr_txn_call *c);
    void *arg;
    /* out */
    enum mr_refusal refusal;
    int64_t out_producer; /* of init, and of an end that raises; -1 on refusal */
    int16_t out_epoch;
    /* the coordinator's */
    struct mr_txn_ticket *ticket;
    struct mr_txn_live *held; /* of end: decided, and waits for the completion */
};
struct mr_txn_at {
    struct mr_slice topic;
    int32_t partition;
};
/* Gives producer id and epoch. A transaction that is ongoing is aborted, its producer fenced, and the caller
 * told CONCURRENT_TXNS: it comes again. With producer and epoch: only for who has them (or had them, and the
 * answer was lost); PRODUCER_FENCED else. TXN_TIMEOUT: not 1 to transaction.max.timeout.ms. */
bool mr_txns_init_producer(struct mr_txns *t, struct mr_txn_call *c);
/* These partitions, which exist, belong to the transaction; begins one if need be. */
bool mr_txns_add(struct mr_txns *t, struct mr_txn_call *c, const struct mr_txn_at *parts, size_t count);
/* Decides it. Settled when it is complete, so that the producer's next transaction is not told to come again
 * (Kafka answers with the decision, and its clients then wait 20 ms and more); or with the decision, when a
 * marker cannot be written now. To say the same again is fine. TXN_STATE: it ended the other way, or nothing
 * was added since the producer was given its epoch. `raises`: the same end is said again with the epoch from
 * before; an abort may come without a transaction: what is still on its way of it is fenced so. */
bool mr_txns_end(struct mr_txns *t, struct mr_txn_call *c, bool commit);
void mr_txns_forget(struct mr_txn_call *c); /* it is done all the same; idle is fine */

/* Does this partition belong to the producer's ongoing transaction? NONE, or why not: COORDINATOR_LOADING,
 * CONCURRENT_TXNS, PRODUCER_MAPPING, PRODUCER_EPOCH, TXN_STATE. Cost: a lookup and a binary search. */
enum mr_refusal mr_txns_verify(struct mr_txns *t, struct mr_slice id, int64_t producer, int16_t epoch,
                               struct mr_slice topic, int32_t partition);

/* --- administration */
enum mr_txn_state { /* Kafka's numbers */
                    MR_TXN_EMPTY,
                    MR_TXN_ONGOING,
                    MR_TXN_PREPARE_COMMIT,
                    MR_TXN_PREPARE_ABORT,
                    MR_TXN_COMPLETE_COMMIT,
                    MR_TXN_COMPLETE_ABORT,
                    MR_TXN_DEAD, /* being forgotten */
};
const char *mr_txn_state_name(enum mr_txn_state s); /* Kafka's */

struct mr_txn_view {
    struct mr_slice id; /* [borrow] until the next call that changes something, like the partitions */
    enum mr_txn_state state;
    int64_t producer;
    int16_t epoch;
    int32_t timeout_ms;
    int64_t start_ms; /* since 1970; -1: none is under way */
    int64_t age_ms;   /* since then; -1 */
    size_t partitions;
};
/* MR_REFUSE_TXN_ID_NOT_FOUND, COORDINATOR_LOADING, ... */
enum mr_refusal mr_txns_view(struct mr_txns *t, struct mr_slice id, struct mr_txn_view *out);
/* Partition i of it, sorted by topic and number; false at the end. */
bool mr_txns_view_partition(struct mr_txns *t, struct mr_slice id, size_t i, struct mr_txn_at *out);
bool mr_txns_next(const struct mr_txns *t, size_t *i, struct mr_txn_view *out); /* start with *i 0 */
size_t mr_txns_count(const struct mr_txns *t);

#endif
