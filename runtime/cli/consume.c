/* consume.c - `millrace consume`: the records of a topic on standard output.
 *
 * Words.  Without --group it reads partitions on its own and leaves no trace at the broker. With
 *         --group it is a member: the partitions are shared among members, and what was written
 *         out is committed, once a second and at the end.
 *
 * Laws:   a record is committed after its output was handed to the operating system, not before
 *         --until: what was there at the start, short of that place, is written and no more; of a
 *         group it ends when each partition of this member has nothing more at that moment
 */
#include "cli/print.h"

#include "base/buf.h"
#include "base/text.h"
#include "base/time.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAIT_MS = 100, COMMIT_MS = 1000, PARTITIONS_MAX = 1000000, OUT_BYTES = 256 << 10, POLL_EVERY = 1024 };

struct consumer {
    struct mr_kafka k; /* first: the opaque of its callbacks */
    const char *topic, *group;
    struct mr_printer print;
    bool until_end;                           /* it ends at some place: `ends`, or of a group the end */
    int64_t count;                            /* records to read; -1: no limit */
    rd_kafka_topic_t *rkt;                    /* without a group */
    rd_kafka_queue_t *records;                /* without a group */
    rd_kafka_topic_partition_list_t *parts;   /* being read; .opaque set: at its end */
    rd_kafka_topic_partition_list_t *written; /* of a group: where to go on; what is to be committed */
    rd_kafka_topic_partition_list_t *ends;    /* without a group: where it ends */
    bool assigned, uncommitted;
    bool had_enough; /* standard output was closed by its reader */
    int64_t committed_ms;
    uint64_t records_out, bytes;
    struct mr_kafka_progress progress;
};

/* ------------------------------------------------------------------ output and commits */

