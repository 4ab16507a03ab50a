/* cluster_test.c - what tools ask of a cluster, several addresses to listen on, and the node's own settings.
 */
#include "node/client.h"

static void topics_are_described_in_pages(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    struct answer a;
    struct mr_describe_topic_partitions_request in;
    struct mr_describe_topic_partitions_response out;
    struct mr_describe_topic_partitions_request_cursor cursor = {0};
    char topic[16] = "";
    char got[256] = "";
    int pages = 0;
    (void)state;
    assert_int_equal(create_topic(fd, "b", 3), 0);
    assert_int_equal(create_topic(fd, "a", 2), 0);
    mr_describe_topic_partitions_request_init(&in);
    in.response_partition_limit = 2;
    do {
        ask(fd, 75, 0, &in, &a, &out);
        for (int32_t i = 0; i < out.topics_count; i++)
            for (int32_t k = 0; k < out.topics[i].partitions_count; k++) {
                const struct mr_describe_topic_partitions_response_partition *p =
                    &out.topics[i].partitions[k];
                size_t at = strlen(got);
                assert_int_equal(p->leader_id, 1);
                assert_int_equal(p->isr_nodes_count, 1);
                assert_int_equal(p->eligible_leader_replicas_count, 0); /* null breaks Java clients */
                assert_int_equal(p->last_known_elr_count, 0);
                (void)snprintf(got + at, sizeof got - at, "%.*s%d ", MR_SLICE_ARG(out.topics[i].name),
                               p->partition_index);
            }
        bool more = out.next_cursor != NULL;
        if (more) {
            cursor.partition_index = out.next_cursor->partition_index;
            (void)snprintf(topic, sizeof topic, "%.*s", MR_SLICE_ARG(out.next_cursor->topic_name));
            cursor.topic_name = mr_slice_of(topic);
        }
        in.cursor = more ? &cursor : NULL;
        pages++;
        answer_fini(&a);
    } while (in.cursor);
    assert_string_equal(got, "a0 a1 b0 b1 b2 ");
    assert_int_equal(pages, 3);
    /* By name: sorted, once each; what is not there is told. */
    struct mr_describe_topic_partitions_request_topic names[] = {
        {MR_SLICE("b")}, {MR_SLICE("absent")}, {MR_SLICE("b")}};
    in.topics = names;
    in.topics_count = 3;
    in.response_partition_limit = 100;
    ask(fd, 75, 0, &in, &a, &out);
    assert_int_equal(out.topics_count, 2);
    assert_int_equal(out.topics[0].error_code, 3);
    assert_int_equal(out.topics[1].partitions_count, 3);
    assert_null(out.next_cursor);
    answer_fini(&a);
    in.response_partition_limit = 0;
    ask(fd, 75, 0, &in, &a, &out);
    assert_int_equal(out.topics[0].error_code, 42);
    answer_fini(&a);
    (void)close(fd);
    site_free(s);
}

static int64_t size_told(int fd, const char *name)
{
    struct answer a;
    struct mr_describe_log_dirs_request in;
    struct mr_describe_log_dirs_response out;
    int32_t indexes[] = {0, 7};
    struct mr_describe_log_dirs_request_topic t = {mr_slice_of(name), 2, indexes};
    mr_describe_log_dirs_request_init(&in);
    in.topics = &t;
    in.topics_count = 1;
    ask(fd, 35, 4, &in, &a, &out);
    assert_int_equal(out.results_count, 1);
    assert_int_equal(out.results[0].error_code, 0);
    assert_true(out.results[0].usable_bytes > 0 && out.results[0].total_bytes >= out.results[0].usable_bytes);
    assert_int_equal(out.results[0].log_dir.p[0], '/');
    int64_t size = -1;
    if (out.results[0].topics_count) {
        assert_int_equal(out.results[0].topics[0].partitions_count, 1); /* 7 is not there */
        size = out.results[0].topics[0].partitions[0].partition_size;
    }
    answer_fini(&a);
    return size;
}

static void log_directories_tell_sizes_whether_a_partition_is_open_or_not(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    assert_int_equal(size_told(fd, "t"), 0);
    struct mr_buf b = batch_of("a", 5, MR_CODEC_NONE, -1, -1);
    int64_t len = (int64_t)b.len;
    assert_int_equal(produce(fd, "t", b, NULL), 0);
    assert_int_equal(size_told(fd, "t"), len);
    assert_int_equal(size_told(fd, "absent"), -1);
    (void)close(fd);
    site_close(s);
    site_open(s);
    fd = dial(s);
    assert_int_equal(size_told(fd, "t"), len);
    (void)close(fd);
    site_free(s);
}

