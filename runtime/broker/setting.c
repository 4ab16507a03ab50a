/* setting.c - the table of topic settings. One row each; create, alter, describe and the topic files read it.
 *
 * Rows must keep to what is true: a setting that has no effect here is not in the table, or says so in its
 * help, or has the one value that is served and a reason.
 */
#include "broker/setting.h"

#include "base/assert.h"
#include "base/text.h"

enum kind { NUMBER, CHOICE, ONLY, RATIO, POLICY, CODEC };

struct row {
    const char *name;
    enum kind kind;
    int8_t type;
    size_t at; /* in struct mr_partition_config: int64_t, bool (CHOICE), double (RATIO) */
    int64_t min, max;
    const char *no, *yes; /* CHOICE: false and true. ONLY: what is served, and why nothing else is */
    const char *help;
};

#define AT(field) offsetof(struct mr_partition_config, field)
#define INT       MR_SETTING_INT, AT
#define LONG      MR_SETTING_LONG, AT

static const struct row rows[] = {
    {"cleanup.policy", POLICY, MR_SETTING_LIST, 0, 0, 0, NULL, NULL,
     "What happens to old segments. delete: they go by retention.ms and retention.bytes. compact: of every "
     "key "
     "the newest record stays, and records without a key go. Both: compact,delete. Empty: all stays."},
    {"compression.type", CODEC, MR_SETTING_STRING, AT(compression), 0, 0, NULL, NULL,
     "producer: batches stay as they come. uncompressed, gzip, snappy, lz4, zstd: what comes otherwise is "
     "compressed anew."},
    {"compression.gzip.level", NUMBER, INT(gzip_level), -1, 9, NULL, NULL,
     "Of batches that compression.type gzip compresses anew; -1 and 0: as zlib thinks best."},
    {"compression.lz4.level", NUMBER, INT(lz4_level), 1, 17, NULL, NULL,
     "Of batches that compression.type lz4 compresses anew. 9 is the fast way; the others are thorough, and "
     "beyond 12 all are the same."},
    {"compression.zstd.level", NUMBER, INT(zstd_level), -131072, 22, NULL, NULL,
     "Of batches that compression.type zstd compresses anew."},
    {"delete.retention.ms", NUMBER, LONG(log.delete_retention_ms), 0, INT64_MAX, NULL, NULL,
     "How long compaction keeps the record that says that a key is deleted, and the markers of "
     "transactions."},
    {"durability", CHOICE, MR_SETTING_STRING, AT(durable), 0, 0, "page_cache", "fsync",
     "fsync: acknowledged with acks=all and visible to readers only once on the disk. page_cache: at once; a "
     "loss of power may take the newest records back."},
    {"file.delete.delay.ms", NUMBER, LONG(log.file_delete_delay_ms), 0, INT64_MAX, NULL, NULL,
     "How long the file of a segment that retention dropped stays on the disk, under another name."},
    {"flush.messages", NUMBER, LONG(flush_messages), 1, INT64_MAX, NULL, NULL,
     "With durability page_cache: a sync follows when so many records are not on the disk."},
    {"flush.ms", NUMBER, LONG(flush_ms), 0, INT64_MAX, NULL, NULL,
     "With durability page_cache: a sync follows this long after an append, 0: at once; at the latest with "
     "the "
     "tick."},
    {"follower.replication.throttled.replicas", ONLY, MR_SETTING_LIST, 0, 0, 0, "",
     "a partition has one replica: there is nothing to throttle",
     "Replicas whose copying is held back. A partition has one: none is."},
    {"index.interval.bytes", NUMBER, INT(log.index_interval_bytes), 0, INT32_MAX, NULL, NULL,
     "Bytes between two entries of the offset index."},
    {"leader.replication.throttled.replicas", ONLY, MR_SETTING_LIST, 0, 0, 0, "",
     "a partition has one replica: there is nothing to throttle",
     "Replicas whose copying is held back. A partition has one: none is."},
    {"local.retention.bytes", ONLY, MR_SETTING_LONG, 0, 0, 0, "-2",
     "all of a log is on this node's disk, and retention.bytes is its limit",
     "How much stays here of what is kept elsewhere too. Nothing is: retention.bytes holds."},
    {"local.retention.ms", ONLY, MR_SETTING_LONG, 0, 0, 0, "-2",
     "all of a log is on this node's disk, and retention.ms is its limit",
     "How long what is kept elsewhere too stays here. Nothing is: retention.ms holds."},
    {"max.compaction.lag.ms", NUMBER, LONG(log.max_compaction_lag_ms), 1, INT64_MAX, NULL, NULL,
     "What is older is compacted even when little has changed; the segment in use is closed for it."},
    {"max.message.bytes", NUMBER, INT(log.max_batch_bytes), 0, 256 << 20, NULL, NULL,
     "Largest batch that is taken, in bytes, as compressed."},
    {"message.timestamp.after.max.ms", NUMBER, LONG(after_max_ms), 0, INT64_MAX, NULL, NULL,
     "How far in the future the timestamp of a record may be."},
    {"message.timestamp.before.max.ms", NUMBER, LONG(before_max_ms), 0, INT64_MAX, NULL, NULL,
     "How old the timestamp of a record may be."},
    {"message.timestamp.type", CHOICE, MR_SETTING_STRING, AT(log_append_time), 0, 0, "CreateTime",
     "LogAppendTime", "Whose clock stamps the records: the producer's or the broker's."},
    {"min.cleanable.dirty.ratio", RATIO, MR_SETTING_DOUBLE, AT(log.min_dirty_ratio), 0, 1, NULL, NULL,
     "Compaction begins when this part of the closed segments has not been compacted yet."},
    {"min.compaction.lag.ms", NUMBER, LONG(log.min_compaction_lag_ms), 0, INT64_MAX, NULL, NULL,
     "A segment with a younger record is not compacted."},
    {"min.insync.replicas", NUMBER, INT(min_in_sync), 1, INT32_MAX, NULL, NULL,
     "Replicas that acks=all needs. A partition has one: with more, acks=all is refused."},
    {"preallocate", ONLY, MR_SETTING_BOOL, 0, 0, 0, "false",
     "files grow as they are written, so that a crash leaves no zeros behind the last record",
     "Whether the file of a segment is made in its full size."},
    {"remote.log.copy.disable", ONLY, MR_SETTING_BOOL, 0, 0, 0, "false", "logs are not copied elsewhere",
     "Whether copying to a storage elsewhere is stopped. There is none."},
    {"remote.log.delete.on.disable", ONLY, MR_SETTING_BOOL, 0, 0, 0, "false", "logs are not copied elsewhere",
     "What happens to copies in a storage elsewhere when that ends. There is none."},
    {"remote.storage.enable", ONLY, MR_SETTING_BOOL, 0, 0, 0, "false", "logs are not copied elsewhere",
     "Whether old segments are moved to a storage elsewhere. There is none."},
    {"retention.bytes", NUMBER, LONG(log.retention_bytes), -1, INT64_MAX, NULL, NULL,
     "Oldest segments go while a partition is larger; -1: no limit."},
    {"retention.ms", NUMBER, LONG(log.retention_ms), -1, INT64_MAX, NULL, NULL,
     "Segments go when their newest record is older; -1: no limit."},
    {"segment.bytes", NUMBER, INT(log.segment_bytes), 4096, INT32_MAX, NULL, NULL,
     "A new segment begins beyond this size."},
    {"segment.index.bytes", NUMBER, INT(log.segment_index_bytes), 64, INT32_MAX, NULL, NULL,
     "A new segment begins when the offset index would be larger."},
    {"segment.jitter.ms", NUMBER, LONG(log.segment_jitter_ms), 0, INT64_MAX, NULL, NULL,
     "Up to this much is taken from segment.ms, so that not all segments end at once."},
    {"segment.ms", NUMBER, LONG(log.segment_ms), 1, INT64_MAX, NULL, NULL,
     "A new segment begins beyond this age."},
    {"unclean.leader.election.enable", CHOICE, MR_SETTING_BOOL, AT(unclean), 0, 0, "false", "true",
     "Whether a replica that is behind may lead when no other is there. A partition has one replica: it has "
     "no effect yet."},
};
enum { ROWS = sizeof rows / sizeof rows[0] };
_Static_assert(ROWS <= 64, "`given` has 64 bits");

