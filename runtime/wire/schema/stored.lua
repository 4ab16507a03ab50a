-- stored.lua - records of the topic __consumer_offsets, as Kafka keeps them; notation: gen.lua.
--
-- Key and value each begin with an int16 version, then the struct. The version of the key tells what it is: 0 and 1
-- an offset, 2 a group. A null value takes back what the key said.

message { "stored_offset_key", versions = "0-1",
    fields = {
        "group      string",
        "topic      string",
        "partition  int32",
    },
}

message { "stored_offset_value", versions = "0-4", flexible = "4+",
    fields = {
        "offset            int64",
        "leader_epoch      int32 3+ =-1",
        "metadata          string",
        "commit_timestamp  int64",
        "expire_timestamp  int64 1 =-1",
        "topic_id          uuid 4+ #0",
    },
}

message { "stored_group_key", versions = "2",
    fields = {
        "group  string",
    },
}

message { "stored_group_value", versions = "0-4", flexible = "4+",
    fields = {
        "protocol_type    string",
        "generation       int32",
        "protocol         string?",
        "leader           string?",
        "state_timestamp  int64 2+ =-1",
        { "members        []member",
            "member_id          string",
            "group_instance_id  string? 3+ =null",
            "client_id          string",
            "client_host        string",
            "rebalance_timeout  int32 1+ =-1",
            "session_timeout    int32",
            "subscription       bytes",
            "assignment         bytes",
        },
    },
}
