
#include "http/bkapi.h"

#include <cjson/cJSON.h>

#include "core/json.h"
#include "resp/printable.h"


static ngx_table_elt_t *perm_bkapi_header(ngx_http_request_t *r);
static cJSON *perm_bkapi_parse(ngx_http_request_t *r, ngx_str_t *text);
static cJSON *perm_bkapi_member(cJSON *object, char *name);


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

    /* cJSON takes more than is JSON */

    if (!perm_json_valid(text)) {
        return NGX_OK;
    }

    json = perm_bkapi_parse(r, &header->value);
    code = perm_bkapi_member(json, "bk_app_code");

    if (cJSON_IsString(code)) {
        text.data = code->valuestring;
        text.len = ngx_strlen(code->valuestring);

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


/* which one of two was verified by whoever did depends on them: neither */

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


/*
 * cJSON ends a string at an escaped NUL, so that "demo\u0000" would be read
 * as "demo".  Parsed from a copy that has another control byte in its place,
 * which no name has either.
 */

static cJSON *
perm_bkapi_parse(ngx_http_request_t *r, ngx_str_t *text)
{
    size_t   i;
    u_char  *copy;

    copy = ngx_pnalloc(r->pool, text->len + 1);
    if (copy == NULL) {
        return NULL;
    }

    ngx_memcpy(copy, text->data, text->len);
    copy[text->len] = '\0';

    for (i = 0; i + 1 < text->len; i++) {

        if (copy[i] != '\\') {
            continue;
        }

        if (text->len - i >= 6
            && ngx_strncmp(&copy[i], "\\u0000", 6) == 0)
        {
            copy[i + 5] = '1';
        }

        i++;
    }

    return cJSON_ParseWithLengthOpts((char *) copy, text->len + 1, NULL, 1);
}


static cJSON *
perm_bkapi_member(cJSON *object, char *name)
{
    cJSON  *item, *member;

    if (!cJSON_IsObject(object)) {
        return NULL;
    }

    member = NULL;

    cJSON_ArrayForEach(item, object) {

        if (ngx_strcmp(item->string, name) != 0) {
            continue;
        }

        if (member) {
            return NULL;
        }

        member = item;
    }

    return member;
}
