/* batch.h - batches behind the public struct mr_batch: making, reusing, fields by slot and by path.
 *
 * Everything here is what services of plugin.h of the same name promise. Thread: the batch's owner.
 */
#ifndef MR_DATA_BATCH_H
#define MR_DATA_BATCH_H

#include "base/arena.h"
#include <millrace/plugin.h>

/* Keeps a few spent batches for reuse, so that a busy lane neither calls malloc nor touches new pages.
 * Batches may be freed on any thread; mr_batch_take is for the owner. Bound: `keep` batches are kept;
 * `batch_limit` bytes an arena (MR_LIMIT named "batch_bytes" beyond). */
struct mr_batch_pool;
struct mr_batch_pool *mr_batch_pool_new(size_t keep, size_t batch_limit);
void mr_batch_pool_free(struct mr_batch_pool *p);        /* batches still out are freed when they come back */
struct mr_batch *mr_batch_take(struct mr_batch_pool *p); /* empty, cap MR_BATCH_ROWS_MAX; NULL: no memory */
void mr_batch_free(struct mr_batch *b);                  /* releases pins, gives it back to its pool */
size_t mr_batch_bytes(const struct mr_batch *b);         /* memory held: what byte limits count */

/* Makes rows [0, rows) exist, be empty if they are new, and be chosen: before any of their values is written.
 */
void mr_batch_rows(struct mr_batch *b, uint32_t rows);
void mr_batch_compact(struct mr_batch *b); /* sel without the rows whose fate is not MR_KEPT */
bool mr_batch_pin(struct mr_batch *b, void (*release)(void *), void *what);
__attribute__((format(printf, 3, 4))) void mr_batch_reject(struct mr_batch *b, uint32_t row,
                                                           const char *format, ...);
struct mr_slice mr_batch_reason(const struct mr_batch *b, uint32_t row); /* of a rejected row */

int32_t mr_batch_slot(struct mr_batch *b, const char *name, size_t len, bool create);
void mr_batch_remove(struct mr_batch *b, const char *name, size_t len);
bool mr_value_resolve(struct mr_arena *a, const struct mr_value *in, struct mr_value *out);

/* A path, compiled once: "a.b[0].c", quoted parts ["x-y"]; lists count from 0. At most 64 parts. MR_BADCONF
 * with err->at. */
struct mr_path;
mr_code mr_path_parse(const char *text, size_t len, struct mr_path **out, struct mr_err *err);
void mr_path_free(struct mr_path *p);
/* Undecoded JSON never comes out at the top; MR_MISSING when the path leads nowhere. */
struct mr_value mr_path_get(const struct mr_path *p, struct mr_batch *b, uint32_t row);
/* MR_MISSING removes; an index equal to a list's length appends. Makes objects on the way, never lists.
 * Copies nothing of v: it must live as long as the batch. false: a limit, or the way leads through something
 * else. */
bool mr_path_set(const struct mr_path *p, struct mr_batch *b, uint32_t row, struct mr_value v);
struct mr_value mr_batch_get(struct mr_batch *b, uint32_t row, const char *path, size_t len);
bool mr_batch_set(struct mr_batch *b, uint32_t row, const char *path, size_t len, struct mr_value v);

/* Deep copy into another arena. */
bool mr_value_copy(struct mr_arena *a, const struct mr_value *in, struct mr_value *out);
/* Adds a copy of one event, metadata included, as a new last row of `to`. false: limit. */
bool mr_batch_copy_row(struct mr_batch *to, struct mr_batch *from, uint32_t row);
/* By value, as JSON would: 1 equals 1.0; objects without regard to order. */
bool mr_value_equal(const struct mr_value *a, const struct mr_value *b);

#endif
