/* kit_port.c - the topics port of the tests: everything in memory, every answer posted. */
#include "pipeline/kit.h"

#include "base/buf.h"

#include <stdlib.h>

enum { ENSURE, PRODUCE, FETCH };

struct call {
    int kind;
    struct kit_port *port;
    struct mr_world *world;
    void (*ensured)(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why);
    void (*produced)(void *arg, mr_code rc, int64_t base_offset, const char *why);
    void (*fetched)(void *arg, mr_code rc, struct mr_fetched *got, const char *why);
    void *arg;
    mr_code rc;
    struct mr_topic_info info;
    int64_t base;
    struct mr_fetched got;
    char topic[64];
    int32_t partition;
    int64_t offset;
    struct mr_timer timer;
    mr_ms until;
};

static void answer(void *arg)
{
    struct call *c = arg;
    pthread_mutex_lock(&c->port->lock);
    c->port->out--;
    pthread_mutex_unlock(&c->port->lock);
    const char *why = c->rc == MR_OK ? NULL : "the port was told to fail";
    if (c->kind == ENSURE)
        c->ensured(c->arg, c->rc, &c->info, why);
    else if (c->kind == PRODUCE)
        c->produced(c->arg, c->rc, c->base, why);
    else
        c->fetched(c->arg, c->rc, &c->got, why);
    mr_free(c);
}

static struct call *call_new(struct mr_topics *t, struct mr_world *w, int kind, struct mr_slice topic,
                             void *arg)
{
    struct call *c = mr_need(sizeof *c);
    c->kind = kind;
    c->port = (struct kit_port *)t;
    c->world = w;
    c->arg = arg;
    (void)snprintf(c->topic, sizeof c->topic, "%.*s", MR_SLICE_ARG(topic));
    c->port->out++;
    return c;
}

static struct kit_topic *find(struct kit_port *p, const char *name)
{
    for (size_t i = 0; i < KIT_TOPICS; i++) {
        struct kit_topic *t = &p->topic[i];
        if (t->name[0] && strcmp(t->name, name) != 0)
            continue;
        if (!t->name[0]) {
            (void)snprintf(t->name, sizeof t->name, "%s", name);
            t->partitions = p->default_partitions;
        }
        return t;
    }
    abort();
}

struct kit_topic *kit_topic(struct kit_port *p, const char *name)
{
    return find(p, name);
}

static void
port_ensure(struct mr_topics *t, struct mr_world *w, struct mr_slice topic, int32_t partitions,
            void (*done)(void *arg, mr_code rc, const struct mr_topic_info *info, const char *why), void *arg)
{
    struct kit_port *p = (struct kit_port *)t;
    (void)partitions;
    pthread_mutex_lock(&p->lock);
    struct call *c = call_new(t, w, ENSURE, topic, arg);
    c->ensured = done;
    if (p->fail_ensure) {
        p->fail_ensure--;
        c->rc = p->fail_code;
    } else {
        c->info.partitions = find(p, c->topic)->partitions;
    }
    pthread_mutex_unlock(&p->lock);
    mr_post(w, answer, c);
}

static void append(struct kit_partition *p, const char *bytes, size_t len, int64_t *base)
{
    struct mr_batch_header h;
    struct mr_err err;
    *base = p->end;
    while (len) {
        if (mr_batch_header_read((struct mr_slice){bytes, len}, &h, &err) != MR_OK)
            abort();
        size_t whole = (size_t)h.length + 12, at = p->bytes.len;
        if (!mr_batch_crc_ok((struct mr_slice){bytes, whole}) || !mr_buf_put(&p->bytes, bytes, whole))
            abort();
        for (int i = 0; i < 8; i++) /* the base offset is not in the checksum */
            p->bytes.p[at + (size_t)i] = (char)((uint64_t)p->end >> (56 - 8 * i));
        for (int32_t i = 0; i <= h.last_offset_delta; i++, p->end++) {
            if ((size_t)p->end == p->at_cap) {
                p->at_cap = p->at_cap ? p->at_cap * 2 : 64;
                p->at = realloc(p->at, p->at_cap * sizeof *p->at);
                if (!p->at)
                    abort();
            }
            p->at[p->end] = at;
        }
        bytes += whole;
        len -= whole;
    }
}

static void port_produce(struct mr_topics *t, struct mr_world *w, struct mr_slice topic, int32_t partition,
                         struct mr_buf bytes,
                         void (*done)(void *arg, mr_code rc, int64_t base_offset, const char *why), void *arg)
{
    struct kit_port *p = (struct kit_port *)t;
    pthread_mutex_lock(&p->lock);
    struct call *c = call_new(t, w, PRODUCE, topic, arg);
    c->produced = done;
    p->produces++;
    if (p->fail_produce) {
        p->fail_produce--;
        c->rc = p->fail_code;
    } else if (p->max_bytes && bytes.len > p->max_bytes) {
        c->rc = MR_LIMIT;
    } else {
        append(&find(p, c->topic)->p[partition], bytes.p, bytes.len, &c->base);
    }
    pthread_mutex_unlock(&p->lock);
    mr_buf_fini(&bytes);
    mr_post(w, answer, c);
}