/* false: standard output is gone; told, but for a reader that has had enough. */
static bool hand_out(struct consumer *c)
{
    struct mr_buf *out = &c->print.out;
    bool good = out->len == 0 || (fwrite(out->p, 1, out->len, stdout) == out->len && fflush(stdout) == 0);
    out->len = 0;
    if (!good && errno == EPIPE)
        c->had_enough = true;
    else if (!good)
        mr_cli_say("millrace: error: cannot write to standard output: %s", strerror(errno));
    clearerr(stdout); /* it was told */
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

static int start_alone(struct consumer *c, int64_t only, const struct mr_place *from,
                       const struct mr_place *until)
{
    const struct rd_kafka_metadata_topic *t = mr_kafka_topic(&c->k, c->topic);
    if (!t)
        return MR_EXIT_FAILED;
    rd_kafka_topic_partition_list_t *which = mr_kafka_partitions(t);
    if (only >= 0 && !mr_kafka_has_partition(t, only)) {
        rd_kafka_topic_partition_list_destroy(which);
        return MR_EXIT_FAILED;
    }
    if (only >= 0) {
        rd_kafka_topic_partition_list_destroy(which);
        which = rd_kafka_topic_partition_list_new(1);
        (void)rd_kafka_topic_partition_list_add(which, c->topic, (int32_t)only);
    }
    c->parts = mr_kafka_places(&c->k, which, from, NULL);
    c->ends = mr_kafka_places(&c->k, which, until, NULL);
    rd_kafka_topic_partition_list_destroy(which);
    if (!c->ends)
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
        mr_kafka_heard(&c->k);
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
    bool good;
    int64_t end = c->until_end ? end_of(c, m->partition) : INT64_MAX;
    mark_end(c, m->partition, m->offset + 1 >= end);
    if (m->offset >= end)
        return true; /* it came after the start */
    good = mr_printer_put(&c->print, m);
    if (!good)
        mr_cli_say("millrace: error: no memory for a record of %zu bytes", m->len);
    c->records_out++;
    c->bytes += m->len + m->key_len;
    if (c->group)
        remember(c, m->partition, m->offset + 1);
    return good && (c->print.out.len < OUT_BYTES || hand_out(c));
}

static bool done(const struct consumer *c)
{
    return mr_kafka_stopped || (c->count >= 0 && c->records_out >= (uint64_t)c->count) ||
           (c->until_end && all_ended(c));
}

static int read_all(struct consumer *c)
{
    bool good = true, reader = true, waits = !isatty(STDERR_FILENO) || c->until_end;
    mr_kafka_progress_start(&c->progress);
    c->progress.on = c->progress.on && !isatty(STDOUT_FILENO); /* the records themselves show it */
    c->committed_ms = mr_kafka_now_ms();
    while (good && reader && !done(c)) {
        rd_kafka_message_t *m = next(c, 0);
        if (!m) { /* nothing is at hand: what there is goes out before the wait */
            reader = hand_out(c);
            if (!waits && (waits = all_ended(c) || c->records_out) && c->records_out == 0)
                mr_cli_say("millrace: nothing there yet; waiting, Ctrl-C ends");
            m = reader ? next(c, WAIT_MS) : NULL;
        }
        if (m && m->err)
            good = bear(c, m);
        else if (m) {
            mr_kafka_heard(&c->k);
            reader = put_record(c, m);
        }
        if (m)
            rd_kafka_message_destroy(m);
        if (c->k.fatal) {
            mr_cli_say("millrace: error: the client gave up: %s", c->k.trouble);
            good = false;
        }
        if (c->uncommitted && mr_kafka_now_ms() - c->committed_ms >= COMMIT_MS &&
            (reader = reader && hand_out(c)))
            (void)commit(c, false);
        good = good && mr_kafka_watch(&c->k, c->until_end || c->count >= 0);
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
    mr_printer_fini(&c->print);
}

/* ------------------------------------------------------------------ the verb */

struct words {
    const char *from, *until, *partition, *count;
    struct mr_place start, end;
    int64_t only;
};

/* 0, or the exit code. */
static int understand(const struct mr_verb *v, struct consumer *c, struct words *w)
{
    struct mr_err err = {0};
    if (w->from && mr_place_parse(w->from, false, &w->start, &err)) {
        mr_cli_say("millrace %s: --from: %s", v->name, err.text);
        return MR_EXIT_USAGE;
    }
    if (w->until && mr_place_parse(w->until, false, &w->end, &err)) {
        mr_cli_say("millrace %s: --until: %s", v->name, err.text);
        return MR_EXIT_USAGE;
    }
    c->until_end = c->until_end || w->until;
    if ((w->partition && !mr_kafka_number(v, "--partition", w->partition, 0, PARTITIONS_MAX, &w->only)) ||
        (w->count && !mr_kafka_number(v, "--count", w->count, 0, INT64_MAX, &c->count)))
        return MR_EXIT_USAGE;
    if (c->group && w->partition) {
        mr_cli_say(
            "millrace %s: a group shares the partitions out itself: --partition does not go with --group",
            v->name);
        return MR_EXIT_USAGE;
    }
    if (c->group && w->end.kind != MR_PLACE_END) {
        mr_cli_say("millrace %s: a group ends at the end, at --count or by Ctrl-C: --until end", v->name);
        return MR_EXIT_USAGE;
    }
    if (c->group && w->start.kind != MR_PLACE_BEGINNING && w->start.kind != MR_PLACE_END) {
        mr_cli_say("millrace %s: a group starts at what it committed, a new one at --from beginning or end\n"
                   "  = `millrace group reset %s --topic %s --to %s` moves it",
                   v->name, c->group, c->topic, w->from);
        return MR_EXIT_USAGE;
    }
    return MR_EXIT_OK;
}

static int consume_it(const struct mr_verb *v, struct consumer *c, const struct mr_kafka_flags *f,
                      const struct words *w, bool uncommitted)
{
    const struct mr_kafka_setting own[] = {
        {"group.id", c->group},
        {"enable.auto.commit", "false"},
        {"enable.partition.eof", "true"},
        {"auto.offset.reset", w->start.kind == MR_PLACE_END ? "latest" : "earliest"},
        /* A full queue makes this librdkafka wait out the backoff of errors: 3 million records in
         * 7.6 s with its own settings, 1.7 s with these (one core, loopback). 64 MiB is its limit
         * in bytes. */
        {"queued.min.messages", "1000000"},
        {"fetch.error.backoff.ms", "50"},
        {"isolation.level", uncommitted ? "read_uncommitted" : "read_committed"},
        {0},
    };
    rd_kafka_conf_t *conf = mr_kafka_conf(v, f, own);
    if (conf && c->group)
        rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    mr_kafka_catch_signals();
    int code = mr_kafka_open(&c->k, RD_KAFKA_CONSUMER, conf, f);
    if (!code && c->group)
        code = mr_kafka_topic(&c->k, c->topic) ? join(c) : MR_EXIT_FAILED;
    else if (!code)
        code = start_alone(c, w->only, &w->start, &w->end);
    if (!code)
        code = read_all(c);
    stop(c);
    return code;
}

static int consume(const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    struct consumer c = {.count = -1};
    struct words w = {.start = {MR_PLACE_BEGINNING, 0}, .end = {MR_PLACE_END, 0}, .only = -1};
    const char *format = NULL, *decode[MR_CLI_MANY_MAX + 1] = {0};
    bool uncommitted = false;
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        {"from", "PLACE", "beginning, end, an offset, -N, a time, a duration (beginning)", NULL, &w.from},
        {"until", "PLACE", "ends there, short of it; beyond the present end is the end", NULL, &w.until},
        {"until-end", NULL, "the same as --until end: ends when all there is was read", &c.until_end, NULL},
        {"count", "N", "ends after so many records", NULL, &w.count},
        {"partition", "N", "this one alone", NULL, &w.partition},
        {"group", "NAME", "as a member of this group; what was written out is committed", NULL, &c.group},
        {"format", "TEXT", "what is written for a record (%v\\n): see above", NULL, &format},
        MR_KAFKA_JSON_FLAG(f, "an object a line, as `produce --json` reads it"),
        {"decode", "[key=]AS...", "values (keys) as bytes, json, hex, base64, int: see above", NULL, decode},
        {"null", "TEXT", "what stands for null with --format (nothing)", NULL, &c.print.null},
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
    if (f.json && format) {
        mr_cli_say("millrace %s: --json and --format are two ways to write a record; choose one", v->name);
        return MR_EXIT_USAGE;
    }
    c.print.json = f.json;
    if (!c.print.null && mr_decode_is_kafkas(c.topic))
        c.print.null = "null"; /* which says there that it is deleted */
    char *text = strdup(format ? format : mr_decode_is_kafkas(c.topic) ? "%k %v\\n" : "%v\\n");
    code = !text ? MR_EXIT_FAILED
           : !mr_printer_format(v, &c.print, text) || !mr_printer_decode(v, &c.print, decode, c.topic)
               ? MR_EXIT_USAGE
               : understand(v, &c, &w);
    if (!code)
        code = consume_it(v, &c, &f, &w, uncommitted);
    free(text);
    return code;
}

const struct mr_verb mr_kafka_verb_consume = {
    .name = "consume",
    .usage = "consume TOPIC",
    .help =
        "Writes the records of a topic to standard output until Ctrl-C, --count or --until-end.\n\n"
        "  millrace consume orders --from -10 --until-end\n"
        "  millrace consume orders --from 2h --format '%D %p/%o %k: %v\\n'\n"
        "  millrace consume orders --from 2025-10-10T13:00:00Z --json | jq .value\n"
        "  millrace consume orders --from 2h --until 1h --decode key=int --json\n"
        "  millrace consume orders --group billing --count 100\n"
        "  millrace consume __consumer_offsets --until end\n\n"
        "--from: beginning, end, an offset (1200), the last ones of each partition (-10), a time\n"
        "(2025-10-10T13:00:00Z, @1760101200000), so long ago (2h30m).\n"
        "--format: " MR_PRINT_FORMAT_HELP "\n"
        "--decode: bytes (as they are), json (stays JSON in --json), hex, base64, int (1, 2, 4 or 8 bytes, "
        "signed,\n"
        "most significant first), for values, or for keys as key=AS; may be repeated. What Kafka keeps in\n"
        "__consumer_offsets and __transaction_state is shown as JSON; --decode bytes --decode key=bytes "
        "shows it "
        "as it is.",
    .run = consume,
};
