/* replay.h - a coordinator's own topic: made when it is first needed, and read into memory at start. For
 * broker/ alone.
 *
 * Words.  A partition is *ready* when all of it has been read; until then, and when it cannot be read, whoever
 *         asks for what lies in it is refused.
 *
 * Laws:  L1  a partition is ready only when nothing is in its log that its coordinator has not heard of
 *        L2  what cannot be read is forgotten as a whole, and tried again from its start, later and later
 *
 * The topic is read a slice a turn, so that the shard can do other things in between. A record that cannot be
 * understood is told and passed over. A partition that cannot be read keeps what it holds unavailable, and is
 * tried again: clients that wait are better off than clients that start anew.
 *
 * Its clock gives the time by which ages are counted: the wall clock as it was when the topic had been read,
 * and from there on the time that the process has run. So a jump of the wall clock makes nothing old, whether
 * it comes while the node runs (the clock does not follow) or between two runs (a wall clock that is behind
 * the newest record, or ahead of it by more than `away_max_ms`, is not believed: the newest record is).
 */
#ifndef MR_BROKER_REPLAY_H
#define MR_BROKER_REPLAY_H

#include "base/buf.h"
#include "broker/broker.h"

enum {
    MR_REPLAY_AGAIN_MS = 1000,      /* until a partition that could not be read is tried again, first */
    MR_REPLAY_AGAIN_MS_MAX = 60000, /* and at last; it doubles in between */
};

struct mr_replay_config {
    struct mr_slice topic;
    struct mr_slice batch_bytes; /* its max.message.bytes, as text */
    size_t batch_bytes_max;      /* and as number */
    const char *holds;           /* "groups": what becomes unavailable, for people */
    mr_ms away_max_ms;
    void *owner;
    /* One record. MR_MEMORY: the partition is tried again; another code: passed over, with err as the reason.
     */
    mr_code (*record)(void *owner, int32_t partition, const struct mr_batch_header *h,
                      const struct mr_record *r, struct mr_err *err);
    /* A marker of a transaction; may be NULL. */
    void (*marker)(void *owner, int32_t partition, int64_t producer, bool commit);
    void (*ready)(void *owner, int32_t partition);
    void (*forget)(void *owner, int32_t partition);                 /* all that came of it (L2) */
    void (*tell)(void *arg, enum mr_level level, const char *text); /* may be NULL */
    void *tell_arg;
};

struct mr_replay_part;
struct mr_replay {
    struct mr_world *world;
    struct mr_broker *broker;
    struct mr_replay_config config;
    struct mr_replay_part *parts; /* NULL with partitions > 0: all are ready */
    int32_t partitions;           /* of the topic; 0: there is none yet */
    int32_t at;                   /* which one is being read; -1: none */
    int32_t unread;               /* that have not been tried to their end once */
    int64_t offset;
    uint64_t skipped;
    bool begun, parked_long;
    struct mr_timer timer;
    struct mr_parked parked;
    struct mr_open_wait opening; /* of the partition that is read next */
    struct mr_buf bytes, inflated;
    int64_t lead_ms;  /* of this clock before the monotonic one */
    int64_t stamp_ms; /* newest time that was seen in a record; 0: none */
};

/* Begins to read the topic, if there is one. `r` is the caller's; end is fine after a failure. MR_MEMORY. */
mr_code mr_replay_begin(struct mr_replay *r, struct mr_world *w, struct mr_broker *b,
                        const struct mr_replay_config *config, struct mr_err *err);
void mr_replay_end(struct mr_replay *r); /* as if there were no topic */
/* Makes the topic if need be, with `partitions`. Blocks for two fsyncs the first time. */
enum mr_refusal mr_replay_prepare(struct mr_replay *r, int32_t partitions, struct mr_err *err);

bool mr_replay_loading(const struct mr_replay *r); /* some of it was never tried to its end */
/* Of one partition: NONE, COORDINATOR_LOADING, COORDINATOR_NOT_AVAILABLE. */
enum mr_refusal mr_replay_check(const struct mr_replay *r, int32_t partition);
/* Where a new record goes. NULL: *why, err. */
struct mr_partition *mr_replay_partition(struct mr_replay *r, int32_t partition, enum mr_refusal *why,
                                         struct mr_err *err);

/* Time, ms since 1970 (see above). seen: a record was written at that time. */
int64_t mr_replay_now(const struct mr_replay *r);
void mr_replay_seen(struct mr_replay *r, int64_t stamp_ms);

#endif
