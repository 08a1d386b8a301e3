
#include "cli/util/fingerprints.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "cli/util/output.h"


#define PRINT_SIZE  16
#define RUN         (1024 * 1024)   /* fingerprints sorted in memory */
#define BLOCK       256             /* of them between two index entries */


typedef struct {
    unsigned char  bytes[PRINT_SIZE];
} perm_print_t;


/* a sorted run in the file, and what of it is in memory while merging */

typedef struct {
    uint64_t       next;     /* in the file, in fingerprints */
    uint64_t       end;
    perm_print_t  *buf;
    size_t         pos;
    size_t         len;
} perm_run_t;


struct perm_fingerprints_s {
    EVP_MD_CTX    *md;
    perm_print_t  *buf;
    size_t         n;        /* in buf */
    uint64_t       total;    /* in the file */
    int            fd;       /* -1: all are in buf */
    perm_print_t  *index;    /* the first of every block of the file */
    size_t         nindex;
};


static void
fail(const char *doing)
{
    perm_fatal(PERM_EXIT_NO, "cannot %s a temporary file in $TMPDIR or /tmp: "
               "%m", doing);
}


static int
compare(const void *a, const void *b)
{
    return memcmp(a, b, PRINT_SIZE);
}


static int
temporary_file(void)
{
    int          fd;
    char         name[4096];
    const char  *dir;

    dir = getenv("TMPDIR");
    snprintf(name, sizeof(name), "%s/app-permission.XXXXXX",
             (dir && *dir) ? dir : "/tmp");

    fd = mkostemp(name, O_CLOEXEC);

    if (fd == -1) {
        fail("make");
    }

    (void) unlink(name);

    return fd;
}


static void
write_at(int fd, const perm_print_t *prints, size_t n, uint64_t at)
{
    size_t       len;
    ssize_t      written;
    const char  *p;

    p = (const char *) prints;
    len = n * PRINT_SIZE;
    at *= PRINT_SIZE;

    while (len) {
        written = pwrite(fd, p, len, (off_t) at);

        if (written <= 0) {
            fail("write");
        }

        p += written;
        len -= (size_t) written;
        at += (uint64_t) written;
    }
}


static void
read_at(int fd, perm_print_t *prints, size_t n, uint64_t at)
{
    char     *p;
    size_t    len;
    ssize_t   got;

    p = (char *) prints;
    len = n * PRINT_SIZE;
    at *= PRINT_SIZE;

    while (len) {
        got = pread(fd, p, len, (off_t) at);

        if (got <= 0) {
            fail("read");
        }

        p += got;
        len -= (size_t) got;
        at += (uint64_t) got;
    }
}


/* no name holds a NUL */

static perm_print_t
print_of(perm_fingerprints_t *prints, const perm_tuple_t *grant)
{
    perm_print_t   print;
    unsigned char  digest[EVP_MAX_MD_SIZE];

    if (EVP_DigestInit_ex(prints->md, NULL, NULL) != 1
        || EVP_DigestUpdate(prints->md, grant->gateway.data,
                            grant->gateway.len) != 1
        || EVP_DigestUpdate(prints->md, "", 1) != 1
        || EVP_DigestUpdate(prints->md, grant->app.data, grant->app.len) != 1
        || EVP_DigestUpdate(prints->md, "", 1) != 1
        || EVP_DigestUpdate(prints->md, grant->resource.data,
                            grant->resource.len) != 1
        || EVP_DigestFinal_ex(prints->md, digest, NULL) != 1)
    {
        perm_fatal(PERM_EXIT_NO, "OpenSSL cannot hash");
    }

    memcpy(print.bytes, digest, PRINT_SIZE);

    return print;
}


perm_fingerprints_t *
perm_fingerprints_new(void)
{
    perm_fingerprints_t  *prints;

    prints = perm_alloc(sizeof(perm_fingerprints_t));
    memset(prints, 0, sizeof(perm_fingerprints_t));

    prints->fd = -1;
    prints->buf = perm_alloc(RUN * sizeof(perm_print_t));
    prints->md = EVP_MD_CTX_new();

    if (prints->md == NULL
        || EVP_DigestInit_ex(prints->md, EVP_sha256(), NULL) != 1)
    {
        perm_fatal(PERM_EXIT_NO, "OpenSSL has no SHA-256");
    }

    return prints;
}


