/* keymap.c - open addressing with a load of at most three quarters. */
#include "log/keymap.h"

#include "base/hash.h"
#include "base/mem.h"

bool keymap_init(struct keymap *m, int64_t bytes, uint64_t seed_a, uint64_t seed_b)
{
    size_t cap = 32;
    while ((int64_t)(cap * 2 * sizeof *m->slot) <= bytes)
        cap *= 2;
    *m = (struct keymap){.cap = cap, .most = cap / 4 * 3, .seed = {seed_a, seed_b}};
    m->slot = mr_alloc(cap * sizeof *m->slot);
    return m->slot != NULL;
}

void keymap_fini(struct keymap *m)
{
    mr_free(m->slot);
    *m = (struct keymap){0};
}

static struct keyslot *find(const struct keymap *m, struct mr_slice key, uint64_t *a, uint64_t *b)
{
    *a = mr_hash64(key.p ? key.p : "", key.len, m->seed[0]);
    *b = mr_hash64(key.p ? key.p : "", key.len, m->seed[1]);
    for (size_t i = *a & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct keyslot *s = &m->slot[i];
        if (!s->next || (s->a == *a && s->b == *b))
            return s;
    }
}

bool keymap_put(struct keymap *m, struct mr_slice key, int64_t offset)
{
    uint64_t a, b;
    struct keyslot *s = find(m, key, &a, &b);
    if (!s->next) {
        if (m->count == m->most)
            return false;
        m->count++;
        s->a = a;
        s->b = b;
    }
    s->next = offset + 1;
    return true;
}

int64_t keymap_get(const struct keymap *m, struct mr_slice key)
{
    uint64_t a, b;
    return m->cap ? find(m, key, &a, &b)->next - 1 : -1;
}
