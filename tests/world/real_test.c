/* real_test.c - the real world: the loop's order, files, sockets on 127.0.0.1. */
#include "base/arena.h"
#include "base/mem.h"
#include "world/net.h"
#include "world/real.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct mr_err err;
static struct mr_world *w;
static char dir[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(dir, sizeof dir, "/tmp/mr-world-XXXXXX");
    assert_non_null(mkdtemp(dir));
    assert_int_equal(mr_real_new(&w, &err), MR_OK);
    return 0;
}

static void remove_name(void *arg, const char *name)
{
    char path[400];
    (void)arg;
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    if (unlink(path) != 0)
        (void)rmdir(path);
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(mr_dir_list(w, dir, remove_name, NULL, &err), MR_OK);
    assert_int_equal(mr_rmdir(w, dir, &err), MR_OK);
    mr_real_free(w);
    return 0;
}

static char trace[64];
static void note(const char *what)
{
    (void)snprintf(trace + strlen(trace), sizeof trace - strlen(trace), "%s", what);
}
static void note_text(void *arg)
{
    note(arg);
}
static void note_and_stop(void *arg)
{
    note(arg);
    mr_real_stop(w);
}

static void timers_fire_in_order_and_equal_ones_as_they_were_set(void **state)
{
    (void)state;
    struct mr_timer t[6] = {0};
    static char *const names[] = {"a", "b", "c", "d", "e", "f"};
    mr_ms now = mr_now(w);
    trace[0] = '\0';
    for (int i = 0; i < 6; i++) {
        t[i].fire = i == 0 ? note_and_stop : note_text;
        t[i].arg = names[i];
        mr_timer_set(w, &t[i], now + (i == 0 ? 30 : 10));
    }
    mr_timer_stop(w, &t[2]);
    mr_timer_set(w, &t[4], now + 20); /* moved behind f */
    mr_real_run(w);
    assert_string_equal(trace, "bdfea");
    assert_true(mr_now(w) >= now + 30);
}

static void many_timers_keep_their_order(void **state)
{
    enum { N = 500 };
    static struct mr_timer t[N];
    static mr_ms fired[N];
    (void)state;
    mr_ms now = mr_now(w);
    memset(t, 0, sizeof t);
    struct mr_timer last = {.fire = note_and_stop, .arg = ""};
    for (int i = 0; i < N; i++) {
        t[i].fire = note_text;
        t[i].arg = "";
        mr_timer_set(w, &t[i], now + (i * 7919) % 50);
    }
    for (int i = 0; i < N; i += 3)
        mr_timer_stop(w, &t[i]);
    mr_timer_set(w, &last, now + 60);
    mr_real_run(w);
    for (int i = 0; i < N; i++)
        assert_null(t[i].runtime);
    (void)fired;
}

enum { POSTS = 20000 };
static int next_post[2], posted;
static void on_post(void *arg)
{
    uintptr_t v = (uintptr_t)arg;
    assert_int_equal(v >> 1, next_post[v & 1]); /* each thread's in its order */
    next_post[v & 1]++;
    if (++posted == 2 * POSTS)
        mr_real_stop(w);
}
static void *poster(void *arg)
{
    for (uintptr_t i = 0; i < POSTS; i++)
        mr_post(w, on_post, (void *)(i << 1 | (uintptr_t)arg));
    return NULL;
}

static void posts_from_other_threads_come_in_order(void **state)
{
    pthread_t a, b;
    (void)state;
    posted = next_post[0] = next_post[1] = 0;
    assert_int_equal(pthread_create(&a, NULL, poster, (void *)0), 0);
    assert_int_equal(pthread_create(&b, NULL, poster, (void *)1), 0);
    mr_real_run(w);
    (void)pthread_join(a, NULL);
    (void)pthread_join(b, NULL);
    assert_int_equal(posted, 2 * POSTS);
}

static void what_was_posted_before_a_stop_is_run(void **state)
{
    (void)state;
    trace[0] = '\0';
    mr_post(w, note_text, "x");
    mr_real_stop(w);
    mr_post(w, note_text, "y");
    mr_real_run(w);
    assert_int_equal(trace[0], 'x');
}

static int signals;
static void on_signal(void *arg, int signo)
{
    (void)arg;
    assert_int_equal(signo, SIGUSR1);
    signals++;
    mr_real_stop(w);
}
static int ready_count, pipe_fd[2];
static void on_ready(void *arg)
{
    char c;
    assert_int_equal(read(pipe_fd[0], &c, 1), 1);
    if (++ready_count == 2) {
        mr_real_unwatch(*(struct mr_watch **)arg);
        mr_real_stop(w);
    }
}

