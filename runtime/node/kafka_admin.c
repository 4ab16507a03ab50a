/* kafka_admin.c - CreateTopics, CreatePartitions, DeleteTopics: topics come, grow and go.
 *
 * The topics that coordinators keep their things in are theirs: they are made when first needed, and not
 * changed from outside in what would break them.
 */
#include "node/kafka.h"

#include "base/map.h"

enum { SETTINGS_MAX = 64 };

static struct mr_slice why_text(struct mr_request *r, enum mr_refusal why, const struct mr_err *err)
{
    return why ? mr_request_text(r, err->code ? err->text : mr_refusal_text(why)) : (struct mr_slice){0};
}

bool mr_kafka_is_coordinators(struct mr_slice name)
{
    return mr_slice_eq(name, MR_SLICE(MR_OFFSETS_TOPIC)) || mr_slice_eq(name, MR_SLICE(MR_TXNS_TOPIC));
}

/* NONE: it is not theirs. */
static enum mr_refusal spare(struct mr_slice name, const char *what, struct mr_err *err)
{
    if (!mr_kafka_is_coordinators(name))
        return MR_REFUSE_NONE;
    (void)mr_fail(err, MR_UNSUPPORTED, "topic '%.*s' belongs to the coordinator: it cannot be %s",
                  MR_SLICE_ARG(name), what);
    return MR_REFUSE_INVALID_TOPIC;
}

/* Names that a request has more than once: the value of the second is the map itself. */
static void see(struct mr_map *seen, struct mr_slice name)
{
    static const char once;
    if (name.p)
        (void)mr_map_put(seen, name, mr_map_get(seen, name) ? (void *)seen : (void *)(uintptr_t)&once, NULL);
}

static enum mr_refusal once_only(const struct mr_map *seen, struct mr_slice name, struct mr_err *err)
{
    if (!name.p || mr_map_get(seen, name) != seen)
        return MR_REFUSE_NONE;
    (void)mr_fail(err, MR_BADCONF, "topic '%.*s' is named twice in this request", MR_SLICE_ARG(name));
    return MR_REFUSE_INVALID_REQUEST;
}

/* Somebody says where the replicas are to be: there is one place. */
static enum mr_refusal here_only(const int32_t *brokers, int32_t count, struct mr_err *err)
{
    if (count == 1 && brokers[0] == MR_NODE_ID)
        return MR_REFUSE_NONE;
    (void)mr_fail(err, MR_BADCONF, "replicas can be assigned to [%d] alone: this is one node", MR_NODE_ID);
    return MR_REFUSE_INVALID_ASSIGNMENT;
}

/* ------------------------------------------------------------------ CreateTopics */

/* Partitions 0 to n - 1, each once. */
static enum mr_refusal assigned(struct mr_request *r, const struct mr_create_topics_request_topic *want,
                                int32_t *partitions, struct mr_err *err)
{
    int32_t n = want->assignments_count;
    enum mr_refusal why = MR_REFUSE_NONE;
    bool *there = mr_request_take(r, (size_t)n, sizeof *there);
    if (!there)
        return MR_REFUSE_STORAGE; /* closed */
    if (want->num_partitions != -1 || want->replication_factor != -1) {
        (void)mr_fail(err, MR_BADCONF,
                      "replicas are assigned: partitions and replication factor must then be -1");
        return MR_REFUSE_INVALID_REQUEST;
    }
    for (int32_t i = 0; !why && i < n; i++) {
        int32_t index = want->assignments[i].partition_index;
        if (index < 0 || index >= n || there[index]) {
            (void)mr_fail(err, MR_BADCONF, "partition %d: those assigned must be 0 to %d, each once", index,
                          n - 1);
            return MR_REFUSE_INVALID_ASSIGNMENT;
        }
        there[index] = true;
        why = here_only(want->assignments[i].broker_ids, want->assignments[i].broker_ids_count, err);
    }
    *partitions = n;
    return why;
}

static bool topic_configs(struct mr_request *r, const struct mr_topic *t,
                          struct mr_create_topics_response_topic *out)
{
    struct mr_setting_row row;
    if (!(out->configs = mr_request_take(r, SETTINGS_MAX, sizeof *out->configs)))
        return false;
    out->configs_count = 0;
    for (size_t i = 0; i < SETTINGS_MAX && mr_topic_setting(t, i, &row); i++)
        out->configs[out->configs_count++] = (struct mr_create_topics_response_config){
            .name = mr_slice_of(row.name),
            .value = mr_request_text(r, row.value),
            .config_source = mr_kafka_setting_source(r, &row),
            .is_sensitive = row.sensitive,
        };
    return true;
}

