/* broker.c - the table of topics, in memory and as files; producer ids. See broker.h for what lies where. */
#include "broker/broker.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "broker/node_book.h"
#include "broker/record_file.h"
#include "broker/setting.h"

enum {
    PATH_BYTES = 4096,
    TOPICS_MAX = 100000,
    PRODUCER_ID_BLOCK = 1000,
    OPENED_A_TICK = 16, /* partitions that the tick opens for retention's sake */
    SETTING_LINES_MAX = 32,
    COMPACT_BYTES = 1 << 20, /* that a slice of compaction reads, */
    COMPACT_EVERY_MS = 20,   /* and how often: 50 MiB a second at most */
};

struct topic {
    struct mr_topic pub;                        /* first */
    uint64_t given;                             /* settings, by row */
    const struct mr_partition_config *defaults; /* of the broker */
    bool deleted;
    struct mr_partition **open; /* [partitions], NULL: not opened */
};

struct mr_broker {
    struct mr_world *world;
    struct mr_broker_config config;
    struct topic **topics; /* sorted by name */
    size_t count, room;
    struct mr_map by_name, by_id;
    int64_t partitions; /* of all topics */
    int64_t producer_next, producer_block_end;
    struct mr_node_book *book;           /* settings of the node */
    struct mr_partition_config defaults; /* of topics that say nothing: as the book says */
    struct mr_timer tick;
    struct mr_timer slice; /* of compaction; runs while there is some */
    bool compacting;
    int64_t next_compact; /* the partition that is asked next, counted over all topics */
    uint32_t flushing;    /* partitions, and the walk over them */
    void (*flushed)(void *arg);
    void *flushed_arg;
    bool closing; /* who is woken by a closing partition must not open it again */
    char dir[PATH_BYTES / 2];
};

static void tell(const struct mr_broker *b, enum mr_level level, const char *text)
{
    if (b->config.tell)
        b->config.tell(b->config.tell_arg, level, text);
}

void mr_broker_config_init(struct mr_broker_config *c)
{
    *c = (struct mr_broker_config){
        .auto_create = true,
        .default_partitions = 1,
        .partitions_max = 10000,
        .durable = true,
        .tick_ms = 60000,
    };
    mr_log_config_init(&c->log);
    c->log.file_delete_delay_ms = 60000;
}

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

static void topic_path(const struct mr_broker *b, const struct topic *t, char out[PATH_BYTES])
{
    char id[33];
    hex(t->pub.id, id);
    (void)snprintf(out, PATH_BYTES, "%s/topics/%s.topic", b->dir, id);
}

static void partition_path(const struct mr_broker *b, struct mr_slice name, int32_t partition,
                           char out[PATH_BYTES])
{
    (void)snprintf(out, PATH_BYTES, "%s/topics/%.*s-%d", b->dir, MR_SLICE_ARG(name), partition);
}

static mr_code topic_write(struct mr_broker *b, const struct topic *t, struct mr_err *err)
{
    char path[PATH_BYTES], id[33];
    struct mr_buf text = {0};
    struct mr_setting_row row;
    topic_path(b, t, path);
    hex(t->pub.id, id);
    bool ok = mr_buf_printf(&text, "millrace topic 1\nname %s\nid %s\npartitions %d\n", t->pub.name, id,
                            t->pub.partitions);
    for (size_t i = 0; ok && mr_setting_row(i, &t->pub.config, t->given, NULL, &row); i++)
        if (row.given)
            ok = mr_buf_printf(&text, "set %s %s\n", row.name, row.value);
    if (ok && t->deleted)
        ok = mr_buf_puts(&text, "deleted\n");
    mr_code rc = ok ? mr_record_file_write(b->world, path, &text, err)
                    : mr_fail(err, MR_MEMORY, "no memory to write '%s'", path);
    mr_buf_fini(&text);
    return rc;
}

/* ------------------------------------------------------------------ the table */

static struct mr_slice id_key(const uint8_t id[16])
{
    return (struct mr_slice){(const char *)id, 16};
}

static void topic_free(struct topic *t)
{
    if (!t)
        return;
    mr_free((void *)(uintptr_t)t->pub.name);
    mr_free(t->open);
    mr_free(t);
}

