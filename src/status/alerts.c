
#include "status/snapshot.h"


/*
 * What a person on call has to know first, in words: what is wrong, what that
 * does to calls, what to do.
 */


#define PERM_PENDING_LONG    60    /* seconds above the flush interval */
#define PERM_RECENT          600   /* seconds */
#define PERM_JUMP_FACTOR     3     /* times the refusals of before */
#define PERM_JUMP_RATE       1.0   /* refusals a second: less is no jump */
#define PERM_MANY_SHARE      0.25  /* refusals among all checks */
#define PERM_DURATION_MAX    32    /* bytes */


static void ngx_cdecl perm_alerts_add(perm_snapshot_t *s,
    perm_severity_t severity, const char *name, const char *advice,
    const char *fmt, ...);
static const char *perm_duration(u_char *buf, time_t seconds);
static void perm_alerts_redis(perm_snapshot_t *s);
static void perm_alerts_access(perm_snapshot_t *s, ngx_msec_t flush);
static void perm_alerts_requests(perm_snapshot_t *s);
static void perm_alerts_notes(perm_snapshot_t *s);
static ngx_int_t perm_alerts_order(const void *one, const void *two);


void
perm_alerts_find(perm_snapshot_t *s, ngx_msec_t flush)
{
    s->nalerts = 0;

    if (s->redis) {
        perm_alerts_redis(s);
        perm_alerts_access(s, flush);
    }

    perm_alerts_requests(s);
    perm_alerts_notes(s);

    ngx_sort(s->alerts, s->nalerts, sizeof(perm_alert_t),
             perm_alerts_order);
}


static void ngx_cdecl
perm_alerts_add(perm_snapshot_t *s, perm_severity_t severity, const char *name,
    const char *advice, const char *fmt, ...)
{
    u_char        *p, *last;
    va_list        args;
    perm_alert_t  *alert;

    if (s->nalerts == PERM_ALERTS_MAX) {
        return;
    }

    alert = &s->alerts[s->nalerts++];

    alert->severity = severity;
    alert->name = name;
    alert->advice = advice;

    p = (u_char *) alert->text;
    last = p + PERM_ALERT_TEXT_MAX - 1;

    va_start(args, fmt);
    *ngx_vslprintf(p, last, fmt, args) = '\0';
    va_end(args);
}


static const char *
perm_duration(u_char *buf, time_t seconds)
{
    u_char  *last;

    last = buf + PERM_DURATION_MAX - 1;
    seconds = ngx_max(seconds, 0);

    if (seconds < 120) {
        last = ngx_slprintf(buf, last, "%T s", seconds);

    } else if (seconds < 7200) {
        last = ngx_slprintf(buf, last, "%T min", seconds / 60);

    } else if (seconds < 172800) {
        last = ngx_slprintf(buf, last, "%T h %T min", seconds / 3600,
                            seconds % 3600 / 60);

    } else {
        last = ngx_slprintf(buf, last, "%T days", seconds / 86400);
    }

    *last = '\0';

    return (const char *) buf;
}


static void
perm_alerts_redis(perm_snapshot_t *s)
{
    u_char          buf[PERM_DURATION_MAX];
    perm_health_t  *health;

    health = &s->health;

    if (!health->redis_up && health->redis_since == 0) {
        perm_alerts_add(s, PERM_ALERT_WARNING, "redis_unknown",
                        "This instance has just started. If this stays, the "
                        "error log names the address and the cause.",
                        "Redis has not been reached yet");
        return;
    }

    if (!health->redis_up) {
        perm_alerts_add(s, PERM_ALERT_ERROR, "redis_down",
                        "Known grants go on deciding, each until its own end, "
                        "for app_permission_cache_stale; calls that are not in "
                        "the cache get what app_permission_on_error says. Start "
                        "Redis or repair the way to it: the error log names the "
                        "address and the cause. Last accesses are kept until it "
                        "is back.",
                        "Redis has been down for %s",
                        perm_duration(buf, s->now - (time_t) health->redis_since));
        return;
    }

    if (s->table == PERM_TABLE_NOT_LOADED) {
        perm_alerts_add(s, PERM_ALERT_ERROR, "table_not_loaded",
                        "Redis answers but its meta key is missing, so that this "
                        "counts as an outage and not as \"nobody has a grant\". "
                        "Load the grants with app-permission import; if they "
                        "are loaded, check the database number in "
                        "app_permission_redis and app_permission_redis_prefix.",
                        "The grant table has been missing for %s",
                        perm_duration(buf, s->now - s->table_since));
    }

    if (!health->tracking) {
        perm_alerts_add(s, PERM_ALERT_WARNING, "invalidation_inactive",
                        "A revoked grant goes on and a new one waits for up to "
                        "app_permission_cache_valid. app-permission doctor tells "
                        "which right or setting of Redis is missing.",
                        "Changes of grants are not pushed here%s%s",
                        health->tracking_since ? ", for " : "",
                        health->tracking_since
                         ? perm_duration(buf, s->now
                                         - (time_t) health->tracking_since)
                         : "");
    }
}


