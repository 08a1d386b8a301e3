
#include "cli/wire/client.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/util/alloc.h"
#include "cli/util/output.h"
#include "resp/advice.h"
#include "resp/cluster.h"


#define WINDOW         2048    /* commands that wait for their replies */
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
    int              asking;     /* a reply to ASKING comes first */
    perm_reply_pt    handler;
    void            *data;
};


struct perm_client_s {
    perm_discovery_t   discovery;
    unsigned           waiting;    /* commands, at all nodes */
    unsigned           outages;    /* pauses since the last reply */
    unsigned           resent;     /* commands, after a server went away */

    /* the words of the next command */

    size_t             argc;
    const char       **argv;
    size_t             argv_size;
    size_t            *lens;
    size_t             lens_size;
    perm_str_t         key;        /* len 0: any server will do */
};


static char  refusing[sizeof(perm_address_t) + 8];


static void set_command(perm_client_t *client, const char *format,
    va_list args);
static void place(perm_client_t *client, perm_pending_t *pending,
    const char *why);
static void submit(perm_client_t *client, perm_node_t *node,
    perm_pending_t *pending, int asking);
static void read_reply(perm_client_t *client, perm_node_t *node);
static int retry(perm_client_t *client, perm_node_t *node,
    const redisReply *reply);
static perm_pending_t *take_first(perm_node_t *node);
static void fail_over(perm_client_t *client, perm_node_t *node,
    const char *why);
static void pause_and_discover(perm_client_t *client, const char *why);
static int several(const perm_client_t *client);


perm_client_t *
perm_client_open(const perm_discovery_conf_t *conf)
{
    perm_client_t  *client;

    client = perm_alloc_check(calloc(1, sizeof(perm_client_t)));
    client->discovery.conf = conf;

    if (perm_discovery_discover(&client->discovery) != 0) {
        perm_client_close(client);
        return NULL;
    }

    return client;
}


void
perm_client_close(perm_client_t *client)
{
    unsigned  i;

    for (i = 0; i < client->discovery.n; i++) {
        if (client->discovery.nodes[i].connection != NULL) {
            perm_connection_close(client->discovery.nodes[i].connection);
        }
    }

    free(client->argv);
    free(client->lens);
    free(client);
}


perm_node_t *
perm_client_next(perm_client_t *client, perm_node_t *node)
{
    perm_node_t  *end;

    node = (node == NULL) ? client->discovery.nodes : node + 1;
    end = client->discovery.nodes + client->discovery.n;

    while (node < end && !node->master) {
        node++;
    }

    return (node < end) ? node : NULL;
}


void
perm_client_command(perm_client_t *client, const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    set_command(client, format, args);
    va_end(args);
}


static void
set_command(perm_client_t *client, const char *format, va_list args)
{
    size_t      len;
    perm_str_t  word;

    client->argc = 0;
    client->key.len = 0;

    for ( ;; ) {
        len = strcspn(format, " ");

        if (*format != '%') {
            word.data = format;
            word.len = len;

        } else if (format[1] == 's') {
            word = perm_str(va_arg(args, const char *));

        } else {
            word = va_arg(args, perm_str_t);
        }

        if (*format == '%' && format[1] == 'k') {
            client->key = word;
        }

        perm_client_word(client, word);

        if (format[len] == '\0') {
            break;
        }

        format += len + 1;
    }
}


void
perm_client_word(perm_client_t *client, perm_str_t word)
{
    size_t  n;

    n = client->argc++;
    client->argv = perm_alloc_room(client->argv, &client->argv_size, n + 1,
                                   sizeof(char *));
    client->lens = perm_alloc_room(client->lens, &client->lens_size, n + 1,
                                   sizeof(size_t));
    client->argv[n] = word.data;
    client->lens[n] = word.len;
}


void
perm_client_send(perm_client_t *client, perm_node_t *node, unsigned flags,
    perm_reply_pt handler, void *data)
{
    int              len;
    perm_pending_t  *pending;

    if (client->waiting >= WINDOW) {
        perm_client_wait(client);
    }

    pending = perm_alloc(sizeof(perm_pending_t));
    len = (int) redisFormatCommandArgv(&pending->command, (int) client->argc,
                                       client->argv, client->lens);
    if (len < 0) {
        perm_alloc_failed();
    }

    pending->len = (size_t) len;
    pending->slot = client->key.len ? perm_grant_key_slot(client->key)
                                    : PERM_CLUSTER_SLOTS;
    pending->flags = flags;
    pending->attempts = 0;
    pending->handler = handler;
    pending->data = data;
    client->waiting++;

    if (node != NULL) {
        submit(client, node, pending, 0);
    } else {
        place(client, pending, "CLUSTERDOWN no master serves the slot");
    }
}


redisReply *
perm_client_call(perm_client_t *client, unsigned flags, const char *format,
    ...)
{
    va_list      args;
    redisReply  *reply;

    va_start(args, format);
    set_command(client, format, args);
    va_end(args);

    reply = NULL;
    perm_client_send(client, NULL, flags, perm_client_keep, &reply);
    perm_client_wait(client);

    return reply;
}


unsigned
perm_client_resent(const perm_client_t *client)
{
    return client->resent;
}


int
perm_client_keep(void *data, redisReply *reply)
{
    redisReply  **to = data;

    *to = reply;

    return 1;
}


void
perm_client_wait(perm_client_t *client)
{
    unsigned  i;

    while (client->waiting) {
        for (i = 0; i < client->discovery.n; i++) {
            while (client->discovery.nodes[i].first != NULL) {
                read_reply(client, &client->discovery.nodes[i]);
            }
        }
    }
}


/* sends it where its key lives, as soon as there is such a node */

