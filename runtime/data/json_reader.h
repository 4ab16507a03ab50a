/* json_reader.h - the reader proper; compiled once for each kind of processor, see json_kernel.h.
 *
 * One pass over the text. Nothing is decoded: a value is its place in the text and what it will be. Nested
 * values are checked by a loop with a stack of bits, so depth costs no stack of ours. Names are guessed: what
 * followed the last time is compared as text (`"name":`), and only a wrong guess is read and looked up.
 */
#include "data/batch_inside.h"
#include "data/json.h"
#include "data/json_kernel.h"
#include "data/json_scan.h"

#define RARE(x) __builtin_expect(!!(x), 0)

struct reader {
    const char *begin, *end;
    struct mr_json_fault *fault;
    struct mr_batch *b; /* NULL: no shapes */
    bool lines;
    bool unique; /* as far as is known: no name twice in one object */
};

static __attribute__((noinline, cold)) const char *broken(struct reader *r, const char *at, const char *why)
{
    r->fault->at = at;
    r->fault->why = why;
    return NULL;
}

static inline char peek(const struct reader *r, const char *p)
{
    return p < r->end ? *p : '\0'; /* a NUL is nowhere right outside of strings */
}

static __attribute__((noinline)) const char *blanks(struct reader *r, const char *p)
{
    for (; p < r->end; p++) {
        if (*p == '\n' || *p == '\r')
            r->lines = true;
        else if (*p != ' ' && *p != '\t')
            break;
    }
    return p;
}

static inline const char *skip_blanks(struct reader *r, const char *p)
{
    if (p >= r->end || (unsigned char)*p > ' ')
        return p;
    if (*p == ' ' && r->end - p > 1 && (unsigned char)p[1] > ' ') /* one, as many writers put it */
        return p + 1;
    return blanks(r, p);
}

static int hex4(const char *p)
{
    int code = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        code = code * 16 + d;
    }
    return code;
}

static const char *escape(struct reader *r, const char *p)
{
    char c = p + 1 < r->end ? p[1] : '\0';
    if (c == '"' || c == '\\' || c == '/' || c == 'b' || c == 'f' || c == 'n' || c == 'r' || c == 't')
        return p + 2;
    if (c != 'u')
        return broken(r, p, "there is no such escape");
    int code = r->end - p >= 6 ? hex4(p + 2) : -1;
    if (code < 0)
        return broken(r, p, "\\u needs four hexadecimal digits");
    if (code >= 0xdc00 && code <= 0xdfff)
        return broken(r, p, "a low surrogate without the high one before it");
    if (code < 0xd800 || code > 0xdfff)
        return p + 6;
    int low = r->end - p >= 12 && p[6] == '\\' && p[7] == 'u' ? hex4(p + 8) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return broken(r, p, "a high surrogate without the low one after it");
    return p + 12;
}

static const char *utf8(struct reader *r, const char *from)
{
    const unsigned char *p = (const unsigned char *)from, *end = (const unsigned char *)r->end;
    while (p < end && *p >= 0x80) {
        unsigned c = *p;
        unsigned n = c >= 0xc2 && c <= 0xdf ? 1 : c >= 0xe0 && c <= 0xef ? 2 : c >= 0xf0 && c <= 0xf4 ? 3 : 0;
        if (n == 0 || (size_t)(end - p) <= n)
            return broken(r, (const char *)p, "not valid UTF-8");
        unsigned low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        unsigned high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (p[1] < low || p[1] > high || (n > 1 && (p[2] & 0xc0) != 0x80) || (n > 2 && (p[3] & 0xc0) != 0x80))
            return broken(r, (const char *)p, "not valid UTF-8");
        p += n + 1;
    }
    return (const char *)p;
}

static __attribute__((noinline)) const char *odd(struct reader *r, const char *p, bool *escaped)
{
    if (p >= r->end)
        return broken(r, p, "the text ends inside a string");
    if (*p == '\\') {
        *escaped = true;
        return escape(r, p);
    }
    if ((unsigned char)*p < ' ')
        return broken(r, p, "a control character in a string must be escaped");
    return utf8(r, p);
}

