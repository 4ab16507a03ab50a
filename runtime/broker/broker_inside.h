/* broker_inside.h - what the files of the broker's core share; for broker.c, catalogue.c, change.c and place.c.
 *
 * broker.c     opening and closing it all, the tick, producer ids
 * catalogue.c  the table of topics, in memory and as files
 * change.c     topics are made, changed and deleted
 * place.c      partitions: opened when used, laid to rest when not, compacted by turns
 */
#ifndef MR_BROKER_BROKER_INSIDE_H
#define MR_BROKER_BROKER_INSIDE_H

#include "base/buf.h"
#include "base/map.h"
#include "broker/broker.h"

enum {
    MR_BROKER_PATH_BYTES = 4096,
    MR_BROKER_TOPICS_MAX = 100000,
};

struct mr_opening;
struct mr_job;

struct place {                  /* of a partition in its topic */
    struct mr_partition *p;     /* NULL: not open */
    struct mr_opening *opening; /* a worker is at it */
    uint64_t used;              /* b->uses when it was last asked for */
    int64_t due;                /* while closed: wall clock, ms, before which retention has nothing to do */
};

struct topic {
    struct mr_topic pub;                        /* first */
    uint64_t given;                             /* settings, by row */
    const struct mr_partition_config *defaults; /* of the broker */
    bool deleted;
    struct place *place; /* [partitions] */
    uint32_t openings;
    bool changing; /* a job is writing it */
    bool going;    /* it is to be deleted: nothing of it is opened in a worker any more */
};

struct mr_broker {
    struct mr_world *world;
    struct mr_broker_config config;
    struct topic **topics; /* sorted by name */
    size_t count, room;
    struct mr_map by_name, by_id;
    int64_t partitions; /* of all topics */
    int64_t producer_next, producer_block_end;
    struct mr_node_book *book;           /* settings of the node */
    struct mr_log_pool *pool;            /* memory of large appends on their way to the disk */
    struct mr_partition_config defaults; /* of topics that say nothing: as the book says */
    struct mr_timer tick;
    struct mr_timer slice; /* of compaction; runs while there is some */
    bool compacting;
    int64_t next_compact; /* the partition that is asked next, counted over all topics */
    uint32_t flushing;    /* partitions, and the walk over them */
    void (*flushed)(void *arg);
    void *flushed_arg;
    struct mr_broker_ticket *disk_flush; /* on its way */
    uint64_t uses, ticked_uses;          /* of partitions, ever; as of the last tick */
    uint32_t open_count;                 /* partitions */
    struct mr_timer relief;              /* too much is open */
    bool relieving;
    mr_ms relieve_after;
    struct mr_change *changes, **changes_end; /* that wait for their job */
    struct mr_job *job;                       /* that runs */
    struct mr_timer next_job;
    struct mr_map coming; /* names of topics that the job makes */
    int64_t reserved;     /* partitions of those */
    void (*deleted)(void *arg, struct mr_slice name);
    void *deleted_arg;
    struct mr_opening *openings; /* on their way, in order of asking */
    uint32_t opening_count, opening_running;
    struct mr_timer ahead;
    bool ahead_on;
    int64_t next_ahead, next_retain; /* counted over all topics */
    bool closing;                    /* who is woken by a closing partition must not open it again */
    char dir[MR_BROKER_PATH_BYTES / 2];
};

void mr_broker_tell(const struct mr_broker *b, enum mr_level level, const char *text);

/* --- catalogue.c */
static inline struct mr_slice mr_topic_id_key(const uint8_t id[16])
{
    return (struct mr_slice){(const char *)id, 16};
}
struct topic *mr_topic_new(const struct mr_broker *b, struct mr_slice name, int32_t partitions);
void mr_topic_free(struct topic *t);                         /* NULL is fine; its partitions are closed */
bool mr_catalogue_add(struct mr_broker *b, struct topic *t); /* false: no memory */
void mr_catalogue_remove(struct mr_broker *b, struct topic *t);
void mr_topic_path(const char *dir, const struct topic *t, char out[MR_BROKER_PATH_BYTES]);
void mr_partition_path(const struct mr_broker *b, struct mr_slice name, int32_t partition,
                       char out[MR_BROKER_PATH_BYTES]);
/* What its file says. false: no memory. */
bool mr_topic_text(const struct topic *t, struct mr_buf *out);
mr_code mr_catalogue_load(struct mr_broker *b, struct mr_arena *a, struct mr_err *err);
void mr_collect_name(void *names, const char *name); /* for mr_dir_list: into a mr_buf, each with its NUL */
bool mr_ends_with(const char *name, const char *end);

/* --- change.c */
/* Removes the logs, then the file that says `deleted`. */
mr_code mr_topic_finish_delete(struct mr_broker *b, struct topic *t, struct mr_err *err);
void mr_changes_begin(struct mr_broker *b);
void mr_changes_end(struct mr_broker *b); /* who waits is told that the node is stopping */

/* --- place.c */
struct mr_partition *mr_place_open(struct mr_broker *b, struct topic *t, int32_t i, struct mr_err *err);
void mr_place_compact(void *broker); /* a slice of it */
void mr_places_tick(struct mr_broker *b);
void mr_places_begin(struct mr_broker *b);
void mr_places_end(struct mr_broker *b); /* b->closing is set: who waits is told */

#endif
