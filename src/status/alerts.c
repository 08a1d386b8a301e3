
#include "status/alerts.h"


#define PERM_PENDING_LONG    60    /* seconds above the flush interval */
#define PERM_UNWRITTEN_LONG  5     /* seconds */
#define PERM_RECENT          600   /* seconds */
#define PERM_FAILING_OVER    10    /* seconds without a failure */
#define PERM_REFUSING_OVER   10    /* seconds without a refused lookup */
#define PERM_JUMP_FACTOR     3     /* times the refusals of before */
#define PERM_JUMP_RATE       1.0   /* refusals a second: fewer are no alert */
#define PERM_MANY_SHARE      0.25  /* refusals among all checks */
#define PERM_DURATION_MAX    32    /* bytes */

#define PERM_ALERTS_EXPIRED                                                   \
    "Their grants have ended. See the list \"refused\" (on the page: \"Most "  \
    "refused\"), extend those that are still needed, and check that the "      \
    "daily app-permission renew has run."

#define PERM_ALERTS_NO_LINK                                                   \
    "Cached grants still decide, each until its own end, for at most "         \
    "app_permission_cache_stale. app_permission_on_error decides all other "   \
    "calls. Last accesses are kept until Redis is back."


static void ngx_cdecl perm_alerts_add(perm_snapshot_t *s,
    perm_severity_t severity, const char *name, const char *advice,
    const char *fmt, ...);
static char *perm_alerts_duration(u_char *buf, time_t seconds);
static void perm_alerts_redis(perm_snapshot_t *s);
static void perm_alerts_refused(perm_snapshot_t *s);
static void perm_alerts_changes(perm_snapshot_t *s);
static const char *perm_alerts_link(perm_snapshot_t *s, const char *unknown);
static const char *perm_alerts_cause(perm_snapshot_t *s, const char *unknown,
    const char *effect);
static void perm_alerts_access(perm_snapshot_t *s, ngx_msec_t flush);
static void perm_alerts_requests(perm_snapshot_t *s);
static void perm_alerts_denials(perm_snapshot_t *s);
static void perm_alerts_counters(perm_snapshot_t *s);
static ngx_int_t perm_alerts_order(const void *one, const void *two);


const char *const  perm_alerts_severities[] = { "note", "warning", "error" };


void
perm_alerts_find(perm_snapshot_t *s, ngx_msec_t flush)
{
    s->nalerts = 0;

    if (s->redis) {
        perm_alerts_redis(s);
        perm_alerts_access(s, flush);
    }

    perm_alerts_requests(s);
    perm_alerts_counters(s);

    ngx_sort(s->alerts, s->nalerts, sizeof(perm_alert_t), perm_alerts_order);
}


static void ngx_cdecl
perm_alerts_add(perm_snapshot_t *s, perm_severity_t severity, const char *name,
    const char *advice, const char *fmt, ...)
{
    u_char        *p;
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

    va_start(args, fmt);
    *ngx_vslprintf(p, p + PERM_ALERT_TEXT_MAX - 1, fmt, args) = '\0';
    va_end(args);
}


static char *
perm_alerts_duration(u_char *buf, time_t seconds)
{
    u_char  *last;

    last = buf + PERM_DURATION_MAX;
    seconds = ngx_max(seconds, 0);

    if (seconds < 120) {
        ngx_slprintf(buf, last, "%T s%Z", seconds);

    } else if (seconds < 7200) {
        ngx_slprintf(buf, last, "%T min%Z", seconds / 60);

    } else if (seconds < 172800) {
        ngx_slprintf(buf, last, "%T h %T min%Z", seconds / 3600,
                     seconds % 3600 / 60);

    } else {
        ngx_slprintf(buf, last, "%T days%Z", seconds / 86400);
    }

    return (char *) buf;
}


