/* partition.c - see partition.h for the words and the laws.
 *
 * A durable append:  append -> (nobody syncing? ask) -> synced -> high watermark -> answer producers, wake
 * readers -> more came meanwhile? ask again. One fsync at a time for a partition, and what arrives while it
 * runs shares the next one: the slower the disk, the larger the groups.
 */
#include "broker/partition_inside.h"

#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "broker/check.h"
#include "broker/recode.h"

enum {
    SNAPSHOT_EVERY = 1000000, /* records between snapshots */
    IN_SYNC = 1,              /* replicas, this one */
    BATCH_MIN = 128           /* of max.message.bytes for the log itself: markers must always fit */
};

static void partition_check(const struct mr_partition *p)
{
    mr_assert(mr_log_start(p->log).v <= p->high);                         /* P1 */
    mr_assert(p->high <= mr_log_end(p->log).v);                           /* P1 */
    mr_assert(!p->config.durable || p->high <= mr_log_synced(p->log).v || /* P2 */
              p->high <= p->lent);
    mr_assert(mr_log_start(p->log).v <= p->stable && p->stable <= p->high); /* P5 */
}

/* After the high watermark or the start of the log has moved. */
static void raise_stable(struct mr_partition *p)
{
    int64_t start = mr_log_start(p->log).v;
    mr_txn_log_seen(&p->txns, p->high);
    int64_t to = mr_txn_log_stable(&p->txns, p->high);
    if (to < start) /* retention has taken the first records of what is open */
        to = start;
    mr_assert(to >= p->stable); /* P5 */
    p->stable = to;
}

/* ------------------------------------------------------------------ who waits */

static void produce_link(struct mr_partition *p, struct mr_produce *pr)
{
    pr->at = p;
    pr->next = NULL;
    pr->link = p->waiting_end;
    *p->waiting_end = pr;
    p->waiting_end = &pr->next;
}

void mr_partition_forget(struct mr_produce *pr)
{
    if (!pr->link)
        return;
    *pr->link = pr->next;
    if (pr->next)
        pr->next->link = pr->link;
    else
        pr->at->waiting_end = pr->link;
    pr->link = NULL;
    pr->next = NULL;
}

void mr_partition_park(struct mr_partition *p, struct mr_parked *who)
{
    mr_assert(!who->link);
    who->next = NULL;
    who->gone = false;
    who->link = p->parked_end;
    who->at = p;
    *p->parked_end = who;
    p->parked_end = &who->next;
}

void mr_partition_unpark(struct mr_parked *who)
{
    if (!who->link)
        return;
    *who->link = who->next;
    if (who->next)
        who->next->link = who->link;
    else
        who->at->parked_end = who->link;
    who->link = NULL;
    who->next = NULL;
}

/* Both lists are walked from the front again after each callback: a callback may take anybody out, and park
 * again, with an offset that is not below the high watermark. */
static void answer(struct mr_partition *p)
{
    struct mr_produce *pr;
    do {
        for (pr = p->waiting; pr && pr->until > p->high; pr = pr->next)
            ;
        if (pr) {
            mr_partition_forget(pr);
            pr->done(pr); /* P3 */
        }
    } while (pr);
}

static void wake(struct mr_partition *p, bool all)
{
    struct mr_parked *who;
    do {
        for (who = p->parked; who && !all && who->offset >= (who->stable ? p->stable : p->high);
             who = who->next)
            ;
        if (who) {
            mr_partition_unpark(who);
            who->gone = all;
            who->wake(who);
        }
    } while (who);
}

static void give_up(struct mr_partition *p, enum mr_refusal refusal, mr_code code, const char *why)
{
    while (p->waiting) {
        struct mr_produce *pr = p->waiting;
        mr_partition_forget(pr);
        pr->refusal = refusal;
        pr->code = code;
        pr->base_offset = -1;
        (void)snprintf(pr->why, sizeof pr->why, "%.*s", (int)sizeof pr->why - 1, why);
        pr->done(pr);
    }
}

