/* group_test.c - the classic group protocol, told as traces: who hears what, and when, in ms. */
#include "broker/group_site.h"

/* ------------------------------------------------------------------ coming together */

static void first_member_waits_for_others_and_leads(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a");
    join(a);
    look(s);
    join(a);
    look(s);
    after(s, 5000);
    look(s);
    sync_group(a);
    after(s, 5);
    look(s);
    beat(a);
    expect(s, "[     0] a join: join again with the member id given\n"
              "[     0] group: Empty 0, 0 members\n"
              "[     0] group: PreparingRebalance 0, 1 members\n"
              "[  3001] a joined 1 by range, leads a\n"
              "[  5000] group: CompletingRebalance 1, 1 members\n"
              "[  5001] a got 'for a'\n"
              "[  5005] group: Stable 1, 1 members\n"
              "[  5005] a beats: no error\n");
    site_free(s);
}

static void newcomers_extend_the_first_wait_up_to_the_rebalance_timeout(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *c[4] = {client(s, "a"), client(s, "b"), client(s, "c"), client(s, "d")};
    for (int i = 0; i < 4; i++) {
        c[i]->rebalance_ms = 8000;
        enter(c[i]);
        after(s, 2500);
    }
    after(s, 5000);
    expect(s, "[  8001] a joined 1 by range, leads a b c d\n"
              "[  8001] b joined 1 by range, follows a\n"
              "[  8001] c joined 1 by range, follows a\n"
              "[  8001] d joined 1 by range, follows a\n");
    site_free(s);
}

static void old_clients_join_without_being_given_an_id_first(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a");
    a->old = true;
    join(a);
    after(s, 3001);
    assert_true(strncmp(a->id, "a-", 2) == 0 && strlen(a->id) == 2 + 36);
    expect(s, "[  3001] a joined 1 by range, leads a\n");
    site_free(s);
}

static void a_newcomer_makes_everybody_join_again(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b"), *c = client(s, "c");
    settle_group(s, (struct client *[]){a, b}, 2);
    enter(c);
    beat(a);
    join(a);
    beat(b);
    sync_as(b, b->generation, true);
    look(s);
    after(s, 100);
    join(b);
    after(s, 5);
    beat(c);
    sync_group(c);
    after(s, 5);
    sync_group(a);
    after(s, 5);
    sync_group(b);
    expect(s, "[     0] a beats: group is rebalancing; join again\n"
              "[     0] b beats: group is rebalancing; join again\n"
              "[     0] b sync: group is rebalancing; join again\n"
              "[     0] group: PreparingRebalance 1, 3 members\n"
              "[   101] a joined 2 by range, leads a b c\n"
              "[   101] b joined 2 by range, follows a\n"
              "[   101] c joined 2 by range, follows a\n"
              "[   105] c beats: no error\n"
              "[   111] a got 'for a'\n"
              "[   111] c got 'for c'\n"
              "[   115] b got 'for b'\n");
    site_free(s);
}

static void who_does_not_join_again_in_time_is_out(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b"), *c = client(s, "c");
    settle_group(s, (struct client *[]){a, b}, 2);
    enter(c);
    join(b);
    for (int i = 0; i < 7; i++) { /* a lives, and does not listen */
        (void)beat_quietly(a);
        after(s, 9000);
    }
    beat(a);
    expect(s, "[ 60001] b joined 2 by range, leads b c\n"
              "[ 60001] c joined 2 by range, follows b\n"
              "[ 63000] a beats: no such member in the group\n");
    site_free(s);
}

static void members_that_joined_are_not_lost_while_they_wait(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b"), *c = client(s, "c");
    settle_group(s, (struct client *[]){a, b}, 2);
    enter(c);
    join(b); /* for nearly a minute nothing is heard of it: it cannot speak */
    for (int i = 0; i < 5; i++) {
        (void)beat_quietly(a);
        after(s, 9000);
    }
    join(a);
    after(s, 5);
    expect(s, "[ 45001] a joined 2 by range, leads a b c\n"
              "[ 45001] b joined 2 by range, follows a\n"
              "[ 45001] c joined 2 by range, follows a\n");
    site_free(s);
}

