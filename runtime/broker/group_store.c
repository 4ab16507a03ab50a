/* group_store.c - the topic __consumer_offsets: tickets that write it, and what its records mean at start.
 *
 * What a ticket changes in memory is changed when its records are durable (O1). Records of one partition
 * become durable in their order, so tickets of one group settle in the order in which they were sent.
 */
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "broker/group_inside.h"

enum { ARENA_BYTES = 256 << 20 /* of one group's members while they are decoded */ };

enum mr_refusal mr_groups_prepare(struct mr_groups *gs, struct mr_err *err)
{
    return mr_replay_prepare(&gs->replay, (int32_t)mr_groups_settings(gs)->offsets_topic_num_partitions, err);
}

enum mr_refusal mr_groups_partition(struct mr_groups *gs, struct mr_slice group, int32_t *out,
                                    struct mr_err *err)
{
    if (group.len == 0 || group.len > MR_GROUP_ID_BYTES_MAX)
        return MR_REFUSE_INVALID_GROUP_ID;
    if (mr_groups_prepare(gs, err))
        return MR_REFUSE_COORDINATOR_NOT_AVAILABLE;
    *out = mr_groups_partition_of(group, gs->replay.partitions);
    return MR_REFUSE_NONE;
}

/* ------------------------------------------------------------------ tickets */

struct mr_group_ticket *mr_group_ticket_new(struct mr_group *g, enum mr_ticket_kind kind)
{
    struct mr_groups *gs = g->groups;
    struct mr_group_ticket *t = mr_alloc(sizeof *t);
    if (!t)
        return NULL;
    t->groups = gs;
    t->group = g;
    t->kind = kind;
    t->next = gs->tickets;
    t->link = &gs->tickets;
    if (t->next)
        t->next->link = &t->next;
    gs->tickets = t;
    g->tickets++;
    return t;
}

void mr_group_ticket_free(struct mr_group_ticket *t)
{
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    if (t->commit)
        t->commit->ticket = NULL;
    if (t->delete)
        t->delete->ticket = NULL;
    if (t->group) {
        t->group->tickets--;
        if (t->group->storing == t)
            t->group->storing = NULL;
    }
    mr_group_drop(t->groups, &t->member);
    t->groups->bytes -= t->row_bytes;
    mr_free(t->rows);
    mr_free(t);
}

static void settle(struct mr_group_ticket *t)
{
    struct mr_group *g = t->group;
    bool ok = t->produce.refusal == MR_REFUSE_NONE, current = g->storing == t;
    if (!ok)
        mr_groups_tell(t->groups, MR_ERROR, "group '%.*s': cannot write to " MR_OFFSETS_TOPIC ": %s",
                       MR_SLICE_ARG(g->id), t->produce.why);
    if (current)
        g->storing = NULL;
    switch (t->kind) {
    case MR_TICKET_GENERATION:
        if (current)
            mr_group_stored_generation(g, ok);
        break;
    case MR_TICKET_ASSIGNMENT:
        if (current)
            mr_group_stored_assignment(g, t->generation, ok);
        break;
    case MR_TICKET_REPLACEMENT:
        mr_group_stored_replacement(g, t->member, ok);
        break;
    case MR_TICKET_EMPTY:
        break;
    case MR_TICKET_OFFSETS:
        mr_group_offsets_settled(t, ok); /* frees it */
        return;
    case MR_TICKET_TXN_OFFSETS:
        mr_group_txn_settled(t, ok);
        return;
    case MR_TICKET_DELETE:
        mr_group_delete_settled(t, ok);
        return;
    }
    mr_group_check(g);
    mr_group_ticket_free(t);
}

static void produced(struct mr_produce *pr)
{
    settle(pr->arg);
}

static bool refuse(struct mr_group_ticket *t, enum mr_refusal why, const char *text)
{
    t->produce.refusal = why;
    (void)snprintf(t->produce.why, sizeof t->produce.why, "%.*s", (int)sizeof t->produce.why - 1, text);
    return true;
}

