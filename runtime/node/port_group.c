/* port_group.c - members of consumer groups in this process (pipeline/topics.h), onto broker/group.h.
 *
 * A member speaks Kafka's classic protocol with the assignor `range`, so that it shares a group with clients
 * of other makers. All partitions are given back at a rebalance, and given out anew.
 *
 * Words.  The *lane* is the thread that uses the member, the *shard* the one that keeps it in its group. What
 *         the lane knows is the generation of what it was assigned last: a commit carries it, so that one for
 *         partitions that were lost meanwhile is refused, whatever the shard has been through since.
 *
 *   joining --answered--> syncing --assignment--> looking up offsets --none undecided--> held
 *      ^------------------- release, or lost <--- revoking <--rebalance (by heartbeat)--'
 *
 * Laws:  N1 one request of a member is out at a time, or its timer runs
 *        N2 the lane holds partitions only in held and revoking
 *        N3 after leave the lane is told nothing but `left`
 */
#include "node/port_inside.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/map.h"
#include "base/mem.h"

#include <stdlib.h>

enum {
    HEARTBEAT_MS = 300, /* in one process it costs a lookup; a rebalance is noticed as soon as this */
    ASSIGNED_MAX = 100000,
    NULL_BYTES = 4,
};
#define PROTOCOL "range"

enum state { JOINING, SYNCING, LOOKING_UP, HELD, REVOKING, OVER };

struct owned {
    struct mr_slice topic; /* in `assignment` */
    int32_t partition;
};

struct mr_topic_member {
    struct mr_port *port;
    struct mr_world *home;
    void (*assigned)(void *arg, const struct mr_topic_offset *parts, size_t count);
    void (*revoked)(void *arg);
    void (*lost)(void *arg, mr_code rc, const char *why);
    void *arg;
    struct mr_slice group, client, instance; /* [heap] */
    struct mr_slice *topics;
    size_t topic_count;
    /* the lane's */
    bool left, alone; /* alone: the node stops, there is no shard any more */
    int32_t lane_generation;
    /* the shard's */
    struct mr_topic_member *next, **link;
    enum state state;
    struct mr_join join;
    struct mr_sync sync;
    struct mr_timer timer;
    struct mr_slice id; /* [heap] */
    int32_t generation;
    bool leads;
    struct mr_buf subscription, assignment;
    struct mr_buf *plan; /* leader: what each member gets, until it is handed over */
    struct mr_slice *plan_ids;
    size_t plan_count;
    struct owned *owned;
    size_t owned_count;
    int64_t partitions_seen; /* of all topics, when the leader assigned them */
    uint32_t tries;
};

static void begin_join(void *arg);
static void begin_sync(void *arg);
static void look_up(void *arg);
static void heartbeat(void *arg);

/* ------------------------------------------------------------------ telling the lane */

enum told { TOLD_ASSIGNED, TOLD_REVOKED, TOLD_LOST, TOLD_LEFT };

struct news {
    struct mr_topic_member *m;
    enum told kind;
    int32_t generation;
    mr_code rc;
    char why[MR_PORT_WHY];
    void (*left)(void *arg);
    void *arg;
    size_t count;
    struct mr_buf texts; /* of the offsets' topics */
    struct mr_topic_offset offsets[];
};

static void member_free(struct mr_topic_member *m)
{
    mr_free((void *)(uintptr_t)m->group.p);
    mr_free((void *)(uintptr_t)m->client.p);
    mr_free((void *)(uintptr_t)m->instance.p);
    mr_free((void *)(uintptr_t)m->id.p);
    for (size_t i = 0; i < m->topic_count; i++)
        mr_free((void *)(uintptr_t)m->topics[i].p);
    mr_free(m->topics);
    mr_free(m->owned);
    mr_buf_fini(&m->subscription);
    mr_buf_fini(&m->assignment);
    mr_free(m);
}

