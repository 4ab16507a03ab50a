/* drop.c - the sink that takes everything and keeps nothing: for measuring, and for trying a pipeline. */
#include <millrace/plugin.h>

struct drop {
    int unused;
};

static const struct mr_option options[] = {{0}};

static mr_code write_batch(void *self, struct mr_batch *b, uint64_t ticket, struct mr_verdict *verdict,
                           struct mr_err *err)
{
    (void)self, (void)b, (void)ticket, (void)verdict, (void)err;
    return MR_OK; /* verdicts are "done" already */
}

static const struct mr_component sink = {
    .size = sizeof(struct mr_component),
    .kind = MR_SINK,
    .name = "drop",
    .summary = "Take every event and keep none.",
    .doc =
        "Events count as delivered, and the positions of sources move past them. For measurements, and for "
        "pipelines whose steps are all that matters.\n\n```yaml\nto: { drop: {} }\n```\n",
    .self_size = sizeof(struct drop),
    .options = options,
    .write = write_batch,
};

static const struct mr_component *const components[] = {&sink, NULL};

static const struct mr_plugin plugin = {
    .abi = MR_ABI,
    .size = sizeof(struct mr_plugin),
    .name = "drop",
    .version = "1",
    .components = components,
};

MR_PLUGIN(plugin)
