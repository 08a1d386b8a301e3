
#include "cli/table/seen.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "cli/util/alloc.h"
#include "cli/util/output.h"


#define SIZE_MIN  1024


static void make_print(unsigned char print[PERM_SEEN_SIZE], perm_str_t key,
    perm_str_t field);
static int put(perm_seen_t *seen, const unsigned char print[PERM_SEEN_SIZE]);


int
perm_seen_add(perm_seen_t *seen, perm_str_t key, perm_str_t field)
{
    size_t         i;
    perm_seen_t    larger;
    unsigned char  print[PERM_SEEN_SIZE];

    if (4 * seen->n >= 3 * seen->size) {
        larger.n = 0;
        larger.size = seen->size ? 2 * seen->size : SIZE_MIN;
        larger.prints = perm_alloc_check(calloc(larger.size, PERM_SEEN_SIZE));

        for (i = 0; i < seen->size; i++) {
            (void) put(&larger, seen->prints[i]);
        }

        free(seen->prints);
        *seen = larger;
    }

    make_print(print, key, field);

    return put(seen, print);
}


void
perm_seen_free(perm_seen_t *seen)
{
    free(seen->prints);
    memset(seen, 0, sizeof(perm_seen_t));
}


/* of both with a NUL between them, as no key of a grant has one */

static void
make_print(unsigned char print[PERM_SEEN_SIZE], perm_str_t key,
    perm_str_t field)
{
    char           *text;
    unsigned char   digest[EVP_MAX_MD_SIZE];

    text = perm_alloc(key.len + 1 + field.len);
    memcpy(text, key.data, key.len);
    text[key.len] = '\0';
    memcpy(text + key.len + 1, field.data, field.len);

    if (EVP_Digest(text, key.len + 1 + field.len, digest, NULL, EVP_sha256(),
                   NULL) != 1)
    {
        perm_output_fatal(PERM_EXIT_NO, "OpenSSL cannot compute SHA-256");
    }

    memcpy(print, digest, PERM_SEEN_SIZE);
    free(text);
}


static int
put(perm_seen_t *seen, const unsigned char print[PERM_SEEN_SIZE])
{
    size_t    i;
    uint64_t  at;

    static const unsigned char  none[PERM_SEEN_SIZE];

    if (memcmp(print, none, PERM_SEEN_SIZE) == 0) {
        return 0;
    }

    memcpy(&at, print, sizeof(at));

    for (i = at & (seen->size - 1);
         memcmp(seen->prints[i], none, PERM_SEEN_SIZE) != 0;
         i = (i + 1) & (seen->size - 1))
    {
        if (memcmp(seen->prints[i], print, PERM_SEEN_SIZE) == 0) {
            return 0;
        }
    }

    memcpy(seen->prints[i], print, PERM_SEEN_SIZE);
    seen->n++;

    return 1;
}
