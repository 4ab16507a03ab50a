/* group.c - the table of groups, what administrators see of it, and the laws. See group.h for words and laws.
 */
#include "base/assert.h"
#include "base/mem.h"
#include "broker/group_inside.h"

enum { PENDING_MAX = 1 << 20 };

void mr_groups_config_init(struct mr_groups_config *c)
{
    *c = (struct mr_groups_config){
        .partitions = 4,
        .new_member_ms = 5 * 60 * 1000,
        .groups_max = 100000,
        .offsets_max = 5000000,
        .bytes_max = MR_GROUPS_BYTES_MAX,
    };
}

void mr_groups_tell(const struct mr_groups *g, enum mr_level level, const char *format, ...)
{
    char text[MR_ERR_TEXT];
    va_list args;
    if (!g->config.tell)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    g->config.tell(g->config.tell_arg, level, text);
}

struct mr_slice mr_group_copy(struct mr_groups *gs, struct mr_slice s)
{
    char *p = mr_alloc(s.len + 1);
    gs->bytes += p ? s.len + 1 : 0;
    if (p && s.len)
        memcpy(p, s.p, s.len);
    return (struct mr_slice){p, p ? s.len : 0};
}

void mr_group_drop(struct mr_groups *gs, struct mr_slice *s)
{
    size_t bytes = s->p ? s->len + 1 : 0;
    mr_assert(gs->bytes >= bytes);
    gs->bytes -= bytes;
    mr_free((void *)(uintptr_t)s->p);
    *s = (struct mr_slice){0};
}

bool mr_groups_room(struct mr_groups *gs, size_t more, bool is_there)
{
    size_t limit = gs->config.bytes_max - (is_there ? 0 : gs->config.bytes_max / 8);
    bool room = gs->bytes + more <= limit;
    if (!room && !gs->full)
        mr_groups_tell(
            gs, MR_WARN,
            "groups: what members and offsets say has %zu bytes, as much as it may (bytes_max %zu); "
            "more is refused until some of it goes",
            gs->bytes, gs->config.bytes_max);
    if (!room)
        gs->full = true;
    else if (gs->bytes < limit / 8 * 7)
        gs->full = false;
    return room;
}

/* ------------------------------------------------------------------ laws */

void mr_group_check(const struct mr_group *g)
{
    uint32_t count = 0, joined = 0, unsynced = 0;
    bool leader = false, running = g->state == MR_GROUP_COMPLETING || g->state == MR_GROUP_STABLE;
    for (const struct mr_group_member *m = g->first; m; m = m->next) {
        count++;
        joined += m->joined;
        unsynced += !m->synced;
        leader = leader || m == g->leader;
        mr_assert(!m->join || m->join->at == m);                                      /* G5 */
        mr_assert(!m->sync || (m->sync->at == m && g->state == MR_GROUP_COMPLETING)); /* G4, G5 */
        mr_assert(!m->join || m->joined || g->state == MR_GROUP_STABLE); /* G5; stable: replaced */
        mr_assert(m->deadline > 0 && m->timer.at > 0 && m->timer.at <= m->deadline); /* G6 */
    }
    mr_assert(count == g->count && count == g->by_id.count); /* G1 */
    mr_assert(joined == g->joined);                          /* G5 */
    if (running) {
        mr_assert(count && leader && unsynced == g->unsynced); /* G2, G5 */
        for (uint32_t i = 0; i <= g->vote_count; i++) {
            mr_assert(i < g->vote_count); /* G7 */
            if (!strcmp(g->votes[i].name, g->protocol)) {
                mr_assert(g->votes[i].members == count); /* G7 */
                break;
            }
        }
    }
    mr_assert(g->state != MR_GROUP_EMPTY || count == 0); /* G4 */
    mr_assert(g->leader == NULL || leader);
}

/* ------------------------------------------------------------------ the table */

const char *mr_group_state_name(enum mr_group_state s)
{
    static const char *const names[] = {"Empty", "PreparingRebalance", "CompletingRebalance", "Stable",
                                        "Dead"};
    return names[s];
}

void mr_group_state_set(struct mr_group *g, enum mr_group_state s)
{
    g->state = s;
    g->state_ms = mr_groups_time(g->groups);
}

/* Java's String.hashCode: over UTF-16 units, which are made here from UTF-8. What is not UTF-8 counts byte by
 * byte. */
