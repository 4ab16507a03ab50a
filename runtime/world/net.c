/* net.c - sockets on libuv's poll handles, with our own read, sendmsg and sendfile.
 *
 * A send is tried at once, in the caller's turn: most responses fit into the socket's buffer and need neither
 * a callback nor memory. What does not fit is a *job* in the connection's queue.
 *
 * Laws:  N1  jobs is empty, or the poll handle waits for writability, or the connection is broken
 *        N2  a job's done is called exactly once, from the loop
 *        N3  a broken connection is shut down, so that the kernel reports it and `closed` follows
 */
#include "world/net.h"
#include "world/real_inside.h"

#include "base/assert.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { READS_A_TURN = 4, ACCEPTS_A_TURN = 64, BACKLOG = 1024, SENDFILE_MAX = 4 << 20 };

struct job {
    struct job *next;
    mr_done_fn done;
    void *arg;
    size_t count, at; /* parts, and the first that is not yet sent whole */
    mr_code rc;
    int sys;
    struct mr_part parts[];
};

struct mr_conn {
    uv_poll_t poll;
    struct real *world;
    const struct mr_conn_events *events;
    void *arg;
    int fd;
    int polled; /* events the poll handle waits for */
    bool paused, broken, told, closing, in_event;
    mr_code why;
    int sys;
    struct job *jobs, **jobs_end;
    size_t queued;
};

static size_t part_len(const struct mr_part *p)
{
    return p->file ? p->len : p->bytes.len;
}

/* ---- sending */

struct progress {
    size_t at;   /* first part that is not sent whole */
    size_t sent; /* bytes */
    int sys;     /* 0, EAGAIN, or what broke it */
    bool file;   /* the file is at fault */
};

/* Sends as much of parts [at, count) as the socket takes; parts are shortened in place. */
static struct progress push(int fd, struct mr_part *parts, size_t at, size_t count)
{
    struct progress p = {.at = at};
    while (p.at < count) {
        struct mr_part *part = &parts[p.at];
        ssize_t n;
        if (part_len(part) == 0) {
            p.at++;
            continue;
        }
        if (part->file) {
            off_t from = (off_t)part->at;
            size_t want = part->len < SENDFILE_MAX ? part->len : SENDFILE_MAX;
            n = sendfile(fd, mr_file_fd(part->file), &from, want);
            if (n == 0) { /* the file ends before the range does: the peer was promised more */
                p.sys = EIO;
                p.file = true;
                return p;
            }
            if (n > 0) {
                part->at += n;
                part->len -= (size_t)n;
                p.sent += (size_t)n;
                continue;
            }
        } else {
            struct iovec iov[MR_NET_PARTS_MAX];
            struct msghdr msg = {.msg_iov = iov};
            size_t k = p.at;
            for (; k < count && !parts[k].file; k++)
                iov[msg.msg_iovlen++] =
                    (struct iovec){(void *)(uintptr_t)parts[k].bytes.p, parts[k].bytes.len};
            n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT | (k < count ? MSG_MORE : 0));
            if (n >= 0) {
                p.sent += (size_t)n;
                for (size_t left = (size_t)n; p.at < k; p.at++) {
                    struct mr_slice *s = &parts[p.at].bytes;
                    size_t take = left < s->len ? left : s->len;
                    s->p = take ? s->p + take : s->p; /* an empty part may have no address */
                    s->len -= take;
                    left -= take;
                    if (s->len)
                        break;
                }
                continue;
            }
        }
        if (errno == EINTR)
            continue;
        p.sys = errno == EWOULDBLOCK ? EAGAIN : errno;
        p.file = part->file && p.sys == EIO;
        return p;
    }
    return p;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void set_poll(struct mr_conn *c)
{
    int want = 0;
    if (c->closing || c->told)
        want = 0;
    else if (c->broken)
        want = UV_READABLE;
    else
        want = (c->paused ? 0 : UV_READABLE) | (c->jobs ? UV_WRITABLE : 0); /* N1 */
    if (want == c->polled)
        return;
    c->polled = want;
    if (want)
        (void)uv_poll_start(&c->poll, want, on_poll);
    else
        (void)uv_poll_stop(&c->poll);
}

static void break_off(struct mr_conn *c, mr_code why, int sys)
{
    if (c->broken)
        return;
    c->broken = true;
    c->why = why;
    c->sys = sys;
    (void)shutdown(c->fd, SHUT_RDWR); /* N3 */
}

