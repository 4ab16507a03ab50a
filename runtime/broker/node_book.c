/* node_book.c - the layers of a node's settings, and the file of those that were set while running. */
#include "broker/node_book.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "broker/node_setting_inside.h"
#include "broker/record_file.h"
#include "broker/setting.h"

enum { PATH_BYTES = 4096, LAYERS = MR_NODE_FIXED + 1 };

struct mr_node_book {
    struct mr_world *world;
    void (*changed)(void *arg);
    void *arg;
    struct mr_node_settings standard;
    struct mr_node_layer layer[LAYERS]; /* by source: own, all, fixed */
    struct mr_node_settings now;
    char path[PATH_BYTES];
};

const struct mr_node_settings *mr_node_book_now(const struct mr_node_book *k)
{
    return &k->now;
}

/* ------------------------------------------------------------------ what holds */

static bool any_gives(const struct mr_node_book *k, const char *name)
{
    size_t i;
    enum mr_refusal r = mr_node_setting_find(mr_slice_of(name), &i, NULL);
    mr_assert(!r);
    for (int source = MR_NODE_OWN; source <= MR_NODE_FIXED; source++)
        if (k->layer[source].given[i])
            return true;
    return false;
}

/* A row in ms that nobody gives, and another of a coarser unit that somebody does. */
static bool comes_from_coarser(const struct mr_node_book *k, size_t i)
{
    static const struct {
        const char *ms, *coarser;
    } pairs[] = {{"log.retention.ms", "log.retention.minutes"},
                 {"log.retention.ms", "log.retention.hours"},
                 {"log.roll.ms", "log.roll.hours"},
                 {"log.roll.jitter.ms", "log.roll.jitter.hours"}};
    const char *name = mr_node_setting_at(i)->name;
    for (size_t p = 0; p < sizeof pairs / sizeof pairs[0]; p++)
        if (!strcmp(name, pairs[p].ms) && !any_gives(k, name) && any_gives(k, pairs[p].coarser))
            return true;
    return false;
}

/* hours: -1 is no limit. */
static mr_ms in_ms(int64_t count, int64_t unit)
{
    return count < 0 ? -1 : count * unit;
}

static void merge(const struct mr_node_book *k, struct mr_node_settings *out)
{
    enum { MINUTE = 60000, HOUR = 3600000 };
    *out = k->standard;
    for (int source = MR_NODE_FIXED; source >= MR_NODE_OWN; source--)
        for (size_t i = 0; i < mr_node_setting_count(); i++)
            if (k->layer[source].given[i])
                mr_node_setting_copy(i, &k->layer[source].says, out);
    if (any_gives(k, "log.retention.ms"))
        ;
    else if (out->log_retention_minutes != MR_NODE_UNSET)
        out->topic.log.retention_ms = in_ms(out->log_retention_minutes, MINUTE);
    else if (out->log_retention_hours != MR_NODE_UNSET)
        out->topic.log.retention_ms = in_ms(out->log_retention_hours, HOUR);
    if (!any_gives(k, "log.roll.ms") && out->log_roll_hours != MR_NODE_UNSET)
        out->topic.log.segment_ms = in_ms(out->log_roll_hours, HOUR);
    if (!any_gives(k, "log.roll.jitter.ms") && out->log_roll_jitter_hours != MR_NODE_UNSET)
        out->topic.log.segment_jitter_ms = in_ms(out->log_roll_jitter_hours, HOUR);
}

/* ------------------------------------------------------------------ the file */

static mr_code book_write(struct mr_node_book *k, struct mr_err *err)
{
    struct mr_buf text = {0};
    char value[MR_TOPIC_SETTING_MAX];
    bool ok = mr_buf_printf(&text, "millrace node-settings 1\n");
    for (int source = MR_NODE_OWN; source <= MR_NODE_ALL; source++)
        for (size_t i = 0; ok && i < mr_node_setting_count(); i++)
            if (k->layer[source].given[i]) {
                (void)mr_node_setting_print(i, &k->layer[source].says, value);
                ok = mr_buf_printf(&text, "%s %s %s\n", source == MR_NODE_OWN ? "own" : "all",
                                   mr_node_setting_at(i)->name, value);
            }
    mr_code rc = ok ? mr_record_file_write(k->world, k->path, &text, err)
                    : mr_fail(err, MR_MEMORY, "no memory to write '%s'", k->path);
    mr_buf_fini(&text);
    return rc;
}

/* What this version does not know is told and left out: a node that does not start cannot be told better. */
static void book_line(struct mr_node_book *k, const struct mr_broker_config *config, int source,
                      struct mr_slice rest)
{
    struct mr_err err = {0};
    const char *gap = memchr(rest.p, ' ', rest.len);
    size_t n = gap ? (size_t)(gap - rest.p) : rest.len, skip = n + (gap ? 1 : 0);
    if (mr_node_layer_set(&k->layer[source], (struct mr_slice){rest.p, n},
                          (struct mr_slice){rest.p + skip, rest.len - skip}, &err) == MR_REFUSE_NONE)
        return;
    mr_wrap(&err, "'%s': left out", k->path);
    if (config->tell)
        config->tell(config->tell_arg, MR_WARN, err.text);
}

