
#include "status/form.h"
#include "status/lists.h"


/* a reason, and the outcome it comes with */

typedef struct {
    perm_outcome_t         outcome;
    perm_reason_t          reason;
} perm_status_reason_t;


static void perm_json_requests(perm_writer_t *w, perm_snapshot_t *s);
static void perm_json_reasons(perm_writer_t *w, ngx_atomic_t *counts,
    perm_outcome_t outcome);
static void perm_json_cache(perm_writer_t *w, perm_snapshot_t *s);
static void perm_json_redis(perm_writer_t *w, perm_snapshot_t *s);
static void perm_json_access(perm_writer_t *w, perm_snapshot_t *s);
static void perm_json_latency(perm_writer_t *w, perm_snapshot_t *s);
static void perm_json_history(perm_writer_t *w, perm_snapshot_t *s);
static void perm_json_problems(perm_writer_t *w, perm_snapshot_t *s);


/* all outcomes and reasons that go together, as other tools may count on */

static perm_status_reason_t  perm_status_reasons[] = {
    { PERM_ALLOW, PERM_OPEN },
    { PERM_ALLOW, PERM_GATEWAY_GRANT },
    { PERM_ALLOW, PERM_RESOURCE_GRANT },
    { PERM_ALLOW, PERM_UNAVAILABLE },
    { PERM_DENY, PERM_NO_APP },
    { PERM_DENY, PERM_INVALID_APP },
    { PERM_DENY, PERM_NO_GRANT },
    { PERM_DENY, PERM_GATEWAY_GRANT_EXPIRED },
    { PERM_DENY, PERM_RESOURCE_GRANT_EXPIRED },
    { PERM_FAIL, PERM_UNAVAILABLE },
    { PERM_FAIL, PERM_BAD_CONFIG }
};


static const char *perm_json_bool[] = { "false", "true" };


void
perm_status_json(perm_writer_t *w, perm_snapshot_t *s, perm_zone_t *zone,
    perm_status_query_t *query)
{
    perm_writer_put(w, "{\"now\":%T,\"uptime_seconds\":%T,\"nginx\":\"%s\",",
                    s->now, ngx_max(s->now - s->created, 0), NGINX_VERSION);

    perm_json_problems(w, s);
    perm_json_requests(w, s);
    perm_json_cache(w, s);
    perm_json_redis(w, s);
    perm_json_access(w, s);
    perm_json_latency(w, s);

    perm_writer_put(w, ",\"expiring\":");
    perm_list_expiring(w, s, zone->expiring, query);

    perm_writer_put(w, ",\"refused\":");
    perm_list_top(w, zone->refused, query);

    perm_writer_put(w, ",\"would_deny\":");
    perm_list_top(w, zone->would_deny, query);

    perm_writer_put(w, ",\"resources\":");
    perm_list_resources(w, zone->resources, query);

    perm_json_history(w, s);

    perm_writer_put(w, "}" CRLF);
}


void
perm_status_would_deny(perm_writer_t *w, perm_zone_t *zone,
    perm_status_query_t *query)
{
    perm_writer_put(w, "{\"now\":%T,\"would_deny\":", ngx_time());
    perm_list_top(w, zone->would_deny, query);
    perm_writer_put(w, "}" CRLF);
}


static void
perm_json_problems(perm_writer_t *w, perm_snapshot_t *s)
{
    ngx_uint_t     i;
    perm_alert_t  *alert;

    static const char  *severities[] = { "note", "warning", "error" };

    perm_writer_put(w, "\"problems\":[");

    for (i = 0; i < s->nalerts; i++) {
        alert = &s->alerts[i];

        perm_writer_put(w, "%s{\"severity\":\"%s\",\"name\":\"%s\",\"text\":",
                        i ? "," : "", severities[alert->severity],
                        alert->name);

        perm_writer_json(w, perm_str(alert->text));
        perm_writer_put(w, ",\"advice\":");
        perm_writer_json(w, perm_str(alert->advice));
        perm_writer_put(w, "}");
    }

    perm_writer_put(w, "],");
}


static void
perm_json_reasons(perm_writer_t *w, ngx_atomic_t *counts,
    perm_outcome_t outcome)
{
    char                  *comma;
    ngx_uint_t             i;
    perm_str_t             name;
    perm_status_reason_t  *r;

    name = perm_decision_outcome_name(outcome);
    perm_writer_put(w, "\"%*s\":{", name.len, name.data);

    comma = "";

    for (i = 0; i < sizeof(perm_status_reasons) / sizeof(*r); i++) {
        r = &perm_status_reasons[i];

        if (r->outcome == outcome) {
            name = perm_decision_reason_name(r->reason);
            perm_writer_put(w, "%s\"%*s\":%uA", comma, name.len, name.data,
                            counts[r->reason]);
            comma = ",";
        }
    }

    perm_writer_put(w, "}");
}