/* ------------------------------------------------------------------ dying, in every state */

static void a_member_dies_in_a_stable_group(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b");
    settle_group(s, (struct client *[]){a, b}, 2);
    after(s, 9000);
    beat(b);
    after(s, 990);
    beat(b);
    after(s, 10);
    beat(b);
    join(b);
    after(s, 5);
    beat(a);
    expect(s, "[  9000] b beats: no error\n"
              "[  9990] b beats: no error\n"
              "[ 10000] b beats: group is rebalancing; join again\n"
              "[ 10001] b joined 2 by range, leads b\n"
              "[ 10005] a beats: no such member in the group\n");
    site_free(s);
}

static void the_leader_dies_before_it_has_assigned(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b");
    enter(a);
    enter(b);
    after(s, 7000);
    sync_group(b);
    after(s, 20000); /* a is not heard of again; b waits, and must not die of that */
    join(b);
    after(s, 5);
    look(s);
    expect(s, "[  6001] a joined 1 by range, leads a b\n"
              "[  6001] b joined 1 by range, follows a\n"
              "[ 16001] b sync: group is rebalancing; join again\n"
              "[ 27000] b join: no such member in the group\n"
              "[ 27005] group: Empty 2, 0 members\n");
    site_free(s);
}

static void who_never_asks_for_its_assignment_is_out(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b");
    enter(a);
    enter(b);
    after(s, 6001);
    sync_group(a);
    for (int i = 0; i < 7; i++) { /* b beats, but does not sync */
        after(s, 8999);
        (void)beat_quietly(a);
        (void)beat_quietly(b);
    }
    beat(b);
    look(s);
    expect(s, "[  6001] a joined 1 by range, leads a b\n"
              "[  6001] b joined 1 by range, follows a\n"
              "[  6002] a got 'for a'\n"
              "[ 68994] b beats: no such member in the group\n"
              "[ 68994] group: PreparingRebalance 1, 1 members\n");
    site_free(s);
}

static void a_connection_that_goes_while_its_member_waits_costs_one_session(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b"), *c = client(s, "c");
    settle_group(s, (struct client *[]){a, b}, 2);
    enter(c);
    join(a);
    hang_up(c);
    for (int i = 0; i < 2; i++) {
        (void)beat_quietly(b);
        after(s, 6000);
    }
    look(s);
    join(b);
    after(s, 5);
    expect(s, "[ 12000] group: PreparingRebalance 1, 2 members\n"
              "[ 12001] a joined 2 by range, leads a b\n"
              "[ 12001] b joined 2 by range, follows a\n");
    site_free(s);
}

static void a_member_that_reconnects_in_time_keeps_its_place(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b"), *c = client(s, "c");
    settle_group(s, (struct client *[]){a, b}, 2);
    enter(c);
    join(a);
    hang_up(a);
    after(s, 5000);
    join(a);
    join(b);
    after(s, 5);
    expect(s, "[  5001] a joined 2 by range, leads a b c\n"
              "[  5001] b joined 2 by range, follows a\n"
              "[  5001] c joined 2 by range, follows a\n");
    site_free(s);
}

static void an_id_that_was_given_is_awaited_for_one_session(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b"), *never = client(s, "never");
    settle_group(s, (struct client *[]){a}, 1);
    enter(b);
    join(never); /* it is told to come with its id, and does not */
    join(a);
    after(s, 9999);
    look(s);
    after(s, 10);
    expect(s, "[     0] never join: join again with the member id given\n"
              "[  9999] group: PreparingRebalance 1, 2 members\n"
              "[ 10001] a joined 2 by range, leads a b\n"
              "[ 10001] b joined 2 by range, follows a\n");
    site_free(s);
}

