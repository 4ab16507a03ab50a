/* kafka_commits.c - committed offsets on the wire: OffsetCommit, TxnOffsetCommit, OffsetFetch, OffsetDelete.
 *
 * What they mean is in broker/group.h. Those that change the offsets topic wait for the disk; a connection
 * that goes meanwhile is forgotten there, and what it asked for is done all the same.
 */
#include "node/kafka.h"

#include "base/assert.h"

enum { NO_OFFSET = -1, NO_EPOCH = -1 };

static struct mr_groups *groups_of(const struct mr_request *r)
{
    return mr_request_node(r)->groups;
}

/* ------------------------------------------------------------------ OffsetCommit, TxnOffsetCommit */

/* The two differ in who may commit and in the structs of the wire, not in what a commit is. */
struct commit_topic {
    struct mr_slice name;
    struct mr_uuid id;
    size_t first, count; /* of its rows */
    int32_t partitions;  /* that it has; 0: there is no such topic */
};
struct commit_state {
    struct mr_commit commit; /* first */
    struct commit_topic *topics;
    size_t topic_count;
    struct mr_txn_call add; /* of its partition to the transaction */
};

static struct commit_state *commit_new(struct mr_request *r, size_t topics)
{
    struct commit_state *s = mr_request_take(r, 1, sizeof *s);
    if (!s || !(s->topics = mr_request_take(r, topics, sizeof *s->topics)))
        return NULL;
    return s;
}

/* The next topic of the request, with so many rows. false: it is closed. */
static bool commit_topic(struct mr_request *r, struct commit_state *s, struct mr_slice name,
                         const struct mr_uuid *id, bool by_id, size_t rows)
{
    enum mr_refusal unknown;
    const struct mr_topic *t = mr_request_topic(r, name, id, by_id, &unknown);
    size_t first = s->commit.row_count;
    s->topics[s->topic_count++] = (struct commit_topic){
        .name = name, .id = *id, .first = first, .count = rows, .partitions = t ? t->partitions : 0};
    /* The topic may go while the commit is on its way. */
    if (t && by_id && !(name = mr_request_text(r, t->name)).p)
        return false;
    for (size_t i = 0; i < rows; i++)
        s->commit.rows[first + i] =
            (struct mr_commit_row){.topic = name, .refusal = t ? MR_REFUSE_NONE : unknown};
    s->commit.row_count += rows;
    return true;
}

static void commit_row(struct commit_state *s, size_t at, int32_t partition, int64_t offset, int32_t epoch,
                       struct mr_slice metadata)
{
    const struct commit_topic *t = &s->topics[s->topic_count - 1];
    struct mr_commit_row *row = &s->commit.rows[t->first + at];
    row->partition = partition;
    row->offset = offset;
    row->leader_epoch = epoch;
    row->metadata = metadata;
    if (!row->refusal && (partition < 0 || partition >= t->partitions))
        row->refusal = MR_REFUSE_UNKNOWN_TOPIC;
}

static void commit_drop(struct mr_request *r)
{
    mr_groups_forget_commit(r->state);
}

static void commit_send(struct mr_request *r, struct commit_state *s)
{
    if (mr_groups_commit(groups_of(r), &s->commit))
        s->commit.done(&s->commit);
    else
        mr_request_wait(r, s, commit_drop, NULL);
}

static void add_drop(struct mr_request *r)
{
    mr_txns_forget(&((struct commit_state *)r->state)->add);
}

/* Its rows are sent when their partition belongs to the transaction. */
static void add_done(struct mr_txn_call *c)
{
    struct mr_request *r = c->arg;
    struct commit_state *s = r->state;
    for (size_t i = 0; c->refusal && i < s->commit.row_count; i++)
        s->commit.rows[i].refusal = c->refusal;
    r->drop = NULL;
    commit_send(r, s);
}

static void commit_add(struct mr_request *r, struct commit_state *s, struct mr_slice id, int32_t partition)
{
    struct mr_txn_at at = {MR_SLICE(MR_OFFSETS_TOPIC), partition};
    s->add = (struct mr_txn_call){.id = id,
                                  .producer = s->commit.producer,
                                  .epoch = s->commit.producer_epoch,
                                  .done = add_done,
                                  .arg = r};
    mr_request_wait(r, s, add_drop, NULL);
    if (mr_txns_add(mr_request_node(r)->txns, &s->add, &at, 1))
        add_done(&s->add);
}

