
#include "sync/grants_reply.h"

#include "core/grant_key.h"
#include "resp/advice.h"
#include "resp/printable.h"
#include "resp/reader.h"
#include "resp/reply.h"


#define PERM_GRANTS_REPLY_NO_MEMORY  2   /* in place of an odd hash */
#define PERM_GRANTS_REPLY_SHOWN  128   /* bytes of an error in the log */
#define PERM_GRANTS_REPLY_SAME   16    /* bytes that make an error another one:
                                          its code, and no key behind that */
#define PERM_GRANTS_REPLY_LINES  60    /* in a minute */


static ngx_uint_t perm_grants_reply_anew(perm_grants_reply_logged_t *last,
    uint32_t hash);
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

    return (grants->gateway == PERM_GRANT_NO_MEMORY
            || grants->resource == PERM_GRANT_NO_MEMORY)
           ? NGX_BUSY : NGX_OK;
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


ngx_uint_t
perm_grants_reply_too_long(redisReply *reply, ngx_uint_t i)
{
    return perm_reader_too_long(perm_reply_text(reply->element[i]));
}


ngx_int_t
perm_grants_reply_left(redisReply *reply, ngx_msec_t age, int64_t *left)
{
    int64_t  msec;

    if (reply == NULL) {
        return NGX_ERROR;
    }

    if (reply->type == REDIS_REPLY_ERROR) {
        return NGX_DECLINED;
    }

    if (reply->type != REDIS_REPLY_INTEGER) {
        return NGX_ERROR;
    }

    msec = reply->integer;

    if (msec == -1 || msec >= PERM_GRANTS_ENDLESS) {
        *left = PERM_GRANTS_ENDLESS;
        return NGX_OK;
    }

    /* it was counted after it was sent: the sooner end is the safe side */

    msec -= (int64_t) age;
    *left = ngx_max(msec, 0);

    return NGX_OK;
}


ngx_uint_t
perm_grants_reply_no_pttl(redisReply *reply)
{
    return perm_reply_error(reply, "NOPERM")
           || perm_reply_error(reply, "ERR unknown command");
}


void
perm_grants_reply_failed(perm_grants_reply_t *grants_reply, redisReply *reply,
    ngx_int_t rc)
{
    char  *error;

    grants_reply->result = PERM_FETCH_IMPOSSIBLE;

    if (rc == NGX_BUSY) {
        grants_reply->result = PERM_FETCH_LIMITED;
        error = reply ? "memory is out" : "over the limit of lookups";

    } else if (reply == NULL) {
        error = "no answer in time";

    } else if (rc == NGX_ERROR) {
        error = "an answer of a wrong type";

    } else {
        grants_reply->result = PERM_FETCH_REFUSED;
        error = reply->str;
    }

    (void) ngx_cpystrn((u_char *) grants_reply->error, (u_char *) error,
                       PERM_GRANTS_REPLY_ERROR);
}


void
perm_grants_reply_log_grant(perm_sync_conf_t *conf, perm_tuple_t *tuple,
    perm_str_t field, ngx_uint_t too_long, ngx_log_t *log)
{
    perm_zone_t   *zone;
    perm_tuple_t   place;

    zone = conf->zone.zone;
    place = *tuple;
    place.resource = field;

    if (!perm_health_first(&zone->health,
                           perm_tuple_hash(&place, zone->seed)
                           ^ conf->source))
    {
        return;
    }

    if (field.len) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "app_permission: unreadable grant, %scounted as "
                      "absent: field \"%*s\" of \"%Vgrants:{%*s:%*s}\"; write "
                      "it anew with \"app-permission grant\"",
                      too_long ? "value over 64 KiB, " : "", field.len,
                      field.data, &conf->redis.prefix,
                      tuple->gateway.len, tuple->gateway.data, tuple->app.len,
                      tuple->app.data);

    } else {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "app_permission: \"%Vgrants:{%*s:%*s}\" is not a hash of "
                      "grants (WRONGTYPE), calls of this app are unavailable; "
                      "remove it, and check \"app_permission_redis_prefix\" "
                      "and who writes there",
                      &conf->redis.prefix, tuple->gateway.len,
                      tuple->gateway.data, tuple->app.len, tuple->app.data);
    }
}


void
perm_grants_reply_log(perm_grants_reply_logged_t *last, redisReply *reply,
    ngx_int_t rc, const char *command, const char *effect, ngx_log_t *log)
{
    char         shown[PERM_PRINTABLE_SIZE(PERM_GRANTS_REPLY_SHOWN)];
    uint32_t     hash;
    perm_str_t   error;
    const char  *advice;

    if (rc == NGX_OK) {
        last->nerrors = 0;
        return;
    }

    if (rc == NGX_BUSY) {
        if (!perm_grants_reply_anew(last, PERM_GRANTS_REPLY_NO_MEMORY)) {
            return;
        }

        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "app_permission: memory is out, grants were not read: "
                      "their calls are unavailable");
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

    hash = ngx_crc32_short((u_char *) error.data,
                           ngx_min(error.len, PERM_GRANTS_REPLY_SAME))
           | 1;

    if (!perm_grants_reply_anew(last, hash)) {
        return;
    }

    if (ngx_time() - last->minute >= 60) {
        last->minute = ngx_time();
        last->lines = 0;
    }

    if (last->lines++ >= PERM_GRANTS_REPLY_LINES) {
        return;
    }

    (void) perm_printable(shown, sizeof(shown), error, 1);

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "app_permission: Redis answered %s with \"%s\"%s%s; %s",
                  command, shown, *advice ? ": " : "", advice, effect);
}


/* errors of several causes may come in turn */

static ngx_uint_t
perm_grants_reply_anew(perm_grants_reply_logged_t *last, uint32_t hash)
{
    ngx_uint_t  i;

    for (i = 0; i < last->nerrors; i++) {
        if (last->errors[i] == hash) {
            return 0;
        }
    }

    if (last->nerrors == PERM_GRANTS_REPLY_LOGGED) {
        return 0;
    }

    last->errors[last->nerrors++] = hash;

    return 1;
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
