/* place.c - partitions: opened when used, laid to rest when not, compacted by turns.
 *
 *   closed --used; clean or new--> open                                   (at once: a few small reads)
 *   closed --used; must recover--> opening, in a worker --> open          (await)
 *   open --files_max is passed, or a tick without use--> open, at rest    (no files; comes back by itself)
 *   open --partitions_open_max is passed, and nobody waits for it--> closed, clean
 *
 * Who was not used for the longest time goes first. Nothing is closed while somebody may have it in hand:
 * that is done in a turn of its own.
 */
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "broker/broker_inside.h"
#include "broker/record_file.h"
#include "broker/setting.h"

#include <stdlib.h>

enum {
    COMPACT_BYTES = 1 << 20, /* that a slice of compaction reads, */
    COMPACT_EVERY_MS = 20,   /* and how often: 50 MiB a second at most */
    OPENING_MAX = 3,         /* workers that open partitions at a time: syncs need some too */
    RELIEVED_A_TURN = 128,   /* partitions that are closed, or laid to rest, in one turn */
    RELIEVE_AGAIN_MS = 50,   /* when the disk must go first, or everything is in use */
    AHEAD_A_TURN = 64,       /* partitions looked at in one turn for whether they must recover */
    AHEAD_QUEUE = 16,        /* that wait for a worker */
    OPENED_A_TICK = 64,      /* partitions that the tick opens for retention's sake */
};

/* ------------------------------------------------------------------ too many */

struct idler {
    struct topic *topic;
    int32_t i;
    uint64_t used;
};

static int by_use(const void *a, const void *b)
{
    uint64_t x = ((const struct idler *)a)->used, y = ((const struct idler *)b)->used;
    return x < y ? -1 : x > y;
}

static bool too_many_files(const struct mr_broker *b, uint32_t most)
{
    return b->config.files_max && mr_files_open(b->world) > most;
}

static bool too_many_open(const struct mr_broker *b, uint32_t most)
{
    return b->config.partitions_open_max && b->open_count > most;
}

static void flushed_for_rest(void *arg, mr_code rc, int sys)
{
    (void)arg; /* the next turn looks again */
    (void)rc;
    (void)sys;
}

static void place_close(struct mr_broker *b, struct topic *t, int32_t i)
{
    struct place *at = &t->place[i];
    struct mr_partition *p = at->p;
    at->p = NULL;
    at->due = mr_partition_retain_due(p);
    b->open_count--;
    mr_partition_close(p);
}

/* Down to seven eighths of the limits, so that not every use closes one. */
static void relieve(void *arg)
{
    struct mr_broker *b = arg;
    uint32_t files = b->config.files_max - b->config.files_max / 8;
    uint32_t open = b->config.partitions_open_max - b->config.partitions_open_max / 8;
    struct idler *all = mr_alloc((b->open_count + 1) * sizeof *all);
    size_t count = 0, moved = 0, waits = 0;
    b->relieving = false;
    b->relieve_after = mr_now(b->world) + RELIEVE_AGAIN_MS;
    if (!all)
        return;
    for (size_t k = 0; k < b->count; k++)
        for (int32_t i = 0; i < b->topics[k]->pub.partitions; i++)
            if (b->topics[k]->place[i].p)
                all[count++] = (struct idler){b->topics[k], i, b->topics[k]->place[i].used};
    mr_assert(count == b->open_count);
    qsort(all, count, sizeof *all, by_use);
    for (size_t k = 0; k < count && moved < RELIEVED_A_TURN; k++) {
        struct mr_partition *p = all[k].topic->place[all[k].i].p;
        if (!too_many_files(b, files) && !too_many_open(b, open))
            break;
        if (too_many_open(b, open) && mr_partition_idle(p)) {
            place_close(b, all[k].topic, all[k].i);
            moved++;
        } else if (too_many_files(b, files)) {
            uint32_t before = mr_files_open(b->world);
            if (mr_partition_rest(p))
                moved += mr_files_open(b->world) < before;
            else if (waits < RELIEVED_A_TURN && mr_partition_flush(p, flushed_for_rest, NULL))
                waits++;
        }
    }
    mr_free(all);
    if (!too_many_files(b, files) && !too_many_open(b, open))
        return;
    if (moved == RELIEVED_A_TURN || waits) {
        b->relieving = true;
        mr_timer_set(b->world, &b->relief, waits && moved == 0 ? b->relieve_after : mr_now(b->world));
    }
}

static void relieve_soon(struct mr_broker *b)
{
    if (b->relieving || b->closing)
        return;
    b->relieving = true;
    b->relief.fire = relieve;
    b->relief.arg = b;
    mr_timer_set(b->world, &b->relief, b->relieve_after);
}

