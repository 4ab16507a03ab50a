/* consume.c - `millrace consume`: the records of a topic on standard output.
 *
 * Words.  Without --group it reads partitions on its own and leaves no trace at the broker. With --group it
 * is a member: the partitions are shared among members, and what was written out is committed, once a second
 *         and at the end.
 *
 * Laws:   a record is committed after its output was handed to the operating system, never before
 *         --until-end: what was there at the start is written and nothing that came later; of a group it ends
 * when each partition of this member has nothing more at that moment
 */
#include "cli/kafka.h"

#include "base/buf.h"
#include "base/text.h"
#include "base/time.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAIT_MS = 100, COMMIT_MS = 1000, PARTITIONS_MAX = 1000000, OUT_BYTES = 256 << 10, POLL_EVERY = 1024 };

/* A piece of --format: text as it is, or one of the letters. */
struct piece {
    char letter; /* 0: text */
    const char *text;
    size_t len;
};
enum { PIECES_MAX = 64 };

struct consumer {
    struct mr_kafka k; /* first: the opaque of its callbacks */
    const char *topic, *group, *null;
    bool json, until_end;
    int64_t count; /* records to read; -1: no limit */
    struct piece pieces[PIECES_MAX];
    size_t piece_count;
    rd_kafka_topic_t *rkt;                    /* without a group */
    rd_kafka_queue_t *records;                /* without a group */
    rd_kafka_topic_partition_list_t *parts;   /* being read; .opaque set: at its end */
    rd_kafka_topic_partition_list_t *written; /* of a group: where to go on; what is to be committed */
    rd_kafka_topic_partition_list_t *ends;    /* without a group: the next offsets at the start */
    bool assigned, uncommitted;
    bool had_enough; /* standard output was closed by its reader */
    int64_t committed_ms;
    struct mr_buf out;
    struct mr_jsonl line;
    uint64_t records_out, bytes;
    struct mr_kafka_progress progress;
};

/* ------------------------------------------------------------------ --format */

static const char letters[] = "kvtophTDKS%";

/* Escapes are taken in place: "a\n" becomes two bytes. false: told. */
static bool parse_format(const struct mr_verb *v, struct consumer *c, char *text)
{
    char *to = text, *start = text;
    for (char *p = text; *p; p++) {
        struct piece *last = &c->pieces[c->piece_count];
        if (c->piece_count + 2 > PIECES_MAX) {
            mr_cli_say("millrace %s: --format has more than %d pieces", v->name, PIECES_MAX);
            return false;
        }
        if (*p == '\\') {
            static const char from[] = "nt0r\\", into[] = "\n\t\0\r\\";
            const char *at = p[1] ? strchr(from, p[1]) : NULL;
            if (!at) {
                mr_cli_say("millrace %s: --format: '\\%c' is none of \\n \\t \\r \\0 \\\\", v->name,
                           p[1] ? p[1] : ' ');
                return false;
            }
            *to++ = into[at - from];
            p++;
        } else if (*p == '%') {
            if (!p[1] || !strchr(letters, p[1])) {
                mr_cli_say(
                    "millrace %s: --format: '%%%c' is none of %%k key, %%v value, %%t topic, %%o offset, %%p "
                    "partition, %%h headers, %%T timestamp, %%D date, %%K and %%S sizes of key and value, "
                    "%%%%",
                    v->name, p[1] ? p[1] : ' ');
                return false;
            }
            if (to > start)
                *last = (struct piece){0, start, (size_t)(to - start)}, c->piece_count++;
            c->pieces[c->piece_count++] = (struct piece){.letter = p[1]};
            p++;
            start = to;
        } else {
            *to++ = *p;
        }
    }
    if (to > start)
        c->pieces[c->piece_count++] = (struct piece){0, start, (size_t)(to - start)};
    return true;
}

static bool put_bytes(struct consumer *c, const void *p, size_t len)
{
    if (!p && c->null)
        return mr_buf_puts(&c->out, c->null);
    return mr_buf_put(&c->out, p ? p : "", p ? len : 0);
}

static bool put_headers(struct consumer *c, const rd_kafka_message_t *m)
{
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t len;
    if (rd_kafka_message_headers(m, &headers))
        return true; /* it has none */
    for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &len); i++)
        if (!mr_buf_printf(&c->out, "%s%s=", i ? "," : "", name) || !put_bytes(c, value, len))
            return false;
    return true;
}

