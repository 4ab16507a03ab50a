/* simdisk.c - the disk of a simulated node: what was written, what the medium holds, and what lies between.
 *
 * A file has two contents: as written (the cache, which readers see) and as kept (the medium). Changes
 * between them wait in order; a sync moves those before it to the medium, a crash decides sector by sector.
 * Names likewise. The promises are W1 to W5 of sim.h.
 */
#include "world/sim_inside.h"

#include "base/assert.h"
#include "base/mem.h"

#include <errno.h>

static mr_code refuse(struct mr_err *err, mr_code code, int sys, const char *doing, const char *path)
{
    mr_code rc = mr_fail(err, code, "cannot %s '%s': simulated %s", doing, path, strerror(sys));
    if (err)
        err->sys = sys;
    return rc;
}

static bool due(uint64_t *countdown)
{
    return *countdown != 0 && --*countdown == 0;
}

/* Counts an operation; true when the node goes down with it. *half: whether it still took effect. */
bool mr_sim_crashes_now(struct node *n, bool *half)
{
    n->counts.operations++;
    mr_sim_note(n->sim, 50 + n->number, n->counts.operations);
    if (!due(&n->faults.crash_at))
        return false;
    *half = mr_sim_below(n->sim, 2) == 0;
    return true;
}

/* ---- contents */

static void resize(char **bytes, size_t *size, size_t *cap, size_t want)
{
    if (want > *cap) {
        size_t more = *cap ? *cap : 4096;
        while (more < want)
            more *= 2;
        *bytes = sim_grow(*bytes, more);
        *cap = more;
    }
    if (want > *size)
        memset(*bytes + *size, 0, want - *size);
    *size = want;
}

static void put_bytes(char **bytes, size_t *size, size_t *cap, const char *from, size_t len, int64_t at)
{
    size_t end = (size_t)at + len;
    if (end > *size)
        resize(bytes, size, cap, end);
    memcpy(*bytes + at, from, len);
}

static void keep(struct inode *f, const struct change *c)
{
    if (c->len == 0)
        resize(&f->kept, &f->kept_size, &f->kept_cap, (size_t)c->at);
    else
        put_bytes(&f->kept, &f->kept_size, &f->kept_cap, c->bytes, c->len, c->at);
}

static void add_change(struct node *n, struct inode *f, const char *bytes, size_t len, int64_t at)
{
    struct change *c = sim_need(sizeof *c + len);
    c->number = n->changes++;
    c->at = at;
    c->len = len;
    if (len)
        memcpy(c->bytes, bytes, len);
    *f->changes_end = c;
    f->changes_end = &c->next;
    f->modified = n->world.ops->wall(&n->world);
}

/* To the medium (or, when `lost`, nowhere: W4) with all changes older than `before`. */
static void flush(struct inode *f, uint64_t before, bool lost)
{
    while (f->changes && f->changes->number < before) {
        struct change *c = f->changes;
        f->changes = c->next;
        if (!f->changes)
            f->changes_end = &f->changes;
        if (!lost)
            keep(f, c);
        mr_free(c);
    }
}

/* ---- names */

static struct mr_slice key_of(const char *path)
{
    return mr_slice_of(path);
}

static bool is_root(const char *path)
{
    return strcmp(path, ".") == 0 || strcmp(path, "/") == 0 || *path == '\0';
}

static char *dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? sim_text(path, slash == path ? 1 : (size_t)(slash - path)) : sim_text(".", 1);
}

static struct inode *look_up(struct node *n, const char *path)
{
    return mr_map_get(&n->names, key_of(path));
}

static bool has_parent(struct node *n, const char *path)
{
    char *dir = dir_of(path);
    struct inode *f = look_up(n, dir);
    bool found = is_root(dir) || (f && f->is_dir);
    mr_free(dir);
    return found;
}

