/* group_ask.c - what brokers say of their groups.
 *
 * A group belongs to one broker, its coordinator; so a list asks all of them. Which request
 * describes a group goes by its type: DescribeGroups for classic ones, ConsumerGroupDescribe for
 * those whose assignments the broker makes.
 */
#include "cli/group.h"

#include "base/text.h"

static size_t many(int32_t count)
{
    return count > 0 ? (size_t)count : 0;
}

static const char *or_null(struct mr_kafka *k, struct mr_slice s)
{
    return s.p ? mr_ask_text(k, s) : NULL;
}

/* ------------------------------------------------------------------ list */

bool mr_group_list(struct mr_kafka *k, struct mr_group **list, size_t *count)
{
    struct mr_list_groups_request request;
    struct mr_list_groups_response *answers = mr_ask_take(k, (size_t)k->meta->broker_cnt, sizeof *answers);
    size_t room = 0;
    mr_list_groups_request_init(&request);
    for (int b = 0; b < k->meta->broker_cnt; b++) {
        int64_t until_ms = mr_kafka_now_ms() + k->timeout_ms;
        do {
            if (!mr_ask(k, k->meta->brokers[b].id, MR_ASK_LIST_GROUPS, &request, &answers[b]))
                return false;
        } while (mr_ask_again(answers[b].error_code, until_ms));
        if (answers[b].error_code) {
            (void)mr_kafka_refused(k, "list the groups at", k->broker,
                                   (rd_kafka_resp_err_t)answers[b].error_code, NULL);
            return false;
        }
        room += many(answers[b].groups_count);
    }
    struct mr_group *all = mr_ask_take(k, room, sizeof *all);
    *list = all;
    for (int b = 0; b < k->meta->broker_cnt; b++)
        for (size_t i = 0; i < many(answers[b].groups_count); i++) {
            const struct mr_list_groups_response_group *g = &answers[b].groups[i];
            *all++ = (struct mr_group){.name = mr_ask_text(k, g->group_id),
                                       .state = mr_ask_text(k, g->group_state),
                                       .type = mr_ask_text(k, g->group_type),
                                       .assignor = "",
                                       .coordinator = k->meta->brokers[b].id};
        }
    *count = room;
    return true;
}

int mr_group_find(struct mr_kafka *k, const char *name, struct mr_group *out, const char **near)
{
    struct mr_group *all;
    size_t count;
    *near = NULL;
    if (!mr_group_list(k, &all, &count))
        return -1;
    const char **names = mr_ask_take(k, count, sizeof *names);
    for (size_t i = 0; i < count; i++) {
        names[i] = all[i].name;
        if (!strcmp(all[i].name, name)) {
            *out = all[i];
            return 1;
        }
    }
    *near = mr_nearest(mr_slice_of(name), names, count);
    return 0;
}

bool mr_group_need(struct mr_kafka *k, const char *name, struct mr_group *out)
{
    const char *near;
    int found = mr_group_find(k, name, out, &near);
    if (found == 0 && near)
        mr_cli_say("millrace: error: no group '%s' at %s; did you mean '%s'?", name, k->broker, near);
    else if (found == 0)
        mr_cli_say("millrace: error: no group '%s' at %s\n  = `millrace group list` shows what is there",
                   name, k->broker);
    return found == 1;
}

/* ------------------------------------------------------------------ members */

/* An assignment as classic members are given it; what cannot be read is told as none. */
static void classic_parts(struct mr_kafka *k, struct mr_slice blob, struct mr_group_member *m)
{
    struct mr_consumer_assignment a;
    struct mr_err err = {0};
    if (blob.len < 2)
        return;
    int16_t version = (int16_t)((unsigned char)blob.p[0] << 8 | (unsigned char)blob.p[1]);
    struct mr_slice in = {blob.p + 2, blob.len - 2};
    if (mr_consumer_assignment_read(&in, version > 3 ? 3 : version, mr_ask_arena(k), &a, &err))
        return;
    size_t room = 0;
    for (size_t i = 0; i < many(a.assigned_partitions_count); i++)
        room += many(a.assigned_partitions[i].partitions_count);
    m->parts = mr_ask_take(k, room, sizeof *m->parts);
    for (size_t i = 0; i < many(a.assigned_partitions_count); i++)
        for (size_t p = 0; p < many(a.assigned_partitions[i].partitions_count); p++)
            m->parts[m->part_count++] = (struct mr_group_part){mr_ask_text(k, a.assigned_partitions[i].topic),
                                                               a.assigned_partitions[i].partitions[p]};
}

