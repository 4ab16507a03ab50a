/* offsets_record.h - what stands in __consumer_offsets: Kafka's keys and values <-> structs; for broker/
 * alone.
 *
 * Written are the versions that Kafka 3 and 4 write, so that tools which read the topic understand it: keys 1
 * and 2, an offset's value 3 (1 when the client asked for a time of expiry), a group's value 3. Read are all.
 */
#ifndef MR_BROKER_OFFSETS_RECORD_H
#define MR_BROKER_OFFSETS_RECORD_H

#include "broker/offsets.h"
#include "wire/message.h"
#include "wire/record.h"

enum mr_stored_kind { MR_STORED_OFFSET, MR_STORED_GROUP, MR_STORED_OTHER };

struct mr_stored_key {
    enum mr_stored_kind kind;     /* OTHER: a later version's, to be skipped */
    struct mr_slice group, topic; /* [borrow] */
    int32_t partition;
};
/* MR_BADDATA: garbage. */
mr_code mr_stored_key_read(struct mr_slice bytes, struct mr_stored_key *out, struct mr_err *err);
/* `metadata` [borrow] points into `bytes`. */
mr_code mr_stored_offset_read(struct mr_slice bytes, struct mr_offset_entry *out, struct mr_slice *metadata,
                              struct mr_err *err);
mr_code mr_stored_group_read(struct mr_slice bytes, struct mr_arena *arena, struct mr_stored_group_value *out,
                             struct mr_err *err);

/* Add one record to a batch. `entry` NULL and `value` NULL: a tombstone. false: no memory, or a text that is
 * too long for the format (32767 bytes). */
bool mr_stored_offset_add(struct mr_record_build *b, int64_t now_ms, struct mr_slice group,
                          struct mr_slice topic, int32_t partition, const struct mr_offset_entry *entry,
                          struct mr_slice metadata);
bool mr_stored_group_add(struct mr_record_build *b, int64_t now_ms, struct mr_slice group,
                         const struct mr_stored_group_value *value);

#endif
