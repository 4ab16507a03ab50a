/* txn.h - what the verbs of `millrace txn` ask in common. */
#ifndef MR_CLI_TXN_H
#define MR_CLI_TXN_H

#include "cli/ask.h"

typedef struct mr_describe_transactions_response_transaction_state mr_txn;

/* What one coordinator has; false: told. */
bool mr_txn_list(struct mr_kafka *k, int32_t node, const struct mr_list_transactions_request *request,
                 struct mr_list_transactions_response *response);
/* One transactional id and its coordinator; NULL: told. [arena] */
const mr_txn *mr_txn_describe(struct mr_kafka *k, const char *id, int32_t *coordinator);

int mr_txn_producers(const struct mr_verb *v, int argc, char **argv);
int mr_txn_hanging(const struct mr_verb *v, int argc, char **argv);
int mr_txn_abort(const struct mr_verb *v, int argc, char **argv);

#endif
