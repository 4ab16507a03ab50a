/* compact_bench.c - how fast compaction goes on this disk, and how long a slice holds the loop.
 *
 *   compact_bench <directory> <MiB> <keys>
 */
#include "base/buf.h"
#include "base/mem.h"
#include "base/prng.h"
#include "log/log.h"
#include "wire/record.h"
#include "world/real.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RECORDS = 16, VALUE = 1000, SLICE = 1 << 20, SLICES = 1 << 16 };

struct bench {
    struct mr_world *w;
    struct mr_log *log;
    struct mr_timer next;
    double *slice; /* seconds */
    size_t slices;
    double began;
    bool failed;
};

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void report(struct bench *b)
{
    const struct mr_compact_counts *c = mr_log_compact_counts(b->log);
    double took = seconds() - b->began, read = (double)c->read / 1048576;
    qsort(b->slice, b->slices, sizeof *b->slice, by_size);
    (void)printf("%.0f MiB read, %.0f MiB written, %llu passes in %.2f s: %.0f MiB/s read\n", read,
                 (double)c->written / 1048576, (unsigned long long)c->passes, took, read / took);
    (void)printf(
        "%zu slices of at most %d MiB: half within %.2f ms, 99 of 100 within %.2f ms, longest %.2f ms\n",
        b->slices, SLICE >> 20, b->slice[b->slices / 2] * 1e3, b->slice[b->slices * 99 / 100] * 1e3,
        b->slice[b->slices - 1] * 1e3);
    (void)printf("%lld bytes are left\n", (long long)mr_log_bytes(b->log));
}

static void step(void *arg)
{
    struct bench *b = arg;
    struct mr_err err;
    bool more;
    double at = seconds();
    mr_code rc = mr_log_compact(b->log, mr_log_synced(b->log), mr_wall(b->w), SLICE, &more, &err);
    if (b->slices < SLICES)
        b->slice[b->slices++] = seconds() - at;
    if (rc) {
        (void)fprintf(stderr, "%s\n", err.text);
        b->failed = true;
    }
    if (more && !rc) {
        mr_timer_set(b->w, &b->next, mr_now(b->w) + 1);
        return;
    }
    report(b);
    mr_real_stop(b->w);
}

static void synced(void *arg, mr_code rc, int sys)
{
    struct bench *b = arg;
    (void)sys;
    b->failed = rc != MR_OK;
    b->began = seconds();
    step(b);
}

static mr_code fill(struct bench *b, int64_t bytes, uint64_t keys)
{
    struct mr_prng r;
    struct mr_buf buf = {0};
    struct mr_err err;
    char key[32], value[VALUE];
    mr_code rc = MR_OK;
    mr_offset base;
    mr_prng_seed(&r, 1);
    while (!rc && mr_log_bytes(b->log) < bytes) {
        struct mr_record_build build;
        buf.len = 0;
        mr_record_build_begin(&build, &buf);
        for (int i = 0; i < RECORDS; i++) {
            int n = snprintf(key, sizeof key, "key-%llu", (unsigned long long)mr_prng_below(&r, keys));
            struct mr_slice k = {key, (size_t)n}, v = {value, sizeof value};
            for (size_t at = 0; at < sizeof value; at += 8) {
                uint64_t noise = mr_prng_next(&r);
                memcpy(value + at, &noise, sizeof noise);
            }
            if (!mr_record_build_add(&build, 1, &k, &v, NULL, 0))
                return MR_MEMORY;
        }
        rc = mr_record_build_end(&build, MR_CODEC_NONE, -1, -1, -1, &err);
        if (!rc)
            rc = mr_log_append(b->log, buf.p, buf.len, 0, mr_wall(b->w), &base, &err);
    }
    mr_buf_fini(&buf);
    return rc;
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct mr_log_config config;
    struct mr_err err = {0};
    if (argc != 4) {
        (void)fprintf(stderr, "usage: compact_bench <directory> <MiB> <keys>\n");
        return 2;
    }
    mr_log_config_init(&config);
    config.segment_bytes = 64 << 20;
    config.retain = false;
    config.compact = true;
    config.min_dirty_ratio = 0;
    b.slice = mr_need(SLICES * sizeof *b.slice);
    mr_code rc = mr_real_new(&b.w, &err);
    if (!rc)
        rc = mr_log_open(b.w, argv[1], &config, &b.log, &err);
    if (!rc)
        rc = fill(&b, atoll(argv[2]) << 20, (uint64_t)atoll(argv[3]));
    if (rc) {
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    b.next.fire = step;
    b.next.arg = &b;
    mr_log_sync(b.log, synced, &b);
    mr_real_run(b.w);
    mr_log_close(b.log);
    mr_real_free(b.w);
    mr_free(b.slice);
    return b.failed;
}
