/* expr_parse.c - text to tree: Lua 5.4's expressions, with the byte of whatever is wrong.
 *
 * What cannot be evaluated natively but is Lua (other calls, tables, functions, bits) makes the whole
 * expression one for Lua. Constants are folded on the way, by the same operators that rows meet.
 */
#include "data/expr_inside.h"

#include "base/mem.h"
#include "base/text.h"

#include <stdlib.h>

enum token {
    T_END,
    T_NAME,
    T_NUMBER,
    T_STRING,
    T_AND,
    T_OR,
    T_NOT,
    T_NIL,
    T_TRUE,
    T_FALSE,
    T_FUNCTION,
    T_WORD, /* any other word that is Lua's own */
    T_EQ,   /* == */
    T_NE,   /* ~= */
    T_LE,
    T_GE,
    T_IDIV,   /* // */
    T_CONCAT, /* .. */
    T_DOTS,   /* ... */
    T_SHL,
    T_SHR,
    T_CHAR /* a character of its own: `ch` */
};

struct lexer {
    const char *text, *p, *end;
    struct mr_xtree *tree;
    struct mr_err *err;
    enum token token;
    char ch;
    uint32_t at;           /* of the token */
    uint32_t to;           /* behind it */
    struct mr_slice name;  /* T_NAME */
    struct mr_value value; /* T_NUMBER, T_STRING */
    int depth;
    bool lua; /* something in it is for Lua */
    mr_code code;
};

static bool fail_at(struct lexer *x, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));

static bool fail_at(struct lexer *x, size_t at, const char *format, ...)
{
    char why[256];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(why, sizeof why, format, args);
    va_end(args);
    if (x->code)
        return false; /* the first tale counts */
    x->code = mr_fail(x->err, MR_BADCONF, "expression: byte %zu: %s", at, why);
    if (x->err)
        x->err->at = (uint32_t)at;
    return false;
}

static bool no_memory(struct lexer *x)
{
    if (!x->code)
        x->code = mr_fail(x->err, MR_MEMORY, "expression: no memory");
    return false;
}

/* Stops here: the rest is Lua's to read. */
static bool for_lua(struct lexer *x)
{
    if (!x->code)
        x->code = MR_UNSUPPORTED;
    return false;
}

/* ---------------------------------------------------------------- tokens */

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9');
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static char look(const struct lexer *x, size_t ahead)
{
    return (size_t)(x->end - x->p) > ahead ? x->p[ahead] : '\0';
}

/* The level of a long bracket that opens at p, "[==[": -1 when none does. */
static int long_bracket(const char *p, const char *end)
{
    int level = 0;
    if (p >= end || *p != '[')
        return -1;
    for (p++; p < end && *p == '='; p++)
        level++;
    return p < end && *p == '[' ? level : -1;
}

/* Past the long bracket at x->p; *inside: what it holds. */
static bool read_long(struct lexer *x, int level, struct mr_slice *inside)
{
    const char *from = x->p + level + 2;
    for (const char *p = from; p < x->end; p++) {
        if (*p != ']' || x->end - p < level + 2 || p[level + 1] != ']')
            continue;
        int i = 1;
        while (i <= level && p[i] == '=')
            i++;
        if (i <= level)
            continue;
        *inside = (struct mr_slice){from, (size_t)(p - from)};
        x->p = p + level + 2;
        return true;
    }
    return fail_at(x, (size_t)(x->p - x->text), "a long bracket that is not closed");
}

static bool skip_blanks(struct lexer *x)
{
    for (;;) {
        while (x->p < x->end && (*x->p == ' ' || (*x->p >= '\t' && *x->p <= '\r')))
            x->p++;
        if (look(x, 0) != '-' || look(x, 1) != '-')
            return true;
        x->p += 2; /* a comment */
        int level = long_bracket(x->p, x->end);
        struct mr_slice inside;
        if (level >= 0) {
            if (!read_long(x, level, &inside))
                return false;
        } else {
            while (x->p < x->end && *x->p != '\n')
                x->p++;
        }
    }
}