static void one_node_is_a_quorum_and_has_nothing_to_elect_or_move(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    struct answer a;
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);

    struct mr_describe_quorum_request q;
    struct mr_describe_quorum_response quorum;
    struct mr_describe_quorum_request_partition qp = {0};
    struct mr_describe_quorum_request_topic qt[] = {{MR_SLICE("__cluster_metadata"), 1, &qp},
                                                    {MR_SLICE("t"), 1, &qp}};
    mr_describe_quorum_request_init(&q);
    q.topics = qt;
    q.topics_count = 2;
    ask(fd, 55, 2, &q, &a, &quorum);
    assert_int_equal(quorum.topics[0].partitions[0].leader_id, 1);
    assert_int_equal(quorum.topics[0].partitions[0].current_voters_count, 1);
    assert_int_equal(quorum.topics[1].partitions[0].error_code, 3);
    assert_int_equal(quorum.nodes[0].listeners[0].port, s->port);
    answer_fini(&a);

    struct mr_elect_leaders_request e;
    struct mr_elect_leaders_response elected;
    int32_t both[] = {0, 1}, here[] = {1}, there[] = {2};
    struct mr_elect_leaders_request_topic_partition ep = {MR_SLICE("t"), 2, both};
    mr_elect_leaders_request_init(&e);
    e.topic_partitions = &ep;
    e.topic_partitions_count = 1;
    ask(fd, 43, 2, &e, &a, &elected);
    assert_int_equal(elected.replica_election_results[0].partition_result[0].error_code, 84);
    assert_int_equal(elected.replica_election_results[0].partition_result[1].error_code, 3);
    answer_fini(&a);
    e.topic_partitions_count = -1; /* all: none needs one */
    ask(fd, 43, 2, &e, &a, &elected);
    assert_int_equal(elected.replica_election_results_count, 0);
    answer_fini(&a);
    e.election_type = 2;
    ask(fd, 43, 2, &e, &a, &elected);
    assert_int_equal(elected.error_code, 42);
    answer_fini(&a);

    struct mr_alter_partition_reassignments_request m;
    struct mr_alter_partition_reassignments_response moved;
    struct mr_alter_partition_reassignments_request_partition mp[] = {
        {0, 1, here}, {0, 1, there}, {0, -1, NULL}, {1, 1, here}};
    struct mr_alter_partition_reassignments_request_topic mt = {MR_SLICE("t"), 4, mp};
    static const int codes[] = {0, 39, 85, 3};
    mr_alter_partition_reassignments_request_init(&m);
    m.topics = &mt;
    m.topics_count = 1;
    ask(fd, 45, 1, &m, &a, &moved);
    for (int i = 0; i < 4; i++)
        assert_int_equal(moved.responses[0].partitions[i].error_code, codes[i]);
    answer_fini(&a);
    (void)close(fd);
    site_free(s);
}

static int resources(int fd, int16_t version, int8_t type, int *error)
{
    struct answer a;
    struct mr_list_config_resources_request in;
    struct mr_list_config_resources_response out;
    mr_list_config_resources_request_init(&in);
    in.resource_types = &type;
    in.resource_types_count = version && type ? 1 : 0;
    ask(fd, 74, version, &in, &a, &out);
    int count = out.config_resources_count;
    *error = out.error_code;
    answer_fini(&a);
    return count;
}

static void what_has_settings_is_listed(void **state)
{
    static const struct {
        int16_t version;
        int8_t type;
        int count, error;
    } rows[] = {{0, 0, 0, 0}, {1, 0, 3, 0}, {1, 2, 2, 0}, {1, 4, 1, 0}, {1, 16, 0, 0}, {1, 99, 0, 35}};
    struct site *s = site_new(NULL);
    int fd = dial(s), error;
    (void)state;
    assert_int_equal(create_topic(fd, "t", 1), 0);
    assert_int_equal(create_topic(fd, "u", 1), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(resources(fd, rows[i].version, rows[i].type, &error), rows[i].count);
        assert_int_equal(error, rows[i].error);
    }
    (void)close(fd);
    site_free(s);
}

static void fewer_connections(struct mr_node_config *c)
{
    c->connections_max = 77;
}

