/* glob.h - paths with wildcards: does a path match, and which paths are there.
 *
 * A pattern is cut at '/'. In one part '*', '?' and '[...]' work as in a shell and do not match a leading
 * dot; a part that is '**' stands for any number of directories, none included. '**' follows no symbolic
 * links to directories, enters no hidden ones, and goes GLOB_DEPTH_MAX deep.
 */
#ifndef FILE_GLOB_H
#define FILE_GLOB_H

#include <millrace/types.h>
#include <sys/stat.h>

enum { GLOB_DEPTH_MAX = 32, GLOB_PATH_MAX = 4096 };

struct glob_visit {
    /* A directory is about to be listed: watch it first, and nothing made in it later is missed. */
    void (*dir)(void *arg, const char *path);
    /* Something that is no directory; st follows symbolic links. */
    void (*file)(void *arg, const char *path, const struct stat *st);
    /* A place that could not be looked at; sys is errno. A path that is not there is no failure. */
    void (*failed)(void *arg, const char *path, int sys);
    void *arg;
};

bool glob_is_plain(const char *pattern); /* no wildcard in it */
bool glob_match(const char *pattern, const char *path);
/* Walks the file system. Order: as directories list. Cost: every directory on the pattern's way. */
void glob_walk(const char *pattern, const struct glob_visit *v);

#endif