static bool plain_text(const char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)p[i] < ' ' || p[i] == '"' || p[i] == '\\')
            return false;
    return mr_utf8_valid(p, len);
}

static bool keep_string(struct lexer *x, const char *p, size_t len)
{
    struct mr_slice s = mr_slice_copy(&x->tree->arena.arena, (struct mr_slice){p, len});
    if (!s.p)
        return no_memory(x);
    x->value = mr_value_string(s);
    x->value.hint = plain_text(p, len) ? MR_HINT_PLAIN : 0;
    x->token = T_STRING;
    return true;
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static size_t put_utf8(uint64_t code, char *out) /* Lua's: up to 2^31 */
{
    char reversed[8];
    size_t n = 0;
    uint64_t first = 0x3f; /* most that fits into the first byte */
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    do {
        reversed[n++] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
        first >>= 1;
    } while (code > first);
    reversed[n++] = (char)((~first << 1) | code);
    for (size_t i = 0; i < n; i++)
        out[i] = reversed[n - 1 - i];
    return n;
}

/* The escape at x->p (the backslash), appended to out. */
static bool read_escape(struct lexer *x, char *out, size_t *n)
{
    static const char names[] = "abfnrtv\\\"'\n", bytes[] = "\a\b\f\n\r\t\v\\\"'\n";
    size_t at = (size_t)(x->p - x->text);
    char c = look(x, 1);
    const char *simple = c ? strchr(names, c) : NULL;
    if (simple) {
        out[(*n)++] = bytes[simple - names];
        x->p += 2;
        return true;
    }
    if (c == 'x') {
        int high = hex(look(x, 2)), low = hex(look(x, 3));
        if (high < 0 || low < 0)
            return fail_at(x, at, "\\x needs two hexadecimal digits");
        out[(*n)++] = (char)(high * 16 + low);
        x->p += 4;
        return true;
    }
    if (c == 'z') {
        x->p += 2;
        while (x->p < x->end && (*x->p == ' ' || (*x->p >= '\t' && *x->p <= '\r')))
            x->p++;
        return true;
    }
    if (digit(c)) {
        int code = 0, digits = 0;
        for (x->p++; digits < 3 && digit(look(x, 0)); digits++)
            code = code * 10 + (*x->p++ - '0');
        if (code > 255)
            return fail_at(x, at, "a decimal escape is at most \\255");
        out[(*n)++] = (char)code;
        return true;
    }
    if (c == 'u' && look(x, 2) == '{') {
        uint64_t code = 0;
        int digits = 0;
        for (x->p += 3; hex(look(x, 0)) >= 0; x->p++, digits++)
            if ((code = code * 16 + (uint64_t)hex(*x->p)) >= (uint64_t)1 << 31)
                return fail_at(x, at, "too large a code in \\u{...}");
        if (digits == 0 || look(x, 0) != '}')
            return fail_at(x, at, "\\u{...} needs hexadecimal digits and a '}'");
        x->p++;
        *n += put_utf8(code, out + *n);
        return true;
    }
    return fail_at(x, at, "there is no such escape; a backslash is written \\\\");
}

static bool read_string(struct lexer *x)
{
    char quote = *x->p++;
    /* no escape makes more bytes than it is long: \u{7fffffff} is 12 for 6 */
    char *out = mr_alloc((size_t)(x->end - x->p) + 8);
    size_t n = 0;
    bool good = out != NULL;
    if (!out)
        return no_memory(x);
    while (good) {
        if (x->p >= x->end || *x->p == '\n' || *x->p == '\r')
            good = fail_at(x, x->at, "a string that is not closed");
        else if (*x->p == quote)
            break;
        else if (*x->p == '\\')
            good = read_escape(x, out, &n);
        else
            out[n++] = *x->p++;
    }
    if (good) {
        x->p++;
        good = keep_string(x, out, n);
    }
    mr_free(out);
    return good;
}

static bool read_number(struct lexer *x)
{
    const char *from = x->p;
    bool is_hex = look(x, 0) == '0' && (look(x, 1) | 32) == 'x';
    if (is_hex)
        x->p += 2;
    for (; x->p < x->end; x->p++) {
        char low = (char)(*x->p | 32);
        if (low == (is_hex ? 'p' : 'e') && (look(x, 1) == '-' || look(x, 1) == '+'))
            x->p++; /* the exponent's sign */
        else if (!name_char(*x->p) && *x->p != '.')
            break;
    }
    x->token = T_NUMBER;
    struct mr_slice s = {from, (size_t)(x->p - from)};
    if (!mr_x_number(s, &x->value))
        return fail_at(x, x->at, "'%.*s' is not a number", (int)(s.len < 40 ? s.len : 40), s.p);
    return true;
}

static const struct word {
    const char *text;
    enum token token;
} words[] = {
    {"and", T_AND},           {"or", T_OR},       {"not", T_NOT},
    {"nil", T_NIL},           {"true", T_TRUE},   {"false", T_FALSE},
    {"break", T_WORD},        {"do", T_WORD},     {"else", T_WORD},
    {"elseif", T_WORD},       {"end", T_WORD},    {"for", T_WORD},
    {"goto", T_WORD},         {"if", T_WORD},     {"in", T_WORD},
    {"local", T_WORD},        {"repeat", T_WORD}, {"return", T_WORD},
    {"then", T_WORD},         {"until", T_WORD},  {"while", T_WORD},
    {"function", T_FUNCTION},
};

static bool read_name(struct lexer *x)
{
    const char *from = x->p;
    while (x->p < x->end && name_char(*x->p))
        x->p++;
    x->name = (struct mr_slice){from, (size_t)(x->p - from)};
    x->token = T_NAME;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (mr_slice_eq(x->name, mr_slice_of(words[i].text)))
            x->token = words[i].token;
    return true;
}

static bool read_sign(struct lexer *x)
{
    static const struct {
        char text[4];
        enum token token;
        const char *meant;
    } signs[] = {
        {"...", T_DOTS, NULL}, {"..", T_CONCAT, NULL}, {"==", T_EQ, NULL},  {"~=", T_NE, NULL},
        {"<=", T_LE, NULL},    {">=", T_GE, NULL},     {"<<", T_SHL, NULL}, {">>", T_SHR, NULL},
        {"//", T_IDIV, NULL},  {"!=", T_END, "~="},    {"<>", T_END, "~="}, {"&&", T_END, "and"},
        {"||", T_END, "or"},   {"!", T_END, "not"},    {"=", T_END, "=="},
    };
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        size_t n = strlen(signs[i].text);
        if ((size_t)(x->end - x->p) < n || memcmp(x->p, signs[i].text, n) != 0)
            continue;
        if (signs[i].meant)
            return fail_at(x, x->at, "'%s' is written '%s' here", signs[i].text, signs[i].meant);
        x->token = signs[i].token;
        x->p += n;
        return true;
    }
    x->ch = *x->p;
    if (!strchr("+-*/%^#<>(){}[];:,.&|~", x->ch) || x->ch == '\0') {
        if (x->ch > ' ' && x->ch < 0x7f)
            return fail_at(x, x->at, "'%c' has no meaning here", x->ch);
        return fail_at(x, x->at, "the byte 0x%02x has no meaning here", (unsigned char)x->ch);
    }
    x->token = T_CHAR;
    x->p++;
    return true;
}

