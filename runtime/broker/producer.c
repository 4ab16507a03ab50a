/* producer.c - the last batches of each idempotent producer of a partition; see producer.h for the laws. */
#include "broker/producer.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

struct remembered {
    int32_t first, last; /* sequence numbers */
    int64_t base, end;   /* offsets */
};

struct producer {
    int64_t id;
    int64_t heard_ms;
    int16_t epoch;
    uint8_t count; /* of batch, newest last */
    struct remembered batch[MR_PRODUCER_BATCHES];
};

static struct mr_slice key_of(const int64_t *id)
{
    return (struct mr_slice){(const char *)id, sizeof *id};
}

void mr_producers_init(struct mr_producers *t)
{
    mr_map_init(&t->map, MR_PRODUCERS_MAX);
}

void mr_producers_fini(struct mr_producers *t)
{
    mr_map_fini(&t->map, mr_free);
}

size_t mr_producers_count(const struct mr_producers *t)
{
    return t->map.count;
}

static int32_t sequence_plus(int32_t sequence, int32_t n)
{
    return (int32_t)(((uint32_t)sequence + (uint32_t)n) & 0x7fffffffu); /* 2147483647 is followed by 0 */
}

enum mr_refusal mr_producers_check(const struct mr_producers *t, const struct mr_batch_header *h,
                                   int64_t *duplicate, int64_t *duplicate_end)
{
    *duplicate = *duplicate_end = -1;
    if (h->producer_id < 0)
        return MR_REFUSE_NONE;
    const struct producer *p = mr_map_get(&t->map, key_of(&h->producer_id));
    if (!p)
        return MR_REFUSE_NONE; /* D2: nothing is known; its state may have expired */
    if (h->producer_epoch < p->epoch)
        return MR_REFUSE_PRODUCER_EPOCH; /* D3 */
    if (h->producer_epoch > p->epoch || p->count == 0)
        return h->base_sequence == 0 ? MR_REFUSE_NONE : MR_REFUSE_SEQUENCE;
    int32_t last = sequence_plus(h->base_sequence, h->last_offset_delta);
    for (unsigned i = 0; i < p->count; i++) {
        const struct remembered *r = &p->batch[i];
        if (r->first == h->base_sequence && r->last == last) { /* D1 */
            *duplicate = r->base;
            *duplicate_end = r->end;
            return MR_REFUSE_NONE;
        }
    }
    return h->base_sequence == sequence_plus(p->batch[p->count - 1].last, 1) ? MR_REFUSE_NONE
                                                                             : MR_REFUSE_SEQUENCE;
}

/* Room for one more: the one that was silent for longest goes. A scan, but only at the limit. */
static void forget_oldest(struct mr_producers *t)
{
    struct mr_slice key;
    void *value;
    const struct producer *oldest = NULL;
    for (size_t i = 0; mr_map_next(&t->map, &i, &key, &value);) {
        const struct producer *p = value;
        if (!oldest || p->heard_ms < oldest->heard_ms)
            oldest = p;
    }
    if (oldest) {
        int64_t id = oldest->id;
        mr_free(mr_map_remove(&t->map, key_of(&id)));
    }
}

bool mr_producers_note(struct mr_producers *t, const struct mr_batch_header *h, int64_t now_ms)
{
    if (h->producer_id < 0 || h->base_sequence < 0)
        return true;
    struct producer *p = mr_map_get(&t->map, key_of(&h->producer_id));
    if (!p) {
        if (t->map.count >= MR_PRODUCERS_MAX)
            forget_oldest(t);
        p = mr_alloc(sizeof *p);
        if (!p)
            return false;
        p->id = h->producer_id;
        p->epoch = h->producer_epoch;
        if (!mr_map_put(&t->map, key_of(&h->producer_id), p, NULL)) {
            mr_free(p);
            return false;
        }
    }
    if (h->producer_epoch != p->epoch) {
        p->epoch = h->producer_epoch;
        p->count = 0;
    }
    if (p->count == MR_PRODUCER_BATCHES) {
        memmove(p->batch, p->batch + 1, (MR_PRODUCER_BATCHES - 1) * sizeof p->batch[0]);
        p->count--;
    }
    p->batch[p->count++] = (struct remembered){
        .first = h->base_sequence,
        .last = sequence_plus(h->base_sequence, h->last_offset_delta),
        .base = h->base_offset,
        .end = h->base_offset + h->last_offset_delta + 1,
    };
    p->heard_ms = now_ms;
    return true;
}

void mr_producers_expire(struct mr_producers *t, int64_t now_ms)
{
    struct mr_slice key;
    void *value;
    for (size_t i = 0; mr_map_next(&t->map, &i, &key, &value);) {
        const struct producer *p = value;
        if (now_ms - p->heard_ms > MR_PRODUCER_SILENT_MS) {
            int64_t id = p->id;
            mr_free(mr_map_remove(&t->map, key_of(&id)));
        }
    }
}

/* A snapshot: "MRPRODU1", crc32c of the rest, count, at; then each producer as fixed fields. The machine's
 * own byte order (it never leaves the machine), which the magic shows. */
static const uint64_t MAGIC = 0x3155444f5250524dULL;

struct head {
    uint64_t magic;
    uint32_t crc, count;
    int64_t at;
};

bool mr_producers_save(const struct mr_producers *t, int64_t at, struct mr_buf *out)
{
    size_t start = out->len;
    struct head head = {.magic = MAGIC, .count = (uint32_t)t->map.count, .at = at};
    if (!mr_buf_put(out, &head, sizeof head))
        return false;
    struct mr_slice key;
    void *value;
    for (size_t i = 0; mr_map_next(&t->map, &i, &key, &value);)
        if (!mr_buf_put(out, value, sizeof(struct producer)))
            return false;
    size_t from = offsetof(struct head, count);
    head.crc = mr_crc32c(0, out->p + start + from, out->len - start - from);
    memcpy(out->p + start, &head, sizeof head);
    return true;
}

mr_code mr_producers_load(struct mr_producers *t, struct mr_slice bytes, int64_t *at, struct mr_err *err)
{
    mr_assert(t->map.count == 0);
    struct head head;
    if (bytes.len < sizeof head)
        return mr_fail(err, MR_CORRUPT, "producer snapshot is %zu bytes, shorter than its head", bytes.len);
    memcpy(&head, bytes.p, sizeof head);
    size_t from = offsetof(struct head, count);
    if (head.magic != MAGIC || head.count > MR_PRODUCERS_MAX ||
        bytes.len != sizeof head + head.count * sizeof(struct producer) ||
        head.crc != mr_crc32c(0, bytes.p + from, bytes.len - from))
        return mr_fail(err, MR_CORRUPT, "producer snapshot does not match its checksum");
    for (uint32_t i = 0; i < head.count; i++) {
        struct producer *p = mr_alloc(sizeof *p);
        if (!p)
            return mr_fail(err, MR_MEMORY, "no memory for producer snapshot");
        memcpy(p, bytes.p + sizeof head + i * sizeof *p, sizeof *p);
        void *was = NULL;
        if (p->count > MR_PRODUCER_BATCHES || !mr_map_put(&t->map, key_of(&p->id), p, &was)) {
            mr_free(p);
            return mr_fail(err, MR_CORRUPT, "producer snapshot holds more than it may");
        }
        mr_free(was);
    }
    *at = head.at;
    return MR_OK;
}