mr_code mr_conn_send(struct mr_conn *c, const struct mr_part *parts, size_t count, mr_done_fn done, void *arg)
{
    struct mr_part copy[MR_NET_PARTS_MAX];
    size_t len = 0;
    mr_assert(!c->closing);
    if (c->broken)
        return MR_GONE;
    if (count > MR_NET_PARTS_MAX)
        return MR_LIMIT;
    for (size_t i = 0; i < count; i++)
        len += part_len(&parts[i]);
    if (len == 0 && !c->jobs)
        return MR_OK;
    memcpy(copy, parts, count * sizeof *parts);
    struct progress p = {0};
    if (!c->jobs) {
        p = push(c->fd, copy, 0, count);
        if (p.at == count)
            return MR_OK;
        if (p.sys != EAGAIN) {
            break_off(c, p.file ? MR_IO : MR_GONE, p.sys);
            set_poll(c);
            return MR_GONE;
        }
    }
    len -= p.sent;
    struct job *job = NULL;
    if (len <= MR_NET_QUEUED_MAX - c->queued)
        job = mr_alloc(sizeof *job + (count - p.at) * sizeof *parts);
    if (!job) {
        if (p.sent == 0)
            return MR_LIMIT;
        break_off(c, MR_GONE, ENOMEM); /* half a response is out: the stream cannot be mended */
        set_poll(c);
        return MR_GONE;
    }
    job->done = done;
    job->arg = arg;
    job->count = count - p.at;
    memcpy(job->parts, copy + p.at, job->count * sizeof *parts);
    for (size_t i = 0; i < job->count; i++)
        if (job->parts[i].file)
            (void)mr_file_hold(job->parts[i].file);
    *c->jobs_end = job;
    c->jobs_end = &job->next;
    c->queued += len;
    set_poll(c);
    return MR_PENDING;
}

size_t mr_conn_queued(const struct mr_conn *c)
{
    return c->queued;
}

static void finish_jobs(struct mr_conn *c, struct job *job)
{
    (void)c;
    while (job) {
        struct job *next = job->next;
        mr_done_fn done = job->done;
        void *arg = job->arg;
        mr_code rc = job->rc;
        int sys = job->sys;
        for (size_t i = 0; i < job->count; i++)
            mr_file_close(job->parts[i].file);
        mr_free(job);
        if (done)
            done(arg, rc, sys); /* N2 */
        job = next;
    }
}

static void fail_jobs(struct mr_conn *c, mr_code rc, int sys)
{
    struct job *jobs = c->jobs;
    c->jobs = NULL;
    c->jobs_end = &c->jobs;
    c->queued = 0;
    for (struct job *j = jobs; j; j = j->next) {
        j->rc = j->rc ? j->rc : rc;
        j->sys = j->sys ? j->sys : sys;
    }
    finish_jobs(c, jobs);
}

static void push_jobs(struct mr_conn *c)
{
    struct job *finished = NULL, **end = &finished;
    while (c->jobs) {
        struct job *job = c->jobs;
        struct progress p = push(c->fd, job->parts, job->at, job->count);
        job->at = p.at;
        c->queued -= p.sent;
        if (p.at < job->count && p.sys == EAGAIN)
            break;
        if (p.at < job->count) {
            job->rc = p.file ? MR_IO : MR_GONE;
            job->sys = p.sys;
            break_off(c, job->rc, p.sys);
            break;
        }
        c->jobs = job->next;
        if (!c->jobs)
            c->jobs_end = &c->jobs;
        job->next = NULL;
        *end = job;
        end = &job->next;
    }
    finish_jobs(c, finished);
}

/* ---- receiving */

static void pull(struct mr_conn *c)
{
    for (int i = 0; i < READS_A_TURN && !c->paused && !c->broken && !c->closing; i++) {
        size_t len = 0;
        char *room = c->events->room(c->arg, &len);
        if (c->closing)
            return;
        if (!room || len == 0) {
            c->paused = true;
            return;
        }
        ssize_t n = recv(c->fd, room, len, MSG_DONTWAIT);
        if (n > 0) {
            c->events->bytes(c->arg, (size_t)n);
            if ((size_t)n < len)
                return; /* most likely empty now; if not, the next turn comes at once */
        } else if (n == 0) {
            break_off(c, MR_END, 0);
        } else if (errno != EINTR) {
            if (errno != EAGAIN && errno != EWOULDBLOCK)
                break_off(c, MR_GONE, errno);
            return;
        }
    }
}

