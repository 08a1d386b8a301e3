
#include "shm/zone_migrate.h"


#define PERM_ZONE_MIGRATE_ACCESSES  64   /* a call */


static void perm_zone_migrate_grants(perm_zone_t *zone, perm_zone_t *former);
static void perm_zone_migrate_accesses(perm_zone_t *zone, perm_zone_t *former);


perm_zone_t *
perm_zone_migrate_former(ngx_shm_zone_t *shm_zone)
{
    ngx_uint_t         i;
    perm_zone_t       *zone;
    ngx_shm_zone_t    *former;
    ngx_list_part_t   *part;
    perm_zone_conf_t  *conf;

    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;

    for ( /* void */ ; part; part = part->next) {
        former = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (former[i].tag != shm_zone->tag
                || former[i].shm.addr == NULL
                || former[i].shm.addr == shm_zone->shm.addr)
            {
                continue;
            }

            conf = former[i].data;
            zone = conf->zone;

            if (zone && zone->layout == PERM_ZONE_LAYOUT) {
                return zone;
            }
        }
    }

    return NULL;
}


void
perm_zone_migrate(perm_zone_t *zone, perm_zone_t *former, ngx_log_t *log)
{
    perm_cache_stat_t     cache;
    perm_recorder_stat_t  recorder;

    perm_zone_migrate_grants(zone, former);
    perm_zone_migrate_accesses(zone, former);

    perm_cache_stat(zone->cache, &cache);
    perm_recorder_stat(zone->recorder, &recorder);

    ngx_log_error(NGX_LOG_NOTICE, log, 0,
                  "app_permission: %ui grants and %ui accesses moved to the "
                  "zone of another size", cache.entries, recorder.pending);
}


/* like those of a state file: no denials, and no changed grants */

static void
perm_zone_migrate_grants(perm_zone_t *zone, perm_zone_t *former)
{
    char                 names[PERM_TUPLE_MAX];
    ngx_int_t            rc;
    ngx_uint_t           cursor;
    perm_tuple_t         tuple;
    perm_cache_entry_t   entry;

    cursor = 0;

    for ( ;; ) {
        rc = perm_cache_next(former->cache, &cursor, &tuple, names, &entry);

        if (rc == NGX_DONE) {
            return;
        }

        if (rc != NGX_OK
            || (entry.grants.gateway < 0 && entry.grants.resource < 0)
            || !perm_table_state_stale_ok(&former->table, &tuple, &entry))
        {
            continue;
        }

        perm_cache_restore(zone->cache, &tuple, entry.grants, entry.fetched);
    }
}


/* old workers send theirs, too, which does no harm: Redis keeps the newest */

static void
perm_zone_migrate_accesses(perm_zone_t *zone, perm_zone_t *former)
{
    uint64_t                hash;
    ngx_uint_t              i, taken, cursor;
    perm_recorder_access_t  accesses[PERM_ZONE_MIGRATE_ACCESSES];

    cursor = 0;

    do {
        taken = perm_recorder_take(former->recorder, &cursor, accesses,
                                   PERM_ZONE_MIGRATE_ACCESSES);

        for (i = 0; i < taken; i++) {
            hash = perm_tuple_hash(&accesses[i].tuple, zone->seed);

            (void) perm_recorder_record(zone->recorder, &accesses[i].tuple,
                                        hash, accesses[i].last);
        }

    } while (cursor);
}
