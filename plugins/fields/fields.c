/* fields.c - the steps `set`, `remove` and `rename`: fields of events by path, a whole batch at a time.
 *
 * A path without '.' and '[' is a column: that is the quick way, a loop over values. All others go through
 * services->get and services->set, event by event.
 */
#include <millrace/plugin.h>

#include <stdlib.h>

struct set {
    struct mr_named_exprs fields;
    const struct mr_services *services;
    struct mr_host *host;
    struct mr_value values[MR_BATCH_ROWS_MAX];
};

struct remove {
    struct mr_strings fields;
    const struct mr_services *services;
};

struct rename {
    struct mr_renames fields;
    const struct mr_services *services;
    struct mr_value values[MR_BATCH_ROWS_MAX];
};

static bool is_column(struct mr_slice path)
{
    return path.len > 0 && !memchr(path.p, '.', path.len) && !memchr(path.p, '[', path.len) &&
           path.p[0] != '"';
}

/* Writes values[row] to `path` of every chosen event that is still there. MR_MISSING removes, or with
 * `leave_missing` does nothing. */
static void write_field(const struct mr_services *s, struct mr_batch *b, struct mr_slice path,
                        const struct mr_value *values, bool leave_missing)
{
    int32_t slot = is_column(path) ? s->slot(b, path.p, path.len, true) : -1;
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t row = b->sel[k];
        if (b->fate[row] != MR_KEPT || (leave_missing && values[row].tag == MR_MISSING))
            continue;
        if (slot >= 0) {
            b->column[slot].v[row] = values[row];
            mr_batch_touch(b, row);
        } else if (!s->set(b, row, path.p, path.len, values[row])) {
            s->reject(
                b, row,
                "cannot set '%.*s': something on the way is not an object, or the event would be too large",
                MR_SLICE_ARG(path));
        }
    }
}

/* ---------------------------------------------------------------- set */

static mr_code open_set(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct set *s = self;
    (void)err;
    s->services = o->services;
    s->host = o->host;
    return MR_OK;
}

static mr_code set(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct set *s = self;
    (void)err;
    for (uint32_t i = 0; i < s->fields.count; i++) {
        s->services->eval(s->host, s->fields.v[i].expr, b, s->values);
        write_field(s->services, b, s->fields.v[i].name, s->values, false);
    }
    return MR_OK;
}

static const struct mr_option set_options[] = {
    {.name = "fields",
     .type = MR_OPT_EXPRS,
     .at = offsetof(struct set, fields),
     .required = true,
     .main = true,
     .help =
         "field path: expression, or a number, true, false or null; a text needs quotes inside the quotes",
     .example = "{ slow: e.latency > 0.5, env: \"'prod'\", version: 2 }"},
    {0},
};

/* ---------------------------------------------------------------- remove */

static mr_code open_remove(void *self, const struct mr_open *o, struct mr_err *err)
{
    (void)err;
    ((struct remove *)self)->services = o->services;
    return MR_OK;
}

static mr_code remove_fields(void *self, struct mr_batch *b, struct mr_err *err)
{
    const struct remove *r = self;
    const struct mr_value nothing = {.tag = MR_MISSING};
    (void)err;
    for (uint32_t i = 0; i < r->fields.count; i++) {
        struct mr_slice path = r->fields.v[i];
        if (is_column(path)) {
            r->services->remove(b, path.p, path.len);
            continue;
        }
        for (uint32_t k = 0; k < b->count; k++) {
            if (r->services->get(b, b->sel[k], path.p, path.len).tag == MR_MISSING)
                continue; /* an event that lacks it leaves as it came */
            if (!r->services->set(b, b->sel[k], path.p, path.len, nothing))
                r->services->reject(b, b->sel[k], "cannot remove '%.*s': the event would be too large",
                                    MR_SLICE_ARG(path));
        }
    }
    return MR_OK;
}

static const struct mr_option remove_options[] = {
    {.name = "fields",
     .type = MR_OPT_FIELDS,
     .at = offsetof(struct remove, fields),
     .required = true,
     .main = true,
     .help = "paths of the fields to take away; one that an event lacks is fine",
     .example = "[ident, http.headers.cookie]"},
    {0},
};

/* ---------------------------------------------------------------- rename */

