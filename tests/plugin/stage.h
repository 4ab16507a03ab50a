/* stage.h - a lane made of nothing: a host whose clock is set by hand, which keeps what is emitted and told.
 */
#ifndef MR_TESTS_PLUGIN_STAGE_H
#define MR_TESTS_PLUGIN_STAGE_H

#include "data/event.h"

#include "base/mem.h"
#include "plugin/host.h"
#include "plugin/lua_host.h"
#include "plugin/option.h"

enum { STAGE_BATCHES = 64 };

struct stage {
    struct mr_host host; /* first */
    struct mr_lua *lua;
    struct mr_batch_pool *pool;
    struct mr_batch *emitted[STAGE_BATCHES];
    uint32_t emitted_count;
    struct mr_buf told;
    struct mr_buf counted;
    mr_ns now;
    mr_ms mono, timer;
    uint32_t batches_left; /* batch_new answers NULL after so many */
    bool once;
};

static inline struct mr_batch *stage_batch_new(struct mr_host *h, struct mr_batch *from)
{
    struct stage *s = (struct stage *)h;
    (void)from;
    if (s->batches_left == 0)
        return NULL;
    s->batches_left--;
    return mr_batch_take(s->pool);
}
static inline void stage_emit(struct mr_host *h, struct mr_batch *b)
{
    struct stage *s = (struct stage *)h;
    assert_true(s->emitted_count < STAGE_BATCHES);
    s->emitted[s->emitted_count++] = b;
}
static inline mr_ns stage_now(struct mr_host *h)
{
    return ((struct stage *)h)->now;
}
static inline mr_ms stage_monotonic(struct mr_host *h)
{
    return ((struct stage *)h)->mono;
}
static inline void stage_wake(struct mr_host *h)
{
    (void)h;
}
static inline mr_code stage_watch(struct mr_host *h, int fd, struct mr_err *err)
{
    (void)h;
    (void)fd;
    return mr_fail(err, MR_UNSUPPORTED, "no descriptors on a stage");
}
static inline void stage_unwatch(struct mr_host *h, int fd)
{
    (void)h;
    (void)fd;
}
static inline void stage_timer(struct mr_host *h, mr_ms at)
{
    ((struct stage *)h)->timer = at;
}
static inline bool stage_once(struct mr_host *h)
{
    return ((struct stage *)h)->once;
}
static inline void stage_log(struct mr_host *h, enum mr_level level, const char *text)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    assert_true(mr_buf_printf(&((struct stage *)h)->told, "%s: %s\n", names[level], text));
}
static inline void stage_count(struct mr_host *h, const char *metric, int64_t delta)
{
    assert_true(mr_buf_printf(&((struct stage *)h)->counted, "%s %+lld\n", metric, (long long)delta));
}
static inline void stage_written(struct mr_host *h, uint64_t ticket, const struct mr_verdict *verdict)
{
    (void)h;
    (void)ticket;
    (void)verdict;
}

static const struct mr_host_ops stage_ops = {stage_batch_new, stage_emit,  stage_now,     stage_monotonic,
                                             stage_wake,      stage_watch, stage_unwatch, stage_timer,
                                             stage_once,      stage_log,   stage_count,   stage_written};

static inline void stage_open(struct stage *s)
{
    *s = (struct stage){.host = {.ops = &stage_ops, .label = "test/steps[1]"},
                        .now = 1760104510000000000,
                        .timer = MR_NEVER,
                        .batches_left = 1000000};
    s->host.lua = &s->lua;
    s->pool = mr_batch_pool_new(8, (size_t)256 << 20);
    assert_non_null(s->pool);
}
static inline void stage_forget(struct stage *s)
{
    for (uint32_t i = 0; i < s->emitted_count; i++)
        mr_batch_free(s->emitted[i]);
    s->emitted_count = 0;
    s->told.len = s->counted.len = 0;
}
static inline void stage_close(struct stage *s)
{
    stage_forget(s);
    mr_lua_free(s->lua);
    mr_buf_fini(&s->told);
    mr_buf_fini(&s->counted);
    mr_batch_pool_free(s->pool);
}
static inline void assert_told(struct stage *s, const char *want)
{
    assert_true(mr_buf_put(&s->told, "", 1));
    s->told.len--;
    if (!strstr(s->told.p, want))
        fail_msg("'%s' was not told, but: %s", want, s->told.p);
}

/* One component on the stage, options as name, YAML scalar pairs. */
struct player {
    const struct mr_component *c;
    void *self;
    struct mr_heap_arena arena;
    struct mr_owned *owned;
    struct mr_open open;
    struct mr_err err;
};

struct given {
    const char *name;
    struct mr_value v;
};

/* Fills and checks; options that do not fit fail the test. */
static inline mr_code player_prepare(struct player *p, struct stage *s, const struct mr_component *c,
                                     const struct given *given, uint32_t count)
{
    *p = (struct player){.c = c};
    mr_heap_arena_init(&p->arena, 4096, 0, 1 << 24);
    p->self = mr_alloc(c->self_size);
    assert_non_null(p->self);
    struct mr_member m[16] = {0};
    assert_true(count <= 16);
    for (uint32_t i = 0; i < count; i++)
        m[i] = (struct mr_member){
            .name = given[i].name, .name_len = (uint32_t)strlen(given[i].name), .v = given[i].v};
    struct mr_value options = {.tag = MR_OBJECT, .len = count, .u.object = m};
    struct mr_node *n = mr_node_of_value(&options, &p->arena.arena);
    assert_non_null(n);
    struct mr_diags diags = {0};
    if (!mr_options_fill(c->options, "step 'test'", n, n, p->self, &p->arena.arena, &p->owned, &diags))
        fail_msg("%s", diags.v[0].text);
    mr_diags_fini(&diags);
    p->open = (struct mr_open){.size = sizeof p->open, .services = mr_services(), .host = &s->host};
    return c->check ? c->check(p->self, &p->open, &p->err) : MR_OK;
}
static inline mr_code player_open(struct player *p, struct stage *s, const struct mr_component *c,
                                  const struct given *given, uint32_t count)
{
    mr_code rc = player_prepare(p, s, c, given, count);
    return rc ? rc : c->open ? c->open(p->self, &p->open, &p->err) : MR_OK;
}
static inline void player_close(struct player *p)
{
    if (p->c->close)
        p->c->close(p->self);
    mr_options_fini(p->owned);
    mr_heap_arena_fini(&p->arena);
    mr_free(p->self);
}

static inline struct mr_value text_value(const char *text)
{
    return mr_value_string(mr_slice_of(text));
}

#endif
