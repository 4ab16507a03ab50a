/* group_offsets.c - committed offsets: committed, read, deleted, expired.
 *
 * Who may commit is the only thing here that asks about members; what is committed is the business of
 * offsets.h, and how it becomes durable that of group_store.c.
 */
#include "base/arena.h"
#include "base/assert.h"
#include "base/map.h"
#include "base/mem.h"
#include "broker/group_inside.h"

enum {
    EXPIRED_A_TICKET = 10000,
    LOOKED_A_TURN = 200000,
    EXPIRY_TURN_MS = 20,
    SUBSCRIPTION_MAX = 3,    /* newest version known; newer ones are read as that */
    SUBSCRIBED_MAX = 1000000 /* topics of one group */
};

/* ------------------------------------------------------------------ tickets with rows */

/* Rows into one block, with their texts behind them. */
bool mr_group_ticket_rows(struct mr_group_ticket *t, const struct mr_ticket_row *rows, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += rows[i].topic.len + rows[i].metadata.len;
    t->rows = mr_alloc(count * sizeof *t->rows + bytes + 1);
    if (!t->rows)
        return false;
    char *at = (char *)(t->rows + count);
    for (size_t i = 0; i < count; i++) {
        t->rows[i] = rows[i];
        struct mr_slice *texts[2] = {&t->rows[i].topic, &t->rows[i].metadata};
        for (int k = 0; k < 2; k++) {
            if (texts[k]->len)
                memcpy(at, texts[k]->p, texts[k]->len);
            texts[k]->p = at;
            at += texts[k]->len;
        }
    }
    t->row_count = count;
    t->row_bytes = count * sizeof *t->rows + bytes + 1;
    t->groups->bytes += t->row_bytes;
    return true;
}

static bool build_rows(const struct mr_group_ticket *t, bool with_group, struct mr_buf *out)
{
    const struct mr_group *g = t->group;
    int64_t now = mr_groups_time(g->groups);
    struct mr_record_build b;
    bool txn = t->kind == MR_TICKET_TXN_OFFSETS;
    mr_record_build_begin(&b, out);
    if (txn)
        b.attributes = MR_BATCH_TRANSACTIONAL;
    bool ok = true;
    for (size_t i = 0; ok && i < t->row_count; i++) {
        const struct mr_ticket_row *r = &t->rows[i];
        ok = mr_stored_offset_add(&b, now, g->id, r->topic, r->entry.partition, r->remove ? NULL : &r->entry,
                                  r->metadata);
    }
    if (ok && with_group)
        ok = mr_stored_group_add(&b, now, g->id, NULL);
    if (ok && mr_record_build_end(&b, MR_CODEC_NONE, txn ? t->producer : -1,
                                  txn ? t->producer_epoch : (int16_t)-1, -1, NULL) == MR_OK)
        return true;
    mr_buf_fini(out);
    return false;
}

/* A ticket that is ready to be sent, and its batch; c: of offsets in a transaction. NULL: no memory. */
static struct mr_group_ticket *prepare(struct mr_group *g, enum mr_ticket_kind kind,
                                       const struct mr_ticket_row *rows, size_t count,
                                       const struct mr_commit *c, struct mr_buf *batch)
{
    struct mr_group_ticket *t = mr_group_ticket_new(g, kind);
    if (!t)
        return NULL;
    if (kind == MR_TICKET_TXN_OFFSETS) {
        t->producer = c->producer;
        t->producer_epoch = c->producer_epoch;
    }
    if (mr_group_ticket_rows(t, rows, count) && build_rows(t, kind == MR_TICKET_DELETE, batch))
        return t;
    mr_group_ticket_free(t);
    return NULL;
}

bool mr_group_offset_set(struct mr_group *g, struct mr_slice topic, const struct mr_offset_entry *entry,
                         struct mr_slice metadata)
{
    g->groups->offsets -= g->offsets.count;
    g->groups->bytes -= g->offsets.bytes;
    bool ok = mr_offsets_set(&g->offsets, topic, entry, metadata);
    g->groups->offsets += g->offsets.count;
    g->groups->bytes += g->offsets.bytes;
    return ok;
}

