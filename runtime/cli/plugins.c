/* plugins.c - `millrace plugins`: what pipelines are made of, components and formats, from the option tables.
 */
#include "cli/cli.h"

#include "base/buf.h"
#include "base/text.h"
#include "data/format.h"
#include "plugin/option.h"

#include <limits.h>

static const char *kind_of(const struct mr_component *c)
{
    return c->kind == MR_SOURCE ? "source" : c->kind == MR_SINK ? "sink" : "processor";
}

static void list(const struct mr_catalog *c)
{
    static const struct {
        enum mr_kind kind;
        const char *title;
    } parts[] = {
        {MR_SOURCE, "sources (from)"}, {MR_PROCESSOR, "processors (steps)"}, {MR_SINK, "sinks (to)"}};
    for (size_t k = 0; k < 3; k++) {
        (void)printf("%s%s\n", k ? "\n" : "", parts[k].title);
        for (size_t i = 0; i < mr_catalog_count(c); i++) {
            const struct mr_catalog_entry *e = mr_catalog_at(c, i);
            if (e->component->kind == parts[k].kind)
                (void)printf("  %-14s %s\n", e->component->name, e->component->summary);
        }
    }
    (void)printf("\nformats (parse, codec)\n");
    for (const struct mr_format *const *f = mr_formats(); *f; f++)
        (void)printf("  %-14s %s\n", (*f)->name, (*f)->summary);
    (void)printf("\n`millrace plugins NAME` tells the options of one.\n");
}

/* What a component and a format have in common on paper. */
struct page {
    const char *name, *kind, *from, *summary, *doc;
    const struct mr_option *options;
};

static bool print_one(const struct page *p, bool markdown)
{
    struct mr_buf out = {0};
    bool listed = p->options && p->options->name, ok;
    if (markdown)
        ok = mr_buf_printf(&out, "# `%s` (%s)\n\n%s\n", p->name, p->kind, p->summary);
    else
        ok = mr_buf_printf(&out, "%s %s (%s)\n\n%s\n", p->kind, p->name, p->from, p->summary);
    if (ok && p->doc)
        ok = mr_buf_printf(&out, "\n%s\n", p->doc);
    if (ok && listed && markdown)
        ok = mr_buf_puts(&out, "\n## Options\n\n") && mr_options_markdown(p->options, &out);
    else if (ok && listed)
        ok = mr_buf_puts(&out, "\noptions\n") && mr_options_help(p->options, &out);
    if (ok)
        (void)fwrite(out.p, 1, out.len, stdout);
    mr_buf_fini(&out);
    return ok;
}

static struct page page_of(const struct mr_catalog_entry *e, char *from, size_t from_size)
{
    const struct mr_component *c = e->component;
    (void)snprintf(from, from_size, "%s %s%s%s", e->plugin, e->version, e->path ? ", " : "",
                   e->path ? e->path : "");
    return (struct page){c->name, kind_of(c), from, c->summary, c->doc, c->options};
}

/* One by name, a component and a format of one name both; all without a name. */
static int show(const struct mr_catalog *c, const char *name, bool markdown)
{
    const char *names[1024];
    char from[PATH_MAX + 256];
    size_t count = 0;
    bool found = false, ok = true;
    size_t components = mr_catalog_count(c);
    const struct mr_format *const *formats = mr_formats();
    for (size_t i = 0; i < components || formats[i - components]; i++) {
        const struct mr_format *f = i < components ? NULL : formats[i - components];
        struct page p = f ? (struct page){f->name, "format", "built in", f->summary, f->doc, f->options}
                          : page_of(mr_catalog_at(c, i), from, sizeof from);
        if (count < sizeof names / sizeof names[0])
            names[count++] = p.name;
        if (name && strcmp(name, p.name) != 0)
            continue;
        if (found)
            (void)fputc('\n', stdout);
        found = true;
        ok = ok && print_one(&p, markdown);
    }
    if (!ok)
        return MR_EXIT_FAILED;
    return found ? MR_EXIT_OK : mr_cli_unknown("component or format", name, names, count, "millrace plugins");
}

static int check(const char *path)
{
    struct mr_buf out = {0};
    bool good = mr_catalog_check(path, &out);
    (void)fwrite(out.p ? out.p : "", 1, out.len, stdout);
    mr_buf_fini(&out);
    return good ? MR_EXIT_OK : MR_EXIT_FAILED;
}

static int plugins(const struct mr_verb *v, int argc, char **argv)
{
    const char *name = NULL, *dir = NULL, *so = NULL;
    bool markdown = false;
    size_t count;
    int code;
    struct mr_err err = {0};
    struct mr_catalog *catalog = NULL;
    const struct mr_flag flags[] = {
        {"markdown", NULL, "the reference page of NAME, or of all there is", &markdown, NULL},
        {"check", "FILE.so", "runs the conformance test on a shared object", NULL, &so},
        {"plugins", "DIR", "further plugins (*.so)", NULL, &dir},
        {0},
    };
    if (!mr_cli_options(v, flags, argc, argv, &name, 1, &count, &code))
        return code;
    if (so)
        return check(so);
    if (mr_cli_catalog(dir, NULL, 0, &catalog, &err)) {
        mr_cli_error(&err);
        return MR_EXIT_FAILED;
    }
    if (count || markdown)
        code = show(catalog, count ? name : NULL, markdown);
    else
        list(catalog);
    mr_catalog_free(catalog);
    return code;
}

const struct mr_verb mr_verb_plugins = {
    .name = "plugins",
    .usage = "plugins [NAME]",
    .summary = "lists sources, processors, sinks and formats; tells the options of one",
    .help =
        "Components come from the program itself, from shared objects (beside the program in plugins/, or\n"
        "in the folder that MILLRACE_PLUGINS names, or --plugins), and from Lua files in ./scripts.",
    .run = plugins,
};
