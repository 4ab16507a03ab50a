/* kafka_records.c - Produce.
 *
 * A Produce may wait. What it needs meanwhile lies in its arena; the frame that it came in is used up by
 * then.
 */
#include "node/kafka.h"

#include "base/assert.h"

enum { ATTRIBUTES_AT = 22 /* low byte, in a batch */, CODEC_MASK = 7 };

static struct mr_partition *partition_of(struct mr_request *r, const struct mr_topic *t, int32_t index,
                                         enum mr_refusal *why, struct mr_err *err)
{
    return mr_broker_partition(mr_request_node(r)->broker, t, index, why, err);
}

/* ------------------------------------------------------------------ Produce */

struct produce_row {
    struct mr_produce produce;      /* first */
    struct mr_partition *partition; /* while the produce is on its way */
    int64_t start;                  /* of the log, when it was settled */
    struct mr_produce_response_partition *out;
};

struct produce_state {
    struct mr_produce_response out;
    struct produce_row *rows;
    size_t row_count;
};

static void produce_finish(struct mr_request *r)
{
    struct produce_state *s = r->state;
    for (size_t i = 0; i < s->row_count; i++) {
        struct produce_row *row = &s->rows[i];
        const struct mr_produce *p = &row->produce;
        row->out->error_code = (int16_t)p->refusal;
        row->out->base_offset = p->refusal ? -1 : p->base_offset;
        row->out->log_append_time_ms = p->refusal ? -1 : p->append_time;
        row->out->log_start_offset = p->refusal ? -1 : row->start;
        if (p->refusal)
            row->out->error_message = mr_request_text(r, p->why[0] ? p->why : mr_refusal_text(p->refusal));
    }
    mr_request_answer(r, &s->out);
}

static void produce_done(struct mr_produce *p)
{
    struct mr_request *r = p->arg;
    struct produce_row *row = (struct produce_row *)(void *)p;
    if (!p->refusal) /* asked for now: it may be gone by the time the others are settled */
        row->start = mr_partition_start(row->partition);
    mr_assert(r->pending > 0);
    if (--r->pending == 0)
        produce_finish(r);
}

static void produce_drop(struct mr_request *r)
{
    struct produce_state *s = r->state;
    for (size_t i = 0; i < s->row_count; i++)
        mr_partition_forget(&s->rows[i].produce);
}

static void produce_timed_out(struct mr_request *r)
{
    struct produce_state *s = r->state;
    for (size_t i = 0; i < s->row_count; i++) {
        struct mr_produce *p = &s->rows[i].produce;
        if (!p->link)
            continue;
        mr_partition_forget(p);
        p->refusal = MR_REFUSE_TIMED_OUT;
        (void)snprintf(p->why, sizeof p->why, "not on the disk in time; it may be in the log");
    }
    r->pending = 0;
    produce_finish(r);
}

static void refuse_row(struct produce_row *row, enum mr_refusal why, const char *text)
{
    row->produce.refusal = why;
    row->produce.base_offset = -1;
    row->produce.append_time = -1;
    (void)snprintf(row->produce.why, sizeof row->produce.why, "%.*s", MR_PRODUCE_WHY - 1, text);
}

/* Does the coordinator know the transaction, and this partition in it? Refusals as producers know them. */
static enum mr_refusal verify(struct mr_request *r, const struct mr_produce_request *in,
                              const struct mr_topic *t, const struct mr_produce_request_partition *want)
{
    struct mr_batch_header h;
    if (mr_batch_header_read(want->records, &h, NULL) || !(h.attributes & MR_BATCH_TRANSACTIONAL))
        return MR_REFUSE_NONE;
    enum mr_refusal why = mr_txns_verify(mr_request_node(r)->txns, in->transactional_id, h.producer_id,
                                         h.producer_epoch, mr_slice_of(t->name), want->index);
    if (why == MR_REFUSE_TXN_STATE && r->adding && r->adding->refusal) /* why it is not part of it */
        why = r->adding->refusal == MR_REFUSE_PRODUCER_FENCED ? MR_REFUSE_PRODUCER_EPOCH : r->adding->refusal;
    if (why == MR_REFUSE_CONCURRENT_TXNS && r->head.version >= 12 && mr_kafka_txn_v2(mr_request_node(r)))
        return why; /* which producers of the second version try again */
    switch (why) {
    case MR_REFUSE_COORDINATOR_LOADING:
    case MR_REFUSE_COORDINATOR_NOT_AVAILABLE:
        return MR_REFUSE_NOT_ENOUGH_REPLICAS; /* which producers try again */
    case MR_REFUSE_CONCURRENT_TXNS:
    case MR_REFUSE_TXN_STATE:
        return r->head.version >= 11 ? MR_REFUSE_TXN_ABORTABLE : MR_REFUSE_TXN_STATE;
    default:
        return why;
    }
}

