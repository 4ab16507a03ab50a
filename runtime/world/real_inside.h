/* real_inside.h - what real.c, realfile.c and net.c share; nobody else includes it. */
#ifndef MR_WORLD_REAL_INSIDE_H
#define MR_WORLD_REAL_INSIDE_H

#include "world/real.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

struct posted {
    void (*fn)(void *arg);
    void *arg;
};

struct alarm { /* of the timer heap */
    mr_ms at;
    uint64_t order; /* equal times fire in the order they were set */
    struct mr_timer *timer;
};

struct real {
    struct mr_world world; /* first */
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t tick; /* set for the earliest alarm */

    pthread_mutex_t lock; /* guards queue, queued, queue_cap */
    struct posted *queue;
    size_t queued, queue_cap;
    struct posted *running; /* swapped with queue; loop's thread only */
    size_t running_cap;

    struct alarm *heap;
    size_t alarms, heap_cap;
    uint64_t order;
    mr_ms tick_at; /* MR_NEVER: not set */

    atomic_uint files; /* open */
};

struct real_file {
    struct mr_file file; /* first */
    int fd;
    int direct;                /* the same file, around the page cache; -1: not open yet, -2: cannot be had */
    struct write_job *writing; /* NULL: none; loop's thread only */
    atomic_uint owners;        /* who opened it, who holds it, syncs that run */
    char path[];
};

struct real *mr_real_of(struct mr_world *w); /* asserts that w is real */
mr_code mr_real_fail(struct mr_err *err, int sys, const char *doing, const char *path);

/* realfile.c */
mr_code mr_real_open(struct mr_world *w, const char *path, int flags, struct mr_file **out,
                     struct mr_err *err);
void mr_real_close(struct mr_world *w, struct mr_file *f);
mr_code mr_real_pread(struct mr_file *f, void *to, size_t len, int64_t at, size_t *got, struct mr_err *err);
mr_code mr_real_pwrite(struct mr_file *f, const void *from, size_t len, int64_t at, struct mr_err *err);
mr_code mr_real_truncate(struct mr_file *f, int64_t size, struct mr_err *err);
mr_code mr_real_size(struct mr_file *f, int64_t *out, struct mr_err *err);
mr_code mr_real_sync(struct mr_file *f, struct mr_err *err);
void mr_real_sync_later(struct mr_world *w, struct mr_file *f, mr_done_fn done, void *arg);
void mr_real_write_later(struct mr_file *f, const struct mr_slice *parts, size_t count, int64_t at,
                         mr_done_fn done, void *arg);
void mr_real_write_wait(struct mr_file *f);
void mr_real_ahead(struct mr_file *f, int64_t at, int64_t len);
void mr_real_hold(struct mr_file *f);
void mr_real_flush_later(struct mr_world *w, const char *path, mr_done_fn done, void *arg);
void mr_real_work(struct mr_world *w, void (*fn)(void *arg), mr_done_fn done, void *arg);
mr_code mr_real_flush(struct mr_world *w, const char *path, struct mr_err *err);
uint32_t mr_real_files(struct mr_world *w);
void mr_real_dir_sync_later(struct mr_world *w, const char *path, mr_done_fn done, void *arg);
int mr_real_fd(struct mr_file *f);
mr_code mr_real_stat(struct mr_world *w, const char *path, struct mr_stat *out, struct mr_err *err);
mr_code mr_real_rename(struct mr_world *w, const char *from, const char *to, struct mr_err *err);
mr_code mr_real_unlink(struct mr_world *w, const char *path, struct mr_err *err);
mr_code mr_real_mkdir(struct mr_world *w, const char *path, struct mr_err *err);
mr_code mr_real_rmdir(struct mr_world *w, const char *path, struct mr_err *err);
mr_code mr_real_dir_sync(struct mr_world *w, const char *path, struct mr_err *err);
mr_code mr_real_list(struct mr_world *w, const char *path, void (*each)(void *arg, const char *name),
                     void *arg, struct mr_err *err);

#endif
