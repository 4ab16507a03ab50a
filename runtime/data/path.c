/* path.c - "a.b[0].c" and ["x-y"]: the way to a field, compiled once or walked as it is read.
 *
 * Names between dots are any bytes but . [ ] " and blanks. Lists count from 0 in paths. The first part is
 * always a name.
 */
#include "data/batch_inside.h"
#include "data/json.h"

#include "base/mem.h"

enum { PARTS_MAX = 64 };

struct part {
    const char *name; /* NULL: an index */
    uint32_t len;
    uint32_t index;
};

struct mr_path {
    uint32_t count;
    uint32_t spare;
    struct part part[];
};

static mr_code bad(struct mr_err *err, size_t at, const char *why)
{
    mr_fail(err, MR_BADCONF, "path: byte %zu: %s", at, why);
    if (err)
        err->at = (uint32_t)at;
    return MR_BADCONF;
}

static bool ends_name(char c)
{
    return c == '.' || c == '[' || c == ']' || c == '"' || (unsigned char)c <= ' ';
}

/* The part at *at; moves behind it. */
static mr_code next_part(const char *s, size_t len, size_t *at, struct part *out, struct mr_err *err)
{
    size_t i = *at;
    *out = (struct part){0};
    if (s[i] == '[') {
        if (i + 1 < len && s[i + 1] == '"') {
            size_t from = i + 2, to = from;
            while (to < len && s[to] != '"')
                to++;
            if (to + 1 >= len || s[to + 1] != ']')
                return bad(err, to, "'\"]' was expected");
            out->name = s + from;
            out->len = (uint32_t)(to - from);
            *at = to + 2;
            return MR_OK;
        }
        if (*at == 0)
            return bad(err, 0, "a path begins with a name");
        uint64_t index = 0;
        size_t from = ++i;
        for (; i < len && s[i] >= '0' && s[i] <= '9'; i++) {
            index = index * 10 + (uint64_t)(s[i] - '0');
            if (index > INT32_MAX)
                return bad(err, from, "too large an index");
        }
        if (i == from)
            return bad(err, i, "an index or a name in double quotes was expected behind '['");
        if (i >= len || s[i] != ']')
            return bad(err, i, "']' was expected");
        out->index = (uint32_t)index;
        *at = i + 1;
        return MR_OK;
    }
    if (i > 0) {
        if (s[i] != '.')
            return bad(err, i, "'.' or '[' was expected");
        i++;
    }
    size_t from = i;
    while (i < len && !ends_name(s[i]))
        i++;
    if (i == from)
        return bad(err, i, "a name was expected; one with blanks or dots is written [\"like this\"]");
    out->name = s + from;
    out->len = (uint32_t)(i - from);
    *at = i;
    return MR_OK;
}

static mr_code all_parts(const char *s, size_t len, struct part *parts, uint32_t *count, struct mr_err *err)
{
    size_t at = 0;
    *count = 0;
    if (len == 0)
        return bad(err, 0, "an empty path; write the name of a field");
    if (len > UINT32_MAX / 2)
        return bad(err, 0, "too long a path");
    while (at < len) {
        if (*count == PARTS_MAX)
            return bad(err, at, "more than 64 parts");
        mr_code code = next_part(s, len, &at, &parts[*count], err);
        if (code)
            return code;
        (*count)++;
    }
    return MR_OK;
}

mr_code mr_path_parse(const char *text, size_t len, struct mr_path **out, struct mr_err *err)
{
    struct part parts[PARTS_MAX];
    uint32_t count;
    mr_code code = all_parts(text, len, parts, &count, err);
    if (code)
        return code;
    struct mr_path *p = mr_alloc(sizeof *p + count * sizeof parts[0] + len);
    if (!p)
        return mr_fail(err, MR_MEMORY, "path: no memory");
    char *copy = (char *)&p->part[count];
    memcpy(copy, text, len);
    p->count = count;
    for (uint32_t i = 0; i < count; i++) {
        p->part[i] = parts[i];
        if (parts[i].name)
            p->part[i].name = copy + (parts[i].name - text);
    }
    *out = p;
    return MR_OK;
}

void mr_path_free(struct mr_path *p)
{
    mr_free(p);
}

static const struct mr_value missing = {0};

static struct mr_value step_into(const struct mr_value *v, const struct part *p)
{
    if (v->tag == MR_JSON) {
        if (p->name)
            return v->hint == MR_OBJECT ? mr_json_member(v, p->name, p->len) : missing;
        return v->hint == MR_LIST ? mr_json_item(v, p->index) : missing;
    }
    if (p->name && v->tag == MR_OBJECT) {
        for (uint32_t i = 0; i < v->len; i++)
            if (v->u.object[i].name_len == p->len && memcmp(v->u.object[i].name, p->name, p->len) == 0)
                return v->u.object[i].v;
        return missing;
    }
    return !p->name && v->tag == MR_LIST && p->index < v->len ? v->u.list[p->index] : missing;
}