static mr_code open_rename(void *self, const struct mr_open *o, struct mr_err *err)
{
    (void)err;
    ((struct rename *)self)->services = o->services;
    return MR_OK;
}

static mr_code rename_fields(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct rename *r = self;
    const struct mr_services *s = r->services;
    const struct mr_value nothing = {.tag = MR_MISSING};
    (void)err;
    for (uint32_t i = 0; i < r->fields.count; i++) {
        struct mr_slice from = r->fields.v[i].from, to = r->fields.v[i].to;
        if (mr_slice_eq(from, to))
            continue;
        int32_t slot = is_column(from) ? s->slot(b, from.p, from.len, false) : -1;
        if (is_column(from) && slot < 0)
            continue;
        for (uint32_t k = 0; k < b->count; k++) {
            uint32_t row = b->sel[k];
            r->values[row] = slot >= 0 ? b->column[slot].v[row] : s->get(b, row, from.p, from.len);
        }
        if (slot >= 0) { /* taken away first: `a` -> `a.b` is fine then */
            s->remove(b, from.p, from.len);
        } else {
            for (uint32_t k = 0; k < b->count; k++) {
                if (r->values[b->sel[k]].tag != MR_MISSING)
                    (void)s->set(b, b->sel[k], from.p, from.len, nothing);
            }
        }
        write_field(s, b, to, r->values, true);
    }
    return MR_OK;
}

static const struct mr_option rename_options[] = {
    {.name = "fields",
     .type = MR_OPT_RENAMES,
     .at = offsetof(struct rename, fields),
     .required = true,
     .main = true,
     .help = "old path: new path; an event that lacks the old one stays as it is",
     .example = "{ remote_addr: client, req.id: request_id }"},
    {0},
};

/* ---------------------------------------------------------------- the plugin */

static const struct mr_component set_component = {
    .size = sizeof(struct mr_component),
    .kind = MR_PROCESSOR,
    .name = "set",
    .summary = "Set fields to the values of expressions.",
    .doc =
        "The fields are set in the order in which they are written, so that a later expression sees what an "
        "earlier one has set. A value in YAML that is a number, `true`, `false` or `null` is meant as it is; "
        "a "
        "text is an expression, so a constant text is written with quotes inside: `env: \"'prod'\"`. An "
        "expression that is `nil` takes the field away. Objects on the way of a path such as `http.status` "
        "are "
        "made where they are missing. An event for which an expression cannot be computed goes to `on_error` "
        "with the reason, and fields set before that stay set.\n\n"
        "```yaml\nsteps:\n  - set: { slow: e.latency > 0.5, env: \"'prod'\", http.version: 2 }\n```\n",
    .self_size = sizeof(struct set),
    .options = set_options,
    .open = open_set,
    .process = set,
};

static const struct mr_component remove_component = {
    .size = sizeof(struct mr_component),
    .kind = MR_PROCESSOR,
    .name = "remove",
    .summary = "Take fields away.",
    .doc = "One path or a list of paths. Events that lack a field stay as they are.\n\n"
           "```yaml\nsteps:\n  - remove: ident\n  - remove: [agent, http.headers.cookie]\n```\n",
    .self_size = sizeof(struct remove),
    .options = remove_options,
    .open = open_remove,
    .process = remove_fields,
};

static const struct mr_component rename_component = {
    .size = sizeof(struct mr_component),
    .kind = MR_PROCESSOR,
    .name = "rename",
    .summary = "Give fields other names, or other places.",
    .doc = "Old path to new path, in the order in which they are written. A field that has the new name "
           "already is "
           "replaced; an event that lacks the old one stays as it is. Objects on the way are made where they "
           "are "
           "missing.\n\n"
           "```yaml\nsteps:\n  - rename: { remote_addr: client, req.id: request_id }\n```\n",
    .self_size = sizeof(struct rename),
    .options = rename_options,
    .open = open_rename,
    .process = rename_fields,
};

static const struct mr_component *const components[] = {&set_component, &remove_component, &rename_component,
                                                        NULL};

static const struct mr_plugin plugin = {
    .abi = MR_ABI,
    .size = sizeof(struct mr_plugin),
    .name = "fields",
    .version = "1",
    .components = components,
};

MR_PLUGIN(plugin)
