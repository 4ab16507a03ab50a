/* kafka_listen.c - where the Kafka listener listens, and what its clients are told of that.
 *
 * Several addresses may be listened on, each with a name and an address of its own to advertise: a client
 * that came in through one is told to come back through the same.
 */
#include "node/kafka.h"

#include "base/text.h"

#include <unistd.h>

enum { ITEM_BYTES = MR_LISTENER_NAME_BYTES + 3 + MR_ADDRESS_BYTES };

/* The part of a list between commas; moves *list behind it. false: the list has ended, or it is too long. */
static bool next_of(const char **list, char out[ITEM_BYTES])
{
    if (!*list)
        return false;
    size_t len = strcspn(*list, ",");
    const char *rest = (*list)[len] ? *list + len + 1 : NULL;
    if (len >= ITEM_BYTES)
        return false;
    memcpy(out, *list, len);
    out[len] = '\0';
    *list = rest;
    return true;
}

/* "INSIDE://host:port" to its name, in capitals as Kafka keeps them, and the rest; without one name is "". */
static mr_code split(const char *item, char name[MR_LISTENER_NAME_BYTES], const char **address,
                     struct mr_err *err)
{
    const char *mark = strstr(item, "://");
    *address = mark ? mark + 3 : item;
    size_t len = mark ? (size_t)(mark - item) : 0;
    bool ok = len < MR_LISTENER_NAME_BYTES && (!mark || len > 0);
    for (size_t i = 0; ok && i < len; i++) {
        char c = item[i];
        name[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
        ok = (name[i] >= 'A' && name[i] <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    }
    if (!ok)
        return mr_fail(err, MR_BADCONF, "listener '%s': a name is 1 to %d of A-Z 0-9 _ -", item,
                       MR_LISTENER_NAME_BYTES - 1);
    name[len] = '\0';
    if (!strcmp(name, "SSL") || !strncmp(name, "SASL_", 5))
        return mr_fail(err, MR_UNSUPPORTED,
                       "listener '%s': TLS and SASL are not served, a listener is plain; call it otherwise",
                       item);
    return MR_OK;
}

static struct mr_kafka_listener *find(struct mr_kafka *k, const char *name)
{
    for (uint32_t i = 0; i < k->listener_count; i++)
        if (!strcmp(k->listeners[i].name, name))
            return &k->listeners[i];
    return NULL;
}

static mr_code unknown(const struct mr_kafka *k, const char *name, struct mr_err *err)
{
    const char *names[MR_KAFKA_LISTENERS_MAX];
    for (uint32_t i = 0; i < k->listener_count; i++)
        names[i] = k->listeners[i].name;
    const char *near = mr_nearest(mr_slice_of(name), names, k->listener_count);
    return mr_fail(err, MR_BADCONF, "address to advertise for '%s', which is not listened on%s%s%s", name,
                   near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* ------------------------------------------------------------------ one */

/* What is told to clients unless it is said: where we listen, or our name when we listen everywhere. */
static void show_own(struct mr_kafka_listener *l)
{
    l->shown = l->bound;
    if (l->bound.host[0] && strcmp(l->bound.host, "0.0.0.0") != 0 && strcmp(l->bound.host, "::") != 0)
        return;
    if (gethostname(l->shown.host, sizeof l->shown.host) != 0)
        (void)snprintf(l->shown.host, sizeof l->shown.host, "localhost");
    l->shown.host[sizeof l->shown.host - 1] = '\0';
}

static void add_address(struct mr_kafka *k, const struct mr_address *at)
{
    char *to = k->node->address;
    size_t len = strlen(to);
    (void)snprintf(to + len, sizeof k->node->address - len, strchr(at->host, ':') ? "%s[%s]:%d" : "%s%s:%d",
                   len ? "," : "", at->host[0] ? at->host : "0.0.0.0", at->port);
}

static mr_code open_one(struct mr_kafka *k, const char *item, struct mr_err *err)
{
    struct mr_kafka_listener *l = &k->listeners[k->listener_count];
    char name[MR_LISTENER_NAME_BYTES];
    const char *address;
    struct mr_address at;
    mr_code rc = split(item, name, &address, err);
    if (rc || (rc = mr_address_parse(address, &at, err)))
        return rc;
    if (!name[0]) {
        (void)snprintf(name, sizeof name, "PLAINTEXT");
        for (uint32_t i = 2; find(k, name); i++)
            (void)snprintf(name, sizeof name, "PLAINTEXT-%u", i);
    } else if (find(k, name)) {
        return mr_fail(err, MR_BADCONF, "two listeners with the name '%s'", name);
    }
    l->kafka = k;
    if ((rc = mr_net_listen(k->node->world, at.host, at.port, mr_kafka_accept, l, &l->net, err)))
        return rc;
    memcpy(l->name, name, sizeof name);
    l->bound = at;
    l->bound.port = mr_listener_port(l->net);
    show_own(l);
    add_address(k, &l->bound);
    k->listener_count++;
    return MR_OK;
}

/* Without a name it is for the listener of the same place in its list. */
static mr_code advertise_one(struct mr_kafka *k, const char *item, uint32_t place, bool *said,
                             struct mr_err *err)
{
    char name[MR_LISTENER_NAME_BYTES];
    const char *address;
    struct mr_address at;
    mr_code rc = split(item, name, &address, err);
    if (rc || (rc = mr_address_parse(address, &at, err)))
        return rc;
    if (!name[0] && place >= k->listener_count)
        return mr_fail(err, MR_BADCONF, "'%s': more addresses to advertise than to listen on", item);
    struct mr_kafka_listener *l = name[0] ? find(k, name) : &k->listeners[place];
    if (!l)
        return unknown(k, name, err);
    if (said[l - k->listeners])
        return mr_fail(err, MR_BADCONF, "two addresses to advertise for the listener '%s'", l->name);
    said[l - k->listeners] = true;
    if (!at.host[0] || !strcmp(at.host, "0.0.0.0") || !strcmp(at.host, "::"))
        return mr_fail(err, MR_BADCONF, "'%s' is nowhere that a client could connect to", item);
    if (at.port == 0)
        at.port = l->bound.port;
    l->shown = at;
    return MR_OK;
}

/* ------------------------------------------------------------------ all */

mr_code mr_kafka_listen(struct mr_kafka *k, const char *listen, const char *advertise, struct mr_err *err)
{
    char item[ITEM_BYTES];
    const char *list = listen;
    bool said[MR_KAFKA_LISTENERS_MAX] = {false};
    while (next_of(&list, item)) {
        if (k->listener_count == MR_KAFKA_LISTENERS_MAX)
            return mr_fail(err, MR_LIMIT, "more than %d addresses to listen on: '%s'", MR_KAFKA_LISTENERS_MAX,
                           listen);
        mr_code rc = open_one(k, item, err);
        if (rc)
            return rc;
    }
    for (uint32_t place = 0; next_of(&advertise, item); place++) {
        mr_code rc = advertise_one(k, item, place, said, err);
        if (rc)
            return rc;
    }
    if (list || advertise)
        return mr_fail(err, MR_BADCONF, "'%s': address is too long", list ? list : advertise);
    return MR_OK;
}

void mr_kafka_deafen(struct mr_kafka *k)
{
    for (uint32_t i = 0; i < k->listener_count; i++) {
        mr_listener_close(k->listeners[i].net);
        k->listeners[i].net = NULL;
    }
}
