/* node_file.c - see node_file.h. */
#include "cli/node_file.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"

#include <errno.h>

enum { FILE_BYTES_MAX = 1 << 20 };

struct reading {
    struct mr_cli_node_file *f;
    struct mr_node_layer *layer;
    struct mr_diags diags;
    struct mr_config_file source;
};

static const char *keep(struct reading *r, struct mr_slice text)
{
    char *p = mr_arena_take(&r->f->arena.arena, text.len + 1);
    if (!p)
        return "";
    if (text.len)
        memcpy(p, text.p, text.len);
    p[text.len] = '\0';
    return p;
}

/* Keys that a map may have. false: it is no map. */
static bool keys_of(struct reading *r, const struct mr_node *n, const char *const *known, size_t count,
                    const char *what)
{
    if (n->kind != MR_NODE_MAP) {
        mr_diag_node(&r->diags, n, 0, NULL, "%s is a map", what);
        return false;
    }
    for (const struct mr_node *c = n->first; c; c = c->next) {
        bool found = false;
        for (size_t i = 0; i < count; i++)
            found |= mr_slice_eq(c->key, mr_slice_of(known[i]));
        if (found)
            continue;
        const char *near = mr_nearest(c->key, known, count);
        char note[128];
        (void)snprintf(note, sizeof note, near ? "did you mean '%s'?" : "%s", near ? near : "");
        mr_diag_key(&r->diags, c, near ? note : NULL, "unknown key '%.*s' of %s", MR_SLICE_ARG(c->key), what);
    }
    return true;
}

static bool scalar(struct reading *r, const struct mr_node *n, const char *what, struct mr_slice *out)
{
    *out = n->text;
    if (n->kind == MR_NODE_SCALAR && n->text.len > 0)
        return true;
    mr_diag_node(&r->diags, n, 0, NULL, "%s", what);
    return false;
}

/* ------------------------------------------------------------------ listeners */

/* "NAME://" and an address, after a comma when it is not the first. */
static bool add(struct mr_buf *to, struct mr_slice name, struct mr_slice address)
{
    return mr_buf_printf(to, "%s%.*s%s%.*s", to->len ? "," : "", MR_SLICE_ARG(name), name.len ? "://" : "",
                         MR_SLICE_ARG(address));
}

static bool one_listener(struct reading *r, const struct mr_node *n, size_t place, struct mr_buf *listen,
                         struct mr_buf *advertise)
{
    static const char *const known[] = {"name", "bind", "advertise"};
    struct mr_slice name = {0}, bind = {0}, shown = {0};
    char unnamed[32];
    if (n->kind == MR_NODE_SCALAR)
        return scalar(r, n, "a listener is an address, such as 127.0.0.1:9092", &bind) &&
               add(listen, name, bind);
    if (!keys_of(r, n, known, 3, "a listener"))
        return true; /* told */
    const struct mr_node *own = mr_node_get(n, "name"), *at = mr_node_get(n, "bind"),
                         *as = mr_node_get(n, "advertise");
    if (!at) {
        mr_diag_node(&r->diags, n, 0, NULL, "a listener needs 'bind', such as bind: 127.0.0.1:9092");
        return true;
    }
    if ((own && !scalar(r, own, "the name of a listener is a word", &name)) ||
        !scalar(r, at, "'bind' is an address, such as 127.0.0.1:9092", &bind) ||
        (as && !scalar(r, as, "'advertise' is an address, such as log1.example:9092", &shown)))
        return true;
    if (as && !own) { /* a name by which the address finds it */
        (void)snprintf(unnamed, sizeof unnamed, place ? "PLAINTEXT-%zu" : "PLAINTEXT", place + 1);
        name = mr_slice_of(unnamed);
    }
    return add(listen, name, bind) && (!as || add(advertise, name, shown));
}

static void read_listeners(struct reading *r, const struct mr_node *n)
{
    struct mr_buf listen = {0}, advertise = {0};
    bool ok = true;
    size_t place = 0;
    if (n->kind != MR_NODE_LIST || !n->first) {
        mr_diag_node(&r->diags, n, 0, NULL,
                     "'listeners' is a list, such as [ 127.0.0.1:9092 ] or [ { name: A, bind: ... } ]");
        return;
    }
    for (const struct mr_node *c = n->first; ok && c; c = c->next)
        ok = one_listener(r, c, place++, &listen, &advertise);
    if (!ok && !r->diags.count)
        mr_diag_node(&r->diags, n, 0, NULL, "no memory for the listeners");
    r->f->listen = keep(r, (struct mr_slice){listen.p, listen.len});
    if (advertise.len)
        r->f->advertise = keep(r, (struct mr_slice){advertise.p, advertise.len});
    mr_buf_fini(&listen);
    mr_buf_fini(&advertise);
}

