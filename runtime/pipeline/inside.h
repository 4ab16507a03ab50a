/* inside.h - a running pipeline, as the files of this folder see it.
 *
 * Words.  A *part* is one instance of a component: a source, a step, an output. A *flight* is a batch on its
 * way, with the holds it has on acks. A *send* is what one output still has to take of one flight. A *turn*
 * is one call of the loop in which sources are read.
 *
 * One thread, the lane, owns all of it; other threads come in through mr_post and read the counters.
 *
 * opening --all parts open--> running --mr_pipeline_stop, or all sources ended--> draining
 *   --nothing on its way--> finishing (once: each step's finish, and drain again)
 *   --> closing --no port call out--> ended, or opening (mr_pipeline_again)
 */
#ifndef MR_PIPELINE_INSIDE_H
#define MR_PIPELINE_INSIDE_H

#include "base/arena.h"
#include "base/map.h"
#include "data/batch.h"
#include "pipeline/config.h"
#include "pipeline/flow.h"
#include "pipeline/run.h"
#include "pipeline/topics.h"
#include "plugin/host.h"
#include "plugin/option.h"

#include <stdatomic.h>

enum {
    MR_FLIGHTS_MAX = 256,         /* on their way in one pipeline; reading pauses beyond */
    MR_ACKS_MAX = 1 << 20,        /* reads of one source not yet acknowledged; reading pauses beyond */
    MR_POSITIONS_MAX = 1 << 18,   /* inputs (files, partitions) of one source */
    MR_SENDS_MAX = 64,            /* unanswered writes of one output */
    MR_METRICS_MAX = 32,          /* of one part */
    MR_WATCHES_MAX = 1024,        /* descriptors of one part */
    MR_CHECKPOINT_MS = 1000,      /* positions are stored at most so often ... */
    MR_CHECKPOINT_EARLY_MS = 100, /* ... but the first ones sooner: who is killed again and again gets on */
    MR_CHECKPOINTS_EARLY = 5,
    MR_BACKOFF_MS_MAX = 30000,     /* longest pause between attempts */
    MR_BATCH_BYTES_MAX = 64 << 20, /* of one batch ('batch_bytes') */
    MR_MADE_FACTOR = 16,           /* batches made by steps may exceed pipeline_bytes by so much */
    MR_EPOCH_TIMEOUT_MS = 60000,   /* 'transaction_ms': a transaction that is open for longer is undone */
    MR_EPOCH_ALIVE_MS =
        12 * 3600 * 1000,           /* a pipeline without events commits nevertheless, once in so long */
    MR_EPOCH_BYTES_MAX = 64 << 20,  /* written in one transaction; it is committed when so much is */
    MR_STATE_BYTES_MAX = 256 << 20, /* 'state_bytes': positions and snapshots of one pipeline */
};

struct mr_pipeline;
struct mr_watch;
struct mr_epoch;

enum mr_part_role { MR_ROLE_SOURCE, MR_ROLE_STEP, MR_ROLE_OUTPUT };

struct mr_metric {
    const char *_Atomic name;
    _Atomic int64_t value;
};

struct mr_part {
    struct mr_host host; /* first: a host is a part */
    struct mr_pipeline *line;
    const struct mr_config_component *conf;
    const struct mr_component *c;
    enum mr_part_role role;
    uint32_t index;
    void *self;
    struct mr_owned *owned;
    struct mr_heap_arena options;
    struct mr_expr *when;
    bool open;
    _Atomic bool waking;   /* a wake-up is posted and has not run yet */
    struct mr_timer timer; /* the component's own */
    struct mr_timer again; /* open or write once more */
    uint32_t attempts;     /* failed ones in a row */
    bool told;             /* the present trouble has been logged */
    struct mr_fd_watch {
        struct mr_fd_watch *next;
        struct mr_part *part;
        int fd;
        struct mr_watch *watch; /* NULL: disarmed until the source has read all there is */
    } * watches;
    uint32_t watch_count;
    struct mr_metric metrics[MR_METRICS_MAX];
};

struct mr_ack {
    struct mr_source *source;
    struct mr_ack *next; /* the read after this one */
    uint32_t holds;
    bool placed;              /* has a position */
    struct mr_slice key, pos; /* in `text`, or on the heap when longer */
    char text[48];
};