static void apply_name(struct mr_map *names, const struct name_change *c)
{
    uint64_t left = mr_alloc_fail_left();
    mr_alloc_fail_at(0); /* the map's memory is the simulator's */
    if (c->kind == NAME_SET) {
        mr_assert(mr_map_put(names, key_of(c->path), c->inode, NULL));
    } else if (c->kind == NAME_REMOVE) {
        (void)mr_map_remove(names, key_of(c->path));
    } else {
        (void)mr_map_remove(names, key_of(c->path)); /* W5: both in one */
        mr_assert(mr_map_put(names, key_of(c->to), c->inode, NULL));
    }
    mr_alloc_fail_at(left);
}

static void free_name_change(struct name_change *c)
{
    mr_free(c->dir);
    mr_free(c->path);
    mr_free(c->to);
    mr_free(c);
}

static void change_name(struct node *n, enum name_kind kind, const char *path, const char *to,
                        struct inode *inode)
{
    struct name_change *c = sim_need(sizeof *c);
    c->kind = kind;
    c->number = n->changes++;
    c->dir = dir_of(path);
    c->path = sim_text(path, strlen(path));
    c->to = to ? sim_text(to, strlen(to)) : NULL;
    c->inode = inode;
    apply_name(&n->names, c);
    *n->name_changes_end = c;
    n->name_changes_end = &c->next;
}

/* The first `most` changes of the directory reach the medium; the others stay (or, when `drop`, are gone). */
void mr_sim_flush_names(struct node *n, const char *dir, uint64_t most, bool drop)
{
    struct name_change **at = &n->name_changes;
    while (*at) {
        struct name_change *c = *at;
        if (strcmp(c->dir, dir) != 0 || (most == 0 && !drop)) {
            at = &c->next;
            continue;
        }
        if (most > 0) {
            apply_name(&n->kept_names, c);
            most--;
        }
        *at = c->next;
        free_name_change(c);
    }
    n->name_changes_end = at;
}

static struct inode *make_inode(struct node *n, bool is_dir)
{
    struct inode *f = sim_need(sizeof *f);
    f->is_dir = is_dir;
    f->changes_end = &f->changes;
    f->modified = n->world.ops->wall(&n->world);
    f->next = n->inodes;
    n->inodes = f;
    n->inode_count++;
    return f;
}

static void free_inode(struct inode *f)
{
    flush(f, UINT64_MAX, true);
    mr_free(f->bytes);
    mr_free(f->kept);
    mr_free(f);
}

/* Frees what no name leads to any more. */
static void sweep(struct node *n)
{
    void *value;
    for (struct inode *f = n->inodes; f; f = f->next)
        f->reached = f->opened != 0;
    for (size_t i = 0; mr_map_next(&n->names, &i, NULL, &value);)
        ((struct inode *)value)->reached = true;
    for (size_t i = 0; mr_map_next(&n->kept_names, &i, NULL, &value);)
        ((struct inode *)value)->reached = true;
    for (struct name_change *c = n->name_changes; c; c = c->next)
        if (c->inode)
            c->inode->reached = true;
    for (struct inode **at = &n->inodes; *at;) {
        struct inode *f = *at;
        if (f->reached) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        n->inode_count--;
        free_inode(f);
    }
}

void mr_sim_disk_init(struct node *n)
{
    mr_map_init(&n->names, 0);
    mr_map_init(&n->kept_names, 0);
    n->name_changes_end = &n->name_changes;
}

void mr_sim_disk_fini(struct node *n)
{
    while (n->name_changes) {
        struct name_change *c = n->name_changes;
        n->name_changes = c->next;
        free_name_change(c);
    }
    while (n->inodes) {
        struct inode *f = n->inodes;
        mr_assert(f->opened == 0);
        n->inodes = f->next;
        free_inode(f);
    }
    mr_map_fini(&n->names, NULL);
    mr_map_fini(&n->kept_names, NULL);
}

/* ---- what a crash leaves (W1, W2, W3) */

