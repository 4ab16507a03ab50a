/* kafka_records.c - Produce, Fetch, ListOffsets, OffsetForLeaderEpoch.
 *
 * Both of the first may wait. What a waiting request needs lies in its arena; the frame that it came in is
 * used up by then (Produce) or copied (Fetch).
 */
#include "node/kafka.h"

#include "base/assert.h"

enum { LEADER_EPOCH = 0, ATTRIBUTES_AT = 22 /* low byte, in a batch */, CODEC_MASK = 7 };

static mr_ms wait_until(const struct mr_request *r, int64_t ms)
{
    ms = ms < 0 ? 0 : ms > MR_KAFKA_WAIT_MS_MAX ? MR_KAFKA_WAIT_MS_MAX : ms;
    return mr_now(mr_request_node(r)->world) + ms;
}

/* The epoch that a client believes in. Ours is always 0: one node, one leader for ever. */
static enum mr_refusal check_epoch(int32_t theirs)
{
    return theirs > LEADER_EPOCH ? MR_REFUSE_LEADER_EPOCH_UNKNOWN : MR_REFUSE_NONE;
}

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
    else if (in->transactional_id.p)
        why = MR_REFUSE_TXN_ID;
    else if (t)
        p = partition_of(r, t, want->index, &why, &err);
    if (!p) {
        refuse_row(row, why, err.code ? err.text : mr_refusal_text(why));
        return true;
    }
    row->partition = p;
    row->produce.acks = in->acks;
    row->produce.done = produce_done;
    row->produce.arg = r;
    /* The frame is ours to write in: offsets are patched where the batch lies. */
    if (!mr_partition_produce(p, (char *)(uintptr_t)want->records.p, want->records.len, &row->produce))
        return false;
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

void mr_kafka_produce(struct mr_request *r)
{
    struct mr_produce_request in;
    if (!mr_request_read(r, &in))
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
    mr_timer_set(mr_request_node(r)->world, &r->timer, wait_until(r, in.timeout_ms));
}

/* ------------------------------------------------------------------ Fetch */

struct fetch_row {
    struct mr_parked parked;
    const struct mr_topic *topic; /* valid only inside of one round */
    struct mr_log_view view;
    enum mr_refusal why;
    int64_t high, start;
    const struct mr_fetch_request_topic *in_topic;
    const struct mr_fetch_request_partition *in;
};

struct fetch_state {
    struct mr_fetch_request in;
    struct fetch_row *rows;
    uint32_t row_count;
    bool last_round;
};

static void fetch_answer(struct mr_request *r);

/* Looks at every partition; true when there is enough to answer. */
static bool fetch_look(struct mr_request *r)
{
    struct fetch_state *s = r->state;
    size_t most = mr_request_node(r)->config.fetch_bytes_max, total = 0;
    if (s->in.max_bytes >= 0 && (size_t)s->in.max_bytes < most)
        most = (size_t)s->in.max_bytes;
    bool failed = false;
    for (uint32_t i = 0; i < s->row_count; i++) {
        struct fetch_row *row = &s->rows[i];
        struct mr_err err = {0};
        row->view = (struct mr_log_view){0};
        row->high = row->start = -1;
        const struct mr_topic *t = mr_request_topic(r, row->in_topic->topic, &row->in_topic->topic_id,
                                                    r->head.version >= 13, &row->why);
        if (t && !row->why)
            row->why = check_epoch(row->in->current_leader_epoch);
        struct mr_partition *p = NULL;
        if (t && !row->why)
            p = partition_of(r, t, row->in->partition, &row->why, &err);
        if (p) {
            size_t room = total < most ? most - total : 0;
            size_t want = row->in->partition_max_bytes > 0 ? (size_t)row->in->partition_max_bytes : 0;
            want = want < room ? want : room;
            row->high = mr_partition_high(p);
            row->start = mr_partition_start(p);
            /* The first batch of all is given whatever its size; later ones only when they fit. */
            row->why = mr_partition_find(p, row->in->fetch_offset, want, &row->view, &err);
            if (row->view.len > want && total > 0)
                row->view = (struct mr_log_view){0};
            total += row->view.len;
        }
        if (row->why)
            failed = true;
    }
    return failed || s->row_count == 0 || s->in.max_wait_ms <= 0 ||
           total >= (s->in.min_bytes > 0 ? (size_t)s->in.min_bytes : 0);
}

