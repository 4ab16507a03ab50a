/* record_file.h - small text files with a checksum in their last line. For broker/ alone.
 *
 *   millrace topic 1
 *   name access
 *   crc32c 1a2b3c4d
 */
#ifndef MR_BROKER_RECORD_FILE_H
#define MR_BROKER_RECORD_FILE_H

#include "world/world.h"
#include <millrace/plugin.h>

/* Adds the last line and puts the file in place, durable. */
mr_code mr_record_file_write(struct mr_world *w, const char *path, struct mr_buf *text, struct mr_err *err);
/* Adds the line with the checksum: the text is then as the file holds it. false: no memory. */
bool mr_record_file_seal(struct mr_buf *text);
/* *lines [arena] without the last; MR_NOTFOUND; MR_CORRUPT: the checksum differs. */
mr_code mr_record_file_read(struct mr_world *w, const char *path, struct mr_arena *a, struct mr_slice *lines,
                            struct mr_err *err);
/* The next line as "word rest"; false at the end. */
bool mr_record_file_line(struct mr_slice *lines, struct mr_slice *word, struct mr_slice *rest);

#endif
