
#include "sync/grants_reply.h"

#include "core/grant_key.h"


static int64_t perm_grants_reply_expires(redisReply *reply);


ngx_int_t
perm_grants_reply_parse(redisReply *reply, perm_grants_t *grants)
{
    ngx_uint_t    i;
    redisReply   *value;

    if (reply == NULL) {
        return NGX_ERROR;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        return NGX_DECLINED;
    }

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        return NGX_ERROR;
    }

    for (i = 0; i < 2; i++) {
        value = reply->element[i];

        if (value->type != REDIS_REPLY_NIL && value->type != REDIS_REPLY_STRING)
        {
            return NGX_ERROR;
        }
    }

    grants->gateway = perm_grants_reply_expires(reply->element[0]);
    grants->resource = perm_grants_reply_expires(reply->element[1]);

    return NGX_OK;
}


ngx_int_t
perm_grants_reply_loaded(redisReply *reply, ngx_uint_t *loaded)
{
    if (reply == NULL) {
        return NGX_ERROR;
    }

    switch (reply->type) {

    case REDIS_REPLY_ERROR:
        return NGX_DECLINED;

    case REDIS_REPLY_NIL:
        *loaded = 0;
        return NGX_OK;

    case REDIS_REPLY_STRING:
        *loaded = (reply->len == sizeof(PERM_SCHEMA) - 1
                   && ngx_memcmp(reply->str, PERM_SCHEMA, reply->len) == 0);
        return NGX_OK;

    default:
        return NGX_ERROR;
    }
}


void
perm_grants_reply_failed(perm_grants_reply_t *grants_reply, redisReply *reply,
    ngx_int_t rc)
{
    char  *error;

    if (reply == NULL) {
        error = "no answer in time";

    } else if (rc == NGX_ERROR) {
        error = "an answer of a wrong type";

    } else {
        error = reply->str;
    }

    grants_reply->result = PERM_FETCH_IMPOSSIBLE;

    (void) ngx_cpystrn((u_char *) grants_reply->error, (u_char *) error,
                       PERM_GRANTS_REPLY_ERROR);
}


static int64_t
perm_grants_reply_expires(redisReply *reply)
{
    perm_str_t  value;

    if (reply->type == REDIS_REPLY_NIL) {
        return PERM_GRANT_ABSENT;
    }

    value.data = reply->str;
    value.len = reply->len;

    return perm_grant_expires(value);
}