void mr_group_ticket_send(struct mr_group_ticket *t, struct mr_buf *batch)
{
    struct mr_groups *gs = t->groups;
    struct mr_err err = {0};
    bool settled;
    t->produce.acks = -1;
    t->produce.trusted = true;
    t->produce.transactional = t->produce.verified = t->kind == MR_TICKET_TXN_OFFSETS;
    t->produce.done = produced;
    t->produce.arg = t;
    enum mr_refusal why = mr_groups_prepare(gs, &err);
    struct mr_partition *p = NULL;
    if (!why)
        p = mr_replay_partition(&gs->replay, t->group->partition, &why, &err);
    settled = p ? mr_partition_produce(p, batch->p, batch->len, &t->produce) : refuse(t, why, err.text);
    mr_buf_fini(batch);
    if (settled)
        settle(t);
}

/* ------------------------------------------------------------------ a group's record */

static struct mr_stored_group_value_member stored_member(const struct mr_group_member *m,
                                                         const char *protocol, bool proposed)
{
    const struct mr_group_protocol *p = mr_group_member_speaks(m, mr_slice_of(protocol));
    return (struct mr_stored_group_value_member){
        .member_id = m->id,
        .group_instance_id = m->instance,
        .client_id = m->client_id,
        .client_host = m->client_host,
        .rebalance_timeout = m->rebalance_ms > INT32_MAX ? INT32_MAX : (int32_t)m->rebalance_ms,
        .session_timeout = (int32_t)m->session_ms,
        .subscription = p ? p->metadata : MR_SLICE(""),
        .assignment = proposed ? m->proposed : m->assignment,
    };
}

static bool write_record(struct mr_group *g, const struct mr_stored_group_value *v, struct mr_buf *out)
{
    struct mr_record_build b;
    mr_record_build_begin(&b, out);
    if (mr_stored_group_add(&b, mr_groups_time(g->groups), g->id, v) &&
        mr_record_build_end(&b, MR_CODEC_NONE, -1, -1, -1, NULL) == MR_OK)
        return true;
    mr_buf_fini(out);
    return false;
}

bool mr_group_store(struct mr_group *g, enum mr_ticket_kind kind, int32_t generation, const char *protocol,
                    const struct mr_group_member *leader, bool proposed, struct mr_slice member)
{
    struct mr_buf batch = {0};
    struct mr_stored_group_value v = {
        .protocol_type = mr_slice_of(g->protocol_type ? g->protocol_type : ""),
        .generation = generation,
        .protocol = mr_slice_of(protocol),
        .leader = leader ? leader->id : (struct mr_slice){0},
        .state_timestamp = mr_groups_time(g->groups),
        .members = mr_alloc((g->count + 1) * sizeof *v.members),
    };
    if (!v.members)
        return false;
    for (const struct mr_group_member *m = g->first; m; m = m->next)
        v.members[v.members_count++] = stored_member(m, protocol, proposed);
    bool ok = write_record(g, &v, &batch);
    mr_free(v.members);
    struct mr_group_ticket *t = ok ? mr_group_ticket_new(g, kind) : NULL;
    if (t && member.p && !(t->member = mr_group_copy(g->groups, member)).p) {
        mr_group_ticket_free(t);
        t = NULL;
    }
    if (!t) {
        mr_buf_fini(&batch);
        return false;
    }
    t->generation = generation;
    if (kind == MR_TICKET_GENERATION || kind == MR_TICKET_ASSIGNMENT)
        g->storing = t;
    mr_group_ticket_send(t, &batch);
    return true;
}

/* ------------------------------------------------------------------ reading at start */

