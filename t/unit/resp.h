
/*
 * Replies out of the bytes that a server sent.
 */


#ifndef _RESP_H_INCLUDED_
#define _RESP_H_INCLUDED_


#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "tap.h"


/* to be freed with freeReplyObject() */

static redisReply *
replied(const char *bytes)
{
    void         *reply;
    redisReader  *reader;

    reader = redisReaderCreate();
    redisReaderFeed(reader, bytes, strlen(bytes));

    if (redisReaderGetReply(reader, &reply) != REDIS_OK || reply == NULL) {
        printf("Bail out!  no whole reply: %s\n", bytes);
        exit(1);
    }

    redisReaderFree(reader);

    return reply;
}


static int
is(perm_str_t text, const char *expected)
{
    return text.len == strlen(expected)
           && memcmp(text.data, expected, text.len) == 0;
}


#endif /* _RESP_H_INCLUDED_ */
