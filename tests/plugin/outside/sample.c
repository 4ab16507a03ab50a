/* sample.c - a whole plugin in one file: keep one event out of every n.
 *
 *   cc -shared -fPIC -I runtime/include sample.c -o sample.so
 */
#include <millrace/plugin.h>

struct sample {
    int64_t every;
    int64_t seen;
};

static const struct mr_option options[] = {
    {.name = "every",
     .type = MR_OPT_INT,
     .at = offsetof(struct sample, every),
     .unit = "events",
     .value = "10",
     .min = 1,
     .max = 1000000,
     .main = true,
     .help = "Keep one event out of this many."},
    {0},
};

static mr_code process(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct sample *s = self; /* zeroed, then filled from the options, by the host */
    (void)err;
    for (uint32_t k = 0; k < b->count; k++)
        if (s->seen++ % s->every != 0)
            mr_batch_drop(b, b->sel[k]);
    return MR_OK;
}

static const struct mr_component sample = {
    .size = sizeof(struct mr_component),
    .kind = MR_PROCESSOR,
    .name = "keep_every",
    .summary = "Keep one event out of every n.",
    .doc = "Counts the events of one lane; the first of each n stays.",
    .self_size = sizeof(struct sample),
    .options = options,
    .process = process,
};

static const struct mr_component *const components[] = {&sample, NULL};
static const struct mr_plugin plugin = {MR_ABI, sizeof(struct mr_plugin), "sample", "1.0", components};
MR_PLUGIN(plugin)
