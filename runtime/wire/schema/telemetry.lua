-- telemetry.lua - client metrics (KIP-714); notation: gen.lua.

-- KIP-714. Advertise only if telemetry is wanted.
api { "get_telemetry_subscriptions", key = 71, versions = "0", flexible = "0+",
    request = {
        "client_instance_id uuid", -- zero uuid on the first call
    },
    response = {
        "throttle_time_ms           int32",
        "error_code                 int16",
        "client_instance_id         uuid", -- set only when the request had the zero uuid
        "subscription_id            int32",
        "accepted_compression_types []int8",
        "push_interval_ms           int32",
        "telemetry_max_bytes        int32",
        "delta_temporality          bool", -- true: counters as deltas
        "requested_metrics          []string", -- name prefixes; empty array = none, one empty string = all
    },
}

api { "push_telemetry", key = 72, versions = "0", flexible = "0+",
    request = {
        "client_instance_id uuid",
        "subscription_id    int32",
        "terminating        bool",
        "compression_type   int8", -- codec numbers as in record batches
        "metrics            bytes", -- OpenTelemetry MetricsData v1 protobuf, maybe compressed
    },
    response = {
        "throttle_time_ms int32",
        "error_code       int16",
    },
}
