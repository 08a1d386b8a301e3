
#include "cli/util/temporary.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/util/alloc.h"
#include "cli/util/output.h"


#define NAME  "/app-permission.XXXXXX"


static const char *directory(void);


FILE *
perm_temporary_open(const char *content)
{
    int          fd;
    char        *name;
    FILE        *file;
    const char  *dir;

    dir = directory();
    name = perm_alloc(strlen(dir) + sizeof(NAME));
    strcpy(stpcpy(name, dir), NAME);

    fd = mkostemp(name, O_CLOEXEC);
    file = (fd != -1) ? fdopen(fd, "w+") : NULL;

    if (file == NULL || unlink(name) == -1) {
        perm_temporary_failed(content);
    }

    free(name);

    return file;
}


static const char *
directory(void)
{
    const char  *dir;

    dir = getenv("TMPDIR");

    return (dir != NULL && *dir != '\0') ? dir : "/tmp";
}


void
perm_temporary_failed(const char *content)
{
    perm_output_fatal(PERM_EXIT_NO, "cannot keep %s in \"%s\": %m; nothing was "
                      "changed; TMPDIR can name another directory", content,
                      perm_output_safe_text(directory()));
}
