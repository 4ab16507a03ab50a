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
    int64_t open;              /* first offset of the open transaction; -1 none */
    int32_t coordinator_epoch; /* of the last marker; -1 none */
    int16_t epoch;             /* -1: only reserved, nothing is known yet */
    uint8_t count;             /* of batch, newest last */
    struct remembered batch[MR_PRODUCER_BATCHES];
};

static struct mr_slice key_of(const int64_t *id)
{
    return (struct mr_slice){(const char *)id, sizeof *id};
}

void mr_producers_init(struct mr_producers *t)
{
    mr_map_init(&t->map, MR_PRODUCERS_MAX);
    t->looked_ms = 0;
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
    if (!p || p->epoch < 0)
        return MR_REFUSE_NONE; /* D2: nothing is known; its state may have expired */
    if (h->producer_epoch < p->epoch)
        return MR_REFUSE_PRODUCER_EPOCH; /* D3 */
    if (p->open >= 0 && (!(h->attributes & MR_BATCH_TRANSACTIONAL) || h->producer_epoch != p->epoch))
        return MR_REFUSE_TXN_STATE; /* D4 */
    if (h->base_sequence < 0)
        return MR_REFUSE_NONE; /* made by this process: never sent twice */
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
        if (p->open < 0 && (!oldest || p->heard_ms < oldest->heard_ms))
            oldest = p; /* D4 */
    }
    if (oldest) {
        int64_t id = oldest->id;
        mr_free(mr_map_remove(&t->map, key_of(&id)));
    }
}

/* Finds or makes; NULL: no memory. */
static struct producer *producer_of(struct mr_producers *t, int64_t id, int64_t now_ms)
{
    struct producer *p = mr_map_get(&t->map, key_of(&id));
    if (p)
        return p;
    if (t->map.count >= MR_PRODUCERS_MAX)
        forget_oldest(t);
    p = mr_alloc(sizeof *p);
    if (!p)
        return NULL;
    *p = (struct producer){.id = id, .heard_ms = now_ms, .open = -1, .coordinator_epoch = -1, .epoch = -1};
    if (!mr_map_put(&t->map, key_of(&id), p, NULL)) {
        mr_free(p);
        return NULL;
    }
    return p;
}

bool mr_producers_reserve(struct mr_producers *t, const struct mr_batch_header *h, int64_t now_ms)
{
    return h->producer_id < 0 || producer_of(t, h->producer_id, now_ms) != NULL;
}

bool mr_producers_note(struct mr_producers *t, const struct mr_batch_header *h, int64_t now_ms)
{
    bool transactional = (h->attributes & MR_BATCH_TRANSACTIONAL) != 0;
    if (h->producer_id < 0 || (h->base_sequence < 0 && !transactional))
        return true;
    struct producer *p = producer_of(t, h->producer_id, now_ms);
    if (!p)
        return false;
    if (h->producer_epoch != p->epoch) {
        p->epoch = h->producer_epoch;
        p->count = 0;
    }
    p->heard_ms = now_ms;
    if (transactional && p->open < 0)
        p->open = h->base_offset;
    if (h->base_sequence < 0)
        return true;
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
    return true;
}

/* ------------------------------------------------------------------ transactions */

int64_t mr_producers_open(const struct mr_producers *t, int64_t id)
{
    const struct producer *p = mr_map_get(&t->map, key_of(&id));
    return p ? p->open : -1;
}

enum mr_refusal mr_producers_end_check(const struct mr_producers *t, int64_t id, int16_t epoch,
                                       int32_t coordinator_epoch)
{
    const struct producer *p = mr_map_get(&t->map, key_of(&id));
    if (!p)
        return MR_REFUSE_NONE;
    if (epoch < p->epoch)
        return MR_REFUSE_PRODUCER_EPOCH;
    return coordinator_epoch < p->coordinator_epoch ? MR_REFUSE_COORDINATOR_FENCED : MR_REFUSE_NONE;
}

bool mr_producers_end(struct mr_producers *t, const struct mr_batch_header *h, int32_t coordinator_epoch,
                      int64_t now_ms)
{
    struct producer *p = producer_of(t, h->producer_id, now_ms);
    if (!p)
        return false;
    if (h->producer_epoch != p->epoch) {
        p->epoch = h->producer_epoch;
        p->count = 0;
    }
    p->open = -1;
    p->coordinator_epoch = coordinator_epoch;
    p->heard_ms = now_ms;
    return true;
}

bool mr_producers_next(const struct mr_producers *t, size_t *i, struct mr_producer_view *out)
{
    struct mr_slice key;
    void *value;
    while (mr_map_next(&t->map, i, &key, &value)) {
        const struct producer *p = value;
        if (p->epoch < 0)
            continue;
        *out = (struct mr_producer_view){
            .id = p->id,
            .heard_ms = p->heard_ms,
            .open = p->open,
            .last_sequence = p->count ? p->batch[p->count - 1].last : -1,
            .coordinator_epoch = p->coordinator_epoch,
            .epoch = p->epoch,
        };
        return true;
    }
    return false;
}

/* ------------------------------------------------------------------ forgetting, snapshots */

/* A clock that is further from the last look than looks ever are has jumped: nobody was silent for it. What
 * was heard before the jump moves with the clock, what was heard since keeps its place. */
static void follow_clock(struct mr_producers *t, int64_t now_ms)
{
    struct mr_slice key;
    void *value;
    int64_t since = t->looked_ms, most = MR_PRODUCER_LOOK_MS_MAX;
    if (since == 0) { /* the first look: the newest that is remembered stands for the last one */
        most = MR_PRODUCER_SILENT_MS / 2;
        for (size_t i = 0; mr_map_next(&t->map, &i, &key, &value);)
            if (((const struct producer *)value)->heard_ms > since)
                since = ((const struct producer *)value)->heard_ms;
    }
    t->looked_ms = now_ms;
    for (size_t i = 0; mr_map_next(&t->map, &i, &key, &value);) {
        struct producer *p = value;
        if (now_ms - since > most && p->heard_ms <= since)
            p->heard_ms += now_ms - since;
        if (p->heard_ms > now_ms)
            p->heard_ms = now_ms;
    }
}

void mr_producers_expire(struct mr_producers *t, int64_t now_ms)
{
    struct mr_slice key;
    void *value;
    follow_clock(t, now_ms);
    for (size_t i = 0; mr_map_next(&t->map, &i, &key, &value);) {
        const struct producer *p = value;
        if (p->open < 0 && now_ms - p->heard_ms > MR_PRODUCER_SILENT_MS) { /* D4 */
            int64_t id = p->id;
            mr_free(mr_map_remove(&t->map, key_of(&id)));
        }
    }
}

/* A snapshot: "MRPRODU2", crc32c of the rest, count, at; then each producer as fixed fields. The machine's
 * own byte order (it never leaves the machine), which the magic shows. */
static const uint64_t MAGIC = 0x3255444f5250524dULL;

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
