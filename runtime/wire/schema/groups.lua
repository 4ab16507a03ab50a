-- groups.lua - consumer groups, classic and of KIP-848; notation: gen.lua.

-- v4+: a first join without id is answered MEMBER_ID_REQUIRED plus an id (KIP-394) unless static.
-- ProtocolName on error: null from v7, "" before. 4.0.0 dropped v0-1; 4.0.1/4.1.0 put them back for
-- librdkafka with Kerberos.
api { "join_group", key = 11, versions = "0-9", flexible = "6+",
    request = {
        "group_id             string",
        "session_timeout_ms   int32",
        "rebalance_timeout_ms int32 1+ =-1", -- v0: use SessionTimeoutMs
        "member_id            string", -- "" on first join
        "group_instance_id    string? 5+ =null",
        "protocol_type        string", -- "consumer" for consumers, "connect" for Connect
        { "protocols          []protocol", -- preference order
            "name     string",
            "metadata bytes",
        },
        "reason               string? 8+ =null",
    },
    response = {
        "throttle_time_ms int32 2+",
        "error_code       int16",
        "generation_id    int32 =-1",
        "protocol_type    string? 7+ =null",
        "protocol_name    string?7+",
        "leader           string",
        "skip_assignment  bool 9+", -- static leader that came back: keep the stored assignment
        "member_id        string",
        { "members        []member", -- only the leader gets the list
            "member_id         string",
            "group_instance_id string? 5+ =null",
            "metadata          bytes",
        },
    },
}

api { "sync_group", key = 14, versions = "0-5", flexible = "4+",
    request = {
        "group_id          string",
        "generation_id     int32",
        "member_id         string",
        "group_instance_id string? 3+ =null",
        "protocol_type     string? 5+ =null",
        "protocol_name     string? 5+ =null",
        { "assignments     []assignment", -- only the leader sends entries
            "member_id  string",
            "assignment bytes",
        },
    },
    response = {
        "throttle_time_ms int32 1+",
        "error_code       int16",
        "protocol_type    string? 5+ =null",
        "protocol_name    string? 5+ =null",
        "assignment       bytes",
    },
}

api { "heartbeat", key = 12, versions = "0-4", flexible = "4+",
    request = {
        "group_id          string",
        "generation_id     int32",
        "member_id         string",
        "group_instance_id string? 3+ =null",
    },
    response = {
        "throttle_time_ms int32 1+",
        "error_code       int16",
    },
}

-- v3+: batch; member errors are per entry. v0-2: single member, error on top level.
api { "leave_group", key = 13, versions = "0-5", flexible = "4+",
    request = {
        "group_id  string",
        "member_id string 0-2",
        { "members []member 3+",
            "member_id         string", -- "" = remove by instance id (admin)
            "group_instance_id string? =null",
            "reason            string? 5+ =null",
        },
    },
    response = {
        "throttle_time_ms int32 1+",
        "error_code       int16",
        { "members        []member 3+",
            "member_id         string",
            "group_instance_id string?",
            "error_code        int16",
        },
    },
}

-- Unknown group: v0-5 no error and state "Dead"; v6 GROUP_ID_NOT_FOUND.
api { "describe_groups", key = 15, versions = "0-6", flexible = "5+",
    request = {
        "groups                        []string",
        "include_authorized_operations bool 3+",
    },
    response = {
        "throttle_time_ms int32 1+",
        { "groups         []group",
            "error_code            int16",
            "error_message         string? 6+ =null",
            "group_id              string",
            "group_state           string",
            "protocol_type         string",
            "protocol_data         string", -- protocol name; filled when Stable
            { "members             []member",
                "member_id         string",
                "group_instance_id string? 4+ =null",
                "client_id         string",
                "client_host       string",
                "member_metadata   bytes",
                "member_assignment bytes",
            },
            "authorized_operations int32 3+ =-2147483648",
        },
    },
}

-- Each broker lists only the groups it coordinates; clients ask every broker.
api { "list_groups", key = 16, versions = "0-5", flexible = "3+",
    request = {
        "states_filter []string 4+", -- empty = all
        "types_filter  []string 5+", -- classic, consumer, share, streams; empty = all
    },
    response = {
        "throttle_time_ms int32 1+",
        "error_code       int16",
        { "groups         []group",
            "group_id      string",
            "protocol_type string",
            "group_state   string 4+",
            "group_type    string 5+",
        },
    },
}

-- v3 is new in 4.4 (ErrorMessage).
api { "delete_groups", key = 42, versions = "0-3", flexible = "2+",
    request = {
        "groups_names []string",
    },
    response = {
        "throttle_time_ms int32",
        { "results        []result",
            "group_id      string",
            "error_code    int16",
            "error_message string? 3+ =null",
        },
    },
}

-- v1: client makes its own member id (UUID text); v0: broker may make one.
api { "consumer_group_heartbeat", key = 68, versions = "0-1", flexible = "0+",
    request = {
        "group_id               string",
        "member_id              string",
        "member_epoch           int32", -- 0 join, -1 leave, -2 static member leaves for now, >0 current
        "instance_id            string? =null",
        "rack_id                string? =null",
        "rebalance_timeout_ms   int32 =-1", -- -1 = unchanged
        "subscribed_topic_names []string? =null", -- null = unchanged (likewise the other nullable fields)
        "subscribed_topic_regex string? 1+ =null",
        "server_assignor        string? =null",
        -- partitions owned now; must be empty, not null, on join
        { "topic_partitions     []topic_partition? =null",
            "topic_id   uuid",
            "partitions []int32",
        },
    },
    response = {
        "throttle_time_ms      int32",
        "error_code            int16",
        "error_message         string? =null",
        "member_id             string? =null",
        "member_epoch          int32",
        "heartbeat_interval_ms int32",
        { "assignment          assignment? =null", -- null = no change
            { "topic_partitions []topic_partition",
                "topic_id   uuid",
                "partitions []int32",
            },
        },
    },
}

api { "consumer_group_describe", key = 69, versions = "0-1", flexible = "0+",
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
                "instance_id            string? =null",
                "rack_id                string? =null",
                "member_epoch           int32",
                "client_id              string",
                "client_host            string",
                "subscribed_topic_names []string",
                "subscribed_topic_regex string? =null",
                { "assignment           assignment",
                    { "topic_partitions []topic_partition",
                        "topic_id   uuid",
                        "topic_name string",
                        "partitions []int32",
                    },
                },
                { "target_assignment    target_assignment",
                    { "topic_partitions []target_assignment_topic_partition",
                        "topic_id   uuid",
                        "topic_name string",
                        "partitions []int32",
                    },
                },
                "member_type            int8 1+ =-1", -- -1 unknown, 0 classic, 1 consumer
            },
            "authorized_operations int32 =-2147483648",
        },
    },
}
