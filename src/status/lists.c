
#include "status/lists.h"

#include <math.h>

#include "http/metrics.h"


#define PERM_LISTS_NOTE  320   /* bytes */


/* how much of a list is shown */

typedef struct {
    perm_heavy_hitters_stat_t   stat;
    ngx_uint_t                  matching;   /* kept, and asked for */
    ngx_uint_t                  offset;
    ngx_uint_t                  shown;
    time_t                      first;      /* unix seconds: the oldest of
                                               these, 0: there is none */
} perm_lists_shown_t;


typedef void (*perm_lists_entry_pt)(perm_writer_t *w, const char *list,
    void *entry);


static void perm_lists_json_expiring(perm_writer_t *w, perm_snapshot_t *s,
    perm_lists_query_t *query, perm_lists_shown_t *shown);
static void perm_lists_json_resources(perm_writer_t *w, perm_snapshot_t *s,
    perm_lists_query_t *query, perm_lists_shown_t *shown);
static void perm_lists_bound(perm_resource_entry_t *entry, ngx_uint_t all);
static void perm_lists_json_hitters(perm_writer_t *w, perm_zone_t *zone,
    perm_lists_query_t *query, ngx_uint_t list, perm_lists_shown_t *shown);
static void perm_lists_json_shown(perm_writer_t *w, const char *list,
    perm_lists_shown_t *shown);
static void perm_lists_csv_hitters(perm_writer_t *w, perm_zone_t *zone,
    perm_lists_query_t *query, ngx_uint_t list);
static void perm_lists_hitters(perm_writer_t *w, perm_zone_t *zone,
    perm_lists_query_t *query, ngx_uint_t list, const char *between,
    perm_lists_entry_pt entry, perm_lists_shown_t *shown);
static void perm_lists_stat(perm_records_t *records, ngx_uint_t kept,
    perm_heavy_hitters_stat_t *stat);
static void perm_lists_walk(perm_writer_t *w, const char *list, ngx_uint_t n,
    size_t size, perm_lists_query_t *query, const char *between,
    perm_lists_entry_pt entry, perm_lists_shown_t *shown);
static perm_str_t perm_lists_note(u_char *buf, perm_lists_shown_t *shown);
static void perm_lists_json_names(perm_writer_t *w, perm_record_t *record);
static void perm_lists_json_grant(perm_writer_t *w, const char *list,
    void *entry);
static void perm_lists_json_hitter(perm_writer_t *w, const char *list,
    void *entry);
static void perm_lists_json_resource(perm_writer_t *w, const char *list,
    void *entry);
static void perm_lists_csv_hitter(perm_writer_t *w, const char *list,
    void *entry);
static void perm_lists_csv_cell(perm_writer_t *w, perm_str_t text);
static void perm_lists_csv_time(perm_writer_t *w, time_t time);


/* the list that is being written, copied out of shared memory */

static union {
    perm_expiring_entry_t       grants[PERM_EXPIRING_MAX];
    perm_heavy_hitters_entry_t  hitters[PERM_HEAVY_HITTERS_MAX];
    perm_resource_entry_t       resources[PERM_RESOURCES_MAX];
} perm_lists_entries;


void
perm_lists_json(perm_writer_t *w, perm_snapshot_t *s,
    perm_lists_query_t *query)
{
    perm_lists_shown_t  expiring, refused, would_deny, resources;

    perm_lists_json_expiring(w, s, query, &expiring);
    perm_lists_json_hitters(w, s->zone, query, PERM_LISTS_REFUSED, &refused);
    perm_lists_json_hitters(w, s->zone, query, PERM_LISTS_WOULD_DENY,
                            &would_deny);
    perm_lists_json_resources(w, s, query, &resources);

    perm_writer_put(w, ",\"lists\":{");
    perm_lists_json_shown(w, "expiring", &expiring);
    perm_writer_put(w, ",");
    perm_lists_json_shown(w, "refused", &refused);
    perm_writer_put(w, ",");
    perm_lists_json_shown(w, "would_deny", &would_deny);
    perm_writer_put(w, ",");
    perm_lists_json_shown(w, "resources", &resources);
    perm_writer_put(w, "}");
}