/* ------------------------------------------------------------------ syncing */

static void want_sync(struct mr_partition *p);

static void raise_high(struct mr_partition *p)
{
    int64_t to = p->config.durable ? mr_log_synced(p->log).v : mr_log_landed(p->log);
    if (to <= p->high)
        return;
    p->high = to;
    raise_stable(p);
    partition_check(p);
    answer(p);
    wake(p, false);
}

/* By how many records are not on the disk, or because none may be for long. */
static bool flush_is_due(const struct mr_partition *p)
{
    const struct mr_partition_config *c = &p->config;
    return c->flush_ms == 0 ||
           (c->flush_messages > 0 && mr_log_end(p->log).v - mr_log_synced(p->log).v >= c->flush_messages);
}

static void synced(void *arg, mr_code rc, int sys)
{
    struct sync_ticket *ticket = arg;
    struct mr_partition *p = ticket->p;
    if (!p) {
        mr_free(ticket);
        return;
    }
    p->syncing = false;
    if (rc) {
        p->broken = rc;
        char why[MR_PRODUCE_WHY];
        (void)snprintf(why, sizeof why, "sync failed (%s); restart the node to recover what is safe",
                       sys ? strerror(sys) : mr_code_text(rc));
        give_up(p, MR_REFUSE_STORAGE, rc, why);
        return;
    }
    raise_high(p);
    if (mr_log_synced(p->log).v < mr_log_end(p->log).v && (p->config.durable || flush_is_due(p)))
        want_sync(p);
}

static void want_sync(struct mr_partition *p)
{
    if (p->syncing || p->broken)
        return;
    p->syncing = true;
    mr_log_sync(p->log, synced, p->ticket);
}

/* ------------------------------------------------------------------ producing */

static void put_be(char *to, uint64_t v, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        to[i] = (char)(v >> (8 * (bytes - 1 - i)));
}

/* The broker's clock: attribute bit 3 and the max timestamp lie inside of the CRC. */
static void stamp(char *bytes, size_t len, int64_t now_ms)
{
    struct mr_batch_header h;
    for (size_t at = 0; at < len; at += (size_t)h.length + 12) {
        mr_code rc = mr_batch_header_read((struct mr_slice){bytes + at, len - at}, &h, NULL);
        mr_assert(rc == MR_OK); /* checked before */
        put_be(bytes + at + 21, (uint16_t)(h.attributes | 8), 2);
        put_be(bytes + at + 35, (uint64_t)now_ms, 8);
        put_be(bytes + at + 17, mr_crc32c(0, bytes + at + 21, (size_t)h.length + 12 - 21), 4);
    }
}

static bool refused(struct mr_produce *pr, enum mr_refusal refusal, mr_code code, const char *why)
{
    pr->refusal = refusal;
    pr->code = code;
    pr->base_offset = -1;
    (void)snprintf(pr->why, sizeof pr->why, "%.*s", (int)sizeof pr->why - 1, why);
    return true;
}

static bool settle_or_wait(struct mr_partition *p, struct mr_produce *pr, int64_t end)
{
    bool written = end <= mr_log_landed(p->log); /* the file has it: the process may die */
    if (pr->acks == 0 || (pr->acks == 1 && written) || end <= p->high)
        return true;
    pr->until = end;
    produce_link(p, pr);
    return false;
}

/* What the tables must know of what was just appended. */
static bool note(struct mr_partition *p, const char *bytes, size_t len, int64_t base, int64_t now_ms)
{
    struct mr_batch_header h;
    bool ok = true;
    for (size_t at = 0; at < len; at += (size_t)h.length + 12) {
        mr_code rc = mr_batch_header_read((struct mr_slice){bytes + at, len - at}, &h, NULL);
        mr_assert(rc == MR_OK);
        mr_assert(h.base_offset >= base);
        ok = mr_partition_note(p, &h, NULL, now_ms) && ok;
    }
    return ok;
}

