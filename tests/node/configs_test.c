/* configs_test.c - settings of topics and of the node over the wire: described with where they come from,
 * changed one by one or all at once, for real or only asked; and what may be done to topics at all. */
#include "node/client.h"

enum { TOPIC = 2, BROKER = 4, DESCRIBE = 32, ALTER = 33, CHANGE = 44 };

/* One row as DescribeConfigs tells it, copied. */
struct row {
    char value[64], synonyms[256]; /* "name=value/source ..." */
    bool null;
    int source, type, read_only, documented;
};

static bool describe(int fd, int16_t version, int8_t type, const char *resource, const char *name,
                     struct row *row, int *error)
{
    struct answer a;
    struct mr_describe_configs_request in;
    struct mr_describe_configs_response out;
    struct mr_slice key = mr_slice_of(name);
    struct mr_describe_configs_request_resource want = {type, mr_slice_of(resource), 1, &key};
    mr_describe_configs_request_init(&in);
    in.resources = &want;
    in.resources_count = 1;
    in.include_synonyms = true;
    in.include_documentation = version >= 3;
    ask(fd, DESCRIBE, version, &in, &a, &out);
    assert_int_equal(out.results_count, 1);
    assert_int_equal(out.results[0].resource_type, type);
    *error = out.results[0].error_code;
    assert_true(*error == 0 || out.results[0].error_message.len > 0);
    bool found = out.results[0].configs_count == 1;
    if (found) {
        const struct mr_describe_configs_response_config *c = &out.results[0].configs[0];
        size_t at = 0;
        *row = (struct row){.null = c->value.p == NULL,
                            .source = c->config_source,
                            .type = c->config_type,
                            .read_only = c->read_only,
                            .documented = c->documentation.len > 0};
        (void)snprintf(row->value, sizeof row->value, "%.*s", MR_SLICE_ARG(c->value));
        for (int32_t i = 0; i < c->synonyms_count; i++)
            at += (size_t)snprintf(row->synonyms + at, sizeof row->synonyms - at, "%s%.*s=%.*s/%d",
                                   i ? " " : "", MR_SLICE_ARG(c->synonyms[i].name),
                                   MR_SLICE_ARG(c->synonyms[i].value), c->synonyms[i].source);
        assert_true(at < sizeof row->synonyms);
    }
    answer_fini(&a);
    return found;
}

static void expect_row(int fd, int8_t type, const char *resource, const char *name, const char *value,
                       int source)
{
    struct row row;
    int error;
    assert_true(describe(fd, 4, type, resource, name, &row, &error));
    assert_string_equal(row.value, value);
    assert_int_equal(row.source, source);
}

/* By IncrementalAlterConfigs. */
static int change(int fd, int8_t type, const char *resource, const char *name, int8_t op, const char *value,
                  bool check_only, char *message)
{
    struct answer a;
    struct mr_incremental_alter_configs_request in;
    struct mr_incremental_alter_configs_response out;
    struct mr_incremental_alter_configs_request_config c = {
        .name = mr_slice_of(name), .config_operation = op, .value = mr_slice_of(value)};
    struct mr_incremental_alter_configs_request_resource want = {
        .resource_type = type, .resource_name = mr_slice_of(resource), .configs_count = 1, .configs = &c};
    mr_incremental_alter_configs_request_init(&in);
    in.resources = &want;
    in.resources_count = 1;
    in.validate_only = check_only;
    ask(fd, CHANGE, 1, &in, &a, &out);
    assert_int_equal(out.responses_count, 1);
    int error = out.responses[0].error_code;
    if (message)
        (void)snprintf(message, 256, "%.*s", MR_SLICE_ARG(out.responses[0].error_message));
    answer_fini(&a);
    return error;
}

/* By AlterConfigs, v0 and v2: all of a resource's settings. name NULL: none. */
static int alter(int fd, int16_t version, int8_t type, const char *resource, const char *name,
                 const char *value)
{
    struct answer a;
    struct mr_alter_configs_request in;
    struct mr_alter_configs_response out;
    struct mr_alter_configs_request_config c = {.name = mr_slice_of(name), .value = mr_slice_of(value)};
    struct mr_alter_configs_request_resource want = {.resource_type = type,
                                                     .resource_name = mr_slice_of(resource),
                                                     .configs_count = name != NULL,
                                                     .configs = &c};
    mr_alter_configs_request_init(&in);
    in.resources = &want;
    in.resources_count = 1;
    ask(fd, ALTER, version, &in, &a, &out);
    int error = out.responses[0].error_code;
    answer_fini(&a);
    return error;
}