/* One partition's batch. true: settled. */
static bool produce_row(struct mr_request *r, const struct mr_produce_request *in, const struct mr_topic *t,
                        enum mr_refusal unknown, const struct mr_produce_request_partition *want,
                        struct produce_row *row)
{
    struct mr_err err = {0};
    enum mr_refusal why = unknown;
    bool zstd =
        want->records.len > ATTRIBUTES_AT && (want->records.p[ATTRIBUTES_AT] & CODEC_MASK) == MR_CODEC_ZSTD;
    struct mr_partition *p = NULL;
    if (in->acks < -1 || in->acks > 1)
        why = MR_REFUSE_INVALID_ACKS;
    else if (zstd && r->head.version < 7)
        why = MR_REFUSE_COMPRESSION;
    else if (t && mr_kafka_is_coordinators(mr_slice_of(t->name))) {
        why = MR_REFUSE_INVALID_TOPIC;
        (void)mr_fail(&err, MR_BADCONF, "topic '%s' belongs to the coordinator: it alone writes to it",
                      t->name);
    } else if (t)
        p = partition_of(r, t, want->index, &why, &err);
    if (!p) {
        refuse_row(row, why, err.code ? err.text : mr_refusal_text(why));
        return true;
    }
    row->partition = p;
    row->produce.acks = in->acks;
    row->produce.done = produce_done;
    row->produce.arg = r;
    row->produce.transactional = in->transactional_id.p != NULL;
    enum mr_refusal unverified = row->produce.transactional ? verify(r, in, t, want) : MR_REFUSE_NONE;
    row->produce.verified = unverified == MR_REFUSE_NONE;
    /* The frame is ours to write in: offsets are patched where the batch lies. */
    if (!mr_partition_produce(p, (char *)(uintptr_t)want->records.p, want->records.len, &row->produce))
        return false;
    if (unverified && row->produce.refusal == MR_REFUSE_TXN_STATE) { /* the coordinator knows better why */
        row->produce.refusal = unverified;
        (void)snprintf(row->produce.why, sizeof row->produce.why, "%s", mr_refusal_text(unverified));
    }
    row->start = mr_partition_start(p);
    return true;
}

static bool produce_rows(struct mr_request *r, struct mr_produce_request *in, struct produce_state *s)
{
    size_t count = 0;
    for (int32_t i = 0; i < in->topic_data_count; i++)
        count +=
            in->topic_data[i].partition_data_count > 0 ? (size_t)in->topic_data[i].partition_data_count : 0;
    s->rows = mr_request_take(r, count, sizeof *s->rows);
    if (!s->rows)
        return false;
    int32_t topics = in->topic_data_count > 0 ? in->topic_data_count : 0;
    if (!(s->out.responses = mr_request_take(r, (size_t)topics, sizeof *s->out.responses)))
        return false;
    s->out.responses_count = topics;
    /* All memory first: once a batch is appended its request must be answered. */
    for (int32_t i = 0; i < topics; i++) {
        struct mr_produce_response_topic *o = &s->out.responses[i];
        int32_t n = in->topic_data[i].partition_data_count;
        o->partition_responses_count = n > 0 ? n : 0;
        o->name = mr_slice_copy(&r->arena.arena, in->topic_data[i].name);
        o->topic_id = in->topic_data[i].topic_id;
        o->partition_responses =
            mr_request_take(r, (size_t)o->partition_responses_count, sizeof *o->partition_responses);
        if (!o->partition_responses)
            return false;
    }
    return true;
}

