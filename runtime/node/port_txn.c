/* port_txn.c - transactional producers in this process (pipeline/topics.h), onto broker/txn.h.
 *
 * A produce to a partition that is not in the transaction yet waits until the coordinator has written it
 * down; all that wait are added in one go. Sequences are the port's: a batch that was refused without being
 * appended gives its own back.
 *
 * Laws:  X1 one call to the coordinator is out at a time
 *        X2 an end is asked for when nothing of the transaction is out or waits
 *        X3 once broken, every call is answered with that code
 */
#include "node/port_inside.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

#include <stdlib.h>

enum { ADD_MAX = 1024 /* partitions in one call to the coordinator */ };

enum kind { OPEN, PRODUCE, OFFSETS, END };

struct part {
    char *topic; /* [heap] */
    size_t topic_len;
    int32_t partition;
    int32_t sequence; /* of the next record */
    bool added;       /* belongs to the open transaction */
    bool adding;
};

struct call {
    struct call *next, **link; /* of its transaction, in order */
    struct mr_topic_txn *x;
    struct mr_world *home;
    enum kind kind;
    bool out; /* at the partition or the group; else it waits */
    void *arg;
    union {
        void (*opened)(void *arg, mr_code rc, struct mr_topic_txn *x, const char *why);
        void (*produced)(void *arg, mr_code rc, int64_t base_offset, const char *why);
        void (*done)(void *arg, mr_code rc, const char *why);
    } done;
    /* PRODUCE */
    size_t part;           /* of x->parts */
    struct mr_slice topic; /* [heap], until the part is known */
    int32_t partition, records;
    struct mr_buf bytes;
    struct mr_produce produce;
    /* OFFSETS */
    struct mr_commit commit;
    struct mr_slice group, member, instance; /* [heap] */
    /* END */
    bool commits;
    /* the answer */
    mr_code rc;
    char why[MR_PORT_WHY];
};

struct mr_topic_txn {
    struct mr_port *port;
    struct mr_world *home; /* the lane's */
    struct mr_topic_txn *next, **link;
    struct mr_slice id; /* [heap] */
    struct call *calls, **calls_end;
    struct part *parts;
    size_t part_count, part_cap;
    struct mr_txn_call at; /* what the coordinator is asked */
    bool asking;
    struct mr_timer again;
    mr_ms ask_until;
    mr_code broken;
    char why[MR_PORT_WHY];
    bool closing;
};

static void go_on(struct mr_topic_txn *x);
static void ask_open(struct mr_topic_txn *x);

static struct mr_node *node(const struct mr_topic_txn *x)
{
    return x->port->node;
}

/* ------------------------------------------------------------------ answers */

static void call_free(struct call *c)
{
    mr_free((void *)(uintptr_t)c->topic.p);
    mr_free((void *)(uintptr_t)c->group.p);
    mr_free((void *)(uintptr_t)c->member.p);
    mr_free((void *)(uintptr_t)c->instance.p);
    mr_free(c->commit.rows);
    mr_buf_fini(&c->bytes);
    mr_free(c);
}

static void deliver(void *arg) /* on the lane */
{
    struct call *c = arg;
    const char *why = c->why[0] ? c->why : mr_code_text(c->rc);
    switch (c->kind) {
    case OPEN:
        c->done.opened(c->arg, c->rc, c->rc ? NULL : c->x, why);
        break;
    case PRODUCE:
        c->done.produced(c->arg, c->rc, c->produce.base_offset, why);
        break;
    case OFFSETS:
    case END:
        c->done.done(c->arg, c->rc, why);
        break;
    }
    call_free(c);
}

static void settle(struct call *c, mr_code rc, const char *why)
{
    struct mr_topic_txn *x = c->x;
    mr_assert(c->link);
    c->rc = rc;
    if (rc)
        (void)snprintf(c->why, sizeof c->why, "transactional id '%.80s': %.150s", x->id.p,
                       why && *why ? why : mr_code_text(rc));
    *c->link = c->next;
    if (c->next)
        c->next->link = c->link;
    else
        x->calls_end = c->link;
    c->link = NULL;
    x->port->busy--;
    mr_post(c->home, deliver, c);
    mr_node_settle(node(x));
}

