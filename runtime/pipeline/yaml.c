/* yaml.c - YAML text to trees with the place of every word, by libyaml's events.
 *
 * What comes in may be hostile: bytes, depth and nodes are bounded, and anchors count as often as they are
 * used, so that a few lines of aliases of aliases cannot become a gigabyte. Merge keys and tags are refused,
 * a name given twice in a map is an error that names both places.
 */
#include "pipeline/config.h"

#include "base/map.h"
#include "base/text.h"

#include <yaml.h>

enum { MAP_SEARCH = 16 /* keys; beyond them duplicates are found by hash */ };

struct anchor {
    struct anchor *next;
    struct mr_slice name;
    struct mr_node *node;
};

struct reader {
    yaml_parser_t parser;
    const char *name;
    struct mr_slice text;
    struct mr_heap_arena *a;
    struct mr_diags *diags;
    struct anchor *anchors;
    uint32_t nodes;
};

static struct mr_node place(const struct reader *r, yaml_mark_t from, yaml_mark_t to)
{
    struct mr_node n = {.kind = MR_NODE_SCALAR, .file = r->name};
    n.line = (uint32_t)from.line + 1;
    n.column = (uint32_t)from.column + 1;
    n.end_column = to.line == from.line && to.column > from.column ? (uint32_t)to.column + 1 : n.column + 1;
    return n;
}

static struct mr_node *refuse(struct reader *r, const yaml_event_t *e, const char *note, const char *what)
{
    struct mr_node at = place(r, e->start_mark, e->end_mark);
    mr_diag_node(r->diags, &at, 0, note, "%s", what);
    return NULL;
}

static struct mr_node *node_new(struct reader *r, const yaml_event_t *e, enum mr_node_kind kind)
{
    if (r->nodes >= MR_CONFIG_NODES_MAX) {
        char text[96];
        (void)snprintf(text, sizeof text,
                       "more than %d nodes with its anchors expanded (limit 'config_nodes')",
                       MR_CONFIG_NODES_MAX);
        return refuse(r, e, "write it as several files, or with fewer aliases", text);
    }
    struct mr_node *n = mr_arena_take(&r->a->arena, sizeof *n);
    if (!n)
        return refuse(r, e, NULL, "no memory left for this file (limit 'config_memory')");
    r->nodes++;
    *n = place(r, e->start_mark, e->end_mark);
    n->kind = kind;
    if (e->end_mark.line != e->start_mark.line)
        n->end_column = 0;
    return n;
}

static bool next(struct reader *r, yaml_event_t *e)
{
    if (yaml_parser_parse(&r->parser, e))
        return true;
    const yaml_parser_t *p = &r->parser;
    yaml_mark_t mark = p->problem_mark;
    if (p->error == YAML_READER_ERROR || p->error == YAML_MEMORY_ERROR)
        mark = p->mark;
    struct mr_node at = place(r, mark, mark);
    const char *problem = p->problem ? p->problem : "not YAML";
    /* libyaml's marks count characters; find the byte to see whether a tab is the cause */
    size_t byte = 0, line = 0;
    while (byte < r->text.len && line < mark.line)
        line += r->text.p[byte++] == '\n';
    size_t end = byte;
    bool tab = false;
    while (end < r->text.len && (r->text.p[end] == ' ' || r->text.p[end] == '\t'))
        tab |= r->text.p[end++] == '\t';
    if (tab && p->error == YAML_SCANNER_ERROR)
        mr_diag_node(r->diags, &at, 0, "put spaces there", "a tab cannot indent YAML");
    else if (strncmp(problem, "mapping values", 14) == 0)
        mr_diag_node(r->diags, &at, 0, "quote the whole value ('...') when a ': ' belongs to it",
                     "not YAML: a second ': ' in one line");
    else if (p->context && strstr(p->context, "quoted scalar") && strstr(problem, "end of stream")) {
        at = place(r, p->context_mark, p->context_mark);
        mr_diag_node(r->diags, &at, 0, "end it with the same quote", "not YAML: a quote that is not closed");
    } else if (p->context)
        mr_diag_node(r->diags, &at, 0, NULL, "not YAML: %s, %s (from line %zu)", problem, p->context,
                     p->context_mark.line + 1);
    else
        mr_diag_node(r->diags, &at, 0, NULL, "not YAML: %s", problem);
    return false;
}

