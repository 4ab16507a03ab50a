/* option.c - from a tree into a component's self.
 *
 * A walk in two passes: the user's words first, each complaint at its place; then defaults for what was not
 * given, read by the same readers, so that a default is exactly what a person could have written.
 *
 * Laws
 *   O1  nothing secret is ever printed: messages name the option, not its text
 *   O2  self is written only by the reader of its option's type, at `at`
 *   O3  whatever was made for self is in `owned`, also when something later is wrong
 */
#include "plugin/option.h"

#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/time.h"
#include "data/batch.h"
#include "data/template.h"
#include "plugin/host.h"

#include <inttypes.h>
#include <stdlib.h>

enum { NOTE_MAX = 1024, NAMES_MAX = 128 };

struct mr_owned {
    struct mr_owned *next;
    struct mr_expr *expr;
    struct mr_template *template;
};

struct filler {
    const struct mr_option *table;
    const char *what;
    char *self;
    struct mr_arena *a;
    struct mr_owned **owned;
    struct mr_diags *diags;
};

void mr_options_fini(struct mr_owned *owned)
{
    while (owned) {
        struct mr_owned *next = owned->next;
        if (owned->expr)
            mr_expr_free(owned->expr);
        if (owned->template)
            mr_template_free(owned->template);
        mr_free(owned);
        owned = next;
    }
}

static bool remember(struct filler *f, struct mr_expr *x, struct mr_template *t)
{
    struct mr_owned *o = mr_alloc(sizeof *o);
    if (!o) {
        if (x)
            mr_expr_free(x);
        if (t)
            mr_template_free(t);
        return false;
    }
    *o = (struct mr_owned){.next = *f->owned, .expr = x, .template = t};
    *f->owned = o;
    return true;
}

static bool shown(const struct mr_option *o)
{
    return o->name[0] != '\0';
}

static const struct mr_option *main_option(const struct mr_option *table)
{
    for (const struct mr_option *o = table; o && o->name; o++)
        if (o->main && shown(o))
            return o;
    return NULL;
}

static const struct mr_option *find(const struct mr_option *table, struct mr_slice name)
{
    for (const struct mr_option *o = table; o && o->name; o++)
        if (shown(o) && mr_slice_eq(mr_slice_of(o->name), name))
            return o;
    return NULL;
}

static bool is_null(const struct mr_node *n)
{
    if (n->kind != MR_NODE_SCALAR || !n->plain)
        return false;
    return n->text.len == 0 || mr_slice_eq(n->text, MR_SLICE("null")) ||
           mr_slice_eq(n->text, MR_SLICE("~")) || mr_slice_eq(n->text, MR_SLICE("Null")) ||
           mr_slice_eq(n->text, MR_SLICE("NULL"));
}

static bool takes_map(const struct mr_option *o)
{
    return o && (o->type == MR_OPT_EXPRS || o->type == MR_OPT_RENAMES || o->type == MR_OPT_VALUE);
}

/* Is this node what the main option gets, rather than a map of options? A map is, when the main option takes
 * one, and its keys are not the names of options. */
static bool is_main(const struct mr_option *table, const struct mr_node *n)
{
    const struct mr_option *m = main_option(table);
    if (n->kind != MR_NODE_MAP)
        return true;
    if (!takes_map(m) || mr_node_get(n, m->name))
        return false;
    if (n->count == 0)
        return false;
    for (const struct mr_node *c = n->first; c; c = c->next)
        if (!find(table, c->key))
            return true;
    return m->required;
}

const struct mr_node *mr_options_node(const struct mr_option *table, const struct mr_node *n,
                                      const char *name)
{
    if (!n)
        return NULL;
    if (is_main(table, n)) {
        const struct mr_option *m = main_option(table);
        return m && name && strcmp(m->name, name) == 0 ? n : NULL;
    }
    return name ? mr_node_get(n, name) : NULL;
}

/* "options: a, b, c", cut where the note ends */
static void list_names(char *out, size_t cap, const char *lead, const char *const *names, size_t count)
{
    size_t at = strlen(out);
    for (size_t i = 0; i < count && at < cap; i++) {
        int n = snprintf(out + at, cap - at, "%s%s", i ? ", " : lead, names[i]);
        at += n > 0 ? (size_t)n : 0;
    }
}

