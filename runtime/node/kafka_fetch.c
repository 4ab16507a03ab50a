/* kafka_fetch.c - Fetch: reading, waiting for more to read, and sessions.
 *
 * A fetch looks at its partitions, and when there is too little to answer it is parked at each of them; the
 * first that has more wakes it and it looks again. What it asks for is copied into its own memory, so that
 * its session (fetch_session.h) may go, or be used by the next fetch, while it waits.
 */
#include "node/kafka.h"

#include "base/assert.h"
#include "wire/record.h"

enum { ISOLATION_COMMITTED = 1, BY_ID_FROM = 13, SESSIONS_FROM = 7, ZSTD_FROM = 10 };
enum { LENGTH_AT = 8, LENGTH_TO = 12, ATTRIBUTES_AT = 22 /* low byte */ }; /* in a batch, bytes */

struct fetch_row {
    struct mr_parked parked;
    struct mr_log_view view;
    struct mr_fetch_key key;
    int64_t offset;
    int32_t max_bytes, leader_epoch;
    enum mr_refusal why;
    int64_t high, start, stable;
    int64_t told_high, told_start; /* what the client knows from its session */
    struct mr_fetch_part *part;    /* valid only while the state has the session */
};

struct fetch_state {
    struct mr_fetch_request in;
    struct fetch_row *rows;
    uint32_t row_count;
    bool by_id, committed;
    bool last_round;
    bool changes;                     /* a session goes on: only what has changed is answered */
    struct mr_fetch_session *session; /* NULL: none, or it was taken away */
    int32_t session_id;
};

/* ------------------------------------------------------------------ looking */

static const struct mr_topic *topic_of(const struct mr_request *r, const struct mr_fetch_key *key,
                                       enum mr_refusal *why)
{
    const struct fetch_state *s = r->state;
    return mr_request_topic(r, key->name, &key->id, s->by_id, why);
}

/* Clients below ZSTD_FROM must not get zstd: the view ends before it. */
static enum mr_refusal without_zstd(struct mr_log_view *view)
{
    char head[ATTRIBUTES_AT + 1];
    for (size_t at = 0; at < view->len;) {
        size_t got = 0;
        if (mr_file_read(view->file, head, sizeof head, view->at + (int64_t)at, &got, NULL) ||
            got < sizeof head)
            return MR_REFUSE_STORAGE;
        if ((head[ATTRIBUTES_AT] & MR_BATCH_CODEC) == MR_CODEC_ZSTD) {
            view->len = at;
            return at ? MR_REFUSE_NONE : MR_REFUSE_COMPRESSION;
        }
        at += mr_kafka_be32(head + LENGTH_AT) + LENGTH_TO;
    }
    return MR_REFUSE_NONE;
}

/* One partition, of whose data `room` bytes may be given; `first`: nothing was found before it. */
static void look_at(struct mr_request *r, struct fetch_row *row, size_t room, bool first)
{
    const struct fetch_state *s = r->state;
    struct mr_err err = {0};
    row->view = (struct mr_log_view){0};
    row->high = row->start = row->stable = -1;
    const struct mr_topic *t = topic_of(r, &row->key, &row->why);
    if (t)
        row->why = mr_kafka_check_epoch(row->leader_epoch);
    struct mr_broker *b = mr_request_node(r)->broker;
    struct mr_partition *p =
        t && !row->why ? mr_broker_partition_ready(b, t, row->key.partition, &row->why, &err) : NULL;
    if (!p)
        return;
    size_t want = row->max_bytes > 0 ? (size_t)row->max_bytes : 0;
    if (!first && mr_broker_crowded(b)) /* each view holds a file open */
        room = 0;
    want = want < room ? want : room;
    row->high = mr_partition_high(p);
    row->start = mr_partition_start(p);
    row->stable = mr_partition_stable(p);
    int64_t below = s->committed ? row->stable : row->high;
    if (want == 0 && !first) /* nothing fits: only a wrong offset is worth telling */
        below = row->start;
    row->why = mr_partition_find_below(p, row->offset, below, want, &row->view, &err);
    /* The first batch of all is given whatever its size; later ones only when they fit. */
    if (row->view.len > want && !first)
        row->view = (struct mr_log_view){0};
    if (row->view.len && r->head.version < ZSTD_FROM)
        row->why = without_zstd(&row->view);
    if (row->why)
        row->view = (struct mr_log_view){0};
}

