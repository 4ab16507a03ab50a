/* topic_inside.h - what topic_source.c (fetching, reading) and topic_group.c (membership) share. */
#ifndef MR_PIPELINE_TOPIC_INSIDE_H
#define MR_PIPELINE_TOPIC_INSIDE_H

#include "pipeline/inside.h"
#include "pipeline/topic.h"

enum { MR_TOPIC_EARLIEST, MR_TOPIC_LATEST, MR_TOPIC_COMMITTED };

struct mr_topic_bytes;
struct mr_topic_source;

struct mr_topic_part {
    struct mr_topic_source *source;
    int32_t id;
    int64_t next;    /* offset to go on at; -1 latest, -2 earliest: not known yet */
    int64_t stop_at; /* once: -1 not known yet */
    int64_t end;     /* as of the last answer; -1 unknown */
    bool fetching, ended;
    struct mr_topic_bytes *chunk;    /* being read */
    struct mr_slice rest;            /* of the chunk */
    struct mr_topic_bytes *unpacked; /* of the record batch in hand */
    struct mr_record_walk walk;
    bool walking, holding;
    struct mr_record held; /* had no room in the batch before */
    struct mr_err broken;  /* code MR_OK: nothing is damaged yet */
    char pos_key[300];
    struct mr_timer again;
    uint32_t attempts;
    int64_t committed, sent; /* by the group; -1: nothing. sent: not answered yet */
};

/* A call of the port that is out; it outlives a source that closes. */
struct mr_topic_call {
    struct mr_topic_call *next;
    struct mr_topic_source *source; /* NULL: closed meanwhile */
    struct mr_pipeline *line;
    uint32_t partition;
    bool after_feeders; /* asked when nobody wrote to the topic any more */
    bool fetch;
};

struct mr_topic_source {
    /* options */
    struct mr_slice name, codec, group;
    int start;
    /* own */
    const struct mr_services *svc;
    struct mr_part *part;
    struct mr_decoder *decoder; /* NULL: json, read straight into columns */
    bool json, ready, told;
    struct mr_topic_part *partitions;
    uint32_t count, turn;
    struct mr_topic_call *calls;
    struct mr_position *stored;
    struct mr_heap_arena kept; /* stored positions until the partitions are known */
    uint32_t stored_count, attempts;
    struct mr_timer again;
    mr_code failed; /* not MR_OK: read answers it */
    char why[MR_ERR_TEXT];
    /* topic_group.c */
    struct mr_topic_member *member;
    uint32_t round; /* of assignments: positions of an older one are nobody's */
    bool revoking, committing;
    mr_ms settle_until;
    struct mr_timer settle;
};

/* --- topic_source.c */
struct mr_topic_call *mr_topic_call_new(struct mr_topic_source *s, uint32_t partition);
struct mr_topic_source *mr_topic_call_back(struct mr_topic_call *c); /* frees it; NULL: it has closed */
void mr_topic_fail(struct mr_topic_source *s, mr_code rc, const char *why);
/* Makes the partitions; `ids` NULL: 0 to count - 1. false: no memory, and said so. */
bool mr_topic_parts(struct mr_topic_source *s, const struct mr_topic_offset *at, uint32_t count);
void mr_topic_drop_parts(struct mr_topic_source *s); /* what they fetch is not wanted any more */
void mr_topic_fetch(struct mr_topic_part *p);
int64_t mr_topic_stored(const struct mr_topic_source *s, int32_t partition); /* else by `start` */

/* --- topic_group.c */
void mr_topic_group_join(struct mr_topic_source *s);
void mr_topic_group_leave(struct mr_topic_source *s);

#endif
