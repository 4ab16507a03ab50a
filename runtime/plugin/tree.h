/* tree.h - what a person wrote, with the place of every word: scalars, lists and maps, and complaints about
 * them.
 *
 * The YAML reader makes trees, option tables check them, lint prints the complaints. All memory is one
 * arena's.
 */
#ifndef MR_PLUGIN_TREE_H
#define MR_PLUGIN_TREE_H

#include <millrace/types.h>

enum mr_node_kind { MR_NODE_SCALAR, MR_NODE_LIST, MR_NODE_MAP };

struct mr_node {
    enum mr_node_kind kind;
    bool plain;            /* scalar without quotes: null, true, false and numbers are read as such */
    bool secret;           /* holds a substituted secret: its text is never printed */
    const char *file;      /* [borrow] name as the user gave it */
    uint32_t line, column; /* from 1; of the first character (of the quote, where there is one) */
    uint32_t end_column;   /* one past the last, when it ends on the same line; else 0 */
    struct mr_slice text;  /* scalar */
    struct mr_node *first; /* list items or map values, in order */
    struct mr_node *next;
    uint32_t count;                /* children */
    struct mr_slice key;           /* of a map's value: its name ... */
    uint32_t key_line, key_column; /* ... and where it stands */
};

struct mr_node *mr_node_get(const struct mr_node *map, const char *key); /* NULL: absent */
/* The tree as a value, by YAML 1.2's core schema (only true and false are booleans). false: arena limit. */
bool mr_node_value(const struct mr_node *n, struct mr_arena *a, struct mr_value *out);

/* The other way round: a value as a tree without a place in any file (file NULL), for option tables that are
 * filled from values. `line` of everything below the n-th child of the top is n, from 1; `column` is 1; so a
 * complaint leads back to the child and the byte. [arena] everything. NULL: arena limit. */
struct mr_node *mr_node_of_value(const struct mr_value *v, struct mr_arena *a);

/* Complaints, each with a place. Bound: MR_DIAGS_MAX are kept, then one says how many more there were. */
enum { MR_DIAGS_MAX = 200 };
struct mr_diag {
    const char *file;
    uint32_t line, column, length; /* length of the underlined text, at least 1 */
    bool warning;
    char *text; /* what is wrong */
    char *note; /* the way out: "did you mean 'x'?", "options: a, b"; NULL when the text has it */
};
struct mr_diags {
    struct mr_diag *v;
    uint32_t count, errors, more;
};
/* at: bytes into the scalar's text where the caret belongs. */
__attribute__((format(printf, 5, 6))) void mr_diag_node(struct mr_diags *d, const struct mr_node *n,
                                                        uint32_t at, const char *note /* [copy], NULL */,
                                                        const char *format, ...);
/* The same about the key of a map's value. */
__attribute__((format(printf, 4, 5))) void mr_diag_key(struct mr_diags *d, const struct mr_node *value,
                                                       const char *note, const char *format, ...);
void mr_diags_fini(struct mr_diags *d);

#endif
