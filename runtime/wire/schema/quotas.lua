-- quotas.lua - client quotas; notation: gen.lua.

api { "describe_client_quotas", key = 48, versions = "0-1", flexible = "1+",
    request = {
        { "components []component",
            "entity_type string", -- "user", "client-id", "ip"
            "match_type  int8", -- 0 exact, 1 default entity, 2 any named
            "match       string?",
        },
        "strict       bool",
    },
    response = {
        "throttle_time_ms int32",
        "error_code       int16",
        "error_message    string?",
        { "entries        []entry?",
            { "entity []entity",
                "entity_type string",
                "entity_name string?", -- null = default entity
            },
            { "values []value",
                "key   string",
                "value float64",
            },
        },
    },
}

api { "alter_client_quotas", key = 49, versions = "0-1", flexible = "1+",
    request = {
        { "entries     []entry",
            { "entity []entity",
                "entity_type string",
                "entity_name string?", -- null = default entity
            },
            { "ops    []op",
                "key    string",
                "value  float64",
                "remove bool",
            },
        },
        "validate_only bool",
    },
    response = {
        "throttle_time_ms int32",
        { "entries        []entry",
            "error_code    int16",
            "error_message string?",
            { "entity      []entity",
                "entity_type string",
                "entity_name string?",
            },
        },
    },
}
