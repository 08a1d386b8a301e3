
/*
 * A command in the making: its words, and the key that says where it goes.
 */


#ifndef _PERM_CLI_WIRE_COMMAND_H_INCLUDED_
#define _PERM_CLI_WIRE_COMMAND_H_INCLUDED_


#include <stdarg.h>

#include "core/name.h"


/* begins zeroed; the arrays are reused from command to command */

typedef struct {
    size_t        argc;
    size_t        size;
    const char  **argv;
    size_t       *lens;
    perm_str_t    key;             /* len 0: any server will do */
} perm_wire_command_t;


/*
 * Begins a command with the words of "format", which are separated by single
 * blanks.  %k is the key and %b another word, both of perm_str_t; %s is a
 * const char *; a word without "%" stands for itself.  The format and the
 * words must last until the command is sent.
 */
void perm_wire_command_set(perm_wire_command_t *command, const char *format,
    ...);
void perm_wire_command_vset(perm_wire_command_t *command, const char *format,
    va_list args);

/* Adds a word */

void perm_wire_command_add(perm_wire_command_t *command, perm_str_t word);


/* Returns the command as the wire has it, to be freed by the caller */

char *perm_wire_command_format(const perm_wire_command_t *command, size_t *len);


void perm_wire_command_free(perm_wire_command_t *command);


#endif /* _PERM_CLI_WIRE_COMMAND_H_INCLUDED_ */
