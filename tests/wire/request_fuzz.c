/* request_fuzz.c - any frame (without its size) is read as a request, or refused, without harm; what was read
 * can be written and reads the same again. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mr_slice in = {(const char *)data, size};
    struct mr_request_header head;
    struct mr_heap_arena arena;
    struct mr_buf once = {0}, twice = {0};
    struct mr_err err;
    mr_heap_arena_init(&arena, 1 << 16, 1 << 16, 4 << 20);
    if (mr_request_header_read(&in, &head, &err) == MR_OK) {
        const struct mr_shape *shape = head.api->request;
        void *m = mr_arena_take(&arena.arena, shape->size), *again = mr_arena_take(&arena.arena, shape->size);
        mr_assert(m && again);
        if (mr_message_read(shape, &in, head.version, &arena.arena, m, &err) == MR_OK) {
            mr_assert(mr_message_write(shape, &once, head.version, m, NULL, &err) == MR_OK);
            struct mr_slice back = {once.p, once.len};
            mr_code rc = mr_message_read(shape, &back, head.version, &arena.arena, again, &err);
            mr_assert(rc == MR_OK || rc == MR_LIMIT); /* the arena holds both */
            if (rc == MR_OK) {
                mr_assert(back.len == 0);
                mr_assert(mr_message_write(shape, &twice, head.version, again, NULL, &err) == MR_OK);
                mr_assert(
                    mr_slice_eq((struct mr_slice){once.p, once.len}, (struct mr_slice){twice.p, twice.len}));
            }
        }
    }
    mr_buf_fini(&once);
    mr_buf_fini(&twice);
    mr_heap_arena_fini(&arena);
    return 0;
}
