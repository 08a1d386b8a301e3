
#include "status/explain_json.h"


static void perm_explain_cache_json(perm_writer_t *w, perm_loc_conf_t *plcf,
    perm_explain_cache_t *cache);
static const char *perm_explain_state(perm_explain_cache_t *cache);
static void perm_explain_redis_json(perm_writer_t *w,
    perm_explain_redis_t *redis);
static void perm_explain_now(perm_writer_t *w, perm_loc_conf_t *plcf,
    perm_explain_cache_t *cache, perm_explain_redis_t *redis);
static void perm_explain_differs(perm_writer_t *w,
    perm_explain_cache_t *cache, perm_explain_redis_t *redis);
static void perm_explain_name(perm_writer_t *w, const char *member,
    perm_str_t name);
static void perm_explain_expires(perm_writer_t *w, const char *member,
    int64_t expires);
static void perm_explain_decision(perm_writer_t *w,
    perm_decision_t *decision);


static const char *perm_explain_bool[] = { "false", "true" };


void
perm_explain_json(perm_writer_t *w, perm_tuple_t *tuple, perm_loc_conf_t *plcf,
    perm_explain_cache_t *cache, perm_explain_redis_t *redis)
{
    perm_writer_put(w, "{\"now\":%T,", ngx_time());

    perm_explain_name(w, "gateway", tuple->gateway);
    perm_explain_name(w, "resource", tuple->resource);
    perm_explain_name(w, "app", tuple->app);

    perm_explain_now(w, plcf, cache, redis);
    perm_explain_cache_json(w, plcf, cache);
    perm_explain_redis_json(w, redis);
    perm_explain_differs(w, cache, redis);

    perm_writer_put(w, "}" CRLF);
}


/* what a call with policy "required" would get at this moment, and by what */

static void
perm_explain_now(perm_writer_t *w, perm_loc_conf_t *plcf,
    perm_explain_cache_t *cache, perm_explain_redis_t *redis)
{
    char             *by;
    perm_decision_t   decision;

    if (cache->fresh) {
        by = "cache";
        decision = cache->decision;

    } else if (redis->answered && redis->loaded) {
        by = "redis";
        decision = redis->decision;

    } else if (cache->found && cache->stale) {
        by = "stale";
        decision = cache->decision;

    } else {
        by = "on_error";
        decision = perm_decision_unavailable(plcf->on_error_allow);
    }

    perm_explain_decision(w, &decision);
    perm_writer_put(w, ",\"by\":\"%s\"", by);
}


static const char *
perm_explain_state(perm_explain_cache_t *cache)
{
    if (cache->fresh) {
        return "fresh";
    }

    if (!cache->entry.unchanged) {
        return "changed";
    }

    return cache->entry.trusted ? "aged" : "distrusted";
}


static void
perm_explain_cache_json(perm_writer_t *w, perm_loc_conf_t *plcf,
    perm_explain_cache_t *cache)
{
    int64_t              valid;
    perm_cache_entry_t  *entry;

    if (!cache->found) {
        perm_writer_put(w, ",\"cache\":{\"found\":false,"
                        "\"current_generation\":{\"epoch\":%uD,"
                        "\"change\":[%uD,%uD]}}",
                        cache->generation.epoch, cache->generation.change[0],
                        cache->generation.change[1]);
        return;
    }

    entry = &cache->entry;
    valid = (cache->decision.outcome == PERM_ALLOW) ? plcf->valid
                                                    : plcf->valid_denied;

    perm_writer_put(w, ",\"cache\":{\"found\":true,\"state\":\"%s\","
                    "\"trusted\":%s,\"unchanged\":%s,\"stale_allowed\":%s,"
                    "\"age_ms\":%L,\"valid_until\":%L,",
                    perm_explain_state(cache),
                    perm_explain_bool[entry->trusted],
                    perm_explain_bool[entry->unchanged],
                    perm_explain_bool[cache->stale], cache->age,
                    (int64_t) ngx_time() + (valid - cache->age) / 1000);

    perm_writer_put(w, "\"generation\":{\"epoch\":%uD,\"change\":[%uD,%uD]},"
                    "\"current_generation\":{\"epoch\":%uD,"
                    "\"change\":[%uD,%uD]},",
                    entry->generation.epoch, entry->generation.change[0],
                    entry->generation.change[1],
                    cache->generation.epoch, cache->generation.change[0],
                    cache->generation.change[1]);

    perm_explain_expires(w, "gateway_expires", entry->grants.gateway);
    perm_explain_expires(w, "resource_expires", entry->grants.resource);
    perm_explain_decision(w, &cache->decision);

    perm_writer_put(w, "}");
}


static void
perm_explain_redis_json(perm_writer_t *w, perm_explain_redis_t *redis)
{
    perm_writer_put(w, ",\"redis\":{\"answered\":%s,",
                    perm_explain_bool[redis->answered]);

    if (redis->answered) {
        perm_writer_put(w, "\"took_ms\":%M,\"table_loaded\":%s,", redis->took,
                        perm_explain_bool[redis->loaded != 0]);

        perm_explain_expires(w, "gateway_expires", redis->grants.gateway);
        perm_explain_expires(w, "resource_expires", redis->grants.resource);

    } else {
        perm_writer_put(w, "\"error\":");
        perm_writer_json(w, redis->error);
        perm_writer_put(w, ",");
    }

    perm_explain_decision(w, &redis->decision);

    perm_writer_put(w, "}");
}


/* the members in which the two sides are not the same, when both spoke */

static void
perm_explain_differs(perm_writer_t *w, perm_explain_cache_t *cache,
    perm_explain_redis_t *redis)
{
    char           *comma;
    perm_grants_t  *one, *two;

    comma = "";

    perm_writer_put(w, ",\"differs\":[");

    if (cache->found && redis->answered) {
        one = &cache->entry.grants;
        two = &redis->grants;

        if (one->gateway != two->gateway) {
            perm_writer_put(w, "\"gateway_expires\"");
            comma = ",";
        }

        if (one->resource != two->resource) {
            perm_writer_put(w, "%s\"resource_expires\"", comma);
            comma = ",";
        }

        if (cache->decision.outcome != redis->decision.outcome) {
            perm_writer_put(w, "%s\"decision\"", comma);
            comma = ",";
        }

        if (cache->decision.reason != redis->decision.reason) {
            perm_writer_put(w, "%s\"reason\"", comma);
        }
    }

    perm_writer_put(w, "]");
}


static void
perm_explain_name(perm_writer_t *w, const char *member, perm_str_t name)
{
    perm_writer_put(w, "\"%s\":", member);
    perm_writer_json(w, name);
    perm_writer_put(w, ",");
}


/* null: there is no such grant */

static void
perm_explain_expires(perm_writer_t *w, const char *member, int64_t expires)
{
    if (expires == PERM_GRANT_UNREADABLE) {
        perm_writer_put(w, "\"%s\":\"unreadable\",", member);

    } else if (expires < 0) {
        perm_writer_put(w, "\"%s\":null,", member);

    } else {
        perm_writer_put(w, "\"%s\":%L,", member, expires);
    }
}


static void
perm_explain_decision(perm_writer_t *w, perm_decision_t *decision)
{
    perm_str_t  outcome, reason;

    outcome = perm_decision_outcome_name(decision->outcome);
    reason = perm_decision_reason_name(decision->reason);

    perm_writer_put(w, "\"decision\":\"%*s\",\"reason\":\"%*s\"", outcome.len,
                    outcome.data, reason.len, reason.data);
}
