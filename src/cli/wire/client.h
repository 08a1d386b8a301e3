
/*
 * Redis as the commands see it.  Commands are sent in a pipeline to the server
 * that has the key now, and each reply goes to a handler.  A failure that does
 * not pass ends the program with PERM_EXIT_REDIS and a message that says what
 * to do.
 */


#ifndef _PERM_CLI_WIRE_CLIENT_H_INCLUDED_
#define _PERM_CLI_WIRE_CLIENT_H_INCLUDED_


#include "cli/wire/discovery.h"


typedef struct perm_client_s  perm_client_t;


/*
 * Gets the reply to a command, and must not send one.  Returns 1 when it keeps
 * the reply, to free it later, and else 0.
 */
typedef int (*perm_reply_pt)(void *data, redisReply *reply);


/* A handler that keeps the reply in *data, a redisReply * */

int perm_client_keep(void *data, redisReply *reply);


/* flags of a command */

#define PERM_ERRORS_TOO  1   /* the handler gets error replies as well */
#define PERM_NO_RESEND   2   /* never sent to another server instead */


/* Connects.  Returns NULL when that fails. */

perm_client_t *perm_client_open(const perm_discovery_conf_t *conf);
void perm_client_close(perm_client_t *client);


/*
 * Begins a command with the words of "format", which are separated by single
 * blanks: %k is the key and %b another word, both of perm_str_t; %s is a
 * const char *; a word without "%" stands for itself.  perm_client_word() adds
 * one.  The format and the words must last until the command is sent.
 */
void perm_client_command(perm_client_t *client, const char *format, ...);
void perm_client_word(perm_client_t *client, perm_str_t word);


/*
 * Sends the command to "node", or where its key lives when that is NULL, or to
 * any master when it has no key.  The handler is called from a later
 * perm_client_send() or perm_client_wait(), which returns when every reply has
 * come.
 */
void perm_client_send(perm_client_t *client, perm_node_t *node, unsigned flags,
    perm_reply_pt handler, void *data);
void perm_client_wait(perm_client_t *client);


/* Sends a whole command, waits and returns the reply, for the caller to free */

redisReply *perm_client_call(perm_client_t *client, unsigned flags,
    const char *format, ...);


/*
 * How often commands were sent again, as their server went away before it
 * answered: it may have executed them.
 */
unsigned perm_client_resent(const perm_client_t *client);


/* The masters that hold the table, in turn: NULL first, NULL at the end */

perm_node_t *perm_client_next(perm_client_t *client, perm_node_t *node);


/*
 * Ends the program with the text of an error reply, the server of the last one,
 * and what to do about it.
 */
void perm_client_refused(const char *error) __attribute__((noreturn));


#endif /* _PERM_CLI_WIRE_CLIENT_H_INCLUDED_ */
