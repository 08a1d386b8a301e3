
/*
 * What the alerts of the status say of a snapshot, when they begin and when
 * they end by themselves.
 * sources: src/status/alerts.c
 */


#include "nginx_test.h"

#include "status/alerts.h"


#define NOW    1700000000
#define FLUSH  5000


static perm_snapshot_t  s;


static void
fresh(void)
{
    ngx_memzero(&s, sizeof(perm_snapshot_t));

    s.now = NOW;
    s.redis = 1;
    s.health.redis_up = 1;
    s.health.redis_since = NOW - 1000;
    s.health.tracking = 1;
    s.table = PERM_TABLE_LOADED;
}


static perm_alert_t *
find(const char *name)
{
    ngx_uint_t  i;

    perm_alerts_find(&s, FLUSH);

    for (i = 0; i < s.nalerts; i++) {
        if (strcmp(s.alerts[i].name, name) == 0) {
            return &s.alerts[i];
        }
    }

    return NULL;
}


static int
says(const char *name, perm_severity_t severity, const char *text)
{
    perm_alert_t  *alert;

    alert = find(name);

    if (alert == NULL || alert->severity != severity
        || strstr(alert->text, text) == NULL)
    {
        printf("# %s: %s\n", name, alert ? alert->text : "none");
        return 0;
    }

    return 1;
}


/* checks that failed, at so many seconds before now */

static void
failing(double rate, time_t last)
{
    ngx_uint_t  i;

    fresh();

    s.npoints = 12;
    s.total.fail = 7;
    s.rate.known = 1;
    s.rate.failed = rate;

    for (i = 0; i < s.npoints; i++) {
        s.points[i].time = NOW - 5 * (time_t) (s.npoints - i);
        s.points[i].fail = (s.points[i].time >= NOW - last) ? 7 : 6;
    }
}


static void
test_failing(void)
{
    fresh();
    perm_alerts_find(&s, FLUSH);
    ok(s.nalerts == 0, "nothing is wrong");

    failing(0, 100);
    ok(find("failing") == NULL, "no check failed in the last minute");

    failing(2.0, 0);
    ok(says("failing", PERM_ALERT_ERROR, "fail: 2.0 a second"),
       "checks fail just now");

    failing(1.96, 0);
    ok(says("failing", PERM_ALERT_ERROR, "fail: 2.0 a second"), "rounded");

    failing(0.1, 0);
    ok(says("failing", PERM_ALERT_ERROR, "fail: 0.1 a second"), "the least");

    failing(0.016, 0);
    ok(says("failing", PERM_ALERT_ERROR, "fail: less than 0.1 a second"),
       "one in a minute is not none");

    failing(2.0, 9);
    ok(says("failing", PERM_ALERT_ERROR, "2.0"),
       "the last one is less than ten seconds ago");

    failing(2.0, 15);
    ok(says("failing", PERM_ALERT_WARNING, "2.0 a second over the last minute"),
       "or longer: they do not fail any more");

    failing(2.0, 0);
    s.npoints = 1;
    s.points[0].time = NOW - 1;
    s.points[0].fail = 7;
    ok(says("failing", PERM_ALERT_WARNING, "2.0"), "a short history");
}


static void
test_recent(void)
{
    fresh();
    s.stats.requests[0][PERM_FAIL][PERM_BAD_CONFIG] = 5;
    s.stats.twice = 2;
    s.health.bad_config = NOW - 12;
    ok(says("bad_config", PERM_ALERT_WARNING,
            "incomplete configuration: 3, the newest 12 s ago"),
       "an incomplete configuration, without arguments that came twice");
    ok(find("argument_twice") == NULL, "none of which is new");

    s.health.twice = NOW - 30;
    ok(says("argument_twice", PERM_ALERT_WARNING,
            "argument twice: 2, the newest 30 s ago"), "and now it is");

    s.health.unreadable = NOW - 599;
    s.stats.unreadable_grants = 4;
    ok(says("unreadable_grants", PERM_ALERT_WARNING,
            "cannot be read: 4, the newest 9 min ago"), "unreadable grants");

    s.now += 600;
    ok(find("bad_config") == NULL && find("argument_twice") == NULL
       && find("unreadable_grants") == NULL, "they end after ten minutes");
}


