/* realfile.c - files by POSIX. Calls that were interrupted go on; short writes are finished. */
#include "world/real_inside.h"

#include "base/assert.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static mr_code code_of(int sys)
{
    switch (sys) {
    case 0:
        return MR_OK;
    case ENOENT:
        return MR_NOTFOUND;
    case EEXIST:
    case EADDRINUSE:
        return MR_EXISTS;
    case ENOSPC:
    case EDQUOT:
        return MR_NOSPACE;
    case ENOMEM:
        return MR_MEMORY;
    default:
        return MR_IO;
    }
}

mr_code mr_real_fail(struct mr_err *err, int sys, const char *doing, const char *path)
{
    char text[128];
    const char *why = strerror_r(sys, text, sizeof text);
    mr_code rc = mr_fail(err, code_of(sys), "cannot %s '%s': %s", doing, path, why);
    if (err)
        err->sys = sys;
    return rc;
}

static struct real_file *real_of(struct mr_file *f)
{
    return (struct real_file *)f;
}

mr_code mr_real_open(struct mr_world *w, const char *path, int flags, struct mr_file **out,
                     struct mr_err *err)
{
    int how = O_CLOEXEC | (flags & MR_FILE_WRITE ? O_RDWR : O_RDONLY), fd;
    size_t len = strlen(path);
    how |= (flags & MR_FILE_CREATE ? O_CREAT : 0) | (flags & MR_FILE_EXCL ? O_CREAT | O_EXCL : 0);
    how |= flags & MR_FILE_TRUNC ? O_TRUNC : 0;
    struct real_file *f = mr_alloc(sizeof *f + len + 1);
    if (!f)
        return mr_fail(err, MR_MEMORY, "no memory to open '%s'", path);
    do
        fd = open(path, how, 0640);
    while (fd < 0 && errno == EINTR);
    if (fd < 0) {
        int sys = errno;
        mr_free(f);
        return mr_real_fail(err, sys, flags & (MR_FILE_CREATE | MR_FILE_EXCL) ? "make" : "open", path);
    }
    f->file.world = w;
    f->fd = fd;
    atomic_init(&f->owners, 1);
    (void)atomic_fetch_add(&mr_real_of(w)->files, 1);
    memcpy(f->path, path, len + 1);
    *out = &f->file;
    return MR_OK;
}

void mr_real_hold(struct mr_file *file)
{
    (void)atomic_fetch_add(&real_of(file)->owners, 1);
}

void mr_real_close(struct mr_world *w, struct mr_file *file)
{
    struct real_file *f = real_of(file);
    if (atomic_fetch_sub(&f->owners, 1) != 1)
        return;
    (void)atomic_fetch_sub(&mr_real_of(w)->files, 1);
    (void)close(f->fd); /* whoever cares about the bytes has synced */
    mr_free(f);
}

