
/*
 * One GET over plain HTTP.
 */


#ifndef _PERM_CLI_COMMANDS_HTTP_H_INCLUDED_
#define _PERM_CLI_COMMANDS_HTTP_H_INCLUDED_


#include "core/name.h"


#define PERM_HTTP_BODY_MAX  (1024 * 1024)


/*
 * Returns the body of a 200 answer, NUL-terminated and to be freed by the
 * caller, or NULL with *error, of PERM_ERROR_SIZE bytes.  url: as in
 * "http://127.0.0.1:8080/status"; query: what follows it, as it is sent.
 * timeout: milliseconds, of each wait.
 */
char *perm_http_get(const char *url, const char *query, int timeout,
    perm_str_t *body, char *error);


/* NULL, or what is wrong with such a URL, which is good until the next call */

const char *perm_http_url_wrong(const char *url);


#endif /* _PERM_CLI_COMMANDS_HTTP_H_INCLUDED_ */
