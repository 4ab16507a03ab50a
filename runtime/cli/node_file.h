/* node_file.h - the file that describes a node: `millrace serve -c node.yaml`.
 *
 *   data: /var/lib/millrace
 *   listeners:
 *     - { name: INSIDE, bind: 127.0.0.1:9092 }
 *     - { name: OUTSIDE, bind: 0.0.0.0:9093, advertise: log1.example:9093 }
 *   settings:
 *     num.partitions: 3
 *     log.retention.hours: 48
 *
 * ${NAME} and ${file:/path} are replaced as in pipelines. Every mistake is told, with line and column.
 */
#ifndef MR_CLI_NODE_FILE_H
#define MR_CLI_NODE_FILE_H

#include "cli/cli.h"

struct mr_cli_node_file {
    struct mr_heap_arena arena;
    const char *data, *listen, *advertise; /* [arena] as struct mr_node_config wants them; NULL: not said */
};

/* Settings go to `layer`. 0, or the exit code: complaints were printed. mr_cli_node_file_fini in any case. */
int mr_cli_node_file_load(const char *path, struct mr_cli_node_file *f, struct mr_node_layer *layer);
void mr_cli_node_file_fini(struct mr_cli_node_file *f);

#endif
