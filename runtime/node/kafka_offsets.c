/* kafka_offsets.c - ListOffsets, OffsetForLeaderEpoch, DeleteRecords: where a partition begins and ends.
 *
 * Of a durable topic readers see only what is on the disk. Who has produced with acks=0 or 1 and then asks for
 * the end, or deletes up to it, means what was produced: both wait for the sync that is on its way.
 */
#include "node/kafka.h"

#include "base/assert.h"

enum {
    LIST_WAIT_MS = 500, /* that ListOffsets waits for the disk; then it says what readers see */
};

static struct mr_partition *partition_of(struct mr_request *r, const struct mr_topic *t, int32_t index,
                                         enum mr_refusal *why, struct mr_err *err)
{
    return mr_broker_partition(mr_request_node(r)->broker, t, index, why, err);
}

/* ------------------------------------------------------------------ waiting for the disk */

struct wait {               /* of a request; the first member of its state */
    struct mr_parked *rows; /* [arena] */
    size_t count;
    void (*go)(struct mr_request *r); /* everything is there, or time is up */
};

static void wait_drop(struct mr_request *r)
{
    struct wait *w = r->state;
    for (size_t i = 0; i < w->count; i++)
        mr_partition_unpark(&w->rows[i]);
}

static void wait_over(struct mr_request *r)
{
    wait_drop(r);
    r->pending = 0;
    ((struct wait *)r->state)->go(r);
}

static void wait_woken(struct mr_parked *who)
{
    struct mr_request *r = who->arg;
    mr_assert(r->pending > 0);
    if (--r->pending == 0)
        wait_over(r);
}

/* For the records below `upto`, when the partition has them and they are not on the disk yet. There is room
 * in w->rows. */
static void wait_for(struct mr_request *r, struct wait *w, struct mr_partition *p, int64_t upto)
{
    if (!p || upto <= mr_partition_high(p) || upto > mr_partition_end(p))
        return;
    struct mr_parked *row = &w->rows[w->count++];
    *row = (struct mr_parked){.offset = upto - 1, .wake = wait_woken, .arg = r};
    mr_partition_park(p, row);
    r->pending++;
}

static void wait_begin(struct mr_request *r, struct wait *w, mr_ms until)
{
    r->state = w;
    if (r->pending == 0) {
        w->go(r);
        return;
    }
    r->drop = wait_drop;
    r->give_up = wait_over;
    r->hurry = true;
    mr_timer_set(mr_request_node(r)->world, &r->timer, until);
}

static size_t many(int32_t count)
{
    return count > 0 ? (size_t)count : 0;
}

/* ------------------------------------------------------------------ ListOffsets, OffsetForLeaderEpoch */

enum { LATEST = -1, EARLIEST = -2, EARLIEST_LOCAL = -4, EARLIEST_NOT_UPLOADED = -6 /* nothing is */ };
enum { ISOLATION_COMMITTED = 1 };

static bool timestamp_served(int16_t version, int64_t timestamp)
{
    return !(timestamp == -3 && version < 7) && !(timestamp == -4 && version < 8) &&
           !(timestamp == -5 && version < 9) && !(timestamp == EARLIEST_NOT_UPLOADED && version < 11);
}

static void list_one(struct mr_request *r, const struct mr_topic *t, enum mr_refusal unknown, bool committed,
                     const struct mr_list_offsets_request_partition *want,
                     struct mr_list_offsets_response_partition *o)
{
    struct mr_err err = {0};
    enum mr_refusal why = t ? mr_kafka_check_epoch(want->current_leader_epoch) : unknown;
    *o = (struct mr_list_offsets_response_partition){
        .partition_index = want->partition_index, .timestamp = -1, .offset = -1, .leader_epoch = -1};
    if (t && !why && timestamp_served(r->head.version, want->timestamp) &&
        want->timestamp >= EARLIEST_NOT_UPLOADED &&
        mr_broker_partition_untouched(mr_request_node(r)->broker, t, want->partition_index)) {
        /* Tools ask this of all partitions there are: those without a log do not get one for it. */
        if (want->timestamp == LATEST || want->timestamp == EARLIEST || want->timestamp == EARLIEST_LOCAL) {
            o->offset = 0;
            o->leader_epoch = MR_KAFKA_LEADER_EPOCH;
        }
        return;
    }
    struct mr_partition *p = t && !why ? partition_of(r, t, want->partition_index, &why, &err) : NULL;
    if (p && !timestamp_served(r->head.version, want->timestamp))
        why = MR_REFUSE_VERSION;
    else if (p && want->timestamp != EARLIEST_NOT_UPLOADED)
        why = mr_partition_list_below(p, want->timestamp,
                                      committed ? mr_partition_stable(p) : mr_partition_high(p), &o->offset,
                                      &o->timestamp, &err);
    if (p && !why && o->offset >= 0)
        o->leader_epoch = MR_KAFKA_LEADER_EPOCH;
    o->error_code = (int16_t)why;
}

