/* world.h - what logic may ask of the outside: clocks, timers, disk, randomness, posting to a loop.
 *
 * Logic gets a `struct mr_world *` and cannot tell the two makers apart: real.h (libuv, POSIX) and sim.h
 * (seeded scheduler, a disk that lies within rules). One world belongs to one thread; only mr_post may be
 * called from another. Callbacks run on that thread, never from inside the call that asked for them.
 *
 * Words.  *durable* is what survives losing power: file bytes that mr_file_sync covered; names (created,
 *         renamed, unlinked) that mr_dir_sync of their directory covered.
 */
#ifndef MR_WORLD_WORLD_H
#define MR_WORLD_WORLD_H

#include <millrace/types.h>

struct mr_world;
struct mr_file;

struct mr_timer { /* owned by the caller; zeroed is idle */
    mr_ms at;
    void (*fire)(void *arg);
    void *arg;
    void *runtime; /* the maker's own */
};

enum { MR_FILE_READ = 0, MR_FILE_WRITE = 1, MR_FILE_CREATE = 2, MR_FILE_EXCL = 4, MR_FILE_TRUNC = 8 };

struct mr_stat {
    int64_t size; /* bytes */
    bool is_dir;
    mr_ns modified;
};

typedef void (*mr_done_fn)(void *arg, mr_code rc, int sys);

/* The vtable. Callers use the inline functions below. */
struct mr_world_ops {
    mr_ms (*now)(struct mr_world *w);
    mr_ns (*wall)(struct mr_world *w);
    uint64_t (*random)(struct mr_world *w);
    void (*timer_set)(struct mr_world *w, struct mr_timer *t, mr_ms at);
    void (*timer_stop)(struct mr_world *w, struct mr_timer *t);
    void (*post)(struct mr_world *w, void (*fn)(void *arg), void *arg);
    mr_code (*open)(struct mr_world *w, const char *path, int flags, struct mr_file **out,
                    struct mr_err *err);
    void (*close)(struct mr_world *w, struct mr_file *f);
    mr_code (*pread)(struct mr_file *f, void *to, size_t len, int64_t at, size_t *got, struct mr_err *err);
    mr_code (*pwrite)(struct mr_file *f, const void *from, size_t len, int64_t at, struct mr_err *err);
    mr_code (*truncate)(struct mr_file *f, int64_t size, struct mr_err *err);
    mr_code (*size)(struct mr_file *f, int64_t *out, struct mr_err *err);
    mr_code (*sync)(struct mr_file *f, struct mr_err *err);
    void (*sync_later)(struct mr_world *w, struct mr_file *f, mr_done_fn done, void *arg);
    int (*fd)(struct mr_file *f);
    mr_code (*stat)(struct mr_world *w, const char *path, struct mr_stat *out, struct mr_err *err);
    mr_code (*rename)(struct mr_world *w, const char *from, const char *to, struct mr_err *err);
    mr_code (*unlink)(struct mr_world *w, const char *path, struct mr_err *err);
    mr_code (*mkdir)(struct mr_world *w, const char *path, struct mr_err *err);
    mr_code (*rmdir)(struct mr_world *w, const char *path, struct mr_err *err);
    mr_code (*dir_sync)(struct mr_world *w, const char *path, struct mr_err *err);
    mr_code (*list)(struct mr_world *w, const char *path, void (*each)(void *arg, const char *name),
                    void *arg, struct mr_err *err);
    void (*dir_sync_later)(struct mr_world *w, const char *path, mr_done_fn done, void *arg);
    void (*hold)(struct mr_file *f);
    void (*work)(struct mr_world *w, void (*fn)(void *arg), mr_done_fn done, void *arg);
    void (*flush_later)(struct mr_world *w, const char *path, mr_done_fn done, void *arg);
    uint32_t (*files)(struct mr_world *w);
    void (*write_later)(struct mr_file *f, const struct mr_slice *parts, size_t count, int64_t at,
                        mr_done_fn done, void *arg);
    void (*write_wait)(struct mr_file *f);
    void (*ahead)(struct mr_file *f, int64_t at, int64_t len);
    mr_code (*flush)(struct mr_world *w, const char *path, struct mr_err *err);
};

struct mr_world { /* first member of each maker's own struct */
    const struct mr_world_ops *ops;
};
struct mr_file { /* first member of each maker's own struct */
    struct mr_world *world;
};

