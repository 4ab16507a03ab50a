/* discover.c - which files there are to read: patterns, inotify, rotation, positions of the last run.
 *
 * Every `rescan` the patterns are walked; inotify only makes that faster. So nothing depends on its queue:
 * when it overflows, or cannot be had, the next scan finds the same.
 *
 * Laws:   D1  an inode is open once, by whatever names it has
 *         D2  a file that no pattern names any more stays open until it is read to its end and was quiet for
 *             rotate_wait
 *         D3  a position of the last run is used only for a file with its inode, its head and at least its
 *             length; everything else is new
 */
#include "source.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "glob.h"

enum {
    WATCH_DIR = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR,
    WATCH_FILE = IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF,
    SCAN_SHARE = 20 /* a scan may take one part in so many of the time */
};

static bool wanted(const struct file_source *s, const char *path)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    for (uint32_t i = 0; i < s->exclude.count; i++) {
        const char *x = s->excluded[i];
        if (glob_match(x, strchr(x, '/') ? path : base))
            return false;
    }
    return true;
}

static bool named(const struct file_source *s, const char *path)
{
    for (uint32_t i = 0; i < s->paths.count; i++) {
        if (glob_match(s->patterns[i], path))
            return wanted(s, path);
    }
    return false;
}

static int64_t nanoseconds(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct tail *find(const struct file_source *s, uint64_t dev, uint64_t ino)
{
    for (struct tail *t = s->files; t; t = t->next) {
        if (t->ino == ino && t->dev == dev)
            return t;
    }
    return NULL;
}

/* ---------------------------------------------------------------- watches */

static void watch_file(struct file_source *s, struct tail *t)
{
    char name[64];
    if (s->notify < 0)
        return;
    (void)snprintf(name, sizeof name, "/proc/self/fd/%d", t->fd); /* the inode, whatever its name is now */
    t->wd = inotify_add_watch(s->notify, name, WATCH_FILE);
    if (t->wd < 0 && errno == ENOENT)
        t->wd = inotify_add_watch(s->notify, t->path, WATCH_FILE);
    if (t->wd < 0 && errno != ENOENT)
        source_trouble(s, "inotify", errno);
}

static void watch_dir(void *arg, const char *path)
{
    struct file_source *s = arg;
    if (s->notify < 0)
        return;
    for (uint32_t i = 0; i < s->dir_count; i++) {
        if (strcmp(s->dirs[i].path, path) == 0) {
            s->dirs[i].seen = true;
            return;
        }
    }
    if (s->dir_count == SOURCE_DIRS_MAX)
        return;
    int wd = inotify_add_watch(s->notify, path, WATCH_DIR);
    if (wd < 0) {
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES && errno != ELOOP)
            source_trouble(s, "inotify", errno);
        return;
    }
    char *copy = strdup(path);
    struct dir_watch *more = realloc(s->dirs, (s->dir_count + 1) * sizeof *more);
    if (more)
        s->dirs = more;
    if (!copy || !more) { /* the scan goes on without it */
        free(copy);
        return;
    }
    s->dirs[s->dir_count++] = (struct dir_watch){.wd = wd, .seen = true, .path = copy};
}

static void unwatch_dir(struct file_source *s, uint32_t i, bool gone_already)
{
    bool shared = false;
    for (uint32_t k = 0; k < s->dir_count; k++)
        shared = shared || (k != i && s->dirs[k].wd == s->dirs[i].wd);
    if (!gone_already && !shared)
        (void)inotify_rm_watch(s->notify, s->dirs[i].wd);
    free(s->dirs[i].path);
    s->dirs[i] = s->dirs[--s->dir_count];
}

void discover_unwatch(struct file_source *s, int wd)
{
    (void)inotify_rm_watch(s->notify, wd);
}

/* ---------------------------------------------------------------- opening */

/* D3. Takes the stored position of this file, or NULL. A device number may change with a restart of the
 * machine; the head decides then. */
