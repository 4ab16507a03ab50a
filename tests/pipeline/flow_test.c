/* flow_test.c - what becomes of events: order, acknowledgement, retries, the error route, ends and stops. */
#include "pipeline/kit.h"

#include "base/prng.h"

#include <stdlib.h>

static void events_pass_in_order_and_the_pipeline_ends(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { lines: [a, b, c] }\n    to: out\n", true, NULL);
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    assert_int_equal(k.exit_code, 0);
    assert_string_equal(kit_messages(), "a b c");
    assert_int_equal(k.line->n.in, 3);
    assert_int_equal(k.line->n.out, 3);
    assert_int_equal(k.line->n.in_flight, 0);
    assert_true(kit.flushes > 0); /* before the positions moved */
    assert_int_equal(kit.opens, kit.closes);
    kit_close(&k);
}

static void an_ended_run_does_not_wait_for_the_next_checkpoint(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { lines: [a, b, c] }\n    to: out\n", true, NULL);
    kit_start(&k);
    kit_run(&k, 20);
    assert_true(k.ended);
    kit_close(&k);
}

static void steps_drop_set_and_refuse(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: { text: [a, b, c, d], batch: 4 } }\n    steps:\n"
             "      - drop: e.message == 'b'\n      - refuse: c\n      - set: { x: e.n + 1 }\n    to: out\n",
             true, NULL);
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    assert_string_equal(kit_messages(), "a d");
    assert_string_equal(kit.got[1].text, "{\"message\":\"d\",\"n\":3,\"x\":4}");
    assert_int_equal(k.line->n.dropped, 1);
    assert_int_equal(k.line->n.dead, 1);
    assert_int_equal(k.line->n.out, 2);
    char *dead = kit_topic_text(&k.port, "p.dead", true);
    assert_non_null(strstr(dead, "pipeline=p;step=p/steps[1];where=test.yaml:6;reason=refused 'c';time="));
    assert_non_null(strstr(dead, "{\"message\":\"c\",\"n\":2}"));
    free(dead);
    kit_close(&k);
}

static void on_error_can_drop_keep_or_fail(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: [a, b] }\n    on_error: drop\n    steps: [ { refuse: a } "
             "]\n    to: out\n",
             true, NULL);
    kit_start(&k);
    kit_run(&k, 2000);
    assert_string_equal(kit_messages(), "b");
    assert_int_equal(k.line->n.dropped, 1);
    kit_close(&k);

    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: [a, b] }\n    steps:\n      - refuse: a\n        "
             "on_error: keep\n"
             "      - set: { why: m.headers.error }\n    to: out\n",
             true, NULL);
    kit_start(&k);
    kit_run(&k, 2000);
    assert_string_equal(kit_messages(), "a b");
    assert_non_null(strstr(kit.got[0].text, "refused 'a'"));
    assert_null(strstr(kit.got[1].text, "refused"));
    kit_close(&k);

    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: [b, a, c] }\n    on_error: fail\n    steps: [ { refuse: a "
             "} ]\n    to: out\n",
             true, "data");
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    assert_int_equal(k.exit_code, 1);
    assert_non_null(strstr(k.last_log, "refused 'a'"));
    assert_string_equal(kit_messages(), "b");
    kit_end(&k);
    kit_reset(); /* what was delivered stays delivered; the refused one comes again */
    kit_start(&k);
    kit_run(&k, 2000);
    assert_int_equal(k.exit_code, 1);
    assert_string_equal(kit_messages(), "");
    kit_close(&k);
}

static void a_failing_step_ends_its_pipeline_with_code_1(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { lines: [a] }\n    steps: [ bad ]\n    to: out\n", true, NULL);
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    assert_int_equal(k.exit_code, 1);
    assert_string_equal(k.last_log, "p/steps[0]: the step is at its limit");
    kit_close(&k);
}

