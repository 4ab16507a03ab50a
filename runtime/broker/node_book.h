/* node_book.h - the layers of a node's settings: which are kept, what they come to. One to a broker.
 *
 * What is set while running is kept in the file `node-settings` of the data directory, and holds before it is
 * answered.
 */
#ifndef MR_BROKER_NODE_BOOK_H
#define MR_BROKER_NODE_BOOK_H

#include "broker/broker.h"

struct mr_node_book;

enum mr_node_source {                       /* by Kafka's numbers */
                      MR_NODE_OWN = 2,      /* set while running, for this node */
                      MR_NODE_ALL = 3,      /* the same for every node */
                      MR_NODE_FIXED = 4,    /* given at start */
                      MR_NODE_STANDARD = 5, /* by the program */
};
struct mr_node_row {
    const char *name;
    const char *topic; /* the topic setting that it is the default of, or NULL */
    const char *help;
    int8_t type;    /* enum mr_setting_type */
    bool read_only; /* only at start */
    enum mr_node_source source;
    char value[MR_TOPIC_SETTING_MAX];   /* what holds */
    char allowed[MR_TOPIC_SETTING_MAX]; /* in words, for people */
    struct {
        bool given, unset; /* unset: there is none, as of log.retention.minutes */
        char value[MR_TOPIC_SETTING_MAX];
    } by[MR_NODE_STANDARD + 1]; /* by source, each that says something */
};

/* changed(arg): what mr_node_book_now tells has become another. */
mr_code mr_node_book_open(struct mr_world *w, const char *data_dir, const struct mr_broker_config *config,
                          void (*changed)(void *arg), void *arg, struct mr_node_book **out,
                          struct mr_err *err);
void mr_node_book_close(struct mr_node_book *k); /* NULL is fine */
const struct mr_node_settings *mr_node_book_now(const struct mr_node_book *k);

/* Changes settings, all or none, while running: for this node (`own`), else for every node. Blocks for two
 * fsyncs. INVALID_CONFIG: not valid, or only at start. */
enum mr_refusal mr_node_book_change(struct mr_node_book *k, bool own, const struct mr_setting_change *changes,
                                    size_t count, bool check_only, struct mr_err *err);
/* The same, and those that are not named go back; a value with p NULL too. */
enum mr_refusal mr_node_book_alter(struct mr_node_book *k, bool own, const struct mr_setting *settings,
                                   size_t count, bool check_only, struct mr_err *err);
/* Row i; false at the end. */
bool mr_node_book_row(const struct mr_node_book *k, size_t i, struct mr_node_row *out);
/* The same without a node, as the program has it. */
bool mr_node_setting_standard(size_t i, struct mr_node_row *out);
/* Who says what topics inherit in that setting, and the whole row; false: there is none. */
enum mr_node_source mr_node_book_topic_source(const struct mr_node_book *k, const char *topic_setting);
bool mr_node_book_topic_row(const struct mr_node_book *k, const char *topic_setting, struct mr_node_row *out);

#endif
