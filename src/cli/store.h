
/*
 * Redis as the commands see it: requests out in a pipeline, replies in to
 * their handlers, wherever the key lives now.  What fails for good ends the
 * program with PERM_EXIT_REDIS and a message that says what to do.
 */


#ifndef _PERM_STORE_H_INCLUDED_
#define _PERM_STORE_H_INCLUDED_


#include "cli/nodes.h"
#include "cli/request.h"


typedef struct perm_store_s  perm_store_t;


/*
 * Gets the reply to a request; it may send others.  Returns 1 when it keeps
 * the reply, to free it later, and else 0.
 */
typedef int (*perm_reply_pt)(void *data, redisReply *reply);


/* one that keeps it: "data" is where, a redisReply ** */
int perm_store_keep(void *data, redisReply *reply);


/* flags of a request */

#define PERM_ERRORS_TOO  1   /* the handler gets error replies as well */
#define PERM_NO_RESEND   2   /* means nothing to another server */


/*
 * Connects.  Returns NULL with *error, of PERM_ERROR_SIZE bytes, when that
 * fails.
 */
perm_store_t *perm_store_open(const perm_nodes_conf_t *conf, char *error);
void perm_store_close(perm_store_t *store);


/*
 * Sends to "node", or where its key lives when that is NULL.  The handler is
 * called from a later perm_store_send() or perm_store_wait(), which returns
 * when every reply has come.
 */
void perm_store_send(perm_store_t *store, perm_node_t *node,
    const perm_request_t *request, unsigned flags, perm_reply_pt handler,
    void *data);
void perm_store_wait(perm_store_t *store);


/* Sends, waits, and returns the reply, to be freed by the caller */

redisReply *perm_store_call(perm_store_t *store, perm_node_t *node,
    const perm_request_t *request, unsigned flags);


/* The masters that hold the table, in turn: NULL first, NULL at the end */

perm_node_t *perm_store_next(perm_store_t *store, perm_node_t *node);
const char *perm_store_name(perm_node_t *node);


/* What to do about an error reply, or NULL */

const char *perm_store_advice(const char *error);


/*
 * Exits with what an error reply means and what to do about it.  server: NULL
 * when it is not known.
 */
void perm_store_refused(const char *server, const char *error)
    __attribute__((noreturn));


#endif /* _PERM_STORE_H_INCLUDED_ */
