/* topic_sink.c - the output `topic`: events as records, by key to partitions.
 *
 * One write becomes one produce call for each partition it has events for (more when a record batch gets
 * full); the verdict of an event is its record batch's. What is out is bounded by the pipeline's live
 * batches, since each write holds its batch until it is answered.
 */
#include "pipeline/topic.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "data/json.h"
#include "pipeline/inside.h"

enum {
    RECORD_BATCH_BYTES = 900 * 1024, /* below the usual limit of topics, 1 MiB */
    RECORD_BATCH_BYTES_MIN = 1024,
    HEADERS_MAX = 128,
};

enum { FORMAT_JSON, FORMAT_LINES };
static const char *const formats[] = {"json", "lines", NULL};
static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd", NULL};

struct write {
    struct write *next;
    struct mr_batch *b;
    uint64_t ticket;
    uint32_t count, calls; /* events; calls still out */
    uint16_t *sel;         /* [count] */
    struct mr_verdict *verdict;
};

struct call { /* one record batch */
    struct call *next;
    struct topic_sink *sink; /* NULL: closed meanwhile */
    struct mr_pipeline *line;
    struct write *w;
    uint32_t count;
    uint16_t k[]; /* which of the write's events */
};

struct topic_sink {
    /* options */
    struct mr_slice name;
    struct mr_template *key;
    int format, compression;
    /* own */
    const struct mr_services *svc;
    struct mr_part *part;
    bool ready, ensuring, told;
    int32_t partitions, sticky;
    size_t batch_bytes;
    struct write *writes; /* out, or waiting for the topic */
    struct call *calls;   /* also of ensure */
    struct mr_buf text;
    size_t *ends;          /* [MR_BATCH_ROWS_MAX] */
    struct mr_slice *keys; /* [MR_BATCH_ROWS_MAX]; p NULL: none */
    int32_t *to;           /* [MR_BATCH_ROWS_MAX] partition */
    struct mr_timer again;
    uint32_t attempts;
};

static const struct mr_option options[] = {
    {.name = "name",
     .type = MR_OPT_STRING,
     .at = offsetof(struct topic_sink, name),
     .required = true,
     .main = true,
     .help = "The topic to write to; it is made when it does not exist.",
     .example = "access"},
    {.name = "key",
     .type = MR_OPT_TEMPLATE,
     .at = offsetof(struct topic_sink, key),
     .help = "Key of each record; without it the event's own key (m.key) is kept.",
     .example = "\"{{ client }}\""},
    {.name = "format",
     .type = MR_OPT_ENUM,
     .at = offsetof(struct topic_sink, format),
     .value = "json",
     .choices = formats,
     .help = "Value of each record: json, the whole event; lines, its field `message`."},
    {.name = "compression",
     .type = MR_OPT_ENUM,
     .at = offsetof(struct topic_sink, compression),
     .value = "none",
     .choices = codecs,
     .help = "Codec of record batches: none, gzip, snappy, lz4 or zstd."},
    {0},
};

static void start(struct topic_sink *s, struct write *w);

/* ---------------------------------------------------------------- answers */

static void write_free(struct write *w)
{
    mr_free(w->sel);
    mr_free(w->verdict);
    mr_free(w);
}

static void finish(struct topic_sink *s, struct write *w)
{
    struct write **at = &s->writes;
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    mr_output_answer((struct mr_output *)s->part, w->ticket, w->verdict, w->count);
    write_free(w);
}

static struct topic_sink *call_back(struct call *c)
{
    struct topic_sink *s = c->sink;
    c->line->calls_out--;
    if (s) {
        struct call **at = &s->calls;
        while (*at != c)
            at = &(*at)->next;
        *at = c->next;
    } else {
        mr_pipeline_poke(c->line);
    }
    return s;
}

static struct call *call_new(struct topic_sink *s, struct write *w, uint32_t count)
{
    struct call *c = mr_need(sizeof *c + count * sizeof *c->k);
    c->sink = s;
    c->line = s->part->line;
    c->w = w;
    c->count = count;
    c->next = s->calls;
    s->calls = c;
    c->line->calls_out++;
    return c;
}

static void ensure(void *arg);

