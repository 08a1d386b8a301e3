
#include "http/value.h"


static ngx_int_t perm_value_variable(ngx_conf_t *cf, ngx_str_t *text);


void
perm_value_create(perm_value_t *value)
{
    value->complex = NGX_CONF_UNSET_PTR;
    value->index = NGX_ERROR;
}


void
perm_value_merge(perm_value_t *value, perm_value_t *parent)
{
    if (value->complex != NGX_CONF_UNSET_PTR) {
        return;
    }

    if (parent->complex == NGX_CONF_UNSET_PTR) {
        value->complex = NULL;
        return;
    }

    *value = *parent;
}


char *
perm_value_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                         *args;
    perm_value_t                      *value;
    ngx_http_compile_complex_value_t   ccv;

    value = (perm_value_t *) ((char *) conf + cmd->offset);

    if (value->complex != NGX_CONF_UNSET_PTR) {
        return "is duplicate";
    }

    args = cf->args->elts;

    value->complex = ngx_palloc(cf->pool, sizeof(ngx_http_complex_value_t));
    if (value->complex == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&ccv, sizeof(ngx_http_compile_complex_value_t));

    ccv.cf = cf;
    ccv.value = &args[1];
    ccv.complex_value = value->complex;

    if (ngx_http_compile_complex_value(&ccv) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    value->index = perm_value_variable(cf, &args[1]);

    return NGX_CONF_OK;
}


/*
 * A lone variable, the usual case, needs neither the script engine nor a copy.
 */

static ngx_int_t
perm_value_variable(ngx_conf_t *cf, ngx_str_t *text)
{
    size_t     i;
    u_char     c;
    ngx_str_t  name;

    if (text->len < 2 || text->data[0] != '$') {
        return NGX_ERROR;
    }

    name.data = text->data + 1;
    name.len = text->len - 1;

    if (name.data[0] >= '0' && name.data[0] <= '9') {
        /* a capture */
        return NGX_ERROR;
    }

    for (i = 0; i < name.len; i++) {
        c = name.data[i];

        if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
            && (c < '0' || c > '9') && c != '_')
        {
            return NGX_ERROR;
        }
    }

    return ngx_http_get_variable_index(cf, &name);
}


ngx_uint_t
perm_value_is_set(perm_value_t *value)
{
    return value->complex != NULL && value->complex != NGX_CONF_UNSET_PTR;
}


ngx_uint_t
perm_value_is_constant(perm_value_t *value)
{
    return perm_value_is_set(value) && value->complex->lengths == NULL;
}


ngx_int_t
perm_value_get(ngx_http_request_t *r, perm_value_t *value, ngx_str_t *text)
{
    ngx_http_variable_value_t  *vv;

    if (value->index != NGX_ERROR) {
        vv = ngx_http_get_flushed_variable(r, value->index);

        if (vv == NULL || vv->not_found) {
            ngx_str_null(text);
            return NGX_OK;
        }

        text->len = vv->len;
        text->data = vv->data;

        return NGX_OK;
    }

    if (value->complex == NULL) {
        ngx_str_null(text);
        return NGX_OK;
    }

    if (value->complex->lengths == NULL) {
        *text = value->complex->value;
        return NGX_OK;
    }

    return ngx_http_complex_value(r, value->complex, text);
}
