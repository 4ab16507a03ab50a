/* partition_test.c - the laws P1 to P4 of a partition, on a disk that lies within rules. */
#include "broker/mill.h"

#include "sim/seeds.h"

static void acks_all_waits_for_the_disk_and_the_others_do_not(void **state)
{
    struct mill m = mill_new(1);
    struct mr_partition_config c = plain_config();
    struct mr_partition *p = open_partition(&m, &c);
    struct sent all, one, none;
    (void)state;
    produce(p, &one, 1, batch_of("a", 2, MR_CODEC_NONE, -1, -1, -1));
    produce(p, &none, 0, batch_of("b", 1, MR_CODEC_NONE, -1, -1, -1));
    produce(p, &all, -1, batch_of("c", 3, MR_CODEC_NONE, -1, -1, -1));
    assert_true(one.settled && none.settled);
    assert_false(all.settled);
    assert_int_equal(one.pr.base_offset, 0);
    assert_int_equal(none.pr.base_offset, 2);
    settle(&m);
    assert_true(all.settled);
    assert_int_equal(all.pr.refusal, MR_REFUSE_NONE);
    assert_int_equal(all.pr.base_offset, 3);
    expect_values(p, 0, "a/0 a/1 b/0 c/0 c/1 c/2");
    expect_values(p, 4, "c/1 c/2");
    mr_partition_close(p);
    mr_sim_free(m.sim);
}

static void readers_see_only_what_is_on_the_disk(void **state)
{
    struct mill m = mill_new(2);
    struct mr_partition_config c = plain_config();
    struct mr_partition *p = open_partition(&m, &c);
    struct sent s;
    struct mr_log_view view;
    int64_t offset, timestamp;
    (void)state;
    produce(p, &s, 1, batch_of("a", 2, MR_CODEC_NONE, -1, -1, -1));
    assert_int_equal(mr_partition_end(p), 2);
    assert_int_equal(mr_partition_high(p), 0);
    assert_int_equal(mr_partition_find(p, 0, 100, &view, NULL), MR_REFUSE_NONE);
    assert_int_equal(view.len, 0);
    assert_int_equal(mr_partition_list(p, -1, &offset, &timestamp, NULL), MR_REFUSE_NONE);
    assert_int_equal(offset, 0);
    assert_int_equal(mr_partition_list(p, 0, &offset, &timestamp, NULL), MR_REFUSE_NONE);
    assert_int_equal(offset, -1);
    settle(&m);
    assert_int_equal(mr_partition_high(p), 2);
    assert_int_equal(mr_partition_list(p, -1, &offset, &timestamp, NULL), MR_REFUSE_NONE);
    assert_int_equal(offset, 2);
    assert_int_equal(mr_partition_find(p, 3, 100, &view, NULL), MR_REFUSE_OFFSET_OUT_OF_RANGE);
    assert_int_equal(mr_partition_find(p, -5, 100, &view, NULL), MR_REFUSE_OFFSET_OUT_OF_RANGE);
    mr_partition_close(p);
    mr_sim_free(m.sim);
}

/* What lies in memory alone a process that dies takes along: acks=1 waits with the others then. */
static void acks_1_is_answered_when_the_file_has_it(void **state)
{
    struct mill m = mill_new(21);
    struct mr_partition_config c = plain_config();
    c.log.direct_bytes = 1;
    struct mr_partition *p = open_partition(&m, &c);
    struct mr_log_pool *pool = mr_log_pool_new(m.world);
    struct sent one, none, again, cached;
    (void)state;
    mr_partition_lend(p, pool);
    produce(p, &one, 1, batch_of("a", 2, MR_CODEC_NONE, 7, 0, 0));
    produce(p, &again, 1, batch_of("a", 2, MR_CODEC_NONE, 7, 0, 0));
    produce(p, &none, 0, batch_of("b", 1, MR_CODEC_NONE, -1, -1, -1));
    assert_true(none.settled);
    assert_false(one.settled || again.settled);
    settle(&m);
    assert_true(one.settled && again.settled);
    assert_int_equal(one.pr.refusal, MR_REFUSE_NONE);
    assert_int_equal(again.pr.base_offset, 0);
    expect_values(p, 0, "a/0 a/1 b/0"); /* and is read from here on */
    produce(p, &cached, 1, batch_of("c", 1, MR_CODEC_NONE, -1, -1, -1));
    assert_true(cached.settled);
    settle(&m);
    expect_values(p, 3, "c/0");
    mr_partition_close(p);
    mr_log_pool_free(pool);
    mr_sim_free(m.sim);
}

