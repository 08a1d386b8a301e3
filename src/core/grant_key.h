
/*
 * Redis keys: build and parse.
 */


#ifndef _PERM_CORE_GRANT_KEY_H_INCLUDED_
#define _PERM_CORE_GRANT_KEY_H_INCLUDED_


#include "core/name.h"


#define PERM_PREFIX_DEFAULT   "app_permission:"
#define PERM_PREFIX_MAX       128

/* the longest key, with its terminating NUL */

#define PERM_KEY_MAX                                                          \
    (PERM_PREFIX_MAX + sizeof("requests:{:}") + PERM_GATEWAY_MAX + PERM_APP_MAX)

/* the field of a grant on the whole gateway, and the schema this code knows */

#define PERM_GATEWAY_FIELD    "-"
#define PERM_SCHEMA_FIELD     "schema"
#define PERM_SCHEMA           "1"

#define PERM_CLUSTER_SLOTS    16384


typedef enum {
    PERM_KEY_GRANTS = 0,   /* hash: field -> grant value */
    PERM_KEY_ACCESS,       /* sorted set: resource -> last access */
    PERM_KEY_REQUESTS,     /* hash: field -> request */
    PERM_KEY_NOTICES,      /* hash: field -> the last notice of its end */
    PERM_KEY_HISTORY       /* stream: who changed what, when and why */
} perm_key_kind_t;


/*
 * A prefix is up to PERM_PREFIX_MAX printable ASCII bytes without braces
 * (they would move the cluster hash tag), blanks and glob characters.
 * Returns 1 when it is valid.
 */
int perm_grant_key_prefix_valid(perm_str_t prefix);


/*
 * Each writes a key and a NUL into "key", of PERM_KEY_MAX bytes, and returns
 * its length.  The prefix and the names must be valid.  Keys of one gateway
 * and app share one cluster slot.
 */
size_t perm_grant_key(char *key, perm_key_kind_t kind, perm_str_t prefix,
    perm_str_t gateway, perm_str_t app);
size_t perm_grant_key_meta(char *key, perm_str_t prefix);


/*
 * Takes a key of that kind apart; gateway and app point into it.  Returns 1,
 * or 0 when it is no such key or a name in it is not valid.
 */
int perm_grant_key_parse(perm_str_t key, perm_key_kind_t kind,
    perm_str_t prefix, perm_str_t *gateway, perm_str_t *app);


/*
 * The cluster slot of a key, 0 to PERM_CLUSTER_SLOTS - 1: CRC16 (XMODEM) of
 * its hash tag, or of all of it.
 * https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
 */
unsigned perm_grant_key_slot(perm_str_t key);


#endif /* _PERM_CORE_GRANT_KEY_H_INCLUDED_ */
