
#include "status/prometheus.h"

#include "status/numbers.h"


#define PERM_USEC  1000000


static void perm_prometheus_head(perm_writer_t *w, const char *name,
    const char *type, const char *help);
static void perm_prometheus_decisions(perm_writer_t *w, const char *name,
    const char *help, ngx_atomic_t counts[][PERM_REASONS],
    perm_outcome_t first);
static void perm_prometheus_number(perm_writer_t *w,
    const perm_number_t *number, ngx_uint_t value);
static void perm_prometheus_histogram(perm_writer_t *w, const char *name,
    const char *label, perm_histogram_cell_t *h);


void
perm_status_prometheus(perm_writer_t *w, perm_snapshot_t *s)
{
    ngx_uint_t              i;
    perm_histogram_cell_t  *h;
    const perm_number_t    *number;

    static const char  check[] = "check_duration_seconds";
    static const char  redis[] = "redis_command_duration_seconds";

    perm_prometheus_decisions(w, "requests_total",
                              "Checked requests by decision and reason, "
                              "without those that dry run let through against "
                              "its decision.",
                              s->stats.requests[0], PERM_ALLOW);
    perm_prometheus_decisions(w, "dry_run_denied_total",
                              "Requests that were let through by dry run, by "
                              "the decision and reason that would have refused "
                              "them.", s->stats.requests[1], PERM_DENY);

    perm_prometheus_head(w, "grants_expiring", "gauge",
                         "Grants in use that end within so many days.");

    for (i = 0; i < PERM_EXPIRING_WINDOWS; i++) {
        perm_writer_put(w, "app_permission_grants_expiring{days=\"%ui\"} %ui"
                        "\n", perm_expiring_days[i], s->expiring[i]);
    }

    for (number = perm_numbers; number->group; number++) {
        if (number->metric) {
            perm_prometheus_number(w, number, perm_numbers_value(s, number));
        }
    }

    h = s->stats.histograms;

    perm_prometheus_head(w, check, "histogram",
                         "Time of a check; hits are sampled, 1 in 64.");
    perm_prometheus_histogram(w, check, "cache=\"hit\"",
                              &h[PERM_HISTOGRAM_HIT]);
    perm_prometheus_histogram(w, check, "cache=\"miss\"",
                              &h[PERM_HISTOGRAM_MISS]);

    perm_prometheus_head(w, redis, "histogram", "Time of a Redis command.");
    perm_prometheus_histogram(w, redis, "", &h[PERM_HISTOGRAM_REDIS]);
}


/* "name" ends at a NUL or before its labels */

static void
perm_prometheus_head(perm_writer_t *w, const char *name, const char *type,
    const char *help)
{
    size_t  len;

    len = strcspn(name, "{");

    perm_writer_put(w, "# HELP app_permission_%*s %s\n"
                    "# TYPE app_permission_%*s %s\n",
                    len, name, help, len, name, type);
}


static void
perm_prometheus_decisions(perm_writer_t *w, const char *name,
    const char *help, ngx_atomic_t counts[][PERM_REASONS],
    perm_outcome_t first)
{
    ngx_uint_t                     i;
    const perm_number_decision_t  *d;

    perm_prometheus_head(w, name, "counter", help);

    for (i = 0; i < PERM_NUMBERS_DECISIONS; i++) {
        d = &perm_numbers_decisions[i];

        if (d->outcome < first) {
            continue;
        }

        perm_writer_put(w, "app_permission_%s{decision=\"%s\",reason=\"%s\"} "
                        "%uA\n", name,
                        perm_decision_outcome_name(d->outcome),
                        perm_decision_reason_name(d->reason),
                        counts[d->outcome][d->reason]);
    }
}


static void
perm_prometheus_number(perm_writer_t *w, const perm_number_t *number,
    ngx_uint_t value)
{
    ngx_uint_t  counter;

    if (number->kind == PERM_NUMBER_LOADED) {

        if (value == PERM_TABLE_UNKNOWN) {
            return;
        }

        value = (value == PERM_TABLE_LOADED);
    }

    if (number->help) {
        counter = (ngx_strstr(number->metric, "_total") != NULL);
        perm_prometheus_head(w, number->metric, counter ? "counter" : "gauge",
                             number->help);
    }

    if (number->kind == PERM_NUMBER_MSEC || number->kind == PERM_NUMBER_AGE) {
        perm_writer_put(w, "app_permission_%s %ui.%03ui\n", number->metric,
                        value / 1000, value % 1000);
    } else {
        perm_writer_put(w, "app_permission_%s %ui\n", number->metric, value);
    }
}


/* "label" may be empty */

static void
perm_prometheus_histogram(perm_writer_t *w, const char *name,
    const char *label, perm_histogram_cell_t *h)
{
    char        *open, *close, *comma;
    uint64_t     bound;
    ngx_uint_t   i, n;

    open = *label ? "{" : "";
    close = *label ? "}" : "";
    comma = *label ? "," : "";

    n = 0;

    for (i = 0; i < PERM_HISTOGRAM_BUCKETS - 1; i++) {
        n += h->count[i];
        bound = (uint64_t) 1 << i;

        perm_writer_put(w, "app_permission_%s_bucket{%s%sle=\"%uL.%06uL\"} "
                        "%ui\n", name, label, comma, bound / PERM_USEC,
                        bound % PERM_USEC, n);
    }

    n += h->count[i];

    perm_writer_put(w, "app_permission_%s_bucket{%s%sle=\"+Inf\"} %ui\n"
                    "app_permission_%s_sum%s%s%s %uA.%06uA\n"
                    "app_permission_%s_count%s%s%s %ui\n",
                    name, label, comma, n,
                    name, open, label, close, h->sum / PERM_USEC,
                    h->sum % PERM_USEC,
                    name, open, label, close, n);
}
