/* plugin.h - all that a plugin sees of millrace.
 *
 * A plugin is a shared object with one exported symbol, mr_plugin_entry(), which returns a description:
 * abi, size, name, version and a list of components. A component is a source, a processor or a sink: an
 * option table and callbacks. The runtime hands in one versioned struct of services; a plugin links
 * against nothing of ours. Every struct begins with its size and grows at its end only.
 *
 * Life of a component:   zeroed self of self_size bytes -> options filled in by the host -> check()
 *   -> open() -> read() / process() / write() ... -> close().   `check` makes no input or output: lint
 *   calls it too. Everything of one instance runs on one thread, its lane; only services marked
 *   "any thread" may be called from elsewhere. No callback may block for longer than a moment: a source
 *   that has nothing says MR_AGAIN and is called again after wake(), when a watched descriptor is
 *   ready, or at its timer.
 */
#ifndef MILLRACE_PLUGIN_H
#define MILLRACE_PLUGIN_H

#include <millrace/types.h>

enum {
    MR_ABI = 1,
    MR_BATCH_ROWS_MAX = 4096,    /* events in a batch */
    MR_BATCH_COLUMNS_MAX = 1024, /* different top-level field names in a batch */
};

struct mr_host;     /* the runtime's side of one component instance */
struct mr_expr;     /* a compiled condition or expression over e and m */
struct mr_template; /* a compiled "text {{ path | format }}" */
struct mr_decoder;  /* text or bytes -> fields */

/* ---------------------------------------------------------------- batches */

enum mr_fate {
    MR_KEPT = 0,
    MR_DROPPED,  /* by a step, on purpose; counted as dropped */
    MR_REJECTED, /* with a reason: goes the way of on_error */
    MR_REPLACED, /* other events, emitted by this step, stand for it */
};

struct mr_column {
    const char *name; /* [arena] */
    uint32_t name_len;
    uint32_t removed;   /* not 0: the field was taken away from every event; look-ups do not find it */
    struct mr_value *v; /* [row], `cap` values; MR_MISSING where an event lacks the field */
};

/* 1 to MR_BATCH_ROWS_MAX events, column by column. Rows are never moved: `sel` says which are still
 * there, so that a filter costs a mark. All memory below is the batch's and lives as long as the batch.
 *
 *   for (uint32_t k = 0; k < b->count; k++) { uint32_t row = b->sel[k]; ... }
 *
 * Dropping inside that loop is safe: `fate` is set, and the host closes the gaps after the callback.
 */
struct mr_batch {
    uint32_t size;
    uint32_t cap;    /* rows there is room for */
    uint32_t rows;   /* rows that exist */
    uint32_t count;  /* rows chosen: the length of sel */
    uint16_t *sel;   /* [count] row numbers, ascending */
    uint8_t *fate;   /* [row] enum mr_fate */
    int64_t *time;   /* [row] event time in ns, MR_TIME_NONE when not known */
    int64_t *offset; /* [row] where the event begins in its source: bytes, offset or number; -1 unknown */
    struct mr_value *key;     /* [row] record key (m.key); MR_MISSING when none */
    struct mr_value *headers; /* [row] MR_OBJECT or MR_MISSING (m.headers); NULL when no row has any */
    struct mr_slice *raw; /* [row] the JSON text that the fields came from, len 0 once the event differs */
    struct mr_column
        *column; /* [columns]; the array moves when a column is added: keep slots, not pointers */
    uint32_t columns;
    int32_t partition;       /* m.partition, -1 when there is none */
    struct mr_slice source;  /* m.source: file, peer or topic that all events of the batch came from */
    struct mr_arena *arena;  /* for anything that the batch's values point to */
    struct mr_slice pos_key; /* source: which input's position this batch moves (a file's identity) */
    struct mr_slice pos;     /* source: where that input stands after this batch; opaque to the host */
    void *runtime;           /* the runtime's own */
    void *flow;              /* the pipeline's own: who waits for these events */
};

static inline void mr_batch_drop(struct mr_batch *b, uint32_t row)
{
    b->fate[row] = MR_DROPPED;
}

/* Call for every event of which a column, other than by services->set, was written: it is no longer
 * the text that it came in. */
static inline void mr_batch_touch(struct mr_batch *b, uint32_t row)
{
    if (b->raw)
        b->raw[row].len = 0;
}

