-- cluster.lua - who is there: versions, brokers, topics, coordinators, the quorum; notation: gen.lua.

-- The response header is v0 in every version, so that any client can read it..
api { "api_versions", key = 18, versions = "0-5", flexible = "3+",
    request = {
        -- must match [a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])? or INVALID_REQUEST
        "client_software_name    string 3+",
        "client_software_version string 3+", -- same pattern
        -- with NodeId: both or neither; mismatch gives REBOOTSTRAP_REQUIRED
        "cluster_id              string? 5+ =null",
        "node_id                 int32 5+ =-1",
    },
    response = {
        "error_code               int16",
        { "api_keys               []api_key",
            "api_key     int16",
            "min_version int16",
            "max_version int16",
        },
        "throttle_time_ms         int32 1+",
        -- v0-3: leave out features whose MinVersion is 0
        { "supported_features     []supported_feature 3+ #0",
            "name        string",
            "min_version int16",
            "max_version int16",
        },
        "finalized_features_epoch int64 3+ #1 =-1",
        { "finalized_features     []finalized_feature 3+ #2",
            "name              string",
            "max_version_level int16",
            "min_version_level int16",
        },
        "zk_migration_ready       bool 3+ #3",
    },
}

-- v4+: auto-creation only when AllowAutoTopicCreation and the broker setting are both on, and never for "all
-- topics". While creation runs the topic comes back as UNKNOWN_TOPIC_OR_PARTITION or LEADER_NOT_AVAILABLE and
-- the client retries. v6+: LISTENER_NOT_FOUND instead of LEADER_NOT_AVAILABLE when the leader lacks the
-- listener the request came in on. Addresses are those of that same listener.
api { "metadata", key = 3, versions = "0-13", flexible = "9+",
    request = {
        { "topics                              []topic?1+", -- v0: empty=all; v1+: null=all, empty=none
            "topic_id uuid 10+", -- usable from v12
            "name     string?10+",
        },
        "allow_auto_topic_creation             bool 4+ =true",
        "include_cluster_authorized_operations bool 8-10",
        "include_topic_authorized_operations   bool 8+",
    },
    response = {
        "throttle_time_ms              int32 3+",
        { "brokers                     []broker",
            "node_id int32",
            "host    string",
            "port    int32",
            "rack    string? 1+ =null",
        },
        "cluster_id                    string? 2+ =null",
        "controller_id                 int32 1+ =-1", -- 4.x brokers put any live broker here
        { "topics                      []topic",
            "error_code                  int16",
            "name                        string?12+",
            "topic_id                    uuid 10+",
            "is_internal                 bool 1+",
            { "partitions                []partition",
                "error_code       int16",
                "partition_index  int32",
                "leader_id        int32",
                "leader_epoch     int32 7+ =-1",
                "replica_nodes    []int32",
                "isr_nodes        []int32",
                "offline_replicas []int32 5+",
            },
            "topic_authorized_operations int32 8+ =-2147483648", -- bitmask, bit = ACL operation code
        },
        "cluster_authorized_operations int32 8-10 =-2147483648",
        "error_code                    int16 13+",
    },
}

-- v0-3 one key, v4+ batch. NodeId -1, Host "", Port -1 on error. Internal topic missing: create it, answer
-- COORDINATOR_NOT_AVAILABLE.
api { "find_coordinator", key = 10, versions = "0-6", flexible = "3+",
    request = {
        "key              string 0-3",
        "key_type         int8 1+", -- 0 group, 1 transactional id, 2 share ("group:topicId:partition")
        "coordinator_keys []string 4+",
    },
    response = {
        "throttle_time_ms int32 1+",
        "error_code       int16 0-3",
        "error_message    string? 1-3",
        "node_id          int32 0-3",
        "host             string 0-3",
        "port             int32 0-3",
        { "coordinators   []coordinator 4+",
            "key           string",
            "node_id       int32",
            "host          string",
            "port          int32",
            "error_code    int16",
            "error_message string?",
        },
    },
}

