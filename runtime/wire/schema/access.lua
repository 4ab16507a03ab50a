-- access.lua - logging in, access lists, SCRAM users; notation: gen.lua.

-- v0: raw tokens follow; v1: SaslAuthenticate requests follow. Version never to be bumped (old clients
-- negotiate it wrongly).
api { "sasl_handshake", key = 17, versions = "0-1",
    request = {
        "mechanism string",
    },
    response = {
        "error_code int16",
        "mechanisms []string", -- all enabled mechanisms, also on error
    },
}

api { "sasl_authenticate", key = 36, versions = "0-2", flexible = "2+",
    request = {
        "auth_bytes bytes",
    },
    response = {
        "error_code          int16",
        "error_message       string?",
        "auth_bytes          bytes",
        "session_lifetime_ms int64 1+", -- >0: client must re-authenticate within this time
    },
}

api { "describe_acls", key = 29, versions = "1-3", flexible = "2+",
    request = {
        "resource_type_filter int8", -- 2 topic, 3 group, 4 cluster, 5 transactional id
        "resource_name_filter string?",
        "pattern_type_filter  int8 =3",
        "principal_filter     string?",
        "host_filter          string?",
        "operation            int8",
        "permission_type      int8",
    },
    response = {
        "throttle_time_ms int32",
        "error_code       int16",
        "error_message    string?",
        { "resources      []resource",
            "resource_type int8",
            "resource_name string",
            "pattern_type  int8 =3",
            { "acls        []acl",
                "principal       string",
                "host            string",
                "operation       int8",
                "permission_type int8",
            },
        },
    },
}

api { "create_acls", key = 30, versions = "1-3", flexible = "2+",
    request = {
        { "creations []creation",
            "resource_type         int8",
            "resource_name         string",
            "resource_pattern_type int8 =3",
            "principal             string",
            "host                  string",
            "operation             int8",
            "permission_type       int8",
        },
    },
    response = {
        "throttle_time_ms int32",
        { "results        []result",
            "error_code    int16",
            "error_message string?",
        },
    },
}

api { "delete_acls", key = 31, versions = "1-3", flexible = "2+",
    request = {
        { "filters []filter",
            "resource_type_filter int8",
            "resource_name_filter string?",
            "pattern_type_filter  int8 =3",
            "principal_filter     string?",
            "host_filter          string?",
            "operation            int8",
            "permission_type      int8",
        },
    },
    response = {
        "throttle_time_ms int32",
        { "filter_results []filter_result",
            "error_code      int16",
            "error_message   string?",
            { "matching_acls []matching_acl",
                "error_code      int16",
                "error_message   string?",
                "resource_type   int8",
                "resource_name   string",
                "pattern_type    int8 =3",
                "principal       string",
                "host            string",
                "operation       int8",
                "permission_type int8",
            },
        },
    },
}

api { "describe_user_scram_credentials", key = 50, versions = "0", flexible = "0+",
    request = {
        { "users []user?", -- null or empty = all
            "name string",
        },
    },
    response = {
        "throttle_time_ms int32",
        "error_code       int16",
        "error_message    string?",
        { "results        []result",
            "user               string",
            "error_code         int16",
            "error_message      string?",
            { "credential_infos []credential_info",
                "mechanism  int8", -- 1 SHA-256, 2 SHA-512
                "iterations int32",
            },
        },
    },
}

api { "alter_user_scram_credentials", key = 51, versions = "0", flexible = "0+",
    request = {
        { "deletions  []deletion",
            "name      string",
            "mechanism int8",
        },
        { "upsertions []upsertion",
            "name            string",
            "mechanism       int8",
            "iterations      int32", -- 4096..16384
            "salt            bytes",
            "salted_password bytes",
        },
    },
    response = {
        "throttle_time_ms int32",
        { "results        []result",
            "user          string",
            "error_code    int16",
            "error_message string?",
        },
    },
}
