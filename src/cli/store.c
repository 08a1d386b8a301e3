
#include "cli/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/output.h"


#define WINDOW         2048    /* commands on their way to one server */
#define PAUSE_MS       100
#define ATTEMPTS_MAX   150     /* fifteen seconds: what a fail-over takes */


typedef struct perm_pending_s  perm_pending_t;

struct perm_pending_s {
    perm_pending_t  *next;
    char            *command;
    size_t           len;
    unsigned         slot;       /* PERM_CLUSTER_SLOTS: no key */
    unsigned         flags;
    unsigned         attempts;
    perm_reply_pt    handler;
    void            *data;
};


struct perm_store_s {
    perm_nodes_t     nodes;
    int              handling;   /* a handler runs: do not read now */
    unsigned         outages;    /* pauses since the last reply */
};


static void recover(perm_store_t *store, perm_node_t *node, const char *why);


static void
pause_ms(long ms)
{
    struct timespec  span;

    span.tv_sec = ms / 1000;
    span.tv_nsec = ms % 1000 * 1000000;

    (void) nanosleep(&span, NULL);
}


static void
push(perm_node_t *node, perm_pending_t *pending)
{
    pending->next = NULL;
    *node->last = pending;
    node->last = (void **) &pending->next;
    node->waiting++;
}


static perm_pending_t *
pop(perm_node_t *node)
{
    perm_pending_t  *pending;

    pending = node->first;
    node->first = pending->next;
    node->waiting--;

    if (node->first == NULL) {
        node->last = &node->first;
    }

    return pending;
}


static void
forget(perm_pending_t *pending)
{
    free(pending->command);
    free(pending);
}


/* queues it at the node; asking: the slot is on its way there */

static void
submit(perm_store_t *store, perm_node_t *node, perm_pending_t *pending,
    int asking)
{
    char             error[PERM_ERROR_SIZE];
    perm_pending_t  *ask;

    static const char  asking_command[] = "*1\r\n$6\r\nASKING\r\n";

    if (perm_node_connect(&store->nodes, node, error) != 0) {
        push(node, pending);
        recover(store, node, error);
        return;
    }

    if (asking) {
        ask = calloc(1, sizeof(perm_pending_t));
        if (ask == NULL) {
            perm_fatal(PERM_EXIT_REDIS, "out of memory");
        }

        ask->flags = PERM_ERRORS_TOO | PERM_NO_RESEND;
        push(node, ask);

        if (perm_link_write(node->link, asking_command,
                            sizeof(asking_command) - 1, error) != 0)
        {
            push(node, pending);
            recover(store, node, error);
            return;
        }
    }

    push(node, pending);

    if (perm_link_write(node->link, pending->command, pending->len, error)
        != 0)
    {
        recover(store, node, error);
    }
}


/* counts towards giving up, waits a little and looks for the servers anew */

static void
pause_and_discover(perm_store_t *store, const char *why)
{
    char  error[PERM_ERROR_SIZE];

    for ( ;; ) {
        if (store->outages++ >= ATTEMPTS_MAX
            || store->nodes.conf->url->kind == PERM_REDIS_SINGLE
            || store->nodes.conf->url->kind == PERM_REDIS_UNIX)
        {
            perm_fatal(PERM_EXIT_REDIS, "%s", perm_escape_text(why));
        }

        pause_ms(PAUSE_MS);

        if (perm_nodes_discover(&store->nodes, error) == 0) {
            return;
        }
    }
}


static void
resubmit(perm_store_t *store, perm_pending_t *pending, const char *why)
{
    perm_node_t  *node;

    if (pending->flags & PERM_NO_RESEND) {
        perm_fatal(PERM_EXIT_REDIS, "%s: run the command again",
                   perm_escape_text(why));
    }

    while ((node = perm_nodes_of_slot(&store->nodes, pending->slot)) == NULL) {
        pause_and_discover(store, why);
    }

    submit(store, node, pending, 0);
}


/* the node's link failed: what waited there goes where the keys live now */

static void
recover(perm_store_t *store, perm_node_t *node, const char *why)
{
    char             reason[PERM_ERROR_SIZE];
    perm_pending_t  *pending, *next;

    snprintf(reason, sizeof(reason), "%s%s%.*s",
             node->link ? perm_link_name(node->link) : "",
             node->link ? ": " : "", PERM_ERROR_SIZE / 3, why);

    if (node->link != NULL) {
        perm_link_close(node->link);
        node->link = NULL;
    }

    pending = node->first;
    node->first = NULL;
    node->last = &node->first;
    node->waiting = 0;

    pause_and_discover(store, reason);

    for ( /* void */ ; pending != NULL; pending = next) {
        next = pending->next;

        if (pending->command == NULL) {
            forget(pending);

        } else {
            resubmit(store, pending, reason);
        }
    }
}


static int
begins(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}


/* "MOVED 1234 host:port" or "ASK ..."; an empty host is the one that spoke */

static perm_node_t *
redirected(perm_store_t *store, perm_node_t *from, const char *error,
    unsigned *slot)
{
    char         host[256];
    unsigned     port;
    const char  *colon, *start;

    start = strrchr(error, ' ');
    colon = strrchr(error, ':');

    if (start == NULL || colon == NULL || colon <= start
        || colon - start > 255
        || sscanf(error, "%*s %u", slot) != 1
        || *slot >= PERM_CLUSTER_SLOTS
        || sscanf(colon + 1, "%u", &port) != 1 || port == 0 || port > 65535)
    {
        return NULL;
    }

    snprintf(host, sizeof(host), "%.*s", (int) (colon - start - 1), start + 1);

    return perm_nodes_at(&store->nodes, host[0] ? host : from->address.host,
                         port);
}


