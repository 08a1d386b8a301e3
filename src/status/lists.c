
#include "status/lists.h"


static void *perm_lists_alloc(perm_writer_t *w, size_t size);
static ngx_uint_t perm_lists_entry(perm_writer_t *w,
    perm_lists_query_t *query, perm_tuple_t *tuple, ngx_uint_t *listed);
static ngx_uint_t perm_lists_wanted(perm_str_t wanted, perm_str_t name);
static void perm_lists_name(perm_writer_t *w, char *member, perm_str_t name);


void
perm_lists_expiring(perm_writer_t *w, perm_snapshot_t *s,
    perm_lists_query_t *query)
{
    ngx_uint_t              i, n, listed;
    perm_expiring_entry_t  *entries, *e;

    perm_writer_put(w, "{\"within_days\":{");

    for (i = 0; i < PERM_EXPIRING_WINDOWS; i++) {
        perm_writer_put(w, "%s\"%ui\":%ui", i ? "," : "",
                        perm_expiring_days[i], s->expiring[i]);
    }

    perm_writer_put(w, "},\"left_out\":%ui,\"grants\":[", s->expiring_missed);

    entries = perm_lists_alloc(w, PERM_EXPIRING_MAX
                                  * sizeof(perm_expiring_entry_t));
    if (entries == NULL) {
        return;
    }

    n = perm_expiring_list(s->zone->expiring, s->now, entries);
    listed = 0;

    for (i = 0; i < n; i++) {
        e = &entries[i];

        if (perm_lists_entry(w, query, &e->record.tuple, &listed)) {
            perm_lists_name(w, "app", e->record.tuple.app);
            perm_writer_put(w, "\"expires\":%L,\"seen\":%T}", e->expires,
                            e->record.last);
        }
    }

    perm_writer_put(w, "]}");
}


void
perm_lists_heavy_hitters(perm_writer_t *w, perm_records_t *heavy_hitters,
    perm_lists_query_t *query)
{
    ngx_uint_t                   i, n, listed;
    perm_str_t                   reason;
    perm_heavy_hitters_entry_t  *entries, *e;

    entries = perm_lists_alloc(w, PERM_HEAVY_HITTERS_MAX
                                  * sizeof(perm_heavy_hitters_entry_t));
    if (entries == NULL) {
        return;
    }

    n = perm_heavy_hitters_list(heavy_hitters, entries);
    listed = 0;

    perm_writer_put(w, "[");

    for (i = 0; i < n; i++) {
        e = &entries[i];

        if (e->record.kind < PERM_REASONS
            && perm_lists_entry(w, query, &e->record.tuple, &listed))
        {
            reason = perm_decision_reason_name(e->record.kind);
            perm_lists_name(w, "app", e->record.tuple.app);
            perm_writer_put(w, "\"reason\":\"%*s\",\"count\":%ui,"
                            "\"error\":%ui,\"first\":%T,\"last\":%T}",
                            reason.len, reason.data, e->count, e->error,
                            e->record.first, e->record.last);
        }
    }

    perm_writer_put(w, "]");
}


void
perm_lists_resources(perm_writer_t *w, perm_records_t *resources,
    perm_lists_query_t *query)
{
    ngx_uint_t              i, n, listed;
    perm_resource_entry_t  *entries, *e;

    entries = perm_lists_alloc(w, PERM_RESOURCES_MAX
                                  * sizeof(perm_resource_entry_t));
    if (entries == NULL) {
        return;
    }

    n = perm_resources_list(resources, entries);
    listed = 0;

    perm_writer_put(w, "[");

    for (i = 0; i < n; i++) {
        e = &entries[i];

        if (perm_lists_entry(w, query, &e->record.tuple, &listed)) {
            perm_writer_put(w, "\"policy\":\"%s\",\"dry_run\":%s,"
                            "\"allowed\":%ui,\"denied\":%ui,\"failed\":%ui,"
                            "\"would_deny\":%ui,\"first\":%T,\"last\":%T}",
                            e->policy == PERM_POLICY_OPEN ? "open"
                                                          : "required",
                            e->dry_run ? "true" : "false", e->allowed,
                            e->denied, e->failed, e->would_deny,
                            e->record.first, e->record.last);
        }
    }

    perm_writer_put(w, "]");
}


static void *
perm_lists_alloc(perm_writer_t *w, size_t size)
{
    void  *p;

    p = ngx_palloc(w->pool, size);
    if (p == NULL) {
        w->failed = 1;
    }

    return p;
}


/*
 * Begins an entry with the names of its gateway and resource, and returns 1;
 * or 0 for an entry that the query leaves out.
 */

static ngx_uint_t
perm_lists_entry(perm_writer_t *w, perm_lists_query_t *query,
    perm_tuple_t *tuple, ngx_uint_t *listed)
{
    if (*listed == query->limit
        || !perm_lists_wanted(query->gateway, tuple->gateway)
        || !perm_lists_wanted(query->resource, tuple->resource))
    {
        return 0;
    }

    perm_writer_put(w, (*listed)++ ? ",{" : "{");
    perm_lists_name(w, "gateway", tuple->gateway);
    perm_lists_name(w, "resource", tuple->resource);

    return 1;
}


static ngx_uint_t
perm_lists_wanted(perm_str_t wanted, perm_str_t name)
{
    return wanted.len == 0
           || (wanted.len == name.len
               && ngx_memcmp(wanted.data, name.data, name.len) == 0);
}


/* "member":"name", or null for an empty name */

static void
perm_lists_name(perm_writer_t *w, char *member, perm_str_t name)
{
    if (name.len == 0) {
        name.data = NULL;
    }

    perm_writer_put(w, "\"%s\":", member);
    perm_writer_json(w, name);
    perm_writer_put(w, ",");
}
