/* simjob.c - what a simulated node's workers do: syncs and work that come back as events.
 *
 * A job takes effect when its event comes, in one moment; when the node goes down before, it is an orphan and
 * is answered at the restart.
 */
#include "world/sim_inside.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>

struct sync_job {
    struct sync_job *next;
    struct node *node;
    struct inode *inode;   /* counted in opened: the file may be closed meanwhile. NULL: the directory */
    bool all;              /* the whole disk instead */
    void (*fn)(void *arg); /* work instead */
    uint64_t upto;         /* changes with a smaller number */
    mr_done_fn done;
    void *arg;
    struct mr_file *file; /* of a write before the sync [held]; NULL: a sync alone */
    struct mr_slice *parts;
    size_t count;
    int64_t at;
    bool written; /* and how that went */
    mr_code rc;
    int sys;
    char path[];
};

static uint64_t names_before(const struct sync_job *job, const char *dir)
{
    uint64_t count = 0;
    for (struct name_change *c = job->node->name_changes; c; c = c->next)
        count += c->number < job->upto && strcmp(c->dir, dir) == 0;
    return count;
}

/* All files and all names. */
static mr_code flush_disk(const struct sync_job *job)
{
    struct node *n = job->node;
    mr_code rc = MR_OK;
    for (struct inode *f = n->inodes; f && !rc; f = f->next)
        if (f->changes)
            rc = mr_sim_sync_upto(n, f, job->upto, "file", NULL);
    while (!rc && n->name_changes && n->name_changes->number < job->upto) {
        char *dir = sim_text(n->name_changes->dir, strlen(n->name_changes->dir));
        mr_sim_flush_names(n, dir, names_before(job, dir), false);
        mr_free(dir);
    }
    return rc;
}

static void answer(struct sync_job *job, mr_code rc, int sys)
{
    mr_done_fn done = job->done;
    void *arg = job->arg;
    if (job->inode)
        job->inode->opened--;
    if (job->file)
        ((struct sim_file *)job->file)->writing = NULL;
    mr_file_close(job->file);
    mr_free(job->parts);
    mr_free(job);
    done(arg, rc, sys);
}

static void orphan_sync(void *arg)
{
    struct sync_job *job = arg, **at = &job->node->orphans;
    while (*at)
        at = &(*at)->next;
    *at = job;
}

/* The bytes reach the file no earlier than this: whoever reads them before sees that they are not there. */
static mr_code write_first(struct sync_job *job)
{
    struct mr_err err = {0};
    struct node *n = job->node;
    bool working = n->working;
    int64_t at = job->at;
    n->working = true;
    for (size_t i = 0; i < job->count && !job->rc; at += (int64_t)job->parts[i++].len)
        job->rc = mr_sim_pwrite(job->file, job->parts[i].p, job->parts[i].len, at, &err);
    n->working = working;
    job->upto = n->changes;
    job->written = true;
    job->sys = job->rc ? err.sys : 0;
    return job->rc;
}

void mr_sim_write_wait(struct mr_file *file)
{
    struct sync_job *job = ((struct sim_file *)file)->writing;
    if (job && !job->written && !job->node->down)
        (void)write_first(job);
}

static void finish_sync(void *arg)
{
    struct sync_job *job = arg;
    struct node *n = job->node;
    mr_code rc = MR_OK;
    if (job->file && (rc = job->written ? job->rc : write_first(job))) {
        if (n->down)
            orphan_sync(job);
        else
            answer(job, rc, job->sys);
        return;
    }
    if (job->fn) {
        n->working = true;
        job->fn(job->arg);
        n->working = false;
        if (n->down) {
            orphan_sync(job);
            return;
        }
    } else if (job->all) {
        rc = flush_disk(job);
    } else if (job->inode)
        rc = mr_sim_sync_upto(job->node, job->inode, job->upto, "file", NULL);
    else
        mr_sim_flush_names(job->node, job->path, names_before(job, job->path), false); /* W1 */
    answer(job, rc, rc ? EIO : 0);
}

void mr_sim_disk_answer(struct node *n)
{
    while (n->orphans) {
        struct sync_job *job = n->orphans;
        n->orphans = job->next;
        answer(job, MR_CANCELLED, 0);
    }
}

