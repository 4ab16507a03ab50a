/* group.h - consumer groups as brokers describe them, classic ones and those of the newer
 * protocol. */
#ifndef MR_CLI_GROUP_H
#define MR_CLI_GROUP_H

#include "cli/ask.h"

struct mr_group_part {
    const char *topic;
    int32_t partition;
};
struct mr_group_member {
    const char *id, *instance, *client, *host; /* instance NULL: it is no static member */
    struct mr_group_part *parts;
    size_t part_count;
};
struct mr_group {
    const char *name, *state, *type, *assignor; /* "": not known */
    int32_t coordinator;
    struct mr_group_member *members;
    size_t count;
};

/* Every group of every broker: name, state, type, coordinator. false: told. [arena] */
bool mr_group_list(struct mr_kafka *k, struct mr_group **list, size_t *count);
/* 1: found, with its type; 0: there is none; -1: told. near: [out] a name that is like it, or
 * NULL. [arena] */
int mr_group_find(struct mr_kafka *k, const char *name, struct mr_group *out, const char **near);
/* A group that has to be there, without its members; false: told. */
bool mr_group_need(struct mr_kafka *k, const char *name, struct mr_group *out);
/* Fills in state and members of a group that was found; false: told. */
bool mr_group_members(struct mr_kafka *k, struct mr_group *g);
/* Its members must be gone before it is moved or deleted. false: they are not, told with the way
 * out. */
bool mr_group_at_rest(struct mr_kafka *k, struct mr_group *g, const char *what);

/* What the group committed, of all topics, sorted; NULL: told. [move] */
rd_kafka_topic_partition_list_t *mr_group_committed(struct mr_kafka *k, const char *name);
enum { MR_GROUP_NONE = -1 }; /* an offset: nothing is committed */

int mr_group_reset(const struct mr_verb *v, int argc, char **argv); /* group_reset.c */

#endif
