
/*
 * The cached entry of a request's tuple, and whether it may decide.  Inline,
 * since every hit comes this way.
 */


#ifndef _PERM_HTTP_CACHED_H_INCLUDED_
#define _PERM_HTTP_CACHED_H_INCLUDED_


#include "http/ctx.h"


/* 1: ctx->entry and ctx->decision are set; ctx->hash has to be before */

static ngx_inline ngx_uint_t
perm_cached_find(perm_ctx_t *ctx)
{
    ngx_msec_t    now;
    perm_zone_t  *zone;

    now = ngx_current_msec;
    zone = ctx->pmcf->sync.zone.zone;

    ctx->pushed = perm_trackers_valid(&zone->trackers, now);

    if (perm_cache_lookup(zone->cache, &ctx->tuple, ctx->hash, now,
                          &ctx->entry)
        != NGX_OK)
    {
        return 0;
    }

    ctx->decision = perm_decision_make(&ctx->entry.grants, ngx_time());

    return 1;
}


/* ms since the lookup; the clock of another worker may be a little ahead */

static ngx_inline int64_t
perm_cached_age(perm_ctx_t *ctx)
{
    return (int64_t) ngx_current_msec - ctx->entry.fetched;
}


/*
 * ms of app_permission_cache_valid.  An unreadable value may have been damaged
 * on its way, or be mended at once by whoever wrote it.
 */

#define PERM_CACHED_UNREADABLE  1000

static ngx_inline int64_t
perm_cached_valid(perm_ctx_t *ctx)
{
    if (ctx->decision.outcome == PERM_ALLOW) {
        return ctx->plcf->valid;
    }

    return (ctx->entry.grants.gateway == PERM_GRANT_UNREADABLE
            || ctx->entry.grants.resource == PERM_GRANT_UNREADABLE)
           ? ngx_min(ctx->plcf->valid_denied, PERM_CACHED_UNREADABLE)
           : ctx->plcf->valid_denied;
}


/* may it decide without a lookup? */

static ngx_inline ngx_uint_t
perm_cached_fresh(perm_ctx_t *ctx)
{
    return ctx->entry.trusted
           && perm_cached_age(ctx) < ngx_min(perm_cached_valid(ctx),
                                             ctx->pushed);
}


/* may it decide while Redis cannot be asked? */

static ngx_inline ngx_uint_t
perm_cached_stale_ok(perm_ctx_t *ctx)
{
    return ctx->plcf->stale
           && perm_table_state_stale_ok(&ctx->pmcf->sync.zone.zone->table,
                                        &ctx->tuple, &ctx->entry)
           && perm_cached_age(ctx)
              < perm_cached_valid(ctx) + (int64_t) ctx->plcf->stale;
}


#endif /* _PERM_HTTP_CACHED_H_INCLUDED_ */
