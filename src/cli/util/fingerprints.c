
#include "cli/util/fingerprints.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "cli/util/alloc.h"
#include "cli/util/output.h"


static perm_fingerprint_t fingerprint(const perm_tuple_t *grant);
static int compare(const void *a, const void *b);


void
perm_fingerprints_add(perm_fingerprints_t *set, const perm_tuple_t *grant)
{
    set->list = perm_alloc_room(set->list, &set->size, set->n + 1,
                                sizeof(perm_fingerprint_t));
    set->list[set->n++] = fingerprint(grant);
}


void
perm_fingerprints_sort(perm_fingerprints_t *set)
{
    if (set->n) {
        qsort(set->list, set->n, sizeof(perm_fingerprint_t), compare);
    }
}


int
perm_fingerprints_has(const perm_fingerprints_t *set, const perm_tuple_t *grant)
{
    perm_fingerprint_t  wanted;

    wanted = fingerprint(grant);

    return set->n && bsearch(&wanted, set->list, set->n,
                             sizeof(perm_fingerprint_t), compare) != NULL;
}


/* the names with a NUL between them, which no name holds */

static perm_fingerprint_t
fingerprint(const perm_tuple_t *grant)
{
    char                text[PERM_TUPLE_MAX + 3];
    size_t              len;
    unsigned char       digest[EVP_MAX_MD_SIZE];
    perm_fingerprint_t  print;

    len = (size_t) snprintf(text, sizeof(text), "%.*s%c%.*s%c%.*s",
                            (int) grant->gateway.len, grant->gateway.data, 0,
                            (int) grant->app.len, grant->app.data, 0,
                            (int) grant->resource.len, grant->resource.data);

    if (EVP_Digest(text, len, digest, NULL, EVP_sha256(), NULL) != 1) {
        perm_output_fatal(PERM_EXIT_NO, "OpenSSL cannot compute SHA-256");
    }

    memcpy(print.bytes, digest, PERM_FINGERPRINT_SIZE);

    return print;
}


static int
compare(const void *a, const void *b)
{
    return memcmp(a, b, PERM_FINGERPRINT_SIZE);
}
