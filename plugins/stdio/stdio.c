/* stdio.c - the plugin `stdio`: lines from standard input, events to standard output. */
#include "stdio.h"

static const struct mr_component *const components[] = {&stdin_component, &stdout_component, NULL};

static const struct mr_plugin plugin = {
    .abi = MR_ABI,
    .size = sizeof(struct mr_plugin),
    .name = "stdio",
    .version = "1",
    .components = components,
};

MR_PLUGIN(plugin)
