/* mem.h - memory from the heap, where tests can make any single allocation fail.
 *
 * Thread: any. The counters are per thread, so that a test of one thread is repeatable.
 */
#ifndef MR_BASE_MEM_H
#define MR_BASE_MEM_H

#include <millrace/types.h>

void *mr_alloc(size_t bytes);                /* zeroed; NULL: no memory */
void *mr_realloc(void *p, size_t bytes);     /* not zeroed; NULL: no memory, p stays */
void mr_free(void *p);                       /* NULL is fine */
char *mr_strndup(const char *s, size_t len); /* NUL-terminated copy; NULL: no memory */

/* Never NULL: for small things made at start, where going on without them has no meaning. Ends the
 * process with a message. */
void *mr_need(size_t bytes);

/* Whole large pages, for memory that devices read and write: less to pin and to map. bytes: a multiple of
 * MR_PAGES_BYTES, as is the address. Not zeroed. NULL: no memory. */
enum { MR_PAGES_BYTES = 2 << 20 };
void *mr_alloc_pages(size_t bytes);
void mr_free_pages(void *p, size_t bytes); /* NULL is fine */

/* Tests: the n-th allocation of this thread from now on fails (1: the next); 0: none. */
void mr_alloc_fail_at(uint64_t n);
uint64_t mr_alloc_fail_left(void); /* what the counter stands at: for tools that must not count */

#endif
