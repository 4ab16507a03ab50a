/* kafka_configs.c - DescribeConfigs, AlterConfigs, IncrementalAlterConfigs: settings of topics and of the node.
 *
 * Resources of type broker are two: the node's own number, and "" for what every node is told. What a topic
 * does not say itself it has from the node: the sources and synonyms of a value tell that whole story, the
 * strongest first.
 */
#include "node/kafka.h"

#include "base/map.h"
#include "broker/node_book.h"

enum { RESOURCE_TOPIC = 2, RESOURCE_BROKER = 4, RESOURCE_LOGGER = 8, RESOURCE_METRICS = 16 };
enum { RESOURCE_GROUP = 32, SOURCE_TOPIC = 1 };
enum { TOPIC_ROWS_MAX = 48, ROWS_MAX = MR_NODE_SETTINGS_MAX + 8, SYNONYMS_MAX = 5, CHANGES_MAX = 64 };
enum { VALUE_BYTES = MR_ADDRESS_BYTES * 8 };

static const struct mr_node_book *book_of(const struct mr_request *r)
{
    return mr_broker_node_book(mr_request_node(r)->broker);
}

int8_t mr_kafka_setting_source(const struct mr_request *r, const struct mr_setting_row *row)
{
    return (int8_t)(row->given ? SOURCE_TOPIC : (int)mr_node_book_topic_source(book_of(r), row->name));
}

static bool asked_for(const struct mr_describe_configs_request_resource *want, const char *name)
{
    if (want->configuration_keys_count < 0)
        return true;
    for (int32_t i = 0; i < want->configuration_keys_count; i++)
        if (mr_slice_eq(want->configuration_keys[i], mr_slice_of(name)))
            return true;
    return false;
}

/* ------------------------------------------------------------------ describing */

static void add_synonym(struct mr_request *r, struct mr_describe_configs_response_config *c, const char *name,
                        const char *value, bool unset, int8_t source)
{
    c->synonyms[c->synonyms_count++] = (struct mr_describe_configs_response_synonym){
        .name = mr_slice_of(name),
        .value = unset ? (struct mr_slice){0} : mr_request_text(r, value),
        .source = source,
    };
}

/* Who said what, as far as the node goes. */
static void node_synonyms(struct mr_request *r, struct mr_describe_configs_response_config *c,
                          const struct mr_node_row *row)
{
    for (int source = MR_NODE_OWN; source <= MR_NODE_STANDARD; source++)
        if (row->by[source].given)
            add_synonym(r, c, row->name, row->by[source].value, row->by[source].unset, (int8_t)source);
}

/* Room for one more row, with its synonyms; NULL: closed. */
static struct mr_describe_configs_response_config *add_row(struct mr_request *r,
                                                           const struct mr_describe_configs_request *in,
                                                           struct mr_describe_configs_response_result *out)
{
    struct mr_describe_configs_response_config *c = &out->configs[out->configs_count];
    if (in->include_synonyms && !(c->synonyms = mr_request_take(r, SYNONYMS_MAX, sizeof *c->synonyms)))
        return NULL;
    out->configs_count++;
    return c;
}

static bool describe_topic(struct mr_request *r, const struct mr_describe_configs_request *in,
                           const struct mr_describe_configs_request_resource *want, const struct mr_topic *t,
                           struct mr_describe_configs_response_result *out)
{
    struct mr_setting_row row;
    struct mr_node_row from;
    for (size_t i = 0; i < TOPIC_ROWS_MAX && mr_topic_setting(t, i, &row); i++) {
        if (!asked_for(want, row.name))
            continue;
        struct mr_describe_configs_response_config *c = add_row(r, in, out);
        if (!c)
            return false;
        c->name = mr_slice_of(row.name);
        c->value = mr_request_text(r, row.value);
        c->config_source = mr_kafka_setting_source(r, &row);
        c->config_type = row.type;
        c->is_sensitive = row.sensitive;
        if (in->include_documentation)
            c->documentation = mr_slice_of(row.help);
        if (!in->include_synonyms)
            continue;
        if (row.given)
            add_synonym(r, c, row.name, row.value, false, SOURCE_TOPIC);
        if (mr_node_book_topic_row(book_of(r), row.name, &from))
            node_synonyms(r, c, &from);
        else
            add_synonym(r, c, row.name, row.standard, false, MR_NODE_STANDARD);
    }
    return true;
}