void
perm_lists_json_only(perm_writer_t *w, perm_zone_t *zone,
    perm_lists_query_t *query)
{
    perm_lists_shown_t  refused, would_deny;

    perm_writer_put(w, "{\"now\":%T,\"since\":%T", ngx_time(),
                    (time_t) zone->created);

    if (query->only & PERM_LISTS_REFUSED) {
        perm_lists_json_hitters(w, zone, query, PERM_LISTS_REFUSED, &refused);
    }

    if (query->only & PERM_LISTS_WOULD_DENY) {
        perm_lists_json_hitters(w, zone, query, PERM_LISTS_WOULD_DENY,
                                &would_deny);
    }

    perm_writer_put(w, ",\"lists\":{");

    if (query->only & PERM_LISTS_REFUSED) {
        perm_lists_json_shown(w, "refused", &refused);
    }

    if (query->only == (PERM_LISTS_REFUSED|PERM_LISTS_WOULD_DENY)) {
        perm_writer_put(w, ",");
    }

    if (query->only & PERM_LISTS_WOULD_DENY) {
        perm_lists_json_shown(w, "would_deny", &would_deny);
    }

    perm_writer_put(w, "}}" CRLF);
}


void
perm_lists_csv(perm_writer_t *w, perm_zone_t *zone, perm_lists_query_t *query)
{
    perm_writer_put(w, "list,gateway,resource,app,reason,count,error,first,"
                    "last" CRLF);

    if (query->only != PERM_LISTS_WOULD_DENY) {
        perm_lists_csv_hitters(w, zone, query, PERM_LISTS_REFUSED);
    }

    if (query->only != PERM_LISTS_REFUSED) {
        perm_lists_csv_hitters(w, zone, query, PERM_LISTS_WOULD_DENY);
    }
}


static void
perm_lists_json_expiring(perm_writer_t *w, perm_snapshot_t *s,
    perm_lists_query_t *query, perm_lists_shown_t *shown)
{
    ngx_uint_t  i, n;

    perm_writer_put(w, ",\"expiring\":{\"within_days\":{");

    for (i = 0; i < PERM_EXPIRING_WINDOWS; i++) {
        perm_writer_put(w, "%s\"%ui\":%ui", i ? "," : "",
                        perm_expiring_days[i], s->expiring[i]);
    }

    perm_writer_put(w, "},\"left_out\":%ui,\"grants\":[", s->expiring_missed);

    n = perm_expiring_list(s->zone->expiring, s->now,
                           perm_lists_entries.grants);

    perm_lists_stat(s->zone->expiring, n, &shown->stat);
    perm_lists_walk(w, "expiring", n, sizeof(perm_expiring_entry_t), query, ",",
                    perm_lists_json_grant, shown);

    perm_writer_put(w, "]}");
}


static void
perm_lists_json_resources(perm_writer_t *w, perm_snapshot_t *s,
    perm_lists_query_t *query, perm_lists_shown_t *shown)
{
    ngx_uint_t       i, n;
    perm_records_t  *records;

    records = s->zone->resources;

    perm_writer_put(w, ",\"resources\":[");

    n = perm_resources_list(records, perm_lists_entries.resources);

    for (i = 0; i < n; i++) {
        perm_lists_bound(&perm_lists_entries.resources[i], s->total.allow);
    }

    perm_lists_stat(records, n, &shown->stat);
    perm_lists_walk(w, "resources", n, sizeof(perm_resource_entry_t), query,
                    ",", perm_lists_json_resource, shown);

    perm_writer_put(w, "]");
}


/*
 * Of n hits of the sample the square root is the standard deviation: twice that
 * is off by no more in 19 cases of 20.  No resource has more than "all", which
 * is exact.  Leaves the error in entry->sampled.
 */

static void
perm_lists_bound(perm_resource_entry_t *entry, ngx_uint_t all)
{
    double  error;

    error = 2 * PERM_METRICS_SAMPLE * sqrt((double) entry->sampled + 1);

    entry->allowed = ngx_min(entry->allowed, all);
    entry->sampled = (entry->policy == PERM_POLICY_OPEN && !entry->sampled)
                     ? 0 : ngx_min((ngx_uint_t) error, all);
}


static void
perm_lists_json_hitters(perm_writer_t *w, perm_zone_t *zone,
    perm_lists_query_t *query, ngx_uint_t list, perm_lists_shown_t *shown)
{
    perm_writer_put(w, ",\"%s\":[",
                    list == PERM_LISTS_REFUSED ? "refused" : "would_deny");
    perm_lists_hitters(w, zone, query, list, ",", perm_lists_json_hitter,
                       shown);
    perm_writer_put(w, "]");
}


static void
perm_lists_json_shown(perm_writer_t *w, const char *list,
    perm_lists_shown_t *shown)
{
    u_char                      buf[PERM_LISTS_NOTE];
    perm_str_t                  note;
    perm_heavy_hitters_stat_t  *stat;

    stat = &shown->stat;
    note = perm_lists_note(buf, shown);

    perm_writer_put(w, "\"%s\":{\"complete\":%s,\"shown\":%ui,\"offset\":%ui,"
                    "\"matching\":%ui,\"kept\":%ui,\"capacity\":%ui,"
                    "\"distinct\":%ui,\"distinct_exact\":%s,\"missing\":%ui,"
                    "\"note\":", list, perm_writer_bool(note.len == 0),
                    shown->shown, shown->offset, shown->matching, stat->kept,
                    stat->capacity, stat->distinct,
                    perm_writer_bool(stat->exact),
                    stat->distinct - stat->kept);

    perm_writer_json(w, note);
    perm_writer_put(w, "}");
}


