/* topic_test.c - topics as sources and outputs, against a port in memory. */
#include "pipeline/kit.h"

#include "base/hash.h"

#include <stdlib.h>

static void events_become_records_and_records_events(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: { text: [a, b, c], batch: 2 } }\n    to: { topic: { name: "
             "t, key: \"{{ message }}\" } }\n",
             true, NULL);
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    assert_int_equal(k.exit_code, 0);
    assert_int_equal(k.line->n.out, 3);
    char *text = kit_topic_text(&k.port, "t", false);
    assert_string_equal(
        text,
        "a:{\"message\":\"a\",\"n\":0}\nb:{\"message\":\"b\",\"n\":1}\nc:{\"message\":\"c\",\"n\":2}\n");
    free(text);
    kit_close(&k);

    kit_open(&k,
             "pipelines:\n  p:\n    from: { topic: t }\n    steps:\n      - set: { key: m.key, at: m.offset, "
             "of: m.topic }\n    to: out\n",
             true, NULL);
    kit_topic_add(&k.port, "t", 0, "k1", "{\"message\":\"x\"}");
    kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"y\"}");
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    assert_string_equal(kit_messages(), "x y");
    assert_string_equal(kit.got[0].text, "{\"message\":\"x\",\"key\":\"k1\",\"at\":0,\"of\":\"t\"}");
    kit_close(&k);
}

static void keys_go_to_the_partition_that_kafka_would_choose(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { lines: { text: [a, b, c, d, e, f, g], batch: 7, repeat: 5 } }\n"
             "    to: { topic: { name: t, key: \"{{ message }}\" } }\n",
             true, NULL);
    k.port.default_partitions = 4;
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    struct kit_topic *t = kit_topic(&k.port, "t");
    int64_t want[4] = {0}, all = 0;
    for (char c = 'a'; c <= 'g'; c++)
        want[(mr_murmur2(&c, 1) & 0x7fffffff) % 4] += 5;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(t->p[i].end, want[i]);
        all += t->p[i].end;
    }
    assert_int_equal(all, 35);
    kit_close(&k);
}

static void every_codec_comes_back(void **state)
{
    static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        struct kit_line k;
        char yaml[512];
        (void)snprintf(yaml, sizeof yaml,
                       "pipelines:\n  p:\n    from: { lines: { text: [a, b], batch: 64, repeat: 1000 } }\n"
                       "    to: { topic: { name: t, compression: %s } }\n",
                       codecs[i]);
        kit_open(&k, yaml, true, NULL);
        kit_start(&k);
        kit_run(&k, 2000);
        assert_true(k.ended);
        kit_end(&k);
        struct kit_plan back;
        kit_plan(&back, "pipelines:\n  q:\n    from: { topic: t }\n    to: out\n");
        struct mr_config was = k.plan.config;
        k.plan.config = back.config;
        kit_start(&k);
        kit_run(&k, 2000);
        assert_true(k.ended);
        assert_int_equal(kit.got_count, 2000);
        assert_string_equal(kit.got[1999].text, "{\"message\":\"b\",\"n\":1999}");
        kit_end(&k);
        k.plan.config = was;
        kit_plan_fini(&back);
        kit_close(&k);
    }
}

static void a_reader_goes_on_where_its_checkpoint_says(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { topic: t }\n    to: out\n", false, "data");
    kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"a\"}");
    kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"b\"}");
    kit_start(&k);
    kit_run(&k, 100);
    assert_string_equal(kit_messages(), "a b");
    mr_pipeline_stop(k.line, false);
    kit_run(&k, 1000);
    assert_true(k.ended);
    kit_end(&k);
    kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"c\"}");
    kit_reset();
    kit_start(&k);
    kit_run(&k, 100);
    assert_string_equal(kit_messages(), "c");
    kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"d\"}"); /* a waiting fetch is answered */
    kit_run(&k, 100);
    assert_string_equal(kit_messages(), "c d");
    mr_pipeline_stop(k.line, false);
    kit_run(&k, 1000);
    assert_true(k.ended);
    kit_close(&k);
}

static void start_latest_reads_only_what_comes(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { topic: { name: t, start: latest } }\n    to: out\n", false,
             NULL);
    kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"old\"}");
    kit_start(&k);
    kit_run(&k, 600);
    kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"new\"}");
    kit_run(&k, 600);
    assert_string_equal(kit_messages(), "new");
    mr_pipeline_stop(k.line, false);
    kit_run(&k, 1000);
    assert_true(k.ended);
    kit_close(&k);
}

