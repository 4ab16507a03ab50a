/* source.c - the `file` source: follows files, or reads them once.
 *
 * A batch comes from one file. Files with something to read stand in a queue and take turns, a block each;
 * `once` reads them one after the other instead, oldest first, because time then goes forward. What a file
 * is, and how its lines are cut, is tail.c; which files there are is discover.c.
 */
#include "source.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "file.h"
#include "glob.h"

enum { TURNS_MAX = 64 }; /* blocks without a line in one call: very long lines must not hold up the lane */

static const char *const modes[] = {"follow", "once", NULL};
static const char *const starts[] = {"head", "tail", NULL};
static const char *const over_longs[] = {"truncate", "split", "drop", NULL};

#define AT(field) offsetof(struct file_source, field)
static const struct mr_option options[] = {
    {.name = "paths",
     .type = MR_OPT_STRINGS,
     .at = AT(paths),
     .required = true,
     .main = true,
     .help = "files to read; '*', '?', '[...]' stand for parts of a name, '**' for any directories",
     .example = "[/var/log/nginx/access*.log, /srv/**/app.log]"},
    {.name = "exclude",
     .type = MR_OPT_STRINGS,
     .at = AT(exclude),
     .help = "files to leave out: patterns of whole paths, or of names when there is no '/' in them",
     .example = "['*.gz']"},
    {.name = "mode",
     .type = MR_OPT_ENUM,
     .at = AT(mode),
     .value = "follow",
     .choices = modes,
     .help = "follow: wait for new lines and new files; once: read what is there, then end"},
    {.name = "start",
     .type = MR_OPT_ENUM,
     .at = AT(start),
     .value = "head",
     .choices = starts,
     .help =
         "where to begin in files that are there when the source runs for the first time; files that come "
         "later are read from their head, and a stored position always wins"},
    {.name = "max_line",
     .type = MR_OPT_SIZE,
     .at = AT(max_line),
     .value = "1MiB",
     .min = 1,
     .max = 256 << 20,
     .help = "longest line, without its newline; longer ones: see over_long"},
    {.name = "over_long",
     .type = MR_OPT_ENUM,
     .at = AT(over_long),
     .value = "truncate",
     .choices = over_longs,
     .help =
         "a line longer than max_line: truncate keeps its beginning, split makes several events of it, drop "
         "leaves it out; the file is read on in any case"},
    {.name = "crlf",
     .type = MR_OPT_BOOL,
     .at = AT(crlf),
     .value = "true",
     .help = "a carriage return before the newline is no part of the line"},
    {.name = "read_chunk",
     .type = MR_OPT_SIZE,
     .at = AT(read_chunk),
     .value = "256KiB",
     .min = 4096,
     .max = 16 << 20,
     .help = "most that is read from one file before another one has its turn"},
    {.name = "rescan",
     .type = MR_OPT_DURATION,
     .at = AT(rescan),
     .value = "1s",
     .min = 10,
     .max = 3600000,
     .help =
         "how often the patterns are walked; new lines and files are noticed at once where inotify works"},
    {.name = "rotate_wait",
     .type = MR_OPT_DURATION,
     .at = AT(rotate_wait),
     .value = "5s",
     .min = 0,
     .max = 86400000,
     .help = "how long a file that was renamed or deleted must be quiet, and read to its end, before it is "
             "closed"},
    {.name = "flush_after",
     .type = MR_OPT_DURATION,
     .at = AT(flush_after),
     .value = "5s",
     .min = 1,
     .max = 86400000,
     .help =
         "a last line without newline becomes an event when it has not grown for so long; with once: at the "
         "end of the file"},
    {.name = "max_open",
     .type = MR_OPT_INT,
     .at = AT(max_open),
     .unit = "files",
     .value = "1024",
     .min = 1,
     .max = 1048576,
     .help = "most files held open at a time in mode follow; more are read when others have been closed"},
    {0},
};

mr_ms source_now(struct file_source *s)
{
    return s->services->monotonic(s->host);
}

void source_ready(struct file_source *s, struct tail *t)
{
    if (t->ready)
        return;
    t->ready = true;
    t->next_ready = NULL;
    if (s->last_ready)
        s->last_ready->next_ready = t;
    else
        s->first_ready = t;
    s->last_ready = t;
}