/* X3. Those that are out are answered by whoever has them. */
static void break_it(struct mr_topic_txn *x, mr_code rc, const char *why)
{
    struct call *next;
    if (!x->broken) {
        x->broken = rc;
        (void)snprintf(x->why, sizeof x->why, "%.200s", why && *why ? why : mr_code_text(rc));
    }
    for (struct call *c = x->calls; c; c = next) {
        next = c->next;
        bool asked = x->asking && (c->kind == OPEN || c->kind == END);
        if (!c->out && !asked)
            settle(c, x->broken, x->why);
    }
}

/* ------------------------------------------------------------------ the coordinator */

/* What a refusal means for the transaction. MR_AGAIN: ask again. */
static mr_code code_of(enum mr_refusal why, const char **text)
{
    *text = mr_refusal_text(why);
    switch (why) {
    case MR_REFUSE_NONE:
        return MR_OK;
    case MR_REFUSE_COORDINATOR_LOADING:
    case MR_REFUSE_COORDINATOR_NOT_AVAILABLE:
    case MR_REFUSE_CONCURRENT_TXNS:
        return MR_AGAIN;
    case MR_REFUSE_PRODUCER_FENCED:
    case MR_REFUSE_PRODUCER_EPOCH:
    case MR_REFUSE_PRODUCER_MAPPING:
    case MR_REFUSE_TXN_STATE:
        *text = "somebody else has opened it, or the transaction was open for longer than its timeout; what "
                "was not committed is not seen";
        return MR_FENCED;
    case MR_REFUSE_UNKNOWN_MEMBER:
    case MR_REFUSE_ILLEGAL_GENERATION:
    case MR_REFUSE_FENCED_INSTANCE:
        *text = "the group has given the partitions to another member";
        return MR_FENCED;
    default:
        return mr_port_code(why, MR_OK);
    }
}

static void ask_again(void *arg)
{
    struct mr_topic_txn *x = arg;
    x->again.fire = NULL;
    go_on(x);
}

/* Whether the answer is one to go on with. */
static bool answered(struct mr_topic_txn *x, enum mr_refusal why, mr_code *rc, const char **text)
{
    struct mr_world *w = node(x)->world;
    *rc = code_of(why, text);
    if (*rc == MR_AGAIN && !x->ask_until)
        x->ask_until = mr_now(w) + MR_PORT_TRIES_MS;
    if (*rc == MR_AGAIN && mr_now(w) < x->ask_until && !node(x)->closing) {
        x->again.fire = ask_again;
        x->again.arg = x;
        mr_timer_set(w, &x->again, mr_now(w) + MR_PORT_SOON_MS);
        return false;
    }
    if (*rc == MR_AGAIN)
        *rc = node(x)->closing ? MR_CANCELLED : MR_GONE;
    x->ask_until = 0;
    return true;
}

static void ask(struct mr_topic_txn *x, void (*done)(struct mr_txn_call *c))
{
    mr_assert(!x->asking); /* X1 */
    x->asking = true;
    x->at.id = x->id;
    x->at.refusal = MR_REFUSE_NONE;
    x->at.ticket = NULL;
    x->at.done = done;
    x->at.arg = x;
}

static void opened(struct mr_txn_call *at)
{
    struct mr_topic_txn *x = at->arg;
    struct call *c = x->calls;
    mr_code rc;
    const char *text;
    x->asking = false;
    if (!answered(x, at->refusal, &rc, &text))
        return;
    if (rc == MR_OK) {
        x->at.producer = at->out_producer;
        x->at.epoch = at->out_epoch;
    } else {
        x->broken = rc;
        x->closing = true; /* the lane never gets it */
    }
    settle(c, rc == MR_CORRUPT ? MR_BADCONF : rc, text); /* an id or a timeout that cannot be */
    go_on(x);
}

static void ask_open(struct mr_topic_txn *x)
{
    struct mr_err err = {0};
    struct mr_txns *t = node(x)->txns;
    ask(x, opened);
    x->at.producer = -1;
    x->at.epoch = -1;
    if (mr_txns_prepare(t, &err)) {
        x->at.refusal = MR_REFUSE_COORDINATOR_NOT_AVAILABLE;
        opened(&x->at);
    } else if (mr_txns_init_producer(t, &x->at)) {
        opened(&x->at);
    }
}

