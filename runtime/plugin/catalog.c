/* catalog.c - every component there is, sorted; shared objects let in at the door.
 *
 * A shared object is somebody else's code: before anything of it runs, its file is looked over (a cut-off one
 * would end the process with a bus error inside dlopen), then its one symbol is asked, then abi and size are
 * read, and only then the rest. Components are copied into full-size structs, so that one built before a
 * callback was added at the end simply does not have it.
 */
#include "plugin/catalog.h"

#include "base/mem.h"
#include "plugin/catalog_inside.h"
#include "plugin/lua_host.h"

#include <dirent.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CATALOG_ENTRIES_MAX = 4096,
    /* what a component of the first build of this ABI had */
    COMPONENT_SIZE_MIN = offsetof(struct mr_component, snapshot),
    PLUGIN_SIZE_MIN = offsetof(struct mr_plugin, components) + sizeof(void *),
};

struct library {
    struct library *next;
    void *handle; /* of dlopen; NULL for Lua */
    char *path, *name, *version;
    struct mr_component *copies; /* [count] */
    void *lua;                   /* of a Lua file */
    void (*lua_free)(void *);
};

struct mr_catalog {
    struct mr_catalog_entry *v;
    size_t count, room;
    struct library *libraries;
};

static const char *kind_name(enum mr_kind kind)
{
    return kind == MR_SOURCE ? "source" : kind == MR_PROCESSOR ? "processor" : kind == MR_SINK ? "sink" : "?";
}

static int compare(enum mr_kind kind, struct mr_slice name, const struct mr_component *c)
{
    if (kind != c->kind)
        return kind < c->kind ? -1 : 1;
    size_t len = strlen(c->name), both = name.len < len ? name.len : len;
    int d = both ? memcmp(name.p, c->name, both) : 0;
    return d ? d : name.len < len ? -1 : name.len > len;
}

/* Index of the first entry that is not before (kind, name). */
static size_t place(const struct mr_catalog *c, enum mr_kind kind, struct mr_slice name)
{
    size_t lo = 0, hi = c->count;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (compare(kind, name, c->v[mid].component) > 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

const struct mr_catalog_entry *mr_catalog_find(const struct mr_catalog *c, enum mr_kind kind,
                                               const char *name, size_t len)
{
    struct mr_slice want = {name, len};
    size_t i = place(c, kind, want);
    return i < c->count && compare(kind, want, c->v[i].component) == 0 ? &c->v[i] : NULL;
}

size_t mr_catalog_count(const struct mr_catalog *c)
{
    return c->count;
}

const struct mr_catalog_entry *mr_catalog_at(const struct mr_catalog *c, size_t i)
{
    return i < c->count ? &c->v[i] : NULL;
}

static mr_code insert(struct mr_catalog *c, struct mr_catalog_entry e, struct mr_err *err)
{
    struct mr_slice name = mr_slice_of(e.component->name);
    const struct mr_catalog_entry *was = mr_catalog_find(c, e.component->kind, name.p, name.len);
    if (was)
        return mr_fail(err, MR_EXISTS, "%s '%s' is there already, from %s '%s': take one of the two away",
                       kind_name(e.component->kind), name.p, was->path ? "file" : "plugin",
                       was->path ? was->path : was->plugin);
    if (c->count == CATALOG_ENTRIES_MAX)
        return mr_fail(err, MR_LIMIT, "more than %d components", CATALOG_ENTRIES_MAX);
    if (c->count == c->room) {
        size_t room = c->room ? c->room * 2 : 64;
        struct mr_catalog_entry *v = mr_realloc(c->v, room * sizeof *v);
        if (!v)
            return mr_fail(err, MR_MEMORY, "no memory for a component");
        c->v = v;
        c->room = room;
    }
    size_t i = place(c, e.component->kind, name);
    memmove(&c->v[i + 1], &c->v[i], (c->count - i) * sizeof *c->v);
    c->v[i] = e;
    c->count++;
    return MR_OK;
}

static void drop_path(struct mr_catalog *c, const char *path)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->count; i++)
        if (c->v[i].path != path)
            c->v[kept++] = c->v[i];
    c->count = kept;
}

static void library_free(struct library *l)
{
    if (!l)
        return;
    mr_free(l->copies);
    if (l->lua_free)
        l->lua_free(l->lua);
    mr_free(l->name);
    mr_free(l->version);
    mr_free(l->path);
    if (l->handle)
        (void)dlclose(l->handle);
    mr_free(l);
}

mr_code mr_catalog_new(struct mr_catalog **out, struct mr_err *err)
{
    struct mr_catalog *c = mr_alloc(sizeof *c);
    if (!c)
        return mr_fail(err, MR_MEMORY, "no memory for the catalog");
    mr_code rc = mr_catalog_add(c, &mr_lua_step, err);
    if (rc) {
        mr_catalog_free(c);
        return rc;
    }
    *out = c;
    return MR_OK;
}

