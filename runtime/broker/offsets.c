/* offsets.c - two levels of sorted arrays: see offsets.h. */
#include "broker/offsets.h"

#include "base/assert.h"
#include "base/mem.h"

static int order(struct mr_slice a, const char *b)
{
    size_t n = strlen(b), least = a.len < n ? a.len : n;
    int d = least ? memcmp(a.p, b, least) : 0;
    return d ? d : a.len < n ? -1 : a.len > n;
}

/* Where the topic is, or belongs. */
static uint32_t topic_place(const struct mr_offsets *o, struct mr_slice topic, bool *found)
{
    uint32_t low = 0, high = o->topic_count;
    *found = false;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int d = order(topic, o->topics[mid]->name);
        if (d == 0) {
            *found = true;
            return mid;
        }
        if (d > 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static uint32_t entry_place(const struct mr_offset_topic *t, int32_t partition, bool *found)
{
    uint32_t low = 0, high = t->count;
    if (high && t->v[high - 1].partition < partition) { /* in order, as clients and the disk give them */
        *found = false;
        return high;
    }
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (t->v[mid].partition < partition)
            low = mid + 1;
        else
            high = mid;
    }
    *found = low < t->count && t->v[low].partition == partition;
    return low;
}

static void topic_free(struct mr_offset_topic *t)
{
    for (uint32_t i = 0; i < t->count; i++)
        mr_free(t->v[i].metadata);
    mr_free(t->v);
    mr_free(t->name);
    mr_free(t);
}

void mr_offsets_fini(struct mr_offsets *o)
{
    for (uint32_t i = 0; i < o->topic_count; i++)
        topic_free(o->topics[i]);
    mr_free(o->topics);
    *o = (struct mr_offsets){0};
}

const struct mr_offset_topic *mr_offsets_topic(const struct mr_offsets *o, struct mr_slice topic)
{
    bool found;
    uint32_t at = topic_place(o, topic, &found);
    return found ? o->topics[at] : NULL;
}

const struct mr_offset_entry *mr_offsets_get(const struct mr_offsets *o, struct mr_slice topic,
                                             int32_t partition)
{
    const struct mr_offset_topic *t = mr_offsets_topic(o, topic);
    if (!t)
        return NULL;
    bool found;
    uint32_t at = entry_place(t, partition, &found);
    return found ? &t->v[at] : NULL;
}

/* *room doubled when it is full; false: no memory. */
static bool make_room(void **array, uint32_t count, uint32_t *room, size_t size)
{
    if (count < *room)
        return true;
    uint32_t more = *room ? *room * 2 : 4;
    void *p = mr_realloc(*array, more * size);
    if (!p)
        return false;
    *array = p;
    *room = more;
    return true;
}

static struct mr_offset_topic *topic_add(struct mr_offsets *o, struct mr_slice name, uint32_t at)
{
    void *grown = o->topics;
    if (!make_room(&grown, o->topic_count, &o->topic_room, sizeof(struct mr_offset_topic *)))
        return NULL;
    o->topics = grown;
    struct mr_offset_topic *t = mr_alloc(sizeof *t);
    if (!t)
        return NULL;
    t->name = mr_strndup(name.p, name.len);
    if (!t->name) {
        mr_free(t);
        return NULL;
    }
    memmove(o->topics + at + 1, o->topics + at, (o->topic_count - at) * sizeof(struct mr_offset_topic *));
    o->topics[at] = t;
    o->topic_count++;
    return t;
}

static void topic_drop(struct mr_offsets *o, uint32_t at)
{
    topic_free(o->topics[at]);
    o->topic_count--;
    memmove(o->topics + at, o->topics + at + 1, (o->topic_count - at) * sizeof(struct mr_offset_topic *));
}

bool mr_offsets_set(struct mr_offsets *o, struct mr_slice topic, const struct mr_offset_entry *entry,
                    struct mr_slice metadata)
{
    bool found, have;
    char *copy = NULL;
    if (metadata.len && !(copy = mr_strndup(metadata.p, metadata.len)))
        return false;
    uint32_t k = topic_place(o, topic, &have);
    struct mr_offset_topic *t = have ? o->topics[k] : topic_add(o, topic, k);
    if (!t) {
        mr_free(copy);
        return false;
    }
    uint32_t at = entry_place(t, entry->partition, &found);
    if (found) {
        o->bytes -= t->v[at].metadata_len;
        mr_free(t->v[at].metadata);
    } else {
        void *grown = t->v;
        if (!make_room(&grown, t->count, &t->room, sizeof *t->v)) {
            mr_free(copy);
            if (!have)
                topic_drop(o, k);
            return false;
        }
        t->v = grown;
        memmove(t->v + at + 1, t->v + at, (t->count - at) * sizeof *t->v);
        t->count++;
        o->count++;
    }
    o->bytes += metadata.len;
    t->v[at] = *entry;
    t->v[at].metadata = copy;
    t->v[at].metadata_len = metadata.len;
    return true;
}

bool mr_offsets_remove(struct mr_offsets *o, struct mr_slice topic, int32_t partition)
{
    bool found;
    uint32_t k = topic_place(o, topic, &found);
    if (!found)
        return false;
    struct mr_offset_topic *t = o->topics[k];
    uint32_t at = entry_place(t, partition, &found);
    if (!found)
        return false;
    o->bytes -= t->v[at].metadata_len;
    mr_free(t->v[at].metadata);
    t->count--;
    memmove(t->v + at, t->v + at + 1, (t->count - at) * sizeof *t->v);
    mr_assert(o->count > 0);
    o->count--;
    if (t->count == 0)
        topic_drop(o, k);
    return true;
}
