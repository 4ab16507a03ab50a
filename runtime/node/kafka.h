/* kafka.h - what the files of the Kafka listener share: connections, requests, handlers.
 *
 * Words.  A *request* is one frame on its way to an answer. Requests of a connection run at once and are
 *         answered in their order; a request *waits* when its answer needs the disk, more to read, or time.
 */
#ifndef MR_NODE_KAFKA_H
#define MR_NODE_KAFKA_H

#include "base/arena.h"
#include "node/fetch_session.h"
#include "node/node_inside.h"
#include "wire/message.h"

enum {
    MR_KAFKA_IN_HAND_MAX = 1024,        /* requests of one connection; it is not read beyond */
    MR_KAFKA_RECEIVE_BYTES = 256 << 10, /* one buffer for all connections of the shard */
    MR_KAFKA_ARENA_BYTES = 64 << 20,    /* arrays of one request and its answer */
    MR_KAFKA_WAIT_MS_MAX = 300000,      /* that a client may ask us to wait */
    MR_KAFKA_LISTENERS_MAX = 8,
    MR_LISTENER_NAME_BYTES = 64,
    MR_KAFKA_REQUESTS_KEPT = 64, /* of the shard, for the next ones */
};

struct mr_kafka;
struct mr_kafka_conn;

/* A file range that is sent; held, so that retention may drop the segment meanwhile. */
struct mr_held_file {
    struct mr_file *file;
    int64_t at;
};

struct mr_request {
    struct mr_kafka *kafka;
    struct mr_kafka_conn *conn; /* NULL: the connection is gone, nobody wants the answer */
    struct mr_request *next;
    struct mr_request *sending, **sending_link; /* of the connection: those with sends > 0 */
    struct mr_request_header head;
    struct mr_slice body; /* [borrow] until the handler returns; mr_request_keep makes it last */
    struct mr_heap_arena arena;
    struct mr_buf out; /* the answer: frame, header, body without its holes */
    struct mr_holes holes;
    struct mr_held_file *files; /* [arena] one for each hole */
    uint32_t file_count;
    size_t charged;        /* bytes, to the listener */
    bool answered, silent; /* silent: acks=0, nothing is sent */
    uint32_t sends;        /* not done yet */
    /* while it waits */
    uint32_t pending;
    struct mr_timer timer;
    void (*give_up)(struct mr_request *r); /* time is up: answer with what there is */
    bool hurry;                            /* a closing node need not wait: give up at once */
    void *state;                           /* [arena] the handler's */
    void (*drop)(struct mr_request *r);    /* the connection is gone: wait for nothing more */
    struct mr_request_need *needs;         /* partitions that are being opened for it */
    struct mr_txn_call *adding;            /* partitions that are added to its transaction; NULL: none were */
    bool added;                            /* that has settled */
    struct mr_request_change *changes;     /* of the catalogue, that it waits for */
    struct mr_slice whole;                 /* the body, while it may be run again */
};

/* One API as served: what is advertised, and the least version that is really read. */
struct mr_handler {
    int16_t key, min, max;
    int16_t advertised_min;
    void (*run)(struct mr_request *r);
};
const struct mr_handler *mr_handler_find(int16_t key); /* NULL: not served */
const struct mr_handler *mr_handlers(size_t *count);
/* Whether clients are offered the second version of transactions. */
bool mr_kafka_txn_v2(const struct mr_node *n);
/* The newest version that is served. */
int16_t mr_handler_max(const struct mr_handler *h, const struct mr_node *n);

static inline struct mr_node *mr_request_node(const struct mr_request *r);

/* Each request ends in one of these three, once. */
/* Writes `message` of the response's shape as the answer. */
void mr_request_answer(struct mr_request *r, const void *message);
/* Nothing is sent (acks=0). */
void mr_request_silent(struct mr_request *r);
/* The peer broke the protocol: the connection is closed; the reason is told. */
__attribute__((format(printf, 2, 3))) void mr_request_close(struct mr_request *r, const char *format, ...);

/* The body moves into the request's own memory, to be read from while it waits. false: no memory, closed. */
bool mr_request_keep(struct mr_request *r);
/* Arena memory, zeroed. NULL: the limit was reached and the connection is closed; just return. */
void *mr_request_take(struct mr_request *r, size_t count, size_t size);
/* Reads the body; false: it was garbage and the connection is closed. */
bool mr_request_read(struct mr_request *r, void *message);

