/* kafka_txn.c - transactions on the wire: InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn, EndTxn,
 * WriteTxnMarkers, DescribeProducers, DescribeTransactions, ListTransactions.
 *
 * What they mean is in broker/txn.h. Those that change something wait for the disk; a connection that goes
 * meanwhile is forgotten there. The second version of the protocol (EndTxn from 5, TxnOffsetCommit from 5) is
 * advertised when the node's setting transaction.version says so.
 */
#include "node/kafka.h"

#include "base/assert.h"
#include "base/buf.h"
#include "data/regex.h"

static struct mr_txns *txns_of(const struct mr_request *r)
{
    return mr_request_node(r)->txns;
}

/* PRODUCER_FENCED is known to clients from some version of each request on. */
static int16_t code_for(const struct mr_request *r, enum mr_refusal why, int16_t fenced_from)
{
    return (int16_t)(why == MR_REFUSE_PRODUCER_FENCED && r->head.version < fenced_from
                         ? MR_REFUSE_PRODUCER_EPOCH
                         : why);
}

static bool exists(const struct mr_topic *t, int32_t partition)
{
    return t && partition >= 0 && partition < t->partitions;
}

/* A request with one call to the coordinator is also its state. */
static struct mr_txn_call *call_new(struct mr_request *r, struct mr_slice id, int64_t producer, int16_t epoch,
                                    void (*done)(struct mr_txn_call *c))
{
    struct mr_txn_call *c = mr_request_take(r, 1, sizeof *c);
    if (c)
        *c = (struct mr_txn_call){.id = id, .producer = producer, .epoch = epoch, .done = done, .arg = r};
    return c;
}

static void call_drop(struct mr_request *r)
{
    mr_txns_forget(r->state);
}

static void call_settle(struct mr_request *r, struct mr_txn_call *c, bool settled)
{
    if (settled)
        c->done(c);
    else
        mr_request_wait(r, c, call_drop, NULL);
}

/* ------------------------------------------------------------------ InitProducerId */

static void init_answer(struct mr_request *r, int16_t code, int64_t producer, int16_t epoch)
{
    struct mr_init_producer_id_response out;
    mr_init_producer_id_response_init(&out);
    out.error_code = code;
    out.producer_id = producer;
    out.producer_epoch = epoch;
    mr_request_answer(r, &out);
}

static void init_done(struct mr_txn_call *c)
{
    init_answer(c->arg, code_for(c->arg, c->refusal, 4), c->out_producer, c->out_epoch);
}

void mr_kafka_init_producer_id(struct mr_request *r)
{
    struct mr_init_producer_id_request in;
    struct mr_err err = {0};
    int64_t id;
    if (!mr_request_read(r, &in))
        return;
    if (in.transactional_id.p) {
        struct mr_txn_call *c =
            call_new(r, in.transactional_id, in.producer_id, in.producer_epoch, init_done);
        if (!c)
            return;
        c->timeout_ms = in.transaction_timeout_ms;
        call_settle(r, c, mr_txns_init_producer(txns_of(r), c));
    } else if (mr_broker_producer_id(mr_request_node(r)->broker, &id, &err)) {
        mr_node_tell(mr_request_node(r), MR_ERROR, "kafka: no producer id to give: %s", err.text);
        init_answer(r, MR_REFUSE_STORAGE, -1, -1);
    } else {
        init_answer(r, MR_REFUSE_NONE, id, 0);
    }
}

/* ------------------------------------------------------------------ AddPartitionsToTxn */

/* One transaction of the request; until version 3 there is only one, and its answer has another shape. */
struct add_row {
    struct mr_txn_call call; /* first */
    struct mr_txn_at *parts;
    enum mr_refusal *why; /* of each part */
    size_t count;
    bool verify_only;
    const struct mr_add_partitions_to_txn_request_topic *topics;
    int32_t topic_count;
};

struct add_state {
    struct add_row *rows;
    size_t count;
};

