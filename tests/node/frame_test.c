/* frame_test.c - frames of every wrong kind: that connection is closed with a reason, no other notices. */
#include "node/client.h"

static void small_limits(struct mr_node_config *c)
{
    c->frame_bytes_max = 1 << 20;
    c->request_bytes_max = 3 << 20;
    c->connections_max = 20;
}

static void api_versions_works(int fd)
{
    struct answer a;
    struct mr_api_versions_request in;
    struct mr_api_versions_response out;
    mr_api_versions_request_init(&in);
    in.client_software_name = in.client_software_version = MR_SLICE("test");
    ask(fd, 18, 3, &in, &a, &out);
    assert_int_equal(out.error_code, 0);
    assert_true(out.api_keys_count > 5);
    answer_fini(&a);
}

static void put32(char *p, uint32_t v)
{
    v = htonl(v);
    memcpy(p, &v, 4);
}

static void a_frame_of_a_wrong_length_closes_its_connection_alone(void **state)
{
    static const int64_t lengths[] = {0, -1, -2147483647 - 1, (1 << 20) + 1, 101 << 20, 2147483647};
    struct site *s = site_new(small_limits);
    int other = dial(s);
    (void)state;
    api_versions_works(other);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        char size[4], said[64];
        int fd = dial(s);
        put32(size, (uint32_t)lengths[i]);
        push(fd, size, 4);
        expect_closed(fd);
        (void)snprintf(said, sizeof said, "frame of %lld bytes", (long long)lengths[i]);
        assert_true(site_said(s, said));
        api_versions_works(other);
    }
    (void)close(other);
    site_free(s);
}

/* A whole frame, but its header or body is too short, for every length that is. */
static void a_frame_cut_short_at_any_byte_closes_its_connection_alone(void **state)
{
    struct site *s = site_new(NULL);
    int other = dial(s);
    struct mr_metadata_request in;
    struct mr_metadata_request_topic t = {.name = MR_SLICE("t")};
    (void)state;
    mr_metadata_request_init(&in);
    in.topics = &t;
    in.topics_count = 1;
    struct mr_buf whole = frame_of(3, 9, 1, &in);
    for (size_t len = 1; len < whole.len - 4; len++) {
        int fd = dial(s);
        char size[4];
        put32(size, (uint32_t)len);
        push(fd, size, 4);
        push(fd, whole.p + 4, len);
        expect_closed(fd);
    }
    mr_buf_fini(&whole);
    api_versions_works(other);
    (void)close(other);
    site_free(s);
}

static struct row {
    const char *name;
    uint8_t body[32];
    size_t len;
    const char *said;
} rows[] = {
    {"an unknown api key closes the connection", {0x03, 0xe7, 0, 0, 0, 0, 0, 1, 0xff, 0xff}, 10, "closed"},
    {"a negative api key closes the connection", {0xff, 0xff, 0, 0, 0, 0, 0, 1, 0xff, 0xff}, 10, "closed"},
    {"an api that is known but not served closes the connection",
     {0, 71, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0, 0},
     12,
     "get_telemetry_subscriptions v0 is not served"},
    {"a version beyond ours closes the connection", {0, 3, 0, 99, 0, 0, 0, 1, 0xff, 0xff}, 10, "closed"},
    {"a negative version closes the connection", {0, 3, 0xff, 0xff, 0, 0, 0, 1, 0xff, 0xff}, 10, "closed"},
    {"produce 2, which is advertised only, closes the connection",
     {0, 0, 0, 2, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0},
     20,
     "closed"},
    {"a client id longer than the frame closes the connection",
     {0, 3, 0, 1, 0, 0, 0, 1, 0x7f, 0xff, 'x'},
     11,
     "closed"},
    {"an array longer than the frame closes the connection",
     {0, 3, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff},
     14,
     "closed"},
};

static void garbage(void **state)
{
    const struct row *row = *state;
    struct site *s = site_new(NULL);
    int other = dial(s), fd = dial(s);
    char size[4];
    put32(size, (uint32_t)row->len);
    push(fd, size, 4);
    push(fd, row->body, row->len);
    expect_closed(fd);
    assert_true(site_said(s, row->said));
    api_versions_works(other);
    (void)close(other);
    site_free(s);
}

static void a_newer_api_versions_is_answered_with_version_0_and_our_range(void **state)
{
    static const uint8_t frame[] = {0, 0, 0, 14, 0, 18, 0, 99, 0, 0, 0, 7, 0, 1, 'm', 0, 0xfe, 0xed};
    static const uint8_t want[] = {0, 0, 0, 16, 0, 0, 0, 7, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4};
    char got[sizeof want];
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    push(fd, frame, sizeof frame);
    assert_true(pull(fd, got, sizeof got));
    assert_memory_equal(got, want, sizeof want);
    api_versions_works(fd); /* and the connection goes on */
    (void)close(fd);
    site_free(s);
}