static void a_group_whose_only_id_never_came_leaves_nothing_behind(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    join(client(s, "a"));
    after(s, 9999);
    assert_int_equal(mr_groups_count(s->groups), 1);
    after(s, 1);
    assert_int_equal(mr_groups_count(s->groups), 0);
    site_free(s);
}

static void a_first_join_waits_five_minutes_at_most(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b");
    a->session_ms = 1800000;
    a->rebalance_ms = 3600000;
    settle_group(s, (struct client *[]){a}, 1);
    enter(b);
    after(s, 300000);
    look(s);
    expect(s, "[300000] b join: no such member in the group\n"
              "[300000] group: PreparingRebalance 1, 1 members\n");
    site_free(s);
}

/* ------------------------------------------------------------------ leaving */

static void leaving_makes_the_others_join_again_and_the_last_one_empties_the_group(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b");
    settle_group(s, (struct client *[]){a, b}, 2);
    leave(a);
    leave(a);
    beat(b);
    join(b);
    after(s, 5);
    leave(b);
    look(s);
    beat(b);
    expect(s, "[     0] a leaves: no error\n"
              "[     0] a leaves: no such member in the group\n"
              "[     0] b beats: group is rebalancing; join again\n"
              "[     1] b joined 2 by range, leads b\n"
              "[     5] b leaves: no error\n"
              "[     5] group: Empty 3, 0 members\n"
              "[     5] b beats: no such member in the group\n");
    site_free(s);
}

static void who_leaves_while_waiting_is_answered(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b");
    enter(a);
    enter(b);
    leave(a);
    after(s, 6500);
    expect(s, "[     0] a join: no such member in the group\n"
              "[     0] a leaves: no error\n"
              "[  6001] b joined 1 by range, leads b\n");
    site_free(s);
}

/* ------------------------------------------------------------------ joining again */

static void a_follower_that_joins_again_hears_the_same(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b");
    enter(a);
    enter(b);
    after(s, 6002);
    join(b);
    join(a);
    sync_group(a);
    after(s, 5);
    sync_group(b);
    join(b);
    look(s);
    join(a); /* the leader wants to assign anew */
    look(s);
    expect(s, "[  6001] a joined 1 by range, leads a b\n"
              "[  6001] b joined 1 by range, follows a\n"
              "[  6002] b joined 1 by range, follows a\n"
              "[  6002] a joined 1 by range, leads a b\n"
              "[  6003] a got 'for a'\n"
              "[  6007] b got 'for b'\n"
              "[  6007] b joined 1 by range, follows a\n"
              "[  6007] group: Stable 1, 2 members\n"
              "[  6007] group: PreparingRebalance 1, 2 members\n");
    site_free(s);
}

static void another_subscription_starts_a_rebalance(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b");
    settle_group(s, (struct client *[]){a, b}, 2);
    b->metadata = MR_SLICE("other topics");
    join(b);
    beat(a);
    join(a);
    after(s, 5);
    expect(s, "[     0] a beats: group is rebalancing; join again\n"
              "[     1] a joined 2 by range, leads a b\n"
              "[     1] b joined 2 by range, follows a\n");
    site_free(s);
}

static void who_joins_while_a_generation_is_written_is_in_the_next(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b");
    mr_sim_faults(s->mill.world)->sync_ms_max = 1;
    b->old = true;
    enter(a);
    after(s, 3000); /* the delay is over: the generation is on its way to the disk */
    join(b);
    after(s, 10);
    sync_group(a);
    sync_group(b);
    after(s, 5);
    expect(s, "[  3002] a joined 1 by range, leads a somebody\n" /* b does not know its id yet */
              "[  3002] b joined 1 by range, follows a\n"
              "[  3011] a got 'for a'\n"
              "[  3011] b got 'for b'\n");
    site_free(s);
}

/* ------------------------------------------------------------------ static members */