static void offset_commit_done(struct mr_commit *c)
{
    const struct commit_state *s = (const struct commit_state *)(const void *)c;
    struct mr_request *r = c->arg;
    struct mr_offset_commit_response out;
    mr_offset_commit_response_init(&out);
    if (!(out.topics = mr_request_take(r, s->topic_count, sizeof *out.topics)))
        return;
    out.topics_count = (int32_t)s->topic_count;
    for (size_t i = 0; i < s->topic_count; i++) {
        const struct commit_topic *t = &s->topics[i];
        struct mr_offset_commit_response_topic *o = &out.topics[i];
        o->name = t->name;
        o->topic_id = t->id;
        o->partitions_count = (int32_t)t->count;
        if (!(o->partitions = mr_request_take(r, t->count, sizeof *o->partitions)))
            return;
        for (size_t k = 0; k < t->count; k++) {
            o->partitions[k].partition_index = c->rows[t->first + k].partition;
            o->partitions[k].error_code = (int16_t)c->rows[t->first + k].refusal;
        }
    }
    mr_request_answer(r, &out);
}

void mr_kafka_offset_commit(struct mr_request *r)
{
    struct mr_offset_commit_request in;
    size_t total = 0;
    if (!mr_request_keep(r) || !mr_request_read(r, &in))
        return;
    for (int32_t i = 0; i < in.topics_count; i++)
        total += mr_kafka_many(in.topics[i].partitions_count);
    struct commit_state *s = commit_new(r, mr_kafka_many(in.topics_count));
    if (!s)
        return;
    s->commit = (struct mr_commit){
        .group = in.group_id,
        .member = in.member_id,
        .instance = in.group_instance_id,
        .generation = in.generation_id_or_member_epoch,
        .retention_ms = in.retention_time_ms,
        .names_missing = r->head.version >= 9,
        .rows = mr_request_take(r, total, sizeof *s->commit.rows),
        .done = offset_commit_done,
        .arg = r,
    };
    if (!s->commit.rows)
        return;
    for (int32_t i = 0; i < in.topics_count; i++) {
        const struct mr_offset_commit_request_topic *t = &in.topics[i];
        size_t rows = mr_kafka_many(t->partitions_count);
        if (!commit_topic(r, s, t->name, &t->topic_id, r->head.version >= 10, rows))
            return;
        for (size_t k = 0; k < rows; k++)
            commit_row(s, k, t->partitions[k].partition_index, t->partitions[k].committed_offset,
                       t->partitions[k].committed_leader_epoch, t->partitions[k].committed_metadata);
    }
    commit_send(r, s);
}

static void txn_offset_commit_done(struct mr_commit *c)
{
    const struct commit_state *s = (const struct commit_state *)(const void *)c;
    struct mr_request *r = c->arg;
    struct mr_txn_offset_commit_response out;
    mr_txn_offset_commit_response_init(&out);
    if (!(out.topics = mr_request_take(r, s->topic_count, sizeof *out.topics)))
        return;
    out.topics_count = (int32_t)s->topic_count;
    for (size_t i = 0; i < s->topic_count; i++) {
        const struct commit_topic *t = &s->topics[i];
        struct mr_txn_offset_commit_response_topic *o = &out.topics[i];
        o->name = t->name;
        o->topic_id = t->id;
        o->partitions_count = (int32_t)t->count;
        if (!(o->partitions = mr_request_take(r, t->count, sizeof *o->partitions)))
            return;
        for (size_t k = 0; k < t->count; k++) {
            o->partitions[k].partition_index = c->rows[t->first + k].partition;
            o->partitions[k].error_code = (int16_t)c->rows[t->first + k].refusal;
        }
    }
    mr_request_answer(r, &out);
}