/* ------------------------------------------------------------------ settings */

/* A list is its words with commas between them. */
static bool value_of(struct reading *r, const struct mr_node *n, struct mr_buf *out)
{
    if (n->kind == MR_NODE_SCALAR)
        return mr_buf_put(out, n->text.p, n->text.len);
    for (const struct mr_node *c = n->first; c; c = c->next) {
        if (n->kind != MR_NODE_LIST || c->kind != MR_NODE_SCALAR) {
            mr_diag_node(&r->diags, n, 0, NULL, "the value of a setting is a word, a number, or a list");
            return false;
        }
        if (!mr_buf_printf(out, "%s%.*s", out->len ? "," : "", MR_SLICE_ARG(c->text)))
            return false;
    }
    return true;
}

static void read_settings(struct reading *r, const struct mr_node *n)
{
    if (n->kind != MR_NODE_MAP) {
        mr_diag_node(&r->diags, n, 0, NULL,
                     "'settings' is a map by Kafka's names, such as num.partitions: 3");
        return;
    }
    for (const struct mr_node *c = n->first; c; c = c->next) {
        struct mr_buf value = {0};
        struct mr_err err = {0};
        if (value_of(r, c, &value) &&
            mr_node_layer_set(r->layer, c->key, (struct mr_slice){value.p, value.len}, &err)) {
            if (mr_node_setting_known(c->key))
                mr_diag_node(&r->diags, c, 0, NULL, "%s", err.text);
            else
                mr_diag_key(&r->diags, c, NULL, "%s", err.text);
        }
        mr_buf_fini(&value);
    }
}

/* ------------------------------------------------------------------ the file */

static bool read_text(const char *path, struct reading *r)
{
    struct mr_buf text = {0};
    char block[4096];
    size_t got;
    FILE *in = fopen(path, "rbe");
    if (!in) {
        mr_cli_say("millrace: error: cannot read '%s': %s", path, strerror(errno));
        return false;
    }
    bool ok = true;
    while (ok && text.len <= FILE_BYTES_MAX && (got = fread(block, 1, sizeof block, in)) > 0)
        ok = mr_buf_put(&text, block, got);
    bool bad = ferror(in) != 0;
    (void)fclose(in);
    if (bad)
        mr_cli_say("millrace: error: cannot read '%s'", path);
    else if (text.len > FILE_BYTES_MAX)
        mr_cli_say("millrace: error: '%s' is larger than %d bytes", path, FILE_BYTES_MAX);
    else
        r->source = (struct mr_config_file){path, {keep(r, (struct mr_slice){text.p, text.len}), text.len}};
    mr_buf_fini(&text);
    return r->source.name != NULL;
}

static void read_root(struct reading *r, const struct mr_node *root)
{
    static const char *const known[] = {"data", "listeners", "settings"};
    struct mr_slice data = {0};
    if (!keys_of(r, root, known, 3, "a node's file"))
        return;
    for (const struct mr_node *c = root->first; c; c = c->next)
        if (mr_slice_eq(c->key, mr_slice_of("data"))) {
            if (scalar(r, c, "'data' is a directory", &data))
                r->f->data = keep(r, data);
        } else if (mr_slice_eq(c->key, mr_slice_of("listeners"))) {
            read_listeners(r, c);
        } else if (mr_slice_eq(c->key, mr_slice_of("settings"))) {
            read_settings(r, c);
        }
}

int mr_cli_node_file_load(const char *path, struct mr_cli_node_file *f, struct mr_node_layer *layer)
{
    struct reading r = {.f = f, .layer = layer};
    *f = (struct mr_cli_node_file){0};
    mr_heap_arena_init(&f->arena, 16 << 10, 0, 64 << 20);
    if (!read_text(path, &r))
        return MR_EXIT_USAGE;
    struct mr_node *root = mr_yaml_read(path, r.source.text, &f->arena, &r.diags);
    if (root && !r.diags.errors) {
        mr_substitute(root, NULL, NULL, &f->arena, &r.diags);
        read_root(&r, root);
    }
    bool wrong = r.diags.errors > 0 || !root;
    if (r.diags.count)
        mr_diags_print(&r.diags, &r.source, 1, stderr, mr_cli_color(stderr));
    mr_diags_fini(&r.diags);
    return wrong ? MR_EXIT_USAGE : MR_EXIT_OK;
}

void mr_cli_node_file_fini(struct mr_cli_node_file *f)
{
    mr_heap_arena_fini(&f->arena);
}
