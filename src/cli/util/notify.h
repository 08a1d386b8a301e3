
/*
 * The command of --notify.
 */


#ifndef _PERM_CLI_UTIL_NOTIFY_H_INCLUDED_
#define _PERM_CLI_UTIL_NOTIFY_H_INCLUDED_


#include <stddef.h>

#include "core/name.h"


/*
 * Ends the program when the command is empty, or when it begins with the plain
 * name of a program that is not there.  It is to be called before anything is
 * done.
 */
void perm_notify_check(const char *command);


/*
 * Runs the command by /bin/sh with the text on its standard input.  json: its
 * standard output goes to standard error.  A command that does not read its
 * input is no error.  Returns 0, or 1 when it failed, which is said, with the
 * name of the app.
 */
int perm_notify_run(const char *command, int json, perm_str_t app,
    const char *text, size_t len);


#endif /* _PERM_CLI_UTIL_NOTIFY_H_INCLUDED_ */