static void say_unknown(struct filler *f, const struct mr_node *value)
{
    const char *names[NAMES_MAX] = {NULL};
    size_t count = 0;
    for (const struct mr_option *o = f->table; o && o->name && count < NAMES_MAX; o++)
        if (shown(o))
            names[count++] = o->name;
    char note[NOTE_MAX] = "";
    const char *near = mr_nearest(value->key, names, count);
    if (near)
        snprintf(note, sizeof note, "did you mean '%s'? ", near);
    if (count)
        list_names(note, sizeof note, "options: ", names, count);
    else
        snprintf(note, sizeof note, "it has no options");
    mr_diag_key(f->diags, value, note, "unknown option '%.*s' of %s", MR_SLICE_ARG(value->key), f->what);
}

static const char *kind_text(const struct mr_node *n)
{
    return n->kind == MR_NODE_LIST ? "a list" : n->kind == MR_NODE_MAP ? "a map" : "a scalar";
}

static const char *wanted_text(enum mr_option_type t)
{
    switch (t) {
    case MR_OPT_STRING:
        return "text";
    case MR_OPT_BOOL:
        return "true or false";
    case MR_OPT_INT:
        return "a whole number";
    case MR_OPT_FLOAT:
        return "a number";
    case MR_OPT_DURATION:
        return "a duration such as 10s";
    case MR_OPT_SIZE:
        return "a size such as 4MiB";
    case MR_OPT_ENUM:
        return "one of its choices";
    case MR_OPT_STRINGS:
        return "a list of texts";
    case MR_OPT_VALUE:
        return "any value";
    case MR_OPT_EXPR:
        return "an expression over e and m";
    case MR_OPT_EXPRS:
        return "a map of field: expression";
    case MR_OPT_TEMPLATE:
        return "text with {{ path }}";
    case MR_OPT_FIELD:
        return "the path of a field, such as http.path";
    case MR_OPT_FIELDS:
        return "a list of field paths";
    case MR_OPT_RENAMES:
        return "a map of old path: new path";
    }
    return "something else";
}

/* ---------------------------------------------------------------- one reader a type */

