/* topic_source.c - the source `topic`: records of all partitions of a topic as events.
 *
 * One fetch per partition is out at a time, and one answer is kept until it is read: a pipeline that is not
 * read fetches nothing. Values are views into the answer; the batch keeps it alive.
 *
 * With --once: a partition ends at the end that a fetch told after the last pipeline of the run that writes
 * to the topic had ended; when none writes to it, at the end that the first fetch told.
 */
#include "pipeline/topic_inside.h"

#include "base/mem.h"
#include "data/json.h"

#include <inttypes.h>

enum {
    FETCH_BYTES = 1 << 20,        /* of one partition, when there are few of them */
    FETCH_BYTES_MIN = 1 << 16,    /* when there are many; all together stay near half of pipeline_bytes */
    FETCH_WAIT_MS = 250,          /* also how long a stop may have to wait for */
    FETCH_ONCE_MS = 20,           /* the same, while a run with --once waits for feeders */
    INFLATE_BYTES_MAX = 64 << 20, /* of one record batch ('inflate_bytes') */
    READ_BYTES = 4 << 20,         /* values in one batch of events */
    HEADERS_MAX = 128,            /* of one record; more are left out */
    GROUP_BYTES_MAX = 249,
};

static const char *const starts[] = {"earliest", "latest", "committed", NULL};

/* Bytes that batches share: a fetched answer, or a record batch that was unpacked. */
struct mr_topic_bytes {
    _Atomic uint32_t refs;
    struct mr_fetched got; /* release NULL: none */
    struct mr_buf buf;
};

static const struct mr_option options[] = {
    {.name = "name",
     .type = MR_OPT_STRING,
     .at = offsetof(struct mr_topic_source, name),
     .required = true,
     .main = true,
     .help = "The topic to read; it is made when it does not exist.",
     .example = "access"},
    {.name = "start",
     .type = MR_OPT_ENUM,
     .at = offsetof(struct mr_topic_source, start),
     .value = "earliest",
     .choices = starts,
     .help = "Where to begin when no position is stored: earliest or latest; committed: nowhere, the group "
             "must have one."},
    {.name = "group",
     .type = MR_OPT_STRING,
     .at = offsetof(struct mr_topic_source, group),
     .help = "Consumer group that keeps the positions and shares out the partitions; without it the pipeline "
             "keeps them, and reads all.",
     .example = "billing"},
    {.name = "codec",
     .type = MR_OPT_STRING,
     .at = offsetof(struct mr_topic_source, codec),
     .value = "json",
     .help = "How values become fields: json, raw, logfmt ... (a format of the step `parse`).",
     .example = "raw"},
    {0},
};

/* ---------------------------------------------------------------- shared bytes */

static struct mr_topic_bytes *shared_new(void)
{
    struct mr_topic_bytes *s = mr_alloc(sizeof *s);
    if (s)
        atomic_init(&s->refs, 1);
    return s;
}

static void shared_drop(void *what) /* any thread */
{
    struct mr_topic_bytes *s = what;
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    if (s->got.release)
        s->got.release(s->got.what);
    mr_free(s->buf.p);
    mr_free(s);
}

static bool shared_pin(struct mr_batch *b, struct mr_topic_bytes *s)
{
    atomic_fetch_add(&s->refs, 1);
    if (mr_batch_pin(b, shared_drop, s))
        return true;
    shared_drop(s);
    return false;
}

/* ---------------------------------------------------------------- calls */

struct mr_topic_call *mr_topic_call_new(struct mr_topic_source *s, uint32_t partition)
{
    struct mr_topic_call *c = mr_need(sizeof *c);
    c->source = s;
    c->line = s->part->line;
    c->partition = partition;
    c->next = s->calls;
    s->calls = c;
    s->part->line->calls_out++;
    return c;
}

