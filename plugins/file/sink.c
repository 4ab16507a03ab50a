/* sink.c - the `file` sink: events as lines, into one file or into files named by the events.
 *
 * Laws:   S1  a batch is in its files whole, or not at all: what fails on the way is cut off again
 *         S2  what was answered with done is on the disk after flush; an fsync that failed is never forgotten
 *         S3  at most FILES_MAX files are open; a batch may touch more, one after the other
 *
 * One writer per file: cutting off (S1) would take the lines of another one along, and is left out when
 * somebody else has written meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "file.h"

enum {
    FILES_MAX = 64,       /* files open at a time */
    REPLACED_MAX = 65536, /* files that mode `replace` has emptied and must not empty again */
    TARGET_SLOTS = 8192,  /* hash slots for the files of one batch; a power of two, over twice its rows */
    PIECES_MAX = 512,     /* runs of lines in one writev */
    SINK_PATH_MAX = 4096,
};

static const char *const formats[] = {"json", "lines", NULL};
static const char *const modes[] = {"append", "replace", NULL};
enum { MODE_APPEND, MODE_REPLACE };

struct open_file {
    char *path;
    int fd;
    uint64_t dev, ino, used;
    int64_t size;
    bool regular, dirty, made; /* made: its directory must be synced too */
};

struct target { /* a file that the batch in hand has lines for */
    struct mr_slice path;
    uint32_t first, last; /* chain of k */
    int64_t before;       /* size before this batch; -1: not written to */
    int64_t written;
};

struct file_sink {
    struct mr_template *path;
    int format, mode;
    bool sync;

    const struct mr_services *services;
    struct mr_host *host;
    struct open_file files[FILES_MAX];
    uint64_t clock;
    uint64_t *replaced; /* hashes */
    uint32_t replaced_count;
    bool full_told;
    struct target *targets; /* [MR_BATCH_ROWS_MAX] */
    uint32_t target_count;
    uint16_t *slots; /* [TARGET_SLOTS] target + 1 */
    uint32_t *next;  /* [k] of the same target */
    size_t *ends;    /* [k] */
    struct mr_buf text;
    struct mr_err broken; /* S2 */
};

static const struct mr_option options[] = {
    {.name = "path",
     .type = MR_OPT_TEMPLATE,
     .at = offsetof(struct file_sink, path),
     .required = true,
     .main = true,
     .help =
         "the file to write; '{{ field }}' makes it depend on the event, and missing directories are made",
     .example = "out/{{ host }}-{{ ts | %Y-%m-%d }}.jsonl"},
    {.name = "format",
     .type = MR_OPT_ENUM,
     .at = offsetof(struct file_sink, format),
     .value = "json",
     .choices = formats,
     .help = "json: one object a line; lines: the field `message` as it is, events without one as JSON"},
    {.name = "mode",
     .type = MR_OPT_ENUM,
     .at = offsetof(struct file_sink, mode),
     .value = "append",
     .choices = modes,
     .help = "append: behind what is there; replace: a file is emptied when it is first written to after a "
             "start"},
    {.name = "sync",
     .type = MR_OPT_BOOL,
     .at = offsetof(struct file_sink, sync),
     .value = "true",
     .help = "bring lines to the disk (fdatasync) before the positions of sources move past them"},
    {0},
};

static uint64_t hash_of(struct mr_slice s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3u;
    return h ^ (h >> 29);
}

static mr_code io_failed(struct mr_err *err, const char *verb, const char *path, int sys)
{
    mr_code code = sys == ENOSPC || sys == EDQUOT || sys == EFBIG ? MR_NOSPACE : MR_IO;
    mr_fail(err, code, "cannot %s '%s': %s", verb, path, strerror(sys));
    if (err)
        err->sys = sys;
    return code;
}

/* ---------------------------------------------------------------- files */