static void an_if_on_a_step_leaves_the_other_events_alone(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: { text: [a, b, c], batch: 3 } }\n    steps:\n"
             "      - remove: n\n        if: e.message == 'b'\n"
             "      - set: { y: 1 }\n        if: e.message ~= 'b'\n"
             "      - drop: true\n        if: e.message == 'c'\n    to: out\n",
             true, NULL);
    kit_start(&k);
    kit_run(&k, 2000);
    assert_int_equal(kit.got_count, 2);
    assert_string_equal(kit.got[0].text, "{\"message\":\"a\",\"n\":0,\"y\":1}");
    assert_string_equal(kit.got[1].text, "{\"message\":\"b\"}");
    kit_close(&k);
}

static void emitted_events_go_before_the_batch_in_hand(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: { text: [a, b], batch: 2 } }\n    steps: [ twice ]\n    "
             "to: out\n",
             true, NULL);
    kit_start(&k);
    kit_run(&k, 2000);
    assert_string_equal(kit_messages(), "a b a b");
    assert_int_equal(k.line->n.made, 2);
    assert_int_equal(k.line->n.out, 4);
    kit_close(&k);
}

static void the_end_of_the_input_finishes_steps(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: { text: [a, b, c], batch: 2 } }\n    steps: [ tail, twice "
             "]\n    to: out\n",
             true, "data");
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    assert_string_equal(kit_messages(), "tail tail");
    assert_int_equal(k.line->n.replaced, 3);
    kit_end(&k);
    kit_reset(); /* all was delivered: nothing comes again */
    kit_start(&k);
    kit_run(&k, 2000);
    assert_int_equal(k.line->n.in, 0);
    kit_close(&k);
}

static void a_stop_does_not_finish_steps_and_their_events_come_again(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: { text: [a, b, c], live: true } }\n    steps: [ tail ]\n  "
             "  to: out\n",
             false, "data");
    kit_start(&k);
    kit_run(&k, 3000);
    assert_false(k.ended);
    mr_pipeline_stop(k.line, false);
    kit_run(&k, 100);
    assert_true(k.ended);
    assert_int_equal(k.exit_code, 0);
    assert_int_equal(kit.got_count, 0);
    kit_end(&k);
    kit_start(&k);
    kit_run(&k, 100);
    assert_int_equal(k.line->n.in, 3); /* the step held them */
    mr_pipeline_stop(k.line, false);
    kit_run(&k, 100);
    kit_close(&k);
}

/* ---------------------------------------------------------------- outputs */

static void outputs_with_if_take_the_first_match(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: { text: [a, b, c, d], batch: 4 } }\n    to:\n"
             "      - out: one\n        if: e.n < 1\n      - out: two\n        if: e.n < 3\n"
             "      - out: rest\n        else: true\n",
             true, NULL);
    kit_start(&k);
    kit_run(&k, 2000);
    assert_string_equal(kit_messages(), "a b c d");
    assert_int_equal(kit.writes, 3);
    assert_int_equal(k.line->n.out, 4);
    kit_close(&k);
}

static void events_that_match_no_output_are_counted_as_dropped(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    unmatched: drop\n    from: { lines: { text: [a, b, c, d], batch: 4 } }\n "
             "   to:\n"
             "      - out: one\n        if: e.n < 1\n",
             true, NULL);
    kit_start(&k);
    kit_run(&k, 2000);
    assert_string_equal(kit_messages(), "a");
    assert_int_equal(k.line->n.dropped, 3);
    assert_int_equal(k.line->n.out, 1);
    kit_close(&k);
}

static void outputs_without_if_get_everything(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: { text: [a, b], batch: 2 } }\n    to:\n"
             "      - out: all\n      - out: some\n        if: e.n == 1\n",
             true, NULL);
    kit_start(&k);
    kit_run(&k, 2000);
    assert_int_equal(kit.got_count, 3);
    assert_int_equal(k.line->n.out, 2);
    kit_close(&k);
}