/* The source that the call was for, or NULL when it has closed. */
struct mr_topic_source *mr_topic_call_back(struct mr_topic_call *c)
{
    struct mr_topic_source *s = c->source;
    c->line->calls_out--;
    if (s) {
        struct mr_topic_call **at = &s->calls;
        while (*at != c)
            at = &(*at)->next;
        *at = c->next;
    } else {
        mr_pipeline_poke(c->line); /* it may be waiting for us to end */
    }
    mr_free(c);
    return s;
}

void mr_topic_fail(struct mr_topic_source *s, mr_code rc, const char *why)
{
    s->failed = rc;
    (void)snprintf(s->why, sizeof s->why, "topic '%.*s': %s", MR_SLICE_ARG(s->name),
                   why && *why ? why : mr_code_text(rc));
    mr_pipeline_source_ready((struct mr_source *)s->part);
}

static void tell_trouble(struct mr_topic_source *s, const char *why, mr_code rc)
{
    if (!s->told)
        mr_part_log(s->part, MR_WARN, "topic '%.*s': %s; trying again until it goes", MR_SLICE_ARG(s->name),
                    why && *why ? why : mr_code_text(rc));
    s->told = true;
}

static bool fed(const struct mr_topic_source *s)
{
    struct mr_pipeline *l = s->part->line;
    char name[256];
    (void)snprintf(name, sizeof name, "%.*s", MR_SLICE_ARG(s->name));
    return l->env.fed && l->env.fed(l->env.arg, l, name);
}

/* ---------------------------------------------------------------- fetching */

static void fetch_again(void *arg)
{
    struct mr_topic_part *p = arg;
    p->again.fire = NULL;
    mr_topic_fetch(p);
}

static void take_answer(struct mr_topic_source *s, struct mr_topic_part *p, const struct mr_fetched *got,
                        bool after_feeders)
{
    if (s->told)
        mr_part_log(s->part, MR_INFO, "goes on");
    s->told = false;
    p->attempts = 0;
    p->end = got->end_offset;
    if (s->part->line->env.once && p->stop_at < 0 && after_feeders)
        p->stop_at = got->end_offset;
    if (got->bytes.len == 0) {
        if (p->next == -1)
            p->next = got->end_offset;
        else if (p->next == -2)
            p->next = got->start_offset;
        if (got->release)
            got->release(got->what);
    } else {
        struct mr_topic_bytes *c = shared_new();
        if (!c) {
            if (got->release)
                got->release(got->what);
            mr_topic_fail(s, MR_MEMORY, NULL);
            return;
        }
        c->got = *got;
        p->chunk = c;
        p->rest = got->bytes;
    }
    if (p->stop_at >= 0 && p->next >= p->stop_at)
        p->ended = true;
    if (!p->chunk && !p->ended)
        mr_topic_fetch(p);
    if (p->chunk || p->ended)
        mr_pipeline_source_ready((struct mr_source *)s->part);
}

static void fetched(void *arg, mr_code rc, struct mr_fetched *got, const char *why)
{
    struct mr_topic_call *c = arg;
    uint32_t index = c->partition;
    bool after = c->after_feeders;
    struct mr_topic_source *s = mr_topic_call_back(c);
    if (!s) {
        if (got && got->release)
            got->release(got->what);
        return;
    }
    struct mr_topic_part *p = &s->partitions[index];
    p->fetching = false;
    if (rc == MR_OK) {
        take_answer(s, p, got, after);
        return;
    }
    int64_t start = got ? got->start_offset : 0;
    if (got && got->release)
        got->release(got->what);
    struct mr_world *w = s->part->line->env.world;
    if (rc == MR_RANGE) {
        mr_part_log(s->part, MR_WARN,
                    "topic '%.*s' partition %" PRId32 ": offset %" PRId64
                    " is not there any more; going on at %" PRId64,
                    MR_SLICE_ARG(s->name), p->id, p->next, start);
        mr_count(&s->part->line->n.errors, 1);
        p->next = start;
        mr_topic_fetch(p);
    } else if (mr_passing(rc) || rc == MR_NOTFOUND || rc == MR_CANCELLED) {
        tell_trouble(s, why, rc);
        p->again.fire = fetch_again;
        p->again.arg = p;
        mr_timer_set(w, &p->again, mr_now(w) + mr_backoff(w, 100, ++p->attempts));
    } else {
        mr_topic_fail(s, rc, why);
    }
}

