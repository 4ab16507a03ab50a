/* mock_host.h - a lane that a test turns by hand: components loaded from build/plugins as users load them,
 * options in YAML, a clock that moves when told to, and a store of positions.
 */
#ifndef TESTS_PLUGINS_MOCK_HOST_H
#define TESTS_PLUGINS_MOCK_HOST_H

#include "data/batch.h"
#include "plugin/host.h"
#include "plugin/option.h"

#include "base/arena.h"

enum { MOCK_COUNTERS = 32, MOCK_WATCHES = 8, MOCK_LOG = 65536, MOCK_KEYS = 4096 };

struct mock {
    struct mr_host host; /* first */
    struct mr_lua *lua;
    struct mr_batch_pool *pool;
    mr_ms now;   /* monotonic */
    mr_ns wall;  /* at now == 0 */
    mr_ms timer; /* as asked for; MR_NEVER: none */
    bool once, woken;
    int watched[MOCK_WATCHES]; /* -1: free */
    struct {
        char name[64];
        int64_t value;
    } counters[MOCK_COUNTERS];
    char log[MOCK_LOG]; /* "warn: text\n" ... */
    size_t log_len;
    struct { /* positions as stored */
        char *key, *pos;
    } stored[MOCK_KEYS];
    uint32_t stored_count;
};

struct mock *mock_new(void);
void mock_free(struct mock *m);
int64_t mock_count(const struct mock *m, const char *metric);
bool mock_watches(const struct mock *m, int fd);
const char *mock_stored(const struct mock *m, const char *key); /* NULL: none */
void mock_store(struct mock *m, struct mr_slice key, struct mr_slice pos);
void mock_forget(struct mock *m);

/* One instance of a component. */
struct part {
    struct mock *m;
    const struct mr_component *c;
    void *self;
    struct mr_heap_arena arena;
    struct mr_owned *owned;
    struct mr_err err;
    char diags[4096]; /* what option tables said: "line:column: text (note)\n" */
};

/* plugin: name of the shared object. NULL `yaml`: no options. Fills and checks; open is another step. false:
 * see p->diags or p->err. */
bool part_make(struct part *p, struct mock *m, const char *plugin, enum mr_kind kind, const char *name,
               const char *yaml);
mr_code part_open(struct part *p); /* with the positions that are stored */
void part_close(struct part *p);   /* close, and free what part_make made */

struct mr_batch *mock_batch(struct mock *m);
/* A batch of events from JSON texts; NULL ends the list. */
struct mr_batch *mock_events(struct mock *m, const char *const *json);
/* The chosen events as JSON lines, malloc'ed, NUL-terminated. */
char *mock_json(struct mock *m, struct mr_batch *b);

/* A folder of its own below TMPDIR or /tmp, removed with all in it. */
char *folder_new(void);
void folder_free(char *path);
void put(const char *path, const char *text); /* writes a whole file */
void append(const char *path, const char *text);
void append_bytes(const char *path, const void *p, size_t len);
char *slurp(const char *path, size_t *len); /* malloc'ed, NUL-terminated; NULL: not there */

#endif
