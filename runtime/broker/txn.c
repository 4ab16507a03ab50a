/* txn.c - see txn.h for the words and the laws: the table, calls, time. */
#include "base/assert.h"
#include "base/mem.h"
#include "broker/txn_inside.h"

#include <stdarg.h>

enum { NOTHING = -1, LOOKED_A_TURN = 20000, EXPIRED_A_TURN = 1000, EXPIRY_TURN_MS = 20 };

/* ------------------------------------------------------------------ small things */

void mr_txns_config_init(struct mr_txns_config *c)
{
    *c = (struct mr_txns_config){
        .partitions = 4,
        .ids_max = 10000000,
        .bytes_max = MR_TXNS_BYTES_MAX,
        .parts_max = MR_TXNS_PARTS_MAX,
    };
}

void mr_txns_tell(const struct mr_txns *t, enum mr_level level, const char *format, ...)
{
    char text[MR_ERR_TEXT];
    va_list args;
    if (!t->config.tell)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    t->config.tell(t->config.tell_arg, level, text);
}

const char *mr_txn_state_name(enum mr_txn_state s)
{
    static const char *const names[] = {"Empty",          "Ongoing",       "PrepareCommit", "PrepareAbort",
                                        "CompleteCommit", "CompleteAbort", "Dead"};
    return names[s];
}

/* Java's hash of a string, over bytes: the same for ASCII. */
int32_t mr_txns_partition_of(struct mr_slice id, int32_t partitions)
{
    uint32_t h = 0;
    for (size_t i = 0; i < id.len; i++)
        h = 31 * h + (uint8_t)id.p[i];
    if (h == 0x80000000u)
        return 0;
    return (int32_t)((h & 0x80000000u ? 0u - h : h) % (uint32_t)partitions);
}

/* ------------------------------------------------------------------ sets of partitions */

static int compare(const struct mr_txn_part *a, struct mr_slice topic, int32_t partition)
{
    size_t len = strlen(a->topic), least = len < topic.len ? len : topic.len;
    int c = least ? memcmp(a->topic, topic.p, least) : 0;
    if (c == 0 && len != topic.len)
        c = len < topic.len ? -1 : 1;
    return c ? c : a->partition < partition ? -1 : a->partition > partition;
}

