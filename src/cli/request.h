
/*
 * A command in the making: its words, and the key that says where it goes.
 */


#ifndef _PERM_REQUEST_H_INCLUDED_
#define _PERM_REQUEST_H_INCLUDED_


#include <stdint.h>

#include "core/name.h"


/* begins zeroed; the arrays are reused from command to command */

typedef struct {
    unsigned      argc;
    unsigned      size;
    const char  **argv;
    size_t       *lens;
    perm_str_t    key;             /* len 0: any server will do */
    unsigned      nnumbers;
    char          numbers[8][24];
} perm_request_t;


/*
 * The bytes of the words must last until the request is sent.  A request has
 * room for 8 numbers.
 */
void perm_request_begin(perm_request_t *request, const char *command);
void perm_request_key(perm_request_t *request, perm_str_t key);
void perm_request_add(perm_request_t *request, perm_str_t word);
void perm_request_text(perm_request_t *request, const char *word);
void perm_request_number(perm_request_t *request, int64_t number);


/* Returns the command as the wire has it, to be freed by the caller */

char *perm_request_format(const perm_request_t *request, size_t *len);


void perm_request_free(perm_request_t *request);


#endif /* _PERM_REQUEST_H_INCLUDED_ */