static void crash_write(struct mr_sim *s, struct inode *f, const struct change *c, size_t synced)
{
    int64_t end = c->at + (int64_t)c->len;
    for (int64_t at = c->at; at < end;) {
        int64_t stop = (at / MR_SIM_SECTOR + 1) * MR_SIM_SECTOR;
        if (stop > end)
            stop = end;
        uint64_t luck = mr_sim_below(s, 16);
        if (luck < 9) {
            put_bytes(&f->kept, &f->kept_size, &f->kept_cap, c->bytes + (at - c->at), (size_t)(stop - at),
                      at);
        } else if (luck < 11 && (size_t)at >= synced) { /* the size came through, the bytes did not */
            char junk[MR_SIM_SECTOR] = {0};
            for (size_t i = 0; luck == 10 && i < sizeof junk; i++)
                junk[i] = (char)mr_sim_below(s, 256);
            put_bytes(&f->kept, &f->kept_size, &f->kept_cap, junk, (size_t)(stop - at), at);
        }
        at = stop;
    }
}

static void crash_file(struct node *n, struct inode *f)
{
    struct mr_sim *s = n->sim;
    size_t synced = f->kept_size;
    uint64_t count = 0, fate = mr_sim_below(s, 4), number = 0, prefix;
    for (struct change *c = f->changes; c; c = c->next)
        count++;
    prefix = mr_sim_below(s, count + 1);
    if (n->faults.keep_all || n->faults.lose_all)
        fate = n->faults.keep_all ? 0 : 1;
    for (struct change *c = f->changes; c; c = c->next, number++) {
        if (fate == 1 || (fate == 2 && number > prefix))
            continue;
        if (fate == 0 || (fate == 2 && number < prefix))
            keep(f, c);
        else if (c->len == 0) {
            if (mr_sim_below(s, 2))
                keep(f, c);
        } else
            crash_write(s, f, c, synced);
    }
    flush(f, UINT64_MAX, true);
    resize(&f->bytes, &f->size, &f->cap, f->kept_size);
    if (f->kept_size)
        memcpy(f->bytes, f->kept, f->kept_size);
}

static bool has_kept_parents(struct node *n, struct mr_slice path)
{
    for (size_t i = path.len; i-- > 1;) {
        if (path.p[i] != '/')
            continue;
        struct inode *f = mr_map_get(&n->kept_names, (struct mr_slice){path.p, i});
        if (!f || !f->is_dir)
            return false;
    }
    return true;
}

void mr_sim_disk_restart(struct node *n)
{
    struct mr_slice path;
    void *value;
    if (!n->lost_power)
        return;
    while (n->name_changes) { /* W3, one directory after the other */
        char *dir = sim_text(n->name_changes->dir, strlen(n->name_changes->dir));
        uint64_t count = 0;
        for (struct name_change *c = n->name_changes; c; c = c->next)
            count += strcmp(c->dir, dir) == 0;
        uint64_t most = mr_sim_below(n->sim, count + 1);
        if (n->faults.keep_all || n->faults.lose_all)
            most = n->faults.keep_all ? count : 0;
        mr_sim_flush_names(n, dir, most, true);
        mr_free(dir);
    }
    for (bool again = true; again;) { /* a directory that is gone takes its files along */
        again = false;
        for (size_t i = 0; mr_map_next(&n->kept_names, &i, &path, &value);)
            if (!has_kept_parents(n, path)) {
                (void)mr_map_remove(&n->kept_names, path);
                again = true;
            }
    }
    mr_map_fini(&n->names, NULL);
    mr_map_init(&n->names, 0);
    for (size_t i = 0; mr_map_next(&n->kept_names, &i, &path, &value);)
        mr_assert(mr_map_put(&n->names, path, value, NULL));
    sweep(n);
    for (struct inode *f = n->inodes; f; f = f->next)
        if (!f->is_dir)
            crash_file(n, f);
}

/* ---- the calls */

