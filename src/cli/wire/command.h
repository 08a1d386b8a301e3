
/*
 * A command in the making: its words, and the key that says where it goes.
 */


#ifndef _PERM_CLI_WIRE_COMMAND_H_INCLUDED_
#define _PERM_CLI_WIRE_COMMAND_H_INCLUDED_


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
} perm_wire_command_t;


/*
 * The bytes of the words must last until the request is sent.  A request has
 * room for 8 numbers.
 */
void perm_wire_command_begin(perm_wire_command_t *request, const char *command);
void perm_wire_command_key(perm_wire_command_t *request, perm_str_t key);
void perm_wire_command_add(perm_wire_command_t *request, perm_str_t word);
void perm_wire_command_text(perm_wire_command_t *request, const char *word);
void perm_wire_command_number(perm_wire_command_t *request, int64_t number);


/* Returns the command as the wire has it, to be freed by the caller */

char *perm_wire_command_format(const perm_wire_command_t *request, size_t *len);


void perm_wire_command_free(perm_wire_command_t *request);


#endif /* _PERM_CLI_WIRE_COMMAND_H_INCLUDED_ */