/* `all`: what every node was told while running, and nothing else. */
static bool describe_settings(struct mr_request *r, const struct mr_describe_configs_request *in,
                              const struct mr_describe_configs_request_resource *want, bool all,
                              struct mr_describe_configs_response_result *out)
{
    struct mr_node_row row;
    for (size_t i = 0; mr_node_book_row(book_of(r), i, &row); i++) {
        if (!asked_for(want, row.name) || (all && !row.by[MR_NODE_ALL].given))
            continue;
        struct mr_describe_configs_response_config *c = add_row(r, in, out);
        if (!c)
            return false;
        bool unset = row.source == MR_NODE_STANDARD && row.by[MR_NODE_STANDARD].unset;
        c->name = mr_slice_of(row.name);
        if (!unset)
            c->value = mr_request_text(r, all ? row.by[MR_NODE_ALL].value : row.value);
        c->config_source = (int8_t)(all ? MR_NODE_ALL : row.source);
        c->config_type = row.type;
        c->read_only = row.read_only;
        if (in->include_documentation)
            c->documentation = mr_slice_of(row.help);
        if (in->include_synonyms)
            node_synonyms(r, c, &row);
    }
    return true;
}

/* ------------------------------------------------------------------ what is given at start and is no setting */

enum { BOUND, SHOWN, PROTOCOLS };

static void write_listeners(const struct mr_kafka *k, int what, char *out, size_t cap)
{
    out[0] = '\0';
    for (uint32_t i = 0; i < k->listener_count; i++) {
        const struct mr_kafka_listener *l = &k->listeners[i];
        const struct mr_address *at = what == BOUND ? &l->bound : &l->shown;
        size_t len = strlen(out);
        if (what == PROTOCOLS)
            (void)snprintf(out + len, cap - len, "%s%s:PLAINTEXT", len ? "," : "", l->name);
        else
            (void)snprintf(out + len, cap - len, strchr(at->host, ':') ? "%s%s://[%s]:%d" : "%s%s://%s:%d",
                           len ? "," : "", l->name, at->host, at->port);
    }
}

static bool describe_start(struct mr_request *r, const struct mr_describe_configs_request *in,
                           const struct mr_describe_configs_request_resource *want,
                           struct mr_describe_configs_response_result *out)
{
    const struct mr_node *n = mr_request_node(r);
    char bound[VALUE_BYTES], shown[VALUE_BYTES], protocols[VALUE_BYTES];
    write_listeners(n->kafka, BOUND, bound, sizeof bound);
    write_listeners(n->kafka, SHOWN, shown, sizeof shown);
    write_listeners(n->kafka, PROTOCOLS, protocols, sizeof protocols);
    const struct {
        const char *name, *value, *help;
        int8_t type, source;
    } rows[] = {
        {"advertised.listeners", shown, "What clients are told to connect to.", MR_SETTING_STRING,
         MR_NODE_FIXED},
        {"listener.security.protocol.map", protocols, "A listener is plain text.", MR_SETTING_STRING,
         MR_NODE_STANDARD},
        {"listeners", bound, "Where this node listens.", MR_SETTING_STRING, MR_NODE_FIXED},
        {"log.dirs", n->data_dir, "The data directory.", MR_SETTING_STRING, MR_NODE_FIXED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!asked_for(want, rows[i].name))
            continue;
        struct mr_describe_configs_response_config *c = add_row(r, in, out);
        if (!c)
            return false;
        c->name = mr_slice_of(rows[i].name);
        c->value = mr_request_text(r, rows[i].value);
        c->read_only = true;
        c->config_source = rows[i].source;
        c->config_type = rows[i].type;
        if (in->include_documentation)
            c->documentation = mr_slice_of(rows[i].help);
        if (in->include_synonyms)
            add_synonym(r, c, rows[i].name, rows[i].value, false, rows[i].source);
    }
    return true;
}

/* ------------------------------------------------------------------ resources */

static enum mr_refusal refuse(struct mr_err *err, enum mr_refusal why, const char *text)
{
    (void)mr_fail(err, MR_BADCONF, "%s", text);
    return why;
}

