
/*
 * SCAN, HSCAN and ZSCAN: what their replies must look like.
 */


#ifndef _PERM_CLI_TABLE_SCAN_H_INCLUDED_
#define _PERM_CLI_TABLE_SCAN_H_INCLUDED_


#include "cli/table/table.h"


#define PERM_CURSOR_SIZE  32


/*
 * 1 when the reply is a cursor shorter than PERM_CURSOR_SIZE and an array of
 * strings, "each" of which belong together.
 */
int perm_scan_valid(const redisReply *reply, unsigned each);

/* Ends the program over a reply that is not so */

void perm_scan_refused(const redisReply *reply) __attribute__((noreturn));


/* The bytes of a string reply */

perm_str_t perm_scan_reply_str(const redisReply *reply);


#endif /* _PERM_CLI_TABLE_SCAN_H_INCLUDED_ */
