
/*
 * A cache and a recorder, and a state file in a directory of its own.
 */


#ifndef _SHM_STATE_H_INCLUDED_
#define _SHM_STATE_H_INCLUDED_


#include "nginx_test.h"

#include <sys/stat.h>
#include <time.h>

#include "state/state_priv.h"


#define SEED     UINT64_C(0x5555aaaa3333cccc)
#define LATER    INT64_C(4000000000)
#define GRANTS   700
#define PENDING  300


static ngx_slab_pool_t  *shpool;
static perm_zone_t       zone = { .seed = SEED };
static time_t            now;
static size_t            room = 400 * 1024;

static char              dir[] = "/dev/shm/perm-state-XXXXXX";
static char              file_name[64];
static char              twin_name[64];
static ngx_str_t         file;


static void
fresh(void)
{
    shpool = test_zone(shpool, 2 * room);
    zone.cache = perm_cache_create(shpool, room, SEED);
    zone.recorder = perm_recorder_create(shpool, room / 2);
    perm_table_state_init(&zone.table, zone.cache);
}


static void
store(perm_tuple_t *tuple, int64_t gateway, int64_t resource, int64_t fetched)
{
    perm_grants_t  grants;

    grants.gateway = gateway;
    grants.resource = resource;
    grants.left = PERM_GRANTS_ENDLESS;

    perm_cache_store(zone.cache, tuple, perm_tuple_hash(tuple, SEED), grants,
                     gateway > now || resource > now, fetched,
                     perm_cache_generation(zone.cache, tuple->gateway,
                                           tuple->app));
}


__attribute__((unused))
static void
fill(void)
{
    unsigned     n;
    test_tuple_t  c;

    for (n = 0; n < GRANTS; n++) {
        store(test_tuple_nth(&c, n), LATER + n, -1, ngx_current_msec - 5000);
    }

    for (n = 0; n < PENDING; n++) {
        test_tuple_nth(&c, n);
        (void) perm_recorder_record(zone.recorder, &c.tuple,
                                    perm_tuple_hash(&c.tuple, SEED), now - n);
    }
}


/* as the master does when it ends */

static ngx_int_t
save(void)
{
    ngx_int_t            rc;
    ngx_pool_t          *pool;
    perm_state_files_t  *state;

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, &test_log);
    state = perm_state_files_open(pool, &file, &test_log);
    rc = state ? perm_state_files_save(state, &zone, &test_log) : NGX_ERROR;
    ngx_destroy_pool(pool);

    return rc;
}


static void
load(void)
{
    fresh();
    test_lines = 0;
    perm_state_read(&file, &zone, &test_log);
}


static ngx_uint_t
entries(void)
{
    perm_cache_stat_t  stat;

    perm_cache_stat(zone.cache, &stat);

    return stat.entries;
}


static ngx_uint_t
pending(void)
{
    perm_recorder_stat_t  stat;

    perm_recorder_stat(zone.recorder, &stat);

    return stat.pending;
}


__attribute__((unused))
static int
exists(const char *name, const char *suffix)
{
    char         path[128];
    struct stat  st;

    snprintf(path, sizeof(path), "%s%s", name, suffix);

    return lstat(path, &st) == 0;
}


static void
clean(void)
{
    char                path[128];
    unsigned            i;
    static const char  *suffixes[] = { "", "~", ".bad", "~.bad", ".tmp" };

    for (i = 0; i < 5; i++) {
        snprintf(path, sizeof(path), "%s%s", file_name, suffixes[i]);
        (void) unlink(path);
    }
}


static ngx_uint_t
start(void)
{
    if (mkdtemp(dir) == NULL
        && mkdtemp(strcpy(dir, "/tmp/perm-state-XXXXXX")) == NULL)
    {
        printf("Bail out! no directory\n");
        return 0;
    }

    snprintf(file_name, sizeof(file_name), "%s/state", dir);
    snprintf(twin_name, sizeof(twin_name), "%s/state~", dir);

    file.data = (u_char *) file_name;
    file.len = strlen(file_name);

    now = ngx_time();

    return 1;
}


__attribute__((unused))
static int
finish(void)
{
    clean();
    (void) rmdir(dir);

    return done();
}


#endif /* _SHM_STATE_H_INCLUDED_ */