static mr_code book_read(struct mr_node_book *k, const struct mr_broker_config *config, struct mr_arena *a,
                         struct mr_err *err)
{
    struct mr_slice lines, word, rest;
    mr_code rc = mr_record_file_read(k->world, k->path, a, &lines, err);
    if (rc)
        return rc == MR_NOTFOUND ? MR_OK : rc;
    while (mr_record_file_line(&lines, &word, &rest))
        if (mr_slice_eq(word, MR_SLICE("own")) || mr_slice_eq(word, MR_SLICE("all")))
            book_line(k, config, word.p[0] == 'o' ? MR_NODE_OWN : MR_NODE_ALL, rest);
        else if (!mr_slice_eq(word, MR_SLICE("millrace")) || !mr_slice_eq(rest, MR_SLICE("node-settings 1")))
            return mr_fail(err, MR_CORRUPT, "'%s' has a line '%.*s' that this version does not know", k->path,
                           MR_SLICE_ARG(word));
    return MR_OK;
}

/* ------------------------------------------------------------------ life */

/* What the caller's structs say otherwise than the program was given at start too. */
static void read_config(struct mr_node_book *k, const struct mr_broker_config *c)
{
    struct mr_node_layer *fixed = &k->layer[MR_NODE_FIXED];
    struct mr_node_settings said = k->standard;
    char one[MR_TOPIC_SETTING_MAX], other[MR_TOPIC_SETTING_MAX];
    said.auto_create_topics_enable = c->auto_create;
    said.num_partitions = c->default_partitions;
    if (c->tick_ms > 0)
        said.log_retention_check_interval_ms = c->tick_ms;
    said.topic.log = c->log;
    said.topic.durable = c->durable;
    for (size_t i = 0; i < mr_node_setting_count(); i++) {
        bool set = mr_node_setting_print(i, &said, one),
             usual = mr_node_setting_print(i, &k->standard, other);
        fixed->given[i] = c->node.given[i] || set != usual || strcmp(one, other) != 0;
        mr_node_setting_copy(i, c->node.given[i] ? &c->node.says : &said, &fixed->says);
    }
    k->standard.topic.log.compact_map_bytes = c->log.compact_map_bytes; /* no setting */
}

mr_code mr_node_book_open(struct mr_world *w, const char *data_dir, const struct mr_broker_config *config,
                          void (*changed)(void *arg), void *arg, struct mr_node_book **out,
                          struct mr_err *err)
{
    struct mr_node_book *k = mr_alloc(sizeof *k);
    if (!k)
        return mr_fail(err, MR_MEMORY, "no memory for the settings of the node");
    k->world = w;
    k->changed = changed;
    k->arg = arg;
    (void)snprintf(k->path, sizeof k->path, "%s/node-settings", data_dir);
    mr_node_settings_init(&k->standard);
    read_config(k, config);
    struct mr_heap_arena arena;
    mr_heap_arena_init(&arena, 4096, 0, 1 << 20);
    mr_code rc = book_read(k, config, &arena.arena, err);
    mr_heap_arena_fini(&arena);
    merge(k, &k->now);
    if (rc == MR_OK && mr_node_setting_agree(&k->now, err))
        rc = MR_BADCONF;
    if (rc) {
        mr_free(k);
        return rc;
    }
    *out = k;
    return MR_OK;
}

void mr_node_book_close(struct mr_node_book *k)
{
    mr_free(k);
}

/* ------------------------------------------------------------------ changing */

/* `to` in place of the layer of that source, if all is well. */
static enum mr_refusal replace(struct mr_node_book *k, int source, const struct mr_node_layer *to,
                               bool check_only, struct mr_err *err)
{
    const struct mr_node_layer was = k->layer[source];
    struct mr_node_settings now;
    k->layer[source] = *to;
    merge(k, &now);
    enum mr_refusal r = mr_node_setting_agree(&now, err);
    if (!r && !check_only && book_write(k, err))
        r = MR_REFUSE_STORAGE;
    if (r || check_only) {
        k->layer[source] = was;
        return r;
    }
    k->now = now;
    if (k->changed)
        k->changed(k->arg);
    return MR_REFUSE_NONE;
}

static enum mr_refusal find(struct mr_slice name, size_t *i, struct mr_err *err)
{
    enum mr_refusal r = mr_node_setting_find(name, i, err);
    if (r || !mr_node_setting_at(*i)->read_only)
        return r;
    (void)mr_fail(err, MR_BADCONF, "node setting '%.*s' can be given at start only", MR_SLICE_ARG(name));
    return MR_REFUSE_INVALID_CONFIG;
}

/* Words more or fewer than hold now. */
static enum mr_refusal change_list(const struct mr_node_book *k, struct mr_node_layer *l, size_t i,
                                   const struct mr_setting_change *change, struct mr_err *err)
{
    const struct mr_node_setting *row = mr_node_setting_at(i);
    if (!row->topic) {
        (void)mr_fail(err, MR_BADCONF, "node setting '%s' is no list: it can be set, or deleted", row->name);
        return MR_REFUSE_INVALID_CONFIG;
    }
    uint64_t given = 0;
    struct mr_setting_change as = {mr_slice_of(row->topic), change->value, change->op};
    if (!l->given[i])
        mr_node_setting_copy(i, &k->now, &l->says);
    return mr_setting_change(&as, &k->standard.topic, &l->says.topic, &given, err);
}

