/* mill.h - what the broker's tests share: batches made to order, and a simulated world to keep them in. */
#ifndef MR_TESTS_BROKER_MILL_H
#define MR_TESTS_BROKER_MILL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "broker/broker.h"
#include "broker/check.h"
#include "world/sim.h"

/* A batch of `count` records with values "<tag>/0", "<tag>/1" ...; producer -1: none. */
static inline struct mr_buf batch_of(const char *tag, int count, enum mr_codec codec, int64_t producer,
                                     int16_t epoch, int32_t sequence)
{
    struct mr_buf out = {0};
    struct mr_record_build b;
    struct mr_err err = {0};
    mr_record_build_begin(&b, &out);
    for (int i = 0; i < count; i++) {
        char text[64];
        int n = snprintf(text, sizeof text, "%s/%d", tag, i);
        struct mr_slice value = {text, (size_t)n};
        assert_true(mr_record_build_add(&b, 1700000000000 + i, NULL, &value, NULL, 0));
    }
    if (mr_record_build_end(&b, codec, producer, epoch, sequence, &err))
        fail_msg("%s", err.text);
    return out;
}

/* After a change inside of what the checksum covers. */
static inline void seal(struct mr_buf *b)
{
    uint32_t crc = mr_crc32c(0, b->p + 21, b->len - 21);
    for (int i = 0; i < 4; i++)
        b->p[17 + i] = (char)(crc >> (24 - 8 * i));
}

/* A setting of the node, as if it had been started with it. */
static inline void node_given(struct mr_broker_config *c, const char *name, const char *value)
{
    struct mr_err err = {0};
    if (mr_node_layer_set(&c->node, mr_slice_of(name), mr_slice_of(value), &err))
        fail_msg("%s", err.text);
}

struct mill {
    struct mr_sim *sim;
    struct mr_world *world;
};

static inline struct mill mill_new(uint64_t seed)
{
    struct mill m = {.sim = mr_sim_new(seed)};
    m.world = mr_sim_node(m.sim, 0);
    return m;
}

static inline void settle(struct mill *m) /* a second: longer than any sync, shorter than any tick */
{
    mr_sim_run_until(m->sim, mr_sim_now(m->sim) + 1000);
}

/* --- a partition alone */

static inline struct mr_partition_config plain_config(void)
{
    struct mr_partition_config c = {.durable = true,
                                    .gzip_level = -1,
                                    .lz4_level = 9,
                                    .zstd_level = 3,
                                    .before_max_ms = INT64_MAX,
                                    .after_max_ms = INT64_MAX,
                                    .flush_ms = INT64_MAX};
    mr_log_config_init(&c.log);
    return c;
}

static inline struct mr_partition *open_partition(struct mill *m, const struct mr_partition_config *c)
{
    struct mr_partition *p = NULL;
    struct mr_err err = {0};
    if (mr_partition_open(m->world, "d/t-0", c, &p, &err))
        fail_msg("%s", err.text);
    return p;
}

struct sent {
    struct mr_produce pr; /* first */
    bool settled;
};

static inline void on_sent(struct mr_produce *pr)
{
    ((struct sent *)(void *)pr)->settled = true;
}

/* Produces one batch and takes it away; s->settled says whether the answer came at once. */
static inline void produce(struct mr_partition *p, struct sent *s, int16_t acks, struct mr_buf batch)
{
    *s = (struct sent){.pr = {.acks = acks, .done = on_sent}};
    s->settled = mr_partition_produce(p, batch.p, batch.len, &s->pr);
    mr_buf_fini(&batch);
}

/* All values from `offset` on that readers see, joined by blanks: "a/0 a/1". [give] mr_buf_fini */
static inline struct mr_buf values_from(struct mr_partition *p, int64_t offset)
{
    struct mr_buf text = {0}, scratch = {0};
    struct mr_err err = {0};
    while (offset < mr_partition_high(p)) {
        struct mr_log_view view;
        size_t got;
        if (mr_partition_find(p, offset, 1 << 20, &view, &err) || view.len == 0)
            fail_msg("nothing at offset %lld below the high watermark: %s", (long long)offset, err.text);
        char *bytes = mr_need(view.len);
        if (mr_file_read(view.file, bytes, view.len, view.at, &got, &err) || got < view.len)
            fail_msg("%s", err.text);
        for (size_t at = 0; at < view.len;) {
            struct mr_record_walk walk;
            struct mr_record r;
            struct mr_slice rest = {bytes + at, view.len - at};
            assert_int_equal(mr_record_walk_begin(&walk, rest, &scratch, 1 << 20, &err), MR_OK);
            size_t len = (size_t)walk.head.length + 12;
            while (mr_record_walk_next(&walk, &r, &err) == MR_OK)
                if (r.offset >= offset) {
                    assert_int_equal(r.offset, offset); /* none missing, none twice */
                    assert_true(mr_buf_printf(&text, "%s%.*s", text.len ? " " : "", MR_SLICE_ARG(r.value)));
                    offset++;
                }
            scratch.len = 0;
            at += len;
        }
        mr_free(bytes);
    }
    mr_buf_fini(&scratch);
    assert_true(mr_buf_put(&text, "", 1));
    return text;
}

static inline void expect_values(struct mr_partition *p, int64_t offset, const char *want)
{
    struct mr_buf got = values_from(p, offset);
    assert_string_equal(got.p, want);
    mr_buf_fini(&got);
}

#endif
