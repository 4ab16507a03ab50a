/* lines.c - see lines.h. The mix: 5 % health checks, 9 % not modified, a few redirects and errors. */
#include "lines.h"

#include <inttypes.h>

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* The next number below `bound`. */
static uint32_t below(uint64_t *state, uint32_t bound)
{
    *state = mix(*state);
    return (uint32_t)(((*state >> 32) * bound) >> 32);
}

static const char *const pages[] = {"/",
                                    "/products",
                                    "/cart",
                                    "/search",
                                    "/login",
                                    "/about",
                                    "/api/v1/items",
                                    "/api/v1/orders",
                                    "/static/app.js",
                                    "/static/site.css",
                                    "/images/logo.png"};
static const char *const agents[] = {
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 "
    "Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5",
    "curl/8.5.0",
};
static const char *const referers[] = {"-", "-", "https://shop.example/", "https://search.example/?q=mill"};

#define PICK(state, list) (list)[below(state, sizeof(list) / sizeof *(list))]

void lines_hit(uint64_t seed, uint64_t n, struct hit *out)
{
    uint64_t state = mix(seed) ^ mix(~n);
    uint32_t host = below(&state, 2000); /* clients come back */
    host = host * host / 2000;           /* some more often than others */
    (void)snprintf(out->client, sizeof out->client, "10.%u.%u.%u", host % 7, (host / 7) & 255,
                   1 + host % 250);
    out->item = 0;
    out->latency =
        (double)(1 + below(&state, 40) + (below(&state, 50) == 0 ? below(&state, 2000) : 0)) / 1000;
    if (below(&state, 100) < 5) {
        out->method = "GET";
        out->path = "/healthz";
        out->agent = "kube-probe/1.29";
        out->referer = "-";
        out->status = 200;
        out->bytes = 2;
        return;
    }
    uint32_t kind = below(&state, 100), verdict = below(&state, 1000);
    out->path = PICK(&state, pages);
    out->agent = PICK(&state, agents);
    out->referer = PICK(&state, referers);
    if (strcmp(out->path, "/products") == 0 || strncmp(out->path, "/api/", 5) == 0)
        out->item = 1 + below(&state, 20000);
    out->method = kind < 86 ? "GET" : kind < 96 ? "POST" : kind < 98 ? "PUT" : "HEAD";
    bool get = kind < 86;
    out->status = verdict < 5                                ? 500
                  : verdict < 8                              ? 503
                  : verdict < 45                             ? 404
                  : verdict < 60                             ? 401
                  : verdict < 90                             ? 302
                  : verdict < 185                            ? (get ? 304 : 200)
                  : kind >= 86 && kind < 96 && verdict < 500 ? 201
                                                             : 200;
    out->bytes = out->status == 304 || kind >= 98 ? 0
                 : out->status == 200             ? 200 + (int64_t)below(&state, 300) * below(&state, 300)
                                                  : 150 + (int64_t)below(&state, 400);
}

size_t lines_path(const struct hit *hit, char *out, size_t size)
{
    int n = hit->item ? snprintf(out, size, "%s/%" PRIu32, hit->path, hit->item)
                      : snprintf(out, size, "%s", hit->path);
    return n > 0 && (size_t)n < size ? (size_t)n : 0;
}

size_t lines_access(const struct hit *hit, const char *when, char *out)
{
    char path[64];
    (void)lines_path(hit, path, sizeof path);
    int n = snprintf(out, LINES_ACCESS_MAX,
                     "%s - - [%s] \"%s %s HTTP/1.1\" %" PRId32 " %" PRId64 " \"%s\" \"%s\"", hit->client,
                     when, hit->method, path, hit->status, hit->bytes, hit->referer, hit->agent);
    return n > 0 && n < LINES_ACCESS_MAX ? (size_t)n : 0;
}
