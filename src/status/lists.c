
#include "status/lists.h"


static ngx_uint_t perm_list_wanted(perm_status_query_t *query,
    perm_tuple_t *tuple);
static void perm_list_name(perm_writer_t *w, char *member, perm_str_t name);


void
perm_list_expiring(perm_writer_t *w, perm_snapshot_t *s,
    perm_expiring_t *expiring, perm_status_query_t *query)
{
    char                   *comma;
    ngx_uint_t              i, n, listed;
    perm_expiring_entry_t  *entries, *e;

    perm_writer_put(w, "{\"within_days\":{");

    for (i = 0; i < PERM_EXPIRING_WINDOWS; i++) {
        perm_writer_put(w, "%s\"%ui\":%ui", i ? "," : "", perm_expiring_days[i],
                        s->expiring[i]);
    }

    perm_writer_put(w, "},\"left_out\":%ui,\"grants\":[", s->expiring_missed);

    entries = ngx_palloc(w->pool,
                         PERM_EXPIRING_MAX * sizeof(perm_expiring_entry_t));
    if (entries == NULL) {
        w->failed = 1;
        return;
    }

    n = perm_expiring_list(expiring, s->now, entries, PERM_EXPIRING_MAX);
    listed = 0;
    comma = "";

    for (i = 0; i < n && listed < query->limit; i++) {
        e = &entries[i];

        if (!perm_list_wanted(query, &e->tuple)) {
            continue;
        }

        perm_writer_put(w, "%s{", comma);
        perm_list_name(w, "gateway", e->tuple.gateway);
        perm_list_name(w, "resource", e->tuple.resource);
        perm_list_name(w, "app", e->tuple.app);
        perm_writer_put(w, "\"expires\":%L,\"seen\":%T}", e->expires, e->seen);
        comma = ",";
        listed++;
    }

    perm_writer_put(w, "]}");
}


void
perm_list_top(perm_writer_t *w, perm_heavy_hitters_t *top,
    perm_status_query_t *query)
{
    char                        *comma;
    ngx_uint_t                   i, n, listed;
    perm_str_t                   reason;
    perm_heavy_hitters_entry_t  *entries, *e;

    entries = ngx_palloc(w->pool, PERM_HEAVY_HITTERS_SIZE * sizeof(perm_heavy_hitters_entry_t));
    if (entries == NULL) {
        w->failed = 1;
        return;
    }

    n = perm_heavy_hitters_list(top, entries, PERM_HEAVY_HITTERS_SIZE);
    listed = 0;
    comma = "";

    perm_writer_put(w, "[");

    for (i = 0; i < n && listed < query->limit; i++) {
        e = &entries[i];

        if (e->reason >= PERM_REASONS || !perm_list_wanted(query, &e->tuple)) {
            continue;
        }

        reason = perm_decision_reason_name(e->reason);

        perm_writer_put(w, "%s{", comma);
        perm_list_name(w, "gateway", e->tuple.gateway);
        perm_list_name(w, "resource", e->tuple.resource);
        perm_list_name(w, "app", e->tuple.app);
        perm_writer_put(w, "\"reason\":\"%*s\",\"count\":%ui,\"error\":%ui,"
                        "\"first\":%T,\"last\":%T}", reason.len, reason.data,
                        e->count, e->error, e->first, e->last);
        comma = ",";
        listed++;
    }

    perm_writer_put(w, "]");
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

    perm_writer_put(w, "[");

    for (i = 0; i < n && listed < query->limit; i++) {
        e = &entries[i];

        if (!perm_list_wanted(query, &e->tuple)) {
            continue;
        }

        perm_writer_put(w, "%s{", comma);
        perm_list_name(w, "gateway", e->tuple.gateway);
        perm_list_name(w, "resource", e->tuple.resource);
        perm_writer_put(w, "\"policy\":\"%s\",\"dry_run\":%s,\"allowed\":%ui,"
                        "\"denied\":%ui,\"failed\":%ui,\"would_deny\":%ui,"
                        "\"first\":%T,\"last\":%T}",
                        e->policy == PERM_POLICY_OPEN ? "open" : "required",
                        e->dry_run ? "true" : "false", e->allowed, e->denied,
                        e->failed, e->would_deny, e->first, e->last);
        comma = ",";
        listed++;
    }

    perm_writer_put(w, "]");
}


static ngx_uint_t
perm_list_wanted(perm_status_query_t *query, perm_tuple_t *tuple)
{
    if (query->gateway.len
        && (query->gateway.len != tuple->gateway.len
            || ngx_memcmp(query->gateway.data, tuple->gateway.data,
                          tuple->gateway.len)
               != 0))
    {
        return 0;
    }

    return query->resource.len == 0
           || (query->resource.len == tuple->resource.len
               && ngx_memcmp(query->resource.data, tuple->resource.data,
                             tuple->resource.len)
                  == 0);
}


/* "member": and the name, null when it is empty */

static void
perm_list_name(perm_writer_t *w, char *member, perm_str_t name)
{
    if (name.len == 0) {
        name.data = NULL;
    }

    perm_writer_put(w, "\"%s\":", member);
    perm_writer_json(w, name);
    perm_writer_put(w, ",");
}
