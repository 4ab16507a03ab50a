/* file_sink_test.c - the file sink: paths, whole batches, full disks, rotation. */
#include "plugins/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

struct place {
    struct mock *m;
    char *dir;
    char out[512];
};

static int set_up(void **state)
{
    struct place *p = calloc(1, sizeof *p);
    p->m = mock_new();
    p->dir = folder_new();
    (void)snprintf(p->out, sizeof p->out, "%s/out.jsonl", p->dir);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    struct place *p = *state;
    folder_free(p->dir);
    mock_free(p->m);
    free(p);
    return 0;
}

static struct part *sink(struct place *p, const char *format, ...)
{
    char yaml[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(yaml, sizeof yaml, format, args);
    va_end(args);
    return part_new(p->m, "file", MR_SINK, "file", "%s", yaml);
}

static void events_are_lines_of_json(void **state)
{
    struct place *p = *state;
    struct part *s = sink(p, "\"%s\"", p->out);
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"a\":1}", "{\"message\":\"x\",\"b\":[1.50]}")), MR_OK);
    assert_int_equal(s->c->flush(s->self, &s->err), MR_OK);
    assert_file(p->out, "{\"a\":1}\n{\"message\":\"x\",\"b\":[1.50]}\n");
    part_free(s);
}

static void lines_are_messages_and_json_where_there_is_none(void **state)
{
    struct place *p = *state;
    struct part *s = sink(p, "{ path: \"%s\", format: lines }", p->out);
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"message\":\"one \\\"line\\\"\"}", "{\"a\":2}")), MR_OK);
    assert_file(p->out, "one \"line\"\n{\"a\":2}\n");
    part_free(s);
}

static void only_chosen_events_are_written(void **state)
{
    struct place *p = *state;
    struct part *s = sink(p, "\"%s\"", p->out);
    struct mr_batch *b = EVENTS(p->m, "{\"a\":1}", "{\"a\":2}", "{\"a\":3}");
    mr_batch_drop(b, 1);
    mr_batch_compact(b);
    assert_int_equal(sink_write(s, b), MR_OK);
    assert_file(p->out, "{\"a\":1}\n{\"a\":3}\n");
    part_free(s);
}

static void append_goes_on_and_replace_begins_anew_once(void **state)
{
    struct place *p = *state;
    put(p->out, "old\n");
    struct part *s = sink(p, "\"%s\"", p->out);
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"a\":1}")), MR_OK);
    part_free(s);
    assert_file(p->out, "old\n{\"a\":1}\n");
    s = sink(p, "{ path: \"%s\", mode: replace }", p->out);
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"a\":2}")), MR_OK);
    assert_int_equal(unlink(p->out), 0); /* reopened, and not emptied again */
    put(p->out, "other\n");
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"a\":3}")), MR_OK);
    part_free(s);
    assert_file(p->out, "other\n{\"a\":3}\n");
}

static void a_torn_last_line_is_ended_first(void **state)
{
    struct place *p = *state;
    put(p->out, "{\"a\":1}\n{\"a\"");
    struct part *s = sink(p, "\"%s\"", p->out);
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"a\":2}")), MR_OK);
    assert_file(p->out, "{\"a\":1}\n{\"a\"\n{\"a\":2}\n");
    part_free(s);
}

static void a_torn_last_line_that_could_not_be_ended_is_ended_by_the_next_try(void **state)
{
    struct place *p = *state;
    struct rlimit was, small;
    put(p->out, "{\"a\"");
    struct part *s = sink(p, "\"%s\"", p->out);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    small = was;
    small.rlim_cur = 4;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    mr_code rc = sink_write(s, EVENTS(p->m, "{\"a\":2}"));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(rc, MR_NOSPACE);
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"a\":2}")), MR_OK);
    part_free(s);
    assert_file(p->out, "{\"a\"\n{\"a\":2}\n");
}

static void a_file_that_could_not_be_emptied_is_not_written_to(void **state)
{
    struct place *p = *state;
    char path[64], text[16] = {0};
    int fd = memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "old\n", 4), 4);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct part *s = sink(p, "{ path: \"%s\", mode: replace }", path);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sink_write(s, EVENTS(p->m, "{\"a\":1}")), MR_IO);
        assert_non_null(strstr(s->err.text, "cannot empty '/proc/self/fd/"));
    }
    part_free(s);
    assert_int_equal(pread(fd, text, sizeof text - 1, 0), 4);
    assert_string_equal(text, "old\n");
    (void)close(fd);
}