static mr_code sim_open(struct mr_world *w, const char *path, int flags, struct mr_file **out,
                        struct mr_err *err)
{
    struct node *n = mr_sim_node_of(w);
    size_t len = strlen(path);
    if (n->down)
        return refuse(err, MR_IO, EIO, "open", path);
    struct inode *f = look_up(n, path);
    if (!f && (!(flags & (MR_FILE_CREATE | MR_FILE_EXCL)) || !has_parent(n, path)))
        return refuse(err, MR_NOTFOUND, ENOENT, "open", path);
    if (f && (flags & MR_FILE_EXCL))
        return refuse(err, MR_EXISTS, EEXIST, "make", path);
    if (f && f->is_dir)
        return refuse(err, MR_IO, EISDIR, "open", path);
    if (!f) {
        bool half = true;
        n->counts.names++;
        if (due(&n->faults.fail_name))
            return refuse(err, MR_IO, EIO, "make", path);
        bool crash = mr_sim_crashes_now(n, &half);
        if (half) {
            if (n->inode_count % 256 == 255)
                sweep(n);
            f = make_inode(n, false);
            change_name(n, NAME_SET, path, NULL, f);
        }
        if (crash) {
            mr_sim_crash(w);
            return refuse(err, MR_IO, EIO, "make", path);
        }
    } else if ((flags & MR_FILE_TRUNC) && f->size > 0) {
        bool half = true;
        n->counts.truncates++;
        bool crash = mr_sim_crashes_now(n, &half);
        if (half) {
            add_change(n, f, NULL, 0, 0);
            f->size = 0;
        }
        if (crash) {
            mr_sim_crash(w);
            return refuse(err, MR_IO, EIO, "open", path);
        }
    }
    struct sim_file *file = mr_alloc(sizeof *file + len + 1);
    if (!file)
        return mr_fail(err, MR_MEMORY, "no memory to open '%s'", path);
    file->file.world = w;
    file->inode = f;
    file->writable = (flags & MR_FILE_WRITE) != 0;
    memcpy(file->path, path, len + 1);
    f->opened++;
    n->files++;
    file->owners = 1;
    *out = &file->file;
    return MR_OK;
}

static void sim_close(struct mr_world *w, struct mr_file *file)
{
    struct sim_file *f = (struct sim_file *)file;
    if (--f->owners)
        return;
    mr_sim_node_of(w)->files--;
    f->inode->opened--;
    mr_free(f);
}

static mr_code sim_pread(struct mr_file *file, void *to, size_t len, int64_t at, size_t *got,
                         struct mr_err *err)
{
    struct sim_file *f = (struct sim_file *)file;
    struct node *n = mr_sim_node_of(file->world);
    *got = 0;
    n->counts.reads++;
    if (n->down || due(&n->faults.fail_read))
        return refuse(err, MR_IO, EIO, "read", f->path);
    mr_assert(at >= 0);
    if ((uint64_t)at < f->inode->size) {
        size_t there = f->inode->size - (size_t)at;
        *got = len < there ? len : there;
        if (*got)
            memcpy(to, f->inode->bytes + at, *got);
    }
    return MR_OK;
}

static size_t room_for(struct node *n, struct inode *f, int64_t at, size_t len)
{
    size_t used = 0, end = (size_t)at + len;
    if (n->faults.capacity <= 0 || end <= f->size)
        return len;
    for (struct inode *i = n->inodes; i; i = i->next)
        used += i->size;
    size_t limit = (size_t)n->faults.capacity, grow = end - f->size;
    if (used + grow <= limit)
        return len;
    size_t missing = used >= limit ? grow : used + grow - limit;
    return missing >= len ? 0 : len - missing;
}

mr_code mr_sim_pwrite(struct mr_file *file, const void *from, size_t len, int64_t at, struct mr_err *err)
{
    struct sim_file *f = (struct sim_file *)file;
    struct node *n = mr_sim_node_of(file->world);
    bool half = true;
    mr_assert(f->writable && at >= 0);
    if (n->down)
        return refuse(err, MR_IO, EIO, "write", f->path);
    if (len == 0)
        return MR_OK;
    n->counts.writes++;
    bool crash = mr_sim_crashes_now(n, &half), fail = due(&n->faults.fail_write);
    size_t room = room_for(n, f->inode, at, len), take = room;
    if (fail)
        take = (size_t)mr_sim_below(n->sim, room + 1);
    if (take && half) {
        n->counts.bytes_written += take;
        put_bytes(&f->inode->bytes, &f->inode->size, &f->inode->cap, from, take, at);
        add_change(n, f->inode, from, take, at);
    }
    if (crash)
        mr_sim_crash(file->world);
    if (crash || fail)
        return refuse(err, MR_IO, EIO, "write", f->path);
    return room < len ? refuse(err, MR_NOSPACE, ENOSPC, "write", f->path) : MR_OK;
}

