
#include "cli/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>


#define OUT_SIZE    65536
#define IN_SIZE     16384
#define REPLY_MAX   (64 * 1024 * 1024)   /* bytes of one reply */


struct perm_link_s {
    perm_socket_t  *socket;
    redisReader    *reader;
    char           *out;
    size_t          out_len;
    size_t          out_size;
    size_t          fed;       /* bytes of the reply that is being read */
    char            name[sizeof(perm_address_t) + 8];
};


const char *
perm_link_name(perm_link_t *link)
{
    return link->name;
}


static int
flush(perm_link_t *link, char *error)
{
    size_t  len;

    len = link->out_len;
    link->out_len = 0;

    return len ? perm_socket_write(link->socket, link->out, len, error) : 0;
}


int
perm_link_write(perm_link_t *link, const char *command, size_t len,
    char *error)
{
    if (link->out_len + len > link->out_size) {
        if (flush(link, error) != 0) {
            return -1;
        }

        if (len > link->out_size) {
            return perm_socket_write(link->socket, command, len, error);
        }
    }

    memcpy(link->out + link->out_len, command, len);
    link->out_len += len;

    return 0;
}


redisReply *
perm_link_read(perm_link_t *link, char *error)
{
    char   buf[IN_SIZE];
    long   n;
    void  *reply;

    if (flush(link, error) != 0) {
        return NULL;
    }

    for ( ;; ) {
        reply = NULL;

        if (redisReaderGetReply(link->reader, &reply) != REDIS_OK) {
            snprintf(error, PERM_ERROR_SIZE, "this is not Redis: %s",
                     link->reader->errstr);
            return NULL;
        }

        if (reply != NULL) {
            link->fed = 0;
            return reply;
        }

        n = perm_socket_read(link->socket, buf, sizeof(buf), error);

        if (n == 0) {
            snprintf(error, PERM_ERROR_SIZE,
                     "the server closed the connection");
        }

        if (n <= 0) {
            return NULL;
        }

        /* the reader of hiredis 0.14 bounds nothing itself */

        link->fed += n;

        if (link->fed > REPLY_MAX) {
            snprintf(error, PERM_ERROR_SIZE, "a reply is longer than %d bytes",
                     REPLY_MAX);
            return NULL;
        }

        redisReaderFeed(link->reader, buf, n);
    }
}


redisReply *
perm_link_call(perm_link_t *link, char *error, unsigned argc,
    const char **argv)
{
    int    failed;
    char  *command;
    long   len;

    command = NULL;
    len = redisFormatCommandArgv(&command, (int) argc, argv, NULL);

    if (len < 0) {
        snprintf(error, PERM_ERROR_SIZE, "out of memory");
        return NULL;
    }

    failed = perm_link_write(link, command, len, error);
    free(command);

    return failed ? NULL : perm_link_read(link, error);
}


/* a command of the greeting: 0, or -1 with *error naming it */

static int
greet(perm_link_t *link, const perm_link_conf_t *conf, char *error,
    unsigned argc, const char **argv)
{
    int          failed;
    redisReply  *reply;

    reply = perm_link_call(link, error, argc, argv);

    if (reply == NULL) {
        return -1;
    }

    failed = (reply->type == REDIS_REPLY_ERROR);

    if (failed && conf->sentinel
        && strstr(reply->str, "without any password") != NULL)
    {
        failed = 0;
    }

    if (failed) {
        snprintf(error, PERM_ERROR_SIZE, "%s: %s", argv[0], reply->str);
    }

    freeReplyObject(reply);

    return failed ? -1 : 0;
}


static int
greeting(perm_link_t *link, const perm_link_conf_t *conf, char *error)
{
    char         db[16];
    unsigned     n;
    const char  *argv[3];

    if (conf->password.len || conf->user.len) {
        n = 0;
        argv[n++] = "AUTH";

        if (conf->user.len) {
            argv[n++] = conf->user.data;
        }

        argv[n++] = conf->password.len ? conf->password.data : "";

        if (greet(link, conf, error, n, argv) != 0) {
            return -1;
        }
    }

    if (conf->db) {
        snprintf(db, sizeof(db), "%u", conf->db);
        argv[0] = "SELECT";
        argv[1] = db;

        return greet(link, conf, error, 2, argv);
    }

    return 0;
}


perm_link_t *
perm_link_open(const perm_link_conf_t *conf, const perm_address_t *address,
    char *error)
{
    perm_link_t  *link;

    link = calloc(1, sizeof(perm_link_t));
    if (link == NULL) {
        snprintf(error, PERM_ERROR_SIZE, "out of memory");
        return NULL;
    }

    if (address->port) {
        snprintf(link->name, sizeof(link->name),
                 strchr(address->host, ':') ? "[%s]:%u" : "%s:%u",
                 address->host, address->port);
        link->socket = perm_socket_tcp(address->host, address->port,
                                       &conf->tls, conf->timeout, error);
    } else {
        snprintf(link->name, sizeof(link->name), "unix:%s", address->host);
        link->socket = perm_socket_unix(address->host, conf->timeout, error);
    }

    if (link->socket == NULL) {
        free(link);
        return NULL;
    }

    link->reader = redisReaderCreate();
    link->out = malloc(OUT_SIZE);
    link->out_size = OUT_SIZE;

    if (link->reader == NULL || link->out == NULL) {
        snprintf(error, PERM_ERROR_SIZE, "out of memory");
        perm_link_close(link);
        return NULL;
    }

    if (greeting(link, conf, error) != 0) {
        perm_link_close(link);
        return NULL;
    }

    return link;
}


void
perm_link_close(perm_link_t *link)
{
    if (link->reader != NULL) {
        redisReaderFree(link->reader);
    }

    perm_socket_close(link->socket);
    free(link->out);
    free(link);
}