void mr_catalog_free(struct mr_catalog *c)
{
    if (!c)
        return;
    while (c->libraries) {
        struct library *l = c->libraries;
        c->libraries = l->next;
        library_free(l);
    }
    mr_free(c->v);
    mr_free(c);
}

mr_code mr_catalog_add(struct mr_catalog *c, const struct mr_component *component, struct mr_err *err)
{
    return insert(c, (struct mr_catalog_entry){component, "millrace", "built in", NULL}, err);
}

/* ---------------------------------------------------------------- shared objects */

/* Is every byte that the loader will touch within the file? dlopen maps first and looks later. */
static mr_code look_over(const char *path, struct mr_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        int why = errno;
        mr_code rc = mr_fail(err, why == ENOENT ? MR_NOTFOUND : MR_IO, "cannot open plugin '%s': %s", path,
                             strerror(why));
        if (err)
            err->sys = why;
        return rc;
    }
    struct stat st;
    ElfW(Ehdr) head;
    mr_code rc = MR_OK;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        rc = mr_fail(err, MR_BADABI, "plugin '%s' is not a regular file", path);
    } else if (pread(fd, &head, sizeof head, 0) != (ssize_t)sizeof head ||
               memcmp(head.e_ident, ELFMAG, SELFMAG) != 0) {
        rc = mr_fail(err, MR_BADABI, "plugin '%s' is not a shared object: build it with cc -shared -fPIC",
                     path);
    } else if (head.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
               head.e_type != ET_DYN || head.e_phentsize != sizeof(ElfW(Phdr))) {
        rc = mr_fail(err, MR_BADABI, "plugin '%s' is for another kind of machine: build it here", path);
    } else {
        uint64_t need = head.e_phoff + (uint64_t)head.e_phnum * head.e_phentsize;
        for (unsigned i = 0; i < head.e_phnum && need <= (uint64_t)st.st_size; i++) {
            ElfW(Phdr) p;
            if (pread(fd, &p, sizeof p, (off_t)(head.e_phoff + i * sizeof p)) != (ssize_t)sizeof p) {
                need = UINT64_MAX;
            } else if (p.p_type == PT_LOAD || p.p_type == PT_DYNAMIC) {
                uint64_t end = p.p_offset + p.p_filesz;
                need = end < p.p_offset ? UINT64_MAX : end > need ? end : need;
            }
        }
        if (need > (uint64_t)st.st_size)
            rc = mr_fail(err, MR_BADABI, "plugin '%s' is cut off at %lld bytes: copy or build it again", path,
                         (long long)st.st_size);
    }
    (void)close(fd);
    return rc;
}

/* What a component must have before anyone calls it. */
mr_code mr_component_sane(const struct mr_component *c, const char *path, struct mr_err *err)
{
    if (!c->name || !c->name[0])
        return mr_fail(err, MR_BADABI, "plugin '%s': a component has no name", path);
    if (c->kind != MR_SOURCE && c->kind != MR_PROCESSOR && c->kind != MR_SINK)
        return mr_fail(err, MR_BADABI, "plugin '%s': component '%s' is of kind %d, which does not exist",
                       path, c->name, (int)c->kind);
    const char *lacks = c->kind == MR_SOURCE && !c->read                ? "read"
                        : c->kind == MR_PROCESSOR && !c->process        ? "process"
                        : c->kind == MR_SINK && !c->write               ? "write"
                        : (c->snapshot == NULL) != (c->restore == NULL) ? "snapshot or restore (both or none)"
                                                                        : NULL;
    if (lacks)
        return mr_fail(err, MR_BADABI, "plugin '%s': %s '%s' has no %s", path, kind_name(c->kind), c->name,
                       lacks);
    return MR_OK;
}

static mr_code admit(struct mr_catalog *c, struct library *l, const struct mr_plugin *p, struct mr_err *err)
{
    /* Before anything else: abi and size, the two words whose place is for ever. */
    if (p->abi != MR_ABI)
        return mr_fail(err, MR_BADABI,
                       "plugin '%s' was built for ABI %u, this millrace has ABI %d: rebuild it against "
                       "<millrace/plugin.h> of this version",
                       l->path, p->abi, MR_ABI);
    if (p->size < PLUGIN_SIZE_MIN || p->size > 64 * sizeof *p)
        return mr_fail(err, MR_BADABI,
                       "plugin '%s': struct mr_plugin of %u bytes, expected %zu: rebuild it against "
                       "<millrace/plugin.h> of this version",
                       l->path, p->size, sizeof *p);
    if (!p->name || !p->version || !p->components)
        return mr_fail(err, MR_BADABI, "plugin '%s' lacks a name, a version or components", l->path);
    size_t n = 0;
    while (n < CATALOG_ENTRIES_MAX && p->components[n])
        n++;
    l->name = mr_strndup(p->name, strlen(p->name));
    l->version = mr_strndup(p->version, strlen(p->version));
    l->copies = mr_alloc((n + 1) * sizeof *l->copies);
    if (!l->copies || !l->name || !l->version)
        return mr_fail(err, MR_MEMORY, "no memory for plugin '%s'", l->path);
    for (size_t i = 0; i < n; i++) {
        const struct mr_component *in = p->components[i];
        if (in->size < COMPONENT_SIZE_MIN)
            return mr_fail(err, MR_BADABI,
                           "plugin '%s': struct mr_component of %u bytes, expected %zu: rebuild it against "
                           "<millrace/plugin.h> of this version",
                           l->path, in->size, sizeof *in);
        memcpy(&l->copies[i], in, in->size < sizeof *in ? in->size : sizeof *in);
        l->copies[i].size = sizeof *in;
        mr_code rc = mr_component_sane(&l->copies[i], l->path, err);
        if (!rc)
            rc = insert(c, (struct mr_catalog_entry){&l->copies[i], l->name, l->version, l->path}, err);
        if (rc)
            return rc;
    }
    return MR_OK;
}