/* Memory for what is noted of a transactional batch: once it is in the log nothing may fail. */
static bool may_open(struct mr_partition *p, const struct mr_batch_header *h, struct mr_produce *pr)
{
    if (!(h->attributes & MR_BATCH_TRANSACTIONAL))
        return true;
    bool open = mr_producers_open(&p->producers, h->producer_id) >= 0;
    if (!open && !pr->verified) { /* P6 */
        refused(pr, MR_REFUSE_TXN_STATE, MR_BADDATA,
                "the partition is not part of the producer's transaction");
        return false;
    }
    if (!open && !mr_txn_log_may_open(&p->txns)) {
        refused(pr, MR_REFUSE_POLICY, MR_LIMIT, "too many open or aborted transactions in this partition");
        return false;
    }
    if (!mr_producers_reserve(&p->producers, h, mr_wall(p->world) / 1000000) ||
        !mr_txn_log_reserve(&p->txns)) {
        refused(pr, MR_REFUSE_STORAGE, MR_MEMORY, "no memory to remember the transaction");
        return false;
    }
    return true;
}

static bool appendable(struct mr_partition *p, char *bytes, size_t len, struct mr_produce *pr,
                       int64_t *duplicate_end)
{
    int64_t newest = -1;
    struct mr_check check = {
        .newest = &newest,
        .max_batch_bytes = p->config.log.max_batch_bytes,
        .segment_bytes = p->config.log.segment_bytes,
        .many = pr->trusted,
        .records = !pr->trusted,
        .keyed = p->config.log.compact,
        .stamp = p->config.log_append_time,
        .transactional = pr->transactional,
    };
    struct mr_buf scratch = {0};
    struct mr_err err = {0};
    int64_t now_ms = mr_wall(p->world) / 1000000;
    if (!pr->trusted && !check.stamp) {
        check.earliest = p->config.before_max_ms < now_ms ? now_ms - p->config.before_max_ms : 0;
        check.latest = p->config.after_max_ms < INT64_MAX - now_ms ? now_ms + p->config.after_max_ms : 0;
    }
    enum mr_refusal r = mr_check_batches(&check, (struct mr_slice){bytes, len}, &scratch, &err);
    mr_buf_fini(&scratch);
    if (r) {
        refused(pr, r, err.code, err.text);
        return false;
    }
    struct mr_batch_header h;
    mr_code rc = mr_batch_header_read((struct mr_slice){bytes, len}, &h, NULL);
    mr_assert(rc == MR_OK);
    /* Not every client says it right, and readers by time and retention go by it. */
    if (check.records && !check.stamp && newest != h.max_timestamp)
        mr_batch_stamp_max_time(bytes, newest);
    r = mr_producers_check(&p->producers, &h, &pr->base_offset, duplicate_end);
    if (r) {
        char why[MR_PRODUCE_WHY];
        (void)snprintf(why, sizeof why, "producer %lld epoch %d sequence %d: %s", (long long)h.producer_id,
                       h.producer_epoch, h.base_sequence, mr_refusal_text(r));
        refused(pr, r, MR_BADDATA, why);
    }
    return r == MR_REFUSE_NONE && (*duplicate_end >= 0 || may_open(p, &h, pr));
}

static void begin(struct mr_produce *pr)
{
    pr->refusal = MR_REFUSE_NONE;
    pr->code = MR_OK;
    pr->append_time = -1;
    pr->why[0] = '\0';
    pr->link = NULL;
}

static bool refuse_broken(struct mr_produce *pr)
{
    return refused(pr, MR_REFUSE_STORAGE, MR_CORRUPT,
                   "a sync of this partition failed; restart the node to recover what is safe");
}

static void flush_due(void *arg)
{
    struct mr_partition *p = arg;
    p->flush_armed = false;
    if (mr_log_synced(p->log).v < mr_log_end(p->log).v)
        want_sync(p);
}

