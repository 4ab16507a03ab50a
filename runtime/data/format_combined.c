/* format_combined.c - the access log of Apache and nginx, "combined" and "common".
 *
 *   client SP ident SP user SP [time] SP "request" SP status SP bytes [SP "referer" SP "agent"] [SP rest]
 *
 * Words.  The *map* of a line has one bit a byte for quotes, blanks and odd bytes (those that JSON cannot
 *         carry as they stand: control, backslash, 0x80 and up). It is made in one pass, 16 or 32 bytes at a
 *         time; then each delimiter is a count of trailing zeros away. Lines longer than MAP_MAX bytes are
 *         split by memchr, by the same grammar: split() is compiled twice.
 *
 * The minute of the event time is kept from line to line: most lines share it.
 *
 * Cost: 66 ns for a line of 237 bytes, eleven column stores included, on one core of an EPYC (2026-11,
 * tests/bench/format_bench.c, median of 7). Building values in one register to spare the store buffer was
 * tried and changed nothing.
 */
#include "data/format_fields.h"

#include "base/time.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__SSE2__)
#include <emmintrin.h>
#endif

enum {
    MAP_MAX = 2047, /* bytes of a line that has a map; longer ones go by memchr */
    MAP_WORDS = (MAP_MAX + 1) / 64,
    TIME_LEN = 26, /* 17/May/2015:10:05:03 +0000 */
};

enum {
    CLIENT,
    IDENT,
    USER,
    TIME,
    METHOD,
    PATH,
    PROTOCOL,
    STATUS,
    BYTES,
    REFERER,
    AGENT,
    REQUEST,
    REST,
    FIELDS
};
static const struct mr_slice names[FIELDS] = {
    [CLIENT] = {"client", 6},     [IDENT] = {"ident", 5},   [USER] = {"user", 4},
    [TIME] = {"time", 4},         [METHOD] = {"method", 6}, [PATH] = {"path", 4},
    [PROTOCOL] = {"protocol", 8}, [STATUS] = {"status", 6}, [BYTES] = {"bytes", 5},
    [REFERER] = {"referer", 7},   [AGENT] = {"agent", 5},   [REQUEST] = {"request", 7},
    [REST] = {"rest", 4},
};

struct clf {
    char minute[17], zone[6]; /* of the line before: "17/May/2015:10:05", " +0000" */
    bool known;
    mr_ns minute_ns;
};

/* ---------------------------------------------------------------- the map */

struct map {
    uint64_t quote[MAP_WORDS], space[MAP_WORDS], odd[MAP_WORDS];
};

struct line {
    const char *p;
    size_t n;
    const struct map *map; /* NULL: long */
    bool clean;            /* no odd byte at all */
};

#if defined(__SSE2__)
/* Masks of the 16 bytes at p + i; where fewer are left, of those, without reading beyond. */
static inline void map_16(const char *p, size_t i, size_t n, unsigned *q, unsigned *s, unsigned *o)
{
    size_t left = n - i;
    unsigned shift = 0;
    __m128i x;
    if (left >= 16) {
        x = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
    } else if (n >= 16) {
        x = _mm_loadu_si128((const __m128i *)(const void *)(p + n - 16));
        shift = (unsigned)(16 - left);
    } else {
        char few[16];
        memset(few, 'x', sizeof few);
        memcpy(few, p, n);
        x = _mm_loadu_si128((const __m128i *)(const void *)few);
    }
    __m128i odd =
        _mm_or_si128(_mm_cmplt_epi8(x, _mm_set1_epi8(0x20)), _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
    *q = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8('"'))) >> shift;
    *s = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(x, _mm_set1_epi8(' '))) >> shift;
    *o = (unsigned)_mm_movemask_epi8(odd) >> shift;
}
#else
static inline void map_16(const char *p, size_t i, size_t n, unsigned *q, unsigned *s, unsigned *o)
{
    *q = *s = *o = 0;
    for (unsigned k = 0; k < 16 && i + k < n; k++) {
        unsigned char c = (unsigned char)p[i + k];
        *q |= (unsigned)(c == '"') << k;
        *s |= (unsigned)(c == ' ') << k;
        *o |= (unsigned)(c < 0x20 || c >= 0x80 || c == '\\') << k;
    }
}
#endif