static void a_condition_that_fails_sends_its_event_to_the_error_route(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: { text: [a, b], batch: 2 } }\n    steps:\n      - set: { "
             "x: 1 }\n        if: e.n == 0\n"
             "    to:\n      - out: all\n        if: e.x < 3\n      - out: rest\n        else: true\n",
             true, NULL);
    kit_start(&k);
    kit_run(&k, 2000);
    assert_string_equal(kit_messages(), "a"); /* nil < 3 is an error, as in Lua */
    assert_int_equal(k.line->n.dead, 1);
    kit_close(&k);
}

static mr_code retry_odd(struct mr_batch *b, uint64_t ticket, struct mr_verdict *v, unsigned nth,
                         struct mr_err *err)
{
    (void)ticket;
    (void)err;
    for (uint32_t i = 0; i < b->count; i++)
        if (nth == 1 && i % 2)
            v[i] = (struct mr_verdict){.kind = MR_VERDICT_RETRY, .reason = "busy"};
        else
            kit_take(b, i);
    return MR_OK;
}

static void only_the_events_that_asked_for_it_are_tried_again(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { lines: { text: [a, b, c, d], batch: 4 } }\n    to: out\n",
             true, NULL);
    kit.on_write = retry_odd;
    kit_start(&k);
    kit_run(&k, 50); /* before the pause is over */
    assert_string_equal(kit_messages(), "a c");
    assert_int_equal(k.line->n.in_flight, 4);
    kit_run(&k, 2000);
    assert_string_equal(kit_messages(), "a c b d");
    assert_int_equal(k.line->n.retries, 2);
    assert_int_equal(kit.writes, 2);
    assert_true(k.ended);
    kit_close(&k);
}

static mr_code refuse_b(struct mr_batch *b, uint64_t ticket, struct mr_verdict *v, unsigned nth,
                        struct mr_err *err)
{
    (void)ticket;
    (void)err;
    (void)nth;
    for (uint32_t i = 0; i < b->count; i++) {
        struct mr_value m = mr_batch_get(b, b->sel[i], "message", 7);
        if (m.u.s[0] == 'b')
            v[i] = (struct mr_verdict){.kind = MR_VERDICT_REJECT, .reason = "too odd"};
        else
            kit_take(b, i);
    }
    return MR_OK;
}

static void what_an_output_refuses_goes_to_the_error_route_once(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: { text: [a, b, c], batch: 3 } }\n    to: [ out, out ]\n",
             true, NULL);
    kit.on_write = refuse_b;
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    assert_string_equal(kit_messages(), "a c a c");
    assert_int_equal(k.line->n.dead, 1); /* one event, */
    assert_int_equal(k.line->n.out, 2);
    char *dead = kit_topic_text(&k.port, "p.dead", true); /* and a letter for each output that refused it */
    assert_non_null(strstr(dead, "step=p/to[0]"));
    assert_non_null(strstr(dead, "step=p/to[1]"));
    assert_non_null(strstr(dead, "reason=too odd"));
    free(dead);
    kit_close(&k);
}

static unsigned down_for;
static mr_code down(struct mr_batch *b, uint64_t ticket, struct mr_verdict *v, unsigned nth,
                    struct mr_err *err)
{
    (void)ticket;
    (void)v;
    if (nth <= down_for)
        return mr_fail(err, MR_GONE, "the other side is away");
    for (uint32_t i = 0; i < b->count; i++)
        kit_take(b, i);
    return MR_OK;
}

static void a_batch_is_tried_again_until_it_goes_and_the_trouble_is_told_once(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { lines: [a, b, c] }\n    to: out\n", true, NULL);
    kit.on_write = down;
    down_for = 6;
    kit_start(&k);
    kit_run(&k, 60000);
    assert_true(k.ended);
    assert_string_equal(kit_messages(), "a b c"); /* still in order */
    assert_int_equal(k.warnings, 1);
    assert_int_equal(kit.writes, 9);
    kit_close(&k);
}

