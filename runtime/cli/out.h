/* out.h - answers on standard output: a table for a person, one JSON object a line for a program.
 */
#ifndef MR_CLI_OUT_H
#define MR_CLI_OUT_H

#include <millrace/plugin.h>

/* Cells in reading order; zeroed is empty. The first row is the head. */
struct mr_table {
    struct mr_buf cells; /* each ended by NUL */
    size_t columns;
    bool failed; /* no memory */
};
__attribute__((format(printf, 2, 3))) void mr_table_cell(struct mr_table *t, const char *format, ...);
/* Prints and frees; false: no memory, or standard output is gone. */
bool mr_table_end(struct mr_table *t);

/* One JSON object after the other; zeroed is empty. Names NULL: inside of a list. */
struct mr_jsonl {
    struct mr_buf text;
    bool more, failed;
};
void mr_jsonl_open(struct mr_jsonl *j, const char *name, char bracket);     /* '{' or '[' */
void mr_jsonl_close(struct mr_jsonl *j, char bracket);                      /* '}' or ']' */
void mr_jsonl_text(struct mr_jsonl *j, const char *name, const char *text); /* NULL: null */
void mr_jsonl_int(struct mr_jsonl *j, const char *name, int64_t value);
void mr_jsonl_known(struct mr_jsonl *j, const char *name, int64_t value); /* below 0: null */
void mr_jsonl_bool(struct mr_jsonl *j, const char *name, bool value);
void mr_jsonl_raw(struct mr_jsonl *j, const char *name, struct mr_slice json); /* JSON as it is */
void mr_jsonl_null(struct mr_jsonl *j, const char *name);
/* Bytes as "name" when they are UTF-8, else as "name_base64"; p NULL: "name" is null. */
void mr_jsonl_bytes(struct mr_jsonl *j, const char *name, const void *p, size_t len);
/* Ends the line, writes it to standard output, keeps the memory. false as mr_table_end. */
bool mr_jsonl_line(struct mr_jsonl *j);
bool mr_jsonl_end(struct mr_jsonl *j); /* closes the object, writes its line, frees; false as mr_table_end */
void mr_jsonl_fini(struct mr_jsonl *j);

/* Rows of the same columns: a table, or with json an object a line. Values come in the order of
 * the columns; after the last of a row the next begins. */
struct mr_rows_column {
    const char *head, *name; /* of the table, of the object; NULL: not there */
};
struct mr_rows {
    bool json, failed;
    const struct mr_rows_column *columns; /* [borrow] ends with { 0 } */
    size_t count, at;
    struct mr_table table;
    struct mr_jsonl line;
};
void mr_rows_open(struct mr_rows *r, bool json, const struct mr_rows_column *columns);
void mr_rows_text(struct mr_rows *r, const char *text); /* NULL: "-", null */
void mr_rows_int(struct mr_rows *r, int64_t value);
void mr_rows_known(struct mr_rows *r, int64_t value); /* as int; below 0: "-", null */
void mr_rows_bool(struct mr_rows *r, bool value);
void mr_rows_time(struct mr_rows *r, int64_t ms); /* since 1970: a date, a number; below 0: "-", null */
bool mr_rows_close(struct mr_rows *r);            /* prints and frees; false as mr_table_end */

bool mr_base64_put(struct mr_buf *out, const void *p, size_t len);
/* false: not base64, or no memory. Appends. */
bool mr_base64_read(struct mr_buf *out, const char *p, size_t len);

#endif
