/* replay.c - see replay.h. */
#include "broker/replay.h"

#include "base/assert.h"
#include "base/mem.h"

#include <stdarg.h>

enum { SLICE_BYTES = 1 << 20, SKIPPED_TOLD = 10, PATIENCE_MS = 10000 };

struct mr_replay_part {
    bool tried, ready;
    mr_ms again_at, wait_ms; /* of one that could not be read */
};

__attribute__((format(printf, 3, 4))) static void tell(const struct mr_replay *r, enum mr_level level,
                                                       const char *format, ...)
{
    char text[MR_ERR_TEXT];
    va_list args;
    if (!r->config.tell)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    r->config.tell(r->config.tell_arg, level, text);
}

/* ------------------------------------------------------------------ time */

static int64_t wall_ms(const struct mr_replay *r)
{
    return mr_wall(r->world) / 1000000;
}

int64_t mr_replay_now(const struct mr_replay *r)
{
    return mr_now(r->world) + r->lead_ms;
}

void mr_replay_seen(struct mr_replay *r, int64_t stamp_ms)
{
    if (stamp_ms > r->stamp_ms)
        r->stamp_ms = stamp_ms;
}

/* By what has been read so far; `all` of it: then it runs on from there. */
static void set_clock(struct mr_replay *r, bool all)
{
    int64_t now = wall_ms(r), newest = r->stamp_ms;
    bool believed = newest == 0 || (now >= newest && now - newest <= r->config.away_max_ms);
    if (all && !believed)
        tell(r, MR_WARN,
             "%.*s: the wall clock is %lld s %s the newest record; ages are counted from that record on",
             MR_SLICE_ARG(r->config.topic), (long long)((now > newest ? now - newest : newest - now) / 1000),
             now > newest ? "ahead of" : "behind");
    r->lead_ms = (believed ? now : newest) - mr_now(r->world);
}

/* ------------------------------------------------------------------ the topic */

static const struct mr_topic *topic_of(const struct mr_replay *r)
{
    return mr_broker_topic(r->broker, r->config.topic);
}

enum mr_refusal mr_replay_prepare(struct mr_replay *r, int32_t partitions, struct mr_err *err)
{
    struct mr_setting settings[] = {
        {MR_SLICE("retention.ms"), MR_SLICE("-1")},
        {MR_SLICE("retention.bytes"), MR_SLICE("-1")},
        {MR_SLICE("segment.bytes"), MR_SLICE("104857600")},
        {MR_SLICE("max.message.bytes"), r->config.batch_bytes},
        {MR_SLICE("durability"), MR_SLICE("fsync")}, /* whatever the node's default is */
        {MR_SLICE("cleanup.policy"), MR_SLICE("compact")},
    };
    enum mr_refusal why = MR_REFUSE_NONE;
    const struct mr_topic *t = topic_of(r);
    if (!t) {
        why = mr_broker_create(r->broker, r->config.topic, partitions, settings,
                               sizeof settings / sizeof settings[0], false, &t, err);
        mr_replay_end(r); /* of one that was deleted; nothing is in the new one */
    }
    if (t && r->partitions == 0)
        r->partitions = t->partitions;
    return why;
}

struct mr_partition *mr_replay_partition(struct mr_replay *r, int32_t partition, enum mr_refusal *why,
                                         struct mr_err *err)
{
    return mr_broker_partition(r->broker, topic_of(r), partition, why, err);
}

bool mr_replay_loading(const struct mr_replay *r)
{
    return r->unread > 0;
}

enum mr_refusal mr_replay_check(const struct mr_replay *r, int32_t partition)
{
    if (!r->parts || partition < 0 || partition >= r->partitions || r->parts[partition].ready)
        return MR_REFUSE_NONE;
    return r->parts[partition].tried ? MR_REFUSE_COORDINATOR_NOT_AVAILABLE : MR_REFUSE_COORDINATOR_LOADING;
}

/* ------------------------------------------------------------------ reading */

static mr_code take_record(struct mr_replay *r, const struct mr_batch_header *h, const struct mr_record *rec,
                           struct mr_err *err)
{
    mr_code rc = rec->has_key ? r->config.record(r->config.owner, r->at, h, rec, err)
                              : mr_fail(err, MR_BADDATA, "it has no key");
    if (rc == MR_OK || rc == MR_MEMORY)
        return rc;
    if (r->skipped++ < SKIPPED_TOLD)
        tell(r, MR_WARN, "%.*s-%d: record at offset %lld is passed over: %s", MR_SLICE_ARG(r->config.topic),
             r->at, (long long)rec->offset, err->text);
    return MR_OK;
}

static mr_code take_marker(struct mr_replay *r, struct mr_record_walk *walk, struct mr_err *err)
{
    struct mr_record rec;
    struct mr_marker marker;
    mr_code rc = mr_record_walk_next(walk, &rec, err);
    if (rc == MR_OK && r->config.marker && walk->head.base_offset >= r->offset &&
        mr_marker_read(&rec, &marker) == MR_OK)
        r->config.marker(r->config.owner, r->at, walk->head.producer_id, marker.commit);
    return rc == MR_END ? MR_OK : rc;
}

