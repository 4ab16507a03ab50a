/* config_inside.h - what the files that make a plan share. */
#ifndef MR_PIPELINE_CONFIG_INSIDE_H
#define MR_PIPELINE_CONFIG_INSIDE_H

#include "pipeline/config.h"

struct mr_plan { /* a plan in the making */
    const struct mr_catalog *catalog;
    unsigned flags;
    struct mr_heap_arena *a;
    struct mr_diags *diags;
    struct mr_config *out;
    bool no_memory;
};

/* One key that a map may have. */
struct mr_plan_key {
    const char *name;
    const char *unsupported; /* NULL: supported; else what to do instead */
};

void *mr_plan_take(struct mr_plan *p,
                   size_t bytes); /* zeroed; never NULL: a last resort is reported and used */
const char *mr_plan_text(struct mr_plan *p, struct mr_slice s); /* NUL-terminated copy */
__attribute__((format(printf, 2, 3))) const char *mr_plan_printf(struct mr_plan *p, const char *format, ...);

/* The diag just made is a warning; before: diags->count before it was made. */
void mr_plan_as_warning(struct mr_plan *p, uint32_t before);
/* Says which keys of a map are unknown or not supported. what: "a pipeline", "the file". */
void mr_plan_keys(struct mr_plan *p, const struct mr_node *map, const struct mr_plan_key *known, size_t count,
                  const char *what);
/* Scalars with a meaning; each says what is wrong and returns false. */
bool mr_plan_bool(struct mr_plan *p, const struct mr_node *n, bool *out);
bool mr_plan_int(struct mr_plan *p, const struct mr_node *n, int64_t min, int64_t max, int64_t *out);
bool mr_plan_duration(struct mr_plan *p, const struct mr_node *n, mr_ms *out);
bool mr_plan_on_error(struct mr_plan *p, const struct mr_node *n, bool output, enum mr_on_error *out);

/* component.c: one source, step or output. role: "from", "steps", "to"; index: its place. */
void mr_plan_component(struct mr_plan *p, const struct mr_config_pipeline *line, enum mr_kind kind,
                       uint32_t index, const struct mr_node *n, struct mr_config_component *out);
/* The scalar of option `name` of a component, or of its main option; NULL: not given or not a scalar. */
const struct mr_node *mr_plan_option(const struct mr_config_component *c, const char *name);

/* cross.c: what only shows when all pipelines are known. */
void mr_plan_cross(struct mr_plan *p);

#endif