mr_code mr_catalog_load(struct mr_catalog *c, const char *path, struct mr_err *err)
{
    mr_code rc = look_over(path, err);
    if (rc)
        return rc;
    struct library *l = mr_alloc(sizeof *l);
    /* a name without a slash would be searched in the system's folders */
    char full[4096];
    int len = snprintf(full, sizeof full, "%s%s", strchr(path, '/') ? "" : "./", path);
    if (!l || len < 0 || (size_t)len >= sizeof full || !(l->path = mr_strndup(path, strlen(path)))) {
        library_free(l);
        return mr_fail(err, MR_MEMORY, "no memory for plugin '%s'", path);
    }
    const struct mr_plugin *(*entry)(void) = NULL;
    l->handle = dlopen(full, RTLD_NOW | RTLD_LOCAL);
    if (!l->handle) {
        const char *why = dlerror();
        rc = mr_fail(err, MR_BADABI, "cannot load plugin '%s': %s", path, why ? why : "no reason given");
    } else {
        void *symbol = dlsym(l->handle, "mr_plugin_entry");
        memcpy(&entry, &symbol, sizeof entry);
        const struct mr_plugin *p = entry ? entry() : NULL;
        if (!p)
            rc = mr_fail(err, MR_BADABI,
                         "'%s' has no mr_plugin_entry: it is no plugin of millrace, or MR_PLUGIN(...) was "
                         "forgotten",
                         path);
        else
            rc = admit(c, l, p, err);
    }
    if (rc) {
        drop_path(c, l->path);
        library_free(l);
        return rc;
    }
    l->next = c->libraries;
    c->libraries = l;
    return MR_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void mr_catalog_load_dir(struct mr_catalog *c, const char *dir,
                         void (*told)(void *arg, const struct mr_err *err), void *arg)
{
    enum { FILES_MAX = 1024 };
    struct mr_err err;
    DIR *d = opendir(dir);
    if (!d) {
        if (errno != ENOENT) {
            mr_fail(&err, MR_IO, "cannot read plugin folder '%s': %s", dir, strerror(errno));
            if (told)
                told(arg, &err);
        }
        return;
    }
    char *names[FILES_MAX];
    size_t n = 0;
    for (struct dirent *e; (e = readdir(d));) {
        size_t len = strlen(e->d_name);
        if (len < 4 || strcmp(e->d_name + len - 3, ".so") != 0)
            continue;
        if (n == FILES_MAX) {
            mr_fail(&err, MR_LIMIT, "more than %d plugins in '%s'", FILES_MAX, dir);
            if (told)
                told(arg, &err);
            break;
        }
        names[n] = mr_strndup(e->d_name, len);
        n += names[n] != NULL;
    }
    (void)closedir(d);
    qsort(names, n, sizeof *names, by_name); /* the same order on every machine */
    for (size_t i = 0; i < n; i++) {
        char path[4096];
        int len = snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        mr_code rc = len > 0 && (size_t)len < sizeof path
                         ? mr_catalog_load(c, path, &err)
                         : mr_fail(&err, MR_LIMIT, "the path of plugin '%s' is too long", names[i]);
        if (rc && told)
            told(arg, &err);
        mr_free(names[i]);
    }
}

/* ---------------------------------------------------------------- Lua files */

static void free_file(void *f)
{
    mr_lua_file_free(f);
}

mr_code mr_catalog_load_lua(struct mr_catalog *c, const char *path, struct mr_err *err)
{
    struct mr_lua_file *f = NULL;
    mr_code rc = mr_lua_file_load(path, &f, err);
    if (rc)
        return rc;
    struct library *l = mr_alloc(sizeof *l);
    if (l) {
        l->path = mr_strndup(path, strlen(path));
        l->lua = f;
        l->lua_free = free_file;
    }
    if (!l || !l->path) {
        if (!l)
            mr_lua_file_free(f);
        library_free(l);
        return mr_fail(err, MR_MEMORY, "no memory for '%s'", path);
    }
    rc = insert(c, (struct mr_catalog_entry){mr_lua_file_component(f), "lua", "script", l->path}, err);
    if (rc) {
        library_free(l);
        return rc;
    }
    l->next = c->libraries;
    c->libraries = l;
    return MR_OK;
}
