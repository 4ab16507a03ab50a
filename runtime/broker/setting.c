/* setting.c - the table of topic settings. One row each; create, describe and the topic files read it. */
#include "broker/setting.h"

#include "base/assert.h"
#include "base/text.h"

enum kind { NUMBER, CHOICE };

struct row {
    const char *name;
    enum kind kind;
    size_t at; /* in struct mr_partition_config: int64_t (NUMBER) or bool (CHOICE) */
    int64_t min, max;
    const char *no, *yes; /* CHOICE: false and true; yes NULL: `no` is the only one served */
    const char *help;
};

#define AT(field) offsetof(struct mr_partition_config, field)
#define NOWHERE   SIZE_MAX /* a setting with one value only needs no field */

static const struct row rows[] = {
    {"cleanup.policy", CHOICE, NOWHERE, 0, 0, "delete", NULL, "What happens to old segments."},
    {"compression.type", CHOICE, NOWHERE, 0, 0, "producer", NULL, "Batches stay as producers made them."},
    {"durability", CHOICE, AT(durable), 0, 0, "page_cache", "fsync",
     "fsync: acknowledged with acks=all and visible to readers only once on the disk. page_cache: at once; a "
     "loss of power may take the newest records back."},
    {"index.interval.bytes", NUMBER, AT(log.index_interval_bytes), 0, INT32_MAX, NULL, NULL,
     "Bytes between two entries of the offset index."},
    {"max.message.bytes", NUMBER, AT(log.max_batch_bytes), 0, 256 << 20, NULL, NULL,
     "Largest batch that is taken, in bytes, as compressed."},
    {"message.timestamp.type", CHOICE, AT(log_append_time), 0, 0, "CreateTime", "LogAppendTime",
     "Whose clock stamps the records: the producer's or the broker's."},
    {"min.insync.replicas", NUMBER, NOWHERE, 1, 1, NULL, NULL, "Replicas that acks=all waits for."},
    {"retention.bytes", NUMBER, AT(log.retention_bytes), -1, INT64_MAX, NULL, NULL,
     "Oldest segments go while a partition is larger; -1: no limit."},
    {"retention.ms", NUMBER, AT(log.retention_ms), -1, INT64_MAX, NULL, NULL,
     "Segments go when their newest record is older; -1: no limit."},
    {"segment.bytes", NUMBER, AT(log.segment_bytes), 4096, INT32_MAX, NULL, NULL,
     "A new segment begins beyond this size."},
    {"segment.ms", NUMBER, AT(log.segment_ms), 1, INT64_MAX, NULL, NULL,
     "A new segment begins beyond this age."},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

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

static enum mr_refusal set_choice(const struct row *row, const struct mr_setting *s,
                                  struct mr_partition_config *c, struct mr_err *err)
{
    bool yes = row->yes && mr_slice_eq(s->value, mr_slice_of(row->yes));
    if (!yes && !mr_slice_eq(s->value, mr_slice_of(row->no))) {
        (void)mr_fail(err, MR_BADCONF, "topic setting '%s' is '%.*s': this node serves '%s'%s%s%s", row->name,
                      MR_SLICE_ARG(s->value), row->no, row->yes ? " and '" : "", row->yes ? row->yes : "",
                      row->yes ? "'" : "");
        return MR_REFUSE_INVALID_CONFIG;
    }
    if (row->yes)
        memcpy((char *)c + row->at, &yes, sizeof yes);
    return MR_REFUSE_NONE;
}

static enum mr_refusal set_number(const struct row *row, const struct mr_setting *s,
                                  struct mr_partition_config *c, struct mr_err *err)
{
    int64_t v;
    if (!mr_parse_i64(s->value, &v) || v < row->min || v > row->max) {
        (void)mr_fail(err, MR_BADCONF, "topic setting '%s' is '%.*s': must be a number from %lld to %lld",
                      row->name, MR_SLICE_ARG(s->value), (long long)row->min, (long long)row->max);
        return MR_REFUSE_INVALID_CONFIG;
    }
    if (row->at != NOWHERE)
        memcpy((char *)c + row->at, &v, sizeof v);
    return MR_REFUSE_NONE;
}

enum mr_refusal mr_setting_apply(const struct mr_setting *s, struct mr_partition_config *c, uint32_t *given,
                                 struct mr_err *err)
{
    const struct row *row = find(s->name);
    if (!row)
        return unknown(s->name, err);
    enum mr_refusal r = row->kind == CHOICE ? set_choice(row, s, c, err) : set_number(row, s, c, err);
    if (!r)
        *given |= 1u << (row - rows);
    return r;
}

enum mr_refusal mr_setting_clear(struct mr_slice name, const struct mr_partition_config *defaults,
                                 struct mr_partition_config *c, uint32_t *given, struct mr_err *err)
{
    const struct row *row = find(name);
    if (!row)
        return unknown(name, err);
    if (row->at != NOWHERE)
        memcpy((char *)c + row->at, (const char *)defaults + row->at,
               row->kind == CHOICE ? sizeof(bool) : sizeof(int64_t));
    *given &= ~(1u << (row - rows));
    return MR_REFUSE_NONE;
}

bool mr_setting_row(size_t i, const struct mr_partition_config *c, uint32_t given, struct mr_setting_row *out)
{
    if (i >= ROWS)
        return false;
    const struct row *row = &rows[i];
    *out = (struct mr_setting_row){.name = row->name, .given = (given >> i) & 1u, .help = row->help};
    if (row->kind == CHOICE) {
        bool yes = false;
        if (row->yes)
            memcpy(&yes, (const char *)c + row->at, sizeof yes);
        (void)snprintf(out->value, sizeof out->value, "%s", yes ? row->yes : row->no);
    } else {
        int64_t v = row->min;
        if (row->at != NOWHERE)
            memcpy(&v, (const char *)c + row->at, sizeof v);
        (void)snprintf(out->value, sizeof out->value, "%lld", (long long)v);
    }
    return true;
}
