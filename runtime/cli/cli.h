/* cli.h - what the verbs share: options, components, how a person is spoken to.
 *
 * Exit codes: 0 well; 1 something failed; 2 the command line or a configuration is wrong.
 */
#ifndef MR_CLI_CLI_H
#define MR_CLI_CLI_H

#include "node/node.h"
#include "pipeline/config.h"

#define MR_VERSION "0.1.0"

enum { MR_EXIT_OK = 0, MR_EXIT_FAILED = 1, MR_EXIT_USAGE = 2 };
enum { MR_CLI_FILES_MAX = 256, MR_CLI_MANY_MAX = 64 };

/* One option of a verb: a switch, or one that takes a value. A table ends with { 0 }. An option whose value
 * is called "...": "K=V..." may be given often; `text` is then an array of MR_CLI_MANY_MAX + 1, all NULL. */
struct mr_flag {
    const char *name;  /* without the dashes */
    const char *value; /* what its value is called in --help; NULL: a switch */
    const char *help;
    bool *on;          /* switches */
    const char **text; /* values; [borrow] of argv */
};

struct mr_verb {
    const char *name;
    const char *usage;                                          /* "run FILE... [options]" */
    const char *summary;                                        /* one line */
    const char *help;                                           /* what it does, and examples */
    int (*run)(const struct mr_verb *v, int argc, char **argv); /* argv[0] is the first after the verb */
};
/* In main.c's program the verbs that speak Kafka's protocol are words alone: they become millrace-kafka. */
extern const struct mr_verb mr_verb_topic, mr_verb_produce, mr_verb_consume, mr_verb_group, mr_verb_configs,
    mr_verb_txn;
extern const struct mr_verb mr_verb_run, mr_verb_serve, mr_verb_lint, mr_verb_test, mr_verb_plugins,
    mr_verb_version;

/* Reads options; what is none goes to files. false: *code is the exit code (told already; 0 after --help).
 * files_max 0: none are allowed. */
bool mr_cli_options(const struct mr_verb *v, const struct mr_flag *flags, int argc, char **argv,
                    const char **files, size_t files_max, size_t *file_count, int *code);
/* At least one; else says so and how. */
bool mr_cli_need_files(const struct mr_verb *v, size_t count);
int mr_cli_unknown(const char *what, const char *given, const char *const *known, size_t count,
                   const char *see);

/* Every component: built in, shared objects, Lua files of ./scripts and beside the YAML files. What cannot be
 * loaded is told and left out. */
mr_code mr_cli_catalog(const char *plugins_dir, const char *const *files, size_t file_count,
                       struct mr_catalog **out, struct mr_err *err);

/* A plan from YAML files, complaints printed on stderr. */
struct mr_cli_plan {
    struct mr_heap_arena arena;
    struct mr_diags diags;
    struct mr_config config;
    struct mr_catalog *catalog;
};
/* 0, or the exit code; mr_cli_plan_fini in any case. */
int mr_cli_plan_load(struct mr_cli_plan *p, const char *plugins_dir, const char *const *files, size_t count,
                     unsigned flags);
void mr_cli_plan_fini(struct mr_cli_plan *p);

bool mr_cli_color(FILE *f);
__attribute__((format(printf, 1, 2))) void mr_cli_say(const char *format, ...); /* a line on stderr */
/* "millrace: warning: ..." on stderr; fits mr_node_config.tell. Any thread. */
void mr_cli_tell(void *arg, enum mr_level level, const char *text);
void mr_cli_error(const struct mr_err *err);
void mr_cli_node_error(const struct mr_err *err); /* of mr_node_open; with the way out */
/* Memory and descriptors as a server wants them. Before any thread starts. */
void mr_cli_settle_process(void);

/* Holds SIGINT and SIGTERM back until mr_real_signal is there to take them, so that an early one still
 * drains. */
void mr_cli_hold_signals(void);

#endif