static void told(void *arg) /* on the lane */
{
    struct news *n = arg;
    struct mr_topic_member *m = n->m;
    bool quiet = m->left && n->kind != TOLD_LEFT; /* N3 */
    m->alone |= n->kind == TOLD_LOST && n->rc == MR_CANCELLED;
    m->lane_generation = n->kind == TOLD_ASSIGNED || n->kind == TOLD_REVOKED ? n->generation : -1;
    if (!quiet)
        switch (n->kind) {
        case TOLD_ASSIGNED:
            m->assigned(m->arg, n->offsets, n->count);
            break;
        case TOLD_REVOKED:
            m->revoked(m->arg);
            break;
        case TOLD_LOST:
            m->lost(m->arg, n->rc, n->why);
            break;
        case TOLD_LEFT:
            n->left(n->arg);
            member_free(m);
            break;
        }
    mr_buf_fini(&n->texts);
    mr_free(n);
}

static struct news *news_new(struct mr_topic_member *m, enum told kind, size_t count)
{
    struct news *n = mr_need(sizeof *n + count * sizeof *n->offsets);
    n->m = m;
    n->kind = kind;
    n->generation = m->generation;
    n->count = count;
    return n;
}

static void tell(struct mr_topic_member *m, enum told kind)
{
    mr_post(m->home, told, news_new(m, kind, 0));
}

static void tell_lost(struct mr_topic_member *m, mr_code rc, const char *why)
{
    struct news *n = news_new(m, TOLD_LOST, 0);
    n->rc = rc;
    (void)snprintf(n->why, sizeof n->why, "group '%.80s': %.150s", m->group.p, why);
    mr_post(m->home, told, n);
}

/* ------------------------------------------------------------------ small things */

static struct mr_world *shard(const struct mr_topic_member *m)
{
    return m->port->node->world;
}

static struct mr_groups *groups(const struct mr_topic_member *m)
{
    return m->port->node->groups;
}

static struct mr_slice instance_of(const struct mr_topic_member *m)
{
    return m->instance.len ? m->instance : (struct mr_slice){NULL, 0};
}

static void then(struct mr_topic_member *m, void (*fn)(void *arg), mr_ms wait)
{
    m->timer.fire = fn;
    m->timer.arg = m;
    mr_timer_set(shard(m), &m->timer, mr_now(shard(m)) + wait);
}

static void set_id(struct mr_topic_member *m, struct mr_slice id)
{
    struct mr_slice was = m->id;
    m->id = mr_port_kept(id); /* it may be a view into the old one */
    mr_free((void *)(uintptr_t)was.p);
}

static void plan_drop(struct mr_topic_member *m)
{
    for (size_t i = 0; i < m->plan_count; i++) {
        mr_buf_fini(&m->plan[i]);
        mr_free((void *)(uintptr_t)m->plan_ids[i].p);
    }
    mr_free(m->plan);
    mr_free(m->plan_ids);
    m->plan = NULL;
    m->plan_ids = NULL;
    m->plan_count = 0;
}

/* It will not be a member any more. */
static void give_up(struct mr_topic_member *m, mr_code rc, const char *why)
{
    mr_timer_stop(shard(m), &m->timer);
    plan_drop(m);
    m->state = OVER;
    tell_lost(m, rc, why);
}

/* ------------------------------------------------------------------ subscriptions and assignments, encoded */

static bool put_be(struct mr_buf *b, uint64_t v, int bytes)
{
    char t[8];
    for (int i = 0; i < bytes; i++)
        t[i] = (char)(v >> (8 * (bytes - 1 - i)));
    return mr_buf_put(b, t, (size_t)bytes);
}

static bool put_string(struct mr_buf *b, struct mr_slice s)
{
    return put_be(b, s.len, 2) && mr_buf_put(b, s.p, s.len);
}

static bool take_be(struct mr_slice *s, int bytes, int64_t *out)
{
    uint64_t v = 0;
    if (s->len < (size_t)bytes)
        return false;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | (unsigned char)s->p[i];
    s->p += bytes;
    s->len -= (size_t)bytes;
    *out = bytes == 2 ? (int16_t)v : bytes == 4 ? (int32_t)v : (int64_t)v;
    return true;
}

static bool take_string(struct mr_slice *s, struct mr_slice *out)
{
    int64_t len;
    if (!take_be(s, 2, &len) || len < 0 || (size_t)len > s->len)
        return false;
    *out = (struct mr_slice){s->p, (size_t)len};
    s->p += len;
    s->len -= (size_t)len;
    return true;
}

