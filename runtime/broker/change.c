/* change.c - topics are made, changed and deleted. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "broker/broker_inside.h"
#include "broker/record_file.h"
#include "broker/setting.h"

/* ------------------------------------------------------------------ removing */

/* A directory of plain files and all in it; absent is fine. */
static mr_code remove_dir(struct mr_world *w, const char *dir, struct mr_err *err)
{
    struct mr_buf names = {0};
    char path[MR_BROKER_PATH_BYTES];
    mr_code rc = mr_dir_list(w, dir, mr_collect_name, &names, err);
    for (size_t at = 0; rc == MR_OK && at < names.len; at += strlen(names.p + at) + 1) {
        int n = snprintf(path, sizeof path, "%s/%s", dir, names.p + at);
        mr_assert(n > 0 && (size_t)n < sizeof path);
        rc = mr_unlink(w, path, err);
    }
    mr_buf_fini(&names);
    if (rc == MR_OK)
        rc = mr_rmdir(w, dir, err);
    return rc == MR_NOTFOUND ? MR_OK : rc;
}

/* The file says `deleted` already; it goes last. */
mr_code mr_topic_finish_delete(struct mr_broker *b, struct topic *t, struct mr_err *err)
{
    char path[MR_BROKER_PATH_BYTES];
    mr_code rc = MR_OK, one;
    for (int32_t i = 0; i < t->pub.partitions; i++) {
        if (t->place[i].p) {
            one = mr_partition_remove(t->place[i].p, err);
            t->place[i].p = NULL;
            b->open_count--;
            rc = rc ? rc : one;
        }
        mr_partition_path(b, mr_slice_of(t->pub.name), i, path);
        one = remove_dir(b->world, path, err);
        rc = rc ? rc : one;
    }
    if (rc)
        return rc;
    mr_topic_path(b, t, path);
    if ((rc = mr_unlink(b->world, path, err)))
        return rc;
    (void)snprintf(path, sizeof path, "%s/topics", b->dir);
    return mr_dir_sync(b->world, path, err);
}

enum mr_refusal mr_broker_delete(struct mr_broker *b, struct mr_slice name, struct mr_err *err)
{
    struct topic *t = mr_map_get(&b->by_name, name);
    if (!t) {
        (void)mr_fail(err, MR_NOTFOUND, "no topic '%.*s'", MR_SLICE_ARG(name));
        return MR_REFUSE_UNKNOWN_TOPIC;
    }
    t->deleted = true;
    if (mr_topic_write(b, t, err)) { /* nothing has happened yet */
        t->deleted = false;
        mr_wrap(err, "cannot delete topic '%s'", t->pub.name);
        return MR_REFUSE_STORAGE;
    }
    mr_catalogue_remove(b, t); /* before partitions wake their readers: they must not find it again */
    mr_code rc = mr_topic_finish_delete(b, t, err);
    mr_topic_free(t);
    if (rc) { /* it is deleted all the same; the next start tries to finish */
        char text[MR_ERR_TEXT];
        (void)snprintf(text, sizeof text, "topic '%.*s' is deleted but not all of its files: %.200s",
                       MR_SLICE_ARG(name), err ? err->text : mr_code_text(rc));
        mr_broker_tell(b, MR_WARN, text);
    }
    return MR_REFUSE_NONE;
}

/* ------------------------------------------------------------------ creating */

enum mr_refusal mr_topic_name_check(struct mr_slice name, struct mr_err *err)
{
    bool ok = name.len >= 1 && name.len <= MR_TOPIC_NAME_MAX && !mr_slice_eq(name, MR_SLICE(".")) &&
              !mr_slice_eq(name, MR_SLICE(".."));
    for (size_t i = 0; ok && i < name.len; i++) {
        char c = name.p[i];
        ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
             c == '_' || c == '-';
    }
    if (ok)
        return MR_REFUSE_NONE;
    int shown = name.len > 60 ? 60 : (int)name.len;
    (void)mr_fail(err, MR_BADCONF,
                  "topic name '%.*s' is not valid: 1 to %d of a-z A-Z 0-9 . _ -, and not . or ..", shown,
                  name.p ? name.p : "", MR_TOPIC_NAME_MAX);
    return MR_REFUSE_INVALID_TOPIC;
}