enum mr_refusal mr_node_book_change(struct mr_node_book *k, bool own, const struct mr_setting_change *changes,
                                    size_t count, bool check_only, struct mr_err *err)
{
    int source = own ? MR_NODE_OWN : MR_NODE_ALL;
    struct mr_node_layer to = k->layer[source];
    enum mr_refusal r = MR_REFUSE_NONE;
    for (size_t n = 0; !r && n < count; n++) {
        const struct mr_setting_change *c = &changes[n];
        size_t i;
        if (c->op == MR_SETTING_DELETE && mr_node_setting_unused(c->name))
            continue; /* as tools do that reassign partitions, whether there was a limit or not */
        if ((r = find(c->name, &i, err)))
            break;
        if (c->op == MR_SETTING_SET)
            r = mr_node_setting_put(&to.says, i, c->value, err);
        else if (c->op != MR_SETTING_DELETE)
            r = change_list(k, &to, i, c, err);
        to.given[i] = c->op != MR_SETTING_DELETE;
    }
    return r ? r : replace(k, source, &to, check_only, err);
}

enum mr_refusal mr_node_book_alter(struct mr_node_book *k, bool own, const struct mr_setting *settings,
                                   size_t count, bool check_only, struct mr_err *err)
{
    struct mr_node_layer to = {0};
    enum mr_refusal r = MR_REFUSE_NONE;
    for (size_t n = 0; !r && n < count; n++) {
        size_t i;
        r = find(settings[n].name, &i, err);
        if (!r && settings[n].value.p && !(r = mr_node_setting_put(&to.says, i, settings[n].value, err)))
            to.given[i] = true;
    }
    return r ? r : replace(k, own ? MR_NODE_OWN : MR_NODE_ALL, &to, check_only, err);
}

/* ------------------------------------------------------------------ describing */

bool mr_node_book_row(const struct mr_node_book *k, size_t i, struct mr_node_row *out)
{
    if (i >= mr_node_setting_count())
        return false;
    const struct mr_node_setting *row = mr_node_setting_at(i);
    struct mr_setting_row topic;
    *out = (struct mr_node_row){
        .name = row->name,
        .topic = row->topic,
        .help = row->help,
        .type = row->type,
        .read_only = row->read_only,
        .source = MR_NODE_STANDARD,
    };
    if (row->topic) {
        mr_assert(mr_setting_row_of(row->topic, &k->now.topic, &topic));
        out->help = topic.help;
        out->type = topic.type;
    }
    (void)mr_node_setting_print(i, &k->now, out->value);
    mr_node_setting_allowed(i, out->allowed);
    out->by[MR_NODE_STANDARD].given = true;
    out->by[MR_NODE_STANDARD].unset =
        !mr_node_setting_print(i, &k->standard, out->by[MR_NODE_STANDARD].value);
    for (int source = MR_NODE_FIXED; source >= MR_NODE_OWN; source--)
        if (k->layer[source].given[i]) {
            out->source = (enum mr_node_source)source;
            out->by[source].given = true;
            (void)mr_node_setting_print(i, &k->layer[source].says, out->by[source].value);
        }
    if (comes_from_coarser(k, i)) {
        out->source = MR_NODE_FIXED;
        out->by[MR_NODE_FIXED].given = true;
        memcpy(out->by[MR_NODE_FIXED].value, out->value, sizeof out->value);
    }
    return true;
}

enum mr_node_source mr_node_book_topic_source(const struct mr_node_book *k, const char *topic_setting)
{
    for (size_t i = 0; i < mr_node_setting_count(); i++) {
        const char *topic = mr_node_setting_at(i)->topic;
        if (!topic || strcmp(topic, topic_setting) != 0)
            continue;
        for (int source = MR_NODE_OWN; source <= MR_NODE_FIXED; source++)
            if (k->layer[source].given[i])
                return (enum mr_node_source)source;
        if (comes_from_coarser(k, i))
            return MR_NODE_FIXED;
    }
    return MR_NODE_STANDARD;
}

bool mr_node_book_topic_row(const struct mr_node_book *k, const char *topic_setting, struct mr_node_row *out)
{
    for (size_t i = 0; i < mr_node_setting_count(); i++) {
        const char *topic = mr_node_setting_at(i)->topic;
        if (topic && strcmp(topic, topic_setting) == 0)
            return mr_node_book_row(k, i, out);
    }
    return false;
}

bool mr_node_setting_standard(size_t i, struct mr_node_row *out)
{
    struct mr_node_book *k = mr_alloc(sizeof *k);
    if (!k)
        return false;
    mr_node_settings_init(&k->standard);
    k->now = k->standard;
    bool more = mr_node_book_row(k, i, out);
    mr_free(k);
    return more;
}