static void added(struct mr_txn_call *at)
{
    struct mr_topic_txn *x = at->arg;
    mr_code rc;
    const char *text;
    x->asking = false;
    bool final = answered(x, at->refusal, &rc, &text);
    for (size_t i = 0; i < x->part_count; i++) {
        if (x->parts[i].adding && rc == MR_OK)
            x->parts[i].added = true;
        x->parts[i].adding = false;
    }
    if (final && rc)
        break_it(x, rc, text);
    if (final)
        go_on(x);
}

static void ask_add(struct mr_topic_txn *x)
{
    struct mr_txn_at at[ADD_MAX];
    size_t n = 0;
    for (const struct call *c = x->calls; c && n < ADD_MAX; c = c->next) {
        struct part *p = &x->parts[c->part];
        if ((c->kind != PRODUCE && c->kind != OFFSETS) || c->out || p->added || p->adding)
            continue;
        p->adding = true;
        at[n++] = (struct mr_txn_at){{p->topic, p->topic_len}, p->partition};
    }
    ask(x, added);
    if (mr_txns_add(node(x)->txns, &x->at, at, n))
        added(&x->at);
}

static void ended(struct mr_txn_call *at)
{
    struct mr_topic_txn *x = at->arg;
    struct call *c = x->calls && x->calls->kind == END ? x->calls : NULL;
    mr_code rc;
    const char *text;
    x->asking = false;
    if (!answered(x, at->refusal, &rc, &text))
        return;
    for (size_t i = 0; i < x->part_count; i++)
        x->parts[i].added = false;
    if (c)
        settle(c, rc, text);
    if (rc)
        break_it(x, rc, text);
    go_on(x);
}

static bool any_added(const struct mr_topic_txn *x)
{
    for (size_t i = 0; i < x->part_count; i++)
        if (x->parts[i].added)
            return true;
    return false;
}

static void ask_end(struct mr_topic_txn *x, bool commits)
{
    ask(x, ended);
    if (!any_added(x)) { /* none was begun */
        x->at.refusal = MR_REFUSE_NONE;
        ended(&x->at);
    } else if (mr_txns_end(node(x)->txns, &x->at, commits)) {
        ended(&x->at);
    }
}

/* ------------------------------------------------------------------ records and offsets */

/* A record's sequence comes round after 2147483647. */
static int32_t sequence_after(int32_t sequence, int64_t records)
{
    return (int32_t)((sequence + records) & INT32_MAX);
}

static bool stamp(struct mr_topic_txn *x, struct call *c, struct part *p)
{
    struct mr_batch_header h;
    int32_t sequence = p->sequence;
    for (size_t at = 0; at < c->bytes.len; at += (size_t)h.length + 12) {
        if (mr_batch_header_read((struct mr_slice){c->bytes.p + at, c->bytes.len - at}, &h, NULL))
            return false;
        mr_batch_stamp_producer(c->bytes.p + at, x->at.producer, x->at.epoch, sequence, true);
        sequence = sequence_after(sequence, (int64_t)h.last_offset_delta + 1);
        c->records += h.last_offset_delta + 1;
    }
    return c->records > 0;
}

static mr_code produce_code(const struct mr_produce *pr, const char **why)
{
    *why = pr->why[0] ? pr->why : mr_refusal_text(pr->refusal);
    if (pr->refusal == MR_REFUSE_PRODUCER_EPOCH || pr->refusal == MR_REFUSE_TXN_STATE ||
        pr->refusal == MR_REFUSE_PRODUCER_FENCED)
        return code_of(pr->refusal, why);
    return mr_port_code(pr->refusal, pr->code);
}

/* Nothing was appended, and the next batch may stand where this one was to. */
static bool harmless(mr_code rc)
{
    return rc == MR_NOSPACE || rc == MR_LIMIT || rc == MR_NOTFOUND;
}

static void produced(struct mr_produce *pr)
{
    struct call *c = pr->arg;
    struct mr_topic_txn *x = c->x;
    const char *why;
    mr_code rc = produce_code(pr, &why);
    settle(c, rc, why);
    if (rc) /* it was appended, and what became of it is not known */
        break_it(x, rc == MR_NOSPACE || rc == MR_LIMIT ? MR_IO : rc, why);
    go_on(x);
}