static void on_conn_closed(uv_handle_t *handle)
{
    struct mr_conn *c = handle->data;
    fail_jobs(c, MR_CANCELLED, 0);
    mr_free(c);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct mr_conn *c = poll->data;
    if (status < 0)
        break_off(c, MR_GONE, -status);
    if (!c->broken && (events & UV_WRITABLE))
        push_jobs(c);
    if (!c->closing && !c->broken && (events & UV_READABLE))
        pull(c);
    if (c->closing)
        return;
    if (c->broken && !c->told) {
        fail_jobs(c, MR_GONE, c->sys);
        if (c->closing)
            return;
        c->told = true;
        set_poll(c);
        c->events->closed(c->arg, c->why, c->sys);
        return;
    }
    set_poll(c);
}

mr_code mr_conn_new(struct mr_world *w, int fd, const struct mr_conn_events *events, void *arg,
                    struct mr_conn **out, struct mr_err *err)
{
    struct real *r = mr_real_of(w);
    struct mr_conn *c = mr_alloc(sizeof *c);
    int sys, yes = 1;
    if (!c) {
        (void)close(fd);
        return mr_fail(err, MR_MEMORY, "no memory for a connection");
    }
    if ((sys = uv_poll_init(&r->loop, &c->poll, fd)) != 0) {
        (void)close(fd);
        mr_free(c);
        return mr_real_fail(err, -sys, "watch", "a connection");
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes,
                     sizeof yes); /* a UNIX socket refuses, which is fine */
    c->poll.data = c;
    c->world = r;
    c->events = events;
    c->arg = arg;
    c->fd = fd;
    c->jobs_end = &c->jobs;
    set_poll(c);
    *out = c;
    return MR_OK;
}

void mr_conn_pause(struct mr_conn *c)
{
    c->paused = true;
    set_poll(c);
}

void mr_conn_resume(struct mr_conn *c)
{
    c->paused = false;
    set_poll(c);
}

void mr_conn_close(struct mr_conn *c)
{
    if (!c)
        return;
    mr_assert(!c->closing);
    c->closing = true;
    uv_close((uv_handle_t *)&c->poll, on_conn_closed);
    (void)close(c->fd);
}

/* ---- listening and connecting */

struct mr_listener {
    uv_poll_t poll;
    void (*accepted)(void *arg, int fd, const char *peer);
    void *arg;
    int fd, port, spare; /* spare: a descriptor given up for a moment when there are no more */
    bool closing;
};

static void tell_peer(const struct sockaddr_storage *a, char out[64])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)a;
        (void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
        (void)snprintf(out, 64, "%s:%d", host, ntohs(v4->sin_port));
    } else if (a->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)a;
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
        (void)snprintf(out, 64, "[%s]:%d", host, ntohs(v6->sin6_port));
    } else {
        (void)snprintf(out, 64, "local");
    }
}

