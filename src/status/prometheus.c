
#include "status/form.h"


#define PERM_USEC  1000000


static void perm_metric(perm_writer_t *w, const char *name, const char *type,
    const char *help);
static void perm_metric_requests(perm_writer_t *w, perm_snapshot_t *s);
static void perm_metric_reasons(perm_writer_t *w, const char *name,
    ngx_atomic_t counts[][PERM_REASONS], perm_outcome_t first);
static void perm_metric_cache(perm_writer_t *w, perm_snapshot_t *s);
static void perm_metric_redis(perm_writer_t *w, perm_snapshot_t *s);
static void perm_metric_access(perm_writer_t *w, perm_snapshot_t *s);
static void perm_metric_invalidation(perm_writer_t *w, perm_snapshot_t *s);
static void perm_metric_times(perm_writer_t *w, perm_snapshot_t *s);
static void perm_metric_histogram(perm_writer_t *w, const char *name,
    const char *label, perm_histogram_cell_t *h);


/* which reasons come with which outcome: no other series ever appears */

static const u_char  perm_metric_reason[3][PERM_REASONS] = {
    { 1, 1, 1, 0, 0, 0, 0, 0, 1, 0 },     /* allow */
    { 0, 0, 0, 1, 1, 1, 1, 1, 0, 0 },     /* deny */
    { 0, 0, 0, 0, 0, 0, 0, 0, 1, 1 }      /* fail */
};


void
perm_status_prometheus(perm_writer_t *w, perm_snapshot_t *s)
{
    perm_metric_requests(w, s);
    perm_metric_cache(w, s);
    perm_metric_redis(w, s);
    perm_metric_access(w, s);
    perm_metric_invalidation(w, s);
    perm_metric_times(w, s);
}


static void
perm_metric(perm_writer_t *w, const char *name, const char *type,
    const char *help)
{
    perm_writer_put(w, "# HELP app_permission_%s %s\n"
                    "# TYPE app_permission_%s %s\n", name, help, name, type);
}


/* a metric of one number */

static void
perm_metric_value(perm_writer_t *w, const char *name, const char *type,
    const char *help, ngx_uint_t value)
{
    perm_metric(w, name, type, help);
    perm_writer_put(w, "app_permission_%s %ui\n", name, value);
}


/* likewise, of seconds given in ms */

static void
perm_metric_msec(perm_writer_t *w, const char *name, const char *help,
    ngx_uint_t msec)
{
    perm_metric(w, name, "gauge", help);
    perm_writer_put(w, "app_permission_%s %ui.%03ui\n", name, msec / 1000,
                    msec % 1000);
}


static void
perm_metric_requests(perm_writer_t *w, perm_snapshot_t *s)
{
    ngx_uint_t  i;

    perm_metric(w, "requests_total", "counter",
                "Checked requests by decision and reason, without those that "
                "dry run let through against its decision.");
    perm_metric_reasons(w, "requests_total", s->stats.requests[0],
                        PERM_ALLOW);

    perm_metric(w, "dry_run_denied_total", "counter",
                "Requests that were let through by dry run, by the decision "
                "and reason that would have refused them.");
    perm_metric_reasons(w, "dry_run_denied_total", s->stats.requests[1],
                        PERM_DENY);

    perm_metric(w, "grants_expiring", "gauge",
                "Grants in use that end within so many days.");

    for (i = 0; i < PERM_EXPIRING_WINDOWS; i++) {
        perm_writer_put(w, "app_permission_grants_expiring{days=\"%ui\"} %ui\n",
                        perm_expiring_days[i], s->expiring[i]);
    }
}


static void
perm_metric_reasons(perm_writer_t *w, const char *name,
    ngx_atomic_t counts[][PERM_REASONS], perm_outcome_t first)
{
    ngx_uint_t  i, k;
    perm_str_t  outcome, reason;

    for (i = first; i <= PERM_FAIL; i++) {
        outcome = perm_decision_outcome_name(i);

        for (k = 0; k < PERM_REASONS; k++) {

            if (!perm_metric_reason[i][k]) {
                continue;
            }

            reason = perm_decision_reason_name(k);

            perm_writer_put(w, "app_permission_%s{decision=\"%*s\","
                            "reason=\"%*s\"} %uA\n", name, outcome.len,
                            outcome.data, reason.len, reason.data, counts[i][k]);
        }
    }
}


static void
perm_metric_cache(perm_writer_t *w, perm_snapshot_t *s)
{
    perm_metric(w, "cache_lookups_total", "counter",
                "Checks that needed a grant, by where it came from.");
    perm_writer_put(w,
                    "app_permission_cache_lookups_total{result=\"hit\"} %uA\n"
                    "app_permission_cache_lookups_total{result=\"miss\"} %uA\n"
                    "app_permission_cache_lookups_total{result=\"stale\"} "
                    "%uA\n",
                    s->stats.cache[PERM_CACHE_HIT],
                    s->stats.cache[PERM_CACHE_MISS],
                    s->stats.cache[PERM_CACHE_STALE]);

    perm_metric_value(w, "cache_entries", "gauge",
                      "Calls in the cache.", s->cache.entries);
    perm_metric_value(w, "cache_denied_entries", "gauge",
                      "Calls in the cache that have no grant.",
                      s->cache.denied);
    perm_metric_value(w, "cache_capacity_entries", "gauge",
                      "Calls that the cache has room for.",
                      s->cache.capacity);
    perm_metric_value(w, "cache_evictions_total", "counter",
                      "Calls that made room for others.", s->cache.evicted);
    perm_metric_value(w, "cache_refreshes_total", "counter",
                      "Lookups ahead of the end of an entry in use.",
                      s->stats.refreshes);
    perm_metric_msec(w, "cache_oldest_answer_seconds",
                     "Age of the oldest cached answer that decided in the "
                     "last one to two minutes; hits are sampled.",
                     s->stats.age.oldest);
}


