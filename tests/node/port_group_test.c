/* port_group_test.c - members of groups and transactions through the in-process topics port. */
#include "node/client.h"

#include "world/real.h"

static void quick(struct mr_node_config *c)
{
    c->listen = NULL;
    (void)mr_node_layer_set(&c->broker.node, MR_SLICE("group.initial.rebalance.delay.ms"), MR_SLICE("0"),
                            NULL);
    (void)mr_node_layer_set(&c->broker.node,
                            MR_SLICE("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
                            MR_SLICE("50"), NULL);
}

enum { OFFSETS_MAX = 16 };

/* The test's thread is the lane: it runs its world until what it waits for has come. */
struct lane {
    struct mr_world *world;
    struct mr_topics *topics;
    const struct mr_topics_ops *ops; /* outlive the node */
    int answers, wanted;
    mr_code rc;
    char why[256], values[4096];
    struct mr_topic_txn *txn;
};

struct reader {
    struct lane *lane;
    struct mr_topic_member *m;
    int assigned, revoked, lost;
    mr_code lost_rc;
    size_t count;
    struct mr_topic_offset at[OFFSETS_MAX];
    bool release; /* at once when revoked */
    bool left;
};

static struct lane lane_new(struct site *s)
{
    struct lane l = {.topics = mr_node_topics(s->node)};
    l.ops = l.topics->ops;
    assert_int_equal(mr_real_new(&l.world, NULL), MR_OK);
    return l;
}

static void came(struct lane *l, mr_code rc, const char *why)
{
    l->rc = rc;
    (void)snprintf(l->why, sizeof l->why, "%s", why ? why : "");
    l->answers++;
    mr_real_stop(l->world);
}

static void wait_for(struct lane *l, int answers)
{
    while (l->answers < answers)
        mr_real_run(l->world);
    l->answers = 0;
}

static void on_ensured(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why)
{
    (void)info;
    came(arg, rc, why);
}
static void on_produced(void *arg, mr_code rc, int64_t base, const char *why)
{
    (void)base;
    came(arg, rc, why);
}
static void on_done(void *arg, mr_code rc, const char *why)
{
    came(arg, rc, why);
}
static void on_opened(void *arg, mr_code rc, struct mr_topic_txn *x, const char *why)
{
    struct lane *l = arg;
    l->txn = x;
    came(l, rc, why);
}
static void on_fetched(void *arg, mr_code rc, struct mr_fetched *got, const char *why)
{
    struct lane *l = arg;
    l->values[0] = '\0';
    if (got) {
        struct mr_slice rest = got->bytes;
        struct mr_batch_header h;
        while (mr_batch_header_read(rest, &h, NULL) == MR_OK) { /* what is hidden is a control batch */
            size_t len = (size_t)h.length + 12, at = strlen(l->values);
            if (!(h.attributes & MR_BATCH_CONTROL)) {
                if (at)
                    (void)snprintf(l->values + at, sizeof l->values - at, " ");
                at = strlen(l->values);
                values_of((struct mr_slice){rest.p, len}, 0, l->values + at, sizeof l->values - at);
            }
            rest = (struct mr_slice){rest.p + len, rest.len - len};
        }
        got->release(got->what);
    }
    came(l, rc, why);
}

static void ensure(struct lane *l, const char *topic, int32_t partitions)
{
    l->ops->ensure(l->topics, l->world, mr_slice_of(topic), partitions, on_ensured, l);
    wait_for(l, 1);
    assert_int_equal(l->rc, MR_OK);
}

static const char *values(struct lane *l, const char *topic, int32_t partition)
{
    l->ops->fetch(l->topics, l->world, mr_slice_of(topic), partition, -2, 1 << 20, 0, on_fetched, l);
    wait_for(l, 1);
    assert_int_equal(l->rc, MR_OK);
    return l->values;
}

/* ------------------------------------------------------------------ members */

static void on_assigned(void *arg, const struct mr_topic_offset *parts, size_t count)
{
    struct reader *r = arg;
    assert_true(count <= OFFSETS_MAX);
    r->assigned++;
    r->count = count;
    memcpy(r->at, parts, count * sizeof *parts);
    for (size_t i = 0; i < count; i++)
        r->at[i].topic = MR_SLICE("t"); /* theirs is gone when we return */
    mr_real_stop(r->lane->world);
}
static void on_revoked(void *arg)
{
    struct reader *r = arg;
    r->revoked++;
    r->count = 0;
    if (r->release)
        r->lane->ops->release(r->m);
    mr_real_stop(r->lane->world);
}
static void on_lost(void *arg, mr_code rc, const char *why)
{
    struct reader *r = arg;
    r->lost++;
    r->lost_rc = rc;
    r->count = 0;
    assert_non_null(strstr(why, "group 'g'"));
    mr_real_stop(r->lane->world);
}
static void on_left(void *arg)
{
    struct reader *r = arg;
    r->left = true;
    mr_real_stop(r->lane->world);
}

static void join(struct lane *l, struct reader *r, const char *instance)
{
    struct mr_slice topic = MR_SLICE("t");
    struct mr_topic_member_config c = {
        .group = MR_SLICE("g"),
        .client = MR_SLICE("test"),
        .instance = mr_slice_of(instance),
        .topics = &topic,
        .topic_count = 1,
        .assigned = on_assigned,
        .revoked = on_revoked,
        .lost = on_lost,
        .arg = r,
    };
    *r = (struct reader){.lane = l, .release = true};
    r->m = l->ops->join(l->topics, l->world, &c);
}

static void leave(struct reader *r)
{
    r->lane->ops->leave(r->m, on_left, r);
    while (!r->left)
        mr_real_run(r->lane->world);
}

static mr_code commit(struct reader *r, int64_t offset)
{
    struct mr_topic_offset at[OFFSETS_MAX];
    for (size_t i = 0; i < r->count; i++) {
        at[i] = r->at[i];
        at[i].offset = offset + at[i].partition;
    }
    r->lane->ops->commit(r->m, at, r->count, on_done, r->lane);
    wait_for(r->lane, 1);
    return r->lane->rc;
}

static void who_comes_after_another_goes_on_where_that_one_committed(void **state)
{
    struct site *s = site_new(quick);
    struct lane l = lane_new(s);
    struct reader a, b;
    (void)state;
    ensure(&l, "t", 3);
    join(&l, &a, "");
    while (!a.assigned)
        mr_real_run(l.world);
    assert_int_equal(a.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(a.at[i].offset, -1);
    assert_int_equal(commit(&a, 40), MR_OK);
    leave(&a);
    join(&l, &b, "");
    while (!b.assigned)
        mr_real_run(l.world);
    assert_int_equal(b.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(b.at[i].offset, 40 + b.at[i].partition);
    leave(&b);
    mr_real_free(l.world);
    site_free(s);
}

static void two_members_share_and_the_one_that_stays_gets_all(void **state)
{
    struct site *s = site_new(quick);
    struct lane l = lane_new(s);
    struct reader a, b;
    bool seen[4] = {false};
    (void)state;
    ensure(&l, "t", 4);
    join(&l, &a, "");
    while (!a.assigned)
        mr_real_run(l.world);
    join(&l, &b, "");
    while (a.assigned < 2 || !b.assigned)
        mr_real_run(l.world);
    assert_int_equal(a.revoked, 1);
    assert_int_equal(a.count, 2);
    assert_int_equal(b.count, 2);
    for (size_t i = 0; i < 2; i++)
        seen[a.at[i].partition] = seen[b.at[i].partition] = true;
    assert_true(seen[0] && seen[1] && seen[2] && seen[3]);
    assert_int_equal(commit(&a, 7), MR_OK);
    leave(&a);
    while (b.assigned < 2)
        mr_real_run(l.world);
    assert_int_equal(b.count, 4);
    int committed = 0;
    for (size_t i = 0; i < 4; i++)
        committed += b.at[i].offset == 7 + b.at[i].partition;
    assert_int_equal(committed, 2);
    leave(&b);
    mr_real_free(l.world);
    site_free(s);
}

static void until_a_member_releases_it_may_commit_and_nobody_else_gets_its_partitions(void **state)
{
    struct site *s = site_new(quick);
    struct lane l = lane_new(s);
    struct reader a, b;
    (void)state;
    ensure(&l, "t", 2);
    join(&l, &a, "");
    while (!a.assigned)
        mr_real_run(l.world);
    a.release = false;
    join(&l, &b, "");
    while (!a.revoked)
        mr_real_run(l.world);
    assert_int_equal(b.assigned, 0);
    a.count = 2;
    assert_int_equal(commit(&a, 30), MR_OK); /* M1 */
    assert_int_equal(b.assigned, 0);
    l.ops->release(a.m);
    while (a.assigned < 2 || !b.assigned)
        mr_real_run(l.world);
    assert_int_equal(a.count + b.count, 2);
    assert_int_equal(b.at[0].offset, 30 + b.at[0].partition);
    leave(&a);
    leave(&b);
    mr_real_free(l.world);
    site_free(s);
}

static void who_comes_with_the_same_instance_takes_the_place_and_the_old_one_cannot_commit(void **state)
{
    struct site *s = site_new(quick);
    struct lane l = lane_new(s);
    struct reader a, b;
    (void)state;
    ensure(&l, "t", 2);
    join(&l, &a, "one");
    while (!a.assigned)
        mr_real_run(l.world);
    join(&l, &b, "one");
    while (!b.assigned || !a.lost)
        mr_real_run(l.world);
    assert_int_equal(a.lost_rc, MR_FENCED);
    a.count = 2;
    for (int32_t i = 0; i < 2; i++)
        a.at[i] = (struct mr_topic_offset){MR_SLICE("t"), i, 0};
    assert_int_equal(commit(&a, 9), MR_FENCED); /* M2 */
    assert_int_equal(b.count, 2);
    assert_int_equal(commit(&b, 3), MR_OK);
    leave(&a);
    leave(&b);
    mr_real_free(l.world);
    site_free(s);
}

static void a_member_of_a_node_that_stops_is_told_so_and_is_back_at_once_after(void **state)
{
    struct site *s = site_new(quick);
    struct lane l = lane_new(s);
    struct reader a, b;
    (void)state;
    ensure(&l, "t", 2);
    join(&l, &a, "one");
    while (!a.assigned)
        mr_real_run(l.world);
    assert_int_equal(commit(&a, 11), MR_OK);
    site_close(s);
    while (!a.lost)
        mr_real_run(l.world);
    assert_int_equal(a.lost_rc, MR_CANCELLED);
    leave(&a);
    site_open(s);
    l.topics = mr_node_topics(s->node);
    join(&l, &b, "one");
    while (!b.assigned)
        mr_real_run(l.world);
    assert_int_equal(b.count, 2);
    assert_int_equal(b.at[1].offset, 11 + b.at[1].partition);
    leave(&b);
    mr_real_free(l.world);
    site_free(s);
}

/* ------------------------------------------------------------------ transactions */

static struct mr_topic_txn *open_txn(struct lane *l, const char *id, mr_ms timeout_ms)
{
    l->ops->txn_open(l->topics, l->world, mr_slice_of(id), timeout_ms, on_opened, l);
    wait_for(l, 1);
    return l->txn;
}

static void send_in(struct lane *l, struct mr_topic_txn *x, int32_t partition, const char *tag, int count)
{
    l->ops->txn_produce(x, MR_SLICE("t"), partition, batch_of(tag, count, MR_CODEC_NONE, -1, -1), on_produced,
                        l);
}

static mr_code end(struct lane *l, struct mr_topic_txn *x, bool commits)
{
    l->ops->txn_end(x, commits, on_done, l);
    wait_for(l, 1);
    return l->rc;
}

static void what_is_committed_is_seen_and_what_is_aborted_is_not(void **state)
{
    struct site *s = site_new(quick);
    struct lane l = lane_new(s);
    (void)state;
    ensure(&l, "t", 2);
    struct mr_topic_txn *x = open_txn(&l, "me", 60000);
    assert_int_equal(l.rc, MR_OK);
    for (int round = 0; round < 4; round++) {
        char tag[16];
        (void)snprintf(tag, sizeof tag, "r%d", round);
        send_in(&l, x, 0, tag, 2); /* several are out before the transaction has the partitions */
        send_in(&l, x, 1, tag, 1);
        send_in(&l, x, 0, tag, 1);
        wait_for(&l, 3);
        assert_int_equal(l.rc, MR_OK);
        assert_int_equal(end(&l, x, round % 2 == 0), MR_OK);
    }
    assert_int_equal(end(&l, x, true), MR_OK); /* an empty one is nothing */
    l.ops->txn_close(x);
    x = open_txn(&l, "me", 60000); /* markers lie by then */
    assert_string_equal(values(&l, "t", 0), "r0/0 r0/1 r0/0 r2/0 r2/1 r2/0");
    assert_string_equal(values(&l, "t", 1), "r0/0 r2/0");
    l.ops->txn_close(x);
    mr_real_free(l.world);
    site_free(s);
}

static void who_opens_an_id_fences_who_had_it_and_undoes_what_was_open(void **state)
{
    struct site *s = site_new(quick);
    struct lane l = lane_new(s);
    (void)state;
    ensure(&l, "t", 1);
    struct mr_topic_txn *old = open_txn(&l, "me", 60000);
    send_in(&l, old, 0, "old", 1);
    wait_for(&l, 1);
    struct mr_topic_txn *fresh = open_txn(&l, "me", 60000);
    assert_int_equal(l.rc, MR_OK);
    send_in(&l, old, 0, "late", 1);
    wait_for(&l, 1);
    assert_int_equal(l.rc, MR_FENCED); /* T2 */
    assert_int_equal(end(&l, old, true), MR_FENCED);
    assert_non_null(strstr(l.why, "'me'"));
    send_in(&l, fresh, 0, "new", 1);
    wait_for(&l, 1);
    assert_int_equal(end(&l, fresh, true), MR_OK);
    l.ops->txn_close(old);
    l.ops->txn_close(fresh);
    fresh = open_txn(&l, "me", 60000);
    assert_string_equal(values(&l, "t", 0), "new/0");
    l.ops->txn_close(fresh);
    mr_real_free(l.world);
    site_free(s);
}

static void a_transaction_that_takes_too_long_is_undone_and_its_user_fenced(void **state)
{
    struct site *s = site_new(quick);
    struct lane l = lane_new(s);
    (void)state;
    ensure(&l, "t", 1);
    struct mr_topic_txn *x = open_txn(&l, "slow", 1);
    do { /* the broker looks every 50 ms */
        send_in(&l, x, 0, "a", 1);
        wait_for(&l, 1);
    } while (l.rc == MR_OK);
    assert_int_equal(l.rc, MR_FENCED);
    assert_int_equal(end(&l, x, true), MR_FENCED);
    l.ops->txn_close(x);
    x = open_txn(&l, "slow", 60000);
    assert_string_equal(values(&l, "t", 0), "");
    l.ops->txn_close(x);
    assert_int_equal(l.answers, 0);
    x = open_txn(&l, "slow", 0);
    assert_int_equal(l.rc, MR_BADCONF);
    assert_null(x);
    mr_real_free(l.world);
    site_free(s);
}

static void a_transaction_that_is_closed_holds_nobody_up(void **state)
{
    struct site *s = site_new(quick);
    struct lane l = lane_new(s);
    (void)state;
    ensure(&l, "t", 1);
    struct mr_topic_txn *x = open_txn(&l, "gone", 60000), *y = open_txn(&l, "other", 60000);
    send_in(&l, x, 0, "x", 1);
    wait_for(&l, 1);
    l.ops->txn_close(x);
    send_in(&l, y, 0, "y", 1);
    wait_for(&l, 1);
    assert_int_equal(end(&l, y, true), MR_OK);
    l.ops->fetch(l.topics, l.world, MR_SLICE("t"), 0, 1, 1 << 20, 10000, on_fetched, &l);
    wait_for(&l, 1);
    l.ops->txn_close(y);
    y = open_txn(&l, "other", 60000);
    assert_string_equal(values(&l, "t", 0), "y/0");
    l.ops->txn_close(y);
    mr_real_free(l.world);
    site_free(s);
}

static void offsets_are_committed_with_the_records_or_not_at_all(void **state)
{
    struct site *s = site_new(quick);
    struct lane l = lane_new(s);
    struct reader a, b;
    (void)state;
    ensure(&l, "t", 2);
    join(&l, &a, "");
    while (!a.assigned)
        mr_real_run(l.world);
    struct mr_topic_txn *x = open_txn(&l, "me", 60000);
    for (int round = 0; round < 2; round++) {
        struct mr_topic_offset at[2];
        for (int32_t i = 0; i < 2; i++)
            at[i] = (struct mr_topic_offset){MR_SLICE("t"), i, 100 * (round + 1) + i};
        send_in(&l, x, 0, round ? "no" : "yes", 1);
        l.ops->txn_offsets(x, a.m, at, 2, on_done, &l);
        wait_for(&l, 2);
        assert_int_equal(l.rc, MR_OK);
        assert_int_equal(end(&l, x, round == 0), MR_OK);
    }
    leave(&a);
    join(&l, &b, "");
    while (!b.assigned)
        mr_real_run(l.world);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(b.at[i].offset, 100 + b.at[i].partition);
    /* ... and not by who has lost the partitions. */
    join(&l, &a, "");
    b.release = false;
    while (!b.revoked)
        mr_real_run(l.world);
    l.ops->release(b.m);
    while (!a.assigned || b.assigned < 2)
        mr_real_run(l.world);
    leave(&b);
    leave(&a);
    l.ops->txn_close(x);
    mr_real_free(l.world);
    site_free(s);
}

static void what_is_refused_without_harm_leaves_the_transaction_whole(void **state)
{
    struct site *s = site_new(quick);
    struct lane l = lane_new(s);
    (void)state;
    ensure(&l, "t", 1);
    struct mr_topic_txn *x = open_txn(&l, "me", 60000);
    send_in(&l, x, 0, "a", 1);
    send_in(&l, x, 7, "b", 1); /* no such partition */
    wait_for(&l, 2);
    l.ops->txn_produce(x, MR_SLICE("absent"), 0, batch_of("c", 1, MR_CODEC_NONE, -1, -1), on_produced, &l);
    wait_for(&l, 1);
    assert_int_equal(l.rc, MR_NOTFOUND);
    struct mr_buf large = {0};
    struct mr_record_build build;
    struct mr_slice value = {mr_need(2 << 20), 2 << 20};
    mr_record_build_begin(&build, &large);
    assert_true(mr_record_build_add(&build, 1, NULL, &value, NULL, 0));
    assert_int_equal(mr_record_build_end(&build, MR_CODEC_NONE, -1, -1, -1, NULL), MR_OK);
    mr_free((void *)(uintptr_t)value.p);
    l.ops->txn_produce(x, MR_SLICE("t"), 0, large, on_produced, &l);
    wait_for(&l, 1);
    assert_int_equal(l.rc, MR_LIMIT);
    send_in(&l, x, 0, "d", 2);
    wait_for(&l, 1);
    assert_int_equal(l.rc, MR_OK);
    assert_int_equal(end(&l, x, true), MR_OK);
    l.ops->txn_close(x);
    x = open_txn(&l, "me", 60000);
    assert_string_equal(values(&l, "t", 0), "a/0 d/0 d/1");
    l.ops->txn_close(x);
    mr_real_free(l.world);
    site_free(s);
}

static void calls_under_way_are_answered_when_the_node_closes(void **state)
{
    struct site *s = site_new(quick);
    struct lane l = lane_new(s);
    (void)state;
    ensure(&l, "t", 1);
    struct mr_topic_txn *x = open_txn(&l, "me", 60000);
    for (int i = 0; i < 20; i++)
        send_in(&l, x, 0, "a", 1);
    l.ops->txn_end(x, true, on_done, &l);
    l.ops->txn_open(l.topics, l.world, MR_SLICE("you"), 1000, on_opened, &l);
    site_close(s);
    wait_for(&l, 22);
    mr_real_free(l.world);
    site_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_after_another_goes_on_where_that_one_committed),
        cmocka_unit_test(two_members_share_and_the_one_that_stays_gets_all),
        cmocka_unit_test(until_a_member_releases_it_may_commit_and_nobody_else_gets_its_partitions),
        cmocka_unit_test(who_comes_with_the_same_instance_takes_the_place_and_the_old_one_cannot_commit),
        cmocka_unit_test(a_member_of_a_node_that_stops_is_told_so_and_is_back_at_once_after),
        cmocka_unit_test(what_is_committed_is_seen_and_what_is_aborted_is_not),
        cmocka_unit_test(who_opens_an_id_fences_who_had_it_and_undoes_what_was_open),
        cmocka_unit_test(a_transaction_that_takes_too_long_is_undone_and_its_user_fenced),
        cmocka_unit_test(a_transaction_that_is_closed_holds_nobody_up),
        cmocka_unit_test(offsets_are_committed_with_the_records_or_not_at_all),
        cmocka_unit_test(what_is_refused_without_harm_leaves_the_transaction_whole),
        cmocka_unit_test(calls_under_way_are_answered_when_the_node_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