static enum mr_refusal may_create(const struct mr_broker *b, struct mr_slice name, int32_t partitions,
                                  struct mr_err *err)
{
    enum mr_refusal r = mr_topic_name_check(name, err);
    if (r)
        return r;
    if (mr_map_get(&b->by_name, name)) {
        (void)mr_fail(err, MR_EXISTS, "topic '%.*s' exists already", MR_SLICE_ARG(name));
        return MR_REFUSE_TOPIC_EXISTS;
    }
    if (partitions < 1 || partitions > MR_TOPIC_PARTITIONS_MAX) {
        (void)mr_fail(err, MR_BADCONF, "topic '%.*s' with %d partitions: must be 1 to %d", MR_SLICE_ARG(name),
                      partitions, MR_TOPIC_PARTITIONS_MAX);
        return MR_REFUSE_INVALID_PARTITIONS;
    }
    if (b->partitions + partitions > b->config.partitions_max || b->count >= MR_BROKER_TOPICS_MAX) {
        (void)mr_fail(err, MR_LIMIT,
                      "topic '%.*s' would bring the node to %lld partitions; partitions_max is %d",
                      MR_SLICE_ARG(name), (long long)b->partitions + partitions, b->config.partitions_max);
        return MR_REFUSE_POLICY;
    }
    /* Somebody's data without its .topic file must not come back to life under a new topic. */
    for (int32_t i = 0; i < partitions; i++) {
        char path[MR_BROKER_PATH_BYTES];
        struct mr_stat st;
        mr_partition_path(b, name, i, path);
        if (mr_stat_path(b->world, path, &st, NULL) == MR_OK) {
            (void)mr_fail(err, MR_EXISTS,
                          "directory '%s' is left over from a topic of that name; move it away first", path);
            return MR_REFUSE_TOPIC_EXISTS;
        }
    }
    return MR_REFUSE_NONE;
}

static void fresh_id(struct mr_broker *b, uint8_t id[16])
{
    do {
        uint64_t r[2] = {mr_random(b->world), mr_random(b->world)};
        memcpy(id, r, 16);
        id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
        id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
    } while (id[0] >> 2 == 62 ||
             mr_map_get(&b->by_id, mr_topic_id_key(id))); /* 62: base64 text would begin with - */
}

enum mr_refusal mr_broker_create(struct mr_broker *b, struct mr_slice name, int32_t partitions,
                                 const struct mr_setting *settings, size_t setting_count, bool check_only,
                                 const struct mr_topic **out, struct mr_err *err)
{
    if (out)
        *out = NULL;
    if (partitions == -1)
        partitions = (int32_t)mr_broker_node_settings(b)->num_partitions;
    enum mr_refusal r = may_create(b, name, partitions, err);
    if (r)
        return r;
    struct topic *t = mr_topic_new(b, name, partitions);
    if (!t) {
        (void)mr_fail(err, MR_MEMORY, "no memory for topic '%.*s'", MR_SLICE_ARG(name));
        return MR_REFUSE_STORAGE;
    }
    for (size_t i = 0; !r && i < setting_count; i++)
        r = mr_setting_apply(&settings[i], &t->pub.config, &t->given, err);
    if (!r)
        r = mr_setting_agree(&t->pub.config, err);
    if (r || check_only) {
        mr_topic_free(t);
        return r;
    }
    fresh_id(b, t->pub.id);
    if (!mr_catalogue_add(b, t)) {
        mr_topic_free(t);
        (void)mr_fail(err, MR_MEMORY, "no memory for topic '%.*s'", MR_SLICE_ARG(name));
        return MR_REFUSE_STORAGE;
    }
    if (mr_topic_write(b, t, err)) {
        mr_wrap(err, "cannot create topic '%s'", t->pub.name);
        mr_catalogue_remove(b, t);
        mr_topic_free(t);
        return MR_REFUSE_STORAGE;
    }
    if (out)
        *out = &t->pub;
    return MR_REFUSE_NONE;
}

/* ------------------------------------------------------------------ changing */

static struct topic *find_topic(struct mr_broker *b, struct mr_slice name, struct mr_err *err)
{
    struct topic *t = mr_map_get(&b->by_name, name);
    if (!t)
        (void)mr_fail(err, MR_NOTFOUND, "no topic '%.*s'", MR_SLICE_ARG(name));
    return t;
}

