/* group_site.h - what the tests of groups share: a coordinator on a simulated node, clients that tell what
 * happens to them, and a trace of it with stepped time. The disk takes 1 ms to sync. */
#ifndef MR_TESTS_BROKER_GROUP_SITE_H
#define MR_TESTS_BROKER_GROUP_SITE_H

#include "broker/mill.h"

#include "broker/group.h"
#include "wire/message.h"

#include <stdlib.h>

enum { CLIENTS_MAX = 256, ID_BYTES = 128, ASSIGNED_BYTES = 4096 };

struct site;
struct client {
    struct site *site;
    const char *name, *instance, *protocols; /* protocols: names by blanks, the preferred one first */
    struct mr_slice metadata;                /* p NULL: the name */
    char id[ID_BYTES], leader[ID_BYTES];
    int32_t generation;
    mr_ms session_ms, rebalance_ms;
    bool old, skips; /* old: asks without an id (before v4) */
    struct mr_join join;
    struct mr_sync sync;
    bool joining, syncing,
        told_generation; /* out: an answer is awaited; it was told one since the last look */
    enum mr_refusal refusal;
    char assigned[ASSIGNED_BYTES];
    char roll[CLIENTS_MAX][ID_BYTES]; /* members, when it leads */
    size_t roll_count;
};

struct site {
    struct mill mill;
    struct mr_broker *broker;
    struct mr_broker_config broker_config;
    struct mr_groups *groups;
    struct mr_groups_config config;
    struct client *clients[CLIENTS_MAX];
    size_t client_count;
    mr_ms start;
    struct mr_buf trace, told;
    bool quiet;
};

static inline void site_tell(void *arg, enum mr_level level, const char *text)
{
    struct site *s = arg;
    (void)level;
    assert_true(mr_buf_printf(&s->told, "%s\n", text));
    if (getenv("MR_TELL"))
        print_message("%s\n", text);
}

__attribute__((format(printf, 2, 3))) static inline void say(struct site *s, const char *format, ...)
{
    char text[1024];
    va_list args;
    if (s->quiet)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_true(
        mr_buf_printf(&s->trace, "[%6lld] %s\n", (long long)(mr_sim_now(s->mill.sim) - s->start), text));
}

static inline void site_open(struct site *s)
{
    struct mr_err err = {0};
    if (mr_broker_open(s->mill.world, "d", &s->broker_config, &s->broker, &err) ||
        mr_groups_open(s->mill.world, s->broker, &s->config, &s->groups, &err))
        fail_msg("%s", err.text);
}

static inline void site_close(struct site *s)
{
    mr_groups_close(s->groups);
    mr_broker_close(s->broker);
    s->groups = NULL;
    s->broker = NULL;
}

static inline struct site *site_new(uint64_t seed)
{
    struct site *s = mr_need(sizeof *s);
    s->mill = mill_new(seed);
    mr_sim_faults(s->mill.world)->sync_ms_max = 1;
    mr_broker_config_init(&s->broker_config);
    s->broker_config.tick_ms = 0;
    mr_groups_config_init(&s->config);
    s->config.tell = site_tell;
    s->config.tell_arg = s;
    s->start = mr_sim_now(s->mill.sim);
    site_open(s);
    return s;
}

static inline void site_free(struct site *s)
{
    if (s->groups)
        site_close(s);
    for (size_t i = 0; i < s->client_count; i++)
        mr_free(s->clients[i]);
    mr_sim_free(s->mill.sim);
    mr_buf_fini(&s->trace);
    mr_buf_fini(&s->told);
    mr_free(s);
}

static inline void after(struct site *s, mr_ms ms)
{
    mr_sim_run_until(s->mill.sim, mr_sim_now(s->mill.sim) + ms);
}

/* The trace since the last look. */
static inline void expect(struct site *s, const char *want)
{
    assert_true(mr_buf_put(&s->trace, "", 1));
    assert_string_equal(s->trace.p, want);
    s->trace.len = 0;
}

static inline void expect_told(struct site *s, const char *word)
{
    assert_true(mr_buf_put(&s->told, "", 1));
    if (!strstr(s->told.p, word))
        fail_msg("nothing was told of '%s', but: %s", word, s->told.p);
    s->told.len = 0;
}