struct list_state {
    struct wait wait; /* first */
    struct mr_list_offsets_request in;
};

static void list_answer(struct mr_request *r)
{
    const struct mr_list_offsets_request *in = &((struct list_state *)r->state)->in;
    struct mr_list_offsets_response out;
    mr_list_offsets_response_init(&out);
    int32_t topics = in->topics_count > 0 ? in->topics_count : 0;
    if (!(out.topics = mr_request_take(r, (size_t)topics, sizeof *out.topics)))
        return;
    out.topics_count = topics;
    for (int32_t i = 0; i < topics; i++) {
        struct mr_list_offsets_response_topic *o = &out.topics[i];
        int32_t count = in->topics[i].partitions_count > 0 ? in->topics[i].partitions_count : 0;
        enum mr_refusal unknown;
        const struct mr_topic *t = mr_request_topic(r, in->topics[i].name, NULL, false, &unknown);
        o->name = in->topics[i].name;
        o->partitions_count = count;
        if (!(o->partitions = mr_request_take(r, (size_t)count, sizeof *o->partitions)))
            return;
        uint8_t *times = mr_request_take(r, t ? (size_t)t->partitions : 0, 1); /* asked for, 2: more */
        if (!times)
            return;
        for (int32_t k = 0; k < count; k++) {
            int32_t index = in->topics[i].partitions[k].partition_index;
            if (t && index >= 0 && index < t->partitions && times[index] < 2)
                times[index]++;
        }
        for (int32_t k = 0; k < count; k++) {
            int32_t index = in->topics[i].partitions[k].partition_index;
            bool doubled = t && index >= 0 && index < t->partitions && times[index] > 1;
            list_one(r, doubled ? NULL : t, doubled ? MR_REFUSE_INVALID_REQUEST : unknown,
                     in->isolation_level == ISOLATION_COMMITTED, &in->topics[i].partitions[k],
                     &o->partitions[k]);
        }
    }
    mr_request_answer(r, &out);
}

void mr_kafka_list_offsets(struct mr_request *r)
{
    struct list_state *s = mr_request_take(r, 1, sizeof *s);
    size_t total = 0;
    if (!s || !mr_request_keep(r) || !mr_request_read(r, &s->in))
        return;
    for (size_t i = 0; i < many(s->in.topics_count); i++)
        total += many(s->in.topics[i].partitions_count);
    for (size_t i = 0; i < many(s->in.topics_count); i++) {
        enum mr_refusal why;
        const struct mr_topic *t = mr_request_topic(r, s->in.topics[i].name, NULL, false, &why);
        for (size_t k = 0; k < many(s->in.topics[i].partitions_count); k++)
            mr_request_need(r, t, s->in.topics[i].partitions[k].partition_index);
    }
    if (mr_request_waits(r))
        return;
    s->wait.go = list_answer;
    if (!(s->wait.rows = mr_request_take(r, total, sizeof *s->wait.rows)))
        return;
    for (size_t i = 0; i < many(s->in.topics_count); i++) {
        enum mr_refusal why;
        const struct mr_topic *t = mr_request_topic(r, s->in.topics[i].name, NULL, false, &why);
        for (size_t k = 0; t && k < many(s->in.topics[i].partitions_count); k++) {
            const struct mr_list_offsets_request_partition *want = &s->in.topics[i].partitions[k];
            struct mr_partition *p =
                mr_broker_partition_open(mr_request_node(r)->broker, t, want->partition_index);
            if (p && want->timestamp != EARLIEST && want->timestamp != EARLIEST_LOCAL)
                wait_for(r, &s->wait, p, mr_partition_end(p));
        }
    }
    wait_begin(r, &s->wait, mr_request_until(r, LIST_WAIT_MS));
}

void mr_kafka_offset_for_leader_epoch(struct mr_request *r)
{
    struct mr_offset_for_leader_epoch_request in;
    struct mr_offset_for_leader_epoch_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_offset_for_leader_epoch_response_init(&out);
    int32_t topics = in.topics_count > 0 ? in.topics_count : 0;
    if (!(out.topics = mr_request_take(r, (size_t)topics, sizeof *out.topics)))
        return;
    out.topics_count = topics;
    for (int32_t i = 0; i < topics; i++) {
        struct mr_offset_for_leader_epoch_response_topic *o = &out.topics[i];
        int32_t count = in.topics[i].partitions_count > 0 ? in.topics[i].partitions_count : 0;
        enum mr_refusal unknown;
        const struct mr_topic *t = mr_request_topic(r, in.topics[i].topic, NULL, false, &unknown);
        o->topic = in.topics[i].topic;
        o->partitions_count = count;
        if (!(o->partitions = mr_request_take(r, (size_t)count, sizeof *o->partitions)))
            return;
        for (int32_t k = 0; k < count; k++) {
            const struct mr_offset_for_leader_epoch_request_partition *want = &in.topics[i].partitions[k];
            struct mr_offset_for_leader_epoch_response_partition *q = &o->partitions[k];
            enum mr_refusal why = t ? mr_kafka_check_epoch(want->current_leader_epoch) : unknown;
            *q = (struct mr_offset_for_leader_epoch_response_partition){
                .partition = want->partition, .leader_epoch = -1, .end_offset = -1};
            struct mr_partition *p = t && !why ? mr_broker_partition_ready(mr_request_node(r)->broker, t,
                                                                           want->partition, &why, NULL)
                                               : NULL;
            q->error_code = (int16_t)why;
            if (p && want->leader_epoch == MR_KAFKA_LEADER_EPOCH) {
                q->leader_epoch = MR_KAFKA_LEADER_EPOCH;
                q->end_offset = mr_partition_high(p);
            }
        }
    }
    mr_request_answer(r, &out);
}