/* A broker by its name: *own, or all of them. */
static enum mr_refusal find_node(struct mr_slice name, bool *own, struct mr_err *err)
{
    char id[16];
    (void)snprintf(id, sizeof id, "%d", MR_NODE_ID);
    *own = mr_slice_eq(name, mr_slice_of(id));
    return *own || !name.len
               ? MR_REFUSE_NONE
               : refuse(err, MR_REFUSE_INVALID_REQUEST, "no such broker: this is one node, its number is 1");
}

static enum mr_refusal find_topic(struct mr_request *r, struct mr_slice name, const struct mr_topic **t,
                                  struct mr_err *err)
{
    enum mr_refusal why;
    *t = mr_request_topic(r, name, NULL, false, &why);
    enum mr_refusal bad = *t ? MR_REFUSE_NONE : mr_topic_name_check(name, err);
    return bad ? bad : why;
}

static struct mr_slice why_text(struct mr_request *r, enum mr_refusal why, const struct mr_err *err)
{
    return why ? mr_request_text(r, err->code ? err->text : mr_refusal_text(why)) : (struct mr_slice){0};
}

/* false: closed. */
static bool describe(struct mr_request *r, const struct mr_describe_configs_request *in,
                     const struct mr_describe_configs_request_resource *want,
                     struct mr_describe_configs_response_result *o)
{
    const struct mr_topic *t = NULL;
    struct mr_err err = {0};
    enum mr_refusal why = MR_REFUSE_NONE;
    bool own = false;
    size_t rows = want->resource_type == RESOURCE_TOPIC    ? TOPIC_ROWS_MAX
                  : want->resource_type == RESOURCE_BROKER ? ROWS_MAX
                                                           : 0;
    if (!(o->configs = mr_request_take(r, rows, sizeof *o->configs)))
        return false;
    switch (want->resource_type) {
    case RESOURCE_TOPIC:
        why = find_topic(r, want->resource_name, &t, &err);
        if (!why && !describe_topic(r, in, want, t, o))
            return false;
        break;
    case RESOURCE_BROKER:
        why = find_node(want->resource_name, &own, &err);
        if (!why && (!describe_settings(r, in, want, !own, o) || (own && !describe_start(r, in, want, o))))
            return false;
        break;
    case RESOURCE_LOGGER:
    case RESOURCE_METRICS:
    case RESOURCE_GROUP: /* nothing can be set for them: an empty list is the truth */
        break;
    default:
        why = refuse(&err, MR_REFUSE_INVALID_REQUEST, "no such type of resource: topics are 2, brokers 4");
    }
    o->error_code = (int16_t)why;
    o->error_message = why_text(r, why, &err);
    return true;
}

void mr_kafka_describe_configs(struct mr_request *r)
{
    struct mr_describe_configs_request in;
    struct mr_describe_configs_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_describe_configs_response_init(&out);
    size_t count = in.resources_count > 0 ? (size_t)in.resources_count : 0;
    if (!(out.results = mr_request_take(r, count, sizeof *out.results)))
        return;
    out.results_count = (int32_t)count;
    for (size_t i = 0; i < count; i++) {
        out.results[i].resource_type = in.resources[i].resource_type;
        out.results[i].resource_name = in.resources[i].resource_name;
        if (!describe(r, &in, &in.resources[i], &out.results[i]))
            return;
    }
    mr_request_answer(r, &out);
}

/* ------------------------------------------------------------------ changing */

/* Which resources a request names more than once; others than those that can be changed do not matter. */
struct seen {
    struct mr_map topics, nodes;
};

static struct mr_map *seen_map(struct seen *s, int8_t type)
{
    return type == RESOURCE_TOPIC ? &s->topics : type == RESOURCE_BROKER ? &s->nodes : NULL;
}

static void see(struct seen *s, int8_t type, struct mr_slice name)
{
    struct mr_map *m = seen_map(s, type);
    if (m) /* the value is a mark alone: the one map or the other */
        (void)mr_map_put(m, name, mr_map_get(m, name) ? &s->nodes : &s->topics, NULL);
}

static bool seen_twice(struct seen *s, int8_t type, struct mr_slice name)
{
    struct mr_map *m = seen_map(s, type);
    return m && mr_map_get(m, name) == &s->nodes;
}

static void seen_fini(struct seen *s)
{
    mr_map_fini(&s->topics, NULL);
    mr_map_fini(&s->nodes, NULL);
}

