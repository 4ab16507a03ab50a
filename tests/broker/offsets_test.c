/* offsets_test.c - committed offsets: in memory, in records, through the coordinator, across restarts, and
 * away again. */
#include "base/arena.h"
#include "base/prng.h"
#include "broker/group_site.h"
#include "broker/offsets.h"
#include "broker/offsets_record.h"
#include "sim/seeds.h"

/* ------------------------------------------------------------------ the table, against a simple model */

enum { TOPICS = 5, PARTITIONS = 20, STEPS = 2000 };

static void table_agrees_with_an_array(void **state)
{
    static const char *const names[TOPICS] = {"a", "ab", "abc", "b", "B"};
    (void)state;
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(20); seed++) {
        struct mr_prng r;
        struct mr_offsets o = {0};
        int64_t model[TOPICS][PARTITIONS];
        uint32_t count = 0;
        mr_prng_seed(&r, seed);
        memset(model, -1, sizeof model);
        for (int step = 0; step < STEPS; step++) {
            size_t t = mr_prng_below(&r, TOPICS), p = mr_prng_below(&r, PARTITIONS);
            struct mr_slice topic = mr_slice_of(names[t]);
            if (mr_prng_below(&r, 3)) {
                char text[32];
                int n = snprintf(text, sizeof text, "%d", step);
                struct mr_offset_entry e = {.partition = (int32_t)p, .offset = step, .expire_ms = -1};
                assert_true(mr_offsets_set(&o, topic, &e, (struct mr_slice){text, (size_t)n}));
                count += model[t][p] < 0;
                model[t][p] = step;
            } else {
                assert_int_equal(mr_offsets_remove(&o, topic, (int32_t)p), model[t][p] >= 0);
                count -= model[t][p] >= 0;
                model[t][p] = -1;
            }
            assert_int_equal(o.count, count);
        }
        for (size_t t = 0; t < TOPICS; t++)
            for (size_t p = 0; p < PARTITIONS; p++) {
                const struct mr_offset_entry *e = mr_offsets_get(&o, mr_slice_of(names[t]), (int32_t)p);
                assert_int_equal(e ? e->offset : -1, model[t][p]);
                if (e)
                    assert_int_equal(atoll(e->metadata), model[t][p]);
            }
        for (uint32_t i = 0; i < o.topic_count; i++) {
            assert_true(o.topics[i]->count > 0);
            assert_true(i == 0 || strcmp(o.topics[i - 1]->name, o.topics[i]->name) < 0);
            for (uint32_t k = 1; k < o.topics[i]->count; k++)
                assert_true(o.topics[i]->v[k - 1].partition < o.topics[i]->v[k].partition);
        }
        mr_offsets_fini(&o);
    }
}

static void want_of_memory_leaves_the_table_as_it_was(void **state)
{
    (void)state;
    struct mr_offsets o = {0};
    struct mr_offset_entry e = {.partition = 1, .offset = 5};
    for (uint64_t n = 1;; n++) {
        mr_alloc_fail_at(n);
        bool ok = mr_offsets_set(&o, MR_SLICE("t"), &e, MR_SLICE("m"));
        mr_alloc_fail_at(0);
        if (ok)
            break;
        assert_int_equal(o.count, 0);
        assert_int_equal(o.topic_count, 0);
    }
    assert_int_equal(mr_offsets_get(&o, MR_SLICE("t"), 1)->offset, 5);
    mr_offsets_fini(&o);
}

/* ------------------------------------------------------------------ records */

static void first_record(struct mr_buf *batch, struct mr_record *out)
{
    struct mr_record_walk walk;
    struct mr_slice bytes = {batch->p, batch->len};
    assert_int_equal(mr_record_walk_begin(&walk, bytes, NULL, 0, NULL), MR_OK);
    assert_int_equal(mr_record_walk_next(&walk, out, NULL), MR_OK);
}