/* Length of a path without what rotation puts behind a name: "x.log.12", "x.log-20261122" and "x.log" are one
 * log. */
static size_t stem(const char *path)
{
    size_t len = strlen(path), n = len;
    while (n > 0 && strchr("0123456789.-_", path[n - 1]))
        n--;
    while (n < len && path[n] >= '0' && path[n] <= '9') /* "server1" is a name of its own */
        n++;
    return n && path[n - 1] != '/' ? n : len;
}

/* The next file to read: the queue is fair, but of one log's files the older one is read to its end first, so
 * that lines come in the order in which they were written. */
static struct tail *pop_ready(struct file_source *s)
{
    struct tail *t = s->first_ready, *before = NULL;
    if (!t)
        return NULL;
    size_t len = stem(t->path);
    for (struct tail *o = t; o->next_ready; o = o->next_ready) {
        struct tail *n = o->next_ready;
        if (n->mtime < t->mtime && strncmp(n->path, s->first_ready->path, len) == 0 && stem(n->path) == len) {
            t = n;
            before = o;
        }
    }
    if (before)
        before->next_ready = t->next_ready;
    else
        s->first_ready = t->next_ready;
    if (s->last_ready == t)
        s->last_ready = before;
    t->ready = false;
    t->next_ready = NULL;
    return t;
}

/* The caller has it out of the queue. forget: it is deleted, or everything ends. */
static void drop(struct file_source *s, struct tail *t, bool forget)
{
    for (struct tail **p = &s->files; *p; p = &(*p)->next) {
        if (*p == t) {
            *p = t->next;
            break;
        }
    }
    s->open_files--;
    s->announcing -= t->announce;
    s->full_told = false;
    s->services->count(s->host, "open_files", -1);
    if (t->wd >= 0 && s->notify >= 0)
        discover_unwatch(s, t->wd);
    if (forget || s->stored_count == SOURCE_STORED_MAX) {
        tail_fini(t);
        free(t);
        return;
    }
    (void)close(t->fd); /* should it be come upon again, it goes on where it was */
    t->fd = -1;
    t->announce = false;
    t->next = s->stored;
    s->stored = t;
    s->stored_count++;
}

void source_trouble(struct file_source *s, const char *path, int sys)
{
    const char *why = sys == EINVAL ? "it is not a regular file" : strerror(sys);
    for (uint32_t i = 0; i < s->trouble_count; i++) {
        if (strcmp(s->troubles[i].path, path) != 0)
            continue;
        s->troubles[i].seen = true;
        if (s->troubles[i].sys == sys)
            return;
        s->troubles[i].sys = sys;
        s->services->log(s->host, MR_WARN, "cannot read '%s': %s", path, why);
        return;
    }
    char *copy = s->trouble_count < SOURCE_TROUBLES_MAX ? strdup(path) : NULL;
    if (!copy)
        return; /* not remembered: rather silent than a line each second */
    s->troubles[s->trouble_count++] = (struct trouble){.path = copy, .sys = sys, .seen = true};
    s->services->count(s->host, "files_failed", 1);
    s->services->log(s->host, MR_WARN, "cannot read '%s': %s", path, why);
}

/* ---------------------------------------------------------------- life */

static mr_code check(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct file_source *s = self;
    (void)o;
    if (s->paths.count == 0) {
        mr_fail(err, MR_BADCONF, "'paths' is empty: name at least one file");
        err->option = "paths";
        return MR_BADCONF;
    }
    for (uint32_t i = 0; i < s->paths.count; i++) {
        if (s->paths.v[i].len == 0 || s->paths.v[i].len >= GLOB_PATH_MAX ||
            memchr(s->paths.v[i].p, '\0', s->paths.v[i].len)) {
            mr_fail(err, MR_BADCONF, "a path is 1 to %d bytes long", GLOB_PATH_MAX - 1);
            err->option = "paths";
            return MR_BADCONF;
        }
    }
    return MR_OK;
}

static char **copies(struct mr_strings list)
{
    char **out = calloc(list.count + 1, sizeof *out);
    for (uint32_t i = 0; out && i < list.count; i++) {
        if (!(out[i] = strndup(list.v[i].p, list.v[i].len))) {
            while (i-- > 0)
                free(out[i]);
            free(out);
            return NULL;
        }
    }
    return out;
}

