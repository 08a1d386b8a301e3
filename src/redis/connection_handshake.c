
/*
 * The first commands of a connection, in one write: AUTH, SELECT, PING, ROLE.
 */


#include "redis/connection_priv.h"

#include "resp/advice.h"


static ngx_int_t perm_redis_handshake_send(
    perm_redis_connection_t *connection, ngx_uint_t argc, ngx_str_t *argv,
    perm_redis_reply_pt handler);
static void perm_redis_handshake_authenticated(void *data, redisReply *reply);
static void perm_redis_handshake_selected(void *data, redisReply *reply);
static void perm_redis_handshake_pong(void *data, redisReply *reply);
static void perm_redis_handshake_role(void *data, redisReply *reply);
static void perm_redis_handshake_refused(perm_redis_connection_t *connection,
    const char *name, redisReply *reply);


ngx_int_t
perm_redis_connection_handshake(perm_redis_connection_t *connection)
{
    u_char              buf[NGX_INT_T_LEN];
    ngx_int_t           rc;
    ngx_str_t           argv[3], *user, *password;
    ngx_uint_t          argc, db, sentinel;
    perm_redis_conf_t  *conf;

    ngx_log_debug1(NGX_LOG_DEBUG_CORE, connection->base, 0,
                   "app_permission: redis %s: handshake",
                   connection->node->label);

    conf = connection->conf;
    db = conf->url->db;
    sentinel = connection->node->sentinel;

    user = sentinel ? &conf->sentinel_user : &conf->user;
    password = sentinel ? &conf->sentinel_password : &conf->password;

    rc = NGX_OK;

    if (password->len) {
        ngx_str_set(&argv[0], "AUTH");
        argc = 1;

        if (user->len) {
            argv[argc++] = *user;
        }

        argv[argc++] = *password;

        rc = perm_redis_handshake_send(connection, argc, argv,
                                       perm_redis_handshake_authenticated);
    }

    if (rc == NGX_OK && !sentinel && db != 0) {
        ngx_str_set(&argv[0], "SELECT");
        argv[1].data = buf;
        argv[1].len = ngx_sprintf(buf, "%ui", db) - buf;

        rc = perm_redis_handshake_send(connection, 2, argv,
                                       perm_redis_handshake_selected);
    }

    if (rc == NGX_OK && !sentinel) {
        ngx_str_set(&argv[0], "PING");
        rc = perm_redis_handshake_send(connection, 1, argv,
                                       perm_redis_handshake_pong);
    }

    /* always: a server that hangs is not ready */

    if (rc == NGX_OK) {
        ngx_str_set(&argv[0], "ROLE");
        rc = perm_redis_handshake_send(connection, 1, argv,
                                       perm_redis_handshake_role);
    }

    if (rc != NGX_OK) {
        perm_redis_connection_error(connection, "out of memory");
    }

    return rc;
}


static ngx_int_t
perm_redis_handshake_send(perm_redis_connection_t *connection,
    ngx_uint_t argc, ngx_str_t *argv, perm_redis_reply_pt handler)
{
    perm_redis_command_t  *command;

    command = perm_redis_command_create(argc, argv,
                                        connection->conf->connect_timeout,
                                        handler, connection);
    if (command == NULL) {
        return NGX_ERROR;
    }

    if (perm_redis_connection_pipeline_append(connection, command) != NGX_OK) {
        free(command);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
perm_redis_handshake_authenticated(void *data, redisReply *reply)
{
    perm_redis_connection_t *connection = data;

    perm_redis_conf_t  *conf;

    if (reply == NULL || reply->type == REDIS_REPLY_STATUS) {
        return;
    }

    /* a password in the URL of Sentinels may be of Sentinels only: servers
       without a password refuse it */

    conf = connection->conf;

    if (conf->url->kind == PERM_REDIS_SENTINEL
        && !connection->node->sentinel
        && conf->password.data == conf->sentinel_password.data
        && reply->type == REDIS_REPLY_ERROR
        && ngx_strstr(reply->str, "without any password configured"))
    {
        return;
    }

    perm_redis_handshake_refused(connection, "AUTH", reply);
}


static void
perm_redis_handshake_selected(void *data, redisReply *reply)
{
    if (reply != NULL && reply->type != REDIS_REPLY_STATUS) {
        perm_redis_handshake_refused(data, "SELECT", reply);
    }
}


/*
 * A server that reads its data in answers ROLE and takes subscriptions, but no
 * lookups, and reports each key that it reads as changed.  Without the right
 * to PING there is no way to know.  A server that takes no more clients, or
 * none from another host, says so once and closes.
 */

static void
perm_redis_handshake_pong(void *data, redisReply *reply)
{
    if (perm_reply_error(reply, "LOADING")
        || perm_reply_error(reply, "DENIED")
        || perm_reply_error(reply, "ERR max number of clients reached"))
    {
        perm_redis_handshake_refused(data, "PING", reply);
    }
}


static void
perm_redis_handshake_role(void *data, redisReply *reply)
{
    perm_redis_connection_t *connection = data;

    if (reply == NULL) {
        return;
    }

    if (perm_reply_role(reply, &connection->role) != 0) {
        perm_redis_handshake_refused(connection, "ROLE", reply);
        return;
    }

    if (connection->role == PERM_ROLE_REPLICA
        && perm_redis_connection_watch_refuse(connection, reply))
    {
        perm_redis_connection_abort(connection);
        return;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, connection->base, 0,
                   "app_permission: redis %s: ready, role %d",
                   connection->node->label, (int) connection->role);

    connection->ready = 1;
    connection->begun = 1;
    connection->error_len = 0;
    connection->node->met = 1;

    ngx_del_timer(&connection->timer);

    perm_redis_connection_watch_start(connection);

    connection->handlers->ready(connection->data, connection);
}


static void
perm_redis_handshake_refused(perm_redis_connection_t *connection,
    const char *name, redisReply *reply)
{
    const char  *advice;

    if (reply->type == REDIS_REPLY_ERROR) {
        advice = perm_advice_find(reply->str)->gateway;

        perm_redis_connection_error(connection, "%s was refused%s%s; the "
                                    "server said \"%*s\"", name,
                                    *advice ? ": " : "", advice,
                                    ngx_min((size_t) reply->len, 160),
                                    reply->str);

    } else {
        perm_redis_connection_error(connection,
                                    "unexpected answer to %s", name);
    }

    /* the replies behind it are not read any more */

    perm_redis_connection_abort(connection);
}
