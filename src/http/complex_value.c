
#include "http/complex_value.h"


static ngx_int_t perm_complex_value_variable(ngx_conf_t *cf, ngx_str_t *text);


void
perm_complex_value_create(perm_complex_value_t *value)
{
    value->index = NGX_ERROR;
    value->fixed = 1;
}


void
perm_complex_value_merge(perm_complex_value_t *value,
    perm_complex_value_t *parent)
{
    if (value->complex == NULL) {
        *value = *parent;
    }
}


char *
perm_complex_value_set(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_str_t                         *args;
    perm_complex_value_t              *value;
    ngx_http_compile_complex_value_t   ccv;

    value = (perm_complex_value_t *) ((char *) conf + cmd->offset);

    if (value->complex) {
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

    if (value->complex->lengths == NULL) {
        value->text.len = value->complex->value.len;
        value->text.data = (char *) value->complex->value.data;

        return NGX_CONF_OK;
    }

    value->fixed = 0;
    value->index = perm_complex_value_variable(cf, &args[1]);

    return NGX_CONF_OK;
}


/*
 * The index of a lone variable, the usual case, which needs no script engine
 * and no copy.  "$1" is a capture.
 */

static ngx_int_t
perm_complex_value_variable(ngx_conf_t *cf, ngx_str_t *text)
{
    ngx_str_t  name;

    static char  word[] = "abcdefghijklmnopqrstuvwxyz"
                          "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";

    name.data = text->data + 1;
    name.len = text->len - 1;

    if (text->data[0] != '$' || name.len == 0
        || (name.data[0] >= '0' && name.data[0] <= '9')
        || strspn((char *) name.data, word) != name.len)
    {
        return NGX_ERROR;
    }

    return ngx_http_get_variable_index(cf, &name);
}


ngx_int_t
perm_complex_value_get(ngx_http_request_t *r, perm_complex_value_t *value,
    perm_str_t *text)
{
    ngx_str_t                   s;
    ngx_http_variable_value_t  *vv;

    if (value->index != NGX_ERROR) {
        vv = ngx_http_get_flushed_variable(r, value->index);

        if (vv == NULL || vv->not_found) {
            ngx_str_null(&s);

        } else {
            s.len = vv->len;
            s.data = vv->data;
        }

    } else if (ngx_http_complex_value(r, value->complex, &s) != NGX_OK) {
        return NGX_ERROR;
    }

    text->len = s.len;
    text->data = (char *) s.data;

    return NGX_OK;
}


ngx_int_t
perm_complex_value_recompute(ngx_http_request_t *r,
    perm_complex_value_t *value, perm_str_t *text)
{
    ngx_http_variable_t        *v;
    ngx_http_variable_value_t   vv, *kept;
    ngx_http_core_main_conf_t  *cmcf;

    if (value->index == NGX_ERROR) {
        return NGX_DECLINED;
    }

    kept = &r->variables[value->index];

    if (!kept->valid || kept->no_cacheable) {
        return NGX_DECLINED;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    v = cmcf->variables.elts;
    v += value->index;

    /*
     * "set", and the modules built on the same code (the NDK's set_by_lua and
     * the like), give a variable that nothing else defines a handler whose
     * data is the variable's own index.  It finds nothing, and warns of an
     * uninitialized variable.
     */

    if (v->get_handler == NULL || v->data == (uintptr_t) value->index) {
        return NGX_DECLINED;
    }

    ngx_memzero(&vv, sizeof(ngx_http_variable_value_t));

    if (v->get_handler(r, &vv, v->data) != NGX_OK) {
        return NGX_ERROR;
    }

    if (!vv.valid) {
        /* the handler of "auth_request_set" finds nothing, too */
        return NGX_DECLINED;
    }

    text->len = vv.len;
    text->data = (char *) vv.data;

    return NGX_OK;
}