void mr_group_offset_remove(struct mr_group *g, struct mr_slice topic, int32_t partition)
{
    g->groups->offsets -= g->offsets.count;
    g->groups->bytes -= g->offsets.bytes;
    (void)mr_offsets_remove(&g->offsets, topic, partition);
    g->groups->offsets += g->offsets.count;
    g->groups->bytes += g->offsets.bytes;
}

void mr_group_offsets_apply(struct mr_group_ticket *t)
{
    struct mr_group *g = t->group;
    for (size_t i = 0; i < t->row_count; i++) {
        const struct mr_ticket_row *r = &t->rows[i];
        bool ok = true;
        if (r->remove)
            mr_group_offset_remove(g, r->topic, r->entry.partition);
        else
            ok = mr_group_offset_set(g, r->topic, &r->entry, r->metadata);
        if (!ok && t->commit) /* the disk has it; memory will when it is committed again */
            t->commit->rows[r->from].refusal = MR_REFUSE_COORDINATOR_NOT_AVAILABLE;
    }
}

void mr_group_offsets_settled(struct mr_group_ticket *t, bool ok)
{
    struct mr_group *g = t->group;
    struct mr_commit *c = t->commit;
    struct mr_group_delete *d = t->delete;
    enum mr_refusal why = t->produce.refusal == MR_REFUSE_TOO_LARGE ? MR_REFUSE_INVALID_COMMIT_SIZE
                                                                    : MR_REFUSE_COORDINATOR_NOT_AVAILABLE;
    struct mr_commit_row *rows = c ? c->rows : d ? d->rows : NULL;
    bool calling = t->calling;
    for (size_t i = 0; ok && i < t->row_count; i++)
        t->rows[i].entry.at = t->produce.base_offset + (int64_t)i;
    if (ok)
        mr_group_offsets_apply(t);
    for (size_t i = 0; !ok && rows && i < t->row_count; i++)
        rows[t->rows[i].from].refusal = why;
    mr_group_check(g);
    mr_group_ticket_free(t); /* c->ticket and d->ticket are NULL now */
    if (mr_group_is_idle(g))
        mr_group_free(g);
    if (calling)
        return;
    if (c)
        c->done(c);
    if (d)
        d->done(d);
}

/* ------------------------------------------------------------------ committing */

static enum mr_refusal may_commit(struct mr_groups *gs, const struct mr_commit *c, struct mr_group **out)
{
    enum mr_refusal why;
    struct mr_group_member *m = NULL;
    *out = NULL;
    if (c->group.len > MR_GROUP_ID_BYTES_MAX)
        return MR_REFUSE_INVALID_GROUP_ID;
    struct mr_group *g = *out = mr_group_find(gs, c->group, c->generation < 0, &why);
    if (!g)
        return why ? why : c->names_missing ? MR_REFUSE_GROUP_NOT_FOUND : MR_REFUSE_ILLEGAL_GENERATION;
    if (g->state == MR_GROUP_DEAD)
        return MR_REFUSE_COORDINATOR_NOT_AVAILABLE;
    if (c->generation < 0 && g->state == MR_GROUP_EMPTY)
        return MR_REFUSE_NONE; /* somebody who uses the group for its offsets alone */
    if (c->generation < 0 && c->member.len == 0 && !c->instance.p)
        return c->transactional ? MR_REFUSE_NONE
                                : MR_REFUSE_UNKNOWN_MEMBER; /* the producer is fenced instead */
    if ((why = mr_group_member_check(g, c->member, c->instance, &m)))
        return why;
    if (c->generation != g->generation)
        return MR_REFUSE_ILLEGAL_GENERATION;
    if (g->state == MR_GROUP_COMPLETING && !c->transactional)
        return MR_REFUSE_REBALANCE_IN_PROGRESS;
    mr_group_member_alive(m, m->session_ms);
    return MR_REFUSE_NONE;
}

static enum mr_refusal row_check(const struct mr_group *g, const struct mr_commit_row *r, size_t more,
                                 size_t bytes)
{
    struct mr_groups *gs = g->groups;
    if ((int64_t)r->metadata.len > mr_groups_settings(gs)->offset_metadata_max_bytes)
        return MR_REFUSE_METADATA_TOO_LARGE;
    if (gs->offsets + more >= gs->config.offsets_max && !mr_offsets_get(&g->offsets, r->topic, r->partition))
        return MR_REFUSE_INVALID_COMMIT_SIZE;
    return mr_groups_room(gs, bytes, false) ? MR_REFUSE_NONE : MR_REFUSE_INVALID_COMMIT_SIZE;
}

