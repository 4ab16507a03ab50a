/* types.h - the words that everything shares: slices, codes, errors, arenas, values.
 *
 * Part of the public ABI: it includes libc alone, and every function in it is `static inline`,
 * so that a plugin links against nothing of ours.
 *
 * Four words tell who owns a pointer, here and in every docstring:
 *   borrow  for the length of the call, no longer
 *   copy    the callee makes its own
 *   move    the callee owns it from here on
 *   arena   lives until the arena (of a batch, of a request) is given back
 */
#ifndef MILLRACE_TYPES_H
#define MILLRACE_TYPES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Bytes that somebody else owns. Never NUL-terminated by contract. `p` may be NULL when `len` is 0. */
struct mr_slice {
    const char *p;
    size_t len; /* bytes */
};

#define MR_SLICE(literal) ((struct mr_slice){(literal), sizeof(literal) - 1})
#define MR_SLICE_ARG(s)   (int)(s).len, ((s).p ? (s).p : "") /* for "%.*s" */

static inline struct mr_slice mr_slice_of(const char *text)
{
    return (struct mr_slice){text, text ? strlen(text) : 0};
}

static inline bool mr_slice_eq(struct mr_slice a, struct mr_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

typedef int64_t mr_ms; /* milliseconds */
typedef int64_t mr_ns; /* nanoseconds; as a point in time: since 1970-01-01T00:00:00Z */

#define MR_NEVER     INT64_MAX /* a deadline that does not come */
#define MR_TIME_NONE INT64_MIN /* an event that has no event time yet */

/* What a call answers. Numbers are for ever; add at the end.   name, number, text */
#define MR_CODES(X)                                                                                          \
    X(MR_OK, 0, "no error")                                                                                  \
    X(MR_END, 1, "nothing further here")                                                                     \
    X(MR_AGAIN, 2, "nothing now; a wake-up will follow")                                                     \
    X(MR_PENDING, 3, "accepted; the answer will follow")                                                     \
    X(MR_BADCONF, 4, "configuration not valid")                                                              \
    X(MR_BADDATA, 5, "input not valid")                                                                      \
    X(MR_CORRUPT, 6, "stored data is damaged")                                                               \
    X(MR_LIMIT, 7, "a named limit was reached")                                                              \
    X(MR_IO, 8, "the operating system refused")                                                              \
    X(MR_NOSPACE, 9, "no space left on the disk")                                                            \
    X(MR_NOTFOUND, 10, "not found")                                                                          \
    X(MR_EXISTS, 11, "exists already")                                                                       \
    X(MR_RANGE, 12, "outside of what is there")                                                              \
    X(MR_BADABI, 13, "built for another ABI")                                                                \
    X(MR_MEMORY, 14, "no memory left")                                                                       \
    X(MR_TIMEOUT, 15, "took too long")                                                                       \
    X(MR_GONE, 16, "the peer is gone; reconnect")                                                            \
    X(MR_FENCED, 17, "somebody newer has taken over")                                                        \
    X(MR_UNSUPPORTED, 18, "not supported")                                                                   \
    X(MR_CANCELLED, 19, "stopped before it was done")

typedef enum {
#define MR_CODE_(name, number, text) name = number,
    MR_CODES(MR_CODE_)
#undef MR_CODE_
} mr_code;

static inline const char *mr_code_text(mr_code code)
{
    switch (code) {
#define MR_CODE_(name, number, text)                                                                         \
    case name:                                                                                               \
        return text;
        MR_CODES(MR_CODE_)
#undef MR_CODE_
    }
    return "unknown code";
}

/* The story of a failed call, told into memory of the caller. A message is lower case, quotes its
 * subject, and says where, what, and what to do. mr_fail starts the story, mr_wrap puts the outer
 * circumstance in front of it ("cannot load pipeline 'x': ..."). Too long a story is cut, never overrun.
 */
enum { MR_ERR_TEXT = 512 };
struct mr_err {
    mr_code code;
    int sys;            /* errno of the operating system, 0 when none */
    const char *option; /* from `check` and `open`: the option at fault, NULL when none; [static] */
    uint32_t at;        /* bytes into that option's text where the caret belongs */
    char text[MR_ERR_TEXT];
};

static inline void mr_err_clear(struct mr_err *err)
{
    if (err) {
        err->code = MR_OK;
        err->sys = 0;
        err->option = NULL;
        err->at = 0;
        err->text[0] = '\0';
    }
}

static inline mr_code mr_vfail(struct mr_err *err, mr_code code, const char *format, va_list args)
{
    if (err) {
        mr_err_clear(err);
        err->code = code;
        (void)vsnprintf(err->text, sizeof err->text, format, args);
    }
    return code;
}

/* Returns `code`, so that a failing call ends in `return mr_fail(...)`. `err` may be NULL. */
__attribute__((format(printf, 3, 4))) static inline mr_code mr_fail(struct mr_err *err, mr_code code,
                                                                    const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)mr_vfail(err, code, format, args);
    va_end(args);
    return code;
}
#ifdef __clang_analyzer__ /* does not look into a function with `...`: what it returns is said once more */
#define mr_fail(err, code, ...) ((void)(mr_fail)((err), (code), __VA_ARGS__), (code))
#endif