struct mr_source {
    struct mr_part part; /* first */
    bool ready, ended;
    struct mr_ack *first, *last; /* in order of reads */
    uint32_t ack_count;
    struct mr_map stored; /* position key -> struct mr_slice *: what the next checkpoint says */
    struct mr_map seen;   /* the same as of the last read: where to go on after an error */
    int64_t lag;          /* -1: cannot tell */
    size_t pinned;        /* bytes that the batch just read keeps alive outside of its arena */
    void (*feeders_changed)(struct mr_source *s); /* topic sources */
    /* Topic sources that read for a consumer group, where their positions live, too: */
    bool grouped;
    void (*commit)(struct mr_source *s); /* `stored` has moved, and the checkpoint is on the disk */
    bool (*settle)(struct mr_source *s); /* false: its last commit is not answered yet */
    void (*epoch_commit)(struct mr_source *s, struct mr_epoch *e); /* adds `stored` to the transaction */
    void (*epoch_ended)(struct mr_source *s);                      /* it is committed */
};

struct mr_step {
    struct mr_part part; /* first */
    struct mr_buf scratch;
};

struct mr_send {
    struct mr_send *next;
    struct mr_flight *flight;
    uint16_t *sel; /* rows still to be taken; [heap] */
    uint32_t count;
    uint32_t attempts;
    uint64_t ticket;
};

struct mr_output {
    struct mr_part part;          /* first */
    struct mr_send *first, *last; /* not yet written, or to be written again */
    struct mr_send *pending;      /* unanswered */
    uint32_t pending_count;
    uint64_t next_ticket;
    bool pausing; /* part.again is set */
    bool pumping;
    struct mr_verdict *verdict; /* [MR_BATCH_ROWS_MAX] */
};

struct mr_delivered {
    struct mr_delivered *next;
    void (*done)(void *arg);
    void *arg;
};

struct mr_flight {
    struct mr_flight *next, *prev;
    struct mr_pipeline *line;
    struct mr_batch *b;
    size_t bytes;
    size_t pinned;      /* of bytes: what the source keeps alive for the batch */
    struct mr_ack *ack; /* of the read it came from; also in holds[0] */
    struct mr_ack **holds;
    struct mr_ack *inline_holds[2];
    uint32_t hold_count, hold_cap;
    struct mr_delivered *delivered;
    uint32_t waiting; /* sends, and one while it is in our hands */
    uint32_t alive;   /* events that are neither dropped, dead nor replaced */
    bool emitted;
    uint64_t gone[MR_BATCH_ROWS_MAX / 64]; /* rows that some output refused: counted already */
    bool gone_used;
};

/* Counters: written by the lane, read by anyone. */
struct mr_counters {
    _Atomic int64_t in, made, out, dropped, dead, replaced, in_flight, errors, retries, lag, bytes, acked_at;
    _Atomic int state;
};

/* What a lane gives to its pipelines. */
struct mr_lane_env {
    struct mr_world *world;
    struct mr_topics *topics;
    const char *data_dir;
    bool once;
    mr_ms drain_ms;
    struct mr_lua **lua;
    mr_code (*watch)(struct mr_world *w, int fd, void (*ready)(void *arg), void *arg, struct mr_watch **out,
                     struct mr_err *err); /* NULL: descriptors cannot be watched here */
    void (*unwatch)(struct mr_watch *watch);
    void (*log)(void *arg, enum mr_level level, const char *label, const char *text);
    /* Once: does some pipeline of this run still write to this topic? NULL: none does. */
    bool (*fed)(void *arg, const struct mr_pipeline *reader, const char *topic);
    void (*ended)(void *arg, struct mr_pipeline *line, int exit_code);
    void *arg;
    void *test; /* yaml_test.c: what its source and sink share */
};

enum mr_line_state { MR_LINE_OPENING, MR_LINE_RUNNING, MR_LINE_DRAINING, MR_LINE_CLOSING, MR_LINE_ENDED };

struct mr_dead;

struct mr_pipeline {
    const struct mr_config_pipeline *conf;
    struct mr_lane_env env;
    enum mr_line_state state;
    int exit_code;
    bool stopping; /* asked to stop: no finish of steps */
    bool forced;
    struct mr_source *sources;
    struct mr_step *steps;
    struct mr_output *outputs;
    uint32_t finish_at; /* once: the next step to finish */
    uint32_t turn_at;   /* the source whose turn is next */
    bool turn_posted, settling;
    struct mr_batch_pool *pool;
    struct mr_flight *flights, *spare_flights;
    struct mr_ack *spare_acks;
    uint32_t flight_count, spare_flight_count, spare_ack_count;
    size_t live_bytes;
    uint32_t calls_out; /* of the topics port */
    struct mr_counters n;
    struct mr_dead *dead;
    struct mr_epoch *epoch; /* delivery exactly once; else NULL */
    bool begins_again;      /* closing, and then from the last commit */
    bool again_told;
    uint32_t restarts; /* in a row */
    struct mr_timer restart;
    bool dead_told; /* the first dead letter has been logged, with its reason */
    /* checkpoint */
    struct mr_timer checkpoint, deadline;
    bool dirty, checkpoint_told;
    uint32_t checkpoints;         /* stored, up to MR_CHECKPOINTS_EARLY */
    struct mr_replacing *storing; /* a checkpoint on its way to the disk; NULL: none */
    bool last_waits;              /* the last checkpoint failed and is tried again */
    char *checkpoint_path;
    struct mr_buf foreign;           /* stored positions of sources that are not in the plan now: kept */
    bool conditional, unconditional; /* outputs with if/else; outputs without */
};

