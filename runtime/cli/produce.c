/* produce.c - `millrace produce`: lines or JSON objects into a topic.
 *
 * A record counts as stored when its delivery report says so. The first that is not stops the
 * reading; the exit code is 1 then. With a transactional id all are committed at the end, or
 * none; or so many at a time.
 */
#include "cli/kafka.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "base/time.h"
#include "data/json.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    ARENA_BYTES = 512 << 20, /* of one line's JSON */
    WAIT_MS = 100,
    STORE_MS_MIN = 60000, /* until a record that is not stored counts as failed, at least */
    PARTITIONS_MAX = 1000000,
    READ_BYTES = 64 << 10, /* of a file that is one record, at a time */
};

struct producer {
    struct mr_kafka k; /* first: the opaque of its callbacks */
    const char *topic, *separator, *null;
    int32_t partition; /* RD_KAFKA_PARTITION_UA: by key */
    bool json, whole, report;
    const char *id;             /* transactional; or NULL */
    int64_t every;              /* records of a transaction; 0: all */
    uint64_t committed;         /* of `sent`, when there is an id */
    const char *const *headers; /* "name=value" */
    uint64_t sent, stored, bytes;
    uint64_t failed;
    rd_kafka_resp_err_t why; /* of the first that failed */
    struct mr_heap_arena arena;
    struct mr_buf scratch[2]; /* base64 of key and value */
    struct mr_kafka_progress progress;
};

/* One record on its way; pointers are NULL for null. */
struct record {
    const void *key, *value;
    size_t key_len, value_len;
    int64_t timestamp; /* ms; 0: now */
    int32_t partition;
    rd_kafka_headers_t *headers; /* or NULL */
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct producer *p = opaque;
    (void)rk;
    if (!m->err) {
        mr_kafka_heard(&p->k);
        p->stored++;
        p->bytes += m->len + m->key_len;
    } else if (p->failed++ == 0) {
        p->why = m->err;
    }
}

/* ------------------------------------------------------------------ a line of text */

static bool fixed_headers(const struct mr_verb *v, struct producer *p, struct record *r)
{
    for (size_t i = 0; p->headers[i]; i++) {
        char name[256];
        const char *value;
        if (!mr_kafka_pair(v, "header", p->headers[i], name, sizeof name, &value))
            return false;
        if (!r->headers)
            r->headers = rd_kafka_headers_new(8);
        (void)rd_kafka_header_add(r->headers, name, -1, value, -1);
    }
    return true;
}

static const void *or_null(const struct producer *p, const char *text, size_t len)
{
    return p->null && strlen(p->null) == len && !memcmp(p->null, text, len) ? NULL : text;
}

static bool read_line(struct producer *p, struct mr_slice line, struct record *r, struct mr_err *err)
{
    const char *value = line.p;
    size_t len = line.len;
    if (p->separator) {
        size_t width = strlen(p->separator);
        const char *at = memmem(line.p, line.len, p->separator, width);
        if (!at)
            return mr_fail(err, MR_BADDATA, "no '%s' (--key-separator) between key and value",
                           p->separator) == MR_OK;
        r->key_len = (size_t)(at - line.p);
        r->key = or_null(p, line.p, r->key_len);
        value = at + width;
        len -= r->key_len + width;
    }
    r->value = or_null(p, value, len);
    r->value_len = len;
    return true;
}

/* ------------------------------------------------------------------ a line of JSON */

/* A string's bytes, anything else as its JSON text, null as NULL. */
static bool bytes_of(struct producer *p, const struct mr_value *v, const void **out, size_t *len,
                     struct mr_err *err)
{
    struct mr_value text = *v;
    struct mr_buf buf = {0};
    *len = 0;
    *out = NULL;
    if (v->tag == MR_NULL)
        return true;
    if (v->tag == MR_JSON && v->hint == MR_STRING && !mr_json_resolve(&p->arena.arena, v, &text))
        return mr_fail(err, MR_LIMIT, "a string is too long") == MR_OK;
    if (text.tag == MR_STRING || text.tag == MR_JSON) {
        *out = text.len ? text.u.s : "";
        *len = text.len;
        return true;
    }
    struct mr_slice kept = {0};
    if (mr_json_write(&buf, &text))
        kept = mr_slice_copy(&p->arena.arena, (struct mr_slice){buf.p, buf.len});
    mr_buf_fini(&buf);
    *out = kept.p;
    *len = kept.len;
    return kept.p || mr_fail(err, MR_MEMORY, "no memory for a value") == MR_OK;
}

