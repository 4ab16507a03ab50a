/* json_kernel.h - the parts of reading and writing JSON that exist once for each kind of processor.
 *
 * json_reader.h is compiled into json_base.c (any processor) and json_avx2.c; mr_json_kernel() picks what
 * this machine can run. Both give the same answers: a test holds them against each other.
 */
#ifndef MR_DATA_JSON_KERNEL_H
#define MR_DATA_JSON_KERNEL_H

#include <millrace/plugin.h>

/* Where a text stopped being JSON. */
struct mr_json_fault {
    const char *at, *why;
    bool limit; /* not the text's fault: columns or memory of the batch ran out */
};

enum {                    /* spare of MR_JSON */
       MR_JSON_LINES = 1, /* has line breaks between its tokens */
       MR_JSON_UNIQUE =
           2 /* no object in it, at any level, has a name twice: the first match is the only one */
};

struct mr_json_kernel {
    const char *name;
    /* One value, blanks around it allowed. */
    bool (*read)(struct mr_slice text, struct mr_value *out, struct mr_json_fault *f);
    /* An object into a row. *body: the text without blanks around it. *lines: it has line breaks between
     * tokens. */
    bool (*read_row)(struct mr_batch *b, uint32_t row, struct mr_slice text, struct mr_slice *body,
                     bool *lines, struct mr_json_fault *f);
    /* Takes the members that read_row has read of a text, up to its fault or to the end, away again. */
    void (*forget)(struct mr_batch *b, uint32_t row, struct mr_slice text);
    /* Bytes at the beginning of [p, p + len) that JSON text in ASCII can have in a string as they are. */
    size_t (*plain)(const char *p, size_t len);
    /* Where the value of a member of the checked object [p, end) begins, NULL: no such member. unique: stop
     * at the first. */
    const char *(*member)(const char *p, const char *end, const char *name, size_t len, bool unique);
    /* The first byte after the value that begins at p, of text that was checked before. */
    const char *(*skip)(const char *p, const char *end);
};

extern const struct mr_json_kernel mr_json_kernel_base;
#if defined(__x86_64__)
extern const struct mr_json_kernel mr_json_kernel_avx2;
#endif

/* Is what stands between the quotes, [p, end), the name? */
bool mr_json_name_is(const char *p, const char *end, const char *name, size_t len);

const struct mr_json_kernel *mr_json_kernel(void);
void mr_json_kernel_use(const struct mr_json_kernel *k); /* tests; NULL: what the machine can */

#endif
