/* expr_parse.c - text to tree: Lua 5.4's expressions, with the byte of whatever is wrong.
 *
 * What cannot be evaluated natively but is Lua (other calls, tables, functions, bits) makes the whole
 * expression one for Lua. Constants are folded on the way, by the same operators that rows meet.
 */
#include "data/expr_lex.h"

#include "base/mem.h"
#include "base/text.h"

/* ---------------------------------------------------------------- the tree */

static struct mr_xnode *expression(struct mr_xlexer *x, int limit);

static struct mr_xnode *node_new(struct mr_xlexer *x, enum mr_x_op op, uint32_t at, struct mr_xnode *a,
                                 struct mr_xnode *b)
{
    struct mr_xnode *n = mr_arena_take(&x->tree->arena.arena, sizeof *n);
    if (!n) {
        (void)mr_xlex_no_memory(x);
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

static struct mr_xnode *constant(struct mr_xlexer *x, uint32_t at, struct mr_value v)
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
static struct mr_xnode *fold(struct mr_xlexer *x, struct mr_xnode *n)
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

static struct mr_xnode *unknown_name(struct mr_xlexer *x)
{
    int n = (int)(x->name.len < 60 ? x->name.len : 60);
    const char *near =
        x->name.len > 2 ? mr_nearest(x->name, all_names, sizeof all_names / sizeof all_names[0]) : NULL;
    if (near)
        (void)mr_xlex_fail(x, x->at,
                           "unknown name '%.*s'; did you mean '%s'? a field of the event is written 'e.%.*s'",
                           n, x->name.p, near, n, x->name.p);
    else
        (void)mr_xlex_fail(x, x->at, "unknown name '%.*s'; a field of the event is written 'e.%.*s'", n,
                           x->name.p, n, x->name.p);
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
static bool key_after(struct mr_xlexer *x, struct mr_value *key, bool *is_constant)
{
    *is_constant = true;
    if (mr_xlex_is(x, '.')) {
        if (!mr_xlex_next(x))
            return false;
        if (x->token != T_NAME) {
            if (x->token == T_AND || x->token == T_OR || x->token == T_NOT ||
                (x->token >= T_NIL && x->token <= T_WORD)) {
                size_t n = (size_t)(x->p - x->text) - x->at;
                return mr_xlex_fail(x, x->at, "'%.*s' is a word of the language; write [\"%.*s\"]", (int)n,
                                    x->text + x->at, (int)n, x->text + x->at);
            }
            return mr_xlex_expected(x, "a name");
        }
        *key = mr_value_string(x->name);
        return mr_xlex_next(x);
    }
    if (!mr_xlex_next(x)) /* '[' */
        return false;
    struct mr_xnode *n = expression(x, 0);
    if (!n || !mr_xlex_take_char(x, ']', "']'"))
        return false;
    *is_constant = n->op == X_CONST;
    *key = n->v;
    if (key->tag == MR_FLOAT && key->u.f >= -9e15 && key->u.f <= 9e15 &&
        (double)(int64_t)key->u.f == key->u.f)
        *key = mr_value_int((int64_t)key->u.f); /* as Lua does: [1.0] is [1] */
    return true;
}

static struct mr_xnode *field(struct mr_xlexer *x, bool meta)
{
    uint32_t at = x->at;
    if (!mr_xlex_next(x))
        return NULL;
    if (!mr_xlex_is(x, '.') && !mr_xlex_is(x, '['))
        return node_new(x, X_LUA, at, NULL, NULL); /* the event as a whole: e, e:raw(), f(e) */
    struct mr_value key = {0};
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
        (void)mr_xlex_no_memory(x);
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
    (void)mr_xlex_fail(
        x, name_at,
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

/* Methods that Lua evaluates: those of its strings, and of events, lists and objects (plugin/lua_string.c,
 * lua_event.c, lua_node.c). There are no others: a value of an expression brings none of its own. */
static const char *const lua_methods[] = {
    "byte", "char", "format", "gmatch", "gsub", "match",  "rep",   "reverse",
    "copy", "drop", "get",    "has",    "raw",  "reject", "table", "events",
};
enum {
    METHODS = sizeof methods / sizeof methods[0],
    LUA_METHODS = sizeof lua_methods / sizeof lua_methods[0]
};

/* false: nothing has a method of that name. */
static bool known_method(struct mr_xlexer *x, struct mr_slice name, uint32_t at)
{
    const char *names[METHODS + LUA_METHODS];
    for (size_t i = 0; i < METHODS + LUA_METHODS; i++) {
        names[i] = i < METHODS ? methods[i].text : lua_methods[i - METHODS];
        if (mr_slice_eq(name, mr_slice_of(names[i])))
            return true;
    }
    const char *near = mr_nearest(name, names, METHODS);
    for (size_t i = 0; i < METHODS && !near; i++) /* startsWith, endswith */
        if (name.len > 3 && strlen(names[i]) > 3 && name.len > strlen(names[i]) &&
            !memcmp(name.p, names[i], strlen(names[i])))
            near = names[i];
    (void)mr_xlex_fail(
        x, at,
        "there is no method ':%.*s'%s%s%s; texts have starts, ends, contains, lower, upper, len, "
        "sub, find, match, gsub",
        (int)(name.len < 60 ? name.len : 60), name.p, near ? "; did you mean ':" : "", near ? near : "",
        near ? "'?" : "");
    return false;
}

/* ":name(...)" or "(...)" behind `a`. */
static struct mr_xnode *call(struct mr_xlexer *x, struct mr_xnode *a)
{
    uint32_t at = x->at;
    const struct method_name *m = NULL;
    struct mr_slice name = {NULL, 0};
    if (mr_xlex_is(x, ':')) {
        if (!mr_xlex_next(x))
            return NULL;
        if (x->token != T_NAME) {
            (void)mr_xlex_expected(x, "the name of a method");
            return NULL;
        }
        name = x->name;
        for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
            if (mr_slice_eq(name, mr_slice_of(methods[i].text)))
                m = &methods[i];
        if (!known_method(x, name, x->at) || !mr_xlex_next(x))
            return NULL;
    }
    struct mr_xnode *arg[3] = {NULL, NULL, NULL}, *n;
    uint32_t count = 0, depth = a->depth;
    if (x->token == T_STRING) {
        if (!(arg[count++] = constant(x, x->at, x->value)) || !mr_xlex_next(x))
            return NULL;
    } else if (mr_xlex_is(x, '{')) {
        (void)mr_xlex_for_lua(x);
        return NULL;
    } else {
        if (!mr_xlex_take_char(x, '(', "'(' and arguments"))
            return NULL;
        while (!mr_xlex_is(x, ')')) {
            if (count && !mr_xlex_take_char(x, ',', "',' or ')'"))
                return NULL;
            if (!(n = expression(x, 0)))
                return NULL;
            if (n->depth > depth)
                depth = n->depth;
            if (count < 3)
                arg[count] = n;
            count++;
        }
        if (!mr_xlex_next(x))
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

static struct mr_xnode *suffixed(struct mr_xlexer *x)
{
    struct mr_xnode *n;
    uint32_t at = x->at;
    if (mr_xlex_is(x, '(')) {
        if (!mr_xlex_next(x) || !(n = expression(x, 0)) || !mr_xlex_take_char(x, ')', "')'"))
            return NULL;
    } else if (x->token == T_NAME) {
        bool e = mr_slice_eq(x->name, MR_SLICE("e")), m = mr_slice_eq(x->name, MR_SLICE("m"));
        if (e || m) {
            n = field(x, m);
        } else if (mr_slice_eq(x->name, MR_SLICE("null"))) {
            n = constant(x, at, (struct mr_value){.tag = MR_NULL});
            if (n && !mr_xlex_next(x))
                return NULL;
        } else {
            bool known = false;
            for (size_t i = 0; i < sizeof lua_names / sizeof lua_names[0]; i++)
                known |= mr_slice_eq(x->name, mr_slice_of(lua_names[i]));
            if (!known)
                return unknown_name(x);
            n = node_new(x, X_LUA, at, NULL, NULL);
            if (n && !mr_xlex_next(x))
                return NULL;
        }
    } else {
        (void)mr_xlex_expected(x, "a value");
        return NULL;
    }
    while (n) {
        if (mr_xlex_is(x, '.') || mr_xlex_is(x, '[')) {
            struct mr_value key = {0};
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
                        (void)mr_xlex_no_memory(x);
                        return NULL;
                    }
                }
            }
            n = index;
        } else if (mr_xlex_is(x, ':') || mr_xlex_is(x, '(') || mr_xlex_is(x, '{') || x->token == T_STRING) {
            n = call(x, n);
        } else {
            break;
        }
    }
    return n;
}

static struct mr_xnode *simple(struct mr_xlexer *x)
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
        (void)mr_xlex_for_lua(x);
        return NULL;
    case T_CHAR:
        if (x->ch == '{') {
            (void)mr_xlex_for_lua(x);
            return NULL;
        }
        return suffixed(x);
    default:
        return suffixed(x);
    }
    struct mr_xnode *n = constant(x, x->at, v);
    if (n)
        n->literal = true;
    return n && mr_xlex_next(x) ? n : NULL;
}

/* Left and right strength, as in the manual, 3.4.8; right lower than left: binds to the right. */
static bool binary(const struct mr_xlexer *x, enum mr_x_op *op, int *left, int *right)
{
    static const struct {
        enum mr_xtoken token;
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

static struct mr_xnode *expression(struct mr_xlexer *x, int limit)
{
    struct mr_xnode *n;
    if (++x->depth > MR_X_DEPTH_MAX) {
        (void)mr_xlex_fail(x, x->at, "nested deeper than %d levels", MR_X_DEPTH_MAX);
        return NULL;
    }
    uint32_t at = x->at;
    enum mr_x_op op;
    if (x->token == T_NOT || mr_xlex_is(x, '-') || mr_xlex_is(x, '#') || mr_xlex_is(x, '~')) {
        op = x->token == T_NOT ? X_NOT : x->ch == '-' ? X_NEG : x->ch == '#' ? X_LEN : X_LUA;
        if (!mr_xlex_next(x) || !(n = expression(x, UNARY)))
            return NULL;
        n = fold(x, node_new(x, n->op == X_LUA ? X_LUA : op, at, n, NULL));
    } else {
        n = simple(x);
    }
    int left, right;
    while (n && binary(x, &op, &left, &right) && left > limit) {
        at = x->at;
        if (!mr_xlex_next(x))
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
            (void)mr_xlex_fail(x, at, "more than %d operators in a row", 2 * MR_X_DEPTH_MAX);
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
    struct mr_xlexer x = {.text = text, .p = text, .end = text + len, .tree = t, .err = err};
    struct mr_xnode *root = NULL;
    if (mr_xlex_next(&x))
        root = expression(&x, 0);
    if (root && !x.code && x.token != T_END)
        (void)mr_xlex_expected(&x, "an operator or the end");
    if (!x.code && (x.lua || !root))
        x.code = MR_UNSUPPORTED;
    t->root = root;
    if (!x.code && !buffers(t))
        (void)mr_xlex_no_memory(&x);
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
