/* txn_store.c - the topic __transaction_state: one record for each change of a transactional id, and the
 * reader at start.
 *
 * The newest record of an id says all. The reader takes a slice of the topic a turn, so that the shard can do
 * other things in between. A partition that cannot be read keeps its ids unavailable: a producer that waits
 * is better off than one that is told it is the first.
 */
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "broker/txn_inside.h"
#include "wire/message.h"

enum {
    SLICE_BYTES = 1 << 20,
    READ_BYTES_MAX = MR_TXN_RECORD_BYTES_MAX + SLICE_BYTES,
    ARENA_BYTES = 16 << 20, /* of one record while it is decoded */
    KEY_VERSION = 0,
    VALUE_VERSION = 1,
    SKIPPED_TOLD = 10,
};

/* ------------------------------------------------------------------ the topic */

enum mr_refusal mr_txns_prepare(struct mr_txns *t, struct mr_err *err)
{
    struct mr_setting settings[] = {
        {MR_SLICE("retention.ms"), MR_SLICE("-1")},
        {MR_SLICE("retention.bytes"), MR_SLICE("-1")},
        {MR_SLICE("segment.bytes"), MR_SLICE("104857600")},
        {MR_SLICE("max.message.bytes"), MR_SLICE("8388608")},
        {MR_SLICE("durability"), MR_SLICE("fsync")}, /* whatever the node's default is */
        {MR_SLICE("cleanup.policy"), MR_SLICE("compact")},
    };
    size_t count = sizeof settings / sizeof settings[0];
    struct mr_slice name = MR_SLICE(MR_TXNS_TOPIC);
    const struct mr_topic *topic = mr_broker_topic(t->broker, name);
    enum mr_refusal why = MR_REFUSE_NONE;
    if (!topic) {
        /* Where nothing compacts, nothing must be thrown away either. */
        if (mr_broker_create(t->broker, name, t->config.partitions, settings, count, true, NULL, NULL) ==
            MR_REFUSE_INVALID_CONFIG)
            count--;
        why = mr_broker_create(t->broker, name, t->config.partitions, settings, count, false, &topic, err);
    }
    if (topic && topic->partitions != t->partitions) { /* new */
        t->partitions = topic->partitions;
        mr_free(t->broken);
        t->broken = NULL;
    }
    return why;
}

/* ------------------------------------------------------------------ a record */

static bool version_put(struct mr_buf *b, int16_t version)
{
    char two[2] = {(char)(version >> 8), (char)version};
    return mr_buf_put(b, two, 2);
}

static bool key_write(const struct mr_txn *x, struct mr_buf *out)
{
    struct mr_stored_txn_key k = {.transactional_id = mr_txn_id(x)};
    return version_put(out, KEY_VERSION) && mr_stored_txn_key_write(out, KEY_VERSION, &k, NULL) == MR_OK;
}

/* The set is sorted: partitions of a topic lie together. */
static bool topics_of(const struct mr_txn_set *set, struct mr_arena *a, struct mr_stored_txn_value *v)
{
    struct mr_stored_txn_value_topic *topics = mr_arena_take(a, (set->count + 1) * sizeof *topics);
    int32_t *numbers = mr_arena_take(a, (set->count + 1) * sizeof *numbers);
    if (!topics || !numbers)
        return false;
    int32_t count = 0;
    for (uint32_t i = 0; i < set->count; i++) {
        numbers[i] = set->v[i].partition;
        if (i == 0 || strcmp(set->v[i].topic, set->v[i - 1].topic) != 0)
            topics[count++] = (struct mr_stored_txn_value_topic){.topic = mr_slice_of(set->v[i].topic),
                                                                 .partitions = &numbers[i]};
        topics[count - 1].partitions_count++;
    }
    v->partitions = topics;
    v->partitions_count = count;
    return true;
}

static bool value_write(const struct mr_txn_ticket *k, struct mr_buf *out)
{
    static const struct mr_txn_set none = {0};
    struct mr_heap_arena arena;
    const struct mr_txn_set *set = k->step == MR_TXN_STEP_ADD       ? &k->set
                                   : k->step == MR_TXN_STEP_PREPARE ? &k->txn->live->set
                                                                    : &none;
    struct mr_stored_txn_value v;
    mr_stored_txn_value_init(&v);
    v.producer_id = k->producer;
    v.producer_epoch = k->epoch;
    v.timeout_ms = k->timeout_ms;
    v.status = (int8_t)k->state;
    v.last_update_ms = k->update_ms;
    v.start_ms = k->start_ms;
    v.previous_producer_id = k->previous;
    v.last_epoch = k->last_epoch;
    mr_heap_arena_init(&arena, 1024, 0, ARENA_BYTES);
    bool ok = topics_of(set, &arena.arena, &v) && version_put(out, VALUE_VERSION) &&
              mr_stored_txn_value_write(out, VALUE_VERSION, &v, NULL) == MR_OK;
    mr_heap_arena_fini(&arena);
    return ok;
}