void mr_topic_fetch(struct mr_topic_part *p)
{
    struct mr_topic_source *s = p->source;
    struct mr_pipeline *l = s->part->line;
    if (p->fetching || p->chunk || p->ended || mr_pipeline_over(l) || l->stopping || s->revoking)
        return;
    int64_t share = l->conf->bytes / 2 / (int64_t)s->count;
    size_t bytes = share > FETCH_BYTES       ? FETCH_BYTES
                   : share < FETCH_BYTES_MIN ? FETCH_BYTES_MIN
                                             : (size_t)share;
    struct mr_topic_call *c = mr_topic_call_new(s, (uint32_t)(p - s->partitions));
    c->after_feeders = !fed(s);
    c->fetch = true;
    p->fetching = true;
    l->env.topics->ops->fetch(l->env.topics, l->env.world, s->name, p->id, p->next, bytes,
                              !l->env.once       ? FETCH_WAIT_MS
                              : c->after_feeders ? 0
                                                 : FETCH_ONCE_MS,
                              fetched, c);
}

/* ---------------------------------------------------------------- opening */

static void ensure(void *arg);

int64_t mr_topic_stored(const struct mr_topic_source *s, int32_t partition)
{
    char key[300];
    (void)snprintf(key, sizeof key, "%.*s/%" PRId32, MR_SLICE_ARG(s->name), partition);
    for (uint32_t i = 0; i < s->stored_count; i++)
        if (mr_slice_eq(s->stored[i].key, mr_slice_of(key)) && s->stored[i].pos.len == 8) {
            uint64_t v = 0;
            for (int k = 0; k < 8; k++)
                v |= (uint64_t)(unsigned char)s->stored[i].pos.p[k] << (8 * k);
            return (int64_t)v;
        }
    return s->start == MR_TOPIC_LATEST ? -1 : -2;
}

bool mr_topic_parts(struct mr_topic_source *s, const struct mr_topic_offset *at, uint32_t count)
{
    s->partitions = mr_alloc(((size_t)count + 1) * sizeof *s->partitions);
    if (!s->partitions) {
        mr_topic_fail(s, MR_MEMORY, NULL);
        return false;
    }
    s->count = count;
    s->turn = 0;
    s->ready = true;
    for (uint32_t i = 0; i < count; i++) {
        struct mr_topic_part *p = &s->partitions[i];
        p->source = s;
        p->id = at ? at[i].partition : (int32_t)i;
        p->stop_at = p->end = -1;
        p->committed = p->sent = at ? at[i].offset : -1;
        p->next = p->committed >= 0 ? p->committed : mr_topic_stored(s, p->id);
        if (at)
            (void)snprintf(p->pos_key, sizeof p->pos_key, "%.*s/%" PRId32 "#%u", MR_SLICE_ARG(s->name), p->id,
                           s->round);
        else
            (void)snprintf(p->pos_key, sizeof p->pos_key, "%.*s/%" PRId32, MR_SLICE_ARG(s->name), p->id);
    }
    for (uint32_t i = 0; i < count; i++)
        mr_topic_fetch(&s->partitions[i]);
    return true;
}

void mr_topic_drop_parts(struct mr_topic_source *s)
{
    struct mr_world *w = s->part->line->env.world;
    for (struct mr_topic_call **at = &s->calls, *c; (c = *at);) {
        if (c->fetch) {
            c->source = NULL; /* its answer is let go */
            *at = c->next;
        } else {
            at = &c->next;
        }
    }
    for (uint32_t i = 0; i < s->count; i++) {
        struct mr_topic_part *p = &s->partitions[i];
        mr_timer_stop(w, &p->again);
        shared_drop(p->chunk);
        shared_drop(p->unpacked);
    }
    mr_free(s->partitions);
    s->partitions = NULL;
    s->count = 0;
    s->ready = false;
}

