/* stdio_test.c - the source stdin and the sink stdout, over descriptors of the test. */
#include "plugins/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

struct place {
    struct mock *m;
    int in, out; /* what stdin and stdout were */
};

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    p->m = mock_new();
    p->in = fcntl(0, F_DUPFD_CLOEXEC, 100);
    p->out = fcntl(1, F_DUPFD_CLOEXEC, 100);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    if (p->in >= 0) {
        (void)dup2(p->in, 0);
        (void)close(p->in);
    }
    (void)dup2(p->out, 1);
    (void)close(p->out);
    mock_free(p->m);
    free(p);
    return 0;
}

static int pipe_to_stdin(void) /* the end to write to */
{
    int fd[2];
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    assert_int_equal(dup2(fd[0], 0), 0);
    (void)close(fd[0]);
    return fd[1];
}

static void file_to_stdin(const char *text)
{
    char path[] = "/tmp/millrace-stdin-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)unlink(path);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    assert_int_equal(dup2(fd, 0), 0);
    (void)close(fd);
}

/* Reads until there is nothing now; appends "line|" for each event. */
static mr_code pull(struct part *p, char *all, size_t size)
{
    for (int i = 0; i < 1000; i++) {
        struct mr_batch *b = mock_batch(p->m);
        p->m->woken = false;
        mr_code rc = p->c->read(p->self, b, &p->err);
        for (uint32_t k = 0; rc == MR_OK && k < b->count; k++) {
            struct mr_value v = b->column[mr_batch_slot(b, "message", 7, false)].v[b->sel[k]];
            size_t at = strlen(all);
            (void)snprintf(all + at, size - at, "%.*s|", (int)v.len, v.u.s);
        }
        mr_batch_free(b);
        if (rc != MR_OK && !(rc == MR_AGAIN && p->m->woken))
            return rc;
    }
    fail_msg("stdin does not come to rest");
    return MR_LIMIT;
}

static void a_file_as_stdin_is_read_to_its_end(void **state)
{
    struct place *p = *state;
    char all[256] = "";
    file_to_stdin("a\r\nb\n\nlast");
    struct part *s = part_new(p->m, "stdio", MR_SOURCE, "stdin", "{}");
    assert_int_equal(pull(s, all, sizeof all), MR_END);
    assert_string_equal(all, "a|b||last|");
    part_free(s);
}

static void a_pipe_as_stdin_is_read_as_it_comes_and_ends(void **state)
{
    struct place *p = *state;
    char all[256] = "";
    int fd = pipe_to_stdin();
    struct part *s = part_new(p->m, "stdio", MR_SOURCE, "stdin", "{}");
    assert_true(mock_watches(p->m, 0));
    assert_int_equal(pull(s, all, sizeof all), MR_AGAIN); /* and does not wait */
    assert_int_equal(write(fd, "one\ntw", 6), 6);
    assert_int_equal(pull(s, all, sizeof all), MR_AGAIN);
    assert_string_equal(all, "one|");
    assert_int_equal(write(fd, "o\nthree", 7), 7);
    assert_int_equal(pull(s, all, sizeof all), MR_AGAIN);
    (void)close(fd);
    assert_int_equal(pull(s, all, sizeof all), MR_END);
    assert_string_equal(all, "one|two|three|");
    assert_int_equal(pull(s, all, sizeof all), MR_END);
    part_free(s);
    assert_false(mock_watches(p->m, 0));
}

static void nothing_as_stdin_ends_at_once(void **state)
{
    struct place *p = *state;
    char all[16] = "";
    int fd = open("/dev/null", O_RDONLY);
    assert_int_equal(dup2(fd, 0), 0);
    (void)close(fd);
    struct part *s = part_new(p->m, "stdio", MR_SOURCE, "stdin", "{}");
    assert_int_equal(pull(s, all, sizeof all), MR_END);
    part_free(s);
}

static void a_long_line_of_stdin_keeps_its_beginning(void **state)
{
    struct place *p = *state;
    char all[256] = "", text[20000];
    memset(text, 'x', sizeof text);
    memcpy(text, "a\n", 2);
    memcpy(text + sizeof text - 4, "\nb\n", 4);
    file_to_stdin(text);
    struct part *s = part_new(p->m, "stdio", MR_SOURCE, "stdin", "{ max_line: 5, read_chunk: 4KiB }");
    assert_int_equal(pull(s, all, sizeof all), MR_END);
    assert_string_equal(all, "a|xxxxx|b|");
    assert_int_equal(mock_count(p->m, "over_long_lines"), 1);
    part_free(s);
}

static void more_lines_than_a_batch_holds_come_in_order(void **state)
{
    struct place *p = *state;
    size_t size = 200000, at = 0;
    char *text = malloc(size), *all = calloc(1, size);
    for (int i = 0; i < 15000; i++)
        at += (size_t)snprintf(text + at, size - at, "%d\n", i);
    file_to_stdin(text);
    struct part *s = part_new(p->m, "stdio", MR_SOURCE, "stdin", "{}");
    assert_int_equal(pull(s, all, size), MR_END);
    for (char *c = text; *c; c++) {
        if (*c == '\n')
            *c = '|';
    }
    assert_string_equal(all, text);
    part_free(s);
    free(text);
    free(all);
}