/* 1 when the error only says that the request has to go again */

static int
retry(perm_store_t *store, perm_node_t *node, perm_pending_t *pending,
    const char *error)
{
    unsigned      slot;
    perm_node_t  *to;

    if (store->nodes.conf->url->kind == PERM_REDIS_SINGLE
        || store->nodes.conf->url->kind == PERM_REDIS_UNIX
        || pending->command == NULL
        || pending->attempts++ >= ATTEMPTS_MAX)
    {
        return 0;
    }

    if (begins(error, "MOVED ") || begins(error, "ASK ")) {
        to = redirected(store, node, error, &slot);

        if (to == NULL || pending->slot == PERM_CLUSTER_SLOTS) {
            return 0;
        }

        if (*error == 'M') {
            to->master = 1;
            store->nodes.slots[slot] = (uint16_t) (to - store->nodes.nodes);
        }

        submit(store, to, pending, *error == 'A');
        return 1;
    }

    if (begins(error, "TRYAGAIN")) {
        pause_ms(PAUSE_MS);
        submit(store, node, pending, 0);
        return 1;
    }

    if (begins(error, "CLUSTERDOWN") || begins(error, "READONLY")
        || begins(error, "LOADING") || begins(error, "MASTERDOWN"))
    {
        pause_and_discover(store, error);
        resubmit(store, pending, error);
        return 1;
    }

    return 0;
}


static void
answer(perm_store_t *store, perm_node_t *node)
{
    int              kept;
    char             error[PERM_ERROR_SIZE];
    redisReply      *reply;
    perm_pending_t  *pending;

    reply = perm_link_read(node->link, error);

    if (reply == NULL) {
        recover(store, node, error);
        return;
    }

    pending = pop(node);

    if (reply->type == REDIS_REPLY_ERROR) {

        if (retry(store, node, pending, reply->str)) {
            freeReplyObject(reply);
            return;
        }

        if (!(pending->flags & PERM_ERRORS_TOO)) {
            perm_store_refused(perm_link_name(node->link), reply->str);
        }
    }

    store->outages = 0;
    kept = 0;

    if (pending->handler != NULL) {
        store->handling = 1;
        kept = pending->handler(pending->data, reply);
        store->handling = 0;
    }

    if (!kept) {
        freeReplyObject(reply);
    }

    forget(pending);
}


void
perm_store_send(perm_store_t *store, perm_node_t *node,
    const perm_request_t *request, unsigned flags, perm_reply_pt handler,
    void *data)
{
    perm_pending_t  *pending;

    pending = perm_alloc(sizeof(perm_pending_t));
    pending->command = perm_request_format(request, &pending->len);
    pending->slot = request->key.len ? perm_key_slot(request->key)
                                     : PERM_CLUSTER_SLOTS;
    pending->flags = flags;
    pending->attempts = 0;
    pending->handler = handler;
    pending->data = data;

    if (node == NULL) {
        node = perm_nodes_of_slot(&store->nodes, pending->slot);

        if (node == NULL) {
            resubmit(store, pending, "CLUSTERDOWN no master serves the slot");
            return;
        }
    }

    if (!store->handling && node->waiting >= WINDOW) {
        while (node->waiting > WINDOW / 2) {
            answer(store, node);
        }
    }

    submit(store, node, pending, 0);
}


void
perm_store_wait(perm_store_t *store)
{
    int           busy;
    unsigned      i;
    perm_node_t  *node;

    do {
        busy = 0;

        for (i = 0; i < store->nodes.n; i++) {
            node = &store->nodes.nodes[i];

            while (node->waiting) {
                answer(store, node);
                busy = 1;
            }
        }
    } while (busy);
}


int
perm_store_keep(void *data, redisReply *reply)
{
    redisReply  **to = data;

    *to = reply;

    return 1;
}


redisReply *
perm_store_call(perm_store_t *store, perm_node_t *node,
    const perm_request_t *request, unsigned flags)
{
    redisReply  *reply;

    reply = NULL;

    perm_store_send(store, node, request, flags, perm_store_keep, &reply);
    perm_store_wait(store);

    return reply;
}


perm_node_t *
perm_store_next(perm_store_t *store, perm_node_t *node)
{
    unsigned  i;

    i = (node == NULL) ? 0 : (unsigned) (node - store->nodes.nodes) + 1;

    for ( /* void */ ; i < store->nodes.n; i++) {
        if (store->nodes.nodes[i].master) {
            return &store->nodes.nodes[i];
        }
    }

    return NULL;
}


const char *
perm_store_name(perm_node_t *node)
{
    return perm_link_name(node->link);
}


perm_store_t *
perm_store_open(const perm_nodes_conf_t *conf, char *error)
{
    perm_store_t  *store;

    store = calloc(1, sizeof(perm_store_t));
    if (store == NULL) {
        snprintf(error, PERM_ERROR_SIZE, "out of memory");
        return NULL;
    }

    store->nodes.conf = conf;

    if (perm_nodes_discover(&store->nodes, error) != 0) {
        perm_store_close(store);
        return NULL;
    }

    return store;
}


void
perm_store_close(perm_store_t *store)
{
    unsigned  i;

    for (i = 0; i < store->nodes.n; i++) {
        if (store->nodes.nodes[i].link != NULL) {
            perm_link_close(store->nodes.nodes[i].link);
        }
    }

    free(store);
}
