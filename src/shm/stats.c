
#include "shm/stats.h"


static ngx_atomic_uint_t perm_stats_oldest(perm_age_cell_t *a, time_t now);


perm_stats_cell_t *
perm_stats_cell(perm_stats_t *stats, ngx_uint_t worker)
{
    return &stats->cells[ngx_min(worker, PERM_STATS_CELLS - 1)].cell;
}


void
perm_stats_time(perm_stats_cell_t *cell, perm_histogram_t histogram,
    uint64_t usec)
{
    ngx_uint_t              i;
    perm_histogram_cell_t  *h;

    i = 0;

    while (i < PERM_HISTOGRAM_BUCKETS - 1 && usec > ((uint64_t) 1 << i)) {
        i++;
    }

    h = &cell->histograms[histogram];

    perm_stats_add(&h->count[i], 1);
    perm_stats_add(&h->sum, (ngx_atomic_uint_t) usec);
}


void
perm_stats_age(perm_stats_cell_t *cell, ngx_uint_t age, time_t now)
{
    ngx_atomic_uint_t  minute;
    perm_age_cell_t   *a;

    a = &cell->age;
    minute = now / 60;

    if (a->minute != minute) {
        a->before = (a->minute + 1 == minute) ? a->oldest : 0;
        a->oldest = 0;
        a->minute = minute;
    }

    if (age > a->oldest) {
        a->oldest = age;
    }
}


void
perm_stats_sum(perm_stats_t *stats, perm_stats_cell_t *sum, time_t now)
{
    ngx_uint_t          i, k, counters;
    ngx_atomic_t       *from, *to;
    ngx_atomic_uint_t   oldest;
    perm_stats_cell_t  *cell;

    ngx_memzero(sum, sizeof(perm_stats_cell_t));

    to = (ngx_atomic_t *) sum;
    counters = offsetof(perm_stats_cell_t, age) / sizeof(ngx_atomic_t);

    for (i = 0; i < PERM_STATS_CELLS; i++) {
        cell = perm_stats_cell(stats, i);
        from = (ngx_atomic_t *) cell;

        for (k = 0; k < counters; k++) {
            to[k] += from[k];
        }

        oldest = perm_stats_oldest(&cell->age, now);

        if (oldest > sum->age.oldest) {
            sum->age.oldest = oldest;
        }
    }
}


static ngx_atomic_uint_t
perm_stats_oldest(perm_age_cell_t *a, time_t now)
{
    ngx_atomic_uint_t  minute;

    minute = now / 60;

    if (a->minute == minute) {
        return ngx_max(a->oldest, a->before);
    }

    return (a->minute + 1 == minute) ? a->oldest : 0;
}