static void a_static_member_that_comes_back_gets_its_assignment_without_a_rebalance(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b"), *again = client(s, "b2");
    a->instance = "ia";
    b->instance = again->instance = "ib";
    again->metadata = MR_SLICE("b");
    settle_group(s, (struct client *[]){a, b}, 2);
    join(again);
    after(s, 5);
    sync_group(again);
    beat(b);
    beat(again);
    beat(a);
    sync_group(b);
    join(b);
    leave(b);
    expect(s, "[     1] b2 joined 1 by range, follows a\n"
              "[     5] b2 got 'for b'\n"
              "[     5] b beats: another member has taken this instance id\n"
              "[     5] b2 beats: no error\n"
              "[     5] a beats: no error\n"
              "[     5] b sync: another member has taken this instance id\n"
              "[     5] b join: another member has taken this instance id\n"
              "[     5] b leaves: another member has taken this instance id\n");
    site_free(s);
}

static void a_static_leader_that_comes_back_does_not_assign_anew(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b"), *a2 = client(s, "a2"), *a3 = client(s, "a3");
    a->instance = a2->instance = a3->instance = "ia";
    a2->metadata = a3->metadata = MR_SLICE("a");
    b->instance = "ib";
    settle_group(s, (struct client *[]){a, b}, 2);
    join(a2); /* before v9: it hears of a leader that is no more, so it takes itself for a follower */
    after(s, 5);
    sync_group(a2);
    a3->skips = true;
    join(a3);
    after(s, 5);
    a3->roll_count = 0;
    sync_group(a3);
    look(s);
    expect(s, "[     1] a2 joined 1 by range, follows a\n"
              "[     5] a2 got 'for a'\n"
              "[     6] a3 joined 1 by range, leads a3 b, skips\n"
              "[    10] a3 got 'for a'\n"
              "[    10] group: Stable 1, 2 members\n");
    site_free(s);
}

static void two_with_one_instance_id_the_later_one_stays(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *twin = client(s, "twin");
    a->instance = twin->instance = "i";
    join(a);
    join(twin);
    after(s, 7000);
    expect(s, "[     0] a join: another member has taken this instance id\n"
              "[  3001] twin joined 1 by range, leads twin\n");
    site_free(s);
}

static void a_static_member_that_misses_a_rebalance_stays_as_long_as_others_may_take_to_sync(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b"), *c = client(s, "c");
    b->instance = "ib";
    b->session_ms = 100000;
    settle_group(s, (struct client *[]){a, b}, 2);
    enter(c);
    join(a);
    after(s, 60001);
    look(s);
    sync_group(a);
    sync_group(c);
    for (int i = 0; i < 10; i++) {
        after(s, 6000);
        if (i == 9)
            look(s);
        (void)beat_quietly(a);
        (void)beat_quietly(c);
    }
    after(s, 1);
    look(s);
    expect(s, "[ 60001] a joined 2 by range, leads a b c\n"
              "[ 60001] c joined 2 by range, follows a\n"
              "[ 60001] group: CompletingRebalance 2, 3 members\n"
              "[ 60002] a got 'for a'\n"
              "[ 60002] c got 'for c'\n"
              "[120001] group: PreparingRebalance 2, 2 members\n"
              "[120002] group: PreparingRebalance 2, 2 members\n");
    site_free(s);
}

static void an_administrator_removes_a_static_member_by_its_name(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a");
    a->instance = "ia";
    settle_group(s, &a, 1);
    assert_int_equal(mr_groups_leave(s->groups, MR_SLICE("g"), MR_SLICE(""), MR_SLICE("none")),
                     MR_REFUSE_UNKNOWN_MEMBER);
    assert_int_equal(mr_groups_leave(s->groups, MR_SLICE("g"), MR_SLICE(""), MR_SLICE("ia")), MR_REFUSE_NONE);
    look(s);
    expect(s, "[     0] group: Empty 2, 0 members\n");
    site_free(s);
}

/* ------------------------------------------------------------------ protocols */