/* ------------------------------------------------------------------ DeleteRecords */

struct delete_state {
    struct wait wait; /* first */
    struct mr_delete_records_request in;
};

/* A compacted topic loses records by their keys alone, and the coordinators' keep what they need. */
static enum mr_refusal may_delete(const struct mr_topic *t)
{
    if (mr_kafka_is_coordinators(mr_slice_of(t->name)))
        return MR_REFUSE_INVALID_TOPIC;
    return t->config.log.compact && !t->config.log.retain ? MR_REFUSE_POLICY : MR_REFUSE_NONE;
}

static void delete_one(struct mr_request *r, const struct mr_topic *t, enum mr_refusal unknown,
                       const struct mr_delete_records_request_partition *want,
                       struct mr_delete_records_response_partition *o)
{
    enum mr_refusal why = t ? may_delete(t) : unknown;
    *o = (struct mr_delete_records_response_partition){.partition_index = want->partition_index,
                                                       .low_watermark = -1};
    struct mr_partition *p = t && !why ? partition_of(r, t, want->partition_index, &why, NULL) : NULL;
    if (p && want->offset > mr_partition_high(p) && want->offset <= mr_partition_end(p))
        why = MR_REFUSE_TIMED_OUT; /* the records are there, but the disk takes its time */
    else if (p)
        why = mr_partition_trim(p, want->offset, &o->low_watermark, NULL);
    o->error_code = (int16_t)why;
}

static void delete_answer(struct mr_request *r)
{
    const struct mr_delete_records_request *in = &((struct delete_state *)r->state)->in;
    struct mr_delete_records_response out;
    mr_delete_records_response_init(&out);
    if (!(out.topics = mr_request_take(r, many(in->topics_count), sizeof *out.topics)))
        return;
    out.topics_count = (int32_t)many(in->topics_count);
    for (int32_t i = 0; i < out.topics_count; i++) {
        struct mr_delete_records_response_topic *o = &out.topics[i];
        size_t count = many(in->topics[i].partitions_count);
        enum mr_refusal unknown;
        const struct mr_topic *t = mr_request_topic(r, in->topics[i].name, NULL, false, &unknown);
        o->name = in->topics[i].name;
        o->partitions_count = (int32_t)count;
        if (!(o->partitions = mr_request_take(r, count, sizeof *o->partitions)))
            return;
        for (size_t k = 0; k < count; k++)
            delete_one(r, t, unknown, &in->topics[i].partitions[k], &o->partitions[k]);
    }
    mr_request_answer(r, &out);
}

void mr_kafka_delete_records(struct mr_request *r)
{
    struct delete_state *s = mr_request_take(r, 1, sizeof *s);
    size_t total = 0;
    if (!s || !mr_request_keep(r) || !mr_request_read(r, &s->in))
        return;
    for (size_t i = 0; i < many(s->in.topics_count); i++)
        total += many(s->in.topics[i].partitions_count);
    for (size_t i = 0; i < many(s->in.topics_count); i++) {
        enum mr_refusal why;
        const struct mr_topic *t = mr_request_topic(r, s->in.topics[i].name, NULL, false, &why);
        for (size_t k = 0; k < many(s->in.topics[i].partitions_count); k++)
            mr_request_need(r, t, s->in.topics[i].partitions[k].partition_index);
    }
    if (mr_request_waits(r))
        return;
    s->wait.go = delete_answer;
    if (!(s->wait.rows = mr_request_take(r, total, sizeof *s->wait.rows)))
        return;
    for (size_t i = 0; i < many(s->in.topics_count); i++) {
        enum mr_refusal why;
        const struct mr_topic *t = mr_request_topic(r, s->in.topics[i].name, NULL, false, &why);
        for (size_t k = 0; t && k < many(s->in.topics[i].partitions_count); k++) {
            struct mr_delete_records_request_partition *want = &s->in.topics[i].partitions[k];
            struct mr_partition *p =
                mr_broker_partition_open(mr_request_node(r)->broker, t, want->partition_index);
            if (p && want->offset == -1) /* all that there is now, and not what comes while it waits */
                want->offset = mr_partition_end(p);
            if (p)
                wait_for(r, &s->wait, p, want->offset);
        }
    }
    wait_begin(r, &s->wait, mr_request_until(r, s->in.timeout_ms));
}