static mr_code sync_dir(const char *path, struct mr_err *err)
{
    char dir[SINK_PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash)
        (void)snprintf(dir, sizeof dir, ".");
    else
        (void)snprintf(dir, sizeof dir, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int sys = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0)
        (void)close(fd);
    if (sys == 0 || sys == EINVAL || sys == ENOENT) /* a file system without; a directory that was removed */
        return MR_OK;
    return io_failed(err, "bring to the disk the directory of", path, sys);
}

static mr_code sync_file(struct file_sink *s, struct open_file *f, struct mr_err *err)
{
    mr_code rc = MR_OK;
    if (s->sync && f->regular && f->dirty && fdatasync(f->fd) != 0)
        rc = io_failed(err, "bring to the disk", f->path, errno);
    if (rc == MR_OK && s->sync && f->regular && f->made)
        rc = sync_dir(f->path, err);
    f->dirty = f->made = false;
    return rc;
}

/* Its lines are safe first: flush will not see it any more. */
static void shut(struct file_sink *s, struct open_file *f)
{
    if (!f->path)
        return;
    if (s->broken.code == MR_OK)
        (void)sync_file(s, f, &s->broken);
    (void)close(f->fd);
    free(f->path);
    *f = (struct open_file){.fd = -1};
}

/* Makes the directories on the way to path. */
static int make_dirs(const char *path)
{
    char at[SINK_PATH_MAX];
    size_t len = strlen(path);
    memcpy(at, path, len + 1);
    for (size_t i = 1; i < len; i++) {
        if (at[i] != '/')
            continue;
        at[i] = '\0';
        if (mkdir(at, 0777) != 0 && errno != EEXIST)
            return errno;
        at[i] = '/';
    }
    return 0;
}

/* Empties a file of mode `replace` once in a run. One that could not be emptied still is to be. */
static mr_code empty_once(struct file_sink *s, struct open_file *f, struct mr_err *err)
{
    uint64_t h = hash_of(mr_slice_of(f->path));
    if (s->mode != MODE_REPLACE)
        return MR_OK;
    for (uint32_t i = 0; i < s->replaced_count; i++) {
        if (s->replaced[i] == h)
            return MR_OK;
    }
    if (s->replaced_count == REPLACED_MAX) {
        if (!s->full_told)
            s->services->log(s->host, MR_WARN,
                             "'%s' keeps what it held, as others will: mode replace empties %d files at most",
                             f->path, REPLACED_MAX);
        s->full_told = true;
        return MR_OK;
    }
    if ((s->replaced_count & 63) == 0) {
        uint64_t *more = realloc(s->replaced, (s->replaced_count + 64) * sizeof *more);
        if (!more)
            return mr_fail(err, MR_MEMORY, "no memory left to empty '%s'", f->path);
        s->replaced = more;
    }
    if (ftruncate(f->fd, 0) != 0)
        return io_failed(err, "empty", f->path, errno);
    f->size = 0;
    s->replaced[s->replaced_count++] = h;
    return MR_OK;
}

static struct open_file *room_for(struct file_sink *s)
{
    struct open_file *oldest = &s->files[0];
    for (uint32_t i = 0; i < FILES_MAX; i++) {
        if (!s->files[i].path)
            return &s->files[i];
        if (s->files[i].used < oldest->used)
            oldest = &s->files[i];
    }
    shut(s, oldest);
    return oldest;
}

/* A torn line of a crash must not become the beginning of the next one. */
static mr_code end_last_line(struct open_file *f, struct mr_err *err)
{
    char last = '\n';
    if (f->size == 0 || pread(f->fd, &last, 1, f->size - 1) != 1 || last == '\n')
        return MR_OK;
    if (write(f->fd, "\n", 1) != 1)
        return io_failed(err, "write to", f->path, errno);
    f->size++;
    f->dirty = true;
    return MR_OK;
}

