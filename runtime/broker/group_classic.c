/* group_classic.c - Kafka's classic group protocol: join, sync, heartbeat, leave. States and laws: group.h.
 *
 * Whenever members change, the group is *preparing*: everybody who asks to join waits. When all that are
 * known have asked, or time is over, the next generation is put on disk, and then all are answered at once.
 * So a generation that a member has heard of is never given out again, whatever happens to this process.
 *
 * Answers leave only when the group stands as they say: an answer may close its connection, and that may
 * forget others who wait. Forgetting never takes a member away, so lists may be walked while answering.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "broker/group_inside.h"

enum { UUID_TEXT = 36 };

static void rebalance(struct mr_group *g);
static void complete(struct mr_group *g);

/* ------------------------------------------------------------------ answers */

void mr_group_join_answer(struct mr_join *j, enum mr_refusal why)
{
    j->refusal = why;
    if (why) {
        j->generation = -1;
        j->out_type = j->out_protocol = j->leader = (struct mr_slice){0};
        j->members = NULL;
        j->member_count = 0;
        j->skip_assignment = false;
        if (why != MR_REFUSE_MEMBER_ID_REQUIRED)
            j->out_member = j->at ? j->at->id : j->member;
    }
    if (j->at)
        j->at->join = NULL;
    j->at = NULL;
    j->settled = true;
    if (!j->calling)
        j->done(j);
}

void mr_group_sync_answer(struct mr_sync *s, enum mr_refusal why)
{
    s->refusal = why;
    if (why)
        s->out_type = s->out_protocol = s->assignment = (struct mr_slice){0};
    if (s->at)
        s->at->sync = NULL;
    s->at = NULL;
    s->settled = true;
    if (!s->calling)
        s->done(s);
}

/* All members as the leader is told them; NULL: no memory. */
static const struct mr_group_member_view *list_members(struct mr_group *g, const char *protocol)
{
    struct mr_groups *gs = g->groups;
    if (gs->scratch_room < g->count) {
        size_t room = g->count + g->count / 2 + 4;
        void *p = mr_realloc(gs->scratch, room * sizeof *gs->scratch);
        if (!p)
            return NULL;
        gs->scratch = p;
        gs->scratch_room = room;
    }
    size_t n = 0;
    for (const struct mr_group_member *m = g->first; m; m = m->next)
        mr_group_member_view(m, mr_slice_of(protocol), &gs->scratch[n++]);
    return gs->scratch;
}

