/* group_fault_test.c - members that die at any point of their life, power that goes at any operation of the
 * disk, budgets that are used up: what the others see. */
#include "broker/group_site.h"
#include "broker/moved.h"

#include "sim/seeds.h"

/* ------------------------------------------------------------------ members that die */

/* Where a member stops. */
enum point {
    FIRST_JOIN,   /* its first join waits */
    JOINED_AGAIN, /* preparing, it has joined */
    NOT_JOINED,   /* preparing, it has not */
    BEFORE_SYNC,  /* completing, it knows the generation */
    SYNCING,      /* completing, it waits for its assignment */
    STABLE,       /* it has its assignment */
    COMMITTING,   /* a commit of it is on its way */
    POINTS
};

struct life {
    struct client *c;
    bool dead, stable;
    mr_ms beat_at;
};

enum { LIVES = 4, STEP_MS = 100, BEAT_MS = 3000 };

struct scene {
    struct site *s;
    struct life v[LIVES];
    int count;
    enum point point;
    bool leads, is_static, hangs_up; /* of who dies */
    int victim;                      /* -1: not yet */
    struct mr_commit commit;
    struct mr_commit_row row;
};

static void on_commit(struct mr_commit *c)
{
    (void)c;
}

static void die(struct scene *e, struct life *l)
{
    if (e->point == COMMITTING) {
        e->row = (struct mr_commit_row){.topic = MR_SLICE("t"), .offset = 5, .metadata = MR_SLICE("")};
        e->commit = (struct mr_commit){.group = MR_SLICE("g"),
                                       .member = mr_slice_of(l->c->id),
                                       .instance = mr_slice_of(l->c->instance),
                                       .generation = l->c->generation,
                                       .retention_ms = -1,
                                       .rows = &e->row,
                                       .row_count = 1,
                                       .done = on_commit};
        assert_false(mr_groups_commit(e->s->groups, &e->commit));
        mr_groups_forget_commit(&e->commit);
    }
    l->dead = true;
    if (e->hangs_up)
        hang_up(l->c);
}

/* What a client does next, as the protocol says. */
static void live(struct scene *e, struct life *l)
{
    struct client *c = l->c;
    mr_ms now = mr_sim_now(e->s->mill.sim);
    if (l->dead || c->joining || c->syncing)
        return;
    if (c->told_generation) {
        c->told_generation = l->stable = false;
        sync_as(c, c->generation, false);
        return;
    }
    if (c->assigned[0] && c->refusal == MR_REFUSE_NONE && !l->stable) {
        l->stable = true;
        l->beat_at = now + (l - e->v) * 300; /* not all at once */
    }
    if (l->stable && now < l->beat_at)
        return;
    enum mr_refusal why = l->stable ? beat_quietly(c) : c->refusal;
    l->beat_at = now + BEAT_MS;
    if (l->stable && why == MR_REFUSE_NONE)
        return;
    if (why == MR_REFUSE_UNKNOWN_MEMBER || why == MR_REFUSE_FENCED_INSTANCE)
        c->id[0] = '\0';
    l->stable = false;
    c->assigned[0] = '\0';
    if (!c->id[0])
        enter(c);
    else
        join(c);
}

static bool is_there(const struct scene *e, const struct life *l)
{
    struct mr_group_view v;
    const struct client *c = l->c;
    bool preparing =
        mr_groups_view(e->s->groups, MR_SLICE("g"), &v) == MR_REFUSE_NONE && v.state == MR_GROUP_PREPARING;
    switch (e->point) {
    case FIRST_JOIN:
        return c->joining && c->generation == 0;
    case JOINED_AGAIN:
        return c->joining && c->generation > 0 && preparing;
    case NOT_JOINED:
        return !c->joining && c->generation > 0 && preparing && l->stable;
    case BEFORE_SYNC:
        return c->told_generation;
    case SYNCING:
        return c->syncing;
    case STABLE:
    case COMMITTING:
        return l->stable && !preparing && v.state == MR_GROUP_STABLE;
    case POINTS:
        break;
    }
    return false;
}