static bool base64_of(struct producer *p, const struct mr_value *v, struct mr_buf *buf, const void **out,
                      size_t *len, const char *name, struct mr_err *err)
{
    const void *text;
    buf->len = 0;
    if (!bytes_of(p, v, &text, len, err))
        return false;
    if (!text || !mr_buf_reserve(buf, 1) || !mr_base64_read(buf, text, *len))
        return mr_fail(err, MR_BADDATA, "'%s' is not base64", name) == MR_OK;
    *out = buf->p;
    *len = buf->len;
    return true;
}

static bool add_header(struct producer *p, struct record *r, const char *name, size_t name_len,
                       const struct mr_value *v, bool base64, struct mr_err *err)
{
    struct mr_buf raw = {0};
    const void *value;
    size_t len;
    bool good =
        base64 ? base64_of(p, v, &raw, &value, &len, "value_base64", err) : bytes_of(p, v, &value, &len, err);
    if (good && !r->headers)
        r->headers = rd_kafka_headers_new(8);
    if (good)
        (void)rd_kafka_header_add(r->headers, name, (ssize_t)name_len, value, (ssize_t)len);
    mr_buf_fini(&raw);
    return good;
}

/* {"a":"1"} or [{"key":"a","value":"1"}, ...], which keeps names that come twice */
static bool read_headers(struct producer *p, const struct mr_value *v, struct record *r, struct mr_err *err)
{
    struct mr_value all;
    if (v->tag == MR_NULL)
        return true;
    if (!mr_json_resolve(&p->arena.arena, v, &all))
        return mr_fail(err, MR_LIMIT, "too many headers") == MR_OK;
    for (uint32_t i = 0; all.tag == MR_OBJECT && i < all.len; i++)
        if (!add_header(p, r, all.u.object[i].name, all.u.object[i].name_len, &all.u.object[i].v, false, err))
            return false;
    for (uint32_t i = 0; all.tag == MR_LIST && i < all.len; i++) {
        struct mr_value key = mr_json_member(&all.u.list[i], "key", 3);
        struct mr_value value = mr_json_member(&all.u.list[i], "value", 5);
        struct mr_value coded = mr_json_member(&all.u.list[i], "value_base64", 12);
        const void *name;
        size_t len;
        if (all.u.list[i].tag != MR_JSON || key.tag == MR_MISSING ||
            (value.tag == MR_MISSING && coded.tag == MR_MISSING))
            return mr_fail(err, MR_BADDATA,
                           "a header in a list is written {\"key\":\"a\",\"value\":\"1\"}") == MR_OK;
        if (!bytes_of(p, &key, &name, &len, err) ||
            !add_header(p, r, name ? name : "", len, value.tag == MR_MISSING ? &coded : &value,
                        value.tag == MR_MISSING, err))
            return false;
    }
    return all.tag == MR_OBJECT || all.tag == MR_LIST ||
           mr_fail(err, MR_BADDATA, "'headers' is neither an object nor a list") == MR_OK;
}

static bool read_time(struct producer *p, const struct mr_value *v, struct record *r, struct mr_err *err)
{
    const void *text;
    size_t len;
    mr_ns t;
    if (v->tag == MR_NULL)
        return true;
    if (!bytes_of(p, v, &text, &len, err))
        return false;
    struct mr_slice s = {text, len};
    if (mr_parse_i64(s, &r->timestamp) && r->timestamp >= 0)
        return true;
    if (!mr_rfc3339_parse(s, &t) || t < 0)
        return mr_fail(err, MR_BADDATA,
                       "'timestamp' is neither milliseconds nor a time such as 2025-10-10T13:55:10Z") ==
               MR_OK;
    r->timestamp = t / 1000000;
    return true;
}

