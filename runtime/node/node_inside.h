/* node_inside.h - what the files of node/ share. The *shard* is the node's thread with its world; all below
 * belongs to it unless it says otherwise. */
#ifndef MR_NODE_INSIDE_H
#define MR_NODE_INSIDE_H

#include "node/node.h"
#include "world/net.h"
#include "world/real.h"

#include <pthread.h>

enum {
    MR_ADDRESS_BYTES = 300,
    MR_CLUSTER_ID_TEXT = 22, /* base64 of 16 bytes */
};

struct mr_address {
    char host[256];
    int port;
};
/* "host:port", "[::1]:9092", ":9092" (all addresses). */
mr_code mr_address_parse(const char *text, struct mr_address *out, struct mr_err *err);

struct mr_port;
struct mr_kafka;

struct mr_node {
    struct mr_node_config config; /* strings are the caller's until open returns */
    struct mr_world *world;
    struct mr_broker *broker;
    struct mr_groups *groups;
    struct mr_txns *txns;
    struct mr_port *port;   /* the in-process topics port */
    struct mr_kafka *kafka; /* NULL: no listener */
    pthread_t thread;
    int lock;     /* descriptor of the locked file */
    bool closing; /* nothing new is taken */
    bool finished, settling, flushing;
    struct mr_timer force;
    char data_dir[3000];
    char address[MR_ADDRESS_BYTES * 8]; /* those that are listened on, by commas */
    char cluster_id[MR_CLUSTER_ID_TEXT + 1];
};

__attribute__((format(printf, 3, 4))) void mr_node_tell(const struct mr_node *n, enum mr_level level,
                                                        const char *format, ...);
/* While closing: whoever has ended something calls it; the node stops when nothing is under way. */
void mr_node_settle(struct mr_node *n);

/* --- topics_port.c */
mr_code mr_port_new(struct mr_node *n, struct mr_port **out, struct mr_err *err);
void mr_port_free(struct mr_port *p);
struct mr_topics *mr_port_topics(struct mr_port *p); /* any thread */
void mr_port_drain(struct mr_port *p);               /* waiting fetches are answered */
size_t mr_port_busy(const struct mr_port *p);        /* calls under way */
void mr_port_stop(struct mr_port *p); /* before groups and transactions close: who waits for them is told */

/* --- kafka.c */
mr_code mr_kafka_new(struct mr_node *n, const char *listen, const char *advertise, struct mr_kafka **out,
                     struct mr_err *err);
void mr_kafka_drain(struct mr_kafka *k);        /* no new connections or requests; parked ones are answered */
size_t mr_kafka_busy(const struct mr_kafka *k); /* requests whose answer is not out yet */
void mr_kafka_stop(struct mr_kafka *k);         /* closes all connections */
void mr_kafka_free(struct mr_kafka *k);         /* after the world is gone */

/* --- lock.c */
/* One process alone: a locked file with its process id. *fd is kept open as long. */
mr_code mr_data_lock(const char *data_dir, int *fd, struct mr_err *err);

#endif
