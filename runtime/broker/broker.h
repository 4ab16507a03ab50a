/* broker.h - topics and their partitions; producer ids.
 *
 * A single-threaded machine over its world; all of it belongs to one shard.
 *
 * On disk, under the data directory:
 *   topics/<topic>-<partition>/   a log each (log/log.h), and `producers`, a snapshot (producer.h)
 *   topics/<id>.topic             a topic's name, id, partitions and settings, with a checksum; it is what
 * makes the topic exist. Deleting marks it first, then removes the logs, then it. producer-ids where the next
 * block of producer ids begins A directory without its .topic file is reported and left alone.
 *
 * Partitions are opened when first used, and laid to rest or closed when others need the room (place.c).
 */
#ifndef MR_BROKER_BROKER_H
#define MR_BROKER_BROKER_H

#include "broker/node_setting.h"
#include <millrace/plugin.h>

enum {
    MR_TOPIC_NAME_MAX = 249, /* bytes */
    MR_TOPIC_PARTITIONS_MAX = 10000,
    MR_TOPIC_SETTING_MAX = 64, /* bytes of a setting's value */
};

struct mr_broker_config {
    bool auto_create;           /* topics are made when a client asks for one */
    int32_t default_partitions; /* of topics made without a number */
    int32_t partitions_max;     /* of the whole node */
    bool durable;               /* what topics promise that say nothing: fsync */
    struct mr_log_config log;   /* defaults of topics */
    uint32_t
        files_max; /* files open at a time: beyond it partitions that are not used lie at rest; 0: no limit */
    uint32_t partitions_open_max; /* beyond it those that are not used are closed; 0: no limit */
    bool recover_ahead;           /* what a crash left is recovered in the background from the start on */
    mr_ms tick_ms;             /* retention and such; 0: never. log.retention.check.interval.ms, if given */
    struct mr_node_layer node; /* settings by Kafka's names that were given at start; they go before these */
    /* Things a person should know, one line each. May be NULL. */
    void (*tell)(void *arg, enum mr_level level, const char *text);
    void *tell_arg;
};
void mr_broker_config_init(struct mr_broker_config *c);

struct mr_broker;

struct mr_node_book; /* node_book.h: settings of the node by name, to be changed and described */
struct mr_node_book *mr_broker_node_book(const struct mr_broker *b);
/* [borrow] as they hold now: read at each use, for they change while the node runs. */
const struct mr_node_settings *mr_broker_node_settings(const struct mr_broker *b);

struct mr_topic {
    const char *name;
    uint8_t id[16];
    int32_t partitions;
    bool internal;
    struct mr_partition_config config;
};

/* A setting that was given by name, Kafka's or ours (durability: fsync | page_cache). */
struct mr_setting {
    struct mr_slice name, value;
};
/* One row of `describe`: what holds for a topic, given or by default. */
struct mr_setting_row {
    const char *name;
    char value[MR_TOPIC_SETTING_MAX];
    bool given;
    const char *help;
    char standard[MR_TOPIC_SETTING_MAX]; /* what holds when it is not given, on this node */
    int8_t type;                         /* enum mr_setting_type */
    bool sensitive;                      /* the value is a secret: none of a topic's is */
    char allowed[MR_TOPIC_SETTING_MAX];  /* in words, for people */
};
enum mr_setting_type { /* by Kafka's numbers */
                       MR_SETTING_BOOL = 1,
                       MR_SETTING_STRING = 2,
                       MR_SETTING_INT = 3,
                       MR_SETTING_LONG = 5,
                       MR_SETTING_DOUBLE = 6,
                       MR_SETTING_LIST = 7,
};
/* A change that says what is to be done, for values that are lists too. */
enum mr_setting_op { /* by Kafka's numbers */
                     MR_SETTING_SET = 0,
                     MR_SETTING_DELETE = 1,   /* back to the default */
                     MR_SETTING_APPEND = 2,   /* lists: words that are not in it yet */
                     MR_SETTING_SUBTRACT = 3, /* lists: words that are */
};
struct mr_setting_change {
    struct mr_slice name, value;
    enum mr_setting_op op;
};

mr_code mr_broker_open(struct mr_world *w, const char *data_dir, const struct mr_broker_config *config,
                       struct mr_broker **out, struct mr_err *err);
/* done(arg) once all open partitions are flushed, or cannot be; from the loop, or at once when there is
 * nothing to do. One at a time. Before a close: it is clean then, and the next start has nothing to recover.
 */
void mr_broker_flush(struct mr_broker *b, void (*done)(void *arg), void *arg);
void mr_broker_close(struct mr_broker *b); /* partitions are closed clean; NULL is fine */

/* Makes a topic. partitions -1: the default. On refusal err says what and what to do. Blocks for two fsyncs.
 * check_only: says what would happen. */
enum mr_refusal mr_broker_create(struct mr_broker *b, struct mr_slice name, int32_t partitions,
                                 const struct mr_setting *settings, size_t setting_count, bool check_only,
                                 const struct mr_topic **out, struct mr_err *err);
enum mr_refusal mr_broker_delete(struct mr_broker *b, struct mr_slice name, struct mr_err *err);
/* Changes settings of a topic, all or none; a value with p NULL goes back to the default. replace: those that
 * are not named go back too. Open partitions follow at once. Blocks for two fsyncs. */
enum mr_refusal mr_broker_alter(struct mr_broker *b, struct mr_slice name, const struct mr_setting *settings,
                                size_t setting_count, bool replace, bool check_only, struct mr_err *err);