static mr_code sim_truncate(struct mr_file *file, int64_t size, struct mr_err *err)
{
    struct sim_file *f = (struct sim_file *)file;
    struct node *n = mr_sim_node_of(file->world);
    bool half = true;
    mr_assert(f->writable && size >= 0);
    if (n->down)
        return refuse(err, MR_IO, EIO, "truncate", f->path);
    n->counts.truncates++;
    bool crash = mr_sim_crashes_now(n, &half);
    if (half) {
        resize(&f->inode->bytes, &f->inode->size, &f->inode->cap, (size_t)size);
        add_change(n, f->inode, NULL, 0, size);
    }
    if (!crash)
        return MR_OK;
    mr_sim_crash(file->world);
    return refuse(err, MR_IO, EIO, "truncate", f->path);
}

static mr_code sim_size(struct mr_file *file, int64_t *out, struct mr_err *err)
{
    struct sim_file *f = (struct sim_file *)file;
    if (mr_sim_node_of(file->world)->down)
        return refuse(err, MR_IO, EIO, "look at", f->path);
    *out = (int64_t)f->inode->size;
    return MR_OK;
}

/* MR_OK: the changes before `upto` are on the medium. */
mr_code mr_sim_sync_upto(struct node *n, struct inode *f, uint64_t upto, const char *path, struct mr_err *err)
{
    if (due(&n->faults.fail_sync)) { /* W4: any part of it may have come through first */
        uint64_t first = f->changes ? f->changes->number : upto;
        if (first < upto)
            flush(f, first + mr_sim_below(n->sim, upto - first + 1), false);
        flush(f, upto, true);
        return refuse(err, MR_IO, EIO, "sync", path);
    }
    flush(f, upto, false);
    return MR_OK;
}

static mr_code sim_sync(struct mr_file *file, struct mr_err *err)
{
    struct sim_file *f = (struct sim_file *)file;
    struct node *n = mr_sim_node_of(file->world);
    bool half = true;
    if (n->down)
        return refuse(err, MR_IO, EIO, "sync", f->path);
    n->counts.syncs++;
    n->counts.waited += !n->working;
    bool crash = mr_sim_crashes_now(n, &half);
    mr_code rc = half ? mr_sim_sync_upto(n, f->inode, n->changes, f->path, err) : MR_OK;
    if (!crash)
        return rc;
    mr_sim_crash(file->world);
    return refuse(err, MR_IO, EIO, "sync", f->path);
}

static uint32_t sim_files(struct mr_world *w)
{
    return mr_sim_node_of(w)->files;
}

static void sim_hold(struct mr_file *file)
{
    ((struct sim_file *)file)->owners++;
}

static void sim_ahead(struct mr_file *file, int64_t at, int64_t len)
{
    mr_assert(at >= 0 && len > 0);
    mr_sim_node_of(file->world)->counts.ahead += len;
}

static int sim_fd(struct mr_file *file)
{
    (void)file;
    return -1;
}

static mr_code sim_stat(struct mr_world *w, const char *path, struct mr_stat *out, struct mr_err *err)
{
    struct node *n = mr_sim_node_of(w);
    if (n->down)
        return refuse(err, MR_IO, EIO, "look at", path);
    struct inode *f = look_up(n, path);
    if (!f && is_root(path)) {
        *out = (struct mr_stat){.is_dir = true};
        return MR_OK;
    }
    if (!f)
        return refuse(err, MR_NOTFOUND, ENOENT, "look at", path);
    *out = (struct mr_stat){.size = (int64_t)f->size, .is_dir = f->is_dir, .modified = f->modified};
    return MR_OK;
}