static bool is_wanted(const struct scene *e, int i)
{
    const struct client *c = e->v[i].c;
    if (e->point == FIRST_JOIN)
        return (i == 0) == e->leads; /* who comes first leads */
    return (strcmp(c->id, c->leader) == 0) == e->leads;
}

static void steps(struct scene *e, mr_ms ms)
{
    for (mr_ms done = 0; done < ms; done += STEP_MS) {
        for (int i = 0; i < e->count; i++) {
            if (e->victim < 0 && is_there(e, &e->v[i]) && is_wanted(e, i)) {
                e->victim = i;
                die(e, &e->v[i]);
            }
            live(e, &e->v[i]);
            if (e->victim < 0 && e->point == SYNCING && is_there(e, &e->v[i]) && is_wanted(e, i)) {
                e->victim = i;
                die(e, &e->v[i]);
            }
        }
        after(e->s, STEP_MS);
    }
}

static void play(enum point point, bool leads, bool is_static, bool hangs_up)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    struct scene e = {.s = site_new((uint64_t)point + 1),
                      .point = point,
                      .leads = leads,
                      .is_static = is_static,
                      .hangs_up = hangs_up,
                      .victim = -1};
    struct mr_err err = {0};
    struct mr_group_view v;
    struct mr_group_member_view m[LIVES];
    e.s->quiet = true;
    assert_int_equal(mr_broker_create(e.s->broker, MR_SLICE("t"), 1, NULL, 0, false, NULL, &err), 0);
    for (; e.count < 3; e.count++) {
        e.v[e.count].c = client(e.s, names[e.count]);
        e.v[e.count].c->instance = is_static ? names[e.count] : NULL;
        e.v[e.count].c->rebalance_ms = 20000;
        enter(e.v[e.count].c);
    }
    steps(&e, 15000);
    if (e.victim < 0 && (point == JOINED_AGAIN || point == NOT_JOINED)) { /* a newcomer makes them prepare */
        e.v[e.count].c = client(e.s, names[e.count]);
        e.v[e.count].c->rebalance_ms = 20000;
        enter(e.v[e.count].c);
        e.count++;
    }
    steps(&e, 120000);
    if (e.victim < 0)
        fail_msg("nobody came to point %d (leads %d)", (int)point, leads);
    assert_int_equal(mr_groups_view(e.s->groups, MR_SLICE("g"), &v), MR_REFUSE_NONE);
    assert_int_equal(v.state, MR_GROUP_STABLE);
    assert_int_equal(v.members, e.count - 1);
    assert_int_equal(mr_groups_members(e.s->groups, MR_SLICE("g"), m, LIVES), e.count - 1);
    for (int i = 0; i < e.count; i++) {
        char want[ID_BYTES];
        const struct client *c = e.v[i].c;
        bool member = false;
        for (int k = 0; k < e.count - 1; k++)
            member |= mr_slice_eq(m[k].id, mr_slice_of(c->id));
        assert_true(member != e.v[i].dead);
        if (e.v[i].dead)
            continue;
        assert_true(e.v[i].stable);
        assert_int_equal(c->generation, v.generation);
        wanted(v.generation, c->id, want);
        assert_string_equal(c->assigned, want); /* the leader gave it, in this generation */
    }
    struct mr_committed committed;
    bool have = mr_groups_committed(e.s->groups, MR_SLICE("g"), MR_SLICE("t"), 0, &committed);
    assert_true(have == (point == COMMITTING)); /* it was on its way: it counts */
    site_free(e.s);
}

static void whoever_dies_wherever_in_its_life_the_others_go_on(void **state)
{
    (void)state;
    int played = 0;
    for (int point = 0; point < POINTS; point++)
        for (int how = 0; how < 8; how++) {
            if (point == SYNCING && (how & 1))
                continue; /* a leader's sync is not waited for by others: its assignments are on their way */
            play((enum point)point, how & 1, how & 2, how & 4);
            played++;
        }
    assert_int_equal(played, POINTS * 8 - 4);
}

