/* check.c - the conformance test behind `millrace plugins --check`.
 *
 * What is looked at: the door (file, symbol, abi, size: catalog.c), names and texts, the option table (names,
 * help, defaults that read, bounds, places within self), and the beginning and end of a life under a host
 * that does nothing. Findings begin with FAIL; what was not tried, and why, with note.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/mem.h"
#include "plugin/catalog.h"
#include "plugin/host.h"
#include "plugin/lua_host.h"
#include "plugin/option.h"

#include <string.h>

/* ---------------------------------------------------------------- findings */

struct checker {
    struct mr_buf *out;
    const struct mr_component *c;
    const char *kind;
    bool good;
};

__attribute__((format(printf, 2, 3))) static void found(struct checker *k, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    k->good = false;
    (void)mr_buf_printf(k->out, "FAIL  %s '%s': %s\n", k->kind, k->c->name, text);
}

static bool is_name(const char *name)
{
    size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return n > 0 && !name[n] && !(name[0] >= '0' && name[0] <= '9');
}

static size_t size_of(enum mr_option_type t)
{
    switch (t) {
    case MR_OPT_STRING:
    case MR_OPT_FIELD:
        return sizeof(struct mr_slice);
    case MR_OPT_BOOL:
        return sizeof(bool);
    case MR_OPT_INT:
    case MR_OPT_DURATION:
    case MR_OPT_SIZE:
        return sizeof(int64_t);
    case MR_OPT_FLOAT:
        return sizeof(double);
    case MR_OPT_ENUM:
        return sizeof(int);
    case MR_OPT_STRINGS:
    case MR_OPT_FIELDS:
        return sizeof(struct mr_strings);
    case MR_OPT_VALUE:
        return sizeof(struct mr_value);
    case MR_OPT_EXPR:
    case MR_OPT_TEMPLATE:
        return sizeof(void *);
    case MR_OPT_EXPRS:
        return sizeof(struct mr_named_exprs);
    case MR_OPT_RENAMES:
        return sizeof(struct mr_renames);
    }
    return 0;
}

/* Returns how many options are required. A table that cannot be walked safely ends the check of the
 * component. */
static int check_options(struct checker *k, bool *walkable)
{
    enum { OPTIONS_MAX = 512 };
    const struct mr_component *c = k->c;
    int required = 0, mains = 0, n = 0;
    for (const struct mr_option *o = c->options; o && o->name; o++) {
        if (++n > OPTIONS_MAX) {
            found(k, "more than %d options: does the table end with { 0 }?", OPTIONS_MAX);
            *walkable = false;
            return required;
        }
        size_t size = size_of(o->type);
        if (!o->name[0]) {
            size = sizeof(void *);
        } else if (size == 0) {
            found(k, "option '%s' has type %d, which does not exist", o->name, (int)o->type);
            *walkable = false;
            continue;
        }
        if (o->at > c->self_size || size > c->self_size - o->at) {
            found(k, "option '%s' lies outside of self: %zu bytes at %u of %zu", o->name, size, o->at,
                  c->self_size);
            *walkable = false;
        }
        if (!o->name[0])
            continue;
        for (const struct mr_option *p = c->options; p < o; p++) {
            if (p->name[0] && strcmp(p->name, o->name) == 0)
                found(k, "option '%s' is there twice", o->name);
            if (p->name[0] && p->at < o->at + size && o->at < p->at + size_of(p->type))
                found(k, "options '%s' and '%s' share bytes of self", p->name, o->name);
        }
        if (!is_name(o->name))
            found(k, "option '%s': use a-z, 0-9 and _", o->name);
        if (!o->help || !o->help[0])
            found(k, "option '%s' has no help", o->name);
        if (o->type == MR_OPT_ENUM && (!o->choices || !o->choices[0])) {
            found(k, "option '%s' is a choice without choices", o->name);
            *walkable = false;
        }
        if (o->min > o->max)
            found(k, "option '%s': the least is greater than the most", o->name);
        if (o->required && o->value)
            found(k, "option '%s' is required and has a default: one of the two", o->name);
        required += o->required;
        mains += o->main;
    }
    if (mains > 1)
        found(k, "%d main options: one may stand alone", mains);
    return required;
}

