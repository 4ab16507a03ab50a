/* expr_lex.h - the words of an expression, one at a time; shared by the parser and nobody else. */
#ifndef MR_DATA_EXPR_LEX_H
#define MR_DATA_EXPR_LEX_H

#include "data/expr_inside.h"

enum mr_xtoken {
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

struct mr_xlexer {
    const char *text, *p, *end;
    struct mr_xtree *tree;
    struct mr_err *err;
    enum mr_xtoken token;
    char ch;
    uint32_t at;           /* of the token */
    uint32_t to;           /* behind it */
    struct mr_slice name;  /* T_NAME */
    struct mr_value value; /* T_NUMBER, T_STRING */
    int depth;
    bool lua; /* something in it is for Lua */
    mr_code code;
};

/* All answer false when reading has to end; `code` then says why, and the first reason counts. */
bool mr_xlex_next(struct mr_xlexer *x); /* the next token into x */
bool mr_xlex_fail(struct mr_xlexer *x, size_t at, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));
bool mr_xlex_no_memory(struct mr_xlexer *x);
bool mr_xlex_for_lua(struct mr_xlexer *x); /* stops here: the rest is Lua's to read */
bool mr_xlex_expected(struct mr_xlexer *x, const char *what);
bool mr_xlex_take_char(struct mr_xlexer *x, char c, const char *what);

static inline bool mr_xlex_is(const struct mr_xlexer *x, char c)
{
    return x->token == T_CHAR && x->ch == c;
}

#endif
