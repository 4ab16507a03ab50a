/* broken.c - plugins that are wrong, one a macro: what the door must refuse, and what the check must find. */
#include <millrace/plugin.h>

struct self {
    int64_t a;
};

#ifdef BAD_OPTIONS
static const struct mr_option options[] = {
    {.name = "Bad-Name", .type = MR_OPT_INT, .at = 0, .help = "h"},
    {.name = "a", .type = MR_OPT_DURATION, .at = 0, .value = "ten", .help = ""},
    {.name = "far", .type = MR_OPT_STRING, .at = 100, .help = "h"},
    {.name = "pick", .type = MR_OPT_ENUM, .at = 0, .help = "h"},
    {0},
};
#else
static const struct mr_option options[] = {{0}};
#endif

static mr_code process(void *self, struct mr_batch *b, struct mr_err *err)
{
    (void)self;
    (void)b;
    (void)err;
    return MR_OK;
}

static void close_fully(void *self)
{
    *(int64_t *)self = 0;
}

#ifdef OLD_MINOR /* built before snapshot and restore were there */
#define SIZE offsetof(struct mr_component, snapshot)
#elif defined TOO_SMALL
#define SIZE 16
#else
#define SIZE sizeof(struct mr_component)
#endif

static const struct mr_component component = {
    .size = SIZE,
#ifdef BAD_KIND
    .kind = (enum mr_kind)9,
#elif defined NO_CALLBACK
    .kind = MR_SINK,
#else
    .kind = MR_PROCESSOR,
#endif
#ifdef TAKEN_NAME
    .name = "lua",
#else
    .name = "broken",
#endif
    .summary =
#ifdef BAD_OPTIONS
        "no full stop",
#else
        "A plugin for tests.",
#endif
    .self_size = sizeof(struct self),
    .options = options,
    .process = process,
    .close = close_fully,
#ifdef OLD_MINOR /* whatever follows in memory is not a callback */
    .snapshot = (mr_code(*)(void *, struct mr_buf *, struct mr_err *))(uintptr_t)1,
#endif
};

static const struct mr_component *const components[] = {&component, NULL};
static const struct mr_plugin plugin = {
#ifdef WRONG_ABI
    .abi = MR_ABI + 1,
#else
    .abi = MR_ABI,
#endif
#ifdef WRONG_SIZE
    .size = 4,
#else
    .size = sizeof(struct mr_plugin),
#endif
    .name = "broken",
    .version = "0.1",
    .components = components,
};

#ifdef NO_SYMBOL
const void *something_else(void);
const void *something_else(void)
{
    return &plugin;
}
#else
MR_PLUGIN(plugin)
#endif
