/* group_reset.c - `millrace group reset`: where a group goes on.
 *
 * Laws:  without --execute nothing is changed; with it everything that was printed is
 *        a group that has members is not moved: they would go on from where they are
 */
#include "cli/group.h"

#include "base/text.h"
#include "data/json.h"

#include <errno.h>

enum { LINE_BYTES_MAX = 4096, SHIFT_DIGITS = 32 };

struct resetting {
    struct mr_kafka_call c; /* first */
    const char *topics[MR_CLI_MANY_MAX + 1];
    bool all_topics, dry, execute, earliest, latest;
    const char *to, *time, *offset, *shift, *plan;
    struct mr_place place;
};

/* ------------------------------------------------------------------ the command line */

static bool parse(const struct resetting *r, const char *flag, const char *text, struct mr_place *out)
{
    struct mr_err err = {0};
    if (!mr_place_parse(text, true, out, &err))
        return true;
    mr_cli_say("millrace %s: %s: %s", r->c.v->name, flag, err.text);
    return false;
}

/* The one place that the options name; false: told. */
static bool understand(struct resetting *r)
{
    struct mr_place *p = &r->place;
    char text[SHIFT_DIGITS];
    if (r->to)
        return parse(r, "--to", r->to, p);
    if (r->earliest || r->latest) {
        p->kind = r->earliest ? MR_PLACE_BEGINNING : MR_PLACE_END;
        return true;
    }
    if (r->offset) {
        p->kind = MR_PLACE_OFFSET;
        return mr_kafka_number(r->c.v, "--to-offset", r->offset, 0, INT64_MAX, &p->n);
    }
    if (r->shift) {
        (void)snprintf(text, sizeof text, "shift:%s", r->shift);
        return parse(r, "--shift", text, p);
    }
    if (!r->time)
        return true; /* a plan says it */
    if (!parse(r, "--to-time", r->time, p))
        return false;
    if (p->kind == MR_PLACE_TIME || p->kind == MR_PLACE_AGO)
        return true;
    mr_cli_say(
        "millrace %s: --to-time '%s' is no time: 2025-10-10T13:00:00Z, @1760101200000, or so long ago: 2h30m",
        r->c.v->name, r->time);
    return false;
}

static int check_reset(struct mr_kafka_call *c)
{
    struct resetting *r = (struct resetting *)c;
    int ways = !!r->to + !!r->time + !!r->offset + !!r->shift + !!r->plan + r->earliest + r->latest;
    const char *wrong = NULL;
    if (!r->topics[0] && !r->all_topics && !r->plan)
        wrong = "--topic is missing (or --all-topics: every one that it has committed)";
    else if ((r->topics[0] || r->all_topics) && r->plan)
        wrong = "--plan says which partitions itself: --topic and --all-topics do not go with it";
    else if (ways == 0)
        wrong = "--to is missing";
    else if (ways > 1)
        wrong =
            "--to, --to-time, --to-offset, --to-earliest, --to-latest, --shift and --plan exclude each other";
    else if (r->dry && r->execute)
        wrong = "--dry-run and --execute exclude each other";
    if (!wrong)
        return understand(r) ? MR_EXIT_OK : MR_EXIT_USAGE;
    mr_cli_say("millrace %s: %s; usage: millrace %s", c->v->name, wrong, c->v->usage);
    return MR_EXIT_USAGE;
}

/* ------------------------------------------------------------------ which partitions */

static rd_kafka_topic_partition_t *add_once(rd_kafka_topic_partition_list_t *list, const char *topic,
                                            int32_t id)
{
    rd_kafka_topic_partition_t *p = rd_kafka_topic_partition_list_find(list, topic, id);
    return p ? p : rd_kafka_topic_partition_list_add(list, topic, id);
}

/* "orders" or "orders:0,3"; false: told. */
static bool add_topic(struct mr_kafka *k, rd_kafka_topic_partition_list_t *list, const char *word)
{
    const char *colon = strrchr(word, ':');
    const char *name = colon ? mr_ask_text(k, (struct mr_slice){word, (size_t)(colon - word)}) : word;
    const struct rd_kafka_metadata_topic *t = mr_kafka_topic(k, name);
    for (int i = 0; t && !colon && i < t->partition_cnt; i++)
        (void)add_once(list, name, t->partitions[i].id);
    for (const char *p = colon ? colon + 1 : NULL; t && p;) {
        size_t len = strcspn(p, ",");
        int64_t id;
        if (!mr_parse_i64((struct mr_slice){p, len}, &id)) {
            mr_cli_say("millrace: error: '%s' is not written TOPIC:N,N", word);
            return false;
        }
        if (!mr_kafka_has_partition(t, id))
            return false;
        (void)add_once(list, name, (int32_t)id);
        p = p[len] ? p + len + 1 : NULL;
    }
    return t != NULL;
}

/* ------------------------------------------------------------------ a plan in a file */

