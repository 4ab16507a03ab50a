/* generate.c - the source `generate`: made-up events at a pace, for examples, tests and measurements.
 *
 * Event n depends on seed and n alone (times come from the clock), and the position is n: so a restart goes
 * on where it was, and `count` counts across restarts.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "lines.h"

static const char *const formats[] = {"access_log", "json", "counter", NULL};
enum { ACCESS_LOG, JSON, COUNTER };
enum {
    ROWS_MAX = 1024, /* events in a batch: about as many as a file source's */
    TICK_MS = 10     /* events that are due in this time come together */
};

struct generate {
    int format;
    struct mr_template *template;
    struct mr_named_exprs fields;
    int64_t rate, count, seed;
    mr_ms interval;

    const struct mr_services *services;
    struct mr_host *host;
    uint64_t n;     /* of the next event, from 0 */
    uint64_t begun; /* n at `since` */
    mr_ms since;    /* monotonic: when this run began */
    time_t second;  /* that `when` shows */
    char when[64];
    struct mr_value values[MR_BATCH_ROWS_MAX];
};

static const struct mr_option options[] = {
    {.name = "format",
     .type = MR_OPT_ENUM,
     .at = offsetof(struct generate, format),
     .value = "access_log",
     .choices = formats,
     .main = true,
     .help = "access_log: `message` is a line of a web server's log, combined format; json: fields of such a "
             "request; counter: the field `n`, from 0"},
    {.name = "template",
     .type = MR_OPT_TEMPLATE,
     .at = offsetof(struct generate, template),
     .help = "makes `message` from the fields; with format counter or json",
     .example = "'order {{ n }}'"},
    {.name = "fields",
     .type = MR_OPT_EXPRS,
     .at = offsetof(struct generate, fields),
     .help = "further fields: path and expression over what is there already",
     .example = "{ user: e.n % 10 }"},
    {.name = "rate",
     .type = MR_OPT_INT,
     .at = offsetof(struct generate, rate),
     .unit = "events",
     .value = "10",
     .min = 0,
     .max = 100000000,
     .help = "events in a second; 0: as many as the pipeline takes"},
    {.name = "interval",
     .type = MR_OPT_DURATION,
     .at = offsetof(struct generate, interval),
     .value = "0s",
     .min = 0,
     .max = 86400000,
     .help = "one event each time this has passed, instead of rate"},
    {.name = "count",
     .type = MR_OPT_INT,
     .at = offsetof(struct generate, count),
     .unit = "events",
     .value = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "end after so many events; 0: never"},
    {.name = "seed",
     .type = MR_OPT_INT,
     .at = offsetof(struct generate, seed),
     .value = "1",
     .min = 0,
     .max = INT64_MAX,
     .help = "the same seed makes the same events, but for their times"},
    {0},
};

static mr_code open_generate(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct generate *g = self;
    g->services = o->services;
    g->host = o->host;
    if (g->count == 0 && o->services->once(o->host)) {
        mr_fail(err, MR_BADCONF, "'generate' would never end, and the run is to end: set 'count'");
        err->option = "count";
        return MR_BADCONF;
    }
    for (uint32_t i = 0; i < o->position_count; i++) {
        char text[32];
        struct mr_slice pos = o->positions[i].pos;
        if (mr_slice_eq(o->positions[i].key, MR_SLICE("generate")) && pos.len < sizeof text) {
            memcpy(text, pos.p, pos.len);
            text[pos.len] = '\0';
            g->n = strtoull(text, NULL, 10);
        }
    }
    g->begun = g->n;
    g->since = o->services->monotonic(o->host);
    g->second = -1;
    return MR_OK;
}