static void values_that_do_not_decode_go_to_the_error_route_as_they_are(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { topic: t }\n    to: out\n", true, NULL);
    kit_topic_add(&k.port, "t", 0, "k", "{\"message\":");
    kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"good\"}");
    kit_topic_add(&k.port, "t", 0, "gone", NULL); /* a tombstone */
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    assert_int_equal(kit.got_count, 2);
    assert_string_equal(kit.got[1].text, "{}");
    char *dead = kit_topic_text(&k.port, "p.dead", false);
    assert_string_equal(dead, "k:{\"message\":\n");
    free(dead);
    kit_close(&k);
}

static void other_codecs_decode_the_value(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { topic: { name: t, codec: logfmt } }\n    to: out\n", true,
             NULL);
    kit_topic_add(&k.port, "t", 0, NULL, "message=hello level=info");
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    assert_int_equal(kit.got_count, 1);
    assert_non_null(strstr(kit.got[0].text, "\"level\":\"info\""));
    kit_close(&k);
}

static void dead_letters_can_be_read_back_with_their_headers(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    from: { topic: q.dead }\n    steps:\n      - set: { why: "
             "m.headers.reason, step: m.headers.step }\n    to: { topic: back }\n",
             true, NULL);
    struct kit_plan first;
    kit_plan(&first, "pipelines:\n  q:\n    from: { lines: [a, b] }\n    steps: [ { set: { x: 1 } }, { "
                     "refuse: b } ]\n    to: out\n");
    struct mr_config was = k.plan.config;
    k.plan.config = first.config;
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    kit_end(&k);
    k.plan.config = was;
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    char *text = kit_topic_text(&k.port, "back", true); /* and the headers go on with the event */
    assert_non_null(strstr(text, "pipeline=q;step=q/steps[1];where=test.yaml:4;reason=refused 'b';"));
    assert_non_null(
        strstr(text, "{\"message\":\"b\",\"n\":1,\"x\":1,\"why\":\"refused 'b'\",\"step\":\"q/steps[1]\"}"));
    free(text);
    kit_plan_fini(&first);
    kit_close(&k);
}

static void a_position_that_is_not_there_any_more_goes_on_where_the_topic_begins(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { topic: t }\n    to: out\n", true, "data");
    for (int i = 0; i < 5; i++)
        kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"old\"}");
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    kit_end(&k);
    kit_port_fini(&k.port); /* the topic is made anew */
    kit_port_init(&k.port);
    kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"new\"}");
    kit_reset();
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    assert_string_equal(kit_messages(), "new");
    assert_int_equal(k.warnings, 1);
    assert_non_null(strstr(k.last_log, "offset 5 is not there any more; going on at 0"));
    kit_close(&k);
}

static void a_topic_that_cannot_be_read_for_a_while_is_told_once(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { topic: t }\n    to: out\n", true, NULL);
    kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"a\"}");
    k.port.fail_fetch = 5;
    k.port.fail_ensure = 2;
    k.port.fail_code = MR_GONE;
    kit_start(&k);
    kit_run(&k, 60000);
    assert_true(k.ended);
    assert_int_equal(k.exit_code, 0);
    assert_int_equal(k.warnings, 1);
    assert_string_equal(kit_messages(), "a");
    kit_close(&k);
}

static void a_topic_that_must_not_be_read_ends_the_pipeline(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { topic: t }\n    to: out\n", true, NULL);
    k.port.fail_fetch = 1;
    k.port.fail_code = MR_CORRUPT;
    kit_start(&k);
    kit_run(&k, 60000);
    assert_true(k.ended);
    assert_int_equal(k.exit_code, 1);
    assert_string_equal(k.last_log, "p/from[0]: topic 't': the port was told to fail");
    kit_close(&k);
}

static void what_stands_before_a_damaged_record_is_read_first(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { topic: t }\n    to: out\n", true, NULL);
    kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"a\"}");
    kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"b\"}");
    kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"c\"}");
    struct kit_partition *p = &kit_topic(&k.port, "t")->p[0];
    p->bytes.p[p->at[2] + 16] = 1; /* a format of long ago */
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    assert_int_equal(k.exit_code, 1);
    assert_string_equal(kit_messages(), "a b");
    assert_non_null(strstr(k.last_log, "topic 't' partition 0 near offset 2"));
    kit_close(&k);
}

static void records_with_more_field_names_than_a_batch_holds_are_read_in_several(void **state)
{
    enum { RECORDS = 2 * MR_BATCH_COLUMNS_MAX + 10 };
    struct kit_line k;
    char text[64];
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { topic: t }\n    to: out\n", true, NULL);
    for (int i = 0; i < RECORDS; i++) {
        (void)snprintf(text, sizeof text, "{\"name%d\":%d}", i, i);
        kit_topic_add(&k.port, "t", 0, NULL, text);
    }
    kit_start(&k);
    kit_run(&k, 2000);
    assert_true(k.ended);
    assert_int_equal(k.exit_code, 0);
    assert_int_equal(kit.got_count, RECORDS);
    assert_int_equal(k.line->n.dead, 0);
    for (int i = 0; i < RECORDS; i++) {
        (void)snprintf(text, sizeof text, "{\"name%d\":%d}", i, i);
        assert_string_equal(kit.got[i].text, text);
    }
    kit_close(&k);
}

