/* file_source_test.c - the file source: lines, following, rotation, positions. */
#include "plugins/reader.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    char *dir;
    char log[512], rotated[512], second[512];
};

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    p->dir = folder_new();
    (void)snprintf(p->log, sizeof p->log, "%s/app.log", p->dir);
    (void)snprintf(p->rotated, sizeof p->rotated, "%s/app.log.1", p->dir);
    (void)snprintf(p->second, sizeof p->second, "%s/app.log.2", p->dir);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    folder_free(p->dir);
    free(p);
    return 0;
}

static struct reader *following(const struct place *p, const char *more)
{
    struct reader *r = reader_new("{ paths: [ \"%s\" ]%s%s }", p->log, *more ? ", " : "", more);
    assert_int_equal(reader_open(r), MR_OK);
    return r;
}

static void pass(struct reader *r, mr_ms ms)
{
    r->m->now += ms;
    assert_int_equal(reader_pull(r), MR_AGAIN);
}

/* After ms, one pass reads these lines, joined with '|'. A macro, so that a failure names the story's line. */
#define assert_reads(r, ms, want)                                                                            \
    do {                                                                                                     \
        pass(r, ms);                                                                                         \
        assert_string_equal(reader_take(r), want);                                                           \
    } while (0)

/* ---------------------------------------------------------------- lines */

static struct row {
    const char *name, *text, *options, *want;
} rows[] = {
    {"an empty file has no lines", "", "", ""},
    {"lines come without their newlines", "a\nbc\n", "", "a|bc"},
    {"an empty line is an event", "a\n\nb\n", "", "a||b"},
    {"a last line without newline comes at the end", "a\nb", "", "a|b"},
    {"carriage returns before newlines go", "a\r\nb\r\n\r\n", "", "a|b|"},
    {"a carriage return inside a line stays", "a\rb\n", "", "a\rb"},
    {"only one carriage return goes", "a\r\r\n", "", "a\r"},
    {"carriage returns stay when told so", "a\r\n", "crlf: false", "a\r"},
    {"invalid UTF-8 stays as it is", "\xff\xfe\xc3\n\x80\n", "", "\xff\xfe\xc3|\x80"},
    {"a line of max_line bytes is whole", "abcd\nx\n", "max_line: 4", "abcd|x"},
    {"a line of max_line bytes and a carriage return is whole", "abcd\r\nx\r\n", "max_line: 4", "abcd|x"},
    {"a longer line is truncated", "abcde\nx\n", "max_line: 4", "abcd|x"},
    {"a longer line is split", "abcdefghi\nx\n", "max_line: 4, over_long: split", "abcd|efgh|i|x"},
    {"a longer line is dropped", "abcde\nx\n", "max_line: 4, over_long: drop", "x"},
    {"a longer last line is truncated", "x\nabcdefg", "max_line: 4", "x|abcd"},
    {"a longer last line is split", "x\nabcdefg", "max_line: 4, over_long: split", "x|abcd|efg"},
    {"a longer last line is dropped", "x\nabcdefg", "max_line: 4, over_long: drop", "x"},
};

static void cut(void **state)
{
    struct row *row = *state;
    struct place *p = NULL;
    (void)set_up((void **)&p);
    put(p->log, row->text);
    char more[128];
    (void)snprintf(more, sizeof more, "mode: once%s%s", *row->options ? ", " : "", row->options);
    struct reader *r = following(p, more);
    assert_int_equal(reader_pull(r), MR_END);
    assert_string_equal(reader_take(r), row->want);
    reader_free(r);
    (void)tear_down((void **)&p);
}

static void nul_bytes_are_text(void **state)
{
    struct place *p = *state;
    append_bytes(p->log, "a\0b\n\0\n", 6);
    struct reader *r = following(p, "mode: once");
    assert_int_equal(reader_pull(r), MR_END);
    assert_int_equal(r->count, 2);
    assert_int_equal(r->lines[0].len, 3);
    assert_memory_equal(r->lines[0].text, "a\0b", 3);
    assert_int_equal(r->lines[1].len, 1);
    reader_free(r);
}