static void
perm_alerts_access(perm_snapshot_t *s, ngx_msec_t flush)
{
    time_t  full;
    u_char  buf[PERM_DURATION_MAX];

    full = (time_t) s->health.full;

    if (full && s->now - full < PERM_RECENT) {
        perm_alerts_add(s, PERM_ALERT_ERROR, "access_dropped",
                        "The zone has no room for more last accesses while "
                        "Redis does not take them, so that a grant in use may "
                        "be taken for unused. Bring Redis back; then give "
                        "app_permission_zone more room.",
                        "Last accesses were dropped: %ui, the newest %s ago",
                        s->access.dropped, perm_duration(buf, s->now - full));
    }

    if (s->pending > PERM_PENDING_LONG + (time_t) (flush / 1000)) {
        perm_alerts_add(s, PERM_ALERT_WARNING, "access_pending",
                        "Nothing is lost as long as the zone has room, but "
                        "renewal does not know of them yet. If Redis is up, "
                        "look for its error replies to ZADD in the error log.",
                        "Last accesses wait for Redis: %ui, the oldest for %s",
                        s->access.pending, perm_duration(buf, s->pending));
    }
}


static void
perm_alerts_requests(perm_snapshot_t *s)
{
    ngx_uint_t     n;
    perm_rates_t  *rates;

    rates = &s->rates;

    if (rates->known && rates->failed > 0) {
        perm_alerts_add(s, PERM_ALERT_ERROR, "failing",
                        "Their callers get 503 (nothing was known of the grant "
                        "and Redis could not be asked) or 500 (the "
                        "configuration is incomplete). The log line of each "
                        "tells which.",
                        "Checks fail: %.1f a second over the last minute",
                        rates->failed);
    }

    if (rates->known_before && rates->refused >= PERM_JUMP_RATE
        && rates->refused > PERM_JUMP_FACTOR * rates->refused_before)
    {
        perm_alerts_add(s, PERM_ALERT_WARNING, "refusals_jump",
                        "See \"most refused\" below: one app whose grant ended, "
                        "a resource that has just become required, grants that "
                        "were removed, or somebody trying app codes.",
                        "Refusals jumped to %.1f a second, from %.1f",
                        rates->refused, rates->refused_before);

    } else if (rates->known && rates->refused >= PERM_JUMP_RATE
               && rates->refused > PERM_MANY_SHARE * rates->checks)
    {
        perm_alerts_add(s, PERM_ALERT_WARNING, "refusals_many",
                        "See \"most refused\" below for who they are, and "
                        "whether it is one app, one resource, or strangers "
                        "trying app codes.",
                        "Of all checks of the last minute %.0f %% were refused",
                        100 * rates->refused / rates->checks);
    }

    n = s->stats.requests[0][PERM_FAIL][PERM_BAD_CONFIG]
        + s->stats.requests[1][PERM_FAIL][PERM_BAD_CONFIG];

    if (n) {
        perm_alerts_add(s, PERM_ALERT_WARNING, "bad_config",
                        "In some location the policy, the gateway or the "
                        "resource came out empty or is no valid name. The error "
                        "log has a line for each, with the location's values.",
                        "Calls met an incomplete configuration: %ui", n);
    }

    n = s->stats.unreadable_grants;

    if (n) {
        perm_alerts_add(s, PERM_ALERT_WARNING, "unreadable_grants",
                        "A grant whose value is not a number or JSON with "
                        "\"expires\" counts as absent and allows nobody. The "
                        "error log names the key; write it again with "
                        "app-permission grant.",
                        "Grants were met that cannot be read: %ui", n);
    }
}


static void
perm_alerts_notes(perm_snapshot_t *s)
{
    if (s->cache.displaced && s->now - s->cache.displacing < PERM_RECENT) {
        perm_alerts_add(s, PERM_ALERT_NOTE, "cache_full",
                        "Calls that have not come for longest make room for new "
                        "ones. If hits are rare, give app_permission_zone more "
                        "room.",
                        "The cache is full: known grants that made room: %ui",
                        s->cache.displaced);
    }

    if (s->expiring[0]) {
        perm_alerts_add(s, PERM_ALERT_NOTE, "expiring",
                        "Their apps will be refused unless the grants are "
                        "renewed: see \"ending soon\" below, and whether the "
                        "daily app-permission renew has run.",
                        "Grants in use that end within a day: %ui",
                        s->expiring[0]);
    }
}


/* ngx_sort() is stable */

static ngx_int_t
perm_alerts_order(const void *one, const void *two)
{
    const perm_alert_t  *first = one;
    const perm_alert_t  *second = two;

    return (ngx_int_t) second->severity - (ngx_int_t) first->severity;
}
