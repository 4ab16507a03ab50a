/* format_fuzz.c - any bytes to any format. The first byte chooses the format, the rest is lines. */
#include "format_kinds.h"
#include "formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct decoder decoders[FORMAT_KINDS];
    static struct mr_batch_pool *pool;
    struct mr_slice text[64];
    uint32_t n = 0;
    if (size == 0)
        return 0;
    int kind = data[0] / 2 % FORMAT_KINDS;
    struct decoder *d = &decoders[kind];
    struct mr_err err;
    if (!pool)
        pool = mr_batch_pool_new(2, (size_t)1 << 26);
    if (!d->format)
        mr_assert(decoder_open(d, format_kinds[kind].format, format_kinds[kind].options, &err) == MR_OK);
    const char *p = (const char *)data + 1, *end = (const char *)data + size;
    while (n < 64) {
        const char *nl = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
        const char *stop = nl ? nl : end;
        text[n++] = (struct mr_slice){p, (size_t)(stop - p)};
        if (!nl)
            break;
        p = nl + 1;
    }
    struct mr_batch *b = texts_of(pool, text, n);
    d->format->decode(d->self, b, 0, mr_slice_of(data[0] % 2 ? "x.y" : NULL), 1772323200000000000);
    for (uint32_t i = 0; i < n; i++)
        check_row(b, i, text[i]);
    mr_batch_free(b);
    return 0;
}