/* ---------------------------------------------------------------- options */

enum mr_option_type {
    MR_OPT_STRING,   /* struct mr_slice */
    MR_OPT_BOOL,     /* bool */
    MR_OPT_INT,      /* int64_t; min and max */
    MR_OPT_FLOAT,    /* double; min and max */
    MR_OPT_DURATION, /* mr_ms; written with its unit: 250ms 10s 5m 1h 7d */
    MR_OPT_SIZE,     /* int64_t bytes; 512 64KiB 4MiB 1GiB, also KB MB GB (powers of ten) */
    MR_OPT_ENUM,     /* int: index into `choices` */
    MR_OPT_STRINGS,  /* struct mr_strings; a single scalar is a list of one */
    MR_OPT_VALUE,    /* struct mr_value: any YAML tree */
    MR_OPT_EXPR,     /* struct mr_expr *: an expression over e and m */
    MR_OPT_EXPRS,    /* struct mr_named_exprs: a map of field path -> expression or literal (YAML scalar that
                        is not a string is a literal; a string is an expression) */
    MR_OPT_TEMPLATE, /* struct mr_template *: "{{ path | format }}" per event; NULL when not given */
    MR_OPT_FIELD,    /* struct mr_slice: the path of a field, such as http.path */
    MR_OPT_FIELDS,   /* struct mr_strings of paths */
    MR_OPT_RENAMES,  /* struct mr_renames: a map of old path -> new path */
};

struct mr_strings {
    uint32_t count;
    struct mr_slice *v;
};
struct mr_named_expr {
    struct mr_slice name;
    struct mr_expr *expr;
};
struct mr_named_exprs {
    uint32_t count;
    struct mr_named_expr *v;
};
struct mr_rename {
    struct mr_slice from, to;
};
struct mr_renames {
    uint32_t count;
    struct mr_rename *v;
};

/* One option. (The one struct here that has no size of its own: it does not grow within one MR_ABI.) Five
 * readers: the parser, lint, --help, the reference pages and the Lua host; so a default is written once, as
 * the user would write it. A table ends with { 0 }. */
struct mr_option {
    const char *name;
    enum mr_option_type type;
    uint32_t at;                /* offsetof in self */
    const char *unit;           /* of a bare number, for people: "bytes", "events"; NULL when none */
    const char *value;          /* default, as YAML; NULL: zero, or `required` */
    int64_t min, max;           /* INT, DURATION (ms), SIZE, FLOAT; both 0: no bounds */
    const char *const *choices; /* ENUM: NULL-terminated */
    bool required;
    bool main;           /* `component: scalar` sets this one */
    bool secret;         /* never printed */
    const char *help;    /* one sentence */
    const char *example; /* as YAML, NULL when the help is enough */
};

/* ---------------------------------------------------------------- services */

/* Bytes that grow; zeroed is empty. Freed with services->buf_free. */
struct mr_buf {
    char *p;
    size_t len, cap;
};

/* A sink's answer for one event. */
struct mr_verdict {
    uint8_t kind; /* 0: done. MR_VERDICT_RETRY, MR_VERDICT_REJECT */
    uint8_t spare[3];
    uint32_t after_ms;  /* RETRY: not before that; 0: the host's backoff */
    const char *reason; /* RETRY, REJECT: [static or arena of the batch] */
};
enum { MR_VERDICT_DONE = 0, MR_VERDICT_RETRY = 1, MR_VERDICT_REJECT = 2 };

enum mr_level { MR_DEBUG, MR_INFO, MR_WARN, MR_ERROR };

/* What the runtime does for a component. One struct, grown at its end: look at `size` before you use a
 * field that is newer than the one you were built with. `h` is the host handed to open and check.
 */
struct mr_services {
    uint32_t size;