static void ensured(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why)
{
    struct mr_topic_call *c = arg;
    struct mr_topic_source *s = mr_topic_call_back(c);
    if (!s)
        return;
    struct mr_world *w = s->part->line->env.world;
    if (rc != MR_OK && (mr_passing(rc) || rc == MR_CANCELLED)) {
        tell_trouble(s, why, rc);
        s->again.fire = ensure;
        s->again.arg = s;
        mr_timer_set(w, &s->again, mr_now(w) + mr_backoff(w, 100, ++s->attempts));
        return;
    }
    if (rc != MR_OK) {
        mr_topic_fail(s, rc, why);
        return;
    }
    if (s->group.len)
        mr_topic_group_join(s);
    else
        (void)mr_topic_parts(s, NULL, (uint32_t)info->partitions);
}

static void ensure(void *arg)
{
    struct mr_topic_source *s = arg;
    struct mr_pipeline *l = s->part->line;
    if (!mr_pipeline_over(l))
        l->env.topics->ops->ensure(l->env.topics, l->env.world, s->name, 0, ensured, mr_topic_call_new(s, 0));
}

static void feeders_changed(struct mr_source *source)
{
    struct mr_topic_source *s = source->part.self;
    if (!s->ready || fed(s))
        return;
    for (uint32_t i = 0; i < s->count; i++)
        mr_topic_fetch(&s->partitions[i]); /* one that is out is answered soon, and then asks again */
}

static mr_code wrong(struct mr_err *err, const char *option, const char *text)
{
    mr_code rc = mr_fail(err, MR_BADCONF, "%s", text);
    if (err)
        err->option = option;
    return rc;
}

static mr_code check(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct mr_topic_source *s = self;
    if (s->start == MR_TOPIC_COMMITTED && !s->group.len)
        return wrong(err, "start",
                     "'start: committed' is of a consumer group: add 'group', or write earliest or latest");
    if (s->group.len > GROUP_BYTES_MAX)
        return wrong(err, "group", "the name of a consumer group has at most 249 bytes");
    if (mr_slice_eq(s->codec, MR_SLICE("json")))
        return MR_OK;
    struct mr_decoder *d = NULL;
    mr_code rc = o->services->decoder_new(s->codec.p, s->codec.len, NULL, &d, err);
    if (rc == MR_OK)
        o->services->decoder_free(d);
    else if (err)
        err->option = "codec";
    return rc;
}

static mr_code open_source(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct mr_topic_source *s = self;
    s->svc = o->services;
    s->part = (struct mr_part *)o->host;
    s->json = mr_slice_eq(s->codec, MR_SLICE("json"));
    if (!s->json) {
        mr_code rc = s->svc->decoder_new(s->codec.p, s->codec.len, NULL, &s->decoder, err);
        if (rc != MR_OK)
            return rc;
    }
    mr_heap_arena_init(&s->kept, 4096, 0, 64 << 20);
    s->stored = mr_arena_take(&s->kept.arena, (o->position_count + 1) * sizeof *s->stored);
    if (!s->stored)
        return mr_fail(err, MR_MEMORY, "no memory for positions");
    for (uint32_t i = 0; i < o->position_count; i++) {
        s->stored[i].key = mr_slice_copy(&s->kept.arena, o->positions[i].key);
        s->stored[i].pos = mr_slice_copy(&s->kept.arena, o->positions[i].pos);
        s->stored_count++;
    }
    ((struct mr_source *)s->part)->feeders_changed = feeders_changed;
    ((struct mr_source *)s->part)->grouped = s->group.len > 0;
    ensure(s);
    return MR_OK;
}

