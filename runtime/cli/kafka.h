/* kafka.h - a client of brokers for the verbs: opening, asking, telling what went wrong.
 *
 * The only place that includes librdkafka's header; the verbs use its calls through here.
 * Thread: all of it is for the one thread of millrace-kafka.
 */
#ifndef MR_CLI_KAFKA_H
#define MR_CLI_KAFKA_H

#include "cli/cli.h"
#include "cli/out.h"
#include "cli/place.h"

#include <librdkafka/rdkafka.h>
#include <signal.h>

/* What every verb takes; `set` and `json` are in the tables of those that want them. */
struct mr_kafka_flags {
    const char *broker, *timeout;
    const char *set[MR_CLI_MANY_MAX + 1];
    bool json;
};
const char *mr_kafka_where(void); /* MILLRACE_BROKER, or 127.0.0.1:9092 */
#define MR_KAFKA_FLAGS                                                                                       \
    {                                                                                                        \
        .broker = mr_kafka_where(), .timeout = "10s"                                                         \
    }
#define MR_KAFKA_BROKER_FLAG(f)                                                                              \
    {                                                                                                        \
        "broker", "HOST:PORT",                                                                               \
            "where to connect first (127.0.0.1:9092, or what MILLRACE_BROKER says); several with commas",    \
            NULL, &(f).broker                                                                                \
    }
#define MR_KAFKA_TIMEOUT_FLAG(f)                                                                             \
    {                                                                                                        \
        "timeout", "DURATION", "how long an answer may take (10s)", NULL, &(f).timeout                       \
    }
#define MR_KAFKA_SET_FLAG(f)                                                                                 \
    {"X", "KEY=VALUE...",                                                                                    \
     "a setting of librdkafka (security.protocol=ssl), or @FILE of them; may be "                            \
     "repeated",                                                                                             \
     NULL, (f).set},                                                                                         \
    {                                                                                                        \
        "set", "KEY=VALUE...", "the same as -X", NULL, (f).set                                               \
    }
#define MR_KAFKA_JSON_FLAG(f, help)                                                                          \
    {                                                                                                        \
        "json", NULL, help, &(f).json, NULL                                                                  \
    }
#define MR_KAFKA_COMMON_FLAGS(f) MR_KAFKA_BROKER_FLAG(f), MR_KAFKA_TIMEOUT_FLAG(f), MR_KAFKA_SET_FLAG(f)

struct mr_kafka {
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;              /* answers to admin requests */
    const struct rd_kafka_metadata *meta; /* of all topics, when it was opened or refreshed */
    const char *broker;
    int timeout_ms;
    bool down;                 /* no broker is reached */
    int64_t down_ms, asked_ms; /* since when that is told; when it was looked last */
    bool fatal;                /* the client can do no more */
    char trouble[256];         /* what was heard of connections last */
    struct mr_ask *ask;        /* ask.h; NULL until it is needed */
};

extern volatile sig_atomic_t mr_kafka_stopped; /* Ctrl-C or SIGTERM came */
void mr_kafka_catch_signals(void);             /* a second one ends the process */

/* One of librdkafka's settings; a value of NULL is left out. A table ends with { 0 }. */
struct mr_kafka_setting {
    const char *name, *value;
};
/* What every verb sets, then `own` (or NULL), then what --set says; NULL: told. [move] into
 * mr_kafka_open. */
rd_kafka_conf_t *mr_kafka_conf(const struct mr_verb *v, const struct mr_kafka_flags *f,
                               const struct mr_kafka_setting *own);
/* Connects and asks for the topics. 0, or the exit code (told); mr_kafka_close in any case. conf
 * NULL: the exit code of a wrong command line. `k` must stay where it is. */
int mr_kafka_open(struct mr_kafka *k, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                  const struct mr_kafka_flags *f);
void mr_kafka_close(struct mr_kafka *k);     /* content with a zeroed one */
void mr_kafka_close_ask(struct mr_kafka *k); /* its part of that */
int mr_kafka_refresh(struct mr_kafka *k);
/* The usual opening of a verb that asks as an admin. */
int mr_kafka_admin(struct mr_kafka *k, const struct mr_verb *v, const struct mr_kafka_flags *f);

/* While a verb reads or writes: tells once that no broker answers, and when one does again.
 * false: none has for longer than --timeout and `give_up` is set; told. */
bool mr_kafka_watch(struct mr_kafka *k, bool give_up);
void mr_kafka_heard(struct mr_kafka *k); /* a record, or the answer to one, has come: a broker is there */

/* NULL: there is none; told with the nearest name. */
const struct rd_kafka_metadata_topic *mr_kafka_topic(const struct mr_kafka *k, const char *name);
const struct rd_kafka_metadata_topic *mr_kafka_topic_quiet(const struct mr_kafka *k, const char *name);
/* false: told which it has. */
bool mr_kafka_has_partition(const struct rd_kafka_metadata_topic *t, int64_t id);
/* Each partition of a topic, no offsets. [move] */
rd_kafka_topic_partition_list_t *mr_kafka_partitions(const struct rd_kafka_metadata_topic *t);
/* Where the records at or after `when` (ms) start, for each partition of the list: into .offset;
 * -1: none, the end. MR_KAFKA_FIRST and MR_KAFKA_NEXT: the first offset, the one that comes next.
 * false: told. */
