/* flow.h - acknowledgement: how a source learns that its events are safe.
 *
 * Words.  An *ack* stands for one batch that a source read. It counts holds; at none left it is *done*, and
 * the source's position moves past the longest run of done acks from the front. Every batch that stands for
 *         events of that read holds it; so does a step that keeps something back (an open window).
 *         A batch is *delivered* when every output has taken each of its events, or the error route has.
 *
 * Laws:   F1 a position is stored only when every event before it was delivered, dropped or dead
 *         F2 positions and snapshots stored together speak of the same moment
 *         F3 holds cost no event memory: a window may keep acks for an hour without stopping its source
 * Thread: the lane that owns the pipeline.
 */
#ifndef MR_PIPELINE_FLOW_H
#define MR_PIPELINE_FLOW_H

#include <millrace/plugin.h>

struct mr_ack;

struct mr_ack *mr_flow_ack(struct mr_batch *b); /* [borrow] of the read that b came from; NULL: of no one */
void mr_ack_hold(struct mr_ack *a);             /* one more hold; NULL is fine */
void mr_ack_drop(struct mr_ack *a);             /* one less */
/* [move] b now has this hold; it is dropped when b is delivered. false: no memory, the hold stays the
 * caller's. */
bool mr_flow_attach(struct mr_batch *b, struct mr_ack *a);
/* done(arg) when b is delivered, before b's holds are dropped (same moment in the sense of F2). Not called
 * when the pipeline stops first. */
void mr_flow_on_delivered(struct mr_batch *b, void (*done)(void *arg), void *arg);

/* Whether snapshots must hold everything, because what was read once is not read again (exactly-once
 * delivery). A step then must not hold acks. */
bool mr_flow_whole(const struct mr_host *h);

#endif
