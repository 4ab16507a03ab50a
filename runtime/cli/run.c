/* run.c - `millrace run`: a node and its pipelines in one process.
 *
 * The main thread only watches: signals, a status line a second, the end. The shard and the lanes do the
 * work.
 *
 * running --Ctrl-C--> draining --all delivered--> ended;  draining --Ctrl-C--> forced, exit code 1
 *
 * A component that hangs in a call (a write to a pipe that nobody reads) cannot be forced: then the process
 * ends as by kill -9, which is no worse than that: nothing acknowledged is lost, the rest is read again.
 */
#include "cli/cli.h"

#include "base/mem.h"
#include "pipeline/run.h"
#include "world/real.h"

#include <signal.h>
#include <time.h>
#include <unistd.h>

/* ms; members of a group are pipelines of this run, mostly, and start together */
#define GROUP_DELAY_MS "100"

enum {
    STATUS_MS = 1000,
    FORCE_MS = 2000,
    FORCED = 3,
    NAME_WIDTH_MAX = 40,
};

struct watch {
    struct mr_world *world;
    struct mr_run *run;
    struct mr_run_counts *before; /* [pipeline] at the last status */
    int64_t *windows;             /* [pipeline] closed until then */
    struct mr_timer timer, hung;
    int signals;
    bool progress;
};

/* ------------------------------------------------------------------ status */

