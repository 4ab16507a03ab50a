/* option_text.c - an option table as people read it: rows of Markdown, lines of help. */
#include "plugin/option.h"

#include "base/buf.h"

static const char *type_name(enum mr_option_type t)
{
    static const char *const names[] = {
        [MR_OPT_STRING] = "text",     [MR_OPT_BOOL] = "boolean",      [MR_OPT_INT] = "integer",
        [MR_OPT_FLOAT] = "number",    [MR_OPT_DURATION] = "duration", [MR_OPT_SIZE] = "size",
        [MR_OPT_ENUM] = "choice",     [MR_OPT_STRINGS] = "texts",     [MR_OPT_VALUE] = "any",
        [MR_OPT_EXPR] = "expression", [MR_OPT_EXPRS] = "expressions", [MR_OPT_TEMPLATE] = "template",
        [MR_OPT_FIELD] = "field",     [MR_OPT_FIELDS] = "fields",     [MR_OPT_RENAMES] = "renames",
    };
    return (unsigned)t < sizeof names / sizeof *names ? names[t] : "?";
}

/* "integer, 1 to 1000 events" or "choice: a, b" */
static bool put_type(const struct mr_option *o, struct mr_buf *out)
{
    bool ok = mr_buf_puts(out, type_name(o->type));
    if (o->type == MR_OPT_ENUM)
        for (size_t i = 0; o->choices && o->choices[i]; i++)
            ok = ok && mr_buf_printf(out, "%s%s", i ? ", " : ": ", o->choices[i]);
    if (o->min || o->max) {
        char min[40], max[40];
        mr_option_bound(o, o->min, min);
        mr_option_bound(o, o->max, max);
        ok = ok && mr_buf_printf(out, ", %s to %s", min, max);
    }
    if (o->unit)
        ok = ok && mr_buf_printf(out, " %s", o->unit);
    return ok;
}

/* `|` ends a cell of a Markdown table */
static bool put_cell(const char *text, struct mr_buf *out)
{
    bool ok = true;
    for (; text && *text; text++)
        ok = ok && (*text == '|' ? mr_buf_puts(out, "\\|") : mr_buf_put(out, *text == '\n' ? " " : text, 1));
    return ok;
}

static bool ends_open(const char *text) /* a sentence without its full stop */
{
    size_t len = text ? strlen(text) : 0;
    return len && text[len - 1] != '.' && text[len - 1] != '?' && text[len - 1] != '!';
}

bool mr_options_markdown(const struct mr_option *table, struct mr_buf *out)
{
    bool ok = mr_buf_puts(out, "| option | type | default | meaning |\n|---|---|---|---|\n");
    for (const struct mr_option *o = table; o && o->name; o++) {
        if (!o->name[0])
            continue;
        ok = ok && mr_buf_printf(out, "| `%s`%s | ", o->name, o->main ? " (main)" : "") && put_type(o, out) &&
             mr_buf_puts(out, " | ");
        if (o->required)
            ok = ok && mr_buf_puts(out, "**required**");
        else if (o->value)
            ok = ok && mr_buf_puts(out, "`") && put_cell(o->value, out) && mr_buf_puts(out, "`");
        ok = ok && mr_buf_puts(out, " | ") && put_cell(o->help, out);
        if (ends_open(o->help))
            ok = ok && mr_buf_puts(out, ".");
        if (o->secret)
            ok = ok && mr_buf_puts(out, " Never printed.");
        if (o->example)
            ok = ok && mr_buf_puts(out, " Example: `") && put_cell(o->example, out) && mr_buf_puts(out, "`");
        ok = ok && mr_buf_puts(out, " |\n");
    }
    return ok;
}

bool mr_options_help(const struct mr_option *table, struct mr_buf *out)
{
    bool ok = true;
    for (const struct mr_option *o = table; o && o->name; o++) {
        if (!o->name[0])
            continue;
        ok = ok && mr_buf_printf(out, "  %-18s ", o->name) && put_type(o, out);
        if (o->required)
            ok = ok && mr_buf_puts(out, "; required");
        else if (o->value)
            ok = ok && mr_buf_printf(out, "; default %s", o->value);
        if (o->main)
            ok = ok && mr_buf_puts(out, "; may stand alone");
        ok = ok && mr_buf_printf(out, "\n                     %s\n", o->help ? o->help : "");
        if (o->example)
            ok = ok && mr_buf_printf(out, "                     such as: %s\n", o->example);
    }
    return ok;
}
