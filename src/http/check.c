
#include "http/check.h"


static perm_check_t *perm_check_find(ngx_http_request_t *r);
static void perm_check_cleanup(void *data);


perm_check_t *
perm_check_create(ngx_http_request_t *r)
{
    perm_check_t        *check;
    ngx_pool_cleanup_t  *cln;

    check = NULL;

    if (r->internal) {
        check = perm_check_find(r);
    }

    if (check == NULL) {
        cln = ngx_pool_cleanup_add(r->pool, sizeof(perm_check_t));
        if (cln == NULL) {
            return NULL;
        }

        cln->handler = perm_check_cleanup;
        check = cln->data;
    }

    ngx_memzero(check, sizeof(perm_check_t));
    ngx_http_set_ctx(r, check, ngx_http_app_permission_module);

    return check;
}


perm_check_t *
perm_check_get(ngx_http_request_t *r)
{
    perm_check_t  *check;

    r = r->main;

    check = ngx_http_get_module_ctx(r, ngx_http_app_permission_module);

    if (check == NULL && (r->internal || r->filter_finalize)) {
        check = perm_check_find(r);
    }

    return check;
}


static perm_check_t *
perm_check_find(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t  *cln;

    for (cln = r->pool->cleanup; cln; cln = cln->next) {
        if (cln->handler == perm_check_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


/* marks the check in the pool's list, in the manner of realip */

static void
perm_check_cleanup(void *data)
{
    (void) data;
}
