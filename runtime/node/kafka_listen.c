/* kafka_listen.c - where the Kafka listener listens, and what its clients are told of that.
 *
 * Several addresses may be listened on, each with an address of its own to advertise: a client that came in
 * through one is told to come back through the same.
 */
#include "node/kafka.h"

#include "base/text.h"

#include <unistd.h>

/* The part of a list between commas; moves *list behind it. false: the list has ended, or it is too long. */
static bool next_of(const char **list, char out[MR_ADDRESS_BYTES])
{
    if (!*list)
        return false;
    size_t len = strcspn(*list, ",");
    const char *rest = (*list)[len] ? *list + len + 1 : NULL;
    if (len >= MR_ADDRESS_BYTES)
        return false;
    memcpy(out, *list, len);
    out[len] = '\0';
    *list = rest;
    return true;
}

/* What is told to clients: as given, else where we listen, else our name when we listen everywhere. */
static mr_code show(struct mr_kafka_listener *l, const struct mr_address *at, const char *advertise,
                    struct mr_err *err)
{
    l->shown = *at;
    l->shown.port = mr_listener_port(l->net);
    if (advertise) {
        mr_code rc = mr_address_parse(advertise, &l->shown, err);
        if (rc)
            return rc;
        if (l->shown.port == 0)
            l->shown.port = mr_listener_port(l->net);
    } else if (!at->host[0] || !strcmp(at->host, "0.0.0.0") || !strcmp(at->host, "::")) {
        if (gethostname(l->shown.host, sizeof l->shown.host) != 0)
            (void)snprintf(l->shown.host, sizeof l->shown.host, "localhost");
        l->shown.host[sizeof l->shown.host - 1] = '\0';
    }
    return MR_OK;
}

static void add_address(struct mr_kafka *k, const struct mr_address *at, int port)
{
    char *to = k->node->address;
    size_t len = strlen(to);
    (void)snprintf(to + len, sizeof k->node->address - len, strchr(at->host, ':') ? "%s[%s]:%d" : "%s%s:%d",
                   len ? "," : "", at->host[0] ? at->host : "0.0.0.0", port);
}

mr_code mr_kafka_listen(struct mr_kafka *k, const char *listen, const char *advertise, struct mr_err *err)
{
    char text[MR_ADDRESS_BYTES], shown[MR_ADDRESS_BYTES];
    const char *list = listen;
    while (next_of(&list, text)) {
        struct mr_kafka_listener *l = &k->listeners[k->listener_count];
        struct mr_address at;
        bool given = next_of(&advertise, shown);
        if (k->listener_count == MR_KAFKA_LISTENERS_MAX)
            return mr_fail(err, MR_LIMIT, "more than %d addresses to listen on: '%s'", MR_KAFKA_LISTENERS_MAX,
                           listen);
        l->kafka = k;
        mr_code rc = mr_address_parse(text, &at, err);
        if (rc || (rc = mr_net_listen(k->node->world, at.host, at.port, mr_kafka_accept, l, &l->net, err)))
            return rc;
        k->listener_count++;
        if ((rc = show(l, &at, given ? shown : NULL, err)))
            return rc;
        add_address(k, &at, mr_listener_port(l->net));
    }
    if (list || advertise)
        return mr_fail(err, MR_BADCONF, "'%s': %s", list ? list : advertise,
                       list ? "address is too long" : "more addresses to advertise than to listen on");
    return MR_OK;
}

void mr_kafka_deafen(struct mr_kafka *k)
{
    for (uint32_t i = 0; i < k->listener_count; i++) {
        mr_listener_close(k->listeners[i].net);
        k->listeners[i].net = NULL;
    }
}