bool mr_broker_crowded(const struct mr_broker *b)
{
    return too_many_files(b, b->config.files_max);
}

/* ------------------------------------------------------------------ opening */

static void told(struct mr_broker *b, const struct topic *t, int32_t i, mr_code rc, struct mr_err *story)
{
    if (!rc && !story->code)
        return;
    mr_wrap(story, "partition %s-%d", t->pub.name, i);
    mr_broker_tell(b, MR_ERROR, story->text);
}

static void opened(struct mr_broker *b, struct topic *t, int32_t i, struct mr_partition *p)
{
    t->place[i].p = p;
    mr_partition_lend(p, b->pool);
    b->open_count++;
    if (too_many_open(b, b->config.partitions_open_max))
        relieve_soon(b);
}

struct mr_partition *mr_place_open(struct mr_broker *b, struct topic *t, int32_t i, struct mr_err *err)
{
    char path[MR_BROKER_PATH_BYTES];
    struct mr_err story = {0};
    struct mr_partition *p = NULL;
    mr_assert(!t->place[i].p && !t->place[i].opening);
    mr_partition_path(b, mr_slice_of(t->pub.name), i, path);
    mr_code rc = mr_partition_open(b->world, path, &t->pub.config, &p, &story);
    if (!rc)
        opened(b, t, i, p);
    told(b, t, i, rc, &story);
    if (err)
        *err = story;
    return rc ? NULL : p;
}

/* In a worker. Outlives the broker when it must: then `broker` is NULL, and what was opened is closed. */
struct mr_opening {
    struct mr_broker *broker;
    struct mr_world *world;
    struct topic *topic;
    int32_t i;
    bool running;
    struct mr_opening *next;
    struct mr_open_wait *first, **last;
    struct mr_partition_config config;
    struct mr_partition *p;
    mr_code rc;
    struct mr_err story;
    char path[MR_BROKER_PATH_BYTES];
};

static void opening_next(struct mr_broker *b);

static void opening_work(void *arg)
{
    struct mr_opening *o = arg;
    o->rc = mr_partition_load(o->world, o->path, &o->config, &o->p, &o->story);
}

static void opening_wake(struct mr_opening *o)
{
    while (o->first) {
        struct mr_open_wait *w = o->first;
        mr_broker_await_not(w);
        w->done(w);
    }
}

static void opening_take_out(struct mr_opening *o)
{
    mr_assert(o->broker);
    struct mr_opening **at = &o->broker->openings;
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    o->broker->opening_count--;
    o->topic->openings--;
    o->topic->place[o->i].opening = NULL;
}

static void opening_done(void *arg, mr_code rc, int sys)
{
    struct mr_opening *o = arg;
    struct mr_broker *b = o->broker;
    (void)sys;
    if (!b) {
        mr_partition_discard(o->p); /* maybe in a world that went down in the middle of it */
        mr_free(o);
        return;
    }
    b->opening_running--;
    opening_take_out(o);
    rc = rc ? rc : o->rc;
    if (!rc) {
        opened(b, o->topic, o->i, o->p);
        mr_partition_begin(o->p);
        mr_partition_configure(o->p, &o->topic->pub.config); /* it may have changed meanwhile */
    } else {
        mr_partition_discard(o->p);
    }
    told(b, o->topic, o->i, rc, &o->story);
    opening_wake(o);
    mr_free(o);
    opening_next(b);
}

static void opening_next(struct mr_broker *b)
{
    for (struct mr_opening *o = b->openings; o && b->opening_running < OPENING_MAX; o = o->next)
        if (!o->running) {
            o->running = true;
            b->opening_running++;
            mr_work(b->world, opening_work, opening_done, o);
        }
    if (b->ahead_on && b->opening_count < AHEAD_QUEUE)
        mr_timer_set(b->world, &b->ahead, mr_now(b->world));
}

static struct mr_opening *opening_new(struct mr_broker *b, struct topic *t, int32_t i, const char *path)
{
    struct mr_opening *o = mr_alloc(sizeof *o), **last = &b->openings;
    if (!o)
        return NULL;
    o->broker = b;
    o->world = b->world;
    o->topic = t;
    o->i = i;
    o->last = &o->first;
    o->config = t->pub.config;
    (void)snprintf(o->path, sizeof o->path, "%s", path);
    while (*last)
        last = &(*last)->next;
    *last = o;
    b->opening_count++;
    t->openings++;
    t->place[i].opening = o;
    return o;
}

/* Neither new nor closed clean: opening it may read a lot and wait for the disk. */
static bool must_recover(const struct mr_broker *b, const char *path)
{
    char marker[MR_BROKER_PATH_BYTES + 8];
    struct mr_stat st;
    (void)snprintf(marker, sizeof marker, "%s/clean", path);
    return mr_stat_path(b->world, marker, &st, NULL) != MR_OK &&
           mr_stat_path(b->world, path, &st, NULL) == MR_OK;
}

