/* group_law_test.c - many members at once, and what clients may see whatever they do: see the laws in
 * group.h. */
#include "broker/group_site.h"
#include "sim/seeds.h"

#include <time.h>

/* ------------------------------------------------------------------ many */

static double seconds(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void two_hundred_members_join_at_once(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *c[200];
    s->quiet = true;
    for (int i = 0; i < 200; i++) {
        c[i] = client(s, "c");
        enter(c[i]);
    }
    after(s, 6001);
    for (int i = 0; i < 200; i++) {
        assert_int_equal(c[i]->generation, 1);
        assert_string_equal(c[i]->leader, c[0]->id);
        assert_int_equal(c[i]->roll_count, i ? 0 : 200);
    }
    for (int i = 199; i >= 0; i--)
        sync_as(c[i], 1, false);
    after(s, 2);
    for (int i = 0; i < 200; i++) {
        char want[ID_BYTES];
        wanted(1, c[i]->id, want);
        assert_string_equal(c[i]->assigned, want);
    }
    site_free(s);
}

/* 100 members, each with ten of a thousand partitions; the coordinator's part of it, disk and network apart.
 */
static void a_hundred_members_of_a_thousand_partitions_rebalance_far_below_a_second(void **state)
{
    (void)state;
    enum { MEMBERS = 100, BYTES = 24000 };
    struct site *s = site_new(1);
    struct client *c[MEMBERS];
    char *big = mr_need(BYTES); /* a subscription that tells of a thousand owned partitions and more */
    s->quiet = true;
    for (int i = 0; i < MEMBERS; i++) {
        c[i] = client(s, "c");
        c[i]->metadata = (struct mr_slice){big, BYTES};
        enter(c[i]);
    }
    after(s, 6001);
    double from = seconds();
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < MEMBERS; i++)
            sync_as(c[i], c[i]->generation, false);
        after(s, 2);
        for (int i = 0; i < MEMBERS; i++)
            join(c[i]);
        after(s, 2);
        for (int i = 0; i < MEMBERS; i++)
            assert_int_equal(c[i]->generation, round + 2);
    }
    double each = (seconds() - from) / 10;
    print_message("one rebalance of %d members: %.1f ms\n", MEMBERS, each * 1000);
    assert_true(each < 0.5);
    mr_free(big);
    site_free(s);
}

/* ------------------------------------------------------------------ laws */

struct history {
    int32_t heard;         /* the largest generation that anybody was told */
    char leader[ID_BYTES]; /* of that generation */
    int32_t assigned;      /* the largest generation that somebody has an assignment of */
};

/* What any client may see, whatever happens. The machine's own laws are asserted inside of it. */
static void look_at(struct history *h, struct client *c)
{
    char want[ID_BYTES];
    if (c->told_generation) {
        c->told_generation = false;
        if (c->generation < h->heard)
            fail_msg("%s was told of generation %d after somebody was told of %d", c->name, c->generation,
                     h->heard);
        c->leader[strlen(c->leader) - 36] = '\0'; /* a static one may have been replaced: by its name */
        if (c->generation > h->heard)
            (void)snprintf(h->leader, sizeof h->leader, "%s", c->leader);
        assert_string_equal(c->leader, h->leader); /* one leader a generation */
        h->heard = c->generation;
    }
    if (c->assigned[0]) {
        wanted(c->generation, c->id, want);
        if (c->instance) /* of whoever had its place when the leader assigned */
            want[strlen(want) - 36] = '\0';
        if (c->instance ? strncmp(c->assigned, want, strlen(want)) : strcmp(c->assigned, want))
            fail_msg("%s in generation %d got '%s': rerun with MR_SEED", c->name, c->generation, c->assigned);
        c->assigned[0] = '\0';
    }
}

static void act(struct site *s, struct client *c)
{
    switch (mr_sim_random(s->mill.sim, 12)) {
    case 0:
    case 1:
    case 2:
        if (!c->joining && !c->syncing) {
            if (c->refusal == MR_REFUSE_UNKNOWN_MEMBER || c->refusal == MR_REFUSE_FENCED_INSTANCE)
                c->id[0] = '\0';
            join(c);
        }
        break;
    case 3:
    case 4:
    case 5:
        if (!c->joining && !c->syncing && c->generation)
            sync_as(c, c->generation, false);
        break;
    case 6:
    case 7:
        if (beat_quietly(c) == MR_REFUSE_UNKNOWN_MEMBER && !c->joining && !c->syncing)
            c->id[0] = '\0';
        break;
    case 8:
        hang_up(c);
        break;
    case 9:
        if (mr_sim_random(s->mill.sim, 4) == 0) {
            leave(c);
            if (!c->joining && !c->syncing)
                c->id[0] = '\0';
        }
        break;
    case 10:
        c->metadata = mr_sim_random(s->mill.sim, 2) ? MR_SLICE("one") : MR_SLICE("two");
        break;
    default:
        c->protocols = mr_sim_random(s->mill.sim, 2) ? "range sticky" : "sticky range";
    }
}