    /* --- fields. A slot is a column's number; it stays good until the batch is gone. */
    /* Slot of a top-level field; -1 when absent (and not `create`), or at MR_BATCH_COLUMNS_MAX. */
    int32_t (*slot)(struct mr_batch *b, const char *name, size_t len, bool create);
    /* Decodes MR_JSON one level; anything else is copied as it is. [arena] of the batch. false: arena limit.
     */
    bool (*resolve)(struct mr_batch *b, const struct mr_value *in, struct mr_value *out);
    /* Reads and writes by path ("http.path", "tags[0]"). get: undecoded JSON never comes out. set with
     * MR_MISSING removes; both mark the event as changed. set: false when a limit was reached or a
     * path leads through something that is not an object. */
    struct mr_value (*get)(struct mr_batch *b, uint32_t row, const char *path, size_t len);
    bool (*set)(struct mr_batch *b, uint32_t row, const char *path, size_t len, struct mr_value v);
    /* Takes a top-level field away from all events of the batch. Cost: one mark, and one per row. */
    void (*remove)(struct mr_batch *b, const char *name, size_t len);
    /* Makes rows [0, rows) exist and be chosen. rows <= cap. */
    void (*rows)(struct mr_batch *b, uint32_t rows);
    /* The event goes to on_error with this reason. */
    __attribute__((format(printf, 3, 4))) void (*reject)(struct mr_batch *b, uint32_t row, const char *format,
                                                         ...);
    /* Keeps something alive as long as the batch; `release` is called once, on any thread. */
    bool (*pin)(struct mr_batch *b, void (*release)(void *), void *what);

    /* --- processors that make events */
    /* An empty batch whose events stand for events of `from` (NULL: of no one, as from a timer): the
     * acknowledgement of `from` waits for it. [give to emit] NULL: the pipeline's byte limit. */
    struct mr_batch *(*batch_new)(struct mr_host *h, struct mr_batch *from);
    void (*emit)(struct mr_host *h,
                 struct mr_batch *b); /* [move] on to the next step, before the batch in hand */

    /* --- time and waking */
    mr_ns (*now)(struct mr_host *h);                                 /* wall clock; virtual in tests */
    mr_ms (*monotonic)(struct mr_host *h);                           /* for intervals; virtual in tests */
    void (*wake)(struct mr_host *h);                                 /* any thread: call read again */
    mr_code (*watch)(struct mr_host *h, int fd, struct mr_err *err); /* call read when fd is readable */
    void (*unwatch)(struct mr_host *h, int fd);
    void (*timer)(struct mr_host *h, mr_ms at); /* monotonic; read or on_timer by then; MR_NEVER: none */
    bool (*once)(struct mr_host *h);            /* the run ends where the input ends now */

    /* --- telling */
    __attribute__((format(printf, 3, 4))) void (*log)(struct mr_host *h, enum mr_level level,
                                                      const char *format, ...);
    void (*count)(struct mr_host *h, const char *metric, int64_t delta); /* metric: [static] snake_case */

    /* --- expressions and templates, from the options */
    /* truth[row] = 0 or 1 for every chosen row. An event whose expression fails is rejected with the reason.
     */
    void (*test)(struct mr_host *h, struct mr_expr *x, struct mr_batch *b, uint8_t *truth);
    /* out[row] for every chosen row; same treatment of failures. */
    void (*eval)(struct mr_host *h, struct mr_expr *x, struct mr_batch *b, struct mr_value *out);
    /* [arena] of the batch; p NULL when a path is missing or a limit was reached (then `err` says which). */
    struct mr_slice (*render)(struct mr_template *t, struct mr_batch *b, uint32_t row, struct mr_err *err);

    /* --- formats */
    /* A decoder by name ("json", "combined", "regex", ...); options as a tree (see the reference of
     * `parse`). err->option and err->at say where. */
    mr_code (*decoder_new)(const char *format, size_t len, const struct mr_value *options,
                           struct mr_decoder **out, struct mr_err *err);
    /* Decodes text field `slot` of every chosen event into fields (under `into` unless NULL). Events
     * that do not fit are rejected with the reason. */
    void (*decode)(struct mr_decoder *d, struct mr_host *h, struct mr_batch *b, int32_t slot,
                   struct mr_slice into);
    void (*decoder_free)(struct mr_decoder *d);
    /* The chosen events as text, each ended by '\n', appended to `out`. format: "json" (one object a
     * line) or "lines" (the field `message`, else JSON). ends, when not NULL: [k] size of out after sel[k].
     */
    mr_code (*encode)(struct mr_host *h, const char *format, struct mr_batch *b, struct mr_buf *out,
                      size_t *ends, struct mr_err *err);
    void (*buf_free)(struct mr_buf *buf);
    /* --- sinks that answer later (MR_PENDING): any thread, once per write. verdict as in write. */
    void (*written)(struct mr_host *h, uint64_t ticket, const struct mr_verdict *verdict);
    /* --- appends to a buffer; false: no memory, or beyond 1 GiB. */
    bool (*buf_put)(struct mr_buf *buf, const void *p, size_t len);
    /* --- no "{{ }}" in it: renders the same for every event. May be NULL: not known. */
    bool (*template_is_constant)(const struct mr_template *t);
};

