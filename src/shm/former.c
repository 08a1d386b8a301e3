
#include "shm/former.h"


#define PERM_FORMER_MAX  4


typedef struct {
    u_char       *addr;
    size_t        size;
    perm_zone_t  *zone;      /* in it */
    time_t        from;      /* unix seconds: what is recorded there since is
                                to be taken over */
} perm_former_t;


static u_char *perm_former_second(ngx_shm_t *shm);
static ngx_uint_t perm_former_used(perm_former_t *former);
static void perm_former_remove(ngx_uint_t i);
static void perm_former_step(perm_zone_t *zone);


/* of the master; its workers inherit it, and the memory */

static perm_former_t  perm_formers[PERM_FORMER_MAX];
static ngx_uint_t     perm_nformers;

/* the walk of this process */

static ngx_uint_t     perm_former_at;
static ngx_uint_t     perm_former_cursor;   /* of its recorder */


void
perm_former_keep(ngx_shm_zone_t *former, perm_zone_t *zone)
{
    u_char            *addr;
    ngx_uint_t         i;
    perm_former_t     *kept;
    perm_zone_conf_t  *conf;

    for (i = perm_nformers; i-- > 0; /* void */ ) {
        if (!perm_former_used(&perm_formers[i])) {
            perm_former_remove(i);
        }
    }

    addr = former ? perm_former_second(&former->shm) : NULL;

    if (addr == NULL) {
        return;
    }

    if (perm_nformers == PERM_FORMER_MAX) {
        perm_former_remove(0);
    }

    conf = former->data;

    kept = &perm_formers[perm_nformers];
    kept->addr = former->shm.addr;
    kept->size = former->shm.size;
    kept->zone = conf->zone;

    /* its workers may yet take over there what is recorded in an older one */

    kept->from = perm_nformers ? perm_formers[0].from : zone->created;

    perm_nformers++;

    former->shm.addr = addr;
}


/*
 * The zone is full of pointers into itself, and so stays where it is.  nginx
 * gets, and unmaps, a second mapping of the same memory.  NULL: there is none.
 */

static u_char *
perm_former_second(ngx_shm_t *shm)
{
#ifdef MREMAP_MAYMOVE

    u_char  *addr;

    addr = mremap(shm->addr, 0, shm->size, MREMAP_MAYMOVE);

    if (addr != MAP_FAILED) {
        return addr;
    }

    ngx_log_error(NGX_LOG_WARN, shm->log, ngx_errno,
                  "app_permission: mremap() failed: what workers of before "
                  "record from now on is lost where they cannot ask Redis at "
                  "their end");

#endif

    return NULL;
}


/* 1: a worker of before lives on for a request, or has left an access */

static ngx_uint_t
perm_former_used(perm_former_t *former)
{
    ngx_int_t               i;
    ngx_uint_t              cursor;
    perm_recorder_access_t  access;

    for (i = 0; i < ngx_last_process; i++) {
        if (ngx_processes[i].pid != -1 && ngx_processes[i].exiting) {
            return 1;
        }
    }

    cursor = 0;

    do {
        if (perm_recorder_take(former->zone->recorder, &cursor, &access, 1)
            && access.last >= former->from)
        {
            return 1;
        }

    } while (cursor);

    return 0;
}


static void
perm_former_remove(ngx_uint_t i)
{
    (void) munmap(perm_formers[i].addr, perm_formers[i].size);

    perm_nformers--;

    ngx_memmove(&perm_formers[i], &perm_formers[i + 1],
                (perm_nformers - i) * sizeof(perm_former_t));
}


ngx_uint_t
perm_former_take(perm_zone_t *zone)
{
    if (perm_former_at < perm_nformers) {
        perm_former_step(zone);
    }

    if (perm_former_at < perm_nformers) {
        return 1;
    }

    perm_former_at = 0;

    return 0;
}


void
perm_former_take_all(perm_zone_t *zone)
{
    perm_former_at = 0;
    perm_former_cursor = 0;

    while (perm_former_take(zone)) { /* void */ }
}


static void
perm_former_step(perm_zone_t *zone)
{
    perm_former_t  *former;

    former = &perm_formers[perm_former_at];

    /* a process without workers has its own after a reload */

    if (former->zone != zone) {
        perm_recorder_move(former->zone->recorder, &perm_former_cursor,
                           zone->recorder, zone->seed, former->from);
    }

    if (perm_former_cursor == 0) {
        perm_former_at++;
    }
}
