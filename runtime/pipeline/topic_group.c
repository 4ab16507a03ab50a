/* topic_group.c - the source `topic` as a member of a consumer group.
 *
 * Positions live in the group: they are committed behind each checkpoint, or in the pipeline's transaction,
 * and never stand in a checkpoint. Each assignment is a *round*; positions of events that were read in an
 * older one have another key, and are of no use any more.
 *
 * When partitions are wanted back nothing more is read; what is on its way is waited for and committed, and
 * then they are released. At-least-once delivery gives up waiting after a while (what a window holds back is
 * not waited for): the next owner reads it again.
 */
#include "pipeline/topic_inside.h"

#include "base/assert.h"
#include "base/map.h"
#include "base/mem.h"

#include <inttypes.h>

enum {
    SETTLE_MS = 5,           /* between looks whether all is settled */
    SETTLE_UNTIL_MS = 15000, /* then it is given up; well below MR_TOPIC_REBALANCE_MS */
};

static struct mr_topics *port(const struct mr_topic_source *s)
{
    return s->part->line->env.topics;
}

/* Where the pipeline stands in a partition; -1: it has not read from it. */
static int64_t reached(const struct mr_topic_source *s, const struct mr_topic_part *p)
{
    const struct mr_slice *v = mr_map_get(&((struct mr_source *)s->part)->stored, mr_slice_of(p->pos_key));
    uint64_t at = 0;
    if (!v || v->len != 8)
        return -1;
    for (int i = 0; i < 8; i++)
        at |= (uint64_t)(unsigned char)v->p[i] << (8 * i);
    return (int64_t)at;
}

static bool moved(const struct mr_topic_source *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        int64_t at = reached(s, &s->partitions[i]);
        if (at >= 0 && at != s->partitions[i].committed)
            return true;
    }
    return false;
}

/* What is to be committed; [heap], NULL: nothing (or no memory: at the next chance). */
static struct mr_topic_offset *offsets_of(struct mr_topic_source *s, size_t *count)
{
    *count = 0;
    struct mr_topic_offset *v = moved(s) ? mr_alloc(s->count * sizeof *v) : NULL;
    for (uint32_t i = 0; v && i < s->count; i++) {
        struct mr_topic_part *p = &s->partitions[i];
        p->sent = reached(s, p);
        if (p->sent >= 0 && p->sent != p->committed)
            v[(*count)++] = (struct mr_topic_offset){s->name, p->id, p->sent};
        else
            p->sent = p->committed;
    }
    return v;
}

static void took(struct mr_topic_source *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        s->partitions[i].committed = s->partitions[i].sent;
}

/* ---------------------------------------------------------------- at least once: behind the checkpoint */

static void committed(void *arg, mr_code rc, const char *why)
{
    struct mr_topic_call *c = arg;
    uint32_t round = c->partition;
    struct mr_topic_source *s = mr_topic_call_back(c);
    if (!s)
        return;
    struct mr_pipeline *l = s->part->line;
    s->committing = false;
    if (rc == MR_OK) {
        if (round == s->round)
            took(s);
    } else if (rc != MR_FENCED && !mr_passing(rc)) { /* fenced: what it lost is told by itself */
        mr_pipeline_fail(l, s->part, "%s", why);
        return;
    } else {
        mr_count(&l->n.errors, 1);
        if (round == s->round && rc != MR_FENCED)
            l->dirty = true; /* with the next checkpoint again */
    }
    mr_pipeline_poke(l);
}

static void commit(struct mr_source *source)
{
    struct mr_topic_source *s = source->part.self;
    size_t count = 0;
    if (s->committing || !s->member || source->part.line->epoch)
        return;
    struct mr_topic_offset *v = offsets_of(s, &count);
    if (v && count) {
        struct mr_topic_call *c = mr_topic_call_new(s, s->round);
        s->committing = true;
        port(s)->ops->commit(s->member, v, count, committed, c);
    }
    mr_free(v);
}

static bool settled(struct mr_source *source)
{
    struct mr_topic_source *s = source->part.self;
    if (!s->committing && s->member && s->ready && moved(s))
        commit(source);
    return !s->committing;
}

/* ---------------------------------------------------------------- exactly once: in the transaction */

static void added(void *arg, mr_code rc, const char *why)
{
    mr_epoch_added(arg, rc == MR_FENCED ? MR_GONE : rc, why); /* of the group: others have the partitions */
}

static void epoch_commit(struct mr_source *source, struct mr_epoch *e)
{
    struct mr_topic_source *s = source->part.self;
    size_t count = 0;
    if (!source->part.open || !s->member)
        return;
    struct mr_topic_offset *v = offsets_of(s, &count);
    if (v && count)
        port(s)->ops->txn_offsets(mr_epoch_add(e), s->member, v, count, added, e);
    mr_free(v);
}

