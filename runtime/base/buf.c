/* buf.c - growing by doubling, up to MR_BUF_MAX. */
#include "base/buf.h"

#include "base/mem.h"

bool mr_buf_reserve(struct mr_buf *b, size_t more)
{
    if (b->cap - b->len >= more)
        return true;
    if (more > MR_BUF_MAX - b->len)
        return false;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < b->len + more)
        cap *= 2;
    if (cap > MR_BUF_MAX)
        cap = MR_BUF_MAX;
    char *p = mr_realloc(b->p, cap);
    if (!p)
        return false;
    b->p = p;
    b->cap = cap;
    return true;
}

bool mr_buf_put(struct mr_buf *b, const void *p, size_t len)
{
    if (!mr_buf_reserve(b, len))
        return false;
    if (len)
        memcpy(b->p + b->len, p, len);
    b->len += len;
    return true;
}

bool mr_buf_puts(struct mr_buf *b, const char *text)
{
    return mr_buf_put(b, text, strlen(text));
}

bool mr_buf_printf(struct mr_buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    size_t room = b->cap - b->len;
    int n = vsnprintf(room ? b->p + b->len : NULL, room, format, args);
    bool ok = n >= 0;
    if (ok && (size_t)n >= room) {
        ok = mr_buf_reserve(b, (size_t)n + 1);
        if (ok)
            (void)vsnprintf(b->p + b->len, (size_t)n + 1, format, again);
    }
    if (ok)
        b->len += (size_t)n;
    va_end(again);
    va_end(args);
    return ok;
}

void mr_buf_fini(struct mr_buf *b)
{
    mr_free(b->p);
    *b = (struct mr_buf){0};
}
