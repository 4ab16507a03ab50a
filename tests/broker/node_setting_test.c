/* node_setting_test.c - settings of a node: by Kafka's names, in layers, changed while it runs, kept. */
#include "broker/mill.h"

#include "broker/node_book.h"

static mr_code try_open(struct mill *m, const struct mr_broker_config *c, struct mr_broker **b,
                        struct mr_err *err)
{
    *b = NULL;
    return mr_broker_open(m->world, "d", c, b, err);
}

static struct mr_broker *open_with(struct mill *m, const char *name, const char *value)
{
    struct mr_broker_config c;
    struct mr_broker *b;
    struct mr_err err = {0};
    mr_broker_config_init(&c);
    if (name && mr_node_layer_set(&c.node, mr_slice_of(name), mr_slice_of(value), &err))
        fail_msg("%s", err.text);
    if (try_open(m, &c, &b, &err))
        fail_msg("%s", err.text);
    return b;
}

static enum mr_refusal change(struct mr_broker *b, bool own, const char *name, enum mr_setting_op op,
                              const char *value, struct mr_err *err)
{
    struct mr_setting_change c = {mr_slice_of(name), mr_slice_of(value), op};
    return mr_node_book_change(mr_broker_node_book(b), own, &c, 1, false, err);
}

static void must_change(struct mr_broker *b, bool own, const char *name, const char *value)
{
    struct mr_err err = {0};
    if (change(b, own, name, value ? MR_SETTING_SET : MR_SETTING_DELETE, value, &err))
        fail_msg("%s", err.text);
}

static void row_of(struct mr_broker *b, const char *name, struct mr_node_row *row)
{
    for (size_t i = 0; mr_node_book_row(mr_broker_node_book(b), i, row); i++)
        if (strcmp(row->name, name) == 0)
            return;
    fail_msg("no node setting %s", name);
}

static const struct mr_topic *topic_of(struct mr_broker *b, const char *name)
{
    const struct mr_topic *t = mr_broker_topic(b, mr_slice_of(name));
    struct mr_err err = {0};
    if (!t && mr_broker_create(b, mr_slice_of(name), -1, NULL, 0, false, &t, &err))
        fail_msg("%s", err.text);
    return t;
}