static void
write_run(perm_fingerprints_t *prints)
{
    if (prints->fd == -1) {
        prints->fd = temporary_file();
    }

    qsort(prints->buf, prints->n, PRINT_SIZE, compare);
    write_at(prints->fd, prints->buf, prints->n, prints->total);

    prints->total += prints->n;
    prints->n = 0;
}


void
perm_fingerprints_add(perm_fingerprints_t *prints, const perm_tuple_t *grant)
{
    if (prints->n == RUN) {
        write_run(prints);
    }

    prints->buf[prints->n++] = print_of(prints, grant);
}


/* the next fingerprint of a run, or NULL */

static const perm_print_t *
peek(int fd, perm_run_t *run, size_t room)
{
    if (run->pos == run->len) {
        run->len = (run->end - run->next < room)
                   ? (size_t) (run->end - run->next) : room;
        run->pos = 0;

        if (run->len == 0) {
            return NULL;
        }

        read_at(fd, run->buf, run->len, run->next);
        run->next += run->len;
    }

    return &run->buf[run->pos];
}


/*
 * Merges the runs into a new file.  "buf" is cut into equal parts, one for
 * each run and one for what goes out.
 */

static void
merge(perm_fingerprints_t *prints, perm_run_t *runs, size_t nruns, int fd)
{
    size_t               i, room, gathered;
    uint64_t             done;
    perm_run_t          *least;
    perm_print_t        *out;
    const perm_print_t  *print, *best;

    room = RUN / (nruns + 1);
    out = prints->buf + nruns * room;
    gathered = 0;

    for (done = 0; done < prints->total; done++) {
        least = NULL;
        best = NULL;

        for (i = 0; i < nruns; i++) {
            print = peek(prints->fd, &runs[i], room);

            if (print != NULL && (best == NULL || compare(print, best) < 0)) {
                best = print;
                least = &runs[i];
            }
        }

        if (least == NULL) {
            break;
        }

        if (done % BLOCK == 0) {
            prints->index[prints->nindex++] = *best;
        }

        out[gathered++] = *best;
        least->pos++;

        if (gathered == room) {
            write_at(fd, out, gathered, done + 1 - gathered);
            gathered = 0;
        }
    }

    write_at(fd, out, gathered, done - gathered);
}


void
perm_fingerprints_seal(perm_fingerprints_t *prints)
{
    int          fd;
    size_t       i, nruns;
    perm_run_t  *runs;

    if (prints->fd == -1) {
        qsort(prints->buf, prints->n, PRINT_SIZE, compare);
        return;
    }

    write_run(prints);

    nruns = (size_t) ((prints->total + RUN - 1) / RUN);
    runs = perm_alloc(nruns * sizeof(perm_run_t));
    memset(runs, 0, nruns * sizeof(perm_run_t));

    for (i = 0; i < nruns; i++) {
        runs[i].next = (uint64_t) i * RUN;
        runs[i].end = (i + 1 < nruns) ? runs[i].next + RUN : prints->total;
        runs[i].buf = prints->buf + i * (RUN / (nruns + 1));
    }

    prints->index = perm_alloc((size_t) (prints->total / BLOCK + 1)
                               * sizeof(perm_print_t));
    fd = temporary_file();
    merge(prints, runs, nruns, fd);

    close(prints->fd);
    prints->fd = fd;
    free(runs);
}


int
perm_fingerprints_has(perm_fingerprints_t *prints, const perm_tuple_t *grant)
{
    size_t        low, high, middle, n;
    uint64_t      at;
    perm_print_t  print;

    print = print_of(prints, grant);

    if (prints->fd == -1) {
        return bsearch(&print, prints->buf, prints->n, PRINT_SIZE, compare)
               != NULL;
    }

    /* the last block that does not begin behind it */

    low = 0;
    high = prints->nindex;

    while (low < high) {
        middle = low + (high - low) / 2;

        if (compare(&prints->index[middle], &print) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }

    if (low == 0) {
        return 0;
    }

    at = (uint64_t) (low - 1) * BLOCK;
    n = (prints->total - at < BLOCK) ? (size_t) (prints->total - at) : BLOCK;
    read_at(prints->fd, prints->buf, n, at);

    return bsearch(&print, prints->buf, n, PRINT_SIZE, compare) != NULL;
}


void
perm_fingerprints_free(perm_fingerprints_t *prints)
{
    if (prints->fd != -1) {
        close(prints->fd);
    }

    EVP_MD_CTX_free(prints->md);
    free(prints->buf);
    free(prints->index);
    free(prints);
}