static bool add_results(struct mr_request *r, const struct add_row *row,
                        struct mr_add_partitions_to_txn_response_topic_result *out)
{
    size_t at = 0;
    for (int32_t i = 0; i < row->topic_count; i++) {
        size_t count = mr_kafka_many(row->topics[i].partitions_count);
        out[i].name = row->topics[i].name;
        out[i].results_by_partition_count = (int32_t)count;
        if (!(out[i].results_by_partition = mr_request_take(r, count, sizeof *out[i].results_by_partition)))
            return false;
        for (size_t k = 0; k < count; k++, at++) {
            out[i].results_by_partition[k].partition_index = row->parts[at].partition;
            out[i].results_by_partition[k].partition_error_code =
                code_for(r, row->why[at] ? row->why[at] : row->call.refusal, 2);
        }
    }
    return true;
}

static void add_answer(struct mr_request *r)
{
    const struct add_state *s = r->state;
    struct mr_add_partitions_to_txn_response out;
    mr_add_partitions_to_txn_response_init(&out);
    struct mr_add_partitions_to_txn_response_transaction *all = mr_request_take(r, s->count, sizeof *all);
    if (!all)
        return;
    for (size_t i = 0; i < s->count; i++) {
        const struct add_row *row = &s->rows[i];
        all[i].transactional_id = row->call.id;
        all[i].topic_results_count = row->topic_count;
        all[i].topic_results = mr_request_take(r, (size_t)row->topic_count, sizeof *all[i].topic_results);
        if (!all[i].topic_results || !add_results(r, row, all[i].topic_results))
            return;
    }
    out.results_by_transaction = all;
    out.results_by_transaction_count = (int32_t)s->count;
    if (r->head.version <= 3) { /* the same, in structs of another name */
        const struct mr_add_partitions_to_txn_response_transaction *one = &all[0];
        out.results_by_topic_v3_and_below_count = one->topic_results_count;
        out.results_by_topic_v3_and_below = mr_request_take(r, mr_kafka_many(one->topic_results_count),
                                                            sizeof *out.results_by_topic_v3_and_below);
        if (!out.results_by_topic_v3_and_below)
            return;
        for (int32_t i = 0; i < one->topic_results_count; i++) {
            const struct mr_add_partitions_to_txn_response_topic_result *from = &one->topic_results[i];
            struct mr_add_partitions_to_txn_response_topic *to = &out.results_by_topic_v3_and_below[i];
            to->name = from->name;
            to->results_by_partition_count = from->results_by_partition_count;
            to->results_by_partition = mr_request_take(r, mr_kafka_many(from->results_by_partition_count),
                                                       sizeof *to->results_by_partition);
            if (!to->results_by_partition)
                return;
            for (int32_t k = 0; k < from->results_by_partition_count; k++) {
                to->results_by_partition[k].partition_index = from->results_by_partition[k].partition_index;
                to->results_by_partition[k].partition_error_code =
                    from->results_by_partition[k].partition_error_code;
            }
        }
    }
    mr_request_answer(r, &out);
}

static void add_done(struct mr_txn_call *c)
{
    struct mr_request *r = c->arg;
    mr_assert(r->pending > 0);
    if (--r->pending == 0)
        add_answer(r);
}

static void add_drop(struct mr_request *r)
{
    struct add_state *s = r->state;
    for (size_t i = 0; i < s->count; i++)
        mr_txns_forget(&s->rows[i].call);
}

/* Which partitions are meant, and whether they exist: all or none is added. */
static bool add_parts(struct mr_request *r, struct add_row *row, bool *all)
{
    size_t count = 0, at = 0;
    for (int32_t i = 0; i < row->topic_count; i++)
        count += mr_kafka_many(row->topics[i].partitions_count);
    row->count = count;
    *all = true;
    if (!(row->parts = mr_request_take(r, count, sizeof *row->parts)) ||
        !(row->why = mr_request_take(r, count, sizeof *row->why)))
        return false;
    for (int32_t i = 0; i < row->topic_count; i++) {
        enum mr_refusal unknown;
        const struct mr_topic *t = mr_request_topic(r, row->topics[i].name, NULL, false, &unknown);
        for (int32_t k = 0; k < row->topics[i].partitions_count; k++, at++) {
            row->parts[at] = (struct mr_txn_at){row->topics[i].name, row->topics[i].partitions[k]};
            if (!exists(t, row->parts[at].partition)) {
                row->why[at] = MR_REFUSE_UNKNOWN_TOPIC;
                *all = false;
            }
        }
    }
    for (at = 0; at < count && !*all; at++)
        if (!row->why[at])
            row->why[at] = MR_REFUSE_NOT_ATTEMPTED;
    return true;
}

