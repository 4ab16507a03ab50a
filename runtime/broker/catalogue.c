/* catalogue.c - the table of topics, in memory and as files. See broker.h for what lies where. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "broker/broker_inside.h"
#include "broker/group.h"
#include "broker/record_file.h"
#include "broker/setting.h"
#include "broker/txn.h"

enum { SETTING_LINES_MAX = 64 };

/* ------------------------------------------------------------------ paths and files */

static void hex(const uint8_t id[16], char out[33])
{
    for (int i = 0; i < 16; i++)
        (void)snprintf(out + 2 * i, 3, "%02x", id[i]);
}

static bool unhex(struct mr_slice text, uint8_t out[16])
{
    if (text.len != 32)
        return false;
    for (size_t i = 0; i < 32; i++) {
        char c = text.p[i];
        int v = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (v < 0)
            return false;
        out[i / 2] = (uint8_t)(i % 2 ? out[i / 2] | v : v << 4);
    }
    return true;
}

void mr_topic_path(const char *dir, const struct topic *t, char out[MR_BROKER_PATH_BYTES])
{
    char id[33];
    hex(t->pub.id, id);
    (void)snprintf(out, MR_BROKER_PATH_BYTES, "%s/topics/%s.topic", dir, id);
}

void mr_partition_path(const struct mr_broker *b, struct mr_slice name, int32_t partition,
                       char out[MR_BROKER_PATH_BYTES])
{
    (void)snprintf(out, MR_BROKER_PATH_BYTES, "%s/topics/%.*s-%d", b->dir, MR_SLICE_ARG(name), partition);
}

bool mr_topic_text(const struct topic *t, struct mr_buf *out)
{
    char id[33];
    struct mr_setting_row row;
    hex(t->pub.id, id);
    bool ok = mr_buf_printf(out, "millrace topic 1\nname %s\nid %s\npartitions %d\n", t->pub.name, id,
                            t->pub.partitions);
    for (size_t i = 0; ok && mr_setting_row(i, &t->pub.config, t->given, NULL, &row); i++)
        if (row.given)
            ok = mr_buf_printf(out, "set %s %s\n", row.name, row.value);
    if (ok && t->deleted)
        ok = mr_buf_puts(out, "deleted\n");
    return ok && mr_record_file_seal(out);
}

/* ------------------------------------------------------------------ the table */

void mr_topic_free(struct topic *t)
{
    if (!t)
        return;
    mr_free((void *)(uintptr_t)t->pub.name);
    mr_free(t->place);
    mr_free(t);
}

struct topic *mr_topic_new(const struct mr_broker *b, struct mr_slice name, int32_t partitions)
{
    struct topic *t = mr_alloc(sizeof *t);
    if (!t)
        return NULL;
    t->pub.name = mr_strndup(name.p, name.len);
    t->pub.partitions = partitions;
    t->pub.internal =
        mr_slice_eq(name, MR_SLICE(MR_OFFSETS_TOPIC)) || mr_slice_eq(name, MR_SLICE(MR_TXNS_TOPIC));
    t->pub.config = b->defaults;
    t->defaults = &b->defaults;
    t->place = mr_alloc((size_t)partitions * sizeof *t->place);
    if (!t->pub.name || !t->place) {
        mr_topic_free(t);
        return NULL;
    }
    return t;
}