static bool read_member(struct producer *p, const struct mr_member *m, struct record *r, struct mr_err *err)
{
    static const char *const names[] = {"key",       "value",     "key_base64", "value_base64", "headers",
                                        "timestamp", "partition", "topic",      "offset"};
    enum { COUNT = sizeof names / sizeof names[0] };
    const void *text;
    size_t len, which = 0;
    int64_t n = 0;
    while (which < COUNT &&
           (strlen(names[which]) != m->name_len || memcmp(names[which], m->name, m->name_len) != 0))
        which++;
    switch (which) {
    case 0:
        return bytes_of(p, &m->v, &r->key, &r->key_len, err);
    case 1:
        return bytes_of(p, &m->v, &r->value, &r->value_len, err);
    case 2:
        return base64_of(p, &m->v, &p->scratch[0], &r->key, &r->key_len, names[which], err);
    case 3:
        return base64_of(p, &m->v, &p->scratch[1], &r->value, &r->value_len, names[which], err);
    case 4:
        return read_headers(p, &m->v, r, err);
    case 5:
        return read_time(p, &m->v, r, err);
    case 6:
        if (m->v.tag == MR_NULL || p->partition != RD_KAFKA_PARTITION_UA)
            return true;
        if (!bytes_of(p, &m->v, &text, &len, err))
            return false;
        if (!mr_parse_i64((struct mr_slice){text, len}, &n) || n < 0 || n > PARTITIONS_MAX)
            return mr_fail(err, MR_BADDATA, "'partition' is not a number of a partition") == MR_OK;
        r->partition = (int32_t)n;
        return true;
    case 7: /* what `consume --json` writes can be read again; where it was is not where it goes */
    case 8:
        return true;
    default:
        break;
    }
    const char *near = mr_nearest((struct mr_slice){m->name, m->name_len}, names, COUNT);
    return mr_fail(err, MR_BADDATA, "unknown member '%.*s'%s%s%s", (int)m->name_len, m->name,
                   near ? "; did you mean '" : ": key, value, headers, timestamp, partition",
                   near ? near : "", near ? "'?" : "") == MR_OK;
}

static bool read_json(struct producer *p, struct mr_slice line, struct record *r, struct mr_err *err)
{
    struct mr_value text, all;
    if (mr_json_read(line, &text, err) != MR_OK)
        return false;
    if (text.tag != MR_JSON || text.hint != MR_OBJECT)
        return mr_fail(err, MR_BADDATA, "not an object: {\"key\":\"k\",\"value\":\"v\"}") == MR_OK;
    if (!mr_json_resolve(&p->arena.arena, &text, &all))
        return mr_fail(err, MR_LIMIT, "too large an object") == MR_OK;
    for (uint32_t i = 0; i < all.len; i++)
        if (!read_member(p, &all.u.object[i], r, err))
            return false;
    return true;
}

/* ------------------------------------------------------------------ sending */

static bool send_one(struct producer *p, struct record *r, struct mr_err *err)
{
    rd_kafka_vu_t words[] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = p->topic},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = r->partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)(uintptr_t)r->key, r->key ? r->key_len : 0}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)(uintptr_t)r->value, r->value ? r->value_len : 0}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = r->timestamp},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = r->headers},
    };
    size_t count = sizeof words / sizeof words[0] - (r->headers ? 0 : 1);
    for (;;) {
        rd_kafka_error_t *e = rd_kafka_produceva(p->k.rk, words, count);
        if (!e) {
            r->headers = NULL; /* moved */
            p->sent++;
            return true;
        }
        rd_kafka_resp_err_t code = rd_kafka_error_code(e);
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            (void)mr_fail(err, MR_IO, "%s (%s)", rd_kafka_error_string(e), rd_kafka_err2name(code));
        rd_kafka_error_destroy(e);
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || mr_kafka_stopped || p->failed)
            return false;
        (void)rd_kafka_poll(p->k.rk, WAIT_MS);
        (void)mr_kafka_watch(&p->k, false);
        mr_kafka_progress_tell(&p->progress, "produced", p->stored, p->bytes);
    }
}

/* Until each has its delivery report; librdkafka fails those that take too long. */
static void settle(struct producer *p)
{
    while (rd_kafka_outq_len(p->k.rk) > 0) {
        (void)rd_kafka_flush(p->k.rk, WAIT_MS);
        (void)mr_kafka_watch(&p->k, false);
        mr_kafka_progress_tell(&p->progress, "produced", p->stored, p->bytes);
    }
}

static bool txn_step(struct producer *p, const char *what, const char *id, rd_kafka_error_t *e)
{
    if (!e)
        return true;
    (void)mr_kafka_refused(&p->k, what, id, rd_kafka_error_code(e), rd_kafka_error_string(e));
    rd_kafka_error_destroy(e);
    return false;
}

