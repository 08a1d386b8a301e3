
#include "http/conf.h"


#define PERM_ZONE_DEFAULT   (32 * 1024 * 1024)        /* bytes */
#define PERM_FLUSH          5000                      /* ms */
#define PERM_LIMIT          10000                     /* rate and burst */
#define PERM_VALID          (60 * 1000)               /* ms */
#define PERM_VALID_DENIED   (10 * 1000)               /* ms */
#define PERM_STALE          (24 * 60 * 60 * 1000)     /* ms */


static perm_policy_t perm_conf_policy(perm_loc_conf_t *conf, ngx_uint_t own);
static void perm_conf_named(ngx_conf_t *cf);
static ngx_http_core_loc_conf_t *perm_conf_location(ngx_queue_t *q);
static ngx_http_core_loc_conf_t *perm_conf_checked(ngx_queue_t *locations);
static char *perm_conf_names(ngx_conf_t *cf, perm_loc_conf_t *conf,
    ngx_uint_t own);
static char *perm_conf_content(ngx_conf_t *cf, perm_loc_conf_t *prev,
    perm_loc_conf_t *conf);
static char *perm_conf_hosts(ngx_conf_t *cf, perm_loc_conf_t *conf);
static char *perm_conf_decide(ngx_conf_t *cf, perm_loc_conf_t *conf);
static ngx_int_t perm_conf_app_headers(ngx_conf_t *cf,
    perm_loc_conf_t *plcf);
static ngx_uint_t perm_conf_innermost(ngx_http_core_loc_conf_t *clcf);


static ngx_str_t  perm_conf_bkapi_variable =
    ngx_string("app_permission_bkapi_app_code");
static ngx_str_t  perm_conf_bkapi_header =
    ngx_string("x_bkapi_authorization");


void *
perm_conf_create_main(ngx_conf_t *cf)
{
    perm_main_conf_t  *pmcf;

    pmcf = ngx_pcalloc(cf->pool, sizeof(perm_main_conf_t));
    if (pmcf == NULL) {
        return NULL;
    }

    perm_redis_conf_create(&pmcf->sync.redis);

    pmcf->sync.flush = NGX_CONF_UNSET_MSEC;
    pmcf->sync.limit.rate = NGX_CONF_UNSET_UINT;

    return pmcf;
}


char *
perm_conf_init_main(ngx_conf_t *cf, void *conf)
{
    perm_main_conf_t *pmcf = conf;

    if (pmcf->sync.zone.size == 0) {
        pmcf->sync.zone.size = PERM_ZONE_DEFAULT;
    }

    ngx_conf_init_msec_value(pmcf->sync.flush, PERM_FLUSH);

    if (pmcf->sync.limit.rate == NGX_CONF_UNSET_UINT) {
        pmcf->sync.limit.rate = PERM_LIMIT;
        pmcf->sync.limit.burst = PERM_LIMIT;
    }

    return NGX_CONF_OK;
}


void *
perm_conf_create_loc(ngx_conf_t *cf)
{
    perm_loc_conf_t  *plcf;

    plcf = ngx_pcalloc(cf->pool, sizeof(perm_loc_conf_t));
    if (plcf == NULL) {
        return NULL;
    }

    perm_complex_value_create(&plcf->policy_value);
    perm_complex_value_create(&plcf->app);
    perm_complex_value_create(&plcf->gateway);
    perm_complex_value_create(&plcf->resource);
    perm_complex_value_create(&plcf->help);

    plcf->dry_run = NGX_CONF_UNSET;
    plcf->record = NGX_CONF_UNSET;
    plcf->on_error_allow = NGX_CONF_UNSET_UINT;
    plcf->error_format = NGX_CONF_UNSET_UINT;
    plcf->expires_header = NGX_CONF_UNSET;
    plcf->log_level = NGX_CONF_UNSET_UINT;
    plcf->valid = NGX_CONF_UNSET_MSEC;
    plcf->valid_denied = NGX_CONF_UNSET_MSEC;
    plcf->stale = NGX_CONF_UNSET_MSEC;

    return plcf;
}