static void on_connection(uv_poll_t *poll, int status, int events)
{
    struct mr_listener *l = poll->data;
    (void)status, (void)events;
    for (int i = 0; i < ACCEPTS_A_TURN && !l->closing; i++) {
        struct sockaddr_storage a = {0};
        socklen_t len = sizeof a;
        char peer[64];
        int fd = accept4(l->fd, (struct sockaddr *)&a, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            tell_peer(&a, peer);
            l->accepted(l->arg, fd, peer);
        } else if ((errno == EMFILE || errno == ENFILE) && l->spare >= 0) {
            /* no descriptor left: turn the caller away, else the loop would be woken for it for ever */
            (void)close(l->spare);
            fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0)
                (void)close(fd);
            l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

static mr_code resolve(const char *host, int port, int flags, struct addrinfo **out, struct mr_err *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    char service[16];
    if (port < 0 || port > 65535)
        return mr_fail(err, MR_BADCONF, "port %d is not between 0 and 65535", port);
    (void)snprintf(service, sizeof service, "%d", port);
    int rc = getaddrinfo(host && *host ? host : NULL, service, &hints, out);
    if (rc != 0)
        return mr_fail(err, MR_NOTFOUND, "cannot resolve host '%s': %s", host ? host : "", gai_strerror(rc));
    return MR_OK;
}

static int bound_port(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = {0};
    socklen_t len = sizeof a;
    if (getsockname(fd, &a.any, &len) != 0)
        return -1;
    return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

static void free_listener(uv_handle_t *handle)
{
    mr_free(handle->data);
}

mr_code mr_net_listen(struct mr_world *w, const char *host, int port,
                      void (*accepted)(void *arg, int fd, const char *peer), void *arg,
                      struct mr_listener **out, struct mr_err *err)
{
    struct real *r = mr_real_of(w);
    struct addrinfo *list = NULL;
    char name[300];
    int fd = -1, sys = 0, yes = 1, no = 0;
    (void)snprintf(name, sizeof name, "%s:%d", host && *host ? host : "*", port);
    mr_code rc = resolve(host, port, AI_PASSIVE, &list, err);
    if (rc)
        return rc;
    for (int pass = 0; pass < 2 && fd < 0; pass++) /* IPv6 first for "all": it takes IPv4 along */
        for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
            if (!(host && *host) && (a->ai_family == AF_INET6) != (pass == 0))
                continue;
            fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
            if (fd < 0) {
                sys = errno;
                continue;
            }
            (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
            if (a->ai_family == AF_INET6 && !(host && *host))
                (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
            if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
                sys = errno;
                (void)close(fd);
                fd = -1;
            }
        }
    freeaddrinfo(list);
    if (fd < 0)
        return mr_real_fail(err, sys, "listen on", name);
    struct mr_listener *l = mr_alloc(sizeof *l);
    if (!l || (sys = uv_poll_init(&r->loop, &l->poll, fd)) != 0) {
        (void)close(fd);
        if (!l)
            return mr_fail(err, MR_MEMORY, "no memory to listen on '%s'", name);
        mr_free(l);
        return mr_real_fail(err, -sys, "watch", name);
    }
    l->poll.data = l;
    l->accepted = accepted;
    l->arg = arg;
    l->fd = fd;
    l->port = bound_port(fd);
    l->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    (void)uv_poll_start(&l->poll, UV_READABLE, on_connection);
    *out = l;
    return MR_OK;
}

int mr_listener_port(const struct mr_listener *l)
{
    return l->port;
}

void mr_listener_close(struct mr_listener *l)
{
    if (!l)
        return;
    l->closing = true;
    uv_close((uv_handle_t *)&l->poll, free_listener);
    (void)close(l->fd);
    if (l->spare >= 0)
        (void)close(l->spare);
}

struct connecting {
    uv_poll_t poll;
    void (*done)(void *arg, int fd, int sys);
    void *arg;
    int fd;
};

static void on_connected(uv_poll_t *poll, int status, int events)
{
    struct connecting *c = poll->data;
    int sys = 0, fd = c->fd;
    socklen_t len = sizeof sys;
    (void)events;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &sys, &len) != 0)
        sys = errno;
    if (sys == 0 && status < 0)
        sys = -status;
    uv_close((uv_handle_t *)&c->poll, free_listener);
    if (sys) {
        (void)close(fd);
        fd = -1;
    }
    c->done(c->arg, fd, sys);
}

mr_code mr_net_connect(struct mr_world *w, const char *host, int port,
                       void (*done)(void *arg, int fd, int sys), void *arg, struct mr_err *err)
{
    struct real *r = mr_real_of(w);
    struct addrinfo *list = NULL;
    char name[300];
    int fd = -1, sys = 0;
    (void)snprintf(name, sizeof name, "%s:%d", host && *host ? host : "localhost", port);
    mr_code rc = resolve(host, port, 0, &list, err);
    if (rc)
        return rc;
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
        fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS) {
            sys = errno;
            (void)close(fd);
            fd = -1;
        } else if (fd < 0) {
            sys = errno;
        }
    }
    freeaddrinfo(list);
    if (fd < 0)
        return mr_real_fail(err, sys, "connect to", name);
    struct connecting *c = mr_alloc(sizeof *c);
    if (!c || (sys = uv_poll_init(&r->loop, &c->poll, fd)) != 0) {
        (void)close(fd);
        if (!c)
            return mr_fail(err, MR_MEMORY, "no memory to connect to '%s'", name);
        mr_free(c);
        return mr_real_fail(err, -sys, "watch", name);
    }
    c->poll.data = c;
    c->done = done;
    c->arg = arg;
    c->fd = fd;
    (void)uv_poll_start(&c->poll, UV_WRITABLE, on_connected);
    return MR_OK;
}