static struct topic *topic_new(const struct mr_broker *b, struct mr_slice name, int32_t partitions)
{
    struct topic *t = mr_alloc(sizeof *t);
    if (!t)
        return NULL;
    t->pub.name = mr_strndup(name.p, name.len);
    t->pub.partitions = partitions;
    t->pub.internal = name.len > 2 && name.p[0] == '_' && name.p[1] == '_';
    t->pub.config = b->defaults;
    t->defaults = &b->defaults;
    t->open = mr_alloc((size_t)partitions * sizeof(struct mr_partition *));
    if (!t->pub.name || !t->open) {
        topic_free(t);
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

static bool table_add(struct mr_broker *b, struct topic *t)
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
    if (!mr_map_put(&b->by_id, id_key(t->pub.id), t, NULL)) {
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

static void table_remove(struct mr_broker *b, struct topic *t)
{
    size_t at = place_of(b, t->pub.name);
    mr_assert(at < b->count && b->topics[at] == t);
    memmove(b->topics + at, b->topics + at + 1, (b->count - at - 1) * sizeof(struct topic *));
    b->count--;
    b->partitions -= t->pub.partitions;
    mr_map_remove(&b->by_name, mr_slice_of(t->pub.name));
    mr_map_remove(&b->by_id, id_key(t->pub.id));
}

const struct mr_topic *mr_broker_topic(const struct mr_broker *b, struct mr_slice name)
{
    return mr_map_get(&b->by_name, name); /* pub is the first member */
}
const struct mr_topic *mr_broker_topic_by_id(const struct mr_broker *b, const uint8_t id[16])
{
    return mr_map_get(&b->by_id, id_key(id));
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

/* ------------------------------------------------------------------ removing */

static void collect(void *arg, const char *name)
{
    struct mr_buf *names = arg;
    (void)mr_buf_put(names, name, strlen(name) + 1);
}

/* A directory of plain files and all in it; absent is fine. */
static mr_code remove_dir(struct mr_world *w, const char *dir, struct mr_err *err)
{
    struct mr_buf names = {0};
    char path[PATH_BYTES];
    mr_code rc = mr_dir_list(w, dir, collect, &names, err);
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
static mr_code finish_delete(struct mr_broker *b, struct topic *t, struct mr_err *err)
{
    char path[PATH_BYTES];
    mr_code rc = MR_OK, one;
    for (int32_t i = 0; i < t->pub.partitions; i++) {
        if (t->open[i]) {
            one = mr_partition_remove(t->open[i], err);
            t->open[i] = NULL;
            rc = rc ? rc : one;
        }
        partition_path(b, mr_slice_of(t->pub.name), i, path);
        one = remove_dir(b->world, path, err);
        rc = rc ? rc : one;
    }
    if (rc)
        return rc;
    topic_path(b, t, path);
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
    if (topic_write(b, t, err)) { /* nothing has happened yet */
        t->deleted = false;
        mr_wrap(err, "cannot delete topic '%s'", t->pub.name);
        return MR_REFUSE_STORAGE;
    }
    table_remove(b, t); /* before partitions wake their readers: they must not find it again */
    mr_code rc = finish_delete(b, t, err);
    topic_free(t);
    if (rc) { /* it is deleted all the same; the next start tries to finish */
        char text[MR_ERR_TEXT];
        (void)snprintf(text, sizeof text, "topic '%.*s' is deleted but not all of its files: %.200s",
                       MR_SLICE_ARG(name), err ? err->text : mr_code_text(rc));
        tell(b, MR_WARN, text);
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
    if (b->partitions + partitions > b->config.partitions_max || b->count >= TOPICS_MAX) {
        (void)mr_fail(err, MR_LIMIT,
                      "topic '%.*s' would bring the node to %lld partitions; partitions_max is %d",
                      MR_SLICE_ARG(name), (long long)b->partitions + partitions, b->config.partitions_max);
        return MR_REFUSE_POLICY;
    }
    /* Somebody's data without its .topic file must not come back to life under a new topic. */
    for (int32_t i = 0; i < partitions; i++) {
        char path[PATH_BYTES];
        struct mr_stat st;
        partition_path(b, name, i, path);
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
    } while (id[0] >> 2 == 62 || mr_map_get(&b->by_id, id_key(id))); /* 62: base64 text would begin with - */
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
    struct topic *t = topic_new(b, name, partitions);
    if (!t) {
        (void)mr_fail(err, MR_MEMORY, "no memory for topic '%.*s'", MR_SLICE_ARG(name));
        return MR_REFUSE_STORAGE;
    }
    for (size_t i = 0; !r && i < setting_count; i++)
        r = mr_setting_apply(&settings[i], &t->pub.config, &t->given, err);
    if (!r)
        r = mr_setting_agree(&t->pub.config, err);
    if (r || check_only) {
        topic_free(t);
        return r;
    }
    fresh_id(b, t->pub.id);
    if (!table_add(b, t)) {
        topic_free(t);
        (void)mr_fail(err, MR_MEMORY, "no memory for topic '%.*s'", MR_SLICE_ARG(name));
        return MR_REFUSE_STORAGE;
    }
    if (topic_write(b, t, err)) {
        mr_wrap(err, "cannot create topic '%s'", t->pub.name);
        table_remove(b, t);
        topic_free(t);
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
    if (topic_write(b, t, err)) {
        t->pub.config = was;
        t->given = given_was;
        mr_wrap(err, "cannot change topic '%s'", t->pub.name);
        return MR_REFUSE_STORAGE;
    }
    for (int32_t i = 0; i < t->pub.partitions; i++)
        if (t->open[i])
            mr_partition_configure(t->open[i], &t->pub.config);
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
    struct mr_partition **open = mr_alloc((size_t)partitions * sizeof(struct mr_partition *));
    if (!open) {
        (void)mr_fail(err, MR_MEMORY, "no memory for %d partitions", partitions);
        return MR_REFUSE_STORAGE;
    }
    t->pub.partitions = partitions;
    if (topic_write(b, t, err)) {
        t->pub.partitions = was;
        mr_free(open);
        mr_wrap(err, "cannot change topic '%s'", t->pub.name);
        return MR_REFUSE_STORAGE;
    }
    memcpy(open, t->open, (size_t)was * sizeof(struct mr_partition *));
    mr_free(t->open);
    t->open = open;
    b->partitions += partitions - was;
    return MR_REFUSE_NONE;
}

/* ------------------------------------------------------------------ partitions */

static struct mr_partition *open_partition(struct mr_broker *b, struct topic *t, int32_t i,
                                           struct mr_err *err)
{
    char path[PATH_BYTES];
    struct mr_err story = {0};
    partition_path(b, mr_slice_of(t->pub.name), i, path);
    mr_code rc = mr_partition_open(b->world, path, &t->pub.config, &t->open[i], &story);
    if (rc || story.code) {
        mr_wrap(&story, "partition %s-%d", t->pub.name, i);
        tell(b, MR_ERROR, story.text);
    }
    if (err)
        *err = story;
    return rc ? NULL : t->open[i];
}

struct mr_partition *mr_broker_partition(struct mr_broker *b, const struct mr_topic *pub, int32_t partition,
                                         enum mr_refusal *why, struct mr_err *err)
{
    if (!pub || partition < 0 || partition >= pub->partitions) {
        (void)mr_fail(err, MR_NOTFOUND, "no such topic or partition");
        *why = MR_REFUSE_UNKNOWN_TOPIC;
        return NULL;
    }
    if (b->closing) {
        (void)mr_fail(err, MR_CANCELLED, "the node is stopping");
        *why = MR_REFUSE_STORAGE;
        return NULL;
    }
    struct topic *t = mr_map_get(&b->by_name, mr_slice_of(pub->name));
    mr_assert(t && &t->pub == pub);
    if (t->open[partition])
        return t->open[partition];
    struct mr_partition *p = open_partition(b, t, partition, err);
    if (!p)
        *why = MR_REFUSE_STORAGE;
    return p;
}

/* One partition is compacted at a time: its key map is the memory that compaction takes. */
static void compact_slice(void *arg)
{
    struct mr_broker *b = arg;
    struct mr_err err;
    int64_t at = 0, asked = b->next_compact;
    bool more = false;
    for (size_t k = 0; k < b->count && !more; k++) {
        struct topic *t = b->topics[k];
        for (int32_t i = 0; i < t->pub.partitions && !more; i++, at++) {
            struct mr_partition *p = t->open[i];
            if (!p || (at < asked && !mr_partition_compacting(p)))
                continue;
            more = mr_partition_compact(p, COMPACT_BYTES, &err);
            b->next_compact = at;
            if (err.code) {
                mr_wrap(&err, "partition %s-%d", t->pub.name, i);
                tell(b, MR_ERROR, err.text);
            }
        }
    }
    if (more)
        mr_timer_set(b->world, &b->slice, mr_now(b->world) + COMPACT_EVERY_MS);
    b->compacting = more;
}

/* Retention also concerns partitions that nobody has used since the start: a few of them a tick. */
static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), e = strlen(end);
    return n > e && strcmp(name + n - e, end) == 0;
}

bool mr_broker_partition_untouched(const struct mr_broker *b, const struct mr_topic *pub, int32_t partition)
{
    const struct topic *t = (const struct topic *)(const void *)pub;
    char dir[PATH_BYTES];
    struct mr_stat st;
    if (partition < 0 || partition >= pub->partitions || t->open[partition])
        return false;
    partition_path(b, mr_slice_of(pub->name), partition, dir);
    return mr_stat_path(b->world, dir, &st, NULL) == MR_NOTFOUND;
}

struct adding {
    const struct mr_broker *b;
    const char *dir;
    int64_t bytes;
};

static void add_log_file(void *arg, const char *name)
{
    struct adding *a = arg;
    char path[PATH_BYTES + 256];
    struct mr_stat stat;
    (void)snprintf(path, sizeof path, "%s/%.255s", a->dir, name);
    if (ends_with(name, ".log") && mr_stat_path(a->b->world, path, &stat, NULL) == MR_OK)
        a->bytes += stat.size;
}

int64_t mr_broker_partition_bytes(const struct mr_broker *b, const struct mr_topic *pub, int32_t partition)
{
    const struct topic *t = (const struct topic *)(const void *)pub;
    char dir[PATH_BYTES];
    struct adding a = {.b = b, .dir = dir};
    mr_assert(partition >= 0 && partition < pub->partitions);
    if (t->open[partition])
        return mr_partition_bytes(t->open[partition]);
    partition_path(b, mr_slice_of(pub->name), partition, dir);
    (void)mr_dir_list(b->world, dir, add_log_file, &a, NULL); /* never used: there is no folder yet */
    return a.bytes;
}

static void tick(void *arg)
{
    struct mr_broker *b = arg;
    int opened = 0;
    char path[PATH_BYTES];
    struct mr_stat st;
    struct mr_err err;
    for (size_t k = 0; k < b->count; k++) {
        struct topic *t = b->topics[k];
        for (int32_t i = 0; i < t->pub.partitions; i++) {
            if (!t->open[i] && opened < OPENED_A_TICK) {
                partition_path(b, mr_slice_of(t->pub.name), i, path);
                if (mr_stat_path(b->world, path, &st, NULL) == MR_OK) {
                    opened++;
                    (void)open_partition(b, t, i, NULL);
                }
            }
            if (!t->open[i])
                continue;
            mr_partition_tick(t->open[i], &err);
            if (err.code) {
                mr_wrap(&err, "partition %s-%d", t->pub.name, i);
                tell(b, MR_ERROR, err.text);
            }
        }
    }
    if (!b->compacting) { /* who has something to compact is asked anew */
        b->next_compact = 0;
        b->slice.fire = compact_slice;
        b->slice.arg = b;
        mr_timer_set(b->world, &b->slice, mr_now(b->world));
    }
    mr_timer_set(b->world, &b->tick,
                 mr_now(b->world) + mr_broker_node_settings(b)->log_retention_check_interval_ms);
}

/* ------------------------------------------------------------------ producer ids */

static mr_code producer_ids_write(struct mr_broker *b, int64_t next, struct mr_err *err)
{
    char path[PATH_BYTES];
    struct mr_buf text = {0};
    (void)snprintf(path, sizeof path, "%s/producer-ids", b->dir);
    mr_code rc = mr_buf_printf(&text, "millrace producer-ids 1\nnext %lld\n", (long long)next)
                     ? mr_record_file_write(b->world, path, &text, err)
                     : mr_fail(err, MR_MEMORY, "no memory to write '%s'", path);
    mr_buf_fini(&text);
    return rc;
}

static mr_code producer_ids_read(struct mr_broker *b, struct mr_arena *a, struct mr_err *err)
{
    char path[PATH_BYTES];
    struct mr_slice lines, word, rest;
    (void)snprintf(path, sizeof path, "%s/producer-ids", b->dir);
    mr_code rc = mr_record_file_read(b->world, path, a, &lines, err);
    if (rc == MR_NOTFOUND)
        return MR_OK;
    if (rc)
        return rc;
    while (mr_record_file_line(&lines, &word, &rest))
        if (mr_slice_eq(word, MR_SLICE("next")) && mr_parse_i64(rest, &b->producer_next)) {
            b->producer_block_end = b->producer_next;
            return MR_OK;
        }
    return mr_fail(err, MR_CORRUPT, "'%s' has no line 'next'", path);
}

mr_code mr_broker_producer_id(struct mr_broker *b, int64_t *out, struct mr_err *err)
{
    if (b->producer_next == b->producer_block_end) { /* written before any of the block is given */
        mr_code rc = producer_ids_write(b, b->producer_block_end + PRODUCER_ID_BLOCK, err);
        if (rc)
            return rc;
        b->producer_block_end += PRODUCER_ID_BLOCK;
    }
    *out = b->producer_next++;
    return MR_OK;
}

/* ------------------------------------------------------------------ start and stop */

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
    struct topic *t = topic_new(b, name, (int32_t)partitions);
    if (!t)
        return mr_fail(err, MR_MEMORY, "no memory for topic '%.*s'", MR_SLICE_ARG(name));
    t->deleted = deleted;
    enum mr_refusal r = unhex(id, t->pub.id) ? MR_REFUSE_NONE : MR_REFUSE_UNKNOWN;
    for (size_t i = 0; !r && i < count; i++)
        r = mr_setting_apply(&settings[i], &t->pub.config, &t->given, NULL);
    if (r) {
        topic_free(t);
        return mr_fail(err, MR_CORRUPT, "'%s' has an id or setting that this version does not know", path);
    }
    *out = t;
    return MR_OK;
}

static mr_code load_topic(struct mr_broker *b, const char *file, struct mr_arena *a, struct mr_err *err)
{
    char path[PATH_BYTES];
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
        if (finish_delete(b, t, &left)) {
            mr_wrap(&left, "topic '%s' is deleted but not all of its files", t->pub.name);
            tell(b, MR_WARN, left.text);
        }
        topic_free(t);
        return MR_OK;
    }
    if (mr_map_get(&b->by_name, mr_slice_of(t->pub.name)) || !table_add(b, t)) {
        rc = mr_fail(err, MR_CORRUPT, "'%s': there is another file for topic '%s'", path, t->pub.name);
        topic_free(t);
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

static mr_code load_topics(struct mr_broker *b, struct mr_arena *a, struct mr_err *err)
{
    char path[PATH_BYTES], text[MR_ERR_TEXT];
    struct mr_buf names = {0};
    (void)snprintf(path, sizeof path, "%s/topics", b->dir);
    mr_code rc = mr_mkdir_all(b->world, path, err);
    if (rc == MR_OK)
        rc = mr_dir_list(b->world, path, collect, &names, err);
    for (size_t at = 0; rc == MR_OK && at < names.len; at += strlen(names.p + at) + 1)
        if (ends_with(names.p + at, ".topic"))
            rc = load_topic(b, names.p + at, a, err);
    for (size_t at = 0; rc == MR_OK && at < names.len; at += strlen(names.p + at) + 1) {
        struct mr_stat st;
        const char *name = names.p + at;
        (void)snprintf(path, sizeof path, "%s/topics/%s", b->dir, name);
        if (ends_with(name, ".topic") || is_known_dir(b, name) || mr_stat_path(b->world, path, &st, NULL) ||
            !st.is_dir)
            continue;
        (void)snprintf(text, sizeof text, "directory 'topics/%.200s' belongs to no topic; it is left alone",
                       name);
        tell(b, MR_WARN, text);
    }
    mr_buf_fini(&names);
    return rc;
}

struct mr_node_book *mr_broker_node_book(const struct mr_broker *b)
{
    return b->book;
}

const struct mr_node_settings *mr_broker_node_settings(const struct mr_broker *b)
{
    return mr_node_book_now(b->book);
}

/* Topics follow in what they do not say themselves. */
static void follow_book(void *arg)
{
    struct mr_broker *b = arg;
    b->defaults = mr_broker_node_settings(b)->topic;
    for (size_t k = 0; k < b->count; k++) {
        struct topic *t = b->topics[k];
        mr_setting_inherit(&b->defaults, t->given, &t->pub.config);
        for (int32_t i = 0; i < t->pub.partitions; i++)
            if (t->open[i])
                mr_partition_configure(t->open[i], &t->pub.config);
    }
}

mr_code mr_broker_open(struct mr_world *w, const char *data_dir, const struct mr_broker_config *config,
                       struct mr_broker **out, struct mr_err *err)
{
    struct mr_broker *b = mr_alloc(sizeof *b);
    if (!b)
        return mr_fail(err, MR_MEMORY, "no memory for the broker");
    if (strlen(data_dir) >= sizeof b->dir) {
        mr_free(b);
        return mr_fail(err, MR_LIMIT, "data directory '%.200s...' has too long a path", data_dir);
    }
    b->world = w;
    b->config = *config;
    (void)snprintf(b->dir, sizeof b->dir, "%s", data_dir);
    mr_map_init(&b->by_name, TOPICS_MAX);
    mr_map_init(&b->by_id, TOPICS_MAX);

    struct mr_heap_arena arena;
    mr_heap_arena_init(&arena, 16 << 10, 0, (size_t)1 << 30);
    mr_code rc = mr_node_book_open(w, data_dir, config, follow_book, b, &b->book, err);
    if (rc == MR_OK) {
        b->defaults = mr_broker_node_settings(b)->topic;
        rc = load_topics(b, &arena.arena, err);
    }
    if (rc == MR_OK)
        rc = producer_ids_read(b, &arena.arena, err);
    mr_heap_arena_fini(&arena);
    if (rc) {
        mr_wrap(err, "cannot open data directory '%s'", data_dir);
        mr_broker_close(b);
        return rc;
    }
    b->tick.fire = tick;
    b->tick.arg = b;
    if (config->tick_ms > 0)
        mr_timer_set(w, &b->tick, mr_now(w) + mr_broker_node_settings(b)->log_retention_check_interval_ms);
    *out = b;
    return MR_OK;
}

static void one_flushed(void *arg, mr_code rc, int sys)
{
    struct mr_broker *b = arg;
    (void)rc; /* a partition that failed has told its own producers */
    (void)sys;
    mr_assert(b->flushing > 0);
    if (--b->flushing == 0 && !b->closing)
        b->flushed(b->flushed_arg);
}

void mr_broker_flush(struct mr_broker *b, void (*done)(void *arg), void *arg)
{
    mr_assert(b->flushing == 0);
    b->flushed = done;
    b->flushed_arg = arg;
    b->flushing = 1;
    for (size_t k = 0; k < b->count; k++)
        for (int32_t i = 0; i < b->topics[k]->pub.partitions; i++) {
            struct mr_partition *p = b->topics[k]->open[i];
            if (p && mr_partition_flush(p, one_flushed, b))
                b->flushing++;
        }
    one_flushed(b, MR_OK, 0);
}

void mr_broker_close(struct mr_broker *b)
{
    if (!b)
        return;
    b->closing = true;
    mr_timer_stop(b->world, &b->tick);
    mr_timer_stop(b->world, &b->slice);
    for (size_t k = 0; k < b->count; k++) {
        struct topic *t = b->topics[k];
        for (int32_t i = 0; i < t->pub.partitions; i++) {
            struct mr_partition *p = t->open[i];
            t->open[i] = NULL;
            mr_partition_close(p);
        }
        topic_free(t);
    }
    mr_free(b->topics);
    mr_node_book_close(b->book);
    mr_map_fini(&b->by_name, NULL);
    mr_map_fini(&b->by_id, NULL);
    mr_free(b);
}