static inline void map_words(struct map *m, const char *p, size_t n, size_t i, uint64_t *any)
{
    for (; i <= n; i += 64) {
        uint64_t quote = 0, space = 0, odd = 0;
        for (size_t k = 0; k < 64 && i + k < n; k += 16) {
            unsigned q, s, o;
            map_16(p, i + k, n, &q, &s, &o);
            quote |= (uint64_t)q << k;
            space |= (uint64_t)s << k;
            odd |= (uint64_t)o << k;
        }
        m->quote[i / 64] = quote;
        m->space[i / 64] = space;
        m->odd[i / 64] = odd;
        *any |= odd;
    }
}

/* Returns whether there is an odd byte. A bit beyond the end stops every search. */
static bool map_make_plain(struct map *m, const char *p, size_t n)
{
    uint64_t any = 0;
    map_words(m, p, n, 0, &any);
    m->quote[n / 64] |= (uint64_t)1 << (n % 64);
    m->space[n / 64] |= (uint64_t)1 << (n % 64);
    return any != 0;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static bool map_make_avx2(struct map *m, const char *p, size_t n)
{
    const __m256i quotes = _mm256_set1_epi8('"'), spaces = _mm256_set1_epi8(' '),
                  slashes = _mm256_set1_epi8('\\');
    uint64_t any = 0;
    size_t i = 0;
    for (; i + 64 <= n; i += 64) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
        __m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + i + 32));
        __m256i oa = _mm256_or_si256(_mm256_cmpgt_epi8(spaces, a), _mm256_cmpeq_epi8(a, slashes));
        __m256i ob = _mm256_or_si256(_mm256_cmpgt_epi8(spaces, b), _mm256_cmpeq_epi8(b, slashes));
#define BITS(x, y)                                                                                           \
    ((uint64_t)(uint32_t)_mm256_movemask_epi8(x) | (uint64_t)(uint32_t)_mm256_movemask_epi8(y) << 32)
        uint64_t odd = BITS(oa, ob);
        m->quote[i / 64] = BITS(_mm256_cmpeq_epi8(a, quotes), _mm256_cmpeq_epi8(b, quotes));
        m->space[i / 64] = BITS(_mm256_cmpeq_epi8(a, spaces), _mm256_cmpeq_epi8(b, spaces));
        m->odd[i / 64] = odd;
#undef BITS
        any |= odd;
    }
    map_words(m, p, n, i, &any);
    m->quote[n / 64] |= (uint64_t)1 << (n % 64);
    m->space[n / 64] |= (uint64_t)1 << (n % 64);
    return any != 0;
}
#endif

static bool map_make(struct map *m, const char *p, size_t n)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return map_make_avx2(m, p, n);
#endif
    return map_make_plain(m, p, n);
}

/* ---------------------------------------------------------------- searching: n when there is none */

static inline size_t next_bit(const uint64_t *bits, size_t at)
{
    size_t i = at / 64;
    uint64_t w = bits[i] & (~(uint64_t)0 << (at % 64));
    while (!w)
        w = bits[++i];
    return i * 64 + (size_t)__builtin_ctzll(w);
}

static inline size_t next_char(const struct line *l, char c, size_t at)
{
    const char *q = at < l->n ? memchr(l->p + at, c, l->n - at) : NULL;
    return q ? (size_t)(q - l->p) : l->n;
}

static inline size_t next_space(const struct line *l, bool mapped, size_t at)
{
    return mapped ? next_bit(l->map->space, at) : next_char(l, ' ', at);
}

static inline size_t next_quote(const struct line *l, bool mapped, size_t at)
{
    return mapped ? next_bit(l->map->quote, at) : next_char(l, '"', at);
}

/* The quote that ends the string begun before `from`; one behind an odd number of backslashes does not. */
static inline size_t end_quote(const struct line *l, bool mapped, size_t from)
{
    size_t q = next_quote(l, mapped, from);
    while (q < l->n && q > from && l->p[q - 1] == '\\') {
        size_t slashes = 1;
        while (q - slashes > from && l->p[q - slashes - 1] == '\\')
            slashes++;
        if (slashes % 2 == 0)
            break;
        q = next_quote(l, mapped, q + 1);
    }
    return q;
}

static bool odd_between(const struct line *l, size_t from, size_t end)
{
    if (!l->map)
        return !mr_plain(l->p + from, end - from);
    for (size_t i = from / 64; from < end && i <= (end - 1) / 64; i++) {
        uint64_t w = l->map->odd[i];
        if (i == from / 64)
            w &= ~(uint64_t)0 << (from % 64);
        if (i == (end - 1) / 64)
            w &= ~(uint64_t)0 >> (63 - (end - 1) % 64);
        if (w)
            return true;
    }
    return false;
}

