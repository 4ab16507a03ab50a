/* setting.h - topic settings by name: Kafka's, and `durability`, which is ours. For broker/ alone. */
#ifndef MR_BROKER_SETTING_H
#define MR_BROKER_SETTING_H

#include "broker/broker.h"

/* Sets one in `c` and its bit in `given`. Refusals say what is allowed. */
enum mr_refusal mr_setting_apply(const struct mr_setting *s, struct mr_partition_config *c, uint32_t *given,
                                 struct mr_err *err);
/* Back to what `defaults` say. */
enum mr_refusal mr_setting_clear(struct mr_slice name, const struct mr_partition_config *defaults,
                                 struct mr_partition_config *c, uint32_t *given, struct mr_err *err);
/* Row i of the table as it holds in c; false at the end. */
bool mr_setting_row(size_t i, const struct mr_partition_config *c, uint32_t given,
                    struct mr_setting_row *out);

#endif