static void close_source(void *self)
{
    struct mr_topic_source *s = self;
    if (!s->part)
        return;
    struct mr_world *w = s->part->line->env.world;
    mr_topic_group_leave(s);
    mr_topic_drop_parts(s);
    for (struct mr_topic_call *c = s->calls; c; c = c->next)
        c->source = NULL;
    s->calls = NULL;
    mr_timer_stop(w, &s->again);
    mr_heap_arena_fini(&s->kept);
    if (s->decoder)
        s->svc->decoder_free(s->decoder);
    memset(s, 0, sizeof *s);
}

/* ---------------------------------------------------------------- reading */

static bool add_headers(struct mr_batch *b, uint32_t row, const struct mr_record *r)
{
    if (!r->header_count)
        return true;
    if (!b->headers) {
        b->headers = mr_arena_take(b->arena, b->cap * sizeof *b->headers);
        if (!b->headers)
            return false;
        memset(b->headers, 0, b->cap * sizeof *b->headers);
    }
    uint32_t room = r->header_count < HEADERS_MAX ? r->header_count : HEADERS_MAX, n = 0;
    struct mr_member *m = mr_arena_take(b->arena, room * sizeof *m);
    struct mr_slice rest = r->headers;
    struct mr_header h;
    if (!m)
        return false;
    while (mr_record_headers(&rest, &h)) {
        uint32_t i = 0; /* no name twice: the last one counts */
        while (i < n && !(m[i].name_len == h.name.len && memcmp(m[i].name, h.name.p, h.name.len) == 0))
            i++;
        if (i == room)
            continue;
        struct mr_value v = h.null_value ? (struct mr_value){.tag = MR_NULL} : mr_value_string(h.value);
        m[i] = (struct mr_member){.name = h.name.p, .name_len = (uint32_t)h.name.len, .v = v};
        n += i == n;
    }
    b->headers[row] = (struct mr_value){.tag = MR_OBJECT, .len = n, .u.object = m};
    return true;
}

/* The next record of a partition. MR_OK, MR_END: the chunk is used up; else: it is damaged. */
static mr_code next_record(struct mr_topic_part *p, struct mr_record *r, struct mr_err *err)
{
    if (p->holding) {
        p->holding = false;
        *r = p->held;
        return MR_OK;
    }
    for (;;) {
        if (p->walking) {
            mr_code rc = mr_record_walk_next(&p->walk, r, err);
            if (rc == MR_OK && (p->walk.head.attributes & 0x20))
                continue; /* a transaction's marker, not an event */
            if (rc == MR_OK && p->next >= 0 && r->offset < p->next)
                continue; /* the batch began before */
            if (rc != MR_END)
                return rc;
            p->walking = false;
            p->next = p->walk.head.base_offset + p->walk.head.last_offset_delta + 1;
            shared_drop(p->unpacked);
            p->unpacked = NULL;
        }
        struct mr_batch_header head;
        mr_code rc = mr_batch_header_read(p->rest, &head, err);
        if (rc != MR_OK)
            return rc;
        struct mr_slice batch = {p->rest.p, (size_t)head.length + 12};
        p->rest = (struct mr_slice){p->rest.p + batch.len, p->rest.len - batch.len};
        if (!(p->unpacked = shared_new()))
            return mr_fail(err, MR_MEMORY, "no memory for a record batch");
        rc = mr_record_walk_begin(&p->walk, batch, &p->unpacked->buf, INFLATE_BYTES_MAX, err);
        if (rc != MR_OK)
            return rc;
        p->walking = true;
    }
}

