
#include "http/stats.h"


#define PERM_STATS_CELLS  64
#define PERM_STATS_LINE   128   /* bytes: two cache lines, as the prefetcher
                                   of the neighbour line takes them */

#define PERM_STATS_STRIDE  ngx_align(sizeof(perm_stats_cell_t), PERM_STATS_LINE)


struct perm_stats_s {
    u_char  *cells;
};


perm_stats_t *
perm_stats_create(ngx_slab_pool_t *shpool)
{
    u_char        *cells;
    perm_stats_t  *stats;

    stats = ngx_slab_calloc(shpool, sizeof(perm_stats_t));
    if (stats == NULL) {
        return NULL;
    }

    cells = ngx_slab_calloc(shpool, PERM_STATS_CELLS * PERM_STATS_STRIDE
                                    + PERM_STATS_LINE);
    if (cells == NULL) {
        return NULL;
    }

    stats->cells = ngx_align_ptr(cells, PERM_STATS_LINE);

    return stats;
}


perm_stats_cell_t *
perm_stats_cell(perm_stats_t *stats, ngx_uint_t worker)
{
    worker = ngx_min(worker, PERM_STATS_CELLS - 1);

    return (perm_stats_cell_t *) (stats->cells + worker * PERM_STATS_STRIDE);
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


/* a cell is counters and nothing else */

void
perm_stats_sum(perm_stats_t *stats, perm_stats_cell_t *sum)
{
    ngx_uint_t     i, k;
    ngx_atomic_t  *from, *to;

    ngx_memzero(sum, sizeof(perm_stats_cell_t));

    to = (ngx_atomic_t *) sum;

    for (i = 0; i < PERM_STATS_CELLS; i++) {
        from = (ngx_atomic_t *) perm_stats_cell(stats, i);

        for (k = 0; k < sizeof(perm_stats_cell_t) / sizeof(ngx_atomic_t); k++)
        {
            to[k] += from[k];
        }
    }
}
