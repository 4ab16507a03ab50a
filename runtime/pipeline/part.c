/* part.c - one instance of a component on its lane, and the runtime's side of what it may ask (host.h).
 *
 * A descriptor that is ready is disarmed until the source has read all there is: a source that must wait for
 * room would otherwise turn the loop for nothing.
 */
#include "pipeline/inside.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

static struct mr_part *part_of(struct mr_host *h)
{
    return (struct mr_part *)h;
}

void mr_part_log(const struct mr_part *p, enum mr_level level, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    p->line->env.log(p->line->env.arg, level, p->host.label, text);
}

mr_ms mr_backoff(struct mr_world *w, mr_ms first, uint32_t attempt)
{
    mr_ms wait = first > 0 ? first : 100;
    for (uint32_t i = 1; i < attempt && wait < MR_BACKOFF_MS_MAX; i++)
        wait *= 2;
    if (wait > MR_BACKOFF_MS_MAX)
        wait = MR_BACKOFF_MS_MAX;
    mr_ms spread = wait / 4; /* so that many do not come back at once */
    return spread ? wait - (mr_ms)(mr_random(w) % (uint64_t)spread) : wait;
}

/* ---------------------------------------------------------------- making batches */

static struct mr_batch *host_batch_new(struct mr_host *h, struct mr_batch *from)
{
    struct mr_part *p = part_of(h);
    struct mr_pipeline *l = p->line;
    if (p->role != MR_ROLE_STEP || l->state == MR_LINE_ENDED ||
        l->live_bytes > (size_t)l->conf->bytes * MR_MADE_FACTOR)
        return NULL;
    struct mr_batch *b = mr_batch_take(l->pool);
    struct mr_flight *f = b ? mr_flight_new(l, b) : NULL;
    if (!f) {
        mr_batch_free(b);
        return NULL;
    }
    const struct mr_flight *was = from ? from->flow : NULL;
    if (was) {
        for (uint32_t i = 0; i < was->hold_count; i++) {
            mr_ack_hold(was->holds[i]);
            if (!mr_flow_attach(b, was->holds[i])) {
                mr_ack_drop(was->holds[i]);
                for (uint32_t k = 0; k < f->hold_count; k++)
                    mr_ack_drop(f->holds[k]);
                mr_flight_free(f);
                return NULL;
            }
        }
        f->ack = was->ack;
        b->partition = from->partition;
        struct mr_slice source = mr_slice_copy(b->arena, from->source);
        if (source.p)
            b->source = source;
    }
    return b;
}

static void host_emit(struct mr_host *h, struct mr_batch *b)
{
    struct mr_part *p = part_of(h);
    struct mr_flight *f = b->flow;
    mr_assert(p->role == MR_ROLE_STEP && f && !f->emitted);
    f->emitted = true;
    f->alive = b->count;
    mr_count(&p->line->n.made, b->count);
    mr_count(&p->line->n.in_flight, b->count);
    mr_flight_bytes(f);
    mr_pipeline_run(p->line, f, p->index + 1);
}

/* ---------------------------------------------------------------- time and waking */

static mr_ns host_now(struct mr_host *h)
{
    return mr_wall(part_of(h)->line->env.world);
}

static mr_ms host_monotonic(struct mr_host *h)
{
    return mr_now(part_of(h)->line->env.world);
}

static void woken(void *arg)
{
    struct mr_part *p = arg;
    atomic_store(&p->waking, false);
    if (p->role == MR_ROLE_SOURCE && p->open)
        mr_pipeline_source_ready((struct mr_source *)p);
}

static void host_wake(struct mr_host *h) /* any thread */
{
    struct mr_part *p = part_of(h);
    if (!atomic_exchange(&p->waking, true))
        mr_post(p->line->env.world, woken, p);
}

static void fd_ready(void *arg)
{
    struct mr_fd_watch *w = arg;
    struct mr_pipeline *l = w->part->line;
    if (w->watch) {
        l->env.unwatch(w->watch);
        w->watch = NULL;
    }
    if (w->part->role == MR_ROLE_SOURCE)
        mr_pipeline_source_ready((struct mr_source *)w->part);
}

