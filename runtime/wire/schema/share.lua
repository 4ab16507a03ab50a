-- share.lua - share groups (KIP-932); notation: gen.lua.

-- KIP-932; sent to the group coordinator. v0 was early access in 4.0 and is gone.
api { "share_group_heartbeat", key = 76, versions = "1", flexible = "0+",
    request = {
        "group_id               string",
        "member_id              string", -- UUID text made by the client
        "member_epoch           int32", -- 0 join, -1 leave, else current
        "rack_id                string? =null",
        "subscribed_topic_names []string? =null", -- null = unchanged
    },
    response = {
        "throttle_time_ms      int32",
        "error_code            int16",
        "error_message         string? =null",
        "member_id             string? =null",
        "member_epoch          int32",
        "heartbeat_interval_ms int32",
        { "assignment          assignment? =null",
            { "topic_partitions []topic_partition",
                "topic_id   uuid",
                "partitions []int32",
            },
        },
    },
}

api { "share_group_describe", key = 77, versions = "1", flexible = "0+",
    request = {
        "group_ids                     []string",
        "include_authorized_operations bool",
    },
    response = {
        "throttle_time_ms int32",
        { "groups         []group",
            "error_code            int16",
            "error_message         string? =null",
            "group_id              string",
            "group_state           string",
            "group_epoch           int32",
            "assignment_epoch      int32",
            "assignor_name         string",
            { "members             []member",
                "member_id              string",
                "rack_id                string? =null",
                "member_epoch           int32",
                "client_id              string",
                "client_host            string",
                "subscribed_topic_names []string",
                { "assignment           assignment",
                    { "topic_partitions []topic_partition",
                        "topic_id   uuid",
                        "topic_name string",
                        "partitions []int32",
                    },
                },
            },
            "authorized_operations int32 =-2147483648",
        },
    },
}

-- Sent to partition leaders. Sessions work like fetch sessions, keyed by group and member. Acknowledgements
-- may ride along.
api { "share_fetch", key = 78, versions = "1-2", flexible = "0+",
    request = {
        "group_id                string? =null",
        "member_id               string?",
        "share_session_epoch     int32", -- 0 open, -1 close, else counts up per request
        "max_wait_ms             int32",
        "min_bytes               int32",
        "max_bytes               int32 =2147483647",
        "max_records             int32", -- may be exceeded to reach a batch end in mode 0
        "batch_size              int32", -- wished number of records per acquired batch
        "share_acquire_mode      int8 2+", -- 0 whole batches, 1 strict record limit
        -- must be true if any type 4 is present; then the wait, byte and record limits must be 0 (nothing is
        -- fetched)
        "is_renew_ack            bool 2+",
        { "topics                []topic",
            "topic_id     uuid",
            { "partitions []partition",
                "partition_index           int32",
                { "acknowledgement_batches []acknowledgement_batch",
                    "first_offset      int64",
                    "last_offset       int64", -- inclusive
                    -- 0 gap, 1 accept, 2 release, 3 reject, 4 renew; one entry for the range or one per
                    -- offset
                    "acknowledge_types []int8",
                },
            },
        },
        { "forgotten_topics_data []forgotten_topic",
            "topic_id   uuid",
            "partitions []int32",
        },
    },
    response = {
        "throttle_time_ms            int32",
        "error_code                  int16",
        "error_message               string? =null",
        "acquisition_lock_timeout_ms int32", -- lock duration
        { "responses                 []topic",
            "topic_id     uuid",
            { "partitions []partition",
                "partition_index           int32",
                "error_code                int16",
                "error_message             string? =null",
                "acknowledge_error_code    int16",
                "acknowledge_error_message string? =null",
                { "current_leader          current_leader",
                    "leader_id    int32",
                    "leader_epoch int32",
                },
                -- whole batches; only offsets in AcquiredRecords belong to the caller
                "records                   records",
                { "acquired_records        []acquired_record",
                    "first_offset   int64",
                    "last_offset    int64", -- inclusive
                    "delivery_count int16",
                },
            },
        },
        "node_endpoints              []node_endpoint",
    },
}

-- Acknowledgements without fetching.
api { "share_acknowledge", key = 79, versions = "1-2", flexible = "0+",
    request = {
        "group_id            string? =null",
        "member_id           string?",
        "share_session_epoch int32", -- 0 open, -1 close, else counts up per request
        "is_renew_ack        bool 2+", -- must be true if any type 4 is present
        { "topics            []topic",
            "topic_id     uuid",
            { "partitions []partition",
                "partition_index           int32",
                { "acknowledgement_batches []acknowledgement_batch",
                    "first_offset      int64",
                    "last_offset       int64", -- inclusive
                    "acknowledge_types []int8", -- as in ShareFetch
                },
            },
        },
    },
    response = {
        "throttle_time_ms            int32",
        "error_code                  int16",
        "error_message               string? =null",
        "acquisition_lock_timeout_ms int32 2+",
        { "responses                 []topic",
            "topic_id     uuid",
            { "partitions []partition",
                "partition_index  int32",
                "error_code       int16",
                "error_message    string? =null",
                { "current_leader current_leader",
                    "leader_id    int32",
                    "leader_epoch int32",
                },
            },
        },
        "node_endpoints              []node_endpoint",
    },
}

api { "describe_share_group_offsets", key = 90, versions = "0-1", flexible = "0+",
    request = {
        { "groups []group",
            "group_id string",
            { "topics []topic?", -- null = all
                "topic_name string",
                "partitions []int32",
            },
        },
    },
    response = {
        "throttle_time_ms int32",
        { "groups         []group",
            "group_id      string",
            { "topics      []topic",
                "topic_name   string",
                "topic_id     uuid",
                { "partitions []partition",
                    "partition_index int32",
                    "start_offset    int64", -- -1 = not initialised
                    "leader_epoch    int32",
                    "lag             int64 1+ =-1",
                    "error_code      int16",
                    "error_message   string? =null",
                },
            },
            "error_code    int16",
            "error_message string? =null",
        },
    },
}

api { "alter_share_group_offsets", key = 91, versions = "0", flexible = "0+",
    request = {
        "group_id string",
        { "topics []topic",
            "topic_name   string",
            { "partitions []partition",
                "partition_index int32",
                "start_offset    int64",
            },
        },
    },
    response = {
        "throttle_time_ms int32",
        "error_code       int16",
        "error_message    string? =null",
        { "responses      []topic",
            "topic_name   string",
            "topic_id     uuid",
            { "partitions []partition",
                "partition_index int32",
                "error_code      int16",
                "error_message   string? =null",
            },
        },
    },
}

api { "delete_share_group_offsets", key = 92, versions = "0", flexible = "0+",
    request = {
        "group_id string",
        { "topics []topic",
            "topic_name string",
        },
    },
    response = {
        "throttle_time_ms int32",
        "error_code       int16",
        "error_message    string? =null",
        { "responses      []topic",
            "topic_name    string",
            "topic_id      uuid",
            "error_code    int16",
            "error_message string? =null",
        },
    },
}
