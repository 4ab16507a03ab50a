/* txn_store.c - the topic __transaction_state: one record for each change of a transactional id, and what
 * those records mean at start. The newest record of an id says all.
 */
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "broker/txn_inside.h"
#include "wire/message.h"

enum {
    ARENA_BYTES = 16 << 20, /* of one record while it is decoded */
    KEY_VERSION = 0,
    VALUE_VERSION = 1,
};

enum mr_refusal mr_txns_prepare(struct mr_txns *t, struct mr_err *err)
{
    return mr_replay_prepare(&t->replay, (int32_t)mr_txns_settings(t)->transaction_state_log_num_partitions,
                             err);
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
        ok = mr_record_build_add(&b, mr_txns_time(k->txn->txns), &ks, forget ? NULL : &vs, NULL, 0) &&
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
        .update_ms = mr_txns_time(x->txns),
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
        p = mr_replay_partition(&t->replay, mr_txns_partition_of(mr_txn_id(k->txn), t->replay.partitions),
                                &why, &err);
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
    mr_replay_seen(&t->replay, v->last_update_ms);
    x->state = (uint8_t)v->status;
    x->live->start_ms = v->start_ms;
    t->parts -= x->live->set.count;
    mr_txn_set_fini(&x->live->set);
    bool under_way = x->state == MR_TXN_ONGOING || mr_txn_is_completing(x);
    for (int32_t i = 0; ok && under_way && i < v->partitions_count; i++)
        for (int32_t n = 0; ok && n < v->partitions[i].partitions_count; n++)
            ok = mr_txn_set_add(&x->live->set, v->partitions[i].topic, v->partitions[i].partitions[n]);
    t->parts += x->live->set.count;
    if (!ok)
        return mr_fail(err, MR_MEMORY, "no memory for the partitions of '%.*s'", MR_SLICE_ARG(id));
    mr_txn_rest(x);
    return MR_OK;
}

static mr_code read_record(struct mr_txns *t, struct mr_arena *arena, const struct mr_record *r,
                           struct mr_err *err)
{
    struct mr_stored_txn_key key;
    struct mr_stored_txn_value value;
    struct mr_slice k = r->key, v = r->value;
    int16_t version;
    mr_code rc = version_read(&k, &version, KEY_VERSION, err);
    if (rc == MR_OK)
        rc = mr_stored_txn_key_read(&k, version, arena, &key, err);
    if (rc == MR_OK && !r->has_value) {
        struct mr_txn *x = mr_txn_at(t, key.transactional_id, false);
        if (x)
            mr_txn_free(x);
        return MR_OK;
    }
    if (rc == MR_OK)
        rc = version_read(&v, &version, VALUE_VERSION, err);
    if (rc == MR_OK)
        rc = mr_stored_txn_value_read(&v, version, arena, &value, err);
    return rc ? rc : take_value(t, key.transactional_id, &value, err);
}

static mr_code take_record(void *owner, int32_t partition, const struct mr_batch_header *h,
                           const struct mr_record *r, struct mr_err *err)
{
    struct mr_heap_arena arena;
    (void)partition;
    (void)h;
    mr_heap_arena_init(&arena, 1024, 64 << 10, ARENA_BYTES);
    mr_code rc = read_record(owner, &arena.arena, r, err);
    mr_heap_arena_fini(&arena);
    return rc;
}

static void partition_forget(void *owner, int32_t partition)
{
    struct mr_txns *t = owner;
    struct mr_slice key;
    void *value;
    for (size_t i = 0; mr_map_next(&t->ids, &i, &key, &value);)
        if (mr_txns_partition_of(key, t->replay.partitions) == partition)
            mr_txn_free(value);
}

mr_code mr_txns_load(struct mr_txns *t, struct mr_err *err)
{
    struct mr_replay_config c = {
        .topic = MR_SLICE(MR_TXNS_TOPIC),
        .batch_bytes = MR_SLICE("8388608"),
        .batch_bytes_max = MR_TXN_RECORD_BYTES_MAX,
        .holds = "transactional ids",
        .away_max_ms = mr_txns_settings(t)->transactional_id_expiration_ms / 2,
        .owner = t,
        .record = take_record,
        .ready = mr_txns_loaded,
        .forget = partition_forget,
        .tell = t->config.tell,
        .tell_arg = t->config.tell_arg,
    };
    return mr_replay_begin(&t->replay, t->world, t->broker, &c, err);
}