static bool record_write(const struct mr_txn_ticket *k, struct mr_buf *batch)
{
    struct mr_buf key = {0}, value = {0};
    struct mr_record_build b;
    bool forget = k->step == MR_TXN_STEP_FORGET;
    bool ok = key_write(k->txn, &key) && (forget || value_write(k, &value));
    struct mr_slice ks = {key.p, key.len}, vs = {value.p, value.len};
    if (ok) {
        mr_record_build_begin(&b, batch);
        ok = mr_record_build_add(&b, mr_txns_wall(k->txn->txns), &ks, forget ? NULL : &vs, NULL, 0) &&
             mr_record_build_end(&b, MR_CODEC_NONE, -1, -1, -1, NULL) == MR_OK;
    }
    mr_buf_fini(&key);
    mr_buf_fini(&value);
    return ok;
}

/* ------------------------------------------------------------------ tickets */

struct mr_txn_ticket *mr_txn_ticket_new(struct mr_txn *x, enum mr_txn_step step)
{
    if (!mr_txn_wake(x))
        return NULL;
    mr_assert(!x->live->ticket);
    struct mr_txn_ticket *k = mr_alloc(sizeof *k);
    if (!k) {
        mr_txn_rest(x);
        return NULL;
    }
    *k = (struct mr_txn_ticket){
        .txn = x,
        .step = step,
        .producer = x->producer,
        .previous = x->previous,
        .start_ms = x->live->start_ms,
        .update_ms = mr_txns_wall(x->txns),
        .timeout_ms = x->timeout_ms,
        .epoch = x->epoch,
        .last_epoch = x->last_epoch,
        .state = x->state,
    };
    x->live->ticket = k;
    return k;
}

void mr_txn_ticket_free(struct mr_txn_ticket *k)
{
    if (!k)
        return;
    mr_partition_forget(&k->produce);
    k->txn->live->ticket = NULL;
    mr_txn_set_fini(&k->set);
    mr_free(k);
}

static void settle(struct mr_txn_ticket *k)
{
    struct mr_txn *x = k->txn;
    k->ok = k->produce.refusal == MR_REFUSE_NONE;
    if (!k->ok)
        mr_txns_tell(x->txns, MR_ERROR, "transactional id '%.*s': cannot write to " MR_TXNS_TOPIC ": %s",
                     MR_SLICE_ARG(mr_txn_id(x)), k->produce.why);
    mr_txn_settled(k);
}

static void produced(struct mr_produce *pr)
{
    settle(pr->arg);
}

void mr_txn_ticket_send(struct mr_txn_ticket *k)
{
    struct mr_txns *t = k->txn->txns;
    struct mr_err err = {0};
    struct mr_buf batch = {0};
    bool settled = true;
    k->produce = (struct mr_produce){.acks = -1, .trusted = true, .done = produced, .arg = k};
    enum mr_refusal why = mr_txns_prepare(t, &err);
    struct mr_partition *p = NULL;
    if (!why)
        p = mr_broker_partition(t->broker, mr_broker_topic(t->broker, MR_SLICE(MR_TXNS_TOPIC)),
                                mr_txns_partition_of(mr_txn_id(k->txn), t->partitions), &why, &err);
    if (p && !record_write(k, &batch)) {
        p = NULL;
        why = MR_REFUSE_STORAGE;
        (void)mr_fail(&err, MR_MEMORY, "no memory for the record");
    }
    if (p) {
        settled = mr_partition_produce(p, batch.p, batch.len, &k->produce);
    } else {
        k->produce.refusal = why;
        (void)snprintf(k->produce.why, sizeof k->produce.why, "%.*s", MR_PRODUCE_WHY - 1, err.text);
    }
    mr_buf_fini(&batch);
    if (settled)
        settle(k);
}

/* ------------------------------------------------------------------ reading at start */

struct mr_txns_load {
    struct mr_txns *txns;
    struct mr_timer timer;
    struct mr_parked parked;
    struct mr_heap_arena arena; /* of one record */
    int32_t partition;
    bool begun;
    int64_t at, end; /* offsets */
    uint64_t skipped;
    struct mr_buf bytes, inflated;
};

static mr_code version_read(struct mr_slice *in, int16_t *version, int16_t most, struct mr_err *err)
{
    if (in->len < 2)
        return mr_fail(err, MR_BADDATA, "%zu bytes are too few for a version", in->len);
    *version = (int16_t)((unsigned)(uint8_t)in->p[0] << 8 | (uint8_t)in->p[1]);
    *in = (struct mr_slice){in->p + 2, in->len - 2};
    return *version >= 0 && *version <= most
               ? MR_OK
               : mr_fail(err, MR_UNSUPPORTED, "version %d is not known", *version);
}