/* Until version 4 AddOffsetsToTxn must have been there. */
static enum mr_refusal txn_verify(struct mr_request *r, const struct mr_txn_offset_commit_request *in,
                                  int32_t *partition)
{
    struct mr_err err = {0};
    enum mr_refusal why = mr_groups_partition(groups_of(r), in->group_id, partition, &err);
    if (!why && r->head.version < 5)
        why = mr_txns_verify(mr_request_node(r)->txns, in->transactional_id, in->producer_id,
                             in->producer_epoch, MR_SLICE(MR_OFFSETS_TOPIC), *partition);
    if (why == MR_REFUSE_CONCURRENT_TXNS || why == MR_REFUSE_TXN_STATE)
        return r->head.version >= 4 ? MR_REFUSE_TXN_ABORTABLE : MR_REFUSE_TXN_STATE;
    return why;
}

void mr_kafka_txn_offset_commit(struct mr_request *r)
{
    struct mr_txn_offset_commit_request in;
    size_t total = 0;
    if (!mr_request_keep(r) || !mr_request_read(r, &in))
        return;
    for (int32_t i = 0; i < in.topics_count; i++)
        total += mr_kafka_many(in.topics[i].partitions_count);
    struct commit_state *s = commit_new(r, mr_kafka_many(in.topics_count));
    if (!s)
        return;
    s->commit = (struct mr_commit){
        .group = in.group_id,
        .member = in.member_id,
        .instance = in.group_instance_id,
        .generation = in.generation_id_or_member_epoch,
        .retention_ms = -1,
        .transactional = true,
        .producer = in.producer_id,
        .producer_epoch = in.producer_epoch,
        .rows = mr_request_take(r, total, sizeof *s->commit.rows),
        .done = txn_offset_commit_done,
        .arg = r,
    };
    if (!s->commit.rows)
        return;
    int32_t partition = -1;
    enum mr_refusal why = txn_verify(r, &in, &partition);
    for (int32_t i = 0; i < in.topics_count; i++) {
        const struct mr_txn_offset_commit_request_topic *t = &in.topics[i];
        size_t rows = mr_kafka_many(t->partitions_count);
        if (!commit_topic(r, s, t->name, &t->topic_id, r->head.version >= 6, rows))
            return;
        for (size_t k = 0; k < rows; k++)
            commit_row(s, k, t->partitions[k].partition_index, t->partitions[k].committed_offset,
                       t->partitions[k].committed_leader_epoch, t->partitions[k].committed_metadata);
    }
    for (size_t i = 0; why && i < s->commit.row_count; i++)
        s->commit.rows[i].refusal = why;
    if (!why && r->head.version >= 5)
        commit_add(r, s, in.transactional_id, partition);
    else
        commit_send(r, s);
}

/* ------------------------------------------------------------------ OffsetFetch */

/* One partition. No offset is no error: -1. */
static void fetch_one(struct mr_request *r, struct mr_slice group, struct mr_slice topic, int32_t partition,
                      bool stable, enum mr_refusal why,
                      struct mr_offset_fetch_response_group_topic_partition *out)
{
    if (!why && stable && mr_groups_unstable(groups_of(r), group, topic, partition))
        why = MR_REFUSE_UNSTABLE_OFFSET;
    struct mr_committed c = {.offset = NO_OFFSET, .leader_epoch = NO_EPOCH, .metadata = MR_SLICE("")};
    if (!why)
        (void)mr_groups_committed(groups_of(r), group, topic, partition, &c);
    *out = (struct mr_offset_fetch_response_group_topic_partition){
        .partition_index = partition,
        .committed_offset = c.offset,
        .committed_leader_epoch = c.leader_epoch,
        .metadata = c.metadata,
        .error_code = (int16_t)why,
    };
}

static bool fetch_named(struct mr_request *r, const struct mr_offset_fetch_request_group *in, bool stable,
                        enum mr_refusal why, struct mr_offset_fetch_response_group *out)
{
    if (!(out->topics = mr_request_take(r, mr_kafka_many(in->topics_count), sizeof *out->topics)))
        return false;
    out->topics_count = (int32_t)mr_kafka_many(in->topics_count);
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct mr_offset_fetch_request_group_topic *t = &in->topics[i];
        struct mr_offset_fetch_response_group_topic *o = &out->topics[i];
        size_t count = mr_kafka_many(t->partition_indexes_count);
        struct mr_slice name = t->name;
        enum mr_refusal unknown = MR_REFUSE_NONE;
        if (r->head.version >= 10) {
            const struct mr_topic *topic = mr_request_topic(r, name, &t->topic_id, true, &unknown);
            name = topic ? mr_slice_of(topic->name) : MR_SLICE("");
        }
        *o = (struct mr_offset_fetch_response_group_topic){
            .name = t->name,
            .topic_id = t->topic_id,
            .partitions_count = (int32_t)count,
            .partitions = mr_request_take(r, count, sizeof *o->partitions),
        };
        if (!o->partitions)
            return false;
        for (size_t k = 0; k < count; k++)
            fetch_one(r, in->group_id, name, t->partition_indexes[k], stable, why ? why : unknown,
                      &o->partitions[k]);
    }
    return true;
}

