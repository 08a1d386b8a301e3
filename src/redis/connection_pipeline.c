
/*
 * Commands out in one write, replies in, each to its command.
 */


#include "redis/connection_priv.h"


#define PERM_REDIS_OUT_SIZE  8192               /* bytes, to begin with */
#define PERM_REDIS_OUT_KEEP  (64 * 1024)        /* not freed when empty */
#define PERM_REDIS_OUT_MAX   (16 * 1024 * 1024)

#define PERM_REDIS_REPLY_MAX  (1024 * 1024)   /* bytes of one reply */

#define PERM_REDIS_PIPELINE_BUSY  10   /* ms of one turn that are excused */


static void perm_redis_pipeline_restart(perm_redis_connection_t *connection);
static ngx_int_t perm_redis_pipeline_room(perm_redis_connection_t *connection,
    size_t len);
static ngx_int_t perm_redis_pipeline_dispatch(
    perm_redis_connection_t *connection, redisReply *reply);
static ngx_uint_t perm_redis_pipeline_is_push(redisReply *reply);


ngx_int_t
perm_redis_connection_pipeline_init(perm_redis_connection_t *connection)
{
    connection->reader = perm_reader_create(PERM_REDIS_REPLY_MAX);
    connection->outstanding = 0;

    return (connection->reader != NULL) ? NGX_OK : NGX_ERROR;
}


void
perm_redis_connection_pipeline_done(perm_redis_connection_t *connection)
{
    perm_redis_command_free_all(&connection->pipeline);

    if (connection->reader != NULL) {
        perm_reader_free(connection->reader);
        connection->reader = NULL;
    }

    free(connection->out);

    connection->out = NULL;
    connection->pos = NULL;
    connection->last = NULL;
    connection->end = NULL;
}


ngx_int_t
perm_redis_connection_pipeline_append(perm_redis_connection_t *connection,
    perm_redis_command_t *command)
{
    ngx_msec_t  when;

    if (perm_redis_pipeline_room(connection, command->len) != NGX_OK) {
        return NGX_ERROR;
    }

    connection->last = ngx_cpymem(connection->last, command->wire,
                                  command->len);

    ngx_queue_insert_tail(&connection->pipeline, &command->queue);
    connection->outstanding++;

    command->sent = ngx_current_msec;
    command->tries++;

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, connection->base, 0,
                   "app_permission: redis %s: send %V",
                   connection->node->label, &command->name);

    /* before it is ready the timer is that of the whole handshake */

    if (connection->ready) {
        when = command->sent + connection->conf->timeout;

        /* a command that was elsewhere before has less time left */

        if ((ngx_msec_int_t) (command->deadline - when) < 0) {
            when = command->deadline;
        }

        connection->timer.cancelable = 0;
        perm_redis_command_timer(&connection->timer, when);
    }

    ngx_post_event(&connection->post, &ngx_posted_events);

    return NGX_OK;
}


/* room for "len" bytes behind "last" */

static ngx_int_t
perm_redis_pipeline_room(perm_redis_connection_t *connection, size_t len)
{
    size_t   used, size;
    u_char  *out;

    if ((size_t) (connection->end - connection->last) >= len) {
        return NGX_OK;
    }

    used = connection->last - connection->pos;

    if (used + len > PERM_REDIS_OUT_MAX) {
        return NGX_ERROR;
    }

    if (used) {
        ngx_memmove(connection->out, connection->pos, used);
    }

    connection->pos = connection->out;
    connection->last = connection->out + used;

    size = connection->end - connection->out;
    size = ngx_max(size, PERM_REDIS_OUT_SIZE);

    while (size < used + len) {
        size *= 2;
    }

    out = realloc(connection->out, size);
    if (out == NULL) {
        return NGX_ERROR;
    }

    connection->out = out;
    connection->pos = out;
    connection->last = out + used;
    connection->end = out + size;

    return NGX_OK;
}


ngx_int_t
perm_redis_connection_pipeline_write(perm_redis_connection_t *connection)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = connection->peer.connection;

    if (connection->pos < connection->last) {
        perm_redis_pipeline_restart(connection);
    }

    while (connection->pos < connection->last && c->write->ready) {

        n = c->send(c, connection->pos, connection->last - connection->pos);

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n <= 0) {
            break;
        }

        connection->pos += n;
    }

    if (connection->pos == connection->last) {

        if (connection->end - connection->out > PERM_REDIS_OUT_KEEP) {
            free(connection->out);
            connection->out = NULL;
            connection->end = NULL;
        }

        connection->pos = connection->out;
        connection->last = connection->out;
    }

    return ngx_handle_write_event(c->write, 0);
}


/*
 * A worker that was busy or blocked for the rest of the turn has not sent the
 * commands yet: the server's time begins now.
 */

