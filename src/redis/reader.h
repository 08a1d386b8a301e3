
/*
 * hiredis as the RESP codec, with bounds on what one reply may cost: the
 * reader of hiredis 0.14 has none.
 */


#ifndef _PERM_REDIS_READER_H_INCLUDED_
#define _PERM_REDIS_READER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <hiredis/hiredis.h>


typedef struct {
    redisReader                *reader;
    redisReplyObjectFunctions   functions;  /* hiredis's own, but for arrays */
    redisReplyObjectFunctions  *defaults;
    size_t                      max;        /* bytes of one reply */
    size_t                      bytes;      /* of the reply being read */
    size_t                      elements;   /* likewise, of its arrays */
    const char                 *error;      /* after NGX_ERROR */
} perm_redis_reader_t;


/* NGX_OK, or NGX_ERROR when memory is out; the struct must not move */
ngx_int_t perm_redis_reader_init(perm_redis_reader_t *reader, size_t max);
void perm_redis_reader_done(perm_redis_reader_t *reader);

/*
 * After a feed, get until it says NGX_AGAIN.  NGX_OK: *reply is to be freed
 * with freeReplyObject().  NGX_ERROR, with reader->error set: these bytes are
 * no RESP, or more than one reply may have; nothing can be read any more.
 */
ngx_int_t perm_redis_reader_feed(perm_redis_reader_t *reader, u_char *buf,
    size_t len);
ngx_int_t perm_redis_reader_get(perm_redis_reader_t *reader,
    redisReply **reply);


#endif /* _PERM_REDIS_READER_H_INCLUDED_ */