static mr_code open_path(struct file_sink *s, const char *path, struct open_file **out, struct mr_err *err)
{
    struct stat st;
    for (uint32_t i = 0; i < FILES_MAX; i++) {
        struct open_file *f = &s->files[i];
        if (!f->path || strcmp(f->path, path) != 0)
            continue;
        if (stat(path, &st) == 0 && st.st_ino == f->ino && st.st_dev == f->dev) {
            if (f->regular)
                f->size = st.st_size;
            f->used = ++s->clock;
            *out = f;
            return MR_OK;
        }
        shut(s, f); /* rotated or removed: a new one */
        break;
    }
    struct open_file *f = room_for(s);
    bool there = stat(path, &st) == 0;
    int flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY;
    int fd = open(path, flags, 0666);
    if (fd < 0 && errno == ENOENT) {
        int sys = make_dirs(path);
        if (sys != 0)
            return io_failed(err, "make the directory of", path, sys);
        fd = open(path, flags, 0666);
    }
    if (fd < 0 && (errno == EACCES || errno == EPERM))
        fd = open(path, (flags & ~O_RDWR) | O_WRONLY, 0666);
    if (fd < 0 || fstat(fd, &st) != 0) {
        int sys = errno;
        if (fd >= 0)
            (void)close(fd);
        return io_failed(err, "open", path, sys);
    }
    char *copy = strdup(path);
    if (!copy) {
        (void)close(fd);
        return mr_fail(err, MR_MEMORY, "no memory left to open '%s'", path);
    }
    *f = (struct open_file){.path = copy,
                            .fd = fd,
                            .dev = st.st_dev,
                            .ino = st.st_ino,
                            .size = st.st_size,
                            .used = ++s->clock,
                            .regular = S_ISREG(st.st_mode),
                            .made = !there};
    mr_code rc = f->regular ? empty_once(s, f, err) : MR_OK;
    if (rc == MR_OK && f->regular)
        rc = end_last_line(f, err);
    if (rc != MR_OK) { /* the next try begins anew, or it would write behind what was to be changed */
        shut(s, f);
        return rc;
    }
    *out = f;
    return MR_OK;
}

/* ---------------------------------------------------------------- a batch */

static mr_code write_pieces(struct open_file *f, struct iovec *v, int count, int64_t *written, int *sys)
{
    while (count > 0) {
        ssize_t n = writev(f->fd, v, count);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            *sys = n < 0 ? errno : ENOSPC;
            return MR_IO;
        }
        f->dirty = true;
        *written += n;
        while (count > 0 && (size_t)n >= v->iov_len) {
            n -= (ssize_t)v->iov_len;
            v++;
            count--;
        }
        if (count > 0) { /* short: the next call says why */
            v->iov_base = (char *)v->iov_base + n;
            v->iov_len -= (size_t)n;
        }
    }
    return MR_OK;
}

static mr_code write_target(struct file_sink *s, struct target *t, struct mr_err *err)
{
    char path[SINK_PATH_MAX];
    struct open_file *f;
    struct iovec v[PIECES_MAX];
    int count = 0, sys = 0;
    memcpy(path, t->path.p, t->path.len);
    path[t->path.len] = '\0';
    mr_code rc = open_path(s, path, &f, err);
    if (rc != MR_OK)
        return rc;
    t->before = f->size;
    t->written = 0;
    for (uint32_t k = t->first; k != UINT32_MAX; k = s->next[k]) {
        size_t start = k ? s->ends[k - 1] : 0, len = s->ends[k] - start;
        char *p = s->text.p + start;
        if (len == 0)
            continue;
        if (count > 0 && (char *)v[count - 1].iov_base + v[count - 1].iov_len == p) {
            v[count - 1].iov_len += len;
            continue;
        }
        if (count == PIECES_MAX) {
            if (write_pieces(f, v, count, &t->written, &sys) != MR_OK)
                return io_failed(err, "write to", path, sys);
            count = 0;
        }
        v[count++] = (struct iovec){.iov_base = p, .iov_len = len};
    }
    if (write_pieces(f, v, count, &t->written, &sys) != MR_OK)
        return io_failed(err, "write to", path, sys);
    f->size += t->written;
    return MR_OK;
}