/* ---------------------------------------------------------------- components */

enum mr_kind { MR_SOURCE = 1, MR_PROCESSOR, MR_SINK };

/* A stored position, given back at open. */
struct mr_position {
    struct mr_slice key, pos;
};

struct mr_open {
    uint32_t size;
    const struct mr_services *services; /* stays good for ever */
    struct mr_host *host;
    const struct mr_position *positions; /* sources: what was stored, [borrow] */
    uint32_t position_count;
};

struct mr_component {
    uint32_t size;
    enum mr_kind kind;
    const char *name;    /* as in YAML: lower case, underscores */
    const char *summary; /* one sentence, ends with a full stop */
    const char *doc;     /* Markdown: exact behaviour, limits, an example */
    size_t self_size;
    const struct mr_option *options; /* ends with { 0 } */

    /* All: configuration is complete and right? No input or output. May be NULL. */
    mr_code (*check)(void *self, const struct mr_open *o, struct mr_err *err);
    /* All: get going. On failure close is called too. A failing source or sink is opened again with backoff
     * when the code is MR_GONE, MR_IO, MR_NOSPACE or MR_TIMEOUT; any other code ends the pipeline. */
    mr_code (*open)(void *self, const struct mr_open *o, struct mr_err *err);
    void (*close)(void *self); /* zeroed self is fine */

    /* Source: fill the empty batch. MR_OK: rows > 0, or no rows and a pos_key: that position moves (is
     * forgotten) without an event. MR_AGAIN: nothing now. MR_END: no more, ever.
     * b->pos_key and b->pos ([arena]) name the position after this batch; an empty pos forgets the key. */
    mr_code (*read)(void *self, struct mr_batch *b, struct mr_err *err);

    /* Processor: change, drop or reject events of `b`; emit others. A code other than MR_OK is a bug or a
     * limit of the step and stops the pipeline: one bad event is a reject. */
    mr_code (*process)(void *self, struct mr_batch *b, struct mr_err *err);
    /* Processor: the timer asked for has come. May emit. */
    mr_code (*on_timer)(void *self, struct mr_err *err);
    /* Processor: the input has ended (once, or a clean stop that drains); emit what is held. */
    mr_code (*finish)(void *self, struct mr_err *err);

    /* Sink: write the chosen events. verdict[k] belongs to sel[k] and is zeroed (done) beforehand. MR_OK: all
     * answered. MR_PENDING: services->written(host, ticket, ...) will follow. MR_GONE, MR_IO, MR_NOSPACE,
     * MR_TIMEOUT: nothing of it was written; the host tries the batch again with backoff. */
    mr_code (*write)(void *self, struct mr_batch *b, uint64_t ticket, struct mr_verdict *verdict,
                     struct mr_err *err);
    /* Sink: make durable what was answered with done. The positions of sources move only after this. NULL: is
     * durable already. */
    mr_code (*flush)(void *self, struct mr_err *err);

    /* Processor: what must survive a restart, appended to `out`; stored together with the positions of
     * sources, so that both speak of the same moment. restore comes after open and before the first event.
     * Both or none. */
    mr_code (*snapshot)(void *self, struct mr_buf *out, struct mr_err *err);
    mr_code (*restore)(void *self, struct mr_slice saved, struct mr_err *err);

    uint32_t traits; /* MR_REPLAYS ... */
};

/* Traits of components. */
enum {
    MR_REPLAYS =
        1, /* source: opened with a position it has given, it gives the events behind it again; needed
                       for `delivery: exactly_once` */
};

struct mr_plugin {
    uint32_t abi;  /* MR_ABI; must be equal */
    uint32_t size; /* sizeof(struct mr_plugin) */
    const char *name, *version;
    const struct mr_component *const *components; /* NULL-terminated */
};

#define MR_PLUGIN(plugin)                                                                                    \
    __attribute__((visibility("default"))) const struct mr_plugin *mr_plugin_entry(void);                    \
    const struct mr_plugin *mr_plugin_entry(void)                                                            \
    {                                                                                                        \
        return &(plugin);                                                                                    \
    }

#endif