static bool add_one(struct mr_request *r, struct add_row *row)
{
    bool all;
    if (!add_parts(r, row, &all))
        return false;
    row->call.done = add_done;
    row->call.arg = r;
    if (row->verify_only) {
        for (size_t i = 0; i < row->count; i++)
            if (!row->why[i] || row->why[i] == MR_REFUSE_NOT_ATTEMPTED)
                row->why[i] = mr_txns_verify(txns_of(r), row->call.id, row->call.producer, row->call.epoch,
                                             row->parts[i].topic, row->parts[i].partition);
        return true;
    }
    if (all && !mr_txns_add(txns_of(r), &row->call, row->parts, row->count))
        r->pending++;
    return true;
}

void mr_kafka_add_partitions_to_txn(struct mr_request *r)
{
    struct mr_add_partitions_to_txn_request in;
    if (!mr_request_keep(r) || !mr_request_read(r, &in))
        return;
    struct add_state *s = mr_request_take(r, 1, sizeof *s);
    bool batched = r->head.version >= 4;
    size_t count = batched ? mr_kafka_many(in.transactions_count) : 1;
    if (!s || !(s->rows = mr_request_take(r, count, sizeof *s->rows)))
        return;
    mr_request_wait(r, s, add_drop, NULL);
    r->pending = 1; /* ours, until all are under way */
    for (size_t i = 0; i < count; i++) {
        struct add_row *row = &s->rows[i];
        if (batched) {
            const struct mr_add_partitions_to_txn_request_transaction *t = &in.transactions[i];
            row->call = (struct mr_txn_call){
                .id = t->transactional_id, .producer = t->producer_id, .epoch = t->producer_epoch};
            row->verify_only = t->verify_only;
            row->topics = t->topics;
            row->topic_count = (int32_t)mr_kafka_many(t->topics_count);
        } else {
            row->call = (struct mr_txn_call){.id = in.v3_and_below_transactional_id,
                                             .producer = in.v3_and_below_producer_id,
                                             .epoch = in.v3_and_below_producer_epoch};
            row->topic_count = (int32_t)mr_kafka_many(in.v3_and_below_topics_count);
            struct mr_add_partitions_to_txn_request_topic *topics =
                mr_request_take(r, (size_t)row->topic_count, sizeof *topics);
            if (!topics)
                return;
            for (int32_t k = 0; k < row->topic_count; k++)
                topics[k] = (struct mr_add_partitions_to_txn_request_topic){
                    .name = in.v3_and_below_topics[k].name,
                    .partitions_count = in.v3_and_below_topics[k].partitions_count,
                    .partitions = in.v3_and_below_topics[k].partitions,
                };
            row->topics = topics;
        }
        s->count = i + 1;
        if (!add_one(r, row))
            return;
    }
    if (--r->pending == 0)
        add_answer(r);
}

/* ------------------------------------------------------------------ AddOffsetsToTxn, EndTxn */

static void add_offsets_done(struct mr_txn_call *c)
{
    struct mr_add_offsets_to_txn_response out;
    mr_add_offsets_to_txn_response_init(&out);
    out.error_code = code_for(c->arg, c->refusal, 2);
    mr_request_answer(c->arg, &out);
}

