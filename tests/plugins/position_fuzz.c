/* position_fuzz.c - any bytes as a stored position, and as a pattern and a path.
 *
 * What is accepted as a position is written and read again as the same; a match ends.
 */
#include <stdlib.h>

#include "../plugins/file/glob.c"
#include "../plugins/file/tail.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *cut = size ? memchr(data, '\0', size) : NULL;
    if (!cut)
        return 0;
    struct mr_slice key = {(const char *)data, (size_t)(cut - data)},
                    pos = {(const char *)cut + 1, size - key.len - 1};
    struct tail once, twice;
    if (tail_parse(key, pos, &once)) {
        char k[64], text[TAIL_POSITION_MAX];
        struct mr_slice new_key = tail_key(&once, k, sizeof k),
                        new_pos = tail_position(&once, text, sizeof text);
        if (new_pos.len) {
            if (!tail_parse(new_key, new_pos, &twice) || twice.dev != once.dev || twice.ino != once.ino ||
                twice.offset != once.offset || twice.head_len != once.head_len || twice.skip != once.skip ||
                twice.ended != once.ended || strcmp(twice.path, once.path) != 0 ||
                (once.head_len && twice.head_hash != once.head_hash))
                abort();
            tail_fini(&twice);
        }
        tail_fini(&once);
    }
    if (size < 200) {
        char pattern[200], path[200];
        (void)snprintf(pattern, sizeof pattern, "%.*s", MR_SLICE_ARG(key));
        (void)snprintf(path, sizeof path, "%.*s", MR_SLICE_ARG(pos));
        (void)glob_match(pattern, path);
        if (pattern[0] && glob_is_plain(pattern) && !strchr(pattern, '\\') && !glob_match(pattern, pattern) &&
            strlen(pattern) < 200 && pattern[strspn(pattern, "/")] != '.' && !strstr(pattern, "/."))
            abort();
    }
    return 0;
}
