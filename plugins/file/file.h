/* file.h - the components of this plugin. */
#ifndef FILE_FILE_H
#define FILE_FILE_H

#include <millrace/plugin.h>

extern const struct mr_component file_source_component, file_sink_component;

#endif
