/* session_test.c - fetch sessions alone, over a simulated clock: limits, who has to go, and the order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/fetch_session.h"
#include "world/sim.h"

static struct mr_fetch_part *put(struct mr_fetch_session *s, int32_t partition)
{
    return mr_fetch_session_put(s, &(struct mr_fetch_key){.name = MR_SLICE("t"), .partition = partition});
}

static struct mr_fetch_session *with_parts(struct mr_fetch_sessions *all, int32_t count)
{
    struct mr_fetch_session *s = mr_fetch_session_new(all, false, (size_t)count);
    assert_non_null(s);
    for (int32_t i = 0; i < count; i++)
        assert_non_null(put(s, i));
    return s;
}

static void sessions_are_bounded_and_the_idle_one_goes_first(void **state)
{
    struct mr_sim *sim = mr_sim_new(1);
    mr_ms begin = mr_sim_now(sim);
    struct mr_fetch_sessions all;
    (void)state;
    mr_fetch_sessions_init(&all, mr_sim_node(sim, 0), 2, 100);
    int32_t a = with_parts(&all, 3)->id, b = with_parts(&all, 3)->id;
    assert_int_not_equal(a, b);
    assert_null(mr_fetch_session_new(&all, false, 50)); /* both are young */
    mr_sim_run_until(sim, begin + MR_FETCH_SESSION_IDLE_MS);
    assert_null(mr_fetch_session_new(&all, false, 50)); /* not idle for longer than allowed */
    mr_fetch_session_use(mr_fetch_session_find(&all, a));
    mr_sim_run_until(sim, begin + MR_FETCH_SESSION_IDLE_MS + 1);
    int32_t c = with_parts(&all, 1)->id;
    assert_null(mr_fetch_session_find(&all, b));
    assert_non_null(mr_fetch_session_find(&all, a));
    assert_non_null(mr_fetch_session_find(&all, c));
    mr_fetch_sessions_fini(&all);
    mr_sim_free(sim);
}

static void a_larger_session_takes_the_place_of_a_smaller_old_one(void **state)
{
    struct mr_sim *sim = mr_sim_new(2);
    mr_ms begin = mr_sim_now(sim);
    struct mr_fetch_sessions all;
    (void)state;
    mr_fetch_sessions_init(&all, mr_sim_node(sim, 0), 2, 100);
    struct mr_fetch_session *small = with_parts(&all, 2), *large = with_parts(&all, 9);
    int32_t a = small->id, b = large->id;
    mr_sim_run_until(sim, begin + MR_FETCH_SESSION_IDLE_MS);
    mr_fetch_session_use(small);
    mr_fetch_session_use(large);
    mr_sim_run_until(sim, begin + MR_FETCH_SESSION_IDLE_MS + 1);
    assert_null(mr_fetch_session_new(&all, false, 2)); /* as small */
    assert_non_null(mr_fetch_session_new(&all, false, 3));
    assert_null(mr_fetch_session_find(&all, a));
    assert_non_null(mr_fetch_session_find(&all, b));
    mr_fetch_sessions_fini(&all);
    mr_sim_free(sim);
}

static void parts_are_bounded_over_all_sessions(void **state)
{
    struct mr_sim *sim = mr_sim_new(3);
    mr_ms begin = mr_sim_now(sim);
    struct mr_fetch_sessions all;
    (void)state;
    mr_fetch_sessions_init(&all, mr_sim_node(sim, 0), 10, 8);
    assert_null(mr_fetch_session_new(&all, false, 9));
    struct mr_fetch_session *a = with_parts(&all, 5), *b = with_parts(&all, 3);
    int32_t first = a->id;
    assert_null(put(b, 3));
    assert_ptr_equal(put(b, 2), b->first->next->next); /* known already: no room is needed */
    mr_fetch_session_drop(a, &(struct mr_fetch_key){.name = MR_SLICE("t"), .partition = 0});
    assert_non_null(put(b, 3));
    assert_null(put(b, 4));
    mr_sim_run_until(sim, begin + MR_FETCH_SESSION_IDLE_MS + 1);
    assert_non_null(put(b, 4)); /* a was idle; b itself is not thrown out to make room for b */
    assert_null(mr_fetch_session_find(&all, first));
    assert_int_equal(all.parts, 5);
    mr_fetch_sessions_fini(&all);
    mr_sim_free(sim);
}

