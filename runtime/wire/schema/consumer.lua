-- consumer.lua - what consumers of classic groups tell one another through JoinGroup and SyncGroup, opaque to
-- the broker but for describing; notation: gen.lua.
--
-- Each blob is an int16 version, then the struct. Versions newer than these are read as the newest here.
-- Assignors seen as names of protocols: range, roundrobin, sticky, cooperative-sticky.

message { "consumer_subscription", versions = "0-3",
    fields = {
        "topics                []string",
        "user_data             bytes? =null",
        { "owned_partitions    []topic 1+",
            "topic      string",
            "partitions []int32",
        },
        "generation_id         int32 2+ =-1",
        "rack_id               string? 3+ =null",
    },
}

message { "consumer_assignment", versions = "0-3",
    fields = {
        { "assigned_partitions []topic",
            "topic      string",
            "partitions []int32",
        },
        "user_data             bytes? =null",
    },
}
