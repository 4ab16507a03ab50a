/* run.h - a run: all pipelines of a plan, on their lanes, from start to the last checkpoint.
 *
 * Each pipeline lives on one lane, a thread with a world of its own; there are min(cores, pipelines) of them.
 *
 * Law: made and read events are all accounted for, at any time:
 *      in + made = out + dropped + dead + replaced + in_flight
 */
#ifndef MR_PIPELINE_RUN_H
#define MR_PIPELINE_RUN_H

#include "pipeline/config.h"
#include "pipeline/topics.h"

struct mr_run;

struct mr_run_options {
    const struct mr_config *config; /* [borrow] until mr_run_free, like the next three */
    const struct mr_catalog *catalog;
    struct mr_topics *topics; /* NULL: pipelines with topics and dead letters are refused */
    const char *data_dir;     /* checkpoints go to <data_dir>/pipelines/<name>/; NULL: none are kept */
    bool once;                /* ends where the input ends now */
    unsigned lanes;           /* 0: min(cores, pipelines) */
    mr_ms drain_ms;           /* after mr_run_stop: then by force; 0: 30 s */
    /* Any thread. label "access-clean/steps[1]"; both [borrow]. NULL: to stderr. */
    void (*log)(void *arg, enum mr_level level, const char *label, const char *text);
    /* Once, on a lane's thread, when the last pipeline has ended; mr_run_wait returns after it. NULL: nobody.
     */
    void (*done)(void *arg, int exit_code);
    void *arg;
};

enum mr_run_state { MR_RUN_OPENING, MR_RUN_RUNNING, MR_RUN_DRAINING, MR_RUN_ENDED, MR_RUN_FAILED };

/* Events, unless it says otherwise. */
struct mr_run_counts {
    enum mr_run_state state;
    int64_t in;       /* read by sources */
    int64_t made;     /* emitted by steps */
    int64_t out;      /* taken by every output that they were for */
    int64_t dropped;  /* by a step, by on_error: drop, or matched no output */
    int64_t dead;     /* in the dead-letter topic, or on the way there */
    int64_t replaced; /* other events stand for them */
    int64_t in_flight;
    int64_t errors;   /* rejections, whatever became of them */
    int64_t retries;  /* attempts after the first */
    int64_t lag;      /* behind the end of what sources read, where they can tell; -1: not known */
    int64_t bytes;    /* live batches */
    int64_t acked_ms; /* since the last checkpoint that moved a position; -1: none yet */
};

/* Adds what this room has built in: source and sink `topic`, step `window`. */
mr_code mr_pipeline_components(struct mr_catalog *c, struct mr_err *err);

mr_code mr_run_new(const struct mr_run_options *o, struct mr_run **out, struct mr_err *err);
mr_code mr_run_start(struct mr_run *r, struct mr_err *err); /* starts the lanes; components open there */
void mr_run_stop(struct mr_run *r); /* any thread: read no more, drain, checkpoint, end; again: by force */
void mr_run_force(
    struct mr_run *r); /* any thread: end now; what is not acknowledged is read again next time */
/* Until all pipelines have ended. 0: well; 1: a pipeline failed (the log says which and why); 3: stopped by
 * force with events in flight. */
int mr_run_wait(struct mr_run *r);
void mr_run_free(struct mr_run *r); /* after wait, or never started; NULL is fine */

uint32_t mr_run_count(const struct mr_run *r); /* pipelines */
const char *mr_run_name(const struct mr_run *r, uint32_t i);
void mr_run_counts(const struct mr_run *r, uint32_t i, struct mr_run_counts *out); /* any thread, any time */
/* Metrics that components count (services->count): each(arg, label, metric, value). Any thread. */
void mr_run_metrics(const struct mr_run *r, uint32_t i,
                    void (*each)(void *arg, const char *label, const char *metric, int64_t value), void *arg);

/* The `tests:` of a plan, on a virtual clock, with sources and outputs replaced. Prints a line each and a
 * readable difference for those that fail; returns how many failed. only: name of one test; NULL: all. */
uint32_t mr_test_run(const struct mr_config *config, const struct mr_catalog *catalog, const char *only,
                     FILE *to, bool color);

#endif