static inline mr_ms mr_now(struct mr_world *w) /* monotonic ms */
{
    return w->ops->now(w);
}
static inline mr_ns mr_wall(struct mr_world *w) /* wall clock ns; may jump */
{
    return w->ops->wall(w);
}
static inline uint64_t mr_random(struct mr_world *w) /* real: from the kernel, fit for ids and seeds */
{
    return w->ops->random(w);
}
/* Fires once, at or after `at` (monotonic); setting again moves it. t->fire and t->arg are set by the caller.
 */
static inline void mr_timer_set(struct mr_world *w, struct mr_timer *t, mr_ms at)
{
    w->ops->timer_set(w, t, at);
}
static inline void mr_timer_stop(struct mr_world *w, struct mr_timer *t) /* idle is fine */
{
    w->ops->timer_stop(w, t);
}
/* Any thread: run fn(arg) on the world's thread, in order of posting. Cost: a lock and, when idle, a wake-up.
 */
static inline void mr_post(struct mr_world *w, void (*fn)(void *arg), void *arg)
{
    w->ops->post(w, fn, arg);
}

/* Files. Paths are relative to the process's directory or absolute. Codes: MR_NOTFOUND, MR_EXISTS,
 * MR_NOSPACE, MR_IO (err->sys has errno); the message names path and operation. */
static inline mr_code mr_file_open(struct mr_world *w, const char *path, int flags, struct mr_file **out,
                                   struct mr_err *err)
{
    return w->ops->open(w, path, flags, out, err);
}
static inline void mr_file_close(struct mr_file *f) /* NULL is fine */
{
    if (f)
        f->world->ops->close(f->world, f);
}
/* One more owner: the file stays open until each has closed it. Any thread, like closing a file that is held.
 */
static inline struct mr_file *mr_file_hold(struct mr_file *f)
{
    f->world->ops->hold(f);
    return f;
}
/* Reads up to len bytes; *got < len only at the end of the file. */
static inline mr_code mr_file_read(struct mr_file *f, void *to, size_t len, int64_t at, size_t *got,
                                   struct mr_err *err)
{
    return f->world->ops->pread(f, to, len, at, got, err);
}
/* All or an error; after an error any prefix may have been written. */
static inline mr_code mr_file_write(struct mr_file *f, const void *from, size_t len, int64_t at,
                                    struct mr_err *err)
{
    return f->world->ops->pwrite(f, from, len, at, err);
}
static inline mr_code mr_file_truncate(struct mr_file *f, int64_t size, struct mr_err *err)
{
    return f->world->ops->truncate(f, size, err);
}
static inline mr_code mr_file_size(struct mr_file *f, int64_t *out, struct mr_err *err)
{
    return f->world->ops->size(f, out, err);
}
/* Blocks until durable. After a failure the unsynced bytes are in doubt for ever: never try again. */
static inline mr_code mr_file_sync(struct mr_file *f, struct mr_err *err)
{
    return f->world->ops->sync(f, err);
}
/* The same in a worker; done(arg, rc, errno) comes as an event. Covers what was written before the call. The
 * file may be closed meanwhile: done comes all the same. */
static inline void mr_file_sync_later(struct mr_file *f, mr_done_fn done, void *arg)
{
    f->world->ops->sync_later(f->world, f, done, arg);
}
/* Writes parts back to back from byte `at` on and makes the file durable, as mr_file_sync_later does, all in a
 * worker. Whole blocks go around the page cache where the file system can: large appends that nobody is about
 * to read cost a third, and no memory. Until done comes the range reads as before or as after.
 *   parts  each begins at an address, and all but the last have a length, that is a multiple of
 *          MR_FILE_BLOCK, as is `at`; the array is copied, the bytes are [borrow] until done
 *   done   MR_NOSPACE: a part may have been written and the file is not synced; it may be tried again.
 *          Else as with a sync: after a failure never try again.
 * What else is written to the file meanwhile must lie behind the last whole block. One at a time for a file. */
enum { MR_FILE_BLOCK = 4096 };
static inline void mr_file_write_later(struct mr_file *f, const struct mr_slice *parts, size_t count,
                                       int64_t at, mr_done_fn done, void *arg)
{
    f->world->ops->write_later(f, parts, count, at, done, arg);
}
/* Blocks until what mr_file_write_later was asked for is written, or has failed; done comes as an event all the
 * same. For who gives the file up to somebody who writes it otherwise. None running is fine. */
static inline void mr_file_write_wait(struct mr_file *f)
{
    f->world->ops->write_wait(f);
}
/* A hint: these bytes will be read soon. Asks the disk for those that are not in the page cache and waits for
 * nothing; costs a look-up a page, so ask once for a range. */
