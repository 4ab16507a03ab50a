/* setting.h - topic settings by name: Kafka's, and `durability`, which is ours. For broker/ alone.
 *
 * The table in setting.c is all there is: what it names can be set, described, kept in a topic's file and
 * changed while the topic is in use (mr_partition_configure).
 */
#ifndef MR_BROKER_SETTING_H
#define MR_BROKER_SETTING_H

#include "broker/broker.h"

/* What topics are given that say nothing, beside the log's and durability, which the node decides. */
void mr_setting_defaults(struct mr_partition_config *c);
/* Sets one in `c` and its bit in `given`. Refusals say what is allowed; a name that is not known gets the
 * nearest one. */
enum mr_refusal mr_setting_apply(const struct mr_setting *s, struct mr_partition_config *c, uint64_t *given,
                                 struct mr_err *err);
/* One operation on what `c` says; `defaults` for MR_SETTING_DELETE. */
enum mr_refusal mr_setting_change(const struct mr_setting_change *change,
                                  const struct mr_partition_config *defaults, struct mr_partition_config *c,
                                  uint64_t *given, struct mr_err *err);
/* Back to what `defaults` say. */
enum mr_refusal mr_setting_clear(struct mr_slice name, const struct mr_partition_config *defaults,
                                 struct mr_partition_config *c, uint64_t *given, struct mr_err *err);
/* What no setting alone can be blamed for: asked once, when all are set. */
enum mr_refusal mr_setting_agree(const struct mr_partition_config *c, struct mr_err *err);
/* One value from another config. The name must be known. */
void mr_setting_copy(const char *name, const struct mr_partition_config *from,
                     struct mr_partition_config *to);
/* `c` follows new defaults in all that was not given. */
void mr_setting_inherit(const struct mr_partition_config *defaults, uint64_t given,
                        struct mr_partition_config *c);
/* The row of that name as it holds in c; false: there is none. */
bool mr_setting_row_of(const char *name, const struct mr_partition_config *c, struct mr_setting_row *out);
/* "0 to 5", "1 or more", "any number": for people. */
void mr_setting_range(int64_t min, int64_t max, char out[MR_TOPIC_SETTING_MAX]);
/* Row i of the table as it holds in c; false at the end. defaults NULL: `standard` stays empty. */
bool mr_setting_row(size_t i, const struct mr_partition_config *c, uint64_t given,
                    const struct mr_partition_config *defaults, struct mr_setting_row *out);

#endif