static void random_story(uint64_t seed)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    static const char *const instances[] = {NULL, NULL, NULL, NULL, "i", "j"};
    struct site *s = site_new(seed);
    struct client *c[6];
    struct history h = {0};
    s->quiet = true;
    site_close(s);
    /* an empty group that is forgotten begins again with generation 1 */
    node_given(&s->broker_config, "offsets.retention.check.interval.ms", "31536000000");
    site_open(s);
    mr_sim_faults(s->mill.world)->sync_ms_max = 10;
    for (int i = 0; i < 6; i++) {
        c[i] = client(s, names[i]);
        c[i]->instance = instances[i];
        c[i]->old = mr_sim_random(s->mill.sim, 4) == 0;
        c[i]->rebalance_ms = 8000;
        c[i]->protocols = "range sticky";
    }
    for (int step = 0; step < 600; step++) {
        act(s, c[mr_sim_random(s->mill.sim, 6)]);
        if (mr_sim_random(s->mill.sim, 3) == 0)
            after(s, (mr_ms)mr_sim_random(s->mill.sim, mr_sim_random(s->mill.sim, 40) ? 300 : 12000));
        if (mr_sim_random(s->mill.sim, 100) == 0)
            restart(s, mr_sim_random(s->mill.sim, 2));
        for (int i = 0; i < 6; i++)
            look_at(&h, c[i]);
    }
    /* And when everybody behaves it comes to rest. */
    for (int i = 0; i < 6; i++)
        hang_up(c[i]);
    after(s, 40000);
    look_at(&h, c[0]);
    for (int i = 0; i < 6; i++) {
        c[i]->id[0] = '\0';
        c[i]->roll_count = 0;
        c[i]->protocols = "range sticky";
        join(c[i]);
        if (c[i]->refusal == MR_REFUSE_MEMBER_ID_REQUIRED && !c[i]->joining)
            join(c[i]);
    }
    after(s, 9000);                   /* shorter than a session */
    assert_int_equal(s->told.len, 0); /* nothing went wrong */
    for (int i = 0; i < 6; i++) {
        assert_false(c[i]->joining);
        look_at(&h, c[i]);
        sync_as(c[i], c[i]->generation, false);
    }
    after(s, 100);
    for (int i = 0; i < 6; i++) {
        assert_int_equal(beat_quietly(c[i]), MR_REFUSE_NONE);
        assert_int_equal(c[i]->generation, h.heard);
        assert_true(c[i]->assigned[0]);
        look_at(&h, c[i]);
    }
    site_free(s);
}

static void whatever_clients_do_generations_grow_and_have_one_leader(void **state)
{
    (void)state;
    uint64_t end = mr_seed_end(60);
    for (uint64_t seed = mr_seed_start(); seed < end; seed++)
        random_story(seed);
}

/* ------------------------------------------------------------------ want of memory */

enum { JOIN_A, JOIN_B, JOIN_C, SYNC_A, COMMIT_A, LEAVE_A, CALLS };

struct scarcity {
    struct client *c[3];
    struct mr_commit commit;
    struct mr_commit_row row;
};

static void nothing(struct mr_commit *c)
{
    (void)c;
}

static void one_call(struct site *s, struct scarcity *k, int call)
{
    switch (call) {
    case JOIN_A:
    case JOIN_B:
    case JOIN_C:
        join(k->c[call - JOIN_A]);
        break;
    case SYNC_A:
        sync_group(k->c[0]);
        break;
    case COMMIT_A:
        k->row = (struct mr_commit_row){.topic = MR_SLICE("t"), .offset = 1, .metadata = MR_SLICE("m")};
        k->commit = (struct mr_commit){.group = MR_SLICE("g"),
                                       .member = mr_slice_of(k->c[0]->id),
                                       .generation = k->c[0]->generation,
                                       .retention_ms = -1,
                                       .rows = &k->row,
                                       .row_count = 1,
                                       .done = nothing};
        (void)mr_groups_commit(s->groups, &k->commit);
        break;
    default:
        leave(k->c[0]);
    }
}

/* Does all calls, with the n-th allocation of one of them failing; then everybody dies and a group comes
 * together as if nothing had been. false: the call has fewer allocations. */
static bool scarce_story(int scarce, uint64_t n)
{
    struct site *s = site_new(1);
    struct scarcity k = {.c = {client(s, "a"), client(s, "b"), client(s, "c")}};
    struct client *fresh = client(s, "fresh");
    bool hit = false;
    s->quiet = true;
    for (int i = 0; i < 3; i++)
        k.c[i]->old = true;
    k.c[1]->instance = k.c[2]->instance = "i"; /* c takes the place of b */
    for (int i = 0; i < CALLS; i++) {
        mr_alloc_fail_at(i == scarce ? n : 0);
        one_call(s, &k, i);
        if (i == scarce)
            hit = mr_alloc_fail_left() == 0;
        mr_alloc_fail_at(0);
        after(s, i == JOIN_C ? 7000 : i > JOIN_C ? 5 : 0);
    }
    for (int i = 0; i < 3; i++)
        hang_up(k.c[i]);
    after(s, 100000);
    join(fresh);
    join(fresh);
    after(s, 5000);
    assert_int_equal(fresh->refusal, MR_REFUSE_NONE);
    assert_int_equal(fresh->roll_count, 1);
    site_free(s);
    return hit;
}

static void want_of_memory_refuses_one_call_and_breaks_nothing(void **state)
{
    (void)state;
    for (int call = 0; call < CALLS; call++) {
        uint64_t n = 1;
        while (scarce_story(call, n))
            n++;
        assert_true(n > 1 || call == LEAVE_A);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_hundred_members_join_at_once),
        cmocka_unit_test(a_hundred_members_of_a_thousand_partitions_rebalance_far_below_a_second),
        cmocka_unit_test(whatever_clients_do_generations_grow_and_have_one_leader),
        cmocka_unit_test(want_of_memory_refuses_one_call_and_breaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