static bool write_subscription(struct mr_topic_member *m)
{
    struct mr_buf *b = &m->subscription;
    b->len = 0;
    bool ok = put_be(b, 0, 2) && put_be(b, m->topic_count, 4);
    for (size_t i = 0; ok && i < m->topic_count; i++)
        ok = put_string(b, m->topics[i]);
    return ok && put_be(b, UINT32_MAX, NULL_BYTES); /* no user data */
}

/* ------------------------------------------------------------------ the leader's work */

static int by_id(const void *a, const void *b)
{
    const struct mr_group_member_view *x = a, *y = b;
    size_t n = x->id.len < y->id.len ? x->id.len : y->id.len;
    int c = n ? memcmp(x->id.p, y->id.p, n) : 0;
    return c ? c : (x->id.len > y->id.len) - (x->id.len < y->id.len);
}

/* Does this member want the topic? Another maker's metadata may hold more behind its topics. */
static bool wants(struct mr_slice metadata, struct mr_slice topic)
{
    int64_t version, count;
    struct mr_slice name;
    if (!take_be(&metadata, 2, &version) || !take_be(&metadata, 4, &count))
        return false;
    for (int64_t i = 0; i < count && take_string(&metadata, &name); i++)
        if (mr_slice_eq(name, topic))
            return true;
    return false;
}

static int32_t partitions_of(const struct mr_topic_member *m, struct mr_slice topic)
{
    const struct mr_topic *t = mr_broker_topic(m->port->node->broker, topic);
    return t ? t->partitions : 0;
}

static int64_t partitions_now(const struct mr_topic_member *m)
{
    int64_t n = 0;
    for (size_t i = 0; i < m->topic_count; i++)
        n += partitions_of(m, m->topics[i]);
    return n;
}

/* Kafka's range assignor: the members that want a topic, by id, get its partitions in stretches. */
static bool assign_topic(struct mr_topic_member *m, const struct mr_group_member_view *all, size_t count,
                         struct mr_slice topic, int32_t *topics)
{
    int64_t total = partitions_of(m, topic), takers = 0, at = 0, taker = 0;
    for (size_t i = 0; i < count; i++)
        takers += wants(all[i].metadata, topic);
    for (size_t i = 0; i < count && takers; i++) {
        if (!wants(all[i].metadata, topic))
            continue;
        int64_t share = total / takers + (taker++ < total % takers);
        struct mr_buf *b = &m->plan[i];
        if (!share)
            continue;
        topics[i]++;
        if (!put_string(b, topic) || !put_be(b, (uint64_t)share, 4))
            return false;
        for (int64_t k = 0; k < share; k++)
            if (!put_be(b, (uint64_t)at++, 4))
                return false;
    }
    return true;
}

static bool assign_all(struct mr_topic_member *m, struct mr_group_member_view *all, size_t count,
                       int32_t *topics)
{
    struct mr_map seen;
    bool ok = true;
    mr_map_init(&seen, 0);
    for (size_t i = 0; i < count; i++) {
        m->plan_ids[i] = mr_port_kept(all[i].id);
        m->plan_count = i + 1;
        ok = ok && put_be(&m->plan[i], 0, 2) && put_be(&m->plan[i], 0, 4); /* version; topics, set below */
    }
    for (size_t i = 0; ok && i < count; i++) {
        struct mr_slice rest = all[i].metadata, name;
        int64_t version, n;
        if (!take_be(&rest, 2, &version) || !take_be(&rest, 4, &n))
            continue; /* it gets nothing */
        for (int64_t k = 0; ok && k < n && take_string(&rest, &name); k++) {
            if (mr_map_get(&seen, name))
                continue;
            ok = mr_map_put(&seen, name, m, NULL) && assign_topic(m, all, count, name, topics);
        }
    }
    for (size_t i = 0; ok && i < count; i++) {
        for (int k = 0; k < 4; k++)
            m->plan[i].p[2 + k] = (char)(topics[i] >> (24 - 8 * k));
        ok = put_be(&m->plan[i], UINT32_MAX, NULL_BYTES);
    }
    mr_map_fini(&seen, NULL);
    return ok;
}

