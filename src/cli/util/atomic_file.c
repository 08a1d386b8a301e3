
#include "cli/util/atomic_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/util/output.h"


static void
fail(perm_atomic_file_t *out, perm_exit_t status, const char *doing)
{
    perm_fatal(status, "cannot %s \"%s\": %m", doing,
               perm_escape_text(out->name));
}


static void
remove_temporary(void *data)
{
    perm_atomic_file_t  *out = data;

    if (out->temporary != NULL) {
        (void) unlink(out->temporary);
    }
}


/* the rights of the file it takes the place of, or those of any new file */

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
perm_atomic_file_open(perm_atomic_file_t *out, const char *name)
{
    int          fd, exists;
    char        *target;
    size_t       size;
    struct stat  st;

    memset(out, 0, sizeof(perm_atomic_file_t));

    if (name == NULL || strcmp(name, "-") == 0) {
        out->name = "standard output";
        out->file = stdout;
        return;
    }

    out->name = name;
    exists = (stat(name, &st) == 0);

    /* also a symbolic link to what is not there yet */

    if (exists ? !S_ISREG(st.st_mode) : lstat(name, &st) == 0) {
        out->file = fopen(name, "we");

        if (out->file == NULL) {
            fail(out, PERM_EXIT_USAGE, "open");
        }

        return;
    }

    /* behind a symbolic link the file is replaced, not the link */

    target = exists ? realpath(name, NULL) : NULL;

    size = strlen(target ? target : name) + sizeof(".XXXXXX");
    out->temporary = perm_alloc(size);
    snprintf(out->temporary, size, "%s.XXXXXX", target ? target : name);
    free(target);

    fd = mkostemp(out->temporary, O_CLOEXEC);

    if (fd == -1) {
        free(out->temporary);
        out->temporary = NULL;
        fail(out, PERM_EXIT_USAGE, "write beside");
    }

    perm_at_fatal(remove_temporary, out);
    set_mode(fd, exists ? &st : NULL);

    out->file = fdopen(fd, "w");

    if (out->file == NULL) {
        fail(out, PERM_EXIT_NO, "open");
    }
}


void
perm_atomic_file_commit(perm_atomic_file_t *out)
{
    char    *target;
    size_t   len;

    if (fflush(out->file) != 0 || ferror(out->file)) {
        fail(out, PERM_EXIT_NO, "write");
    }

    if (out->file == stdout) {
        return;
    }

    if (out->temporary == NULL) {
        if (fclose(out->file) != 0) {
            fail(out, PERM_EXIT_NO, "write");
        }

        return;
    }

    if (fsync(fileno(out->file)) != 0 || fclose(out->file) != 0) {
        fail(out, PERM_EXIT_NO, "write");
    }

    len = strlen(out->temporary) - (sizeof(".XXXXXX") - 1);
    target = perm_alloc(len + 1);
    memcpy(target, out->temporary, len);
    target[len] = '\0';

    if (rename(out->temporary, target) != 0) {
        fail(out, PERM_EXIT_NO, "replace");
    }

    perm_at_fatal(NULL, NULL);

    free(target);
    free(out->temporary);
    out->temporary = NULL;
}


void
perm_atomic_file_abandon(perm_atomic_file_t *out)
{
    remove_temporary(out);
    perm_at_fatal(NULL, NULL);

    if (out->file != stdout) {
        fclose(out->file);
    }

    free(out->temporary);
    out->temporary = NULL;
}