static bool put_piece(struct consumer *c, const struct piece *piece, const rd_kafka_message_t *m)
{
    rd_kafka_timestamp_type_t kind;
    char date[40];
    switch (piece->letter) {
    case 0:
        return mr_buf_put(&c->out, piece->text, piece->len);
    case 'k':
        return put_bytes(c, m->key, m->key_len);
    case 'v':
        return put_bytes(c, m->payload, m->len);
    case 't':
        return mr_buf_puts(&c->out, rd_kafka_topic_name(m->rkt));
    case 'o':
        return mr_buf_printf(&c->out, "%" PRId64, m->offset);
    case 'p':
        return mr_buf_printf(&c->out, "%" PRId32, m->partition);
    case 'h':
        return put_headers(c, m);
    case 'T':
        return mr_buf_printf(&c->out, "%" PRId64, rd_kafka_message_timestamp(m, &kind));
    case 'D':
        (void)mr_rfc3339_print(rd_kafka_message_timestamp(m, &kind) * 1000000, date);
        return mr_buf_puts(&c->out, date);
    case 'K':
        return mr_buf_printf(&c->out, "%zd", m->key ? (ssize_t)m->key_len : -1);
    case 'S':
        return mr_buf_printf(&c->out, "%zd", m->payload ? (ssize_t)m->len : -1);
    default:
        return mr_buf_puts(&c->out, "%");
    }
}

static bool put_json(struct consumer *c, const rd_kafka_message_t *m)
{
    struct mr_jsonl *j = &c->line;
    rd_kafka_timestamp_type_t kind;
    rd_kafka_headers_t *headers = NULL;
    const char *name;
    const void *value;
    size_t len;
    int64_t time = rd_kafka_message_timestamp(m, &kind);
    mr_jsonl_open(j, NULL, '{');
    mr_jsonl_text(j, "topic", rd_kafka_topic_name(m->rkt));
    mr_jsonl_int(j, "partition", m->partition);
    mr_jsonl_int(j, "offset", m->offset);
    if (kind != RD_KAFKA_TIMESTAMP_NOT_AVAILABLE && time >= 0)
        mr_jsonl_int(j, "timestamp", time);
    mr_jsonl_bytes(j, "key", m->key, m->key_len);
    mr_jsonl_bytes(j, "value", m->payload, m->len);
    if (!rd_kafka_message_headers(m, &headers)) {
        mr_jsonl_open(j, "headers", '[');
        for (size_t i = 0; !rd_kafka_header_get_all(headers, i, &name, &value, &len); i++) {
            mr_jsonl_open(j, NULL, '{');
            mr_jsonl_text(j, "key", name);
            mr_jsonl_bytes(j, "value", value, len);
            mr_jsonl_close(j, '}');
        }
        mr_jsonl_close(j, ']');
    }
    mr_jsonl_close(j, '}');
    bool good = !j->failed && mr_buf_put(&c->out, j->text.p, j->text.len) && mr_buf_puts(&c->out, "\n");
    j->text.len = 0;
    j->more = false;
    return good;
}

/* ------------------------------------------------------------------ output and commits */

/* false: standard output is gone; told, but for a reader that has had enough. */
static bool hand_out(struct consumer *c)
{
    bool good =
        c->out.len == 0 || (fwrite(c->out.p, 1, c->out.len, stdout) == c->out.len && fflush(stdout) == 0);
    c->out.len = 0;
    if (!good && errno == EPIPE)
        c->had_enough = true;
    else if (!good)
        mr_cli_say("millrace: error: cannot write to standard output: %s", strerror(errno));
    return good;
}

static bool commit(struct consumer *c, bool wait)
{
    if (!c->uncommitted)
        return true;
    rd_kafka_resp_err_t rc = rd_kafka_commit(c->k.rk, c->written, wait ? 0 : 1);
    c->uncommitted = false;
    c->committed_ms = mr_kafka_now_ms();
    if (rc && wait && rc != RD_KAFKA_RESP_ERR__NO_OFFSET) {
        (void)mr_kafka_refused(&c->k, "commit the offsets of group", c->group, rc, NULL);
        return false;
    }
    return true;
}

static void remember(struct consumer *c, int32_t partition, int64_t next)
{
    rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_find(c->written, c->topic, partition);
    if (!p)
        p = rd_kafka_topic_partition_list_add(c->written, c->topic, partition);
    c->uncommitted = c->uncommitted || p->offset != next;
    p->offset = next;
}

/* ------------------------------------------------------------------ partitions */