static void fetch_unpark(struct mr_request *r)
{
    struct fetch_state *s = r->state;
    for (uint32_t i = 0; i < s->row_count; i++)
        mr_partition_unpark(&s->rows[i].parked);
}

static void fetch_round(struct mr_request *r);

static void fetch_woken(struct mr_parked *who)
{
    struct mr_request *r = who->arg;
    struct fetch_state *s = r->state;
    fetch_unpark(r);
    if (who->gone)
        s->last_round = true; /* a partition is leaving: say so now */
    fetch_round(r);
}

static void fetch_give_up(struct mr_request *r)
{
    struct fetch_state *s = r->state;
    fetch_unpark(r);
    s->last_round = true;
    fetch_round(r);
}

static void fetch_park(struct mr_request *r)
{
    struct fetch_state *s = r->state;
    for (uint32_t i = 0; i < s->row_count; i++) {
        struct fetch_row *row = &s->rows[i];
        enum mr_refusal why;
        const struct mr_topic *t =
            mr_request_topic(r, row->in_topic->topic, &row->in_topic->topic_id, r->head.version >= 13, &why);
        struct mr_partition *p = t ? partition_of(r, t, row->in->partition, &why, NULL) : NULL;
        if (!p)
            continue; /* cannot be: fetch_look has just found it */
        row->parked.offset = row->in->fetch_offset > row->high ? row->in->fetch_offset : row->high;
        row->parked.wake = fetch_woken;
        row->parked.arg = r;
        mr_partition_park(p, &row->parked);
    }
}

static void fetch_round(struct mr_request *r)
{
    struct fetch_state *s = r->state;
    if (fetch_look(r) || s->last_round || mr_request_node(r)->closing)
        fetch_answer(r);
    else
        fetch_park(r);
}

static void fetch_fill(struct mr_request *r, const struct fetch_row *row,
                       struct mr_fetch_response_partition *o)
{
    *o = (struct mr_fetch_response_partition){
        .partition_index = row->in->partition,
        .error_code = (int16_t)row->why,
        .high_watermark = row->high,
        .last_stable_offset = row->high,
        .log_start_offset = row->start,
        .diverging_epoch = {.epoch = -1, .end_offset = -1},
        .current_leader = {.leader_id = -1, .leader_epoch = -1},
        .snapshot_id = {.end_offset = -1, .epoch = -1},
        .aborted_transactions_count = -1,
        .preferred_read_replica = -1,
        .records = {"", 0},
    };
    if (row->why || row->view.len == 0)
        return;
    mr_request_hold(r, &row->view);
    o->records = (struct mr_slice){NULL, row->view.len}; /* a hole */
}

static void fetch_answer(struct mr_request *r)
{
    struct fetch_state *s = r->state;
    struct mr_fetch_response out;
    uint32_t at = 0;
    mr_fetch_response_init(&out);
    fetch_unpark(r);
    int32_t topics = s->in.topics_count > 0 ? s->in.topics_count : 0;
    out.responses = mr_request_take(r, (size_t)topics, sizeof *out.responses);
    if (!out.responses || !(r->files = mr_request_take(r, s->row_count, sizeof *r->files)) ||
        !(r->holes.v = mr_request_take(r, s->row_count, sizeof *r->holes.v)))
        return;
    r->holes.max = s->row_count;
    out.responses_count = topics;
    for (int32_t i = 0; i < topics; i++) {
        const struct mr_fetch_request_topic *want = &s->in.topics[i];
        struct mr_fetch_response_topic *o = &out.responses[i];
        o->topic = want->topic;
        o->topic_id = want->topic_id;
        o->partitions_count = want->partitions_count > 0 ? want->partitions_count : 0;
        o->partitions = mr_request_take(r, (size_t)o->partitions_count, sizeof *o->partitions);
        if (!o->partitions)
            return;
        for (int32_t k = 0; k < o->partitions_count; k++)
            fetch_fill(r, &s->rows[at++], &o->partitions[k]);
    }
    mr_request_answer(r, &out);
}