/* {"topic":"orders","partition":0,"new":12}, or orders,0,12 */
static bool read_line(struct mr_kafka *k, char *line, const char **topic, int64_t *partition, int64_t *offset)
{
    struct mr_err err = {0};
    struct mr_value all;
    if (line[0] != '{') {
        char *last = strrchr(line, ',');
        char *middle = last ? (*last = '\0', strrchr(line, ',')) : NULL;
        if (!middle)
            return false;
        *middle = '\0';
        *topic = mr_ask_text(k, mr_slice_of(line));
        return mr_parse_i64(mr_slice_of(middle + 1), partition) &&
               mr_parse_i64(mr_slice_of(last + 1), offset);
    }
    if (mr_json_read(mr_slice_of(line), &all, &err))
        return false;
    struct mr_value t = mr_json_member(&all, "topic", 5), p = mr_json_member(&all, "partition", 9),
                    n = mr_json_member(&all, "new", 3);
    if (n.tag == MR_MISSING)
        n = mr_json_member(&all, "offset", 6);
    if (t.tag != MR_STRING || p.tag != MR_JSON || n.tag != MR_JSON)
        return false;
    *topic = mr_ask_text(k, mr_value_text(&t));
    return mr_parse_i64(mr_value_text(&p), partition) && mr_parse_i64(mr_value_text(&n), offset);
}

static bool read_plan(struct mr_kafka *k, FILE *in, const char *path, rd_kafka_topic_partition_list_t *list)
{
    char line[LINE_BYTES_MAX];
    size_t number = 0;
    while (fgets(line, sizeof line, in)) {
        const char *topic;
        int64_t partition, offset;
        number++;
        line[strcspn(line, "\r\n")] = '\0';
        if (!line[0])
            continue;
        if (!read_line(k, line, &topic, &partition, &offset) || offset < 0) {
            mr_cli_say("millrace: error: %s:%zu: not a line of a plan: "
                       "{\"topic\":\"orders\",\"partition\":0,\"new\":12} or orders,0,12",
                       path, number);
            return false;
        }
        const struct rd_kafka_metadata_topic *t = mr_kafka_topic(k, topic);
        if (!t || !mr_kafka_has_partition(t, partition)) {
            mr_cli_say("  in %s:%zu", path, number);
            return false;
        }
        add_once(list, topic, (int32_t)partition)->offset = offset;
    }
    if (list->cnt == 0)
        mr_cli_say("millrace: error: the plan '%s' is empty", path);
    return list->cnt > 0;
}

static bool open_plan(struct mr_kafka *k, const char *path, rd_kafka_topic_partition_list_t *list)
{
    FILE *in = strcmp(path, "-") ? fopen(path, "re") : stdin;
    if (!in) {
        mr_cli_say("millrace: error: cannot open the plan '%s': %s", path, strerror(errno));
        return false;
    }
    bool good = read_plan(k, in, path, list);
    if (in != stdin)
        (void)fclose(in);
    return good;
}

/* ------------------------------------------------------------------ doing it */

static bool print_plan(const rd_kafka_topic_partition_list_t *now, const rd_kafka_topic_partition_list_t *new,
                       bool json)
{
    static const struct mr_rows_column columns[] = {
        {"TOPIC", "topic"}, {"PARTITION", "partition"}, {"COMMITTED", "committed"}, {"NEW", "new"}, {0}};
    struct mr_rows rows;
    mr_rows_open(&rows, json, columns);
    for (int i = 0; i < new->cnt; i++) {
        const rd_kafka_topic_partition_t *to = &new->elems[i];
        const rd_kafka_topic_partition_t *at =
            rd_kafka_topic_partition_list_find(now, to->topic, to->partition);
        mr_rows_text(&rows, to->topic);
        mr_rows_int(&rows, to->partition);
        mr_rows_known(&rows, at ? at->offset : MR_GROUP_NONE);
        mr_rows_int(&rows, to->offset);
    }
    return mr_rows_close(&rows);
}

static int move(struct mr_kafka *k, const char *name, const rd_kafka_topic_partition_list_t *to)
{
    size_t count = 0;
    int code = MR_EXIT_FAILED;
    rd_kafka_AlterConsumerGroupOffsets_t *ask = rd_kafka_AlterConsumerGroupOffsets_new(name, to);
    rd_kafka_AdminOptions_t *o = mr_kafka_admin_options(k, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS);
    rd_kafka_AlterConsumerGroupOffsets(k->rk, &ask, 1, o, k->queue);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_AlterConsumerGroupOffsets_destroy(ask);
    rd_kafka_event_t *e = mr_kafka_answer(k, "move group", name);
    if (!e)
        return code;
    const rd_kafka_group_result_t **results = rd_kafka_AlterConsumerGroupOffsets_result_groups(
        rd_kafka_event_AlterConsumerGroupOffsets_result(e), &count);
    const rd_kafka_error_t *bad = count ? rd_kafka_group_result_error(results[0]) : NULL;
    const rd_kafka_topic_partition_list_t *parts =
        count ? rd_kafka_group_result_partitions(results[0]) : NULL;
    rd_kafka_resp_err_t why = bad ? rd_kafka_error_code(bad) : count ? 0 : RD_KAFKA_RESP_ERR__BAD_MSG;
    for (int i = 0; parts && !why && i < parts->cnt; i++)
        why = parts->elems[i].err;
    code = why ? mr_kafka_refused(k, "move group", name, why, bad ? rd_kafka_error_string(bad) : NULL)
               : MR_EXIT_OK;
    rd_kafka_event_destroy(e);
    return code;
}