static void
perm_redis_pipeline_restart(perm_redis_connection_t *connection)
{
    ngx_msec_t             turn, late;
    ngx_queue_t           *q;
    perm_redis_command_t  *command;

    turn = ngx_current_msec;
    ngx_time_update();
    late = ngx_current_msec - turn;

    if (late < PERM_REDIS_PIPELINE_BUSY) {
        return;
    }

    for (q = ngx_queue_last(&connection->pipeline);
         q != ngx_queue_sentinel(&connection->pipeline);
         q = ngx_queue_prev(q))
    {
        command = ngx_queue_data(q, perm_redis_command_t, queue);

        if (command->sent != turn) {
            break;
        }

        command->sent += late;
        command->deadline += late;
    }
}


ngx_int_t
perm_redis_connection_pipeline_read(perm_redis_connection_t *connection,
    u_char *buf, size_t len)
{
    ngx_int_t    rc;
    redisReply  *reply;

    perm_reader_feed(connection->reader, (char *) buf, len);

    do {
        if (perm_reader_next(connection->reader, &reply) != 0) {
            perm_redis_connection_error(connection, "%s",
                                        perm_reader_error(connection->reader));
            return NGX_ERROR;
        }

        if (reply == NULL) {
            return NGX_OK;
        }

        rc = perm_redis_pipeline_dispatch(connection, reply);
        freeReplyObject(reply);

    } while (rc == NGX_OK && !connection->gone && !connection->failed);

    return rc;
}


static ngx_int_t
perm_redis_pipeline_dispatch(perm_redis_connection_t *connection,
    redisReply *reply)
{
    ngx_queue_t           *q;
    perm_redis_command_t  *command;

    if (connection->ready && connection->handlers->push != NULL
        && perm_redis_pipeline_is_push(reply))
    {
        connection->handlers->push(connection->data, connection, reply);
        return NGX_OK;
    }

    if (ngx_queue_empty(&connection->pipeline)) {
        perm_redis_connection_error(connection,
                        "an unexpected reply came, which answers no command");
        return NGX_ERROR;
    }

    q = ngx_queue_head(&connection->pipeline);
    command = ngx_queue_data(q, perm_redis_command_t, queue);
    ngx_queue_remove(q);

    ngx_log_debug4(NGX_LOG_DEBUG_CORE, connection->base, 0,
                   "app_permission: redis %s: %V answered after %M ms, type %d",
                   connection->node->label, &command->name,
                   ngx_current_msec - command->sent, reply->type);

    if (--connection->outstanding == 0 && connection->ready) {

        /* a worker that quits has nothing to wait for */

        connection->timer.cancelable = 1;
    }

    if (command->intercept == NULL
        || command->intercept(command, reply) != NGX_DONE)
    {
        perm_redis_command_finish(command, reply);
    }

    return NGX_OK;
}


static ngx_uint_t
perm_redis_pipeline_is_push(redisReply *reply)
{
    redisReply  *first;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 3) {
        return 0;
    }

    first = reply->element[0];

    return first->type == REDIS_REPLY_STRING
           && (ngx_strcmp(first->str, "message") == 0
               || ngx_strcmp(first->str, "pmessage") == 0);
}


ngx_int_t
perm_redis_connection_pipeline_expire(perm_redis_connection_t *connection)
{
    ngx_msec_t             now, next, timeout;
    ngx_queue_t           *q, *following;
    perm_redis_command_t  *command;

    if (ngx_queue_empty(&connection->pipeline)) {
        return NGX_OK;
    }

    now = ngx_current_msec;
    timeout = connection->conf->timeout;

    q = ngx_queue_head(&connection->pipeline);
    command = ngx_queue_data(q, perm_redis_command_t, queue);

    next = command->sent + timeout;

    if ((ngx_msec_int_t) (next - now) <= 0) {
        /* a beat finds out that an idle link was dropped without a word */

        connection->hung = !(connection->probing
                             && connection->outstanding == 1);
        perm_redis_connection_error(connection,
                                    "no answer to a command within %M ms",
                                    timeout);
        return NGX_ERROR;
    }

    /* commands that came here late, with little of their time left */

    for ( /* void */ ; q != ngx_queue_sentinel(&connection->pipeline);
          q = following)
    {
        following = ngx_queue_next(q);
        command = ngx_queue_data(q, perm_redis_command_t, queue);

        if (command->handler == NULL) {
            continue;
        }

        if ((ngx_msec_int_t) (command->deadline - now) <= 0) {

            ngx_log_debug1(NGX_LOG_DEBUG_CORE, connection->base, 0,
                           "app_permission: redis %s: a command's time is up",
                           connection->node->label);

            perm_redis_command_answer(command, NULL);

            if (connection->gone || connection->failed) {
                return NGX_OK;
            }

            continue;
        }

        if ((ngx_msec_int_t) (command->deadline - next) < 0) {
            next = command->deadline;
        }
    }

    connection->timer.cancelable = 0;
    perm_redis_command_timer(&connection->timer, next);

    return NGX_OK;
}
