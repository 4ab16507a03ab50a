/* json_simdjson_shim.c - our side of the comparison, for C++, which our headers are not written in. */
#include "json_law.h"

#include "base/prng.h"
#include "base/text.h"

int ours_accepts(const char *text, size_t len, const char **broken);
int ours_has_wide_number(const char *text, size_t len);
uint64_t random_below(uint64_t *seed, uint64_t bound);

static struct mr_batch_pool *pool;

int ours_accepts(const char *text, size_t len, const char **broken)
{
    bool accepted;
    if (!pool)
        pool = mr_batch_pool_new(1, 64 << 20);
    *broken = json_law(pool, (struct mr_slice){text, len}, &accepted);
    return accepted;
}

/* Of accepted text: is there a number beyond 64 bits or beyond a double? */
int ours_has_wide_number(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"') {
            for (i++; text[i] != '"'; i++)
                i += text[i] == '\\';
        } else if (text[i] == '-' || (text[i] >= '0' && text[i] <= '9')) {
            size_t from = i;
            while (i < len && text[i] && strchr("+-.eE0123456789", text[i]))
                i++;
            double f = 0;
            if (!mr_parse_f64((struct mr_slice){text + from, i - from}, &f) || !isfinite(f) ||
                fabs(f) >= 9223372036854775808.0)
                return 1;
            i--;
        }
    }
    return 0;
}

uint64_t random_below(uint64_t *seed, uint64_t bound)
{
    struct mr_prng r;
    mr_prng_seed(&r, (*seed)++);
    return mr_prng_below(&r, bound);
}