static bool next(struct lexer *x)
{
    x->to = (uint32_t)(x->p - x->text);
    x->ch = '\0';
    if (x->code || !skip_blanks(x))
        return false;
    x->at = (uint32_t)(x->p - x->text);
    if (x->p >= x->end) {
        x->token = T_END;
        return true;
    }
    char c = *x->p;
    if (digit(c) || (c == '.' && digit(look(x, 1))))
        return read_number(x);
    if (name_char(c))
        return read_name(x);
    if (c == '"' || c == '\'')
        return read_string(x);
    int level = c == '[' ? long_bracket(x->p, x->end) : -1;
    if (level >= 0) {
        struct mr_slice inside;
        if (!read_long(x, level, &inside))
            return false;
        if (inside.len && *inside.p == '\n') { /* a first line break is not part of it */
            inside.p++;
            inside.len--;
        }
        return keep_string(x, inside.p, inside.len);
    }
    return read_sign(x);
}

static bool is_char(const struct lexer *x, char c)
{
    return x->token == T_CHAR && x->ch == c;
}

static bool expected(struct lexer *x, const char *what)
{
    if (x->code)
        return false;
    if (x->token == T_END)
        return fail_at(x, x->at, "%s was expected, the expression ends", what);
    size_t n = (size_t)(x->p - x->text) - x->at;
    return fail_at(x, x->at, "%s was expected, not '%.*s'", what, (int)(n < 40 ? n : 40), x->text + x->at);
}

