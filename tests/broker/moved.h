/* moved.h - one committed offset on its way, as tests of the coordinators send it. */
#ifndef MR_TESTS_BROKER_MOVED_H
#define MR_TESTS_BROKER_MOVED_H

#include "broker/mill.h"

#include "broker/group.h"

struct moved {
    struct mr_commit c; /* first */
    struct mr_commit_row row;
    bool done;
};

static inline void on_moved(struct mr_commit *c)
{
    ((struct moved *)(void *)c)->done = true;
}

/* Of partition 0 of topic t, by nobody's member; to be changed before it is sent. */
static inline struct moved moved_to(const char *group, int64_t offset, struct mr_slice metadata)
{
    return (struct moved){
        .c = {.group = mr_slice_of(group),
              .generation = -1,
              .retention_ms = -1,
              .row_count = 1,
              .done = on_moved},
        .row = {.topic = MR_SLICE("t"), .offset = offset, .leader_epoch = -1, .metadata = metadata}};
}

/* What became of it; MR_REFUSE_UNKNOWN when the power went or nothing came in a second. */
static inline enum mr_refusal moved_send(struct mill *w, struct mr_groups *g, struct moved *m)
{
    m->c.rows = &m->row;
    m->done = mr_groups_commit(g, &m->c);
    for (int i = 0; i < 200 && !m->done && !mr_sim_is_down(w->world); i++)
        mr_sim_run_until(w->sim, mr_sim_now(w->sim) + 5);
    if (!m->done)
        mr_groups_forget_commit(&m->c);
    return m->done && !mr_sim_is_down(w->world) ? m->row.refusal : MR_REFUSE_UNKNOWN;
}

#endif
