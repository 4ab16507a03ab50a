/* open_fuzz.c - a log's directory made of any bytes: opening, reading and appending must not crash, and what
 * is read must be whole batches.
 *
 * Input: pieces of (1 byte which file, 2 bytes length little-endian, bytes).
 */
#include "base/assert.h"
#include "base/mem.h"
#include "log/log.h"
#include "world/sim.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const files[] = {"t/00000000000000000000.log",
                                    "t/00000000000000000000.index",
                                    "t/00000000000000000000.timeindex",
                                    "t/recovery",
                                    "t/clean",
                                    "t/00000000000000000005.log",
                                    "t/00000000000000000005.index",
                                    "t/00000000000000000005.timeindex"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char page[1 << 16];
    struct mr_sim *s = mr_sim_new(1);
    struct mr_world *w = mr_sim_node(s, 0);
    struct mr_log_config config;
    struct mr_log *log = NULL;
    struct mr_err err;
    mr_assert(mr_mkdir(w, "t", &err) == MR_OK);
    while (size >= 3) {
        size_t len = (size_t)data[1] | (size_t)data[2] << 8;
        struct mr_file *f;
        const char *path = files[data[0] % 8];
        int64_t at;
        data += 3;
        size -= 3;
        if (len > size)
            len = size;
        mr_assert(mr_file_open(w, path, MR_FILE_WRITE | MR_FILE_CREATE, &f, &err) == MR_OK);
        mr_assert(mr_file_size(f, &at, &err) == MR_OK);
        mr_assert(mr_file_write(f, data, len, at, &err) == MR_OK);
        mr_file_close(f);
        data += len;
        size -= len;
    }
    mr_log_config_init(&config);
    for (int round = 0; round < 2; round++) {
        log = NULL;
        (void)mr_log_open(w, "t", &config, &log, &err);
        if (!log)
            break;
        int64_t end = mr_log_end(log).v, ts;
        mr_offset offset;
        int reads = 0;
        for (int64_t want = mr_log_start(log).v; want < end && reads < 50; reads++) {
            size_t got;
            mr_code rc = mr_log_read(log, (mr_offset){want}, (mr_offset){end}, page, sizeof page, &got, &err);
            mr_assert(rc != MR_OK || got > 0);
            want += 1 + reads % 3;
        }
        (void)mr_log_find_time(log, 1, &offset, &ts, &err);
        (void)mr_log_find_max_time(log, &offset, &ts, &err);
        (void)mr_log_retain(log, mr_wall(w), &err);
        (void)mr_log_trim(log, (mr_offset){end / 2}, &err);
        mr_log_close(log);
    }
    mr_sim_free(s);
    return 0;
}