static bool lead(struct mr_topic_member *m, const struct mr_group_member_view *members, size_t count)
{
    plan_drop(m);
    struct mr_group_member_view *all = mr_alloc(count * sizeof *all);
    int32_t *topics = mr_alloc(count * sizeof *topics);
    m->plan = mr_alloc(count * sizeof *m->plan);
    m->plan_ids = mr_alloc(count * sizeof *m->plan_ids);
    bool ok = all && topics && m->plan && m->plan_ids;
    if (ok) {
        memcpy(all, members, count * sizeof *all);
        qsort(all, count, sizeof *all, by_id);
        ok = assign_all(m, all, count, topics);
    }
    mr_free(all);
    mr_free(topics);
    if (!ok)
        plan_drop(m);
    return ok;
}

/* ------------------------------------------------------------------ joining */

/* A refusal of join or sync: again, as somebody new, or never. */
static void refused(struct mr_topic_member *m, enum mr_refusal why)
{
    plan_drop(m);
    switch (why) {
    case MR_REFUSE_UNKNOWN_MEMBER:
    case MR_REFUSE_ILLEGAL_GENERATION:
        set_id(m, MR_SLICE(""));
        /* fall through */
    case MR_REFUSE_MEMBER_ID_REQUIRED:
    case MR_REFUSE_REBALANCE_IN_PROGRESS:
    case MR_REFUSE_COORDINATOR_LOADING:
    case MR_REFUSE_COORDINATOR_NOT_AVAILABLE:
    case MR_REFUSE_NOT_COORDINATOR:
        m->state = JOINING;
        then(m, begin_join, MR_PORT_SOON_MS);
        return;
    case MR_REFUSE_INCONSISTENT_PROTOCOL:
        give_up(m, MR_BADCONF, "its members do not know the assignor 'range', or it is not one of consumers");
        return;
    case MR_REFUSE_FENCED_INSTANCE:
        give_up(m, MR_FENCED, mr_refusal_text(why));
        return;
    case MR_REFUSE_GROUP_FULL:
        give_up(m, MR_LIMIT, mr_refusal_text(why));
        return;
    default:
        give_up(m, MR_BADCONF, mr_refusal_text(why));
        return;
    }
}

static void joined(struct mr_join *j)
{
    struct mr_topic_member *m = j->arg;
    if (!j->refusal || j->refusal == MR_REFUSE_MEMBER_ID_REQUIRED)
        set_id(m, j->out_member);
    if (j->refusal) {
        refused(m, j->refusal);
        return;
    }
    m->generation = j->generation;
    m->leads = mr_slice_eq(j->leader, m->id);
    m->partitions_seen = partitions_now(m);
    if (m->leads && !j->skip_assignment && j->member_count && !lead(m, j->members, j->member_count)) {
        refused(m, MR_REFUSE_COORDINATOR_NOT_AVAILABLE); /* no memory just now */
        return;
    }
    m->state = SYNCING;
    then(m, begin_sync, 0); /* not from inside of the group's own call */
}

static void begin_join(void *arg)
{
    struct mr_topic_member *m = arg;
    struct mr_err err = {0};
    m->state = JOINING;
    if (!write_subscription(m) || mr_groups_prepare(groups(m), &err)) {
        then(m, begin_join, MR_PORT_SOON_MS * 10);
        return;
    }
    struct mr_group_protocol range = {MR_SLICE(PROTOCOL), {m->subscription.p, m->subscription.len}};
    m->join = (struct mr_join){
        .group = m->group,
        .member = m->id,
        .instance = instance_of(m),
        .protocol_type = MR_SLICE("consumer"),
        .client_id = m->client,
        .client_host = MR_SLICE("/in-process"),
        .protocols = &range,
        .protocol_count = 1,
        .session_ms = MR_TOPIC_SESSION_MS,
        .rebalance_ms = MR_TOPIC_REBALANCE_MS,
        .skips = true,
        .done = joined,
        .arg = m,
    };
    if (mr_groups_join(groups(m), &m->join))
        joined(&m->join);
}

/* ------------------------------------------------------------------ what it is assigned */

