
#include "resp/cluster.h"

#include <stdlib.h>
#include <string.h>


static int perm_cluster_range(const redisReply *range, perm_str_t asked,
    perm_cluster_slots_t *slots);
static int perm_cluster_node(const redisReply *node, perm_str_t asked,
    perm_reply_address_t *address);
static unsigned perm_cluster_master(perm_cluster_slots_t *slots,
    const perm_reply_address_t *address);


const char *
perm_cluster_slots_parse(const redisReply *reply, perm_str_t asked,
    perm_cluster_slots_t *slots)
{
    size_t  i;

    if (perm_reply_error(reply, "NOPERM")) {
        return "the user has no right to CLUSTER SLOTS";
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        return "it refuses CLUSTER SLOTS: is it a node of a cluster?";
    }

    if (reply->type != REDIS_REPLY_ARRAY) {
        return "unexpected answer to CLUSTER SLOTS";
    }

    if (reply->elements == 0) {
        return "no slot of the cluster is assigned";
    }

    memset(slots, 0, sizeof(perm_cluster_slots_t));

    for (i = 0; i < reply->elements; i++) {
        if (!perm_cluster_range(reply->element[i], asked, slots)) {
            return "CLUSTER SLOTS answers with something unknown";
        }
    }

    return NULL;
}


/* [first slot, last slot, master, replica...] */

static int
perm_cluster_range(const redisReply *range, perm_str_t asked,
    perm_cluster_slots_t *slots)
{
    long long              slot, first, last;
    unsigned               master;
    perm_reply_address_t   address;

    if (range->type != REDIS_REPLY_ARRAY || range->elements < 3
        || range->element[0]->type != REDIS_REPLY_INTEGER
        || range->element[1]->type != REDIS_REPLY_INTEGER)
    {
        return 0;
    }

    first = range->element[0]->integer;
    last = range->element[1]->integer;

    if (first < 0 || last < first || last >= PERM_CLUSTER_SLOTS
        || !perm_cluster_node(range->element[2], asked, &address))
    {
        return 0;
    }

    master = perm_cluster_master(slots, &address);

    for (slot = first; slot <= last; slot++) {
        slots->slots[slot] = (uint16_t) master;
    }

    return master != 0;
}


/*
 * [host, port, id, metadata], the latter two not of all versions.  "?" is the
 * host of a node that is to be known by a name, but has none.  Its metadata,
 * of Redis 7.0 on, has the address: ["ip", "127.0.0.1"].
 */

static int
perm_cluster_node(const redisReply *node, perm_str_t asked,
    perm_reply_address_t *address)
{
    size_t             i;
    perm_str_t         host;
    const redisReply  *metadata;

    if (node->type != REDIS_REPLY_ARRAY || node->elements < 2
        || (node->element[0]->type != REDIS_REPLY_STRING
            && node->element[0]->type != REDIS_REPLY_NIL)
        || node->element[1]->type != REDIS_REPLY_INTEGER)
    {
        return 0;
    }

    host = perm_reply_text(node->element[0]);

    if (perm_str_equal(host, perm_str("?")) && node->elements > 3
        && node->element[3]->type == REDIS_REPLY_ARRAY)
    {
        metadata = node->element[3];

        for (i = 0; i + 1 < metadata->elements; i += 2) {
            if (perm_str_equal(perm_reply_text(metadata->element[i]),
                               perm_str("ip")))
            {
                host = perm_reply_text(metadata->element[i + 1]);
                break;
            }
        }
    }

    return perm_reply_address(host, node->element[1]->integer, asked, address);
}


/* its index + 1, or 0: there are too many */

static unsigned
perm_cluster_master(perm_cluster_slots_t *slots,
    const perm_reply_address_t *address)
{
    unsigned  i;

    for (i = 0; i < slots->n; i++) {
        if (slots->masters[i].port == address->port
            && perm_str_equal(slots->masters[i].host, address->host))
        {
            return i + 1;
        }
    }

    if (slots->n == PERM_CLUSTER_MASTERS_MAX) {
        return 0;
    }

    slots->masters[slots->n++] = *address;

    return slots->n;
}


/* "MOVED 3999 127.0.0.1:6381", and of IPv6 "MOVED 3999 ::1:6381" */

perm_redirect_t
perm_cluster_redirect(const redisReply *reply, perm_str_t asked)
{
    char             *end;
    long              slot;
    const char       *p, *colon;
    perm_str_t        host;
    perm_redirect_t   redirect;

    memset(&redirect, 0, sizeof(perm_redirect_t));

    redirect.kind = perm_reply_error(reply, "MOVED") ? PERM_REDIRECT_MOVED
                    : perm_reply_error(reply, "ASK") ? PERM_REDIRECT_ASK
                    : PERM_REDIRECT_NONE;

    if (redirect.kind == PERM_REDIRECT_NONE) {
        return redirect;
    }

    p = strchr(reply->str, ' ');

    if (p == NULL || p[1] < '0' || p[1] > '9') {
        return redirect;
    }

    slot = strtol(p, &end, 10);
    colon = strrchr(end, ':');

    if (slot >= PERM_CLUSTER_SLOTS || *end != ' ' || colon == NULL) {
        return redirect;
    }

    host.data = end + 1;
    host.len = (size_t) (colon - host.data);

    if (perm_reply_address(host, perm_reply_port(perm_str(colon + 1)), asked,
                           &redirect.to))
    {
        redirect.slot = (unsigned) slot;

    } else {
        redirect.to.port = 0;
    }

    return redirect;
}
