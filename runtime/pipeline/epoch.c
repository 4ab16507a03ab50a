/* epoch.c - delivery exactly once: what a pipeline wrote, its positions and its state, all in one
 * transaction.
 *
 * Words.  An *epoch* is the stretch between two commits. The pipeline's transactional id is
 *         "millrace-<pipeline>"; its *state topic*, "<pipeline>.state", compacted, holds what a checkpoint
 *         would hold, in *chunks*: record i has key i and says epoch, number of chunks, and bytes.
 *
 * An epoch ends when it is due: reading pauses until nothing is on its way; in that moment positions and
 * snapshots are gathered, and from it on outputs hold back what comes, which belongs to the next epoch; then
 * chunks and offsets of groups are added to the transaction, and it is committed.
 *
 *   ensuring -> opening -> reading -> running --due--> pausing --nothing on its way--> committing -> running
 *   (the state topic, the id, the chunks)        any refusal: it begins again (again.c), or ends
 *
 * Laws:  E1 when positions are gathered, every event before them has been written, dropped, or is in a
 *           snapshot, and nothing after them has been
 *        E2 nothing is written between that moment and the commit but the state
 *        E3 a checkpoint file of a time when delivery was another is taken over in a transaction of its own,
 *           and gone before the first event is read
 *        E4 who starts finds what was committed last: opening the id has undone what was not
 */
#include "pipeline/inside.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    CHUNK_BYTES = 512 << 10, /* well below what topics take */
    CHUNK_HEAD = 16,         /* "mre1", epoch, number of chunks */
    CHUNKS_MAX = MR_STATE_BYTES_MAX / CHUNK_BYTES + 1,
    FETCH_BYTES = 4 << 20,
    INFLATE_BYTES_MAX = 2 * CHUNK_BYTES,
    RESTS = 9, /* a commit may take one part in ten of the time */
};

enum state { ENSURING, OPENING, READING, RUNNING, PAUSING, COMMITTING };

struct chunk {
    uint64_t epoch;
    uint32_t count;
    struct mr_buf bytes;
};

struct mr_epoch {
    struct mr_pipeline *line;
    enum state state;
    struct mr_topic_txn *txn;
    char *topic, *id;
    uint64_t number;      /* of the epoch that was committed last */
    uint32_t chunk_count; /* stored ones that hold something */
    size_t bytes;         /* written in this epoch */
    mr_ms began, took;    /* the last commit */
    mr_ms since;          /* when the open transaction began; 0: none is open */
    uint32_t out;         /* calls of the commit under way */
    bool failed, importing;
    /* opening */
    struct mr_timer again;
    uint32_t attempts;
    bool told;
    int64_t offset;       /* of the state topic, to be read next */
    struct chunk *chunks; /* [CHUNKS_MAX] */
    struct mr_buf state_read;
};

static void next_step(void *arg);

static struct mr_topics *port(const struct mr_epoch *e)
{
    return e->line->env.topics;
}

static struct mr_world *world(const struct mr_epoch *e)
{
    return e->line->env.world;
}

/* ---------------------------------------------------------------- calls of the port */

/* true: the pipeline is over, and the answer is of no use. */
static bool answered(struct mr_epoch *e)
{
    e->line->calls_out--;
    if (!mr_pipeline_over(e->line))
        return false;
    mr_pipeline_poke(e->line);
    return true;
}

/* The transaction cannot go on. Who takes an id over and who lets it lapse are told apart by the time. */
static void fail(struct mr_epoch *e, mr_code rc, const char *what, const char *why)
{
    struct mr_pipeline *l = e->line;
    mr_ms open = e->since ? mr_now(world(e)) - e->since : 0;
    if (rc == MR_FENCED && open >= MR_EPOCH_TIMEOUT_MS / 4 * 3)
        mr_pipeline_again(l, NULL,
                          "%s: it was open for %lld s, %d are allowed ('transaction_ms'), and it was undone",
                          what, (long long)open / 1000, MR_EPOCH_TIMEOUT_MS / 1000);
    else if (rc == MR_FENCED)
        mr_pipeline_fail(
            l, NULL,
            "%s: somebody else has opened the transactional id '%s'; is the pipeline running twice? "
            "what was committed stays",
            what, e->id);
    else if (mr_passing(rc))
        mr_pipeline_again(l, NULL, "%s: %s", what, why);
    else
        mr_pipeline_fail(l, NULL,
                         "%s: %s; what was committed stays, and what was not is read again when it starts",
                         what, why);
}

/* ---------------------------------------------------------------- chunks */

static void put_le(char *to, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (char)(v >> (8 * i));
}

