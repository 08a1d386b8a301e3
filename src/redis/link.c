
#include "redis/link.h"


#define PERM_REDIS_BACKOFF_MIN  50     /* ms */
#define PERM_REDIS_BACKOFF_MAX  800

/* a link that ends sooner did not really come up */
#define PERM_REDIS_LINK_SETTLED  1000  /* ms */

/* an answer that takes longer is one that may not come */
#define PERM_REDIS_LINK_SLOW     100   /* ms */


static void perm_redis_link_closed(void *data,
    perm_redis_connection_t *connection, ngx_str_t *reason);
static void perm_redis_link_dialed(void *data,
    perm_redis_connection_t *connection, ngx_str_t *reason);


static perm_redis_connection_handlers_t  perm_redis_link_handlers = {
    NULL,
    perm_redis_link_closed,
    NULL
};


ngx_msec_t
perm_redis_backoff(ngx_uint_t failures)
{
    ngx_msec_t  delay;

    delay = PERM_REDIS_BACKOFF_MIN << ngx_min(failures, 5);
    delay = ngx_min(delay, PERM_REDIS_BACKOFF_MAX);

    return delay - (ngx_msec_t) ngx_random() % (delay / 2);
}


static void
perm_redis_link_dial(perm_redis_link_t *link)
{
    link->dial = perm_redis_dial(link->conf, PERM_REDIS_SERVER, &link->node,
                                 &link->next, link->log,
                                 &perm_redis_link_handlers, link,
                                 perm_redis_link_dialed);

    if (link->dial == NULL) {
        link->state = PERM_REDIS_LINK_DOWN;
        ngx_post_event(&link->post, &ngx_posted_events);
    }
}


/* from the event loop: an attempt, or the link, failed */

static void
perm_redis_link_failed(perm_redis_link_t *link, ngx_str_t *reason)
{
    if (link->state != PERM_REDIS_LINK_RETIRED) {
        link->state = PERM_REDIS_LINK_DOWN;

        if (!link->retry.timer_set) {
            ngx_add_timer(&link->retry, perm_redis_backoff(link->failures));
        }

        link->failures++;
    }

    perm_redis_wait_fail(&link->wait);

    link->handlers->changed(link->data, link, reason);
}


static void
perm_redis_link_dialed(void *data, perm_redis_connection_t *connection,
    ngx_str_t *reason)
{
    ngx_str_t              text;
    const char            *refusal;
    perm_redis_link_t     *link = data;
    perm_redis_command_t  *command;

    link->dial = NULL;

    if (connection == NULL) {
        perm_redis_link_failed(link, reason);
        return;
    }

    refusal = link->handlers->accept(link->data,
                                     perm_redis_connection_role(connection));

    if (refusal != NULL) {
        perm_redis_connection_close(connection);

        text.data = (u_char *) refusal;
        text.len = ngx_strlen(refusal);

        perm_redis_link_failed(link, &text);
        return;
    }

    link->connection = connection;
    link->state = PERM_REDIS_LINK_UP;
    link->since = ngx_current_msec;

    while ((command = perm_redis_wait_take(&link->wait)) != NULL) {

        if (perm_redis_link_send(link, command) != NGX_OK) {
            perm_redis_command_finish(command, NULL);
        }
    }

    link->handlers->changed(link->data, link, NULL);
}


static void
perm_redis_link_closed(void *data, perm_redis_connection_t *connection,
    ngx_str_t *reason)
{
    perm_redis_link_t  *link = data;

    link->connection = NULL;

    if (ngx_current_msec - link->since >= PERM_REDIS_LINK_SETTLED) {
        link->failures = 0;

        if (link->state == PERM_REDIS_LINK_UP
            && !perm_redis_connection_hung(connection))
        {
            /* it may well be back at once */

            link->state = PERM_REDIS_LINK_CONNECTING;
            perm_redis_link_dial(link);

            link->handlers->changed(link->data, link, reason);
            return;
        }
    }

    perm_redis_link_failed(link, reason);
}


static void
perm_redis_link_retry_handler(ngx_event_t *ev)
{
    perm_redis_link_t  *link;

    link = ev->data;

    if (link->dial == NULL && link->connection == NULL) {
        perm_redis_link_dial(link);
    }
}


static void
perm_redis_link_post_handler(ngx_event_t *ev)
{
    ngx_str_t           reason = ngx_string("given up");
    perm_redis_link_t  *link;

    link = ev->data;

    perm_redis_link_failed(link, &reason);
}


perm_redis_link_t *
perm_redis_link_create(perm_redis_conf_t *conf, perm_redis_node_t *node,
    ngx_log_t *log, perm_redis_link_handlers_t *handlers, void *data)
{
    u_char             *p;
    perm_redis_link_t  *link;
    static ngx_uint_t   number;

    link = ngx_calloc(sizeof(perm_redis_link_t) + node->name.len
                      + PERM_REDIS_NODE_NAME_MAX, log);
    if (link == NULL) {
        return NULL;
    }

    p = (u_char *) link + sizeof(perm_redis_link_t);

    link->number = ++number;
    link->node = *node;
    link->node.name.data = p;
    p = ngx_cpymem(p, node->name.data, node->name.len);

    link->name.data = p;
    link->name.len = perm_redis_node_name(p, node);

    link->conf = conf;
    link->log = log;
    link->handlers = handlers;
    link->data = data;

    link->retry.handler = perm_redis_link_retry_handler;
    link->retry.data = link;
    link->retry.log = log;
    link->retry.cancelable = 1;

    link->post.handler = perm_redis_link_post_handler;
    link->post.data = link;
    link->post.log = log;

    perm_redis_wait_init(&link->wait, log);

    return link;
}