/* p: behind the opening quote. Returns the closing one. */
static inline const char *string(struct reader *r, const char *p, bool *escaped)
{
    for (;;) {
        p = next_stop(r->begin, p, r->end);
        if (p < r->end && *p == '"')
            return p;
        if ((p = odd(r, p, escaped)) == NULL)
            return NULL;
    }
}

static inline bool digit(char c)
{
    return (unsigned char)(c - '0') < 10;
}

/* Does the number [p, p + len), digits with a minus perhaps, fit into 64 bits? */
static bool fits(const char *p, size_t len)
{
    const char *limit = *p == '-' ? "9223372036854775808" : "9223372036854775807";
    if (*p == '-') {
        p++;
        len--;
    }
    return len < 19 || (len == 19 && memcmp(p, limit, 19) <= 0);
}

/* Returns the end of the number. *hint: MR_INT, or MR_FLOAT for whatever 64 bits do not hold exactly as an
 * integer: a fraction, an exponent, 20 digits, and -0, whose sign an integer would lose. */
static inline const char *number(struct reader *r, const char *p, uint8_t *hint)
{
    const char *from = p;
    if (*p == '-')
        p++;
    char c = peek(r, p);
    if (c == '0')
        p++;
    else if (digit(c))
        while (digit(peek(r, p)))
            p++;
    else
        return broken(r, p, p == from ? "a value was expected" : "a digit was expected");
    *hint = MR_INT;
    c = peek(r, p);
    if (c == '.') {
        *hint = MR_FLOAT;
        if (!digit(peek(r, ++p)))
            return broken(r, p, "a digit was expected after the point");
        while (digit(c = peek(r, p)))
            p++;
    }
    if (c == 'e' || c == 'E') {
        *hint = MR_FLOAT;
        c = peek(r, ++p);
        if (c == '+' || c == '-')
            p++;
        if (!digit(peek(r, p)))
            return broken(r, p, "a digit was expected in the exponent");
        while (digit(peek(r, p)))
            p++;
    }
    if (*hint == MR_INT && RARE(p - from > 18 || (*from == '-' && from[1] == '0')) &&
        (from[1] == '0' || !fits(from, (size_t)(p - from))))
        *hint = MR_FLOAT;
    return p;
}

static inline const char *literal(struct reader *r, const char *p, const char *word, size_t len)
{
    if ((size_t)(r->end - p) < len || memcmp(p, word, len) != 0)
        return broken(r, p, "a value was expected");
    return p + len;
}

/* The member's name at p, not a guess: returns the place behind the colon. quoted: the whole of `"name":`,
 * len 0 when it is not written in that one form. */
static const char *name_read(struct reader *r, const char *p, struct mr_slice *name, bool *escaped,
                             struct mr_slice *quoted)
{
    if (peek(r, p) != '"')
        return broken(r, p, "a name in quotes was expected");
    const char *q = string(r, p + 1, escaped);
    if (!q)
        return NULL;
    *name = (struct mr_slice){p + 1, (size_t)(q - p - 1)};
    const char *colon = skip_blanks(r, ++q);
    if (peek(r, colon) != ':')
        return broken(r, colon, "':' was expected");
    *quoted = (struct mr_slice){p, !*escaped && colon == q ? (size_t)(colon + 1 - p) : 0};
    return colon + 1;
}

/* Follows the guesses from *link on. A few may be passed over: members that are missing this time. */
static inline struct mr_shape *guess(const struct reader *r, const char *p, struct mr_shape *s)
{
    for (int tries = 0; s && tries < 3; s = s->next, tries++)
        if (same_text(p, r->end, s->quoted, s->len))
            return s;
    return NULL;
}

/* head: where the guesses of this object begin; *link is the one that was wrong. The guesses from the head on
 * are names that differ, unless marked as twins: so an object whose names were all guessed has no name twice.
 */
static const char *nested_name(struct reader *r, const char *p, struct mr_shape *const *head,
                               struct mr_shape **link, struct mr_shape **out)
{
    struct mr_slice name, quoted;
    bool escaped = false;
    p = name_read(r, p, &name, &escaped, &quoted);
    *out = NULL;
    if (p && link && quoted.len && (*out = mr_batch_shape_nested(r->b, quoted.p, quoted.len)) != NULL) {
        *link = NULL;
        for (const struct mr_shape *s = *head; s; s = s->next)
            (*out)->twin |= s->len == quoted.len && memcmp(s->quoted, quoted.p, quoted.len) == 0;
        *link = *out;
    }
    return p;
}

