/* format_pcre.c - PCRE2 patterns over a batch. See the header.
 *
 * Laws:
 *   P1  a line is matched as bytes unless `utf` was asked for; then invalid UTF-8 matches nothing but is safe
 *   P2  no match goes on without bound: match_limit, the stack, the heap
 *
 * Cost, for an access log line of 237 bytes with stores (2026-11, tests/bench/format_bench.c): 186 ns for ten
 * groups of plain classes, 218 ns for grok's %{COMBINEDAPACHELOG}.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/format_pcre.h"

#include "base/mem.h"
#include "base/text.h"

#include <pcre2.h>

struct group {
    uint32_t number; /* in the pattern */
    uint32_t name;   /* in mr_patterns.name */
};

struct mr_matcher {
    pcre2_code *code;
    pcre2_match_data *data;
    struct group *groups;
    uint32_t count;
    bool jit; /* the short way in: no checks that were made once already */
};

mr_code mr_patterns_open(struct mr_patterns *p, int64_t match_limit, const struct mr_value *types,
                         const struct mr_value *time, struct mr_err *err)
{
    mr_code rc;
    p->match_limit = match_limit;
    p->time = -1;
    if ((rc = mr_field_types_open(&p->types, types, err)) || (rc = mr_time_field_open(&p->when, time, err)))
        return rc;
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    p->context = context;
    p->stack = pcre2_jit_stack_create(32 * 1024, MR_JIT_STACK_MAX, NULL);
    p->matcher = mr_alloc(MR_PATTERNS_MAX * sizeof *p->matcher);
    p->name = mr_alloc(MR_GROUPS_MAX * sizeof *p->name);
    p->type = mr_alloc(MR_GROUPS_MAX * sizeof *p->type);
    p->row = mr_alloc(MR_GROUPS_MAX * sizeof *p->row);
    if (!context || !p->matcher || !p->name || !p->type || !p->row)
        return mr_fail(err, MR_MEMORY, "no memory for patterns");
    (void)pcre2_set_match_limit(context, (uint32_t)match_limit);
    (void)pcre2_set_heap_limit(context, MR_MATCH_HEAP_KB);
    if (p->stack) /* NULL: built without a compiler for this processor */
        pcre2_jit_stack_assign(context, NULL, p->stack);
    return MR_OK;
}

void mr_patterns_close(struct mr_patterns *p)
{
    for (uint32_t i = 0; i < p->count; i++) {
        pcre2_match_data_free(p->matcher[i].data);
        pcre2_code_free(p->matcher[i].code);
        mr_free(p->matcher[i].groups);
    }
    for (uint32_t i = 0; i < p->names; i++)
        mr_free((void *)(uintptr_t)p->name[i].p);
    mr_free(p->matcher);
    mr_free(p->name);
    mr_free(p->type);
    mr_free(p->row);
    pcre2_match_context_free(p->context);
    if (p->stack)
        pcre2_jit_stack_free(p->stack);
    mr_field_types_close(&p->types);
    mr_time_field_close(&p->when);
    *p = (struct mr_patterns){.time = -1};
}

static mr_code name_of(struct mr_patterns *p, struct mr_slice field, enum mr_field_type type, uint32_t *out,
                       struct mr_err *err)
{
    for (uint32_t i = 0; i < p->names; i++) {
        if (!mr_slice_eq(p->name[i], field))
            continue;
        if (type != MR_FIELD_STRING)
            p->type[i] = type;
        *out = i;
        return MR_OK;
    }
    if (p->names == MR_GROUPS_MAX)
        return mr_fail(err, MR_LIMIT, "more than %d different fields in the patterns", MR_GROUPS_MAX);
    char *copy = mr_strndup(field.p, field.len);
    if (!copy)
        return mr_fail(err, MR_MEMORY, "no memory for patterns");
    p->name[p->names] = (struct mr_slice){copy, field.len};
    p->type[p->names] = type;
    *out = p->names++;
    return MR_OK;
}

