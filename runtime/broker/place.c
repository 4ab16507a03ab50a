/* place.c - partitions: opened when used, compacted by turns. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "broker/broker_inside.h"
#include "broker/record_file.h"
#include "broker/setting.h"

enum {
    COMPACT_BYTES = 1 << 20, /* that a slice of compaction reads, */
    COMPACT_EVERY_MS = 20,   /* and how often: 50 MiB a second at most */
};

struct mr_partition *mr_place_open(struct mr_broker *b, struct topic *t, int32_t i, struct mr_err *err)
{
    char path[MR_BROKER_PATH_BYTES];
    struct mr_err story = {0};
    mr_partition_path(b, mr_slice_of(t->pub.name), i, path);
    mr_code rc = mr_partition_open(b->world, path, &t->pub.config, &t->open[i], &story);
    if (rc || story.code) {
        mr_wrap(&story, "partition %s-%d", t->pub.name, i);
        mr_broker_tell(b, MR_ERROR, story.text);
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
    struct mr_partition *p = mr_place_open(b, t, partition, err);
    if (!p)
        *why = MR_REFUSE_STORAGE;
    return p;
}

struct mr_partition *mr_broker_partition_open(const struct mr_broker *b, const struct mr_topic *pub,
                                              int32_t partition)
{
    const struct topic *t = (const struct topic *)(const void *)pub;
    return b->closing || partition < 0 || partition >= pub->partitions ? NULL : t->open[partition];
}

/* One partition is compacted at a time: its key map is the memory that compaction takes. */
void mr_place_compact(void *arg)
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
                mr_broker_tell(b, MR_ERROR, err.text);
            }
        }
    }
    if (more)
        mr_timer_set(b->world, &b->slice, mr_now(b->world) + COMPACT_EVERY_MS);
    b->compacting = more;
}
bool mr_broker_partition_untouched(const struct mr_broker *b, const struct mr_topic *pub, int32_t partition)
{
    const struct topic *t = (const struct topic *)(const void *)pub;
    char dir[MR_BROKER_PATH_BYTES];
    struct mr_stat st;
    if (partition < 0 || partition >= pub->partitions || t->open[partition])
        return false;
    mr_partition_path(b, mr_slice_of(pub->name), partition, dir);
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
    char path[MR_BROKER_PATH_BYTES + 256];
    struct mr_stat stat;
    (void)snprintf(path, sizeof path, "%s/%.255s", a->dir, name);
    if (mr_ends_with(name, ".log") && mr_stat_path(a->b->world, path, &stat, NULL) == MR_OK)
        a->bytes += stat.size;
}

int64_t mr_broker_partition_bytes(const struct mr_broker *b, const struct mr_topic *pub, int32_t partition)
{
    const struct topic *t = (const struct topic *)(const void *)pub;
    char dir[MR_BROKER_PATH_BYTES];
    struct adding a = {.b = b, .dir = dir};
    mr_assert(partition >= 0 && partition < pub->partitions);
    if (t->open[partition])
        return mr_partition_bytes(t->open[partition]);
    mr_partition_path(b, mr_slice_of(pub->name), partition, dir);
    (void)mr_dir_list(b->world, dir, add_log_file, &a, NULL); /* never used: there is no folder yet */
    return a.bytes;
}