void mr_kafka_add_offsets_to_txn(struct mr_request *r)
{
    struct mr_add_offsets_to_txn_request in;
    if (!mr_request_read(r, &in))
        return;
    struct mr_txn_at at = {.topic = MR_SLICE(MR_OFFSETS_TOPIC)};
    struct mr_err err = {0};
    struct mr_txn_call *c =
        call_new(r, in.transactional_id, in.producer_id, in.producer_epoch, add_offsets_done);
    if (!c)
        return;
    c->refusal = mr_groups_partition(mr_request_node(r)->groups, in.group_id, &at.partition, &err);
    call_settle(r, c, c->refusal || mr_txns_add(txns_of(r), c, &at, 1));
}

static void end_done(struct mr_txn_call *c)
{
    struct mr_end_txn_response out;
    mr_end_txn_response_init(&out);
    out.error_code = code_for(c->arg, c->refusal, 2);
    out.producer_id = c->refusal ? -1 : c->out_producer;
    out.producer_epoch = c->refusal ? -1 : c->out_epoch;
    mr_request_answer(c->arg, &out);
}

void mr_kafka_end_txn(struct mr_request *r)
{
    struct mr_end_txn_request in;
    if (!mr_request_read(r, &in))
        return;
    struct mr_txn_call *c = call_new(r, in.transactional_id, in.producer_id, in.producer_epoch, end_done);
    if (!c)
        return;
    c->raises = r->head.version >= 5;
    call_settle(r, c, mr_txns_end(txns_of(r), c, in.committed));
}

/* ------------------------------------------------------------------ WriteTxnMarkers */

/* How a person ends a transaction that its coordinator has forgotten. */
struct marker_row {
    struct mr_produce produce; /* first */
    int64_t producer;
    int32_t partition;
    bool commit, offsets; /* offsets: in __consumer_offsets */
    struct mr_write_txn_markers_response_partition *out;
};

struct marker_state {
    struct mr_write_txn_markers_response out;
    struct marker_row *rows;
    size_t count;
};

static void marker_settled(struct mr_request *r, struct marker_row *row)
{
    row->out->error_code = (int16_t)row->produce.refusal;
    if (row->offsets && !row->produce.refusal)
        mr_groups_transaction_ended(mr_request_node(r)->groups, row->partition, row->producer, row->commit);
}

static void marker_done(struct mr_produce *pr)
{
    struct mr_request *r = pr->arg;
    marker_settled(r, (struct marker_row *)(void *)pr);
    mr_assert(r->pending > 0);
    if (--r->pending == 0)
        mr_request_answer(r, &((struct marker_state *)r->state)->out);
}

static void marker_drop(struct mr_request *r)
{
    struct marker_state *s = r->state;
    for (size_t i = 0; i < s->count; i++)
        mr_partition_forget(&s->rows[i].produce);
}

static void marker_write(struct mr_request *r, const struct mr_write_txn_markers_request_marker *m,
                         const struct mr_topic *t, struct marker_row *row)
{
    struct mr_marker marker = {.commit = m->transaction_result, .coordinator_epoch = m->coordinator_epoch};
    struct mr_err err = {0};
    enum mr_refusal why = MR_REFUSE_UNKNOWN_TOPIC;
    row->producer = m->producer_id;
    row->commit = m->transaction_result;
    row->offsets = t && strcmp(t->name, MR_OFFSETS_TOPIC) == 0;
    row->produce.done = marker_done;
    row->produce.arg = r;
    struct mr_partition *p =
        m->producer_id < 0 || m->producer_epoch < 0
            ? NULL
            : mr_broker_partition_ready(mr_request_node(r)->broker, t, row->partition, &why, &err);
    if (p && !mr_partition_mark(p, &marker, m->producer_id, m->producer_epoch, &row->produce)) {
        r->pending++;
        return;
    }
    if (!p)
        row->produce.refusal = m->producer_id < 0 || m->producer_epoch < 0 ? MR_REFUSE_INVALID_REQUEST : why;
    marker_settled(r, row);
}