static void a_path_depends_on_the_event_and_folders_are_made(void **state)
{
    struct place *p = *state;
    char path[600];
    struct part *s = sink(p, "\"%s/{{ host }}/x-{{ kind }}.jsonl\"", p->dir);
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"host\":\"a\",\"kind\":1}", "{\"host\":\"b\",\"kind\":1}",
                                          "{\"host\":\"a\",\"kind\":1}", "{\"host\":\"a\",\"kind\":2}")),
                     MR_OK);
    (void)snprintf(path, sizeof path, "%s/a/x-1.jsonl", p->dir);
    assert_file(path, "{\"host\":\"a\",\"kind\":1}\n{\"host\":\"a\",\"kind\":1}\n");
    (void)snprintf(path, sizeof path, "%s/b/x-1.jsonl", p->dir);
    assert_file(path, "{\"host\":\"b\",\"kind\":1}\n");
    (void)snprintf(path, sizeof path, "%s/a/x-2.jsonl", p->dir);
    assert_file(path, "{\"host\":\"a\",\"kind\":2}\n");
    part_free(s);
}

static void events_whose_path_cannot_be_are_rejected_and_the_others_written(void **state)
{
    struct place *p = *state;
    char path[600];
    (void)snprintf(path, sizeof path, "%s/dir", p->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    struct part *s = sink(p, "\"%s/{{ f }}\"", p->dir);
    static const struct {
        const char *event, *why;
    } bad[] = {
        {"{\"g\":1}", "f"},
        {"{\"f\":\"../../etc/passwd\"}", "upwards"},
        {"{\"f\":\"x/..\"}", "upwards"},
        {"{\"f\":\"dir\"}", "directory"},
        {"{\"f\":\"a\\u0000b\"}", "NUL"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(sink_write(s, EVENTS(p->m, "{\"f\":\"good\"}", bad[i].event)), MR_OK);
        assert_int_equal(verdicts[0].kind, MR_VERDICT_DONE);
        assert_int_equal(verdicts[1].kind, MR_VERDICT_REJECT);
        if (!strstr(reject_reason, bad[i].why))
            fail_msg("'%s' does not say '%s'", reject_reason, bad[i].why);
    }
    (void)snprintf(path, sizeof path, "%s/good", p->dir);
    char *text = slurp(path, NULL);
    assert_int_equal(strlen(text), 5 * strlen("{\"f\":\"good\"}\n"));
    free(text);
    part_free(s);
}

static void a_constant_path_may_lead_upwards_and_its_failure_is_tried_again(void **state)
{
    struct place *p = *state;
    struct part *s = sink(p, "\"%s/x/../out.jsonl\"", p->dir);
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"a\":1}")), MR_OK);
    assert_file(p->out, "{\"a\":1}\n");
    part_free(s);
    s = sink(p, "\"%s\"", p->dir); /* a directory */
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"a\":1}")), MR_IO);
    assert_non_null(strstr(s->err.text, p->dir));
    part_free(s);
}

static void more_files_than_may_be_open_are_all_written(void **state)
{
    struct place *p = *state;
    char path[600], text[64];
    struct part *s = sink(p, "\"%s/{{ n }}\"", p->dir);
    for (int round = 0; round < 2; round++) {
        struct mr_batch *b = mock_batch(p->m);
        mr_batch_rows(b, 4000);
        int32_t slot = mr_batch_slot(b, "n", 1, true);
        for (uint32_t row = 0; row < 4000; row++)
            b->column[slot].v[row] = mr_value_int(row % 300);
        assert_int_equal(sink_write(s, b), MR_OK);
    }
    int open_files = 0;
    for (int fd = 3; fd < 1024; fd++)
        open_files += fcntl(fd, F_GETFD) >= 0;
    assert_true(open_files <= 64 + 8);
    assert_int_equal(s->c->flush(s->self, &s->err), MR_OK);
    for (int i = 0; i < 300; i++) {
        (void)snprintf(path, sizeof path, "%s/%d", p->dir, i);
        (void)snprintf(text, sizeof text, "{\"n\":%d}\n", i);
        char *got = slurp(path, NULL);
        size_t times = 4000 / 300 + (i < 4000 % 300);
        assert_int_equal(strlen(got), 2 * times * strlen(text));
        for (size_t k = 0; k < 2 * times; k++)
            assert_memory_equal(got + k * strlen(text), text, strlen(text));
        free(got);
    }
    part_free(s);
}

static void a_rotated_file_is_opened_anew(void **state)
{
    struct place *p = *state;
    char rotated[600];
    (void)snprintf(rotated, sizeof rotated, "%s.1", p->out);
    struct part *s = sink(p, "\"%s\"", p->out);
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"a\":1}")), MR_OK);
    assert_int_equal(rename(p->out, rotated), 0);
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"a\":2}")), MR_OK);
    assert_int_equal(unlink(p->out), 0);
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"a\":3}")), MR_OK);
    assert_int_equal(truncate(p->out, 0), 0);
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"a\":4}")), MR_OK);
    assert_file(rotated, "{\"a\":1}\n");
    assert_file(p->out, "{\"a\":4}\n");
    part_free(s);
}

