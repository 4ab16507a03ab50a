/* record_file.c - text files that say when they are damaged. */
#include "broker/record_file.h"

#include "base/buf.h"
#include "base/hash.h"

enum { FILE_BYTES_MAX = 64 << 10, LAST_LINE = sizeof "crc32c 00000000\n" - 1 };

bool mr_record_file_seal(struct mr_buf *text)
{
    uint32_t crc = mr_crc32c(0, text->p, text->len);
    return mr_buf_printf(text, "crc32c %08x\n", crc);
}

mr_code mr_record_file_write(struct mr_world *w, const char *path, struct mr_buf *text, struct mr_err *err)
{
    if (!mr_record_file_seal(text))
        return mr_fail(err, MR_MEMORY, "no memory to write '%s'", path);
    return mr_file_replace(w, path, (struct mr_slice){text->p, text->len}, err);
}

mr_code mr_record_file_read(struct mr_world *w, const char *path, struct mr_arena *a, struct mr_slice *lines,
                            struct mr_err *err)
{
    struct mr_slice all;
    mr_code rc = mr_file_slurp(w, path, FILE_BYTES_MAX, a, &all, err);
    if (rc)
        return rc;
    char want[LAST_LINE + 1] = "";
    if (all.len >= LAST_LINE)
        (void)snprintf(want, sizeof want, "crc32c %08x\n", mr_crc32c(0, all.p, all.len - LAST_LINE));
    if (all.len < LAST_LINE || memcmp(all.p + all.len - LAST_LINE, want, LAST_LINE) != 0)
        return mr_fail(err, MR_CORRUPT, "'%s' does not match its checksum; restore it from a backup", path);
    *lines = (struct mr_slice){all.p, all.len - LAST_LINE};
    return MR_OK;
}

bool mr_record_file_line(struct mr_slice *lines, struct mr_slice *word, struct mr_slice *rest)
{
    if (lines->len == 0)
        return false;
    const char *end = memchr(lines->p, '\n', lines->len);
    size_t len = end ? (size_t)(end - lines->p) : lines->len;
    const char *gap = memchr(lines->p, ' ', len);
    size_t first = gap ? (size_t)(gap - lines->p) : len;
    *word = (struct mr_slice){lines->p, first};
    *rest = (struct mr_slice){lines->p + first + (gap ? 1 : 0), len - first - (gap ? 1 : 0)};
    size_t used = len + (end ? 1 : 0);
    *lines = (struct mr_slice){lines->p + used, lines->len - used};
    return true;
}
