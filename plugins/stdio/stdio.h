/* stdio.h - the components of this plugin. */
#ifndef STDIO_STDIO_H
#define STDIO_STDIO_H

#include <millrace/plugin.h>

extern const struct mr_component stdin_component, stdout_component;

#endif