static struct tail *take_stored(struct file_source *s, const struct tail *t)
{
    struct tail **best = NULL;
    for (struct tail **p = &s->stored; *p; p = &(*p)->next) {
        if ((*p)->ino != t->ino || (*p)->offset > t->size)
            continue;
        uint64_t hash = 0;
        bool same_head =
            (*p)->head_len == 0 || (tail_head(t->fd, (*p)->head_len, &hash) && hash == (*p)->head_hash);
        if (same_head && (*p)->dev == t->dev) {
            best = p;
            break;
        }
        if (same_head && (*p)->head_len > 0 && strcmp((*p)->path, t->path) == 0)
            best = p;
    }
    if (!best)
        return NULL;
    struct tail *taken = *best;
    *best = taken->next;
    s->stored_count--;
    return taken;
}

/* Opens `path` and makes it one of our files, known by the name `as`: the one it was written under, whatever
 * rotation has made of it. only_stored: only if it is one we have a position for.
 * NULL: not now (told where it matters), or a failure put into scan_err. */
static struct tail *adopt(struct file_source *s, const char *path, const char *as, bool is_named,
                          bool only_stored)
{
    if (!s->once && s->open_files >= s->max_open) {
        if (!s->full_told)
            s->services->log(s->host, MR_WARN,
                             "'%s' and maybe others are not read yet: %" PRId64 " files are open, which is "
                             "'max_open'",
                             path, s->open_files);
        s->full_told = true;
        return NULL;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (errno != ENOENT)
            source_trouble(s, path, errno);
        if (fd >= 0)
            (void)close(fd);
        return NULL;
    }
    if (!S_ISREG(st.st_mode) || find(s, st.st_dev, st.st_ino)) {
        (void)close(fd);
        return NULL;
    }
    struct tail *t = calloc(1, sizeof *t);
    char *copy = strdup(as);
    if (!t || !copy) {
        free(t);
        free(copy);
        (void)close(fd);
        (void)mr_fail(&s->scan_err, MR_MEMORY, "no memory left to open '%s'", path);
        return NULL;
    }
    *t = (struct tail){.fd = fd,
                       .path = copy,
                       .dev = st.st_dev,
                       .ino = st.st_ino,
                       .size = st.st_size,
                       .wd = -1,
                       .mtime = nanoseconds(st.st_mtim),
                       .gone_at = is_named ? MR_NEVER : source_now(s),
                       .partial_at = MR_NEVER};
    struct tail *old = take_stored(s, t);
    if (old) {
        t->offset = old->offset;
        t->head_len = old->head_len;
        t->head_hash = old->head_hash;
        t->skip = old->skip;
        t->ended = old->ended;
    } else if (only_stored) {
        tail_fini(t);
        free(t);
        return NULL;
    } else if (s->first_start && s->first_scan && s->start == START_TAIL) {
        if (tail_to_end(t, &s->scan_err) != MR_OK) {
            tail_fini(t);
            free(t);
            return NULL;
        }
    }
    /* So that it is found again when it is rotated before the first of its events is delivered. */
    t->announce = !old && !s->once;
    s->announcing += t->announce;
    if (old) {
        tail_fini(old);
        free(old);
    }
    t->next = s->files;
    s->files = t;
    s->open_files++;
    s->services->count(s->host, "open_files", 1);
    watch_file(s, t); /* before the first read, so that what is written after it wakes us */
    t->seen = true;
    if (!is_named)
        s->next_check = 0;
    source_ready(s, t);
    return t;
}

static void wait_for_turn(struct file_source *s, const char *path, const char *as, const struct stat *st,
                          bool only_stored)
{
    for (size_t i = 0; i < s->waiting_count; i++) {
        if (s->waiting[i].ino == st->st_ino && s->waiting[i].dev == st->st_dev)
            return;
    }
    char *copy = strdup(path), *name = strdup(as);
    if (copy && name && s->waiting_count == s->waiting_cap) {
        size_t cap = s->waiting_cap ? s->waiting_cap * 2 : 16;
        struct waiting *more = realloc(s->waiting, cap * sizeof *more);
        if (more) {
            s->waiting = more;
            s->waiting_cap = cap;
        }
    }
    if (!copy || !name || s->waiting_count == s->waiting_cap) {
        free(copy);
        free(name);
        (void)mr_fail(&s->scan_err, MR_MEMORY, "no memory left for the list of files");
        return;
    }
    s->waiting[s->waiting_count++] = (struct waiting){
        .path = copy,
        .as = name,
        .only_stored = only_stored,
        .dev = st->st_dev,
        .ino = st->st_ino,
        .mtime = nanoseconds(st->st_mtim),
    };
}

