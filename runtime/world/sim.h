/* sim.h - worlds that are not real: one seeded clock, many nodes, and disks that lie within rules.
 *
 * Everything runs in the caller's thread; the same seed and the same calls give the same run, bit for bit
 * (mr_sim_digest tells). A node is a world of its own: clock, randomness, disk. Time stands still while a
 * callback runs and jumps from event to event.
 *
 * Words.  An *operation* is one change asked of a node's disk: a write, a truncation, a sync, or
 *         a name made, moved, removed or synced. They are numbered from 1, so that a test can
 *         say "crash at the k-th".
 *
 * What the disk promises (and no more):
 *   W1  bytes covered by a successful sync, and names covered by a successful mr_dir_sync,
 *       survive a crash
 *   W2  of unsynced writes any set of 512-byte sectors survives; a sector is old or new, never
 *       mixed, but unsynced bytes beyond the synced size may come back as zeros or garbage
 *   W3  of the unsynced name changes of one directory a prefix survives
 *   W4  after a failed sync the bytes it should have covered look written until the crash, may be
 *       gone after it, and no later sync brings them back
 *   W5  a rename is atomic: the old file or the new one
 */
#ifndef MR_WORLD_SIM_H
#define MR_WORLD_SIM_H

#include "world/world.h"

enum { MR_SIM_NODES_MAX = 32, MR_SIM_SECTOR = 512 };

struct mr_sim;
struct mr_sim *mr_sim_new(uint64_t seed);
void mr_sim_free(struct mr_sim *s); /* with all nodes; their files must be closed */
struct mr_world *mr_sim_node(struct mr_sim *s, uint32_t node); /* made at first use; [borrow] until free */

bool mr_sim_step(struct mr_sim *s);                 /* the next event; false: there is none */
void mr_sim_run_until(struct mr_sim *s, mr_ms at);  /* all events up to `at`; then it is `at` */
bool mr_sim_settle(struct mr_sim *s, uint64_t max); /* until no event is left; false: more than max events */
mr_ms mr_sim_now(const struct mr_sim *s);
uint64_t mr_sim_random(struct mr_sim *s, uint64_t bound); /* for the test's own choices; [0, bound) */
uint64_t mr_sim_digest(const struct mr_sim *s);           /* of all that happened so far */

/* Loses power: timers and posted calls of the node are gone without a callback, and every file call answers
 * MR_IO until mr_sim_restart, which decides what the disk kept. In between the test frees the node's
 * machines: closing files works. Syncs that were running are answered with MR_CANCELLED at the restart. */
void mr_sim_crash(struct mr_world *w);
bool mr_sim_is_down(const struct mr_world *w);
void mr_sim_restart(struct mr_world *w);
/* The process ends but the machine does not (kill -9): as crash, but nothing written is lost. */
void mr_sim_kill(struct mr_world *w);

/* What goes wrong, and when. Counters count down: 1 is the next one; 0 never. */
struct mr_sim_faults {
    uint64_t crash_at;   /* operation: it may or may not have taken effect, its caller gets MR_IO */
    uint64_t fail_sync;  /* sync (of a file): MR_IO, see W4 */
    uint64_t fail_write; /* write: MR_IO, a part of it may have been written */
    uint64_t fail_read;  /* read: MR_IO */
    uint64_t fail_name;  /* name operation: MR_IO, did not happen */
    int64_t capacity;    /* bytes of all files; a write beyond it is cut short with MR_NOSPACE; 0: no limit */
    mr_ms sync_ms_max;   /* mr_file_sync_later and mr_work take 1 to this many; default 10 */
    bool keep_all;       /* a crash keeps every unsynced write and name */
    bool lose_all;       /* a crash keeps none of them */
};
struct mr_sim_faults *mr_sim_faults(struct mr_world *w); /* change it at any time */

struct mr_sim_counts {
    int64_t ahead; /* bytes of hints */
    uint64_t operations, writes, truncates, syncs, names, reads, bytes_written;
    uint64_t waited; /* syncs that the node's thread waited for itself */
};
const struct mr_sim_counts *mr_sim_counts(const struct mr_world *w);

/* Flips bit 0 to 7 of byte `at` of a file, in the cache and on the medium. false: no such byte. */
bool mr_sim_flip(struct mr_world *w, const char *path, int64_t at, int bit);
void mr_sim_wall_jump(struct mr_world *w, mr_ns by);

#endif
