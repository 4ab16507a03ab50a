/* format_bench.c - nanoseconds a line of each text format, column stores included.
 *
 *   format_bench ACCESS_LOG [SYSLOG_FILE]    CPU time, median of 7 passes over the file in batches of 1024
 * events
 *
 * logfmt and csv run over the same lines, rewritten by this program.
 */
#include "data/formats.h"

#include <time.h>

enum { ROWS = 1024, PASSES = 7 };

struct text {
    char *p;
    struct mr_slice *line;
    uint32_t lines;
    size_t bytes;
};

static struct text read_lines(const char *path)
{
    struct text t = {0};
    FILE *f = fopen(path, "rb");
    if (!f) {
        fprintf(stderr, "cannot read '%s'\n", path);
        exit(1);
    }
    (void)fseek(f, 0, SEEK_END);
    size_t n = (size_t)ftell(f);
    (void)fseek(f, 0, SEEK_SET);
    t.p = malloc(n + 1);
    if (!t.p || fread(t.p, 1, n, f) != n)
        exit(1);
    (void)fclose(f);
    t.bytes = n;
    t.line = malloc((n + 1) * sizeof *t.line);
    for (char *p = t.p, *end = t.p + n; t.line && p < end;) {
        char *nl = memchr(p, '\n', (size_t)(end - p));
        nl = nl ? nl : end;
        t.line[t.lines++] = (struct mr_slice){p, (size_t)(nl - p)};
        p = nl + 1;
    }
    return t;
}

static double cpu(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* format NULL: only the batches, to be taken off the others. */
static double run(const char *name, const char *format, const char *options, const struct text *t,
                  double empty)
{
    struct decoder d = {0};
    struct mr_err err;
    if (format && decoder_open(&d, format, options, &err)) {
        fprintf(stderr, "%s: %s\n", format, err.text);
        exit(1);
    }
    struct mr_batch_pool *pool = mr_batch_pool_new(4, (size_t)1 << 28);
    double took[PASSES];
    uint32_t rejected = 0, columns = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        took[pass] = 0;
        rejected = 0;
        for (uint32_t i = 0; i < t->lines; i += ROWS) {
            uint32_t n = t->lines - i < ROWS ? t->lines - i : ROWS;
            double from = cpu();
            struct mr_batch *b = texts_of(pool, t->line + i, n);
            if (format)
                d.format->decode(d.self, b, mr_batch_slot(b, "message", 7, false), (struct mr_slice){NULL, 0},
                                 1700000000000000000);
            took[pass] += cpu() - from;
            for (uint32_t k = 0; k < n; k++)
                rejected += b->fate[k] == MR_REJECTED;
            columns = b->columns;
            mr_batch_free(b);
        }
    }
    qsort(took, PASSES, sizeof *took, by_value);
    double ns = took[PASSES / 2] * 1e9 / t->lines - empty;
    if (format)
        printf("%-14s %7.1f ns/line %8.0f MB/s  %u lines, %u rejected, %u columns\n", name, ns,
               (double)t->bytes / t->lines / ns * 1e3, t->lines, rejected, columns - 1);
    mr_batch_pool_free(pool);
    if (format)
        decoder_close(&d);
    return ns;
}

/* The access log as logfmt or csv: the same ten values. */
static struct text rewritten(const struct text *t, bool csv)
{
    struct text out = {.p = malloc(t->bytes * 3 + 64), .line = malloc((t->lines + 1) * sizeof *out.line)};
    struct decoder d;
    struct mr_err err;
    struct mr_batch_pool *pool = mr_batch_pool_new(1, (size_t)1 << 28);
    if (!out.p || !out.line || decoder_open(&d, "combined", NULL, &err))
        exit(1);
    char *o = out.p;
    for (uint32_t i = 0; i < t->lines; i++) {
        struct mr_batch *b = texts_of(pool, t->line + i, 1);
        d.format->decode(d.self, b, 0, (struct mr_slice){NULL, 0}, 0);
        char *start = o;
        for (uint32_t c = 1; b->fate[0] == MR_KEPT && c < b->columns; c++) {
            const struct mr_value *v = &b->column[c].v[0];
            if (o != start)
                *o++ = csv ? ',' : ' ';
            if (!csv)
                o += sprintf(o, "%.*s=", (int)b->column[c].name_len, b->column[c].name);
            if (v->tag == MR_INT)
                o += sprintf(o, "%lld", (long long)v->u.i);
            else if (v->tag == MR_STRING)
                o += sprintf(o, "\"%.*s\"", v->hint ? (int)v->len : 1, v->hint ? v->u.s : "-");
        }
        if (o != start) {
            out.line[out.lines++] = (struct mr_slice){start, (size_t)(o - start)};
            out.bytes += (size_t)(o - start);
        }
        mr_batch_free(b);
    }
    mr_batch_pool_free(pool);
    decoder_close(&d);
    return out;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: format_bench ACCESS_LOG [SYSLOG_FILE]\n");
        return 2;
    }
    struct text t = read_lines(argv[1]);
    double empty = run("", NULL, NULL, &t, 0);
    printf("batches alone  %7.1f ns/line, taken off below\n", empty);
    (void)run("combined", "combined", NULL, &t, empty);
    (void)run(
        "regex", "regex",
        "{\"pattern\":\"^(?<remote>\\\\S+) \\\\S+ (?<user>\\\\S+) \\\\[(?<time>[^\\\\]]+)\\\\] \\\"(?<method>"
        "\\\\S+) (?<path>\\\\S+) (?<protocol>[^\\\"\\\\s]+)\\\" (?<code>\\\\d{3}) (?<size>\\\\d+|-) "
        "\\\"(?<referer>[^\\\"]*)\\\" \\\"(?<agent>[^\\\"]*)\\\"$\"}",
        &t, empty);
    (void)run("grok", "grok", "{\"pattern\":\"%{COMBINEDAPACHELOG}\"}", &t, empty);
    struct text logfmt = rewritten(&t, false), csv = rewritten(&t, true);
    (void)run("logfmt", "logfmt", NULL, &logfmt, empty);
    (void)run("csv", "csv", NULL, &csv, empty);
    (void)run("raw", "raw", NULL, &t, empty);
    if (argc > 2) {
        struct text s = read_lines(argv[2]);
        (void)run("syslog", "syslog", NULL, &s, empty);
    }
    return 0;
}