/* Members of a group are told here which partitions are theirs. */
static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *parts,
                         void *opaque)
{
    struct consumer *c = opaque;
    bool ours = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    if (!ours) {
        if (hand_out(c))
            (void)commit(c, true); /* so that who has them next does not read them again */
        rd_kafka_topic_partition_list_destroy(c->written);
        c->written = rd_kafka_topic_partition_list_new(8);
    }
    (void)rd_kafka_assign(rk, ours ? parts : NULL);
    if (c->parts)
        rd_kafka_topic_partition_list_destroy(c->parts);
    c->parts = ours ? rd_kafka_topic_partition_list_copy(parts) : rd_kafka_topic_partition_list_new(1);
    for (int i = 0; i < c->parts->cnt; i++)
        c->parts->elems[i].opaque = NULL;
    c->assigned = ours;
}

static void mark_end(struct consumer *c, int32_t id, bool at_end)
{
    rd_kafka_topic_partition_t *p =
        c->parts ? rd_kafka_topic_partition_list_find(c->parts, c->topic, id) : NULL;
    if (p)
        p->opaque = at_end ? c : NULL;
}

static bool all_ended(const struct consumer *c)
{
    if (!c->parts || (c->group && !c->assigned))
        return false;
    for (int i = 0; i < c->parts->cnt; i++)
        if (!c->parts->elems[i].opaque)
            return false;
    return true;
}