static void
perm_alerts_redis(perm_snapshot_t *s)
{
    u_char          buf[PERM_DURATION_MAX];
    perm_health_t  *health;

    health = &s->health;

    if (!health->redis_up && health->redis_since == 0) {
        perm_alerts_add(s, PERM_ALERT_WARNING, "redis_unknown",
                        perm_alerts_link(s, "This instance has just started. "
                                         "If this stays, the error log names "
                                         "the address and the cause."),
                        "Redis has not been reached yet");
        return;
    }

    if (!health->redis_up) {
        perm_alerts_add(s, PERM_ALERT_ERROR, "redis_down",
                        perm_alerts_link(s, "Start Redis or repair the way to "
                                         "it: the error log names the address "
                                         "and the cause."),
                        "Redis has been down for %s",
                        perm_alerts_duration(buf, s->now
                                             - (time_t) health->redis_since));
        return;
    }

    if (s->refused_lookups) {
        perm_alerts_refused(s);
    }

    if (s->replica) {
        perm_alerts_add(s, PERM_ALERT_ERROR, "redis_replica",
                        "Its answers decide as stale ones, for at most "
                        "app_permission_cache_stale, and last accesses wait. "
                        "A master is looked for all the time. Name the master "
                        "in app_permission_redis, a host name together with "
                        "resolver, or Sentinels.",
                        "Redis has been a replica, with no master in reach, "
                        "for %s",
                        perm_alerts_duration(buf, s->now
                                             - (time_t) s->replica_since));
    }

    if (s->table == PERM_TABLE_NOT_LOADED) {
        perm_alerts_add(s, PERM_ALERT_ERROR, "table_not_loaded",
                        "Redis answers, but its meta key is missing. This "
                        "counts as an outage, not as \"nobody has a grant\". "
                        "A lost table: app-permission import its export. A "
                        "new one: app-permission init. If it is "
                        "loaded, check app_permission_redis_prefix and "
                        "the database number in app_permission_redis.",
                        "The grant table has been missing for %s",
                        perm_alerts_duration(buf, s->now
                                             - (time_t) s->table_since));
    }

    perm_alerts_changes(s);
}


/* without calls nobody knows whether it is mended */

static void
perm_alerts_refused(perm_snapshot_t *s)
{
    u_char       buf[PERM_DURATION_MAX], ago[PERM_DURATION_MAX];
    const char  *advice;

    advice = perm_alerts_cause(s, "", "Cached grants still decide, each until "
                               "its own end, for at most "
                               "app_permission_cache_stale. "
                               "app_permission_on_error decides all other "
                               "calls. This ends with a lookup that is "
                               "answered.");

    (void) perm_alerts_duration(ago, s->now - s->link_error.last);

    if (s->link_error.last == s->link_error.since
        || s->now - s->link_error.last >= PERM_REFUSING_OVER)
    {
        perm_alerts_add(s, PERM_ALERT_ERROR, "lookups_refused", advice,
                        "Redis is up, but refused a lookup %s ago", ago);
        return;
    }

    perm_alerts_add(s, PERM_ALERT_ERROR, "lookups_refused", advice,
                    "Redis is up, but has refused lookups for %s, the last one "
                    "%s ago",
                    perm_alerts_duration(buf, s->now - s->link_error.since),
                    ago);
}


static void
perm_alerts_changes(perm_snapshot_t *s)
{
    u_char       buf[PERM_DURATION_MAX];
    const char  *advice;

    if (s->stopped) {
        perm_alerts_add(s, PERM_ALERT_WARNING, "invalidation_inactive",
                        "They are blocked or stopped, and calls cost lookups "
                        "until they go on. Look for what blocks a worker: a "
                        "slow disk, Lua code, a signal.",
                        "The workers that read changes of grants do not run");

    } else if (s->unpushed && !s->refused_lookups) {
        advice = "For up to app_permission_cache_valid a revoked grant still "
                 "allows, and a new grant does not allow yet. app-permission "
                 "doctor --for gateway names the right or the setting of Redis "
                 "that is missing.";

        if (!s->push_refused) {
            advice = perm_alerts_cause(s, "If this stays, app-permission "
                                       "doctor --for gateway examines Redis.",
                                       "An answer of Redis counts for 1 s at "
                                       "most, so there are more lookups.");
        }

        perm_alerts_add(s, PERM_ALERT_WARNING, "invalidation_inactive", advice,
                        "Redis is up, but has not pushed changes of grants "
                        "for %s",
                        perm_alerts_duration(buf, (time_t) s->unpushed));
    }
}


/*
 * What to do while there is no link.  A cause with a quote in it names a
 * directive, or has the server's word: the server runs.
 */

static const char *
perm_alerts_link(perm_snapshot_t *s, const char *unknown)
{
    perm_link_error_t  *error;

    error = &s->link_error;

    if (error->since && !error->over && !ngx_strchr(error->cause, '"')) {
        return perm_alerts_cause(s, unknown, "Start Redis, or mend its "
                                 "address: see app_permission_redis. "
                                 PERM_ALERTS_NO_LINK);
    }

    return perm_alerts_cause(s, unknown, PERM_ALERTS_NO_LINK);
}


/*
 * The last error of a link where that is not over, otherwise "unknown"; then
 * what follows from it.  For one alert at a time.
 */

