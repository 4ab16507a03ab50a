/* group_store.c - the topic __consumer_offsets: tickets that write it, and the reader at start.
 *
 * What a ticket changes in memory is changed when its records are durable (O1). Records of one partition
 * become durable in their order, so tickets of one group settle in the order in which they were sent.
 *
 * The reader takes a slice of the topic a turn, so that the shard can do other things in between; who asks
 * for a group meanwhile hears COORDINATOR_LOADING. A record that cannot be read is told and passed over. A
 * partition that cannot be read keeps its groups unavailable: consumers that wait are better off than
 * consumers that start anew.
 */
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "broker/group_inside.h"

enum {
    SLICE_BYTES = 1 << 20,
    READ_BYTES_MAX = MR_GROUP_RECORD_BYTES_MAX + SLICE_BYTES,
    ARENA_BYTES = 256 << 20, /* of one group's members while they are decoded */
};

/* ------------------------------------------------------------------ the topic */

enum mr_refusal mr_groups_prepare(struct mr_groups *gs, struct mr_err *err)
{
    struct mr_setting settings[] = {
        {MR_SLICE("retention.ms"), MR_SLICE("-1")},
        {MR_SLICE("retention.bytes"), MR_SLICE("-1")},
        {MR_SLICE("segment.bytes"), MR_SLICE("104857600")},
        {MR_SLICE("max.message.bytes"), MR_SLICE("67108864")},
        {MR_SLICE("durability"), MR_SLICE("fsync")}, /* whatever the node's default is */
        {MR_SLICE("cleanup.policy"), MR_SLICE("compact")},
    };
    size_t count = sizeof settings / sizeof settings[0];
    const struct mr_topic *t = mr_broker_topic(gs->broker, MR_SLICE(MR_OFFSETS_TOPIC));
    enum mr_refusal why = MR_REFUSE_NONE;
    if (!t) {
        /* Where nothing compacts, nothing must be thrown away either. */
        if (mr_broker_create(gs->broker, MR_SLICE(MR_OFFSETS_TOPIC), gs->config.partitions, settings, count,
                             true, NULL, NULL) == MR_REFUSE_INVALID_CONFIG)
            count--;
        why = mr_broker_create(gs->broker, MR_SLICE(MR_OFFSETS_TOPIC), gs->config.partitions, settings, count,
                               false, &t, err);
    }
    if (t)
        gs->partitions = t->partitions;
    return why;
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
    mr_group_drop(&t->member);
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
        p = mr_broker_partition(gs->broker, mr_broker_topic(gs->broker, MR_SLICE(MR_OFFSETS_TOPIC)),
                                t->group->partition, &why, &err);
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
    if (mr_stored_group_add(&b, mr_groups_wall(g->groups), g->id, v) &&
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
        .state_timestamp = mr_groups_wall(g->groups),
        .members = mr_alloc((g->count + 1) * sizeof *v.members),
    };
    if (!v.members)
        return false;
    for (const struct mr_group_member *m = g->first; m; m = m->next)
        v.members[v.members_count++] = stored_member(m, protocol, proposed);
    bool ok = write_record(g, &v, &batch);
    mr_free(v.members);
    struct mr_group_ticket *t = ok ? mr_group_ticket_new(g, kind) : NULL;
    if (t && member.p && !(t->member = mr_group_copy(member)).p) {
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

struct mr_groups_load {
    struct mr_groups *groups;
    struct mr_timer timer;
    struct mr_parked parked;
    int32_t partition;
    bool begun;
    int64_t at, end; /* offsets */
    uint64_t records, skipped;
    int64_t producer; /* of the transaction that the batch in hand is part of; -1 */
    struct mr_buf bytes, inflated;
};

static mr_code keep_group(struct mr_group *g, const struct mr_record *r, struct mr_err *err)
{
    mr_group_drop(&g->loaded);
    if (r->has_value && !(g->loaded = mr_group_copy(r->value)).p)
        return mr_fail(err, MR_MEMORY, "no memory for group '%.*s'", MR_SLICE_ARG(g->id));
    return MR_OK;
}

static mr_code keep_offset(const struct mr_groups_load *l, struct mr_group *g,
                           const struct mr_stored_key *key, const struct mr_record *r, struct mr_err *err)
{
    struct mr_offset_entry entry;
    struct mr_slice metadata;
    mr_code rc = MR_OK;
    g->groups->offsets -= g->offsets.count;
    if (!r->has_value) {
        (void)mr_offsets_remove(&g->offsets, key->topic, key->partition);
    } else if ((rc = mr_stored_offset_read(r->value, &entry, &metadata, err)) == MR_OK) {
        entry.partition = key->partition;
        entry.at = r->offset;
        if (l->producer >= 0 && !mr_group_hold_loaded(g, l->producer, key->topic, &entry, metadata))
            rc = mr_fail(err, MR_MEMORY, "no memory for the offsets of group '%.*s'", MR_SLICE_ARG(g->id));
        else if (l->producer < 0 && !mr_offsets_set(&g->offsets, key->topic, &entry, metadata))
            rc = mr_fail(err, MR_MEMORY, "no memory for the offsets of group '%.*s'", MR_SLICE_ARG(g->id));
    }
    g->groups->offsets += g->offsets.count;
    return rc;
}

/* Only want of memory ends the reading. */
static mr_code take_record(struct mr_groups_load *l, const struct mr_record *r, struct mr_err *err)
{
    struct mr_groups *gs = l->groups;
    struct mr_stored_key key = {0};
    l->records++;
    mr_code rc =
        r->has_key ? mr_stored_key_read(r->key, &key, err) : mr_fail(err, MR_BADDATA, "it has no key");
    if (rc == MR_OK && key.kind != MR_STORED_OTHER && key.group.len) {
        struct mr_group *g = mr_group_at(gs, key.group, true);
        if (!g)
            rc = mr_fail(err, MR_MEMORY, "no memory for group '%.*s'", MR_SLICE_ARG(key.group));
        else
            rc = key.kind == MR_STORED_GROUP ? keep_group(g, r, err) : keep_offset(l, g, &key, r, err);
    }
    if (rc == MR_OK || rc == MR_MEMORY)
        return rc;
    if (l->skipped++ < 10)
        mr_groups_tell(gs, MR_WARN, MR_OFFSETS_TOPIC "-%d: record at offset %lld is passed over: %s",
                       l->partition, (long long)r->offset, err->text);
    return MR_OK;
}

static mr_code take_batches(struct mr_groups_load *l, struct mr_slice bytes, struct mr_err *err)
{
    while (bytes.len) {
        struct mr_record_walk walk;
        struct mr_record r;
        mr_code rc = mr_record_walk_begin(&walk, bytes, &l->inflated, READ_BYTES_MAX, err);
        if (rc)
            return rc;
        size_t whole = (size_t)walk.head.length + 12;
        if (!mr_batch_crc_ok((struct mr_slice){bytes.p, whole}))
            return mr_fail(err, MR_CORRUPT, "the checksum of the batch there differs");
        bool control = (walk.head.attributes & MR_BATCH_CONTROL) != 0;
        struct mr_marker marker;
        if (control && walk.head.base_offset >= l->at &&
            (rc = mr_record_walk_next(&walk, &r, err)) == MR_OK && mr_marker_read(&r, &marker) == MR_OK)
            mr_groups_transaction_ended(l->groups, l->partition, walk.head.producer_id, marker.commit);
        l->producer = walk.head.attributes & MR_BATCH_TRANSACTIONAL ? walk.head.producer_id : -1;
        while (!control && (rc = mr_record_walk_next(&walk, &r, err)) == MR_OK)
            if (r.offset >= l->at && (rc = take_record(l, &r, err)))
                return rc;
        if (rc && rc != MR_END)
            return rc;
        l->at = walk.head.base_offset + walk.head.last_offset_delta + 1;
        bytes.p += whole;
        bytes.len -= whole;
    }
    return MR_OK;
}

static mr_code take_slice(struct mr_groups_load *l, struct mr_partition *p, struct mr_err *err)
{
    struct mr_log_view view;
    size_t got = 0;
    int64_t before = l->at;
    if (mr_partition_find(p, l->at, SLICE_BYTES, &view, err))
        return err->code ? err->code : MR_CORRUPT;
    if (view.len > READ_BYTES_MAX)
        return mr_fail(err, MR_LIMIT, "a batch has %zu bytes; at most %d are read", view.len, READ_BYTES_MAX);
    l->bytes.len = 0;
    if (!mr_buf_reserve(&l->bytes, view.len))
        return mr_fail(err, MR_MEMORY, "no memory to read %zu bytes", view.len);
    mr_code rc = mr_file_read(view.file, l->bytes.p, view.len, view.at, &got, err);
    if (rc == MR_OK && got < view.len)
        rc = mr_fail(err, MR_CORRUPT, "the log ends before its time");
    if (rc == MR_OK)
        rc = take_batches(l, (struct mr_slice){l->bytes.p, got}, err);
    if (rc == MR_OK && l->at <= before)
        rc = mr_fail(err, MR_CORRUPT, "it does not go on at offset %lld", (long long)before);
    return rc;
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
        if (!m || !(m->assignment = mr_group_copy(from->assignment)).p)
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
    mr_group_loaded(g);
    return MR_OK;
}

/* Offsets in topics that went while nobody looked. */
static void forget_gone_topics(struct mr_groups *gs, const struct mr_group *g)
{
    for (uint32_t i = 0; i < g->offsets.topic_count;) {
        const struct mr_offset_topic *t = g->offsets.topics[i];
        if (mr_broker_topic(gs->broker, mr_slice_of(t->name))) {
            i++;
            continue;
        }
        char name[MR_TOPIC_NAME_MAX + 1];
        (void)snprintf(name, sizeof name, "%s", t->name);
        mr_groups_topic_deleted(gs, mr_slice_of(name)); /* settles later, or now */
        if (i < g->offsets.topic_count && g->offsets.topics[i] == t)
            i++;
    }
}

static void finish(struct mr_groups *gs)
{
    struct mr_heap_arena arena;
    struct mr_slice id;
    struct mr_err err = {0};
    void *p;
    mr_groups_load_end(gs);
    mr_heap_arena_init(&arena, 64 << 10, 1 << 20, ARENA_BYTES);
    for (size_t i = 0; mr_map_next(&gs->groups, &i, &id, &p);) {
        struct mr_group *g = p;
        if (g->loaded.p && restore(g, &arena, &err))
            mr_groups_tell(gs, MR_ERROR, "group '%.*s' cannot be restored, its members are to join again: %s",
                           MR_SLICE_ARG(g->id), err.text);
        mr_group_drop(&g->loaded);
        mr_heap_arena_reset(&arena);
        g->tickets++; /* it stays while we look at it */
        forget_gone_topics(gs, g);
        g->tickets--;
        if (mr_group_is_idle(g))
            mr_group_free(g);
    }
    mr_heap_arena_fini(&arena);
}

static void next_partition(struct mr_groups_load *l)
{
    l->partition++;
    l->begun = false;
}

static void step(void *arg)
{
    struct mr_groups_load *l = arg;
    struct mr_groups *gs = l->groups;
    struct mr_err err = {0};
    enum mr_refusal why;
    const struct mr_topic *t = mr_broker_topic(gs->broker, MR_SLICE(MR_OFFSETS_TOPIC));
    if (!t || l->partition >= t->partitions) {
        finish(gs);
        return;
    }
    struct mr_partition *p = mr_broker_partition(gs->broker, t, l->partition, &why, &err);
    mr_code rc = p ? MR_OK : MR_IO;
    if (p && !l->begun) {
        l->begun = true;
        l->at = mr_partition_start(p);
        l->end = mr_partition_end(p);
    }
    if (p && l->at < l->end && mr_partition_high(p) <= l->at) { /* what is not durable may not come to be */
        l->parked.offset = l->at;
        mr_partition_park(p, &l->parked);
        return;
    }
    if (p && l->at < l->end)
        rc = take_slice(l, p, &err);
    if (rc) {
        mr_groups_tell(gs, MR_ERROR,
                       MR_OFFSETS_TOPIC
                       "-%d cannot be read at offset %lld, its groups stay unavailable: %s; restore "
                       "the partition from a copy, or delete the topic to start with no offsets",
                       l->partition, (long long)l->at, err.text);
        gs->broken[l->partition] = true;
        gs->broken_count++;
    }
    if (rc || l->at >= l->end)
        next_partition(l);
    mr_timer_set(gs->world, &l->timer, mr_now(gs->world));
}

static void woken(struct mr_parked *who)
{
    struct mr_groups_load *l = who->arg;
    if (!who->gone)
        mr_timer_set(l->groups->world, &l->timer, mr_now(l->groups->world));
}

mr_code mr_groups_load_begin(struct mr_groups *gs, struct mr_err *err)
{
    const struct mr_topic *t = mr_broker_topic(gs->broker, MR_SLICE(MR_OFFSETS_TOPIC));
    if (!t)
        return MR_OK;
    gs->partitions = t->partitions;
    gs->broken = mr_alloc((size_t)t->partitions * sizeof *gs->broken);
    struct mr_groups_load *l = gs->broken ? mr_alloc(sizeof *l) : NULL;
    if (!l)
        return mr_fail(err, MR_MEMORY, "no memory to read '" MR_OFFSETS_TOPIC "'");
    l->groups = gs;
    l->timer = (struct mr_timer){.fire = step, .arg = l};
    l->parked = (struct mr_parked){.wake = woken, .arg = l};
    gs->load = l;
    mr_timer_set(gs->world, &l->timer, mr_now(gs->world));
    return MR_OK;
}

void mr_groups_load_end(struct mr_groups *gs)
{
    struct mr_groups_load *l = gs->load;
    if (!l)
        return;
    gs->load = NULL;
    mr_timer_stop(gs->world, &l->timer);
    mr_partition_unpark(&l->parked);
    mr_buf_fini(&l->bytes);
    mr_buf_fini(&l->inflated);
    mr_free(l);
}