static void an_output_that_may_give_up_does_and_the_rest_goes_on(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: [a, b] }\n    to:\n      - out: x\n        retry: { max: "
             "3, backoff: 10ms }\n",
             true, NULL);
    kit.on_write = down;
    down_for = 3;
    kit_start(&k);
    kit_run(&k, 60000);
    assert_true(k.ended);
    assert_string_equal(kit_messages(), "b");
    assert_int_equal(k.line->n.dead, 1);
    char *dead = kit_topic_text(&k.port, "p.dead", true);
    assert_non_null(strstr(dead, "given up after 3 attempts: the other side is away"));
    free(dead);
    kit_close(&k);
}

static mr_code fail_open(unsigned nth, struct mr_err *err)
{
    return nth < 4 ? mr_fail(err, MR_GONE, "nobody listens") : MR_OK;
}

static void an_output_that_cannot_open_is_opened_again(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { lines: [a, b] }\n    to: out\n", true, NULL);
    kit.on_open = fail_open;
    kit_start(&k);
    kit_run(&k, 60000);
    assert_true(k.ended);
    assert_int_equal(kit.opens, 4);
    assert_int_equal(k.warnings, 1);
    assert_string_equal(kit_messages(), "a b");
    kit_close(&k);
}

static void a_source_that_breaks_goes_on_where_it_was(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { lines: { text: [a, b, c], broken: 2 } }\n    to: out\n", true,
             NULL);
    kit_start(&k);
    kit_run(&k, 60000);
    assert_true(k.ended);
    assert_string_equal(kit_messages(), "a b c");
    assert_int_equal(k.warnings, 1);
    kit_close(&k);
}

/* ---------------------------------------------------------------- acknowledgement */

static mr_code pend(struct mr_batch *b, uint64_t ticket, struct mr_verdict *v, unsigned nth,
                    struct mr_err *err)
{
    (void)ticket;
    (void)v;
    (void)nth;
    (void)err;
    for (uint32_t i = 0; i < b->count; i++)
        kit_take(b, i);
    return MR_PENDING;
}

static int64_t stored(const struct kit_line *k)
{
    const struct mr_slice *s = mr_map_get(&k->line->sources[0].stored, MR_SLICE("lines"));
    char text[32] = "0";
    if (s) {
        memcpy(text, s->p, s->len);
        text[s->len] = '\0';
    }
    return strtoll(text, NULL, 10);
}

/* Answers come in any order; the position is always the longest run from the front, as a list of flags says.
 */
static void the_position_is_the_longest_delivered_prefix_in_any_order_of_answers(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct kit_line k;
        struct mr_prng r;
        bool done[64] = {false};
        uint32_t left = 40;
        mr_prng_seed(&r, seed);
        kit_open(
            &k, "pipelines:\n  p:\n    from: { lines: { text: [a], repeat: 40, live: true } }\n    to: out\n",
            false, NULL);
        kit.on_write = pend;
        kit_start(&k);
        kit_run(&k, 10);
        assert_int_equal(kit.ticket_count, 40);
        while (left) {
            uint32_t i = (uint32_t)mr_prng_below(&r, 40);
            if (done[i])
                continue;
            done[i] = true;
            left--;
            mr_services()->written(kit.host, kit.ticket[i], NULL);
            kit_run(&k, 1);
            int64_t prefix = 0;
            while (prefix < 40 && done[prefix])
                prefix++;
            if (stored(&k) != prefix)
                fail_msg("position %lld, model %lld: seed %llu", (long long)stored(&k), (long long)prefix,
                         (unsigned long long)seed);
        }
        mr_pipeline_stop(k.line, false);
        kit_run(&k, 100);
        assert_true(k.ended);
        kit_close(&k);
    }
}