static mr_code take_records(struct mr_replay *r, struct mr_record_walk *walk, struct mr_err *err)
{
    struct mr_record rec;
    mr_code rc;
    while ((rc = mr_record_walk_next(walk, &rec, err)) == MR_OK)
        if (rec.offset >= r->offset && (rc = take_record(r, &walk->head, &rec, err)))
            return rc;
    return rc == MR_END ? MR_OK : rc;
}

/* Offsets are not under the checksum: each batch must go on where the last one ended, or behind a gap that
 * compaction left, and none lies beyond the end. The first batch of a slice may begin before its offset. */
static bool is_in_order(const struct mr_replay *r, const struct mr_batch_header *h, bool first, int64_t end)
{
    int64_t last = h->base_offset < 0 || h->base_offset >= end || h->last_offset_delta < 0
                       ? -1
                       : h->base_offset + h->last_offset_delta;
    return last >= r->offset && last < end && (first || h->base_offset >= r->offset);
}

static mr_code take_batches(struct mr_replay *r, struct mr_slice bytes, int64_t end, struct mr_err *err)
{
    for (bool first = true; bytes.len; first = false) {
        struct mr_record_walk walk;
        mr_code rc =
            mr_record_walk_begin(&walk, bytes, &r->inflated, r->config.batch_bytes_max + SLICE_BYTES, err);
        if (rc)
            return rc;
        size_t whole = (size_t)walk.head.length + 12;
        if (!mr_batch_crc_ok((struct mr_slice){bytes.p, whole}))
            return mr_fail(err, MR_CORRUPT, "the checksum of the batch there differs");
        if (!is_in_order(r, &walk.head, first, end))
            return mr_fail(err, MR_CORRUPT, "the batch there says it begins at offset %lld",
                           (long long)walk.head.base_offset);
        rc = walk.head.attributes & MR_BATCH_CONTROL ? take_marker(r, &walk, err)
                                                     : take_records(r, &walk, err);
        if (rc)
            return rc;
        r->offset = walk.head.base_offset + walk.head.last_offset_delta + 1;
        bytes = (struct mr_slice){bytes.p + whole, bytes.len - whole};
    }
    return MR_OK;
}

static mr_code take_slice(struct mr_replay *r, struct mr_partition *p, struct mr_err *err)
{
    struct mr_log_view view;
    size_t got = 0, most = r->config.batch_bytes_max + SLICE_BYTES;
    int64_t before = r->offset;
    if (mr_partition_find(p, r->offset, SLICE_BYTES, &view, err))
        return err->code ? err->code : MR_CORRUPT;
    if (view.len > most)
        return mr_fail(err, MR_LIMIT, "a batch has %zu bytes; at most %zu are read", view.len, most);
    r->bytes.len = 0;
    if (!mr_buf_reserve(&r->bytes, view.len))
        return mr_fail(err, MR_MEMORY, "no memory to read %zu bytes", view.len);
    mr_code rc = mr_file_read(view.file, r->bytes.p, view.len, view.at, &got, err);
    if (rc == MR_OK && got < view.len)
        rc = mr_fail(err, MR_CORRUPT, "the log ends before its time");
    if (rc == MR_OK)
        rc = take_batches(r, (struct mr_slice){r->bytes.p, got}, mr_partition_end(p), err);
    if (rc == MR_OK && r->offset <= before)
        rc = mr_fail(err, MR_CORRUPT, "it does not go on at offset %lld", (long long)before);
    return rc;
}

/* ------------------------------------------------------------------ one partition after another */

static void ring_at(struct mr_replay *r, mr_ms at)
{
    mr_timer_set(r->world, &r->timer, at);
}

/* The next one that is to be read now, or when the first of those that wait is; nothing when none is. */
static void next(struct mr_replay *r)
{
    mr_ms now = mr_now(r->world), first = -1;
    bool all = true;
    r->at = -1;
    r->begun = r->parked_long = false;
    for (int32_t i = 0; i < r->partitions && r->at < 0; i++) {
        const struct mr_replay_part *p = &r->parts[i];
        if (p->ready)
            continue;
        all = false;
        if (!p->tried || p->again_at <= now)
            r->at = i;
        else if (first < 0 || p->again_at < first)
            first = p->again_at;
    }
    if (r->at >= 0) {
        ring_at(r, now);
        return;
    }
    mr_buf_fini(&r->bytes);
    mr_buf_fini(&r->inflated);
    if (all) {
        mr_free(r->parts);
        r->parts = NULL;
    } else {
        ring_at(r, first);
    }
}

static void tried(struct mr_replay *r, struct mr_replay_part *p)
{
    if (!p->tried && --r->unread == 0)
        set_clock(r, true);
    p->tried = true;
}

