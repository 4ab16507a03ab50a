/* txn_inside.h - what the files of the transaction coordinator share; for txn*.c alone.
 *
 * txn.c        the table of transactional ids, calls, time, laws
 * txn_store.c  the topic __transaction_state: records written, and read at start
 * txn_mark.c   markers into the partitions of a transaction
 */
#ifndef MR_BROKER_TXN_INSIDE_H
#define MR_BROKER_TXN_INSIDE_H

#include "base/buf.h"
#include "base/map.h"
#include "broker/replay.h"
#include "broker/txn.h"

enum { MR_TXN_EPOCH_LAST = 32766 /* that a producer gets; one more is left to fence it with */ };

struct mr_txn_part {
    char *topic;
    int32_t partition;
    bool marked;              /* of a completing one: its marker is durable, or not needed */
    struct mr_txn_mark *mark; /* on its way */
};
struct mr_txn_set { /* by topic, then number; zeroed is empty */
    struct mr_txn_part *v;
    uint32_t count, room;
};

/* What only few of the many ids need: while ongoing, completing, or a record is on its way. */
struct mr_txn_live {
    struct mr_txn *txn;
    struct mr_txn_live *next, **link;
    struct mr_txn_set set;
    struct mr_txn_ticket *ticket; /* NULL: no record on its way */
    int64_t start_ms;             /* wall clock; -1: no transaction */
    mr_ms deadline;               /* of the ongoing one */
    uint32_t unmarked;            /* parts that have no marker yet, while completing */
    bool pushing;                 /* inside of mr_txn_push */
    bool told;                    /* that a marker cannot be written */
    struct mr_txn_call *ender;    /* whose end is decided, and who waits for the completion; NULL: nobody */
    bool ender_calling;           /* inside of the call that ends it */
};

struct mr_txn {
    struct mr_txns *txns;
    struct mr_txn_live *live; /* NULL: at rest */
    int64_t producer;
    int64_t previous;   /* producer id before the epochs ran out; -1 */
    int64_t update_ms;  /* wall clock */
    int32_t timeout_ms; /* of its transactions */
    int16_t epoch;
    int16_t last_epoch; /* that was raised to `epoch` for who had it; -1 */
    uint8_t state;
    uint32_t id_len;
    char id[];
};

enum mr_txn_step {
    MR_TXN_STEP_INIT,
    MR_TXN_STEP_ADD,
    MR_TXN_STEP_PREPARE,
    MR_TXN_STEP_COMPLETE,
    MR_TXN_STEP_FORGET
};

/* One record on its way; what it says holds when it is durable (C1). */
struct mr_txn_ticket {
    struct mr_produce produce;
    struct mr_txn *txn;
    enum mr_txn_step step;
    struct mr_txn_call *call; /* who waits; NULL: nobody */
    bool calling, ok;         /* calling: inside of the call that made it */
    /* what is to hold */
    int64_t producer, previous, start_ms, update_ms;
    int32_t timeout_ms;
    int16_t epoch, last_epoch;
    uint8_t state;
    struct mr_txn_set set; /* ADD: with what is added */
};

struct mr_txns {
    struct mr_world *world;
    struct mr_broker *broker;
    struct mr_groups *groups;
    struct mr_txns_config config;
    struct mr_map ids; /* -> struct mr_txn */
    struct mr_txn_live *live;
    struct mr_timer tick, expiry;
    size_t expiry_at;         /* how far the walk over all ids has come */
    size_t bytes;             /* of all ids: see bytes_max */
    uint64_t parts;           /* of all transactions that are under way: see parts_max */
    struct mr_replay replay;  /* of __transaction_state; its clock is that of all ages */
    struct mr_txn_live *walk; /* the next one of a walk over the live ones */
};

/* Settings that may change at any time: looked up when used, never kept. */
static inline const struct mr_node_settings *mr_txns_settings(const struct mr_txns *t)
{
    return mr_broker_node_settings(t->broker);
}

__attribute__((format(printf, 3, 4))) void mr_txns_tell(const struct mr_txns *t, enum mr_level level,
                                                        const char *format, ...);
/* ms since 1970, by the clock of ages: see replay.h */
static inline int64_t mr_txns_time(const struct mr_txns *t)
{
    return mr_replay_now(&t->replay);
}

/* --- txn.c */
struct mr_txn *mr_txn_at(struct mr_txns *t, struct mr_slice id, bool make); /* NULL: none, or no memory */
static inline struct mr_slice mr_txn_id(const struct mr_txn *x)
{
    return (struct mr_slice){x->id, x->id_len};
}
bool mr_txn_wake(struct mr_txn *x);        /* makes it live; false: no memory */
void mr_txn_rest(struct mr_txn *x);        /* no longer live, unless it must be */
void mr_txn_free(struct mr_txn *x);        /* and out of the table */
void mr_txn_check(const struct mr_txn *x); /* the laws */
static inline bool mr_txn_is_completing(const struct mr_txn *x)
{
    return x->state == MR_TXN_PREPARE_COMMIT || x->state == MR_TXN_PREPARE_ABORT;
}
/* The place of a part, or where it belongs; *found says which. */
uint32_t mr_txn_set_find(const struct mr_txn_set *s, struct mr_slice topic, int32_t partition, bool *found);
bool mr_txn_set_add(struct mr_txn_set *s, struct mr_slice topic, int32_t partition); /* false: no memory */
bool mr_txn_set_copy(struct mr_txn_set *to, const struct mr_txn_set *from); /* to is empty when it fails */
void mr_txn_set_fini(struct mr_txn_set *s);
/* A ticket has settled: applied when ok. Goes on with what follows and answers the call. */
void mr_txn_settled(struct mr_txn_ticket *k);
/* Whoever waits for the end hears now that it is decided. */
void mr_txn_end_answer(struct mr_txn *x);
void mr_txns_loaded(void *txns, int32_t partition);

/* --- txn_store.c */
/* A ticket for a live txn, which says what holds now. NULL: no memory. */
struct mr_txn_ticket *mr_txn_ticket_new(struct mr_txn *x, enum mr_txn_step step);
void mr_txn_ticket_free(struct mr_txn_ticket *k);
/* Writes its record; it settles now (then mr_txn_settled has run) or later. */
void mr_txn_ticket_send(struct mr_txn_ticket *k);
mr_code mr_txns_load(struct mr_txns *t, struct mr_err *err); /* begins to read the topic */

/* --- txn_mark.c */
/* Sends the markers that are missing; when there are none writes the completion. Again and again is fine. */
void mr_txn_push(struct mr_txn *x);
void mr_txn_marks_forget(struct mr_txn_live *live);

#endif
