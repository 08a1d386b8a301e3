
/*
 * Bytes of a server in, replies out.  hiredis makes the objects; what it
 * bounds differs from version to version, so that the bounds are here: depth,
 * elements and bytes of a reply, and the length of one bulk string.  Only
 * RESP2, which a server speaks unless it is asked for RESP3:
 * https://redis.io/docs/latest/develop/reference/protocol-spec/
 */


#ifndef _PERM_RESP_READER_H_INCLUDED_
#define _PERM_RESP_READER_H_INCLUDED_


#include <hiredis/hiredis.h>

#include "core/name.h"


#define PERM_READER_DEPTH_MAX  7   /* arrays in arrays */


typedef struct perm_reader_s  perm_reader_t;


/* reply_max: bytes of one reply, long bulk strings not counted.  NULL: memory
 * is out. */

perm_reader_t *perm_reader_create(size_t reply_max);
void perm_reader_free(perm_reader_t *reader);


/* bytes as they came, any number of replies or a part of one */

void perm_reader_feed(perm_reader_t *reader, const char *buf, size_t len);

/*
 * The next reply, to be freed with freeReplyObject(), or NULL: it is not whole
 * yet.  Returns -1 when no reply will come any more: perm_reader_error() is
 * the reason, a sentence.
 */
int perm_reader_next(perm_reader_t *reader, redisReply **reply);
const char *perm_reader_error(const perm_reader_t *reader);


/*
 * A bulk string of more than PERM_GRANT_VALUE_MAX bytes is passed over without
 * being kept, and the reply has another text in its place, which is no grant
 * and no name.  Returns 1 for that text.
 */
int perm_reader_too_long(perm_str_t text);

/* that text, with its NUL bytes */

extern const perm_str_t  perm_reader_long;


#endif /* _PERM_RESP_READER_H_INCLUDED_ */
