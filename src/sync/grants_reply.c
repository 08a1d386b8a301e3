
#include "sync/grants_reply.h"

#include "core/grant_key.h"
#include "resp/advice.h"
#include "resp/printable.h"


#define PERM_GRANTS_REPLY_SHOWN  128   /* bytes of an error that the log shows */
#define PERM_GRANTS_REPLY_LINES  60    /* in a minute */


static int64_t perm_grants_reply_expires(redisReply *reply);


ngx_int_t
perm_grants_reply_parse(redisReply *reply, perm_grants_t *grants)
{
    ngx_uint_t    i;
    redisReply   *value;

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


ngx_int_t
perm_grants_reply_loaded(redisReply *reply, ngx_uint_t *loaded)
{
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
perm_grants_reply_log(perm_grants_reply_log_t *answers, redisReply *reply,
    ngx_int_t rc, char *command, ngx_log_t *log)
{
    char         shown[PERM_PRINTABLE_SIZE(PERM_GRANTS_REPLY_SHOWN)];
    size_t       len;
    uint32_t     hash;
    perm_str_t   error;
    const char  *advice;

    if (rc == NGX_OK) {
        answers->error = 0;
        return;
    }

    if (rc == NGX_ERROR) {
        error.data = "a reply of another type than it has";
        error.len = ngx_strlen(error.data);
        advice = "";

    } else {
        error.data = reply->str;
        error.len = ngx_min((size_t) reply->len, PERM_GRANTS_REPLY_SHOWN);
        advice = perm_advice_find(reply->str)->gateway;
    }

    /* the code and a bit more: the rest may name the key */

    len = ngx_min(error.len, 16);
    hash = ngx_crc32_short((u_char *) error.data, len) | 1;

    if (hash == answers->error) {
        return;
    }

    answers->error = hash;

    if (ngx_time() - answers->minute >= 60) {
        answers->minute = ngx_time();
        answers->lines = 0;
    }

    if (answers->lines++ >= PERM_GRANTS_REPLY_LINES) {
        return;
    }

    (void) perm_printable(shown, sizeof(shown), error, 1);

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "app_permission: Redis answered %s with \"%s\"%s%s", command,
                  shown, *advice ? ": " : "", advice);
}
