/* plugins.c - `millrace plugins`: what pipelines are made of, from the option tables. */
#include "cli/cli.h"

#include "base/buf.h"
#include "base/text.h"
#include "plugin/option.h"

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
    (void)printf("\n`millrace plugins NAME` tells the options of one.\n");
}

static bool print_one(const struct mr_catalog_entry *e, bool markdown)
{
    struct mr_buf out = {0};
    const struct mr_component *c = e->component;
    bool ok;
    if (markdown) {
        ok = mr_buf_printf(&out, "# `%s` (%s)\n\n%s\n", c->name, kind_of(c), c->summary);
        if (ok && c->doc)
            ok = mr_buf_printf(&out, "\n%s\n", c->doc);
        if (ok && c->options && c->options->name)
            ok = mr_buf_puts(&out, "\n## Options\n\n") && mr_options_markdown(c->options, &out);
    } else {
        ok = mr_buf_printf(&out, "%s %s (%s %s%s%s)\n\n%s\n", kind_of(c), c->name, e->plugin, e->version,
                           e->path ? ", " : "", e->path ? e->path : "", c->summary);
        if (ok && c->doc)
            ok = mr_buf_printf(&out, "\n%s\n", c->doc);
        if (ok && c->options && c->options->name)
            ok = mr_buf_puts(&out, "\noptions\n") && mr_options_help(c->options, &out);
    }
    if (ok)
        (void)fwrite(out.p, 1, out.len, stdout);
    mr_buf_fini(&out);
    return ok;
}

static int show(const struct mr_catalog *c, const char *name, bool markdown)
{
    const char *names[1024];
    size_t count = 0;
    bool found = false;
    for (size_t i = 0; i < mr_catalog_count(c); i++) {
        const struct mr_catalog_entry *e = mr_catalog_at(c, i);
        if (count < sizeof names / sizeof names[0])
            names[count++] = e->component->name;
        if (name && strcmp(name, e->component->name) != 0)
            continue;
        if (found)
            (void)fputc('\n', stdout);
        found = true;
        if (!print_one(e, markdown))
            return MR_EXIT_FAILED;
    }
    return found ? MR_EXIT_OK : mr_cli_unknown("component", name, names, count, "millrace plugins");
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
        {"markdown", NULL, "the reference page of NAME, or of all components", &markdown, NULL},
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
    .summary = "lists sources, processors and sinks; tells the options of one",
    .help =
        "Components come from the program itself, from shared objects (beside the program in plugins/, or\n"
        "in the folder that MILLRACE_PLUGINS names, or --plugins), and from Lua files in ./scripts.",
    .run = plugins,
};
