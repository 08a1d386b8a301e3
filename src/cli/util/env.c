
#include "cli/util/env.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>


static int is_secret(const char *variable);


void
perm_env_drop_secrets(void)
{
    char  **from, **to;

    for (from = to = environ; from != NULL && *from != NULL; from++) {
        if (!is_secret(*from)) {
            *to++ = *from;
        }
    }

    if (to != NULL) {
        *to = NULL;
    }
}


/* "NAME=value" */

static int
is_secret(const char *variable)
{
    static const char  password[] = "APP_PERMISSION_PASSWORD";
    static const char  redis[] = "APP_PERMISSION_REDIS=";

    return strncmp(variable, password, sizeof(password) - 1) == 0
           || (strncmp(variable, redis, sizeof(redis) - 1) == 0
               && strchr(variable, '@') != NULL);
}