/* The error of the answer; 0: *g is filled. -1: told. */
static int describe_classic(struct mr_kafka *k, struct mr_group *g)
{
    struct mr_slice name = mr_slice_of(g->name);
    struct mr_describe_groups_request request;
    struct mr_describe_groups_response response;
    mr_describe_groups_request_init(&request);
    request.groups = &name;
    request.groups_count = 1;
    if (!mr_ask(k, g->coordinator, MR_ASK_DESCRIBE_GROUPS, &request, &response))
        return -1;
    if (response.groups_count != 1 || response.groups[0].error_code)
        return response.groups_count == 1 ? response.groups[0].error_code : RD_KAFKA_RESP_ERR__BAD_MSG;
    const struct mr_describe_groups_response_group *d = &response.groups[0];
    g->state = mr_ask_text(k, d->group_state);
    g->assignor = mr_ask_text(k, d->protocol_data);
    g->count = many(d->members_count);
    g->members = mr_ask_take(k, g->count, sizeof *g->members);
    for (size_t i = 0; i < g->count; i++) {
        g->members[i] = (struct mr_group_member){.id = mr_ask_text(k, d->members[i].member_id),
                                                 .instance = or_null(k, d->members[i].group_instance_id),
                                                 .client = mr_ask_text(k, d->members[i].client_id),
                                                 .host = mr_ask_text(k, d->members[i].client_host)};
        classic_parts(k, d->members[i].member_assignment, &g->members[i]);
    }
    return 0;
}

static int describe_newer(struct mr_kafka *k, struct mr_group *g)
{
    struct mr_slice name = mr_slice_of(g->name);
    struct mr_consumer_group_describe_request request;
    struct mr_consumer_group_describe_response response;
    mr_consumer_group_describe_request_init(&request);
    request.group_ids = &name;
    request.group_ids_count = 1;
    if (!mr_ask(k, g->coordinator, MR_ASK_CONSUMER_GROUP_DESCRIBE, &request, &response))
        return -1;
    if (response.groups_count != 1 || response.groups[0].error_code)
        return response.groups_count == 1 ? response.groups[0].error_code : RD_KAFKA_RESP_ERR__BAD_MSG;
    const struct mr_consumer_group_describe_response_group *d = &response.groups[0];
    g->state = mr_ask_text(k, d->group_state);
    g->assignor = mr_ask_text(k, d->assignor_name);
    g->count = many(d->members_count);
    g->members = mr_ask_take(k, g->count, sizeof *g->members);
    for (size_t i = 0; i < g->count; i++) {
        const struct mr_consumer_group_describe_response_member *from = &d->members[i];
        struct mr_group_member *m = &g->members[i];
        size_t room = 0;
        *m = (struct mr_group_member){.id = mr_ask_text(k, from->member_id),
                                      .instance = or_null(k, from->instance_id),
                                      .client = mr_ask_text(k, from->client_id),
                                      .host = mr_ask_text(k, from->client_host)};
        for (size_t t = 0; t < many(from->assignment.topic_partitions_count); t++)
            room += many(from->assignment.topic_partitions[t].partitions_count);
        m->parts = mr_ask_take(k, room, sizeof *m->parts);
        for (size_t t = 0; t < many(from->assignment.topic_partitions_count); t++)
            for (size_t p = 0; p < many(from->assignment.topic_partitions[t].partitions_count); p++)
                m->parts[m->part_count++] =
                    (struct mr_group_part){mr_ask_text(k, from->assignment.topic_partitions[t].topic_name),
                                           from->assignment.topic_partitions[t].partitions[p]};
    }
    return 0;
}

bool mr_group_members(struct mr_kafka *k, struct mr_group *g)
{
    int64_t until_ms = mr_kafka_now_ms() + k->timeout_ms;
    bool newer = !strcmp(g->type, "consumer");
    int error;
    if (*g->type && !newer && strcmp(g->type, "classic") != 0) {
        mr_cli_say("millrace: error: '%s' is a %s group: it has no offsets of its own to tell or to move",
                   g->name, g->type);
        return false;
    }
    for (;;) {
        error = newer ? describe_newer(k, g) : describe_classic(k, g);
        if (error <= 0 || !mr_ask_again((int16_t)error, until_ms))
            break;
        g->coordinator = mr_ask_coordinator(k, MR_ASK_GROUP, g->name); /* it may have moved */
        if (g->coordinator < 0)
            return false;
    }
    if (error)
        return error != -1 &&
               mr_kafka_refused(k, "describe group", g->name, (rd_kafka_resp_err_t)error, NULL) == MR_EXIT_OK;
    return true;
}

bool mr_group_at_rest(struct mr_kafka *k, struct mr_group *g, const char *what)
{
    if (!mr_group_members(k, g))
        return false;
    if (g->count == 0)
        return true;
    mr_cli_say("millrace: error: cannot %s group '%s': it is %s and has %zu member%s (%s at %s%s)\n"
               "  = stop the group's members first; `millrace group describe %s` shows them",
               what, g->name, *g->state ? g->state : "active", g->count, g->count == 1 ? "" : "s",
               g->members[0].client, g->members[0].host, g->count == 1 ? "" : ", ...", g->name);
    return false;
}

/* ------------------------------------------------------------------ committed offsets */

rd_kafka_topic_partition_list_t *mr_group_committed(struct mr_kafka *k, const char *name)
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
    if (list_of)
        rd_kafka_topic_partition_list_sort(list_of, NULL, NULL);
    return list_of;
}
