/* window.h - the `window` step: tumbling event-time windows. Part of the engine, since it holds acks
 * (flow.h). */
#ifndef MR_PIPELINE_WINDOW_H
#define MR_PIPELINE_WINDOW_H

#include <millrace/plugin.h>

extern const struct mr_component mr_window_component;

#endif
