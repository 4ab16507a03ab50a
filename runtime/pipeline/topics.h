/* topics.h - the topics port: all that pipelines know of topics. node/ fills it in.
 *
 * Calls come from any lane thread; each callback is posted to the world given with the call and runs there.
 * Bytes are record batches (wire/record.h).
 */
#ifndef MR_PIPELINE_TOPICS_H
#define MR_PIPELINE_TOPICS_H

#include "wire/record.h"
#include "world/world.h"

struct mr_topics;

struct mr_topic_info {
    int32_t partitions;
};
/* A pinned, read-only answer of a fetch. */
struct mr_fetched {
    struct mr_slice bytes; /* whole batches; the first may begin before the offset asked for */
    int64_t end_offset;    /* the partition's end as readers see it (high watermark) */
    int64_t start_offset;
    void (*release)(void *what); /* any thread, once */
    void *what;
};

struct mr_topics_ops {
    /* Finds or makes a topic; done(arg, rc, info, why). partitions 0: the default (1). `why` [borrow] text.
     */
    void (*ensure)(struct mr_topics *t, struct mr_world *w, struct mr_slice topic, int32_t partitions,
                   void (*done)(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why),
                   void *arg);
    /* Appends batches; done once they are as durable as the topic promises. `bytes` [move], freed by the port
     * with mr_buf_fini. Order of calls from one lane to one partition is kept. Codes: MR_NOTFOUND,
     * MR_NOSPACE, MR_IO, MR_LIMIT, MR_CORRUPT, MR_GONE (try again). */
    void (*produce)(struct mr_topics *t, struct mr_world *w, struct mr_slice topic, int32_t partition,
                    struct mr_buf bytes,
                    void (*done)(void *arg, mr_code rc, int64_t base_offset, const char *why), void *arg);
    /* Batches from `offset` on, at most about max_bytes, at least one batch; waits up to wait_ms for the
     * first. No bytes: nothing came. offset -2: from the start, -1: only what comes. MR_RANGE: start_offset
     * says where to go on. */
    void (*fetch)(struct mr_topics *t, struct mr_world *w, struct mr_slice topic, int32_t partition,
                  int64_t offset, size_t max_bytes, mr_ms wait_ms,
                  void (*done)(void *arg, mr_code rc, struct mr_fetched *got, const char *why), void *arg);
};

struct mr_topics {
    const struct mr_topics_ops *ops;
};

#endif