static uint32_t java_hash(struct mr_slice s)
{
    uint32_t h = 0;
    for (size_t i = 0; i < s.len;) {
        uint32_t c = (uint8_t)s.p[i];
        size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : c >= 0xc2 ? 1 : 0;
        bool whole = more && i + more < s.len;
        for (size_t k = 1; whole && k <= more; k++)
            whole = ((uint8_t)s.p[i + k] & 0xc0) == 0x80;
        if (whole) {
            c &= 0x3fu >> more;
            for (size_t k = 1; k <= more; k++)
                c = c << 6 | ((uint8_t)s.p[i + k] & 0x3fu);
            i += more;
        }
        i++;
        if (c >= 0x10000) {
            h = 31 * h + (0xd800 + ((c - 0x10000) >> 10));
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        h = 31 * h + c;
    }
    return h;
}

int32_t mr_groups_partition_of(struct mr_slice group, int32_t partitions)
{
    uint32_t h = java_hash(group);
    if (h & 0x80000000u)
        h = h == 0x80000000u ? 0 : 0u - h;
    return (int32_t)(h % (uint32_t)partitions);
}

static struct mr_group *group_new(struct mr_groups *gs, struct mr_slice id, int32_t partition)
{
    struct mr_group *g = mr_alloc(sizeof *g);
    if (!g)
        return NULL;
    g->groups = gs;
    g->id = mr_group_copy(gs, id);
    g->partition = partition;
    g->last = &g->first;
    mr_map_init(&g->by_id, 0); /* has_place limits it */
    mr_map_init(&g->by_instance, 0);
    mr_map_init(&g->pending, PENDING_MAX);
    if (!g->id.p || !mr_map_put(&gs->groups, g->id, g, NULL)) {
        mr_group_drop(gs, &g->id);
        mr_free(g);
        return NULL;
    }
    mr_group_state_set(g, MR_GROUP_EMPTY);
    return g;
}

void mr_group_free(struct mr_group *g)
{
    struct mr_groups *gs = g->groups;
    struct mr_slice id;
    void *p;
    mr_group_held_drop(g);
    mr_assert(g->tickets == 0);
    while (g->first)
        mr_group_member_remove(g->first, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
    for (size_t i = 0; mr_map_next(&g->pending, &i, &id, &p);)
        (void)mr_group_pending_remove(g, id);
    mr_timer_stop(gs->world, &g->timer);
    mr_map_remove(&gs->groups, g->id);
    mr_map_fini(&g->by_id, NULL);
    mr_map_fini(&g->by_instance, NULL);
    mr_map_fini(&g->pending, NULL);
    gs->offsets -= g->offsets.count;
    gs->bytes -= g->offsets.bytes;
    mr_offsets_fini(&g->offsets);
    mr_group_drop(gs, &g->id);
    mr_group_drop(gs, &g->loaded);
    mr_free(g->protocol_type);
    mr_free(g->protocol);
    mr_free(g->votes);
    mr_free(g);
}

bool mr_group_is_idle(const struct mr_group *g)
{
    return g->state == MR_GROUP_EMPTY && g->generation == 0 && g->pending.count == 0 &&
           g->offsets.count == 0 && g->tickets == 0 && !g->protocol_type;
}

struct mr_group *mr_group_at(struct mr_groups *gs, struct mr_slice id, bool make)
{
    struct mr_group *g = mr_map_get(&gs->groups, id);
    if (g || !make)
        return g;
    int32_t n = gs->replay.partitions ? gs->replay.partitions
                                      : (int32_t)mr_groups_settings(gs)->offsets_topic_num_partitions;
    return group_new(gs, id, mr_groups_partition_of(id, n));
}

struct mr_group *mr_group_find(struct mr_groups *gs, struct mr_slice id, bool make, enum mr_refusal *why)
{
    int32_t n = gs->replay.partitions;
    *why = n ? mr_replay_check(&gs->replay, mr_groups_partition_of(id, n)) : MR_REFUSE_NONE;
    if (*why)
        return NULL;
    struct mr_group *g = mr_group_at(gs, id, false);
    if (g || !make)
        return g;
    if (gs->groups.count < gs->config.groups_max)
        g = mr_group_at(gs, id, true);
    else
        mr_groups_tell(gs, MR_WARN, "group '%.*s' refused: there are %u (groups_max)", MR_SLICE_ARG(id),
                       gs->config.groups_max);
    if (!g)
        *why = MR_REFUSE_COORDINATOR_NOT_AVAILABLE;
    return g;
}

/* ------------------------------------------------------------------ administration */

static void view(const struct mr_group *g, struct mr_group_view *out)
{
    *out = (struct mr_group_view){
        .id = g->id,
        .protocol_type = mr_slice_of(g->protocol_type ? g->protocol_type : ""),
        .protocol = mr_slice_of(g->state == MR_GROUP_STABLE ? g->protocol : ""),
        .state = g->state,
        .generation = g->generation,
        .members = g->count,
    };
}

size_t mr_groups_count(const struct mr_groups *gs)
{
    return gs->groups.count;
}

bool mr_groups_next(const struct mr_groups *gs, size_t *i, struct mr_group_view *out)
{
    struct mr_slice id;
    void *g;
    if (!mr_map_next(&gs->groups, i, &id, &g))
        return false;
    view(g, out);
    return true;
}

static enum mr_refusal look(const struct mr_groups *gs, struct mr_slice id, struct mr_group **out)
{
    enum mr_refusal why;
    /* finding without making changes nothing */
    *out = mr_group_find((struct mr_groups *)(uintptr_t)gs, id, false, &why);
    return *out || why ? why : MR_REFUSE_GROUP_NOT_FOUND;
}

enum mr_refusal mr_groups_view(const struct mr_groups *gs, struct mr_slice id, struct mr_group_view *out)
{
    struct mr_group *g;
    enum mr_refusal why = look(gs, id, &g);
    if (g)
        view(g, out);
    return why;
}

size_t mr_groups_members(const struct mr_groups *gs, struct mr_slice id, struct mr_group_member_view *out,
                         size_t room)
{
    struct mr_group *g;
    size_t n = 0;
    (void)look(gs, id, &g);
    for (const struct mr_group_member *m = g ? g->first : NULL; m && n < room; m = m->next)
        mr_group_member_view(m, mr_slice_of(g->state == MR_GROUP_STABLE ? g->protocol : ""), &out[n++]);
    return n;
}

/* ------------------------------------------------------------------ life */

bool mr_groups_loading(const struct mr_groups *g)
{
    return mr_replay_loading(&g->replay);
}

mr_code mr_groups_open(struct mr_world *w, struct mr_broker *b, const struct mr_groups_config *config,
                       struct mr_groups **out, struct mr_err *err)
{
    struct mr_groups *gs = mr_alloc(sizeof *gs);
    if (!gs)
        return mr_fail(err, MR_MEMORY, "no memory for the group coordinator");
    gs->world = w;
    gs->broker = b;
    gs->config = *config;
    mr_map_init(&gs->groups, 0);
    mr_code rc = mr_groups_load(gs, err);
    if (rc) {
        mr_groups_close(gs);
        return rc;
    }
    gs->expiry = (struct mr_timer){.fire = mr_groups_expire, .arg = gs};
    mr_timer_set(w, &gs->expiry, mr_now(w) + mr_groups_settings(gs)->offsets_retention_check_interval_ms);
    *out = gs;
    return MR_OK;
}

static void nobody_waits(struct mr_group *g)
{
    for (struct mr_group_member *m = g->first; m; m = m->next) {
        if (m->join)
            m->join->at = NULL;
        if (m->sync)
            m->sync->at = NULL;
        m->join = NULL;
        m->sync = NULL;
    }
}

void mr_groups_close(struct mr_groups *gs)
{
    struct mr_slice id;
    void *g;
    if (!gs)
        return;
    mr_timer_stop(gs->world, &gs->expiry);
    mr_replay_end(&gs->replay);
    while (gs->tickets) {
        mr_partition_forget(&gs->tickets->produce);
        mr_group_ticket_free(gs->tickets);
    }
    for (size_t i = 0; mr_map_next(&gs->groups, &i, &id, &g);) {
        nobody_waits(g);
        mr_group_free(g);
    }
    mr_map_fini(&gs->groups, NULL);
    mr_assert(gs->bytes == 0); /* G8 */
    mr_free(gs->scratch);
    mr_free(gs);
}
