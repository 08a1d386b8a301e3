
#include "cli/store.h"

#include <string.h>

#include "cli/output.h"


void
perm_store_refused(const char *error)
{
    unsigned     i;
    const char  *advice;

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

    advice = advices[i][1];

    perm_fatal(PERM_EXIT_REDIS, "Redis refused: %s%s%s",
               perm_escape_text(error), advice ? "; " : "",
               advice ? advice : "");
}