static void a_leader_that_dies_while_its_assignments_are_written_leaves_a_group_that_goes_on(void **state)
{
    (void)state;
    for (int hangs_up = 0; hangs_up < 2; hangs_up++)
        play(SYNCING, true, false, hangs_up);
}

/* ------------------------------------------------------------------ power lost at any operation */

enum { MOVES = 12 };

/* What was answered, to hold against what is there after the power came back. */
struct promise {
    int64_t asked, acked; /* of the offsets; -1 none */
    int32_t generation;   /* the largest that was told */
    char member[ID_BYTES], assigned[ASSIGNED_BYTES];
};

static bool up(const struct site *s)
{
    return !mr_sim_is_down(s->mill.world);
}

static void run_until(struct site *s, const bool *waits, bool until)
{
    for (int i = 0; i < 5000 && up(s) && *waits != until; i++)
        after(s, 5);
}

static void commit_next(struct site *s, const struct client *c, struct promise *p)
{
    struct moved m = moved_to("g", ++p->asked, MR_SLICE("meta"));
    m.c.member = mr_slice_of(c->id);
    m.c.generation = c->generation;
    if (moved_send(&s->mill, s->groups, &m) == MR_REFUSE_NONE)
        p->acked = p->asked;
}

/* A member's day: it joins, syncs, commits, joins again, ... until the power goes or it is done. */
static void day(struct site *s, struct client *c, struct promise *p)
{
    while (up(s) && p->asked < MOVES) {
        c->id[0] = c->assigned[0] = '\0';
        c->refusal = MR_REFUSE_NONE;
        enter(c);
        run_until(s, &c->joining, false);
        if (!up(s) || c->refusal || c->joining)
            return;
        p->generation = c->generation;
        sync_as(c, c->generation, false);
        run_until(s, &c->syncing, false);
        if (!up(s) || c->refusal || c->syncing)
            return;
        (void)snprintf(p->member, sizeof p->member, "%s", c->id);
        (void)snprintf(p->assigned, sizeof p->assigned, "%s", c->assigned);
        for (int i = 0; i < 3 && up(s); i++)
            commit_next(s, c, p);
        if (up(s) && beat_quietly(c) == MR_REFUSE_NONE && p->asked % 2)
            leave(c);
        if (up(s))
            p->member[0] = '\0'; /* another one comes */
    }
}

static int members_kept;

static void keeps(struct site *s, const struct promise *p)
{
    struct mr_committed c;
    struct mr_group_view v = {0};
    struct mr_group_member_view m[4];
    bool have = mr_groups_committed(s->groups, MR_SLICE("g"), MR_SLICE("t"), 0, &c);
    int64_t is = have ? c.offset : -1;
    if (is < p->acked || is > p->asked)
        fail_msg("offset %lld, acknowledged %lld, asked for %lld", (long long)is, (long long)p->acked,
                 (long long)p->asked);
    (void)mr_groups_view(s->groups, MR_SLICE("g"), &v);
    if (p->member[0] && v.state == MR_GROUP_STABLE) {
        assert_int_equal(mr_groups_members(s->groups, MR_SLICE("g"), m, 4), v.members);
        for (uint32_t i = 0; i < v.members; i++)
            if (mr_slice_eq(m[i].id, mr_slice_of(p->member)))
                assert_true(mr_slice_eq(m[i].assignment, mr_slice_of(p->assigned)));
        members_kept++;
    }
    if (v.generation < p->generation) /* G3 */
        fail_msg("generation %d after %d was told", v.generation, p->generation);
}

