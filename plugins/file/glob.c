/* glob.c - see glob.h. */
#include "glob.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>

struct part {
    const char *p;
    size_t len;
};

/* The next part of a path, empty parts ("a//b") left out. */
static bool next_part(const char **at, struct part *out)
{
    while (**at == '/')
        (*at)++;
    if (!**at)
        return false;
    out->p = *at;
    out->len = strcspn(*at, "/");
    *at += out->len;
    return true;
}

static bool is_deep(struct part p)
{
    return p.len == 2 && p.p[0] == '*' && p.p[1] == '*';
}

static bool is_wild(struct part p)
{
    for (size_t i = 0; i < p.len; i++) {
        if (strchr("*?[", p.p[i]))
            return true;
    }
    return false;
}

/* "**" after "**" stands for nothing more, and would cost a walk each. */
static const char *behind_deep(const char *rest)
{
    struct part next;
    for (const char *at = rest; next_part(&at, &next) && is_deep(next);)
        rest = at;
    return rest;
}

static bool part_matches(struct part pattern, const char *name, size_t name_len)
{
    char a[256], b[256];
    if (pattern.len >= sizeof a || name_len >= sizeof b)
        return false;
    memcpy(a, pattern.p, pattern.len);
    a[pattern.len] = '\0';
    memcpy(b, name, name_len);
    b[name_len] = '\0';
    return fnmatch(a, b, FNM_PERIOD) == 0;
}

bool glob_is_plain(const char *pattern)
{
    return !strpbrk(pattern, "*?[");
}

static bool match_from(const char *pattern, const char *path, int depth)
{
    struct part want, have;
    const char *rest = pattern;
    if (!next_part(&rest, &want)) {
        const char *left = path;
        return !next_part(&left, &have);
    }
    if (is_deep(want)) {
        rest = behind_deep(rest);
        for (const char *at = path; depth < GLOB_DEPTH_MAX; depth++) {
            if (match_from(rest, at, depth + 1))
                return true;
            if (!next_part(&at, &have) || have.p[0] == '.')
                return false;
        }
        return false;
    }
    const char *left = path;
    return next_part(&left, &have) && part_matches(want, have.p, have.len) && match_from(rest, left, depth);
}

bool glob_match(const char *pattern, const char *path)
{
    return (pattern[0] == '/') == (path[0] == '/') && match_from(pattern, path, 0);
}

struct walk {
    const struct glob_visit *v;
    char path[GLOB_PATH_MAX];
};

static void walk_from(struct walk *w, size_t len, const char *pattern, int depth);

static void failed(struct walk *w, int sys)
{
    if (sys != ENOENT)
        w->v->failed(w->v->arg, w->path, sys);
}

/* Puts name behind path[0, len); the new length, 0 when there is no room. */
static size_t join(struct walk *w, size_t len, const char *name, size_t name_len)
{
    bool slash = len > 0 && w->path[len - 1] != '/';
    if (len + slash + name_len + 1 > sizeof w->path) {
        failed(w, ENAMETOOLONG);
        return 0;
    }
    if (slash)
        w->path[len++] = '/';
    memcpy(w->path + len, name, name_len);
    w->path[len + name_len] = '\0';
    return len + name_len;
}

/* path[0, len) was reached and `pattern` is what is left of the pattern. */
static void reached(struct walk *w, size_t len, const char *pattern, int depth)
{
    struct stat st;
    struct part more;
    const char *rest = pattern;
    if (next_part(&rest, &more)) {
        walk_from(w, len, pattern, depth + 1);
    } else if (stat(w->path, &st) != 0) {
        failed(w, errno);
    } else if (!S_ISDIR(st.st_mode)) {
        w->v->file(w->v->arg, w->path, &st);
    }
}

static void list(struct walk *w, size_t len, struct part want, const char *pattern, const char *rest,
                 int depth)
{
    const char *name = len ? w->path : ".";
    w->v->dir(w->v->arg, name);
    DIR *dir = opendir(name);
    if (!dir) {
        failed(w, errno);
        return;
    }
    bool deep = is_deep(want);
    for (struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        size_t name_len = strlen(e->d_name), full;
        if (deep ? e->d_name[0] == '.' : !part_matches(want, e->d_name, name_len))
            continue;
        if (!(full = join(w, len, e->d_name, name_len)))
            continue;
        if (deep) {
            struct stat st;
            if (e->d_type == DT_DIR ||
                (e->d_type == DT_UNKNOWN && lstat(w->path, &st) == 0 && S_ISDIR(st.st_mode)))
                walk_from(w, full, pattern, depth + 1);
        } else {
            reached(w, full, rest, depth);
        }
        w->path[len] = '\0';
    }
    (void)closedir(dir);
}

static void walk_from(struct walk *w, size_t len, const char *pattern, int depth)
{
    struct part want, next;
    const char *rest = pattern;
    if (!next_part(&rest, &want))
        return;
    if (depth > GLOB_DEPTH_MAX) {
        failed(w, ELOOP);
        return;
    }
    if (is_deep(want)) { /* none of the directories it stands for, then one more, and so on */
        rest = behind_deep(rest);
        const char *last = rest;
        if (next_part(&last, &next))
            walk_from(w, len, rest, depth + 1);
        w->path[len] = '\0';
        list(w, len, want, pattern, rest, depth);
    } else if (is_wild(want)) {
        list(w, len, want, pattern, rest, depth);
    } else {
        const char *last = rest;
        size_t full;
        if (!next_part(&last, &next)) /* the file itself: its directory tells when it comes */
            w->v->dir(w->v->arg, len ? w->path : ".");
        if ((full = join(w, len, want.p, want.len)))
            reached(w, full, rest, depth);
        w->path[len] = '\0';
    }
}

void glob_walk(const char *pattern, const struct glob_visit *v)
{
    struct walk *w = malloc(sizeof *w);
    if (!w) {
        v->failed(v->arg, pattern, ENOMEM);
        return;
    }
    w->v = v;
    w->path[0] = '\0';
    size_t len = 0;
    if (pattern[0] == '/') {
        memcpy(w->path, "/", 2);
        len = 1;
    }
    walk_from(w, len, pattern, 0);
    free(w);
}
