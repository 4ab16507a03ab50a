/* common.c - components, plans, the process: what the verbs share. Their options are in options.c. */
#include "cli/cli.h"

#include "base/map.h"
#include "pipeline/run.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

enum { ARENAS_MAX = 2 };

/* ------------------------------------------------------------------ components */

static void told(void *arg, const struct mr_err *err)
{
    (void)arg;
    mr_cli_say("millrace: warning: %s", err->text);
}

/* A folder that somebody has named; one that is not there is no plugin less, but a mistake. */
static void load_named(struct mr_catalog *c, const char *dir, const char *by)
{
    if (access(dir, R_OK | X_OK) != 0)
        mr_cli_say("millrace: warning: cannot read the plugins' folder '%s' (%s): %s", dir, by,
                   strerror(errno));
    else
        mr_catalog_load_dir(c, dir, told, NULL);
}

/* Beside the program first (a build), then where a package puts them. */
static void load_plugins(struct mr_catalog *c)
{
    char exe[PATH_MAX], dir[PATH_MAX + 64];
    const char *given = getenv("MILLRACE_PLUGINS");
    if (given && *given) {
        load_named(c, given, "MILLRACE_PLUGINS");
        return;
    }
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n <= 0)
        return;
    exe[n] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash)
        *slash = '\0';
    (void)snprintf(dir, sizeof dir, "%s/plugins", exe);
    if (access(dir, R_OK) != 0)
        (void)snprintf(dir, sizeof dir, "%s/../lib/millrace/plugins", exe);
    mr_catalog_load_dir(c, dir, told, NULL);
}

static int is_lua(const struct dirent *d)
{
    size_t n = strlen(d->d_name);
    return n > 4 && d->d_name[0] != '.' && !strcmp(d->d_name + n - 4, ".lua");
}

static void load_scripts(struct mr_catalog *c, const char *dir)
{
    struct dirent **names;
    int n = scandir(dir, &names, is_lua, alphasort);
    for (int i = 0; i < n; i++) {
        char path[PATH_MAX];
        struct mr_err err = {0};
        (void)snprintf(path, sizeof path, "%.2048s/%s", dir, names[i]->d_name);
        mr_code rc = mr_catalog_load_lua(c, path, &err);
        if (rc != MR_OK && rc != MR_END)
            mr_cli_say("millrace: warning: %s", err.text);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
}

/* Folders that hold the files, once each, "scripts" left out: that one is loaded anyway. */
static void load_beside(struct mr_catalog *c, const char *const *files, size_t count)
{
    char seen[MR_CLI_FILES_MAX][256];
    size_t known = 0;
    for (size_t i = 0; i < count && i < MR_CLI_FILES_MAX; i++) {
        const char *slash = strrchr(files[i], '/');
        size_t len = slash ? (size_t)(slash - files[i]) : 1;
        if (len >= sizeof seen[0] || len == 0)
            continue;
        memcpy(seen[known], slash ? files[i] : ".", len);
        seen[known][len] = '\0';
        bool again = !strcmp(seen[known], "scripts");
        for (size_t k = 0; k < known; k++)
            again = again || !strcmp(seen[k], seen[known]);
        if (!again)
            load_scripts(c, seen[known++]);
    }
}

mr_code mr_cli_catalog(const char *plugins_dir, const char *const *files, size_t file_count,
                       struct mr_catalog **out, struct mr_err *err)
{
    mr_code rc = mr_catalog_new(out, err);
    if (rc)
        return rc;
    if ((rc = mr_pipeline_components(*out, err))) {
        mr_catalog_free(*out);
        *out = NULL;
        return rc;
    }
    load_plugins(*out);
    if (plugins_dir)
        load_named(*out, plugins_dir, "--plugins");
    load_scripts(*out, "scripts");
    load_beside(*out, files, file_count);
    return MR_OK;
}

/* ------------------------------------------------------------------ plans */

int mr_cli_plan_load(struct mr_cli_plan *p, const char *plugins_dir, const char *const *files, size_t count,
                     unsigned flags)
{
    struct mr_err err = {0};
    struct mr_config_file list[MR_CLI_FILES_MAX];
    *p = (struct mr_cli_plan){0};
    mr_heap_arena_init(&p->arena, 64 << 10, 0, MR_CONFIG_ARENA_BYTES);
    if (mr_cli_catalog(plugins_dir, files, count, &p->catalog, &err)) {
        mr_cli_error(&err);
        return MR_EXIT_FAILED;
    }
    for (size_t i = 0; i < count; i++)
        list[i] = (struct mr_config_file){.name = files[i]};
    mr_code rc = mr_config_load(list, count, p->catalog, flags, &p->arena, &p->diags, &p->config);
    return rc ? MR_EXIT_USAGE : MR_EXIT_OK;
}

void mr_cli_plan_fini(struct mr_cli_plan *p)
{
    mr_diags_fini(&p->diags);
    mr_heap_arena_fini(&p->arena);
    mr_catalog_free(p->catalog);
}

/* ------------------------------------------------------------------ the process */

void mr_cli_settle_process(void)
{
    struct rlimit files;
    uint64_t seed = 0;
    (void)mallopt(M_ARENA_MAX, ARENAS_MAX); /* an arena a thread would hold memory that nobody uses */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max; /* each open partition holds a few */
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (getrandom(&seed, sizeof seed, 0) == sizeof seed)
        mr_map_seed(seed);
}

void mr_cli_hold_signals(void)
{
    sigset_t held;
    (void)sigemptyset(&held);
    (void)sigaddset(&held, SIGINT);
    (void)sigaddset(&held, SIGTERM);
    (void)pthread_sigmask(SIG_BLOCK, &held, NULL);
}
