/* json_fuzz.c - any bytes: the reader refuses them with a place, or the laws of json_law.h hold; and both
 * kernels answer alike. */
#include "data/json_kernel.h"
#include "json_law.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mr_batch_pool *pool;
    if (!pool)
        pool = mr_batch_pool_new(1, 64 << 20);
    struct mr_slice text = {(const char *)data, size};
    bool accepted, base;
    const char *broken = json_law(pool, text, &accepted);
    mr_json_kernel_use(&mr_json_kernel_base);
    const char *also = json_law(pool, text, &base);
    mr_json_kernel_use(NULL);
    if (broken || also || accepted != base) {
        fprintf(stderr, "broken: %s; %s; accepted %d and %d\n", broken ? broken : "-", also ? also : "-",
                accepted, base);
        abort();
    }
    return 0;
}
