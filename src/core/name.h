
/*
 * What a valid gateway, resource or app name is.
 */


#ifndef _PERM_CORE_NAME_H_INCLUDED_
#define _PERM_CORE_NAME_H_INCLUDED_


#include <string.h>


#define PERM_GATEWAY_MAX   64   /* bytes */
#define PERM_RESOURCE_MAX  256  /* bytes */
#define PERM_APP_MAX       128  /* bytes */


/* bytes of another owner; they need not end with a NUL */

typedef struct {
    size_t       len;
    const char  *data;
} perm_str_t;


#define perm_string(s)  { sizeof(s) - 1, s }


static inline perm_str_t
perm_str(const char *text)
{
    perm_str_t  s;

    s.len = strlen(text);
    s.data = text;

    return s;
}


static inline int
perm_str_equal(perm_str_t a, perm_str_t b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}


/* the names that each access has, and that a decision is about */

typedef struct {
    perm_str_t   gateway;
    perm_str_t   resource;
    perm_str_t   app;
} perm_tuple_t;


#define PERM_TUPLE_MAX  (PERM_GATEWAY_MAX + PERM_RESOURCE_MAX + PERM_APP_MAX)


/* what a name has to be, for messages */

#define PERM_NAME_BYTES     "A-Z a-z 0-9 . _ ~ @ / + -"
#define PERM_NAME_GATEWAY   "not 1 to 64 bytes of " PERM_NAME_BYTES
#define PERM_NAME_RESOURCE  "not 1 to 256 bytes of " PERM_NAME_BYTES          \
                            ", nor may it be \"-\" alone"
#define PERM_NAME_APP       "not 1 to 128 bytes of " PERM_NAME_BYTES


/*
 * Each returns 1 for a valid name and 0 for any other: 1 to PERM_*_MAX bytes
 * of A-Z a-z 0-9 . _ ~ @ / + -.  These bytes need no escaping in a Redis key,
 * a JSON string, a log line or a header.  A resource is never the single byte
 * "-", which stands for the whole gateway.
 */
int perm_name_gateway_valid(perm_str_t name);
int perm_name_resource_valid(perm_str_t name);
int perm_name_app_valid(perm_str_t name);


#endif /* _PERM_CORE_NAME_H_INCLUDED_ */
