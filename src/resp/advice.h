
/*
 * What an error reply means, and what to do about it.
 */


#ifndef _PERM_RESP_ADVICE_H_INCLUDED_
#define _PERM_RESP_ADVICE_H_INCLUDED_


#include "core/name.h"


/* what a program does about it */

typedef enum {
    PERM_ADVICE_NONE = 0,
    PERM_ADVICE_AGAIN,      /* the same server a little later */
    PERM_ADVICE_DISCOVER    /* another server may have taken over */
} perm_advice_action_t;


typedef struct {
    const char            *code;      /* what the error begins with */
    perm_advice_action_t   action;
    const char            *gateway;   /* for nginx's log, or "" */
    const char            *command;   /* for the command line, or "" */
} perm_advice_t;


/*
 * "error" is the text of a reply.  Never NULL: with both texts empty where
 * there is nothing to say.
 */
const perm_advice_t *perm_advice_find(const char *error);

/*
 * The part of the text that is about the command: of a command in a script,
 * Redis 7 adds the place in the script at the end, and earlier versions put it
 * in front.
 */
perm_str_t perm_advice_error(const char *error);


#endif /* _PERM_RESP_ADVICE_H_INCLUDED_ */