static int commit_ms(const struct producer *p)
{
    return p->k.timeout_ms > STORE_MS_MIN ? p->k.timeout_ms : STORE_MS_MIN;
}

/* Everything that was sent becomes part of what readers see. false: told. */
static bool commit(struct producer *p)
{
    settle(p);
    if (p->failed ||
        !txn_step(p, "commit a transaction of", p->id, rd_kafka_commit_transaction(p->k.rk, commit_ms(p))))
        return false;
    p->committed = p->sent;
    return true;
}

static bool begin(struct producer *p)
{
    return txn_step(p, "begin a transaction of", p->id, rd_kafka_begin_transaction(p->k.rk));
}

/* ------------------------------------------------------------------ reading */

/* One record of a line; false: told, or the delivery of another has failed. */
static bool send_line(const struct mr_verb *v, struct producer *p, struct mr_slice line, const char *name,
                      size_t number)
{
    struct mr_err err = {0};
    struct record r = {.partition = p->partition};
    bool good = fixed_headers(v, p, &r) && (p->json ? read_json : read_line)(p, line, &r, &err) &&
                send_one(p, &r, &err);
    if (r.headers)
        rd_kafka_headers_destroy(r.headers);
    mr_heap_arena_reset(&p->arena);
    if (!good && err.text[0] && number)
        mr_cli_say("millrace: error: %s:%zu: %s", name, number, err.text);
    else if (!good && err.text[0])
        mr_cli_say("millrace: error: %s: %s", name, err.text);
    (void)rd_kafka_poll(p->k.rk, 0);
    (void)mr_kafka_watch(&p->k, false);
    mr_kafka_progress_tell(&p->progress, "produced", p->stored, p->bytes);
    if (good && p->every && p->sent - p->committed == (uint64_t)p->every)
        good = commit(p) && begin(p);
    return good;
}

/* Reads to the end, or until something fails. false: told. */
static bool send_lines(const struct mr_verb *v, struct producer *p, FILE *in, const char *name)
{
    char *line = NULL;
    size_t room = 0, number = 0;
    ssize_t got;
    bool good = true;
    while (good && !mr_kafka_stopped && !p->failed && !p->k.fatal && (got = getline(&line, &room, in)) >= 0) {
        size_t len = (size_t)got - (got && line[got - 1] == '\n');
        number++;
        if (p->json && strspn(line, " \t\r\n") >= len)
            continue; /* a blank line between objects */
        good = send_line(v, p, (struct mr_slice){line, len}, name, number);
    }
    free(line);
    return good;
}

/* The whole of it is one record. */
static bool send_whole(const struct mr_verb *v, struct producer *p, FILE *in, const char *name)
{
    struct mr_buf all = {0};
    size_t got = 1;
    bool good = true;
    while (good && got && !mr_kafka_stopped) {
        good = mr_buf_reserve(&all, READ_BYTES);
        got = good ? fread(all.p + all.len, 1, READ_BYTES, in) : 0;
        all.len += got;
    }
    if (!good)
        mr_cli_say("millrace: error: '%s' is too large for one record", name);
    else if (!mr_kafka_stopped && !ferror(in))
        good = send_line(v, p, (struct mr_slice){all.p ? all.p : "", all.len}, name, 0);
    mr_buf_fini(&all);
    return good;
}

static bool send_file(const struct mr_verb *v, struct producer *p, FILE *in, const char *name)
{
    bool good = (p->whole ? send_whole : send_lines)(v, p, in, name);
    if (good && !mr_kafka_stopped && ferror(in)) {
        mr_cli_say("millrace: error: cannot read '%s': %s", name, strerror(errno));
        good = false;
    }
    return good && !p->failed && !p->k.fatal;
}

static bool send_all(const struct mr_verb *v, struct producer *p, const char *const *files, size_t count)
{
    if (count == 0 && isatty(STDIN_FILENO))
        mr_cli_say("millrace: a line is a record; Ctrl-D ends");
    if (count == 0)
        return send_file(v, p, stdin, "standard input");
    for (size_t i = 0; i < count && !mr_kafka_stopped; i++) {
        FILE *in = strcmp(files[i], "-") ? fopen(files[i], "re") : stdin;
        if (!in) {
            mr_cli_say("millrace: error: cannot open '%s': %s", files[i], strerror(errno));
            return false;
        }
        bool good = send_file(v, p, in, files[i]);
        if (in != stdin)
            (void)fclose(in);
        if (!good)
            return false;
    }
    return true;
}

