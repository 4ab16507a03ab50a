/* sim.c - the clock and the scheduler of simulated worlds; their disks are in simdisk.c.
 *
 * Laws:  S1  events run in the order (time, number); numbers are given in the order of asking
 *        S2  nothing of a node that is down runs
 */
#include "world/sim_inside.h"

#include "base/assert.h"
#include "base/mem.h"

struct sim_event {
    mr_ms at;
    uint64_t number;
    struct node *node;
    struct mr_timer *timer; /* or */
    void (*fn)(void *arg);
    void (*drop)(void *arg);
    void *arg;
    bool cancelled;
};

struct mr_sim {
    mr_ms now;
    uint64_t number, digest;
    struct mr_prng random;
    struct sim_event **heap;
    size_t events, cap;
    struct node *nodes[MR_SIM_NODES_MAX];
};

uint64_t mr_sim_below(struct mr_sim *s, uint64_t bound)
{
    return mr_prng_below(&s->random, bound);
}

uint64_t mr_sim_random(struct mr_sim *s, uint64_t bound)
{
    return mr_prng_below(&s->random, bound);
}

void mr_sim_note(struct mr_sim *s, uint64_t what, uint64_t value)
{
    uint64_t h = s->digest ^ (what * UINT64_C(0x9e3779b97f4a7c15)) ^ (uint64_t)s->now;
    h = (h ^ (h >> 29)) * UINT64_C(0xbf58476d1ce4e5b9) ^ value;
    s->digest = (h ^ (h >> 32)) * UINT64_C(0x94d049bb133111eb);
}

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->number < b->number;
}

static struct sim_event *push(struct mr_sim *s, struct sim_event e)
{
    struct sim_event *copy = sim_need(sizeof *copy);
    *copy = e;
    copy->number = s->number++;
    if (copy->at < s->now)
        copy->at = s->now;
    if (s->events == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 64;
        s->heap = sim_grow(s->heap, s->cap * sizeof(struct sim_event *));
    }
    size_t i = s->events++;
    for (; i > 0 && is_before(copy, s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = copy;
    return copy;
}

static struct sim_event *pop(struct mr_sim *s)
{
    struct sim_event *top = s->heap[0], *last = s->heap[--s->events];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < s->events && is_before(s->heap[child + 1], s->heap[child]))
            child++;
        if (child >= s->events || !is_before(s->heap[child], last))
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    if (s->events)
        s->heap[i] = last;
    return top;
}

static void discard_cancelled(struct mr_sim *s)
{
    while (s->events && s->heap[0]->cancelled)
        mr_free(pop(s));
}

/* ---- the half of a world that is about time */

static mr_ms sim_now(struct mr_world *w)
{
    return mr_sim_node_of(w)->sim->now;
}

static mr_ns sim_wall(struct mr_world *w)
{
    struct node *n = mr_sim_node_of(w);
    return INT64_C(1700000000) * 1000000000 + n->sim->now * 1000000 + n->wall_off;
}

static uint64_t sim_random(struct mr_world *w)
{
    return mr_prng_next(&mr_sim_node_of(w)->random);
}

static void sim_timer_stop(struct mr_world *w, struct mr_timer *t)
{
    struct sim_event *e = t->runtime;
    (void)w;
    if (!e)
        return;
    e->cancelled = true;
    t->runtime = NULL;
}

static void sim_timer_set(struct mr_world *w, struct mr_timer *t, mr_ms at)
{
    struct node *n = mr_sim_node_of(w);
    sim_timer_stop(w, t);
    t->at = at;
    if (at == MR_NEVER || n->down)
        return;
    t->runtime = push(n->sim, (struct sim_event){.at = at, .node = n, .timer = t});
}

void mr_sim_at(struct node *n, mr_ms at, void (*fn)(void *arg), void (*drop)(void *arg), void *arg)
{
    if (n->down) {
        if (drop)
            drop(arg);
        return;
    }
    (void)push(n->sim, (struct sim_event){.at = at, .node = n, .fn = fn, .drop = drop, .arg = arg});
}

static void sim_post(struct mr_world *w, void (*fn)(void *arg), void *arg)
{
    struct node *n = mr_sim_node_of(w);
    mr_sim_at(n, n->sim->now, fn, NULL, arg);
}

/* ---- turning it */

static struct mr_world_ops ops; /* time from here, files from simdisk.c; filled once */

struct mr_sim *mr_sim_new(uint64_t seed)
{
    struct mr_sim *s = sim_need(sizeof *s);
    s->now = 1000;
    mr_prng_seed(&s->random, seed);
    mr_sim_note(s, 1, seed);
    ops = mr_sim_disk_ops;
    ops.now = sim_now;
    ops.wall = sim_wall;
    ops.random = sim_random;
    ops.timer_set = sim_timer_set;
    ops.timer_stop = sim_timer_stop;
    ops.post = sim_post;
    return s;
}

struct node *mr_sim_node_of(struct mr_world *w)
{
    mr_assert(w->ops == &ops);
    return (struct node *)w;
}

struct mr_world *mr_sim_node(struct mr_sim *s, uint32_t number)
{
    mr_assert(number < MR_SIM_NODES_MAX);
    if (!s->nodes[number]) {
        struct node *n = sim_need(sizeof *n);
        n->world.ops = &ops;
        n->sim = s;
        n->number = number;
        n->faults.sync_ms_max = 10;
        mr_prng_seed(&n->random, mr_prng_next(&s->random));
        mr_sim_disk_init(n);
        s->nodes[number] = n;
    }
    return &s->nodes[number]->world;
}

void mr_sim_free(struct mr_sim *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->events; i++) {
        struct sim_event *e = s->heap[i];
        if (!e->cancelled && e->drop)
            e->drop(e->arg);
        mr_free(e);
    }
    for (int i = 0; i < MR_SIM_NODES_MAX; i++)
        if (s->nodes[i]) {
            mr_sim_disk_answer(s->nodes[i]);
            mr_sim_disk_fini(s->nodes[i]);
            mr_free(s->nodes[i]);
        }
    mr_free(s->heap);
    mr_free(s);
}

