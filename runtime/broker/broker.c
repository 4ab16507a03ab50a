/* broker.c - opening and closing it all, the tick, producer ids. See broker.h for what lies where. */
#include "base/arena.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/text.h"
#include "broker/broker_inside.h"
#include "broker/node_book.h"
#include "broker/record_file.h"
#include "broker/setting.h"

enum {
    PRODUCER_ID_BLOCK = 1000,
    FLUSH_APART_MAX = 32, /* partitions that are synced one by one */
    OPENED_A_TICK = 16,   /* partitions that the tick opens for retention's sake */
};

void mr_broker_tell(const struct mr_broker *b, enum mr_level level, const char *text)
{
    if (b->config.tell)
        b->config.tell(b->config.tell_arg, level, text);
}

void mr_broker_config_init(struct mr_broker_config *c)
{
    *c = (struct mr_broker_config){
        .auto_create = true,
        .default_partitions = 1,
        .partitions_max = 10000,
        .durable = true,
        .tick_ms = 60000,
    };
    mr_log_config_init(&c->log);
    c->log.file_delete_delay_ms = 60000;
}

static void tick(void *arg)
{
    struct mr_broker *b = arg;
    mr_places_tick(b);
    if (!b->compacting) { /* who has something to compact is asked anew */
        b->next_compact = 0;
        b->slice.fire = mr_place_compact;
        b->slice.arg = b;
        mr_timer_set(b->world, &b->slice, mr_now(b->world));
    }
    mr_timer_set(b->world, &b->tick,
                 mr_now(b->world) + mr_broker_node_settings(b)->log_retention_check_interval_ms);
}

/* ------------------------------------------------------------------ producer ids */

static mr_code producer_ids_write(struct mr_broker *b, int64_t next, struct mr_err *err)
{
    char path[MR_BROKER_PATH_BYTES];
    struct mr_buf text = {0};
    (void)snprintf(path, sizeof path, "%s/producer-ids", b->dir);
    mr_code rc = mr_buf_printf(&text, "millrace producer-ids 1\nnext %lld\n", (long long)next)
                     ? mr_record_file_write(b->world, path, &text, err)
                     : mr_fail(err, MR_MEMORY, "no memory to write '%s'", path);
    mr_buf_fini(&text);
    return rc;
}

static mr_code producer_ids_read(struct mr_broker *b, struct mr_arena *a, struct mr_err *err)
{
    char path[MR_BROKER_PATH_BYTES];
    struct mr_slice lines, word, rest;
    (void)snprintf(path, sizeof path, "%s/producer-ids", b->dir);
    mr_code rc = mr_record_file_read(b->world, path, a, &lines, err);
    if (rc == MR_NOTFOUND)
        return MR_OK;
    if (rc)
        return rc;
    while (mr_record_file_line(&lines, &word, &rest))
        if (mr_slice_eq(word, MR_SLICE("next")) && mr_parse_i64(rest, &b->producer_next)) {
            b->producer_block_end = b->producer_next;
            return MR_OK;
        }
    return mr_fail(err, MR_CORRUPT, "'%s' has no line 'next'", path);
}

mr_code mr_broker_producer_id(struct mr_broker *b, int64_t *out, struct mr_err *err)
{
    if (b->producer_next == b->producer_block_end) { /* written before any of the block is given */
        mr_code rc = producer_ids_write(b, b->producer_block_end + PRODUCER_ID_BLOCK, err);
        if (rc)
            return rc;
        b->producer_block_end += PRODUCER_ID_BLOCK;
    }
    *out = b->producer_next++;
    return MR_OK;
}

/* ------------------------------------------------------------------ start and stop */

struct mr_node_book *mr_broker_node_book(const struct mr_broker *b)
{
    return b->book;
}

const struct mr_node_settings *mr_broker_node_settings(const struct mr_broker *b)
{
    return mr_node_book_now(b->book);
}

/* Topics follow in what they do not say themselves. */
static void follow_book(void *arg)
{
    struct mr_broker *b = arg;
    b->defaults = mr_broker_node_settings(b)->topic;
    for (size_t k = 0; k < b->count; k++) {
        struct topic *t = b->topics[k];
        mr_setting_inherit(&b->defaults, t->given, &t->pub.config);
        for (int32_t i = 0; i < t->pub.partitions; i++)
            if (t->place[i].p)
                mr_partition_configure(t->place[i].p, &t->pub.config);
            else
                t->place[i].due = 0;
    }
}