static void
place(perm_client_t *client, perm_pending_t *pending, const char *why)
{
    perm_node_t  *node;

    while ((node = perm_discovery_of_slot(&client->discovery, pending->slot))
           == NULL)
    {
        pause_and_discover(client, why);
    }

    submit(client, node, pending, 0);
}


/* asking: the slot is on its way to the node */

static void
submit(perm_client_t *client, perm_node_t *node, perm_pending_t *pending,
    int asking)
{
    static const char  asking_command[] = "*1\r\n$6\r\nASKING\r\n";

    pending->next = NULL;
    pending->asking = asking;
    *node->last = pending;
    node->last = &pending->next;

    if (perm_discovery_connect(&client->discovery, node) != 0
        || (asking && perm_connection_write(node->connection, asking_command,
                                            sizeof(asking_command) - 1) != 0)
        || perm_connection_write(node->connection, pending->command,
                                 pending->len) != 0)
    {
        fail_over(client, node, perm_connection_error());
    }
}


static void
read_reply(perm_client_t *client, perm_node_t *node)
{
    int              refused;
    redisReply      *reply;
    perm_pending_t  *pending;

    reply = perm_connection_read(node->connection);

    if (reply == NULL) {
        fail_over(client, node, perm_connection_error());
        return;
    }

    if (node->first->asking) {
        node->first->asking = 0;
        freeReplyObject(reply);
        return;
    }

    refused = (reply->type == REDIS_REPLY_ERROR);

    if (refused) {
        snprintf(refusing, sizeof(refusing), "%s",
                 perm_connection_name(node->connection));
    }

    if (refused && retry(client, node, reply)) {
        freeReplyObject(reply);
        return;
    }

    pending = take_first(node);

    if (refused && !(pending->flags & PERM_ERRORS_TOO)) {
        perm_client_refused(reply->str);
    }

    client->waiting--;
    client->outages = 0;

    if (!pending->handler(pending->data, reply)) {
        freeReplyObject(reply);
    }

    free(pending->command);
    free(pending);
}


/* 1 when the error only says that the first command has to go again */

static int
retry(perm_client_t *client, perm_node_t *node, const redisReply *reply)
{
    perm_node_t       *to;
    perm_redirect_t    redirect;
    perm_discovery_t  *discovery;

    if (!several(client) || node->first->attempts++ >= ATTEMPTS_MAX) {
        return 0;
    }

    discovery = &client->discovery;
    redirect = perm_cluster_redirect(reply, perm_str(node->address.host));

    if (redirect.to.port && node->first->slot < PERM_CLUSTER_SLOTS) {
        to = perm_discovery_at(discovery, redirect.to.host, redirect.to.port);

        if (to == NULL) {
            return 0;
        }

        if (redirect.kind == PERM_REDIRECT_MOVED) {
            to->master = 1;
            discovery->slots[redirect.slot] = (uint16_t)
                                              (to - discovery->nodes);
        }

        submit(client, to, take_first(node),
               redirect.kind == PERM_REDIRECT_ASK);
        return 1;
    }

    switch (perm_advice_find(reply->str)->action) {

    case PERM_ADVICE_AGAIN:
        pause_and_discover(client, reply->str);
        place(client, take_first(node), reply->str);
        return 1;

    case PERM_ADVICE_DISCOVER:
        fail_over(client, node, reply->str);
        return 1;

    default:
        return 0;
    }
}


static perm_pending_t *
take_first(perm_node_t *node)
{
    perm_pending_t  *pending;

    pending = node->first;
    node->first = pending->next;

    if (node->first == NULL) {
        node->last = &node->first;
    }

    return pending;
}


/* closes the node's connection: its commands go where their keys are now */

static void
fail_over(perm_client_t *client, perm_node_t *node, const char *why)
{
    char             reason[512];
    perm_pending_t  *pending, *next;

    snprintf(reason, sizeof(reason), "%s%s%s%s",
             node->connection ? "Redis at " : "",
             node->connection ? perm_connection_name(node->connection) : "",
             node->connection ? ": " : "", why);

    if (node->connection != NULL) {
        perm_connection_close(node->connection);
        node->connection = NULL;
    }

    pending = node->first;
    node->first = NULL;
    node->last = &node->first;

    pause_and_discover(client, reason);

    for ( /* void */ ; pending != NULL; pending = next) {
        next = pending->next;

        if (pending->flags & PERM_NO_RESEND) {
            perm_output_fatal(PERM_EXIT_REDIS, "%s: run the command again",
                              perm_output_safe_text(reason));
        }

        client->resent++;
        place(client, pending, reason);
    }
}


/* counts towards giving up, waits a little and looks for the servers anew */

static void
pause_and_discover(perm_client_t *client, const char *why)
{
    static const struct timespec  pause = { 0, PAUSE_MS * 1000000L };

    do {
        if (client->outages++ >= ATTEMPTS_MAX || !several(client)) {
            perm_output_fatal(PERM_EXIT_REDIS, "%s",
                              perm_output_safe_text(why));
        }

        (void) nanosleep(&pause, NULL);

    } while (perm_discovery_discover(&client->discovery) != 0);
}


/* 1 when another server may take over */

static int
several(const perm_client_t *client)
{
    perm_redis_kind_t  kind;

    kind = client->discovery.conf->url->kind;

    return kind == PERM_REDIS_SENTINEL || kind == PERM_REDIS_CLUSTER;
}


void
perm_client_refused(const char *error)
{
    perm_str_t   text;
    const char  *advice;

    text = perm_advice_error(error);
    advice = perm_advice_find(text.data)->command;

    perm_output_fatal(PERM_EXIT_REDIS, "Redis at %s refused: %s%s%s",
                      perm_output_safe_text(refusing), perm_output_safe(text),
                      *advice ? "; " : "", advice);
}