static bool fetch_all(struct mr_request *r, const struct mr_offset_fetch_request_group *in, bool stable,
                      struct mr_offset_fetch_response_group *out)
{
    size_t count = mr_groups_committed_count(groups_of(r), in->group_id);
    struct mr_offset_fetch_response_group_topic_partition *p = mr_request_take(r, count, sizeof *p);
    if (!p || !(out->topics = mr_request_take(r, count, sizeof *out->topics)))
        return false;
    struct mr_committed_walk walk = {0};
    struct mr_committed c;
    for (struct mr_slice last = {0}; mr_groups_committed_next(groups_of(r), in->group_id, &walk, &c); p++) {
        enum mr_refusal unknown;
        const struct mr_topic *topic = mr_request_topic(r, c.topic, NULL, false, &unknown);
        if (r->head.version >= 10 && !topic)
            continue; /* it has no id any more */
        if (c.topic.p != last.p) {
            struct mr_offset_fetch_response_group_topic *o = &out->topics[out->topics_count++];
            *o = (struct mr_offset_fetch_response_group_topic){.name = c.topic, .partitions = p};
            if (topic)
                memcpy(o->topic_id.b, topic->id, sizeof o->topic_id.b);
            last = c.topic;
        }
        out->topics[out->topics_count - 1].partitions_count++;
        fetch_one(r, in->group_id, c.topic, c.partition, stable, MR_REFUSE_NONE, p);
    }
    return true;
}

static bool fetch_group(struct mr_request *r, const struct mr_offset_fetch_request_group *in, bool stable,
                        struct mr_offset_fetch_response_group *out)
{
    enum mr_refusal why = mr_groups_fetch_check(groups_of(r), in->group_id);
    bool each = r->head.version == 1; /* it has no error of the group */
    out->group_id = in->group_id;
    out->error_code = each ? 0 : (int16_t)why;
    if (in->topics_count >= 0)
        return (why && !each) || fetch_named(r, in, stable, why, out);
    return why || fetch_all(r, in, stable, out);
}

/* Up to version 7 a request is about one group; the shapes differ in their names alone. */
static bool fetch_single(struct mr_request *r, const struct mr_offset_fetch_request *in,
                         struct mr_offset_fetch_response *out)
{
    struct mr_offset_fetch_request_group want = {.group_id = in->group_id, .topics_count = in->topics_count};
    struct mr_offset_fetch_response_group got = {0};
    if (!(want.topics = mr_request_take(r, mr_kafka_many(in->topics_count), sizeof *want.topics)))
        return false;
    for (int32_t i = 0; i < in->topics_count; i++)
        want.topics[i] = (struct mr_offset_fetch_request_group_topic){
            .name = in->topics[i].name,
            .partition_indexes_count = in->topics[i].partition_indexes_count,
            .partition_indexes = in->topics[i].partition_indexes,
        };
    if (!fetch_group(r, &want, in->require_stable, &got) ||
        !(out->topics = mr_request_take(r, (size_t)got.topics_count, sizeof *out->topics)))
        return false;
    out->error_code = got.error_code;
    out->topics_count = got.topics_count;
    for (int32_t i = 0; i < got.topics_count; i++) {
        const struct mr_offset_fetch_response_group_topic *t = &got.topics[i];
        struct mr_offset_fetch_response_topic *o = &out->topics[i];
        o->name = t->name;
        o->partitions_count = t->partitions_count;
        if (!(o->partitions = mr_request_take(r, (size_t)t->partitions_count, sizeof *o->partitions)))
            return false;
        for (int32_t k = 0; k < t->partitions_count; k++)
            o->partitions[k] = (struct mr_offset_fetch_response_partition){
                .partition_index = t->partitions[k].partition_index,
                .committed_offset = t->partitions[k].committed_offset,
                .committed_leader_epoch = t->partitions[k].committed_leader_epoch,
                .metadata = t->partitions[k].metadata,
                .error_code = t->partitions[k].error_code,
            };
    }
    return true;
}