char *
perm_conf_merge_loc(ngx_conf_t *cf, void *parent, void *child)
{
    perm_loc_conf_t *prev = parent;
    perm_loc_conf_t *conf = child;

    ngx_uint_t                 own;
    perm_main_conf_t          *pmcf;
    ngx_http_core_loc_conf_t  *clcf;

    own = (conf->policy_value.complex != NULL);

    perm_complex_value_merge(&conf->policy_value, &prev->policy_value);

    if (perm_conf_content(cf, prev, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    conf->policy = clcf->noname ? prev->policy : perm_conf_policy(conf, own);

    if (conf->policy == PERM_POLICY_OFF) {
        perm_conf_named(cf);
    }

    perm_complex_value_merge(&conf->app, &prev->app);
    perm_complex_value_merge(&conf->gateway, &prev->gateway);
    perm_complex_value_merge(&conf->resource, &prev->resource);
    perm_complex_value_merge(&conf->help, &prev->help);

    ngx_conf_merge_value(conf->dry_run, prev->dry_run, 0);
    ngx_conf_merge_value(conf->record, prev->record, 1);
    ngx_conf_merge_uint_value(conf->on_error_allow, prev->on_error_allow, 0);
    ngx_conf_merge_uint_value(conf->error_format, prev->error_format,
                              PERM_ERROR_BKAPI);
    ngx_conf_merge_value(conf->expires_header, prev->expires_header, 0);
    ngx_conf_merge_uint_value(conf->log_level, prev->log_level,
                              NGX_LOG_WARN);
    ngx_conf_merge_msec_value(conf->stale, prev->stale, PERM_STALE);

    if (conf->policy != PERM_POLICY_OFF && conf->stale) {
        pmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_app_permission_module);
        pmcf->sync.stale = 1;
    }

    if (conf->valid == NGX_CONF_UNSET_MSEC
        && conf->valid_denied == NGX_CONF_UNSET_MSEC)
    {
        conf->valid = prev->valid;
        conf->valid_denied = prev->valid_denied;
    }

    /* the directive sets both: a time that it leaves out has its default, not
       the value of the outer level */

    ngx_conf_init_msec_value(conf->valid, PERM_VALID);
    ngx_conf_init_msec_value(conf->valid_denied, PERM_VALID_DENIED);
    conf->refresh = conf->valid - conf->valid / 4;

    if (perm_conf_decide(cf, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    return perm_conf_names(cf, conf, own || conf->decide);
}


/*
 * Our content handlers change the policy of a location, which must have no
 * other content then.  They are those of an "if" or "limit_except" in it, too.
 */

static char *
perm_conf_content(ngx_conf_t *cf, perm_loc_conf_t *prev, perm_loc_conf_t *conf)
{
    ngx_uint_t                 i;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname) {
        conf->decide = prev->decide;
        conf->self = prev->self;
        conf->self_apply = prev->self_apply;
        conf->status = prev->status;
        conf->any_host = prev->any_host;
        conf->hosts = prev->hosts;
    }

    struct {
        ngx_http_handler_pt    handler;
        char                  *directive;
    } ours[] = {
        { conf->decide, "app_permission_decide" },
        { conf->self, "app_permission_self" },
        { conf->status, "app_permission_status" }
    };

    for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {

        if (ours[i].handler && clcf->handler
            && clcf->handler != ours[i].handler)
        {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"%s\" in location \"%V\" is the content there: "
                          "take away the other directive that makes content, "
                          "as \"proxy_pass\" does", ours[i].directive,
                          &clcf->name);
            return NGX_CONF_ERROR;
        }
    }

    return (conf->status && !clcf->noname) ? perm_conf_hosts(cf, conf)
                                           : NGX_CONF_OK;
}


/*
 * Adds the names of the server, which nginx frees after the configuration.
 * Those count that are exact or begin with a wildcard.  A regular expression,
 * or a name that ends with a wildcard, may match a host of a stranger.
 */

static char *
perm_conf_hosts(ngx_conf_t *cf, perm_loc_conf_t *conf)
{
    ngx_str_t                 *name;
    ngx_uint_t                 i;
    ngx_http_server_name_t    *names;
    ngx_http_core_srv_conf_t  *cscf;

    cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    if (conf->hosts == NULL) {
        conf->hosts = ngx_array_create(cf->pool, 1, sizeof(ngx_str_t));
        if (conf->hosts == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    names = cscf->server_names.elts;

    for (i = 0; i < cscf->server_names.nelts; i++) {
#if (NGX_PCRE)
        if (names[i].regex) {
            continue;
        }
#endif
        name = ngx_array_push(conf->hosts);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = names[i].name;
    }

    return NGX_CONF_OK;
}


static char *
perm_conf_decide(ngx_conf_t *cf, perm_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (conf->self
        && (conf->app.complex == NULL || conf->gateway.complex == NULL))
    {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"app_permission_self\" in location \"%V\" needs "
                      "\"%s\"", &clcf->name,
                      conf->app.complex ? "app_permission_gateway"
                                        : "app_permission_app");
        return NGX_CONF_ERROR;
    }

    if (conf->decide == NULL) {
        return NGX_CONF_OK;
    }

    if (conf->policy == PERM_POLICY_OFF) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"app_permission_decide\" in location \"%V\" has "
                      "nothing to decide: the policy is \"off\"; set "
                      "\"app_permission required\" or a variable there",
                      &clcf->name);
        return NGX_CONF_ERROR;
    }

    if (perm_conf_app_headers(cf, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * Notes the headers that the text of "app_permission_app" names: $http_NAME,
 * and the one that $app_permission_bkapi_app_code reads.
 */

static ngx_int_t
perm_conf_app_headers(ngx_conf_t *cf, perm_loc_conf_t *plcf)
{
    u_char     *p, *end;
    ngx_str_t  *name, text;

    plcf->app_headers = ngx_array_create(cf->pool, 1, sizeof(ngx_str_t));
    if (plcf->app_headers == NULL) {
        return NGX_ERROR;
    }

    if (plcf->app.complex == NULL) {
        return NGX_OK;
    }

    text = plcf->app.complex->value;
    end = text.data + text.len;

    for (p = text.data; p < end; p++) {

        if (*p != '$') {
            continue;
        }

        p += (p + 1 < end && p[1] == '{') ? 2 : 1;

        text.data = p;

        while (p < end && (isalnum(*p) || *p == '_')) {
            p++;
        }

        text.len = p - text.data;
        p--;

        name = ngx_array_push(plcf->app_headers);
        if (name == NULL) {
            return NGX_ERROR;
        }

        if (text.len == perm_conf_bkapi_variable.len
            && ngx_strncasecmp(text.data, perm_conf_bkapi_variable.data,
                               text.len)
               == 0)
        {
            *name = perm_conf_bkapi_header;

        } else if (text.len > 5
                   && ngx_strncasecmp(text.data, (u_char *) "http_", 5) == 0)
        {
            name->len = text.len - 5;
            name->data = ngx_pnalloc(cf->pool, name->len);
            if (name->data == NULL) {
                return NGX_ERROR;
            }

            ngx_strlow(name->data, text.data + 5, name->len);

        } else {
            plcf->app_headers->nelts--;
        }
    }

    return NGX_OK;
}


/*
 * The policy of this level's own requests.  What the levels inside inherit is
 * policy_value, which no content handler changes.
 */

static perm_policy_t
perm_conf_policy(perm_loc_conf_t *conf, ngx_uint_t own)
{
    perm_complex_value_t  *value;

    value = &conf->policy_value;

    if (conf->self) {
        return PERM_POLICY_OPEN;
    }

    if (value->complex == NULL || (conf->status && !own)) {
        return PERM_POLICY_OFF;
    }

    return value->fixed ? perm_decision_policy(value->text)
                        : PERM_POLICY_INVALID;
}


/*
 * Warns where a server whose policy is "off" has locations with another one,
 * and a named location without any: "try_files" or "error_page" leads requests
 * there, past the policy of the others.  The locations are not merged yet.
 */

static void
perm_conf_named(ngx_conf_t *cf)
{
    ngx_queue_t                *q;
    perm_loc_conf_t            *plcf;
    ngx_http_core_loc_conf_t   *clcf, *named, *checked;
    ngx_http_location_queue_t  *lq;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->name.len || clcf->locations == NULL) {
        return;
    }

    checked = perm_conf_checked(clcf->locations);
    if (checked == NULL) {
        return;
    }

    for (q = ngx_queue_head(clcf->locations);
         q != ngx_queue_sentinel(clcf->locations);
         q = ngx_queue_next(q))
    {
        lq = (ngx_http_location_queue_t *) q;
        named = perm_conf_location(q);

        if (!named->named) {
            continue;
        }

        plcf = named->loc_conf[ngx_http_app_permission_module.ctx_index];

        if (plcf->policy_value.complex == NULL && !plcf->status) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "location \"%V\" in %s:%ui has no "
                          "\"app_permission\", and location \"%V\" has one: "
                          "requests that are led to \"%V\" are not checked "
                          "there; set it for the server, or \"app_permission "
                          "off\" in \"%V\"", &named->name, lq->file_name,
                          lq->line, &checked->name, &named->name,
                          &named->name);
        }
    }
}