/* An alias is a copy: each node belongs to one place of one list. */
static struct mr_node *copy(struct reader *r, const yaml_event_t *e, const struct mr_node *from)
{
    struct mr_node *n = node_new(r, e, from->kind);
    if (!n)
        return NULL;
    *n = *from;
    n->first = n->next = NULL;
    struct mr_node **tail = &n->first;
    for (const struct mr_node *c = from->first; c; c = c->next) {
        if (!(*tail = copy(r, e, c)))
            return NULL;
        (*tail)->key = c->key;
        (*tail)->key_line = c->key_line;
        (*tail)->key_column = c->key_column;
        tail = &(*tail)->next;
    }
    return n;
}

static bool scalar_text(struct reader *r, const yaml_event_t *e, struct mr_slice *out)
{
    struct mr_slice s = {(const char *)e->data.scalar.value, e->data.scalar.length};
    if (memchr(s.p, '\0', s.len)) {
        (void)refuse(r, e, NULL, "a NUL byte cannot stand here");
        return false;
    }
    *out = mr_slice_copy(&r->a->arena, s);
    if (!out->p)
        (void)refuse(r, e, NULL, "no memory left for this file (limit 'config_memory')");
    return out->p != NULL;
}

static struct mr_node *build(struct reader *r, const yaml_event_t *e, unsigned depth);

static bool unique(struct reader *r, const struct mr_node *map, const struct mr_node *fresh,
                   struct mr_map *seen)
{
    const struct mr_node *twin = NULL;
    if (map->count < MAP_SEARCH) {
        for (const struct mr_node *c = map->first; c && !twin; c = c->next)
            if (mr_slice_eq(c->key, fresh->key))
                twin = c;
    } else {
        if (!seen->count) {
            mr_map_init(seen, 0);
            for (struct mr_node *c = map->first; c; c = c->next)
                (void)mr_map_put(seen, c->key, c, NULL);
        }
        twin = mr_map_get(seen, fresh->key);
    }
    if (map->count >= MAP_SEARCH && !twin)
        (void)mr_map_put(seen, fresh->key, (void *)(uintptr_t)fresh, NULL);
    if (twin)
        mr_diag_key(r->diags, fresh, "take one of them away",
                    "'%.*s' is given twice; the first is in line %u", MR_SLICE_ARG(fresh->key),
                    twin->key_line);
    return !twin;
}

static struct mr_node *build_map(struct reader *r, struct mr_node *n, unsigned depth)
{
    struct mr_node **tail = &n->first;
    struct mr_map seen = {0};
    bool ok = true;
    while (ok) {
        yaml_event_t key, value;
        if (!next(r, &key)) {
            ok = false;
            break;
        }
        if (key.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&key);
            break;
        }
        struct mr_slice text = {NULL, 0};
        if (key.type != YAML_SCALAR_EVENT) {
            (void)refuse(r, &key, NULL, "a key must be a plain word");
            ok = false;
        } else {
            ok = scalar_text(r, &key, &text);
        }
        if (ok && mr_slice_eq(text, MR_SLICE("<<"))) {
            (void)refuse(r, &key, "write the keys out, or alias the whole value (*name)",
                         "merge keys ('<<') are not supported");
            ok = false;
        }
        if (!ok) {
            yaml_event_delete(&key);
            break;
        }
        if (!next(r, &value)) {
            ok = false;
        } else {
            struct mr_node *v = build(r, &value, depth + 1);
            yaml_event_delete(&value);
            if (v) {
                v->key = text;
                v->key_line = (uint32_t)key.start_mark.line + 1;
                v->key_column = (uint32_t)key.start_mark.column + 1;
                if (unique(r, n, v, &seen)) { /* the second is told and left out: reading goes on */
                    *tail = v;
                    tail = &v->next;
                    n->count++;
                }
            }
            ok = v != NULL;
        }
        yaml_event_delete(&key);
    }
    mr_map_fini(&seen, NULL);
    return ok ? n : NULL;
}

static struct mr_node *build_list(struct reader *r, struct mr_node *n, unsigned depth)
{
    struct mr_node **tail = &n->first;
    for (;;) {
        yaml_event_t e;
        if (!next(r, &e))
            return NULL;
        if (e.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&e);
            return n;
        }
        struct mr_node *v = build(r, &e, depth + 1);
        yaml_event_delete(&e);
        if (!v)
            return NULL;
        *tail = v;
        tail = &v->next;
        n->count++;
    }
}

