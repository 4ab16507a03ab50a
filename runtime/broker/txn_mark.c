/* txn_mark.c - how a transaction completes: a marker into each of its partitions, then the record of it.
 *
 * A partition that cannot take its marker now gets it with a later tick, for as long as it takes: what was
 * decided stays decided (C3). After a crash all markers are written once more, which does no harm.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "broker/txn_inside.h"

enum { COORDINATOR_EPOCH = 0 /* one node, one coordinator for ever */ };

struct mr_txn_mark {
    struct mr_produce produce; /* first */
    struct mr_txn_live *live;
    uint32_t at; /* of its part */
};

/* Its end has used up the epochs: whoever goes on does so with another producer id. */
static bool renew(const struct mr_txn *x, struct mr_txn_ticket *k)
{
    struct mr_err err = {0};
    if (x->epoch <= MR_TXN_EPOCH_LAST || x->last_epoch < 0)
        return true;
    k->previous = x->producer;
    k->epoch = 0;
    if (mr_broker_producer_id(x->txns->broker, &k->producer, &err) == MR_OK)
        return true;
    mr_txns_tell(x->txns, MR_ERROR, "transactional id '%.*s' gets no producer id: %s",
                 MR_SLICE_ARG(mr_txn_id(x)), err.text);
    return false;
}

static void complete(struct mr_txn *x)
{
    struct mr_txn_ticket *k = mr_txn_ticket_new(x, MR_TXN_STEP_COMPLETE);
    if (k && !renew(x, k)) {
        mr_txn_ticket_free(k);
        k = NULL;
    }
    if (!k) { /* the next tick tries again */
        mr_txn_end_answer(x);
        return;
    }
    k->state = x->state == MR_TXN_PREPARE_COMMIT ? MR_TXN_COMPLETE_COMMIT : MR_TXN_COMPLETE_ABORT;
    k->start_ms = -1;
    mr_txn_ticket_send(k);
}

static void tell_stuck(struct mr_txn *x, const struct mr_txn_part *part, const char *why)
{
    mr_txn_end_answer(x);
    if (x->live->told)
        return;
    x->live->told = true;
    mr_txns_tell(x->txns, MR_WARN,
                 "transaction of '%.*s' cannot be completed in %s-%d yet, it is tried again: %s",
                 MR_SLICE_ARG(mr_txn_id(x)), part->topic, part->partition, why);
}

/* A marker is durable, or refused. */
static void marked(struct mr_txn *x, struct mr_txn_part *part, const struct mr_produce *pr)
{
    bool commit = x->state == MR_TXN_PREPARE_COMMIT;
    switch (pr->refusal) {
    case MR_REFUSE_NONE:
        if (x->txns->groups && strcmp(part->topic, MR_OFFSETS_TOPIC) == 0)
            mr_groups_transaction_ended(x->txns->groups, part->partition, x->producer, commit);
        break;
    case MR_REFUSE_UNKNOWN_TOPIC:      /* deleted meanwhile */
    case MR_REFUSE_PRODUCER_EPOCH:     /* somebody newer was there: it has been ended already */
    case MR_REFUSE_COORDINATOR_FENCED: /* a person has ended it */
        break;
    case MR_REFUSE_NOT_LEADER: /* a worker recovers it: the next tick comes again */
        mr_txn_end_answer(x);
        return;
    default:
        tell_stuck(x, part, pr->why);
        return;
    }
    part->marked = true;
    mr_assert(x->live->unmarked > 0);
    x->live->unmarked--;
}

static void mark_done(struct mr_produce *pr)
{
    struct mr_txn_mark *m = (struct mr_txn_mark *)(void *)pr;
    struct mr_txn_live *l = m->live;
    struct mr_txn *x = l->txn;
    l->set.v[m->at].mark = NULL;
    marked(x, &l->set.v[m->at], pr);
    mr_free(m);
    mr_txn_check(x);
    if (l->unmarked == 0 && !l->ticket && !l->pushing)
        complete(x);
}

static void mark(struct mr_txn *x, uint32_t at)
{
    struct mr_txn_live *l = x->live;
    struct mr_txn_part *part = &l->set.v[at];
    struct mr_broker *b = x->txns->broker;
    struct mr_marker marker = {.commit = x->state == MR_TXN_PREPARE_COMMIT,
                               .coordinator_epoch = COORDINATOR_EPOCH};
    struct mr_err err = {0};
    struct mr_txn_mark *m = mr_alloc(sizeof *m);
    if (!m) {
        tell_stuck(x, part, "no memory for a marker");
        return;
    }
    m->live = l;
    m->at = at;
    m->produce.done = mark_done;
    part->mark = m;
    struct mr_partition *p = mr_broker_partition_ready(b, mr_broker_topic(b, mr_slice_of(part->topic)),
                                                       part->partition, &m->produce.refusal, &err);
    if (p && !mr_partition_mark(p, &marker, x->producer, x->epoch, &m->produce))
        return;
    if (!p)
        (void)snprintf(m->produce.why, sizeof m->produce.why, "%.*s", MR_PRODUCE_WHY - 1, err.text);
    mark_done(&m->produce);
}

void mr_txn_push(struct mr_txn *x)
{
    struct mr_txn_live *l = x->live;
    mr_assert(mr_txn_is_completing(x));
    if (l->ticket || l->pushing)
        return;
    if (x->txns->groups && mr_groups_loading(x->txns->groups)) {
        mr_txn_end_answer(x);
        return; /* who reads __consumer_offsets must not miss a marker; the next tick comes again */
    }
    l->pushing = true;
    for (uint32_t i = 0; i < l->set.count; i++)
        if (!l->set.v[i].marked && !l->set.v[i].mark)
            mark(x, i);
    l->pushing = false;
    mr_txn_check(x);
    if (l->unmarked == 0)
        complete(x);
}

void mr_txn_marks_forget(struct mr_txn_live *l)
{
    for (uint32_t i = 0; i < l->set.count; i++) {
        struct mr_txn_mark *m = l->set.v[i].mark;
        if (!m)
            continue;
        mr_partition_forget(&m->produce);
        l->set.v[i].mark = NULL;
        mr_free(m);
    }
}