/* in Angie a location may have more names than one, each in the queue */

static ngx_http_core_loc_conf_t *
perm_conf_location(ngx_queue_t *q)
{
    ngx_http_location_queue_t  *lq = (ngx_http_location_queue_t *) q;

#ifdef angie_version
    return lq->exact ? lq->exact->conf : lq->inclusive->conf;
#else
    return lq->exact ? lq->exact : lq->inclusive;
#endif
}


/* the first location, or one inside it, with a policy that is not "off" */

static ngx_http_core_loc_conf_t *
perm_conf_checked(ngx_queue_t *locations)
{
    ngx_queue_t               *q;
    perm_loc_conf_t           *plcf;
    ngx_http_core_loc_conf_t  *clcf;

    if (locations == NULL) {
        return NULL;
    }

    for (q = ngx_queue_head(locations);
         q != ngx_queue_sentinel(locations);
         q = ngx_queue_next(q))
    {
        clcf = perm_conf_location(q);
        plcf = clcf->loc_conf[ngx_http_app_permission_module.ctx_index];

        if (plcf->policy_value.complex == NULL
            || perm_conf_policy(plcf, 1) == PERM_POLICY_OFF)
        {
            clcf = perm_conf_checked(clcf->locations);
        }

        if (clcf) {
            return clcf;
        }
    }

    return NULL;
}