static int32_t partitions_of(int fd, const char *name)
{
    struct answer a;
    struct mr_metadata_request in;
    struct mr_metadata_response out;
    struct mr_metadata_request_topic t = {.name = mr_slice_of(name)};
    mr_metadata_request_init(&in);
    in.topics = &t;
    in.topics_count = 1;
    in.allow_auto_topic_creation = true;
    ask(fd, 3, 9, &in, &a, &out);
    int32_t n = out.topics[0].error_code ? -out.topics[0].error_code : out.topics[0].partitions_count;
    answer_fini(&a);
    return n;
}

static void three_partitions(struct mr_node_config *c)
{
    assert_int_equal(mr_node_layer_set(&c->broker.node, MR_SLICE("num.partitions"), MR_SLICE("3"), NULL), 0);
}

static void the_node_is_changed_while_it_runs_and_remembers(void **state)
{
    struct site *s = site_new(three_partitions);
    int fd = dial(s), error;
    struct row row;
    (void)state;
    assert_int_equal(partitions_of(fd, "a"), 3);
    expect_row(fd, BROKER, "1", "num.partitions", "3", 4);
    assert_int_equal(change(fd, BROKER, "", "num.partitions", 0, "4", false, NULL), 0);
    assert_int_equal(partitions_of(fd, "b"), 4);
    expect_row(fd, BROKER, "1", "num.partitions", "4", 3);
    expect_row(fd, BROKER, "", "num.partitions", "4", 3);
    assert_int_equal(change(fd, BROKER, "1", "leader.replication.throttled.rate", 1, NULL, false, NULL), 0);
    assert_int_equal(change(fd, BROKER, "1", "leader.replication.throttled.rate", 0, "5", false, NULL), 40);
    assert_int_equal(change(fd, BROKER, "1", "num.partitions", 0, "5", true, NULL), 0);
    assert_int_equal(partitions_of(fd, "c"), 4); /* it was only asked */
    assert_int_equal(change(fd, BROKER, "1", "num.partitions", 0, "5", false, NULL), 0);
    assert_int_equal(partitions_of(fd, "d"), 5);
    assert_true(describe(fd, 4, BROKER, "1", "num.partitions", &row, &error));
    assert_string_equal(row.synonyms,
                        "num.partitions=5/2 num.partitions=4/3 num.partitions=3/4 num.partitions=1/5");
    assert_int_equal(row.type, 3);
    assert_true(row.documented && !row.read_only);
    assert_int_equal(change(fd, BROKER, "1", "auto.create.topics.enable", 0, "false", false, NULL), 0);
    assert_int_equal(partitions_of(fd, "e"), -3);
    (void)close(fd);
    site_close(s);
    site_open(s);
    fd = dial(s);
    assert_int_equal(partitions_of(fd, "e"), -3);
    assert_int_equal(alter(fd, 2, BROKER, "1", NULL, NULL), 0); /* all of the node's own go */
    assert_int_equal(partitions_of(fd, "e"), 4);
    assert_int_equal(alter(fd, 0, BROKER, "", NULL, NULL), 0);
    assert_int_equal(partitions_of(fd, "f"), 3);
    assert_false(describe(fd, 4, BROKER, "", "num.partitions", &row, &error)); /* nothing is set for all */
    assert_int_equal(error, 0);
    (void)close(fd);
    site_free(s);
}

