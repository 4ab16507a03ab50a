/* node.h - one running millrace: a data directory, a shard that owns the topics, a Kafka listener if wanted.
 *
 * Thread: open and close from one thread of the caller's; the shard is a thread of the node's own.
 */
#ifndef MR_NODE_NODE_H
#define MR_NODE_NODE_H

#include "broker/broker.h"
#include "broker/group.h"
#include "broker/txn.h"
#include "pipeline/topics.h"

enum { MR_NODE_ID = 1 };

struct mr_node_config {
    const char *data_dir;     /* made when missing; locked, so that one process alone uses it */
    const char *listen;       /* for Kafka clients: "host:port" or "NAME://host:port", several by commas;
                              port 0: any free one; an IPv6 address in brackets. NULL: nowhere */
    const char *advertise;    /* what clients are told to connect to, likewise: by name, or in the order of
                              `listen`; those that are missing: as `listen` */
    uint32_t connections_max; /* further ones are closed at once; default 10000 */
    size_t frame_bytes_max;   /* of one request; a longer one closes its connection; default 100 MiB */
    size_t
        request_bytes_max;  /* of all requests in hand; beyond it connections are not read; default 256 MiB */
    size_t fetch_bytes_max; /* of one answer; default 55 MiB */
    mr_ms frame_ms;         /* within which 64 KiB of a request, or its rest, must come; default 30 s */
    mr_ms idle_ms;          /* connections that say nothing for longer are closed; default 10 min */
    struct mr_broker_config broker;
    struct mr_groups_config groups;
    struct mr_txns_config txns;
    /* One line for people, from any thread. May be NULL. */
    void (*tell)(void *arg, enum mr_level level, const char *text);
    void *tell_arg;
};
void mr_node_config_init(struct mr_node_config *c);

struct mr_node;

/* MR_EXISTS: the data directory is in use, the message names the process. Returns when the listener accepts.
 */
mr_code mr_node_open(const struct mr_node_config *config, struct mr_node **out, struct mr_err *err);
/* Answers what was accepted, closes connections and logs. Calls through the topics port that still wait get
 * MR_CANCELLED; their callbacks are posted before this returns. NULL is fine. */
void mr_node_close(struct mr_node *n);

struct mr_topics *mr_node_topics(struct mr_node *n); /* [borrow] until close */
const char *
mr_node_address(const struct mr_node *n); /* "127.0.0.1:9092", several by commas; NULL: no listener */

#endif