static void every_row_takes_its_own_default_back(void **state)
{
    (void)state;
    struct mill m = mill_new(1);
    struct mr_broker *b = open_with(&m, NULL, NULL);
    struct mr_node_row row, after;
    size_t i = 0;
    for (; mr_node_book_row(mr_broker_node_book(b), i, &row); i++) {
        struct mr_node_layer l = {0};
        struct mr_err err = {0};
        assert_int_equal(row.source, MR_NODE_STANDARD);
        assert_true(row.help && row.help[0] && row.type);
        if (row.by[MR_NODE_STANDARD].unset)
            continue;
        if (mr_node_layer_set(&l, mr_slice_of(row.name), mr_slice_of(row.value), &err))
            fail_msg("%s", err.text);
        if (row.read_only)
            continue;
        must_change(b, true, row.name, row.value);
        assert_true(mr_node_book_row(mr_broker_node_book(b), i, &after));
        assert_string_equal(after.value, row.value);
        assert_int_equal(after.source, MR_NODE_OWN);
    }
    assert_true(i > 50);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void wrong_names_and_values_are_refused_with_what_is_right(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value, *says;
    } cases[] = {
        {"num.partition", "3", "did you mean 'num.partitions'?"},
        {"num.partitions", "0", "must be a number from 1 to 10000"},
        {"auto.create.topics.enable", "yes", "must be 'true' or 'false'"},
        {"log.cleanup.policy", "shred", "node setting 'log.cleanup.policy'"},
        {"log.segment.bytes", "1", "must be a number from 4096"},
        {"num.io.threads", "8", "one thread serves all connections"},
        {"default.replication.factor", "3", "a partition has one replica"},
        {"log.cleaner.enable", "false", "compaction always runs"},
        {"transaction.max.timeout.ms", "0", "must be a number from 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct mr_node_layer l = {0};
        struct mr_err err = {0};
        assert_int_equal(mr_node_layer_set(&l, mr_slice_of(cases[i].name), mr_slice_of(cases[i].value), &err),
                         MR_REFUSE_INVALID_CONFIG);
        if (!strstr(err.text, cases[i].says))
            fail_msg("'%s' does not say '%s'", err.text, cases[i].says);
    }
    struct mr_node_layer l = {0}; /* what people bring along, and is true here */
    assert_int_equal(mr_node_layer_set(&l, MR_SLICE("default.replication.factor"), MR_SLICE("1"), NULL), 0);
}

static void what_is_set_while_running_goes_before_what_was_given_at_start(void **state)
{
    (void)state;
    struct mill m = mill_new(2);
    struct mr_broker *b = open_with(&m, "num.partitions", "3");
    struct mr_node_row row;
    assert_int_equal(topic_of(b, "a")->partitions, 3);
    must_change(b, false, "num.partitions", "4");
    assert_int_equal(topic_of(b, "b")->partitions, 4);
    must_change(b, true, "num.partitions", "5");
    assert_int_equal(topic_of(b, "c")->partitions, 5);
    row_of(b, "num.partitions", &row);
    assert_int_equal(row.source, MR_NODE_OWN);
    assert_string_equal(row.by[MR_NODE_OWN].value, "5");
    assert_string_equal(row.by[MR_NODE_ALL].value, "4");
    assert_string_equal(row.by[MR_NODE_FIXED].value, "3");
    assert_string_equal(row.by[MR_NODE_STANDARD].value, "1");

    mr_broker_close(b); /* and all of it is kept */
    b = open_with(&m, "num.partitions", "3");
    assert_int_equal(topic_of(b, "d")->partitions, 5);
    must_change(b, true, "num.partitions", NULL);
    assert_int_equal(topic_of(b, "e")->partitions, 4);
    must_change(b, false, "num.partitions", NULL);
    assert_int_equal(topic_of(b, "f")->partitions, 3);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void topics_follow_the_node_in_what_they_do_not_say(void **state)
{
    (void)state;
    struct mill m = mill_new(3);
    struct mr_broker *b = open_with(&m, NULL, NULL);
    struct mr_setting own = {MR_SLICE("retention.bytes"), MR_SLICE("777")};
    const struct mr_topic *t = NULL;
    assert_int_equal(mr_broker_create(b, MR_SLICE("t"), 1, &own, 1, false, &t, NULL), MR_REFUSE_NONE);
    must_change(b, false, "log.retention.bytes", "1000");
    must_change(b, false, "log.segment.bytes", "8192");
    must_change(b, false, "log.cleanup.policy", "compact");
    assert_int_equal(t->config.log.retention_bytes, 777);
    assert_int_equal(t->config.log.segment_bytes, 8192);
    assert_true(t->config.log.compact && !t->config.log.retain);

    struct mr_err err = {0};
    assert_int_equal(change(b, false, "log.cleanup.policy", MR_SETTING_APPEND, "delete", &err),
                     MR_REFUSE_NONE);
    assert_true(t->config.log.compact && t->config.log.retain);
    assert_int_equal(change(b, false, "num.partitions", MR_SETTING_APPEND, "1", &err),
                     MR_REFUSE_INVALID_CONFIG);

    struct mr_node_row row;
    assert_true(mr_node_book_topic_row(mr_broker_node_book(b), "segment.bytes", &row));
    assert_string_equal(row.name, "log.segment.bytes");
    assert_int_equal(row.source, MR_NODE_ALL);

    assert_int_equal(mr_node_book_alter(mr_broker_node_book(b), false, NULL, 0, false, &err),
                     MR_REFUSE_NONE); /* whoever replaces all by nothing takes all back */
    assert_int_equal(t->config.log.segment_bytes, 1 << 30);
    assert_int_equal(t->config.log.retention_bytes, 777);
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void the_finest_of_hours_minutes_and_ms_holds(void **state)
{
    (void)state;
    struct mill m = mill_new(4);
    struct mr_broker_config c;
    struct mr_broker *b;
    struct mr_err err = {0};
    mr_broker_config_init(&c);
    assert_int_equal(mr_node_layer_set(&c.node, MR_SLICE("log.retention.hours"), MR_SLICE("2"), &err), 0);
    assert_int_equal(try_open(&m, &c, &b, &err), MR_OK);
    assert_int_equal(mr_broker_node_settings(b)->topic.log.retention_ms, 7200000);
    mr_broker_close(b);
    assert_int_equal(mr_node_layer_set(&c.node, MR_SLICE("log.retention.minutes"), MR_SLICE("3"), &err), 0);
    assert_int_equal(try_open(&m, &c, &b, &err), MR_OK);
    assert_int_equal(mr_broker_node_settings(b)->topic.log.retention_ms, 180000);
    struct mr_node_row row;
    row_of(b, "log.retention.ms", &row);
    assert_string_equal(row.value, "180000");
    assert_int_equal(row.source, MR_NODE_FIXED);
    assert_int_equal(mr_node_book_topic_source(mr_broker_node_book(b), "retention.ms"), MR_NODE_FIXED);
    assert_int_equal(mr_node_book_topic_source(mr_broker_node_book(b), "segment.ms"), MR_NODE_STANDARD);
    must_change(b, true, "log.retention.ms", "4");
    assert_int_equal(mr_broker_node_settings(b)->topic.log.retention_ms, 4);
    assert_int_equal(change(b, true, "log.retention.hours", MR_SETTING_SET, "1", &err),
                     MR_REFUSE_INVALID_CONFIG);
    assert_non_null(strstr(err.text, "at start only"));
    mr_broker_close(b);
    mr_sim_free(m.sim);
}

static void settings_that_disagree_are_refused_and_nothing_is_changed(void **state)
{
    (void)state;
    struct mill m = mill_new(5);
    struct mr_broker *b = open_with(&m, NULL, NULL);
    struct mr_err err = {0};
    struct mr_setting_change both[] = {
        {MR_SLICE("num.partitions"), MR_SLICE("9"), MR_SETTING_SET},
        {MR_SLICE("group.min.session.timeout.ms"), MR_SLICE("1800001"), MR_SETTING_SET},
    };
    assert_int_equal(mr_node_book_change(mr_broker_node_book(b), true, both, 2, false, &err),
                     MR_REFUSE_INVALID_CONFIG);
    assert_non_null(strstr(err.text, "group.max.session.timeout.ms"));
    assert_int_equal(mr_broker_node_settings(b)->num_partitions, 1);
    assert_int_equal(mr_node_book_change(mr_broker_node_book(b), true, both, 1, true, &err), MR_REFUSE_NONE);
    assert_int_equal(mr_broker_node_settings(b)->num_partitions, 1); /* it was only asked */
    mr_broker_close(b);

    struct mr_broker_config c;
    mr_broker_config_init(&c);
    assert_int_equal(
        mr_node_layer_set(&c.node, MR_SLICE("group.max.session.timeout.ms"), MR_SLICE("5"), &err), 0);
    assert_int_equal(try_open(&m, &c, &b, &err), MR_BADCONF);
    mr_sim_free(m.sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_takes_its_own_default_back),
        cmocka_unit_test(wrong_names_and_values_are_refused_with_what_is_right),
        cmocka_unit_test(what_is_set_while_running_goes_before_what_was_given_at_start),
        cmocka_unit_test(topics_follow_the_node_in_what_they_do_not_say),
        cmocka_unit_test(the_finest_of_hours_minutes_and_ms_holds),
        cmocka_unit_test(settings_that_disagree_are_refused_and_nothing_is_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
