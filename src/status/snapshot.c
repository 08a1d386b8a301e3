
#include "status/snapshot.h"


#define PERM_RATE_SPAN  60   /* seconds */


static void perm_snapshot_links(perm_snapshot_t *s);
static void perm_snapshot_point(perm_stats_cell_t *stats, time_t now,
    perm_history_point_t *point);
static void perm_snapshot_rates(perm_snapshot_t *s);
static void perm_snapshot_rate(perm_rate_t *rate, perm_history_point_t *from,
    perm_history_point_t *to);


perm_snapshot_t *
perm_snapshot_take(perm_main_conf_t *pmcf, ngx_pool_t *pool)
{
    perm_zone_t        *zone;
    perm_snapshot_t    *s;
    perm_link_error_t   refusal;

    s = ngx_pcalloc(pool, sizeof(perm_snapshot_t));
    if (s == NULL) {
        return NULL;
    }

    zone = pmcf->sync.zone.zone;

    s->zone = zone;
    s->now = ngx_time();
    s->started = zone->created;
    s->redis = (pmcf->sync.redis.url != NULL);

    perm_stats_sum(&zone->stats, &s->stats, s->now);
    perm_snapshot_point(&s->stats, s->now, &s->total);

    perm_cache_stat(zone->cache, &s->cache);
    perm_recorder_stat(zone->recorder, &s->access);

    if (s->access.pending && s->access.oldest) {
        s->pending = ngx_max(s->now - s->access.oldest, 0);
    }

    s->health = zone->health;

    if (pmcf->sync.zone.state.len == 0) {
        /* of a configuration before this one */
        s->health.unsaved = 0;
    }

    s->replica = zone->link.replica;
    s->replica_since = zone->link.since;
    perm_link_state_used(&zone->link, &s->server);
    perm_link_state_error(&zone->link, &s->link_error);
    perm_link_state_refusal(&zone->link, &refusal);
    s->refused_lookups = (s->health.redis_up && refusal.since && !refusal.over
                          && s->now - refusal.last < PERM_SNAPSHOT_LONG);

    /* the newest, but nothing hides why Redis is down */

    if (s->refused_lookups
        || (s->health.redis_up && refusal.since
            && refusal.last >= s->link_error.last))
    {
        s->link_error = refusal;
    }

    s->table = perm_table_state_known(&zone->table);
    s->table_since = zone->table.since;
    s->held = (s->table == PERM_TABLE_NOT_LOADED
               && perm_table_state_elsewhere(&zone->table,
                                             pmcf->sync.source));

    perm_snapshot_links(s);

    perm_heavy_hitters_stat(zone->refused, &s->refused);
    perm_heavy_hitters_stat(zone->would_deny, &s->would_deny);

    s->expiring_missed = perm_expiring_count(zone->expiring, s->now,
                                             s->expiring);

    s->npoints = perm_history_list(&zone->history, s->now, s->points);

    if (s->npoints) {
        perm_snapshot_rates(s);
    }

    return s;
}


/* what follows from an outage, or a replica, is no matter of its own */

static void
perm_snapshot_links(perm_snapshot_t *s)
{
    time_t        since;
    perm_zone_t  *zone;

    zone = s->zone;

    s->unpushed = perm_link_state_unpushed(&zone->link, &s->health, s->now);
    s->push_refused = perm_trackers_refused(&zone->trackers);

    if (s->health.tracking
        && perm_trackers_stopped(&zone->trackers, ngx_current_msec))
    {
        s->health.tracking = 0;
        s->stopped = 1;
    }

    if (s->health.unwritten && s->health.redis_up && !s->replica && !s->held) {
        since = perm_link_state_since(&zone->link, &s->health);
        since = ngx_max(since, (time_t) s->health.unwritten);

        s->unwritten = ngx_max(s->now - since, 0);
    }
}


void
perm_snapshot_note(perm_zone_t *zone)
{
    time_t                now;
    perm_stats_cell_t     stats;
    perm_history_point_t  point;

    now = ngx_time();

    if (!perm_history_due(&zone->history, now)) {
        return;
    }

    perm_stats_sum(&zone->stats, &stats, now);
    perm_snapshot_point(&stats, now, &point);
    perm_history_add(&zone->history, &point);
}


static void
perm_snapshot_point(perm_stats_cell_t *stats, time_t now,
    perm_history_point_t *point)
{
    ngx_uint_t  i;

    ngx_memzero(point, sizeof(perm_history_point_t));

    point->time = now;
    point->hit = stats->cache[PERM_CACHE_HIT];
    point->miss = stats->cache[PERM_CACHE_MISS];
    point->stale = stats->cache[PERM_CACHE_STALE];

    for (i = 0; i < PERM_REASONS; i++) {
        point->allow += stats->requests[0][PERM_ALLOW][i];
        point->denied[i] = stats->requests[0][PERM_DENY][i];
        point->deny += point->denied[i];
        point->fail += stats->requests[0][PERM_FAIL][i];
        point->would_deny += stats->requests[1][PERM_DENY][i]
                             + stats->requests[1][PERM_FAIL][i];
    }
}


static void
perm_snapshot_rates(perm_snapshot_t *s)
{
    ngx_uint_t             i;
    perm_history_point_t  *from;

    for (i = s->npoints - 1; i > 0; i--) {
        if (s->now - s->points[i].time >= PERM_RATE_SPAN) {
            break;
        }
    }

    from = &s->points[i];

    if (s->now - from->time >= PERM_HISTORY_STEP) {
        perm_snapshot_rate(&s->rate, from, &s->total);
    }

    if (from->time - s->points[0].time >= PERM_RATE_SPAN) {
        perm_snapshot_rate(&s->rate_before, &s->points[0], from);
    }
}


static void
perm_snapshot_rate(perm_rate_t *rate, perm_history_point_t *from,
    perm_history_point_t *to)
{
    double      span, deny, fail;
    ngx_uint_t  i, n, most;

    span = (double) (to->time - from->time);
    deny = (double) (to->deny - from->deny);
    fail = (double) (to->fail - from->fail);
    most = 0;

    for (i = 0; i < PERM_REASONS; i++) {
        n = to->denied[i] - from->denied[i];

        if (n > most) {
            most = n;
            rate->reason = i;
        }
    }

    rate->known = 1;
    rate->checks = (deny + fail + (double) (to->allow - from->allow)
                    + (double) (to->would_deny - from->would_deny)) / span;
    rate->denied = deny / span;
    rate->failed = fail / span;
}