static bool feeding;
static bool is_fed(void *arg, const struct mr_pipeline *reader, const char *topic)
{
    (void)arg;
    (void)reader;
    return feeding && strcmp(topic, "t") == 0;
}

static void once_waits_for_the_pipelines_that_feed_the_topic(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { topic: t }\n    to: out\n", true, NULL);
    k.fed = is_fed;
    feeding = true;
    kit_start(&k);
    kit_run(&k, 3000);
    assert_false(k.ended); /* the topic is empty, and still fed */
    kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"a\"}");
    kit_run(&k, 3000);
    assert_false(k.ended);
    kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"b\"}");
    feeding = false;
    mr_pipeline_feeders_changed(k.line);
    kit_run(&k, 3000);
    assert_true(k.ended);
    assert_string_equal(kit_messages(), "a b");
    kit_close(&k);
}

static void a_topic_that_cannot_be_written_for_a_while_loses_nothing(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k, "pipelines:\n  p:\n    from: { lines: { text: [a, b, c] } }\n    to: { topic: t }\n", true,
             NULL);
    k.port.fail_ensure = 2;
    k.port.fail_produce = 4;
    k.port.fail_code = MR_GONE;
    kit_start(&k);
    kit_run(&k, 60000);
    assert_true(k.ended);
    assert_int_equal(k.line->n.out, 3);
    char *text = kit_topic_text(&k.port, "t", false);
    assert_non_null(strstr(text, "\"a\""));
    assert_non_null(strstr(text, "\"b\""));
    assert_non_null(strstr(text, "\"c\""));
    free(text);
    kit_close(&k);
}

static void a_record_too_large_for_the_topic_is_refused_alone(void **state)
{
    struct kit_line k;
    (void)state;
    kit_open(&k,
             "pipelines:\n  p:\n    on_error: drop\n    from: { lines: { text: [a, b, "
             "\"01234567890123456789012345678901234567890123456789"
             "01234567890123456789012345678901234567890123456789012345678901234567890123456789\", d], batch: "
             "4 } }\n    to: { topic: t }\n",
             true, NULL);
    k.port.max_bytes = 160;
    kit_start(&k);
    kit_run(&k, 60000);
    assert_true(k.ended);
    assert_int_equal(k.line->n.out, 3);
    assert_int_equal(k.line->n.dropped, 1);
    kit_close(&k);
}

static void a_stop_does_not_leave_calls_behind(void **state)
{
    (void)state;
    for (mr_ms at = 0; at < 12; at++) { /* wherever the calls are just then */
        struct kit_line k;
        kit_open(&k,
                 "pipelines:\n  p:\n    from: [ { topic: t }, { lines: { text: [a], repeat: 50, live: true } "
                 "} ]\n    steps: [ { refuse: a } ]\n    to: { topic: u }\n",
                 false, NULL);
        kit_topic_add(&k.port, "t", 0, NULL, "{\"message\":\"x\"}");
        kit_start(&k);
        kit_run(&k, at);
        mr_pipeline_stop(k.line, at % 2);
        kit_run(&k, 1000);
        assert_true(k.ended);
        assert_int_equal(k.port.out, 0);
        kit_close(&k);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_become_records_and_records_events),
        cmocka_unit_test(keys_go_to_the_partition_that_kafka_would_choose),
        cmocka_unit_test(every_codec_comes_back),
        cmocka_unit_test(a_reader_goes_on_where_its_checkpoint_says),
        cmocka_unit_test(start_latest_reads_only_what_comes),
        cmocka_unit_test(values_that_do_not_decode_go_to_the_error_route_as_they_are),
        cmocka_unit_test(other_codecs_decode_the_value),
        cmocka_unit_test(dead_letters_can_be_read_back_with_their_headers),
        cmocka_unit_test(a_position_that_is_not_there_any_more_goes_on_where_the_topic_begins),
        cmocka_unit_test(a_topic_that_cannot_be_read_for_a_while_is_told_once),
        cmocka_unit_test(a_topic_that_must_not_be_read_ends_the_pipeline),
        cmocka_unit_test(what_stands_before_a_damaged_record_is_read_first),
        cmocka_unit_test(records_with_more_field_names_than_a_batch_holds_are_read_in_several),
        cmocka_unit_test(once_waits_for_the_pipelines_that_feed_the_topic),
        cmocka_unit_test(a_topic_that_cannot_be_written_for_a_while_loses_nothing),
        cmocka_unit_test(a_record_too_large_for_the_topic_is_refused_alone),
        cmocka_unit_test(a_stop_does_not_leave_calls_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