static void epoch_ended(struct mr_source *source)
{
    if (source->part.open)
        took(source->part.self);
}

/* ---------------------------------------------------------------- what the group says */

static void assigned(void *arg, const struct mr_topic_offset *parts, size_t count)
{
    struct mr_topic_source *s = arg;
    struct mr_pipeline *l = s->part->line;
    if (mr_pipeline_over(l))
        return;
    mr_topic_drop_parts(s);
    s->round++;
    s->revoking = false;
    mr_source_forget((struct mr_source *)s->part);
    for (size_t i = 0; i < count; i++)
        if (parts[i].offset < 0 && s->start == MR_TOPIC_COMMITTED) {
            char why[400];
            (void)snprintf(
                why, sizeof why,
                "group '%.*s' has committed nothing for partition %" PRId32
                ", and 'start' is 'committed': reset the group's offsets, or write earliest or latest",
                MR_SLICE_ARG(s->group), parts[i].partition);
            mr_topic_fail(s, MR_BADCONF, why);
            return;
        }
    if (mr_topic_parts(s, parts, (uint32_t)count))
        mr_pipeline_source_ready((struct mr_source *)s->part);
}

static void release(struct mr_topic_source *s)
{
    mr_timer_stop(s->part->line->env.world, &s->settle);
    mr_topic_drop_parts(s);
    s->round++;
    s->revoking = false;
    port(s)->ops->release(s->member);
}

static void settle(void *arg)
{
    struct mr_topic_source *s = arg;
    struct mr_source *source = (struct mr_source *)s->part;
    struct mr_pipeline *l = s->part->line;
    struct mr_world *w = l->env.world;
    if (!s->revoking || mr_pipeline_over(l))
        return;
    bool done = source->ack_count == 0;
    if (!l->epoch)
        done |= mr_pipeline_idle(l) || mr_now(w) >= s->settle_until;
    if (done && l->epoch)
        done = !moved(s);
    else if (done)
        done = settled(source) && !moved(s);
    if (done || (!l->epoch && mr_now(w) >= s->settle_until)) {
        release(s);
        return;
    }
    if (l->epoch)
        mr_epoch_due(l->epoch);
    mr_timer_set(w, &s->settle, mr_now(w) + SETTLE_MS);
}

static void revoked(void *arg)
{
    struct mr_topic_source *s = arg;
    struct mr_world *w = s->part->line->env.world;
    s->revoking = true;
    s->settle_until = mr_now(w) + SETTLE_UNTIL_MS;
    s->settle.fire = settle;
    s->settle.arg = s;
    settle(s);
}

static void lost(void *arg, mr_code rc, const char *why)
{
    struct mr_topic_source *s = arg;
    struct mr_source *source = (struct mr_source *)s->part;
    struct mr_pipeline *l = s->part->line;
    if (mr_pipeline_over(l))
        return;
    bool pending = source->ack_count > 0 || moved(s);
    mr_timer_stop(l->env.world, &s->settle);
    mr_topic_drop_parts(s);
    s->round++;
    s->revoking = false;
    if (rc != MR_GONE)
        mr_topic_fail(s, rc, why);
    else if (pending && l->epoch)
        mr_pipeline_again(
            l, s->part, "%s: its partitions were given to others before what it had read was committed", why);
    else
        mr_part_log(s->part, MR_WARN, "%s; joining again%s", why,
                    pending ? ", and what was on its way comes again" : "");
}

/* ---------------------------------------------------------------- life */

void mr_topic_group_join(struct mr_topic_source *s)
{
    struct mr_source *source = (struct mr_source *)s->part;
    struct mr_topic_member_config c = {
        .group = s->group,
        .client = MR_SLICE("millrace"),
        .instance = mr_slice_of(s->part->host.label),
        .topics = &s->name,
        .topic_count = 1,
        .assigned = assigned,
        .revoked = revoked,
        .lost = lost,
        .arg = s,
    };
    mr_assert(!s->member);
    source->commit = commit;
    source->settle = settled;
    source->epoch_commit = epoch_commit;
    source->epoch_ended = epoch_ended;
    s->member = port(s)->ops->join(port(s), s->part->line->env.world, &c);
}

static void left(void *arg)
{
    (void)mr_topic_call_back(arg);
}

void mr_topic_group_leave(struct mr_topic_source *s)
{
    if (!s->member)
        return;
    mr_timer_stop(s->part->line->env.world, &s->settle);
    port(s)->ops->leave(s->member, left, mr_topic_call_new(s, 0));
    s->member = NULL;
}