/* S1 */
static void take_back(struct file_sink *s, struct target *t)
{
    char path[SINK_PATH_MAX];
    struct open_file *f;
    struct stat st;
    if (t->before < 0 || t->written == 0)
        return;
    memcpy(path, t->path.p, t->path.len);
    path[t->path.len] = '\0';
    if (open_path(s, path, &f, NULL) != MR_OK || !f->regular)
        return;
    if (fstat(f->fd, &st) != 0 || st.st_size != t->before + t->written || ftruncate(f->fd, t->before) != 0) {
        s->services->log(s->host, MR_WARN, "'%s' keeps lines of a batch that will be written again", path);
        return;
    }
    f->size = t->before;
}

/* Which file for which event. */
static void sort_rows(struct file_sink *s, struct mr_batch *b, struct mr_verdict *verdict)
{
    struct mr_slice last = {NULL, 0};
    uint32_t last_target = 0;
    bool constant = s->services->template_is_constant && s->services->template_is_constant(s->path);
    memset(s->slots, 0, TARGET_SLOTS * sizeof *s->slots);
    s->target_count = 0;
    for (uint32_t k = 0; k < b->count; k++) {
        struct mr_err why;
        struct mr_slice path = last;
        s->next[k] = UINT32_MAX;
        if (constant && k > 0 && !last.p) {
            verdict[k] = verdict[0];
            continue;
        }
        if (!constant || k == 0) {
            mr_err_clear(&why);
            path = s->services->render(s->path, b, b->sel[k], &why);
            const char *wrong = NULL;
            if (!path.p)
                wrong = why.text;
            else if (path.len == 0 || path.len >= SINK_PATH_MAX || memchr(path.p, '\0', path.len))
                wrong = "the path is empty, too long or holds a NUL byte";
            else if (!constant && (memmem(path.p, path.len, "/../", 4) ||
                                   (path.len >= 3 && memcmp(path.p + path.len - 3, "/..", 3) == 0)))
                wrong = "a path that depends on the event must not lead upwards ('..')";
            if (wrong) {
                struct mr_slice copy = mr_slice_copy(b->arena, (struct mr_slice){wrong, strlen(wrong) + 1});
                verdict[k] = (struct mr_verdict){.kind = MR_VERDICT_REJECT,
                                                 .reason = copy.p ? copy.p : "the path cannot be made"};
                continue;
            }
        }
        if (!last.p || path.len != last.len || (path.p != last.p && memcmp(path.p, last.p, path.len) != 0)) {
            uint32_t slot = (uint32_t)hash_of(path) & (TARGET_SLOTS - 1);
            while (s->slots[slot] && !mr_slice_eq(s->targets[s->slots[slot] - 1].path, path))
                slot = (slot + 1) & (TARGET_SLOTS - 1);
            if (!s->slots[slot]) {
                s->targets[s->target_count] =
                    (struct target){.path = path, .first = UINT32_MAX, .before = -1};
                s->slots[slot] = (uint16_t)++s->target_count;
            }
            last = path;
            last_target = s->slots[slot] - 1u;
        }
        struct target *t = &s->targets[last_target];
        if (t->first == UINT32_MAX)
            t->first = k;
        else
            s->next[t->last] = k;
        t->last = k;
    }
}

/* Failures that are the fault of a path made from events: the same again would not help. */
static bool is_bad_path(int sys)
{
    return sys == ENAMETOOLONG || sys == EISDIR || sys == ENOTDIR || sys == ELOOP || sys == EINVAL;
}

