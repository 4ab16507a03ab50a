/* options.c - command lines, and how a person is spoken to: what the verbs of both programs share. */
#include "cli/cli.h"

#include "base/text.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { FLAGS_MAX = 32 };

/* ------------------------------------------------------------------ speaking */

bool mr_cli_color(FILE *f)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(f)) && !(no && *no) && !(term && !strcmp(term, "dumb"));
}

void mr_cli_say(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)fprintf(stderr, "%s\n", text); /* one call: lines of threads do not mix */
}

void mr_cli_tell(void *arg, enum mr_level level, const char *text)
{
    static const char *const words[] = {"debug: ", "", "warning: ", "error: "};
    (void)arg;
    if (level > MR_DEBUG)
        mr_cli_say("millrace: %s%s", words[level <= MR_ERROR ? level : MR_ERROR], text);
}

void mr_cli_error(const struct mr_err *err)
{
    mr_cli_say("millrace: error: %s", err->text);
}

void mr_cli_node_error(const struct mr_err *err)
{
    mr_cli_error(err);
    switch (err->sys) {
    case EADDRINUSE:
        mr_cli_say(
            "  = stop the program that listens there, or choose another port with --listen; 0: any free one");
        break;
    case EADDRNOTAVAIL:
        mr_cli_say(
            "  = give an address of this machine with --listen, such as 127.0.0.1:9092 or 0.0.0.0:9092");
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        mr_cli_say(
            "  = choose a directory that may be written with --data, or a port above 1023 with --listen");
        break;
    case EEXIST:
    case ENOTDIR:
        mr_cli_say("  = something else has that name; choose another directory with --data");
        break;
    default:
        break;
    }
}

int mr_cli_unknown(const char *what, const char *given, const char *const *known, size_t count,
                   const char *see)
{
    const char *near = mr_nearest(mr_slice_of(given), known, count);
    if (near)
        mr_cli_say("millrace: unknown %s '%s'; did you mean '%s'?", what, given, near);
    else
        mr_cli_say("millrace: unknown %s '%s'; `%s` lists them", what, given, see);
    return MR_EXIT_USAGE;
}

/* ------------------------------------------------------------------ options */

static void verb_help(const struct mr_verb *v, const struct mr_flag *flags)
{
    (void)printf("usage: millrace %s\n\n%s\n", v->usage, v->help);
    if (flags->name)
        (void)printf("\noptions:\n");
    for (const struct mr_flag *f = flags; f->name; f++) {
        char left[64];
        (void)snprintf(left, sizeof left, "%s%s%s%s", f->name[1] ? "--" : "-", f->name, f->value ? " " : "",
                       f->value ? f->value : "");
        (void)printf("  %-22s %s\n", left, f->help);
    }
}

static const struct mr_flag *find_flag(const struct mr_flag *flags, const char *name, size_t len)
{
    for (; flags->name; flags++)
        if (strlen(flags->name) == len && !memcmp(flags->name, name, len))
            return flags;
    return NULL;
}

static int unknown_flag(const struct mr_verb *v, const struct mr_flag *flags, const char *given)
{
    const char *names[FLAGS_MAX];
    char see[64];
    size_t count = 0;
    for (; flags->name && count < FLAGS_MAX - 1; flags++)
        names[count++] = flags->name;
    names[count++] = "help";
    (void)snprintf(see, sizeof see, "millrace %s --help", v->name);
    const char *near = mr_nearest(mr_slice_of(given), names, count);
    if (near)
        mr_cli_say("millrace %s: unknown option '--%s'; did you mean '--%s'?", v->name, given, near);
    else
        mr_cli_say("millrace %s: unknown option '--%s'; `%s` lists them", v->name, given, see);
    return MR_EXIT_USAGE;
}

/* A value to where its flag wants it: the last one given counts, or all do. */
static bool give(const struct mr_verb *v, const struct mr_flag *f, const char *value)
{
    size_t len = strlen(f->value), at = 0;
    if (len < 3 || strcmp(f->value + len - 3, "...") != 0) {
        *f->text = value;
        return true;
    }
    while (f->text[at])
        at++;
    if (at == MR_CLI_MANY_MAX) {
        mr_cli_say("millrace %s: '--%s' more than %d times", v->name, f->name, MR_CLI_MANY_MAX);
        return false;
    }
    f->text[at] = value;
    return true;
}

bool mr_cli_options(const struct mr_verb *v, const struct mr_flag *flags, int argc, char **argv,
                    const char **files, size_t files_max, size_t *file_count, int *code)
{
    bool only_files = false;
    *file_count = 0;
    *code = MR_EXIT_USAGE;
    for (int i = 0; i < argc; i++) {
        const char *a = argv[i];
        if (!only_files && !strcmp(a, "--")) {
            only_files = true;
            continue;
        }
        if (!only_files && (!strcmp(a, "--help") || !strcmp(a, "-h"))) {
            verb_help(v, flags);
            *code = MR_EXIT_OK;
            return false;
        }
        if (only_files || a[0] != '-' || a[1] == '\0') {
            if (*file_count == files_max) {
                if (files_max < MR_CLI_MANY_MAX)
                    mr_cli_say("millrace %s: '%s' is too much; usage: millrace %s", v->name, a, v->usage);
                else
                    mr_cli_say("millrace %s: more than %zu arguments", v->name, files_max);
                return false;
            }
            files[(*file_count)++] = a;
            continue;
        }
        const char *name = a + (a[1] == '-' ? 2 : 1), *equals = strchr(name, '=');
        const struct mr_flag *f = find_flag(flags, name, equals ? (size_t)(equals - name) : strlen(name));
        if (!f) {
            *code = unknown_flag(v, flags, name);
            return false;
        }
        if (!f->value && equals) {
            mr_cli_say("millrace %s: option '--%s' takes no value", v->name, f->name);
            return false;
        }
        if (!f->value) {
            *f->on = true;
        } else if (equals || i + 1 < argc) {
            if (!give(v, f, equals ? equals + 1 : argv[++i]))
                return false;
        } else {
            mr_cli_say("millrace %s: option '--%s' needs a value: --%s %s", v->name, f->name, f->name,
                       f->value);
            return false;
        }
    }
    *code = MR_EXIT_OK;
    return true;
}

bool mr_cli_need_files(const struct mr_verb *v, size_t count)
{
    if (count)
        return true;
    mr_cli_say("millrace %s: no file given; usage: millrace %s", v->name, v->usage);
    return false;
}
