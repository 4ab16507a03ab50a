-- configs.lua - settings of topics, brokers and groups; notation: gen.lua.

api { "describe_configs", key = 32, versions = "1-4", flexible = "4+",
    request = {
        { "resources           []resource",
            "resource_type      int8",
            "resource_name      string", -- broker id as text for brokers; "" = cluster-wide default
            "configuration_keys []string?", -- null = all
        },
        "include_synonyms      bool",
        "include_documentation bool 3+",
    },
    response = {
        "throttle_time_ms int32",
        { "results        []result",
            "error_code    int16",
            "error_message string?",
            "resource_type int8",
            "resource_name string",
            { "configs     []config",
                "name          string",
                "value         string?", -- null when sensitive
                "read_only     bool",
                "config_source int8 =-1",
                "is_sensitive  bool",
                { "synonyms    []synonym",
                    "name   string",
                    "value  string?",
                    "source int8",
                },
                "config_type   int8 3+",
                "documentation string? 3+",
            },
        },
    },
}

-- Deprecated; keep for old clients (kafkajs, librdkafka).
api { "alter_configs", key = 33, versions = "0-2", flexible = "2+",
    request = {
        { "resources   []resource",
            "resource_type int8",
            "resource_name string",
            { "configs     []config", -- full replacement: keys left out go back to default
                "name  string",
                "value string?",
            },
        },
        "validate_only bool",
    },
    response = {
        "throttle_time_ms int32",
        { "responses      []topic",
            "error_code    int16",
            "error_message string?",
            "resource_type int8",
            "resource_name string",
        },
    },
}

api { "incremental_alter_configs", key = 44, versions = "0-1", flexible = "1+",
    request = {
        { "resources   []resource",
            "resource_type int8",
            "resource_name string",
            { "configs     []config",
                "name             string",
                "config_operation int8", -- 0 set, 1 delete, 2 append, 3 subtract
                "value            string?",
            },
        },
        "validate_only bool",
    },
    response = {
        "throttle_time_ms int32",
        { "responses      []topic",
            "error_code    int16",
            "error_message string?",
            "resource_type int8",
            "resource_name string",
        },
    },
}

-- v0 was ListClientMetricsResources (KIP-714) and lists client-metrics resources only.
api { "list_config_resources", key = 74, versions = "0-1", flexible = "0+",
    request = {
        "resource_types []int8 1+", -- config resource codes; empty = all kinds supported
    },
    response = {
        "throttle_time_ms   int32",
        "error_code         int16",
        { "config_resources []config_resource",
            "resource_name string",
            "resource_type int8 1+ =16",
        },
    },
}
