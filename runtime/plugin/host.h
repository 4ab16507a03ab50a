/* host.h - the runtime's side of a component: services by table, what depends on the lane through
 * mr_host_ops.
 *
 * plugin/services.c fills struct mr_services: fields, expressions, formats and buffers are answered from
 * data/ and the Lua host; batches, time, waking, telling and tickets go to host->ops, which the pipeline room
 * fills in.
 */
#ifndef MR_PLUGIN_HOST_H
#define MR_PLUGIN_HOST_H

#include <millrace/plugin.h>

struct mr_host_ops {
    struct mr_batch *(*batch_new)(struct mr_host *h, struct mr_batch *from);
    void (*emit)(struct mr_host *h, struct mr_batch *b);
    mr_ns (*now)(struct mr_host *h);
    mr_ms (*monotonic)(struct mr_host *h);
    void (*wake)(struct mr_host *h);
    mr_code (*watch)(struct mr_host *h, int fd, struct mr_err *err);
    void (*unwatch)(struct mr_host *h, int fd);
    void (*timer)(struct mr_host *h, mr_ms at);
    bool (*once)(struct mr_host *h);
    void (*log)(struct mr_host *h, enum mr_level level, const char *text);
    void (*count)(struct mr_host *h, const char *metric, int64_t delta);
    void (*written)(struct mr_host *h, uint64_t ticket, const struct mr_verdict *verdict);
};

/* Does nothing, for components that are looked at and do not run: no batch is handed out, what is told is
 * dropped, watching succeeds, `once` is true, the time stands still. Thread: any. */
extern const struct mr_host_ops mr_host_idle;

struct mr_lua; /* plugin/lua_host.h: one Lua state, one thread */

struct mr_host {
    const struct mr_host_ops *ops;
    const char *label;   /* "access-clean/steps[1]": in logs, errors and metrics; [borrow] */
    struct mr_lua **lua; /* the lane's Lua state, made when first needed; NULL: no Lua here (lint) */
};

const struct mr_services *mr_services(void); /* static, the same for all */

/* Expressions as options hold them: native where data/expr.h can, else Lua. Compiling needs no lane; a Lua
 * expression is loaded into host->lua when first used there. MR_BADCONF: err->at is the byte. */
mr_code mr_expr_new(const char *text, size_t len, struct mr_expr **out, struct mr_err *err);
struct mr_expr *mr_expr_constant(const struct mr_value *v); /* a literal; scalars only; NULL: no memory */
void mr_expr_free(struct mr_expr *x);
bool mr_expr_native(const struct mr_expr *x);
/* What services->test and ->eval are. */
void mr_expr_test(struct mr_host *h, struct mr_expr *x, struct mr_batch *b, uint8_t *truth);
void mr_expr_eval(struct mr_host *h, struct mr_expr *x, struct mr_batch *b, struct mr_value *out);

#endif