/* ---------------------------------------------------------------- pipeline.c */
mr_code mr_pipeline_new(const struct mr_config_pipeline *conf, const struct mr_lane_env *env,
                        struct mr_pipeline **out, struct mr_err *err);
void mr_pipeline_start(struct mr_pipeline *l);
void mr_pipeline_stop(struct mr_pipeline *l, bool force);
void mr_pipeline_free(struct mr_pipeline *l); /* ended, or never started */
void mr_pipeline_feeders_changed(struct mr_pipeline *l);
void mr_pipeline_counts(const struct mr_pipeline *l, struct mr_run_counts *out, mr_ms now);
/* A checkpoint has ended, well or not. */
void mr_pipeline_stored(struct mr_pipeline *l, mr_code rc, const struct mr_err *err);
/* Positions and state of exactly-once delivery are known: goes on with starting. */
void mr_pipeline_opened(struct mr_pipeline *l);
bool mr_pipeline_idle(const struct mr_pipeline *l); /* no event is on its way */
/* Something may have become possible: reading, draining, ending. */
void mr_pipeline_poke(struct mr_pipeline *l);
/* Ends it with exit code 1; part NULL: of the pipeline as a whole. */
__attribute__((format(printf, 3, 4))) void mr_pipeline_fail(struct mr_pipeline *l, const struct mr_part *part,
                                                            const char *format, ...);
/* Exactly once: its transaction cannot go on. It begins again from the last commit, with growing pauses. */
__attribute__((format(printf, 3, 4))) void
mr_pipeline_again(struct mr_pipeline *l, const struct mr_part *part, const char *format, ...);
void mr_pipeline_rewind(struct mr_pipeline *l);  /* everything is closed */
void mr_pipeline_goes_on(struct mr_pipeline *l); /* something was committed */
void mr_pipeline_source_ready(struct mr_source *s);
/* Runs a flight through the steps from `at` on, then to the outputs. */
void mr_pipeline_run(struct mr_pipeline *l, struct mr_flight *f, uint32_t at);
static inline bool mr_pipeline_over(const struct mr_pipeline *l)
{
    return l->state >= MR_LINE_CLOSING;
}
static inline void mr_count(_Atomic int64_t *c, int64_t n) /* one writer: no locked instruction */
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

/* ---------------------------------------------------------------- part.c: instances and what they may ask */
extern const struct mr_host_ops mr_part_ops;
bool mr_part_init(struct mr_part *p, struct mr_pipeline *l, const struct mr_config_component *conf,
                  enum mr_part_role role, uint32_t index);
mr_code mr_part_open(struct mr_part *p, struct mr_err *err);
void mr_part_close(struct mr_part *p);
void mr_part_fini(struct mr_part *p);
void mr_part_rearm(struct mr_part *p); /* the source has read all there is: watch again */
__attribute__((format(printf, 3, 4))) void mr_part_log(const struct mr_part *p, enum mr_level level,
                                                       const char *format, ...);
mr_ms mr_backoff(struct mr_world *w, mr_ms first, uint32_t attempt); /* attempt from 1; with jitter */
static inline bool mr_passing(mr_code rc)                            /* trouble that may go away by itself */
{
    return rc == MR_GONE || rc == MR_IO || rc == MR_NOSPACE || rc == MR_TIMEOUT;
}

/* ---------------------------------------------------------------- flow.c: acks and flights */
struct mr_ack *mr_ack_new(struct mr_source *s, struct mr_slice key, struct mr_slice pos); /* with one hold */
void mr_source_fini(struct mr_source *s);
void mr_source_forget(struct mr_source *s); /* its positions: they are of something else now */
bool mr_position_put(struct mr_map *m, struct mr_slice key, struct mr_slice pos);
struct mr_flight *mr_flight_new(struct mr_pipeline *l, struct mr_batch *b);
void mr_flight_free(struct mr_flight *f);  /* without delivery */
void mr_flight_bytes(struct mr_flight *f); /* counts anew what it holds */
/* One of those who wait for it is done; the last one delivers it. */
void mr_flight_drop(struct mr_flight *f);
/* The rows of sel that are not kept: counted, and the rejected ones sent their way. Then sel is compact. */
void mr_flight_settle(struct mr_flight *f, const struct mr_config_component *conf);
/* One event is refused: drop, dead ... by on_error. `counted`: it is one that outputs have seen. */
void mr_flight_reject(struct mr_flight *f, uint32_t row, const struct mr_config_component *conf,
                      struct mr_slice reason, bool counted);

