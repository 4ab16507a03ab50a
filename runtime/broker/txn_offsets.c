/* txn_offsets.c - offsets that are committed inside of transactions.
 *
 * They stand in __consumer_offsets as batches of the transaction. A ticket that is durable is *held* until
 * the partition's marker: then its offsets hold, or it is dropped. The order of the log decides: an offset
 * that was committed after the held one, and is not part of the transaction, stays.
 *
 * O2  readers never see an offset of a transaction that is not committed, and see all of one that is
 */
#include "base/assert.h"
#include "base/mem.h"
#include "broker/group_inside.h"

static bool is_held(const struct mr_group_ticket *t)
{
    return t->kind == MR_TICKET_TXN_OFFSETS && t->held;
}

/* But of topics that are gone by now. */
static void take(struct mr_group_ticket *t)
{
    const struct mr_broker *b = t->groups->broker;
    const struct mr_offsets *have = &t->group->offsets;
    size_t n = 0;
    for (size_t i = 0; i < t->row_count; i++) {
        const struct mr_offset_entry *e = mr_offsets_get(have, t->rows[i].topic, t->rows[i].entry.partition);
        if ((!e || e->at < t->rows[i].entry.at) && mr_broker_topic(b, t->rows[i].topic))
            t->rows[n++] = t->rows[i];
    }
    t->row_count = n;
    mr_group_offsets_apply(t);
}

/* The held tickets of a producer in a partition, in the order of the log: the list has the newest first. */
static struct mr_group_ticket *oldest(const struct mr_groups *gs, int32_t partition, int64_t producer)
{
    struct mr_group_ticket *found = NULL;
    for (struct mr_group_ticket *t = gs->tickets; t; t = t->next)
        if (is_held(t) && t->producer == producer && t->group->partition == partition &&
            (!found || t->produce.base_offset < found->produce.base_offset))
            found = t;
    return found;
}

void mr_group_txn_decided(struct mr_groups *gs, int32_t partition, int64_t producer, bool commit)
{
    struct mr_group_ticket *t;
    bool ready = mr_replay_check(&gs->replay, partition) == MR_REFUSE_NONE;
    while ((t = oldest(gs, partition, producer))) {
        struct mr_group *g = t->group;
        if (commit)
            take(t);
        mr_group_ticket_free(t);
        if (ready) {
            mr_group_check(g);
            if (mr_group_is_idle(g))
                mr_group_free(g);
        }
    }
}

void mr_groups_transaction_ended(struct mr_groups *gs, int32_t partition, int64_t producer, bool commit)
{
    if (mr_replay_check(&gs->replay, partition) == MR_REFUSE_NONE) /* else who reads it meets the marker */
        mr_group_txn_decided(gs, partition, producer, commit);
}

void mr_group_txn_settled(struct mr_group_ticket *t, bool ok)
{
    struct mr_group *g = t->group;
    struct mr_commit *c = t->commit;
    enum mr_refusal why = t->produce.refusal;
    bool calling = t->calling;
    if (why != MR_REFUSE_PRODUCER_EPOCH && why != MR_REFUSE_TXN_STATE)
        why =
            why == MR_REFUSE_TOO_LARGE ? MR_REFUSE_INVALID_COMMIT_SIZE : MR_REFUSE_COORDINATOR_NOT_AVAILABLE;
    for (size_t i = 0; !ok && c && i < t->row_count; i++)
        c->rows[t->rows[i].from].refusal = why;
    if (c)
        c->ticket = NULL;
    t->commit = NULL;
    if (ok) {
        for (size_t i = 0; i < t->row_count; i++)
            t->rows[i].entry.at = t->produce.base_offset + (int64_t)i;
        t->held = true;
    } else {
        mr_group_ticket_free(t);
        if (mr_group_is_idle(g))
            mr_group_free(g);
    }
    if (c && !calling)
        c->done(c);
}

bool mr_group_hold_loaded(struct mr_group *g, int64_t producer, struct mr_slice topic,
                          const struct mr_offset_entry *entry, struct mr_slice metadata)
{
    struct mr_ticket_row row = {.topic = topic, .metadata = metadata, .entry = *entry};
    struct mr_group_ticket *t = mr_group_ticket_new(g, MR_TICKET_TXN_OFFSETS);
    if (t && mr_group_ticket_rows(t, &row, 1)) {
        t->producer = producer;
        t->produce.base_offset = entry->at;
        t->held = true;
        return true;
    }
    if (t)
        mr_group_ticket_free(t);
    return false;
}

void mr_group_held_drop(struct mr_group *g)
{
    struct mr_group_ticket *next;
    for (struct mr_group_ticket *t = g->tickets ? g->groups->tickets : NULL; t; t = next) {
        next = t->next;
        if (is_held(t) && t->group == g)
            mr_group_ticket_free(t);
    }
}

bool mr_groups_unstable(struct mr_groups *gs, struct mr_slice group, struct mr_slice topic, int32_t partition)
{
    const struct mr_group *g = mr_group_at(gs, group, false);
    if (!g || g->tickets == 0)
        return false;
    for (const struct mr_group_ticket *t = gs->tickets; t; t = t->next) {
        if (t->kind != MR_TICKET_TXN_OFFSETS || t->group != g)
            continue;
        for (size_t i = 0; i < t->row_count; i++)
            if (t->rows[i].entry.partition == partition && mr_slice_eq(t->rows[i].topic, topic))
                return true;
    }
    return false;
}