mr_code mr_real_pread(struct mr_file *file, void *to, size_t len, int64_t at, size_t *got, struct mr_err *err)
{
    struct real_file *f = real_of(file);
    size_t done = 0;
    *got = 0;
    while (done < len) {
        ssize_t n = pread(f->fd, (char *)to + done, len - done, (off_t)at + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return mr_real_fail(err, errno, "read", f->path);
        if (n == 0)
            break;
        done += (size_t)n;
    }
    *got = done;
    return MR_OK;
}

mr_code mr_real_pwrite(struct mr_file *file, const void *from, size_t len, int64_t at, struct mr_err *err)
{
    struct real_file *f = real_of(file);
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(f->fd, (const char *)from + done, len - done, (off_t)at + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return mr_real_fail(err, n < 0 ? errno : EIO, "write", f->path);
        done += (size_t)n;
    }
    return MR_OK;
}

mr_code mr_real_truncate(struct mr_file *file, int64_t size, struct mr_err *err)
{
    struct real_file *f = real_of(file);
    int rc;
    do
        rc = ftruncate(f->fd, (off_t)size);
    while (rc < 0 && errno == EINTR);
    return rc == 0 ? MR_OK : mr_real_fail(err, errno, "truncate", f->path);
}

mr_code mr_real_size(struct mr_file *file, int64_t *out, struct mr_err *err)
{
    struct real_file *f = real_of(file);
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        return mr_real_fail(err, errno, "look at", f->path);
    *out = (int64_t)st.st_size;
    return MR_OK;
}

static int sync_fd(int fd)
{
    int rc;
    do
        rc = fdatasync(fd); /* with the size, which is all the metadata that reading needs */
    while (rc < 0 && errno == EINTR);
    return rc == 0 ? 0 : errno;
}

mr_code mr_real_sync(struct mr_file *file, struct mr_err *err)
{
    struct real_file *f = real_of(file);
    int sys = sync_fd(f->fd);
    return sys == 0 ? MR_OK : mr_real_fail(err, sys, "sync", f->path);
}

uint32_t mr_real_files(struct mr_world *w)
{
    return atomic_load(&mr_real_of(w)->files);
}

enum sync_kind { SYNC_FILE, SYNC_DIR, SYNC_DISK, SYNC_WORK };
struct sync_job {
    uv_work_t work;
    enum sync_kind kind;
    struct mr_file *file; /* [held] */
    void (*fn)(void *arg);
    int sys;
    mr_done_fn done;
    void *arg;
    char path[];
};

static int sync_dir(const char *path, bool disk)
{
    int fd, rc;
    do
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return errno;
    do
        rc = disk ? syncfs(fd) : fsync(fd);
    while (rc < 0 && errno == EINTR);
    int sys = rc == 0 ? 0 : errno;
    (void)close(fd);
    return sys;
}

static void sync_work(uv_work_t *work)
{
    struct sync_job *job = work->data;
    if (job->kind == SYNC_WORK)
        job->fn(job->arg);
    else
        job->sys = job->file ? sync_fd(real_of(job->file)->fd) : sync_dir(job->path, job->kind == SYNC_DISK);
}

static void sync_done(uv_work_t *work, int status)
{
    struct sync_job *job = work->data;
    mr_done_fn done = job->done;
    void *arg = job->arg;
    int sys = status == UV_ECANCELED ? ECANCELED : job->sys;
    mr_file_close(job->file);
    mr_free(job);
    done(arg, code_of(sys), sys);
}

static void sync_later(struct mr_world *w, enum sync_kind kind, struct mr_file *file, const char *path,
                       void (*fn)(void *arg), mr_done_fn done, void *arg)
{
    size_t len = strlen(path);
    struct sync_job *job = mr_need(sizeof *job + len + 1); /* an answer must come, so this must not fail */
    job->work.data = job;
    job->kind = kind;
    job->file = file ? mr_file_hold(file) : NULL;
    job->fn = fn;
    job->done = done;
    job->arg = arg;
    memcpy(job->path, path, len + 1);
    mr_assert(uv_queue_work(&mr_real_of(w)->loop, &job->work, sync_work, sync_done) == 0);
}

void mr_real_sync_later(struct mr_world *w, struct mr_file *file, mr_done_fn done, void *arg)
{
    sync_later(w, SYNC_FILE, file, "", NULL, done, arg);
}

void mr_real_dir_sync_later(struct mr_world *w, const char *path, mr_done_fn done, void *arg)
{
    sync_later(w, SYNC_DIR, NULL, path, NULL, done, arg);
}

void mr_real_flush_later(struct mr_world *w, const char *path, mr_done_fn done, void *arg)
{
    sync_later(w, SYNC_DISK, NULL, path, NULL, done, arg);
}

void mr_real_work(struct mr_world *w, void (*fn)(void *arg), mr_done_fn done, void *arg)
{
    sync_later(w, SYNC_WORK, NULL, "", fn, done, arg);
}

int mr_real_fd(struct mr_file *file)
{
    return real_of(file)->fd;
}

mr_code mr_real_stat(struct mr_world *w, const char *path, struct mr_stat *out, struct mr_err *err)
{
    struct stat st;
    (void)w;
    if (stat(path, &st) != 0)
        return mr_real_fail(err, errno, "look at", path);
    *out = (struct mr_stat){.size = (int64_t)st.st_size,
                            .is_dir = S_ISDIR(st.st_mode),
                            .modified = (mr_ns)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec};
    return MR_OK;
}

mr_code mr_real_rename(struct mr_world *w, const char *from, const char *to, struct mr_err *err)
{
    (void)w;
    return rename(from, to) == 0 ? MR_OK : mr_real_fail(err, errno, "rename", from);
}

mr_code mr_real_unlink(struct mr_world *w, const char *path, struct mr_err *err)
{
    (void)w;
    return unlink(path) == 0 ? MR_OK : mr_real_fail(err, errno, "delete", path);
}

mr_code mr_real_mkdir(struct mr_world *w, const char *path, struct mr_err *err)
{
    struct stat st;
    (void)w;
    if (mkdir(path, 0750) == 0)
        return MR_OK;
    int sys = errno;
    if (sys == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return MR_OK;
    return mr_real_fail(err, sys, "make directory", path);
}

mr_code mr_real_rmdir(struct mr_world *w, const char *path, struct mr_err *err)
{
    (void)w;
    return rmdir(path) == 0 ? MR_OK : mr_real_fail(err, errno, "delete directory", path);
}

mr_code mr_real_dir_sync(struct mr_world *w, const char *path, struct mr_err *err)
{
    int sys = sync_dir(path, false);
    (void)w;
    return sys == 0 ? MR_OK : mr_real_fail(err, sys, "sync directory", path);
}

mr_code mr_real_list(struct mr_world *w, const char *path, void (*each)(void *arg, const char *name),
                     void *arg, struct mr_err *err)
{
    DIR *dir = opendir(path);
    (void)w;
    if (!dir)
        return mr_real_fail(err, errno, "list", path);
    for (;;) {
        errno = 0;
        struct dirent *e = readdir(dir);
        if (!e)
            break;
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            each(arg, e->d_name);
    }
    int sys = errno;
    (void)closedir(dir);
    return sys == 0 ? MR_OK : mr_real_fail(err, sys, "list", path);
}
