/* change_test.c - the catalogue is changed by workers: nobody else waits, many changes share their syncs, and
 * what was answered survives.
 */
#include "broker/mill.h"

#include "sim/seeds.h"

enum { MANY = 100 };

static struct mr_broker *open_broker(struct mill *m)
{
    struct mr_broker_config c;
    struct mr_broker *b = NULL;
    struct mr_err err = {0};
    mr_broker_config_init(&c);
    if (mr_broker_open(m->world, "d", &c, &b, &err))
        fail_msg("%s", err.text);
    return b;
}

struct asked {
    struct mr_change change; /* first */
    char name[32];
    int done;
    int order;
};
static int order;

static void on_done(struct mr_change *c)
{
    struct asked *a = (struct asked *)(void *)c;
    a->done++;
    a->order = ++order;
    if (c->kind == MR_CHANGE_CREATE && !c->refusal && !c->check_only)
        assert_string_equal(c->topic->name, a->name);
}

static void ask(struct mr_broker *b, struct asked *a, enum mr_change_kind kind, const char *name,
                int32_t partitions)
{
    *a = (struct asked){.change = {.kind = kind, .partitions = partitions, .done = on_done}};
    (void)snprintf(a->name, sizeof a->name, "%s", name);
    a->change.name = mr_slice_of(a->name);
    mr_broker_submit(b, &a->change);
    assert_int_equal(a->done, 0); /* always an event */
}

static void expect(const struct asked *a, enum mr_refusal want)
{
    assert_int_equal(a->done, 1);
    if (a->change.refusal != want)
        fail_msg("'%s': %d, %s", a->name, a->change.refusal, a->change.err.text);
}

static const struct mr_topic *topic(struct mr_broker *b, const char *name)
{
    return mr_broker_topic(b, mr_slice_of(name));
}

static struct mr_partition *use(struct mr_broker *b, const char *name)
{
    enum mr_refusal why;
    return mr_broker_partition(b, topic(b, name), 0, &why, NULL);
}