static void a_closed_stdin_is_refused(void **state)
{
    struct place *p = *state;
    struct part s;
    (void)close(0);
    assert_true(part_make(&s, p->m, "stdio", MR_SOURCE, "stdin", NULL));
    assert_int_equal(part_open(&s), MR_NOTFOUND);
    part_close(&s);
}

static void events_go_to_stdout_as_lines(void **state)
{
    struct place *p = *state;
    int fd[2];
    char got[256] = "";
    struct part *json = part_new(p->m, "stdio", MR_SINK, "stdout", "{}");
    struct part *lines = part_new(p->m, "stdio", MR_SINK, "stdout", "lines");
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    (void)dup2(fd[1], 1);
    mr_code first = sink_write(json, EVENTS(p->m, "{\"a\":1}", "{\"message\":\"x\"}"));
    mr_code second = sink_write(lines, EVENTS(p->m, "{\"message\":\"y\"}"));
    (void)dup2(p->out, 1);
    assert_int_equal(first, MR_OK);
    assert_int_equal(second, MR_OK);
    assert_true(read(fd[0], got, sizeof got - 1) > 0);
    assert_string_equal(got, "{\"a\":1}\n{\"message\":\"x\"}\ny\n");
    (void)close(fd[0]);
    (void)close(fd[1]);
    part_free(json);
    part_free(lines);
}

/* The pipe is full again and again: what comes out in the end is each event once, whole and in order. */
static void a_reader_that_stalls_gets_every_line_whole_and_once(void **state)
{
    struct place *p = *state;
    int fd[2], next = 0, stalls = 0;
    size_t have = 0, size = 4 << 20;
    char *got = malloc(size), *want = malloc(size), line[128];
    struct part *s = part_new(p->m, "stdio", MR_SINK, "stdout", "{}");
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    assert_int_equal(fcntl(fd[0], F_SETFL, O_NONBLOCK), 0);
    while (next < 6000) {
        uint32_t rows = 3000;
        struct mr_batch *b = mock_batch(p->m);
        mr_batch_rows(b, rows);
        int32_t slot = mr_batch_slot(b, "number", 6, true);
        for (uint32_t row = 0; row < rows; row++)
            b->column[slot].v[row] = mr_value_int(1000000000000 + next + (int)row);
        while (b->count) {
            static struct mr_verdict v[MR_BATCH_ROWS_MAX];
            memset(v, 0, sizeof v);
            (void)dup2(fd[1], 1);
            mr_code rc = s->c->write(s->self, b, 1, v, &s->err);
            (void)dup2(p->out, 1);
            assert_int_equal(rc, MR_OK);
            bool again = false;
            for (uint32_t k = 0; k < b->count; k++) {
                assert_false(again && v[k].kind == MR_VERDICT_DONE); /* the undone ones are the last ones */
                again = v[k].kind == MR_VERDICT_RETRY;
                if (!again)
                    b->fate[b->sel[k]] = MR_DROPPED;
            }
            stalls += again;
            mr_batch_compact(b);
            ssize_t n = read(fd[0], got + have, stalls % 2 ? 1000 : 60000); /* the reader takes some */
            have += n > 0 ? (size_t)n : 0;
        }
        mr_batch_free(b);
        next += (int)rows;
    }
    for (ssize_t n; (n = read(fd[0], got + have, size - have)) > 0;)
        have += (size_t)n;
    (void)dup2(fd[1], 1);
    part_free(s);
    (void)dup2(p->out, 1);
    for (ssize_t n; (n = read(fd[0], got + have, size - have)) > 0;)
        have += (size_t)n;
    size_t at = 0;
    for (int i = 0; i < next; i++) {
        int n = snprintf(line, sizeof line, "{\"number\":%lld}\n", 1000000000000LL + i);
        memcpy(want + at, line, (size_t)n);
        at += (size_t)n;
    }
    assert_true(stalls > 1);
    assert_int_equal(have, at);
    assert_memory_equal(got, want, at);
    (void)close(fd[0]);
    (void)close(fd[1]);
    free(got);
    free(want);
}

static void a_reader_that_goes_away_ends_the_pipeline_and_not_the_process(void **state)
{
    struct place *p = *state;
    int fd[2];
    (void)signal(SIGPIPE, SIG_DFL);
    struct part *s = part_new(p->m, "stdio", MR_SINK, "stdout", "{}");
    assert_int_equal(pipe2(fd, O_CLOEXEC), 0);
    (void)close(fd[0]);
    (void)dup2(fd[1], 1);
    mr_code rc = sink_write(s, EVENTS(p->m, "{\"a\":1}"));
    (void)dup2(p->out, 1);
    (void)close(fd[1]);
    assert_int_equal(rc, MR_END);
    part_free(s);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest stories[] = {
        STORY(a_file_as_stdin_is_read_to_its_end),
        STORY(a_pipe_as_stdin_is_read_as_it_comes_and_ends),
        STORY(nothing_as_stdin_ends_at_once),
        STORY(a_long_line_of_stdin_keeps_its_beginning),
        STORY(more_lines_than_a_batch_holds_come_in_order),
        STORY(a_closed_stdin_is_refused),
        STORY(events_go_to_stdout_as_lines),
        STORY(a_reader_that_stalls_gets_every_line_whole_and_once),
        STORY(a_reader_that_goes_away_ends_the_pipeline_and_not_the_process),
    };
    return cmocka_run_group_tests_name("stdio", stories, NULL, NULL);
}
