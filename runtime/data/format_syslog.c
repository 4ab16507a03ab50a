/* format_syslog.c - one message of syslog: RFC 5424, and what is called RFC 3164 and is whatever devices
 * send.
 *
 * RFC 5424   <PRI>1 TIME HOST APP PROCID MSGID SD MESSAGE      exact: what does not fit is rejected
 * RFC 3164   <PRI>TIME HOST TAG[PID]: MESSAGE                  forgiving: each part may be missing
 *
 * Cost: 63 ns for an RFC 3164 line of 109 bytes (2026-11, tests/bench/format_bench.c).
 * Laws:
 *   S1  3164 rejects nothing but an empty text: what is not understood is part of the message
 *   S2  a time without a year lies in the year that brings it nearest to now
 */
#include "data/format_fields.h"

#include "base/time.h"

enum {
    SD_MAX = 1024, /* elements, and parameters, of one message */
};

enum kind { AUTO, RFC3164, RFC5424 };

struct syslog {
    int kind;
    struct mr_slice offset_text;
    mr_ns offset;
    struct {
        char text[24];
        uint32_t len;
        mr_ns now, ns; /* the year was chosen for this now */
    } seen;
};

static const char *const kinds[] = {"auto", "rfc3164", "rfc5424", NULL};

static const struct mr_option options[] = {
    {.name = "format",
     .type = MR_OPT_ENUM,
     .at = offsetof(struct syslog, kind),
     .value = "auto",
     .choices = kinds,
     .main = true,
     .help = "`auto` takes `<PRI>1 ` for RFC 5424 and everything else for RFC 3164"},
    {.name = "offset",
     .type = MR_OPT_STRING,
     .at = offsetof(struct syslog, offset_text),
     .value = "\"+00:00\"",
     .help = "where the clocks of the senders stand, for times that do not say so",
     .example = "\"+02:00\""},
    {0},
};

enum {
    FACILITY,
    FACILITY_NAME,
    SEVERITY,
    SEVERITY_NAME,
    TIME,
    HOST,
    APP,
    PROCID,
    MESSAGE,
    MSGID,
    SD,
    FIELDS,
    USUAL = MSGID
};
static const struct mr_slice names[FIELDS] = {
    [FACILITY] = {"facility", 8},
    [FACILITY_NAME] = {"facility_name", 13},
    [SEVERITY] = {"severity", 8},
    [SEVERITY_NAME] = {"severity_name", 13},
    [TIME] = {"time", 4},
    [HOST] = {"host", 4},
    [APP] = {"app", 3},
    [PROCID] = {"procid", 6},
    [MESSAGE] = {"message", 7},
    [MSGID] = {"msgid", 5},
    [SD] = {"sd", 2},
};

static const char *const facilities[24] = {"kern",   "user",     "mail",     "daemon", "auth",     "syslog",
                                           "lpr",    "news",     "uucp",     "cron",   "authpriv", "ftp",
                                           "ntp",    "logaudit", "logalert", "clock",  "local0",   "local1",
                                           "local2", "local3",   "local4",   "local5", "local6",   "local7"};
static const char *const severities[8] = {"emerg",   "alert",  "crit", "err",
                                          "warning", "notice", "info", "debug"};

static mr_code syslog_open(void *self, struct mr_err *err)
{
    struct syslog *s = self;
    if (s->offset_text.len && !mr_offset_parse(s->offset_text, &s->offset)) {
        mr_code rc = mr_fail(err, MR_BADCONF, "'%.*s' is no offset from UTC; write it like +02:00",
                             MR_SLICE_ARG(s->offset_text));
        if (err)
            err->option = "offset";
        return rc;
    }
    return MR_OK;
}

struct message {
    struct mr_value v[FIELDS];
    mr_ns time;
};

static void put_priority(struct message *m, unsigned pri)
{
    const char *f = facilities[pri / 8], *s = severities[pri % 8];
    m->v[FACILITY] = mr_value_int((int64_t)(pri / 8));
    m->v[SEVERITY] = mr_value_int((int64_t)(pri % 8));
    m->v[FACILITY_NAME] = mr_text_value(f, strlen(f), true);
    m->v[SEVERITY_NAME] = mr_text_value(s, strlen(s), true);
}

