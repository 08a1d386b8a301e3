
#include "module/directives.h"

#include "status/status.h"


#define PERM_RATE_LIMIT_RATE_MAX   1000000     /* a second */
#define PERM_RATE_LIMIT_BURST_MAX  100000000


static ngx_uint_t perm_directives_prefix(ngx_str_t *arg, char *prefix,
    ngx_str_t *rest);


ngx_conf_enum_t  perm_on_error[] = {
    { ngx_string("deny"), 0 },
    { ngx_string("allow"), 1 },
    { ngx_null_string, 0 }
};


ngx_conf_enum_t  perm_error_formats[] = {
    { ngx_string("bkapi"), PERM_ERROR_BKAPI },
    { ngx_string("problem"), PERM_ERROR_PROBLEM },
    { ngx_string("off"), PERM_ERROR_OFF },
    { ngx_null_string, 0 }
};


ngx_conf_enum_t  perm_log_levels[] = {
    { ngx_string("error"), NGX_LOG_ERR },
    { ngx_string("warn"), NGX_LOG_WARN },
    { ngx_string("notice"), NGX_LOG_NOTICE },
    { ngx_string("info"), NGX_LOG_INFO },
    { ngx_null_string, 0 }
};


char *
perm_directives_policy(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    perm_loc_conf_t *plcf = conf;

    char              *rv;
    ngx_str_t         *value;
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

    value = cf->args->elts;

    plcf->policy = perm_decision_policy(plcf->policy_value.text);

    if (plcf->policy == PERM_POLICY_INVALID) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"app_permission\": it is "
                           "\"off\", \"open\", \"required\" or a variable",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    pmcf->used |= (plcf->policy != PERM_POLICY_OFF);
    pmcf->required |= (plcf->policy == PERM_POLICY_REQUIRED);

    return NGX_CONF_OK;
}


/* ngx_conf_set_enum_slot() says neither which directive nor what it takes */

char *
perm_directives_enum(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char             *p = conf;
    u_char           *last, known[64];
    ngx_str_t        *value;
    ngx_uint_t       *field, i;
    ngx_conf_enum_t  *e;

    field = (ngx_uint_t *) (p + cmd->offset);

    if (*field != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    e = cmd->post;
    last = known;

    for (i = 0; e[i].name.len; i++) {

        if (value[1].len == e[i].name.len
            && ngx_strcmp(value[1].data, e[i].name.data) == 0)
        {
            *field = e[i].value;
            return NGX_CONF_OK;
        }

        last = ngx_slprintf(last, known + sizeof(known), "%s\"%V\"",
                            i ? ", " : "", &e[i].name);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\": it is one of %*s",
                       &value[1], &cmd->name, (size_t) (last - known), known);

    return NGX_CONF_ERROR;
}


char *
perm_directives_cache_valid(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    perm_loc_conf_t *plcf = conf;

    ngx_str_t   *value, text;
    ngx_msec_t   time;
    ngx_uint_t   i;

    if (plcf->valid != NGX_CONF_UNSET_MSEC
        || plcf->valid_denied != NGX_CONF_UNSET_MSEC)
    {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        text = value[i];
        (void) perm_directives_prefix(&value[i], "denied=", &text);

        time = ngx_parse_time(&text, 0);

        if (time == (ngx_msec_t) NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in "
                               "\"app_permission_cache_valid\": it takes a "
                               "time, as in \"60s denied=10s\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (text.data != value[i].data) {
            if (plcf->valid_denied != NGX_CONF_UNSET_MSEC) {
                return "has a duplicate \"denied=\"";
            }

            plcf->valid_denied = time;

        } else if (plcf->valid != NGX_CONF_UNSET_MSEC) {
            return "has more than one time";

        } else {
            plcf->valid = time;
        }
    }

    return NGX_CONF_OK;
}


char *
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
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in "
                           "\"app_permission_cache_stale\": it takes a time, "
                           "as in \"24h\", or \"off\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
perm_directives_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    perm_main_conf_t *pmcf = conf;

    ssize_t      size;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (pmcf->sync.zone.size) {
        return "is duplicate";
    }

    value = cf->args->elts;

    size = ngx_parse_size(&value[1]);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" in \"app_permission_zone\"",
                           &value[1]);
        return NGX_CONF_ERROR;
    }

    if (size < PERM_ZONE_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"app_permission_zone\" of \"%V\" is too small: "
                           "it takes %uz bytes at least", &value[1],
                           (size_t) PERM_ZONE_MIN);
        return NGX_CONF_ERROR;
    }

    pmcf->sync.zone.size = size;

    for (i = 2; i < cf->args->nelts; i++) {

        if (!perm_directives_prefix(&value[i], "state=", &pmcf->sync.zone.state)
            || pmcf->sync.zone.state.len == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in "
                               "\"app_permission_zone\": after the size only "
                               "\"state=\" with a file is known", &value[i]);
            return NGX_CONF_ERROR;
        }

        if (ngx_conf_full_name(cf->cycle, &pmcf->sync.zone.state, 0) != NGX_OK
            || perm_state_files_test(cf->pool, &pmcf->sync.zone.state, cf->log)
               != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
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
        /* the value may hold a password */
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid Redis URL in \"app_permission_redis\": %s",
                           error);
        return NGX_CONF_ERROR;
    }

    pmcf->sync.redis.url = url;

    return NGX_CONF_OK;
}


char *
perm_directives_flush(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    perm_main_conf_t *pmcf = conf;

    char       *rv;
    ngx_str_t  *value;

    rv = ngx_conf_set_msec_slot(cf, cmd, conf);

    if (rv == NGX_CONF_OK && pmcf->sync.flush == 0) {
        value = cf->args->elts;
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"app_permission_flush\": "
                           "the interval is more than 0; to record nothing, "
                           "use \"app_permission_record off\"", &value[1]);
        return NGX_CONF_ERROR;
    }

    return rv;
}


char *
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
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid rate \"%V\" in "
                           "\"app_permission_lookup_limit\": it is a number "
                           "from 1 to %d with \"r/s\", or \"off\"", &text,
                           PERM_RATE_LIMIT_RATE_MAX);
        return NGX_CONF_ERROR;
    }

    burst = rate;

    if (cf->args->nelts == 3) {

        burst = NGX_ERROR;

        if (perm_directives_prefix(&value[2], "burst=", &text)) {
            burst = ngx_atoi(text.data, text.len);
        }

        if (burst < 0 || burst > PERM_RATE_LIMIT_BURST_MAX) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" in "
                               "\"app_permission_lookup_limit\": it is "
                               "\"burst=\" and a number", &value[2]);
            return NGX_CONF_ERROR;
        }
    }

    pmcf->sync.limit.rate = rate;
    pmcf->sync.limit.burst = burst;

    return NGX_CONF_OK;
}


char *
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

    plcf->status = 1;
    clcf->handler = perm_status_handler;
    pmcf->used = 1;

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
