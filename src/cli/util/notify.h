
/*
 * A command that gets a text on its standard input.
 */


#ifndef _PERM_CLI_UTIL_NOTIFY_H_INCLUDED_
#define _PERM_CLI_UTIL_NOTIFY_H_INCLUDED_


#include <stddef.h>


/*
 * Runs the command by /bin/sh with the text on its standard input, and waits.
 * What it writes goes to standard output, or with to_stderr to standard error.
 * Returns NULL, or what went wrong, which is good until the next call.  A
 * command that does not read its input is no error.
 */
const char *perm_notify(const char *command, const char *text, size_t len,
    int to_stderr);


#endif /* _PERM_CLI_UTIL_NOTIFY_H_INCLUDED_ */
