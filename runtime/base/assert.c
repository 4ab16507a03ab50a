/* assert.c - the last words of a process that found a bug in itself. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

void mr_assert_failed(const char *what, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: assertion failed: %s (this is a bug in millrace)\n", file, line, what);
    (void)fflush(stderr);
    abort();
}
