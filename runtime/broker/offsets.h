/* offsets.h - how far one group has read: its committed offsets, by topic and partition, in memory.
 *
 * Knows nothing of members or disks. Topics are sorted by name, partitions by number.
 * Cost: a binary search for the topic, one for the partition.
 */
#ifndef MR_BROKER_OFFSETS_H
#define MR_BROKER_OFFSETS_H

#include <millrace/types.h>

struct mr_offset_entry {
    int64_t offset;
    int64_t commit_ms; /* wall clock */
    int64_t expire_ms; /* asked for by the client; -1: the coordinator's rule holds */
    int64_t at;        /* offset of its record in __consumer_offsets */
    int32_t partition;
    int32_t leader_epoch; /* -1: none given */
    char *metadata;
    size_t metadata_len;
};

struct mr_offset_topic {
    char *name;
    struct mr_offset_entry *v;
    uint32_t count, room;
};

struct mr_offsets { /* zeroed is empty */
    struct mr_offset_topic **topics;
    uint32_t topic_count, topic_room;
    uint32_t count; /* of all topics */
    size_t bytes;   /* of all metadata */
};

void mr_offsets_fini(struct mr_offsets *o); /* empty afterwards */

/* [borrow] until the next change; NULL: none. */
const struct mr_offset_topic *mr_offsets_topic(const struct mr_offsets *o, struct mr_slice topic);
const struct mr_offset_entry *mr_offsets_get(const struct mr_offsets *o, struct mr_slice topic,
                                             int32_t partition);
/* Puts or replaces. `entry` says all but the metadata, which is copied. false: no memory, nothing changed. */
bool mr_offsets_set(struct mr_offsets *o, struct mr_slice topic, const struct mr_offset_entry *entry,
                    struct mr_slice metadata);
bool mr_offsets_remove(struct mr_offsets *o, struct mr_slice topic, int32_t partition); /* false: none */

#endif