static void
perm_lists_csv_hitters(perm_writer_t *w, perm_zone_t *zone,
    perm_lists_query_t *query, ngx_uint_t list)
{
    u_char              buf[PERM_LISTS_NOTE];
    perm_str_t          note;
    perm_lists_shown_t  shown;

    perm_lists_hitters(w, zone, query, list, "", perm_lists_csv_hitter,
                       &shown);

    /* a start and another zone size empty the list, which looks complete */

    note = perm_lists_note(buf, &shown);

    perm_writer_put(w, "%s,,,,\"Counted since ",
                    list == PERM_LISTS_REFUSED ? "refused" : "would_deny");
    perm_lists_csv_time(w, (time_t) zone->created);

    if (shown.first) {
        perm_writer_put(w, ", the oldest row since ");
        perm_lists_csv_time(w, shown.first);
    }

    perm_writer_put(w, ". ");

    if (note.len) {
        perm_writer_text(w, note.data, note.len);
    }

    perm_writer_put(w, "\",,,," CRLF);
}


static void
perm_lists_hitters(perm_writer_t *w, perm_zone_t *zone,
    perm_lists_query_t *query, ngx_uint_t list, const char *between,
    perm_lists_entry_pt entry, perm_lists_shown_t *shown)
{
    ngx_uint_t       n;
    perm_records_t  *records;

    records = (list == PERM_LISTS_REFUSED) ? zone->refused : zone->would_deny;

    n = perm_heavy_hitters_list(records, perm_lists_entries.hitters);

    perm_heavy_hitters_stat(records, &shown->stat);
    perm_lists_walk(w, list == PERM_LISTS_REFUSED ? "refused" : "would_deny",
                    n, sizeof(perm_heavy_hitters_entry_t), query, between,
                    entry, shown);
}


/* of a list that does not count how many keys there are */

static void
perm_lists_stat(perm_records_t *records, ngx_uint_t kept,
    perm_heavy_hitters_stat_t *stat)
{
    ngx_memzero(stat, sizeof(perm_heavy_hitters_stat_t));

    stat->kept = kept;
    stat->distinct = kept;
    stat->capacity = records->n;
    stat->exact = (records->left_out == 0);
}


/* of the first "n" of perm_lists_entries, which have "size" bytes each */

static void
perm_lists_walk(perm_writer_t *w, const char *list, ngx_uint_t n, size_t size,
    perm_lists_query_t *query, const char *between, perm_lists_entry_pt entry,
    perm_lists_shown_t *shown)
{
    u_char        *p;
    time_t         first;
    perm_tuple_t  *tuple;

    shown->offset = query->offset;
    shown->matching = 0;
    shown->shown = 0;
    shown->first = 0;

    for (p = (u_char *) &perm_lists_entries; n; n--, p += size) {
        tuple = &((perm_record_t *) p)->tuple;

        if ((query->gateway.len
             && !perm_str_equal(query->gateway, tuple->gateway))
            || (query->resource.len
                && !perm_str_equal(query->resource, tuple->resource)))
        {
            continue;
        }

        first = ((perm_record_t *) p)->first;

        if (shown->first == 0 || first < shown->first) {
            shown->first = first;
        }

        if (shown->matching++ >= query->offset && shown->shown < query->limit)
        {
            perm_writer_put(w, "%s", shown->shown++ ? between : "");
            entry(w, list, p);
        }
    }
}


/* why the list is not all there is; data NULL: it is */

static perm_str_t
perm_lists_note(u_char *buf, perm_lists_shown_t *shown)
{
    u_char                     *p, *last;
    perm_str_t                  note;
    perm_heavy_hitters_stat_t  *stat;

    stat = &shown->stat;

    p = buf;
    last = buf + PERM_LISTS_NOTE;

    if (shown->shown < shown->matching) {
        p = ngx_slprintf(p, last, "%ui of %ui are shown, from offset %ui on: "
                         "ask for the rest with limit= and offset=. ",
                         shown->shown, shown->matching, shown->offset);
    }

    if (stat->distinct > stat->kept) {
        p = ngx_slprintf(p, last, "About %ui were seen since the counters "
                         "started, and about %ui of them are missing: the list "
                         "keeps %ui, a quarter of them for ended grants, and "
                         "the rarest made room. ",
                         stat->distinct, stat->distinct - stat->kept,
                         stat->capacity);

    } else if (!stat->exact) {
        p = ngx_slprintf(p, last, "Some may be missing: they found no place, "
                         "or came once while another worker wrote to the "
                         "list. ");
    }

    note.len = (p > buf) ? p - buf - 1 : 0;
    note.data = note.len ? (char *) buf : NULL;

    return note;
}


