
/*
 * The context of one request: what it asks for, and what was decided.
 */


#ifndef _PERM_HTTP_CTX_H_INCLUDED_
#define _PERM_HTTP_CTX_H_INCLUDED_


#include "http/conf.h"


typedef struct perm_suspend_s  perm_suspend_t;


typedef struct {
    ngx_http_request_t    *request;
    perm_main_conf_t      *pmcf;
    perm_loc_conf_t       *plcf;

    perm_policy_t          policy;
    perm_cache_status_t    cache;
    perm_decision_t        decision;
    uint64_t               started;    /* usec, 0: not timed */

    perm_suspend_t        *suspend;    /* NULL: it never waited */
    void                  *self;       /* of http/self.c */
    unsigned               decided:1;
    unsigned               content:1;  /* of a content handler, not of the
                                          PRECONTENT phase */
    unsigned               twice:1;    /* app_permission_decide: an argument */

    /* from here on not zeroed */
    uint64_t               hash;       /* of the tuple, once it was looked up */
    perm_tuple_t           tuple;      /* of the request's pool; set with the
                                          policy, unless that is "off" */
    perm_cache_entry_t     entry;      /* that decided: of HIT and STALE */
    int64_t                pushed;     /* ms, of perm_trackers_valid() before
                                          the entry was found */
} perm_ctx_t;


/*
 * Makes a place for the context among a request's variables.  Internal
 * redirects keep variables and clear the contexts of modules.  For the
 * preconfiguration; NGX_OK or NGX_ERROR.
 */
ngx_int_t perm_ctx_add_variable(ngx_conf_t *cf);


/*
 * A new context, which becomes the one of ngx_http_get_module_ctx().  What
 * waits on behalf of an earlier context finds that it is no longer this one.
 * NULL: memory is out.
 */
perm_ctx_t *perm_ctx_create(ngx_http_request_t *r);


/*
 * Makes it the context that perm_ctx_get() returns, also of the main request
 * that a subrequest is of.  Returns the one before,
 * or NULL: there is one when an internal redirect has led the request here.
 */
perm_ctx_t *perm_ctx_publish(perm_ctx_t *ctx);


/*
 * The context that the variables tell of, also in a subrequest and after an
 * internal redirect.  NULL: there is none.
 */
perm_ctx_t *perm_ctx_get(ngx_http_request_t *r);


/* as $app_permission_cache gives it; empty where no lookup was needed */

perm_str_t perm_ctx_cache_name(perm_cache_status_t status);


/* a line of the debug log; the names are valid, and can stand in a log */

#define perm_ctx_debug(ctx, text)                                             \
    ngx_log_debug6(NGX_LOG_DEBUG_HTTP, (ctx)->request->connection->log, 0,    \
                   "app_permission: " text ", app \"%*s\", "                  \
                   "gateway \"%*s\", resource \"%*s\"",                       \
                   (ctx)->tuple.app.len, (ctx)->tuple.app.data,               \
                   (ctx)->tuple.gateway.len, (ctx)->tuple.gateway.data,       \
                   (ctx)->tuple.resource.len, (ctx)->tuple.resource.data)


#endif /* _PERM_HTTP_CTX_H_INCLUDED_ */