static void run_produce(struct mr_topic_txn *x, struct call *c)
{
    struct part *p = &x->parts[c->part];
    struct mr_broker *b = node(x)->broker;
    struct mr_err err = {0};
    enum mr_refusal why = MR_REFUSE_NONE;
    struct mr_partition *at = mr_broker_partition(
        b, mr_broker_topic(b, (struct mr_slice){p->topic, p->topic_len}), p->partition, &why, &err);
    c->out = true;
    c->produce = (struct mr_produce){.acks = -1,
                                     .trusted = true,
                                     .transactional = true,
                                     .verified = true,
                                     .done = produced,
                                     .arg = c,
                                     .base_offset = -1};
    if (!at || !stamp(x, c, p)) {
        settle(c, at ? MR_CORRUPT : mr_port_code(why, err.code), at ? "no record batch" : err.text);
        return;
    }
    p->sequence = sequence_after(p->sequence, c->records);
    if (!mr_partition_produce(at, c->bytes.p, c->bytes.len, &c->produce))
        return;
    const char *text;
    mr_code rc = produce_code(&c->produce, &text);
    if (harmless(rc))
        x->parts[c->part].sequence = sequence_after(p->sequence, -(int64_t)c->records);
    settle(c, rc, text);
    if (rc && !harmless(rc))
        break_it(x, rc, text);
}

static void offsets_answered(struct call *c)
{
    struct mr_topic_txn *x = c->x;
    enum mr_refusal why = MR_REFUSE_NONE;
    const char *text;
    for (size_t i = 0; i < c->commit.row_count && !why; i++)
        why = c->commit.rows[i].refusal;
    mr_code rc = code_of(why, &text);
    settle(c, rc == MR_AGAIN ? MR_GONE : rc, text);
    if (rc)
        break_it(x, rc == MR_AGAIN ? MR_GONE : rc, text);
}

static void offsets_done(struct mr_commit *commit)
{
    struct call *c = commit->arg;
    struct mr_topic_txn *x = c->x;
    offsets_answered(c);
    go_on(x);
}

static void run_offsets(struct mr_topic_txn *x, struct call *c)
{
    c->out = true;
    c->commit.group = c->group;
    c->commit.member = c->member;
    c->commit.instance = c->instance.len ? c->instance : (struct mr_slice){NULL, 0};
    c->commit.producer = x->at.producer;
    c->commit.producer_epoch = x->at.epoch;
    if (mr_groups_commit(node(x)->groups, &c->commit))
        offsets_answered(c);
}

/* ------------------------------------------------------------------ what is next */

static void txn_free(struct mr_topic_txn *x)
{
    mr_assert(!x->calls && !x->asking);
    *x->link = x->next;
    if (x->next)
        x->next->link = x->link;
    for (size_t i = 0; i < x->part_count; i++)
        mr_free(x->parts[i].topic);
    mr_free(x->parts);
    mr_free((void *)(uintptr_t)x->id.p);
    mr_free(x);
}

/* The first call that may go out, if there is one. *waits: some must be added first. */
static struct call *ready(struct mr_topic_txn *x, bool *waits)
{
    *waits = false;
    for (struct call *c = x->calls; c; c = c->next) {
        if (c->out || (c->kind != PRODUCE && c->kind != OFFSETS))
            continue;
        if (x->parts[c->part].added)
            return c;
        *waits = true;
    }
    return NULL;
}

static void go_on(struct mr_topic_txn *x)
{
    struct call *c;
    bool waits = false;
    if (x->asking || x->again.fire)
        return;
    if (x->calls && x->calls->kind == OPEN) {
        ask_open(x);
        return;
    }
    while (!x->broken && (c = ready(x, &waits))) {
        if (c->kind == PRODUCE)
            run_produce(x, c);
        else
            run_offsets(x, c);
    }
    if (waits && !x->broken)
        ask_add(x);
    else if (x->calls && x->calls->kind == END)
        ask_end(x, x->calls->commits); /* X2: it is the first */
    else if (!x->calls && x->closing && any_added(x) && !x->broken && !node(x)->closing)
        ask_end(x, false);
    else if (!x->calls && x->closing)
        txn_free(x);
}

