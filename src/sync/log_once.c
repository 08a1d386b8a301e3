
#include "sync/log_once.h"

#include "core/grant_key.h"
#include "resp/advice.h"
#include "resp/printable.h"


#define PERM_LOG_ONCE_SHOWN  128   /* bytes of an error that the log shows */
#define PERM_LOG_ONCE_SAME   16    /* bytes that make an error another one: the
                                      code, and not a key named behind it */
#define PERM_LOG_ONCE_LINES  60    /* in a minute */


void
perm_log_once_grant(perm_sync_conf_t *conf, perm_tuple_t *tuple,
    perm_str_t field, ngx_log_t *log)
{
    perm_zone_t   *zone;
    perm_tuple_t   place;

    zone = conf->zone.zone;
    place = *tuple;
    place.resource = field;

    if (!perm_health_first(&zone->health, perm_tuple_hash(&place, zone->seed)))
    {
        return;
    }

    if (field.len) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "app_permission: unreadable grant, counted as absent: "
                      "field \"%*s\" of \"%Vgrants:{%*s:%*s}\"; write it anew "
                      "with \"app-permission grant\"",
                      field.len, field.data, &conf->redis.prefix,
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
perm_log_once_reply(perm_log_once_t *last, redisReply *reply, ngx_int_t rc,
    char *command, ngx_log_t *log)
{
    char         shown[PERM_PRINTABLE_SIZE(PERM_LOG_ONCE_SHOWN)];
    uint32_t     hash;
    perm_str_t   error;
    const char  *advice;

    if (rc == NGX_OK) {
        last->error = 0;
        return;
    }

    if (rc == NGX_ERROR) {
        error.data = "a reply of another type than it has";
        error.len = ngx_strlen(error.data);
        advice = "";

    } else {
        error.data = reply->str;
        error.len = ngx_min((size_t) reply->len, PERM_LOG_ONCE_SHOWN);
        advice = perm_advice_find(reply->str)->gateway;
    }

    hash = ngx_crc32_short((u_char *) error.data,
                           ngx_min(error.len, PERM_LOG_ONCE_SAME))
           | 1;

    if (hash == last->error) {
        return;
    }

    last->error = hash;

    if (ngx_time() - last->minute >= 60) {
        last->minute = ngx_time();
        last->lines = 0;
    }

    if (last->lines++ >= PERM_LOG_ONCE_LINES) {
        return;
    }

    (void) perm_printable(shown, sizeof(shown), error, 1);

    ngx_log_error(NGX_LOG_ERR, log, 0,
                  "app_permission: Redis answered %s with \"%s\"%s%s", command,
                  shown, *advice ? ": " : "", advice);
}
