
#include "cli/wire/client.h"

#include <string.h>

#include "cli/util/output.h"


/*
 * What Redis says of a command in a script, without where in the script: Redis
 * 7 adds that at the end, and earlier ones put it in front.
 */

static perm_str_t
without_script(const char *error)
{
    const char  *p;
    perm_str_t   text;

    if (strncmp(error, "ERR Error running script", 24) == 0) {
        p = strstr(error, ": -");
        error = p ? p + 3 : error;
    }

    text = perm_str(error);
    p = strstr(error, " script: ");

    if (p != NULL && strstr(p, "@user_script") != NULL) {
        text.len = (size_t) (p - error);
    }

    while (text.len && text.data[text.len - 1] == '.') {
        text.len--;
    }

    return text;
}


const char *
perm_wire_advice(const char *error)
{
    unsigned  i;

    /* Redis 7 says it otherwise when a script lacks a right */

    static const char         noperm[] = "NOPERM";
    static const char         in_script[] = "user executing the script";
    static const char *const  advices[][2] = {
        { "NOAUTH", "give a password in the URL or with --password-file" },
        { "WRONGPASS", "check the user and the password" },
        { noperm, "give this user the right, with ACL SETUSER" },
        { "READONLY", "this is a replica: give the address of the master, or "
                      "a redis+sentinel:// URL" },
        { "MASTERDOWN", "this is a replica without its master" },
        { "LOADING", "Redis is still loading its data: try again later" },
        { "OOM", "Redis is out of memory: raise maxmemory" },
        { "MISCONF", "Redis cannot save to its disk and refuses writes" },
        { "CLUSTERDOWN", "the cluster does not serve all slots" },
        { "MOVED", "this is a cluster: use a redis+cluster:// URL" },
        { "BUSY", "a script blocks Redis" },
        { NULL, NULL }
    };

    for (i = 0; advices[i][0] != NULL; i++) {
        if (strncmp(error, advices[i][0], strlen(advices[i][0])) == 0
            || (advices[i][0] == noperm && strstr(error, in_script) != NULL))
        {
            break;
        }
    }

    return advices[i][1];
}


void
perm_wire_advice_refused(const char *server, const char *error)
{
    perm_str_t   text;
    const char  *advice;

    text = without_script(error);
    advice = perm_wire_advice(text.data);

    perm_fatal(PERM_EXIT_REDIS, "Redis%s%s refused: %s%s%s",
               server ? " at " : "", server ? perm_escape_text(server) : "",
               perm_escape(text), advice ? "; " : "", advice ? advice : "");
}
