/* out.c - tables, JSON lines, base64. */
#include "cli/out.h"

#include "base/buf.h"
#include "base/text.h"
#include "base/time.h"
#include "data/json.h"

#include <inttypes.h>
#include <stdlib.h>

enum { COLUMNS_MAX = 16, CELL_MAX = 1024 };

/* ------------------------------------------------------------------ a table */

void mr_table_cell(struct mr_table *t, const char *format, ...)
{
    char text[CELL_MAX];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    t->failed = !mr_buf_put(&t->cells, text, strlen(text) + 1) || t->failed;
}

/* As many places as characters, so that names beyond ASCII do not bend the columns. */
static size_t width_of(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

bool mr_table_end(struct mr_table *t)
{
    size_t width[COLUMNS_MAX] = {0}, column = 0;
    const char *end = t->cells.p + t->cells.len;
    bool good = !t->failed && t->columns <= COLUMNS_MAX;
    for (const char *c = t->cells.p; good && c < end; c += strlen(c) + 1) {
        size_t n = width_of(c);
        width[column] = n > width[column] ? n : width[column];
        column = (column + 1) % t->columns;
    }
    column = 0;
    for (const char *c = t->cells.p; good && c < end; c += strlen(c) + 1) {
        bool last = ++column == t->columns;
        int pad = last ? 0 : (int)(width[column - 1] - width_of(c)) + 2;
        good = printf("%s%*s%s", c, pad, "", last ? "\n" : "") >= 0;
        column %= t->columns;
    }
    mr_buf_fini(&t->cells);
    return good && fflush(stdout) == 0;
}

/* ------------------------------------------------------------------ JSON lines */

static void put(struct mr_jsonl *j, const char *text)
{
    j->failed = !mr_buf_puts(&j->text, text) || j->failed;
}

static void name_it(struct mr_jsonl *j, const char *name)
{
    if (j->more)
        put(j, ",");
    j->more = true;
    if (name) {
        j->failed = !mr_json_write_string(&j->text, name, strlen(name)) || j->failed;
        put(j, ":");
    }
}

void mr_jsonl_open(struct mr_jsonl *j, const char *name, char bracket)
{
    name_it(j, name);
    put(j, (const char[2]){bracket, '\0'});
    j->more = false;
}

void mr_jsonl_close(struct mr_jsonl *j, char bracket)
{
    put(j, (const char[2]){bracket, '\0'});
    j->more = true;
}

void mr_jsonl_text(struct mr_jsonl *j, const char *name, const char *text)
{
    if (!text) {
        mr_jsonl_null(j, name);
        return;
    }
    name_it(j, name);
    j->failed = !mr_json_write_string(&j->text, text, strlen(text)) || j->failed;
}

void mr_jsonl_int(struct mr_jsonl *j, const char *name, int64_t value)
{
    char digits[24];
    name_it(j, name);
    (void)mr_print_i64(value, digits);
    put(j, digits);
}

void mr_jsonl_known(struct mr_jsonl *j, const char *name, int64_t value)
{
    if (value < 0)
        mr_jsonl_null(j, name);
    else
        mr_jsonl_int(j, name, value);
}

void mr_jsonl_bool(struct mr_jsonl *j, const char *name, bool value)
{
    name_it(j, name);
    put(j, value ? "true" : "false");
}

void mr_jsonl_raw(struct mr_jsonl *j, const char *name, struct mr_slice json)
{
    name_it(j, name);
    size_t at = j->text.len;
    j->failed = !mr_buf_put(&j->text, json.p, json.len) || j->failed;
    for (; at < j->text.len; at++) /* white space alone may be these; a line is one object */
        if (j->text.p[at] == '\n' || j->text.p[at] == '\r')
            j->text.p[at] = ' ';
}

void mr_jsonl_null(struct mr_jsonl *j, const char *name)
{
    name_it(j, name);
    put(j, "null");
}

void mr_jsonl_bytes(struct mr_jsonl *j, const char *name, const void *p, size_t len)
{
    if (!p) {
        mr_jsonl_null(j, name);
    } else if (mr_utf8_valid(p, len)) {
        name_it(j, name);
        j->failed = !mr_json_write_string(&j->text, p, len) || j->failed;
    } else {
        char longer[64];
        (void)snprintf(longer, sizeof longer, "%s_base64", name);
        name_it(j, longer);
        put(j, "\"");
        j->failed = !mr_base64_put(&j->text, p, len) || j->failed;
        put(j, "\"");
    }
}

bool mr_jsonl_line(struct mr_jsonl *j)
{
    put(j, "\n");
    bool good = !j->failed && fwrite(j->text.p, 1, j->text.len, stdout) == j->text.len;
    j->text.len = 0;
    j->more = false;
    return good;
}

bool mr_jsonl_end(struct mr_jsonl *j)
{
    mr_jsonl_close(j, '}');
    bool good = mr_jsonl_line(j) && fflush(stdout) == 0;
    mr_jsonl_fini(j);
    return good;
}

void mr_jsonl_fini(struct mr_jsonl *j)
{
    mr_buf_fini(&j->text);
}

/* ------------------------------------------------------------------ rows */

void mr_rows_open(struct mr_rows *r, bool json, const struct mr_rows_column *columns)
{
    *r = (struct mr_rows){.json = json, .columns = columns};
    for (; columns[r->count].head || columns[r->count].name; r->count++)
        r->table.columns += columns[r->count].head != NULL;
    for (size_t i = 0; !json && i < r->count; i++)
        if (columns[i].head)
            mr_table_cell(&r->table, "%s", columns[i].head);
}

/* Before a value: the name that it has in the object; in a table, whether it has a place there. */
static const struct mr_rows_column *step(struct mr_rows *r)
{
    if (r->json && r->at == 0)
        mr_jsonl_open(&r->line, NULL, '{');
    return &r->columns[r->at];
}

static void stepped(struct mr_rows *r)
{
    r->at = (r->at + 1) % r->count;
    if (!r->json || r->at)
        return;
    mr_jsonl_close(&r->line, '}');
    r->failed = !mr_jsonl_line(&r->line) || r->failed;
}

void mr_rows_text(struct mr_rows *r, const char *text)
{
    const struct mr_rows_column *c = step(r);
    if (r->json && c->name)
        mr_jsonl_text(&r->line, c->name, text);
    else if (!r->json && c->head)
        mr_table_cell(&r->table, "%s", text ? text : "-");
    stepped(r);
}

void mr_rows_int(struct mr_rows *r, int64_t value)
{
    const struct mr_rows_column *c = step(r);
    if (r->json && c->name)
        mr_jsonl_int(&r->line, c->name, value);
    else if (!r->json && c->head)
        mr_table_cell(&r->table, "%" PRId64, value);
    stepped(r);
}

void mr_rows_known(struct mr_rows *r, int64_t value)
{
    if (value < 0)
        mr_rows_text(r, NULL);
    else
        mr_rows_int(r, value);
}

void mr_rows_bool(struct mr_rows *r, bool value)
{
    const struct mr_rows_column *c = step(r);
    if (r->json && c->name)
        mr_jsonl_bool(&r->line, c->name, value);
    else if (!r->json && c->head)
        mr_table_cell(&r->table, "%s", value ? "yes" : "no");
    stepped(r);
}

void mr_rows_time(struct mr_rows *r, int64_t ms)
{
    char date[40];
    if (r->json || ms < 0) {
        mr_rows_known(r, ms);
        return;
    }
    (void)mr_rfc3339_print(ms * 1000000, date);
    mr_rows_text(r, date);
}

bool mr_rows_close(struct mr_rows *r)
{
    bool good = r->json ? fflush(stdout) == 0 : mr_table_end(&r->table);
    mr_jsonl_fini(&r->line);
    return good && !r->failed;
}

/* ------------------------------------------------------------------ base64 */

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

bool mr_base64_put(struct mr_buf *out, const void *p, size_t len)
{
    const unsigned char *b = p;
    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        unsigned three =
            (unsigned)b[i] << 16 | (left > 1 ? (unsigned)b[i + 1] << 8 : 0) | (left > 2 ? b[i + 2] : 0u);
        char four[4] = {letters[three >> 18], letters[three >> 12 & 63],
                        left > 1 ? letters[three >> 6 & 63] : '=', left > 2 ? letters[three & 63] : '='};
        if (!mr_buf_put(out, four, 4))
            return false;
    }
    return true;
}

bool mr_base64_read(struct mr_buf *out, const char *p, size_t len)
{
    if (len % 4 != 0)
        return false;
    for (size_t i = 0; i < len; i += 4) {
        size_t pads = i + 4 < len ? 0 : (size_t)(p[i + 3] == '=') + (p[i + 3] == '=' && p[i + 2] == '=');
        unsigned three = 0;
        for (size_t k = 0; k < 4; k++) {
            const char *at = k < 4 - pads && p[i + k] ? strchr(letters, p[i + k]) : NULL;
            if (!at && k < 4 - pads)
                return false;
            three = three << 6 | (at ? (unsigned)(at - letters) : 0);
        }
        char bytes[3] = {(char)(three >> 16 & 255), (char)(three >> 8 & 255), (char)(three & 255)};
        if (!mr_buf_put(out, bytes, 3 - pads))
            return false;
    }
    return true;
}