/* The partitions of the request that its transaction does not have yet: by writing to them they are added,
 * which is what the second version of the protocol is. false: closed. */
static bool produce_adds(struct mr_request *r, const struct mr_produce_request *in)
{
    struct mr_batch_header h, first = {.producer_id = -1};
    size_t count = 0, room = 0;
    for (int32_t i = 0; i < in->topic_data_count; i++)
        room += mr_kafka_many(in->topic_data[i].partition_data_count);
    struct mr_txn_at *parts = mr_request_take(r, room, sizeof *parts);
    if (!parts)
        return false;
    for (int32_t i = 0; i < in->topic_data_count; i++) {
        enum mr_refusal why;
        const struct mr_produce_request_topic *want = &in->topic_data[i];
        const struct mr_topic *t =
            mr_request_topic(r, want->name, &want->topic_id, r->head.version >= 13, &why);
        for (int32_t k = 0; t && k < want->partition_data_count; k++) {
            int32_t index = want->partition_data[k].index;
            if (index < 0 || index >= t->partitions || mr_kafka_is_coordinators(mr_slice_of(t->name)) ||
                mr_batch_header_read(want->partition_data[k].records, &h, NULL) ||
                !(h.attributes & MR_BATCH_TRANSACTIONAL))
                continue;
            if (first.producer_id < 0)
                first = h;
            why = mr_txns_verify(mr_request_node(r)->txns, in->transactional_id, h.producer_id,
                                 h.producer_epoch, mr_slice_of(t->name), index);
            if (why == MR_REFUSE_TXN_STATE && h.producer_id == first.producer_id)
                parts[count++] = (struct mr_txn_at){mr_slice_of(t->name), index};
        }
    }
    if (count)
        mr_request_add(r, in->transactional_id, first.producer_id, first.producer_epoch, parts, count);
    return true;
}

void mr_kafka_produce(struct mr_request *r)
{
    struct mr_produce_request in;
    if (!mr_request_read(r, &in))
        return;
    if (in.transactional_id.p && r->head.version >= 12 && !r->adding && mr_kafka_txn_v2(mr_request_node(r)) &&
        !produce_adds(r, &in))
        return;
    for (int32_t i = 0; i < in.topic_data_count; i++) {
        enum mr_refusal why;
        const struct mr_produce_request_topic *want = &in.topic_data[i];
        const struct mr_topic *t =
            mr_request_topic(r, want->name, &want->topic_id, r->head.version >= 13, &why);
        for (int32_t k = 0; k < want->partition_data_count; k++)
            mr_request_need(r, t, want->partition_data[k].index);
    }
    if (mr_request_waits(r))
        return;
    struct produce_state *s = mr_request_take(r, 1, sizeof *s);
    if (!s || !produce_rows(r, &in, s))
        return;
    r->state = s;
    r->pending = 1; /* ours, until all rows are under way */
    const struct mr_produce *failed = NULL;
    for (int32_t i = 0; i < s->out.responses_count; i++) {
        const struct mr_produce_request_topic *want = &in.topic_data[i];
        struct mr_produce_response_topic *o = &s->out.responses[i];
        for (int32_t k = 0; k < o->partition_responses_count; k++) {
            enum mr_refusal unknown;
            const struct mr_topic *t =
                mr_request_topic(r, want->name, &want->topic_id, r->head.version >= 13, &unknown);
            struct produce_row *row = &s->rows[s->row_count++];
            row->out = &o->partition_responses[k];
            row->out->index = want->partition_data[k].index;
            row->out->current_leader.leader_id = row->out->current_leader.leader_epoch = -1;
            if (!produce_row(r, &in, t, unknown, &want->partition_data[k], row))
                r->pending++;
            else if (row->produce.refusal)
                failed = &row->produce;
        }
    }
    if (in.acks == 0) {
        if (failed)
            mr_request_close(r, "produce with acks=0 refused: %s", failed->why);
        else
            mr_request_silent(r);
        return;
    }
    if (--r->pending == 0) {
        produce_finish(r);
        return;
    }
    r->drop = produce_drop;
    r->give_up = produce_timed_out;
    mr_timer_set(mr_request_node(r)->world, &r->timer, mr_request_until(r, in.timeout_ms));
}
