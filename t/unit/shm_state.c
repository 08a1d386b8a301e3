
/*
 * The state file: what comes back from it.
 * sources: src/shm/slots.c src/shm/tuple.c src/shm/cache.c src/shm/recorder.c
 * sources: src/shm/trackers.c src/shm/lease.c src/shm/process.c
 * sources: src/shm/table_state.c src/shm/health.c src/state/state.c
 * sources: src/state/state_read.c src/state/state_write.c src/shm/zone.c
 * sources: src/shm/records.c src/shm/trylock.c
 * sources: src/shm/distinct.c
 * sources: src/shm/process.c
 */


#include "shm_state.h"

#include <signal.h>
#include <sys/wait.h>


static int
lookup(perm_tuple_t *tuple, perm_cache_entry_t *entry)
{
    return perm_cache_lookup(zone.cache, tuple, perm_tuple_hash(tuple, SEED),
                             ngx_current_msec, entry)
           == NGX_OK;
}


static void
test_save(void)
{
    unsigned             n;
    ngx_uint_t           good;
    struct stat          st;
    test_tuple_t         c;
    perm_cache_entry_t   entry;
    ngx_uint_t           cursor, taken;

    static perm_recorder_access_t  accesses[PENDING];

    load();
    ok(test_lines == 0 && entries() == 0, "without a file nothing is said");

    fill();

    store(test_tuple(&c, "gw", "res", "denied"), -1, -1, ngx_current_msec);
    store(test_tuple(&c, "gw", "res", "revoked"), LATER, -1, ngx_current_msec);
    perm_cache_invalidate(zone.cache, c.tuple.gateway, c.tuple.app, 1);
    store(test_tuple(&c, "gw", "res", "ended"), 5, -2, ngx_current_msec);

    (void) umask(0777);
    ok(save() == NGX_OK,
       "saved");
    (void) umask(022);

    ok(stat(file_name, &st) == 0 && (st.st_mode & 0777) == 0600,
       "for its owner alone, whatever the umask");
    ok(!exists(file_name, "~") && !exists(file_name, ".tmp"),
       "with nothing left beside it");

    /* another boot, another monotonic clock */

    ngx_current_msec = 77000;
    load();
    ok(test_logged("701 grants and 300 accesses came back"), "loaded");
    ok(entries() == GRANTS + 1 && pending() == PENDING, "all of it");

    for (n = 0, good = 1; n < GRANTS; n++) {
        good &= lookup(test_tuple_nth(&c, n), &entry)
                && entry.grants.gateway == LATER + n
                && entry.grants.resource == -1
                && !entry.trusted && entry.unchanged
                && entry.fetched >= 77000 - 5000 - 60000
                && entry.fetched <= 77000 - 5000;
    }

    ok(good, "untrusted, unchanged, as old as they were");

    ok(!lookup(test_tuple(&c, "gw", "res", "denied"), &entry),
       "a denial does not come back");
    ok(!lookup(test_tuple(&c, "gw", "res", "revoked"), &entry),
       "nor does one that was pushed as changed");
    ok(lookup(test_tuple(&c, "gw", "res", "ended"), &entry)
       && entry.grants.gateway == 5 && entry.grants.resource == -2,
       "an ended grant does, for its reason");

    cursor = 0;
    taken = perm_recorder_take(zone.recorder, &cursor, accesses, PENDING);

    for (n = 0, good = 0; n < taken; n++) {
        test_tuple_nth(&c, (unsigned) (now - accesses[n].last));
        good += (memcmp(c.resource, accesses[n].tuple.resource.data, 24) == 0);
    }

    ok(good == PENDING, "accesses with their seconds");
}


/* a whole one; in how many steps */

static unsigned
written(perm_state_files_t *state)
{
    unsigned   n;
    ngx_int_t  rc;

    for (n = 1;
         (rc = perm_state_files_write(state, &zone, &test_log))
                == NGX_AGAIN; n++)
    {
        ngx_current_msec += 5;
    }

    return (rc == NGX_OK) ? n : 0;
}


/* another process that is writing: what this one's next step does */

static ngx_uint_t
locked_by_another(perm_state_files_t *state)
{
    int        fds[2];
    char       c;
    pid_t      pid;
    ngx_fd_t   fd;
    ngx_int_t  rc;

    if (pipe(fds) == -1) {
        return 0;
    }

    pid = test_fork();

    if (pid == 0) {
        fd = open(file_name, O_RDWR);
        (void) ngx_trylock_fd(fd);
        (void) !write(fds[1], "x", 1);
        pause();
    }

    (void) !read(fds[0], &c, 1);
    rc = perm_state_files_write(state, &zone, &test_log);

    kill(pid, SIGKILL);
    (void) waitpid(pid, NULL, 0);

    close(fds[0]);
    close(fds[1]);

    return rc == NGX_OK;
}


static void
test_write(void)
{
    unsigned             n;
    ngx_pool_t          *pool;
    perm_state_files_t  *state;

    clean();
    fresh();
    fill();

    pool = ngx_create_pool(NGX_DEFAULT_POOL_SIZE, &test_log);
    state = perm_state_files_open(pool, &file, &test_log);
    ok(state != NULL && exists(file_name, "") && exists(file_name, "~"),
       "both files are opened");

    load();
    ok(test_lines == 0, "empty ones are not worth a word");

    fill();

    n = written(state);
    ok(n > 5, "a snapshot, in %u steps", n);

    load();
    ok(entries() == GRANTS && pending() == PENDING, "comes back");

    /* the next one goes into the other file, and is cut short */

    fresh();

    for (n = 0; n < 3; n++) {
        (void) perm_state_files_write(state, &zone, &test_log);
    }

    load();
    ok(entries() == GRANTS && test_logged("came back from"),
       "an unfinished one does not hide the one before, nor is it damage");

    /* another worker goes on after a while, from the start */

    fresh();
    ngx_current_msec += 5000;

    n = written(state);
    load();
    ok(n && entries() == 0 && test_logged("0 grants"),
       "the newer of two whole ones counts");

    n = written(state);
    load();
    ok(n && entries() == 0 && test_logged("0 grants"),
       "also where there was a longer one");

    ok(locked_by_another(state), "while another nginx writes, this one does "
       "not");

    fill();
    ok(save() == NGX_OK
       && !exists(file_name, "~"), "the last one replaces both");

    load();
    ok(entries() == GRANTS, "and comes back");

    /* after an upgrade of nginx, or one taken back, it is another's */

    clean();

    ngx_new_binary = 1;
    ok(perm_state_files_save(state, &zone, &test_log) == NGX_OK
       && !exists(file_name, ""), "a master with a newer one saves nothing");
    ngx_new_binary = 0;

    ngx_inherited = 1;
    ngx_parent = getppid();
    ok(perm_state_files_save(state, &zone, &test_log) == NGX_OK
       && !exists(file_name, ""), "nor does the newer one of one that lives");

    ngx_parent = -1;
    ok(perm_state_files_save(state, &zone, &test_log) == NGX_OK
       && exists(file_name, ""), "but of one that has ended");
    ngx_inherited = 0;

    ngx_destroy_pool(pool);
}


int
main(void)
{
    if (!start()) {
        return 2;
    }

    test_save();
    test_write();

    return finish();
}