/* "<0>" to "<191>": its length, 0 when there is none. */
static size_t read_priority(const char *p, size_t n, unsigned *pri)
{
    unsigned x = 0;
    size_t i = 1;
    if (n < 3 || p[0] != '<')
        return 0;
    for (; i < n && i < 4; i++) {
        unsigned d = (unsigned char)p[i] - (unsigned)'0';
        if (d > 9)
            break;
        x = x * 10 + d;
    }
    if (i == 1 || i == n || p[i] != '>' || x > 191)
        return 0;
    *pri = x;
    return i + 1;
}

static inline size_t word_end(const char *p, size_t n, size_t at)
{
    const char *q = at < n ? memchr(p + at, ' ', n - at) : NULL;
    return q ? (size_t)(q - p) : n;
}

/* ---------------------------------------------------------------- RFC 5424 */

struct cut {
    struct mr_batch *b;
    uint32_t row;
    const char *p;
    size_t n;
};

static bool reject_at(const struct cut *c, size_t at, const char *wanted)
{
    mr_batch_reject(c->b, c->row, "byte %zu: not RFC 5424; expected %s", at, wanted);
    return false;
}

static bool sd_name_byte(char c)
{
    return c > 0x20 && c < 0x7f && c != '=' && c != ']' && c != '"';
}

static size_t sd_name(const struct cut *c, size_t at)
{
    while (at < c->n && sd_name_byte(c->p[at]))
        at++;
    return at;
}

/* A value in quotes, from behind the first to behind the last. 0: rejected. */
static size_t sd_value(const struct cut *c, size_t at, struct mr_value *out)
{
    size_t from = at, escapes = 0;
    for (; at < c->n && c->p[at] != '"'; at++) {
        if (c->p[at] == '\\' && at + 1 < c->n && strchr("\"\\]", c->p[at + 1]) && c->p[at + 1]) {
            escapes++;
            at++;
        }
    }
    if (at >= c->n) {
        (void)reject_at(c, from, "a quote that ends the value");
        return 0;
    }
    if (!escapes) {
        *out = mr_text_value_of(c->p + from, at - from);
        return at + 1;
    }
    char *copy = (char *)mr_arena_take(c->b->arena, at - from), *o = copy;
    if (!copy) {
        mr_batch_reject(c->b, c->row, "no room in the batch: limit 'batch_bytes'");
        return 0;
    }
    for (size_t i = from; i < at; i++) {
        if (c->p[i] == '\\' && i + 1 < at && strchr("\"\\]", c->p[i + 1]) && c->p[i + 1])
            i++;
        *o++ = c->p[i];
    }
    *out = mr_text_value_of(copy, (size_t)(o - copy));
    return at + 1;
}

/* Puts under `name`, in place of an older one of that name. */
static void put_member(struct mr_member *m, uint32_t *n, struct mr_slice name, struct mr_value v)
{
    uint32_t i = 0;
    while (i < *n && !mr_slice_eq(name, (struct mr_slice){m[i].name, m[i].name_len}))
        i++;
    m[i] = (struct mr_member){name.p, (uint32_t)name.len, 0, v};
    *n += i == *n;
}

/* [id name="value" ...]: from behind [ to behind ]. Counts first: members stand in one piece. 0: rejected. */
static size_t sd_element(const struct cut *c, size_t at, struct mr_slice *id, struct mr_value *out)
{
    struct mr_member few[16], *m = few;
    uint32_t n = 0, cap = sizeof few / sizeof *few;
    size_t end = sd_name(c, at);
    *id = (struct mr_slice){c->p + at, end - at};
    if (end == at) {
        (void)reject_at(c, at, "the name of a structured element");
        return 0;
    }
    at = end;
    while (at < c->n && c->p[at] == ' ') {
        size_t from = at + 1;
        end = sd_name(c, from);
        struct mr_slice name = {c->p + from, end - from};
        if (!name.len || end + 1 >= c->n || c->p[end] != '=' || c->p[end + 1] != '"') {
            (void)reject_at(c, end, "name=\"value\"");
            return 0;
        }
        struct mr_value v;
        if (!(at = sd_value(c, end + 2, &v)))
            return 0;
        if (n == cap) {
            struct mr_member *more = NULL;
            if (cap < SD_MAX)
                more = (struct mr_member *)mr_arena_take(c->b->arena, 4 * (size_t)cap * sizeof *more);
            if (!more) {
                mr_batch_reject(c->b, c->row, "more than %d parameters in a structured element", SD_MAX);
                return 0;
            }
            memcpy(more, m, n * sizeof *m);
            m = more;
            cap *= 4;
        }
        put_member(m, &n, name, v);
    }
    if (at >= c->n || c->p[at] != ']') {
        (void)reject_at(c, at, "a blank or ]");
        return 0;
    }
    struct mr_member *own = m;
    if (m == few) {
        own = (struct mr_member *)mr_arena_take(c->b->arena, (n + 1) * sizeof *own);
        if (!own) {
            mr_batch_reject(c->b, c->row, "no room in the batch: limit 'batch_bytes'");
            return 0;
        }
        memcpy(own, few, n * sizeof *own);
    }
    *out = (struct mr_value){.tag = MR_OBJECT, .len = n, .u.object = own};
    return at + 1;
}