static void power_lost_at_any_operation_takes_back_nothing_that_was_answered(void **state)
{
    (void)state;
    uint64_t operations = 0;
    for (int mood = 0; mood < 3; mood++) /* the disk keeps some, all, or nothing of what was not synced */
        for (uint64_t at = 0; at == 0 || at <= operations; at++) {
            struct site *s = site_new(at * 3 + (uint64_t)mood + 1);
            struct client *c = client(s, "c");
            struct promise p = {.asked = -1, .acked = -1};
            struct mr_err err = {0};
            s->quiet = true;
            assert_int_equal(mr_broker_create(s->broker, MR_SLICE("t"), 1, NULL, 0, false, NULL, &err), 0);
            mr_sim_faults(s->mill.world)->keep_all = mood == 1;
            mr_sim_faults(s->mill.world)->lose_all = mood == 2;
            mr_sim_faults(s->mill.world)->crash_at = at;
            uint64_t before = mr_sim_counts(s->mill.world)->operations;
            day(s, c, &p);
            if (at == 0 && mood == 0)
                operations = mr_sim_counts(s->mill.world)->operations - before;
            mr_sim_faults(s->mill.world)->crash_at = 0;
            if (!up(s)) {
                restart(s, true);
                keeps(s, &p);
            }
            for (int days = 0; p.asked < MOVES && days < 100; days++)
                day(s, c, &p);
            assert_true(p.asked >= MOVES); /* and life goes on */
            restart(s, false);
            keeps(s, &p);
            site_free(s);
        }
    assert_true(operations > 20);
    assert_true(members_kept > 20);
}

/* ------------------------------------------------------------------ the topic goes */

static void the_offsets_topic_may_go_at_any_time_and_who_waits_is_answered(void **state)
{
    (void)state;
    for (mr_ms at = 0; at < 4; at++) {
        struct site *s = site_new((uint64_t)at + 1);
        struct client *a = client(s, "a"), *b = client(s, "b");
        struct mr_err err = {0};
        struct moved m = moved_to("g", 1, MR_SLICE("")), n = moved_to("h", 2, MR_SLICE(""));
        s->quiet = true;
        assert_int_equal(mr_broker_create(s->broker, MR_SLICE("t"), 1, NULL, 0, false, NULL, &err), 0);
        settle_group(s, &a, 1);
        s->quiet = true;
        m.c.member = mr_slice_of(a->id);
        m.c.generation = a->generation;
        m.c.rows = &m.row;
        n.c.rows = &n.row;
        n.c.transactional = true;
        n.c.producer = 5;
        m.done = mr_groups_commit(s->groups, &m.c);
        n.done = mr_groups_commit(s->groups, &n.c);
        enter(b);
        after(s, at);
        assert_int_equal(mr_broker_delete(s->broker, MR_SLICE(MR_OFFSETS_TOPIC), &err), MR_REFUSE_NONE);
        mr_groups_topic_deleted(s->groups, MR_SLICE(MR_OFFSETS_TOPIC));
        after(s, 100);
        assert_true(m.done && n.done && !b->joining);
        assert_int_equal(beat_quietly(a), MR_REFUSE_UNKNOWN_MEMBER);
        m = moved_to("g", 3, MR_SLICE(""));
        assert_int_equal(moved_send(&s->mill, s->groups, &m), MR_REFUSE_NONE);
        site_free(s);
    }
}

/* ------------------------------------------------------------------ clocks */

static void a_wall_clock_that_jumps_ends_no_session(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b"), *both[] = {a, b};
    struct mr_group_view v;
    settle_group(s, both, 2);
    for (int i = 0; i < 8; i++) {
        mr_sim_wall_jump(s->mill.world, (i % 2 ? -1 : 1) * (int64_t)(i + 1) * 30 * 24 * 3600 * 1000000000);
        after(s, 9000);
        assert_int_equal(beat_quietly(a), MR_REFUSE_NONE);
        assert_int_equal(beat_quietly(b), MR_REFUSE_NONE);
    }
    after(s, 9000);
    assert_int_equal(beat_quietly(a), MR_REFUSE_NONE);
    after(s, 1100); /* and none goes on longer for it */
    assert_int_equal(mr_groups_view(s->groups, MR_SLICE("g"), &v), MR_REFUSE_NONE);
    assert_int_equal(v.members, 1);
    site_free(s);
}

/* ------------------------------------------------------------------ budgets */

