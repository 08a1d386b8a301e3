
#include "cli/util/notify.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "cli/util/alloc.h"
#include "cli/util/output.h"


static int run(const char *command, int json, const char *text, size_t len);


int
perm_notify_run(const char *command, int json, perm_str_t app,
    const char *text, size_t len)
{
    int  status;

    status = run(command, json, text, len);

    if (status == -1) {
        perm_output_warn("--notify failed for app %s: cannot be started: %m",
                         perm_output_safe(app));

    } else if (WIFSIGNALED(status)) {
        perm_output_warn("--notify failed for app %s: ended by signal %d",
                         perm_output_safe(app), WTERMSIG(status));

    } else if (status != 0) {
        perm_output_warn("--notify failed for app %s: exit status %d",
                         perm_output_safe(app), WEXITSTATUS(status));
    }

    return status != 0;
}


static int
run(const char *command, int json, const char *text, size_t len)
{
    FILE  *input;
    char  *script;

    fflush(stdout);

    script = perm_alloc(sizeof("exec >&2\n") + strlen(command));
    sprintf(script, "%s%s", json ? "exec >&2\n" : "", command);

    /* the command gets the default SIGPIPE, which this program ignores */

    signal(SIGPIPE, SIG_DFL);
    input = popen(script, "we");
    signal(SIGPIPE, SIG_IGN);

    free(script);

    if (input == NULL) {
        return -1;
    }

    /* without a buffer pclose() has nothing left to write, and cannot fail */

    setvbuf(input, NULL, _IONBF, 0);
    (void) fwrite(text, 1, len, input);

    return pclose(input);
}