void mr_kafka_fetch(struct mr_request *r)
{
    struct fetch_state *s;
    if (!mr_request_keep(r) || !(s = mr_request_take(r, 1, sizeof *s)) || !mr_request_read(r, &s->in))
        return;
    /* Sessions are never given; who brings one has it from somebody else. */
    if (s->in.session_id != 0 && s->in.session_epoch > 0) {
        struct mr_fetch_response out;
        mr_fetch_response_init(&out);
        out.error_code = MR_REFUSE_SESSION_NOT_FOUND;
        mr_request_answer(r, &out);
        return;
    }
    size_t count = 0;
    for (int32_t i = 0; i < s->in.topics_count; i++)
        count += s->in.topics[i].partitions_count > 0 ? (size_t)s->in.topics[i].partitions_count : 0;
    if (!(s->rows = mr_request_take(r, count, sizeof *s->rows)))
        return;
    for (int32_t i = 0; i < s->in.topics_count; i++)
        for (int32_t k = 0; k < s->in.topics[i].partitions_count; k++)
            s->rows[s->row_count++] =
                (struct fetch_row){.in_topic = &s->in.topics[i], .in = &s->in.topics[i].partitions[k]};
    r->state = s;
    if (fetch_look(r) || mr_request_node(r)->closing) {
        fetch_answer(r);
        return;
    }
    r->drop = fetch_unpark;
    r->give_up = fetch_give_up;
    r->hurry = true;
    mr_timer_set(mr_request_node(r)->world, &r->timer, wait_until(r, s->in.max_wait_ms));
    fetch_park(r);
}

/* ------------------------------------------------------------------ ListOffsets, OffsetForLeaderEpoch */

static bool timestamp_served(int16_t version, int64_t timestamp)
{
    return !(timestamp == -3 && version < 7) && !(timestamp == -4 && version < 8) &&
           !(timestamp == -5 && version < 9);
}

static void list_one(struct mr_request *r, const struct mr_topic *t, enum mr_refusal unknown,
                     const struct mr_list_offsets_request_partition *want,
                     struct mr_list_offsets_response_partition *o)
{
    struct mr_err err = {0};
    enum mr_refusal why = t ? check_epoch(want->current_leader_epoch) : unknown;
    *o = (struct mr_list_offsets_response_partition){
        .partition_index = want->partition_index, .timestamp = -1, .offset = -1, .leader_epoch = -1};
    struct mr_partition *p = t && !why ? partition_of(r, t, want->partition_index, &why, &err) : NULL;
    if (p && !timestamp_served(r->head.version, want->timestamp))
        why = MR_REFUSE_VERSION;
    else if (p)
        why = mr_partition_list(p, want->timestamp, &o->offset, &o->timestamp, &err);
    if (p && !why && o->offset >= 0)
        o->leader_epoch = LEADER_EPOCH;
    o->error_code = (int16_t)why;
}

void mr_kafka_list_offsets(struct mr_request *r)
{
    struct mr_list_offsets_request in;
    struct mr_list_offsets_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_list_offsets_response_init(&out);
    int32_t topics = in.topics_count > 0 ? in.topics_count : 0;
    if (!(out.topics = mr_request_take(r, (size_t)topics, sizeof *out.topics)))
        return;
    out.topics_count = topics;
    for (int32_t i = 0; i < topics; i++) {
        struct mr_list_offsets_response_topic *o = &out.topics[i];
        int32_t count = in.topics[i].partitions_count > 0 ? in.topics[i].partitions_count : 0;
        enum mr_refusal unknown;
        const struct mr_topic *t = mr_request_topic(r, in.topics[i].name, NULL, false, &unknown);
        o->name = in.topics[i].name;
        o->partitions_count = count;
        if (!(o->partitions = mr_request_take(r, (size_t)count, sizeof *o->partitions)))
            return;
        for (int32_t k = 0; k < count; k++)
            list_one(r, t, unknown, &in.topics[i].partitions[k], &o->partitions[k]);
    }
    mr_request_answer(r, &out);
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
            enum mr_refusal why = t ? check_epoch(want->current_leader_epoch) : unknown;
            *q = (struct mr_offset_for_leader_epoch_response_partition){
                .partition = want->partition, .leader_epoch = -1, .end_offset = -1};
            struct mr_partition *p = t && !why ? partition_of(r, t, want->partition, &why, NULL) : NULL;
            q->error_code = (int16_t)why;
            if (p && want->leader_epoch == LEADER_EPOCH) {
                q->leader_epoch = LEADER_EPOCH;
                q->end_offset = mr_partition_high(p);
            }
        }
    }
    mr_request_answer(r, &out);
}
