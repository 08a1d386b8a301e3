
#include "resp/cluster_slots.h"

#include <string.h>


/*
 * "?" is the host of a node that is to be known by a name, but has none.  It
 * comes with the node's address, from Redis 7.0 on: ["ip", "127.0.0.1"].
 */

static perm_str_t
perm_cluster_slots_host(const redisReply *node)
{
    size_t             i;
    perm_str_t         host, key;
    const redisReply  *metadata;

    host = perm_reply_text(node->element[0]);

    if (host.len != 1 || host.data[0] != '?' || node->elements < 4
        || node->element[3]->type != REDIS_REPLY_ARRAY)
    {
        return host;
    }

    metadata = node->element[3];

    for (i = 0; i + 1 < metadata->elements; i += 2) {
        key = perm_reply_text(metadata->element[i]);

        if (key.len == 2 && memcmp(key.data, "ip", 2) == 0) {
            return perm_reply_text(metadata->element[i + 1]);
        }
    }

    return host;
}


/* [host, port, id, metadata], the latter two not of all versions */

static int
perm_cluster_slots_node(const redisReply *node, perm_str_t asked,
    perm_reply_address_t *address)
{
    if (node->type != REDIS_REPLY_ARRAY || node->elements < 2
        || node->element[1]->type != REDIS_REPLY_INTEGER)
    {
        return 0;
    }

    switch (node->element[0]->type) {

    case REDIS_REPLY_NIL:
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        return perm_reply_address(perm_cluster_slots_host(node),
                                  node->element[1]->integer, asked, address);

    default:
        return 0;
    }
}


/* its index + 1, or 0: there are too many */

static unsigned
perm_cluster_slots_master(perm_cluster_slots_t *slots,
    const perm_reply_address_t *address)
{
    unsigned               i;
    perm_reply_address_t  *known;

    for (i = 0; i < slots->n; i++) {
        known = &slots->masters[i];

        if (known->port == address->port
            && known->host.len == address->host.len
            && memcmp(known->host.data, address->host.data,
                      known->host.len) == 0)
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


/* [first slot, last slot, master, replica...] */

static int
perm_cluster_slots_range(const redisReply *range, perm_str_t asked,
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
        || !perm_cluster_slots_node(range->element[2], asked, &address))
    {
        return 0;
    }

    master = perm_cluster_slots_master(slots, &address);

    for (slot = first; slot <= last; slot++) {
        slots->slots[slot] = (uint16_t) master;
    }

    return master != 0;
}


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
        if (!perm_cluster_slots_range(reply->element[i], asked, slots)) {
            return "CLUSTER SLOTS answers with something unknown";
        }
    }

    return NULL;
}
