/* group.c - `millrace group`: list, describe, delete. reset is in group_reset.c. */
#include "cli/group.h"

#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

/* ------------------------------------------------------------------ list */

struct listing {
    struct mr_kafka_call c; /* first */
    const char *state[MR_CLI_MANY_MAX + 1];
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct mr_group *)a)->name, ((const struct mr_group *)b)->name);
}

static bool wanted(const struct listing *l, const struct mr_group *g)
{
    bool any = !l->state[0];
    for (size_t i = 0; l->state[i]; i++)
        any = any || !strcasecmp(l->state[i], g->state);
    return any;
}

static int run_list(struct mr_kafka_call *c)
{
    static const struct mr_rows_column columns[] = {
        {"GROUP", "group"}, {"STATE", "state"}, {"TYPE", "type"}, {"COORDINATOR", "coordinator"}, {0}};
    struct mr_group *all;
    struct mr_rows rows;
    size_t count;
    if (!mr_group_list(&c->k, &all, &count))
        return MR_EXIT_FAILED;
    if (count)
        qsort(all, count, sizeof *all, by_name);
    mr_rows_open(&rows, c->f.json, columns);
    for (size_t i = 0; i < count; i++)
        if (wanted((const struct listing *)c, &all[i])) {
            mr_rows_text(&rows, all[i].name);
            mr_rows_text(&rows, *all[i].state ? all[i].state : NULL);
            mr_rows_text(&rows, *all[i].type ? all[i].type : NULL);
            mr_rows_int(&rows, all[i].coordinator);
        }
    return mr_rows_close(&rows) ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static int check_list(struct mr_kafka_call *c)
{
    static const char *const states[] = {"Empty", "Stable",    "PreparingRebalance", "CompletingRebalance",
                                         "Dead",  "Assigning", "Reconciling"};
    enum { STATES = sizeof states / sizeof states[0] };
    const struct listing *l = (const struct listing *)c;
    for (size_t i = 0; l->state[i]; i++) {
        size_t n = 0;
        while (n < STATES && strcasecmp(states[n], l->state[i]) != 0)
            n++;
        if (n == STATES)
            return mr_cli_unknown("state", l->state[i], states, STATES, "millrace group list --help");
    }
    return MR_EXIT_OK;
}

static int list(const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {NULL, 0, 0, check_list, run_list};
    struct listing l = {.c = {.v = v, .f = MR_KAFKA_FLAGS}};
    const struct mr_flag flags[] = {
        {"state", "STATE...", "those in this state alone (Empty, Stable, ...); may be repeated", NULL,
         l.state},
        MR_KAFKA_COMMON_FLAGS(l.c.f),
        MR_KAFKA_JSON_FLAG(l.c.f, "one object a line"),
        {0},
    };
    return mr_kafka_run(&l.c, &course, flags, argc, argv);
}

/* ------------------------------------------------------------------ describe */

static const struct mr_group_member *owner_of(const struct mr_group *g, const char *topic, int32_t id)
{
    for (size_t i = 0; i < g->count; i++)
        for (size_t p = 0; p < g->members[i].part_count; p++)
            if (g->members[i].parts[p].partition == id && !strcmp(g->members[i].parts[p].topic, topic))
                return &g->members[i];
    return NULL;
}

/* What is assigned but has nothing committed belongs into the picture: its lag is the whole
 * partition. */
static void add_assigned(rd_kafka_topic_partition_list_t *committed, const struct mr_group *g)
{
    for (size_t i = 0; i < g->count; i++)
        for (size_t p = 0; p < g->members[i].part_count; p++) {
            const struct mr_group_part *at = &g->members[i].parts[p];
            if (!rd_kafka_topic_partition_list_find(committed, at->topic, at->partition))
                rd_kafka_topic_partition_list_add(committed, at->topic, at->partition)->offset =
                    MR_GROUP_NONE;
        }
    rd_kafka_topic_partition_list_sort(committed, NULL, NULL);
}

/* Next and first offsets of those partitions that still are; of others MR_GROUP_NONE stays. */
static bool ends_of(struct mr_kafka *k, rd_kafka_topic_partition_list_t *which, int64_t when)
{
    rd_kafka_topic_partition_list_t *there = rd_kafka_topic_partition_list_new(which->cnt + 1);
    for (int i = 0; i < which->cnt; i++) {
        const struct rd_kafka_metadata_topic *t = mr_kafka_topic_quiet(k, which->elems[i].topic);
        which->elems[i].offset = MR_GROUP_NONE;
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
    const struct mr_group *g;
    rd_kafka_topic_partition_list_t *committed, *next, *first; /* the same partitions in the same order */
};

/* MR_GROUP_NONE: not known. */
static int64_t lag_of(const struct picture *p, int i)
{
    int64_t next = p->next->elems[i].offset, at = p->committed->elems[i].offset;
    if (at < 0)
        at = p->first->elems[i].offset;
    return next < 0 || at < 0 ? MR_GROUP_NONE : next > at ? next - at : 0;
}

static bool print_text(const struct picture *p)
{
    static const struct mr_rows_column columns[] = {{"TOPIC", NULL}, {"PARTITION", NULL}, {"COMMITTED", NULL},
                                                    {"NEXT", NULL},  {"LAG", NULL},       {"CLIENT", NULL},
                                                    {"HOST", NULL},  {"MEMBER", NULL},    {0}};
    const struct mr_group *g = p->g;
    struct mr_rows rows;
    int64_t lag = 0;
    for (int i = 0; i < p->committed->cnt; i++)
        lag += lag_of(p, i) > 0 ? lag_of(p, i) : 0;
    (void)printf("group %s: %s, %zu member%s, lag %" PRId64 ", coordinator broker %" PRId32 "%s%s%s%s\n",
                 g->name, g->state, g->count, g->count == 1 ? "" : "s", lag, g->coordinator,
                 *g->type ? ", type " : "", g->type, g->count && *g->assignor ? ", assignor " : "",
                 g->count ? g->assignor : "");
    for (size_t i = 0; i < g->count; i++)
        if (g->members[i].part_count == 0)
            (void)printf("member %s of client %s at %s reads nothing\n", g->members[i].id,
                         g->members[i].client, g->members[i].host);
    if (p->committed->cnt == 0)
        return fflush(stdout) == 0;
    mr_rows_open(&rows, false, columns);
    for (int i = 0; i < p->committed->cnt; i++) {
        const rd_kafka_topic_partition_t *at = &p->committed->elems[i];
        const struct mr_group_member *m = owner_of(g, at->topic, at->partition);
        mr_rows_text(&rows, at->topic);
        mr_rows_int(&rows, at->partition);
        mr_rows_known(&rows, at->offset);
        mr_rows_known(&rows, p->next->elems[i].offset);
        mr_rows_known(&rows, lag_of(p, i));
        mr_rows_text(&rows, m ? m->client : NULL);
        mr_rows_text(&rows, m ? m->host : NULL);
        mr_rows_text(&rows, m ? m->id : NULL);
    }
    return mr_rows_close(&rows);
}

static bool print_json(const struct picture *p)
{
    struct mr_jsonl j = {0};
    const struct mr_group *g = p->g;
    mr_jsonl_open(&j, NULL, '{');
    mr_jsonl_text(&j, "group", g->name);
    mr_jsonl_text(&j, "state", g->state);
    mr_jsonl_text(&j, "type", *g->type ? g->type : NULL);
    mr_jsonl_int(&j, "coordinator", g->coordinator);
    mr_jsonl_text(&j, "assignor", g->assignor);
    mr_jsonl_open(&j, "members", '[');
    for (size_t i = 0; i < g->count; i++) {
        const struct mr_group_member *m = &g->members[i];
        mr_jsonl_open(&j, NULL, '{');
        mr_jsonl_text(&j, "member", m->id);
        mr_jsonl_text(&j, "instance", m->instance);
        mr_jsonl_text(&j, "client", m->client);
        mr_jsonl_text(&j, "host", m->host);
        mr_jsonl_int(&j, "partitions", (int64_t)m->part_count);
        mr_jsonl_close(&j, '}');
    }
    mr_jsonl_close(&j, ']');
    mr_jsonl_open(&j, "partitions", '[');
    for (int i = 0; i < p->committed->cnt; i++) {
        const rd_kafka_topic_partition_t *at = &p->committed->elems[i];
        const struct mr_group_member *m = owner_of(g, at->topic, at->partition);
        mr_jsonl_open(&j, NULL, '{');
        mr_jsonl_text(&j, "topic", at->topic);
        mr_jsonl_int(&j, "partition", at->partition);
        mr_jsonl_known(&j, "committed", at->offset);
        mr_jsonl_known(&j, "next", p->next->elems[i].offset);
        mr_jsonl_known(&j, "lag", lag_of(p, i));
        mr_jsonl_text(&j, "member", m ? m->id : NULL);
        mr_jsonl_close(&j, '}');
    }
    mr_jsonl_close(&j, ']');
    return mr_jsonl_end(&j);
}

static int run_describe(struct mr_kafka_call *c)
{
    struct mr_kafka *k = &c->k;
    struct mr_group g;
    if (!mr_group_need(k, c->words[0], &g) || !mr_group_members(k, &g))
        return MR_EXIT_FAILED;
    struct picture p = {.g = &g, .committed = mr_group_committed(k, g.name)};
    if (!p.committed)
        return MR_EXIT_FAILED;
    add_assigned(p.committed, &g);
    p.next = rd_kafka_topic_partition_list_copy(p.committed);
    p.first = rd_kafka_topic_partition_list_copy(p.committed);
    bool good = ends_of(k, p.next, MR_KAFKA_NEXT) && ends_of(k, p.first, MR_KAFKA_FIRST) &&
                (c->f.json ? print_json : print_text)(&p);
    rd_kafka_topic_partition_list_destroy(p.committed);
    rd_kafka_topic_partition_list_destroy(p.next);
    rd_kafka_topic_partition_list_destroy(p.first);
    return good ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static int describe(const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {"no group given", 1, 1, NULL, run_describe};
    return mr_kafka_plain(v, &course, "one object", argc, argv);
}

/* ------------------------------------------------------------------ delete */

static int delete_one(struct mr_kafka *k, const char *name)
{
    struct mr_group g;
    size_t count = 0;
    int code = MR_EXIT_FAILED;
    if (!mr_group_need(k, name, &g))
        return MR_EXIT_FAILED;
    bool told = *g.type && strcmp(g.type, "classic") != 0 && strcmp(g.type, "consumer") != 0;
    if (!told && !mr_group_at_rest(k, &g, "delete")) /* of other types the broker judges */
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

static int run_delete(struct mr_kafka_call *c)
{
    return mr_kafka_each(c, delete_one, "group", "deleted");
}

static int delete (const struct mr_verb *v, int argc, char **argv)
{
    static const struct mr_kafka_course course = {"no group given", 1, MR_CLI_MANY_MAX, NULL, run_delete};
    return mr_kafka_plain(v, &course, "says what was done as an object", argc, argv);
}

/* ------------------------------------------------------------------ the verbs */

static const struct mr_verb subs[] = {
    {"group list", "group list", "names, states, types",
     "Lists the groups of every broker.\n\n  millrace group list --state Empty", list},
    {"group describe", "group describe NAME", "members, committed offsets, lag",
     "Tells the group's state and of each partition what is committed, what is written next, how many "
     "offsets "
     "lie\n"
     "between (LAG), and which member reads it. Without a committed offset the lag is the whole "
     "partition.\n\n"
     "  millrace group describe billing --json | jq '[.partitions[].lag] | add'",
     describe},
    {"group reset", "group reset NAME --topic TOPIC --to PLACE", "moves committed offsets",
     "Shows where the group would go on, and with --execute moves it there. Its members must be stopped.\n"
     "PLACE: beginning, end, an offset (1200), the last ones (-100), a time (2025-10-10T13:00:00Z), so long "
     "ago\n"
     "(2h30m), or from where it is (shift:-10). What lies outside of a partition becomes its nearest end.\n"
     "--plan reads lines of JSON, as --json prints them, or TOPIC,PARTITION,OFFSET; `-` is standard "
     "input.\n\n"
     "  millrace group reset billing --topic orders --to 2h\n"
     "  millrace group reset billing --topic orders --to 2h --execute\n"
     "  millrace group reset billing --topic orders:0,3 --topic bills --to-time 2025-10-10T13:00:00Z\n"
     "  millrace group reset billing --all-topics --shift -100 --json > plan && millrace group reset billing "
     "--plan "
     "plan --execute",
     mr_group_reset},
    {"group delete", "group delete NAME...", "deletes groups without members",
     "Deletes groups and what they committed. They must have no members.\n\n  millrace group delete billing",
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
