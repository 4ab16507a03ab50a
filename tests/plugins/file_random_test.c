/* file_random_test.c - laws of the file source under random histories.
 *
 * A writer appends numbered lines, in pieces that do not respect lines, and rotates; the reader reads some,
 * acknowledges some, is killed or stopped and comes back with the positions that were stored. At the end:
 *
 *   L1  no line is missing
 *   L2  a line that was acknowledged is not read again; so with clean stops alone none comes twice
 *   L3  lines of one file come in order within one life of the reader
 */
#include "plugins/reader.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "sim/seeds.h"

static uint64_t state;
static uint32_t below(uint32_t bound)
{
    state += 0x9e3779b97f4a7c15u;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (uint32_t)(((z ^ (z >> 31)) >> 32) * bound >> 32);
}

enum { LINES_MAX = 60000 };
struct world {
    char *dir;
    char log[512];
    int fd;
    int next;       /* number of the next line */
    char tail[512]; /* of the last line, not written yet */
    uint8_t came[LINES_MAX], acked[LINES_MAX];
    bool killed;
};

static void finish_line(struct world *w)
{
    size_t len = strlen(w->tail);
    assert_int_equal(write(w->fd, w->tail, len), len);
    w->tail[0] = '\0';
}

static void write_some(struct world *w)
{
    finish_line(w);
    static const char filler[] =
        "................................................................................"
        "................................................................................";
    char line[512];
    uint32_t lines = below(4) == 0 ? below(3000) : below(20);
    for (uint32_t i = 0; i < lines && w->next < LINES_MAX; i++) {
        int n = snprintf(line, sizeof line, "%d %.*s\n", w->next++, (int)below(160), filler);
        assert_int_equal(write(w->fd, line, (size_t)n), n);
    }
    if (below(2) && w->next < LINES_MAX) { /* part of a line */
        int n = snprintf(line, sizeof line, "%d %.*s\n", w->next++, (int)below(160), filler);
        uint32_t cut = below((uint32_t)n);
        assert_int_equal(write(w->fd, line, cut), cut);
        (void)snprintf(w->tail, sizeof w->tail, "%s", line + cut);
    }
}