static void failed(struct mr_replay *r, mr_code rc, const char *why)
{
    struct mr_replay_part *p = &r->parts[r->at];
    bool damaged = rc == MR_CORRUPT;
    if (p->wait_ms == 0) {
        p->wait_ms = damaged ? MR_REPLAY_AGAIN_MS_MAX : MR_REPLAY_AGAIN_MS;
        tell(r, MR_ERROR, "%.*s-%d cannot be read at offset %lld, its %s stay unavailable: %s; %s",
             MR_SLICE_ARG(r->config.topic), r->at, (long long)r->offset, r->config.holds, why,
             damaged ? "restore the partition from a copy, or delete the topic to start without"
                     : "it is tried again");
    } else {
        p->wait_ms = p->wait_ms * 2 < MR_REPLAY_AGAIN_MS_MAX ? p->wait_ms * 2 : MR_REPLAY_AGAIN_MS_MAX;
    }
    p->again_at = mr_now(r->world) + p->wait_ms;
    r->config.forget(r->config.owner, r->at); /* what was read may be old (L2) */
    tried(r, p);
    next(r);
}

static void finished(struct mr_replay *r)
{
    struct mr_replay_part *p = &r->parts[r->at];
    if (p->wait_ms)
        tell(r, MR_INFO, "%.*s-%d could be read, its %s are available again", MR_SLICE_ARG(r->config.topic),
             r->at, r->config.holds);
    p->ready = true;
    if (r->unread > 0)
        set_clock(r, false); /* so that who is ready knows what time it is */
    r->config.ready(r->config.owner, r->at);
    tried(r, p);
    next(r);
}

static void step(void *arg)
{
    struct mr_replay *r = arg;
    struct mr_err err = {0};
    enum mr_refusal why;
    mr_partition_unpark(&r->parked);
    if (r->at < 0) {
        next(r);
        return;
    }
    if (!mr_broker_await(r->broker, topic_of(r), r->at, &r->opening))
        return;
    struct mr_partition *p = mr_replay_partition(r, r->at, &why, &err);
    if (p && !r->begun) {
        r->begun = true;
        r->offset = mr_partition_start(p);
    }
    if (p && r->offset >= mr_partition_end(p)) { /* L1: also of what was appended meanwhile */
        finished(r);
        return;
    }
    if (p && mr_partition_high(p) <= r->offset && !r->parked_long) {
        r->parked.offset = r->offset; /* what is not durable may not come to be */
        r->parked_long = true;
        mr_partition_park(p, &r->parked);
        ring_at(r, mr_now(r->world) + PATIENCE_MS);
        return;
    }
    mr_code rc = p ? MR_OK : err.code ? err.code : MR_IO;
    if (p && mr_partition_high(p) <= r->offset)
        rc = mr_fail(&err, MR_IO, "what it holds does not become durable");
    else if (p)
        rc = take_slice(r, p, &err);
    if (rc) {
        failed(r, rc, err.text);
        return;
    }
    r->parked_long = false;
    ring_at(r, mr_now(r->world));
}

static void woken(struct mr_parked *who)
{
    struct mr_replay *r = who->arg;
    if (who->gone)
        return; /* closed; the timer looks for another */
    r->parked_long = false;
    ring_at(r, mr_now(r->world));
}

static void opened(struct mr_open_wait *w)
{
    struct mr_replay *r = w->arg;
    ring_at(r, mr_now(r->world));
}

mr_code mr_replay_begin(struct mr_replay *r, struct mr_world *w, struct mr_broker *b,
                        const struct mr_replay_config *config, struct mr_err *err)
{
    *r = (struct mr_replay){.world = w, .broker = b, .config = *config, .at = -1};
    r->timer = (struct mr_timer){.fire = step, .arg = r};
    r->parked = (struct mr_parked){.wake = woken, .arg = r};
    r->opening = (struct mr_open_wait){.done = opened, .arg = r};
    r->lead_ms = wall_ms(r) - mr_now(w);
    const struct mr_topic *t = topic_of(r);
    if (!t)
        return MR_OK;
    r->parts = mr_alloc((size_t)t->partitions * sizeof *r->parts);
    if (!r->parts)
        return mr_fail(err, MR_MEMORY, "no memory to read '%.*s'", MR_SLICE_ARG(config->topic));
    r->partitions = r->unread = t->partitions;
    next(r);
    return MR_OK;
}

void mr_replay_end(struct mr_replay *r)
{
    if (!r->world)
        return; /* never begun */
    mr_timer_stop(r->world, &r->timer);
    mr_broker_await_not(&r->opening);
    mr_partition_unpark(&r->parked);
    mr_buf_fini(&r->bytes);
    mr_buf_fini(&r->inflated);
    mr_free(r->parts);
    r->parts = NULL;
    r->partitions = r->unread = 0;
    r->at = -1;
}
