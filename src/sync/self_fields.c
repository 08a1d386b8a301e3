
#include "sync/self_fields.h"


static int ngx_libc_cdecl perm_self_fields_compare(const void *one,
    const void *two);


ngx_int_t
perm_self_fields_init(perm_self_fields_t *fields, ngx_pool_t *pool)
{
    fields->fields = NULL;
    fields->nfields = 0;

    return ngx_array_init(&fields->array, pool, 8, sizeof(perm_self_field_t));
}


ngx_int_t
perm_self_fields_add(perm_self_fields_t *fields, perm_str_t resource,
    perm_str_t value)
{
    u_char             *p;
    perm_self_field_t  *field;

    field = ngx_array_push(&fields->array);
    p = ngx_pnalloc(fields->array.pool, resource.len + value.len + 1);

    if (field == NULL || p == NULL) {
        return NGX_ERROR;
    }

    field->resource.data = (char *) p;
    field->resource.len = resource.len;
    p = ngx_cpymem(p, resource.data, resource.len);

    field->value.data = (char *) p;
    field->value.len = value.len;
    ngx_memcpy(p, value.data, value.len);

    return NGX_OK;
}


/* a field may come twice while Redis makes room for more of them */

void
perm_self_fields_sort(perm_self_fields_t *fields)
{
    ngx_uint_t          i, n;
    perm_self_field_t  *field;

    field = fields->array.elts;
    n = 0;

    ngx_qsort(field, fields->array.nelts, sizeof(perm_self_field_t),
              perm_self_fields_compare);

    for (i = 0; i < fields->array.nelts; i++) {

        if (n && perm_self_fields_compare(&field[n - 1], &field[i]) == 0) {
            continue;
        }

        field[n++] = field[i];
    }

    fields->fields = field;
    fields->nfields = n;
}


static int ngx_libc_cdecl
perm_self_fields_compare(const void *one, const void *two)
{
    const perm_self_field_t *a = one;
    const perm_self_field_t *b = two;

    return ngx_memn2cmp((u_char *) a->resource.data,
                        (u_char *) b->resource.data,
                        a->resource.len, b->resource.len);
}


perm_str_t
perm_self_fields_find(perm_self_fields_t *fields, perm_str_t resource)
{
    perm_self_field_t   key = { .resource = resource }, *found;

    static const perm_str_t  none = { 0, NULL };

    if (fields->nfields == 0) {
        return none;
    }

    found = bsearch(&key, fields->fields, fields->nfields,
                    sizeof(perm_self_field_t), perm_self_fields_compare);

    return found ? found->value : none;
}
