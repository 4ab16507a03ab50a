/* mem.c - the heap, with a counter that lets a test fail any single allocation. */
#include "base/mem.h"

#include <stdlib.h>
#include <sys/mman.h>

static _Thread_local uint64_t fail_at; /* allocations until one fails; 0: none fails */

static bool failed_by_test(void)
{
    return fail_at != 0 && --fail_at == 0;
}

void *mr_alloc(size_t bytes)
{
    return failed_by_test() ? NULL : calloc(1, bytes ? bytes : 1);
}

void *mr_realloc(void *p, size_t bytes)
{
    return failed_by_test() ? NULL : realloc(p, bytes ? bytes : 1);
}

void mr_free(void *p)
{
    free(p);
}

char *mr_strndup(const char *s, size_t len)
{
    char *copy = len == SIZE_MAX ? NULL : mr_alloc(len + 1);
    if (copy && len)
        memcpy(copy, s, len);
    return copy;
}

void *mr_need(size_t bytes)
{
    void *p = mr_alloc(bytes);
    if (!p) {
        (void)fprintf(stderr, "no memory for %zu bytes\n", bytes);
        abort();
    }
    return p;
}

void *mr_alloc_pages(size_t bytes)
{
    void *p = NULL;
    if (failed_by_test() || posix_memalign(&p, MR_PAGES_BYTES, bytes) != 0)
        return NULL;
    (void)madvise(p, bytes, MADV_HUGEPAGE); /* small pages do as well, only slower */
    return p;
}

void mr_free_pages(void *p, size_t bytes)
{
    if (p)
        (void)madvise(p, bytes,
                      MADV_NOHUGEPAGE); /* the heap may use these addresses for small things again */
    free(p);
}

void mr_alloc_fail_at(uint64_t n)
{
    fail_at = n;
}

uint64_t mr_alloc_fail_left(void)
{
    return fail_at;
}