static void
perm_redis_link_stop(perm_redis_link_t *link)
{
    if (link->dial != NULL) {
        perm_redis_dial_cancel(link->dial);
        link->dial = NULL;
    }

    if (link->retry.timer_set) {
        ngx_del_timer(&link->retry);
    }
}


void
perm_redis_link_destroy(perm_redis_link_t *link)
{
    perm_redis_link_stop(link);

    if (link->connection != NULL) {
        perm_redis_connection_close(link->connection);
    }

    if (link->post.posted) {
        ngx_delete_posted_event(&link->post);
    }

    perm_redis_wait_done(&link->wait);

    ngx_free(link);
}


void
perm_redis_link_open(perm_redis_link_t *link)
{
    if (link->state == PERM_REDIS_LINK_IDLE) {
        link->state = PERM_REDIS_LINK_CONNECTING;
        perm_redis_link_dial(link);
    }
}


/* without the right to it the command that follows fails: why, is told here */

static void
perm_redis_link_asked(void *data, redisReply *reply)
{
    perm_redis_link_t  *link = data;

    if (reply == NULL || !perm_redis_reply_error(reply, "NOPERM")
        || link->asking_said)
    {
        return;
    }

    link->asking_said = 1;

    ngx_log_error(NGX_LOG_ERR, link->log, 0,
                  "app_permission: Redis %V: the user has no right to ASKING, "
                  "calls whose slot is being moved are unavailable: it needs "
                  "\"+asking\"", &link->name);
}


/* the server takes the next command although the slot is on its way there */

static ngx_int_t
perm_redis_link_send_asking(perm_redis_link_t *link)
{
    ngx_str_t  asking = ngx_string("ASKING");

    return perm_redis_connection_send(link->connection, 1, &asking,
                                      perm_redis_link_asked, link)
           != NULL ? NGX_OK : NGX_ERROR;
}


ngx_int_t
perm_redis_link_send(perm_redis_link_t *link, perm_redis_command_t *command)
{
    perm_redis_link_open(link);

    switch (link->state) {

    case PERM_REDIS_LINK_CONNECTING:
        perm_redis_wait_add(&link->wait, command);
        return NGX_OK;

    case PERM_REDIS_LINK_UP:

        if (command->asking && perm_redis_link_send_asking(link) != NGX_OK) {
            return NGX_ERROR;
        }

        command->via = link;
        command->via_number = link->number;

        return perm_redis_connection_submit(link->connection, command);

    default: /* PERM_REDIS_LINK_DOWN, PERM_REDIS_LINK_RETIRED */
        return NGX_ERROR;
    }
}


static void
perm_redis_link_end(perm_redis_link_t *link, const char *reason)
{
    if (link->connection != NULL) {
        perm_redis_connection_fail(link->connection, reason);

    } else {
        perm_redis_link_stop(link);
        ngx_post_event(&link->post, &ngx_posted_events);
    }
}


void
perm_redis_link_drop(perm_redis_link_t *link, const char *reason)
{
    if (link->state == PERM_REDIS_LINK_UP
        || link->state == PERM_REDIS_LINK_CONNECTING)
    {
        link->state = PERM_REDIS_LINK_DOWN;
        perm_redis_link_end(link, reason);
    }
}


void
perm_redis_link_probe(perm_redis_link_t *link, const char *reason)
{
    ngx_str_t  ping = ngx_string("PING");

    if (link->state != PERM_REDIS_LINK_UP) {
        return;
    }

    if (perm_redis_connection_waiting(link->connection)
        >= PERM_REDIS_LINK_SLOW)
    {
        perm_redis_link_drop(link, reason);
        return;
    }

    (void) perm_redis_connection_send(link->connection, 1, &ping, NULL, NULL);
}


void
perm_redis_link_retire(perm_redis_link_t *link, const char *reason)
{
    if (link->state != PERM_REDIS_LINK_RETIRED) {
        link->state = PERM_REDIS_LINK_RETIRED;
        perm_redis_link_end(link, reason);
    }
}


ngx_uint_t
perm_redis_link_outstanding(perm_redis_link_t *link)
{
    ngx_uint_t    n;
    ngx_queue_t  *q;

    n = 0;

    for (q = ngx_queue_head(&link->wait.commands);
         q != ngx_queue_sentinel(&link->wait.commands);
         q = ngx_queue_next(q))
    {
        n++;
    }

    if (link->connection != NULL) {
        n += perm_redis_connection_outstanding(link->connection);
    }

    return n;
}


void
perm_redis_link_poll(perm_redis_link_t *link, struct pollfd *pfd)
{
    if (link->connection != NULL) {
        perm_redis_connection_poll(link->connection, pfd);

    } else if (link->dial != NULL) {
        perm_redis_dial_poll(link->dial, pfd);

    } else {
        pfd->fd = -1;
        pfd->revents = 0;
    }
}


void
perm_redis_link_polled(perm_redis_link_t *link, struct pollfd *pfd)
{
    if (link->connection != NULL) {
        perm_redis_connection_polled(link->connection, pfd);

    } else if (link->dial != NULL) {
        perm_redis_dial_polled(link->dial, pfd);
    }
}
