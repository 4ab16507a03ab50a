/* sim_node.c - see sim_node.h. */
#include "node/sim_node.h"

#include "base/mem.h"
#include "node/node_inside.h"

struct sim_node {
    struct mr_node node;
};

struct sim_node *sim_node_open(struct mr_world *w)
{
    struct mr_err err = {0};
    struct sim_node *s = mr_need(sizeof *s);
    struct mr_node *n = &s->node;
    mr_node_config_init(&n->config);
    (void)mr_node_layer_set(&n->config.broker.node, MR_SLICE("group.initial.rebalance.delay.ms"),
                            MR_SLICE("0"), &err);
    (void)mr_node_layer_set(&n->config.broker.node,
                            MR_SLICE("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
                            MR_SLICE("100"), NULL);
    n->config.broker.tick_ms = 0; /* no retention: events of tests are of 1970 */
    n->world = w;
    n->lock = -1;
    if (mr_mkdir_all(w, "data", &err) == MR_OK &&
        mr_broker_open(w, "data", &n->config.broker, &n->broker, &err) == MR_OK &&
        mr_groups_open(w, n->broker, &n->config.groups, &n->groups, &err) == MR_OK &&
        mr_txns_open(w, n->broker, n->groups, &n->config.txns, &n->txns, &err) == MR_OK &&
        mr_port_new(n, &n->port, &err) == MR_OK)
        return s;
    sim_node_abandon(s);
    return NULL;
}

struct mr_topics *sim_node_topics(struct sim_node *n)
{
    return mr_port_topics(n->node.port);
}

void sim_node_kick(struct sim_node *n, const char *group, const char *instance)
{
    (void)mr_groups_leave(n->node.groups, mr_slice_of(group), MR_SLICE(""), mr_slice_of(instance));
}

void sim_node_drain(struct sim_node *n)
{
    n->node.closing = n->node.finished = true; /* nobody waits for it to settle */
    mr_port_drain(n->node.port);
}

void sim_node_abandon(struct sim_node *n)
{
    mr_txns_close(n->node.txns);
    mr_groups_close(n->node.groups);
    mr_broker_close(n->node.broker);
}

void sim_node_close(struct sim_node *n)
{
    mr_port_stop(n->node.port);
    sim_node_abandon(n);
}

void sim_node_free(struct sim_node *n)
{
    mr_port_free(n->node.port);
    mr_free(n);
}