static size_t structured_data(const struct cut *c, size_t at, struct mr_value *out)
{
    struct mr_member *m = NULL;
    uint32_t n = 0, cap = 0;
    while (at < c->n && c->p[at] == '[') {
        struct mr_slice id;
        struct mr_value v;
        if (!(at = sd_element(c, at + 1, &id, &v)))
            return 0;
        if (n == cap) {
            uint32_t want = cap ? cap * 4 : 4;
            struct mr_member *more = NULL;
            if (cap < SD_MAX)
                more = (struct mr_member *)mr_arena_take(c->b->arena, want * sizeof *more);
            if (!more) {
                mr_batch_reject(c->b, c->row, "more than %d structured elements", SD_MAX);
                return 0;
            }
            if (n)
                memcpy(more, m, n * sizeof *m);
            m = more;
            cap = want;
        }
        put_member(m, &n, id, v);
    }
    *out = (struct mr_value){.tag = MR_OBJECT, .len = n, .u.object = m};
    return at;
}

static bool read_5424(const struct cut *c, size_t at, struct message *m)
{
    static const int order[] = {TIME, HOST, APP, PROCID, MSGID};
    static const char *const what[] = {"a time and a blank", "a host and a blank",
                                       "an application and a blank", "a process and a blank",
                                       "a message id and a blank"};
    if (!(c->n - at >= 2 && c->p[at] == '1' && c->p[at + 1] == ' '))
        return reject_at(c, at, "version 1 and a blank");
    at += 2;
    for (int i = 0; i < 5; i++) {
        size_t end = word_end(c->p, c->n, at);
        if (end == c->n || end == at)
            return reject_at(c, at, what[i]);
        if (!(end == at + 1 && c->p[at] == '-'))
            m->v[order[i]] = mr_text_value_of(c->p + at, end - at);
        if (order[i] == TIME && m->v[TIME].tag != MR_MISSING &&
            !mr_rfc3339_parse(mr_value_text(&m->v[TIME]), &m->time))
            return reject_at(c, at, "a time such as 2003-10-11T22:14:15.003Z, or -");
        at = end + 1;
    }
    if (at < c->n && c->p[at] == '-')
        at++;
    else if (at >= c->n || c->p[at] != '[')
        return reject_at(c, at, "structured data or -");
    else if (!(at = structured_data(c, at, &m->v[SD])))
        return false;
    if (at == c->n)
        return true; /* no message */
    if (c->p[at] != ' ')
        return reject_at(c, at, "a blank or the end");
    at++;
    if (c->n - at >= 3 && memcmp(c->p + at, "\xEF\xBB\xBF", 3) == 0)
        at += 3;
    m->v[MESSAGE] = mr_text_value_of(c->p + at, c->n - at);
    return true;
}

/* ---------------------------------------------------------------- RFC 3164 */

static bool is_digit(char c)
{
    return (unsigned)c - '0' < 10;
}

static unsigned month_of(const char *p)
{
    static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    const char low[3] = {(char)(p[0] | 0x20), (char)(p[1] | 0x20), (char)(p[2] | 0x20)};
    for (unsigned i = 0; i < 12; i++) {
        if (memcmp(months + (size_t)i * 3, low, 3) == 0)
            return i + 1;
    }
    return 0;
}