static void parts_keep_their_order_and_go_to_the_end_when_served(void **state)
{
    struct mr_sim *sim = mr_sim_new(4);
    struct mr_fetch_sessions all;
    char order[16] = "";
    (void)state;
    mr_fetch_sessions_init(&all, mr_sim_node(sim, 0), 2, 10);
    struct mr_fetch_session *s = with_parts(&all, 4);
    mr_fetch_part_to_end(put(s, 1));
    mr_fetch_part_to_end(put(s, 3));
    mr_fetch_part_to_end(s->first);
    mr_fetch_session_drop(s, &(struct mr_fetch_key){.name = MR_SLICE("t"), .partition = 3});
    mr_fetch_session_drop(s, &(struct mr_fetch_key){.name = MR_SLICE("x"), .partition = 2});
    assert_non_null(put(s, 7));
    for (const struct mr_fetch_part *p = s->first; p; p = p->next) {
        assert_int_equal(p->key.name.len, 1);
        order[strlen(order)] = (char)('0' + p->key.partition);
    }
    assert_string_equal(order, "2107");
    assert_int_equal(s->count, 4);
    mr_fetch_sessions_fini(&all);
    mr_sim_free(sim);
}

static void an_owner_is_cut_off_when_the_session_goes_on_or_goes_away(void **state)
{
    struct mr_sim *sim = mr_sim_new(5);
    struct mr_fetch_sessions all;
    struct mr_fetch_session *first = NULL, *second = NULL;
    (void)state;
    mr_fetch_sessions_init(&all, mr_sim_node(sim, 0), 2, 10);
    struct mr_fetch_session *s = with_parts(&all, 1);
    mr_fetch_session_own(s, &first);
    assert_ptr_equal(first, s);
    mr_fetch_session_use(s);
    assert_null(first);
    mr_fetch_session_own(s, &first);
    mr_fetch_session_own(s, &second);
    assert_null(first);
    assert_ptr_equal(second, s);
    mr_fetch_session_close(s);
    assert_null(second);
    mr_fetch_sessions_fini(&all);
    mr_sim_free(sim);
}

static void epochs_begin_again_at_1_after_the_largest(void **state)
{
    struct mr_sim *sim = mr_sim_new(6);
    struct mr_fetch_sessions all;
    (void)state;
    mr_fetch_sessions_init(&all, mr_sim_node(sim, 0), 2, 10);
    struct mr_fetch_session *s = with_parts(&all, 1);
    assert_int_equal(s->epoch, 1);
    s->epoch = INT32_MAX;
    mr_fetch_session_use(s);
    assert_int_equal(s->epoch, 1);
    mr_fetch_sessions_fini(&all);
    mr_sim_free(sim);
}

static void names_that_no_topic_has_are_refused_and_ids_are_told_apart(void **state)
{
    static char name[MR_FETCH_NAME_MAX + 1];
    struct mr_sim *sim = mr_sim_new(7);
    struct mr_fetch_sessions all;
    struct mr_fetch_key key = {.name = {name, MR_FETCH_NAME_MAX}};
    (void)state;
    mr_fetch_sessions_init(&all, mr_sim_node(sim, 0), 2, 10);
    struct mr_fetch_session *named = mr_fetch_session_new(&all, false, 1);
    assert_non_null(mr_fetch_session_put(named, &key));
    key.name.len++;
    assert_null(mr_fetch_session_put(named, &key));
    assert_int_equal(named->count, 1);
    struct mr_fetch_session *by_id = mr_fetch_session_new(&all, true, 2);
    struct mr_fetch_part *one = mr_fetch_session_put(by_id, &(struct mr_fetch_key){.id.b = {1}});
    assert_non_null(one);
    assert_ptr_not_equal(one, mr_fetch_session_put(by_id, &(struct mr_fetch_key){.id.b = {2}}));
    assert_ptr_equal(one, mr_fetch_session_put(by_id, &(struct mr_fetch_key){.id.b = {1}}));
    mr_fetch_sessions_fini(&all);
    mr_sim_free(sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sessions_are_bounded_and_the_idle_one_goes_first),
        cmocka_unit_test(a_larger_session_takes_the_place_of_a_smaller_old_one),
        cmocka_unit_test(parts_are_bounded_over_all_sessions),
        cmocka_unit_test(parts_keep_their_order_and_go_to_the_end_when_served),
        cmocka_unit_test(an_owner_is_cut_off_when_the_session_goes_on_or_goes_away),
        cmocka_unit_test(epochs_begin_again_at_1_after_the_largest),
        cmocka_unit_test(names_that_no_topic_has_are_refused_and_ids_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