static inline void mr_file_ahead(struct mr_file *f, int64_t at, int64_t len)
{
    f->world->ops->ahead(f, at, len);
}
static inline int mr_file_fd(struct mr_file *f) /* for sendfile; -1 in a simulated world */
{
    return f->world->ops->fd(f);
}
static inline mr_code mr_stat_path(struct mr_world *w, const char *path, struct mr_stat *out,
                                   struct mr_err *err)
{
    return w->ops->stat(w, path, out, err);
}
static inline mr_code mr_rename(struct mr_world *w, const char *from, const char *to, struct mr_err *err)
{
    return w->ops->rename(w, from, to, err);
}
static inline mr_code mr_unlink(struct mr_world *w, const char *path, struct mr_err *err)
{
    return w->ops->unlink(w, path, err);
}
static inline mr_code mr_mkdir(struct mr_world *w, const char *path,
                               struct mr_err *err) /* existing is MR_OK */
{
    return w->ops->mkdir(w, path, err);
}
static inline mr_code mr_rmdir(struct mr_world *w, const char *path, struct mr_err *err) /* must be empty */
{
    return w->ops->rmdir(w, path, err);
}
static inline mr_code mr_dir_sync(struct mr_world *w, const char *path, struct mr_err *err)
{
    return w->ops->dir_sync(w, path, err);
}
/* The same in a worker, like mr_file_sync_later. */
static inline void mr_dir_sync_later(struct mr_world *w, const char *path, mr_done_fn done, void *arg)
{
    w->ops->dir_sync_later(w, path, done, arg);
}
/* each(arg, name) for every entry but . and .., in no order; entries must not be changed meanwhile. */
static inline mr_code mr_dir_list(struct mr_world *w, const char *path,
                                  void (*each)(void *arg, const char *name), void *arg, struct mr_err *err)
{
    return w->ops->list(w, path, each, arg, err);
}

/* Everything that was written on the disk that holds `path`, bytes and names, in a worker: for many files at
 * once, where one sync each would take longer. Covers what was written before the call. */
static inline void mr_disk_flush_later(struct mr_world *w, const char *path, mr_done_fn done, void *arg)
{
    w->ops->flush_later(w, path, done, arg);
}
static inline mr_code mr_disk_flush(struct mr_world *w, const char *path, struct mr_err *err) /* waits */
{
    return w->ops->flush(w, path, err);
}
/* Runs fn(arg) in a worker, then done(arg, MR_OK, 0) as an event. fn may use files and names of this world and
 * wait for them, but none of what comes back as an event, no timers and no posts; nobody else touches what it
 * works on meanwhile. done comes in any case, also with MR_CANCELLED when the world went down: fn was then cut
 * short, or did not run at all. Workers are few, and syncs need them too: who asks for long work bounds how
 * much of it is asked for at a time. */
static inline void mr_work(struct mr_world *w, void (*fn)(void *arg), mr_done_fn done, void *arg)
{
    w->ops->work(w, fn, done, arg);
}
/* How many files are open in this world, held ones counted once. Cost: a load. */
static inline uint32_t mr_files_open(struct mr_world *w)
{
    return w->ops->files(w);
}

/* file.c, in terms of the above: whole small files. write: made beside, synced, renamed, directory synced. */
mr_code mr_file_slurp(struct mr_world *w, const char *path, size_t max, struct mr_arena *a,
                      struct mr_slice *out, struct mr_err *err);
mr_code mr_file_replace(struct mr_world *w, const char *path, struct mr_slice bytes, struct mr_err *err);
/* The same, and nothing is synced: a loss of power may leave the old file, the new one, none, or rubbish. For
 * what carries a checksum and can be made anew. */
mr_code mr_file_replace_unsynced(struct mr_world *w, const char *path, struct mr_slice bytes,
                                 struct mr_err *err);
/* The same without waiting: the syncs happen in a worker. bytes [borrow] for the call; done(arg, rc, errno)
 * comes as an event, also for what fails at once. One at a time for a path, and no mr_file_replace of it
 * meanwhile. The answer is good for mr_file_replace_forget, until done. */
struct mr_replacing;
struct mr_replacing *mr_file_replace_later(struct mr_world *w, const char *path, struct mr_slice bytes,
                                           mr_done_fn done, void *arg);
void mr_file_replace_forget(struct mr_replacing *r); /* in a world that went down: done will not be called */
mr_code mr_mkdir_all(struct mr_world *w, const char *path, struct mr_err *err); /* makes parents too */

#endif