static mr_code write_batch(void *self, struct mr_batch *b, uint64_t ticket, struct mr_verdict *verdict,
                           struct mr_err *err)
{
    struct file_sink *s = self;
    (void)ticket;
    if (s->broken.code != MR_OK) {
        *err = s->broken;
        return err->code;
    }
    s->text.len = 0;
    mr_code rc = s->services->encode(s->host, formats[s->format], b, &s->text, s->ends, err);
    if (rc != MR_OK)
        return rc;
    bool constant = s->services->template_is_constant && s->services->template_is_constant(s->path);
    sort_rows(s, b, verdict);
    for (uint32_t i = 0; i < s->target_count; i++) {
        struct target *t = &s->targets[i];
        struct mr_err why;
        mr_err_clear(&why);
        rc = write_target(s, t, &why);
        if (rc == MR_OK)
            continue;
        if (!constant && rc == MR_IO && is_bad_path(why.sys)) {
            struct mr_slice copy = mr_slice_copy(b->arena, (struct mr_slice){why.text, strlen(why.text) + 1});
            for (uint32_t k = t->first; k != UINT32_MAX; k = s->next[k])
                verdict[k] = (struct mr_verdict){.kind = MR_VERDICT_REJECT,
                                                 .reason = copy.p ? copy.p : "the path cannot be opened"};
            continue;
        }
        for (uint32_t back = 0; back <= i; back++)
            take_back(s, &s->targets[back]);
        *err = why;
        return rc;
    }
    return MR_OK;
}

static mr_code flush(void *self, struct mr_err *err)
{
    struct file_sink *s = self;
    for (uint32_t i = 0; i < FILES_MAX && s->broken.code == MR_OK; i++) {
        if (s->files[i].path)
            (void)sync_file(s, &s->files[i], &s->broken);
    }
    if (s->broken.code != MR_OK)
        *err = s->broken;
    return s->broken.code;
}

static mr_code open_sink(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct file_sink *s = self;
    s->services = o->services;
    s->host = o->host;
    for (uint32_t i = 0; i < FILES_MAX; i++)
        s->files[i].fd = -1;
    s->targets = malloc(MR_BATCH_ROWS_MAX * sizeof *s->targets);
    s->slots = malloc(TARGET_SLOTS * sizeof *s->slots);
    s->next = malloc(MR_BATCH_ROWS_MAX * sizeof *s->next);
    s->ends = malloc(MR_BATCH_ROWS_MAX * sizeof *s->ends);
    if (!s->targets || !s->slots || !s->next || !s->ends)
        return mr_fail(err, MR_MEMORY, "no memory left to open the sink");
    return MR_OK;
}

static void close_sink(void *self)
{
    struct file_sink *s = self;
    if (!s->services)
        return;
    for (uint32_t i = 0; i < FILES_MAX; i++)
        shut(s, &s->files[i]);
    s->services->buf_free(&s->text);
    free(s->replaced);
    free(s->targets);
    free(s->slots);
    free(s->next);
    free(s->ends);
}

static const char doc[] =
    "Writes each event as one line. `format: json` writes the whole event, `lines` the field `message` as it "
    "is.\n"
    "\n"
    "**Path.** A constant, or made from the event: `out/{{ host }}.jsonl`. Missing directories are made. At "
    "most "
    "64 files are open at a time; the one that was not used for longest is closed. A path made from events "
    "must "
    "not contain `..`, is at most 4,095 bytes long, and an event whose path cannot be used (a field is "
    "missing, a "
    "name too long, a directory in its place) goes to `on_error`; the others are written.\n"
    "\n"
    "**Safety.** A batch is written whole or not at all: when the disk is full, what was written of it is "
    "cut "
    "off again and the batch is tried again later, so no line is there twice and none is torn. Positions of "
    "sources move only after `fdatasync` (unless `sync: false`). A torn last line that a crash of the "
    "machine "
    "left behind is ended with a newline before the next one is written. One writer per file.\n"
    "\n"
    "**Rotation.** A file that was renamed or removed is opened anew under its name with the next batch.\n"
    "\n"
    "Delivery is at least once: after a crash, lines whose acknowledgement was not stored are written "
    "again.\n"
    "\n"
    "```yaml\n"
    "to:\n"
    "  file:\n"
    "    path: \"out/access-{{ ts | %Y-%m-%d }}.jsonl\"\n"
    "```\n";

const struct mr_component file_sink_component = {
    .size = sizeof(struct mr_component),
    .kind = MR_SINK,
    .name = "file",
    .summary = "Write events as lines into files, one file or one named by each event.",
    .doc = doc,
    .self_size = sizeof(struct file_sink),
    .options = options,
    .open = open_sink,
    .close = close_sink,
    .write = write_batch,
    .flush = flush,
};
