
#include "cli/table/grant_set.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <openssl/evp.h>

#include "cli/util/alloc.h"


#define PRINT_SIZE  10   /* bytes of SHA-256 that stand for a grant */
#define KEY_SIZE    16


/*
 * A false match of two million grants has a chance of about 2^-40.  The digest
 * begins with random bytes, so that nobody can choose names that match.
 */

typedef struct {
    unsigned char        print[PRINT_SIZE];
    uint32_t             number;   /* of the last one in the file */
    int64_t              expires;  /* likewise */
} perm_grant_set_item_t;


struct perm_grant_set_s {
    size_t                   n;
    size_t                   room;
    perm_grant_set_item_t   *items;
    EVP_MD_CTX              *digest;   /* begun with SHA-256 once */
    unsigned char            key[KEY_SIZE];
};


static void fingerprint(perm_grant_set_t *set, const perm_tuple_t *grant,
    perm_grant_set_item_t *item);
static int by_print(const void *a, const void *b);
static int by_number(const void *a, const void *b);


perm_grant_set_t *
perm_grant_set_new(void)
{
    perm_grant_set_t  *set;

    set = perm_alloc_check(calloc(1, sizeof(perm_grant_set_t)));
    set->digest = perm_alloc_check(EVP_MD_CTX_new());

    if (EVP_DigestInit_ex(set->digest, EVP_sha256(), NULL) != 1) {
        perm_output_fatal(PERM_EXIT_NO, "OpenSSL has no SHA-256");
    }

    if (getrandom(set->key, KEY_SIZE, 0) != KEY_SIZE) {
        perm_output_fatal(PERM_EXIT_NO, "getrandom: %m");
    }

    return set;
}


void
perm_grant_set_free(perm_grant_set_t *set)
{
    EVP_MD_CTX_free(set->digest);
    free(set->items);
    free(set);
}


void
perm_grant_set_add(perm_grant_set_t *set, const perm_tuple_t *grant,
    int64_t expires, perm_count_t number)
{
    perm_grant_set_item_t  *item;

    set->items = perm_alloc_room(set->items, &set->room, set->n + 1,
                                 sizeof(perm_grant_set_item_t));

    item = &set->items[set->n++];
    fingerprint(set, grant, item);

    item->expires = expires;
    item->number = (number < UINT32_MAX) ? (uint32_t) number : UINT32_MAX;
}


/* of the names with a NUL between them, as no name holds one */

static void
fingerprint(perm_grant_set_t *set, const perm_tuple_t *grant,
    perm_grant_set_item_t *item)
{
    char           text[KEY_SIZE + PERM_TUPLE_MAX + 3], *p;
    unsigned char  digest[EVP_MAX_MD_SIZE];

    p = text;
    memcpy(p, set->key, KEY_SIZE);
    p += KEY_SIZE;
    memcpy(p, grant->gateway.data, grant->gateway.len);
    p += grant->gateway.len;
    *p++ = '\0';
    memcpy(p, grant->app.data, grant->app.len);
    p += grant->app.len;
    *p++ = '\0';
    memcpy(p, grant->resource.data, grant->resource.len);
    p += grant->resource.len;

    if (EVP_DigestInit_ex(set->digest, NULL, NULL) != 1
        || EVP_DigestUpdate(set->digest, text, (size_t) (p - text)) != 1
        || EVP_DigestFinal_ex(set->digest, digest, NULL) != 1)
    {
        perm_output_fatal(PERM_EXIT_NO, "OpenSSL cannot compute SHA-256");
    }

    memcpy(item->print, digest, PRINT_SIZE);
}


void
perm_grant_set_sort(perm_grant_set_t *set, perm_grant_set_repeats_t *repeats)
{
    size_t                        i;
    perm_grant_set_item_t        *last;
    const perm_grant_set_item_t  *item;

    memset(repeats, 0, sizeof(perm_grant_set_repeats_t));

    if (set->n == 0) {
        return;
    }

    qsort(set->items, set->n, sizeof(perm_grant_set_item_t), by_number);

    last = set->items;

    for (i = 1; i < set->n; i++) {
        item = &set->items[i];

        if (by_print(last, item) != 0) {
            *++last = *item;
            continue;
        }

        repeats->lines++;

        if (last->expires != item->expires
            && (repeats->other_ends++ == 0 || item->number < repeats->second))
        {
            repeats->first = last->number;
            repeats->second = item->number;
        }

        *last = *item;
    }

    set->n = (size_t) (last - set->items) + 1;
}


int
perm_grant_set_has(perm_grant_set_t *set, const perm_tuple_t *grant)
{
    perm_grant_set_item_t  item;

    if (set->n == 0) {
        return 0;
    }

    fingerprint(set, grant, &item);

    return bsearch(&item, set->items, set->n, sizeof(perm_grant_set_item_t),
                   by_print) != NULL;
}


int
perm_grant_set_later(perm_grant_set_t *set, const perm_tuple_t *grant,
    perm_count_t number, int64_t *expires)
{
    perm_grant_set_item_t         item;
    const perm_grant_set_item_t  *last;

    if (set->n == 0) {
        return 0;
    }

    fingerprint(set, grant, &item);

    last = bsearch(&item, set->items, set->n, sizeof(perm_grant_set_item_t),
                   by_print);

    if (last == NULL || number >= last->number) {
        return 0;
    }

    *expires = last->expires;

    return 1;
}


static int
by_print(const void *a, const void *b)
{
    return memcmp(((const perm_grant_set_item_t *) a)->print,
                  ((const perm_grant_set_item_t *) b)->print, PRINT_SIZE);
}


static int
by_number(const void *a, const void *b)
{
    int                           order;
    const perm_grant_set_item_t  *one = a, *two = b;

    order = by_print(a, b);

    return order ? order : (one->number > two->number)
                           - (one->number < two->number);
}