/* Text without a quote in it: only odd bytes can spoil it. */
static inline struct mr_value text_between(const struct line *l, size_t from, size_t end)
{
    return mr_text_value(l->p + from, end - from, l->clean || !odd_between(l, from, end));
}

/* ---------------------------------------------------------------- parts */

static bool digits_2(const char *p, unsigned *out)
{
    unsigned a = (unsigned char)p[0] - (unsigned)'0', b = (unsigned char)p[1] - (unsigned)'0';
    *out = a * 10 + b;
    return a < 10 && b < 10;
}

static bool time_slow(struct clf *c, const char *t, mr_ns *out)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    unsigned day, century, year, hour, minute, second, zh, zm, month = 0;
    while (month < 12 && memcmp(months + (size_t)month * 3, t + 3, 3) != 0)
        month++;
    if (month == 12 || t[2] != '/' || t[6] != '/' || t[11] != ':' || t[14] != ':' || t[17] != ':' ||
        t[20] != ' ' || (t[21] != '+' && t[21] != '-'))
        return false;
    if (!digits_2(t, &day) || !digits_2(t + 7, &century) || !digits_2(t + 9, &year) ||
        !digits_2(t + 12, &hour) || !digits_2(t + 15, &minute) || !digits_2(t + 18, &second) ||
        !digits_2(t + 22, &zh) || !digits_2(t + 24, &zm) || zh > 23 || zm > 59 || second > 60)
        return false;
    int32_t offset = (int32_t)(zh * 3600 + zm * 60);
    struct mr_civil civil = {
        .year = (int32_t)(century * 100 + year),
        .month = (uint8_t)(month + 1),
        .day = (uint8_t)day,
        .hour = (uint8_t)hour,
        .minute = (uint8_t)minute,
        .offset_s = t[21] == '-' ? -offset : offset,
    };
    mr_ns ns;
    if (!mr_civil_to_ns(&civil, &ns))
        return false;
    memcpy(c->minute, t, sizeof c->minute);
    memcpy(c->zone, t + 20, sizeof c->zone);
    c->minute_ns = ns;
    c->known = true;
    *out = ns + (mr_ns)second * 1000000000;
    return true;
}

static inline bool time_read(struct clf *c, const char *t, mr_ns *out)
{
    unsigned second;
    if (c->known && memcmp(c->minute, t, sizeof c->minute) == 0 &&
        memcmp(c->zone, t + 20, sizeof c->zone) == 0 && t[17] == ':' && digits_2(t + 18, &second) &&
        second <= 60) {
        *out = c->minute_ns + (mr_ns)second * 1000000000;
        return true;
    }
    return time_slow(c, t, out);
}

/* The number at `at`, or "-", up to a blank or the end. Leaves `at` there. */
static inline bool number(const struct line *l, size_t *at, struct mr_value *out)
{
    size_t i = *at, n = l->n;
    int64_t x = 0;
    if (i < n && l->p[i] == '-') {
        out->tag = MR_MISSING;
        i++;
    } else {
        size_t from = i;
        for (unsigned d; i < n && (d = (unsigned char)l->p[i] - (unsigned)'0') < 10; i++) {
            if (__builtin_mul_overflow(x, 10, &x) || __builtin_add_overflow(x, (int64_t)d, &x))
                return false;
        }
        if (i == from)
            return false;
        *out = mr_value_int(x);
    }
    *at = i;
    return i == n || l->p[i] == ' ';
}

static bool is_method(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        if (!((unsigned)(c | 0x20) - 'a' < 26 || c == '-' || c == '_'))
            return false;
    }
    return len != 0;
}

/* "METHOD path PROTOCOL" in [from, end), or the whole as `request`. A path with blanks in it is a path when
 * HTTP/ follows. */