__attribute__((format(printf, 2, 3))) static inline void mr_wrap(struct mr_err *err, const char *format, ...)
{
    if (!err)
        return;
    char outer[MR_ERR_TEXT];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(outer, sizeof outer, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof outer - 2)
        return;
    size_t have = strlen(err->text), room = sizeof err->text - (size_t)n - 3;
    if (have > room)
        have = room;
    memmove(err->text + n + 2, err->text, have);
    memcpy(err->text, outer, (size_t)n);
    memcpy(err->text + n, ": ", 2);
    err->text[(size_t)n + 2 + have] = '\0';
}

/* Memory that is given back whole. `more` is the owner's slow path: it makes room for `bytes`, or
 * returns NULL when the arena's limit is reached (a limit with a name: see the owner).
 * Thread: one at a time. Cost: an addition.
 */
struct mr_arena {
    char *at, *end;
    void *(*more)(struct mr_arena *a, size_t bytes); /* aligned to 16 */
};

static inline void *mr_arena_take(struct mr_arena *a, size_t bytes) /* aligned to 16; NULL: limit */
{
    size_t want = (bytes + 15) & ~(size_t)15;
    if (want >= bytes && (size_t)(a->end - a->at) >= want) {
        void *p = a->at;
        a->at += want;
        return p;
    }
    return a->more(a, bytes);
}

static inline struct mr_slice mr_slice_copy(struct mr_arena *a, struct mr_slice s) /* p NULL: limit */
{
    char *p = (char *)mr_arena_take(a, s.len ? s.len : 1);
    if (!p)
        return (struct mr_slice){NULL, 0};
    if (s.len)
        memcpy(p, s.p, s.len);
    return (struct mr_slice){p, s.len};
}

/* A value of one field of one event: 16 bytes. Strings, lists and objects are views into memory that
 * the batch keeps alive. MR_JSON is text that has been checked but not yet decoded: `hint` says what
 * it will be (MR_STRING with escapes, MR_INT or MR_FLOAT for a number, MR_LIST, MR_OBJECT). Readers
 * call `resolve` (see plugin.h); writers of JSON copy the text, so that what nobody touched leaves
 * exactly as it came.
 */
enum mr_tag {
    MR_MISSING = 0, /* the event has no such field (Lua: nil) */
    MR_NULL,        /* JSON null */
    MR_BOOL,        /* u.b */
    MR_INT,         /* u.i, 64 bits */
    MR_FLOAT,       /* u.f */
    MR_TIME,        /* u.i, nanoseconds since 1970 */
    MR_STRING,      /* u.s, len bytes: text; UTF-8 is expected, not guaranteed: writers check */
    MR_BYTES,       /* u.s, len bytes: not text */
    MR_LIST,        /* u.list, len items */
    MR_OBJECT,      /* u.object, len members, in order, no name twice */
    MR_JSON         /* u.s, len bytes of valid JSON text; hint is the tag it decodes to */
};

enum { MR_HINT_PLAIN = 1 }; /* of MR_STRING: valid UTF-8 with nothing in it that JSON must escape */

struct mr_member;
struct mr_value {
    uint8_t tag;  /* enum mr_tag */
    uint8_t hint; /* MR_STRING: 0 or MR_HINT_PLAIN; MR_JSON: enum mr_tag; else 0 */
    uint16_t spare;
    uint32_t len;
    union {
        bool b;
        int64_t i;
        double f;
        const char *s;
        struct mr_value *list;
        struct mr_member *object;
    } u;
};

struct mr_member {
    const char *name;
    uint32_t name_len;
    uint32_t spare;
    struct mr_value v;
};

static inline struct mr_value mr_value_int(int64_t i)
{
    return (struct mr_value){.tag = MR_INT, .u.i = i};
}
static inline struct mr_value mr_value_float(double f)
{
    return (struct mr_value){.tag = MR_FLOAT, .u.f = f};
}
static inline struct mr_value mr_value_bool(bool b)
{
    return (struct mr_value){.tag = MR_BOOL, .u.b = b};
}
static inline struct mr_value mr_value_string(struct mr_slice s) /* [borrow] the bytes; at most 4 GiB */
{
    return (struct mr_value){.tag = MR_STRING, .len = (uint32_t)s.len, .u.s = s.p};
}
static inline struct mr_slice mr_value_text(const struct mr_value *v) /* of STRING, BYTES, JSON */
{
    return (struct mr_slice){v->u.s, v->len};
}

#endif