static bool take_char(struct lexer *x, char c, const char *what)
{
    return is_char(x, c) ? next(x) : expected(x, what);
}

/* ---------------------------------------------------------------- the tree */

static struct mr_xnode *expression(struct lexer *x, int limit);

static struct mr_xnode *node_new(struct lexer *x, enum mr_x_op op, uint32_t at, struct mr_xnode *a,
                                 struct mr_xnode *b)
{
    struct mr_xnode *n = mr_arena_take(&x->tree->arena.arena, sizeof *n);
    if (!n) {
        (void)no_memory(x);
        return NULL;
    }
    *n = (struct mr_xnode){.op = (uint8_t)op, .at = at, .a = a, .b = b, .slot = -1, .depth = 1};
    if (a && a->depth >= n->depth)
        n->depth = a->depth + 1;
    if (b && b->depth >= n->depth)
        n->depth = b->depth + 1;
    if (op == X_LUA)
        x->lua = true;
    return n;
}

static struct mr_xnode *constant(struct lexer *x, uint32_t at, struct mr_value v)
{
    struct mr_xnode *n = node_new(x, X_CONST, at, NULL, NULL);
    if (!n)
        return NULL;
    n->v = n->lent = v;
    if (v.tag == MR_STRING) {
        n->next_text = x->tree->texts;
        x->tree->texts = n;
    }
    return n;
}

/* The operator over constants becomes their result; where it would raise, it is left for the rows. */
static struct mr_xnode *fold(struct lexer *x, struct mr_xnode *n)
{
    struct mr_xfault f;
    struct mr_value v = {0};
    struct mr_arena *arena = &x->tree->arena.arena;
    if (!n || !n->a || n->a->op != X_CONST)
        return n;
    const struct mr_value *a = &n->a->v, *b = n->b ? &n->b->v : NULL;
    if (n->op == X_AND)
        return mr_x_true(a) ? n->b : n->a;
    if (n->op == X_OR)
        return mr_x_true(a) ? n->a : n->b;
    if (n->b && n->b->op != X_CONST)
        return n;
    bool good = false, yes = false;
    switch (n->op) {
    case X_NOT:
        v = mr_value_bool(!mr_x_true(a));
        good = true;
        break;
    case X_NEG:
        good = mr_x_negate(a, &v, n, &f);
        break;
    case X_LEN:
        good = mr_x_length(a, &v, n, &f);
        break;
    case X_EQ:
    case X_NE:
        v = mr_value_bool(mr_x_equal(a, b) == (n->op == X_EQ));
        good = true;
        break;
    case X_LT:
    case X_LE:
    case X_GT:
    case X_GE:
        good = mr_x_order(n->op, a, b, &yes, n, &f);
        v = mr_value_bool(yes);
        break;
    case X_CONCAT:
        good = mr_x_concat(arena, a, b, &v, n, &f);
        break;
    case X_ADD:
    case X_SUB:
    case X_MUL:
    case X_DIV:
    case X_IDIV:
    case X_MOD:
    case X_POW:
        good = mr_x_arith(n->op, a, b, &v, n, &f);
        break;
    default:
        break;
    }
    return good ? constant(x, n->at, v) : n;
}

