/* file.c - the plugin `file`: text files as a source and as a sink. */
#include "file.h"

static const struct mr_component *const components[] = {&file_source_component, &file_sink_component, NULL};

static const struct mr_plugin plugin = {
    .abi = MR_ABI,
    .size = sizeof(struct mr_plugin),
    .name = "file",
    .version = "1",
    .components = components,
};

MR_PLUGIN(plugin)
