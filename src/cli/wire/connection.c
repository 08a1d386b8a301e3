
#include "cli/wire/connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/util/alloc.h"


#define OUT_SIZE    65536
#define IN_SIZE     16384
#define REPLY_MAX   (64 * 1024 * 1024)   /* bytes of one reply */


struct perm_connection_s {
    perm_socket_t  *socket;
    redisReader    *reader;
    size_t          fed;       /* bytes of the reply that is being read */
    char            name[PERM_CONNECTION_NAME_SIZE];
    size_t          out_len;
    char            out[OUT_SIZE];
};


const char *
perm_connection_name(perm_connection_t *connection)
{
    return connection->name;
}


void
perm_connection_address(const perm_address_t *address,
    char name[PERM_CONNECTION_NAME_SIZE])
{
    if (address->port == 0) {
        snprintf(name, PERM_CONNECTION_NAME_SIZE, "unix:%s", address->host);
        return;
    }

    snprintf(name, PERM_CONNECTION_NAME_SIZE,
             strchr(address->host, ':') ? "[%s]:%u" : "%s:%u", address->host,
             address->port);
}


static int
flush(perm_connection_t *connection, char *error)
{
    size_t  len;

    len = connection->out_len;
    connection->out_len = 0;

    return len ? perm_socket_write(connection->socket, connection->out, len,
                                   error) : 0;
}


int
perm_connection_write(perm_connection_t *connection, const char *command,
    size_t len, char *error)
{
    if (connection->out_len + len > OUT_SIZE) {
        if (flush(connection, error) != 0) {
            return -1;
        }

        if (len > OUT_SIZE) {
            return perm_socket_write(connection->socket, command, len, error);
        }
    }

    memcpy(connection->out + connection->out_len, command, len);
    connection->out_len += len;

    return 0;
}


redisReply *
perm_connection_read(perm_connection_t *connection, char *error)
{
    char   buf[IN_SIZE];
    long   n;
    void  *reply;

    if (flush(connection, error) != 0) {
        return NULL;
    }

    for ( ;; ) {
        reply = NULL;

        if (redisReaderGetReply(connection->reader, &reply) != REDIS_OK) {
            snprintf(error, PERM_ERROR_SIZE, "this is not Redis: %s",
                     connection->reader->errstr);
            return NULL;
        }

        if (reply != NULL) {
            connection->fed = 0;
            return reply;
        }

        n = perm_socket_read(connection->socket, buf, sizeof(buf), error);

        if (n == 0) {
            snprintf(error, PERM_ERROR_SIZE,
                     "the server closed the connection");
        }

        if (n <= 0) {
            return NULL;
        }

        /* the reader of hiredis 0.14 bounds nothing itself */

        connection->fed += n;

        if (connection->fed > REPLY_MAX) {
            snprintf(error, PERM_ERROR_SIZE, "a reply is longer than %d bytes",
                     REPLY_MAX);
            return NULL;
        }

        redisReaderFeed(connection->reader, buf, n);
    }
}


redisReply *
perm_connection_call(perm_connection_t *connection, char *error,
    const char *format, ...)
{
    int       len, failed;
    char     *command;
    va_list   args;

    va_start(args, format);
    len = redisvFormatCommand(&command, format, args);
    va_end(args);

    command = perm_alloc_check(len < 0 ? NULL : command);
    failed = perm_connection_write(connection, command, (size_t) len, error);
    free(command);

    return failed ? NULL : perm_connection_read(connection, error);
}


/* what came of a command of the handshake: 0, or -1 with *error naming it */

static int
shaken(redisReply *reply, const perm_connection_conf_t *conf,
    const char *command, char *error)
{
    int  failed;

    if (reply == NULL) {
        return -1;
    }

    failed = reply->type == REDIS_REPLY_ERROR
             && !(conf->sentinel
                  && strstr(reply->str, "without any password") != NULL);

    if (failed) {
        snprintf(error, PERM_ERROR_SIZE, "%s: %s", command, reply->str);
    }

    freeReplyObject(reply);

    return failed ? -1 : 0;
}


static int
handshake(perm_connection_t *connection, const perm_connection_conf_t *conf,
    char *error)
{
    int          rc;
    const char  *password;
    redisReply  *reply;

    rc = 0;
    password = conf->password.len ? conf->password.data : "";

    if (conf->user.len) {
        reply = perm_connection_call(connection, error, "AUTH %s %s",
                                     conf->user.data, password);
        rc = shaken(reply, conf, "AUTH", error);

    } else if (conf->password.len) {
        reply = perm_connection_call(connection, error, "AUTH %s", password);
        rc = shaken(reply, conf, "AUTH", error);
    }

    if (rc == 0 && conf->db) {
        reply = perm_connection_call(connection, error, "SELECT %u", conf->db);
        rc = shaken(reply, conf, "SELECT", error);
    }

    return rc;
}


perm_connection_t *
perm_connection_open(const perm_connection_conf_t *conf,
    const perm_address_t *address, char *error)
{
    perm_connection_t  *connection;

    connection = perm_alloc_check(calloc(1, sizeof(perm_connection_t)));
    connection->reader = perm_alloc_check(redisReaderCreate());
    perm_connection_address(address, connection->name);

    connection->socket = address->port
                         ? perm_socket_tcp(address->host, address->port,
                                           &conf->tls, conf->timeout, error)
                         : perm_socket_unix(address->host, conf->timeout,
                                            error);

    if (connection->socket == NULL
        || handshake(connection, conf, error) != 0)
    {
        perm_connection_close(connection);
        return NULL;
    }

    return connection;
}


void
perm_connection_close(perm_connection_t *connection)
{
    if (connection->socket != NULL) {
        perm_socket_close(connection->socket);
    }

    redisReaderFree(connection->reader);
    free(connection);
}
