/* net.h - stream sockets of the real world: listen, read into the caller's memory, send bytes and file
 * ranges.
 *
 * Nothing blocks; callbacks come from the loop and never from inside the call that asked for them. A
 * connection belongs to the world it was made with, and all calls come from that world's thread. TCP_NODELAY
 * is on.
 *
 * Life of a connection:  accepted(fd) -> mr_conn_new (on any world: that is how connections are spread over
 *   loops) -> room/bytes ... -> closed -> mr_conn_close.  mr_conn_close may come at any time, also from
 * inside a callback, and is the last call; sends that wait then get MR_CANCELLED from the loop.
 */
#ifndef MR_WORLD_NET_H
#define MR_WORLD_NET_H

#include "world/world.h"

enum {
    MR_NET_PARTS_MAX = 64,        /* parts in one send */
    MR_NET_QUEUED_MAX = 256 << 20 /* bytes that may wait in one connection; MR_LIMIT beyond */
};

struct mr_listener;
struct mr_conn;

/* Listens on host (a name or address; NULL or "": all) and port (0: a free one, see mr_listener_port).
 * accepted(arg, fd, peer): [give] a connected, non-blocking socket: hand it to mr_conn_new, or close it.
 *   peer [borrow] "127.0.0.1:4711". MR_EXISTS: the port is taken. */
mr_code mr_net_listen(struct mr_world *w, const char *host, int port,
                      void (*accepted)(void *arg, int fd, const char *peer), void *arg,
                      struct mr_listener **out, struct mr_err *err);
int mr_listener_port(const struct mr_listener *l);
void mr_listener_close(struct mr_listener *l); /* NULL is fine; frees */

struct mr_conn_events {
    /* Memory for the next bytes: *len of it, [borrow] until `bytes` is called. NULL pauses reading until
     * mr_conn_resume. */
    void *(*room)(void *arg, size_t *len);
    void (*bytes)(void *arg, size_t len); /* the first len bytes of that room are filled; len > 0 */
    /* The peer ended (MR_END) or the connection broke (MR_GONE, sys). Once; no event follows. mr_conn_close
     * is still to be called. */
    void (*closed)(void *arg, mr_code why, int sys);
};

/* Takes fd (move; closed on failure too) and begins to read on the next turn of the loop. */
mr_code mr_conn_new(struct mr_world *w, int fd, const struct mr_conn_events *events /* [borrow] for ever */,
                    void *arg, struct mr_conn **out, struct mr_err *err);
void mr_conn_pause(struct mr_conn *c);
void mr_conn_resume(struct mr_conn *c);
void mr_conn_close(struct mr_conn *c); /* NULL is fine */

/* A piece of a send: bytes, or `len` bytes of a file from `at` (when file is not NULL; goes by sendfile). */
struct mr_part {
    struct mr_slice bytes;
    struct mr_file *file;
    int64_t at;
    size_t len;
};
/* Sends the parts in order, after what is waiting already.
 *   parts  copied; the bytes they name are [borrow] until done, the files are held and may be closed
 * meanwhile MR_OK       all went into the socket: done is not called MR_PENDING  done(arg, rc, sys) follows:
 * MR_OK, MR_GONE (broken; `closed` follows), MR_IO (the file could not be read or is too short: the
 * connection is broken on purpose), MR_CANCELLED (mr_conn_close came first) MR_GONE     broken already; done
 * is not called, `closed` has come or follows MR_LIMIT    more than MR_NET_QUEUED_MAX or MR_NET_PARTS_MAX;
 * nothing was taken */
mr_code mr_conn_send(struct mr_conn *c, const struct mr_part *parts, size_t count, mr_done_fn done,
                     void *arg);
size_t mr_conn_queued(const struct mr_conn *c); /* bytes that wait */

/* Connects to host and port. done(arg, fd, sys): fd [give], or -1 and errno. Names are resolved at once and
 * may block: use addresses where that matters. */
mr_code mr_net_connect(struct mr_world *w, const char *host, int port,
                       void (*done)(void *arg, int fd, int sys), void *arg, struct mr_err *err);

#endif
