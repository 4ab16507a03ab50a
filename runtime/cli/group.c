/* group.c - `millrace group`: consumer groups, their members and lag; moving and deleting them. */
#include "cli/kafka.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdlib.h>

enum { OFFSET_NONE = -1 }; /* nothing committed */

/* ------------------------------------------------------------------ what there is */

/* The answer with all groups; NULL: told. [move] */
static rd_kafka_event_t *all_groups(struct mr_kafka *k, const rd_kafka_ConsumerGroupListing_t ***groups,
                                    size_t *count)
{
    size_t errors = 0;
    rd_kafka_AdminOptions_t *o = mr_kafka_admin_options(k, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPS);
    rd_kafka_ListConsumerGroups(k->rk, o, k->queue);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_event_t *e = mr_kafka_answer(k, "list the groups at", k->broker);
    if (!e)
        return NULL;
    const rd_kafka_ListConsumerGroups_result_t *result = rd_kafka_event_ListConsumerGroups_result(e);
    const rd_kafka_error_t **failed = rd_kafka_ListConsumerGroups_result_errors(result, &errors);
    *groups = rd_kafka_ListConsumerGroups_result_valid(result, count);
    if (errors == 0)
        return e;
    (void)mr_kafka_refused(k, "list the groups at", k->broker, rd_kafka_error_code(failed[0]),
                           rd_kafka_error_string(failed[0]));
    rd_kafka_event_destroy(e);
    return NULL;
}

/* 1: there is such a group; 0: there is none; -1: could not be asked, told. near: [out] a name that is like
 * it, [move] or NULL. */
static int find_group(struct mr_kafka *k, const char *name, char **near)
{
    const rd_kafka_ConsumerGroupListing_t **groups;
    size_t count = 0;
    int found = 0;
    *near = NULL;
    rd_kafka_event_t *e = all_groups(k, &groups, &count);
    if (!e)
        return -1;
    const char **names = calloc(count + 1, sizeof *names);
    for (size_t i = 0; names && i < count; i++) {
        names[i] = rd_kafka_ConsumerGroupListing_group_id(groups[i]);
        found = found || !strcmp(names[i], name);
    }
    const char *like = names && !found ? mr_nearest(mr_slice_of(name), names, count) : NULL;
    *near = like ? strdup(like) : NULL;
    free(names);
    rd_kafka_event_destroy(e);
    return found;
}

static bool need_group(struct mr_kafka *k, const char *name)
{
    char *near;
    int found = find_group(k, name, &near);
    if (found == 0 && near)
        mr_cli_say("millrace: error: no group '%s' at %s; did you mean '%s'?", name, k->broker, near);
    else if (found == 0)
        mr_cli_say("millrace: error: no group '%s' at %s\n  = `millrace group list` shows what is there",
                   name, k->broker);
    free(near);
    return found == 1;
}

static int list_all(struct mr_kafka *k, bool json)
{
    const rd_kafka_ConsumerGroupListing_t **groups;
    size_t count = 0;
    rd_kafka_event_t *e = all_groups(k, &groups, &count);
    struct mr_table table = {.columns = 2};
    struct mr_jsonl j = {0};
    bool good = true;
    if (!e)
        return MR_EXIT_FAILED;
    if (!json) {
        mr_table_cell(&table, "GROUP");
        mr_table_cell(&table, "STATE");
    }
    for (size_t i = 0; good && i < count; i++) {
        const char *name = rd_kafka_ConsumerGroupListing_group_id(groups[i]);
        const char *state =
            rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupListing_state(groups[i]));
        if (json) {
            mr_jsonl_open(&j, NULL, '{');
            mr_jsonl_text(&j, "group", name);
            mr_jsonl_text(&j, "state", state);
            mr_jsonl_close(&j, '}');
            good = mr_jsonl_line(&j);
        } else {
            mr_table_cell(&table, "%s", name);
            mr_table_cell(&table, "%s", state);
        }
    }
    if (!json)
        good = mr_table_end(&table);
    mr_jsonl_fini(&j);
    rd_kafka_event_destroy(e);
    return good ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static int list(const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    struct mr_kafka k = {0};
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        MR_KAFKA_COMMON_FLAGS(f), MR_KAFKA_JSON_FLAG(f, "one object a line"), {0}};
    if (!mr_cli_options(v, flags, argc, argv, NULL, 0, &count, &code))
        return code;
    code = mr_kafka_admin(&k, v, &f);
    if (!code)
        code = list_all(&k, f.json);
    mr_kafka_close(&k);
    return code;
}

