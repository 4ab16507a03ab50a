/* regex.h - one PCRE2 pattern over one text, for scripts.
 *
 * Text is bytes. Bounds, by name: `match_limit` MR_REGEX_STEPS steps a match, 32 KiB of stack,
 * MR_REGEX_GROUPS_MAX groups. Thread: one at a time, for each pattern (its places are inside). Cost: compiled
 * once, by PCRE2's compiler for the processor where there is one.
 */
#ifndef MR_DATA_REGEX_H
#define MR_DATA_REGEX_H

#include <millrace/types.h>

enum { MR_REGEX_STEPS = 1000000, MR_REGEX_GROUPS_MAX = 64, MR_REGEX_HEAP_KB = 4096 };

struct mr_regex;

/* MR_BADCONF: err->at is the byte of the pattern where it stopped making sense. */
mr_code mr_regex_new(struct mr_slice pattern, struct mr_regex **out, struct mr_err *err);
void mr_regex_free(struct mr_regex *r);
uint32_t mr_regex_groups(const struct mr_regex *r); /* without the whole match, which is group 0 */

/* The first match at or after byte `from`. at: [2 * (groups + 1)] begin and end of each group, both SIZE_MAX
 * of one that took no part. MR_END: none. MR_LIMIT: it would take too long, says which limit. */
mr_code mr_regex_match(struct mr_regex *r, struct mr_slice text, size_t from, size_t *at, struct mr_err *err);

#endif