static size_t place_of(const struct mr_broker *b, const char *name)
{
    size_t low = 0, high = b->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (strcmp(b->topics[mid]->pub.name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool mr_catalogue_add(struct mr_broker *b, struct topic *t)
{
    if (b->count == b->room) {
        size_t room = b->room ? b->room * 2 : 16;
        struct topic **grown = mr_realloc(b->topics, room * sizeof(struct topic *));
        if (!grown)
            return false;
        b->topics = grown;
        b->room = room;
    }
    if (!mr_map_put(&b->by_name, mr_slice_of(t->pub.name), t, NULL))
        return false;
    if (!mr_map_put(&b->by_id, mr_topic_id_key(t->pub.id), t, NULL)) {
        mr_map_remove(&b->by_name, mr_slice_of(t->pub.name));
        return false;
    }
    size_t at = place_of(b, t->pub.name);
    memmove(b->topics + at + 1, b->topics + at, (b->count - at) * sizeof(struct topic *));
    b->topics[at] = t;
    b->count++;
    b->partitions += t->pub.partitions;
    return true;
}

void mr_catalogue_remove(struct mr_broker *b, struct topic *t)
{
    size_t at = place_of(b, t->pub.name);
    mr_assert(at < b->count && b->topics[at] == t);
    memmove(b->topics + at, b->topics + at + 1, (b->count - at - 1) * sizeof(struct topic *));
    b->count--;
    b->partitions -= t->pub.partitions;
    mr_map_remove(&b->by_name, mr_slice_of(t->pub.name));
    mr_map_remove(&b->by_id, mr_topic_id_key(t->pub.id));
}

const struct mr_topic *mr_broker_topic(const struct mr_broker *b, struct mr_slice name)
{
    return mr_map_get(&b->by_name, name); /* pub is the first member */
}
const struct mr_topic *mr_broker_topic_by_id(const struct mr_broker *b, const uint8_t id[16])
{
    return mr_map_get(&b->by_id, mr_topic_id_key(id));
}
size_t mr_broker_topic_count(const struct mr_broker *b)
{
    return b->count;
}
const struct mr_topic *mr_broker_topic_at(const struct mr_broker *b, size_t i)
{
    return &b->topics[i]->pub;
}
bool mr_topic_setting(const struct mr_topic *t, size_t i, struct mr_setting_row *out)
{
    const struct topic *whole = (const struct topic *)(const void *)t;
    return mr_setting_row(i, &t->config, whole->given, whole->defaults, out);
}

/* ------------------------------------------------------------------ reading them at start */

void mr_collect_name(void *arg, const char *name)
{
    struct mr_buf *names = arg;
    (void)mr_buf_put(names, name, strlen(name) + 1);
}

bool mr_ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), e = strlen(end);
    return n > e && strcmp(name + n - e, end) == 0;
}

static mr_code topic_parse(struct mr_broker *b, const char *path, struct mr_slice lines, struct topic **out,
                           struct mr_err *err)
{
    struct mr_slice word, rest, name = {0}, id = {0};
    struct mr_setting settings[SETTING_LINES_MAX];
    size_t count = 0;
    int64_t partitions = 0;
    bool deleted = false, version = false;
    while (mr_record_file_line(&lines, &word, &rest)) {
        if (mr_slice_eq(word, MR_SLICE("millrace")))
            version = mr_slice_eq(rest, MR_SLICE("topic 1"));
        else if (mr_slice_eq(word, MR_SLICE("name")))
            name = rest;
        else if (mr_slice_eq(word, MR_SLICE("id")))
            id = rest;
        else if (mr_slice_eq(word, MR_SLICE("partitions")))
            (void)mr_parse_i64(rest, &partitions);
        else if (mr_slice_eq(word, MR_SLICE("deleted")))
            deleted = true;
        else if (mr_slice_eq(word, MR_SLICE("set")) && count < SETTING_LINES_MAX) {
            const char *gap = memchr(rest.p, ' ', rest.len);
            size_t n = gap ? (size_t)(gap - rest.p) : rest.len;
            settings[count++] =
                (struct mr_setting){{rest.p, n}, {rest.p + n + (gap ? 1 : 0), rest.len - n - (gap ? 1 : 0)}};
        } else
            return mr_fail(err, MR_CORRUPT, "'%s' has a line '%.*s' that this version does not know", path,
                           MR_SLICE_ARG(word));
    }
    if (!version || mr_topic_name_check(name, NULL) || partitions < 1 || partitions > MR_TOPIC_PARTITIONS_MAX)
        return mr_fail(err, MR_CORRUPT, "'%s' does not describe a topic of this version", path);
    struct topic *t = mr_topic_new(b, name, (int32_t)partitions);
    if (!t)
        return mr_fail(err, MR_MEMORY, "no memory for topic '%.*s'", MR_SLICE_ARG(name));
    t->deleted = deleted;
    enum mr_refusal r = unhex(id, t->pub.id) ? MR_REFUSE_NONE : MR_REFUSE_UNKNOWN;
    for (size_t i = 0; !r && i < count; i++)
        r = mr_setting_apply(&settings[i], &t->pub.config, &t->given, NULL);
    if (r) {
        mr_topic_free(t);
        return mr_fail(err, MR_CORRUPT, "'%s' has an id or setting that this version does not know", path);
    }
    *out = t;
    return MR_OK;
}

static mr_code load_topic(struct mr_broker *b, const char *file, struct mr_arena *a, struct mr_err *err)
{
    char path[MR_BROKER_PATH_BYTES];
    struct mr_slice lines;
    struct topic *t = NULL;
    (void)snprintf(path, sizeof path, "%s/topics/%s", b->dir, file);
    mr_code rc = mr_record_file_read(b->world, path, a, &lines, err);
    if (rc == MR_OK)
        rc = topic_parse(b, path, lines, &t, err);
    if (rc)
        return rc;
    mr_assert(t);
    if (t->deleted) {
        struct mr_err left = {0};
        if (mr_topic_finish_delete(b, t, &left)) {
            mr_wrap(&left, "topic '%s' is deleted but not all of its files", t->pub.name);
            mr_broker_tell(b, MR_WARN, left.text);
        }
        mr_topic_free(t);
        return MR_OK;
    }
    if (mr_map_get(&b->by_name, mr_slice_of(t->pub.name)) || !mr_catalogue_add(b, t)) {
        rc = mr_fail(err, MR_CORRUPT, "'%s': there is another file for topic '%s'", path, t->pub.name);
        mr_topic_free(t);
    }
    return rc;
}

/* "access-12": does it belong to a topic? */
static bool is_known_dir(const struct mr_broker *b, const char *name)
{
    const char *dash = strrchr(name, '-');
    int64_t n;
    if (!dash || !mr_parse_i64(mr_slice_of(dash + 1), &n))
        return false;
    const struct mr_topic *t = mr_broker_topic(b, (struct mr_slice){name, (size_t)(dash - name)});
    return t && n >= 0 && n < t->partitions;
}

mr_code mr_catalogue_load(struct mr_broker *b, struct mr_arena *a, struct mr_err *err)
{
    char path[MR_BROKER_PATH_BYTES], text[MR_ERR_TEXT];
    struct mr_buf names = {0};
    (void)snprintf(path, sizeof path, "%s/topics", b->dir);
    mr_code rc = mr_mkdir_all(b->world, path, err);
    if (rc == MR_OK)
        rc = mr_dir_list(b->world, path, mr_collect_name, &names, err);
    for (size_t at = 0; rc == MR_OK && at < names.len; at += strlen(names.p + at) + 1)
        if (mr_ends_with(names.p + at, ".topic"))
            rc = load_topic(b, names.p + at, a, err);
    for (size_t at = 0; rc == MR_OK && at < names.len; at += strlen(names.p + at) + 1) {
        struct mr_stat st;
        const char *name = names.p + at;
        (void)snprintf(path, sizeof path, "%s/topics/%s", b->dir, name);
        if (mr_ends_with(name, ".topic") || is_known_dir(b, name) ||
            mr_stat_path(b->world, path, &st, NULL) || !st.is_dir)
            continue;
        (void)snprintf(text, sizeof text, "directory 'topics/%.200s' belongs to no topic; it is left alone",
                       name);
        mr_broker_tell(b, MR_WARN, text);
    }
    mr_buf_fini(&names);
    return rc;
}
