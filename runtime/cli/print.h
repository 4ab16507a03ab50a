/* print.h - a record as `millrace consume` writes it: a format, or an object a line. */
#ifndef MR_CLI_PRINT_H
#define MR_CLI_PRINT_H

#include "base/arena.h"
#include "cli/kafka.h"

/* What bytes are shown as. */
enum mr_show {
    MR_SHOW_BYTES,  /* as they are; in JSON as text, or base64 when they are none */
    MR_SHOW_JSON,   /* JSON stays JSON; what is none is shown as bytes */
    MR_SHOW_HEX,    /* "0aff" */
    MR_SHOW_BASE64, /* "Cv8=" */
    MR_SHOW_INT,    /* a signed number of 1, 2, 4 or 8 bytes, most significant first; else as hex */
    MR_SHOW_KAFKA,  /* what Kafka keeps in its own topics, as JSON */
};

/* A piece of a format: text as it is, or one of the letters. */
struct mr_print_piece {
    char letter; /* 0: text */
    const char *text;
    size_t len;
};
enum { MR_PRINT_PIECES_MAX = 64 };

struct mr_printer {
    bool json;
    const char *null; /* what stands for null in a format; NULL: nothing */
    enum mr_show key, value;
    struct mr_print_piece pieces[MR_PRINT_PIECES_MAX];
    size_t piece_count;
    struct mr_buf out; /* what was printed and not handed on */
    struct mr_buf scratch;
    struct mr_jsonl line;
    struct mr_heap_arena arena;
};

/* What a format may hold, for --help. */
#define MR_PRINT_FORMAT_HELP                                                                                 \
    "%k key, %v value, %t topic, %p partition, %o offset, %h headers, %T timestamp in\n"                     \
    "milliseconds, %D the same as a date, %K and %S the sizes of key and value (-1: null), %%, \\n \\t \\r " \
    "\\0 \\\\."

/* text: [borrow] changed in place (escapes are taken), has to stay. false: told. */
bool mr_printer_format(const struct mr_verb *v, struct mr_printer *p, char *text);
/* "hex", "key=int", "value=json", each ended by NULL; topic: Kafka's own are decoded unless told
 * otherwise. false: told. */
bool mr_printer_decode(const struct mr_verb *v, struct mr_printer *p, const char *const *how,
                       const char *topic);
bool mr_printer_put(struct mr_printer *p, const rd_kafka_message_t *m); /* false: no memory */
void mr_printer_fini(struct mr_printer *p);

/* What Kafka keeps in __consumer_offsets and __transaction_state (decode.c): a key or a value as
 * a JSON object, appended. 0: it is not understood, nothing was appended; -1: no memory. */
bool mr_decode_is_kafkas(const char *topic);
int mr_decode_key(struct mr_heap_arena *a, const char *topic, struct mr_slice key, struct mr_buf *out);
int mr_decode_value(struct mr_heap_arena *a, const char *topic, struct mr_slice key, struct mr_slice value,
                    struct mr_buf *out);

#endif