/* A topic that stops to promise fsync shows what is in the file, and the rest when it lands. */
static void a_topic_that_turns_to_the_page_cache_shows_what_has_landed(void **state)
{
    struct mill m = mill_new(22);
    struct mr_partition_config c = plain_config();
    c.log.direct_bytes = 1;
    struct mr_partition *p = open_partition(&m, &c);
    struct mr_log_pool *pool = mr_log_pool_new(m.world);
    struct sent one, none, s;
    (void)state;
    mr_partition_lend(p, pool);
    produce(p, &one, 1, batch_of("a", 2, MR_CODEC_NONE, -1, -1, -1));  /* flies */
    produce(p, &none, 0, batch_of("b", 1, MR_CODEC_NONE, -1, -1, -1)); /* is held */
    c.durable = false;
    mr_partition_configure(p, &c);
    assert_int_equal(mr_partition_high(p), 0);
    settle(&m);
    assert_true(one.settled && none.settled);
    expect_values(p, 0, "a/0 a/1 b/0");
    produce(p, &s, 1, batch_of("c", 1, MR_CODEC_NONE, -1, -1, -1));
    assert_true(s.settled);
    expect_values(p, 3, "c/0");
    mr_partition_close(p);
    mr_log_pool_free(pool);
    mr_sim_free(m.sim);
}

static void a_page_cache_topic_waits_for_nothing(void **state)
{
    struct mill m = mill_new(3);
    struct mr_partition_config c = plain_config();
    c.durable = false;
    struct mr_partition *p = open_partition(&m, &c);
    struct sent s;
    (void)state;
    produce(p, &s, -1, batch_of("a", 2, MR_CODEC_NONE, -1, -1, -1));
    assert_true(s.settled);
    expect_values(p, 0, "a/0 a/1");
    mr_partition_close(p);
    mr_sim_free(m.sim);
}

static void waiting_producers_share_one_sync(void **state)
{
    struct mill m = mill_new(4);
    struct mr_partition_config c = plain_config();
    struct mr_partition *p = open_partition(&m, &c);
    struct sent s[50];
    (void)state;
    settle(&m);
    uint64_t before = mr_sim_counts(m.world)->syncs;
    for (int i = 0; i < 50; i++)
        produce(p, &s[i], -1, batch_of("v", 1, MR_CODEC_NONE, -1, -1, -1));
    settle(&m);
    for (int i = 0; i < 50; i++)
        assert_true(s[i].settled && s[i].pr.refusal == MR_REFUSE_NONE && s[i].pr.base_offset == i);
    assert_in_range(mr_sim_counts(m.world)->syncs - before, 1, 4);
    mr_partition_close(p);
    mr_sim_free(m.sim);
}

static void a_failed_sync_answers_nobody_well_and_stops_writing(void **state)
{
    struct mill m = mill_new(5);
    struct mr_partition_config c = plain_config();
    struct mr_partition *p = open_partition(&m, &c);
    struct sent good, bad, later;
    (void)state;
    produce(p, &good, -1, batch_of("a", 1, MR_CODEC_NONE, -1, -1, -1));
    settle(&m);
    mr_sim_faults(m.world)->fail_sync = 1;
    produce(p, &bad, -1, batch_of("b", 1, MR_CODEC_NONE, -1, -1, -1));
    settle(&m);
    assert_true(bad.settled);
    assert_int_equal(bad.pr.refusal, MR_REFUSE_STORAGE);
    assert_int_equal(bad.pr.base_offset, -1);
    produce(p, &later, 1, batch_of("c", 1, MR_CODEC_NONE, -1, -1, -1));
    assert_true(later.settled);
    assert_int_equal(later.pr.refusal, MR_REFUSE_STORAGE);
    expect_values(p, 0, "a/0"); /* what was safe is still readable */
    mr_partition_close(p);
    mr_sim_free(m.sim);
}