static void while_a_slow_disk_makes_a_topic_others_are_served(void **state)
{
    struct mill m = mill_new(1);
    struct mr_broker *b = open_broker(&m);
    struct asked made, grown, gone;
    struct sent s;
    (void)state;
    assert_int_equal(mr_broker_create(b, MR_SLICE("old"), 1, NULL, 0, false, NULL, NULL), MR_REFUSE_NONE);
    assert_int_equal(mr_broker_create(b, MR_SLICE("goes"), 1, NULL, 0, false, NULL, NULL), MR_REFUSE_NONE);
    assert_non_null(use(b, "goes"));
    uint64_t waited = mr_sim_counts(m.world)->waited;
    mr_sim_faults(m.world)->sync_ms_max = 500;
    ask(b, &made, MR_CHANGE_CREATE, "new", 3);
    ask(b, &grown, MR_CHANGE_GROW, "old", 2);
    ask(b, &gone, MR_CHANGE_DELETE, "goes", 0);
    mr_sim_run_until(m.sim, mr_sim_now(m.sim));
    produce(use(b, "old"), &s, 1, batch_of("a", 1, MR_CODEC_NONE, -1, -1, -1));
    assert_true(s.settled && s.pr.refusal == MR_REFUSE_NONE);
    assert_int_equal(made.done + grown.done + gone.done, 0);
    assert_null(topic(b, "new")); /* not before it is durable */
    assert_int_equal(topic(b, "old")->partitions, 1);
    for (int i = 0; i < 5; i++)
        settle(&m);
    expect(&made, MR_REFUSE_NONE);
    expect(&grown, MR_REFUSE_NONE);
    expect(&gone, MR_REFUSE_NONE);
    assert_int_equal(topic(b, "new")->partitions, 3);
    assert_int_equal(topic(b, "old")->partitions, 2);
    assert_null(topic(b, "goes"));
    assert_int_equal(mr_sim_counts(m.world)->waited, waited); /* this thread did not wait for the disk once */
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void changes_that_come_together_share_their_syncs(void **state)
{
    struct mill m = mill_new(2);
    struct mr_broker *b = open_broker(&m);
    static struct asked a[MANY];
    (void)state;
    uint64_t syncs = mr_sim_counts(m.world)->syncs;
    for (int i = 0; i < MANY; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "t%d", i);
        ask(b, &a[i], MR_CHANGE_CREATE, name, 1);
    }
    settle(&m);
    for (int i = 0; i < MANY; i++)
        expect(&a[i], MR_REFUSE_NONE);
    assert_true(mr_sim_counts(m.world)->syncs - syncs <= 2);
    mr_sim_faults(m.world)->lose_all = true;
    mr_sim_crash(m.world);
    mr_broker_close(b);
    mr_sim_restart(m.world);
    b = open_broker(&m);
    assert_int_equal(mr_broker_topic_count(b), MANY);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void changes_happen_in_their_order_and_refusals_keep_it(void **state)
{
    struct mill m = mill_new(3);
    struct mr_broker *b = open_broker(&m);
    struct asked a[9];
    struct mr_setting set = {MR_SLICE("retention.ms"), MR_SLICE("5000")},
                      bad = {MR_SLICE("no.such"), MR_SLICE("1")};
    (void)state;
    ask(b, &a[0], MR_CHANGE_CREATE, "t", 1);
    ask(b, &a[1], MR_CHANGE_CREATE, "t", 1);
    ask(b, &a[2], MR_CHANGE_GROW, "t", 4);
    ask(b, &a[3], MR_CHANGE_ALTER, "t", 0);
    a[3].change.settings = &set;
    a[3].change.setting_count = 1;
    ask(b, &a[4], MR_CHANGE_ALTER, "t", 0);
    a[4].change.settings = &bad;
    a[4].change.setting_count = 1;
    ask(b, &a[5], MR_CHANGE_DELETE, "t", 0);
    ask(b, &a[6], MR_CHANGE_DELETE, "t", 0);
    ask(b, &a[7], MR_CHANGE_CREATE, "t", 2);
    ask(b, &a[8], MR_CHANGE_CREATE, "u", 20000);
    settle(&m);
    static const enum mr_refusal want[9] = {
        MR_REFUSE_NONE,          MR_REFUSE_TOPIC_EXISTS,   MR_REFUSE_NONE,
        MR_REFUSE_NONE,          MR_REFUSE_INVALID_CONFIG, MR_REFUSE_NONE,
        MR_REFUSE_UNKNOWN_TOPIC, MR_REFUSE_NONE,           MR_REFUSE_INVALID_PARTITIONS};
    for (int i = 0; i < 9; i++) {
        expect(&a[i], want[i]);
        if (i)
            assert_true(a[i].order > a[i - 1].order);
    }
    assert_int_equal(topic(b, "t")->partitions, 2);
    assert_int_equal(mr_broker_topic_count(b), 1);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void what_was_withdrawn_is_not_told_and_does_no_harm(void **state)
{
    struct mill m = mill_new(4);
    struct mr_broker *b = open_broker(&m);
    struct asked a[3];
    (void)state;
    mr_sim_faults(m.world)->sync_ms_max = 50;
    ask(b, &a[0], MR_CHANGE_CREATE, "begun", 1);
    mr_sim_run_until(m.sim, mr_sim_now(m.sim)); /* a worker has it */
    ask(b, &a[1], MR_CHANGE_CREATE, "waits", 1);
    ask(b, &a[2], MR_CHANGE_CREATE, "stays", 1);
    mr_broker_withdraw(b, &a[0].change);
    mr_broker_withdraw(b, &a[1].change);
    mr_broker_withdraw(b, &a[1].change);
    settle(&m);
    assert_int_equal(a[0].done + a[1].done, 0);
    expect(&a[2], MR_REFUSE_NONE);
    assert_non_null(topic(b, "begun"));
    assert_null(topic(b, "waits"));
    ask(b, &a[0], MR_CHANGE_CREATE, "late", 1);
    ask(b, &a[1], MR_CHANGE_DELETE, "stays", 0);
    mr_sim_run_until(m.sim, mr_sim_now(m.sim));
    ask(b, &a[2], MR_CHANGE_CREATE, "later", 1);
    mr_broker_close(b);
    for (int i = 0; i < 3; i++) {
        expect(&a[i], MR_REFUSE_STORAGE);
        assert_int_equal(a[i].change.err.code, MR_CANCELLED);
    }
    settle(&m); /* the worker comes back to nobody */
    mr_sim_free(m.sim);
}

static void on_wake(struct mr_parked *who)
{
    assert_true(who->gone);
    ++*(int *)who->arg;
}

static void add_name(void *arg, const char *name)
{
    if (strstr(name, "t-") == name)
        ++*(int *)arg;
}

static void deleting_ends_what_waits_there_and_the_name_is_free_at_once(void **state)
{
    struct mill m = mill_new(5);
    struct mr_broker *b = open_broker(&m);
    struct asked gone, again;
    struct sent s;
    int wakes = 0, left = 0;
    (void)state;
    assert_int_equal(mr_broker_create(b, MR_SLICE("t"), 3, NULL, 0, false, NULL, NULL), MR_REFUSE_NONE);
    produce(use(b, "t"), &s, -1, batch_of("a", 3, MR_CODEC_NONE, -1, -1, -1));
    settle(&m);
    assert_int_equal(s.pr.refusal, MR_REFUSE_NONE);
    struct mr_parked parked = {.offset = 100, .wake = on_wake, .arg = &wakes};
    mr_partition_park(use(b, "t"), &parked);
    ask(b, &gone, MR_CHANGE_DELETE, "t", 0);
    ask(b, &again, MR_CHANGE_CREATE, "t", 1);
    s.settled = false;
    mr_sim_faults(m.world)->sync_ms_max = 1000;
    produce(use(b, "t"), &s, -1, batch_of("b", 1, MR_CODEC_NONE, -1, -1, -1)); /* on its way to the disk */
    assert_false(s.settled);
    for (int i = 0; i < 6; i++)
        settle(&m);
    expect(&gone, MR_REFUSE_NONE);
    expect(&again, MR_REFUSE_NONE);
    assert_int_equal(wakes, 1);
    assert_true(s.settled);
    assert_int_equal(mr_dir_list(m.world, "d/topics", add_name, &left, NULL), MR_OK);
    assert_int_equal(left, 0);
    assert_int_equal(mr_partition_end(use(b, "t")), 0);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void a_topic_that_is_being_recovered_is_deleted_when_it_is(void **state)
{
    struct mill m = mill_new(6);
    struct mr_broker *b = open_broker(&m);
    struct asked gone;
    struct sent s;
    (void)state;
    assert_int_equal(mr_broker_create(b, MR_SLICE("t"), 1, NULL, 0, false, NULL, NULL), MR_REFUSE_NONE);
    produce(use(b, "t"), &s, 1, batch_of("a", 3, MR_CODEC_NONE, -1, -1, -1));
    mr_sim_kill(m.world);
    mr_broker_close(b);
    mr_sim_restart(m.world);
    b = open_broker(&m);
    mr_sim_faults(m.world)->sync_ms_max = 200;
    assert_false(mr_broker_await(b, topic(b, "t"), 0, NULL));
    ask(b, &gone, MR_CHANGE_DELETE, "t", 0);
    for (int i = 0; i < 4; i++)
        settle(&m);
    expect(&gone, MR_REFUSE_NONE);
    struct mr_stat st;
    assert_int_equal(mr_stat_path(m.world, "d/topics/t-0", &st, NULL), MR_NOTFOUND);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

/* Topics a to e: each is made, written, deleted again; power fails at every operation in turn. What was
 * answered holds, and a topic that was made anew is empty. */
static void a_crash_at_any_operation_keeps_what_was_answered(void **state)
{
    enum { TOPICS = 5, ROUNDS = 3 };
    (void)state;
    for (uint64_t at = 1;; at++) {
        struct mill m = mill_new(at);
        struct mr_broker *b = open_broker(&m);
        static struct asked a[TOPICS];
        bool there[TOPICS] = {0}, sure[TOPICS] = {0};
        mr_sim_faults(m.world)->crash_at = at;
        for (int round = 0; round < ROUNDS && !mr_sim_is_down(m.world); round++) {
            for (int i = 0; i < TOPICS; i++) {
                ask(b, &a[i], round % 2 ? MR_CHANGE_DELETE : MR_CHANGE_CREATE, (char[2]){(char)('a' + i), 0},
                    2);
                sure[i] = false;
            }
            settle(&m);
            for (int i = 0; i < TOPICS; i++)
                if (a[i].done && !a[i].change.refusal) {
                    there[i] = round % 2 == 0;
                    sure[i] = true;
                }
            for (int i = 0; i < TOPICS && !mr_sim_is_down(m.world); i++)
                if (sure[i] && there[i]) {
                    struct sent s;
                    struct mr_partition *p = use(b, a[i].name);
                    if (!p) { /* power fails now */
                        assert_true(mr_sim_is_down(m.world));
                        break;
                    }
                    assert_int_equal(mr_partition_end(p), 0);
                    produce(p, &s, -1, batch_of("x", 1, MR_CODEC_NONE, -1, -1, -1));
                    settle(&m);
                    mr_partition_forget(&s.pr); /* when power failed */
                }
        }
        bool crashed = mr_sim_is_down(m.world);
        mr_sim_faults(m.world)->crash_at = 0;
        if (!crashed)
            mr_sim_crash(m.world);
        mr_broker_close(b);
        mr_sim_restart(m.world);
        b = open_broker(&m);
        for (int i = 0; i < TOPICS; i++) {
            const struct mr_topic *t = topic(b, a[i].name);
            if (sure[i] && (t != NULL) != there[i])
                fail_msg("crash at %llu: '%s' is %s", (unsigned long long)at, a[i].name,
                         t ? "there" : "gone");
            if (t && !use(b, a[i].name))
                fail_msg("crash at %llu: '%s' cannot be opened", (unsigned long long)at, a[i].name);
            if (!t) { /* the name can be used */
                struct asked again;
                ask(b, &again, MR_CHANGE_CREATE, a[i].name, 2);
                settle(&m);
                expect(&again, MR_REFUSE_NONE);
                assert_int_equal(mr_partition_end(use(b, a[i].name)), 0);
            }
        }
        mr_broker_close(b);
        mr_sim_free(m.sim);
        if (!crashed) {
            assert_true(at > 50);
            return;
        }
    }
}

static void a_disk_that_fails_refuses_and_changes_nothing(void **state)
{
    (void)state;
    for (uint64_t at = 1; at < 40; at++) {
        struct mill m = mill_new(at);
        struct mr_broker *b = open_broker(&m);
        struct asked a[3];
        assert_int_equal(mr_broker_create(b, MR_SLICE("t"), 1, NULL, 0, false, NULL, NULL), MR_REFUSE_NONE);
        mr_sim_faults(m.world)->fail_name = at % 2 ? at / 2 + 1 : 0;
        mr_sim_faults(m.world)->fail_sync = at % 2 ? 0 : at / 2;
        ask(b, &a[0], MR_CHANGE_CREATE, "new", 1);
        ask(b, &a[1], MR_CHANGE_GROW, "t", 2);
        settle(&m);
        *mr_sim_faults(m.world) = (struct mr_sim_faults){.sync_ms_max = 10};
        assert_true(a[0].done == 1 && a[1].done == 1);
        assert_int_equal(topic(b, "new") != NULL, a[0].change.refusal == MR_REFUSE_NONE);
        assert_int_equal(topic(b, "t")->partitions, a[1].change.refusal ? 1 : 2);
        ask(b, &a[0], MR_CHANGE_CREATE, "new", 1); /* and it heals */
        ask(b, &a[1], MR_CHANGE_GROW, "t", 3);
        settle(&m);
        assert_non_null(topic(b, "new"));
        expect(&a[1], MR_REFUSE_NONE);
        mr_broker_close(b);
        mr_sim_free(m.sim);
    }
}

static void memory_that_fails_refuses_and_changes_nothing(void **state)
{
    (void)state;
    for (uint64_t at = 1;; at++) {
        struct mill m = mill_new(at);
        struct mr_broker *b = open_broker(&m);
        enum mr_refusal r;
        struct mr_err err = {0};
        mr_alloc_fail_at(at);
        r = mr_broker_create(b, MR_SLICE("t"), 3, NULL, 0, false, NULL, &err);
        uint64_t left = mr_alloc_fail_left();
        mr_alloc_fail_at(0);
        assert_int_equal(topic(b, "t") != NULL, r == MR_REFUSE_NONE);
        if (r)
            assert_int_equal(mr_broker_create(b, MR_SLICE("t"), 3, NULL, 0, false, NULL, &err),
                             MR_REFUSE_NONE);
        mr_broker_close(b);
        b = open_broker(&m);
        assert_int_equal(topic(b, "t")->partitions, 3);
        mr_broker_close(b);
        mr_sim_free(m.sim);
        if (left)
            return;
        assert_true(at < 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(while_a_slow_disk_makes_a_topic_others_are_served),
        cmocka_unit_test(changes_that_come_together_share_their_syncs),
        cmocka_unit_test(changes_happen_in_their_order_and_refusals_keep_it),
        cmocka_unit_test(what_was_withdrawn_is_not_told_and_does_no_harm),
        cmocka_unit_test(deleting_ends_what_waits_there_and_the_name_is_free_at_once),
        cmocka_unit_test(a_topic_that_is_being_recovered_is_deleted_when_it_is),
        cmocka_unit_test(a_crash_at_any_operation_keeps_what_was_answered),
        cmocka_unit_test(a_disk_that_fails_refuses_and_changes_nothing),
        cmocka_unit_test(memory_that_fails_refuses_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
