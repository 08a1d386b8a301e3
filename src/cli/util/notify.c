
#include "cli/util/notify.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/util/alloc.h"


const char *
perm_notify(const char *command, const char *text, size_t len, int to_stderr)
{
    int    status;
    FILE  *input;
    char  *script;

    static char  error[256];

    fflush(stdout);

    script = perm_alloc(sizeof("exec >&2\n") + strlen(command));
    sprintf(script, "%s%s", to_stderr ? "exec >&2\n" : "", command);

    /* the command gets the default SIGPIPE, which this program ignores */

    signal(SIGPIPE, SIG_DFL);
    input = popen(script, "we");
    signal(SIGPIPE, SIG_IGN);

    free(script);

    if (input == NULL) {
        snprintf(error, sizeof(error), "cannot be started: %m");
        return error;
    }

    /* without a buffer pclose() has nothing left to write, and cannot fail */

    setvbuf(input, NULL, _IONBF, 0);
    (void) fwrite(text, 1, len, input);
    status = pclose(input);

    if (status == 0) {
        return NULL;
    }

    if (WIFSIGNALED(status)) {
        snprintf(error, sizeof(error), "ended by signal %d",
                 WTERMSIG(status));
    } else {
        snprintf(error, sizeof(error), "exit status %d", WEXITSTATUS(status));
    }

    return error;
}