static const char *const lua_names[] = {
    "json",  "re",       "time",     "net",   "hash",   "codec",  "str",    "redact", "tables",
    "state", "log",      "metric",   "env",   "array",  "object", "math",   "string", "table",
    "utf8",  "tostring", "tonumber", "type",  "pairs",  "ipairs", "select", "next",   "event",
    "meta",  "error",    "assert",   "pcall", "unpack", "os",
};
static const char *const all_names[] = {"e",   "m",  "null", "nil",  "true",   "false",
                                        "and", "or", "not",  "math", "string", "tostring"};

static struct mr_xnode *unknown_name(struct lexer *x)
{
    int n = (int)(x->name.len < 60 ? x->name.len : 60);
    const char *near =
        x->name.len > 2 ? mr_nearest(x->name, all_names, sizeof all_names / sizeof all_names[0]) : NULL;
    if (near)
        (void)fail_at(x, x->at,
                      "unknown name '%.*s'; did you mean '%s'? a field of the event is written 'e.%.*s'", n,
                      x->name.p, near, n, x->name.p);
    else
        (void)fail_at(x, x->at, "unknown name '%.*s'; a field of the event is written 'e.%.*s'", n, x->name.p,
                      n, x->name.p);
    return NULL;
}

static const struct meta_name {
    const char *text;
    enum mr_x_meta what;
} metas[] = {
    {"key", META_KEY},       {"ts", META_TS},         {"topic", META_TOPIC},    {"partition", META_PARTITION},
    {"offset", META_OFFSET}, {"source", META_SOURCE}, {"headers", META_HEADERS}};

/* A constant name behind e, m or a value: by '.' or in brackets. *n: NULL after an index that is not
 * constant. */
static bool key_after(struct lexer *x, struct mr_value *key, bool *is_constant)
{
    *is_constant = true;
    if (is_char(x, '.')) {
        if (!next(x))
            return false;
        if (x->token != T_NAME) {
            if (x->token == T_AND || x->token == T_OR || x->token == T_NOT ||
                (x->token >= T_NIL && x->token <= T_WORD)) {
                size_t n = (size_t)(x->p - x->text) - x->at;
                return fail_at(x, x->at, "'%.*s' is a word of the language; write [\"%.*s\"]", (int)n,
                               x->text + x->at, (int)n, x->text + x->at);
            }
            return expected(x, "a name");
        }
        *key = mr_value_string(x->name);
        return next(x);
    }
    if (!next(x)) /* '[' */
        return false;
    struct mr_xnode *n = expression(x, 0);
    if (!n || !take_char(x, ']', "']'"))
        return false;
    *is_constant = n->op == X_CONST;
    *key = n->v;
    if (key->tag == MR_FLOAT && key->u.f >= -9e15 && key->u.f <= 9e15 &&
        (double)(int64_t)key->u.f == key->u.f)
        *key = mr_value_int((int64_t)key->u.f); /* as Lua does: [1.0] is [1] */
    return true;
}

static struct mr_xnode *field(struct lexer *x, bool meta)
{
    uint32_t at = x->at;
    if (!next(x))
        return NULL;
    if (!is_char(x, '.') && !is_char(x, '['))
        return node_new(x, X_LUA, at, NULL, NULL); /* the event as a whole: e, e:raw(), f(e) */
    struct mr_value key;
    bool is_constant;
    uint32_t name_at = x->at + 1;
    if (!key_after(x, &key, &is_constant))
        return NULL;
    if (!is_constant || key.tag != MR_STRING)
        return node_new(x, X_LUA, at, NULL, NULL);
    struct mr_xnode *n = node_new(x, meta ? X_META : X_FIELD, name_at, NULL, NULL);
    if (!n)
        return NULL;
    n->name = mr_slice_copy(&x->tree->arena.arena, mr_value_text(&key));
    if (!n->name.p) {
        (void)no_memory(x);
        return NULL;
    }
    if (!meta) {
        n->next_field = x->tree->fields;
        x->tree->fields = n;
        return n;
    }
    const char *known[sizeof metas / sizeof metas[0]];
    for (size_t i = 0; i < sizeof metas / sizeof metas[0]; i++) {
        known[i] = metas[i].text;
        if (mr_slice_eq(n->name, mr_slice_of(metas[i].text))) {
            n->what = (uint8_t)metas[i].what;
            return n;
        }
    }
    const char *near = mr_nearest(n->name, known, sizeof metas / sizeof metas[0]);
    (void)fail_at(x, name_at,
                  "there is no 'm.%.*s'%s%s%s; there are key, ts, topic, partition, offset, source, headers",
                  (int)(n->name.len < 60 ? n->name.len : 60), n->name.p, near ? "; did you mean 'm." : "",
                  near ? near : "", near ? "'?" : "");
    return NULL;
}