static void start_sync(struct node *n, struct sync_job *job)
{
    bool half = true;
    if (n->down) {
        orphan_sync(job);
        return;
    }
    if (!job->fn && mr_sim_crashes_now(n, &half)) {
        if (half && job->all)
            (void)flush_disk(job);
        else if (half && job->file) /* written, at least in part, and not synced */
            (void)write_first(job);
        else if (half && job->inode)
            (void)mr_sim_sync_upto(n, job->inode, job->upto, "file", NULL);
        else if (half)
            mr_sim_flush_names(n, job->path, names_before(job, job->path), false);
        orphan_sync(job);
        mr_sim_crash(&n->world);
        return;
    }
    mr_ms most = n->faults.sync_ms_max > 0 ? n->faults.sync_ms_max : 1;
    mr_sim_at(n, mr_sim_now(n->sim) + 1 + (mr_ms)mr_sim_below(n->sim, (uint64_t)most), finish_sync,
              orphan_sync, job);
}

void mr_sim_sync_later(struct mr_world *w, struct mr_file *file, mr_done_fn done, void *arg)
{
    struct node *n = mr_sim_node_of(w);
    struct sync_job *job = sim_need(sizeof *job + 1);
    job->node = n;
    job->inode = ((struct sim_file *)file)->inode;
    job->inode->opened++;
    job->upto = n->changes;
    job->done = done;
    job->arg = arg;
    n->counts.syncs++;
    start_sync(n, job);
}

void mr_sim_write_later(struct mr_file *file, const struct mr_slice *parts, size_t count, int64_t at,
                        mr_done_fn done, void *arg)
{
    struct node *n = mr_sim_node_of(file->world);
    struct sim_file *f = (struct sim_file *)file;
    struct sync_job *job = sim_need(sizeof *job + 1);
    mr_assert(count > 0 && at % MR_FILE_BLOCK == 0 && !f->writing);
    for (size_t i = 0; i + 1 < count; i++)
        mr_assert(parts[i].len % MR_FILE_BLOCK == 0);
    job->node = n;
    job->inode = f->inode;
    job->inode->opened++;
    job->file = mr_file_hold(file);
    f->writing = job;
    job->parts = sim_need(count * sizeof *parts);
    memcpy(job->parts, parts, count * sizeof *parts);
    job->count = count;
    job->at = at;
    job->done = done;
    job->arg = arg;
    n->counts.syncs++;
    start_sync(n, job);
}

void mr_sim_dir_sync_later(struct mr_world *w, const char *path, mr_done_fn done, void *arg)
{
    struct node *n = mr_sim_node_of(w);
    size_t len = strlen(path);
    struct sync_job *job = sim_need(sizeof *job + len + 1);
    job->node = n;
    job->upto = n->changes;
    job->done = done;
    job->arg = arg;
    memcpy(job->path, path, len + 1);
    n->counts.names++;
    start_sync(n, job);
}

void mr_sim_flush_later(struct mr_world *w, const char *path, mr_done_fn done, void *arg)
{
    struct node *n = mr_sim_node_of(w);
    struct sync_job *job = sim_need(sizeof *job + 1);
    (void)path;
    job->node = n;
    job->all = true;
    job->upto = n->changes;
    job->done = done;
    job->arg = arg;
    n->counts.syncs++;
    start_sync(n, job);
}

mr_code mr_sim_flush(struct mr_world *w, const char *path, struct mr_err *err)
{
    struct node *n = mr_sim_node_of(w);
    struct sync_job job = {.node = n, .upto = n->changes};
    bool half = true;
    mr_code rc = MR_OK;
    if (!n->down) {
        n->counts.syncs++;
        n->counts.waited += !n->working;
        bool crash = mr_sim_crashes_now(n, &half);
        rc = half ? flush_disk(&job) : MR_OK;
        if (crash)
            mr_sim_crash(w);
    }
    if (n->down)
        rc = MR_IO;
    if (rc) {
        rc = mr_fail(err, MR_IO, "cannot flush the disk of '%s': simulated", path);
        if (err)
            err->sys = EIO;
    }
    return rc;
}

void mr_sim_work(struct mr_world *w, void (*fn)(void *arg), mr_done_fn done, void *arg)
{
    struct node *n = mr_sim_node_of(w);
    struct sync_job *job = sim_need(sizeof *job + 1);
    job->node = n;
    job->fn = fn;
    job->done = done;
    job->arg = arg;
    start_sync(n, job);
}