static mr_code read_groups(struct mr_patterns *p, struct mr_matcher *m, const struct mr_group_name *named,
                           uint32_t named_count, struct mr_err *err)
{
    uint32_t count = 0, size = 0;
    PCRE2_SPTR table = NULL;
    (void)pcre2_pattern_info(m->code, PCRE2_INFO_NAMECOUNT, &count);
    (void)pcre2_pattern_info(m->code, PCRE2_INFO_NAMEENTRYSIZE, &size);
    (void)pcre2_pattern_info(m->code, PCRE2_INFO_NAMETABLE, &table);
    if (count > MR_GROUPS_MAX)
        return mr_fail(err, MR_LIMIT, "more than %d named groups in a pattern", MR_GROUPS_MAX);
    if (!(m->groups = mr_alloc((count + 1) * sizeof *m->groups)))
        return mr_fail(err, MR_MEMORY, "no memory for patterns");
    /* the table is by name; sort by number: the order of the pattern is the order of the event */
    for (uint32_t i = 0; i < count; i++) {
        const unsigned char *entry = table + (size_t)i * size;
        uint32_t number = (uint32_t)entry[0] << 8 | entry[1], at = i;
        for (; at > 0 && m->groups[at - 1].number > number; at--)
            m->groups[at] = m->groups[at - 1];
        m->groups[at] = (struct group){.number = number, .name = i};
    }
    for (uint32_t i = 0; i < count; i++) {
        struct mr_slice group = mr_slice_of((const char *)table + (size_t)m->groups[i].name * size + 2);
        struct mr_slice field = group;
        enum mr_field_type type = MR_FIELD_STRING;
        for (uint32_t k = 0; k < named_count; k++) {
            if (mr_slice_eq(named[k].group, group)) {
                field = named[k].field;
                type = named[k].type;
            }
        }
        mr_code rc = name_of(p, field, type, &m->groups[i].name, err);
        if (rc)
            return rc;
    }
    m->count = count;
    return MR_OK;
}

mr_code mr_patterns_add(struct mr_patterns *p, struct mr_slice text, bool utf, bool named_only,
                        const struct mr_group_name *named, uint32_t named_count, size_t *at,
                        struct mr_err *err)
{
    *at = 0;
    if (p->count == MR_PATTERNS_MAX)
        return mr_fail(err, MR_LIMIT, "more than %d patterns", MR_PATTERNS_MAX);
    int code = 0;
    PCRE2_SIZE offset = 0;
    uint32_t flags = utf ? PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF : PCRE2_NEVER_UTF;
    flags |= PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY | (named_only ? PCRE2_NO_AUTO_CAPTURE : 0);
    struct mr_matcher *m = &p->matcher[p->count];
    *m = (struct mr_matcher){
        .code = pcre2_compile((PCRE2_SPTR)(text.p ? text.p : ""), text.len, flags, &code, &offset, NULL)};
    if (!m->code) {
        PCRE2_UCHAR why[256] = "";
        (void)pcre2_get_error_message(code, why, sizeof why);
        *at = offset;
        return mr_fail(err, MR_BADCONF, "%s", (const char *)why);
    }
    p->count++; /* close frees what there is of it */
    m->data = pcre2_match_data_create_from_pattern(m->code, NULL);
    if (!m->data)
        return mr_fail(err, MR_MEMORY, "no memory for patterns");
    /* with UTF pcre2_match also steers around invalid bytes: the short way in is for bytes alone */
    m->jit = p->stack && pcre2_jit_compile(m->code, PCRE2_JIT_COMPLETE) == 0 && !utf;
    return read_groups(p, m, named, named_count, err);
}