static struct mr_value get(const struct part *part, uint32_t count, struct mr_batch *b, uint32_t row)
{
    int32_t slot = mr_batch_slot(b, part[0].name, part[0].len, false);
    if (slot < 0)
        return missing;
    struct mr_value v = b->column[slot].v[row], out;
    for (uint32_t i = 1; i < count; i++)
        v = step_into(&v, &part[i]);
    if (!mr_value_resolve(b->arena, &v, &out))
        return missing;
    return out;
}

/* A copy of *v, an object or missing, in which the parts lead to `to`. Recursion: PARTS_MAX deep.
 */
static bool put_at(struct mr_arena *a, const struct part *part, uint32_t count, struct mr_value *v,
                   const struct mr_value *to)
{
    if (count == 0) {
        *v = *to;
        return true;
    }
    struct mr_value old;
    if (!mr_value_resolve(a, v, &old))
        return false;
    if (!part->name) {
        if (old.tag != MR_LIST)
            return to->tag == MR_MISSING && old.tag == MR_MISSING;
        if (part->index > old.len || (part->index == old.len && to->tag == MR_MISSING))
            return to->tag == MR_MISSING;
        uint32_t len = old.len + (part->index == old.len);
        struct mr_value *list = mr_arena_take(a, len * sizeof *list);
        if (!list)
            return false;
        if (old.len)
            memcpy(list, old.u.list, old.len * sizeof *list);
        if (part->index == old.len)
            list[part->index] = missing;
        if (!put_at(a, part + 1, count - 1, &list[part->index], to))
            return false;
        if (list[part->index].tag == MR_MISSING) { /* taken away: the rest closes up */
            memmove(&list[part->index], &list[part->index + 1], (len - part->index - 1) * sizeof *list);
            len--;
        }
        *v = (struct mr_value){.tag = MR_LIST, .len = len, .u.list = list};
        return true;
    }
    if (old.tag != MR_OBJECT && old.tag != MR_MISSING)
        return to->tag == MR_MISSING; /* nothing to take away; but no way to set */
    if (old.tag == MR_MISSING && to->tag == MR_MISSING)
        return true;
    uint32_t at = 0;
    while (at < old.len && !(old.u.object[at].name_len == part->len &&
                             memcmp(old.u.object[at].name, part->name, part->len) == 0))
        at++;
    if (at == old.len && to->tag == MR_MISSING)
        return true;
    uint32_t len = old.len + (at == old.len);
    struct mr_member *m = mr_arena_take(a, len * sizeof *m);
    if (!m)
        return false;
    if (old.len)
        memcpy(m, old.u.object, old.len * sizeof *m);
    if (at == old.len) {
        struct mr_slice name = mr_slice_copy(a, (struct mr_slice){part->name, part->len});
        if (!name.p)
            return false;
        m[at] = (struct mr_member){.name = name.p, .name_len = part->len};
    }
    if (!put_at(a, part + 1, count - 1, &m[at].v, to))
        return false;
    if (m[at].v.tag == MR_MISSING) {
        memmove(&m[at], &m[at + 1], (len - at - 1) * sizeof *m);
        len--;
    }
    *v = (struct mr_value){.tag = MR_OBJECT, .len = len, .u.object = m};
    return true;
}

static bool set(const struct part *part, uint32_t count, struct mr_batch *b, uint32_t row, struct mr_value to)
{
    int32_t slot = mr_batch_slot(b, part[0].name, part[0].len, to.tag != MR_MISSING);
    if (slot < 0)
        return to.tag == MR_MISSING;
    struct mr_value v = b->column[slot].v[row];
    if (v.tag == MR_MISSING && to.tag == MR_MISSING)
        return true; /* nothing changes: the event stays the text that it is */
    if (!put_at(b->arena, part + 1, count - 1, &v, &to))
        return false;
    b->column[slot].v[row] = v;
    mr_batch_touch(b, row);
    return true;
}

struct mr_value mr_path_get(const struct mr_path *p, struct mr_batch *b, uint32_t row)
{
    return get(p->part, p->count, b, row);
}

bool mr_path_set(const struct mr_path *p, struct mr_batch *b, uint32_t row, struct mr_value v)
{
    return set(p->part, p->count, b, row, v);
}

struct mr_value mr_batch_get(struct mr_batch *b, uint32_t row, const char *path, size_t len)
{
    struct part parts[PARTS_MAX];
    uint32_t count;
    return all_parts(path, len, parts, &count, NULL) == MR_OK ? get(parts, count, b, row) : missing;
}

bool mr_batch_set(struct mr_batch *b, uint32_t row, const char *path, size_t len, struct mr_value v)
{
    struct part parts[PARTS_MAX];
    uint32_t count;
    return all_parts(path, len, parts, &count, NULL) == MR_OK && set(parts, count, b, row, v);
}