/* ------------------------------------------------------------------ the end */

static bool report(const struct producer *p, int64_t ms)
{
    struct mr_jsonl j = {0};
    mr_jsonl_open(&j, NULL, '{');
    mr_jsonl_text(&j, "topic", p->topic);
    mr_jsonl_int(&j, "records", (int64_t)p->stored);
    mr_jsonl_int(&j, "failed", (int64_t)p->failed);
    if (p->id)
        mr_jsonl_int(&j, "committed", (int64_t)p->committed);
    mr_jsonl_int(&j, "bytes", (int64_t)p->bytes);
    mr_jsonl_int(&j, "ms", ms);
    return mr_jsonl_end(&j);
}

static int tell_end(struct producer *p, bool good)
{
    char took[32], lost[64] = "";
    int64_t ms = mr_kafka_now_ms() - p->progress.started_ms;
    bool all = !p->id || p->committed == p->sent;
    mr_kafka_progress_end(&p->progress);
    (void)mr_duration_print(ms, took);
    if (p->failed)
        mr_cli_say("millrace: error: %" PRIu64 " of %" PRIu64 " records were not stored: %s (%s)", p->failed,
                   p->sent, rd_kafka_err2str(p->why), rd_kafka_err2name(p->why));
    else if (p->k.fatal)
        mr_cli_say("millrace: error: the client gave up: %s", p->k.trouble);
    if (!all && p->committed == 0)
        (void)snprintf(lost, sizeof lost, "; none of them is committed");
    else if (!all)
        (void)snprintf(lost, sizeof lost, "; the last %" PRIu64 " are not committed", p->sent - p->committed);
    if (p->report)
        good = report(p, ms) && good;
    else
        mr_cli_say("produced %" PRIu64 " record%s, %" PRIu64 " bytes, to '%s' in %s%s%s", p->stored,
                   p->stored == 1 ? "" : "s", p->bytes, p->topic, took, lost,
                   mr_kafka_stopped ? "; interrupted before the input ended" : "");
    return good && !p->failed && all ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static int produce_all(const struct mr_verb *v, struct producer *p, const char *const *files, size_t count)
{
    if (p->id &&
        (!txn_step(p, "start transactions as", p->id, rd_kafka_init_transactions(p->k.rk, p->k.timeout_ms)) ||
         !begin(p)))
        return MR_EXIT_FAILED;
    mr_kafka_progress_start(&p->progress);
    bool good = send_all(v, p, files, count);
    if (!p->id)
        settle(p);
    else if (good && !mr_kafka_stopped)
        good = commit(p);
    if (p->id && p->committed < p->sent && !p->k.fatal) /* who is fenced has nothing to abort any more */
        (void)txn_step(p, "abort a transaction of", p->id, rd_kafka_abort_transaction(p->k.rk, commit_ms(p)));
    return tell_end(p, good);
}

/* ------------------------------------------------------------------ the verb */

/* The value as librdkafka wants it; NULL: told. */
static const char *choice(const struct mr_verb *v, const char *what, const char *given,
                          const char *const *known, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(given, known[i]))
            return known[i];
    char see[64];
    (void)snprintf(see, sizeof see, "millrace %s --help", v->name);
    (void)mr_cli_unknown(what, given, known, count, see);
    return NULL;
}