static void produced(void *arg, mr_code rc, int64_t base_offset, const char *why)
{
    struct call *c = arg;
    (void)base_offset;
    struct topic_sink *s = call_back(c);
    if (!s) {
        mr_free(c);
        return;
    }
    struct write *w = c->w;
    struct mr_verdict v = {0};
    if (rc != MR_OK) {
        struct mr_slice text = mr_slice_of(why && *why ? why : mr_code_text(rc));
        char *reason = mr_arena_take(w->b->arena, text.len + 1);
        if (reason) {
            memcpy(reason, text.p, text.len);
            reason[text.len] = '\0';
        }
        v.reason = reason ? reason : mr_code_text(rc);
        v.kind = MR_VERDICT_RETRY;
        if (rc == MR_LIMIT && c->count == 1) {
            v.kind = MR_VERDICT_REJECT; /* this one record is too large for the topic */
        } else if (rc == MR_LIMIT) {
            v.after_ms = 1;
            s->batch_bytes = s->batch_bytes / 4 > RECORD_BATCH_BYTES_MIN ? s->batch_bytes / 4 : 0;
        } else if (rc == MR_NOTFOUND) {
            s->ready = false;
        }
    } else if (s->attempts) {
        s->attempts = 0;
        s->told = false;
    }
    for (uint32_t i = 0; i < c->count; i++)
        w->verdict[c->k[i]] = v;
    mr_free(c);
    if (--w->calls == 0)
        finish(s, w);
}

static void ensured(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why)
{
    struct call *c = arg;
    struct topic_sink *s = call_back(c);
    mr_free(c);
    if (!s)
        return;
    struct mr_world *w = s->part->line->env.world;
    s->ensuring = false;
    if (rc == MR_OK) {
        s->ready = true;
        s->partitions = info->partitions > 0 ? info->partitions : 1;
        if (s->told)
            mr_part_log(s->part, MR_INFO, "goes on");
        s->told = false;
        s->attempts = 0;
        struct write *next;
        for (struct write *x = s->writes; x; x = next) {
            next = x->next;
            if (!x->calls)
                start(s, x);
        }
    } else if (mr_passing(rc) || rc == MR_CANCELLED) {
        if (!s->told)
            mr_part_log(s->part, MR_WARN, "topic '%.*s': %s; trying again until it goes",
                        MR_SLICE_ARG(s->name), why && *why ? why : mr_code_text(rc));
        s->told = true;
        s->again.fire = ensure;
        s->again.arg = s;
        mr_timer_set(w, &s->again, mr_now(w) + mr_backoff(w, 100, ++s->attempts));
    } else {
        mr_pipeline_fail(s->part->line, s->part, "topic '%.*s': %s", MR_SLICE_ARG(s->name),
                         why && *why ? why : mr_code_text(rc));
    }
}

static void ensure(void *arg)
{
    struct topic_sink *s = arg;
    struct mr_pipeline *l = s->part->line;
    if (s->ensuring || mr_pipeline_over(l))
        return;
    s->ensuring = true;
    l->env.topics->ops->ensure(l->env.topics, l->env.world, s->name, 0, ensured, call_new(s, NULL, 0));
}

/* ---------------------------------------------------------------- building records */

static mr_code encode(struct topic_sink *s, struct mr_batch *b, struct mr_err *err)
{
    s->text.len = 0;
    if (s->format == FORMAT_LINES)
        return s->svc->encode(&s->part->host, "lines", b, &s->text, s->ends, err);
    return mr_json_write_rows(&s->text, b, s->ends) ? MR_OK
                                                    : mr_fail(err, MR_MEMORY, "no memory to encode a batch");
}

static void keys_of(struct topic_sink *s, struct mr_batch *b)
{
    if (s->partitions > 1)
        s->sticky = (s->sticky + 1) % s->partitions;
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t row = b->sel[k];
        struct mr_slice key = {NULL, 0};
        struct mr_err err;
        if (s->key) {
            key = s->svc->render(s->key, b, row, &err); /* a missing field: no key */
        } else if (b->key[row].tag == MR_STRING || b->key[row].tag == MR_BYTES) {
            key = mr_value_text(&b->key[row]);
            key.p = key.p ? key.p : "";
        }
        s->keys[k] = key;
        s->to[k] = key.p ? (int32_t)((mr_murmur2(key.p, key.len) & 0x7fffffff) % (uint32_t)s->partitions)
                         : s->sticky;
    }
}

