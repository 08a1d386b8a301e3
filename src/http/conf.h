
/*
 * The configuration as the directives leave it, and what a request carries.
 */


#ifndef _PERM_CONF_H_INCLUDED_
#define _PERM_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "core/decision.h"
#include "http/zone.h"
#include "redis/conf.h"


typedef struct perm_fetch_s   perm_fetch_t;
typedef struct perm_flush_s   perm_flush_t;
typedef struct perm_watch_s   perm_watch_t;
typedef struct perm_state_s   perm_state_t;


typedef enum {
    PERM_ERROR_BKAPI = 0,
    PERM_ERROR_PROBLEM,
    PERM_ERROR_OFF
} perm_error_format_t;


/* a text with variables, or a constant that was checked at start */

typedef struct {
    ngx_http_complex_value_t  *value;     /* NULL: not set */
    ngx_int_t                  index;     /* it is this variable alone, or
                                             NGX_ERROR */
    ngx_str_t                  constant;  /* where it has no variables */
} perm_value_t;


typedef struct {
    perm_redis_conf_t      redis;
    ngx_shm_zone_t        *shm_zone;
    perm_zone_conf_t       zone;
    size_t                 zone_size;      /* bytes */
    ngx_msec_t             flush;          /* ms between flushes */
    perm_limit_conf_t      limit;          /* lookups of unknown keys */
    ngx_uint_t             required;       /* a policy may be "required" */
    perm_state_t          *state;          /* NULL: no state= */

    /* of this worker, from init_process on */
    perm_stats_cell_t     *stats;
    perm_fetch_t          *fetch;          /* NULL: no Redis configured */
    perm_flush_t          *flusher;
    perm_watch_t          *watch;
} perm_main_conf_t;


typedef struct {
    perm_value_t           policy_value;
    perm_policy_t          policy;         /* INVALID: it has variables */
    perm_value_t           app;
    perm_value_t           gateway;
    perm_value_t           resource;

    ngx_flag_t             dry_run;
    ngx_flag_t             record;
    ngx_uint_t             on_error_allow;
    ngx_uint_t             error_format;   /* perm_error_format_t */
    ngx_flag_t             expires_header;
    ngx_uint_t             log_level;

    ngx_msec_t             valid;          /* ms, a grant */
    ngx_msec_t             valid_denied;   /* ms, a denial */
    ngx_msec_t             stale;          /* ms after that, 0: off */
} perm_loc_conf_t;


/*
 * One request's check.  Lives as long as the request, also across internal
 * redirects, which clear the module's context: perm_check_get() finds it.
 */

typedef struct {
    ngx_http_request_t    *request;
    perm_loc_conf_t       *conf;           /* of the location checked */
    perm_policy_t          policy;
    perm_call_t            call;           /* in the request's pool */
    uint64_t               hash;
    perm_decision_t        decision;
    perm_cache_status_t    cache;
    ngx_uint_t             dry_run;        /* what the decision was worth */
    unsigned               decided:1;
    unsigned               waiting:1;
    uint64_t               started;        /* usec, 0: not measured */
    void                  *waiter;         /* perm_fetch_waiter_t */
} perm_check_t;


extern ngx_module_t  ngx_http_app_permission_module;


#endif /* _PERM_CONF_H_INCLUDED_ */