static void signals_and_watched_descriptors_wake_the_loop(void **state)
{
    struct mr_watch *watch;
    (void)state;
    assert_int_equal(mr_real_signal(w, SIGUSR1, on_signal, NULL, &err), MR_OK);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    mr_real_run(w);
    assert_int_equal(signals, 1);
    assert_int_equal(pipe(pipe_fd), 0);
    assert_int_equal(mr_real_watch(w, pipe_fd[0], on_ready, &watch, &watch, &err), MR_OK);
    assert_int_equal(write(pipe_fd[1], "ab", 2), 2); /* level-triggered: twice */
    mr_real_run(w);
    assert_int_equal(ready_count, 2);
    (void)close(pipe_fd[0]);
    (void)close(pipe_fd[1]);
}

static mr_code sync_rc;
static void on_synced(void *arg, mr_code rc, int sys)
{
    (void)arg, (void)sys;
    sync_rc = rc;
    mr_real_stop(w);
}

/* Whole blocks and a tail, again from the block in which the tail lies, and what was put behind it meanwhile. */
static void a_write_with_a_sync_joins_what_else_is_written(void **state)
{
    enum { CHUNK = 64 << 10, TAIL = 777, MORE = 5000 };
    char path[128], *want = mr_need(4 * CHUNK), *got = mr_need(4 * CHUNK);
    char *pages = mr_alloc_pages(MR_PAGES_BYTES);
    struct mr_file *f;
    size_t n;
    (void)state;
    assert_non_null(pages);
    for (int i = 0; i < 4 * CHUNK; i++)
        want[i] = (char)('a' + i % 23);
    (void)snprintf(path, sizeof path, "%s/direct", dir);
    assert_int_equal(mr_file_open(w, path, MR_FILE_WRITE | MR_FILE_EXCL, &f, &err), MR_OK);
    memcpy(pages, want, 2 * CHUNK + TAIL);
    struct mr_slice parts[3] = {{pages, CHUNK}, {pages + CHUNK, CHUNK}, {pages + (ptrdiff_t)2 * CHUNK, TAIL}};
    sync_rc = MR_IO;
    mr_file_write_later(f, parts, 3, 0, on_synced, NULL);
    assert_int_equal(mr_file_write(f, want + 2 * CHUNK + TAIL, MORE, 2 * CHUNK + TAIL, &err), MR_OK);
    mr_real_run(w);
    assert_int_equal(sync_rc, MR_OK);
    assert_int_equal(mr_file_read(f, got, (size_t)4 * CHUNK, 0, &n, &err), MR_OK);
    assert_int_equal(n, 2 * CHUNK + TAIL + MORE);
    assert_memory_equal(got, want, n);
    int64_t at = 2 * CHUNK + MR_FILE_BLOCK; /* in the middle of what lies in the page cache, not synced */
    memcpy(pages, want + at, CHUNK);
    parts[0].len = CHUNK;
    sync_rc = MR_IO;
    mr_file_write_later(f, parts, 1, at, on_synced, NULL);
    mr_real_run(w);
    assert_int_equal(sync_rc, MR_OK);
    assert_int_equal(mr_file_read(f, got, (size_t)4 * CHUNK, 0, &n, &err), MR_OK);
    assert_int_equal(n, at + CHUNK);
    assert_memory_equal(got, want, n);
    mr_file_ahead(f, 0, at + CHUNK);
    assert_int_equal(mr_file_read(f, got, (size_t)4 * CHUNK, 0, &n, &err), MR_OK);
    assert_memory_equal(got, want, n);
    mr_file_close(f);
    mr_free_pages(pages, MR_PAGES_BYTES);
    mr_free(want);
    mr_free(got);
}

