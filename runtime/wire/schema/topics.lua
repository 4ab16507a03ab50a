-- topics.lua - making, changing and placing topics; notation: gen.lua.

-- v5+ returns configs. v6+ THROTTLING_QUOTA_EXCEEDED possible. Any broker accepts; it forwards to the
-- controller.
api { "create_topics", key = 19, versions = "2-7", flexible = "5+",
    request = {
        { "topics      []topic",
            "name               string",
            "num_partitions     int32", -- -1 = default (v4+) or manual assignment
            "replication_factor int16", -- -1 likewise
            { "assignments      []assignment",
                "partition_index int32",
                "broker_ids      []int32",
            },
            { "configs          []config",
                "name  string",
                "value string?",
            },
        },
        "timeout_ms    int32 =60000",
        "validate_only bool",
    },
    response = {
        "throttle_time_ms int32",
        { "topics         []topic",
            "name                    string",
            "topic_id                uuid 7+",
            "error_code              int16",
            "error_message           string?",
            "topic_config_error_code int16 5+ #0", -- set when Configs is withheld for lack of permission
            "num_partitions          int32 5+ =-1",
            "replication_factor      int16 5+ =-1",
            { "configs               []config? 5+",
                "name          string",
                "value         string?",
                "read_only     bool",
                "config_source int8 =-1",
                "is_sensitive  bool",
            },
        },
    },
}

-- v3+ TOPIC_DELETION_DISABLED; v5+ message text, THROTTLING_QUOTA_EXCEEDED; v6 ids.
api { "delete_topics", key = 20, versions = "1-6", flexible = "4+",
    request = {
        { "topics    []topic 6+",
            "name     string? =null", -- null when deleting by id
            "topic_id uuid",
        },
        "topic_names []string 1-5",
        "timeout_ms  int32",
    },
    response = {
        "throttle_time_ms int32",
        { "responses      []topic",
            "name          string?6+",
            "topic_id      uuid 6+",
            "error_code    int16",
            "error_message string? 5+ =null",
        },
    },
}

api { "create_partitions", key = 37, versions = "0-3", flexible = "2+",
    request = {
        { "topics      []topic",
            "name          string",
            "count         int32", -- new total, not an increment
            { "assignments []assignment?",
                "broker_ids []int32",
            },
        },
        "timeout_ms    int32",
        "validate_only bool",
    },
    response = {
        "throttle_time_ms int32",
        { "results        []result",
            "name          string",
            "error_code    int16",
            "error_message string? =null",
        },
    },
}

api { "elect_leaders", key = 43, versions = "0-2", flexible = "2+",
    request = {
        "election_type      int8 1+", -- 0 preferred, 1 unclean
        { "topic_partitions []topic_partition?", -- null = all partitions
            "topic      string",
            "partitions []int32",
        },
        "timeout_ms         int32 =60000",
    },
    response = {
        "throttle_time_ms           int32",
        "error_code                 int16 1+",
        { "replica_election_results []replica_election_result",
            "topic              string",
            { "partition_result []partition_result",
                "partition_id  int32",
                "error_code    int16",
                "error_message string?",
            },
        },
    },
}

api { "alter_partition_reassignments", key = 45, versions = "0-1", flexible = "0+",
    request = {
        "timeout_ms                      int32 =60000",
        "allow_replication_factor_change bool 1+ =true",
        { "topics                        []topic",
            "name         string",
            { "partitions []partition",
                "partition_index int32",
                "replicas        []int32? =null", -- null = cancel
            },
        },
    },
    response = {
        "throttle_time_ms                int32",
        "allow_replication_factor_change bool 1+ =true",
        "error_code                      int16",
        "error_message                   string?",
        { "responses                     []topic",
            "name         string",
            { "partitions []partition",
                "partition_index int32",
                "error_code      int16",
                "error_message   string?",
            },
        },
    },
}

api { "list_partition_reassignments", key = 46, versions = "0", flexible = "0+",
    request = {
        "timeout_ms int32 =60000",
        { "topics   []topic? =null",
            "name              string",
            "partition_indexes []int32",
        },
    },
    response = {
        "throttle_time_ms int32",
        "error_code       int16",
        "error_message    string?",
        { "topics         []topic",
            "name         string",
            { "partitions []partition",
                "partition_index   int32",
                "replicas          []int32",
                "adding_replicas   []int32",
                "removing_replicas []int32",
            },
        },
    },
}
