/* load.h - what the load programs of `bench.py broker` share: clocks, giving up, dialling, quantiles. */
#ifndef MILLRACE_BENCH_LOAD_H
#define MILLRACE_BENCH_LOAD_H

#include <netdb.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

static inline void *need(void *p)
{
    if (!p)
        die("memory", "there is none");
    return p;
}

static inline int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline double now_s(void)
{
    return (double)now_ns() / 1e9;
}

/* Of the whole process. */
static inline double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

/* Of another process, here; 0 when there is none. */
static inline double cpu_of(long pid)
{
    char name[64], line[1024] = "";
    long user = 0, kernel = 0;
    (void)snprintf(name, sizeof name, "/proc/%ld/stat", pid);
    FILE *f = pid ? fopen(name, "r") : NULL;
    if (!f)
        return 0;
    if (fgets(line, sizeof line, f) && strrchr(line, ')'))
        (void)sscanf(strrchr(line, ')') + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user,
                     &kernel);
    fclose(f);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static inline int dial(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, port, &hints, &found) != 0)
        die(host, "not found");
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        die(host, "no connection");
    freeaddrinfo(found);
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

/* ---------------------------------------------------------------- latencies */

/* Buckets of 1/64 of a power of two, from 1 ns: a quantile is right to 1.6 %. One thread adds. */
enum { HIST_BITS = 6, HIST_BUCKETS = 64 << HIST_BITS };
struct hist {
    uint64_t bucket[HIST_BUCKETS], count;
    int64_t max;
};

static inline unsigned hist_of(uint64_t v)
{
    if (v < 1u << HIST_BITS)
        return (unsigned)v;
    unsigned top = 63 - (unsigned)__builtin_clzll(v), shift = top - HIST_BITS;
    return ((shift + 1) << HIST_BITS) + (unsigned)(v >> shift & ((1u << HIST_BITS) - 1));
}

static inline void hist_add(struct hist *h, int64_t ns)
{
    h->bucket[hist_of(ns > 0 ? (uint64_t)ns : 0)]++;
    h->count++;
    if (ns > h->max)
        h->max = ns;
}

/* ms; the upper end of the bucket. -1: empty. */
static inline double hist_at(const struct hist *h, double quantile)
{
    uint64_t want = (uint64_t)((double)h->count * quantile), seen = 0;
    if (h->count == 0)
        return -1;
    for (unsigned i = 0; i < HIST_BUCKETS; i++)
        if ((seen += h->bucket[i]) > want) {
            unsigned shift = i >> HIST_BITS;
            uint64_t low = i & ((1u << HIST_BITS) - 1);
            uint64_t end = shift ? ((1ull << HIST_BITS) + low + 1) << (shift - 1) : low + 1;
            return (double)((int64_t)end < h->max ? (int64_t)end : h->max) / 1e6;
        }
    return (double)h->max / 1e6;
}

#endif