static const char *
perm_alerts_cause(perm_snapshot_t *s, const char *unknown, const char *effect)
{
    u_char             *p, *last, *end;
    perm_link_error_t  *error;

    error = &s->link_error;

    p = (u_char *) s->link_advice;
    last = p + PERM_ALERT_LINK_MAX - 1;

    if (error->since && !error->over) {
        p = ngx_slprintf(p, last, "%s: %s", error->address, error->cause);
        end = (p[-1] == '"') ? p - 2 : p - 1;
        p = ngx_slprintf(p, last, (*end == '.') ? " " : ". ");

    } else {
        p = ngx_slprintf(p, last, "%s ", unknown);
    }

    *ngx_slprintf(p, last, "%s", effect) = '\0';

    return s->link_advice;
}


static void
perm_alerts_access(perm_snapshot_t *s, ngx_msec_t flush)
{
    time_t  full;
    u_char  buf[PERM_DURATION_MAX];

    full = (time_t) s->health.full;

    if (full && s->now - full < PERM_RECENT) {
        perm_alerts_add(s, PERM_ALERT_ERROR, "access_dropped",
                        "Redis does not take the last accesses, and the zone "
                        "has no room for more, so a grant in use may look "
                        "unused. Bring Redis back, then give "
                        "app_permission_zone more room.",
                        "Last accesses were dropped: %ui, the newest %s ago",
                        s->access.dropped,
                        perm_alerts_duration(buf, s->now - full));
    }

    if (s->unwritten > PERM_UNWRITTEN_LONG) {
        perm_alerts_add(s, PERM_ALERT_WARNING, "access_unwritten",
                        "They travel on a link of their own, so lookups go on, "
                        "and they are kept. A fail-over or CLIENT PAUSE "
                        "passes; for anything else the error log has the "
                        "answer of Redis.",
                        "Redis has not taken last accesses for %s",
                        perm_alerts_duration(buf, (time_t) s->unwritten));
    }

    if (s->health.clock_ahead) {
        perm_alerts_add(s, PERM_ALERT_ERROR, "clock_ahead",
                        "Grants end too early on this gateway. Last accesses "
                        "are written with Redis's time. Set the clock, and "
                        "keep it right with NTP.",
                        "The clock of this machine is ahead of Redis's by %s",
                        perm_alerts_duration(buf,
                                           (time_t) s->health.clock_ahead));
    }

    if (s->health.unsaved) {
        perm_alerts_add(s, PERM_ALERT_WARNING, "state_unwritten",
                        "A restart would bring back what was known before. "
                        "The error log has the file and the cause: make room "
                        "on its disk, or mend its rights.",
                        "The state file has not been written for %s",
                        perm_alerts_duration(buf, s->now
                                             - (time_t) s->health.unsaved));
    }

    if (!s->held && s->pending > PERM_PENDING_LONG + flush / 1000) {
        perm_alerts_add(s, PERM_ALERT_WARNING, "access_pending",
                        "Nothing is lost while the zone has room, but renewal "
                        "does not see these accesses yet. If Redis is up, "
                        "look for its error replies to ZADD in the error log.",
                        "Last accesses wait for Redis: %ui, the oldest for %s",
                        s->access.pending,
                        perm_alerts_duration(buf, s->pending));
    }
}


static void
perm_alerts_requests(perm_snapshot_t *s)
{
    u_char      rate[PERM_DURATION_MAX];
    ngx_uint_t  i;

    if (s->rate.failed > 0) {
        ngx_slprintf(rate, rate + PERM_DURATION_MAX,
                     s->rate.failed < 0.1 ? "less than 0.1%Z" : "%.1f%Z",
                     s->rate.failed);

        /* the newest point that is old enough; the rate has an older one */

        i = s->npoints - 1;

        while (i > 0 && s->now - s->points[i].time < PERM_FAILING_OVER) {
            i--;
        }

        perm_alerts_add(s, s->points[i].fail == s->total.fail
                           ? PERM_ALERT_WARNING : PERM_ALERT_ERROR, "failing",
                        "Their callers get 503 (the grant was not known and "
                        "Redis could not be asked) or 500 (the configuration "
                        "is incomplete, or an argument came twice). The log "
                        "line of each has the reason.",
                        "Checks fail: %s a second over the last minute",
                        rate);
    }

    /* a cause that has an alert of its own is no matter of the apps */

    if (!s->redis
        || (s->health.redis_up && s->table != PERM_TABLE_NOT_LOADED
            && !s->refused_lookups))
    {
        perm_alerts_denials(s);
    }
}