/* flush.messages and flush.ms: how much a loss of power may take back. */
static void flush_by_settings(struct mr_partition *p)
{
    const struct mr_partition_config *c = &p->config;
    if (flush_is_due(p))
        want_sync(p);
    if (c->flush_ms == 0 || c->flush_ms == INT64_MAX || p->flush_armed)
        return;
    p->flush.fire = flush_due;
    p->flush.arg = p;
    p->flush_armed = true;
    mr_timer_set(p->world, &p->flush, mr_now(p->world) + c->flush_ms);
}

/* Appended and noted: seen now, or when it is on the disk. */
static bool await(struct mr_partition *p, struct mr_produce *pr)
{
    if (!p->config.durable) {
        flush_by_settings(p);
        raise_high(p);
        return true;
    }
    want_sync(p);
    return settle_or_wait(p, pr, mr_log_end(p->log).v);
}

static bool append(struct mr_partition *p, char *bytes, size_t len, struct mr_produce *pr)
{
    mr_ns now = mr_wall(p->world);
    int64_t now_ms = now / 1000000;
    if (p->config.log_append_time) {
        stamp(bytes, len, now_ms);
        pr->append_time = now_ms;
    }
    struct mr_err err = {0};
    mr_offset base = {0};
    mr_code rc = mr_log_append(p->log, bytes, len, 0, now, &base, &err);
    if (rc)
        return refused(pr, rc == MR_LIMIT ? MR_REFUSE_TOO_LARGE : MR_REFUSE_STORAGE, rc, err.text);
    pr->base_offset = base.v;
    if (!note(p, bytes, len, base.v, now_ms)) {
        /* It is in the log, but a retry would not be recognised: answer what lets no client retry. */
        return refused(pr, MR_REFUSE_UNKNOWN, MR_MEMORY, "no memory to remember the producer");
    }
    return await(p, pr);
}

static int32_t level_of(const struct mr_partition_config *c, enum mr_codec codec)
{
    switch (codec) {
    case MR_CODEC_GZIP:
        return (int32_t)c->gzip_level;
    case MR_CODEC_LZ4:
        return (int32_t)c->lz4_level;
    case MR_CODEC_ZSTD:
        return (int32_t)c->zstd_level;
    case MR_CODEC_NONE:
    case MR_CODEC_SNAPPY:
        break;
    }
    return MR_CODEC_LEVEL_USUAL;
}

/* The codec that the topic asks for. */
static bool append_recoded(struct mr_partition *p, char *bytes, size_t len, struct mr_produce *pr)
{
    struct mr_buf made = {0};
    struct mr_err err = {0};
    enum mr_codec codec = (enum mr_codec)(p->config.compression - 1);
    mr_code rc = mr_recode((struct mr_slice){bytes, len}, codec, level_of(&p->config, codec),
                           p->config.log.max_batch_bytes, &made, &err);
    bool settled = rc ? refused(pr, rc == MR_LIMIT ? MR_REFUSE_TOO_LARGE : MR_REFUSE_STORAGE, rc, err.text)
                      : append(p, made.p, made.len, pr);
    mr_buf_fini(&made);
    return settled;
}

bool mr_partition_produce(struct mr_partition *p, char *bytes, size_t len, struct mr_produce *pr)
{
    int64_t duplicate_end = -1;
    begin(pr);
    if (p->broken)
        return refuse_broken(pr);
    if (pr->acks == -1 && p->config.min_in_sync > IN_SYNC)
        return refused(pr, MR_REFUSE_NOT_ENOUGH_REPLICAS, MR_AGAIN,
                       "fewer replicas are in sync than min.insync.replicas asks for");
    if (!appendable(p, bytes, len, pr, &duplicate_end))
        return true;
    if (duplicate_end >= 0) { /* D1, P4: the first one may still be on its way to the disk */
        if (p->config.durable && duplicate_end > p->high)
            want_sync(p);
        return settle_or_wait(p, pr, duplicate_end);
    }
    return p->config.compression ? append_recoded(p, bytes, len, pr) : append(p, bytes, len, pr);
}