/* How many events are due; 0 sets the timer for the next. */
static uint32_t due(struct generate *g)
{
    uint64_t most = ROWS_MAX, done = g->n - g->begun, owed;
    if (g->count && g->n + most > (uint64_t)g->count)
        most = (uint64_t)g->count - g->n;
    mr_ms now = g->services->monotonic(g->host), passed = now - g->since;
    if (g->interval) {
        owed = (uint64_t)(passed / g->interval) + 1;
        if (owed <= done)
            g->services->timer(g->host, g->since + (mr_ms)done * g->interval);
    } else if (g->rate) {
        owed = (uint64_t)(passed / 1000) * (uint64_t)g->rate +
               (uint64_t)(passed % 1000) * (uint64_t)g->rate / 1000;
        if (owed <= done) {
            mr_ms each = 1000 / g->rate, wait = each > TICK_MS ? each : TICK_MS;
            mr_ms next = g->since + (mr_ms)(done / (uint64_t)g->rate * 1000) +
                         (mr_ms)((done % (uint64_t)g->rate + 1) * 1000 / (uint64_t)g->rate);
            g->services->timer(g->host, next > now ? (each > TICK_MS ? next : now + wait) : now + 1);
        }
    } else {
        return (uint32_t)most;
    }
    if (owed <= done)
        return 0;
    if (owed - done > 10u * MR_BATCH_ROWS_MAX) { /* held up: catch up with some, not with hours */
        g->begun = g->n;
        g->since = now;
        owed = most;
        done = 0;
    }
    return (uint32_t)(owed - done < most ? owed - done : most);
}

static struct mr_value text(struct mr_batch *b, const char *p, size_t len)
{
    struct mr_slice s = mr_slice_copy(b->arena, (struct mr_slice){p, len});
    struct mr_value v = mr_value_string(s);
    v.hint = MR_HINT_PLAIN;
    return s.p ? v : (struct mr_value){.tag = MR_MISSING};
}

static mr_code no_room(struct mr_err *err)
{
    return mr_fail(err, MR_LIMIT, "the batch has no room for made-up events");
}

static mr_code fill_access(struct generate *g, struct mr_batch *b, uint32_t rows, struct mr_err *err)
{
    int32_t slot = g->services->slot(b, "message", 7, true);
    if (slot < 0)
        return no_room(err);
    for (uint32_t row = 0; row < rows; row++) {
        char line[LINES_ACCESS_MAX];
        struct hit hit;
        lines_hit((uint64_t)g->seed, g->n + row, &hit);
        struct mr_value v = text(b, line, lines_access(&hit, g->when, line));
        if (v.tag == MR_MISSING)
            return no_room(err);
        v.hint = 0; /* quotes in it */
        b->column[slot].v[row] = v;
    }
    return MR_OK;
}

static mr_code fill_json(struct generate *g, struct mr_batch *b, uint32_t rows, struct mr_err *err)
{
    enum { CLIENT, METHOD, PATH, STATUS, BYTES, LATENCY, AGENT, COUNT };
    static const char *const names[COUNT] = {"client", "method",  "path", "status",
                                             "bytes",  "latency", "agent"};
    int32_t slot[COUNT];
    for (int i = 0; i < COUNT; i++) {
        if ((slot[i] = g->services->slot(b, names[i], strlen(names[i]), true)) < 0)
            return no_room(err);
    }
    for (uint32_t row = 0; row < rows; row++) {
        char path[64];
        struct hit hit;
        lines_hit((uint64_t)g->seed, g->n + row, &hit);
        struct mr_value v[COUNT] = {
            [CLIENT] = text(b, hit.client, strlen(hit.client)),
            [METHOD] = text(b, hit.method, strlen(hit.method)),
            [PATH] = text(b, path, lines_path(&hit, path, sizeof path)),
            [STATUS] = mr_value_int(hit.status),
            [BYTES] = mr_value_int(hit.bytes),
            [LATENCY] = mr_value_float(hit.latency),
            [AGENT] = text(b, hit.agent, strlen(hit.agent)),
        };
        for (int i = 0; i < COUNT; i++) {
            if (v[i].tag == MR_MISSING)
                return no_room(err);
            b->column[slot[i]].v[row] = v[i];
        }
    }
    return MR_OK;
}

static mr_code fill_counter(struct generate *g, struct mr_batch *b, uint32_t rows, struct mr_err *err)
{
    int32_t slot = g->services->slot(b, "n", 1, true);
    if (slot < 0)
        return no_room(err);
    for (uint32_t row = 0; row < rows; row++)
        b->column[slot].v[row] = mr_value_int((int64_t)(g->n + row));
    return MR_OK;
}