/* A list or object, p at its bracket; `depth` containers are around it. child: guesses of the names inside,
 * or NULL. Returns the place behind the closing bracket. */
static const char *container(struct reader *r, const char *p, int depth, struct mr_shape **child)
{
    uint64_t is_object[MR_JSON_DEPTH_MAX / 64] = {0}; /* by depth */
    struct mr_shape **links[MR_JSON_DEPTH_MAX];       /* by depth: the guess to go on with after the inner */
    struct mr_shape **heads[MR_JSON_DEPTH_MAX];       /* by depth: where the guesses of an object begin */
    struct mr_shape **link = child;
    int base = depth;
    bool object;

open:
    if (RARE(depth >= MR_JSON_DEPTH_MAX))
        return broken(r, p, "nested deeper than 128 levels");
    object = *p == '{';
    links[depth] = link;
    link = heads[depth] = child;
    if (object)
        is_object[depth >> 6] |= (uint64_t)1 << (depth & 63);
    else
        is_object[depth >> 6] &= ~((uint64_t)1 << (depth & 63));
    depth++;
    p = skip_blanks(r, p + 1);
    if (peek(r, p) == (object ? '}' : ']'))
        goto close;
item:
    child = link; /* of a list: all its objects are alike */
    if (object) {
        struct mr_shape *s = link ? guess(r, p, *link) : NULL;
        if (s)
            p += s->len;
        else if ((p = nested_name(r, p, heads[depth - 1], link, &s)) == NULL)
            return NULL;
        r->unique &= s && !s->twin;
        link = s ? &s->next : NULL;
        child = s ? &s->child : NULL;
        p = skip_blanks(r, p);
    }
    switch (peek(r, p)) {
    case '"': {
        bool escaped;
        if ((p = string(r, p + 1, &escaped)) == NULL)
            return NULL;
        p++;
        break;
    }
    case '{':
    case '[':
        goto open;
    case 't':
        p = literal(r, p, "true", 4);
        break;
    case 'f':
        p = literal(r, p, "false", 5);
        break;
    case 'n':
        p = literal(r, p, "null", 4);
        break;
    default: {
        uint8_t hint;
        if (p >= r->end)
            return broken(r, p, "the text ends where a value was expected");
        p = number(r, p, &hint);
    }
    }
    if (!p)
        return NULL;
after:
    p = skip_blanks(r, p);
    switch (peek(r, p)) {
    case ',':
        p = skip_blanks(r, p + 1);
        goto item;
    case '}':
        if (!object)
            return broken(r, p, "',' or ']' was expected");
        goto close;
    case ']':
        if (object)
            return broken(r, p, "',' or '}' was expected");
        goto close;
    default:
        return broken(r, p, object ? "',' or '}' was expected" : "',' or ']' was expected");
    }
close:
    p++;
    depth--;
    if (depth == base)
        return p;
    link = links[depth];
    object = is_object[(depth - 1) >> 6] >> ((depth - 1) & 63) & 1;
    goto after;
}

/* Any value at p, into *v. Returns the place behind it. */
static inline const char *value(struct reader *r, const char *p, int depth, struct mr_shape **child,
                                struct mr_value *v)
{
    const char *from = p;
    switch (peek(r, p)) {
    case '"': {
        bool escaped = false;
        if ((p = string(r, p + 1, &escaped)) == NULL)
            return NULL;
        if (RARE(escaped))
            *v = (struct mr_value){
                .tag = MR_JSON, .hint = MR_STRING, .len = (uint32_t)(p + 1 - from), .u.s = from};
        else
            *v = (struct mr_value){
                .tag = MR_STRING, .hint = MR_HINT_PLAIN, .len = (uint32_t)(p - from - 1), .u.s = from + 1};
        return p + 1;
    }
    case '{':
    case '[': {
        bool lines = r->lines;
        r->lines = false;
        r->unique = true;
        if ((p = container(r, p, depth, child)) == NULL)
            return NULL;
        *v = (struct mr_value){
            .tag = MR_JSON,
            .hint = *from == '{' ? MR_OBJECT : MR_LIST,
            .spare = (uint16_t)((r->lines ? MR_JSON_LINES : 0) | (r->unique ? MR_JSON_UNIQUE : 0)),
            .len = (uint32_t)(p - from),
            .u.s = from};
        r->lines |= lines;
        return p;
    }
    case 't':
        *v = (struct mr_value){.tag = MR_BOOL, .u.b = true};
        return literal(r, p, "true", 4);
    case 'f':
        *v = (struct mr_value){.tag = MR_BOOL, .u.b = false};
        return literal(r, p, "false", 5);
    case 'n':
        *v = (struct mr_value){.tag = MR_NULL};
        return literal(r, p, "null", 4);
    default: {
        uint8_t hint;
        if (p >= r->end)
            return broken(r, p, "the text ends where a value was expected");
        if ((p = number(r, p, &hint)) == NULL)
            return NULL;
        *v = (struct mr_value){.tag = MR_JSON, .hint = hint, .len = (uint32_t)(p - from), .u.s = from};
        return p;
    }
    }
}

