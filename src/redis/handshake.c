
/*
 * What a connection says first: AUTH, SELECT, PING and ROLE, in one write.
 */


#include "redis/connection_priv.h"


static void
perm_redis_handshake_refused(perm_redis_connection_t *connection,
    const char *name, redisReply *reply)
{
    const char  *hint;

    hint = "";

    if (perm_redis_reply_error(reply, "NOAUTH")) {
        hint = ": set a password in \"app_permission_redis\" or "
               "\"app_permission_redis_password_file\"";

    } else if (perm_redis_reply_error(reply, "WRONGPASS")) {
        hint = ": check user and password in \"app_permission_redis\", "
               "\"app_permission_redis_user\" and "
               "\"app_permission_redis_password_file\"";
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        perm_redis_connection_error(connection, "%s was refused%s; the server "
                                    "said \"%*s\"", name, hint,
                                    ngx_min((size_t) reply->len, 160),
                                    reply->str);

    } else {
        perm_redis_connection_error(connection,
                                    "unexpected answer to %s", name);
    }

    perm_redis_connection_lost(connection);
}


static ngx_uint_t
perm_redis_handshake_ok(redisReply *reply)
{
    return reply->type == REDIS_REPLY_STATUS
           && ngx_strcmp(reply->str, "OK") == 0;
}


/*
 * A password in the URL of Sentinels may be meant for them alone: servers that
 * have none do not take it.
 */

static ngx_uint_t
perm_redis_handshake_no_password(perm_redis_connection_t *connection,
    redisReply *reply)
{
    perm_redis_conf_t  *conf;

    conf = connection->conf;

    return connection->kind == PERM_REDIS_SERVER
           && conf->url->kind == PERM_REDIS_SENTINEL
           && conf->password.data == conf->sentinel_password.data
           && reply->type == REDIS_REPLY_ERROR
           && ngx_strstr(reply->str, "without any password configured");
}


static void
perm_redis_handshake_auth(void *data, redisReply *reply)
{
    if (reply != NULL && !perm_redis_handshake_ok(reply)
        && !perm_redis_handshake_no_password(data, reply))
    {
        perm_redis_handshake_refused(data, "AUTH", reply);
    }
}


static void
perm_redis_handshake_select(void *data, redisReply *reply)
{
    if (reply != NULL && !perm_redis_handshake_ok(reply)) {
        perm_redis_handshake_refused(data, "SELECT", reply);
    }
}


/*
 * A server that is reading its data in answers ROLE and accepts subscriptions,
 * but no lookup, and reports every key that it comes upon as changed.  Without
 * the right to PING there is no telling.
 */

static void
perm_redis_handshake_ping(void *data, redisReply *reply)
{
    if (reply != NULL && perm_redis_reply_error(reply, "LOADING")) {
        perm_redis_handshake_refused(data, "PING", reply);
    }
}


static ngx_int_t
perm_redis_handshake_role(perm_redis_connection_t *connection,
    redisReply *reply)
{
    redisReply  *role;

    connection->role = PERM_REDIS_ROLE_UNKNOWN;

    if (reply->type == REDIS_REPLY_ERROR) {

        /* the right is missing, or the command: a proxy may not have it */

        return (perm_redis_reply_error(reply, "NOPERM")
                || ngx_strncmp(reply->str, "ERR unknown command", 19) == 0)
               ? NGX_OK : NGX_ERROR;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
        return NGX_ERROR;
    }

    role = reply->element[0];

    if (role->type != REDIS_REPLY_STRING) {
        return NGX_ERROR;
    }

    if (ngx_strcmp(role->str, "master") == 0) {
        connection->role = PERM_REDIS_ROLE_MASTER;

    } else if (ngx_strcmp(role->str, "slave") == 0
               || ngx_strcmp(role->str, "replica") == 0)
    {
        connection->role = PERM_REDIS_ROLE_REPLICA;

    } else if (ngx_strcmp(role->str, "sentinel") == 0) {
        connection->role = PERM_REDIS_ROLE_SENTINEL;
    }

    return NGX_OK;
}


static void
perm_redis_handshake_done(void *data, redisReply *reply)
{
    perm_redis_connection_t  *connection = data;

    if (reply == NULL) {
        return;
    }

    if (perm_redis_handshake_role(connection, reply) != NGX_OK) {
        perm_redis_handshake_refused(connection, "ROLE", reply);
        return;
    }

    connection->ready = 1;
    connection->error_len = 0;

    ngx_del_timer(&connection->timer);

    connection->handlers->ready(connection->data, connection);
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

    if (perm_redis_pipeline_append(connection, command) != NGX_OK) {
        perm_redis_command_free(command);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
perm_redis_handshake_send_auth(perm_redis_connection_t *connection)
{
    ngx_str_t           argv[3], *user, *password;
    ngx_uint_t          argc;
    perm_redis_conf_t  *conf;

    conf = connection->conf;

    if (connection->kind == PERM_REDIS_SENTINEL_PEER) {
        user = &conf->sentinel_user;
        password = &conf->sentinel_password;

    } else {
        user = &conf->user;
        password = &conf->password;
    }

    if (password->len == 0) {
        return NGX_OK;
    }

    argc = 0;
    ngx_str_set(&argv[argc], "AUTH");
    argc++;

    if (user->len) {
        argv[argc++] = *user;
    }

    argv[argc++] = *password;

    return perm_redis_handshake_send(connection, argc, argv,
                                     perm_redis_handshake_auth);
}


static ngx_int_t
perm_redis_handshake_send_ping(perm_redis_connection_t *connection)
{
    ngx_str_t  ping = ngx_string("PING");

    if (connection->kind == PERM_REDIS_SENTINEL_PEER) {
        return NGX_OK;
    }

    return perm_redis_handshake_send(connection, 1, &ping,
                                     perm_redis_handshake_ping);
}


static ngx_int_t
perm_redis_handshake_send_select(perm_redis_connection_t *connection)
{
    u_char     buf[NGX_INT_T_LEN];
    ngx_str_t  argv[2];

    if (connection->kind == PERM_REDIS_SENTINEL_PEER
        || connection->conf->url->db == 0)
    {
        return NGX_OK;
    }

    ngx_str_set(&argv[0], "SELECT");

    argv[1].data = buf;
    argv[1].len = ngx_sprintf(buf, "%ui",
                              (ngx_uint_t) connection->conf->url->db)
                  - buf;

    return perm_redis_handshake_send(connection, 2, argv,
                                     perm_redis_handshake_select);
}


ngx_int_t
perm_redis_handshake_begin(perm_redis_connection_t *connection)
{
    ngx_str_t  role = ngx_string("ROLE");

    /* ROLE is there to be answered, too: a server that hangs is not ready */

    if (perm_redis_handshake_send_auth(connection) != NGX_OK
        || perm_redis_handshake_send_select(connection) != NGX_OK
        || perm_redis_handshake_send_ping(connection) != NGX_OK
        || perm_redis_handshake_send(connection, 1, &role,
                                     perm_redis_handshake_done)
           != NGX_OK)
    {
        perm_redis_connection_error(connection, "out of memory");
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
perm_redis_handshake(perm_redis_connection_t *connection)
{
    ngx_connection_t  *c;

    c = connection->peer.connection;

    if (connection->addr.sockaddr->sa_family != AF_UNIX
        && ngx_tcp_nodelay(c) != NGX_OK)
    {
        return NGX_ERROR;
    }

#if (NGX_SSL)

    if (connection->conf->url->tls) {
        return perm_redis_connection_tls_start(connection);
    }

#endif

    return perm_redis_handshake_begin(connection);
}