uint32_t mr_txn_set_find(const struct mr_txn_set *s, struct mr_slice topic, int32_t partition, bool *found)
{
    uint32_t low = 0, high = s->count;
    *found = false;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int c = compare(&s->v[mid], topic, partition);
        if (c == 0) {
            *found = true;
            return mid;
        }
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

bool mr_txn_set_add(struct mr_txn_set *s, struct mr_slice topic, int32_t partition)
{
    bool found;
    uint32_t at = mr_txn_set_find(s, topic, partition, &found);
    if (found)
        return true;
    if (s->count == s->room) {
        uint32_t room = s->room ? s->room * 2 : 4;
        struct mr_txn_part *v = mr_realloc(s->v, room * sizeof *v);
        if (!v)
            return false;
        s->v = v;
        s->room = room;
    }
    char *name = mr_strndup(topic.p, topic.len);
    if (!name)
        return false;
    memmove(s->v + at + 1, s->v + at, (s->count - at) * sizeof *s->v);
    s->v[at] = (struct mr_txn_part){.topic = name, .partition = partition};
    s->count++;
    return true;
}

bool mr_txn_set_copy(struct mr_txn_set *to, const struct mr_txn_set *from)
{
    *to = (struct mr_txn_set){0};
    if (from->count == 0)
        return true;
    if (!(to->v = mr_alloc(from->count * sizeof *to->v)))
        return false;
    to->room = from->count;
    for (uint32_t i = 0; i < from->count; i++) {
        char *name = mr_strndup(from->v[i].topic, strlen(from->v[i].topic));
        if (!name) {
            mr_txn_set_fini(to);
            return false;
        }
        to->v[to->count++] = (struct mr_txn_part){.topic = name, .partition = from->v[i].partition};
    }
    return true;
}

void mr_txn_set_fini(struct mr_txn_set *s)
{
    for (uint32_t i = 0; i < s->count; i++) {
        mr_assert(!s->v[i].mark);
        mr_free(s->v[i].topic);
    }
    mr_free(s->v);
    *s = (struct mr_txn_set){0};
}

/* ------------------------------------------------------------------ the table */

struct mr_txn *mr_txn_at(struct mr_txns *t, struct mr_slice id, bool make)
{
    struct mr_txn *x = mr_map_get(&t->ids, id);
    if (x || !make)
        return x;
    if (!(x = mr_alloc(sizeof *x + id.len)))
        return NULL;
    *x = (struct mr_txn){.txns = t,
                         .producer = NOTHING,
                         .previous = NOTHING,
                         .epoch = NOTHING,
                         .last_epoch = NOTHING,
                         .id_len = (uint32_t)id.len};
    memcpy(x->id, id.p, id.len);
    if (!mr_map_put(&t->ids, id, x, NULL)) {
        mr_free(x);
        return NULL;
    }
    t->bytes += sizeof *x + id.len;
    return x;
}

bool mr_txn_wake(struct mr_txn *x)
{
    struct mr_txns *t = x->txns;
    if (x->live)
        return true;
    struct mr_txn_live *l = mr_alloc(sizeof *l);
    if (!l)
        return false;
    l->txn = x;
    l->start_ms = NOTHING;
    l->next = t->live;
    l->link = &t->live;
    if (l->next)
        l->next->link = &l->next;
    t->live = l;
    x->live = l;
    return true;
}

static void live_free(struct mr_txn *x)
{
    struct mr_txn_live *l = x->live;
    if (!l)
        return;
    if (x->txns->walk == l)
        x->txns->walk = l->next;
    *l->link = l->next;
    if (l->next)
        l->next->link = l->link;
    mr_txn_marks_forget(l);
    if (l->ender)
        l->ender->held = NULL;
    if (l->ticket) {
        if (l->ticket->call)
            l->ticket->call->ticket = NULL;
        mr_txn_ticket_free(l->ticket);
    }
    x->txns->parts -= l->set.count;
    mr_txn_set_fini(&l->set);
    mr_free(l);
    x->live = NULL;
}

void mr_txn_rest(struct mr_txn *x)
{
    if (x->live && !x->live->ticket && x->state != MR_TXN_ONGOING && !mr_txn_is_completing(x))
        live_free(x);
}

void mr_txn_free(struct mr_txn *x)
{
    live_free(x);
    x->txns->bytes -= sizeof *x + x->id_len;
    (void)mr_map_remove(&x->txns->ids, mr_txn_id(x));
    mr_free(x);
}

void mr_txn_check(const struct mr_txn *x)
{
    const struct mr_txn_live *l = x->live;
    bool under_way = x->state == MR_TXN_ONGOING || mr_txn_is_completing(x);
    mr_assert(x->producer >= 0 ? x->epoch >= 0 : x->epoch == NOTHING); /* C2 */
    mr_assert(!under_way || l);
    if (!l)
        return;
    mr_assert(under_way || l->set.count == 0); /* C4 */
    for (uint32_t i = 1; i < l->set.count; i++)
        mr_assert(compare(&l->set.v[i - 1], mr_slice_of(l->set.v[i].topic), l->set.v[i].partition) < 0);
    if (mr_txn_is_completing(x)) {
        uint32_t unmarked = 0;
        for (uint32_t i = 0; i < l->set.count; i++)
            unmarked += !l->set.v[i].marked;
        mr_assert(unmarked == l->unmarked);
    }
}

/* ------------------------------------------------------------------ what is durable holds */

static void apply(struct mr_txn *x, struct mr_txn_ticket *k)
{
    struct mr_txn_live *l = x->live;
    mr_assert(k->producer != x->producer || k->epoch >= x->epoch); /* C2 */
    if (mr_txn_is_completing(x))                                   /* C3 */
        mr_assert(k->state ==
                  (x->state == MR_TXN_PREPARE_COMMIT ? MR_TXN_COMPLETE_COMMIT : MR_TXN_COMPLETE_ABORT));
    if (k->state == MR_TXN_ONGOING && x->state != MR_TXN_ONGOING)
        l->deadline = mr_now(x->txns->world) + k->timeout_ms;
    x->producer = k->producer;
    x->previous = k->previous;
    x->epoch = k->epoch;
    x->last_epoch = k->last_epoch;
    x->timeout_ms = k->timeout_ms;
    x->update_ms = k->update_ms;
    x->state = k->state;
    l->start_ms = k->start_ms;
    if (k->step == MR_TXN_STEP_ADD) {
        struct mr_txn_set was = l->set;
        l->set = k->set;
        k->set = was;
        x->txns->parts += l->set.count - was.count;
    } else if (k->step == MR_TXN_STEP_PREPARE) {
        l->unmarked = l->set.count;
        l->told = false;
    } else {
        x->txns->parts -= l->set.count;
        mr_txn_set_fini(&l->set);
    }
}

static struct mr_txn_call *ender_take(struct mr_txn_live *l, bool *calling)
{
    struct mr_txn_call *c = l->ender;
    *calling = l->ender_calling;
    c->held = NULL;
    l->ender = NULL;
    return c;
}

/* With what the producer goes on; when its epochs have run out that is known with the completion alone. */
static void end_outcome(const struct mr_txn *x, struct mr_txn_call *c)
{
    if (!c->raises)
        return;
    if (mr_txn_is_completing(x) && x->epoch > MR_TXN_EPOCH_LAST) {
        c->refusal = MR_REFUSE_CONCURRENT_TXNS;
        return;
    }
    c->out_producer = x->producer;
    c->out_epoch = x->epoch;
}

void mr_txn_end_answer(struct mr_txn *x)
{
    bool calling;
    struct mr_txn_call *c = x->live->ender ? ender_take(x->live, &calling) : NULL;
    if (c)
        end_outcome(x, c);
    if (c && !calling)
        c->done(c);
}

/* The decision is durable: the answer waits until all is complete. */
static void ender_hold(struct mr_txn_live *l, struct mr_txn_call *c, bool calling)
{
    l->ender = c;
    l->ender_calling = calling;
    c->held = l;
}

void mr_txn_settled(struct mr_txn_ticket *k)
{
    struct mr_txn *x = k->txn;
    struct mr_txn_call *c = k->call;
    enum mr_txn_step step = k->step;
    bool ok = k->ok, calling = k->calling;
    if (ok)
        apply(x, k);
    if (c) {
        c->ticket = NULL;
        c->refusal = ok ? MR_REFUSE_NONE : MR_REFUSE_COORDINATOR_NOT_AVAILABLE;
        if (ok && step == MR_TXN_STEP_INIT) {
            c->out_producer = x->producer;
            c->out_epoch = x->epoch;
        }
    }
    mr_txn_ticket_free(k);
    mr_txn_check(x);
    if (ok && step == MR_TXN_STEP_PREPARE && c) {
        ender_hold(x->live, c, calling);
        c = NULL;
    } else if (step == MR_TXN_STEP_COMPLETE && x->live->ender) { /* also when it is to be written again */
        c = ender_take(x->live, &calling);
        end_outcome(x, c);
    }
    if (ok && step == MR_TXN_STEP_PREPARE)
        mr_txn_push(x);
    else if ((ok && step == MR_TXN_STEP_FORGET) || x->producer < 0)
        mr_txn_free(x); /* the latter: a new one that could not be written */
    else
        mr_txn_rest(x);
    if (c && !calling)
        c->done(c); /* C1 */
}

/* ------------------------------------------------------------------ calls */

static bool answer(struct mr_txn_call *c, enum mr_refusal why)
{
    c->refusal = why;
    return true;
}

static enum mr_refusal may_ask(const struct mr_txns *t, struct mr_slice id)
{
    if (id.len == 0 || id.len > MR_TXN_ID_BYTES_MAX)
        return MR_REFUSE_INVALID_REQUEST;
    int32_t n = t->replay.partitions;
    return n ? mr_replay_check(&t->replay, mr_txns_partition_of(id, n)) : MR_REFUSE_NONE;
}

static bool begin(struct mr_txns *t, struct mr_txn_call *c, enum mr_refusal *why)
{
    c->ticket = NULL;
    c->held = NULL;
    c->out_producer = NOTHING;
    c->out_epoch = NOTHING;
    c->refusal = MR_REFUSE_NONE;
    *why = may_ask(t, c->id);
    return *why == MR_REFUSE_NONE;
}

/* A ticket with whoever waits for it. */
static bool send(struct mr_txn_call *c, struct mr_txn_ticket *k)
{
    k->call = c;
    k->calling = true;
    c->ticket = k;
    mr_txn_ticket_send(k);
    if (c->ticket)
        c->ticket->calling = false;
    if (c->held)
        c->held->ender_calling = false;
    return !c->ticket && !c->held;
}

/* The one that this producer may change. NULL: *why says. */
static struct mr_txn *owned(struct mr_txns *t, struct mr_slice id, int64_t producer, int16_t epoch,
                            enum mr_refusal *why)
{
    struct mr_txn *x = mr_txn_at(t, id, false);
    if (!x || x->producer < 0 || x->producer != producer)
        *why = MR_REFUSE_PRODUCER_MAPPING;
    else if (x->epoch != epoch)
        *why = MR_REFUSE_PRODUCER_FENCED;
    else
        return x;
    return NULL;
}

/* The producer of an ongoing transaction is fenced, the transaction aborted. Without memory nothing happens:
 * the caller comes again. `last`: the epoch of who asked and may go on after it; -1. */
static void abort_fenced(struct mr_txn *x, int16_t last)
{
    struct mr_txn_ticket *k = mr_txn_ticket_new(x, MR_TXN_STEP_PREPARE);
    if (!k)
        return;
    k->state = MR_TXN_PREPARE_ABORT;
    k->epoch = x->epoch < INT16_MAX ? (int16_t)(x->epoch + 1) : x->epoch;
    k->last_epoch = last;
    mr_txn_ticket_send(k);
}

/* Raises the epoch, or takes a new producer id when there are no more. */
static bool raise_epoch(struct mr_txns *t, struct mr_txn_call *c, struct mr_txn *x, struct mr_txn_ticket *k)
{
    struct mr_err err = {0};
    k->last_epoch = c->producer >= 0 ? c->epoch : (int16_t)NOTHING;
    if (x->producer >= 0 && x->epoch < MR_TXN_EPOCH_LAST) {
        k->epoch = (int16_t)(x->epoch + 1);
        return true;
    }
    k->previous = x->producer;
    k->epoch = 0;
    if (mr_broker_producer_id(t->broker, &k->producer, &err) == MR_OK)
        return true;
    mr_txns_tell(t, MR_ERROR, "transactional id '%.*s' gets no producer id: %s", MR_SLICE_ARG(c->id),
                 err.text);
    return false;
}

/* May who names producer and epoch go on? *again: the answer was lost, and is to be given again. */
static enum mr_refusal named(const struct mr_txn *x, const struct mr_txn_call *c, bool *again)
{
    bool same = c->producer == x->producer;
    if (x->state == MR_TXN_ONGOING)
        return same && c->epoch == x->epoch ? MR_REFUSE_NONE : MR_REFUSE_PRODUCER_FENCED;
    if (same && c->epoch == x->epoch)
        return MR_REFUSE_NONE;
    *again = x->last_epoch >= 0 && c->epoch == x->last_epoch &&
             (same || (c->producer == x->previous && c->epoch >= MR_TXN_EPOCH_LAST));
    return *again ? MR_REFUSE_NONE : MR_REFUSE_PRODUCER_FENCED;
}

bool mr_txns_init_producer(struct mr_txns *t, struct mr_txn_call *c)
{
    enum mr_refusal why;
    bool again = false;
    if (!begin(t, c, &why))
        return answer(c, why);
    if ((c->producer >= 0) != (c->epoch >= 0))
        return answer(c, MR_REFUSE_INVALID_REQUEST);
    if (c->timeout_ms < 1 || c->timeout_ms > mr_txns_settings(t)->transaction_max_timeout_ms)
        return answer(c, MR_REFUSE_TXN_TIMEOUT);
    struct mr_txn *x = mr_txn_at(t, c->id, false);
    if (x && ((x->live && x->live->ticket) || mr_txn_is_completing(x)))
        return answer(c, MR_REFUSE_CONCURRENT_TXNS);
    if (x && c->producer >= 0 && (why = named(x, c, &again)))
        return answer(c, why);
    if (x && x->state == MR_TXN_ONGOING) {
        abort_fenced(x, c->producer >= 0 ? c->epoch : (int16_t)NOTHING);
        return answer(c, MR_REFUSE_CONCURRENT_TXNS);
    }
    if (again) {
        c->out_producer = x->producer;
        c->out_epoch = x->epoch;
        return true;
    }
    if (!x && (t->ids.count >= t->config.ids_max || t->bytes + sizeof *x + c->id.len > t->config.bytes_max)) {
        mr_txns_tell(
            t, MR_WARN,
            "transactional id '%.*s' refused: there are %zu with %zu bytes (ids_max %u, bytes_max %zu)",
            MR_SLICE_ARG(c->id), t->ids.count, t->bytes, t->config.ids_max, t->config.bytes_max);
        return answer(c, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
    }
    if (!x && !(x = mr_txn_at(t, c->id, true)))
        return answer(c, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
    struct mr_txn_ticket *k = mr_txn_ticket_new(x, MR_TXN_STEP_INIT);
    if (!k || !raise_epoch(t, c, x, k)) {
        mr_txn_ticket_free(k);
        if (x->producer < 0)
            mr_txn_free(x);
        else
            mr_txn_rest(x);
        return answer(c, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
    }
    k->state = MR_TXN_EMPTY;
    k->timeout_ms = (int32_t)c->timeout_ms;
    k->start_ms = NOTHING;
    return send(c, k);
}

bool mr_txns_add(struct mr_txns *t, struct mr_txn_call *c, const struct mr_txn_at *parts, size_t count)
{
    enum mr_refusal why;
    struct mr_txn *x = begin(t, c, &why) ? owned(t, c->id, c->producer, c->epoch, &why) : NULL;
    if (!x)
        return answer(c, why);
    if ((x->live && x->live->ticket) || mr_txn_is_completing(x))
        return answer(c, MR_REFUSE_CONCURRENT_TXNS);
    bool ongoing = x->state == MR_TXN_ONGOING, all = true;
    size_t more = 0;
    for (size_t i = 0; i < count; i++) {
        bool found = false;
        if (ongoing)
            (void)mr_txn_set_find(&x->live->set, parts[i].topic, parts[i].partition, &found);
        all = all && found;
        more += !found;
    }
    if (all)
        return true;
    mr_assert(!ongoing || x->live);
    if (more + (ongoing ? x->live->set.count : 0) > MR_TXN_PARTITIONS_MAX ||
        t->parts + more > t->config.parts_max) {
        mr_txns_tell(t, MR_WARN,
                     "transaction of '%.*s' refused %zu more partitions: one may have %d, all together %llu",
                     MR_SLICE_ARG(c->id), more, MR_TXN_PARTITIONS_MAX,
                     (unsigned long long)t->config.parts_max);
        return answer(c, MR_REFUSE_POLICY);
    }
    struct mr_txn_ticket *k = mr_txn_ticket_new(x, MR_TXN_STEP_ADD);
    bool ok = k && (!ongoing || mr_txn_set_copy(&k->set, &x->live->set));
    for (size_t i = 0; ok && i < count; i++)
        ok = mr_txn_set_add(&k->set, parts[i].topic, parts[i].partition);
    if (!ok) {
        mr_txn_ticket_free(k);
        mr_txn_rest(x);
        return answer(c, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
    }
    k->state = MR_TXN_ONGOING;
    k->last_epoch = NOTHING; /* who writes with this epoch has heard of it */
    if (!ongoing)
        k->start_ms = k->update_ms;
    return send(c, k);
}

/* Was that the epoch of the transaction that ended last? Then the answer to its end was lost. */
static bool was_raised(const struct mr_txn *x, const struct mr_txn_call *c)
{
    if (!c->raises || x->last_epoch < 0 || x->last_epoch != c->epoch || x->state == MR_TXN_ONGOING ||
        x->state == MR_TXN_EMPTY)
        return false;
    return x->producer == c->producer || (x->previous == c->producer && c->epoch >= MR_TXN_EPOCH_LAST);
}

static enum mr_refusal ended_as(const struct mr_txn *x, bool commit)
{
    switch ((enum mr_txn_state)x->state) {
    case MR_TXN_PREPARE_COMMIT:
        return commit ? MR_REFUSE_CONCURRENT_TXNS : MR_REFUSE_TXN_STATE;
    case MR_TXN_PREPARE_ABORT:
        return commit ? MR_REFUSE_TXN_STATE : MR_REFUSE_CONCURRENT_TXNS;
    case MR_TXN_COMPLETE_COMMIT:
        return commit ? MR_REFUSE_NONE : MR_REFUSE_TXN_STATE;
    case MR_TXN_COMPLETE_ABORT:
        return commit ? MR_REFUSE_TXN_STATE : MR_REFUSE_NONE;
    case MR_TXN_EMPTY: /* nothing was begun: no client of today asks for it, and Kafka refuses it */
        return MR_REFUSE_TXN_STATE;
    case MR_TXN_DEAD:
        return MR_REFUSE_PRODUCER_MAPPING;
    case MR_TXN_ONGOING:
        break;
    }
    return MR_REFUSE_NONE;
}

bool mr_txns_end(struct mr_txns *t, struct mr_txn_call *c, bool commit)
{
    enum mr_refusal why;
    if (!begin(t, c, &why))
        return answer(c, why);
    struct mr_txn *x = mr_txn_at(t, c->id, false);
    if (x && was_raised(x, c)) {
        why = x->live && x->live->ticket ? MR_REFUSE_CONCURRENT_TXNS : ended_as(x, commit);
        if (!why)
            end_outcome(x, c);
        return answer(c, why);
    }
    if (!(x = owned(t, c->id, c->producer, c->epoch, &why)))
        return answer(c, why);
    if (x->live && x->live->ticket)
        return answer(c, MR_REFUSE_CONCURRENT_TXNS);
    bool at_rest = x->state != MR_TXN_ONGOING && !mr_txn_is_completing(x);
    if (x->state != MR_TXN_ONGOING && !(c->raises && at_rest && !commit))
        return answer(c, c->raises && at_rest ? MR_REFUSE_TXN_STATE : ended_as(x, commit));
    struct mr_txn_ticket *k = mr_txn_ticket_new(x, MR_TXN_STEP_PREPARE);
    if (!k)
        return answer(c, MR_REFUSE_COORDINATOR_NOT_AVAILABLE);
    k->state = commit ? MR_TXN_PREPARE_COMMIT : MR_TXN_PREPARE_ABORT;
    if (c->raises) { /* C6; one epoch is left for that behind the last one that a producer gets */
        k->last_epoch = x->epoch;
        k->epoch = x->epoch < INT16_MAX ? (int16_t)(x->epoch + 1) : x->epoch;
    }
    return send(c, k);
}

void mr_txns_forget(struct mr_txn_call *c)
{
    if (c->ticket)
        c->ticket->call = NULL;
    if (c->held)
        c->held->ender = NULL;
    c->ticket = NULL;
    c->held = NULL;
}

enum mr_refusal mr_txns_verify(struct mr_txns *t, struct mr_slice id, int64_t producer, int16_t epoch,
                               struct mr_slice topic, int32_t partition)
{
    bool found;
    enum mr_refusal why = may_ask(t, id);
    struct mr_txn *x = why ? NULL : owned(t, id, producer, epoch, &why);
    if (!x)
        return why == MR_REFUSE_PRODUCER_FENCED ? MR_REFUSE_PRODUCER_EPOCH : why;
    if (mr_txn_is_completing(x))
        return MR_REFUSE_CONCURRENT_TXNS;
    if (x->state != MR_TXN_ONGOING)
        return MR_REFUSE_TXN_STATE;
    const struct mr_txn_ticket *k = x->live->ticket;
    if (k && k->step != MR_TXN_STEP_ADD)
        return MR_REFUSE_CONCURRENT_TXNS; /* its end is being written */
    (void)mr_txn_set_find(&x->live->set, topic, partition, &found);
    return found ? MR_REFUSE_NONE : MR_REFUSE_TXN_STATE;
}

/* ------------------------------------------------------------------ administration */

static void view_of(const struct mr_txn *x, struct mr_txn_view *out)
{
    *out = (struct mr_txn_view){
        .id = mr_txn_id(x),
        .state = x->state,
        .producer = x->producer,
        .epoch = x->epoch,
        .timeout_ms = x->timeout_ms,
        .start_ms = x->live ? x->live->start_ms : NOTHING,
        .age_ms = x->live && x->live->start_ms >= 0 ? mr_txns_time(x->txns) - x->live->start_ms : NOTHING,
        .partitions = x->live ? x->live->set.count : 0,
    };
}

enum mr_refusal mr_txns_view(struct mr_txns *t, struct mr_slice id, struct mr_txn_view *out)
{
    enum mr_refusal why = may_ask(t, id);
    const struct mr_txn *x = why ? NULL : mr_txn_at(t, id, false);
    if (why || !x || x->producer < 0)
        return why ? why : MR_REFUSE_TXN_ID_NOT_FOUND;
    view_of(x, out);
    return MR_REFUSE_NONE;
}

bool mr_txns_view_partition(struct mr_txns *t, struct mr_slice id, size_t i, struct mr_txn_at *out)
{
    const struct mr_txn *x = mr_txn_at(t, id, false);
    if (!x || !x->live || i >= x->live->set.count)
        return false;
    *out = (struct mr_txn_at){mr_slice_of(x->live->set.v[i].topic), x->live->set.v[i].partition};
    return true;
}

bool mr_txns_next(const struct mr_txns *t, size_t *i, struct mr_txn_view *out)
{
    struct mr_slice key;
    void *value;
    while (mr_map_next(&t->ids, i, &key, &value)) {
        const struct mr_txn *x = value;
        if (x->producer < 0)
            continue; /* its first record is on its way */
        view_of(x, out);
        return true;
    }
    return false;
}

size_t mr_txns_count(const struct mr_txns *t)
{
    return t->ids.count;
}

bool mr_txns_loading(const struct mr_txns *t)
{
    return mr_replay_loading(&t->replay);
}

/* ------------------------------------------------------------------ time */

static void step(struct mr_txn *x)
{
    if (x->live->ticket || may_ask(x->txns, mr_txn_id(x)))
        return;
    if (mr_txn_is_completing(x)) {
        mr_txn_push(x);
    } else if (x->state == MR_TXN_ONGOING && mr_now(x->txns->world) >= x->live->deadline) { /* C5 */
        mr_txns_tell(
            x->txns, MR_INFO,
            "transaction of '%.*s' is aborted: it was open for longer than its transaction.timeout.ms "
            "(%d ms)",
            MR_SLICE_ARG(mr_txn_id(x)), x->timeout_ms);
        abort_fenced(x, NOTHING);
    }
}

/* Whoever is freed meanwhile takes itself out of the walk. */
static void step_all(struct mr_txns *t)
{
    for (t->walk = t->live; t->walk;) {
        struct mr_txn_live *l = t->walk;
        t->walk = l->next;
        step(l->txn);
    }
}

/* Until the next look. */
static void rest(struct mr_txns *t, struct mr_timer *timer)
{
    const struct mr_node_settings *s = mr_txns_settings(t);
    mr_timer_set(t->world, timer,
                 mr_now(t->world) + (timer == &t->tick
                                         ? s->transaction_abort_timed_out_transaction_cleanup_interval_ms
                                         : s->transaction_remove_expired_transaction_cleanup_interval_ms));
}

static void tick(void *arg)
{
    struct mr_txns *t = arg;
    step_all(t);
    rest(t, &t->tick);
}

static bool is_unused(const struct mr_txn *x, int64_t now)
{
    const struct mr_txns *t = x->txns;
    return !x->live && now - x->update_ms > mr_txns_settings(t)->transactional_id_expiration_ms &&
           may_ask(t, mr_txn_id(x)) == MR_REFUSE_NONE;
}

/* There may be millions: a few at a turn, so that the shard does other things in between. What is made or
 * forgotten meanwhile may be looked at twice, or with the next walk. */
static void expire(void *arg)
{
    struct mr_txns *t = arg;
    struct mr_slice key;
    void *value;
    int64_t now = mr_txns_time(t);
    int looked = 0, sent = 0;
    while (!mr_txns_loading(t) && looked++ < LOOKED_A_TURN && sent < EXPIRED_A_TURN) {
        if (!mr_map_next(&t->ids, &t->expiry_at, &key, &value)) {
            t->expiry_at = 0;
            rest(t, &t->expiry);
            return;
        }
        struct mr_txn_ticket *k = is_unused(value, now) ? mr_txn_ticket_new(value, MR_TXN_STEP_FORGET) : NULL;
        if (!k)
            continue;
        k->state = MR_TXN_DEAD;
        sent++;
        mr_txn_ticket_send(k);
    }
    mr_timer_set(t->world, &t->expiry, mr_now(t->world) + EXPIRY_TURN_MS);
}

/* All of a partition is read: clocks start, what was prepared is completed (C3). */
void mr_txns_loaded(void *arg, int32_t partition)
{
    struct mr_txns *t = arg;
    int64_t now = mr_txns_time(t);
    for (struct mr_txn_live *l = t->live; l; l = l->next) {
        struct mr_txn *x = l->txn;
        if (mr_txns_partition_of(mr_txn_id(x), t->replay.partitions) != partition)
            continue;
        int64_t left = l->start_ms + x->timeout_ms - now;
        left = left < 0 ? 0 : left > x->timeout_ms ? x->timeout_ms : left;
        l->deadline = mr_now(t->world) + left;
        if (mr_txn_is_completing(x))
            l->unmarked = l->set.count;
        mr_txn_check(x);
    }
    step_all(t);
}

/* ------------------------------------------------------------------ life */

mr_code mr_txns_open(struct mr_world *w, struct mr_broker *b, struct mr_groups *groups,
                     const struct mr_txns_config *config, struct mr_txns **out, struct mr_err *err)
{
    struct mr_txns *t = mr_alloc(sizeof *t);
    if (!t)
        return mr_fail(err, MR_MEMORY, "no memory for the transaction coordinator");
    t->world = w;
    t->broker = b;
    t->groups = groups;
    t->config = *config;
    mr_map_init(&t->ids, config->ids_max);
    mr_code rc = mr_txns_load(t, err);
    if (rc) {
        mr_txns_close(t);
        return rc;
    }
    t->tick = (struct mr_timer){.fire = tick, .arg = t};
    t->expiry = (struct mr_timer){.fire = expire, .arg = t};
    rest(t, &t->tick);
    rest(t, &t->expiry);
    *out = t;
    return MR_OK;
}

void mr_txns_close(struct mr_txns *t)
{
    struct mr_slice key;
    void *value;
    if (!t)
        return;
    mr_timer_stop(t->world, &t->tick);
    mr_timer_stop(t->world, &t->expiry);
    mr_replay_end(&t->replay);
    for (size_t i = 0; mr_map_next(&t->ids, &i, &key, &value);)
        live_free(value);
    mr_map_fini(&t->ids, mr_free);
    mr_free(t);
}