/* Looks at every partition; true when there is enough to answer. */
static bool fetch_look(struct mr_request *r)
{
    struct fetch_state *s = r->state;
    size_t most = (size_t)mr_broker_node_settings(mr_request_node(r)->broker)->fetch_max_bytes, total = 0;
    if (s->in.max_bytes >= 0 && (size_t)s->in.max_bytes < most)
        most = (size_t)s->in.max_bytes;
    bool failed = false;
    for (uint32_t i = 0; i < s->row_count; i++) {
        struct fetch_row *row = &s->rows[i];
        look_at(r, row, total < most ? most - total : 0, total == 0);
        total += row->view.len;
        failed |= row->why != MR_REFUSE_NONE;
    }
    return failed || s->row_count == 0 || s->in.max_wait_ms <= 0 ||
           total >= (s->in.min_bytes > 0 ? (size_t)s->in.min_bytes : 0);
}

/* ------------------------------------------------------------------ waiting */

static void fetch_answer(struct mr_request *r);

static void fetch_unpark(struct mr_request *r)
{
    struct fetch_state *s = r->state;
    for (uint32_t i = 0; i < s->row_count; i++)
        mr_partition_unpark(&s->rows[i].parked);
}

static void fetch_drop(struct mr_request *r)
{
    struct fetch_state *s = r->state;
    fetch_unpark(r);
    if (s->session)
        mr_fetch_session_own(s->session, NULL);
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
        const struct mr_topic *t = topic_of(r, &row->key, &why);
        struct mr_partition *p =
            t ? mr_broker_partition(mr_request_node(r)->broker, t, row->key.partition, &why, NULL) : NULL;
        if (!p)
            continue; /* cannot be: fetch_look has just found it */
        int64_t seen = s->committed ? row->stable : row->high;
        row->parked.offset = row->offset > seen ? row->offset : seen;
        row->parked.stable = s->committed;
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

/* ------------------------------------------------------------------ answering */

static bool same_topic(const struct fetch_state *s, const struct fetch_row *a, const struct fetch_row *b)
{
    return s->by_id ? !memcmp(a->key.id.b, b->key.id.b, sizeof a->key.id.b)
                    : mr_slice_eq(a->key.name, b->key.name);
}

static bool worth_telling(const struct fetch_state *s, const struct fetch_row *row)
{
    return !s->changes || row->why || row->view.len || row->high != row->told_high ||
           row->start != row->told_start;
}

/* Which transactions a reader must skip in what it gets. false: closed. */
static bool fill_aborted(struct mr_request *r, const struct fetch_row *row,
                         struct mr_fetch_response_partition *o)
{
    enum mr_refusal why;
    o->aborted_transactions_count = 0;
    const struct mr_topic *t = topic_of(r, &row->key, &why);
    struct mr_partition *p =
        t ? mr_broker_partition(mr_request_node(r)->broker, t, row->key.partition, &why, NULL) : NULL;
    if (!p || row->view.len == 0 || mr_partition_aborted(p, row->offset, row->stable, NULL, 0) == 0)
        return true;
    int64_t end = row->stable; /* when the view cannot be read: too many do no harm */
    (void)mr_partition_view_end(&row->view, &end, NULL);
    size_t count = mr_partition_aborted(p, row->offset, end, NULL, 0);
    struct mr_txn_aborted *all = mr_request_take(r, count, sizeof *all);
    if (!all || !(o->aborted_transactions = mr_request_take(r, count, sizeof *o->aborted_transactions)))
        return false;
    count = mr_partition_aborted(p, row->offset, end, all, count);
    o->aborted_transactions_count = (int32_t)count;
    for (size_t i = 0; i < count; i++)
        o->aborted_transactions[i] = (struct mr_fetch_response_aborted_transaction){
            .producer_id = all[i].producer, .first_offset = all[i].first};
    return true;
}

static bool fetch_fill(struct mr_request *r, const struct fetch_row *row,
                       struct mr_fetch_response_partition *o)
{
    const struct fetch_state *s = r->state;
    *o = (struct mr_fetch_response_partition){
        .partition_index = row->key.partition,
        .error_code = (int16_t)row->why,
        .high_watermark = row->high,
        .last_stable_offset = row->stable,
        .log_start_offset = row->start,
        .diverging_epoch = {.epoch = -1, .end_offset = -1},
        .current_leader = {.leader_id = -1, .leader_epoch = -1},
        .snapshot_id = {.end_offset = -1, .epoch = -1},
        .aborted_transactions_count = -1,
        .preferred_read_replica = -1,
        .records = {"", 0},
    };
    if (s->committed && !row->why && !fill_aborted(r, row, o))
        return false;
    if (row->view.len) {
        mr_request_hold(r, &row->view);
        o->records = (struct mr_slice){NULL, row->view.len}; /* a hole */
    }
    return true;
}

static void told(struct mr_fetch_part *p, const struct fetch_row *row)
{
    p->sent_high = row->why ? -1 : row->high;
    p->sent_start = row->why ? -1 : row->start;
    if (row->view.len)
        mr_fetch_part_to_end(p);
}

static void part_set(struct mr_fetch_part *p, int64_t offset, int32_t max_bytes, int32_t leader_epoch)
{
    p->offset = offset;
    p->max_bytes = max_bytes;
    p->leader_epoch = leader_epoch;
}

/* A session of all that this fetch asked for; 0: none could be had. */
static int32_t make_session(struct mr_request *r)
{
    const struct fetch_state *s = r->state;
    struct mr_fetch_session *made = mr_fetch_session_new(&r->kafka->sessions, s->by_id, s->row_count);
    for (uint32_t i = 0; made && i < s->row_count; i++) {
        struct mr_fetch_part *p = mr_fetch_session_put(made, &s->rows[i].key);
        if (!p) {
            mr_fetch_session_close(made);
            return 0;
        }
        part_set(p, s->rows[i].offset, s->rows[i].max_bytes, s->rows[i].leader_epoch);
        told(p, &s->rows[i]);
    }
    return made ? made->id : 0;
}

/* The session as the client knows it once it has this answer. */
static void note_session(struct mr_request *r)
{
    struct fetch_state *s = r->state;
    if (s->in.session_epoch == 0 && r->head.version >= SESSIONS_FROM && s->row_count)
        s->session_id = make_session(r);
    if (!s->session)
        return;
    for (uint32_t i = 0; i < s->row_count; i++)
        if (worth_telling(s, &s->rows[i]))
            told(s->rows[i].part, &s->rows[i]);
    mr_fetch_session_own(s->session, NULL);
}

static void fetch_answer(struct mr_request *r)
{
    struct fetch_state *s = r->state;
    struct mr_fetch_response out;
    const struct fetch_row *before = NULL;
    size_t topics = 0, count = 0;
    mr_fetch_response_init(&out);
    fetch_unpark(r);
    for (uint32_t i = 0; i < s->row_count; i++)
        if (worth_telling(s, &s->rows[i])) {
            topics += !before || !same_topic(s, before, &s->rows[i]);
            before = &s->rows[i];
            count++;
        }
    struct mr_fetch_response_partition *parts = mr_request_take(r, count, sizeof *parts);
    if (!parts || !(out.responses = mr_request_take(r, topics, sizeof *out.responses)) ||
        !(r->files = mr_request_take(r, count, sizeof *r->files)) ||
        !(r->holes.v = mr_request_take(r, count, sizeof *r->holes.v)))
        return;
    r->holes.max = (uint32_t)count;
    before = NULL;
    for (uint32_t i = 0; i < s->row_count; i++) {
        const struct fetch_row *row = &s->rows[i];
        if (!worth_telling(s, row))
            continue;
        mr_assert(row);
        if (!before || !same_topic(s, before, row))
            out.responses[out.responses_count++] = (struct mr_fetch_response_topic){
                .topic = row->key.name, .topic_id = row->key.id, .partitions = parts};
        mr_assert(out.responses_count > 0);
        out.responses[out.responses_count - 1].partitions_count++;
        if (!fetch_fill(r, row, parts++))
            return;
        before = row;
    }
    note_session(r);
    out.session_id = s->session_id;
    mr_request_answer(r, &out);
}

static void fetch_refuse(struct mr_request *r, enum mr_refusal why)
{
    struct mr_fetch_response out;
    mr_fetch_response_init(&out);
    out.error_code = (int16_t)why;
    mr_request_answer(r, &out);
}

/* ------------------------------------------------------------------ asking */

/* Partitions of the request itself. false: closed. */
static bool rows_of_request(struct mr_request *r)
{
    struct fetch_state *s = r->state;
    size_t count = 0;
    for (int32_t i = 0; i < s->in.topics_count; i++)
        count += s->in.topics[i].partitions_count > 0 ? (size_t)s->in.topics[i].partitions_count : 0;
    if (!(s->rows = mr_request_take(r, count, sizeof *s->rows)))
        return false;
    for (int32_t i = 0; i < s->in.topics_count; i++) {
        const struct mr_fetch_request_topic *t = &s->in.topics[i];
        for (int32_t k = 0; k < t->partitions_count; k++)
            s->rows[s->row_count++] = (struct fetch_row){
                .key = {.name = t->topic, .id = t->topic_id, .partition = t->partitions[k].partition},
                .offset = t->partitions[k].fetch_offset,
                .max_bytes = t->partitions[k].partition_max_bytes,
                .leader_epoch = t->partitions[k].current_leader_epoch,
            };
    }
    return true;
}

static bool rows_of_session(struct mr_request *r)
{
    struct fetch_state *s = r->state;
    struct mr_slice name = {0};
    if (!(s->rows = mr_request_take(r, s->session->count, sizeof *s->rows)))
        return false;
    for (struct mr_fetch_part *p = s->session->first; p; p = p->next) {
        if (!s->by_id && !(name.p && mr_slice_eq(name, p->key.name))) { /* a copy serves all that follow */
            char *copy = mr_request_take(r, p->key.name.len, 1);
            if (!copy)
                return false;
            memcpy(copy, p->key.name.p, p->key.name.len);
            name = (struct mr_slice){copy, p->key.name.len};
        }
        s->rows[s->row_count++] = (struct fetch_row){
            .key = {.name = name, .id = p->key.id, .partition = p->key.partition},
            .offset = p->offset,
            .max_bytes = p->max_bytes,
            .leader_epoch = p->leader_epoch,
            .told_high = p->sent_high,
            .told_start = p->sent_start,
            .part = p,
        };
    }
    return true;
}

/* Brings the session to what the request says. false: there is no room for what is new in it. */
static bool session_change(struct mr_fetch_session *fs, const struct mr_fetch_request *in)
{
    for (int32_t i = 0; i < in->topics_count; i++)
        for (int32_t k = 0; k < in->topics[i].partitions_count; k++) {
            const struct mr_fetch_request_partition *want = &in->topics[i].partitions[k];
            struct mr_fetch_part *p = mr_fetch_session_put(
                fs, &(struct mr_fetch_key){in->topics[i].topic, in->topics[i].topic_id, want->partition});
            if (!p)
                return false;
            part_set(p, want->fetch_offset, want->partition_max_bytes, want->current_leader_epoch);
        }
    for (int32_t i = 0; i < in->forgotten_topics_data_count; i++) {
        const struct mr_fetch_request_forgotten_topic *t = &in->forgotten_topics_data[i];
        for (int32_t k = 0; k < t->partitions_count; k++)
            mr_fetch_session_drop(fs, &(struct mr_fetch_key){t->topic, t->topic_id, t->partitions[k]});
    }
    return true;
}

/* A fetch within a session. false: answered or closed. */
static bool session_goes_on(struct mr_request *r)
{
    struct fetch_state *s = r->state;
    struct mr_fetch_session *fs = mr_fetch_session_find(&r->kafka->sessions, s->in.session_id);
    enum mr_refusal why = !fs                                ? MR_REFUSE_SESSION_NOT_FOUND
                          : fs->epoch != s->in.session_epoch ? MR_REFUSE_SESSION_EPOCH
                          : fs->by_id != s->by_id            ? MR_REFUSE_SESSION_TOPIC_ID
                                                             : MR_REFUSE_NONE;
    if (why) {
        fetch_refuse(r, why);
        return false;
    }
    mr_fetch_session_use(fs);
    if (!session_change(fs, &s->in)) {
        mr_fetch_session_close(fs);
        fetch_refuse(r, MR_REFUSE_SESSION_NOT_FOUND); /* the client starts over, and may do without */
        return false;
    }
    if (fs->count == 0) { /* nothing is left to remember */
        mr_fetch_session_close(fs);
        return true;
    }
    s->changes = true;
    s->session_id = fs->id;
    mr_fetch_session_own(fs, &s->session);
    return rows_of_session(r);
}

void mr_kafka_fetch(struct mr_request *r)
{
    struct fetch_state *s;
    if (!mr_request_keep(r) || !(s = mr_request_take(r, 1, sizeof *s)) || !mr_request_read(r, &s->in))
        return;
    s->by_id = r->head.version >= BY_ID_FROM;
    s->committed = s->in.isolation_level == ISOLATION_COMMITTED;
    r->state = s;
    r->drop = fetch_drop;
    if (s->in.session_epoch == 0 || s->in.session_epoch == -1) {
        mr_fetch_session_close(mr_fetch_session_find(&r->kafka->sessions, s->in.session_id));
        if (!rows_of_request(r))
            return;
    } else if (!session_goes_on(r)) {
        return;
    }
    if (fetch_look(r) || mr_request_node(r)->closing) {
        fetch_answer(r);
        return;
    }
    r->give_up = fetch_give_up;
    r->hurry = true;
    mr_timer_set(mr_request_node(r)->world, &r->timer, mr_request_until(r, s->in.max_wait_ms));
    fetch_park(r);
}