__attribute__((format(printf, 4, 5))) static bool wrong(struct filler *f, const struct mr_option *o,
                                                        const struct mr_node *n, const char *format, ...)
{
    char text[NOTE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    mr_diag_node(f->diags, n, 0, NULL, "option '%s' of %s %s", o->name, f->what, text);
    return false;
}

/* `%s` of the subject, or of nothing when it is secret (O1) */
static const char *quoted(const struct mr_option *o, const struct mr_node *n, char out[80])
{
    if (o->secret || n->secret)
        return "what it was given (secret)";
    if (n->text.len > 60)
        snprintf(out, 80, "'%.57s...'", n->text.p);
    else
        snprintf(out, 80, "'%.*s'", MR_SLICE_ARG(n->text));
    return out;
}

static bool copy_text(struct filler *f, struct mr_slice in, struct mr_slice *out)
{
    char *p = mr_arena_take(f->a, in.len + 1);
    if (!p)
        return false;
    if (in.len)
        memcpy(p, in.p, in.len);
    p[in.len] = '\0'; /* a courtesy to components that hand it to libc */
    *out = (struct mr_slice){p, in.len};
    return true;
}

static bool no_room(struct filler *f, const struct mr_option *o, const struct mr_node *n)
{
    return wrong(f, o, n, "does not fit into the memory kept for options");
}

static bool scalar_only(struct filler *f, const struct mr_option *o, const struct mr_node *n)
{
    if (n->kind == MR_NODE_SCALAR)
        return true;
    return wrong(f, o, n, "takes %s, not %s", wanted_text(o->type), kind_text(n));
}

void mr_option_bound(const struct mr_option *o, int64_t v, char out[40])
{
    if (o->type == MR_OPT_DURATION)
        (void)mr_duration_print(v, out);
    else if (o->type == MR_OPT_SIZE)
        (void)mr_size_print(v, out);
    else
        snprintf(out, 40, "%" PRId64, v);
}

static bool in_bounds(struct filler *f, const struct mr_option *o, const struct mr_node *n, int64_t v,
                      double d)
{
    if (o->min == 0 && o->max == 0)
        return true;
    bool low = o->type == MR_OPT_FLOAT ? d < (double)o->min : v < o->min;
    bool high = o->type == MR_OPT_FLOAT ? !(d <= (double)o->max) : v > o->max;
    if (!low && !high)
        return true;
    char min[40], max[40], q[80];
    mr_option_bound(o, o->min, min);
    mr_option_bound(o, o->max, max);
    return wrong(f, o, n, "is %s: it must be from %s to %s%s%s", quoted(o, n, q), min, max,
                 o->unit ? " " : "", o->unit ? o->unit : "");
}

static bool read_number(struct filler *f, const struct mr_option *o, const struct mr_node *n)
{
    char *at = f->self + o->at, q[80];
    int64_t i = 0;
    double d = 0;
    struct mr_err err;
    mr_err_clear(&err);
    struct mr_node plain = *n;
    plain.plain = true;
    struct mr_value v;
    if (o->type == MR_OPT_INT || o->type == MR_OPT_FLOAT) {
        if (!mr_node_value(&plain, f->a, &v))
            return no_room(f, o, n);
        if (v.tag == MR_INT) {
            i = v.u.i;
            d = (double)v.u.i;
        } else if (v.tag == MR_FLOAT && o->type == MR_OPT_FLOAT) {
            d = v.u.f;
        } else {
            return wrong(f, o, n, "takes %s, not %s", wanted_text(o->type), quoted(o, n, q));
        }
    } else {
        mr_code rc = o->type == MR_OPT_DURATION ? mr_duration_parse(n->text, &i, &err)
                                                : mr_size_parse(n->text, &i, &err);
        if (rc != MR_OK) {
            bool bare = o->type == MR_OPT_DURATION && mr_parse_i64(n->text, &i);
            if (bare && !o->secret && !n->secret)
                return wrong(f, o, n, "is %s: a bare number needs its unit: write %.*ss", quoted(o, n, q),
                             MR_SLICE_ARG(n->text));
            if (o->secret || n->secret)
                return wrong(f, o, n, "takes %s", wanted_text(o->type));
            return wrong(f, o, n, "is %s: %s", quoted(o, n, q), err.text);
        }
    }
    if (!in_bounds(f, o, n, i, d))
        return false;
    if (o->type == MR_OPT_FLOAT)
        memcpy(at, &d, sizeof d);
    else
        memcpy(at, &i, sizeof i);
    return true;
}

static bool read_enum(struct filler *f, const struct mr_option *o, const struct mr_node *n)
{
    size_t count = 0;
    for (; o->choices && o->choices[count]; count++) {
        if (mr_slice_eq(n->text, mr_slice_of(o->choices[count]))) {
            int chosen = (int)count;
            memcpy(f->self + o->at, &chosen, sizeof chosen);
            return true;
        }
    }
    char note[NOTE_MAX] = "", q[80];
    const char *near = mr_nearest(n->text, o->choices, count);
    if (near)
        snprintf(note, sizeof note, "did you mean '%s'? ", near);
    list_names(note, sizeof note, "choices: ", o->choices, count);
    mr_diag_node(f->diags, n, 0, note, "option '%s' of %s cannot be %s", o->name, f->what, quoted(o, n, q));
    return false;
}

/* `e.` belongs to expressions. A path that begins so is right only where events have a field e: a warning. */
static void warn_of_e(struct filler *f, const struct mr_option *o, const struct mr_node *n,
                      struct mr_slice path, bool key)
{
    char note[160];
    uint32_t before = f->diags->count;
    if (!n->file || n->secret || path.len < 3 || memcmp(path.p, "e.", 2) != 0)
        return;
    int rest = (int)(path.len - 2 < 80 ? path.len - 2 : 80);
    (void)snprintf(note, sizeof note, "'e.' is for expressions; here write '%.*s'", rest, path.p + 2);
    if (key)
        mr_diag_key(f->diags, n, note, "option '%s' of %s: 'e.%.*s' is looked for inside of a field e",
                    o->name, f->what, rest, path.p + 2);
    else
        mr_diag_node(f->diags, n, 0, note, "option '%s' of %s: 'e.%.*s' is looked for inside of a field e",
                     o->name, f->what, rest, path.p + 2);
    if (f->diags->count == before) /* beyond MR_DIAGS_MAX: counted as one more */
        return;
    f->diags->v[f->diags->count - 1].warning = true;
    if (f->diags->errors)
        f->diags->errors--;
}

static bool is_path(struct filler *f, const struct mr_option *o, const struct mr_node *n,
                    struct mr_slice text, bool key)
{
    struct mr_path *path = NULL;
    struct mr_err err;
    mr_err_clear(&err);
    if (mr_path_parse(text.p, text.len, &path, &err) == MR_OK) {
        mr_path_free(path);
        warn_of_e(f, o, n, text, key);
        return true;
    }
    if (key)
        mr_diag_key(f->diags, n, NULL, "option '%s' of %s: '%.*s' is not the path of a field: %s", o->name,
                    f->what, MR_SLICE_ARG(text), err.text);
    else
        mr_diag_node(f->diags, n, err.at, NULL, "option '%s' of %s: '%.*s' is not the path of a field: %s",
                     o->name, f->what, MR_SLICE_ARG(text), err.text);
    return false;
}

static bool read_strings(struct filler *f, const struct mr_option *o, const struct mr_node *n)
{
    bool ok = true;
    if (n->kind == MR_NODE_MAP)
        return wrong(f, o, n, "takes %s, not a map", wanted_text(o->type));
    uint32_t count = n->kind == MR_NODE_LIST ? n->count : 1;
    struct mr_strings out = {0, mr_arena_take(f->a, (count + 1) * sizeof *out.v)};
    if (!out.v)
        return no_room(f, o, n);
    const struct mr_node *one = n->kind == MR_NODE_LIST ? n->first : n;
    for (; one; one = n->kind == MR_NODE_LIST ? one->next : NULL) {
        if (one->kind != MR_NODE_SCALAR) {
            ok = wrong(f, o, one, "takes a list of texts; this item is %s", kind_text(one));
            continue;
        }
        if (o->type == MR_OPT_FIELDS && !is_path(f, o, one, one->text, false)) {
            ok = false;
            continue;
        }
        if (!copy_text(f, one->text, &out.v[out.count++]))
            return no_room(f, o, n);
    }
    memcpy(f->self + o->at, &out, sizeof out);
    return ok;
}

static bool read_renames(struct filler *f, const struct mr_option *o, const struct mr_node *n)
{
    bool ok = true;
    if (n->kind != MR_NODE_MAP)
        return wrong(f, o, n, "takes %s, not %s", wanted_text(o->type), kind_text(n));
    struct mr_renames out = {0, mr_arena_take(f->a, (n->count + 1) * sizeof *out.v)};
    if (!out.v)
        return no_room(f, o, n);
    for (const struct mr_node *c = n->first; c; c = c->next) {
        if (c->kind != MR_NODE_SCALAR) {
            ok = wrong(f, o, c, "takes %s; this one is %s", wanted_text(o->type), kind_text(c));
            continue;
        }
        bool from = is_path(f, o, c, c->key, true), to = is_path(f, o, c, c->text, false);
        if (!from || !to) {
            ok = false;
            continue;
        }
        struct mr_rename *r = &out.v[out.count++];
        if (!copy_text(f, c->key, &r->from) || !copy_text(f, c->text, &r->to))
            return no_room(f, o, n);
    }
    memcpy(f->self + o->at, &out, sizeof out);
    return ok;
}

static bool compile(struct filler *f, const struct mr_option *o, const struct mr_node *n,
                    struct mr_expr **out)
{
    struct mr_err err;
    mr_err_clear(&err);
    if (n->text.len == 0)
        return wrong(f, o, n, "is empty: write an expression over e and m, such as e.status >= 500");
    if (mr_expr_new(n->text.p, n->text.len, out, &err) != MR_OK) {
        mr_diag_node(f->diags, n, err.at, NULL, "option '%s' of %s: %s", o->name, f->what, err.text);
        return false;
    }
    return remember(f, *out, NULL) || no_room(f, o, n); /* O3 */
}

static bool read_exprs(struct filler *f, const struct mr_option *o, const struct mr_node *n)
{
    bool ok = true;
    if (n->kind != MR_NODE_MAP)
        return wrong(f, o, n, "takes %s, not %s", wanted_text(o->type), kind_text(n));
    struct mr_named_exprs out = {0, mr_arena_take(f->a, (n->count + 1) * sizeof *out.v)};
    if (!out.v)
        return no_room(f, o, n);
    for (const struct mr_node *c = n->first; c; c = c->next) {
        struct mr_named_expr *x = &out.v[out.count];
        x->expr = NULL;
        if (c->kind != MR_NODE_SCALAR) {
            ok = wrong(f, o, c, "takes %s; this one is %s", wanted_text(o->type), kind_text(c));
            continue;
        }
        if (!is_path(f, o, c, c->key, true)) {
            ok = false;
            continue;
        }
        struct mr_value v;
        if (!copy_text(f, c->key, &x->name) || !mr_node_value(c, f->a, &v))
            return no_room(f, o, n);
        if (v.tag == MR_STRING) {
            if (!compile(f, o, c, &x->expr)) {
                ok = false;
                continue;
            }
        } else if (!(x->expr = mr_expr_constant(&v)) || !remember(f, x->expr, NULL)) {
            return no_room(f, o, n);
        }
        out.count++;
    }
    memcpy(f->self + o->at, &out, sizeof out);
    return ok;
}

static bool read_template(struct filler *f, const struct mr_option *o, const struct mr_node *n)
{
    struct mr_template *t = NULL;
    struct mr_slice text;
    struct mr_err err;
    mr_err_clear(&err);
    if (!copy_text(f, n->text, &text))
        return no_room(f, o, n);
    if (mr_template_parse(text.p, text.len, &t, &err) != MR_OK) {
        mr_diag_node(f->diags, n, err.at, NULL, "option '%s' of %s: %s", o->name, f->what, err.text);
        return false;
    }
    if (!remember(f, NULL, t))
        return no_room(f, o, n);
    for (size_t i = 0; i + 4 < text.len; i++) { /* {{ e.x }} */
        size_t end = i + 2;
        if (memcmp(text.p + i, "{{", 2) != 0)
            continue;
        while (end < text.len && text.p[end] == ' ')
            end++;
        i = end;
        while (end < text.len && text.p[end] != ' ' && text.p[end] != '|' && text.p[end] != '}')
            end++;
        warn_of_e(f, o, n, (struct mr_slice){text.p + i, end - i}, false);
        i = end;
    }
    memcpy(f->self + o->at, &t, sizeof t);
    return true;
}

static bool read_one(struct filler *f, const struct mr_option *o, const struct mr_node *n)
{
    char *at = f->self + o->at, q[80];
    struct mr_slice text;
    if (o->type != MR_OPT_VALUE && is_null(n) && n->file)
        return wrong(f, o, n, "has no value: give it %s, or take the line away", wanted_text(o->type));
    switch (o->type) {
    case MR_OPT_VALUE: {
        struct mr_value v;
        if (!mr_node_value(n, f->a, &v))
            return no_room(f, o, n);
        memcpy(at, &v, sizeof v);
        return true;
    }
    case MR_OPT_STRINGS:
    case MR_OPT_FIELDS:
        return read_strings(f, o, n);
    case MR_OPT_EXPRS:
        return read_exprs(f, o, n);
    case MR_OPT_RENAMES:
        return read_renames(f, o, n);
    default:
        break;
    }
    if (!scalar_only(f, o, n))
        return false;
    switch (o->type) {
    case MR_OPT_FIELD:
        if (!is_path(f, o, n, n->text, false))
            return false;
        /* fall through */
    case MR_OPT_STRING:
        if (!copy_text(f, n->text, &text))
            return no_room(f, o, n);
        memcpy(at, &text, sizeof text);
        return true;
    case MR_OPT_BOOL: {
        bool yes = mr_slice_eq(n->text, MR_SLICE("true")), no = mr_slice_eq(n->text, MR_SLICE("false"));
        if (!yes && !no)
            return wrong(f, o, n, "is %s: write true or false", quoted(o, n, q));
        memcpy(at, &yes, sizeof yes);
        return true;
    }
    case MR_OPT_ENUM:
        return read_enum(f, o, n);
    case MR_OPT_EXPR: {
        struct mr_expr *x = NULL;
        if (!compile(f, o, n, &x))
            return false;
        memcpy(at, &x, sizeof x);
        return true;
    }
    case MR_OPT_TEMPLATE:
        return read_template(f, o, n);
    default:
        return read_number(f, o, n);
    }
}

/* ---------------------------------------------------------------- defaults */

/* A default is written as YAML: a scalar, or a flat [a, b] or {} of scalars. */
static bool fill_default(struct filler *f, const struct mr_option *o, const struct mr_node *where)
{
    struct mr_slice t = mr_slice_of(o->value);
    struct mr_node n = {.plain = true, .file = NULL, .line = where ? where->line : 1, .column = 1, .text = t};
    enum { ITEMS_MAX = 32 };
    struct mr_node items[ITEMS_MAX];
    if (t.len >= 2 && (t.p[0] == '"' || t.p[0] == '\'') && t.p[t.len - 1] == t.p[0]) {
        n.plain = false;
        n.text = (struct mr_slice){t.p + 1, t.len - 2};
    } else if (t.len >= 2 && t.p[0] == '{' && t.p[t.len - 1] == '}' && o->type != MR_OPT_TEMPLATE &&
               o->type != MR_OPT_STRING && o->type != MR_OPT_EXPR) {
        mr_assert(t.len == 2); /* only the empty map is a default */
        n.kind = MR_NODE_MAP;
    } else if (t.len >= 2 && t.p[0] == '[' && t.p[t.len - 1] == ']' &&
               (o->type == MR_OPT_STRINGS || o->type == MR_OPT_FIELDS || o->type == MR_OPT_VALUE)) {
        n.kind = MR_NODE_LIST;
        size_t i = 1, end = t.len - 1;
        while (i < end) {
            size_t stop = i;
            while (stop < end && t.p[stop] != ',')
                stop++;
            size_t a = i, b = stop;
            while (a < b && t.p[a] == ' ')
                a++;
            while (b > a && t.p[b - 1] == ' ')
                b--;
            bool q = b - a >= 2 && (t.p[a] == '"' || t.p[a] == '\'') && t.p[b - 1] == t.p[a];
            if (b > a) {
                mr_assert(n.count < ITEMS_MAX);
                items[n.count] = (struct mr_node){
                    .plain = !q, .line = n.line, .column = 1, .text = {t.p + a + q, b - a - 2 * (size_t)q}};
                if (n.count)
                    items[n.count - 1].next = &items[n.count];
                n.count++;
            }
            i = stop + 1;
        }
        n.first = n.count ? items : NULL;
    }
    return read_one(f, o, &n);
}

bool mr_options_fill(const struct mr_option *table, const char *what, const struct mr_node *n,
                     const struct mr_node *where, void *self, struct mr_arena *a, struct mr_owned **owned,
                     struct mr_diags *diags)
{
    struct filler f = {table, what, self, a, owned, diags};
    uint32_t before = diags->errors;
    const struct mr_option *m = main_option(table);
    const struct mr_node *whole = NULL; /* the node of the main option, when it stands alone */
    if (n && is_null(n))
        n = NULL;
    if (n && is_main(table, n)) {
        if (!m) {
            mr_diag_node(diags, n, 0, NULL, "%s takes a map of options, not %s", what, kind_text(n));
            return false;
        }
        whole = n;
    } else if (n) {
        for (const struct mr_node *c = n->first; c; c = c->next)
            if (!find(table, c->key))
                say_unknown(&f, c);
    }
    for (const struct mr_option *o = table; o && o->name; o++) {
        if (!shown(o)) {
            memcpy(f.self + o->at, &o->value, sizeof o->value);
            continue;
        }
        const struct mr_node *given = whole ? (o == m ? whole : NULL) : mr_node_get(n, o->name);
        if (given) {
            (void)read_one(&f, o, given);
        } else if (o->value) {
            (void)fill_default(&f, o, where);
        } else if (o->required) {
            const struct mr_node *blame = where ? where : n;
            static const struct mr_node nowhere = {.line = 1, .column = 1};
            size_t len = o->help ? strlen(o->help) : 0; /* without the full stop of a sentence */
            mr_diag_node(diags, blame ? blame : &nowhere, 0, NULL, "%s needs option '%s'%s%.*s%s%s", what,
                         o->name, o->help ? ": " : "", (int)(len - (len && o->help[len - 1] == '.')),
                         o->help ? o->help : "", o->example ? "; such as " : "",
                         o->example ? o->example : "");
        }
    }
    return diags->errors == before;
}