static void a_full_disk_is_told_and_heals(void **state)
{
    struct mill m = mill_new(6);
    struct mr_partition_config c = plain_config();
    struct mr_partition *p = open_partition(&m, &c);
    struct sent s;
    (void)state;
    produce(p, &s, -1, batch_of("a", 1, MR_CODEC_NONE, -1, -1, -1));
    settle(&m);
    mr_sim_faults(m.world)->capacity = 1;
    produce(p, &s, -1, batch_of("b", 1, MR_CODEC_NONE, -1, -1, -1));
    settle(&m);
    assert_true(s.settled);
    assert_int_equal(s.pr.refusal, MR_REFUSE_STORAGE);
    assert_int_equal(s.pr.code, MR_NOSPACE);
    mr_sim_faults(m.world)->capacity = 0;
    produce(p, &s, -1, batch_of("c", 1, MR_CODEC_NONE, -1, -1, -1));
    settle(&m);
    assert_int_equal(s.pr.refusal, MR_REFUSE_NONE);
    expect_values(p, 0, "a/0 c/0");
    mr_partition_close(p);
    mr_sim_free(m.sim);
}

static void a_repeated_batch_gets_its_first_offset_and_is_stored_once(void **state)
{
    struct mill m = mill_new(7);
    struct mr_partition_config c = plain_config();
    struct mr_partition *p = open_partition(&m, &c);
    struct sent first, again, next, gap;
    (void)state;
    produce(p, &first, -1, batch_of("a", 3, MR_CODEC_NONE, 9, 0, 0));
    produce(p, &again, -1, batch_of("a", 3, MR_CODEC_NONE, 9, 0, 0)); /* the first is not on the disk yet */
    assert_false(again.settled);                                      /* P3 */
    settle(&m);
    assert_true(first.settled && again.settled);
    assert_int_equal(again.pr.refusal, MR_REFUSE_NONE);
    assert_int_equal(again.pr.base_offset, 0);
    produce(p, &gap, -1, batch_of("c", 1, MR_CODEC_NONE, 9, 0, 4));
    assert_true(gap.settled);
    assert_int_equal(gap.pr.refusal, MR_REFUSE_SEQUENCE);
    produce(p, &next, -1, batch_of("b", 1, MR_CODEC_NONE, 9, 0, 3));
    settle(&m);
    assert_int_equal(next.pr.base_offset, 3);
    expect_values(p, 0, "a/0 a/1 a/2 b/0");
    mr_partition_close(p);
    mr_sim_free(m.sim);
}

/* how: 0 closed clean, 1 killed, 2 closed clean but the snapshot damaged, 3 without power */
static void producers_are_known_again_after(int how)
{
    struct mill m = mill_new(8);
    struct mr_partition_config c = plain_config();
    c.log.segment_bytes = 4096; /* several segments */
    struct mr_partition *p = open_partition(&m, &c);
    struct sent s;
    for (int i = 0; i < 40; i++) {
        produce(p, &s, -1, batch_of("value that takes room", 10, MR_CODEC_NONE, 9, 0, 10 * i));
        settle(&m);
        assert_int_equal(s.pr.refusal, MR_REFUSE_NONE);
    }
    if (how == 1)
        mr_sim_kill(m.world);
    if (how == 3)
        mr_sim_crash(m.world);
    mr_partition_close(p);
    if (how == 2)
        assert_true(mr_sim_flip(m.world, "d/t-0/producers", 30, 3));
    if (how == 1 || how == 3)
        mr_sim_restart(m.world);
    p = open_partition(&m, &c);
    assert_int_equal(mr_partition_end(p), 400);
    produce(p, &s, -1, batch_of("value that takes room", 10, MR_CODEC_NONE, 9, 0, 370));
    settle(&m);
    assert_int_equal(s.pr.base_offset, 370);
    produce(p, &s, -1, batch_of("v", 1, MR_CODEC_NONE, 9, 0, 7));
    assert_int_equal(s.pr.refusal, MR_REFUSE_SEQUENCE);
    produce(p, &s, -1, batch_of("v", 1, MR_CODEC_NONE, 9, 0, 400));
    settle(&m);
    assert_int_equal(s.pr.base_offset, 400);
    mr_partition_close(p);
    mr_sim_free(m.sim);
}

static void producers_are_known_again_after_a_clean_stop(void **state)
{
    (void)state;
    producers_are_known_again_after(0);
}
static void producers_are_known_again_after_kill(void **state)
{
    (void)state;
    producers_are_known_again_after(1);
}
static void producers_are_known_again_with_a_damaged_snapshot(void **state)
{
    (void)state;
    producers_are_known_again_after(2);
}
static void producers_are_known_again_after_a_loss_of_power(void **state)
{
    (void)state;
    producers_are_known_again_after(3);
}

/* The snapshot is written before the log is synced at a close. Losing power between the two leaves one that
 * knows of batches which the log has lost: a producer that sends them again must not be told "known already".
 */