static mr_code unknown_field(const struct mr_patterns *p, struct mr_slice name, const char *option,
                             struct mr_err *err)
{
    const char *known[MR_GROUPS_MAX];
    for (uint32_t i = 0; i < p->names; i++)
        known[i] = p->name[i].p;
    const char *near = mr_nearest(name, known, p->names);
    mr_code rc = mr_fail(err, MR_BADCONF, "no group of the pattern is named '%.*s'%s%s%s", MR_SLICE_ARG(name),
                         near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
    if (err)
        err->option = option;
    return rc;
}

static int32_t find_name(const struct mr_patterns *p, struct mr_slice name)
{
    for (uint32_t i = 0; i < p->names; i++) {
        if (mr_slice_eq(p->name[i], name))
            return (int32_t)i;
    }
    return -1;
}

mr_code mr_patterns_ready(struct mr_patterns *p, struct mr_err *err)
{
    for (uint32_t i = 0; i < p->types.count; i++) {
        int32_t at = find_name(p, p->types.v[i].name);
        if (at < 0)
            return unknown_field(p, p->types.v[i].name, "types", err);
        p->type[at] = p->types.v[i].type;
    }
    if (p->when.field.len && (p->time = find_name(p, p->when.field)) < 0)
        return unknown_field(p, p->when.field, "time", err);
    return MR_OK;
}

static void reject_failure(struct mr_patterns *p, struct mr_batch *b, uint32_t row, uint32_t pattern,
                           int code)
{
    if (code == PCRE2_ERROR_MATCHLIMIT || code == PCRE2_ERROR_DEPTHLIMIT)
        mr_batch_reject(
            b, row,
            "pattern %u gave up on this text after %lld steps: limit 'match_limit'; a pattern with "
            "fewer ways to match is the cure",
            pattern + 1, (long long)p->match_limit);
    else if (code == PCRE2_ERROR_JIT_STACKLIMIT || code == PCRE2_ERROR_HEAPLIMIT)
        mr_batch_reject(b, row, "pattern %u needs more memory for this text than its limit of %d KiB",
                        pattern + 1,
                        code == PCRE2_ERROR_HEAPLIMIT ? (int)MR_MATCH_HEAP_KB : (int)MR_JIT_STACK_MAX / 1024);
    else
        mr_batch_reject(b, row, "pattern %u failed on this text with error %d of PCRE2", pattern + 1, code);
}

/* Which pattern matched, -1 none, -2 rejected already. */
static int32_t match(struct mr_patterns *p, struct mr_batch *b, uint32_t row, struct mr_slice text)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)text.p;
    for (uint32_t i = 0; i < p->count; i++) {
        struct mr_matcher *m = &p->matcher[i];
        int code = m->jit ? pcre2_jit_match(m->code, subject, text.len, 0, 0, m->data, p->context)
                          : pcre2_match(m->code, subject, text.len, 0, 0, m->data, p->context);
        if (code > 0)
            return (int32_t)i;
        if (code != PCRE2_ERROR_NOMATCH) {
            reject_failure(p, b, row, i, code);
            return -2;
        }
    }
    return -1;
}

/* Fields of the groups that took part. false: rejected. */
static bool take_groups(struct mr_patterns *p, const struct mr_matcher *m, struct mr_batch *b, uint32_t row,
                        struct mr_slice text, mr_ns now, mr_ns *time)
{
    const PCRE2_SIZE *at = pcre2_get_ovector_pointer(m->data);
    struct mr_value *v = p->row;
    for (uint32_t i = 0; i < p->names; i++)
        v[i].tag = MR_MISSING;
    for (uint32_t i = 0; i < m->count; i++) {
        PCRE2_SIZE from = at[2 * m->groups[i].number], end = at[2 * m->groups[i].number + 1];
        uint32_t name = m->groups[i].name;
        if (from == PCRE2_UNSET || end < from || v[name].tag != MR_MISSING)
            continue;
        struct mr_slice s = {text.p + from, end - from};
        if ((int32_t)name == p->time && !mr_time_field_read(&p->when, s, now, time)) {
            mr_batch_reject(b, row, "field '%.*s' is not a time in the format of 'time': '%.*s'",
                            MR_SLICE_ARG(p->name[name]), (int)(s.len < 64 ? s.len : 64), s.p);
            return false;
        }
        v[name] = mr_text_value_of(s.p, s.len);
        if (!mr_field_convert(p->type[name], &v[name])) {
            mr_batch_reject(b, row, "field '%.*s' is not of type %s: '%.*s'", MR_SLICE_ARG(p->name[name]),
                            mr_field_type_name(p->type[name]), (int)(s.len < 64 ? s.len : 64), s.p);
            return false;
        }
    }
    return true;
}

void mr_patterns_blame(struct mr_err *err, uint32_t index, uint32_t count, size_t at)
{
    if (count > 1)
        mr_wrap(err, "pattern %u", index + 1);
    if (err) {
        err->option = "pattern";
        err->at = (uint32_t)at;
    }
}

void mr_patterns_decode(struct mr_patterns *p, struct mr_batch *b, int32_t slot, struct mr_slice into,
                        mr_ns now)
{
    struct mr_fields f;
    if (!mr_fields_begin(&f, b, slot, into, p->name, p->names, p->names))
        return;
    for (uint32_t k = 0; k < b->count; k++) {
        uint32_t row = b->sel[k];
        struct mr_slice text;
        if (!mr_text_take(b, f.text, row, &text))
            continue;
        int32_t which = match(p, b, row, text);
        if (which == -1)
            mr_batch_reject(b, row,
                            p->count == 1 ? "the text does not match the pattern"
                                          : "the text matches none of the %u patterns",
                            p->count);
        if (which < 0)
            continue;
        mr_ns time = MR_TIME_NONE;
        if (!take_groups(p, &p->matcher[which], b, row, text, now, &time))
            continue;
        if (time != MR_TIME_NONE)
            b->time[row] = time;
        mr_fields_put(&f, row, p->row, p->names);
    }
}
