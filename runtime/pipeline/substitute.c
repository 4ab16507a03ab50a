/* substitute.c - ${NAME}, ${NAME:-default}, ${file:/path} in scalars that have been parsed already.
 *
 * Once: what comes in is not looked at again, so a value can hold "${" and cannot reach for other values.
 * "$${" is a literal "${". What came from a file is secret from then on.
 */
#include "pipeline/config.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { SECRET_BYTES_MAX = 64 * 1024 };

struct substitution {
    const char *(*env)(void *arg, const char *name);
    void *arg;
    struct mr_heap_arena *a;
    struct mr_diags *diags;
};

static const char *process_env(void *arg, const char *name)
{
    (void)arg;
    return getenv(name);
}

static bool word_char(char c, bool first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static bool put_file(struct substitution *s, struct mr_node *n, uint32_t at, struct mr_slice path,
                     struct mr_buf *out)
{
    char name[4096];
    if (path.len == 0 || path.len >= sizeof name) {
        mr_diag_node(s->diags, n, at, "write ${file:/run/secrets/name}", "'${file:}' needs a path");
        return false;
    }
    memcpy(name, path.p, path.len);
    name[path.len] = '\0';
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char *text = mr_arena_take(&s->a->arena, SECRET_BYTES_MAX + 1);
    ssize_t got = 0;
    size_t len = 0;
    while (fd >= 0 && text && len <= SECRET_BYTES_MAX &&
           (got = read(fd, text + len, SECRET_BYTES_MAX + 1 - len)) > 0)
        len += (size_t)got;
    int why = errno;
    if (fd >= 0)
        (void)close(fd);
    if (fd < 0 || got < 0) {
        mr_diag_node(s->diags, n, at, "make the file readable for this process", "cannot read '%s': %s", name,
                     strerror(why));
        return false;
    }
    if (!text || len > SECRET_BYTES_MAX) {
        mr_diag_node(s->diags, n, at, NULL, "'%s' is larger than %d bytes (limit 'secret_bytes')", name,
                     SECRET_BYTES_MAX);
        return false;
    }
    if (len && text[len - 1] == '\n') /* editors and echo end a file so */
        len--;
    n->secret = true;
    return mr_buf_put(out, text, len);
}

static bool put_one(struct substitution *s, struct mr_node *n, uint32_t at, struct mr_slice word,
                    struct mr_buf *out)
{
    if (word.len >= 5 && memcmp(word.p, "file:", 5) == 0)
        return put_file(s, n, at, (struct mr_slice){word.p + 5, word.len - 5}, out);
    size_t len = 0;
    while (len < word.len && word_char(word.p[len], len == 0))
        len++;
    char name[256];
    bool has_default = len + 2 <= word.len && word.p[len] == ':' && word.p[len + 1] == '-';
    if (len == 0 || len >= sizeof name || (len < word.len && !has_default)) {
        mr_diag_node(s->diags, n, at,
                     "use ${NAME}, ${NAME:-default} or ${file:/path}; a literal '${' is '$${'",
                     "'${%.*s}' is not a variable", (int)(word.len < 80 ? word.len : 80), word.p);
        return false;
    }
    memcpy(name, word.p, len);
    name[len] = '\0';
    const char *value = s->env(s->arg, name);
    if (value && (*value || !has_default))
        return mr_buf_puts(out, value);
    if (has_default)
        return mr_buf_put(out, word.p + len + 2, word.len - len - 2);
    char note[320];
    (void)snprintf(note, sizeof note, "set it, or give a default: ${%s:-value}", name);
    mr_diag_node(s->diags, n, at, note, "the environment variable '%s' is not set", name);
    return false;
}

static void one_scalar(struct substitution *s, struct mr_node *n)
{
    struct mr_slice t = n->text;
    if (t.len < 2 || !memmem(t.p, t.len, "${", 2))
        return;
    struct mr_buf out = {0};
    bool ok = true;
    for (size_t i = 0; i < t.len && ok;) {
        const char *found = memmem(t.p + i, t.len - i, "${", 2);
        size_t at = found ? (size_t)(found - t.p) : t.len;
        if (found && at > i && t.p[at - 1] == '$') { /* "$${" */
            ok = mr_buf_put(&out, t.p + i, at - 1 - i) && mr_buf_put(&out, "${", 2);
            i = at + 2;
            continue;
        }
        ok = mr_buf_put(&out, t.p + i, at - i);
        if (!found)
            break;
        const char *end = memchr(found, '}', t.len - at);
        if (!end) {
            mr_diag_node(s->diags, n, (uint32_t)at, "end it with '}'; a literal '${' is '$${'",
                         "'${' without its '}'");
            ok = false;
            break;
        }
        ok = put_one(s, n, (uint32_t)at, (struct mr_slice){found + 2, (size_t)(end - found) - 2}, &out);
        i = (size_t)(end - t.p) + 1;
    }
    if (ok) {
        struct mr_slice fresh = mr_slice_copy(&s->a->arena, (struct mr_slice){out.p, out.len});
        if (fresh.p)
            n->text = fresh;
        else
            mr_diag_node(s->diags, n, 0, NULL, "no memory left for this file (limit 'config_memory')");
    }
    mr_buf_fini(&out);
}

static void walk(struct substitution *s, struct mr_node *n)
{
    if (n->kind == MR_NODE_SCALAR)
        one_scalar(s, n);
    for (struct mr_node *c = n->first; c; c = c->next)
        walk(s, c);
}

void mr_substitute(struct mr_node *n, const char *(*env)(void *arg, const char *name), void *arg,
                   struct mr_heap_arena *a, struct mr_diags *diags)
{
    struct substitution s = {env ? env : process_env, arg, a, diags};
    walk(&s, n); /* no deeper than MR_CONFIG_DEPTH_MAX */
}