/* The same by operations, one after another. INVALID_CONFIG: append to what is no list. */
enum mr_refusal mr_broker_change(struct mr_broker *b, struct mr_slice name,
                                 const struct mr_setting_change *changes, size_t count, bool check_only,
                                 struct mr_err *err);
/* More partitions; fewer are refused. Blocks for two fsyncs. */
enum mr_refusal mr_broker_grow(struct mr_broker *b, struct mr_slice name, int32_t partitions, bool check_only,
                               struct mr_err *err);
/* The same without waiting for the disk: changes are queued, and a worker writes those that have come together
 * with syncs that they share. They happen in the order of submitting, and are seen when they are durable.
 * done always follows, as an event, also for what is refused at once. What a change points to [borrow] must
 * stay until then. */
enum mr_change_kind {
    MR_CHANGE_CREATE, /* partitions, settings */
    MR_CHANGE_DELETE, /* done when its files are gone: the name can be used again */
    MR_CHANGE_ALTER,  /* settings, replace */
    MR_CHANGE_CHANGE, /* changes */
    MR_CHANGE_GROW,   /* partitions */
};
struct mr_change {
    enum mr_change_kind kind;
    struct mr_slice name;
    int32_t partitions;
    const struct mr_setting *settings;
    size_t setting_count;
    const struct mr_setting_change *changes;
    size_t change_count;
    bool replace, check_only;
    void (*done)(struct mr_change *c);
    void *arg;
    /* out */
    enum mr_refusal refusal;
    const struct mr_topic *topic; /* CREATE: [borrow] for the length of done */
    struct mr_err err;
    /* the broker's */
    bool pending;
    struct mr_change *next, **link; /* in the queue */
    struct mr_change **step;        /* in the job that runs */
};
void mr_broker_submit(struct mr_broker *b, struct mr_change *c);
/* done will not be called; what has begun happens all the same. Idle is fine. */
void mr_broker_withdraw(struct mr_broker *b, struct mr_change *c);
/* fn(arg, name) after each topic that is deleted, also when nobody waits for that any more. One of them. */
void mr_broker_on_deleted(struct mr_broker *b, void (*fn)(void *arg, struct mr_slice name), void *arg);

enum mr_refusal mr_topic_name_check(struct mr_slice name, struct mr_err *err);

const struct mr_topic *mr_broker_topic(const struct mr_broker *b, struct mr_slice name); /* NULL: none */
const struct mr_topic *mr_broker_topic_by_id(const struct mr_broker *b, const uint8_t id[16]);
size_t mr_broker_topic_count(const struct mr_broker *b);
const struct mr_topic *mr_broker_topic_at(const struct mr_broker *b, size_t i); /* sorted by name */
/* Settings of a topic, one row a call; false at the end. */
bool mr_topic_setting(const struct mr_topic *t, size_t i, struct mr_setting_row *out);
/* The same without a topic, as the program has it. */
bool mr_topic_setting_standard(size_t i, struct mr_setting_row *out);

/* The open partition, opened now when need be: one that a crash left waits for the disk here, see
 * mr_broker_await. [borrow] until the loop goes on. NULL: *why says (UNKNOWN_TOPIC, STORAGE, NOT_LEADER). */
struct mr_partition *mr_broker_partition(struct mr_broker *b, const struct mr_topic *t, int32_t partition,
                                         enum mr_refusal *why, struct mr_err *err);

/* Opening a partition that a crash left waits for the disk: a worker does it. true: mr_broker_partition need
 * not wait (or knows at once why not). false: w->done follows, as an event; w [borrow] until then, or
 * mr_broker_await_not; it may be NULL. Until then mr_broker_partition refuses with NOT_LEADER. t may be NULL. */
struct mr_opening;
struct mr_open_wait {
    void (*done)(struct mr_open_wait *w);
    void *arg;
    struct mr_open_wait *next, **link;
    struct mr_opening *at;
};
bool mr_broker_await(struct mr_broker *b, const struct mr_topic *t, int32_t partition,
                     struct mr_open_wait *w);
/* mr_broker_partition for who can come again: begins to open it in a worker rather than wait for it. */
struct mr_partition *mr_broker_partition_ready(struct mr_broker *b, const struct mr_topic *t,
                                               int32_t partition, enum mr_refusal *why, struct mr_err *err);
void mr_broker_await_not(struct mr_open_wait *w); /* zeroed, or done, is fine */
/* files_max is passed: who reads from many partitions at a time reads from no more of them now. */
bool mr_broker_crowded(const struct mr_broker *b);

/* The same, but never opened for that: NULL when it is not open. */
struct mr_partition *mr_broker_partition_open(const struct mr_broker *b, const struct mr_topic *t,
                                              int32_t partition);

/* Nothing was ever written to it nor asked of it: it is empty, and need not be opened to know. Cost: a stat. */
bool mr_broker_partition_untouched(const struct mr_broker *b, const struct mr_topic *t, int32_t partition);
/* Bytes of its log, without opening it for that: then what its files add up to. */
int64_t mr_broker_partition_bytes(const struct mr_broker *b, const struct mr_topic *t, int32_t partition);

/* An id that was never given before, also not before a crash. Blocks for an fsync once in a block of 1000. */
mr_code mr_broker_producer_id(struct mr_broker *b, int64_t *out, struct mr_err *err);

#endif
