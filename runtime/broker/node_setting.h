/* node_setting.h - settings of a node by Kafka's server property names, and what they say now.
 *
 * The table in node_setting.c is all there is. Whoever needs one reads it from mr_broker_node_settings each
 * time that it is used, never keeps a copy: then a change takes effect while the node runs.
 *
 * Words.  A *layer* is what somebody said. From the strongest: what was set while running for this node, what
 *         was set so for every node, what the node was started with (*fixed*), what the program says.
 */
#ifndef MR_BROKER_NODE_SETTING_H
#define MR_BROKER_NODE_SETTING_H

#include "broker/partition.h"

enum { MR_NODE_SETTINGS_MAX = 96, MR_NODE_UNSET = INT32_MIN };

/* A field is the property with underscores; its unit is in its name, or in its row's help. */
struct mr_node_settings {
    /* connections */
    int64_t max_connections; /* further ones are closed at once */
    int64_t max_connections_per_ip;
    mr_ms connections_max_idle_ms;    /* -1: never closed */
    int64_t socket_request_max_bytes; /* a longer request closes its connection */
    int64_t queued_max_request_bytes; /* of all requests in hand, and of answers that wait */
    int64_t fetch_max_bytes;          /* of one answer */
    int64_t max_request_partition_size_limit;

    /* topics */
    bool auto_create_topics_enable;
    bool delete_topic_enable;
    int64_t num_partitions; /* of topics made without a number */
    mr_ms log_retention_check_interval_ms;
    int64_t log_retention_minutes, log_retention_hours; /* MR_NODE_UNSET, -1: no limit */
    int64_t log_roll_hours, log_roll_jitter_hours;      /* MR_NODE_UNSET */
    struct mr_partition_config topic; /* what topics are given that say nothing: all of log.* */

    /* groups */
    mr_ms group_initial_rebalance_delay_ms;
    mr_ms group_min_session_timeout_ms, group_max_session_timeout_ms;
    int64_t group_max_size; /* members */
    int64_t offset_metadata_max_bytes;
    mr_ms offsets_retention_ms; /* offsets.retention.minutes */
    mr_ms offsets_retention_check_interval_ms;
    int64_t offsets_topic_num_partitions; /* when it is made */

    /* transactions */
    mr_ms transaction_max_timeout_ms;
    mr_ms transactional_id_expiration_ms;
    mr_ms transaction_abort_timed_out_transaction_cleanup_interval_ms;
    mr_ms transaction_remove_expired_transaction_cleanup_interval_ms;
    int64_t transaction_state_log_num_partitions; /* when it is made */
    int64_t transaction_version;                  /* of the protocol, that clients are offered */
};

/* What one of them said, and which. Zeroed: nothing. */
struct mr_node_layer {
    struct mr_node_settings says;
    bool given[MR_NODE_SETTINGS_MAX]; /* by row */
};

/* What the program says. */
void mr_node_settings_init(struct mr_node_settings *s);
/* One more. Refusals say what is allowed; a name that is not known gets the nearest one. The value is checked
 * alone: whether all agree is asked when a node opens. */
enum mr_refusal mr_node_layer_set(struct mr_node_layer *l, struct mr_slice name, struct mr_slice value,
                                  struct mr_err *err);
bool mr_node_setting_known(struct mr_slice name);

#endif