static const struct method_name {
    const char *text;
    enum mr_x_method what;
    uint8_t least, most;
} methods[] = {
    {"starts", DO_STARTS, 1, 1}, {"ends", DO_ENDS, 1, 1},   {"contains", DO_CONTAINS, 1, 1},
    {"lower", DO_LOWER, 0, 0},   {"upper", DO_UPPER, 0, 0}, {"len", DO_LEN, 0, 0},
    {"sub", DO_SUB, 1, 2},       {"find", DO_FIND, 1, 3},
};

/* find() is native when it looks for text: told so, or there is nothing of a pattern in it. */
static bool is_plain_find(const struct mr_xnode *n)
{
    if (n->arg_count == 3)
        return n->arg[2]->op == X_CONST && mr_x_true(&n->arg[2]->v);
    const struct mr_xnode *what = n->arg[0];
    if (what->op != X_CONST || what->v.tag != MR_STRING)
        return false;
    for (uint32_t i = 0; i < what->v.len; i++)
        if (what->v.u.s[i] == '\0' || strchr("^$*+?.([%-", what->v.u.s[i]))
            return false;
    return true;
}

/* ":name(...)" or "(...)" behind `a`. */
static struct mr_xnode *call(struct lexer *x, struct mr_xnode *a)
{
    uint32_t at = x->at;
    const struct method_name *m = NULL;
    struct mr_slice name = {NULL, 0};
    if (is_char(x, ':')) {
        if (!next(x))
            return NULL;
        if (x->token != T_NAME) {
            (void)expected(x, "the name of a method");
            return NULL;
        }
        name = x->name;
        for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
            if (mr_slice_eq(name, mr_slice_of(methods[i].text)))
                m = &methods[i];
        if (!next(x))
            return NULL;
    }
    struct mr_xnode *arg[3] = {NULL, NULL, NULL}, *n;
    uint32_t count = 0, depth = a->depth;
    if (x->token == T_STRING) {
        if (!(arg[count++] = constant(x, x->at, x->value)) || !next(x))
            return NULL;
    } else if (is_char(x, '{')) {
        (void)for_lua(x);
        return NULL;
    } else {
        if (!take_char(x, '(', "'(' and arguments"))
            return NULL;
        while (!is_char(x, ')')) {
            if (count && !take_char(x, ',', "',' or ')'"))
                return NULL;
            if (!(n = expression(x, 0)))
                return NULL;
            if (n->depth > depth)
                depth = n->depth;
            if (count < 3)
                arg[count] = n;
            count++;
        }
        if (!next(x))
            return NULL;
    }
    if (!m || a->op == X_LUA || count < m->least || count > m->most)
        return node_new(x, X_LUA, at, NULL, NULL);
    n = node_new(x, X_METHOD, at, a, NULL);
    if (!n)
        return NULL;
    n->what = (uint8_t)m->what;
    n->name = mr_slice_of(m->text);
    n->arg_count = (uint8_t)count;
    n->depth = depth + 1 + count;
    memcpy(n->arg, arg, sizeof arg);
    if (m->what == DO_FIND && !is_plain_find(n))
        return node_new(x, X_LUA, at, NULL, NULL);
    return n;
}

