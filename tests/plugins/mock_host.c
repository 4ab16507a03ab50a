/* mock_host.c - see mock_host.h. */
#include "plugins/mock_host.h"

#include <dlfcn.h>
#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <setjmp.h>

#include <cmocka.h>

#include "base/buf.h"
#include "data/json.h"
#include "pipeline/config.h"

static struct mock *of(struct mr_host *h)
{
    return (struct mock *)h;
}

static struct mr_batch *op_batch_new(struct mr_host *h, struct mr_batch *from)
{
    (void)from;
    return mock_batch(of(h));
}
static void op_emit(struct mr_host *h, struct mr_batch *b)
{
    (void)h;
    mr_batch_free(b);
}
static mr_ns op_now(struct mr_host *h)
{
    return of(h)->wall + of(h)->now * 1000000;
}
static mr_ms op_monotonic(struct mr_host *h)
{
    return of(h)->now;
}
static void op_wake(struct mr_host *h)
{
    of(h)->woken = true;
}
static mr_code op_watch(struct mr_host *h, int fd, struct mr_err *err)
{
    for (int i = 0; i < MOCK_WATCHES; i++) {
        if (of(h)->watched[i] < 0) {
            of(h)->watched[i] = fd;
            return MR_OK;
        }
    }
    return mr_fail(err, MR_LIMIT, "too many watches");
}
static void op_unwatch(struct mr_host *h, int fd)
{
    for (int i = 0; i < MOCK_WATCHES; i++) {
        if (of(h)->watched[i] == fd)
            of(h)->watched[i] = -1;
    }
}
static void op_timer(struct mr_host *h, mr_ms at)
{
    of(h)->timer = at;
}
static bool op_once(struct mr_host *h)
{
    return of(h)->once;
}
static void op_log(struct mr_host *h, enum mr_level level, const char *text)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    struct mock *m = of(h);
    int n = snprintf(m->log + m->log_len, sizeof m->log - m->log_len, "%s: %s\n", names[level], text);
    if (n > 0 && (size_t)n < sizeof m->log - m->log_len)
        m->log_len += (size_t)n;
}
static void op_count(struct mr_host *h, const char *metric, int64_t delta)
{
    struct mock *m = of(h);
    for (int i = 0; i < MOCK_COUNTERS; i++) {
        if (!m->counters[i].name[0])
            (void)snprintf(m->counters[i].name, sizeof m->counters[i].name, "%s", metric);
        if (strcmp(m->counters[i].name, metric) == 0) {
            m->counters[i].value += delta;
            return;
        }
    }
    fail_msg("more than %d counters", MOCK_COUNTERS);
}
static void op_written(struct mr_host *h, uint64_t ticket, const struct mr_verdict *verdict)
{
    (void)h, (void)ticket, (void)verdict;
}

static const struct mr_host_ops ops = {
    .batch_new = op_batch_new,
    .emit = op_emit,
    .now = op_now,
    .monotonic = op_monotonic,
    .wake = op_wake,
    .watch = op_watch,
    .unwatch = op_unwatch,
    .timer = op_timer,
    .once = op_once,
    .log = op_log,
    .count = op_count,
    .written = op_written,
};

struct mock *mock_new(void)
{
    struct mock *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->host = (struct mr_host){.ops = &ops, .label = "test", .lua = &m->lua};
    m->pool = mr_batch_pool_new(4, 256 << 20);
    assert_non_null(m->pool);
    m->now = 1000;
    m->wall = 1760104536000000000; /* 2025-10-10T13:55:36Z */
    m->timer = MR_NEVER;
    for (int i = 0; i < MOCK_WATCHES; i++)
        m->watched[i] = -1;
    return m;
}

void mock_forget(struct mock *m)
{
    for (uint32_t i = 0; i < m->stored_count; i++) {
        free(m->stored[i].key);
        free(m->stored[i].pos);
    }
    m->stored_count = 0;
}