static void the_nodes_own_settings_are_told_with_where_they_come_from(void **state)
{
    struct site *s = site_new(fewer_connections);
    int fd = dial(s);
    struct answer a;
    struct mr_describe_configs_request in;
    struct mr_describe_configs_response out;
    struct mr_slice keys[] = {MR_SLICE("max.connections"), MR_SLICE("fetch.max.bytes"), MR_SLICE("unknown")};
    struct mr_describe_configs_request_resource want[] = {{4, MR_SLICE("1"), 3, keys},
                                                          {4, MR_SLICE("2"), -1, NULL},
                                                          {4, MR_SLICE(""), -1, NULL},
                                                          {4, MR_SLICE("1"), -1, NULL}};
    (void)state;
    mr_describe_configs_request_init(&in);
    in.resources = want;
    in.resources_count = 4;
    in.include_documentation = true;
    ask(fd, 32, 4, &in, &a, &out);
    assert_int_equal(out.results[0].configs_count, 2);
    for (int i = 0; i < 2; i++) {
        const struct mr_describe_configs_response_config *c = &out.results[0].configs[i];
        bool set = mr_slice_eq(c->name, keys[0]);
        assert_true(mr_slice_eq(c->value, mr_slice_of(set ? "77" : "57671680")));
        assert_int_equal(c->config_source, set ? 4 : 5);
        assert_false(c->read_only);
        assert_true(c->documentation.len > 0);
    }
    assert_int_equal(out.results[1].error_code, 42);
    assert_int_equal(out.results[2].error_code, 0);
    assert_int_equal(out.results[2].configs_count, 0);
    assert_true(out.results[3].configs_count > 25);
    answer_fini(&a);
    (void)close(fd);
    site_free(s);
}

static void three_addresses(struct mr_node_config *c)
{
    c->listen = "127.0.0.1:0,127.0.0.1:0,127.0.0.1:0";
    c->advertise = "inside.example:0,[2001:db8::1]:4711";
}

static void three_names(struct mr_node_config *c)
{
    c->listen = "INSIDE://127.0.0.1:0,outside://127.0.0.1:0,127.0.0.1:0";
    c->advertise = "OUTSIDE://[2001:db8::1]:4711,inside://inside.example:0";
}

/* "NAME://host:port" as DescribeConfigs tells it, whole. */
static void expect_listeners(int fd, const char *key, const char *want)
{
    struct answer a;
    struct mr_describe_configs_request in;
    struct mr_describe_configs_response out;
    struct mr_slice name = mr_slice_of(key);
    struct mr_describe_configs_request_resource node = {4, MR_SLICE("1"), 1, &name};
    char got[512];
    mr_describe_configs_request_init(&in);
    in.resources = &node;
    in.resources_count = 1;
    ask(fd, 32, 4, &in, &a, &out);
    (void)snprintf(got, sizeof got, "%.*s", MR_SLICE_ARG(out.results[0].configs[0].value));
    assert_true(out.results[0].configs[0].read_only);
    answer_fini(&a);
    assert_string_equal(got, want);
}

static void expect_coordinator(int fd, const char *host, int port)
{
    struct answer a;
    struct mr_find_coordinator_request in;
    struct mr_find_coordinator_response out;
    mr_find_coordinator_request_init(&in);
    in.key = MR_SLICE("g");
    ask(fd, 10, 2, &in, &a, &out);
    assert_true(mr_slice_eq(out.host, mr_slice_of(host)));
    assert_int_equal(out.port, port);
    answer_fini(&a);
}

static void expect_cluster(int fd, const char *host, int port)
{
    struct answer a;
    struct mr_describe_cluster_request in;
    struct mr_describe_cluster_response out;
    mr_describe_cluster_request_init(&in);
    ask(fd, 60, 1, &in, &a, &out);
    assert_int_equal(out.error_code, 0);
    assert_true(mr_slice_eq(out.brokers[0].host, mr_slice_of(host)));
    assert_int_equal(out.brokers[0].port, port);
    answer_fini(&a);
    in.endpoint_type = 2;
    ask(fd, 60, 1, &in, &a, &out);
    assert_int_equal(out.error_code, 114);
    answer_fini(&a);
}

