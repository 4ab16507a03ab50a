/* ask.h - one request, one answer: a small client for the requests that librdkafka 2.0 has no
 * call for.
 *
 * It takes what the librdkafka client beside it knows: the brokers' addresses (its metadata), how
 * long an answer may take, and how connections are secured. Connections are made when they are
 * first needed and kept until mr_kafka_close; each negotiates its versions with ApiVersions.
 *
 * What an answer points into lives until mr_kafka_close. Bounds: MR_ASK_FRAME_MAX bytes an answer,
 * MR_ASK_ARENA_MAX bytes of all of them, MR_ASK_BROKERS_MAX connections.
 *
 * Thread: the one thread of millrace-kafka.   Blocks: up to --timeout for each request; Ctrl-C
 * ends a wait.
 */
#ifndef MR_CLI_ASK_H
#define MR_CLI_ASK_H

#include "cli/kafka.h"
#include "wire/message.h"

enum { MR_ASK_FRAME_MAX = 100 << 20, MR_ASK_ARENA_MAX = 512 << 20, MR_ASK_BROKERS_MAX = 1000 };
enum { MR_ASK_ANYONE = -1 }; /* whichever broker is connected, or the first that can be */

/* Keys of the requests that are used here. */
enum {
    MR_ASK_FIND_COORDINATOR = 10,
    MR_ASK_DESCRIBE_GROUPS = 15,
    MR_ASK_LIST_GROUPS = 16,
    MR_ASK_SASL_HANDSHAKE = 17,
    MR_ASK_API_VERSIONS = 18,
    MR_ASK_INIT_PRODUCER_ID = 22,
    MR_ASK_WRITE_TXN_MARKERS = 27,
    MR_ASK_DESCRIBE_CONFIGS = 32,
    MR_ASK_DESCRIBE_LOG_DIRS = 35,
    MR_ASK_SASL_AUTHENTICATE = 36,
    MR_ASK_INCREMENTAL_ALTER_CONFIGS = 44,
    MR_ASK_DESCRIBE_PRODUCERS = 61,
    MR_ASK_DESCRIBE_TRANSACTIONS = 65,
    MR_ASK_LIST_TRANSACTIONS = 66,
    MR_ASK_CONSUMER_GROUP_DESCRIBE = 69,
};

/* Sends a request to one broker, at the newest version that both sides have, and waits for the
 * answer.
 *
 *   node      a broker's number, or MR_ASK_ANYONE
 *   request   [borrow] the struct of that key's request
 *   response  [out] the struct of that key's response, its contents [arena]
 *
 * true: *response is what came; the error codes in it are the caller's to judge.   false: told.
 */
bool mr_ask(struct mr_kafka *k, int32_t node, int16_t key, const void *request, void *response);

/* The version that mr_ask would use there; -1: this broker has no such request; -2: told. */
int mr_ask_version(struct mr_kafka *k, int32_t node, int16_t key);

/* Which broker coordinates a group or a transactional id; waits until there is one. -1: told. */
enum { MR_ASK_GROUP = 0, MR_ASK_TXN = 1 };
int32_t mr_ask_coordinator(struct mr_kafka *k, int8_t type, const char *key);

/* Is this an error that goes away when one asks again (the coordinator loads, or has moved)? Then
 * waits a little and answers true, until `until_ms` (mr_kafka_now_ms) or Ctrl-C. */
enum { MR_ASK_LOADING = 14 }; /* an error of that kind */
bool mr_ask_again(int16_t error, int64_t until_ms);

struct mr_arena *mr_ask_arena(struct mr_kafka *k);        /* after the first mr_ask */
char *mr_ask_text(struct mr_kafka *k, struct mr_slice s); /* with NUL, [arena]; null becomes "" */
void *mr_ask_take(struct mr_kafka *k, size_t count,
                  size_t size); /* zeroed, [arena]; with no memory it ends */

/* The connection's bytes, secured or not (ask_secure.c). */
struct mr_secure;
struct mr_ask_pipe {
    int fd;
    struct mr_secure *secure; /* NULL: plain */
};
/* What --set says of security; false: told. tls: is the connection to be encrypted? sasl: the
 * mechanism, or NULL. */
struct mr_ask_security {
    bool tls;
    char sasl[32], user[256], password[256];
};
bool mr_ask_security_read(struct mr_kafka *k, struct mr_ask_security *s);
/* Begins TLS on a connected, non-blocking socket. false: err says why. */
bool mr_secure_start(struct mr_kafka *k, struct mr_ask_pipe *p, const char *host, int64_t until_ms,
                     struct mr_err *err);
void mr_secure_end(struct mr_secure *s); /* content with NULL */
/* As read and write; -1 with `wants` (POLLIN or POLLOUT) set: wait for that. -1 with 0: err says
 * why. 0: closed by the other side. */
ssize_t mr_ask_pipe_read(struct mr_ask_pipe *p, void *to, size_t len, short *wants, struct mr_err *err);
ssize_t mr_ask_pipe_write(struct mr_ask_pipe *p, const void *from, size_t len, short *wants,
                          struct mr_err *err);
bool mr_ask_wait(int fd, short wants, int64_t until_ms, struct mr_err *err); /* false: err says why */

/* The exchange of tokens of one SASL mechanism: answers to what the broker sent last. step 0: the
 * first. */
struct mr_sasl {
    const struct mr_ask_security *s;
    char nonce[48], first[600], server_signature[128];
    int step;
};
/* The next token into `out` [appended]; *done: nothing more is sent after it. false: err says why.
 */
bool mr_sasl_next(struct mr_sasl *x, struct mr_slice challenge, struct mr_buf *out, bool *done,
                  struct mr_err *err);

#endif