static void members_vote_among_what_all_speak(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b"), *c = client(s, "c"), *d = client(s, "d");
    a->protocols = "sticky range roundrobin";
    b->protocols = "roundrobin range";
    c->protocols = "sticky roundrobin range";
    d->protocols = "sticky";
    enter(a);
    enter(b);
    enter(c);
    join(d);
    after(s, 7000);
    expect(s, "[     0] d join: protocols do not fit those of the group\n"
              "[  6001] a joined 1 by roundrobin, leads a b c\n"
              "[  6001] b joined 1 by roundrobin, follows a\n"
              "[  6001] c joined 1 by roundrobin, follows a\n");
    site_free(s);
}

static void a_group_moves_to_another_protocol_when_all_have_come_with_it(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b");
    settle_group(s, (struct client *[]){a, b}, 2);
    a->protocols = "cooperative-sticky range";
    join(a);
    join(b);
    after(s, 5);
    b->protocols = "cooperative-sticky range";
    sync_group(a);
    after(s, 5);
    join(b);
    join(a);
    after(s, 5);
    expect(s, "[     1] a joined 2 by range, leads a b\n"
              "[     1] b joined 2 by range, follows a\n"
              "[     6] a got 'for a'\n"
              "[    11] a joined 3 by cooperative-sticky, leads a b\n"
              "[    11] b joined 3 by cooperative-sticky, follows a\n");
    site_free(s);
}

/* ------------------------------------------------------------------ refusals */

static enum mr_refusal join_with(struct site *s, struct mr_join j)
{
    struct mr_group_protocol p = {MR_SLICE("range"), MR_SLICE("")};
    if (!j.protocols) {
        j.protocols = &p;
        j.protocol_count = 1;
    }
    if (!j.session_ms)
        j.session_ms = 10000;
    j.rebalance_ms = 60000;
    if (!j.protocol_type.p)
        j.protocol_type = MR_SLICE("consumer");
    assert_true(mr_groups_join(s->groups, &j));
    assert_int_equal(j.generation, -1);
    return j.refusal;
}

static void joins_that_cannot_be_are_refused_and_leave_no_group(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct mr_slice g = MR_SLICE("x"), empty = MR_SLICE("");
    assert_int_equal(join_with(s, (struct mr_join){.group = empty}), MR_REFUSE_INVALID_GROUP_ID);
    assert_int_equal(join_with(s, (struct mr_join){.group = g, .session_ms = 5999}),
                     MR_REFUSE_INVALID_SESSION_TIMEOUT);
    assert_int_equal(join_with(s, (struct mr_join){.group = g, .session_ms = 1800001}),
                     MR_REFUSE_INVALID_SESSION_TIMEOUT);
    assert_int_equal(join_with(s, (struct mr_join){.group = g, .member = MR_SLICE("m")}),
                     MR_REFUSE_UNKNOWN_MEMBER);
    assert_int_equal(join_with(s, (struct mr_join){.group = g, .protocol_type = empty}),
                     MR_REFUSE_INCONSISTENT_PROTOCOL);
    struct mr_group_protocol none;
    assert_int_equal(join_with(s, (struct mr_join){.group = g, .protocols = &none}),
                     MR_REFUSE_INCONSISTENT_PROTOCOL);
    assert_int_equal(mr_groups_count(s->groups), 0);
    site_free(s);
}

static void a_group_of_another_type_is_refused(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a");
    settle_group(s, &a, 1);
    assert_int_equal(
        join_with(s, (struct mr_join){.group = MR_SLICE("g"), .protocol_type = MR_SLICE("connect")}),
        MR_REFUSE_INCONSISTENT_PROTOCOL);
    leave(a);
    s->trace.len = 0; /* an empty group may become anything */
    assert_int_equal(join_with(s, (struct mr_join){.group = MR_SLICE("g"),
                                                   .needs_id = true,
                                                   .protocol_type = MR_SLICE("connect")}),
                     MR_REFUSE_MEMBER_ID_REQUIRED);
    site_free(s);
}