static void topics_tell_what_they_have_from_the_node(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s), error;
    struct row row;
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    expect_row(fd, TOPIC, "t", "segment.bytes", "1073741824", 5);
    assert_int_equal(change(fd, BROKER, "", "log.segment.bytes", 0, "8192", false, NULL), 0);
    expect_row(fd, TOPIC, "t", "segment.bytes", "8192", 3);
    assert_int_equal(change(fd, TOPIC, "t", "segment.bytes", 0, "5000", false, NULL), 0);
    for (int16_t version = 1; version <= 4; version++) {
        assert_true(describe(fd, version, TOPIC, "t", "segment.bytes", &row, &error));
        assert_string_equal(row.value, "5000");
        assert_string_equal(row.synonyms,
                            "segment.bytes=5000/1 log.segment.bytes=8192/3 log.segment.bytes=1073741824/5");
        assert_int_equal(row.type, version >= 3 ? 3 : 0);
        assert_int_equal(row.documented, version >= 3);
    }
    assert_int_equal(change(fd, TOPIC, "t", "segment.bytes", 1, NULL, false, NULL), 0);
    expect_row(fd, TOPIC, "t", "segment.bytes", "8192", 3);
    assert_false(describe(fd, 4, TOPIC, "absent", "segment.bytes", &row, &error));
    assert_int_equal(error, 3);
    assert_false(describe(fd, 4, TOPIC, "a b", "segment.bytes", &row, &error));
    assert_int_equal(error, 17);
    assert_false(describe(fd, 4, BROKER, "2", "num.partitions", &row, &error));
    assert_int_equal(error, 42);
    assert_true(describe(fd, 4, BROKER, "1", "log.retention.hours", &row, &error));
    assert_true(row.null && row.read_only);
    (void)close(fd);
    site_free(s);
}

static void lists_are_changed_word_by_word_and_what_is_wrong_is_told(void **state)
{
    static const struct {
        int8_t type, op;
        const char *resource, *name, *value;
        int error;
        const char *says;
    } wrong[] = {
        {TOPIC, 2, "t", "segment.ms", "7", 40, "no list"},
        {TOPIC, 3, "t", "segment.ms", "7", 40, "no list"},
        {TOPIC, 0, "t", "segment.ms", "0", 40, "from 1"},
        {TOPIC, 0, "t", "segmet.ms", "1", 40, "did you mean 'segment.ms'"},
        {TOPIC, 0, "t", "segment.ms", NULL, 42, "null"},
        {TOPIC, 7, "t", "segment.ms", "1", 42, "no such operation"},
        {TOPIC, 0, "absent", "segment.ms", "1", 3, ""},
        {TOPIC, 0, "a/b", "segment.ms", "1", 17, "not valid"},
        {BROKER, 0, "1", "log.retention.hours", "1", 40, "at start only"},
        {BROKER, 0, "1", "listeners", "PLAINTEXT://:1", 40, "--listen"},
        {BROKER, 0, "1", "num.partitons", "1", 40, "did you mean 'num.partitions'"},
        {BROKER, 0, "7", "num.partitions", "1", 42, "its number is 1"},
        {8, 0, "1", "root", "DEBUG", 42, "no settings here"},
        {99, 0, "1", "x", "y", 42, "no such type"},
    };
    struct site *s = site_new(NULL);
    int fd = dial(s);
    char message[256];
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    assert_int_equal(change(fd, TOPIC, "t", "cleanup.policy", 2, "compact", false, NULL), 0);
    expect_row(fd, TOPIC, "t", "cleanup.policy", "compact,delete", 1);
    assert_int_equal(change(fd, TOPIC, "t", "cleanup.policy", 3, "delete", false, NULL), 0);
    expect_row(fd, TOPIC, "t", "cleanup.policy", "compact", 1);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(change(fd, wrong[i].type, wrong[i].resource, wrong[i].name, wrong[i].op,
                                wrong[i].value, false, message),
                         wrong[i].error);
        if (!message[0] || !strstr(message, wrong[i].says))
            fail_msg("'%s' does not say '%s'", message, wrong[i].says);
    }
    (void)close(fd);
    site_free(s);
}

