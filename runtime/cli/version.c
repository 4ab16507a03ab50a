/* version.c - `millrace version`. */
#include "cli/cli.h"

static int version(const struct mr_verb *v, int argc, char **argv)
{
    size_t count;
    int code;
    const struct mr_flag flags[] = {{0}};
    if (!mr_cli_options(v, flags, argc, argv, NULL, 0, &count, &code))
        return code;
    (void)printf("millrace %s (plugin ABI %d)\n", MR_VERSION, MR_ABI);
    return MR_EXIT_OK;
}

const struct mr_verb mr_verb_version = {
    .name = "version",
    .usage = "version",
    .summary = "says which millrace this is",
    .help = "Prints the version, and the plugin ABI that shared objects must be built for.",
    .run = version,
};