/* All memory first: once a marker is appended the request must be answered. */
static bool markers_shape(struct mr_request *r, const struct mr_write_txn_markers_request *in,
                          struct marker_state *s)
{
    size_t total = 0;
    s->out.markers_count = (int32_t)mr_kafka_many(in->markers_count);
    if (!(s->out.markers = mr_request_take(r, mr_kafka_many(in->markers_count), sizeof *s->out.markers)))
        return false;
    for (int32_t i = 0; i < s->out.markers_count; i++) {
        const struct mr_write_txn_markers_request_marker *m = &in->markers[i];
        struct mr_write_txn_markers_response_marker *o = &s->out.markers[i];
        o->producer_id = m->producer_id;
        o->topics_count = (int32_t)mr_kafka_many(m->topics_count);
        if (!(o->topics = mr_request_take(r, mr_kafka_many(m->topics_count), sizeof *o->topics)))
            return false;
        for (int32_t k = 0; k < o->topics_count; k++) {
            size_t count = mr_kafka_many(m->topics[k].partition_indexes_count);
            o->topics[k].name = mr_slice_copy(&r->arena.arena, m->topics[k].name);
            o->topics[k].partitions_count = (int32_t)count;
            if (!(o->topics[k].partitions = mr_request_take(r, count, sizeof *o->topics[k].partitions)))
                return false;
            total += count;
        }
    }
    return (s->rows = mr_request_take(r, total, sizeof *s->rows)) != NULL;
}

void mr_kafka_write_txn_markers(struct mr_request *r)
{
    struct mr_write_txn_markers_request in;
    if (!mr_request_read(r, &in))
        return;
    struct marker_state *s = mr_request_take(r, 1, sizeof *s);
    if (!s)
        return;
    mr_write_txn_markers_response_init(&s->out);
    if (!markers_shape(r, &in, s))
        return;
    mr_request_wait(r, s, marker_drop, NULL);
    r->pending = 1;
    for (int32_t i = 0; i < s->out.markers_count; i++) {
        const struct mr_write_txn_markers_request_marker *m = &in.markers[i];
        for (int32_t k = 0; k < m->topics_count; k++) {
            enum mr_refusal unknown;
            const struct mr_topic *t = mr_request_topic(r, m->topics[k].name, NULL, false, &unknown);
            for (int32_t p = 0; p < m->topics[k].partition_indexes_count; p++) {
                struct marker_row *row = &s->rows[s->count++];
                row->out = &s->out.markers[i].topics[k].partitions[p];
                row->partition = row->out->partition_index = m->topics[k].partition_indexes[p];
                marker_write(r, m, t, row);
            }
        }
    }
    if (--r->pending == 0)
        mr_request_answer(r, &s->out);
}

/* ------------------------------------------------------------------ DescribeProducers */

static bool describe_producers(struct mr_request *r, const struct mr_topic *t,
                               struct mr_describe_producers_response_partition *out)
{
    struct mr_err err = {0};
    struct mr_producer_view v;
    enum mr_refusal why;
    size_t count = 0;
    struct mr_partition *p =
        mr_broker_partition_ready(mr_request_node(r)->broker, t, out->partition_index, &why, &err);
    if (!p) {
        out->error_code = (int16_t)why;
        out->error_message = mr_request_text(r, err.text);
        return true;
    }
    for (size_t i = 0; mr_partition_producer_next(p, &i, &v);)
        count++;
    if (!(out->active_producers = mr_request_take(r, count, sizeof *out->active_producers)))
        return false;
    for (size_t i = 0; mr_partition_producer_next(p, &i, &v);)
        out->active_producers[out->active_producers_count++] =
            (struct mr_describe_producers_response_active_producer){
                .producer_id = v.id,
                .producer_epoch = v.epoch,
                .last_sequence = v.last_sequence,
                .last_timestamp = v.heard_ms,
                .coordinator_epoch = v.coordinator_epoch,
                .current_txn_start_offset = v.open,
            };
    return true;
}