static mr_code decorate(struct generate *g, struct mr_batch *b, struct mr_err *err)
{
    for (uint32_t i = 0; i < g->fields.count; i++) {
        g->services->eval(g->host, g->fields.v[i].expr, b, g->values);
        for (uint32_t k = 0; k < b->count; k++) {
            uint32_t row = b->sel[k];
            struct mr_slice path = g->fields.v[i].name;
            if (b->fate[row] == MR_KEPT && !g->services->set(b, row, path.p, path.len, g->values[row]))
                return no_room(err);
        }
    }
    if (!g->template)
        return MR_OK;
    int32_t slot = g->services->slot(b, "message", 7, true);
    if (slot < 0)
        return no_room(err);
    for (uint32_t k = 0; k < b->count; k++) {
        struct mr_err why;
        struct mr_slice s = g->services->render(g->template, b, b->sel[k], &why);
        if (!s.p)
            g->services->reject(b, b->sel[k], "%s", why.text);
        else
            b->column[slot].v[b->sel[k]] = mr_value_string(s);
    }
    return MR_OK;
}

static mr_code read_generate(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct generate *g = self;
    char pos[32];
    if (g->count && g->n >= (uint64_t)g->count)
        return MR_END;
    uint32_t rows = due(g);
    if (rows == 0)
        return MR_AGAIN;
    mr_ns now = g->services->now(g->host);
    time_t second = (time_t)(now / 1000000000);
    if (second != g->second) {
        struct tm tm;
        (void)gmtime_r(&second, &tm);
        (void)strftime(g->when, sizeof g->when, "%d/%b/%Y:%H:%M:%S +0000", &tm);
        g->second = second;
    }
    g->services->rows(b, rows);
    mr_code rc = g->format == ACCESS_LOG ? fill_access(g, b, rows, err)
                 : g->format == JSON     ? fill_json(g, b, rows, err)
                                         : fill_counter(g, b, rows, err);
    for (uint32_t row = 0; row < rows; row++) {
        b->time[row] = now;
        b->offset[row] = (int64_t)(g->n + row);
    }
    if (rc == MR_OK)
        rc = decorate(g, b, err);
    if (rc != MR_OK)
        return rc;
    g->n += rows;
    int len = snprintf(pos, sizeof pos, "%" PRIu64, g->n);
    b->source = MR_SLICE("generate");
    b->pos_key = MR_SLICE("generate");
    b->pos = mr_slice_copy(b->arena, (struct mr_slice){pos, (size_t)len});
    return b->pos.p ? MR_OK : no_room(err);
}

static const char doc[] =
    "Makes events up, for examples, tests and measurements.\n"
    "\n"
    "* `access_log`: the field `message` holds a line as web servers write it (combined format) with the "
    "present "
    "time: about 5 % health checks (`/healthz`), 9 % answers 304, some redirects, 404, 401, 500 and 503.\n"
    "* `json`: the fields `client`, `method`, `path`, `status`, `bytes`, `latency`, `agent` of such a "
    "request.\n"
    "* `counter`: the field `n`: 0, 1, 2 ...\n"
    "\n"
    "`fields` adds computed fields, then `template` makes `message`. The same seed makes the same events, "
    "but for "
    "their times. The position is the number of the event: a restart goes on, and `count` counts across "
    "restarts. "
    "A pipeline that is held up does not get more than about 40,000 overdue events at once.\n"
    "\n"
    "```yaml\n"
    "from: { generate: { format: counter, rate: 100, fields: { user: e.n % 10 }, template: 'hello {{ user "
    "}}' } }\n"
    "```\n";

static const struct mr_component generate = {
    .size = sizeof(struct mr_component),
    .kind = MR_SOURCE,
    .name = "generate",
    .summary = "Make up events at a pace: web server log lines, requests as fields, or a counter.",
    .doc = doc,
    .self_size = sizeof(struct generate),
    .options = options,
    .open = open_generate,
    .read = read_generate,
    .traits = MR_REPLAYS,
};

static const struct mr_component *const components[] = {&generate, NULL};

static const struct mr_plugin plugin = {
    .abi = MR_ABI,
    .size = sizeof(struct mr_plugin),
    .name = "generate",
    .version = "1",
    .components = components,
};

MR_PLUGIN(plugin)
