/* topic.h - the source and the output `topic`: part of the engine, since they use the topics port (topics.h).
 */
#ifndef MR_PIPELINE_TOPIC_H
#define MR_PIPELINE_TOPIC_H

#include <millrace/plugin.h>

extern const struct mr_component mr_topic_source_component;
extern const struct mr_component mr_topic_sink_component;

#endif