void mr_kafka_describe_producers(struct mr_request *r)
{
    struct mr_describe_producers_request in;
    struct mr_describe_producers_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_describe_producers_response_init(&out);
    out.topics_count = (int32_t)mr_kafka_many(in.topics_count);
    if (!(out.topics = mr_request_take(r, mr_kafka_many(in.topics_count), sizeof *out.topics)))
        return;
    for (int32_t i = 0; i < out.topics_count; i++) {
        struct mr_describe_producers_response_topic *o = &out.topics[i];
        enum mr_refusal unknown;
        const struct mr_topic *t = mr_request_topic(r, in.topics[i].name, NULL, false, &unknown);
        o->name = in.topics[i].name;
        o->partitions_count = (int32_t)mr_kafka_many(in.topics[i].partition_indexes_count);
        if (!(o->partitions = mr_request_take(r, mr_kafka_many(o->partitions_count), sizeof *o->partitions)))
            return;
        for (int32_t k = 0; k < o->partitions_count; k++) {
            o->partitions[k].partition_index = in.topics[i].partition_indexes[k];
            if (!describe_producers(r, t, &o->partitions[k]))
                return;
        }
    }
    mr_request_answer(r, &out);
}

/* ------------------------------------------------------------------ DescribeTransactions, ListTransactions
 */

static bool describe_one(struct mr_request *r, struct mr_slice id,
                         struct mr_describe_transactions_response_transaction_state *out)
{
    struct mr_txn_view v;
    struct mr_txn_at at;
    enum mr_refusal why = mr_txns_view(txns_of(r), id, &v);
    out->transactional_id = id;
    out->error_code = (int16_t)why;
    if (why) {
        out->transaction_state = MR_SLICE("");
        return true;
    }
    out->transaction_state = mr_slice_of(mr_txn_state_name(v.state));
    out->transaction_timeout_ms = v.timeout_ms;
    out->transaction_start_time_ms = v.start_ms;
    out->producer_id = v.producer;
    out->producer_epoch = v.epoch;
    int32_t *numbers = mr_request_take(r, v.partitions, sizeof *numbers);
    if (!numbers || !(out->topics = mr_request_take(r, v.partitions, sizeof *out->topics)))
        return false;
    for (size_t i = 0; mr_txns_view_partition(txns_of(r), id, i, &at); i++) {
        struct mr_describe_transactions_response_topic *last =
            out->topics_count ? &out->topics[out->topics_count - 1] : NULL;
        numbers[i] = at.partition;
        if (!last || !mr_slice_eq(last->topic, at.topic)) {
            last = &out->topics[out->topics_count++];
            last->topic = at.topic;
            last->partitions = &numbers[i];
        }
        last->partitions_count++;
    }
    return true;
}

void mr_kafka_describe_transactions(struct mr_request *r)
{
    struct mr_describe_transactions_request in;
    struct mr_describe_transactions_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_describe_transactions_response_init(&out);
    out.transaction_states_count = (int32_t)mr_kafka_many(in.transactional_ids_count);
    if (!(out.transaction_states =
              mr_request_take(r, mr_kafka_many(in.transactional_ids_count), sizeof *out.transaction_states)))
        return;
    for (int32_t i = 0; i < out.transaction_states_count; i++)
        if (!describe_one(r, in.transactional_ids[i], &out.transaction_states[i]))
            return;
    mr_request_answer(r, &out);
}

static bool state_known(struct mr_slice name)
{
    for (enum mr_txn_state s = MR_TXN_EMPTY; s <= MR_TXN_DEAD; s++)
        if (mr_slice_eq(name, mr_slice_of(mr_txn_state_name(s))))
            return true;
    return mr_slice_eq(name, MR_SLICE("PrepareEpochFence")); /* a state that we are never in */
}

static bool list_wants(const struct mr_list_transactions_request *in, const struct mr_txn_view *v)
{
    bool state = in->state_filters_count <= 0, producer = in->producer_id_filters_count <= 0;
    for (int32_t i = 0; i < in->state_filters_count && !state; i++)
        state = mr_slice_eq(in->state_filters[i], mr_slice_of(mr_txn_state_name(v->state)));
    for (int32_t i = 0; i < in->producer_id_filters_count && !producer; i++)
        producer = in->producer_id_filters[i] == v->producer;
    bool age = in->duration_filter < 0 || v->age_ms > in->duration_filter;
    return state && producer && age;
}