static void wrong_generations_and_strangers_are_refused(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *stranger = client(s, "stranger");
    beat(a);
    sync_group(a);
    leave(a);
    settle_group(s, &a, 1);
    (void)snprintf(stranger->id, sizeof stranger->id, "nobody");
    stranger->generation = 1;
    join(stranger);
    beat(stranger);
    sync_group(stranger);
    leave(stranger);
    a->generation = 2;
    beat(a);
    sync_group(a);
    a->generation = 0;
    beat(a);
    sync_group(a);
    expect(s, "[     0] a beats: no such member in the group\n"
              "[     0] a sync: no such member in the group\n"
              "[     0] a leaves: no such member in the group\n"
              "[     0] stranger join: no such member in the group\n"
              "[     0] stranger beats: no such member in the group\n"
              "[     0] stranger sync: no such member in the group\n"
              "[     0] stranger leaves: no such member in the group\n"
              "[     0] a beats: not the present generation of the group\n"
              "[     0] a sync: not the present generation of the group\n"
              "[     0] a beats: not the present generation of the group\n"
              "[     0] a sync: not the present generation of the group\n");
    site_free(s);
}

static void a_sync_that_names_another_protocol_is_refused(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a");
    settle_group(s, &a, 1);
    struct mr_sync y = {.group = MR_SLICE("g"), .member = mr_slice_of(a->id), .generation = 1};
    y.protocol_type = MR_SLICE("connect");
    assert_true(mr_groups_sync(s->groups, &y));
    assert_int_equal(y.refusal, MR_REFUSE_INCONSISTENT_PROTOCOL);
    y.protocol_type = MR_SLICE("consumer");
    y.protocol = MR_SLICE("sticky");
    assert_true(mr_groups_sync(s->groups, &y));
    assert_int_equal(y.refusal, MR_REFUSE_INCONSISTENT_PROTOCOL);
    y.protocol = MR_SLICE("range");
    assert_true(mr_groups_sync(s->groups, &y));
    assert_int_equal(y.refusal, MR_REFUSE_NONE);
    site_free(s);
}

static void a_full_group_takes_nobody_in(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b"), *c = client(s, "c");
    node_given(&s->broker_config, "group.max.size", "2");
    site_close(s);
    site_open(s);
    join(a); /* who has an id has a place */
    enter(b);
    join(c);
    join(a);
    after(s, 6500);
    expect(s, "[     0] a join: join again with the member id given\n"
              "[     0] c join: group has as many members as it may\n"
              "[  6001] b joined 1 by range, leads b a\n"
              "[  6001] a joined 1 by range, follows b\n");
    site_free(s);
}

/* ------------------------------------------------------------------ restarts and disks */

static void members_go_on_after_a_restart(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b");
    b->instance = "ib";
    settle_group(s, (struct client *[]){a, b}, 2);
    mr_sim_faults(s->mill.world)->lose_all = true;
    restart(s, true);
    look(s);
    beat(a);
    beat(b);
    sync_group(b);
    after(s, 9995);
    look(s);
    beat(b);
    after(s, 6);
    look(s);
    expect(s, "[     5] group: Stable 1, 2 members\n"
              "[     5] a beats: no error\n"
              "[     5] b beats: no error\n"
              "[     5] b got 'for b'\n"
              "[ 10000] group: Stable 1, 2 members\n"
              "[ 10000] b beats: no error\n"
              "[ 10006] group: PreparingRebalance 1, 1 members\n");
    site_free(s);
}

static void a_generation_that_was_told_is_not_given_out_again_after_power_is_lost(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a");
    mr_sim_faults(s->mill.world)->lose_all = true;
    enter(a);
    after(s, 3001); /* told, and nothing is assigned yet */
    restart(s, true);
    look(s);
    beat(a);
    join(a);
    after(s, 5);
    expect(s, "[  3001] a joined 1 by range, leads a\n"
              "[  3006] group: PreparingRebalance 1, 1 members\n"
              "[  3006] a beats: group is rebalancing; join again\n"
              "[  3007] a joined 2 by range, leads a\n");
    site_free(s);
}