static const char *const codecs[] = {"producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"};
enum { CODECS = sizeof codecs / sizeof codecs[0] };
static const char *const policies[] = {"delete", "compact"};
enum { DELETE = 1, COMPACT = 2 };

void mr_setting_defaults(struct mr_partition_config *c)
{
    c->after_max_ms = 3600000;
    c->before_max_ms = c->flush_messages = c->flush_ms = INT64_MAX;
    c->min_in_sync = 1;
    c->gzip_level = -1;
    c->lz4_level = 9;
    c->zstd_level = 3;
}

static const struct row *find(struct mr_slice name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (mr_slice_eq(name, mr_slice_of(rows[i].name)))
            return &rows[i];
    return NULL;
}

static enum mr_refusal unknown(struct mr_slice name, struct mr_err *err)
{
    const char *names[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        names[i] = rows[i].name;
    const char *near = mr_nearest(name, names, ROWS);
    (void)mr_fail(err, MR_BADCONF, "unknown topic setting '%.*s'%s%s%s", MR_SLICE_ARG(name),
                  near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    return MR_REFUSE_INVALID_CONFIG;
}

static enum mr_refusal bad(const struct row *row, struct mr_slice value, struct mr_err *err, const char *must)
{
    (void)mr_fail(err, MR_BADCONF, "topic setting '%s' is '%.*s': %s", row->name, MR_SLICE_ARG(value), must);
    return MR_REFUSE_INVALID_CONFIG;
}

/* ------------------------------------------------------------------ lists */

static uint32_t policy_of(const struct mr_partition_config *c)
{
    return (c->log.retain ? DELETE : 0u) | (c->log.compact ? COMPACT : 0u);
}

/* Words with commas between them, blanks around them. */
static enum mr_refusal read_policy(const struct row *row, struct mr_slice value, uint32_t *out,
                                   struct mr_err *err)
{
    *out = 0;
    for (size_t at = 0; at < value.len;) {
        const char *comma = memchr(value.p + at, ',', value.len - at);
        size_t end = comma ? (size_t)(comma - value.p) : value.len, last = end;
        while (at < last && value.p[at] == ' ')
            at++;
        while (last > at && value.p[last - 1] == ' ')
            last--;
        uint32_t bit = 0;
        for (uint32_t i = 0; i < 2; i++)
            if (mr_slice_eq((struct mr_slice){value.p + at, last - at}, mr_slice_of(policies[i])))
                bit = 1u << i;
        if (!bit)
            return bad(row, value, err, "must be 'delete', 'compact', both with a comma, or empty");
        *out |= bit;
        at = end + 1;
    }
    return MR_REFUSE_NONE;
}

/* ------------------------------------------------------------------ setting */

static enum mr_refusal set_choice(const struct row *row, const struct mr_setting *s,
                                  struct mr_partition_config *c, struct mr_err *err)
{
    bool yes = mr_slice_eq(s->value, mr_slice_of(row->yes));
    if (!yes && !mr_slice_eq(s->value, mr_slice_of(row->no))) {
        char must[96];
        (void)snprintf(must, sizeof must, "must be '%s' or '%s'", row->no, row->yes);
        return bad(row, s->value, err, must);
    }
    memcpy((char *)c + row->at, &yes, sizeof yes);
    return MR_REFUSE_NONE;
}

static enum mr_refusal set_number(const struct row *row, const struct mr_setting *s,
                                  struct mr_partition_config *c, struct mr_err *err)
{
    int64_t v;
    if (!mr_parse_i64(s->value, &v) || v < row->min || v > row->max) {
        char must[96];
        (void)snprintf(must, sizeof must, "must be a number from %lld to %lld", (long long)row->min,
                       (long long)row->max);
        return bad(row, s->value, err, must);
    }
    memcpy((char *)c + row->at, &v, sizeof v);
    return MR_REFUSE_NONE;
}

static enum mr_refusal set_codec(const struct row *row, const struct mr_setting *s,
                                 struct mr_partition_config *c, struct mr_err *err)
{
    for (int i = 0; i < CODECS; i++)
        if (mr_slice_eq(s->value, mr_slice_of(codecs[i]))) {
            c->compression = i;
            return MR_REFUSE_NONE;
        }
    return bad(row, s->value, err, "must be producer, uncompressed, gzip, snappy, lz4 or zstd");
}

static enum mr_refusal set(const struct row *row, const struct mr_setting *s, struct mr_partition_config *c,
                           struct mr_err *err)
{
    double ratio;
    uint32_t policy;
    enum mr_refusal r;
    switch (row->kind) {
    case NUMBER:
        return set_number(row, s, c, err);
    case CHOICE:
        return set_choice(row, s, c, err);
    case CODEC:
        return set_codec(row, s, c, err);
    case ONLY:
        return mr_slice_eq(s->value, mr_slice_of(row->no)) ? MR_REFUSE_NONE
                                                           : bad(row, s->value, err, row->yes);
    case RATIO:
        if (!mr_parse_f64(s->value, &ratio) || !(ratio >= 0 && ratio <= 1))
            return bad(row, s->value, err, "must be a number from 0 to 1");
        memcpy((char *)c + row->at, &ratio, sizeof ratio);
        return MR_REFUSE_NONE;
    case POLICY:
        if ((r = read_policy(row, s->value, &policy, err)))
            return r;
        c->log.retain = (policy & DELETE) != 0;
        c->log.compact = (policy & COMPACT) != 0;
        return MR_REFUSE_NONE;
    }
    return MR_REFUSE_UNKNOWN;
}

enum mr_refusal mr_setting_apply(const struct mr_setting *s, struct mr_partition_config *c, uint64_t *given,
                                 struct mr_err *err)
{
    const struct row *row = find(s->name);
    if (!row)
        return unknown(s->name, err);
    enum mr_refusal r = set(row, s, c, err);
    if (!r)
        *given |= UINT64_C(1) << (row - rows);
    return r;
}

static void copy(const struct row *row, const struct mr_partition_config *from,
                 struct mr_partition_config *to)
{
    switch (row->kind) {
    case POLICY:
        to->log.retain = from->log.retain;
        to->log.compact = from->log.compact;
        break;
    case CHOICE:
        memcpy((char *)to + row->at, (const char *)from + row->at, sizeof(bool));
        break;
    case NUMBER:
    case CODEC:
        memcpy((char *)to + row->at, (const char *)from + row->at, sizeof(int64_t));
        break;
    case RATIO:
        memcpy((char *)to + row->at, (const char *)from + row->at, sizeof(double));
        break;
    case ONLY:
        break;
    }
}

void mr_setting_copy(const char *name, const struct mr_partition_config *from, struct mr_partition_config *to)
{
    const struct row *row = find(mr_slice_of(name));
    mr_assert(row);
    copy(row, from, to);
}

void mr_setting_inherit(const struct mr_partition_config *defaults, uint64_t given,
                        struct mr_partition_config *c)
{
    struct mr_partition_config now = *defaults;
    for (size_t i = 0; i < ROWS; i++)
        if ((given >> i) & 1u)
            copy(&rows[i], c, &now);
    *c = now;
}

enum mr_refusal mr_setting_clear(struct mr_slice name, const struct mr_partition_config *defaults,
                                 struct mr_partition_config *c, uint64_t *given, struct mr_err *err)
{
    const struct row *row = find(name);
    if (!row)
        return unknown(name, err);
    copy(row, defaults, c);
    *given &= ~(UINT64_C(1) << (row - rows));
    return MR_REFUSE_NONE;
}

enum mr_refusal mr_setting_change(const struct mr_setting_change *change,
                                  const struct mr_partition_config *defaults, struct mr_partition_config *c,
                                  uint64_t *given, struct mr_err *err)
{
    const struct row *row = find(change->name);
    uint32_t words;
    if (!row)
        return unknown(change->name, err);
    if (change->op == MR_SETTING_SET)
        return mr_setting_apply(&(struct mr_setting){change->name, change->value}, c, given, err);
    if (change->op == MR_SETTING_DELETE)
        return mr_setting_clear(change->name, defaults, c, given, err);
    if (row->kind != POLICY || (change->op != MR_SETTING_APPEND && change->op != MR_SETTING_SUBTRACT))
        return bad(row, change->value, err, "it is no list: it can be set, or deleted");
    enum mr_refusal r = read_policy(row, change->value, &words, err);
    if (r)
        return r;
    uint32_t policy = change->op == MR_SETTING_APPEND ? policy_of(c) | words : policy_of(c) & ~words;
    c->log.retain = (policy & DELETE) != 0;
    c->log.compact = (policy & COMPACT) != 0;
    *given |= UINT64_C(1) << (row - rows);
    return MR_REFUSE_NONE;
}

enum mr_refusal mr_setting_agree(const struct mr_partition_config *c, struct mr_err *err)
{
    if (c->log.max_compaction_lag_ms >= c->log.min_compaction_lag_ms)
        return MR_REFUSE_NONE;
    (void)mr_fail(
        err, MR_BADCONF,
        "topic setting 'max.compaction.lag.ms' is %lld: must not be below 'min.compaction.lag.ms', %lld",
        (long long)c->log.max_compaction_lag_ms, (long long)c->log.min_compaction_lag_ms);
    return MR_REFUSE_INVALID_CONFIG;
}

/* ------------------------------------------------------------------ describing */

static void print(const struct row *row, const struct mr_partition_config *c, char out[MR_TOPIC_SETTING_MAX])
{
    static const char *const lists[] = {"", "delete", "compact", "compact,delete"};
    const char *text = row->no;
    bool yes;
    int64_t v;
    double ratio;
    switch (row->kind) {
    case POLICY:
        text = lists[policy_of(c)];
        break;
    case CHOICE:
        memcpy(&yes, (const char *)c + row->at, sizeof yes);
        text = yes ? row->yes : row->no;
        break;
    case ONLY:
        break;
    case CODEC:
        mr_assert(c->compression >= 0 && c->compression < CODECS);
        text = codecs[c->compression];
        break;
    case RATIO:
        memcpy(&ratio, (const char *)c + row->at, sizeof ratio);
        mr_assert(mr_print_f64(ratio, out) < MR_TOPIC_SETTING_MAX);
        return;
    case NUMBER:
        memcpy(&v, (const char *)c + row->at, sizeof v);
        (void)snprintf(out, MR_TOPIC_SETTING_MAX, "%lld", (long long)v);
        return;
    }
    (void)snprintf(out, MR_TOPIC_SETTING_MAX, "%s", text);
}

void mr_setting_range(int64_t min, int64_t max, char out[MR_TOPIC_SETTING_MAX])
{
    if (max >= INT32_MAX)
        (void)snprintf(out, MR_TOPIC_SETTING_MAX, "%lld or more", (long long)min);
    else
        (void)snprintf(out, MR_TOPIC_SETTING_MAX, "%lld to %lld", (long long)min, (long long)max);
}

/* As a person would say it. */
static void print_allowed(const struct row *row, char out[MR_TOPIC_SETTING_MAX])
{
    switch (row->kind) {
    case POLICY:
        (void)snprintf(out, MR_TOPIC_SETTING_MAX, "list of delete, compact");
        break;
    case CHOICE:
        (void)snprintf(out, MR_TOPIC_SETTING_MAX, "%s, %s", row->no, row->yes);
        break;
    case ONLY:
        (void)snprintf(out, MR_TOPIC_SETTING_MAX, "%s", row->no);
        break;
    case CODEC:
        (void)snprintf(out, MR_TOPIC_SETTING_MAX, "producer, uncompressed, gzip, snappy, lz4, zstd");
        break;
    case RATIO:
        (void)snprintf(out, MR_TOPIC_SETTING_MAX, "0 to 1");
        break;
    case NUMBER:
        mr_setting_range(row->min, row->max, out);
        break;
    }
}

bool mr_topic_setting_standard(size_t i, struct mr_setting_row *out)
{
    struct mr_node_settings s;
    mr_node_settings_init(&s);
    return mr_setting_row(i, &s.topic, 0, &s.topic, out);
}

bool mr_setting_row(size_t i, const struct mr_partition_config *c, uint64_t given,
                    const struct mr_partition_config *defaults, struct mr_setting_row *out)
{
    if (i >= ROWS)
        return false;
    const struct row *row = &rows[i];
    *out = (struct mr_setting_row){
        .name = row->name, .given = (given >> i) & 1u, .help = row->help, .type = row->type};
    print(row, c, out->value);
    print_allowed(row, out->allowed);
    if (defaults)
        print(row, defaults, out->standard);
    return true;
}

bool mr_setting_row_of(const char *name, const struct mr_partition_config *c, struct mr_setting_row *out)
{
    const struct row *row = find(mr_slice_of(name));
    return row && mr_setting_row((size_t)(row - rows), c, 0, NULL, out);
}
