/* node_setting_inside.h - the rows of the table of node settings. For broker/ alone. */
#ifndef MR_BROKER_NODE_SETTING_INSIDE_H
#define MR_BROKER_NODE_SETTING_INSIDE_H

#include "broker/broker.h"

struct mr_node_setting {
    const char *name;
    const char *topic; /* a default of topics: that setting's name, else NULL */
    int8_t type;       /* enum mr_setting_type */
    bool number;       /* else, without `topic`: true or false */
    bool read_only;    /* only at start */
    size_t at;         /* in struct mr_node_settings: int64_t or bool */
    int64_t min, max, standard;
    int64_t scale; /* what the field counts in one of the property's units; 0: they are the same */
    const char *help;
    const char *only; /* the one value that is served, or NULL; nothing is kept of it */
    const char *why;  /* of `only`: why no other is */
};

size_t mr_node_setting_count(void);
const struct mr_node_setting *mr_node_setting_at(size_t i);
/* The row of that name. INVALID_CONFIG: there is none; err has the nearest one, or why not. */
enum mr_refusal mr_node_setting_find(struct mr_slice name, size_t *i, struct mr_err *err);
bool mr_node_setting_unused(struct mr_slice name); /* of Kafka's list, and without a use here: never set */
enum mr_refusal mr_node_setting_put(struct mr_node_settings *s, size_t i, struct mr_slice value,
                                    struct mr_err *err);
void mr_node_setting_copy(size_t i, const struct mr_node_settings *from, struct mr_node_settings *to);
/* false: it is unset, out is empty. */
bool mr_node_setting_print(size_t i, const struct mr_node_settings *s, char out[MR_TOPIC_SETTING_MAX]);
void mr_node_setting_allowed(size_t i, char out[MR_TOPIC_SETTING_MAX]); /* in words, for people */
/* What no setting alone can be blamed for. */
enum mr_refusal mr_node_setting_agree(const struct mr_node_settings *s, struct mr_err *err);

#endif