-- v1+: MISMATCHED_ENDPOINT_TYPE, UNSUPPORTED_ENDPOINT_TYPE.
api { "describe_cluster", key = 60, versions = "0-2", flexible = "0+",
    request = {
        "include_cluster_authorized_operations bool",
        "endpoint_type                         int8 1+ =1", -- 1 brokers, 2 controllers
        "include_fenced_brokers                bool 2+",
    },
    response = {
        "throttle_time_ms              int32",
        "error_code                    int16",
        "error_message                 string? =null",
        "endpoint_type                 int8 1+ =1",
        "cluster_id                    string",
        "controller_id                 int32 =-1",
        { "brokers                     []broker",
            "broker_id int32",
            "host      string",
            "port      int32",
            "rack      string? =null",
            "is_fenced bool 2+",
        },
        "cluster_authorized_operations int32 =-2147483648",
    },
}

-- Paged describe. Java Admin falls back to Metadata when absent.
api { "describe_topic_partitions", key = 75, versions = "0", flexible = "0+",
    request = {
        { "topics                 []topic",
            "name string",
        },
        "response_partition_limit int32 =2000",
        { "cursor                 cursor? =null", -- resume point
            "topic_name      string",
            "partition_index int32",
        },
    },
    response = {
        "throttle_time_ms int32",
        { "topics         []topic",
            "error_code                  int16",
            "name                        string?",
            "topic_id                    uuid",
            "is_internal                 bool",
            { "partitions                []partition",
                "error_code               int16",
                "partition_index          int32",
                "leader_id                int32",
                "leader_epoch             int32 =-1",
                "replica_nodes            []int32",
                "isr_nodes                []int32",
                "eligible_leader_replicas []int32? =null",
                "last_known_elr           []int32? =null",
                "offline_replicas         []int32",
            },
            "topic_authorized_operations int32 =-2147483648",
        },
        { "next_cursor    next_cursor? =null",
            "topic_name      string",
            "partition_index int32",
        },
    },
}

-- Describes the raft metadata log; clients ask for topic __cluster_metadata partition 0.
api { "describe_quorum", key = 55, versions = "0-2", flexible = "0+",
    request = {
        { "topics []topic",
            "topic_name   string",
            { "partitions []partition",
                "partition_index int32",
            },
        },
    },
    response = {
        "error_code    int16",
        "error_message string? 2+",
        { "topics      []topic",
            "topic_name   string",
            { "partitions []partition",
                "partition_index  int32",
                "error_code       int16",
                "error_message    string? 2+",
                "leader_id        int32",
                "leader_epoch     int32",
                "high_watermark   int64",
                { "current_voters []current_voter",
                    "replica_id               int32",
                    "replica_directory_id     uuid 2+",
                    "log_end_offset           int64",
                    "last_fetch_timestamp     int64 1+ =-1",
                    "last_caught_up_timestamp int64 1+ =-1",
                },
                { "observers      []observer",
                    "replica_id               int32",
                    "replica_directory_id     uuid 2+",
                    "log_end_offset           int64",
                    "last_fetch_timestamp     int64 1+ =-1",
                    "last_caught_up_timestamp int64 1+ =-1",
                },
            },
        },
        { "nodes       []node 2+",
            "node_id     int32",
            { "listeners []listener",
                "name string",
                "host string",
                "port uint16",
            },
        },
    },
}

api { "update_features", key = 57, versions = "0-2", flexible = "0+",
    request = {
        "timeout_ms        int32 =60000",
        { "feature_updates []feature_update",
            "feature           string",
            "max_version_level int16", -- < 1 removes the feature
            "allow_downgrade   bool 0",
            "upgrade_type      int8 1+ =1", -- 1 upgrade, 2 lossless downgrade, 3 lossy downgrade
        },
        "validate_only     bool 1+",
    },
    response = {
        "throttle_time_ms int32",
        "error_code       int16",
        "error_message    string?",
        { "results        []result 0-1",
            "feature       string",
            "error_code    int16",
            "error_message string?",
        },
    },
}

api { "unregister_broker", key = 64, versions = "0", flexible = "0+",
    request = {
        "broker_id int32",
    },
    response = {
        "throttle_time_ms int32",
        "error_code       int16",
        "error_message    string?",
    },
}