static void a_snapshot_of_what_was_lost_is_worth_nothing(void **state)
{
    int lost = 0;
    (void)state;
    for (uint64_t k = 1; k < 30; k++) {
        struct mill m = mill_new(k);
        struct mr_partition_config c = plain_config();
        struct mr_partition *p = NULL;
        struct sent s;
        c.durable = false;
        mr_sim_faults(m.world)->lose_all = true;
        mr_sim_faults(m.world)->sync_ms_max = 1;
        p = open_partition(&m, &c);
        produce(p, &s, -1, batch_of("a", 2, MR_CODEC_NONE, 5, 0, 0));
        assert_int_equal(s.pr.refusal, MR_REFUSE_NONE);
        mr_sim_faults(m.world)->crash_at = k;
        mr_partition_close(p);
        mr_sim_faults(m.world)->crash_at = 0;
        if (mr_sim_is_down(m.world))
            mr_sim_restart(m.world);
        p = open_partition(&m, &c);
        lost += mr_partition_end(p) == 0;
        produce(p, &s, -1, batch_of("a", 2, MR_CODEC_NONE, 5, 0, 0));
        assert_int_equal(s.pr.refusal, MR_REFUSE_NONE);
        assert_int_equal(s.pr.base_offset, 0);
        expect_values(p, 0, "a/0 a/1");
        mr_partition_close(p);
        mr_sim_free(m.sim);
    }
    assert_true(lost > 0);
}

static void trimming_moves_the_start_and_never_beyond_what_readers_see(void **state)
{
    struct mill m = mill_new(12);
    struct mr_partition_config c = plain_config();
    struct mr_partition *p = open_partition(&m, &c);
    struct sent s;
    struct mr_log_view view;
    int64_t start;
    (void)state;
    produce(p, &s, -1, batch_of("a", 3, MR_CODEC_NONE, -1, -1, -1));
    settle(&m);
    produce(p, &s, 1, batch_of("b", 3, MR_CODEC_NONE, -1, -1, -1));
    assert_int_equal(mr_partition_trim(p, 4, &start, NULL), MR_REFUSE_OFFSET_OUT_OF_RANGE);
    assert_int_equal(start, -1);
    assert_int_equal(mr_partition_trim(p, 1, &start, NULL), MR_REFUSE_NONE);
    assert_int_equal(start, 1);
    assert_int_equal(mr_partition_find(p, 0, 100, &view, NULL), MR_REFUSE_OFFSET_OUT_OF_RANGE);
    assert_int_equal(mr_partition_trim(p, -1, &start, NULL), MR_REFUSE_NONE);
    assert_int_equal(start, 3);
    settle(&m);
    expect_values(p, 3, "b/0 b/1 b/2");
    mr_partition_close(p);
    p = open_partition(&m, &c);
    assert_int_equal(mr_partition_start(p), 3);
    mr_partition_close(p);
    mr_sim_free(m.sim);
}

struct reader {
    struct mr_parked parked; /* first */
    struct mr_partition *p;
    int woken, again;
    bool gone;
};

static void on_wake(struct mr_parked *who)
{
    struct reader *r = (struct reader *)(void *)who;
    r->woken++;
    r->gone = who->gone;
    if (r->again-- > 0) {
        r->parked.offset = mr_partition_high(r->p);
        mr_partition_park(r->p, &r->parked);
    }
}

static void a_parked_reader_is_woken_by_what_it_waits_for(void **state)
{
    struct mill m = mill_new(9);
    struct mr_partition_config c = plain_config();
    struct mr_partition *p = open_partition(&m, &c);
    struct reader near = {.parked = {.offset = 0, .wake = on_wake}, .p = p, .again = 1};
    struct reader far = {.parked = {.offset = 5, .wake = on_wake}, .p = p};
    struct reader left = {.parked = {.offset = 0, .wake = on_wake}, .p = p};
    struct sent s;
    (void)state;
    mr_partition_park(p, &near.parked);
    mr_partition_park(p, &far.parked);
    mr_partition_park(p, &left.parked);
    mr_partition_unpark(&left.parked);
    produce(p, &s, 1, batch_of("a", 2, MR_CODEC_NONE, -1, -1, -1));
    assert_int_equal(near.woken, 0); /* not on the disk yet */
    settle(&m);
    assert_int_equal(near.woken, 1);
    assert_int_equal(far.woken, 0);
    produce(p, &s, 1, batch_of("b", 4, MR_CODEC_NONE, -1, -1, -1));
    settle(&m);
    assert_int_equal(near.woken, 2);
    assert_int_equal(far.woken, 1);
    far.parked.offset = 6;
    mr_partition_park(p, &far.parked);
    mr_partition_close(p);
    assert_int_equal(far.woken, 2);
    assert_true(far.gone);
    assert_int_equal(left.woken, 0);
    mr_sim_free(m.sim);
}