static bool try_fetch(struct call *c)
{
    struct kit_partition *p = &find(c->port, c->topic)->p[c->partition];
    if (c->offset == -2)
        c->offset = 0;
    if (c->offset == -1)
        c->offset = p->end;
    c->got.end_offset = p->end;
    if (c->offset > p->end) {
        c->rc = MR_RANGE;
        return true;
    }
    if (c->offset == p->end)
        return false;
    size_t at = p->at[c->offset], len = p->bytes.len - at;
    struct mr_batch_header h;
    struct mr_err err;
    if (mr_batch_header_read((struct mr_slice){p->bytes.p + at, len}, &h, &err) != MR_OK)
        abort();
    if (len > 4096 && (size_t)h.length + 12 <= 4096) { /* whole batches only */
        size_t n = 0;
        while (n + 12 < len &&
               mr_batch_header_read((struct mr_slice){p->bytes.p + at + n, len - n}, &h, &err) == MR_OK &&
               n + (size_t)h.length + 12 <= 4096)
            n += (size_t)h.length + 12;
        len = n;
    } else if (len > 4096) {
        len = (size_t)h.length + 12;
    }
    char *copy = malloc(len);
    if (!copy)
        abort();
    memcpy(copy, p->bytes.p + at, len);
    c->got.bytes = (struct mr_slice){copy, len};
    c->got.release = free;
    c->got.what = copy;
    return true;
}

static void fetch_tick(void *arg)
{
    struct call *c = arg;
    pthread_mutex_lock(&c->port->lock);
    bool fails = c->port->fail_fetch > 0;
    if (fails) {
        c->port->fail_fetch--;
        c->rc = c->port->fail_code;
    }
    bool done = fails || try_fetch(c) || mr_now(c->world) >= c->until;
    pthread_mutex_unlock(&c->port->lock);
    if (done) {
        answer(c);
        return;
    }
    c->timer.fire = fetch_tick;
    c->timer.arg = c;
    mr_timer_set(c->world, &c->timer, mr_now(c->world) + 5);
}

static void port_fetch(struct mr_topics *t, struct mr_world *w, struct mr_slice topic, int32_t partition,
                       int64_t offset, size_t max_bytes, mr_ms wait_ms,
                       void (*done)(void *arg, mr_code rc, struct mr_fetched *got, const char *why),
                       void *arg)
{
    struct kit_port *p = (struct kit_port *)t;
    (void)max_bytes;
    pthread_mutex_lock(&p->lock);
    struct call *c = call_new(t, w, FETCH, topic, arg);
    c->fetched = done;
    c->partition = partition;
    c->offset = offset;
    c->until = mr_now(w) + wait_ms;
    pthread_mutex_unlock(&p->lock);
    mr_post(w, fetch_tick, c);
}

static const struct mr_topics_ops ops = {.ensure = port_ensure, .produce = port_produce, .fetch = port_fetch};

void kit_port_init(struct kit_port *p)
{
    memset(p, 0, sizeof *p);
    p->port.ops = &ops;
    p->default_partitions = 1;
    (void)pthread_mutex_init(&p->lock, NULL);
}

void kit_port_fini(struct kit_port *p)
{
    assert_int_equal(p->out, 0); /* every call was answered before the world went */
    for (size_t i = 0; i < KIT_TOPICS; i++)
        for (size_t k = 0; k < KIT_PARTITIONS; k++) {
            mr_buf_fini(&p->topic[i].p[k].bytes);
            free(p->topic[i].p[k].at);
        }
    (void)pthread_mutex_destroy(&p->lock);
}

char *kit_topic_text(struct kit_port *p, const char *name, bool headers)
{
    struct mr_buf out = {0}, scratch = {0};
    struct kit_topic *t = find(p, name);
    for (int32_t i = 0; i < t->partitions; i++) {
        struct mr_slice rest = {t->p[i].bytes.p, t->p[i].bytes.len};
        while (rest.len) {
            struct mr_record_walk walk;
            struct mr_record r;
            struct mr_batch_header h;
            struct mr_err err;
            assert_int_equal(mr_batch_header_read(rest, &h, &err), MR_OK);
            struct mr_slice batch = {rest.p, (size_t)h.length + 12};
            assert_int_equal(mr_record_walk_begin(&walk, batch, &scratch, 1 << 24, &err), MR_OK);
            while (mr_record_walk_next(&walk, &r, &err) == MR_OK) {
                struct mr_slice hs = r.headers;
                struct mr_header one;
                while (headers && mr_record_headers(&hs, &one))
                    (void)mr_buf_printf(&out, "%.*s=%.*s;", MR_SLICE_ARG(one.name), MR_SLICE_ARG(one.value));
                if (r.has_key)
                    (void)mr_buf_printf(&out, "%.*s:", MR_SLICE_ARG(r.key));
                (void)mr_buf_printf(&out, "%.*s\n", MR_SLICE_ARG(r.value));
            }
            rest = (struct mr_slice){rest.p + batch.len, rest.len - batch.len};
        }
    }
    (void)mr_buf_put(&out, "", 1);
    mr_buf_fini(&scratch);
    return out.p;
}

void kit_topic_add(struct kit_port *p, const char *name, int32_t partition, const char *key,
                   const char *value)
{
    struct mr_buf bytes = {0};
    struct mr_record_build b;
    struct mr_err err;
    struct mr_slice k = mr_slice_of(key), v = mr_slice_of(value);
    int64_t base;
    mr_record_build_begin(&b, &bytes);
    assert_true(mr_record_build_add(&b, 1000, key ? &k : NULL, value ? &v : NULL, NULL, 0));
    assert_int_equal(mr_record_build_end(&b, MR_CODEC_NONE, -1, -1, -1, &err), MR_OK);
    pthread_mutex_lock(&p->lock);
    append(&find(p, name)->p[partition], bytes.p, bytes.len, &base);
    pthread_mutex_unlock(&p->lock);
    mr_buf_fini(&bytes);
}
