/* kafka_conn.h - a connection of the Kafka listener, for the files that move bytes: kafka_conn.c,
 * kafka_frames.c, kafka_request.c, kafka.c. Handlers need kafka.h alone.
 *
 * Laws:  K1 answers leave in the order of their requests, each once
 *        K2 a frame longer than socket.request.max.bytes, or of no length, closes its connection before
 *           memory is taken
 *        K3 what one connection sends never disturbs another
 *        K4 a request outlives its connection until nothing is on its way for it: no wait, no send
 *        K5 what requests hold, coming in, waiting and going out, is counted in `bytes` of the listener
 */
#ifndef MR_NODE_KAFKA_CONN_H
#define MR_NODE_KAFKA_CONN_H

#include "node/kafka.h"

enum {
    MR_KAFKA_SIZE_BYTES = 4,
    MR_KAFKA_FRAME_STEP = 64 << 10, /* of a frame that came in part must follow within frame_ms, bytes */
    MR_KAFKA_PEER_BYTES = 64,
};

struct mr_kafka_conn {
    struct mr_kafka *kafka;
    const struct mr_kafka_listener *listener; /* that it came in through */
    struct mr_conn *net;                      /* NULL: closed */
    struct mr_kafka_conn *next, **link;
    struct mr_request *first, **last; /* in order of arrival; the first one is answered next */
    struct mr_request *sending;       /* answered, but not all of it is in the socket yet */
    uint32_t in_hand;
    bool reading; /* inside of on_bytes: closing waits until it is out */
    bool doomed;  /* to be closed */
    bool paused;
    bool flushing;
    bool awaiting; /* its newest request waits for partitions: the next ones must not overtake it */
    struct mr_kafka_conn *wait_next, **wait_link; /* those that wait for memory; link NULL: it does not */
    mr_ms heard;                                  /* or answered */
    mr_ms took;                                   /* when the socket last took a byte of what waits */
    size_t unsent;                                /* bytes that waited then */
    mr_ms grew;                                   /* when a frame in part last came on */
    size_t mark;                                  /* bytes of it then */
    size_t held;                                  /* bytes of answers that wait for earlier ones */
    char *rest; /* whole requests, and maybe a part, that came while it was held up */
    size_t rest_at, rest_len;
    char *frame;                     /* a frame that came in part: its size field and what there is of it */
    size_t have, room, want;         /* bytes; want 0: the size is not known yet */
    size_t usual;                    /* the last frame, if it came in part: bytes; else 0 */
    char early[MR_KAFKA_SIZE_BYTES]; /* the size field while it is not whole, without memory */
    char peer[MR_KAFKA_PEER_BYTES];
};

/* --- kafka_request.c */
/* One whole frame [borrow, changed in place] is run. The connection may be doomed afterwards. */
void mr_kafka_run(struct mr_kafka_conn *c, struct mr_slice frame);
void mr_kafka_request_abandon(struct mr_request *r); /* the connection is gone: nobody waits any more */
void mr_kafka_request_free(struct mr_request *r);

/* --- kafka_conn.c */
/* Now, or when the callback that it is in has come back. */
void mr_kafka_conn_close(struct mr_kafka_conn *c);
void mr_kafka_conn_flush(struct mr_kafka_conn *c); /* answers whose turn it is leave */
/* It has enough to do, or does not take its answers: it is not listened to until that is better. */
bool mr_kafka_conn_held_up(const struct mr_kafka_conn *c);
void mr_kafka_conn_read_on(struct mr_kafka_conn *c); /* if it may. It may be gone afterwards */
/* Closes those that have been silent, or slow, for too long. */
void mr_kafka_conns_sweep(struct mr_kafka *k);

/* --- kafka_frames.c */
void *mr_kafka_frame_room(void *conn, size_t *len); /* as struct mr_conn_events has them */
void mr_kafka_frame_bytes(void *conn, size_t len);
void mr_kafka_frame_fini(struct mr_kafka_conn *c);
/* What had to wait is run. true: all of it was, and the connection may be read again; otherwise it may be
 * gone. */
bool mr_kafka_rest_run(struct mr_kafka_conn *c);
bool mr_kafka_over(const struct mr_kafka *k); /* there is no memory for more */
void mr_kafka_charge(struct mr_kafka *k, size_t bytes);
void mr_kafka_give_back(struct mr_kafka *k, size_t bytes); /* whoever waits for memory may go on */

#endif