static void
test_links(void)
{
    fresh();
    s.unpushed = 4;
    ok(says("invalidation_inactive", PERM_ALERT_WARNING,
            "has not pushed changes of grants for 4 s")
       && strstr(find("invalidation_inactive")->advice, "1 s at most"),
       "changes are not pushed, for a reason that may pass");

    s.link_error.since = NOW - 9;
    strcpy(s.link_error.address, "10.0.0.1:6379");
    strcpy(s.link_error.cause, "no answer");
    ok(strstr(find("invalidation_inactive")->advice,
              "10.0.0.1:6379: no answer. An answer of Redis") != NULL,
       "with what a link met last");

    s.push_refused = 1;
    ok(strstr(find("invalidation_inactive")->advice,
              "app_permission_cache_valid") != NULL, "or for good");

    s.stopped = 1;
    ok(says("invalidation_inactive", PERM_ALERT_WARNING, "do not run"),
       "or nobody reads them");

    fresh();
    s.unwritten = 5;
    ok(find("access_unwritten") == NULL, "accesses are late");
    s.unwritten = 6;
    ok(says("access_unwritten", PERM_ALERT_WARNING, "last accesses for 6 s"),
       "accesses are not taken");

    fresh();
    s.pending = 3600;
    ok(find("access_pending") != NULL, "accesses wait");
    s.table = PERM_TABLE_NOT_LOADED;
    s.held = 1;
    ok(find("access_pending") == NULL && find("table_not_loaded") != NULL,
       "for a table: that has an alert");

    fresh();
    s.health.unsaved = NOW - 90;
    ok(says("state_unwritten", PERM_ALERT_WARNING, "written for 90 s"),
       "the state file is not written");

    fresh();
    s.health.redis_up = 0;
    s.link_error.since = NOW - 9;
    strcpy(s.link_error.address, "a");
    strcpy(s.link_error.cause, "the server said \"no.\"");
    ok(strstr(find("redis_down")->advice,
              "a: the server said \"no.\" Cached") != NULL,
       "the cause ends as a sentence");
    strcpy(s.link_error.cause, "the server said \"no\"");
    ok(strstr(find("redis_down")->advice,
              "a: the server said \"no\". Cached") != NULL,
       "once");

    ok(strstr(find("redis_down")->advice, "Start Redis") == NULL,
       "of a server that runs");
    strcpy(s.link_error.cause, "connect() failed (111: Connection refused)");
    ok(strstr(find("redis_down")->advice,
              "refused). Start Redis, or mend its address: see "
              "app_permission_redis. Cached") != NULL,
       "of one that may not run it says what to do");
    s.link_error.over = 1;
    ok(strstr(find("redis_down")->advice, "mend its address") == NULL,
       "and nothing of it where there is no cause");
}


static void
test_refused(void)
{
    fresh();
    s.refused_lookups = 1;
    s.link_error.since = NOW - 300;
    s.link_error.last = NOW - 9;
    ok(says("lookups_refused", PERM_ALERT_ERROR,
            "has refused lookups for 5 min, the last one 9 s ago"),
       "lookups are refused");
    ok(strstr(find("lookups_refused")->advice, "Last accesses") == NULL,
       "which does not keep last accesses back");
    ok(strstr(find("lookups_refused")->advice, "ends with a lookup") != NULL,
       "and how it ends");

    s.link_error.last = NOW - 10;
    ok(says("lookups_refused", PERM_ALERT_ERROR,
            "but refused a lookup 10 s ago"),
       "nothing came since: it does not go on counting");

    s.link_error.since = NOW - 1;
    s.link_error.last = NOW - 1;
    ok(says("lookups_refused", PERM_ALERT_ERROR, "refused a lookup 1 s ago"),
       "the first one");
}


static void
test_lists(void)
{
    ngx_uint_t  i;

    static const perm_reason_t  reasons[] = {
        PERM_NO_GRANT, PERM_GATEWAY_GRANT_EXPIRED, PERM_RESOURCE_GRANT_EXPIRED
    };

    for (i = 0; i < 3; i++) {
        fresh();
        s.rate.checks = 10;
        s.rate.denied = 5;
        s.rate.reason = reasons[i];
        ok(strstr(find("refusals_many")->advice,
                  "list \"refused\" (on the page: \"Most refused\")") != NULL,
           "a list by its name in JSON and on the page");
    }

    s.expiring[0] = 1;
    ok(strstr(find("expiring")->advice,
              "list \"expiring\" (on the page: \"Ending soon\")") != NULL,
       "that of grants that end, too");
}


int
main(void)
{
    test_failing();
    test_recent();
    test_links();
    test_refused();
    test_lists();

    return done();
}