/* ------------------------------------------------------------------ describe */

/* What the group committed, of all topics; NULL: told. [move] */
static rd_kafka_topic_partition_list_t *committed_of(struct mr_kafka *k, const char *name)
{
    rd_kafka_topic_partition_list_t *list_of = NULL;
    size_t count = 0;
    rd_kafka_ListConsumerGroupOffsets_t *ask = rd_kafka_ListConsumerGroupOffsets_new(name, NULL);
    rd_kafka_AdminOptions_t *o = mr_kafka_admin_options(k, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_ListConsumerGroupOffsets(k->rk, &ask, 1, o, k->queue);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_ListConsumerGroupOffsets_destroy(ask);
    rd_kafka_event_t *e = mr_kafka_answer(k, "read the offsets of group", name);
    if (!e)
        return NULL;
    const rd_kafka_group_result_t **results = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(e), &count);
    const rd_kafka_error_t *bad = count ? rd_kafka_group_result_error(results[0]) : NULL;
    if (bad)
        (void)mr_kafka_refused(k, "read the offsets of group", name, rd_kafka_error_code(bad),
                               rd_kafka_error_string(bad));
    else if (count && rd_kafka_group_result_partitions(results[0]))
        list_of = rd_kafka_topic_partition_list_copy(rd_kafka_group_result_partitions(results[0]));
    else
        list_of = rd_kafka_topic_partition_list_new(1);
    rd_kafka_event_destroy(e);
    return list_of;
}

static const rd_kafka_topic_partition_list_t *assigned_to(const rd_kafka_MemberDescription_t *m)
{
    const rd_kafka_MemberAssignment_t *a = rd_kafka_MemberDescription_assignment(m);
    return a ? rd_kafka_MemberAssignment_partitions(a) : NULL;
}

static const rd_kafka_MemberDescription_t *owner_of(const rd_kafka_ConsumerGroupDescription_t *d,
                                                    const char *topic, int32_t id)
{
    for (size_t i = 0; i < rd_kafka_ConsumerGroupDescription_member_count(d); i++) {
        const rd_kafka_MemberDescription_t *m = rd_kafka_ConsumerGroupDescription_member(d, i);
        const rd_kafka_topic_partition_list_t *parts = assigned_to(m);
        for (int k = 0; parts && k < parts->cnt; k++)
            if (parts->elems[k].partition == id && !strcmp(parts->elems[k].topic, topic))
                return m;
    }
    return NULL;
}

/* What is assigned but has nothing committed belongs into the picture: its lag is the whole partition. */
static void add_assigned(rd_kafka_topic_partition_list_t *committed,
                         const rd_kafka_ConsumerGroupDescription_t *d)
{
    for (size_t i = 0; i < rd_kafka_ConsumerGroupDescription_member_count(d); i++) {
        const rd_kafka_topic_partition_list_t *parts =
            assigned_to(rd_kafka_ConsumerGroupDescription_member(d, i));
        for (int k = 0; parts && k < parts->cnt; k++)
            if (!rd_kafka_topic_partition_list_find(committed, parts->elems[k].topic,
                                                    parts->elems[k].partition))
                rd_kafka_topic_partition_list_add(committed, parts->elems[k].topic, parts->elems[k].partition)
                    ->offset = OFFSET_NONE;
    }
    rd_kafka_topic_partition_list_sort(committed, NULL, NULL);
}

/* Next and first offsets of those partitions that still are; of others OFFSET_NONE stays. */
static bool ends_of(struct mr_kafka *k, rd_kafka_topic_partition_list_t *which, int64_t when)
{
    rd_kafka_topic_partition_list_t *there = rd_kafka_topic_partition_list_new(which->cnt + 1);
    for (int i = 0; i < which->cnt; i++) {
        const struct rd_kafka_metadata_topic *t = mr_kafka_topic_quiet(k, which->elems[i].topic);
        which->elems[i].offset = OFFSET_NONE;
        if (t && which->elems[i].partition < t->partition_cnt)
            (void)rd_kafka_topic_partition_list_add(there, which->elems[i].topic, which->elems[i].partition);
    }
    bool good = mr_kafka_offsets(k, there, when);
    for (int i = 0; good && i < there->cnt; i++)
        rd_kafka_topic_partition_list_find(which, there->elems[i].topic, there->elems[i].partition)->offset =
            there->elems[i].offset;
    rd_kafka_topic_partition_list_destroy(there);
    return good;
}