static mr_code keep_group(struct mr_group *g, const struct mr_record *r, struct mr_err *err)
{
    mr_group_drop(g->groups, &g->loaded);
    if (!r->has_value)
        mr_group_held_drop(g); /* it was deleted, and with it what transactions held for it */
    if (r->has_value && !(g->loaded = mr_group_copy(g->groups, r->value)).p)
        return mr_fail(err, MR_MEMORY, "no memory for group '%.*s'", MR_SLICE_ARG(g->id));
    return MR_OK;
}

static mr_code keep_offset(struct mr_group *g, const struct mr_batch_header *h,
                           const struct mr_stored_key *key, const struct mr_record *r, struct mr_err *err)
{
    struct mr_offset_entry entry;
    struct mr_slice metadata;
    bool held = (h->attributes & MR_BATCH_TRANSACTIONAL) && h->producer_id >= 0, ok = true;
    if (!r->has_value) {
        mr_group_offset_remove(g, key->topic, key->partition);
        return MR_OK;
    }
    mr_code rc = mr_stored_offset_read(r->value, &entry, &metadata, err);
    if (rc)
        return rc;
    entry.partition = key->partition;
    entry.at = r->offset;
    mr_replay_seen(&g->groups->replay, entry.commit_ms);
    ok = held ? mr_group_hold_loaded(g, h->producer_id, key->topic, &entry, metadata)
              : mr_group_offset_set(g, key->topic, &entry, metadata);
    return ok ? MR_OK
              : mr_fail(err, MR_MEMORY, "no memory for the offsets of group '%.*s'", MR_SLICE_ARG(g->id));
}

static mr_code take_record(void *owner, int32_t partition, const struct mr_batch_header *h,
                           const struct mr_record *r, struct mr_err *err)
{
    struct mr_groups *gs = owner;
    struct mr_stored_key key = {0};
    mr_code rc = mr_stored_key_read(r->key, &key, err);
    if (rc || key.kind == MR_STORED_OTHER || key.group.len == 0)
        return rc;
    if (mr_groups_partition_of(key.group, gs->replay.partitions) != partition)
        return mr_fail(err, MR_BADDATA, "group '%.*s' does not belong here", MR_SLICE_ARG(key.group));
    struct mr_group *g = mr_group_at(gs, key.group, true);
    if (!g)
        return mr_fail(err, MR_MEMORY, "no memory for group '%.*s'", MR_SLICE_ARG(key.group));
    return key.kind == MR_STORED_GROUP ? keep_group(g, r, err) : keep_offset(g, h, &key, r, err);
}

static void take_marker(void *owner, int32_t partition, int64_t producer, bool commit)
{
    mr_group_txn_decided(owner, partition, producer, commit);
}

/* Members as they stood in the record; all that fits into memory or nothing. */
static bool make_members(struct mr_group *g, const struct mr_stored_group_value *v)
{
    for (int32_t i = 0; i < v->members_count; i++) {
        const struct mr_stored_group_value_member *from = &v->members[i];
        struct mr_group_protocol offer = {v->protocol.p ? v->protocol : MR_SLICE(""), from->subscription};
        struct mr_member_wants wants = {
            .id = from->member_id,
            .instance = from->group_instance_id,
            .client_id = from->client_id,
            .client_host = from->client_host,
            .session_ms = from->session_timeout > 0 ? from->session_timeout : 1,
            .rebalance_ms = from->rebalance_timeout > 0 ? from->rebalance_timeout : from->session_timeout,
            .protocols = &offer,
            .protocol_count = 1,
        };
        if (mr_group_member_get(g, wants.id) ||
            (wants.instance.p && mr_map_get(&g->by_instance, wants.instance)))
            continue; /* not from us; the first one counts */
        struct mr_group_member *m = mr_group_member_add(g, &wants);
        if (!m || !(m->assignment = mr_group_copy(g->groups, from->assignment)).p)
            return false;
        if (v->leader.p && mr_slice_eq(v->leader, from->member_id))
            g->leader = m;
    }
    return true;
}