static void files_hold_what_was_written(void **state)
{
    struct mr_file *f;
    struct mr_stat st;
    struct mr_heap_arena a;
    struct mr_slice all;
    char path[128], sub[128], bytes[8];
    size_t got;
    int64_t size;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/x", dir);
    assert_int_equal(mr_file_open(w, path, MR_FILE_READ, &f, &err), MR_NOTFOUND);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(mr_file_open(w, path, MR_FILE_WRITE | MR_FILE_EXCL, &f, &err), MR_OK);
    assert_int_equal(mr_file_write(f, "hello", 5, 3, &err), MR_OK);
    assert_int_equal(mr_file_read(f, bytes, 8, 0, &got, &err), MR_OK);
    assert_int_equal(got, 8);
    assert_memory_equal(bytes, "\0\0\0hello", 8);
    assert_int_equal(mr_file_read(f, bytes, 8, 6, &got, &err), MR_OK);
    assert_int_equal(got, 2);
    assert_int_equal(mr_file_truncate(f, 4, &err), MR_OK);
    assert_int_equal(mr_file_size(f, &size, &err), MR_OK);
    assert_int_equal(size, 4);
    sync_rc = MR_IO;
    mr_file_sync_later(f, on_synced, NULL);
    mr_file_close(f); /* while the sync runs */
    mr_real_run(w);
    assert_int_equal(sync_rc, MR_OK);
    sync_rc = MR_IO;
    mr_dir_sync_later(w, dir, on_synced, NULL);
    mr_real_run(w);
    assert_int_equal(sync_rc, MR_OK);
    assert_int_equal(mr_file_open(w, path, MR_FILE_WRITE | MR_FILE_EXCL, &f, &err), MR_EXISTS);
    assert_int_equal(mr_file_replace(w, path, MR_SLICE("new content"), &err), MR_OK);
    mr_heap_arena_init(&a, 1024, 0, 1 << 20);
    assert_int_equal(mr_file_slurp(w, path, 100, &a.arena, &all, &err), MR_OK);
    assert_true(mr_slice_eq(all, MR_SLICE("new content")));
    assert_int_equal(mr_file_slurp(w, path, 10, &a.arena, &all, &err), MR_LIMIT);
    mr_heap_arena_fini(&a);
    (void)snprintf(sub, sizeof sub, "%s/p/q/r", dir);
    assert_int_equal(mr_mkdir_all(w, sub, &err), MR_OK);
    assert_int_equal(mr_mkdir_all(w, sub, &err), MR_OK);
    assert_int_equal(mr_stat_path(w, sub, &st, &err), MR_OK);
    assert_true(st.is_dir);
    assert_int_equal(mr_rmdir(w, sub, &err), MR_OK);
    sub[strlen(sub) - 2] = '\0';
    assert_int_equal(mr_rmdir(w, sub, &err), MR_OK);
    assert_int_equal(mr_mkdir(w, path, &err), MR_EXISTS); /* a file is in the way */
}

/* ---- sockets */

struct peer {
    struct mr_conn *conn;
    char room[65536];
    uint64_t received, sum, done;
    bool echo, paused, closed;
    mr_code why, sent;
};

static struct peer server, client;
static struct mr_listener *listener;

static void *on_room(void *arg, size_t *len)
{
    struct peer *p = arg;
    if (p->paused)
        return NULL;
    *len = sizeof p->room;
    return p->room;
}
static void on_sent(void *arg, mr_code rc, int sys)
{
    struct peer *p = arg;
    (void)sys;
    p->sent = rc;
    p->done++;
}
static void on_bytes(void *arg, size_t len)
{
    struct peer *p = arg;
    for (size_t i = 0; i < len; i++)
        p->sum = p->sum * 31 + (unsigned char)p->room[i];
    p->received += len;
    if (p->echo) {
        struct mr_part part = {.bytes = {p->room, len}};
        assert_int_equal(mr_conn_send(p->conn, &part, 1, on_sent, p), MR_OK);
    }
    if (!p->echo && p->received >= p->done)
        mr_real_stop(w);
}
static void on_closed(void *arg, mr_code why, int sys)
{
    struct peer *p = arg;
    (void)sys;
    p->closed = true;
    p->why = why;
    mr_real_stop(w);
}
static const struct mr_conn_events events = {.room = on_room, .bytes = on_bytes, .closed = on_closed};

static void on_accept(void *arg, int fd, const char *peer)
{
    (void)arg;
    assert_memory_equal(peer, "127.0.0.1:", 10);
    assert_int_equal(mr_conn_new(w, fd, &events, &server, &server.conn, &err), MR_OK);
    if (client.conn)
        mr_real_stop(w);
}
static void on_connect(void *arg, int fd, int sys)
{
    (void)arg;
    assert_int_equal(sys, 0);
    assert_int_equal(mr_conn_new(w, fd, &events, &client, &client.conn, &err), MR_OK);
    if (server.conn)
        mr_real_stop(w);
}