/* On disk, then for whoever uses it: a change that cannot be kept did not happen. */
static enum mr_refusal reconfigure(struct mr_broker *b, struct topic *t,
                                   const struct mr_partition_config *now, uint64_t given, bool check_only,
                                   struct mr_err *err)
{
    const struct mr_partition_config was = t->pub.config;
    uint64_t given_was = t->given;
    enum mr_refusal r = mr_setting_agree(now, err);
    if (r || check_only)
        return r;
    t->pub.config = *now;
    t->given = given;
    if (mr_topic_write(b, t, err)) {
        t->pub.config = was;
        t->given = given_was;
        mr_wrap(err, "cannot change topic '%s'", t->pub.name);
        return MR_REFUSE_STORAGE;
    }
    for (int32_t i = 0; i < t->pub.partitions; i++)
        if (t->place[i].p)
            mr_partition_configure(t->place[i].p, &t->pub.config);
        else
            t->place[i].due = 0;
    return MR_REFUSE_NONE;
}

enum mr_refusal mr_broker_alter(struct mr_broker *b, struct mr_slice name, const struct mr_setting *settings,
                                size_t setting_count, bool replace, bool check_only, struct mr_err *err)
{
    struct topic *t = find_topic(b, name, err);
    if (!t)
        return MR_REFUSE_UNKNOWN_TOPIC;
    struct mr_partition_config now = replace ? b->defaults : t->pub.config;
    uint64_t given = replace ? 0 : t->given;
    enum mr_refusal r = MR_REFUSE_NONE;
    for (size_t i = 0; !r && i < setting_count; i++)
        r = settings[i].value.p ? mr_setting_apply(&settings[i], &now, &given, err)
                                : mr_setting_clear(settings[i].name, &b->defaults, &now, &given, err);
    return r ? r : reconfigure(b, t, &now, given, check_only, err);
}

enum mr_refusal mr_broker_change(struct mr_broker *b, struct mr_slice name,
                                 const struct mr_setting_change *changes, size_t count, bool check_only,
                                 struct mr_err *err)
{
    struct topic *t = find_topic(b, name, err);
    if (!t)
        return MR_REFUSE_UNKNOWN_TOPIC;
    struct mr_partition_config now = t->pub.config;
    uint64_t given = t->given;
    enum mr_refusal r = MR_REFUSE_NONE;
    for (size_t i = 0; !r && i < count; i++)
        r = mr_setting_change(&changes[i], &b->defaults, &now, &given, err);
    return r ? r : reconfigure(b, t, &now, given, check_only, err);
}

enum mr_refusal mr_broker_grow(struct mr_broker *b, struct mr_slice name, int32_t partitions, bool check_only,
                               struct mr_err *err)
{
    struct topic *t = find_topic(b, name, err);
    if (!t)
        return MR_REFUSE_UNKNOWN_TOPIC;
    int32_t was = t->pub.partitions;
    if (partitions <= was || partitions > MR_TOPIC_PARTITIONS_MAX) {
        (void)mr_fail(err, MR_BADCONF, "topic '%s' has %d partitions; it can have more, up to %d",
                      t->pub.name, was, MR_TOPIC_PARTITIONS_MAX);
        return MR_REFUSE_INVALID_PARTITIONS;
    }
    if (b->partitions + partitions - was > b->config.partitions_max) {
        (void)mr_fail(err, MR_LIMIT, "%d partitions for topic '%s' would exceed partitions_max (%d)",
                      partitions, t->pub.name, b->config.partitions_max);
        return MR_REFUSE_POLICY;
    }
    if (check_only)
        return MR_REFUSE_NONE;
    struct place *place = mr_alloc((size_t)partitions * sizeof *place);
    if (!place) {
        (void)mr_fail(err, MR_MEMORY, "no memory for %d partitions", partitions);
        return MR_REFUSE_STORAGE;
    }
    t->pub.partitions = partitions;
    if (mr_topic_write(b, t, err)) {
        t->pub.partitions = was;
        mr_free(place);
        mr_wrap(err, "cannot change topic '%s'", t->pub.name);
        return MR_REFUSE_STORAGE;
    }
    memcpy(place, t->place, (size_t)was * sizeof *place);
    mr_free(t->place);
    t->place = place;
    b->partitions += partitions - was;
    return MR_REFUSE_NONE;
}