struct change {
    int8_t type;
    struct mr_slice name;
    bool replace; /* what is not named goes back to its default: AlterConfigs */
    bool check_only;
    size_t count;
    int16_t *code; /* of the answer's row */
    struct mr_slice *message;
    struct mr_setting set[CHANGES_MAX];           /* with replace */
    struct mr_setting_change change[CHANGES_MAX]; /* without */
};

static struct mr_slice key_at(const struct change *c, size_t i)
{
    return c->replace ? c->set[i].name : c->change[i].name;
}

/* What a change may not be, whatever it is about. */
static enum mr_refusal sensible(const struct change *c, struct mr_err *err)
{
    for (size_t i = 0; i < c->count; i++) {
        for (size_t k = 0; k < i; k++)
            if (mr_slice_eq(key_at(c, i), key_at(c, k))) {
                (void)mr_fail(err, MR_BADCONF, "setting '%.*s' is named twice", MR_SLICE_ARG(key_at(c, i)));
                return MR_REFUSE_INVALID_REQUEST;
            }
        if (c->replace)
            continue;
        const struct mr_setting_change *one = &c->change[i];
        if (one->op < MR_SETTING_SET || one->op > MR_SETTING_SUBTRACT) {
            (void)mr_fail(err, MR_BADCONF, "setting '%.*s': no such operation: %d", MR_SLICE_ARG(one->name),
                          (int)one->op);
            return MR_REFUSE_INVALID_REQUEST;
        }
        if (one->op != MR_SETTING_DELETE && !one->value.p) {
            (void)mr_fail(err, MR_BADCONF, "setting '%.*s' has no value: null is for deleting alone",
                          MR_SLICE_ARG(one->name));
            return MR_REFUSE_INVALID_REQUEST;
        }
    }
    return MR_REFUSE_NONE;
}

static enum mr_refusal change_node(struct mr_request *r, const struct change *c, struct mr_err *err)
{
    struct mr_node_book *book = mr_broker_node_book(mr_request_node(r)->broker);
    bool own;
    enum mr_refusal why = find_node(c->name, &own, err);
    if (why)
        return why;
    return c->replace ? mr_node_book_alter(book, own, c->set, c->count, c->check_only, err)
                      : mr_node_book_change(book, own, c->change, c->count, c->check_only, err);
}

/* NONE: submitted, or the connection was closed. */
static enum mr_refusal change_topic(struct mr_request *r, const struct change *c, struct mr_err *err)
{
    const struct mr_topic *t;
    enum mr_refusal why = find_topic(r, c->name, &t, err);
    if (why)
        return why;
    size_t each = c->replace ? sizeof *c->set : sizeof *c->change;
    void *list = mr_request_take(r, c->count, each);
    struct mr_request_change *row =
        list ? mr_request_change(r, c->replace ? MR_CHANGE_ALTER : MR_CHANGE_CHANGE, c->name, c->code,
                                 c->message)
             : NULL;
    if (!row)
        return MR_REFUSE_NONE;
    memcpy(list, c->replace ? (const void *)c->set : (const void *)c->change, c->count * each);
    row->change.replace = c->replace;
    row->change.check_only = c->check_only;
    row->change.settings = c->replace ? list : NULL;
    row->change.setting_count = c->replace ? c->count : 0;
    row->change.changes = c->replace ? NULL : list;
    row->change.change_count = c->replace ? 0 : c->count;
    mr_request_submit(row);
    return MR_REFUSE_NONE;
}

static enum mr_refusal change(struct mr_request *r, const struct change *c, bool doubled, struct mr_err *err)
{
    if (doubled)
        return refuse(err, MR_REFUSE_INVALID_REQUEST, "the resource is named twice in this request");
    if (c->count > CHANGES_MAX) {
        (void)mr_fail(err, MR_LIMIT, "more than %d settings in one change", CHANGES_MAX);
        return MR_REFUSE_INVALID_REQUEST;
    }
    enum mr_refusal why = sensible(c, err);
    if (why)
        return why;
    switch (c->type) {
    case RESOURCE_TOPIC:
        return change_topic(r, c, err);
    case RESOURCE_BROKER:
        return change_node(r, c, err);
    case RESOURCE_LOGGER:
    case RESOURCE_METRICS:
    case RESOURCE_GROUP:
        return refuse(err, MR_REFUSE_INVALID_REQUEST,
                      "loggers, client metrics and groups have no settings here: topics and the node do");
    default:
        return refuse(err, MR_REFUSE_INVALID_REQUEST, "no such type of resource: topics are 2, brokers 4");
    }
}

