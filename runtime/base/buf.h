/* buf.h - bytes that grow. struct mr_buf is in millrace/plugin.h; zeroed is empty.
 *
 * Cost: amortised one copy. A buffer never grows beyond `MR_BUF_MAX` (1 GiB): false then, or with no memory.
 */
#ifndef MR_BASE_BUF_H
#define MR_BASE_BUF_H

#include <millrace/plugin.h>

#define MR_BUF_MAX ((size_t)1 << 30)

bool mr_buf_reserve(struct mr_buf *b, size_t more); /* room for `more` bytes beyond len */
bool mr_buf_put(struct mr_buf *b, const void *p, size_t len);
bool mr_buf_puts(struct mr_buf *b, const char *text);
__attribute__((format(printf, 2, 3))) bool mr_buf_printf(struct mr_buf *b, const char *format, ...);
void mr_buf_fini(struct mr_buf *b); /* frees; empty afterwards */

#endif