/* A whole id must match. *out NULL with NONE: all do. */
static enum mr_refusal list_pattern(struct mr_slice pattern, struct mr_regex **out)
{
    struct mr_buf whole = {0};
    struct mr_err err = {0};
    *out = NULL;
    if (pattern.len == 0)
        return MR_REFUSE_NONE;
    mr_code rc = mr_regex_new(pattern, out, &err); /* alone it must make sense too: ")(" does not */
    mr_regex_free(*out);
    *out = NULL;
    if (rc == MR_OK && mr_buf_printf(&whole, "\\A(?:%.*s)\\z", MR_SLICE_ARG(pattern)))
        rc = mr_regex_new((struct mr_slice){whole.p, whole.len}, out, &err);
    mr_buf_fini(&whole);
    return *out ? MR_REFUSE_NONE : rc == MR_MEMORY ? MR_REFUSE_UNKNOWN : MR_REFUSE_INVALID_REGEX;
}

/* Those that are asked for, into `out` (NULL: only counted). */
static enum mr_refusal list_walk(struct mr_request *r, const struct mr_list_transactions_request *in,
                                 struct mr_regex *pattern, size_t *places,
                                 struct mr_list_transactions_response_transaction_state *out, size_t *count)
{
    struct mr_err err = {0};
    struct mr_txn_view v;
    *count = 0;
    for (size_t i = 0; mr_txns_next(txns_of(r), &i, &v);) {
        if (!list_wants(in, &v))
            continue;
        mr_code rc = pattern ? mr_regex_match(pattern, v.id, 0, places, &err) : MR_OK;
        if (rc && rc != MR_END)
            return MR_REFUSE_INVALID_REGEX; /* it takes too long on this id */
        if (rc == MR_OK && out)
            out[*count] = (struct mr_list_transactions_response_transaction_state){
                .transactional_id = v.id,
                .producer_id = v.producer,
                .transaction_state = mr_slice_of(mr_txn_state_name(v.state)),
            };
        *count += rc == MR_OK;
    }
    return MR_REFUSE_NONE;
}

static bool list(struct mr_request *r, const struct mr_list_transactions_request *in,
                 struct mr_list_transactions_response *out)
{
    struct mr_regex *pattern = NULL;
    size_t count = 0, *places = NULL;
    enum mr_refusal why = mr_txns_loading(txns_of(r)) ? MR_REFUSE_COORDINATOR_LOADING
                                                      : list_pattern(in->transactional_id_pattern, &pattern);
    bool memory = true;
    if (!why && pattern)
        memory =
            (places = mr_request_take(r, 2 * ((size_t)mr_regex_groups(pattern) + 1), sizeof *places)) != NULL;
    if (!why && memory)
        why = list_walk(r, in, pattern, places, NULL, &count);
    if (!why && memory)
        memory =
            (out->transaction_states = mr_request_take(r, count, sizeof *out->transaction_states)) != NULL;
    if (!why && memory)
        why = list_walk(r, in, pattern, places, out->transaction_states, &count);
    out->transaction_states_count = why ? 0 : (int32_t)count;
    out->error_code = (int16_t)why;
    mr_regex_free(pattern);
    return memory;
}

void mr_kafka_list_transactions(struct mr_request *r)
{
    struct mr_list_transactions_request in;
    struct mr_list_transactions_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_list_transactions_response_init(&out);
    if (!(out.unknown_state_filters =
              mr_request_take(r, mr_kafka_many(in.state_filters_count), sizeof *out.unknown_state_filters)))
        return;
    for (int32_t i = 0; i < in.state_filters_count; i++)
        if (!state_known(in.state_filters[i]))
            out.unknown_state_filters[out.unknown_state_filters_count++] = in.state_filters[i];
    if (list(r, &in, &out))
        mr_request_answer(r, &out);
}