bool mr_partition_mark(struct mr_partition *p, const struct mr_marker *marker, int64_t producer_id,
                       int16_t epoch, struct mr_produce *pr)
{
    mr_ns now = mr_wall(p->world);
    struct mr_batch_header h = {.producer_id = producer_id};
    struct mr_buf bytes = {0};
    struct mr_err err = {0};
    mr_offset base = {0};
    begin(pr);
    pr->acks = -1;
    if (p->broken)
        return refuse_broken(pr);
    enum mr_refusal r = mr_producers_end_check(&p->producers, producer_id, epoch, marker->coordinator_epoch);
    if (r)
        return refused(pr, r, MR_FENCED, mr_refusal_text(r));
    mr_code rc = MR_MEMORY;
    if (mr_producers_reserve(&p->producers, &h, now / 1000000) && mr_txn_log_reserve(&p->txns))
        rc = mr_marker_build(&bytes, marker, producer_id, epoch, now / 1000000, &err);
    if (rc == MR_OK) {
        if (p->config.log_append_time)
            stamp(bytes.p, bytes.len, now / 1000000);
        rc = mr_log_append(p->log, bytes.p, bytes.len, 0, now, &base, &err);
    }
    if (rc == MR_OK) {
        rc = mr_batch_header_read((struct mr_slice){bytes.p, bytes.len}, &h, NULL);
        mr_assert(rc == MR_OK && h.base_offset == base.v);
        bool noted = mr_partition_note(p, &h, marker, now / 1000000);
        mr_assert(noted); /* it was reserved */
    }
    mr_buf_fini(&bytes);
    if (rc)
        return refused(pr, MR_REFUSE_STORAGE, rc, rc == MR_MEMORY ? "no memory for a marker" : err.text);
    pr->base_offset = base.v;
    return await(p, pr);
}

/* ------------------------------------------------------------------ reading */

int64_t mr_partition_start(const struct mr_partition *p)
{
    return mr_log_start(p->log).v;
}
int64_t mr_partition_high(const struct mr_partition *p)
{
    return p->high;
}
int64_t mr_partition_stable(const struct mr_partition *p)
{
    return p->stable;
}
int64_t mr_partition_end(const struct mr_partition *p)
{
    return mr_log_end(p->log).v;
}
int64_t mr_partition_bytes(const struct mr_partition *p)
{
    return mr_log_bytes(p->log);
}

static enum mr_refusal refusal_of(mr_code rc)
{
    return rc == MR_RANGE ? MR_REFUSE_OFFSET_OUT_OF_RANGE : MR_REFUSE_STORAGE;
}

enum mr_refusal mr_partition_find_below(struct mr_partition *p, int64_t offset, int64_t below,
                                        size_t max_bytes, struct mr_log_view *view, struct mr_err *err)
{
    mr_assert(below <= p->high); /* P2 */
    *view = (struct mr_log_view){0};
    if (offset < mr_log_start(p->log).v || offset > mr_log_end(p->log).v) {
        (void)mr_fail(err, MR_RANGE, "offset %lld is outside of %lld to %lld", (long long)offset,
                      (long long)mr_log_start(p->log).v, (long long)mr_log_end(p->log).v);
        return MR_REFUSE_OFFSET_OUT_OF_RANGE;
    }
    if (offset >= below)
        return MR_REFUSE_NONE;
    mr_code rc = mr_log_find(p->log, (mr_offset){offset}, (mr_offset){below}, max_bytes, view, err);
    if (rc == MR_END) {
        *view = (struct mr_log_view){0};
        return MR_REFUSE_NONE;
    }
    return rc ? refusal_of(rc) : MR_REFUSE_NONE;
}