static struct mr_node *build(struct reader *r, const yaml_event_t *e, unsigned depth)
{
    if (depth > MR_CONFIG_DEPTH_MAX) {
        char text[80];
        (void)snprintf(text, sizeof text, "nested deeper than %d levels (limit 'config_depth')",
                       MR_CONFIG_DEPTH_MAX);
        return refuse(r, e, NULL, text);
    }
    const yaml_char_t *anchor = NULL, *tag = NULL;
    struct mr_node *n = NULL;
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        for (struct anchor *x = r->anchors; x; x = x->next)
            if (mr_slice_eq(x->name, mr_slice_of((const char *)e->data.alias.anchor)))
                return copy(r, e, x->node);
        return refuse(r, e, "an anchor ('&name') must be complete before it is used",
                      "no anchor of that name stands before this alias");
    case YAML_SCALAR_EVENT:
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
        n = node_new(r, e, MR_NODE_SCALAR);
        if (n && !scalar_text(r, e, &n->text))
            return NULL;
        if (n)
            n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
        n = node_new(r, e, MR_NODE_LIST);
        n = n ? build_list(r, n, depth) : NULL;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
        n = node_new(r, e, MR_NODE_MAP);
        n = n ? build_map(r, n, depth) : NULL;
        break;
    default:
        return refuse(r, e, NULL, "not YAML: something is missing here");
    }
    if (n && tag)
        return refuse(r, e, "quote a value to make it a string", "tags ('!...') are not supported");
    if (n && anchor) {
        struct anchor *x = mr_arena_take(&r->a->arena, sizeof *x);
        struct mr_slice name = mr_slice_copy(&r->a->arena, mr_slice_of((const char *)anchor));
        if (!x || !name.p)
            return refuse(r, e, NULL, "no memory left for this file (limit 'config_memory')");
        *x = (struct anchor){r->anchors, name, n};
        r->anchors = x;
    }
    return n;
}

static struct mr_node *document(struct reader *r)
{
    yaml_event_t e;
    struct mr_node *root = NULL;
    if (!next(r, &e)) /* stream start */
        return NULL;
    yaml_event_delete(&e);
    if (!next(r, &e))
        return NULL;
    if (e.type == YAML_STREAM_END_EVENT) {
        (void)refuse(r, &e, "begin with 'pipelines:'", "the file is empty");
        yaml_event_delete(&e);
        return NULL;
    }
    yaml_event_delete(&e); /* document start */
    if (!next(r, &e))
        return NULL;
    root = build(r, &e, 1);
    yaml_event_delete(&e);
    if (!root || !next(r, &e)) /* document end */
        return NULL;
    yaml_event_delete(&e);
    if (!next(r, &e))
        return NULL;
    if (e.type != YAML_STREAM_END_EVENT)
        root = refuse(r, &e, "make it a file of its own", "a second document ('---') is not supported");
    yaml_event_delete(&e);
    return root;
}

struct mr_node *mr_yaml_read(const char *name, struct mr_slice text, struct mr_heap_arena *a,
                             struct mr_diags *diags)
{
    struct reader r = {.name = name, .text = text, .a = a, .diags = diags};
    struct mr_node top = {.kind = MR_NODE_SCALAR, .file = name, .line = 1, .column = 1, .end_column = 2};
    if (text.len > MR_CONFIG_FILE_BYTES_MAX) {
        mr_diag_node(diags, &top, 0, NULL, "larger than %d bytes (limit 'config_file_bytes')",
                     MR_CONFIG_FILE_BYTES_MAX);
        return NULL;
    }
    if (!mr_utf8_valid(text.p, text.len)) {
        size_t good = 0; /* the first line that is not valid is found line by line */
        while (good < text.len) {
            const char *nl = memchr(text.p + good, '\n', text.len - good);
            size_t len = nl ? (size_t)(nl - text.p) - good : text.len - good;
            if (!mr_utf8_valid(text.p + good, len))
                break;
            good += len + 1;
            top.line++;
        }
        mr_diag_node(diags, &top, 0, "save the file as UTF-8", "this line is not UTF-8");
        return NULL;
    }
    if (!yaml_parser_initialize(&r.parser)) {
        mr_diag_node(diags, &top, 0, NULL, "no memory left to read it");
        return NULL;
    }
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    if (text.len >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0) /* a byte order mark says nothing in UTF-8 */
        text = (struct mr_slice){text.p + 3, text.len - 3};
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.p ? text.p : ""), text.len);
    struct mr_node *root = document(&r);
    yaml_parser_delete(&r.parser);
    return root;
}