static void keep_positions(struct file_source *s, const struct mr_open *o)
{
    for (uint32_t i = 0; i < o->position_count; i++) {
        struct tail *t = malloc(sizeof *t);
        if (t && tail_parse(o->positions[i].key, o->positions[i].pos, t)) {
            t->next = s->stored;
            s->stored = t;
            s->stored_count++;
        } else {
            free(t);
            s->services->log(s->host, MR_WARN, "a stored position is not readable and is left out: '%.*s'",
                             MR_SLICE_ARG(o->positions[i].pos));
        }
    }
    s->first_start = o->position_count == 0;
}

static mr_code open_source(void *self, const struct mr_open *o, struct mr_err *err)
{
    struct file_source *s = self;
    s->services = o->services;
    s->host = o->host;
    s->notify = -1;
    s->once = s->mode == MODE_ONCE || o->services->once(o->host);
    s->next_check = MR_NEVER;
    s->rules = (struct tail_rules){
        .max_line = s->max_line, .chunk = s->read_chunk, .over_long = s->over_long, .crlf = s->crlf};
    s->patterns = copies(s->paths);
    s->excluded = copies(s->exclude);
    s->spans = malloc(MR_BATCH_ROWS_MAX * sizeof *s->spans);
    if (!s->patterns || !s->excluded || !s->spans)
        return mr_fail(err, MR_MEMORY, "no memory left to open the source");
    keep_positions(s, o);
    mr_code rc = discover_open(s, err);
    if (rc != MR_OK)
        return rc;
    if (s->once ? s->waiting_count == 0 : !s->files) {
        if (s->once && s->trouble_count == 0)
            return mr_fail(err, MR_NOTFOUND, "there is no file '%s'%s to read", s->patterns[0],
                           s->paths.count > 1 ? " (nor any other of 'paths')" : "");
        s->services->log(s->host, s->once ? MR_WARN : MR_INFO, "no file '%s'%s to read yet", s->patterns[0],
                         s->paths.count > 1 ? " (nor any other of 'paths')" : "");
    }
    return MR_OK;
}

static void free_copies(char **list)
{
    for (char **p = list; p && *p; p++)
        free(*p);
    free(list);
}

static void close_source(void *self)
{
    struct file_source *s = self;
    if (!s->services)
        return;
    while (s->files)
        drop(s, s->files, true);
    for (struct tail *next; s->stored; s->stored = next) {
        next = s->stored->next;
        tail_fini(s->stored);
        free(s->stored);
    }
    discover_close(s);
    free_copies(s->patterns);
    free_copies(s->excluded);
    free(s->spans);
}

/* ---------------------------------------------------------------- reading */

static bool is_due(mr_ms since, mr_ms wait, mr_ms now)
{
    return since != MR_NEVER && now - since >= wait;
}

static void check_by(struct file_source *s, mr_ms at)
{
    if (at < s->next_check)
        s->next_check = at;
}

/* Lines that wait for their newline, and files that nobody names any more. */
static void check_quiet(struct file_source *s, mr_ms now)
{
    s->next_check = MR_NEVER;
    for (struct tail *t = s->files; t; t = t->next) {
        if (is_due(t->partial_at, s->flush_after, now) || is_due(t->gone_at, s->rotate_wait, now)) {
            source_ready(s, t);
            continue;
        }
        if (t->partial_at != MR_NEVER)
            check_by(s, t->partial_at + s->flush_after);
        if (t->gone_at != MR_NEVER)
            check_by(s, t->gone_at + s->rotate_wait);
    }
}

static void tell(struct file_source *s, const struct tail *t, const struct tail_news *news)
{
    if (news->over_long)
        s->services->count(s->host, "over_long_lines", news->over_long);
    if (news->truncated) {
        s->services->count(s->host, "truncated_files", 1);
        if (news->unread)
            s->services->count(s->host, "truncated_unread_bytes", news->unread);
        s->services->log(s->host, MR_INFO, "'%s' was truncated and is read from its beginning", t->path);
    }
    if (news->rewritten) {
        s->services->count(s->host, "rewritten_files", 1);
        s->services->log(s->host, MR_INFO, "'%s' has another beginning and is read as a new file", t->path);
    }
}

