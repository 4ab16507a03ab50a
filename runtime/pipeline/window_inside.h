/* window_inside.h - what window.c (events, closing) and window_group.c (groups, aggregates) share. */
#ifndef MR_PIPELINE_WINDOW_INSIDE_H
#define MR_PIPELINE_WINDOW_INSIDE_H

#include "data/batch.h"
#include "pipeline/flow.h"
#include "pipeline/window.h"

enum { MR_WINDOW_INPUTS_MAX = 256, MR_WINDOW_COMPUTE_MAX = 64, MR_WINDOW_BY_MAX = 16 };

enum agg_kind { AGG_COUNT, AGG_SUM, AGG_MIN, AGG_MAX, AGG_AVG, AGG_FIRST, AGG_LAST };

struct field { /* a path, and its slot when it is one plain name */
    struct mr_slice name;
    struct mr_path *path;
    bool plain;
    int32_t slot; /* in the batch in hand */
};

struct compute {
    struct mr_slice name;
    enum agg_kind kind;
    bool has_field; /* not for count() */
    struct field field;
};

struct cell { /* one aggregate of one group */
    int64_t n;
    bool floating;
    int64_t i;
    double f;
    struct mr_value v; /* min, max, first, last: a string's bytes are ours */
};

struct group {
    uint64_t hash;
    char *key; /* encoded by-values; points into the window's own memory */
    uint32_t key_len;
    struct cell cell[]; /* [computes] */
};

struct window {
    mr_ns start;
    struct group **groups; /* in order of first appearance */
    uint32_t count, cap;
    uint32_t *table; /* open addressing: index + 1 */
    uint32_t table_size;
    struct mr_ack **acks;
    uint32_t ack_count, ack_cap;
};

/* A closed window whose results are on their way. */
struct closing {
    struct closing *next; /* oldest first */
    struct window_step *step;
    mr_ns end;
    uint32_t waiting; /* result batches not yet delivered */
    struct mr_ack **acks;
    uint32_t ack_count;
};

struct input {
    uint64_t id;
    mr_ns max;      /* largest event time seen */
    mr_ms heard_at; /* monotonic */
};

struct window_step {
    /* options */
    struct mr_slice id;
    mr_ms every, wait, idle;
    struct mr_strings by;
    struct mr_value compute_option;
    int late;
    int64_t max_groups, memory;
    /* own */
    const struct mr_services *svc;
    struct mr_host *host;
    struct field by_field[MR_WINDOW_BY_MAX];
    struct compute compute[MR_WINDOW_COMPUTE_MAX];
    uint32_t by_count, compute_count;
    bool ready;
    bool whole;              /* snapshots hold all groups, and no acks are held */
    struct window **windows; /* by start, ascending */
    uint32_t window_count, window_cap;
    struct window *last;
    struct input input[MR_WINDOW_INPUTS_MAX];
    uint32_t input_count;
    bool inputs_merged; /* more inputs than we follow: one for all */
    mr_ns watermark;    /* closed up to here; MR_TIME_NONE: nothing yet */
    mr_ns done;         /* W3; MR_TIME_NONE: nothing yet */
    struct closing *closing, **closing_end;
    int64_t groups, bytes;
    struct mr_value in_hand[MR_WINDOW_COMPUTE_MAX]; /* of the event being added */
    char *scratch;
    size_t scratch_cap;
};

mr_ns mr_window_start(const struct window_step *s, mr_ns t);
/* The open window that starts at `start`, made when there is none. NULL: no memory. */
struct window *mr_window_at(struct window_step *s, mr_ns start);
void mr_window_free(struct window_step *s, struct window *w);

struct mr_value mr_window_value(const struct field *f, struct mr_batch *b, uint32_t row);
/* The by-values of an event as bytes in s->scratch. false: *why says what stands against it. */
bool mr_window_key(struct window_step *s, struct mr_batch *b, uint32_t row, uint32_t *len, const char **why);
/* ... and back into the fields of a result. */
void mr_window_unkey(const struct window_step *s, const struct group *g, struct mr_batch *b, uint32_t row);
/* The group of a key; NULL: a limit, named in *limit. */
struct group *mr_window_group(struct window_step *s, struct window *w, const char *key, uint32_t len,
                              const char **limit);

/* window_state.c: all of it as bytes, and back into a step without windows. MR_BADCONF: it is of a window
 * that was defined in another way. */
bool mr_window_save(const struct window_step *s, struct mr_buf *out);
mr_code mr_window_load(struct window_step *s, struct mr_slice saved, struct mr_err *err);

/* Could this value go into this aggregate? NULL: yes. */
const char *mr_window_unfit(const struct compute *c, const struct cell *cell, const struct mr_value *v);
bool mr_window_add(struct window_step *s, const struct compute *c, struct cell *cell,
                   const struct mr_value *v);
struct mr_value mr_window_result(const struct compute *c, const struct cell *cell, struct mr_arena *a);

#endif