static void tell_by(void (*how)(struct mr_node_config *c), const char *const names[3])
{
    static const char *const hosts[] = {"inside.example", "2001:db8::1", "127.0.0.1"};
    struct site *s = site_new(how);
    const char *at = mr_node_address(s->node);
    int ports[3], fd = -1;
    char text[256];
    for (int i = 0; i < 3; i++) {
        struct answer a;
        struct mr_metadata_request in;
        struct mr_metadata_response out;
        at = strchr(at, ':') + 1;
        ports[i] = s->port = atoi(at);
        fd = dial(s);
        mr_metadata_request_init(&in);
        ask(fd, 3, 9, &in, &a, &out);
        int port = i == 1 ? 4711 : s->port;
        assert_int_equal(out.brokers_count, 1);
        assert_true(mr_slice_eq(out.brokers[0].host, mr_slice_of(hosts[i])));
        assert_int_equal(out.brokers[0].port, port);
        answer_fini(&a);
        expect_coordinator(fd, hosts[i], port);
        expect_cluster(fd, hosts[i], port);
        if (i < 2)
            (void)close(fd);
    }
    (void)snprintf(text, sizeof text, "%s://inside.example:%d,%s://[2001:db8::1]:4711,%s://127.0.0.1:%d",
                   names[0], ports[0], names[1], names[2], ports[2]);
    expect_listeners(fd, "advertised.listeners", text);
    (void)snprintf(text, sizeof text, "%s://127.0.0.1:%d,%s://127.0.0.1:%d,%s://127.0.0.1:%d", names[0],
                   ports[0], names[1], ports[1], names[2], ports[2]);
    expect_listeners(fd, "listeners", text);
    (void)close(fd);
    site_free(s);
}

static void a_client_is_told_the_address_that_belongs_to_where_it_came_in(void **state)
{
    static const char *const places[] = {"PLAINTEXT", "PLAINTEXT-2", "PLAINTEXT-3"};
    static const char *const names[] = {"INSIDE", "OUTSIDE", "PLAINTEXT"};
    (void)state;
    tell_by(three_addresses, places);
    tell_by(three_names, names);
}

static void on_ipv6(struct mr_node_config *c)
{
    c->listen = "[::1]:0";
}

static void an_ipv6_address_is_listened_on_and_told(void **state)
{
    struct site *s = site_new(on_ipv6);
    struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)s->port)};
    struct timeval limit = {.tv_sec = ANSWER_SECONDS_MAX};
    (void)state;
    at.sin6_addr = in6addr_loopback;
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    expect_cluster(fd, "::1", s->port);
    assert_true(strncmp(mr_node_address(s->node), "[::1]:", 6) == 0);
    (void)close(fd);
    site_free(s);
}

static void wrong_lists_of_addresses_are_refused(void **state)
{
    static const char *const rows[][3] = {
        {"127.0.0.1:0,nonsense", NULL, "'nonsense' is not host:port"},
        {"127.0.0.1:0,", NULL, "'' is not host:port"},
        {"127.0.0.1:0", "a:1,b:2", "more addresses to advertise"},
        {"127.0.0.1:0,127.0.0.1:0", "a:1,b", "'b' is not host:port"},
        {"A://127.0.0.1:0,a://127.0.0.1:0", NULL, "two listeners with the name 'A'"},
        {"INSIDE://127.0.0.1:0", "INSIDR://a:1", "did you mean 'INSIDE'"},
        {"A://127.0.0.1:0", "A://a:1,A://b:1", "two addresses to advertise"},
        {"SSL://127.0.0.1:0", NULL, "TLS and SASL are not served"},
        {"a b://127.0.0.1:0", NULL, "a name is 1 to 63 of"},
        {"127.0.0.1:0", "0.0.0.0:1", "nowhere that a client could connect to"},
        {"::1:0", NULL, "in brackets"},
    };
    char dir[] = "/tmp/millrace-node-XXXXXX", command[64];
    (void)state;
    assert_non_null(mkdtemp(dir));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct mr_node_config c;
        struct mr_node *n = NULL;
        struct mr_err err = {0};
        mr_node_config_init(&c);
        c.data_dir = dir;
        c.listen = rows[i][0];
        c.advertise = rows[i][1];
        assert_int_not_equal(mr_node_open(&c, &n, &err), MR_OK);
        if (!strstr(err.text, rows[i][2]))
            fail_msg("'%s' does not say '%s'", err.text, rows[i][2]);
    }
    (void)snprintf(command, sizeof command, "rm -rf '%s'", dir);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(topics_are_described_in_pages),
        cmocka_unit_test(log_directories_tell_sizes_whether_a_partition_is_open_or_not),
        cmocka_unit_test(one_node_is_a_quorum_and_has_nothing_to_elect_or_move),
        cmocka_unit_test(what_has_settings_is_listed),
        cmocka_unit_test(the_nodes_own_settings_are_told_with_where_they_come_from),
        cmocka_unit_test(a_client_is_told_the_address_that_belongs_to_where_it_came_in),
        cmocka_unit_test(an_ipv6_address_is_listened_on_and_told),
        cmocka_unit_test(wrong_lists_of_addresses_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