static uint64_t get_le(const char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return v;
}

/* One record; part.p NULL: the chunk is not needed any more. */
static bool build_chunk(struct mr_buf *out, uint32_t index, uint64_t epoch, uint32_t count,
                        struct mr_slice part, mr_ms now)
{
    char key_text[12], head[CHUNK_HEAD] = "mre1";
    struct mr_record_build build;
    struct mr_buf value = {0};
    struct mr_slice key, v;
    (void)snprintf(key_text, sizeof key_text, "%u", index);
    put_le(head + 4, epoch, 8);
    put_le(head + 12, count, 4);
    bool ok = !part.p || (mr_buf_put(&value, head, sizeof head) && mr_buf_put(&value, part.p, part.len));
    key = mr_slice_of(key_text);
    v = (struct mr_slice){value.p, value.len};
    mr_record_build_begin(&build, out);
    ok = ok && mr_record_build_add(&build, now, &key, part.p ? &v : NULL, NULL, 0) &&
         mr_record_build_end(&build, MR_CODEC_NONE, -1, -1, -1, NULL) == MR_OK;
    mr_buf_fini(&value);
    return ok;
}

static bool take_chunk(struct mr_epoch *e, const struct mr_record *r)
{
    char key[12];
    if (!r->has_key || r->key.len == 0 || r->key.len >= sizeof key)
        return true; /* somebody else's */
    memcpy(key, r->key.p, r->key.len);
    key[r->key.len] = '\0';
    char *end;
    unsigned long index = strtoul(key, &end, 10);
    if (*end || index >= CHUNKS_MAX)
        return true;
    struct chunk *c = &e->chunks[index];
    c->bytes.len = 0;
    c->count = 0;
    if (!r->has_value)
        return true;
    if (r->value.len < CHUNK_HEAD || memcmp(r->value.p, "mre1", 4) != 0)
        return true;
    c->epoch = get_le(r->value.p + 4, 8);
    c->count = (uint32_t)get_le(r->value.p + 12, 4);
    return mr_buf_put(&c->bytes, r->value.p + CHUNK_HEAD, r->value.len - CHUNK_HEAD);
}

static void chunks_free(struct mr_epoch *e)
{
    for (uint32_t i = 0; e->chunks && i < CHUNKS_MAX; i++)
        mr_buf_fini(&e->chunks[i].bytes);
    mr_free(e->chunks);
    e->chunks = NULL;
}

/* All chunks as one text. MR_CORRUPT: they do not belong together. */
static mr_code join_chunks(struct mr_epoch *e, struct mr_err *err)
{
    const struct chunk *first = &e->chunks[0];
    uint32_t count = first->count;
    e->chunk_count = count;
    e->number = count ? first->epoch : 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct chunk *c = &e->chunks[i < CHUNKS_MAX ? i : 0];
        if (count > CHUNKS_MAX || c->count != count || c->epoch != first->epoch)
            return mr_fail(err, MR_CORRUPT,
                           "its state in the topic '%s' is damaged: chunk %u of %u is of another epoch; "
                           "delete the topic to start over from the beginning of the sources",
                           e->topic, i, count);
        if (!mr_buf_put(&e->state_read, c->bytes.p, c->bytes.len))
            return mr_fail(err, MR_MEMORY, "no memory for its state");
    }
    return MR_OK;
}

/* ---------------------------------------------------------------- committing */

static void end_commit(struct mr_epoch *e);

/* Brokers forget transactional ids that nobody uses. */
static void keep_alive(void *arg)
{
    struct mr_epoch *e = arg;
    e->again.fire = NULL;
    mr_epoch_due(e);
}

static void committed(void *arg, mr_code rc, const char *why)
{
    struct mr_epoch *e = arg;
    struct mr_pipeline *l = e->line;
    if (answered(e))
        return;
    if (rc != MR_OK) {
        fail(e, rc, "an epoch could not be committed", why);
        return;
    }
    mr_ms now = mr_now(world(e));
    e->took = now - e->began;
    e->number++;
    e->bytes = 0;
    e->since = 0;
    e->state = RUNNING;
    mr_pipeline_goes_on(l);
    e->again.fire = keep_alive;
    e->again.arg = e;
    mr_timer_set(world(e), &e->again, now + MR_EPOCH_ALIVE_MS);
    atomic_store_explicit(&l->n.acked_at, now, memory_order_relaxed);
    if (e->importing) {
        struct mr_err err;
        mr_err_clear(&err);
        e->importing = false;
        if (mr_checkpoint_forget(l, &err) != MR_OK) { /* E3 */
            mr_pipeline_fail(l, NULL, "%s", err.text);
            return;
        }
        mr_pipeline_opened(l);
        return;
    }
    for (uint32_t i = 0; i < l->conf->from_count; i++)
        if (l->sources[i].epoch_ended)
            l->sources[i].epoch_ended(&l->sources[i]);
    mr_dead_flush(l->dead);
    for (uint32_t i = 0; i < l->conf->to_count && !mr_pipeline_over(l); i++)
        mr_output_pump(&l->outputs[i]);
    mr_pipeline_poke(l);
}