void mr_part_rearm(struct mr_part *p)
{
    struct mr_pipeline *l = p->line;
    for (struct mr_fd_watch *w = p->watches; w; w = w->next) {
        struct mr_err err;
        mr_err_clear(&err);
        if (!w->watch && l->env.watch(l->env.world, w->fd, fd_ready, w, &w->watch, &err) != MR_OK)
            mr_pipeline_fail(l, p, "cannot watch descriptor %d: %s", w->fd, err.text);
    }
}

static mr_code host_watch(struct mr_host *h, int fd, struct mr_err *err)
{
    struct mr_part *p = part_of(h);
    struct mr_pipeline *l = p->line;
    if (!l->env.watch)
        return mr_fail(err, MR_UNSUPPORTED, "descriptors cannot be watched in a test");
    for (struct mr_fd_watch *w = p->watches; w; w = w->next)
        if (w->fd == fd)
            return MR_OK;
    if (p->watch_count >= MR_WATCHES_MAX)
        return mr_fail(err, MR_LIMIT, "more than %d descriptors (limit 'watches')", MR_WATCHES_MAX);
    struct mr_fd_watch *w = mr_alloc(sizeof *w);
    if (!w)
        return mr_fail(err, MR_MEMORY, "no memory to watch a descriptor");
    *w = (struct mr_fd_watch){.part = p, .fd = fd};
    mr_code rc = l->env.watch(l->env.world, fd, fd_ready, w, &w->watch, err);
    if (rc != MR_OK) {
        mr_free(w);
        return rc;
    }
    w->next = p->watches;
    p->watches = w;
    p->watch_count++;
    return MR_OK;
}

static void host_unwatch(struct mr_host *h, int fd)
{
    struct mr_part *p = part_of(h);
    for (struct mr_fd_watch **at = &p->watches; *at; at = &(*at)->next)
        if ((*at)->fd == fd) {
            struct mr_fd_watch *w = *at;
            *at = w->next;
            p->watch_count--;
            if (w->watch)
                p->line->env.unwatch(w->watch);
            mr_free(w);
            return;
        }
}

static void timer_fired(void *arg)
{
    struct mr_part *p = arg;
    struct mr_pipeline *l = p->line;
    if (!p->open || mr_pipeline_over(l))
        return;
    if (p->role == MR_ROLE_SOURCE) {
        mr_pipeline_source_ready((struct mr_source *)p);
    } else if (p->role == MR_ROLE_STEP && p->c->on_timer) {
        struct mr_err err;
        mr_err_clear(&err);
        if (p->c->on_timer(p->self, &err) != MR_OK)
            mr_pipeline_fail(l, p, "its timer: %s", err.text);
        mr_pipeline_poke(l);
    }
}

static void host_timer(struct mr_host *h, mr_ms at)
{
    struct mr_part *p = part_of(h);
    struct mr_world *w = p->line->env.world;
    if (at == MR_NEVER) {
        mr_timer_stop(w, &p->timer);
        return;
    }
    p->timer.fire = timer_fired;
    p->timer.arg = p;
    mr_timer_set(w, &p->timer, at);
}

static bool host_once(struct mr_host *h)
{
    return part_of(h)->line->env.once;
}

/* ---------------------------------------------------------------- telling */

static void host_log(struct mr_host *h, enum mr_level level, const char *text)
{
    struct mr_part *p = part_of(h);
    p->line->env.log(p->line->env.arg, level, p->host.label, text);
}

static void host_count(struct mr_host *h, const char *metric, int64_t delta)
{
    struct mr_part *p = part_of(h);
    for (size_t i = 0; i < MR_METRICS_MAX; i++) {
        const char *name = atomic_load_explicit(&p->metrics[i].name, memory_order_acquire);
        if (!name) {
            atomic_store_explicit(&p->metrics[i].name, metric, memory_order_release);
            name = metric;
        }
        if (name == metric || strcmp(name, metric) == 0) {
            atomic_fetch_add_explicit(&p->metrics[i].value, delta, memory_order_relaxed);
            return;
        }
    }
}

struct answer {
    struct mr_output *output;
    uint64_t ticket;
    uint32_t count;
    struct mr_verdict verdict[];
};

static void answered(void *arg)
{
    struct answer *a = arg;
    mr_output_answer(a->output, a->ticket, a->verdict, a->count);
    mr_free(a);
}