/* Puts one record into a row. false: no room in the batch for it beside the rows before. */
static bool add_row(struct mr_topic_source *s, struct mr_batch *b, uint32_t row, const struct mr_record *r,
                    int32_t *slot)
{
    struct mr_err err;
    b->offset[row] = r->offset;
    b->time[row] =
        r->timestamp > INT64_MAX / 1000000 || r->timestamp < 0 ? MR_TIME_NONE : r->timestamp * 1000000;
    if (r->has_key)
        b->key[row] = mr_value_string(r->key);
    if (!add_headers(b, row, r))
        return false;
    if (!r->has_value)
        return true; /* a tombstone: an event without fields */
    mr_err_clear(&err);
    if (s->json) {
        mr_code rc = mr_json_read_row(b, row, r->value, &err);
        if (rc == MR_OK)
            return true;
        if (rc == MR_LIMIT && row > 0)
            return false;
        for (uint32_t c = 0; c < b->columns; c++)
            b->column[c].v[row] = (struct mr_value){0};
        mr_batch_touch(b, row);
        mr_batch_reject(b, row, "not a JSON object: %s", err.text);
    }
    if (*slot < 0)
        *slot = mr_batch_slot(b, "message", 7, true);
    if (*slot < 0)
        return false;
    b->column[*slot].v[row] = mr_value_string(r->value);
    return true;
}

/* Makes rows in doubling steps: each step goes over all of them. */
static void rows_for(struct mr_batch *b, uint32_t rows, int32_t more)
{
    if (rows <= b->rows)
        return;
    uint32_t want = b->rows * 2 > rows + (uint32_t)more ? b->rows * 2 : rows + (uint32_t)more;
    mr_batch_rows(b, want < b->cap ? want : b->cap);
}

static mr_code fill(struct mr_topic_source *s, struct mr_topic_part *p, struct mr_batch *b,
                    struct mr_err *err)
{
    struct mr_record r;
    int32_t slot = -1;
    uint32_t rows = 0;
    size_t bytes = 0;
    struct mr_topic_bytes *pinned = NULL;
    mr_code rc = MR_OK;
    if (p->broken.code != MR_OK) {
        *err = p->broken;
        return err->code;
    }
    if (!shared_pin(b, p->chunk))
        return mr_fail(err, MR_MEMORY, "no memory for a batch");
    while (rows < b->cap && bytes < READ_BYTES && (rc = next_record(p, &r, err)) == MR_OK) {
        if (p->stop_at >= 0 && r.offset >= p->stop_at) {
            p->ended = true;
            break;
        }
        if (p->unpacked != pinned && p->unpacked->buf.len) {
            if (!shared_pin(b, p->unpacked))
                return mr_fail(err, MR_MEMORY, "no memory for a batch");
            pinned = p->unpacked;
        }
        rows_for(b, rows + 1, p->walk.left > 0 ? p->walk.left : 0);
        if (!add_row(s, b, rows, &r, &slot)) {
            if (rows == 0)
                return mr_fail(err, MR_LIMIT,
                               "topic '%.*s' offset %" PRId64
                               ": the record does not fit a batch ('batch_bytes')",
                               MR_SLICE_ARG(s->name), r.offset);
            p->held = r; /* the next batch has room */
            p->holding = true;
            break;
        }
        rows++;
        bytes += r.value.len + r.key.len + r.headers.len;
        p->next = r.offset + 1;
    }
    mr_batch_rows(b, rows);
    if (rc != MR_OK && rc != MR_END) {
        mr_wrap(err, "topic '%.*s' partition %" PRId32 " near offset %" PRId64, MR_SLICE_ARG(s->name), p->id,
                p->next);
        if (rows == 0)
            return rc;
        p->broken = *err; /* first the records before it */
    }
    if (rc == MR_END || p->ended) {
        shared_drop(p->chunk);
        p->chunk = NULL;
    }
    if (p->stop_at >= 0 && p->next >= p->stop_at)
        p->ended = true;
    ((struct mr_source *)s->part)->pinned = bytes;
    if (rows && s->decoder)
        s->svc->decode(s->decoder, &s->part->host, b, slot, (struct mr_slice){NULL, 0});
    return MR_OK;
}

