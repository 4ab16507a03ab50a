/* fetch_session.h - what consumers need not say again: the partitions that they read, kept between fetches.
 *
 * A client opens a *session* with a full fetch; later ones name only what has changed, and are answered with
 * only what has changed. Every fetch of a session carries the next *epoch*, so that a lost or doubled one is
 * noticed.
 *
 * Laws:  F1 sessions and the parts of all of them stay below their limits; who comes when all is taken gets
 *           none, unless one has not been used for MR_FETCH_SESSION_IDLE_MS, or is as old as that and smaller
 *        F2 a part is in its session once, however often it is put
 *        F3 an owner that is cut off finds NULL; nothing else of it is touched
 * A single-threaded machine over its world's clock.
 */
#ifndef MR_NODE_FETCH_SESSION_H
#define MR_NODE_FETCH_SESSION_H

#include "base/map.h"
#include "wire/message.h"
#include "world/world.h"

enum {
    MR_FETCH_SESSIONS_MAX = 1000,
    MR_FETCH_PARTS_MAX = 200000, /* of all sessions; about 250 bytes each */
    MR_FETCH_SESSION_IDLE_MS = 120000,
    MR_FETCH_NAME_MAX = 249, /* bytes of a topic's name; longer ones cannot be */
};

/* Names a partition: by the topic's id or by its name, as the session does. */
struct mr_fetch_key {
    struct mr_slice name;
    struct mr_uuid id;
    int32_t partition;
};

struct mr_fetch_part {
    struct mr_fetch_part *next, **link; /* in the order in which they are served */
    struct mr_fetch_session *session;
    struct mr_fetch_key key; /* the name is the part's own */
    int32_t leader_epoch, max_bytes;
    int64_t offset;
    int64_t sent_high, sent_start; /* what the client was last told; -1: nothing, or an error */
    char text[];
};

struct mr_fetch_session {
    struct mr_fetch_sessions *all;
    struct mr_fetch_session *next, **link; /* least recently used first */
    int32_t id;
    int32_t epoch; /* that the next fetch must carry */
    bool by_id;
    mr_ms made, used;
    struct mr_map by_key;
    struct mr_fetch_part *first, **last;
    size_t count;
    struct mr_fetch_session **owner; /* the fetch that is under way: it stands there as a pointer */
};

struct mr_fetch_sessions {
    struct mr_world *world;
    struct mr_map by_number;
    struct mr_fetch_session *first, **last;
    size_t count, sessions_max, parts, parts_max;
};

void mr_fetch_sessions_init(struct mr_fetch_sessions *all, struct mr_world *w, size_t sessions_max,
                            size_t parts_max);
void mr_fetch_sessions_fini(struct mr_fetch_sessions *all);

/* For `parts` of them. NULL: refused, go on without (F1, or no memory). Cost: a walk over all when full. */
struct mr_fetch_session *mr_fetch_session_new(struct mr_fetch_sessions *all, bool by_id, size_t parts);
struct mr_fetch_session *mr_fetch_session_find(const struct mr_fetch_sessions *all, int32_t id); /* or NULL */
/* A fetch of the right epoch came: the next one must carry the next. Whoever owned the session is cut off. */
void mr_fetch_session_use(struct mr_fetch_session *s);
void mr_fetch_session_own(struct mr_fetch_session *s, struct mr_fetch_session **owner); /* NULL: nobody */
void mr_fetch_session_close(struct mr_fetch_session *s);                                /* NULL is fine */

/* The part, made at the end when it is new. NULL: refused (limits, memory, a name that cannot be). */
struct mr_fetch_part *mr_fetch_session_put(struct mr_fetch_session *s, const struct mr_fetch_key *key);
void mr_fetch_session_drop(struct mr_fetch_session *s, const struct mr_fetch_key *key); /* unknown is fine */
/* It had its turn: it is served last now. */
void mr_fetch_part_to_end(struct mr_fetch_part *p);

#endif