bool mr_broker_await(struct mr_broker *b, const struct mr_topic *pub, int32_t partition,
                     struct mr_open_wait *w)
{
    struct topic *t = (struct topic *)(uintptr_t)pub;
    char path[MR_BROKER_PATH_BYTES];
    if (w)
        w->link = NULL;
    if (!t || b->closing || t->going || partition < 0 || partition >= pub->partitions ||
        t->place[partition].p)
        return true;
    struct mr_opening *o = t->place[partition].opening;
    if (!o) {
        mr_partition_path(b, mr_slice_of(pub->name), partition, path);
        if (!must_recover(b, path) || !(o = opening_new(b, t, partition, path)))
            return true;
        opening_next(b);
    }
    if (!w)
        return false;
    w->next = NULL;
    w->at = o;
    w->link = o->last;
    *o->last = w;
    o->last = &w->next;
    return false;
}

void mr_broker_await_not(struct mr_open_wait *w)
{
    if (!w->link)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    else
        w->at->last = w->link;
    w->link = NULL;
}

/* What a crash left is recovered before somebody asks for it. */
static void look_ahead(void *arg)
{
    struct mr_broker *b = arg;
    char path[MR_BROKER_PATH_BYTES];
    int64_t at = 0;
    int looked = 0;
    for (size_t k = 0; k < b->count; k++) {
        struct topic *t = b->topics[k];
        if (at + t->pub.partitions <= b->next_ahead) {
            at += t->pub.partitions;
            continue;
        }
        for (int32_t i = 0; i < t->pub.partitions; i++, at++) {
            if (at < b->next_ahead)
                continue;
            if (b->opening_count >= AHEAD_QUEUE)
                return; /* opening_next comes back here */
            if (looked++ == AHEAD_A_TURN) {
                mr_timer_set(b->world, &b->ahead, mr_now(b->world));
                return;
            }
            b->next_ahead = at + 1;
            if (t->place[i].p || t->place[i].opening || t->going)
                continue;
            mr_partition_path(b, mr_slice_of(t->pub.name), i, path);
            if (must_recover(b, path) && opening_new(b, t, i, path))
                opening_next(b);
        }
    }
    b->ahead_on = false;
}

void mr_places_begin(struct mr_broker *b)
{
    if (!b->config.recover_ahead)
        return;
    b->ahead_on = true;
    b->ahead.fire = look_ahead;
    b->ahead.arg = b;
    mr_timer_set(b->world, &b->ahead, mr_now(b->world));
}

void mr_places_end(struct mr_broker *b)
{
    mr_timer_stop(b->world, &b->relief);
    mr_timer_stop(b->world, &b->ahead);
    b->ahead_on = false;
    while (b->openings) {
        struct mr_opening *o = b->openings;
        opening_take_out(o);
        opening_wake(o); /* they are told that the node is stopping */
        o->broker = NULL;
        if (!o->running)
            mr_free(o);
    }
}

struct mr_partition *mr_broker_partition(struct mr_broker *b, const struct mr_topic *pub, int32_t partition,
                                         enum mr_refusal *why, struct mr_err *err)
{
    if (!pub || partition < 0 || partition >= pub->partitions) {
        (void)mr_fail(err, MR_NOTFOUND, "no such topic or partition");
        *why = MR_REFUSE_UNKNOWN_TOPIC;
        return NULL;
    }
    if (b->closing) {
        (void)mr_fail(err, MR_CANCELLED, "the node is stopping");
        *why = MR_REFUSE_STORAGE;
        return NULL;
    }
    struct topic *t = (struct topic *)(uintptr_t)pub;
    struct place *at = &t->place[partition];
    at->used = ++b->uses;
    if (b->config.files_max && mr_files_open(b->world) > b->config.files_max)
        relieve_soon(b);
    if (at->p)
        return at->p;
    if (at->opening) {
        (void)mr_fail(err, MR_AGAIN, "partition %s-%d is being recovered; try again", pub->name, partition);
        *why = MR_REFUSE_NOT_LEADER;
        return NULL;
    }
    struct mr_partition *p = mr_place_open(b, t, partition, err);
    if (!p)
        *why = MR_REFUSE_STORAGE;
    return p;
}

struct mr_partition *mr_broker_partition_ready(struct mr_broker *b, const struct mr_topic *t,
                                               int32_t partition, enum mr_refusal *why, struct mr_err *err)
{
    (void)mr_broker_await(b, t, partition, NULL);
    return mr_broker_partition(b, t, partition, why, err);
}