static bool settle_rows(struct mr_commit *c, enum mr_refusal why)
{
    for (size_t i = 0; i < c->row_count; i++)
        if (!c->rows[i].refusal)
            c->rows[i].refusal = why;
    return true;
}

/* The rows that pass; NULL: no memory. */
static struct mr_ticket_row *choose_rows(const struct mr_group *g, struct mr_commit *c, size_t *count)
{
    int64_t now = mr_groups_time(g->groups);
    struct mr_ticket_row *rows = mr_alloc((c->row_count + 1) * sizeof *rows);
    size_t bytes = 0; /* on their way, and then kept */
    *count = 0;
    for (size_t i = 0; rows && i < c->row_count; i++) {
        struct mr_commit_row *from = &c->rows[i];
        size_t more = sizeof *rows + from->topic.len + 2 * from->metadata.len;
        if (!from->refusal)
            from->refusal = row_check(g, from, *count, bytes + more);
        if (from->refusal)
            continue;
        bytes += more;
        rows[(*count)++] = (struct mr_ticket_row){
            .topic = from->topic,
            .metadata = from->metadata,
            .entry = {.partition = from->partition,
                      .offset = from->offset,
                      .leader_epoch = from->leader_epoch,
                      .commit_ms = now,
                      .expire_ms = c->retention_ms >= 0 ? now + c->retention_ms : -1},
            .from = i,
        };
    }
    return rows;
}

