-- offsets.lua - committed offsets of groups; notation: gen.lua.

-- v9+: also for the KIP-848 protocol (STALE_MEMBER_EPOCH, GROUP_ID_NOT_FOUND). v10: topic ids.
api { "offset_commit", key = 8, versions = "1-10", flexible = "8+",
    request = {
        "group_id                      string",
        "generation_id_or_member_epoch int32 =-1", -- -1 for a plain (non-member) commit
        "member_id                     string",
        "group_instance_id             string? 7+ =null",
        "retention_time_ms             int64 2-4 =-1", -- -1 = broker default
        { "topics                      []topic",
            "name         string 1-9",
            "topic_id     uuid 10+",
            { "partitions []partition",
                "partition_index        int32",
                "committed_offset       int64",
                "committed_leader_epoch int32 6+ =-1",
                "commit_timestamp       int64 1-1 =-1", -- not looked at
                "committed_metadata     string?",
            },
        },
    },
    response = {
        "throttle_time_ms int32 3+",
        { "topics         []topic",
            "name         string 1-9",
            "topic_id     uuid 10+",
            { "partitions []partition",
                "partition_index int32",
                "error_code      int16",
            },
        },
    },
}

-- v1 has no group-level error: put it on each partition. v8+: several groups at once. v9+: member id/epoch
-- checked for KIP-848 groups. v10: topic ids.
api { "offset_fetch", key = 9, versions = "1-10", flexible = "6+",
    request = {
        "group_id       string 1-7",
        { "topics       []topic?2+ 1-7", -- null = all offsets of the group
            "name              string",
            "partition_indexes []int32",
        },
        { "groups       []group 8+",
            "group_id     string",
            "member_id    string? 9+ =null",
            "member_epoch int32 9+ =-1",
            { "topics     []group_topic?", -- null = all
                "name              string 8-9",
                "topic_id          uuid 10+",
                "partition_indexes []int32",
            },
        },
        "require_stable bool 7+", -- true: pending transactional offsets give UNSTABLE_OFFSET_COMMIT
    },
    response = {
        "throttle_time_ms int32 3+",
        { "topics         []topic 1-7",
            "name         string",
            { "partitions []partition",
                "partition_index        int32",
                "committed_offset       int64", -- -1 = none, with no error
                "committed_leader_epoch int32 5+ =-1",
                "metadata               string?",
                "error_code             int16",
            },
        },
        "error_code       int16 2-7",
        { "groups         []group 8+",
            "group_id   string",
            { "topics   []group_topic",
                "name         string 8-9",
                "topic_id     uuid 10+",
                { "partitions []group_topic_partition",
                    "partition_index        int32",
                    "committed_offset       int64", -- -1 = none, with no error
                    "committed_leader_epoch int32 =-1",
                    "metadata               string?",
                    "error_code             int16",
                },
            },
            "error_code int16",
        },
    },
}

-- Never flexible: old-style types and headers v1/v0.
api { "offset_delete", key = 47, versions = "0",
    request = {
        "group_id string",
        { "topics []topic",
            "name         string",
            { "partitions []partition",
                "partition_index int32",
            },
        },
    },
    response = {
        "error_code       int16",
        "throttle_time_ms int32",
        { "topics         []topic",
            "name         string",
            { "partitions []partition",
                "partition_index int32",
                "error_code      int16",
            },
        },
    },
}