static void host_written(struct mr_host *h, uint64_t ticket,
                         const struct mr_verdict *verdict) /* any thread */
{
    struct mr_part *p = part_of(h);
    uint32_t count = (uint32_t)(ticket & 0x1fff); /* see output.c: a ticket knows how many events it is for */
    mr_assert(p->role == MR_ROLE_OUTPUT && count <= MR_BATCH_ROWS_MAX);
    struct answer *a = mr_need(sizeof *a + count * sizeof *a->verdict);
    a->output = (struct mr_output *)p;
    a->ticket = ticket;
    a->count = count;
    if (verdict)
        memcpy(a->verdict, verdict, count * sizeof *verdict);
    mr_post(p->line->env.world, answered, a);
}

const struct mr_host_ops mr_part_ops = {
    .batch_new = host_batch_new,
    .emit = host_emit,
    .now = host_now,
    .monotonic = host_monotonic,
    .wake = host_wake,
    .watch = host_watch,
    .unwatch = host_unwatch,
    .timer = host_timer,
    .once = host_once,
    .log = host_log,
    .count = host_count,
    .written = host_written,
};

/* ---------------------------------------------------------------- life */

bool mr_part_init(struct mr_part *p, struct mr_pipeline *l, const struct mr_config_component *conf,
                  enum mr_part_role role, uint32_t index)
{
    p->host.ops = &mr_part_ops;
    p->host.label = conf->label;
    p->host.lua = l->env.lua;
    p->line = l;
    p->conf = conf;
    p->c = conf->component;
    p->role = role;
    p->index = index;
    p->self = mr_alloc(p->c->self_size ? p->c->self_size : 1);
    mr_heap_arena_init(&p->options, 4096, 0, MR_CONFIG_ARENA_BYTES);
    if (!p->self)
        return false;
    if (conf->when) {
        struct mr_err err;
        mr_err_clear(&err);
        if (mr_expr_new(conf->when->text.p, conf->when->text.len, &p->when, &err) != MR_OK)
            return false;
    }
    return true;
}

static void add_position(struct mr_map *m, struct mr_position *v, uint32_t *count)
{
    struct mr_slice key;
    void *value;
    for (size_t i = 0; mr_map_next(m, &i, &key, &value);)
        v[(*count)++] = (struct mr_position){key, *(struct mr_slice *)value};
}

mr_code mr_part_open(struct mr_part *p, struct mr_err *err)
{
    struct mr_diags diags = {0};
    mr_heap_arena_reset(&p->options);
    memset(p->self, 0, p->c->self_size);
    bool filled = mr_options_fill(p->c->options, p->c->name, p->conf->options, p->conf->node, p->self,
                                  &p->options.arena, &p->owned, &diags);
    if (!filled) {
        (void)mr_fail(err, MR_BADCONF, "%s", diags.count ? diags.v[0].text : "no memory for its options");
        mr_diags_fini(&diags);
        return MR_BADCONF;
    }
    mr_diags_fini(&diags);
    struct mr_open open = {.size = sizeof open, .services = mr_services(), .host = &p->host};
    struct mr_position *positions = NULL;
    if (p->role == MR_ROLE_SOURCE) {
        struct mr_source *s = (struct mr_source *)p;
        positions = mr_alloc((s->seen.count + 1) * sizeof *positions);
        if (!positions)
            return mr_fail(err, MR_MEMORY, "no memory for %zu positions", s->seen.count);
        add_position(&s->seen, positions, &open.position_count);
        open.positions = positions;
    }
    p->open = true;
    mr_code rc = p->c->open ? p->c->open(p->self, &open, err) : MR_OK;
    mr_free(positions);
    if (rc != MR_OK)
        mr_part_close(p);
    return rc;
}

void mr_part_close(struct mr_part *p)
{
    if (!p->open)
        return;
    p->open = false;
    if (p->c->close)
        p->c->close(p->self);
    while (p->watches)
        host_unwatch(&p->host, p->watches->fd);
    mr_timer_stop(p->line->env.world, &p->timer);
    mr_options_fini(p->owned);
    p->owned = NULL;
}

void mr_part_fini(struct mr_part *p)
{
    if (!p->line) /* never made */
        return;
    mr_part_close(p);
    mr_timer_stop(p->line->env.world, &p->again);
    mr_expr_free(p->when);
    mr_heap_arena_fini(&p->options);
    mr_free(p->self);
    p->self = NULL;
}
