
#include "redis/tracker.h"


#define PERM_INVALIDATION_KEY_MAX  1024   /* bytes; longer ones are not ours */


static void
perm_redis_invalidation_key(redisReply *reply,
    perm_redis_tracker_conf_t *conf)
{
    ngx_str_t    key, *prefix;
    ngx_uint_t   i;

    if (reply->type != REDIS_REPLY_STRING
        || (size_t) reply->len > PERM_INVALIDATION_KEY_MAX)
    {
        return;
    }

    key.len = reply->len;
    key.data = (u_char *) reply->str;

    for (i = 0; i < conf->nprefixes; i++) {
        prefix = &conf->prefixes[i];

        if (key.len >= prefix->len
            && ngx_memcmp(key.data, prefix->data, prefix->len) == 0)
        {
            conf->handlers->changed(conf->data, &key);
            return;
        }
    }
}


/* "message", the channel, and an array of keys, or nil after a FLUSHALL */

void
perm_redis_invalidation(redisReply *reply, perm_redis_tracker_conf_t *conf)
{
    size_t       i;
    redisReply  *keys;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) {
        return;
    }

    keys = reply->element[2];

    if (keys->type == REDIS_REPLY_NIL) {
        conf->handlers->changed(conf->data, NULL);
        return;
    }

    if (keys->type != REDIS_REPLY_ARRAY) {

        /* a client that publishes on this channel: Redis never says this */

        return;
    }

    for (i = 0; i < keys->elements; i++) {
        perm_redis_invalidation_key(keys->element[i], conf);
    }
}