static void end_commit(struct mr_epoch *e)
{
    e->line->calls_out++;
    port(e)->ops->txn_end(e->txn, true, committed, e);
}

/* One of the calls before the end is answered. */
void mr_epoch_added(struct mr_epoch *e, mr_code rc, const char *why)
{
    if (answered(e))
        return;
    mr_assert(e->state == COMMITTING && e->out > 0);
    e->out--;
    if (rc == MR_NOTFOUND) {
        mr_pipeline_fail(e->line, NULL, "its state topic '%s' is gone: %s", e->topic, why);
        return;
    }
    if (rc != MR_OK) {
        fail(e, rc, "its positions and state could not be stored", why);
        return;
    }
    if (e->out == 0)
        end_commit(e);
}

static void chunk_stored(void *arg, mr_code rc, int64_t base_offset, const char *why)
{
    (void)base_offset;
    mr_epoch_added(arg, rc, why);
}

struct mr_topic_txn *mr_epoch_add(struct mr_epoch *e)
{
    mr_assert(e->state == COMMITTING);
    e->out++;
    e->line->calls_out++;
    return e->txn;
}

static bool store_chunk(struct mr_epoch *e, uint32_t index, uint32_t count, struct mr_slice part)
{
    struct mr_buf bytes = {0};
    if (!build_chunk(&bytes, index, e->number + 1, count, part, mr_wall(world(e)) / 1000000)) {
        mr_buf_fini(&bytes);
        return false;
    }
    port(e)->ops->txn_produce(mr_epoch_add(e), mr_slice_of(e->topic), 0, bytes, chunk_stored, e);
    return true;
}

static void commit_state(struct mr_epoch *e, struct mr_slice state)
{
    uint32_t count = (uint32_t)((state.len + CHUNK_BYTES - 1) / CHUNK_BYTES), i;
    bool ok = true;
    e->state = COMMITTING;
    e->began = mr_now(world(e));
    e->since = e->since ? e->since : e->began;
    if (state.len > MR_STATE_BYTES_MAX) {
        mr_pipeline_fail(e->line, NULL,
                         "its state is %zu bytes and cannot be stored (limit 'state_bytes', %d): use smaller "
                         "windows, or fewer groups",
                         state.len, MR_STATE_BYTES_MAX);
        return;
    }
    for (i = 0; ok && i < count; i++) {
        size_t at = (size_t)i * CHUNK_BYTES, left = state.len - at;
        ok = store_chunk(e, i, count,
                         (struct mr_slice){state.p + at, left < CHUNK_BYTES ? left : CHUNK_BYTES});
    }
    for (i = count; ok && i < e->chunk_count; i++)
        ok = store_chunk(e, i, count, (struct mr_slice){NULL, 0});
    e->chunk_count = count;
    if (!ok)
        mr_pipeline_fail(e->line, NULL, "no memory to store its state");
}

static void commit(struct mr_epoch *e)
{
    struct mr_pipeline *l = e->line;
    struct mr_buf state = {0};
    struct mr_err err;
    mr_err_clear(&err);
    for (uint32_t i = 0; i < l->conf->from_count; i++)
        mr_assert(l->sources[i].ack_count == 0); /* E1 */
    if (mr_checkpoint_gather(l, &state, &err) != MR_OK) {
        mr_pipeline_fail(l, NULL, "%s", err.text);
    } else {
        l->dirty = false;
        commit_state(e, (struct mr_slice){state.p, state.len});
        for (uint32_t i = 0; i < l->conf->from_count && !mr_pipeline_over(l); i++)
            if (l->sources[i].epoch_commit)
                l->sources[i].epoch_commit(&l->sources[i], e);
    }
    mr_buf_fini(&state);
}

/* ---------------------------------------------------------------- opening */