/* Says which file the batch is of, and where that file stands. */
static mr_code stamp(const struct tail *t, struct mr_batch *b, bool forget, struct mr_err *err)
{
    char key[64], pos[TAIL_POSITION_MAX];
    b->source = mr_slice_copy(b->arena, mr_slice_of(t->path));
    b->pos_key = mr_slice_copy(b->arena, tail_key(t, key, sizeof key));
    if (forget)
        b->pos = (struct mr_slice){NULL, 0};
    else
        b->pos = mr_slice_copy(b->arena, tail_position(t, pos, sizeof pos));
    if (!b->source.p || !b->pos_key.p || (!forget && (!b->pos.p || b->pos.len == 0)))
        return mr_fail(err, MR_LIMIT, "the batch has no room for the position of '%s'", t->path);
    return MR_OK;
}

/* One file's turn. MR_OK: b is to be handed out. MR_AGAIN: no event of it. */
static mr_code turn(struct file_source *s, struct tail *t, struct mr_batch *b, mr_ms now, struct mr_err *err)
{
    struct tail_news news;
    int64_t offset = t->offset, partial = t->partial;
    bool leaving = is_due(t->gone_at, s->rotate_wait, now);
    bool flush = s->once || leaving || is_due(t->partial_at, s->flush_after, now);

    mr_code rc = tail_fill(t, &s->rules, s->services, b, flush, s->spans, &news, err);
    tell(s, t, &news);
    if (rc == MR_IO && !s->once) {
        if (!t->failing)
            s->services->log(s->host, MR_ERROR, "%s; it is tried again", err->text);
        t->failing = true;
        check_by(s, now + s->rescan);
        return MR_AGAIN; /* the next scan puts it back into the queue */
    }
    if (rc != MR_OK && rc != MR_AGAIN)
        return rc;
    t->failing = false;

    bool moved = t->offset != offset || t->partial != partial;
    if (t->partial == 0 || t->skip) {
        t->partial_at = MR_NEVER;
    } else if (moved || t->partial_at == MR_NEVER) {
        t->partial_at = now;
        check_by(s, now + s->flush_after);
    }
    if (t->gone_at != MR_NEVER && moved) {
        t->gone_at = now;
        check_by(s, now + s->rotate_wait);
    }
    t->verify = !news.more; /* whoever comes back to it looks who it is */
    if (rc == MR_OK) {
        if (news.more || s->once)
            source_ready(s, t);
        return stamp(t, b, false, err);
    }
    if (news.more || (moved && s->once)) {
        source_ready(s, t);
    } else if (s->once || (leaving && !moved)) { /* D2 */
        struct stat st;
        bool deleted = fstat(t->fd, &st) == 0 && st.st_nlink == 0;
        if (deleted)
            rc = stamp(t, b, true, err);
        drop(s, t, deleted);
    }
    return rc;
}

/* Tells the host of files before anything of them is read, so that they are found again after a crash,
 * whatever they are called then. Oldest first: what a later start does not know is then younger than all it
 * knows. */
static mr_code announce(struct file_source *s, struct mr_batch *b, struct mr_err *err)
{
    struct tail *oldest = NULL;
    for (struct tail *t = s->files; t; t = t->next) {
        if (t->announce &&
            (!oldest || t->mtime < oldest->mtime || (t->mtime == oldest->mtime && t->gone_at != MR_NEVER)))
            oldest = t;
    }
    if (!oldest) {
        s->announcing = 0;
        return MR_AGAIN;
    }
    oldest->announce = false;
    s->announcing--;
    return stamp(oldest, b, false, err);
}

/* Positions of files that are no more. */
static mr_code forget(struct file_source *s, struct mr_batch *b, struct mr_err *err)
{
    for (struct tail **p = &s->stored; *p; p = &(*p)->next) {
        struct tail *t = *p;
        if (!t->announce)
            continue;
        mr_code rc = stamp(t, b, true, err);
        *p = t->next;
        s->stored_count--;
        s->forgetting--;
        tail_fini(t);
        free(t);
        return rc;
    }
    s->forgetting = 0;
    return MR_AGAIN;
}