static mr_code restore(struct mr_group *g, struct mr_heap_arena *arena, struct mr_err *err)
{
    struct mr_stored_group_value v;
    mr_code rc = mr_stored_group_read(g->loaded, &arena->arena, &v, err);
    if (rc)
        return rc;
    g->generation = v.generation > 0 ? v.generation : 0;
    g->protocol_type = mr_strndup(v.protocol_type.p, v.protocol_type.len);
    if (v.protocol.p && v.members_count > 0)
        g->protocol = mr_strndup(v.protocol.p, v.protocol.len);
    if (!g->protocol_type || !make_members(g, &v)) {
        while (g->first)
            mr_group_member_remove(g->first, MR_REFUSE_UNKNOWN_MEMBER);
        return mr_fail(err, MR_MEMORY, "no memory");
    }
    if (v.state_timestamp >= 0)
        g->state_ms = v.state_timestamp;
    mr_replay_seen(&g->groups->replay, v.state_timestamp);
    mr_group_loaded(g);
    return MR_OK;
}

/* Offsets in topics that went while nobody looked. */
static void forget_gone_topics(struct mr_groups *gs, struct mr_group *g)
{
    for (uint32_t i = 0; i < g->offsets.topic_count;) {
        const struct mr_offset_topic *t = g->offsets.topics[i];
        if (mr_broker_topic(gs->broker, mr_slice_of(t->name))) {
            i++;
            continue;
        }
        char name[MR_TOPIC_NAME_MAX + 1];
        (void)snprintf(name, sizeof name, "%s", t->name);
        mr_group_topic_deleted(g, mr_slice_of(name)); /* settles later, or now */
        if (i < g->offsets.topic_count && g->offsets.topics[i] == t)
            i++;
    }
}

static void restore_or_tell(struct mr_group *g, struct mr_heap_arena *arena)
{
    struct mr_err err = {0};
    if (g->loaded.p && restore(g, arena, &err))
        mr_groups_tell(g->groups, MR_ERROR,
                       "group '%.*s' cannot be restored, its members are to join again: %s",
                       MR_SLICE_ARG(g->id), err.text);
    mr_group_drop(g->groups, &g->loaded);
    mr_heap_arena_reset(arena);
}

static void partition_ready(void *owner, int32_t partition)
{
    struct mr_groups *gs = owner;
    struct mr_heap_arena arena;
    struct mr_slice id;
    void *p;
    mr_heap_arena_init(&arena, 64 << 10, 1 << 20, ARENA_BYTES);
    for (size_t i = 0; mr_map_next(&gs->groups, &i, &id, &p);) {
        struct mr_group *g = p;
        if (g->partition != partition)
            continue;
        restore_or_tell(g, &arena);
        g->tickets++; /* it stays while we look at it */
        forget_gone_topics(gs, g);
        g->tickets--;
        if (mr_group_is_idle(g))
            mr_group_free(g);
    }
    mr_heap_arena_fini(&arena);
}

static void partition_forget(void *owner, int32_t partition)
{
    struct mr_groups *gs = owner;
    struct mr_slice id;
    void *p;
    for (size_t i = 0; mr_map_next(&gs->groups, &i, &id, &p);)
        if (((struct mr_group *)p)->partition == partition)
            mr_group_free(p);
}

mr_code mr_groups_load(struct mr_groups *gs, struct mr_err *err)
{
    struct mr_replay_config c = {
        .topic = MR_SLICE(MR_OFFSETS_TOPIC),
        .batch_bytes = MR_SLICE("67108864"),
        .batch_bytes_max = MR_GROUP_RECORD_BYTES_MAX,
        .holds = "groups",
        .away_max_ms = mr_groups_settings(gs)->offsets_retention_ms / 2,
        .owner = gs,
        .record = take_record,
        .marker = take_marker,
        .ready = partition_ready,
        .forget = partition_forget,
        .tell = gs->config.tell,
        .tell_arg = gs->config.tell_arg,
    };
    return mr_replay_begin(&gs->replay, gs->world, gs->broker, &c, err);
}
