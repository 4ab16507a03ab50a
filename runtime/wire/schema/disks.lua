-- disks.lua - where replicas lie on the disks of a broker; notation: gen.lua.

api { "alter_replica_log_dirs", key = 34, versions = "1-2", flexible = "2+",
    request = {
        { "dirs []dir",
            "path     string",
            { "topics []topic",
                "name       string",
                "partitions []int32",
            },
        },
    },
    response = {
        "throttle_time_ms int32",
        { "results        []result",
            "topic_name   string",
            { "partitions []partition",
                "partition_index int32",
                "error_code      int16",
            },
        },
    },
}

api { "describe_log_dirs", key = 35, versions = "1-5", flexible = "2+",
    request = {
        { "topics []topic?", -- null = all
            "topic      string",
            "partitions []int32",
        },
    },
    response = {
        "throttle_time_ms int32",
        "error_code       int16 3+",
        { "results        []result",
            "error_code   int16",
            "log_dir      string",
            { "topics     []topic",
                "name         string",
                { "partitions []partition",
                    "partition_index int32",
                    "partition_size  int64",
                    "offset_lag      int64",
                    "is_future_key   bool",
                },
            },
            "total_bytes  int64 4+ =-1",
            "usable_bytes int64 4+ =-1",
            "is_cordoned  bool 5+",
        },
    },
}