/* Past a byte order mark and blanks; false: too long a text. */
static const char *beginning(struct reader *r, struct mr_slice text)
{
    const char *p = text.p ? text.p : "";
    r->begin = p;
    r->end = p + text.len;
    if (text.len >= UINT32_MAX / 2)
        return broken(r, p, "longer than 2 GiB");
    if (text.len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
        p += 3;
    p = skip_blanks(r, p);
    r->lines = false;
    return p;
}

static bool read(struct mr_slice text, struct mr_value *out, struct mr_json_fault *f)
{
    struct reader r = {.fault = f};
    const char *p = beginning(&r, text);
    struct mr_value v;
    if (!p || (p = value(&r, p, 0, NULL, &v)) == NULL)
        return false;
    p = skip_blanks(&r, p);
    if (p != r.end)
        return broken(&r, p, "the text goes on after the value") != NULL;
    *out = v;
    return true;
}

/* The slot of a name that was not guessed. */
static __attribute__((noinline)) const char *column_name(struct reader *r, const char *p,
                                                         struct mr_shape **link, struct mr_shape **out)
{
    struct mr_slice name, quoted;
    bool escaped = false;
    const char *at = p;
    p = name_read(r, p, &name, &escaped, &quoted);
    if (!p)
        return NULL;
    if (escaped) {
        struct mr_value text = {.tag = MR_JSON, .hint = MR_STRING, .len = (uint32_t)name.len + 2, .u.s = at};
        struct mr_value plain;
        if (!mr_json_resolve(r->b->arena, &text, &plain)) {
            r->fault->limit = true;
            return broken(r, at, "'batch_bytes' was reached");
        }
        name = mr_value_text(&plain);
    }
    int32_t slot = mr_batch_slot(r->b, name.p, name.len, true);
    if (slot < 0) {
        r->fault->limit = true;
        return broken(r, at,
                      r->b->columns >= MR_BATCH_COLUMNS_MAX
                          ? "more than 1024 different field names in one batch"
                          : "'batch_bytes' was reached");
    }
    *out = mr_batch_more_of(r->b)->shape[slot];
    if (*out != *link)
        *link = *out;
    return p;
}

/* undo: of a text that has turned out to be broken, take the members before the fault away again. */
static bool members(struct mr_batch *b, uint32_t row, struct mr_slice text, struct mr_slice *body,
                    bool *lines, struct mr_json_fault *f, bool undo)
{
    struct reader r = {.fault = f, .b = b};
    struct mr_shape **link = &mr_batch_more_of(b)->first;
    const char *p = beginning(&r, text), *from = p;
    int32_t slot = -1;
    bool dense = true, rising = true;
    if (!p)
        return false;
    if (peek(&r, p) != '{')
        return broken(&r, p, "an object was expected") != NULL;
    p = skip_blanks(&r, p + 1);
    if (peek(&r, p) == '}')
        goto end;
    for (;;) {
        struct mr_shape *s = guess(&r, p, *link);
        if (s)
            p += s->len;
        else if ((p = column_name(&r, p, link, &s)) == NULL)
            return false;
        struct mr_column *c = &b->column[s->slot];
        dense &= s->slot == slot + 1;
        rising &= s->slot > slot;
        slot = s->slot;
        if (RARE(c->removed))
            mr_batch_revive(b, (uint32_t)s->slot);
        p = skip_blanks(&r, p);
        p = value(&r, p, 1, &s->child, &c->v[row]);
        if (RARE(undo))
            c->v[row] = (struct mr_value){0};
        if (!p)
            return false;
        p = skip_blanks(&r, p);
        char ch = peek(&r, p);
        if (ch == ',')
            p = skip_blanks(&r, p + 1);
        else if (ch == '}')
            break;
        else
            return broken(&r, p, "',' or '}' was expected") != NULL;
        link = &s->next;
    }
end:
    p++;
    *body = (struct mr_slice){from, (size_t)(p - from)};
    mr_batch_more_of(b)->order[row] = (uint16_t)(dense    ? slot + 1
                                                 : rising ? (int32_t)MR_ORDER_RISING
                                                          : (int32_t)MR_ORDER_OTHER);
    *lines = r.lines;
    p = skip_blanks(&r, p);
    if (p != r.end)
        return broken(&r, p, "the text goes on after the object") != NULL;
    return true;
}

static bool read_row(struct mr_batch *b, uint32_t row, struct mr_slice text, struct mr_slice *body,
                     bool *lines, struct mr_json_fault *f)
{
    return members(b, row, text, body, lines, f, false);
}

static void forget(struct mr_batch *b, uint32_t row, struct mr_slice text)
{
    struct mr_json_fault f;
    struct mr_slice body;
    bool lines;
    (void)members(b, row, text, &body, &lines, &f, true);
}

static size_t plain(const char *p, size_t len)
{
    return (size_t)(next_stop(p, p, p + len) - p);
}

/* The closing quote of checked text; p behind the opening one. */
static inline const char *skip_string(const char *begin, const char *p, const char *end)
{
    for (;;) {
        while (end - p >= WIDTH) {
            uint32_t mask = either(p, '"', '\\', '"');
            if (mask) {
                p += __builtin_ctz(mask);
                goto found;
            }
            p += WIDTH;
        }
        while (*p != '"' && *p != '\\')
            p++;
    found:
        if (*p == '"')
            return p;
        p += 2;
    }
    (void)begin;
}

static inline const char *skip_value(const char *p, const char *end)
{
    const char *begin = p;
    int depth = 0;
    switch (*p) {
    case '"':
        return skip_string(begin, p + 1, end) + 1;
    case '{':
    case '[': {
        char open = *p, shut = open == '{' ? '}' : ']';
        for (;;) {
            while (end - p >= WIDTH) {
                uint32_t mask = either(p, open, shut, '"');
                if (mask) {
                    p += __builtin_ctz(mask);
                    goto found;
                }
                p += WIDTH;
            }
            while (*p != open && *p != shut && *p != '"')
                p++;
        found:
            if (*p == '"')
                p = skip_string(begin, p + 1, end);
            else if (*p == open)
                depth++;
            else if (--depth == 0)
                return p + 1;
            p++;
        }
    }
    default:
        while (p < end && *p != ',' && *p != '}' && *p != ']' && (unsigned char)*p > ' ')
            p++;
        return p;
    }
}

static const char *skip(const char *p, const char *end)
{
    return skip_value(p, end);
}

static inline const char *skip_checked_blanks(const char *p)
{
    while (RARE((unsigned char)*p <= ' '))
        p++;
    return p;
}

static const char *member(const char *p, const char *end, const char *name, size_t len, bool unique)
{
    const char *found = NULL;
    p = skip_checked_blanks(p + 1);
    while (*p != '}') {
        const char *q;
        bool same = (size_t)(end - p) > len + 1 && p[len + 1] == '"' && memcmp(p + 1, name, len) == 0 &&
                    !memchr(name, '"', len) && !memchr(name, '\\', len);
        if (same) {
            q = p + len + 1;
        } else {
            q = skip_string(p, p + 1, end);
            same = mr_json_name_is(p + 1, q, name, len);
        }
        p = skip_checked_blanks(skip_checked_blanks(q + 1) + 1);
        if (same) {
            found = p;
            if (unique)
                break;
        }
        p = skip_checked_blanks(skip_value(p, end));
        if (*p == ',')
            p = skip_checked_blanks(p + 1);
    }
    return found;
}
