-- records.lua - reading and writing records; notation: gen.lua.

-- 4.x advertises 0-13 but serves 3-13 only: old librdkafka turns compression off unless the advertised
-- minimum is 0. v7+ is needed for zstd. v11+: TRANSACTION_ABORTABLE may be returned. v12+ inside a
-- transaction implies that the broker adds the partition to the transaction itself (transaction.version>=2).
-- Acks=0: no response at all; on error the broker closes the connection.
api { "produce", key = 0, versions = "3-13", flexible = "9+",
    request = {
        "transactional_id string? =null", -- null = not transactional
        -- 0 none, 1 leader only, -1 all in-sync replicas; else INVALID_REQUIRED_ACKS
        "acks             int16",
        "timeout_ms       int32", -- bounds the wait for replicas when Acks=-1
        { "topic_data     []topic",
            "name             string 3-12",
            "topic_id         uuid 13+",
            { "partition_data []partition",
                "index   int32",
                "records records?", -- exactly one v2 batch per partition
            },
        },
    },
    response = {
        { "responses      []topic",
            "name                  string 3-12",
            "topic_id              uuid 13+",
            { "partition_responses []partition",
                "index              int32",
                "error_code         int16",
                "base_offset        int64", -- -1 on error
                "log_append_time_ms int64 =-1", -- -1 when topic uses CreateTime
                "log_start_offset   int64 5+ =-1",
                { "record_errors    []record_error 8+", -- only when a whole batch was refused for bad records
                    "batch_index               int32",
                    "batch_index_error_message string? =null",
                },
                "error_message      string? 8+ =null",
                "current_leader     leader_and_epoch 10+ #0", -- fill on NOT_LEADER_OR_FOLLOWER
            },
        },
        "throttle_time_ms int32",
        "node_endpoints   []node_endpoint 10+ #0", -- addresses for the leaders named above
    },
}

-- v10+ needed before zstd batches may be returned (else UNSUPPORTED_COMPRESSION_TYPE). Request partition
-- order is the service order. v6+: KAFKA_STORAGE_ERROR allowed. v7+ sessions. v13+ topic ids;
-- UNKNOWN_TOPIC_ID, FETCH_SESSION_TOPIC_ID_ERROR, INCONSISTENT_TOPIC_ID possible.
api { "fetch", key = 1, versions = "4-18", flexible = "12+",
    request = {
        "cluster_id              string? 12+ #0 =null", -- replica fetches only
        "replica_id              int32 4-14 =-1", -- -1 consumer, -2 debug (sees past HW), >=0 follower
        { "replica_state         replica_state 15+ #1",
            "replica_id    int32 =-1",
            "replica_epoch int64 =-1",
        },
        "max_wait_ms             int32",
        "min_bytes               int32",
        "max_bytes               int32 =2147483647", -- whole-response cap
        "isolation_level         int8", -- 0 read_uncommitted, 1 read_committed
        "session_id              int32 7+",
        "session_epoch           int32 7+ =-1", -- -1 = sessionless/close, 0 = new session, n = incremental
        { "topics                []topic",
            "topic        string 4-12",
            "topic_id     uuid 13+",
            { "partitions []partition",
                "partition            int32",
                "current_leader_epoch int32 9+ =-1", -- -1 = skip fencing check
                "fetch_offset         int64",
                "last_fetched_epoch   int32 12+ =-1", -- followers only; -1 = no divergence check
                "log_start_offset     int64 5+ =-1", -- followers report theirs; -1 from consumers
                "partition_max_bytes  int32",
                "replica_directory_id uuid 17+ #0",
                -- replica fetch only; max int64 = sender does not know the feature
                "high_watermark       int64 18+ #1 =9223372036854775807",
            },
        },
        { "forgotten_topics_data []forgotten_topic 7+", -- partitions to drop from the session
            "topic      string 7-12",
            "topic_id   uuid 13+",
            "partitions []int32",
        },
        "rack_id                 string 11+", -- for follower fetching
    },
    response = {
        "throttle_time_ms int32",
        "error_code       int16 7+",
        "session_id       int32 7+", -- 0 = no session
        { "responses      []topic",
            "topic        string 4-12",
            "topic_id     uuid 13+",
            { "partitions []partition",
                "partition_index        int32",
                "error_code             int16",
                "high_watermark         int64", -- exclusive end of committed data
                "last_stable_offset     int64 =-1",
                "log_start_offset       int64 5+ =-1",
                { "diverging_epoch      diverging_epoch 12+ #0", -- tells a follower where to truncate
                    "epoch      int32 =-1",
                    "end_offset int64 =-1",
                },
                "current_leader         leader_and_epoch 12+ #1",
                { "snapshot_id          snapshot_id 12+ #2", -- raft metadata log only
                    "end_offset int64 =-1",
                    "epoch      int32 =-1",
                },
                { "aborted_transactions []aborted_transaction?", -- non-null only for read_committed
                    "producer_id  int64",
                    "first_offset int64",
                },
                -- >=0 sends the consumer elsewhere; Records then empty
                "preferred_read_replica int32 11+ =-1",
                "records                records?",
            },
        },
        "node_endpoints   []node_endpoint 16+ #0",
    },
}

-- One offset per partition (v0, removed, returned an array). v5+: OFFSET_NOT_AVAILABLE. Special timestamps
-- gated by version: -3 v7, -4 v8, -5 v9, -6 v11; too low a version gives UNSUPPORTED_VERSION for that
-- partition.
api { "list_offsets", key = 2, versions = "1-11", flexible = "6+",
    request = {
        "replica_id      int32",
        "isolation_level int8 2+",
        { "topics        []topic",
            "name         string",
            { "partitions []partition",
                "partition_index      int32",
                "current_leader_epoch int32 4+ =-1",
                "timestamp            int64", -- ms, or a special negative value
            },
        },
        "timeout_ms      int32 10+", -- tiered storage only
    },
    response = {
        "throttle_time_ms int32 2+",
        { "topics         []topic",
            "name         string",
            { "partitions []partition",
                "partition_index int32",
                "error_code      int16",
                "timestamp       int64 =-1",
                "offset          int64 =-1", -- -1 = nothing matches
                "leader_epoch    int32 4+ =-1",
            },
        },
    },
}

api { "offset_for_leader_epoch", key = 23, versions = "0-4", flexible = "4+",
    request = {
        "replica_id int32 3+ =-2", -- -1 consumer, -2 debug
        { "topics   []topic",
            "topic        string",
            { "partitions []partition",
                "partition            int32",
                "current_leader_epoch int32 2+ =-1",
                "leader_epoch         int32",
            },
        },
    },
    response = {
        "throttle_time_ms int32 2+",
        { "topics         []topic",
            "topic        string",
            { "partitions []partition",
                "error_code   int16",
                "partition    int32",
                "leader_epoch int32 1+ =-1",
                "end_offset   int64 =-1", -- -1 = unknown epoch
            },
        },
    },
}

api { "delete_records", key = 21, versions = "0-2", flexible = "2+",
    request = {
        { "topics   []topic",
            "name         string",
            { "partitions []partition",
                "partition_index int32",
                "offset          int64", -- new log start; -1 = high watermark
            },
        },
        "timeout_ms int32",
    },
    response = {
        "throttle_time_ms int32",
        { "topics         []topic",
            "name         string",
            { "partitions []partition",
                "partition_index int32",
                "low_watermark   int64", -- lowest log start over live replicas; -1 on error
                "error_code      int16",
            },
        },
    },
}