static void offsets_are_bytes_from_the_beginning(void **state)
{
    struct place *p = *state;
    put(p->log, "a\r\nbcd\n\ne");
    struct reader *r = following(p, "mode: once");
    assert_int_equal(reader_pull(r), MR_END);
    static const int64_t want[] = {0, 3, 7, 8};
    assert_int_equal(r->count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(r->lines[i].offset, want[i]);
    assert_string_equal(r->lines[0].source, p->log);
    reader_free(r);
}

/* Ten million bytes without a newline, between short lines, with each way to treat them. */
static void a_line_of_ten_megabytes_stops_nothing(void **state)
{
    struct place *p = *state;
    size_t len = 10 << 20;
    char *big = malloc(len);
    memset(big, 'x', len);
    put(p->log, "before\n");
    append_bytes(p->log, big, len);
    append(p->log, "\nafter\n");
    free(big);
    static const struct {
        const char *options;
        size_t count, second;
    } ways[] = {
        {"mode: once, max_line: 16MiB", 3, 10 << 20},
        {"mode: once", 3, 1 << 20},
        {"mode: once, over_long: split", 12, 1 << 20},
        {"mode: once, over_long: split, max_line: 1000", 2 + (10 << 20) / 1000 + 1, 1000},
        {"mode: once, over_long: drop", 2, 5},
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct reader *r = following(p, ways[i].options);
        assert_int_equal(reader_pull(r), MR_END);
        assert_int_equal(r->count, ways[i].count);
        assert_int_equal(r->lines[1].len, ways[i].second);
        assert_string_equal(r->lines[0].text, "before");
        assert_string_equal(r->lines[r->count - 1].text, "after");
        size_t sum = 0;
        for (size_t k = 1; k + 1 < r->count; k++)
            sum += r->lines[k].len;
        if (strstr(ways[i].options, "split"))
            assert_int_equal(sum, len);
        assert_int_equal(mock_count(r->m, "over_long_lines") > 0, i > 0);
        reader_free(r);
    }
}

static void a_long_line_that_grows_comes_whole(void **state)
{
    struct place *p = *state;
    put(p->log, "");
    struct reader *r = following(p, "read_chunk: 4KiB, max_line: 1MiB");
    char piece[3000];
    memset(piece, 'y', sizeof piece);
    for (int i = 0; i < 100; i++) {
        append_bytes(p->log, piece, sizeof piece);
        assert_int_equal(reader_pull(r), MR_AGAIN);
        assert_int_equal(r->count, 0);
    }
    append(p->log, "\nz\n");
    assert_int_equal(reader_pull(r), MR_AGAIN);
    assert_int_equal(r->count, 2);
    assert_int_equal(r->lines[0].len, 300000);
    assert_string_equal(r->lines[1].text, "z");
    reader_free(r);
}

/* More lines than a batch holds, of every length around the edges of a block. */
static void lines_of_all_lengths_come_whole_and_in_order(void **state)
{
    struct place *p = *state;
    FILE *f = fopen(p->log, "wb");
    for (int i = 0; i < 20000; i++)
        fprintf(f, "%d %.*s\n", i, i % 97,
                "............................................................................................"
                "....");
    for (int i = 20000; i < 30000; i++)
        fprintf(f, "%d\n", i);
    (void)fclose(f);
    struct reader *r = following(p, "mode: once, read_chunk: 4KiB");
    assert_int_equal(reader_pull(r), MR_END);
    assert_int_equal(r->count, 30000);
    for (size_t i = 0; i < r->count; i++) {
        assert_int_equal(atoi(r->lines[i].text), i);
        if (i < 20000)
            assert_int_equal(r->lines[i].len, (size_t)snprintf(NULL, 0, "%zu ", i) + i % 97);
    }
    reader_free(r);
}

/* ---------------------------------------------------------------- following */

static void new_lines_come_at_once(void **state)
{
    struct place *p = *state;
    put(p->log, "a\n");
    struct reader *r = following(p, "");
    assert_reads(r, 0, "a");
    append(p->log, "b\nc\n");
    pass(r, 0); /* no time has passed: inotify */
    assert_string_equal(reader_take(r), "b|c");
    reader_free(r);
}

static void a_new_file_is_noticed_at_once_and_read_from_its_head(void **state)
{
    struct place *p = *state;
    struct reader *r = following(p, "start: tail");
    pass(r, 0);
    put(p->log, "a\nb\n");
    assert_reads(r, 0, "a|b");
    reader_free(r);
}

static void a_folder_that_comes_later_is_noticed(void **state)
{
    struct place *p = *state;
    char path[600];
    struct reader *r = reader_new("{ paths: [ \"%s/**/x.log\" ] }", p->dir);
    assert_int_equal(reader_open(r), MR_OK);
    pass(r, 0);
    (void)snprintf(path, sizeof path, "%s/new", p->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(path, sizeof path, "%s/new/deep", p->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    pass(r, 0);
    (void)snprintf(path, sizeof path, "%s/new/deep/x.log", p->dir);
    put(path, "deep\n");
    assert_reads(r, 0, "deep");
    reader_free(r);
}

static void a_rescan_alone_finds_everything(void **state)
{
    struct place *p = *state;
    put(p->log, "a\n");
    struct reader *r = following(p, "");
    pass(r, 0);
    (void)reader_take(r);
    /* the queue is emptied behind its back: as good as an overflow */
    char nothing[65536];
    append(p->log, "b\n");
    for (int i = 0; i < MOCK_WATCHES; i++) {
        if (r->m->watched[i] >= 0)
            assert_true(read(r->m->watched[i], nothing, sizeof nothing) > 0);
    }
    assert_reads(r, 0, "");
    assert_reads(r, 1000, "b");
    reader_free(r);
}

static void an_idle_source_asks_for_one_timer_a_rescan(void **state)
{
    struct place *p = *state;
    put(p->log, "a\n");
    struct reader *r = following(p, "rescan: 2s");
    pass(r, 0);
    assert_int_equal(r->m->timer, r->m->now + 2000);
    assert_false(r->m->woken);
    reader_free(r);
}

static void an_incomplete_line_waits_for_its_end(void **state)
{
    struct place *p = *state;
    put(p->log, "a\nhal");
    struct reader *r = following(p, "");
    assert_reads(r, 0, "a");
    pass(r, 4000);
    append(p->log, "f");
    pass(r, 0);
    assert_reads(r, 4999, "");
    append(p->log, " a line\nb\n");
    assert_reads(r, 0, "half a line|b");
    reader_free(r);
}

static void an_incomplete_line_comes_after_flush_after(void **state)
{
    struct place *p = *state;
    put(p->log, "a\nrest");
    struct reader *r = following(p, "");
    pass(r, 0);
    (void)reader_take(r);
    assert_int_equal(r->m->timer <= r->m->now + 5000, true);
    assert_reads(r, 5000, "rest");
    append(p->log, "\nb\n"); /* its newline belongs to it, and is no empty line */
    assert_reads(r, 0, "b");
    reader_free(r);
}

static void a_position_behind_an_incomplete_line_remembers_its_newline(void **state)
{
    struct place *p = *state;
    put(p->log, "rest");
    struct reader *r = following(p, "");
    pass(r, 0);
    assert_reads(r, 5000, "rest");
    reader_stop(r);
    append(p->log, "\r\nb\n");
    assert_int_equal(reader_open(r), MR_OK);
    assert_reads(r, 0, "b");
    reader_free(r);
}

static void start_tail_skips_what_is_there_but_no_part_of_a_line(void **state)
{
    struct place *p = *state;
    put(p->log, "old\nhal");
    struct reader *r = following(p, "start: tail");
    pass(r, 0);
    append(p->log, "f\nnew\n");
    assert_reads(r, 0, "half|new");
    reader_free(r);
}

static void start_tail_is_for_the_first_start_only(void **state)
{
    struct place *p = *state;
    put(p->log, "old\n");
    struct reader *r = following(p, "start: tail");
    pass(r, 0);
    reader_stop(r);
    append(p->log, "while down\n"); /* its position was stored though no event came */
    assert_int_equal(reader_open(r), MR_OK);
    assert_reads(r, 0, "while down");
    reader_free(r);
}

static void files_take_turns(void **state)
{
    struct place *p = *state;
    char a[600], b[600];
    (void)snprintf(a, sizeof a, "%s/a.log", p->dir);
    (void)snprintf(b, sizeof b, "%s/b.log", p->dir);
    for (int i = 0; i < 2000; i++) {
        append(a, "a line of some length of file a\n");
        append(b, "a line of some length of file b\n");
    }
    struct reader *r = reader_new("{ paths: [ \"%s/*.log\" ], read_chunk: 4KiB }", p->dir);
    assert_int_equal(reader_open(r), MR_OK);
    for (int i = 0; i < 10; i++) {
        size_t before = r->count;
        assert_int_equal(reader_read(r), MR_OK);
        if (before) /* every batch is of the other file than the one before */
            assert_string_not_equal(r->lines[before].source, r->lines[before - 1].source);
    }
    reader_free(r);
}

/* ---------------------------------------------------------------- identity */

static void two_names_of_one_file_are_one(void **state)
{
    struct place *p = *state;
    char hard[600], soft[600];
    put(p->log, "a\n");
    (void)snprintf(hard, sizeof hard, "%s/hard.log", p->dir);
    (void)snprintf(soft, sizeof soft, "%s/soft.log", p->dir);
    assert_int_equal(link(p->log, hard), 0);
    assert_int_equal(symlink(p->log, soft), 0);
    struct reader *r = reader_new("{ paths: [ \"%s/*.log\", \"%s\" ] }", p->dir, p->log);
    assert_int_equal(reader_open(r), MR_OK);
    pass(r, 0);
    append(soft, "b\n");
    pass(r, 1000);
    assert_reads(r, 1000, "a|b");
    assert_int_equal(mock_count(r->m, "open_files"), 1);
    reader_free(r);
    r = reader_new("{ paths: [ \"%s/*.log\" ], mode: once }", p->dir);
    assert_int_equal(reader_open(r), MR_OK);
    assert_int_equal(reader_pull(r), MR_END);
    assert_string_equal(reader_take(r), "a|b");
    reader_free(r);
}

static void two_files_that_begin_alike_are_two(void **state)
{
    struct place *p = *state;
    char other[600];
    (void)snprintf(other, sizeof other, "%s/b.log", p->dir);
    put(p->log, "same\n");
    put(other, "same\n");
    struct reader *r = reader_new("{ paths: [ \"%s/*.log\" ] }", p->dir);
    assert_int_equal(reader_open(r), MR_OK);
    assert_reads(r, 0, "same|same");
    reader_free(r);
}

static void an_inode_given_to_a_new_file_is_a_new_file(void **state)
{
    struct place *p = *state;
    struct stat before, after;
    put(p->log, "first\nsecond\n");
    struct reader *r = following(p, "");
    pass(r, 0);
    (void)reader_take(r);
    reader_stop(r);
    assert_int_equal(stat(p->log, &before), 0);
    assert_int_equal(unlink(p->log), 0);
    put(p->log, "fresh\nlines\nof another file\n");
    assert_int_equal(stat(p->log, &after), 0);
    if (before.st_ino != after.st_ino)
        print_message("         (the file system gave another inode: the test is weaker here)\n");
    assert_int_equal(reader_open(r), MR_OK);
    assert_reads(r, 0, "fresh|lines|of another file");
    reader_free(r);
}

static void a_position_behind_the_end_starts_from_the_head(void **state)
{
    struct place *p = *state;
    put(p->log, "a\nb\nc\n");
    struct reader *r = following(p, "");
    pass(r, 0);
    (void)reader_take(r);
    reader_stop(r);
    put(p->log, "a\n"); /* the same inode, the same head, shorter */
    assert_int_equal(reader_open(r), MR_OK);
    assert_reads(r, 0, "a");
    reader_free(r);
}

static void a_changed_device_number_is_the_same_file(void **state)
{
    struct place *p = *state;
    struct stat st;
    char key[64];
    put(p->log, "a\nb\n");
    struct reader *r = following(p, "");
    pass(r, 0);
    (void)reader_take(r);
    reader_stop(r);
    assert_int_equal(stat(p->log, &st), 0);
    (void)snprintf(key, sizeof key, "%" PRIx64 ":%" PRIx64, (uint64_t)st.st_dev, (uint64_t)st.st_ino);
    char *pos = strdup(mock_stored(r->m, key));
    mock_forget(r->m);
    (void)snprintf(key, sizeof key, "%" PRIx64 ":%" PRIx64, (uint64_t)st.st_dev + 77, (uint64_t)st.st_ino);
    mock_store(r->m, mr_slice_of(key), mr_slice_of(pos));
    free(pos);
    append(p->log, "c\n");
    assert_int_equal(reader_open(r), MR_OK);
    assert_reads(r, 0, "c");
    reader_free(r);
}

static void a_damaged_position_is_told_and_left_out(void **state)
{
    struct place *p = *state;
    put(p->log, "a\n");
    struct reader *r = reader_new("{ paths: [ \"%s\" ] }", p->log);
    mock_store(r->m, MR_SLICE("zz:1"), MR_SLICE("rubbish"));
    mock_store(r->m, MR_SLICE("1:1"), MR_SLICE("1 -5 9999 0 0 /x"));
    assert_int_equal(reader_open(r), MR_OK);
    assert_non_null(strstr(r->m->log, "rubbish"));
    assert_reads(r, 0, "a");
    reader_free(r);
}

/* ---------------------------------------------------------------- rotation */

static void a_renamed_file_is_read_to_its_end(void **state)
{
    struct place *p = *state;
    put(p->log, "a\n");
    struct reader *r = following(p, "");
    pass(r, 0);
    append(p->log, "b\n");
    assert_int_equal(rename(p->log, p->rotated), 0);
    append(p->rotated, "c\n");
    put(p->log, "d\n");
    pass(r, 0);
    pass(r, 4000);
    append(p->rotated, "late\n"); /* the writer has not noticed yet */
    pass(r, 0);
    pass(r, 4999); /* quiet, but not for long enough */
    append(p->rotated, "later\n");
    pass(r, 0);
    pass(r, 5000);
    pass(r, 1000);
    assert_int_equal(mock_count(r->m, "open_files"), 1);
    assert_string_equal(reader_take(r), "a|b|c|d|late|later");
    reader_free(r);
}

static void a_renamed_file_with_unread_lines_is_not_closed(void **state)
{
    struct place *p = *state;
    put(p->log, "a line\n");
    struct reader *r = following(p, "rotate_wait: 0s, read_chunk: 4KiB");
    pass(r, 0);
    for (int i = 0; i < 5000; i++)
        append(p->log, "a line\n");
    assert_int_equal(rename(p->log, p->rotated), 0);
    r->m->now += 100000;
    assert_int_equal(reader_read(r), MR_OK); /* one block of it */
    r->m->now += 100000;
    pass(r, 0);
    assert_int_equal(r->count, 5001);
    reader_free(r);
}

static void a_rotated_name_that_matches_too_is_the_same_file(void **state)
{
    struct place *p = *state;
    put(p->log, "a\n");
    struct reader *r = reader_new("{ paths: [ \"%s*\" ] }", p->log);
    assert_int_equal(reader_open(r), MR_OK);
    pass(r, 0);
    assert_int_equal(rename(p->log, p->rotated), 0);
    put(p->log, "b\n");
    pass(r, 0);
    pass(r, 10000);
    append(p->rotated, "c\n");
    assert_reads(r, 1000, "a|b|c");
    reader_free(r);
}

static void a_deleted_file_is_read_to_its_end_and_forgotten(void **state)
{
    struct place *p = *state;
    put(p->log, "a\n");
    struct reader *r = following(p, "");
    pass(r, 0);
    int fd = open(p->log, O_WRONLY | O_APPEND);
    assert_int_equal(unlink(p->log), 0);
    assert_int_equal(write(fd, "b\nc", 3), 3);
    assert_reads(r, 0, "a|b");
    assert_int_equal(r->m->stored_count, 1);
    pass(r, 1000);
    (void)close(fd);
    for (int i = 0; i < 15; i++)
        pass(r, 1000);
    assert_string_equal(reader_take(r), "c");
    assert_int_equal(mock_count(r->m, "open_files"), 0);
    assert_int_equal(r->m->stored_count, 0);
    reader_free(r);
}

static void a_file_made_again_is_read_from_its_head(void **state)
{
    struct place *p = *state;
    struct reader *r = following(p, "rotate_wait: 0s");
    for (int i = 0; i < 5; i++) { /* the inode comes back each time, on most file systems */
        char text[64], want[64];
        (void)snprintf(text, sizeof text, "round %d\nof five\n", i);
        (void)snprintf(want, sizeof want, "round %d|of five", i);
        put(p->log, text);
        assert_reads(r, 0, want);
        assert_int_equal(unlink(p->log), 0);
        pass(r, 1000);
        pass(r, 1000);
        assert_int_equal(mock_count(r->m, "open_files"), 0);
    }
    reader_free(r);
}

static void a_truncated_file_is_read_from_its_head_and_counted(void **state)
{
    struct place *p = *state;
    put(p->log, "a long line\nand another\n");
    struct reader *r = following(p, "");
    pass(r, 0);
    (void)reader_take(r);
    put(p->log, "b\n"); /* fopen with w: the same inode */
    assert_reads(r, 0, "b");
    assert_int_equal(mock_count(r->m, "truncated_files"), 1);
    reader_free(r);
}

static void a_truncated_file_that_has_grown_past_the_old_offset_is_noticed(void **state)
{
    struct place *p = *state;
    put(p->log, "a\nb\n");
    struct reader *r = following(p, "");
    pass(r, 0);
    (void)reader_take(r);
    put(p->log, "much longer than what was there before\nx\n");
    assert_reads(r, 0, "much longer than what was there before|x");
    assert_int_equal(mock_count(r->m, "rewritten_files"), 1);
    reader_free(r);
}

static void what_was_rotated_while_down_is_read_to_its_end(void **state)
{
    struct place *p = *state;
    put(p->log, "a\n");
    struct reader *r = following(p, "");
    pass(r, 0);
    reader_stop(r);
    append(p->log, "last words\n");
    assert_int_equal(rename(p->log, p->rotated), 0);
    put(p->log, "new\n");
    assert_int_equal(reader_open(r), MR_OK);
    pass(r, 0);
    assert_reads(r, 10000, "a|last words|new");
    reader_free(r);
}

static void what_was_rotated_twice_while_down_is_read_whole(void **state)
{
    struct place *p = *state;
    char zipped[600];
    put(p->log, "a\n");
    struct reader *r = following(p, "");
    pass(r, 0);
    (void)reader_take(r);
    reader_stop(r);
    append(p->log, "b\n");
    assert_int_equal(rename(p->log, p->rotated), 0);
    put(p->log, "never seen\n");
    assert_int_equal(rename(p->rotated, p->second), 0);
    assert_int_equal(rename(p->log, p->rotated), 0);
    put(p->log, "new\n");
    (void)snprintf(zipped, sizeof zipped, "%s.3.gz", p->log);
    put(zipped, "not a line of ours\n");
    for (int once = 0; once < 2; once++) {
        struct reader *again = reader_new("{ paths: [ \"%s\" ]%s }", p->log, once ? ", mode: once" : "");
        for (uint32_t i = 0; i < r->m->stored_count; i++)
            mock_store(again->m, mr_slice_of(r->m->stored[i].key), mr_slice_of(r->m->stored[i].pos));
        assert_int_equal(reader_open(again), MR_OK);
        mr_code rc = reader_pull(again);
        assert_int_equal(rc, once ? MR_END : MR_AGAIN);
        assert_int_equal(again->count, 3);
        bool b = false, never = false, new = false;
        for (size_t i = 0; i < 3; i++) {
            b = b || strcmp(again->lines[i].text, "b") == 0;
            never = never || strcmp(again->lines[i].text, "never seen") == 0;
            new = new || strcmp(again->lines[i].text, "new") == 0;
        }
        assert_true(b && never && new);
        reader_free(again);
    }
    reader_free(r);
}

static void files_older_than_the_first_start_are_left_alone(void **state)
{
    struct place *p = *state;
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    put(p->rotated, "ancient\n");
    assert_int_equal(utimensat(AT_FDCWD, p->rotated, old, 0), 0);
    put(p->log, "a\n");
    struct reader *r = following(p, "");
    pass(r, 0);
    reader_stop(r);
    assert_int_equal(rename(p->rotated, p->second), 0);
    assert_int_equal(rename(p->log, p->rotated), 0);
    put(p->log, "b\n");
    assert_int_equal(reader_open(r), MR_OK);
    pass(r, 0);
    assert_reads(r, 10000, "a|b");
    reader_free(r);
}

static void many_quick_rotations_lose_nothing(void **state)
{
    struct place *p = *state;
    char from[600], to[600], text[32];
    put(p->log, "line 0\n");
    struct reader *r = following(p, "");
    pass(r, 0);
    for (int i = 1; i <= 20; i++) { /* all between two looks */
        for (int k = 20; k >= 1; k--) {
            (void)snprintf(from, sizeof from, "%s.%d", p->log, k);
            (void)snprintf(to, sizeof to, "%s.%d", p->log, k + 1);
            (void)rename(from, to);
        }
        assert_int_equal(rename(p->log, p->rotated), 0);
        (void)snprintf(text, sizeof text, "line %d\n", i);
        put(p->log, text);
    }
    pass(r, 0);
    pass(r, 1000);
    bool seen[21] = {false};
    assert_int_equal(r->count, 21);
    for (size_t i = 0; i < r->count; i++) {
        int n = atoi(r->lines[i].text + 5);
        assert_false(seen[n]);
        seen[n] = true;
    }
    for (int i = 0; i < 10; i++)
        pass(r, 1000);
    assert_int_equal(mock_count(r->m, "open_files"), 1);
    reader_free(r);
}

static void an_overflow_of_the_inotify_queue_loses_nothing(void **state)
{
    struct place *p = *state;
    char a[600], b[600], from[600], to[600], text[32];
    (void)snprintf(a, sizeof a, "%s/noise.a", p->dir);
    (void)snprintf(b, sizeof b, "%s/noise.b", p->dir);
    put(p->log, "line 0\n");
    put(a, "");
    struct reader *r = following(p, "");
    pass(r, 0);
    for (int i = 0; i < 20000; i++) /* two events each; the queue holds 16,384 unless told otherwise */
        assert_int_equal(rename(i % 2 ? b : a, i % 2 ? a : b), 0);
    for (int i = 1; i <= 4; i++) {
        for (int k = 4; k >= 1; k--) {
            (void)snprintf(from, sizeof from, "%s.%d", p->log, k);
            (void)snprintf(to, sizeof to, "%s.%d", p->log, k + 1);
            (void)rename(from, to);
        }
        assert_int_equal(rename(p->log, p->rotated), 0);
        (void)snprintf(text, sizeof text, "line %d\n", i);
        put(p->log, text);
    }
    for (int i = 0; i < 20; i++)
        pass(r, 1000);
    bool seen[5] = {false};
    assert_int_equal(r->count, 5);
    for (size_t i = 0; i < r->count; i++)
        seen[atoi(r->lines[i].text + 5)] = true;
    for (int i = 0; i < 5; i++)
        assert_true(seen[i]);
    if (mock_count(r->m, "inotify_overflows") == 0)
        print_message("         (the queue is larger here and did not overflow: the test is weaker)\n");
    reader_free(r);
}

/* ---------------------------------------------------------------- what cannot be read */

static void a_file_that_vanishes_is_no_failure(void **state)
{
    struct place *p = *state;
    char gone[600];
    (void)snprintf(gone, sizeof gone, "%s/dangling.log", p->dir);
    assert_int_equal(symlink("/nonexistent/x", gone), 0);
    put(p->log, "a\n");
    struct reader *r = reader_new("{ paths: [ \"%s/*.log\" ] }", p->dir);
    assert_int_equal(reader_open(r), MR_OK);
    assert_int_equal(unlink(p->log), 0);
    put(p->log, "b\n");
    assert_int_equal(unlink(p->log), 0);
    pass(r, 0);
    pass(r, 1000);
    assert_int_equal(mock_count(r->m, "files_failed"), 0);
    reader_free(r);
}

static void a_path_through_a_file_is_told_once(void **state)
{
    struct place *p = *state;
    put(p->log, "a\n");
    struct reader *r =
        reader_new("{ paths: [ \"%s/x/*.log\", \"%s/y.log\", \"%s\" ] }", p->log, p->log, p->log);
    assert_int_equal(reader_open(r), MR_OK);
    pass(r, 0);
    for (int i = 0; i < 5; i++)
        pass(r, 1000);
    assert_string_equal(reader_take(r), "a");
    assert_int_equal(mock_count(r->m, "files_failed"), 2);
    assert_non_null(strstr(r->m->log, "Not a directory"));
    reader_free(r);
}

static void a_loop_of_links_and_a_fifo_are_told_and_the_rest_is_read(void **state)
{
    struct place *p = *state;
    char loop[600], fifo[600];
    (void)snprintf(loop, sizeof loop, "%s/loop.log", p->dir);
    (void)snprintf(fifo, sizeof fifo, "%s/fifo.log", p->dir);
    assert_int_equal(symlink(loop, loop), 0);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    put(p->log, "a\n");
    struct reader *r = reader_new("{ paths: [ \"%s/*.log\" ] }", p->dir);
    assert_int_equal(reader_open(r), MR_OK);
    assert_reads(r, 0, "a");
    assert_non_null(strstr(r->m->log, "loop.log"));
    assert_non_null(strstr(r->m->log, "not a regular file"));
    reader_free(r);
}

static void a_file_without_permission_is_read_when_it_has_some(void **state)
{
    struct place *p = *state;
    if (geteuid() == 0 && (chmod(p->dir, 0755) != 0 || seteuid(65534) != 0)) {
        print_message("         skip: permissions do not bite root, and it cannot become another\n");
        skip();
    }
    (void)seteuid(0);
    put(p->log, "a\n");
    assert_int_equal(chmod(p->log, 0), 0);
    bool root = geteuid() == 0;
    if (root)
        assert_int_equal(seteuid(65534), 0);
    struct reader *r = following(p, "");
    pass(r, 0);
    assert_int_equal(r->count, 0);
    assert_non_null(strstr(r->m->log, "Permission denied"));
    if (root)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(p->log, 0644), 0);
    assert_reads(r, 1000, "a");
    reader_free(r);
}

static void max_open_is_a_bound_that_heals(void **state)
{
    struct place *p = *state;
    char path[600], text[32];
    for (int i = 0; i < 5; i++) {
        (void)snprintf(path, sizeof path, "%s/%d.log", p->dir, i);
        (void)snprintf(text, sizeof text, "%d\n", i);
        put(path, text);
    }
    struct reader *r = reader_new("{ paths: [ \"%s/*.log\" ], max_open: 3, rotate_wait: 0s }", p->dir);
    assert_int_equal(reader_open(r), MR_OK);
    pass(r, 0);
    assert_int_equal(r->count, 3);
    assert_non_null(strstr(r->m->log, "max_open"));
    for (int i = 0; i < 2; i++)
        assert_int_equal(unlink(r->lines[i].source), 0);
    pass(r, 1000);
    pass(r, 1000);
    pass(r, 1000);
    assert_int_equal(r->count, 5);
    reader_free(r);
}

/* ---------------------------------------------------------------- once, options */

static void once_reads_the_oldest_file_first_and_ends(void **state)
{
    struct place *p = *state;
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    put(p->log, "new\n");
    put(p->rotated, "old\n");
    assert_int_equal(utimensat(AT_FDCWD, p->rotated, old, 0), 0);
    struct reader *r = reader_new("{ paths: [ \"%s*\" ] }", p->log);
    r->m->once = true;
    assert_int_equal(reader_open(r), MR_OK);
    assert_int_equal(reader_pull(r), MR_END);
    assert_string_equal(reader_take(r), "old|new");
    reader_stop(r);
    append(p->log, "newer\n"); /* a second run goes on where the first one ended */
    assert_int_equal(reader_open(r), MR_OK);
    assert_int_equal(reader_pull(r), MR_END);
    assert_string_equal(reader_take(r), "newer");
    reader_free(r);
}

static void once_without_a_file_is_an_error(void **state)
{
    struct place *p = *state;
    struct reader *r = reader_new("{ paths: [ \"%s\" ], mode: once }", p->log);
    assert_int_equal(reader_open(r), MR_NOTFOUND);
    assert_non_null(strstr(r->part.err.text, p->log));
    reader_free(r);
}

static void excluded_files_are_not_read(void **state)
{
    struct place *p = *state;
    char other[600];
    put(p->log, "a\n");
    put(p->rotated, "b\n");
    (void)snprintf(other, sizeof other, "%s/other.log", p->dir);
    put(other, "c\n");
    struct reader *r =
        reader_new("{ paths: [ \"%s/*\" ], exclude: [ '*.1', \"%s/oth*\" ], mode: once }", p->dir, p->dir);
    assert_int_equal(reader_open(r), MR_OK);
    assert_int_equal(reader_pull(r), MR_END);
    assert_string_equal(reader_take(r), "a");
    reader_free(r);
}

static void a_source_without_paths_is_refused(void **state)
{
    (void)state;
    struct mock *m = mock_new();
    struct part p;
    assert_false(part_make(&p, m, "file", MR_SOURCE, "file", "{ paths: [] }"));
    assert_non_null(strstr(p.err.text, "paths"));
    part_close(&p);
    assert_false(part_make(&p, m, "file", MR_SOURCE, "file", "{ mode: once }"));
    assert_non_null(strstr(p.diags, "paths"));
    part_close(&p);
    mock_free(m);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest stories[] = {
        STORY(nul_bytes_are_text),
        STORY(offsets_are_bytes_from_the_beginning),
        STORY(a_line_of_ten_megabytes_stops_nothing),
        STORY(a_long_line_that_grows_comes_whole),
        STORY(lines_of_all_lengths_come_whole_and_in_order),
        STORY(new_lines_come_at_once),
        STORY(a_new_file_is_noticed_at_once_and_read_from_its_head),
        STORY(a_folder_that_comes_later_is_noticed),
        STORY(a_rescan_alone_finds_everything),
        STORY(an_idle_source_asks_for_one_timer_a_rescan),
        STORY(an_incomplete_line_waits_for_its_end),
        STORY(an_incomplete_line_comes_after_flush_after),
        STORY(a_position_behind_an_incomplete_line_remembers_its_newline),
        STORY(start_tail_skips_what_is_there_but_no_part_of_a_line),
        STORY(start_tail_is_for_the_first_start_only),
        STORY(files_take_turns),
        STORY(two_names_of_one_file_are_one),
        STORY(two_files_that_begin_alike_are_two),
        STORY(an_inode_given_to_a_new_file_is_a_new_file),
        STORY(a_position_behind_the_end_starts_from_the_head),
        STORY(a_changed_device_number_is_the_same_file),
        STORY(a_damaged_position_is_told_and_left_out),
        STORY(a_renamed_file_is_read_to_its_end),
        STORY(a_renamed_file_with_unread_lines_is_not_closed),
        STORY(a_rotated_name_that_matches_too_is_the_same_file),
        STORY(a_deleted_file_is_read_to_its_end_and_forgotten),
        STORY(a_file_made_again_is_read_from_its_head),
        STORY(a_truncated_file_is_read_from_its_head_and_counted),
        STORY(a_truncated_file_that_has_grown_past_the_old_offset_is_noticed),
        STORY(what_was_rotated_while_down_is_read_to_its_end),
        STORY(what_was_rotated_twice_while_down_is_read_whole),
        STORY(files_older_than_the_first_start_are_left_alone),
        STORY(many_quick_rotations_lose_nothing),
        STORY(an_overflow_of_the_inotify_queue_loses_nothing),
        STORY(a_file_that_vanishes_is_no_failure),
        STORY(a_path_through_a_file_is_told_once),
        STORY(a_loop_of_links_and_a_fifo_are_told_and_the_rest_is_read),
        STORY(a_file_without_permission_is_read_when_it_has_some),
        STORY(max_open_is_a_bound_that_heals),
        STORY(once_reads_the_oldest_file_first_and_ends),
        STORY(once_without_a_file_is_an_error),
        STORY(excluded_files_are_not_read),
        cmocka_unit_test(a_source_without_paths_is_refused),
    };
    struct CMUnitTest cuts[sizeof rows / sizeof *rows];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        cuts[i] = (struct CMUnitTest){.name = rows[i].name, .test_func = cut, .initial_state = &rows[i]};
    int failed = cmocka_run_group_tests_name("lines", cuts, NULL, NULL);
    return failed + cmocka_run_group_tests_name("file source", stories, NULL, NULL);
}