static void trouble(struct mr_epoch *e, mr_code rc, const char *why)
{
    struct mr_pipeline *l = e->line;
    char text[512];
    if (!mr_passing(rc) && rc != MR_NOTFOUND && rc != MR_RANGE) {
        mr_pipeline_fail(l, NULL, "cannot open its transactions: %s", why);
        return;
    }
    (void)snprintf(text, sizeof text, "cannot open its transactions: %s; trying again until it goes", why);
    if (!e->told)
        l->env.log(l->env.arg, MR_WARN, l->conf->name, text);
    e->told = true;
    e->again.fire = next_step;
    e->again.arg = e;
    mr_timer_set(world(e), &e->again, mr_now(world(e)) + mr_backoff(world(e), 100, ++e->attempts));
}

static void opened(struct mr_epoch *e)
{
    struct mr_pipeline *l = e->line;
    struct mr_err err;
    struct mr_buf file = {0};
    mr_err_clear(&err);
    mr_code rc = mr_checkpoint_file(l, &file, &err);
    if (rc == MR_OK && !file.len)
        rc = join_chunks(e, &err);
    chunks_free(e);
    if (rc != MR_OK) {
        mr_pipeline_fail(l, NULL, "%s", err.text);
    } else if (file.len) { /* E3 */
        mr_buf_fini(&e->state_read);
        e->state_read = file;
        e->importing = true;
        commit_state(e, (struct mr_slice){file.p, file.len});
        return;
    } else {
        e->state = RUNNING;
        mr_pipeline_opened(l);
    }
    mr_buf_fini(&file);
}

static mr_code take_batches(struct mr_epoch *e, struct mr_slice rest, struct mr_err *err)
{
    struct mr_buf scratch = {0};
    mr_code rc = MR_OK;
    while (rc == MR_OK && rest.len) {
        struct mr_batch_header h;
        struct mr_record_walk walk;
        struct mr_record r;
        if ((rc = mr_batch_header_read(rest, &h, err)))
            break;
        size_t len = (size_t)h.length + 12;
        if (!(h.attributes & MR_BATCH_CONTROL))
            rc =
                mr_record_walk_begin(&walk, (struct mr_slice){rest.p, len}, &scratch, INFLATE_BYTES_MAX, err);
        while (rc == MR_OK && !(h.attributes & MR_BATCH_CONTROL) &&
               (rc = mr_record_walk_next(&walk, &r, err)) == MR_OK)
            if (r.offset >= e->offset && !take_chunk(e, &r))
                rc = mr_fail(err, MR_MEMORY, "no memory for its state");
        rc = rc == MR_END ? MR_OK : rc;
        e->offset = h.base_offset + h.last_offset_delta + 1;
        rest = (struct mr_slice){rest.p + len, rest.len - len};
    }
    mr_buf_fini(&scratch);
    return rc == MR_END ? MR_OK : rc;
}

static void on_fetched(void *arg, mr_code rc, struct mr_fetched *got, const char *why)
{
    struct mr_epoch *e = arg;
    struct mr_err err;
    mr_err_clear(&err);
    bool over = answered(e), all = false;
    if (!over && rc == MR_OK) {
        if (e->offset < 0)
            e->offset = got->start_offset;
        rc = take_batches(e, got->bytes, &err);
        all = e->offset >= got->end_offset;
        why = err.text;
    } else if (!over && rc == MR_RANGE && got) {
        e->offset = got->start_offset;
    }
    if (got && got->release)
        got->release(got->what);
    if (over)
        return;
    if (rc != MR_OK)
        trouble(e, rc, why);
    else if (all)
        opened(e);
    else
        next_step(e);
}

static void on_opened(void *arg, mr_code rc, struct mr_topic_txn *x, const char *why)
{
    struct mr_epoch *e = arg;
    if (answered(e)) {
        if (x)
            port(e)->ops->txn_close(x);
        return;
    }
    if (rc != MR_OK) {
        trouble(e, rc, why);
        return;
    }
    e->txn = x;
    e->state = READING;
    e->offset = -2;
    if (!(e->chunks = mr_alloc(CHUNKS_MAX * sizeof *e->chunks))) {
        mr_pipeline_fail(e->line, NULL, "no memory for its state");
        return;
    }
    next_step(e);
}

static void on_ensured(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why)
{
    struct mr_epoch *e = arg;
    (void)info;
    if (answered(e))
        return;
    if (rc != MR_OK) {
        trouble(e, rc, why);
        return;
    }
    e->state = OPENING;
    next_step(e);
}

static void next_step(void *arg)
{
    struct mr_epoch *e = arg;
    struct mr_topics *t = port(e);
    e->again.fire = NULL;
    if (mr_pipeline_over(e->line))
        return;
    e->line->calls_out++;
    if (e->state == ENSURING)
        t->ops->ensure_compacted(t, world(e), mr_slice_of(e->topic), 1, on_ensured, e);
    else if (e->state == OPENING)
        t->ops->txn_open(t, world(e), mr_slice_of(e->id), MR_EPOCH_TIMEOUT_MS, on_opened, e);
    else
        t->ops->fetch(t, world(e), mr_slice_of(e->topic), 0, e->offset, FETCH_BYTES, 0, on_fetched, e);
}