static bool created(struct mr_request_change *c)
{
    struct mr_create_topics_response_topic *o = c->row;
    const struct mr_topic *t = c->change.topic;
    if (!t)
        return true;
    o->num_partitions = t->partitions;
    o->replication_factor = 1;
    memcpy(o->topic_id.b, t->id, sizeof o->topic_id.b);
    return c->request->head.version < 5 || topic_configs(c->request, t, o);
}

/* NONE: submitted, or the connection was closed. */
static enum mr_refusal create_one(struct mr_request *r, const struct mr_create_topics_request_topic *want,
                                  bool check_only, struct mr_create_topics_response_topic *o,
                                  struct mr_err *err)
{
    int32_t partitions = want->num_partitions;
    enum mr_refusal why = spare(want->name, "made by a client; it is made when it is first needed", err);
    if (!why && want->assignments_count > 0)
        why = assigned(r, want, &partitions, err);
    if (why)
        return why;
    if (want->replication_factor != -1 && want->replication_factor != 1) {
        (void)mr_fail(err, MR_BADCONF, "replication factor %d: this is one node, use 1 or -1",
                      want->replication_factor);
        return MR_REFUSE_INVALID_REPLICATION;
    }
    if (want->configs_count > SETTINGS_MAX) {
        (void)mr_fail(err, MR_LIMIT, "more than %d settings", SETTINGS_MAX);
        return MR_REFUSE_INVALID_CONFIG;
    }
    struct mr_setting *settings = mr_request_take(r, mr_kafka_many(want->configs_count), sizeof *settings);
    struct mr_request_change *c =
        settings ? mr_request_change(r, MR_CHANGE_CREATE, want->name, &o->error_code, &o->error_message)
                 : NULL;
    if (!c)
        return MR_REFUSE_NONE;
    for (int32_t i = 0; i < want->configs_count; i++)
        if (want->configs[i].value.p) /* null: the default */
            settings[c->change.setting_count++] =
                (struct mr_setting){want->configs[i].name, want->configs[i].value};
    c->change.settings = settings;
    c->change.partitions = partitions;
    c->change.check_only = check_only;
    c->more = created;
    c->row = o;
    mr_request_submit(c);
    return MR_REFUSE_NONE;
}

void mr_kafka_create_topics(struct mr_request *r)
{
    struct mr_create_topics_request in;
    struct mr_create_topics_response *out = mr_request_take(r, 1, sizeof *out);
    struct mr_map seen;
    if (!out || !mr_request_keep(r) || !mr_request_read(r, &in))
        return;
    mr_create_topics_response_init(out);
    size_t count = mr_kafka_many(in.topics_count);
    if (!(out->topics = mr_request_take(r, count, sizeof *out->topics)))
        return;
    out->topics_count = (int32_t)count;
    mr_map_init(&seen, 0);
    for (size_t i = 0; i < count; i++)
        see(&seen, in.topics[i].name);
    for (size_t i = 0; i < count; i++) {
        struct mr_create_topics_response_topic *o = &out->topics[i];
        const struct mr_create_topics_request_topic *want = &in.topics[i];
        struct mr_err err = {0};
        *o = (struct mr_create_topics_response_topic){
            .name = want->name, .num_partitions = -1, .replication_factor = -1, .configs_count = -1};
        enum mr_refusal why = once_only(&seen, want->name, &err);
        if (!why)
            why = create_one(r, want, in.validate_only, o, &err);
        o->error_code = (int16_t)why;
        o->error_message = why_text(r, why, &err);
    }
    mr_map_fini(&seen, NULL);
    mr_request_changes_answer(r, out); /* nothing when it was closed */
}

/* ------------------------------------------------------------------ CreatePartitions */

static enum mr_refusal grow_one(struct mr_request *r, const struct mr_create_partitions_request_topic *want,
                                bool check_only, struct mr_create_partitions_response_result *o,
                                struct mr_err *err)
{
    struct mr_broker *b = mr_request_node(r)->broker;
    const struct mr_topic *t = mr_broker_topic(b, want->name);
    enum mr_refusal why = spare(want->name, "grown: keys would lie in other partitions then", err);
    if (!why && t && want->assignments_count >= 0 && want->assignments_count != want->count - t->partitions) {
        (void)mr_fail(err, MR_BADCONF, "replicas are assigned for %d partitions, and %d are to come",
                      want->assignments_count, want->count - t->partitions);
        return MR_REFUSE_INVALID_ASSIGNMENT;
    }
    for (int32_t i = 0; !why && t && i < want->assignments_count; i++)
        why = here_only(want->assignments[i].broker_ids, want->assignments[i].broker_ids_count, err);
    struct mr_request_change *c =
        why ? NULL : mr_request_change(r, MR_CHANGE_GROW, want->name, &o->error_code, &o->error_message);
    if (!c)
        return why;
    c->change.partitions = want->count;
    c->change.check_only = check_only;
    mr_request_submit(c);
    return MR_REFUSE_NONE;
}