static void rotate(struct world *w)
{
    char from[600], to[600];
    finish_line(w);
    for (int i = 200; i >= 1; i--) {
        (void)snprintf(from, sizeof from, "%s.%d", w->log, i);
        (void)snprintf(to, sizeof to, "%s.%d", w->log, i + 1);
        if (access(from, F_OK) == 0)
            assert_int_equal(rename(from, to), 0);
    }
    (void)snprintf(to, sizeof to, "%s.1", w->log);
    assert_int_equal(rename(w->log, to), 0);
    if (below(2)) /* the writer may go on in the old file for a while */
        write_some(w);
    finish_line(w);
    (void)close(w->fd);
    w->fd = open(w->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    assert_true(w->fd >= 0);
}

/* Which lines came with the unacknowledged batches, in order of batches. */
struct pending {
    int *v;
    size_t count, cap;
    size_t batch[256]; /* lines in each unacked batch */
};

static void take_lines(struct world *w, struct reader *r, struct pending *q, size_t from, uint64_t seed)
{
    for (size_t i = from; i < r->count; i++) {
        int n = atoi(r->lines[i].text);
        if (n < 0 || n >= w->next)
            fail_msg("a line that nobody wrote: '%s': rerun with MR_SEED=%" PRIu64, r->lines[i].text, seed);
        if (w->acked[n])
            fail_msg("line %d was acknowledged and is read again: rerun with MR_SEED=%" PRIu64, n,
                     seed); /* L2 */
        if (w->came[n] && !w->killed)
            fail_msg("line %d comes twice: rerun with MR_SEED=%" PRIu64, n, seed); /* L2 */
        w->came[n] = 1;
        if (q->count == q->cap) {
            q->cap = q->cap ? q->cap * 2 : 1024;
            q->v = realloc(q->v, q->cap * sizeof *q->v);
        }
        q->v[q->count++] = n;
    }
    q->batch[r->unacked_count - 1] = r->count - from;
    for (size_t i = from + 1; i < r->count; i++) {
        if (atoi(r->lines[i].text) <= atoi(r->lines[i - 1].text))
            fail_msg("line %s follows %s: rerun with MR_SEED=%" PRIu64, r->lines[i].text,
                     r->lines[i - 1].text, seed); /* L3 */
    }
}

static void acknowledge(struct world *w, struct reader *r, struct pending *q, uint32_t batches)
{
    size_t lines = 0;
    for (uint32_t i = 0; i < batches; i++)
        lines += q->batch[i];
    for (size_t i = 0; i < lines; i++)
        w->acked[q->v[i]] = 1;
    if (lines)
        memmove(q->v, q->v + lines, (q->count - lines) * sizeof *q->v);
    q->count -= lines;
    memmove(q->batch, q->batch + batches, (r->unacked_count - batches) * sizeof *q->batch);
    reader_ack(r, batches);
}

static void read_some(struct world *w, struct reader *r, struct pending *q, uint32_t most, uint64_t seed)
{
    for (uint32_t i = 0; i < most; i++) {
        if (r->unacked_count == 200)
            acknowledge(w, r, q, 100);
        r->m->woken = false;
        mr_code rc = reader_read(r);
        if (rc == MR_AGAIN && !r->m->woken)
            break;
        if (rc == MR_OK) {
            take_lines(w, r, q, 0, seed);
            reader_forget_lines(r);
            const struct mr_batch *b = r->unacked[r->unacked_count - 1];
            if (b->rows == 0 && b->pos.len) /* the first word about a file: nothing to wait for */
                mock_store(r->m, b->pos_key, b->pos);
        }
    }
}

static void history(uint64_t seed, bool kills, bool wide)
{
    struct world *w = calloc(1, sizeof *w);
    struct pending q = {0};
    state = seed * 7919 + (kills ? 1 : 0) + (wide ? 2 : 0);
    w->dir = folder_new();
    (void)snprintf(w->log, sizeof w->log, "%s/app.log", w->dir);
    w->fd = open(w->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    struct reader *r = reader_new("{ paths: [ \"%s%s\" ], read_chunk: %s, max_line: 64KiB, flush_after: 1h }",
                                  w->log, wide ? "*" : "", below(2) ? "4KiB" : "64KiB");
    r->hold = true;
    write_some(w);
    assert_int_equal(reader_open(r), MR_OK);
    for (int step = 0; step < 120; step++) {
        switch (below(8)) {
        case 0:
        case 1:
        case 2:
            write_some(w);
            break;
        case 3:
            rotate(w);
            break;
        case 4:
            read_some(w, r, &q, below(40), seed);
            break;
        case 5:
            r->m->now += below(3000);
            read_some(w, r, &q, 1000, seed);
            break;
        case 6:
            acknowledge(w, r, &q, r->unacked_count ? below(r->unacked_count + 1) : 0);
            break;
        case 7:
            read_some(w, r, &q, 8, seed); /* what was noticed is known to the store: see above */
            if (kills && below(2)) {
                w->killed = true;
                q.count = 0;
            } else { /* a clean stop drains what was read */
                acknowledge(w, r, &q, r->unacked_count);
            }
            reader_stop(r);
            for (uint32_t down = below(4); down > 0; down--) {
                if (below(2))
                    rotate(w);
                write_some(w);
            }
            assert_int_equal(reader_open(r), MR_OK);
            break;
        }
    }
    finish_line(w);
    for (int i = 0; i < 12; i++) {
        r->m->now += 1000;
        read_some(w, r, &q, 100000, seed);
        acknowledge(w, r, &q, r->unacked_count);
    }
    for (int i = 0; i < w->next; i++) {
        if (!w->acked[i])
            fail_msg("line %d of %d is missing: rerun with MR_SEED=%" PRIu64, i, w->next, seed); /* L1 */
    }
    reader_free(r);
    (void)close(w->fd);
    folder_free(w->dir);
    free(q.v);
    free(w);
}

static void no_line_is_missing_or_doubled_across_clean_stops(void **unused)
{
    (void)unused;
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(8); seed++)
        history(seed, false, false);
}

static void no_line_is_missing_across_kills(void **unused)
{
    (void)unused;
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(8); seed++)
        history(seed, true, false);
}

static void no_line_is_missing_across_kills_when_rotated_names_match(void **unused)
{
    (void)unused;
    for (uint64_t seed = mr_seed_start(); seed < mr_seed_end(8); seed++)
        history(seed, true, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_line_is_missing_or_doubled_across_clean_stops),
        cmocka_unit_test(no_line_is_missing_across_kills),
        cmocka_unit_test(no_line_is_missing_across_kills_when_rotated_names_match),
    };
    return cmocka_run_group_tests_name("file source, random", tests, NULL, NULL);
}