/* The partitions that are meant, a plan's with their offsets; NULL: told. [move] */
static rd_kafka_topic_partition_list_t *meant(struct resetting *r, const rd_kafka_topic_partition_list_t *now)
{
    struct mr_kafka *k = &r->c.k;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(16);
    bool good = !r->plan || open_plan(k, r->plan, list);
    for (size_t i = 0; good && r->topics[i]; i++)
        good = add_topic(k, list, r->topics[i]);
    for (int i = 0; good && r->all_topics && i < now->cnt; i++)
        if (mr_kafka_topic_quiet(k, now->elems[i].topic))
            (void)add_once(list, now->elems[i].topic, now->elems[i].partition);
    if (good && list->cnt == 0) {
        mr_cli_say("millrace: error: group '%s' has committed nothing: say which topic with --topic",
                   r->c.words[0]);
        good = false;
    }
    if (good)
        return list;
    rd_kafka_topic_partition_list_destroy(list);
    return NULL;
}

/* A plan's offsets are taken as where the group is, and not shifted: so they too end up within
 * the partitions. */
static rd_kafka_topic_partition_list_t *targets(struct resetting *r,
                                                const rd_kafka_topic_partition_list_t *which,
                                                const rd_kafka_topic_partition_list_t *now)
{
    static const struct mr_place stay = {MR_PLACE_SHIFT, 0};
    return mr_kafka_places(&r->c.k, which, r->plan ? &stay : &r->place, r->plan ? which : now);
}

static int run_reset(struct mr_kafka_call *c)
{
    struct resetting *r = (struct resetting *)c;
    struct mr_kafka *k = &c->k;
    struct mr_group g;
    const char *name = c->words[0], *near;
    int code = MR_EXIT_FAILED;
    int found = mr_group_find(k, name, &g, &near);
    if (found < 0 || (found && r->execute && !mr_group_at_rest(k, &g, "move")))
        return MR_EXIT_FAILED;
    if (found == 0)
        mr_cli_say("millrace: group '%s' is not there yet and %s made%s%s%s", name,
                   r->execute ? "is" : "would be", near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
    rd_kafka_topic_partition_list_t *now = mr_group_committed(k, name);
    rd_kafka_topic_partition_list_t *which = now ? meant(r, now) : NULL;
    rd_kafka_topic_partition_list_t *new = which ? targets(r, which, now) : NULL;
    if (new) {
        rd_kafka_topic_partition_list_sort(new, NULL, NULL);
        code = r->execute ? move(k, name, new) : MR_EXIT_OK;
        if (!code && !print_plan(now, new, c->f.json))
            code = MR_EXIT_FAILED;
        rd_kafka_topic_partition_list_destroy(new);
    }
    if (!code && !r->execute)
        mr_cli_say("nothing was changed: --execute does it%s",
                   found && !strcmp(g.state, "Stable") ? ", when the group's members are stopped" : "");
    if (which)
        rd_kafka_topic_partition_list_destroy(which);
    if (now)
        rd_kafka_topic_partition_list_destroy(now);
    return code;
}

int mr_group_reset(const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {"no group given", 1, 1, check_reset, run_reset};
    struct resetting r = {.c = {.v = v, .f = MR_KAFKA_FLAGS}};
    const struct mr_flag flags[] = {
        {"topic", "TOPIC[:N,N]...", "whose partitions, all or some; may be repeated", NULL, r.topics},
        {"all-topics", NULL, "every partition that it has committed", &r.all_topics, NULL},
        {"to", "PLACE", "beginning, end, an offset, -N, a time, a duration, shift:N", NULL, &r.to},
        {"to-earliest", NULL, "the same as --to beginning", &r.earliest, NULL},
        {"to-latest", NULL, "the same as --to end", &r.latest, NULL},
        {"to-time", "TIME", "the first record at or after it", NULL, &r.time},
        {"to-offset", "OFFSET", "this one, in every partition that is meant", NULL, &r.offset},
        {"shift", "N", "from where it is: -100 goes back, 100 goes on", NULL, &r.shift},
        {"plan", "FILE", "to where the lines of this file say", NULL, &r.plan},
        {"dry-run", NULL, "shows what would be done (so it is without --execute)", &r.dry, NULL},
        {"execute", NULL, "does it", &r.execute, NULL},
        MR_KAFKA_COMMON_FLAGS(r.c.f),
        MR_KAFKA_JSON_FLAG(r.c.f, "one object a line"),
        {0},
    };
    return mr_kafka_run(&r.c, &course, flags, argc, argv);
}
