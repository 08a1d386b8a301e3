
/*
 * What the parts of a connection share.
 */


#ifndef _PERM_REDIS_CONNECTION_PRIV_H_INCLUDED_
#define _PERM_REDIS_CONNECTION_PRIV_H_INCLUDED_


#include <ngx_event_connect.h>

#include "redis/connection.h"
#include "redis/reader.h"


#define PERM_REDIS_REASON_MAX  320   /* bytes */


struct perm_redis_connection_s {
    perm_redis_conf_t                 *conf;
    perm_redis_peer_t                  kind;
    ngx_addr_t                         addr;
    ngx_str_t                          host;

    perm_redis_connection_handlers_t  *handlers;
    void                              *data;

    ngx_pool_t                        *pool;   /* all this is in it */
    ngx_log_t                          log;    /* fills "error" */
    ngx_log_t                         *base;
    ngx_peer_connection_t              peer;

    ngx_event_t                        post;   /* write, connect or fail */
    ngx_event_t                        timer;  /* cancelable while idle */

    ngx_queue_t                        pipeline;   /* of perm_redis_command_t */
    ngx_uint_t                         outstanding;

    u_char                            *out;    /* pos to last is unsent */
    u_char                            *pos;
    u_char                            *last;
    u_char                            *end;

    perm_redis_reader_t                reader;
    perm_redis_role_t                  role;

    size_t                             error_len;
    u_char                             error[PERM_REDIS_REASON_MAX];

    unsigned                           busy:16;     /* calls on the stack */
    unsigned                           connected:1; /* the socket, not TLS */
    unsigned                           ready:1;
    unsigned                           failed:1;    /* posted to be lost */
    unsigned                           hung:1;
    unsigned                           gone:1;      /* to be freed */
};


/* into "error": the reason of what follows */
void perm_redis_connection_error(perm_redis_connection_t *connection,
    const char *fmt, ...);

/*
 * Ends the connection for the reason in "error".  From the event loop only,
 * and between enter and leave; it is freed in the last leave.
 */
void perm_redis_connection_lost(perm_redis_connection_t *connection);
void perm_redis_connection_enter(perm_redis_connection_t *connection);
void perm_redis_connection_leave(perm_redis_connection_t *connection);


/* fifo.c: commands and replies; NGX_ERROR: with "error" set */

ngx_int_t perm_redis_pipeline_append(perm_redis_connection_t *connection,
    perm_redis_command_t *command);
ngx_int_t perm_redis_pipeline_write(perm_redis_connection_t *connection);
ngx_int_t perm_redis_pipeline_read(perm_redis_connection_t *connection,
    u_char *buf, size_t len);

/* commands whose time is up; sets the timer anew for the others */
ngx_int_t perm_redis_pipeline_expire(perm_redis_connection_t *connection);


/*
 * handshake.c: what comes after the socket is connected.  NGX_ERROR: with
 * "error" set.
 */
ngx_int_t perm_redis_handshake(perm_redis_connection_t *connection);
ngx_int_t perm_redis_handshake_begin(perm_redis_connection_t *connection);


/*
 * tls.c: starts it and calls perm_redis_handshake_begin() when it is done.
 * NGX_ERROR: with "error" set.
 */
#if (NGX_SSL)
ngx_int_t perm_redis_connection_tls_start(perm_redis_connection_t *connection);
#endif


/* connection_events.c */

void perm_redis_connection_read(ngx_event_t *rev);
void perm_redis_connection_write(ngx_event_t *wev);
void perm_redis_connection_post_handler(ngx_event_t *ev);
void perm_redis_connection_timer_handler(ngx_event_t *ev);
void perm_redis_connection_log_writer(ngx_log_t *log, ngx_uint_t level,
    u_char *buf, size_t len);


#endif /* _PERM_REDIS_CONNECTION_PRIV_H_INCLUDED_ */
