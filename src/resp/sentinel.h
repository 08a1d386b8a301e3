
/*
 * SENTINEL get-master-addr-by-name: where the master is.
 * https://redis.io/docs/latest/develop/reference/sentinel-clients/
 */


#ifndef _PERM_RESP_SENTINEL_H_INCLUDED_
#define _PERM_RESP_SENTINEL_H_INCLUDED_


#include "resp/reply.h"


/*
 * Returns NULL with *master filled, whose host is in the reply, or the reason
 * why the reply is of no use: a clause that follows the Sentinel's address.
 * "unknown" is the one for a Sentinel that knows no master of the name.
 */
const char *perm_sentinel_parse(const redisReply *reply, const char *unknown,
    perm_reply_address_t *master);


#endif /* _PERM_RESP_SENTINEL_H_INCLUDED_ */