/* The process ends and another one starts. lost: with it the power went. */
static inline void restart(struct site *s, bool power)
{
    if (power)
        mr_sim_crash(s->mill.world);
    else
        mr_sim_kill(s->mill.world);
    site_close(s);
    mr_sim_restart(s->mill.world);
    for (size_t i = 0; i < s->client_count; i++)
        s->clients[i]->joining = s->clients[i]->syncing = false;
    site_open(s);
    after(s, 5);
    for (int i = 0; i < 20 && mr_groups_loading(s->groups); i++) /* a slow disk recovers for longer */
        after(s, 5);
    assert_false(mr_groups_loading(s->groups));
}

/* ------------------------------------------------------------------ clients */

static inline const char *name_of(const struct site *s, struct mr_slice id)
{
    for (size_t i = 0; i < s->client_count; i++)
        if (id.len && mr_slice_eq(mr_slice_of(s->clients[i]->id), id))
            return s->clients[i]->name;
    return "somebody";
}

static inline void copy_id(char out[ID_BYTES], struct mr_slice id)
{
    assert_true(id.len < ID_BYTES);
    (void)snprintf(out, ID_BYTES, "%.*s", MR_SLICE_ARG(id));
}

static inline void on_joined(struct mr_join *j)
{
    struct client *c = j->arg;
    char roll[600] = "";
    c->joining = false;
    c->refusal = j->refusal;
    if (j->refusal == MR_REFUSE_MEMBER_ID_REQUIRED)
        copy_id(c->id, j->out_member);
    if (j->refusal) {
        say(c->site, "%s join: %s", c->name, mr_refusal_text(j->refusal));
        return;
    }
    copy_id(c->id, j->out_member);
    copy_id(c->leader, j->leader);
    c->generation = j->generation;
    c->told_generation = true;
    c->roll_count = j->member_count;
    for (size_t i = 0; i < j->member_count; i++) {
        size_t at = strlen(roll);
        copy_id(c->roll[i], j->members[i].id);
        (void)snprintf(roll + at, sizeof roll - at, " %s", name_of(c->site, j->members[i].id));
    }
    say(c->site, "%s joined %d by %.*s, %s %s%s%s%s", c->name, j->generation, MR_SLICE_ARG(j->out_protocol),
        j->member_count ? "leads" : "follows", j->member_count ? "" : name_of(c->site, j->leader),
        j->member_count ? roll + 1 : "", j->skip_assignment ? ", skips" : "", "");
}

static inline void on_synced(struct mr_sync *y)
{
    struct client *c = y->arg;
    c->syncing = false;
    c->refusal = y->refusal;
    if (y->refusal) {
        say(c->site, "%s sync: %s", c->name, mr_refusal_text(y->refusal));
        return;
    }
    (void)snprintf(c->assigned, sizeof c->assigned, "%.*s", MR_SLICE_ARG(y->assignment));
    say(c->site, "%s got '%s'", c->name, c->assigned);
}

static inline struct client *client(struct site *s, const char *name)
{
    struct client *c = mr_need(sizeof *c);
    assert_true(s->client_count < CLIENTS_MAX);
    *c = (struct client){
        .site = s, .name = name, .protocols = "range", .session_ms = 10000, .rebalance_ms = 60000};
    s->clients[s->client_count++] = c;
    return c;
}

static inline void join(struct client *c)
{
    struct mr_group_protocol p[8];
    size_t n = 0;
    for (const char *at = c->protocols; *at && n < 8;) {
        size_t len = strcspn(at, " ");
        p[n++] = (struct mr_group_protocol){{at, len}, c->metadata.p ? c->metadata : mr_slice_of(c->name)};
        at += len + (at[len] == ' ');
    }
    assert_false(c->joining);
    c->join = (struct mr_join){
        .group = MR_SLICE("g"),
        .member = mr_slice_of(c->id),
        .instance = mr_slice_of(c->instance),
        .protocol_type = MR_SLICE("consumer"),
        .client_id = mr_slice_of(c->name),
        .client_host = MR_SLICE("/10.0.0.1"),
        .protocols = p,
        .protocol_count = n,
        .session_ms = c->session_ms,
        .rebalance_ms = c->rebalance_ms,
        .needs_id = !c->old,
        .skips = c->skips,
        .done = on_joined,
        .arg = c,
    };
    c->joining = true;
    if (mr_groups_join(c->site->groups, &c->join))
        on_joined(&c->join);
    c->join.protocols = NULL;
}