/* Replaces what was known of the id. MR_BADDATA, MR_UNSUPPORTED: it is as it was; MR_MEMORY. */
static mr_code take_value(struct mr_txns *t, struct mr_slice id, const struct mr_stored_txn_value *v,
                          struct mr_err *err)
{
    if (v->producer_id < 0 || v->producer_epoch < 0 || v->status < MR_TXN_EMPTY ||
        v->status > MR_TXN_COMPLETE_ABORT || id.len > MR_TXN_ID_BYTES_MAX)
        return mr_fail(err, MR_BADDATA, "it has state %d, producer %lld, epoch %d", v->status,
                       (long long)v->producer_id, v->producer_epoch);
    struct mr_txn *x = mr_txn_at(t, id, true);
    bool ok = x && mr_txn_wake(x);
    if (!ok)
        return mr_fail(err, MR_MEMORY, "no memory for transactional id '%.*s'", MR_SLICE_ARG(id));
    x->producer = v->producer_id;
    x->previous = v->previous_producer_id;
    x->epoch = v->producer_epoch;
    x->last_epoch = v->last_epoch;
    x->timeout_ms = v->timeout_ms > 0 ? v->timeout_ms : 1;
    x->update_ms = v->last_update_ms;
    x->state = (uint8_t)v->status;
    x->live->start_ms = v->start_ms;
    mr_txn_set_fini(&x->live->set);
    bool under_way = x->state == MR_TXN_ONGOING || mr_txn_is_completing(x);
    for (int32_t i = 0; ok && under_way && i < v->partitions_count; i++)
        for (int32_t n = 0; ok && n < v->partitions[i].partitions_count; n++)
            ok = mr_txn_set_add(&x->live->set, v->partitions[i].topic, v->partitions[i].partitions[n]);
    if (!ok)
        return mr_fail(err, MR_MEMORY, "no memory for the partitions of '%.*s'", MR_SLICE_ARG(id));
    mr_txn_rest(x);
    return MR_OK;
}

/* Only want of memory ends the reading. */
static mr_code take_record(struct mr_txns_load *l, const struct mr_record *r, struct mr_err *err)
{
    struct mr_txns *t = l->txns;
    struct mr_stored_txn_key key;
    struct mr_stored_txn_value value;
    struct mr_slice k = r->key, v = r->value;
    int16_t version;
    mr_heap_arena_reset(&l->arena);
    mr_code rc = version_read(&k, &version, KEY_VERSION, err);
    if (rc == MR_OK)
        rc = mr_stored_txn_key_read(&k, version, &l->arena.arena, &key, err);
    if (rc == MR_OK && !r->has_value) {
        struct mr_txn *x = mr_txn_at(t, key.transactional_id, false);
        if (x)
            mr_txn_free(x);
        return MR_OK;
    }
    if (rc == MR_OK)
        rc = version_read(&v, &version, VALUE_VERSION, err);
    if (rc == MR_OK)
        rc = mr_stored_txn_value_read(&v, version, &l->arena.arena, &value, err);
    if (rc == MR_OK)
        rc = take_value(t, key.transactional_id, &value, err);
    if (rc == MR_OK || rc == MR_MEMORY)
        return rc;
    if (l->skipped++ < SKIPPED_TOLD)
        mr_txns_tell(t, MR_WARN, MR_TXNS_TOPIC "-%d: record at offset %lld is passed over: %s", l->partition,
                     (long long)r->offset, err->text);
    return MR_OK;
}

static mr_code take_batches(struct mr_txns_load *l, struct mr_slice bytes, struct mr_err *err)
{
    while (bytes.len) {
        struct mr_record_walk walk;
        struct mr_record r;
        mr_code rc = mr_record_walk_begin(&walk, bytes, &l->inflated, READ_BYTES_MAX, err);
        if (rc)
            return rc;
        bool ours = !(walk.head.attributes & MR_BATCH_CONTROL);
        while (ours && (rc = mr_record_walk_next(&walk, &r, err)) == MR_OK)
            if (r.offset >= l->at && (rc = take_record(l, &r, err)))
                return rc;
        if (rc && rc != MR_END)
            return rc;
        l->at = walk.head.base_offset + walk.head.last_offset_delta + 1;
        size_t whole = (size_t)walk.head.length + 12;
        bytes = (struct mr_slice){bytes.p + whole, bytes.len - whole};
    }
    return MR_OK;
}