static void
perm_json_requests(perm_writer_t *w, perm_snapshot_t *s)
{
    perm_writer_put(w, "\"requests\":{");
    perm_json_reasons(w, s->stats.requests[0][PERM_ALLOW], PERM_ALLOW);
    perm_writer_put(w, ",");
    perm_json_reasons(w, s->stats.requests[0][PERM_DENY], PERM_DENY);
    perm_writer_put(w, ",");
    perm_json_reasons(w, s->stats.requests[0][PERM_FAIL], PERM_FAIL);

    perm_writer_put(w, ",\"dry_run_denied\":%ui,\"dry_run\":{", s->would_deny);
    perm_json_reasons(w, s->stats.requests[1][PERM_DENY], PERM_DENY);
    perm_writer_put(w, ",");
    perm_json_reasons(w, s->stats.requests[1][PERM_FAIL], PERM_FAIL);
    perm_writer_put(w, "}}");
}


static void
perm_json_cache(perm_writer_t *w, perm_snapshot_t *s)
{
    perm_writer_put(w, ",\"cache\":{\"hit\":%uA,\"miss\":%uA,\"stale\":%uA,"
                    "\"entries\":%ui,\"denied_entries\":%ui,\"capacity\":%ui,"
                    "\"evicted\":%ui,\"refreshes\":%uA,"
                    "\"oldest_answer_seconds\":%uA}",
                    s->stats.cache[PERM_CACHE_HIT],
                    s->stats.cache[PERM_CACHE_MISS],
                    s->stats.cache[PERM_CACHE_STALE], s->cache.entries,
                    s->cache.denied, s->cache.capacity, s->cache.evicted,
                    s->stats.refreshes, s->stats.age.oldest / 1000);
}


static void
perm_json_redis(perm_writer_t *w, perm_snapshot_t *s)
{
    perm_health_t  *health;

    static const char  *loaded[] = { "null", "true", "false" };

    health = &s->health;

    perm_writer_put(w, ",\"redis\":{\"configured\":%s,\"up\":%s,\"since\":%uA,"
                    "\"commands\":%uA,\"errors\":%uA,\"unreadable_grants\":%uA,"
                    "\"limited_lookups\":%uA}",
                    perm_json_bool[s->redis != 0],
                    perm_json_bool[health->redis_up != 0], health->redis_since,
                    s->stats.redis.commands, s->stats.redis.errors,
                    s->stats.unreadable_grants, s->stats.limited);

    perm_writer_put(w, ",\"table\":{\"loaded\":%s,\"since\":%uA}",
                    loaded[s->table],
                    s->table_since);

    perm_writer_put(w, ",\"invalidation\":{\"active\":%s,\"since\":%uA,"
                    "\"received\":%uA,\"last_lag_ms\":%uA,"
                    "\"worst_lag_ms\":%uA}",
                    perm_json_bool[health->tracking != 0],
                    health->tracking_since, s->stats.invalidations, health->lag, health->lag_worst);
}


static void
perm_json_access(perm_writer_t *w, perm_snapshot_t *s)
{
    perm_writer_put(w, ",\"access\":{\"recorded\":%ui,\"pending\":%ui,"
                    "\"flushed\":%ui,\"dropped\":%ui,"
                    "\"oldest_pending_seconds\":%T,\"capacity\":%ui}",
                    s->access.recorded, s->access.pending, s->access.flushed,
                    s->access.dropped, s->pending, s->access.capacity);
}


/* bounds are powers of two, usec: the i-th count is of values up to 2^i */

static void
perm_json_latency(perm_writer_t *w, perm_snapshot_t *s)
{
    ngx_uint_t              i, k;
    perm_histogram_cell_t  *h;

    static const char  *names[] = { "hit", "miss", "redis" };

    perm_writer_put(w, ",\"latency_us\":{");

    for (i = 0; i < PERM_HISTOGRAMS; i++) {
        h = &s->stats.histograms[i];

        perm_writer_put(w, "%s\"%s\":{\"count\":%ui,\"sum\":%uA,\"p50\":%uL,"
                        "\"p99\":%uL,\"buckets\":[", i ? "," : "", names[i],
                        perm_snapshot_count(h), h->sum,
                        perm_snapshot_quantile(h, 0.5),
                        perm_snapshot_quantile(h, 0.99));

        for (k = 0; k < PERM_HISTOGRAM_BUCKETS; k++) {
            perm_writer_put(w, "%s%uA", k ? "," : "", h->count[k]);
        }

        perm_writer_put(w, "]}");
    }

    perm_writer_put(w, "}");
}


/* rows of counters since start, oldest first */

static void
perm_json_history(perm_writer_t *w, perm_snapshot_t *s)
{
    ngx_uint_t             i;
    perm_history_point_t  *p;

    perm_writer_put(w, ",\"history\":{\"columns\":[\"time\",\"allow\",\"deny\","
                    "\"fail\",\"would_deny\",\"hit\",\"miss\",\"stale\"],"
                    "\"rows\":[");

    for (i = 0; i < s->npoints; i++) {
        p = &s->points[i];

        perm_writer_put(w, "%s[%T,%ui,%ui,%ui,%ui,%ui,%ui,%ui]", i ? "," : "",
                        p->time, p->allow, p->deny, p->fail, p->would_deny,
                        p->hit, p->miss, p->stale);
    }

    perm_writer_put(w, "]}");
}