static mr_code read_source(void *self, struct mr_batch *b, struct mr_err *err)
{
    struct file_source *s = self;
    mr_code rc;
    if (s->notify >= 0)
        discover_notified(s);
    mr_ms now = source_now(s);
    if (!s->once && now >= s->next_scan && (rc = discover_scan(s, err)) != MR_OK)
        return rc;
    if (now >= s->next_check)
        check_quiet(s, now);
    if (s->announcing && (rc = announce(s, b, err)) != MR_AGAIN)
        return rc;
    if (s->forgetting && (rc = forget(s, b, err)) != MR_AGAIN)
        return rc;

    for (int turns = 0; turns < TURNS_MAX; turns++) {
        struct tail *t = pop_ready(s);
        if (!t && s->once) {
            if ((rc = discover_next(s, err)) != MR_OK)
                return rc;
            continue;
        }
        if (!t) {
            s->services->timer(s->host, s->next_scan < s->next_check ? s->next_scan : s->next_check);
            return MR_AGAIN;
        }
        if ((rc = turn(s, t, b, now, err)) != MR_AGAIN)
            return rc;
    }
    s->services->wake(s->host);
    return MR_AGAIN;
}

static const char doc[] =
    "Reads text files line by line; each line becomes an event with the field `message`. `m.source` is the "
    "path, `m.offset` the byte at which the line begins. A batch comes from one file.\n"
    "\n"
    "**Which files.** The patterns in `paths` are walked every `rescan`, and directories and files are "
    "watched "
    "with inotify, so that new lines and new files are noticed at once; where inotify is not to be had, "
    "`rescan` alone finds them. `**` stands for any number of directories, follows no links to directories "
    "and "
    "goes 32 deep. A file is known by device, inode and a hash of its first 1,024 bytes, not by its name: "
    "two "
    "names of one inode are one file, two files that begin alike are two, and an inode that was given to a "
    "new "
    "file is a new file.\n"
    "\n"
    "**Rotation.** A file that was renamed or deleted stays open until it was read to its end and was quiet "
    "for "
    "`rotate_wait`. Files that were renamed while millrace was not running are looked for by their inode in "
    "the "
    "directory they were in, and files that came and went in between are found by name (`app.log` -> "
    "`app.log.*`, `app.log-*`, not compressed) and age. A file that became shorter (`copytruncate`) is read "
    "from its beginning; what was written between the last read and the truncation is lost by the nature of "
    "that method: `truncated_unread_bytes` counts what is known of it. Prefer renaming.\n"
    "\n"
    "**Lines** end with a newline; a carriage return before it is left out (`crlf`). A last line without "
    "newline "
    "becomes an event after `flush_after`, at the end of a file that is closed, and in `once`; what comes "
    "behind "
    "it later is an event of its own. Bytes are kept as they are, whatever encoding they are in. Empty lines "
    "are "
    "events.\n"
    "\n"
    "**Positions** are stored when every output has taken the events. After a crash, lines that were read "
    "and "
    "not yet taken are read again; none is left out.\n"
    "\n"
    "**Order.** Files take turns, `read_chunk` bytes each. In `once` they are read one after the other, the "
    "one "
    "that was written to longest ago first. In `once`, a pattern that names nothing at all is an error.\n"
    "\n"
    "Counters: `open_files`, `rotated_files`, `truncated_files`, `truncated_unread_bytes`, "
    "`rewritten_files`, "
    "`over_long_lines`, `files_failed`, `inotify_overflows`.\n"
    "\n"
    "```yaml\n"
    "from:\n"
    "  file:\n"
    "    paths: [/var/log/nginx/access*.log]\n"
    "    exclude: ['*.gz']\n"
    "    start: tail\n"
    "```\n";

const struct mr_component file_source_component = {
    .size = sizeof(struct mr_component),
    .kind = MR_SOURCE,
    .name = "file",
    .summary = "Follow text files through rotation, or read them once, line by line.",
    .doc = doc,
    .self_size = sizeof(struct file_source),
    .options = options,
    .check = check,
    .open = open_source,
    .close = close_source,
    .read = read_source,
    .traits = MR_REPLAYS,
};
