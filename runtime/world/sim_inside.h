/* sim_inside.h - what sim.c and simdisk.c share; nobody else includes it. */
#ifndef MR_WORLD_SIM_INSIDE_H
#define MR_WORLD_SIM_INSIDE_H

#include "base/assert.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/prng.h"
#include "world/sim.h"

struct sim_event;
struct sync_job;

struct change { /* of a file's bytes, not yet synced */
    struct change *next;
    uint64_t number;
    int64_t at; /* write: offset. truncation: the new size */
    size_t len; /* 0: truncation */
    char bytes[];
};

struct inode {
    struct inode *next;
    bool is_dir, reached;
    uint32_t opened;
    mr_ns modified;
    char *bytes, *kept; /* as written; as on the medium */
    size_t size, cap, kept_size, kept_cap;
    struct change *changes, **changes_end;
};

enum name_kind { NAME_SET, NAME_REMOVE, NAME_MOVE };
struct name_change { /* not yet synced */
    struct name_change *next;
    enum name_kind kind;
    uint64_t number;
    char *dir, *path, *to;
    struct inode *inode;
};

struct node {
    struct mr_world world; /* first */
    struct mr_sim *sim;
    uint32_t number;
    bool down, lost_power;
    mr_ns wall_off;
    struct mr_prng random;
    struct mr_sim_faults faults;
    struct mr_sim_counts counts;
    struct inode *inodes;
    size_t inode_count;
    struct mr_map names, kept_names; /* path -> struct inode */
    struct name_change *name_changes, **name_changes_end;
    uint64_t changes;
    struct sync_job *orphans; /* syncs that ran when the node went down */
    uint32_t files;           /* open */
    bool working;             /* inside of what mr_work runs */
};

struct sim_file {
    struct mr_file file; /* first */
    struct inode *inode;
    bool writable;
    uint32_t owners;
    struct sync_job *writing; /* NULL: none */
    char path[];
};

/* The simulator's own memory: not counted by mr_alloc_fail_at, never NULL. */
static inline void *sim_need(size_t bytes)
{
    uint64_t left = mr_alloc_fail_left();
    mr_alloc_fail_at(0);
    void *p = mr_need(bytes);
    mr_alloc_fail_at(left);
    return p;
}
static inline void *sim_grow(void *p, size_t bytes)
{
    uint64_t left = mr_alloc_fail_left();
    mr_alloc_fail_at(0);
    p = mr_realloc(p, bytes);
    mr_assert(p);
    mr_alloc_fail_at(left);
    return p;
}
static inline char *sim_text(const char *s, size_t len)
{
    char *p = sim_need(len + 1);
    memcpy(p, s, len);
    return p;
}

struct node *mr_sim_node_of(struct mr_world *w);
void mr_sim_note(struct mr_sim *s, uint64_t what, uint64_t value); /* into the digest */
uint64_t mr_sim_below(struct mr_sim *s, uint64_t bound);
/* Runs fn(arg) for the node at `at`; gone when the node crashes (then drop(arg) is called instead). */
void mr_sim_at(struct node *n, mr_ms at, void (*fn)(void *arg), void (*drop)(void *arg), void *arg);

/* simdisk.c */
/* Counts an operation; true when the node goes down with it. *half: whether it still took effect. */
bool mr_sim_crashes_now(struct node *n, bool *half);
/* The first `most` changes of the directory reach the medium; the others stay (or, when `drop`, are gone). */
void mr_sim_flush_names(struct node *n, const char *dir, uint64_t most, bool drop);
/* Changes of a file with a smaller number than `upto`. */
mr_code mr_sim_sync_upto(struct node *n, struct inode *f, uint64_t upto, const char *path,
                         struct mr_err *err);
extern const struct mr_world_ops mr_sim_disk_ops; /* the file half */
void mr_sim_disk_init(struct node *n);
void mr_sim_disk_fini(struct node *n);
void mr_sim_disk_restart(struct node *n);

mr_code mr_sim_pwrite(struct mr_file *file, const void *from, size_t len, int64_t at, struct mr_err *err);

/* simjob.c */
void mr_sim_write_later(struct mr_file *file, const struct mr_slice *parts, size_t count, int64_t at,
                        mr_done_fn done, void *arg);
void mr_sim_write_wait(struct mr_file *file);
void mr_sim_disk_answer(struct node *n); /* the orphans */
void mr_sim_sync_later(struct mr_world *w, struct mr_file *file, mr_done_fn done, void *arg);
void mr_sim_dir_sync_later(struct mr_world *w, const char *path, mr_done_fn done, void *arg);
void mr_sim_flush_later(struct mr_world *w, const char *path, mr_done_fn done, void *arg);
mr_code mr_sim_flush(struct mr_world *w, const char *path, struct mr_err *err);
void mr_sim_work(struct mr_world *w, void (*fn)(void *arg), mr_done_fn done, void *arg);

#endif
