/* file.c - whole small files, in terms of any world. */
#include "world/world.h"

#include "base/mem.h"

enum { PATH_BYTES_MAX = 4096 };

mr_code mr_file_slurp(struct mr_world *w, const char *path, size_t max, struct mr_arena *a,
                      struct mr_slice *out, struct mr_err *err)
{
    struct mr_file *f;
    int64_t size = 0;
    size_t got = 0;
    char *bytes = NULL;
    mr_code rc = mr_file_open(w, path, MR_FILE_READ, &f, err);
    if (rc)
        return rc;
    rc = mr_file_size(f, &size, err);
    if (!rc && (uint64_t)size > max)
        rc = mr_fail(err, MR_LIMIT, "'%s' has %lld bytes, at most %zu are allowed here", path,
                     (long long)size, max);
    if (!rc && !(bytes = mr_arena_take(a, size ? (size_t)size : 1)))
        rc = mr_fail(err, MR_MEMORY, "no memory for the %lld bytes of '%s'", (long long)size, path);
    if (!rc)
        rc = mr_file_read(f, bytes, (size_t)size, 0, &got, err);
    mr_file_close(f);
    if (!rc)
        *out = (struct mr_slice){bytes, got};
    return rc;
}

static const char *parent_of(const char *path, char out[PATH_BYTES_MAX])
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ".";
    size_t len = slash == path ? 1 : (size_t)(slash - path);
    memcpy(out, path, len);
    out[len] = '\0';
    return out;
}

static mr_code replace(struct mr_world *w, const char *path, struct mr_slice bytes, bool sync,
                       struct mr_err *err)
{
    char beside[PATH_BYTES_MAX], parent[PATH_BYTES_MAX];
    struct mr_file *f;
    struct mr_err ignored;
    int n = snprintf(beside, sizeof beside, "%s.tmp", path);
    if (n < 0 || (size_t)n >= sizeof beside)
        return mr_fail(err, MR_LIMIT, "path '%.80s...' is longer than %d bytes", path, PATH_BYTES_MAX);
    mr_code rc = mr_file_open(w, beside, MR_FILE_WRITE | MR_FILE_CREATE | MR_FILE_TRUNC, &f, err);
    if (rc)
        return rc;
    rc = mr_file_write(f, bytes.p, bytes.len, 0, err);
    if (!rc && sync)
        rc = mr_file_sync(f, err);
    mr_file_close(f);
    if (!rc)
        rc = mr_rename(w, beside, path, err);
    if (rc) {
        (void)mr_unlink(w, beside, &ignored); /* only tidiness: the next try truncates it */
        return rc;
    }
    return sync ? mr_dir_sync(w, parent_of(path, parent), err) : MR_OK;
}

mr_code mr_file_replace(struct mr_world *w, const char *path, struct mr_slice bytes, struct mr_err *err)
{
    return replace(w, path, bytes, true, err);
}

mr_code mr_file_replace_unsynced(struct mr_world *w, const char *path, struct mr_slice bytes,
                                 struct mr_err *err)
{
    return replace(w, path, bytes, false, err);
}

/* begun --file synced--> named --directory synced--> done */
struct mr_replacing {
    struct mr_world *world;
    struct mr_file *file;
    mr_done_fn done;
    void *arg;
    mr_code rc; /* of what failed at once */
    int sys;
    char path[PATH_BYTES_MAX], beside[PATH_BYTES_MAX + 4];
};

static void replaced(void *arg, mr_code rc, int sys)
{
    struct mr_replacing *r = arg;
    if (r->done)
        r->done(r->arg, rc, sys);
    mr_free(r);
}

static void replace_failed(void *arg)
{
    struct mr_replacing *r = arg;
    replaced(r, r->rc, r->sys);
}

static void replace_synced(void *arg, mr_code rc, int sys)
{
    struct mr_replacing *r = arg;
    struct mr_err err = {.sys = sys};
    char parent[PATH_BYTES_MAX];
    mr_file_close(r->file);
    if (!rc)
        rc = mr_rename(r->world, r->beside, r->path, &err);
    if (rc) {
        struct mr_err ignored; /* only tidiness: the next try truncates it */
        (void)mr_unlink(r->world, r->beside, &ignored);
        replaced(r, rc, err.sys);
        return;
    }
    mr_dir_sync_later(r->world, parent_of(r->path, parent), replaced, r);
}

struct mr_replacing *mr_file_replace_later(struct mr_world *w, const char *path, struct mr_slice bytes,
                                           mr_done_fn done, void *arg)
{
    struct mr_replacing *r = mr_need(sizeof *r);
    struct mr_err err = {0};
    *r = (struct mr_replacing){.world = w, .done = done, .arg = arg};
    int n = snprintf(r->path, sizeof r->path, "%s", path);
    (void)snprintf(r->beside, sizeof r->beside, "%s.tmp", r->path);
    r->rc = n < 0 || (size_t)n >= sizeof r->path
                ? MR_LIMIT
                : mr_file_open(w, r->beside, MR_FILE_WRITE | MR_FILE_CREATE | MR_FILE_TRUNC, &r->file, &err);
    if (!r->rc && (r->rc = mr_file_write(r->file, bytes.p, bytes.len, 0, &err)))
        mr_file_close(r->file);
    if (r->rc) {
        r->sys = err.sys;
        mr_post(w, replace_failed, r);
        return r;
    }
    mr_file_sync_later(r->file, replace_synced, r);
    return r;
}

void mr_file_replace_forget(struct mr_replacing *r)
{
    r->done = NULL;
    if (r->rc)
        mr_free(r); /* its posted call went down with the world */
}

mr_code mr_mkdir_all(struct mr_world *w, const char *path, struct mr_err *err)
{
    char upto[PATH_BYTES_MAX];
    size_t len = strlen(path);
    struct mr_stat st;
    if (mr_stat_path(w, path, &st, err) == MR_OK && st.is_dir)
        return MR_OK;
    if (len == 0 || len >= sizeof upto)
        return mr_fail(err, MR_LIMIT, "path '%.80s' is empty or longer than %d bytes", path, PATH_BYTES_MAX);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        if (path[i - 1] == '/')
            continue;
        memcpy(upto, path, i);
        upto[i] = '\0';
        if (strcmp(upto, ".") == 0 || strcmp(upto, "..") == 0 ||
            (mr_stat_path(w, upto, &st, err) == MR_OK && st.is_dir))
            continue;
        char parent[PATH_BYTES_MAX];
        mr_code rc = mr_mkdir(w, upto, err);
        if (!rc)
            rc = mr_dir_sync(w, parent_of(upto, parent), err);
        if (rc)
            return rc;
    }
    mr_err_clear(err);
    return MR_OK;
}