/* The event's headers; values that are not text go as JSON. */
static uint32_t headers_of(struct mr_batch *b, uint32_t row, struct mr_header *out)
{
    uint32_t n = 0;
    if (!b->headers || b->headers[row].tag != MR_OBJECT)
        return 0;
    for (uint32_t i = 0; i < b->headers[row].len && n < HEADERS_MAX; i++) {
        const struct mr_member *m = &b->headers[row].u.object[i];
        struct mr_header h = {.name = {m->name, m->name_len}};
        if (m->v.tag == MR_STRING || m->v.tag == MR_BYTES) {
            h.value = mr_value_text(&m->v);
        } else if (m->v.tag == MR_NULL || m->v.tag == MR_MISSING) {
            h.null_value = true;
        } else {
            struct mr_buf text = {0};
            if (mr_json_write(&text, &m->v))
                h.value = mr_slice_copy(b->arena, (struct mr_slice){text.p, text.len});
            mr_buf_fini(&text);
        }
        out[n++] = h;
    }
    return n;
}

/* Hands one record batch to the port. */
static void produce(struct topic_sink *s, struct write *w, int32_t partition, struct mr_buf *bytes,
                    struct mr_record_build *build, const uint16_t *k, uint32_t count)
{
    struct mr_pipeline *l = s->part->line;
    struct mr_err err;
    mr_err_clear(&err);
    if (mr_record_build_end(build, (enum mr_codec)s->compression, -1, -1, -1, &err) != MR_OK) {
        for (uint32_t i = 0; i < count; i++)
            w->verdict[k[i]] =
                (struct mr_verdict){.kind = MR_VERDICT_RETRY, .reason = "no memory to build records"};
        mr_buf_fini(bytes);
        return;
    }
    struct call *c = call_new(s, w, count);
    memcpy(c->k, k, count * sizeof *k);
    w->calls++;
    struct mr_buf moved = *bytes;
    *bytes = (struct mr_buf){0};
    if (l->epoch)
        mr_epoch_produce(l->epoch, s->name, partition, moved, produced, c);
    else
        l->env.topics->ops->produce(l->env.topics, l->env.world, s->name, partition, moved, produced, c);
}

static void one_partition(struct topic_sink *s, struct write *w, int32_t partition, mr_ns now)
{
    struct mr_batch *b = w->b;
    struct mr_buf bytes = {0};
    struct mr_record_build build;
    struct mr_header headers[HEADERS_MAX];
    uint16_t k_of[MR_BATCH_ROWS_MAX];
    uint32_t count = 0;
    for (uint32_t k = 0; k < w->count; k++) {
        if (s->to[k] != partition)
            continue;
        uint32_t row = w->sel[k];
        size_t from = k ? s->ends[k - 1] : 0;
        struct mr_slice value = {s->text.p + from, s->ends[k] - from - 1}; /* without its newline */
        if (count && bytes.len + value.len + s->keys[k].len > s->batch_bytes) {
            produce(s, w, partition, &bytes, &build, k_of, count);
            count = 0;
        }
        if (!count)
            mr_record_build_begin(&build, &bytes);
        int64_t ms = (b->time[row] == MR_TIME_NONE ? now : b->time[row]) / 1000000;
        uint32_t n = headers_of(b, row, headers);
        if (mr_record_build_add(&build, ms, s->keys[k].p ? &s->keys[k] : NULL, &value, headers, n))
            k_of[count++] = (uint16_t)k;
        else
            w->verdict[k] =
                (struct mr_verdict){.kind = MR_VERDICT_REJECT, .reason = "the record is too large"};
    }
    if (count)
        produce(s, w, partition, &bytes, &build, k_of, count);
    else
        mr_buf_fini(&bytes);
}

