/* diag.c - complaints as people read them: place, text, the line itself with the spot underlined, the way
 * out. */
#include "pipeline/config.h"

#include <stdlib.h>

static int by_place(const void *x, const void *y)
{
    const struct mr_diag *a = *(const struct mr_diag *const *)x, *b = *(const struct mr_diag *const *)y;
    int c = strcmp(a->file ? a->file : "", b->file ? b->file : "");
    if (c)
        return c;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    return a < b ? -1 : a > b; /* one order for equal places */
}

static struct mr_slice line_of(const struct mr_config_file *sources, size_t count, const char *file,
                               uint32_t line)
{
    for (size_t i = 0; i < count; i++) {
        struct mr_slice t = sources[i].text;
        if (!file || strcmp(sources[i].name, file) != 0 || !t.p)
            continue;
        const char *p = t.p, *end = t.p + t.len;
        for (uint32_t n = 1; p < end; n++) {
            const char *nl = memchr(p, '\n', (size_t)(end - p));
            const char *stop = nl ? nl : end;
            if (n == line) {
                if (stop > p && stop[-1] == '\r')
                    stop--;
                return (struct mr_slice){p, (size_t)(stop - p)};
            }
            if (!nl)
                break;
            p = nl + 1;
        }
    }
    return (struct mr_slice){NULL, 0};
}

/* Prints the line without control characters (a terminal must not be steered by a file); tabs stay. */
static void print_line(FILE *to, struct mr_slice line, size_t max)
{
    for (size_t i = 0; i < line.len && i < max; i++) {
        unsigned char c = (unsigned char)line.p[i];
        (void)fputc(c < 0x20 && c != '\t' ? '?' : c, to);
    }
}

static void underline(FILE *to, struct mr_slice line, uint32_t column, uint32_t length)
{
    uint32_t at = 1;
    for (size_t i = 0; i < line.len && at < column; i++) { /* columns count characters */
        unsigned char c = (unsigned char)line.p[i];
        if ((c & 0xc0) == 0x80)
            continue;
        (void)fputc(c == '\t' ? '\t' : ' ', to);
        at++;
    }
    for (; at < column && at < 400; at++)
        (void)fputc(' ', to);
    (void)fputc('^', to);
    for (uint32_t i = 1; i < length && i < 120; i++)
        (void)fputc('~', to);
}

void mr_diags_print(const struct mr_diags *diags, const struct mr_config_file *sources, size_t count,
                    FILE *to, bool color)
{
    const struct mr_diag **order = calloc(diags->count ? diags->count : 1, sizeof(*order));
    if (!order)
        return;
    const char *bold = color ? "\033[1m" : "", *off = color ? "\033[0m" : "";
    for (uint32_t i = 0; i < diags->count; i++)
        order[i] = &diags->v[i];
    qsort(order, diags->count, sizeof(*order), by_place);
    uint32_t warnings = 0;
    for (uint32_t i = 0; i < diags->count; i++) {
        const struct mr_diag *d = order[i];
        warnings += d->warning;
        const char *word = d->warning ? "warning" : "error";
        const char *tint = !color ? "" : d->warning ? "\033[1;33m" : "\033[1;31m";
        if (d->file)
            (void)fprintf(to, "%s%s:%u:%u:%s ", bold, d->file, d->line, d->column, off);
        (void)fprintf(to, "%s%s:%s %s%s%s\n", tint, word, off, bold, d->text ? d->text : "", off);
        struct mr_slice line = line_of(sources, count, d->file, d->line);
        if (line.p && line.len && d->column <= 400) {
            (void)fprintf(to, " %4u | ", d->line);
            print_line(to, line, 400);
            (void)fprintf(to, "\n      | %s", tint);
            underline(to, line, d->column, d->length);
            (void)fprintf(to, "%s\n", off);
        }
        if (d->note)
            (void)fprintf(to, "      = %s\n", d->note);
    }
    if (diags->more)
        (void)fprintf(to, "and %u more\n", diags->more);
    if (diags->count)
        (void)fprintf(to, "%u error%s, %u warning%s\n", diags->errors, diags->errors == 1 ? "" : "s",
                      warnings, warnings == 1 ? "" : "s");
    free(order);
}
