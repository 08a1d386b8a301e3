
#include "cli/util/atomic_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/util/alloc.h"
#include "cli/util/output.h"


static void open_temporary(perm_atomic_file_t *out, const struct stat *old);
static void set_mode(int fd, const struct stat *old);
static void remove_temporary(void *data);
static void fail(perm_atomic_file_t *out, perm_exit_t status,
    const char *doing);


void
perm_atomic_file_open(perm_atomic_file_t *out, const char *name)
{
    int          exists;
    struct stat  st;

    memset(out, 0, sizeof(perm_atomic_file_t));

    if (name == NULL || strcmp(name, "-") == 0) {
        out->name = "standard output";
        out->file = stdout;
        return;
    }

    out->name = name;
    exists = (stat(name, &st) == 0);

    /* in place: no regular file, and a symbolic link to no file yet */

    if (exists ? !S_ISREG(st.st_mode) : lstat(name, &st) == 0) {
        out->file = fopen(name, "we");

        if (out->file == NULL) {
            fail(out, PERM_EXIT_USAGE, "open");
        }

    } else {
        open_temporary(out, exists ? &st : NULL);
    }
}


static void
open_temporary(perm_atomic_file_t *out, const struct stat *old)
{
    int  fd;

    /* behind a symbolic link the file is replaced, not the link */

    out->target = old ? realpath(out->name, NULL) : NULL;

    if (out->target == NULL) {
        out->target = perm_alloc_check(strdup(out->name));
    }

    out->temporary = perm_alloc(strlen(out->target) + sizeof(".XXXXXX"));
    sprintf(out->temporary, "%s.XXXXXX", out->target);

    fd = mkostemp(out->temporary, O_CLOEXEC);

    if (fd == -1) {
        fail(out, PERM_EXIT_USAGE, "write beside");
    }

    perm_output_at_fatal(remove_temporary, out);
    set_mode(fd, old);

    out->file = fdopen(fd, "w");

    if (out->file == NULL) {
        fail(out, PERM_EXIT_NO, "open");
    }
}


/* the rights of the file that is replaced, or those of any new file */

static void
set_mode(int fd, const struct stat *old)
{
    mode_t  mask, mode;

    if (old != NULL) {
        mode = old->st_mode & 07777;

    } else {
        mask = umask(0);
        (void) umask(mask);
        mode = 0666 & ~mask;
    }

    (void) fchmod(fd, mode);
}


void
perm_atomic_file_commit(perm_atomic_file_t *out)
{
    if (fflush(out->file) != 0 || ferror(out->file)
        || (out->temporary != NULL && fsync(fileno(out->file)) != 0)
        || (out->file != stdout && fclose(out->file) != 0))
    {
        fail(out, PERM_EXIT_NO, "write");
    }

    if (out->temporary != NULL
        && rename(out->temporary, out->target) != 0)
    {
        fail(out, PERM_EXIT_NO, "replace");
    }

    perm_output_at_fatal(NULL, NULL);
    free(out->target);
    free(out->temporary);
}


void
perm_atomic_file_abandon(perm_atomic_file_t *out)
{
    remove_temporary(out);
    perm_output_at_fatal(NULL, NULL);

    if (out->file != stdout) {
        fclose(out->file);
    }

    free(out->target);
    free(out->temporary);
}


static void
remove_temporary(void *data)
{
    perm_atomic_file_t  *out = data;

    if (out->temporary != NULL) {
        (void) unlink(out->temporary);
    }
}


static void
fail(perm_atomic_file_t *out, perm_exit_t status, const char *doing)
{
    perm_output_fatal(status, "cannot %s \"%s\": %m", doing,
                      perm_output_safe_text(out->name));
}
