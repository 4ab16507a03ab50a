/* lines.h - made-up events that look real: event n of a seed is always the same, whatever came before it. */
#ifndef GENERATE_LINES_H
#define GENERATE_LINES_H

#include <millrace/plugin.h>

enum { LINES_ACCESS_MAX = 512 }; /* bytes of an access log line */

struct hit {
    char client[16];
    const char *method, *path, *agent, *referer;
    uint32_t item; /* path's number, 0: none */
    int32_t status;
    int64_t bytes;
    double latency; /* seconds */
};

void lines_hit(uint64_t seed, uint64_t n, struct hit *out);
/* A line of the combined format; `when` is "10/Oct/2025:13:55:36 +0000". Returns its length. */
size_t lines_access(const struct hit *hit, const char *when, char *out);
size_t lines_path(const struct hit *hit, char *out, size_t size);

#endif