/* ------------------------------------------------------------------ the lane's calls */

/* MR_LIMIT: too many. */
static mr_code find_part(struct mr_topic_txn *x, struct mr_slice topic, int32_t partition, size_t *out)
{
    for (size_t i = 0; i < x->part_count; i++)
        if (x->parts[i].partition == partition &&
            mr_slice_eq((struct mr_slice){x->parts[i].topic, x->parts[i].topic_len}, topic)) {
            *out = i;
            return MR_OK;
        }
    if (x->part_count == MR_TXN_PARTITIONS_MAX)
        return MR_LIMIT;
    if (x->part_count == x->part_cap) {
        size_t cap = x->part_cap ? x->part_cap * 2 : 8;
        struct part *more = mr_realloc(x->parts, cap * sizeof *more);
        if (!more)
            return MR_GONE;
        x->parts = more;
        x->part_cap = cap;
    }
    *out = x->part_count++;
    x->parts[*out] = (struct part){
        .topic = (char *)(uintptr_t)mr_port_kept(topic).p, .topic_len = topic.len, .partition = partition};
    return MR_OK;
}

static void begin(struct call *c)
{
    struct mr_topic_txn *x = c->x;
    c->link = x->calls_end;
    *x->calls_end = c;
    x->calls_end = &c->next;
    x->port->busy++;
}

/* Whether the call may go on. */
static bool begin_well(struct call *c)
{
    struct mr_topic_txn *x = c->x;
    begin(c);
    if (!x->broken && node(x)->closing)
        break_it(x, MR_CANCELLED, "the node is stopping");
    else if (x->broken)
        settle(c, x->broken, x->why);
    return !x->broken;
}

static struct call *call_new(struct mr_topic_txn *x, struct mr_world *w, enum kind kind, void *arg)
{
    struct call *c = mr_need(sizeof *c);
    c->x = x;
    c->home = w;
    c->kind = kind;
    c->arg = arg;
    c->produce.base_offset = -1;
    return c;
}

static void run_open(void *arg)
{
    struct call *c = arg;
    struct mr_topic_txn *x = c->x;
    struct mr_port *p = x->port;
    x->next = p->txns;
    x->link = &p->txns;
    if (x->next)
        x->next->link = &x->next;
    p->txns = x;
    begin(c);
    if (node(x)->closing) {
        x->broken = MR_CANCELLED;
        x->closing = true;
        settle(c, MR_CANCELLED, "the node is stopping");
    }
    go_on(x);
}

void mr_port_txn_open(struct mr_topics *t, struct mr_world *w, struct mr_slice id, mr_ms timeout_ms,
                      void (*done)(void *arg, mr_code rc, struct mr_topic_txn *x, const char *why), void *arg)
{
    struct mr_topic_txn *x = mr_need(sizeof *x);
    struct call *c = call_new(x, w, OPEN, arg);
    x->port = (struct mr_port *)(void *)t;
    x->home = w;
    x->id = mr_port_kept(id);
    x->calls_end = &x->calls;
    x->at.timeout_ms = timeout_ms;
    c->done.opened = done;
    mr_post(x->port->node->world, run_open, c);
}

/* A topic that is not there is not made by a transaction. */
static mr_code known(struct mr_topic_txn *x, struct mr_slice topic, int32_t partition)
{
    const struct mr_topic *t = mr_broker_topic(node(x)->broker, topic);
    return t && partition >= 0 && partition < t->partitions ? MR_OK : MR_NOTFOUND;
}

static void run_txn_produce(void *arg)
{
    struct call *c = arg;
    struct mr_topic_txn *x = c->x;
    if (!begin_well(c))
        return;
    mr_code rc = known(x, c->topic, c->partition);
    if (rc == MR_OK)
        rc = find_part(x, c->topic, c->partition, &c->part);
    if (rc)
        settle(c, rc, rc == MR_NOTFOUND ? "no such topic or partition" : NULL);
    else
        go_on(x);
}

void mr_port_txn_produce(struct mr_topic_txn *x, struct mr_slice topic, int32_t partition,
                         struct mr_buf bytes,
                         void (*done)(void *arg, mr_code rc, int64_t base_offset, const char *why), void *arg)
{
    struct call *c = call_new(x, x->home, PRODUCE, arg);
    c->done.produced = done;
    c->topic = mr_port_kept(topic);
    c->partition = partition;
    c->bytes = bytes;
    mr_post(x->port->node->world, run_txn_produce, c);
}

