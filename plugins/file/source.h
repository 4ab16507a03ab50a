/* source.h - what source.c (reading, positions) and discover.c (which files there are) share. */
#ifndef FILE_SOURCE_H
#define FILE_SOURCE_H

#include "tail.h"

enum {
    SOURCE_MOVES_MAX = 64,     /* renames followed between two looks */
    SOURCE_TROUBLES_MAX = 256, /* paths whose failure was told, so that it is not told again */
    SOURCE_STORED_MAX = 65536, /* files that were read and closed, and would be known again */
    SOURCE_DIRS_MAX = 4096     /* directories watched; more are looked at by rescans only */
};

enum { MODE_FOLLOW, MODE_ONCE };
enum { START_HEAD, START_TAIL };

struct dir_watch {
    int wd;
    bool seen;
    char *path;
};

struct trouble {
    char *path;
    int sys;
    bool seen;
};

/* A rename that was seen, of a file that was not looked at yet. */
struct move {
    char *now, *as; /* its name, and the one under which it was written */
};

/* once: a file whose turn will come */
struct waiting {
    char *path, *as;
    uint64_t dev, ino;
    int64_t mtime;    /* ns */
    bool only_stored; /* read it only when it is the file of a position of the last run */
};

struct file_source {
    /* options */
    struct mr_strings paths, exclude;
    int mode, start, over_long;
    int64_t max_line, read_chunk, max_open;
    mr_ms rescan, rotate_wait, flush_after;
    bool crlf;

    const struct mr_services *services;
    struct mr_host *host;
    struct tail_rules rules;
    struct tail_span *spans;
    char **patterns, **excluded; /* NUL-terminated copies */

    struct tail *files; /* open ones */
    int64_t open_files;
    uint32_t announcing; /* files whose position the host has not heard of */
    struct tail *first_ready, *last_ready;
    struct tail *stored; /* positions of files that are not open, given back at open or kept since: fd -1 */
    uint32_t stored_count;
    uint32_t forgetting; /* of those, marked `announce`: positions that the host may forget */
    struct waiting *waiting;
    size_t waiting_count, waiting_cap, waiting_at;

    int notify; /* inotify; -1: rescans alone */
    struct dir_watch *dirs;
    uint32_t dir_count;
    struct move moves[SOURCE_MOVES_MAX];
    uint32_t move_count;
    uint32_t move_cookie; /* of the half of a rename that was seen ... */
    char *move_from;      /* ... when it was of a file of ours */
    struct trouble troubles[SOURCE_TROUBLES_MAX];
    uint32_t trouble_count;

    bool once, first_scan, first_start, full_told, look_for_missed;
    mr_ms next_scan, scan_not_before, next_check;
    struct mr_err scan_err; /* a failure inside the walk that must end the source */
};

mr_code discover_open(struct file_source *s, struct mr_err *err); /* inotify, and the first scan */
void discover_close(struct file_source *s);
void discover_notified(struct file_source *s); /* empties the inotify queue */
mr_code discover_scan(struct file_source *s, struct mr_err *err);
/* once: opens the next waiting file. MR_END: there is none. */
mr_code discover_next(struct file_source *s, struct mr_err *err);

void discover_unwatch(struct file_source *s, int wd);

void source_ready(struct file_source *s, struct tail *t);
mr_ms source_now(struct file_source *s);
/* Tells once for each path and errno. */
void source_trouble(struct file_source *s, const char *path, int sys);

#endif