static enum mr_refusal note(struct site *s, const char *group, const char *metadata, size_t len)
{
    struct moved m = moved_to(group, 1, (struct mr_slice){metadata, len});
    return moved_send(&s->mill, s->groups, &m);
}

static void what_clients_say_has_one_budget_and_what_goes_makes_room(void **state)
{
    (void)state;
    static char big[4096], huge[30000];
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b");
    struct mr_err err = {0};
    char name[32];
    s->quiet = true;
    memset(big, 'x', sizeof big);
    memset(huge, 'y', sizeof huge);
    assert_int_equal(mr_broker_create(s->broker, MR_SLICE("t"), 1, NULL, 0, false, NULL, &err), 0);
    site_close(s);
    s->config.bytes_max = 100000;
    site_open(s);
    a->metadata = (struct mr_slice){huge, sizeof huge};
    settle_group(s, &a, 1);
    s->quiet = true;
    int taken = 0;
    while (taken < 30) {
        (void)snprintf(name, sizeof name, "g%d", taken);
        enum mr_refusal why = note(s, name, big, sizeof big);
        if (why) {
            assert_int_equal(why, MR_REFUSE_INVALID_COMMIT_SIZE);
            break;
        }
        taken++;
    }
    assert_in_range(taken, 10, 17);
    expect_told(s, "bytes_max 100000");
    /* a member that says little still has a place, one that says much has not */
    b->metadata = (struct mr_slice){huge, sizeof huge};
    join(b);
    assert_int_equal(b->refusal, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(beat_quietly(a), MR_REFUSE_NONE); /* who is there is not disturbed, and can go on */
    int32_t before = a->generation;
    join(a);
    after(s, 5);
    assert_int_equal(a->generation, before + 1);
    a->assigned[0] = '\0';
    sync_group(a);
    after(s, 5);
    assert_string_equal(a->assigned, "for a");
    /* what goes makes room */
    for (int i = 0; i < taken; i++) {
        (void)snprintf(name, sizeof name, "g%d", i);
        assert_int_equal(note(s, name, "", 0), MR_REFUSE_NONE);
    }
    join(b);
    assert_int_equal(b->refusal, MR_REFUSE_MEMBER_ID_REQUIRED);
    join(b);
    assert_true(b->joining);
    hang_up(b);
    site_free(s); /* G8 is asserted there */
}

static void a_budget_that_is_smaller_than_what_is_on_disk_hides_nothing(void **state)
{
    (void)state;
    static char big[4096];
    struct site *s = site_new(1);
    struct mr_err err = {0};
    struct mr_committed c;
    char name[32];
    s->quiet = true;
    memset(big, 'x', sizeof big);
    assert_int_equal(mr_broker_create(s->broker, MR_SLICE("t"), 1, NULL, 0, false, NULL, &err), 0);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "g%d", i);
        assert_int_equal(note(s, name, big, sizeof big), MR_REFUSE_NONE);
    }
    s->config.bytes_max = 10000;
    restart(s, false);
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof name, "g%d", i);
        assert_true(mr_groups_committed(s->groups, mr_slice_of(name), MR_SLICE("t"), 0, &c));
        assert_int_equal(c.metadata.len, sizeof big);
    }
    assert_int_equal(note(s, "g0", big, 10), MR_REFUSE_INVALID_COMMIT_SIZE);
    site_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_dies_wherever_in_its_life_the_others_go_on),
        cmocka_unit_test(a_leader_that_dies_while_its_assignments_are_written_leaves_a_group_that_goes_on),
        cmocka_unit_test(power_lost_at_any_operation_takes_back_nothing_that_was_answered),
        cmocka_unit_test(the_offsets_topic_may_go_at_any_time_and_who_waits_is_answered),
        cmocka_unit_test(a_wall_clock_that_jumps_ends_no_session),
        cmocka_unit_test(what_clients_say_has_one_budget_and_what_goes_makes_room),
        cmocka_unit_test(a_budget_that_is_smaller_than_what_is_on_disk_hides_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
