-- transactions.lua - idempotent producers and transactions; notation: gen.lua.

-- v4+: PRODUCER_FENCED instead of INVALID_PRODUCER_EPOCH. v6 (2PC) is marked unstable and so not advertised.
api { "init_producer_id", key = 22, versions = "0-6", flexible = "2+", unstable = "6+",
    request = {
        "transactional_id       string?", -- null = idempotent only
        "transaction_timeout_ms int32", -- > transaction.max.timeout.ms gives INVALID_TRANSACTION_TIMEOUT
        "producer_id            int64 3+ =-1",
        "producer_epoch         int16 3+ =-1",
        "enable_2pc             bool 6+", -- unstable version; not advertised by default
        "keep_prepared_txn      bool 6+",
    },
    response = {
        "throttle_time_ms           int32",
        "error_code                 int16",
        "producer_id                int64 =-1",
        "producer_epoch             int16",
        "ongoing_txn_producer_id    int64 6+ =-1",
        "ongoing_txn_producer_epoch int16 6+ =-1",
    },
}

-- All-or-nothing: if one partition fails the others get OPERATION_NOT_ATTEMPTED. Clients stop at v3.
api { "add_partitions_to_txn", key = 24, versions = "0-5", flexible = "3+",
    request = {
        { "transactions                []transaction 4+", -- v4+ is broker-to-broker
            "transactional_id string",
            "producer_id      int64",
            "producer_epoch   int16",
            "verify_only      bool",
            { "topics         []topic",
                "name       string",
                "partitions []int32",
            },
        },
        "v3_and_below_transactional_id string 0-3",
        "v3_and_below_producer_id      int64 0-3",
        "v3_and_below_producer_epoch   int16 0-3",
        { "v3_and_below_topics         []v3_and_below_topic 0-3",
            "name       string",
            "partitions []int32",
        },
    },
    response = {
        "throttle_time_ms                int32",
        "error_code                      int16 4+",
        { "results_by_transaction        []transaction 4+",
            "transactional_id string",
            { "topic_results  []topic_result",
                "name                   string",
                { "results_by_partition []partition",
                    "partition_index      int32",
                    "partition_error_code int16",
                },
            },
        },
        { "results_by_topic_v3_and_below []topic 0-3",
            "name                   string",
            { "results_by_partition []partition_v3_and_below",
                "partition_index      int32",
                "partition_error_code int16",
            },
        },
    },
}

api { "add_offsets_to_txn", key = 25, versions = "0-4", flexible = "3+",
    request = {
        "transactional_id string",
        "producer_id      int64",
        "producer_epoch   int16",
        "group_id         string",
    },
    response = {
        "throttle_time_ms int32",
        "error_code       int16",
    },
}

-- v5 = transaction.version 2: id/epoch of the next transaction come back.
api { "end_txn", key = 26, versions = "0-5", flexible = "3+",
    request = {
        "transactional_id string",
        "producer_id      int64",
        "producer_epoch   int16",
        "committed        bool",
    },
    response = {
        "throttle_time_ms int32",
        "error_code       int16",
        "producer_id      int64 5+ =-1",
        "producer_epoch   int16 5+ =-1", -- v5: epoch to use for the next transaction
    },
}

-- Broker-to-broker; admin tool uses it to abort a hung transaction.
api { "write_txn_markers", key = 27, versions = "1-2", flexible = "1+",
    request = {
        { "markers []marker",
            "producer_id         int64",
            "producer_epoch      int16",
            "transaction_result  bool", -- true commit, false abort
            { "topics            []topic",
                "name              string",
                "partition_indexes []int32",
            },
            "coordinator_epoch   int32",
            "transaction_version int8 2+",
        },
    },
    response = {
        { "markers []marker",
            "producer_id int64",
            { "topics    []topic",
                "name         string",
                { "partitions []partition",
                    "partition_index int32",
                    "error_code      int16",
                },
            },
        },
    },
}

-- v5+: implies AddOffsetsToTxn. v6 (4.4): topic ids.
api { "txn_offset_commit", key = 28, versions = "0-6", flexible = "3+",
    request = {
        "transactional_id              string",
        "group_id                      string",
        "producer_id                   int64",
        "producer_epoch                int16",
        "generation_id_or_member_epoch int32 3+ =-1", -- -1 with MemberId "" = no membership check
        "member_id                     string 3+",
        "group_instance_id             string? 3+ =null",
        { "topics                      []topic",
            "name         string 0-5",
            "topic_id     uuid 6+",
            { "partitions []partition",
                "partition_index        int32",
                "committed_offset       int64",
                "committed_leader_epoch int32 2+ =-1",
                "committed_metadata     string?",
            },
        },
    },
    response = {
        "throttle_time_ms int32",
        { "topics         []topic",
            "name         string 0-5",
            "topic_id     uuid 6+",
            { "partitions []partition",
                "partition_index int32",
                "error_code      int16",
            },
        },
    },
}

api { "describe_producers", key = 61, versions = "0", flexible = "0+",
    request = {
        { "topics []topic",
            "name              string",
            "partition_indexes []int32",
        },
    },
    response = {
        "throttle_time_ms int32",
        { "topics         []topic",
            "name         string",
            { "partitions []partition",
                "partition_index    int32",
                "error_code         int16",
                "error_message      string? =null",
                { "active_producers []active_producer",
                    "producer_id              int64",
                    "producer_epoch           int32",
                    "last_sequence            int32 =-1",
                    "last_timestamp           int64 =-1",
                    "coordinator_epoch        int32",
                    "current_txn_start_offset int64 =-1",
                },
            },
        },
    },
}

api { "describe_transactions", key = 65, versions = "0", flexible = "0+",
    request = {
        "transactional_ids []string",
    },
    response = {
        "throttle_time_ms     int32",
        { "transaction_states []transaction_state",
            "error_code                int16",
            "transactional_id          string",
            "transaction_state         string",
            "transaction_timeout_ms    int32",
            "transaction_start_time_ms int64",
            "producer_id               int64",
            "producer_epoch            int16",
            { "topics                  []topic",
                "topic      string",
                "partitions []int32",
            },
        },
    },
}

api { "list_transactions", key = 66, versions = "0-2", flexible = "0+",
    request = {
        "state_filters            []string",
        "producer_id_filters      []int64",
        "duration_filter          int64 1+ =-1", -- <0 = all; else only those running longer (ms)
        "transactional_id_pattern string? 2+ =null",
    },
    response = {
        "throttle_time_ms      int32",
        "error_code            int16",
        "unknown_state_filters []string",
        { "transaction_states  []transaction_state",
            "transactional_id  string",
            "producer_id       int64",
            "transaction_state string",
        },
    },
}