static void a_request_that_comes_byte_by_byte_is_answered(void **state)
{
    struct site *s = site_new(NULL);
    struct mr_metadata_request in;
    struct mr_metadata_response out;
    struct answer a;
    int fd = dial(s), other = dial(s);
    (void)state;
    mr_metadata_request_init(&in);
    in.topics_count = -1;
    struct mr_buf frame = frame_of(3, 9, 3, &in);
    for (size_t i = 0; i < frame.len; i++) {
        push(fd, frame.p + i, 1);
        api_versions_works(other); /* by now the node has seen the byte */
    }
    (void)close(other);
    mr_buf_fini(&frame);
    receive(fd, 3, 9, 3, &a, &out);
    assert_int_equal(out.brokers_count, 1);
    answer_fini(&a);
    (void)close(fd);
    site_free(s);
}

static void many_requests_in_one_packet_are_answered_in_order(void **state)
{
    enum { COUNT = 500 }; /* more than may be in hand at once */
    struct site *s = site_new(NULL);
    struct mr_metadata_request in;
    struct mr_buf all = {0};
    int fd = dial(s);
    (void)state;
    mr_metadata_request_init(&in);
    in.topics_count = -1;
    for (int i = 0; i < COUNT; i++) {
        struct mr_buf one = frame_of(3, 8, i, &in);
        assert_true(mr_buf_put(&all, one.p, one.len));
        mr_buf_fini(&one);
    }
    push(fd, all.p, all.len);
    mr_buf_fini(&all);
    for (int i = 0; i < COUNT; i++) {
        struct mr_metadata_response out;
        struct answer a;
        receive(fd, 3, 8, i, &a, &out);
        answer_fini(&a);
    }
    (void)close(fd);
    site_free(s);
}

static void a_client_that_promises_much_and_sends_little_costs_little(void **state)
{
    struct site *s = site_new(small_limits);
    int fds[10];
    (void)state;
    for (int i = 0; i < 10; i++) { /* 10 MiB promised, 3 MiB allowed: but only what comes is counted */
        char size[4];
        fds[i] = dial(s);
        put32(size, 1 << 20);
        push(fds[i], size, 4);
        push(fds[i], "abcd", 4);
    }
    int other = dial(s);
    api_versions_works(other);
    for (int i = 0; i < 10; i++) {
        char byte;
        ssize_t n = recv(fds[i], &byte, 1, MSG_DONTWAIT);
        assert_true(n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)); /* still open */
        (void)close(fds[i]);
    }
    (void)close(other);
    site_free(s);
}

static void connections_beyond_the_limit_are_refused_and_room_is_given_again(void **state)
{
    struct site *s = site_new(small_limits);
    int fds[20];
    (void)state;
    for (int i = 0; i < 20; i++) {
        fds[i] = dial(s);
        api_versions_works(fds[i]);
    }
    expect_closed(dial(s));
    assert_true(site_said(s, "max.connections is 20"));
    (void)close(fds[0]);
    api_versions_works(fds[1]); /* by its answer the node has most likely seen the close */
    int again = -1;
    for (int round = 0; round < 200; round++) { /* until it surely has */
        struct mr_api_versions_request in;
        mr_api_versions_request_init(&in);
        in.client_software_name = in.client_software_version = MR_SLICE("t");
        struct mr_buf frame = frame_of(18, 3, 1, &in);
        char size[4];
        again = dial(s);
        push(again, frame.p, frame.len);
        mr_buf_fini(&frame);
        if (pull(again, size, 4))
            break;
        (void)close(again);
        again = -1;
    }
    assert_true(again >= 0);
    (void)close(again);
    for (int i = 1; i < 20; i++)
        (void)close(fds[i]);
    site_free(s);
}

static void a_browser_is_told_apart(void **state)
{
    struct site *s = site_new(NULL);
    int fd = dial(s);
    (void)state;
    push(fd, "GET / HTTP/1.1\r\n\r\n", 18);
    expect_closed(fd);
    assert_true(site_said(s, "HTTP?"));
    fd = dial(s);
    push(fd, "\x16\x03\x01\x02\x00\x01", 6);
    expect_closed(fd);
    assert_true(site_said(s, "TLS?"));
    site_free(s);
}

int main(void)
{
    struct CMUnitTest tests[32] = {
        cmocka_unit_test(a_frame_of_a_wrong_length_closes_its_connection_alone),
        cmocka_unit_test(a_frame_cut_short_at_any_byte_closes_its_connection_alone),
        cmocka_unit_test(a_newer_api_versions_is_answered_with_version_0_and_our_range),
        cmocka_unit_test(a_request_that_comes_byte_by_byte_is_answered),
        cmocka_unit_test(many_requests_in_one_packet_are_answered_in_order),
        cmocka_unit_test(a_client_that_promises_much_and_sends_little_costs_little),
        cmocka_unit_test(connections_beyond_the_limit_are_refused_and_room_is_given_again),
        cmocka_unit_test(a_browser_is_told_apart),
    };
    size_t count = 8;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        tests[count++] =
            (struct CMUnitTest){.name = rows[i].name, .test_func = garbage, .initial_state = &rows[i]};
    return _cmocka_run_group_tests("frame", tests, count, NULL, NULL);
}
