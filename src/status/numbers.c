
#include "status/numbers.h"


#define PERM_NUMBER(kind, field)                                              \
    PERM_NUMBER_ ## kind, offsetof(perm_snapshot_t, field)


const perm_number_t  perm_numbers[] = {

    { PERM_NUMBER(PLAIN, total.hit), "cache", "hit",
      "cache_lookups_total{result=\"hit\"}",
      "Checks that needed a grant, by where it came from." },
    { PERM_NUMBER(PLAIN, total.miss), "cache", "miss",
      "cache_lookups_total{result=\"miss\"}", NULL },
    { PERM_NUMBER(PLAIN, total.stale), "cache", "stale",
      "cache_lookups_total{result=\"stale\"}", NULL },
    { PERM_NUMBER(PLAIN, cache.entries), "cache", "entries", "cache_entries",
      "Entries in the cache." },
    { PERM_NUMBER(PLAIN, cache.denied), "cache", "denied_entries",
      "cache_denied_entries", "Entries in the cache that have no grant." },
    { PERM_NUMBER(PLAIN, cache.capacity), "cache", "capacity",
      "cache_capacity_entries", "Entries that the cache has room for." },
    { PERM_NUMBER(PLAIN, cache.evicted), "cache", "evicted",
      "cache_evictions_total", "Entries that made room for others." },
    { PERM_NUMBER(PLAIN, stats.refreshes), "cache", "refreshes",
      "cache_refreshes_total",
      "Lookups ahead of the end of an entry in use." },
    { PERM_NUMBER(AGE, stats.age.oldest), "cache", "oldest_answer_seconds",
      "cache_oldest_answer_seconds",
      "Age of the oldest cached answer that decided in the last one to two "
      "minutes; hits are sampled." },

    { PERM_NUMBER(FLAG, redis), "redis", "configured", NULL, NULL },
    { PERM_NUMBER(FLAG, health.redis_up), "redis", "up", "redis_up",
      "1 while every worker has its link to Redis." },
    { PERM_NUMBER(PLAIN, health.redis_since), "redis", "since", NULL, NULL },
    { PERM_NUMBER(SERVER, server.generation), "redis", "server", NULL, NULL },
    { PERM_NUMBER(FLAG, replica), "redis", "replica", "redis_replica",
      "1 while some worker reaches a replica only, whose answers are stale." },
    { PERM_NUMBER(LINK_ERROR, link_error.last), "redis", "last_error",
      "redis_last_error_timestamp_seconds",
      "When the link to Redis last met an error, unix time; 0: never. The "
      "JSON has the cause." },
    { PERM_NUMBER(PLAIN, stats.redis.commands), "redis", "commands",
      "redis_commands_total",
      "Commands that Redis answered, errors included." },
    { PERM_NUMBER(PLAIN, stats.redis.errors), "redis", "errors",
      "redis_errors_total", "Error replies, time-outs and lost links." },
    { PERM_NUMBER(PLAIN, stats.unreadable_grants), "redis", "unreadable_grants",
      "unreadable_grants_total", "Grants whose value could not be read." },
    { PERM_NUMBER(PLAIN, stats.limited), "redis", "limited_lookups",
      "lookups_limited_total",
      "Lookups that app_permission_lookup_limit delayed or refused." },

    { PERM_NUMBER(LOADED, table), "table", "loaded", "table_loaded",
      "1 while the grant table in Redis is loaded." },
    { PERM_NUMBER(PLAIN, table_since), "table", "since", NULL, NULL },

    { PERM_NUMBER(FLAG, health.tracking), "invalidation", "active",
      "invalidation_active", "1 while Redis pushes changes of grants." },
    { PERM_NUMBER(PLAIN, health.tracking_since), "invalidation", "since",
      NULL, NULL },
    { PERM_NUMBER(PLAIN, stats.invalidations), "invalidation", "received",
      "invalidations_received_total", "Changed keys that Redis pushed." },
    { PERM_NUMBER(MSEC, health.lag), "invalidation", "last_lag_ms",
      "invalidation_lag_seconds",
      "How long a pushed change takes, by the last heartbeat." },
    { PERM_NUMBER(MSEC, health.lag_worst), "invalidation", "worst_lag_ms",
      "invalidation_lag_worst_seconds", "The worst of these since start." },

    { PERM_NUMBER(PLAIN, access.recorded), "access", "recorded",
      "access_recorded_total",
      "Last accesses recorded: seconds in which a grant allowed an app's "
      "call of a resource." },
    { PERM_NUMBER(PLAIN, access.pending), "access", "pending",
      "access_pending", "Last accesses that Redis has not acknowledged yet." },
    { PERM_NUMBER(PLAIN, access.flushed), "access", "flushed",
      "access_flushed_total", "Last accesses that Redis acknowledged." },
    { PERM_NUMBER(PLAIN, access.dropped), "access", "dropped",
      "access_dropped_total",
      "Last accesses lost because the zone had no room." },
    { PERM_NUMBER(PLAIN, pending), "access", "oldest_pending_seconds",
      "access_oldest_pending_seconds",
      "For how long the oldest of them has been pending." },
    { PERM_NUMBER(PLAIN, access.capacity), "access", "capacity",
      "access_capacity", "Last accesses that the zone has room for." },
    { PERM_NUMBER(PLAIN, health.unwritten), "access", "unwritten_since",
      "access_unwritten_since_seconds",
      "Since when Redis has not taken last accesses, unix time; 0: it does." },
    { PERM_NUMBER(PLAIN, health.clock_ahead), "access", "clock_ahead_seconds",
      "clock_ahead_seconds",
      "How far this machine's clock is ahead of Redis's; 0: it is not." },

    { PERM_NUMBER(PLAIN, stats.self.shown), "self", "shown",
      "self_total{result=\"shown\"}",
      "What app_permission_self did: showed an app what it has, took a request "
      "for a grant, or could not ask Redis." },
    { PERM_NUMBER(PLAIN, stats.self.requests), "self", "requests",
      "self_total{result=\"request\"}", NULL },
    { PERM_NUMBER(PLAIN, stats.self.unavailable), "self", "unavailable",
      "self_total{result=\"unavailable\"}", NULL },

    { PERM_NUMBER(PLAIN, refused.kept), "", NULL,
      "list_entries{list=\"refused\"}",
      "Entries that the list of the status keeps." },
    { PERM_NUMBER(PLAIN, would_deny.kept), "", NULL,
      "list_entries{list=\"would_deny\"}", NULL },
    { PERM_NUMBER(PLAIN, refused.distinct), "", NULL,
      "list_distinct{list=\"refused\"}",
      "Different calls seen for the list; estimated where it does not have all "
      "of them." },
    { PERM_NUMBER(PLAIN, would_deny.distinct), "", NULL,
      "list_distinct{list=\"would_deny\"}", NULL },

    { PERM_NUMBER(PLAIN, started), "", NULL, "start_time_seconds",
      "When the counters started, unix time." },

    { PERM_NUMBER_PLAIN, 0, NULL, NULL, NULL, NULL }
};


const perm_number_decision_t
    perm_numbers_decisions[PERM_NUMBERS_DECISIONS] =
{
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