enum mr_refusal mr_partition_find(struct mr_partition *p, int64_t offset, size_t max_bytes,
                                  struct mr_log_view *view, struct mr_err *err)
{
    return mr_partition_find_below(p, offset, p->high, max_bytes, view, err);
}

size_t mr_partition_aborted(const struct mr_partition *p, int64_t from, int64_t below,
                            struct mr_txn_aborted *out, size_t room)
{
    return mr_txn_log_aborted(&p->txns, from, below, out, room);
}

bool mr_partition_producer_next(const struct mr_partition *p, size_t *i, struct mr_producer_view *out)
{
    return mr_producers_next(&p->producers, i, out);
}

enum mr_refusal mr_partition_list_below(struct mr_partition *p, int64_t timestamp, int64_t below,
                                        int64_t *offset, int64_t *found_timestamp, struct mr_err *err)
{
    mr_assert(below <= p->high); /* P2 */
    enum { LATEST = -1, EARLIEST = -2, MAX_TIMESTAMP = -3, EARLIEST_LOCAL = -4, LAST_TIERED = -5 };
    mr_offset at = {-1};
    mr_code rc = MR_OK;
    *found_timestamp = -1;
    switch (timestamp) {
    case LATEST:
        *offset = below;
        return MR_REFUSE_NONE;
    case EARLIEST:
    case EARLIEST_LOCAL:
        *offset = mr_log_start(p->log).v;
        return MR_REFUSE_NONE;
    case LAST_TIERED:
        *offset = -1;
        return MR_REFUSE_NONE;
    case MAX_TIMESTAMP:
        if (mr_log_end(p->log).v > mr_log_start(p->log).v)
            rc = mr_log_find_max_time(p->log, &at, found_timestamp, err);
        break;
    default:
        if (timestamp < 0) {
            (void)mr_fail(err, MR_UNSUPPORTED, "timestamp %lld has no meaning here", (long long)timestamp);
            return MR_REFUSE_VERSION;
        }
        rc = mr_log_find_time(p->log, timestamp, &at, found_timestamp, err);
    }
    if (rc && rc != MR_END)
        return refusal_of(rc);
    if (rc == MR_END || at.v >= below) {
        at.v = -1;
        *found_timestamp = -1;
    }
    *offset = at.v;
    return MR_REFUSE_NONE;
}

enum mr_refusal mr_partition_list(struct mr_partition *p, int64_t timestamp, int64_t *offset,
                                  int64_t *found_timestamp, struct mr_err *err)
{
    return mr_partition_list_below(p, timestamp, p->high, offset, found_timestamp, err);
}

enum mr_refusal mr_partition_trim(struct mr_partition *p, int64_t offset, int64_t *start, struct mr_err *err)
{
    *start = -1;
    if (offset == -1)
        offset = p->high;
    if (offset < 0 || offset > p->high) {
        (void)mr_fail(err, MR_RANGE, "offset %lld is beyond the high watermark %lld", (long long)offset,
                      (long long)p->high);
        return MR_REFUSE_OFFSET_OUT_OF_RANGE;
    }
    mr_code rc = offset > mr_log_start(p->log).v ? mr_log_trim(p->log, (mr_offset){offset}, err) : MR_OK;
    mr_txn_log_trim(&p->txns, mr_log_start(p->log).v);
    raise_stable(p);
    partition_check(p);
    *start = mr_log_start(p->log).v;
    return rc ? refusal_of(rc) : MR_REFUSE_NONE;
}

/* ------------------------------------------------------------------ life */

static void tables_fini(struct mr_partition *p)
{
    mr_producers_fini(&p->producers);
    mr_txn_log_fini(&p->txns);
}

/* The limit is kept when batches are checked; the log's own lets markers through in any case. */
static struct mr_log_config log_config(const struct mr_partition_config *config, struct mr_log_pool *pool)
{
    struct mr_log_config log = config->log;
    if (log.max_batch_bytes < BATCH_MIN)
        log.max_batch_bytes = BATCH_MIN;
    if (config->durable)
        log.pool = pool; /* else its readers see what is not synced */
    return log;
}