void mr_kafka_alter_configs(struct mr_request *r)
{
    struct mr_alter_configs_request in;
    struct mr_alter_configs_response *out = mr_request_take(r, 1, sizeof *out);
    if (!out || !mr_request_keep(r) || !mr_request_read(r, &in))
        return;
    mr_alter_configs_response_init(out);
    int32_t count = in.resources_count > 0 ? in.resources_count : 0;
    struct change *c = mr_request_take(r, 1, sizeof *c);
    if (!c || !(out->responses = mr_request_take(r, (size_t)count, sizeof *out->responses)))
        return;
    out->responses_count = count;
    struct seen seen;
    mr_map_init(&seen.topics, 0);
    mr_map_init(&seen.nodes, 0);
    for (int32_t i = 0; i < count; i++)
        see(&seen, in.resources[i].resource_type, in.resources[i].resource_name);
    for (int32_t i = 0; i < count; i++) {
        const struct mr_alter_configs_request_resource *want = &in.resources[i];
        struct mr_err err = {0};
        c->type = want->resource_type;
        c->name = want->resource_name;
        c->replace = true;
        c->check_only = in.validate_only;
        c->count = want->configs_count > 0 ? (size_t)want->configs_count : 0;
        for (size_t k = 0; k < c->count && k < CHANGES_MAX; k++)
            c->set[k] = (struct mr_setting){want->configs[k].name, want->configs[k].value};
        c->code = &out->responses[i].error_code;
        c->message = &out->responses[i].error_message;
        enum mr_refusal why = change(r, c, seen_twice(&seen, c->type, c->name), &err);
        out->responses[i] = (struct mr_alter_configs_response_topic){
            .error_code = (int16_t)why,
            .error_message = why_text(r, why, &err),
            .resource_type = want->resource_type,
            .resource_name = want->resource_name,
        };
    }
    seen_fini(&seen);
    mr_request_changes_answer(r, out);
}

void mr_kafka_incremental_alter_configs(struct mr_request *r)
{
    struct mr_incremental_alter_configs_request in;
    struct mr_incremental_alter_configs_response *out = mr_request_take(r, 1, sizeof *out);
    if (!out || !mr_request_keep(r) || !mr_request_read(r, &in))
        return;
    mr_incremental_alter_configs_response_init(out);
    int32_t count = in.resources_count > 0 ? in.resources_count : 0;
    struct change *c = mr_request_take(r, 1, sizeof *c);
    if (!c || !(out->responses = mr_request_take(r, (size_t)count, sizeof *out->responses)))
        return;
    out->responses_count = count;
    struct seen seen;
    mr_map_init(&seen.topics, 0);
    mr_map_init(&seen.nodes, 0);
    for (int32_t i = 0; i < count; i++)
        see(&seen, in.resources[i].resource_type, in.resources[i].resource_name);
    for (int32_t i = 0; i < count; i++) {
        const struct mr_incremental_alter_configs_request_resource *want = &in.resources[i];
        struct mr_err err = {0};
        c->type = want->resource_type;
        c->name = want->resource_name;
        c->check_only = in.validate_only;
        c->count = want->configs_count > 0 ? (size_t)want->configs_count : 0;
        for (size_t k = 0; k < c->count && k < CHANGES_MAX; k++)
            c->change[k] = (struct mr_setting_change){want->configs[k].name, want->configs[k].value,
                                                      (enum mr_setting_op)want->configs[k].config_operation};
        c->code = &out->responses[i].error_code;
        c->message = &out->responses[i].error_message;
        enum mr_refusal why = change(r, c, seen_twice(&seen, c->type, c->name), &err);
        out->responses[i] = (struct mr_incremental_alter_configs_response_topic){
            .error_code = (int16_t)why,
            .error_message = why_text(r, why, &err),
            .resource_type = want->resource_type,
            .resource_name = want->resource_name,
        };
    }
    seen_fini(&seen);
    mr_request_changes_answer(r, out);
}