static void run_txn_offsets(void *arg)
{
    struct call *c = arg;
    struct mr_topic_txn *x = c->x;
    struct mr_err err = {0};
    if (!begin_well(c))
        return;
    mr_code rc = MR_OK;
    const char *why = NULL;
    if (c->commit.generation < 0 || !c->member.len) {
        rc = code_of(MR_REFUSE_ILLEGAL_GENERATION, &why);
    } else if (!c->commit.rows || mr_groups_prepare(node(x)->groups, &err)) {
        rc = MR_GONE;
    } else {
        const struct mr_topic *t = mr_broker_topic(node(x)->broker, MR_SLICE(MR_OFFSETS_TOPIC));
        rc = find_part(x, MR_SLICE(MR_OFFSETS_TOPIC), mr_groups_partition_of(c->group, t->partitions),
                       &c->part);
    }
    if (rc) {
        settle(c, rc, why);
        break_it(x, rc, why);
    }
    go_on(x);
}

struct offsets_post {
    struct call *call;
    struct mr_topic_member *m;
};

static void run_member(void *arg) /* the member's id is the shard's to know */
{
    struct offsets_post *o = arg;
    struct call *c = o->call;
    c->group = mr_port_kept(mr_port_identity(o->m).group);
    c->member = mr_port_kept(mr_port_member_id(o->m));
    c->instance = mr_port_kept(mr_port_member_instance(o->m));
    mr_free(o);
    run_txn_offsets(c);
}

void mr_port_txn_offsets(struct mr_topic_txn *x, struct mr_topic_member *m,
                         const struct mr_topic_offset *offsets, size_t count,
                         void (*done)(void *arg, mr_code rc, const char *why), void *arg)
{
    struct call *c = call_new(x, x->home, OFFSETS, arg);
    struct offsets_post *o = mr_need(sizeof *o);
    *o = (struct offsets_post){c, m};
    c->done.done = done;
    c->commit = (struct mr_commit){
        .generation = mr_port_identity(m).generation,
        .retention_ms = -1,
        .rows = mr_port_rows(offsets, count),
        .row_count = count,
        .transactional = true,
        .done = offsets_done,
        .arg = c,
    };
    mr_post(x->port->node->world, run_member, o);
}

static void run_end(void *arg)
{
    struct call *c = arg;
    if (begin_well(c))
        go_on(c->x);
}

void mr_port_txn_end(struct mr_topic_txn *x, bool commit,
                     void (*done)(void *arg, mr_code rc, const char *why), void *arg)
{
    struct call *c = call_new(x, x->home, END, arg);
    c->done.done = done;
    c->commits = commit;
    mr_post(x->port->node->world, run_end, c);
}

static void run_close(void *arg)
{
    struct mr_topic_txn *x = arg;
    x->closing = true;
    go_on(x);
}

void mr_port_txn_close(struct mr_topic_txn *x)
{
    mr_post(x->port->node->world, run_close, x);
}

/* ------------------------------------------------------------------ the node's end */

void mr_port_txns_drain(struct mr_port *p)
{
    for (struct mr_topic_txn *x = p->txns; x; x = x->next) {
        mr_timer_stop(p->node->world, &x->again);
        x->again.fire = NULL;
        break_it(x, MR_CANCELLED, "the node is stopping");
    }
}

void mr_port_txns_stop(struct mr_port *p)
{
    for (struct mr_topic_txn *x = p->txns; x; x = x->next) {
        mr_txns_forget(&x->at);
        x->asking = false;
        break_it(x, MR_CANCELLED, "the node is stopping");
        struct call *next;
        for (struct call *c = x->calls; c; c = next) { /* those at a partition are answered by the broker */
            next = c->next;
            if (c->kind != OFFSETS)
                continue;
            mr_groups_forget_commit(&c->commit);
            settle(c, MR_CANCELLED, "the node is stopping");
        }
    }
}

void mr_port_txns_free(struct mr_port *p)
{
    while (p->txns)
        txn_free(p->txns);
}
