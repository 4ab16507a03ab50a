/* group_member.c - members of a group: made, found, dying; pending ids; which protocol has the votes.
 *
 * A heartbeat only moves a deadline; the timer, which rings at the deadline that was known when it was set,
 * looks and goes to sleep again. So a heartbeat costs a look-up and no more.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "broker/group_inside.h"

/* ------------------------------------------------------------------ votes */

static struct mr_vote *vote_find(const struct mr_group *g, struct mr_slice name)
{
    for (uint32_t i = 0; i < g->vote_count; i++)
        if (mr_slice_eq(mr_slice_of(g->votes[i].name), name))
            return &g->votes[i];
    return NULL;
}

static void votes_take(struct mr_group *g, const struct mr_group_protocol *p, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct mr_vote *v = vote_find(g, p[i].name);
        mr_assert(v && v->members > 0); /* G7 */
        if (--v->members == 0) {
            mr_free(v->name);
            *v = g->votes[--g->vote_count];
        }
    }
}

static bool vote_give(struct mr_group *g, struct mr_slice name)
{
    struct mr_vote *v = vote_find(g, name);
    if (!v) {
        if (g->vote_count == g->vote_room) {
            uint32_t room = g->vote_room ? g->vote_room * 2 : 4;
            struct mr_vote *grown = mr_realloc(g->votes, room * sizeof *grown);
            if (!grown)
                return false;
            g->votes = grown;
            g->vote_room = room;
        }
        v = &g->votes[g->vote_count];
        *v = (struct mr_vote){.name = mr_strndup(name.p, name.len)};
        if (!v->name)
            return false;
        g->vote_count++;
    }
    v->members++;
    return true;
}

static bool votes_give(struct mr_group *g, const struct mr_group_protocol *p, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!vote_give(g, p[i].name)) {
            votes_take(g, p, i);
            return false;
        }
    return true;
}

bool mr_group_fits(const struct mr_group *g, const struct mr_join *j)
{
    if (j->protocol_type.len == 0 || j->protocol_count == 0 || j->protocol_count > MR_GROUP_PROTOCOLS_MAX)
        return false;
    if (g->state == MR_GROUP_EMPTY)
        return true;
    if (!g->protocol_type || !mr_slice_eq(mr_slice_of(g->protocol_type), j->protocol_type))
        return false;
    for (size_t i = 0; i < j->protocol_count; i++) {
        const struct mr_vote *v = vote_find(g, j->protocols[i].name);
        if ((v ? v->members : 0) == g->count)
            return true;
    }
    return false;
}

/* Each member votes for the one it prefers among those that all speak; of equals the one that an older member
 * prefers wins. */
const char *mr_group_choose(const struct mr_group *g)
{
    const struct mr_vote *best = NULL;
    for (uint32_t i = 0; i < g->vote_count; i++)
        g->votes[i].got = 0;
    for (int pass = 0; pass < 2; pass++) /* count, then look who has most */
        for (const struct mr_group_member *m = g->first; m; m = m->next)
            for (size_t i = 0; i < m->protocol_count; i++) {
                struct mr_vote *v = vote_find(g, m->protocols[i].name);
                if (v->members != g->count)
                    continue;
                if (pass == 0)
                    v->got++;
                else if (!best || v->got > best->got)
                    best = v;
                break;
            }
    mr_assert(best || !g->count); /* G7: mr_group_fits lets nobody in who has no word in common */
    return best ? best->name : NULL;
}

/* ------------------------------------------------------------------ what a member offers */

/* One block: the array, then names and metadata. */
static struct mr_group_protocol *protocols_copy(const struct mr_group_protocol *p, size_t count,
                                                size_t *bytes)
{
    size_t need = 0;
    for (size_t i = 0; i < count; i++)
        need += p[i].name.len + p[i].metadata.len;
    struct mr_group_protocol *copy = mr_alloc(count * sizeof *copy + need + 1);
    if (!copy)
        return NULL;
    char *at = (char *)(copy + count);
    for (size_t i = 0; i < count; i++) {
        const struct mr_slice from[2] = {p[i].name, p[i].metadata};
        struct mr_slice to[2];
        for (int k = 0; k < 2; k++) {
            if (from[k].len)
                memcpy(at, from[k].p, from[k].len);
            to[k] = (struct mr_slice){at, from[k].len};
            at += from[k].len;
        }
        copy[i] = (struct mr_group_protocol){to[0], to[1]};
    }
    *bytes = need;
    return copy;
}

