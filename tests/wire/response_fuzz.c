/* response_fuzz.c - two bytes choose an api and a version of it, the others are read as its response: header
 * and body. Bytes from a broker are trusted no more than bytes from a client. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/buf.h"
#include "wire/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct mr_api *api = &mr_apis[data[0] % mr_apis_count];
    int16_t version = (int16_t)(api->min + data[1] % (api->max - api->min + 1));
    struct mr_slice in = {(const char *)data + 2, size - 2};
    struct mr_heap_arena arena;
    struct mr_buf out = {0};
    struct mr_err err;
    int32_t correlation_id;
    mr_heap_arena_init(&arena, 1 << 16, 1 << 16, 4 << 20);
    void *m = mr_arena_take(&arena.arena, api->response->size);
    mr_assert(m);
    if (mr_response_header_read(&in, api, version, &correlation_id, &err) == MR_OK &&
        mr_message_read(api->response, &in, version, &arena.arena, m, &err) == MR_OK)
        mr_assert(mr_message_write(api->response, &out, version, m, NULL, &err) == MR_OK);
    mr_buf_fini(&out);
    mr_heap_arena_fini(&arena);
    return 0;
}
