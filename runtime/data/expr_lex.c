/* expr_lex.c - text to tokens: Lua 5.4's words, signs, numbers, strings and comments. */
#include "data/expr_lex.h"

#include "base/mem.h"
#include "base/text.h"

bool mr_xlex_fail(struct mr_xlexer *x, size_t at, const char *format, ...)
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

bool mr_xlex_no_memory(struct mr_xlexer *x)
{
    if (!x->code)
        x->code = mr_fail(x->err, MR_MEMORY, "expression: no memory");
    return false;
}

bool mr_xlex_for_lua(struct mr_xlexer *x)
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

static char look(const struct mr_xlexer *x, size_t ahead)
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
static bool read_long(struct mr_xlexer *x, int level, struct mr_slice *inside)
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
    return mr_xlex_fail(x, (size_t)(x->p - x->text), "a long bracket that is not closed");
}

static bool skip_blanks(struct mr_xlexer *x)
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

static bool keep_string(struct mr_xlexer *x, const char *p, size_t len)
{
    struct mr_slice s = mr_slice_copy(&x->tree->arena.arena, (struct mr_slice){p, len});
    if (!s.p)
        return mr_xlex_no_memory(x);
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
static bool read_escape(struct mr_xlexer *x, char *out, size_t *n)
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
            return mr_xlex_fail(x, at, "\\x needs two hexadecimal digits");
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
            return mr_xlex_fail(x, at, "a decimal escape is at most \\255");
        out[(*n)++] = (char)code;
        return true;
    }
    if (c == 'u' && look(x, 2) == '{') {
        uint64_t code = 0;
        int digits = 0;
        for (x->p += 3; hex(look(x, 0)) >= 0; x->p++, digits++)
            if ((code = code * 16 + (uint64_t)hex(*x->p)) >= (uint64_t)1 << 31)
                return mr_xlex_fail(x, at, "too large a code in \\u{...}");
        if (digits == 0 || look(x, 0) != '}')
            return mr_xlex_fail(x, at, "\\u{...} needs hexadecimal digits and a '}'");
        x->p++;
        *n += put_utf8(code, out + *n);
        return true;
    }
    return mr_xlex_fail(x, at, "there is no such escape; a backslash is written \\\\");
}

static bool read_string(struct mr_xlexer *x)
{
    char quote = *x->p++;
    /* no escape makes more bytes than it is long: \u{7fffffff} is 12 for 6 */
    char *out = mr_alloc((size_t)(x->end - x->p) + 8);
    size_t n = 0;
    bool good = out != NULL;
    if (!out)
        return mr_xlex_no_memory(x);
    while (good) {
        if (x->p >= x->end || *x->p == '\n' || *x->p == '\r')
            good = mr_xlex_fail(x, x->at, "a string that is not closed");
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

static bool read_number(struct mr_xlexer *x)
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
        return mr_xlex_fail(x, x->at, "'%.*s' is not a number", (int)(s.len < 40 ? s.len : 40), s.p);
    return true;
}

static const struct word {
    const char *text;
    enum mr_xtoken token;
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

static bool read_name(struct mr_xlexer *x)
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

static bool read_sign(struct mr_xlexer *x)
{
    static const struct {
        char text[4];
        enum mr_xtoken token;
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
            return mr_xlex_fail(x, x->at, "'%s' is written '%s' here", signs[i].text, signs[i].meant);
        x->token = signs[i].token;
        x->p += n;
        return true;
    }
    x->ch = *x->p;
    if (!strchr("+-*/%^#<>(){}[];:,.&|~", x->ch) || x->ch == '\0') {
        if (x->ch > ' ' && x->ch < 0x7f)
            return mr_xlex_fail(x, x->at, "'%c' has no meaning here%s", x->ch,
                                x->ch == '?' ? ": 'a ? b : c' is written 'a and b or c'" : "");
        return mr_xlex_fail(x, x->at, "the byte 0x%02x has no meaning here", (unsigned char)x->ch);
    }
    x->token = T_CHAR;
    x->p++;
    return true;
}

bool mr_xlex_next(struct mr_xlexer *x)
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

bool mr_xlex_expected(struct mr_xlexer *x, const char *what)
{
    if (x->code)
        return false;
    if (x->token == T_END)
        return mr_xlex_fail(x, x->at, "%s was expected, the expression ends", what);
    size_t n = (size_t)(x->p - x->text) - x->at;
    return mr_xlex_fail(x, x->at, "%s was expected, not '%.*s'", what, (int)(n < 40 ? n : 40),
                        x->text + x->at);
}

bool mr_xlex_take_char(struct mr_xlexer *x, char c, const char *what)
{
    return mr_xlex_is(x, c) ? mr_xlex_next(x) : mr_xlex_expected(x, what);
}