bool mr_group_member_offer(struct mr_group_member *m, const struct mr_group_protocol *p, size_t count)
{
    size_t bytes;
    struct mr_group_protocol *copy = protocols_copy(p, count, &bytes);
    if (!copy)
        return false;
    if (!votes_give(m->group, copy, count)) {
        mr_free(copy);
        return false;
    }
    votes_take(m->group, m->protocols, m->protocol_count);
    mr_free(m->protocols);
    m->group->bytes += bytes;
    m->group->bytes -= m->protocol_bytes;
    m->group->groups->bytes += bytes;
    m->group->groups->bytes -= m->protocol_bytes;
    m->protocols = copy;
    m->protocol_count = count;
    m->protocol_bytes = bytes;
    return true;
}

bool mr_group_member_offers(const struct mr_group_member *m, const struct mr_group_protocol *p, size_t count)
{
    if (m->protocol_count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!mr_slice_eq(m->protocols[i].name, p[i].name) ||
            !mr_slice_eq(m->protocols[i].metadata, p[i].metadata))
            return false;
    return true;
}

const struct mr_group_protocol *mr_group_member_speaks(const struct mr_group_member *m,
                                                       struct mr_slice protocol)
{
    for (size_t i = 0; i < m->protocol_count; i++)
        if (mr_slice_eq(m->protocols[i].name, protocol))
            return &m->protocols[i];
    return NULL;
}

void mr_group_member_view(const struct mr_group_member *m, struct mr_slice protocol,
                          struct mr_group_member_view *out)
{
    const struct mr_group_protocol *p = mr_group_member_speaks(m, protocol);
    *out = (struct mr_group_member_view){
        .id = m->id,
        .instance = m->instance,
        .client_id = m->client_id,
        .client_host = m->client_host,
        .metadata = p ? p->metadata : MR_SLICE(""),
        .assignment = m->assignment,
    };
}

/* ------------------------------------------------------------------ clocks */

static bool waits(const struct mr_group_member *m)
{
    return (m->join && !m->fresh) || m->sync;
}

static void rings(void *arg)
{
    struct mr_group_member *m = arg;
    struct mr_world *w = m->group->groups->world;
    mr_ms now = mr_now(w);
    if (waits(m)) /* it cannot speak before it is answered */
        m->deadline = now + m->session_ms;
    if (now < m->deadline)
        mr_timer_set(w, &m->timer, m->deadline);
    else
        mr_group_member_died(m);
}

void mr_group_member_alive(struct mr_group_member *m, mr_ms for_ms)
{
    struct mr_world *w = m->group->groups->world;
    bool armed = m->deadline > 0;
    mr_ms before = m->timer.at, to = mr_now(w) + for_ms;
    m->deadline = to;
    if (!armed || to < before)
        mr_timer_set(w, &m->timer, to);
}

/* ------------------------------------------------------------------ coming and going */

struct mr_group_member *mr_group_member_get(const struct mr_group *g, struct mr_slice id)
{
    return mr_map_get(&g->by_id, id);
}

static void member_free(struct mr_group_member *m)
{
    struct mr_groups *gs = m->group->groups;
    mr_group_drop(gs, &m->id);
    mr_group_drop(gs, &m->instance);
    mr_group_drop(gs, &m->client_id);
    mr_group_drop(gs, &m->client_host);
    mr_group_drop(gs, &m->assignment);
    mr_group_drop(gs, &m->proposed);
    mr_group_drop(gs, &m->former);
    gs->bytes -= sizeof *m + m->protocol_bytes;
    mr_free(m->protocols);
    mr_free(m);
}

