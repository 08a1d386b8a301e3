
#include "http/status_lists.h"


static ngx_uint_t perm_list_wanted(perm_status_query_t *query,
    perm_call_t *call);
static void perm_list_name(perm_writer_t *w, char *member, perm_str_t name);


void
perm_list_expiring(perm_writer_t *w, perm_snapshot_t *s,
    perm_forecast_t *forecast, perm_status_query_t *query)
{
    char                   *comma;
    ngx_uint_t              i, n, listed;
    perm_forecast_entry_t  *entries, *e;

    perm_write(w, "{\"within_days\":{");

    for (i = 0; i < PERM_FORECAST_WINDOWS; i++) {
        perm_write(w, "%s\"%ui\":%ui", i ? "," : "", perm_forecast_days[i],
                   s->expiring[i]);
    }

    perm_write(w, "},\"left_out\":%ui,\"grants\":[", s->expiring_missed);

    entries = ngx_palloc(w->pool,
                         PERM_FORECAST_MAX * sizeof(perm_forecast_entry_t));
    if (entries == NULL) {
        w->failed = 1;
        return;
    }

    n = perm_forecast_list(forecast, s->now, entries, PERM_FORECAST_MAX);
    listed = 0;
    comma = "";

    for (i = 0; i < n && listed < query->limit; i++) {
        e = &entries[i];

        if (!perm_list_wanted(query, &e->call)) {
            continue;
        }

        perm_write(w, "%s{", comma);
        perm_list_name(w, "gateway", e->call.gateway);
        perm_list_name(w, "resource", e->call.resource);
        perm_list_name(w, "app", e->call.app);
        perm_write(w, "\"expires\":%L,\"seen\":%T}", e->expires, e->seen);
        comma = ",";
        listed++;
    }

    perm_write(w, "]}");
}


void
perm_list_top(perm_writer_t *w, perm_top_t *top, perm_status_query_t *query)
{
    char              *comma;
    ngx_uint_t         i, n, listed;
    perm_str_t         reason;
    perm_top_entry_t  *entries, *e;

    entries = ngx_palloc(w->pool, PERM_TOP_SIZE * sizeof(perm_top_entry_t));
    if (entries == NULL) {
        w->failed = 1;
        return;
    }

    n = perm_top_list(top, entries, PERM_TOP_SIZE);
    listed = 0;
    comma = "";

    perm_write(w, "[");

    for (i = 0; i < n && listed < query->limit; i++) {
        e = &entries[i];

        if (e->reason >= PERM_REASONS || !perm_list_wanted(query, &e->call)) {
            continue;
        }

        reason = perm_reason_name(e->reason);

        perm_write(w, "%s{", comma);
        perm_list_name(w, "gateway", e->call.gateway);
        perm_list_name(w, "resource", e->call.resource);
        perm_list_name(w, "app", e->call.app);
        perm_write(w, "\"reason\":\"%*s\",\"count\":%ui,\"error\":%ui,"
                   "\"first\":%T,\"last\":%T}", reason.len, reason.data,
                   e->count, e->error, e->first, e->last);
        comma = ",";
        listed++;
    }

    perm_write(w, "]");
}


void
perm_list_resources(perm_writer_t *w, perm_resources_t *resources,
    perm_status_query_t *query)
{
    char                   *comma;
    ngx_uint_t              i, n, listed;
    perm_resource_entry_t  *entries, *e;

    entries = ngx_palloc(w->pool,
                         PERM_RESOURCES_MAX * sizeof(perm_resource_entry_t));
    if (entries == NULL) {
        w->failed = 1;
        return;
    }

    n = perm_resources_list(resources, entries, PERM_RESOURCES_MAX);
    listed = 0;
    comma = "";

    perm_write(w, "[");

    for (i = 0; i < n && listed < query->limit; i++) {
        e = &entries[i];

        if (!perm_list_wanted(query, &e->call)) {
            continue;
        }

        perm_write(w, "%s{", comma);
        perm_list_name(w, "gateway", e->call.gateway);
        perm_list_name(w, "resource", e->call.resource);
        perm_write(w, "\"policy\":\"%s\",\"dry_run\":%s,\"allowed\":%ui,"
                   "\"denied\":%ui,\"failed\":%ui,\"would_deny\":%ui,"
                   "\"first\":%T,\"last\":%T}",
                   e->policy == PERM_POLICY_OPEN ? "open" : "required",
                   e->dry_run ? "true" : "false", e->allowed, e->denied,
                   e->failed, e->would_deny, e->first, e->last);
        comma = ",";
        listed++;
    }

    perm_write(w, "]");
}


static ngx_uint_t
perm_list_wanted(perm_status_query_t *query, perm_call_t *call)
{
    if (query->gateway.len
        && (query->gateway.len != call->gateway.len
            || ngx_memcmp(query->gateway.data, call->gateway.data,
                          call->gateway.len)
               != 0))
    {
        return 0;
    }

    return query->resource.len == 0
           || (query->resource.len == call->resource.len
               && ngx_memcmp(query->resource.data, call->resource.data,
                             call->resource.len)
                  == 0);
}


/* "member": and the name, null when it is empty */

static void
perm_list_name(perm_writer_t *w, char *member, perm_str_t name)
{
    if (name.len == 0) {
        name.data = NULL;
    }

    perm_write(w, "\"%s\":", member);
    perm_write_json(w, name);
    perm_write(w, ",");
}
