/* txn_log.c - see txn_log.h for the words and the laws. */
#include "broker/txn_log.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"

void mr_txn_log_fini(struct mr_txn_log *t)
{
    mr_free(t->open);
    mr_free(t->ended);
    mr_free(t->aborted);
    *t = (struct mr_txn_log){0};
}

void mr_txn_log_check(const struct mr_txn_log *t)
{
    for (size_t i = 1; i < t->open_count; i++)
        mr_assert(t->open[i - 1].first < t->open[i].first);
    if (t->aborted_count > 1)
        mr_assert(t->aborted[t->aborted_count - 2].marker < t->aborted[t->aborted_count - 1].marker); /* T3 */
}

/* Room for `need` items; grows by half. */
static bool grow(void **v, size_t *room, size_t need, size_t size)
{
    if (need <= *room)
        return true;
    size_t to = *room + *room / 2 + 8;
    void *p = mr_realloc(*v, (to > need ? to : need) * size);
    if (!p)
        return false;
    *v = p;
    *room = to > need ? to : need;
    return true;
}

bool mr_txn_log_may_open(const struct mr_txn_log *t)
{
    return t->open_count < MR_TXN_OPEN_MAX && t->aborted_count + t->open_count < MR_TXN_ABORTED_MAX;
}

bool mr_txn_log_reserve(struct mr_txn_log *t)
{
    void *open = t->open, *ended = t->ended, *aborted = t->aborted;
    bool ok = grow(&open, &t->open_room, t->open_count + 1, sizeof *t->open);
    t->open = open;
    ok = ok && grow(&ended, &t->ended_room, t->ended_count + t->open_count + 1, sizeof *t->ended);
    t->ended = ended;
    ok = ok && grow(&aborted, &t->aborted_room, t->aborted_count + t->open_count + 1, sizeof *t->aborted);
    t->aborted = aborted;
    return ok;
}

void mr_txn_log_open(struct mr_txn_log *t, int64_t producer, int64_t first)
{
    for (size_t i = 0; i < t->open_count; i++)
        mr_assert(t->open[i].producer != producer); /* T1 */
    mr_assert(t->open_count < t->open_room);
    mr_assert(t->open_count == 0 || t->open[t->open_count - 1].first < first);
    t->open[t->open_count++] = (struct mr_txn_open){producer, first};
}

void mr_txn_log_end(struct mr_txn_log *t, int64_t producer, bool commit, int64_t marker)
{
    size_t at = 0;
    while (at < t->open_count && t->open[at].producer != producer)
        at++;
    if (at == t->open_count)
        return;
    int64_t first = t->open[at].first;
    memmove(t->open + at, t->open + at + 1, (t->open_count - at - 1) * sizeof *t->open);
    t->open_count--;
    mr_assert(t->ended_count < t->ended_room);
    t->ended[t->ended_count++] = (struct mr_txn_ended){first, marker};
    if (commit)
        return;
    int64_t stable = marker + 1;
    if (t->open_count && t->open[0].first < stable)
        stable = t->open[0].first;
    mr_assert(t->aborted_count < t->aborted_room);
    t->aborted[t->aborted_count++] =
        (struct mr_txn_aborted){.producer = producer, .first = first, .marker = marker, .stable = stable};
    mr_txn_log_check(t);
}

void mr_txn_log_seen(struct mr_txn_log *t, int64_t high)
{
    size_t n = 0;
    while (n < t->ended_count && t->ended[n].marker < high)
        n++;
    if (n == 0)
        return;
    memmove(t->ended, t->ended + n, (t->ended_count - n) * sizeof *t->ended);
    t->ended_count -= n;
}

int64_t mr_txn_log_stable(const struct mr_txn_log *t, int64_t high)
{
    int64_t stable = high;
    if (t->open_count && t->open[0].first < stable)
        stable = t->open[0].first;
    for (size_t i = 0; i < t->ended_count; i++)
        if (t->ended[i].marker >= high && t->ended[i].first < stable)
            stable = t->ended[i].first;
    return stable; /* T2 */
}

/* The first whose marker is at `offset` or above. */
static size_t place_of(const struct mr_txn_log *t, int64_t offset)
{
    size_t low = 0, high = t->aborted_count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (t->aborted[mid].marker < offset)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

void mr_txn_log_trim(struct mr_txn_log *t, int64_t start)
{
    size_t n = place_of(t, start);
    if (n == 0)
        return;
    memmove(t->aborted, t->aborted + n, (t->aborted_count - n) * sizeof *t->aborted);
    t->aborted_count -= n;
}

size_t mr_txn_log_aborted(const struct mr_txn_log *t, int64_t from, int64_t below, struct mr_txn_aborted *out,
                          size_t room)
{
    size_t n = 0;
    for (size_t i = place_of(t, from); i < t->aborted_count; i++) {
        const struct mr_txn_aborted *a = &t->aborted[i];
        if (a->first < below) {
            if (n < room)
                out[n] = *a;
            n++;
        }
        if (a->stable >= below)
            break;
    }
    return n;
}

/* On disk: "MRABORT1", count, crc32c of the entries; the machine's own byte order, which the magic shows. */
static const uint64_t MAGIC = 0x3154524f4241524dULL;

struct head {
    uint64_t magic;
    uint32_t count, crc;
};

bool mr_txn_log_save(const struct mr_txn_log *t, struct mr_buf *out)
{
    size_t bytes = t->aborted_count * sizeof *t->aborted;
    struct head head = {MAGIC, (uint32_t)t->aborted_count, mr_crc32c(0, t->aborted, bytes)};
    return mr_buf_put(out, &head, sizeof head) && (bytes == 0 || mr_buf_put(out, t->aborted, bytes));
}

mr_code mr_txn_log_load(struct mr_txn_log *t, struct mr_slice *in, struct mr_err *err)
{
    struct head head;
    mr_assert(t->aborted_count == 0);
    if (in->len < sizeof head)
        return mr_fail(err, MR_CORRUPT, "list of aborted transactions is cut short");
    memcpy(&head, in->p, sizeof head);
    size_t bytes = head.count * sizeof *t->aborted;
    if (head.magic != MAGIC || head.count > MR_TXN_ABORTED_MAX || in->len - sizeof head < bytes ||
        head.crc != mr_crc32c(0, in->p + sizeof head, bytes))
        return mr_fail(err, MR_CORRUPT, "list of aborted transactions does not match its checksum");
    void *v = t->aborted;
    if (!grow(&v, &t->aborted_room, head.count, sizeof *t->aborted))
        return mr_fail(err, MR_MEMORY, "no memory for %u aborted transactions", head.count);
    t->aborted = v;
    if (bytes)
        memcpy(t->aborted, in->p + sizeof head, bytes);
    for (uint32_t i = 0; i < head.count; i++) {
        const struct mr_txn_aborted *a = &t->aborted[i];
        if (a->first > a->marker || a->first < 0 || (i && a[-1].marker >= a->marker))
            return mr_fail(err, MR_CORRUPT, "list of aborted transactions is out of order");
    }
    t->aborted_count = head.count;
    *in = (struct mr_slice){in->p + sizeof head + bytes, in->len - sizeof head - bytes};
    return MR_OK;
}
