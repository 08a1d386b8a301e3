
#include "http/bkapi.h"

#include "core/json.h"
#include "resp/printable.h"


static ngx_table_elt_t *perm_bkapi_header(ngx_http_request_t *r);


static ngx_str_t  perm_bkapi_name = ngx_string("X-Bkapi-Authorization");


ngx_int_t
perm_bkapi_app_code(ngx_http_request_t *r, ngx_str_t *app)
{
    cJSON            *json, *code;
    ngx_int_t         rc;
    perm_str_t        text;
    ngx_table_elt_t  *header;

    ngx_str_null(app);

    header = perm_bkapi_header(r);
    if (header == NULL) {
        return NGX_OK;
    }

    rc = NGX_OK;
    text.data = (char *) header->value.data;
    text.len = header->value.len;

    json = perm_json_parse_strict(text);

    if (json == NULL && errno == ENOMEM) {
        return NGX_ERROR;
    }

    code = cJSON_GetObjectItemCaseSensitive(json, "bk_app_code");

    if (cJSON_IsString(code)) {
        text = perm_str(code->valuestring);
        app->data = ngx_pnalloc(r->pool, PERM_PRINTABLE_SIZE(text.len));

        if (app->data == NULL) {
            rc = NGX_ERROR;

        } else {
            app->len = perm_printable((char *) app->data,
                                      PERM_PRINTABLE_SIZE(text.len), text, 1);
        }
    }

    cJSON_Delete(json);

    return rc;
}


/* of two headers either may be the one that was verified: neither counts */

static ngx_table_elt_t *
perm_bkapi_header(ngx_http_request_t *r)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *header;

    header = NULL;

    for (part = &r->headers_in.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != perm_bkapi_name.len
                || ngx_strncasecmp(h[i].key.data, perm_bkapi_name.data,
                                   perm_bkapi_name.len)
                   != 0)
            {
                continue;
            }

            if (header) {
                return NULL;
            }

            header = &h[i];
        }
    }

    return header;
}
