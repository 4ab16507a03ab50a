/* regex.c - one PCRE2 pattern over one text. See the header. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "data/regex.h"

#include "base/mem.h"

#include <pcre2.h>

struct mr_regex {
    pcre2_code *code;
    pcre2_match_data *data;
    pcre2_match_context *context;
    uint32_t groups;
};

void mr_regex_free(struct mr_regex *r)
{
    if (!r)
        return;
    pcre2_match_context_free(r->context);
    pcre2_match_data_free(r->data);
    pcre2_code_free(r->code);
    mr_free(r);
}

mr_code mr_regex_new(struct mr_slice pattern, struct mr_regex **out, struct mr_err *err)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    struct mr_regex *r = mr_alloc(sizeof *r);
    if (!r)
        return mr_fail(err, MR_MEMORY, "no memory for a pattern");
    uint32_t flags = PCRE2_NEVER_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY;
    r->code = pcre2_compile((PCRE2_SPTR)(pattern.p ? pattern.p : ""), pattern.len, flags, &code, &at, NULL);
    if (!r->code) {
        PCRE2_UCHAR why[200] = "";
        (void)pcre2_get_error_message(code, why, sizeof why);
        mr_code rc =
            mr_fail(err, MR_BADCONF, "pattern '%.*s': byte %zu: %s",
                    pattern.len > 200 ? 200 : (int)pattern.len, pattern.p ? pattern.p : "", at, (char *)why);
        if (err)
            err->at = (uint32_t)at;
        mr_regex_free(r);
        return rc;
    }
    (void)pcre2_pattern_info(r->code, PCRE2_INFO_CAPTURECOUNT, &r->groups);
    if (r->groups > MR_REGEX_GROUPS_MAX) {
        mr_regex_free(r);
        return mr_fail(err, MR_BADCONF, "a pattern of more than %d groups", MR_REGEX_GROUPS_MAX);
    }
    (void)pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE); /* where there is none, pcre2_match interprets */
    r->data = pcre2_match_data_create_from_pattern(r->code, NULL);
    r->context = pcre2_match_context_create(NULL);
    if (!r->data || !r->context) {
        mr_regex_free(r);
        return mr_fail(err, MR_MEMORY, "no memory for a pattern");
    }
    (void)pcre2_set_match_limit(r->context, MR_REGEX_STEPS);
    (void)pcre2_set_heap_limit(r->context, MR_REGEX_HEAP_KB);
    *out = r;
    return MR_OK;
}

uint32_t mr_regex_groups(const struct mr_regex *r)
{
    return r->groups;
}

mr_code mr_regex_match(struct mr_regex *r, struct mr_slice text, size_t from, size_t *at, struct mr_err *err)
{
    if (from > text.len)
        return MR_END;
    int code =
        pcre2_match(r->code, (PCRE2_SPTR)(text.p ? text.p : ""), text.len, from, 0, r->data, r->context);
    if (code == PCRE2_ERROR_NOMATCH)
        return MR_END;
    if (code < 0) {
        PCRE2_UCHAR why[200] = "";
        (void)pcre2_get_error_message(code, why, sizeof why);
        return mr_fail(err, MR_LIMIT, "the pattern gave up on a text of %zu bytes: %s", text.len,
                       (char *)why);
    }
    const PCRE2_SIZE *found = pcre2_get_ovector_pointer(r->data);
    for (uint32_t i = 0; i < 2 * (r->groups + 1); i++)
        at[i] = i / 2 < (uint32_t)code ? found[i] : SIZE_MAX;
    if (at[1] < at[0]) /* \K in a look-behind */
        at[1] = at[0];
    return MR_OK;
}
