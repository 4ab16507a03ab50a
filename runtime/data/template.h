/* template.h - "text {{ path | format }}" per event, compiled once.
 *
 * {{ a.b }} a field; {{ m.key }} metadata; {{ ts }} the event time, RFC 3339, or with | %Y-%m-%d strftime;
 * {{ path | default "x" }} when missing. "{{{{" is a literal "{{".
 *
 * null counts as missing. Strings stand as they are, lists and objects as JSON. A time format is for times,
 * integers (nanoseconds) and RFC 3339 texts. Fields named ts and m are written ["ts"] and ["m"]. At most 64
 * pieces.
 */
#ifndef MR_DATA_TEMPLATE_H
#define MR_DATA_TEMPLATE_H

#include <millrace/plugin.h>

mr_code mr_template_parse(const char *text, size_t len, struct mr_template **out, struct mr_err *err);
void mr_template_free(struct mr_template *t);
bool mr_template_is_constant(const struct mr_template *t);
/* [arena of the batch] or [borrow from the template]; p NULL: a path is missing; err says which. A single {{
 * path }} of a string field costs no copy. */
struct mr_slice mr_template_render(struct mr_template *t, struct mr_batch *b, uint32_t row,
                                   struct mr_err *err);

#endif