static void
perm_alerts_denials(perm_snapshot_t *s)
{
    const char   *reason, *advice;
    perm_rate_t  *rate, *before;

    static const char *const  advices[PERM_REASONS] = {
        [PERM_NO_APP] = "Calls come without an app code: the callers do not "
            "send it, or app_permission_app reads another header or variable "
            "than the one that has it.",
        [PERM_INVALID_APP] = "What the calls give as app code is not a valid "
            "name: see app_permission_app, or somebody tries app codes.",
        [PERM_NO_GRANT] = "If the list \"refused\" (on the page: \"Most "
            "refused\") has one app or one resource, it lacks a grant, or the "
            "resource became required. "
            "With most apps in it this may be another or an emptied table: "
            "see app-permission list, app_permission_redis and "
            "app_permission_redis_prefix, and app-permission import its "
            "export.",
        [PERM_GATEWAY_GRANT_EXPIRED] = PERM_ALERTS_EXPIRED,
        [PERM_RESOURCE_GRANT_EXPIRED] = PERM_ALERTS_EXPIRED
    };

    rate = &s->rate;
    before = &s->rate_before;

    if (rate->denied < PERM_JUMP_RATE) {
        return;
    }

    reason = perm_decision_reason_name(rate->reason);
    advice = advices[rate->reason];

    if (before->known && rate->denied > PERM_JUMP_FACTOR * before->denied) {
        perm_alerts_add(s, PERM_ALERT_WARNING, "refusals_jump", advice,
                        "Refusals jumped to %.1f a second, from %.1f: most of "
                        "them with %s", rate->denied, before->denied, reason);

    } else if (rate->denied > PERM_MANY_SHARE * rate->checks) {
        perm_alerts_add(s, PERM_ALERT_WARNING, "refusals_many", advice,
                        "%.0f %% of all checks of the last minute were "
                        "refused: most of them with %s",
                        100 * rate->denied / rate->checks, reason);
    }
}


static void
perm_alerts_counters(perm_snapshot_t *s)
{
    time_t      newest;
    u_char      buf[PERM_DURATION_MAX];
    ngx_uint_t  n;

    newest = (time_t) s->health.bad_config;

    if (newest && s->now - newest < PERM_RECENT) {
        n = s->stats.requests[0][PERM_FAIL][PERM_BAD_CONFIG]
            + s->stats.requests[1][PERM_FAIL][PERM_BAD_CONFIG];
        n = ngx_max(n, s->stats.twice) - s->stats.twice;

        perm_alerts_add(s, PERM_ALERT_WARNING, "bad_config",
                        "In some location the policy, the gateway or the "
                        "resource is empty or not a valid name. The error log "
                        "has a line for each call, with the location's "
                        "values.",
                        "Calls met an incomplete configuration: %ui, the "
                        "newest %s ago", n,
                        perm_alerts_duration(buf, s->now - newest));
    }

    newest = (time_t) s->health.twice;

    if (newest && s->now - newest < PERM_RECENT) {
        perm_alerts_add(s, PERM_ALERT_WARNING, "argument_twice",
                        "app_permission_decide refuses them: it cannot tell "
                        "which of the two is meant. The error log names the "
                        "argument. Whoever asks must send one, and strip those "
                        "of the caller.",
                        "Questions had a query argument twice: %ui, the newest "
                        "%s ago", s->stats.twice,
                        perm_alerts_duration(buf, s->now - newest));
    }

    newest = (time_t) s->health.unreadable;

    if (newest && s->now - newest < PERM_RECENT) {
        perm_alerts_add(s, PERM_ALERT_WARNING, "unreadable_grants",
                        "A value counts as absent when it is no JSON, has more "
                        "than 64 KiB, or when its \"expires\" is missing or "
                        "after the year 9999 (milliseconds?). "
                        "The error log names the key. Write it again with "
                        "app-permission grant.",
                        "Lookups met grants that cannot be read: %ui, the "
                        "newest %s ago", s->stats.unreadable_grants,
                        perm_alerts_duration(buf, s->now - newest));
    }

    if (s->cache.displaced && s->now - s->cache.displacing < PERM_RECENT) {
        perm_alerts_add(s, PERM_ALERT_NOTE, "cache_full",
                        "The calls that have been unused for longest make "
                        "room for new ones. If hits are rare, give "
                        "app_permission_zone more room.",
                        "The cache is full: known grants that made room: %ui",
                        s->cache.displaced);
    }

    if (s->expiring[0]) {
        perm_alerts_add(s, PERM_ALERT_NOTE, "expiring",
                        "Their apps will be refused unless the grants are "
                        "renewed. See the list \"expiring\" (on the page: "
                        "\"Ending soon\"), and check that the daily "
                        "app-permission renew has run.",
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
