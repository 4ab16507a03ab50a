/* filter.c - the steps `keep` and `drop`: one condition, asked once a batch; what goes costs a mark. */
#include <millrace/plugin.h>

struct filter {
    struct mr_expr *condition;
    const struct mr_services *services;
    struct mr_host *host;
    uint8_t truth[MR_BATCH_ROWS_MAX];
};

static mr_code open_filter(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct filter *f = self;
    (void)err;
    f->services = o->services;
    f->host = o->host;
    return MR_OK;
}

static void leave_out(struct filter *f, struct mr_batch *b, bool when)
{
    f->services->test(f->host, f->condition, b, f->truth);
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t row = b->sel[k];
        if ((f->truth[row] != 0) == when && b->fate[row] == MR_KEPT) /* else the condition failed for it */
            mr_batch_drop(b, row);
    }
}

static mr_code keep(void *self, struct mr_batch *b, struct mr_err *err)
{
    (void)err;
    leave_out(self, b, false);
    return MR_OK;
}

static mr_code drop(void *self, struct mr_batch *b, struct mr_err *err)
{
    (void)err;
    leave_out(self, b, true);
    return MR_OK;
}

static const struct mr_option keep_options[] = {
    {.name = "when",
     .type = MR_OPT_EXPR,
     .at = offsetof(struct filter, condition),
     .required = true,
     .main = true,
     .help = "events for which this is true stay; all others go",
     .example = "e.status >= 500"},
    {0},
};

static const struct mr_option drop_options[] = {
    {.name = "when",
     .type = MR_OPT_EXPR,
     .at = offsetof(struct filter, condition),
     .required = true,
     .main = true,
     .help = "events for which this is true go; all others stay",
     .example = "e.path:starts(\"/healthz\")"},
    {0},
};

#define TRUTH                                                                                                \
    "Only `nil` (no such field) and `false` are not true, as in Lua: `null`, `0` and `\"\"` are true. An "   \
    "event "                                                                                                 \
    "for which the condition cannot be computed (`e.a < 1` where `a` is a text, `e.path:starts(\"/\")` "     \
    "where "                                                                                                 \
    "there is no `path`) goes to `on_error` with the reason; ask first where a field may be missing: "       \
    "`e.path and e.path:starts(\"/\")`. Events that go are counted as dropped.\n\n"

static const struct mr_component keep_component = {
    .size = sizeof(struct mr_component),
    .kind = MR_PROCESSOR,
    .name = "keep",
    .summary = "Keep the events for which a condition is true.",
    .doc = TRUTH "```yaml\nsteps:\n  - keep: e.status >= 500 and e.method ~= \"HEAD\"\n```\n",
    .self_size = sizeof(struct filter),
    .options = keep_options,
    .open = open_filter,
    .process = keep,
};

static const struct mr_component drop_component = {
    .size = sizeof(struct mr_component),
    .kind = MR_PROCESSOR,
    .name = "drop",
    .summary = "Drop the events for which a condition is true.",
    .doc = TRUTH "```yaml\nsteps:\n  - drop: e.path:starts(\"/healthz\")\n```\n",
    .self_size = sizeof(struct filter),
    .options = drop_options,
    .open = open_filter,
    .process = drop,
};

static const struct mr_component *const components[] = {&keep_component, &drop_component, NULL};

static const struct mr_plugin plugin = {
    .abi = MR_ABI,
    .size = sizeof(struct mr_plugin),
    .name = "filter",
    .version = "1",
    .components = components,
};

MR_PLUGIN(plugin)