/* ---------------------------------------------------------------- output.c */
void mr_outputs_take(struct mr_pipeline *l, struct mr_flight *f); /* f's rows to the outputs they are for */
void mr_output_answer(struct mr_output *o, uint64_t ticket, const struct mr_verdict *verdict, uint32_t count);
void mr_output_open_again(struct mr_output *o);
void mr_output_pump(struct mr_output *o);
void mr_output_drop(struct mr_output *o); /* what it has in hand */
void mr_output_fini(struct mr_output *o);

/* ---------------------------------------------------------------- dead.c */
mr_code mr_dead_new(struct mr_pipeline *l, struct mr_err *err);
void mr_dead_free(struct mr_dead *d);
bool mr_dead_add(struct mr_dead *d, struct mr_flight *f, uint32_t row, const struct mr_config_component *conf,
                 struct mr_slice reason);
void mr_dead_flush(struct mr_dead *d); /* hands over what was added */
bool mr_dead_idle(const struct mr_dead *d);

/* ---------------------------------------------------------------- checkpoint.c */
mr_code mr_checkpoint_load(struct mr_pipeline *l, struct mr_err *err); /* positions only; before parts open */
mr_code mr_checkpoint_restore(struct mr_pipeline *l, struct mr_err *err); /* steps; after they opened */
/* Flushes outputs and stores positions and snapshots; waits until they are durable. */
mr_code mr_checkpoint_store(struct mr_pipeline *l, struct mr_err *err);
/* The same, but the syncs happen in a worker: MR_PENDING, then mr_pipeline_stored. One at a time (`storing`).
 */
mr_code mr_checkpoint_begin(struct mr_pipeline *l, struct mr_err *err);
/* The pieces, for exactly-once delivery: what a checkpoint file would hold; the file as it is, empty when
 * there is none; to throw it away; and to take from such a text what load or restore take. */
mr_code mr_checkpoint_gather(struct mr_pipeline *l, struct mr_buf *out, struct mr_err *err);
mr_code mr_checkpoint_file(struct mr_pipeline *l, struct mr_buf *out, struct mr_err *err);
mr_code mr_checkpoint_forget(struct mr_pipeline *l, struct mr_err *err);
mr_code mr_checkpoint_take(struct mr_pipeline *l, struct mr_slice text, bool steps, struct mr_err *err);

/* ---------------------------------------------------------------- epoch.c: delivery exactly once */
mr_code mr_epoch_new(struct mr_pipeline *l, struct mr_err *err);
void mr_epoch_open(struct mr_epoch *e);                   /* mr_pipeline_opened follows */
struct mr_slice mr_epoch_state(const struct mr_epoch *e); /* what was committed last; empty: nothing */
void mr_epoch_started(struct mr_epoch *e);                /* that text is not needed any more */
bool mr_epoch_pauses(const struct mr_epoch *e);           /* nothing is read */
bool mr_epoch_holds(const struct mr_epoch *e);            /* outputs and dead letters wait */
bool mr_epoch_moved(const struct mr_epoch *e);            /* there were events since the last commit */
mr_ms mr_epoch_wait(const struct mr_epoch *e);            /* until the next one is due */
void mr_epoch_due(struct mr_epoch *e);                    /* commit as soon as nothing is on its way */
void mr_epoch_step(struct mr_epoch *e);                   /* something may have become possible */
bool mr_epoch_last(struct mr_epoch *e);                   /* false: the last commit is under way */
struct mr_topic_txn *mr_epoch_add(struct mr_epoch *e);    /* one more call before the end ... */
void mr_epoch_added(struct mr_epoch *e, mr_code rc, const char *why); /* ... is answered */
/* As the port's produce, in the transaction. */
void mr_epoch_produce(struct mr_epoch *e, struct mr_slice topic, int32_t partition, struct mr_buf bytes,
                      void (*done)(void *arg, mr_code rc, int64_t base_offset, const char *why), void *arg);
void mr_epoch_close(struct mr_epoch *e);
void mr_epoch_free(struct mr_epoch *e);

#endif