static mr_ns nearest_year(struct mr_civil c, mr_ns now)
{
    struct mr_civil today;
    mr_civil_of_ns(now, &today);
    mr_ns best = MR_TIME_NONE;
    uint64_t apart = UINT64_MAX;
    for (int32_t y = today.year - 1; y <= today.year + 1; y++) {
        mr_ns t;
        c.year = y;
        if (!mr_civil_to_ns(&c, &t)) /* 29 February */
            continue;
        uint64_t d = t > now ? (uint64_t)t - (uint64_t)now : (uint64_t)now - (uint64_t)t;
        if (d < apart) {
            apart = d;
            best = t;
        }
    }
    return best; /* S2 */
}

static bool two(const char *p, size_t n, size_t *at, uint8_t *out)
{
    if (*at + 2 > n || !is_digit(p[*at]) || !is_digit(p[*at + 1]))
        return false;
    *out = (uint8_t)((p[*at] - '0') * 10 + (p[*at + 1] - '0'));
    *at += 2;
    return true;
}

static void fraction(const char *p, size_t n, size_t *at, uint32_t *nano)
{
    uint32_t scale = 100000000;
    size_t i = *at;
    if (i + 1 >= n || (p[i] != '.' && p[i] != ',') || !is_digit(p[i + 1]))
        return;
    for (i++; i < n && is_digit(p[i]); i++) {
        *nano += (uint32_t)(p[i] - '0') * scale;
        scale /= 10;
    }
    *at = i;
}

/* "Mmm dd hh:mm:ss", with a year behind the day or the time and a fraction where devices put them.
 * Returns its end, 0 when it is not one. */
static size_t bsd_time(struct syslog *s, const char *p, size_t n, mr_ns now, mr_ns *out)
{
    if (s->seen.len && s->seen.len < n && now == s->seen.now && memcmp(p, s->seen.text, s->seen.len) == 0 &&
        p[s->seen.len] == ' ' && !is_digit(s->seen.len + 1 < n ? p[s->seen.len + 1] : 'x')) {
        *out = s->seen.ns;
        return s->seen.len;
    }
    struct mr_civil c = {0};
    if (n < 14 || !(c.month = (uint8_t)month_of(p)) || p[3] != ' ')
        return 0;
    size_t at = 4;
    at += p[at] == ' ';
    if (at >= n || !is_digit(p[at]))
        return 0;
    c.day = (uint8_t)(p[at++] - '0');
    if (at < n && is_digit(p[at]))
        c.day = (uint8_t)(c.day * 10 + (p[at++] - '0'));
    if (at >= n || p[at++] != ' ')
        return 0;
    bool has_year = false;
    uint8_t century, rest;
    size_t back = at;
    if (two(p, n, &at, &century) && two(p, n, &at, &rest) && at < n && p[at] == ' ') {
        has_year = true;
        c.year = century * 100 + rest;
        at++;
    } else {
        at = back;
    }
    if (!two(p, n, &at, &c.hour) || at >= n || p[at++] != ':' || !two(p, n, &at, &c.minute) || at >= n ||
        p[at++] != ':' || !two(p, n, &at, &c.second))
        return 0;
    fraction(p, n, &at, &c.nano);
    if (at < n && p[at] != ' ' && p[at] != ':')
        return 0;
    back = at;
    if (!has_year && at < n && p[at++] == ' ' && two(p, n, &at, &century) && century >= 19 && century < 22 &&
        two(p, n, &at, &rest) && (at == n || p[at] == ' ' || p[at] == ':')) {
        has_year = true;
        c.year = century * 100 + rest;
    } else {
        at = back;
    }
    mr_ns t = MR_TIME_NONE;
    if (has_year ? !mr_civil_to_ns(&c, &t) : (t = nearest_year(c, now + s->offset)) == MR_TIME_NONE)
        return 0;
    if (__builtin_sub_overflow(t, s->offset, out))
        return 0;
    s->seen.len = 0;
    if (!has_year && at <= sizeof s->seen.text) {
        memcpy(s->seen.text, p, at);
        s->seen.len = (uint32_t)at;
        s->seen.now = now;
        s->seen.ns = *out;
    }
    return at;
}