/* The frame of all name operations: count, fail, crash. MR_OK and *go: do it. */
static mr_code begin_name(struct node *n, const char *doing, const char *path, bool *go, bool *crash,
                          struct mr_err *err)
{
    *go = true;
    *crash = false;
    if (n->down)
        return refuse(err, MR_IO, EIO, doing, path);
    n->counts.names++;
    if (due(&n->faults.fail_name))
        return refuse(err, MR_IO, EIO, doing, path);
    *crash = mr_sim_crashes_now(n, go);
    return MR_OK;
}

static mr_code end_name(struct node *n, const char *doing, const char *path, bool crash, struct mr_err *err)
{
    if (!crash)
        return MR_OK;
    mr_sim_crash(&n->world);
    return refuse(err, MR_IO, EIO, doing, path);
}

/* What does not fit is refused; when power was to fail at this operation, it fails all the same. */
static mr_code refuse_name(struct node *n, bool crash, struct mr_err *err, mr_code rc, int sys,
                           const char *doing, const char *path)
{
    return crash ? end_name(n, doing, path, true, err) : refuse(err, rc, sys, doing, path);
}

static mr_code sim_rename(struct mr_world *w, const char *from, const char *to, struct mr_err *err)
{
    struct node *n = mr_sim_node_of(w);
    bool go, crash;
    mr_code rc = begin_name(n, "rename", from, &go, &crash, err);
    struct inode *f = rc ? NULL : look_up(n, from);
    if (rc)
        return rc;
    if (!f || !has_parent(n, to))
        return refuse_name(n, crash, err, MR_NOTFOUND, ENOENT, "rename", from);
    if (go && f->is_dir) { /* with everything below: as so many renames, which no user of ours relies on */
        size_t len = strlen(from);
        struct mr_slice path;
        void *value;
        for (bool again = true; again;) {
            again = false;
            for (size_t i = 0; !again && mr_map_next(&n->names, &i, &path, &value);)
                if (path.len > len && memcmp(path.p, from, len) == 0 && path.p[len] == '/') {
                    char old[4096], moved[4096];
                    (void)snprintf(old, sizeof old, "%.*s", MR_SLICE_ARG(path));
                    (void)snprintf(moved, sizeof moved, "%s%s", to, old + len);
                    change_name(n, NAME_MOVE, old, moved, value);
                    mr_sim_flush_names(n, from, UINT64_MAX, false);
                    again = true;
                }
        }
    }
    if (go)
        change_name(n, NAME_MOVE, from, to, f);
    return end_name(n, "rename", from, crash, err);
}

static mr_code sim_unlink(struct mr_world *w, const char *path, struct mr_err *err)
{
    struct node *n = mr_sim_node_of(w);
    bool go, crash;
    mr_code rc = begin_name(n, "delete", path, &go, &crash, err);
    if (rc)
        return rc;
    struct inode *f = look_up(n, path);
    if (!f || f->is_dir)
        return refuse_name(n, crash, err, f ? MR_IO : MR_NOTFOUND, f ? EISDIR : ENOENT, "delete", path);
    if (go)
        change_name(n, NAME_REMOVE, path, NULL, NULL);
    return end_name(n, "delete", path, crash, err);
}

static mr_code sim_mkdir(struct mr_world *w, const char *path, struct mr_err *err)
{
    struct node *n = mr_sim_node_of(w);
    bool go, crash;
    struct inode *f = look_up(n, path);
    if (!n->down && ((f && f->is_dir) || is_root(path)))
        return MR_OK;
    mr_code rc = begin_name(n, "make directory", path, &go, &crash, err);
    if (rc)
        return rc;
    if (f || !has_parent(n, path))
        return refuse_name(n, crash, err, f ? MR_EXISTS : MR_NOTFOUND, f ? EEXIST : ENOENT, "make directory",
                           path);
    if (go)
        change_name(n, NAME_SET, path, NULL, make_inode(n, true));
    return end_name(n, "make directory", path, crash, err);
}