static void who_waits_is_answered_when_the_partition_closes(void **state)
{
    struct mill m = mill_new(10);
    struct mr_partition_config c = plain_config();
    struct mr_partition *p = open_partition(&m, &c);
    struct sent waits, forgotten;
    (void)state;
    produce(p, &waits, -1, batch_of("a", 1, MR_CODEC_NONE, -1, -1, -1));
    produce(p, &forgotten, -1, batch_of("b", 1, MR_CODEC_NONE, -1, -1, -1));
    mr_partition_forget(&forgotten.pr);
    mr_partition_close(p);
    assert_true(waits.settled);
    assert_int_equal(waits.pr.code, MR_CANCELLED);
    assert_false(forgotten.settled);
    settle(&m); /* the sync that was on its way comes back to nobody */
    mr_sim_free(m.sim);
}

static void the_brokers_clock_stamps_and_the_checksum_holds(void **state)
{
    struct mill m = mill_new(11);
    struct mr_partition_config c = plain_config();
    c.log_append_time = true;
    struct mr_partition *p = open_partition(&m, &c);
    struct sent s;
    struct mr_log_view view;
    struct mr_batch_header h;
    char bytes[512];
    size_t got;
    (void)state;
    int64_t now = mr_wall(m.world) / 1000000;
    produce(p, &s, -1, batch_of("a", 2, MR_CODEC_NONE, -1, -1, -1));
    settle(&m);
    assert_int_equal(s.pr.append_time, now);
    assert_int_equal(mr_partition_find(p, 0, 512, &view, NULL), MR_REFUSE_NONE);
    assert_int_equal(mr_file_read(view.file, bytes, view.len, view.at, &got, NULL), MR_OK);
    struct mr_slice batch = {bytes, got};
    assert_int_equal(mr_batch_header_read(batch, &h, NULL), MR_OK);
    assert_true(mr_batch_crc_ok(batch));
    assert_int_equal(h.max_timestamp, now);
    assert_int_equal(h.attributes & 8, 8);
    mr_partition_close(p);
    mr_sim_free(m.sim);
}

static void a_wrong_newest_time_of_a_batch_is_set_right(void **state)
{
    struct mill m = mill_new(13);
    struct mr_partition_config c = plain_config();
    struct mr_partition *p = open_partition(&m, &c);
    (void)state;
    for (int codec = MR_CODEC_NONE; codec <= MR_CODEC_ZSTD; codec++) {
        struct sent s;
        struct mr_log_view view;
        struct mr_batch_header h;
        char bytes[512];
        size_t got;
        struct mr_buf b = batch_of("a", 3, (enum mr_codec)codec, -1, -1, -1);
        assert_int_equal(mr_batch_header_read((struct mr_slice){b.p, b.len}, &h, NULL), MR_OK);
        int64_t want = h.max_timestamp;
        mr_batch_stamp_max_time(b.p, -1); /* as sarama 1.29 says it */
        produce(p, &s, -1, b);
        settle(&m);
        assert_int_equal(s.pr.refusal, MR_REFUSE_NONE);
        assert_int_equal(mr_partition_find(p, s.pr.base_offset, 512, &view, NULL), MR_REFUSE_NONE);
        assert_int_equal(mr_file_read(view.file, bytes, view.len, view.at, &got, NULL), MR_OK);
        assert_int_equal(mr_batch_header_read((struct mr_slice){bytes, got}, &h, NULL), MR_OK);
        assert_int_equal(h.max_timestamp, want);
        assert_true(mr_batch_crc_ok((struct mr_slice){bytes, got}));
    }
    mr_partition_close(p);
    mr_sim_free(m.sim);
}

/* A producer that retries what was not answered, against crashes at any operation: in the end each batch is
 * there once, in order, and what was acknowledged kept its offset. */