static void an_assignment_is_heard_by_nobody_before_it_is_durable(void **state)
{
    (void)state;
    struct site *s = site_new(1);
    struct client *a = client(s, "a"), *b = client(s, "b");
    enter(a);
    enter(b);
    after(s, 6002);
    mr_sim_faults(s->mill.world)->fail_sync = 1;
    sync_group(b);
    sync_group(a);
    after(s, 10);
    look(s);
    join(a);
    join(b);
    after(s, 10);
    expect_told(s, "cannot write to __consumer_offsets");
    expect(s, "[  6001] a joined 1 by range, leads a b\n"
              "[  6001] b joined 1 by range, follows a\n"
              "[  6003] a sync: coordinator not available\n"
              "[  6003] b sync: coordinator not available\n"
              "[  6012] group: PreparingRebalance 1, 2 members\n"
              "[  6012] a join: coordinator not available\n"
              "[  6012] b join: coordinator not available\n");
    site_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_member_waits_for_others_and_leads),
        cmocka_unit_test(newcomers_extend_the_first_wait_up_to_the_rebalance_timeout),
        cmocka_unit_test(old_clients_join_without_being_given_an_id_first),
        cmocka_unit_test(a_newcomer_makes_everybody_join_again),
        cmocka_unit_test(who_does_not_join_again_in_time_is_out),
        cmocka_unit_test(members_that_joined_are_not_lost_while_they_wait),
        cmocka_unit_test(a_member_dies_in_a_stable_group),
        cmocka_unit_test(the_leader_dies_before_it_has_assigned),
        cmocka_unit_test(who_never_asks_for_its_assignment_is_out),
        cmocka_unit_test(a_connection_that_goes_while_its_member_waits_costs_one_session),
        cmocka_unit_test(a_member_that_reconnects_in_time_keeps_its_place),
        cmocka_unit_test(an_id_that_was_given_is_awaited_for_one_session),
        cmocka_unit_test(a_group_whose_only_id_never_came_leaves_nothing_behind),
        cmocka_unit_test(a_first_join_waits_five_minutes_at_most),
        cmocka_unit_test(leaving_makes_the_others_join_again_and_the_last_one_empties_the_group),
        cmocka_unit_test(who_leaves_while_waiting_is_answered),
        cmocka_unit_test(a_follower_that_joins_again_hears_the_same),
        cmocka_unit_test(another_subscription_starts_a_rebalance),
        cmocka_unit_test(who_joins_while_a_generation_is_written_is_in_the_next),
        cmocka_unit_test(a_static_member_that_comes_back_gets_its_assignment_without_a_rebalance),
        cmocka_unit_test(a_static_leader_that_comes_back_does_not_assign_anew),
        cmocka_unit_test(two_with_one_instance_id_the_later_one_stays),
        cmocka_unit_test(a_static_member_that_misses_a_rebalance_stays_as_long_as_others_may_take_to_sync),
        cmocka_unit_test(an_administrator_removes_a_static_member_by_its_name),
        cmocka_unit_test(members_vote_among_what_all_speak),
        cmocka_unit_test(a_group_moves_to_another_protocol_when_all_have_come_with_it),
        cmocka_unit_test(joins_that_cannot_be_are_refused_and_leave_no_group),
        cmocka_unit_test(a_group_of_another_type_is_refused),
        cmocka_unit_test(wrong_generations_and_strangers_are_refused),
        cmocka_unit_test(a_sync_that_names_another_protocol_is_refused),
        cmocka_unit_test(a_full_group_takes_nobody_in),
        cmocka_unit_test(members_go_on_after_a_restart),
        cmocka_unit_test(a_generation_that_was_told_is_not_given_out_again_after_power_is_lost),
        cmocka_unit_test(an_assignment_is_heard_by_nobody_before_it_is_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
