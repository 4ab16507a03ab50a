/* configs.h - settings of topics, brokers and groups: reading and changing them. */
#ifndef MR_CLI_CONFIGS_H
#define MR_CLI_CONFIGS_H

#include "cli/ask.h"

enum { MR_CONFIGS_TOPIC = 2, MR_CONFIGS_BROKER = 4, MR_CONFIGS_GROUP = 32 }; /* Kafka's numbers */
enum { MR_CONFIGS_DEFAULT = 5 };                                             /* a source: nobody has set it */

typedef struct mr_describe_configs_response_result mr_configs;

/* The settings of one topic, broker ("": the default of all brokers) or group; NULL: told. [arena]
 */
const mr_configs *mr_configs_read(struct mr_kafka *k, int8_t type, const char *name);
const char *mr_configs_value(struct mr_kafka *k, const mr_configs *all, const char *name); /* NULL: none */

/* What is to change; lists of "k=v" (unset: of "k"), each ended by NULL. */
struct mr_configs_change {
    const char *const *set, *const *unset, *const *append, *const *subtract;
    bool dry_run;
};
/* Changes these settings and no others, in one request. The exit code, told; on 0 what was done
 * is told too. */
int mr_configs_alter(struct mr_kafka_call *c, int8_t type, const char *name,
                     const struct mr_configs_change *change);

int mr_topic_describe(const struct mr_verb *v, int argc, char **argv); /* topic_describe.c */

#endif