/* After it the tables are right for what is served, or the partition is not served. */
mr_code mr_partition_load(struct mr_world *w, const char *dir, const struct mr_partition_config *config,
                          struct mr_partition **out, struct mr_err *err)
{
    struct mr_partition *p = mr_alloc(sizeof *p);
    struct mr_err story = {0};
    if (strlen(dir) >= MR_PARTITION_PATH_BYTES - 16) {
        mr_free(p);
        return mr_fail(err, MR_LIMIT, "path '%s' is too long", dir);
    }
    if (p) {
        p->ticket = mr_alloc(sizeof *p->ticket);
        p->dir = mr_strndup(dir, strlen(dir));
    }
    if (!p || !p->ticket || !p->dir) {
        if (p) {
            mr_free(p->ticket);
            mr_free(p->dir);
        }
        mr_free(p);
        return mr_fail(err, MR_MEMORY, "no memory for partition '%s'", dir);
    }
    p->ticket->p = p;
    p->world = w;
    p->config = *config;
    p->snapshot_at = -1;
    p->waiting_end = &p->waiting;
    p->parked_end = &p->parked;
    mr_producers_init(&p->producers);

    struct mr_log_config log = log_config(config, NULL);
    mr_code rc = mr_log_open(w, dir, &log, &p->log, &story);
    if (rc == MR_OK || (rc == MR_CORRUPT && p->log)) {
        struct mr_err scan = {0};
        if (rc == MR_OK)
            mr_err_clear(&story); /* what was tried on the way is no story */
        mr_partition_snapshot_load(p);
        mr_code damage = mr_partition_rebuild(p, &scan);
        if (damage && damage != MR_CORRUPT) { /* half of what it must know is no ground to serve it on */
            if (err)
                *err = scan;
            mr_partition_discard(p);
            return damage;
        }
        if (damage && rc == MR_OK)
            story = scan;
        p->high = config->durable ? mr_log_synced(p->log).v : mr_log_end(p->log).v;
        if (p->high < mr_log_start(p->log).v)
            p->high = p->lent = mr_log_start(p->log).v;
        mr_txn_log_trim(&p->txns, mr_log_start(p->log).v);
        raise_stable(p);
        partition_check(p);
        if (err)
            *err = story;
        *out = p;
        return MR_OK;
    }
    if (err)
        *err = story;
    tables_fini(p);
    mr_free(p->ticket);
    mr_free(p->dir);
    mr_free(p);
    return rc;
}

void mr_partition_begin(struct mr_partition *p)
{
    if (p->config.durable && p->high < mr_log_end(p->log).v)
        want_sync(p);
}

mr_code mr_partition_open(struct mr_world *w, const char *dir, const struct mr_partition_config *config,
                          struct mr_partition **out, struct mr_err *err)
{
    mr_code rc = mr_partition_load(w, dir, config, out, err);
    if (!rc)
        mr_partition_begin(*out);
    return rc;
}

bool mr_partition_idle(const struct mr_partition *p)
{
    return !p->waiting && !p->parked && !p->syncing && !p->flush_armed && !p->compacting && !p->broken &&
           p->stable == p->high && mr_log_settled(p->log);
}

bool mr_partition_rest(struct mr_partition *p)
{
    return !p->syncing && !p->compacting && mr_log_rest(p->log);
}

int64_t mr_partition_retain_due(const struct mr_partition *p)
{
    return mr_log_retain_due(p->log);
}

bool mr_partition_flushed(const struct mr_partition *p)
{
    return p->broken || mr_log_settled(p->log);
}

bool mr_partition_flush(struct mr_partition *p, mr_done_fn done, void *arg)
{
    if (mr_partition_flushed(p))
        return false;
    mr_log_sync(p->log, done, arg);
    return true;
}

