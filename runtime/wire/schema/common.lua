-- common.lua - structs that more than one message uses; each is one C struct. The notation is in gen.lua.
common { "leader_and_epoch",
    "leader_id    int32 =-1",
    "leader_epoch int32 =-1",
}

common { "node_endpoint",
    "node_id int32",
    "host    string",
    "port    int32",
    "rack    string? =null",
}