static int join(struct consumer *c)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    (void)rd_kafka_poll_set_consumer(c->k.rk);
    (void)rd_kafka_topic_partition_list_add(topics, c->topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t rc = rd_kafka_subscribe(c->k.rk, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    c->written = rd_kafka_topic_partition_list_new(8);
    return rc ? mr_kafka_refused(&c->k, "join group", c->group, rc, NULL) : MR_EXIT_OK;
}

static int64_t end_of(const struct consumer *c, int32_t id)
{
    const rd_kafka_topic_partition_t *p =
        c->ends ? rd_kafka_topic_partition_list_find(c->ends, c->topic, id) : NULL;
    return p ? p->offset : INT64_MAX;
}

static int start_alone(struct consumer *c, int64_t only, const struct mr_place *from)
{
    const struct rd_kafka_metadata_topic *t = mr_kafka_topic(&c->k, c->topic);
    if (!t)
        return MR_EXIT_FAILED;
    rd_kafka_topic_partition_list_t *which = mr_kafka_partitions(t);
    if (only >= 0 && !rd_kafka_topic_partition_list_find(which, c->topic, (int32_t)only)) {
        mr_cli_say("millrace: error: topic '%s' has no partition %" PRId64 ", but 0 to %d", c->topic, only,
                   which->cnt - 1);
        rd_kafka_topic_partition_list_destroy(which);
        return MR_EXIT_FAILED;
    }
    if (only >= 0) {
        rd_kafka_topic_partition_list_destroy(which);
        which = rd_kafka_topic_partition_list_new(1);
        (void)rd_kafka_topic_partition_list_add(which, c->topic, (int32_t)only);
    }
    c->parts = mr_kafka_places(&c->k, which, from, NULL);
    c->ends = which;
    if (!mr_kafka_offsets(&c->k, c->ends, MR_KAFKA_NEXT))
        return MR_EXIT_FAILED;
    c->rkt = c->parts ? rd_kafka_topic_new(c->k.rk, c->topic, NULL) : NULL;
    c->records = rd_kafka_queue_new(c->k.rk);
    if (!c->rkt)
        return MR_EXIT_FAILED;
    for (int i = 0; i < c->parts->cnt; i++) {
        rd_kafka_topic_partition_t *p = &c->parts->elems[i];
        p->opaque = p->offset >= end_of(c, p->partition) ? c : NULL;
        if (rd_kafka_consume_start_queue(c->rkt, p->partition, p->offset, c->records))
            return mr_kafka_refused(&c->k, "read topic", c->topic, rd_kafka_last_error(), NULL);
    }
    return MR_EXIT_OK;
}

/* ------------------------------------------------------------------ reading */

static rd_kafka_message_t *next(struct consumer *c, int wait_ms)
{
    if (c->group)
        return rd_kafka_consumer_poll(c->k.rk, wait_ms);
    if (wait_ms || c->records_out % POLL_EVERY == 0)
        (void)rd_kafka_poll(c->k.rk, 0);
    return rd_kafka_consume_queue(c->records, wait_ms);
}

/* What came is no record. false: told, the end. */
static bool bear(struct consumer *c, const rd_kafka_message_t *m)
{
    switch ((int)m->err) {
    case RD_KAFKA_RESP_ERR__PARTITION_EOF:
        mark_end(c, m->partition, true);
        if (c->group) /* past the markers of transactions too, which are no records but count as lag */
            remember(c, m->partition, m->offset);
        return true;
    case RD_KAFKA_RESP_ERR__TRANSPORT: /* it connects again */
    case RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN:
    case RD_KAFKA_RESP_ERR__RESOLVE:
        return true;
    default:
        (void)mr_kafka_refused(&c->k, "read topic", c->topic, m->err, rd_kafka_message_errstr(m));
        return false;
    }
}

static bool put_record(struct consumer *c, const rd_kafka_message_t *m)
{
    bool good = true;
    int64_t end = c->until_end ? end_of(c, m->partition) : INT64_MAX;
    mark_end(c, m->partition, m->offset + 1 >= end);
    if (m->offset >= end)
        return true; /* it came after the start */
    for (size_t i = 0; good && !c->json && i < c->piece_count; i++)
        good = put_piece(c, &c->pieces[i], m);
    if (c->json)
        good = put_json(c, m);
    if (!good)
        mr_cli_say("millrace: error: no memory for a record of %zu bytes", m->len);
    c->records_out++;
    c->bytes += m->len + m->key_len;
    if (c->group)
        remember(c, m->partition, m->offset + 1);
    return good && (c->out.len < OUT_BYTES || hand_out(c));
}

static bool done(const struct consumer *c)
{
    return mr_kafka_stopped || (c->count >= 0 && c->records_out >= (uint64_t)c->count) ||
           (c->until_end && all_ended(c));
}

static int read_all(struct consumer *c)
{
    bool good = true, reader = true;
    mr_kafka_progress_start(&c->progress);
    c->progress.on = c->progress.on && !isatty(STDOUT_FILENO); /* the records themselves show it */
    c->committed_ms = mr_kafka_now_ms();
    while (good && reader && !done(c)) {
        rd_kafka_message_t *m = next(c, 0);
        if (!m) { /* nothing is at hand: what there is goes out before the wait */
            reader = hand_out(c);
            m = reader ? next(c, WAIT_MS) : NULL;
        }
        if (m && m->err)
            good = bear(c, m);
        else if (m)
            reader = put_record(c, m);
        if (m)
            rd_kafka_message_destroy(m);
        if (c->k.fatal) {
            mr_cli_say("millrace: error: the client gave up: %s", c->k.trouble);
            good = false;
        }
        if (c->uncommitted && mr_kafka_now_ms() - c->committed_ms >= COMMIT_MS &&
            (reader = reader && hand_out(c)))
            (void)commit(c, false);
        mr_kafka_progress_tell(&c->progress, "consumed", c->records_out, c->bytes);
    }
    reader = reader && hand_out(c);
    mr_kafka_progress_end(&c->progress);
    if (c->group && reader)
        good = commit(c, true) && good;
    /* a reader that has had enough (`| head`) is no failure; anything else is, and was told */
    return good && (reader || c->had_enough) ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static void stop(struct consumer *c)
{
    for (int i = 0; c->rkt && i < c->parts->cnt; i++)
        (void)rd_kafka_consume_stop(c->rkt, c->parts->elems[i].partition);
    if (c->group && c->k.rk)
        (void)rd_kafka_consumer_close(c->k.rk);
    if (c->records)
        rd_kafka_queue_destroy(c->records);
    if (c->rkt)
        rd_kafka_topic_destroy(c->rkt);
    if (c->parts)
        rd_kafka_topic_partition_list_destroy(c->parts);
    if (c->written)
        rd_kafka_topic_partition_list_destroy(c->written);
    if (c->ends)
        rd_kafka_topic_partition_list_destroy(c->ends);
    mr_kafka_close(&c->k);
    mr_buf_fini(&c->out);
    mr_jsonl_fini(&c->line);
}

/* ------------------------------------------------------------------ the verb */

struct words {
    const char *from, *partition, *count;
};

/* 0, or the exit code. */
static int understand(const struct mr_verb *v, struct consumer *c, const struct words *w,
                      struct mr_place *from, int64_t *only)
{
    struct mr_err err = {0};
    if (w->from && mr_place_parse(w->from, false, from, &err)) {
        mr_cli_say("millrace %s: --from: %s", v->name, err.text);
        return MR_EXIT_USAGE;
    }
    if ((w->partition && !mr_kafka_number(v, "--partition", w->partition, 0, PARTITIONS_MAX, only)) ||
        (w->count && !mr_kafka_number(v, "--count", w->count, 0, INT64_MAX, &c->count)))
        return MR_EXIT_USAGE;
    if (c->group && w->partition) {
        mr_cli_say(
            "millrace %s: a group shares the partitions out itself: --partition does not go with --group",
            v->name);
        return MR_EXIT_USAGE;
    }
    if (c->group && from->kind != MR_PLACE_BEGINNING && from->kind != MR_PLACE_END) {
        mr_cli_say("millrace %s: a group starts at what it committed, a new one at --from beginning or end\n"
                   "  = `millrace group reset %s --topic %s --to %s` moves it",
                   v->name, c->group, c->topic, w->from);
        return MR_EXIT_USAGE;
    }
    return MR_EXIT_OK;
}

static int consume(const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    struct consumer c = {.count = -1};
    struct words w = {0};
    struct mr_place from = {MR_PLACE_BEGINNING, 0};
    const char *format = NULL;
    bool uncommitted = false;
    int64_t only = -1;
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        {"from", "PLACE", "beginning, end, an offset, -N, a time, a duration (beginning)", NULL, &w.from},
        {"partition", "N", "this one alone", NULL, &w.partition},
        {"group", "NAME", "as a member of this group; what was written out is committed", NULL, &c.group},
        {"count", "N", "ends after so many records", NULL, &w.count},
        {"until-end", NULL, "ends when all there is was read", &c.until_end, NULL},
        {"format", "TEXT", "what is written for a record (%v\\n): see above", NULL, &format},
        MR_KAFKA_JSON_FLAG(f, "an object a line, as `produce --json` reads it"),
        {"null", "TEXT", "what stands for null with --format (nothing)", NULL, &c.null},
        {"uncommitted", NULL, "also records of transactions that are open or aborted", &uncommitted, NULL},
        MR_KAFKA_COMMON_FLAGS(f),
        {0},
    };
    if (!mr_cli_options(v, flags, argc, argv, &c.topic, 1, &count, &code))
        return code;
    if (count == 0) {
        mr_cli_say("millrace %s: no topic given; usage: millrace %s", v->name, v->usage);
        return MR_EXIT_USAGE;
    }
    c.json = f.json;
    if (f.json && format) {
        mr_cli_say("millrace %s: --json and --format are two ways to write a record; choose one", v->name);
        return MR_EXIT_USAGE;
    }
    char *text = strdup(format ? format : "%v\\n");
    code = !text                        ? MR_EXIT_FAILED
           : !parse_format(v, &c, text) ? MR_EXIT_USAGE
                                        : understand(v, &c, &w, &from, &only);
    if (!code) {
        const struct mr_kafka_setting own[] = {
            {"group.id", c.group},
            {"enable.auto.commit", "false"},
            {"enable.partition.eof", "true"},
            {"auto.offset.reset", from.kind == MR_PLACE_END ? "latest" : "earliest"},
            /* A full queue makes this librdkafka wait out the backoff of errors: 3 million records in 7.6 s with its
             * own settings, 1.7 s with these (one core, loopback). 64 MiB is its limit in bytes. */
            {"queued.min.messages", "1000000"},
            {"fetch.error.backoff.ms", "50"},
            {"isolation.level", uncommitted ? "read_uncommitted" : "read_committed"},
            {0},
        };
        rd_kafka_conf_t *conf = mr_kafka_conf(v, &f, own);
        if (conf && c.group)
            rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
        mr_kafka_catch_signals();
        code = mr_kafka_open(&c.k, RD_KAFKA_CONSUMER, conf, &f);
        if (!code && c.group)
            code = mr_kafka_topic(&c.k, c.topic) ? join(&c) : MR_EXIT_FAILED;
        else if (!code)
            code = start_alone(&c, only, &from);
        if (!code)
            code = read_all(&c);
        stop(&c);
    }
    free(text);
    return code;
}

const struct mr_verb mr_kafka_verb_consume = {
    .name = "consume",
    .usage = "consume TOPIC",
    .help = "Writes the records of a topic to standard output until Ctrl-C, --count or --until-end.\n\n"
            "  millrace consume orders --from -10 --until-end\n"
            "  millrace consume orders --from 2h --format '%D %p/%o %k: %v\\n'\n"
            "  millrace consume orders --from 2025-10-10T13:00:00Z --json | jq .value\n"
            "  millrace consume orders --group billing --count 100\n\n"
            "--from: beginning, end, an offset (1200), the last ones of each partition (-10), a time\n"
            "(2025-10-10T13:00:00Z, @1760101200000), so long ago (2h30m).\n"
            "--format: %k key, %v value, %t topic, %p partition, %o offset, %h headers, %T timestamp in\n"
            "milliseconds, %D the same as a date, %K and %S the sizes of key and value (-1: null), %%, \\n "
            "\\t \\r \\0 \\\\.",
    .run = consume,
};