static void connect_pair(void)
{
    memset(&server, 0, sizeof server);
    memset(&client, 0, sizeof client);
    assert_int_equal(mr_net_listen(w, "127.0.0.1", 0, on_accept, NULL, &listener, &err), MR_OK);
    assert_true(mr_listener_port(listener) > 0);
    assert_int_equal(mr_net_connect(w, "127.0.0.1", mr_listener_port(listener), on_connect, NULL, &err),
                     MR_OK);
    mr_real_run(w);
    assert_non_null(server.conn);
}
static void disconnect_pair(void)
{
    mr_conn_close(server.conn);
    mr_conn_close(client.conn);
    mr_listener_close(listener);
}

static void bytes_come_back_from_an_echo(void **state)
{
    struct mr_part parts[3] = {{.bytes = MR_SLICE("ab")}, {.bytes = {NULL, 0}}, {.bytes = MR_SLICE("cde")}};
    (void)state;
    connect_pair();
    server.echo = true;
    client.done = 5;
    assert_int_equal(mr_conn_send(client.conn, parts, 3, on_sent, &client), MR_OK);
    mr_real_run(w);
    assert_int_equal(client.received, 5);
    assert_memory_equal(client.room, "abcde", 5);
    disconnect_pair();
}

static void a_large_send_of_bytes_and_file_waits_for_the_reader(void **state)
{
    enum { SIZE = 20 << 20 };
    char path[128];
    struct mr_file *f;
    char *bytes = mr_need(SIZE);
    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (char)(i * 2654435761u >> 13);
    (void)snprintf(path, sizeof path, "%s/big", dir);
    assert_int_equal(mr_file_open(w, path, MR_FILE_WRITE | MR_FILE_CREATE, &f, &err), MR_OK);
    assert_int_equal(mr_file_write(f, bytes, SIZE, 0, &err), MR_OK);
    connect_pair();
    struct mr_part parts[3] = {
        {.bytes = MR_SLICE("head")}, {.file = f, .at = 1000, .len = SIZE - 1000}, {.bytes = {bytes, SIZE}}};
    uint64_t want = 0, total = 4 + SIZE - 1000 + SIZE;
    for (int i = 0; i < 4; i++)
        want = want * 31 + (unsigned char)"head"[i];
    for (size_t i = 1000; i < SIZE; i++)
        want = want * 31 + (unsigned char)bytes[i];
    for (size_t i = 0; i < SIZE; i++)
        want = want * 31 + (unsigned char)bytes[i];
    server.sent = MR_IO;
    assert_int_equal(mr_conn_send(server.conn, parts, 3, on_sent, &server), MR_PENDING);
    assert_true(mr_conn_queued(server.conn) > SIZE);
    mr_file_close(f); /* held by the send */
    client.done = total;
    while (client.received < total)
        mr_real_run(w);
    assert_int_equal(client.received, total);
    assert_true(client.sum == want);
    assert_int_equal(server.sent, MR_OK);
    assert_int_equal(server.done, 1);
    assert_int_equal(mr_conn_queued(server.conn), 0);
    disconnect_pair();
    mr_free(bytes);
}

static void a_paused_reader_gets_nothing_until_it_resumes(void **state)
{
    struct mr_part part = {.bytes = MR_SLICE("x")};
    struct mr_timer t = {.fire = note_and_stop, .arg = ""};
    (void)state;
    connect_pair();
    client.done = 1;
    mr_conn_pause(client.conn);
    assert_int_equal(mr_conn_send(server.conn, &part, 1, on_sent, &server), MR_OK);
    mr_timer_set(w, &t, mr_now(w) + 20);
    mr_real_run(w);
    assert_int_equal(client.received, 0);
    mr_conn_resume(client.conn);
    mr_real_run(w);
    assert_int_equal(client.received, 1);
    disconnect_pair();
}

static void the_end_of_a_peer_is_told_once_and_sends_are_refused(void **state)
{
    struct mr_part part = {.bytes = MR_SLICE("x")};
    (void)state;
    connect_pair();
    mr_conn_close(client.conn);
    client.conn = NULL;
    mr_real_run(w);
    assert_true(server.closed);
    assert_int_equal(server.why, MR_END);
    assert_int_equal(mr_conn_send(server.conn, &part, 1, on_sent, &server), MR_GONE);
    disconnect_pair();
}

