
/*
 * The configuration as the directives leave it.
 */


#ifndef _PERM_HTTP_CONF_H_INCLUDED_
#define _PERM_HTTP_CONF_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "core/decision.h"
#include "http/complex_value.h"
#include "sync/sync.h"


typedef enum {
    PERM_ERROR_BKAPI = 0,
    PERM_ERROR_PROBLEM,
    PERM_ERROR_OFF
} perm_error_format_t;


typedef struct {
    perm_sync_conf_t        sync;
    ngx_shm_zone_t         *shm_zone;
    ngx_uint_t              used;          /* a location needs the zone */
    ngx_uint_t              required;      /* a policy may be "required" */
    ngx_uint_t              complete;      /* a location has all names */
    char                   *missing;       /* a directive that one lacks */
    ngx_int_t               ctx_index;     /* the variable of perm_ctx_t */

    /* of this process, from init_process on */
    perm_stats_cell_t      *stats;
    ngx_uint_t              serving;       /* 0: it is no worker */
    perm_sync_t            *worker;        /* NULL: no Redis configured */
} perm_main_conf_t;


typedef struct {
    perm_complex_value_t   policy_value;   /* inherited; not set: "off" */
    perm_policy_t          policy;         /* of its own requests; INVALID:
                                              it has variables */
    perm_complex_value_t   app;
    perm_complex_value_t   gateway;
    perm_complex_value_t   resource;
    perm_complex_value_t   help;           /* where to apply */

    ngx_flag_t             dry_run;
    ngx_flag_t             record;
    ngx_uint_t             on_error_allow; /* 0: deny */
    ngx_uint_t             error_format;   /* perm_error_format_t */
    ngx_flag_t             expires_header;
    ngx_uint_t             log_level;
    ngx_http_handler_pt    status;         /* of app_permission_status */
    ngx_http_handler_pt    decide;         /* of app_permission_decide */
    ngx_http_handler_pt    self;           /* of app_permission_self */
    ngx_uint_t             self_apply;     /* it takes POST */
    ngx_array_t           *app_headers;    /* ngx_str_t; of a "decide" location:
                                              lower case names of the headers
                                              that the app comes from */
    ngx_uint_t             any_host;       /* may ask for the status */
    ngx_array_t           *hosts;          /* ngx_str_t: may, as those that
                                              status/host.h names */

    ngx_msec_t             valid;          /* ms, a grant */
    ngx_msec_t             refresh;        /* ms, a grant in use is looked up
                                              again, before "valid" is over */
    ngx_msec_t             valid_denied;   /* ms, a denial */
    ngx_msec_t             stale;          /* ms after that, 0: off */
} perm_loc_conf_t;


/* of ngx_http_module_t */

void *perm_conf_create_main(ngx_conf_t *cf);
char *perm_conf_init_main(ngx_conf_t *cf, void *conf);
void *perm_conf_create_loc(ngx_conf_t *cf);
char *perm_conf_merge_loc(ngx_conf_t *cf, void *parent, void *child);


extern ngx_module_t  ngx_http_app_permission_module;


#endif /* _PERM_HTTP_CONF_H_INCLUDED_ */