/* When a client that asked to wait for `ms` must have its answer: MR_KAFKA_WAIT_MS_MAX at most. */
mr_ms mr_request_until(const struct mr_request *r, int64_t ms);

/* From here on the request waits. drop, give_up: see struct mr_request; a stopping node gives up at once those
 * that can be given up. */
static inline void mr_request_wait(struct mr_request *r, void *state, void (*drop)(struct mr_request *r),
                                   void (*give_up)(struct mr_request *r))
{
    r->state = state;
    r->drop = drop;
    r->give_up = give_up;
    r->hurry = give_up != NULL;
}

/* Entries of an array that may be null. */
static inline size_t mr_kafka_many(int32_t count)
{
    return count > 0 ? (size_t)count : 0;
}

/* The next hole of the answer is filled from there. r->files has room for it. */
void mr_request_hold(struct mr_request *r, const struct mr_log_view *view);

/* One address that is listened on, and what clients that come in there are told to connect to. */
struct mr_kafka_listener {
    struct mr_kafka *kafka;
    struct mr_listener *net;
    char name[MR_LISTENER_NAME_BYTES]; /* in capitals; PLAINTEXT when it was given none */
    struct mr_address bound, shown;
};

/* Handlers that must not wait for a partition to be recovered say first, before anything has happened, which
 * ones they need: `need` each, then `waits`. true: return at once; the handler is run again from its beginning
 * when they are there, and the connection is not read meanwhile, so that requests keep their order. */
struct mr_request_need {
    struct mr_open_wait wait; /* first */
    struct mr_request_need *next;
};
void mr_request_need(struct mr_request *r, const struct mr_topic *t, int32_t partition);
bool mr_request_waits(struct mr_request *r);
/* One more need, once: these partitions are to belong to the transaction. Its refusal stands in r->adding. */
void mr_request_add(struct mr_request *r, struct mr_slice id, int64_t producer, int16_t epoch,
                    const struct mr_txn_at *parts, size_t count);

/* Changes of the catalogue, a row of the answer each; the body must be kept, and the answer lie in the arena.
 * NULL: no memory, closed. What the caller adds to row->change must stay too. */
struct mr_request_change {
    struct mr_change change; /* first */
    struct mr_request *request;
    struct mr_request_change *next;
    int16_t *code;                               /* of the answer's row */
    struct mr_slice *message;                    /* may be NULL */
    bool (*more)(struct mr_request_change *row); /* fills in the rest, may be NULL; false: closed */
    void *row;
};
struct mr_request_change *mr_request_change(struct mr_request *r, enum mr_change_kind kind,
                                            struct mr_slice name, int16_t *code, struct mr_slice *message);
void mr_request_submit(struct mr_request_change *row);
void mr_request_changes_answer(struct mr_request *r, void *out); /* now, or with the last of them */
void mr_request_changes_drop(struct mr_request *r);

/* Topics by name or, where the version has them, by id. */
const struct mr_topic *mr_request_topic(const struct mr_request *r, struct mr_slice name,
                                        const struct mr_uuid *id, bool by_id, enum mr_refusal *why);
const char *
mr_request_peer(const struct mr_request *r); /* "127.0.0.1:4711"; "" when the connection is gone */
/* Where the client of this request is to connect to: what its listener advertises. */
const struct mr_kafka_listener *mr_request_listener(const struct mr_request *r);
static inline const struct mr_address *mr_request_shown(const struct mr_request *r)
{
    return &mr_request_listener(r)->shown;
}
struct mr_slice mr_request_text(struct mr_request *r, const char *text); /* [arena] copy; p NULL: no memory */

/* A handler that has not returned; one may answer what lets another begin. */
struct mr_kafka_running {
    struct mr_request *request; /* NULL: it has gone meanwhile */
    struct mr_kafka_running *outer;
};

struct mr_kafka {
    struct mr_node *node;
    struct mr_kafka_listener listeners[MR_KAFKA_LISTENERS_MAX];
    uint32_t listener_count;
    struct mr_kafka_conn *conns;
    uint32_t conn_count;
    size_t busy;  /* requests */
    size_t rests; /* connections with requests that came whole and are not run yet */
    size_t bytes; /* that requests hold: coming in, waiting, and as answers that are not out */
    struct mr_kafka_running *running; /* the innermost */
    struct mr_request *kept;
    uint32_t kept_count;
    struct mr_timer sweep;
    struct mr_kafka_conn *waiting, **waiting_last; /* for memory, in order */
    struct mr_kafka_conn *favoured;                /* whose frame may go beyond the limit of bytes */
    bool waking;
    bool draining;
    struct mr_fetch_sessions sessions;
    char *receive; /* MR_KAFKA_RECEIVE_BYTES, made with the first connection */
};