/* A pattern names `path`. */
static void sighted(void *arg, const char *path, const struct stat *st)
{
    struct file_source *s = arg;
    if (!S_ISREG(st->st_mode)) {
        source_trouble(s, path, EINVAL);
        return;
    }
    if (!wanted(s, path))
        return;
    if (s->once) {
        wait_for_turn(s, path, path, st, false);
        return;
    }
    struct tail *t = find(s, st->st_dev, st->st_ino);
    if (!t) {
        (void)adopt(s, path, path, true, false);
        return;
    }
    if (strcmp(t->path, path) != 0) { /* renamed to another name that we read, or it has two */
        struct stat now;
        if (stat(t->path, &now) != 0 || now.st_ino != t->ino || now.st_dev != t->dev || !named(s, t->path)) {
            char *copy = strdup(path);
            if (copy) {
                free(t->path);
                t->path = copy;
            }
        }
    }
    t->seen = true;
    t->gone_at = MR_NEVER;
    if (st->st_size != t->offset + t->partial)
        source_ready(s, t);
}

static void walk_failed(void *arg, const char *path, int sys)
{
    source_trouble(arg, path, sys);
}

/* ---------------------------------------------------------------- files under other names */

static void dir_of(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        (void)snprintf(out, size, ".");
    else
        (void)snprintf(out, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

/* The regular files of one directory: many stored positions are of the same one. */
struct listing {
    char dir[GLOB_PATH_MAX];
    struct listed {
        char name[256];
        struct stat st;
    } * v;
    size_t count;
};

static void list_dir(struct listing *l, const char *where)
{
    char path[GLOB_PATH_MAX + 258];
    size_t cap = 0;
    free(l->v);
    l->v = NULL;
    l->count = 0;
    (void)snprintf(l->dir, sizeof l->dir, "%s", where);
    DIR *dir = opendir(where);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        struct listed one;
        if (e->d_type != DT_REG && e->d_type != DT_UNKNOWN)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", where, e->d_name);
        if (stat(path, &one.st) != 0 || !S_ISREG(one.st.st_mode))
            continue;
        if (l->count == cap) {
            struct listed *more = realloc(l->v, (cap = cap ? cap * 2 : 64) * sizeof *more);
            if (!more)
                break;
            l->v = more;
        }
        (void)snprintf(one.name, sizeof one.name, "%s", e->d_name);
        l->v[l->count++] = one;
    }
    if (dir)
        (void)closedir(dir);
}

/* Where the inode of a position of the last run is now: looked for in the directory that it was in. */
static bool locate(struct listing *l, const struct tail *want, char *path, size_t size, struct stat *st)
{
    char where[GLOB_PATH_MAX];
    const char *slash = strrchr(want->path, '/');
    int prefix = slash ? (int)(slash - want->path + 1) : 0;
    dir_of(want->path, where, sizeof where);
    if (strcmp(where, l->dir) != 0)
        list_dir(l, where);
    for (size_t i = 0; i < l->count; i++) {
        if (l->v[i].st.st_ino == want->ino) {
            (void)snprintf(path, size, "%.*s%s", prefix, want->path, l->v[i].name);
            *st = l->v[i].st;
            return true;
        }
    }
    return false;
}

static bool is_compressed(const char *name)
{
    static const char *const ends[] = {".gz", ".zst", ".bz2", ".xz", ".lz4", ".Z"};
    size_t len = strlen(name);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t n = strlen(ends[i]);
        if (len > n && strcmp(name + len - n, ends[i]) == 0)
            return true;
    }
    return false;
}

/* `path` was rotated more than once since we looked: files in between were written after `older` was, and
 * carry its name with something behind it. They were never seen, so they are read from their beginning. */
