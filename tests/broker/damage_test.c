/* damage_test.c - bits that flip in what the coordinators and producers keep on disk: it is refused, or made
 * again from what is whole, and nothing else is disturbed. */
#include "broker/moved.h"
#include "broker/shop.h"

#include "base/arena.h"

enum { GROUPS = 8, IDS = 8, FILE_BYTES_MAX = 1 << 20 };

static void name_of(const char *prefix, int i, char out[16])
{
    (void)snprintf(out, 16, "%s%d", prefix, i);
}

static enum mr_refusal move(struct shop *s, int group, int64_t offset)
{
    char name[16];
    name_of("g", group, name);
    struct moved m = moved_to(name, offset, MR_SLICE("meta"));
    return moved_send(&s->m, s->groups, &m);
}

/* Offsets 100 and then 200 of some groups; ids with epoch 1, and one transaction each that is committed. */
static void stock(struct shop *s)
{
    for (int i = 0; i < GROUPS; i++) {
        assert_int_equal(move(s, i, 100 + i), MR_REFUSE_NONE);
        assert_int_equal(move(s, i, 200 + i), MR_REFUSE_NONE);
    }
    for (int i = 0; i < IDS; i++) {
        char name[16];
        name_of("k", i, name);
        struct maker k = maker_of(s, name);
        assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
        assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
        assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
        assert_int_equal(make_say(&k, 0, name, false), MR_REFUSE_NONE);
        assert_int_equal(make_end_until(&k, true), MR_REFUSE_NONE);
    }
}

static int64_t flipped_at;
struct count {
    int right, refused;
};

