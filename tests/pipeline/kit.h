/* kit.h - what the tests of pipelines share: small components with a script, a topics port in memory, and a
 * pipeline in a simulated world.
 */
#ifndef MR_TESTS_PIPELINE_KIT_H
#define MR_TESTS_PIPELINE_KIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "pipeline/config.h"
#include "pipeline/inside.h"
#include "pipeline/run.h"
#include "world/sim.h"

#include <pthread.h>
#include <string.h>

/* Components:
 *   source lines   `lines: [a, b]` or `lines: { text: [...], batch: 2, repeat: 3, live: true }`: an event a
 * line in `message`, n from 0, event time n seconds; position "lines" = how many were read. live: never ends.
 *                  broken: n  the first n reads fail with MR_IO;  nowhere: no positions
 *   step   drop    an expression;  set  a map of expressions;  remove  a field
 *   step   refuse  rejects events whose `message` is this text
 *   step   twice   emits a copy of each batch before it
 *   step   tail    keeps the events back (holding their acks) and emits one event with their number at finish
 *   step   pattern text without '(': check() points at the first one
 *   step   bad     process fails;  grow  adds rows to the batch in hand
 *   source feed    `feed: fd` an event for each read of a descriptor; or `thread: true`, 1000 from another
 * thread sink   out     what it gets is written down; see kit_script sink   file    option path, a template
 */
extern const struct mr_component *const kit_components[];
struct mr_catalog *kit_catalog(void);

enum { KIT_ROWS_MAX = 200000 };
struct kit_got {
    char *text; /* JSON of the event */
    char message[64];
};
/* What sinks `out` do; one for all of them, in tests of one thread. */
struct kit_script {
    /* NULL: all is taken. Fills verdicts, answers a code. nth: from 1. */
    mr_code (*on_write)(struct mr_batch *b, uint64_t ticket, struct mr_verdict *v, unsigned nth,
                        struct mr_err *err);
    mr_code (*on_flush)(struct mr_err *err);
    mr_code (*on_open)(unsigned nth, struct mr_err *err);
    unsigned writes, flushes, opens, closes;
    _Atomic unsigned reads;
    struct kit_got *got;
    uint32_t got_count;
    uint64_t ticket[4096]; /* of writes answered with MR_PENDING */
    uint32_t ticket_rows[4096], ticket_count;
    struct mr_host *host;
    size_t live_bytes_most;
};
extern struct kit_script kit;
void kit_reset(void);
void kit_take(struct mr_batch *b, uint32_t k); /* writes down event k of sel */

/* A topics port in memory. */
enum { KIT_TOPICS = 16, KIT_PARTITIONS = 4 };
struct kit_partition {
    struct mr_buf bytes; /* record batches, offsets patched in */
    int64_t end;
    size_t *at; /* byte of the batch that holds offset o */
    size_t at_cap;
};
struct kit_topic {
    char name[64];
    int32_t partitions;
    struct kit_partition p[KIT_PARTITIONS];
};
struct kit_port {
    struct mr_topics port; /* first */
    pthread_mutex_t lock;
    struct kit_topic topic[KIT_TOPICS];
    int32_t default_partitions;
    unsigned fail_produce, fail_ensure, fail_fetch; /* how many of the next calls fail */
    mr_code fail_code;
    size_t max_bytes;       /* of a produce; beyond it MR_LIMIT; 0: none */
    unsigned produces, out; /* calls; answers under way */
};
void kit_port_init(struct kit_port *p);
void kit_port_fini(struct kit_port *p);
struct kit_topic *kit_topic(struct kit_port *p, const char *name); /* made when absent */
/* The values of a topic, all partitions, a line each; [heap]. headers: with "name=value;" before. */
char *kit_topic_text(struct kit_port *p, const char *name, bool headers);
void kit_topic_add(struct kit_port *p, const char *name, int32_t partition, const char *key,
                   const char *value);

/* A plan from text; fails the test when it is not valid. */
struct kit_plan {
    struct mr_heap_arena a;
    struct mr_catalog *catalog;
    struct mr_config config;
    struct mr_diags diags;
};
void kit_plan(struct kit_plan *p, const char *yaml);
void kit_plan_fini(struct kit_plan *p);

/* The first pipeline of a plan, in node 0 of a simulated world. */
struct kit_line {
    struct kit_plan plan;
    struct mr_sim *sim;
    struct mr_world *world;
    struct kit_port port;
    struct mr_pipeline *line;
    struct mr_lane_env env;
    bool ended;
    int exit_code;
    unsigned errors, warnings;
    char last_log[1024];
    bool (*fed)(void *arg, const struct mr_pipeline *reader, const char *topic);
};
void kit_open(struct kit_line *k, const char *yaml, bool once, const char *data_dir);
void kit_start(struct kit_line *k); /* makes the pipeline and starts it */
void kit_run(struct kit_line *k, mr_ms ms);
void kit_end(struct kit_line *k); /* frees the pipeline, keeps world and port */
void kit_close(struct kit_line *k);
void kit_law(const struct kit_line *k); /* in + made = out + dropped + dead + replaced + in_flight */
/* Messages of what came out, joined by blanks. */
const char *kit_messages(void);

#endif
