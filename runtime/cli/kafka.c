/* kafka.c - a client of brokers: opening it, asking, telling what went wrong. */
#include "cli/kafka.h"

#include "base/text.h"
#include "base/time.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <syslog.h>
#include <time.h>

enum {
    SLICE_MS = 100,     /* how long a wait may keep Ctrl-C waiting */
    LOOK_MS = 500,      /* between two looks for a broker that went */
    LOOK_WAIT_MS = 800, /* for an answer, which waits in line behind a fetch of up to 500 ms */
    GRACE_MS = 1000,    /* "localhost" may be refused at one address and answer at the next */
    TIMEOUT_MS_MAX = 3600000,
    NAMES_MAX = 100000, /* topics looked through for the nearest name */
    SETTINGS_LINE_MAX = 4096,
};

volatile sig_atomic_t mr_kafka_stopped;

static void on_signal(int signo)
{
    (void)signo;
    mr_kafka_stopped = 1;
}

void mr_kafka_catch_signals(void)
{
    struct sigaction act = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    (void)sigemptyset(&act.sa_mask);
    (void)sigaction(SIGINT, &act, NULL);
    (void)sigaction(SIGTERM, &act, NULL);
}

int64_t mr_kafka_now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t wall_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------ telling */

/* What this librdkafka has no name for. */
#define YOUNG_ERRORS(X)                                                                                      \
    X(100, UNKNOWN_TOPIC_ID, "no such topic id")                                                             \
    X(103, INCONSISTENT_TOPIC_ID, "the topic was made anew meanwhile")                                       \
    X(105, TRANSACTIONAL_ID_NOT_FOUND, "no such transactional id")                                           \
    X(110, FENCED_MEMBER_EPOCH, "the member is fenced")                                                      \
    X(111, UNRELEASED_INSTANCE_ID, "another member has this instance id")                                    \
    X(112, UNSUPPORTED_ASSIGNOR, "the broker has no such assignor")                                          \
    X(113, STALE_MEMBER_EPOCH, "the member's epoch is old")                                                  \
    X(116, UNKNOWN_CONTROLLER_ID, "no such controller")                                                      \
    X(120, TRANSACTION_ABORTABLE, "the transaction has to be aborted")                                       \
    X(128, INVALID_REGULAR_EXPRESSION, "the regular expression is not valid")

enum {
    YOUNG_FIRST = 98,
#define YOUNG_(code, name, text) YOUNG_##name = (code),
    YOUNG_ERRORS(YOUNG_)
#undef YOUNG_
};

static const char *young_name(int code)
{
    switch (code) {
#define YOUNG_(number, name, text)                                                                           \
    case number:                                                                                             \
        return #name;
        YOUNG_ERRORS(YOUNG_)
#undef YOUNG_
    default:
        return "a code that this program does not know";
    }
}

static const char *young_text(int code)
{
    switch (code) {
#define YOUNG_(number, name, text)                                                                           \
    case number:                                                                                             \
        return text;
        YOUNG_ERRORS(YOUNG_)
#undef YOUNG_
    default:
        return "error";
    }
}

static const char *way_out(rd_kafka_resp_err_t code)
{
    switch ((int)code) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
        return "whom you connect as may not do that: connect as somebody else (-X sasl.username=...), or "
               "have the "
               "cluster's owner allow it";
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
        return "see -X sasl.mechanism, sasl.username and sasl.password";
    case RD_KAFKA_RESP_ERR_INVALID_CONFIG:
        return "`millrace configs describe topic NAME` lists the settings there are, with their values";
    case RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR:
        return "there are not so many brokers";
    case YOUNG_TRANSACTIONAL_ID_NOT_FOUND:
        return "`millrace txn list` shows what is there";
    case RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS:
        return "choose another name, or see what there is: millrace topic describe NAME";
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
        return "`millrace topic list` shows what is there";
    case RD_KAFKA_RESP_ERR_GROUP_ID_NOT_FOUND:
        return "`millrace group list` shows what is there";
    case RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
        return "stop the group's members first; `millrace group describe NAME` shows them";
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
        return "this broker cannot do that";
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
    case RD_KAFKA_RESP_ERR__MSG_TIMED_OUT:
        return "the broker did not answer in time; give it longer with --timeout";
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        return "a record is larger than may be; see message.max.bytes of the client (-X) and "
               "max.message.bytes "
               "of the topic";
    default:
        return NULL;
    }
}