/* Each group says what it was told last, or is refused; never an older offset, nor another one's. */
static struct count groups_seen(struct shop *s)
{
    struct count n = {0};
    for (int i = 0; i < GROUPS; i++) {
        struct mr_committed c;
        char name[16];
        name_of("g", i, name);
        enum mr_refusal why = mr_groups_fetch_check(s->groups, mr_slice_of(name));
        if (why) {
            assert_int_equal(why, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
            n.refused++;
            continue;
        }
        if (!mr_groups_committed(s->groups, mr_slice_of(name), MR_SLICE("t"), 0, &c) || c.offset != 200 + i)
            fail_msg("%s does not say %d (flipped %d) got %d", name, 200 + i, (int)flipped_at, (int)c.offset);
        assert_true(mr_slice_eq(c.metadata, MR_SLICE("meta")));
        n.right++;
    }
    return n;
}

static struct count ids_seen(struct shop *s)
{
    struct count n = {0};
    for (int i = 0; i < IDS; i++) {
        struct mr_txn_view v;
        char name[16];
        name_of("k", i, name);
        enum mr_refusal why = mr_txns_view(s->txns, mr_slice_of(name), &v);
        if (why) {
            assert_int_equal(why, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
            n.refused++;
            continue;
        }
        assert_int_equal(v.epoch, 1);
        assert_int_equal(v.state, MR_TXN_COMPLETE_COMMIT);
        n.right++;
    }
    return n;
}

/* Bytes of the file; 0: there is none. */
static int64_t size_of(struct shop *s, const char *path)
{
    struct mr_err err = {0};
    struct mr_heap_arena arena;
    struct mr_slice bytes = {0};
    mr_heap_arena_init(&arena, FILE_BYTES_MAX, FILE_BYTES_MAX, 4 * FILE_BYTES_MAX);
    mr_code rc = mr_file_slurp(s->m.world, path, FILE_BYTES_MAX, &arena.arena, &bytes, &err);
    mr_heap_arena_fini(&arena);
    return rc ? 0 : (int64_t)bytes.len;
}

/* killed: the process was, so that the next one looks through what was written last. */
static void end(struct shop *s, bool killed)
{
    if (killed)
        mr_sim_kill(s->m.world);
    shop_close(s);
    if (killed)
        mr_sim_restart(s->m.world);
}

static void every_bit(const char *topic, int32_t partition, bool of_groups, bool killed)
{
    char path[128];
    int refusals = 0;
    (void)snprintf(path, sizeof path, "d/topics/%s-%d/00000000000000000000.log", topic, partition);
    struct shop s = shop_new(1);
    stock(&s);
    end(&s, killed);
    int64_t size = size_of(&s, path);
    assert_true(size > 200);
    for (int64_t at = 0; at < size; at++) {
        int bit = (int)(at * 5 % 8);
        flipped_at = at;
        assert_true(mr_sim_flip(s.m.world, path, at, bit));
        shop_open(&s);
        pass(&s, 1000);
        struct count g = groups_seen(&s), k = ids_seen(&s);
        refusals += of_groups ? g.refused : k.refused;
        /* what lies elsewhere is not disturbed */
        assert_int_equal(of_groups ? k.refused : g.refused, 0);
        assert_true((of_groups ? g.right : k.right) > 0);
        end(&s, killed);
        assert_true(mr_sim_flip(s.m.world, path, at, bit));
    }
    shop_open(&s);
    pass(&s, 1000);
    assert_int_equal(groups_seen(&s).right, GROUPS); /* nobody wrote anything over it */
    assert_int_equal(ids_seen(&s).right, IDS);
    shop_free(&s);
    assert_true(refusals > size / 2); /* the checksum covers most of it */
}

static void a_flipped_bit_of_the_offsets_topic_is_refused_and_nothing_else_disturbed(void **state)
{
    (void)state;
    every_bit(MR_OFFSETS_TOPIC, mr_groups_partition_of(MR_SLICE("g1"), 4), true, false);
    every_bit(MR_OFFSETS_TOPIC, mr_groups_partition_of(MR_SLICE("g1"), 4), true, true);
}

static void a_flipped_bit_of_the_transactions_topic_is_refused_and_nothing_else_disturbed(void **state)
{
    (void)state;
    every_bit(MR_TXNS_TOPIC, mr_txns_partition_of(MR_SLICE("k1"), 4), false, false);
    every_bit(MR_TXNS_TOPIC, mr_txns_partition_of(MR_SLICE("k1"), 4), false, true);
}

/* ------------------------------------------------------------------ what can be made again */

/* Partition 0 of t: its producers, the transactions of it, and the indexes of its log. */
static void files_that_can_be_made_again_are_when_a_bit_flips(void **state)
{
    (void)state;
    static const char *const files[] = {"producers", "00000000000000000000.index",
                                        "00000000000000000000.timeindex"};
    int looked = 0;
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        struct shop s = shop_new(2);
        struct maker k = maker_of(&s, "k");
        char path[128];
        (void)snprintf(path, sizeof path, "d/topics/t-0/%s", files[f]);
        assert_int_equal(make_init_until(&k), MR_REFUSE_NONE);
        assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
        assert_int_equal(make_say(&k, 0, "kept", false), MR_REFUSE_NONE);
        assert_int_equal(make_end_until(&k, true), MR_REFUSE_NONE);
        assert_int_equal(make_add_until(&k), MR_REFUSE_NONE);
        assert_int_equal(make_say(&k, 0, "gone", false), MR_REFUSE_NONE);
        assert_int_equal(make_end_until(&k, false), MR_REFUSE_NONE);
        shop_close(&s);
        int64_t size = size_of(&s, path);
        for (int64_t at = 0; at < size; at++) {
            struct maker again = k;
            assert_true(mr_sim_flip(s.m.world, path, at, (int)(at * 3 % 8)));
            shop_open(&s);
            pass(&s, 100);
            expect_committed(&s, 0, "kept/0 kept/1");
            /* the last batch is known again: it is not appended twice */
            again.sequence[0] -= 2;
            int64_t end = mr_partition_end(shelf(&s, 0));
            assert_int_equal(make_say(&again, 0, "gone", true), MR_REFUSE_NONE);
            assert_int_equal(mr_partition_end(shelf(&s, 0)), end);
            again.sequence[0] += 5;
            assert_int_equal(make_say(&again, 0, "odd", true), MR_REFUSE_SEQUENCE);
            shop_close(&s);
            if (size_of(&s, path) > at) /* it may have been written anew, whole */
                looked++;
            size = size_of(&s, path);
        }
        shop_open(&s);
        shop_free(&s);
    }
    assert_true(looked > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_of_the_offsets_topic_is_refused_and_nothing_else_disturbed),
        cmocka_unit_test(a_flipped_bit_of_the_transactions_topic_is_refused_and_nothing_else_disturbed),
        cmocka_unit_test(files_that_can_be_made_again_are_when_a_bit_flips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