bool mr_sim_step(struct mr_sim *s)
{
    discard_cancelled(s);
    if (s->events == 0)
        return false;
    struct sim_event *e = pop(s), now = *e;
    mr_free(e);
    mr_assert(now.at >= s->now && !now.node->down); /* S1, S2 */
    s->now = now.at;
    mr_sim_note(s, 2 + now.node->number, now.number);
    if (now.timer) {
        now.timer->runtime = NULL;
        now.timer->fire(now.timer->arg);
    } else {
        now.fn(now.arg);
    }
    return true;
}

void mr_sim_run_until(struct mr_sim *s, mr_ms at)
{
    for (;;) {
        discard_cancelled(s);
        if (s->events == 0 || s->heap[0]->at > at)
            break;
        (void)mr_sim_step(s);
    }
    if (s->now < at)
        s->now = at;
}

bool mr_sim_settle(struct mr_sim *s, uint64_t max)
{
    for (uint64_t i = 0; mr_sim_step(s); i++)
        if (i >= max)
            return false;
    return true;
}

mr_ms mr_sim_now(const struct mr_sim *s)
{
    return s->now;
}

uint64_t mr_sim_digest(const struct mr_sim *s)
{
    return s->digest;
}

static void stop_node(struct node *n, bool power)
{
    struct mr_sim *s = n->sim;
    if (n->down) {
        n->lost_power |= power;
        return;
    }
    n->down = true;
    n->lost_power = power;
    mr_sim_note(s, 40, n->number);
    for (size_t i = 0; i < s->events; i++) { /* S2 */
        struct sim_event *e = s->heap[i];
        if (e->node != n || e->cancelled)
            continue;
        if (e->timer)
            e->timer->runtime = NULL;
        else if (e->drop)
            e->drop(e->arg);
        e->cancelled = true;
    }
}

void mr_sim_crash(struct mr_world *w)
{
    stop_node(mr_sim_node_of(w), true);
}

void mr_sim_kill(struct mr_world *w)
{
    stop_node(mr_sim_node_of(w), false);
}

bool mr_sim_is_down(const struct mr_world *w)
{
    return ((const struct node *)w)->down;
}

void mr_sim_restart(struct mr_world *w)
{
    struct node *n = mr_sim_node_of(w);
    mr_assert(n->down);
    mr_sim_disk_restart(n);
    n->down = false;
    mr_sim_disk_answer(n);
    mr_sim_note(n->sim, 41, n->number);
}

struct mr_sim_faults *mr_sim_faults(struct mr_world *w)
{
    return &mr_sim_node_of(w)->faults;
}

const struct mr_sim_counts *mr_sim_counts(const struct mr_world *w)
{
    return &((const struct node *)w)->counts;
}

void mr_sim_wall_jump(struct mr_world *w, mr_ns by)
{
    mr_sim_node_of(w)->wall_off += by;
}