static struct mr_xnode *suffixed(struct lexer *x)
{
    struct mr_xnode *n;
    uint32_t at = x->at;
    if (is_char(x, '(')) {
        if (!next(x) || !(n = expression(x, 0)) || !take_char(x, ')', "')'"))
            return NULL;
    } else if (x->token == T_NAME) {
        bool e = mr_slice_eq(x->name, MR_SLICE("e")), m = mr_slice_eq(x->name, MR_SLICE("m"));
        if (e || m) {
            n = field(x, m);
        } else if (mr_slice_eq(x->name, MR_SLICE("null"))) {
            n = constant(x, at, (struct mr_value){.tag = MR_NULL});
            if (n && !next(x))
                return NULL;
        } else {
            bool known = false;
            for (size_t i = 0; i < sizeof lua_names / sizeof lua_names[0]; i++)
                known |= mr_slice_eq(x->name, mr_slice_of(lua_names[i]));
            if (!known)
                return unknown_name(x);
            n = node_new(x, X_LUA, at, NULL, NULL);
            if (n && !next(x))
                return NULL;
        }
    } else {
        (void)expected(x, "a value");
        return NULL;
    }
    while (n) {
        if (is_char(x, '.') || is_char(x, '[')) {
            struct mr_value key;
            bool is_constant;
            at = x->at;
            if (!key_after(x, &key, &is_constant))
                return NULL;
            if (n->op == X_LUA)
                continue;
            bool good = is_constant && (key.tag == MR_STRING || key.tag == MR_INT);
            struct mr_xnode *index = node_new(x, good ? X_INDEX : X_LUA, at, good ? n : NULL, NULL);
            if (index && good) {
                index->v = key;
                if (key.tag == MR_STRING) {
                    index->name = mr_slice_copy(&x->tree->arena.arena, mr_value_text(&key));
                    index->v.u.s = index->name.p;
                    if (!index->name.p) {
                        (void)no_memory(x);
                        return NULL;
                    }
                }
            }
            n = index;
        } else if (is_char(x, ':') || is_char(x, '(') || is_char(x, '{') || x->token == T_STRING) {
            n = call(x, n);
        } else {
            break;
        }
    }
    return n;
}

static struct mr_xnode *simple(struct lexer *x)
{
    struct mr_value v;
    switch (x->token) {
    case T_NUMBER:
    case T_STRING:
        v = x->value;
        break;
    case T_NIL:
        v = (struct mr_value){0};
        break;
    case T_TRUE:
    case T_FALSE:
        v = mr_value_bool(x->token == T_TRUE);
        break;
    case T_FUNCTION:
    case T_DOTS:
        (void)for_lua(x);
        return NULL;
    case T_CHAR:
        if (x->ch == '{') {
            (void)for_lua(x);
            return NULL;
        }
        return suffixed(x);
    default:
        return suffixed(x);
    }
    struct mr_xnode *n = constant(x, x->at, v);
    if (n)
        n->literal = true;
    return n && next(x) ? n : NULL;
}

/* Left and right strength, as in the manual, 3.4.8; right lower than left: binds to the right. */
static bool binary(const struct lexer *x, enum mr_x_op *op, int *left, int *right)
{
    static const struct {
        enum token token;
        char ch;
        enum mr_x_op op;
        int left, right;
    } table[] = {
        {T_OR, 0, X_OR, 1, 1},        {T_AND, 0, X_AND, 2, 2},       {T_CHAR, '<', X_LT, 3, 3},
        {T_CHAR, '>', X_GT, 3, 3},    {T_LE, 0, X_LE, 3, 3},         {T_GE, 0, X_GE, 3, 3},
        {T_NE, 0, X_NE, 3, 3},        {T_EQ, 0, X_EQ, 3, 3},         {T_CHAR, '|', X_LUA, 4, 4},
        {T_CHAR, '~', X_LUA, 5, 5},   {T_CHAR, '&', X_LUA, 6, 6},    {T_SHL, 0, X_LUA, 7, 7},
        {T_SHR, 0, X_LUA, 7, 7},      {T_CONCAT, 0, X_CONCAT, 9, 8}, {T_CHAR, '+', X_ADD, 10, 10},
        {T_CHAR, '-', X_SUB, 10, 10}, {T_CHAR, '*', X_MUL, 11, 11},  {T_CHAR, '/', X_DIV, 11, 11},
        {T_IDIV, 0, X_IDIV, 11, 11},  {T_CHAR, '%', X_MOD, 11, 11},  {T_CHAR, '^', X_POW, 14, 13},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].token == x->token && (x->token != T_CHAR || table[i].ch == x->ch)) {
            *op = table[i].op;
            *left = table[i].left;
            *right = table[i].right;
            return true;
        }
    return false;
}