static inline void request(const struct line *l, bool mapped, size_t from, size_t end, struct mr_value *v)
{
    size_t a = next_space(l, mapped, from), b = a < end ? next_space(l, mapped, a + 1) : end;
    if (b < end && b > a + 1 && b + 1 < end && is_method(l->p + from, a - from)) {
        size_t c = next_space(l, mapped, b + 1);
        while (c < end) {
            b = c;
            c = next_space(l, mapped, c + 1);
            if (c >= end && !(end - b > 6 && memcmp(l->p + b + 1, "HTTP/", 5) == 0))
                b = end; /* blanks, and no protocol behind the last */
        }
        if (b + 1 < end) {
            v[METHOD] = mr_text_value(l->p + from, a - from, true);
            v[PATH] = text_between(l, a + 1, b);
            v[PROTOCOL] = text_between(l, b + 1, end);
            v[REQUEST].tag = MR_MISSING;
            return;
        }
    }
    v[METHOD].tag = v[PATH].tag = v[PROTOCOL].tag = MR_MISSING;
    v[REQUEST] = mr_text_value_of(l->p + from, end - from);
}

static inline const char *expected(size_t *at, size_t where, const char *what)
{
    *at = where;
    return what;
}

/* NULL, or what was expected at byte *at. */
static inline __attribute__((always_inline)) const char *split(struct clf *clf, const struct line *l,
                                                               bool mapped, bool combined, struct mr_value *v,
                                                               mr_ns *time, size_t *at)
{
    const char *p = l->p;
    size_t n = l->n;
    size_t a = next_space(l, mapped, 0);
    if (a == 0 || a == n)
        return expected(at, 0, "client and a blank");
    size_t b = next_space(l, mapped, a + 1);
    if (b == n || b == a + 1)
        return expected(at, a + 1, "ident and a blank");
    size_t u = b + 1, d = next_space(l, mapped, u); /* the user may hold blanks: go on to the time */
    while (!(d + 2 + TIME_LEN < n && p[d + 1] == '[' && p[d + 2 + TIME_LEN] == ']')) {
        if (d >= n)
            return expected(at, u, "user, a blank and a time such as [17/May/2015:10:05:03 +0000]");
        d = next_space(l, mapped, d + 1);
    }
    if (d == u)
        return expected(at, u, "user");
    size_t t = d + 2;
    if (!time_read(clf, p + t, time))
        return expected(at, t, "day/month/year:hour:minute:second zone");
    size_t r = t + TIME_LEN + 3; /* ] and a blank and a quote */
    if (!(r <= n && p[r - 2] == ' ' && p[r - 1] == '"'))
        return expected(at, r - 2, "a blank and the request in quotes");
    size_t q = end_quote(l, mapped, r);
    if (q == n)
        return expected(at, r, "a quote that ends the request");
    v[CLIENT] = text_between(l, 0, a);
    v[IDENT] = text_between(l, a + 1, b);
    v[USER] = text_between(l, u, d);
    if (next_quote(l, mapped, 0) < r - 1) /* a quote among these three: JSON must escape it */
        v[CLIENT].hint = v[IDENT].hint = v[USER].hint = 0;
    v[TIME] = mr_text_value(p + t, TIME_LEN, true);
    request(l, mapped, r, q, v);
    size_t s = q + 2;
    if (!(s < n && p[q + 1] == ' ' && number(l, &s, &v[STATUS]) && s < n))
        return expected(at, q + 1, "a blank, the status and a blank");
    size_t bytes = ++s;
    if (!number(l, &s, &v[BYTES]))
        return expected(at, bytes, "the number of bytes or -");
    if (combined) {
        size_t from = s + 2;
        if (!(from <= n && p[s] == ' ' && p[s + 1] == '"'))
            return expected(at, s,
                            "a blank and the referer in quotes (without referer and agent the format is "
                            "'common')");
        size_t end = end_quote(l, mapped, from);
        if (end == n)
            return expected(at, from, "a quote that ends the referer");
        v[REFERER] = text_between(l, from, end);
        from = end + 3;
        if (!(from <= n && p[end + 1] == ' ' && p[end + 2] == '"'))
            return expected(at, end + 1, "a blank and the agent in quotes");
        end = end_quote(l, mapped, from);
        if (end == n)
            return expected(at, from, "a quote that ends the agent");
        v[AGENT] = text_between(l, from, end);
        s = end + 1;
    } else {
        v[REFERER].tag = v[AGENT].tag = MR_MISSING;
    }
    v[REST].tag = MR_MISSING;
    if (s < n) {
        if (p[s] != ' ')
            return expected(at, s, "a blank or the end");
        v[REST] = mr_text_value_of(p + s + 1, n - s - 1);
    }
    return NULL;
}