static void each_resource_has_its_own_answer(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    struct answer a;
    struct mr_incremental_alter_configs_request in;
    struct mr_incremental_alter_configs_response out;
    struct mr_incremental_alter_configs_request_config c[] = {
        {.name = MR_SLICE("segment.ms"), .value = MR_SLICE("77777")},
        {.name = MR_SLICE("segment.ms"), .value = MR_SLICE("88888")}};
    struct mr_incremental_alter_configs_request_resource want[] = {
        {TOPIC, MR_SLICE("t"), 1, c},
        {TOPIC, MR_SLICE("u"), 1, c},
        {TOPIC, MR_SLICE("u"), 1, c},
        {TOPIC, MR_SLICE("v"), 2, c},
    };
    static const int errors[] = {0, 42, 42, 42};
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    assert_int_equal(create_topic(fd, "u", 1), 0);
    assert_int_equal(create_topic(fd, "v", 1), 0);
    mr_incremental_alter_configs_request_init(&in);
    in.resources = want;
    in.resources_count = 4;
    ask(fd, CHANGE, 0, &in, &a, &out);
    for (int i = 0; i < 4; i++)
        assert_int_equal(out.responses[i].error_code, errors[i]);
    answer_fini(&a);
    expect_row(fd, TOPIC, "t", "segment.ms", "77777", 1);
    expect_row(fd, TOPIC, "u", "segment.ms", "604800000", 5);
    (void)close(fd);
    site_free(s);
}

/* ------------------------------------------------------------------ topics */

static int create(int fd, const char *name, int32_t partitions, int16_t replicas, int32_t *assigned,
                  int assignments, bool check_only, int *configs)
{
    struct answer a;
    struct mr_create_topics_request in;
    struct mr_create_topics_response out;
    struct mr_create_topics_request_assignment as[4];
    struct mr_create_topics_request_topic t = {.name = mr_slice_of(name),
                                               .num_partitions = partitions,
                                               .replication_factor = replicas,
                                               .assignments_count = assignments,
                                               .assignments = as};
    for (int i = 0; i < assignments; i++)
        as[i] = (struct mr_create_topics_request_assignment){i, 1, assigned};
    mr_create_topics_request_init(&in);
    in.topics = &t;
    in.topics_count = 1;
    in.validate_only = check_only;
    ask(fd, 19, 7, &in, &a, &out);
    int error = out.topics[0].error_code;
    assert_true(error == 0 || out.topics[0].error_message.len > 0);
    if (configs)
        *configs = out.topics[0].configs_count;
    answer_fini(&a);
    return error;
}

static int grow(int fd, const char *name, int32_t count, int32_t *assigned, int assignments)
{
    struct answer a;
    struct mr_create_partitions_request in;
    struct mr_create_partitions_response out;
    struct mr_create_partitions_request_assignment as[4];
    struct mr_create_partitions_request_topic t = {.name = mr_slice_of(name),
                                                   .count = count,
                                                   .assignments_count = assigned ? assignments : -1,
                                                   .assignments = as};
    for (int i = 0; i < assignments; i++)
        as[i] = (struct mr_create_partitions_request_assignment){1, assigned};
    mr_create_partitions_request_init(&in);
    in.topics = &t;
    in.topics_count = 1;
    ask(fd, 37, 3, &in, &a, &out);
    int error = out.results[0].error_code;
    answer_fini(&a);
    return error;
}

static int delete_topic(int fd, const char *name)
{
    struct answer a;
    struct mr_delete_topics_request in;
    struct mr_delete_topics_response out;
    struct mr_delete_topics_request_topic t = {.name = mr_slice_of(name)};
    mr_delete_topics_request_init(&in);
    in.topics = &t;
    in.topics_count = 1;
    ask(fd, 20, 6, &in, &a, &out);
    int error = out.responses[0].error_code;
    answer_fini(&a);
    return error;
}

static int delete_records(int fd, const char *name)
{
    struct answer a;
    struct mr_delete_records_request in;
    struct mr_delete_records_response out;
    struct mr_delete_records_request_partition p = {0, -1};
    struct mr_delete_records_request_topic t = {mr_slice_of(name), 1, &p};
    mr_delete_records_request_init(&in);
    in.topics = &t;
    in.topics_count = 1;
    in.timeout_ms = 5000;
    ask(fd, 21, 2, &in, &a, &out);
    int error = out.topics[0].partitions[0].error_code;
    answer_fini(&a);
    return error;
}

