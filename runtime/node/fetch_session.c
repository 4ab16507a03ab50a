/* fetch_session.c - see fetch_session.h. Sessions stand in a list by last use, and in a map by number. */
#include "node/fetch_session.h"

#include "base/assert.h"
#include "base/mem.h"

#include <string.h>

enum { KEY_BYTES = MR_FETCH_NAME_MAX + 4 };

static struct mr_slice number_key(const int32_t *id)
{
    return (struct mr_slice){(const char *)id, sizeof *id};
}

/* p NULL: no topic has such a name. */
static struct mr_slice part_key(const struct mr_fetch_session *s, const struct mr_fetch_key *key,
                                char to[KEY_BYTES])
{
    size_t len = s->by_id ? sizeof key->id.b : key->name.len;
    if (len > MR_FETCH_NAME_MAX)
        return (struct mr_slice){0};
    if (len)
        memcpy(to, s->by_id ? (const char *)key->id.b : key->name.p, len);
    memcpy(to + len, &key->partition, sizeof key->partition);
    return (struct mr_slice){to, len + sizeof key->partition};
}

void mr_fetch_sessions_init(struct mr_fetch_sessions *all, struct mr_world *w, size_t sessions_max,
                            size_t parts_max)
{
    *all = (struct mr_fetch_sessions){.world = w, .sessions_max = sessions_max, .parts_max = parts_max};
    mr_map_init(&all->by_number, sessions_max + 1);
    all->last = &all->first;
}

void mr_fetch_sessions_fini(struct mr_fetch_sessions *all)
{
    while (all->first)
        mr_fetch_session_close(all->first);
    mr_assert(all->count == 0 && all->parts == 0);
    mr_map_fini(&all->by_number, NULL);
}

/* ------------------------------------------------------------------ lists */

static void session_unlink(struct mr_fetch_session *s)
{
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    else
        s->all->last = s->link;
}

static void session_append(struct mr_fetch_session *s)
{
    s->next = NULL;
    s->link = s->all->last;
    *s->link = s;
    s->all->last = &s->next;
}

static void part_unlink(struct mr_fetch_part *p)
{
    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    else
        p->session->last = p->link;
}

static void part_append(struct mr_fetch_part *p)
{
    p->next = NULL;
    p->link = p->session->last;
    *p->link = p;
    p->session->last = &p->next;
}

void mr_fetch_part_to_end(struct mr_fetch_part *p)
{
    part_unlink(p);
    part_append(p);
}

/* ------------------------------------------------------------------ sessions */

/* Somebody who may go for one of `parts`: NULL when all are worth more. */
static struct mr_fetch_session *least_worth(const struct mr_fetch_sessions *all, size_t parts,
                                            const struct mr_fetch_session *but)
{
    mr_ms now = mr_now(all->world);
    struct mr_fetch_session *found = NULL;
    for (struct mr_fetch_session *s = all->first; s; s = s->next) {
        if (s == but)
            continue;
        if (now - s->used > MR_FETCH_SESSION_IDLE_MS)
            return s;
        if (now - s->made > MR_FETCH_SESSION_IDLE_MS && s->count < parts &&
            (!found || s->count < found->count))
            found = s;
    }
    return found;
}

/* F1. false: there is no room to make. */
static bool make_room(struct mr_fetch_sessions *all, size_t sessions, size_t parts,
                      const struct mr_fetch_session *but)
{
    size_t size = parts + (but ? but->count : 0);
    if (sessions > all->sessions_max || size > all->parts_max)
        return false;
    while (all->count + sessions > all->sessions_max || all->parts + parts > all->parts_max) {
        struct mr_fetch_session *s = least_worth(all, size, but);
        if (!s)
            return false;
        mr_fetch_session_close(s);
    }
    return true;
}

struct mr_fetch_session *mr_fetch_session_new(struct mr_fetch_sessions *all, bool by_id, size_t parts)
{
    struct mr_fetch_session *s = make_room(all, 1, parts, NULL) ? mr_alloc(sizeof *s) : NULL;
    if (!s)
        return NULL;
    do
        s->id = (int32_t)(mr_random(all->world) & INT32_MAX);
    while (s->id == 0 || mr_map_get(&all->by_number, number_key(&s->id)));
    if (!mr_map_put(&all->by_number, number_key(&s->id), s, NULL)) {
        mr_free(s);
        return NULL;
    }
    s->all = all;
    s->epoch = 1;
    s->by_id = by_id;
    s->made = s->used = mr_now(all->world);
    s->last = &s->first;
    mr_map_init(&s->by_key, all->parts_max);
    session_append(s);
    all->count++;
    return s;
}

struct mr_fetch_session *mr_fetch_session_find(const struct mr_fetch_sessions *all, int32_t id)
{
    return mr_map_get(&all->by_number, number_key(&id));
}

void mr_fetch_session_own(struct mr_fetch_session *s, struct mr_fetch_session **owner)
{
    if (s->owner)
        *s->owner = NULL; /* F3 */
    s->owner = owner;
    if (owner)
        *owner = s;
}

void mr_fetch_session_use(struct mr_fetch_session *s)
{
    mr_fetch_session_own(s, NULL);
    s->epoch = s->epoch == INT32_MAX ? 1 : s->epoch + 1;
    s->used = mr_now(s->all->world);
    session_unlink(s);
    session_append(s);
}

static void part_free(struct mr_fetch_part *p)
{
    part_unlink(p);
    p->session->count--;
    p->session->all->parts--;
    mr_free(p);
}

void mr_fetch_session_close(struct mr_fetch_session *s)
{
    if (!s)
        return;
    mr_fetch_session_own(s, NULL);
    while (s->first)
        part_free(s->first);
    mr_map_fini(&s->by_key, NULL);
    (void)mr_map_remove(&s->all->by_number, number_key(&s->id));
    session_unlink(s);
    s->all->count--;
    mr_free(s);
}

/* ------------------------------------------------------------------ parts */

struct mr_fetch_part *mr_fetch_session_put(struct mr_fetch_session *s, const struct mr_fetch_key *key)
{
    char bytes[KEY_BYTES];
    struct mr_slice k = part_key(s, key, bytes);
    struct mr_fetch_part *p = k.p ? mr_map_get(&s->by_key, k) : NULL;
    if (p || !k.p || !make_room(s->all, 0, 1, s))
        return p; /* F2 */
    size_t text = s->by_id ? 0 : key->name.len;
    if (!(p = mr_alloc(sizeof *p + text)))
        return NULL;
    if (!mr_map_put(&s->by_key, k, p, NULL)) {
        mr_free(p);
        return NULL;
    }
    if (text)
        memcpy(p->text, key->name.p, text);
    p->session = s;
    p->key = (struct mr_fetch_key){.name = {p->text, text}, .id = key->id, .partition = key->partition};
    p->sent_high = p->sent_start = -1;
    part_append(p);
    s->count++;
    s->all->parts++;
    return p;
}

void mr_fetch_session_drop(struct mr_fetch_session *s, const struct mr_fetch_key *key)
{
    char bytes[KEY_BYTES];
    struct mr_slice k = part_key(s, key, bytes);
    struct mr_fetch_part *p = k.p ? mr_map_remove(&s->by_key, k) : NULL;
    if (p)
        part_free(p);
}