static bool is_child(const char *dir, struct mr_slice path, const char **name)
{
    size_t len = strlen(dir);
    if (strcmp(dir, ".") == 0) {
        *name = path.p;
        return memchr(path.p, '/', path.len) == NULL;
    }
    if (path.len <= len + 1 || memcmp(path.p, dir, len) != 0 || path.p[len] != '/')
        return false;
    *name = path.p + len + 1;
    return memchr(*name, '/', path.len - len - 1) == NULL;
}

static mr_code sim_list(struct mr_world *w, const char *path, void (*each)(void *arg, const char *name),
                        void *arg, struct mr_err *err)
{
    struct node *n = mr_sim_node_of(w);
    struct inode *dir = look_up(n, path);
    struct mr_slice entry;
    const char *name;
    if (n->down)
        return refuse(err, MR_IO, EIO, "list", path);
    if (!is_root(path) && (!dir || !dir->is_dir))
        return refuse(err, MR_NOTFOUND, ENOENT, "list", path);
    for (size_t i = 0; mr_map_next(&n->names, &i, &entry, NULL);)
        if (is_child(path, entry, &name))
            each(arg, name); /* the map keeps keys with a NUL behind */
    return MR_OK;
}

static void count_entry(void *arg, const char *name)
{
    (void)name;
    ++*(size_t *)arg;
}

static mr_code sim_rmdir(struct mr_world *w, const char *path, struct mr_err *err)
{
    struct node *n = mr_sim_node_of(w);
    bool go, crash;
    size_t entries = 0;
    mr_code rc = sim_list(w, path, count_entry, &entries, err);
    if (!rc && entries)
        rc = refuse(err, MR_IO, ENOTEMPTY, "delete directory", path);
    if (!rc)
        rc = begin_name(n, "delete directory", path, &go, &crash, err);
    if (rc)
        return rc;
    if (go)
        change_name(n, NAME_REMOVE, path, NULL, NULL);
    return end_name(n, "delete directory", path, crash, err);
}

static mr_code sim_dir_sync(struct mr_world *w, const char *path, struct mr_err *err)
{
    struct node *n = mr_sim_node_of(w);
    bool go, crash;
    struct inode *dir = look_up(n, path);
    if (!n->down && !is_root(path) && (!dir || !dir->is_dir))
        return refuse(err, MR_NOTFOUND, ENOENT, "sync directory", path);
    mr_code rc = begin_name(n, "sync directory", path, &go, &crash, err);
    if (rc)
        return rc;
    n->counts.waited += !n->working;
    if (go)
        mr_sim_flush_names(n, path, UINT64_MAX, false); /* W1 */
    return end_name(n, "sync directory", path, crash, err);
}

const struct mr_world_ops mr_sim_disk_ops = {
    .open = sim_open,
    .close = sim_close,
    .pread = sim_pread,
    .pwrite = mr_sim_pwrite,
    .truncate = sim_truncate,
    .size = sim_size,
    .sync = sim_sync,
    .sync_later = mr_sim_sync_later,
    .fd = sim_fd,
    .stat = sim_stat,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .mkdir = sim_mkdir,
    .rmdir = sim_rmdir,
    .dir_sync = sim_dir_sync,
    .list = sim_list,
    .dir_sync_later = mr_sim_dir_sync_later,
    .hold = sim_hold,
    .work = mr_sim_work,
    .write_later = mr_sim_write_later,
    .write_wait = mr_sim_write_wait,
    .ahead = sim_ahead,
    .flush_later = mr_sim_flush_later,
    .files = sim_files,
    .flush = mr_sim_flush,
};

bool mr_sim_flip(struct mr_world *w, const char *path, int64_t at, int bit)
{
    struct inode *f = look_up(mr_sim_node_of(w), path);
    if (!f || at < 0 || (size_t)at >= f->size)
        return false;
    f->bytes[at] = (char)(f->bytes[at] ^ (1 << bit));
    if ((size_t)at < f->kept_size)
        f->kept[at] = (char)(f->kept[at] ^ (1 << bit));
    for (struct change *c = f->changes; c; c = c->next)
        if (at >= c->at && at < c->at + (int64_t)c->len)
            c->bytes[at - c->at] = (char)(c->bytes[at - c->at] ^ (1 << bit));
    return true;
}