static void set_position(struct mr_topic_source *s, struct mr_topic_part *p, struct mr_batch *b)
{
    char pos[8];
    for (int i = 0; i < 8; i++)
        pos[i] = (char)((uint64_t)p->next >> (8 * i));
    b->partition = p->id;
    b->source = mr_slice_copy(b->arena, s->name);
    b->pos_key = mr_slice_copy(b->arena, mr_slice_of(p->pos_key));
    b->pos = mr_slice_copy(b->arena, (struct mr_slice){pos, sizeof pos});
}

static void tell_lag(struct mr_topic_source *s)
{
    int64_t lag = 0;
    for (uint32_t i = 0; i < s->count; i++)
        if (s->partitions[i].end > s->partitions[i].next && s->partitions[i].next >= 0)
            lag += s->partitions[i].end - s->partitions[i].next;
    struct mr_pipeline *l = s->part->line;
    ((struct mr_source *)s->part)->lag = lag;
    lag = 0;
    for (uint32_t i = 0; i < l->conf->from_count; i++)
        lag += l->sources[i].lag > 0 ? l->sources[i].lag : 0;
    atomic_store_explicit(&l->n.lag, lag, memory_order_relaxed);
}

static mr_code read_source(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct mr_topic_source *s = self;
    if (s->failed != MR_OK)
        return mr_fail(err, s->failed, "%s", s->why);
    if (s->revoking)
        return MR_AGAIN;
    for (uint32_t i = 0; i < s->count; i++) {
        struct mr_topic_part *p = &s->partitions[(s->turn + i) % s->count];
        while (p->chunk) {
            int64_t from = p->next;
            mr_code rc = fill(s, p, b, err);
            if (rc != MR_OK)
                return rc;
            if (!p->chunk)
                mr_topic_fetch(p);
            /* A group's position passes what is no event, such as markers: its lag is seen by people. */
            if (b->rows || (s->group.len && p->next != from)) {
                s->turn = (s->turn + i + 1) % s->count;
                set_position(s, p, b);
                tell_lag(s);
                return MR_OK;
            }
        }
    }
    bool all = s->ready;
    for (uint32_t i = 0; i < s->count; i++)
        all &= s->partitions[i].ended;
    return all ? MR_END : MR_AGAIN;
}

const struct mr_component mr_topic_source_component = {
    .size = sizeof(struct mr_component),
    .kind = MR_SOURCE,
    .name = "topic",
    .summary = "Read the records of a topic, all partitions.",
    .doc =
        "Each record is one event: its value decoded by `codec`, `m.key`, `m.headers`, `m.topic`, "
        "`m.partition` and\n"
        "`m.offset` as they are, and the record's timestamp as event time. A record without a value is an "
        "event\n"
        "without fields. A value that does not decode goes the way of `on_error` with its bytes in "
        "`message`.\n"
        "\n"
        "Without `group` the pipeline keeps its position itself, with the state of its steps, and reads all\n"
        "partitions. With `group` it is a member of that consumer group: positions are the group's\n"
        "(`millrace group describe` shows them and the lag; they can be reset while the pipeline is down),\n"
        "and pipelines and other clients in the same group share the partitions, by the assignor `range`.\n"
        "A pipeline that had no group begins where it stood. When partitions go to another member, what is\n"
        "on its way is committed first; windows stay, so a window over a shared topic has one result for\n"
        "each member that had events of it.\n"
        "\n"
        "When the offset it stands at has been\n"
        "deleted by retention, reading goes on at the oldest record there is, and a warning says so.\n"
        "\n"
        "With `--once` it ends at the end of the topic, after the pipelines of the same run that write to "
        "the\n"
        "topic have ended.\n"
        "\n"
        "```yaml\n"
        "from: { topic: { name: access, start: latest } }\n"
        "```\n",
    .self_size = sizeof(struct mr_topic_source),
    .options = options,
    .check = check,
    .open = open_source,
    .close = close_source,
    .read = read_source,
    .traits = MR_REPLAYS,
};
