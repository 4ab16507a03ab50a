/* keymap.h - the newest offset of each key, in bounded memory. For log/ alone.
 *
 * Keys are known by 128 bits of two seeded hashes, so that memory does not depend on their length: two keys
 * that agree in all of them are taken for one. With seeds that nobody outside knows, a million keys do so
 * with a probability of 2^-88.
 */
#ifndef MR_LOG_KEYMAP_H
#define MR_LOG_KEYMAP_H

#include <millrace/types.h>

struct keymap {
    struct keyslot {
        uint64_t a, b;
        int64_t next; /* offset + 1; 0: empty */
    } * slot;
    size_t cap, count, most;
    uint64_t seed[2];
};

bool keymap_init(struct keymap *m, int64_t bytes, uint64_t seed_a, uint64_t seed_b); /* false: no memory */
void keymap_fini(struct keymap *m);
bool keymap_put(struct keymap *m, struct mr_slice key, int64_t offset); /* false: no room for another key */
int64_t keymap_get(const struct keymap *m, struct mr_slice key);        /* -1: absent */

#endif