/* "2003-10-11T22:14:15.003+02:00", without an offset too. */
static size_t iso_time(const struct syslog *s, const char *p, size_t n, mr_ns *out)
{
    if (n < 19 || !is_digit(p[0]) || p[4] != '-' || p[7] != '-' || p[10] != 'T')
        return 0;
    size_t end = word_end(p, n, 0);
    if (end > 1 && p[end - 1] == ':')
        end--;
    if (mr_rfc3339_parse((struct mr_slice){p, end}, out))
        return end;
    char with_zone[64];
    if (end + 1 > sizeof with_zone)
        return 0;
    memcpy(with_zone, p, end);
    with_zone[end] = 'Z';
    mr_ns t;
    if (!mr_rfc3339_parse((struct mr_slice){with_zone, end + 1}, &t) ||
        __builtin_sub_overflow(t, s->offset, out))
        return 0;
    return end;
}

/* Time, with what Cisco puts around it: "123: *" before, " UTC:" behind. Returns where the rest begins. */
static size_t header_time(struct syslog *s, const char *p, size_t n, size_t at, mr_ns now, struct message *m)
{
    size_t from = at, i = at;
    while (i < n && is_digit(p[i]))
        i++;
    if (i > at && i - at <= 10 && i + 1 < n && p[i] == ':' && p[i + 1] == ' ')
        from = i + 2;
    size_t start = from + (from < n && (p[from] == '*' || p[from] == '.') ? 1 : 0);
    size_t len = bsd_time(s, p + start, n - start, now, &m->time);
    if (!len)
        len = iso_time(s, p + start, n - start, &m->time);
    if (!len)
        return at; /* a sequence number alone is text */
    m->v[TIME] = mr_text_value_of(p + start, len);
    i = start + len;
    size_t zone = i + 1; /* " UTC:" or ":" */
    while (i < n && p[i] == ' ' && zone < n && zone - i <= 5 && p[zone] >= 'A' && p[zone] <= 'Z')
        zone++;
    if (i < n && p[i] == ' ' && zone - i >= 4 && zone < n && p[zone] == ':')
        i = zone;
    if (i < n && p[i] == ':')
        i++;
    return i < n && p[i] == ' ' ? i + 1 : i;
}

/* "tag:", "tag[pid]:", "tag[pid]" at `at`: returns where the message begins, `at` when there is no tag. */
static size_t read_tag(const char *p, size_t n, size_t at, struct message *m)
{
    size_t end = at;
    while (end < n && (unsigned char)p[end] > 0x20 && p[end] != ':' && p[end] != '[')
        end++;
    if (end == at || end == n)
        return at;
    size_t after = end;
    struct mr_slice pid = {NULL, 0};
    if (p[end] == '[') {
        size_t close = end + 1;
        while (close < n && (unsigned char)p[close] > 0x20 && p[close] != ']')
            close++;
        if (close >= n || p[close] != ']')
            return at;
        pid = (struct mr_slice){p + end + 1, close - end - 1};
        after = close + 1;
        if (after < n && p[after] != ':' && p[after] != ' ')
            return at;
    } else if (p[end] != ':' || (end + 1 < n && p[end + 1] != ' ' && p[end + 1] != '\t')) {
        return at; /* "::1", "http://": a colon inside of a word makes no tag */
    }
    m->v[APP] = mr_text_value_of(p + at, end - at);
    if (pid.len)
        m->v[PROCID] = mr_text_value_of(pid.p, pid.len);
    if (after < n && p[after] == ':')
        after++;
    return after < n && p[after] == ' ' ? after + 1 : after;
}

static void read_3164(struct syslog *s, const char *p, size_t n, size_t at, mr_ns now, struct message *m)
{
    size_t start = at;
    at = header_time(s, p, n, at, now, m);
    size_t rest = read_tag(p, n, at, m);
    if (rest == at && at != start) { /* no tag, but a time before: then this is the host */
        size_t end = word_end(p, n, at);
        if (end > at && end < n) {
            m->v[HOST] = mr_text_value_of(p + at, end - at);
            at = end + 1;
            if (at < n && p[at] == ':') /* Cisco: "host : %FAC-5-X: ..." */
                at += 1 + (at + 1 < n && p[at + 1] == ' ' ? 1u : 0u);
            rest = read_tag(p, n, at, m);
        }
    }
    m->v[MESSAGE] = mr_text_value_of(p + rest, n - rest);
}

