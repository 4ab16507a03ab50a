/* json_base.c - the JSON reader for any processor: SSE2 where the compiler may take it for granted. */
#include "data/json_reader.h"

const struct mr_json_kernel mr_json_kernel_base = {
    .name = "base",
    .read = read,
    .read_row = read_row,
    .forget = forget,
    .plain = plain,
    .member = member,
    .skip = skip,
};