struct mr_group_member *mr_group_member_add(struct mr_group *g, const struct mr_member_wants *w)
{
    struct mr_group_member *m = mr_alloc(sizeof *m);
    if (!m)
        return NULL;
    m->group = g;
    g->groups->bytes += sizeof *m;
    m->id = mr_group_copy(g->groups, w->id);
    m->client_id = mr_group_copy(g->groups, w->client_id);
    m->client_host = mr_group_copy(g->groups, w->client_host);
    if (w->instance.p)
        m->instance = mr_group_copy(g->groups, w->instance);
    m->session_ms = w->session_ms;
    m->rebalance_ms = w->rebalance_ms;
    m->timer = (struct mr_timer){.fire = rings, .arg = m};
    if (!m->id.p || !m->client_id.p || !m->client_host.p || (w->instance.p && !m->instance.p) ||
        !mr_map_put(&g->by_id, m->id, m, NULL)) {
        member_free(m);
        return NULL;
    }
    if (m->instance.p && !mr_map_put(&g->by_instance, m->instance, m, NULL)) {
        mr_map_remove(&g->by_id, m->id);
        member_free(m);
        return NULL;
    }
    if (!mr_group_member_offer(m, w->protocols, w->protocol_count)) {
        mr_map_remove(&g->by_id, m->id);
        if (m->instance.p)
            mr_map_remove(&g->by_instance, m->instance);
        member_free(m);
        return NULL;
    }
    m->link = g->last;
    *g->last = m;
    g->last = &m->next;
    g->count++;
    if (g->state != MR_GROUP_EMPTY && g->state != MR_GROUP_PREPARING)
        g->unsynced++;
    return m;
}

void mr_group_member_remove(struct mr_group_member *m, enum mr_refusal why)
{
    struct mr_group *g = m->group;
    if (m->join)
        mr_group_join_answer(m->join, why);
    if (m->sync)
        mr_group_sync_answer(m->sync, why);
    mr_timer_stop(g->groups->world, &m->timer);
    mr_map_remove(&g->by_id, m->id);
    if (m->instance.p)
        mr_map_remove(&g->by_instance, m->instance);
    votes_take(g, m->protocols, m->protocol_count);
    g->bytes -= m->protocol_bytes;
    g->joined -= m->joined;
    if ((g->state == MR_GROUP_COMPLETING || g->state == MR_GROUP_STABLE) && !m->synced)
        g->unsynced--;
    *m->link = m->next;
    if (m->next)
        m->next->link = m->link;
    else
        g->last = m->link;
    g->count--;
    if (g->leader == m)
        g->leader = g->first;
    g->stale = true;
    member_free(m);
}

bool mr_group_member_rename(struct mr_group_member *m, struct mr_slice id)
{
    struct mr_group *g = m->group;
    struct mr_slice copy = mr_group_copy(g->groups, id);
    if (!copy.p || !mr_map_put(&g->by_id, copy, m, NULL)) {
        mr_group_drop(g->groups, &copy);
        return false;
    }
    mr_map_remove(&g->by_id, m->id);
    mr_group_drop(g->groups, &m->former);
    m->former = m->id;
    m->id = copy;
    return true;
}

/* ------------------------------------------------------------------ pending ids */

static void pending_free(struct mr_pending *p)
{
    mr_timer_stop(p->group->groups->world, &p->timer);
    mr_map_remove(&p->group->pending, p->id);
    mr_group_drop(p->group->groups, &p->id);
    p->group->groups->bytes -= sizeof *p;
    mr_free(p);
}

static void pending_rings(void *arg)
{
    struct mr_pending *p = arg;
    struct mr_group *g = p->group;
    pending_free(p);
    mr_group_pending_died(g);
}

struct mr_slice mr_group_pending_add(struct mr_group *g, struct mr_slice id, mr_ms for_ms)
{
    struct mr_pending *p = mr_alloc(sizeof *p);
    if (!p)
        return (struct mr_slice){0};
    p->group = g;
    g->groups->bytes += sizeof *p;
    p->id = mr_group_copy(g->groups, id);
    p->timer = (struct mr_timer){.fire = pending_rings, .arg = p};
    if (!p->id.p || !mr_map_put(&g->pending, p->id, p, NULL)) {
        mr_group_drop(g->groups, &p->id);
        g->groups->bytes -= sizeof *p;
        mr_free(p);
        return (struct mr_slice){0};
    }
    mr_timer_set(g->groups->world, &p->timer, mr_now(g->groups->world) + for_ms);
    return p->id;
}

bool mr_group_pending_remove(struct mr_group *g, struct mr_slice id)
{
    struct mr_pending *p = mr_map_get(&g->pending, id);
    if (p)
        pending_free(p);
    return p != NULL;
}
