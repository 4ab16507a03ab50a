/* mutate_test.c - good requests with bytes changed: whatever comes of them, the node goes on. Under the
 * address sanitizer this is a fuzz test of everything behind the frame reader. */
#include "node/client.h"

#include "base/prng.h"
#include "sim/seeds.h"

enum { GOOD_MAX = 64 };

static struct mr_buf good[GOOD_MAX];
static size_t good_count;

static void keep(struct mr_buf frame)
{
    assert_true(good_count < GOOD_MAX);
    good[good_count++] = frame;
}

static void make_good_requests(void)
{
    for (size_t i = 0; i < mr_apis_count && good_count < GOOD_MAX - 8; i++) {
        const struct mr_api *api = &mr_apis[i];
        if (api->key == 0 || api->key == 1 || api->key > 60)
            continue;
        void *in = mr_need(api->request->size);
        mr_message_init(api->request, in);
        keep(frame_of(api->key, api->max_stable, 1, in));
        mr_free(in);
    }
    for (int codec = 0; codec <= MR_CODEC_ZSTD; codec++) {
        struct mr_buf b =
            batch_of("some value", 20, (enum mr_codec)codec, codec % 2 ? 9 : -1, codec % 2 ? 0 : -1);
        keep(produce_frame("t", (int16_t)(7 + codec), -1, 1, (struct mr_slice){b.p, b.len}));
        mr_buf_fini(&b);
    }
    keep(fetch_frame("t", 11, 0, 1, 1, 1));
    keep(fetch_frame("t", 12, 0, 1, 1, 1));
}

static void send_mutated(struct site *s, struct mr_prng *random)
{
    const struct mr_buf *from = &good[mr_prng_below(random, good_count)];
    struct mr_buf frame = {0};
    char sink[4096];
    assert_true(mr_buf_put(&frame, from->p, from->len));
    for (uint64_t k = 1 + mr_prng_below(random, 4); k > 0; k--) {
        size_t at = 8 + mr_prng_below(random, frame.len - 8); /* not the size, key and version */
        static const uint8_t edges[] = {0, 1, 0x7f, 0x80, 0xff};
        frame.p[at] = (char)(mr_prng_below(random, 2) ? edges[mr_prng_below(random, sizeof edges)]
                                                      : mr_prng_below(random, 256));
    }
    int fd = dial(s);
    push(fd, frame.p, frame.len);
    (void)shutdown(fd, SHUT_WR); /* it ends, with or without an answer */
    while (recv(fd, sink, sizeof sink, 0) > 0)
        ;
    (void)close(fd);
    mr_buf_fini(&frame);
}

static void no_changed_byte_of_a_request_stops_the_node(void **state)
{
    enum { REQUESTS = 400 };
    (void)state;
    make_good_requests();
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(5); seed++) {
        struct site *s = site_new(NULL);
        struct mr_prng random;
        int fd = dial(s);
        mr_prng_seed(&random, seed);
        assert_int_equal(create_topic(fd, "t", 1), 0);
        for (int i = 0; i < REQUESTS; i++)
            send_mutated(s, &random);
        assert_int_equal(produce(fd, "t", batch_of("last", 1, MR_CODEC_NONE, -1, -1), NULL), 0);
        (void)close(fd);
        site_close(s);
        site_open(s); /* and what it has stored can be opened again */
        site_free(s);
    }
    while (good_count > 0)
        mr_buf_fini(&good[--good_count]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_changed_byte_of_a_request_stops_the_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