struct mr_partition *mr_broker_partition_open(const struct mr_broker *b, const struct mr_topic *pub,
                                              int32_t partition)
{
    const struct topic *t = (const struct topic *)(const void *)pub;
    return b->closing || partition < 0 || partition >= pub->partitions ? NULL : t->place[partition].p;
}

/* ------------------------------------------------------------------ looking after them */

/* Retention also concerns partitions that are closed: those that may have something to drop are opened, a few
 * of them a tick. */
static bool worth_opening(struct mr_broker *b, const struct topic *t, int32_t i, int64_t wall_ms)
{
    char path[MR_BROKER_PATH_BYTES];
    struct mr_stat st;
    if (t->place[i].opening || t->place[i].due > wall_ms)
        return false;
    mr_partition_path(b, mr_slice_of(t->pub.name), i, path);
    return mr_stat_path(b->world, path, &st, NULL) == MR_OK && !must_recover(b, path);
}

void mr_places_tick(struct mr_broker *b)
{
    int64_t wall_ms = mr_wall(b->world) / 1000000, at = 0, from = b->next_retain;
    int opens = 0;
    struct mr_err err;
    for (size_t k = 0; k < b->count; k++) {
        struct topic *t = b->topics[k];
        for (int32_t i = 0; i < t->pub.partitions; i++, at++) {
            struct place *here = &t->place[i];
            if (!here->p && at >= from && opens < OPENED_A_TICK) {
                b->next_retain = at + 1;
                if (worth_opening(b, t, i, wall_ms)) {
                    opens++;
                    (void)mr_place_open(b, t, i, NULL);
                }
            }
            if (!here->p)
                continue;
            mr_partition_tick(here->p, &err);
            if (err.code) {
                mr_wrap(&err, "partition %s-%d", t->pub.name, i);
                mr_broker_tell(b, MR_ERROR, err.text);
            }
            if (here->used <= b->ticked_uses)
                (void)mr_partition_rest(here->p);
        }
    }
    if (opens < OPENED_A_TICK) /* all were looked at */
        b->next_retain = 0;
    b->ticked_uses = b->uses;
}

/* One partition is compacted at a time: its key map is the memory that compaction takes. */
void mr_place_compact(void *arg)
{
    struct mr_broker *b = arg;
    struct mr_err err;
    int64_t at = 0, asked = b->next_compact;
    bool more = false;
    for (size_t k = 0; k < b->count && !more; k++) {
        struct topic *t = b->topics[k];
        for (int32_t i = 0; i < t->pub.partitions && !more; i++, at++) {
            struct mr_partition *p = t->place[i].p;
            if (!p || (at < asked && !mr_partition_compacting(p)))
                continue;
            more = mr_partition_compact(p, COMPACT_BYTES, &err);
            b->next_compact = at;
            if (err.code) {
                mr_wrap(&err, "partition %s-%d", t->pub.name, i);
                mr_broker_tell(b, MR_ERROR, err.text);
            }
        }
    }
    if (more)
        mr_timer_set(b->world, &b->slice, mr_now(b->world) + COMPACT_EVERY_MS);
    b->compacting = more;
}
bool mr_broker_partition_untouched(const struct mr_broker *b, const struct mr_topic *pub, int32_t partition)
{
    const struct topic *t = (const struct topic *)(const void *)pub;
    char dir[MR_BROKER_PATH_BYTES];
    struct mr_stat st;
    if (partition < 0 || partition >= pub->partitions || t->place[partition].p)
        return false;
    mr_partition_path(b, mr_slice_of(pub->name), partition, dir);
    return mr_stat_path(b->world, dir, &st, NULL) == MR_NOTFOUND;
}

struct adding {
    const struct mr_broker *b;
    const char *dir;
    int64_t bytes;
};

static void add_log_file(void *arg, const char *name)
{
    struct adding *a = arg;
    char path[MR_BROKER_PATH_BYTES + 256];
    struct mr_stat stat;
    (void)snprintf(path, sizeof path, "%s/%.255s", a->dir, name);
    if (mr_ends_with(name, ".log") && mr_stat_path(a->b->world, path, &stat, NULL) == MR_OK)
        a->bytes += stat.size;
}

int64_t mr_broker_partition_bytes(const struct mr_broker *b, const struct mr_topic *pub, int32_t partition)
{
    const struct topic *t = (const struct topic *)(const void *)pub;
    char dir[MR_BROKER_PATH_BYTES];
    struct adding a = {.b = b, .dir = dir};
    mr_assert(partition >= 0 && partition < pub->partitions);
    if (t->place[partition].p)
        return mr_partition_bytes(t->place[partition].p);
    mr_partition_path(b, mr_slice_of(pub->name), partition, dir);
    (void)mr_dir_list(b->world, dir, add_log_file, &a, NULL); /* never used: there is no folder yet */
    return a.bytes;
}