static void find_between(struct file_source *s, const char *path, int64_t older)
{
    char where[GLOB_PATH_MAX], full[GLOB_PATH_MAX + 258];
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    size_t base_len = strlen(base);
    dir_of(path, where, sizeof where);
    DIR *dir = opendir(where);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        if (strncmp(e->d_name, base, base_len) != 0 || !strchr(".-_", e->d_name[base_len]) ||
            !e->d_name[base_len] || is_compressed(e->d_name))
            continue;
        (void)snprintf(full, sizeof full, "%.*s%s", (int)(base - path), path, e->d_name);
        if (stat(full, &st) != 0 || !S_ISREG(st.st_mode) || !wanted(s, full) || find(s, st.st_dev, st.st_ino))
            continue;
        if (nanoseconds(st.st_mtim) < older) /* equal counts: the clock of file times is coarse */
            continue;
        if (s->once)
            wait_for_turn(s, full, path, &st, false);
        else
            (void)adopt(s, full, path, false, false);
    }
    (void)closedir(dir);
}

/* ---------------------------------------------------------------- scans */

static int by_age(const void *a, const void *b)
{
    const struct waiting *x = a, *y = b;
    if (x->mtime != y->mtime)
        return x->mtime < y->mtime ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* A path whose file was replaced while nobody looked. */
struct replaced {
    char *path;    /* as it was */
    char *now;     /* where its last known file is now; NULL: nothing unread there */
    int64_t mtime; /* of that file, ns */
    bool rotated;  /* the file that has the path now was not known */
};

struct replacements {
    struct replaced *v;
    size_t count;
};

static bool is_stored(const struct file_source *s, const struct stat *st)
{
    for (const struct tail *p = s->stored; p; p = p->next) {
        if (p->ino == st->st_ino && p->offset <= st->st_size)
            return true;
    }
    return false;
}

static bool note_replaced(struct replacements *r, const struct tail *p, const char *now,
                          const struct stat *st, bool rotated)
{
    struct replaced *more = realloc(r->v, (r->count + 1) * sizeof *more);
    if (!more)
        return false;
    r->v = more;
    struct replaced *new = &r->v[r->count];
    *new = (struct replaced){.path = strdup(p->path), .mtime = nanoseconds(st->st_mtim), .rotated = rotated};
    if (st->st_size > p->offset)
        new->now = strdup(now);
    if (!new->path || (st->st_size > p->offset && !new->now)) {
        free(new->path);
        free(new->now);
        return false;
    }
    r->count++;
    return true;
}

/* Before the first scan uses positions up: which of them belong to files that have another name now?
 * Positions of files that are no more, where a new one bears the name, are to be forgotten. */
static mr_code find_replaced(struct file_source *s, struct replacements *r, struct mr_err *err)
{
    char path[GLOB_PATH_MAX + 258];
    struct stat st;
    struct listing list = {.v = NULL};
    mr_code rc = MR_OK;
    for (struct tail *p = s->stored; p && rc == MR_OK; p = p->next) {
        bool there = stat(p->path, &st) == 0;
        if (there && st.st_ino == p->ino)
            continue;
        bool rotated = !(there && is_stored(s, &st)); /* else: not since we looked */
        if (!locate(&list, p, path, sizeof path, &st))
            s->forgetting += p->announce = there;
        else if ((rotated || st.st_size > p->offset) && !note_replaced(r, p, path, &st, rotated))
            rc = mr_fail(err, MR_MEMORY, "no memory left to look for rotated files");
    }
    free(list.v);
    return rc;
}

static bool is_youngest(const struct replacements *r, size_t i)
{
    for (size_t k = 0; k < r->count; k++) {
        if (strcmp(r->v[k].path, r->v[i].path) == 0 && r->v[k].mtime > r->v[i].mtime)
            return false;
    }
    return true;
}

static void read_replaced(struct file_source *s, const struct replacements *r)
{
    struct stat st;
    for (size_t i = 0; i < r->count; i++) {
        if (r->v[i].now && s->once && stat(r->v[i].now, &st) == 0)
            wait_for_turn(s, r->v[i].now, r->v[i].path, &st, true);
        else if (r->v[i].now)
            (void)adopt(s, r->v[i].now, r->v[i].path, false, true);
    }
    for (size_t i = 0; i < r->count; i++) {
        if (r->v[i].rotated && is_youngest(r, i))
            find_between(s, r->v[i].path, r->v[i].mtime);
    }
}

mr_code discover_scan(struct file_source *s, struct mr_err *err)
{
    mr_ms begin = source_now(s);
    mr_err_clear(&s->scan_err);
    for (struct tail *t = s->files; t; t = t->next)
        t->seen = false;
    for (uint32_t i = 0; i < s->dir_count; i++)
        s->dirs[i].seen = false;
    for (uint32_t i = 0; i < s->trouble_count; i++)
        s->troubles[i].seen = false;

    const struct glob_visit visit = {.dir = watch_dir, .file = sighted, .failed = walk_failed, .arg = s};
    for (uint32_t i = 0; i < s->paths.count; i++)
        glob_walk(s->patterns[i], &visit);

    for (struct tail *t = s->files, *next; t; t = next) {
        struct stat st;
        next = t->next;
        if (t->seen)
            continue;
        if (t->gone_at == MR_NEVER) {
            t->gone_at = source_now(s);
            s->next_check = 0;
            s->services->count(s->host, "rotated_files", 1);
        }
        if (fstat(t->fd, &st) == 0 && st.st_size != t->offset + t->partial)
            source_ready(s, t);
        if (s->look_for_missed && fstat(t->fd, &st) == 0) {
            char was[GLOB_PATH_MAX];
            (void)snprintf(was, sizeof was, "%s", t->path);
            find_between(s, was, nanoseconds(st.st_mtim));
        }
    }
    s->look_for_missed = false;
    for (uint32_t i = s->dir_count; i-- > 0;) {
        if (!s->dirs[i].seen)
            unwatch_dir(s, i, false);
    }
    for (uint32_t i = s->trouble_count; i-- > 0;) {
        if (!s->troubles[i].seen) { /* over: tell it again when it comes back */
            free(s->troubles[i].path);
            s->troubles[i] = s->troubles[--s->trouble_count];
        }
    }

    mr_ms end = source_now(s), rest = (end - begin) * SCAN_SHARE;
    s->scan_not_before = end + rest;
    s->next_scan = end + (rest > s->rescan ? rest : s->rescan);
    if (s->scan_err.code != MR_OK && err)
        *err = s->scan_err;
    return s->scan_err.code;
}

mr_code discover_next(struct file_source *s, struct mr_err *err)
{
    while (s->waiting_at < s->waiting_count) {
        struct waiting *w = &s->waiting[s->waiting_at++];
        mr_err_clear(&s->scan_err);
        if (adopt(s, w->path, w->as, true, w->only_stored))
            return MR_OK;
        if (s->scan_err.code != MR_OK) {
            *err = s->scan_err;
            return err->code;
        }
    }
    return MR_END;
}

/* ---------------------------------------------------------------- inotify */

/* Scans keep to their share of the time, whatever happens. */
static void scan_soon(struct file_source *s)
{
    mr_ms now = source_now(s);
    s->next_scan = now > s->scan_not_before ? now : s->scan_not_before;
}

static void add_move(struct file_source *s, const char *path)
{
    char *copy = s->move_count < SOURCE_MOVES_MAX ? strdup(path) : NULL;
    if (copy) {
        s->moves[s->move_count++] = (struct move){.now = copy, .as = s->move_from};
    } else {
        free(s->move_from);
        s->look_for_missed = true;
    }
    s->move_from = NULL;
}

/* The first half of a rename: was it a file of ours, by its own name or by one that it was renamed to? */
static void begin_move(struct file_source *s, const char *path, uint32_t cookie)
{
    free(s->move_from);
    s->move_from = NULL;
    s->move_cookie = cookie;
    for (uint32_t i = 0; i < s->move_count; i++) {
        if (strcmp(s->moves[i].now, path) == 0) {
            free(s->moves[i].now);
            s->move_from = s->moves[i].as;
            s->moves[i] = s->moves[--s->move_count];
            return;
        }
    }
    if (named(s, path))
        s->move_from = strdup(path);
}

/* Something happened to `name` in a watched directory. */
static void dir_event(struct file_source *s, const char *dir, const struct inotify_event *e)
{
    char full[GLOB_PATH_MAX + 258];
    if (e->mask & IN_ISDIR) {
        scan_soon(s);
        return;
    }
    (void)snprintf(full, sizeof full, "%s/%s", strcmp(dir, "/") == 0 ? "" : dir, e->name);
    const char *path = full;
    if (strcmp(dir, ".") == 0 && !named(s, full)) /* patterns without a directory */
        path = full + 2;
    if (e->mask & IN_MOVED_FROM) {
        begin_move(s, path, e->cookie);
        return;
    }
    struct stat st;
    if (named(s, path)) {
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
            sighted(s, path, &st);
    } else if ((e->mask & IN_MOVED_TO) && s->move_from && e->cookie == s->move_cookie) {
        add_move(s, path); /* where it is by the time we look, later renames in the queue will tell */
    }
}

/* Files that were made and renamed before we had a look at them. */
static void settle_moves(struct file_source *s)
{
    for (uint32_t i = 0; i < s->move_count; i++) {
        struct stat st;
        if (stat(s->moves[i].now, &st) == 0 && S_ISREG(st.st_mode) && !find(s, st.st_dev, st.st_ino))
            (void)adopt(s, s->moves[i].now, s->moves[i].as, false, false);
        free(s->moves[i].now);
        free(s->moves[i].as);
    }
    s->move_count = 0;
}

static void event(struct file_source *s, const struct inotify_event *e)
{
    if (e->mask & IN_Q_OVERFLOW) {
        s->services->count(s->host, "inotify_overflows", 1);
        scan_soon(s);
        s->look_for_missed = true;
        return;
    }
    for (struct tail *t = s->files; t; t = t->next) {
        if (t->wd != e->wd)
            continue;
        if (e->mask & IN_IGNORED)
            t->wd = -1;
        else if (e->mask & IN_MODIFY)
            source_ready(s, t);
        else
            scan_soon(s);
        return;
    }
    for (uint32_t i = s->dir_count; i-- > 0;) { /* one directory may be known by several names */
        if (s->dirs[i].wd != e->wd)
            continue;
        if (e->mask & IN_IGNORED) {
            unwatch_dir(s, i, true);
        } else if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF)) {
            scan_soon(s);
            if (e->mask & IN_MOVE_SELF) /* its path is another's now */
                unwatch_dir(s, i, false);
        } else if (e->len > 0) {
            dir_event(s, s->dirs[i].path, e);
        }
    }
}