static void closing_cancels_sends_that_wait(void **state)
{
    enum { SIZE = 30 << 20 };
    char *bytes = mr_need(SIZE);
    struct mr_part part = {.bytes = {bytes, SIZE}};
    struct mr_timer t = {.fire = note_and_stop, .arg = ""};
    (void)state;
    connect_pair();
    mr_conn_pause(client.conn);
    assert_int_equal(mr_conn_send(server.conn, &part, 1, on_sent, &server), MR_PENDING);
    disconnect_pair();
    assert_int_equal(server.done, 0); /* never from inside the call */
    mr_timer_set(w, &t, mr_now(w) + 5);
    mr_real_run(w);
    assert_int_equal(server.done, 1);
    assert_int_equal(server.sent, MR_CANCELLED);
    mr_free(bytes);
}

static void too_short_a_file_breaks_the_connection(void **state)
{
    char path[128];
    struct mr_file *f;
    (void)state;
    (void)snprintf(path, sizeof path, "%s/short", dir);
    assert_int_equal(mr_file_open(w, path, MR_FILE_WRITE | MR_FILE_CREATE, &f, &err), MR_OK);
    assert_int_equal(mr_file_write(f, "abc", 3, 0, &err), MR_OK);
    connect_pair();
    struct mr_part part = {.file = f, .at = 0, .len = 10};
    assert_int_equal(mr_conn_send(server.conn, &part, 1, on_sent, &server), MR_GONE);
    mr_real_run(w);
    if (!server.closed)
        mr_real_run(w);
    assert_true(server.closed || client.closed);
    mr_file_close(f);
    disconnect_pair();
}

static void a_taken_port_and_a_bad_host_are_refused(void **state)
{
    struct mr_listener *second;
    (void)state;
    connect_pair();
    assert_int_equal(
        mr_net_listen(w, "127.0.0.1", mr_listener_port(listener), on_accept, NULL, &second, &err), MR_EXISTS);
    assert_int_equal(mr_net_listen(w, "127.0.0.1", 70000, on_accept, NULL, &second, &err), MR_BADCONF);
    assert_int_equal(mr_net_listen(w, "not a host", 0, on_accept, NULL, &second, &err), MR_NOTFOUND);
    disconnect_pair();
}

struct job {
    pthread_t ran_on;
    int runs, answers;
};

static void do_job(void *arg)
{
    struct job *job = arg;
    job->ran_on = pthread_self();
    job->runs++;
}

static void job_done(void *arg, mr_code rc, int sys)
{
    struct job *job = arg;
    assert_int_equal(rc, MR_OK);
    assert_int_equal(sys, 0);
    if (++job->answers == 2)
        mr_real_stop(w);
}

static void work_runs_on_another_thread_and_comes_back(void **state)
{
    struct job job = {0};
    struct mr_file *f = NULL;
    (void)state;
    uint32_t before = mr_files_open(w);
    mr_work(w, do_job, job_done, &job);
    mr_disk_flush_later(w, ".", job_done, &job);
    assert_int_equal(job.answers, 0);
    mr_real_run(w);
    assert_true(job.runs == 1 && job.answers == 2);
    assert_false(pthread_equal(job.ran_on, pthread_self()));
    assert_int_equal(mr_file_open(w, "/dev/null", MR_FILE_READ, &f, &err), MR_OK);
    assert_int_equal(mr_files_open(w), before + 1);
    assert_ptr_equal(mr_file_hold(f), f);
    mr_file_close(f);
    assert_int_equal(mr_files_open(w), before + 1);
    mr_file_close(f);
    assert_int_equal(mr_files_open(w), before);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(timers_fire_in_order_and_equal_ones_as_they_were_set),
        T(many_timers_keep_their_order),
        T(posts_from_other_threads_come_in_order),
        T(what_was_posted_before_a_stop_is_run),
        T(signals_and_watched_descriptors_wake_the_loop),
        T(files_hold_what_was_written),
        T(work_runs_on_another_thread_and_comes_back),
        T(a_write_with_a_sync_joins_what_else_is_written),
        T(bytes_come_back_from_an_echo),
        T(a_large_send_of_bytes_and_file_waits_for_the_reader),
        T(a_paused_reader_gets_nothing_until_it_resumes),
        T(the_end_of_a_peer_is_told_once_and_sends_are_refused),
        T(closing_cancels_sends_that_wait),
        T(too_short_a_file_breaks_the_connection),
        T(a_taken_port_and_a_bad_host_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
