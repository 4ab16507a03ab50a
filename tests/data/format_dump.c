/* format_dump.c - decodes a file line by line and writes an event a line, for oracles written in Python.
 *
 *   format_dump FORMAT OPTIONS FILE    OPTIONS: a JSON object, or {}
 *
 * `_time` is the event time in nanoseconds, `_rejected` the reason of a line that does not fit. Now is
 * 2026-03-01T00:00:00Z.
 */
#include "data/formats.h"

#define NOW 1772323200000000000

enum { ROWS = 700 };

static void write_batch(struct decoder *d, struct mr_batch_pool *pool, const struct mr_slice *text,
                        uint32_t n)
{
    struct mr_batch *b = texts_of(pool, text, n);
    d->format->decode(d->self, b, mr_batch_slot(b, "message", 7, false), (struct mr_slice){NULL, 0}, NOW);
    for (uint32_t i = 0; i < n; i++) {
        struct mr_buf out = {0};
        check_row(b, i, text[i]);
        if (b->time[i] != MR_TIME_NONE)
            mr_assert(mr_batch_set(b, i, "_time", 5, mr_value_int(b->time[i])));
        if (b->fate[i] == MR_REJECTED)
            mr_assert(mr_batch_set(b, i, "_rejected", 9, mr_value_string(mr_batch_reason(b, i))));
        mr_assert(mr_json_write_row(&out, b, i));
        mr_assert(fwrite(out.p, 1, out.len, stdout) == out.len && putchar('\n') == '\n');
        mr_buf_fini(&out);
    }
    mr_batch_free(b);
}

int main(int argc, char **argv)
{
    struct decoder d;
    struct mr_err err;
    struct mr_slice text[ROWS];
    uint32_t n = 0;
    FILE *f = argc == 4 ? fopen(argv[3], "rb") : NULL;
    if (!f) {
        fprintf(stderr, "usage: format_dump FORMAT OPTIONS FILE\n");
        return 2;
    }
    (void)fseek(f, 0, SEEK_END);
    long size = ftell(f);
    (void)fseek(f, 0, SEEK_SET);
    char *p = malloc((size_t)size + 1), *at = p, *end = p + size;
    if (!p || fread(p, 1, (size_t)size, f) != (size_t)size || decoder_open(&d, argv[1], argv[2], &err)) {
        fprintf(stderr, "%s\n", p ? err.text : "no memory");
        return 1;
    }
    (void)fclose(f);
    struct mr_batch_pool *pool = mr_batch_pool_new(2, (size_t)1 << 28);
    while (at < end) {
        char *nl = memchr(at, '\n', (size_t)(end - at));
        nl = nl ? nl : end;
        text[n++] = (struct mr_slice){at, (size_t)(nl - at)};
        at = nl + 1;
        if (n == ROWS || at >= end) {
            write_batch(&d, pool, text, n);
            n = 0;
        }
    }
    decoder_close(&d);
    mr_batch_pool_free(pool);
    free(p);
    return 0;
}