static void
perm_lists_json_names(perm_writer_t *w, perm_record_t *record)
{
    perm_tuple_t  *tuple;

    tuple = &record->tuple;

    perm_writer_put(w, "{\"gateway\":\"%*s\",\"resource\":\"%*s\"",
                    tuple->gateway.len, tuple->gateway.data,
                    tuple->resource.len, tuple->resource.data);
}


static void
perm_lists_json_grant(perm_writer_t *w, const char *list, void *entry)
{
    perm_expiring_entry_t *e = entry;

    perm_lists_json_names(w, &e->record);
    perm_writer_put(w, ",\"app\":\"%*s\",\"expires\":%L,\"seen\":%T}",
                    e->record.tuple.app.len, e->record.tuple.app.data,
                    e->expires, e->record.last);
}


static void
perm_lists_json_hitter(perm_writer_t *w, const char *list, void *entry)
{
    perm_heavy_hitters_entry_t *e = entry;

    perm_lists_json_names(w, &e->record);

    if (e->record.tuple.app.len) {
        perm_writer_put(w, ",\"app\":\"%*s\"", e->record.tuple.app.len,
                        e->record.tuple.app.data);
    } else {
        perm_writer_put(w, ",\"app\":null");
    }

    perm_writer_put(w, ",\"reason\":\"%s\",\"count\":%ui,\"error\":%ui,"
                    "\"first\":%T,\"last\":%T}",
                    perm_decision_reason_name(e->record.kind), e->count,
                    e->error, e->record.first, e->record.last);
}


static void
perm_lists_json_resource(perm_writer_t *w, const char *list, void *entry)
{
    perm_resource_entry_t *e = entry;

    perm_lists_json_names(w, &e->record);
    perm_writer_put(w, ",\"policy\":\"%s\",\"dry_run\":%s,\"allowed\":%uA,"
                    "\"allowed_error\":%uA,\"denied\":%uA,\"failed\":%uA,"
                    "\"would_deny\":%uA,\"first\":%T,\"last\":%T}",
                    e->policy == PERM_POLICY_OPEN ? "open" : "required",
                    perm_writer_bool(e->dry_run), e->allowed, e->sampled,
                    e->denied, e->failed, e->would_deny, e->record.first,
                    e->record.last);
}


static void
perm_lists_csv_hitter(perm_writer_t *w, const char *list, void *entry)
{
    perm_tuple_t                *tuple;
    perm_heavy_hitters_entry_t  *e = entry;

    tuple = &e->record.tuple;

    perm_writer_put(w, "%s,", list);
    perm_lists_csv_cell(w, tuple->gateway);
    perm_writer_put(w, ",");
    perm_lists_csv_cell(w, tuple->resource);
    perm_writer_put(w, ",");
    perm_lists_csv_cell(w, tuple->app);
    perm_writer_put(w, ",%s,%ui,%ui,",
                    perm_decision_reason_name(e->record.kind), e->count,
                    e->error);
    perm_lists_csv_time(w, e->record.first);
    perm_writer_put(w, ",");
    perm_lists_csv_time(w, e->record.last);
    perm_writer_put(w, CRLF);
}


/*
 * A spreadsheet takes a cell that begins with one of these for a formula: it
 * gets an apostrophe in front, which the spreadsheet hides.
 */

static void
perm_lists_csv_cell(perm_writer_t *w, perm_str_t text)
{
    size_t  i;

    perm_writer_put(w, "\"%s",
                    (text.len && ngx_strchr("=+-@\t\r", text.data[0])) ? "'"
                                                                       : "");
    for (i = 0; i < text.len; i++) {
        perm_writer_text(w, "\"", text.data[i] == '"');
        perm_writer_text(w, &text.data[i], 1);
    }

    perm_writer_put(w, "\"");
}


static void
perm_lists_csv_time(perm_writer_t *w, time_t time)
{
    ngx_tm_t  tm;

    ngx_gmtime(time, &tm);

    perm_writer_put(w, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.ngx_tm_year,
                    tm.ngx_tm_mon, tm.ngx_tm_mday, tm.ngx_tm_hour,
                    tm.ngx_tm_min, tm.ngx_tm_sec);
}