void mr_kafka_create_partitions(struct mr_request *r)
{
    struct mr_create_partitions_request in;
    struct mr_create_partitions_response *out = mr_request_take(r, 1, sizeof *out);
    struct mr_map seen;
    if (!out || !mr_request_keep(r) || !mr_request_read(r, &in))
        return;
    mr_create_partitions_response_init(out);
    int32_t count = in.topics_count > 0 ? in.topics_count : 0;
    if (!(out->results = mr_request_take(r, (size_t)count, sizeof *out->results)))
        return;
    out->results_count = count;
    mr_map_init(&seen, 0);
    for (int32_t i = 0; i < count; i++)
        see(&seen, in.topics[i].name);
    for (int32_t i = 0; i < count; i++) {
        const struct mr_create_partitions_request_topic *want = &in.topics[i];
        struct mr_err err = {0};
        struct mr_create_partitions_response_result *o = &out->results[i];
        enum mr_refusal why = once_only(&seen, want->name, &err);
        if (!why)
            why = grow_one(r, want, in.validate_only, o, &err);
        *o = (struct mr_create_partitions_response_result){
            .name = want->name, .error_code = (int16_t)why, .error_message = why_text(r, why, &err)};
    }
    mr_map_fini(&seen, NULL);
    mr_request_changes_answer(r, out);
}

/* ------------------------------------------------------------------ DeleteTopics */

static enum mr_refusal delete_one(struct mr_request *r, struct mr_slice name,
                                  struct mr_delete_topics_response_topic *o, struct mr_err *err)
{
    struct mr_node *n = mr_request_node(r);
    enum mr_refusal why = spare(name, "deleted", err);
    if (!why && !mr_broker_node_settings(n->broker)->delete_topic_enable) {
        (void)mr_fail(err, MR_UNSUPPORTED, "topics are not deleted here: delete.topic.enable is false");
        why = r->head.version >= 3 ? MR_REFUSE_DELETION_DISABLED : MR_REFUSE_INVALID_REQUEST;
    }
    struct mr_request_change *c =
        why ? NULL : mr_request_change(r, MR_CHANGE_DELETE, name, &o->error_code, &o->error_message);
    if (c)
        mr_request_submit(c);
    return why;
}

void mr_kafka_delete_topics(struct mr_request *r)
{
    struct mr_delete_topics_request in;
    struct mr_delete_topics_response *out = mr_request_take(r, 1, sizeof *out);
    struct mr_map seen;
    if (!out || !mr_request_keep(r) || !mr_request_read(r, &in))
        return;
    mr_delete_topics_response_init(out);
    bool whole = r->head.version >= 6;
    int32_t count = whole ? in.topics_count : in.topic_names_count;
    count = count > 0 ? count : 0;
    if (!(out->responses = mr_request_take(r, (size_t)count, sizeof *out->responses)))
        return;
    out->responses_count = count;
    mr_map_init(&seen, 0);
    for (int32_t i = 0; i < count; i++)
        see(&seen, whole ? in.topics[i].name : in.topic_names[i]);
    for (int32_t i = 0; i < count; i++) {
        struct mr_delete_topics_response_topic *o = &out->responses[i];
        struct mr_slice name = whole ? in.topics[i].name : in.topic_names[i];
        const struct mr_uuid *id = whole ? &in.topics[i].topic_id : NULL;
        struct mr_err err = {0};
        enum mr_refusal why = once_only(&seen, name, &err);
        bool by_id = whole && !name.p;
        if (id)
            o->topic_id = *id;
        if (!why && name.p && id && memcmp(id->b, (struct mr_uuid){0}.b, sizeof id->b) != 0) {
            (void)mr_fail(&err, MR_BADCONF, "a topic is named by its name or by its id, not by both");
            why = MR_REFUSE_INVALID_REQUEST;
        }
        const struct mr_topic *t = why ? NULL : mr_request_topic(r, name, id, by_id, &why);
        if (t) { /* the name must outlive the topic */
            name = mr_request_text(r, t->name);
            memcpy(o->topic_id.b, t->id, sizeof o->topic_id.b);
            why = delete_one(r, name, o, &err);
        }
        o->name = name;
        o->error_code = (int16_t)why;
        o->error_message = why_text(r, why, &err);
    }
    mr_map_fini(&seen, NULL);
    mr_request_changes_answer(r, out);
}
