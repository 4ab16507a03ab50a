/* realfile.c - files by POSIX. Calls that were interrupted go on; short writes are finished. */
#include "world/real_inside.h"

#include "base/assert.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PARTS_A_CALL = 256 };

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
    f->direct = -1;
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
    if (f->direct >= 0)
        (void)close(f->direct);
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

/* ---- writing around the page cache */

struct write_job {
    uv_work_t work;
    struct mr_file *file; /* [held] */
    mr_done_fn done;
    void *arg;
    int64_t at;
    int sys;
    bool full; /* sys is ENOSPC and comes from a write: nothing is in doubt */
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool finished; /* guarded by lock */
    size_t count;
    struct iovec part[];
};

/* The same file once more. The name may lead to another one by now; then it goes through the page cache. */
static void open_direct(struct real_file *f)
{
    struct stat here, there;
    f->direct = -2;
    int fd = open(f->path, O_WRONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(f->fd, &here) == 0 && fstat(fd, &there) == 0 && here.st_ino == there.st_ino &&
        here.st_dev == there.st_dev)
        f->direct = fd;
    else
        (void)close(fd);
}

/* All of the parts; they are shortened as they go out. errno or 0. */
static int write_parts(int fd, struct iovec *part, size_t count, int64_t at)
{
    while (count) {
        ssize_t n = part->iov_len
                        ? pwritev(fd, part, count < PARTS_A_CALL ? (int)count : PARTS_A_CALL, (off_t)at)
                        : 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || (n == 0 && part->iov_len))
            return n < 0 ? errno : EIO;
        at += n;
        for (; count && (size_t)n >= part->iov_len; part++, count--)
            n -= (ssize_t)part->iov_len;
        if (n) {
            mr_assert(count > 0);
            part->iov_base = (char *)part->iov_base + n;
            part->iov_len -= (size_t)n;
        }
    }
    return 0;
}

static void write_work(uv_work_t *work)
{
    struct write_job *job = work->data;
    struct real_file *f = real_of(job->file);
    struct iovec *last = &job->part[job->count - 1], tail;
    int64_t at = job->at;
    for (size_t i = 0; i < job->count; i++)
        at += (int64_t)job->part[i].iov_len;
    size_t over = (size_t)(at % MR_FILE_BLOCK);
    tail = (struct iovec){(char *)last->iov_base + last->iov_len - over, over};
    last->iov_len -= over;
    if (f->direct == -1)
        open_direct(f);
    job->sys = write_parts(f->direct >= 0 ? f->direct : f->fd, job->part, job->count, job->at);
    if (job->sys == EINVAL && f->direct >= 0) { /* the file system opens so, but does not write so */
        (void)close(f->direct);
        f->direct = -2;
        int64_t left = 0;
        for (size_t i = 0; i < job->count; i++)
            left += (int64_t)job->part[i].iov_len;
        job->sys = write_parts(f->fd, job->part, job->count, at - (int64_t)over - left);
    }
    if (!job->sys) /* the last block is not whole: the next append goes on in it */
        job->sys = write_parts(f->fd, &tail, over != 0, at - (int64_t)over);
    job->full = job->sys == ENOSPC || job->sys == EDQUOT;
    if (!job->sys)
        job->sys = sync_fd(f->fd);
    (void)pthread_mutex_lock(&job->lock);
    job->finished = true;
    (void)pthread_cond_signal(&job->change);
    (void)pthread_mutex_unlock(&job->lock);
}

void mr_real_write_wait(struct mr_file *file)
{
    struct write_job *job = real_of(file)->writing;
    if (!job)
        return;
    (void)pthread_mutex_lock(&job->lock);
    while (!job->finished)
        (void)pthread_cond_wait(&job->change, &job->lock);
    (void)pthread_mutex_unlock(&job->lock);
}

static void write_done(uv_work_t *work, int status)
{
    struct write_job *job = work->data;
    mr_done_fn done = job->done;
    void *arg = job->arg;
    int sys = status == UV_ECANCELED ? ECANCELED : job->sys;
    mr_code rc = code_of(sys);
    if (rc == MR_NOSPACE && !job->full)
        rc = MR_IO;
    real_of(job->file)->writing = NULL;
    mr_file_close(job->file);
    (void)pthread_cond_destroy(&job->change);
    (void)pthread_mutex_destroy(&job->lock);
    mr_free(job);
    done(arg, rc, sys);
}

void mr_real_write_later(struct mr_file *file, const struct mr_slice *parts, size_t count, int64_t at,
                         mr_done_fn done, void *arg)
{
    struct write_job *job = mr_need(sizeof *job + count * sizeof job->part[0]); /* an answer must come */
    mr_assert(count > 0 && at % MR_FILE_BLOCK == 0 && !real_of(file)->writing);
    (void)pthread_mutex_init(&job->lock, NULL);
    (void)pthread_cond_init(&job->change, NULL);
    real_of(file)->writing = job;
    job->work.data = job;
    job->file = mr_file_hold(file);
    job->done = done;
    job->arg = arg;
    job->at = at;
    job->count = count;
    for (size_t i = 0; i < count; i++)
        job->part[i] = (struct iovec){(void *)(uintptr_t)parts[i].p, parts[i].len};
    mr_assert(uv_queue_work(&mr_real_of(file->world)->loop, &job->work, write_work, write_done) == 0);
}

void mr_real_ahead(struct mr_file *file, int64_t at, int64_t len)
{
    (void)posix_fadvise(real_of(file)->fd, (off_t)at, (off_t)len, POSIX_FADV_WILLNEED); /* only a hint */
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

mr_code mr_real_flush(struct mr_world *w, const char *path, struct mr_err *err)
{
    int sys = sync_dir(path, true);
    (void)w;
    return sys == 0 ? MR_OK : mr_real_fail(err, sys, "flush the disk of", path);
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
