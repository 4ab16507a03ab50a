/* sim_node.h - a node without threads and sockets, in a simulated world: broker, coordinators, topics port. */
#ifndef MR_TESTS_NODE_SIM_NODE_H
#define MR_TESTS_NODE_SIM_NODE_H

#include "pipeline/topics.h"
#include "world/sim.h"

struct sim_node;

/* NULL: the world went down meanwhile. */
struct sim_node *sim_node_open(struct mr_world *w);
struct mr_topics *sim_node_topics(struct sim_node *n);
/* A person throws a member out of its group. */
void sim_node_kick(struct sim_node *n, const char *group, const char *instance);
void sim_node_drain(struct sim_node *n); /* then let it run, and close it */
void sim_node_close(struct sim_node *n); /* let it run, and free it */
void sim_node_free(struct sim_node *n);
/* Its world is down: closes files. What else it had is left in memory, as a dead process leaves it. */
void sim_node_abandon(struct sim_node *n);

#endif
