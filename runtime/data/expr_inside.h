/* expr_inside.h - the parsed expression, between its parser, its operators and its evaluation. */
#ifndef MR_DATA_EXPR_INSIDE_H
#define MR_DATA_EXPR_INSIDE_H

#include "base/arena.h"
#include "data/expr.h"

enum {
    MR_X_DEPTH_MAX = 100, /* of parentheses and operators within each other */
    MR_X_TEXT_MAX = 65536,
    MR_X_CHUNK = 256,  /* rows evaluated together: a level's values fit into the first-level cache */
    MR_X_RAISED = 0xfe /* a tag of ours: the row was rejected; never leaves the evaluation */
};

enum mr_x_op {
    X_CONST,
    X_FIELD, /* e.name */
    X_META,  /* m.name */
    X_INDEX, /* a[constant] */
    X_METHOD,
    X_NOT,
    X_NEG,
    X_LEN,
    X_AND,
    X_OR,
    X_EQ,
    X_NE,
    X_LT,
    X_LE,
    X_GT,
    X_GE,
    X_CONCAT,
    X_ADD,
    X_SUB,
    X_MUL,
    X_DIV,
    X_IDIV,
    X_MOD,
    X_POW,
    X_LUA, /* valid, but for Lua */
};

enum mr_x_meta { META_KEY, META_TS, META_TOPIC, META_PARTITION, META_OFFSET, META_SOURCE, META_HEADERS };
enum mr_x_method { DO_STARTS, DO_ENDS, DO_CONTAINS, DO_LOWER, DO_UPPER, DO_LEN, DO_SUB, DO_FIND };

struct mr_xnode {
    uint8_t op;   /* enum mr_x_op */
    uint8_t what; /* enum mr_x_meta, enum mr_x_method */
    uint8_t arg_count;
    bool literal;           /* X_CONST: stands so in the text, is not the result of folding */
    uint32_t at;            /* byte of the text */
    uint32_t depth;         /* 1 + the deepest below */
    int32_t slot;           /* X_FIELD: of the batch in hand, -1 none */
    struct mr_slice name;   /* X_FIELD, X_META, X_INDEX by name, X_METHOD: for look-ups and messages */
    struct mr_value v;      /* X_CONST; X_INDEX: the key */
    struct mr_xnode *a, *b; /* operands */
    struct mr_xnode *arg[3];
    struct mr_xnode *next_field; /* all X_FIELD nodes, so that each looks its column up once a batch */
    struct mr_xnode *next_text;  /* all X_CONST nodes with text */
    struct mr_value lent;        /* X_CONST: v, with text that lives as long as the batch in hand */
};

struct mr_xtree {
    struct mr_heap_arena arena; /* the nodes and their constants */
    struct mr_xnode *root;
    struct mr_xnode *fields, *texts;
    struct mr_value *values; /* [level][MR_X_CHUNK] */
    uint16_t *rows;          /* [level][MR_X_CHUNK] */
    uint16_t *places;        /* [level][MR_X_CHUNK] */
    uint8_t *truths;         /* [level][MR_X_CHUNK] */
    uint32_t levels;
};

/* What went wrong with one row. */
struct mr_xfault {
    char text[160];
};

/* One operation on decoded values, exactly as Lua does it. false: Lua would raise; *f says what. who: of the
 * operands' nodes, for "(field 'x')". Strings that come out are in `arena`. */
bool mr_x_arith(enum mr_x_op op, const struct mr_value *a, const struct mr_value *b, struct mr_value *out,
                const struct mr_xnode *node, struct mr_xfault *f);
bool mr_x_negate(const struct mr_value *a, struct mr_value *out, const struct mr_xnode *node,
                 struct mr_xfault *f);
bool mr_x_concat(struct mr_arena *arena, const struct mr_value *a, const struct mr_value *b,
                 struct mr_value *out, const struct mr_xnode *node, struct mr_xfault *f);
bool mr_x_length(const struct mr_value *a, struct mr_value *out, const struct mr_xnode *node,
                 struct mr_xfault *f);
bool mr_x_index(const struct mr_value *a, const struct mr_xnode *node, struct mr_value *out,
                struct mr_xfault *f);
/* op: X_LT, X_LE, X_GT, X_GE */
bool mr_x_order(enum mr_x_op op, const struct mr_value *a, const struct mr_value *b, bool *out,
                const struct mr_xnode *node, struct mr_xfault *f);
bool mr_x_equal(const struct mr_value *a, const struct mr_value *b);
bool mr_x_method(struct mr_arena *arena, const struct mr_xnode *node, const struct mr_value *self,
                 const struct mr_value *args, struct mr_value *out, struct mr_xfault *f);
/* A number as Lua reads one from text, blanks around it allowed. */
bool mr_x_number(struct mr_slice text, struct mr_value *out);
/* Decodes numbers and strings of MR_JSON, makes times integers and bytes strings. false: memory. */
bool mr_x_decode(struct mr_arena *arena, const struct mr_value *in, struct mr_value *out);

/* -1, 0, 1; 2: not ordered (NaN). Numbers only, exactly. */
int mr_x_compare(const struct mr_value *a, const struct mr_value *b);

static inline bool mr_x_true(const struct mr_value *v) /* as in Lua: nil and false are not */
{
    return !(v->tag == MR_MISSING || (v->tag == MR_BOOL && !v->u.b));
}

#endif
