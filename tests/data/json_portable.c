/* json_portable.c - the JSON reader without any vector instructions, for holding it against the others. */
#define MR_JSON_PORTABLE
#include "data/json_reader.h"

extern const struct mr_json_kernel json_kernel_portable;
const struct mr_json_kernel json_kernel_portable = {
    .name = "portable",
    .read = read,
    .read_row = read_row,
    .forget = forget,
    .plain = plain,
    .member = member,
    .skip = skip,
};