static void late_and_double_answers_change_nothing(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { lines: { text: [a, b], live: true } }\n    to: out\n", false,
             NULL);
    kit.on_write = pend;
    kit_start(&k);
    kit_run(&k, 10);
    mr_services()->written(kit.host, kit.ticket[0], NULL);
    mr_services()->written(kit.host, kit.ticket[0], NULL);
    kit_run(&k, 10);
    assert_int_equal(k.line->n.out, 1);
    mr_pipeline_stop(k.line, true);
    mr_services()->written(kit.host, kit.ticket[1], NULL); /* before its turn to close */
    kit_run(&k, 10);
    assert_true(k.ended);
    assert_int_equal(k.exit_code, 3);
    assert_int_equal(k.line->n.out, 1);
    kit_close(&k);
}

static void a_stuck_output_is_left_at_the_deadline_with_code_3(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { lines: { text: [a, b], live: true } }\n    to: out\n", false,
             NULL);
    kit.on_write = pend;
    kit_start(&k);
    kit_run(&k, 10);
    mr_pipeline_stop(k.line, false);
    kit_run(&k, 29000);
    assert_false(k.ended);
    kit_run(&k, 2000);
    assert_true(k.ended);
    assert_int_equal(k.exit_code, 3);
    kit_close(&k);
}

static void a_stop_while_the_end_is_drained_has_a_deadline_too(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { lines: { text: [a, b] } }\n    to: out\n", true, NULL);
    kit.on_write = pend;
    kit_start(&k);
    kit_run(&k, 60000);
    assert_false(k.ended); /* nobody has asked it to give up */
    mr_pipeline_stop(k.line, false);
    kit_run(&k, 31000);
    assert_true(k.ended);
    assert_int_equal(k.exit_code, 3);
    kit_close(&k);
}

static void a_step_that_adds_events_in_place_is_stopped(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: { text: [a, b] } }\n    steps: [ grow ]\n    to: out\n",
             true, NULL);
    kit_start(&k);
    kit_run(&k, 100);
    assert_true(k.ended);
    assert_int_equal(k.exit_code, 1);
    assert_non_null(strstr(k.last_log, "must be emitted"));
    kit_close(&k);
}

static void a_full_pipeline_stops_reading_and_goes_on_when_there_is_room(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    pipeline_bytes: 1MiB\n    from: { lines: { text: [abcdefgh], repeat: "
             "200000, batch: 500 } }\n"
             "    to: out\n",
             true, NULL);
    kit.on_write = pend;
    kit_start(&k);
    kit_run(&k, 100);
    int64_t in = k.line->n.in;
    assert_true(in > 0 && in < 200000);
    assert_true(k.line->live_bytes < (size_t)2 << 20);
    kit_run(&k, 10000);
    assert_int_equal(k.line->n.in, in); /* it waits */
    for (uint32_t given = 0, rounds = 0; !k.ended && rounds < 4000; rounds++) {
        while (given < kit.ticket_count)
            mr_services()->written(kit.host, kit.ticket[given++], NULL);
        kit_run(&k, 2);
    }
    assert_true(k.ended);
    assert_int_equal(k.line->n.out, 200000);
    assert_true(kit.live_bytes_most < (size_t)2 << 20);
    kit_close(&k);
}

static mr_code flush_fails(struct mr_err *err)
{
    return kit.flushes < 4 ? mr_fail(err, MR_IO, "the disk hesitates") : MR_OK;
}

static void positions_wait_for_the_outputs_flush(void **state)
{
    struct kit_line k;
    struct mr_stat st;
    struct mr_err err;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { lines: { text: [a, b], live: true } }\n    to: out\n", false,
             "data");
    kit.on_flush = flush_fails;
    kit_start(&k);
    kit_run(&k, 2800);
    assert_int_equal(mr_stat_path(k.world, "data/pipelines/p/checkpoint", &st, &err), MR_NOTFOUND);
    kit_run(&k, 2000);
    assert_int_equal(mr_stat_path(k.world, "data/pipelines/p/checkpoint", &st, &err), MR_OK);
    assert_int_equal(k.warnings, 1);
    mr_pipeline_stop(k.line, false);
    kit_run(&k, 100);
    assert_int_equal(k.exit_code, 0);
    kit_close(&k);
}