void discover_notified(struct file_source *s)
{
    union {
        struct inotify_event align;
        char bytes[16384];
    } queue;
    for (int turns = 0; turns < 64; turns++) {
        ssize_t n = read(s->notify, queue.bytes, sizeof queue.bytes);
        if (n <= 0)
            break;
        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *e = (const void *)(queue.bytes + at);
            event(s, e);
            at += (ssize_t)(sizeof *e + e->len);
        }
    }
    settle_moves(s);
}

/* ---------------------------------------------------------------- beginning and end */

mr_code discover_open(struct file_source *s, struct mr_err *err)
{
    mr_code rc;
    if (!s->once) {
        s->notify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
        if (s->notify < 0)
            s->services->log(s->host, MR_WARN,
                             "inotify is not to be had (%s): new lines are noticed every 'rescan' only",
                             strerror(errno));
        else if ((rc = s->services->watch(s->host, s->notify, err)) != MR_OK)
            return rc;
    }
    s->first_scan = true;
    struct replacements r = {0};
    rc = find_replaced(s, &r, err);
    if (rc == MR_OK) {
        read_replaced(s, &r); /* first: they are older than what the patterns name now */
        rc = s->scan_err.code;
        if (rc != MR_OK)
            *err = s->scan_err;
    }
    if (rc == MR_OK)
        rc = discover_scan(s, err);
    for (size_t i = 0; i < r.count; i++) {
        free(r.v[i].path);
        free(r.v[i].now);
    }
    free(r.v);
    if (s->once && s->waiting_count > 1)
        qsort(s->waiting, s->waiting_count, sizeof *s->waiting, by_age);
    s->first_scan = false;
    return rc;
}

void discover_close(struct file_source *s)
{
    if (s->notify >= 0) {
        s->services->unwatch(s->host, s->notify);
        (void)close(s->notify);
        s->notify = -1;
    }
    for (uint32_t i = 0; i < s->dir_count; i++)
        free(s->dirs[i].path);
    free(s->dirs);
    for (uint32_t i = 0; i < s->move_count; i++)
        free(s->moves[i].now), free(s->moves[i].as);
    free(s->move_from);
    for (uint32_t i = 0; i < s->trouble_count; i++)
        free(s->troubles[i].path);
    for (size_t i = 0; i < s->waiting_count; i++)
        free(s->waiting[i].path), free(s->waiting[i].as);
    free(s->waiting);
}
