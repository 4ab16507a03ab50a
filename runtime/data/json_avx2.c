/* json_avx2.c - the JSON reader for processors with AVX2; compiled with that set, chosen at run time. */
#if defined(__x86_64__)
#include "data/json_reader.h"

const struct mr_json_kernel mr_json_kernel_avx2 = {
    .name = "avx2",
    .read = read,
    .read_row = read_row,
    .forget = forget,
    .plain = plain,
    .member = member,
    .skip = skip,
};
#else
typedef int mr_json_avx2_unused; /* another processor */
#endif
