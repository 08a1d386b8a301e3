
#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "http/ctx.h"
#include "http/handler.h"
#include "http/variables.h"
#include "module/abi.h"
#include "module/directives.h"
#include "shm/former.h"
#include "status/status.h"


static ngx_int_t perm_preconfiguration(ngx_conf_t *cf);
static ngx_int_t perm_postconfiguration(ngx_conf_t *cf);
static ngx_int_t perm_zone_created(ngx_shm_zone_t *shm_zone);
static ngx_int_t perm_init_module(ngx_cycle_t *cycle);
static ngx_int_t perm_init_process(ngx_cycle_t *cycle);
static void perm_exit_process(ngx_cycle_t *cycle);
static void perm_exit_master(ngx_cycle_t *cycle);
static perm_main_conf_t *perm_cycle_conf(ngx_cycle_t *cycle);


static ngx_http_module_t  ngx_http_app_permission_module_ctx = {
    perm_preconfiguration,                 /* preconfiguration */
    perm_postconfiguration,                /* postconfiguration */

    perm_conf_create_main,                 /* create main configuration */
    perm_conf_init_main,                   /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    perm_conf_create_loc,                  /* create location configuration */
    perm_conf_merge_loc                    /* merge location configuration */
};


ngx_module_t  ngx_http_app_permission_module = {
    NGX_MODULE_V1,
    &ngx_http_app_permission_module_ctx,   /* module context */
    perm_directives,                       /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    perm_init_module,                      /* init module */
    perm_init_process,                     /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    perm_exit_process,                     /* exit process */
    perm_exit_master,                      /* exit master */
    NGX_MODULE_V1_PADDING
};


static ngx_int_t
perm_preconfiguration(ngx_conf_t *cf)
{
    if (perm_abi_check(cf) != NGX_OK
        || perm_ctx_add_variable(cf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return perm_variables_add(cf);
}


static ngx_int_t
perm_postconfiguration(ngx_conf_t *cf)
{
    perm_main_conf_t           *pmcf;
    perm_redis_conf_t          *redis;
    ngx_http_handler_pt        *h;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_core_main_conf_t  *cmcf;

    pmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_app_permission_module);

    if (pmcf->required && pmcf->sync.redis.url == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "a policy may be \"required\", which needs "
                      "\"app_permission_redis\" in the http block, as in "
                      "\"app_permission_redis redis://127.0.0.1:6379;\"");
        return NGX_ERROR;
    }

    if (pmcf->missing && !pmcf->complete) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"app_permission required\" needs \"%s\", and no "
                      "location has all that it needs", pmcf->missing);
        return NGX_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    redis = &pmcf->sync.redis;
    redis->resolver = clcf->resolver;
    redis->resolver_timeout = clcf->resolver_timeout;

    if (redis->url && perm_redis_conf_init(cf, redis) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!pmcf->used) {
        return NGX_OK;
    }

    pmcf->sync.zone.created = perm_zone_created;
    pmcf->shm_zone = perm_zone_add(cf, &pmcf->sync.zone,
                                   &ngx_http_app_permission_module);
    if (pmcf->shm_zone == NULL) {
        return NGX_ERROR;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PRECONTENT_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = perm_handler;

    return NGX_OK;
}


static ngx_int_t
perm_zone_created(ngx_shm_zone_t *shm_zone)
{
    perm_zone_conf_t  *conf;

    conf = shm_zone->data;

    if (conf->state.len == 0 || ngx_test_config) {
        return NGX_OK;
    }

    return perm_state_read(&conf->state, conf->zone, shm_zone->shm.log);
}


static ngx_int_t
perm_init_module(ngx_cycle_t *cycle)
{
    ngx_shm_zone_t    *former;
    perm_main_conf_t  *pmcf;
    perm_sync_conf_t  *sync;
    perm_zone_conf_t  *replaced;

    pmcf = perm_cycle_conf(cycle);

    if (pmcf == NULL || ngx_test_config) {
        return NGX_OK;
    }

    sync = &pmcf->sync;
    perm_sync_configured(sync);
    former = perm_zone_former(pmcf->shm_zone);

    if (former) {
        replaced = former->data;
        replaced->zone->replaced = 1;

        /* its workers learn of another Redis, as those of a zone that stays */

        if (sync->redis.url) {
            replaced->zone->trackers.source = sync->source;
        }
    }

    perm_former_keep(former, sync->zone.zone);

    if (sync->zone.state.len == 0) {
        return NGX_OK;
    }

    sync->state = perm_state_files_open(cycle->pool, &sync->zone.state,
                                        cycle->log);

    if (sync->state) {
        return NGX_OK;
    }

    if (ngx_is_init_cycle(cycle->old_cycle)) {
        return NGX_ERROR;
    }

    /* an error here would end the master of an nginx that runs */

    ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                  "app_permission: the state file \"%V\" is not written "
                  "before nginx is reloaded again", &sync->zone.state);

    return NGX_OK;
}


static ngx_int_t
perm_init_process(ngx_cycle_t *cycle)
{
    perm_main_conf_t  *pmcf;

    pmcf = perm_cycle_conf(cycle);

    if (pmcf == NULL) {
        return NGX_OK;
    }

    pmcf->stats = perm_stats_cell(&pmcf->sync.zone.zone->stats, ngx_worker);

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        /* the cache manager and loader come here, too */
        return NGX_OK;
    }

    pmcf->serving = 1;
    perm_status_start(cycle);

    if (pmcf->sync.redis.url == NULL) {
        return NGX_OK;
    }

    pmcf->worker = perm_sync_start(&pmcf->sync, cycle);

    return pmcf->worker ? NGX_OK : NGX_ERROR;
}


static void
perm_exit_process(ngx_cycle_t *cycle)
{
    perm_main_conf_t  *pmcf;

    pmcf = perm_cycle_conf(cycle);

    if (pmcf && pmcf->worker) {
        perm_sync_stop(pmcf->worker);
        pmcf->worker = NULL;
    }
}


/* all workers are gone, and their zone is still here */

static void
perm_exit_master(ngx_cycle_t *cycle)
{
    perm_main_conf_t  *pmcf;

    pmcf = perm_cycle_conf(cycle);

    if (pmcf == NULL || pmcf->sync.state == NULL) {
        return;
    }

    perm_former_take_all(pmcf->sync.zone.zone);

    (void) perm_state_files_save(pmcf->sync.state, pmcf->sync.zone.zone,
                                 cycle->log);
}


/* NULL when nothing of the module is in use */

static perm_main_conf_t *
perm_cycle_conf(ngx_cycle_t *cycle)
{
    perm_main_conf_t  *pmcf;

    pmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_app_permission_module);

    return (pmcf && pmcf->shm_zone) ? pmcf : NULL;
}