enum { MR_KAFKA_NEXT = -1, MR_KAFKA_FIRST = -2 };
bool mr_kafka_offsets(struct mr_kafka *k, rd_kafka_topic_partition_list_t *list, int64_t when);
/* Every partition's place within [first, next]. present: offsets for MR_PLACE_SHIFT, or NULL.
 * [move] NULL: told.
 */
rd_kafka_topic_partition_list_t *mr_kafka_places(struct mr_kafka *k,
                                                 const rd_kafka_topic_partition_list_t *which,
                                                 const struct mr_place *place,
                                                 const rd_kafka_topic_partition_list_t *present);

/* [move] destroy it. */
rd_kafka_AdminOptions_t *mr_kafka_admin_options(struct mr_kafka *k, rd_kafka_admin_op_t op);
/* The answer to an admin request; NULL: told as "cannot WHAT 'SUBJECT': ...". [move] */
rd_kafka_event_t *mr_kafka_answer(struct mr_kafka *k, const char *what, const char *subject);
/* "cannot WHAT 'SUBJECT': TEXT (CODE)" with a way out; TEXT NULL: the code's own. Returns the
 * exit code. */
int mr_kafka_refused(const struct mr_kafka *k, const char *what, const char *subject,
                     rd_kafka_resp_err_t code, const char *text);
/* "k=v" apart; false: told. */
bool mr_kafka_pair(const struct mr_verb *v, const char *what, const char *pair, char *name, size_t cap,
                   const char **value);
/* A whole number of an argument within [min, max]; false: told. */
bool mr_kafka_number(const struct mr_verb *v, const char *what, const char *text, int64_t min, int64_t max,
                     int64_t *out);

/* -1: the broker's default. configs: "k=v", ended by NULL. k knows the topic afterwards. */
int mr_kafka_create_topic(struct mr_kafka *k, const struct mr_verb *v, const char *name, int64_t partitions,
                          int64_t replicas, const char *const *configs);
/* Progress on a terminal: one line that is written over; nothing elsewhere. At most four a second.
 */
struct mr_kafka_progress {
    bool on, shown;
    int64_t started_ms, told_ms;
};
void mr_kafka_progress_start(struct mr_kafka_progress *p);
void mr_kafka_progress_tell(struct mr_kafka_progress *p, const char *doing, uint64_t records, uint64_t bytes);
void mr_kafka_progress_count(struct mr_kafka_progress *p, const char *doing, uint64_t count,
                             const char *of_what);
void mr_kafka_progress_end(struct mr_kafka_progress *p);
int64_t mr_kafka_now_ms(void); /* monotonic */

/* The usual course of a verb that asks: options and words, a client, what it is for. Verbs with
 * options of their own put this first in a struct. */
struct mr_kafka_call {
    const struct mr_verb *v;
    struct mr_kafka_flags f;
    struct mr_kafka k;
    const char *words[MR_CLI_MANY_MAX + 1]; /* ended by NULL */
    size_t count;
};
/*   need        what the words are, for who gives too few; least, most: how many
 *   check       0, or the exit code of a wrong command line (told), before anything is connected;
 *               may be NULL
 *   run         the exit code; the client is open */
struct mr_kafka_course {
    const char *need;
    size_t least, most;
    int (*check)(struct mr_kafka_call *c);
    int (*run)(struct mr_kafka_call *c);
};
int mr_kafka_run(struct mr_kafka_call *c, const struct mr_kafka_course *how, const struct mr_flag *flags,
                 int argc, char **argv);
/* The same for a verb that has no options of its own. json: what --json is said to do. */
int mr_kafka_plain(const struct mr_verb *v, const struct mr_kafka_course *how, const char *json, int argc,
                   char **argv);
/* `one` for each word, until it fails (told); said each time. */
int mr_kafka_each(struct mr_kafka_call *c, int (*one)(struct mr_kafka *k, const char *name), const char *kind,
                  const char *done);
/* {"topic":"orders","done":"created"} or "created topic 'orders'"; returns the exit code. */
int mr_kafka_said(const struct mr_kafka_call *c, const char *kind, const char *name, const char *done);

/* A verb of verbs: finds argv[0] among them ("topic list" is found by "list"). */
int mr_kafka_dispatch(const struct mr_verb *v, const struct mr_verb *subs, size_t count, int argc,
                      char **argv);

extern const struct mr_verb mr_kafka_verb_topic, mr_kafka_verb_produce, mr_kafka_verb_consume,
    mr_kafka_verb_group, mr_kafka_verb_configs, mr_kafka_verb_txn;

#endif
