/* kafka_admin.c - AlterConfigs, IncrementalAlterConfigs, CreatePartitions: changing what is.
 */
#include "node/kafka.h"

enum { CHANGES_MAX = 64, RESOURCE_TOPIC = 2, OPERATION_SET = 0, OPERATION_DELETE = 1 };

static struct mr_slice why_text(struct mr_request *r, enum mr_refusal why, const struct mr_err *err)
{
    return why ? mr_request_text(r, err->code ? err->text : mr_refusal_text(why)) : (struct mr_slice){0};
}

/* ------------------------------------------------------------------ settings */

/* Topics only: the node's own settings are on its command line. */
static enum mr_refusal alter(struct mr_request *r, int8_t type, struct mr_slice name,
                             const struct mr_setting *changes, size_t count, bool replace, bool check_only,
                             struct mr_err *err)
{
    if (type != RESOURCE_TOPIC) {
        (void)mr_fail(err, MR_UNSUPPORTED, "only settings of topics can be changed");
        return MR_REFUSE_INVALID_REQUEST;
    }
    return mr_broker_alter(mr_request_node(r)->broker, name, changes, count, replace, check_only, err);
}

static enum mr_refusal too_many(struct mr_err *err)
{
    (void)mr_fail(err, MR_LIMIT, "more than %d settings in one change", CHANGES_MAX);
    return MR_REFUSE_INVALID_REQUEST;
}

void mr_kafka_alter_configs(struct mr_request *r)
{
    struct mr_alter_configs_request in;
    struct mr_alter_configs_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_alter_configs_response_init(&out);
    int32_t count = in.resources_count > 0 ? in.resources_count : 0;
    if (!(out.responses = mr_request_take(r, (size_t)count, sizeof *out.responses)))
        return;
    out.responses_count = count;
    for (int32_t i = 0; i < count; i++) {
        const struct mr_alter_configs_request_resource *want = &in.resources[i];
        struct mr_setting changes[CHANGES_MAX];
        struct mr_err err = {0};
        enum mr_refusal why = want->configs_count > CHANGES_MAX ? too_many(&err) : MR_REFUSE_NONE;
        size_t n = 0;
        for (int32_t k = 0; !why && k < want->configs_count; k++)
            changes[n++] = (struct mr_setting){want->configs[k].name, want->configs[k].value};
        if (!why)
            why =
                alter(r, want->resource_type, want->resource_name, changes, n, true, in.validate_only, &err);
        out.responses[i] = (struct mr_alter_configs_response_topic){
            .error_code = (int16_t)why,
            .error_message = why_text(r, why, &err),
            .resource_type = want->resource_type,
            .resource_name = want->resource_name,
        };
    }
    mr_request_answer(r, &out);
}

static enum mr_refusal one_change(const struct mr_incremental_alter_configs_request_config *want,
                                  struct mr_setting *out, struct mr_err *err)
{
    *out = (struct mr_setting){.name = want->name};
    if (want->config_operation == OPERATION_DELETE)
        return MR_REFUSE_NONE;
    if (want->config_operation == OPERATION_SET && want->value.p) {
        out->value = want->value;
        return MR_REFUSE_NONE;
    }
    (void)mr_fail(err, MR_UNSUPPORTED, "topic setting '%.*s': it can be set or deleted; it is no list",
                  MR_SLICE_ARG(want->name));
    return MR_REFUSE_INVALID_CONFIG;
}

void mr_kafka_incremental_alter_configs(struct mr_request *r)
{
    struct mr_incremental_alter_configs_request in;
    struct mr_incremental_alter_configs_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_incremental_alter_configs_response_init(&out);
    int32_t count = in.resources_count > 0 ? in.resources_count : 0;
    if (!(out.responses = mr_request_take(r, (size_t)count, sizeof *out.responses)))
        return;
    out.responses_count = count;
    for (int32_t i = 0; i < count; i++) {
        const struct mr_incremental_alter_configs_request_resource *want = &in.resources[i];
        struct mr_setting changes[CHANGES_MAX];
        struct mr_err err = {0};
        enum mr_refusal why = want->configs_count > CHANGES_MAX ? too_many(&err) : MR_REFUSE_NONE;
        size_t n = 0;
        for (int32_t k = 0; !why && k < want->configs_count; k++)
            why = one_change(&want->configs[k], &changes[n++], &err);
        if (!why)
            why =
                alter(r, want->resource_type, want->resource_name, changes, n, false, in.validate_only, &err);
        out.responses[i] = (struct mr_incremental_alter_configs_response_topic){
            .error_code = (int16_t)why,
            .error_message = why_text(r, why, &err),
            .resource_type = want->resource_type,
            .resource_name = want->resource_name,
        };
    }
    mr_request_answer(r, &out);
}

/* ------------------------------------------------------------------ CreatePartitions */

void mr_kafka_create_partitions(struct mr_request *r)
{
    struct mr_create_partitions_request in;
    struct mr_create_partitions_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_create_partitions_response_init(&out);
    int32_t count = in.topics_count > 0 ? in.topics_count : 0;
    if (!(out.results = mr_request_take(r, (size_t)count, sizeof *out.results)))
        return;
    out.results_count = count;
    for (int32_t i = 0; i < count; i++) {
        const struct mr_create_partitions_request_topic *want = &in.topics[i];
        struct mr_err err = {0};
        enum mr_refusal why;
        if (want->assignments_count > 0) {
            (void)mr_fail(&err, MR_UNSUPPORTED, "replica assignments are not served: this is one node");
            why = MR_REFUSE_INVALID_ASSIGNMENT;
        } else {
            why = mr_broker_grow(mr_request_node(r)->broker, want->name, want->count, in.validate_only, &err);
        }
        out.results[i] = (struct mr_create_partitions_response_result){
            .name = want->name, .error_code = (int16_t)why, .error_message = why_text(r, why, &err)};
    }
    mr_request_answer(r, &out);
}