void mock_free(struct mock *m)
{
    mock_forget(m);
    mr_batch_pool_free(m->pool);
    free(m);
}

int64_t mock_count(const struct mock *m, const char *metric)
{
    for (int i = 0; i < MOCK_COUNTERS; i++) {
        if (strcmp(m->counters[i].name, metric) == 0)
            return m->counters[i].value;
    }
    return 0;
}

bool mock_watches(const struct mock *m, int fd)
{
    for (int i = 0; i < MOCK_WATCHES; i++) {
        if (m->watched[i] == fd)
            return true;
    }
    return false;
}

const char *mock_stored(const struct mock *m, const char *key)
{
    for (uint32_t i = 0; i < m->stored_count; i++) {
        if (strcmp(m->stored[i].key, key) == 0)
            return m->stored[i].pos;
    }
    return NULL;
}

void mock_store(struct mock *m, struct mr_slice key, struct mr_slice pos)
{
    uint32_t i = 0;
    while (i < m->stored_count && !mr_slice_eq(mr_slice_of(m->stored[i].key), key))
        i++;
    if (i < m->stored_count) {
        free(m->stored[i].key);
        free(m->stored[i].pos);
        m->stored[i] = m->stored[--m->stored_count];
    }
    if (pos.len == 0)
        return;
    assert_true(m->stored_count < MOCK_KEYS);
    m->stored[m->stored_count].key = strndup(key.p, key.len);
    m->stored[m->stored_count++].pos = strndup(pos.p, pos.len);
}

/* ---------------------------------------------------------------- components */

static const struct mr_component *load(const char *plugin, enum mr_kind kind, const char *name)
{
    char path[512];
    const char *build = getenv("MR_BUILD_DIR");
    assert_non_null(build);
    (void)snprintf(path, sizeof path, "%s/plugins/%s.so", build, plugin);
    void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL); /* stays: sanitizers want its symbols at the end */
    if (!so)
        fail_msg("%s", dlerror());
    union { /* dlsym gives an object pointer */
        void *object;
        const struct mr_plugin *(*entry)(void);
    } sym = {.object = dlsym(so, "mr_plugin_entry")};
    assert_non_null(sym.object);
    const struct mr_plugin *found = sym.entry();
    assert_int_equal(found->abi, MR_ABI);
    for (const struct mr_component *const *c = found->components; *c; c++) {
        if ((*c)->kind == kind && strcmp((*c)->name, name) == 0)
            return *c;
    }
    fail_msg("no component '%s' in '%s'", name, path);
    return NULL;
}

static struct mr_open opening(struct part *p, struct mr_position *positions)
{
    for (uint32_t i = 0; i < p->m->stored_count; i++)
        positions[i] = (struct mr_position){.key = mr_slice_of(p->m->stored[i].key),
                                            .pos = mr_slice_of(p->m->stored[i].pos)};
    return (struct mr_open){.size = sizeof(struct mr_open),
                            .services = mr_services(),
                            .host = &p->m->host,
                            .positions = positions,
                            .position_count = p->m->stored_count};
}

bool part_make(struct part *p, struct mock *m, const char *plugin, enum mr_kind kind, const char *name,
               const char *yaml)
{
    struct mr_diags diags = {0};
    memset(p, 0, sizeof *p);
    p->m = m;
    p->c = load(plugin, kind, name);
    p->self = calloc(1, p->c->self_size);
    assert_non_null(p->self);
    mr_heap_arena_init(&p->arena, 65536, 0, 16 << 20);
    struct mr_node *n = NULL;
    bool good = true;
    if (yaml) {
        struct mr_slice text = mr_slice_copy(&p->arena.arena, mr_slice_of(yaml));
        n = mr_yaml_read("test.yaml", text, &p->arena, &diags);
        good = n != NULL;
    }
    good = good && mr_options_fill(p->c->options, name, n, n, p->self, &p->arena.arena, &p->owned, &diags);
    size_t at = 0;
    for (uint32_t i = 0; i < diags.count && at < sizeof p->diags; i++) {
        const struct mr_diag *d = &diags.v[i];
        at += (size_t)snprintf(p->diags + at, sizeof p->diags - at, "%" PRIu32 ":%" PRIu32 ": %s%s%s%s\n",
                               d->line, d->column, d->text, d->note ? " (" : "", d->note ? d->note : "",
                               d->note ? ")" : "");
    }
    mr_diags_fini(&diags);
    if (good && p->c->check) {
        struct mr_open o = {.size = sizeof(struct mr_open), .services = mr_services(), .host = &p->m->host};
        good = p->c->check(p->self, &o, &p->err) == MR_OK;
    }
    return good;
}