/* With the id that it is given. */
static inline void enter(struct client *c)
{
    bool quiet = c->site->quiet;
    if (!c->instance && !c->old) {
        c->site->quiet = true;
        join(c);
        c->site->quiet = quiet;
        assert_int_equal(c->refusal, MR_REFUSE_MEMBER_ID_REQUIRED);
    }
    join(c);
}

/* A leader gives "<generation>/<id's end>" to each on its roll. */
static inline void wanted(int32_t generation, const char *id, char out[ID_BYTES])
{
    (void)snprintf(out, ID_BYTES, "%d/%.100s", generation, id);
}

static inline void sync_as(struct client *c, int32_t generation, bool plain)
{
    struct mr_group_assignment a[CLIENTS_MAX];
    static char text[CLIENTS_MAX][ID_BYTES];
    for (size_t i = 0; i < c->roll_count; i++) {
        if (plain)
            (void)snprintf(text[i], ID_BYTES, "for %s", name_of(c->site, mr_slice_of(c->roll[i])));
        else
            wanted(generation, c->roll[i], text[i]);
        a[i] = (struct mr_group_assignment){mr_slice_of(c->roll[i]), mr_slice_of(text[i])};
    }
    assert_false(c->syncing);
    c->sync = (struct mr_sync){
        .group = MR_SLICE("g"),
        .member = mr_slice_of(c->id),
        .instance = mr_slice_of(c->instance),
        .generation = generation,
        .assignments = a,
        .assignment_count = c->roll_count,
        .done = on_synced,
        .arg = c,
    };
    c->syncing = true;
    if (mr_groups_sync(c->site->groups, &c->sync))
        on_synced(&c->sync);
    c->sync.assignments = NULL;
}

static inline void sync_group(struct client *c)
{
    sync_as(c, c->generation, true);
}

static inline enum mr_refusal beat_quietly(struct client *c)
{
    return mr_groups_heartbeat(c->site->groups, MR_SLICE("g"), c->generation, mr_slice_of(c->id),
                               mr_slice_of(c->instance));
}

static inline void beat(struct client *c)
{
    say(c->site, "%s beats: %s", c->name, mr_refusal_text(beat_quietly(c)));
}

static inline void leave(struct client *c)
{
    enum mr_refusal why =
        mr_groups_leave(c->site->groups, MR_SLICE("g"), mr_slice_of(c->id), mr_slice_of(c->instance));
    say(c->site, "%s leaves: %s", c->name, mr_refusal_text(why));
}

static inline void look(struct site *s)
{
    struct mr_group_view v = {0};
    enum mr_refusal why = mr_groups_view(s->groups, MR_SLICE("g"), &v);
    if (why)
        say(s, "group: %s", mr_refusal_text(why));
    else
        say(s, "group: %s %d, %u members", mr_group_state_name(v.state), v.generation, v.members);
}

/* Connection gone, with what was asked on it. */
static inline void hang_up(struct client *c)
{
    if (c->joining)
        mr_groups_forget_join(&c->join);
    if (c->syncing)
        mr_groups_forget_sync(&c->sync);
    c->joining = c->syncing = false;
}

/* A stable group of these, without a word in the trace. */
static inline void settle_group(struct site *s, struct client *const *c, size_t count)
{
    s->quiet = true;
    for (size_t i = 0; i < count; i++)
        enter(c[i]);
    after(s, 10000); /* longer than the initial delay with one extension */
    for (size_t i = 0; i < count; i++)
        sync_group(c[i]);
    after(s, 5);
    for (size_t i = 0; i < count; i++)
        assert_true(c[i]->assigned[0] && !c[i]->refusal);
    s->quiet = false;
    s->start = mr_sim_now(s->mill.sim);
}

#endif