static void outputs_are_flushed_also_when_the_source_has_no_positions(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(
        &k,
        "pipelines:\n  p:\n    from: { lines: { text: [a, b], live: true, nowhere: true } }\n    to: out\n",
        false, "data");
    kit_start(&k);
    kit_run(&k, 3000);
    assert_int_equal(kit.flushes, 1);
    mr_pipeline_stop(k.line, false);
    kit_run(&k, 100);
    assert_true(k.ended);
    kit_close(&k);
}

static void dead_letters_hold_the_position_until_they_are_written(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: { text: [a, b], live: true } }\n    steps: [ { refuse: a "
             "} ]\n    to: out\n",
             false, NULL);
    k.port.fail_ensure = 3;
    k.port.fail_produce = 3;
    k.port.fail_code = MR_GONE;
    kit_start(&k);
    kit_run(&k, 20);
    assert_int_equal(stored(&k), 0);
    assert_int_equal(k.line->n.out, 1);
    kit_run(&k, 60000);
    assert_int_equal(stored(&k), 2);
    assert_int_equal(k.warnings, 1);
    mr_pipeline_stop(k.line, false);
    kit_run(&k, 100);
    assert_true(k.ended);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_pass_in_order_and_the_pipeline_ends),
        cmocka_unit_test(an_ended_run_does_not_wait_for_the_next_checkpoint),
        cmocka_unit_test(steps_drop_set_and_refuse),
        cmocka_unit_test(on_error_can_drop_keep_or_fail),
        cmocka_unit_test(a_failing_step_ends_its_pipeline_with_code_1),
        cmocka_unit_test(an_if_on_a_step_leaves_the_other_events_alone),
        cmocka_unit_test(emitted_events_go_before_the_batch_in_hand),
        cmocka_unit_test(the_end_of_the_input_finishes_steps),
        cmocka_unit_test(a_stop_does_not_finish_steps_and_their_events_come_again),
        cmocka_unit_test(outputs_with_if_take_the_first_match),
        cmocka_unit_test(events_that_match_no_output_are_counted_as_dropped),
        cmocka_unit_test(outputs_without_if_get_everything),
        cmocka_unit_test(a_condition_that_fails_sends_its_event_to_the_error_route),
        cmocka_unit_test(only_the_events_that_asked_for_it_are_tried_again),
        cmocka_unit_test(what_an_output_refuses_goes_to_the_error_route_once),
        cmocka_unit_test(a_batch_is_tried_again_until_it_goes_and_the_trouble_is_told_once),
        cmocka_unit_test(an_output_that_may_give_up_does_and_the_rest_goes_on),
        cmocka_unit_test(an_output_that_cannot_open_is_opened_again),
        cmocka_unit_test(a_source_that_breaks_goes_on_where_it_was),
        cmocka_unit_test(the_position_is_the_longest_delivered_prefix_in_any_order_of_answers),
        cmocka_unit_test(late_and_double_answers_change_nothing),
        cmocka_unit_test(a_stuck_output_is_left_at_the_deadline_with_code_3),
        cmocka_unit_test(a_stop_while_the_end_is_drained_has_a_deadline_too),
        cmocka_unit_test(a_step_that_adds_events_in_place_is_stopped),
        cmocka_unit_test(a_full_pipeline_stops_reading_and_goes_on_when_there_is_room),
        cmocka_unit_test(positions_wait_for_the_outputs_flush),
        cmocka_unit_test(outputs_are_flushed_also_when_the_source_has_no_positions),
        cmocka_unit_test(dead_letters_hold_the_position_until_they_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
