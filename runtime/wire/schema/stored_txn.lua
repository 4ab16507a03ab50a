-- stored_txn.lua - records of the topic __transaction_state, as Kafka keeps them; notation: gen.lua.
--
-- Key and value each begin with an int16 version, then the struct. A null value: the transactional id is forgotten.

message { "stored_txn_key", versions = "0",
    fields = {
        "transactional_id string",
    },
}

message { "stored_txn_value", versions = "0-1", flexible = "1+",
    fields = {
        "producer_id            int64",
        "producer_epoch         int16",
        "timeout_ms             int32",
        "status                 int8", -- 0 empty, 1 ongoing, 2 prepare commit, 3 prepare abort, 4 complete commit, 5 complete abort, 6 dead
        { "partitions           []topic?",
            "topic      string",
            "partitions []int32",
        },
        "last_update_ms         int64",
        "start_ms               int64", -- -1: no transaction
        "previous_producer_id   int64 1+ =-1 #0",
        "next_producer_id       int64 1+ =-1 #1",
        "client_version         int16 1+ #2",
        "next_producer_epoch    int16 1+ =-1 #3",
        "last_epoch             int16 1+ =-1 #60", -- ours: raised to producer_epoch for who had it; an answer lost is given again
    },
}