static int produce(const struct mr_verb *v, int argc, char **argv)
{
    static const char *const codecs[] = {"none", "gzip", "snappy", "lz4", "zstd"};
    static const char *const none[] = {NULL};
    static const char *const acks_of[] = {"0", "1", "all"};
    static struct producer p;
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    const char *words[MR_CLI_FILES_MAX], *partition = NULL, *codec = "none", *acks = "all", *every = NULL;
    const char *headers[MR_CLI_MANY_MAX + 1] = {0};
    bool make = false;
    int64_t n = RD_KAFKA_PARTITION_UA;
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        {"key-separator", "TEXT", "what stands before it in a line is the key", NULL, &p.separator},
        {"headers", "NAME=VALUE...", "a header of every record; may be repeated", NULL, headers},
        {"null", "TEXT", "a value or key that is TEXT is null (a tombstone)", NULL, &p.null},
        {"json", NULL, "a line is an object: key, value, headers, timestamp, partition", &p.json, NULL},
        {"partition", "N", "all go there (by key; without key, spread)", NULL, &partition},
        {"compression", "CODEC", "none, gzip, snappy, lz4, zstd (none)", NULL, &codec},
        {"acks", "0|1|all", "who has a record before it counts as stored (all)", NULL, &acks},
        {"transactional-id", "ID", "all are committed at the end, or none", NULL, &p.id},
        {"transaction-every", "N", "so many are committed at a time instead", NULL, &every},
        {"whole", NULL, "a file is one record, with all its lines", &p.whole, NULL},
        {"report", NULL, "says at the end what was stored as an object on standard output", &p.report, NULL},
        {"create", NULL, "makes the topic when it is missing", &make, NULL},
        MR_KAFKA_COMMON_FLAGS(f),
        {0},
    };
    if (!mr_cli_options(v, flags, argc, argv, words, MR_CLI_FILES_MAX, &count, &code))
        return code;
    if (count == 0) {
        mr_cli_say("millrace %s: no topic given; usage: millrace %s", v->name, v->usage);
        return MR_EXIT_USAGE;
    }
    if ((partition && !mr_kafka_number(v, "--partition", partition, 0, PARTITIONS_MAX, &n)) ||
        !choice(v, "codec", codec, codecs, 5) || !choice(v, "acks", acks, acks_of, 3))
        return MR_EXIT_USAGE;
    if (every && !mr_kafka_number(v, "--transaction-every", every, 1, INT64_MAX, &p.every))
        return MR_EXIT_USAGE;
    if (every && !p.id) {
        mr_cli_say("millrace %s: --transaction-every needs a --transactional-id", v->name);
        return MR_EXIT_USAGE;
    }
    if (p.id && strcmp(acks, "all") != 0) {
        mr_cli_say("millrace %s: a transaction needs --acks all", v->name);
        return MR_EXIT_USAGE;
    }
    const struct mr_kafka_setting own[] = {
        {"compression.codec", codec},
        {"acks", acks},
        {"enable.idempotence",
         strcmp(acks, "all") ? "false" : "true"}, /* a record sent again is stored once */
        {"partitioner", "murmur2_random"},        /* a key goes where Kafka's own clients put it */
        {"message.timeout.ms", "60000"},
        {"transactional.id", p.id},
        {0},
    };
    rd_kafka_conf_t *conf = mr_kafka_conf(v, &f, own);
    p.topic = words[0];
    p.partition = (int32_t)n;
    p.headers = headers;
    mr_heap_arena_init(&p.arena, 64 << 10, 1 << 20, ARENA_BYTES);
    if (conf)
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    mr_kafka_catch_signals();
    code = mr_kafka_open(&p.k, RD_KAFKA_PRODUCER, conf, &f);
    if (!code && make && !mr_kafka_topic_quiet(&p.k, p.topic))
        code = mr_kafka_create_topic(&p.k, v, p.topic, -1, -1, none);
    const struct rd_kafka_metadata_topic *t = code ? NULL : mr_kafka_topic(&p.k, p.topic);
    if (!code && (!t || (partition && !mr_kafka_has_partition(t, n))))
        code = MR_EXIT_FAILED;
    if (!code)
        code = produce_all(v, &p, words + 1, count - 1);
    mr_kafka_close(&p.k);
    mr_heap_arena_fini(&p.arena);
    mr_buf_fini(&p.scratch[0]);
    mr_buf_fini(&p.scratch[1]);
    return code;
}

const struct mr_verb mr_kafka_verb_produce = {
    .name = "produce",
    .usage = "produce TOPIC [FILE...]",
    .help = "Each line of the files, or of standard input, becomes a record. Exit code 0: all of them are "
            "stored.\n"
            "What `consume --json` writes, `produce --json` reads; bytes that are not text stand there in "
            "base64, as\n"
            "key_base64 and value_base64. A value that is no string is sent as its JSON text.\n\n"
            "  echo hello | millrace produce greetings --create\n"
            "  millrace produce orders --key-separator : --compression zstd orders.txt\n"
            "  millrace consume orders --json --until-end | jq -c 'del(.partition)' | millrace produce copy "
            "--json",
    .run = produce,
};