struct picture {
    const rd_kafka_ConsumerGroupDescription_t *d;
    rd_kafka_topic_partition_list_t *committed, *next, *first; /* the same partitions in the same order */
};

/* OFFSET_NONE: not known. */
static int64_t lag_of(const struct picture *p, int i)
{
    int64_t next = p->next->elems[i].offset, at = p->committed->elems[i].offset;
    if (at < 0)
        at = p->first->elems[i].offset;
    return next < 0 || at < 0 ? OFFSET_NONE : next > at ? next - at : 0;
}

static void number_cell(struct mr_table *t, int64_t n)
{
    if (n < 0)
        mr_table_cell(t, "-");
    else
        mr_table_cell(t, "%" PRId64, n);
}

static bool print_text(const struct picture *p, const char *name)
{
    static const char *const head[] = {"TOPIC", "PARTITION", "COMMITTED", "NEXT", "LAG", "CLIENT", "HOST"};
    size_t members = rd_kafka_ConsumerGroupDescription_member_count(p->d);
    struct mr_table table = {.columns = sizeof head / sizeof head[0]};
    int64_t lag = 0;
    for (int i = 0; i < p->committed->cnt; i++)
        lag += lag_of(p, i) > 0 ? lag_of(p, i) : 0;
    (void)printf("group %s: %s, %zu member%s, lag %" PRId64 "%s%s\n", name,
                 rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(p->d)), members,
                 members == 1 ? "" : "s", lag, members ? ", assignor " : "",
                 members ? rd_kafka_ConsumerGroupDescription_partition_assignor(p->d) : "");
    for (size_t i = 0; i < table.columns && p->committed->cnt; i++)
        mr_table_cell(&table, "%s", head[i]);
    for (int i = 0; i < p->committed->cnt; i++) {
        const rd_kafka_topic_partition_t *at = &p->committed->elems[i];
        const rd_kafka_MemberDescription_t *m = owner_of(p->d, at->topic, at->partition);
        mr_table_cell(&table, "%s", at->topic);
        mr_table_cell(&table, "%" PRId32, at->partition);
        number_cell(&table, at->offset);
        number_cell(&table, p->next->elems[i].offset);
        number_cell(&table, lag_of(p, i));
        mr_table_cell(&table, "%s", m ? rd_kafka_MemberDescription_client_id(m) : "-");
        mr_table_cell(&table, "%s", m ? rd_kafka_MemberDescription_host(m) : "-");
    }
    return mr_table_end(&table);
}

static void number_of(struct mr_jsonl *j, const char *name, int64_t n)
{
    if (n < 0)
        mr_jsonl_null(j, name);
    else
        mr_jsonl_int(j, name, n);
}

static bool print_json(const struct picture *p, const char *name)
{
    struct mr_jsonl j = {0};
    mr_jsonl_open(&j, NULL, '{');
    mr_jsonl_text(&j, "group", name);
    mr_jsonl_text(&j, "state",
                  rd_kafka_consumer_group_state_name(rd_kafka_ConsumerGroupDescription_state(p->d)));
    mr_jsonl_text(&j, "assignor", rd_kafka_ConsumerGroupDescription_partition_assignor(p->d));
    mr_jsonl_open(&j, "members", '[');
    for (size_t i = 0; i < rd_kafka_ConsumerGroupDescription_member_count(p->d); i++) {
        const rd_kafka_MemberDescription_t *m = rd_kafka_ConsumerGroupDescription_member(p->d, i);
        mr_jsonl_open(&j, NULL, '{');
        mr_jsonl_text(&j, "member", rd_kafka_MemberDescription_consumer_id(m));
        mr_jsonl_text(&j, "instance", rd_kafka_MemberDescription_group_instance_id(m));
        mr_jsonl_text(&j, "client", rd_kafka_MemberDescription_client_id(m));
        mr_jsonl_text(&j, "host", rd_kafka_MemberDescription_host(m));
        mr_jsonl_close(&j, '}');
    }
    mr_jsonl_close(&j, ']');
    mr_jsonl_open(&j, "partitions", '[');
    for (int i = 0; i < p->committed->cnt; i++) {
        const rd_kafka_topic_partition_t *at = &p->committed->elems[i];
        const rd_kafka_MemberDescription_t *m = owner_of(p->d, at->topic, at->partition);
        mr_jsonl_open(&j, NULL, '{');
        mr_jsonl_text(&j, "topic", at->topic);
        mr_jsonl_int(&j, "partition", at->partition);
        number_of(&j, "committed", at->offset);
        number_of(&j, "next", p->next->elems[i].offset);
        number_of(&j, "lag", lag_of(p, i));
        mr_jsonl_text(&j, "member", m ? rd_kafka_MemberDescription_consumer_id(m) : NULL);
        mr_jsonl_close(&j, '}');
    }
    mr_jsonl_close(&j, ']');
    mr_jsonl_close(&j, '}');
    bool good = mr_jsonl_line(&j);
    mr_jsonl_fini(&j);
    return good;
}