mr_code mr_broker_open(struct mr_world *w, const char *data_dir, const struct mr_broker_config *config,
                       struct mr_broker **out, struct mr_err *err)
{
    struct mr_broker *b = mr_alloc(sizeof *b);
    if (!b)
        return mr_fail(err, MR_MEMORY, "no memory for the broker");
    if (strlen(data_dir) >= sizeof b->dir) {
        mr_free(b);
        return mr_fail(err, MR_LIMIT, "data directory '%.200s...' has too long a path", data_dir);
    }
    b->world = w;
    b->config = *config;
    if (!(b->pool = mr_log_pool_new(w))) {
        mr_free(b);
        return mr_fail(err, MR_MEMORY, "no memory for the broker");
    }
    (void)snprintf(b->dir, sizeof b->dir, "%s", data_dir);
    mr_map_init(&b->by_name, MR_BROKER_TOPICS_MAX);
    mr_map_init(&b->by_id, MR_BROKER_TOPICS_MAX);
    mr_map_init(&b->coming, MR_BROKER_TOPICS_MAX);
    b->changes_end = &b->changes;

    struct mr_heap_arena arena;
    mr_heap_arena_init(&arena, 16 << 10, 0, (size_t)1 << 30);
    mr_code rc = mr_node_book_open(w, data_dir, config, follow_book, b, &b->book, err);
    if (rc == MR_OK) {
        b->defaults = mr_broker_node_settings(b)->topic;
        rc = mr_catalogue_load(b, &arena.arena, err);
    }
    if (rc == MR_OK)
        rc = producer_ids_read(b, &arena.arena, err);
    mr_heap_arena_fini(&arena);
    if (rc) {
        mr_wrap(err, "cannot open data directory '%s'", data_dir);
        mr_broker_close(b);
        return rc;
    }
    b->tick.fire = tick;
    b->tick.arg = b;
    if (config->tick_ms > 0)
        mr_timer_set(w, &b->tick, mr_now(w) + mr_broker_node_settings(b)->log_retention_check_interval_ms);
    mr_changes_begin(b);
    mr_places_begin(b);
    *out = b;
    return MR_OK;
}

/* ------------------------------------------------------------------ flushing
 *
 * Few partitions are synced one by one. Of many the whole disk is flushed first, in one go: their own syncs
 * then find nothing to do.
 */
static void one_flushed(void *arg, mr_code rc, int sys)
{
    struct mr_broker *b = arg;
    (void)rc; /* a partition that failed has told its own producers */
    (void)sys;
    mr_assert(b->flushing > 0);
    if (--b->flushing == 0 && !b->closing)
        b->flushed(b->flushed_arg);
}

static void flush_each(struct mr_broker *b)
{
    for (size_t k = 0; k < b->count; k++)
        for (int32_t i = 0; i < b->topics[k]->pub.partitions; i++) {
            struct mr_partition *p = b->topics[k]->place[i].p;
            if (p && mr_partition_flush(p, one_flushed, b))
                b->flushing++;
        }
    one_flushed(b, MR_OK, 0);
}

/* It may outlive the broker: then `broker` is NULL. */
struct mr_broker_ticket {
    struct mr_broker *broker;
};

static void disk_flushed(void *arg, mr_code rc, int sys)
{
    struct mr_broker_ticket *ticket = arg;
    struct mr_broker *b = ticket->broker;
    (void)rc; /* each partition's own sync will say the same */
    (void)sys;
    mr_free(ticket);
    if (b) {
        b->disk_flush = NULL;
        flush_each(b);
    }
}

static uint32_t unflushed(const struct mr_broker *b)
{
    uint32_t count = 0;
    for (size_t k = 0; k < b->count; k++)
        for (int32_t i = 0; i < b->topics[k]->pub.partitions; i++) {
            const struct mr_partition *p = b->topics[k]->place[i].p;
            count += p && !mr_partition_flushed(p);
        }
    return count;
}

void mr_broker_flush(struct mr_broker *b, void (*done)(void *arg), void *arg)
{
    mr_assert(b->flushing == 0);
    b->flushed = done;
    b->flushed_arg = arg;
    b->flushing = 1;
    if (unflushed(b) > FLUSH_APART_MAX && (b->disk_flush = mr_alloc(sizeof *b->disk_flush))) {
        b->disk_flush->broker = b;
        mr_disk_flush_later(b->world, b->dir, disk_flushed, b->disk_flush);
        return;
    }
    flush_each(b);
}

void mr_broker_close(struct mr_broker *b)
{
    if (!b)
        return;
    b->closing = true;
    if (b->disk_flush)
        b->disk_flush->broker = NULL;
    mr_timer_stop(b->world, &b->tick);
    mr_timer_stop(b->world, &b->slice);
    mr_places_end(b);
    mr_changes_end(b);
    for (size_t k = 0; k < b->count; k++) {
        struct topic *t = b->topics[k];
        for (int32_t i = 0; i < t->pub.partitions; i++) {
            struct mr_partition *p = t->place[i].p;
            t->place[i].p = NULL;
            b->open_count -= p != NULL;
            mr_partition_close(p);
        }
        mr_topic_free(t);
    }
    mr_free(b->topics);
    mr_node_book_close(b->book);
    mr_map_fini(&b->by_name, NULL);
    mr_map_fini(&b->by_id, NULL);
    mr_log_pool_free(b->pool);
    mr_map_fini(&b->coming, NULL);
    mr_free(b);
}
