/* yaml_fuzz.c - any bytes as a configuration: reading, substituting, checking and printing survive them. */
#include "base/mem.h"
#include "pipeline/config.h"
#include "pipeline/run.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct mr_catalog *catalog;
    static FILE *nowhere;
    struct mr_err err;
    if (!catalog) {
        (void)setenv("A", "${B}", 1);
        if (mr_catalog_new(&catalog, &err) != MR_OK || mr_pipeline_components(catalog, &err) != MR_OK)
            abort();
        nowhere = fopen("/dev/null", "w");
        if (!nowhere)
            abort();
    }
    if (memmem(data, size, "${file:", 7)) /* not what this is about: it would read this machine's files */
        return 0;
    struct mr_heap_arena a;
    struct mr_diags diags = {0};
    struct mr_config config;
    mr_heap_arena_init(&a, 16 * 1024, 0, 64 << 20);
    struct mr_config_file f = {"fuzz.yaml", {(const char *)data, size}};
    if (!f.text.p)
        f.text = MR_SLICE("");
    mr_code rc = mr_config_load(&f, 1, catalog, 0, &a, &diags, &config);
    if ((rc == MR_OK) != (diags.errors == 0) && rc != MR_MEMORY)
        abort(); /* refused without a reason, or accepted with one */
    mr_diags_print(&diags, config.sources, config.source_count, nowhere, true);
    mr_diags_fini(&diags);
    mr_heap_arena_fini(&a);
    return 0;
}