static int lives_of_a_producer(uint64_t seed) /* how many it took */
{
    enum { BATCHES = 30, LIVES = 8 };
    struct mill m = mill_new(seed);
    struct mr_partition_config c = plain_config();
    int64_t acked[BATCHES];
    int next = 0, life;
    c.log.segment_bytes = 4096;
    for (int i = 0; i < BATCHES; i++)
        acked[i] = -1;
    for (life = 0; next < BATCHES; life++) {
        struct mr_partition *p = NULL;
        struct mr_err err = {0};
        if (life < LIVES)
            mr_sim_faults(m.world)->crash_at = 1 + mr_sim_random(m.sim, 60);
        if (mr_partition_open(m.world, "d/t-0", &c, &p, &err) == MR_OK) {
            for (int64_t at = 0, i = 0; i < next && !mr_sim_is_down(m.world); i++, at = acked[i - 1] + 3)
                assert_int_equal(acked[i], at); /* in order, none twice */
            while (next < BATCHES && !mr_sim_is_down(m.world)) {
                struct sent s;
                char tag[16];
                (void)snprintf(tag, sizeof tag, "b%d", next);
                produce(p, &s, -1, batch_of(tag, 3, MR_CODEC_NONE, 5, 0, 3 * next));
                settle(&m);
                if (!s.settled || s.pr.refusal) {
                    mr_partition_forget(&s.pr);
                    break;
                }
                acked[next++] = s.pr.base_offset;
            }
            if (!mr_sim_is_down(m.world) && next < BATCHES)
                mr_sim_crash(m.world); /* a refusal without a crash: the process is restarted */
            mr_partition_close(p);
        }
        mr_sim_faults(m.world)->crash_at = 0;
        if (mr_sim_is_down(m.world))
            mr_sim_restart(m.world);
        assert_true(life < 200);
    }
    struct mr_partition *p = open_partition(&m, &c);
    settle(&m);
    struct mr_buf want = {0}, got = values_from(p, 0);
    for (int i = 0; i < BATCHES; i++) {
        assert_int_equal(acked[i], 3 * i);
        for (int k = 0; k < 3; k++)
            assert_true(mr_buf_printf(&want, "%sb%d/%d", want.len ? " " : "", i, k));
    }
    assert_true(mr_buf_put(&want, "", 1));
    if (strcmp(got.p, want.p) != 0)
        fail_msg("seed %llu:\n got  %s\n want %s", (unsigned long long)seed, got.p, want.p);
    mr_buf_fini(&want);
    mr_buf_fini(&got);
    mr_partition_close(p);
    mr_sim_free(m.sim);
    return life;
}

static void acknowledged_once_and_in_order_whatever_crashes(void **state)
{
    (void)state;
    uint64_t lives = 0, runs = 0;
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(200); seed++, runs++)
        lives += (uint64_t)lives_of_a_producer(seed);
    assert_true(lives > 2 * runs); /* else nothing has crashed */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(acks_all_waits_for_the_disk_and_the_others_do_not),
        cmocka_unit_test(readers_see_only_what_is_on_the_disk),
        cmocka_unit_test(acks_1_is_answered_when_the_file_has_it),
        cmocka_unit_test(a_topic_that_turns_to_the_page_cache_shows_what_has_landed),
        cmocka_unit_test(a_page_cache_topic_waits_for_nothing),
        cmocka_unit_test(waiting_producers_share_one_sync),
        cmocka_unit_test(a_failed_sync_answers_nobody_well_and_stops_writing),
        cmocka_unit_test(a_full_disk_is_told_and_heals),
        cmocka_unit_test(a_repeated_batch_gets_its_first_offset_and_is_stored_once),
        cmocka_unit_test(producers_are_known_again_after_a_clean_stop),
        cmocka_unit_test(producers_are_known_again_after_kill),
        cmocka_unit_test(producers_are_known_again_with_a_damaged_snapshot),
        cmocka_unit_test(producers_are_known_again_after_a_loss_of_power),
        cmocka_unit_test(a_snapshot_of_what_was_lost_is_worth_nothing),
        cmocka_unit_test(trimming_moves_the_start_and_never_beyond_what_readers_see),
        cmocka_unit_test(a_parked_reader_is_woken_by_what_it_waits_for),
        cmocka_unit_test(who_waits_is_answered_when_the_partition_closes),
        cmocka_unit_test(the_brokers_clock_stamps_and_the_checksum_holds),
        cmocka_unit_test(a_wrong_newest_time_of_a_batch_is_set_right),
        cmocka_unit_test(acknowledged_once_and_in_order_whatever_crashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