/*
 * Refuses names that are not valid, and an "app_permission required" without
 * all three names.  Where that policy is only inherited, the location may be
 * one whose requests never come to the check, or one with locations inside:
 * it gets a warning, and its requests fail closed.  When no location at all has
 * what it needs, the postconfiguration refuses the configuration.
 */

static char *
perm_conf_names(ngx_conf_t *cf, perm_loc_conf_t *conf, ngx_uint_t own)
{
    char                      *missing;
    ngx_uint_t                 i;
    perm_main_conf_t          *pmcf;
    perm_complex_value_t      *value;
    ngx_http_core_loc_conf_t  *clcf;

    struct {
        perm_complex_value_t   *value;
        char                   *directive;
        int                   (*valid)(perm_str_t name);
        ngx_uint_t              max;
        char                   *more;
    } names[] = {
        { &conf->gateway, "app_permission_gateway", perm_name_gateway_valid,
          PERM_GATEWAY_MAX, "" },
        { &conf->resource, "app_permission_resource", perm_name_resource_valid,
          PERM_RESOURCE_MAX,
          ", and not \"-\" alone, which stands for the whole gateway" },
        { &conf->app, "app_permission_app", perm_name_app_valid,
          PERM_APP_MAX, "" }
    };

    missing = NULL;

    for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        value = names[i].value;

        if (value->complex == NULL) {
            missing = missing ? missing : names[i].directive;

        } else if (value->fixed && !names[i].valid(value->text)) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "invalid value \"%V\" in \"%s\": use 1 to %ui bytes "
                          "of A-Z a-z 0-9 . _ ~ @ / + -%s",
                          &value->complex->value, names[i].directive,
                          names[i].max, names[i].more);
            return NGX_CONF_ERROR;
        }
    }

    pmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_app_permission_module);

    if (conf->policy != PERM_POLICY_REQUIRED || missing == NULL) {
        pmcf->complete |= (conf->policy != PERM_POLICY_OFF);
        return NGX_CONF_OK;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname) {
        /* "if" */
        return NGX_CONF_OK;
    }

    if (own && perm_conf_innermost(clcf)) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"app_permission required\" in %s%V%s needs \"%s\"",
                      clcf->name.len ? "location \"" : "a server without "
                      "locations", &clcf->name, clcf->name.len ? "\"" : "",
                      missing);
        return NGX_CONF_ERROR;
    }

    if (clcf->name.len) {
        pmcf->missing = missing;

        ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                      "\"app_permission required\" has no \"%s\" in location "
                      "\"%V\": requests that reach the check there get 500; "
                      "set it, or \"app_permission off\"", missing,
                      &clcf->name);
    }

    return NGX_CONF_OK;
}


/* nginx keeps the blocks of "if" and "limit_except" among the locations, but
   these take no directives of ours */

static ngx_uint_t
perm_conf_innermost(ngx_http_core_loc_conf_t *clcf)
{
    ngx_queue_t  *q;

    if (clcf->locations == NULL) {
        return 1;
    }

    for (q = ngx_queue_head(clcf->locations);
         q != ngx_queue_sentinel(clcf->locations);
         q = ngx_queue_next(q))
    {
        if (!perm_conf_location(q)->noname) {
            return 0;
        }
    }

    return 1;
}