enum { UNARY = 12 };

static struct mr_xnode *expression(struct lexer *x, int limit)
{
    struct mr_xnode *n;
    if (++x->depth > MR_X_DEPTH_MAX) {
        (void)fail_at(x, x->at, "nested deeper than %d levels", MR_X_DEPTH_MAX);
        return NULL;
    }
    uint32_t at = x->at;
    enum mr_x_op op;
    if (x->token == T_NOT || is_char(x, '-') || is_char(x, '#') || is_char(x, '~')) {
        op = x->token == T_NOT ? X_NOT : x->ch == '-' ? X_NEG : x->ch == '#' ? X_LEN : X_LUA;
        if (!next(x) || !(n = expression(x, UNARY)))
            return NULL;
        n = fold(x, node_new(x, n->op == X_LUA ? X_LUA : op, at, n, NULL));
    } else {
        n = simple(x);
    }
    int left, right;
    while (n && binary(x, &op, &left, &right) && left > limit) {
        at = x->at;
        if (!next(x))
            return NULL;
        struct mr_xnode *b = expression(x, right);
        if (!b)
            return NULL;
        if (n->op == X_LUA || b->op == X_LUA)
            op = X_LUA;
        if (op == X_SUB && b->literal && b->v.tag == MR_INT && b->v.u.i == 0)
            op = X_ADD; /* Lua's compiler makes x - 0 an addition, which shows when x is -0.0 */
        n = node_new(x, op, at, n, b);
        if (n && n->depth > 2 * MR_X_DEPTH_MAX) {
            (void)fail_at(x, at, "more than %d operators in a row", 2 * MR_X_DEPTH_MAX);
            return NULL;
        }
        n = fold(x, n);
    }
    x->depth--;
    return n;
}

/* ---------------------------------------------------------------- in and out */

static bool buffers(struct mr_xtree *t)
{
    t->levels = t->root->depth + 1;
    size_t n = (size_t)t->levels * MR_X_CHUNK;
    t->values = mr_alloc(n * sizeof *t->values);
    t->rows = mr_alloc(n * sizeof *t->rows);
    t->places = mr_alloc(n * sizeof *t->places);
    t->truths = mr_alloc(n);
    return t->values && t->rows && t->places && t->truths;
}

mr_code mr_xtree_parse(const char *text, size_t len, struct mr_xtree **out, struct mr_err *err)
{
    mr_err_clear(err);
    *out = NULL;
    if (len > MR_X_TEXT_MAX)
        return mr_fail(err, MR_BADCONF, "expression: longer than %d bytes", MR_X_TEXT_MAX);
    struct mr_xtree *t = mr_alloc(sizeof *t);
    if (!t)
        return mr_fail(err, MR_MEMORY, "expression: no memory");
    mr_heap_arena_init(&t->arena, 4096, 0, (size_t)64 << 20);
    struct lexer x = {.text = text, .p = text, .end = text + len, .tree = t, .err = err};
    struct mr_xnode *root = NULL;
    if (next(&x))
        root = expression(&x, 0);
    if (root && !x.code && x.token != T_END)
        (void)expected(&x, "an operator or the end");
    if (!x.code && (x.lua || !root))
        x.code = MR_UNSUPPORTED;
    t->root = root;
    if (!x.code && !buffers(t))
        (void)no_memory(&x);
    if (x.code) {
        mr_xtree_free(t);
        return x.code;
    }
    *out = t;
    return MR_OK;
}

void mr_xtree_free(struct mr_xtree *t)
{
    if (!t)
        return;
    mr_heap_arena_fini(&t->arena);
    mr_free(t->values);
    mr_free(t->rows);
    mr_free(t->places);
    mr_free(t->truths);
    mr_free(t);
}
