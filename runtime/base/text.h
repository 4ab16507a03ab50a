/* text.h - small things about text. */
#ifndef MR_BASE_TEXT_H
#define MR_BASE_TEXT_H

#include <millrace/types.h>

bool mr_utf8_valid(const char *p, size_t len); /* RFC 3629; ASCII goes 16 or more bytes at a time */
/* The candidate nearest to `word` (Damerau-Levenshtein), NULL when none is near enough to suggest. */
const char *mr_nearest(struct mr_slice word, const char *const *candidates, size_t count);
bool mr_parse_i64(struct mr_slice text, int64_t *out); /* decimal, whole slice, false on overflow */
bool mr_parse_f64(struct mr_slice text,
                  double *out); /* JSON number grammar, whole slice, correctly rounded */
int mr_print_f64(double f,
                 char out[32]); /* shortest that reads back the same; always with '.' or 'e' ("1.0") */
int mr_print_i64(int64_t i, char out[24]);

#endif