int mr_kafka_refused(const struct mr_kafka *k, const char *what, const char *subject,
                     rd_kafka_resp_err_t code, const char *text)
{
    const char *way = way_out(code);
    bool young = (int)code >= YOUNG_FIRST;
    mr_cli_say("millrace: error: cannot %s '%s': %s (%s)", what, subject,
               text && *text ? text
               : young       ? young_text((int)code)
                             : rd_kafka_err2str(code),
               young ? young_name((int)code) : rd_kafka_err2name(code));
    if (code < 0 && k->trouble[0])
        mr_cli_say("  the connection said last: %s", k->trouble);
    if (way)
        mr_cli_say("  = %s", way);
    return MR_EXIT_FAILED;
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct mr_kafka *k = opaque;
    char text[256];
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        k->down = true;
    } else if (code == RD_KAFKA_RESP_ERR__FATAL) {
        k->fatal = true;
        (void)rd_kafka_fatal_error(rk, text, sizeof text);
        (void)snprintf(k->trouble, sizeof k->trouble, "%s", text);
    } else {
        const char *state = strstr(reason, " (after "); /* how often and how long is noise here */
        (void)snprintf(k->trouble, sizeof k->trouble, "%.*s",
                       (int)(state ? (size_t)(state - reason) : strlen(reason)), reason);
    }
}

static void on_log(const rd_kafka_t *rk, int level, const char *fac, const char *text)
{
    struct mr_kafka *k = rd_kafka_opaque(rk); /* called by rd_kafka_poll: log.queue */
    (void)fac;
    if (level <= LOG_WARNING && !k->trouble[0]) /* what matters comes as an error too, mostly */
        (void)snprintf(k->trouble, sizeof k->trouble, "%s", text);
}

static int unreached(const struct mr_kafka *k)
{
    char within[32];
    (void)mr_duration_print(k->timeout_ms, within);
    if (k->trouble[0])
        mr_cli_say("millrace: error: no broker answers at '%s': %s", k->broker, k->trouble);
    else
        mr_cli_say("millrace: error: no broker answers at '%s' within %s", k->broker, within);
    if (strcasestr(k->trouble, "authentication"))
        mr_cli_say(
            "  = it does not take who you say you are: see -X sasl.mechanism, sasl.username, sasl.password");
    else if (strcasestr(k->trouble, "security.protocol") || strcasestr(k->trouble, "broken pipe") ||
             strcasestr(k->trouble, "reset by peer") || strcasestr(k->trouble, "disconnected"))
        mr_cli_say(
            "  = its connections may be secured: -X security.protocol=ssl, sasl_ssl or sasl_plaintext");
    else if (strcasestr(k->trouble, "certificate"))
        mr_cli_say("  = give the authority that signed the broker's certificate: -X ssl.ca.location=FILE");
    else
        mr_cli_say("  = start one, `millrace serve`, or say where it is: --broker HOST:PORT");
    return MR_EXIT_FAILED;
}

/* ------------------------------------------------------------------ opening */

const char *mr_kafka_where(void)
{
    const char *given = getenv("MILLRACE_BROKER");
    return given && *given ? given : "127.0.0.1:9092";
}

static bool set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[256];
    if (!value || rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return true;
    mr_cli_say("millrace: '%s=%s' cannot be set: %s", name, value, text);
    return false;
}

bool mr_kafka_pair(const struct mr_verb *v, const char *what, const char *pair, char *name, size_t cap,
                   const char **value)
{
    const char *equals = strchr(pair, '=');
    size_t len = equals ? (size_t)(equals - pair) : 0;
    if (len == 0 || len >= cap) {
        mr_cli_say("millrace %s: '%s' is no %s: it is written NAME=VALUE", v->name, pair, what);
        return false;
    }
    memcpy(name, pair, len);
    name[len] = '\0';
    *value = equals + 1;
    return true;
}

bool mr_kafka_number(const struct mr_verb *v, const char *what, const char *text, int64_t min, int64_t max,
                     int64_t *out)
{
    if (mr_parse_i64(mr_slice_of(text), out) && *out >= min && *out <= max)
        return true;
    mr_cli_say("millrace %s: %s '%s' is not a number from %" PRId64 " to %" PRId64, v->name, what, text, min,
               max);
    return false;
}

static bool set_all(rd_kafka_conf_t *conf, const struct mr_kafka_setting *list)
{
    for (; list && list->name; list++)
        if (!set(conf, list->name, list->value))
            return false;
    return true;
}

/* "key=value", or "@FILE" with a line for each. false: told. */
static bool set_pair(rd_kafka_conf_t *conf, const struct mr_verb *v, const char *pair)
{
    char name[128];
    const char *value;
    return mr_kafka_pair(v, "setting", pair, name, sizeof name, &value) && set(conf, name, value);
}