bool mr_groups_commit(struct mr_groups *gs, struct mr_commit *c)
{
    struct mr_group *g;
    struct mr_buf batch = {0};
    size_t count;
    c->ticket = NULL;
    enum mr_refusal why = may_commit(gs, c, &g);
    if (why)
        return settle_rows(c, why);
    struct mr_ticket_row *rows = choose_rows(g, c, &count);
    struct mr_group_ticket *t = NULL;
    if (rows && count)
        t = prepare(g, c->transactional ? MR_TICKET_TXN_OFFSETS : MR_TICKET_OFFSETS, rows, count, c, &batch);
    bool memory = rows && (t || !count);
    mr_free(rows);
    if (!t) {
        if (mr_group_is_idle(g))
            mr_group_free(g);
        return settle_rows(c, memory ? MR_REFUSE_NONE : MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
    }
    t->commit = c;
    t->calling = true;
    c->ticket = t;
    mr_group_ticket_send(t, &batch);
    if (!c->ticket)
        return true;
    c->ticket->calling = false;
    return false;
}

void mr_groups_forget_commit(struct mr_commit *c)
{
    if (c->ticket)
        c->ticket->commit = NULL;
    c->ticket = NULL;
}

/* ------------------------------------------------------------------ reading */

enum mr_refusal mr_groups_fetch_check(struct mr_groups *gs, struct mr_slice group)
{
    enum mr_refusal why;
    (void)mr_group_find(gs, group, false, &why);
    return why;
}

static void committed(struct mr_slice topic, const struct mr_offset_entry *e, struct mr_committed *out)
{
    *out = (struct mr_committed){
        .topic = topic,
        .partition = e->partition,
        .leader_epoch = e->leader_epoch,
        .offset = e->offset,
        .metadata = {e->metadata ? e->metadata : "", e->metadata_len},
    };
}

bool mr_groups_committed(struct mr_groups *gs, struct mr_slice group, struct mr_slice topic,
                         int32_t partition, struct mr_committed *out)
{
    enum mr_refusal why;
    const struct mr_group *g = mr_group_find(gs, group, false, &why);
    const struct mr_offset_entry *e = g ? mr_offsets_get(&g->offsets, topic, partition) : NULL;
    if (e)
        committed(topic, e, out);
    return e != NULL;
}

bool mr_groups_committed_next(struct mr_groups *gs, struct mr_slice group, struct mr_committed_walk *walk,
                              struct mr_committed *out)
{
    enum mr_refusal why;
    const struct mr_group *g = mr_group_find(gs, group, false, &why);
    if (!g || walk->topic >= g->offsets.topic_count)
        return false;
    const struct mr_offset_topic *t = g->offsets.topics[walk->topic];
    committed(mr_slice_of(t->name), &t->v[walk->entry], out);
    if (++walk->entry == t->count) {
        walk->entry = 0;
        walk->topic++;
    }
    return true;
}

size_t mr_groups_committed_count(struct mr_groups *gs, struct mr_slice group)
{
    enum mr_refusal why;
    const struct mr_group *g = mr_group_find(gs, group, false, &why);
    return g ? g->offsets.count : 0;
}

/* ------------------------------------------------------------------ who is subscribed to what */

static bool subscribed_by(const struct mr_group_member *m, const char *protocol, struct mr_heap_arena *arena,
                          struct mr_map *topics)
{
    struct mr_group_member_view v;
    struct mr_consumer_subscription s;
    mr_group_member_view(m, mr_slice_of(protocol), &v);
    if (v.metadata.len < 2)
        return false;
    int16_t version = (int16_t)((unsigned)(uint8_t)v.metadata.p[0] << 8 | (uint8_t)v.metadata.p[1]);
    struct mr_slice in = {v.metadata.p + 2, v.metadata.len - 2};
    if (version > SUBSCRIPTION_MAX)
        version = SUBSCRIPTION_MAX;
    bool ok = version >= 0 && mr_consumer_subscription_read(&in, version, &arena->arena, &s, NULL) == MR_OK;
    for (int32_t i = 0; ok && i < s.topics_count; i++)
        ok = mr_map_put(topics, s.topics[i], topics, NULL);
    mr_heap_arena_reset(arena);
    return ok;
}

/* false: members speak of something else than topics, or nobody can read what they say: take it for all. */
static bool subscribed(const struct mr_group *g, struct mr_map *topics)
{
    struct mr_heap_arena arena;
    bool ok = g->count == 0 || (g->protocol && !strcmp(g->protocol_type, "consumer"));
    mr_map_init(topics, SUBSCRIBED_MAX);
    mr_heap_arena_init(&arena, 16 << 10, 64 << 10, MR_GROUP_BYTES_MAX * 4);
    for (const struct mr_group_member *m = g->first; ok && m; m = m->next)
        ok = subscribed_by(m, g->protocol, &arena, topics);
    mr_heap_arena_fini(&arena);
    return ok;
}

/* ------------------------------------------------------------------ deleting */

/* Tombstones of everything, and of the group. NULL: no memory. */
static struct mr_group_ticket *delete_ticket(struct mr_group *g, struct mr_buf *batch)
{
    struct mr_ticket_row *rows = mr_alloc((g->offsets.count + 1) * sizeof *rows);
    size_t n = 0;
    for (uint32_t i = 0; rows && i < g->offsets.topic_count; i++) {
        const struct mr_offset_topic *t = g->offsets.topics[i];
        for (uint32_t k = 0; k < t->count; k++)
            rows[n++] = (struct mr_ticket_row){
                .topic = mr_slice_of(t->name), .entry = {.partition = t->v[k].partition}, .remove = true};
    }
    struct mr_group_ticket *t = rows ? prepare(g, MR_TICKET_DELETE, rows, n, NULL, batch) : NULL;
    mr_free(rows);
    return t;
}

void mr_group_delete_settled(struct mr_group_ticket *t, bool ok)
{
    struct mr_group *g = t->group;
    struct mr_group_delete *d = t->delete;
    bool calling = t->calling;
    mr_group_ticket_free(t);
    if (ok)
        mr_group_free(g); /* a dead group takes no new tickets, and older ones have settled */
    else
        g->state = MR_GROUP_EMPTY;
    if (!d)
        return;
    d->refusal = ok ? MR_REFUSE_NONE : MR_REFUSE_COORDINATOR_NOT_AVAILABLE;
    if (!calling)
        d->done(d);
}

static bool send_delete(struct mr_group_delete *d, struct mr_group_ticket *t, struct mr_buf *batch)
{
    t->delete = d;
    t->calling = true;
    d->ticket = t;
    mr_group_ticket_send(t, batch);
    if (!d->ticket)
        return true;
    d->ticket->calling = false;
    return false;
}

static bool delete_whole(struct mr_group *g, struct mr_group_delete *d)
{
    struct mr_buf batch = {0};
    if (g->state == MR_GROUP_DEAD)
        d->refusal = MR_REFUSE_GROUP_NOT_FOUND;
    else if (g->state != MR_GROUP_EMPTY)
        d->refusal = MR_REFUSE_NON_EMPTY_GROUP;
    if (d->refusal)
        return true;
    struct mr_group_ticket *t = delete_ticket(g, &batch);
    if (!t) {
        d->refusal = MR_REFUSE_COORDINATOR_NOT_AVAILABLE;
        return true;
    }
    g->state = MR_GROUP_DEAD;
    return send_delete(d, t, &batch);
}

static bool delete_rows(struct mr_group *g, struct mr_group_delete *d)
{
    struct mr_map topics;
    struct mr_buf batch = {0};
    size_t count = 0;
    bool known = subscribed(g, &topics);
    if (g->state == MR_GROUP_DEAD)
        d->refusal = MR_REFUSE_GROUP_NOT_FOUND;
    else if (g->count && strcmp(g->protocol_type, "consumer") != 0)
        d->refusal = MR_REFUSE_NON_EMPTY_GROUP;
    struct mr_ticket_row *rows = d->refusal ? NULL : mr_alloc((d->row_count + 1) * sizeof *rows);
    for (size_t i = 0; rows && i < d->row_count; i++) {
        struct mr_commit_row *r = &d->rows[i];
        if (!r->refusal && (!known || mr_map_get(&topics, r->topic)))
            r->refusal = MR_REFUSE_GROUP_SUBSCRIBED;
        if (!r->refusal && mr_offsets_get(&g->offsets, r->topic, r->partition))
            rows[count++] = (struct mr_ticket_row){
                .topic = r->topic, .entry = {.partition = r->partition}, .remove = true, .from = i};
    }
    mr_map_fini(&topics, NULL);
    struct mr_group_ticket *t = count ? prepare(g, MR_TICKET_OFFSETS, rows, count, NULL, &batch) : NULL;
    if (!d->refusal && (!rows || (count && !t)))
        d->refusal = MR_REFUSE_COORDINATOR_NOT_AVAILABLE;
    mr_free(rows);
    return t ? send_delete(d, t, &batch) : true;
}

bool mr_groups_delete(struct mr_groups *gs, struct mr_group_delete *d)
{
    struct mr_group *g;
    d->ticket = NULL;
    d->refusal = MR_REFUSE_NONE;
    if (d->group.len == 0) {
        d->refusal = MR_REFUSE_INVALID_GROUP_ID;
        return true;
    }
    g = mr_group_find(gs, d->group, false, &d->refusal);
    if (!g) {
        if (!d->refusal)
            d->refusal = MR_REFUSE_GROUP_NOT_FOUND;
        return true;
    }
    return d->rows ? delete_rows(g, d) : delete_whole(g, d);
}

void mr_groups_forget_delete(struct mr_group_delete *d)
{
    if (d->ticket)
        d->ticket->delete = NULL;
    d->ticket = NULL;
}

/* ------------------------------------------------------------------ expiry */

/* Removes the rows that `gone` says, a ticket at a time. Nobody waits. */
static void remove_some(struct mr_group *g,
                        bool (*gone)(const void *rule, const struct mr_offset_topic *t,
                                     const struct mr_offset_entry *e),
                        const void *rule)
{
    struct mr_ticket_row *rows = NULL;
    size_t n = 0;
    for (uint32_t i = 0; i < g->offsets.topic_count; i++) {
        const struct mr_offset_topic *t = g->offsets.topics[i];
        for (uint32_t k = 0; k < t->count && n < EXPIRED_A_TICKET; k++) {
            if (!gone(rule, t, &t->v[k]))
                continue;
            if (!rows && !(rows = mr_alloc(EXPIRED_A_TICKET * sizeof *rows)))
                return; /* next time */
            rows[n++] = (struct mr_ticket_row){
                .topic = mr_slice_of(t->name), .entry = {.partition = t->v[k].partition}, .remove = true};
        }
    }
    struct mr_buf batch = {0};
    struct mr_group_ticket *t = n ? prepare(g, MR_TICKET_OFFSETS, rows, n, NULL, &batch) : NULL;
    mr_free(rows);
    if (t)
        mr_group_ticket_send(t, &batch);
}

struct age_rule {
    const struct mr_group *group;
    const struct mr_map *topics; /* subscribed; NULL: look at all topics */
    int64_t now, keep;
};

static bool is_old(const void *arg, const struct mr_offset_topic *t, const struct mr_offset_entry *e)
{
    const struct age_rule *r = arg;
    int64_t from = e->commit_ms;
    if (r->topics && mr_map_get(r->topics, mr_slice_of(t->name)))
        return false;
    if (e->expire_ms >= 0)
        return r->now >= e->expire_ms;
    /* While there were members the offset was in use, whenever it was committed. */
    if (r->group->protocol_type && r->group->state == MR_GROUP_EMPTY && r->group->state_ms > from)
        from = r->group->state_ms;
    return r->keep >= 0 && r->now - from >= r->keep;
}

static void expire(struct mr_group *g)
{
    struct mr_groups *gs = g->groups;
    struct age_rule rule = {
        .group = g, .now = mr_groups_time(gs), .keep = mr_groups_settings(gs)->offsets_retention_ms};
    struct mr_map topics;
    if (g->tickets)
        return; /* in use, or being deleted */
    if (g->state == MR_GROUP_EMPTY) {
        if (g->offsets.count) {
            remove_some(g, is_old, &rule);
        } else if (g->pending.count == 0) { /* nothing left but a generation */
            struct mr_buf batch = {0};
            struct mr_group_ticket *t = delete_ticket(g, &batch);
            if (t) {
                g->state = MR_GROUP_DEAD;
                mr_group_ticket_send(t, &batch);
            }
        }
    } else if (g->state == MR_GROUP_STABLE) {
        if (subscribed(g, &topics)) {
            rule.topics = &topics;
            remove_some(g, is_old, &rule);
        }
        mr_map_fini(&topics, NULL);
    }
}

/* Not of a partition that is being read. */
static bool is_ready(const struct mr_group *g)
{
    return mr_replay_check(&g->groups->replay, g->partition) == MR_REFUSE_NONE;
}

void mr_groups_expire(void *arg)
{
    struct mr_groups *gs = arg;
    struct mr_slice id;
    void *g;
    uint64_t looked = 0; /* there may be millions of offsets: a few at a turn */
    while (!mr_replay_loading(&gs->replay) && looked < LOOKED_A_TURN) {
        if (!mr_map_next(&gs->groups, &gs->expiry_at, &id, &g)) {
            gs->expiry_at = 0;
            break;
        }
        looked += 100 + ((const struct mr_group *)g)->offsets.count;
        if (is_ready(g))
            expire(g);
    }
    if (gs->expiry_at > 0) {
        mr_timer_set(gs->world, &gs->expiry, mr_now(gs->world) + EXPIRY_TURN_MS);
        return;
    }
    mr_timer_set(gs->world, &gs->expiry,
                 mr_now(gs->world) + mr_groups_settings(gs)->offsets_retention_check_interval_ms);
}

static bool is_of_topic(const void *arg, const struct mr_offset_topic *t, const struct mr_offset_entry *e)
{
    (void)e;
    return t == arg;
}

/* Our own topic: with it goes all that we know. */
static void forget_all(struct mr_groups *gs)
{
    struct mr_slice id;
    void *g;
    mr_replay_end(&gs->replay);
    for (size_t i = 0; mr_map_next(&gs->groups, &i, &id, &g);)
        mr_group_free(g);
}

void mr_group_topic_deleted(struct mr_group *g, struct mr_slice topic)
{
    const struct mr_offset_topic *t = mr_offsets_topic(&g->offsets, topic);
    if (t && g->state != MR_GROUP_DEAD)
        remove_some(g, is_of_topic, t);
}

void mr_groups_topic_deleted(struct mr_groups *gs, struct mr_slice topic)
{
    struct mr_slice id;
    void *g;
    if (mr_slice_eq(topic, MR_SLICE(MR_OFFSETS_TOPIC))) {
        forget_all(gs);
        return;
    }
    for (size_t i = 0; mr_map_next(&gs->groups, &i, &id, &g);)
        if (is_ready(g)) /* else the end of reading looks for it */
            mr_group_topic_deleted(g, topic);
}