static struct mr_batch *big(struct place *p, uint32_t rows)
{
    static const char filler[] =
        "....................................................................................";
    struct mr_batch *b = mock_batch(p->m);
    mr_batch_rows(b, rows);
    int32_t n = mr_batch_slot(b, "n", 1, true), f = mr_batch_slot(b, "file", 4, true),
            text = mr_batch_slot(b, "text", 4, true);
    for (uint32_t row = 0; row < rows; row++) {
        b->column[n].v[row] = mr_value_int(row);
        b->column[f].v[row] = mr_value_int(row % 3);
        b->column[text].v[row] = mr_value_string(mr_slice_of(filler));
    }
    return b;
}

/* With room for some lines: nothing of a batch that does not fit stays, and it fits once there is room. */
static void fill_up(struct place *p, const char *where, void (*make_room)(void *), void *arg)
{
    char path[3][600];
    struct part *s = sink(p, "\"%s/{{ file }}.jsonl\"", where);
    for (int i = 0; i < 3; i++)
        (void)snprintf(path[i], sizeof path[i], "%s/%d.jsonl", where, i);
    assert_int_equal(sink_write(s, big(p, 30)), MR_OK);
    char *before[3];
    for (int i = 0; i < 3; i++)
        before[i] = slurp(path[i], NULL);
    for (int again = 0; again < 3; again++) {
        assert_int_equal(sink_write(s, big(p, 4000)), MR_NOSPACE);
        assert_non_null(strstr(s->err.text, where));
        for (int i = 0; i < 3; i++)
            assert_file(path[i], before[i]);
    }
    make_room(arg);
    assert_int_equal(sink_write(s, big(p, 4000)), MR_OK);
    assert_int_equal(s->c->flush(s->self, &s->err), MR_OK);
    for (int i = 0; i < 3; i++) {
        char *now = slurp(path[i], NULL);
        size_t lines = 0;
        for (char *at = now; (at = strchr(at, '\n')); at++)
            lines++;
        assert_int_equal(lines, 10 + 4000 / 3 + (i < 4000 % 3));
        free(now);
        free(before[i]);
    }
    part_free(s);
}

static void grow_mount(void *where)
{
    assert_int_equal(mount("tmpfs", where, "tmpfs", MS_REMOUNT, "size=4m"), 0);
}

static void a_full_disk_takes_nothing_of_a_batch_and_heals(void **state)
{
    struct place *p = *state;
    char where[600];
    (void)snprintf(where, sizeof where, "%s/small", p->dir);
    assert_int_equal(mkdir(where, 0700), 0);
    if (mount("tmpfs", where, "tmpfs", 0, "size=256k") != 0) {
        print_message(
            "         skip a_full_disk_takes_nothing_of_a_batch_and_heals: no small file system to be had: "
            "%s; a_file_size_limit_... stands for it\n",
            strerror(errno));
        skip();
    }
    fill_up(p, where, grow_mount, where);
    assert_int_equal(umount(where), 0);
}

static void lift_limit(void *arg)
{
    struct rlimit *old = arg;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, old), 0);
}

static void a_file_size_limit_takes_nothing_of_a_batch_and_heals(void **state)
{
    struct place *p = *state;
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 100000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    fill_up(p, p->dir, lift_limit, &old);
    (void)signal(SIGXFSZ, handler);
}

static void a_device_without_room_is_told(void **state)
{
    struct place *p = *state;
    struct part *s = sink(p, "/dev/full");
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"a\":1}")), MR_NOSPACE);
    part_free(s);
    s = sink(p, "/dev/null");
    assert_int_equal(sink_write(s, EVENTS(p->m, "{\"a\":1}")), MR_OK);
    assert_int_equal(s->c->flush(s->self, &s->err), MR_OK);
    part_free(s);
}

int main(void)
{
#define STORY(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest stories[] = {
        STORY(events_are_lines_of_json),
        STORY(lines_are_messages_and_json_where_there_is_none),
        STORY(only_chosen_events_are_written),
        STORY(append_goes_on_and_replace_begins_anew_once),
        STORY(a_torn_last_line_is_ended_first),
        STORY(a_torn_last_line_that_could_not_be_ended_is_ended_by_the_next_try),
        STORY(a_file_that_could_not_be_emptied_is_not_written_to),
        STORY(a_path_depends_on_the_event_and_folders_are_made),
        STORY(events_whose_path_cannot_be_are_rejected_and_the_others_written),
        STORY(a_constant_path_may_lead_upwards_and_its_failure_is_tried_again),
        STORY(more_files_than_may_be_open_are_all_written),
        STORY(a_rotated_file_is_opened_anew),
        STORY(a_full_disk_takes_nothing_of_a_batch_and_heals),
        STORY(a_file_size_limit_takes_nothing_of_a_batch_and_heals),
        STORY(a_device_without_room_is_told),
    };
    return cmocka_run_group_tests_name("file sink", stories, NULL, NULL);
}