static mr_code take_slice(struct mr_txns_load *l, struct mr_partition *p, struct mr_err *err)
{
    struct mr_log_view view;
    size_t got = 0;
    int64_t before = l->at;
    if (mr_partition_find(p, l->at, SLICE_BYTES, &view, err))
        return err->code ? err->code : MR_CORRUPT;
    if (view.len > READ_BYTES_MAX)
        return mr_fail(err, MR_LIMIT, "a batch has %zu bytes; at most %d are read", view.len, READ_BYTES_MAX);
    l->bytes.len = 0;
    if (!mr_buf_reserve(&l->bytes, view.len))
        return mr_fail(err, MR_MEMORY, "no memory to read %zu bytes", view.len);
    mr_code rc = mr_file_read(view.file, l->bytes.p, view.len, view.at, &got, err);
    if (rc == MR_OK && got < view.len)
        rc = mr_fail(err, MR_CORRUPT, "the log ends before its time");
    if (rc == MR_OK)
        rc = take_batches(l, (struct mr_slice){l->bytes.p, got}, err);
    if (rc == MR_OK && l->at <= before)
        rc = mr_fail(err, MR_CORRUPT, "it does not go on at offset %lld", (long long)before);
    return rc;
}

static void give_up(struct mr_txns_load *l, const char *why)
{
    struct mr_txns *t = l->txns;
    mr_txns_tell(t, MR_ERROR,
                 MR_TXNS_TOPIC
                 "-%d cannot be read at offset %lld, its transactional ids stay unavailable: %s; "
                 "restore the partition from a copy, or delete the topic to forget all "
                 "transactional ids",
                 l->partition, (long long)l->at, why);
    t->broken[l->partition] = true;
    struct mr_slice key;
    void *value;
    for (size_t i = 0; mr_map_next(&t->ids, &i, &key, &value);)
        if (mr_txns_partition_of(key, t->partitions) == l->partition)
            mr_txn_free(value); /* what was read may be old */
}

static void read_step(void *arg)
{
    struct mr_txns_load *l = arg;
    struct mr_txns *t = l->txns;
    struct mr_err err = {0};
    enum mr_refusal why;
    const struct mr_topic *topic = mr_broker_topic(t->broker, MR_SLICE(MR_TXNS_TOPIC));
    if (!topic || l->partition >= t->partitions) {
        mr_txns_load_end(t);
        mr_txns_loaded(t);
        return;
    }
    struct mr_partition *p = mr_broker_partition(t->broker, topic, l->partition, &why, &err);
    mr_code rc = p ? MR_OK : MR_IO;
    if (p && !l->begun) {
        l->begun = true;
        l->at = mr_partition_start(p);
        l->end = mr_partition_end(p);
    }
    if (p && l->at < l->end && mr_partition_high(p) <= l->at) { /* what is not durable may not come to be */
        l->parked.offset = l->at;
        mr_partition_park(p, &l->parked);
        return;
    }
    if (p && l->at < l->end)
        rc = take_slice(l, p, &err);
    if (rc)
        give_up(l, err.text);
    if (rc || l->at >= l->end) {
        l->partition++;
        l->begun = false;
    }
    mr_timer_set(t->world, &l->timer, mr_now(t->world));
}

static void woken(struct mr_parked *who)
{
    struct mr_txns_load *l = who->arg;
    if (!who->gone)
        mr_timer_set(l->txns->world, &l->timer, mr_now(l->txns->world));
}

mr_code mr_txns_load_begin(struct mr_txns *t, struct mr_err *err)
{
    const struct mr_topic *topic = mr_broker_topic(t->broker, MR_SLICE(MR_TXNS_TOPIC));
    if (!topic)
        return MR_OK;
    t->partitions = topic->partitions;
    t->broken = mr_alloc((size_t)topic->partitions * sizeof *t->broken);
    struct mr_txns_load *l = t->broken ? mr_alloc(sizeof *l) : NULL;
    if (!l)
        return mr_fail(err, MR_MEMORY, "no memory to read '" MR_TXNS_TOPIC "'");
    mr_heap_arena_init(&l->arena, 4096, 64 << 10, ARENA_BYTES);
    l->txns = t;
    l->timer = (struct mr_timer){.fire = read_step, .arg = l};
    l->parked = (struct mr_parked){.wake = woken, .arg = l};
    t->load = l;
    mr_timer_set(t->world, &l->timer, mr_now(t->world));
    return MR_OK;
}

void mr_txns_load_end(struct mr_txns *t)
{
    struct mr_txns_load *l = t->load;
    if (!l)
        return;
    t->load = NULL;
    mr_timer_stop(t->world, &l->timer);
    mr_partition_unpark(&l->parked);
    mr_heap_arena_fini(&l->arena);
    mr_buf_fini(&l->bytes);
    mr_buf_fini(&l->inflated);
    mr_free(l);
}