static bool take_assignment(struct mr_topic_member *m, struct mr_slice bytes)
{
    int64_t version, topics, count, partition;
    m->assignment.len = 0;
    m->owned_count = 0;
    if (!mr_buf_put(&m->assignment, bytes.p, bytes.len))
        return false;
    struct mr_slice s = {m->assignment.p, m->assignment.len}, name;
    if (!s.len)
        return true; /* nothing is left for it */
    if (!take_be(&s, 2, &version) || !take_be(&s, 4, &topics))
        return false;
    for (int64_t i = 0; i < topics; i++) {
        if (!take_string(&s, &name) || !take_be(&s, 4, &count))
            return false;
        for (int64_t k = 0; k < count; k++) {
            if (!take_be(&s, 4, &partition) || m->owned_count == ASSIGNED_MAX)
                return false;
            if ((m->owned_count & (m->owned_count - 1)) == 0) {
                size_t room = m->owned_count ? m->owned_count * 2 : 1;
                struct owned *more = mr_realloc(m->owned, room * sizeof *more);
                if (!more)
                    return false;
                m->owned = more;
            }
            m->owned[m->owned_count++] = (struct owned){name, (int32_t)partition};
        }
    }
    return true;
}

static void synced(struct mr_sync *s)
{
    struct mr_topic_member *m = s->arg;
    if (s->refusal) {
        refused(m, s->refusal);
        return;
    }
    plan_drop(m);
    if (!take_assignment(m, s->assignment)) {
        give_up(m, MR_CORRUPT, "the leader's assignment cannot be read");
        return;
    }
    m->state = LOOKING_UP;
    m->tries = 0;
    then(m, look_up, 0);
}