mr_code part_open(struct part *p)
{
    struct mr_position *positions = calloc(p->m->stored_count + 1, sizeof *positions);
    struct mr_open o = opening(p, positions);
    mr_err_clear(&p->err);
    mr_code rc = p->c->open ? p->c->open(p->self, &o, &p->err) : MR_OK;
    free(positions); /* borrowed for the call */
    return rc;
}

void part_close(struct part *p)
{
    if (p->c->close)
        p->c->close(p->self);
    mr_options_fini(p->owned);
    mr_heap_arena_fini(&p->arena);
    free(p->self);
    p->self = NULL;
}

/* ---------------------------------------------------------------- batches */

struct mr_batch *mock_batch(struct mock *m)
{
    struct mr_batch *b = mr_batch_take(m->pool);
    assert_non_null(b);
    return b;
}

struct mr_batch *mock_events(struct mock *m, const char *const *json)
{
    struct mr_batch *b = mock_batch(m);
    uint32_t rows = 0;
    while (json[rows])
        rows++;
    mr_batch_rows(b, rows);
    for (uint32_t row = 0; row < rows; row++) {
        struct mr_err why;
        struct mr_slice text = mr_slice_copy(b->arena, mr_slice_of(json[row]));
        if (mr_json_read_row(b, row, text, &why) != MR_OK)
            fail_msg("not JSON: %s: %s", json[row], why.text);
    }
    return b;
}

char *mock_json(struct mock *m, struct mr_batch *b)
{
    struct mr_buf out = {0};
    struct mr_err err;
    mr_batch_compact(b);
    if (b->count)
        assert_int_equal(mr_services()->encode(&m->host, "json", b, &out, NULL, &err), MR_OK);
    char *text = strndup(out.p ? out.p : "", out.len);
    mr_buf_fini(&out);
    return text;
}

/* ---------------------------------------------------------------- files */

char *folder_new(void)
{
    char path[256];
    const char *tmp = getenv("TMPDIR");
    (void)snprintf(path, sizeof path, "%s/millrace-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(path));
    return strdup(path);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st, (void)flag, (void)at;
    return remove(path);
}

void folder_free(char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(path);
}

static void write_to(const char *path, const char *mode, const void *p, size_t len)
{
    FILE *f = fopen(path, mode);
    if (!f)
        fail_msg("%s: %s", path, strerror(errno));
    if (len)
        assert_int_equal(fwrite(p, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

void put(const char *path, const char *text)
{
    write_to(path, "wb", text, strlen(text));
}

void append(const char *path, const char *text)
{
    write_to(path, "ab", text, strlen(text));
}

void append_bytes(const char *path, const void *p, size_t len)
{
    write_to(path, "ab", p, len);
}

char *slurp(const char *path, size_t *len)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    size_t have = 0, cap = 65536;
    char *text = malloc(cap + 1);
    assert_non_null(text);
    for (size_t n; (n = fread(text + have, 1, cap - have, f)) > 0;) {
        have += n;
        if (have == cap)
            text = realloc(text, (cap *= 2) + 1);
        assert_non_null(text);
    }
    (void)fclose(f);
    text[have] = '\0';
    if (len)
        *len = have;
    return text;
}