static void start(struct topic_sink *s, struct write *w)
{
    struct mr_batch *b = w->b;
    struct mr_err err;
    mr_err_clear(&err);
    uint16_t *sel = b->sel;
    uint32_t count = b->count;
    b->sel = w->sel;
    b->count = w->count;
    mr_code rc = encode(s, b, &err);
    if (rc == MR_OK)
        keys_of(s, b);
    b->sel = sel;
    b->count = count;
    w->calls = 1; /* ours, until all are handed over */
    if (rc != MR_OK) {
        for (uint32_t k = 0; k < w->count; k++)
            w->verdict[k] =
                (struct mr_verdict){.kind = MR_VERDICT_RETRY, .reason = "no memory to encode the event"};
    } else {
        mr_ns now = mr_wall(s->part->line->env.world);
        for (int32_t p = 0; p < s->partitions; p++) {
            bool any = s->partitions == 1;
            for (uint32_t k = 0; k < w->count && !any; k++)
                any = s->to[k] == p;
            if (any)
                one_partition(s, w, p, now);
        }
    }
    if (--w->calls == 0) /* nothing could be handed over */
        s->svc->written(&s->part->host, w->ticket, w->verdict);
}

/* ---------------------------------------------------------------- callbacks */

static mr_code open_sink(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct topic_sink *s = self;
    s->svc = o->services;
    s->part = (struct mr_part *)o->host;
    s->batch_bytes = RECORD_BATCH_BYTES;
    s->ends = mr_alloc(MR_BATCH_ROWS_MAX * sizeof *s->ends);
    s->keys = mr_alloc(MR_BATCH_ROWS_MAX * sizeof *s->keys);
    s->to = mr_alloc(MR_BATCH_ROWS_MAX * sizeof *s->to);
    if (!s->ends || !s->keys || !s->to)
        return mr_fail(err, MR_MEMORY, "no memory for a topic's output");
    ensure(s);
    return MR_OK;
}

static void close_sink(void *self)
{
    struct topic_sink *s = self;
    if (!s->part)
        return;
    for (struct call *c = s->calls; c; c = c->next)
        c->sink = NULL;
    mr_timer_stop(s->part->line->env.world, &s->again);
    while (s->writes) {
        struct write *w = s->writes;
        s->writes = w->next;
        write_free(w);
    }
    mr_buf_fini(&s->text);
    mr_free(s->ends);
    mr_free(s->keys);
    mr_free(s->to);
    s->ends = NULL;
    s->keys = NULL;
    s->to = NULL;
    s->part = NULL;
}

static mr_code write_events(void *self, struct mr_batch *b, uint64_t ticket, struct mr_verdict *verdict,
                            struct mr_err *err)
{
    struct topic_sink *s = self;
    (void)verdict;
    struct write *w = mr_alloc(sizeof *w);
    if (w) {
        w->sel = mr_alloc(b->count * sizeof *w->sel);
        w->verdict = mr_alloc(b->count * sizeof *w->verdict);
    }
    if (!w || !w->sel || !w->verdict) {
        if (w)
            write_free(w);
        return mr_fail(err, MR_GONE, "no memory to write a batch");
    }
    memcpy(w->sel, b->sel, b->count * sizeof *w->sel);
    w->b = b;
    w->ticket = ticket;
    w->count = b->count;
    struct write **last = &s->writes;
    while (*last)
        last = &(*last)->next;
    *last = w; /* in order, also while the topic is being made */
    if (s->ready)
        start(s, w);
    else
        ensure(s);
    return MR_PENDING;
}

const struct mr_component mr_topic_sink_component = {
    .size = sizeof(struct mr_component),
    .kind = MR_SINK,
    .name = "topic",
    .summary = "Write each event as a record of a topic.",
    .doc =
        "The value is the event as JSON (an event that no step touched leaves as the bytes it came in), the\n"
        "timestamp its event time, or the clock's where it has none; `m.headers` become headers. Events with "
        "a key\n"
        "go to the partition that Kafka's own clients would choose (murmur2); the others of one batch go to "
        "one\n"
        "partition together, and the next batch to the next.\n"
        "\n"
        "An event counts as written when its record is as durable as the topic promises. A record that is "
        "too large\n"
        "for the topic goes the way of `on_error`.\n"
        "\n"
        "```yaml\n"
        "to: { topic: { name: access, key: \"{{ client }}\", compression: zstd } }\n"
        "```\n",
    .self_size = sizeof(struct topic_sink),
    .options = options,
    .open = open_sink,
    .close = close_sink,
    .write = write_events,
};