static void replicas_may_be_assigned_to_this_node_alone(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s), configs = 0;
    int32_t here = 1, there = 2;
    (void)state;
    assert_int_equal(create(fd, "t", -1, -1, &here, 3, false, &configs), 0);
    assert_true(configs > 20); /* v5 and later tell the settings */
    assert_int_equal(partitions_of(fd, "t"), 3);
    assert_int_equal(create(fd, "u", -1, -1, &there, 1, false, NULL), 39);
    assert_int_equal(create(fd, "u", 1, -1, &here, 1, false, NULL), 42);
    assert_int_equal(create(fd, "u", 0, 1, NULL, 0, false, NULL), 37);
    assert_int_equal(create(fd, "u", 1, 3, NULL, 0, false, NULL), 38);
    assert_int_equal(create(fd, "t", 1, 1, NULL, 0, true, NULL), 36);
    assert_int_equal(create(fd, "u", 1, 1, NULL, 0, true, NULL), 0);
    assert_int_equal(delete_topic(fd, "u"), 3); /* it was only asked */
    assert_int_equal(grow(fd, "t", 5, &here, 2), 0);
    assert_int_equal(partitions_of(fd, "t"), 5);
    assert_int_equal(grow(fd, "t", 7, &here, 1), 39);
    assert_int_equal(grow(fd, "t", 6, &there, 1), 39);
    assert_int_equal(grow(fd, "t", 5, NULL, 0), 37);
    assert_int_equal(grow(fd, "absent", 5, &here, 1), 3);
    (void)close(fd);
    site_free(s);
}

static void topics_of_the_coordinators_are_theirs(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    assert_int_equal(create(fd, "__consumer_offsets", 1, 1, NULL, 0, false, NULL), 17);
    assert_int_equal(partitions_of(fd, "__consumer_offsets"), 4); /* made as the coordinator wants it */
    assert_int_equal(partitions_of(fd, "__transaction_state"), 4);
    expect_row(fd, TOPIC, "__consumer_offsets", "cleanup.policy", "compact", 1);
    assert_int_equal(grow(fd, "__consumer_offsets", 8, NULL, 0), 17);
    assert_int_equal(delete_topic(fd, "__transaction_state"), 17);
    assert_int_equal(delete_records(fd, "__consumer_offsets"), 17);
    assert_int_equal(produce(fd, "__consumer_offsets", batch_of("x", 1, MR_CODEC_NONE, -1, -1), NULL), 17);
    assert_int_equal(partitions_of(fd, "__mine"), 1); /* two underscores alone do not make it internal */
    assert_int_equal(delete_topic(fd, "__mine"), 0);
    (void)close(fd);
    site_free(s);
}

static void what_is_compacted_is_not_cut_and_deleting_can_be_forbidden(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    assert_int_equal(produce(fd, "t", batch_of("x", 3, MR_CODEC_NONE, -1, -1), NULL), 0);
    assert_int_equal(change(fd, TOPIC, "t", "cleanup.policy", 0, "compact", false, NULL), 0);
    assert_int_equal(delete_records(fd, "t"), 44);
    assert_int_equal(change(fd, TOPIC, "t", "cleanup.policy", 0, "compact,delete", false, NULL), 0);
    assert_int_equal(delete_records(fd, "t"), 0);
    assert_int_equal(change(fd, BROKER, "1", "delete.topic.enable", 0, "false", false, NULL), 0);
    assert_int_equal(delete_topic(fd, "t"), 73);
    assert_int_equal(change(fd, BROKER, "1", "delete.topic.enable", 1, NULL, false, NULL), 0);
    assert_int_equal(delete_topic(fd, "t"), 0);
    (void)close(fd);
    site_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_node_is_changed_while_it_runs_and_remembers),
        cmocka_unit_test(topics_tell_what_they_have_from_the_node),
        cmocka_unit_test(lists_are_changed_word_by_word_and_what_is_wrong_is_told),
        cmocka_unit_test(each_resource_has_its_own_answer),
        cmocka_unit_test(replicas_may_be_assigned_to_this_node_alone),
        cmocka_unit_test(topics_of_the_coordinators_are_theirs),
        cmocka_unit_test(what_is_compacted_is_not_cut_and_deleting_can_be_forbidden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