static bool describe_it(struct mr_kafka *k, const rd_kafka_ConsumerGroupDescription_t *d, const char *name,
                        bool json)
{
    struct picture p = {.d = d, .committed = committed_of(k, name)};
    if (!p.committed)
        return false;
    add_assigned(p.committed, d);
    p.next = rd_kafka_topic_partition_list_copy(p.committed);
    p.first = rd_kafka_topic_partition_list_copy(p.committed);
    bool good = ends_of(k, p.next, MR_KAFKA_NEXT) && ends_of(k, p.first, MR_KAFKA_FIRST) &&
                (json ? print_json : print_text)(&p, name);
    rd_kafka_topic_partition_list_destroy(p.committed);
    rd_kafka_topic_partition_list_destroy(p.next);
    rd_kafka_topic_partition_list_destroy(p.first);
    return good;
}

static int describe_one(struct mr_kafka *k, const char *name, bool json)
{
    size_t count = 0;
    bool good = false;
    if (!need_group(k, name))
        return MR_EXIT_FAILED;
    rd_kafka_AdminOptions_t *o = mr_kafka_admin_options(k, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS);
    rd_kafka_DescribeConsumerGroups(k->rk, &name, 1, o, k->queue);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_event_t *e = mr_kafka_answer(k, "describe group", name);
    if (!e)
        return MR_EXIT_FAILED;
    const rd_kafka_ConsumerGroupDescription_t **list_of = rd_kafka_DescribeConsumerGroups_result_groups(
        rd_kafka_event_DescribeConsumerGroups_result(e), &count);
    const rd_kafka_error_t *bad = count ? rd_kafka_ConsumerGroupDescription_error(list_of[0]) : NULL;
    if (bad)
        (void)mr_kafka_refused(k, "describe group", name, rd_kafka_error_code(bad),
                               rd_kafka_error_string(bad));
    else if (count)
        good = describe_it(k, list_of[0], name, json);
    rd_kafka_event_destroy(e);
    return good ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static bool need_name(const struct mr_verb *v, size_t count)
{
    if (count == 1)
        return true;
    mr_cli_say("millrace %s: no group given; usage: millrace %s", v->name, v->usage);
    return false;
}

static int describe(const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    struct mr_kafka k = {0};
    const char *name;
    size_t count;
    int code;
    const struct mr_flag flags[] = {MR_KAFKA_COMMON_FLAGS(f), MR_KAFKA_JSON_FLAG(f, "one object"), {0}};
    if (!mr_cli_options(v, flags, argc, argv, &name, 1, &count, &code))
        return code;
    if (!need_name(v, count))
        return MR_EXIT_USAGE;
    code = mr_kafka_admin(&k, v, &f);
    if (!code)
        code = describe_one(&k, name, f.json);
    mr_kafka_close(&k);
    return code;
}

/* ------------------------------------------------------------------ reset */

static bool print_plan(const rd_kafka_topic_partition_list_t *now, const rd_kafka_topic_partition_list_t *new,
                       bool json)
{
    struct mr_table table = {.columns = 4};
    struct mr_jsonl j = {0};
    bool good = true;
    static const char *const head[] = {"TOPIC", "PARTITION", "COMMITTED", "NEW"};
    for (size_t i = 0; !json && i < table.columns; i++)
        mr_table_cell(&table, "%s", head[i]);
    for (int i = 0; good && i < new->cnt; i++) {
        const rd_kafka_topic_partition_t *to = &new->elems[i];
        const rd_kafka_topic_partition_t *at =
            rd_kafka_topic_partition_list_find(now, to->topic, to->partition);
        int64_t offset = at ? at->offset : OFFSET_NONE;
        if (json) {
            mr_jsonl_open(&j, NULL, '{');
            mr_jsonl_text(&j, "topic", to->topic);
            mr_jsonl_int(&j, "partition", to->partition);
            number_of(&j, "committed", offset);
            mr_jsonl_int(&j, "new", to->offset);
            mr_jsonl_close(&j, '}');
            good = mr_jsonl_line(&j);
        } else {
            mr_table_cell(&table, "%s", to->topic);
            mr_table_cell(&table, "%" PRId32, to->partition);
            number_cell(&table, offset);
            mr_table_cell(&table, "%" PRId64, to->offset);
        }
    }
    if (!json)
        good = mr_table_end(&table);
    mr_jsonl_fini(&j);
    return good && fflush(stdout) == 0;
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

static int reset_one(struct mr_kafka *k, const char *name, const char *topic, const struct mr_place *to,
                     bool execute, bool json)
{
    char *near = NULL;
    const struct rd_kafka_metadata_topic *t = mr_kafka_topic(k, topic);
    int found = t ? find_group(k, name, &near) : -1;
    if (found == 0)
        mr_cli_say("millrace: group '%s' is not there yet and %s made%s%s%s", name,
                   execute ? "is" : "would be", near ? "; did you mean '" : "", near ? near : "",
                   near ? "'?" : "");
    free(near);
    if (found < 0)
        return MR_EXIT_FAILED;
    rd_kafka_topic_partition_list_t *now = committed_of(k, name), *which = mr_kafka_partitions(t);
    rd_kafka_topic_partition_list_t *new = now ? mr_kafka_places(k, which, to, now) : NULL;
    int code = MR_EXIT_FAILED;
    if (new) {
        rd_kafka_topic_partition_list_sort(new, NULL, NULL);
        code = execute ? move(k, name, new) : MR_EXIT_OK;
        if (!code && !print_plan(now, new, json))
            code = MR_EXIT_FAILED;
        rd_kafka_topic_partition_list_destroy(new);
    }
    if (!code && !execute)
        mr_cli_say("nothing was changed: --execute does it");
    rd_kafka_topic_partition_list_destroy(which);
    if (now)
        rd_kafka_topic_partition_list_destroy(now);
    return code;
}

static int reset(const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    struct mr_kafka k = {0};
    const char *name, *topic = NULL, *to = NULL;
    bool dry = false, execute = false;
    struct mr_place place;
    struct mr_err err = {0};
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        {"topic", "TOPIC", "whose partitions", NULL, &topic},
        {"to", "PLACE", "beginning, end, an offset, -N, a time, a duration, shift:N", NULL, &to},
        {"dry-run", NULL, "shows what would be done (so it is without --execute)", &dry, NULL},
        {"execute", NULL, "does it", &execute, NULL},
        MR_KAFKA_COMMON_FLAGS(f),
        MR_KAFKA_JSON_FLAG(f, "one object a line"),
        {0},
    };
    if (!mr_cli_options(v, flags, argc, argv, &name, 1, &count, &code))
        return code;
    if (!need_name(v, count))
        return MR_EXIT_USAGE;
    if (!topic || !to || (dry && execute)) {
        mr_cli_say("millrace %s: %s; usage: millrace %s", v->name,
                   !topic ? "--topic is missing"
                   : !to  ? "--to is missing"
                          : "--dry-run and --execute exclude each other",
                   v->usage);
        return MR_EXIT_USAGE;
    }
    if (mr_place_parse(to, true, &place, &err)) {
        mr_cli_say("millrace %s: --to: %s", v->name, err.text);
        return MR_EXIT_USAGE;
    }
    code = mr_kafka_admin(&k, v, &f);
    if (!code)
        code = reset_one(&k, name, topic, &place, execute, f.json);
    mr_kafka_close(&k);
    return code;
}

/* ------------------------------------------------------------------ delete */

static int delete_one(struct mr_kafka *k, const char *name)
{
    size_t count = 0;
    int code = MR_EXIT_FAILED;
    if (!need_group(k, name))
        return MR_EXIT_FAILED;
    rd_kafka_DeleteGroup_t *d = rd_kafka_DeleteGroup_new(name);
    rd_kafka_AdminOptions_t *o = mr_kafka_admin_options(k, RD_KAFKA_ADMIN_OP_DELETEGROUPS);
    rd_kafka_DeleteGroups(k->rk, &d, 1, o, k->queue);
    rd_kafka_AdminOptions_destroy(o);
    rd_kafka_DeleteGroup_destroy(d);
    rd_kafka_event_t *e = mr_kafka_answer(k, "delete group", name);
    if (!e)
        return code;
    const rd_kafka_group_result_t **results =
        rd_kafka_DeleteGroups_result_groups(rd_kafka_event_DeleteGroups_result(e), &count);
    const rd_kafka_error_t *bad = count ? rd_kafka_group_result_error(results[0]) : NULL;
    if (bad)
        (void)mr_kafka_refused(k, "delete group", name, rd_kafka_error_code(bad), rd_kafka_error_string(bad));
    else if (count)
        code = MR_EXIT_OK;
    rd_kafka_event_destroy(e);
    return code;
}

static int delete (const struct mr_verb *v, int argc, char **argv)
{
    struct mr_kafka_flags f = MR_KAFKA_FLAGS;
    struct mr_kafka k = {0};
    const char *name;
    size_t count;
    int code;
    const struct mr_flag flags[] = {
        MR_KAFKA_COMMON_FLAGS(f), MR_KAFKA_JSON_FLAG(f, "says what was done as an object"), {0}};
    if (!mr_cli_options(v, flags, argc, argv, &name, 1, &count, &code))
        return code;
    if (!need_name(v, count))
        return MR_EXIT_USAGE;
    code = mr_kafka_admin(&k, v, &f);
    if (!code)
        code = delete_one(&k, name);
    if (!code && f.json) {
        struct mr_jsonl j = {0};
        mr_jsonl_open(&j, NULL, '{');
        mr_jsonl_text(&j, "group", name);
        mr_jsonl_text(&j, "done", "deleted");
        mr_jsonl_close(&j, '}');
        code = mr_jsonl_line(&j) ? MR_EXIT_OK : MR_EXIT_FAILED;
        mr_jsonl_fini(&j);
    } else if (!code) {
        (void)printf("deleted group '%s'\n", name);
    }
    mr_kafka_close(&k);
    return code;
}

/* ------------------------------------------------------------------ the verbs */

static const struct mr_verb subs[] = {
    {"group list", "group list", "names and states", "Lists the consumer groups.\n\n  millrace group list",
     list},
    {"group describe", "group describe NAME", "members, committed offsets, lag",
     "Tells the group's state and of each partition what is committed, what is written next, how many "
     "offsets lie\n"
     "between (LAG), and which member reads it. Without a committed offset the lag is the whole "
     "partition.\n\n"
     "  millrace group describe billing --json | jq '[.partitions[].lag] | add'",
     describe},
    {"group reset", "group reset NAME --topic TOPIC --to PLACE", "moves committed offsets",
     "Shows where the group would go on, and with --execute moves it there. Its members must be stopped.\n"
     "PLACE: beginning, end, an offset (1200), the last ones (-100), a time (2025-10-10T13:00:00Z), so long "
     "ago\n"
     "(2h30m), or from where it is (shift:-10). What lies outside of a partition becomes its nearest end.\n\n"
     "  millrace group reset billing --topic orders --to 2h\n"
     "  millrace group reset billing --topic orders --to 2h --execute",
     reset},
    {"group delete", "group delete NAME", "deletes a group without members",
     "Deletes a group and what it committed. It must have no members.\n\n  millrace group delete billing",
     delete},
};

static int group(const struct mr_verb *v, int argc, char **argv)
{
    return mr_kafka_dispatch(v, subs, sizeof subs / sizeof subs[0], argc, argv);
}

const struct mr_verb mr_kafka_verb_group = {
    .name = "group",
    .usage = "group list|describe|reset|delete",
    .help = "Consumer groups: who reads what, and how far they are.",
    .run = group,
};