static inline struct mr_node *mr_request_node(const struct mr_request *r)
{
    return r->kafka->node;
}

/* The epoch that a client believes in. Ours is always the same: one node, one leader for ever. */
enum { MR_KAFKA_LEADER_EPOCH = 0 };
static inline enum mr_refusal mr_kafka_check_epoch(int32_t theirs)
{
    return theirs > MR_KAFKA_LEADER_EPOCH ? MR_REFUSE_LEADER_EPOCH_UNKNOWN : MR_REFUSE_NONE;
}

static inline uint32_t mr_kafka_be32(const char *p)
{
    const unsigned char *b = (const unsigned char *)p;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* --- kafka_listen.c */
/* Lists of addresses as struct mr_node_config has them. */
mr_code mr_kafka_listen(struct mr_kafka *k, const char *listen, const char *advertise, struct mr_err *err);
void mr_kafka_deafen(struct mr_kafka *k);                       /* no new connections */
void mr_kafka_accept(void *listener, int fd, const char *peer); /* kafka_conn.c */

/* --- kafka_configs.c */
/* Where a topic's setting comes from, by Kafka's numbers. */
int8_t mr_kafka_setting_source(const struct mr_request *r, const struct mr_setting_row *row);

/* --- kafka_admin.c */
bool mr_kafka_is_coordinators(struct mr_slice name); /* a topic that coordinators keep their things in */

/* --- handlers, a file each */
void mr_kafka_produce(struct mr_request *r);
void mr_kafka_fetch(struct mr_request *r);
void mr_kafka_list_offsets(struct mr_request *r);
void mr_kafka_offset_for_leader_epoch(struct mr_request *r);
void mr_kafka_metadata(struct mr_request *r);
void mr_kafka_describe_cluster(struct mr_request *r);
void mr_kafka_api_versions(struct mr_request *r);
void mr_kafka_create_topics(struct mr_request *r);
void mr_kafka_delete_topics(struct mr_request *r);
void mr_kafka_describe_configs(struct mr_request *r);
void mr_kafka_delete_records(struct mr_request *r);
void mr_kafka_alter_configs(struct mr_request *r);
void mr_kafka_incremental_alter_configs(struct mr_request *r);
void mr_kafka_create_partitions(struct mr_request *r);
void mr_kafka_describe_topic_partitions(struct mr_request *r);
void mr_kafka_describe_log_dirs(struct mr_request *r);
void mr_kafka_describe_quorum(struct mr_request *r);
void mr_kafka_list_config_resources(struct mr_request *r);
void mr_kafka_elect_leaders(struct mr_request *r);
void mr_kafka_alter_partition_reassignments(struct mr_request *r);
void mr_kafka_list_partition_reassignments(struct mr_request *r);
void mr_kafka_init_producer_id(struct mr_request *r);
void mr_kafka_add_partitions_to_txn(struct mr_request *r);
void mr_kafka_add_offsets_to_txn(struct mr_request *r);
void mr_kafka_end_txn(struct mr_request *r);
void mr_kafka_write_txn_markers(struct mr_request *r);
void mr_kafka_txn_offset_commit(struct mr_request *r);
void mr_kafka_describe_producers(struct mr_request *r);
void mr_kafka_describe_transactions(struct mr_request *r);
void mr_kafka_list_transactions(struct mr_request *r);
void mr_kafka_find_coordinator(struct mr_request *r);
void mr_kafka_join_group(struct mr_request *r);
void mr_kafka_sync_group(struct mr_request *r);
void mr_kafka_heartbeat(struct mr_request *r);
void mr_kafka_leave_group(struct mr_request *r);
void mr_kafka_offset_commit(struct mr_request *r);
void mr_kafka_offset_fetch(struct mr_request *r);
void mr_kafka_offset_delete(struct mr_request *r);
void mr_kafka_delete_groups(struct mr_request *r);
void mr_kafka_list_groups(struct mr_request *r);
void mr_kafka_describe_groups(struct mr_request *r);
void mr_kafka_api_versions_refuse(struct mr_request *r); /* a version beyond ours */

#endif
