
#include "module/directives.h"

#include "http/decide.h"
#include "http/self.h"
#include "status/host.h"
#include "status/status.h"


/* rows of the table: name, arguments, handler, and the field that it may set */

#define PERM_MAIN(name, args, set, field)                                     \
    { ngx_string(name), NGX_HTTP_MAIN_CONF|NGX_CONF_##args, set,              \
      NGX_HTTP_MAIN_CONF_OFFSET, offsetof(perm_main_conf_t, sync.field), NULL }

#define PERM_LOC_POST(name, args, set, field, post)                           \
    { ngx_string(name), NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF\
      |NGX_CONF_##args, set,                                                  \
      NGX_HTTP_LOC_CONF_OFFSET, offsetof(perm_loc_conf_t, field), post }

#define PERM_LOC(name, args, set, field)                                      \
    PERM_LOC_POST(name, args, set, field, NULL)

#define PERM_ENUM(name, field, values)                                        \
    PERM_LOC_POST(name, TAKE1, perm_directives_enum, field, values)

#define PERM_RATE_LIMIT_RATE_MAX   1000000     /* a second; also below */
#define PERM_RATE_LIMIT_BURST_MAX  100000000


static char *perm_directives_enum(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *perm_directives_policy(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *perm_directives_cache_valid(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *perm_directives_cache_stale(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *perm_directives_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *perm_directives_redis(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *perm_directives_flush(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *perm_directives_lookup_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *perm_directives_decide(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *perm_directives_self(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *perm_directives_status(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *perm_directives_hosts(ngx_conf_t *cf, perm_loc_conf_t *plcf);
static ngx_uint_t perm_directives_prefix(ngx_str_t *arg, char *prefix,
    ngx_str_t *rest);
static char *perm_directives_invalid(ngx_conf_t *cf, char *what,
    ngx_uint_t n, char *takes);


static ngx_conf_enum_t  perm_directives_on_error[] = {
    { ngx_string("deny"), 0 },
    { ngx_string("allow"), 1 },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  perm_directives_error[] = {
    { ngx_string("bkapi"), PERM_ERROR_BKAPI },
    { ngx_string("problem"), PERM_ERROR_PROBLEM },
    { ngx_string("off"), PERM_ERROR_OFF },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  perm_directives_log_level[] = {
    { ngx_string("error"), NGX_LOG_ERR },
    { ngx_string("warn"), NGX_LOG_WARN },
    { ngx_string("notice"), NGX_LOG_NOTICE },
    { ngx_string("info"), NGX_LOG_INFO },
    { ngx_null_string, 0 }
};


ngx_command_t  perm_directives[] = {

    PERM_LOC("app_permission", TAKE1, perm_directives_policy, policy_value),
    PERM_LOC("app_permission_app", TAKE1, perm_complex_value_set, app),
    PERM_LOC("app_permission_gateway", TAKE1, perm_complex_value_set, gateway),
    PERM_LOC("app_permission_resource", TAKE1,
             perm_complex_value_set, resource),

    PERM_LOC("app_permission_dry_run", FLAG, ngx_conf_set_flag_slot, dry_run),
    PERM_LOC("app_permission_record", FLAG, ngx_conf_set_flag_slot, record),
    PERM_ENUM("app_permission_on_error", on_error_allow,
              perm_directives_on_error),
    PERM_LOC("app_permission_help", TAKE1, perm_complex_value_set, help),
    PERM_ENUM("app_permission_error", error_format, perm_directives_error),
    PERM_LOC("app_permission_expires_header", FLAG,
             ngx_conf_set_flag_slot, expires_header),
    PERM_ENUM("app_permission_log_level", log_level, perm_directives_log_level),

    PERM_LOC("app_permission_cache_valid", TAKE12,
             perm_directives_cache_valid, valid),
    PERM_LOC("app_permission_cache_stale", TAKE1,
             perm_directives_cache_stale, stale),

    PERM_MAIN("app_permission_zone", TAKE12, perm_directives_zone, zone),
    PERM_MAIN("app_permission_redis", TAKE1, perm_directives_redis, redis.url),
    PERM_MAIN("app_permission_redis_prefix", TAKE1,
              ngx_conf_set_str_slot, redis.prefix),
    PERM_MAIN("app_permission_redis_user", TAKE1,
              ngx_conf_set_str_slot, redis.user),
    PERM_MAIN("app_permission_redis_password_file", TAKE1,
              ngx_conf_set_str_slot, redis.password_file),
    PERM_MAIN("app_permission_redis_connect_timeout", TAKE1,
              ngx_conf_set_msec_slot, redis.connect_timeout),
    PERM_MAIN("app_permission_redis_timeout", TAKE1,
              ngx_conf_set_msec_slot, redis.timeout),

#if (NGX_SSL)

    PERM_MAIN("app_permission_redis_ssl_verify", FLAG,
              ngx_conf_set_flag_slot, redis.ssl_verify),
    PERM_MAIN("app_permission_redis_ssl_name", TAKE1,
              ngx_conf_set_str_slot, redis.ssl_name),
    PERM_MAIN("app_permission_redis_ssl_trusted_certificate", TAKE1,
              ngx_conf_set_str_slot, redis.ssl_trusted_certificate),
    PERM_MAIN("app_permission_redis_ssl_certificate", TAKE1,
              ngx_conf_set_str_slot, redis.ssl_certificate),
    PERM_MAIN("app_permission_redis_ssl_certificate_key", TAKE1,
              ngx_conf_set_str_slot, redis.ssl_certificate_key),

#endif

    PERM_MAIN("app_permission_flush", TAKE1, perm_directives_flush, flush),
    PERM_MAIN("app_permission_lookup_limit", TAKE12,
              perm_directives_lookup_limit, limit),
    { ngx_string("app_permission_decide"), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS,
      perm_directives_decide, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },

    { ngx_string("app_permission_self"), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS
      |NGX_CONF_TAKE1,
      perm_directives_self, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },

    { ngx_string("app_permission_status"), NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS
      |NGX_CONF_TAKE1,
      perm_directives_status, NGX_HTTP_LOC_CONF_OFFSET, 0, NULL },

    ngx_null_command
};


static char *
perm_directives_policy(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    perm_loc_conf_t *plcf = conf;

    char              *rv;
    perm_policy_t      policy;
    perm_main_conf_t  *pmcf;

    rv = perm_complex_value_set(cf, cmd, conf);

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    pmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_app_permission_module);

    if (!plcf->policy_value.fixed) {
        pmcf->used = 1;
        pmcf->required = 1;
        return NGX_CONF_OK;
    }

    policy = perm_decision_policy(plcf->policy_value.text);

    if (policy == PERM_POLICY_INVALID) {
        return perm_directives_invalid(cf, "value", 1, "it is \"off\", "
                                       "\"open\", \"required\" or a variable");
    }

    pmcf->used |= (policy != PERM_POLICY_OFF);
    pmcf->required |= (policy == PERM_POLICY_REQUIRED);

    return NGX_CONF_OK;
}


/* ngx_conf_set_enum_slot() names neither the directive nor the valid values */

static char *
perm_directives_enum(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char             *p = conf;
    u_char           *last, takes[96];
    ngx_str_t        *value;
    ngx_uint_t       *field, i;
    ngx_conf_enum_t  *e;

    field = (ngx_uint_t *) (p + cmd->offset);

    if (*field != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    e = cmd->post;
    last = takes;

    for (i = 0; e[i].name.len; i++) {

        if (value[1].len == e[i].name.len
            && ngx_strcmp(value[1].data, e[i].name.data) == 0)
        {
            *field = e[i].value;
            return NGX_CONF_OK;
        }

        last = ngx_slprintf(last, takes + sizeof(takes) - 1, "%s\"%V\"",
                            i ? ", " : "it is one of ", &e[i].name);
    }

    *last = '\0';

    return perm_directives_invalid(cf, "value", 1, (char *) takes);
}


static char *
perm_directives_cache_valid(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    perm_loc_conf_t *plcf = conf;

    ngx_str_t   *value, text;
    ngx_msec_t  *field, time;
    ngx_uint_t   i, denied;

    if (plcf->valid != NGX_CONF_UNSET_MSEC
        || plcf->valid_denied != NGX_CONF_UNSET_MSEC)
    {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        text = value[i];
        denied = perm_directives_prefix(&value[i], "denied=", &text);
        field = denied ? &plcf->valid_denied : &plcf->valid;

        time = ngx_parse_time(&text, 0);

        if (time == (ngx_msec_t) NGX_ERROR) {
            return perm_directives_invalid(cf, "value", i, "it takes a time, "
                                           "as in \"60s denied=10s\"");
        }

        if (*field != NGX_CONF_UNSET_MSEC) {
            return denied ? "has a duplicate \"denied=\""
                          : "has more than one time";
        }

        *field = time;
    }

    return NGX_CONF_OK;
}


static char *
perm_directives_cache_stale(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    perm_loc_conf_t *plcf = conf;

    ngx_str_t  *value;

    if (plcf->stale != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        plcf->stale = 0;
        return NGX_CONF_OK;
    }

    plcf->stale = ngx_parse_time(&value[1], 0);

    if (plcf->stale == (ngx_msec_t) NGX_ERROR) {
        return perm_directives_invalid(cf, "value", 1, "it takes a time, as "
                                       "in \"24h\", or \"off\"");
    }

    return NGX_CONF_OK;
}


static char *
perm_directives_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    perm_main_conf_t *pmcf = conf;

    ssize_t            size;
    ngx_str_t         *value;
    perm_zone_conf_t  *zone;

    zone = &pmcf->sync.zone;

    if (zone->size) {
        return "is duplicate";
    }

    value = cf->args->elts;

    size = ngx_parse_size(&value[1]);

    if (size == NGX_ERROR) {
        return perm_directives_invalid(cf, "size", 1, "it is as in \"32m\"");
    }

    if (size < PERM_ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"app_permission_zone\" of \"%V\" is too small: "
                           "it takes %uz bytes at least", &value[1],
                           (size_t) PERM_ZONE_MIN);
        return NGX_CONF_ERROR;
    }

    zone->size = size;

    if (cf->args->nelts == 2) {
        return NGX_CONF_OK;
    }

    if (!perm_directives_prefix(&value[2], "state=", &zone->state)
        || zone->state.len == 0)
    {
        return perm_directives_invalid(cf, "parameter", 2, "after the size "
                                       "only \"state=\" with a file is known");
    }

    if (ngx_conf_full_name(cf->cycle, &zone->state, 0) != NGX_OK
        || perm_state_files_test(cf->pool, &zone->state, cf->log) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
perm_directives_redis(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    perm_main_conf_t *pmcf = conf;

    ngx_str_t         *value;
    perm_str_t         text;
    const char        *error;
    perm_redis_url_t  *url;

    if (pmcf->sync.redis.url) {
        return "is duplicate";
    }

    value = cf->args->elts;

    url = ngx_palloc(cf->pool, sizeof(perm_redis_url_t));
    if (url == NULL) {
        return NGX_CONF_ERROR;
    }

    text.len = value[1].len;
    text.data = (char *) value[1].data;

    error = perm_redis_url_parse(text, url);

    if (error) {
        /* not the value: it may hold a password */
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid Redis URL in \"app_permission_redis\": %s",
                           error);
        return NGX_CONF_ERROR;
    }

    pmcf->sync.redis.url = url;

    return NGX_CONF_OK;
}


static char *
perm_directives_flush(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    perm_main_conf_t *pmcf = conf;

    char  *rv;

    rv = ngx_conf_set_msec_slot(cf, cmd, conf);

    if (rv == NGX_CONF_OK && pmcf->sync.flush == 0) {
        return perm_directives_invalid(cf, "value", 1, "the interval is more "
                                       "than 0; to record nothing, use "
                                       "\"app_permission_record off\"");
    }

    return rv;
}


static char *
perm_directives_lookup_limit(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    perm_main_conf_t *pmcf = conf;

    ngx_int_t    rate, burst;
    ngx_str_t   *value, text;

    if (pmcf->sync.limit.rate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    text = value[1];

    if (cf->args->nelts == 2 && ngx_strcmp(text.data, "off") == 0) {
        pmcf->sync.limit.rate = 0;
        pmcf->sync.limit.burst = 0;
        return NGX_CONF_OK;
    }

    rate = NGX_ERROR;

    if (text.len > 3
        && ngx_strncmp(text.data + text.len - 3, "r/s", 3) == 0)
    {
        rate = ngx_atoi(text.data, text.len - 3);
    }

    if (rate <= 0 || rate > PERM_RATE_LIMIT_RATE_MAX) {
        return perm_directives_invalid(cf, "rate", 1, "it is a number from "
                                       "1 to 1000000 with \"r/s\", or \"off\"");
    }

    burst = rate;

    if (cf->args->nelts == 3) {

        burst = NGX_ERROR;

        if (perm_directives_prefix(&value[2], "burst=", &text)) {
            burst = ngx_atoi(text.data, text.len);
        }

        if (burst < 0 || burst > PERM_RATE_LIMIT_BURST_MAX) {
            return perm_directives_invalid(cf, "parameter", 2,
                                           "it is \"burst=\" and a number");
        }
    }

    pmcf->sync.limit.rate = rate;
    pmcf->sync.limit.burst = burst;

    return NGX_CONF_OK;
}


static char *
perm_directives_decide(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    perm_loc_conf_t *plcf = conf;

    ngx_http_core_loc_conf_t  *clcf;

    if (plcf->decide) {
        return "is duplicate";
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    clcf->handler = perm_decide_handler;
    plcf->decide = perm_decide_handler;

    return NGX_CONF_OK;
}


static char *
perm_directives_self(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    perm_loc_conf_t *plcf = conf;

    ngx_str_t                 *value;
    perm_main_conf_t          *pmcf;
    ngx_http_core_loc_conf_t  *clcf;

    if (plcf->self) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2) {

        if (ngx_strcmp(value[1].data, "apply") != 0) {
            return perm_directives_invalid(cf, "parameter", 1, "only \"apply\" "
                                           "is known, which lets apps ask for "
                                           "grants");
        }

        plcf->self_apply = 1;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    pmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_app_permission_module);

    clcf->handler = perm_http_self_handler;
    plcf->self = perm_http_self_handler;
    pmcf->used = 1;
    pmcf->required = 1;

    return NGX_CONF_OK;
}


static char *
perm_directives_status(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    perm_loc_conf_t *plcf = conf;

    perm_main_conf_t          *pmcf;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    pmcf = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_app_permission_module);

    if (plcf->status) {
        return "is duplicate";
    }

    clcf->handler = perm_status_handler;
    plcf->status = perm_status_handler;
    pmcf->used = 1;

    return (cf->args->nelts == 2) ? perm_directives_hosts(cf, plcf)
                                  : NGX_CONF_OK;
}


static char *
perm_directives_hosts(ngx_conf_t *cf, perm_loc_conf_t *plcf)
{
    u_char     *p, *last;
    ngx_str_t  *value, *name, text;

    value = cf->args->elts;

    if (!perm_directives_prefix(&value[1], "hosts=", &text)) {
        return perm_directives_invalid(cf, "parameter", 1, "only \"hosts=\" is "
                                       "known");
    }

    if (ngx_strcmp(text.data, "any") == 0) {
        plcf->any_host = 1;
        return NGX_CONF_OK;
    }

    plcf->hosts = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
    if (plcf->hosts == NULL) {
        return NGX_CONF_ERROR;
    }

    last = text.data + text.len;

    for (p = text.data; p <= last; p = name->data + name->len + 1) {

        name = ngx_array_push(plcf->hosts);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        name->data = p;
        p = ngx_strlchr(p, last, ',');
        name->len = (p ? p : last) - name->data;

        if (!perm_host_valid(name)) {
            return perm_directives_invalid(cf, "parameter", 1, "\"hosts=\" "
                                           "takes host names without ports, as "
                                           "in \"hosts=gateway-1,gateway-2\", "
                                           "or \"any\"");
        }
    }

    return NGX_CONF_OK;
}


static ngx_uint_t
perm_directives_prefix(ngx_str_t *arg, char *prefix, ngx_str_t *rest)
{
    size_t  len;

    len = ngx_strlen(prefix);

    if (arg->len < len || ngx_strncmp(arg->data, prefix, len) != 0) {
        return 0;
    }

    rest->data = arg->data + len;
    rest->len = arg->len - len;

    return 1;
}


/* names the directive and its n-th argument; "takes": what is valid there */

static char *
perm_directives_invalid(ngx_conf_t *cf, char *what, ngx_uint_t n, char *takes)
{
    ngx_str_t  *args;

    args = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid %s \"%V\" in \"%V\": %s",
                       what, &args[n], &args[0], takes);

    return NGX_CONF_ERROR;
}