static bool set_file(rd_kafka_conf_t *conf, const struct mr_verb *v, const char *path)
{
    char line[SETTINGS_LINE_MAX];
    FILE *in = fopen(path, "re");
    bool good = in != NULL;
    if (!in)
        mr_cli_say("millrace %s: cannot read the settings in '%s': %s", v->name, path, strerror(errno));
    while (good && fgets(line, sizeof line, in)) {
        char *text = line + strspn(line, " \t");
        text[strcspn(text, "\r\n")] = '\0';
        good = !*text || *text == '#' || set_pair(conf, v, text);
    }
    if (in)
        (void)fclose(in);
    return good;
}

rd_kafka_conf_t *mr_kafka_conf(const struct mr_verb *v, const struct mr_kafka_flags *f,
                               const struct mr_kafka_setting *own)
{
    const struct mr_kafka_setting always[] = {
        {"client.id", "millrace"},
        {"allow.auto.create.topics", "false"},
        {"socket.nagle.disable", "true"},
        {"message.max.bytes", "104857600"}, /* the broker judges */
        {"bootstrap.servers", f->broker},
        {"reconnect.backoff.max.ms", "1000"}, /* somebody waits */
        {"log.queue", "true"},
        {0},
    };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    bool good = set_all(conf, always) && set_all(conf, own);
    for (size_t i = 0; good && f->set[i]; i++)
        good = f->set[i][0] == '@' ? set_file(conf, v, f->set[i] + 1) : set_pair(conf, v, f->set[i]);
    if (good)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

int mr_kafka_refresh(struct mr_kafka *k)
{
    int64_t start = mr_kafka_now_ms(), wait = 2 * SLICE_MS;
    for (;;) {
        int64_t spent = mr_kafka_now_ms() - start, left = k->timeout_ms - spent;
        const struct rd_kafka_metadata *meta = NULL;
        rd_kafka_resp_err_t rc =
            rd_kafka_metadata(k->rk, 1, NULL, &meta, (int)(left < 1 ? 1 : (wait < left ? wait : left)));
        if (rc == RD_KAFKA_RESP_ERR_NO_ERROR) {
            if (k->meta)
                rd_kafka_metadata_destroy(k->meta);
            k->meta = meta;
            return MR_EXIT_OK;
        }
        (void)rd_kafka_poll(k->rk, 0);
        spent = mr_kafka_now_ms() - start;
        if (mr_kafka_stopped) {
            mr_cli_say("millrace: interrupted before a broker answered");
            return MR_EXIT_FAILED;
        }
        if (spent >= k->timeout_ms || k->fatal || (k->down && spent >= GRACE_MS))
            return unreached(k);
        wait *= 2; /* a slow broker's answer comes within one of the waits */
    }
}

void mr_kafka_heard(struct mr_kafka *k)
{
    if (k->down_ms)
        mr_cli_say("millrace: a broker answers again");
    if (k->down)
        k->trouble[0] = '\0';
    k->down = false;
    k->down_ms = 0;
}

/* Records tell it first; the question for topics is for a topic where none come. */
bool mr_kafka_watch(struct mr_kafka *k, bool give_up)
{
    const struct rd_kafka_metadata *meta = NULL;
    if (!k->down)
        return true;
    int64_t now = mr_kafka_now_ms();
    if (!k->down_ms) {
        mr_cli_say("millrace: no broker answers at '%s'%s%s; waiting for one, Ctrl-C ends", k->broker,
                   k->trouble[0] ? ": " : "", k->trouble);
        k->down_ms = k->asked_ms = now;
    }
    if (now - k->asked_ms < LOOK_MS)
        return true;
    k->asked_ms = now;
    if (rd_kafka_metadata(k->rk, 0, NULL, &meta, LOOK_WAIT_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_metadata_destroy(meta);
        mr_kafka_heard(k);
        return true;
    }
    return !give_up || now - k->down_ms < k->timeout_ms || unreached(k) == MR_EXIT_OK;
}

int mr_kafka_open(struct mr_kafka *k, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                  const struct mr_kafka_flags *f)
{
    char text[256];
    struct mr_err err = {0};
    mr_ms timeout = 0;
    *k = (struct mr_kafka){.broker = f->broker};
    if (!conf)
        return MR_EXIT_USAGE;
    if (mr_duration_parse(mr_slice_of(f->timeout), &timeout, &err) || timeout < 1 ||
        timeout > TIMEOUT_MS_MAX) {
        mr_cli_say("millrace: --timeout '%s': %s", f->timeout, err.text[0] ? err.text : "from 1ms to 1h");
        rd_kafka_conf_destroy(conf);
        return MR_EXIT_USAGE;
    }
    k->timeout_ms = (int)timeout;
    rd_kafka_conf_set_opaque(conf, k);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    k->rk = rd_kafka_new(type, conf, text, sizeof text);
    if (!k->rk) {
        rd_kafka_conf_destroy(conf);
        mr_cli_say("millrace: error: cannot use these settings: %s", text);
        return MR_EXIT_USAGE;
    }
    (void)rd_kafka_set_log_queue(k->rk, NULL);
    k->queue = rd_kafka_queue_new(k->rk);
    return mr_kafka_refresh(k);
}

int mr_kafka_admin(struct mr_kafka *k, const struct mr_verb *v, const struct mr_kafka_flags *f)
{
    /* ends are those of the log, as the broker's own tools count lag */
    static const struct mr_kafka_setting own[] = {{"isolation.level", "read_uncommitted"}, {0}};
    mr_kafka_catch_signals();
    return mr_kafka_open(k, RD_KAFKA_CONSUMER, mr_kafka_conf(v, f, own), f);
}

void mr_kafka_close(struct mr_kafka *k)
{
    mr_kafka_close_ask(k);
    if (k->meta)
        rd_kafka_metadata_destroy(k->meta);
    if (k->queue)
        rd_kafka_queue_destroy(k->queue);
    if (k->rk)
        rd_kafka_destroy(k->rk);
    *k = (struct mr_kafka){0};
}

/* ------------------------------------------------------------------ topics and offsets */

const struct rd_kafka_metadata_topic *mr_kafka_topic_quiet(const struct mr_kafka *k, const char *name)
{
    for (int i = 0; i < k->meta->topic_cnt; i++)
        if (!strcmp(k->meta->topics[i].topic, name))
            return &k->meta->topics[i];
    return NULL;
}

const struct rd_kafka_metadata_topic *mr_kafka_topic(const struct mr_kafka *k, const char *name)
{
    const struct rd_kafka_metadata_topic *t = mr_kafka_topic_quiet(k, name);
    if (t && t->err && t->err != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
        (void)mr_kafka_refused(k, "use topic", name, t->err, NULL);
        return NULL;
    }
    if (t)
        return t;
    size_t count = (size_t)k->meta->topic_cnt, room = count < NAMES_MAX ? count : NAMES_MAX;
    const char **names = calloc(room + 1, sizeof *names);
    const char *near = NULL;
    for (size_t i = 0; names && i < room; i++)
        names[i] = k->meta->topics[i].topic;
    if (names)
        near = mr_nearest(mr_slice_of(name), names, room);
    if (near)
        mr_cli_say("millrace: error: no topic '%s' at %s; did you mean '%s'?", name, k->broker, near);
    else
        mr_cli_say(
            "millrace: error: no topic '%s' at %s\n  = `millrace topic list` shows what is there, `millrace "
            "topic create %s` makes it",
            name, k->broker, name);
    free(names);
    return NULL;
}

bool mr_kafka_has_partition(const struct rd_kafka_metadata_topic *t, int64_t id)
{
    if (id >= 0 && id < t->partition_cnt)
        return true;
    mr_cli_say("millrace: error: topic '%s' has no partition %" PRId64 ", but 0 to %d", t->topic, id,
               t->partition_cnt - 1);
    return false;
}

rd_kafka_topic_partition_list_t *mr_kafka_partitions(const struct rd_kafka_metadata_topic *t)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(t->partition_cnt);
    for (int i = 0; i < t->partition_cnt; i++)
        (void)rd_kafka_topic_partition_list_add(list, t->topic, t->partitions[i].id);
    rd_kafka_topic_partition_list_sort(list, NULL, NULL);
    return list;
}

/* The request that librdkafka makes for times carries the value as it is, and the protocol has -1
 * and -2 for the ends: one request a broker, where its own call for watermarks makes two a
 * partition. */
bool mr_kafka_offsets(struct mr_kafka *k, rd_kafka_topic_partition_list_t *list, int64_t when)
{
    if (list->cnt == 0)
        return true;
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = when;
    rd_kafka_resp_err_t rc = rd_kafka_offsets_for_times(k->rk, list, k->timeout_ms);
    for (int i = 0; !rc && i < list->cnt; i++)
        rc = list->elems[i].err;
    if (rc)
        (void)mr_kafka_refused(k, "ask for the offsets of topic", list->elems[0].topic, rc, NULL);
    return rc == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static int64_t place_of(const struct mr_place *place, int64_t first, int64_t next, int64_t at_time,
                        int64_t present)
{
    int64_t want = next;
    switch (place->kind) {
    case MR_PLACE_BEGINNING:
        want = first;
        break;
    case MR_PLACE_END:
        break;
    case MR_PLACE_OFFSET:
        want = place->n;
        break;
    case MR_PLACE_LAST:
        want = place->n > next - first ? first : next - place->n;
        break;
    case MR_PLACE_TIME:
    case MR_PLACE_AGO:
        want = at_time < 0 ? next : at_time;
        break;
    case MR_PLACE_SHIFT:
        if (present < 0)
            present = first;
        want = __builtin_add_overflow(present, place->n, &want) ? (place->n < 0 ? first : next)
                                                                : present + place->n;
        break;
    }
    return want < first ? first : want > next ? next : want;
}

rd_kafka_topic_partition_list_t *mr_kafka_places(struct mr_kafka *k,
                                                 const rd_kafka_topic_partition_list_t *which,
                                                 const struct mr_place *place,
                                                 const rd_kafka_topic_partition_list_t *present)
{
    rd_kafka_topic_partition_list_t *first = rd_kafka_topic_partition_list_copy(which),
                                    *next = rd_kafka_topic_partition_list_copy(which), *times = NULL;
    bool timed = place->kind == MR_PLACE_TIME || place->kind == MR_PLACE_AGO;
    bool good = mr_kafka_offsets(k, first, MR_KAFKA_FIRST) && mr_kafka_offsets(k, next, MR_KAFKA_NEXT);
    if (good && timed) {
        int64_t when = place->kind == MR_PLACE_TIME ? place->n : wall_ms() - place->n;
        times = rd_kafka_topic_partition_list_copy(which);
        good = mr_kafka_offsets(k, times, when < 0 ? 0 : when);
    }
    for (int i = 0; good && i < first->cnt; i++) {
        const char *topic = first->elems[i].topic;
        int32_t id = first->elems[i].partition;
        const rd_kafka_topic_partition_t *p =
            present ? rd_kafka_topic_partition_list_find(present, topic, id) : NULL;
        const rd_kafka_topic_partition_t *e = rd_kafka_topic_partition_list_find(next, topic, id);
        const rd_kafka_topic_partition_t *t =
            times ? rd_kafka_topic_partition_list_find(times, topic, id) : NULL;
        first->elems[i].offset =
            place_of(place, first->elems[i].offset, e->offset, t ? t->offset : -1, p ? p->offset : -1);
    }
    rd_kafka_topic_partition_list_destroy(next);
    if (times)
        rd_kafka_topic_partition_list_destroy(times);
    if (good)
        return first;
    rd_kafka_topic_partition_list_destroy(first);
    return NULL;
}

/* ------------------------------------------------------------------ admin requests */

rd_kafka_AdminOptions_t *mr_kafka_admin_options(struct mr_kafka *k, rd_kafka_admin_op_t op)
{
    char text[128];
    rd_kafka_AdminOptions_t *o = rd_kafka_AdminOptions_new(k->rk, op);
    (void)rd_kafka_AdminOptions_set_request_timeout(o, k->timeout_ms, text, sizeof text);
    if (op == RD_KAFKA_ADMIN_OP_CREATETOPICS || op == RD_KAFKA_ADMIN_OP_DELETETOPICS ||
        op == RD_KAFKA_ADMIN_OP_CREATEPARTITIONS)
        (void)rd_kafka_AdminOptions_set_operation_timeout(o, k->timeout_ms, text, sizeof text);
    return o;
}

rd_kafka_event_t *mr_kafka_answer(struct mr_kafka *k, const char *what, const char *subject)
{
    rd_kafka_event_t *e = NULL;
    while (!e && !mr_kafka_stopped) { /* librdkafka gives up after the request's timeout */
        e = rd_kafka_queue_poll(k->queue, SLICE_MS);
        (void)rd_kafka_poll(k->rk, 0);
    }
    if (!e) {
        mr_cli_say("millrace: interrupted; whether the broker did '%s %s' is not known", what, subject);
        return NULL;
    }
    if (rd_kafka_event_error(e)) {
        (void)mr_kafka_refused(k, what, subject, rd_kafka_event_error(e), rd_kafka_event_error_string(e));
        rd_kafka_event_destroy(e);
        return NULL;
    }
    return e;
}