static inline __attribute__((always_inline)) void decode(struct clf *clf, struct mr_batch *b, int32_t slot,
                                                         struct mr_slice into, bool combined)
{
    const uint32_t usual = combined ? REQUEST : REFERER;
    struct mr_fields f;
    struct map map;
    if (!mr_fields_begin(&f, b, slot, into, names, FIELDS, usual))
        return;
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t row = b->sel[k];
        struct mr_slice text;
        if (!mr_text_take(b, f.text, row, &text))
            continue;
        struct line l = {.p = text.p, .n = text.len};
        struct mr_value v[FIELDS];
        mr_ns time = 0;
        size_t at = 0;
        const char *wanted;
        if (text.len <= MAP_MAX) {
            l.map = &map;
            l.clean = !map_make(&map, text.p, text.len);
            wanted = split(clf, &l, true, combined, v, &time, &at);
        } else {
            wanted = split(clf, &l, false, combined, v, &time, &at);
        }
        if (wanted) {
            mr_batch_reject(b, row, "byte %zu: not an access log line; expected %s", at, wanted);
            continue;
        }
        b->time[row] = time;
        mr_fields_put(&f, row, v, usual);
    }
}

static void combined_decode(void *self, struct mr_batch *b, int32_t slot, struct mr_slice into, mr_ns now)
{
    (void)now;
    decode(self, b, slot, into, true);
}

static void common_decode(void *self, struct mr_batch *b, int32_t slot, struct mr_slice into, mr_ns now)
{
    (void)now;
    decode(self, b, slot, into, false);
}

static const struct mr_option options[] = {{0}};

#define FIELDS_DOC                                                                                           \
    "- `client`, `ident`, `user`, `time`: text as it stands, `-` included. A user may hold blanks.\n"        \
    "- `method`, `path`, `protocol`: the three words of the request. A path may hold blanks when `HTTP/` "   \
    "follows it.\n"                                                                                          \
    "- `request`: the whole request, in place of those three, when it is not of that form (`-`, the bytes "  \
    "of a TLS handshake, an HTTP/0.9 request).\n"                                                            \
    "- `status`, `bytes`: integers. For `-` the field is left out, so that sums skip it.\n"
#define REST_DOC                                                                                             \
    "- `rest`: what follows, when something does (times, an upstream), as one text.\n"                       \
    "\n"                                                                                                     \
    "The event time is `time` with its offset. `\\\"` does not end a quoted text; escapes stay as they "     \
    "were "                                                                                                  \
    "written. Rejected, with the byte and what was expected there: everything else, a number beyond 64 "     \
    "bits "                                                                                                  \
    "included.\n"                                                                                            \
    "\n"

const struct mr_format mr_format_combined = {
    .name = "combined",
    .summary = "The access log of Apache and nginx with referer and agent.",
    .doc =
        "Fields:\n"
        "\n" FIELDS_DOC "- `referer`, `agent`: text without its quotes, `-` included.\n" REST_DOC "```\n"
        "in   192.0.2.7 - ann [17/May/2015:10:05:03 +0000] \"GET /a HTTP/1.1\" 200 512 \"-\" \"curl/7.88\"\n"
        "out  {\"client\":\"192.0.2.7\",\"ident\":\"-\",\"user\":\"ann\",\"time\":\"17/May/2015:10:05:03 "
        "+0000\","
        "\"method\":\"GET\",\"path\":\"/a\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes\":512,"
        "\"referer\":\"-\",\"agent\":\"curl/7.88\"}\n"
        "```\n",
    .options = options,
    .self_size = sizeof(struct clf),
    .decode = combined_decode,
};

const struct mr_format mr_format_common = {
    .name = "common",
    .summary = "The access log of Apache and nginx without referer and agent.",
    .doc = "Fields:\n"
           "\n" FIELDS_DOC REST_DOC "```\n"
           "in   192.0.2.7 - - [17/May/2015:10:05:03 +0000] \"GET /a HTTP/1.1\" 304 -\n"
           "out  {\"client\":\"192.0.2.7\",\"ident\":\"-\",\"user\":\"-\",\"time\":\"17/May/2015:10:05:03 "
           "+0000\","
           "\"method\":\"GET\",\"path\":\"/a\",\"protocol\":\"HTTP/1.1\",\"status\":304}\n"
           "```\n",
    .options = options,
    .self_size = sizeof(struct clf),
    .decode = common_decode,
};