static void check_life(struct checker *k, int required)
{
    const struct mr_component *c = k->c;
    void *self = mr_alloc(c->self_size ? c->self_size : 1);
    struct mr_heap_arena arena;
    struct mr_owned *owned = NULL;
    struct mr_diags diags = {0};
    struct mr_lua *lua = NULL;
    struct mr_host host = {.ops = &mr_host_idle, .label = "check", .lua = &lua};
    struct mr_open open = {.size = sizeof open, .services = mr_services(), .host = &host};
    struct mr_err err;
    if (!self) {
        found(k, "%zu bytes of self: no memory", c->self_size);
        return;
    }
    mr_heap_arena_init(&arena, 4096, 0, 16 << 20);
    if (c->close)
        c->close(self); /* zeroed self is fine, says the contract */
    memset(self, 0, c->self_size);
    bool filled = mr_options_fill(c->options, c->name, NULL, NULL, self, &arena.arena, &owned, &diags);
    for (uint32_t i = 0; i < diags.count; i++)
        if (!strstr(diags.v[i].text, "needs option"))
            found(k, "%s", diags.v[i].text);
    if (required) {
        (void)mr_buf_printf(k->out, "note  %s '%s' was not opened: it has required options\n", k->kind,
                            c->name);
    } else if (filled) {
        mr_err_clear(&err);
        mr_code rc = c->check ? c->check(self, &open, &err) : MR_OK;
        if (!rc) {
            mr_err_clear(&err);
            rc = c->open ? c->open(self, &open, &err) : MR_OK;
        }
        if (rc && !err.text[0])
            found(k, "check or open answers %d (%s) without a word in err", (int)rc, mr_code_text(rc));
        else if (rc)
            (void)mr_buf_printf(k->out, "note  %s '%s' does not open with defaults alone: %s\n", k->kind,
                                c->name, err.text);
        if (c->close)
            c->close(self);
    }
    mr_diags_fini(&diags);
    mr_options_fini(owned);
    mr_heap_arena_fini(&arena);
    mr_lua_free(lua);
    mr_free(self);
}

static bool check_component(const struct mr_component *c, struct mr_buf *out)
{
    struct checker k = {out, c,
                        c->kind == MR_SOURCE      ? "source"
                        : c->kind == MR_PROCESSOR ? "processor"
                                                  : "sink",
                        true};
    bool walkable = true;
    size_t len = c->summary ? strlen(c->summary) : 0;
    if (!is_name(c->name))
        found(&k, "name: use a-z, 0-9 and _");
    if (!len || c->summary[len - 1] != '.')
        found(&k, "summary: one sentence that ends with a full stop");
    int required = check_options(&k, &walkable);
    if (walkable)
        check_life(&k, required);
    if (k.good)
        (void)mr_buf_printf(out, "ok    %s '%s'\n", k.kind, c->name);
    return k.good;
}

bool mr_catalog_check(const char *path, struct mr_buf *out)
{
    struct mr_catalog *c = NULL;
    struct mr_err err;
    size_t len = strlen(path);
    bool lua = len > 4 && strcmp(path + len - 4, ".lua") == 0;
    mr_code rc = mr_catalog_new(&c, &err);
    if (!rc)
        rc = lua ? mr_catalog_load_lua(c, path, &err) : mr_catalog_load(c, path, &err);
    bool good = rc == MR_OK;
    if (rc) {
        (void)mr_buf_printf(out, "FAIL  %s\n", err.text);
    } else {
        size_t found_any = 0;
        for (size_t i = 0; i < mr_catalog_count(c); i++) {
            const struct mr_catalog_entry *e = mr_catalog_at(c, i);
            if (!e->path)
                continue;
            found_any++;
            good = check_component(e->component, out) && good;
        }
        if (!found_any) {
            (void)mr_buf_printf(out, "FAIL  %s: no components\n", path);
            good = false;
        }
    }
    mr_catalog_free(c);
    return good;
}
