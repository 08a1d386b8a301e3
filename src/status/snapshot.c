
#include "status/snapshot.h"


#define PERM_RATES_SPAN  60   /* seconds */


static void perm_snapshot_totals(perm_snapshot_t *s);
static void perm_snapshot_point(perm_snapshot_t *s,
    perm_history_point_t *point);
static void perm_snapshot_rates(perm_snapshot_t *s);
static void perm_snapshot_minute(perm_rates_t *rates,
    perm_history_point_t *from, perm_history_point_t *to);


perm_snapshot_t *
perm_snapshot_take(perm_main_conf_t *pmcf, ngx_pool_t *pool)
{
    perm_zone_t      *zone;
    perm_snapshot_t  *s;

    s = ngx_pcalloc(pool, sizeof(perm_snapshot_t));
    if (s == NULL) {
        return NULL;
    }

    zone = pmcf->sync.zone.zone;

    s->now = ngx_time();
    s->created = zone->created;
    s->redis = (pmcf->sync.redis.url != NULL);

    perm_stats_sum(zone->stats, &s->stats, s->now);
    perm_snapshot_totals(s);

    perm_cache_stat(zone->cache, &s->cache);
    perm_recorder_stat(zone->recorder, &s->access);

    if (s->access.pending && s->access.oldest) {
        s->pending = ngx_max(s->now - s->access.oldest, 0);
    }

    s->health = zone->health;
    s->table = perm_table_state_known(&zone->table);
    s->table_since = (time_t) zone->table.since;

    s->expiring_missed = perm_expiring_count(zone->expiring, s->now,
                                             s->expiring);

    s->npoints = perm_history_list(zone->history, s->now, s->points);
    perm_snapshot_rates(s);

    perm_alerts_find(s, pmcf->sync.flush);

    return s;
}


void
perm_snapshot_note(perm_zone_t *zone)
{
    perm_snapshot_t       s;
    perm_history_point_t  point;

    if (!perm_history_due(zone->history, ngx_time())) {
        return;
    }

    s.now = ngx_time();
    perm_stats_sum(zone->stats, &s.stats, s.now);
    perm_snapshot_totals(&s);

    perm_snapshot_point(&s, &point);
    perm_history_add(zone->history, &point);
}


static void
perm_snapshot_totals(perm_snapshot_t *s)
{
    ngx_uint_t     i;

    s->allow = 0;
    s->deny = 0;
    s->fail = 0;
    s->would_deny = 0;

    for (i = 0; i < PERM_REASONS; i++) {
        s->allow += s->stats.requests[0][PERM_ALLOW][i];
        s->deny += s->stats.requests[0][PERM_DENY][i];
        s->fail += s->stats.requests[0][PERM_FAIL][i];
        s->would_deny += s->stats.requests[1][PERM_DENY][i]
                         + s->stats.requests[1][PERM_FAIL][i];
    }
}


static void
perm_snapshot_point(perm_snapshot_t *s, perm_history_point_t *point)
{
    point->time = s->now;
    point->allow = s->allow;
    point->deny = s->deny;
    point->fail = s->fail;
    point->would_deny = s->would_deny;
    point->hit = s->stats.cache[PERM_CACHE_HIT];
    point->miss = s->stats.cache[PERM_CACHE_MISS];
    point->stale = s->stats.cache[PERM_CACHE_STALE];
}


static void
perm_snapshot_minute(perm_rates_t *rates, perm_history_point_t *from,
    perm_history_point_t *to)
{
    double  span, deny, fail;

    span = (double) ngx_max(to->time - from->time, 1);
    deny = (double) (to->deny - from->deny);
    fail = (double) (to->fail - from->fail);

    rates->checks = (deny + fail + (double) (to->allow - from->allow)
                     + (double) (to->would_deny - from->would_deny)) / span;
    rates->refused = (deny + fail) / span;
    rates->failed = fail / span;
}


/* the newest minute against what came before it */

static void
perm_snapshot_rates(perm_snapshot_t *s)
{
    ngx_uint_t             i;
    perm_rates_t          *rates;
    perm_history_point_t   now, *from;

    rates = &s->rates;

    if (s->npoints == 0) {
        return;
    }

    perm_snapshot_point(s, &now);

    for (i = s->npoints - 1; i > 0; i--) {
        if (now.time - s->points[i].time >= PERM_RATES_SPAN) {
            break;
        }
    }

    from = &s->points[i];

    if (now.time - from->time < PERM_HISTORY_STEP) {
        return;
    }

    if (from->time - s->points[0].time >= PERM_RATES_SPAN) {
        perm_snapshot_minute(rates, &s->points[0], from);
        rates->known_before = 1;
        rates->refused_before = rates->refused;
    }

    rates->known = 1;
    perm_snapshot_minute(rates, from, &now);
}


ngx_uint_t
perm_snapshot_count(perm_histogram_cell_t *h)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < PERM_HISTOGRAM_BUCKETS; i++) {
        n += h->count[i];
    }

    return n;
}


uint64_t
perm_snapshot_quantile(perm_histogram_cell_t *h, double share)
{
    double      wanted;
    ngx_uint_t  i, n;

    wanted = share * perm_snapshot_count(h);

    if (wanted == 0) {
        return 0;
    }

    n = 0;

    for (i = 0; i < PERM_HISTOGRAM_BUCKETS - 1; i++) {
        n += h->count[i];

        if (n >= wanted) {
            break;
        }
    }

    return (uint64_t) 1 << i;
}
