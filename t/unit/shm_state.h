
/*
 * A cache and a recorder, and a state file in a directory of its own.
 */


#ifndef _SHM_STATE_H_INCLUDED_
#define _SHM_STATE_H_INCLUDED_


#include "shm_stub_os.h"

#include <sys/stat.h>
#include <time.h>

#include "state/files.h"
#include "state/format.h"
#include "state/read.h"


#define SEED     UINT64_C(0x5555aaaa3333cccc)
#define LATER    INT64_C(4000000000)
#define GRANTS   700
#define PENDING  300


static ngx_slab_pool_t  *shpool;
static perm_cache_t     *cache;
static perm_recorder_t  *recorder;
static perm_table_state_t  table;
static time_t            now;

static char              dir[] = "/tmp/perm-state-XXXXXX";
static char              file_name[64];
static char              twin_name[64];
static ngx_str_t         file;


static ngx_err_t  lock_error;


ngx_err_t
ngx_trylock_fd(ngx_fd_t fd)
{
    return lock_error;
}


ngx_err_t
ngx_unlock_fd(ngx_fd_t fd)
{
    return 0;
}


static void
fresh(void)
{
    if (shpool) {
        munmap(shpool, stub_end - (u_char *) shpool);
    }

    shpool = stub_pool(2 * 1024 * 1024);
    cache = perm_cache_create(shpool, 400 * 1024, SEED);
    perm_table_state_init(&table, cache);
    recorder = perm_recorder_create(shpool, 200 * 1024);
}


static void
store(perm_tuple_t *tuple, int64_t gateway, int64_t resource, int64_t fetched)
{
    perm_grants_t  grants;

    grants.gateway = gateway;
    grants.resource = resource;

    perm_cache_store(cache, tuple, perm_tuple_hash(tuple, SEED), grants,
                     gateway > now || resource > now, fetched,
                     perm_cache_generation(cache, tuple->gateway, tuple->app));
}


static void
fill(void)
{
    unsigned     n;
    stub_call_t  c;

    for (n = 0; n < GRANTS; n++) {
        store(stub_nth(&c, n), LATER + n, -1, ngx_current_msec - 5000);
    }

    for (n = 0; n < PENDING; n++) {
        stub_nth(&c, n);
        (void) perm_recorder_record(recorder, &c.tuple,
                                    perm_tuple_hash(&c.tuple, SEED), now - n);
    }
}


static void
load(void)
{
    fresh();
    stub_lines = 0;
    perm_state_read(&file, cache, recorder, SEED, &stub_log);
}


static ngx_uint_t
entries(void)
{
    perm_cache_stat_t  stat;

    perm_cache_stat(cache, &stat);

    return stat.entries;
}


static ngx_uint_t
pending(void)
{
    perm_recorder_stat_t  stat;

    perm_recorder_stat(recorder, &stat);

    return stat.pending;
}


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
    static ngx_time_t  cached;

    if (mkdtemp(dir) == NULL) {
        printf("Bail out! no directory\n");
        return 0;
    }

    snprintf(file_name, sizeof(file_name), "%s/state", dir);
    snprintf(twin_name, sizeof(twin_name), "%s/state~", dir);

    file.data = (u_char *) file_name;
    file.len = strlen(file_name);

    now = time(NULL);
    cached.sec = now;
    ngx_cached_time = &cached;

    return 1;
}


static int
finish(void)
{
    clean();
    (void) rmdir(dir);

    return done();
}


#endif /* _SHM_STATE_H_INCLUDED_ */