/* The layout that Kafka 2.1 to 4 write, byte for byte. */
static void an_offset_is_stored_as_kafka_stores_it(void **state)
{
    (void)state;
    static const char key[] = "\0\1"
                              "\0\1g"
                              "\0\2tt"
                              "\0\0\0\7";
    static const char value[] = "\0\3"
                                "\0\0\0\0\0\0\0\52"
                                "\377\377\377\377"
                                "\0\2hi"
                                "\0\0\0\0\0\0\3\350";
    struct mr_buf batch = {0};
    struct mr_record_build b;
    struct mr_record r;
    struct mr_offset_entry e = {.offset = 42, .leader_epoch = -1, .commit_ms = 1000, .expire_ms = -1};
    mr_record_build_begin(&b, &batch);
    assert_true(mr_stored_offset_add(&b, 1, MR_SLICE("g"), MR_SLICE("tt"), 7, &e, MR_SLICE("hi")));
    assert_int_equal(mr_record_build_end(&b, MR_CODEC_NONE, -1, -1, -1, NULL), MR_OK);
    first_record(&batch, &r);
    assert_int_equal(r.key.len, sizeof key - 1);
    assert_memory_equal(r.key.p, key, sizeof key - 1);
    assert_int_equal(r.value.len, sizeof value - 1);
    assert_memory_equal(r.value.p, value, sizeof value - 1);
    mr_buf_fini(&batch);
}

static void a_group_is_stored_as_kafka_stores_it(void **state)
{
    (void)state;
    static const char key[] = "\0\2"
                              "\0\1g";
    static const char value[] = "\0\3"
                                "\0\1c"
                                "\0\0\0\5"
                                "\0\1r"
                                "\0\1m"
                                "\0\0\0\0\0\0\0\11"
                                "\0\0\0\1"
                                "\0\1m"
                                "\377\377"
                                "\0\1k"
                                "\0\2/h"
                                "\0\0\0\2"
                                "\0\0\0\3"
                                "\0\0\0\1S"
                                "\0\0\0\2As";
    struct mr_buf batch = {0};
    struct mr_record_build b;
    struct mr_record r;
    struct mr_stored_group_value_member m = {.member_id = MR_SLICE("m"),
                                             .client_id = MR_SLICE("k"),
                                             .client_host = MR_SLICE("/h"),
                                             .rebalance_timeout = 2,
                                             .session_timeout = 3,
                                             .subscription = MR_SLICE("S"),
                                             .assignment = MR_SLICE("As")};
    struct mr_stored_group_value v = {.protocol_type = MR_SLICE("c"),
                                      .generation = 5,
                                      .protocol = MR_SLICE("r"),
                                      .leader = MR_SLICE("m"),
                                      .state_timestamp = 9,
                                      .members_count = 1,
                                      .members = &m};
    mr_record_build_begin(&b, &batch);
    assert_true(mr_stored_group_add(&b, 1, MR_SLICE("g"), &v));
    assert_int_equal(mr_record_build_end(&b, MR_CODEC_NONE, -1, -1, -1, NULL), MR_OK);
    first_record(&batch, &r);
    assert_int_equal(r.key.len, sizeof key - 1);
    assert_memory_equal(r.key.p, key, sizeof key - 1);
    assert_int_equal(r.value.len, sizeof value - 1);
    assert_memory_equal(r.value.p, value, sizeof value - 1);
    mr_buf_fini(&batch);
}

#define BYTES(literal)                                                                                       \
    {                                                                                                        \
        (literal), sizeof(literal) - 1                                                                       \
    }

