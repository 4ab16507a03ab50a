/* bench.c - what reading and writing costs: processor time per message and per record, one line each.
 *
 *   ninja -C build wire_bench && build/tests/wire_bench
 *
 * Figures in comments of runtime/wire come from here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "wire/message.h"
#include "wire/record.h"

enum {
    PARTITIONS = 10,
    MESSAGES = 200000,
    BATCHES = 1000,
    RECORDS = 1000,
    KEY_BYTES = 12,
    VALUE_BYTES = 100
};

static double cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void bench_message(const struct mr_shape *shape, int16_t version, const void *m)
{
    struct mr_heap_arena arena;
    struct mr_buf out = {0};
    mr_heap_arena_init(&arena, 1 << 16, 1 << 16, 1 << 20);
    void *back = malloc(shape->size);
    mr_assert(back);
    double start = cpu_ns();
    for (int i = 0; i < MESSAGES; i++) {
        out.len = 0;
        mr_assert(mr_message_write(shape, &out, version, m, NULL, NULL) == MR_OK);
    }
    double written = cpu_ns();
    for (int i = 0; i < MESSAGES; i++) {
        struct mr_slice in = {out.p, out.len};
        mr_heap_arena_reset(&arena);
        mr_assert(mr_message_read(shape, &in, version, &arena.arena, back, NULL) == MR_OK);
    }
    double read = cpu_ns();
    printf("%-16s v%-2d of %d partitions, %4zu bytes: write %4.0f ns, read %4.0f ns\n", shape->name, version,
           PARTITIONS, out.len, (written - start) / MESSAGES, (read - written) / MESSAGES);
    free(back);
    mr_buf_fini(&out);
    mr_heap_arena_fini(&arena);
}

static void bench_produce(int16_t version)
{
    struct mr_produce_request m;
    struct mr_produce_request_topic topic;
    struct mr_produce_request_partition partitions[PARTITIONS];
    mr_produce_request_init(&m);
    mr_produce_request_topic_init(&topic);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        mr_produce_request_partition_init(&partitions[i]);
        partitions[i].index = i;
        partitions[i].records = MR_SLICE("0123456789");
    }
    topic.name = MR_SLICE("orders");
    topic.partition_data = partitions;
    topic.partition_data_count = PARTITIONS;
    m.topic_data = &topic;
    m.topic_data_count = 1;
    bench_message(&mr_produce_request_shape, version, &m);
}

static void bench_fetch(int16_t version)
{
    struct mr_fetch_response m;
    struct mr_fetch_response_topic topic;
    struct mr_fetch_response_partition partitions[PARTITIONS];
    mr_fetch_response_init(&m);
    mr_fetch_response_topic_init(&topic);
    for (int32_t i = 0; i < PARTITIONS; i++) {
        mr_fetch_response_partition_init(&partitions[i]);
        partitions[i].partition_index = i;
        partitions[i].records = MR_SLICE("0123456789");
    }
    topic.topic = MR_SLICE("orders");
    topic.partitions = partitions;
    topic.partitions_count = PARTITIONS;
    m.responses = &topic;
    m.responses_count = 1;
    bench_message(&mr_fetch_response_shape, version, &m);
}

static void bench_records(enum mr_codec codec)
{
    static const char *const names[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    char text[VALUE_BYTES];
    struct mr_slice key = {text, KEY_BYTES}, value = {text, VALUE_BYTES};
    struct mr_buf out = {0}, scratch = {0};
    for (int i = 0; i < VALUE_BYTES; i++)
        text[i] = (char)('a' + (i * 7 + i / 13) % 26);
    double start = cpu_ns();
    for (int i = 0; i < BATCHES; i++) {
        struct mr_record_build b;
        out.len = 0;
        mr_record_build_begin(&b, &out);
        for (int k = 0; k < RECORDS; k++) {
            text[20] = (char)k;
            text[50] = (char)(k * 31 >> 3);
            mr_assert(mr_record_build_add(&b, 1700000000000 + k, &key, &value, NULL, 0));
        }
        mr_assert(mr_record_build_end(&b, codec, -1, -1, -1, NULL) == MR_OK);
    }
    double built = cpu_ns();
    uint64_t sum = 0;
    for (int i = 0; i < BATCHES; i++) {
        struct mr_slice batch = {out.p, out.len};
        struct mr_record_walk w;
        struct mr_record r;
        mr_assert(mr_batch_crc_ok(batch));
        mr_assert(mr_record_walk_begin(&w, batch, &scratch, MR_BUF_MAX, NULL) == MR_OK);
        while (mr_record_walk_next(&w, &r, NULL) == MR_OK)
            sum += r.value.len + (uint8_t)r.value.p[20];
    }
    double walked = cpu_ns(), records = (double)BATCHES * RECORDS;
    printf("records, %-6s %6zu bytes a thousand: build %5.1f ns, check and walk %5.1f ns each (%llu)\n",
           names[codec], out.len, (built - start) / records, (walked - built) / records,
           (unsigned long long)sum);
    mr_buf_fini(&out);
    mr_buf_fini(&scratch);
}

int main(void)
{
    bench_produce(7);
    bench_produce(13);
    bench_fetch(11);
    bench_fetch(17);
    for (int codec = MR_CODEC_NONE; codec <= MR_CODEC_ZSTD; codec++)
        bench_records((enum mr_codec)codec);
    return 0;
}