static void
perm_metric_redis(perm_writer_t *w, perm_snapshot_t *s)
{
    perm_metric_value(w, "redis_up", "gauge",
                      "1 while every worker has its link to Redis.",
                      s->health.redis_up != 0);
    perm_metric_value(w, "redis_commands_total", "counter",
                      "Commands that Redis answered, errors included.",
                      s->stats.redis.commands);
    perm_metric_value(w, "redis_errors_total", "counter",
                      "Error replies, time-outs and lost links.",
                      s->stats.redis.errors);
    perm_metric_value(w, "lookups_limited_total", "counter",
                      "Lookups that app_permission_lookup_limit delayed or "
                      "refused.", s->stats.limited);
    perm_metric_value(w, "unreadable_grants_total", "counter",
                      "Grants met whose value could not be read.",
                      s->stats.unreadable_grants);

    /* nobody has asked yet: no sample is better than a wrong one */

    if (s->table) {
        perm_metric_value(w, "table_loaded", "gauge",
                          "1 while the grant table in Redis is loaded.",
                          s->table == PERM_TABLE_LOADED);
    }
}


static void
perm_metric_access(perm_writer_t *w, perm_snapshot_t *s)
{
    perm_metric_value(w, "access_recorded_total", "counter",
                      "Last accesses recorded: seconds in which a call was "
                      "allowed by a grant.", s->access.recorded);
    perm_metric_value(w, "access_flushed_total", "counter",
                      "Last accesses that Redis acknowledged.",
                      s->access.flushed);
    perm_metric_value(w, "access_dropped_total", "counter",
                      "Last accesses lost because the zone had no room.",
                      s->access.dropped);
    perm_metric_value(w, "access_pending", "gauge",
                      "Last accesses that Redis has not acknowledged yet.",
                      s->access.pending);
    perm_metric_value(w, "access_capacity", "gauge",
                      "Last accesses that the zone has room for.",
                      s->access.capacity);
    perm_metric_value(w, "access_oldest_pending_seconds", "gauge",
                      "For how long the oldest of them has been pending.",
                      s->pending);
}


static void
perm_metric_invalidation(perm_writer_t *w, perm_snapshot_t *s)
{
    perm_metric_value(w, "invalidation_active", "gauge",
                      "1 while Redis pushes changes of grants.",
                      s->health.tracking != 0);
    perm_metric_value(w, "invalidations_received_total", "counter",
                      "Changed keys that Redis pushed.",
                      s->stats.invalidations);
    perm_metric_msec(w, "invalidation_lag_seconds",
                     "What a pushed change takes, by the last heartbeat.",
                     s->health.lag);
    perm_metric_msec(w, "invalidation_lag_worst_seconds",
                     "The worst of these since start.", s->health.lag_worst);
}


static void
perm_metric_times(perm_writer_t *w, perm_snapshot_t *s)
{
    static const char  ctx[] = "check_duration_seconds";
    static const char  redis[] = "redis_command_duration_seconds";

    perm_metric(w, ctx, "histogram",
                "Time of a check; hits are sampled, 1 in 64.");
    perm_metric_histogram(w, ctx, "cache=\"hit\",",
                          &s->stats.histograms[PERM_HISTOGRAM_HIT]);
    perm_metric_histogram(w, ctx, "cache=\"miss\",",
                          &s->stats.histograms[PERM_HISTOGRAM_MISS]);

    perm_metric(w, redis, "histogram", "Time of a Redis command.");
    perm_metric_histogram(w, redis, "",
                          &s->stats.histograms[PERM_HISTOGRAM_REDIS]);

    perm_metric_value(w, "start_time_seconds", "gauge",
                      "When the counters started, unix time.", s->created);
}


/* "label" ends with a comma, or is empty */

static void
perm_metric_histogram(perm_writer_t *w, const char *name, const char *label,
    perm_histogram_cell_t *h)
{
    char        *open, *close;
    size_t       len;
    uint64_t     bound;
    ngx_uint_t   i, n;

    n = 0;
    len = ngx_strlen(label);

    for (i = 0; i < PERM_HISTOGRAM_BUCKETS - 1; i++) {
        n += h->count[i];
        bound = (uint64_t) 1 << i;

        perm_writer_put(w, "app_permission_%s_bucket{%sle=\"%uL.%06uL\"} %ui\n",
                        name, label, bound / PERM_USEC, bound % PERM_USEC, n);
    }

    n += h->count[i];

    /* without a label there are no braces */

    open = len ? "{" : "";
    close = len ? "}" : "";
    len = len ? len - 1 : 0;

    perm_writer_put(w, "app_permission_%s_bucket{%sle=\"+Inf\"} %ui\n"
                    "app_permission_%s_sum%s%*s%s %uA.%06uA\n"
                    "app_permission_%s_count%s%*s%s %ui\n",
                    name, label, n,
                    name, open, len, label, close, h->sum / PERM_USEC,
                    h->sum % PERM_USEC,
                    name, open, len, label, close, n);
}