void mr_kafka_offset_fetch(struct mr_request *r)
{
    struct mr_offset_fetch_request in;
    struct mr_offset_fetch_response out;
    if (!mr_request_read(r, &in))
        return;
    mr_offset_fetch_response_init(&out);
    if (r->head.version < 8) {
        if (!fetch_single(r, &in, &out))
            return;
    } else {
        size_t count = mr_kafka_many(in.groups_count);
        if (!(out.groups = mr_request_take(r, count, sizeof *out.groups)))
            return;
        out.groups_count = (int32_t)count;
        for (size_t i = 0; i < count; i++)
            if (!fetch_group(r, &in.groups[i], in.require_stable, &out.groups[i]))
                return;
    }
    mr_request_answer(r, &out);
}

/* ------------------------------------------------------------------ OffsetDelete */

struct forget_state {
    struct mr_group_delete work; /* first */
    struct mr_offset_delete_response out;
};

static void forget_done(struct mr_group_delete *d)
{
    struct forget_state *s = (struct forget_state *)(void *)d;
    size_t row = 0;
    s->out.error_code = (int16_t)d->refusal;
    if (d->refusal)
        s->out.topics_count = 0;
    for (int32_t i = 0; i < s->out.topics_count; i++)
        for (int32_t k = 0; k < s->out.topics[i].partitions_count; k++)
            s->out.topics[i].partitions[k].error_code = (int16_t)d->rows[row++].refusal;
    mr_request_answer(d->arg, &s->out);
}

static void delete_drop(struct mr_request *r)
{
    mr_groups_forget_delete(r->state);
}

static bool forget_rows(struct mr_request *r, const struct mr_offset_delete_request *in,
                        struct forget_state *s)
{
    size_t total = 0, row = 0;
    for (int32_t i = 0; i < in->topics_count; i++)
        total += mr_kafka_many(in->topics[i].partitions_count);
    s->work.row_count = total;
    s->out.topics_count = (int32_t)mr_kafka_many(in->topics_count);
    if (!(s->work.rows = mr_request_take(r, total, sizeof *s->work.rows)) ||
        !(s->out.topics = mr_request_take(r, mr_kafka_many(in->topics_count), sizeof *s->out.topics)))
        return false;
    for (int32_t i = 0; i < in->topics_count; i++) {
        const struct mr_offset_delete_request_topic *t = &in->topics[i];
        struct mr_offset_delete_response_topic *o = &s->out.topics[i];
        enum mr_refusal unknown;
        const struct mr_topic *topic = mr_request_topic(r, t->name, NULL, false, &unknown);
        size_t count = mr_kafka_many(t->partitions_count);
        *o = (struct mr_offset_delete_response_topic){
            .name = t->name,
            .partitions_count = (int32_t)count,
            .partitions = mr_request_take(r, count, sizeof *o->partitions),
        };
        if (!o->partitions)
            return false;
        for (size_t k = 0; k < count; k++) {
            int32_t p = t->partitions[k].partition_index;
            o->partitions[k].partition_index = p;
            s->work.rows[row++] = (struct mr_commit_row){
                .topic = t->name,
                .partition = p,
                .refusal =
                    topic && p >= 0 && p < topic->partitions ? MR_REFUSE_NONE : MR_REFUSE_UNKNOWN_TOPIC,
            };
        }
    }
    return true;
}

void mr_kafka_offset_delete(struct mr_request *r)
{
    struct mr_offset_delete_request in;
    if (!mr_request_keep(r) || !mr_request_read(r, &in))
        return;
    struct forget_state *s = mr_request_take(r, 1, sizeof *s);
    if (!s)
        return;
    mr_offset_delete_response_init(&s->out);
    s->work = (struct mr_group_delete){.group = in.group_id, .done = forget_done, .arg = r};
    if (!forget_rows(r, &in, s))
        return;
    if (mr_groups_delete(groups_of(r), &s->work))
        forget_done(&s->work);
    else
        mr_request_wait(r, s, delete_drop, NULL);
}