/* ---------------------------------------------------------------- what the pipeline asks */

mr_code mr_epoch_new(struct mr_pipeline *l, struct mr_err *err)
{
    struct mr_epoch *e = mr_alloc(sizeof *e);
    struct mr_buf topic = {0}, id = {0};
    if (!l->env.topics->ops->txn_open) {
        mr_free(e);
        return mr_fail(err, MR_UNSUPPORTED, "pipeline '%s': this broker has no transactions", l->conf->name);
    }
    if (!e || !mr_buf_printf(&topic, "%s.state", l->conf->name) ||
        !mr_buf_printf(&id, "millrace-%s", l->conf->name)) {
        mr_free(e);
        mr_buf_fini(&topic);
        mr_buf_fini(&id);
        return mr_fail(err, MR_MEMORY, "no memory for pipeline '%s'", l->conf->name);
    }
    e->line = l;
    e->topic = topic.p;
    e->id = id.p;
    l->epoch = e;
    return MR_OK;
}

void mr_epoch_open(struct mr_epoch *e)
{
    next_step(e);
}

struct mr_slice mr_epoch_state(const struct mr_epoch *e)
{
    return (struct mr_slice){e->state_read.p, e->state_read.len};
}

void mr_epoch_started(struct mr_epoch *e)
{
    mr_buf_fini(&e->state_read);
}

bool mr_epoch_pauses(const struct mr_epoch *e)
{
    return e->state == PAUSING;
}

bool mr_epoch_holds(const struct mr_epoch *e)
{
    return e->state == COMMITTING; /* E2 */
}

mr_ms mr_epoch_wait(const struct mr_epoch *e)
{
    mr_ms rest = e->took * RESTS;
    return rest > e->line->conf->commit_every ? rest : e->line->conf->commit_every;
}

void mr_epoch_due(struct mr_epoch *e)
{
    if (e->state != RUNNING)
        return;
    e->state = PAUSING;
    mr_pipeline_poke(e->line);
}

void mr_epoch_step(struct mr_epoch *e)
{
    if (e->state == PAUSING && mr_pipeline_idle(e->line) && !mr_pipeline_over(e->line))
        commit(e);
}

bool mr_epoch_last(struct mr_epoch *e)
{
    if (e->state < RUNNING)
        return true; /* it never began */
    if (e->state == RUNNING && e->line->dirty)
        e->state = PAUSING;
    if (e->state == PAUSING)
        mr_epoch_step(e);
    return e->state == RUNNING && !e->line->dirty;
}

struct wrapped {
    struct mr_epoch *e;
    void (*done)(void *arg, mr_code rc, int64_t base_offset, const char *why);
    void *arg;
};

static void produced(void *arg, mr_code rc, int64_t base_offset, const char *why)
{
    struct wrapped w = *(struct wrapped *)arg;
    mr_free(arg);
    if (rc != MR_OK && rc != MR_NOSPACE && rc != MR_LIMIT && rc != MR_NOTFOUND)
        fail(w.e, rc, "its transaction cannot go on", why);
    w.done(w.arg, rc, base_offset, why);
}

void mr_epoch_produce(struct mr_epoch *e, struct mr_slice topic, int32_t partition, struct mr_buf bytes,
                      void (*done)(void *arg, mr_code rc, int64_t base_offset, const char *why), void *arg)
{
    struct wrapped *w = mr_need(sizeof *w);
    mr_assert(e->state == RUNNING || e->state == PAUSING); /* E2 */
    *w = (struct wrapped){e, done, arg};
    e->bytes += bytes.len;
    e->since = e->since ? e->since : mr_now(world(e));
    if (e->bytes >= MR_EPOCH_BYTES_MAX)
        mr_epoch_due(e);
    port(e)->ops->txn_produce(e->txn, topic, partition, bytes, produced, w);
}

void mr_epoch_close(struct mr_epoch *e)
{
    mr_timer_stop(world(e), &e->again);
    if (e->txn)
        port(e)->ops->txn_close(e->txn);
    e->txn = NULL;
}

void mr_epoch_free(struct mr_epoch *e)
{
    if (!e)
        return;
    mr_timer_stop(world(e), &e->again);
    chunks_free(e);
    mr_buf_fini(&e->state_read);
    mr_free(e->topic);
    mr_free(e->id);
    mr_free(e);
}