/* The present generation, as it concerns one member. */
static void join_answer_present(struct mr_join *j, struct mr_group_member *m, bool with_members)
{
    struct mr_group *g = m->group;
    j->generation = g->generation;
    j->out_type = mr_slice_of(g->protocol_type);
    j->out_protocol = mr_slice_of(g->protocol);
    j->leader = g->leader->id;
    j->out_member = m->id;
    j->members = NULL;
    j->member_count = 0;
    j->skip_assignment = false;
    if (with_members) {
        j->members = list_members(g, g->protocol);
        j->member_count = j->members ? g->count : 0;
        if (!j->members) {
            mr_group_join_answer(j, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
            return;
        }
    }
    mr_group_join_answer(j, MR_REFUSE_NONE);
}

static void sync_answer_present(struct mr_sync *s, const struct mr_group_member *m)
{
    s->out_type = mr_slice_of(m->group->protocol_type);
    s->out_protocol = mr_slice_of(m->group->protocol);
    s->assignment = m->assignment;
    mr_group_sync_answer(s, MR_REFUSE_NONE);
}

void mr_groups_forget_join(struct mr_join *j)
{
    struct mr_group_member *m = j->at;
    if (!m)
        return;
    m->join = NULL;
    j->at = NULL;
    m->fresh = false; /* its client is gone: what is left to it is one session, to come back */
    mr_group_member_alive(m, m->session_ms);
    mr_group_check(m->group);
}

void mr_groups_forget_sync(struct mr_sync *s)
{
    struct mr_group_member *m = s->at;
    if (!m)
        return;
    m->sync = NULL;
    s->at = NULL;
    mr_group_member_alive(m, m->session_ms);
    mr_group_check(m->group);
}

/* ------------------------------------------------------------------ rebalancing */

static mr_ms longest_rebalance(const struct mr_group *g)
{
    mr_ms most = 0;
    for (const struct mr_group_member *m = g->first; m; m = m->next)
        if (m->rebalance_ms > most)
            most = m->rebalance_ms;
    return most;
}

static void ring_in(struct mr_group *g, mr_ms ms)
{
    struct mr_world *w = g->groups->world;
    mr_timer_set(w, &g->timer, mr_now(w) + ms);
}

static void try_complete(struct mr_group *g)
{
    if (g->state == MR_GROUP_PREPARING && !g->initial && !g->storing && g->joined == g->count &&
        g->pending.count == 0)
        complete(g);
}

static void timer_rings(void *arg)
{
    struct mr_group *g = arg;
    if (g->state == MR_GROUP_PREPARING) {
        if (g->initial && g->newcomer && g->initial_left > 0) {
            mr_ms more = mr_groups_settings(g->groups)->group_initial_rebalance_delay_ms;
            if (more > g->initial_left)
                more = g->initial_left;
            g->initial_left -= more;
            g->newcomer = false;
            ring_in(g, more);
        } else {
            complete(g);
        }
    } else if (g->unsynced) { /* who has not asked for its assignment by now is out */
        for (struct mr_group_member *m = g->first, *next; m; m = next) {
            next = m->next;
            if (!m->synced)
                mr_group_member_remove(m, MR_REFUSE_UNKNOWN_MEMBER);
        }
        rebalance(g);
    }
    mr_group_check(g);
}

static void want_in(struct mr_group_member *m)
{
    if (!m->joined) {
        m->joined = true;
        m->group->joined++;
    }
    m->group->stale = true;
}

/* Members have changed. */
static void rebalance(struct mr_group *g)
{
    if (g->state != MR_GROUP_PREPARING) {
        mr_ms delay = mr_groups_settings(g->groups)->group_initial_rebalance_delay_ms;
        g->initial = g->state == MR_GROUP_EMPTY;
        g->newcomer = false;
        g->storing = NULL; /* an assignment on its way to the disk is out of date */
        mr_group_state_set(g, MR_GROUP_PREPARING);
        mr_ms longest = longest_rebalance(g);
        g->initial_left = longest > delay ? longest - delay : 0;
        g->timer.fire = timer_rings;
        g->timer.arg = g;
        ring_in(g, g->initial ? delay : longest);
        for (struct mr_group_member *m = g->first; m; m = m->next) {
            mr_group_drop(g->groups, &m->proposed);
            if (m->join)
                want_in(m);
        }
        for (struct mr_group_member *m = g->first; m; m = m->next)
            if (m->sync)
                mr_group_sync_answer(m->sync, MR_REFUSE_REBALANCE_IN_PROGRESS);
    }
    try_complete(g);
}

static void become_empty(struct mr_group *g)
{
    mr_timer_stop(g->groups->world, &g->timer);
    g->generation++;
    g->leader = NULL;
    g->unsynced = 0;
    mr_free(g->protocol);
    g->protocol = NULL;
    mr_group_state_set(g, MR_GROUP_EMPTY);
    /* If it fails, the next start finds members that do not come back: the same, a session later. */
    (void)mr_group_store(g, MR_TICKET_EMPTY, g->generation, NULL, NULL, false, (struct mr_slice){0});
}

/* Joining is over for this generation: who is not here is out, but for static members. */
static void complete(struct mr_group *g)
{
    for (struct mr_group_member *m = g->first, *next; m; m = next) {
        next = m->next;
        if (!m->joined && !m->instance.p)
            mr_group_member_remove(m, MR_REFUSE_UNKNOWN_MEMBER);
    }
    g->initial = false;
    if (!g->count) {
        become_empty(g);
        return;
    }
    if (!g->joined) { /* all are static and away: their sessions decide */
        ring_in(g, longest_rebalance(g));
        return;
    }
    mr_timer_stop(g->groups->world, &g->timer);
    if (!g->leader || !g->leader->joined)
        for (g->leader = g->first; !g->leader->joined; g->leader = g->leader->next)
            ;
    g->stale = false;
    if (!mr_group_store(g, MR_TICKET_GENERATION, g->generation + 1, mr_group_choose(g), NULL, false,
                        (struct mr_slice){0}))
        mr_group_stored_generation(g, false);
}

/* Nobody knows what the disk has: all are to come again. */
static void refuse_joins(struct mr_group *g)
{
    g->joined = 0;
    ring_in(g, longest_rebalance(g));
    for (struct mr_group_member *m = g->first; m; m = m->next) {
        m->joined = m->fresh = false;
        mr_group_member_alive(m, m->session_ms);
    }
    for (struct mr_group_member *m = g->first; m; m = m->next)
        if (m->join)
            mr_group_join_answer(m->join, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
}

void mr_group_stored_generation(struct mr_group *g, bool ok)
{
    mr_assert(g->state == MR_GROUP_PREPARING);
    const char *choice = ok && !g->stale ? mr_group_choose(g) : NULL;
    char *protocol = choice ? mr_strndup(choice, strlen(choice)) : NULL;
    if (ok && g->stale) {
        complete(g); /* this number was given to nobody: it is used again */
        return;
    }
    if (!protocol || !list_members(g, protocol)) { /* so that there is room when it is needed */
        mr_free(protocol);
        refuse_joins(g);
        return;
    }
    mr_free(g->protocol);
    g->protocol = protocol;
    g->generation++; /* G3: it is on disk */
    mr_group_state_set(g, MR_GROUP_COMPLETING);
    g->joined = 0;
    g->unsynced = g->count;
    ring_in(g, longest_rebalance(g));
    for (struct mr_group_member *m = g->first; m; m = m->next) {
        m->joined = m->fresh = m->synced = false;
        mr_group_drop(g->groups, &m->assignment);
        mr_group_member_alive(m, m->session_ms);
    }
    for (struct mr_group_member *m = g->first; m; m = m->next)
        if (m->join)
            join_answer_present(m->join, m, m == g->leader);
}

/* ------------------------------------------------------------------ joining */

static enum mr_refusal missing(enum mr_refusal why)
{
    return why ? why : MR_REFUSE_UNKNOWN_MEMBER;
}

static bool fresh_id(struct mr_groups *gs, struct mr_slice prefix, struct mr_buf *out)
{
    uint64_t r[2] = {mr_random(gs->world), mr_random(gs->world)};
    return mr_buf_put(out, prefix.p, prefix.len) &&
           mr_buf_printf(out, "-%08x-%04x-4%03x-%04x-%012llx", (unsigned)(r[0] >> 32),
                         (unsigned)(r[0] >> 16 & 0xffff), (unsigned)(r[0] & 0xfff),
                         (unsigned)(0x8000 | (r[1] >> 48 & 0x3fff)),
                         (unsigned long long)(r[1] & 0xffffffffffff));
}

static void park_join(struct mr_group_member *m, struct mr_join *j)
{
    if (m->join)
        mr_group_join_answer(m->join,
                             MR_REFUSE_REBALANCE_IN_PROGRESS); /* it has asked again, on another line */
    m->join = j;
    j->at = m;
}

static void join_rebalance(struct mr_group_member *m, struct mr_join *j)
{
    park_join(m, j);
    want_in(m);
    rebalance(m->group);
}

static void join_new(struct mr_group *g, struct mr_join *j, struct mr_slice id)
{
    struct mr_member_wants wants = {
        .id = id,
        .instance = j->instance,
        .client_id = j->client_id,
        .client_host = j->client_host,
        .session_ms = j->session_ms,
        .rebalance_ms = j->rebalance_ms,
        .protocols = j->protocols,
        .protocol_count = j->protocol_count,
    };
    if (g->state == MR_GROUP_EMPTY) {
        char *type = mr_strndup(j->protocol_type.p, j->protocol_type.len);
        if (!type) {
            mr_group_join_answer(j, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
            return;
        }
        mr_free(g->protocol_type);
        g->protocol_type = type;
    }
    struct mr_group_member *m = mr_group_member_add(g, &wants);
    if (!m) {
        mr_group_join_answer(j, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    (void)mr_group_pending_remove(g, id);
    m->fresh = true;
    mr_group_member_alive(m, g->groups->config.new_member_ms);
    if (g->state == MR_GROUP_PREPARING && g->initial)
        g->newcomer = true;
    join_rebalance(m, j);
}

static bool member_update(struct mr_group_member *m, const struct mr_join *j)
{
    if (!mr_group_member_offer(m, j->protocols, j->protocol_count))
        return false;
    m->session_ms = j->session_ms;
    m->rebalance_ms = j->rebalance_ms;
    mr_group_member_alive(m, m->session_ms);
    return true;
}

/* A static member has been started anew, or a second one was started with its name: who comes later holds the
 * place. */
static void join_replace(struct mr_group *g, struct mr_group_member *m, struct mr_join *j, struct mr_slice id)
{
    if (m->join)
        mr_group_join_answer(m->join, MR_REFUSE_FENCED_INSTANCE);
    if (m->sync)
        mr_group_sync_answer(m->sync, MR_REFUSE_FENCED_INSTANCE);
    if (!mr_group_member_rename(m, id) || !member_update(m, j)) {
        mr_group_join_answer(j, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    g->stale = true;
    if (g->state == MR_GROUP_STABLE && strcmp(mr_group_choose(g), g->protocol) == 0) {
        park_join(m, j); /* no rebalance: it gets the assignment of its predecessor */
        if (!mr_group_store(g, MR_TICKET_REPLACEMENT, g->generation, g->protocol, g->leader, false, m->id))
            mr_group_join_answer(j, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    join_rebalance(m, j);
}

void mr_group_stored_replacement(struct mr_group *g, struct mr_slice member, bool ok)
{
    struct mr_group_member *m = mr_group_member_get(g, member);
    struct mr_join *j = m ? m->join : NULL;
    if (!j || g->state != MR_GROUP_STABLE)
        return; /* replaced again, gone, or waiting for the next generation by now */
    if (!ok) {
        mr_group_join_answer(j, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    bool leads = m == g->leader;
    struct mr_slice former = m->former;
    if (leads && j->skips) {
        j->members = list_members(g, g->protocol);
        j->member_count = j->members ? g->count : 0;
    }
    j->generation = g->generation;
    j->out_type = mr_slice_of(g->protocol_type);
    j->out_protocol = mr_slice_of(g->protocol);
    j->out_member = m->id;
    /* Who does not know of skipping must not take itself for the leader, or it would assign anew. */
    j->leader = leads && !j->skips ? former : g->leader->id;
    j->skip_assignment = leads && j->skips;
    mr_group_join_answer(j, MR_REFUSE_NONE);
}

/* A member that we know, or that says so. */
static void join_again(struct mr_group *g, struct mr_join *j)
{
    struct mr_group_member *m;
    if (!j->instance.p && mr_map_get(&g->pending, j->member)) {
        join_new(g, j, j->member);
        return;
    }
    enum mr_refusal why = mr_group_member_check(g, j->member, j->instance, &m);
    if (!why && g->state == MR_GROUP_EMPTY)
        why = MR_REFUSE_UNKNOWN_MEMBER;
    if (why) {
        mr_group_join_answer(j, why);
        return;
    }
    bool same = mr_group_member_offers(m, j->protocols, j->protocol_count);
    mr_group_member_alive(m, m->session_ms);
    if (same && (g->state == MR_GROUP_COMPLETING || (g->state == MR_GROUP_STABLE && m != g->leader))) {
        join_answer_present(j, m, m == g->leader); /* it has not heard the answer */
        return;
    }
    if (!member_update(m, j)) {
        mr_group_join_answer(j, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    join_rebalance(m, j);
}

/* A member without an id. */
static void join_first(struct mr_group *g, struct mr_join *j)
{
    struct mr_groups *gs = g->groups;
    struct mr_buf id = {0};
    if (!fresh_id(gs, j->instance.p ? j->instance : j->client_id, &id)) {
        mr_buf_fini(&id);
        mr_group_join_answer(j, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    struct mr_slice text = {id.p, id.len};
    struct mr_group_member *known = j->instance.p ? mr_map_get(&g->by_instance, j->instance) : NULL;
    if (known) {
        join_replace(g, known, j, text);
    } else if (!j->instance.p && j->needs_id) {
        j->out_member = mr_group_pending_add(g, text, j->session_ms);
        mr_group_join_answer(j, j->out_member.p ? MR_REFUSE_MEMBER_ID_REQUIRED
                                                : MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
    } else {
        join_new(g, j, text);
    }
    mr_buf_fini(&id);
}

/* Bytes for who joins, at most: twice the names, for an id that is given and one that is replaced. */
static enum mr_refusal has_bytes(const struct mr_group *g, const struct mr_join *j)
{
    size_t bytes = 0;
    for (size_t i = 0; i < j->protocol_count; i++)
        bytes += j->protocols[i].name.len + j->protocols[i].metadata.len;
    const struct mr_group_member *m =
        j->instance.p ? mr_map_get(&g->by_instance, j->instance) : mr_group_member_get(g, j->member);
    size_t had = m ? m->protocol_bytes : 0;
    if (bytes <= had)
        return MR_REFUSE_NONE;
    if (g->bytes - had + bytes > MR_GROUP_BYTES_MAX)
        return MR_REFUSE_GROUP_FULL;
    bytes += 2 * (j->member.len + j->instance.len + j->client_id.len) + j->client_host.len +
             sizeof(struct mr_group_member);
    return mr_groups_room(g->groups, bytes - had, m != NULL) ? MR_REFUSE_NONE
                                                             : MR_REFUSE_COORDINATOR_NOT_AVAILABLE;
}

static bool has_place(const struct mr_group *g, const struct mr_join *j)
{
    if (mr_map_get(&g->by_id, j->member) || (j->instance.p && mr_map_get(&g->by_instance, j->instance)))
        return true;
    bool pends = mr_map_get(&g->pending, j->member) != NULL;
    return (int64_t)(g->count + g->pending.count - pends) < mr_groups_settings(g->groups)->group_max_size;
}

static enum mr_refusal join_check(const struct mr_groups *gs, const struct mr_join *j)
{
    const struct mr_node_settings *s = mr_groups_settings(gs);
    if (j->group.len == 0 || j->group.len > MR_GROUP_ID_BYTES_MAX)
        return MR_REFUSE_INVALID_GROUP_ID;
    if (j->session_ms < s->group_min_session_timeout_ms || j->session_ms > s->group_max_session_timeout_ms)
        return MR_REFUSE_INVALID_SESSION_TIMEOUT;
    /* room for what fresh_id adds */
    if (j->member.len > MR_GROUP_ID_BYTES_MAX + UUID_TEXT + 1 || j->instance.len > MR_GROUP_ID_BYTES_MAX ||
        j->client_id.len > MR_GROUP_ID_BYTES_MAX)
        return MR_REFUSE_INVALID_REQUEST;
    return MR_REFUSE_NONE;
}

bool mr_groups_join(struct mr_groups *gs, struct mr_join *j)
{
    enum mr_refusal why = join_check(gs, j);
    struct mr_group *g = NULL;
    j->at = NULL;
    j->settled = false;
    j->calling = true;
    j->out_member = j->member;
    if (!why && !(g = mr_group_find(gs, j->group, j->member.len == 0, &why)))
        why = missing(why);
    if (!why && g->state == MR_GROUP_DEAD)
        why = MR_REFUSE_COORDINATOR_NOT_AVAILABLE;
    if (!why && !has_place(g, j))
        why = MR_REFUSE_GROUP_FULL;
    if (!why)
        why = has_bytes(g, j);
    if (!why && !mr_group_fits(g, j))
        why = MR_REFUSE_INCONSISTENT_PROTOCOL;
    if (why)
        mr_group_join_answer(j, why);
    else if (j->member.len)
        join_again(g, j);
    else
        join_first(g, j);
    if (g)
        mr_group_check(g);
    if (g && mr_group_is_idle(g))
        mr_group_free(g);
    j->calling = false;
    return j->settled;
}

/* ------------------------------------------------------------------ members that are there */

enum mr_refusal mr_group_member_check(struct mr_group *g, struct mr_slice member, struct mr_slice instance,
                                      struct mr_group_member **out)
{
    struct mr_group_member *m =
        instance.p ? mr_map_get(&g->by_instance, instance) : mr_group_member_get(g, member);
    *out = m;
    if (!m)
        return MR_REFUSE_UNKNOWN_MEMBER;
    return mr_slice_eq(m->id, member) ? MR_REFUSE_NONE : MR_REFUSE_FENCED_INSTANCE;
}

static enum mr_refusal present(struct mr_groups *gs, struct mr_slice group, int32_t generation,
                               struct mr_slice member, struct mr_slice instance, struct mr_group_member **out)
{
    enum mr_refusal why = MR_REFUSE_NONE;
    if (group.len == 0)
        return MR_REFUSE_INVALID_GROUP_ID;
    struct mr_group *g = mr_group_find(gs, group, false, &why);
    if (!g)
        return missing(why);
    if (g->state == MR_GROUP_DEAD)
        return MR_REFUSE_COORDINATOR_NOT_AVAILABLE;
    if ((why = mr_group_member_check(g, member, instance, out)))
        return why;
    return generation == g->generation ? MR_REFUSE_NONE : MR_REFUSE_ILLEGAL_GENERATION;
}

enum mr_refusal mr_groups_heartbeat(struct mr_groups *gs, struct mr_slice group, int32_t generation,
                                    struct mr_slice member, struct mr_slice instance)
{
    struct mr_group_member *m;
    enum mr_refusal why = present(gs, group, generation, member, instance, &m);
    if (why)
        return why;
    mr_group_member_alive(m, m->session_ms);
    return m->group->state == MR_GROUP_PREPARING ? MR_REFUSE_REBALANCE_IN_PROGRESS : MR_REFUSE_NONE;
}

/* What the leader says, member by member; not theirs before it is durable. */
static bool propose(struct mr_group *g, const struct mr_sync *s)
{
    struct mr_group_member *m;
    size_t bytes = 0;
    for (size_t i = 0; i < s->assignment_count; i++) {
        bytes += s->assignments[i].assignment.len;
        if (bytes > MR_GROUP_BYTES_MAX || !mr_groups_room(g->groups, s->assignments[i].assignment.len, true))
            return false;
        m = mr_group_member_get(g, s->assignments[i].member);
        if (!m)
            continue;
        mr_group_drop(g->groups, &m->proposed);
        m->proposed = mr_group_copy(g->groups, s->assignments[i].assignment);
        if (!m->proposed.p)
            return false;
    }
    for (m = g->first; m; m = m->next)
        if (!m->proposed.p && !(m->proposed = mr_group_copy(g->groups, MR_SLICE(""))).p)
            return false;
    return mr_group_store(g, MR_TICKET_ASSIGNMENT, g->generation, g->protocol, g->leader, true,
                          (struct mr_slice){0});
}

void mr_group_stored_assignment(struct mr_group *g, int32_t generation, bool ok)
{
    mr_assert(g->state == MR_GROUP_COMPLETING && g->generation == generation);
    if (!ok) {
        for (struct mr_group_member *m = g->first; m; m = m->next)
            if (m->sync)
                mr_group_sync_answer(m->sync, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
        rebalance(g);
        return;
    }
    mr_group_state_set(g, MR_GROUP_STABLE);
    if (!g->unsynced)
        mr_timer_stop(g->groups->world, &g->timer);
    for (struct mr_group_member *m = g->first; m; m = m->next) {
        mr_group_drop(g->groups, &m->assignment);
        m->assignment = m->proposed;
        m->proposed = (struct mr_slice){0};
    }
    for (struct mr_group_member *m = g->first; m; m = m->next)
        if (m->sync) {
            mr_group_member_alive(m, m->session_ms);
            sync_answer_present(m->sync, m);
        }
}

static enum mr_refusal sync_check(struct mr_groups *gs, const struct mr_sync *s, struct mr_group_member **out)
{
    enum mr_refusal why = present(gs, s->group, s->generation, s->member, s->instance, out);
    if (why)
        return why;
    const struct mr_group *g = (*out)->group;
    if (s->protocol_type.p && !mr_slice_eq(s->protocol_type, mr_slice_of(g->protocol_type)))
        return MR_REFUSE_INCONSISTENT_PROTOCOL;
    if (s->protocol.p && g->protocol && !mr_slice_eq(s->protocol, mr_slice_of(g->protocol)))
        return MR_REFUSE_INCONSISTENT_PROTOCOL;
    return g->state == MR_GROUP_PREPARING ? MR_REFUSE_REBALANCE_IN_PROGRESS : MR_REFUSE_NONE;
}

bool mr_groups_sync(struct mr_groups *gs, struct mr_sync *s)
{
    struct mr_group_member *m = NULL;
    s->at = NULL;
    s->settled = false;
    s->calling = true;
    enum mr_refusal why = sync_check(gs, s, &m);
    if (why) {
        mr_group_sync_answer(s, why);
        s->calling = false;
        return true;
    }
    struct mr_group *g = m->group;
    mr_group_member_alive(m, m->session_ms);
    if (!m->synced) {
        m->synced = true;
        if (--g->unsynced == 0 && g->state == MR_GROUP_STABLE)
            mr_timer_stop(gs->world, &g->timer);
    }
    if (g->state == MR_GROUP_STABLE) {
        sync_answer_present(s, m);
    } else {
        if (m->sync)
            mr_group_sync_answer(m->sync, MR_REFUSE_REBALANCE_IN_PROGRESS);
        m->sync = s;
        s->at = m;
        if (m == g->leader && !g->storing && !propose(g, s)) {
            mr_group_sync_answer(s, MR_REFUSE_TOO_LARGE);
            for (m = g->first; m; m = m->next)
                mr_group_drop(g->groups, &m->proposed);
        }
    }
    mr_group_check(g);
    s->calling = false;
    return s->settled;
}

/* ------------------------------------------------------------------ leaving */

static void left(struct mr_group *g)
{
    if (g->state == MR_GROUP_PREPARING)
        try_complete(g);
    else if (g->state != MR_GROUP_EMPTY && g->state != MR_GROUP_DEAD)
        rebalance(g);
    mr_group_check(g);
}

void mr_group_member_died(struct mr_group_member *m)
{
    struct mr_group *g = m->group;
    mr_group_member_remove(m, MR_REFUSE_UNKNOWN_MEMBER);
    left(g);
}

void mr_group_pending_died(struct mr_group *g)
{
    if (g->state == MR_GROUP_PREPARING)
        try_complete(g);
    mr_group_check(g);
    if (mr_group_is_idle(g))
        mr_group_free(g);
}

enum mr_refusal mr_groups_leave_check(struct mr_groups *gs, struct mr_slice group)
{
    enum mr_refusal why = MR_REFUSE_NONE;
    if (group.len == 0)
        return MR_REFUSE_INVALID_GROUP_ID;
    const struct mr_group *g = mr_group_find(gs, group, false, &why);
    return g && g->state == MR_GROUP_DEAD ? MR_REFUSE_COORDINATOR_NOT_AVAILABLE : why;
}

enum mr_refusal mr_groups_leave(struct mr_groups *gs, struct mr_slice group, struct mr_slice member,
                                struct mr_slice instance)
{
    enum mr_refusal why = MR_REFUSE_NONE;
    struct mr_group_member *m;
    struct mr_group *g = mr_group_find(gs, group, false, &why);
    if (!g)
        return missing(why);
    if (!instance.p && mr_group_pending_remove(g, member)) {
        mr_group_pending_died(g);
        return MR_REFUSE_NONE;
    }
    if (instance.p && member.len == 0) /* an administrator who knows the name alone */
        why = (m = mr_map_get(&g->by_instance, instance)) ? MR_REFUSE_NONE : MR_REFUSE_UNKNOWN_MEMBER;
    else
        why = mr_group_member_check(g, member, instance, &m);
    if (why)
        return why;
    mr_group_member_remove(m, MR_REFUSE_UNKNOWN_MEMBER);
    left(g);
    return MR_REFUSE_NONE;
}

/* ------------------------------------------------------------------ after a restart */

/* A group whose leader is not known was being rebalanced when the node stopped: its members are to join
 * again. */
void mr_group_loaded(struct mr_group *g)
{
    for (struct mr_group_member *m = g->first; m; m = m->next)
        mr_group_member_alive(m, m->session_ms);
    if (g->count && g->leader && g->protocol) {
        g->state = MR_GROUP_STABLE;
        for (struct mr_group_member *m = g->first; m; m = m->next)
            m->synced = true;
    } else if (g->count) {
        g->state = MR_GROUP_PREPARING;
        g->timer.fire = timer_rings;
        g->timer.arg = g;
        ring_in(g, longest_rebalance(g));
    }
    mr_group_check(g);
}