static void begin_sync(void *arg)
{
    struct mr_topic_member *m = arg;
    struct mr_group_assignment *all = NULL;
    if (m->plan_count && !(all = mr_alloc(m->plan_count * sizeof *all))) {
        refused(m, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
        return;
    }
    for (size_t i = 0; i < m->plan_count; i++)
        all[i] = (struct mr_group_assignment){m->plan_ids[i], {m->plan[i].p, m->plan[i].len}};
    m->sync = (struct mr_sync){
        .group = m->group,
        .member = m->id,
        .instance = instance_of(m),
        .generation = m->generation,
        .protocol_type = MR_SLICE("consumer"),
        .protocol = MR_SLICE(PROTOCOL),
        .assignments = all,
        .assignment_count = m->plan_count,
        .done = synced,
        .arg = m,
    };
    bool settled = mr_groups_sync(groups(m), &m->sync);
    mr_free(all);
    if (settled)
        synced(&m->sync);
}

/* false: what it asks for is not how the group stands, and that is being seen to. */
static bool still_there(struct mr_topic_member *m)
{
    enum mr_refusal why = mr_groups_heartbeat(groups(m), m->group, m->generation, m->id, instance_of(m));
    bool holds = m->state == HELD || m->state == REVOKING; /* N2 */
    switch (why) {
    case MR_REFUSE_NONE:
    case MR_REFUSE_COORDINATOR_LOADING:
    case MR_REFUSE_COORDINATOR_NOT_AVAILABLE:
        return true;
    case MR_REFUSE_REBALANCE_IN_PROGRESS:
        if (!holds) {
            refused(m, why);
            return false;
        }
        if (m->state == HELD) {
            m->state = REVOKING;
            tell(m, TOLD_REVOKED);
        }
        return true;
    default:
        if (why == MR_REFUSE_FENCED_INSTANCE) {
            give_up(m, MR_FENCED, mr_refusal_text(why));
            return false;
        }
        if (holds)
            tell_lost(m, MR_GONE, mr_refusal_text(why));
        set_id(m, MR_SLICE(""));
        m->state = JOINING;
        then(m, begin_join, 0);
        return false;
    }
}

static void heartbeat(void *arg)
{
    struct mr_topic_member *m = arg;
    if (!still_there(m))
        return;
    if (m->state == HELD && m->leads && partitions_now(m) != m->partitions_seen) {
        m->state = REVOKING; /* joining again makes the group assign anew */
        tell(m, TOLD_REVOKED);
    }
    then(m, heartbeat, HEARTBEAT_MS);
}

static void look_up(void *arg)
{
    struct mr_topic_member *m = arg;
    if (!still_there(m))
        return;
    for (size_t i = 0; i < m->owned_count; i++)
        if (mr_groups_unstable(groups(m), m->group, m->owned[i].topic, m->owned[i].partition)) {
            then(m, look_up, MR_PORT_SOON_MS); /* M3 */
            return;
        }
    struct news *n = news_new(m, TOLD_ASSIGNED, m->owned_count);
    if (!mr_buf_put(&n->texts, m->assignment.p, m->assignment.len)) {
        mr_free(n);
        then(m, look_up, MR_PORT_SOON_MS);
        return;
    }
    for (size_t i = 0; i < m->owned_count; i++) {
        const struct owned *o = &m->owned[i];
        struct mr_committed at;
        bool any = mr_groups_committed(groups(m), m->group, o->topic, o->partition, &at);
        n->offsets[i] = (struct mr_topic_offset){
            .topic = {n->texts.p + (o->topic.p - m->assignment.p), o->topic.len},
            .partition = o->partition,
            .offset = any ? at.offset : -1,
        };
    }
    m->state = HELD;
    mr_post(m->home, told, n);
    then(m, heartbeat, HEARTBEAT_MS);
}

/* ------------------------------------------------------------------ the lane's calls */

static void forget(struct mr_topic_member *m) /* from here on it is the lane's */
{
    if (!m->link)
        return;
    *m->link = m->next;
    if (m->next)
        m->next->link = m->link;
    m->link = NULL;
}

static void run_join(void *arg)
{
    struct mr_topic_member *m = arg;
    struct mr_port *p = m->port;
    m->next = p->members;
    m->link = &p->members;
    if (m->next)
        m->next->link = &m->next;
    p->members = m;
    if (p->node->closing) {
        forget(m);
        give_up(m, MR_CANCELLED, "the node is stopping");
    } else {
        begin_join(m);
    }
}

struct mr_topic_member *mr_port_join(struct mr_topics *t, struct mr_world *w,
                                     const struct mr_topic_member_config *config)
{
    struct mr_topic_member *m = mr_need(sizeof *m);
    m->port = (struct mr_port *)(void *)t;
    m->home = w;
    m->assigned = config->assigned;
    m->revoked = config->revoked;
    m->lost = config->lost;
    m->arg = config->arg;
    m->group = mr_port_kept(config->group);
    m->client = mr_port_kept(config->client);
    m->instance = mr_port_kept(config->instance);
    m->id = mr_port_kept(MR_SLICE(""));
    m->topics = mr_need(config->topic_count * sizeof *m->topics + 1);
    m->topic_count = config->topic_count;
    for (size_t i = 0; i < m->topic_count; i++)
        m->topics[i] = mr_port_kept(config->topics[i]);
    m->lane_generation = -1;
    mr_post(m->port->node->world, run_join, m);
    return m;
}

static void run_release(void *arg)
{
    struct mr_topic_member *m = arg;
    if (m->state == REVOKING)
        begin_join(m);
}

void mr_port_release(struct mr_topic_member *m)
{
    mr_post(m->port->node->world, run_release, m);
}

static void quit(struct mr_topic_member *m)
{
    if (m->state == OVER)
        return;
    mr_timer_stop(shard(m), &m->timer);
    mr_groups_forget_join(&m->join);
    mr_groups_forget_sync(&m->sync);
    plan_drop(m);
    if (m->id.len)
        (void)mr_groups_leave(groups(m), m->group, m->id, instance_of(m)); /* refused: it is out already */
    m->state = OVER;
}

static void run_leave(void *arg)
{
    struct news *n = arg;
    struct mr_topic_member *m = n->m;
    quit(m);
    forget(m);
    mr_post(m->home, told, n);
}

void mr_port_leave(struct mr_topic_member *m, void (*left)(void *arg), void *arg)
{
    struct news *n = news_new(m, TOLD_LEFT, 0);
    mr_assert(!m->left);
    m->left = true;
    n->left = left;
    n->arg = arg;
    if (m->alone)
        mr_post(m->home, told, n);
    else
        mr_post(m->port->node->world, run_leave, n);
}

struct mr_port_identity mr_port_identity(const struct mr_topic_member *m)
{
    return (struct mr_port_identity){m->group, m->lane_generation};
}

struct mr_slice mr_port_member_id(const struct mr_topic_member *m)
{
    return m->id;
}

struct mr_slice mr_port_member_instance(const struct mr_topic_member *m)
{
    return instance_of(m);
}

/* ------------------------------------------------------------------ commits */

struct commit_call {
    struct commit_call *next, **link; /* under way on the shard */
    struct mr_port *port;
    struct mr_topic_member *m; /* lives longer: leave comes after all commits */
    struct mr_world *home;
    struct mr_commit commit;
    int32_t generation;
    void (*done)(void *arg, mr_code rc, const char *why);
    void *arg;
    mr_code rc;
    char why[MR_PORT_WHY];
};

struct mr_commit_row *mr_port_rows(const struct mr_topic_offset *offsets, size_t count)
{
    size_t texts = 0;
    for (size_t i = 0; i < count; i++)
        texts += offsets[i].topic.len;
    struct mr_commit_row *rows = mr_alloc(count * sizeof *rows + texts + 1);
    if (!rows)
        return NULL;
    char *to = (char *)(rows + count);
    for (size_t i = 0; i < count; i++) {
        rows[i] = (struct mr_commit_row){
            .topic = {to, offsets[i].topic.len},
            .partition = offsets[i].partition,
            .leader_epoch = -1,
            .offset = offsets[i].offset,
            .metadata = MR_SLICE(""),
        };
        memcpy(to, offsets[i].topic.p, offsets[i].topic.len);
        to += offsets[i].topic.len;
    }
    return rows;
}

static void commit_delivered(void *arg) /* on the lane */
{
    struct commit_call *c = arg;
    c->done(c->arg, c->rc, c->why[0] ? c->why : mr_code_text(c->rc));
    mr_free(c->commit.rows);
    mr_free(c);
}

static void commit_settle(struct commit_call *c, mr_code rc, const char *why)
{
    struct mr_node *n = c->port->node;
    c->rc = rc;
    if (rc)
        (void)snprintf(c->why, sizeof c->why, "group '%.80s': cannot commit: %.130s", c->m->group.p, why);
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    c->port->busy--;
    mr_post(c->home, commit_delivered, c); /* the lane frees it */
    mr_node_settle(n);
}

static void committed(struct mr_commit *commit)
{
    struct commit_call *c = commit->arg;
    enum mr_refusal why = MR_REFUSE_NONE;
    for (size_t i = 0; i < commit->row_count && !why; i++)
        why = commit->rows[i].refusal;
    commit_settle(c, mr_port_code(why, MR_OK), mr_refusal_text(why));
}

static void run_commit(void *arg)
{
    struct commit_call *c = arg;
    struct mr_port *p = c->port;
    c->next = p->commits;
    c->link = &p->commits;
    if (c->next)
        c->next->link = &c->next;
    p->commits = c;
    p->busy++;
    if (p->node->closing || !c->commit.rows) {
        commit_settle(c, c->commit.rows ? MR_CANCELLED : MR_GONE,
                      c->commit.rows ? "the node is stopping" : "no memory");
        return;
    }
    c->commit.group = c->m->group;
    c->commit.member = c->m->id;
    c->commit.instance = instance_of(c->m);
    if (c->generation < 0 || !c->m->id.len) {
        commit_settle(c, MR_FENCED, "the partitions are not the member's any more"); /* M2 */
        return;
    }
    if (mr_groups_commit(p->node->groups, &c->commit))
        committed(&c->commit);
}

void mr_port_commit(struct mr_topic_member *m, const struct mr_topic_offset *offsets, size_t count,
                    void (*done)(void *arg, mr_code rc, const char *why), void *arg)
{
    struct commit_call *c = mr_need(sizeof *c);
    c->port = m->port;
    c->m = m;
    c->home = m->home;
    c->generation = m->lane_generation;
    c->done = done;
    c->arg = arg;
    c->commit.generation = m->lane_generation;
    c->commit.retention_ms = -1;
    c->commit.rows = mr_port_rows(offsets, count);
    c->commit.row_count = count;
    c->commit.done = committed;
    c->commit.arg = c;
    mr_post(m->port->node->world, run_commit, c);
}

/* ------------------------------------------------------------------ the node's end */

void mr_port_members_drain(struct mr_port *p)
{
    while (p->members) {
        struct mr_topic_member *m = p->members;
        quit(m);
        forget(m);
        tell_lost(m, MR_CANCELLED, "the node is stopping");
    }
}

void mr_port_members_stop(struct mr_port *p)
{
    while (p->commits) {
        mr_groups_forget_commit(&p->commits->commit);
        commit_settle(p->commits, MR_CANCELLED, "the node is stopping");
    }
}