/* ---------------------------------------------------------------- both */

static void syslog_decode(void *self, struct mr_batch *b, int32_t slot, struct mr_slice into, mr_ns now)
{
    struct syslog *s = self;
    struct mr_fields f;
    if (!mr_fields_begin(&f, b, slot, into, names, FIELDS, USUAL))
        return;
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t row = b->sel[k];
        struct mr_slice text;
        if (!mr_text_take(b, f.text, row, &text))
            continue;
        while (text.len && (text.p[text.len - 1] == '\n' || text.p[text.len - 1] == '\0'))
            text.len--;
        if (!text.len) {
            mr_batch_reject(b, row, "the text is empty");
            continue;
        }
        struct message m;
        for (int i = 0; i < FIELDS; i++)
            m.v[i].tag = MR_MISSING;
        m.time = MR_TIME_NONE;
        unsigned pri = 13; /* user.notice, as RFC 3164 has it for messages without one */
        size_t at = read_priority(text.p, text.len, &pri);
        bool is_5424 = at && text.len - at >= 2 && text.p[at] == '1' && text.p[at + 1] == ' ';
        put_priority(&m, pri);
        struct cut c = {b, row, text.p, text.len};
        if (s->kind == RFC5424 || (s->kind == AUTO && is_5424)) {
            if (!at) {
                (void)reject_at(&c, 0, "<0> to <191>");
                continue;
            }
            if (!read_5424(&c, at, &m))
                continue;
        } else {
            read_3164(s, text.p, text.len, at, now, &m);
        }
        if (m.time != MR_TIME_NONE)
            b->time[row] = m.time;
        mr_fields_put(&f, row, m.v, USUAL);
    }
}

const struct mr_format mr_format_syslog = {
    .name = "syslog",
    .summary = "One syslog message, RFC 5424 or RFC 3164.",
    .doc =
        "Fields: `facility` and `severity` (integers) with `facility_name` and `severity_name`, `time` (the "
        "text as "
        "it stands), `host`, `app`, `procid`, `msgid`, `sd` (an object of objects: `e.sd[\"id@1\"].name`) "
        "and "
        "`message`. What a message does not have, or has as `-`, is left out. `procid` is a string. The "
        "event time "
        "is set.\n"
        "\n"
        "**RFC 5424** is read exactly: version 1, an RFC 3339 time, structured data with the escapes `\\\"`, "
        "`\\\\` "
        "and `\\]` (another backslash is a backslash); of an element or parameter given twice the last wins. "
        "A byte "
        "order mark before the message is taken off. What does not fit is rejected with its byte. At most "
        "1024 "
        "elements, and 1024 parameters each.\n"
        "\n"
        "**RFC 3164** is read forgivingly; only an empty text is rejected. Without `<PRI>` facility is 1 and "
        "severity 5 (priority 13). The time is `Mmm dd hh:mm:ss`, with a fraction or a year if it has them, "
        "or an "
        "ISO 8601 time; a missing year is the one that brings the time nearest to now, a missing offset is "
        "the "
        "option `offset`. Cisco's sequence number (`123: `), `*` before and zone behind the time are stepped "
        "over. `name:` or `name[pid]:` right behind the time means that the host is missing; `name: ` or "
        "`name[pid]` behind the host gives `app` and `procid`. All that remains is `message`; a line without "
        "a "
        "time has no host.\n"
        "\n"
        "Newlines, NULs and a carriage return at the end are not part of the message. Framing (octet counts) "
        "is "
        "the source's work.\n"
        "\n"
        "```\n"
        "in   <34>Oct 11 22:14:15 mymachine su[230]: 'su root' failed\n"
        "out  {\"message\":\"'su root' failed\",\"facility\":4,\"facility_name\":\"auth\",\"severity\":2,"
        "\"severity_name\":\"crit\",\"time\":\"Oct 11 22:14:15\",\"host\":\"mymachine\",\"app\":\"su\","
        "\"procid\":\"230\"}\n"
        "```\n",
    .options = options,
    .self_size = sizeof(struct syslog),
    .open = syslog_open,
    .decode = syslog_decode,
};