static void older_and_newer_values_are_read(void **state)
{
    (void)state;
    static const struct {
        struct mr_slice bytes;
        int64_t expire;
        int32_t epoch;
    } rows[] = {
        {BYTES("\0\0\0\0\0\0\0\0\0\7\0\1m\0\0\0\0\0\0\0\1"), -1, -1},
        {BYTES("\0\1\0\0\0\0\0\0\0\7\0\1m\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\2"), 2, -1},
        {BYTES("\0\2\0\0\0\0\0\0\0\7\0\1m\0\0\0\0\0\0\0\1"), -1, -1},
        {BYTES("\0\3\0\0\0\0\0\0\0\7\0\0\0\3\0\1m\0\0\0\0\0\0\0\1"), -1, 3},
        {BYTES("\0\4\0\0\0\0\0\0\0\7\0\0\0\3\2m\0\0\0\0\0\0\0\1\0"), -1, 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mr_offset_entry e;
        struct mr_slice metadata;
        assert_int_equal(mr_stored_offset_read(rows[i].bytes, &e, &metadata, NULL), MR_OK);
        assert_int_equal(e.offset, 7);
        assert_int_equal(e.commit_ms, 1);
        assert_int_equal(e.expire_ms, rows[i].expire);
        assert_int_equal(e.leader_epoch, rows[i].epoch);
        assert_true(mr_slice_eq(metadata, MR_SLICE("m")));
        for (size_t cut = 0; cut < rows[i].bytes.len; cut++)
            assert_int_not_equal(
                mr_stored_offset_read((struct mr_slice){rows[i].bytes.p, cut}, &e, &metadata, NULL), MR_OK);
    }
    struct mr_offset_entry e;
    struct mr_slice metadata;
    assert_int_equal(mr_stored_offset_read(MR_SLICE("\0\5x"), &e, &metadata, NULL), MR_UNSUPPORTED);
}

static void groups_lie_where_kafka_would_look_for_them(void **state)
{
    (void)state;
    assert_int_equal(mr_groups_partition_of(MR_SLICE("my-group"), 50), 12);
    assert_int_equal(mr_groups_partition_of(MR_SLICE("console-consumer-12345"), 50), 6);
    assert_int_equal(mr_groups_partition_of(MR_SLICE("tx-1"), 50), 20);
    assert_int_equal(mr_groups_partition_of(MR_SLICE("polygenelubricants"), 50), 0);
    assert_int_equal(mr_groups_partition_of(MR_SLICE("gr\xc3\xb6\xc3\x9f"
                                                     "e"),
                                            50),
                     7);
    assert_int_equal(mr_groups_partition_of(MR_SLICE(""), 50), 0);
}

/* ------------------------------------------------------------------ through the coordinator */

struct commit {
    struct mr_commit c; /* first */
    struct mr_commit_row row;
    struct site *site;
    const char *who;
    bool settled;
};

static void committed_now(struct mr_commit *c)
{
    struct commit *k = (struct commit *)(void *)c;
    k->settled = true;
    say(k->site, "%s commits %lld: %s", k->who, (long long)k->row.offset, mr_refusal_text(k->row.refusal));
}

/* Group g, topic, partition 0. `as` NULL: nobody's member. */
static struct commit *commit(struct site *s, struct commit *k, const struct client *as, const char *topic,
                             int64_t offset)
{
    *k = (struct commit){
        .c = {.group = MR_SLICE("g"),
              .generation = -1,
              .retention_ms = -1,
              .row_count = 1,
              .done = committed_now},
        .row = {.topic = mr_slice_of(topic),
                .offset = offset,
                .leader_epoch = 4,
                .metadata = MR_SLICE("meta")},
        .site = s,
        .who = as ? as->name : "somebody",
    };
    k->c.rows = &k->row;
    if (as) {
        k->c.generation = as->generation;
        k->c.member = mr_slice_of(as->id);
        k->c.instance = mr_slice_of(as->instance);
    }
    if (mr_groups_commit(s->groups, &k->c))
        committed_now(&k->c);
    return k;
}

static void read_back(struct site *s, const char *topic)
{
    struct mr_committed c;
    if (mr_groups_committed(s->groups, MR_SLICE("g"), mr_slice_of(topic), 0, &c))
        say(s, "%s: %lld epoch %d '%.*s'", topic, (long long)c.offset, c.leader_epoch,
            MR_SLICE_ARG(c.metadata));
    else
        say(s, "%s: none", topic);
}

static void topic(struct site *s, const char *name)
{
    struct mr_err err = {0};
    if (mr_broker_create(s->broker, mr_slice_of(name), 1, NULL, 0, false, NULL, &err))
        fail_msg("%s", err.text);
}

static struct site *site_with_topics(void)
{
    struct site *s = site_new(1);
    topic(s, "t");
    topic(s, "u");
    return s;
}

static void an_offset_is_seen_when_it_is_durable_and_not_before(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct commit k, l;
    commit(s, &k, NULL, "t", 10);
    read_back(s, "t");
    after(s, 2);
    read_back(s, "t");
    commit(s, &k, NULL, "t", 11);
    commit(s, &l, NULL, "t", 9); /* backwards is allowed: the later one counts */
    after(s, 5);
    read_back(s, "t");
    expect(s, "[     0] t: none\n"
              "[     1] somebody commits 10: no error\n"
              "[     2] t: 10 epoch 4 'meta'\n"
              "[     3] somebody commits 11: no error\n"
              "[     4] somebody commits 9: no error\n"
              "[     7] t: 9 epoch 4 'meta'\n");
    site_free(s);
}

static void a_commit_whose_connection_went_counts_all_the_same(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct commit k;
    mr_groups_forget_commit(&commit(s, &k, NULL, "t", 10)->c);
    after(s, 5);
    read_back(s, "t");
    expect(s, "[     5] t: 10 epoch 4 'meta'\n");
    site_free(s);
}

static void who_may_commit_depends_on_the_state_of_the_group(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct client *a = client(s, "a"), *b = client(s, "b");
    struct commit k;
    a->generation = 1;
    commit(s, &k, a, "t", 1); /* unknown group */
    enter(a);
    commit(s, &k, NULL, "t", 2); /* preparing, not a member */
    after(s, 3001);
    commit(s, &k, a, "t", 3); /* completing */
    sync_group(a);
    after(s, 1);
    commit(s, &k, a, "t", 4); /* stable */
    after(s, 1);
    commit(s, &k, NULL, "t", 5);
    a->generation = 7;
    commit(s, &k, a, "t", 6);
    a->generation = 1;
    enter(b);
    commit(s, &k, a, "t", 7); /* preparing: for the generation that still is */
    after(s, 1);
    leave(a);
    after(s, 1);
    commit(s, &k, a, "t", 8);
    read_back(s, "t");
    expect(s, "[     0] a commits 1: not the present generation of the group\n"
              "[     0] somebody commits 2: no such member in the group\n"
              "[  3001] a joined 1 by range, leads a\n"
              "[  3001] a commits 3: group is rebalancing; join again\n"
              "[  3002] a got 'for a'\n"
              "[  3003] a commits 4: no error\n"
              "[  3003] somebody commits 5: no such member in the group\n"
              "[  3003] a commits 6: not the present generation of the group\n"
              "[  3004] a commits 7: no error\n"
              "[  3004] a leaves: no error\n"
              "[  3005] b joined 2 by range, leads b\n"
              "[  3005] a commits 8: no such member in the group\n"
              "[  3005] t: 7 epoch 4 'meta'\n");
    site_free(s);
}

static void a_fenced_instance_cannot_commit(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct client *a = client(s, "a"), *a2 = client(s, "a2");
    struct commit k;
    a->instance = a2->instance = "i";
    a2->metadata = MR_SLICE("a");
    settle_group(s, &a, 1);
    join(a2);
    after(s, 2);
    commit(s, &k, a, "t", 1);
    commit(s, &k, a2, "t", 2);
    after(s, 2);
    expect(s, "[     1] a2 joined 1 by range, follows a\n"
              "[     2] a commits 1: another member has taken this instance id\n"
              "[     3] a2 commits 2: no error\n");
    site_free(s);
}

static void a_commit_keeps_its_member_alive(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct client *a = client(s, "a");
    struct commit k;
    settle_group(s, &a, 1);
    for (int i = 0; i < 3; i++) {
        after(s, 9000);
        commit(s, &k, a, "t", i);
    }
    after(s, 5);
    look(s);
    expect(s, "[  9001] a commits 0: no error\n"
              "[ 18001] a commits 1: no error\n"
              "[ 27001] a commits 2: no error\n"
              "[ 27005] group: Stable 1, 1 members\n");
    site_free(s);
}

static void limits_of_a_commit_are_refused_row_by_row(void **state)
{
    (void)state;
    static char big[4097];
    struct site *s = site_with_topics();
    memset(big, 'x', sizeof big);
    struct mr_commit_row rows[] = {
        {.topic = MR_SLICE("t"), .partition = 0, .offset = 1, .metadata = {big, 4096}},
        {.topic = MR_SLICE("t"), .partition = 1, .offset = 2, .metadata = {big, 4097}},
        {.topic = MR_SLICE("v"), .partition = 2, .offset = 3, .refusal = MR_REFUSE_UNKNOWN_TOPIC},
        {.topic = MR_SLICE("u"), .partition = 3, .offset = 4},
    };
    struct commit k = {.c = {.group = MR_SLICE("g"),
                             .generation = -1,
                             .retention_ms = -1,
                             .row_count = 4,
                             .done = committed_now},
                       .site = s,
                       .who = "somebody"};
    k.c.rows = rows;
    s->quiet = true;
    assert_false(mr_groups_commit(s->groups, &k.c));
    after(s, 2);
    assert_true(k.settled);
    assert_int_equal(rows[0].refusal, MR_REFUSE_NONE);
    assert_int_equal(rows[1].refusal, MR_REFUSE_METADATA_TOO_LARGE);
    assert_int_equal(rows[2].refusal, MR_REFUSE_UNKNOWN_TOPIC);
    assert_int_equal(rows[3].refusal, MR_REFUSE_NONE);
    assert_int_equal(mr_groups_committed_count(s->groups, MR_SLICE("g")), 2);
    struct mr_committed_walk walk = {0};
    struct mr_committed c;
    assert_true(mr_groups_committed_next(s->groups, MR_SLICE("g"), &walk, &c));
    assert_true(mr_slice_eq(c.topic, MR_SLICE("t")) && c.partition == 0 && c.metadata.len == 4096);
    assert_true(mr_groups_committed_next(s->groups, MR_SLICE("g"), &walk, &c));
    assert_true(mr_slice_eq(c.topic, MR_SLICE("u")) && c.partition == 3 && c.offset == 4);
    assert_false(mr_groups_committed_next(s->groups, MR_SLICE("g"), &walk, &c));
    site_free(s);
}

static void more_offsets_than_offsets_max_are_refused_and_old_ones_go_on(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct commit k;
    site_close(s);
    s->config.offsets_max = 1;
    site_open(s);
    commit(s, &k, NULL, "t", 1);
    after(s, 1);
    commit(s, &k, NULL, "u", 2);
    commit(s, &k, NULL, "t", 3);
    after(s, 1);
    expect(s, "[     1] somebody commits 1: no error\n"
              "[     1] somebody commits 2: commit does not fit into the offsets topic\n"
              "[     2] somebody commits 3: no error\n");
    site_free(s);
}

/* ------------------------------------------------------------------ restarts and disks */

static void what_was_acknowledged_is_there_after_power_is_lost(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct commit k, l;
    mr_sim_faults(s->mill.world)->lose_all = true;
    commit(s, &k, NULL, "t", 10);
    after(s, 1);
    commit(s, &k, NULL, "u", 20);
    after(s, 1);
    commit(s, &l, NULL, "t", 11); /* never answered */
    mr_groups_forget_commit(&l.c);
    restart(s, true);
    read_back(s, "t");
    read_back(s, "u");
    expect(s, "[     1] somebody commits 10: no error\n"
              "[     2] somebody commits 20: no error\n"
              "[     7] t: 10 epoch 4 'meta'\n"
              "[     7] u: 20 epoch 4 'meta'\n");
    site_free(s);
}

static void while_the_topic_is_read_groups_are_loading(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct client *a = client(s, "a");
    struct commit k;
    struct mr_group_view v;
    commit(s, &k, NULL, "t", 10);
    after(s, 1);
    site_close(s);
    site_open(s);
    assert_true(mr_groups_loading(s->groups));
    join(a);
    commit(s, &k, NULL, "t", 11);
    assert_int_equal(mr_groups_fetch_check(s->groups, MR_SLICE("g")), MR_REFUSE_COORDINATOR_LOADING);
    assert_int_equal(mr_groups_view(s->groups, MR_SLICE("g"), &v), MR_REFUSE_COORDINATOR_LOADING);
    after(s, 1);
    assert_false(mr_groups_loading(s->groups));
    read_back(s, "t");
    expect(s, "[     1] somebody commits 10: no error\n"
              "[     1] a join: coordinator is still reading its topic\n"
              "[     1] somebody commits 11: coordinator is still reading its topic\n"
              "[     2] t: 10 epoch 4 'meta'\n");
    site_free(s);
}

static void closing_while_reading_and_while_writing_leaves_nothing_behind(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct commit k;
    commit(s, &k, NULL, "t", 10);
    site_close(s); /* with a commit on its way: nobody is told */
    site_open(s);
    site_close(s); /* while it is read */
    assert_false(k.settled);
    site_free(s);
}

static void a_disk_that_fails_refuses_the_commit_and_shows_nothing(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct commit k;
    commit(s, &k, NULL, "t", 1);
    after(s, 1);
    mr_sim_faults(s->mill.world)->fail_sync = 1;
    commit(s, &k, NULL, "t", 2);
    after(s, 2);
    read_back(s, "t");
    expect_told(s, "group 'g': cannot write to __consumer_offsets");
    expect(s, "[     1] somebody commits 1: no error\n"
              "[     2] somebody commits 2: coordinator not available\n"
              "[     3] t: 1 epoch 4 'meta'\n");
    site_free(s);
}

static void a_damaged_partition_keeps_its_groups_unavailable_and_says_so(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct commit k;
    char path[128];
    for (int i = 0; i < 3; i++) {
        commit(s, &k, NULL, "t", i);
        after(s, 1);
    }
    site_close(s);
    (void)snprintf(path, sizeof path, "d/topics/__consumer_offsets-%d/00000000000000000000.log",
                   mr_groups_partition_of(MR_SLICE("g"), 4));
    assert_true(mr_sim_flip(s->mill.world, path, 100, 3));
    site_open(s);
    after(s, 5);
    assert_int_equal(mr_groups_fetch_check(s->groups, MR_SLICE("g")), MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
    assert_int_equal(mr_groups_fetch_check(s->groups, MR_SLICE("other")), MR_REFUSE_NONE);
    expect_told(s, "its groups stay unavailable");
    site_free(s);
}

static void garbage_in_the_topic_is_told_and_passed_over(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct commit k;
    struct sent sent;
    enum mr_refusal why;
    commit(s, &k, NULL, "t", 10);
    after(s, 2);
    struct mr_partition *p =
        mr_broker_partition(s->broker, mr_broker_topic(s->broker, MR_SLICE(MR_OFFSETS_TOPIC)),
                            mr_groups_partition_of(MR_SLICE("g"), 4), &why, NULL);
    struct mr_setting policy = {MR_SLICE("cleanup.policy"), MR_SLICE("")}; /* a compacted topic takes none */
    assert_int_equal(mr_broker_alter(s->broker, MR_SLICE(MR_OFFSETS_TOPIC), &policy, 1, false, false, NULL),
                     MR_REFUSE_NONE);
    produce(p, &sent, -1, batch_of("no key", 3, MR_CODEC_GZIP, -1, -1, -1));
    after(s, 2);
    commit(s, &k, NULL, "t", 11);
    after(s, 2);
    restart(s, false);
    read_back(s, "t");
    expect_told(s, "is passed over: it has no key");
    expect(s, "[     1] somebody commits 10: no error\n"
              "[     5] somebody commits 11: no error\n"
              "[    11] t: 11 epoch 4 'meta'\n");
    site_free(s);
}

/* ------------------------------------------------------------------ going away */

struct removal {
    struct mr_group_delete d; /* first */
    struct mr_commit_row row;
    struct site *site;
};

static void removed(struct mr_group_delete *d)
{
    struct removal *r = (struct removal *)(void *)d;
    say(r->site, "removed: %s%s%s", mr_refusal_text(d->refusal), d->rows ? ", row: " : "",
        d->rows ? mr_refusal_text(r->row.refusal) : "");
}

static void remove_it(struct site *s, struct removal *r, const char *of_topic)
{
    *r = (struct removal){.d = {.group = MR_SLICE("g"), .row_count = 1, .done = removed}, .site = s};
    r->row = (struct mr_commit_row){.topic = mr_slice_of(of_topic)};
    r->d.rows = of_topic ? &r->row : NULL;
    if (mr_groups_delete(s->groups, &r->d))
        removed(&r->d);
}

static void an_empty_group_is_deleted_with_its_offsets_for_good(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct client *a = client(s, "a"), *b = client(s, "b");
    struct commit k;
    struct removal r;
    settle_group(s, &a, 1);
    commit(s, &k, a, "t", 10);
    after(s, 1);
    remove_it(s, &r, NULL);
    leave(a);
    after(s, 1);
    remove_it(s, &r, NULL);
    look(s); /* dead until the disk has it */
    join(b);
    after(s, 1);
    look(s);
    remove_it(s, &r, NULL);
    restart(s, true);
    read_back(s, "t");
    look(s);
    expect(s, "[     1] a commits 10: no error\n"
              "[     1] removed: group has members\n"
              "[     1] a leaves: no error\n"
              "[     2] group: Dead 2, 0 members\n"
              "[     2] b join: coordinator not available\n"
              "[     3] removed: no error\n"
              "[     3] group: no such group\n"
              "[     3] removed: no such group\n"
              "[     8] t: none\n"
              "[     8] group: no such group\n");
    site_free(s);
}

/* A subscription as consumers encode it: version 0, one topic, no user data. */
#define SUBSCRIBED_TO_T MR_SLICE("\0\0\0\0\0\1\0\1t\377\377\377\377")

static void offsets_of_a_subscribed_topic_are_not_deleted_others_are(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct client *a = client(s, "a");
    struct commit k, l;
    struct removal r;
    a->metadata = SUBSCRIBED_TO_T;
    settle_group(s, &a, 1);
    commit(s, &k, a, "t", 1);
    commit(s, &l, a, "u", 2);
    after(s, 5);
    remove_it(s, &r, "t");
    remove_it(s, &r, "u");
    after(s, 5);
    remove_it(s, &r, "u"); /* gone already: that is no error */
    read_back(s, "t");
    read_back(s, "u");
    restart(s, true);
    read_back(s, "u");
    expect(s, "[     1] a commits 1: no error\n"
              "[     2] a commits 2: no error\n"
              "[     5] removed: no error, row: group is subscribed to the topic\n"
              "[     6] removed: no error, row: no error\n"
              "[    10] removed: no error, row: no error\n"
              "[    10] t: 1 epoch 4 'meta'\n"
              "[    10] u: none\n"
              "[    15] u: none\n");
    site_free(s);
}

static void offsets_of_a_group_without_members_expire_after_retention(void **state)
{
    (void)state;
    enum { DAY = 24 * 3600 * 1000 };
    struct site *s = site_with_topics();
    struct client *a = client(s, "a");
    struct commit k;
    settle_group(s, &a, 1);
    commit(s, &k, a, "t", 1);
    after(s, 5000);
    leave(a);
    after(s, (mr_ms)7 * DAY - 5000);
    read_back(s, "t");
    after(s, 20 * 60 * 1000);
    read_back(s, "t");
    look(s);
    after(s, 20 * 60 * 1000);
    look(s); /* nothing was left but a generation */
    restart(s, true);
    look(s);
    expect(s, "[     1] a commits 1: no error\n"
              "[  5000] a leaves: no error\n"
              "[604800000] t: 1 epoch 4 'meta'\n"
              "[606000000] t: none\n"
              "[606000000] group: no such group\n"
              "[607200000] group: no such group\n"
              "[607200005] group: no such group\n");
    site_free(s);
}

static void offsets_of_members_do_not_expire_but_of_topics_they_left(void **state)
{
    (void)state;
    enum { DAY = 24 * 3600 * 1000 };
    struct site *s = site_with_topics();
    struct client *a = client(s, "a");
    struct commit k, l;
    a->metadata = SUBSCRIBED_TO_T;
    a->session_ms = 1800000;
    settle_group(s, &a, 1);
    s->quiet = true;
    commit(s, &k, a, "t", 1);
    commit(s, &l, a, "u", 2);
    for (int i = 0; i < 8 * 24 * 4; i++) {
        after(s, 15 * 60 * 1000);
        assert_int_equal(beat_quietly(a), MR_REFUSE_NONE);
    }
    s->quiet = false;
    s->start = mr_sim_now(s->mill.sim);
    read_back(s, "t");
    read_back(s, "u");
    expect(s, "[     0] t: 1 epoch 4 'meta'\n"
              "[     0] u: none\n");
    site_free(s);
}

static void a_commit_may_say_itself_how_long_it_is_kept(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct commit k;
    struct mr_commit_row row = {.topic = MR_SLICE("t"), .offset = 1};
    k = (struct commit){.c = {.group = MR_SLICE("g"),
                              .generation = -1,
                              .retention_ms = 3600000,
                              .row_count = 1,
                              .done = committed_now},
                        .site = s,
                        .who = "somebody"};
    k.c.rows = &row;
    s->quiet = true;
    assert_false(mr_groups_commit(s->groups, &k.c));
    after(s, 3500000);
    restart(s, true); /* it is stored with it */
    s->quiet = false;
    s->start = mr_sim_now(s->mill.sim);
    read_back(s, "t");
    after(s, 1000000);
    read_back(s, "t");
    expect(s, "[     0] t: 1 epoch -1 ''\n"
              "[1000000] t: none\n");
    site_free(s);
}

static void with_a_topic_go_the_offsets_in_it(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct commit k, l;
    commit(s, &k, NULL, "t", 1);
    commit(s, &l, NULL, "u", 2);
    after(s, 5);
    assert_int_equal(mr_broker_delete(s->broker, MR_SLICE("t"), NULL), MR_REFUSE_NONE);
    mr_groups_topic_deleted(s->groups, MR_SLICE("t"));
    after(s, 5);
    topic(s, "t"); /* a new one of that name begins with no offsets */
    read_back(s, "t");
    read_back(s, "u");
    /* and when the coordinator was not there to hear of it */
    mr_groups_close(s->groups);
    s->groups = NULL;
    assert_int_equal(mr_broker_delete(s->broker, MR_SLICE("u"), NULL), MR_REFUSE_NONE);
    mr_broker_close(s->broker);
    s->broker = NULL;
    site_open(s);
    after(s, 5);
    read_back(s, "u");
    expect(s, "[     1] somebody commits 1: no error\n"
              "[     2] somebody commits 2: no error\n"
              "[    10] t: none\n"
              "[    10] u: 2 epoch 4 'meta'\n"
              "[    15] u: none\n");
    site_free(s);
}

static void with_the_offsets_topic_goes_everything(void **state)
{
    (void)state;
    struct site *s = site_with_topics();
    struct client *a = client(s, "a");
    struct commit k;
    settle_group(s, &a, 1);
    commit(s, &k, a, "t", 1);
    after(s, 5);
    assert_int_equal(mr_broker_delete(s->broker, MR_SLICE(MR_OFFSETS_TOPIC), NULL), MR_REFUSE_NONE);
    mr_groups_topic_deleted(s->groups, MR_SLICE(MR_OFFSETS_TOPIC));
    beat(a);
    commit(s, &k, NULL, "t", 2);
    after(s, 5);
    read_back(s, "t");
    expect(s, "[     1] a commits 1: no error\n"
              "[     5] a beats: no such member in the group\n"
              "[     6] somebody commits 2: no error\n"
              "[    10] t: 2 epoch 4 'meta'\n");
    site_free(s);
}

/* ------------------------------------------------------------------ laws: commits against crashes */

static void last_acknowledged_offsets_survive_any_crash(void **state)
{
    (void)state;
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(40); seed++) {
        struct site *s = site_new(seed);
        struct commit k[200];
        int64_t acked = -1, sent = -1;
        s->quiet = true;
        topic(s, "t");
        mr_sim_faults(s->mill.world)->sync_ms_max = 10;
        size_t n = 0, first = 0;
        while (n < 200) {
            commit(s, &k[n], NULL, "t", sent = (int64_t)n);
            n++;
            after(s, (mr_ms)mr_sim_random(s->mill.sim, 5));
            for (size_t i = first; i < n; i++)
                if (k[i].settled && k[i].row.refusal == MR_REFUSE_NONE)
                    acked = (int64_t)i;
            if (mr_sim_random(s->mill.sim, 20) == 0) {
                struct mr_committed c;
                restart(s, false); /* the process dies; power: see what_was_acknowledged_... */
                first = n;
                bool have = mr_groups_committed(s->groups, MR_SLICE("g"), MR_SLICE("t"), 0, &c);
                if ((have ? c.offset : -1) < acked || (have && c.offset > sent))
                    fail_msg("offset %lld, acknowledged %lld, sent %lld: rerun with MR_SEED=%llu",
                             have ? (long long)c.offset : -1, (long long)acked, (long long)sent,
                             (unsigned long long)seed);
            }
        }
        site_free(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_agrees_with_an_array),
        cmocka_unit_test(want_of_memory_leaves_the_table_as_it_was),
        cmocka_unit_test(an_offset_is_stored_as_kafka_stores_it),
        cmocka_unit_test(a_group_is_stored_as_kafka_stores_it),
        cmocka_unit_test(older_and_newer_values_are_read),
        cmocka_unit_test(groups_lie_where_kafka_would_look_for_them),
        cmocka_unit_test(an_offset_is_seen_when_it_is_durable_and_not_before),
        cmocka_unit_test(a_commit_whose_connection_went_counts_all_the_same),
        cmocka_unit_test(who_may_commit_depends_on_the_state_of_the_group),
        cmocka_unit_test(a_fenced_instance_cannot_commit),
        cmocka_unit_test(a_commit_keeps_its_member_alive),
        cmocka_unit_test(limits_of_a_commit_are_refused_row_by_row),
        cmocka_unit_test(more_offsets_than_offsets_max_are_refused_and_old_ones_go_on),
        cmocka_unit_test(what_was_acknowledged_is_there_after_power_is_lost),
        cmocka_unit_test(while_the_topic_is_read_groups_are_loading),
        cmocka_unit_test(closing_while_reading_and_while_writing_leaves_nothing_behind),
        cmocka_unit_test(a_disk_that_fails_refuses_the_commit_and_shows_nothing),
        cmocka_unit_test(a_damaged_partition_keeps_its_groups_unavailable_and_says_so),
        cmocka_unit_test(garbage_in_the_topic_is_told_and_passed_over),
        cmocka_unit_test(an_empty_group_is_deleted_with_its_offsets_for_good),
        cmocka_unit_test(offsets_of_a_subscribed_topic_are_not_deleted_others_are),
        cmocka_unit_test(offsets_of_a_group_without_members_expire_after_retention),
        cmocka_unit_test(offsets_of_members_do_not_expire_but_of_topics_they_left),
        cmocka_unit_test(a_commit_may_say_itself_how_long_it_is_kept),
        cmocka_unit_test(with_a_topic_go_the_offsets_in_it),
        cmocka_unit_test(with_the_offsets_topic_goes_everything),
        cmocka_unit_test(last_acknowledged_offsets_survive_any_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
