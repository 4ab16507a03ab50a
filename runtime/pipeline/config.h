/* config.h - pipelines as people write them: YAML files read, checked whole, and made into a plan.
 *
 * Parse first, substitute then: ${NAME}, ${NAME:-default} and ${file:/path} are replaced in parsed scalars,
 * once, so that no value can change the shape of the document. Every mistake of every file is told in one go,
 * each with file, line and column. The plan points into one arena and is read-only: any number of runs may
 * share it.
 */
#ifndef MR_PIPELINE_CONFIG_H
#define MR_PIPELINE_CONFIG_H

#include "base/arena.h"
#include "plugin/catalog.h"
#include "plugin/tree.h"

/* Limits, by name in the messages. */
enum {
    MR_CONFIG_FILE_BYTES_MAX = 4 << 20, /* of one file */
    MR_CONFIG_NODES_MAX = 100000,       /* in one file, anchors expanded */
    MR_CONFIG_DEPTH_MAX = 64,
    MR_CONFIG_PIPELINES_MAX = 1024,
    MR_CONFIG_COMPONENTS_MAX = 256, /* sources, steps, or outputs of one pipeline */
};
#define MR_CONFIG_ARENA_BYTES ((size_t)256 << 20) /* limit to give to the arena of mr_config_load */

enum mr_on_error {
    MR_ON_ERROR_DEAD,
    MR_ON_ERROR_DROP,
    MR_ON_ERROR_KEEP,
    MR_ON_ERROR_FAIL,
    MR_ON_ERROR_RETRY
};

struct mr_config_component {
    const struct mr_component *component;
    const char *label; /* "access-clean/steps[1]", or "access-clean/<id>" */
    const char *id;    /* NULL: none given */
    const char *file;  /* where it stands: for messages and dead letters */
    uint32_t line, column;
    const struct mr_node *node;    /* the whole map */
    const struct mr_node *options; /* value of the component key */
    const struct mr_node *when;    /* `if`; NULL: always. Compiled once an instance, with mr_expr_new */
    bool otherwise;                /* outputs: `else: true` */
    enum mr_on_error on_error;     /* own or the pipeline's */
    int64_t retry_max;             /* outputs: attempts an event gets before the error route; 0: no end */
    mr_ms retry_backoff;           /* outputs: first pause; doubles up to 30 s */
    const char *topic;             /* `topic` sources and sinks: the topic's name; NULL: not one */
};

struct mr_config_pipeline {
    const char *name;
    const struct mr_node *node;
    struct mr_config_component *from, *steps, *to;
    uint32_t from_count, step_count, to_count;
    enum mr_on_error on_error;
    bool unmatched_drop;            /* events that match no output are meant to go */
    int64_t bytes;                  /* `pipeline_bytes`: live batches; reading pauses beyond */
    const char *dead;               /* topic of the error route: "<pipeline>.dead" */
    bool may_die;                   /* some part routes to it */
    bool exactly_once;              /* `delivery` */
    mr_ms commit_every;             /* of exactly_once: between transactions */
    const struct mr_node *delivery; /* for messages; NULL: not given */
};

struct mr_config_test {
    const char *name;
    const struct mr_config_pipeline *pipeline;
    const struct mr_node *node, *in, *out; /* lists, or NULL */
    mr_ms advance;                         /* after the input; 0: none */
    bool no_out;
    int64_t dropped, dead; /* expected counts; -1: not looked at */
    const char *file;
    uint32_t line, column;
};

/* A file's name and text. To mr_config_load: text.p NULL means that the name is a path to be read. */
struct mr_config_file {
    const char *name;
    struct mr_slice text;
};

struct mr_config {
    struct mr_config_pipeline *pipelines;
    uint32_t pipeline_count;
    struct mr_config_test *tests;
    uint32_t test_count;
    struct mr_config_file *sources; /* the texts, for mr_diags_print */
    uint32_t source_count;
    const char *broker; /* "embedded" */
};

enum {
    MR_CONFIG_NO_CHECK =
        1, /* leave out the components' own check(): no pattern is compiled, no script looked for */
};

/* Reads and checks. MR_OK: `out` can be run (diags may hold warnings). MR_BADCONF: diags says all that is
 * wrong; out->sources is filled in all the same, for printing. a: all memory of `out`.
 * Blocks: reads files.   Thread: any. */
mr_code mr_config_load(const struct mr_config_file *files, size_t count, const struct mr_catalog *catalog,
                       unsigned flags, struct mr_heap_arena *a, struct mr_diags *diags,
                       struct mr_config *out);

/* Sorted by place:
 *   access.yaml:9:11: error: unknown option 'lates' of step 'window'
 *      9 |           lates: 30s
 *        |           ^~~~~
 *        = did you mean 'late'?
 * and a last line "2 errors, 1 warning". color: with ANSI colours. */
void mr_diags_print(const struct mr_diags *diags, const struct mr_config_file *sources, size_t count,
                    FILE *to, bool color);

/* One YAML text to a tree, without substitution and meaning; node.yaml and such may use it too. NULL after
 * an error. text [borrow] as long as the tree; name likewise. */
struct mr_node *mr_yaml_read(const char *name, struct mr_slice text, struct mr_heap_arena *a,
                             struct mr_diags *diags);
/* ${...} in every scalar below n. env NULL: the process's environment. Errors go to diags. */
void mr_substitute(struct mr_node *n, const char *(*env)(void *arg, const char *name), void *arg,
                   struct mr_heap_arena *a, struct mr_diags *diags);

#endif
