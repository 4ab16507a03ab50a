/* real.h - the world as it is: one libuv loop, POSIX files, the kernel's clock and randomness.
 *
 * libuv's header stays in this folder; node/ gets sockets through net.h beside it, lanes get watched
 * descriptors through mr_real_watch.
 */
#ifndef MR_WORLD_REAL_H
#define MR_WORLD_REAL_H

#include "world/world.h"

/* Thread: any; the world then belongs to the thread that runs it. */
mr_code mr_real_new(struct mr_world **out, struct mr_err *err);
void mr_real_free(struct mr_world *w); /* after run has returned; files, connections, listeners are closed */
/* Runs callbacks until mr_real_stop. What is ready is run before it sleeps. Idle cost: none. */
void mr_real_run(struct mr_world *w);
void mr_real_stop(struct mr_world *w); /* any thread: run returns soon, posted calls before it are run */

struct mr_watch;
/* ready(arg) on the loop whenever fd is readable (level-triggered). */
mr_code mr_real_watch(struct mr_world *w, int fd, void (*ready)(void *arg), void *arg, struct mr_watch **out,
                      struct mr_err *err);
void mr_real_unwatch(struct mr_watch *watch);
/* SIGINT, SIGTERM ...: fn(arg, signo) on the loop. Unblocks it in the calling thread. */
mr_code mr_real_signal(struct mr_world *w, int signo, void (*fn)(void *arg, int signo), void *arg,
                       struct mr_err *err);

#endif
