/* data_bench.c - what one event costs: read, write, edit, test an expression.
 *
 *   data_bench EVENTS.jsonl [LINES]     CPU time, one thread, input in memory; the best of 7 passes
 *
 * Batches of 1024 events from one pool, as a lane has them. The sum at the end keeps the optimiser honest.
 */
#include "base/buf.h"
#include "data/batch.h"
#include "data/expr.h"
#include "data/json.h"
#include "data/json_kernel.h"

#include <stdlib.h>
#include <time.h>

enum { ROWS = 1024, PASSES = 7 };

static struct mr_slice *lines;
static size_t line_count, bytes;
static struct mr_batch_pool *pool;
static struct mr_buf out;
static uint64_t sum;

static double cpu(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool load(const char *path, size_t want)
{
    FILE *f = fopen(path, "rb");
    struct mr_buf text = {0};
    if (!f)
        return false;
    char block[65536];
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;)
        if (!mr_buf_put(&text, block, n) || text.len > want * 1200)
            break;
    (void)fclose(f);
    lines = calloc(want, sizeof *lines);
    for (char *p = text.p, *end = p + text.len, *nl; lines && line_count < want && p < end; p = nl + 1) {
        nl = memchr(p, '\n', (size_t)(end - p));
        if (!nl)
            break;
        lines[line_count++] = (struct mr_slice){p, (size_t)(nl - p)};
        bytes += (size_t)(nl - p) + 1;
    }
    return line_count > 0;
}

static struct mr_batch *fill(size_t from)
{
    struct mr_batch *b = mr_batch_take(pool);
    size_t n = line_count - from < ROWS ? line_count - from : ROWS;
    struct mr_err err;
    if (!b)
        abort();
    mr_batch_rows(b, (uint32_t)n);
    for (size_t i = 0; i < n; i++)
        if (mr_json_read_row(b, (uint32_t)i, lines[from + i], &err) != MR_OK) {
            fprintf(stderr, "line %zu: %s\n", from + i, err.text);
            exit(1);
        }
    return b;
}

static void write(struct mr_batch *b)
{
    out.len = 0;
    if (!mr_json_write_rows(&out, b, NULL))
        abort();
    sum += out.len;
}

static void edit(struct mr_batch *b)
{
    mr_batch_remove(b, "span_id", 7);
    int32_t env = mr_batch_slot(b, "env", 3, true);
    for (uint32_t k = 0; k < b->count; k++) {
        b->column[env].v[b->sel[k]] = mr_value_string(MR_SLICE("prod"));
        b->column[env].v[b->sel[k]].hint = MR_HINT_PLAIN;
        mr_batch_touch(b, b->sel[k]);
    }
}

static void pass_read(void)
{
    for (size_t i = 0; i < line_count; i += ROWS)
        mr_batch_free(fill(i));
}

static void pass_copy(void)
{
    for (size_t i = 0; i < line_count; i += ROWS) {
        struct mr_batch *b = fill(i);
        write(b);
        mr_batch_free(b);
    }
}

static void pass_edit(void)
{
    for (size_t i = 0; i < line_count; i += ROWS) {
        struct mr_batch *b = fill(i);
        edit(b);
        write(b);
        mr_batch_free(b);
    }
}

static void pass_rewrite(void)
{
    for (size_t i = 0; i < line_count; i += ROWS) {
        struct mr_batch *b = fill(i);
        for (uint32_t k = 0; k < b->count; k++)
            mr_batch_touch(b, b->sel[k]);
        write(b);
        mr_batch_free(b);
    }
}

static struct mr_batch *held; /* read once, for what only looks */
static struct mr_xtree *tree;
static uint8_t truth[ROWS];
static struct mr_value values[ROWS];

static void pass_test(void)
{
    for (size_t i = 0; i < line_count; i += ROWS) {
        mr_xtree_test(tree, held, truth);
        sum += truth[i % ROWS];
    }
}

static void pass_eval(void)
{
    for (size_t i = 0; i < line_count; i += ROWS) {
        mr_xtree_eval(tree, held, values);
        sum += values[i % ROWS].tag;
    }
}

static double measure(const char *what, void (*pass)(void), double less)
{
    double best = 1e9;
    for (int i = 0; i < PASSES; i++) {
        double t = cpu();
        pass();
        t = cpu() - t;
        if (t < best)
            best = t;
    }
    double ns = best * 1e9 / (double)line_count;
    printf("%-76s %7.1f ns/event", what, ns);
    if (less > 0)
        printf("  (%.1f without reading)", ns - less);
    printf("\n");
    return ns;
}

int main(int argc, char **argv)
{
    if (argc < 2 || !load(argv[1], argc > 2 ? strtoull(argv[2], NULL, 10) : 100000)) {
        fprintf(stderr, "usage: data_bench EVENTS.jsonl [LINES]\n");
        return 2;
    }
    pool = mr_batch_pool_new(4, (size_t)2 << 30);
    printf("%zu events of %.0f bytes, kernel %s\n", line_count, (double)bytes / (double)line_count,
           mr_json_kernel()->name);
    double read = measure("read_row", pass_read, 0);
    (void)measure("read_row, write_row untouched", pass_copy, read);
    (void)measure("read_row, write_row touched", pass_rewrite, read);
    (void)measure("read_row, take one away, add one, write_row", pass_edit, read);
    held = fill(0);
    static const struct {
        const char *text;
        void (*pass)(void);
    } expressions[] = {
        {"e.level == \"debug\"", pass_test},
        {"e.retry", pass_test},
        {"e.msg:starts(\"index\")", pass_test},
        {"e.http.status >= 500", pass_test},
        {"e.http.status >= 500 or e.http.dur_ms > 900.5", pass_test},
        {"e.level == \"error\" and e.http.status >= 500 and e.user.tier ~= \"free\"", pass_test},
        {"e.http.bytes * 8 // 1024 + 1", pass_eval},
        {"e.service .. \"/\" .. e.host", pass_eval},
    };
    for (size_t i = 0; line_count >= ROWS && i < sizeof expressions / sizeof expressions[0]; i++) {
        struct mr_err err;
        if (mr_xtree_parse(expressions[i].text, strlen(expressions[i].text), &tree, &err) != MR_OK) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
        (void)measure(expressions[i].text, expressions[i].pass, 0);
        mr_xtree_free(tree);
    }
    mr_batch_free(held);
    printf("sum %llu\n", (unsigned long long)sum);
    mr_buf_fini(&out);
    mr_batch_pool_free(pool);
    return 0;
}