static void number(int64_t n, char out[32]) /* 1234567 -> 1,234,567 */
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;
    for (int i = 0; i < len; i++) {
        if (i && digits[i - 1] != '-' && (len - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
}

static void add_windows(void *arg, const char *label, const char *metric, int64_t value)
{
    (void)label;
    if (!strcmp(metric, "windows_closed"))
        *(int64_t *)arg += value;
}

static const char *state_of(enum mr_run_state s)
{
    static const char *const words[] = {"opening", "", "draining", "ended", "failed"};
    return (size_t)s < sizeof words / sizeof words[0] ? words[s] : "";
}

/* A line for each pipeline of which anything has changed. */
static void status(struct watch *w)
{
    char in[32], rate[32], out[32], dropped[32], dead[32], more[80];
    char clock[16];
    time_t now = time(NULL);
    struct tm local;
    (void)localtime_r(&now, &local);
    (void)strftime(clock, sizeof clock, "%H:%M:%S", &local);
    for (uint32_t i = 0; i < mr_run_count(w->run); i++) {
        struct mr_run_counts c, *b = &w->before[i];
        int64_t windows = 0;
        mr_run_counts(w->run, i, &c);
        mr_run_metrics(w->run, i, add_windows, &windows);
        if (c.in == b->in && c.out == b->out && c.dropped == b->dropped && c.dead == b->dead &&
            c.state == b->state && windows == w->windows[i])
            continue;
        number(c.in, in);
        number(c.in - b->in, rate);
        number(c.out, out);
        number(c.dropped, dropped);
        number(c.dead, dead);
        more[0] = '\0';
        if (windows)
            (void)snprintf(more, sizeof more, "  windows %lld", (long long)windows);
        mr_cli_say("%s %-*.*s in %s (+%s/s)  out %s  dropped %s  dead %s%s  %s", clock, 16, NAME_WIDTH_MAX,
                   mr_run_name(w->run, i), in, rate, out, dropped, dead, more, state_of(c.state));
        *b = c;
        w->windows[i] = windows;
    }
}

static void on_second(void *arg)
{
    struct watch *w = arg;
    status(w);
    mr_timer_set(w->world, &w->timer, mr_now(w->world) + STATUS_MS);
}

/* What became of the events; what a person would ask next is answered at once. */
static void summary(const struct mr_run *run, const struct mr_config *config, const char *data, bool new_ones)
{
    int64_t read = 0;
    for (uint32_t i = 0; i < mr_run_count(run); i++) {
        struct mr_run_counts c;
        char in[32], out[32], dropped[32], dead[32];
        mr_run_counts(run, i, &c);
        number(c.in, in);
        number(c.out, out);
        number(c.dropped, dropped);
        number(c.dead, dead);
        bool died = c.dead > 0 && i < config->pipeline_count;
        mr_cli_say("millrace: %s: in %s, out %s, dropped %s, dead %s%s%s%s", mr_run_name(run, i), in, out,
                   dropped, dead, died ? " (topic " : "", died ? config->pipelines[i].dead : "",
                   died ? ")" : "");
        read += c.in;
    }
    if (new_ones && read == 0)
        mr_cli_say("millrace: nothing new to read; where each source stands is kept in %s/pipelines", data);
}

/* ------------------------------------------------------------------ the end */

static void on_hung(void *arg)
{
    (void)arg;
    mr_cli_say("millrace: a component does not come back; ended without it");
    _exit(MR_EXIT_FAILED);
}

static void on_signal(void *arg, int signo)
{
    struct watch *w = arg;
    (void)signo;
    if (++w->signals == 1) {
        mr_cli_say("millrace: draining; once more to end at once");
        mr_run_stop(w->run);
    } else {
        mr_run_force(w->run);
        w->hung.fire = on_hung;
        if (w->signals == 2)
            mr_timer_set(w->world, &w->hung, mr_now(w->world) + FORCE_MS);
    }
}

static void on_done(void *arg, int exit_code) /* a lane's thread */
{
    struct watch *w = arg;
    (void)exit_code;
    mr_real_stop(w->world);
}

static void log_line(void *arg, enum mr_level level, const char *label, const char *text)
{
    char line[900];
    (void)snprintf(line, sizeof line, "%.200s: %.600s", label ? label : "run", text);
    mr_cli_tell(arg, level, line);
}

/* ------------------------------------------------------------------ starting */

/* One line that says what is where. */
static void hello(const struct mr_config *c, const struct mr_node *node, const char *data)
{
    char topics[200] = "";
    size_t at = 0;
    for (uint32_t i = 0; i < c->pipeline_count; i++)
        for (uint32_t k = 0; k < c->pipelines[i].to_count; k++) {
            const char *t = c->pipelines[i].to[k].topic;
            if (t && at < sizeof topics - 1) {
                int n = snprintf(topics + at, sizeof topics - at, "%s%s", at ? ", " : "; topics ", t);
                at += n > 0 ? (size_t)n : 0;
            }
        }
    const char *address = node ? mr_node_address(node) : NULL;
    mr_cli_say("millrace: %u pipeline%s; data in %s%s%s%s%s; Ctrl-C drains and ends", c->pipeline_count,
               c->pipeline_count == 1 ? "" : "s", data, topics, address ? "; Kafka clients: kcat -b " : "",
               address ? address : "", address ? " -L" : "");
}

static int watch_run(struct watch *w, const struct mr_cli_plan *plan, struct mr_node *node, const char *data,
                     bool once)
{
    struct mr_err err = {0};
    struct mr_run_options o = {
        .config = &plan->config,
        .catalog = plan->catalog,
        .topics = mr_node_topics(node),
        .data_dir = data,
        .once = once,
        .log = log_line,
        .done = on_done,
        .arg = w,
    };
    if (mr_run_new(&o, &w->run, &err)) {
        mr_cli_error(&err);
        return err.code == MR_BADCONF ? MR_EXIT_USAGE : MR_EXIT_FAILED;
    }
    int code = MR_EXIT_FAILED;
    uint32_t count = mr_run_count(w->run);
    w->before = mr_need(count * sizeof *w->before + 1);
    w->windows = mr_need(count * sizeof *w->windows + 1);
    hello(&plan->config, node, data);
    if (mr_real_signal(w->world, SIGINT, on_signal, w, &err) ||
        mr_real_signal(w->world, SIGTERM, on_signal, w, &err) || mr_run_start(w->run, &err)) {
        mr_cli_error(&err);
    } else {
        w->timer = (struct mr_timer){.fire = on_second, .arg = w};
        if (w->progress)
            mr_timer_set(w->world, &w->timer, mr_now(w->world) + STATUS_MS);
        mr_real_run(w->world);
        mr_timer_stop(w->world, &w->timer);
        mr_timer_stop(w->world, &w->hung);
        code = mr_run_wait(w->run);
        if (code == FORCED) {
            mr_cli_say("millrace: ended by force; what was not acknowledged is read again next time");
            code = MR_EXIT_FAILED;
        }
        summary(w->run, &plan->config, data, once && code == MR_EXIT_OK);
    }
    mr_run_free(w->run);
    mr_free(w->before);
    mr_free(w->windows);
    return code;
}

static int run_plan(const struct mr_cli_plan *plan, const struct mr_node_config *config, bool once,
                    bool progress)
{
    struct mr_err err = {0};
    struct watch w = {.progress = progress};
    struct mr_node *node = NULL;
    int code = MR_EXIT_FAILED;
    if (mr_real_new(&w.world, &err)) {
        mr_cli_error(&err);
        return code;
    }
    if (mr_node_open(config, &node, &err)) {
        mr_cli_node_error(&err);
        code = err.code == MR_BADCONF ? MR_EXIT_USAGE : MR_EXIT_FAILED;
    } else {
        code = watch_run(&w, plan, node, config->data_dir, once);
    }
    mr_node_close(node);
    mr_cli_hold_signals(); /* it is drained and closed: one that comes now changes nothing */
    mr_real_free(w.world);
    return code;
}

static int run(const struct mr_verb *v, int argc, char **argv)
{
    const char *files[MR_CLI_FILES_MAX], *data = ".millrace", *listen = NULL, *advertise = NULL,
                                         *plugins = NULL;
    bool once = false, progress = false, quiet = false;
    size_t count;
    int code;
    struct mr_node_config config;
    const struct mr_flag flags[] = {
        {"once", NULL, "ends where the input ends now", &once, NULL},
        {"data", "DIR", "data directory: topics, positions, window state (.millrace)", NULL, &data},
        {"listen", "HOST:PORT", "lets Kafka clients in, such as 127.0.0.1:9092", NULL, &listen},
        {"advertise", "HOST:PORT", "what clients are told to connect to (as --listen)", NULL, &advertise},
        {"plugins", "DIR", "further plugins (*.so)", NULL, &plugins},
        {"progress", NULL, "counts each second, also when no terminal looks on", &progress, NULL},
        {"quiet", NULL, "no counts", &quiet, NULL},
        {0},
    };
    mr_cli_hold_signals();
    if (!mr_cli_options(v, flags, argc, argv, files, MR_CLI_FILES_MAX, &count, &code))
        return code;
    if (!mr_cli_need_files(v, count))
        return MR_EXIT_USAGE;
    mr_cli_settle_process();
    struct mr_cli_plan plan;
    code = mr_cli_plan_load(&plan, plugins, files, count, 0);
    if (plan.diags.count)
        mr_diags_print(&plan.diags, plan.config.sources, plan.config.source_count, stderr,
                       mr_cli_color(stderr));
    if (code == MR_EXIT_OK) {
        mr_node_config_init(&config);
        config.data_dir = data;
        config.listen = listen;
        config.advertise = advertise;
        config.tell = mr_cli_tell;
        /* without memory for it the usual delay holds */
        (void)mr_node_layer_set(&config.broker.node, MR_SLICE("group.initial.rebalance.delay.ms"),
                                MR_SLICE(GROUP_DELAY_MS), NULL);
        code = run_plan(&plan, &config, once, !quiet && (progress || isatty(STDERR_FILENO)));
    }
    mr_cli_plan_fini(&plan);
    return code;
}

const struct mr_verb mr_verb_run = {
    .name = "run",
    .usage = "run FILE...",
    .summary = "runs pipelines; topics, positions and state live in one directory",
    .help =
        "Runs the pipelines of the given YAML files in this process, with an embedded log. Each goes on\n"
        "where it stopped the last time. Ctrl-C drains and ends with 0; a second one ends at once with 1.\n\n"
        "  millrace run job.yaml                          until Ctrl-C\n"
        "  millrace run --once job.yaml                   what there is now, then ends\n"
        "  millrace run job.yaml --listen 127.0.0.1:9092  and Kafka clients may read and write topics",
    .run = run,
};
