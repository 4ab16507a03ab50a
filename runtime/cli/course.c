/* course.c - the course that the verbs have in common, and progress. */
#include "cli/kafka.h"

#include <inttypes.h>
#include <unistd.h>

enum { PROGRESS_MS = 250 };

/* ------------------------------------------------------------------ a verb that asks */

int mr_kafka_run(struct mr_kafka_call *c, const struct mr_kafka_course *how, const struct mr_flag *flags,
                 int argc, char **argv)
{
    int code;
    if (!mr_cli_options(c->v, flags, argc, argv, c->words, how->most, &c->count, &code))
        return code;
    if (c->count < how->least) {
        mr_cli_say("millrace %s: %s; usage: millrace %s", c->v->name,
                   c->count ? "a word is missing" : how->need, c->v->usage);
        return MR_EXIT_USAGE;
    }
    code = how->check ? how->check(c) : MR_EXIT_OK;
    if (code)
        return code;
    code = mr_kafka_admin(&c->k, c->v, &c->f);
    if (!code)
        code = how->run(c);
    mr_kafka_close(&c->k);
    return code;
}

int mr_kafka_plain(const struct mr_verb *v, const struct mr_kafka_course *how, const char *json, int argc,
                   char **argv)
{
    struct mr_kafka_call c = {.v = v, .f = MR_KAFKA_FLAGS};
    const struct mr_flag flags[] = {MR_KAFKA_COMMON_FLAGS(c.f), MR_KAFKA_JSON_FLAG(c.f, json), {0}};
    return mr_kafka_run(&c, how, flags, argc, argv);
}

int mr_kafka_each(struct mr_kafka_call *c, int (*one)(struct mr_kafka *k, const char *name), const char *kind,
                  const char *done)
{
    int code = MR_EXIT_OK;
    for (size_t i = 0; i < c->count && !code && !mr_kafka_stopped; i++) {
        code = one(&c->k, c->words[i]);
        if (!code)
            code = mr_kafka_said(c, kind, c->words[i], done);
    }
    return code;
}

int mr_kafka_said(const struct mr_kafka_call *c, const char *kind, const char *name, const char *done)
{
    struct mr_jsonl line = {0};
    if (!c->f.json)
        return printf("%s %s '%s'\n", done, kind, name) < 0 ? MR_EXIT_FAILED : MR_EXIT_OK;
    mr_jsonl_open(&line, NULL, '{');
    mr_jsonl_text(&line, kind, name);
    mr_jsonl_text(&line, "done", done);
    return mr_jsonl_end(&line) ? MR_EXIT_OK : MR_EXIT_FAILED;
}

/* ------------------------------------------------------------------ progress */

void mr_kafka_progress_start(struct mr_kafka_progress *p)
{
    *p = (struct mr_kafka_progress){.on = isatty(STDERR_FILENO), .started_ms = mr_kafka_now_ms()};
    p->told_ms = p->started_ms;
}

static bool is_time(struct mr_kafka_progress *p, int64_t now)
{
    if (!p->on || now - p->told_ms < PROGRESS_MS)
        return false;
    p->told_ms = now;
    p->shown = true;
    return true;
}

void mr_kafka_progress_tell(struct mr_kafka_progress *p, const char *doing, uint64_t records, uint64_t bytes)
{
    int64_t now = p->on ? mr_kafka_now_ms() : 0;
    if (is_time(p, now))
        (void)fprintf(stderr, "\r%s: %" PRIu64 " records, %.1f MiB, %.0f records/s \x1b[K", doing, records,
                      (double)bytes / (1 << 20), (double)records * 1000 / (double)(now - p->started_ms));
}

void mr_kafka_progress_count(struct mr_kafka_progress *p, const char *doing, uint64_t count,
                             const char *of_what)
{
    if (is_time(p, p->on ? mr_kafka_now_ms() : 0))
        (void)fprintf(stderr, "\r%s: %" PRIu64 " %s \x1b[K", doing, count, of_what);
}

void mr_kafka_progress_end(struct mr_kafka_progress *p)
{
    if (p->shown)
        (void)fputs("\r\x1b[K", stderr);
    p->shown = false;
}

/* ------------------------------------------------------------------ verbs of verbs */

static void list_verbs(FILE *to, const struct mr_verb *v, const struct mr_verb *subs, size_t count)
{
    (void)fprintf(to, "usage: millrace %s\n\n%s\n\n", v->usage, v->help);
    for (size_t i = 0; i < count; i++)
        (void)fprintf(to, "  millrace %-44s %s\n", subs[i].usage, subs[i].summary);
    (void)fprintf(to, "\n`millrace %s VERB --help` tells the rest.\n", v->name);
}

int mr_kafka_dispatch(const struct mr_verb *v, const struct mr_verb *subs, size_t count, int argc,
                      char **argv)
{
    enum { SUBS_MAX = 16 };
    const char *names[SUBS_MAX];
    char see[64];
    if (argc < 1 || !strcmp(argv[0], "--help") || !strcmp(argv[0], "-h") || !strcmp(argv[0], "help")) {
        list_verbs(argc < 1 ? stderr : stdout, v, subs, count);
        return argc < 1 ? MR_EXIT_USAGE : MR_EXIT_OK;
    }
    for (size_t i = 0; i < count && i < SUBS_MAX; i++) {
        names[i] = strchr(subs[i].name, ' ') + 1;
        if (!strcmp(argv[0], names[i]))
            return subs[i].run(&subs[i], argc - 1, argv + 1);
    }
    (void)snprintf(see, sizeof see, "millrace %s --help", v->name);
    char what[64];
    (void)snprintf(what, sizeof what, "verb of '%s'", v->name);
    return mr_cli_unknown(what, argv[0], names, count, see);
}
