/* kafka_change.c - requests that change the catalogue: each row of the answer is filled in when its change is
 * on the disk, and the answer goes out with the last of them.
 */
#include "node/kafka.h"

#include "base/assert.h"

static void changed(struct mr_change *c)
{
    struct mr_request_change *row = (struct mr_request_change *)(void *)c;
    struct mr_request *r = row->request;
    mr_assert(r->pending > 0);
    *row->code = (int16_t)c->refusal;
    if (row->message)
        *row->message = c->refusal
                            ? mr_request_text(r, c->err.code ? c->err.text : mr_refusal_text(c->refusal))
                            : (struct mr_slice){0};
    if (row->more && !row->more(row))
        return; /* the connection was closed, and the request with it */
    if (--r->pending == 0)
        mr_request_answer(r, r->state);
}

struct mr_request_change *mr_request_change(struct mr_request *r, enum mr_change_kind kind,
                                            struct mr_slice name, int16_t *code, struct mr_slice *message)
{
    struct mr_request_change *row = mr_request_take(r, 1, sizeof *row);
    if (!row)
        return NULL;
    row->change = (struct mr_change){.kind = kind, .name = name, .done = changed};
    row->request = r;
    row->code = code;
    row->message = message;
    return row;
}

void mr_request_submit(struct mr_request_change *row)
{
    struct mr_request *r = row->request;
    row->next = r->changes;
    r->changes = row;
    r->pending++;
    mr_broker_submit(mr_request_node(r)->broker, &row->change);
}

void mr_request_changes_drop(struct mr_request *r)
{
    for (struct mr_request_change *row = r->changes; row; row = row->next)
        mr_broker_withdraw(mr_request_node(r)->broker, &row->change);
    r->changes = NULL;
}

void mr_request_changes_answer(struct mr_request *r, void *out)
{
    if (r->pending == 0)
        mr_request_answer(r, out);
    else
        mr_request_wait(r, out, NULL, NULL);
}