static void leave(struct mr_partition *p)
{
    if (p->syncing)
        p->ticket->p = NULL; /* the sync that comes back frees it */
    else
        mr_free(p->ticket);
    p->ticket = NULL;
    p->syncing = false;
    mr_timer_stop(p->world, &p->flush);
    p->broken = MR_CANCELLED; /* whoever is woken below and tries again is refused */
    give_up(p, MR_REFUSE_STORAGE, MR_CANCELLED, "the node is stopping");
    wake(p, true);
    mr_assert(!p->waiting && !p->parked);
}

void mr_partition_close(struct mr_partition *p)
{
    if (!p)
        return;
    bool broken = p->broken;
    leave(p);
    if (!broken)
        (void)mr_partition_snapshot_save(p, NULL); /* without it the next start scans: slower, not wrong */
    mr_log_close(p->log);
    tables_fini(p);
    mr_free(p->dir);
    mr_free(p);
}

void mr_partition_discard(struct mr_partition *p)
{
    if (!p)
        return;
    leave(p);
    mr_log_abandon(p->log);
    tables_fini(p);
    mr_free(p->dir);
    mr_free(p);
}

mr_code mr_partition_remove(struct mr_partition *p, struct mr_err *err)
{
    char path[MR_PARTITION_PATH_BYTES];
    leave(p);
    bool have = mr_partition_snapshot_path(p, path);
    mr_code rc = have ? mr_unlink(p->world, path, err) : MR_OK;
    if (rc == MR_NOTFOUND)
        rc = MR_OK;
    mr_code removed = mr_log_remove(p->log, err);
    tables_fini(p);
    mr_free(p->dir);
    mr_free(p);
    return removed ? removed : rc;
}

void mr_partition_configure(struct mr_partition *p, const struct mr_partition_config *config)
{
    if (config->durable && !p->config.durable)
        p->lent = p->high;
    p->config = *config;
    struct mr_log_config log = log_config(config, p->pool);
    mr_log_configure(p->log, &log);
    if (!config->durable)
        raise_high(p);
    else if (mr_log_synced(p->log).v < mr_log_end(p->log).v)
        want_sync(p);
}

void mr_partition_lend(struct mr_partition *p, struct mr_log_pool *pool)
{
    p->pool = pool;
    struct mr_log_config log = log_config(&p->config, pool);
    mr_log_configure(p->log, &log);
}

void mr_partition_tick(struct mr_partition *p, struct mr_err *err)
{
    mr_ns now = mr_wall(p->world);
    mr_err_clear(err);
    if (p->broken)
        return;
    mr_code rc = mr_log_retain(p->log, now, err);
    if (mr_log_start(p->log).v > p->high)
        p->high = p->lent = mr_log_start(p->log).v;
    mr_txn_log_trim(&p->txns, mr_log_start(p->log).v);
    raise_stable(p);
    partition_check(p);
    mr_producers_expire(&p->producers, now / 1000000);
    if (rc == MR_OK && mr_log_synced(p->log).v < mr_log_end(p->log).v)
        want_sync(p); /* page-cache topics: bounds what a crash makes us scan */
    if (rc == MR_OK && (mr_producers_count(&p->producers) || p->txns.aborted_count) &&
        mr_log_end(p->log).v - p->snapshot_at > SNAPSHOT_EVERY)
        (void)mr_partition_snapshot_save(p, err);
}

bool mr_partition_compact(struct mr_partition *p, int64_t budget, struct mr_err *err)
{
    bool more = false;
    mr_err_clear(err);
    if (p->broken)
        return p->compacting = false;
    mr_code rc = mr_log_compact(p->log, (mr_offset){p->high}, mr_wall(p->world), budget, &more, err);
    if (!rc)
        mr_err_clear(err);
    return p->compacting = more;
}

bool mr_partition_compacting(const struct mr_partition *p)
{
    return p->compacting;
}

const struct mr_compact_counts *mr_partition_compact_counts(const struct mr_partition *p)
{
    return mr_log_compact_counts(p->log);
}
